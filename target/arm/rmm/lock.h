/*
 * The locks of the RMM model and the order in which they are taken
 *
 * There are three kinds.  A thread takes them only downwards:
 *
 *   1. RmmRealm.lock      one mutex per Realm: its state, its tables (all
 *                         writers), its RECs.  Never two at once.
 *   2. a granule's lock   one bit in the granule's state byte (granule.h);
 *                         several only in ascending order of PA.  Held from
 *                         the check of a state to its change.
 *   3. Rmm.lock           leaf; the tables that find Realms, RECs and used
 *                         VMIDs by number.  Nothing is called under it.
 *
 * Beside them stands the walkers' count (walkers_enter): a thread inside
 * never waits and never takes a lock.  Who unlinks a table from a Realm
 * waits, with the Realm's lock held, until every walker that could have
 * seen it has left (walkers_wait); only then is its granule wiped.
 *
 * A leaf descriptor is changed by compare-and-swap always: holders of the
 * Realm's lock race with walkers that set the dirty bit.  All other changes
 * of descriptors happen under the Realm's lock, so a holder of it reads a
 * table that does not change but for dirty bits.
 *
 * What a REC holds (registers, pending calls) belongs to the PE that runs it
 * while RmmRec.running is set, and to the Realm's lock otherwise.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef RMM_LOCK_H
#define RMM_LOCK_H

#include "rmm.h"

/* The calling thread may follow table descriptors until walkers_leave. */
unsigned walkers_enter(Rmm *rmm);
void walkers_leave(Rmm *rmm, unsigned stripe);

/* Wait for every walker that was inside when this was called. */
void walkers_wait(Rmm *rmm);

#endif
