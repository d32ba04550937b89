/*
 * Realm migration, a model of honest hosts and a hostile network for SPIN
 *
 * Purpose: can the network alone lose a Realm, or get two Realms to one
 * destination?  realm-migration.pml asks what hostile hosts can do; here the
 * hosts follow docs/specs/realm-migration-stream.rst, "If it fails", and the
 * network is the adversary.  `check` runs this.
 *
 * What there is
 *   Two Realms, A and B, that are each migrated up to SESSIONS times, and
 *   destination Realms, each with one offer.  Their hosts:
 *   - source: prepare; accept the offer that the network brings; export; make
 *     the start token when the RMM does; after any failure before that,
 *     EXPORT_ABORT; after it, RESUME with the abort token that the
 *     destination's host gives, or FINISH with the receipt that the network
 *     brings.  The host ends the source (HOST_ASKS) after FINISH, or when the
 *     destination's host says that the Realm runs there.
 *   - destination: offer with the nonce that the network brings; import what
 *     it brings; ready; commit; after any failure IMPORT_ABORT, and the abort
 *     token is kept in a log.  The host ends a Realm that does not run and
 *     that it does not need any more, at any moment.  But (HOST_KEEPS) it
 *     makes the abort token first if the source may rely on that Realm, which
 *     gave a ready record or took a start token.
 *   The two hosts can talk in a way that the network can neither block nor
 *   change: operators, say.  The network keeps every record, gives any of
 *   them to any host in any order and any number of times or never, also the
 *   offers of Realms that are gone; it cuts any connection at any moment, and
 *   says in QEMU's name whatever it likes.  So a host's step waits for no
 *   true answer of the other side, but for records that the RMMs make.
 *   A session's records are three: the header, the rest, the start token.
 *   Any call of an import may fail for good (a record that is malformed, an
 *   offer that is too old), and a nonce may be too old, at any moment.
 *
 * What there is not
 *   What realm-migration.pml has: contents, streams, epochs, IVs.  So a ready
 *   record or a receipt is about a session, and not about a moment of it.
 *   Hosts that go down, or that destroy a Realm which runs; a Realm that moves
 *   on from its destination.  Time: that a host does what it can do at last.
 *
 * Properties (ONLY=n checks n alone)
 *   8. An offer is accepted by at most one Realm, and at most once.  (This
 *      is so with hostile hosts, too: without HOST_KEEPS and HOST_ASKS they
 *      make any step that the RMMs let them make.)
 *   9. While both hosts are honest and up, somebody runs the Realm: in every
 *      state it runs on one of the sides, or the two hosts alone get it to
 *      run again, by calls that the RMMs have to take in that state.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "rules.h"

#ifndef DESTINATIONS
#define DESTINATIONS 3
#endif
#ifndef SESSIONS
#define SESSIONS     2          /* of a Realm */
#endif
#define REALMS       2

/* Phases of a source; of a destination */
#define IDLE            0       /* runs */
#define ACCEPTED        1       /* runs */
#define EXPORTING       2       /* runs; the header has left */
#define PAUSED          3       /* the rest has left */
#define SEALED          4       /* the start token has left */
#define GONE            5
#define QUIT            6       /* the host ended it */

#define NEW             0
#define OFFERED         1
#define IMPORTING       2       /* has the header */
#define LOADED          3       /* IMPORTING, all but the start token */
#define STARTED         4
#define FAILED          5
#define ACTIVE          6       /* runs */
#define ENDED           7       /* by the host */

/* Records of a session: how many have left */
#define HEADER          1
#define REST            2
#define START           3

/* The source RMM, by Realm */
byte phase[REALMS];
byte session[REALMS];           /* number of this session or the next one */
bit prepared[REALMS];           /* there is a nonce of PREPARE */

/* What the network has, by session of each Realm */
byte sent[REALMS * SESSIONS];
byte offer_of[REALMS * SESSIONS];
bit ready[REALMS * SESSIONS];   /* a ready record */

/* The destination RMMs and what their hosts know of each Realm there */
byte phase_at[DESTINATIONS];
byte fresh[DESTINATIONS];       /* the offer has the nonce of Realm n - 1 */
byte took[DESTINATIONS];        /* session + 1, or 0 */
bit piece_at[DESTINATIONS];     /* of COMMIT */
bit gave_ready[DESTINATIONS];
bit offered[DESTINATIONS];      /* the network has the offer */
bit token[DESTINATIONS];        /* the host has the abort token */

/* For the properties only */
byte taker[DESTINATIONS];       /* Realm n - 1 accepted the offer */

#define NAME(r)         (r == 0 -> 'A' : 'B')
#define NOW(r)          ((r) * SESSIONS + session[r])
#define OFFER(r)        offer_of[NOW(r)]
#define RUNS(r)         (phase[r] <= EXPORTING)
#define RUNS_AT(d, s)   (phase_at[d] == ACTIVE && took[d] == s + 1)

/* ---- the source ---- */

/* A nonce serves no more: by ACCEPT, by its age, or by a new PREPARE */
inline forget_nonce(r)
{
    prepared[r] = 0;
    for (i : 0 .. DESTINATIONS - 1) {
        fresh[i] = (fresh[i] == r + 1 && !NO(NONCE_FRESH) -> 0 : fresh[i])
    }
    i = 0
}

inline prepare(r)
{
    d_step {
        phase[r] == IDLE && session[r] < SESSIONS ->
        printf("source     PREPARE %c\n", NAME(r));
        forget_nonce(r);
        prepared[r] = 1
    }
}

inline expire(r)
{
    d_step {
        prepared[r] ->
        printf("source     the nonce of %c is too old\n", NAME(r));
        forget_nonce(r)
    }
}

#define MAY_ACCEPT(r, d)                                                \
    (offered[d] &&                                                      \
     (prepared[r] && (fresh[d] == r + 1 || fresh[d] && NO(NONCE_FRESH)) || \
      NO(NONCE)))

inline accept(r, d)
{
    d_step {
        phase[r] == IDLE && session[r] < SESSIONS && MAY_ACCEPT(r, d) &&
        (REACH != 11 || phase_at[d] == ENDED) ->        /* BY_DEAD */
        printf("source     %c: ACCEPT offer %d\n", NAME(r), d);
        if
        :: !NO(NONCE_ONCE) -> forget_nonce(r)
        :: else
        fi;
        PROPERTY(8, !taker[d]);
        SITUATION(13, taker[d] == 2 - r);
        taker[d] = r + 1;
        OFFER(r) = d;
        phase[r] = ACCEPTED
    }
}

inline export_records(r)
{
    d_step {
        phase[r] == ACCEPTED || phase[r] == EXPORTING ->
        printf("source     %c: exports\n", NAME(r));
        phase[r]++;
        sent[NOW(r)]++
    }
}

#if SESSIONS > 1
#define ANY_READY       (ready[0] || ready[1] || ready[2] || ready[3])
#else
#define ANY_READY       (ready[0] || ready[1])
#endif

inline export_start(r)
{
    d_step {
        phase[r] == PAUSED &&
        (ready[NOW(r)] || ANY_READY && NO(READY_KEY) || NO(READY)) ->
        printf("source     %c: EXPORT_START\n", NAME(r));
        phase[r] = SEALED;
        sent[NOW(r)] = START
    }
}

#define MAY_ABORT(r)    (phase[r] >= ACCEPTED && phase[r] <= PAUSED && \
                         (token[OFFER(r)] || !NO(ABORT_ALONE)))

inline export_abort(r)
{
    d_step {
        MAY_ABORT(r) ->
        printf("source     %c: EXPORT_ABORT\n", NAME(r));
        phase[r] = IDLE;
        session[r]++
    }
}

inline resume(r)
{
    d_step {
        phase[r] == SEALED && token[OFFER(r)] ->
        printf("source     %c: RESUME\n", NAME(r));
        SITUATION(9, piece_at[OFFER(r)]);
        phase[r] = IDLE;
        session[r]++
    }
}

/* Whatever the network brings as a receipt */
inline export_finish(r)
{
    d_step {
        phase[r] == SEALED && (RUNS_AT(OFFER(r), NOW(r)) || NO(RECEIPT)) ->
        printf("source     %c: FINISH\n", NAME(r));
        SITUATION(10, true);
        phase[r] = GONE
    }
}

/* The host ends this Realm: QEMU, say */
inline end_source(r)
{
    d_step {
        phase[r] == GONE ||
        phase[r] == SEALED && (RUNS_AT(OFFER(r), NOW(r)) || NO(HOST_ASKS)) ->
        printf("source     %c ends\n", NAME(r));
        phase[r] = QUIT
    }
}

/* ---- the destination ---- */

/* With the nonce of Realm r, or, as all others are of no use, with none */
inline make_offer(d, r)
{
    d_step {
        phase_at[d] == NEW && (d == 0 || phase_at[d - 1] != NEW) &&
        prepared[r] ->
        printf("dest. %d    OFFER with the nonce of %c\n", d, NAME(r));
        fresh[d] = r + 1;
        offered[d] = 1;
        phase_at[d] = OFFERED
    }
}

#define IN_SESSION(d)   (phase_at[d] == IMPORTING || phase_at[d] == LOADED || \
                         phase_at[d] == STARTED)

inline import_header(d, s)
{
    d_step {
        phase_at[d] == OFFERED && sent[s] >= HEADER && offer_of[s] == d ->
        printf("dest. %d    IMPORT begin of session %d\n", d, s);
        took[d] = s + 1;
        phase_at[d] = IMPORTING
    }
}

inline import_rest(d)
{
    d_step {
        phase_at[d] == IMPORTING && sent[took[d] - 1] >= REST ->
        printf("dest. %d    imports\n", d);
        phase_at[d] = LOADED
    }
}

inline import_ready(d)
{
    d_step {
        phase_at[d] == LOADED && !gave_ready[d] ->
        printf("dest. %d    IMPORT_READY\n", d);
        gave_ready[d] = 1;
        ready[took[d] - 1] = 1
    }
}

inline import_start(d)
{
    d_step {
        phase_at[d] == LOADED && sent[took[d] - 1] == START ->
        printf("dest. %d    IMPORT start\n", d);
        phase_at[d] = STARTED
    }
}

inline commit_piece(d)
{
    d_step {
        phase_at[d] == STARTED && !piece_at[d] ->
        printf("dest. %d    IMPORT_COMMIT, not to its end\n", d);
        piece_at[d] = 1
    }
}

inline import_commit(d)
{
    d_step {
        phase_at[d] == STARTED && piece_at[d] ->
        printf("dest. %d    IMPORT_COMMIT\n", d);
        phase_at[d] = ACTIVE;
        SITUATION(8, phase[0] >= SEALED && RUNS_AT(OFFER(0), NOW(0)) &&
                     phase[1] >= SEALED && RUNS_AT(OFFER(1), NOW(1)) &&
                     session[0])
    }
}

/* The import failed for good; piece_at stays for WIPE_LAST only */
inline fail(d)
{
    d_step {
        phase_at[d] == OFFERED || IN_SESSION(d) ->
        printf("dest. %d    FAILED\n", d);
        phase_at[d] = FAILED
    }
}

/* The RMM has the secret, and gives it up */
#define MAY_TOKEN(d)    ((phase_at[d] == OFFERED || IN_SESSION(d) || \
                          phase_at[d] == FAILED && !NO(FAILED_TOKEN)) && \
                         !(piece_at[d] && NO(WIPE_LAST)))

inline import_abort(d)
{
    d_step {
        MAY_TOKEN(d) && !token[d] ->
        printf("dest. %d    IMPORT_ABORT\n", d);
        phase_at[d] = FAILED;
        token[d] = 1
    }
}

inline end_destination(d)
{
    d_step {
        (phase_at[d] == OFFERED || IN_SESSION(d) || phase_at[d] == FAILED) &&
        (token[d] || !gave_ready[d] && phase_at[d] != STARTED ||
         NO(HOST_KEEPS)) ->
        printf("dest. %d    ends\n", d);
        phase_at[d] = ENDED
    }
}

/* ---- what the two hosts alone can do now ---- */

#define RECOVERS(r)                                                     \
    (RUNS(r) || MAY_ABORT(r) || RUNS_AT(OFFER(r), NOW(r)) ||            \
     phase[r] == SEALED && (token[OFFER(r)] || MAY_TOKEN(OFFER(r))))

/* Two ways to lose a Realm: its offer's destination was dead, or has another */
#define BY_DEAD(r)      (phase_at[OFFER(r)] == ENDED && took[OFFER(r)] == 0)
#define BY_OTHER(r)     (phase_at[OFFER(r)] == ACTIVE &&                 \
                         (took[OFFER(r)] - 1) / SESSIONS != r)

#define SOURCE(r)                                                       \
       prepare(r) :: expire(r) :: export_records(r) :: export_start(r)  \
    :: export_abort(r) :: resume(r) :: export_finish(r) :: end_source(r)
#define ACCEPTS(d)                                                      \
       accept(0, d) :: accept(1, d)
#if SESSIONS > 1
#define HEADERS(d)                                                      \
       import_header(d, 0) :: import_header(d, 1)                       \
    :: import_header(d, 2) :: import_header(d, 3)
#else
#define HEADERS(d)                                                      \
       import_header(d, 0) :: import_header(d, 1)
#endif
#define DESTINATION(d)                                                  \
       make_offer(d, 0) :: make_offer(d, 1) :: HEADERS(d)               \
    :: import_rest(d) :: import_ready(d) :: import_start(d)             \
    :: commit_piece(d) :: import_commit(d) :: fail(d)                   \
    :: import_abort(d) :: end_destination(d)

#define EVERY_STATE(r)                                                  \
       d_step { !RECOVERS(r) -> SITUATION(11, BY_DEAD(r));              \
                SITUATION(12, BY_OTHER(r)); PROPERTY(9, false) }

active proctype network()
{
    byte i;

end:
    do
    :: SOURCE(0) :: SOURCE(1)
    :: ACCEPTS(0) :: ACCEPTS(1) :: DESTINATION(0) :: DESTINATION(1)
#if DESTINATIONS > 2
    :: ACCEPTS(2) :: DESTINATION(2)
#endif
    :: EVERY_STATE(0) :: EVERY_STATE(1)
    od
}
