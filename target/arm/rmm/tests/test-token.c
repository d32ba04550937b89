/*
 * Attestation tokens: how a Realm reads them, and what is in them
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#define _GNU_SOURCE             /* memmem */
#include <stdlib.h>
#include <string.h>
#include <cbor.h>
#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include "fake-machine.h"
#include "granule.h"
#include "mig-machine.h"
#include "mig-steps.h"
#include "snapshot.h"
#include "software.h"
#include "test-keys.h"

/* Half of the keys, and keys that are none. */
static size_t op_no_platform_key(void *opaque, RmmKey which, void *buf,
                                 size_t size)
{
    return which == RMM_KEY_PLATFORM ? 0 : test_key(opaque, which, buf, size);
}

static size_t op_no_rak(void *opaque, RmmKey which, void *buf, size_t size)
{
    return which == RMM_KEY_PLATFORM ? test_key(opaque, which, buf, size) : 0;
}

static size_t op_garbage(void *opaque, RmmKey which, void *buf, size_t size)
{
    memset(buf, 0x30, size);
    return size;
}

typedef struct Fixture {
    FakeMachine *m;
    FakeRealm r;
    RmmPe pe;
} Fixture;

/* A Realm that runs, on a machine that has @data for RmmOps.key. */
static void set_up(Fixture *f, gconstpointer data)
{
    f->m = fake_machine_prepare(128);
    *(gconstpointer *)&f->m->ops.key = data;
    fake_machine_start(f->m);
    f->r = fake_realm_active(f->m);
    fake_enter(f->m, &f->pe, &f->r, 0);
}

static void tear_down(Fixture *f, gconstpointer data)
{
    if (f->pe.world == RMM_WORLD_REALM) {
        take_interrupt(f->m->rmm, &f->pe);
    }
    fake_machine_free(f->m);
}

static uint64_t init(Fixture *f, uint8_t challenge)
{
    uint64_t args[8];

    memset(args, challenge, sizeof(args));
    return fake_call_pe(f->m, &f->pe, RSI_ATTESTATION_TOKEN_INIT, args, 8);
}

static uint64_t next_piece(Fixture *f, uint64_t ipa, uint64_t offset,
                           uint64_t size)
{
    uint64_t args[] = { ipa, offset, size };

    return fake_call_pe(f->m, &f->pe, RSI_ATTESTATION_TOKEN_CONTINUE,
                        args, 3);
}

static uint8_t *realm_page(Fixture *f, uint64_t ipa)
{
    RmmRealm *realm = fake_realm_object(f->m, &f->r);
    uint64_t pa;
    int level;

    rmm_mutex_lock(&realm->lock);
    g_assert_cmpint(rtt_access(realm, ipa, false, &pa, &level), ==,
                    RTT_ACCESS_OK);
    rmm_mutex_unlock(&realm->lock);
    return granule_map(f->m->rmm, pa);
}

/* Read on until the end, as Linux does, but in pieces of up to @size. */
static GByteArray *read_on(Fixture *f, size_t size)
{
    GByteArray *token = g_byte_array_new();
    uint64_t result, offset = 0, piece;

    do {
        offset %= RMM_GRANULE_SIZE;
        piece = MIN(size, RMM_GRANULE_SIZE - offset);
        result = next_piece(f, 0x3000, offset, piece);
        g_assert(result == RSI_INCOMPLETE || result == RSI_SUCCESS);
        g_assert_cmpuint(f->pe.x[1], <=, piece);
        g_assert(result == RSI_SUCCESS || f->pe.x[1] == piece);
        g_byte_array_append(token, realm_page(f, 0x3000) + offset,
                            f->pe.x[1]);
        offset += f->pe.x[1];
    } while (result == RSI_INCOMPLETE);
    g_assert_cmpuint(token->len, <=, TOKEN_MAX_SIZE);
    return token;
}

static GByteArray *read_token(Fixture *f, uint8_t challenge, size_t size)
{
    g_assert_cmphex(init(f, challenge), ==, RSI_SUCCESS);
    g_assert_cmpuint(f->pe.x[1], ==, TOKEN_MAX_SIZE);
    return read_on(f, size);
}

/* Overwrite both signatures: what is left has to be the same always. */
static void mask(GByteArray *token)
{
    struct cbor_load_result result;
    cbor_item_t *tag = cbor_load(token->data, token->len, &result), *map;
    size_t i;

    g_assert_nonnull(tag);
    g_assert_cmpuint(cbor_tag_value(tag), ==, 399);
    map = cbor_tag_item(tag);
    g_assert_cmpuint(cbor_map_size(map), ==, 2);
    for (i = 0; i < 2; i++) {
        cbor_item_t *part = cbor_map_handle(map)[i].value;
        size_t size = cbor_bytestring_length(part);
        uint8_t *p = memmem(token->data, token->len,
                            cbor_bytestring_handle(part), size);

        memset(p + size - COSE_SIGNATURE_SIZE, 0, COSE_SIGNATURE_SIZE);
    }
    cbor_decref(&map);
    cbor_decref(&tag);
}

static void same_but_for_signatures(GByteArray *a, GByteArray *b)
{
    mask(a);
    mask(b);
    g_assert_cmpmem(a->data, a->len, b->data, b->len);
    g_byte_array_unref(a);
    g_byte_array_unref(b);
}

/* What is left to read is a whole token with @challenge. */
static void rest_is_a_token(Fixture *f, uint8_t challenge)
{
    GByteArray *rest = read_on(f, 500);

    same_but_for_signatures(rest, read_token(f, challenge, 4096));
}

/* ---- reading ---- */

static void there_are_no_tokens(Fixture *f, gconstpointer data)
{
    fake_refused(f->m, init(f, 1), RSI_ERROR_UNKNOWN);
    fake_refused(f->m, next_piece(f, 0x3000, 0, 16), RSI_ERROR_STATE);
}

static void continue_needs_an_init(Fixture *f, gconstpointer data)
{
    fake_refused(f->m, next_piece(f, 0x3000, 0, 16), RSI_ERROR_STATE);
    fake_refused(f->m, next_piece(f, 0x3000, 0, 0), RSI_ERROR_STATE);
}

static void refuse_arguments(Fixture *f)
{
    static const struct {
        const char *label;
        uint64_t ipa, offset, size;
    } cases[] = {
        { "addr_align", 0x3001, 0, 16 },
        { "addr_align: half a granule", 0x3800, 0, 16 },
        { "addr_bound: unprotected", 1ull << 32, 0, 16 },
        { "addr_bound: beyond the address space", 1ull << 33, 0, 16 },
        { "addr_bound: the last granule", 0xfffffffffffff000, 0, 16 },
        { "offset_bound", 0x3000, 0x1000, 0 },
        { "offset_bound: large", 0x3000, UINT64_MAX, 1 },
        { "size_overflow", 0x3000, 0x10, UINT64_MAX - 0xf },
        { "size_overflow: large", 0x3000, 1, UINT64_MAX },
        { "size_bound", 0x3000, 0, 0x1001 },
        { "size_bound: with an offset", 0x3000, 0xfff, 2 },
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_test_message("%s", cases[i].label);
        fake_refused(f->m, next_piece(f, cases[i].ipa, cases[i].offset,
                                      cases[i].size), RSI_ERROR_INPUT);
    }
}

/* In every state; and no refusal takes a piece. */
static void continue_checks_arguments_before_state(Fixture *f,
                                                   gconstpointer data)
{
    GByteArray *token;

    refuse_arguments(f);
    g_assert_cmphex(init(f, 1), ==, RSI_SUCCESS);
    refuse_arguments(f);
    token = read_on(f, 4096);
    refuse_arguments(f);
    same_but_for_signatures(token, read_token(f, 1, 4096));
}

static void a_token_is_the_same_in_pieces_of_any_size(Fixture *f,
                                                      gconstpointer data)
{
    static const size_t sizes[] = { 1, 2, 7, 100, 1000, 1024, 4095 };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(sizes); i++) {
        same_but_for_signatures(read_token(f, 1, 4096),
                                read_token(f, 1, sizes[i]));
    }
}

static void a_piece_changes_nothing_beside_it(Fixture *f, gconstpointer data)
{
    uint8_t *page = realm_page(f, 0x3000);
    unsigned i;

    memset(page, 0xee, RMM_GRANULE_SIZE);
    g_assert_cmphex(init(f, 1), ==, RSI_SUCCESS);
    g_assert_cmphex(next_piece(f, 0x3000, 4000, 90), ==, RSI_INCOMPLETE);
    g_assert_cmpuint(f->pe.x[1], ==, 90);
    g_assert_cmphex(page[4000], ==, 0xd9);      /* the head of a large tag */
    for (i = 0; i < RMM_GRANULE_SIZE; i++) {
        g_assert(page[i] == 0xee || (i >= 4000 && i < 4090));
    }
}

static void after_the_last_piece_there_is_no_more(Fixture *f,
                                                  gconstpointer data)
{
    g_byte_array_unref(read_token(f, 1, 4096));
    fake_refused(f->m, next_piece(f, 0x3000, 0, 16), RSI_ERROR_STATE);
    g_byte_array_unref(read_token(f, 1, 4096));
}

static void a_size_of_zero_is_no_piece(Fixture *f, gconstpointer data)
{
    g_assert_cmphex(init(f, 1), ==, RSI_SUCCESS);
    fake_refused(f->m, next_piece(f, 0x3000, 0, 0), RSI_INCOMPLETE);
    g_assert_cmpuint(f->pe.x[1], ==, 0);
    fake_refused(f->m, next_piece(f, 0x3000, 0xfff, 0), RSI_INCOMPLETE);
    rest_is_a_token(f, 1);
}

static void init_again_starts_over(Fixture *f, gconstpointer data)
{
    g_assert_cmphex(init(f, 1), ==, RSI_SUCCESS);
    g_assert_cmphex(next_piece(f, 0x3000, 0, 500), ==, RSI_INCOMPLETE);
    g_assert_cmphex(init(f, 2), ==, RSI_SUCCESS);
    rest_is_a_token(f, 2);
}

static void an_init_that_fails_ends_the_token_before(Fixture *f,
                                                     gconstpointer data)
{
    g_assert_cmphex(init(f, 1), ==, RSI_SUCCESS);
    f->m->rmm->ops.key = op_no_platform_key;
    g_assert_cmphex(init(f, 1), ==, RSI_ERROR_UNKNOWN);
    fake_refused(f->m, next_piece(f, 0x3000, 0, 16), RSI_ERROR_STATE);
}

static void a_buffer_that_is_empty_takes_no_piece(Fixture *f,
                                                  gconstpointer data)
{
    g_assert_cmphex(init(f, 1), ==, RSI_SUCCESS);
    fake_refused(f->m, next_piece(f, 0x30000, 0, 16), RSI_ERROR_INPUT);
    rest_is_a_token(f, 1);
}

static void a_buffer_without_a_page_exits_and_retries(Fixture *f,
                                                      gconstpointer data)
{
    uint64_t pc;

    g_assert_cmphex(init(f, 1), ==, RSI_SUCCESS);
    pc = f->pe.pc;
    next_piece(f, 0x18000, 0x40, 16);
    g_assert(f->pe.world == RMM_WORLD_HOST);
    g_assert_cmphex(fake_run(f->m, 0)->exit.exit_reason, ==, RMI_EXIT_SYNC);
    g_assert_cmphex(fake_run(f->m, 0)->exit.hpfar, ==, 0x18 << 4);
    fake_enter(f->m, &f->pe, &f->r, 0);
    g_assert_cmphex(f->pe.pc, ==, pc);          /* the SMC, again */
    g_assert_cmphex(f->pe.x[0], ==, RSI_ATTESTATION_TOKEN_CONTINUE);
    rest_is_a_token(f, 1);
}

static void a_token_outlives_an_exit(Fixture *f, gconstpointer data)
{
    GByteArray *a = g_byte_array_new(), *b;

    g_assert_cmphex(init(f, 1), ==, RSI_SUCCESS);
    g_assert_cmphex(next_piece(f, 0x3000, 0, 100), ==, RSI_INCOMPLETE);
    g_byte_array_append(a, realm_page(f, 0x3000), 100);
    take_interrupt(f->m->rmm, &f->pe);
    fake_enter(f->m, &f->pe, &f->r, 0);
    b = read_on(f, 4096);
    g_byte_array_append(a, b->data, b->len);
    g_byte_array_unref(b);
    same_but_for_signatures(a, read_token(f, 1, 4096));
}

static void each_rec_reads_its_own(Fixture *f, gconstpointer data)
{
    RmmPe other = { 0 };

    g_assert_cmphex(init(f, 1), ==, RSI_SUCCESS);
    fake_realm_object(f->m, &f->r)->recs[1]->state = REC_READY;
    fake_enter(f->m, &other, &f->r, 1);
    g_assert_cmphex(fake_call_pe(f->m, &other, RSI_ATTESTATION_TOKEN_CONTINUE,
                                 (const uint64_t[]){ 0x3000, 0, 16 }, 3),
                    ==, RSI_ERROR_STATE);
    g_assert_cmphex(fake_call_pe(f->m, &other, RSI_ATTESTATION_TOKEN_INIT,
                                 (const uint64_t[8]){ 7 }, 8),
                    ==, RSI_SUCCESS);
    take_interrupt(f->m->rmm, &other);
    rest_is_a_token(f, 1);
}

/* ---- contents ---- */

static void a_token_has_the_claims_of_its_init(Fixture *f, gconstpointer data)
{
    GByteArray *before = read_token(f, 1, 4096), *during, *after;
    const uint8_t *rem = fake_realm_object(f->m, &f->r)->measurement[1];
    uint64_t extend[] = { 1, 8, 42 };

    g_assert_cmphex(init(f, 1), ==, RSI_SUCCESS);
    g_assert_cmphex(fake_call_pe(f->m, &f->pe, RSI_MEASUREMENT_EXTEND,
                                 extend, 3), ==, RSI_SUCCESS);
    during = read_on(f, 4096);
    after = read_token(f, 1, 4096);
    g_assert_nonnull(memmem(after->data, after->len, rem, 32));
    g_byte_array_unref(after);
    same_but_for_signatures(before, during);
}

static GByteArray *make_token(uint8_t hash_algo)
{
    static const TokenComponent components[] = {
        { .type = "one", .version = "1", .measurement = { 1 } },
        { .type = "two", .version = "2.0", .measurement = { 2 } },
    };
    TokenClaims claims = {
        .hash_algo = hash_algo,
        .machine = { 0, components, G_N_ELEMENTS(components) },
    };
    CoseKey *rak = cose_key_new(rak_der, sizeof(rak_der));
    CoseKey *platform = cose_key_new(platform_der, sizeof(platform_der));
    GByteArray *token;

    memset(claims.challenge, 0xc1, sizeof(claims.challenge));
    memset(claims.rpv, 0xa5, sizeof(claims.rpv));
    memset(claims.measurement, 0x3e, sizeof(claims.measurement));
    memset(claims.measurement[0], 0x41, sizeof(claims.measurement[0]));
    token = g_bytes_unref_to_array(token_make(&claims, rak, platform));
    cose_key_free(rak);
    cose_key_free(platform);
    return token;
}

static void check_sum(uint8_t hash_algo, const char *wanted)
{
    GByteArray *token = make_token(hash_algo);
    char *sum;

    g_assert_cmpuint(token->len, <=, TOKEN_MAX_SIZE);
    mask(token);
    sum = g_compute_checksum_for_data(G_CHECKSUM_SHA256, token->data,
                                      token->len);
    g_assert_cmpstr(sum, ==, wanted);
    g_free(sum);
    g_byte_array_unref(token);
}

/* Another sum means another format, of which verifiers have to know. */
static void the_bytes_are_those_of_earlier_versions(void)
{
    check_sum(RMI_HASH_SHA_256,
              "b12fc91f632253fa4791dc44151e512d"
              "2b4e9fca70250a44d2d699c6c0b981bb");
    check_sum(RMI_HASH_SHA_512,
              "37bb02455e32773e88fb2840c07adab7"
              "7b6c7fe3dca0a2ab2b79b591ff4d9722");
}

static void a_token_says_that_it_comes_from_a_model(void)
{
    GByteArray *token = make_token(RMI_HASH_SHA_256);

    g_assert_nonnull(memmem(token->data, token->len, "model, not hardware",
                            strlen("model, not hardware")));
    g_byte_array_unref(token);
}

static char *hex(const uint8_t *data, size_t size)
{
    GString *s = g_string_new(NULL);

    while (size--) {
        g_string_append_printf(s, "%02x", *data++);
    }
    return g_string_free(s, FALSE);
}

/* What a verifier computes from the sources, by the documented rule. */
static void the_model_is_measured_by_its_sources(void)
{
    TokenComponent components[SOFTWARE_COMPONENTS];
    char *out, *sum, *command;

    if (!g_getenv("RMM_SOURCES")) {
        g_test_skip("the build says where the sources are");
        return;
    }
    command = g_strdup_printf("/bin/sh -c 'cd %s && LC_ALL=C && "
                              "cat ../mte-tags/*.[ch] *.[ch] | sha256sum'",
                              g_getenv("RMM_SOURCES"));
    g_assert_true(g_spawn_command_line_sync(command, &out, NULL, NULL, NULL));
    software_components(components);
    sum = hex(components[0].measurement, TOKEN_HASH_SIZE);
    g_assert_true(g_str_has_prefix(out, sum));
    g_free(command);
    g_free(out);
    g_free(sum);
}

/* ---- keys ---- */

/* A new private key, as PKCS #8. */
static gnutls_datum_t new_key(gnutls_ecc_curve_t curve)
{
    gnutls_x509_privkey_t key;
    gnutls_datum_t der;

    g_assert_cmpint(gnutls_x509_privkey_init(&key), ==, 0);
    g_assert_cmpint(gnutls_x509_privkey_generate(
                        key, GNUTLS_PK_ECDSA,
                        GNUTLS_CURVE_TO_BITS(curve), 0), ==, 0);
    g_assert_cmpint(gnutls_x509_privkey_export2_pkcs8(
                        key, GNUTLS_X509_FMT_DER, NULL, GNUTLS_PKCS_PLAIN,
                        &der), ==, 0);
    gnutls_x509_privkey_deinit(key);
    return der;
}

static void only_keys_on_p384_are_taken(void)
{
    gnutls_datum_t der = new_key(GNUTLS_ECC_CURVE_SECP256R1);

    g_assert_null(cose_key_new(der.data, der.size));
    gnutls_free(der.data);
    g_assert_null(cose_key_new("", 0));
    g_assert_null(cose_key_new(rak_der, sizeof(rak_der) - 1));
}

/* GnuTLS finds that @signature is by the key with @point over "abc". */
static void verify(const uint8_t point[96], const uint8_t signature[96])
{
    static const uint8_t to_sign[] = "\x84\x6aSignature1\x44\xa1\x01\x38\x22"
                                     "\x40\x43" "abc";
    gnutls_datum_t x = { (uint8_t *)point, 48 };
    gnutls_datum_t y = { (uint8_t *)point + 48, 48 };
    gnutls_datum_t r = { (uint8_t *)signature, 48 };
    gnutls_datum_t s = { (uint8_t *)signature + 48, 48 };
    gnutls_datum_t text = { (uint8_t *)to_sign, sizeof(to_sign) - 1 }, der;
    gnutls_pubkey_t public;

    g_assert_cmpint(gnutls_encode_rs_value(&der, &r, &s), ==, 0);
    g_assert_cmpint(gnutls_pubkey_init(&public), ==, 0);
    g_assert_cmpint(gnutls_pubkey_import_ecc_raw(
                        public, GNUTLS_ECC_CURVE_SECP384R1, &x, &y), ==, 0);
    g_assert_cmpint(gnutls_pubkey_verify_data2(
                        public, GNUTLS_SIGN_ECDSA_SHA384, 0, &text, &der),
                    >=, 0);
    gnutls_pubkey_deinit(public);
    gnutls_free(der.data);
}

/* One new key: true if one of the four numbers begins with a zero byte. */
static bool try_key(void)
{
    static const uint8_t key_head[] = {
        0xa4, 0x01, 0x02, 0x20, 0x02, 0x21, 0x58, 0x30 };
    static const uint8_t sign_head[] = {
        0xd2, 0x84, 0x44, 0xa1, 0x01, 0x38, 0x22, 0xa0, 0x43, 'a', 'b', 'c',
        0x58, 0x60 };
    gnutls_datum_t der = new_key(GNUTLS_ECC_CURVE_SECP384R1);
    CoseKey *key = cose_key_new(der.data, der.size);
    GByteArray *public = g_bytes_unref_to_array(cose_key_public(key));
    GByteArray *sign1 = g_bytes_unref_to_array(
        cose_sign1(key, g_bytes_new("abc", 3)));
    uint8_t *signature = sign1->data + sizeof(sign_head);
    uint8_t point[96];
    bool zero;

    g_assert_cmpuint(public->len, ==, sizeof(key_head) + 48 + 3 + 48);
    g_assert_cmpmem(public->data, 8, key_head, sizeof(key_head));
    g_assert_cmpuint(sign1->len, ==, sizeof(sign_head) + 96);
    g_assert_cmpmem(sign1->data, 14, sign_head, sizeof(sign_head));
    memcpy(point, public->data + sizeof(key_head), 48);
    memcpy(point + 48, public->data + public->len - 48, 48);
    verify(point, signature);
    zero = !point[0] || !point[48] || !signature[0] || !signature[48];
    g_byte_array_unref(public);
    g_byte_array_unref(sign1);
    cose_key_free(key);
    gnutls_free(der.data);
    return zero;
}

static void numbers_have_a_fixed_size(void)
{
    unsigned zeros = 0;

    while (zeros < 8) {
        zeros += try_key();
    }
}

/* ---- the independent verifier ---- */

/* Its exit status with @options. */
static int verifier(const char *folder, const GByteArray *token,
                    const char *options)
{
    char *file = g_build_filename(folder, "token", NULL), *command;
    char *out, *err;
    int status;

    g_assert_true(g_file_set_contents(file, (char *)token->data, token->len,
                                      NULL));
    command = g_strdup_printf("%s %s %s", g_getenv("REALM_VERIFY"), file,
                              options);
    g_assert_true(g_spawn_command_line_sync(command, &out, &err, &status,
                                            NULL));
    g_assert_true(g_str_has_suffix(out, "\naccepted\n") == !status);
    g_assert_null(strstr(err, "Traceback"));
    g_free(out);
    g_free(err);
    g_free(command);
    remove(file);
    g_free(file);
    return WEXITSTATUS(status);
}

static char *public_pem(const char *folder, const char *name,
                        const uint8_t *der, size_t size)
{
    char *file = g_build_filename(folder, name, NULL);
    gnutls_datum_t datum = { (uint8_t *)der, size }, pem;
    gnutls_privkey_t private;
    gnutls_pubkey_t public;

    g_assert_cmpint(gnutls_privkey_init(&private), ==, 0);
    g_assert_cmpint(gnutls_pubkey_init(&public), ==, 0);
    g_assert_cmpint(gnutls_privkey_import_x509_raw(
                        private, &datum, GNUTLS_X509_FMT_DER, NULL, 0), ==, 0);
    g_assert_cmpint(gnutls_pubkey_import_privkey(public, private, 0, 0),
                    ==, 0);
    g_assert_cmpint(gnutls_pubkey_export2(public, GNUTLS_X509_FMT_PEM, &pem),
                    ==, 0);
    g_assert_true(g_file_set_contents(file, (char *)pem.data, pem.size,
                                      NULL));
    gnutls_free(pem.data);
    gnutls_pubkey_deinit(public);
    gnutls_privkey_deinit(private);
    return file;
}

static void refuse_what_is_no_token(const char *folder, const char *good)
{
    static const char *const cases[] = {
        "\xff",                                         /* a break */
        "\x5b\x7f\xff\xff\xff\xff\xff\xff\xff",        /* far too long */
        "\x81",
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        GByteArray *bytes = g_byte_array_new();

        g_byte_array_append(bytes, (const guint8 *)cases[i],
                            strlen(cases[i]));
        g_assert_cmpint(verifier(folder, bytes, good), ==, 1);
        g_byte_array_unref(bytes);
    }
}

/* Accepted with @good, and not with anything else or after any change. */
static void run_verifier(const char *folder, GByteArray *token,
                         const char *good, const char *rak_pem)
{
    char *wrong[] = {
        g_strdup(""),
        g_strdup_printf("%s --challenge 00", good),
        g_strdup_printf("%s --rim 00", good),
        g_strdup_printf("%s --rpv 00", good),
        g_strdup_printf("%s --rmm 00", good),
        g_strdup_printf("%s --platform-key %s", good, rak_pem),
    };
    unsigned places = 6, i;

    g_assert_cmpint(verifier(folder, token, good), ==, 0);
    for (i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_assert_cmpint(verifier(folder, token, wrong[i]), ==, 1);
        g_free(wrong[i]);
    }
    for (i = 0; i < places; i++) {
        uint8_t *byte = &token->data[token->len * (2 * i + 1) / places / 2];

        *byte ^= 1;
        g_assert_cmpint(verifier(folder, token, good), ==, 1);
        *byte ^= 1;
    }
    token->len--;
    g_assert_cmpint(verifier(folder, token, good), ==, 1);
    token->len++;
    refuse_what_is_no_token(folder, good);
}

static void an_independent_verifier_accepts_it_alone(Fixture *f,
                                                     gconstpointer data)
{
    char *folder, *rak_pem, *platform_pem, *challenge, *rim, *rmm, *good;
    TokenComponent components[SOFTWARE_COMPONENTS];
    uint8_t bytes[64];
    GByteArray *token;

    if (!g_getenv("REALM_VERIFY") ||
        system("/usr/bin/python3 -c 'import cbor2, cryptography' "
               "2>/dev/null")) {
        g_test_skip("needs python3-cbor2 and python3-cryptography");
        return;
    }
    folder = g_dir_make_tmp("token-XXXXXX", NULL);
    rak_pem = public_pem(folder, "rak.pem", rak_der, sizeof(rak_der));
    platform_pem = public_pem(folder, "platform.pem", platform_der,
                              sizeof(platform_der));
    memset(bytes, 0x5a, sizeof(bytes));
    challenge = hex(bytes, sizeof(bytes));
    rim = hex(fake_realm_object(f->m, &f->r)->measurement[0], 32);
    software_components(components);
    rmm = hex(components[0].measurement, TOKEN_HASH_SIZE);
    good = g_strdup_printf("--platform-key %s --challenge %s --rim %s "
                           "--rmm %s", platform_pem, challenge, rim, rmm);
    token = read_token(f, 0x5a, 333);
    run_verifier(folder, token, good, rak_pem);

    g_byte_array_unref(token);
    remove(rak_pem);
    remove(platform_pem);
    remove(folder);
    g_free(rak_pem);
    g_free(platform_pem);
    g_free(folder);
    g_free(challenge);
    g_free(rim);
    g_free(rmm);
    g_free(good);
}

/* ---- migration ---- */

static void enter_rec(Machine *m, RmmPe *pe)
{
    memset(machine_ns(m, NS_LIST(0)), 0, sizeof(RmiRecRun));
    *pe = (RmmPe) { .x = { RMI_REC_ENTER, m->recs[0], NS_LIST(0) } };
    rmm_call(m->rmm, pe);
    g_assert(pe->world == RMM_WORLD_REALM);
}

static uint64_t rsi(Machine *m, RmmPe *pe, uint64_t fid, uint64_t x1)
{
    pe->x[0] = fid;
    pe->x[1] = x1;
    pe->x[2] = 0;
    pe->x[3] = 99;
    pe->pc += 4;
    rmm_call(m->rmm, pe);
    g_assert(pe->world == RMM_WORLD_REALM);
    return pe->x[0];
}

static void a_token_does_not_migrate_but_a_new_one_is_had(void)
{
    Machine *src = source_new(&machine_defaults, 20);
    Machine *dst = machine_new(&machine_defaults);
    uint64_t ipa = page_ipa(0, 20);
    RmmPe pe;

    src->rmm->ops.key = dst->rmm->ops.key = test_key;
    enter_rec(src, &pe);
    g_assert_cmphex(rsi(src, &pe, RSI_ATTESTATION_TOKEN_INIT, 1),
                    ==, RSI_SUCCESS);
    g_assert_cmphex(rsi(src, &pe, RSI_ATTESTATION_TOKEN_CONTINUE, ipa),
                    ==, RSI_INCOMPLETE);
    take_interrupt(src->rmm, &pe);

    step_connect(src, dst);
    step_round(src, dst, 1, 5);
    step_finish(src, dst);

    enter_rec(dst, &pe);
    g_assert_cmphex(rsi(dst, &pe, RSI_ATTESTATION_TOKEN_CONTINUE, ipa),
                    ==, RSI_ERROR_STATE);
    g_assert_cmphex(rsi(dst, &pe, RSI_ATTESTATION_TOKEN_INIT, 1),
                    ==, RSI_SUCCESS);
    g_assert_cmphex(rsi(dst, &pe, RSI_ATTESTATION_TOKEN_CONTINUE, ipa),
                    ==, RSI_INCOMPLETE);
    take_interrupt(dst->rmm, &pe);
    machine_free(src);
    machine_free(dst);
}

#define TEST(name) TEST_WITH(name, name, test_key)
#define TEST_WITH(name, function, key)                                  \
    g_test_add("/rmm/token/" #name, Fixture, (gconstpointer)(key),      \
               set_up, function, tear_down)
#define TEST_ALONE(name) g_test_add_func("/rmm/token/" #name, name)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    TEST_WITH(without_keys_there_are_no_tokens, there_are_no_tokens, NULL);
    TEST_WITH(without_a_platform_key_there_are_no_tokens,
              there_are_no_tokens, op_no_platform_key);
    TEST_WITH(without_a_realm_attestation_key_there_are_no_tokens,
              there_are_no_tokens, op_no_rak);
    TEST_WITH(with_keys_that_are_none_there_are_no_tokens,
              there_are_no_tokens, op_garbage);
    TEST(continue_needs_an_init);
    TEST(continue_checks_arguments_before_state);
    TEST(a_token_is_the_same_in_pieces_of_any_size);
    TEST(a_piece_changes_nothing_beside_it);
    TEST(after_the_last_piece_there_is_no_more);
    TEST(a_size_of_zero_is_no_piece);
    TEST(init_again_starts_over);
    TEST(an_init_that_fails_ends_the_token_before);
    TEST(a_buffer_that_is_empty_takes_no_piece);
    TEST(a_buffer_without_a_page_exits_and_retries);
    TEST(a_token_outlives_an_exit);
    TEST(each_rec_reads_its_own);
    TEST(a_token_has_the_claims_of_its_init);
    TEST_ALONE(the_bytes_are_those_of_earlier_versions);
    TEST_ALONE(a_token_says_that_it_comes_from_a_model);
    TEST_ALONE(the_model_is_measured_by_its_sources);
    TEST_ALONE(only_keys_on_p384_are_taken);
    TEST_ALONE(numbers_have_a_fixed_size);
    TEST(an_independent_verifier_accepts_it_alone);
    TEST_ALONE(a_token_does_not_migrate_but_a_new_one_is_had);
    return g_test_run();
}
