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

    g_assert_true(stream_open(s, session->key, s->room));
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

/* ---- the first bundle ---- */

/* What the source sends first; @im is its immutable state in plain */
static Record *honest_begin(Pair *p, MigImmutable *im)
{
    Record *begin;

    OK(machine_connect(p->src, p->dst, &begin));
    read_body(p->src, begin, machine_session(p->src)->hello.hello.size, im,
              sizeof(*im));
    return begin;
}

/* The same session header with a first bundle that says something else */
static Record *forge_begin(Pair *p, MigHeader h, const MigImmutable *im)
{
    MigSession *s = machine_session(p->src);
    Record *bundle, *begin = g_byte_array_new();

    s->streams[0].counter = 0;
    bundle = forge(p->src, 0, h, NULL, im, sizeof(*im));
    g_byte_array_append(begin, (uint8_t *)&s->hello, s->hello.hello.size);
    g_byte_array_append(begin, bundle->data, bundle->len);
    g_byte_array_unref(bundle);
    return begin;
}

static void begin_meets(const char *label, const MachineParams *params,
                        MigHeader h, size_t byte, uint8_t value,
                        MigCause cause)
{
    Pair p = pair_new(params);
    MigImmutable im;

    g_test_message("%s", label);
    g_byte_array_unref(honest_begin(&p, &im));
    ((uint8_t *)&im)[byte] = value;
    meets(p.dst, forge_begin(&p, h, &im), cause);
    pair_free(&p);
}

static void test_the_first_bundle_has_its_place(void)
{
    const MachineParams *d = &machine_defaults;
    MachineParams wide = *d;

    wide.hash_algo = RMI_HASH_SHA_512;
    /* Byte 0x0f is reserved and zero, as these leave it. */
#define BEGIN(label, cause, ...) \
    begin_meets(label, d, (MigHeader) { __VA_ARGS__ }, 0x0f, 0, cause)
    BEGIN("in order", 0, .type = MIG_TYPE_IMMUTABLE, .epoch = 1);
    BEGIN("epoch 2", MIG_CAUSE_EPOCH, .type = MIG_TYPE_IMMUTABLE, .epoch = 2);
    BEGIN("epoch 0", MIG_CAUSE_EPOCH, .type = MIG_TYPE_IMMUTABLE);
    BEGIN("a REC", MIG_CAUSE_TYPE, .type = MIG_TYPE_REC, .epoch = 1);
    BEGIN("an epoch token", MIG_CAUSE_TYPE, .type = MIG_TYPE_EPOCH,
          .epoch = 1);
    BEGIN("epoch before type", MIG_CAUSE_EPOCH, .type = MIG_TYPE_REC,
          .epoch = 2);
    BEGIN("a total", MIG_CAUSE_FORMAT, .type = MIG_TYPE_IMMUTABLE,
          .epoch = 1, .total = 1);
#undef BEGIN
#define BYTE(label, params, byte, cause) \
    begin_meets(label, params, (MigHeader) { .type = MIG_TYPE_IMMUTABLE, \
                                             .epoch = 1 }, byte, 1, cause)
    BYTE("reserved", d, 0x0f, MIG_CAUSE_FORMAT);
    BYTE("byte 32 of a SHA-256 RIM", d, 0x80 + 32, MIG_CAUSE_FORMAT);
    BYTE("byte 63 of a SHA-256 RIM", d, 0x80 + 63, MIG_CAUSE_FORMAT);
    BYTE("byte 31 of a SHA-256 RIM", d, 0x80 + 31, 0);
    BYTE("byte 63 of a SHA-512 RIM", &wide, 0x80 + 63, 0);
    /* The RPV has 64 bytes with either algorithm: this one differs. */
    BYTE("byte 63 of the RPV", d, 0x40 + 63,
         MIG_CAUSE_DIFFERENT_PERSONALIZATION_VALUE);
#undef BYTE
}

/* Numbers, since the text has them: bit 62 MIGRATION, bit 63 MTE */
static void test_the_flags_say_what_the_realm_was_made_with(void)
{
    for (int mte = 0; mte < 2; mte++) {
        MachineParams params = machine_defaults;
        MigImmutable im;
        Pair p;

        params.ext_flags = 1 | mte << 1;
        p = pair_new(&params);
        g_byte_array_unref(honest_begin(&p, &im));
        g_assert_cmphex(im.flags, ==, 1ull << 62 | (uint64_t)mte << 63);
        pair_free(&p);
    }
}

/* ---- the place of every other bundle ---- */

static void record_meets(const char *label, unsigned call, MigHeader h,
                         MigCause cause)
{
    Pair p = pair_begun(&machine_defaults);
    static const uint8_t page[RMM_GRANULE_SIZE + 129] = {
        [RMM_GRANULE_SIZE] = 3,         /* raw tags */
    };
    bool memory = h.type == MIG_TYPE_MEMORY;
    Record *record = forge(p.src, 0, h, &p.ipa, page,
                           memory ? sizeof(page) : 0);

    g_test_message("%s", label);
    memcpy(machine_ns(p.dst, NS_BLOB(0)), record->data, record->len);
    machine_table(p.dst, p.ipa);
    *(uint64_t *)machine_ns(p.dst, NS_LIST(0)) = machine_granule(p.dst);
    g_assert_cmphex(MIG(p.dst, call, NS_BLOB(0), record->len, NS_LIST(0), 1),
                    ==, cause ? REFUSED(cause) : RMI_SUCCESS);
    g_assert_cmpint(machine_state(p.dst), ==,
                    cause ? REALM_FAILED : REALM_IMPORT);
    g_byte_array_unref(record);
    pair_free(&p);
}

static void test_every_bundle_has_its_place(void)
{
#define MEMORY(label, cause, ...) \
    record_meets(label, MIG_IMPORT_MEMORY, (MigHeader) { __VA_ARGS__ }, cause)
#define OTHER(label, cause, ...) \
    record_meets(label, MIG_IMPORT, (MigHeader) { __VA_ARGS__ }, cause)
    MEMORY("in order", 0, .type = MIG_TYPE_MEMORY, .epoch = 1, .count = 1);
    MEMORY("memory, epoch 2", MIG_CAUSE_EPOCH, .type = MIG_TYPE_MEMORY,
           .epoch = 2, .count = 1);
    MEMORY("memory, total", MIG_CAUSE_FORMAT, .type = MIG_TYPE_MEMORY,
           .epoch = 1, .count = 1, .total = 2);
    MEMORY("memory, no entry", MIG_CAUSE_FORMAT, .type = MIG_TYPE_MEMORY,
           .epoch = 1);
    MEMORY("a token as memory", MIG_CAUSE_TYPE, .type = MIG_TYPE_EPOCH,
           .epoch = 1, .total = 2);
    MEMORY("epoch before type", MIG_CAUSE_EPOCH, .type = MIG_TYPE_REC,
           .epoch = 2);
    MEMORY("type before total", MIG_CAUSE_TYPE, .type = MIG_TYPE_REC,
           .epoch = 1, .total = 2);
    OTHER("epoch token", 0, .type = MIG_TYPE_EPOCH, .epoch = 1, .total = 2);
    OTHER("memory as state", MIG_CAUSE_TYPE, .type = MIG_TYPE_MEMORY,
          .epoch = 1, .count = 1);
    OTHER("immutable state again", MIG_CAUSE_TYPE,
          .type = MIG_TYPE_IMMUTABLE, .epoch = 1);
    OTHER("epoch before type, again", MIG_CAUSE_EPOCH,
          .type = MIG_TYPE_IMMUTABLE, .epoch = 2);
    OTHER("type before total, again", MIG_CAUSE_TYPE,
          .type = MIG_TYPE_IMMUTABLE, .epoch = 1, .total = 2);
    OTHER("REC with a total", MIG_CAUSE_FORMAT, .type = MIG_TYPE_REC,
          .epoch = 1, .total = 2);
#undef MEMORY
#undef OTHER
}

/* Each IV counter below is used once, as the oracle sees. */
static void test_the_iv_counter_goes_up_and_may_skip(void)
{
    const MigHeader token = { .type = MIG_TYPE_EPOCH, .epoch = 1 };
    Pair p = pair_begun(&machine_defaults);
    MigStream *s = &machine_session(p.src)->streams[0];
    MigHeader h = token;

    s->iv = 10;                 /* as if some had failed: the next is 11 */
    h.total = 2;
    meets(p.dst, forge(p.src, 0, h, NULL, "", 0), 0);
    s->iv = 8;                  /* 9 was never used, but 11 was before it */
    h.epoch = 2;
    h.total = 3;
    meets(p.dst, forge(p.src, 0, h, NULL, "", 0), MIG_CAUSE_ORDER);
    pair_free(&p);
}

/* A stream's IV counter has nothing to do with another's. */
static void test_each_stream_has_its_own_iv_counter(void)
{
    Pair p = pair_begun(&machine_defaults);
    uint64_t second = page_ipa(1, 2);

    machine_session(p.src)->streams[0].iv = 10;
    g_array_unref(machine_collect(p.src));
    step_take(p.dst, machine_send_pages(p.src, &p.ipa, 1, 0));
    step_take(p.dst, machine_send_pages(p.src, &second, 1, 1));
    pair_free(&p);
}

/* ---- pages ---- */

static void test_a_page_comes_once_in_a_bundle(void)
{
    const MigHeader h = { .type = MIG_TYPE_MEMORY, .epoch = 1, .count = 3 };
    static const uint64_t lists[][3] = {
        { 0x3000, 0x3000, 0x4000 }, { 0x3000, 0x4000, 0x3000 },
        { 0x4000, 0x3000, 0x3000 }, { 0x4000, 0x3000, 0x5000 },
    };
    static uint8_t pages[3][RMM_GRANULE_SIZE + 129];

    for (size_t i = 0; i < G_N_ELEMENTS(lists); i++) {
        Pair p = pair_begun(&machine_defaults);

        for (int n = 0; n < 3; n++) {
            pages[n][RMM_GRANULE_SIZE] = 3;
        }
        meets(p.dst, forge(p.src, 0, h, lists[i], pages, sizeof(pages)),
              i < 3 ? MIG_CAUSE_PAGE_REPEATED : 0);
        pair_free(&p);
    }
}

/* Send the page @again on @stream as if it had not left in this epoch */
static Record *send_again(Pair *p, unsigned stream)
{
    RmmRealm *realm = realm_lock(p->src->rmm, p->src->rd);

    g_assert_true(rtt_put_pending(realm, p->ipa));
    realm_unlock(realm);
    return machine_send_pages(p->src, &p->ipa, 1, stream);
}

static void test_a_page_comes_once_in_an_epoch(void)
{
    for (unsigned stream = 0; stream < 2; stream++) {
        for (int there = 0; there < 2; there++) {
            Pair p = pair_new(&machine_defaults);

            if (there) {        /* the host put a page there, EMPTY to it */
                machine_add_page(p.dst, p.ipa);
            }
            step_connect(p.src, p.dst);
            g_array_unref(machine_collect(p.src));
            step_take(p.dst, machine_send_pages(p.src, &p.ipa, 1, 0));
            /* An epoch token begins a new one... */
            step_epoch(p.src, p.dst);
            step_take(p.dst, send_again(&p, stream));
            same_page(p.src, p.dst, p.ipa);
            /* ...and nothing else does. */
            meets(p.dst, send_again(&p, !stream), MIG_CAUSE_PAGE_REPEATED);
            pair_free(&p);
        }
    }
}

/* ...also above the RAM that its host gave the Realm at first */
static void test_a_page_where_there_was_no_ram_comes_once(void)
{
    const MigHeader h = { .type = MIG_TYPE_MEMORY, .epoch = 1, .count = 1 };
    static const uint8_t page[RMM_GRANULE_SIZE + 129] = {
        [RMM_GRANULE_SIZE] = 3,
    };
    Pair p = pair_new(&machine_defaults);
    uint64_t ipa = MACHINE_RAM_TOP;

    machine_add_page(p.dst, ipa);       /* RIPAS EMPTY */
    step_connect(p.src, p.dst);
    step_take(p.dst, forge(p.src, 0, h, &ipa, page, sizeof(page)));
    meets(p.dst, forge(p.src, 0, h, &ipa, page, sizeof(page)),
          MIG_CAUSE_PAGE_REPEATED);
    pair_free(&p);
}

/* Pages of an arrived Realm are like others: it can leave at once. */
static void test_what_arrived_leaves_again(void)
{
    Pair p = pair_begun(&machine_defaults);
    Machine *third = machine_new(&machine_defaults);

    step_round(p.src, p.dst, 1, 64);
    step_finish(p.src, p.dst);
    step_connect(p.dst, third);
    step_round(p.dst, third, 1, 64);
    step_finish(p.dst, third);
    same_realm(p.src, third);
    machine_free(third);
    pair_free(&p);
}

static Pair compact_pair(void)
{
    MachineParams params = machine_defaults;

    params.policy = (MigPolicy) { .version = MIG_POLICY_VERSION,
                                  .flags = MIG_POLICY_COMPACT };
    return pair_begun(&params);
}

/* ---- tags ---- */

static void test_with_compact_each_page_has_the_shortest_form(void)
{
    static const struct {
        const char *label;
        uint8_t kind;
        uint8_t fill;           /* of all bytes of the raw form */
        MigCause cause;
    } cases[] = {
        { "raw, where none would do", 3, 0x00, MIG_CAUSE_FORMAT },
        { "raw, where uniform would do", 3, 0x77, MIG_CAUSE_FORMAT },
        { "raw, of 256 runs", 3, 0x21, 0 },
    };
    const MigHeader h = { .type = MIG_TYPE_MEMORY, .epoch = 1, .count = 1 };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        uint8_t page[RMM_GRANULE_SIZE + 129] = { 1 };
        Pair p = compact_pair();

        g_test_message("%s", cases[i].label);
        page[RMM_GRANULE_SIZE] = cases[i].kind;
        memset(page + RMM_GRANULE_SIZE + 1, cases[i].fill, 128);
        meets(p.dst, forge(p.src, 0, h, &p.ipa, page, sizeof(page)),
              cases[i].cause);
        pair_free(&p);
    }
}

/* 63 runs have 128 bytes, one less than raw; 64 would have 130. */
static void test_the_longest_runs_are_shorter_than_raw(void)
{
    const MigHeader h = { .type = MIG_TYPE_MEMORY, .epoch = 1, .count = 1 };

    for (unsigned runs = 63; runs < 65; runs++) {
        uint8_t page[RMM_GRANULE_SIZE + 129] = { 1 };
        uint8_t *raw = page + RMM_GRANULE_SIZE + 1;
        Pair p = compact_pair();

        page[RMM_GRANULE_SIZE] = 3;
        /* Tags 1 2 1 2..., one a run, and the last run to the end */
        for (unsigned i = 0; i < 256; i++) {
            raw[i / 2] |= (MIN(i, runs - 1) % 2 + 1) << i % 2 * 4;
        }
        meets(p.dst, forge(p.src, 0, h, &p.ipa, page, sizeof(page)),
              runs == 63 ? MIG_CAUSE_FORMAT : 0);
        pair_free(&p);
    }
}

/* Page, its tags, page, its tags: nothing between them and nothing behind */
static void test_the_tags_of_a_page_stand_right_behind_it(void)
{
    static const uint64_t ipas[] = { 0x5000, 0x3000 };
    const MigHeader h = { .type = MIG_TYPE_MEMORY, .epoch = 1, .count = 2 };
    static uint8_t body[2 * RMM_GRANULE_SIZE + 2 + 6];
    uint8_t *tags, *at = body;
    Pair p = compact_pair();

    memset(at, 0xa5, RMM_GRANULE_SIZE);
    at += RMM_GRANULE_SIZE;
    *at++ = 1;                          /* uniform, */
    *at++ = 9;                          /* tag 9 */
    memset(at, 0x5a, RMM_GRANULE_SIZE);
    at += RMM_GRANULE_SIZE;
    memcpy(at, (uint8_t[]) { 2, 2,      /* runs, two of them: */
                             3, 4,      /* 4 granules of tag 4, */
                             251, 0 },  /* and 252 of tag 0 */
           6);
    step_take(p.dst, forge(p.src, 0, h, ipas, body, sizeof(body)));
    at = machine_page(p.dst, 0x5000, false, &tags);
    g_assert_cmphex(at[0], ==, 0xa5);
    g_assert_cmphex(tags[0], ==, 0x99);
    g_assert_cmphex(tags[127], ==, 0x99);
    at = machine_page(p.dst, 0x3000, false, &tags);
    g_assert_cmphex(at[4095], ==, 0x5a);
    g_assert_cmphex(tags[1], ==, 0x44);
    g_assert_cmphex(tags[2], ==, 0);
    pair_free(&p);
}

/* ---- pages of zeros ---- */

/* One page of a compact session that is there already, with other contents */
static void zero_page_meets(uint64_t features, uint64_t bits,
                            const void *body, size_t len, MigCause cause)
{
    const MigHeader h = { .type = MIG_TYPE_MEMORY, .epoch = 1, .count = 1 };
    MachineParams params = machine_defaults;
    uint64_t entry;
    Pair p;

    params.policy = (MigPolicy) { .version = MIG_POLICY_VERSION,
                                  .flags = MIG_POLICY_COMPACT };
    p = pair_new(&params);
    p.dst->rmm->mig_features = features;
    step_connect(p.src, p.dst);
    g_assert_cmphex(machine_session(p.dst)->features, ==, features);
    entry = p.ipa | bits;
    meets(p.dst, forge(p.src, 0, h, &entry, body, len), cause);
    pair_free(&p);
}

static void test_only_with_the_feature_a_page_of_zeros_has_no_data(void)
{
    const uint64_t compact = MIG_FEATURE_COMPACT, zero = MIG_FEATURE_ZERO;
    static const uint8_t full[RMM_GRANULE_SIZE + 1];    /* tags: none */
    static const uint8_t last[RMM_GRANULE_SIZE + 1] = {
        [RMM_GRANULE_SIZE - 1] = 1,
    };

    zero_page_meets(compact | zero, 1, full, 1, 0);
    zero_page_meets(compact | zero, 1, full, sizeof(full), MIG_CAUSE_FORMAT);
    zero_page_meets(compact | zero, 1, full, 0, MIG_CAUSE_FORMAT);
    zero_page_meets(compact | zero, 0, full, sizeof(full), MIG_CAUSE_FORMAT);
    zero_page_meets(compact | zero, 0, last, sizeof(last), 0);
    zero_page_meets(compact | zero, 0, last, sizeof(last) - 1,
                    MIG_CAUSE_FORMAT);
    zero_page_meets(compact, 1, full, 1, MIG_CAUSE_FORMAT);
    zero_page_meets(compact, 1, full, sizeof(full), MIG_CAUSE_FORMAT);
    zero_page_meets(compact, 0, full, sizeof(full), 0);
    /* One without the other: raw tags */
    zero_page_meets(zero, 1, full, 1, MIG_CAUSE_FORMAT);
    zero_page_meets(zero, 1, (uint8_t[129]) { 3 }, 129, 0);
}

/* In an entry, bits [11:1] and [63:52] are reserved. */
static void test_a_page_of_zeros_has_no_reserved_bit(void)
{
    for (unsigned bit = 1; bit < 64; bit += bit == 11 ? 41 : 1) {
        zero_page_meets(MIG_FEATURE_COMPACT | MIG_FEATURE_ZERO,
                        1 | 1ull << bit, "", 1, MIG_CAUSE_FORMAT);
    }
}

static void test_a_page_that_becomes_zero_is_zero_where_it_goes(void)
{
    uint8_t *tags, *page;
    Pair p = compact_pair();
    Record *record;

    g_array_unref(machine_collect(p.src));
    step_take(p.dst, machine_send_pages(p.src, &p.ipa, 1, 0));
    page = machine_page(p.src, p.ipa, true, &tags);
    memset(page, 0, RMM_GRANULE_SIZE);
    memset(tags, 0x66, RMM_TAG_BYTES);
    step_epoch(p.src, p.dst);
    g_array_unref(machine_collect(p.src));
    record = machine_send_pages(p.src, &p.ipa, 1, 0);
    g_assert_cmpuint(record->len, ==, bundle_size(1, 2));
    step_take(p.dst, record);
    page = machine_page(p.dst, p.ipa, false, &tags);
    g_assert_cmphex(page[0] | page[4095], ==, 0);
    g_assert_cmphex(tags[0] & tags[127], ==, 0x66);
    same_page(p.src, p.dst, p.ipa);
    pair_free(&p);
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
        OK(machine_prepare(p.src, p.dst));
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
    TEST(the_first_bundle_has_its_place);
    TEST(the_flags_say_what_the_realm_was_made_with);
    TEST(every_bundle_has_its_place);
    TEST(the_iv_counter_goes_up_and_may_skip);
    TEST(each_stream_has_its_own_iv_counter);
    TEST(a_page_comes_once_in_a_bundle);
    TEST(a_page_comes_once_in_an_epoch);
    TEST(a_page_where_there_was_no_ram_comes_once);
    TEST(what_arrived_leaves_again);
    TEST(with_compact_each_page_has_the_shortest_form);
    TEST(the_longest_runs_are_shorter_than_raw);
    TEST(the_tags_of_a_page_stand_right_behind_it);
    TEST(only_with_the_feature_a_page_of_zeros_has_no_data);
    TEST(a_page_of_zeros_has_no_reserved_bit);
    TEST(a_page_that_becomes_zero_is_zero_where_it_goes);
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
    TEST(no_record_follows_the_start_token);
    g_test_add_func("/mig-forged/no_iv_is_used_twice", oracle_check);
    return g_test_run();
}
