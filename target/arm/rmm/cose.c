/*
 * COSE for tokens (see cose.h)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include <gnutls/crypto.h>
#include "cbor-make.h"
#include "cbor-read.h"
#include "cose.h"

/* RFC 9052 and 9053 */
#define TAG_SIGN1 18
enum { HEADER_ALG = 1, ALG_ES384 = -35 };
enum { KEY_KTY = 1, KEY_CRV = -1, KEY_X = -2, KEY_Y = -3 };
enum { KTY_EC2 = 2, CRV_P384 = 2 };

struct CoseKey {
    gnutls_privkey_t private;
    uint8_t point[COSE_POINT_SIZE];
};

/* GnuTLS drops leading zeros or adds one; COSE has a fixed size. */
static bool fixed_size(uint8_t out[COSE_COORDINATE_SIZE],
                       const gnutls_datum_t *number)
{
    const uint8_t *data = number->data;
    size_t size = number->size;

    while (size && !*data) {
        data++;
        size--;
    }
    if (size > COSE_COORDINATE_SIZE) {
        return false;
    }
    memset(out, 0, COSE_COORDINATE_SIZE - size);
    memcpy(out + COSE_COORDINATE_SIZE - size, data, size);
    return true;
}

bool cose_read_point(uint8_t point[COSE_POINT_SIZE], gnutls_pubkey_t public)
{
    gnutls_datum_t x = { NULL, 0 }, y = { NULL, 0 };
    gnutls_ecc_curve_t curve;
    bool ok;

    ok = gnutls_pubkey_export_ecc_raw(public, &curve, &x, &y) == 0 &&
         curve == GNUTLS_ECC_CURVE_SECP384R1 &&
         fixed_size(point, &x) &&
         fixed_size(point + COSE_COORDINATE_SIZE, &y);
    gnutls_free(x.data);
    gnutls_free(y.data);
    return ok;
}

static bool read_public(CoseKey *key)
{
    gnutls_pubkey_t public;
    bool ok;

    if (gnutls_pubkey_init(&public) != 0) {
        return false;
    }
    ok = gnutls_pubkey_import_privkey(public, key->private, 0, 0) == 0 &&
         cose_read_point(key->point, public);
    gnutls_pubkey_deinit(public);
    return ok;
}

CoseKey *cose_key_new(const void *der, size_t size)
{
    gnutls_datum_t datum = { (void *)der, size };
    CoseKey *key = g_new0(CoseKey, 1);

    if (gnutls_privkey_init(&key->private) != 0) {
        g_free(key);
        return NULL;
    }
    if (gnutls_privkey_import_x509_raw(key->private, &datum,
                                       GNUTLS_X509_FMT_DER, NULL, 0) != 0 ||
        gnutls_privkey_get_pk_algorithm(key->private, NULL) != GNUTLS_PK_ECDSA
        || !read_public(key)) {
        cose_key_free(key);
        return NULL;
    }
    return key;
}

void cose_key_free(CoseKey *key)
{
    if (key) {
        gnutls_privkey_deinit(key->private);
        g_free(key);
    }
}

GBytes *cose_key_public(const CoseKey *key)
{
    cbor_item_t *map = cbor_make_map(4);

    cbor_put(map, KEY_KTY, cbor_make_int(KTY_EC2));
    cbor_put(map, KEY_CRV, cbor_make_int(CRV_P384));
    cbor_put(map, KEY_X, cbor_make_bytes(key->point, COSE_COORDINATE_SIZE));
    cbor_put(map, KEY_Y, cbor_make_bytes(key->point + COSE_COORDINATE_SIZE,
                                         COSE_COORDINATE_SIZE));
    return cbor_finish(map);
}

/* The protected header; nothing else says what the signature is. */
static GBytes *protected_header(void)
{
    cbor_item_t *map = cbor_make_map(1);

    cbor_put(map, HEADER_ALG, cbor_make_int(ALG_ES384));
    return cbor_finish(map);
}

/* Sig_structure of RFC 9052, 4.4: what is signed. */
static GBytes *signed_bytes(GBytes *payload)
{
    cbor_item_t *array = cbor_make_array(4);

    cbor_append(array, cbor_make_text("Signature1"));
    cbor_append(array, cbor_make_taken(protected_header()));
    cbor_append(array, cbor_make_bytes("", 0));
    cbor_append(array, cbor_make_taken(g_bytes_ref(payload)));
    return cbor_finish(array);
}

/* GnuTLS gives r and s in DER; COSE wants them side by side. */
static bool unpack_signature(uint8_t signature[COSE_SIGNATURE_SIZE],
                             const gnutls_datum_t *der)
{
    gnutls_datum_t r = { NULL, 0 }, s = { NULL, 0 };
    bool ok;

    ok = gnutls_decode_rs_value(der, &r, &s) == 0 &&
         fixed_size(signature, &r) &&
         fixed_size(signature + COSE_COORDINATE_SIZE, &s);
    gnutls_free(r.data);
    gnutls_free(s.data);
    return ok;
}

static bool sign_bytes(const CoseKey *key, GBytes *bytes,
                       uint8_t signature[COSE_SIGNATURE_SIZE])
{
    gsize size;
    const void *data = g_bytes_get_data(bytes, &size);
    gnutls_datum_t datum = { (void *)data, size }, der = { NULL, 0 };
    bool ok;

    ok = gnutls_privkey_sign_data(key->private, GNUTLS_DIG_SHA384,
                                  GNUTLS_PRIVKEY_FLAG_REPRODUCIBLE,
                                  &datum, &der) == 0 &&
         unpack_signature(signature, &der);
    gnutls_free(der.data);
    return ok;
}

GBytes *cose_sign1(const CoseKey *key, GBytes *payload)
{
    GBytes *bytes = signed_bytes(payload);
    uint8_t signature[COSE_SIGNATURE_SIZE];
    bool ok = sign_bytes(key, bytes, signature);
    cbor_item_t *array;

    g_bytes_unref(bytes);
    if (!ok) {
        g_bytes_unref(payload);
        return NULL;
    }
    array = cbor_make_array(4);
    cbor_append(array, cbor_make_taken(protected_header()));
    cbor_append(array, cbor_make_map(0));
    cbor_append(array, cbor_make_taken(payload));
    cbor_append(array, cbor_make_bytes(signature, sizeof(signature)));
    return cbor_finish(cbor_make_tag(TAG_SIGN1, array));
}

void cose_key_point(const CoseKey *key, uint8_t point[COSE_POINT_SIZE])
{
    memcpy(point, key->point, COSE_POINT_SIZE);
}

/* @point as GnuTLS's key, or NULL if it is not on the curve. */
static gnutls_pubkey_t import_point(const uint8_t point[COSE_POINT_SIZE])
{
    gnutls_datum_t x = { (uint8_t *)point, COSE_COORDINATE_SIZE };
    gnutls_datum_t y = { (uint8_t *)point + x.size, COSE_COORDINATE_SIZE };
    gnutls_pubkey_t key;

    if (gnutls_pubkey_init(&key) != 0) {
        return NULL;
    }
    if (gnutls_pubkey_import_ecc_raw(key, GNUTLS_ECC_CURVE_SECP384R1,
                                     &x, &y) != 0 ||
        gnutls_pubkey_verify_params(key) != 0) {
        gnutls_pubkey_deinit(key);
        return NULL;
    }
    return key;
}

bool cose_point_valid(const uint8_t point[COSE_POINT_SIZE])
{
    gnutls_pubkey_t key = import_point(point);

    if (key) {
        gnutls_pubkey_deinit(key);
    }
    return key;
}

/* D2 84 44 A1 01 38 22 A0: a tagged array of four, ES384, no more headers */
static const uint8_t sign1_head[] = {
    0xc0 | TAG_SIGN1, 0x84, 0x44, 0xa1, HEADER_ALG, 0x38, -1 - ALG_ES384, 0xa0
};

bool cose_split(CoseSign1 *parts, const void *message, size_t size)
{
    CborReader r = { message, (const uint8_t *)message + size };
    size_t signature_size;

    if (size < sizeof(sign1_head) ||
        memcmp(message, sign1_head, sizeof(sign1_head)) != 0) {
        return false;
    }
    r.at += sizeof(sign1_head);
    return cbor_read_string(&r, CBOR_BYTES, &parts->payload,
                            &parts->payload_size) &&
           cbor_read_string(&r, CBOR_BYTES, &parts->signature,
                            &signature_size) &&
           signature_size == COSE_SIGNATURE_SIZE && r.at == r.end;
}

/* A number without leading zeros, as DER has it. */
static gnutls_datum_t
short_number(const uint8_t coordinate[COSE_COORDINATE_SIZE])
{
    size_t skip = 0;

    while (skip < COSE_COORDINATE_SIZE - 1 && !coordinate[skip]) {
        skip++;
    }
    return (gnutls_datum_t) { (uint8_t *)coordinate + skip,
                              COSE_COORDINATE_SIZE - skip };
}

static bool verify_bytes(gnutls_pubkey_t key, GBytes *bytes,
                         const uint8_t signature[COSE_SIGNATURE_SIZE])
{
    gnutls_datum_t r = short_number(signature), der = { NULL, 0 };
    gnutls_datum_t s = short_number(signature + COSE_COORDINATE_SIZE);
    gsize size;
    const void *data = g_bytes_get_data(bytes, &size);
    gnutls_datum_t datum = { (void *)data, size };
    bool ok;

    ok = gnutls_encode_rs_value(&der, &r, &s) == 0 &&
         gnutls_pubkey_verify_data2(key, GNUTLS_SIGN_ECDSA_SHA384, 0, &datum,
                                    &der) >= 0;
    gnutls_free(der.data);
    return ok;
}

bool cose_verify(const CoseSign1 *parts, const uint8_t point[COSE_POINT_SIZE])
{
    gnutls_pubkey_t key = import_point(point);
    GBytes *payload, *bytes;
    bool ok;

    if (!key) {
        return false;
    }
    payload = g_bytes_new_static(parts->payload, parts->payload_size);
    bytes = signed_bytes(payload);
    ok = verify_bytes(key, bytes, parts->signature);
    g_bytes_unref(bytes);
    g_bytes_unref(payload);
    gnutls_pubkey_deinit(key);
    return ok;
}
