/*
 * Are the translation tables of all Realms as the text says?
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "check-tables.h"
#include "granule.h"
#include "realm.h"
#include "rmm-internal.h"

#define PA 0x0003fffffffff000ull

/* Bits 58, 51 and 7: dirty state, of which PENDING and DBM come together. */
static bool ram_ok(uint64_t desc, int level, bool lpa2)
{
    uint64_t type = level == 3 ? 3 : 1;
    uint64_t want = (lpa2 ? 0x458 : 0x758) | type;
    bool pending = desc >> 58 & 1, dbm = desc >> 51 & 1;

    desc &= ~(PA | 1ull << 58 | 1ull << 51 | 1ull << 7);
    return level >= 1 && desc == want && (!pending || dbm);
}

static CheckedOwner check_invalid(uint64_t desc)
{
    unsigned ripas = desc >> 5 & 3, hipas = desc >> 2 & 7;
    uint64_t software = desc >> 55;

    if (ripas > 2 || (desc & ~PA & ((1ull << 55) - 1) & ~0x7cull)) {
        return OWNER_NONSENSE;
    }
    if (hipas == 0) {
        return software || (desc & PA) ? OWNER_NONSENSE : OWNER_NOBODY;
    }
    if (hipas != 1 || ripas == 1 || software != (ripas == 0 ? 1 << 1 : 0)) {
        return OWNER_NONSENSE;
    }
    return ripas == 0 ? OWNER_GAVE_UP : OWNER_NOBODY;
}

static CheckedOwner check_unprotected(uint64_t desc, int level, bool lpa2)
{
    uint64_t host = lpa2 ? PA | 0x3dc : (PA & ~(3ull << 48)) | 0xdc;
    /* AF, XN, NS and 2 in 57:56. */
    uint64_t ours = 1ull << 10 | 1ull << 54 | 1ull << 55 | 2ull << 56;
    uint64_t shareability = lpa2 ? 0 : (desc >> 2 & 7) >= 6 ? 0x300 : 0x200;

    if (desc == 1ull << 55) {
        return OWNER_NOBODY;
    }
    return level >= 1 && (desc >> 2 & 7) != 4 &&
           (desc & ~host) == (ours | shareability | (level == 3 ? 3 : 1))
           ? OWNER_HOST : OWNER_NONSENSE;
}

CheckedOwner check_leaf(uint64_t desc, int level, bool unprotected, bool lpa2)
{
    if (unprotected) {
        return check_unprotected(desc, level, lpa2);
    }
    if (desc & 1) {
        return ram_ok(desc, level, lpa2) ? OWNER_REALM : OWNER_NONSENSE;
    }
    return check_invalid(desc);
}

typedef struct Check {
    RmmRealm *realm;
    GHashTable *seen;           /* PAs of granules */
} Check;

/* The granules of @bytes at @pa are in @state, and were not seen before. */
static void check_granules(Check *c, uint64_t pa, uint64_t bytes,
                           GranuleState state)
{
    uint64_t end = pa + bytes;

    g_assert_cmphex(pa % bytes, ==, 0);
    for (; pa < end; pa += RMM_GRANULE_SIZE) {
        g_assert_cmpint(granule_state(c->realm->rmm, pa), ==, state);
        g_assert_true(g_hash_table_add(c->seen,
                                       GSIZE_TO_POINTER((gsize)pa)));
    }
}

static void check_table(Check *c, uint64_t table, int level, uint64_t ipa)
{
    const uint64_t *entry = granule_map(c->realm->rmm, table);
    uint64_t bytes = 4096ull << 9 * (3 - level);
    unsigned i;

    check_granules(c, table, RMM_GRANULE_SIZE, GRANULE_RTT);
    for (i = 0; i < 512; i++, ipa += bytes) {
        bool unprotected = ipa >> (c->realm->ipa_bits - 1);
        CheckedOwner owner;

        if (level < 3 && (entry[i] & 3) == 3) {
            g_assert_cmphex(entry[i] & ~PA, ==, 3);
            check_table(c, entry[i] & PA, level + 1, ipa);
            continue;
        }
        owner = check_leaf(entry[i], level, unprotected,
                           c->realm->flags & RMI_REALM_LPA2);
        g_assert_cmpint(owner, !=, OWNER_NONSENSE);
        if (!unprotected && (entry[i] & PA)) {
            check_granules(c, entry[i] & PA, bytes, GRANULE_DATA);
        }
    }
}

void check_tables(Rmm *rmm)
{
    GHashTable *seen = g_hash_table_new(NULL, NULL);
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, rmm->realms);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        Check c = { .realm = value, .seen = seen };
        int level = c.realm->rtt_level_start;
        uint64_t bytes = 4096ull << 9 * (4 - level);
        unsigned i;

        for (i = 0; i < c.realm->rtt_num_start; i++) {
            check_table(&c, c.realm->rtt_base + i * RMM_GRANULE_SIZE, level,
                        i * bytes);
        }
    }
    g_hash_table_destroy(seen);
}
