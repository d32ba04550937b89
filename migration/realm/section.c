/*
 * Live migration of Realms: the "realm" section of the stream
 *
 * Purpose: register the section, and see to it that a Realm whose migration
 * failed runs on.
 *
 * Lock rule: realm-migration.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "migration/blocker.h"
#include "migration/migration.h"
#include "migration/misc.h"
#include "migration/realm.h"
#include "migration/register.h"
#include "system/runstate.h"
#include "realm-migration.h"

RealmMigrationCounters realm_migration_counters;

void realm_migration_counters_reset(void)
{
    RealmMigrationCounters *c = &realm_migration_counters;

    stat64_set(&c->private_pages, 0);
    stat64_set(&c->tag_pages, 0);
    stat64_set(&c->bundles, 0);
    stat64_set(&c->bytes, 0);
    stat64_set(&c->rounds, 0);
    stat64_set(&c->remaining, 0);
    stat64_set(&c->total, 0);
}

void realm_migration_count(size_t size, unsigned pages)
{
    RealmMigrationCounters *c = &realm_migration_counters;

    stat64_add(&c->bundles, 1);
    stat64_add(&c->bytes, size);
    stat64_add(&c->private_pages, pages);
    stat64_add(&c->tag_pages, realm_config()->mte ? pages : 0);
}

/*
 * QEMU starts the vCPUs of the source again before it cleans a failed
 * migration up, so the session has to end here.
 */
static void vm_state_changed(void *opaque, bool running, RunState state)
{
    if (running) {
        realm_source_resume();
    }
}

/* Before QEMU looks for a return path, which a file does not have. */
static int migration_event(NotifierWithReturn *notifier, MigrationEvent *e,
                           Error **errp)
{
    if (e->type == MIG_EVENT_PRECOPY_SETUP &&
        !realm_source_check_channel(migrate_get_current()->to_dst_file,
                                    errp)) {
        return -EPERM;
    }
    return 0;
}

static const SaveVMHandlers realm_handlers = {
    .save_prepare = realm_source_prepare,
    .save_setup = realm_source_setup,
    .save_cleanup = realm_source_cleanup,
    .save_live_complete_precopy = realm_source_complete,
    .save_live_iterate = realm_source_iterate,
    .state_pending_estimate = realm_source_pending_estimate,
    .state_pending_exact = realm_source_pending_exact,
    .load_setup = realm_destination_load_setup,
    .load_state = realm_destination_load,
    .load_cleanup = realm_destination_cleanup,
};

/* The first handler to be called when the machine starts to run. */
#define FIRST INT_MIN

void realm_migration_init(void)
{
    static Error *blocker;
    static NotifierWithReturn notifier;

    if (!realm_config()->migration) {
        error_setg(&blocker, "Realm: it was created with migration=off; "
                   "give rme-guest migration=on");
        migrate_add_blocker(&blocker, &error_fatal);
    }
    register_savevm_live(REALM_SECTION, 0, REALM_SECTION_VERSION,
                         &realm_handlers, NULL);
    migration_add_notifier(&notifier, migration_event);
    realm_destination_init();
    realm_config_register();
    realm_start_register();
    qemu_add_vm_change_state_handler_prio(vm_state_changed, NULL, FIRST);
}
