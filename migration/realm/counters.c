/*
 * Live migration of Realms: how far a migration is
 *
 * Purpose: the one owner of what query-realm-migration tells beside the phase.
 *
 * Invariants: while a source exports, `remaining` is what is left of its round.
 *
 * Lock rule: atomic; a round is begun while nothing is exported.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/stats64.h"
#include "realm-migration.h"

static struct {
    Stat64 bundles, bytes, pages, rounds, epochs;
    Stat64 remaining, total;    /* pages */
    Stat64 channels;
} counters;

void realm_counters_reset(unsigned channels)
{
    stat64_set(&counters.bundles, 0);
    stat64_set(&counters.bytes, 0);
    stat64_set(&counters.pages, 0);
    stat64_set(&counters.rounds, 0);
    stat64_set(&counters.epochs, 0);
    stat64_set(&counters.channels, channels);
    stat64_set(&counters.remaining, 0);
    stat64_set(&counters.total, 0);
}

void realm_counters_add_blob(size_t size, unsigned pages)
{
    stat64_add(&counters.bundles, 1);
    stat64_add(&counters.bytes, size);
    stat64_add(&counters.pages, pages);
}

void realm_counters_begin_round(uint64_t pages)
{
    stat64_set(&counters.remaining, pages);
    if (stat64_get(&counters.rounds) == 0) {
        stat64_set(&counters.total, pages);
    }
    stat64_add(&counters.rounds, 1);
}

void realm_counters_end_epoch(void)
{
    stat64_add(&counters.epochs, 1);
}

void realm_counters_exported(unsigned pages)
{
    stat64_add(&counters.remaining, -(uint64_t)pages);
}

uint64_t realm_counters_remaining(void)
{
    return stat64_get(&counters.remaining);
}

void realm_counters_get(RealmMigrationStats *stats)
{
    stats->private_pages = stat64_get(&counters.pages);
    stats->tag_pages = realm_config()->mte ? stats->private_pages : 0;
    stats->bundles = stat64_get(&counters.bundles);
    stats->bytes = stat64_get(&counters.bytes);
    stats->rounds = stat64_get(&counters.rounds);
    stats->epochs = stat64_get(&counters.epochs);
    stats->channels = stat64_get(&counters.channels);
    stats->remaining = stat64_get(&counters.remaining) * REALM_PAGE_SIZE;
    stats->total = stat64_get(&counters.total) * REALM_PAGE_SIZE;
}
