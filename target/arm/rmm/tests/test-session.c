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
        return to == MIG_IDLE;
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
    g_assert_cmpint(edges, ==, 15);
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

/* Both ends of an exchange, without machines */
typedef struct Pair {
    RmmRealm src, dst;
    MigSession *s, *d;
    MigHello offer, answer;
    uint8_t src_secret[32], dst_secret[32];
    uint8_t src_key[CRYPTO_KEY_SIZE], dst_key[CRYPTO_KEY_SIZE];
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
    p->offer.type = MIG_TYPE_OFFER;
    p->answer.type = MIG_TYPE_SESSION;
    fill_bytes(p->offer.nonce, 32);
    fill_bytes(p->answer.nonce, 32);
    crypto_public(p->offer.public_key, p->dst_secret);
    crypto_public(p->answer.public_key, p->src_secret);
}

static void pair_free(Pair *p)
{
    free_session(&p->src);
    free_session(&p->dst);
}

/* Do both sides get one key if the offer or answer differ on the way? */
static bool agree(Pair *p, const MigHello *offer_seen,
                  const MigHello *answer_seen)
{
    MigOffer seen = session_offer(offer_seen);
    MigOffer made = session_offer(&p->offer);

    return session_derive(p->src_key, p->src_secret, offer_seen->public_key,
                          &seen, &p->answer) &&
           session_derive(p->dst_key, p->dst_secret, answer_seen->public_key,
                          &made, answer_seen) &&
           memcmp(p->src_key, p->dst_key, CRYPTO_KEY_SIZE) == 0;
}

static void test_both_sides_derive_one_key(void)
{
    Pair p;

    pair_init(&p);
    g_assert_true(agree(&p, &p.offer, &p.answer));
    pair_free(&p);
}

/* The sizes are about the token, which does not belong to the exchange */
static bool is_about_the_token(size_t at)
{
    return at >= offsetof(MigHello, size) &&
           at < offsetof(MigHello, features);
}

static void test_a_changed_byte_of_the_exchange_gives_different_keys(void)
{
    for (size_t i = 0; i < 2 * sizeof(MigHello); i++) {
        MigHello offer, answer;
        Pair p;

        pair_init(&p);
        offer = p.offer;
        answer = p.answer;
        if (i < sizeof(MigHello)) {
            ((uint8_t *)&offer)[i] ^= 1;
        } else {
            ((uint8_t *)&answer)[i - sizeof(MigHello)] ^= 1;
        }
        g_assert_true(agree(&p, &offer, &answer) ==
                      is_about_the_token(i % sizeof(MigHello)));
        pair_free(&p);
    }
}

static void test_keys_are_fresh_for_each_session(void)
{
    uint8_t first[CRYPTO_KEY_SIZE];
    Pair p;

    pair_init(&p);
    g_assert_true(agree(&p, &p.offer, &p.answer));
    memcpy(first, p.src_key, sizeof(first));
    /* The same keys of both sides with another nonce */
    p.answer.nonce[0] ^= 1;
    g_assert_true(agree(&p, &p.offer, &p.answer));
    g_assert_cmpint(memcmp(first, p.src_key, sizeof(first)), !=, 0);
    pair_free(&p);
}

/*
 * The figures are not this program's: they were computed from the text, section
 * "Exchange", with a hash of another library.  The two sides have different
 * keys and nonces, so that whoever swaps them gets another key.
 */
static void test_the_key_is_that_of_the_text(void)
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
    static const uint8_t want[32] = {
        0xe6, 0xee, 0xe8, 0x95, 0xb2, 0x5d, 0x2c, 0xfe, 0x7a, 0x1e, 0xa5,
        0x1d, 0x56, 0x7a, 0x60, 0x4e, 0x1b, 0x88, 0x26, 0xf6, 0x26, 0xcd,
        0x42, 0xfe, 0xf9, 0xf4, 0xf1, 0xef, 0x90, 0x87, 0xe6, 0x45
    };
    static const uint8_t offer_challenge[32] = {
        0x2b, 0x48, 0xed, 0x7e, 0x83, 0x81, 0x2e, 0x82, 0xf0, 0x24, 0x4a,
        0xf1, 0xb4, 0x0c, 0xbe, 0x83, 0xe3, 0x3f, 0x64, 0xa2, 0x89, 0xf3,
        0xeb, 0xac, 0xc0, 0xdc, 0x69, 0x6e, 0x36, 0x21, 0x6b, 0x0c
    };
    static const uint8_t answer_challenge[32] = {
        0xc3, 0x08, 0x77, 0x3b, 0xcf, 0x37, 0x65, 0x75, 0x1a, 0xf9, 0xb0,
        0x4f, 0x09, 0x00, 0x37, 0xec, 0xff, 0xc3, 0x77, 0xa1, 0x15, 0x2a,
        0x7e, 0x9c, 0xad, 0xd6, 0x79, 0xf7, 0x9c, 0x57, 0xa0, 0xfd
    };
    MigHello offer = {
        .magic = 0x4d4c4552, .version = 0x100, .type = 64, .size = 777,
        .token_size = 617, .features = 1,
    };
    MigHello answer = offer;
    uint8_t got[32];
    MigOffer made;

    answer.type = 65;
    memcpy(offer.public_key, destination_point, 32);
    memcpy(answer.public_key, source_point, 32);
    for (int i = 0; i < 32; i++) {
        offer.nonce[i] = answer.peer_nonce[i] = i;
        answer.nonce[i] = 0x80 + i;
        offer.abort_lock[i] = 0x40 + i;
    }
    made = session_offer(&offer);
    session_challenge(got, &offer, NULL);
    g_assert_cmpmem(got, 32, offer_challenge, 32);
    session_challenge(got, &answer, &made);
    g_assert_cmpmem(got, 32, answer_challenge, 32);
    g_assert_true(session_derive(got, source_secret, destination_point,
                                 &made, &answer));
    g_assert_cmpmem(got, 32, want, 32);
    g_assert_true(session_derive(got, destination_secret, source_point,
                                 &made, &answer));
    g_assert_cmpmem(got, 32, want, 32);
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
        g_assert_false(session_derive(p.src_key, p.src_secret, points[i],
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
    memset(p.src_key, 3, sizeof(p.src_key));
    memset(s->secret, 1, sizeof(s->secret));
    memset(s->abort_secret, 2, sizeof(s->abort_secret));
    g_assert_true(session_open(s, p.src_key, &p.answer));
    g_assert_true(stream_open(&s->streams[5], s->key));
    session_wipe(s);
    g_assert_cmpmem(s->key, CRYPTO_KEY_SIZE, zero, sizeof(zero));
    g_assert_cmpmem(s->secret, CRYPTO_KEY_SIZE, zero, sizeof(zero));
    for (int i = 0; i < MIG_MAX_STREAMS; i++) {
        g_assert_null(s->streams[i].aead);
        g_assert_null(s->streams[i].scratch);
    }
    /* What an abort needs stays; only this ends it */
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
               at < offsetof(MigHello, reserved1);
    }
    if (type == MIG_TYPE_OFFER) {
        return at < offsetof(MigHello, peer_nonce) ||
               at >= offsetof(MigHello, abort_lock);
    }
    return at < offsetof(MigHello, abort_lock);
}

static void check_hello(MigType type)
{
    const MigHello good = {
        .magic = MIG_MAGIC, .version = MIG_VERSION, .type = type,
        .size = sizeof(good) + 100, .token_size = 100,
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

static void test_a_token_is_bounded(void)
{
    MigHello hello = {
        .magic = MIG_MAGIC, .version = MIG_VERSION, .type = MIG_TYPE_OFFER,
    };

    for (uint32_t n = MIG_MAX_TOKEN - 1; n < MIG_MAX_TOKEN + 2; n++) {
        hello.token_size = n;
        hello.size = sizeof(hello) + n;
        g_assert_cmpint(session_hello_check(&hello, hello.size,
                                            MIG_TYPE_OFFER), ==,
                        n > MIG_MAX_TOKEN ? MIG_CAUSE_FORMAT : 0);
    }
    /* As large as what the sum wraps around to */
    hello.token_size = -(uint32_t)sizeof(hello);
    hello.size = 0;
    g_assert_cmpint(session_hello_check(&hello, sizeof(hello),
                                        MIG_TYPE_OFFER), ==,
                    MIG_CAUSE_FORMAT);
}

/* An offer's token serves no session header, and the other way round */
static void test_challenges_are_about_one_kind_of_hello(void)
{
    MigHello hello = { .type = MIG_TYPE_OFFER };
    MigOffer offer = { 0 };
    uint8_t first[CRYPTO_HASH_SIZE], second[CRYPTO_HASH_SIZE];

    session_challenge(first, &hello, &offer);
    hello.size = 7;
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
    g_test_add_func("/session/the-key-is-that-of-the-text",
                    test_the_key_is_that_of_the_text);
    g_test_add_func("/session/both-sides-derive-one-key",
                    test_both_sides_derive_one_key);
    g_test_add_func("/session/a-changed-byte-of-the-exchange-gives-different-"
                    "keys",
                    test_a_changed_byte_of_the_exchange_gives_different_keys);
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
    g_test_add_func("/session/a-token-is-bounded", test_a_token_is_bounded);
    g_test_add_func("/session/challenges-are-about-one-kind-of-hello",
                    test_challenges_are_about_one_kind_of_hello);
    return g_test_run();
}
