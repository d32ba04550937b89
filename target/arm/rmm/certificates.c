/*
 * Certificates of platform keys (see certificates.h)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include <gnutls/x509.h>
#include "certificates.h"

/* No clock, and the order that they have is the one that counts. */
#define VERIFY_FLAGS (GNUTLS_VERIFY_DISABLE_TIME_CHECKS | \
                      GNUTLS_VERIFY_DO_NOT_ALLOW_UNSORTED_CHAIN | \
                      GNUTLS_VERIFY_DO_NOT_ALLOW_X509_V1_CA_CRT)

typedef struct Chain {
    gnutls_x509_crt_t crt[CERTIFICATES_MAX];
    unsigned count;
} Chain;

static void chain_free(Chain *chain)
{
    while (chain->count) {
        gnutls_x509_crt_deinit(chain->crt[--chain->count]);
    }
}

/*
 * Size of the certificate at @der, or 0 if there is none in @left bytes.  With
 * a key and a signature on P-384 it has more than 255 bytes, and DER one head.
 */
static size_t certificate_size(const uint8_t *der, size_t left)
{
    size_t size;

    if (left < 4 || der[0] != 0x30 || der[1] != 0x82) {
        return 0;
    }
    size = 4 + (der[2] << 8 | der[3]);
    return size <= left ? size : 0;
}

static bool add_certificate(Chain *chain, const uint8_t *der, size_t size)
{
    gnutls_datum_t datum = { (uint8_t *)der, size };

    if (chain->count == CERTIFICATES_MAX ||
        gnutls_x509_crt_init(&chain->crt[chain->count]) != 0) {
        return false;
    }
    return gnutls_x509_crt_import(chain->crt[chain->count++], &datum,
                                  GNUTLS_X509_FMT_DER) == 0;
}

/* What was added belongs to @chain, also if this fails. */
static bool chain_read(Chain *chain, const uint8_t *der, size_t size)
{
    for (size_t at = 0, len; at < size; at += len) {
        len = certificate_size(der + at, size - at);
        if (!len || !add_certificate(chain, der + at, len)) {
            return false;
        }
    }
    return chain->count >= CERTIFICATES_MIN;
}

static bool key_of(gnutls_x509_crt_t crt, uint8_t point[COSE_POINT_SIZE])
{
    gnutls_pubkey_t public;
    bool ok;

    if (gnutls_pubkey_init(&public) != 0) {
        return false;
    }
    ok = gnutls_pubkey_import_x509(public, crt, 0) == 0 &&
         cose_read_point(point, public);
    gnutls_pubkey_deinit(public);
    return ok;
}

/* GnuTLS would take other hashes, and does not look at the last one's. */
static bool signature_known(gnutls_x509_crt_t crt)
{
    switch (gnutls_x509_crt_get_signature_algorithm(crt)) {
    case GNUTLS_SIGN_ECDSA_SHA256:
    case GNUTLS_SIGN_ECDSA_SHA384:
    case GNUTLS_SIGN_ECDSA_SHA512:
        return true;
    default:
        return false;
    }
}

/*
 * No extension is critical but the two that are looked at.  GnuTLS takes some
 * that mean nothing to it here: names that are allowed, purposes of a key.
 */
static bool extensions_known(gnutls_x509_crt_t crt)
{
    unsigned critical;
    char oid[128];              /* GnuTLS keeps no longer ones */
    int err = 0;

    for (unsigned i = 0; err == 0; i++) {
        size_t size = sizeof(oid);

        err = gnutls_x509_crt_get_extension_info(crt, i, oid, &size,
                                                 &critical);
        if (err == 0 && critical &&
            strcmp(oid, GNUTLS_X509EXT_OID_BASIC_CONSTRAINTS) != 0 &&
            strcmp(oid, GNUTLS_X509EXT_OID_KEY_USAGE) != 0) {
            return false;
        }
    }
    return err == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE;
}

/*
 * GnuTLS does not verify what is trusted, unless it is told to.  In a path, it
 * leaves out a certificate that is there twice, and what stands behind one with
 * the authority's name and key.  So each link is looked at here.
 */
static bool signed_by(gnutls_x509_crt_t crt, gnutls_x509_crt_t issuer)
{
    unsigned status;

    return gnutls_x509_crt_verify(crt, &issuer, 1, VERIFY_FLAGS |
                                  GNUTLS_VERIFY_DO_NOT_ALLOW_SAME,
                                  &status) == 0 && status == 0;
}

/*
 * Each of them, and the one that signed it.  Only the last one may name itself
 * as its issuer: GnuTLS leaves out others that do, and does not see what signed
 * them.
 */
static bool each_fits(const Chain *chain)
{
    uint8_t point[COSE_POINT_SIZE];

    for (unsigned i = 0; i < chain->count; i++) {
        const bool last = i == chain->count - 1;
        gnutls_x509_crt_t crt = chain->crt[i];

        if (!key_of(crt, point) || !signature_known(crt) ||
            !extensions_known(crt) ||
            (gnutls_x509_crt_check_issuer(crt, crt) && !last) ||
            !signed_by(crt, last ? crt : chain->crt[i + 1])) {
            return false;
        }
    }
    return true;
}

/* Are the others a path (RFC 5280, 6) from the last one, if that is trusted? */
static bool path_valid(const Chain *chain)
{
    gnutls_x509_crt_t last = chain->crt[chain->count - 1];
    gnutls_x509_trust_list_t list;
    unsigned status;
    bool ok;

    if (gnutls_x509_trust_list_init(&list, 0) != 0) {
        return false;
    }
    ok = gnutls_x509_trust_list_add_cas(list, &last, 1, 0) == 1 &&
         gnutls_x509_trust_list_verify_crt(list,
                                           (gnutls_x509_crt_t *)chain->crt,
                                           chain->count - 1, VERIFY_FLAGS,
                                           &status, NULL) == 0 &&
         status == 0;
    gnutls_x509_trust_list_deinit(list, 0);
    return ok;
}

bool certificates_check(const uint8_t *der, size_t size,
                        const uint8_t key[COSE_POINT_SIZE],
                        uint8_t authority[COSE_POINT_SIZE])
{
    Chain chain = { .count = 0 };
    uint8_t point[COSE_POINT_SIZE];
    bool ok;

    ok = chain_read(&chain, der, size) && each_fits(&chain) &&
         key_of(chain.crt[0], point) &&
         memcmp(point, key, sizeof(point)) == 0 &&
         key_of(chain.crt[chain.count - 1], authority) &&
         path_valid(&chain);
    chain_free(&chain);
    return ok;
}
