/*
 * Migration sessions: phases, keys, totals
 *
 * Purpose, diagram, invariants and lock rule: session.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "rmm-internal.h"
#include "session.h"

/* What separates this use of HKDF from any other, and the directions */
static const char label_forward[] = "realm-migration 1 source-destination";

static void session_free(void *opaque)
{
    MigSession *s = opaque;

    session_wipe(s);
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

void session_hello(Rmm *rmm, MigType type, MigHello *hello,
                   uint8_t secret[CRYPTO_KEY_SIZE])
{
    *hello = (MigHello) {
        .magic = MIG_MAGIC,
        .version = MIG_VERSION,
        .type = type,
        .size = sizeof(*hello),
    };
    rmm->ops.random(rmm->opaque, secret, CRYPTO_KEY_SIZE);
    rmm->ops.random(rmm->opaque, hello->nonce, sizeof(hello->nonce));
    crypto_public(hello->public_key, secret);
}

bool session_hello_valid(const MigHello *hello, size_t size, MigType type)
{
    static const uint8_t no_nonce[32];

    return size == sizeof(*hello) && hello->size == size &&
           hello->magic == MIG_MAGIC && hello->version == MIG_VERSION &&
           hello->type == type && hello->token_size == 0 &&
           hello->reserved0 == 0 && hello->reserved1[0] == 0 &&
           hello->reserved1[1] == 0 &&
           (type != MIG_TYPE_OFFER ||
            memcmp(hello->peer_nonce, no_nonce, sizeof(no_nonce)) == 0);
}

bool session_derive(MigSession *s, const uint8_t secret[CRYPTO_KEY_SIZE],
                    const uint8_t peer[CRYPTO_POINT_SIZE],
                    const MigHello *answer)
{
    uint8_t shared[CRYPTO_POINT_SIZE];
    uint8_t salt[sizeof(s->offer_nonce) + sizeof(answer->nonce)];
    uint8_t info[sizeof(label_forward) + 2 * CRYPTO_HASH_SIZE];
    uint8_t *hashes = info + sizeof(label_forward);
    bool ok;

    memcpy(salt, s->offer_nonce, sizeof(s->offer_nonce));
    memcpy(salt + sizeof(s->offer_nonce), answer->nonce,
           sizeof(answer->nonce));
    memcpy(info, label_forward, sizeof(label_forward));
    memcpy(hashes, s->offer_hash, CRYPTO_HASH_SIZE);
    crypto_hash(hashes + CRYPTO_HASH_SIZE, answer, sizeof(*answer));

    ok = crypto_shared(shared, secret, peer) &&
         crypto_derive(s->key, shared, sizeof(shared), salt, sizeof(salt),
                       info, sizeof(info)) &&
         stream_open(&s->streams[0], s->key);
    secret_wipe(shared, sizeof(shared));
    return ok;
}

void session_reset(MigSession *s)
{
    for (int i = 0; i < MIG_MAX_STREAMS; i++) {
        g_assert(!s->streams[i].aead);
        s->streams[i].counter = 0;
        s->streams[i].iv = 0;
    }
    s->epoch = 1;
    s->epoch_used = 0;
    s->compact = false;
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
