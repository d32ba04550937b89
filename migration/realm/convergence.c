/*
 * Live migration of Realms: whether a migration comes to an end
 *
 * Purpose: see convergence.h.  The rules are those of the parameters in
 * qapi/migration.json, for all memory instead of the shared memory alone.
 *
 * Invariants: the throttle has two owners, ram.c and this file, and none of
 * them undoes what the other did.  In a period in which ram.c raised it, this
 * file does not.  QEMU itself ends it, however the migration ends.
 *
 * Lock rule: convergence.h; the BQL keeps ram.c from changing what both use.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/qapi-types-migration.h"
#include "migration/migration-stats.h"
#include "migration/options.h"
#include "qemu/timer.h"
#include "hw/core/cpu.h"
#include "system/cpu-throttle.h"
#include "convergence.h"
#include "realm-migration.h"
#include "trace.h"

/* What a shorter time shows may be chance. */
#define PERIOD_MS 1000

/* As in ram.c, one fast period alone is no reason to slow the guest down. */
#define FAST_PERIODS 2

/* An estimate is wrong by this factor at most. */
#define MAX_COMPACTION 16

/*
 * A figure of QEMU's that ram.c sets now and then, without private pages.  If
 * it counts pages, QEMU's for Arm have REALM_PAGE_SIZE, too.
 */
typedef struct SharedFigure {
    uint64_t shared;            /* what ram.c set */
    uint64_t all;               /* what we made of it */
} SharedFigure;

static struct {
    uint64_t page_bytes;

    /* The period: it ends with the first round after PERIOD_MS. */
    int64_t since;              /* ms */
    uint64_t sent;              /* bytes of the stream, when it began */
    uint64_t dirtied;           /* private bytes */
    int throttle;               /* percentage, when it began */
    unsigned fast;              /* such periods since it was raised */

    /* The round before */
    uint64_t blob_bytes, blob_pages;    /* sent until it began */

    SharedFigure rate, pending;
} convergence;

uint64_t realm_convergence_max_page_bytes(void)
{
    return REALM_PAGE_SIZE + (realm_config()->mte ? 129 : 0) + 8;
}

uint64_t realm_convergence_page_bytes(void)
{
    return convergence.page_bytes;
}

/*
 * A page takes as much as those of the round before.  But the first one had
 * all pages there are, which says nothing about those that the guest writes.
 */
static void measure_pages(const RealmMigrationStats *stats)
{
    uint64_t bytes = stats->bytes - convergence.blob_bytes;
    uint64_t pages = stats->private_pages - convergence.blob_pages;

    if (stats->rounds >= 2 && pages) {
        convergence.page_bytes = MIN(MAX(bytes / pages,
                                         REALM_PAGE_SIZE / MAX_COMPACTION),
                                     realm_convergence_max_page_bytes());
    }
    convergence.blob_bytes = stats->bytes;
    convergence.blob_pages = stats->private_pages;
}

static void add_private(SharedFigure *figure, Stat64 *stat, uint64_t private)
{
    uint64_t now = stat64_get(stat);

    if (now != figure->all) {
        figure->shared = now;
    }
    figure->all = figure->shared + private;
    stat64_set(stat, figure->all);
}

/* @dirtied is more than the @allowed bytes. */
static int next_throttle(int now, uint64_t dirtied, uint64_t allowed)
{
    uint64_t step = migrate_cpu_throttle_increment();

    if (!now) {
        return migrate_cpu_throttle_initial();
    }
    if (migrate_cpu_throttle_tailslow()) {
        /* No more than what leaves it just slow enough. */
        step = MIN(step, DIV_ROUND_UP((100 - now) * (dirtied - allowed),
                                      dirtied));
    }
    return MIN(now + step, migrate_max_cpu_throttle());
}

/* In the period the guest wrote @dirtied bytes, and @sent ones were sent. */
static void throttle(uint64_t dirtied, uint64_t sent)
{
    const int now = cpu_throttle_get_percentage();
    uint64_t allowed = sent * migrate_throttle_trigger_threshold() / 100;

    if (!migrate_auto_converge() || dirtied <= allowed) {
        return;
    }
    if (++convergence.fast < FAST_PERIODS) {
        return;
    }
    convergence.fast = 0;
    if (now == convergence.throttle) {
        cpu_throttle_set(next_throttle(now, dirtied, allowed));
        trace_realm_convergence_throttle(dirtied, sent,
                                         cpu_throttle_get_percentage());
    }
}

static void begin_period(int64_t now)
{
    convergence.since = now;
    convergence.sent = migration_transferred_bytes();
    convergence.dirtied = 0;
    convergence.throttle = cpu_throttle_get_percentage();
}

static void end_period(int64_t now)
{
    const uint64_t ms = now - convergence.since;
    const uint64_t private = convergence.dirtied;
    uint64_t shared;

    add_private(&convergence.rate, &mig_stats.dirty_pages_rate,
                private / REALM_PAGE_SIZE * 1000 / ms);
    shared = convergence.rate.shared * REALM_PAGE_SIZE * ms / 1000;
    throttle(private + shared,
             migration_transferred_bytes() - convergence.sent);
    begin_period(now);
}

/*
 * A vCPU is not slowed down while it is marked as asked to sleep.  Where a
 * migration ends between the question and the vCPU's answer, QEMU 10.0 leaves
 * the mark (cpu_throttle_thread), and no later migration could slow it down.
 */
static void forget_last_throttle(void)
{
    CPUState *cpu;

    CPU_FOREACH(cpu) {
        qatomic_set(&cpu->throttle_thread_scheduled, false);
    }
}

static void begin_migration(int64_t now)
{
    forget_last_throttle();
    memset(&convergence, 0, sizeof(convergence));
    convergence.page_bytes = realm_convergence_max_page_bytes();
    begin_period(now);
}

void realm_convergence_round(uint64_t pages)
{
    const int64_t now = qemu_clock_get_ms(QEMU_CLOCK_REALTIME);
    const uint64_t left = realm_counters_remaining();
    RealmMigrationStats stats = { 0 };

    realm_counters_get(&stats);
    if (stats.rounds == 0) {
        begin_migration(now);
    } else {
        measure_pages(&stats);
        convergence.dirtied += (pages - MIN(left, pages)) * REALM_PAGE_SIZE;
        if (now >= convergence.since + PERIOD_MS) {
            end_period(now);
        }
    }
    add_private(&convergence.pending, &mig_stats.dirty_bytes_last_sync,
                pages * convergence.page_bytes);
}
