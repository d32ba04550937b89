/*
 * Where a Realm is in its migration, and which machine holds it
 *
 * Purpose: one word for QMP, and the one place that knows which step follows
 * which.  It mirrors what the backend decides, and decides nothing.
 *
 *   source                                destination
 *
 *   HERE <--------------+  <--- resume    WAITING
 *     | accept          | abort    |        | offer
 *   ACCEPTED -----------+          |      OFFERED ------------+ abort, or a
 *     | session begins  |          |        | session begins  | final
 *   EXPORTING ----------+          |      IMPORTING ----------+ failure
 *     | pause           |          |        | commit          |
 *   PAUSED -------------+          |      HERE              FAILED
 *     | start token                |
 *   SEALED ------------------------+
 *
 * Invariant: of two machines with one Realm at most one holds it: the
 * source until SEALED, the destination from its HERE on.
 *
 * Lock rule: atomic; each edge is taken by the thread that took the step.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_REALM_PHASE_H
#define MIGRATION_REALM_PHASE_H

#include "qapi/qapi-types-realm.h"

/* The machine is created: it has a Realm, or waits for one. */
void realm_phase_init(bool incoming);

RealmMigrationPhase realm_phase(void);

/* The Realm can run on this machine, now or after `cont`. */
bool realm_phase_holds(RealmMigrationPhase phase);

/* An offer was made here, so a source may need our abort token. */
bool realm_phase_offered(RealmMigrationPhase phase);

/*
 * Take an edge of the diagram and say so with an event; nothing happens if
 * @to is the phase now.
 */
void realm_phase_set(RealmMigrationPhase to);

#endif
