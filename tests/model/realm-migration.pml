/*
 * Realm migration, a model of the protocol for SPIN
 *
 * Purpose: can two hosts and a network that do whatever they like get two
 * copies of a Realm to run, or an old one?  The protocol is version 2.0 of
 * docs/specs/realm-migration-stream.rst, and the names are those of its
 * calls, phases and records.  `tests/model/check` runs all of this.  What the
 * network can do to honest hosts is in realm-hosts.pml.
 *
 * What there is
 *   One Realm of 2 pages at a source RMM.  Two destinations, each a Realm
 *   with its offer; whether they are on one RMM makes no difference.  The
 *   Realm may be migrated twice: prepare, accept an offer, fail at any moment,
 *   prepare again and accept another one.  Each session has 2 epochs and
 *   2 streams for memory (1 and 2), beside stream 0 for everything else.
 *   Contents of a page are a version number.  Contents of the map and of all
 *   RECs are one number, which goes up with each write of the Realm, and they
 *   travel as one bundle of type STATE.
 *   The host may take page 1 back at any time, from each Realm.  (Page 0 is
 *   like it; one that goes is enough for a stale page.)  The Realm then meets
 *   DESTROYED there, and the map says so.  At a destination the page may come
 *   again, until the start token has come.
 *   COMMIT has two pieces: through page 1, and through page 0.
 *   The hosts and the network are one adversary, who keeps every record and
 *   every token, gives any of them to any RMM in any order and any number of
 *   times or never, and makes any call at any moment.  A call of the source
 *   that makes a bundle may also fail after the cipher was used, once per
 *   session.  A record that is owed is one that the adversary gets late.
 *   Another RMM that the policy lets in is the adversary's: it puts its own
 *   token and its own abort lock to somebody else's offer.
 *   Cryptography is ideal: what was sealed under a session's key opens under
 *   that key only and can neither be made nor changed by others, and the
 *   preimage of an abort lock is known to nobody until it is told.  A key is
 *   of a session, a direction, and the two RMMs that signed.  Nonces that were
 *   drawn differ.
 *
 * What there is not
 *   Who may be a peer at all (realm-rim.pml has a part of it); the format of
 *   records; counters that wrap; tables, granules and RIPAS; a Realm that
 *   moves on from its destination, which is then a source like this one;
 *   concurrency inside an RMM, whose calls take effect one after the other
 *   (session.h, "Lock rule").  A destination that refuses a record, or a
 *   session header since its offer is too old, is FAILED, as after
 *   IMPORT_ABORT, so refusals are no steps of their own.  A token that
 *   another RMM puts to a session header: it is in the key like an offer's.
 *
 * Properties (ONLY=n checks n alone)
 *   1. There is at most one runnable copy.
 *   2. No stale copy runs: what a destination commits is every page and the
 *      state as the source has them at that moment, and the source goes on
 *      only if no destination ever committed.
 *   3. No IV is used twice under a key.
 *   4. Abort before start is always possible: whatever happened, until there
 *      is a start token, the host of the source alone gets the Realm back.
 *   5. Once the source resumed, that session's destination never commits.
 *   6. The source is GONE only after the destination committed.
 *   7. Source and destination mean each other: what commits was sealed for
 *      the RMM whose token the source verified.
 *   (8 and 9 are in realm-hosts.pml, 10 is in realm-rim.pml.)
 *
 * Mechanisms: NO(X) in a guard is the rule that -DNO_X takes out; `check`
 *   knows which property fails then.  Some rules can be taken out alone
 *   without harm to these properties, since others cover for them:
 *     NO_ACCEPT_IDLE and NO_PREPARE_IDLE (without a nonce no ACCEPT),
 *     NO_NONCE_ONCE and NO_FRESH_SHARE, NO_START_TOTAL and NO_READY_NOW,
 *     NO_COMMIT_WIPES and NO_COMMIT_ENDS, and of three,
 *     NO_STATE_LEFT, NO_STATE_CHECK and NO_READY_ALL
 *   cover for each other, and taking out all of them does harm.
 *     NO_ALL_DIRTY, NO_READY_ALL: the check of pages at COMMIT.
 *     NO_READY and NO_NONCE: who has no ready record has a destination that
 *   cannot commit, and sessions have other keys.  Both are there for what
 *   realm-hosts.pml shows.
 *     NO_GONE_FINAL: a destination that committed told no abort token.
 *     NO_PENDING_ONLY: a page that left while it was not PENDING was clean
 *   (so it is the same) or dirty (so it leaves again, in a later epoch).
 *   This one is argued here only: the search is too large.
 *     NO_EPOCH_TOTAL: a bundle that is missing at an epoch token cannot be
 *   imported any more, and is missing at the start token.
 *
 * How the state space is kept small, without loss
 *   - While a destination is IMPORTING or STARTED nothing else moves, but
 *     for START when it is READY: an import depends on bundles, which never
 *     go away, and nobody sees it before READY and COMMIT.  So all imports
 *     may as well come just before START or COMMIT, and READY just before
 *     START.  (-DANYTIME takes this cut out.)
 *   - A ready record that fits no more is forgotten: it never fits again.
 *   - Bundles of a session that ended are forgotten, and versions begin at 0
 *     again, if nobody can commit them: there is no start token among them,
 *     or their destination is FAILED.  (-DKEEP takes this cut out.)
 *   - Writes to a page count as one while no bundle is made that shows the
 *     difference.
 *   - Of a nonce there is only which offers have the one that serves now.
 *   - Destinations are alike, and so are streams 1 and 2: those with the
 *     lower number come first.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "rules.h"

#ifndef EPOCHS
#define EPOCHS   2
#endif
#ifndef SESSIONS
#define SESSIONS 2
#endif
#ifndef FAILURES
#define FAILURES 1              /* failed calls that use the cipher */
#endif
#ifndef LENGTH
#define LENGTH   4              /* most bundles of a stream */
#endif
#define STREAMS  3

/* Phases of the source; of a destination */
#define IDLE            0       /* Realm ACTIVE: runs */
#define ACCEPTED        1       /* ACTIVE: runs */
#define EXPORTING       2       /* EXPORT: runs */
#define PAUSED          3       /* EXPORT_PAUSED */
#define SEALED          4       /* EXPORTED */
#define LOST            5       /* EXPORT_PAUSED, and page 1 went meanwhile */
#define GONE            6       /* EXPORTED, and the receipt came */

#define NEW             0       /* phase IDLE, Realm NEW */
#define OFFERED         1
#define IMPORTING       2
#define STARTED         3
#define FAILED          4
#define READY           5       /* IMPORTING, and gave a ready record */
#define ACTIVE          6       /* phase IDLE, Realm ACTIVE: runs */

/* A bundle in a byte: type, epoch, page and version, version, or total */
#define IMMUTABLE       0       /* with the session header */
#define MEMORY          1
#define STATE           2       /* the map and all RECs */
#define EPOCH           3
#define START           4
#define STATE_GONE      5       /* STATE, with page 1 DESTROYED in the map */
#define BUNDLE(type, value)     ((type) << 5 | (epoch - 1) << 4 | (value))
#define TYPE(b)                 ((b) >> 5)
#define EPOCH_OF(b)             (((b) >> 4 & 1) + 1)
#define VALUE(b)                ((b) & 15)

/* The source RMM */
byte phase;
byte session;                   /* number of this session or the next one */
byte offer;                     /* the accepted one: its destination */
bit prepared;                   /* there is a nonce of PREPARE */
bit ready;                      /* there is a ready record that fits now */
byte epoch;
bit epoch_used;                 /* a page has left in this epoch */
bit state_left;                 /* the map and all RECs */
bit start_left;                 /* the start token */
byte failures;
byte iv[STREAMS];
byte version[2];
bit seen[2];                    /* a bundle shows this version */
bit dirty[2];
bit pending[2];
byte gone;                      /* page 1: 1 DESTROYED; 2 since SEALED only */

/* Both hosts and the network: all bundles, by session, stream, counter */
byte bundle[SESSIONS * STREAMS * LENGTH];
byte sent[SESSIONS * STREAMS];
byte offer_of[SESSIONS];
bit foreign[SESSIONS];          /* another RMM put its token to that offer */
bit fresh[2];                   /* offer d has the nonce of PREPARE */
bit token[2];                   /* the abort token of destination d */
byte torn, torn_at;             /* with NO_WHOLE only */

/* The destination RMMs */
byte phase_at[2];
byte session_at[2];
byte epoch_at[2];
byte got[2 * STREAMS];          /* counters */
byte page_at[2 * 2];            /* version + 1, or 0: missing */
byte state_at[2];               /* version + 1, or 0: missing */
bit gone_at[2];                 /* the map says that page 1 is DESTROYED */
bit piece_at[2];                /* COMMIT went through page 1 */
bit wiped[2];                   /* the abort secret */
byte iv_at[2];                  /* of the back key */

/* For the properties only */
short ivs[SESSIONS * STREAMS];  /* bit n: IV n was used under the key */
short back_ivs[SESSIONS];       /* likewise, under the back key */
bit moved;                      /* a destination has committed */
bit gave_up[2];                 /* the source resumed with this token */
bit taken_at[2];                /* page 1 went there; for situation 19 only */

#if REACH == 19
#define TAKEN(d)        taken_at[d] = 1
#else
#define TAKEN(d)        skip
#endif
#define AT(s, t)        ((s) * STREAMS + (t))
#define SUM(counts, s)  (counts[AT(s, 0)] + counts[AT(s, 1)] + \
                         counts[AT(s, 2)])
#define ALL_STATE       (version[0] + version[1])
#define RUNS            (phase == IDLE || phase == ACCEPTED || \
                         phase == EXPORTING)
#define COPIES          (RUNS + (phase_at[0] == ACTIVE) + \
                         (phase_at[1] == ACTIVE))

#define BUSY(d)         (phase_at[d] == IMPORTING || phase_at[d] == STARTED)
#ifdef ANYTIME
#define STILL           true
#define QUIET           true
#define OTHER_QUIET(d)  true
#define SERVES(s)       true
#else
#define STILL           (!BUSY(0) && !BUSY(1))
#define QUIET           (STILL && (!ready || start_left || \
                                   NO(READY_NOW) || NO(WHOLE)))
#define OTHER_QUIET(d)  (!BUSY(1 - d))
#define SERVES(s)       (s != session || phase >= PAUSED || NO(START_NEEDED))
#endif

/* ---- the Realm at the source ---- */

inline write_page(p)
{
    d_step {
        QUIET && (RUNS || NO(PAUSE_FREEZES) && phase == PAUSED) &&
        (seen[p] || !dirty[p] && phase >= EXPORTING) && version[p] < 7 &&
        (p == 0 || !gone) ->
        printf("Realm      writes page %d\n", p);
        dirty[p] = dirty[p] || phase >= EXPORTING && !NO(DIRTY_AGAIN);
        version[p] = version[p] + seen[p];
        seen[p] = 0
    }
}

/*
 * DATA_DESTROY: nothing is owed of the page any more.  After the seal it
 * matters only if the Realm comes back.
 */
inline reclaim()
{
    d_step {
        QUIET && !gone && !moved && phase != LOST ->
        printf("source     DATA_DESTROY page 1\n");
        gone = (phase == SEALED -> 2 : 1);
        dirty[1] = 0;
        pending[1] = 0;
        phase = (phase == PAUSED && !NO(RECLAIM_ENDS) -> LOST : phase)
    }
}

/* ---- the source RMM ---- */

#ifdef NO_FRESH_KEYS
#define KEY 0                   /* one for all sessions */
#define FORGET 0
#elif defined(NO_FRESH_SHARE)
#define KEY offer               /* made of what the offer gives alone */
#define FORGET 0
#elif defined(KEEP)
#define KEY session
#define FORGET 0
#else
#define KEY session
#define FORGET 1
#endif

#define IV_STREAM(t)    (NO(STREAM_IN_IV) -> 0 : t)
#define USED_IVS(t)     ivs[AT(KEY, IV_STREAM(t))]
#define ROOM(t, ok)     (sent[AT(session, t)] < LENGTH && \
                         (ok || failures < FAILURES))

/* Seal bundle b; hand it over (ok) or not */
inline send_bundle(t, b, ok)
{
    iv[t] = (NO(IV_UP) -> sent[AT(session, t)] : iv[t]) + 1;
    PROPERTY(3, !(USED_IVS(t) >> iv[t] & 1));
    USED_IVS(t) = USED_IVS(t) | 1 << iv[t];
    if
    :: ok ->
        bundle[AT(session, t) * LENGTH + sent[AT(session, t)]] = b;
        sent[AT(session, t)]++;
        ready = ready && (TYPE(b) == START || NO(READY_NOW))
    :: else ->
        failures++;
        if
        :: NO(WHOLE) ->         /* the host has it nevertheless */
            torn = b;
            torn_at = AT(session, t) * LENGTH + sent[AT(session, t)] + 1
        :: else
        fi
    fi
}

inline end_session()
{
    if
    :: FORGET && (!start_left ||
                  phase_at[offer] == FAILED && !NO(FAILED_FINAL)) ->
        for (i : AT(session, 0) .. AT(session, STREAMS) - 1) {
            sent[i] = 0;
            ivs[i] = 0
        }
        for (i : AT(session, 0) * LENGTH ..
                 AT(session, STREAMS) * LENGTH - 1) {
            bundle[i] = 0
        }
        back_ivs[session] = 0;
        foreign[session] = 0;
        for (i : 0 .. 1) {
            version[i] = 0;
            seen[i] = 0
        }
    :: else
    fi;
    for (i : 0 .. 1) {
        dirty[i] = dirty[i] && NO(ALL_DIRTY);
        pending[i] = pending[i] && NO(ALL_DIRTY)
    }
    for (i : 0 .. STREAMS - 1) {
        iv[i] = 0
    }
    i = 0;
    phase = IDLE;
    offer = 0;
    epoch = 0;
    epoch_used = 0;
    state_left = 0;
    start_left = 0;
    ready = 0;
    failures = 0;
    gone = (gone -> 1 : 0);
    session++
}

/* The nonce serves no more: by ACCEPT, by its age, or by a new PREPARE */
inline forget_nonce()
{
    prepared = 0;
    fresh[0] = 0;
    fresh[1] = 0
}

inline prepare()
{
    d_step {
        QUIET && (!prepared || fresh[0] || fresh[1]) &&
        (phase == IDLE || NO(PREPARE_IDLE)) &&
        session + (phase != IDLE) < SESSIONS ->
        printf("source     PREPARE\n");
        forget_nonce();
        prepared = 1
    }
}

inline expire()
{
    d_step {
        QUIET && prepared ->
        printf("source     the nonce is too old\n");
        forget_nonce()
    }
}

/*
 * The offer of d as its RMM made it, or with the token and abort lock of
 * another RMM that the policy lets in
 */
inline accept(d, other)
{
    d_step {
        QUIET && phase_at[d] != NEW && (d == 0 || session || phase != IDLE) &&
        (phase == IDLE || NO(ACCEPT_IDLE)) &&
        (prepared && fresh[d] || NO(NONCE)) &&
        session + (phase != IDLE) < SESSIONS ->
        printf("source     ACCEPT offer %d, other token %d\n", d, other);
        if
        :: phase != IDLE -> end_session()
        :: else
        fi;
        if
        :: !NO(NONCE_ONCE) -> forget_nonce()
        :: else
        fi;
        offer = d;
        offer_of[session] = d;
        foreign[session] = other;
        epoch = 1;
        phase = ACCEPTED
    }
}

inline export_begin(ok)
{
    d_step {
        QUIET && phase == ACCEPTED && ROOM(0, ok) ->
        printf("source     EXPORT_BEGIN, ok %d\n", ok);
        send_bundle(0, BUNDLE(IMMUTABLE, 0), ok);
        if
        :: ok ->
            phase = EXPORTING;
            dirty[0] = dirty[0] || !NO(ALL_DIRTY);
            dirty[1] = (dirty[1] || !NO(ALL_DIRTY)) && !gone
        :: else
        fi
    }
}

#define EXPORTS (phase == EXPORTING || phase == PAUSED)

inline collect_dirty(p)
{
    d_step {
        QUIET && EXPORTS && dirty[p] && (!epoch_used || NO(EPOCH_USED)) ->
        printf("source     COLLECT_DIRTY page %d\n", p);
        dirty[p] = 0;
        pending[p] = 1
    }
}

inline export_memory(p, t, ok)
{
    d_step {
        QUIET && EXPORTS && ROOM(t, ok) && (pending[p] || NO(PENDING_ONLY)) &&
        (p == 0 || !gone) &&
        (t != 2 || sent[AT(session, 1)]) ->
        printf("source     EXPORT_MEMORY page %d.%d, stream %d, ok %d\n",
               p, version[p], t, ok);
        epoch_used = 1;
        send_bundle(t, BUNDLE(MEMORY, p << 3 | version[p]), ok);
        pending[p] = pending[p] && !ok && !NO(PUT_BACK);
        seen[p] = seen[p] || ok || NO(WHOLE)
    }
}

inline export_epoch(ok)
{
    d_step {
        QUIET && EXPORTS && ROOM(0, ok) && epoch < EPOCHS ->
        printf("source     EXPORT_EPOCH %d, ok %d\n", epoch, ok);
        send_bundle(0, BUNDLE(EPOCH, SUM(sent, session) + 1), ok);
        if
        :: ok ->
            epoch++;
            epoch_used = 0
        :: else
        fi
    }
}

inline pause()
{
    d_step {
        QUIET && phase == EXPORTING ->
        printf("source     PAUSE\n");
        phase = PAUSED
    }
}

inline export_state(ok)
{
    d_step {
        QUIET && EXPORTS && ROOM(0, ok) && !state_left &&
        (phase == PAUSED || NO(STATE_PAUSED)) ->
        printf("source     EXPORT_REALM, EXPORT_REC, ok %d\n", ok);
        send_bundle(0, BUNDLE((gone && !NO(GONE_IN_MAP) -> STATE_GONE : STATE),
                              ALL_STATE), ok);
        state_left = ok;
        seen[0] = 1;
        seen[1] = 1
    }
}

inline export_start(ok)
{
    d_step {
        STILL && phase == PAUSED && ROOM(0, ok) && (ready || NO(READY)) &&
        (state_left || NO(STATE_LEFT)) &&
        (!dirty[0] && !dirty[1] || NO(DIRTY_ZERO)) &&
        (!pending[0] && !pending[1] || NO(PENDING_ZERO)) ->
        printf("source     EXPORT_START, ok %d\n", ok);
        send_bundle(0, BUNDLE(START, SUM(sent, session) + 1), ok);
        if
        :: ok ->
            start_left = 1;
            phase = (NO(SEAL) -> phase : SEALED)
        :: else
        fi
    }
}

#define MAY_ABORT (phase != IDLE && phase != GONE && \
                   (phase != SEALED || NO(SEALED_FINAL)) && \
                   (token[offer] || !NO(ABORT_ALONE)))

inline export_abort()
{
    d_step {
        QUIET && MAY_ABORT ->
        printf("source     EXPORT_ABORT\n");
        PROPERTY(2, !moved);
        end_session()
    }
}

/* Another RMM that put its abort lock to the offer tells its secret */
#define TOKEN(d)        (token[d] || foreign[session])

inline resume(d)
{
    d_step {
        QUIET && (phase == SEALED || phase == GONE && NO(GONE_FINAL)) &&
        (TOKEN(d) || NO(RESUME_TOKEN)) && (d == offer || NO(LOCK_CHECK)) ->
        printf("source     RESUME with abort token %d\n", d);
        PROPERTY(2, !moved);
        gave_up[offer] = 1;
        end_session()
    }
}

inline export_finish()
{
    d_step {
        QUIET && phase == SEALED &&
        (phase_at[offer] == ACTIVE || NO(RECEIPT)) ->
        printf("source     FINISH\n");
        PROPERTY(6, moved);
        SITUATION(7, true);
        phase = GONE
    }
}

/* ---- the destination RMMs ---- */

inline make_offer(d)
{
    d_step {
        QUIET && phase_at[d] == NEW ->
        printf("dest. %d    OFFER, fresh %d\n", d, prepared);
        fresh[d] = prepared;
        phase_at[d] = OFFERED
    }
}

inline import_begin(d, s)
{
    d_step {
        STILL && SERVES(s) && sent[AT(s, 0)] &&
        (offer_of[s] == d || NO(OWN_OFFER)) && (!foreign[s] || NO(IDENTITY)) &&
        (phase_at[d] == OFFERED ||
         phase_at[d] == FAILED && NO(FAILED_FINAL)) ->
        printf("dest. %d    IMPORT begin of session %d\n", d, s);
        session_at[d] = s;
        epoch_at[d] = 1;
        got[AT(d, 0)] = 1;
        phase_at[d] = IMPORTING
    }
}

#define IMPORTS_AT(d)   (phase_at[d] == IMPORTING || phase_at[d] == READY)
#define COMPLETE(d, b)  (VALUE(b) == SUM(got, d) + 1)
#define OPENS(d, b)                                                 \
    ((EPOCH_OF(b) == epoch_at[d] || NO(EPOCH_CHECK)) &&             \
     TYPE(b) != IMMUTABLE &&                                        \
     (TYPE(b) != EPOCH || COMPLETE(d, b) || NO(EPOCH_TOTAL)) &&     \
     (TYPE(b) != START || COMPLETE(d, b) || NO(START_TOTAL)) &&     \
     (TYPE(b) != START || state_at[d] || NO(STATE_CHECK)))

/* Bundle b takes effect */
inline take_bundle(d, t, b)
{
    printf("dest. %d    IMPORT stream %d: type %d, epoch %d, value %d\n",
           d, t, TYPE(b), EPOCH_OF(b), VALUE(b));
    if
    :: TYPE(b) == MEMORY -> page_at[d * 2 + (VALUE(b) >> 3)] =
                                (VALUE(b) & 7) + 1
    :: TYPE(b) == STATE || TYPE(b) == STATE_GONE ->
        state_at[d] = VALUE(b) + 1;
        gone_at[d] = (TYPE(b) == STATE_GONE)
    :: TYPE(b) == EPOCH -> epoch_at[d]++
    :: else
    fi;
    phase_at[d] = (TYPE(b) == START -> STARTED : IMPORTING);
    got[AT(d, t)]++
}

/* The bundle of session s with counter n + 1 */
#define STORED(s, t, n) bundle[AT(s, t) * LENGTH + n]

inline import(d, s, t, n)
{
    d_step {
        OTHER_QUIET(d) && IMPORTS_AT(d) && n < sent[AT(s, t)] &&
        (s == session_at[d] || NO(FRESH_KEYS)) &&
        (n == got[AT(d, t)] || NO(COUNTER_CHECK) &&
                               SUM(got, d) < 4 * LENGTH) &&
        OPENS(d, STORED(s, t, n)) ->
        take_bundle(d, t, STORED(s, t, n))
    }
}

inline import_torn(d, t)
{
    d_step {
        OTHER_QUIET(d) && IMPORTS_AT(d) &&
        torn_at == AT(session_at[d], t) * LENGTH + got[AT(d, t)] + 1 &&
        OPENS(d, torn) ->
        take_bundle(d, t, torn)
    }
}

inline end_import(d)
{
    session_at[d] = 0;
    epoch_at[d] = 0;
    page_at[d * 2] = 0;
    page_at[d * 2 + 1] = 0;
    state_at[d] = 0;
    gone_at[d] = 0;
    piece_at[d] = 0;
    iv_at[d] = 0;
    got[AT(d, 0)] = 0;
    got[AT(d, 1)] = 0;
    got[AT(d, 2)] = 0
}

#ifdef NO_BACK_KEY
#define BACK_IVS(d)     ivs[AT(session_at[d], 0)]
#else
#define BACK_IVS(d)     back_ivs[session_at[d]]
#endif

/* A ready record or a receipt */
inline seal_back(d)
{
    iv_at[d] = (NO(BACK_IV_UP) -> 0 : iv_at[d]) + 1;
    PROPERTY(3, !(BACK_IVS(d) >> iv_at[d] & 1));
    BACK_IVS(d) = BACK_IVS(d) | 1 << iv_at[d]
}

#define PAGE_0_AT(d)    (page_at[d * 2])
#define PAGE_1_AT(d)    (page_at[d * 2 + 1] || gone_at[d])
#define FITS(d)         (epoch_at[d] == epoch && \
                         SUM(got, d) == SUM(sent, session))

/* A record that does not fit is of no use, so it is no step */
inline import_ready(d)
{
    d_step {
        OTHER_QUIET(d) && phase_at[d] == IMPORTING && phase == PAUSED &&
        !NO(READY) &&
        session_at[d] == session && (FITS(d) || NO(READY_NOW)) &&
        (state_at[d] && PAGE_0_AT(d) && PAGE_1_AT(d) || NO(READY_ALL)) ->
        printf("dest. %d    IMPORT_READY\n", d);
        seal_back(d);
        ready = 1;
        phase_at[d] = READY
    }
}

#define MAY_COMMIT(d)   (phase_at[d] == STARTED || \
                         IMPORTS_AT(d) && NO(START_NEEDED))

/* The first piece: through page 1, which is gone if the map says so */
inline commit_piece(d)
{
    d_step {
        OTHER_QUIET(d) && MAY_COMMIT(d) && !piece_at[d] &&
        (PAGE_1_AT(d) || NO(PAGES_CHECK)) ->
        printf("dest. %d    IMPORT_COMMIT, not to its end\n", d);
        page_at[d * 2 + 1] = (gone_at[d] && !NO(DROP) -> 0
                                                      : page_at[d * 2 + 1]);
        piece_at[d] = 1
    }
}

/* The last piece: through page 0 */
inline import_commit(d)
{
    d_step {
        OTHER_QUIET(d) && MAY_COMMIT(d) && piece_at[d] &&
        (PAGE_0_AT(d) || NO(PAGES_CHECK)) ->
        printf("dest. %d    IMPORT_COMMIT\n", d);
        seal_back(d);           /* the receipt */
        PROPERTY(2, page_at[d * 2] == version[0] + 1 &&
                    page_at[d * 2 + 1] == (gone == 1 -> 0 : version[1] + 1) &&
                    state_at[d] == ALL_STATE + 1);
        SITUATION(5, gone == 1 && sent[AT(session, 1)]);
        SITUATION(19, taken_at[d] && page_at[d * 2 + 1]);
        PROPERTY(5, !gave_up[d]);
        PROPERTY(7, !foreign[session_at[d]]);
        SITUATION(1, epoch == EPOCHS && version[0] && version[1]);
        SITUATION(2, sent[AT(session, 1)] && sent[AT(session, 2)] && failures);
        SITUATION(3, d == 1 && phase_at[0] == OFFERED);
        SITUATION(4, d == 1 && gave_up[0]);
        moved = 1;
        wiped[d] = !NO(COMMIT_WIPES);
        phase_at[d] = ACTIVE;
        end_import(d)
    }
}

#define IN_SESSION(d)   (BUSY(d) || phase_at[d] == READY)

inline import_abort(d)
{
    d_step {
        OTHER_QUIET(d) && (phase_at[d] == OFFERED || IN_SESSION(d) ||
                           phase_at[d] == ACTIVE && NO(COMMIT_ENDS)) ->
        printf("dest. %d    IMPORT_ABORT\n", d);
        SITUATION(6, piece_at[d] && session);
        phase_at[d] = FAILED;
        end_import(d)
    }
}

/*
 * DATA_DESTROY of page 1, which came: it is missing, and may come again.  When
 * the start token has come, the session fails at its next call, which is the
 * same as IMPORT_ABORT, so with the rule that adds no states.
 */
inline reclaim_at(d)
{
    d_step {
        OTHER_QUIET(d) && page_at[d * 2 + 1] &&
        (IMPORTS_AT(d) || phase_at[d] == STARTED && NO(RECLAIM_AT)) ->
        printf("dest. %d    DATA_DESTROY page 1\n", d);
        page_at[d * 2 + 1] = 0;
        TAKEN(d)
    }
}

inline abort_token(d)
{
    d_step {
        QUIET && !token[d] && !wiped[d] && phase_at[d] != NEW &&
        (phase_at[d] == FAILED || NO(TOKEN_FAILED)) ->
        printf("dest. %d    abort token\n", d);
        token[d] = 1
    }
}

/* ---- both hosts and the network ---- */

#ifdef NO_COUNTER_CHECK
#define IMPORT(d, s, t) import(d, s, t, 0) :: import(d, s, t, 1) :: \
                        import(d, s, t, 2) :: import(d, s, t, 3)
#else
#define IMPORT(d, s, t) import(d, s, t, got[AT(d, t)])
#endif
#define IMPORTS(d, s)   import_begin(d, s) :: IMPORT(d, s, 0) :: \
                        IMPORT(d, s, 1) :: IMPORT(d, s, 2)
#define TORN(d)         import_torn(d, 0) :: import_torn(d, 1) :: \
                        import_torn(d, 2)

active proctype adversary()
{
    byte i;

end:
    do
    :: write_page(0) :: write_page(1)
    :: reclaim() :: reclaim_at(0) :: reclaim_at(1)

    :: prepare() :: expire()
    :: accept(0, 0) :: accept(1, 0) :: accept(0, 1) :: accept(1, 1)
    :: export_begin(1) :: export_begin(0)
    :: collect_dirty(0) :: collect_dirty(1)
#ifdef MEMORY_ON_0
    :: export_memory(0, 0, 1) :: export_memory(0, 0, 0)
    :: export_memory(1, 0, 1) :: export_memory(1, 0, 0)
#endif
    :: export_memory(0, 1, 1) :: export_memory(0, 1, 0)
    :: export_memory(0, 2, 1) :: export_memory(0, 2, 0)
    :: export_memory(1, 1, 1) :: export_memory(1, 1, 0)
    :: export_memory(1, 2, 1) :: export_memory(1, 2, 0)
    :: export_epoch(1) :: export_epoch(0)
    :: pause()
    :: export_state(1) :: export_state(0)
    :: export_start(1) :: export_start(0)
    :: export_abort()
    :: resume(0) :: resume(1)
    :: export_finish()

    :: make_offer(0) :: make_offer(1)
    :: IMPORTS(0, 0) :: IMPORTS(1, 0)
#if SESSIONS > 1
    :: IMPORTS(0, 1) :: IMPORTS(1, 1)
#endif
#ifdef NO_WHOLE
    :: TORN(0) :: TORN(1)
#endif
    :: import_ready(0) :: import_ready(1)
    :: commit_piece(0) :: commit_piece(1)
    :: import_commit(0) :: import_commit(1)
    :: import_abort(0) :: import_abort(1)
    :: abort_token(0) :: abort_token(1)

    /* The properties that are about every state */
    :: d_step { COPIES > 1 -> PROPERTY(1, false) }
    :: d_step { QUIET && phase != IDLE && !start_left && !MAY_ABORT ->
                PROPERTY(4, false) }
    od
}
