/*
 * Trust anchors from a PEM file (target/arm/realm/trust-anchors.c)
 *
 * Purpose: what is read, in which order; what is refused, and that nothing
 * has changed then.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <gnutls/abstract.h>
#include <gnutls/x509.h>
#include "qapi/error.h"
#include "target/arm/realm/trust-anchors.h"

#define OK(call) g_assert_cmpint((call), ==, 0)

static char *path;

static gnutls_x509_privkey_t key_new(gnutls_ecc_curve_t curve)
{
    gnutls_x509_privkey_t key;

    OK(gnutls_x509_privkey_init(&key));
    OK(gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA,
                                    GNUTLS_CURVE_TO_BITS(curve), 0));
    return key;
}

static char *text_of(gnutls_datum_t *pem)
{
    char *text = g_strndup((char *)pem->data, pem->size);

    gnutls_free(pem->data);
    return text;
}

static char *public_pem(gnutls_x509_privkey_t key)
{
    gnutls_privkey_t private;
    gnutls_pubkey_t public;
    gnutls_datum_t pem;

    OK(gnutls_privkey_init(&private));
    OK(gnutls_pubkey_init(&public));
    OK(gnutls_privkey_import_x509(private, key, 0));
    OK(gnutls_pubkey_import_privkey(public, private, 0, 0));
    OK(gnutls_pubkey_export2(public, GNUTLS_X509_FMT_PEM, &pem));
    gnutls_pubkey_deinit(public);
    gnutls_privkey_deinit(private);
    return text_of(&pem);
}

/* What a certificate says of what it may sign */
typedef enum Kind {
    PLAIN,                      /* nothing */
    NO_AUTHORITY,               /* CA:FALSE */
    AUTHORITY,                  /* CA:TRUE, no key usage */
    AUTHORITY_BY_USAGE,         /* CA:TRUE, signs certificates */
    AUTHORITY_BUT_USAGE,        /* CA:TRUE, does not sign certificates */
    KINDS
} Kind;

static void set_kind(gnutls_x509_crt_t certificate, Kind kind)
{
    if (kind != PLAIN) {
        OK(gnutls_x509_crt_set_ca_status(certificate, kind != NO_AUTHORITY));
    }
    if (kind >= AUTHORITY_BY_USAGE) {
        OK(gnutls_x509_crt_set_key_usage(
               certificate, kind == AUTHORITY_BY_USAGE
               ? GNUTLS_KEY_KEY_CERT_SIGN | GNUTLS_KEY_CRL_SIGN
               : GNUTLS_KEY_DIGITAL_SIGNATURE));
    }
}

static char *certificate_pem(gnutls_x509_privkey_t key, Kind kind)
{
    gnutls_x509_crt_t certificate;
    gnutls_datum_t pem;

    OK(gnutls_x509_crt_init(&certificate));
    OK(gnutls_x509_crt_set_version(certificate, 3));
    OK(gnutls_x509_crt_set_serial(certificate, "\1", 1));
    OK(gnutls_x509_crt_set_activation_time(certificate, 0));
    OK(gnutls_x509_crt_set_expiration_time(certificate, 1u << 31));
    OK(gnutls_x509_crt_set_key(certificate, key));
    set_kind(certificate, kind);
    OK(gnutls_x509_crt_sign2(certificate, certificate, key,
                             GNUTLS_DIG_SHA384, 0));
    OK(gnutls_x509_crt_export2(certificate, GNUTLS_X509_FMT_PEM, &pem));
    gnutls_x509_crt_deinit(certificate);
    return text_of(&pem);
}

/* X and Y of @key, which has no leading zero: see point_of. */
static bool raw_point(gnutls_x509_privkey_t key, uint8_t *point)
{
    gnutls_ecc_curve_t curve;
    gnutls_datum_t x, y, k;
    bool whole;

    OK(gnutls_x509_privkey_export_ecc_raw(key, &curve, &x, &y, &k));
    whole = x.size >= 48 && y.size >= 48;
    if (whole) {
        memcpy(point, x.data + x.size - 48, 48);
        memcpy(point + 48, y.data + y.size - 48, 48);
    }
    gnutls_free(x.data);
    gnutls_free(y.data);
    gnutls_free(k.data);
    return whole;
}

/* A key on P-384 whose coordinates fill their 48 bytes. */
static gnutls_x509_privkey_t anchor_new(uint8_t point[REALM_ANCHOR_SIZE])
{
    for (;;) {
        gnutls_x509_privkey_t key = key_new(GNUTLS_ECC_CURVE_SECP384R1);

        if (raw_point(key, point)) {
            return key;
        }
        gnutls_x509_privkey_deinit(key);
    }
}

static void write_file(const void *data, gssize size)
{
    g_assert_true(g_file_set_contents(path, data, size, NULL));
}

static void check_refused(const char *reason)
{
    RealmPolicy before, policy;
    Error *err = NULL;

    memset(&before, 0x5a, sizeof(before));
    policy = before;
    g_assert_false(trust_anchors_read(&policy, path, &err));
    g_assert_nonnull(strstr(error_get_pretty(err), reason));
    g_assert_nonnull(strstr(error_get_pretty(err), "give "));
    g_assert_null(strchr(error_get_pretty(err), '\n'));
    g_assert_cmpmem(&policy, sizeof(policy), &before, sizeof(before));
    error_free(err);
}

static void test_order(void)
{
    g_autoptr(GString) text = g_string_new("a line that is no PEM\n");
    RealmPolicy policy = { .has_implementation = true };
    RealmAnchor anchors[REALM_MAX_ANCHORS] = { 0 };

    for (int i = 0; i < REALM_MAX_ANCHORS; i++) {
        gnutls_x509_privkey_t key = anchor_new(anchors[i].key);
        g_autofree char *pem = i % 2 ? certificate_pem(key, PLAIN)
                                     : public_pem(key);

        g_string_append(text, pem);
        gnutls_x509_privkey_deinit(key);
    }
    write_file(text->str, -1);
    g_assert_true(trust_anchors_read(&policy, path, &error_abort));
    g_assert_cmpint(policy.num_anchors, ==, REALM_MAX_ANCHORS);
    g_assert_cmpmem(policy.anchors, sizeof(policy.anchors), anchors,
                    sizeof(anchors));
    g_assert_true(policy.has_implementation);

    /* One more is too many. */
    g_string_append_len(text, text->str, text->len);
    write_file(text->str, -1);
    check_refused("more than 8 keys");
}

static void test_authorities(void)
{
    static const bool authority[KINDS] = {
        [AUTHORITY] = true, [AUTHORITY_BY_USAGE] = true,
    };
    uint8_t point[REALM_ANCHOR_SIZE];
    gnutls_x509_privkey_t key = anchor_new(point);

    for (Kind kind = 0; kind < KINDS; kind++) {
        g_autofree char *pem = certificate_pem(key, kind);
        RealmPolicy policy = { 0 };

        write_file(pem, -1);
        g_assert_true(trust_anchors_read(&policy, path, &error_abort));
        g_assert_cmpint(policy.num_anchors, ==, 1);
        g_assert_cmpint(policy.anchors[0].authority, ==, authority[kind]);
        g_assert_cmpmem(policy.anchors[0].key, REALM_ANCHOR_SIZE, point,
                        sizeof(point));
    }
    gnutls_x509_privkey_deinit(key);
}

/* A second file takes the place of the first one. */
static void test_again(void)
{
    g_autofree char *one = NULL, *two = NULL;
    RealmAnchor anchors[REALM_MAX_ANCHORS] = { 0 };
    RealmPolicy policy = { 0 };
    gnutls_x509_privkey_t key = anchor_new(anchors[0].key);

    one = certificate_pem(key, AUTHORITY);
    two = g_strconcat(one, one, NULL);
    write_file(two, -1);
    g_assert_true(trust_anchors_read(&policy, path, &error_abort));
    g_assert_cmpint(policy.num_anchors, ==, 2);
    g_free(one);
    one = public_pem(key);
    write_file(one, -1);
    g_assert_true(trust_anchors_read(&policy, path, &error_abort));
    g_assert_cmpint(policy.num_anchors, ==, 1);
    g_assert_cmpmem(policy.anchors, sizeof(policy.anchors), anchors,
                    sizeof(anchors));
    gnutls_x509_privkey_deinit(key);
}

/* A coordinate with leading zeros has 48 bytes all the same. */
static void test_short_coordinate(void)
{
    uint8_t point[REALM_ANCHOR_SIZE];
    RealmPolicy policy = { 0 };

    for (int i = 0; i < 100000; i++) {
        gnutls_x509_privkey_t key = key_new(GNUTLS_ECC_CURVE_SECP384R1);
        g_autofree char *pem = public_pem(key);
        bool whole = raw_point(key, point);

        gnutls_x509_privkey_deinit(key);
        write_file(pem, -1);
        g_assert_true(trust_anchors_read(&policy, path, &error_abort));
        if (!whole || !policy.anchors[0].key[0] ||
            !policy.anchors[0].key[48]) {
            return;
        }
    }
    g_assert_not_reached();
}

static void test_other_curve(void)
{
    gnutls_x509_privkey_t key = key_new(GNUTLS_ECC_CURVE_SECP256R1);
    g_autofree char *pem = public_pem(key);

    gnutls_x509_privkey_deinit(key);
    write_file(pem, -1);
    check_refused("key 1 in");
}

static void test_other_contents(void)
{
    static const char *const texts[] = {
        "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        "-----BEGIN PUBLIC KEY-----\nAAAA\n",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        "-----BEGIN NOTHING-----\nAAAA\n-----END NOTHING-----\n",
    };

    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        write_file(texts[i], -1);
        check_refused("is no public key or certificate on P-384");
    }
    write_file("", -1);
    check_refused("no key in");
    write_file("\0-----BEGIN ", 12);
    check_refused("is not a text of at most 65536 bytes");
    unlink(path);
    check_refused("No such file");
}

int main(int argc, char **argv)
{
    int fd, ret;

    g_test_init(&argc, &argv, NULL);
    fd = g_file_open_tmp("trust-anchors-XXXXXX", &path, NULL);
    g_assert_cmpint(fd, >=, 0);
    close(fd);
    g_test_add_func("/trust-anchors/keys-and-certificates-in-order",
                    test_order);
    g_test_add_func("/trust-anchors/who-may-sign-certificates-is-an-authority",
                    test_authorities);
    g_test_add_func("/trust-anchors/a-second-file-replaces-the-first",
                    test_again);
    g_test_add_func("/trust-anchors/coordinates-have-a-fixed-size",
                    test_short_coordinate);
    g_test_add_func("/trust-anchors/refuse-another-curve", test_other_curve);
    g_test_add_func("/trust-anchors/refuse-other-contents",
                    test_other_contents);
    ret = g_test_run();
    unlink(path);
    g_free(path);
    return ret;
}
