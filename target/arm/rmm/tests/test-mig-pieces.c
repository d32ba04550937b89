/*
 * READY, COMMIT and FINISH, in pieces
 *
 * Each call goes through a number of entries of tables
 * (docs/specs/realm-migration-stream.rst, "Calls"), here through few of them.
 * What comes of it is what one call over everything makes, whatever the host
 * does to tables in between; and what the host takes in between counts, as it
 * does elsewhere.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "granule.h"
#include "mig-oracle.h"
#include "mig-steps.h"
#include "rmm-internal.h"
#include "rtt.h"
#include "session.h"

#define TABLE_BYTES (2ull << 20)
#define TABLES      7
#define MAX_PAGES   60

/* All that the host can find out by READ_ENTRY: is there a table for @ipa? */
static bool has_table(Machine *m, uint64_t ipa)
{
    uint64_t out[4];

    OK(SMC_OUT(m, out, RMI_RTT_READ_ENTRY, m->rd, ipa, 3));
    return out[0] == 3;
}

/* Granules of tables that were folded */
static GArray *spare;

static uint64_t table_granule(Machine *m)
{
    uint64_t pa;

    if (!spare || !spare->len) {
        return machine_granule(m);
    }
    pa = g_array_index(spare, uint64_t, spare->len - 1);
    g_array_set_size(spare, spare->len - 1);
    return pa;
}

/* As machine_table, also where a table was and is folded */
static void need_table(Machine *m, uint64_t ipa)
{
    uint64_t out[4];

    for (uint64_t level = 2; level <= 3; level++) {
        uint64_t bytes = level == 2 ? 1ull << 30 : TABLE_BYTES;

        OK(SMC_OUT(m, out, RMI_RTT_READ_ENTRY, m->rd, ipa, 3));
        if (out[0] < level) {
            OK(SMC(m, RMI_RTT_CREATE, m->rd, table_granule(m),
                   ipa & ~(bytes - 1), level));
        }
    }
}

/* ---- a Realm of a random shape ---- */

typedef struct Shape {
    GRand *rand;                /* of the Realm: the same for twins */
    uint64_t tables[TABLES];
    uint64_t pages[MAX_PAGES];
    unsigned num_pages;
} Shape;

static uint64_t pick_ipa(Shape *s)
{
    return s->tables[g_rand_int(s->rand) % TABLES] +
           g_rand_int(s->rand) % 512 * RMM_GRANULE_SIZE;
}

/* Tables here and there, some of them beside each other */
static void pick_tables(Shape *s)
{
    for (unsigned i = 0; i < TABLES; i++) {
        s->tables[i] = i && g_rand_int(s->rand) % 2
                       ? s->tables[i - 1] + TABLE_BYTES
                       : g_rand_int(s->rand) % 1500 * TABLE_BYTES;
        s->tables[i] %= MACHINE_TOP;
    }
}

static MachineParams params_of(void)
{
    MachineParams params = machine_defaults;

    params.granules = 400;
    params.num_recs = 1;
    return params;
}

static bool is_page(Machine *m, uint64_t ipa)
{
    uint64_t out[4];

    OK(SMC_OUT(m, out, RMI_RTT_READ_ENTRY, m->rd, ipa, 3));
    return out[1] == RMI_ASSIGNED;
}

static Machine *shape_source(Shape *s)
{
    MachineParams params = params_of();
    Machine *m = machine_new(&params);
    RmmRealm *realm;

    pick_tables(s);
    for (unsigned i = 0; i < TABLES; i++) {
        machine_table(m, s->tables[i]);
    }
    s->num_pages = g_rand_int(s->rand) % MAX_PAGES;
    for (unsigned i = 0; i < s->num_pages; i++) {
        do {
            s->pages[i] = pick_ipa(s);
        } while (is_page(m, s->pages[i]));
        machine_add_page(m, s->pages[i]);
    }
    machine_activate(m);
    realm = realm_lock(m->rmm, m->rd);
    for (unsigned i = 0; i < 40; i++) {
        uint64_t ipa = pick_ipa(s), top = (ipa | (TABLE_BYTES - 1)) + 1;

        top = MIN(top, ipa + (1ull << g_rand_int(s->rand) % 9) *
                             RMM_GRANULE_SIZE);
        OK(rtt_set_ripas_import(realm, ipa, top, g_rand_int(s->rand) % 3,
                                &top));
    }
    realm_unlock(realm);
    for (unsigned i = 0; i < s->num_pages; i++) {
        if (machine_page(m, s->pages[i], false, NULL)) {
            machine_scribble(m, s->pages[i], s->rand);
        }
    }
    return m;
}

/* Pages that the host has put there, some of them where others will come */
static Machine *shape_destination(Shape *s)
{
    MachineParams params = params_of();
    Machine *m = machine_new(&params);

    for (unsigned i = 0; i < 10; i++) {
        uint64_t ipa = s->num_pages && i % 2
                       ? s->pages[g_rand_int(s->rand) % s->num_pages]
                       : pick_ipa(s);

        machine_table(m, ipa);
        if (!is_page(m, ipa)) {
            machine_add_page(m, ipa);
        }
    }
    return m;
}

/* ---- the destination's host ---- */

typedef struct Host {
    Machine *m;
    Shape *shape;
    GRand *rand;                /* NULL: it leaves the tables alone */
    unsigned calls;
} Host;

/* Folds tables, and makes new ones; both may be refused */
static void meddle(Host *h)
{
    for (unsigned n = h->rand ? g_rand_int(h->rand) % 4 : 0; n; n--) {
        uint64_t table = h->shape->tables[g_rand_int(h->rand) % TABLES];
        uint64_t out[4];

        if (g_rand_int(h->rand) % 2) {
            need_table(h->m, table);
        } else if (SMC_OUT(h->m, out, RMI_RTT_FOLD, h->m->rd, table, 3) ==
                   RMI_SUCCESS) {
            g_array_append_val(spare, out[0]);
        }
    }
}

/* READY or COMMIT to its end; what it asks for is put right */
static void in_pieces(Host *h, unsigned call)
{
    const unsigned at = call == MIG_IMPORT_READY;
    uint64_t out[4], last = 0, result;

    do {
        meddle(h);
        result = MIG_OUT(h->m, out, call, NS_BLOB(0), 4096);
        h->calls++;
        if (RMI_STATUS(result) == RMI_ERROR_RTT) {
            g_assert_false(has_table(h->m, out[at]));
            need_table(h->m, out[at]);
            continue;
        }
        OK(result);
        g_assert_true(!out[at] || out[at] > last);
        last = out[at];
        g_assert_true(call == MIG_IMPORT_READY || out[at] ||
                      machine_state(h->m) == REALM_ACTIVE);
        g_assert_true(!out[at] || machine_state(h->m) == REALM_IMPORT);
    } while (result != RMI_SUCCESS || out[at]);
}

static void take_start(Machine *src, Machine *dst)
{
    uint64_t result;
    Record *token = machine_start(src, NULL, &result);

    OK(result);
    step_take(dst, token);
}

/* The map and what the pages have */
static char *describe(Machine *m, const Shape *s)
{
    g_autofree char *map = ripas_map(m);
    GString *text = g_string_new(map);

    for (unsigned i = 0; i < s->num_pages; i++) {
        uint8_t *tags, *page = machine_page(m, s->pages[i], false, &tags);

        if (page) {
            g_autofree char *sum =
                g_compute_checksum_for_data(G_CHECKSUM_MD5, page,
                                            RMM_GRANULE_SIZE);
            g_autofree char *sum_tags =
                g_compute_checksum_for_data(G_CHECKSUM_MD5, tags,
                                            RMM_TAG_BYTES);

            g_string_append_printf(text, "%#lx %s %s\n",
                                   (unsigned long)s->pages[i], sum, sum_tags);
        }
    }
    return g_string_free(text, FALSE);
}

/* At the source: pages go while FINISH wipes the others */
static void finish_in_pieces(Machine *src, Machine *dst, const Shape *s,
                             unsigned *calls)
{
    uint64_t out[4];
    Record *receipt;
    unsigned i = 0;

    OK(machine_receipt(dst, &receipt));
    memcpy(machine_ns(src, NS_BLOB(0)), receipt->data, receipt->len);
    do {
        OK(MIG_OUT(src, out, MIG_EXPORT_FINISH, NS_BLOB(0), receipt->len));
        g_assert_cmpint(machine_session(src)->phase, ==, MIG_GONE);
        if (out[0] && i < s->num_pages / 2) {
            OK(SMC(src, RMI_DATA_DESTROY, src->rd, s->pages[i++]));
        }
        SMC(src, RMI_RTT_FOLD, src->rd, s->tables[*calls % TABLES], 3);
        ++*calls;
    } while (out[0]);
    for (; i < s->num_pages; i++) {
        RmmRealm *realm = realm_lock(src->rmm, src->rd);
        const uint8_t *page;
        RttWalk walk;

        rtt_walk(realm, s->pages[i], 3, &walk);
        g_assert_cmpint(walk.hipas, ==, RTT_ASSIGNED);
        page = granule_map(src->rmm, walk.pa);
        for (int b = 0; b < RMM_GRANULE_SIZE; b++) {
            g_assert_cmphex(page[b], ==, 0);
        }
        realm_unlock(realm);
    }
    g_byte_array_unref(receipt);
}

/* What arrives of the Realm with @seed; the caller frees it */
static char *migrate(guint32 seed, uint32_t entries, GRand *rand,
                     unsigned *calls)
{
    Shape shape = { .rand = g_rand_new_with_seed(seed) };
    Machine *src = shape_source(&shape), *dst = shape_destination(&shape);
    Host host = { dst, &shape, rand };
    char *text;

    spare = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    src->rmm->mig_entries = dst->rmm->mig_entries = entries;
    step_all_but_start(src, dst);
    in_pieces(&host, MIG_IMPORT_READY);
    take_start(src, dst);
    in_pieces(&host, MIG_IMPORT_COMMIT);
    text = describe(dst, &shape);
    finish_in_pieces(src, dst, &shape, &host.calls);
    *calls = host.calls;
    g_clear_pointer(&spare, g_array_unref);
    machine_free(src);
    machine_free(dst);
    g_rand_free(shape.rand);
    return text;
}

static void test_pieces_make_what_one_call_makes(void)
{
    GRand *rand = rand_new();
    unsigned all = 0;

    for (unsigned i = 0; i < 60; i++) {
        guint32 seed = g_rand_int(rand);
        uint32_t entries = 1 + g_rand_int(rand) % (1u << i % 12);
        unsigned one, many;
        g_autofree char *slow = migrate(seed, UINT32_MAX, NULL, &one);
        g_autofree char *pieces = migrate(seed, entries,
                                          i % 3 ? rand : NULL, &many);

        g_assert_cmpstr(slow, ==, pieces);
        /* Three calls, and those that found a table missing */
        g_assert_cmpuint(one, <=, 3 + 2 * TABLES);
        all += many;
    }
    g_test_message("%u calls", all);
    g_assert_cmpuint(all, >, 60 * 100);
    g_rand_free(rand);
}

/* ---- how far one call goes ---- */

static unsigned looks;          /* at granules of tables and pages */
static void *(*plain_granule)(void *opaque, uint64_t pa);

static void *counting_granule(void *opaque, uint64_t pa)
{
    looks++;
    return plain_granule(opaque, pa);
}

typedef struct Work {
    unsigned calls, most;       /* looks of the call that had most */
} Work;

static uint64_t counted(Machine *m, Work *w, unsigned call, uint64_t size,
                        unsigned at)
{
    uint64_t out[4];

    plain_granule = m->rmm->ops.granule;
    m->rmm->ops.granule = counting_granule;
    looks = 0;
    OK(MIG_OUT(m, out, call, NS_BLOB(0), size));
    m->rmm->ops.granule = plain_granule;
    w->calls++;
    w->most = MAX(w->most, looks);
    return out[at];
}

/* A Realm with a page in each of @tables tables, all of which have to go */
static Work work_of(unsigned tables)
{
    MachineParams params = params_of();
    Machine *src, *dst;
    Record *receipt;
    Work w = { 0 };

    params.granules = 8 * tables + 100;
    src = machine_new(&params);
    dst = machine_new(&params);
    for (unsigned i = 0; i < tables; i++) {
        for (unsigned n = 0; n < 5; n++) {
            machine_add_page(src, i * TABLE_BYTES + n * 0x7000);
        }
    }
    machine_activate(src);
    src->rmm->mig_entries = dst->rmm->mig_entries = 700;
    step_connect(src, dst);
    step_round(src, dst, 1, 256);
    for (unsigned i = 0; i < tables; i++) {
        OK(SMC(src, RMI_DATA_DESTROY, src->rd, i * TABLE_BYTES));
    }
    step_seal(src, dst);
    while (counted(dst, &w, MIG_IMPORT_COMMIT, 0, 0)) {
    }
    OK(machine_receipt(dst, &receipt));
    memcpy(machine_ns(src, NS_BLOB(0)), receipt->data, receipt->len);
    while (counted(src, &w, MIG_EXPORT_FINISH, receipt->len, 0)) {
    }
    g_byte_array_unref(receipt);
    machine_free(src);
    machine_free(dst);
    return w;
}

static void test_one_call_goes_so_far_whatever_the_realm_has(void)
{
    Work few = work_of(10), many = work_of(60);

    g_test_message("%u and %u calls, at most %u and %u looks", few.calls,
                   many.calls, few.most, many.most);
    g_assert_cmpuint(many.most, <=, few.most + few.most / 10);
    g_assert_cmpuint(many.calls, >=, 2 * 60 * 512 / 700);
}

/* ---- between two pieces ---- */

typedef struct Pair {
    Machine *src, *dst;
} Pair;

#define FAR_IPA (900ull << 20)  /* a page, and a hole beside it */

/* The destination has all but the start token, and small pieces. */
static Pair pair_new(void)
{
    Pair p = { source_new(&machine_defaults, 4),
               machine_new(&machine_defaults) };
    RmmRealm *realm;
    uint64_t top;

    machine_table(p.src, FAR_IPA);
    realm = realm_lock(p.src->rmm, p.src->rd);
    OK(rtt_set_ripas(realm, FAR_IPA + 0x5000, FAR_IPA + 0x6000, RTT_EMPTY,
                     true, &top));
    realm_unlock(realm);
    machine_add_page(p.dst, 0x80000);   /* the map does not name it */
    step_all_but_start(p.src, p.dst);
    machine_table(p.dst, FAR_IPA);
    p.dst->rmm->mig_entries = 200;
    return p;
}

static void pair_free(Pair *p)
{
    machine_free(p->src);
    machine_free(p->dst);
}

static uint64_t one_piece(Machine *dst, unsigned call)
{
    uint64_t out[4];

    OK(MIG_OUT(dst, out, call, NS_BLOB(0), 4096));
    return out[call == MIG_IMPORT_READY];
}

static void test_ready_begins_anew_when_a_bundle_has_come(void)
{
    Pair p = pair_new();
    uint64_t first = one_piece(p.dst, MIG_IMPORT_READY);
    uint64_t second = one_piece(p.dst, MIG_IMPORT_READY);

    g_assert_cmphex(first, ==, 200 * RMM_GRANULE_SIZE);
    g_assert_cmphex(second, >, first);
    step_epoch(p.src, p.dst);
    g_assert_cmphex(one_piece(p.dst, MIG_IMPORT_READY), ==, first);
    /* The first record is there; the next one goes through all again */
    while (one_piece(p.dst, MIG_IMPORT_READY)) {
    }
    g_assert_cmpuint(machine_session(p.dst)->back.counter, ==, 1);
    g_assert_cmphex(one_piece(p.dst, MIG_IMPORT_READY), ==, first);
    /* Nor does COMMIT go on from where READY was */
    take_start(p.src, p.dst);
    g_assert_cmphex(one_piece(p.dst, MIG_IMPORT_COMMIT), ==, first);
    pair_free(&p);
}

/* The page that has to go is the host's again, and the Realm does not run. */
static void test_a_piece_takes_effect_and_the_realm_does_not_run(void)
{
    Pair p = pair_new();
    uint64_t out[4], pa;
    Record *token;

    SMC_OUT(p.dst, out, RMI_RTT_READ_ENTRY, p.dst->rd, 0x80000, 3);
    pa = out[2];
    take_start(p.src, p.dst);
    g_assert_cmpint(granule_state(p.dst->rmm, pa), ==, GRANULE_DATA);
    g_assert_cmphex(one_piece(p.dst, MIG_IMPORT_COMMIT), !=, 0);
    g_assert_cmpint(granule_state(p.dst->rmm, pa), ==, GRANULE_DELEGATED);
    g_assert_cmpint(machine_state(p.dst), ==, REALM_IMPORT);
    g_assert_cmphex(SMC(p.dst, RMI_REC_ENTER, p.dst->recs[0], NS_BITMAP), !=,
                    RMI_SUCCESS);
    REFUSES(p.dst, MIG(p.dst, MIG_IMPORT_RECEIPT, NS_BLOB(0), 4096),
            REFUSED(MIG_CAUSE_STATE));
    /* The host may still give up */
    OK(machine_abort(p.dst, &token));
    g_assert_cmpint(machine_state(p.dst), ==, REALM_FAILED);
    OK(machine_resume(p.src, token));
    g_assert_cmpint(machine_state(p.src), ==, REALM_ACTIVE);
    g_byte_array_unref(token);
    pair_free(&p);
}

/* The next piece begins inside of what is one entry now. */
static void test_a_piece_goes_on_where_a_table_was_folded(void)
{
    const uint64_t table = 512ull << 20;
    Pair p = pair_new();
    uint64_t ipa;

    machine_table(p.dst, table);
    do {
        ipa = one_piece(p.dst, MIG_IMPORT_READY);
        g_assert_cmphex(ipa, !=, 0);
    } while (ipa <= table);
    g_assert_cmphex(ipa, <, table + TABLE_BYTES);
    OK(SMC(p.dst, RMI_RTT_FOLD, p.dst->rd, table, 3));
    ipa = one_piece(p.dst, MIG_IMPORT_READY);
    g_assert_cmphex(ipa, >=, table + TABLE_BYTES);
    while (one_piece(p.dst, MIG_IMPORT_READY)) {
    }
    pair_free(&p);
}

/* A table goes behind what was reached: the host makes it again. */
static void test_a_refused_piece_loses_nothing(void)
{
    Pair p = pair_new();
    uint64_t out[4], reached = 0, result;

    take_start(p.src, p.dst);
    OK(SMC(p.dst, RMI_RTT_FOLD, p.dst->rd, FAR_IPA, 3));
    for (;;) {
        result = MIG_OUT(p.dst, out, MIG_IMPORT_COMMIT);
        if (result != RMI_SUCCESS) {
            break;
        }
        g_assert_cmphex(out[0], >, reached);
        reached = out[0];
    }
    g_assert_cmphex(result, ==, RMI_RESULT(RMI_ERROR_RTT, 2));
    g_assert_cmphex(out[0], ==, FAR_IPA + 0x5000);
    REFUSES(p.dst, MIG(p.dst, MIG_IMPORT_COMMIT),
            RMI_RESULT(RMI_ERROR_RTT, 2));
    need_table(p.dst, FAR_IPA);
    g_assert_cmphex(one_piece(p.dst, MIG_IMPORT_COMMIT), >, reached);
    step_run(p.dst);
    same_realm(p.src, p.dst);
    pair_free(&p);
}

/* In the middle of a table that is gone then: nothing begins there. */
static void test_a_host_that_folds_behind_it_is_asked_for_nothing(void)
{
    for (int commit = 0; commit < 2; commit++) {
        const unsigned call = commit ? MIG_IMPORT_COMMIT : MIG_IMPORT_READY;
        const uint64_t table = 100ull << 20;
        Pair p = pair_new();
        uint64_t reached = 0;

        machine_table(p.dst, table);
        if (commit) {
            take_start(p.src, p.dst);
        }
        while (reached <= table) {
            reached = one_piece(p.dst, call);
        }
        g_assert_cmphex(reached, <, table + TABLE_BYTES);
        OK(SMC(p.dst, RMI_RTT_FOLD, p.dst->rd, table, 3));
        g_assert_cmphex(one_piece(p.dst, call), >=, table + TABLE_BYTES);
        pair_free(&p);
    }
}

static void take_something(Machine *m, int what)
{
    switch (what) {
    case 0:                     /* behind what was reached, and before */
        OK(SMC(m, RMI_DATA_DESTROY, m->rd, page_ipa(3, 4)));
        break;
    case 1:
        OK(SMC(m, RMI_DATA_DESTROY, m->rd, page_ipa(0, 4)));
        break;
    case 2:
        OK(SMC(m, RMI_RTT_DESTROY, m->rd, FAR_IPA, 3));
        break;
    default:
        OK(SMC(m, RMI_REC_DESTROY, m->recs[1]));
        break;
    }
}

static void test_what_the_host_takes_between_pieces_ends_the_import(void)
{
    for (int what = 0; what < 4; what++) {
        /* Before the start token, pages are only missing */
        for (int commit = what < 2; commit < 2; commit++) {
            const unsigned call = commit ? MIG_IMPORT_COMMIT
                                         : MIG_IMPORT_READY;
            Pair p = pair_new();
            Record *token;

            if (commit) {
                take_start(p.src, p.dst);
            }
            g_assert_cmphex(one_piece(p.dst, call), !=, 0);
            take_something(p.dst, what);
            g_assert_cmphex(MIG(p.dst, call, NS_BLOB(0), 4096), ==,
                            REFUSED(MIG_CAUSE_RECLAIMED));
            g_assert_cmpint(machine_state(p.dst), ==, REALM_FAILED);
            OK(machine_abort(p.dst, &token));
            if (commit) {
                OK(machine_resume(p.src, token));
                g_assert_cmpint(machine_state(p.src), ==, REALM_ACTIVE);
            }
            g_byte_array_unref(token);
            pair_free(&p);
        }
    }
}

/* Also one that was there when READY came by */
static void test_ready_misses_a_page_that_went_between_its_pieces(void)
{
    for (int what = 0; what < 2; what++) {
        const uint64_t ipa = page_ipa(what ? 0 : 3, 4);
        Pair p = pair_new();
        uint64_t out[4], result;

        g_assert_cmphex(one_piece(p.dst, MIG_IMPORT_READY), !=, 0);
        take_something(p.dst, what);
        do {
            result = MIG_OUT(p.dst, out, MIG_IMPORT_READY, NS_BLOB(0), 4096);
        } while (result == RMI_SUCCESS && out[1]);
        g_assert_cmphex(result, ==, REFUSED(MIG_CAUSE_PAGE_MISSING));
        g_assert_cmphex(out[1], ==, ipa);
        g_assert_cmpint(machine_state(p.dst), ==, REALM_IMPORT);
        pair_free(&p);
    }
}

static void test_a_rec_that_comes_between_pieces_stops_them(void)
{
    Pair p = pair_new();

    take_start(p.src, p.dst);
    g_assert_cmphex(one_piece(p.dst, MIG_IMPORT_COMMIT), !=, 0);
    machine_add_rec(p.dst, MACHINE_RECS);
    REFUSES(p.dst, MIG(p.dst, MIG_IMPORT_COMMIT),
            REFUSED(MIG_CAUSE_REC_EXTRA));
    pair_free(&p);
}

/* ---- how long a map may be ---- */

static void test_a_map_has_a_number_of_runs(void)
{
    for (int more = 0; more < 2; more++) {
        Pair p = { source_new(&machine_defaults, 4),
                   machine_new(&machine_defaults) };
        const uint64_t room = bundle_size(0, sizeof(MigMutable)) +
                              2 * sizeof(MigRun);
        MigSession *s;
        uint64_t out[4], base = 0, result;
        unsigned runs;

        step_connect(p.src, p.dst);
        step_round(p.src, p.dst, 1, 64);
        OK(MIG(p.src, MIG_PAUSE));
        s = machine_session(p.src);
        OK(MIG_OUT(p.src, out, MIG_EXPORT_REALM, NS_BLOB(0), MIG_MAX_BUNDLE,
                   0));
        runs = s->num_runs;
        g_assert_cmpuint(runs, >, 3);
        s->next_base = 0;
        s->num_runs = MIG_MAX_RUNS - runs + more;
        do {
            result = MIG_OUT(p.src, out, MIG_EXPORT_REALM, NS_BLOB(0), room,
                             base);
            base = out[1];
        } while (result == RMI_SUCCESS && base);
        g_assert_cmphex(result, ==, more ? REFUSED(MIG_CAUSE_MAP_RUNS)
                                         : RMI_SUCCESS);
        if (more) {
            REFUSES(p.src, MIG(p.src, MIG_EXPORT_REALM, NS_BLOB(0), room,
                               s->next_base), REFUSED(MIG_CAUSE_MAP_RUNS));
            OK(MIG(p.src, MIG_EXPORT_ABORT));
            /* The next session counts anew */
            machine_free(p.dst);
            p.dst = machine_new(&machine_defaults);
            step_connect(p.src, p.dst);
            step_round(p.src, p.dst, 1, 64);
            step_finish(p.src, p.dst);
        }
        pair_free(&p);
    }
}

static void test_a_map_with_more_runs_does_not_arrive(void)
{
    for (int more = 0; more < 2; more++) {
        Pair p = { source_new(&machine_defaults, 4),
                   machine_new(&machine_defaults) };
        unsigned runs;
        uint64_t result;
        Record *record;
        MigSession *s;

        step_connect(p.src, p.dst);
        step_round(p.src, p.dst, 1, 64);
        OK(MIG(p.src, MIG_PAUSE));
        record = machine_export(p.src, MIG_EXPORT_REALM, 0, &result);
        runs = machine_session(p.src)->num_runs;
        s = machine_session(p.dst);
        g_array_set_size(s->runs, MIG_MAX_RUNS - runs + more);
        g_assert_cmphex(machine_receive(p.dst, record), ==,
                        more ? REFUSED(MIG_CAUSE_FORMAT) : RMI_SUCCESS);
        g_assert_cmpint(machine_state(p.dst), ==,
                        more ? REALM_FAILED : REALM_IMPORT);
        g_byte_array_unref(record);
        pair_free(&p);
    }
}

#define TEST(name) g_test_add_func("/mig-pieces/" #name, test_##name)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    TEST(pieces_make_what_one_call_makes);
    TEST(one_call_goes_so_far_whatever_the_realm_has);
    TEST(ready_begins_anew_when_a_bundle_has_come);
    TEST(a_piece_takes_effect_and_the_realm_does_not_run);
    TEST(a_piece_goes_on_where_a_table_was_folded);
    TEST(a_refused_piece_loses_nothing);
    TEST(a_host_that_folds_behind_it_is_asked_for_nothing);
    TEST(what_the_host_takes_between_pieces_ends_the_import);
    TEST(ready_misses_a_page_that_went_between_its_pieces);
    TEST(a_rec_that_comes_between_pieces_stops_them);
    TEST(a_map_has_a_number_of_runs);
    TEST(a_map_with_more_runs_does_not_arrive);
    g_test_add_func("/mig-pieces/no_iv_is_used_twice", oracle_check);
    return g_test_run();
}
