/*
 * Certificates of platform keys: which chains lead to an authority
 *
 * Purpose: each chain is made here, with GnuTLS, and differs from a good one in
 * what the test's name says.  A refused one is refused whoever the authority
 * is, so that no policy lets it in.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include <gnutls/x509.h>

#include "certificates.h"
#include "mig-abi.h"

/* ---- a GnuTLS that fails ---- */

/* The call that fails, counted from 1; 0: none. */
static unsigned fails_at, calls;

#define WRAP(name, params, args)                                        \
    int __real_gnutls_##name params;                                    \
    int __wrap_gnutls_##name params;                                    \
    int __wrap_gnutls_##name params                                     \
    {                                                                   \
        return ++calls == fails_at ? GNUTLS_E_INTERNAL_ERROR            \
                                   : __real_gnutls_##name args;         \
    }

WRAP(x509_crt_init, (gnutls_x509_crt_t *crt), (crt))
WRAP(x509_crt_import,
     (gnutls_x509_crt_t crt, const gnutls_datum_t *data,
      gnutls_x509_crt_fmt_t format), (crt, data, format))
WRAP(pubkey_init, (gnutls_pubkey_t *key), (key))
WRAP(pubkey_import_x509,
     (gnutls_pubkey_t key, gnutls_x509_crt_t crt, unsigned flags),
     (key, crt, flags))
WRAP(pubkey_export_ecc_raw,
     (gnutls_pubkey_t key, gnutls_ecc_curve_t *curve, gnutls_datum_t *x,
      gnutls_datum_t *y), (key, curve, x, y))
WRAP(x509_crt_verify,
     (gnutls_x509_crt_t crt, const gnutls_x509_crt_t *list, int n,
      unsigned flags, unsigned *status), (crt, list, n, flags, status))
WRAP(x509_trust_list_init,
     (gnutls_x509_trust_list_t *list, unsigned size), (list, size))
WRAP(x509_trust_list_add_cas,
     (gnutls_x509_trust_list_t list, const gnutls_x509_crt_t *crt,
      unsigned n, unsigned flags), (list, crt, n, flags))
WRAP(x509_trust_list_verify_crt,
     (gnutls_x509_trust_list_t list, gnutls_x509_crt_t *crt, unsigned n,
      unsigned flags, unsigned *status,
      gnutls_verify_output_function output),
     (list, crt, n, flags, status, output))

/* ---- chains ---- */

/* Who stands where in a chain */
enum { PLATFORM, FIRST, SECOND, ROOT, OTHER, NAMES };

/* A key of each, made once */
static gnutls_x509_privkey_t keys[NAMES];

static gnutls_x509_privkey_t new_key(gnutls_pk_algorithm_t algo, unsigned bits)
{
    gnutls_x509_privkey_t key;

    g_assert_cmpint(gnutls_x509_privkey_init(&key), ==, 0);
    g_assert_cmpint(gnutls_x509_privkey_generate(key, algo, bits, 0), ==, 0);
    return key;
}

static gnutls_x509_privkey_t new_ecdsa(gnutls_ecc_curve_t curve)
{
    return new_key(GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(curve));
}

/* What is said of one certificate */
typedef struct Cert {
    int name, issuer;           /* whose names it has */
    gnutls_x509_privkey_t key, signer;
    bool no_ca;                 /* says that it is no authority */
    bool no_constraints;        /* says nothing about it */
    int path_length;            /* -1: none */
    unsigned usage;             /* 0: none is said */
    time_t from, to;
    bool unknown_critical, unknown_extension;
    gnutls_digest_algorithm_t hash;
} Cert;

static Cert cert_of(int name, int issuer)
{
    return (Cert) {
        .name = name, .issuer = issuer,
        .key = keys[name], .signer = keys[issuer],
        .no_ca = name == PLATFORM, .path_length = -1,
        .usage = name == PLATFORM ? GNUTLS_KEY_DIGITAL_SIGNATURE
                                  : GNUTLS_KEY_KEY_CERT_SIGN,
        .from = 1700000000, .to = 4000000000,
        .hash = GNUTLS_DIG_SHA384,
    };
}

static void name_is(char *dn, size_t size, int name)
{
    static const char *const names[NAMES] = {
        "CN=Platform", "CN=First", "CN=Second", "CN=Root", "CN=Other",
    };

    g_strlcpy(dn, names[name], size);
}

static void set_extensions(gnutls_x509_crt_t crt, const Cert *c)
{
    static const uint8_t null_der[] = { 0x05, 0x00 };

    if (!c->no_constraints) {
        g_assert_cmpint(gnutls_x509_crt_set_basic_constraints(
                            crt, !c->no_ca, c->path_length), ==, 0);
    }
    if (c->usage) {
        g_assert_cmpint(gnutls_x509_crt_set_key_usage(crt, c->usage), ==, 0);
    }
    if (c->unknown_critical || c->unknown_extension) {
        g_assert_cmpint(gnutls_x509_crt_set_extension_by_oid(
                            crt, "1.2.3.4.5", null_der, sizeof(null_der),
                            c->unknown_critical), ==, 0);
    }
}

static void append(GByteArray *chain, const Cert *c)
{
    gnutls_x509_crt_t crt, issuer;
    gnutls_datum_t der;
    char dn[32];
    const char *err;

    g_assert_cmpint(gnutls_x509_crt_init(&crt), ==, 0);
    g_assert_cmpint(gnutls_x509_crt_init(&issuer), ==, 0);
    name_is(dn, sizeof(dn), c->name);
    g_assert_cmpint(gnutls_x509_crt_set_dn(crt, dn, &err), ==, 0);
    name_is(dn, sizeof(dn), c->issuer);
    g_assert_cmpint(gnutls_x509_crt_set_dn(issuer, dn, &err), ==, 0);
    g_assert_cmpint(gnutls_x509_crt_set_key(issuer, c->signer), ==, 0);
    g_assert_cmpint(gnutls_x509_crt_set_version(crt, 3), ==, 0);
    g_assert_cmpint(gnutls_x509_crt_set_serial(crt, "\x01", 1), ==, 0);
    g_assert_cmpint(gnutls_x509_crt_set_key(crt, c->key), ==, 0);
    g_assert_cmpint(gnutls_x509_crt_set_activation_time(crt, c->from), ==, 0);
    g_assert_cmpint(gnutls_x509_crt_set_expiration_time(crt, c->to), ==, 0);
    set_extensions(crt, c);
    g_assert_cmpint(gnutls_x509_crt_sign2(crt, issuer, c->signer, c->hash, 0),
                    ==, 0);
    g_assert_cmpint(gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_DER, &der),
                    ==, 0);
    g_byte_array_append(chain, der.data, der.size);
    gnutls_free(der.data);
    gnutls_x509_crt_deinit(issuer);
    gnutls_x509_crt_deinit(crt);
}

static GByteArray *chain_of(const Cert *certs, size_t n)
{
    GByteArray *chain = g_byte_array_new();

    for (size_t i = 0; i < n; i++) {
        append(chain, &certs[i]);
    }
    return chain;
}

/* The point of a key, by the exporter of private keys */
static void point_of(gnutls_x509_privkey_t key, uint8_t point[96])
{
    gnutls_datum_t x, y, k;
    gnutls_ecc_curve_t curve;

    g_assert_cmpint(gnutls_x509_privkey_export_ecc_raw(key, &curve, &x, &y,
                                                       &k), ==, 0);
    memset(point, 0, 96);
    g_assert_cmpuint(x.size, <=, 49);
    g_assert_cmpuint(y.size, <=, 49);
    for (int i = 0; i < 48 && i < x.size; i++) {
        point[47 - i] = x.data[x.size - 1 - i];
    }
    for (int i = 0; i < 48 && i < y.size; i++) {
        point[95 - i] = y.data[y.size - 1 - i];
    }
    gnutls_free(x.data);
    gnutls_free(y.data);
    gnutls_free(k.data);
}

static bool leads(const GByteArray *chain, uint8_t authority[96])
{
    uint8_t key[96];

    point_of(keys[PLATFORM], key);
    memset(authority, 0, 96);
    return certificates_check(chain->data, chain->len, key, authority);
}

/* The platform's key is vouched for by @authority. */
static void accept(const Cert *certs, size_t n, int authority)
{
    GByteArray *chain = chain_of(certs, n);
    uint8_t got[96], want[96];

    g_assert_cmpuint(chain->len, <=, MIG_MAX_CERTIFICATES);
    g_assert_true(leads(chain, got));
    point_of(keys[authority], want);
    g_assert_cmpmem(got, 96, want, 96);
    g_byte_array_unref(chain);
}

static void refuse(const Cert *certs, size_t n)
{
    GByteArray *chain = chain_of(certs, n);
    uint8_t authority[96];

    g_assert_false(leads(chain, authority));
    g_byte_array_unref(chain);
}

/* The good ones of 2, 3 and 4, from which all others differ */
static size_t good(Cert out[5], size_t n)
{
    static const int names[5][5] = {
        [2] = { PLATFORM, ROOT },
        [3] = { PLATFORM, FIRST, ROOT },
        [4] = { PLATFORM, FIRST, SECOND, ROOT },
    };

    for (size_t i = 0; i < n; i++) {
        out[i] = cert_of(names[n][i], names[n][MIN(i + 1, n - 1)]);
    }
    return n;
}

static void test_chains_of_2_to_4_lead_to_their_authority(void)
{
    Cert c[5];

    for (size_t n = 2; n <= 4; n++) {
        good(c, n);
        accept(c, n, ROOT);
    }
}

static void test_one_certificate_is_no_chain(void)
{
    Cert c[5];

    good(c, 3);
    refuse(c, 0);
    refuse(c, 1);
    c[0] = cert_of(PLATFORM, PLATFORM);         /* self-signed */
    refuse(c, 1);
    c[0].no_ca = false;
    c[0].usage = GNUTLS_KEY_KEY_CERT_SIGN;
    refuse(c, 1);
}

/* PLATFORM, FIRST, SECOND, OTHER, ROOT; without the last one it is good. */
static void test_five_certificates_are_too_many(void)
{
    Cert c[5];

    good(c, 4);
    c[3] = cert_of(OTHER, OTHER);
    c[2].issuer = OTHER;
    c[2].signer = keys[OTHER];
    accept(c, 4, OTHER);
    c[3] = cert_of(OTHER, ROOT);
    c[4] = cert_of(ROOT, ROOT);
    refuse(c, 5);
}

static void swap(Cert *a, Cert *b)
{
    Cert old = *a;

    *a = *b;
    *b = old;
}

/* All orders of 3 and 4 but the good one, which is the first of them */
static unsigned refuse_orders(Cert *c, size_t n, size_t from, unsigned tried)
{
    if (from == n) {
        if (tried) {
            refuse(c, n);
        }
        return tried + 1;
    }
    for (size_t i = from; i < n; i++) {
        swap(&c[from], &c[i]);
        tried = refuse_orders(c, n, from + 1, tried);
        swap(&c[from], &c[i]);
    }
    return tried;
}

static void test_certificates_have_one_order(void)
{
    Cert c[5];

    g_assert_cmpuint(refuse_orders(c, good(c, 2), 0, 0), ==, 2);
    g_assert_cmpuint(refuse_orders(c, good(c, 3), 0, 0), ==, 6);
    g_assert_cmpuint(refuse_orders(c, good(c, 4), 0, 0), ==, 24);
    good(c, 3);
    swap(&c[1], &c[2]);
    refuse(c, 2);                               /* a link is missing */
    good(c, 4);
    c[3] = c[0];
    refuse(c, 4);
}

/* GnuTLS leaves out what it has seen, and what it need not look at. */
static void test_no_certificate_is_there_for_nothing(void)
{
    Cert c[5];

    for (size_t n = 2; n <= 3; n++) {
        for (size_t twice = 0; twice < n; twice++) {
            good(c, n);
            memmove(&c[twice + 1], &c[twice], (n - twice) * sizeof(c[0]));
            g_test_message("%zu of %zu twice", twice, n);
            refuse(c, n + 1);
        }
    }
    good(c, 3);                                 /* FIRST is not needed */
    c[0] = cert_of(PLATFORM, ROOT);
    refuse(c, 3);
    good(c, 4);
    c[0] = cert_of(PLATFORM, ROOT);
    refuse(c, 4);
    good(c, 4);                                 /* nor is SECOND */
    c[1] = cert_of(FIRST, ROOT);
    refuse(c, 4);
}

/* The authority's name and key inside of a chain vouch for nothing. */
static void test_the_authority_inside_of_a_chain_is_one_more_link(void)
{
    Cert c[5];

    good(c, 4);
    c[0] = cert_of(PLATFORM, ROOT);
    c[1] = cert_of(ROOT, SECOND);
    accept(c, 4, ROOT);
    c[1].signer = keys[OTHER];
    refuse(c, 4);
}

static void test_the_last_one_is_signed_by_itself(void)
{
    Cert c[5];

    good(c, 4);
    refuse(c, 3);                               /* SECOND, by ROOT */
    good(c, 3);
    c[2] = cert_of(ROOT, OTHER);
    refuse(c, 3);
}

static void test_the_first_one_has_the_platforms_key(void)
{
    Cert c[5];

    for (size_t n = 2; n <= 4; n++) {
        good(c, n);
        c[0].key = keys[OTHER];
        refuse(c, n);
    }
}

static void test_each_one_is_signed_by_the_next(void)
{
    Cert c[5];

    for (size_t n = 2; n <= 4; n++) {
        for (size_t i = 0; i < n; i++) {
            good(c, n);
            c[i].signer = keys[OTHER];
            refuse(c, n);
            good(c, n);
            c[i].issuer = OTHER;
            refuse(c, n);
        }
    }
    good(c, 4);                                 /* by the one after the next */
    c[0].issuer = SECOND;
    c[0].signer = keys[SECOND];
    refuse(c, 4);
    c[0].issuer = FIRST;
    refuse(c, 4);
    good(c, 3);                                 /* which has the same name */
    c[1].name = ROOT;
    c[0].issuer = ROOT;
    c[0].signer = keys[ROOT];
    refuse(c, 3);
    c[1] = c[2];                                /* or is the same */
    refuse(c, 3);
}

static void test_an_authority_may_sign_certificates(void)
{
    Cert c[5];

    for (size_t n = 2; n <= 4; n++) {
        for (size_t i = 1; i < n; i++) {
            good(c, n);
            c[i].no_ca = true;
            refuse(c, n);
            good(c, n);
            c[i].no_constraints = true;
            refuse(c, n);
            good(c, n);
            c[i].usage = GNUTLS_KEY_DIGITAL_SIGNATURE | GNUTLS_KEY_CRL_SIGN;
            refuse(c, n);
            c[i].usage |= GNUTLS_KEY_KEY_CERT_SIGN;
            accept(c, n, ROOT);
            c[i].usage = 0;                     /* RFC 5280, 6.1.4 (n) */
            accept(c, n, ROOT);
        }
        good(c, n);
        c[0].usage = 0;
        c[0].no_constraints = true;
        accept(c, n, ROOT);
    }
}

/* A length counts the authorities between that one and the platform. */
static void test_a_path_has_its_length(void)
{
    Cert c[5];

    for (size_t n = 2; n <= 4; n++) {
        for (size_t i = 1; i < n; i++) {
            for (int length = 0; length < 4; length++) {
                good(c, n);
                c[i].path_length = length;
                if (length + 1 < i) {
                    refuse(c, n);
                } else {
                    accept(c, n, ROOT);
                }
            }
        }
    }
}

static void test_all_keys_are_on_p384(void)
{
    const gnutls_x509_privkey_t others[] = {
        new_ecdsa(GNUTLS_ECC_CURVE_SECP256R1),
        new_ecdsa(GNUTLS_ECC_CURVE_SECP521R1),
        new_key(GNUTLS_PK_RSA, 2048),
    };
    Cert c[5];

    for (size_t k = 0; k < G_N_ELEMENTS(others); k++) {
        for (size_t i = 1; i < 3; i++) {
            good(c, 3);
            c[i].key = others[k];
            c[i - 1].signer = others[k];
            if (i == 2) {
                c[i].signer = others[k];
            }
            refuse(c, 3);
        }
        gnutls_x509_privkey_deinit(others[k]);
    }
}

static void test_signatures_have_one_of_three_hashes(void)
{
    static const gnutls_digest_algorithm_t others[] = {
        GNUTLS_DIG_SHA1, GNUTLS_DIG_SHA224, GNUTLS_DIG_SHA3_256,
    };
    static const gnutls_digest_algorithm_t known[] = {
        GNUTLS_DIG_SHA256, GNUTLS_DIG_SHA384, GNUTLS_DIG_SHA512,
    };
    Cert c[5];

    for (size_t i = 0; i < 3; i++) {
        good(c, 3);
        for (size_t k = 0; k < G_N_ELEMENTS(others); k++) {
            c[i].hash = others[k];
            refuse(c, 3);
        }
        for (size_t k = 0; k < G_N_ELEMENTS(known); k++) {
            c[i].hash = known[k];
            accept(c, 3, ROOT);
        }
    }
}

/* An RMM has no calendar: the text says that it does not look. */
static void test_dates_do_not_matter(void)
{
    Cert c[5];

    for (size_t i = 0; i < 3; i++) {
        good(c, 3);
        c[i].to = c[i].from + 1;                /* long ago */
        accept(c, 3, ROOT);
        good(c, 3);
        c[i].from = c[i].to - 1;                /* not yet */
        accept(c, 3, ROOT);
        good(c, 3);
        c[i].to = c[i].from - 1;                /* never */
        accept(c, 3, ROOT);
    }
}

static void test_critical_extensions_have_to_be_known(void)
{
    Cert c[5];

    for (size_t i = 0; i < 3; i++) {
        good(c, 3);
        c[i].unknown_critical = true;
        refuse(c, 3);
        good(c, 3);
        c[i].unknown_extension = true;
        accept(c, 3, ROOT);
    }
}

/* Each of its calls in turn; then all of them work again. */
static void test_a_library_that_fails_vouches_for_nobody(void)
{
    Cert c[5];
    GByteArray *chain = chain_of(c, good(c, 4));
    uint8_t point[96];
    unsigned n;

    calls = 0;
    g_assert_true(leads(chain, point));
    n = calls;
    g_assert_cmpuint(n, >=, 4 * 4 + 4);         /* all are counted */
    for (fails_at = 1; fails_at <= n; fails_at++) {
        calls = 0;
        g_assert_false(leads(chain, point));
    }
    fails_at = 0;
    g_assert_true(leads(chain, point));
    g_byte_array_unref(chain);
}

/* ---- the bytes ---- */

static bool bytes_lead(const uint8_t *data, size_t size)
{
    /* What is read behind the end is found by the tools that look for it. */
    g_autofree uint8_t *exact = g_memdup2(data, size);
    GByteArray chain = { exact, size };
    uint8_t authority[96];

    return leads(&chain, authority);
}

static void test_a_chain_ends_with_its_last_byte(void)
{
    static const struct {
        uint8_t bytes[6];
        size_t size;
    } more[] = {
        { { 0 }, 1 }, { { 0, 0 }, 2 }, { { 0x30 }, 1 }, { { 0x30, 0x00 }, 2 },
        { { 0x30, 0x82, 0x00, 0x00 }, 4 }, { { 0x30, 0x82, 0x01, 0x00 }, 4 },
        { { 0x30, 0x82, 0xff, 0xff }, 4 }, { { 0x30, 0x80, 0x00, 0x00 }, 4 },
        { { 0x30, 0x82, 0x00, 0x01, 0x05 }, 5 }, { { 0x05, 0x00 }, 2 },
        { { 0x30, 0x83, 0x00, 0x00, 0x00 }, 5 },
    };
    Cert c[5];
    GByteArray *chain = chain_of(c, good(c, 3));
    const guint size = chain->len;

    g_assert_true(bytes_lead(chain->data, size));
    for (guint cut = 0; cut < size; cut++) {
        g_assert_false(bytes_lead(chain->data, cut));
    }
    for (size_t i = 0; i < G_N_ELEMENTS(more); i++) {
        g_byte_array_append(chain, more[i].bytes, more[i].size);
        g_assert_false(bytes_lead(chain->data, chain->len));
        g_byte_array_set_size(chain, size);
    }
    for (guint at = 1; at < size; at++) {       /* nor does it begin later */
        g_assert_false(bytes_lead(chain->data + at, size - at));
    }
    g_byte_array_unref(chain);
}

/* A byte between certificates, counted by the first one's head or by none */
static void test_nothing_stands_between_certificates(void)
{
    Cert c[5];
    GByteArray *first, *chain;

    good(c, 2);
    for (int counted = 0; counted < 2; counted++) {
        first = chain_of(c, 1);
        g_byte_array_append(first, (const uint8_t *)"", 1);
        if (counted) {
            uint16_t size = first->len - 4;

            first->data[2] = size >> 8;
            first->data[3] = size;
        }
        chain = chain_of(c + 1, 1);
        g_byte_array_append(first, chain->data, chain->len);
        g_assert_false(bytes_lead(first->data, first->len));
        g_byte_array_unref(first);
        g_byte_array_unref(chain);
    }
}

static void test_each_byte_of_a_chain_counts(void)
{
    Cert c[5];
    GByteArray *chain = chain_of(c, good(c, 2));

    for (guint at = 0; at < chain->len; at++) {
        for (int bit = 0; bit < 8; bit += 7) {
            chain->data[at] ^= 1 << bit;
            if (bytes_lead(chain->data, chain->len)) {
                g_error("byte %u, bit %d", at, bit);
            }
            chain->data[at] ^= 1 << bit;
        }
    }
    g_assert_true(bytes_lead(chain->data, chain->len));
    g_byte_array_unref(chain);
}

/* Bytes of any kind, some of them on top of a chain: nothing but refusals */
static void test_no_bytes_do_harm(void)
{
    GRand *rand = g_rand_new_with_seed(15);
    Cert c[5];
    GByteArray *chain = chain_of(c, good(c, 4));
    g_autofree uint8_t *data = g_malloc(chain->len);

    for (int round = 0; round < 4000; round++) {
        size_t size = g_rand_int_range(rand, 0, chain->len + 1);
        int changes = g_rand_int_range(rand, 1, 9);

        memcpy(data, chain->data, chain->len);
        size = round % 2 ? chain->len : size;
        for (int i = 0; i < changes; i++) {
            data[g_rand_int_range(rand, 0, chain->len)] ^=
                g_rand_int_range(rand, 1, 256);
        }
        g_assert_false(bytes_lead(data, size));
    }
    g_byte_array_unref(chain);
    g_rand_free(rand);
}

#define TEST(name) g_test_add_func("/certificates/" #name, test_##name)

int main(int argc, char **argv)
{
    int result;

    g_test_init(&argc, &argv, NULL);
    for (int i = 0; i < NAMES; i++) {
        keys[i] = new_ecdsa(GNUTLS_ECC_CURVE_SECP384R1);
    }
    TEST(chains_of_2_to_4_lead_to_their_authority);
    TEST(one_certificate_is_no_chain);
    TEST(five_certificates_are_too_many);
    TEST(certificates_have_one_order);
    TEST(no_certificate_is_there_for_nothing);
    TEST(the_authority_inside_of_a_chain_is_one_more_link);
    TEST(the_last_one_is_signed_by_itself);
    TEST(the_first_one_has_the_platforms_key);
    TEST(each_one_is_signed_by_the_next);
    TEST(an_authority_may_sign_certificates);
    TEST(a_path_has_its_length);
    TEST(all_keys_are_on_p384);
    TEST(signatures_have_one_of_three_hashes);
    TEST(dates_do_not_matter);
    TEST(critical_extensions_have_to_be_known);
    TEST(a_library_that_fails_vouches_for_nobody);
    TEST(a_chain_ends_with_its_last_byte);
    TEST(nothing_stands_between_certificates);
    TEST(each_byte_of_a_chain_counts);
    TEST(no_bytes_do_harm);
    result = g_test_run();
    for (int i = 0; i < NAMES; i++) {
        gnutls_x509_privkey_deinit(keys[i]);
    }
    return result;
}
