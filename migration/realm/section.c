/*
 * Live migration of Realms: the "realm" section of the stream
 *
 * Purpose: register the section and what belongs to it, and let a Realm whose
 * migration has failed run on.
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
#include "reply.h"

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

/*
 * Refuse a file before QEMU looks for a return path, which a file does not
 * have: its message would not help.
 */
static int refuse_file(NotifierWithReturn *notifier, MigrationEvent *e,
                       Error **errp)
{
    if (e->type == MIG_EVENT_PRECOPY_SETUP &&
        !realm_check_channel(migrate_get_current()->to_dst_file, errp)) {
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
    .load_state_buffer = realm_destination_load_packet,
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
    migration_add_notifier(&notifier, refuse_file);
    realm_reply_init();
    realm_destination_init();
    realm_config_register();
    realm_start_register();
    qemu_add_vm_change_state_handler_prio(vm_state_changed, NULL, FIRST);
}
