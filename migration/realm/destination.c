/*
 * Live migration of Realms: the destination half of the "realm" section
 *
 * Purpose: take every record from the main channel and from multifd's, for
 * importer.c, and commit when the stream has ended well.
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
 * Lock rule: BQL; the thread takes it when the stream has ended.  Threads of
 * multifd's channels do not have it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <poll.h>
#include "qapi/error.h"
#include "qapi/qapi-events-realm.h"
#include "qemu/coroutine.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "io/channel-socket.h"
#include "io/channel-tls.h"
#include "migration/migration.h"
#include "migration/misc.h"
#include "migration/options.h"
#include "migration/postcopy-ram.h"
#include "migration/realm.h"
#include "system/system.h"
#include "channel.h"
#include "importer.h"
#include "realm-migration.h"
#include "record.h"
#include "reply.h"

/* How long nobody may see that the source is gone. */
#define WAIT_MS 100

static bool given_up;           /* the abort token was made and told */
static bool token_imported;     /* the start token of this stream */

/* The abort token, once nothing is imported any more. */
static char *make_abort_token(Error **errp)
{
    g_autofree uint8_t *buf = NULL;
    RealmMigrationLimits limits;
    ssize_t size;

    realm_importer_stop();
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
static void report_token(const char *token)
{
    error_report("Realm: it will never start here; if the source is sealed, "
                 "give this token to its realm-migration-resume: %s", token);
}

/*
 * QEMU may wait for bytes, and the source for room in a channel: then neither
 * would hear of it.  QEMU ends the other channels when it cannot read this one.
 */
char *realm_destination_give_up(Error **errp)
{
    QEMUFile *f = migration_incoming_get_current()->from_src_file;
    char *token = make_abort_token(errp);

    if (token && f) {
        report_token(token);
        qemu_file_shutdown(f);
    }
    return token;
}

void realm_destination_fail(void)
{
    g_autofree char *token = NULL;
    Error *err = NULL;

    if (given_up || !realm_phase_offered(realm_backend()->phase())) {
        return;                 /* else no source is sealed for our offer */
    }
    token = make_abort_token(&err);
    if (token) {
        report_token(token);
    } else {
        error_report_err(err);
    }
    qapi_event_send_realm_migration_failed(token);
}

/* The connection may break before or after our sections are loaded. */
static void fail_at_exit(Notifier *notifier, void *unused)
{
    realm_destination_fail();
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
    error_setg(errp, "Realm: postcopy does not work with Realms; turn "
               "postcopy-ram off");
    return -EINVAL;
}

/*
 * Whether the source is gone.  It closes nothing before this side says that it
 * has loaded all.
 */
static bool source_gone(QIOChannel *ioc)
{
    QIOChannelTLS *tls = (QIOChannelTLS *)
        object_dynamic_cast(OBJECT(ioc), TYPE_QIO_CHANNEL_TLS);
    QIOChannelSocket *socket = (QIOChannelSocket *)
        object_dynamic_cast(OBJECT(tls ? tls->master : ioc),
                            TYPE_QIO_CHANNEL_SOCKET);
    struct pollfd fd = { .events = POLLRDHUP };

    if (!socket) {
        return false;
    }
    fd.fd = socket->fd;
    return poll(&fd, 1, 0) > 0;
}

static bool incoming_is_over(MigrationIncomingState *mis)
{
    switch (qatomic_read(&mis->state)) {
    case MIGRATION_STATUS_NONE:
    case MIGRATION_STATUS_SETUP:
    case MIGRATION_STATUS_ACTIVE:
        return false;
    default:
        return true;
    }
}

/*
 * Any thread.  The main channel is closed after multifd's threads have ended,
 * and may be opened after they have begun.
 */
static bool migration_lost(void)
{
    MigrationIncomingState *mis = migration_incoming_get_current();
    QEMUFile *f = qatomic_read(&mis->from_src_file);

    return incoming_is_over(mis) || migrate_has_error(migrate_get_current()) ||
           (f && (qemu_file_get_error(f) ||
                  source_gone(qemu_file_get_ioc(f))));
}

/*
 * What a channel brought may be lost, so this migration must not succeed.  The
 * monitor goes on if a channel is slow: somebody may want to give the Realm up.
 */
bool realm_destination_wait_for_channel(QemuSemaphore *sem)
{
    Error *err = NULL;

    if (!realm_backend()) {
        return true;
    }
    while (qemu_sem_timedwait(sem, WAIT_MS)) {
        if (migration_lost() || given_up) {
            error_setg(&err, "Realm: the migration ended while channels were "
                       "waited for");
            migrate_set_error(migrate_get_current(), err);
            error_free(err);
            return false;
        }
        if (qemu_in_coroutine()) {
            qemu_co_sleep_ns(QEMU_CLOCK_REALTIME, 10 * SCALE_MS);
        }
    }
    qemu_sem_post(sem);
    return true;
}

void realm_destination_init(void)
{
    static Notifier at_exit = { .notify = fail_at_exit };
    static NotifierWithReturn postcopy = { .notify = refuse_postcopy };

    qemu_add_exit_notifier(&at_exit);
    postcopy_add_notifier(&postcopy);
    realm_importer_init(migration_lost);
}

static bool load_epoch(const RealmRecord *record, Error **errp)
{
    if (record->on_channels && !migrate_multifd()) {
        error_setg(errp, "realm section: %" PRIu64 " bundles of an epoch were "
                   "sent on channels, and this side has none; turn multifd on",
                   record->on_channels);
        return false;
    }
    if (!realm_importer_import_epoch(record->on_channels, record->size,
                                     errp)) {
        return false;
    }
    realm_counters_end_epoch();
    return true;
}

/* What was read to the importer's room */
static bool load_record(const RealmRecord *record, Error **errp)
{
    switch (record->type) {
    case REALM_RECORD_MEMORY:
        realm_importer_add_memory(record->stream, record->size);
        return true;
    case REALM_RECORD_EPOCH:
        return load_epoch(record, errp);
    default:
        return realm_importer_import_state(record->size, errp);
    }
}

static const char *record_name(RealmRecordType type)
{
    return type == REALM_RECORD_MEMORY ? "memory" :
           type == REALM_RECORD_EPOCH ? "epoch" : "state";
}

/* The records of one part of the section; some may still be imported after. */
static bool load_records(QEMUFile *f, Error **errp)
{
    RealmMigrationLimits limits;
    RealmRecord record;
    uint8_t *buf;

    realm_backend()->migration_limits(&limits);
    for (;;) {
        if (!realm_record_get(f, &limits, &record, errp)) {
            return false;
        }
        if (record.type == REALM_RECORD_END) {
            return true;
        }
        buf = realm_importer_room(errp);
        if (!buf) {
            return false;
        }
        if (qemu_get_buffer(f, buf, record.size) != record.size) {
            error_setg(errp, "realm section: the stream ends within a %s "
                       "record of %zu bytes", record_name(record.type),
                       record.size);
            return false;
        }
        if (!load_record(&record, errp)) {
            return false;
        }
    }
}

/* What came first fails first, so that its failure is the one that is told. */
static bool load_part(QEMUFile *f, Error **errp)
{
    Error *err = NULL;
    bool ok = load_records(f, &err);

    if (!realm_importer_wait(errp)) {
        error_free(err);
        return false;
    }
    error_propagate(errp, err);
    return ok;
}

/* Failures are for the main channel to tell (importer.c). */
bool realm_destination_load_packet(void *opaque, char *packet, size_t size,
                                   Error **errp)
{
    RealmMigrationLimits limits;
    RealmPacket header;
    Error *err = NULL;

    realm_backend()->migration_limits(&limits);
    if (realm_channel_get(packet, size, &limits, &header, &err)) {
        realm_importer_take(&header, packet + REALM_CHANNEL_HEADER_SIZE);
    } else {
        realm_importer_fail(err);
    }
    return true;
}

/* QEMU itself refuses versions above ours. */
static bool load_section(QEMUFile *f, int version_id, Error **errp)
{
    if (version_id != REALM_SECTION_VERSION) {
        error_setg(errp, "realm section: it has version %d, and version %d "
                   "can be loaded", version_id, REALM_SECTION_VERSION);
        return false;
    }
    return load_part(f, errp);
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
    realm_counters_reset(multifd_device_state_supported()
                         ? migrate_multifd_channels() : 0);
    realm_importer_begin();
    qemu_loadvm_start_load_thread(commit_at_end, NULL);
    return 0;
}

/* Called whatever part of the stream failed, also one that is not ours. */
int realm_destination_cleanup(void *opaque)
{
    realm_destination_fail();
    realm_importer_end();
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
