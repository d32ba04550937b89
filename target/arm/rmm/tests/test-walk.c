/*
 * The stage 2 walker, and the dirty state that it and a session share
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include "fake-machine.h"
#include "granule.h"

#define RAM_PAGES 32                    /* assigned, from IPA 0 */
#define MIB 0x100000ull

typedef struct Fixture {
    FakeMachine *m;
    FakeRealm r;
    RmmRealm *realm;
    RmmStage2 s2;
} Fixture;

static void set_up(Fixture *f, gconstpointer data)
{
    f->m = fake_machine_new(256);
    f->r = fake_realm_new(f->m);
    f->realm = fake_realm_object(f->m, &f->r);
    fake_ram(f->m, &f->r, 0, 0x40000);
    fake_data_unknown(f->m, &f->r, 0, RAM_PAGES);
    fake_rec(f->m, &f->r, RMI_REC_RUNNABLE, 0);
    g_assert_cmphex(fake_call(f->m, RMI_REALM_ACTIVATE, f->r.rd), ==, 0);
    g_assert(rmm_stage2(f->m->rmm, f->r.rec[0], &f->s2));
}

static void tear_down(Fixture *f, gconstpointer data)
{
    fake_machine_free(f->m);
}

static RmmFault walk(Fixture *f, uint64_t ipa, RmmAccess access,
                     RmmTranslation *t)
{
    return rmm_stage2_walk(f->m->rmm, &f->s2, ipa, access, t);
}

static void stage2_is_what_the_realm_was_made_with(Fixture *f,
                                                   gconstpointer data)
{
    RmmStage2 s2;

    g_assert_cmphex(f->s2.table, ==, f->r.tables);
    g_assert_cmpint(f->s2.ipa_bits, ==, 33);
    g_assert_cmpint(f->s2.start_level, ==, 1);
    g_assert_false(f->s2.lpa2);
    g_assert_false(rmm_stage2(f->m->rmm, f->r.rd, &s2));
}

/* RMM 1.0, A5.2; rows by HIPAS and RIPAS, columns by kind of access. */
static void every_access_meets_what_the_text_says(Fixture *f,
                                                  gconstpointer data)
{
    static const struct {
        uint64_t ipa;
        RmmFault data, fetch;
        int level;              /* where a walk for data ends */
    } rows[] = {
        { 0x1000, RMM_FAULT_NONE, RMM_FAULT_NONE, 3 },
        { 0x30000, RMM_FAULT_UNASSIGNED, RMM_FAULT_UNASSIGNED, 3 },
        { 0x50000, RMM_FAULT_SEA, RMM_FAULT_SEA, 3 },
        { 0x51000, RMM_FAULT_SEA, RMM_FAULT_SEA, 3 },      /* assigned */
        { 1ull << 31, RMM_FAULT_SEA, RMM_FAULT_SEA, 1 },
        { 0x2000, RMM_FAULT_DESTROYED, RMM_FAULT_DESTROYED, 3 },
        { 0x3000, RMM_FAULT_DESTROYED, RMM_FAULT_DESTROYED, 3 },
        { 1ull << 32, RMM_FAULT_UNPROTECTED, RMM_FAULT_SEA, 1 },
        { (1ull << 33) - 1, RMM_FAULT_UNPROTECTED, RMM_FAULT_SEA, 1 },
        { 1ull << 33, RMM_FAULT_ADDRESS_SIZE, RMM_FAULT_ADDRESS_SIZE, 0 },
        { ~0ull, RMM_FAULT_ADDRESS_SIZE, RMM_FAULT_ADDRESS_SIZE, 0 },
    };
    RmmTranslation t;
    size_t i;

    fake_data_unknown(f->m, &f->r, 0x51000, 1);
    fake_call(f->m, RMI_DATA_DESTROY, f->r.rd, 0x2000);
    fake_call(f->m, RMI_DATA_DESTROY, f->r.rd, 0x3000);
    fake_data_unknown(f->m, &f->r, 0x3000, 1);          /* assigned */
    for (i = 0; i < G_N_ELEMENTS(rows); i++) {
        uint64_t ipa = rows[i].ipa;

        g_assert_cmpint(walk(f, ipa, RMM_ACCESS_READ, &t), ==, rows[i].data);
        g_assert_cmpint(t.level, ==, rows[i].level);
        g_assert_cmpint(walk(f, ipa, RMM_ACCESS_WRITE, &t), ==,
                        rows[i].data);
        g_assert_cmpint(walk(f, ipa, RMM_ACCESS_FETCH, &t), ==,
                        rows[i].fetch);
    }
}

static void a_walk_finds_the_granule(Fixture *f, gconstpointer data)
{
    RmmTranslation t;

    fake_call(f->m, RMI_RTT_READ_ENTRY, f->r.rd, 0x5000, 3);
    g_assert_cmpint(walk(f, 0x5678, RMM_ACCESS_READ, &t), ==, RMM_FAULT_NONE);
    g_assert_cmphex(t.pa, ==, f->m->pe.x[3]);
    g_assert_cmphex(t.bytes, ==, RMM_GRANULE_SIZE);
    g_assert_true(t.writable);          /* a new page is dirty */
}

static void stage_2_says_what_may_be_done(Fixture *f, gconstpointer data)
{
    RmmTranslation t;

    g_assert_cmpint(walk(f, 0x5000, RMM_ACCESS_FETCH, &t), ==,
                    RMM_FAULT_NONE);
    g_assert_true(t.readable && t.writable && t.executable);
    rtt_collect_dirty(f->realm, 0x5000, 0x6000, NULL, NULL, NULL);
    g_assert_cmpint(walk(f, 0x5000, RMM_ACCESS_FETCH, &t), ==,
                    RMM_FAULT_NONE);
    g_assert_true(t.readable && !t.writable && t.executable);
}

#define UNPROTECTED (1ull << 32)

static void map_memory(Fixture *f, uint64_t ipa, int level, uint64_t desc)
{
    fake_tables(f->m, &f->r, ipa);
    if (level == 2) {
        fake_call(f->m, RMI_RTT_DESTROY, f->r.rd, ipa, 3);
    }
    g_assert_cmphex(fake_call(f->m, RMI_RTT_MAP_UNPROTECTED, f->r.rd, ipa,
                              level, desc), ==, RMI_SUCCESS);
}

/* RMM 1.0, A5.5.11: S2AP is 7:6, bit 7 for writing, bit 6 for reading. */
static void unprotected_memory_is_as_the_host_maps_it(Fixture *f,
                                                      gconstpointer data)
{
    uint64_t oa = 0x40005000, attr = 6 << 2;
    RmmTranslation t;
    unsigned s2ap;

    for (s2ap = 0; s2ap < 4; s2ap++) {
        uint64_t ipa = UNPROTECTED + s2ap * RMM_GRANULE_SIZE;
        bool r = s2ap & 1, w = s2ap & 2;

        map_memory(f, ipa, 3, oa | attr | s2ap << 6);
        g_assert_cmpint(walk(f, ipa + 0x123, RMM_ACCESS_READ, &t), ==,
                        r ? RMM_FAULT_NONE : RMM_FAULT_PERMISSION);
        if (r) {
            g_assert_cmphex(t.pa, ==, oa);
            g_assert_cmphex(t.bytes, ==, RMM_GRANULE_SIZE);
            g_assert_true(t.readable && t.writable == w && !t.executable);
        }
        g_assert_cmpint(walk(f, ipa + 0x123, RMM_ACCESS_WRITE, &t), ==,
                        w ? RMM_FAULT_NONE : RMM_FAULT_PERMISSION);
        if (w) {
            g_assert_cmphex(t.pa, ==, oa);
            g_assert_true(t.readable == r && t.writable && !t.executable);
        }
        g_assert_cmpint(walk(f, ipa, RMM_ACCESS_FETCH, &t), ==,
                        RMM_FAULT_SEA);
        fake_call(f->m, RMI_RTT_UNMAP_UNPROTECTED, f->r.rd, ipa, 3);
        g_assert_cmpint(walk(f, ipa, RMM_ACCESS_READ, &t), ==,
                        RMM_FAULT_UNPROTECTED);
    }
}

static void a_walk_finds_the_part_of_a_block_of_the_host(Fixture *f,
                                                         gconstpointer data)
{
    uint64_t ipa = UNPROTECTED + 4 * MIB;
    RmmTranslation t;

    map_memory(f, ipa, 2, 0x40000000 | 6 << 2 | 3 << 6);
    g_assert_cmpint(walk(f, ipa + 0x12345, RMM_ACCESS_WRITE, &t), ==,
                    RMM_FAULT_NONE);
    g_assert_cmphex(t.pa, ==, 0x40012000);
    g_assert_cmphex(t.bytes, ==, 2 * MIB);
}

/* Each granule for itself, however large the host's mapping is. */
static void lent_memory_that_was_delegated_is_not_reached(Fixture *f,
                                                          gconstpointer data)
{
    uint64_t attr = 6 << 2 | 3 << 6, pa = fake_granule_ns(f->m);
    uint64_t block = UNPROTECTED + 2 * MIB, i;
    RmmTranslation t;

    map_memory(f, UNPROTECTED, 3, pa | attr);
    g_assert_cmpint(walk(f, UNPROTECTED, RMM_ACCESS_WRITE, &t), ==,
                    RMM_FAULT_NONE);
    g_assert_cmphex(t.pa, ==, pa);
    g_assert_cmphex(fake_call(f->m, RMI_GRANULE_DELEGATE, pa), ==, 0);
    g_assert_cmpint(walk(f, UNPROTECTED, RMM_ACCESS_READ, &t), ==,
                    RMM_FAULT_GPF);
    g_assert_cmpint(t.level, ==, 3);
    g_assert_cmpint(walk(f, UNPROTECTED, RMM_ACCESS_WRITE, &t), ==,
                    RMM_FAULT_GPF);
    g_assert_cmpint(walk(f, UNPROTECTED, RMM_ACCESS_FETCH, &t), ==,
                    RMM_FAULT_SEA);
    g_assert_cmphex(fake_call(f->m, RMI_GRANULE_UNDELEGATE, pa), ==, 0);
    g_assert_cmpint(walk(f, UNPROTECTED, RMM_ACCESS_READ, &t), ==,
                    RMM_FAULT_NONE);

    map_memory(f, block, 2, FAKE_POOL_BASE | attr);
    for (i = 0; i < RTT_ENTRIES; i++) {
        GranuleState state = granule_state(f->m->rmm, FAKE_POOL_BASE +
                                                      i * RMM_GRANULE_SIZE);

        g_assert_cmpint(walk(f, block + i * RMM_GRANULE_SIZE,
                             RMM_ACCESS_READ, &t), ==,
                        state == GRANULE_NS ? RMM_FAULT_NONE : RMM_FAULT_GPF);
    }
}

/* Collect and take everything. */
static void make_clean(Fixture *f)
{
    RttWalk walk = { .entry = NULL };
    uint64_t ipa;

    rtt_collect_dirty(f->realm, 0, UINT64_MAX, NULL, NULL, NULL);
    for (ipa = 0; ipa < RAM_PAGES * RMM_GRANULE_SIZE;
         ipa += RMM_GRANULE_SIZE) {
        rtt_take_pending(f->realm, ipa, &walk);
    }
    g_assert_cmpuint(rtt_count_unexported(f->realm), ==, 0);
}

/* A write there leaves the host's descriptor as it is. */
static void unprotected_memory_has_no_dirty_state(Fixture *f,
                                                  gconstpointer data)
{
    RmmTranslation t;
    RttWalk before, after;

    map_memory(f, UNPROTECTED, 3, 0x40000000 | 6 << 2 | 3 << 6);
    make_clean(f);
    rtt_walk(f->realm, UNPROTECTED, 3, &before);
    g_assert_cmpint(walk(f, UNPROTECTED, RMM_ACCESS_WRITE, &t), ==,
                    RMM_FAULT_NONE);
    rtt_owe_all(f->realm);
    rtt_collect_dirty(f->realm, 0, UINT64_MAX, NULL, NULL, NULL);
    rtt_walk(f->realm, UNPROTECTED, 3, &after);
    g_assert_cmphex(before.desc, ==, after.desc);
    g_assert_cmpuint(rtt_count_unexported(f->realm), ==, RAM_PAGES);
}

/*
 * With LPA2, bits 51:50 of an OA stand in 9:8 of the descriptor, which
 * without it are shareability.
 */
static void an_address_of_52_bits_is_put_together(Fixture *f,
                                                  gconstpointer data)
{
    static const struct {
        uint64_t oa, desc;
    } rows[] = {
        { 0x0000000040000000, 0x0000000040000000 },
        { 0x0001000040000000, 0x0001000040000000 },
        { 0x0004000040000000, 0x0000000040000100 },
        { 0x0008000040000000, 0x0000000040000200 },
        { 0x000ffffffffff000, 0x0003fffffffff300 },
    };
    FakeMachine *m = fake_machine_prepare(64);
    RmiRealmParams *params;
    FakeRealm r;
    RmmStage2 s2;
    RmmTranslation t;
    size_t i;

    m->platform.lpa2 = true;
    m->platform.ipa_bits = 52;
    fake_machine_start(m);
    params = fake_realm_params(m, &r, 52, 0);
    params->flags = RMI_REALM_LPA2;
    g_assert_cmphex(fake_realm_try(m, &r), ==, RMI_SUCCESS);
    fake_rec(m, &r, 0, 0);
    g_assert(rmm_stage2(m->rmm, r.rec[0], &s2));
    g_assert_true(s2.lpa2);
    for (i = 0; i < G_N_ELEMENTS(rows); i++) {
        uint64_t ipa = (1ull << 51) + i * RMM_GRANULE_SIZE;

        fake_tables(m, &r, ipa);
        g_assert_cmphex(fake_call(m, RMI_RTT_MAP_UNPROTECTED, r.rd, ipa, 3,
                                  rows[i].desc | 6 << 2 | 3 << 6),
                        ==, RMI_SUCCESS);
        g_assert_cmpint(rmm_stage2_walk(m->rmm, &s2, ipa, RMM_ACCESS_WRITE,
                                        &t), ==, RMM_FAULT_NONE);
        g_assert_cmphex(t.pa, ==, rows[i].oa);
    }
    fake_machine_free(m);
}

static void a_walk_chooses_among_concatenated_tables(Fixture *f,
                                                     gconstpointer data)
{
    FakeRealm r;
    RmmStage2 s2;
    RmmTranslation t;
    uint64_t ipa = (1ull << 40) - 0x1000, pa;

    fake_realm_params(f->m, &r, 41, 1);
    g_assert_cmphex(fake_realm_try(f->m, &r), ==, RMI_SUCCESS);
    fake_ram(f->m, &r, ipa, ipa + 0x1000);
    pa = fake_data_unknown(f->m, &r, ipa, 1);
    fake_rec(f->m, &r, 0, 0);
    g_assert(rmm_stage2(f->m->rmm, r.rec[0], &s2));
    g_assert_cmpint(rmm_stage2_walk(f->m->rmm, &s2, ipa + 8, RMM_ACCESS_READ,
                                    &t), ==, RMM_FAULT_NONE);
    g_assert_cmphex(t.pa, ==, pa);
    g_assert_cmpint(rmm_stage2_walk(f->m->rmm, &s2, ipa + 0x1000,
                                    RMM_ACCESS_READ, &t), ==,
                    RMM_FAULT_UNPROTECTED);
    g_assert_cmpuint(rtt_count_assigned(fake_realm_object(f->m, &r)), ==, 1);
}

static void note_page(void *opaque, uint64_t ipa)
{
    g_string_append_printf(opaque, "%x ", (unsigned)ipa);
}

/* Collect [@base, @top) and compare what was seen with @want. */
static void assert_collected(Fixture *f, uint64_t base, uint64_t top,
                             const char *want)
{
    GString *s = g_string_new(NULL);

    rtt_collect_dirty(f->realm, base, top, note_page, s, NULL);
    g_assert_cmpstr(s->str, ==, want);
    g_string_free(s, TRUE);
}

static void a_new_page_is_dirty(Fixture *f, gconstpointer data)
{
    g_assert_cmpuint(rtt_count_assigned(f->realm), ==, RAM_PAGES);
    g_assert_cmpuint(rtt_count_unexported(f->realm), ==, RAM_PAGES);
    assert_collected(f, 0x1e000, UINT64_MAX, "1e000 1f000 ");
    make_clean(f);
    fake_data_unknown(f->m, &f->r, 0x20000, 1);
    assert_collected(f, 0, UINT64_MAX, "20000 ");
}

static void a_write_makes_a_clean_page_dirty(Fixture *f, gconstpointer data)
{
    RmmTranslation t;

    make_clean(f);
    g_assert_cmpint(walk(f, 0x3000, RMM_ACCESS_READ, &t), ==, RMM_FAULT_NONE);
    g_assert_false(t.writable);
    g_assert_cmpint(walk(f, 0x3000, RMM_ACCESS_FETCH, &t), ==,
                    RMM_FAULT_NONE);
    g_assert_cmpuint(rtt_count_unexported(f->realm), ==, 0);
    g_assert_cmpint(walk(f, 0x3008, RMM_ACCESS_WRITE, &t), ==,
                    RMM_FAULT_NONE);
    g_assert_true(t.writable);
    g_assert_cmpint(walk(f, 0x3000, RMM_ACCESS_READ, &t), ==, RMM_FAULT_NONE);
    g_assert_true(t.writable);
    assert_collected(f, 0, UINT64_MAX, "3000 ");
    g_assert_cmpint(walk(f, 0x3000, RMM_ACCESS_READ, &t), ==, RMM_FAULT_NONE);
    g_assert_false(t.writable);
}

static void a_collected_page_is_pending_until_it_is_taken(Fixture *f,
                                                          gconstpointer data)
{
    RmmTranslation t;
    RttWalk at = { .entry = NULL };
    uint64_t want;

    make_clean(f);
    g_assert_false(rtt_take_pending(f->realm, 0x3000, &at));
    walk(f, 0x3000, RMM_ACCESS_WRITE, &t);
    want = t.pa;
    g_assert_false(rtt_take_pending(f->realm, 0x3000, &at));
    assert_collected(f, 0, UINT64_MAX, "3000 ");
    assert_collected(f, 0, UINT64_MAX, "3000 ");
    g_assert_cmpuint(rtt_count_unexported(f->realm), ==, 1);
    g_assert_true(rtt_take_pending(f->realm, 0x3000, &at));
    g_assert_cmphex(at.pa, ==, want);
    g_assert_false(rtt_take_pending(f->realm, 0x3000, &at));
    g_assert_true(rtt_put_pending(f->realm, 0x3000));
    g_assert_false(rtt_put_pending(f->realm, 0x3000));
    g_assert_true(rtt_take_pending(f->realm, 0x3000, &at));
    /* Not a page at all. */
    g_assert_false(rtt_take_pending(f->realm, 0x30000, &at));
    g_assert_false(rtt_take_pending(f->realm, 1ull << 32, &at));
    g_assert_false(rtt_put_pending(f->realm, ~0ull));
}

static void a_write_between_collect_and_take_is_seen_next_time(
    Fixture *f, gconstpointer data)
{
    RttWalk at = { .entry = NULL };
    RmmTranslation t;

    make_clean(f);
    walk(f, 0x3000, RMM_ACCESS_WRITE, &t);
    assert_collected(f, 0, UINT64_MAX, "3000 ");
    walk(f, 0x3000, RMM_ACCESS_WRITE, &t);
    g_assert_true(rtt_take_pending(f->realm, 0x3000, &at));
    g_assert_cmpuint(rtt_count_unexported(f->realm), ==, 1);
    assert_collected(f, 0, UINT64_MAX, "3000 ");
}

static void a_session_starts_with_all_pages_dirty(Fixture *f,
                                                  gconstpointer data)
{
    RttWalk at = { .entry = NULL };

    make_clean(f);
    rtt_put_pending(f->realm, 0x1000);
    rtt_owe_all(f->realm);
    g_assert_cmpuint(rtt_count_unexported(f->realm), ==, RAM_PAGES);
    g_assert_false(rtt_take_pending(f->realm, 0x1000, &at));
}

static void pages_that_are_not_ram_have_no_dirty_state(Fixture *f,
                                                       gconstpointer data)
{
    uint64_t top;

    make_clean(f);
    fake_call(f->m, RMI_DATA_DESTROY, f->r.rd, 0x1000);
    rtt_set_ripas_import(f->realm, 0x2000, 0x3000, RTT_EMPTY, &top);
    rtt_owe_all(f->realm);
    g_assert_cmpuint(rtt_count_unexported(f->realm), ==, RAM_PAGES - 2);
    make_clean(f);
    rtt_set_ripas_import(f->realm, 0x2000, 0x3000, RTT_RAM, &top);
    assert_collected(f, 0, UINT64_MAX, "2000 ");
}

static void the_rmm_writing_for_the_realm_makes_dirty(Fixture *f,
                                                      gconstpointer data)
{
    RmmPe pe = { 0 };
    uint64_t args[] = { 0x7000 };

    make_clean(f);
    fake_enter(f->m, &pe, &f->r, 0);
    g_assert_cmphex(fake_call_pe(f->m, &pe, RSI_REALM_CONFIG, args, 1), ==,
                    RSI_SUCCESS);
    take_interrupt(f->m->rmm, &pe);
    assert_collected(f, 0, UINT64_MAX, "7000 ");
}

/*
 * Writers raise the number in a page, then walk for writing: so whoever
 * collects the mark of that walk sees the number.  Meanwhile pages are
 * collected, taken and copied.  When all is quiet one more round has to
 * bring every copy up to date; one lost mark leaves one behind.
 */
#define WRITERS 3
#define WRITES 400
#define EPISODES 100

typedef struct Writer {
    Fixture *f;
    GThread *thread;
    uint64_t seed;
} Writer;

static gpointer write_pages(gpointer opaque)
{
    Writer *w = opaque;
    unsigned i;

    for (i = 0; i < WRITES; i++) {
        RmmTranslation t;
        uint64_t ipa;

        w->seed = w->seed * 6364136223846793005ull + 1;
        ipa = (w->seed >> 40) % RAM_PAGES * RMM_GRANULE_SIZE;
        g_assert_cmpint(walk(w->f, ipa, RMM_ACCESS_READ, &t), ==,
                        RMM_FAULT_NONE);
        __atomic_fetch_add((uint64_t *)fake_host(w->f->m, t.pa), 1,
                           __ATOMIC_SEQ_CST);
        g_assert_cmpint(walk(w->f, ipa, RMM_ACCESS_WRITE, &t), ==,
                        RMM_FAULT_NONE);
        g_assert_true(t.writable);
    }
    return NULL;
}

typedef struct Copy {
    Fixture *f;
    uint64_t pages[RAM_PAGES];  /* what a destination would have */
} Copy;

static void copy_page(void *opaque, uint64_t ipa)
{
    Copy *c = opaque;
    RttWalk at = { .entry = NULL };

    g_assert_true(rtt_take_pending(c->f->realm, ipa, &at));
    c->pages[ipa / RMM_GRANULE_SIZE] =
        __atomic_load_n((uint64_t *)fake_host(c->f->m, at.pa),
                        __ATOMIC_SEQ_CST);
}

static void copy_round(Copy *c)
{
    rmm_mutex_lock(&c->f->realm->lock);
    rtt_collect_dirty(c->f->realm, 0, UINT64_MAX, copy_page, c, NULL);
    rmm_mutex_unlock(&c->f->realm->lock);
}

static void concurrent_walkers_lose_no_dirty_mark(Fixture *f,
                                                  gconstpointer data)
{
    Copy copy = { .f = f };
    Writer w[WRITERS];
    unsigned i, n;

    for (n = 0; n < EPISODES; n++) {
        uint64_t sum = 0;

        for (i = 0; i < WRITERS; i++) {
            w[i] = (Writer) { .f = f, .seed = n * WRITERS + i };
            w[i].thread = g_thread_new("writer", write_pages, &w[i]);
        }
        for (i = 0; i < 200; i++) {
            copy_round(&copy);
        }
        for (i = 0; i < WRITERS; i++) {
            g_thread_join(w[i].thread);
        }
        copy_round(&copy);
        for (i = 0; i < RAM_PAGES; i++) {
            sum += copy.pages[i];
        }
        g_assert_cmpuint(sum, ==, (n + 1) * WRITERS * WRITES);
    }
}

/*
 * A walker that is slow between finding a table and reading it: long enough
 * for the host to take the table away.
 */
typedef struct Walker {
    Fixture *f;
    GThread *thread;
    uint64_t ipa;
    gint stop;
} Walker;

static void *(*fast_granule)(void *opaque, uint64_t pa);
static uint64_t slow_table;
static _Thread_local bool is_walker;

static void *slow_granule(void *opaque, uint64_t pa)
{
    if (is_walker && pa == slow_table) {
        g_usleep(20);
    }
    return fast_granule(opaque, pa);
}

static gpointer walk_forever(gpointer opaque)
{
    Walker *k = opaque;
    RmmTranslation t;

    is_walker = true;
    while (!g_atomic_int_get(&k->stop)) {
        switch (walk(k->f, k->ipa, RMM_ACCESS_WRITE, &t)) {
        case RMM_FAULT_NONE:
        case RMM_FAULT_DESTROYED:
        case RMM_FAULT_UNASSIGNED:
            break;
        default:
            g_assert_not_reached();     /* a wiped table was read */
        }
    }
    return NULL;
}

static void start_walker(Walker *k)
{
    k->thread = g_thread_new("walker", walk_forever, k);
}

static void stop_walker(Walker *k)
{
    g_atomic_int_set(&k->stop, 1);
    g_thread_join(k->thread);
}

static void a_table_is_wiped_after_its_last_walker(Fixture *f,
                                                   gconstpointer data)
{
    uint64_t ipa = 8 * MIB, rd = f->r.rd, top;
    Walker k = { .f = f, .ipa = ipa };
    unsigned i;

    slow_table = fake_granule(f->m);
    fast_granule = f->m->ops.granule;
    f->m->rmm->ops.granule = slow_granule;
    rtt_set_ripas_import(f->realm, ipa, ipa + 2 * MIB, RTT_RAM, &top);
    start_walker(&k);
    for (i = 0; i < 500; i++) {
        g_assert_cmphex(fake_call(f->m, RMI_RTT_CREATE, rd, slow_table, ipa,
                                  3), ==, RMI_SUCCESS);
        g_usleep(10);
        g_assert_cmphex(fake_call(f->m, RMI_RTT_DESTROY, rd, ipa, 3), ==,
                        RMI_SUCCESS);
    }
    stop_walker(&k);
}

/* Its mark comes too late, or in time, but never to another descriptor. */
static void a_walker_does_not_bring_a_page_back(Fixture *f,
                                                gconstpointer data)
{
    uint64_t pa = fake_granule(f->m), ipa = 0x30000, top;
    Walker k = { .f = f, .ipa = ipa };
    unsigned i;

    start_walker(&k);
    for (i = 0; i < 20000; i++) {
        RttWalk w = { .entry = NULL };

        rtt_set_ripas_import(f->realm, ipa, ipa + 0x1000, RTT_RAM, &top);
        g_assert_cmphex(fake_call(f->m, RMI_DATA_CREATE_UNKNOWN, f->r.rd, pa,
                                  ipa), ==, RMI_SUCCESS);
        rtt_collect_dirty(f->realm, ipa, ipa + 0x1000, NULL, NULL, NULL);
        rtt_take_pending(f->realm, ipa, &w);
        g_assert_cmphex(fake_call(f->m, RMI_DATA_DESTROY, f->r.rd, ipa), ==,
                        RMI_SUCCESS);
        rtt_walk(f->realm, ipa, RTT_PAGE_LEVEL, &w);
        g_assert_cmphex(w.desc, ==, 0x40);
    }
    stop_walker(&k);
}

static void walks_are_fast(Fixture *f, gconstpointer data)
{
    enum { N = 2000000 };
    RmmTranslation t;
    gint64 start = g_get_monotonic_time();
    unsigned i;

    for (i = 0; i < N; i++) {
        walk(f, i % RAM_PAGES * RMM_GRANULE_SIZE, RMM_ACCESS_WRITE, &t);
    }
    g_test_message("a walk for writing takes %.0f ns",
                   (g_get_monotonic_time() - start) * 1000.0 / N);
}

/* 1 GiB of pages, collected when all are dirty, and when none is. */
static void collections_are_fast(Fixture *f, gconstpointer data)
{
    enum { PAGES = 1 << 18 };
    FakeMachine *m = fake_machine_new(PAGES + 1024);
    FakeRealm r = fake_realm_new(m);
    RmmRealm *realm = fake_realm_object(m, &r);
    unsigned i;

    fake_ram(m, &r, 0, (uint64_t)PAGES * RMM_GRANULE_SIZE);
    fake_data_unknown(m, &r, 0, PAGES);
    for (i = 0; i < 2; i++) {
        gint64 start = g_get_monotonic_time();
        RttWalk at = { .entry = NULL };
        uint64_t ipa;

        g_assert_cmpuint(rtt_collect_dirty(realm, 0, UINT64_MAX, NULL, NULL,
                                           NULL),
                         ==, i ? 0 : PAGES);
        g_test_message("collecting 1 GiB, %s dirty, takes %d us",
                       i ? "nothing" : "all",
                       (int)(g_get_monotonic_time() - start));
        for (ipa = 0; ipa < (uint64_t)PAGES * RMM_GRANULE_SIZE;
             ipa += RMM_GRANULE_SIZE) {
            rtt_take_pending(realm, ipa, &at);
        }
    }
    fake_machine_free(m);
}

#define TEST(name) \
    g_test_add("/rmm/walk/" #name, Fixture, NULL, set_up, name, tear_down)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    TEST(stage2_is_what_the_realm_was_made_with);
    TEST(every_access_meets_what_the_text_says);
    TEST(a_walk_finds_the_granule);
    TEST(stage_2_says_what_may_be_done);
    TEST(unprotected_memory_is_as_the_host_maps_it);
    TEST(a_walk_finds_the_part_of_a_block_of_the_host);
    TEST(lent_memory_that_was_delegated_is_not_reached);
    TEST(unprotected_memory_has_no_dirty_state);
    TEST(an_address_of_52_bits_is_put_together);
    TEST(a_walk_chooses_among_concatenated_tables);
    TEST(a_new_page_is_dirty);
    TEST(a_write_makes_a_clean_page_dirty);
    TEST(a_collected_page_is_pending_until_it_is_taken);
    TEST(a_write_between_collect_and_take_is_seen_next_time);
    TEST(a_session_starts_with_all_pages_dirty);
    TEST(pages_that_are_not_ram_have_no_dirty_state);
    TEST(the_rmm_writing_for_the_realm_makes_dirty);
    TEST(concurrent_walkers_lose_no_dirty_mark);
    TEST(a_table_is_wiped_after_its_last_walker);
    TEST(a_walker_does_not_bring_a_page_back);
    if (g_test_perf()) {
        TEST(walks_are_fast);
        TEST(collections_are_fast);
    }
    return g_test_run();
}
