/*
 * One runnable copy: abort tokens, resuming, and races about them
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#define _GNU_SOURCE             /* memmem */
#include <string.h>

#include "mig-oracle.h"
#include "mig-steps.h"
#include "rmm-internal.h"
#include "session.h"

/* ---- two machines on the way to a phase ---- */

typedef struct Pair {
    Machine *src, *dst;
    GPtrArray *final;           /* the map, the RECs, the start token */
} Pair;

/* How far a pair went: what the destination's phase is called after it */
typedef enum Stage {
    AT_OFFER, AT_BEGIN, AT_MEMORY, AT_STATE, AT_START, STAGES
} Stage;

static Machine *small_source(void)
{
    MachineParams params = machine_defaults;

    params.granules = 60;
    return source_new(&params, 4);
}

static Machine *small_destination(void)
{
    MachineParams params = machine_defaults;

    params.granules = 60;
    return machine_new(&params);
}

/* The source is sealed from AT_STATE on. */
static void pair_go(Pair *p, Stage stage)
{
    Record *begin, *offer;

    p->final = NULL;
    if (stage == AT_OFFER) {
        OK(machine_prepare(p->src, p->dst));
        OK(machine_offer(p->dst, &offer));
        g_byte_array_unref(offer);
        return;
    }
    OK(machine_connect(p->src, p->dst, &begin));
    step_take(p->dst, begin);
    if (stage >= AT_MEMORY) {
        step_round(p->src, p->dst, 1, 3);
    }
    if (stage >= AT_STATE) {
        OK(MIG(p->src, MIG_PAUSE));
        p->final = machine_final_records(p->src);
        for (guint i = 0; i < p->final->len; i++) {
            OK(machine_receive(p->dst, p->final->pdata[i]));
        }
        g_ptr_array_add(p->final, step_start(p->src, p->dst));
    }
    if (stage >= AT_START) {
        OK(machine_receive(p->dst, p->final->pdata[p->final->len - 1]));
    }
}

static Pair pair_new(Stage stage)
{
    Pair p = { small_source(), small_destination(), NULL };

    pair_go(&p, stage);
    return p;
}

static void pair_free(Pair *p)
{
    g_clear_pointer(&p->final, g_ptr_array_unref);
    machine_free(p->src);
    machine_free(p->dst);
}

static bool may_run(Machine *m)
{
    return realm_may_run(machine_state(m));
}

/* Of a sealed source: nothing, or the destination alone */
static void assert_one_copy(const Pair *p)
{
    g_assert_cmpint(may_run(p->src) + may_run(p->dst), <=, 1);
}

/* ---- the token ---- */

static void test_an_abort_ends_the_import_in_every_phase(void)
{
    for (Stage stage = 0; stage < STAGES; stage++) {
        Pair p = pair_new(stage);
        Record *token, *again;

        OK(machine_abort(p.dst, &token));
        g_assert_cmpuint(token->len, ==, sizeof(MigAbort));
        g_assert_cmpint(machine_state(p.dst), ==, REALM_FAILED);
        REFUSES(p.dst, MIG(p.dst, MIG_IMPORT_COMMIT),
                REFUSED(MIG_CAUSE_STATE));
        REFUSES(p.dst, MIG(p.dst, MIG_OFFER, NS_BLOB(0), 4096),
                REFUSED(MIG_CAUSE_STATE));
        g_assert_cmpint(RMI_STATUS(SMC(p.dst, RMI_REALM_ACTIVATE,
                                       p.dst->rd)), ==, RMI_ERROR_REALM);
        /* As often as the host likes, and it changes nothing */
        REFUSES(p.dst, machine_abort(p.dst, &again), RMI_SUCCESS);
        g_assert_cmpmem(token->data, token->len, again->data, again->len);
        g_byte_array_unref(again);
        g_byte_array_unref(token);
        pair_free(&p);
    }
}

static void test_an_import_that_failed_gives_the_token_too(void)
{
    Pair p = pair_new(AT_STATE);
    Record *bad = g_byte_array_new(), *token;

    g_byte_array_set_size(bad, 100);
    memset(bad->data, 0, 100);
    g_assert_cmphex(machine_receive(p.dst, bad), ==,
                    REFUSED(MIG_CAUSE_FORMAT));
    REFUSES(p.dst, MIG(p.dst, MIG_IMPORT_ABORT, 0x1000, 4096),
            RMI_ERROR_INPUT);
    OK(machine_abort(p.dst, &token));
    OK(machine_resume(p.src, token));
    g_assert_true(may_run(p.src));
    g_byte_array_unref(token);
    g_byte_array_unref(bad);
    pair_free(&p);
}

static void test_who_runs_the_realm_gives_no_token(void)
{
    Pair p = pair_new(AT_START);

    OK(MIG(p.dst, MIG_IMPORT_COMMIT));
    REFUSES(p.dst, MIG(p.dst, MIG_IMPORT_ABORT, NS_BLOB(0), 4096),
            REFUSED(MIG_CAUSE_STATE));
    assert_one_copy(&p);
    pair_free(&p);
}

/* Until it gives up, nothing of the secret is anywhere in host memory. */
static void test_the_secret_does_not_leave_before_the_abort(void)
{
    for (Stage stage = 0; stage < STAGES; stage++) {
        Pair p = pair_new(stage);
        uint8_t secret[32];
        Record *token;

        memcpy(secret, machine_session(p.dst)->abort_secret, 32);
        g_assert_null(memmem(p.dst->ns, p.dst->ns_size, secret, 32));
        OK(machine_abort(p.dst, &token));
        g_assert_nonnull(memmem(p.dst->ns, p.dst->ns_size, secret, 32));
        g_byte_array_unref(token);
        pair_free(&p);
    }
}

/* ---- the way back ---- */

static void test_a_sealed_realm_comes_back_and_migrates_again(void)
{
    uint8_t first[CRYPTO_KEY_SIZE];
    Pair p = { small_source(), small_destination(), NULL };
    Machine *twin;
    Record *token, *begin;

    OK(machine_connect(p.src, p.dst, &begin));
    memcpy(first, machine_session(p.src)->key, sizeof(first));
    step_take(p.dst, begin);
    step_round(p.src, p.dst, 2, 2);
    step_seal(p.src, p.dst);
    OK(machine_abort(p.dst, &token));
    OK(machine_resume(p.src, token));
    g_assert_cmpint(machine_state(p.src), ==, REALM_ACTIVE);
    g_assert_cmpint(machine_session(p.src)->phase, ==, MIG_IDLE);
    machine_page(p.src, 0, true, NULL)[17] ^= 1;

    twin = small_destination();
    OK(machine_connect(p.src, twin, &begin));
    g_assert_cmpint(memcmp(machine_session(p.src)->key, first, 32), !=, 0);
    step_take(twin, begin);
    g_assert_cmpuint(step_round(p.src, twin, 2, 2), ==, 4);
    step_finish(p.src, twin);
    same_realm(p.src, twin);
    machine_free(twin);
    g_byte_array_unref(token);
    pair_free(&p);
}

static void test_nothing_of_the_realm_is_lost_by_a_resume(void)
{
    Pair p = pair_new(AT_STATE);
    g_autofree char *map = ripas_map(p.src), *after = NULL;
    Record *token;

    OK(machine_abort(p.dst, &token));
    OK(machine_resume(p.src, token));
    after = ripas_map(p.src);
    g_assert_cmpstr(map, ==, after);
    for (unsigned i = 0; i < 4; i++) {
        g_assert_nonnull(machine_page(p.src, page_ipa(i, 4), true, NULL));
    }
    g_byte_array_unref(token);
    pair_free(&p);
}

static void test_a_resume_needs_a_sealed_realm(void)
{
    for (Stage stage = 0; stage < AT_STATE; stage++) {
        Pair p = pair_new(stage);
        Record *token;

        OK(machine_abort(p.dst, &token));
        REFUSES(p.src, machine_resume(p.src, token),
                REFUSED(MIG_CAUSE_STATE));
        REFUSES(p.dst, machine_resume(p.dst, token),
                REFUSED(MIG_CAUSE_STATE));
        if (stage >= AT_BEGIN) {
            OK(MIG(p.src, MIG_PAUSE));
            REFUSES(p.src, machine_resume(p.src, token),
                    REFUSED(MIG_CAUSE_STATE));
            OK(MIG(p.src, MIG_EXPORT_ABORT));
        }
        REFUSES(p.src, machine_resume(p.src, token),
                REFUSED(MIG_CAUSE_STATE));
        g_byte_array_unref(token);
        pair_free(&p);
    }
}

static void test_a_token_serves_once(void)
{
    Pair p = pair_new(AT_START);
    Record *token;

    OK(machine_abort(p.dst, &token));
    OK(machine_resume(p.src, token));
    REFUSES(p.src, machine_resume(p.src, token), REFUSED(MIG_CAUSE_STATE));
    g_byte_array_unref(token);
    pair_free(&p);
}

/* Aborted before the start token was made; then the host makes it. */
static void test_a_token_from_before_the_start_serves_after_it(void)
{
    Pair p = pair_new(AT_MEMORY);
    GPtrArray *final;
    Record *ready, *token;
    uint64_t result;

    OK(MIG(p.src, MIG_PAUSE));
    final = machine_final_records(p.src);
    for (guint i = 0; i < final->len; i++) {
        OK(machine_receive(p.dst, final->pdata[i]));
    }
    g_ptr_array_unref(final);
    OK(machine_ready(p.dst, &ready));
    OK(machine_abort(p.dst, &token));
    g_byte_array_unref(machine_start(p.src, ready, &result));
    OK(result);
    g_byte_array_unref(ready);
    g_assert_cmpint(machine_state(p.src), ==, REALM_EXPORTED);
    OK(machine_resume(p.src, token));
    assert_one_copy(&p);
    g_byte_array_unref(token);
    pair_free(&p);
}

/* ---- tokens that are none ---- */

static void test_a_token_with_any_bit_changed_is_refused(void)
{
    Pair p = pair_new(AT_START);
    Record *token;

    OK(machine_abort(p.dst, &token));
    for (size_t i = 0; i < token->len; i++) {
        MigCause want = i >= offsetof(MigAbort, secret) ?
                        MIG_CAUSE_ABORT_SECRET :
                        i >= offsetof(MigAbort, offer_nonce) ?
                        MIG_CAUSE_ABORT_OTHER : MIG_CAUSE_ABORT_FORMAT;

        if (i == offsetof(MigAbort, version)) {
            continue;           /* the minor says nothing */
        }
        token->data[i] ^= 1 << i % 8;
        REFUSES(p.src, machine_resume(p.src, token), REFUSED(want));
        token->data[i] ^= 1 << i % 8;
    }
    for (size_t len = 0; len < 200; len++) {
        if (len != token->len) {
            REFUSES(p.src, MIG(p.src, MIG_EXPORT_RESUME, NS_BLOB(0), len),
                    REFUSED(MIG_CAUSE_ABORT_FORMAT));
        }
    }
    REFUSES(p.src, MIG(p.src, MIG_EXPORT_RESUME, 0x1000, token->len),
            RMI_ERROR_INPUT);
    g_byte_array_unref(token);
    pair_free(&p);
}

/* What a host makes that knows all but the secret */
static void forge_token(Record *token, const Machine *src)
{
    memcpy(token->data + offsetof(MigAbort, offer_nonce),
           machine_session((Machine *)src)->offer.nonce, 32);
}

static void test_the_token_of_another_destination_is_refused(void)
{
    Pair p = pair_new(AT_START), other = pair_new(AT_START);
    Record *token;

    OK(machine_abort(other.dst, &token));
    REFUSES(p.src, machine_resume(p.src, token),
            REFUSED(MIG_CAUSE_ABORT_OTHER));
    forge_token(token, p.src);
    REFUSES(p.src, machine_resume(p.src, token),
            REFUSED(MIG_CAUSE_ABORT_SECRET));
    /* Nor does what the offer says in the open open its lock */
    memcpy(token->data + offsetof(MigAbort, secret),
           machine_session(p.src)->offer.abort_lock, 32);
    REFUSES(p.src, machine_resume(p.src, token),
            REFUSED(MIG_CAUSE_ABORT_SECRET));
    OK(MIG(p.dst, MIG_IMPORT_COMMIT));
    assert_one_copy(&p);
    g_byte_array_unref(token);
    pair_free(&p);
    pair_free(&other);
}

static void test_the_token_of_an_earlier_migration_is_refused(void)
{
    Pair p = pair_new(AT_START), second;
    Record *token;

    OK(machine_abort(p.dst, &token));
    OK(machine_resume(p.src, token));
    second = (Pair) { p.src, small_destination(), NULL };
    pair_go(&second, AT_START);
    REFUSES(p.src, machine_resume(p.src, token),
            REFUSED(MIG_CAUSE_ABORT_OTHER));
    forge_token(token, p.src);
    REFUSES(p.src, machine_resume(p.src, token),
            REFUSED(MIG_CAUSE_ABORT_SECRET));
    OK(MIG(second.dst, MIG_IMPORT_COMMIT));
    assert_one_copy(&second);
    g_byte_array_unref(token);
    machine_free(p.dst);
    g_ptr_array_unref(p.final);
    pair_free(&second);
}

/* ---- offers ---- */

static void test_two_destinations_cannot_use_one_offer(void)
{
    Machine *src = small_source(), *dst = small_destination();
    Machine *twin = small_destination();
    Record *offer, *own, *begin;
    uint64_t result;

    OK(machine_prepare(src, dst));
    OK(machine_offer(dst, &offer));
    OK(machine_offer(twin, &own));
    OK(machine_accept(src, offer));
    begin = machine_export(src, MIG_EXPORT_BEGIN, 0, &result);
    g_assert_cmphex(machine_receive(twin, begin), ==,
                    REFUSED(MIG_CAUSE_OTHER_OFFER));
    OK(machine_receive(dst, begin));
    /* Not even with the header rewritten to be about its own offer */
    machine_free(twin);
    twin = small_destination();
    g_byte_array_unref(own);
    OK(machine_offer(twin, &own));
    memcpy(begin->data + offsetof(MigHello, peer_nonce),
           own->data + offsetof(MigHello, nonce), 32);
    g_assert_cmphex(machine_receive(twin, begin), ==,
                    REFUSED(MIG_CAUSE_PEER_CHALLENGE));
    g_byte_array_unref(offer);
    g_byte_array_unref(own);
    g_byte_array_unref(begin);
    machine_free(src);
    machine_free(dst);
    machine_free(twin);
}

typedef struct Acceptor {
    Machine *src;
    uint64_t buffer, size;
    gint *ready;
    uint64_t result;
} Acceptor;

static void meet(gint *ready)
{
    g_atomic_int_inc(ready);
    while (g_atomic_int_get(ready) < 2) {
        g_thread_yield();
    }
}

static void *accept_one(void *opaque)
{
    Acceptor *a = opaque;

    meet(a->ready);
    a->result = MIG(a->src, MIG_ACCEPT, a->buffer, a->size);
    return NULL;
}

static void test_of_two_offers_at_once_one_is_accepted(void)
{
    for (int i = 0; i < 20; i++) {
        Machine *src = small_source();
        Machine *dst[2] = { small_destination(), small_destination() };
        GThread *threads[2];
        gint ready = 0;
        Acceptor a[2];

        OK(machine_prepare(src, dst[0]));
        memcpy(dst[1]->nonce, dst[0]->nonce, sizeof(dst[1]->nonce));
        for (int n = 0; n < 2; n++) {
            Record *offer;

            OK(machine_offer(dst[n], &offer));
            a[n] = (Acceptor) { src, NS_BLOB(n), offer->len, &ready };
            memcpy(machine_ns(src, NS_BLOB(n)), offer->data, offer->len);
            g_byte_array_unref(offer);
            threads[n] = g_thread_new("acceptor", accept_one, &a[n]);
        }
        for (int n = 0; n < 2; n++) {
            g_thread_join(threads[n]);
        }
        for (int n = 0; n < 2; n++) {
            g_assert_cmphex(a[n].result, ==, a[1 - n].result == RMI_SUCCESS ?
                            REFUSED(MIG_CAUSE_OFFER_OUTSTANDING)
                            : RMI_SUCCESS);
            machine_free(dst[n]);
        }
        machine_free(src);
    }
}

static void test_a_used_nonce_stays_used_after_a_resume(void)
{
    Machine *src = small_source(), *dst = small_destination();
    Machine *other = small_destination();
    Record *offer, *second, *token, *begin;
    uint64_t result;

    OK(machine_prepare(src, dst));
    memcpy(other->nonce, dst->nonce, sizeof(other->nonce));
    OK(machine_offer(dst, &offer));
    OK(machine_offer(other, &second));
    OK(machine_accept(src, offer));
    begin = machine_export(src, MIG_EXPORT_BEGIN, 0, &result);
    step_take(dst, begin);
    step_round(src, dst, 1, 64);
    step_seal(src, dst);
    REFUSES(src, machine_accept(src, offer), REFUSED(MIG_CAUSE_STATE));
    REFUSES(src, machine_accept(src, second), REFUSED(MIG_CAUSE_STATE));
    OK(machine_abort(dst, &token));
    OK(machine_resume(src, token));
    REFUSES(src, machine_accept(src, offer), REFUSED(MIG_CAUSE_OFFER_NONCE));
    REFUSES(src, machine_accept(src, second), REFUSED(MIG_CAUSE_OFFER_NONCE));
    g_byte_array_unref(offer);
    g_byte_array_unref(second);
    g_byte_array_unref(token);
    machine_free(src);
    machine_free(dst);
    machine_free(other);
}

/* ---- abort against commit ---- */

static void test_abort_then_commit_in_every_phase(void)
{
    for (Stage stage = 0; stage < STAGES; stage++) {
        Pair p = pair_new(stage);
        Record *token;

        OK(machine_abort(p.dst, &token));
        REFUSES(p.dst, MIG(p.dst, MIG_IMPORT_COMMIT),
                REFUSED(MIG_CAUSE_STATE));
        if (p.final) {
            OK(machine_resume(p.src, token));
        }
        assert_one_copy(&p);
        g_assert_true(may_run(p.src));
        g_byte_array_unref(token);
        pair_free(&p);
    }
}

static void test_commit_then_abort_in_every_phase(void)
{
    for (Stage stage = 0; stage < STAGES; stage++) {
        Pair p = pair_new(stage);
        bool committed = MIG(p.dst, MIG_IMPORT_COMMIT) == RMI_SUCCESS;
        Record *token;
        uint64_t result = machine_abort(p.dst, &token);

        g_assert_true(committed == (stage == AT_START));
        g_assert_true((result == RMI_SUCCESS) == !committed);
        g_assert_true(may_run(p.dst) == committed);
        if (p.final && !committed) {
            OK(machine_resume(p.src, token));
        }
        assert_one_copy(&p);
        g_clear_pointer(&token, g_byte_array_unref);
        pair_free(&p);
    }
}

typedef struct Racer {
    Machine *m;
    Record *record;             /* import it; NULL: commit */
    gint *ready;
    uint64_t result;
} Racer;

static void *race(void *opaque)
{
    Racer *r = opaque;

    meet(r->ready);
    r->result = r->record ? machine_receive(r->m, r->record)
                          : MIG(r->m, MIG_IMPORT_COMMIT);
    return NULL;
}

/* Abort at (almost) the same time as @record is imported, or the commit */
static uint64_t race_abort(Pair *p, Record *record, uint64_t *abort_result)
{
    gint ready = 0;
    Racer r = { .m = p->dst, .record = record, .ready = &ready };
    GThread *thread = g_thread_new("racer", race, &r);
    const uint64_t buffer = NS_BLOB(5);

    meet(&ready);
    *abort_result = MIG(p->dst, MIG_IMPORT_ABORT, buffer, 4096);
    g_thread_join(thread);
    memcpy(machine_ns(p->src, NS_BLOB(0)), machine_ns(p->dst, buffer),
           sizeof(MigAbort));
    return r.result;
}

static void test_of_abort_and_commit_at_once_one_succeeds(void)
{
    unsigned commits = 0, aborts = 0;

    for (int i = 0; i < 60; i++) {
        Pair p = pair_new(AT_START);
        uint64_t abort, commit = race_abort(&p, NULL, &abort), resumed;

        commits += commit == RMI_SUCCESS;
        aborts += abort == RMI_SUCCESS;
        g_assert_true((commit == RMI_SUCCESS) != (abort == RMI_SUCCESS));
        resumed = MIG(p.src, MIG_EXPORT_RESUME, NS_BLOB(0), sizeof(MigAbort));
        g_assert_true((resumed == RMI_SUCCESS) == (abort == RMI_SUCCESS));
        g_assert_cmpint(may_run(p.src) + may_run(p.dst), ==, 1);
        pair_free(&p);
    }
    g_test_message("%u commits, %u aborts", commits, aborts);
}

/* The start token, or the first memory, is imported in another thread */
static void race_import(Stage stage)
{
    for (int i = 0; i < 15; i++) {
        Pair p = pair_new(stage);
        Record *record;
        uint64_t abort, result, ipa = 0;

        if (stage == AT_STATE) {
            record = g_byte_array_ref(p.final->pdata[p.final->len - 1]);
        } else {
            g_array_unref(machine_collect(p.src));
            record = machine_send_pages(p.src, &ipa, 1, 3);
        }
        result = race_abort(&p, record, &abort);
        g_assert_cmphex(abort, ==, RMI_SUCCESS);
        g_assert_true(result == RMI_SUCCESS ||
                      result == REFUSED(MIG_CAUSE_STATE));
        g_assert_cmpint(machine_state(p.dst), ==, REALM_FAILED);
        g_assert_cmphex(MIG(p.dst, MIG_IMPORT_COMMIT), ==,
                        REFUSED(MIG_CAUSE_STATE));
        g_byte_array_unref(record);
        pair_free(&p);
    }
}

static void test_an_abort_beats_an_import_at_once(void)
{
    race_import(AT_STATE);
    race_import(AT_BEGIN);
}

#define TEST(name) g_test_add_func("/abort/" #name, test_##name)
#define RACE(name) g_test_add_func("/abort/races/" #name, test_##name)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    TEST(an_abort_ends_the_import_in_every_phase);
    TEST(an_import_that_failed_gives_the_token_too);
    TEST(who_runs_the_realm_gives_no_token);
    TEST(the_secret_does_not_leave_before_the_abort);
    TEST(a_sealed_realm_comes_back_and_migrates_again);
    TEST(nothing_of_the_realm_is_lost_by_a_resume);
    TEST(a_resume_needs_a_sealed_realm);
    TEST(a_token_serves_once);
    TEST(a_token_from_before_the_start_serves_after_it);
    TEST(a_token_with_any_bit_changed_is_refused);
    TEST(the_token_of_another_destination_is_refused);
    TEST(the_token_of_an_earlier_migration_is_refused);
    TEST(two_destinations_cannot_use_one_offer);
    TEST(a_used_nonce_stays_used_after_a_resume);
    TEST(abort_then_commit_in_every_phase);
    TEST(commit_then_abort_in_every_phase);
    RACE(of_abort_and_commit_at_once_one_succeeds);
    RACE(an_abort_beats_an_import_at_once);
    RACE(of_two_offers_at_once_one_is_accepted);
    g_test_add_func("/abort/no_iv_is_used_twice", oracle_check);
    return g_test_run();
}
