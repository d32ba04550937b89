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
        policy.anchors[i] = machine_anchor(va_arg(ap, GBytes *));
    }
    va_end(ap);
    return policy;
}

/* Anchors of both kinds, and rules of both kinds, with a type and without */
static MigPolicy policy_with_all(void)
{
    MigPolicy policy = policy_with(0, 2, NULL, NULL);

    policy.anchors[1].kind = MIG_ANCHOR_AUTHORITY;
    policy.num_rules = 3;
    policy.rules[0] = (MigRule) {
        .kind = MIG_RULE_SIGNER, .value_size = 32, .type = "RMM",
        .version = { 1, 2 },
    };
    policy.rules[1] = (MigRule) {
        .kind = MIG_RULE_MEASUREMENT, .value_size = 48,
        .type = "A-type-of-23-characters",
    };
    policy.rules[2] = (MigRule) { .kind = MIG_RULE_SIGNER, .value_size = 64 };
    memset(policy.rules[0].value, 0x11, 32);
    memset(policy.rules[1].value, 0x22, 48);
    memset(policy.rules[2].value, 0x33, 64);
    return policy;
}

/* Is what policy_with_all gives a policy with this bit changed, too? */
static bool rule_bit_is_free(const MigRule *rule, size_t at, int bit)
{
    const size_t type = offsetof(MigRule, type);
    const size_t value = offsetof(MigRule, value);

    if (at == offsetof(MigRule, value_size)) {
        return rule->value_size == 32 && bit == 4;      /* 48, then zeros */
    }
    if (at >= type && at < value) {
        /* Another letter, or one more if that is not the last byte */
        return at - type <= strlen(rule->type) && at != value - 1;
    }
    if (at >= value && at < offsetof(MigRule, version)) {
        return at - value < rule->value_size;
    }
    return at >= offsetof(MigRule, version) && rule->kind == MIG_RULE_SIGNER;
}

static bool bit_is_free(const MigPolicy *policy, size_t at, int bit)
{
    const size_t rules = offsetof(MigPolicy, rules);
    const size_t rule = (at - rules) / sizeof(MigRule);

    if (at == offsetof(MigPolicy, flags)) {
        return bit < 4;
    }
    return at >= rules && rule < policy->num_rules &&
           rule_bit_is_free(&policy->rules[rule],
                            (at - rules) % sizeof(MigRule), bit);
}

static void test_only_a_well_formed_policy_is_valid(void)
{
    const MigPolicy good = policy_with_all();
    MigPolicy bad;

    g_assert_true(policy_valid(&good));
    for (size_t i = 0; i < sizeof(good); i++) {
        for (int bit = 0; bit < 8; bit++) {
            bad = good;
            ((uint8_t *)&bad)[i] ^= 1 << bit;
            g_test_message("byte 0x%zx, bit %d", i, bit);
            g_assert_true(policy_valid(&bad) == bit_is_free(&good, i, bit));
        }
    }
}

static void test_numbers_of_a_policy_are_bounded(void)
{
    static const uint32_t numbers[] = { 9, 0x80000000, UINT32_MAX };
    const MigPolicy good = policy_with_all();
    MigPolicy p;

    for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++) {
        p = good;
        p.num_anchors = numbers[i];
        g_assert_false(policy_valid(&p));
        p = good;
        p.num_rules = numbers[i];
        g_assert_false(policy_valid(&p));
    }
    for (uint32_t n = 0; n <= 8; n++) {         /* one is behind the end */
        p = good;
        p.num_anchors = n;
        g_assert_true(policy_valid(&p) == (n == 2));
        p = good;
        p.num_rules = n;
        g_assert_true(policy_valid(&p) == (n == 3));
    }
    p = good;
    for (uint32_t i = 0; i < 8; i++) {
        p.anchors[i] = good.anchors[i % 2];
        p.rules[i] = good.rules[i % 3];
    }
    p.num_anchors = p.num_rules = 8;
    g_assert_true(policy_valid(&p));
}

static void test_kinds_and_sizes_of_a_policy_are_those_of_the_text(void)
{
    for (int i = 0; i < 256; i++) {
        MigPolicy p = policy_with_all();

        p.anchors[0].kind = i;
        g_assert_true(policy_valid(&p) == (i == 1 || i == 2));
        p = policy_with_all();
        p.rules[0].kind = i;
        memset(p.rules[0].version, 0, sizeof(p.rules[0].version));
        g_assert_true(policy_valid(&p) == (i == 1 || i == 2));
        p = policy_with_all();
        p.rules[0].value_size = i;
        memset(p.rules[0].value, 0, sizeof(p.rules[0].value));
        g_assert_true(policy_valid(&p) == (i == 32 || i == 48 || i == 64));
    }
}

static void test_flags_of_a_policy_go_together(void)
{
    for (uint32_t flags = 0; flags < 64; flags++) {
        const bool known = flags < 16 && (flags & 10) != 10;
        MigPolicy p = policy_with(flags, 1, NULL);

        g_assert_true(policy_valid(&p) == known);
        p.implementation_id[31] = 1;
        g_assert_true(policy_valid(&p) == (known && (flags & 4)));
        p = policy_with(flags, 1, NULL);
        p.required = MIG_FEATURE_COMPACT;
        g_assert_true(policy_valid(&p) == (known && (flags & 1)));
        p.required = MIG_FEATURE_ZERO;
        g_assert_true(policy_valid(&p) == (known && (flags & 1)));
        p.required = MIG_FEATURE_COMPACT | 2;   /* HYBRID: nobody has it */
        g_assert_false(policy_valid(&p));
        p.required = 1ull << 63;
        g_assert_false(policy_valid(&p));
    }
}

static void test_a_policy_of_another_version_is_refused(void)
{
    static const uint32_t versions[] = {
        0, 1, 3, 4, 0x102, 0x20000, 0x02000000, UINT32_MAX
    };
    MachineParams params = machine_defaults;
    Machine *m = machine_new(&params);
    MigPolicy policy = policy_with(0, 0);

    for (size_t i = 0; i < G_N_ELEMENTS(versions); i++) {
        policy.version = versions[i];
        REFUSES(m, machine_set_policy(m, &policy),
                REFUSED(MIG_CAUSE_POLICY_FORMAT));
    }
    policy.version = 2;
    OK(machine_set_policy(m, &policy));
    machine_free(m);
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
    policy.flags = 0;           /* the default one, said once */
    OK(machine_set_policy(m, &policy));
    REFUSES(m, machine_set_policy(m, &policy), REFUSED(MIG_CAUSE_POLICY_SET));
    policy.flags = MIG_POLICY_COMPACT;
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
    g_assert_cmpint(gnutls_hash_fast(algo, policy, 0x700, desc + 0x50), ==,
                    0);
    memset(value, 0, 64);
    g_assert_cmpint(gnutls_hash_fast(algo, desc, 256, value), ==, 0);
}

/* What a Realm has whose host says nothing: the text has it in words */
static const MigPolicy default_policy = { .version = 2 };

static void check_measured(uint8_t hash_algo, const MigPolicy *policy)
{
    MachineParams params = machine_defaults;
    uint8_t before[64], after[64];
    Machine *m;

    params.hash_algo = hash_algo;
    params.policy = policy ? *policy : params.policy;
    m = machine_new(&params);
    rim(m, before);
    machine_activate(m);
    rim(m, after);
    extend(before, policy ? policy : &default_policy,
           hash_algo == RMI_HASH_SHA_512);
    g_assert_cmpmem(before, 64, after, 64);
    machine_free(m);
}

static void test_a_policy_is_measured_last(void)
{
    const MigPolicy policy = policy_with_all();

    for (int sha512 = 0; sha512 < 2; sha512++) {
        check_measured(sha512, &policy);
        check_measured(sha512, &default_policy);
        check_measured(sha512, NULL);
    }
}

static void test_without_the_flag_nothing_is_added(void)
{
    for (int sha512 = 0; sha512 < 2; sha512++) {
        MachineParams params = machine_defaults;
        uint8_t before[64], after[64];
        Machine *m;

        params.hash_algo = sha512;
        params.ext_flags &= ~RMI_REALM_EXT_MIGRATION;
        m = machine_new(&params);
        rim(m, before);
        machine_activate(m);
        rim(m, after);
        g_assert_cmpmem(before, 64, after, 64);
        machine_free(m);
    }
}

/* ---- no RIM stands for two policies ---- */

enum { NO_FLAG, DEFAULT, FLAGS, ANCHORS, RULES, ALL, POLICIES };

/* A kind of Realm, and the RIMs that it has, before the policy and with it */
typedef struct Kind {
    MachineParams params;
    int policy;
    uint8_t base[64], rim[64];
} Kind;

enum { KINDS = POLICIES * 2 * 2 };

/* What lets in models with the tests' platform key */
static MigRule rule_for_models(void)
{
    MigRule rule = { .kind = MIG_RULE_SIGNER, .value_size = 32 };
    CoseKey *key = signer();
    GBytes *public = cose_key_public(key);

    crypto_hash(rule.value, g_bytes_get_data(public, NULL),
                g_bytes_get_size(public));
    g_bytes_unref(public);
    cose_key_free(key);
    return rule;
}

static MigPolicy policy_number(int n)
{
    MigPolicy policy = { 0 };

    switch (n) {
    case FLAGS:
        return policy_with(MIG_POLICY_ANY_LIFE_CYCLE, 0);
    case ANCHORS:
        return policy_with(0, 1, NULL);
    case RULES:
    case ALL:
        policy = policy_with(0, n == ALL, NULL);
        policy.num_rules = 1;
        policy.rules[0] = rule_for_models();
        return policy;
    default:
        return policy;          /* none is set */
    }
}

static void fill_kinds(Kind kinds[KINDS])
{
    for (int i = 0; i < KINDS; i++) {
        Kind *k = &kinds[i];
        Machine *m;

        k->policy = i / 4;
        k->params = machine_defaults;
        k->params.policy = policy_number(k->policy);
        k->params.hash_algo = i & 1 ? RMI_HASH_SHA_512 : RMI_HASH_SHA_256;
        k->params.ext_flags = (i & 2 ? RMI_REALM_EXT_MTE : 0) |
                              (k->policy == NO_FLAG
                               ? 0 : RMI_REALM_EXT_MIGRATION);
        m = machine_new(&k->params);
        rim(m, k->base);
        machine_activate(m);
        rim(m, k->rim);
        machine_free(m);
    }
}

static void test_rims_of_all_pairs_of_policies_differ(void)
{
    g_autofree Kind *kinds = g_new0(Kind, KINDS);

    fill_kinds(kinds);
    for (int i = 0; i < KINDS; i++) {
        for (int j = 0; j < KINDS; j++) {
            if (i != j) {
                g_assert_cmpint(memcmp(kinds[i].rim, kinds[j].rim, 64), !=,
                                0);
            }
        }
    }
}

static void claim_rim_base(Machine *m, const uint8_t base[64])
{
    RmmRealm *realm = realm_lock(m->rmm, m->rd);

    memcpy(realm->rim_base, base, 64);
    realm_unlock(realm);
}

/* The RIM of a Realm of kind @k from a source that claims @base for it */
static void import_with(const Kind *k, const uint8_t base[64],
                        uint8_t got[64])
{
    Machine *src = source_new(&k->params, 1), *dst = machine_new(&k->params);

    claim_rim_base(src, base);
    step_connect(src, dst);
    rim(dst, got);
    machine_free(src);
    machine_free(dst);
}

/* Only what has the policy of @k in it anyway, and was that before */
static void check_import(const Kind *k, const Kind kinds[KINDS],
                         const uint8_t base[64])
{
    uint8_t got[64], want[64];

    memcpy(want, base, 64);
    extend(want, k->params.policy.version ? &k->params.policy
                                          : &default_policy,
           k->params.hash_algo == RMI_HASH_SHA_512);
    import_with(k, base, got);
    g_assert_cmpmem(got, 64, want, 64);
    for (int i = 0; i < KINDS; i++) {
        if (memcmp(got, kinds[i].rim, 64) == 0) {
            g_assert_cmpint(kinds[i].policy, ==, k->policy);
            g_assert_cmpmem(kinds[i].base, 64, base, 64);
        }
    }
}

/*
 * A source can claim any RIM.  Whatever it claims, the destination's Realm has
 * not the RIM of one that may not migrate, or has another policy.
 */
static void test_no_import_gives_the_rim_of_another_policy(void)
{
    g_autofree Kind *kinds = g_new0(Kind, KINDS);
    const uint8_t zero[64] = { 0 };

    fill_kinds(kinds);
    for (int i = 0; i < KINDS; i++) {
        const Kind *k = &kinds[i];

        if (k->policy == NO_FLAG) {
            continue;
        }
        check_import(k, kinds, zero);
        for (int j = 0; j < KINDS; j++) {
            if (kinds[j].params.hash_algo == k->params.hash_algo) {
                check_import(k, kinds, kinds[j].base);
                check_import(k, kinds, kinds[j].rim);
            }
        }
    }
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

    OK(machine_prepare(src, dst));
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
    OK(machine_prepare(src, dst));
    REFUSES(dst, MIG(dst, MIG_OFFER, NS_BLOB(0), MIG_MAX_HELLO),
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
    /* One that sends pages of zeros whole */
    g_assert_cmphex(migrate_between(0, 5, 0, 1), ==, MIG_FEATURE_COMPACT);
    g_assert_cmphex(migrate_between(0, 1, 0, 5), ==, MIG_FEATURE_COMPACT);
    g_assert_cmphex(migrate_between(0, 5, 0, 4), ==, MIG_FEATURE_ZERO);
    g_assert_cmphex(migrate_between(0, 5, 0, 5 | future), ==,
                    MIG_FEATURE_COMPACT | MIG_FEATURE_ZERO);
}

static void test_a_policy_forbids_lengths_that_tell_whatever_is_offered(void)
{
    const uint64_t both = MIG_FEATURE_COMPACT | MIG_FEATURE_ZERO;
    const MigPolicy plain = policy_with(0, 0);
    Machine *src = release(true, 0, both, &plain);
    Machine *dst = release(false, 0, both, &plain);
    Record *offer;

    OK(machine_prepare(src, dst));
    OK(machine_offer(dst, &offer));
    g_assert_cmphex(machine_session(dst)->features, ==, 0);
    /* A destination that offers it all the same */
    ((MigHello *)offer->data)->features = both;
    step_sign_offer(dst, offer);
    OK(machine_accept(src, offer));
    g_assert_cmphex(machine_session(src)->features, ==, 0);
    g_byte_array_unref(offer);
    machine_free(src);
    machine_free(dst);
}

/* The hello at the start of @begin once more, signed by @src */
static void sign_answer(Machine *src, Record *begin)
{
    const size_t behind = bundle_size(0, sizeof(MigImmutable));
    g_autofree uint8_t *bundle = g_memdup2(begin->data + begin->len - behind,
                                           behind);
    MigHelloRecord r;

    memcpy(&r.hello, begin->data, sizeof(r.hello));
    g_assert_cmpint(session_sign(src->rmm, &r, &machine_session(src)->offer),
                    ==, 0);
    g_byte_array_set_size(begin, 0);
    g_byte_array_append(begin, (uint8_t *)&r, r.hello.size);
    g_byte_array_append(begin, bundle, behind);
}

/* As from a trusted source that does not keep to the rules */
static void refuse_answer(const MigPolicy *policy, uint16_t version,
                          uint64_t features, MigCause cause)
{
    Machine *src = release(true, 0, 1, policy);
    Machine *dst = release(false, 0, 1, policy);
    Record *begin;

    OK(machine_connect(src, dst, &begin));
    ((MigHello *)begin->data)->version = version;
    ((MigHello *)begin->data)->features = features;
    sign_answer(src, begin);
    g_assert_cmphex(machine_receive(dst, begin), ==, REFUSED(cause));
    g_assert_cmpint(machine_state(dst), ==, REALM_FAILED);
    g_byte_array_unref(begin);
    machine_free(src);
    machine_free(dst);
}

static void test_a_session_stays_inside_of_what_was_offered(void)
{
    const MigPolicy plain = policy_with(0, 0);

    refuse_answer(&plain, 0x0201, 0, MIG_CAUSE_VERSION);
    refuse_answer(&plain, 0x0300, 0, MIG_CAUSE_VERSION);
    refuse_answer(&plain, 0x0100, 0, MIG_CAUSE_VERSION);
    refuse_answer(&plain, 0x0000, 0, MIG_CAUSE_VERSION);
    refuse_answer(&plain, 0x0200, MIG_FEATURE_COMPACT, MIG_CAUSE_FEATURES);
    refuse_answer(&plain, 0x0200, MIG_FEATURE_ZERO, MIG_CAUSE_FEATURES);
    refuse_answer(&plain, 0x0200, 1ull << 63, MIG_CAUSE_FEATURES);
}

/* Both sides see to it: the other one may not have the feature, or cheat. */
static void test_a_policy_can_require_a_feature(void)
{
    MigPolicy policy = policy_with(MIG_POLICY_COMPACT, 0);
    Machine *src, *dst;
    Record *offer;

    policy.required = MIG_FEATURE_COMPACT;
    for (int has = 0; has < 4; has++) {
        src = release(true, 0, has & 1, &policy);
        dst = release(false, 0, has >> 1, &policy);
        OK(machine_prepare(src, dst));
        OK(machine_offer(dst, &offer));
        if (has == 3) {
            OK(machine_accept(src, offer));
        } else {
            REFUSES(src, machine_accept(src, offer),
                    REFUSED(MIG_CAUSE_FEATURES));
        }
        g_byte_array_unref(offer);
        machine_free(src);
        machine_free(dst);
    }
    refuse_answer(&policy, 0x0200, 0, MIG_CAUSE_FEATURES);
}

static void test_another_major_version_is_refused(void)
{
    static const uint16_t versions[] = { 0x0100, 0x0300, 0xff00 };
    Machine *src = source_new(&machine_defaults, 1);
    Machine *dst = machine_new(&machine_defaults);
    Record *offer;

    OK(machine_prepare(src, dst));
    OK(machine_offer(dst, &offer));
    for (size_t i = 0; i < G_N_ELEMENTS(versions); i++) {
        ((MigHello *)offer->data)->version = versions[i];
        step_sign_offer(dst, offer);
        REFUSES(src, machine_accept(src, offer),
                REFUSED(MIG_CAUSE_VERSION));
    }
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
    TEST(numbers_of_a_policy_are_bounded);
    TEST(kinds_and_sizes_of_a_policy_are_those_of_the_text);
    TEST(flags_of_a_policy_go_together);
    TEST(a_policy_of_another_version_is_refused);
    TEST(a_policy_is_set_once_and_before_the_start);
    TEST(a_policy_is_measured_last);
    TEST(without_the_flag_nothing_is_added);
    TEST(rims_of_all_pairs_of_policies_differ);
    TEST(no_import_gives_the_rim_of_another_policy);
    TEST(without_anchors_only_the_own_key_is_trusted);
    TEST(anchors_are_trusted_and_nothing_else);
    TEST(each_of_eight_anchors_is_trusted);
    TEST(the_models_own_token_is_not_secured);
    TEST(without_a_platform_key_nothing_migrates);
    TEST(releases_of_one_major_version_migrate_both_ways);
    TEST(a_policy_forbids_lengths_that_tell_whatever_is_offered);
    TEST(a_session_stays_inside_of_what_was_offered);
    TEST(a_policy_can_require_a_feature);
    TEST(another_major_version_is_refused);
    g_test_add_func("/policy/no_iv_is_used_twice", oracle_check);
    return g_test_run();
}
