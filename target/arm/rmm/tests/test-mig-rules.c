/*
 * What each side refuses, and that a refusal changes nothing
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

/* ---- what the source refuses ---- */

static void test_pages_leave_once_per_epoch_and_only_if_collected(void)
{
    Machine *src = source_new(&machine_defaults, 4);
    Machine *dst = machine_new(&machine_defaults);
    GRand *rand = rand_new();
    uint64_t ipa = 0;

    step_connect(src, dst);
    /* Not collected: nothing leaves, and the counter stays */
    g_assert_null(machine_send_pages(src, &ipa, 1, 0));
    g_array_unref(machine_collect(src));
    step_take(dst, machine_send_pages(src, &ipa, 1, 0));
    g_assert_null(machine_send_pages(src, &ipa, 1, 0));
    machine_scribble(src, 0, rand);
    g_assert_null(machine_send_pages(src, &ipa, 1, 0));
    REFUSES(src, MIG(src, MIG_COLLECT_DIRTY, 0, MACHINE_TOP, NS_BITMAP),
            REFUSED(MIG_CAUSE_SAME_EPOCH));
    step_epoch(src, dst);
    g_array_unref(machine_collect(src));
    step_take(dst, machine_send_pages(src, &ipa, 1, 0));
    g_rand_free(rand);
    machine_free(src);
    machine_free(dst);
}

#define BLOCK (2ull << 20)

/* A machine for one block, and one whose Realm has it, and pages around it */
static MachineParams large(void)
{
    MachineParams params = machine_defaults;

    params.granules = 3 * BLOCK / RMM_GRANULE_SIZE;
    return params;
}

static Machine *machine_new_with_block(void)
{
    const MachineParams params = large();
    Machine *m = machine_new(&params);

    machine_add_page(m, BLOCK - RMM_GRANULE_SIZE);
    machine_add_page(m, 2 * BLOCK);
    machine_table(m, BLOCK);
    m->next_granule = (m->next_granule + BLOCK - 1) / BLOCK * BLOCK;
    for (uint64_t at = 0; at < BLOCK; at += RMM_GRANULE_SIZE) {
        machine_add_page(m, BLOCK + at);
    }
    OK(SMC(m, RMI_RTT_FOLD, m->rd, BLOCK, 3));
    return m;
}

/* What the RMM counts as owed */
static uint64_t dirty_pages(Machine *m)
{
    RmmPages pages;

    g_assert_true(rmm_realm_pages(m->rmm, m->rd, &pages));
    return pages.dirty;
}

static bool leaves(Machine *m, uint64_t ipa)
{
    uint64_t out[4];

    memcpy(machine_ns(m, NS_LIST(0)), &ipa, sizeof(ipa));
    OK(MIG_OUT(m, out, MIG_EXPORT_MEMORY, NS_LIST(0), 1, NS_BLOB(0),
               MIG_MAX_BUNDLE, 0));
    return out[0] != 0;
}

/* Paused, and all out but pages: is START refused for those? */
static void owes_pages(Machine *m)
{
    OK(MIG(m, MIG_PAUSE));
    g_ptr_array_unref(machine_final_records(m));
    REFUSES(m, MIG(m, MIG_EXPORT_START, NS_BLOB(0), 4096, NS_LIST(0)),
            REFUSED(MIG_CAUSE_PAGES_DIRTY));
}

/*
 * A block has no dirty state for each of its pages: all of them are owed, none
 * leaves, and collecting stops there until the host unfolds it.
 */
static void test_collecting_stops_at_a_block(void)
{
    const MachineParams params = large();
    Machine *src = machine_new_with_block(), *dst = machine_new(&params);
    uint64_t *bits = machine_ns(src, NS_BITMAP), out[4];

    machine_activate(src);
    step_connect(src, dst);
    g_assert_cmpuint(dirty_pages(src), ==, 514);
    memset(bits, 0xff, 32 * sizeof(*bits));
    g_assert_cmphex(MIG_OUT(src, out, MIG_COLLECT_DIRTY, 0, 4 * BLOCK,
                            NS_BITMAP), ==, RMI_RESULT(RMI_ERROR_RTT, 2));
    g_assert_cmphex(out[0], ==, BLOCK);
    /* What is below was collected, and what is behind was not looked at */
    for (int i = 0; i < 32; i++) {
        g_assert_cmphex(bits[i], ==, i < 7 ? 0 : i == 7 ? 1ull << 63 : ~0ull);
    }
    g_assert_cmpuint(dirty_pages(src), ==, 514);
    g_assert_cmphex(MIG_OUT(src, out, MIG_COLLECT_DIRTY, BLOCK + 0x5000,
                            2 * BLOCK, NS_BITMAP), ==,
                    RMI_RESULT(RMI_ERROR_RTT, 2));
    g_assert_cmphex(out[0], ==, BLOCK);
    g_assert_cmphex(bits[0], ==, 0);
    /* From behind it on, a host may go on */
    OK(MIG_OUT(src, out, MIG_COLLECT_DIRTY, 2 * BLOCK, 3 * BLOCK, NS_BITMAP));
    g_assert_cmphex(out[0], ==, 1);

    g_assert_false(leaves(src, BLOCK));
    g_assert_false(leaves(src, BLOCK + 0x5000));
    OK(SMC(src, RMI_RTT_CREATE, src->rd, machine_granule(src), BLOCK, 3));
    g_assert_cmphex(SMC(src, RMI_RTT_FOLD, src->rd, BLOCK, 3), ==,
                    RMI_RESULT(RMI_ERROR_RTT, 3));
    g_assert_cmpuint(step_round(src, dst, 1, 256), ==, 514);
    step_finish(src, dst);
    same_realm(src, dst);
    machine_free(src);
    machine_free(dst);
}

/* A block that the Realm gave up has nothing to send; it is in the way too. */
static void test_no_start_token_while_there_is_a_block(void)
{
    for (int empty = 0; empty < 2; empty++) {
        const MachineParams params = large();
        Machine *src = machine_new_with_block(), *dst = machine_new(&params);
        RmmRealm *realm;
        uint64_t top;

        machine_activate(src);
        if (empty) {
            realm = realm_lock(src->rmm, src->rd);
            OK(rtt_set_ripas(realm, BLOCK, 2 * BLOCK, RTT_EMPTY, false, &top));
            realm_unlock(realm);
        }
        step_connect(src, dst);
        g_assert_cmphex(MIG(src, MIG_COLLECT_DIRTY, BLOCK, 2 * BLOCK,
                            NS_BITMAP), ==, RMI_RESULT(RMI_ERROR_RTT, 2));
        OK(MIG(src, MIG_COLLECT_DIRTY, 0, BLOCK, NS_BITMAP));
        OK(MIG(src, MIG_COLLECT_DIRTY, 2 * BLOCK, MACHINE_TOP, NS_BITMAP));
        g_assert_true(leaves(src, BLOCK - RMM_GRANULE_SIZE));
        g_assert_true(leaves(src, 2 * BLOCK));
        owes_pages(src);
        machine_free(src);
        machine_free(dst);
    }
}

/* ...and a destination that has one could not take a page of it away. */
static void test_a_realm_with_blocks_makes_no_offer(void)
{
    Machine *dst = machine_new_with_block();

    REFUSES(dst, MIG(dst, MIG_OFFER, NS_BLOB(0), 4096),
            RMI_RESULT(RMI_ERROR_RTT, 2));
    machine_free(dst);
}

/* ---- how far calls look ---- */

static unsigned looks;          /* at granules of tables and pages */
static void *(*plain_granule)(void *opaque, uint64_t pa);

static void *counting_granule(void *opaque, uint64_t pa)
{
    looks++;
    return plain_granule(opaque, pa);
}

static void start_counting(Machine *m)
{
    plain_granule = m->rmm->ops.granule;
    m->rmm->ops.granule = counting_granule;
    looks = 0;
}

static unsigned stop_counting(Machine *m)
{
    m->rmm->ops.granule = plain_granule;
    return looks;
}

#define PAGES_A_TABLE 32

static uint64_t scattered_ipa(unsigned i)
{
    return i * (BLOCK / PAGES_A_TABLE);
}

static Machine *scattered_new(unsigned tables)
{
    MachineParams params = machine_defaults;

    params.ext_flags &= ~RMI_REALM_EXT_MTE;
    params.granules = (PAGES_A_TABLE + 2) * tables + 100;
    return machine_new(&params);
}

/*
 * What COMMIT looks at when the Realm had a page here and there in @tables
 * tables, all of which went, and gave up its memory up to there as a whole.
 */
static unsigned looks_of_commit(unsigned tables)
{
    Machine *src = scattered_new(tables), *dst = scattered_new(tables);
    unsigned i, pages = tables * PAGES_A_TABLE, counted;
    RmmRealm *realm;
    uint64_t top;

    for (i = 0; i < pages; i++) {
        machine_add_page(src, scattered_ipa(i));
    }
    machine_activate(src);
    step_connect(src, dst);
    step_round(src, dst, 1, 256);
    for (i = 0; i < pages; i++) {
        OK(SMC(src, RMI_DATA_DESTROY, src->rd, scattered_ipa(i)));
    }
    realm = realm_lock(src->rmm, src->rd);
    rtt_set_ripas_import(realm, 0, tables * BLOCK, RTT_EMPTY, &top);
    realm_unlock(realm);
    step_seal(src, dst);
    start_counting(dst);
    step_run(dst);
    counted = stop_counting(dst);
    same_realm(src, dst);
    machine_free(src);
    machine_free(dst);
    return counted;
}

/* What EXPORT_BEGIN looks at */
static unsigned looks_of_begin(unsigned tables)
{
    Machine *src = scattered_new(tables), *dst = scattered_new(1);
    Record *offer;
    unsigned counted;

    for (unsigned i = 0; i < tables * PAGES_A_TABLE; i++) {
        machine_add_page(src, scattered_ipa(i));
    }
    machine_activate(src);
    OK(machine_prepare(src, dst));
    OK(machine_offer(dst, &offer));
    OK(machine_accept(src, offer));
    g_byte_array_unref(offer);
    start_counting(src);
    OK(MIG(src, MIG_EXPORT_BEGIN, NS_BLOB(0), MIG_MAX_BUNDLE));
    counted = stop_counting(src);
    machine_free(src);
    machine_free(dst);
    return counted;
}

static void test_begin_looks_at_no_table(void)
{
    /* But at the host's buffer */
    g_assert_cmpuint(looks_of_begin(40), ==, looks_of_begin(1));
}

/* Where the pages of scattered_above_gib are, from the first one on */
#define ABOVE MACHINE_RAM_TOP

/* A Realm in a session, with pages above an entry of 1 GiB without any */
static Machine *scattered_above_gib(unsigned tables, Machine **dst)
{
    Machine *src = scattered_new(tables + 1);

    *dst = scattered_new(tables + 1);
    OK(SMC(src, RMI_RTT_INIT_RIPAS, src->rd, ABOVE, 2 * ABOVE));
    for (unsigned i = 0; i < tables * PAGES_A_TABLE; i++) {
        machine_add_page(src, ABOVE + scattered_ipa(i));
    }
    machine_activate(src);
    step_connect(src, *dst);
    return src;
}

/*
 * What COLLECT_DIRTY looks at for the last of @tables tables at first, when the
 * session has come to the middle of the entry without pages.
 */
static unsigned looks_of_collect(unsigned tables)
{
    const uint64_t base = ABOVE + (tables - 1) * BLOCK;
    Machine *dst, *src = scattered_above_gib(tables, &dst);
    unsigned counted;

    OK(MIG(src, MIG_COLLECT_DIRTY, ABOVE - 0x2000, ABOVE - 0x1000, NS_BITMAP));
    start_counting(src);
    OK(MIG(src, MIG_COLLECT_DIRTY, base, base + BLOCK, NS_BITMAP));
    counted = stop_counting(src);
    machine_free(src);
    machine_free(dst);
    return counted;
}

static void test_collecting_looks_at_a_bounded_part_of_what_is_below(void)
{
    unsigned one = looks_of_collect(40), two = looks_of_collect(80);

    g_test_message("%u and %u", one, two);
    g_assert_cmpuint(one, ==, two);
}

/* Collect @table; returns how many calls said that they have to be repeated. */
static unsigned collect_table(Machine *m, unsigned table)
{
    const uint64_t base = ABOVE + table * BLOCK;
    uint64_t *bits = machine_ns(m, NS_BITMAP), out[4];

    for (unsigned calls = 0;; calls++) {
        const gint invalidations = m->invalidations;

        memset(bits, 0xff, BLOCK / RMM_GRANULE_SIZE / 8);
        OK(MIG_OUT(m, out, MIG_COLLECT_DIRTY, base, base + BLOCK, NS_BITMAP));
        if (!out[1]) {
            g_assert_cmpuint(out[0], ==, PAGES_A_TABLE);
            g_assert_cmphex(bits[0], ==, 0x0001000100010001);
            return calls;
        }
        /* Nothing was collected */
        g_assert_cmpuint(out[0], ==, 0);
        g_assert_cmphex(bits[0], ==, UINT64_MAX);
        g_assert_cmpint(m->invalidations, ==, invalidations);
        g_assert_false(leaves(m, base));
    }
}

/* A host may begin wherever it likes: it repeats calls, and loses nothing. */
static void test_ranges_are_collected_in_any_order(void)
{
    enum { TABLES = 20 };
    Machine *first, *src = scattered_above_gib(TABLES, &first);
    Machine *dst = scattered_new(TABLES + 1);

    /* An earlier session has left all pages clean */
    step_round(src, first, 1, 256);
    OK(MIG(src, MIG_EXPORT_ABORT));
    step_connect(src, dst);
    src->rmm->mig_entries = 1000;
    g_assert_cmpuint(collect_table(src, TABLES - 1), >=,
                     (TABLES - 1) * RTT_ENTRIES / 1000);
    g_assert_cmpuint(dirty_pages(src), ==, TABLES * PAGES_A_TABLE);
    for (int table = TABLES; table-- > 0;) {
        g_assert_cmpuint(collect_table(src, table), ==, 0);
    }
    g_assert_cmpuint(step_round(src, dst, 1, 256), ==, TABLES * PAGES_A_TABLE);
    step_finish(src, dst);
    same_realm(src, dst);
    machine_free(src);
    machine_free(first);
    machine_free(dst);
}

/*
 * So BEGIN leaves what an earlier session said of pages, which counts for
 * nothing: all of them are owed until they were collected in this one.
 */
static void test_an_earlier_session_sent_nothing_for_this_one(void)
{
    enum { PAGES = 8 };

    for (int half = 0; half < 2; half++) {
        Machine *src = source_new(&machine_defaults, PAGES);
        Machine *first = machine_new(&machine_defaults);
        Machine *dst = machine_new(&machine_defaults);

        step_connect(src, first);
        step_round(src, first, 1, 64);
        step_epoch(src, first);
        /* One page is PENDING, the others are clean */
        machine_scribble(src, page_ipa(1, PAGES), src->rand);
        g_array_unref(machine_collect(src));
        g_assert_cmpuint(dirty_pages(src), ==, 1);
        OK(MIG(src, MIG_EXPORT_ABORT));
        g_assert_cmpuint(dirty_pages(src), ==, 0);

        step_connect(src, dst);
        g_assert_cmpuint(dirty_pages(src), ==, PAGES);
        g_assert_false(leaves(src, page_ipa(1, PAGES)));
        if (half) {
            /* Not those in the upper half of RAM */
            OK(MIG(src, MIG_COLLECT_DIRTY, 0, BLOCK, NS_BITMAP));
            for (int i = 0; i < PAGES; i++) {
                g_assert_true(leaves(src, page_ipa(i, PAGES)) ==
                              (page_ipa(i, PAGES) < BLOCK));
            }
            owes_pages(src);
        } else {
            g_assert_cmpuint(step_round(src, dst, 1, 64), ==, PAGES);
            step_finish(src, dst);
            same_realm(src, dst);
        }
        machine_free(src);
        machine_free(first);
        machine_free(dst);
    }
}

static void test_commit_looks_at_each_entry_a_few_times(void)
{
    unsigned one = looks_of_commit(40), two = looks_of_commit(80);

    g_test_message("%u and %u", one, two);
    g_assert_cmpuint(two, <, 2 * one + one / 10);
}

/* What EXPORT_REALM looks at when the map goes out in small parts. */
static unsigned looks_of_map(unsigned tables)
{
    Machine *src = scattered_new(tables), *dst = scattered_new(tables);
    uint64_t buffer = bundle_size(0, sizeof(MigMutable)) +
                      PAGES_A_TABLE * sizeof(MigRun);
    uint64_t out[4], base = 0;
    unsigned i, counted;

    for (i = 0; i < tables * PAGES_A_TABLE; i++) {
        machine_add_page(src, scattered_ipa(i));
    }
    machine_activate(src);
    step_connect(src, dst);
    OK(MIG(src, MIG_PAUSE));
    start_counting(src);
    do {
        OK(MIG_OUT(src, out, MIG_EXPORT_REALM, NS_BLOB(0), buffer, base));
        base = out[1];
    } while (base);
    counted = stop_counting(src);
    machine_free(src);
    machine_free(dst);
    return counted;
}

static void test_a_part_of_the_map_looks_no_further_than_it_goes(void)
{
    unsigned one = looks_of_map(40), two = looks_of_map(80);

    g_test_message("%u and %u", one, two);
    g_assert_cmpuint(two, <, 2 * one + one / 10);
}

/* ---- PEs that have not given up their translations yet ---- */

typedef struct Late {
    Machine *src;
    uint8_t *page;              /* where a PE writes without a walk */
    GThread *sender;
} Late;

static gpointer send_first_page(gpointer opaque)
{
    Late *late = opaque;
    const uint64_t ipa = 0;

    return machine_send_pages(late->src, &ipa, 1, 1);
}

/* Its page is PENDING, and another thread wants it to leave. */
static void write_late(void *opaque)
{
    Late *late = opaque;
    MigSession *s = machine_session(late->src);

    g_assert_cmpint(g_atomic_int_get(&s->collecting), ==, 1);
    session_lock_all(s);        /* all streams are free */
    session_unlock_all(s);
    late->sender = g_thread_new("sender", send_first_page, late);
    for (int i = 0; i < 1000; i++) {
        g_thread_yield();       /* if it did not wait, it would read now */
    }
    late->page[0x123] ^= 0xff;
}

static void test_no_page_leaves_before_all_pes_know_that_it_is_clean(void)
{
    Machine *src = source_new(&machine_defaults, 4);
    Machine *dst = machine_new(&machine_defaults);
    Late late = { .src = src, .page = machine_page(src, 0, true, NULL) };

    step_connect(src, dst);
    src->on_sync = write_late;
    src->on_sync_opaque = &late;
    g_array_unref(machine_collect(src));
    src->on_sync = NULL;
    g_assert_nonnull(late.sender);
    step_take(dst, g_thread_join(late.sender));
    same_page(src, dst, 0);
    machine_free(src);
    machine_free(dst);
}

static void test_collecting_invalidates_once(void)
{
    Machine *src = source_new(&machine_defaults, 40);
    Machine *dst = machine_new(&machine_defaults);
    gint before;

    step_connect(src, dst);
    before = src->invalidations;
    g_array_unref(machine_collect(src));
    g_assert_cmpint(src->invalidations, ==, before + 1);
    machine_free(src);
    machine_free(dst);
}

/* "One round", step 2: a page that is clean is writable in no TLB. */
static void test_only_what_became_clean_is_invalidated(void)
{
    Machine *src = source_new(&machine_defaults, 40);
    Machine *dst = machine_new(&machine_defaults);
    uint64_t out[4], last;
    GArray *ipas;
    gint before;

    step_connect(src, dst);
    ipas = machine_collect(src);
    last = g_array_index(ipas, uint64_t, ipas->len - 1);
    g_array_unref(ipas);
    before = src->invalidations;
    /* All of them are pending, and none is dirty */
    OK(MIG_OUT(src, out, MIG_COLLECT_DIRTY, 0, MACHINE_TOP, NS_BITMAP));
    g_assert_cmpuint(out[0], ==, 40);
    g_assert_cmpint(src->invalidations, ==, before);
    g_assert_nonnull(machine_page(src, last, false, NULL));
    OK(MIG(src, MIG_COLLECT_DIRTY, 0, MACHINE_TOP, NS_BITMAP));
    g_assert_cmpint(src->invalidations, ==, before);

    g_assert_nonnull(machine_page(src, last, true, NULL));
    OK(MIG(src, MIG_COLLECT_DIRTY, 0, last, NS_BITMAP));
    g_assert_cmpint(src->invalidations, ==, before);
    OK(MIG_OUT(src, out, MIG_COLLECT_DIRTY, 0, MACHINE_TOP, NS_BITMAP));
    g_assert_cmpuint(out[0], ==, 40);
    g_assert_cmpint(src->invalidations, ==, before + 1);
    machine_free(src);
    machine_free(dst);
}

/* What was collected is dirty for an onlooker as long as it was not sent. */
static void test_pages_are_dirty_until_they_are_exported(void)
{
    Machine *src = source_new(&machine_defaults, 40);
    Machine *dst = machine_new(&machine_defaults);
    GArray *ipas;
    uint64_t ipa;

    step_connect(src, dst);
    ipas = machine_collect(src);
    ipa = g_array_index(ipas, uint64_t, 0);
    g_array_unref(ipas);
    g_assert_cmpuint(dirty_pages(src), ==, 40);
    g_assert_cmpuint(step_round(src, dst, 1, 16), ==, 40);
    g_assert_cmpuint(dirty_pages(src), ==, 0);
    g_assert_cmpuint(dirty_pages(dst), ==, 0);  /* it exports nothing */
    g_assert_nonnull(machine_page(src, ipa, true, NULL));
    g_assert_cmpuint(dirty_pages(src), ==, 1);
    machine_free(src);
    machine_free(dst);
}

static bool always(void *opaque)
{
    return true;
}

static void test_pages_are_clean_though_the_bitmap_was_lost(void)
{
    Machine *src = source_new(&machine_defaults, 4);
    Machine *dst = machine_new(&machine_defaults);
    gint before;

    step_connect(src, dst);
    before = src->invalidations;
    src->ns_gone = always;
    g_assert_cmphex(MIG(src, MIG_COLLECT_DIRTY, 0, MACHINE_TOP, NS_BITMAP), ==,
                    RMI_ERROR_INPUT);
    src->ns_gone = NULL;
    g_assert_cmpint(src->invalidations, ==, before + 1);
    g_assert_cmpint(machine_session(src)->collecting, ==, 0);
    machine_free(src);
    machine_free(dst);
}

static void test_no_start_token_while_anything_is_missing(void)
{
    Machine *src = source_new(&machine_defaults, 4);
    Machine *dst = machine_new(&machine_defaults);
    GRand *rand = rand_new();
    GArray *ipas;
    uint64_t result;

#define START MIG(src, MIG_EXPORT_START, NS_BLOB(0), 4096)
    step_connect(src, dst);
    REFUSES(src, START, REFUSED(MIG_CAUSE_STATE));
    step_round(src, dst, 1, 64);
    machine_scribble(src, 0, rand);
    OK(MIG(src, MIG_PAUSE));
    REFUSES(src, START, REFUSED(MIG_CAUSE_REALM_MISSING));
    step_take(dst, machine_export(src, MIG_EXPORT_REALM, 0, &result));
    REFUSES(src, MIG(src, MIG_EXPORT_REALM, NS_BLOB(0), 65536, 0),
            REFUSED(MIG_CAUSE_REALM_PART));
    for (unsigned i = 0; i < MACHINE_RECS; i++) {
        REFUSES(src, START, REFUSED(MIG_CAUSE_REC_MISSING));
        step_take(dst,
                  machine_export(src, MIG_EXPORT_REC, src->recs[i], &result));
        REFUSES(src, MIG(src, MIG_EXPORT_REC, src->recs[i], NS_BLOB(0),
                         65536 * 2), REFUSED(MIG_CAUSE_REC_REPEATED));
    }
    /* Dirty; then collected, but not sent */
    REFUSES(src, START, REFUSED(MIG_CAUSE_PAGES_DIRTY));
    step_epoch(src, dst);
    ipas = machine_collect(src);
    g_assert_cmpuint(ipas->len, ==, 1);
    REFUSES(src, START, REFUSED(MIG_CAUSE_PAGES_DIRTY));
    step_take(dst, machine_send_pages(src, (uint64_t *)ipas->data, 1, 0));
    /* All is out, but nobody says that it has come */
    REFUSES(src, START, RMI_ERROR_INPUT);
    step_take(dst, step_start(src, dst));
    REFUSES(src, START, RMI_SUCCESS);       /* the same token again */
    OK(MIG(dst, MIG_IMPORT_COMMIT));
    same_realm(src, dst);
#undef START
    g_array_unref(ipas);
    g_rand_free(rand);
    machine_free(src);
    machine_free(dst);
}

static void test_a_paused_realm_gets_nothing_and_does_not_run(void)
{
    Machine *src = source_new(&machine_defaults, 4);
    Machine *dst = machine_new(&machine_defaults);

    step_connect(src, dst);
    OK(MIG(src, MIG_PAUSE));
    g_assert_cmphex(SMC(src, RMI_DATA_CREATE_UNKNOWN, src->rd,
                        machine_granule(src), 0x10000), !=, RMI_SUCCESS);
    g_assert_cmphex(SMC(src, RMI_REC_ENTER, src->recs[0], NS_BITMAP), !=,
                    RMI_SUCCESS);
    machine_free(src);
    machine_free(dst);
}

static void test_bad_arguments_change_nothing(void)
{
    Machine *src = source_new(&machine_defaults, 4);
    Machine *dst = machine_new(&machine_defaults);
    const uint64_t nowhere = 0x1000, granule = MACHINE_GRANULES;
    uint64_t *list;

    REFUSES(dst, MIG(dst, MIG_OFFER, nowhere, 4096), RMI_ERROR_INPUT);
    REFUSES(dst, MIG(dst, MIG_OFFER, granule, 4096), RMI_ERROR_INPUT);
    REFUSES(dst, MIG(dst, MIG_OFFER, NS_BLOB(0), 16), RMI_ERROR_INPUT);
    REFUSES(src, MIG(src, MIG_ACCEPT, nowhere, sizeof(MigHello)),
            RMI_ERROR_INPUT);
    REFUSES(src, MIG(src, MIG_ACCEPT, granule, sizeof(MigHello)),
            RMI_ERROR_INPUT);
    OK(MIG(dst, MIG_OFFER, NS_BLOB(0), 4096));
    REFUSES(dst, MIG(dst, MIG_IMPORT_ABORT, nowhere, 4096), RMI_ERROR_INPUT);
    REFUSES(dst, MIG(dst, MIG_IMPORT_ABORT, NS_BLOB(0),
                     sizeof(MigAbort) - 1), RMI_ERROR_INPUT);
    machine_free(dst);
    dst = machine_new(&machine_defaults);
    REFUSES(dst, MIG(dst, MIG_SET_POLICY, nowhere, sizeof(MigPolicy)),
            RMI_ERROR_INPUT);
    step_connect(src, dst);
    list = machine_ns(src, NS_LIST(0));
    list[0] = 0;
    list[1] = 0x1234;
#define COLLECT(...) MIG(src, MIG_COLLECT_DIRTY, __VA_ARGS__)
    REFUSES(src, COLLECT(0, 0, NS_BITMAP), RMI_ERROR_INPUT);
    REFUSES(src, COLLECT(1, MACHINE_TOP, NS_BITMAP), RMI_ERROR_INPUT);
    REFUSES(src, COLLECT(0, MACHINE_TOP + 4096, NS_BITMAP), RMI_ERROR_INPUT);
    g_array_unref(machine_collect(src));
    REFUSES(src, COLLECT(0, MACHINE_TOP, nowhere), RMI_ERROR_INPUT);
#define EXPORT(...) MIG(src, MIG_EXPORT_MEMORY, __VA_ARGS__)
    REFUSES(src, EXPORT(NS_LIST(0), 0, NS_BLOB(0), MIG_MAX_BUNDLE, 0),
            RMI_ERROR_INPUT);
    REFUSES(src, EXPORT(NS_LIST(0), 513, NS_BLOB(0), MIG_MAX_BUNDLE, 0),
            RMI_ERROR_INPUT);
    REFUSES(src, EXPORT(NS_LIST(0), 2, NS_BLOB(0), MIG_MAX_BUNDLE, 0),
            RMI_ERROR_INPUT);
    REFUSES(src, EXPORT(nowhere, 1, NS_BLOB(0), MIG_MAX_BUNDLE, 0),
            RMI_ERROR_INPUT);
    REFUSES(src, EXPORT(NS_LIST(0), 1, NS_BLOB(0), 4096, 0),
            RMI_ERROR_INPUT);
    REFUSES(src, EXPORT(NS_LIST(0), 1, NS_BLOB(0), MIG_MAX_BUNDLE, 16),
            RMI_ERROR_INPUT);
    /* The page is taken, cannot be handed over, and is put back */
    REFUSES(src, EXPORT(NS_LIST(0), 1, nowhere, MIG_MAX_BUNDLE, 0),
            RMI_ERROR_INPUT);
    REFUSES(dst, MIG(dst, MIG_IMPORT, nowhere, 64), RMI_ERROR_INPUT);
    REFUSES(dst, MIG(dst, MIG_IMPORT_MEMORY, nowhere, 64, NS_LIST(0), 1),
            RMI_ERROR_INPUT);
    g_assert_cmphex(SMC(dst, MIG_FID_BASE + MIG_NUM_CALLS, dst->rd), ==,
                    SMCCC_NOT_SUPPORTED);
    g_assert_cmphex(SMC(dst, MIG_FID_BASE + MIG_PAUSE, nowhere), ==,
                    RMI_ERROR_INPUT);
#undef COLLECT
#undef EXPORT
    step_epoch(src, dst);
    step_round(src, dst, 1, 64);
    step_finish(src, dst);
    same_realm(src, dst);
    machine_free(src);
    machine_free(dst);
}

/* Every call in a phase that does not have it */
static void test_calls_out_of_phase_change_nothing(void)
{
    static const unsigned calls[] = {
        MIG_EXPORT_BEGIN, MIG_COLLECT_DIRTY, MIG_EXPORT_MEMORY,
        MIG_EXPORT_EPOCH, MIG_PAUSE, MIG_EXPORT_REALM, MIG_EXPORT_REC,
        MIG_EXPORT_START, MIG_EXPORT_ABORT, MIG_IMPORT, MIG_IMPORT_MEMORY,
        MIG_IMPORT_COMMIT, MIG_IMPORT_ABORT, MIG_EXPORT_RESUME,
        MIG_IMPORT_READY, MIG_IMPORT_RECEIPT, MIG_EXPORT_FINISH,
    };
    Machine *idle = source_new(&machine_defaults, 4);
    Machine *dst = machine_new(&machine_defaults);

    for (size_t i = 0; i < G_N_ELEMENTS(calls); i++) {
        REFUSES(idle, MIG(idle, calls[i], NS_BLOB(0), 4096, NS_BLOB(0), 4096,
                          1), REFUSED(MIG_CAUSE_STATE));
    }
    OK(MIG(dst, MIG_OFFER, NS_BLOB(0), 4096));
    for (size_t i = 0; i < G_N_ELEMENTS(calls); i++) {
        if (calls[i] != MIG_IMPORT && calls[i] != MIG_IMPORT_ABORT) {
            REFUSES(dst, MIG(dst, calls[i], NS_BLOB(0), 4096, NS_BLOB(0),
                             4096, 1), REFUSED(MIG_CAUSE_STATE));
        }
    }
    machine_free(idle);
    machine_free(dst);
}

/* ---- what the destination's host has to put right ---- */

static void test_a_missing_table_or_granule_can_be_put_right(void)
{
    Machine *src = source_new(&machine_defaults, 4);
    Machine *dst = machine_new(&machine_defaults);
    uint64_t ipas[2] = { 0, RMM_GRANULE_SIZE }, *granules;
    uint64_t out[4], used;
    Record *record;

    step_connect(src, dst);
    g_array_unref(machine_collect(src));
    record = machine_send_pages(src, ipas, 2, 0);
    memcpy(machine_ns(dst, NS_BLOB(0)), record->data, record->len);
    granules = machine_ns(dst, NS_LIST(0));
    granules[0] = machine_granule(dst);
    granules[1] = machine_granule(dst);
#define IMPORT MIG_OUT(dst, out, MIG_IMPORT_MEMORY, NS_BLOB(0), record->len, \
                       NS_LIST(0), 2)
    REFUSES(dst, IMPORT, RMI_RESULT(RMI_ERROR_RTT, 1));
    machine_table(dst, 0);
    /* Not delegated; then the same twice */
    used = granules[1];
    granules[1] = 0;
    REFUSES(dst, IMPORT, RMI_ERROR_INPUT);
    g_assert_cmphex(out[0], ==, RMM_GRANULE_SIZE);
    granules[1] = granules[0];
    REFUSES(dst, IMPORT, RMI_ERROR_INPUT);
    g_assert_cmphex(out[0], ==, RMM_GRANULE_SIZE);
    granules[1] = used;
    REFUSES(dst, MIG(dst, MIG_IMPORT_MEMORY, NS_BLOB(0), record->len,
                     NS_LIST(0), 1), RMI_ERROR_INPUT);
    OK(IMPORT);
#undef IMPORT
    same_page(src, dst, 0);
    same_page(src, dst, RMM_GRANULE_SIZE);
    g_byte_array_unref(record);
    machine_free(src);
    machine_free(dst);
}

#define READY(dst, out) MIG_OUT(dst, out, MIG_IMPORT_READY, NS_BLOB(0), 4096)

/* READY does; and COMMIT, if the host has folded it in between. */
static void test_ready_and_commit_name_the_table_that_is_missing(void)
{
    Machine *src = source_new(&machine_defaults, 4);
    Machine *dst = machine_new(&machine_defaults);
    const uint64_t hole = 100ull << 20;
    uint64_t out[4], top;
    RmmRealm *realm;

    machine_table(src, hole);
    realm = realm_lock(src->rmm, src->rd);
    OK(rtt_set_ripas(realm, hole + 0x3000, hole + 0x4000, RTT_EMPTY, true,
                     &top));
    realm_unlock(realm);
    step_all_but_start(src, dst);
    REFUSES(dst, READY(dst, out), RMI_RESULT(RMI_ERROR_RTT, 2));
    g_assert_cmphex(out[0], ==, 0);
    g_assert_cmphex(out[1], ==, hole + 0x3000);
    machine_table(dst, hole);
    step_take(dst, step_start(src, dst));
    OK(SMC(dst, RMI_RTT_FOLD, dst->rd, hole, 3));
    REFUSES(dst, MIG_OUT(dst, out, MIG_IMPORT_COMMIT),
            RMI_RESULT(RMI_ERROR_RTT, 2));
    g_assert_cmphex(out[0], ==, hole + 0x3000);
    OK(SMC(dst, RMI_RTT_CREATE, dst->rd, machine_granule(dst), hole, 3));
    step_run(dst);
    same_realm(src, dst);
    machine_free(src);
    machine_free(dst);
}

static void test_a_rec_that_the_host_adds_late_stops_the_commit(void)
{
    Machine *src = source_new(&machine_defaults, 4);
    Machine *dst = machine_new(&machine_defaults);

    step_all_but_start(src, dst);
    step_take(dst, step_start(src, dst));
    machine_add_rec(dst, MACHINE_RECS);
    REFUSES(dst, MIG(dst, MIG_IMPORT_COMMIT), REFUSED(MIG_CAUSE_REC_EXTRA));
    g_assert_cmpint(machine_state(dst), ==, REALM_IMPORT);
    machine_free(src);
    machine_free(dst);
}

static void test_pages_that_the_host_put_there_before_do_not_stay(void)
{
    Machine *src = source_new(&machine_defaults, 4);
    Machine *dst = machine_new(&machine_defaults);

    /* RAM that no page of the source covers, and RIPAS EMPTY where one is */
    machine_add_page(dst, 0x80000);
    machine_add_page(dst, 0);
    step_connect(src, dst);
    step_round(src, dst, 1, 64);
    step_finish(src, dst);
    same_realm(src, dst);
    g_assert_null(machine_page(dst, 0x80000, false, NULL));
    machine_free(src);
    machine_free(dst);
}

static void test_a_realm_that_arrives_does_not_run(void)
{
    Machine *src = source_new(&machine_defaults, 4);
    Machine *dst = machine_new(&machine_defaults);

    step_connect(src, dst);
    step_round(src, dst, 1, 64);
    REFUSES(dst, RMI_STATUS(SMC(dst, RMI_REALM_ACTIVATE, dst->rd)),
            RMI_ERROR_REALM);
    REFUSES(dst, RMI_STATUS(SMC(dst, RMI_REC_ENTER, dst->recs[0],
                                NS_BITMAP)), RMI_ERROR_REALM);
    machine_free(src);
    machine_free(dst);
}

static void test_a_machine_that_refuses_a_context_fails_the_import(void)
{
    Machine *src = source_new(&machine_defaults, 4);
    Machine *dst = machine_new(&machine_defaults);
    Record *record;
    uint64_t result;

    dst->refuse_context = true;
    step_connect(src, dst);
    OK(MIG(src, MIG_PAUSE));
    record = machine_export(src, MIG_EXPORT_REC, src->recs[0], &result);
    g_assert_cmphex(machine_receive(dst, record), ==,
                    REFUSED(MIG_CAUSE_CONTEXT_REFUSED));
    g_assert_cmpint(machine_state(dst), ==, REALM_FAILED);
    g_byte_array_unref(record);
    machine_free(src);
    machine_free(dst);
}

static void test_a_rec_whose_context_nobody_has_does_not_leave(void)
{
    Machine *src = source_new(&machine_defaults, 4);
    Machine *dst = machine_new(&machine_defaults);
    Record *record;
    uint64_t result;

    step_connect(src, dst);
    OK(MIG(src, MIG_PAUSE));
    src->refuse_context = true;
    REFUSES(src, MIG(src, MIG_EXPORT_REC, src->recs[0], NS_BLOB(0),
                     MIG_MAX_BUNDLE), REFUSED(MIG_CAUSE_CONTEXT));
    src->refuse_context = false;
    record = machine_export(src, MIG_EXPORT_REC, src->recs[0], &result);
    OK(result);
    g_byte_array_unref(record);
    machine_free(src);
    machine_free(dst);
}

static void test_a_realm_that_runs_is_not_paused(void)
{
    Machine *src = source_new(&machine_defaults, 4);
    Machine *dst = machine_new(&machine_defaults);
    RmmPe pe = { .x = { RMI_REC_ENTER, src->recs[0], NS_BITMAP } };

    step_connect(src, dst);
    memset(machine_ns(src, NS_BITMAP), 0, sizeof(RmiRecRun));
    rmm_call(src->rmm, &pe);
    g_assert_cmpint(pe.world, ==, RMM_WORLD_REALM);
    REFUSES(src, MIG(src, MIG_PAUSE), REFUSED(MIG_CAUSE_RECS_RUNNING));
    take_interrupt(src->rmm, &pe);
    OK(MIG(src, MIG_PAUSE));
    machine_free(src);
    machine_free(dst);
}

static void no_secret_left(Machine *m)
{
    static const uint8_t zero[CRYPTO_KEY_SIZE];
    MigSession *s = machine_session(m);

    g_assert_cmpmem(s->key, sizeof(s->key), zero, sizeof(zero));
    g_assert_cmpmem(s->secret, sizeof(s->secret), zero, sizeof(zero));
    for (int i = 0; i < MIG_MAX_STREAMS; i++) {
        g_assert_null(s->streams[i].aead);
        g_assert_null(s->streams[i].scratch);
    }
}

static void test_every_end_of_a_session_wipes_its_keys(void)
{
    for (int end = 0; end < 4; end++) {
        Machine *src = source_new(&machine_defaults, 4);
        Machine *dst = machine_new(&machine_defaults);
        Record *bad = g_byte_array_new();

        step_connect(src, dst);
        step_round(src, dst, 2, 2);
        switch (end) {
        case 0:
            step_finish(src, dst);
            break;
        case 1:
            OK(MIG(src, MIG_EXPORT_ABORT));
            OK(MIG(dst, MIG_IMPORT_ABORT, NS_BLOB(0), 4096));
            break;
        case 2:
            OK(MIG(src, MIG_EXPORT_ABORT));
            g_byte_array_set_size(bad, 64);
            g_assert_cmphex(machine_receive(dst, bad), ==,
                            REFUSED(MIG_CAUSE_FORMAT));
            break;
        default:
            OK(MIG(src, MIG_EXPORT_ABORT));
            g_byte_array_set_size(bad, 64);
            memset(bad->data, 0, 64);
            bad->data[6] = MIG_TYPE_MEMORY;
            g_assert_cmphex(machine_receive(dst, bad), ==,
                            REFUSED(MIG_CAUSE_FORMAT));
            break;
        }
        g_assert_cmpint(machine_state(dst), ==,
                        end ? REALM_FAILED : REALM_ACTIVE);
        no_secret_left(src);
        no_secret_left(dst);
        g_byte_array_unref(bad);
        machine_free(src);
        machine_free(dst);
    }
}

static void test_an_aborted_import_is_final(void)
{
    Machine *src = source_new(&machine_defaults, 4);
    Machine *dst = machine_new(&machine_defaults);
    uint64_t result;
    Record *token;

    step_connect(src, dst);
    OK(MIG(dst, MIG_IMPORT_ABORT, NS_BLOB(0), 4096));
    g_assert_cmpint(machine_state(dst), ==, REALM_FAILED);
    token = machine_export(src, MIG_EXPORT_EPOCH, 0, &result);
    REFUSES(dst, machine_receive(dst, token), REFUSED(MIG_CAUSE_STATE));
    REFUSES(dst, MIG(dst, MIG_IMPORT_COMMIT), REFUSED(MIG_CAUSE_STATE));
    REFUSES(dst, MIG(dst, MIG_OFFER, NS_BLOB(0), 4096),
            REFUSED(MIG_CAUSE_STATE));
    g_byte_array_unref(token);
    machine_free(src);
    machine_free(dst);
}

#define TEST(name) g_test_add_func("/mig-rules/" #name, test_##name)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    TEST(pages_leave_once_per_epoch_and_only_if_collected);
    TEST(collecting_stops_at_a_block);
    TEST(no_start_token_while_there_is_a_block);
    TEST(begin_looks_at_no_table);
    TEST(collecting_looks_at_a_bounded_part_of_what_is_below);
    TEST(ranges_are_collected_in_any_order);
    TEST(an_earlier_session_sent_nothing_for_this_one);
    TEST(a_realm_with_blocks_makes_no_offer);
    TEST(commit_looks_at_each_entry_a_few_times);
    TEST(a_part_of_the_map_looks_no_further_than_it_goes);
    TEST(no_page_leaves_before_all_pes_know_that_it_is_clean);
    TEST(collecting_invalidates_once);
    TEST(only_what_became_clean_is_invalidated);
    TEST(pages_are_dirty_until_they_are_exported);
    TEST(pages_are_clean_though_the_bitmap_was_lost);
    TEST(no_start_token_while_anything_is_missing);
    TEST(a_paused_realm_gets_nothing_and_does_not_run);
    TEST(bad_arguments_change_nothing);
    TEST(calls_out_of_phase_change_nothing);
    TEST(a_missing_table_or_granule_can_be_put_right);
    TEST(ready_and_commit_name_the_table_that_is_missing);
    TEST(a_rec_that_the_host_adds_late_stops_the_commit);
    TEST(pages_that_the_host_put_there_before_do_not_stay);
    TEST(a_realm_that_arrives_does_not_run);
    TEST(a_machine_that_refuses_a_context_fails_the_import);
    TEST(a_rec_whose_context_nobody_has_does_not_leave);
    TEST(a_realm_that_runs_is_not_paused);
    TEST(every_end_of_a_session_wipes_its_keys);
    TEST(an_aborted_import_is_final);
    g_test_add_func("/mig-rules/no_iv_is_used_twice", oracle_check);
    return g_test_run();
}
