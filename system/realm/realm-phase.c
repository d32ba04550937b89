/*
 * Where a Realm is: its one state machine (see system/realm-phase.h)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-events-realm.h"
#include "qemu/atomic.h"
#include "qemu/bitops.h"
#include "system/realm-phase.h"
#include "trace.h"

#define P(phase) REALM_PHASE_##phase
#define IN(phase) BIT(P(phase))

#define OWN (IN(NEW) | IN(HERE) | IN(ACCEPTED) | IN(EXPORTING) | IN(PAUSED) | \
             IN(SEALED) | IN(GONE))
#define SESSION (IN(EXPORTING) | IN(PAUSED))
#define IMPORT (IN(OFFERED) | IN(IMPORTING))
#define SAME REALM_PHASES

/* The edges of the diagram: a step leads from each of @from to @to. */
static const struct {
    const char *text;
    uint16_t from;
    RealmPhase to;
} steps[REALM_STEPS] = {
#define STEP(name, text, from, to) [REALM_STEP_##name] = { text, from, to }
    STEP(BUILD, "be built", IN(NEW), P(HERE)),
    STEP(BUILD_EMPTY, "be built for a migration", IN(WAITING), P(EMPTY)),
    STEP(BREAK, "break", IN(NEW) | IN(WAITING), P(BROKEN)),
    STEP(RUN, "run", IN(NEW) | IN(HERE) | IN(ACCEPTED) | IN(EXPORTING), SAME),
    STEP(RESET, "be reset", IN(HERE) | IN(ACCEPTED) | SESSION, P(NEW)),
    STEP(PREPARE, "prepare a migration", IN(HERE), SAME),
    STEP(ACCEPT, "accept the offer", IN(HERE), P(ACCEPTED)),
    STEP(BEGIN, "begin its migration", IN(ACCEPTED), P(EXPORTING)),
    STEP(COLLECT_DIRTY, "collect its dirty pages", SESSION, SAME),
    STEP(EXPORT_MEMORY, "export memory", SESSION, SAME),
    STEP(EPOCH, "close an epoch", SESSION, SAME),
    STEP(PAUSE, "pause for its migration", IN(EXPORTING), P(PAUSED)),
    STEP(STATE, "export its state", IN(PAUSED), SAME),
    STEP(START, "hand over to the destination", IN(PAUSED) | IN(SEALED),
         P(SEALED)),
    STEP(ABORT, "give up its migration", IN(ACCEPTED) | SESSION, P(HERE)),
    STEP(RESUME, "take it back", IN(SEALED), P(HERE)),
    STEP(FINISH, "take the receipt", IN(SEALED) | IN(GONE), P(GONE)),
    STEP(OFFER, "make an offer", IN(WAITING) | IN(EMPTY), P(OFFERED)),
    STEP(IMPORT, "import a record", IMPORT, P(IMPORTING)),
    STEP(IMPORT_MEMORY, "import a record", IMPORT, SAME),
    STEP(READY, "say that all of it came", IN(IMPORTING), SAME),
    STEP(COMMIT, "start here", IN(IMPORTING), P(HERE)),
    STEP(RECEIPT, "say that it started here", IN(HERE), SAME),
    STEP(GIVE_UP, "give up the migration to here", IMPORT | IN(FAILED),
         P(FAILED)),
    STEP(FAIL, "fail", IMPORT | IN(FAILED), P(FAILED)),
#undef STEP
};

static const struct {
    const char *name;
    RealmMigrationPhase qmp;
    const char *why;            /* a step of its own side is not possible */
} phases[REALM_PHASES] = {
#define PHASE(phase, name, qmp, why) \
    [P(phase)] = { name, REALM_MIGRATION_PHASE_##qmp, why }
    PHASE(NEW, "new", HERE,
          "it does not exist yet; start the machine first"),
    PHASE(HERE, "here", HERE,
          "no destination was accepted; give realm-migration-accept the "
          "offer that realm-migration-offer makes on the destination"),
    PHASE(ACCEPTED, "accepted", ACCEPTED,
          "an offer was accepted, and its migration has not begun; "
          "use migrate, or realm-migration-prepare for another destination"),
    PHASE(EXPORTING, "exporting", EXPORTING,
          "its migration is under way, and it runs; migrate_cancel ends that"),
    PHASE(PAUSED, "paused", PAUSED,
          "it stands still for a migration that is not over; "
          "cont gives that up"),
    PHASE(SEALED, "sealed", SEALED,
          "it has left for the destination of its migration; it runs here "
          "again only after realm-migration-resume"),
    PHASE(GONE, "gone", GONE,
          "it runs on the destination of its migration, which said so, and "
          "never again here; end this machine"),
    PHASE(WAITING, "waiting", WAITING,
          "this destination has made no offer; use realm-migration-offer "
          "before the migration"),
    PHASE(EMPTY, "empty", WAITING,
          "this destination has made no offer; use realm-migration-offer "
          "before the migration"),
    PHASE(OFFERED, "offered", OFFERED,
          "an offer was made here, and its migration has not come; "
          "start another destination for another offer"),
    PHASE(IMPORTING, "importing", IMPORTING,
          "a migration to here is under way; realm-migration-abort ends that"),
    PHASE(FAILED, "failed", FAILED,
          "the migration to here has failed for good; "
          "start another destination"),
    PHASE(BROKEN, "broken", FAILED,
          "it could not be built before; start the machine again"),
#undef PHASE
};

const char *realm_step_text(RealmStep step)
{
    return steps[step].text;
}

const char *realm_phase_name(RealmPhase phase)
{
    return phases[phase].name;
}

RealmMigrationPhase realm_phase_qmp(RealmPhase phase)
{
    return phases[phase].qmp;
}

bool realm_phase_holds(RealmPhase phase)
{
    return OWN & ~(IN(SEALED) | IN(GONE)) & BIT(phase);
}

/*
 * A step of the other kind of machine (source, destination) is refused for
 * that reason; any other for the reason that belongs to the phase.
 */
static const char *why_not(RealmPhase phase, RealmStep step)
{
    bool own_step = steps[step].from & OWN, own_phase = OWN & BIT(phase);

    return phase == P(BROKEN) || own_step == own_phase ? phases[phase].why :
           own_step ? "no migration has brought it; this machine cannot run "
                      "without"
                    : "this machine does not wait for a migration; "
                      "start the destination with -incoming defer";
}

bool realm_phase_check(RealmPhase phase, RealmStep step, Error **errp)
{
    if (steps[step].from & BIT(phase)) {
        return true;
    }
    error_setg(errp, "Realm: cannot %s: %s", steps[step].text,
               why_not(phase, step));
    return false;
}

static void announce(RealmPhase from, RealmPhase to)
{
    RealmMigrationPhase qmp = realm_phase_qmp(to);

    if (from == to) {
        return;
    }
    trace_realm_phase(realm_phase_name(from), realm_phase_name(to));
    if (qmp != realm_phase_qmp(from)) {
        qapi_event_send_realm_migration_phase(qmp, realm_phase_holds(to));
    }
}

/*
 * FAIL may come from another thread, and too late.  It does not undo a COMMIT
 * that the RMM has agreed to, whichever of the two is taken first; nor what the
 * Realm has begun since.
 */
static bool is_over(RealmPhase phase, RealmStep step)
{
    return (phase == P(FAILED) && step != REALM_STEP_COMMIT) ||
           (OWN & BIT(phase) && step == REALM_STEP_FAIL);
}

void realm_phase_take(RealmPhase *phase, RealmStep step)
{
    const RealmPhase to = steps[step].to;
    RealmPhase from = qatomic_read(phase), seen;

    for (; to != SAME; from = seen) {
        if (is_over(from, step)) {
            return;
        }
        assert(steps[step].from & BIT(from) || from == P(FAILED));
        seen = qatomic_cmpxchg(phase, from, to);
        if (seen == from) {
            announce(from, to);
            return;
        }
    }
}
