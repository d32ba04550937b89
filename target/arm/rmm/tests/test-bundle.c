/*
 * Bundles: what is sealed opens, and nothing else does
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib.h>
#include <string.h>

#include "bundle.h"

#define COUNT 3
#define BODY  500

static const uint8_t key[CRYPTO_KEY_SIZE] = { 1, 2, 3 };
static const uint8_t other_key[CRYPTO_KEY_SIZE] = { 1, 2, 4 };

static void stream_init(MigStream *s, uint16_t index, const uint8_t *k)
{
    memset(s, 0, sizeof(*s));
    s->index = index;
    s->room = MIG_MAX_BUNDLE;
    g_assert_true(stream_open(s, k, s->room));
}

static uint8_t body_byte(size_t i)
{
    return i * 7 + 1;
}

/* A memory bundle with entries 0x1000, 0x2000, ... */
static GByteArray *seal_bundle(MigStream *s, uint32_t count, size_t len)
{
    MigHeader h = { .type = MIG_TYPE_MEMORY, .epoch = 5, .count = count };
    uint8_t *body = bundle_body(s, count), *start;
    GByteArray *out = g_byte_array_new();

    for (uint64_t i = 0; i < count; i++) {
        uint64_t entry = (i + 1) << 12;

        memcpy(body - (count - i) * 8, &entry, sizeof(entry));
    }
    for (size_t i = 0; i < len; i++) {
        body[i] = body_byte(i);
    }
    start = bundle_seal(s, &h, body, len);
    g_assert_nonnull(start);
    bundle_done(s);
    return g_byte_array_append(out, start, h.size);
}

static bool open_bytes(MigStream *s, const uint8_t *data, size_t len,
                       MigHeader *h, MigCause *cause)
{
    memcpy(s->scratch, data, len);
    return bundle_open(s, len, h, cause);
}

static void test_a_sealed_bundle_opens_once_and_in_order(void)
{
    MigStream a, b;
    MigHeader h;
    MigCause cause;
    GByteArray *one, *two;

    stream_init(&a, 3, key);
    stream_init(&b, 3, key);
    one = seal_bundle(&a, COUNT, BODY);
    two = seal_bundle(&a, 1, 0);
    g_assert_cmpuint(one->len, ==, bundle_size(COUNT, BODY));

    g_assert_false(open_bytes(&b, two->data, two->len, &h, &cause));
    g_assert_cmpint(cause, ==, MIG_CAUSE_ORDER);
    g_assert_true(open_bytes(&b, one->data, one->len, &h, &cause));
    g_assert_cmpuint(h.epoch, ==, 5);
    g_assert_cmpuint(h.counter, ==, 1);
    g_assert_cmpuint(bundle_body_size(&h), ==, BODY);
    for (size_t i = 0; i < BODY; i++) {
        g_assert_cmpuint(bundle_body(&b, COUNT)[i], ==, body_byte(i));
    }
    /* Opened again until it takes effect, and then no more */
    g_assert_true(open_bytes(&b, one->data, one->len, &h, &cause));
    bundle_done(&b);
    g_assert_false(open_bytes(&b, one->data, one->len, &h, &cause));
    g_assert_cmpint(cause, ==, MIG_CAUSE_ORDER);
    g_assert_true(open_bytes(&b, two->data, two->len, &h, &cause));

    g_byte_array_unref(one);
    g_byte_array_unref(two);
    stream_close(&a);
    stream_close(&b);
}

static void test_a_flip_of_any_bit_is_refused(void)
{
    MigStream a, b;
    MigHeader h;
    MigCause cause;
    GByteArray *one;

    stream_init(&a, 0, key);
    stream_init(&b, 0, key);
    one = seal_bundle(&a, COUNT, BODY);
    for (size_t i = 0; i < one->len; i++) {
        for (int bit = 0; bit < 8; bit++) {
            one->data[i] ^= 1 << bit;
            g_assert_false(open_bytes(&b, one->data, one->len, &h, &cause));
            g_assert_true(cause == MIG_CAUSE_FORMAT ||
                          cause == MIG_CAUSE_AUTHENTICATION);
            one->data[i] ^= 1 << bit;
        }
    }
    g_assert_true(open_bytes(&b, one->data, one->len, &h, &cause));
    g_byte_array_unref(one);
    stream_close(&a);
    stream_close(&b);
}

static void test_no_other_length_is_accepted(void)
{
    MigStream a, b;
    MigHeader h;
    MigCause cause;
    GByteArray *one;
    uint8_t more[8] = { 0 };
    size_t len;

    stream_init(&a, 0, key);
    stream_init(&b, 0, key);
    one = seal_bundle(&a, COUNT, BODY);
    len = one->len;
    g_byte_array_append(one, more, sizeof(more));
    for (size_t n = 0; n <= one->len; n++) {
        if (n != len) {
            g_assert_false(open_bytes(&b, one->data, n, &h, &cause));
            g_assert_cmpint(cause, ==, MIG_CAUSE_FORMAT);
        }
        /* Also with a header that agrees with the length */
        ((MigHeader *)one->data)->size = n;
        if (n != len) {
            g_assert_false(open_bytes(&b, one->data, n, &h, &cause));
        }
        ((MigHeader *)one->data)->size = len;
    }
    g_assert_false(bundle_open(&b, MIG_MAX_BUNDLE + 1, &h, &cause));
    g_assert_true(open_bytes(&b, one->data, len, &h, &cause));
    g_byte_array_unref(one);
    stream_close(&a);
    stream_close(&b);
}

static void test_another_stream_or_key_does_not_open_it(void)
{
    MigStream a, b, c;
    MigHeader h;
    MigCause cause;
    GByteArray *one;

    stream_init(&a, 0, key);
    stream_init(&b, 1, key);
    stream_init(&c, 0, other_key);
    one = seal_bundle(&a, COUNT, BODY);
    g_assert_false(open_bytes(&b, one->data, one->len, &h, &cause));
    g_assert_cmpint(cause, ==, MIG_CAUSE_FORMAT);
    ((MigHeader *)one->data)->stream = 1;
    g_assert_false(open_bytes(&b, one->data, one->len, &h, &cause));
    g_assert_cmpint(cause, ==, MIG_CAUSE_AUTHENTICATION);
    ((MigHeader *)one->data)->stream = 0;
    g_assert_false(open_bytes(&c, one->data, one->len, &h, &cause));
    g_assert_cmpint(cause, ==, MIG_CAUSE_AUTHENTICATION);
    g_byte_array_unref(one);
    stream_close(&a);
    stream_close(&b);
    stream_close(&c);
}

static void test_each_seal_uses_another_iv_also_if_nothing_was_sent(void)
{
    MigStream a;
    MigHeader h = { .type = MIG_TYPE_EPOCH };

    stream_init(&a, 0, key);
    for (uint64_t i = 1; i < 10; i++) {
        g_assert_nonnull(bundle_seal(&a, &h, bundle_body(&a, 0), 0));
        g_assert_cmpuint(h.iv, ==, i);
        g_assert_cmpuint(h.counter, ==, 1);
    }
    stream_close(&a);
}

static void test_counters_do_not_wrap(void)
{
    MigStream a;

    stream_init(&a, 0, key);
    a.iv = UINT64_MAX - 1;
    g_assert_true(bundle_possible(&a));
    a.iv = UINT64_MAX;
    g_assert_false(bundle_possible(&a));
    a.iv = 0;
    a.counter = UINT64_MAX;
    g_assert_false(bundle_possible(&a));
    stream_close(&a);
}

static void test_equal_bodies_have_different_ciphertexts(void)
{
    MigStream a, b;
    GByteArray *one, *two, *three;
    const size_t at = sizeof(MigHeader);

    stream_init(&a, 0, key);
    stream_init(&b, 1, key);
    one = seal_bundle(&a, 0, BODY);
    two = seal_bundle(&a, 0, BODY);
    three = seal_bundle(&b, 0, BODY);
    g_assert_cmpint(memcmp(one->data + at, two->data + at, BODY), !=, 0);
    g_assert_cmpint(memcmp(one->data + at, three->data + at, BODY), !=, 0);
    g_byte_array_unref(one);
    g_byte_array_unref(two);
    g_byte_array_unref(three);
    stream_close(&a);
    stream_close(&b);
}

/* NIST GCM test case 16 without its AAD is case 15; here case 16 */
static void test_gcm_is_the_gcm_of_nist(void)
{
    static const char hex_key[] =
        "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308";
    static const char hex_iv[] = "cafebabefacedbaddecaf888";
    static const char hex_aad[] = "feedfacedeadbeeffeedfacedeadbeefabaddad2";
    static const char hex_text[] =
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
        "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39";
    static const char hex_sealed[] =
        "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
        "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
        "76fc6ece0f4e1768cddf8853bb2d551b";
    uint8_t k[32], iv[12], aad[20], text[60 + 16], want[60 + 16];
    const struct { const char *hex; uint8_t *to; } all[] = {
        { hex_key, k }, { hex_iv, iv }, { hex_aad, aad },
        { hex_text, text }, { hex_sealed, want },
    };
    CryptoAead *aead;

    for (size_t i = 0; i < G_N_ELEMENTS(all); i++) {
        for (size_t j = 0; all[i].hex[j * 2]; j++) {
            all[i].to[j] = g_ascii_xdigit_value(all[i].hex[j * 2]) << 4 |
                           g_ascii_xdigit_value(all[i].hex[j * 2 + 1]);
        }
    }
    aead = crypto_aead_new(k);
    g_assert_true(crypto_seal(aead, iv, aad, sizeof(aad), text, 60));
    g_assert_cmpmem(text, sizeof(text), want, sizeof(want));
    g_assert_true(crypto_open(aead, iv, aad, sizeof(aad), text, 60));
    g_assert_cmpuint(text[0], ==, 0xd9);
    crypto_aead_free(aead);
}

static void test_peek_finds_the_entries_and_nothing_else(void)
{
    MigStream a;
    GByteArray *one;
    uint64_t ipas[MIG_MAX_PAGES];

    stream_init(&a, 0, key);
    one = seal_bundle(&a, COUNT, BODY);
    g_assert_cmpuint(mig_peek_entries(one->data, one->len, ipas), ==, COUNT);
    g_assert_cmpuint(ipas[0], ==, 0x1000);
    g_assert_cmpuint(ipas[2], ==, 0x3000);
    for (size_t n = 0; n < bundle_size(COUNT, 0); n++) {
        g_assert_cmpuint(mig_peek_entries(one->data, n, ipas), ==, 0);
    }
    ((MigHeader *)one->data)->count = MIG_MAX_PAGES + 1;
    g_assert_cmpuint(mig_peek_entries(one->data, one->len, ipas), ==, 0);
    ((MigHeader *)one->data)->count = UINT32_MAX;
    g_assert_cmpuint(mig_peek_entries(one->data, one->len, ipas), ==, 0);
    ((MigHeader *)one->data)->type = MIG_TYPE_REC;
    g_assert_cmpuint(mig_peek_entries(one->data, one->len, ipas), ==, 0);
    g_byte_array_unref(one);
    stream_close(&a);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/bundle/a-sealed-bundle-opens-once-and-in-order",
                    test_a_sealed_bundle_opens_once_and_in_order);
    g_test_add_func("/bundle/a-flip-of-any-bit-is-refused",
                    test_a_flip_of_any_bit_is_refused);
    g_test_add_func("/bundle/no-other-length-is-accepted",
                    test_no_other_length_is_accepted);
    g_test_add_func("/bundle/another-stream-or-key-does-not-open-it",
                    test_another_stream_or_key_does_not_open_it);
    g_test_add_func("/bundle/each-seal-uses-another-iv-also-if-nothing-was-"
                    "sent",
                    test_each_seal_uses_another_iv_also_if_nothing_was_sent);
    g_test_add_func("/bundle/counters-do-not-wrap",
                    test_counters_do_not_wrap);
    g_test_add_func("/bundle/equal-bodies-have-different-ciphertexts",
                    test_equal_bodies_have_different_ciphertexts);
    g_test_add_func("/bundle/gcm-is-the-gcm-of-nist",
                    test_gcm_is_the_gcm_of_nist);
    g_test_add_func("/bundle/peek-finds-the-entries-and-nothing-else",
                    test_peek_finds_the_entries_and_nothing_else);
    return g_test_run();
}
