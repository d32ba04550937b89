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
        for (Taking what = 0; what < LENT_TABLE; what++) {
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

        take(p.dst, A_PAGE);
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

/* ACCEPT is no call of an import: what it is refused for ends nothing. */
static void test_accept_ends_no_import_that_lost_something(void)
{
    for (Moment at = AT_OFFERED; at <= AT_STARTED; at++) {
        Pair p = pair_at(at);

        take(p.dst, A_PAGE);
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
    TEST(where_nothing_is_relied_on_nothing_fails);
    TEST(after_the_seal_the_destination_has_what_the_source_lost);
    TEST(a_rec_that_waits_for_one_that_is_gone);
    TEST(a_refused_call_fails_no_session);
    g_test_add_func("/mig-reclaim/no_iv_is_used_twice", oracle_check);
    return g_test_run();
}
