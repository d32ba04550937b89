/*
 * Cryptography of Realm migration, on GnuTLS and nettle
 *
 * Purpose, invariants and lock rule: crypto.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib.h>
#include <gnutls/gnutls.h>
#include <gnutls/crypto.h>
#include <nettle/curve25519.h>

#include "crypto.h"

G_STATIC_ASSERT(CRYPTO_POINT_SIZE == CURVE25519_SIZE);

struct CryptoAead {
    gnutls_aead_cipher_hd_t handle;
};

CryptoAead *crypto_aead_new(const uint8_t key[CRYPTO_KEY_SIZE])
{
    gnutls_datum_t datum = { (uint8_t *)key, CRYPTO_KEY_SIZE };
    CryptoAead *aead = g_new0(CryptoAead, 1);

    if (gnutls_aead_cipher_init(&aead->handle, GNUTLS_CIPHER_AES_256_GCM,
                                &datum) != 0) {
        g_free(aead);
        return NULL;
    }
    return aead;
}

void crypto_aead_free(CryptoAead *aead)
{
    if (aead) {
        gnutls_aead_cipher_deinit(aead->handle);
        g_free(aead);
    }
}

bool crypto_seal(CryptoAead *aead, const uint8_t iv[CRYPTO_IV_SIZE],
                 const void *aad, size_t aad_len, uint8_t *text, size_t len)
{
    size_t out = len + CRYPTO_TAG_SIZE;

    return gnutls_aead_cipher_encrypt(aead->handle, iv, CRYPTO_IV_SIZE,
                                      aad, aad_len, CRYPTO_TAG_SIZE,
                                      text, len, text, &out) == 0 &&
           out == len + CRYPTO_TAG_SIZE;
}

bool crypto_open(CryptoAead *aead, const uint8_t iv[CRYPTO_IV_SIZE],
                 const void *aad, size_t aad_len, uint8_t *text, size_t len)
{
    /* Room for the tag is there: some versions of GnuTLS ask for it */
    size_t out = len + CRYPTO_TAG_SIZE;

    return gnutls_aead_cipher_decrypt(aead->handle, iv, CRYPTO_IV_SIZE,
                                      aad, aad_len, CRYPTO_TAG_SIZE,
                                      text, len + CRYPTO_TAG_SIZE,
                                      text, &out) == 0 &&
           out == len;
}

/*
 * Nettle leaves a copy of the secret in a stack frame that is gone by now.  Not
 * inlined, so that this frame takes the place of that one.
 */
static void __attribute__((noinline)) wipe_dead_stack(void)
{
    uint8_t dead[4096];

    secret_wipe(dead, sizeof(dead));
}

void crypto_public(uint8_t point[CRYPTO_POINT_SIZE],
                   const uint8_t secret[CRYPTO_KEY_SIZE])
{
    curve25519_mul_g(point, secret);
    wipe_dead_stack();
}

bool crypto_shared(uint8_t shared[CRYPTO_POINT_SIZE],
                   const uint8_t secret[CRYPTO_KEY_SIZE],
                   const uint8_t peer[CRYPTO_POINT_SIZE])
{
    uint8_t any = 0;

    curve25519_mul(shared, secret, peer);
    wipe_dead_stack();
    for (int i = 0; i < CRYPTO_POINT_SIZE; i++) {
        any |= shared[i];
    }
    return any != 0;
}

void crypto_hash(uint8_t hash[CRYPTO_HASH_SIZE], const void *data, size_t len)
{
    int ret = gnutls_hash_fast(GNUTLS_DIG_SHA256, data, len, hash);

    g_assert(ret == 0);
}

bool crypto_derive(uint8_t key[CRYPTO_KEY_SIZE],
                   const void *secret, size_t secret_len,
                   const void *salt, size_t salt_len,
                   const void *info, size_t info_len)
{
    uint8_t prk[CRYPTO_HASH_SIZE];
    gnutls_datum_t ikm = { (uint8_t *)secret, secret_len };
    gnutls_datum_t salt_datum = { (uint8_t *)salt, salt_len };
    gnutls_datum_t prk_datum = { prk, sizeof(prk) };
    gnutls_datum_t info_datum = { (uint8_t *)info, info_len };
    bool ok;

    ok = gnutls_hkdf_extract(GNUTLS_MAC_SHA256, &ikm, &salt_datum, prk) == 0 &&
         gnutls_hkdf_expand(GNUTLS_MAC_SHA256, &prk_datum, &info_datum,
                            key, CRYPTO_KEY_SIZE) == 0;
    secret_wipe(prk, sizeof(prk));
    return ok;
}

bool crypto_equal(const void *a, const void *b, size_t len)
{
    return gnutls_memcmp(a, b, len) == 0;
}

void secret_wipe(void *secret, size_t len)
{
    gnutls_memset(secret, 0, len);
}
