/*
 * The host takes back a page, a table or a REC, at any time
 *
 * The table of "Taking back" in docs/specs/realm-migration-stream.rst: each
 * phase with each call.  The call always works; a session that relied on what
 * was there is over; and what the Realm meets is DESTROYED or, if it goes on
 * where it was left, what it had.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "granule.h"
#include "mig-oracle.h"
#include "mig-steps.h"
#include "rec.h"
#include "rmm-internal.h"
#include "rtt.h"
#include "session.h"

#define LOST_IPA   0ull                 /* page_ipa(0, 4) */
#define TABLE_IPA  (512ull << 20)       /* a table with no page in it */
#define NS_IPA     MACHINE_TOP          /* unprotected, with a table */

typedef enum Taking { A_PAGE, A_TABLE, A_REC, LENT_TABLE, TAKINGS } Taking;

/* Where the session is when the host takes something from @at_dst or not */
typedef enum Moment {
    AT_ACCEPTED, AT_EXPORTING, AT_PAUSED, AT_SEALED, AT_GONE,
    AT_OFFERED, AT_IMPORTING, AT_STARTED, AT_FAILED, MOMENTS
} Moment;

typedef struct Pair {
    Machine *src, *dst;
} Pair;

static bool at_destination(Moment moment)
{
    return moment >= AT_OFFERED;
}

static Machine *with_tables(Machine *m)
{
    machine_table(m, TABLE_IPA);
    machine_table(m, NS_IPA);
    return m;
}

static Pair pair_at(Moment moment)
{
    Pair p = { with_tables(source_new(&machine_defaults, 4)),
               with_tables(machine_new(&machine_defaults)) };
    Record *offer, *begin;
    uint64_t result;

    /* So that there is a page to take in each moment */
    machine_add_page(p.dst, LOST_IPA);
    OK(machine_prepare(p.src, p.dst));
    OK(machine_offer(p.dst, &offer));
    OK(machine_accept(p.src, offer));
    g_byte_array_unref(offer);
    if (moment != AT_ACCEPTED && moment != AT_OFFERED) {
        begin = machine_export(p.src, MIG_EXPORT_BEGIN, 0, &result);
        step_take(p.dst, begin);
        step_round(p.src, p.dst, 1, 64);
    }
    if (moment == AT_PAUSED) {
        OK(MIG(p.src, MIG_PAUSE));
    }
    if (moment == AT_SEALED || moment == AT_STARTED || moment == AT_GONE) {
        step_seal(p.src, p.dst);
    }
    if (moment == AT_GONE) {
        step_run(p.dst);
        OK(machine_receipt(p.dst, &begin));
        OK(machine_finish(p.src, begin));
        g_byte_array_unref(begin);
    }
    if (moment == AT_FAILED) {
        OK(MIG(p.dst, MIG_IMPORT_ABORT, NS_BLOB(0), 4096));
    }
    return p;
}

static void pair_free(Pair *p)
{
    machine_free(p->src);
    machine_free(p->dst);
}

static void take(Machine *m, Taking what)
{
    uint64_t out[4];

    switch (what) {
    case A_PAGE:
        OK(SMC_OUT(m, out, RMI_DATA_DESTROY, m->rd, LOST_IPA));
        OK(SMC(m, RMI_GRANULE_UNDELEGATE, out[0]));
        break;
    case A_TABLE:
        OK(SMC(m, RMI_RTT_DESTROY, m->rd, TABLE_IPA, 3));
        break;
    case A_REC:
        OK(SMC(m, RMI_REC_DESTROY, m->recs[MACHINE_RECS - 1]));
        break;
    default:
        OK(SMC(m, RMI_RTT_DESTROY, m->rd, NS_IPA, 3));
        break;
    }
}

/* What the host has taken is DESTROYED where the Realm was, and no page */
static void is_destroyed(Machine *m, Taking what)
{
    uint64_t ipa = what == A_PAGE ? LOST_IPA : TABLE_IPA;
    uint64_t out[4];

    if (what == A_PAGE || what == A_TABLE) {
        OK(SMC_OUT(m, out, RMI_RTT_READ_ENTRY, m->rd, ipa,
                   what == A_PAGE ? 3 : 2));
        g_assert_cmphex(out[1], !=, RMI_ASSIGNED);
        g_assert_cmphex(out[2] & 0xff, ==, out[2]);
        g_assert_null(machine_page(m, ipa, false, NULL));
    }
}

#define EVERY_EXPORT_OF_A_PAUSED(src, want) do { \
        REFUSES(src, MIG(src, MIG_COLLECT_DIRTY, 0, MACHINE_TOP, NS_BITMAP), \
                want); \
        REFUSES(src, MIG(src, MIG_EXPORT_MEMORY, NS_LIST(0), 1, NS_BLOB(0), \
                         MIG_MAX_BUNDLE, 0), want); \
        REFUSES(src, MIG(src, MIG_EXPORT_EPOCH, NS_BLOB(0), 4096), want); \
        REFUSES(src, MIG(src, MIG_EXPORT_REALM, NS_BLOB(0), 65536, 0), want); \
        REFUSES(src, MIG(src, MIG_EXPORT_REC, (src)->recs[0], NS_BLOB(0), \
                         MIG_MAX_BUNDLE), want); \
        REFUSES(src, MIG(src, MIG_EXPORT_START, NS_BLOB(0), 4096, \
                         NS_LIST(0)), want); \
    } while (0)

/* The source, paused: it goes back, and nowhere else. */
static void test_a_paused_source_can_only_go_back(void)
{
    for (Taking what = 0; what < LENT_TABLE; what++) {
        Pair p = pair_at(AT_PAUSED);
        Machine *other = machine_new(&machine_defaults);

        take(p.src, what);
        EVERY_EXPORT_OF_A_PAUSED(p.src, REFUSED(MIG_CAUSE_RECLAIMED));
        g_assert_cmpint(machine_state(p.src), ==, REALM_EXPORT_PAUSED);
        OK(MIG(p.src, MIG_EXPORT_ABORT));
        g_assert_cmpint(machine_state(p.src), ==, REALM_ACTIVE);
        is_destroyed(p.src, what);
        /* And migrates as it is now */
        if (what != A_REC) {
            step_connect(p.src, other);
            step_round(p.src, other, 1, 64);
            machine_table(other, TABLE_IPA);
            step_finish(p.src, other);
            is_destroyed(other, A_PAGE * (what == A_PAGE) +
                                A_REC * (what != A_PAGE));
        }
        machine_free(other);
        pair_free(&p);
    }
}

/* A page that is dirty when it goes was sent as it had been before. */
static void test_no_older_page_takes_the_place_of_one_that_is_gone(void)
{
    Pair p = pair_at(AT_EXPORTING);
    uint64_t result;

    machine_page(p.src, LOST_IPA, true, NULL)[5] ^= 1;
    OK(MIG(p.src, MIG_PAUSE));
    step_take(p.dst, machine_export(p.src, MIG_EXPORT_REALM, 0, &result));
    for (unsigned i = 0; i < MACHINE_RECS; i++) {
        step_take(p.dst, machine_export(p.src, MIG_EXPORT_REC,
                                        p.src->recs[i], &result));
    }
    take(p.src, A_PAGE);
    /* Nothing is dirty any more, and the map names the page */
    REFUSES(p.src, MIG(p.src, MIG_EXPORT_START, NS_BLOB(0), 4096),
            REFUSED(MIG_CAUSE_RECLAIMED));
    REFUSES(p.dst, MIG(p.dst, MIG_IMPORT_COMMIT),
            REFUSED(MIG_CAUSE_START_MISSING));
    pair_free(&p);
}

/* The destination: whatever comes next is refused, and the import is over. */
static void test_an_import_that_loses_something_fails(void)
{
    for (Moment at = AT_OFFERED; at <= AT_STARTED; at++) {
        /* Until the start token, a page is only missing */
        for (Taking what = at == AT_STARTED ? A_PAGE : A_TABLE;
             what < LENT_TABLE; what++) {
            Pair p = pair_at(at);
            Record *token;

            take(p.dst, what);
            g_assert_cmphex(at == AT_STARTED ? MIG(p.dst, MIG_IMPORT_COMMIT) :
                            at == AT_IMPORTING && what == A_REC
                            ? MIG(p.dst, MIG_IMPORT_READY, NS_BLOB(0), 64)
                            : MIG(p.dst, MIG_IMPORT, NS_BLOB(0), 64), ==,
                            REFUSED(MIG_CAUSE_RECLAIMED));
            g_assert_cmpint(machine_state(p.dst), ==, REALM_FAILED);
            REFUSES(p.dst, MIG(p.dst, MIG_IMPORT_COMMIT),
                    REFUSED(MIG_CAUSE_STATE));
            is_destroyed(p.dst, what);
            OK(machine_abort(p.dst, &token));
            if (at == AT_STARTED) {
                OK(machine_resume(p.src, token));
                g_assert_cmpint(machine_state(p.src), ==, REALM_ACTIVE);
            }
            g_byte_array_unref(token);
            pair_free(&p);
        }
    }
}

/* IMPORT_ABORT works without another call before it. */
static void test_an_import_that_lost_something_gives_its_token(void)
{
    for (Moment at = AT_OFFERED; at <= AT_STARTED; at++) {
        Pair p = pair_at(at);
        Record *token;

        take(p.dst, A_TABLE);
        OK(machine_abort(p.dst, &token));
        g_assert_cmpint(machine_state(p.dst), ==, REALM_FAILED);
        g_byte_array_unref(token);
        pair_free(&p);
    }
}

static gpointer take_at_once(gpointer opaque)
{
    Machine *m = opaque;
    RmmRealm *realm = realm_lock(m->rmm, m->rd);
    uint64_t data, top;

    rtt_data_destroy(realm, LOST_IPA, &data, &top);
    realm_unlock(realm);
    m->rmm->ops.tlb_sync(m->rmm->opaque);
    return NULL;
}

/* The host takes a page, on another PE, when the RMM asks for its memory. */
static bool take_meanwhile(void *opaque)
{
    g_thread_join(g_thread_new("taker", take_at_once, opaque));
    return false;
}

/* The dispatcher has looked, and the handler looks again. */
static void test_a_page_that_goes_during_a_call_counts(void)
{
    Pair p = pair_at(AT_PAUSED);
    const uint64_t ipa = LOST_IPA;

    memcpy(machine_ns(p.src, NS_LIST(0)), &ipa, sizeof(ipa));
    p.src->ns_gone = take_meanwhile;
    p.src->ns_gone_opaque = p.src;
    g_assert_cmphex(MIG(p.src, MIG_EXPORT_MEMORY, NS_LIST(0), 1, NS_BLOB(0),
                        MIG_MAX_BUNDLE, 0), ==, REFUSED(MIG_CAUSE_RECLAIMED));
    p.src->ns_gone = NULL;
    OK(MIG(p.src, MIG_EXPORT_ABORT));
    g_assert_cmpint(machine_state(p.src), ==, REALM_ACTIVE);
    pair_free(&p);
}

/* ---- pages that are only missing ---- */

/* All but the start token comes; the destination gets @ready */
static uint64_t end_import(Pair *p, uint64_t out[4])
{
    GPtrArray *records;

    OK(MIG(p->src, MIG_PAUSE));
    records = machine_final_records(p->src);
    for (guint i = 0; i < records->len; i++) {
        OK(machine_receive(p->dst, records->pdata[i]));
    }
    g_ptr_array_unref(records);
    return MIG_OUT(p->dst, out, MIG_IMPORT_READY, NS_BLOB(0), 4096);
}

/* READY waits for it, and names it. */
static void test_ready_wants_a_page_that_went(void)
{
    Pair p = pair_at(AT_IMPORTING);
    uint64_t out[4];

    take(p.dst, A_PAGE);
    g_assert_cmpint(machine_state(p.dst), ==, REALM_IMPORT);
    is_destroyed(p.dst, A_PAGE);
    g_assert_cmphex(end_import(&p, out), ==, REFUSED(MIG_CAUSE_PAGE_MISSING));
    g_assert_cmphex(out[1], ==, LOST_IPA);
    REFUSES(p.dst, MIG(p.dst, MIG_IMPORT_READY, NS_BLOB(0), 4096),
            REFUSED(MIG_CAUSE_PAGE_MISSING));
    g_assert_cmpint(machine_state(p.dst), ==, REALM_IMPORT);
    pair_free(&p);
}

/* What went after READY is missed by COMMIT: the source gets its Realm back. */
static void test_commit_wants_a_page_that_went_after_ready(void)
{
    Pair p = pair_at(AT_IMPORTING);
    uint64_t out[4], result;
    Record *token;

    OK(end_import(&p, out));
    memcpy(machine_ns(p.src, NS_LIST(0)), machine_ns(p.dst, NS_BLOB(0)),
           out[0]);
    take(p.dst, A_PAGE);
    result = MIG_OUT(p.src, out, MIG_EXPORT_START, NS_BLOB(0), 4096,
                     NS_LIST(0));
    step_take(p.dst, machine_record(p.src, result, out[0], 0));
    REFUSES(p.dst, MIG_OUT(p.dst, out, MIG_IMPORT_COMMIT),
            REFUSED(MIG_CAUSE_PAGE_MISSING));
    g_assert_cmphex(out[0], ==, LOST_IPA);
    g_assert_cmpint(machine_state(p.dst), ==, REALM_IMPORT);
    OK(machine_abort(p.dst, &token));
    OK(machine_resume(p.src, token));
    g_assert_cmpint(machine_state(p.src), ==, REALM_ACTIVE);
    g_byte_array_unref(token);
    pair_free(&p);
}

/* The Realm wrote to the page since, so that it comes again. */
static void test_a_later_bundle_brings_a_page_that_went(void)
{
    for (Moment at = AT_OFFERED; at <= AT_IMPORTING; at++) {
        Pair p = pair_at(at);
        uint64_t result;

        take(p.dst, A_PAGE);
        if (at == AT_OFFERED) {
            step_take(p.dst, machine_export(p.src, MIG_EXPORT_BEGIN, 0,
                                            &result));
        } else {
            step_epoch(p.src, p.dst);
            machine_scribble(p.src, LOST_IPA, p.src->rand);
        }
        g_assert_cmpuint(step_round(p.src, p.dst, 1, 64), ==,
                         at == AT_OFFERED ? 4 : 1);
        step_finish(p.src, p.dst);
        same_realm(p.src, p.dst);
        pair_free(&p);
    }
}

/* What was private in one round is shared in a later one: no page at the end */
static void test_a_page_that_the_realm_gave_up_may_go(void)
{
    Pair p = pair_at(AT_IMPORTING);
    RmmRealm *realm = realm_lock(p.src->rmm, p.src->rd);
    uint64_t out[4], top;

    OK(rtt_set_ripas(realm, LOST_IPA, LOST_IPA + RMM_GRANULE_SIZE, RTT_EMPTY,
                     false, &top));
    realm_unlock(realm);
    take(p.dst, A_PAGE);
    step_finish(p.src, p.dst);
    OK(SMC_OUT(p.dst, out, RMI_RTT_READ_ENTRY, p.dst->rd, LOST_IPA, 3));
    g_assert_cmphex(out[1], ==, RMI_UNASSIGNED);
    g_assert_cmphex(out[3], ==, RMI_RIPAS_EMPTY);
    pair_free(&p);
}

/* ---- pages that go while a bundle is on its way in ---- */

#define MANY 40                         /* pages: three holds of the lock */
#define HOSTS 0xee                      /* what the host writes to its own */

/* What the host has taken and has again; 0: it could not take the page */
static uint64_t taken[MANY];

static void host_takes(Machine *m, unsigned i)
{
    uint64_t out[4];

    if (SMC_OUT(m, out, RMI_DATA_DESTROY, m->rd, page_ipa(i, MANY)) ==
        RMI_SUCCESS) {
        taken[i] = out[0];
        OK(SMC(m, RMI_GRANULE_UNDELEGATE, taken[i]));
        memset(m->granules + (taken[i] - MACHINE_GRANULES), HOSTS,
               RMM_GRANULE_SIZE);
    }
}

/*
 * The host's memory is as it left it, and what it did not take has come.
 * Returns how many pages are missing.
 */
static unsigned check_taken(Pair *p)
{
    uint8_t hosts[RMM_GRANULE_SIZE];
    unsigned n = 0;

    memset(hosts, HOSTS, sizeof(hosts));
    g_assert_cmpint(machine_state(p->dst), ==, REALM_IMPORT);
    for (unsigned i = 0; i < MANY; i++) {
        if (taken[i]) {
            g_assert_cmpmem(p->dst->granules + (taken[i] - MACHINE_GRANULES),
                            RMM_GRANULE_SIZE, hosts, sizeof(hosts));
        }
        /* What went before its bundle came is there all the same */
        if (machine_page(p->dst, page_ipa(i, MANY), false, NULL)) {
            same_page(p->src, p->dst, page_ipa(i, MANY));
        } else {
            g_assert_cmphex(taken[i], !=, 0);
            n++;
        }
    }
    return n;
}

static Pair pair_of_many(void)
{
    MachineParams params = machine_defaults;
    Pair p;

    params.granules = 800;
    p.src = source_new(&params, MANY);
    p.dst = machine_new(&params);
    step_connect(p.src, p.dst);
    for (unsigned i = 0; i < MANY; i++) {
        machine_table(p.dst, page_ipa(i, MANY));
    }
    g_array_unref(machine_collect(p.src));
    memset(taken, 0, sizeof(taken));
    return p;
}

/* What went comes in the next epoch, and the Realm arrives. */
static void bring_again(Pair *p)
{
    step_epoch(p->src, p->dst);
    for (unsigned i = 0; i < MANY; i++) {
        if (taken[i]) {
            machine_scribble(p->src, page_ipa(i, MANY), p->src->rand);
        }
    }
    step_round(p->src, p->dst, 1, MANY);
    step_finish(p->src, p->dst);
    same_realm(p->src, p->dst);
}

/* After the @left-th hold of its Realm's lock from now on, the host comes in */
static struct {
    Machine *m;                 /* NULL: it does not */
    RmmMutex *lock;
    unsigned left;
} between;

void __real_rmm_mutex_unlock(RmmMutex *mutex);
void __wrap_rmm_mutex_unlock(RmmMutex *mutex);

static gpointer take_some(gpointer m)
{
    host_takes(m, 3);
    host_takes(m, 20);
    host_takes(m, MANY - 1);
    return NULL;
}

void __wrap_rmm_mutex_unlock(RmmMutex *mutex)
{
    Machine *m = between.m;
    bool now = m && mutex == between.lock && --between.left == 0;

    if (now) {
        between.m = NULL;
    }
    __real_rmm_mutex_unlock(mutex);
    if (now) {
        g_thread_join(g_thread_new("host", take_some, m));
    }
}

static void test_no_page_is_written_that_the_host_has_again(void)
{
    unsigned hold, found = 0;
    bool last = false;

    for (hold = 1; !last; hold++) {
        Pair p = pair_of_many();
        uint64_t ipas[MANY];
        RmmRealm *realm = realm_lock(p.dst->rmm, p.dst->rd);
        Record *bundle;

        realm_unlock(realm);
        for (unsigned i = 0; i < MANY; i++) {
            ipas[i] = page_ipa(i, MANY);
        }
        bundle = machine_send_pages(p.src, ipas, MANY, 1);
        between.lock = &realm->lock;
        between.left = hold;
        between.m = p.dst;
        OK(machine_receive(p.dst, bundle));
        last = between.m;
        between.m = NULL;
        found += check_taken(&p) == 3;
        bring_again(&p);
        g_byte_array_unref(bundle);
        pair_free(&p);
    }
    /* Behind the one that maps, and those of 16, 32 and 40 pages */
    g_assert_cmpuint(found, ==, 4);
}

typedef struct Stream {
    Machine *dst;
    Record *bundles[MANY / 8];
} Stream;

static gpointer import_stream(gpointer opaque)
{
    Stream *s = opaque;

    for (unsigned i = 0; i < G_N_ELEMENTS(s->bundles); i++) {
        uint64_t result;

        /* Again, if a page went that needed no granule when we looked */
        do {
            result = machine_receive(s->dst, s->bundles[i]);
        } while (result == RMI_ERROR_INPUT);
        OK(result);
    }
    return NULL;
}

/* Two streams bring pages, of 4 a bundle, and the host takes what it can. */
static void race(Pair *p)
{
    Stream s[2] = { { p->dst }, { p->dst } };
    GThread *threads[2];

    for (unsigned i = 0; i < MANY; i += 4) {
        uint64_t ipas[4];

        for (unsigned j = 0; j < 4; j++) {
            ipas[j] = page_ipa(i + j, MANY);
        }
        s[i / 4 % 2].bundles[i / 8] =
            machine_send_pages(p->src, ipas, 4, i / 4 % 2);
    }
    for (int i = 0; i < 2; i++) {
        threads[i] = g_thread_new("stream", import_stream, &s[i]);
    }
    for (unsigned i = 0; i < 4 * MANY; i++) {
        if (!taken[i % MANY]) {
            host_takes(p->dst, i % MANY);
        }
    }
    for (int i = 0; i < 2; i++) {
        g_thread_join(threads[i]);
        for (unsigned j = 0; j < MANY / 8; j++) {
            g_byte_array_unref(s[i].bundles[j]);
        }
    }
}

static void test_races(void)
{
    Pair p = pair_of_many();

    for (int epoch = 0; epoch < 10; epoch++) {
        memset(taken, 0, sizeof(taken));
        race(&p);
        check_taken(&p);
        step_epoch(p.src, p.dst);
        for (unsigned i = 0; i < MANY; i++) {
            machine_scribble(p.src, page_ipa(i, MANY), p.src->rand);
        }
        g_array_unref(machine_collect(p.src));
    }
    step_round(p.src, p.dst, 1, MANY);
    step_finish(p.src, p.dst);
    same_realm(p.src, p.dst);
    pair_free(&p);
}

/* ACCEPT is no call of an import: what it is refused for ends nothing. */
static void test_accept_ends_no_import_that_lost_something(void)
{
    for (Moment at = AT_OFFERED; at <= AT_STARTED; at++) {
        Pair p = pair_at(at);

        take(p.dst, A_TABLE);
        REFUSES(p.dst, MIG(p.dst, MIG_ACCEPT, NS_BLOB(0), 4096),
                REFUSED(MIG_CAUSE_STATE));
        g_assert_cmpint(machine_state(p.dst), ==, REALM_IMPORT);
        pair_free(&p);
    }
}

/* Elsewhere nobody relies on it: the session goes on, or there is none. */
static void test_where_nothing_is_relied_on_nothing_fails(void)
{
    const Moment moments[] = { AT_ACCEPTED, AT_EXPORTING, AT_SEALED, AT_GONE,
                               AT_FAILED };

    for (size_t i = 0; i < G_N_ELEMENTS(moments); i++) {
        for (Taking what = 0; what < TAKINGS; what++) {
            Pair p = pair_at(moments[i]);
            Machine *m = at_destination(moments[i]) ? p.dst : p.src;
            int state = machine_state(m);

            take(m, what);
            g_assert_cmpint(machine_state(m), ==, state);
            g_assert_cmpint(realm_lock(m->rmm, m->rd)->reclaimed, ==, 0);
            realm_unlock(g_hash_table_lookup(m->rmm->realms, &m->rd));
            is_destroyed(m, what);
            pair_free(&p);
        }
    }
    /* Tables of the unprotected half are the host's, always */
    for (Moment at = 0; at < MOMENTS; at++) {
        Pair p = pair_at(at);
        Machine *m = at_destination(at) ? p.dst : p.src;

        take(m, LENT_TABLE);
        g_assert_cmpint(realm_lock(m->rmm, m->rd)->reclaimed, ==, 0);
        realm_unlock(g_hash_table_lookup(m->rmm->realms, &m->rd));
        pair_free(&p);
    }
}

/* Taken after the seal: the destination has all, the source has lost it. */
static void test_after_the_seal_the_destination_has_what_the_source_lost(void)
{
    Pair p = pair_at(AT_SEALED);
    Record *token;
    uint8_t first = machine_page(p.src, LOST_IPA, false, NULL)[0];

    take(p.src, A_PAGE);
    OK(MIG(p.dst, MIG_IMPORT_COMMIT));
    g_assert_cmphex(machine_page(p.dst, LOST_IPA, false, NULL)[0], ==, first);
    pair_free(&p);

    p = pair_at(AT_SEALED);
    take(p.src, A_PAGE);
    OK(machine_abort(p.dst, &token));
    OK(machine_resume(p.src, token));
    is_destroyed(p.src, A_PAGE);
    g_byte_array_unref(token);
    pair_free(&p);
}

/* A REC that came waits for one that the host takes: it gets its answer. */
static void test_a_rec_that_waits_for_one_that_is_gone(void)
{
    Pair p = pair_at(AT_IMPORTING);
    RmmRec *rec = machine_rec(p.dst, 0);

    rec->state = REC_PSCI;
    rec->x[1] = MACHINE_RECS - 1;
    take(p.dst, A_REC);
    g_assert_cmpint(rec->state, ==, REC_READY);
    for (unsigned i = 0; i < MACHINE_RECS - 1; i++) {
        machine_rec(p.dst, i)->state = i ? REC_RIPAS : REC_HOST_CALL;
        OK(SMC(p.dst, RMI_REC_DESTROY, p.dst->recs[i]));
    }
    pair_free(&p);
}

/* A call that is refused takes nothing, so it ends nothing. */
static void test_a_refused_call_fails_no_session(void)
{
    Pair p = pair_at(AT_PAUSED);
    uint64_t result;

    g_assert_cmphex(SMC(p.src, RMI_DATA_DESTROY, p.src->rd, 0x100000), !=,
                    RMI_SUCCESS);
    g_assert_cmphex(SMC(p.src, RMI_RTT_DESTROY, p.src->rd, 0, 3), !=,
                    RMI_SUCCESS);
    g_assert_cmphex(SMC(p.src, RMI_REC_DESTROY, p.src->rd), !=, RMI_SUCCESS);
    g_ptr_array_unref(machine_final_records(p.src));
    g_byte_array_unref(machine_start(p.src, NULL, &result));
    OK(result);
    g_assert_cmpint(machine_state(p.src), ==, REALM_EXPORTED);
    pair_free(&p);
}

#define TEST(name) g_test_add_func("/mig-reclaim/" #name, test_##name)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    TEST(a_paused_source_can_only_go_back);
    TEST(no_older_page_takes_the_place_of_one_that_is_gone);
    TEST(an_import_that_loses_something_fails);
    TEST(an_import_that_lost_something_gives_its_token);
    TEST(a_page_that_goes_during_a_call_counts);
    TEST(accept_ends_no_import_that_lost_something);
    TEST(ready_wants_a_page_that_went);
    TEST(commit_wants_a_page_that_went_after_ready);
    TEST(a_later_bundle_brings_a_page_that_went);
    TEST(a_page_that_the_realm_gave_up_may_go);
    TEST(no_page_is_written_that_the_host_has_again);
    TEST(races);
    TEST(where_nothing_is_relied_on_nothing_fails);
    TEST(after_the_seal_the_destination_has_what_the_source_lost);
    TEST(a_rec_that_waits_for_one_that_is_gone);
    TEST(a_refused_call_fails_no_session);
    g_test_add_func("/mig-reclaim/no_iv_is_used_twice", oracle_check);
    return g_test_run();
}
