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
#define LABEL_SIZE 37
static const char label_forward[LABEL_SIZE] =
    "realm-migration 2 source-destination";
static const char label_back[LABEL_SIZE] =
    "realm-migration 2 destination-source";

static void session_free(void *opaque)
{
    MigSession *s = opaque;

    session_wipe(s);
    session_wipe_back(s);
    session_wipe_abort(s);
    for (int i = 0; i < MIG_MAX_STREAMS; i++) {
        rmm_mutex_clear(&s->streams[i].lock);
    }
    g_array_unref(s->runs);
    g_free(s);
}

static GArray *no_runs(void)
{
    return g_array_new(FALSE, FALSE, sizeof(MigRun));
}

MigSession *session_of(RmmRealm *realm)
{
    MigSession *s = realm->session;

    if (!s) {
        s = g_new0(MigSession, 1);
        for (int i = 0; i < MIG_MAX_STREAMS; i++) {
            rmm_mutex_init(&s->streams[i].lock, LOCK_STREAM, i);
            s->streams[i].index = i;
            s->streams[i].room = MIG_MAX_BUNDLE;
        }
        s->back.room = MIG_EMPTY_BUNDLE;
        s->runs = no_runs();
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
    { MIG_SEALED,    MIG_GONE },
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

    if (size < sizeof(*hello) || hello->magic != MIG_MAGIC ||
        hello->type != type) {
        return MIG_CAUSE_FORMAT;
    }
    if (hello->version >> 8 != MIG_VERSION_MAJOR) {
        return MIG_CAUSE_VERSION;
    }
    return hello->size == size && hello->token_size <= MIG_MAX_TOKEN &&
           hello->certs_size <= MIG_MAX_CERTIFICATES &&
           size == sizeof(*hello) + hello->token_size + hello->certs_size &&
           hello->reserved0 == 0 && hello->reserved1 == 0 &&
           (type == MIG_TYPE_OFFER ||
            memcmp(hello->abort_lock, zero, sizeof(zero)) == 0)
           ? 0 : MIG_CAUSE_FORMAT;
}

bool session_is_own(const MigHello *own, const MigHello *peer)
{
    return crypto_equal(own->public_key, peer->public_key,
                        sizeof(own->public_key)) ||
           crypto_equal(own->nonce, peer->nonce, sizeof(own->nonce));
}

/* What is hashed of a hello */
static MigHello without_sizes(const MigHello *hello)
{
    MigHello plain = *hello;

    plain.size = 0;
    plain.token_size = 0;
    plain.certs_size = 0;
    return plain;
}

void session_hello_hash(uint8_t hash[CRYPTO_HASH_SIZE], const MigHello *hello)
{
    MigHello plain = without_sizes(hello);

    crypto_hash(hash, &plain, sizeof(plain));
}

void session_payload_hash(uint8_t hash[CRYPTO_HASH_SIZE],
                          const MigHelloRecord *record)
{
    CoseSign1 parts;
    bool ok = cose_split(&parts, record->tail, record->hello.token_size);

    g_assert(ok);
    crypto_hash(hash, parts.payload, parts.payload_size);
}

MigOffer session_offer(const MigHelloRecord *record)
{
    const MigHello *hello = &record->hello;
    MigOffer offer;

    memcpy(offer.nonce, hello->nonce, sizeof(offer.nonce));
    session_hello_hash(offer.hash, hello);
    session_payload_hash(offer.payload, record);
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
    MigHello plain = without_sizes(hello);
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
    CoseKey *key = attest_key(rmm, RMM_KEY_PLATFORM);
    uint8_t challenge[CRYPTO_HASH_SIZE];
    MigHello *hello = &record->hello;
    GBytes *token;
    gsize size;

    if (!key) {
        return MIG_CAUSE_PLATFORM_KEY;
    }
    cose_key_point(key, hello->platform_key);
    cose_key_free(key);
    session_challenge(challenge, hello, offer);
    token = attest_platform(rmm, challenge);
    if (!token) {
        return MIG_CAUSE_PLATFORM_KEY;
    }
    size = g_bytes_get_size(token);
    g_assert(size <= MIG_MAX_TOKEN);
    memset(record->tail, 0, sizeof(record->tail));
    memcpy(record->tail, g_bytes_get_data(token, NULL), size);
    g_bytes_unref(token);
    hello->token_size = size;
    hello->certs_size = rmm->ops.certificates
                        ? rmm->ops.certificates(rmm->opaque,
                                                record->tail + size,
                                                MIG_MAX_CERTIFICATES) : 0;
    hello->size = sizeof(*hello) + size + hello->certs_size;
    return 0;
}

MigCause session_check_peer(const RmmRealm *realm,
                            const MigHelloRecord *record,
                            const MigOffer *offer, TokenPlatform *claims)
{
    const MigHello *hello = &record->hello;
    CoseKey *own = attest_key(realm->rmm, RMM_KEY_PLATFORM);
    const PolicyPeer peer = {
        .key = hello->platform_key,
        .token = record->tail,
        .token_size = hello->token_size,
        .certs = record->tail + hello->token_size,
        .certs_size = hello->certs_size,
    };
    uint8_t challenge[CRYPTO_HASH_SIZE];
    MigCause cause;

    session_challenge(challenge, hello, offer);
    cause = policy_check_peer(&realm->policy, own,
                              realm->rmm->platform.lifecycle, challenge,
                              &peer, claims);
    cose_key_free(own);
    return cause;
}

bool session_derive(MigKeys *keys, const uint8_t secret[CRYPTO_KEY_SIZE],
                    const uint8_t peer[CRYPTO_POINT_SIZE],
                    const MigOffer *offer, const MigHelloRecord *answer)
{
    struct {
        char label[LABEL_SIZE];
        uint8_t hashes[2][CRYPTO_HASH_SIZE];
        uint8_t payloads[2][CRYPTO_HASH_SIZE];
    } info;
    uint8_t shared[CRYPTO_POINT_SIZE];
    uint8_t salt[2][sizeof(offer->nonce)];
    bool ok;

    memcpy(salt[0], offer->nonce, sizeof(salt[0]));
    memcpy(salt[1], answer->hello.nonce, sizeof(salt[1]));
    memcpy(info.label, label_forward, LABEL_SIZE);
    memcpy(info.hashes[0], offer->hash, CRYPTO_HASH_SIZE);
    session_hello_hash(info.hashes[1], &answer->hello);
    memcpy(info.payloads[0], offer->payload, CRYPTO_HASH_SIZE);
    session_payload_hash(info.payloads[1], answer);

    ok = crypto_shared(shared, secret, peer) &&
         crypto_derive(keys->forward, shared, sizeof(shared), salt,
                       sizeof(salt), &info, sizeof(info));
    memcpy(info.label, label_back, LABEL_SIZE);
    ok = ok && crypto_derive(keys->back, shared, sizeof(shared), salt,
                             sizeof(salt), &info, sizeof(info));
    secret_wipe(shared, sizeof(shared));
    return ok;
}

bool session_open(MigSession *s, const MigKeys *keys, const MigHello *answer)
{
    if (!stream_open(&s->back, keys->back, s->back.room)) {
        return false;
    }
    if (!stream_open(&s->streams[0], keys->forward, s->streams[0].room)) {
        session_wipe_back(s);
        return false;
    }
    memcpy(s->key, keys->forward, sizeof(s->key));
    s->streams[0].owed = (MigOwed) { 0 };       /* the offer was taken */
    s->version = answer->version;
    s->features = answer->features;
    s->back.version = answer->version;
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
    s->back.counter = 0;
    s->back.iv = 0;
    s->epoch = 1;
    s->epoch_used = 0;
    s->next_base = 0;
    s->num_recs = 0;
    s->num_runs = 0;
    s->map_reached = 0;
    s->map_total = 0;
    s->wiped = 0;
    memset(s->recs, 0, sizeof(s->recs));
    /* A map may be large, and the Realm lives on */
    g_array_unref(s->runs);
    s->runs = no_runs();
}

void session_wipe(MigSession *s)
{
    for (int i = 0; i < MIG_MAX_STREAMS; i++) {
        stream_close(&s->streams[i]);
    }
    secret_wipe(s->secret, sizeof(s->secret));
    secret_wipe(s->key, sizeof(s->key));
}

void session_wipe_back(MigSession *s)
{
    stream_close(&s->back);
}

void session_wipe_abort(MigSession *s)
{
    secret_wipe(s->abort_secret, sizeof(s->abort_secret));
}
