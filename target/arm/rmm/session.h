/*
 * Migration sessions: one attempt to move one Realm
 *
 * Purpose: phases, keys, epochs and streams of a Realm's migration, at the
 * source and at the destination.  One MigSession stands for all attempts of
 * a Realm, since a prepared nonce comes before an attempt, and a receipt stays
 * after one.
 *
 *   source                                  destination
 *
 *   IDLE <-----------------+ abort          IDLE
 *    ^| MIG_ACCEPT         |                  | MIG_OFFER
 *    |ACCEPTED ------------+                OFFERED ------------+ any final
 *    || MIG_EXPORT_BEGIN   |                  | MIG_IMPORT      | failure,
 *    |EXPORTING -----------+                IMPORTING ----------+ abort
 *    || MIG_PAUSE          |                  | start token     |
 *    |PAUSED --------------+                STARTED ------------+
 *    || MIG_EXPORT_START                      | COMMIT          |
 *    SEALED (the start token again)         IDLE (runs;       FAILED (final;
 *     | MIG_EXPORT_FINISH                   the receipt)      the abort token)
 *    GONE (final)
 *
 * SEALED goes back to IDLE by MIG_EXPORT_RESUME, with the abort token, and on
 * to GONE with the receipt.
 *
 * Invariants:
 * 1. Each edge is taken by session_set_phase, which knows the legal ones.
 * 2. Secrets, each wiped on every edge out of where it exists, by
 *    session_wipe unless said otherwise, and with the Realm:
 *      X25519 secret of the offer       OFFERED
 *      X25519 secret of the answer      inside MIG_ACCEPT only
 *      forward key, ciphers, contents   ACCEPTED to PAUSED, IMPORTING
 *      back key (session_wipe_back)     ACCEPTED to SEALED; IMPORTING, STARTED
 *      abort secret                     OFFERED to STARTED, and FAILED;
 *                                       wiped by COMMIT (session_wipe_abort)
 * 3. The abort secret leaves in FAILED only, at the earliest in the call
 *    that goes there.  No edge leads out of FAILED, and COMMIT wipes the
 *    secret.  So either the destination can run the Realm, or the source
 *    can get it back.
 * 4. The Realm is in IMPORT in OFFERED, IMPORTING and STARTED, and in no
 *    other phase; EXPORT or SYSTEM_OFF in EXPORTING; EXPORT_PAUSED in
 *    PAUSED; EXPORTED in SEALED and GONE.
 * 5. A call takes its edge before the first byte of what it tells leaves, and
 *    nothing takes the edge back if that byte cannot be written.
 * 6. `total` of a token is the sum of all stream counters: nothing is in
 *    flight while all streams are locked.  So is that of a ready record and of
 *    a receipt, and both sides count alike.
 * 7. The start token is made only with a ready record: a destination with the
 *    same keys has all that was sent (reply.c).  The receipt is made in the
 *    step in which the Realm becomes ACTIVE there; nothing leads out of GONE.
 *
 * Lock rule: a thread takes MigStream.lock of the streams in ascending order,
 * then the Realm's lock (lock.h), never the other way.  A field here changes
 * only with all streams locked (session_lock_all), so whoever holds one stream
 * may read it.  Calls that move memory hold one stream each and run in
 * parallel; all other calls hold all.  So whoever uses the way back holds all,
 * and its stream needs no lock.  `failed`, `collecting` and `epoch_used` are
 * atomic.
 *
 * Objects on the stack are large here: MigHelloRecord has 6.4 KB, and what
 * MIG_IMPORT begins with (MIG_MAX_BEGIN) 8.6 KB.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef RMM_SESSION_H
#define RMM_SESSION_H

#include "bundle.h"
#include "realm.h"
#include "token.h"

typedef enum MigPhase {
    MIG_IDLE,
    MIG_ACCEPTED,
    MIG_EXPORTING,
    MIG_PAUSED,
    MIG_SEALED,
    MIG_GONE,
    MIG_OFFERED,
    MIG_IMPORTING,
    MIG_STARTED,
    MIG_FAILED,
    MIG_PHASES
} MigPhase;

/* An offer or a session header, as it travels */
typedef struct MigHelloRecord {
    MigHello hello;
    /* hello.token_size bytes of token, then hello.certs_size of certificates */
    uint8_t tail[MIG_MAX_TOKEN + MIG_MAX_CERTIFICATES];
} MigHelloRecord;

/* What both sides keep of an offer */
typedef struct MigOffer {
    uint8_t nonce[32];
    uint8_t hash[CRYPTO_HASH_SIZE];     /* session_hello_hash */
    uint8_t payload[CRYPTO_HASH_SIZE];  /* session_payload_hash */
    uint8_t abort_lock[CRYPTO_HASH_SIZE];
} MigOffer;

/* The keys of a session */
typedef struct MigKeys {
    uint8_t forward[CRYPTO_KEY_SIZE];   /* source to destination */
    uint8_t back[CRYPTO_KEY_SIZE];      /* destination to source */
} MigKeys;

/* The nonce of PREPARE, for which an offer has to be made */
typedef struct MigPrepared {
    bool valid;
    uint8_t nonce[32];
    uint64_t at;                /* RmmOps.seconds */
} MigPrepared;

typedef struct MigSession {
    MigStream streams[MIG_MAX_STREAMS];
    gint failed;                /* atomic: cause of the first final failure */
    MigPhase phase;

    /* The exchange (docs/specs/realm-migration-stream.rst, "Exchange") */
    MigPrepared prepared;       /* source */
    uint64_t offered_at;        /* destination: RmmOps.seconds */
    MigHelloRecord hello;       /* that this side made: offer or answer */
    uint16_t version;           /* offered; from the answer on: agreed */
    uint64_t features;          /* likewise */
    MigOffer offer;             /* made here, or accepted */
    uint8_t abort_secret[CRYPTO_KEY_SIZE];      /* destination: of the lock */
    uint8_t secret[CRYPTO_KEY_SIZE];    /* destination: of the offer's key */
    uint8_t key[CRYPTO_KEY_SIZE];       /* the forward key */
    MigStream back;             /* the back key: ready records and receipt;
                                   its lock is not used */

    gint collecting;            /* atomic: calls in step 2 of a round.  Up with
                                   all streams locked, down without */
    uint32_t epoch;             /* from 1 on */
    gint epoch_used;            /* atomic; source: step 3 of the round began */

    /* Realm state: how far the map came; RECs that went or came, by slot */
    uint64_t next_base;
    uint8_t recs[RMM_MAX_RECS];
    uint32_t num_recs;
    uint32_t recs_due;          /* source: as the immutable state says */
    GArray *runs;               /* destination: MigRun, the map so far; at
                                   most MIG_MAX_RUNS */
    uint32_t num_runs;          /* source: that went */
    uint64_t map_reached;       /* destination: IPA that READY or COMMIT came
                                   to, when... */
    uint64_t map_total;         /* ...so many bundles had come, and... */
    uint64_t map_taken;         /* ...so many pages had gone (commit.c) */
    uint64_t wiped;             /* source: IPA that FINISH came to */
    /* Once made, and given as often as the host asks: sealed, no secret */
    uint8_t start[MIG_EMPTY_BUNDLE];    /* source: the start token */
    bool has_receipt;
    uint8_t receipt[MIG_EMPTY_BUNDLE];  /* destination, from COMMIT on */
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

/* May the lengths of packed tags tell something of contents? */
static inline bool session_is_compact(const MigSession *s)
{
    return s->features & MIG_FEATURE_COMPACT;
}

/* Do pages of zeros travel without their data? */
static inline bool session_omits_zeros(const MigSession *s)
{
    return s->features & MIG_FEATURE_ZERO;
}

/* ---- the exchange ---- */

/*
 * The first half of a hello of @type: this RMM's version, a fresh secret, its
 * public point and a nonce, from the machine's random numbers.
 */
void session_hello(Rmm *rmm, MigType type, MigHello *hello,
                   uint8_t secret[CRYPTO_KEY_SIZE]);

/*
 * What is wrong with the form of @hello, of which @size bytes came, as one
 * of @type: MIG_CAUSE_FORMAT, MIG_CAUSE_VERSION for another major, or 0.
 */
MigCause session_hello_check(const MigHello *hello, size_t size,
                             MigType type);

/*
 * Has the peer's hello the key or the nonce of @own?  Then one of the two RMMs
 * draws again what it drew before, or somebody sent us our own: no secret of
 * such an exchange is one.
 */
bool session_is_own(const MigHello *own, const MigHello *peer);

/*
 * The hash of a hello without what follows it.  Its sizes count as zero, since
 * they are about the token, which is made later, and the certificates; a token
 * in the wrong place or cut has no valid signature.
 */
void session_hello_hash(uint8_t hash[CRYPTO_HASH_SIZE],
                        const MigHello *hello);

/* The hash of the payload of a token that has its form: ours, or checked */
void session_payload_hash(uint8_t hash[CRYPTO_HASH_SIZE],
                          const MigHelloRecord *record);

/* @record is one that this RMM has signed, or whose token it has checked. */
MigOffer session_offer(const MigHelloRecord *record);

/*
 * What the token of @hello has to be about: the hello, and for a session
 * header also @offer, which it answers.
 */
void session_challenge(uint8_t challenge[CRYPTO_HASH_SIZE],
                       const MigHello *hello, const MigOffer *offer);

/*
 * Put this RMM's platform key into @record->hello, its token and certificates
 * behind it, and set the sizes.  Returns the reason if there is none, or 0.
 */
MigCause session_sign(Rmm *rmm, MigHelloRecord *record,
                      const MigOffer *offer);

/*
 * Is the RMM that sent @record one that the policy of @realm trusts, and did
 * it mean this exchange?  Returns why not, or 0 and what its token says.
 */
MigCause session_check_peer(const RmmRealm *realm,
                            const MigHelloRecord *record,
                            const MigOffer *offer, TokenPlatform *claims);

/*
 * The keys of a session from our @secret, the peer's point, the offer and the
 * session header that answers it.  False if there is no secret to share.
 */
bool session_derive(MigKeys *keys, const uint8_t secret[CRYPTO_KEY_SIZE],
                    const uint8_t peer[CRYPTO_POINT_SIZE],
                    const MigOffer *offer, const MigHelloRecord *answer);

/*
 * Begin with @keys, and with the version and features that @answer says:
 * stream 0 and the way back are open.  False if there is no cipher; then
 * nothing has changed.
 */
bool session_open(MigSession *s, const MigKeys *keys, const MigHello *answer);

/*
 * Start counting: epoch 1, no bundle, nothing exported or imported.  No
 * stream is open but perhaps the first.
 */
void session_reset(MigSession *s);

/*
 * Wipe and forget the forward key, the X25519 secret and all that was readable
 * under them; not the back key, not the abort secret.
 */
void session_wipe(MigSession *s);

/* No more ready record or receipt */
void session_wipe_back(MigSession *s);

/* The Realm runs here, or is no more: no abort token from now on */
void session_wipe_abort(MigSession *s);

#endif
