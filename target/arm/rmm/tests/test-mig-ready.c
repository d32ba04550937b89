/*
 * The ready record and the receipt, and what they open
 *
 * "Ready" and "Receipt" in docs/specs/realm-migration-stream.rst: EXPORT_START
 * makes the start token only for the RMM whose offer was accepted, which has
 * all that was sent, now.  With the receipt the source's copy is gone.  Each
 * refusal is followed by a check that nothing has changed.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "mig.h"
#include "mig-oracle.h"
#include "mig-steps.h"
#include "rec.h"
#include "rtt.h"

#define PAGES 4

typedef struct Pair {
    Machine *src, *dst;
} Pair;

static Pair pair_new(void)
{
    MachineParams params = machine_defaults;

    params.granules = 60;
    return (Pair) { source_new(&params, PAGES), machine_new(&params) };
}

static void pair_free(Pair *p)
{
    machine_free(p->src);
    machine_free(p->dst);
}

/* The destination has all but the start token. */
static Pair pair_complete(void)
{
    Pair p = pair_new();
    GPtrArray *records;

    step_connect(p.src, p.dst);
    step_round(p.src, p.dst, 2, 1);
    OK(MIG(p.src, MIG_PAUSE));
    records = machine_final_records(p.src);
    for (guint i = 0; i < records->len; i++) {
        OK(machine_receive(p.dst, records->pdata[i]));
    }
    g_ptr_array_unref(records);
    return p;
}

/* The Realm runs at the destination. */
static Pair pair_arrived(void)
{
    Pair p = pair_complete();

    step_take(p.dst, step_start(p.src, p.dst));
    step_run(p.dst);
    return p;
}

static Record *ready_of(Machine *dst)
{
    Record *ready;

    OK(machine_ready(dst, &ready));
    g_assert_cmpuint(ready->len, ==, MIG_EMPTY_BUNDLE);
    return ready;
}

static Record *receipt_of(Machine *dst)
{
    Record *receipt;

    OK(machine_receipt(dst, &receipt));
    g_assert_cmpuint(receipt->len, ==, MIG_EMPTY_BUNDLE);
    return receipt;
}

/* Answers for the source: what is needed for START, and for FINISH */
static uint64_t start(Machine *src, const Record *ready)
{
    uint64_t result;
    Record *token;

    memset(machine_ns(src, NS_BLOB(0)), 0xee, MIG_EMPTY_BUNDLE);
    token = machine_start(src, ready, &result);
    g_clear_pointer(&token, g_byte_array_unref);
    return result;
}

#define START_IS_REFUSED(src, ready, cause) \
    REFUSES(src, start(src, ready), REFUSED(cause))
#define FINISH_IS_REFUSED(src, receipt, cause) \
    REFUSES(src, machine_finish(src, receipt), REFUSED(cause))
#define READY_IS_REFUSED(dst, cause) do { \
        Record *ready_; \
        REFUSES(dst, machine_ready(dst, &ready_), REFUSED(cause)); \
        g_assert_null(ready_); \
    } while (0)

/* ---- what READY says ---- */

static void test_ready_comes_when_all_has_come(void)
{
    Pair p = pair_new();
    GPtrArray *records;
    Record *none;

    READY_IS_REFUSED(p.dst, MIG_CAUSE_STATE);
    step_connect(p.src, p.dst);
    READY_IS_REFUSED(p.dst, MIG_CAUSE_REALM_MISSING);
    step_round(p.src, p.dst, 1, 3);
    OK(MIG(p.src, MIG_PAUSE));
    records = machine_final_records(p.src);
    for (guint i = 0; i < records->len; i++) {
        READY_IS_REFUSED(p.dst, i ? MIG_CAUSE_REC_MISSING
                                  : MIG_CAUSE_REALM_MISSING);
        OK(machine_receive(p.dst, records->pdata[i]));
    }
    g_ptr_array_unref(records);
    REFUSES(p.dst, MIG(p.dst, MIG_IMPORT_READY, NS_BLOB(0),
                       MIG_EMPTY_BUNDLE - 1), RMI_ERROR_INPUT);
    REFUSES(p.dst, MIG(p.dst, MIG_IMPORT_READY, 0x1000, 4096),
            RMI_ERROR_INPUT);
    /* A REC too many is one that has not come */
    machine_add_rec(p.dst, MACHINE_RECS);
    READY_IS_REFUSED(p.dst, MIG_CAUSE_REC_MISSING);
    pair_free(&p);

    p = pair_complete();
    step_take(p.dst, step_start(p.src, p.dst));
    REFUSES(p.dst, machine_ready(p.dst, &none), REFUSED(MIG_CAUSE_STATE));
    step_run(p.dst);
    REFUSES(p.dst, machine_ready(p.dst, &none), REFUSED(MIG_CAUSE_STATE));
    pair_free(&p);
}

/* What no source does; the destination does not rely on that. */
static void test_ready_names_the_page_that_never_came(void)
{
    Pair p = pair_new();
    GPtrArray *records;
    uint64_t out[4], ipa = page_ipa(2, PAGES);
    RttWalk walk = { .entry = NULL };
    RmmRealm *realm;

    step_connect(p.src, p.dst);
    OK(MIG(p.src, MIG_PAUSE));
    g_array_unref(machine_collect(p.src));
    realm = realm_lock(p.src->rmm, p.src->rd);
    g_assert_true(rtt_take_pending(realm, ipa, &walk));
    realm_unlock(realm);
    for (unsigned i = 0; i < PAGES; i++) {
        const uint64_t other = page_ipa(i, PAGES);

        machine_table(p.dst, other);
        if (other != ipa) {
            step_take(p.dst, machine_send_pages(p.src, &other, 1, 0));
        }
    }
    records = machine_final_records(p.src);
    for (guint i = 0; i < records->len; i++) {
        OK(machine_receive(p.dst, records->pdata[i]));
    }
    g_ptr_array_unref(records);
    REFUSES(p.dst, MIG_OUT(p.dst, out, MIG_IMPORT_READY, NS_BLOB(0), 4096),
            REFUSED(MIG_CAUSE_PAGE_MISSING));
    g_assert_cmphex(out[0], ==, 0);
    g_assert_cmphex(out[1], ==, ipa);
    pair_free(&p);
}

/* A destination that cannot commit any more says nothing. */
static void test_a_destination_that_is_dead_is_not_ready(void)
{
    Pair p = pair_complete();
    Record *token, *bad = g_byte_array_set_size(g_byte_array_new(), 64);

    OK(machine_abort(p.dst, &token));
    READY_IS_REFUSED(p.dst, MIG_CAUSE_STATE);
    g_byte_array_unref(token);
    pair_free(&p);

    p = pair_complete();
    memset(bad->data, 0, bad->len);
    g_assert_cmphex(machine_receive(p.dst, bad), ==,
                    REFUSED(MIG_CAUSE_FORMAT));
    READY_IS_REFUSED(p.dst, MIG_CAUSE_STATE);
    pair_free(&p);

    p = pair_complete();
    OK(SMC(p.dst, RMI_REC_DESTROY, p.dst->recs[0]));
    g_assert_cmphex(machine_ready(p.dst, &token), ==,
                    REFUSED(MIG_CAUSE_RECLAIMED));
    g_assert_cmpint(machine_state(p.dst), ==, REALM_FAILED);
    g_byte_array_unref(bad);
    pair_free(&p);
}

/* ---- what START wants ---- */

/* Bytes of a record without a body that lead to the seal */
static bool is_form(size_t at)
{
    return at < offsetof(MigHeader, type) ||
           (at >= offsetof(MigHeader, reserved0) &&
            at < offsetof(MigHeader, counter)) ||
           (at >= offsetof(MigHeader, count) &&
            at < offsetof(MigHeader, total));
}

static void test_start_refuses_a_ready_record_that_was_changed(void)
{
    Pair p = pair_complete();
    Record *ready = ready_of(p.dst);

    for (size_t i = 0; i < ready->len; i++) {
        ready->data[i] ^= 1 << i % 8;
        START_IS_REFUSED(p.src, ready, is_form(i) ? MIG_CAUSE_REPLY_FORMAT
                                                  : MIG_CAUSE_REPLY_SEAL);
        ready->data[i] ^= 1 << i % 8;
    }
    /* It is read in its size, so one that was cut has other bytes at its end */
    memset(ready->data + ready->len - 8, 0, 8);
    START_IS_REFUSED(p.src, ready, MIG_CAUSE_REPLY_SEAL);
    memset(ready->data, 0, ready->len);
    START_IS_REFUSED(p.src, ready, MIG_CAUSE_REPLY_FORMAT);
    REFUSES(p.src, MIG(p.src, MIG_EXPORT_START, NS_BLOB(0), 4096, 0x1000),
            RMI_ERROR_INPUT);
    g_byte_array_unref(ready);
    ready = ready_of(p.dst);
    OK(start(p.src, ready));
    g_byte_array_unref(ready);
    pair_free(&p);
}

/* Another bundle, another epoch: the record says of which moment it is. */
static void test_start_refuses_a_ready_record_of_an_earlier_moment(void)
{
    Pair p = pair_complete();
    Record *first = ready_of(p.dst), *second, *memory, *token;
    uint64_t result;
    GArray *ipas;

    /* The page is written as the Realm could not, for there to be a bundle */
    machine_page(p.src, 0, true, NULL)[7] ^= 1;
    token = machine_export(p.src, MIG_EXPORT_EPOCH, 0, &result);
    START_IS_REFUSED(p.src, first, MIG_CAUSE_PAGES_DIRTY);
    ipas = machine_collect(p.src);
    memory = machine_send_pages(p.src, (uint64_t *)ipas->data, 1, 3);
    START_IS_REFUSED(p.src, first, MIG_CAUSE_REPLY_OTHER);
    OK(machine_receive(p.dst, token));
    second = ready_of(p.dst);           /* all that came is here */
    START_IS_REFUSED(p.src, second, MIG_CAUSE_REPLY_OTHER);
    g_byte_array_unref(second);
    OK(machine_receive(p.dst, memory));
    START_IS_REFUSED(p.src, first, MIG_CAUSE_REPLY_OTHER);
    second = ready_of(p.dst);
    OK(start(p.src, second));
    g_byte_array_unref(first);
    g_byte_array_unref(second);
    g_byte_array_unref(memory);
    g_byte_array_unref(token);
    g_array_unref(ipas);
    pair_free(&p);
}

/* The same number of bundles in another epoch */
static void test_start_compares_the_epoch(void)
{
    Pair p = pair_complete();
    MigSession *s = machine_session(p.src);
    Record *ready = ready_of(p.dst);

    s->epoch++;
    START_IS_REFUSED(p.src, ready, MIG_CAUSE_REPLY_OTHER);
    s->epoch--;
    OK(start(p.src, ready));
    g_byte_array_unref(ready);
    pair_free(&p);
}

static void test_start_takes_any_ready_record_while_it_is_true(void)
{
    Pair p = pair_complete();
    Record *first = ready_of(p.dst), *second = ready_of(p.dst);

    /* Each is a new one */
    g_assert_cmpint(memcmp(first->data, second->data, first->len), !=, 0);
    /* The source used it in vain: no room for the token */
    memcpy(machine_ns(p.src, NS_LIST(0)), second->data, second->len);
    REFUSES(p.src, MIG(p.src, MIG_EXPORT_START, NS_BLOB(0), 0x3f, NS_LIST(0)),
            RMI_ERROR_INPUT);
    OK(start(p.src, first));
    REFUSES(p.src, start(p.src, second), RMI_SUCCESS);  /* the same again */
    g_byte_array_unref(first);
    g_byte_array_unref(second);
    pair_free(&p);
}

static void test_start_refuses_a_ready_record_of_another_session(void)
{
    Pair p = pair_complete(), other = pair_complete();
    Record *ready = ready_of(other.dst), *again;
    GPtrArray *records;

    START_IS_REFUSED(p.src, ready, MIG_CAUSE_REPLY_SEAL);
    g_byte_array_unref(ready);
    /* An earlier session of the same Realm, with the same bundles */
    ready = ready_of(p.dst);
    OK(MIG(p.src, MIG_EXPORT_ABORT));
    machine_free(p.dst);
    p.dst = machine_new(&p.src->params);
    step_connect(p.src, p.dst);
    step_round(p.src, p.dst, 2, 1);
    OK(MIG(p.src, MIG_PAUSE));
    records = machine_final_records(p.src);
    START_IS_REFUSED(p.src, ready, MIG_CAUSE_REPLY_SEAL);
    for (guint i = 0; i < records->len; i++) {
        OK(machine_receive(p.dst, records->pdata[i]));
    }
    again = ready_of(p.dst);
    OK(start(p.src, again));
    g_byte_array_unref(again);
    g_byte_array_unref(ready);
    g_ptr_array_unref(records);
    pair_free(&p);
    pair_free(&other);
}

/* What the source itself made, and what says something else */
static void test_start_refuses_other_records_of_its_session(void)
{
    Pair p = pair_complete();
    Record *own, *receipt = machine_forge_ready(p.src), *ready;
    uint64_t result;

    own = machine_export(p.src, MIG_EXPORT_EPOCH, 0, &result);
    g_assert_cmpuint(own->len, ==, MIG_EMPTY_BUNDLE);
    START_IS_REFUSED(p.src, own, MIG_CAUSE_REPLY_SEAL);
    OK(machine_receive(p.dst, own));
    g_assert_cmpint(reply_make(machine_session(p.src), MIG_TYPE_RECEIPT,
                               receipt->data), ==, 0);
    START_IS_REFUSED(p.src, receipt, MIG_CAUSE_REPLY_OTHER);
    ready = ready_of(p.dst);
    OK(start(p.src, ready));
    g_byte_array_unref(own);
    g_byte_array_unref(receipt);
    g_byte_array_unref(ready);
    pair_free(&p);
}

/*
 * A relay brings an offer whose maker is gone, or whose maker takes another
 * Realm.  Whatever the network says then, the Realm stays where it is.
 */
static void test_no_realm_is_lost_to_a_destination_that_is_not_there(void)
{
    Pair p = pair_new();
    Machine *other = source_new(&p.src->params, PAGES);
    GPtrArray *records;
    Record *offer, *ready, *token;
    uint64_t result;

    OK(machine_prepare(p.src, p.dst));
    OK(machine_offer(p.dst, &offer));
    OK(machine_accept(p.src, offer));
    g_byte_array_unref(offer);
    /* This one is like the other, and takes another Realm */
    machine_free(p.dst);
    p.dst = machine_new(&p.src->params);
    step_connect(other, p.dst);
    step_round(other, p.dst, 1, 64);
    OK(MIG(other, MIG_PAUSE));
    records = machine_final_records(other);
    for (guint i = 0; i < records->len; i++) {
        OK(machine_receive(p.dst, records->pdata[i]));
    }
    g_ptr_array_unref(records);
    ready = ready_of(p.dst);

    g_byte_array_unref(machine_export(p.src, MIG_EXPORT_BEGIN, 0, &result));
    g_array_unref(machine_collect(p.src));
    for (unsigned i = 0; i < PAGES; i++) {
        const uint64_t ipa = page_ipa(i, PAGES);

        g_byte_array_unref(machine_send_pages(p.src, &ipa, 1, 0));
    }
    OK(MIG(p.src, MIG_PAUSE));
    g_ptr_array_unref(machine_final_records(p.src));
    START_IS_REFUSED(p.src, ready, MIG_CAUSE_REPLY_SEAL);
    OK(MIG(p.src, MIG_EXPORT_ABORT));
    g_assert_cmpint(machine_state(p.src), ==, REALM_ACTIVE);
    /* The other Realm arrives */
    token = machine_start(other, ready, &result);
    step_take(p.dst, token);
    step_run(p.dst);
    g_byte_array_unref(ready);
    machine_free(other);
    pair_free(&p);
}

/* ---- the receipt ---- */

static void test_a_receipt_is_given_from_the_commit_on(void)
{
    Pair p = pair_new();
    Record *receipt, *again;

#define RECEIPT_IS_REFUSED(m) \
    REFUSES(m, machine_receipt(m, &again), REFUSED(MIG_CAUSE_STATE))
    RECEIPT_IS_REFUSED(p.dst);
    RECEIPT_IS_REFUSED(p.src);
    machine_free(p.dst);
    machine_free(p.src);
    p = pair_complete();
    RECEIPT_IS_REFUSED(p.dst);
    RECEIPT_IS_REFUSED(p.src);
    step_take(p.dst, step_start(p.src, p.dst));
    RECEIPT_IS_REFUSED(p.dst);
    step_run(p.dst);
    receipt = receipt_of(p.dst);
    for (int i = 0; i < 3; i++) {
        REFUSES(p.dst, machine_receipt(p.dst, &again), RMI_SUCCESS);
        g_assert_cmpmem(again->data, again->len, receipt->data, receipt->len);
        g_byte_array_unref(again);
        REFUSES(p.dst, MIG(p.dst, MIG_IMPORT_RECEIPT, NS_BLOB(0),
                           MIG_EMPTY_BUNDLE - 1), RMI_ERROR_INPUT);
        REFUSES(p.dst, MIG(p.dst, MIG_IMPORT_RECEIPT, 0x1000, 4096),
                RMI_ERROR_INPUT);
    }
    g_byte_array_unref(receipt);
    pair_free(&p);
}

/* PREPARE keeps it; ACCEPT ends it, even if the Realm does not leave then. */
static void test_a_realm_that_accepts_an_offer_drops_its_receipt(void)
{
    Pair p = pair_arrived();
    Machine *third = machine_new(&p.dst->params);
    Record *offer, *again;

    OK(machine_prepare(p.dst, third));
    g_byte_array_unref(receipt_of(p.dst));
    OK(machine_offer(third, &offer));
    OK(machine_accept(p.dst, offer));
    RECEIPT_IS_REFUSED(p.dst);
    OK(MIG(p.dst, MIG_EXPORT_ABORT));
    RECEIPT_IS_REFUSED(p.dst);
#undef RECEIPT_IS_REFUSED
    g_byte_array_unref(offer);
    machine_free(third);
    pair_free(&p);
}

/* ---- what FINISH makes of it ---- */

static void test_finish_refuses_what_is_no_receipt(void)
{
    Pair p = pair_complete(), other = pair_arrived();
    Record *ready = ready_of(p.dst), *foreign = receipt_of(other.dst);
    Record *receipt;

    OK(start(p.src, ready));
    step_take(p.dst, step_start(p.src, p.dst));
    step_run(p.dst);
    receipt = receipt_of(p.dst);
    FINISH_IS_REFUSED(p.src, ready, MIG_CAUSE_REPLY_OTHER);
    FINISH_IS_REFUSED(p.src, foreign, MIG_CAUSE_REPLY_SEAL);
    for (size_t i = 0; i < receipt->len; i++) {
        receipt->data[i] ^= 1 << i % 8;
        FINISH_IS_REFUSED(p.src, receipt, is_form(i) ? MIG_CAUSE_REPLY_FORMAT
                                                     : MIG_CAUSE_REPLY_SEAL);
        receipt->data[i] ^= 1 << i % 8;
    }
    for (uint64_t len = 0; len < 2 * receipt->len; len++) {
        if (len != receipt->len) {
            REFUSES(p.src, MIG(p.src, MIG_EXPORT_FINISH, NS_BLOB(0), len),
                    REFUSED(MIG_CAUSE_REPLY_FORMAT));
        }
    }
    REFUSES(p.src, MIG(p.src, MIG_EXPORT_FINISH, 0x1000, receipt->len),
            RMI_ERROR_INPUT);
    g_assert_cmpint(machine_session(p.src)->phase, ==, MIG_SEALED);
    OK(machine_finish(p.src, receipt));
    g_assert_cmpint(machine_session(p.src)->phase, ==, MIG_GONE);
    g_byte_array_unref(ready);
    g_byte_array_unref(foreign);
    g_byte_array_unref(receipt);
    pair_free(&p);
    pair_free(&other);
}

/* A receipt that was refused leaves the way back open. */
static void test_a_wrong_receipt_does_not_stand_in_the_way_of_a_resume(void)
{
    Pair p = pair_complete(), other = pair_arrived();
    Record *foreign = receipt_of(other.dst), *token;

    step_take(p.dst, step_start(p.src, p.dst));
    FINISH_IS_REFUSED(p.src, foreign, MIG_CAUSE_REPLY_SEAL);
    OK(machine_abort(p.dst, &token));
    OK(machine_resume(p.src, token));
    g_assert_cmpint(machine_state(p.src), ==, REALM_ACTIVE);
    FINISH_IS_REFUSED(p.src, foreign, MIG_CAUSE_STATE);
    g_byte_array_unref(foreign);
    g_byte_array_unref(token);
    pair_free(&p);
    pair_free(&other);
}

/* Not even by the abort token, which the destination can never make. */
static void test_nothing_brings_a_realm_back_that_is_gone(void)
{
    Pair p = pair_complete();
    MigAbort *abort;
    Record *receipt, *offer, *token = g_byte_array_new();
    uint8_t secret[32];

    memcpy(secret, machine_session(p.dst)->abort_secret, 32);
    step_take(p.dst, step_start(p.src, p.dst));
    step_run(p.dst);
    receipt = receipt_of(p.dst);
    OK(machine_finish(p.src, receipt));
    g_byte_array_set_size(token, sizeof(*abort));
    abort = (MigAbort *)token->data;
    *abort = (MigAbort) {
        .magic = MIG_MAGIC, .version = MIG_VERSION, .type = MIG_TYPE_ABORT,
        .size = sizeof(*abort),
    };
    memcpy(abort->offer_nonce, machine_session(p.src)->offer.nonce, 32);
    memcpy(abort->secret, secret, 32);
    REFUSES(p.src, machine_resume(p.src, token), REFUSED(MIG_CAUSE_STATE));
    REFUSES(p.src, MIG(p.src, MIG_EXPORT_ABORT), REFUSED(MIG_CAUSE_STATE));
    REFUSES(p.src, MIG(p.src, MIG_EXPORT_START, NS_BLOB(0), 4096),
            REFUSED(MIG_CAUSE_STATE));
    REFUSES(p.src, MIG(p.src, MIG_PREPARE), REFUSED(MIG_CAUSE_STATE));
    machine_free(p.dst);
    p.dst = machine_new(&p.src->params);
    OK(machine_offer(p.dst, &offer));
    REFUSES(p.src, machine_accept(p.src, offer), REFUSED(MIG_CAUSE_STATE));
    g_assert_cmphex(SMC(p.src, RMI_REC_ENTER, p.src->recs[0], NS_BITMAP), !=,
                    RMI_SUCCESS);
    /* And again it says that it is, whatever stands there */
    memset(machine_ns(p.src, NS_BLOB(0)), 0, 64);
    REFUSES(p.src, MIG(p.src, MIG_EXPORT_FINISH, NS_BLOB(0), 1), RMI_SUCCESS);
    g_byte_array_unref(receipt);
    g_byte_array_unref(offer);
    g_byte_array_unref(token);
    pair_free(&p);
}

/* Any byte of pages, tags, registers or contexts that is left */
static bool holds_something(Machine *m)
{
    bool something = false;

    for (unsigned i = 0; i < PAGES; i++) {
        uint8_t *tags, *page = machine_page(m, page_ipa(i, PAGES), false,
                                            &tags);

        g_assert_nonnull(page);
        for (int b = 0; b < RMM_GRANULE_SIZE; b++) {
            something |= page[b];
        }
        for (int b = 0; b < RMM_TAG_BYTES; b++) {
            something |= tags[b];
        }
    }
    for (unsigned i = 0; i < MACHINE_RECS; i++) {
        RmmRec *rec = machine_rec(m, i);

        for (int x = 0; x < 31; x++) {
            something |= rec->x[x] != 0;
        }
        something |= rec->pc || rec->abort.esr || rec->abort.far ||
                     rec->host_call_ipa || rec->ripas.addr || rec->ripas.top ||
                     rec->attest.token;
        for (int b = 0; b < MACHINE_CONTEXT; b++) {
            something |= m->contexts[i][b];
        }
    }
    return something;
}

static void test_finish_wipes_what_the_realm_held(void)
{
    Pair p = pair_new();
    RmmRec *rec = machine_rec(p.src, 2);
    const uint8_t challenge[TOKEN_CHALLENGE_SIZE] = { 1 };
    GPtrArray *records;
    Record *receipt;

    rec->state = REC_RIPAS;
    rec->ripas.top = 0x1000;
    machine_rec(p.src, 0)->state = REC_HOST_CALL;
    machine_rec(p.src, 0)->host_call_ipa = 0x2000;
    g_assert_true(attest_init(&machine_rec(p.src, 0)->attest, rec->realm,
                              challenge));
    machine_rec(p.src, 1)->abort.kind = REC_ABORT_EMULATABLE;
    machine_rec(p.src, 1)->abort.esr = 0x24ull << 26 | 1ull << 24;
    machine_rec(p.src, 1)->abort.far = 0x3008;
    step_connect(p.src, p.dst);
    step_round(p.src, p.dst, 1, 64);
    OK(MIG(p.src, MIG_PAUSE));
    records = machine_final_records(p.src);
    for (guint i = 0; i < records->len; i++) {
        OK(machine_receive(p.dst, records->pdata[i]));
    }
    step_take(p.dst, step_start(p.src, p.dst));
    step_run(p.dst);
    same_realm(p.src, p.dst);
    g_assert_true(holds_something(p.src));
    receipt = receipt_of(p.dst);
    OK(machine_finish(p.src, receipt));
    g_assert_false(holds_something(p.src));
    g_assert_true(holds_something(p.dst));
    /* It can still be taken apart */
    for (unsigned i = 0; i < PAGES; i++) {
        OK(SMC(p.src, RMI_DATA_DESTROY, p.src->rd, page_ipa(i, PAGES)));
    }
    for (unsigned i = 0; i < MACHINE_RECS; i++) {
        OK(SMC(p.src, RMI_REC_DESTROY, p.src->recs[i]));
    }
    g_ptr_array_unref(records);
    g_byte_array_unref(receipt);
    pair_free(&p);
}

/* A page that the Realm gave up has still what it had. */
static void test_finish_wipes_pages_that_are_empty(void)
{
    Pair p = pair_new();
    uint8_t *page = machine_page(p.src, 0, false, NULL);
    RmmRealm *realm;
    Record *receipt;
    uint64_t top;

    page[9] = 0x99;
    realm = realm_lock(p.src->rmm, p.src->rd);
    OK(rtt_set_ripas(realm, 0, RMM_GRANULE_SIZE, RTT_EMPTY, true, &top));
    realm_unlock(realm);
    step_connect(p.src, p.dst);
    step_round(p.src, p.dst, 1, 64);
    step_finish(p.src, p.dst);
    receipt = receipt_of(p.dst);
    g_assert_cmphex(page[9], ==, 0x99);
    OK(machine_finish(p.src, receipt));
    g_assert_cmphex(page[9], ==, 0);
    g_byte_array_unref(receipt);
    pair_free(&p);
}

/* ---- the back key ---- */

typedef enum End {
    SRC_FINISH, SRC_RESUME, SRC_ABORT_ACCEPTED, SRC_ABORT_EXPORTING,
    SRC_ABORT_PAUSED, DST_COMMIT, DST_ABORT_IMPORTING, DST_ABORT_STARTED,
    DST_FAILURE, DST_TAKEN, ENDS
} End;

/* The table in "Exchange" says which ends wipe it; START does not. */
static void test_every_end_wipes_the_back_key(void)
{
    for (End end = 0; end < ENDS; end++) {
        bool late = end <= SRC_RESUME || end == DST_COMMIT ||
                    end == DST_ABORT_STARTED;
        Pair p = end <= SRC_RESUME || end >= SRC_ABORT_PAUSED
                 ? pair_complete() : pair_new();
        Machine *m = end >= DST_COMMIT ? p.dst : p.src;
        Record *record = NULL, *token;

        if (end == SRC_ABORT_ACCEPTED) {
            OK(machine_prepare(p.src, p.dst));
            OK(machine_offer(p.dst, &record));
            OK(machine_accept(p.src, record));
        } else if (end == SRC_ABORT_EXPORTING) {
            step_connect(p.src, p.dst);
        } else if (late) {
            step_take(p.dst, step_start(p.src, p.dst));
        }
        g_assert_nonnull(machine_session(m)->back.aead);
        switch (end) {
        case SRC_FINISH:
        case DST_COMMIT:
            step_run(p.dst);
            record = receipt_of(p.dst);
            if (end == SRC_FINISH) {
                OK(machine_finish(p.src, record));
            }
            break;
        case SRC_RESUME:
        case DST_ABORT_IMPORTING:
        case DST_ABORT_STARTED:
            OK(machine_abort(p.dst, &token));
            if (end == SRC_RESUME) {
                OK(machine_resume(p.src, token));
            }
            g_byte_array_unref(token);
            break;
        case DST_FAILURE:
            record = g_byte_array_set_size(g_byte_array_new(), 64);
            g_assert_cmphex(machine_receive(p.dst, record), ==,
                            REFUSED(MIG_CAUSE_FORMAT));
            break;
        case DST_TAKEN:
            OK(SMC(p.dst, RMI_REC_DESTROY, p.dst->recs[0]));
            g_assert_cmphex(machine_ready(p.dst, &token), ==,
                            REFUSED(MIG_CAUSE_RECLAIMED));
            break;
        default:
            OK(MIG(p.src, MIG_EXPORT_ABORT));
            break;
        }
        g_assert_null(machine_session(m)->back.aead);
        g_assert_null(machine_session(m)->back.scratch);
        g_clear_pointer(&record, g_byte_array_unref);
        pair_free(&p);
    }
}

#define TEST(name) g_test_add_func("/mig-ready/" #name, test_##name)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    TEST(ready_comes_when_all_has_come);
    TEST(ready_names_the_page_that_never_came);
    TEST(a_destination_that_is_dead_is_not_ready);
    TEST(start_refuses_a_ready_record_that_was_changed);
    TEST(start_refuses_a_ready_record_of_an_earlier_moment);
    TEST(start_compares_the_epoch);
    TEST(start_takes_any_ready_record_while_it_is_true);
    TEST(start_refuses_a_ready_record_of_another_session);
    TEST(start_refuses_other_records_of_its_session);
    TEST(no_realm_is_lost_to_a_destination_that_is_not_there);
    TEST(a_receipt_is_given_from_the_commit_on);
    TEST(a_realm_that_accepts_an_offer_drops_its_receipt);
    TEST(finish_refuses_what_is_no_receipt);
    TEST(a_wrong_receipt_does_not_stand_in_the_way_of_a_resume);
    TEST(nothing_brings_a_realm_back_that_is_gone);
    TEST(finish_wipes_what_the_realm_held);
    TEST(finish_wipes_pages_that_are_empty);
    TEST(every_end_wipes_the_back_key);
    g_test_add_func("/mig-ready/no_iv_is_used_twice", oracle_check);
    return g_test_run();
}
