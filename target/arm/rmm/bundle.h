/*
 * Bundles: sealing and opening what travels
 *
 * Purpose: one stream of one migration session: its counters, its cipher,
 * and the private memory in which bundles are made and read.  mig-abi.h has
 * the layout.  This file does not know what a bundle means.
 *
 * Invariants:
 * 1. Bundles are made, sealed, opened and read in MigStream.scratch, which
 *    the host cannot reach.  Callers copy a bundle from or to Non-secure
 *    memory once.
 * 2. The IV counter goes up before each use, whatever happens then; so no IV
 *    is used twice under one key.  All streams of a direction share a key,
 *    and the stream's index is part of the IV.
 * 3. The bundle counter goes up for each bundle sealed or accepted: a bundle
 *    is opened only as the next one of its stream, and only with an IV counter
 *    above that of the one before.  No two bundles with one counter can have
 *    left.  What the destination says is opened in any order (bundle_unseal):
 *    it says itself of which moment it is (reply.c).
 * 4. Before the seal is verified, this file reads only those fields of the
 *    header that lead to the seal.
 *
 * Lock rule: a stream belongs to the thread that holds MigStream.lock, which
 * session.h places in the order of locks; the way back to whoever holds all.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef RMM_BUNDLE_H
#define RMM_BUNDLE_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto.h"
#include "lock.h"
#include "mig-abi.h"

/*
 * A record that a call made and that the host did not get, since its buffer
 * went away ("A call that fails has told nothing" in
 * docs/specs/realm-migration-stream.rst).  The same call gives it again.
 */
typedef struct MigOwed {
    uint32_t call;              /* MIG_*; 0: nothing is owed */
    const uint8_t *at;          /* in scratch or in the session: not ours */
    size_t size;
    uint64_t x2;                /* the call's second result */
} MigOwed;

typedef struct MigStream {
    RmmMutex lock;
    uint16_t index;
    uint16_t version;           /* of the session's records */
    uint64_t counter;           /* bundles made or accepted */
    uint64_t iv;                /* sealing: uses of the cipher; opening: the
                                   IV counter of the last one accepted */
    uint64_t iv_opened;         /* the IV counter of the last one opened */
    CryptoAead *aead;
    size_t room;                /* of the largest bundle */
    size_t size;                /* bytes of scratch: the largest one so far,
                                   since all of it is wiped in the end */
    uint8_t *scratch;           /* once in use */
    MigOwed owed;
} MigStream;

/*
 * Make the stream, whose room is set, ready for use with @key and bundles of
 * @need bytes, at most room, unless it is; false: no cipher.  What was in
 * scratch may be gone.
 */
bool stream_open(MigStream *s, const uint8_t key[CRYPTO_KEY_SIZE],
                 size_t need);

/* Forget cipher, contents and what is owed; the counters stay, for totals */
void stream_close(MigStream *s);

/* Where the body is, behind room for @count entries */
static inline uint8_t *bundle_body(MigStream *s, uint32_t count)
{
    return s->scratch + sizeof(MigHeader) + count * sizeof(uint64_t);
}

/*
 * The size that a bundle with these parts has.  No overflow: all callers
 * pass at most MIG_MAX_PAGES and MIG_MAX_BUNDLE.
 */
static inline size_t bundle_size(uint32_t count, size_t body)
{
    return sizeof(MigHeader) + count * sizeof(uint64_t) + body +
           MIG_SEAL_SIZE;
}

/* Can the stream make one more?  False when a counter would wrap. */
bool bundle_possible(const MigStream *s);

/*
 * Seal the @len bytes at @body, in scratch, with @h->count entries right
 * before them, and room for a header before these and for a seal behind.
 * The header takes @h's type, epoch, count and total.  @h->size is set;
 * returns where the bundle begins, or NULL if the cipher failed.
 */
uint8_t *bundle_seal(MigStream *s, MigHeader *h, uint8_t *body, size_t len);

/*
 * Verify and decrypt the @size bytes at the beginning of scratch, whichever
 * bundle of the stream they are.  On success @h is the header; on failure
 * @cause says why.
 */
bool bundle_unseal(MigStream *s, size_t size, MigHeader *h, MigCause *cause);

/* Likewise, and it has to be the next bundle of the stream. */
bool bundle_open(MigStream *s, size_t size, MigHeader *h, MigCause *cause);

/* The size of the body of an opened bundle */
static inline size_t bundle_body_size(const MigHeader *h)
{
    return h->size - bundle_size(h->count, 0);
}

/*
 * The sealed bundle is about to leave, or the opened one has taken effect: the
 * next one of this stream is due.
 */
void bundle_done(MigStream *s);

#endif
