/*
 * Trust anchors of a Realm's migration (see trust-anchors.h)
 *
 * Purpose: what a person collected in a file, to what the RMM compares with.
 *
 * Invariants: the user trusts the file.  Its keys are part of the Realm's
 * measurement, so their order matters, and no key is skipped.
 *
 * Lock rule: none, no state.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <gnutls/abstract.h>
#include <gnutls/x509.h>
#include "qapi/error.h"
#include "policy-text.h"
#include "trust-anchors.h"

#define OPTION "migration-trust-anchors"
#define COORDINATE (REALM_ANCHOR_SIZE / 2)
#define BEGIN "-----BEGIN "
#define END "-----END "

static bool copy_coordinate(uint8_t *out, const gnutls_datum_t *number)
{
    if (number->size > COORDINATE) {
        return false;
    }
    memset(out, 0, COORDINATE - number->size);
    memcpy(out + COORDINATE - number->size, number->data, number->size);
    return true;
}

static bool copy_point(uint8_t point[REALM_ANCHOR_SIZE], gnutls_pubkey_t key)
{
    gnutls_datum_t x = { NULL, 0 }, y = { NULL, 0 };
    gnutls_ecc_curve_t curve;
    bool ok;

    ok = gnutls_pubkey_export_ecc_raw2(key, &curve, &x, &y,
                                       GNUTLS_EXPORT_FLAG_NO_LZ) == 0 &&
         curve == GNUTLS_ECC_CURVE_SECP384R1 &&
         copy_coordinate(point, &x) &&
         copy_coordinate(point + COORDINATE, &y);
    gnutls_free(x.data);
    gnutls_free(y.data);
    return ok;
}

/* May it sign certificates (RFC 5280, 4.2.1.3 and 4.2.1.9)? */
static bool is_authority(gnutls_x509_crt_t certificate)
{
    unsigned usage, critical;

    return gnutls_x509_crt_get_ca_status(certificate, &critical) > 0 &&
           (gnutls_x509_crt_get_key_usage(certificate, &usage, &critical) < 0 ||
            (usage & GNUTLS_KEY_KEY_CERT_SIGN));
}

/* Its key, and whose it is; GnuTLS's result. */
static int import_certificate(RealmAnchor *anchor, gnutls_pubkey_t key,
                              const gnutls_datum_t *pem)
{
    gnutls_x509_crt_t certificate;
    int err = gnutls_x509_crt_init(&certificate);

    if (err) {
        return err;
    }
    err = gnutls_x509_crt_import(certificate, pem, GNUTLS_X509_FMT_PEM);
    if (!err) {
        anchor->authority = is_authority(certificate);
        err = gnutls_pubkey_import_x509(key, certificate, 0);
    }
    gnutls_x509_crt_deinit(certificate);
    return err;
}

/* One block of the file, from BEGIN to the end of its END line. */
static bool read_block(RealmAnchor *anchor, const char *block, size_t size)
{
    gnutls_datum_t pem = { (void *)block, size };
    gnutls_pubkey_t key;
    bool ok;

    if (gnutls_pubkey_init(&key)) {
        return false;
    }
    ok = (g_str_has_prefix(block, BEGIN "CERTIFICATE-----")
          ? import_certificate(anchor, key, &pem)
          : gnutls_pubkey_import(key, &pem, GNUTLS_X509_FMT_PEM)) == 0 &&
         copy_point(anchor->key, key);
    gnutls_pubkey_deinit(key);
    return ok;
}

/* The end of the block that begins at @block, or NULL. */
static const char *block_end(const char *block)
{
    const char *end = strstr(block, "\n" END);

    return end ? strchrnul(end + 1, '\n') : NULL;
}

static bool read_blocks(RealmPolicy *policy, const char *text,
                        const char *path, Error **errp)
{
    const char *block = text, *end;

    while ((block = strstr(block, BEGIN))) {
        if (policy->num_anchors == REALM_MAX_ANCHORS) {
            error_setg(errp, "rme-guest: " OPTION ": %s has more "
                       "than %d keys; give fewer", path, REALM_MAX_ANCHORS);
            return false;
        }
        end = block_end(block);
        if (!end || !read_block(&policy->anchors[policy->num_anchors], block,
                                end - block)) {
            error_setg(errp, "rme-guest: " OPTION ": key %u in "
                       "%s is no public key or certificate on P-384; give "
                       "such keys in PEM only", policy->num_anchors + 1, path);
            return false;
        }
        policy->num_anchors++;
        block = end;
    }
    if (!policy->num_anchors) {
        error_setg(errp, "rme-guest: " OPTION ": no key in %s; "
                   "give public keys or certificates in PEM", path);
    }
    return policy->num_anchors;
}

bool trust_anchors_read(RealmPolicy *policy, const char *path, Error **errp)
{
    g_autofree char *text = policy_text_read(path, OPTION, "keys in PEM", errp);
    RealmPolicy next = *policy;

    if (!text) {
        return false;
    }
    next.num_anchors = 0;
    memset(next.anchors, 0, sizeof(next.anchors));
    if (!read_blocks(&next, text, path, errp)) {
        return false;
    }
    *policy = next;
    return true;
}
