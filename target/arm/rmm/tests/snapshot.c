/*
 * Snapshots of a model (see snapshot.h)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include "granule.h"
#include "session.h"
#include "snapshot.h"

static const char *const names[SNAPSHOT_KINDS] = {
    "granule states", "granule contents", "tags", "Non-secure memory",
    "Realms", "RECs", "migration sessions", "VMIDs", "the model itself",
    "requests to the machine",
};

static uint64_t mix_word(uint64_t sum, uint64_t word)
{
    sum = (sum ^ word) * 0x9e3779b97f4a7c15ull;
    return sum ^ sum >> 29;
}

/* Four sums side by side, since most of the time is spent here. */
static uint64_t mix(uint64_t sum, const void *data, size_t len)
{
    uint64_t sums[4] = { sum, 1, 2, 3 };
    const uint8_t *p = data;
    uint64_t word[4];
    int i;

    for (; len >= sizeof(word); len -= sizeof(word), p += sizeof(word)) {
        memcpy(word, p, sizeof(word));
        for (i = 0; i < 4; i++) {
            sums[i] = mix_word(sums[i], word[i]);
        }
    }
    while (len--) {
        sums[0] = mix_word(sums[0], *p++);
    }
    for (i = 1; i < 4; i++) {
        sums[0] = mix_word(sums[0], sums[i]);
    }
    return sums[0];
}

static uint64_t digest_granules(FakeMachine *m)
{
    uint64_t sum = 0;
    size_t i;

    for (i = 0; i < m->granules; i++) {
        uint64_t pa = FAKE_POOL_BASE + i * RMM_GRANULE_SIZE;

        sum = mix_word(sum, granule_state(m->rmm, pa) |
                            granule_is_foreign(m->rmm, pa) << 7 |
                            granule_is_locked(m->rmm, pa) << 8);
    }
    return sum;
}

static uint64_t digest_session(const MigSession *s)
{
    g_autofree MigSession *copy = NULL;
    uint64_t sum = 1;
    int i;

    if (!s) {
        return 0;
    }
    sum = mix(sum, s->runs->data, s->runs->len *
                                  g_array_get_element_size(s->runs));
    copy = g_memdup2(s, sizeof(*s));
    for (i = 0; i < MIG_MAX_STREAMS; i++) {
        memset(&copy->streams[i].lock, 0, sizeof(copy->streams[i].lock));
    }
    copy->runs = NULL;
    return mix(sum, copy, sizeof(*copy));
}

static uint64_t digest_realm(const RmmRealm *realm)
{
    g_autofree RmmRealm *copy = g_memdup2(realm, sizeof(*realm));

    memset(&copy->lock, 0, sizeof(copy->lock));
    copy->session = NULL;
    return mix(2, copy, sizeof(*copy));
}

static uint64_t digest_rec(const RmmRec *rec)
{
    RmmRec copy;
    uint64_t sum = 3;

    memcpy(&copy, rec, sizeof(copy));
    if (copy.attest.token) {
        sum = mix(sum, g_bytes_get_data(copy.attest.token, NULL),
                  g_bytes_get_size(copy.attest.token));
        copy.attest.token = NULL;
    }
    return mix(sum, &copy, sizeof(copy));
}

/* Sums, since the order in a hash table says nothing. */
static uint64_t digest_table(GHashTable *table, SnapshotKind kind)
{
    GHashTableIter iter;
    gpointer key, value;
    uint64_t sum = 0;

    g_hash_table_iter_init(&iter, table);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        switch (kind) {
        case SNAPSHOT_REALMS:
            sum += digest_realm(value);
            break;
        case SNAPSHOT_RECS:
            sum += digest_rec(value);
            break;
        case SNAPSHOT_SESSIONS:
            sum += mix_word(digest_session(((RmmRealm *)value)->session),
                            ((RmmRealm *)value)->rd);
            break;
        default:                        /* VMIDs are keys without values */
            sum += mix_word(4, GPOINTER_TO_UINT(key));
            break;
        }
    }
    return sum;
}

/* Beside the check of the order: locks may be held that are never with it. */
static bool is_free(RmmMutex *lock)
{
    bool ok = !pthread_mutex_trylock(&lock->mutex);

    if (ok) {
        pthread_mutex_unlock(&lock->mutex);
    }
    return ok;
}

static uint64_t digest_model(Rmm *rmm)
{
    uint64_t sum = mix_word(5, is_free(&rmm->lock));
    GHashTableIter iter;
    gpointer realm;
    Rmm copy;

    g_hash_table_iter_init(&iter, rmm->realms);
    while (g_hash_table_iter_next(&iter, NULL, &realm)) {
        sum = mix_word(sum, is_free(&((RmmRealm *)realm)->lock));
    }
    memcpy(&copy, rmm, sizeof(copy));
    memset(&copy.lock, 0, sizeof(copy.lock));
    memset(copy.granules, 0, sizeof(copy.granules));    /* made on demand */
    memset(copy.served, 0, sizeof(copy.served));        /* counts failures */
    return mix(sum, &copy, sizeof(copy));
}

uint64_t snapshot_digest(FakeMachine *m, SnapshotKind kind)
{
    switch (kind) {
    case SNAPSHOT_GRANULES:
        return digest_granules(m);
    case SNAPSHOT_CONTENTS:
        return mix(0, m->pool, m->granules * RMM_GRANULE_SIZE);
    case SNAPSHOT_TAGS:
        return mix(0, m->tags, m->granules * RMM_TAG_BYTES);
    case SNAPSHOT_NS:
        return mix(0, m->ns, FAKE_NS_PAGES * RMM_GRANULE_SIZE);
    case SNAPSHOT_REALMS:
    case SNAPSHOT_SESSIONS:
        return digest_table(m->rmm->realms, kind);
    case SNAPSHOT_RECS:
        return digest_table(m->rmm->recs, kind);
    case SNAPSHOT_VMIDS:
        return digest_table(m->rmm->vmids, kind);
    case SNAPSHOT_MODEL:
        return digest_model(m->rmm);
    case SNAPSHOT_MACHINE:
        return mix(mix_word(mix_word(m->seed,
                                     g_atomic_int_get(&m->invalidations)),
                            m->num_contexts),
                   m->realm_pas, m->granules * sizeof(*m->realm_pas));
    default:
        g_assert_not_reached();
    }
}

Snapshot snapshot_take(FakeMachine *m)
{
    Snapshot s;
    int kind;

    for (kind = 0; kind < SNAPSHOT_KINDS; kind++) {
        s.digest[kind] = snapshot_digest(m, kind);
    }
    return s;
}

const char *snapshot_difference(FakeMachine *m, const Snapshot *before)
{
    int kind;

    for (kind = 0; kind < SNAPSHOT_KINDS; kind++) {
        if (snapshot_digest(m, kind) != before->digest[kind]) {
            return names[kind];
        }
    }
    return NULL;
}
