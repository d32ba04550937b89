/*
 * Translation tables: what the calls on them do, and their descriptors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include "check-tables.h"
#include "fake-machine.h"
#include "granule.h"
#include "rtt-desc.h"
#include "snapshot.h"

#define RTT_ERROR(level) RMI_RESULT(RMI_ERROR_RTT, level)
#define MIB 0x100000ull
#define UNPROTECTED (1ull << 32)        /* of a Realm with 33 bits */
#define EMPTIED (1ull << 56)            /* ownership, in bits 57:56 */
#define LENT    (2ull << 56)

typedef struct Fixture {
    FakeMachine *m;
    FakeRealm r;
} Fixture;

static void set_up(Fixture *f, gconstpointer data)
{
    f->m = fake_machine_new(1200);
    f->r = fake_realm_new(f->m);
}

static void tear_down(Fixture *f, gconstpointer data)
{
    fake_machine_free(f->m);
}

#define CALL(f, fid, ...) fake_call((f)->m, fid, (f)->r.rd, __VA_ARGS__)
#define X(f, n) ((f)->m->pe.x[n])

#define assert_entry(f, ipa, want_level, want_state, want_desc, want_ripas) \
    do {                                                                    \
        g_assert_cmphex(CALL(f, RMI_RTT_READ_ENTRY, ipa, 3), ==, 0);        \
        g_assert_cmphex(X(f, 1), ==, (uint64_t)(want_level));               \
        g_assert_cmphex(X(f, 2), ==, (uint64_t)(want_state));               \
        g_assert_cmphex(X(f, 3), ==, (uint64_t)(want_desc));                \
        g_assert_cmphex(X(f, 4), ==, (uint64_t)(want_ripas));               \
    } while (0)

/* The descriptor of the entry for @ipa at the level where a walk ends. */
static uint64_t descriptor(Fixture *f, uint64_t ipa)
{
    RttWalk walk;

    rtt_walk(fake_realm_object(f->m, &f->r), ipa, RTT_PAGE_LEVEL, &walk);
    return walk.desc;
}

static void tables_are_made_from_the_top(Fixture *f, gconstpointer data)
{
    uint64_t l2 = fake_granule(f->m), l3 = fake_granule(f->m);

    fake_refused(f->m, CALL(f, RMI_RTT_CREATE, l3, 0, 3), RTT_ERROR(1));
    g_assert_cmphex(CALL(f, RMI_RTT_CREATE, l2, 0, 2), ==, RMI_SUCCESS);
    fake_refused(f->m, CALL(f, RMI_RTT_CREATE, l3, 0, 2), RTT_ERROR(1));
    g_assert_cmphex(CALL(f, RMI_RTT_CREATE, l3, 0, 3), ==, RMI_SUCCESS);
    g_assert_cmpint(granule_state(f->m->rmm, l3), ==, GRANULE_RTT);
    g_assert_cmphex(*(uint64_t *)fake_host(f->m, f->r.tables), ==, l2 | 3);
    g_assert_cmphex(CALL(f, RMI_RTT_READ_ENTRY, 0, 2), ==, RMI_SUCCESS);
    g_assert_cmphex(X(f, 1), ==, 2);
    g_assert_cmphex(X(f, 2), ==, RMI_TABLE);
    g_assert_cmphex(X(f, 3), ==, l3);
}

static void table_calls_check_their_arguments(Fixture *f, gconstpointer data)
{
    static const struct {
        uint64_t ipa, level;
    } bad[] = {
        { 0, 0 }, { 0, 1 }, { 0, 4 }, { 0, ~0ull }, { 0, 1ull << 32 | 2 },
        { 0x1000, 2 }, { 0x1000, 3 }, { 2 * MIB, 2 }, { 1ull << 33, 2 },
        { ~0ull << 30, 2 },
    };
    uint64_t l2 = fake_granule(f->m), ns = fake_granule_ns(f->m);
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(bad); i++) {
        fake_refused(f->m, CALL(f, RMI_RTT_CREATE, l2, bad[i].ipa,
                                bad[i].level), RMI_ERROR_INPUT);
        fake_refused(f->m, CALL(f, RMI_RTT_DESTROY, bad[i].ipa,
                                bad[i].level), RMI_ERROR_INPUT);
        g_assert_cmphex(X(f, 2), ==, 0);
        fake_refused(f->m, CALL(f, RMI_RTT_FOLD, bad[i].ipa, bad[i].level),
                     RMI_ERROR_INPUT);
    }
    fake_refused(f->m, CALL(f, RMI_RTT_CREATE, ns, 0, 2), RMI_ERROR_INPUT);
    fake_refused(f->m, CALL(f, RMI_RTT_CREATE, f->r.rd, 0, 2),
                 RMI_ERROR_INPUT);
    fake_refused(f->m, CALL(f, RMI_RTT_CREATE, l2 + 8, 0, 2),
                 RMI_ERROR_INPUT);
    fake_refused(f->m, CALL(f, RMI_RTT_READ_ENTRY, 0, 0), RMI_ERROR_INPUT);
    fake_refused(f->m, CALL(f, RMI_RTT_READ_ENTRY, 0, 4), RMI_ERROR_INPUT);
    fake_refused(f->m, CALL(f, RMI_RTT_READ_ENTRY, 0x1000, 2),
                 RMI_ERROR_INPUT);
    fake_refused(f->m, CALL(f, RMI_RTT_READ_ENTRY, 1ull << 33, 3),
                 RMI_ERROR_INPUT);
}

static void every_call_needs_a_realm(Fixture *f, gconstpointer data)
{
    static const uint64_t fids[] = {
        RMI_DATA_CREATE_UNKNOWN, RMI_DATA_DESTROY, RMI_RTT_CREATE,
        RMI_RTT_DESTROY, RMI_RTT_FOLD, RMI_RTT_READ_ENTRY,
        RMI_RTT_MAP_UNPROTECTED, RMI_RTT_UNMAP_UNPROTECTED,
        RMI_RTT_INIT_RIPAS, RMI_RTT_SET_RIPAS, RMI_DATA_CREATE,
    };
    uint64_t bad[] = { f->r.tables, f->r.rd + 8, 0, fake_granule(f->m) };
    size_t i, j;

    for (i = 0; i < G_N_ELEMENTS(fids); i++) {
        for (j = 0; j < G_N_ELEMENTS(bad); j++) {
            fake_refused(f->m, fake_call(f->m, fids[i], bad[j], 0, 0x1000,
                                         FAKE_NS_SRC, 0), RMI_ERROR_INPUT);
        }
    }
}

static void destroying_a_table_leaves_destroyed(Fixture *f,
                                                gconstpointer data)
{
    uint64_t l3;

    fake_tables(f->m, &f->r, 0);
    fake_tables(f->m, &f->r, 4 * MIB);
    fake_ram(f->m, &f->r, 0, 0x2000);
    CALL(f, RMI_RTT_READ_ENTRY, 0, 2);
    l3 = X(f, 3);
    g_assert_cmphex(CALL(f, RMI_RTT_DESTROY, 0, 3), ==, RMI_SUCCESS);
    g_assert_cmphex(X(f, 1), ==, l3);
    g_assert_cmphex(X(f, 2), ==, 4 * MIB);      /* the next live entry */
    g_assert_cmpint(granule_state(f->m->rmm, l3), ==, GRANULE_DELEGATED);
    assert_entry(f, 0x1000ull, 2, RMI_UNASSIGNED, 0, RMI_RIPAS_DESTROYED);
    g_assert_cmphex(descriptor(f, 0), ==, 0x40);
    /* Where there is no table: the level reached, and what is skipped. */
    fake_refused(f->m, CALL(f, RMI_RTT_DESTROY, 2 * MIB, 3), RTT_ERROR(2));
    g_assert_cmphex(X(f, 2), ==, 4 * MIB);
    fake_refused(f->m, CALL(f, RMI_RTT_DESTROY, 6 * MIB, 3), RTT_ERROR(2));
    g_assert_cmphex(X(f, 2), ==, 1ull << 30);
    fake_refused(f->m, CALL(f, RMI_RTT_DESTROY, 1ull << 30, 3),
                 RTT_ERROR(1));
    /* Live: an entry below it. */
    fake_refused(f->m, CALL(f, RMI_RTT_DESTROY, 0, 2), RTT_ERROR(2));
    g_assert_cmphex(X(f, 2), ==, 0);
}

static void unfolding_copies_what_the_entry_said(Fixture *f,
                                                 gconstpointer data)
{
    fake_tables(f->m, &f->r, 0);
    /* [2 MiB, 4 MiB) RAM as one entry, then as a table. */
    g_assert_cmphex(CALL(f, RMI_RTT_INIT_RIPAS, 2 * MIB, 4 * MIB), ==, 0);
    assert_entry(f, 2 * MIB, 2, RMI_UNASSIGNED, 0, RMI_RIPAS_RAM);
    g_assert_cmphex(CALL(f, RMI_RTT_CREATE, fake_granule(f->m), 2 * MIB, 3),
                    ==, RMI_SUCCESS);
    assert_entry(f, 4 * MIB - 0x1000, 3, RMI_UNASSIGNED, 0, RMI_RIPAS_RAM);
    g_assert_cmphex(CALL(f, RMI_RTT_FOLD, 2 * MIB, 3), ==, RMI_SUCCESS);
    assert_entry(f, 4 * MIB - 0x1000, 2, RMI_UNASSIGNED, 0, RMI_RIPAS_RAM);
}

static void what_differs_is_not_folded(Fixture *f, gconstpointer data)
{
    fake_tables(f->m, &f->r, 0);
    fake_ram(f->m, &f->r, 0x1000, 0x2000);
    fake_refused(f->m, CALL(f, RMI_RTT_FOLD, 0, 3), RTT_ERROR(3));
    fake_refused(f->m, CALL(f, RMI_RTT_FOLD, 2 * MIB, 3), RTT_ERROR(2));
    fake_refused(f->m, CALL(f, RMI_RTT_FOLD, 0, 2), RTT_ERROR(2));
}

/* A table of pages that follow each other, at [2 MiB, 4 MiB). */
static uint64_t table_of_pages(Fixture *f, uint64_t *l3)
{
    uint64_t pa = fake_granules(f->m, RTT_ENTRIES);
    unsigned i;

    fake_tables(f->m, &f->r, 0);
    *l3 = fake_granule(f->m);
    CALL(f, RMI_RTT_INIT_RIPAS, 2 * MIB, 4 * MIB);
    g_assert_cmphex(CALL(f, RMI_RTT_CREATE, *l3, 2 * MIB, 3), ==, 0);
    for (i = 0; i < RTT_ENTRIES; i++) {
        g_assert_cmphex(CALL(f, RMI_DATA_CREATE_UNKNOWN, pa + i * 0x1000ull,
                             2 * MIB + i * 0x1000ull), ==, RMI_SUCCESS);
    }
    return pa;
}

static void pages_fold_to_a_dirty_block_and_back(Fixture *f,
                                                 gconstpointer data)
{
    RmmRealm *realm = fake_realm_object(f->m, &f->r);
    uint64_t l3, pa = table_of_pages(f, &l3);

    /* Some pages are clean: that does not make them different. */
    rtt_collect_dirty(realm, 2 * MIB, 3 * MIB, NULL, NULL, NULL);
    g_assert_false(rtt_has_blocks(realm));
    g_assert_cmphex(CALL(f, RMI_RTT_FOLD, 2 * MIB, 3), ==, RMI_SUCCESS);
    g_assert_cmphex(X(f, 1), ==, l3);
    g_assert_cmphex(descriptor(f, 3 * MIB), ==, pa | 0x7d9);
    assert_entry(f, 3 * MIB, 2, RMI_ASSIGNED, pa, RMI_RIPAS_RAM);
    g_assert_true(rtt_has_blocks(realm));
    g_assert_cmpuint(rtt_count_assigned(realm), ==, RTT_ENTRIES);
    fake_refused(f->m, CALL(f, RMI_DATA_DESTROY, 2 * MIB), RTT_ERROR(2));
    g_assert_cmphex(CALL(f, RMI_RTT_CREATE, l3, 2 * MIB, 3), ==, RMI_SUCCESS);
    g_assert_cmphex(descriptor(f, 3 * MIB), ==, (pa + MIB) | 0x7db);
    g_assert_false(rtt_has_blocks(realm));
}

static void pages_are_not_folded_under_a_session(Fixture *f,
                                                 gconstpointer data)
{
    RmmRealm *realm = fake_realm_object(f->m, &f->r);
    uint64_t l3;

    table_of_pages(f, &l3);
    realm->state = REALM_EXPORT;
    fake_refused(f->m, CALL(f, RMI_RTT_FOLD, 2 * MIB, 3), RTT_ERROR(3));
    realm->state = REALM_NEW;
}

static void pages_have_the_descriptors_of_tf_rmm(Fixture *f,
                                                 gconstpointer data)
{
    uint64_t pa;

    fake_tables(f->m, &f->r, 0);
    g_assert_cmphex(descriptor(f, 0), ==, 0);
    fake_ram(f->m, &f->r, 0, 0x1000);
    g_assert_cmphex(descriptor(f, 0), ==, 0x20);
    pa = fake_data_unknown(f->m, &f->r, 0, 1);
    g_assert_cmphex(descriptor(f, 0), ==, pa | 0x7db);
    assert_entry(f, 0ull, 3, RMI_ASSIGNED, pa, RMI_RIPAS_RAM);
    pa = fake_data_unknown(f->m, &f->r, 0x1000, 1);
    g_assert_cmphex(descriptor(f, 0x1000), ==, pa | 0x4 | EMPTIED);
    assert_entry(f, 0x1000ull, 3, RMI_ASSIGNED, pa, RMI_RIPAS_EMPTY);
    CALL(f, RMI_DATA_DESTROY, 0);
    pa = fake_data_unknown(f->m, &f->r, 0, 1);
    g_assert_cmphex(descriptor(f, 0), ==, pa | 0x44);
    assert_entry(f, 0ull, 3, RMI_ASSIGNED, pa, RMI_RIPAS_DESTROYED);
}

static void dirty_state_is_not_shown_to_the_host(Fixture *f,
                                                 gconstpointer data)
{
    uint64_t pa;

    fake_ram(f->m, &f->r, 0, 0x1000);
    pa = fake_data_unknown(f->m, &f->r, 0, 1);
    rtt_collect_dirty(fake_realm_object(f->m, &f->r), 0, 0x1000, NULL, NULL,
                      NULL);
    assert_entry(f, 0ull, 3, RMI_ASSIGNED, pa, RMI_RIPAS_RAM);
}

static void data_is_copied_and_becomes_ram(Fixture *f, gconstpointer data)
{
    fake_tables(f->m, &f->r, 0);
    fake_data(f->m, &f->r, 0x1000, 1, 0x5a);
    g_assert_cmphex(CALL(f, RMI_RTT_READ_ENTRY, 0x1000, 3), ==, 0);
    g_assert_cmphex(X(f, 4), ==, RMI_RIPAS_RAM);
    g_assert_cmphex(*(uint64_t *)fake_host(f->m, X(f, 3)), ==,
                    0x5a5a5a5a5a5a5a5aull);
}

static void data_calls_check_their_arguments(Fixture *f, gconstpointer data)
{
    uint64_t pa = fake_granule(f->m), ns = fake_granule_ns(f->m);

    fake_refused(f->m, CALL(f, RMI_DATA_CREATE_UNKNOWN, pa, 0),
                 RTT_ERROR(1));
    fake_tables(f->m, &f->r, 0);
    fake_refused(f->m, CALL(f, RMI_DATA_CREATE_UNKNOWN, pa, 2 * MIB),
                 RTT_ERROR(2));
    fake_refused(f->m, CALL(f, RMI_DATA_CREATE_UNKNOWN, ns, 0),
                 RMI_ERROR_INPUT);
    fake_refused(f->m, CALL(f, RMI_DATA_CREATE_UNKNOWN, f->r.rd, 0),
                 RMI_ERROR_INPUT);
    fake_refused(f->m, CALL(f, RMI_DATA_CREATE_UNKNOWN, pa, 0x800),
                 RMI_ERROR_INPUT);
    fake_refused(f->m, CALL(f, RMI_DATA_CREATE_UNKNOWN, pa, UNPROTECTED),
                 RMI_ERROR_INPUT);
    fake_refused(f->m, CALL(f, RMI_DATA_CREATE, pa, 0, pa, 0),
                 RMI_ERROR_INPUT);
    fake_refused(f->m, CALL(f, RMI_DATA_CREATE, pa, 0, FAKE_NS_SRC + 8, 0),
                 RMI_ERROR_INPUT);
    fake_refused(f->m, CALL(f, RMI_DATA_CREATE, pa, 2 * MIB, FAKE_NS_SRC, 1),
                 RTT_ERROR(2));
    fake_data_unknown(f->m, &f->r, 0, 1);
    fake_refused(f->m, CALL(f, RMI_DATA_CREATE_UNKNOWN, pa, 0),
                 RTT_ERROR(3));
    fake_refused(f->m, CALL(f, RMI_DATA_DESTROY, 0x800), RMI_ERROR_INPUT);
    fake_refused(f->m, CALL(f, RMI_DATA_DESTROY, UNPROTECTED),
                 RMI_ERROR_INPUT);
    fake_call(f->m, RMI_REALM_ACTIVATE, f->r.rd);
    fake_refused(f->m, CALL(f, RMI_DATA_CREATE, pa, 0x1000, FAKE_NS_SRC, 0),
                 RMI_ERROR_REALM);
    fake_refused(f->m, CALL(f, RMI_RTT_INIT_RIPAS, 0, 0x1000),
                 RMI_ERROR_REALM);
}

static void taking_a_page_away_destroys_ram_only(Fixture *f,
                                                 gconstpointer data)
{
    uint64_t pa;

    fake_ram(f->m, &f->r, 0, 0x1000);
    pa = fake_data_unknown(f->m, &f->r, 0, 1);
    fake_data_unknown(f->m, &f->r, 0x1000, 1);
    g_assert_cmphex(CALL(f, RMI_DATA_DESTROY, 0), ==, RMI_SUCCESS);
    g_assert_cmphex(X(f, 1), ==, pa);
    g_assert_cmphex(X(f, 2), ==, 0x1000);
    assert_entry(f, 0ull, 3, RMI_UNASSIGNED, 0, RMI_RIPAS_DESTROYED);
    g_assert_cmphex(CALL(f, RMI_DATA_DESTROY, 0x1000), ==, RMI_SUCCESS);
    g_assert_cmphex(X(f, 2), ==, 2 * MIB);
    assert_entry(f, 0x1000ull, 3, RMI_UNASSIGNED, 0, RMI_RIPAS_EMPTY);
    fake_data_unknown(f->m, &f->r, 0x3000, 1);
    fake_refused(f->m, CALL(f, RMI_DATA_DESTROY, 0), RTT_ERROR(3));
    g_assert_cmphex(X(f, 1), ==, 0);
    g_assert_cmphex(X(f, 2), ==, 0x3000);
    fake_refused(f->m, CALL(f, RMI_DATA_DESTROY, 4 * MIB), RTT_ERROR(2));
    g_assert_cmphex(X(f, 2), ==, 1ull << 30);
}

/*
 * RMM 1.0, tables B4.3.3.1.3, B4.3.16.1.3 and B4.3.22.1.3, and TF-RMM: a host
 * that goes on from `top` never goes back.
 */
static void top_inside_a_live_block_is_the_ipa(Fixture *f, gconstpointer data)
{
    uint64_t ns = UNPROTECTED + (1ull << 30), attr = 6 << 2 | 3 << 6, l3;

    table_of_pages(f, &l3);
    g_assert_cmphex(CALL(f, RMI_RTT_FOLD, 2 * MIB, 3), ==, RMI_SUCCESS);
    fake_refused(f->m, CALL(f, RMI_DATA_DESTROY, 2 * MIB + 0x5000),
                 RTT_ERROR(2));
    g_assert_cmphex(X(f, 2), ==, 2 * MIB + 0x5000);

    g_assert_cmphex(CALL(f, RMI_RTT_MAP_UNPROTECTED, ns, 1,
                         0x40000000 | attr), ==, RMI_SUCCESS);
    fake_refused(f->m, CALL(f, RMI_RTT_UNMAP_UNPROTECTED, ns + 0x1000, 3),
                 RTT_ERROR(1));
    g_assert_cmphex(X(f, 1), ==, ns + 0x1000);
    fake_refused(f->m, CALL(f, RMI_RTT_UNMAP_UNPROTECTED, ns + 4 * MIB, 2),
                 RTT_ERROR(1));
    g_assert_cmphex(X(f, 1), ==, ns + 4 * MIB);
    fake_refused(f->m, CALL(f, RMI_RTT_DESTROY, ns + 2 * MIB, 3),
                 RTT_ERROR(1));
    g_assert_cmphex(X(f, 2), ==, ns + 2 * MIB);
    fake_refused(f->m, CALL(f, RMI_RTT_UNMAP_UNPROTECTED,
                            UNPROTECTED + 0x1000, 3), RTT_ERROR(1));
    g_assert_cmphex(X(f, 1), ==, ns);           /* not live: the next one */
}

static void init_ripas_stays_in_one_table(Fixture *f, gconstpointer data)
{
    fake_tables(f->m, &f->r, 0);
    fake_refused(f->m, CALL(f, RMI_RTT_INIT_RIPAS, 2 * MIB,
                            2 * MIB + 0x1000), RTT_ERROR(2));
    fake_refused(f->m, CALL(f, RMI_RTT_INIT_RIPAS, 2 * MIB + 0x1000,
                            4 * MIB), RTT_ERROR(2));
    fake_refused(f->m, CALL(f, RMI_RTT_INIT_RIPAS, 0x1000, 0x1000),
                 RMI_ERROR_INPUT);
    fake_refused(f->m, CALL(f, RMI_RTT_INIT_RIPAS, 0x800, 0x2000),
                 RMI_ERROR_INPUT);
    fake_refused(f->m, CALL(f, RMI_RTT_INIT_RIPAS, 0,
                            UNPROTECTED + 0x1000), RMI_ERROR_INPUT);
    g_assert_cmphex(CALL(f, RMI_RTT_INIT_RIPAS, 2 * MIB, 6 * MIB), ==, 0);
    g_assert_cmphex(X(f, 1), ==, 6 * MIB);
    g_assert_cmphex(CALL(f, RMI_RTT_INIT_RIPAS, 0x1000, 16 * MIB), ==, 0);
    g_assert_cmphex(X(f, 1), ==, 2 * MIB);
    fake_data_unknown(f->m, &f->r, 0x3000, 1);
    g_assert_cmphex(CALL(f, RMI_RTT_INIT_RIPAS, 0x1000, 0x8000), ==, 0);
    g_assert_cmphex(X(f, 1), ==, 0x3000);
    fake_refused(f->m, CALL(f, RMI_RTT_INIT_RIPAS, 0x3000, 0x8000),
                 RTT_ERROR(3));
}

static void the_host_maps_its_own_memory(Fixture *f, gconstpointer data)
{
    uint64_t ipa = UNPROTECTED, attr = 6 << 2 | 3 << 6;

    fake_refused(f->m, CALL(f, RMI_RTT_MAP_UNPROTECTED, ipa, 3,
                            0x12345000 | attr), RTT_ERROR(1));
    fake_tables(f->m, &f->r, ipa);
    g_assert_cmphex(CALL(f, RMI_RTT_MAP_UNPROTECTED, ipa, 3,
                         0x12345000 | attr), ==, RMI_SUCCESS);
    assert_entry(f, ipa, 3, RMI_ASSIGNED, 0x12345000 | attr, 0);
    g_assert_cmphex(descriptor(f, ipa) & 3, ==, 3);
    g_assert_cmphex(descriptor(f, ipa) >> 54 & 3, ==, 3);       /* NS, XN */
    fake_refused(f->m, CALL(f, RMI_RTT_MAP_UNPROTECTED, ipa, 3,
                            0x12345000 | attr), RTT_ERROR(3));
    fake_refused(f->m, CALL(f, RMI_RTT_UNMAP_UNPROTECTED, ipa + 0x1000, 3),
                 RTT_ERROR(3));
    /* Such a table is not live: the host loses nothing of the Realm's. */
    g_assert_cmphex(CALL(f, RMI_RTT_DESTROY, ipa, 3), ==, RMI_SUCCESS);
    assert_entry(f, ipa, 2, RMI_UNASSIGNED, 0, 0);
    g_assert_cmphex(descriptor(f, ipa), ==, 1ull << 55);
    g_assert_cmphex(CALL(f, RMI_RTT_MAP_UNPROTECTED, ipa, 2,
                         0x40000000 | attr), ==, RMI_SUCCESS);
    g_assert_cmphex(CALL(f, RMI_RTT_CREATE, fake_granule(f->m), ipa, 3), ==,
                    RMI_SUCCESS);
    assert_entry(f, ipa + 0x5000, 3, RMI_ASSIGNED, 0x40005000 | attr, 0);
    g_assert_cmphex(CALL(f, RMI_RTT_FOLD, ipa, 3), ==, RMI_SUCCESS);
    assert_entry(f, ipa, 2, RMI_ASSIGNED, 0x40000000 | attr, 0);
    g_assert_cmphex(CALL(f, RMI_RTT_UNMAP_UNPROTECTED, ipa, 2), ==,
                    RMI_SUCCESS);
    g_assert_cmphex(X(f, 1), ==, ipa + (1ull << 30));
}

static void a_host_descriptor_has_no_bits_of_ours(Fixture *f,
                                                  gconstpointer data)
{
    uint64_t ipa = UNPROTECTED, ok = 0x12345000 | 6 << 2 | 3 << 6;
    unsigned bit;

    fake_tables(f->m, &f->r, ipa);
    for (bit = 0; bit < 64; bit++) {
        if ((bit >= 12 && bit < 48) || (bit >= 2 && bit < 5) ||
            bit == 6 || bit == 7) {
            continue;
        }
        fake_refused(f->m, CALL(f, RMI_RTT_MAP_UNPROTECTED, ipa, 3,
                                ok | 1ull << bit), RMI_ERROR_INPUT);
    }
    fake_refused(f->m, CALL(f, RMI_RTT_MAP_UNPROTECTED, ipa, 3,
                            0x12345000 | 4 << 2), RMI_ERROR_INPUT);
    fake_refused(f->m, CALL(f, RMI_RTT_MAP_UNPROTECTED, ipa, 2, ok),
                 RMI_ERROR_INPUT);
    fake_refused(f->m, CALL(f, RMI_RTT_MAP_UNPROTECTED, 0, 3, ok),
                 RMI_ERROR_INPUT);
    fake_refused(f->m, CALL(f, RMI_RTT_MAP_UNPROTECTED, 1ull << 33, 3, ok),
                 RMI_ERROR_INPUT);
    fake_refused(f->m, CALL(f, RMI_RTT_MAP_UNPROTECTED, ipa, 0, ok),
                 RMI_ERROR_INPUT);
    fake_refused(f->m, CALL(f, RMI_RTT_MAP_UNPROTECTED, ipa, 4, ok),
                 RMI_ERROR_INPUT);
    fake_refused(f->m, CALL(f, RMI_RTT_UNMAP_UNPROTECTED, 0, 3),
                 RMI_ERROR_INPUT);
}

static void assert_pages(Fixture *f, uint64_t owned, uint64_t empty,
                         uint64_t lent)
{
    RmmPages pages;

    check_tables(f->m->rmm);
    g_assert_true(rmm_realm_pages(f->m->rmm, f->r.rd, &pages));
    g_assert_cmpuint(pages.owned, ==, owned);
    g_assert_cmpuint(pages.empty, ==, empty);
    g_assert_cmpuint(pages.lent, ==, lent);
}

static void pages_are_counted_by_who_owns_them(Fixture *f,
                                               gconstpointer data)
{
    RmmRealm *realm = fake_realm_object(f->m, &f->r);
    RmmPages pages;
    uint64_t l3, top;

    assert_pages(f, 0, 0, 0);
    table_of_pages(f, &l3);
    assert_pages(f, 512, 0, 0);
    CALL(f, RMI_RTT_FOLD, 2 * MIB, 3);
    assert_pages(f, 512, 0, 0);
    fake_data_unknown(f->m, &f->r, 0, 2);       /* RIPAS EMPTY */
    assert_pages(f, 512, 2, 0);
    rtt_set_ripas_import(realm, 0, 0x1000, RTT_RAM, &top);
    assert_pages(f, 513, 1, 0);
    rtt_set_ripas_import(realm, 0, 0x1000, RTT_DESTROYED, &top);
    assert_pages(f, 512, 1, 0);                 /* nobody's */
    fake_tables(f->m, &f->r, UNPROTECTED);
    CALL(f, RMI_RTT_MAP_UNPROTECTED, UNPROTECTED, 3, 0x1000 | 0xd8);
    assert_pages(f, 512, 1, 1);
    CALL(f, RMI_RTT_MAP_UNPROTECTED, UNPROTECTED + 2 * MIB, 2, 0xd8);
    assert_pages(f, 512, 1, 513);
    CALL(f, RMI_RTT_UNMAP_UNPROTECTED, UNPROTECTED, 3);
    CALL(f, RMI_DATA_DESTROY, 0x1000);
    assert_pages(f, 512, 0, 512);
    g_assert_false(rmm_realm_pages(f->m->rmm, f->r.tables, &pages));
}

static void blocks_and_pages_carry_ownership(Fixture *f, gconstpointer data)
{
    RmmRealm *realm = fake_realm_object(f->m, &f->r);
    uint64_t ns = UNPROTECTED + 2 * MIB, l3, pa, top;

    pa = table_of_pages(f, &l3);
    rtt_set_ripas_import(realm, 2 * MIB, 4 * MIB, RTT_EMPTY, &top);
    assert_pages(f, 0, 512, 0);
    CALL(f, RMI_RTT_FOLD, 2 * MIB, 3);
    g_assert_cmphex(descriptor(f, 2 * MIB), ==, pa | 0x4 | EMPTIED);
    assert_pages(f, 0, 512, 0);
    CALL(f, RMI_RTT_CREATE, l3, 2 * MIB, 3);
    g_assert_cmphex(descriptor(f, 3 * MIB), ==, (pa + MIB) | 0x4 | EMPTIED);
    assert_pages(f, 0, 512, 0);

    fake_tables(f->m, &f->r, UNPROTECTED);
    CALL(f, RMI_RTT_MAP_UNPROTECTED, ns, 2, 0x40000000 | 0xd8);
    g_assert_cmphex(descriptor(f, ns) >> 55, ==, LENT >> 55 | 1);
    CALL(f, RMI_RTT_CREATE, fake_granule(f->m), ns, 3);
    g_assert_cmphex(descriptor(f, ns + MIB) >> 55, ==, LENT >> 55 | 1);
    assert_pages(f, 0, 512, 512);
    CALL(f, RMI_RTT_FOLD, ns, 3);
    g_assert_cmphex(descriptor(f, ns) >> 55, ==, LENT >> 55 | 1);
    assert_pages(f, 0, 512, 512);
}

/* All that one leaf says but whether it is dirty. */
#define OF_STATE(desc) ((desc) & ~(1ull << 58 | 1ull << 51 | 1ull << 7))

static void permissions_change_no_other_bit(Fixture *f, gconstpointer data)
{
    RmmRealm *realm = fake_realm_object(f->m, &f->r);
    RttWalk w, at = { .entry = NULL };
    uint64_t before, desc;

    fake_ram(f->m, &f->r, 0, 0x1000);
    fake_data_unknown(f->m, &f->r, 0, 1);
    rtt_walk(realm, 0, 3, &w);
    before = OF_STATE(w.desc);
    rtt_collect_dirty(realm, 0, 0x1000, NULL, NULL, NULL);
    g_assert_cmphex(*w.entry, ==, before | 1ull << 58 | 1ull << 51);
    desc = *w.entry;
    g_assert_true(desc_relax(w.entry, &desc, 3, DESC_S2AP_W));
    g_assert_cmphex(desc, ==, before | 1ull << 58 | 1ull << 51 | 1ull << 7);
    g_assert_cmphex(*w.entry, ==, desc);
    /* Additive: nothing goes away by asking for less. */
    g_assert_true(desc_relax(w.entry, &desc, 3, 0));
    g_assert_cmphex(*w.entry, ==, desc);
    rtt_take_pending(realm, 0, &at);
    g_assert_cmphex(*w.entry, ==, before | 1ull << 51 | 1ull << 7);
    /* What was read is old: it says so by what it reads then. */
    g_assert_false(desc_change_dirty(w.entry, &desc, 3, DESC_S2AP_W, 0));
    g_assert_cmphex(desc, ==, *w.entry);
}

/* Every other bit, alone and with the one that is allowed. */
static void permissions_that_mean_something_else_are_refused(
    Fixture *f, gconstpointer data)
{
    uint64_t ram = 0x880000000 | 0x75b, entry, desc;
    unsigned bit;

    for (bit = 0; bit < 64; bit++) {
        uint64_t other = 1ull << bit;

        entry = desc = ram;
        if (bit != 7) {
            g_assert_false(desc_relax(&entry, &desc, 3, other));
            g_assert_false(desc_relax(&entry, &desc, 3, other | 1 << 7));
        }
        if (bit != 7 && bit != 51 && bit != 58) {
            g_assert_false(desc_change_dirty(&entry, &desc, 3, other, 0));
            g_assert_false(desc_change_dirty(&entry, &desc, 3, 0, other));
        }
        g_assert_cmphex(entry, ==, ram);
        g_assert_cmphex(desc, ==, ram);
    }
}

static void only_ram_has_permissions_to_change(Fixture *f,
                                               gconstpointer data)
{
    static const uint64_t others[] = {
        0, 0x20, 0x40, 0x880000000 | 0x44, 0x880000000 | 0x4 | EMPTIED,
        1ull << 55, 0x75b | 3ull << 54 | LENT,
        0x880000000 | 1,                        /* a block, at level 3 */
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(others); i++) {
        uint64_t entry = others[i], desc = others[i];

        g_assert_false(desc_relax(&entry, &desc, 3, DESC_S2AP_W));
        g_assert_false(desc_change_dirty(&entry, &desc, 3, 0, DESC_PENDING));
        g_assert_cmphex(entry, ==, others[i]);
    }
}

/* For each HIPAS and RIPAS, in each half: what the checker says as well. */
static void ownership_follows_from_hipas_and_ripas(Fixture *f,
                                                   gconstpointer data)
{
    static const CheckedOwner owner[RTT_OWNERSHIPS] = {
        [RTT_OWNED] = OWNER_REALM, [RTT_EMPTIED] = OWNER_GAVE_UP,
        [RTT_LENT] = OWNER_HOST, [RTT_NOBODYS] = OWNER_NOBODY,
    };
    const RmmRealm *realm = fake_realm_object(f->m, &f->r);
    uint64_t pa = 0x880000000;
    unsigned ripas, level;

    for (level = 1; level <= 3; level++) {
        uint64_t ns = desc_assigned_ns(realm, pa | 0xd8, level);

        for (ripas = RTT_EMPTY; ripas <= RTT_DESTROYED; ripas++) {
            uint64_t desc = desc_assigned(realm, pa, ripas, level);
            uint64_t none = desc_unassigned(ripas);

            g_assert_cmpint(check_leaf(desc, level, false, false), ==,
                            owner[ownership_of(RTT_ASSIGNED, ripas)]);
            g_assert_cmpint(desc_ownership(desc, level), ==,
                            ownership_of(RTT_ASSIGNED, ripas));
            g_assert_cmpint(check_leaf(none, level, false, false), ==,
                            OWNER_NOBODY);
            g_assert_cmpint(desc_ownership(none, level), ==, RTT_NOBODYS);
        }
        g_assert_cmpint(check_leaf(ns, level, true, false), ==, OWNER_HOST);
        g_assert_cmpint(desc_ownership(ns, level), ==, RTT_LENT);
        g_assert_cmpint(ownership_of(RTT_ASSIGNED_NS, RTT_EMPTY), ==,
                        RTT_LENT);
        g_assert_cmpint(desc_ownership(DESC_NS, level), ==, RTT_NOBODYS);
    }
}

/* The checker that all tests rely on sees a wrong bit. */
static void the_checker_sees_a_wrong_owner(Fixture *f, gconstpointer data)
{
    uint64_t pa = 0x880000000;

    g_assert_cmpint(check_leaf(pa | 0x7db, 3, false, false), ==,
                    OWNER_REALM);
    g_assert_cmpint(check_leaf(pa | 0x7db | EMPTIED, 3, false, false), ==,
                    OWNER_NONSENSE);
    g_assert_cmpint(check_leaf(pa | 0x4, 3, false, false), ==,
                    OWNER_NONSENSE);
    g_assert_cmpint(check_leaf(pa | 0x44 | EMPTIED, 3, false, false), ==,
                    OWNER_NONSENSE);
    g_assert_cmpint(check_leaf(EMPTIED, 3, false, false), ==, OWNER_NONSENSE);
    g_assert_cmpint(check_leaf(pa | 0x7db | 1ull << 58, 3, false, false), ==,
                    OWNER_NONSENSE);
    g_assert_cmpint(check_leaf(pa | 0x7db | 3ull << 54, 3, true, false), ==,
                    OWNER_NONSENSE);
    g_assert_cmpint(check_leaf(pa | 0x7db | 3ull << 54 | LENT, 3, true,
                               false), ==, OWNER_HOST);
    g_assert_cmpint(check_leaf(0, 3, true, false), ==, OWNER_NONSENSE);
    g_assert_cmpint(check_leaf(1ull << 55, 3, false, false), ==,
                    OWNER_NONSENSE);
}

static void tlbs_are_told_of_what_goes_away(Fixture *f, gconstpointer data)
{
    gint before;

    fake_ram(f->m, &f->r, 0, 0x1000);
    fake_data_unknown(f->m, &f->r, 0, 1);
    before = f->m->invalidations;
    CALL(f, RMI_DATA_DESTROY, 0);
    g_assert_cmpint(f->m->invalidations, ==, before + 1);
    g_assert_cmphex(f->m->last_top, ==, 0x1000);
    CALL(f, RMI_RTT_DESTROY, 0, 3);
    g_assert_cmpint(f->m->invalidations, ==, before + 2);
    g_assert_cmphex(f->m->last_top, ==, 2 * MIB);
}

/* What another thread finds while a call waits for PEs. */
typedef struct Window {
    Fixture *f;
    uint64_t pa;                /* on its way back to the host; 0: none */
    unsigned seen;
} Window;

static gpointer use_window(gpointer opaque)
{
    Window *w = opaque;
    RmmPe pe = { 0 };
    uint64_t entry[] = { w->f->r.rd, 0, 1 };

    if (w->pa) {
        g_assert_cmphex(fake_call_pe(w->f->m, &pe, RMI_GRANULE_UNDELEGATE,
                                     &w->pa, 1), ==, RMI_ERROR_INPUT);
    }
    /* Takes the Realm's lock, if the Realm is still there. */
    g_assert_cmphex(fake_call_pe(w->f->m, &pe, RMI_RTT_READ_ENTRY, entry, 3),
                    ==, w->pa == w->f->r.rd ? RMI_ERROR_INPUT : RMI_SUCCESS);
    w->seen++;
    return NULL;
}

static void at_sync(void *opaque)
{
    g_thread_join(g_thread_new("other", use_window, opaque));
}

#define WINDOW(w, gone, ...) \
    do {                                                                \
        (w)->pa = (gone);                                               \
        (w)->seen = 0;                                                  \
        g_assert_cmphex(CALL((w)->f, __VA_ARGS__), ==, RMI_SUCCESS);    \
        g_assert_cmpuint((w)->seen, ==, 1);                             \
    } while (0)

static void nobody_gets_what_a_pe_still_reaches(Fixture *f,
                                                gconstpointer data)
{
    Window w = { .f = f };
    uint64_t attr = 6 << 2 | 3 << 6, l2, l3, page;

    fake_ram(f->m, &f->r, 0, 0x1000);
    page = fake_data_unknown(f->m, &f->r, 0, 1);
    CALL(f, RMI_RTT_READ_ENTRY, 0, 1);
    l2 = X(f, 3);
    CALL(f, RMI_RTT_READ_ENTRY, 0, 2);
    l3 = X(f, 3);
    g_assert_cmphex(CALL(f, RMI_RTT_MAP_UNPROTECTED, UNPROTECTED, 1, attr),
                    ==, RMI_SUCCESS);

    f->m->on_sync = at_sync;
    f->m->on_sync_opaque = &w;
    WINDOW(&w, page, RMI_DATA_DESTROY, 0);
    g_assert_cmpint(granule_state(f->m->rmm, page), ==, GRANULE_DELEGATED);
    WINDOW(&w, l3, RMI_RTT_DESTROY, 0, 3);
    g_assert_cmpint(granule_state(f->m->rmm, l3), ==, GRANULE_DELEGATED);
    WINDOW(&w, 0, RMI_RTT_UNMAP_UNPROTECTED, UNPROTECTED, 1);
    WINDOW(&w, l2, RMI_RTT_DESTROY, 0, 2);
    g_assert_cmphex(CALL(f, RMI_RTT_CREATE, l2, 1ull << 30, 2), ==, 0);
    WINDOW(&w, l2, RMI_RTT_FOLD, 1ull << 30, 2);
    WINDOW(&w, f->r.rd, RMI_REALM_DESTROY, 0);
    g_assert_cmpint(granule_state(f->m->rmm, f->r.rd), ==,
                    GRANULE_DELEGATED);
    f->m->on_sync = NULL;
}

static bool note_run(void *opaque, uint64_t ipa, uint64_t bytes,
                     RttHipas hipas, RttRipas ripas)
{
    g_string_append_printf(opaque, "%" G_GINT64_MODIFIER "x+%"
                           G_GINT64_MODIFIER "x:%d%d ", ipa, bytes,
                           hipas, ripas);
    return true;
}

static void runs_of_ripas_are_as_long_as_they_can_be(Fixture *f,
                                                     gconstpointer data)
{
    RmmRealm *realm = fake_realm_object(f->m, &f->r);
    GString *text = g_string_new(NULL);

    fake_ram(f->m, &f->r, 0x1000, 4 * MIB);
    fake_data_unknown(f->m, &f->r, 0x3000, 2);
    rtt_for_each_ripas(realm, 0, UINT64_MAX, note_run, text);
    g_assert_cmpstr(text->str, ==, "0+1000:00 1000+2000:01 3000+2000:11 "
                                   "5000+3fb000:01 400000+ffc00000:00 ");
    g_string_truncate(text, 0);
    rtt_for_each_ripas(realm, 0x4000, 0x201000, note_run, text);
    g_assert_cmpstr(text->str, ==, "4000+1000:11 5000+1fc000:01 ");
    g_string_free(text, TRUE);
}

static void an_import_sets_ripas_whatever_it_was(Fixture *f,
                                                 gconstpointer data)
{
    RmmRealm *realm = fake_realm_object(f->m, &f->r);
    uint64_t pa, top;
    RttWalk walk;

    fake_tables(f->m, &f->r, 0);
    fake_tables(f->m, &f->r, 2 * MIB);
    pa = fake_granule(f->m);
    rtt_walk(realm, 0x1000, 3, &walk);
    g_assert_cmphex(rtt_import_data(realm, walk.entry, pa), ==, RMI_SUCCESS);
    g_assert_cmphex(descriptor(f, 0x1000), ==,
                    pa | 0x7db | 1ull << 51 | 1ull << 58);
    rtt_walk(realm, 0x2000, 3, &walk);
    g_assert_cmphex(rtt_import_data(realm, walk.entry, pa), ==,
                    RMI_ERROR_INPUT);
    rtt_forget_arrived(realm);
    g_assert_cmphex(descriptor(f, 0x1000), ==, pa | 0x7db);
    g_assert_cmphex(rtt_set_ripas_import(realm, 0, 6 * MIB, RTT_RAM, &top),
                    ==, RMI_SUCCESS);
    g_assert_cmphex(top, ==, 6 * MIB);
    g_assert_cmphex(rtt_set_ripas_import(realm, 0, 0x2000, RTT_DESTROYED,
                                         &top), ==, RMI_SUCCESS);
    g_assert_cmphex(descriptor(f, 0x1000), ==, pa | 0x44);
    g_assert_cmphex(rtt_set_ripas_import(realm, 0, 0x2000, RTT_EMPTY, &top),
                    ==, RMI_SUCCESS);
    g_assert_cmphex(descriptor(f, 0x1000), ==, pa | 0x4 | EMPTIED);
    g_assert_cmphex(rtt_set_ripas_import(realm, 8 * MIB, 8 * MIB + 0x1000,
                                         RTT_RAM, &top), ==, RTT_ERROR(2));
}

/* It is mapped before it is written; nobody reads it then. */
static void an_import_that_writes_nothing_shows_nothing(Fixture *f,
                                                        gconstpointer data)
{
    RmmRealm *realm = fake_realm_object(f->m, &f->r);
    uint64_t pa = fake_granule(f->m), *word = fake_host(f->m, pa);
    uint64_t *tags = (uint64_t *)fake_host_tags(f->m, pa);
    RttWalk walk;

    word[0] = word[511] = tags[0] = tags[15] = 0x1234;
    fake_tables(f->m, &f->r, 0);
    rtt_walk(realm, 0x1000, 3, &walk);
    g_assert_cmphex(rtt_import_data(realm, walk.entry, pa), ==, RMI_SUCCESS);
    g_assert_cmphex(word[511], ==, 0x1234);
    g_assert_cmphex(tags[0] | tags[15], ==, 0);
    g_assert_cmphex(fake_call(f->m, RMI_DATA_DESTROY, f->r.rd, 0x1000), ==,
                    RMI_SUCCESS);
    g_assert_cmphex(word[0] | word[511], ==, 0);
    g_assert_cmpint(granule_state(f->m->rmm, pa), ==, GRANULE_DELEGATED);

    /* Likewise if the session itself takes it back */
    pa = fake_granule(f->m);
    word = fake_host(f->m, pa);
    word[511] = 0x1234;
    rtt_walk(realm, 0x2000, 3, &walk);
    g_assert_cmphex(rtt_import_data(realm, walk.entry, pa), ==, RMI_SUCCESS);
    rtt_import_drop(realm, 0x2000, RTT_EMPTY);
    g_assert_cmphex(word[511], ==, 0);
    g_assert_false(granule_is_foreign(f->m->rmm, pa));
}

/* The walk that goes on and the walk from the top, for any two IPAs. */
static void a_walk_goes_on_as_if_it_began_anew(Fixture *f, gconstpointer data)
{
    static const uint64_t ipas[] = {
        0, 0x1000, 0x1fe000, 0x1ff000, 2 * MIB, 2 * MIB + 0x7000,
        4 * MIB, 4 * MIB + 0x1000, 1ull << 30, 1ull << 32,
        (1ull << 32) + 0x1000,
    };
    RmmRealm *realm = fake_realm_object(f->m, &f->r);
    RttWalk from, anew;
    unsigned i, j;

    fake_data_unknown(f->m, &f->r, 0x1000, 1);
    fake_tables(f->m, &f->r, 2 * MIB);
    for (i = 0; i < G_N_ELEMENTS(ipas); i++) {
        for (j = 0; j < G_N_ELEMENTS(ipas); j++) {
            memset(&from, 0, sizeof(from));
            memset(&anew, 0, sizeof(anew));
            rtt_walk_on(realm, ipas[i], &from);
            rtt_walk_on(realm, ipas[j], &from);
            rtt_walk(realm, ipas[j], 3, &anew);
            g_assert_cmpmem(&from, sizeof(from), &anew, sizeof(anew));
        }
    }
}

#define TEST(name) \
    g_test_add("/rmm/rtt/" #name, Fixture, NULL, set_up, name, tear_down)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    TEST(tables_are_made_from_the_top);
    TEST(table_calls_check_their_arguments);
    TEST(every_call_needs_a_realm);
    TEST(destroying_a_table_leaves_destroyed);
    TEST(unfolding_copies_what_the_entry_said);
    TEST(what_differs_is_not_folded);
    TEST(pages_fold_to_a_dirty_block_and_back);
    TEST(pages_are_not_folded_under_a_session);
    TEST(pages_have_the_descriptors_of_tf_rmm);
    TEST(dirty_state_is_not_shown_to_the_host);
    TEST(data_is_copied_and_becomes_ram);
    TEST(data_calls_check_their_arguments);
    TEST(taking_a_page_away_destroys_ram_only);
    TEST(top_inside_a_live_block_is_the_ipa);
    TEST(init_ripas_stays_in_one_table);
    TEST(the_host_maps_its_own_memory);
    TEST(a_host_descriptor_has_no_bits_of_ours);
    TEST(pages_are_counted_by_who_owns_them);
    TEST(blocks_and_pages_carry_ownership);
    TEST(permissions_change_no_other_bit);
    TEST(permissions_that_mean_something_else_are_refused);
    TEST(only_ram_has_permissions_to_change);
    TEST(ownership_follows_from_hipas_and_ripas);
    TEST(the_checker_sees_a_wrong_owner);
    TEST(tlbs_are_told_of_what_goes_away);
    TEST(nobody_gets_what_a_pe_still_reaches);
    TEST(runs_of_ripas_are_as_long_as_they_can_be);
    TEST(an_import_sets_ripas_whatever_it_was);
    TEST(an_import_that_writes_nothing_shows_nothing);
    TEST(a_walk_goes_on_as_if_it_began_anew);
    return g_test_run();
}
