/*
 * Bundles: sealing and opening what travels
 *
 * Purpose, invariants and lock rule: bundle.h.  Checks are those of
 * docs/specs/realm-migration-stream.rst, "Bundles", in their order.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "bundle.h"

#if G_BYTE_ORDER != G_LITTLE_ENDIAN
#error "headers are written as they stand: little-endian hosts only"
#endif

static void drop_scratch(MigStream *s)
{
    if (s->scratch) {
        /* Pages of the Realm were here in plain */
        secret_wipe(s->scratch, s->size);
        g_clear_pointer(&s->scratch, g_free);
        s->size = 0;
    }
}

bool stream_open(MigStream *s, const uint8_t key[CRYPTO_KEY_SIZE],
                 size_t need)
{
    g_assert(need <= s->room);
    if (!s->aead) {
        s->aead = crypto_aead_new(key);
    }
    if (s->aead && s->size < need) {
        drop_scratch(s);
        s->scratch = g_malloc(need);
        s->size = need;
    }
    return s->aead != NULL;
}

void stream_close(MigStream *s)
{
    s->owed = (MigOwed) { 0 };
    g_clear_pointer(&s->aead, crypto_aead_free);
    drop_scratch(s);
}

/* IV of 96 bits: use count, stream, zero (the document's "IV rule") */
static void make_iv(uint8_t iv[CRYPTO_IV_SIZE], uint64_t use, uint16_t stream)
{
    memset(iv, 0, CRYPTO_IV_SIZE);
    memcpy(iv, &use, sizeof(use));
    memcpy(iv + sizeof(use), &stream, sizeof(stream));
}

bool bundle_possible(const MigStream *s)
{
    return s->iv < UINT64_MAX && s->counter < UINT64_MAX;
}

uint8_t *bundle_seal(MigStream *s, MigHeader *h, uint8_t *body, size_t len)
{
    size_t aad = sizeof(*h) + h->count * sizeof(uint64_t);
    uint8_t iv[CRYPTO_IV_SIZE];

    g_assert(bundle_possible(s));
    g_assert((size_t)(body - s->scratch) >= aad);
    g_assert(body - s->scratch + len + MIG_SEAL_SIZE <= s->size);

    h->magic = MIG_MAGIC;
    h->version = s->version;
    h->size = bundle_size(h->count, len);
    h->stream = s->index;
    h->counter = s->counter + 1;
    h->iv = ++s->iv;
    make_iv(iv, h->iv, s->index);
    memcpy(body - aad, h, sizeof(*h));

    if (!crypto_seal(s->aead, iv, body - aad, aad, body, len)) {
        return NULL;
    }
    return body - aad;
}

/* Entries that a bundle of this type may have */
static bool count_plausible(const MigHeader *h)
{
    return h->type == MIG_TYPE_MEMORY
           ? h->count >= 1 && h->count <= MIG_MAX_PAGES : h->count == 0;
}

/* What must hold before the seal can be found */
static bool header_plausible(const MigStream *s, const MigHeader *h,
                             size_t size)
{
    return h->magic == MIG_MAGIC && h->version == s->version &&
           h->reserved0 == 0 && h->reserved1 == 0 &&
           h->size == size && h->stream == s->index &&
           count_plausible(h) &&
           size >= bundle_size(h->count, 0);
}

bool bundle_unseal(MigStream *s, size_t size, MigHeader *h, MigCause *cause)
{
    uint8_t iv[CRYPTO_IV_SIZE];
    size_t aad;

    *cause = MIG_CAUSE_FORMAT;
    if (size < bundle_size(0, 0) || size > s->size) {
        return false;
    }
    memcpy(h, s->scratch, sizeof(*h));
    if (!header_plausible(s, h, size)) {
        return false;
    }

    make_iv(iv, h->iv, s->index);
    aad = sizeof(*h) + h->count * sizeof(uint64_t);
    if (!crypto_open(s->aead, iv, s->scratch, aad, s->scratch + aad,
                     bundle_body_size(h))) {
        *cause = MIG_CAUSE_AUTHENTICATION;
        return false;
    }
    return true;
}

bool bundle_open(MigStream *s, size_t size, MigHeader *h, MigCause *cause)
{
    if (!bundle_unseal(s, size, h, cause)) {
        return false;
    }
    /* The IV counter may skip what the sender used up in vain. */
    if (h->counter != s->counter + 1 || h->iv <= s->iv) {
        *cause = MIG_CAUSE_ORDER;
        return false;
    }
    s->iv_opened = h->iv;
    return true;
}

void bundle_done(MigStream *s)
{
    s->counter++;
    s->iv = MAX(s->iv, s->iv_opened);   /* a sender opens nothing: as it was */
}
