/*
 * Where a Realm is: its one state machine, from its making through migrations
 *
 *   machine of its own                    machine with -incoming
 *
 *   NEW -----------> BROKEN <------------ WAITING
 *     | BUILD  BREAK        BREAK           | BUILD_EMPTY
 *   HERE <----------------+  <--+ RESUME  EMPTY
 *     | ACCEPT            |     |           | OFFER
 *   ACCEPTED -------------+     |         OFFERED --------------+ GIVE_UP, FAIL
 *     | BEGIN       ABORT |     |           | IMPORT            |
 *   EXPORTING ------------+     |         IMPORTING ------------+
 *     | PAUSE             |     |           | COMMIT            |
 *   PAUSED ---------------+     |         HERE                FAILED
 *     | START                   |
 *   SEALED ---------------------+
 *     | FINISH
 *   GONE
 *
 * RESET leads from HERE, ACCEPTED, EXPORTING and PAUSED to NEW.
 *
 * Purpose: one list of steps, used by every backend: from which phases a step
 * may be taken, what it leads to, and why not.  The backend owns the phase;
 * everybody else asks RealmBackendOps.phase and keeps no copy.
 *
 * Invariants:
 * - A step is taken as soon as the RMM or the kernel, which decides, has said
 *   yes, even if the rest of its answer makes no sense; and not before.
 * - GONE, FAILED and BROKEN are final, but for a FAIL that another thread takes
 *   while the RMM commits: the Realm is HERE then.
 * - Of two machines with one Realm at most one holds it: the source until
 *   SEALED, the destination from its HERE on.
 *
 * Lock rule: a phase changes under the BQL, but for FAIL, which any thread may
 * take; reading is atomic.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef SYSTEM_REALM_PHASE_H
#define SYSTEM_REALM_PHASE_H

#include "qapi/qapi-types-realm.h"

typedef enum RealmPhase {
    REALM_PHASE_NEW,            /* not built yet */
    REALM_PHASE_HERE,           /* on this machine, no offer accepted */
    REALM_PHASE_ACCEPTED,       /* a destination's offer waits for its use */
    REALM_PHASE_EXPORTING,      /* a session is open, the Realm runs */
    REALM_PHASE_PAUSED,         /* ... and does not run */
    REALM_PHASE_SEALED,         /* the destination has the start token */
    REALM_PHASE_GONE,           /* ... and runs it: it never comes back */
    REALM_PHASE_WAITING,        /* a migration is to bring it */
    REALM_PHASE_EMPTY,          /* ... and it was built without contents */
    REALM_PHASE_OFFERED,        /* an offer was made, nothing has come */
    REALM_PHASE_IMPORTING,      /* it is coming */
    REALM_PHASE_FAILED,         /* ... and will never run here */
    REALM_PHASE_BROKEN,         /* could not be built */
    REALM_PHASES
} RealmPhase;

/* The steps: functions of RealmBackendOps, and parts of them. */
typedef enum RealmStep {
    REALM_STEP_BUILD,
    REALM_STEP_BUILD_EMPTY,
    REALM_STEP_BREAK,           /* neither of these two has worked */
    REALM_STEP_RUN,
    REALM_STEP_RESET,           /* it ends, and another one may be built */
    REALM_STEP_PREPARE,
    REALM_STEP_ACCEPT,
    REALM_STEP_BEGIN,
    REALM_STEP_COLLECT_DIRTY,
    REALM_STEP_EXPORT_MEMORY,
    REALM_STEP_EPOCH,
    REALM_STEP_PAUSE,
    REALM_STEP_STATE,
    REALM_STEP_START,
    REALM_STEP_ABORT,
    REALM_STEP_RESUME,
    REALM_STEP_FINISH,
    REALM_STEP_OFFER,
    REALM_STEP_IMPORT,
    REALM_STEP_IMPORT_MEMORY,
    REALM_STEP_READY,
    REALM_STEP_COMMIT,
    REALM_STEP_RECEIPT,
    REALM_STEP_GIVE_UP,
    REALM_STEP_FAIL,            /* an import was refused */
    REALM_STEPS
} RealmStep;

/* The first phase: the machine makes a Realm, or waits if it is @incoming. */
static inline RealmPhase realm_phase_first(bool incoming)
{
    return incoming ? REALM_PHASE_WAITING : REALM_PHASE_NEW;
}

/* What @step does, to follow "cannot" in a message. */
const char *realm_step_text(RealmStep step);

/* Whether @step may be taken from @phase; else @errp says what to do. */
bool realm_phase_check(RealmPhase phase, RealmStep step, Error **errp);

/*
 * @step, which was allowed, has been taken: what it leads to is the phase from
 * now on.  If QMP has another name for that, an event says so.
 */
void realm_phase_take(RealmPhase *phase, RealmStep step);

const char *realm_phase_name(RealmPhase phase);
RealmMigrationPhase realm_phase_qmp(RealmPhase phase);

/* The Realm can run on this machine, now or after `cont`. */
bool realm_phase_holds(RealmPhase phase);

/* A Realm was created: a reset of the machine ends it, or is refused. */
static inline bool realm_phase_exists(RealmPhase phase)
{
    return phase != REALM_PHASE_NEW && phase != REALM_PHASE_WAITING;
}

/* A source's session is open, and can be given up. */
static inline bool realm_phase_exports(RealmPhase phase)
{
    return phase == REALM_PHASE_EXPORTING || phase == REALM_PHASE_PAUSED;
}

/* An offer was made here, so a source may need our abort token. */
static inline bool realm_phase_offered(RealmPhase phase)
{
    return phase == REALM_PHASE_OFFERED || phase == REALM_PHASE_IMPORTING ||
           phase == REALM_PHASE_FAILED;
}

#endif
