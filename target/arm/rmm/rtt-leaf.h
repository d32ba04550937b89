/*
 * Entries of translation tables: what may follow what, and by whose call
 *
 * Purpose: the state of an entry is its HIPAS and RIPAS; the table of legal
 * changes, and the only setter of an entry that a walker can reach.
 *
 * Protected half.  Each column is a RIPAS; SET_RIPAS moves inside a row.
 *
 *                  EMPTY  <--SET_RIPAS-->  RAM  <--SET_RIPAS--  DESTROYED
 *                    ^----------------SET_RIPAS-------------------+
 *   UNASSIGNED         |  INIT_RIPAS: all become RAM
 *        |             |  DATA_CREATE: all become ASSIGNED RAM
 *        | DATA_CREATE_UNKNOWN: straight down, RIPAS stays
 *        v
 *   ASSIGNED
 *        | DATA_DESTROY: straight up, but RAM becomes DESTROYED
 *
 * Unprotected half:
 *
 *   UNASSIGNED_NS <--UNMAP_UNPROTECTED / MAP_UNPROTECTED--> ASSIGNED_NS
 *
 * Both: RTT_CREATE makes TABLE of anything else, RTT_FOLD the reverse, and
 * RTT_DESTROY leaves UNASSIGNED DESTROYED or UNASSIGNED_NS.
 *
 * A session at the destination gives pages any RIPAS (IMPORT_RIPAS), and
 * assigns RAM (IMPORT_PAGE), and pages go again (IMPORT_DROP).  No
 * call of the host brings an entry of an active Realm to EMPTY or RAM but
 * SET_RIPAS, which the Realm asked for (RMM 1.0, A5.4).
 *
 * Invariants: ownership goes with the state (rtt.h): a descriptor is made as
 * a whole by desc_unassigned, desc_assigned or desc_assigned_ns.  What says
 * only whether RAM is dirty is no state; see desc_change_dirty.
 *
 * Lock rule: the Realm's lock is held.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef RMM_RTT_LEAF_H
#define RMM_RTT_LEAF_H

#include "rtt.h"

typedef enum LeafState {
    LEAF_EMPTY, LEAF_RAM, LEAF_DESTROYED,       /* UNASSIGNED */
    LEAF_ASSIGNED_EMPTY, LEAF_ASSIGNED_RAM, LEAF_ASSIGNED_DESTROYED,
    LEAF_NS, LEAF_ASSIGNED_NS,
    LEAF_TABLE,
    LEAF_STATES
} LeafState;

/* The call that changes an entry. */
typedef enum LeafCall {
    BY_INIT_RIPAS,
    BY_SET_RIPAS,
    BY_DATA_CREATE,
    BY_DATA_CREATE_UNKNOWN,
    BY_DATA_DESTROY,
    BY_MAP_UNPROTECTED,
    BY_UNMAP_UNPROTECTED,
    BY_RTT_CREATE,
    BY_RTT_DESTROY,
    BY_RTT_FOLD,
    BY_IMPORT_PAGE,
    BY_IMPORT_DROP,
    BY_IMPORT_RIPAS,
    LEAF_CALLS
} LeafCall;

LeafState leaf_state(uint64_t desc, int level);

bool leaf_transition_allowed(LeafCall by, LeafState from, LeafState to);

/*
 * Make @desc of the entry at @level, which held *@old.  False, with *@old as
 * it is now, if a walker made it dirty meanwhile.  Asserts that it is legal.
 */
bool leaf_replace(uint64_t *entry, uint64_t *old, int level, uint64_t desc,
                  LeafCall by);

/* The same whether it was dirty or not. */
void leaf_set(uint64_t *entry, int level, uint64_t desc, LeafCall by);

#endif
