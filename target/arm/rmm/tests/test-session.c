/*
 * Sessions: phases and keys
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib.h>
#include <string.h>

#include "mig-machine.h"
#include "rmm-internal.h"
#include "session.h"

static void free_session(RmmRealm *realm)
{
    if (realm->session) {
        realm->session_free(realm->session);
        realm->session = NULL;
    }
}

/* The document's list of edges, written a second time */
static bool edge_expected(MigPhase from, MigPhase to)
{
    switch (from) {
    case MIG_IDLE:
        return to == MIG_ACCEPTED || to == MIG_OFFERED;
    case MIG_ACCEPTED:
        return to == MIG_EXPORTING || to == MIG_IDLE;
    case MIG_EXPORTING:
        return to == MIG_PAUSED || to == MIG_IDLE;
    case MIG_PAUSED:
        return to == MIG_SEALED || to == MIG_IDLE;
    case MIG_SEALED:
        return to == MIG_IDLE || to == MIG_GONE;
    case MIG_OFFERED:
        return to == MIG_IMPORTING || to == MIG_FAILED;
    case MIG_IMPORTING:
        return to == MIG_STARTED || to == MIG_FAILED;
    case MIG_STARTED:
        return to == MIG_IDLE || to == MIG_FAILED;
    default:
        return false;
    }
}

static void try_edge(int from, int to)
{
    RmmRealm realm = { 0 };
    MigSession *s = session_of(&realm);

    s->phase = from;
    session_set_phase(s, to);
    g_assert_cmpint(s->phase, ==, to);
    free_session(&realm);
}

static void test_legal_edges_are_taken(void)
{
    int edges = 0;

    for (int from = 0; from < MIG_PHASES; from++) {
        for (int to = 0; to < MIG_PHASES; to++) {
            if (edge_expected(from, to)) {
                try_edge(from, to);
                edges++;
            }
        }
    }
    g_assert_cmpint(edges, ==, 16);
}

static void test_every_other_edge_aborts(void)
{
    if (g_test_subprocess()) {
        return;
    }
    for (int from = 0; from < MIG_PHASES; from++) {
        for (int to = 0; to < MIG_PHASES; to++) {
            if (!edge_expected(from, to)) {
                g_autofree char *path =
                    g_strdup_printf("/session/subprocess/%d-%d", from, to);

                g_test_trap_subprocess(path, 0, 0);
                g_test_trap_assert_failed();
                g_test_trap_assert_stderr("*session.h: no session goes*");
            }
        }
    }
}

static void subprocess_edge(gconstpointer data)
{
    unsigned n = GPOINTER_TO_UINT(data);

    try_edge(n / MIG_PHASES, n % MIG_PHASES);
}

/* Put a token with this payload, of the form that all tokens have, to a hello */
static void fake_token(MigHelloRecord *record, const char *payload)
{
    static const uint8_t head[] = {
        0xd2, 0x84, 0x44, 0xa1, 0x01, 0x38, 0x22, 0xa0
    };
    const size_t len = strlen(payload);
    uint8_t *at = record->tail;

    g_assert_cmpuint(len, <, 256);
    at = (uint8_t *)memcpy(at, head, sizeof(head)) + sizeof(head);
    if (len < 24) {
        *at++ = 0x40 | len;
    } else {
        *at++ = 0x58;
        *at++ = len;
    }
    at = (uint8_t *)memcpy(at, payload, len) + len;
    *at++ = 0x58;
    *at++ = 96;
    record->hello.token_size = at + 96 - record->tail;
    record->hello.size = sizeof(record->hello) + record->hello.token_size;
}

/* Both ends of an exchange, without machines */
typedef struct Pair {
    RmmRealm src, dst;
    MigSession *s, *d;
    MigHelloRecord offer, answer;
    uint8_t src_secret[32], dst_secret[32];
    MigKeys src_keys, dst_keys;
} Pair;

static void fill_bytes(uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        p[i] = g_test_rand_int();
    }
}

static void pair_init(Pair *p)
{
    memset(p, 0, sizeof(*p));
    p->s = session_of(&p->src);
    p->d = session_of(&p->dst);
    fill_bytes(p->src_secret, 32);
    fill_bytes(p->dst_secret, 32);
    p->offer.hello.type = MIG_TYPE_OFFER;
    p->answer.hello.type = MIG_TYPE_SESSION;
    fill_bytes(p->offer.hello.nonce, 32);
    fill_bytes(p->answer.hello.nonce, 32);
    crypto_public(p->offer.hello.public_key, p->dst_secret);
    crypto_public(p->answer.hello.public_key, p->src_secret);
    fake_token(&p->offer, "what the destination's platform says");
    fake_token(&p->answer, "what the source's platform says");
}

static void pair_free(Pair *p)
{
    free_session(&p->src);
    free_session(&p->dst);
}

/* Do both sides get the same keys if offer or answer differ on the way? */
static bool agree(Pair *p, const MigHelloRecord *offer_seen,
                  const MigHelloRecord *answer_seen)
{
    MigOffer seen = session_offer(offer_seen);
    MigOffer made = session_offer(&p->offer);
    bool forward, back;

    if (!session_derive(&p->src_keys, p->src_secret,
                        offer_seen->hello.public_key, &seen, &p->answer) ||
        !session_derive(&p->dst_keys, p->dst_secret,
                        answer_seen->hello.public_key, &made, answer_seen)) {
        return false;
    }
    forward = !memcmp(p->src_keys.forward, p->dst_keys.forward,
                      CRYPTO_KEY_SIZE);
    back = !memcmp(p->src_keys.back, p->dst_keys.back, CRYPTO_KEY_SIZE);
    g_assert_true(forward == back);
    return forward;
}

static void test_both_sides_derive_the_same_keys(void)
{
    Pair p;

    pair_init(&p);
    g_assert_true(agree(&p, &p.offer, &p.answer));
    g_assert_cmpint(memcmp(p.src_keys.forward, p.src_keys.back,
                           CRYPTO_KEY_SIZE), !=, 0);
    pair_free(&p);
}

/* The sizes are about the token and what is behind it */
static bool is_a_size(size_t at)
{
    return (at >= offsetof(MigHello, size) &&
            at < offsetof(MigHello, features)) ||
           (at >= offsetof(MigHello, certs_size) &&
            at < offsetof(MigHello, reserved1));
}

static void test_a_changed_byte_of_the_exchange_gives_different_keys(void)
{
    for (size_t i = 0; i < 2 * sizeof(MigHello); i++) {
        size_t at = i % sizeof(MigHello);
        MigHelloRecord offer, answer;
        Pair p;

        if (at >= offsetof(MigHello, token_size) &&
            at < offsetof(MigHello, features)) {
            continue;           /* then there is no token to hash */
        }
        pair_init(&p);
        offer = p.offer;
        answer = p.answer;
        ((uint8_t *)(i < sizeof(MigHello) ? &offer : &answer))[at] ^= 1;
        g_assert_true(agree(&p, &offer, &answer) == is_a_size(at));
        pair_free(&p);
    }
}

/*
 * Somebody else's token with the very hello: each side means the platform
 * whose payload it saw.  What the signature says does not matter here.
 */
static void test_another_payload_gives_different_keys(void)
{
    for (int side = 0; side < 2; side++) {
        MigHelloRecord offer, answer;
        Pair p;

        pair_init(&p);
        offer = p.offer;
        answer = p.answer;
        fake_token(side ? &answer : &offer, "what a third platform says");
        g_assert_false(agree(&p, &offer, &answer));
        offer = p.offer;
        answer = p.answer;
        (side ? &answer : &offer)->tail[p.offer.hello.token_size - 1] ^= 1;
        g_assert_true(agree(&p, &offer, &answer));
        pair_free(&p);
    }
}

static void test_keys_are_fresh_for_each_session(void)
{
    MigKeys first;
    Pair p;

    pair_init(&p);
    g_assert_true(agree(&p, &p.offer, &p.answer));
    first = p.src_keys;
    /* The same keys of both sides with another nonce */
    p.answer.hello.nonce[0] ^= 1;
    g_assert_true(agree(&p, &p.offer, &p.answer));
    g_assert_cmpint(memcmp(first.forward, p.src_keys.forward, 32), !=, 0);
    g_assert_cmpint(memcmp(first.back, p.src_keys.back, 32), !=, 0);
    pair_free(&p);
}

/*
 * The figures are not this program's: they were computed from the text, section
 * "Exchange", with a hash of another library.  The two sides have different
 * keys and nonces, so that whoever swaps them gets another key.
 */
static void test_the_keys_are_those_of_the_text(void)
{
    static const uint8_t source_secret[32] = {
        0x77, 0x07, 0x6d, 0x0a, 0x73, 0x18, 0xa5, 0x7d, 0x3c, 0x16, 0xc1,
        0x72, 0x51, 0xb2, 0x66, 0x45, 0xdf, 0x4c, 0x2f, 0x87, 0xeb, 0xc0,
        0x99, 0x2a, 0xb1, 0x77, 0xfb, 0xa5, 0x1d, 0xb9, 0x2c, 0x2a
    };
    static const uint8_t source_point[32] = {
        0x85, 0x20, 0xf0, 0x09, 0x89, 0x30, 0xa7, 0x54, 0x74, 0x8b, 0x7d,
        0xdc, 0xb4, 0x3e, 0xf7, 0x5a, 0x0d, 0xbf, 0x3a, 0x0d, 0x26, 0x38,
        0x1a, 0xf4, 0xeb, 0xa4, 0xa9, 0x8e, 0xaa, 0x9b, 0x4e, 0x6a
    };
    static const uint8_t destination_secret[32] = {
        0x5d, 0xab, 0x08, 0x7e, 0x62, 0x4a, 0x8a, 0x4b, 0x79, 0xe1, 0x7f,
        0x8b, 0x83, 0x80, 0x0e, 0xe6, 0x6f, 0x3b, 0xb1, 0x29, 0x26, 0x18,
        0xb6, 0xfd, 0x1c, 0x2f, 0x8b, 0x27, 0xff, 0x88, 0xe0, 0xeb
    };
    static const uint8_t destination_point[32] = {
        0xde, 0x9e, 0xdb, 0x7d, 0x7b, 0x7d, 0xc1, 0xb4, 0xd3, 0x5b, 0x61,
        0xc2, 0xec, 0xe4, 0x35, 0x37, 0x3f, 0x83, 0x43, 0xc8, 0x5b, 0x78,
        0x67, 0x4d, 0xad, 0xfc, 0x7e, 0x14, 0x6f, 0x88, 0x2b, 0x4f
    };
    static const uint8_t offer_challenge[32] = {
        0x3c, 0x3a, 0xcb, 0x02, 0x3b, 0x4f, 0xbb, 0xbd, 0x2a, 0xef, 0x47,
        0x62, 0x26, 0xe6, 0xec, 0x71, 0xb4, 0xf3, 0x8e, 0xf2, 0x58, 0x2b,
        0xc7, 0x36, 0x06, 0x68, 0x78, 0xf9, 0xd8, 0x75, 0xa2, 0x72
    };
    static const uint8_t answer_challenge[32] = {
        0xff, 0x94, 0x67, 0x89, 0xa5, 0x60, 0xb3, 0x9d, 0xbf, 0x19, 0xdd,
        0x58, 0x55, 0xf8, 0x5c, 0x79, 0x5e, 0x73, 0x33, 0x89, 0x0d, 0x1f,
        0x02, 0xdd, 0xe6, 0x83, 0x6b, 0xe8, 0x2a, 0xa7, 0x49, 0xee
    };
    static const uint8_t forward[32] = {
        0x0a, 0x4b, 0xd5, 0xc1, 0x37, 0x82, 0x10, 0x69, 0x35, 0x76, 0xf1,
        0xc4, 0x50, 0xf9, 0x2e, 0x60, 0x1d, 0x8b, 0x11, 0x30, 0x8d, 0x38,
        0xc3, 0xd2, 0x9e, 0x5a, 0x28, 0x17, 0xb4, 0x04, 0x0c, 0x61
    };
    static const uint8_t back[32] = {
        0x4d, 0xbf, 0x00, 0xd9, 0xee, 0x7d, 0x2c, 0x57, 0x25, 0x34, 0x62,
        0x84, 0x46, 0x61, 0x2f, 0x97, 0x3f, 0x37, 0x8e, 0x03, 0xfd, 0x1e,
        0xa0, 0x27, 0x66, 0xde, 0x39, 0x18, 0x92, 0x51, 0xc1, 0xcc
    };
    MigHelloRecord offer = {
        .hello = {
            .magic = 0x4d4c4552, .version = 0x200, .type = 64, .features = 1,
        },
    };
    MigHelloRecord answer = offer;
    uint8_t got[32];
    MigOffer made;
    MigKeys keys;

    answer.hello.type = 65;
    memcpy(offer.hello.public_key, destination_point, 32);
    memcpy(answer.hello.public_key, source_point, 32);
    for (int i = 0; i < 32; i++) {
        offer.hello.nonce[i] = answer.hello.peer_nonce[i] = i;
        answer.hello.nonce[i] = 0x80 + i;
        offer.hello.peer_nonce[i] = 0xc0 + i;
        offer.hello.abort_lock[i] = 0x40 + i;
    }
    for (int i = 0; i < 96; i++) {
        offer.hello.platform_key[i] = 0x80 ^ i;
        answer.hello.platform_key[i] = 0x17 ^ i;
    }
    fake_token(&offer, "payload of the offer");
    fake_token(&answer, "payload of the session header");
    made = session_offer(&offer);
    session_challenge(got, &offer.hello, NULL);
    g_assert_cmpmem(got, 32, offer_challenge, 32);
    session_challenge(got, &answer.hello, &made);
    g_assert_cmpmem(got, 32, answer_challenge, 32);
    g_assert_true(session_derive(&keys, source_secret, destination_point,
                                 &made, &answer));
    g_assert_cmpmem(keys.forward, 32, forward, 32);
    g_assert_cmpmem(keys.back, 32, back, 32);
    memset(&keys, 0, sizeof(keys));
    g_assert_true(session_derive(&keys, destination_secret, source_point,
                                 &made, &answer));
    g_assert_cmpmem(keys.forward, 32, forward, 32);
    g_assert_cmpmem(keys.back, 32, back, 32);
}

/* RFC 7748, 6.1: points of small order; zero and one are two of them */
static void test_points_that_give_no_secret_are_refused(void)
{
    static const uint8_t eighth[32] = {
        0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3,
        0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32,
        0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00
    };
    uint8_t points[3][32] = { { 0 }, { 1 } };

    memcpy(points[2], eighth, sizeof(eighth));
    for (size_t i = 0; i < G_N_ELEMENTS(points); i++) {
        Pair p;

        MigOffer offer;

        pair_init(&p);
        offer = session_offer(&p.offer);
        g_assert_false(session_derive(&p.src_keys, p.src_secret, points[i],
                                      &offer, &p.answer));
        pair_free(&p);
    }
}

/* RFC 7748, 6.1: Alice and Bob */
static void test_x25519_is_that_of_the_rfc(void)
{
    static const uint8_t a[32] = {
        0x77, 0x07, 0x6d, 0x0a, 0x73, 0x18, 0xa5, 0x7d, 0x3c, 0x16, 0xc1,
        0x72, 0x51, 0xb2, 0x66, 0x45, 0xdf, 0x4c, 0x2f, 0x87, 0xeb, 0xc0,
        0x99, 0x2a, 0xb1, 0x77, 0xfb, 0xa5, 0x1d, 0xb9, 0x2c, 0x2a
    };
    static const uint8_t b_public[32] = {
        0xde, 0x9e, 0xdb, 0x7d, 0x7b, 0x7d, 0xc1, 0xb4, 0xd3, 0x5b, 0x61,
        0xc2, 0xec, 0xe4, 0x35, 0x37, 0x3f, 0x83, 0x43, 0xc8, 0x5b, 0x78,
        0x67, 0x4d, 0xad, 0xfc, 0x7e, 0x14, 0x6f, 0x88, 0x2b, 0x4f
    };
    static const uint8_t want[32] = {
        0x4a, 0x5d, 0x9d, 0x5b, 0xa4, 0xce, 0x2d, 0xe1, 0x72, 0x8e, 0x3b,
        0xf4, 0x80, 0x35, 0x0f, 0x25, 0xe0, 0x7e, 0x21, 0xc9, 0x47, 0xd1,
        0x9e, 0x33, 0x76, 0xf0, 0x9b, 0x3c, 0x1e, 0x16, 0x17, 0x42
    };
    uint8_t shared[32];

    g_assert_true(crypto_shared(shared, a, b_public));
    g_assert_cmpmem(shared, 32, want, 32);
}

static void test_wiping_leaves_no_secret(void)
{
    static const uint8_t zero[CRYPTO_KEY_SIZE];
    MigSession *s;
    Pair p;

    pair_init(&p);
    s = p.s;
    memset(&p.src_keys, 3, sizeof(p.src_keys));
    memset(s->secret, 1, sizeof(s->secret));
    memset(s->abort_secret, 2, sizeof(s->abort_secret));
    g_assert_true(session_open(s, &p.src_keys, &p.answer.hello));
    g_assert_true(stream_open(&s->streams[5], s->key,
                              s->streams[5].room));
    session_wipe(s);
    g_assert_cmpmem(s->key, CRYPTO_KEY_SIZE, zero, sizeof(zero));
    g_assert_cmpmem(s->secret, CRYPTO_KEY_SIZE, zero, sizeof(zero));
    for (int i = 0; i < MIG_MAX_STREAMS; i++) {
        g_assert_null(s->streams[i].aead);
        g_assert_null(s->streams[i].scratch);
    }
    /* What a receipt and an abort need stays; only these end it */
    g_assert_nonnull(s->back.aead);
    session_wipe_back(s);
    g_assert_null(s->back.aead);
    g_assert_null(s->back.scratch);
    g_assert_cmpuint(s->abort_secret[31], ==, 2);
    session_wipe_abort(s);
    g_assert_cmpmem(s->abort_secret, CRYPTO_KEY_SIZE, zero, sizeof(zero));
    pair_free(&p);
}

/* Which bytes of a hello of this type may have any value? */
static bool is_free_byte(MigType type, size_t at)
{
    if (at == offsetof(MigHello, version)) {    /* the minor */
        return true;
    }
    if (at < offsetof(MigHello, public_key)) {
        return at >= offsetof(MigHello, features) &&
               at < offsetof(MigHello, certs_size);
    }
    return type == MIG_TYPE_OFFER || at < offsetof(MigHello, abort_lock) ||
           at >= offsetof(MigHello, platform_key);
}

static void check_hello(MigType type)
{
    const MigHello good = {
        .magic = MIG_MAGIC, .version = MIG_VERSION, .type = type,
        .size = sizeof(good) + 100, .token_size = 70, .certs_size = 30,
    };
    const size_t size = good.size;

    g_assert_cmpint(session_hello_check(&good, size, type), ==, 0);
    g_assert_cmpint(session_hello_check(&good, size, 129 - type), ==,
                    MIG_CAUSE_FORMAT);
    g_assert_cmpint(session_hello_check(&good, size - 1, type), ==,
                    MIG_CAUSE_FORMAT);
    g_assert_cmpint(session_hello_check(&good, sizeof(good) - 1, type), ==,
                    MIG_CAUSE_FORMAT);
    for (size_t i = 0; i < sizeof(good); i++) {
        MigHello bad = good;
        MigCause want = i == offsetof(MigHello, version) + 1 ?
                        MIG_CAUSE_VERSION :
                        is_free_byte(type, i) ? 0 : MIG_CAUSE_FORMAT;

        ((uint8_t *)&bad)[i] ^= 0x80;
        g_assert_cmpint(session_hello_check(&bad, size, type), ==, want);
    }
}

static void test_only_a_well_formed_hello_is_valid(void)
{
    check_hello(MIG_TYPE_OFFER);
    check_hello(MIG_TYPE_SESSION);
}

static MigCause check_sizes(uint32_t token, uint32_t certs, uint32_t size)
{
    const MigHello hello = {
        .magic = MIG_MAGIC, .version = MIG_VERSION, .type = MIG_TYPE_OFFER,
        .token_size = token, .certs_size = certs, .size = size,
    };

    return session_hello_check(&hello, size, MIG_TYPE_OFFER);
}

static void test_token_and_certificates_are_bounded(void)
{
    const uint32_t head = sizeof(MigHello);

    for (uint32_t n = MIG_MAX_TOKEN - 1; n < MIG_MAX_TOKEN + 2; n++) {
        g_assert_cmpint(check_sizes(n, 0, head + n), ==,
                        n > MIG_MAX_TOKEN ? MIG_CAUSE_FORMAT : 0);
    }
    for (uint32_t n = MIG_MAX_CERTIFICATES - 1; n < MIG_MAX_CERTIFICATES + 2;
         n++) {
        g_assert_cmpint(check_sizes(0, n, head + n), ==,
                        n > MIG_MAX_CERTIFICATES ? MIG_CAUSE_FORMAT : 0);
    }
    g_assert_cmpint(check_sizes(MIG_MAX_TOKEN, MIG_MAX_CERTIFICATES,
                                MIG_MAX_HELLO), ==, 0);
    /* As large as what the sum wraps around to */
    g_assert_cmpint(check_sizes(-head, 0, 0), ==, MIG_CAUSE_FORMAT);
    g_assert_cmpint(check_sizes(0, -head, 0), ==, MIG_CAUSE_FORMAT);
    g_assert_cmpint(check_sizes(100, -100, head), ==, MIG_CAUSE_FORMAT);
    g_assert_cmpint(check_sizes(-100, 100, head), ==, MIG_CAUSE_FORMAT);
}

/* An offer's token serves no session header, and the other way round */
static void test_challenges_are_about_one_kind_of_hello(void)
{
    MigHello hello = { .type = MIG_TYPE_OFFER };
    MigOffer offer = { 0 };
    uint8_t first[CRYPTO_HASH_SIZE], second[CRYPTO_HASH_SIZE];

    session_challenge(first, &hello, &offer);
    hello.size = hello.token_size = hello.certs_size = 7;
    session_challenge(second, &hello, &offer);
    g_assert_cmpmem(first, 32, second, 32);
    hello.abort_lock[31] ^= 1;
    session_challenge(second, &hello, &offer);
    g_assert_cmpint(memcmp(first, second, 32), !=, 0);
    hello.type = MIG_TYPE_SESSION;
    session_challenge(first, &hello, &offer);
    g_assert_cmpint(memcmp(first, second, 32), !=, 0);
    offer.hash[0] ^= 1;
    session_challenge(second, &hello, &offer);
    g_assert_cmpint(memcmp(first, second, 32), !=, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/session/legal-edges-are-taken",
                    test_legal_edges_are_taken);
    g_test_add_func("/session/every-other-edge-aborts",
                    test_every_other_edge_aborts);
    for (int from = 0; from < MIG_PHASES; from++) {
        for (int to = 0; to < MIG_PHASES; to++) {
            g_autofree char *path =
                g_strdup_printf("/session/subprocess/%d-%d", from, to);

            g_test_add_data_func(path,
                                 GUINT_TO_POINTER(from * MIG_PHASES + to),
                                 subprocess_edge);
        }
    }
    g_test_add_func("/session/the-keys-are-those-of-the-text",
                    test_the_keys_are_those_of_the_text);
    g_test_add_func("/session/both-sides-derive-the-same-keys",
                    test_both_sides_derive_the_same_keys);
    g_test_add_func("/session/a-changed-byte-of-the-exchange-gives-different-"
                    "keys",
                    test_a_changed_byte_of_the_exchange_gives_different_keys);
    g_test_add_func("/session/another-payload-gives-different-keys",
                    test_another_payload_gives_different_keys);
    g_test_add_func("/session/keys-are-fresh-for-each-session",
                    test_keys_are_fresh_for_each_session);
    g_test_add_func("/session/points-that-give-no-secret-are-refused",
                    test_points_that_give_no_secret_are_refused);
    g_test_add_func("/session/x25519-is-that-of-the-rfc",
                    test_x25519_is_that_of_the_rfc);
    g_test_add_func("/session/wiping-leaves-no-secret",
                    test_wiping_leaves_no_secret);
    g_test_add_func("/session/only-a-well-formed-hello-is-valid",
                    test_only_a_well_formed_hello_is_valid);
    g_test_add_func("/session/token-and-certificates-are-bounded",
                    test_token_and_certificates_are_bounded);
    g_test_add_func("/session/challenges-are-about-one-kind-of-hello",
                    test_challenges_are_about_one_kind_of_hello);
    return g_test_run();
}
