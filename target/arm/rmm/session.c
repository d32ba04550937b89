/*
 * Migration sessions: phases, keys, totals
 *
 * Purpose, diagram, invariants and lock rule: session.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "attest.h"
#include "policy.h"
#include "rmm-internal.h"
#include "session.h"

/* What separates this use of HKDF from any other, and the directions */
static const char label_forward[] = "realm-migration 1 source-destination";

static void session_free(void *opaque)
{
    MigSession *s = opaque;

    session_wipe(s);
    session_wipe_abort(s);
    for (int i = 0; i < MIG_MAX_STREAMS; i++) {
        rmm_mutex_clear(&s->streams[i].lock);
    }
    g_byte_array_unref(s->used_offers);
    g_array_unref(s->runs);
    g_free(s);
}

MigSession *session_of(RmmRealm *realm)
{
    MigSession *s = realm->session;

    if (!s) {
        s = g_new0(MigSession, 1);
        for (int i = 0; i < MIG_MAX_STREAMS; i++) {
            rmm_mutex_init(&s->streams[i].lock, LOCK_STREAM, i);
            s->streams[i].index = i;
        }
        s->used_offers = g_byte_array_new();
        s->runs = g_array_new(FALSE, FALSE, sizeof(MigRun));
        realm->session = s;
        realm->session_free = session_free;
    }
    return s;
}

void session_lock_all(MigSession *s)
{
    for (int i = 0; i < MIG_MAX_STREAMS; i++) {
        rmm_mutex_lock(&s->streams[i].lock);
    }
}

void session_unlock_all(MigSession *s)
{
    for (int i = MIG_MAX_STREAMS; i-- > 0;) {
        rmm_mutex_unlock(&s->streams[i].lock);
    }
}

/* The edges of the diagram in session.h */
static const struct {
    MigPhase from, to;
} edges[] = {
    { MIG_IDLE,      MIG_ACCEPTED },
    { MIG_ACCEPTED,  MIG_EXPORTING },
    { MIG_ACCEPTED,  MIG_IDLE },
    { MIG_EXPORTING, MIG_PAUSED },
    { MIG_EXPORTING, MIG_IDLE },
    { MIG_PAUSED,    MIG_SEALED },
    { MIG_PAUSED,    MIG_IDLE },
    { MIG_SEALED,    MIG_IDLE },
    { MIG_IDLE,      MIG_OFFERED },
    { MIG_OFFERED,   MIG_IMPORTING },
    { MIG_OFFERED,   MIG_FAILED },
    { MIG_IMPORTING, MIG_STARTED },
    { MIG_IMPORTING, MIG_FAILED },
    { MIG_STARTED,   MIG_IDLE },
    { MIG_STARTED,   MIG_FAILED },
};

bool session_edge_allowed(MigPhase from, MigPhase to)
{
    for (size_t i = 0; i < G_N_ELEMENTS(edges); i++) {
        if (edges[i].from == from && edges[i].to == to) {
            return true;
        }
    }
    return false;
}

void session_set_phase(MigSession *s, MigPhase to)
{
    rmm_rule(session_edge_allowed(s->phase, to),
             "session.h: no session goes from phase %d to %d", s->phase, to);
    s->phase = to;
}

uint64_t session_total(const MigSession *s)
{
    uint64_t total = 0;

    for (int i = 0; i < MIG_MAX_STREAMS; i++) {
        total += s->streams[i].counter;
    }
    return total;
}

/* ---- the exchange ---- */

void session_hello(Rmm *rmm, MigType type, MigHello *hello,
                   uint8_t secret[CRYPTO_KEY_SIZE])
{
    *hello = (MigHello) {
        .magic = MIG_MAGIC,
        .version = MIG_VERSION_MAJOR << 8 | rmm->mig_minor,
        .type = type,
    };
    rmm->ops.random(rmm->opaque, secret, CRYPTO_KEY_SIZE);
    rmm->ops.random(rmm->opaque, hello->nonce, sizeof(hello->nonce));
    crypto_public(hello->public_key, secret);
}

MigCause session_hello_check(const MigHello *hello, size_t size, MigType type)
{
    static const uint8_t zero[32];
    const uint8_t *unused = type == MIG_TYPE_OFFER ? hello->peer_nonce
                                                   : hello->abort_lock;

    if (size < sizeof(*hello) || hello->magic != MIG_MAGIC ||
        hello->type != type) {
        return MIG_CAUSE_FORMAT;
    }
    if (hello->version >> 8 != MIG_VERSION_MAJOR) {
        return MIG_CAUSE_VERSION;
    }
    return hello->size == size && hello->token_size <= MIG_MAX_TOKEN &&
           size == sizeof(*hello) + hello->token_size &&
           hello->reserved0 == 0 && hello->reserved1 == 0 &&
           memcmp(unused, zero, sizeof(zero)) == 0 ? 0 : MIG_CAUSE_FORMAT;
}

bool session_is_own(const MigHello *own, const MigHello *peer)
{
    return crypto_equal(own->public_key, peer->public_key,
                        sizeof(own->public_key)) ||
           crypto_equal(own->nonce, peer->nonce, sizeof(own->nonce));
}

/* What is hashed of a hello */
static MigHello without_token(const MigHello *hello)
{
    MigHello plain = *hello;

    plain.size = 0;
    plain.token_size = 0;
    return plain;
}

void session_hello_hash(uint8_t hash[CRYPTO_HASH_SIZE], const MigHello *hello)
{
    MigHello plain = without_token(hello);

    crypto_hash(hash, &plain, sizeof(plain));
}

MigOffer session_offer(const MigHello *hello)
{
    MigOffer offer;

    memcpy(offer.nonce, hello->nonce, sizeof(offer.nonce));
    session_hello_hash(offer.hash, hello);
    memcpy(offer.abort_lock, hello->abort_lock, sizeof(offer.abort_lock));
    return offer;
}

void session_challenge(uint8_t challenge[CRYPTO_HASH_SIZE],
                       const MigHello *hello, const MigOffer *offer)
{
    static const char for_offer[] = "realm-migration offer";
    static const char for_session[] = "realm-migration session";
    bool is_offer = hello->type == MIG_TYPE_OFFER;
    const char *label = is_offer ? for_offer : for_session;
    const size_t len = is_offer ? sizeof(for_offer) : sizeof(for_session);
    uint8_t data[sizeof(for_session) + sizeof(MigHello) + CRYPTO_HASH_SIZE];
    MigHello plain = without_token(hello);
    uint8_t *at = data;

    at = (uint8_t *)memcpy(at, label, len) + len;
    at = (uint8_t *)memcpy(at, &plain, sizeof(plain)) + sizeof(plain);
    if (!is_offer) {
        memcpy(at, offer->hash, CRYPTO_HASH_SIZE);
        at += CRYPTO_HASH_SIZE;
    }
    crypto_hash(challenge, data, at - data);
}

MigCause session_sign(Rmm *rmm, MigHelloRecord *record,
                      const MigOffer *offer)
{
    uint8_t challenge[CRYPTO_HASH_SIZE];
    MigHello *hello = &record->hello;
    GBytes *token;
    gsize size;

    session_challenge(challenge, hello, offer);
    token = attest_platform(rmm, challenge);
    if (!token) {
        return MIG_CAUSE_PLATFORM_KEY;
    }
    size = g_bytes_get_size(token);
    g_assert(size <= sizeof(record->token));
    memset(record->token, 0, sizeof(record->token));
    memcpy(record->token, g_bytes_get_data(token, NULL), size);
    g_bytes_unref(token);
    hello->token_size = size;
    hello->size = sizeof(*hello) + size;
    return 0;
}

MigCause session_check_peer(const RmmRealm *realm,
                            const MigHelloRecord *record,
                            const MigOffer *offer)
{
    CoseKey *own = attest_key(realm->rmm, RMM_KEY_PLATFORM);
    uint8_t challenge[CRYPTO_HASH_SIZE];
    MigCause cause;

    session_challenge(challenge, &record->hello, offer);
    cause = policy_check_peer(&realm->policy, own, challenge, record->token,
                              record->hello.token_size);
    cose_key_free(own);
    return cause;
}

bool session_derive(uint8_t key[CRYPTO_KEY_SIZE],
                    const uint8_t secret[CRYPTO_KEY_SIZE],
                    const uint8_t peer[CRYPTO_POINT_SIZE],
                    const MigOffer *offer, const MigHello *answer)
{
    uint8_t shared[CRYPTO_POINT_SIZE];
    uint8_t salt[sizeof(offer->nonce) + sizeof(answer->nonce)];
    uint8_t info[sizeof(label_forward) + 2 * CRYPTO_HASH_SIZE];
    uint8_t *hashes = info + sizeof(label_forward);
    bool ok;

    memcpy(salt, offer->nonce, sizeof(offer->nonce));
    memcpy(salt + sizeof(offer->nonce), answer->nonce,
           sizeof(answer->nonce));
    memcpy(info, label_forward, sizeof(label_forward));
    memcpy(hashes, offer->hash, CRYPTO_HASH_SIZE);
    session_hello_hash(hashes + CRYPTO_HASH_SIZE, answer);

    ok = crypto_shared(shared, secret, peer) &&
         crypto_derive(key, shared, sizeof(shared), salt, sizeof(salt),
                       info, sizeof(info));
    secret_wipe(shared, sizeof(shared));
    return ok;
}

bool session_open(MigSession *s, const uint8_t key[CRYPTO_KEY_SIZE],
                  const MigHello *answer)
{
    if (!stream_open(&s->streams[0], key)) {
        return false;
    }
    memcpy(s->key, key, sizeof(s->key));
    s->streams[0].owed = (MigOwed) { 0 };       /* the offer was taken */
    s->version = answer->version;
    s->features = answer->features;
    for (int i = 0; i < MIG_MAX_STREAMS; i++) {
        s->streams[i].version = answer->version;
    }
    return true;
}

void session_reset(MigSession *s)
{
    for (int i = 0; i < MIG_MAX_STREAMS; i++) {
        g_assert(i == 0 || !s->streams[i].aead);
        s->streams[i].counter = 0;
        s->streams[i].iv = 0;
        s->streams[i].iv_opened = 0;
    }
    s->epoch = 1;
    s->epoch_used = 0;
    s->next_base = 0;
    s->num_recs = 0;
    memset(s->recs, 0, sizeof(s->recs));
    g_array_set_size(s->runs, 0);
}

void session_wipe(MigSession *s)
{
    for (int i = 0; i < MIG_MAX_STREAMS; i++) {
        stream_close(&s->streams[i]);
    }
    secret_wipe(s->secret, sizeof(s->secret));
    secret_wipe(s->key, sizeof(s->key));
}

void session_wipe_abort(MigSession *s)
{
    secret_wipe(s->abort_secret, sizeof(s->abort_secret));
}
