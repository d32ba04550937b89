/*
 * CCA attestation tokens: claims to CBOR (RMM 1.0, A7.2)
 *
 * Purpose: a token is two signed maps of claims.  The realm token is about
 * the Realm and signed with the Realm attestation key (RAK); the platform
 * token is about what runs the RMM, signed with the platform key, and bound
 * to the realm token by the hash of the RAK.
 *
 *   399({ 44234: platform token, 44241: realm token })
 *
 * The platform token alone also stands for an RMM in a migration; then its
 * challenge binds it to the exchange (session.h).
 *
 * Invariants:
 * - The platform token names a model as its implementation, and the machine
 *   says no secured life cycle (RmmPlatform.lifecycle) but in tests, so that no
 *   verifier takes it for hardware.
 * - The platform's key signs every software component: whoever has the key
 *   vouches for them, since nobody signed a model.
 * - Maps are encoded deterministically (RFC 8949, 4.2): the same claims and
 *   keys give the same bytes.
 *
 * Lock rule: no locks.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef RMM_TOKEN_H
#define RMM_TOKEN_H

#include "cose.h"
#include "realm.h"

#define TOKEN_CHALLENGE_SIZE 64
#define TOKEN_HASH_SIZE 32              /* SHA-256 */
/* No token is larger. */
#define TOKEN_MAX_SIZE 4096

/* What the implementation id says, padded with zeros to 32 bytes. */
#define TOKEN_IMPLEMENTATION "QEMU RMM model, not hardware"

/* A piece of software; measured with SHA-256. */
typedef struct TokenComponent {
    const char *type;
    char version[16];
    uint8_t measurement[TOKEN_HASH_SIZE];
} TokenComponent;

/* What a platform token says of the machine that makes it */
typedef struct TokenMachine {
    uint16_t lifecycle;
    const TokenComponent *components;
    unsigned num_components;
} TokenMachine;

typedef struct TokenClaims {
    uint8_t challenge[TOKEN_CHALLENGE_SIZE];
    uint8_t rpv[64];
    uint8_t hash_algo;          /* RMI_HASH_* */
    uint8_t measurement[MEASUREMENT_SLOTS][MEASUREMENT_BYTES];
    TokenMachine machine;
} TokenClaims;

/* Platform life cycles that count as secured (CCA platform token) */
#define TOKEN_SECURED_FIRST 0x3000
#define TOKEN_SECURED_LAST  0x30ff

static inline bool token_is_secured(uint16_t lifecycle)
{
    return lifecycle >= TOKEN_SECURED_FIRST && lifecycle <= TOKEN_SECURED_LAST;
}

/* A string inside of what was read; NULL if it is absent */
typedef struct TokenString {
    const uint8_t *data;
    size_t size;
} TokenString;

/* A piece of a peer's software, as its platform token names it */
typedef struct TokenPeerComponent {
    TokenString type, measurement, version, signer;
} TokenPeerComponent;

#define TOKEN_MAX_COMPONENTS 32

/*
 * What a platform token of a peer says, once its signature is verified.  The
 * components point into the token.
 */
typedef struct TokenPlatform {
    uint8_t challenge[TOKEN_HASH_SIZE];
    uint8_t implementation_id[32];
    uint16_t lifecycle;
    bool is_cca;                /* the profile is that of a CCA platform */
    unsigned num_components;
    TokenPeerComponent components[TOKEN_MAX_COMPONENTS];
} TokenPlatform;

/* A platform token about @challenge; NULL if GnuTLS could not sign. */
GBytes *token_make_platform(const uint8_t challenge[TOKEN_HASH_SIZE],
                            const TokenMachine *machine,
                            const CoseKey *platform);

/*
 * Read the payload of a platform token; false unless it is one map that has
 * each of these claims once, in any order and among others, and each component
 * is such a map as well, with a measurement and none of these twice.
 */
bool token_read_platform(TokenPlatform *claims,
                         const uint8_t *payload, size_t size);

/* NULL if GnuTLS could not sign. */
GBytes *token_make(const TokenClaims *claims, const CoseKey *rak,
                   const CoseKey *platform);

#endif
