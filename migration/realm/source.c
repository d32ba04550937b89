/*
 * Live migration of Realms: the source half of the "realm" section
 *
 * Purpose: send rounds of dirty pages, then the Realm's state.  A round has the
 * steps of "One round" in docs/specs/realm-migration-stream.rst:
 *
 *     setup      session header and immutable state; steps 1 and 2
 *     iterate    step 3, up to the rate limit, or all of it if there is none:
 *                threads export (exporter.h)
 *     pending    step 5; steps 1 and 2 of the next round
 *     complete   pause; the rest of step 3, a last round; map and RECs
 *     (start.c)  start token, after all devices
 *     cleanup    receipt
 *
 * Invariants: from `cursor` on, `pages` has the pages of this round that are
 * yet to be exported.  A page is sent at most once in an epoch.  The exporter
 * is drained before a handler returns, so nothing is exported while a round
 * begins or an epoch ends, nor when the session is given up.  An epoch's frame
 * leaves before any bundle of the next epoch is exported.
 *
 * Lock rule: realm-migration.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/bitmap.h"
#include "qemu/error-report.h"
#include "qemu/lockable.h"
#include "qemu/main-loop.h"
#include "qemu/units.h"
#include "migration/migration.h"
#include "migration/migration-stats.h"
#include "migration/misc.h"
#include "migration/options.h"
#include "migration/realm.h"
#include "system/realm-events.h"
#include "system/realm-shared-ram.h"
#include "convergence.h"
#include "exporter.h"
#include "realm-migration.h"
#include "record.h"
#include "reply.h"
#include "trace.h"

/* How soon a limit counts that the user sets. */
#define MAX_PART (32 * MiB)

/* How long the migration thread may not see that a channel has failed. */
#define WAIT_MS 100

static struct {
    RealmExporter *exporter;
    unsigned long *pages;       /* bitmap: to be exported */
    uint64_t num_pages;         /* bits in it */
    uint64_t cursor;            /* where in the bitmap the round is */
    uint8_t *buf;               /* max_blob bytes */
    uint8_t *token;             /* epoch token that waits to be sent */
    size_t token_size;
    uint64_t on_channels;       /* bundles of its epoch */
} source;

/* About how many bytes of the stream a page takes. */
static uint64_t page_bytes(void)
{
    return realm_convergence_page_bytes();
}

/* Report @err (freed) as the reason why the migration fails. */
static int fail_migration(QEMUFile *f, Error *err)
{
    migrate_set_error(migrate_get_current(), err);
    qemu_file_set_error(f, -EINVAL);
    error_report_err(err);
    return -EINVAL;
}

int realm_source_prepare(void *opaque, Error **errp)
{
    realm_start_move_last();
    if (!realm_check_capabilities(errp)) {
        return -EINVAL;
    }
    if (!realm_phase_check(realm_backend()->phase(), REALM_STEP_BEGIN, errp)) {
        return -EINVAL;
    }
    if (!migrate_return_path()) {
        error_setg(errp, "Realm: the destination has to confirm what it "
                   "loaded; turn the capability return-path on");
        return -EINVAL;
    }
    return 0;
}

static void alloc_buffers(void)
{
    RealmMigrationLimits limits;

    realm_backend()->migration_limits(&limits);
    source.exporter = realm_exporter_new(&limits,
                                         multifd_device_state_supported());
    source.num_pages = realm_config()->ram_size / REALM_PAGE_SIZE;
    source.pages = bitmap_new(ROUND_UP(source.num_pages, 64));
    source.buf = g_malloc(limits.max_blob);
    source.token = g_malloc(limits.max_blob);
    source.token_size = 0;
    source.cursor = 0;
}

static void send_state_record(QEMUFile *f, size_t size)
{
    realm_record_put(f, &(RealmRecord) { .type = REALM_RECORD_STATE,
                                         .size = size }, source.buf);
    realm_counters_add_blob(size, 0);
}

/* The epoch is over; @size bytes of token, 0 behind the last round. */
static void send_epoch(QEMUFile *f, size_t size, uint64_t on_channels)
{
    realm_record_put(f, &(RealmRecord) { .type = REALM_RECORD_EPOCH,
                                         .size = size,
                                         .on_channels = on_channels },
                     source.token);
    realm_counters_add_blob(size, 0);
    realm_counters_end_epoch();
}

static void send_end(QEMUFile *f)
{
    realm_record_put(f, &(RealmRecord) { .type = REALM_RECORD_END }, NULL);
}

static bool start_round(Error **errp)
{
    uint64_t n;

    if (realm_backend()->collect_dirty(source.pages, errp) < 0) {
        return false;
    }
    source.cursor = 0;
    n = bitmap_count_one(source.pages, source.num_pages);
    realm_convergence_round(n);
    realm_counters_begin_round(n);
    trace_realm_source_round(n);
    return true;
}

int realm_source_setup(QEMUFile *f, void *opaque, Error **errp)
{
    ssize_t size;

    if (!realm_check_channel(f, errp)) {
        return -EPERM;
    }
    realm_counters_reset(multifd_device_state_supported()
                         ? migrate_multifd_channels() : 0);
    alloc_buffers();
    realm_shared_ram_watch();
    size = realm_backend()->export_begin(source.buf, errp);
    if (size < 0) {
        return -EINVAL;
    }
    send_state_record(f, size);
    if (!start_round(errp)) {
        return -EINVAL;
    }
    send_end(f);
    return 0;
}

/* The next pages of the round: one bundle, and no more than @max. */
static unsigned next_pages(uint64_t pages[REALM_EXPORTER_MAX_PAGES],
                           uint64_t max)
{
    const unsigned most = realm_exporter_max_pages(source.exporter);
    uint64_t page = source.cursor;
    unsigned n = 0;

    while (n < MIN(most, max)) {
        page = find_next_bit(source.pages, source.num_pages, page);
        if (page >= source.num_pages) {
            break;
        }
        pages[n++] = page++;
    }
    source.cursor = page;
    return n;
}

/* How many bytes a part may have: the rate limit holds, and its changes. */
static uint64_t allowance(void)
{
    const uint64_t max = migration_rate_get();
    const uint64_t used = migration_transferred_bytes() -
                          stat64_get(&mig_stats.rate_limit_start);

    return max == RATE_LIMIT_DISABLED ? MAX_PART
                                      : MIN(max - MIN(used, max), MAX_PART);
}

/*
 * Pages of the round, until more than @max bytes were sent.  What is under way
 * counts as well, or a low limit would be exceeded by it every time; and as if
 * it could not be compressed, which nobody knows yet.
 */
static bool send_pages(QEMUFile *f, uint64_t max, Error **errp)
{
    uint64_t pages[REALM_EXPORTER_MAX_PAGES];
    const uint64_t page = realm_convergence_max_page_bytes();
    uint64_t sent = 0;
    unsigned n;

    while (sent <= max &&
           (n = next_pages(pages, (max - sent) / page + 1))) {
        if (!realm_exporter_add(source.exporter, f, pages, n, errp)) {
            return false;
        }
        sent += n * page;
    }
    return realm_exporter_drain(source.exporter, f, errp);
}

static void send_token(QEMUFile *f)
{
    if (source.token_size) {
        send_epoch(f, source.token_size, source.on_channels);
        source.token_size = 0;
    }
}

/* Step 5 of this round, if a page left, and steps 1 and 2 of the next. */
static bool next_round(Error **errp)
{
    if (realm_exporter_bundles(source.exporter)) {
        ssize_t size = realm_backend()->export_epoch(source.token, errp);

        if (size < 0) {
            return false;
        }
        source.token_size = size;
        source.on_channels = realm_exporter_end_epoch(source.exporter);
    }
    return start_round(errp);
}

void realm_source_pending_estimate(void *opaque, uint64_t *must_precopy,
                                   uint64_t *can_postcopy)
{
    *must_precopy += realm_counters_remaining() * page_bytes();
}

void realm_source_pending_exact(void *opaque, uint64_t *must_precopy,
                                uint64_t *can_postcopy)
{
    Error *err = NULL;

    if (realm_backend()->phase() == REALM_PHASE_EXPORTING) {
        bql_lock();
        if (!next_round(&err)) {
            fail_migration(migrate_get_current()->to_dst_file, err);
        }
        bql_unlock();
    }
    *must_precopy += realm_counters_remaining() * page_bytes();
}

/* QEMU has the error of a broken stream already, also if it was cancelled. */
static int fail_sending(QEMUFile *f, Error *err)
{
    int ret = qemu_file_get_error(f);

    if (ret) {
        error_free(err);
        return ret;
    }
    return fail_migration(f, err);
}

/*
 * Without a limit a round goes as a whole.  Between parts QEMU would end the
 * migration as soon as the rest fits into the downtime that is allowed, and
 * only this round stands in the way of a shorter one.
 */
int realm_source_iterate(QEMUFile *f, void *opaque)
{
    Error *err = NULL;

    send_token(f);
    do {
        if (!send_pages(f, allowance(), &err)) {
            return fail_sending(f, err);
        }
    } while (source.cursor < source.num_pages &&
             migration_rate_get() == RATE_LIMIT_DISABLED);
    send_end(f);
    return realm_counters_remaining() == 0;
}

static bool send_round(QEMUFile *f, Error **errp)
{
    send_token(f);
    return send_pages(f, UINT64_MAX, errp);
}

/* No token follows that would say how many bundles have to come first. */
static void send_last_epoch(QEMUFile *f)
{
    uint64_t on_channels = realm_exporter_end_epoch(source.exporter);

    if (on_channels) {
        send_epoch(f, 0, on_channels);
    }
}

static bool send_state(QEMUFile *f, Error **errp)
{
    for (unsigned part = 0; ; part++) {
        ssize_t size = realm_backend()->export_state(part, source.buf, errp);

        if (size <= 0) {
            return size == 0;
        }
        send_state_record(f, size);
    }
}

/*
 * No vCPU runs any more.  Send what is left of this round, and then the last
 * round, which has all pages that were written since this one began.
 */
int realm_source_complete(QEMUFile *f, void *opaque)
{
    Error *err = NULL;

    if (!realm_backend()->pause(&err) || !send_round(f, &err) ||
        !next_round(&err) || !send_round(f, &err)) {
        return fail_sending(f, err);
    }
    send_last_epoch(f);
    if (!send_state(f, &err)) {
        return fail_migration(f, err);
    }
    send_end(f);
    return 0;
}

/*
 * After the start token only the destination can give the Realm back, and says
 * where it is.
 */
static void report_sealed(void)
{
    if (migrate_get_current()->state == MIGRATION_STATUS_COMPLETED) {
        warn_report("Realm: its migration is over, but no receipt of the "
                    "destination was taken, so its contents are still here; "
                    "end this machine if the destination is in phase 'here'");
        return;
    }
    error_report("Realm: its migration failed after the start token, so it "
                 "does not run here; use realm-migration-abort on the "
                 "destination, and realm-migration-resume with that token "
                 "here");
}

/* There is no caller who could be told of an error; a user can try again. */
static void give_up_session(void)
{
    Error *err = NULL;

    if (source.exporter) {
        realm_exporter_stop(source.exporter);
    }
    if (realm_phase_exports(realm_backend()->phase()) &&
        !realm_backend()->export_abort(&err)) {
        error_append_hint(&err, "Use realm-migration-prepare, or %scont, to "
                          "try again.\n",
                          realm_backend()->phase() == REALM_PHASE_PAUSED
                          ? "" : "stop and ");
        error_report_err(err);
    }
}

/* Until its pause the user may stop and continue a Realm that migrates. */
void realm_source_resume(void)
{
    if (realm_backend()->phase() == REALM_PHASE_PAUSED ||
        !migration_is_running()) {
        give_up_session();
    }
}

void realm_migration_cancel(void)
{
    Error *err = NULL;

    if (migration_is_running()) {
        error_setg(&err, "Realm: it was reset during its migration; begin "
                   "another one with realm-migration-prepare");
        migrate_set_error(migrate_get_current(), err);
        error_free(err);
        migration_cancel();
    }
}

/* With it, the Realm is at the destination for good; without, sealed here. */
static void take_receipt(void)
{
    uint8_t receipt[REALM_MAX_REPLY];
    size_t size = realm_reply_take(receipt);
    Error *err = NULL;

    realm_reply_expect(false);
    if (size && realm_backend()->phase() == REALM_PHASE_SEALED &&
        !realm_backend()->export_finish(receipt, size, &err)) {
        if (realm_backend()->phase() == REALM_PHASE_GONE) {
            error_append_hint(&err, "Not all of it is wiped here; end this "
                              "machine.\n");
        }
        warn_report_err(err);
    }
    if (realm_backend()->phase() == REALM_PHASE_GONE) {
        realm_end(REALM_END_REASON_MIGRATED);
    }
}

/* The main loop may already have taken the file away. */
static bool has_failed(MigrationState *s)
{
    QEMU_LOCK_GUARD(&s->qemu_file_lock);
    return migrate_has_error(s) || !s->to_dst_file ||
           qemu_file_get_error(s->to_dst_file);
}

bool realm_source_wait_for_channel(QemuSemaphore *sem)
{
    if (!realm_backend()) {
        return true;
    }
    while (qemu_sem_timedwait(sem, WAIT_MS)) {
        if (has_failed(migrate_get_current())) {
            return false;
        }
    }
    qemu_sem_post(sem);
    return true;
}

bool realm_source_failed_before_switchover(void)
{
    return realm_backend() &&
           migrate_get_current()->state == MIGRATION_STATUS_FAILED;
}

bool realm_source_is_busy(Error **errp)
{
    if (!realm_backend() || !migrate_get_current()->migration_thread_running) {
        return false;
    }
    error_setg(errp, "Realm: its last migration is still being cleaned up; try "
               "again");
    return true;
}

void realm_source_cleanup(void *opaque)
{
    take_receipt();
    if (realm_backend()->phase() == REALM_PHASE_SEALED) {
        report_sealed();
    }
    give_up_session();
    g_clear_pointer(&source.exporter, realm_exporter_free);
    g_clear_pointer(&source.pages, g_free);
    g_clear_pointer(&source.buf, g_free);
    g_clear_pointer(&source.token, g_free);
}
