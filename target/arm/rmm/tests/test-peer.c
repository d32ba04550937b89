/*
 * Which platforms a policy lets in, by what their tokens say
 *
 * Purpose: most tests here sign a payload that they have made, with the key
 * that the policy trusts, and look at what policy_check_peer makes of it.  The
 * others are whole exchanges.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include <gnutls/x509.h>

#include "cbor-make.h"
#include "mig-oracle.h"
#include "mig-steps.h"
#include "policy.h"
#include "rmm-internal.h"
#include "session.h"
#include "test-keys.h"
#include "token.h"

/* ---- tokens that a test signs ---- */

/* One software component; what is NULL or 0 is not there. */
typedef struct Piece {
    const char *type, *version;
    uint8_t measurement, signer;        /* all of their bytes */
    size_t measurement_size, signer_size;
    int twice;                  /* this key comes once more */
    bool odd;                   /* and others that nobody knows */
} Piece;

static const Piece good_piece = {
    .type = "RMM", .version = "1.2.3", .measurement = 0xaa, .signer = 0xbb,
    .measurement_size = 32, .signer_size = 32,
};

typedef struct Claims {
    int lifecycle;              /* -1: no claim */
    const char *profile;        /* NULL: no claim */
    size_t challenge_size, id_size;
    const Piece *pieces;        /* NULL: no claim */
    size_t num_pieces;
    int twice;                  /* this claim comes once more */
    bool odd_claims, cut, longer;
} Claims;

static const Claims good_claims = {
    .lifecycle = 0x3000, .profile = "tag:arm.com,2023:cca_platform#1.0.0",
    .challenge_size = 32, .id_size = 32,
    .pieces = &good_piece, .num_pieces = 1,
};

enum { CHALLENGE = 10, PROFILE = 265, LIFECYCLE = 2395, ID = 2396,
       COMPONENTS = 2399 };
enum { TYPE = 1, MEASUREMENT = 2, VERSION = 4, SIGNER = 5, HASH = 6 };

static cbor_item_t *fill(uint8_t byte, size_t size)
{
    uint8_t data[128];

    g_assert_cmpuint(size, <=, sizeof(data));
    memset(data, byte, size);
    return cbor_make_bytes(data, size);
}

static cbor_item_t *piece_entry(const Piece *p, int key)
{
    switch (key) {
    case TYPE:
        return cbor_make_text(p->type);
    case MEASUREMENT:
        return fill(p->measurement, p->measurement_size);
    case VERSION:
        return cbor_make_text(p->version);
    default:
        return fill(p->signer, p->signer_size);
    }
}

static bool piece_has(const Piece *p, int key)
{
    switch (key) {
    case TYPE:
        return p->type;
    case MEASUREMENT:
        return p->measurement_size;
    case VERSION:
        return p->version;
    default:
        return p->signer_size;
    }
}

static cbor_item_t *make_piece(const Piece *p)
{
    static const int keys[] = { SIGNER, TYPE, VERSION, MEASUREMENT };
    cbor_item_t *map = cbor_make_map(12);

    if (p->odd) {
        cbor_item_t *list = cbor_make_array(1);

        cbor_append(list, cbor_make_map(0));
        cbor_put(map, -70000, list);
        cbor_put(map, HASH, cbor_make_text("sha-256"));
        cbor_put(map, HASH, cbor_make_int(7));  /* not ours: may repeat */
    }
    for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
        if (piece_has(p, keys[i])) {
            cbor_put(map, keys[i], piece_entry(p, keys[i]));
        }
    }
    if (p->twice) {
        cbor_put(map, p->twice, piece_entry(p, p->twice));
    }
    return map;
}

static cbor_item_t *claim(const Claims *c, int key, const uint8_t challenge[32])
{
    uint8_t wide[40] = { 0 };
    cbor_item_t *list;

    switch (key) {
    case CHALLENGE:
        memcpy(wide, challenge, 32);
        return cbor_make_bytes(wide, c->challenge_size);
    case PROFILE:
        return cbor_make_text(c->profile);
    case LIFECYCLE:
        return cbor_make_int(c->lifecycle);
    case ID:
        return fill(0x1d, c->id_size);
    default:
        list = cbor_make_array(c->num_pieces);
        for (size_t i = 0; i < c->num_pieces; i++) {
            cbor_append(list, make_piece(&c->pieces[i]));
        }
        return list;
    }
}

static cbor_item_t *make_claims(const Claims *c, const uint8_t challenge[32])
{
    cbor_item_t *map = cbor_make_map(12), *list;

    cbor_put(map, ID, claim(c, ID, challenge));
    if (c->pieces) {
        cbor_put(map, COMPONENTS, claim(c, COMPONENTS, challenge));
    }
    if (c->odd_claims) {
        list = cbor_make_array(2);
        cbor_append(list, cbor_make_map(0));
        cbor_append(list, cbor_make_text("anything"));
        cbor_put(map, -75000, list);
        cbor_put(map, 2400, cbor_make_text("https://verifier.example"));
    }
    if (c->profile) {
        cbor_put(map, PROFILE, claim(c, PROFILE, challenge));
    }
    if (c->lifecycle >= 0) {
        cbor_put(map, LIFECYCLE, claim(c, LIFECYCLE, challenge));
    }
    if (c->twice) {
        cbor_put(map, c->twice, claim(c, c->twice, challenge));
    }
    cbor_put(map, CHALLENGE, claim(c, CHALLENGE, challenge));
    return map;
}

static GBytes *make_payload(const Claims *c, const uint8_t challenge[32])
{
    GByteArray *payload =
        g_bytes_unref_to_array(cbor_finish(make_claims(c, challenge)));

    if (c->longer) {
        g_byte_array_append(payload, (const uint8_t *)"", 1);
    }
    if (c->cut) {
        g_byte_array_set_size(payload, payload->len - 1);
    }
    return g_byte_array_free_to_bytes(payload);
}

static CoseKey *signer(void)
{
    CoseKey *key = cose_key_new(platform_der, sizeof(platform_der));

    g_assert_nonnull(key);
    return key;
}

/* What one with a policy and a platform makes of the token with @payload */
static MigCause judge_payload(const MigPolicy *policy, uint16_t lifecycle,
                              GBytes *payload, const uint8_t challenge[32])
{
    CoseKey *own = signer();
    GBytes *token = cose_sign1(own, payload);
    uint8_t point[COSE_POINT_SIZE];
    const PolicyPeer peer = {
        .key = point,
        .token = g_bytes_get_data(token, NULL),
        .token_size = g_bytes_get_size(token),
    };
    TokenPlatform claims;
    MigCause cause;

    g_assert_cmpuint(peer.token_size, <=, MIG_MAX_TOKEN);
    cose_key_point(own, point);
    cause = policy_check_peer(policy, own, lifecycle, challenge, &peer,
                              &claims);
    cose_key_free(own);
    g_bytes_unref(token);
    return cause;
}

static MigCause judge_on(uint16_t lifecycle, const MigPolicy *policy,
                         const Claims *c)
{
    const uint8_t challenge[32] = { 1, 2, 3 };

    return judge_payload(policy, lifecycle, make_payload(c, challenge),
                         challenge);
}

/* On a model, whose own life cycle is not secured */
static MigCause judge(const MigPolicy *policy, const Claims *c)
{
    return judge_on(0, policy, c);
}

static MigPolicy policy_of(uint32_t flags)
{
    const MigPolicy policy = {
        .version = MIG_POLICY_VERSION, .flags = flags
    };

    return policy;
}

static Claims with_pieces(const Piece *pieces, size_t num)
{
    Claims c = good_claims;

    c.pieces = pieces;
    c.num_pieces = num;
    return c;
}

/* ---- the form of tokens ---- */

static void test_a_token_needs_its_claims(void)
{
    static const int keys[] = { CHALLENGE, PROFILE, LIFECYCLE, ID,
                                COMPONENTS };
    const MigPolicy policy = policy_of(0);
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
    BAD(pieces, NULL, MIG_CAUSE_PEER_TOKEN);
    BAD(cut, true, MIG_CAUSE_PEER_TOKEN);
    BAD(longer, true, MIG_CAUSE_PEER_TOKEN);
    for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
        BAD(twice, keys[i], MIG_CAUSE_PEER_TOKEN);
    }
#undef BAD
}

static void test_a_component_needs_its_form(void)
{
    static const int keys[] = { TYPE, MEASUREMENT, VERSION, SIGNER };
    static const size_t sizes[] = { 0, 1, 31, 33, 47, 48, 49, 63, 64, 65 };
    const MigPolicy policy = policy_of(0);
    Piece p[2] = { good_piece, good_piece };
    const Claims c = with_pieces(p, 2);
    bool known;

    g_assert_cmpint(judge(&policy, &c), ==, 0);
    for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
        p[1] = good_piece;
        p[1].twice = keys[i];
        g_assert_cmpint(judge(&policy, &c), ==, MIG_CAUSE_PEER_TOKEN);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        known = sizes[i] == 48 || sizes[i] == 64;
        p[1] = good_piece;
        p[1].measurement_size = sizes[i];               /* 0: none */
        g_assert_cmpint(judge(&policy, &c), ==,
                        known ? 0 : MIG_CAUSE_PEER_TOKEN);
        p[1] = good_piece;
        p[1].signer_size = sizes[i];
        g_assert_cmpint(judge(&policy, &c), ==,
                        known || !sizes[i] ? 0 : MIG_CAUSE_PEER_TOKEN);
    }
    p[1] = good_piece;
    p[1].odd = true;
    g_assert_cmpint(judge(&policy, &c), ==, 0);
    p[1] = (Piece) { .measurement_size = 32 };          /* nothing else */
    g_assert_cmpint(judge(&policy, &c), ==, 0);
    p[1].type = p[1].version = "";
    g_assert_cmpint(judge(&policy, &c), ==, 0);
    p[1].twice = TYPE;                                  /* no less twice */
    g_assert_cmpint(judge(&policy, &c), ==, MIG_CAUSE_PEER_TOKEN);
}

/* 32 small ones, or one more: where they end is not where the token ends. */
static void test_components_are_32_at_most(void)
{
    const MigPolicy policy = policy_of(0);
    Piece p[33];

    for (size_t i = 0; i < 33; i++) {
        p[i] = (Piece) { .measurement_size = 32 };
    }
    for (size_t n = 0; n <= 33; n++) {
        const Claims c = with_pieces(p, n);

        g_assert_cmpint(judge(&policy, &c), ==,
                        n <= 32 ? 0 : MIG_CAUSE_PEER_TOKEN);
    }
}

/* Component lists in hex, in the place of the claim's value */
static MigCause judge_list(const char *hex)
{
    const uint8_t challenge[32] = { 1, 2, 3 };
    const MigPolicy policy = policy_of(0);
    Claims c = good_claims;
    GByteArray *payload;
    const char *at;

    c.pieces = NULL;
    payload = g_bytes_unref_to_array(make_payload(&c, challenge));
    payload->data[0]++;                         /* one entry more */
    g_byte_array_append(payload, (const uint8_t *)"\x19\x09\x5f", 3);
    for (at = hex; *at; at += 2) {
        uint8_t byte = g_ascii_xdigit_value(at[0]) << 4 |
                       g_ascii_xdigit_value(at[1]);

        g_byte_array_append(payload, &byte, 1);
    }
    return judge_payload(&policy, 0, g_byte_array_free_to_bytes(payload),
                         challenge);
}

#define HASH32 "5820" "0102030405060708" "0102030405060708" \
               "0102030405060708" "0102030405060708"

static void test_a_component_list_has_one_encoding(void)
{
    static const char *const good[] = {
        "80", "81a102" HASH32, "82a102" HASH32 "a102" HASH32,
        "81a202" HASH32 "0160", "81a20160" "02" HASH32,
        "81a202" HASH32 "3b7fffffffffffffff00", "81a202" HASH32 "0300",
    };
    static const char *const bad[] = {
        "", "a0", "00", "f6", "60",             /* not a list */
        "81", "8100", "8180", "8160", "81f6",   /* of no map */
        "81a0",                                 /* without a measurement */
        "9fa102" HASH32 "ff",                   /* indefinite */
        "81bf02" HASH32 "ff", "9801a102" HASH32, "81b80102" HASH32,
        "81a1025f" HASH32 "ff",
        "81a10278" "20" "0102030405060708" "0102030405060708"
        "0102030405060708" "0102030405060708",  /* text */
        "81a202" HASH32 "0140",                 /* the type in bytes */
        "81a202" HASH32 "0101", "81a202" HASH32 "01f6",
        "81a202" HASH32 "0400", "81a202" HASH32 "0440",
        "81a202" HASH32 "0560",
        "81a202" HASH32 "6000",                 /* a key that is none */
        "81a202" HASH32 "f600", "81a202" HASH32 "4000",
        "81a202" HASH32 "1b800000000000000000",
        "81a202" HASH32 "f94000" "00",
        "81a3" "02" HASH32,                     /* cut */
        "82a102" HASH32, "81a102" HASH32 "00",  /* longer */
        "9bffffffffffffffff", "81bbffffffffffffffff",
        "81a1025b7fffffffffffffff",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
        g_test_message("good %s", good[i]);
        g_assert_cmpint(judge_list(good[i]), ==, 0);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_test_message("bad %s", bad[i]);
        g_assert_cmpint(judge_list(bad[i]), ==, MIG_CAUSE_PEER_TOKEN);
    }
}

/* ---- life cycles ---- */

static const int lifecycles[] = {
    0, 0x1000, 0x2fff, 0x3000, 0x3001, 0x30ff, 0x3100, 0x4000, 0xffff,
};

static bool secured(int lifecycle)
{
    return lifecycle >> 8 == 0x30;
}

static void check_lifecycles(uint32_t flags, int own, int peer)
{
    const MigPolicy policy = policy_of(flags);
    const bool wanted = flags == MIG_POLICY_SECURED || (!flags && secured(own));
    Claims c = good_claims;

    c.lifecycle = peer;
    g_assert_cmpint(judge_on(own, &policy, &c), ==,
                    wanted && !secured(peer) ? MIG_CAUSE_PEER_LIFECYCLE : 0);
}

static void test_a_secured_platform_wants_a_secured_peer(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(lifecycles); i++) {
        for (size_t j = 0; j < G_N_ELEMENTS(lifecycles); j++) {
            check_lifecycles(0, lifecycles[i], lifecycles[j]);
            check_lifecycles(MIG_POLICY_SECURED, lifecycles[i],
                             lifecycles[j]);
            check_lifecycles(MIG_POLICY_ANY_LIFE_CYCLE, lifecycles[i],
                             lifecycles[j]);
        }
    }
}

/* ---- implementation, exchange ---- */

static void test_an_implementation_can_be_asked_for(void)
{
    MigPolicy policy = policy_of(MIG_POLICY_IMPLEMENTATION);

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
    const MigPolicy policy = policy_of(0);
    uint8_t challenge[32] = { 1, 2, 3 }, other[32];

    for (int i = 0; i < 32; i++) {
        memcpy(other, challenge, 32);
        other[i] ^= 0x40;
        g_assert_cmpint(judge_payload(&policy, 0,
                                      make_payload(&good_claims, challenge),
                                      other), ==, MIG_CAUSE_PEER_CHALLENGE);
    }
}

/*
 * A peer whose hello names the key @named, and whose token is by @key, to one
 * with the key @own
 */
static MigCause judge_keys(const CoseKey *own, const CoseKey *named,
                           const CoseKey *key)
{
    const MigPolicy policy = policy_of(0);
    const uint8_t challenge[32] = { 1, 2, 3 };
    GBytes *token = cose_sign1(key, make_payload(&good_claims, challenge));
    uint8_t point[COSE_POINT_SIZE];
    const PolicyPeer peer = { point, g_bytes_get_data(token, NULL),
                              g_bytes_get_size(token), NULL, 0 };
    TokenPlatform claims;
    MigCause cause;

    cose_key_point(named, point);
    cause = policy_check_peer(&policy, own, 0, challenge, &peer, &claims);
    g_bytes_unref(token);
    return cause;
}

static void test_the_key_that_is_trusted_signs_the_token(void)
{
    CoseKey *own = signer(), *other = cose_key_new(rak_der, sizeof(rak_der));

    g_assert_cmpint(judge_keys(own, own, own), ==, 0);
    g_assert_cmpint(judge_keys(own, own, other), ==,
                    MIG_CAUSE_PEER_SIGNATURE);
    g_assert_cmpint(judge_keys(own, other, own), ==,
                    MIG_CAUSE_PEER_SIGNATURE);
    g_assert_cmpint(judge_keys(own, other, other), ==,
                    MIG_CAUSE_PEER_SIGNATURE);
    /* No anchor and no key do not mean anybody. */
    g_assert_cmpint(judge_keys(NULL, own, own), ==, MIG_CAUSE_PLATFORM_KEY);
    cose_key_free(own);
    cose_key_free(other);
}

/* ---- rules ---- */

static MigRule rule_of(int kind, const char *type, uint8_t value, size_t size)
{
    MigRule rule = { .kind = kind, .value_size = size };

    g_assert_cmpuint(strlen(type), <=, 23);
    memcpy(rule.type, type, strlen(type));
    memset(rule.value, value, size);
    return rule;
}

static MigRule signed_by(const char *type, uint8_t value, uint32_t a,
                         uint32_t b, uint32_t c, uint32_t d)
{
    MigRule rule = rule_of(MIG_RULE_SIGNER, type, value, 32);
    const uint32_t version[4] = { a, b, c, d };

    memcpy(rule.version, version, sizeof(version));
    return rule;
}

static MigRule measured(const char *type, uint8_t value)
{
    return rule_of(MIG_RULE_MEASUREMENT, type, value, 32);
}

/* What rules make of these components */
static bool allows(const MigRule *rules, size_t num_rules,
                   const Piece *pieces, size_t num_pieces)
{
    const Claims c = with_pieces(pieces, num_pieces);
    MigPolicy policy = policy_of(0);
    MigCause cause;

    policy.num_rules = num_rules;
    memcpy(policy.rules, rules, num_rules * sizeof(*rules));
    g_assert_true(policy_valid(&policy));
    cause = judge(&policy, &c);
    g_assert_true(cause == 0 || cause == MIG_CAUSE_PEER_SOFTWARE);
    return cause == 0;
}

static Piece piece_of(const char *type, uint8_t measurement, uint8_t signer,
                      const char *version)
{
    return (Piece) {
        .type = type, .version = version,
        .measurement = measurement, .measurement_size = 32,
        .signer = signer, .signer_size = signer ? 32 : 0,
    };
}

static void test_without_rules_all_software_is_let_in(void)
{
    const Piece p[] = { piece_of("RMM", 1, 2, "0.1"),
                        piece_of(NULL, 3, 0, "") };

    g_assert_true(allows(NULL, 0, p, 2));
    g_assert_true(allows(NULL, 0, p, 0));
}

static void test_a_version_is_compared_number_by_number(void)
{
    static const struct {
        const char *version;
        uint32_t lowest[4];
        bool suffices;
    } cases[] = {
        { "1.2.3.4", { 1, 2, 3, 4 }, true },
        { "1.2.3.4", { 1, 2, 3, 5 }, false },
        { "1.2.3.5", { 1, 2, 3, 4 }, true },
        { "1.2.4", { 1, 2, 3, 9 }, true },
        { "1.2.3", { 1, 2, 3, 0 }, true },
        { "1.2.3", { 1, 2, 3, 1 }, false },
        { "2", { 1, 9, 9, 9 }, true },
        { "1", { 1, 0, 0, 0 }, true },
        { "1", { 1, 0, 0, 1 }, false },
        { "0", { 0, 0, 0, 0 }, true },
        { "1.10", { 1, 9, 0, 0 }, true },       /* not as text */
        { "1.9", { 1, 10, 0, 0 }, false },
        { "01.002", { 1, 2, 0, 0 }, true },
        { "1.2-rc1", { 1, 2, 0, 0 }, true },
        { "1.2-", { 1, 2, 0, 0 }, true },
        { "1-2.9", { 1, 1, 0, 0 }, false },
        { "1.2.3.4-x.5", { 1, 2, 3, 4 }, true },
        { "4294967295", { UINT32_MAX, 0, 0, 0 }, true },
        { "0.0.0.4294967295", { 0, 0, 0, UINT32_MAX }, true },
        { "00000000000000000000000000000001", { 1, 0, 0, 0 }, true },
        /* No versions; the lowest one of all is not asked for either. */
        { "4294967296", { 0 }, false },
        { "18446744073709551617", { 0 }, false },
        { "42949672960", { 0 }, false },
        { "99999999999999999999999999", { 0 }, false },
        { "1.4294967296", { 0 }, false },
        { "", { 0 }, false },
        { "-1", { 0 }, false },
        { "1.", { 0 }, false },
        { ".1", { 0 }, false },
        { "1..2", { 0 }, false },
        { "1.-2", { 0 }, false },
        { "1.2.3.4.5", { 0 }, false },
        { "1.2.3.4.", { 0 }, false },
        { "v1", { 0 }, false },
        { "1.2rc1", { 0 }, false },
        { "1.2 ", { 0 }, false },
        { " 1", { 0 }, false },
        { "+1", { 0 }, false },
        { "1,2", { 0 }, false },
        { "0x10", { 0 }, false },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        const uint32_t *l = cases[i].lowest;
        const MigRule rule = signed_by("RMM", 7, l[0], l[1], l[2], l[3]);
        const Piece p = piece_of("RMM", 1, 7, cases[i].version);

        g_test_message("'%s'", cases[i].version);
        g_assert_true(allows(&rule, 1, &p, 1) == cases[i].suffices);
    }
}

static void test_a_signer_is_the_one_that_a_rule_names(void)
{
    const MigRule rule = signed_by("RMM", 7, 0, 0, 0, 0);
    MigRule longer = rule_of(MIG_RULE_SIGNER, "RMM", 7, 48);
    Piece p = piece_of("RMM", 7, 7, "1");

    g_assert_true(allows(&rule, 1, &p, 1));
    g_assert_false(allows(&longer, 1, &p, 1));
    p.signer_size = 48;                 /* begins as the rule's */
    g_assert_false(allows(&rule, 1, &p, 1));
    g_assert_true(allows(&longer, 1, &p, 1));
    p = piece_of("RMM", 7, 8, "1");
    g_assert_false(allows(&rule, 1, &p, 1));
    p = piece_of("RMM", 7, 0, "1");     /* none */
    g_assert_false(allows(&rule, 1, &p, 1));
    p = piece_of("RMM", 7, 7, NULL);    /* no version */
    g_assert_false(allows(&rule, 1, &p, 1));
}

static void test_a_measurement_is_the_one_that_a_rule_names(void)
{
    const MigRule one = measured("RMM", 7);
    const MigRule list[] = { one, measured("RMM", 8), measured("RMM", 9) };
    MigRule longer = rule_of(MIG_RULE_MEASUREMENT, "RMM", 7, 64);
    Piece p = piece_of("RMM", 7, 0, NULL);

    g_assert_true(allows(&one, 1, &p, 1));
    g_assert_false(allows(&longer, 1, &p, 1));
    p.measurement_size = 64;
    g_assert_false(allows(&one, 1, &p, 1));
    g_assert_true(allows(&longer, 1, &p, 1));
    for (int i = 5; i < 12; i++) {
        p = piece_of("RMM", i, 7, "1");
        g_assert_true(allows(&one, 1, &p, 1) == (i == 7));
        g_assert_true(allows(list, 3, &p, 1) == (i >= 7 && i <= 9));
    }
}

/* Either of two kinds of rules about one type will do. */
static void test_one_rule_with_its_type_is_enough(void)
{
    const MigRule rules[] = { signed_by("RMM", 7, 2, 0, 0, 0),
                              measured("RMM", 9) };
    const Piece by_signer = piece_of("RMM", 1, 7, "2.1");
    const Piece by_measurement = piece_of("RMM", 9, 7, "1.0");
    const Piece by_none = piece_of("RMM", 1, 7, "1.0");
    const Piece both[] = { by_signer, by_measurement };
    const Piece not_all[] = { by_signer, by_none };

    g_assert_true(allows(rules, 2, &by_signer, 1));
    g_assert_true(allows(rules, 2, &by_measurement, 1));
    g_assert_false(allows(rules, 2, &by_none, 1));
    g_assert_true(allows(rules, 2, both, 2));
    g_assert_false(allows(rules, 2, not_all, 2));
}

static void test_rules_without_a_type_are_about_the_other_types(void)
{
    const MigRule rules[] = { measured("RMM", 9),
                              signed_by("", 7, 1, 0, 0, 0) };
    const Piece rmm = piece_of("RMM", 9, 0, NULL);
    const Piece bad_rmm = piece_of("RMM", 1, 7, "1");   /* signed as others */
    const Piece monitor = piece_of("BL31", 1, 7, "1");
    const Piece untyped = piece_of(NULL, 1, 7, "1");
    const Piece empty = piece_of("", 1, 7, "1");
    const Piece bad = piece_of("BL31", 9, 8, "1");      /* measured as RMM */
    const Piece bad_untyped = piece_of(NULL, 9, 8, "1");
    const Piece good_all[] = { rmm, monitor, untyped, empty };

    g_assert_true(allows(rules, 2, &rmm, 1));
    g_assert_true(allows(rules, 2, good_all, 4));
#define WITH(other) ((const Piece[]) { rmm, other })
    g_assert_false(allows(rules, 2, &bad_rmm, 1));
    g_assert_false(allows(rules, 2, WITH(bad_rmm), 2));
    g_assert_false(allows(rules, 2, WITH(bad), 2));
    g_assert_false(allows(rules, 2, WITH(bad_untyped), 2));
    /* Without such rules, others may be anything. */
    g_assert_true(allows(rules, 1, WITH(bad), 2));
    g_assert_true(allows(rules, 1, WITH(bad_untyped), 2));
#undef WITH
}

static void test_for_each_type_there_is_a_component(void)
{
    const MigRule rules[] = { measured("RMM", 9), measured("BL31", 8) };
    const MigRule any = signed_by("", 7, 0, 0, 0, 0);
    const Piece p[] = { piece_of("RMM", 9, 0, NULL),
                        piece_of("BL31", 8, 0, NULL),
                        piece_of("SCP", 1, 0, NULL) };
    const Piece other = piece_of("SCP", 1, 7, "1");

    g_assert_true(allows(rules, 2, p, 2));
    g_assert_true(allows(rules, 2, p, 3));
    g_assert_false(allows(rules, 2, p, 1));
    g_assert_false(allows(rules, 2, p + 1, 2));
    g_assert_false(allows(rules, 2, p, 0));
    /* A rule without a type wants none, but not nothing at all. */
    g_assert_true(allows(&any, 1, &other, 1));
    g_assert_false(allows(&any, 1, p, 0));
}

static void test_types_are_equal_or_not(void)
{
    static const char *const others[] = {
        "RM", "RMMX", "rmm", "RMM ", " RMM", "", NULL,
        "RMM model and more than 23 characters",
    };
    const MigRule rule = measured("RMM", 9);
    const MigRule longest = measured("A-type-of-23-characters", 9);
    Piece p = piece_of("RMM", 9, 0, NULL);

    g_assert_true(allows(&rule, 1, &p, 1));
    for (size_t i = 0; i < G_N_ELEMENTS(others); i++) {
        p = piece_of(others[i], 9, 0, NULL);
        g_assert_false(allows(&rule, 1, &p, 1));
    }
    p = piece_of("A-type-of-23-characters", 9, 0, NULL);
    g_assert_true(allows(&longest, 1, &p, 1));
    p.type = "A-type-of-23-characters+";
    g_assert_false(allows(&longest, 1, &p, 1));
}

/* As `allows`, for one piece in whose texts each '~' becomes a zero byte */
static bool allows_with_zeros(const MigRule *rule, const Piece *piece)
{
    const uint8_t challenge[32] = { 1, 2, 3 };
    const Claims c = with_pieces(piece, 1);
    GByteArray *payload = g_bytes_unref_to_array(make_payload(&c, challenge));
    MigPolicy policy = policy_of(0);
    unsigned zeros = 0;

    policy.num_rules = 1;
    policy.rules[0] = *rule;
    for (guint i = 0; i < payload->len; i++) {
        if (payload->data[i] == '~') {
            payload->data[i] = 0;
            zeros++;
        }
    }
    g_assert_cmpuint(zeros, ==, 1);
    return judge_payload(&policy, 0, g_byte_array_free_to_bytes(payload),
                         challenge) == 0;
}

/* CBOR's texts have a size, and no end at a zero byte. */
static void test_a_zero_byte_ends_neither_type_nor_version(void)
{
    const MigRule by_measurement = measured("RMM", 9);
    const MigRule by_signer = signed_by("RMM", 7, 1, 0, 0, 0);
    const MigRule any = signed_by("", 7, 1, 0, 0, 0);
    static const char *const types[] = { "RMM~", "RMM~x", "~RMM", "RM~M" };
    static const char *const versions[] = { "2~", "2~-1", "~2", "2.~1" };
    Piece p;

    for (size_t i = 0; i < G_N_ELEMENTS(types); i++) {
        p = piece_of(types[i], 9, 7, "2");
        g_assert_false(allows_with_zeros(&by_measurement, &p));
        g_assert_false(allows_with_zeros(&by_signer, &p));
        g_assert_true(allows_with_zeros(&any, &p));
    }
    for (size_t i = 0; i < G_N_ELEMENTS(versions); i++) {
        p = piece_of("RMM", 9, 7, versions[i]);
        g_assert_false(allows_with_zeros(&by_signer, &p));
        g_assert_false(allows_with_zeros(&any, &p));
        g_assert_true(allows_with_zeros(&by_measurement, &p));
    }
    p = piece_of("~RMM", 9, 8, "2");            /* not even to begin with */
    g_assert_false(allows_with_zeros(&any, &p));
}

/* In the order of the table in the text: each mends what came before. */
static void test_checks_of_a_peer_have_their_order(void)
{
    MigPolicy policy = policy_of(MIG_POLICY_SECURED |
                                 MIG_POLICY_IMPLEMENTATION);
    Claims c = good_claims;

    policy.num_rules = 1;
    policy.rules[0] = measured("RMM", 1);
    c.profile = "another";
    c.lifecycle = 0;
    g_assert_cmpint(judge(&policy, &c), ==, MIG_CAUSE_PEER_PROFILE);
    c.profile = good_claims.profile;
    g_assert_cmpint(judge(&policy, &c), ==, MIG_CAUSE_PEER_LIFECYCLE);
    c.lifecycle = 0x3000;
    g_assert_cmpint(judge(&policy, &c), ==, MIG_CAUSE_PEER_IMPLEMENTATION);
    memset(policy.implementation_id, 0x1d, 32);
    g_assert_cmpint(judge(&policy, &c), ==, MIG_CAUSE_PEER_SOFTWARE);
    policy.rules[0] = measured("RMM", 0xaa);
    g_assert_cmpint(judge(&policy, &c), ==, 0);
}

/* ---- whole exchanges ---- */

/* What one machine is, beside its policy */
typedef struct Site {
    uint16_t lifecycle;
    const char *version;        /* of its RMM; NULL: the model's own list */
    size_t (*certificates)(void *opaque, void *buf, size_t size);
} Site;

static void set_up_site(Machine *m, const Site *site, TokenComponent *rmm)
{
    m->rmm->platform.lifecycle = site->lifecycle;
    m->rmm->ops.certificates = site->certificates;
    if (site->version) {
        *rmm = (TokenComponent) { .type = "RMM model" };
        g_strlcpy(rmm->version, site->version, sizeof(rmm->version));
        m->rmm->platform.software = rmm;
        m->rmm->platform.num_software = 1;
    }
}

/* The result of ACCEPT, or else that of the import, with bit 32 */
static uint64_t meet(const MigPolicy *policy, const Site *source,
                     const Site *destination)
{
    MachineParams params = machine_defaults;
    TokenComponent rmm[2];
    Machine *src, *dst;
    Record *offer, *begin;
    uint64_t result;

    params.policy = *policy;
    src = source_new(&params, 1);
    dst = machine_new(&params);
    set_up_site(src, source, &rmm[0]);
    set_up_site(dst, destination, &rmm[1]);
    OK(machine_prepare(src, dst));
    OK(machine_offer(dst, &offer));
    result = machine_accept(src, offer);
    if (result == RMI_SUCCESS) {
        begin = machine_export(src, MIG_EXPORT_BEGIN, 0, &result);
        OK(result);
        result = machine_receive(dst, begin);
        g_assert_cmpint(machine_state(dst), ==, result == RMI_SUCCESS ?
                        REALM_IMPORT : REALM_FAILED);
        result |= result ? 1ull << 32 : 0;
        g_byte_array_unref(begin);
    } else {
        /* A refusal has changed nothing: it is asked once more. */
        REFUSES(src, machine_accept(src, offer), result);
    }
    g_byte_array_unref(offer);
    machine_free(src);
    machine_free(dst);
    return result;
}

#define AT_DESTINATION(cause) (REFUSED(cause) | 1ull << 32)

static void test_both_sides_look_at_the_life_cycle(void)
{
    static const Site hard = { .lifecycle = 0x3000 }, model = { 0 };
    const MigPolicy usual = policy_of(0);
    const MigPolicy secure = policy_of(MIG_POLICY_SECURED);
    const MigPolicy any = policy_of(MIG_POLICY_ANY_LIFE_CYCLE);

    OK(meet(&usual, &hard, &hard));
    OK(meet(&usual, &model, &model));
    g_assert_cmphex(meet(&usual, &hard, &model), ==,
                    REFUSED(MIG_CAUSE_PEER_LIFECYCLE));
    /* The source is a model and does not care; the destination does. */
    g_assert_cmphex(meet(&usual, &model, &hard), ==,
                    AT_DESTINATION(MIG_CAUSE_PEER_LIFECYCLE));
    OK(meet(&secure, &hard, &hard));
    g_assert_cmphex(meet(&secure, &model, &model), ==,
                    REFUSED(MIG_CAUSE_PEER_LIFECYCLE));
    g_assert_cmphex(meet(&secure, &model, &hard), ==,
                    AT_DESTINATION(MIG_CAUSE_PEER_LIFECYCLE));
    OK(meet(&any, &hard, &model));
    OK(meet(&any, &model, &hard));
}

/* The model's RMM, signed with the platform key of the tests */
static MigPolicy policy_for_models(uint32_t major, uint32_t minor)
{
    MigPolicy policy = policy_of(0);
    CoseKey *key = signer();
    GBytes *public = cose_key_public(key);

    policy.num_rules = 1;
    policy.rules[0] = signed_by("RMM model", 0, major, minor, 0, 0);
    crypto_hash(policy.rules[0].value, g_bytes_get_data(public, NULL),
                g_bytes_get_size(public));
    g_bytes_unref(public);
    cose_key_free(key);
    return policy;
}

static void test_both_sides_look_at_the_software(void)
{
    static const Site good = { .version = "1.2" }, old = { .version = "1.1" };
    const MigPolicy policy = policy_for_models(1, 2);

    OK(meet(&policy, &good, &good));
    g_assert_cmphex(meet(&policy, &good, &old), ==,
                    REFUSED(MIG_CAUSE_PEER_SOFTWARE));
    g_assert_cmphex(meet(&policy, &old, &good), ==,
                    AT_DESTINATION(MIG_CAUSE_PEER_SOFTWARE));
}

/* The model's own list: "1.0-rel0" is version 1.0 of a rule. */
static void test_a_rule_can_name_the_model(void)
{
    static const Site model = { 0 };
    const MigPolicy now = policy_for_models(1, 0);
    const MigPolicy later = policy_for_models(1, 1);

    OK(meet(&now, &model, &model));
    g_assert_cmphex(meet(&later, &model, &model), ==,
                    REFUSED(MIG_CAUSE_PEER_SOFTWARE));
}

/* ---- authorities ---- */

static GByteArray *chain;               /* of the platform's key */
static uint8_t authority[COSE_POINT_SIZE];

static size_t op_certificates(void *opaque, void *buf, size_t size)
{
    g_assert_cmpuint(chain->len, <=, size);
    memcpy(buf, chain->data, chain->len);
    return chain->len;
}

/* A chain whose last byte, of a signature, is another */
static size_t op_broken(void *opaque, void *buf, size_t size)
{
    size_t len = op_certificates(opaque, buf, size);

    ((uint8_t *)buf)[len - 1] ^= 1;
    return len;
}

static void add_certificate(gnutls_x509_privkey_t key, const char *name,
                            gnutls_x509_privkey_t issuer_key, bool ca)
{
    gnutls_x509_crt_t crt, issuer;
    gnutls_datum_t der;
    const char *err;

    g_assert_cmpint(gnutls_x509_crt_init(&crt), ==, 0);
    g_assert_cmpint(gnutls_x509_crt_init(&issuer), ==, 0);
    g_assert_cmpint(gnutls_x509_crt_set_dn(crt, name, &err), ==, 0);
    g_assert_cmpint(gnutls_x509_crt_set_dn(issuer, "CN=Root", &err), ==, 0);
    g_assert_cmpint(gnutls_x509_crt_set_key(issuer, issuer_key), ==, 0);
    g_assert_cmpint(gnutls_x509_crt_set_version(crt, 3), ==, 0);
    g_assert_cmpint(gnutls_x509_crt_set_serial(crt, "\x01", 1), ==, 0);
    g_assert_cmpint(gnutls_x509_crt_set_key(crt, key), ==, 0);
    g_assert_cmpint(gnutls_x509_crt_set_activation_time(crt, 1), ==, 0);
    g_assert_cmpint(gnutls_x509_crt_set_expiration_time(crt, 2), ==, 0);
    g_assert_cmpint(gnutls_x509_crt_set_basic_constraints(crt, ca, -1), ==, 0);
    g_assert_cmpint(gnutls_x509_crt_sign2(crt, issuer, issuer_key,
                                          GNUTLS_DIG_SHA384, 0), ==, 0);
    g_assert_cmpint(gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_DER, &der),
                    ==, 0);
    g_byte_array_append(chain, der.data, der.size);
    gnutls_free(der.data);
    gnutls_x509_crt_deinit(issuer);
    gnutls_x509_crt_deinit(crt);
}

static gnutls_x509_privkey_t import_key(const void *data, size_t size)
{
    gnutls_datum_t der = { (void *)data, size };
    gnutls_x509_privkey_t key;

    g_assert_cmpint(gnutls_x509_privkey_init(&key), ==, 0);
    g_assert_cmpint(gnutls_x509_privkey_import2(key, &der,
                                                GNUTLS_X509_FMT_DER, NULL, 0),
                    ==, 0);
    return key;
}

static void make_chain(void)
{
    g_autoptr(GBytes) root = machine_new_key();
    gnutls_x509_privkey_t root_key = import_key(g_bytes_get_data(root, NULL),
                                                g_bytes_get_size(root));
    gnutls_x509_privkey_t key = import_key(platform_der,
                                           sizeof(platform_der));

    chain = g_byte_array_new();
    add_certificate(key, "CN=Platform", root_key, false);
    add_certificate(root_key, "CN=Root", root_key, true);
    machine_key_point(root, authority);
    gnutls_x509_privkey_deinit(root_key);
    gnutls_x509_privkey_deinit(key);
}

static MigPolicy policy_with_anchor(int kind, const uint8_t key[96])
{
    MigPolicy policy = policy_of(0);

    policy.num_anchors = 1;
    policy.anchors[0].kind = kind;
    memcpy(policy.anchors[0].key, key, 96);
    return policy;
}

static void test_an_authority_vouches_for_both_sides(void)
{
    static const Site none = { 0 }, certified = { 0, NULL, op_certificates };
    static const Site broken = { 0, NULL, op_broken };
    const MigPolicy policy = policy_with_anchor(MIG_ANCHOR_AUTHORITY,
                                                authority);
    const uint64_t refused = REFUSED(MIG_CAUSE_PEER_SIGNATURE);

    OK(meet(&policy, &certified, &certified));
    g_assert_cmphex(meet(&policy, &certified, &none), ==, refused);
    g_assert_cmphex(meet(&policy, &certified, &broken), ==, refused);
    g_assert_cmphex(meet(&policy, &none, &certified), ==,
                    refused | 1ull << 32);
    g_assert_cmphex(meet(&policy, &broken, &certified), ==,
                    refused | 1ull << 32);
}

/* A key is an anchor of the kind that the policy says, and of no other. */
static void test_kinds_of_anchors_are_not_mixed_up(void)
{
    static const Site certified = { 0, NULL, op_certificates };
    uint8_t own[COSE_POINT_SIZE];
    MigPolicy policy;

    machine_key_point(NULL, own);
    policy = policy_with_anchor(MIG_ANCHOR_KEY, own);
    OK(meet(&policy, &certified, &certified));
    policy = policy_with_anchor(MIG_ANCHOR_AUTHORITY, own);
    g_assert_cmphex(meet(&policy, &certified, &certified), ==,
                    REFUSED(MIG_CAUSE_PEER_SIGNATURE));
    policy = policy_with_anchor(MIG_ANCHOR_KEY, authority);
    g_assert_cmphex(meet(&policy, &certified, &certified), ==,
                    REFUSED(MIG_CAUSE_PEER_SIGNATURE));
}

/* One that does not need certificates does not look at them. */
static void test_certificates_are_ignored_without_an_authority(void)
{
    static const Site none = { 0 }, broken = { 0, NULL, op_broken };
    const MigPolicy usual = policy_of(0);
    uint8_t own[COSE_POINT_SIZE];
    MigPolicy both;

    OK(meet(&usual, &broken, &broken));
    machine_key_point(NULL, own);
    both = policy_with_anchor(MIG_ANCHOR_KEY, own);
    OK(meet(&both, &broken, &none));
    both.num_anchors = 2;
    both.anchors[1].kind = MIG_ANCHOR_AUTHORITY;
    memcpy(both.anchors[1].key, authority, sizeof(authority));
    OK(meet(&both, &broken, &none));
    memcpy(both.anchors[0].key, authority, sizeof(authority));
    g_assert_cmphex(meet(&both, &none, &none), ==,
                    REFUSED(MIG_CAUSE_PEER_SIGNATURE));
}

#define TEST(name) g_test_add_func("/peer/" #name, test_##name)

int main(int argc, char **argv)
{
    int result;

    g_test_init(&argc, &argv, NULL);
    make_chain();
    TEST(a_token_needs_its_claims);
    TEST(a_component_needs_its_form);
    TEST(components_are_32_at_most);
    TEST(a_component_list_has_one_encoding);
    TEST(a_secured_platform_wants_a_secured_peer);
    TEST(an_implementation_can_be_asked_for);
    TEST(a_token_is_about_its_own_exchange);
    TEST(the_key_that_is_trusted_signs_the_token);
    TEST(without_rules_all_software_is_let_in);
    TEST(a_version_is_compared_number_by_number);
    TEST(a_signer_is_the_one_that_a_rule_names);
    TEST(a_measurement_is_the_one_that_a_rule_names);
    TEST(one_rule_with_its_type_is_enough);
    TEST(rules_without_a_type_are_about_the_other_types);
    TEST(for_each_type_there_is_a_component);
    TEST(types_are_equal_or_not);
    TEST(a_zero_byte_ends_neither_type_nor_version);
    TEST(checks_of_a_peer_have_their_order);
    TEST(both_sides_look_at_the_life_cycle);
    TEST(both_sides_look_at_the_software);
    TEST(a_rule_can_name_the_model);
    TEST(an_authority_vouches_for_both_sides);
    TEST(kinds_of_anchors_are_not_mixed_up);
    TEST(certificates_are_ignored_without_an_authority);
    g_test_add_func("/peer/no_iv_is_used_twice", oracle_check);
    result = g_test_run();
    g_byte_array_unref(chain);
    return result;
}
