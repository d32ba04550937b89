/*
 * What comes altered, late, twice or not at all is refused
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

/* ---- attacks on the way ---- */

enum { ATTACK_PAGES = 6, ATTACK_RECS = 2 };

/*
 * All records of one migration: begin; per epoch two memory bundles on
 * stream 0, one on stream 1, a token; state, RECs, start.
 */
static GPtrArray *all_records(Machine *src, Record *begin)
{
    GPtrArray *all = g_ptr_array_new_with_free_func(
        (GDestroyNotify)g_byte_array_unref), *end;
    uint64_t ipas[ATTACK_PAGES], result;
    GRand *rand = rand_new();

    g_ptr_array_add(all, begin);
    for (int epoch = 0; epoch < 2; epoch++) {
        for (int i = 0; i < ATTACK_PAGES; i++) {
            ipas[i] = page_ipa(i, ATTACK_PAGES);
            machine_scribble(src, ipas[i], rand);
        }
        if (epoch == 1) {
            OK(MIG(src, MIG_PAUSE));
        }
        g_array_unref(machine_collect(src));
        for (int i = 0; i < 3; i++) {
            g_ptr_array_add(all, machine_send_pages(src, ipas + i * 2, 2,
                                                    i / 2));
        }
        g_ptr_array_add(all, machine_export(src, MIG_EXPORT_EPOCH, 0,
                                            &result));
    }
    end = machine_final_records(src);
    g_ptr_array_extend_and_steal(all, end);
    g_ptr_array_add(all, machine_start(src, NULL, &result));
    OK(result);
    g_rand_free(rand);
    return all;
}

enum { REC_BEGIN, REC_MEM, REC_MEM_2, REC_MEM_S1, REC_EPOCH, REC_MEM_E2,
       REC_MEM_E2_2, REC_MEM_E2_S1, REC_EPOCH_E2, REC_REALM, REC_REC,
       REC_REC_2, REC_START, NUM_RECORDS };

typedef struct Attack {
    enum { FLIP, CUT, GROW, DROP, TWICE, SWAP, REPLACE, RESTREAM } kind;
    unsigned record;
    size_t at;                  /* byte; or the other record */
} Attack;

/* Apply it to the list of what the destination gets */
static void apply_attack(GPtrArray *all, const Attack *a)
{
    Record *r = all->pdata[a->record];
    uint8_t zero = 0;

    switch (a->kind) {
    case FLIP:
        r->data[a->at] ^= 1 << a->at % 8;
        break;
    case CUT:
        g_byte_array_set_size(r, r->len - a->at);
        break;
    case GROW:
        g_byte_array_append(r, &zero, 1);
        break;
    case DROP:
        g_ptr_array_remove_index(all, a->record);
        break;
    case TWICE:
        g_ptr_array_insert(all, a->record, g_byte_array_ref(r));
        break;
    case SWAP:
        all->pdata[a->record] = all->pdata[a->at];
        all->pdata[a->at] = r;
        break;
    case REPLACE:
        g_byte_array_unref(r);
        all->pdata[a->record] = g_byte_array_ref(all->pdata[a->at]);
        break;
    case RESTREAM:
        r->data[offsetof(MigHeader, stream)] = a->at;
        break;
    }
}

/* Of the first record, with whatever token the session header has */
static size_t begin_size;

/* What the destination says in the end; *@state is then its Realm's */
static uint64_t attack(const Attack *a, int *state)
{
    static MachineParams params;
    Machine *src, *dst;
    Record *begin;
    GPtrArray *all;
    uint64_t result = RMI_SUCCESS;

    params = machine_defaults;
    params.num_recs = ATTACK_RECS;
    params.granules = 60;
    src = source_new(&params, ATTACK_PAGES);
    dst = machine_new(&params);
    OK(machine_connect(src, dst, &begin));
    begin_size = begin->len;
    all = all_records(src, begin);
    g_assert_cmpuint(all->len, ==, NUM_RECORDS);
    if (a) {
        apply_attack(all, a);
    }
    for (guint i = 0; i < all->len && result == RMI_SUCCESS; i++) {
        result = machine_receive(dst, all->pdata[i]);
    }
    if (result == RMI_SUCCESS) {
        result = MIG(dst, MIG_IMPORT_COMMIT);
    }
    *state = machine_state(dst);
    if (*state == REALM_FAILED) {
        g_assert_cmphex(MIG(dst, MIG_IMPORT_COMMIT), ==,
                        REFUSED(MIG_CAUSE_STATE));
        g_assert_cmphex(machine_receive(dst, all->pdata[0]), ==,
                        REFUSED(MIG_CAUSE_STATE));
    }
    g_ptr_array_unref(all);
    machine_free(src);
    machine_free(dst);
    return result;
}

static void test_the_unattacked_migration_succeeds(void)
{
    int state;

    OK(attack(NULL, &state));
    g_assert_cmpint(state, ==, REALM_ACTIVE);
}

static void refused(Attack a)
{
    int state;
    uint64_t result = attack(&a, &state);

    if (result == RMI_SUCCESS || state == REALM_ACTIVE) {
        g_test_message("attack %d on record %u at %zu", a.kind, a.record,
                       a.at);
        g_test_fail();
    }
    if (RMI_INDEX(result) >= MIG_CAUSE_FINAL) {
        g_assert_cmpint(state, ==, REALM_FAILED);
    }
}

static size_t record_size(unsigned record)
{
    const size_t page = MIG_PAGE_BYTES;

    switch (record) {
    case REC_BEGIN:
        return begin_size;
    case REC_EPOCH:
    case REC_EPOCH_E2:
    case REC_START:
        return 0x30 + 16;
    case REC_REALM:
        return 0x30 + 0x140 + 16;
    case REC_REC:
    case REC_REC_2:
        return 0x30 + 0x140 + MACHINE_CONTEXT + 16;
    default:
        return 0x30 + 2 * (8 + page) + 16;
    }
}

static void test_a_flipped_byte_anywhere_is_refused(void)
{
    for (unsigned r = 0; r < NUM_RECORDS; r++) {
        size_t size = record_size(r), step = size / 12;

        for (size_t at = 0; at < 0x40; at++) {
            refused((Attack) { FLIP, r, at });
        }
        for (size_t at = 0x40; at < size; at += step) {
            refused((Attack) { FLIP, r, at });
        }
        refused((Attack) { FLIP, r, size - 1 });
        refused((Attack) { FLIP, r, size - 16 });
    }
}

static void test_a_record_that_is_cut_or_grows_is_refused(void)
{
    for (unsigned r = 0; r < NUM_RECORDS; r++) {
        refused((Attack) { CUT, r, 1 });
        refused((Attack) { CUT, r, 16 });
        refused((Attack) { CUT, r, record_size(r) - 0x30 });
        refused((Attack) { CUT, r, record_size(r) - 1 });
        refused((Attack) { CUT, r, record_size(r) });
        refused((Attack) { GROW, r, 0 });
    }
}

static void test_a_dropped_or_repeated_record_is_refused(void)
{
    for (unsigned r = 0; r < NUM_RECORDS; r++) {
        refused((Attack) { DROP, r, 0 });
        if (r != REC_START) {   /* by then all is said, and it was refused */
            refused((Attack) { TWICE, r, 0 });
        }
    }
}

static void test_records_in_another_order_are_refused(void)
{
    for (unsigned r = 0; r < NUM_RECORDS; r++) {
        for (unsigned q = r + 1; q < NUM_RECORDS; q++) {
            bool free_order =
                (r >= REC_MEM && q <= REC_MEM_S1 && q == REC_MEM_S1 &&
                 r == REC_MEM_2) ||
                (r == REC_MEM_E2_2 && q == REC_MEM_E2_S1);

            if (!free_order) {
                refused((Attack) { SWAP, r, q });
            }
        }
    }
}

static void test_streams_may_overtake_each_other_inside_an_epoch(void)
{
    int state;

    OK(attack(&(Attack) { SWAP, REC_MEM_2, REC_MEM_S1 }, &state));
    g_assert_cmpint(state, ==, REALM_ACTIVE);
}

static void test_a_record_in_the_place_of_another_is_refused(void)
{
    for (unsigned r = 0; r < NUM_RECORDS; r++) {
        for (unsigned q = 0; q < NUM_RECORDS; q++) {
            if (r != q) {
                refused((Attack) { REPLACE, r, q });
            }
        }
        if (r != REC_BEGIN) {
            refused((Attack) { RESTREAM, r, 3 });
        }
    }
}

/* ---- each check for itself: others might catch the attack too ---- */

static void refused_because(Attack a, MigCause cause)
{
    int state;

    g_assert_cmphex(attack(&a, &state), ==, REFUSED(cause));
    g_assert_cmpint(state, ==, REALM_FAILED);
}

static void test_attacks_are_refused_for_their_own_reason(void)
{
    refused_because((Attack) { FLIP, REC_BEGIN, 0x60 },
                    MIG_CAUSE_OTHER_OFFER);
    refused_because((Attack) { FLIP, REC_BEGIN, 0x20 },
                    MIG_CAUSE_PEER_CHALLENGE);
    refused_because((Attack) { FLIP, REC_BEGIN, begin_size - 1 },
                    MIG_CAUSE_AUTHENTICATION);
    refused_because((Attack) { FLIP, REC_MEM, 0x50 },
                    MIG_CAUSE_AUTHENTICATION);
    refused_because((Attack) { DROP, REC_MEM, 0 }, MIG_CAUSE_ORDER);
    refused_because((Attack) { TWICE, REC_REC, 0 }, MIG_CAUSE_ORDER);
    /* The token of the first epoch overtakes a bundle of stream 1 */
    refused_because((Attack) { SWAP, REC_MEM_S1, REC_EPOCH },
                    MIG_CAUSE_TOTAL);
    refused_because((Attack) { DROP, REC_MEM_S1, 0 }, MIG_CAUSE_TOTAL);
    /* Stream 1 goes on while the epoch does not */
    refused_because((Attack) { SWAP, REC_EPOCH, REC_MEM_E2_S1 },
                    MIG_CAUSE_EPOCH);
}

typedef struct Lie {
    Machine *src, *dst;
    uint64_t ipa;
} Lie;

/* A Realm of one page that is paused, with nothing sent after begin */
static Lie lie_new(void)
{
    Lie l = { .src = source_new(&machine_defaults, 1),
              .dst = machine_new(&machine_defaults),
              .ipa = page_ipa(0, 1) };

    step_connect(l.src, l.dst);
    OK(MIG(l.src, MIG_PAUSE));
    g_array_unref(machine_collect(l.src));
    return l;
}

static uint64_t lie_end(Lie *l)
{
    GPtrArray *records = machine_final_records(l->src);
    uint64_t result;

    g_ptr_array_add(records, machine_start(l->src, NULL, &result));
    OK(result);
    for (guint i = 0; i < records->len && result == RMI_SUCCESS; i++) {
        result = machine_receive(l->dst, records->pdata[i]);
    }
    if (result == RMI_SUCCESS) {
        result = MIG(l->dst, MIG_IMPORT_COMMIT);
    }
    g_assert_cmpint(machine_state(l->dst), !=, REALM_ACTIVE);
    g_ptr_array_unref(records);
    machine_free(l->src);
    machine_free(l->dst);
    return result;
}

static void test_a_bundle_dropped_after_the_last_token_stops_the_start(void)
{
    Lie l = lie_new();

    g_byte_array_unref(machine_send_pages(l.src, &l.ipa, 1, 1));
    g_assert_cmphex(lie_end(&l), ==, REFUSED(MIG_CAUSE_TOTAL));
}

/* What no source does; the destination does not rely on that */
static void test_a_page_that_never_came_stops_the_commit(void)
{
    Lie l = lie_new();
    RmmRealm *realm = realm_lock(l.src->rmm, l.src->rd);
    RttWalk walk = { .entry = NULL };

    g_assert_true(rtt_take_pending(realm, l.ipa, &walk));
    realm_unlock(realm);
    machine_table(l.dst, l.ipa);
    g_assert_cmphex(lie_end(&l), ==, REFUSED(MIG_CAUSE_PAGE_MISSING));
}

static void lie_at_start(bool realm_missing)
{
    Lie l = lie_new();
    MigSession *s = machine_session(l.src);
    Record *start;
    uint64_t result;

    step_take(l.dst, machine_send_pages(l.src, &l.ipa, 1, 1));
    if (realm_missing) {
        s->next_base = MACHINE_TOP;
        for (unsigned i = 0; i < MACHINE_RECS; i++) {
            step_take(l.dst, machine_export(l.src, MIG_EXPORT_REC,
                                            l.src->recs[i], &result));
        }
    } else {
        step_take(l.dst, machine_export(l.src, MIG_EXPORT_REALM, 0, &result));
        s->num_recs = MACHINE_RECS;
    }
    start = machine_start(l.src, NULL, &result);
    OK(result);
    g_assert_cmphex(machine_receive(l.dst, start), ==,
                    REFUSED(MIG_CAUSE_INCOMPLETE));
    g_assert_cmpint(machine_state(l.dst), ==, REALM_FAILED);
    g_byte_array_unref(start);
    machine_free(l.src);
    machine_free(l.dst);
}

static void test_a_start_token_without_map_or_recs_is_refused(void)
{
    lie_at_start(true);
    lie_at_start(false);
}

static void test_a_record_of_another_epoch_is_refused(void)
{
    Lie l = lie_new();
    Record *record;
    uint64_t result;

    machine_session(l.src)->epoch++;
    record = machine_export(l.src, MIG_EXPORT_REALM, 0, &result);
    g_assert_cmphex(machine_receive(l.dst, record), ==,
                    REFUSED(MIG_CAUSE_EPOCH));
    g_byte_array_unref(record);
    machine_free(l.src);
    machine_free(l.dst);
}

static void test_a_rec_comes_once(void)
{
    Lie l = lie_new();
    Record *again;
    uint64_t result;

    step_take(l.dst, machine_export(l.src, MIG_EXPORT_REC, l.src->recs[1],
                                    &result));
    machine_session(l.src)->recs[1] = 0;
    again = machine_export(l.src, MIG_EXPORT_REC, l.src->recs[1], &result);
    g_assert_cmphex(machine_receive(l.dst, again), ==,
                    REFUSED(MIG_CAUSE_REC_UNKNOWN));
    g_byte_array_unref(again);
    machine_free(l.src);
    machine_free(l.dst);
}

#define LOAD_ABORT  0x93c38007ull       /* of X3, 64 bits, emulatable */
#define PLAIN_ABORT 0x92000007ull
#define EXTERNAL    0x92000010ull

/* An authentic record of REC 1 that says @lie, and is in order otherwise */
static Record *forge_rec(Machine *src, MigRec lie)
{
    MigSession *s = machine_session(src);
    MigStream *stream = &s->streams[0];
    uint8_t *body = bundle_body(stream, 0);
    MigHeader h = { .type = MIG_TYPE_REC, .epoch = s->epoch };
    Record *record = g_byte_array_new();
    uint8_t *bundle;

    lie.mpidr = rec_index_to_mpidr(1);
    lie.context_size = MACHINE_CONTEXT;
    memcpy(body, &lie, sizeof(lie));
    memcpy(body + sizeof(lie), src->contexts[1], MACHINE_CONTEXT);
    bundle = bundle_seal(stream, &h, body, sizeof(lie) + MACHINE_CONTEXT);
    g_byte_array_append(record, bundle, h.size);
    bundle_done(stream);
    return record;
}

static void test_a_rec_with_impossible_contents_is_refused(void)
{
    static const struct {
        const char *label;
        MigRec rec;
    } lies[] = {
        { "pending", { .runnable = 1, .pending = 4 } },
        { "off, but a call is pending", { .pending = 1 } },
        { "runnable", { .runnable = 2 } },
        { "change destroyed", { .change_destroyed = 2 } },
        { "reserved", { .reserved0 = { 1 } } },
        { "RIPAS value", { .ripas_value = 2 } },
        { "RIPAS range", { .runnable = 1, .pending = 2,
                           .ripas_addr = MACHINE_TOP,
                           .ripas_top = MACHINE_TOP + 0x1000 } },
        { "kind of abort", { .abort = 4 } },
        { "kind of abort: large", { .abort = 0xff } },
        { "no abort, but a syndrome", { .abort_esr = 1 } },
        { "no abort, but an address", { .abort_far = 1 } },
        { "emulatable without ISV", {
            .abort = REC_ABORT_EMULATABLE, .abort_esr = PLAIN_ABORT } },
        { "not emulatable with ISV", {
            .abort = REC_ABORT_UNPROTECTED, .abort_esr = LOAD_ABORT } },
        { "emulatable fetch", {
            .abort = REC_ABORT_EMULATABLE,
            .abort_esr = LOAD_ABORT - (4ull << 26) } },
        { "unprotected, but external", {
            .abort = REC_ABORT_UNPROTECTED, .abort_esr = EXTERNAL } },
        { "external, but a translation fault", {
            .abort = REC_ABORT_EXTERNAL, .abort_esr = PLAIN_ABORT } },
        { "external of an SMC", {
            .abort = REC_ABORT_EXTERNAL, .abort_esr = 0x5e000010 } },
        { "external, but not recoverable", {
            .abort = REC_ABORT_EXTERNAL, .abort_esr = EXTERNAL | 3 << 11 } },
        { "abort and call", {
            .runnable = 1, .pending = 1, .abort = REC_ABORT_EMULATABLE,
            .abort_esr = LOAD_ABORT } },
        { NULL, { .runnable = 1, .pending = 1 } },      /* no lie */
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(lies); i++) {
        Lie l = lie_new();
        Record *record = forge_rec(l.src, lies[i].rec);
        const char *label = lies[i].label;

        g_test_message("%s", label ? label : "in order");
        g_assert_cmphex(machine_receive(l.dst, record), ==,
                        label ? REFUSED(MIG_CAUSE_FORMAT) : RMI_SUCCESS);
        g_assert_cmpint(machine_state(l.dst), ==,
                        label ? REALM_FAILED : REALM_IMPORT);
        g_assert_cmpint(machine_rec(l.dst, 1)->state, ==,
                        label ? REC_OFF : REC_PSCI);
        g_assert_cmpint(machine_rec(l.dst, 1)->abort.kind, ==,
                        REC_ABORT_NONE);
        g_byte_array_unref(record);
        machine_free(l.src);
        machine_free(l.dst);
    }
}

/* A record that the source never makes, sealed with its key. */
static Record *forge_record(Machine *src, MigHeader h, const void *body,
                            size_t len)
{
    MigStream *s = &machine_session(src)->streams[0];
    uint8_t *room = bundle_body(s, h.count), *bundle;
    Record *record = g_byte_array_new();

    h.epoch = machine_session(src)->epoch;
    memcpy(room, body, len);
    bundle = bundle_seal(s, &h, room, len);
    g_assert_nonnull(bundle);
    g_byte_array_append(record, bundle, h.size);
    bundle_done(s);
    return record;
}

static void forged_is_refused(const char *label, MigHeader h,
                              const void *body, size_t len, MigCause cause)
{
    Lie l = lie_new();
    Record *record;

    g_test_message("%s", label);
    record = forge_record(l.src, h, body, len);
    g_assert_cmphex(machine_receive(l.dst, record), ==, REFUSED(cause));
    g_assert_cmpint(machine_state(l.dst), ==, REALM_FAILED);
    g_byte_array_unref(record);
    machine_free(l.src);
    machine_free(l.dst);
}

typedef struct Map {
    MigMutable mu;
    MigRun runs[2];
} Map;

static void test_a_map_that_is_none_is_refused(void)
{
    static const struct {
        const char *label;
        Map map;
        size_t less;            /* bytes that are missing */
    } cases[] = {
#define MU(end, runs, ...) \
        .map.mu = { .top = end, .num_runs = runs, __VA_ARGS__ }
#define TOP MACHINE_TOP
#define RUNS(...) .map.runs = { __VA_ARGS__ }
#define ALL RUNS({ 0, TOP })
        { "shorter than its head", MU(TOP, 1), ALL, sizeof(Map) - 0x13f },
        { "run missing", MU(TOP, 2), ALL, 16 },
        { "run too many", MU(TOP, 0), ALL, 16 },
        { "number of runs that wraps", MU(TOP, UINT32_MAX), ALL, 16 },
        { "not the next part", MU(TOP, 1, .base = 0x1000),
          RUNS({ 0x1000, TOP }), 16 },
        { "empty part", MU(0, 1), ALL, 16 },
        { "unprotected", MU(TOP + 0x1000, 1),
          RUNS({ 0, TOP + 0x1000 }), 16 },
        { "Realm state", MU(TOP, 1, .realm_state = 1), ALL, 16 },
        { "reserved", MU(TOP, 1, .reserved0 = { 0, 0, 1 }), ALL, 16 },
        { "reserved word", MU(TOP, 1, .reserved1 = { 0, 0, 0, 0, 1 }), ALL,
          16 },
        { "hole before", MU(TOP, 1), RUNS({ 0x1000, TOP }), 16 },
        { "hole between", MU(TOP, 2),
          RUNS({ 0, 0x1000 }, { 0x2001, TOP }), 0 },
        { "overlap", MU(TOP, 2),
          RUNS({ 0, 0x2000 }, { 0x1001, TOP }), 0 },
        { "run that ends where it begins", MU(TOP, 2),
          RUNS({ 0, 0 }, { 1, TOP }), 0 },
        { "end that is no page's", MU(TOP, 2),
          RUNS({ 0, 0x1800 }, { 0x1001, TOP }), 0 },
        { "short of the end", MU(TOP, 1), RUNS({ 0, TOP - 0x1000 }), 16 },
        { "RIPAS", MU(TOP, 1), RUNS({ 3, TOP }), 16 },
        { "assigned and EMPTY", MU(TOP, 1), RUNS({ 4, TOP }), 16 },
        { "assigned and DESTROYED", MU(TOP, 1), RUNS({ 6, TOP }), 16 },
        { "high bits", MU(TOP, 1), RUNS({ 1ull << 52, TOP }), 16 },
#undef TOP
#undef MU
#undef RUNS
#undef ALL
    };
    const Map good = { .mu = { .top = MACHINE_TOP, .num_runs = 2 },
                       .runs = { { 0, 0x1000 }, { 0x1001, MACHINE_TOP } } };
    Lie l = lie_new();
    size_t i;

    step_take(l.dst, forge_record(l.src,
                                  (MigHeader) { .type = MIG_TYPE_MUTABLE },
                                  &good, sizeof(good)));
    machine_free(l.src);
    machine_free(l.dst);
    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        forged_is_refused(cases[i].label,
                          (MigHeader) { .type = MIG_TYPE_MUTABLE },
                          &cases[i].map, sizeof(Map) - cases[i].less,
                          MIG_CAUSE_FORMAT);
    }
}

static void test_a_record_with_a_wrong_head_is_refused(void)
{
    static const uint8_t body[sizeof(MigRec) + 8];
    static const struct {
        const char *label;
        MigHeader h;
        size_t len;
        MigCause cause;
    } cases[] = {
        { "REC without context", { .type = MIG_TYPE_REC }, sizeof(MigRec),
          MIG_CAUSE_FORMAT },
        { "REC with bytes behind", { .type = MIG_TYPE_REC }, sizeof(body),
          MIG_CAUSE_FORMAT },
        { "half a REC", { .type = MIG_TYPE_REC }, sizeof(MigRec) / 2,
          MIG_CAUSE_FORMAT },
        { "REC with a total", { .type = MIG_TYPE_REC, .total = 1 },
          sizeof(MigRec), MIG_CAUSE_FORMAT },
        { "epoch token with a body", { .type = MIG_TYPE_EPOCH }, 8,
          MIG_CAUSE_FORMAT },
        { "start token with a body", { .type = MIG_TYPE_START }, 8,
          MIG_CAUSE_FORMAT },
        { "immutable state again", { .type = MIG_TYPE_IMMUTABLE }, 0,
          MIG_CAUSE_TYPE },
        { "a type that is none", { .type = 77 }, 0, MIG_CAUSE_TYPE },
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        forged_is_refused(cases[i].label, cases[i].h, body, cases[i].len,
                          cases[i].cause);
    }
}

/* At the end of Non-secure memory, so that nothing behind it can be read */
static void test_a_memory_record_without_a_whole_head_is_refused(void)
{
    for (size_t len = 0; len < sizeof(MigHeader); len++) {
        const uint64_t end = NS_BLOB(MIG_MAX_STREAMS + 1);
        Lie l = lie_new();

        g_assert_cmphex(MIG(l.dst, MIG_IMPORT_MEMORY, end - len, len,
                            NS_LIST(0), 1), ==, REFUSED(MIG_CAUSE_FORMAT));
        g_assert_cmpint(machine_state(l.dst), ==, REALM_FAILED);
        machine_free(l.src);
        machine_free(l.dst);
    }
}

static void test_the_epochs_end_before_they_wrap(void)
{
    const MigHeader h = { .type = MIG_TYPE_EPOCH, .total = 2 };
    Lie l = lie_new();
    Record *record;

    machine_session(l.src)->epoch = UINT32_MAX;
    machine_session(l.dst)->epoch = UINT32_MAX;
    g_assert_cmphex(MIG(l.src, MIG_EXPORT_EPOCH, NS_BLOB(0), MIG_MAX_BUNDLE),
                    ==, REFUSED(MIG_CAUSE_COUNTER));
    record = forge_record(l.src, h, "", 0);
    g_assert_cmphex(machine_receive(l.dst, record), ==,
                    REFUSED(MIG_CAUSE_EPOCH));
    g_byte_array_unref(record);
    machine_free(l.src);
    machine_free(l.dst);
}

static void test_tags_whose_length_tells_something_are_refused(void)
{
    Lie l = lie_new();
    uint8_t *tags;
    Record *record;

    machine_page(l.src, l.ipa, false, &tags);
    memset(tags, 0, RMM_TAG_BYTES);
    machine_session(l.src)->features |= MIG_FEATURE_COMPACT;
    record = machine_send_pages(l.src, &l.ipa, 1, 0);
    g_assert_cmphex(machine_receive(l.dst, record), ==,
                    REFUSED(MIG_CAUSE_FORMAT));
    g_byte_array_unref(record);
    machine_free(l.src);
    machine_free(l.dst);
}

#define TEST(name) g_test_add_func("/mig-hostile/" #name, test_##name)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    TEST(the_unattacked_migration_succeeds);
    TEST(a_flipped_byte_anywhere_is_refused);
    TEST(a_record_that_is_cut_or_grows_is_refused);
    TEST(a_dropped_or_repeated_record_is_refused);
    TEST(records_in_another_order_are_refused);
    TEST(streams_may_overtake_each_other_inside_an_epoch);
    TEST(a_record_in_the_place_of_another_is_refused);
    TEST(attacks_are_refused_for_their_own_reason);
    TEST(a_bundle_dropped_after_the_last_token_stops_the_start);
    TEST(a_page_that_never_came_stops_the_commit);
    TEST(a_start_token_without_map_or_recs_is_refused);
    TEST(a_record_of_another_epoch_is_refused);
    TEST(a_rec_comes_once);
    TEST(a_rec_with_impossible_contents_is_refused);
    TEST(a_map_that_is_none_is_refused);
    TEST(a_record_with_a_wrong_head_is_refused);
    TEST(a_memory_record_without_a_whole_head_is_refused);
    TEST(the_epochs_end_before_they_wrap);
    TEST(tags_whose_length_tells_something_are_refused);
    g_test_add_func("/mig-hostile/no_iv_is_used_twice", oracle_check);
    return g_test_run();
}
