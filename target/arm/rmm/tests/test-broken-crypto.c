/*
 * A cryptographic library that fails
 *
 * Purpose: the test stands between the library and GnuTLS's functions (ld
 * --wrap, see meson.build), and lets one call of them after the other fail.
 * The RMM refuses what needs that call, changes nothing, and does it when it is
 * asked again.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include "fake-machine.h"
#include "mig-machine.h"
#include "mig-steps.h"
#include "test-keys.h"

/* The call that fails, counted from 1; 0: none. */
static unsigned fails_at, calls;

static bool fails(void)
{
    return ++calls == fails_at;
}

/* From now on, call @n fails. */
static void fail_at(unsigned n)
{
    fails_at = n;
    calls = 0;
}

#define WRAP(name, params, args)                                        \
    int __real_gnutls_##name params;                                    \
    int __wrap_gnutls_##name params;                                    \
    int __wrap_gnutls_##name params                                     \
    {                                                                   \
        return fails() ? GNUTLS_E_INTERNAL_ERROR                        \
                       : __real_gnutls_##name args;                     \
    }

WRAP(privkey_init, (gnutls_privkey_t *key), (key))
WRAP(privkey_import_x509_raw,
     (gnutls_privkey_t key, const gnutls_datum_t *data,
      gnutls_x509_crt_fmt_t format, const char *password, unsigned flags),
     (key, data, format, password, flags))
WRAP(pubkey_init, (gnutls_pubkey_t *key), (key))
WRAP(pubkey_import_privkey,
     (gnutls_pubkey_t key, gnutls_privkey_t private, unsigned usage,
      unsigned flags), (key, private, usage, flags))
WRAP(pubkey_export_ecc_raw,
     (gnutls_pubkey_t key, gnutls_ecc_curve_t *curve, gnutls_datum_t *x,
      gnutls_datum_t *y), (key, curve, x, y))
WRAP(privkey_sign_data,
     (gnutls_privkey_t key, gnutls_digest_algorithm_t hash, unsigned flags,
      const gnutls_datum_t *data, gnutls_datum_t *signature),
     (key, hash, flags, data, signature))
WRAP(pubkey_import_ecc_raw,
     (gnutls_pubkey_t key, gnutls_ecc_curve_t curve, const gnutls_datum_t *x,
      const gnutls_datum_t *y), (key, curve, x, y))
WRAP(pubkey_verify_params, (gnutls_pubkey_t key), (key))
WRAP(pubkey_verify_data2,
     (gnutls_pubkey_t key, gnutls_sign_algorithm_t algo, unsigned flags,
      const gnutls_datum_t *data, const gnutls_datum_t *signature),
     (key, algo, flags, data, signature))
WRAP(encode_rs_value,
     (gnutls_datum_t *value, const gnutls_datum_t *r,
      const gnutls_datum_t *s), (value, r, s))
WRAP(decode_rs_value,
     (const gnutls_datum_t *value, gnutls_datum_t *r, gnutls_datum_t *s),
     (value, r, s))
WRAP(aead_cipher_init,
     (gnutls_aead_cipher_hd_t *handle, gnutls_cipher_algorithm_t cipher,
      const gnutls_datum_t *key), (handle, cipher, key))
WRAP(aead_cipher_encrypt,
     (gnutls_aead_cipher_hd_t handle, const void *nonce, size_t nonce_len,
      const void *auth, size_t auth_len, size_t tag_size, const void *ptext,
      size_t ptext_len, void *ctext, size_t *ctext_len),
     (handle, nonce, nonce_len, auth, auth_len, tag_size, ptext, ptext_len,
      ctext, ctext_len))
WRAP(aead_cipher_decrypt,
     (gnutls_aead_cipher_hd_t handle, const void *nonce, size_t nonce_len,
      const void *auth, size_t auth_len, size_t tag_size, const void *ctext,
      size_t ctext_len, void *ptext, size_t *ptext_len),
     (handle, nonce, nonce_len, auth, auth_len, tag_size, ctext, ctext_len,
      ptext, ptext_len))
WRAP(hkdf_extract,
     (gnutls_mac_algorithm_t mac, const gnutls_datum_t *key,
      const gnutls_datum_t *salt, void *output), (mac, key, salt, output))
WRAP(hkdf_expand,
     (gnutls_mac_algorithm_t mac, const gnutls_datum_t *key,
      const gnutls_datum_t *info, void *output, size_t length),
     (mac, key, info, output, length))

static void without_a_signature_there_is_no_token(void)
{
    FakeMachine *m = fake_machine_prepare(128);
    const uint64_t challenge[8] = { 1 }, read[] = { 0x3000, 0, 16 };
    RmmPe pe = { 0 };
    unsigned n = 0;
    uint64_t x0;
    FakeRealm r;

    m->ops.key = test_key;
    fake_machine_start(m);
    r = fake_realm_active(m);
    fake_enter(m, &pe, &r, 0);
    do {
        fail_at(++n);
        x0 = fake_call_pe(m, &pe, RSI_ATTESTATION_TOKEN_INIT, challenge, 8);
        fail_at(0);
        g_assert_cmphex(fake_call_pe(m, &pe, RSI_ATTESTATION_TOKEN_CONTINUE,
                                     read, 3), ==,
                        x0 == RSI_SUCCESS ? RSI_INCOMPLETE : RSI_ERROR_STATE);
        g_assert_true(x0 == RSI_SUCCESS || x0 == RSI_ERROR_UNKNOWN);
    } while (x0 != RSI_SUCCESS);
    /* Two keys with five calls each, and two signatures of two. */
    g_assert_cmpuint(n, ==, 2 * 5 + 2 * 2 + 1);
    take_interrupt(m->rmm, &pe);
    fake_machine_free(m);
}

/* Until it works, with one more call of the library before the failure. */
static unsigned export_tries(Machine *m, unsigned call, const uint64_t *in)
{
    unsigned n = 0;
    uint64_t result;

    do {
        g_autofree char *before = snapshot(m), *after = NULL;

        fail_at(++n);
        result = MIG(m, call, in[0], in[1], in[2], in[3], in[4]);
        fail_at(0);
        if (result != RMI_SUCCESS) {
            after = snapshot(m);
            g_assert_cmpstr(before, ==, after);
            g_assert_true(result == REFUSED(MIG_CAUSE_CIPHER) ||
                          result == REFUSED(MIG_CAUSE_KEY) ||
                          result == REFUSED(MIG_CAUSE_REPLY_SEAL));
        }
    } while (result != RMI_SUCCESS);
    return n - 1;
}

static void an_export_that_cannot_be_sealed_is_tried_again(void)
{
    const uint64_t buf = NS_BLOB(0), size = MIG_MAX_BUNDLE;
    Machine *src = source_new(&machine_defaults, 4);
    Machine *dst = machine_new(&machine_defaults);
    GArray *ipas;
    Record *offer, *ready;
    unsigned i;

    OK(machine_prepare(src, dst));
    OK(machine_offer(dst, &offer));
    OK(machine_accept(src, offer));
    g_byte_array_unref(offer);
    g_assert_cmpuint(export_tries(src, MIG_EXPORT_BEGIN,
                                  (const uint64_t[5]) { buf, size }), >, 0);
    ipas = machine_collect(src);
    memcpy(machine_ns(src, NS_LIST(1)), ipas->data, ipas->len * 8);
    g_assert_cmpuint(export_tries(src, MIG_EXPORT_MEMORY, (const uint64_t[5]) {
        NS_LIST(1), ipas->len, NS_BLOB(1), size, 1 }), >, 0);
    g_array_unref(ipas);
    g_assert_cmpuint(export_tries(src, MIG_EXPORT_EPOCH,
                                  (const uint64_t[5]) { buf, size }), >, 0);
    OK(MIG(src, MIG_PAUSE));
    g_array_unref(machine_collect(src));
    g_assert_cmpuint(export_tries(src, MIG_EXPORT_REALM,
                                  (const uint64_t[5]) { buf, size, 0 }), >, 0);
    for (i = 0; i < MACHINE_RECS; i++) {
        g_assert_cmpuint(export_tries(src, MIG_EXPORT_REC, (const uint64_t[5]) {
            src->recs[i], buf, size }), >, 0);
    }
    ready = machine_forge_ready(src);
    memcpy(machine_ns(src, NS_LIST(2)), ready->data, ready->len);
    g_byte_array_unref(ready);
    g_assert_cmpuint(export_tries(src, MIG_EXPORT_START, (const uint64_t[5]) {
        buf, size, NS_LIST(2) }), >, 1);
    machine_free(src);
    machine_free(dst);
}

/* What the destination says, and what the source makes of it */
static void an_answer_that_fails_is_tried_again(void)
{
    Machine *src = source_new(&machine_defaults, 4);
    Machine *dst = machine_new(&machine_defaults);
    GPtrArray *records;
    Record *receipt;
    unsigned i;

    step_connect(src, dst);
    step_round(src, dst, 1, 64);
    OK(MIG(src, MIG_PAUSE));
    records = machine_final_records(src);
    for (i = 0; i < records->len; i++) {
        OK(machine_receive(dst, records->pdata[i]));
    }
    g_ptr_array_unref(records);
    g_assert_cmpuint(export_tries(dst, MIG_IMPORT_READY,
                                  (const uint64_t[5]) { NS_BLOB(0), 4096 }),
                     >, 0);
    step_take(dst, step_start(src, dst));
    g_assert_cmpuint(export_tries(dst, MIG_IMPORT_COMMIT,
                                  (const uint64_t[5]) { 0 }), >, 0);
    g_assert_cmpint(machine_state(dst), ==, REALM_ACTIVE);
    OK(machine_receipt(dst, &receipt));
    memcpy(machine_ns(src, NS_BLOB(0)), receipt->data, receipt->len);
    g_assert_cmpuint(export_tries(src, MIG_EXPORT_FINISH, (const uint64_t[5]) {
        NS_BLOB(0), receipt->len }), >, 0);
    g_byte_array_unref(receipt);
    machine_free(src);
    machine_free(dst);
}

/* By a cause that is about keys, signatures or the cipher */
static bool fails_for_want_of_crypto(uint64_t result)
{
    return result == REFUSED(MIG_CAUSE_PLATFORM_KEY) ||
           result == REFUSED(MIG_CAUSE_PEER_SIGNATURE) ||
           result == REFUSED(MIG_CAUSE_CIPHER) ||
           result == REFUSED(MIG_CAUSE_KEY);
}

/* Until it works; how many calls of GnuTLS it takes. */
static unsigned exchange_tries(Machine *m, unsigned call, uint64_t size)
{
    unsigned n = 0;
    uint64_t result;

    do {
        g_autofree char *before = snapshot(m), *after = NULL;

        fail_at(++n);
        result = MIG(m, call, NS_BLOB(0), size, m->nonce[0], m->nonce[1],
                     m->nonce[2], m->nonce[3]);
        fail_at(0);
        after = snapshot(m);
        g_assert_true(result == RMI_SUCCESS ||
                      (fails_for_want_of_crypto(result) &&
                       !strcmp(before, after)));
    } while (result != RMI_SUCCESS);
    return n - 1;
}

static void an_exchange_that_fails_is_tried_again(void)
{
    Machine *src = source_new(&machine_defaults, 2);
    Machine *dst = machine_new(&machine_defaults);
    const MigHello *offer = machine_ns(dst, NS_BLOB(0));

    OK(machine_prepare(src, dst));
    g_assert_cmpuint(exchange_tries(dst, MIG_OFFER, MIG_MAX_HELLO), >, 5);
    memcpy(machine_ns(src, NS_BLOB(0)), offer, offer->size);
    g_assert_cmpuint(exchange_tries(src, MIG_ACCEPT, offer->size), >, 10);
    machine_free(src);
    machine_free(dst);
}

/* The first record, with call @n failing. */
static uint64_t begin_import(unsigned n)
{
    Machine *src = source_new(&machine_defaults, 1);
    Machine *dst = machine_new(&machine_defaults);
    uint64_t result;
    Record *record;

    OK(machine_connect(src, dst, &record));
    fail_at(n);
    result = machine_receive(dst, record);
    fail_at(0);
    g_assert_cmpint(machine_state(dst) == REALM_ACTIVE, ==, 0);
    g_byte_array_unref(record);
    machine_free(src);
    machine_free(dst);
    return result;
}

static void an_import_that_cannot_be_opened_is_refused(void)
{
    unsigned n = 1;

    while (begin_import(n) != RMI_SUCCESS) {
        n++;
    }
    /* Two calls for the key, one for the cipher, one to open the record. */
    g_assert_cmpuint(n, >, 3);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add_func("/rmm/broken-crypto/" #name, name)
    ADD(without_a_signature_there_is_no_token);
    ADD(an_export_that_cannot_be_sealed_is_tried_again);
    ADD(an_answer_that_fails_is_tried_again);
    ADD(an_exchange_that_fails_is_tried_again);
    ADD(an_import_that_cannot_be_opened_is_refused);
    return g_test_run();
}
