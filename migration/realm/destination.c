/*
 * Live migration of Realms: the destination half of the "realm" section
 *
 * Purpose: hand every blob of the stream to the backend.
 *
 * Invariants: the size of a blob is bounded before it is read; a blob is
 * used only by the backend, which authenticates it; the first failure ends
 * the migration, and this machine says how the source gets its Realm back.
 *
 * Lock rule: realm-migration.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-events-realm.h"
#include "qemu/error-report.h"
#include "system/system.h"
#include "migration/migration.h"
#include "migration/postcopy-ram.h"
#include "realm-migration.h"
#include "record.h"
#include "trace.h"

/* The abort token was made and told: once is enough. */
static bool given_up;

static const char *record_name(RealmRecordType type)
{
    return type == REALM_RECORD_MEMORY ? "memory" : "state";
}

static bool import_blob(RealmRecordType type, const void *blob, size_t size,
                        Error **errp)
{
    unsigned pages = 0;
    bool ok = type == REALM_RECORD_MEMORY
        ? realm_backend()->import_memory(blob, size, &pages, errp)
        : realm_backend()->import(blob, size, errp);

    trace_realm_destination_record(record_name(type), size, pages, ok);
    if (ok) {
        realm_migration_count(size, pages);
    }
    return ok;
}

char *realm_destination_give_up(Error **errp)
{
    g_autofree uint8_t *buf = NULL;
    RealmMigrationLimits limits;
    ssize_t size;

    realm_backend()->migration_limits(&limits);
    buf = g_malloc(limits.max_blob);
    size = realm_backend()->import_abort(buf, errp);
    if (size < 0) {
        return NULL;
    }
    given_up = true;
    return g_base64_encode(buf, size);
}

/*
 * QEMU often exits right after this, so the token is in the log as well.  It
 * is no secret: the Realm cannot start here any more.
 */
void realm_destination_fail(void)
{
    g_autofree char *token = NULL;
    Error *err = NULL;

    if (!realm_phase_offered(realm_backend()->phase())) {
        return;                 /* no source is sealed for an offer of ours */
    }
    token = realm_destination_give_up(&err);
    if (token) {
        error_report("Realm: it will never start here; if the source is "
                     "sealed, give this token to its realm-migration-resume: "
                     "%s", token);
    } else {
        error_report_err(err);
    }
    qapi_event_send_realm_migration_failed(token);
}

/* The connection may end where no section of ours is loaded. */
static void exiting(Notifier *notifier, void *unused)
{
    if (!given_up) {
        realm_destination_fail();
    }
}

/*
 * Postcopy starts the machine before the stream has ended, and a stream can
 * begin it whatever the capabilities are.
 */
static int postcopy_event(NotifierWithReturn *notifier, void *opaque,
                          Error **errp)
{
    struct PostcopyNotifyData *data = opaque;

    if (data->reason != POSTCOPY_NOTIFY_INBOUND_ADVISE &&
        data->reason != POSTCOPY_NOTIFY_INBOUND_LISTEN) {
        return 0;
    }
    error_setg(errp, "Realm: postcopy does not work with Realms");
    return -EINVAL;
}

void realm_destination_init(void)
{
    static Notifier at_exit = { .notify = exiting };
    static NotifierWithReturn postcopy = { .notify = postcopy_event };

    qemu_add_exit_notifier(&at_exit);
    postcopy_add_notifier(&postcopy);
}

/* The records of one part of the section. */
static bool load_records(QEMUFile *f, uint8_t *buf, size_t max, Error **errp)
{
    RealmRecordType type;
    size_t size;

    for (;;) {
        if (!realm_record_get(f, &type, &size, max, errp)) {
            return false;
        }
        if (type == REALM_RECORD_END) {
            return true;
        }
        if (qemu_get_buffer(f, buf, size) != size) {
            error_setg(errp, "realm section: the stream ends within a %s "
                       "record of %zu bytes", record_name(type), size);
            return false;
        }
        if (!import_blob(type, buf, size, errp)) {
            error_prepend(errp, "realm section: %s record of %zu bytes: ",
                          record_name(type), size);
            return false;
        }
    }
}

/* QEMU has refused versions above ours. */
static bool load(QEMUFile *f, int version_id, Error **errp)
{
    RealmMigrationLimits limits;
    g_autofree uint8_t *buf = NULL;

    if (version_id != REALM_SECTION_VERSION) {
        error_setg(errp, "realm section: it has version %d, and version %d "
                   "can be loaded", version_id, REALM_SECTION_VERSION);
        return false;
    }
    realm_backend()->migration_limits(&limits);
    buf = g_malloc(limits.max_blob);
    return load_records(f, buf, limits.max_blob, errp);
}

int realm_destination_load_setup(QEMUFile *f, void *opaque, Error **errp)
{
    given_up = false;
    return realm_start_load_setup(errp);
}

/* Whatever of the stream failed, also what is not ours. */
int realm_destination_cleanup(void *opaque)
{
    if (!given_up) {
        realm_destination_fail();
    }
    realm_start_load_cleanup();
    return 0;
}

int realm_destination_load(QEMUFile *f, void *opaque, int version_id)
{
    Error *err = NULL;

    if (load(f, version_id, &err)) {
        return 0;
    }
    migrate_set_error(migrate_get_current(), err);
    error_report_err(err);
    realm_destination_fail();
    return -EINVAL;
}
