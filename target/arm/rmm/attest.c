/*
 * Attestation (see attest.h)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include <gnutls/gnutls.h>
#include "attest.h"
#include "rmm-internal.h"
#include "software.h"

CoseKey *attest_key(Rmm *rmm, RmmKey which)
{
    uint8_t der[RMM_MAX_KEY];
    CoseKey *key = NULL;
    size_t size;

    if (rmm->ops.key) {
        size = rmm->ops.key(rmm->opaque, which, der, sizeof(der));
        g_assert(size <= sizeof(der));
        key = size ? cose_key_new(der, size) : NULL;
        gnutls_memset(der, 0, sizeof(der));
    }
    return key;
}

/* What tokens say of this machine; @own has room for the model's list */
static TokenMachine machine_of(const Rmm *rmm,
                               TokenComponent own[SOFTWARE_COMPONENTS])
{
    const RmmPlatform *p = &rmm->platform;

    if (p->software) {
        return (TokenMachine) { p->lifecycle, p->software, p->num_software };
    }
    software_components(own);
    return (TokenMachine) { p->lifecycle, own, SOFTWARE_COMPONENTS };
}

static GBytes *make_token(Rmm *rmm, const TokenClaims *claims)
{
    CoseKey *rak = attest_key(rmm, RMM_KEY_REALM_ATTESTATION);
    CoseKey *platform = attest_key(rmm, RMM_KEY_PLATFORM);
    GBytes *token = NULL;

    if (rak && platform) {
        token = token_make(claims, rak, platform);
    }
    cose_key_free(rak);
    cose_key_free(platform);
    return token;
}

GBytes *attest_platform(Rmm *rmm, const uint8_t challenge[TOKEN_HASH_SIZE])
{
    CoseKey *key = attest_key(rmm, RMM_KEY_PLATFORM);
    TokenComponent own[SOFTWARE_COMPONENTS];
    TokenMachine machine = machine_of(rmm, own);
    GBytes *token = key ? token_make_platform(challenge, &machine, key) : NULL;

    cose_key_free(key);
    return token;
}

bool attest_init(RmmAttest *attest, RmmRealm *realm, const void *challenge)
{
    TokenComponent own[SOFTWARE_COMPONENTS];
    TokenClaims claims = { .hash_algo = realm->hash_algo,
                           .machine = machine_of(realm->rmm, own) };

    attest_clear(attest);
    memcpy(claims.challenge, challenge, sizeof(claims.challenge));
    rmm_mutex_lock(&realm->lock);
    memcpy(claims.rpv, realm->rpv, sizeof(claims.rpv));
    memcpy(claims.measurement, realm->measurement,
           sizeof(claims.measurement));
    rmm_mutex_unlock(&realm->lock);
    attest->token = make_token(realm->rmm, &claims);
    if (attest->token) {
        g_assert(g_bytes_get_size(attest->token) <= TOKEN_MAX_SIZE);
        attest->state = ATTEST_READING;
    }
    return attest->token;
}

const void *attest_piece(const RmmAttest *attest, size_t *size)
{
    gsize whole;
    const uint8_t *data;

    g_assert(attest->state == ATTEST_READING);
    data = g_bytes_get_data(attest->token, &whole);
    *size = MIN(*size, whole - attest->offset);
    return data + attest->offset;
}

bool attest_advance(RmmAttest *attest, size_t size)
{
    g_assert(attest->state == ATTEST_READING);
    attest->offset += size;
    if (attest->offset < g_bytes_get_size(attest->token)) {
        return true;
    }
    attest_clear(attest);
    attest->state = ATTEST_DONE;
    return false;
}

void attest_clear(RmmAttest *attest)
{
    if (attest->token) {
        g_bytes_unref(attest->token);
    }
    memset(attest, 0, sizeof(*attest));
}
