/*
 * Realm migration, a model of bundles side by side for SPIN
 *
 * Purpose: memory bundles travel on multifd's channels, which know no order
 * among each other.  Do honest hosts get on, whatever thread is slow?  The
 * rules are those of docs/specs/realm-migration-stream.rst, "In QEMU's
 * migration stream"; what hostile hosts can do is in realm-migration.pml.
 * `check` runs this.
 *
 * What there is
 *   The source: its migration thread, and workers.  The thread begins epochs,
 *   adds bundles, on one stream after the other, at most SLOTS at a time, and
 *   lets multifd synchronise all channels when it likes.  A worker takes the
 *   next bundle when the one before it of its stream is done, exports it, and
 *   gives it to any channel.  Nobody waits for a signal: the exporter's threads
 *   look at least every POLL_MS, so one that is missed only takes time.
 *   The destination: its main thread, and a receiver for each channel.
 *   Channels hold CAPACITY packets each, and so does the main channel.
 *   The two RMMs count: a stream's counter goes up with each bundle, an epoch
 *   ends with a token that has the total.
 *   With CUTS, at any moment, the connection is cut.
 *   With CANCELS, at any moment, the destination falls silent: it reads nothing
 *   any more, and closes nothing.  After that a user cancels, which ends the
 *   main channel only.  (A destination that reads on closes its end then: that
 *   is a cut.)
 *
 * What there is not
 *   Contents, keys, and everything behind the last epoch.
 *   Bundles without multifd.  The migration thread writes these alone, in their
 *   order, to the main channel.  There it also takes bundles itself, by the
 *   workers' rule and under their lock: a stream's counter goes up in the order
 *   in which its bundles are written.  It waits only while it may take none and
 *   the oldest is not done; then a worker has the oldest, since that one waits
 *   for no other, and a worker that exports waits for nothing.
 *
 * Properties (ONLY=n checks n alone)
 *   11. The RMM at the destination refuses nothing.
 *   12. Nobody waits for ever: all is imported, or the migration has failed
 *       and every thread has ended.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "rules.h"

#ifndef EPOCHS
#define EPOCHS          2
#endif
#ifndef BUNDLES
#define BUNDLES         4       /* in the first: more than SLOTS */
#endif
#define LATER           1       /* in the others */
#define STREAMS         2
#ifndef SLOTS
#define SLOTS           3       /* more than STREAMS: several of a stream */
#endif
#define WORKERS         2
#define CHANNELS        2
#define CAPACITY        1
#define THREADS         (2 + WORKERS + CHANNELS)
/* FRAME_FIRST taken out adds one to each epoch */
#define ALL             (BUNDLES + (EPOCHS - 1) * LATER)
#define MOST            (ALL + EPOCHS * NO(FRAME_FIRST))

mtype = { BUNDLE, SYNC, FLUSH, EPOCH, END };

/* type, stream, epoch, place, the RMM's counter, the RMM's epoch */
chan channel[CHANNELS] = [CAPACITY] of { mtype, byte, byte, byte, byte, byte };
/* type, bundles of the epoch on channels, the token's total */
chan mainch = [CAPACITY] of { mtype, byte, byte };

byte ended = 0;
bool failed = false;            /* both sides see it: connections are closed */

/* The source's RMM */
byte counter[STREAMS], total, rmm_epoch;
/* Its host */
byte epoch, place[STREAMS], count;

/* The destination's RMM, and its host */
byte imported[STREAMS], arrived, at_epoch;
byte turn_epoch, turn[STREAMS], here;
byte synced;
bool released[CHANNELS];

bool silent = false;            /* the destination, for good */
bool cancelled = false;         /* the main channel is closed at the source */
/* The source's exporter: bundle k is on stream k % STREAMS */
byte added, taken, under_way;   /* bundles; under way: added and not done */
bool done[MOST];
bool stop = false, shut = false; /* shut: all channels */
bool error = false;             /* of a worker */
byte giving, left;              /* workers in a channel; that have ended */

#if REACH == 17
#define CUTS
#endif
#if REACH == 16 || REACH == 18 || defined(NO_LEAVE) || defined(NO_IDLE) || \
    defined(NO_STOP) || defined(NO_FLUSH_ALONE)
#define CANCELS
#endif

/* Who waits for another thread ends when the migration has failed */
#define OR_FAILED       :: failed -> goto end
/* The source's own waits look for a cancelled migration, multifd's do not */
#define OR_CANCELLED    :: failed || cancelled -> goto end
#define OR_SHUT         :: failed || shut -> goto end
#define OR_SILENT       :: failed || silent -> goto end

/* A slot is free when its bundle is done, and those before it were retired */
#define MAY_ADD         (added < SLOTS || done[added - SLOTS])
#define MAY_TAKE        (taken < added && (NO(ONE_OF_STREAM) || \
                         taken < STREAMS || done[taken - STREAMS]))

/* All packets of multifd before this are read before the mark is */
inline synchronise()
{
    for (i : 0 .. CHANNELS - 1) {
        if
        :: channel[i]!SYNC, 0, 0, 0, 0, 0
        OR_SHUT
        fi
    }
    if
    :: mainch!FLUSH, 0, 0
    OR_CANCELLED
    fi
}

inline add()
{
    atomic {
        added++;
        under_way++
    }
}

/* The token of an epoch, and the next one begins at the source */
inline end_epoch(n, t)
{
    atomic {
        n = count;
        t = total;
        rmm_epoch++;
        epoch++;
        place[0] = 0;
        place[1] = 0;
        count = 0
    }
}

active proctype source()
{
    byte n, t, i;

    do
    :: epoch < EPOCHS ->
        n = 0;
        do
        :: n < (epoch == 0 -> BUNDLES : LATER) ->
            if
            :: MAY_ADD -> add()
            OR_CANCELLED
            fi;
            n++
        :: else -> break
        od;
        if
        :: under_way == 0 || NO(FLUSH_ALONE) -> synchronise()
        :: true
        fi;
        if
        :: under_way == 0 || NO(DRAIN)
        OR_CANCELLED
        fi;
        end_epoch(n, t);
        if
        :: NO(FRAME_FIRST) -> add(); synchronise()
        :: else
        fi;
        if
        :: mainch!EPOCH, n, t
        OR_CANCELLED
        fi;
        printf("source     ends an epoch of %d bundles\n", n)
    :: else -> break
    od;
    if
    :: under_way == 0
    OR_CANCELLED
    fi;
    if
    :: mainch!END, count, total
    OR_CANCELLED
    fi;
end:
    atomic {                    /* nobody enters a channel any more */
        stop = true;
        if
        :: giving > 0 && !NO(LEAVE) -> shut = true
        :: else
        fi
    };
    left == WORKERS;            /* multifd frees its channels after this */
    ended++
}

active [WORKERS] proctype worker()
{
    byte k, s, of_epoch, of_rmm, its, number;

    do
    :: stop ->
       SITUATION(16, taken < added && !MAY_TAKE);
       break
    :: atomic {
           cancelled && !shut && !stop && !MAY_TAKE && !NO(IDLE) ->
           SITUATION(18, taken < added);
           shut = true
       }
    :: atomic {
           !stop && MAY_TAKE ->
           k = taken;
           s = k % STREAMS;
           taken++
       };
       if
       :: atomic {              /* the RMM, with the stream locked */
              !error ->
              of_rmm = rmm_epoch;
              counter[s]++;
              number = counter[s];
              total++;
              count++
          };
          if
          :: atomic {
                 !stop || NO(STOP) ->
                 of_epoch = epoch;
                 its = place[s];
                 place[s]++;
                 giving++
             };
             if
             :: channel[0]!BUNDLE, s, of_epoch, its, number, of_rmm
             :: channel[1]!BUNDLE, s, of_epoch, its, number, of_rmm
             :: atomic {
                    failed || shut ->
                    SITUATION(17, taken < added && !MAY_TAKE);
                    error = true
                }
             fi;
             giving--
          :: stop && !NO(STOP)
          fi
       :: error                 /* nothing is exported any more */
       fi;
       atomic {
           printf("source     is done with bundle %d of stream %d, epoch %d\n",
                  number, s, of_epoch);
           done[k] = true;
           under_way--;
           k = 0; s = 0; of_epoch = 0; of_rmm = 0; its = 0; number = 0
       }
    od;
    atomic {
        left++;
        ended++
    }
}

#define MY_TURN ((NO(EPOCH_TURN) || of_epoch == turn_epoch) && \
                 (NO(PLACE_TURN) || its == turn[s]))

active [CHANNELS] proctype receiver()
{
    byte c = _pid - 1 - WORKERS;
    byte s, of_epoch, its, number, of_rmm;

    do
    :: channel[c]?BUNDLE, s, of_epoch, its, number, of_rmm ->
        if
        :: MY_TURN
        :: failed && !NO(WAKE) || silent -> goto end
        fi;
        atomic {
            printf("dest. %d    imports bundle %d of stream %d, epoch %d\n", c,
                   number, s, of_epoch);
            PROPERTY(11, number == imported[s] + 1 && of_rmm == at_epoch);
            imported[s] = number;
            arrived++;
            turn[s]++;
            here++;
            s = 0; of_epoch = 0; its = 0; number = 0; of_rmm = 0
        }
    :: channel[c]?SYNC, _, _, _, _, _ ->
        synced++;
        if
        :: atomic { released[c] -> released[c] = false }
        OR_SILENT
        fi
    OR_SILENT
    :: ended >= THREADS - CHANNELS && empty(channel[c]) -> break
    od;
end:
    ended++
}

/* The next epoch's bundles may be imported from now on */
inline next_turn()
{
    atomic {
        here = 0;
        turn[0] = 0;
        turn[1] = 0;
        turn_epoch++
    }
}

active proctype destination()
{
    byte n, t;

    do
    :: mainch?FLUSH, _, _ ->
        if
        :: synced == CHANNELS
        OR_SILENT
        fi;
        atomic {
            synced = 0;
            released[0] = true;
            released[1] = true
        }
    :: mainch?EPOCH, n, t ->
        if
        :: here == n || NO(COUNT)
        OR_SILENT
        fi;
        if
        :: NO(TOKEN_FIRST) -> next_turn()
        :: else
        fi;
        atomic {
            printf("dest.      imports the token of %d bundles\n", t);
            PROPERTY(11, arrived == t);
            at_epoch++
        };
        if
        :: !NO(TOKEN_FIRST) -> next_turn()
        :: else
        fi
    :: mainch?END, n, t ->
        if
        :: here == n
        OR_SILENT
        fi;
        PROPERTY(11, arrived == t);
        SITUATION(15, arrived == ALL);
        break
    OR_SILENT
    od;
end:
    ended++
}

/* In the end nothing moves any more */
active proctype world()
{
#if defined(CUTS) || defined(NO_WAKE)
    if
    :: failed = true
    :: true
    fi;
#endif
#ifdef CANCELS
    if
    :: silent = true;
       cancelled = true
    :: true
    fi;
#endif
    timeout;
    PROPERTY(12, ended == THREADS);
    failed = true               /* a search for 11 alone ends as well */
}
