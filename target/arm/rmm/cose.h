/*
 * COSE for tokens: P-384 keys and COSE_Sign1 with ES384
 *
 * Purpose: the parts of RFC 9052 and 9053 that CCA tokens use, with nothing
 * to choose; on GnuTLS.
 *
 * Invariants: a private key lives inside GnuTLS only.  Output is the same for
 * the same input, apart from the 96 bytes of a signature.
 *
 * Lock rule: no locks.  A CoseKey may be used by any threads at once.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef RMM_COSE_H
#define RMM_COSE_H

#include <glib.h>

#define COSE_COORDINATE_SIZE 48
#define COSE_SIGNATURE_SIZE (2 * COSE_COORDINATE_SIZE)

typedef struct CoseKey CoseKey;

/* A private key in DER (PKCS #8 or SEC 1); NULL if it is not one on P-384. */
CoseKey *cose_key_new(const void *der, size_t size);
void cose_key_free(CoseKey *key);

/* The public half as COSE_Key: kty EC2, crv P-384, x, y. */
GBytes *cose_key_public(const CoseKey *key);

/*
 * Tagged COSE_Sign1 over @payload, which this drops; NULL if GnuTLS could not
 * sign.
 */
GBytes *cose_sign1(const CoseKey *key, GBytes *payload);

#endif
