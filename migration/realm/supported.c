/*
 * Live migration of Realms: which kinds of migration work with a Realm
 *
 * Purpose: refuse capabilities, modes and channels of QEMU's migration that
 * were not made for a Realm, at the source and at the destination.
 *
 * Invariants: what is allowed was seen at work by a test; a new capability of
 * QEMU's is refused until it is in the list.
 *
 * Lock rule: BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "io/channel-file.h"
#include "migration/migration.h"
#include "migration/options.h"
#include "realm-migration.h"

static bool is_supported(MigrationCapability capability)
{
    switch (capability) {
    case MIGRATION_CAPABILITY_AUTO_CONVERGE:
    case MIGRATION_CAPABILITY_EVENTS:
    case MIGRATION_CAPABILITY_LATE_BLOCK_ACTIVATE:
    case MIGRATION_CAPABILITY_MULTIFD:
    case MIGRATION_CAPABILITY_PAUSE_BEFORE_SWITCHOVER:
    case MIGRATION_CAPABILITY_RETURN_PATH:
    case MIGRATION_CAPABILITY_SWITCHOVER_ACK:
    case MIGRATION_CAPABILITY_VALIDATE_UUID:
        return true;
    default:
        return false;
    }
}

bool realm_check_capabilities(Error **errp)
{
    const bool *on = migrate_get_current()->capabilities;

    for (int i = 0; i < MIGRATION_CAPABILITY__MAX; i++) {
        if (on[i] && !is_supported(i)) {
            error_setg(errp, "Realm: %s does not work with Realms; turn it "
                       "off", MigrationCapability_str(i));
            return false;
        }
    }
    if (migrate_mode() != MIG_MODE_NORMAL) {
        error_setg(errp, "Realm: mode %s does not work with Realms; set it to "
                   "normal", MigMode_str(migrate_mode()));
        return false;
    }
    return true;
}

/*
 * A file can be loaded more than once, so that the Realm would run more than
 * once, and from an old state.
 */
bool realm_check_channel(QEMUFile *f, Error **errp)
{
    Object *ioc = OBJECT(qemu_file_get_ioc(f));
    struct stat st;

    if (migrate_rdma()) {       /* known from when the channel is open */
        error_setg(errp, "Realm: RDMA does not work with Realms; use a "
                   "socket");
        return false;
    }
    if (object_dynamic_cast(ioc, TYPE_QIO_CHANNEL_FILE) &&
        fstat(QIO_CHANNEL_FILE(ioc)->fd, &st) == 0 &&
        (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode))) {
        error_setg(errp, "Realm: it cannot be saved to a file; "
                   "migrate it to another QEMU instead");
        return false;
    }
    return true;
}
