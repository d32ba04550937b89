/*
 * Migration sessions: one attempt to move one Realm
 *
 * Purpose: phases, keys, epochs and streams of a Realm's migration, at the
 * source and at the destination.  One MigSession stands for all attempts of
 * a Realm, since what must not repeat (offers) outlives an attempt.
 *
 *   source                                  destination
 *
 *   IDLE <-----------------+ abort          IDLE
 *     | MIG_ACCEPT         |                  | MIG_OFFER
 *   ACCEPTED --------------+                OFFERED ------------+ any final
 *     | MIG_EXPORT_BEGIN   |                  | MIG_IMPORT      | failure,
 *   EXPORTING -------------+                IMPORTING ----------+ abort
 *     | MIG_PAUSE          |                  | start token     |
 *   PAUSED ----------------+                STARTED ------------+
 *     | MIG_EXPORT_START                      | COMMIT          |
 *   SEALED  (final)                         IDLE (runs)       FAILED (final)
 *
 * Invariants:
 * 1. Each edge is taken by session_set_phase, which knows the legal ones.
 * 2. Keys exist from ACCEPTED to PAUSED and in IMPORTING, and are wiped on
 *    every edge out of there; the secret of the offer exists in OFFERED.
 * 3. The Realm is in IMPORT in OFFERED, IMPORTING and STARTED, and in no
 *    other phase; EXPORT or SYSTEM_OFF in EXPORTING; EXPORT_PAUSED in
 *    PAUSED; EXPORTED in SEALED.
 * 4. `total` bundles of an epoch token are the sum of all stream counters:
 *    nothing is in flight while all streams are locked.
 *
 * Lock rule: MigStream.lock of the streams in ascending order, then the
 * Realm's lock (lock.h), never the other way.  A field here changes only
 * with all streams locked (session_lock_all), so whoever holds one stream
 * may read it.  Calls that move memory hold one stream each and run in
 * parallel; all other calls hold all.  `failed` is atomic.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef RMM_SESSION_H
#define RMM_SESSION_H

#include "bundle.h"
#include "realm.h"

typedef enum MigPhase {
    MIG_IDLE,
    MIG_ACCEPTED,
    MIG_EXPORTING,
    MIG_PAUSED,
    MIG_SEALED,
    MIG_OFFERED,
    MIG_IMPORTING,
    MIG_STARTED,
    MIG_FAILED,
    MIG_PHASES
} MigPhase;

/* Offers that a Realm may accept in its life: bounds what it remembers */
#define MIG_MAX_OFFERS 1024

typedef struct MigSession {
    MigStream streams[MIG_MAX_STREAMS];
    gint failed;                /* atomic: a final failure was seen */
    MigPhase phase;

    /* The exchange (docs/specs/realm-migration-stream.rst, "Keys") */
    GByteArray *used_offers;    /* source: nonces, 32 bytes each */
    MigHello answer;            /* source: the session header to send */
    uint8_t offer_nonce[32];
    uint8_t offer_hash[CRYPTO_HASH_SIZE];
    uint8_t secret[CRYPTO_KEY_SIZE];    /* destination: of the offer's key */
    uint8_t key[CRYPTO_KEY_SIZE];       /* source to destination */

    uint32_t epoch;             /* from 1 on */
    bool compact;               /* lengths may depend on contents */
    gint epoch_used;            /* atomic; source: pages left in this epoch */

    /* Realm state: how far the map came; RECs that went or came, by index */
    uint64_t next_base;
    uint8_t recs[RMM_MAX_RECS];
    uint32_t num_recs;
    GArray *runs;               /* destination: MigRun, the whole map */
} MigSession;

/* The session of a Realm whose lock is held; made when first asked for */
MigSession *session_of(RmmRealm *realm);

void session_lock_all(MigSession *s);
void session_unlock_all(MigSession *s);

/* The edges of the diagram; setting a phase by no edge stops the program. */
bool session_edge_allowed(MigPhase from, MigPhase to);
void session_set_phase(MigSession *s, MigPhase to);

/* Bundles on all streams so far; all streams are locked */
uint64_t session_total(const MigSession *s);

/*
 * The first half of a hello of @type: a fresh secret, its public point and a
 * nonce, from the machine's random numbers.
 */
void session_hello(Rmm *rmm, MigType type, MigHello *hello,
                   uint8_t secret[CRYPTO_KEY_SIZE]);

/* Is @hello, of which @size bytes came, one of @type in this version? */
bool session_hello_valid(const MigHello *hello, size_t size, MigType type);

/*
 * Make the key of the session from our @secret, the peer's point, the offer
 * (offer_nonce, offer_hash) and the session header @answer, and open stream
 * 0 with it.  False if there is no secret to share, or no cipher.
 */
bool session_derive(MigSession *s, const uint8_t secret[CRYPTO_KEY_SIZE],
                    const uint8_t peer[CRYPTO_POINT_SIZE],
                    const MigHello *answer);

/* Start counting: epoch 1, no bundle, nothing exported or imported */
void session_reset(MigSession *s);

/* Wipe and forget all keys and all that was readable under them */
void session_wipe(MigSession *s);

#endif
