/*
 * Live migration of Realms: the source half of the "realm" section
 *
 * Purpose: send rounds of dirty pages, then the Realm's state.  A round has the
 * steps of "One round" in docs/specs/realm-migration-stream.rst:
 *
 *     setup      session header and immutable state; steps 1 and 2
 *     iterate    step 3, up to the rate limit
 *     pending    step 5; steps 1 and 2 of the next round
 *     complete   pause; the rest of step 3, a last round; map and RECs
 *     (start.c)  start token, after all devices
 *     cleanup    receipt
 *
 * Invariants: from `cursor` on, `pages` has the pages of this round that are
 * yet to be exported.  A page is sent at most once in an epoch.
 *
 * Lock rule: realm-migration.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/bitmap.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "migration/migration.h"
#include "migration/misc.h"
#include "migration/options.h"
#include "convergence.h"
#include "realm-migration.h"
#include "record.h"
#include "reply.h"
#include "trace.h"

static struct {
    bool epoch_due;             /* pages were sent since the last token */
    RealmMigrationLimits limits;
    unsigned long *pages;       /* bitmap: to be exported */
    uint64_t num_pages;         /* bits in it */
    uint64_t cursor;            /* where in the bitmap the round is */
    uint8_t *buf;               /* limits.max_blob bytes */
    uint8_t *token;             /* epoch token that waits to be sent */
    size_t token_size;
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
    if (realm_backend()->phase() != REALM_PHASE_ACCEPTED) {
        error_setg(errp, "Realm: no destination was accepted; give "
                   "realm-migration-accept the offer that "
                   "realm-migration-offer makes on the destination");
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
    realm_backend()->migration_limits(&source.limits);
    source.num_pages = realm_config()->ram_size / REALM_PAGE_SIZE;
    source.pages = bitmap_new(ROUND_UP(source.num_pages, 64));
    source.buf = g_malloc(source.limits.max_blob);
    source.token = g_malloc(source.limits.max_blob);
    source.token_size = 0;
    source.cursor = 0;
    source.epoch_due = false;
}

static void send_blob(QEMUFile *f, RealmRecordType type, size_t size,
                      unsigned pages)
{
    realm_record_put(f, &(RealmRecord) { .type = type, .size = size },
                     source.buf);
    realm_counters_add_blob(size, pages);
}

static void send_end(QEMUFile *f)
{
    realm_record_put(f, &(RealmRecord) { .type = REALM_RECORD_END }, NULL);
}

static bool start_round(Error **errp)
{
    int64_t n = realm_backend()->collect_dirty(source.pages, errp);

    if (n < 0) {
        return false;
    }
    source.cursor = 0;
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
    realm_counters_reset();
    alloc_buffers();
    size = realm_backend()->export_begin(source.buf, errp);
    if (size < 0) {
        return -EINVAL;
    }
    send_blob(f, REALM_RECORD_STATE, size, 0);
    if (!start_round(errp)) {
        return -EINVAL;
    }
    send_end(f);
    return 0;
}

/*
 * The next pages of the round, at most limits.max_pages.  The bitmap ends the
 * round, whatever the backend's count was.
 */
static unsigned next_pages(uint64_t *pages)
{
    const uint64_t remaining = realm_counters_remaining();
    uint64_t page = source.cursor;
    unsigned n = 0;

    while (n < source.limits.max_pages) {
        page = find_next_bit(source.pages, source.num_pages, page);
        if (page >= source.num_pages) {
            break;
        }
        pages[n++] = page++;
    }
    source.cursor = page;
    realm_counters_set_remaining(page < source.num_pages && remaining > n
                                 ? remaining - n : 0);
    return n;
}

/* One memory bundle; false on failure. */
static bool send_memory(QEMUFile *f, Error **errp)
{
    g_autofree uint64_t *pages = g_new(uint64_t, source.limits.max_pages);
    unsigned n = next_pages(pages), exported = 0;
    ssize_t size;

    if (!n) {
        return true;
    }
    size = realm_backend()->export_memory(0, pages, n, source.buf, &exported,
                                          errp);
    trace_realm_source_memory(n, exported, size);
    if (size > 0) {
        send_blob(f, REALM_RECORD_MEMORY, size, exported);
        source.epoch_due = true;
    }
    return size >= 0;
}

static void send_token(QEMUFile *f)
{
    if (source.token_size) {
        realm_record_put(f, &(RealmRecord) { .type = REALM_RECORD_EPOCH,
                                             .size = source.token_size },
                         source.token);
        realm_counters_add_blob(source.token_size, 0);
        source.token_size = 0;
    }
}

/* Step 5 of this round, if a page left, and steps 1 and 2 of the next. */
static bool next_round(Error **errp)
{
    if (source.epoch_due) {
        ssize_t size = realm_backend()->export_epoch(source.token, errp);

        if (size < 0) {
            return false;
        }
        source.token_size = size;
        source.epoch_due = false;
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

int realm_source_iterate(QEMUFile *f, void *opaque)
{
    Error *err = NULL;

    send_token(f);
    while (realm_counters_remaining() && !migration_rate_exceeded(f)) {
        if (!send_memory(f, &err)) {
            return fail_migration(f, err);
        }
        if (qemu_file_get_error(f)) {
            return qemu_file_get_error(f);
        }
    }
    send_end(f);
    return realm_counters_remaining() == 0;
}

static bool send_round(QEMUFile *f, Error **errp)
{
    send_token(f);
    while (realm_counters_remaining()) {
        if (!send_memory(f, errp)) {
            return false;
        }
    }
    return true;
}

static bool send_state(QEMUFile *f, Error **errp)
{
    for (unsigned part = 0; ; part++) {
        ssize_t size = realm_backend()->export_state(part, source.buf, errp);

        if (size <= 0) {
            return size == 0;
        }
        send_blob(f, REALM_RECORD_STATE, size, 0);
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
        !next_round(&err) || !send_round(f, &err) || !send_state(f, &err)) {
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
}

void realm_source_cleanup(void *opaque)
{
    take_receipt();
    if (realm_backend()->phase() == REALM_PHASE_SEALED) {
        report_sealed();
    }
    give_up_session();
    g_clear_pointer(&source.pages, g_free);
    g_clear_pointer(&source.buf, g_free);
    g_clear_pointer(&source.token, g_free);
}
