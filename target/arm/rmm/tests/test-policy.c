/*
 * Policies of Realms, and the platforms that they let in
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include <gnutls/crypto.h>

#include "attest.h"
#include "cbor-make.h"
#include "cbor-read.h"
#include "measurement.h"
#include "mig-oracle.h"
#include "mig-steps.h"
#include "policy.h"
#include "rmm-internal.h"
#include "session.h"
#include "test-keys.h"
#include "token.h"

/* ---- CBOR of others ---- */

static bool skips(const char *hex)
{
    uint8_t data[64];
    size_t size = strlen(hex) / 2;
    CborReader r = { data, data + size };

    for (size_t i = 0; i < size; i++) {
        data[i] = g_ascii_xdigit_value(hex[2 * i]) << 4 |
                  g_ascii_xdigit_value(hex[2 * i + 1]);
    }
    return cbor_skip(&r) && r.at == r.end;
}

static void test_items_of_every_kind_are_read(void)
{
    static const char *const good[] = {
        "00", "17", "1818", "190100", "1a00010000", "1b0000000100000000",
        "20", "3818", "3b7fffffffffffffff", "40", "43010203", "60", "6161",
        "80", "8301820203a0", "a0", "a201020304", "c100", "d9018f80",
        "f4", "f6", "f97e00", "fb0000000000000000", "8181818181818180",
        "e0", "f7", "f820", "f8ff", "81f820",
    };
    static const char *const bad[] = {
        "", "18", "1800", "1817", "190001", "1900ff", "1a0000ffff",
        "1b00000000ffffffff", "1c", "1f", "41", "4302", "61", "5f00ff",
        "81", "820100ff", "a101", "a2010203", "9f00ff", "bf0001ff", "c1",
        "ff", "fb00", "9bffffffffffffffff00", "bbffffffffffffffff00",
        "bb800000000000000000", "5bffffffffffffffff00", "9a0000ffff00",
        "8181818181818181", "f800", "f817", "f818", "f81f", "81f818", "f8",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
        g_test_message("good %s", good[i]);
        g_assert_true(skips(good[i]));
    }
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_test_message("bad %s", bad[i]);
        g_assert_false(skips(bad[i]));
    }
}

/* No stack grows with it: a token can hold this many arrays, one in another. */
static void test_items_are_passed_over_at_any_depth(void)
{
    static uint8_t deep[MIG_MAX_TOKEN];

    for (int whole = 0; whole < 2; whole++) {
        CborReader r = { deep, deep + sizeof(deep) };

        memset(deep, 0x81, sizeof(deep));
        deep[sizeof(deep) - 1] = whole ? 0x80 : 0x81;
        g_assert_true(cbor_skip(&r) == whole);
    }
}

static void test_numbers_are_read_and_bounded(void)
{
    static const uint8_t numbers[] = {
        0x18, 0x64, 0x38, 0x22, 0x1b, 0x80, 0, 0, 0, 0, 0, 0, 0,
    };
    CborReader r = { numbers, numbers + sizeof(numbers) };
    int64_t value;

    g_assert_true(cbor_read_int(&r, &value));
    g_assert_cmpint(value, ==, 100);
    g_assert_true(cbor_read_int(&r, &value));
    g_assert_cmpint(value, ==, -35);
    g_assert_false(cbor_read_int(&r, &value));
}

/* ---- messages ---- */

static CoseKey *signer(void)
{
    CoseKey *key = cose_key_new(platform_der, sizeof(platform_der));

    g_assert_nonnull(key);
    return key;
}

static GBytes *payload_of(uint8_t fill, size_t size)
{
    uint8_t *data = g_malloc(size);

    memset(data, fill, size);
    return g_bytes_new_take(data, size);
}

/* Both numbers of a signature begin with zeros now and then */
static void test_every_signature_verifies(void)
{
    CoseKey *key = signer();
    uint8_t point[COSE_POINT_SIZE];
    unsigned short_numbers = 0;

    cose_key_point(key, point);
    for (int i = 0; i < 600; i++) {
        GBytes *message = cose_sign1(key, payload_of(i, 1 + i % 300));
        CoseSign1 parts;
        gsize size;

        g_assert_true(cose_split(&parts, g_bytes_get_data(message, &size),
                                 g_bytes_get_size(message)));
        g_assert_cmpuint(parts.payload_size, ==, 1 + i % 300);
        g_assert_true(cose_verify(&parts, point));
        short_numbers += !parts.signature[0] || !parts.signature[48];
        g_bytes_unref(message);
    }
    g_assert_cmpuint(short_numbers, >, 0);
    cose_key_free(key);
}

static void test_a_message_with_any_bit_changed_is_refused(void)
{
    CoseKey *key = signer();
    GBytes *message = cose_sign1(key, payload_of(7, 60));
    uint8_t point[COSE_POINT_SIZE];
    CoseSign1 parts;
    gsize size;
    g_autofree uint8_t *data = g_memdup2(g_bytes_get_data(message, &size),
                                         g_bytes_get_size(message));

    cose_key_point(key, point);
    size = g_bytes_get_size(message);
    for (size_t bit = 0; bit < size * 8; bit++) {
        data[bit / 8] ^= 1 << bit % 8;
        g_assert_false(cose_split(&parts, data, size) &&
                       cose_verify(&parts, point));
        data[bit / 8] ^= 1 << bit % 8;
    }
    for (size_t cut = 0; cut < size; cut++) {
        g_assert_false(cose_split(&parts, data, cut));
    }
    g_assert_true(cose_split(&parts, data, size));
    g_assert_true(cose_verify(&parts, point));
    point[5] ^= 1;              /* not on the curve */
    g_assert_false(cose_verify(&parts, point));
    g_bytes_unref(message);
    cose_key_free(key);
}

/* Other encodings of the same, and what other algorithms would look like */
static void test_a_message_has_one_form(void)
{
    CoseKey *key = signer();
    GBytes *message = cose_sign1(key, payload_of(7, 10));
    gsize size;
    const uint8_t *good = g_bytes_get_data(message, &size);
    GByteArray *bad = g_byte_array_new();
    CoseSign1 parts;

    g_assert_true(cose_split(&parts, good, size));
    g_assert_false(cose_split(&parts, good + 1, size - 1)); /* no tag */
    g_byte_array_append(bad, good, size);
    g_byte_array_append(bad, (uint8_t *)"", 1);             /* a byte more */
    g_assert_false(cose_split(&parts, bad->data, bad->len));
    g_byte_array_set_size(bad, 0);
    g_byte_array_append(bad, good, 8);          /* a longer head than needed */
    g_byte_array_append(bad, (const uint8_t *)"\x58", 1);
    g_byte_array_append(bad, (const uint8_t *)"\x0a", 1);
    g_byte_array_append(bad, good + 9, size - 9);
    g_assert_false(cose_split(&parts, bad->data, bad->len));
    g_byte_array_unref(bad);
    g_bytes_unref(message);
    cose_key_free(key);
}

/* ---- what a policy may be ---- */

static MigPolicy policy_with(uint32_t flags, uint32_t anchors, ...)
{
    MigPolicy policy = {
        .version = MIG_POLICY_VERSION, .flags = flags, .num_anchors = anchors
    };
    va_list ap;

    va_start(ap, anchors);
    for (uint32_t i = 0; i < anchors; i++) {
        machine_key_point(va_arg(ap, GBytes *), policy.anchors[i]);
    }
    va_end(ap);
    return policy;
}

static void test_only_a_well_formed_policy_is_valid(void)
{
    MigPolicy good = policy_with(0, 2, NULL, NULL), bad;

    g_assert_true(policy_valid(&good));
    for (size_t i = 0; i < sizeof(good); i++) {
        for (int bit = 0; bit < 8; bit += 3) {
            bad = good;
            ((uint8_t *)&bad)[i] ^= 1 << bit;
            g_assert_true(policy_valid(&bad) ==
                          (i == offsetof(MigPolicy, flags) && bit == 0));
        }
    }
    for (uint32_t flags = 0; flags < 16; flags++) {
        bad = good;
        bad.flags = flags;
        g_assert_true(policy_valid(&bad) == (flags <= MIG_POLICY_FLAGS));
        bad.implementation_id[31] = 1;
        g_assert_true(policy_valid(&bad) ==
                      (flags <= MIG_POLICY_FLAGS &&
                       (flags & MIG_POLICY_IMPLEMENTATION)));
    }
    bad = good;
    bad.num_anchors = 9;
    g_assert_false(policy_valid(&bad));
    bad.num_anchors = UINT32_MAX;
    g_assert_false(policy_valid(&bad));
    bad.num_anchors = 1;        /* the second one is behind the end */
    g_assert_false(policy_valid(&bad));
    bad.num_anchors = 3;        /* the third one is no point */
    g_assert_false(policy_valid(&bad));
}

static void test_a_policy_is_set_once_and_before_the_start(void)
{
    MigPolicy policy = policy_with(MIG_POLICY_COMPACT, 0), bad = policy;
    MachineParams params = machine_defaults;
    Machine *m = machine_new(&params), *other;
    Record *offer;

    bad.reserved = 1;
    REFUSES(m, machine_set_policy(m, &bad), REFUSED(MIG_CAUSE_POLICY_FORMAT));
    for (size_t size = 0; size < 2 * sizeof(policy); size += 24) {
        if (size != sizeof(policy)) {
            REFUSES(m, MIG(m, MIG_SET_POLICY, NS_BITMAP, size),
                    REFUSED(MIG_CAUSE_POLICY_FORMAT));
        }
    }
    OK(machine_set_policy(m, &policy));
    REFUSES(m, machine_set_policy(m, &policy), REFUSED(MIG_CAUSE_POLICY_SET));
    machine_activate(m);
    REFUSES(m, machine_set_policy(m, &policy), REFUSED(MIG_CAUSE_STATE));

    other = machine_new(&params);
    OK(machine_offer(other, &offer));
    REFUSES(other, machine_set_policy(other, &policy),
            REFUSED(MIG_CAUSE_STATE));
    machine_free(other);
    g_byte_array_unref(offer);
    params.ext_flags &= ~RMI_REALM_EXT_MIGRATION;
    other = machine_new(&params);
    REFUSES(other, machine_set_policy(other, &policy),
            REFUSED(MIG_CAUSE_NOT_MIGRATABLE));
    machine_free(other);
    machine_free(m);
}

/* ---- the policy in the RIM ---- */

static void rim(Machine *m, uint8_t value[64])
{
    g_assert_cmpuint(rmm_realm_rim(m->rmm, m->rd, value), >, 0);
}

/* The extension, from the document and not from the library */
static void extend(uint8_t value[64], const MigPolicy *policy, bool sha512)
{
    gnutls_digest_algorithm_t algo = sha512 ? GNUTLS_DIG_SHA512
                                            : GNUTLS_DIG_SHA256;
    uint8_t desc[256] = { 0x80, [9] = 1 };

    memcpy(desc + 0x10, value, 64);
    g_assert_cmpint(gnutls_hash_fast(algo, policy, 0x330, desc + 0x50), ==,
                    0);
    memset(value, 0, 64);
    g_assert_cmpint(gnutls_hash_fast(algo, desc, 256, value), ==, 0);
}

static void check_measured(uint8_t hash_algo)
{
    MigPolicy policy = policy_with(MIG_POLICY_SECURED, 1, NULL);
    MachineParams params = machine_defaults;
    uint8_t plain[64], before[64], with[64];
    Machine *m;

    params.hash_algo = hash_algo;
    m = machine_new(&params);
    rim(m, before);
    machine_activate(m);
    rim(m, plain);
    g_assert_cmpmem(plain, 64, before, 64);     /* none: nothing is added */
    machine_free(m);

    params.policy = policy;
    m = machine_new(&params);
    rim(m, before);
    g_assert_cmpmem(plain, 64, before, 64);     /* it is the last of all */
    machine_activate(m);
    rim(m, with);
    extend(plain, &policy, hash_algo == RMI_HASH_SHA_512);
    g_assert_cmpmem(plain, 64, with, 64);
    machine_free(m);
}

static void test_a_policy_is_measured_last(void)
{
    check_measured(RMI_HASH_SHA_256);
    check_measured(RMI_HASH_SHA_512);
}

static void test_each_bit_of_a_policy_shows_in_the_rim(void)
{
    uint8_t first[64], other[64];

    for (uint32_t flags = 0; flags <= MIG_POLICY_FLAGS; flags++) {
        MachineParams params = machine_defaults;
        Machine *m;

        params.policy = policy_with(flags, flags & 1, NULL);
        m = machine_new(&params);
        machine_activate(m);
        rim(m, other);
        if (flags) {
            g_assert_cmpint(memcmp(first, other, 64), !=, 0);
        }
        memcpy(first, other, 64);
        machine_free(m);
    }
}

/*
 * A source can claim any RIM; but with a policy that lets it in, what the
 * destination takes over always has that policy in it.
 */
static void test_a_rim_arrives_with_the_policy_that_let_it_in(void)
{
    MachineParams params = machine_defaults;
    Machine *victim = source_new(&params, 1), *src, *dst;
    uint8_t wanted[64], got[64];

    rim(victim, wanted);
    params.policy = policy_with(0, 1, NULL);
    src = source_new(&params, 1);
    dst = machine_new(&params);
    memcpy(realm_lock(src->rmm, src->rd)->rim_base, wanted, 64);
    realm_unlock(g_hash_table_lookup(src->rmm->realms, &src->rd));
    step_connect(src, dst);
    rim(dst, got);
    g_assert_cmpint(memcmp(got, wanted, 64), !=, 0);
    extend(wanted, &params.policy, false);
    g_assert_cmpmem(got, 64, wanted, 64);
    machine_free(victim);
    machine_free(src);
    machine_free(dst);
}

/* ---- who is let in ---- */

static Machine *machine_with(const MachineParams *params, bool source,
                             GBytes *key, const MigPolicy *policy)
{
    MachineParams p = *params;

    p.platform_key = key;
    if (policy) {
        p.policy = *policy;
    }
    return source ? source_new(&p, 2) : machine_new(&p);
}

/* Result of the acceptance, or else of the import that answers it */
static uint64_t meet(GBytes *src_key, GBytes *dst_key,
                     const MigPolicy *policy)
{
    Machine *src = machine_with(&machine_defaults, true, src_key, policy);
    Machine *dst = machine_with(&machine_defaults, false, dst_key, policy);
    Record *begin, *offer;
    uint64_t result;

    OK(machine_offer(dst, &offer));
    memcpy(machine_ns(src, NS_BLOB(0)), offer->data, offer->len);
    {
        g_autofree char *before = snapshot(src), *after = NULL;

        result = MIG(src, MIG_ACCEPT, NS_BLOB(0), offer->len);
        after = snapshot(src);
        g_assert_true((g_strcmp0(before, after) == 0) ==
                      (result != RMI_SUCCESS));
    }
    g_byte_array_unref(offer);
    if (result == RMI_SUCCESS) {
        begin = machine_export(src, MIG_EXPORT_BEGIN, 0, &result);
        OK(result);
        result = machine_receive(dst, begin);
        g_byte_array_unref(begin);
        g_assert_cmpint(machine_state(dst), ==, result == RMI_SUCCESS ?
                        REALM_IMPORT : REALM_FAILED);
        result |= result ? 1ull << 32 : 0;      /* it was the destination */
    }
    machine_free(src);
    machine_free(dst);
    return result;
}

#define AT_DESTINATION(cause) (REFUSED(cause) | 1ull << 32)

static void test_without_anchors_only_the_own_key_is_trusted(void)
{
    g_autoptr(GBytes) a = machine_new_key();
    MigPolicy none = policy_with(MIG_POLICY_COMPACT, 0);

    OK(meet(NULL, NULL, NULL));
    OK(meet(a, a, NULL));
    OK(meet(a, a, &none));
    g_assert_cmphex(meet(NULL, a, NULL), ==,
                    REFUSED(MIG_CAUSE_PEER_SIGNATURE));
    g_assert_cmphex(meet(a, NULL, &none), ==,
                    REFUSED(MIG_CAUSE_PEER_SIGNATURE));
}

static void test_anchors_are_trusted_and_nothing_else(void)
{
    g_autoptr(GBytes) a = machine_new_key();
    g_autoptr(GBytes) b = machine_new_key();
    MigPolicy only_b = policy_with(0, 1, b), both = policy_with(0, 2, a, b);

    OK(meet(a, b, &both));
    OK(meet(b, a, &both));
    OK(meet(b, b, &only_b));
    g_assert_cmphex(meet(a, b, &only_b), ==,
                    AT_DESTINATION(MIG_CAUSE_PEER_SIGNATURE));
    g_assert_cmphex(meet(b, a, &only_b), ==,
                    REFUSED(MIG_CAUSE_PEER_SIGNATURE));
    /* The own key counts for nothing when there are anchors */
    g_assert_cmphex(meet(a, a, &only_b), ==,
                    REFUSED(MIG_CAUSE_PEER_SIGNATURE));
    g_assert_cmphex(meet(NULL, a, &both), ==,
                    AT_DESTINATION(MIG_CAUSE_PEER_SIGNATURE));
}

static void test_each_of_eight_anchors_is_trusted(void)
{
    GBytes *k[MIG_MAX_ANCHORS];
    MigPolicy policy;

    for (int i = 0; i < MIG_MAX_ANCHORS; i++) {
        k[i] = machine_new_key();
    }
    policy = policy_with(0, 8, k[0], k[1], k[2], k[3], k[4], k[5], k[6],
                         k[7]);
    for (int i = 0; i < MIG_MAX_ANCHORS; i++) {
        OK(meet(k[i], k[7 - i], &policy));
    }
    g_assert_cmphex(meet(k[0], NULL, &policy), ==,
                    REFUSED(MIG_CAUSE_PEER_SIGNATURE));
    for (int i = 0; i < MIG_MAX_ANCHORS; i++) {
        g_bytes_unref(k[i]);
    }
}

static void test_the_models_own_token_is_not_secured(void)
{
    MigPolicy secured = policy_with(MIG_POLICY_SECURED, 0);
    MigPolicy other = policy_with(MIG_POLICY_IMPLEMENTATION, 0);
    MigPolicy own = other;

    strcpy((char *)own.implementation_id, TOKEN_IMPLEMENTATION);
    g_assert_cmphex(meet(NULL, NULL, &secured), ==,
                    REFUSED(MIG_CAUSE_PEER_LIFECYCLE));
    g_assert_cmphex(meet(NULL, NULL, &other), ==,
                    REFUSED(MIG_CAUSE_PEER_IMPLEMENTATION));
    OK(meet(NULL, NULL, &own));
}

static size_t op_no_key(void *opaque, RmmKey which, void *buf, size_t size)
{
    return 0;
}

static void test_without_a_platform_key_nothing_migrates(void)
{
    MachineParams params = machine_defaults;
    Machine *src = source_new(&params, 1), *dst = machine_new(&params);
    size_t (*op_key)(void *, RmmKey, void *, size_t) = dst->rmm->ops.key;
    Record *offer, *begin;
    uint64_t result;

    dst->rmm->ops.key = op_no_key;
    REFUSES(dst, MIG(dst, MIG_OFFER, NS_BLOB(0), 4096),
            REFUSED(MIG_CAUSE_PLATFORM_KEY));
    dst->rmm->ops.key = op_key;
    OK(machine_offer(dst, &offer));
    src->rmm->ops.key = op_no_key;
    REFUSES(src, machine_accept(src, offer), REFUSED(MIG_CAUSE_PLATFORM_KEY));
    src->rmm->ops.key = op_key;
    OK(machine_accept(src, offer));
    begin = machine_export(src, MIG_EXPORT_BEGIN, 0, &result);
    /* That is this machine's fault, so it ends nothing */
    dst->rmm->ops.key = op_no_key;
    REFUSES(dst, machine_receive(dst, begin),
            REFUSED(MIG_CAUSE_PLATFORM_KEY));
    dst->rmm->ops.key = op_key;
    step_take(dst, begin);
    g_byte_array_unref(offer);
    machine_free(src);
    machine_free(dst);
}

/* ---- claims, signed by a test ---- */

typedef struct Claims {
    int lifecycle;              /* -1: no claim */
    const char *profile;        /* NULL: no claim */
    size_t challenge_size, id_size;
    bool twice, odd_claims, cut, longer;
} Claims;

static const Claims good_claims = {
    .lifecycle = 0x3000, .profile = "tag:arm.com,2023:cca_platform#1.0.0",
    .challenge_size = 32, .id_size = 32,
};

enum { CHALLENGE = 10, PROFILE = 265, LIFECYCLE = 2395, ID = 2396 };

static GBytes *make_payload(const Claims *c, const uint8_t challenge[32])
{
    uint8_t id[40], wide[40] = { 0 };
    size_t entries = 2 + (c->lifecycle >= 0) + !!c->profile + c->twice +
                     2 * c->odd_claims;
    cbor_item_t *map = cbor_make_map(entries);
    GBytes *whole, *part;

    memset(id, 0x1d, sizeof(id));
    memcpy(wide, challenge, 32);
    cbor_put(map, ID, cbor_make_bytes(id, c->id_size));
    if (c->odd_claims) {
        cbor_item_t *list = cbor_make_array(2);

        cbor_append(list, cbor_make_map(0));
        cbor_append(list, cbor_make_text("anything"));
        cbor_put(map, -75000, list);
        cbor_put(map, 2400, cbor_make_text("https://verifier.example"));
    }
    if (c->profile) {
        cbor_put(map, PROFILE, cbor_make_text(c->profile));
    }
    if (c->lifecycle >= 0) {
        cbor_put(map, LIFECYCLE, cbor_make_int(c->lifecycle));
    }
    if (c->twice) {
        cbor_put(map, LIFECYCLE, cbor_make_int(c->lifecycle));
    }
    cbor_put(map, CHALLENGE, cbor_make_bytes(wide, c->challenge_size));
    whole = cbor_finish(map);
    if (c->longer) {
        GByteArray *more = g_bytes_unref_to_array(whole);

        g_byte_array_append(more, (const uint8_t *)"", 1);
        return g_byte_array_free_to_bytes(more);
    }
    if (!c->cut) {
        return whole;
    }
    part = g_bytes_new_from_bytes(whole, 0, g_bytes_get_size(whole) - 1);
    g_bytes_unref(whole);
    return part;
}

static GBytes *make_token(const Claims *c, const uint8_t challenge[32])
{
    CoseKey *key = signer();
    GBytes *token = cose_sign1(key, make_payload(c, challenge));

    cose_key_free(key);
    return token;
}

/* What is said of a platform with these claims */
static MigCause judge(const MigPolicy *policy, const Claims *c)
{
    uint8_t challenge[32] = { 1, 2, 3 };
    GBytes *token = make_token(c, challenge);
    CoseKey *own = signer();
    MigCause cause = policy_check_peer(policy, own, challenge,
                                       g_bytes_get_data(token, NULL),
                                       g_bytes_get_size(token));

    cose_key_free(own);
    g_bytes_unref(token);
    return cause;
}

static void test_a_token_needs_its_claims(void)
{
    const MigPolicy policy = policy_with(0, 0);
    Claims c = good_claims;

    g_assert_cmpint(judge(&policy, &c), ==, 0);
    c.odd_claims = true;
    g_assert_cmpint(judge(&policy, &c), ==, 0);
#define BAD(member, value, cause) \
    c = good_claims; c.member = value; \
    g_assert_cmpint(judge(&policy, &c), ==, cause)
    BAD(lifecycle, -1, MIG_CAUSE_PEER_TOKEN);
    BAD(lifecycle, 0x10000, MIG_CAUSE_PEER_TOKEN);
    BAD(profile, NULL, MIG_CAUSE_PEER_TOKEN);
    BAD(profile, "tag:arm.com,2023:cca_platform#1.0.1",
        MIG_CAUSE_PEER_PROFILE);
    BAD(profile, "", MIG_CAUSE_PEER_PROFILE);
    BAD(challenge_size, 31, MIG_CAUSE_PEER_TOKEN);
    BAD(challenge_size, 33, MIG_CAUSE_PEER_TOKEN);
    BAD(id_size, 0, MIG_CAUSE_PEER_TOKEN);
    BAD(id_size, 33, MIG_CAUSE_PEER_TOKEN);
    BAD(twice, true, MIG_CAUSE_PEER_TOKEN);
    BAD(cut, true, MIG_CAUSE_PEER_TOKEN);
    BAD(longer, true, MIG_CAUSE_PEER_TOKEN);
#undef BAD
}

static void test_secured_is_a_range_of_life_cycles(void)
{
    static const int lifecycles[] = {
        0, 0x1000, 0x2fff, 0x3000, 0x3001, 0x30ff, 0x3100, 0x4000, 0xffff,
    };
    const MigPolicy secured = policy_with(MIG_POLICY_SECURED, 0);
    const MigPolicy any = policy_with(0, 0);

    for (size_t i = 0; i < G_N_ELEMENTS(lifecycles); i++) {
        Claims c = good_claims;
        bool in = lifecycles[i] >> 8 == 0x30;

        c.lifecycle = lifecycles[i];
        g_assert_cmpint(judge(&any, &c), ==, 0);
        g_assert_cmpint(judge(&secured, &c), ==,
                        in ? 0 : MIG_CAUSE_PEER_LIFECYCLE);
    }
}

static void test_an_implementation_can_be_asked_for(void)
{
    MigPolicy policy = policy_with(MIG_POLICY_IMPLEMENTATION, 0);

    memset(policy.implementation_id, 0x1d, 32);
    g_assert_cmpint(judge(&policy, &good_claims), ==, 0);
    for (int i = 0; i < 32; i++) {
        policy.implementation_id[i] ^= 1;
        g_assert_cmpint(judge(&policy, &good_claims), ==,
                        MIG_CAUSE_PEER_IMPLEMENTATION);
        policy.implementation_id[i] ^= 1;
    }
}

static void test_a_token_is_about_its_own_exchange(void)
{
    const MigPolicy policy = policy_with(0, 0);
    uint8_t challenge[32] = { 1, 2, 3 };
    GBytes *token = make_token(&good_claims, challenge);
    CoseKey *own = signer();

    for (int i = 0; i < 32; i++) {
        challenge[i] ^= 0x40;
        g_assert_cmpint(policy_check_peer(&policy, own, challenge,
                                          g_bytes_get_data(token, NULL),
                                          g_bytes_get_size(token)), ==,
                        MIG_CAUSE_PEER_CHALLENGE);
        challenge[i] ^= 0x40;
    }
    /* Nor does no anchor and no key mean anybody */
    g_assert_cmpint(policy_check_peer(&policy, NULL, challenge,
                                      g_bytes_get_data(token, NULL),
                                      g_bytes_get_size(token)), ==,
                    MIG_CAUSE_PLATFORM_KEY);
    cose_key_free(own);
    g_bytes_unref(token);
}

/* ---- the same in a whole exchange ---- */

static void put_token(GByteArray *record, size_t behind, const Claims *c,
                      const MigOffer *offer)
{
    MigHelloRecord r;
    uint8_t challenge[32];
    GBytes *token;
    GByteArray *rest = g_byte_array_new();

    memcpy(&r.hello, record->data, sizeof(r.hello));
    g_byte_array_append(rest, record->data + record->len - behind, behind);
    session_challenge(challenge, &r.hello, offer);
    token = make_token(c, challenge);
    r.hello.token_size = g_bytes_get_size(token);
    r.hello.size = sizeof(r.hello) + r.hello.token_size;
    g_byte_array_set_size(record, 0);
    g_byte_array_append(record, (uint8_t *)&r.hello, sizeof(r.hello));
    g_byte_array_append(record, g_bytes_get_data(token, NULL),
                        r.hello.token_size);
    g_byte_array_append(record, rest->data, behind);
    g_byte_array_unref(rest);
    g_bytes_unref(token);
}

/* Tokens of both sides with other claims than the model's */
static uint64_t meet_with(const MigPolicy *policy, const Claims *of_dst,
                          const Claims *of_src)
{
    Machine *src = machine_with(&machine_defaults, true, NULL, policy);
    Machine *dst = machine_with(&machine_defaults, false, NULL, policy);
    Record *offer, *begin;
    uint64_t result;

    OK(machine_offer(dst, &offer));
    put_token(offer, 0, of_dst, NULL);
    result = machine_accept(src, offer);
    g_byte_array_unref(offer);
    if (result == RMI_SUCCESS) {
        begin = machine_export(src, MIG_EXPORT_BEGIN, 0, &result);
        put_token(begin, bundle_size(0, sizeof(MigImmutable)), of_src,
                  &machine_session(src)->offer);
        result = machine_receive(dst, begin);
        result |= result ? 1ull << 32 : 0;
        g_byte_array_unref(begin);
    }
    machine_free(src);
    machine_free(dst);
    return result;
}

static void test_both_sides_have_to_be_secured_if_the_policy_says_so(void)
{
    const MigPolicy secured = policy_with(MIG_POLICY_SECURED, 0);
    Claims debug = good_claims;

    debug.lifecycle = 0x5000;
    OK(meet_with(&secured, &good_claims, &good_claims));
    g_assert_cmphex(meet_with(&secured, &debug, &good_claims), ==,
                    REFUSED(MIG_CAUSE_PEER_LIFECYCLE));
    g_assert_cmphex(meet_with(&secured, &good_claims, &debug), ==,
                    AT_DESTINATION(MIG_CAUSE_PEER_LIFECYCLE));
}

/* ---- versions and features ---- */

static Machine *release(bool source, unsigned minor, uint64_t features,
                        const MigPolicy *policy)
{
    Machine *m = machine_with(&machine_defaults, source, NULL, policy);

    m->rmm->mig_minor = minor;
    m->rmm->mig_features = features;
    return m;
}

/* A whole migration between two releases; the features that it used */
static uint64_t migrate_between(unsigned src_minor, uint64_t src_features,
                                unsigned dst_minor, uint64_t dst_features)
{
    const MigPolicy policy = policy_with(MIG_POLICY_COMPACT, 0);
    Machine *src = release(true, src_minor, src_features, &policy);
    Machine *dst = release(false, dst_minor, dst_features, &policy);
    uint64_t features;

    step_connect(src, dst);
    features = machine_session(dst)->features;
    g_assert_cmphex(machine_session(dst)->version, ==,
                    MIG_VERSION_MAJOR << 8 | MIN(src_minor, dst_minor));
    step_round(src, dst, 2, 1);
    step_finish(src, dst);
    same_realm(src, dst);
    machine_free(src);
    machine_free(dst);
    return features;
}

static void test_releases_of_one_major_version_migrate_both_ways(void)
{
    const uint64_t future = 1ull << 62;

    g_assert_cmphex(migrate_between(0, 1, 0, 1), ==, MIG_FEATURE_COMPACT);
    g_assert_cmphex(migrate_between(3, 1 | future, 0, 1), ==,
                    MIG_FEATURE_COMPACT);
    g_assert_cmphex(migrate_between(0, 1, 255, 1 | future), ==,
                    MIG_FEATURE_COMPACT);
    /* One that does not have compact tags yet */
    g_assert_cmphex(migrate_between(0, 1, 0, 0), ==, 0);
    g_assert_cmphex(migrate_between(0, 0, 0, 1), ==, 0);
}

static void test_a_policy_forbids_compact_tags_whatever_is_offered(void)
{
    const MigPolicy plain = policy_with(0, 0);
    Machine *src = release(true, 0, 1, &plain);
    Machine *dst = release(false, 0, 1, &plain);
    Record *offer;

    OK(machine_offer(dst, &offer));
    g_assert_cmphex(machine_session(dst)->features, ==, 0);
    /* A destination that offers it all the same */
    ((MigHello *)offer->data)->features = MIG_FEATURE_COMPACT;
    step_sign_offer(dst, offer);
    OK(machine_accept(src, offer));
    g_assert_cmphex(machine_session(src)->features, ==, 0);
    g_byte_array_unref(offer);
    machine_free(src);
    machine_free(dst);
}

/* Signed again, as by a trusted source that does not keep to the rules */
static void refuse_answer(uint16_t version, uint64_t features,
                          MigCause cause)
{
    const MigPolicy policy = policy_with(0, 0);
    Machine *src = release(true, 0, 1, &policy);
    Machine *dst = release(false, 0, 1, &policy);
    Record *begin;

    OK(machine_connect(src, dst, &begin));
    ((MigHello *)begin->data)->version = version;
    ((MigHello *)begin->data)->features = features;
    put_token(begin, bundle_size(0, sizeof(MigImmutable)), &good_claims,
              &machine_session(src)->offer);
    g_assert_cmphex(machine_receive(dst, begin), ==, REFUSED(cause));
    g_assert_cmpint(machine_state(dst), ==, REALM_FAILED);
    g_byte_array_unref(begin);
    machine_free(src);
    machine_free(dst);
}

static void test_a_session_stays_inside_of_what_was_offered(void)
{
    refuse_answer(0x0101, 0, MIG_CAUSE_VERSION);
    refuse_answer(0x0200, 0, MIG_CAUSE_VERSION);
    refuse_answer(0x0000, 0, MIG_CAUSE_VERSION);
    refuse_answer(0x0100, MIG_FEATURE_COMPACT, MIG_CAUSE_FEATURES);
    refuse_answer(0x0100, 1ull << 63, MIG_CAUSE_FEATURES);
}

static void test_another_major_version_is_refused(void)
{
    Machine *src = source_new(&machine_defaults, 1);
    Machine *dst = machine_new(&machine_defaults);
    Record *offer;

    OK(machine_offer(dst, &offer));
    ((MigHello *)offer->data)->version = 0x0200;
    step_sign_offer(dst, offer);
    REFUSES(src, machine_accept(src, offer), REFUSED(MIG_CAUSE_VERSION));
    g_byte_array_unref(offer);
    machine_free(src);
    machine_free(dst);
}

#define TEST(name) g_test_add_func("/policy/" #name, test_##name)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    TEST(items_of_every_kind_are_read);
    TEST(items_are_passed_over_at_any_depth);
    TEST(numbers_are_read_and_bounded);
    TEST(every_signature_verifies);
    TEST(a_message_with_any_bit_changed_is_refused);
    TEST(a_message_has_one_form);
    TEST(only_a_well_formed_policy_is_valid);
    TEST(a_policy_is_set_once_and_before_the_start);
    TEST(a_policy_is_measured_last);
    TEST(each_bit_of_a_policy_shows_in_the_rim);
    TEST(a_rim_arrives_with_the_policy_that_let_it_in);
    TEST(without_anchors_only_the_own_key_is_trusted);
    TEST(anchors_are_trusted_and_nothing_else);
    TEST(each_of_eight_anchors_is_trusted);
    TEST(the_models_own_token_is_not_secured);
    TEST(without_a_platform_key_nothing_migrates);
    TEST(a_token_needs_its_claims);
    TEST(secured_is_a_range_of_life_cycles);
    TEST(an_implementation_can_be_asked_for);
    TEST(a_token_is_about_its_own_exchange);
    TEST(both_sides_have_to_be_secured_if_the_policy_says_so);
    TEST(releases_of_one_major_version_migrate_both_ways);
    TEST(a_policy_forbids_compact_tags_whatever_is_offered);
    TEST(a_session_stays_inside_of_what_was_offered);
    TEST(another_major_version_is_refused);
    g_test_add_func("/policy/no_iv_is_used_twice", oracle_check);
    return g_test_run();
}
