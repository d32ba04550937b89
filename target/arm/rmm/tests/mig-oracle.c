/*
 * Watches every use of the cipher
 *
 * Linked in place of three functions of GnuTLS (ld --wrap, see meson.build):
 * remembers each pair of key and IV that ever sealed something.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib.h>
#include <pthread.h>
#include <gnutls/gnutls.h>
#include <gnutls/crypto.h>

#include "mig-oracle.h"

int __real_gnutls_aead_cipher_init(gnutls_aead_cipher_hd_t *handle,
                                   gnutls_cipher_algorithm_t cipher,
                                   const gnutls_datum_t *key);
int __real_gnutls_aead_cipher_encrypt(gnutls_aead_cipher_hd_t handle,
                                      const void *nonce, size_t nonce_len,
                                      const void *auth, size_t auth_len,
                                      size_t tag_size, const void *ptext,
                                      size_t ptext_len, void *ctext,
                                      size_t *ctext_len);
void __real_gnutls_aead_cipher_deinit(gnutls_aead_cipher_hd_t handle);
int __wrap_gnutls_aead_cipher_init(gnutls_aead_cipher_hd_t *handle,
                                   gnutls_cipher_algorithm_t cipher,
                                   const gnutls_datum_t *key);
int __wrap_gnutls_aead_cipher_encrypt(gnutls_aead_cipher_hd_t handle,
                                      const void *nonce, size_t nonce_len,
                                      const void *auth, size_t auth_len,
                                      size_t tag_size, const void *ptext,
                                      size_t ptext_len, void *ctext,
                                      size_t *ctext_len);
void __wrap_gnutls_aead_cipher_deinit(gnutls_aead_cipher_hd_t handle);

static pthread_mutex_t oracle_lock = PTHREAD_MUTEX_INITIALIZER;
static GHashTable *oracle_keys;         /* handle -> key */
static GHashTable *oracle_uses;         /* key and IV */
static unsigned oracle_repeats;

int __wrap_gnutls_aead_cipher_init(gnutls_aead_cipher_hd_t *handle,
                                   gnutls_cipher_algorithm_t cipher,
                                   const gnutls_datum_t *key)
{
    int ret = __real_gnutls_aead_cipher_init(handle, cipher, key);

    pthread_mutex_lock(&oracle_lock);
    if (!oracle_keys) {
        oracle_keys = g_hash_table_new_full(NULL, NULL, NULL,
                                            (GDestroyNotify)g_bytes_unref);
        oracle_uses = g_hash_table_new(g_bytes_hash, g_bytes_equal);
    }
    g_hash_table_insert(oracle_keys, *handle,
                        g_bytes_new(key->data, key->size));
    pthread_mutex_unlock(&oracle_lock);
    return ret;
}

int __wrap_gnutls_aead_cipher_encrypt(gnutls_aead_cipher_hd_t handle,
                                      const void *nonce, size_t nonce_len,
                                      const void *auth, size_t auth_len,
                                      size_t tag_size, const void *ptext,
                                      size_t ptext_len, void *ctext,
                                      size_t *ctext_len)
{
    GByteArray *use = g_byte_array_new();
    GBytes *key;
    gsize size;

    pthread_mutex_lock(&oracle_lock);
    key = g_hash_table_lookup(oracle_keys, handle);
    g_assert_nonnull(key);
    g_byte_array_append(use, g_bytes_get_data(key, &size), 32);
    g_byte_array_append(use, nonce, nonce_len);
    if (!g_hash_table_add(oracle_uses, g_byte_array_free_to_bytes(use))) {
        oracle_repeats++;
    }
    pthread_mutex_unlock(&oracle_lock);
    return __real_gnutls_aead_cipher_encrypt(handle, nonce, nonce_len, auth,
                                             auth_len, tag_size, ptext,
                                             ptext_len, ctext, ctext_len);
}

void __wrap_gnutls_aead_cipher_deinit(gnutls_aead_cipher_hd_t handle)
{
    pthread_mutex_lock(&oracle_lock);
    g_hash_table_remove(oracle_keys, handle);
    pthread_mutex_unlock(&oracle_lock);
    __real_gnutls_aead_cipher_deinit(handle);
}

void oracle_check(void)
{
    guint uses = oracle_uses ? g_hash_table_size(oracle_uses) : 0;

    g_test_message("%u uses of the cipher", uses);
    g_assert_cmpuint(uses, >, 10);
    g_assert_cmpuint(oracle_repeats, ==, 0);
    /* And every cipher is gone with its session */
    g_assert_cmpuint(g_hash_table_size(oracle_keys), ==, 0);
}
