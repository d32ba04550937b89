/*
 * Records that no honest source makes, under the right seal
 *
 * Purpose: the text says what a record may contain; the seal says only who
 * made it.  Here a source that the policy lets in makes records that break one
 * rule of docs/specs/realm-migration-stream.rst each, and the destination has
 * to refuse each of them for its own cause.  Where the text leaves a value to
 * the source, the destination has to take it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "mig-oracle.h"
#include "mig-steps.h"
#include "rec.h"
#include "rmm-internal.h"
#include "rtt.h"
#include "session.h"

/* ---- making them ---- */

/* Source and destination, which are connected (with `begun`) */
typedef struct Pair {
    Machine *src, *dst;
    uint64_t ipa;               /* of a page that the source has */
} Pair;

static Pair pair_new(const MachineParams *params)
{
    return (Pair) { .src = source_new(params, 2), .dst = machine_new(params),
                    .ipa = page_ipa(0, 2) };
}

static Pair pair_begun(const MachineParams *params)
{
    Pair p = pair_new(params);

    step_connect(p.src, p.dst);
    return p;
}

static void pair_free(Pair *p)
{
    machine_free(p->src);
    machine_free(p->dst);
}

/*
 * Seal what the test says, as the next record of @stream.  @entries are those
 * of a memory bundle, @h.count of them.
 */
static Record *forge(Machine *src, unsigned stream, MigHeader h,
                     const uint64_t *entries, const void *body, size_t len)
{
    MigSession *session = machine_session(src);
    MigStream *s = &session->streams[stream];
    Record *record = g_byte_array_new();
    uint8_t *room, *bundle;

    g_assert_true(stream_open(s, session->key));
    room = bundle_body(s, h.count);
    memcpy(room, body, len);
    if (h.count) {
        memcpy(room - h.count * sizeof(*entries), entries,
               h.count * sizeof(*entries));
    }
    bundle = bundle_seal(s, &h, room, len);
    g_assert_nonnull(bundle);
    g_byte_array_append(record, bundle, h.size);
    bundle_done(s);
    return record;
}

/* The destination takes the record, or refuses it for good */
static void meets(Machine *dst, Record *record, MigCause cause)
{
    g_assert_cmphex(machine_receive(dst, record), ==,
                    cause ? REFUSED(cause) : RMI_SUCCESS);
    g_assert_cmpint(machine_state(dst), ==,
                    cause ? REALM_FAILED : REALM_IMPORT);
    g_byte_array_unref(record);
}

/* What a record says that was sealed under the session's key */
static void read_body(Machine *m, const Record *record, size_t head,
                      void *out, size_t len)
{
    CryptoAead *aead = crypto_aead_new(machine_session(m)->key);
    size_t size = record->len - head - sizeof(MigHeader) - MIG_SEAL_SIZE;
    g_autofree uint8_t *copy = g_memdup2(record->data + head,
                                         record->len - head);
    uint8_t iv[CRYPTO_IV_SIZE] = { 0 };

    memcpy(iv, copy + 0x18, 8);         /* the IV rule, for stream 0 */
    g_assert_true(crypto_open(aead, iv, copy, sizeof(MigHeader),
                              copy + sizeof(MigHeader), size));
    g_assert_cmpuint(len, <=, size);
    memcpy(out, copy + sizeof(MigHeader), len);
    crypto_aead_free(aead);
}

/* ---- the map ---- */

/* A part with one run of RIPAS EMPTY, or two of @kinds from @base on */
static Record *forge_part(Machine *src, uint64_t base, uint64_t top,
                          unsigned first, unsigned second, size_t rem_byte)
{
    struct {
        MigMutable mu;
        MigRun runs[2];
    } map = { 0 };

    map.mu.base = base;
    map.mu.top = top;
    map.mu.num_runs = 2;
    map.runs[0] = (MigRun) { base | first, base + 0x1000 };
    map.runs[1] = (MigRun) { (base + 0x1000) | second, top };
    if (rem_byte < 256) {
        ((uint8_t *)map.mu.rem)[rem_byte] = 1;
    }
    return forge(src, 0, (MigHeader) { .type = MIG_TYPE_MUTABLE,
                                       .epoch = 1 }, NULL, &map, sizeof(map));
}

enum { NO_BYTE = 256 };

static void test_the_rem_is_the_same_in_all_parts(void)
{
    for (size_t byte = 0; byte <= NO_BYTE; byte += 16) {
        Pair p = pair_begun(&machine_defaults);

        step_take(p.dst, forge_part(p.src, 0, 0x10000, 0, 1, NO_BYTE));
        meets(p.dst, forge_part(p.src, 0x10000, MACHINE_TOP, 0, 1, byte),
              byte == NO_BYTE ? 0 : MIG_CAUSE_FORMAT);
        pair_free(&p);
    }
}

static void test_a_rem_is_as_long_as_its_hash(void)
{
    for (int wide = 0; wide < 2; wide++) {
        for (size_t byte = 0; byte < 256; byte += 31) {
            MachineParams params = machine_defaults;
            bool fits = wide || byte % 64 < 32;
            Pair p;

            params.hash_algo = wide ? RMI_HASH_SHA_512 : RMI_HASH_SHA_256;
            p = pair_begun(&params);
            meets(p.dst, forge_part(p.src, 0, MACHINE_TOP, 0, 1, byte),
                  fits ? 0 : MIG_CAUSE_FORMAT);
            pair_free(&p);
        }
    }
}

static void test_neighbouring_runs_differ(void)
{
    static const unsigned kinds[] = { 0, 1, 2, 5 };

    for (int i = 0; i < 4; i++) {
        for (int j = 0; j < 4; j++) {
            Pair p = pair_begun(&machine_defaults);

            meets(p.dst, forge_part(p.src, 0, MACHINE_TOP, kinds[i],
                                    kinds[j], NO_BYTE),
                  i == j ? MIG_CAUSE_FORMAT : 0);
            pair_free(&p);
        }
    }
}

/* ...inside a part: a source may end a part where it likes. */
static void test_a_run_may_go_on_in_the_next_part(void)
{
    Pair p = pair_begun(&machine_defaults);

    step_take(p.dst, forge_part(p.src, 0, 0x10000, 0, 1, NO_BYTE));
    step_take(p.dst, forge_part(p.src, 0x10000, MACHINE_TOP, 1, 0, NO_BYTE));
    pair_free(&p);
}

/* 2^(33 - 1): the protected half of a Realm with 33 bits of IPA */
static void test_the_protected_half_ends_at_the_uppermost_bit(void)
{
    const uint64_t end = 1ull << 32;
    const MigHeader h = { .type = MIG_TYPE_MEMORY, .epoch = 1, .count = 1 };
    static const uint8_t page[RMM_GRANULE_SIZE + 129] = {
        [RMM_GRANULE_SIZE] = 3,
    };
    uint64_t last = end - RMM_GRANULE_SIZE;
    Pair p = pair_begun(&machine_defaults);

    step_take(p.dst, forge(p.src, 0, h, &last, page, sizeof(page)));
    meets(p.dst, forge(p.src, 0, h, &end, page, sizeof(page)),
          MIG_CAUSE_FORMAT);
    pair_free(&p);
    p = pair_begun(&machine_defaults);
    meets(p.dst, forge_part(p.src, 0, end + 0x1000, 0, 1, NO_BYTE),
          MIG_CAUSE_FORMAT);
    pair_free(&p);
}

/* ---- RECs ---- */

static Record *forge_rec(Machine *src, MigRec rec)
{
    g_autofree uint8_t *body = g_malloc(sizeof(rec) + MACHINE_CONTEXT);

    rec.mpidr = rec_index_to_mpidr(1);
    rec.context_size = MACHINE_CONTEXT;
    memcpy(body, &rec, sizeof(rec));
    memcpy(body + sizeof(rec), src->contexts[1], MACHINE_CONTEXT);
    return forge(src, 0, (MigHeader) { .type = MIG_TYPE_REC, .epoch = 1 },
                 NULL, body, sizeof(rec) + MACHINE_CONTEXT);
}

#define RIPAS(addr, top) \
    .runnable = 1, .pending = 2, .ripas_addr = addr, .ripas_top = top
#define HOST_CALL(ipa) .runnable = 1, .pending = 3, .host_call_ipa = ipa
#define ABORT(kind, syndrome) \
    .runnable = 1, .abort = kind, .abort_esr = syndrome

/* EC, ISV, SET and status of ESR_EL2, as the text has them */
#define ESR(ec, isv, set, fsc) \
    ((uint64_t)(ec) << 26 | 1 << 25 | (isv) << 24 | (set) << 11 | (fsc))

static void test_a_call_of_a_rec_is_one_that_the_realm_can_make(void)
{
    static const struct {
        const char *label;
        MigRec rec;
        MigCause cause;
    } cases[] = {
#define TOP MACHINE_TOP
        { "RIPAS: nothing done", { RIPAS(0x5000, 0x9000) }, 0 },
        { "RIPAS: all done", { RIPAS(0x9000, 0x9000) }, 0 },
        { "RIPAS: up to the end", { RIPAS(TOP, TOP) }, 0 },
        { "RIPAS: unaligned", { RIPAS(0x5800, 0x9000) }, MIG_CAUSE_FORMAT },
        { "RIPAS: unaligned end", { RIPAS(0x5000, 0x9008) },
          MIG_CAUSE_FORMAT },
        { "RIPAS: all done, unaligned", { RIPAS(0x9008, 0x9008) },
          MIG_CAUSE_FORMAT },
        { "RIPAS: backwards", { RIPAS(0x9000, 0x5000) }, MIG_CAUSE_FORMAT },
        { "RIPAS: beyond the end", { RIPAS(0x5000, TOP + 0x1000) },
          MIG_CAUSE_FORMAT },
        { "RIPAS: all done beyond the end",
          { RIPAS(TOP + 0x1000, TOP + 0x1000) }, MIG_CAUSE_FORMAT },
        { "host call", { HOST_CALL(0x2100) }, 0 },
        { "host call at the end", { HOST_CALL(TOP - 0x100) }, 0 },
        { "host call across a page", { HOST_CALL(0x2ff8) },
          MIG_CAUSE_FORMAT },
        { "host call, unaligned", { HOST_CALL(0x2108) }, MIG_CAUSE_FORMAT },
        { "host call, unprotected", { HOST_CALL(TOP) }, MIG_CAUSE_FORMAT },
        { "host call, no IPA at all", { HOST_CALL(0xffffffffffffff00) },
          MIG_CAUSE_FORMAT },
#undef TOP
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        Pair p = pair_begun(&machine_defaults);

        g_test_message("%s", cases[i].label);
        meets(p.dst, forge_rec(p.src, cases[i].rec), cases[i].cause);
        g_assert_cmpint(machine_rec(p.dst, 1)->state, ==,
                        cases[i].cause ? REC_OFF :
                        cases[i].rec.pending == 2 ? REC_RIPAS
                                                  : REC_HOST_CALL);
        pair_free(&p);
    }
}

static void test_an_abort_has_a_syndrome_of_its_kind(void)
{
    static const struct {
        const char *label;
        MigRec rec;
        bool fits;
    } cases[] = {
        { "1: data, no ISV", { ABORT(1, ESR(0x24, 0, 0, 0x07)) }, true },
        { "1: ISV", { ABORT(1, ESR(0x24, 1, 0, 0x07)) } },
        { "1: fetch", { ABORT(1, ESR(0x20, 0, 0, 0x07)) } },
        { "1: same level", { ABORT(1, ESR(0x25, 0, 0, 0x07)) } },
        { "1: external", { ABORT(1, ESR(0x24, 0, 0, 0x10)) } },
        { "1: external on a walk", { ABORT(1, ESR(0x24, 0, 0, 0x17)) } },
        { "2: data, ISV", { ABORT(2, ESR(0x24, 1, 0, 0x07)) }, true },
        { "2: no ISV", { ABORT(2, ESR(0x24, 0, 0, 0x07)) } },
        { "2: external", { ABORT(2, ESR(0x24, 1, 0, 0x10)) } },
        { "3: data", { ABORT(3, ESR(0x24, 0, 0, 0x10)) }, true },
        { "3: data, on a walk", { ABORT(3, ESR(0x24, 0, 0, 0x17)) }, true },
        { "3: fetch", { ABORT(3, ESR(0x20, 0, 0, 0x10)) }, true },
        { "3: UC", { ABORT(3, ESR(0x24, 0, 2, 0x10)) } },
        { "3: UEO", { ABORT(3, ESR(0x24, 0, 3, 0x10)) } },
        { "3: not external", { ABORT(3, ESR(0x24, 0, 0, 0x18)) } },
        { "3: SVC", { ABORT(3, ESR(0x15, 0, 0, 0x10)) } },
        { "4", { ABORT(4, ESR(0x24, 0, 0, 0x10)) } },
        { "0 with ESR", { ABORT(0, 1) } },
        { "0 with FAR", { .runnable = 1, .abort_far = 1 } },
        { "1 with FAR", { ABORT(1, ESR(0x24, 0, 0, 0x07)),
                          .abort_far = 0xffff000000001234 }, true },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        Pair p = pair_begun(&machine_defaults);

        g_test_message("%s", cases[i].label);
        meets(p.dst, forge_rec(p.src, cases[i].rec),
              cases[i].fits ? 0 : MIG_CAUSE_FORMAT);
        g_assert_cmpint(machine_rec(p.dst, 1)->abort.kind, ==,
                        cases[i].fits ? cases[i].rec.abort : 0);
        pair_free(&p);
    }
}

/* Fill the fields of calls in @rec, as calls that are over would */
static void leave_stale(RmmRec *rec)
{
    rec->host_call_ipa = 0x2100;
    rec->ripas.addr = 0x5000;
    rec->ripas.top = 0x9000;
    rec->ripas.value = RMI_RIPAS_RAM;
    rec->ripas.change_destroyed = true;
}

/* Offsets of the text: 0x108 host call, 0x110 and 0x118, 0x122 and 0x123 */
static void test_nothing_of_a_call_that_is_over_leaves(void)
{
    static const RecState states[] = {
        REC_OFF, REC_READY, REC_PSCI, REC_RIPAS, REC_HOST_CALL
    };

    for (size_t i = 0; i < G_N_ELEMENTS(states); i++) {
        bool ripas = states[i] == REC_RIPAS;
        Pair p = pair_begun(&machine_defaults);
        RmmRec *rec = machine_rec(p.src, 1);
        uint64_t result, words[3];
        uint8_t body[0x140];
        Record *record;

        leave_stale(rec);
        rec->state = states[i];
        OK(MIG(p.src, MIG_PAUSE));
        record = machine_export(p.src, MIG_EXPORT_REC, p.src->recs[1],
                                &result);
        OK(result);
        read_body(p.src, record, 0, body, sizeof(body));
        memcpy(words, body + 0x108, sizeof(words));
        g_assert_cmphex(words[0], ==,
                        states[i] == REC_HOST_CALL ? 0x2100 : 0);
        g_assert_cmphex(words[1], ==, ripas ? 0x5000 : 0);
        g_assert_cmphex(words[2], ==, ripas ? 0x9000 : 0);
        g_assert_cmphex(body[0x122], ==, ripas);
        g_assert_cmphex(body[0x123], ==, ripas);
        step_take(p.dst, record);
        pair_free(&p);
    }
}

/* Earlier sources sent what was left: 1.0 takes it, and forgets it. */
static void test_a_call_that_is_over_does_not_arrive(void)
{
    static const MigRec stale = {
        .host_call_ipa = 0x2ff8, .ripas_addr = 0x5001, .ripas_top = 1,
        .ripas_value = 1, .change_destroyed = 1, .runnable = 1,
    };
    Pair p = pair_begun(&machine_defaults);
    const RmmRec *rec = machine_rec(p.dst, 1);

    step_take(p.dst, forge_rec(p.src, stale));
    g_assert_cmphex(rec->host_call_ipa, ==, 0);
    g_assert_cmphex(rec->ripas.addr, ==, 0);
    g_assert_cmphex(rec->ripas.top, ==, 0);
    g_assert_cmphex(rec->ripas.value, ==, 0);
    g_assert_false(rec->ripas.change_destroyed);
    pair_free(&p);
}

/* ---- the exchange ---- */

/* A generator that repeats gives both sides one secret, or one nonce. */
static void test_nobody_accepts_an_offer_with_its_own_key_or_nonce(void)
{
    static uint8_t same[96];    /* secret and nonce, of either side */

    for (int what = 0; what < 3; what++) {
        Pair p = pair_new(&machine_defaults);
        uint8_t other[64];
        Record *offer;

        memset(same, 0x5a, sizeof(same));
        memset(other, 0x5a, sizeof(other));
        memset(other + (what == 0 ? 32 : 0), 0xa5, what == 2 ? 64 : 32);
        p.dst->script = same;
        p.dst->script_left = sizeof(same);
        OK(machine_offer(p.dst, &offer));
        p.src->script = other;
        p.src->script_left = sizeof(other);
        if (what < 2) {         /* 0: the key; 1: the nonce */
            REFUSES(p.src, machine_accept(p.src, offer),
                    REFUSED(MIG_CAUSE_OWN_HELLO));
        }
        p.src->script_left = 0;
        OK(machine_accept(p.src, offer));
        g_byte_array_unref(offer);
        pair_free(&p);
    }
}

/* Two Realms accept one offer; the destination serves the first of them. */
static void test_an_offer_that_two_realms_accept_serves_one(void)
{
    Pair p = pair_new(&machine_defaults);
    Machine *other = source_new(&machine_defaults, 2);
    Record *offer, *first, *second;
    uint64_t result;

    OK(machine_offer(p.dst, &offer));
    OK(machine_accept(p.src, offer));
    OK(machine_accept(other, offer));
    first = machine_export(p.src, MIG_EXPORT_BEGIN, 0, &result);
    second = machine_export(other, MIG_EXPORT_BEGIN, 0, &result);
    step_take(p.dst, first);
    meets(p.dst, second, MIG_CAUSE_FORMAT);
    g_byte_array_unref(offer);
    machine_free(other);
    pair_free(&p);
}

/* ---- after the start token ---- */

static void test_no_record_follows_the_start_token(void)
{
    Pair p = pair_begun(&machine_defaults);
    uint8_t *blob = machine_ns(p.dst, NS_BLOB(0));

    step_round(p.src, p.dst, 1, 64);
    step_seal(p.src, p.dst);
    /* The start token is still there: again, as memory, and as nothing */
    REFUSES(p.dst, MIG(p.dst, MIG_IMPORT, NS_BLOB(0), 0x40),
            REFUSED(MIG_CAUSE_STATE));
    REFUSES(p.dst, MIG(p.dst, MIG_IMPORT_MEMORY, NS_BLOB(0), 0x40,
                       NS_LIST(0), 1), REFUSED(MIG_CAUSE_STATE));
    memset(blob, 0xff, 0x40);
    REFUSES(p.dst, MIG(p.dst, MIG_IMPORT, NS_BLOB(0), 0x40),
            REFUSED(MIG_CAUSE_STATE));
    REFUSES(p.dst, MIG(p.dst, MIG_OFFER, NS_BLOB(0), 4096),
            REFUSED(MIG_CAUSE_STATE));
    OK(MIG(p.dst, MIG_IMPORT_COMMIT));
    same_realm(p.src, p.dst);
    pair_free(&p);
}

#define TEST(name) g_test_add_func("/mig-forged/" #name, test_##name)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    TEST(the_rem_is_the_same_in_all_parts);
    TEST(a_rem_is_as_long_as_its_hash);
    TEST(neighbouring_runs_differ);
    TEST(a_run_may_go_on_in_the_next_part);
    TEST(the_protected_half_ends_at_the_uppermost_bit);
    TEST(a_call_of_a_rec_is_one_that_the_realm_can_make);
    TEST(an_abort_has_a_syndrome_of_its_kind);
    TEST(nothing_of_a_call_that_is_over_leaves);
    TEST(a_call_that_is_over_does_not_arrive);
    TEST(nobody_accepts_an_offer_with_its_own_key_or_nonce);
    TEST(an_offer_that_two_realms_accept_serves_one);
    TEST(no_record_follows_the_start_token);
    g_test_add_func("/mig-forged/no_iv_is_used_twice", oracle_check);
    return g_test_run();
}
