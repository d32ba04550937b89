/*
 * Live migration of Realms: the destination half of the "realm" section
 *
 * Purpose: hand every blob of the stream to the backend, and commit when the
 * stream has ended well.
 *
 * After the commit the destination cannot give the Realm back, so the commit
 * waits until nothing can fail any more, which is the end of the stream.  QEMU
 * calls no handler there, but it waits for the threads that help to load, and
 * one of them is ours.  QEMU also takes a stream that ends early for a whole
 * one; so this thread reports a start token that is missing.
 *
 * Invariants: the size of a blob is bounded before it is read.  Only the
 * backend uses a blob, and authenticates it first.  Without a start token
 * nothing is committed, and without a commit no vCPU runs.  The first failure
 * ends the migration, and this machine says how the source gets its Realm back.
 *
 * Lock rule: BQL; the thread takes it when the stream has ended.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-events-realm.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "migration/migration.h"
#include "migration/misc.h"
#include "migration/postcopy-ram.h"
#include "system/system.h"
#include "realm-migration.h"
#include "record.h"
#include "reply.h"
#include "trace.h"

static bool given_up;           /* the abort token was made and told */
static bool token_imported;     /* the start token of this stream */

static const char *record_name(RealmRecordType type)
{
    return type == REALM_RECORD_MEMORY ? "memory" :
           type == REALM_RECORD_EPOCH ? "epoch" : "state";
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
        realm_counters_add_blob(size, pages);
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

/* The connection may break before or after our sections are loaded. */
static void fail_at_exit(Notifier *notifier, void *unused)
{
    if (!given_up) {
        realm_destination_fail();
    }
}

/*
 * Postcopy would start the machine before the stream has ended, and a stream
 * can begin it whatever the capabilities are.
 */
static int refuse_postcopy(NotifierWithReturn *notifier, void *opaque,
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
    static Notifier at_exit = { .notify = fail_at_exit };
    static NotifierWithReturn postcopy = { .notify = refuse_postcopy };

    qemu_add_exit_notifier(&at_exit);
    postcopy_add_notifier(&postcopy);
}

/* The records of one part of the section. */
static bool load_records(QEMUFile *f, uint8_t *buf,
                         const RealmMigrationLimits *limits, Error **errp)
{
    RealmRecord record;

    for (;;) {
        if (!realm_record_get(f, limits, &record, errp)) {
            return false;
        }
        if (record.type == REALM_RECORD_END) {
            return true;
        }
        if (qemu_get_buffer(f, buf, record.size) != record.size) {
            error_setg(errp, "realm section: the stream ends within a %s "
                       "record of %zu bytes", record_name(record.type),
                       record.size);
            return false;
        }
        if (!import_blob(record.type, buf, record.size, errp)) {
            error_prepend(errp, "realm section: %s record of %zu bytes: ",
                          record_name(record.type), record.size);
            return false;
        }
    }
}

/* QEMU itself refuses versions above ours. */
static bool load_section(QEMUFile *f, int version_id, Error **errp)
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
    return load_records(f, buf, &limits, errp);
}

bool realm_destination_import_token(const void *token, size_t size,
                                    Error **errp)
{
    token_imported = realm_backend()->import(token, size, errp);
    return token_imported;
}

/*
 * For the source, which wipes the Realm with it.  The Realm is here without it
 * as well.
 */
static void send_receipt(void)
{
    uint8_t receipt[REALM_MAX_REPLY];
    Error *err = NULL;
    ssize_t size = realm_backend()->import_receipt(receipt, &err);

    if (size < 0 || !realm_reply_put(receipt, size, &err)) {
        warn_report_err(err);
    }
}

static bool commit_realm(Error **errp)
{
    if (!token_imported) {
        error_setg(errp, "Realm: the stream ended without its start token");
        return false;
    }
    if (!realm_backend()->commit(errp)) {
        return false;
    }
    send_receipt();
    return true;
}

/* Runs in a thread of QEMU's that helps to load; it may take the BQL. */
static bool commit_at_end(void *opaque, bool *should_quit, Error **errp)
{
    MigrationIncomingState *mis = migration_incoming_get_current();
    bool ok;

    qemu_event_wait(&mis->main_thread_load_event);
    if (qatomic_read(should_quit) || qemu_file_get_error(mis->from_src_file) ||
        migrate_has_error(migrate_get_current())) {
        return true;    /* the stream was not loaded, and QEMU knows */
    }
    bql_lock();
    ok = commit_realm(errp);
    if (!ok) {
        error_report_err(error_copy(*errp));
        /* QEMU tells the source at its end that loading went wrong. */
        qemu_file_set_error(mis->from_src_file, -EINVAL);
    }
    bql_unlock();
    return ok;
}

int realm_destination_load_setup(QEMUFile *f, void *opaque, Error **errp)
{
    given_up = false;
    token_imported = false;
    if (!migration_incoming_get_current()->from_src_file) {
        error_setg(errp, "Realm: it is loaded from a migration only; start "
                   "the destination with -incoming defer");
        return -EINVAL;
    }
    if (!realm_check_capabilities(errp)) {
        return -EINVAL;
    }
    qemu_loadvm_start_load_thread(commit_at_end, NULL);
    return 0;
}

/* Called whatever part of the stream failed, also one that is not ours. */
int realm_destination_cleanup(void *opaque)
{
    if (!given_up) {
        realm_destination_fail();
    }
    /* The thread may still wait, if QEMU gave up before its main loop. */
    qemu_event_set(&migration_incoming_get_current()->main_thread_load_event);
    return 0;
}

int realm_destination_load(QEMUFile *f, void *opaque, int version_id)
{
    Error *err = NULL;

    if (load_section(f, version_id, &err)) {
        return 0;
    }
    migrate_set_error(migrate_get_current(), err);
    error_report_err(err);
    realm_destination_fail();
    return -EINVAL;
}
