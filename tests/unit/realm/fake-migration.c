/*
 * As much of QEMU's migration as the "realm" section calls
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/notify.h"
#include "migration/blocker.h"
#include "migration/client-options.h"
#include "migration/migration.h"
#include "migration/options.h"
#include "system/system.h"
#include "fake-migration.h"

FakeMigration fake_migration;
static MigrationState the_migration;

void fake_migration_state(int state, QEMUFile *f)
{
    the_migration.state = state;
    the_migration.to_dst_file = f;
}

MigrationState *migrate_get_current(void)
{
    return &the_migration;
}

void migrate_set_error(MigrationState *s, const Error *error)
{
    g_free(fake_migration.error);
    fake_migration.error = g_strdup(error_get_pretty(error));
}

int register_savevm_live(const char *idstr, uint32_t instance_id,
                         int version_id, const SaveVMHandlers *ops,
                         void *opaque)
{
    assert(!fake_migration.handlers && g_str_equal(idstr, "realm"));
    fake_migration.handlers = ops;
    return 0;
}

int vmstate_register_with_alias_id(VMStateIf *obj, uint32_t instance_id,
                                   const VMStateDescription *vmsd,
                                   void *base, int alias_id,
                                   int required_for_version, Error **errp)
{
    assert(!fake_migration.last);
    fake_migration.last = vmsd;
    fake_migration.last_opaque = base;
    return 0;
}

/* The machine is as good as done. */
void qemu_add_machine_init_done_notifier(Notifier *notify)
{
    notify->notify(notify, NULL);
}

VMChangeStateEntry *qemu_add_vm_change_state_handler_prio(
    VMChangeStateHandler *cb, void *opaque, int priority)
{
    fake_migration.vm_changed = cb;
    return NULL;
}

bool runstate_check(RunState state)
{
    return state == (fake_migration.savevm ? RUN_STATE_SAVE_VM
                                           : RUN_STATE_RUNNING);
}

MigMode migrate_mode(void)
{
    return g_strcmp0(fake_migration.capability, "a cpr mode") ?
        MIG_MODE_NORMAL : MIG_MODE_CPR_REBOOT;
}

#define CAPABILITY(function, name)                                      \
    bool function(void)                                                 \
    {                                                                   \
        return g_strcmp0(fake_migration.capability, name) == 0;         \
    }

CAPABILITY(migrate_postcopy_ram, "postcopy-ram")
CAPABILITY(migrate_background_snapshot, "background-snapshot")
CAPABILITY(migrate_colo, "x-colo")
CAPABILITY(migrate_mapped_ram, "mapped-ram")
CAPABILITY(migrate_xbzrle, "xbzrle")
CAPABILITY(migrate_multifd, "multifd")
CAPABILITY(migrate_ignore_shared, "x-ignore-shared")
CAPABILITY(migrate_release_ram, "release-ram")
