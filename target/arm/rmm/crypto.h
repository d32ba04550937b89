/*
 * Cryptography of Realm migration
 *
 * Purpose: the three primitives of docs/specs/realm-migration-stream.rst,
 * "Keys": X25519, HKDF-SHA-256 and AES-256-GCM, with nothing to choose.
 *
 * Invariants:
 * - A secret lives in a caller's buffer that the caller wipes with
 *   secret_wipe, or inside a CryptoAead, which wipes itself.
 * - Sealing and opening work in place, in private memory: a buffer that the
 *   host can write to while GHASH runs over it would let the host choose a
 *   ciphertext and receive its tag.
 *
 * Lock rule: no locks.  One CryptoAead serves one thread at a time.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef RMM_CRYPTO_H
#define RMM_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CRYPTO_KEY_SIZE   32
#define CRYPTO_IV_SIZE    12
#define CRYPTO_TAG_SIZE   16
#define CRYPTO_POINT_SIZE 32
#define CRYPTO_HASH_SIZE  32

typedef struct CryptoAead CryptoAead;

CryptoAead *crypto_aead_new(const uint8_t key[CRYPTO_KEY_SIZE]);
void crypto_aead_free(CryptoAead *aead);

/*
 * Encrypt @len bytes at @text where they are, and write CRYPTO_TAG_SIZE
 * bytes of tag behind them.
 */
bool crypto_seal(CryptoAead *aead, const uint8_t iv[CRYPTO_IV_SIZE],
                 const void *aad, size_t aad_len, uint8_t *text, size_t len);

/*
 * Decrypt @len bytes at @text where they are; the tag is behind them.  On
 * failure @text holds nothing that may be used.
 */
bool crypto_open(CryptoAead *aead, const uint8_t iv[CRYPTO_IV_SIZE],
                 const void *aad, size_t aad_len, uint8_t *text, size_t len);

/* The public point of a secret of 32 random bytes (RFC 7748) */
void crypto_public(uint8_t point[CRYPTO_POINT_SIZE],
                   const uint8_t secret[CRYPTO_KEY_SIZE]);

/*
 * The secret that both sides share.  False if it is zero: a peer's point of
 * small order (RFC 7748, 6.1) gives that, and then everybody knows it.
 */
bool crypto_shared(uint8_t shared[CRYPTO_POINT_SIZE],
                   const uint8_t secret[CRYPTO_KEY_SIZE],
                   const uint8_t peer[CRYPTO_POINT_SIZE]);

void crypto_hash(uint8_t hash[CRYPTO_HASH_SIZE], const void *data, size_t len);

/* HKDF-SHA-256 (RFC 5869): one key of CRYPTO_KEY_SIZE bytes */
bool crypto_derive(uint8_t key[CRYPTO_KEY_SIZE],
                   const void *secret, size_t secret_len,
                   const void *salt, size_t salt_len,
                   const void *info, size_t info_len);

/* Compare in a time that does not depend on where @a and @b differ */
bool crypto_equal(const void *a, const void *b, size_t len);

/* Overwrite a secret in a way that no compiler removes */
void secret_wipe(void *secret, size_t len);

#endif
