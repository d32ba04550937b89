/*
 * A Realm migrates from one machine to another
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#define _GNU_SOURCE             /* memmem */
#include <string.h>

#include "granule.h"
#include "mig-oracle.h"
#include "mig-steps.h"
#include "rec.h"
#include "rmm-internal.h"
#include "rtt.h"
#include "session.h"

static void migrate(const MachineParams *params, unsigned streams)
{
    const unsigned pages = 120;
    Machine *src = source_new(params, pages), *dst = machine_new(params);
    GRand *rand = rand_new();

    step_connect(src, dst);
    g_assert_true(session_is_compact(machine_session(dst)) ==
                  !!(params->policy.flags & MIG_POLICY_COMPACT));

    g_assert_cmpuint(step_round(src, dst, streams, 13), ==, pages);
    for (int epoch = 0; epoch < 4; epoch++) {
        for (unsigned i = 0; i < 10; i++) {
            machine_scribble(src, page_ipa(i * 7 % pages, pages), rand);
        }
        step_epoch(src, dst);
        g_assert_cmpuint(step_round(src, dst, streams, 3), ==, 10);
    }
    machine_scribble(src, page_ipa(5, pages), rand);
    step_finish(src, dst);
    same_realm(src, dst);
    g_rand_free(rand);
    machine_free(src);
    machine_free(dst);
}

static void test_a_realm_arrives_byte_by_byte(void)
{
    migrate(&machine_defaults, 1);
}

static void test_a_realm_arrives_over_four_streams(void)
{
    migrate(&machine_defaults, 4);
}

static void test_a_realm_arrives_with_compact_tags(void)
{
    MachineParams params = machine_defaults;

    params.policy.version = MIG_POLICY_VERSION;
    params.policy.flags = MIG_POLICY_COMPACT;
    migrate(&params, 2);
}

static void test_a_realm_without_mte_arrives(void)
{
    MachineParams params = machine_defaults;

    params.ext_flags &= ~RMI_REALM_EXT_MTE;
    params.hash_algo = RMI_HASH_SHA_512;
    migrate(&params, 1);
}

static void test_it_migrates_on_from_where_it_arrived(void)
{
    Machine *a = source_new(&machine_defaults, 20);
    Machine *b = machine_new(&machine_defaults);
    Machine *c = machine_new(&machine_defaults);
    GRand *rand = rand_new();

    step_connect(a, b);
    step_round(a, b, 2, 5);
    step_finish(a, b);
    machine_scribble(b, 0, rand);
    step_connect(b, c);
    g_assert_cmpuint(step_round(b, c, 2, 5), ==, 20);
    step_finish(b, c);
    same_realm(b, c);
    g_rand_free(rand);
    machine_free(a);
    machine_free(b);
    machine_free(c);
}

/* ---- a Realm that does not stand still ---- */

typedef struct Writer {
    Machine *m;
    RmmStage2 s2;
    pthread_rwlock_t *in_realm;
    unsigned pages;
    gint stop;
} Writer;

static void *keep_writing(void *opaque)
{
    Writer *w = opaque;
    RmmTranslation t;
    uint64_t n = 0;

    while (!g_atomic_int_get(&w->stop)) {
        uint64_t ipa = page_ipa(n * 31 % w->pages, w->pages);

        pthread_rwlock_rdlock(w->in_realm);
        n++;
        g_assert_cmpint(rmm_stage2_walk(w->m->rmm, &w->s2, ipa,
                                        RMM_ACCESS_WRITE, &t), ==,
                        RMM_FAULT_NONE);
        memcpy(w->m->granules + (t.pa - MACHINE_GRANULES) + n * 8 % 4096,
               &n, 8);
        w->m->tags[(t.pa - MACHINE_GRANULES) / 32 + n % 128] = n;
        pthread_rwlock_unlock(w->in_realm);
        if (n % 64 == 0) {
            g_usleep(50);
        }
    }
    return NULL;
}

static void test_a_realm_that_writes_all_the_time_arrives_whole(void)
{
    Machine *src = source_new(&machine_defaults, 100);
    Machine *dst = machine_new(&machine_defaults);
    pthread_rwlock_t in_realm;
    Writer w = { .m = src, .in_realm = &in_realm, .pages = 100 };
    GThread *thread;

    pthread_rwlock_init(&in_realm, NULL);
    src->in_realm = &in_realm;
    g_assert_true(rmm_stage2(src->rmm, src->recs[0], &w.s2));
    thread = g_thread_new("realm", keep_writing, &w);
    step_connect(src, dst);
    for (int i = 0; i < 30; i++) {
        step_round(src, dst, 2, 9);
        step_epoch(src, dst);
    }
    g_atomic_int_set(&w.stop, 1);
    g_thread_join(thread);
    step_finish(src, dst);
    same_realm(src, dst);
    machine_free(src);
    machine_free(dst);
    pthread_rwlock_destroy(&in_realm);
}

/* ---- aborts and offers ---- */

static void test_after_an_abort_the_realm_runs_and_migrates_again(void)
{
    Machine *src = source_new(&machine_defaults, 20);
    Machine *dst = machine_new(&machine_defaults);
    GRand *rand = rand_new();
    Record *begin;
    uint64_t result;

    /* At every step before the start token */
    for (int step = 0; step < 5; step++) {
        Machine *lost = machine_new(&machine_defaults);

        if (step == 0) {
            OK(machine_prepare(src, lost));
            OK(machine_offer(lost, &begin));
            OK(machine_accept(src, begin));
            g_byte_array_unref(begin);
        } else {
            step_connect(src, lost);
        }
        if (step > 1) {
            step_round(src, lost, 1, 7);
        }
        if (step > 2) {
            OK(MIG(src, MIG_PAUSE));
        }
        if (step > 3) {
            g_byte_array_unref(machine_export(src, MIG_EXPORT_REALM, 0,
                                              &result));
        }
        OK(MIG(src, MIG_EXPORT_ABORT));
        g_assert_cmpint(machine_state(src), ==, REALM_ACTIVE);
        machine_scribble(src, page_ipa(step, 20), rand);
        REFUSES(src, MIG(src, MIG_EXPORT_ABORT), REFUSED(MIG_CAUSE_STATE));
        machine_free(lost);
    }

    step_connect(src, dst);
    g_assert_cmpuint(step_round(src, dst, 1, 7), ==, 20);
    step_finish(src, dst);
    same_realm(src, dst);
    g_rand_free(rand);
    machine_free(src);
    machine_free(dst);
}

static void test_after_the_start_token_the_source_cannot_go_back(void)
{
    Machine *src = source_new(&machine_defaults, 4);
    Machine *dst = machine_new(&machine_defaults);
    Record *offer;

    step_connect(src, dst);
    step_round(src, dst, 1, 7);
    step_finish(src, dst);
    REFUSES(src, MIG(src, MIG_EXPORT_ABORT), REFUSED(MIG_CAUSE_STATE));
    REFUSES(src, MIG(src, MIG_EXPORT_EPOCH, NS_BLOB(0), 4096),
            REFUSED(MIG_CAUSE_STATE));
    machine_free(dst);

    dst = machine_new(&machine_defaults);
    OK(machine_offer(dst, &offer));
    REFUSES(src, machine_accept(src, offer), REFUSED(MIG_CAUSE_STATE));
    g_byte_array_unref(offer);
    machine_free(src);
    machine_free(dst);
}

static void test_an_offer_serves_once(void)
{
    Machine *src = source_new(&machine_defaults, 4);
    Machine *dst = machine_new(&machine_defaults);
    Machine *other = machine_new(&machine_defaults);
    Record *offer, *second;

    OK(machine_prepare(src, dst));
    memcpy(other->nonce, dst->nonce, sizeof(other->nonce));
    OK(machine_offer(dst, &offer));
    OK(machine_offer(other, &second));
    OK(machine_accept(src, offer));
    REFUSES(src, machine_accept(src, offer),
            REFUSED(MIG_CAUSE_OFFER_OUTSTANDING));
    REFUSES(src, machine_accept(src, second),
            REFUSED(MIG_CAUSE_OFFER_OUTSTANDING));
    OK(MIG(src, MIG_EXPORT_BEGIN, NS_BLOB(0), 4096));
    REFUSES(src, MIG(src, MIG_EXPORT_BEGIN, NS_BLOB(0), 4096),
            REFUSED(MIG_CAUSE_STATE));
    OK(MIG(src, MIG_EXPORT_ABORT));
    /* ACCEPT took the nonce that both are for */
    REFUSES(src, machine_accept(src, offer), REFUSED(MIG_CAUSE_OFFER_NONCE));
    REFUSES(src, machine_accept(src, second), REFUSED(MIG_CAUSE_OFFER_NONCE));
    /* The destination makes one offer for one Realm */
    REFUSES(dst, MIG(dst, MIG_OFFER, NS_BLOB(0), 4096),
            REFUSED(MIG_CAUSE_STATE));
    g_byte_array_unref(offer);
    g_byte_array_unref(second);
    machine_free(src);
    machine_free(dst);
    machine_free(other);
}

/* What a source says of an offer with a changed bit at @at */
static bool refusal_expected(size_t at, uint64_t result)
{
    MigCause cause = RMI_INDEX(result);

    g_assert_cmpint(RMI_STATUS(result), ==, RMI_ERROR_REALM);
    if (at == offsetof(MigHello, version) + 1) {
        return cause == MIG_CAUSE_VERSION;
    }
    if (at >= sizeof(MigHello)) {
        return cause == MIG_CAUSE_PEER_TOKEN ||
               cause == MIG_CAUSE_PEER_SIGNATURE;
    }
    if (at >= offsetof(MigHello, platform_key)) {
        return cause == MIG_CAUSE_PEER_SIGNATURE;
    }
    if (at >= offsetof(MigHello, peer_nonce) &&
        at < offsetof(MigHello, abort_lock)) {
        return cause == MIG_CAUSE_OFFER_NONCE;
    }
    if (at == offsetof(MigHello, version) ||
        (at >= offsetof(MigHello, features) &&
         at < offsetof(MigHello, certs_size)) ||
        at >= offsetof(MigHello, public_key)) {
        return cause == MIG_CAUSE_PEER_CHALLENGE;
    }
    return cause == MIG_CAUSE_OFFER_FORMAT;
}

static void test_an_offer_with_any_bit_changed_is_refused(void)
{
    Machine *src = source_new(&machine_defaults, 4);
    Machine *dst = machine_new(&machine_defaults);
    Record *offer;

    OK(machine_prepare(src, dst));
    OK(machine_offer(dst, &offer));
    for (size_t i = 0; i < offer->len; i++) {
        g_autofree char *before = snapshot(src), *after = NULL;

        offer->data[i] ^= 1 << i % 8;
        if (!refusal_expected(i, machine_accept(src, offer))) {
            g_error("another reason for byte %zu", i);
        }
        offer->data[i] ^= 1 << i % 8;
        after = snapshot(src);
        g_assert_cmpstr(before, ==, after);
    }
    OK(machine_accept(src, offer));
    g_byte_array_unref(offer);
    machine_free(src);
    machine_free(dst);
}

static void test_an_offer_of_another_length_is_refused(void)
{
    Machine *src = source_new(&machine_defaults, 4);
    Machine *dst = machine_new(&machine_defaults);
    Record *offer;

    OK(machine_offer(dst, &offer));
    memcpy(machine_ns(src, NS_BLOB(0)), offer->data, offer->len);
    for (size_t len = 0; len < offer->len + 9; len++) {
        if (len != offer->len) {
            REFUSES(src, MIG(src, MIG_ACCEPT, NS_BLOB(0), len),
                    REFUSED(MIG_CAUSE_OFFER_FORMAT));
        }
    }
    REFUSES(src, MIG(src, MIG_ACCEPT, NS_BLOB(0), MIG_MAX_HELLO + 1),
            REFUSED(MIG_CAUSE_OFFER_FORMAT));
    REFUSES(src, MIG(src, MIG_ACCEPT, NS_BLOB(0), UINT64_MAX),
            REFUSED(MIG_CAUSE_OFFER_FORMAT));
    g_byte_array_unref(offer);
    machine_free(src);
    machine_free(dst);
}

/* By a trusted platform, but with a point that shares no secret */
static void test_an_offer_without_a_secret_is_refused(void)
{
    Machine *src = source_new(&machine_defaults, 4);
    Machine *dst = machine_new(&machine_defaults);
    Record *offer;

    OK(machine_prepare(src, dst));
    OK(machine_offer(dst, &offer));
    memset(offer->data + offsetof(MigHello, public_key), 0, 32);
    step_sign_offer(dst, offer);
    REFUSES(src, machine_accept(src, offer), REFUSED(MIG_CAUSE_KEY));
    g_byte_array_unref(offer);
    machine_free(src);
    machine_free(dst);
}

static void test_a_realm_made_without_the_flag_does_not_migrate(void)
{
    MachineParams params = machine_defaults;
    Machine *src, *dst, *good = machine_new(&machine_defaults);
    Record *offer;

    params.ext_flags &= ~RMI_REALM_EXT_MIGRATION;
    src = source_new(&params, 4);
    dst = machine_new(&params);
    REFUSES(dst, MIG(dst, MIG_OFFER, NS_BLOB(0), 4096),
            REFUSED(MIG_CAUSE_NOT_MIGRATABLE));
    OK(machine_offer(good, &offer));
    REFUSES(src, machine_accept(src, offer),
            REFUSED(MIG_CAUSE_NOT_MIGRATABLE));
    g_byte_array_unref(offer);
    machine_free(src);
    machine_free(dst);
    machine_free(good);
}

/* ---- other parameters ---- */

static void refuse_from(const MachineParams *from, MachineParams to,
                        MigCause cause)
{
    Machine *src = source_new(from, 4);
    Machine *dst = machine_new(&to);
    Record *begin;

    OK(machine_connect(src, dst, &begin));
    g_assert_cmphex(machine_receive(dst, begin), ==, REFUSED(cause));
    g_assert_cmpint(machine_state(dst), ==, REALM_FAILED);
    OK(MIG(src, MIG_EXPORT_ABORT));
    g_byte_array_unref(begin);
    machine_free(src);
    machine_free(dst);
}

static void refuse_different(MachineParams params, MigCause cause)
{
    refuse_from(&machine_defaults, params, cause);
}

static void test_a_destination_with_other_parameters_is_told_which(void)
{
    MachineParams p = machine_defaults;

    p.ipa_bits++;
    refuse_different(p, MIG_CAUSE_DIFFERENT_IPA_WIDTH);
    p = machine_defaults;
    p.hash_algo = RMI_HASH_SHA_512;
    refuse_different(p, MIG_CAUSE_DIFFERENT_HASH_ALGORITHM);
    p = machine_defaults;
    p.rpv0++;
    refuse_different(p, MIG_CAUSE_DIFFERENT_PERSONALIZATION_VALUE);
    p = machine_defaults;
    p.ext_flags &= ~RMI_REALM_EXT_MTE;
    refuse_different(p, MIG_CAUSE_DIFFERENT_MTE);
    p = machine_defaults;
    p.num_bps++;
    refuse_different(p, MIG_CAUSE_DIFFERENT_BREAKPOINTS);
    p = machine_defaults;
    p.num_wps++;
    refuse_different(p, MIG_CAUSE_DIFFERENT_WATCHPOINTS);
    p = machine_defaults;
    p.num_recs++;
    refuse_different(p, MIG_CAUSE_DIFFERENT_NUM_RECS);
    p = machine_defaults;
    p.start_level = 2;
    refuse_different(p, MIG_CAUSE_DIFFERENT_START_LEVEL);
    p = machine_defaults;
    p.flags |= RMI_REALM_LPA2;
    refuse_different(p, MIG_CAUSE_DIFFERENT_FLAGS);
    p = machine_defaults;
    p.policy.version = MIG_POLICY_VERSION;
    p.policy.flags = MIG_POLICY_ANY_LIFE_CYCLE;
    refuse_different(p, MIG_CAUSE_DIFFERENT_POLICY);
}

/* The extension is there or not, and it has a size. */
static void test_a_destination_with_other_sve_or_pmu_is_told_so(void)
{
    MachineParams p = machine_defaults, other;

    p.flags |= RMI_REALM_SVE;
    p.sve_vl = 1;
    refuse_different(p, MIG_CAUSE_DIFFERENT_SVE);
    other = p;
    other.sve_vl = 2;
    refuse_from(&p, other, MIG_CAUSE_DIFFERENT_SVE);
    p = machine_defaults;
    p.flags |= RMI_REALM_PMU;
    p.pmu_num_ctrs = 4;
    refuse_different(p, MIG_CAUSE_DIFFERENT_PMU);
    other = p;
    other.pmu_num_ctrs = 3;
    refuse_from(&p, other, MIG_CAUSE_DIFFERENT_PMU);
}

/* ---- what changes while it is exported ---- */

static void test_a_page_destroyed_meanwhile_is_gone_at_the_destination(void)
{
    Machine *src = source_new(&machine_defaults, 10);
    Machine *dst = machine_new(&machine_defaults);
    GArray *ipas;
    uint64_t out[4], pa;

    step_connect(src, dst);
    step_round(src, dst, 1, 64);
    /* One that was sent, and one that is collected */
    OK(SMC_OUT(src, out, RMI_DATA_DESTROY, src->rd, page_ipa(1, 10)));
    machine_page(src, page_ipa(2, 10), true, NULL);
    step_epoch(src, dst);
    ipas = machine_collect(src);
    g_assert_cmpuint(ipas->len, ==, 1);
    OK(SMC_OUT(src, out, RMI_DATA_DESTROY, src->rd, page_ipa(2, 10)));
    g_assert_null(machine_send_pages(src, (uint64_t *)ipas->data, 1, 0));
    SMC_OUT(dst, out, RMI_RTT_READ_ENTRY, dst->rd, page_ipa(1, 10), 3);
    pa = out[2];
    g_assert_cmpint(granule_state(dst->rmm, pa), ==, GRANULE_DATA);
    step_finish(src, dst);
    same_realm(src, dst);
    g_assert_null(machine_page(dst, page_ipa(1, 10), false, NULL));
    g_assert_null(machine_page(dst, page_ipa(2, 10), false, NULL));
    /* Given back, and wiped */
    g_assert_cmpint(granule_state(dst->rmm, pa), ==, GRANULE_DELEGATED);
    for (int i = 0; i < RMM_GRANULE_SIZE; i++) {
        g_assert_cmpuint(dst->granules[pa - MACHINE_GRANULES + i], ==, 0);
    }
    g_array_unref(ipas);
    machine_free(src);
    machine_free(dst);
}

static void test_a_page_made_meanwhile_arrives(void)
{
    Machine *src = source_new(&machine_defaults, 10);
    Machine *dst = machine_new(&machine_defaults);

    step_connect(src, dst);
    step_round(src, dst, 1, 64);
    machine_add_page(src, 0x100000);
    step_finish(src, dst);
    g_assert_nonnull(machine_page(dst, 0x100000, false, NULL));
    same_realm(src, dst);
    machine_free(src);
    machine_free(dst);
}

/* The map that map_arrives made, but for a page that is EMPTY: it is lost */
static void check_map(Machine *dst)
{
    RmmRealm *d = realm_lock(dst->rmm, dst->rd);
    uint64_t top;

    g_assert_cmpint(rtt_ripas_run(d, page_ipa(3, 10), MACHINE_TOP, &top),
                    ==, RTT_EMPTY);
    g_assert_cmpuint(rtt_count_assigned(d), ==, 9);
    for (unsigned i = 0; i < 30; i++) {
        uint64_t ipa = (6ull << 20) + i * 3 * RMM_GRANULE_SIZE;

        g_assert_cmpint(rtt_ripas_run(d, ipa, MACHINE_TOP, &top), ==,
                        i % 2 ? RTT_EMPTY : RTT_DESTROYED);
        g_assert_cmphex(top, ==, ipa + RMM_GRANULE_SIZE);
    }
    g_assert_cmpint(rtt_ripas_run(d, MACHINE_RAM_TOP + 0x5000,
                                  MACHINE_TOP, &top), ==, RTT_RAM);
    g_assert_cmphex(top, ==, MACHINE_RAM_TOP + 0x6000);
    realm_unlock(d);
}

/* RIPAS of all kinds, in one part or in many */
static void map_arrives(uint64_t buffer)
{
    Machine *src = source_new(&machine_defaults, 10);
    Machine *dst = machine_new(&machine_defaults);
    uint64_t out[4], base = 0, result, top;
    unsigned parts = 0;
    RmmRealm *realm;

    machine_table(src, 6ull << 20);
    machine_table(dst, 6ull << 20);
    machine_table(src, MACHINE_RAM_TOP + 0x5000);
    machine_table(dst, MACHINE_RAM_TOP + 0x5000);
    realm = realm_lock(src->rmm, src->rd);
    for (unsigned i = 0; i < 30; i++) {
        uint64_t ipa = (6ull << 20) + i * 3 * RMM_GRANULE_SIZE;

        rtt_set_ripas_import(realm, ipa, ipa + RMM_GRANULE_SIZE,
                             i % 2 ? RTT_EMPTY : RTT_DESTROYED, &top);
    }
    /* RAM where the destination has none, and a page that is EMPTY */
    rtt_set_ripas(realm, MACHINE_RAM_TOP + 0x5000, MACHINE_RAM_TOP + 0x6000,
                  RTT_RAM, true, &top);
    rtt_set_ripas(realm, page_ipa(3, 10), page_ipa(4, 10), RTT_EMPTY, true,
                  &top);
    realm_unlock(realm);

    step_connect(src, dst);
    step_round(src, dst, 1, 64);
    OK(MIG(src, MIG_PAUSE));
    do {
        OK(MIG_OUT(src, out, MIG_EXPORT_REALM, NS_BLOB(0), buffer, base));
        base = out[1];
        step_take(dst, machine_record(src, RMI_SUCCESS, out[0], 0));
        parts++;
    } while (base);
    g_assert_true((parts > 5) == (buffer < 1024));
    for (unsigned i = 0; i < MACHINE_RECS; i++) {
        step_take(dst,
                  machine_export(src, MIG_EXPORT_REC, src->recs[i], &result));
    }
    step_take(dst, step_start(src, dst));
    step_run(dst);
    check_map(dst);
    machine_free(src);
    machine_free(dst);
}

static void test_the_ripas_map_arrives_in_one_part(void)
{
    map_arrives(MIG_MAX_BUNDLE);
}

static void test_the_ripas_map_arrives_in_many_parts(void)
{
    map_arrives(bundle_size(0, sizeof(MigMutable)) + 5 * sizeof(MigRun));
}

static void test_pending_calls_of_a_rec_arrive(void)
{
    Machine *src = source_new(&machine_defaults, 4);
    Machine *dst = machine_new(&machine_defaults);
    RmmRec *rec = machine_rec(src, 0);

    rec->state = REC_RIPAS;
    rec->ripas.addr = 0x5000;
    rec->ripas.top = 0x9000;
    rec->ripas.value = RMI_RIPAS_RAM;
    rec->ripas.change_destroyed = true;
    rec = machine_rec(src, 1);
    rec->state = REC_HOST_CALL;
    rec->host_call_ipa = 0x2100;
    machine_rec(src, 2)->state = REC_PSCI;
    step_connect(src, dst);
    step_round(src, dst, 1, 64);
    step_finish(src, dst);
    same_recs(src, dst);
    g_assert_cmpint(machine_rec(dst, 2)->state, ==, REC_PSCI);
    machine_free(src);
    machine_free(dst);
}

/* Only RECs that exist count; the destination need not have had the other. */
static void test_a_realm_that_lost_a_rec_arrives(void)
{
    MachineParams fewer = machine_defaults;
    Machine *src = source_new(&machine_defaults, 4), *dst;

    OK(SMC(src, RMI_REC_DESTROY, src->recs[MACHINE_RECS - 1]));
    src->params.num_recs = fewer.num_recs = MACHINE_RECS - 1;
    dst = machine_new(&fewer);
    step_connect(src, dst);
    step_round(src, dst, 1, 64);
    step_finish(src, dst);
    same_realm(src, dst);
    machine_free(src);
    machine_free(dst);
}

/* The destination waits for what the immutable state says. */
static void test_no_rec_may_go_while_a_realm_leaves(void)
{
    Machine *src = source_new(&machine_defaults, 4);
    Machine *dst = machine_new(&machine_defaults);
    uint64_t result;

    step_connect(src, dst);
    step_round(src, dst, 1, 64);
    OK(SMC(src, RMI_REC_DESTROY, src->recs[MACHINE_RECS - 1]));
    OK(MIG(src, MIG_PAUSE));
    step_take(dst, machine_export(src, MIG_EXPORT_REALM, 0, &result));
    for (unsigned i = 0; i < MACHINE_RECS - 1; i++) {
        step_take(dst,
                  machine_export(src, MIG_EXPORT_REC, src->recs[i], &result));
    }
    REFUSES(src, MIG(src, MIG_EXPORT_START, NS_BLOB(0), 4096),
            REFUSED(MIG_CAUSE_REC_MISSING));
    OK(MIG(src, MIG_EXPORT_ABORT));
    machine_free(src);
    machine_free(dst);
}

/* ---- an abort between exit and entry ---- */

#define LOAD_X3 0x93c38007ull           /* 64 bits, emulatable */
#define FAR     0xffff000000001234ull

static void enter_rec(Machine *m, RmmPe *pe, uint64_t flags, uint64_t data)
{
    RmiRecRun *run = machine_ns(m, NS_LIST(0));

    memset(run, 0, sizeof(*run));
    run->enter.flags = flags;
    run->enter.gprs[0] = data;
    *pe = (RmmPe) { .x = { RMI_REC_ENTER, m->recs[0], NS_LIST(0) } };
    rmm_call(m->rmm, pe);
}

/* REC 0 exits with an abort, and moves before the host has answered. */
static Machine *move_with_abort(uint64_t esr)
{
    const RmmSyndrome s = { .kind = RMM_EXCEPTION_SYNC, .esr = esr,
                            .far = FAR, .hpfar = MACHINE_TOP >> 8 };
    Machine *src = source_new(&machine_defaults, 4);
    Machine *dst = machine_new(&machine_defaults);
    RmmPe pe;

    enter_rec(src, &pe, 0, 0);
    g_assert_cmpint(pe.world, ==, RMM_WORLD_REALM);
    pe.pc = 0x1000;
    rmm_exception(src->rmm, &pe, &s);
    g_assert_cmpint(pe.world, ==, RMM_WORLD_HOST);
    step_connect(src, dst);
    step_round(src, dst, 1, 64);
    step_finish(src, dst);
    same_recs(src, dst);
    machine_free(src);
    return dst;
}

static void test_a_load_is_emulated_by_the_host_it_moved_to(void)
{
    Machine *dst = move_with_abort(LOAD_X3);
    RmmPe pe;

    enter_rec(dst, &pe, RMI_ENTER_EMUL_MMIO, 0x123456789abcdefull);
    g_assert_cmpint(pe.world, ==, RMM_WORLD_REALM);
    g_assert_cmphex(pe.x[3], ==, 0x123456789abcdefull);
    g_assert_cmphex(pe.pc, ==, 0x1004);
    g_assert_false(pe.inject.pending);
    take_interrupt(dst->rmm, &pe);
    enter_rec(dst, &pe, RMI_ENTER_EMUL_MMIO, 0);    /* once */
    g_assert_cmphex(pe.x[0], ==, RMI_ERROR_REC);
    machine_free(dst);
}

static void test_an_abort_is_injected_by_the_host_it_moved_to(void)
{
    Machine *dst = move_with_abort(0x92000007);
    RmmPe pe;

    enter_rec(dst, &pe, RMI_ENTER_EMUL_MMIO, 0);
    g_assert_cmphex(pe.x[0], ==, RMI_ERROR_REC);
    enter_rec(dst, &pe, RMI_ENTER_INJECT_SEA, 0);
    g_assert_cmpint(pe.world, ==, RMM_WORLD_REALM);
    g_assert_true(pe.inject.pending);
    g_assert_cmphex(pe.inject.esr, ==, 0x96000210);
    g_assert_cmphex(pe.inject.far, ==, FAR);
    take_interrupt(dst->rmm, &pe);
    machine_free(dst);
}

static void test_a_realm_takes_its_external_abort_where_it_moved_to(void)
{
    Machine *dst = move_with_abort(0x92000010);
    RmmPe pe;

    enter_rec(dst, &pe, RMI_ENTER_INJECT_SEA, 0);
    g_assert_cmphex(pe.x[0], ==, RMI_ERROR_REC);
    enter_rec(dst, &pe, 0, 0);
    g_assert_true(pe.inject.pending);
    g_assert_cmphex(pe.inject.esr, ==, 0x96000210);
    g_assert_cmphex(pe.inject.far, ==, FAR);
    g_assert_cmphex(pe.pc, ==, 0x1000);
    take_interrupt(dst->rmm, &pe);
    machine_free(dst);
}

/* ---- what others see ---- */

static const char marker[] = "A marker that nobody outside may ever see";

static void assert_no_marker(const void *data, size_t len)
{
    g_assert_null(memmem(data, len, marker, sizeof(marker) - 1));
    g_assert_null(memmem(data, len, marker, 16));
}

static void test_no_plaintext_leaves(void)
{
    Machine *src = source_new(&machine_defaults, 10);
    Machine *dst = machine_new(&machine_defaults);

    for (unsigned i = 0; i < 10; i++) {
        uint8_t *tags, *page = machine_page(src, page_ipa(i, 10), true, &tags);

        memcpy(page + 100 * i, marker, sizeof(marker));
        memcpy(tags, marker, sizeof(marker));
    }
    memcpy(machine_rec(src, 0)->x, marker, sizeof(marker));
    memcpy(src->contexts[1] + 40, marker, sizeof(marker));
    step_connect(src, dst);
    step_round(src, dst, 2, 3);
    step_finish(src, dst);
    same_realm(src, dst);
    g_assert_nonnull(memmem(machine_page(dst, page_ipa(3, 10), false, NULL),
                            RMM_GRANULE_SIZE, marker, sizeof(marker)));
    assert_no_marker(src->ns, src->ns_size);
    assert_no_marker(dst->ns, dst->ns_size);
    machine_free(src);
    machine_free(dst);
}

static void test_bundle_sizes_do_not_depend_on_contents(void)
{
    Machine *src = source_new(&machine_defaults, 4);
    Machine *dst = machine_new(&machine_defaults);
    uint64_t ipas[4];
    Record *one, *two;

    for (unsigned i = 0; i < 4; i++) {
        ipas[i] = page_ipa(i, 4);
    }
    step_connect(src, dst);
    g_array_unref(machine_collect(src));
    one = machine_send_pages(src, ipas, 4, 0);
    for (unsigned i = 0; i < 4; i++) {
        uint8_t *tags, *page = machine_page(src, ipas[i], true, &tags);

        memset(page, 0, RMM_GRANULE_SIZE);
        memset(tags, 0, RMM_TAG_BYTES);
    }
    OK(MIG(src, MIG_EXPORT_EPOCH, NS_BLOB(0), 4096));
    g_array_unref(machine_collect(src));
    two = machine_send_pages(src, ipas, 4, 0);
    g_assert_cmpuint(one->len, ==, two->len);
    g_assert_cmpuint(one->len, ==, bundle_size(4, 4 * MIG_PAGE_BYTES));
    g_byte_array_unref(one);
    g_byte_array_unref(two);
    machine_free(src);
    machine_free(dst);
}

/* A bundle of them: an entry each, and a byte for their tags, which are 0 */
static void test_with_compact_pages_of_zeros_cost_no_data(void)
{
    MachineParams params = machine_defaults;
    Machine *src, *dst;
    uint64_t ipas[4];
    Record *record;

    params.policy.version = MIG_POLICY_VERSION;
    params.policy.flags = MIG_POLICY_COMPACT;
    src = source_new(&params, 4);
    dst = machine_new(&params);
    for (unsigned i = 0; i < 4; i++) {
        uint8_t *tags, *page;

        ipas[i] = page_ipa(i, 4);
        page = machine_page(src, ipas[i], true, &tags);
        memset(page, 0, RMM_GRANULE_SIZE);
        memset(tags, 0, RMM_TAG_BYTES);
    }
    step_connect(src, dst);
    g_array_unref(machine_collect(src));
    record = machine_send_pages(src, ipas, 4, 0);
    g_assert_cmpuint(record->len, ==, bundle_size(4, 4));
    step_take(dst, record);
    step_finish(src, dst);
    same_realm(src, dst);
    machine_free(src);
    machine_free(dst);
}

/*
 * The same without MTE: a bundle without a body, of which nothing is lost if
 * its pages have to go once more.
 */
static void test_a_bundle_may_have_nothing_but_entries(void)
{
    MachineParams params = machine_defaults;
    Machine *src, *dst;
    uint64_t ipa = page_ipa(0, 1);
    Record *record;

    params.ext_flags &= ~RMI_REALM_EXT_MTE;
    params.policy.version = MIG_POLICY_VERSION;
    params.policy.flags = MIG_POLICY_COMPACT;
    src = source_new(&params, 1);
    dst = machine_new(&params);
    memset(machine_page(src, ipa, true, NULL), 0, RMM_GRANULE_SIZE);
    step_connect(src, dst);
    g_array_unref(machine_collect(src));
    record = machine_send_pages(src, &ipa, 1, 0);
    g_assert_cmpuint(record->len, ==, bundle_size(1, 0));
    step_take(dst, record);
    step_finish(src, dst);
    same_realm(src, dst);
    machine_free(src);
    machine_free(dst);
}

static void test_without_the_extension_there_are_no_calls(void)
{
    Machine *m = machine_new(&machine_defaults);
    RmmPe pe = { .x = { MIG_FID_BASE + MIG_FEATURES } };

    rmm_call(m->rmm, &pe);
    OK(pe.x[0]);
    g_assert_cmphex(pe.x[1], ==, MIG_VERSION);
    g_assert_cmpuint(pe.x[2], ==, MIG_MAX_BUNDLE);
    g_assert_cmpuint(pe.x[3], ==, MIG_MAX_PAGES);
    g_assert_cmphex(pe.x[4], ==, MIG_FEATURE_COMPACT | MIG_FEATURE_ZERO);
    m->rmm->platform.migration = false;
    for (unsigned n = 0; n < MIG_NUM_CALLS; n++) {
        g_assert_cmphex(MIG(m, n, NS_BLOB(0), 4096), ==, SMCCC_NOT_SUPPORTED);
    }
    machine_free(m);
}

#define TEST(name) g_test_add_func("/migrate/" #name, test_##name)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    TEST(a_realm_arrives_byte_by_byte);
    TEST(a_realm_arrives_over_four_streams);
    TEST(a_realm_arrives_with_compact_tags);
    TEST(a_realm_without_mte_arrives);
    TEST(it_migrates_on_from_where_it_arrived);
    TEST(a_realm_that_writes_all_the_time_arrives_whole);
    TEST(after_an_abort_the_realm_runs_and_migrates_again);
    TEST(after_the_start_token_the_source_cannot_go_back);
    TEST(an_offer_serves_once);
    TEST(an_offer_with_any_bit_changed_is_refused);
    TEST(an_offer_of_another_length_is_refused);
    TEST(an_offer_without_a_secret_is_refused);
    TEST(a_realm_made_without_the_flag_does_not_migrate);
    TEST(a_destination_with_other_parameters_is_told_which);
    TEST(a_destination_with_other_sve_or_pmu_is_told_so);
    TEST(a_page_destroyed_meanwhile_is_gone_at_the_destination);
    TEST(a_page_made_meanwhile_arrives);
    TEST(the_ripas_map_arrives_in_one_part);
    TEST(the_ripas_map_arrives_in_many_parts);
    TEST(pending_calls_of_a_rec_arrive);
    TEST(a_realm_that_lost_a_rec_arrives);
    TEST(no_rec_may_go_while_a_realm_leaves);
    TEST(a_load_is_emulated_by_the_host_it_moved_to);
    TEST(an_abort_is_injected_by_the_host_it_moved_to);
    TEST(a_realm_takes_its_external_abort_where_it_moved_to);
    TEST(no_plaintext_leaves);
    TEST(bundle_sizes_do_not_depend_on_contents);
    TEST(with_compact_pages_of_zeros_cost_no_data);
    TEST(a_bundle_may_have_nothing_but_entries);
    TEST(without_the_extension_there_are_no_calls);
    g_test_add_func("/migrate/no_iv_is_used_twice", oracle_check);
    return g_test_run();
}
