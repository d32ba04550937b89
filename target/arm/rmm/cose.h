/*
 * COSE for tokens: P-384 keys and COSE_Sign1 with ES384
 *
 * Purpose: the parts of RFC 9052 and 9053 that CCA tokens use, with nothing
 * to choose; on GnuTLS.
 *
 * Invariants: a private key lives inside GnuTLS only.  The same input gives the
 * same output.  That holds for signatures too (RFC 6979), so they need no
 * randomness, which could be weak.  Nobody trusts a message from others before
 * cose_verify: its outer form has one encoding, and cose_split does not look
 * inside.
 *
 * Lock rule: no locks.  A CoseKey may be used by any threads at once.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef RMM_COSE_H
#define RMM_COSE_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <gnutls/abstract.h>

#define COSE_COORDINATE_SIZE 48
#define COSE_SIGNATURE_SIZE (2 * COSE_COORDINATE_SIZE)
#define COSE_POINT_SIZE (2 * COSE_COORDINATE_SIZE)

typedef struct CoseKey CoseKey;

/* A private key in DER (PKCS #8 or SEC 1); NULL if it is not one on P-384. */
CoseKey *cose_key_new(const void *der, size_t size);
void cose_key_free(CoseKey *key);

/* The public half as COSE_Key: kty EC2, crv P-384, x, y. */
GBytes *cose_key_public(const CoseKey *key);

/* The public half, x and y. */
void cose_key_point(const CoseKey *key, uint8_t point[COSE_POINT_SIZE]);

/* x and y of a key of GnuTLS's; false unless it is on P-384. */
bool cose_read_point(uint8_t point[COSE_POINT_SIZE], gnutls_pubkey_t public);

/* Is @point on the curve? */
bool cose_point_valid(const uint8_t point[COSE_POINT_SIZE]);

/*
 * Tagged COSE_Sign1 over @payload, which this drops; NULL if GnuTLS could not
 * sign.
 */
GBytes *cose_sign1(const CoseKey *key, GBytes *payload);

/* A COSE_Sign1; both point into it. */
typedef struct CoseSign1 {
    const uint8_t *payload;
    size_t payload_size;
    const uint8_t *signature;   /* COSE_SIGNATURE_SIZE bytes */
} CoseSign1;

/* Take @message apart; false unless it is of the form that cose_sign1 makes. */
bool cose_split(CoseSign1 *parts, const void *message, size_t size);

/* Did the key with @point sign the payload? */
bool cose_verify(const CoseSign1 *parts,
                 const uint8_t point[COSE_POINT_SIZE]);

#endif
