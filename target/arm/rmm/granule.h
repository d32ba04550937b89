/*
 * Granules: who owns each 4 KiB of delegable memory
 *
 * Purpose: one state byte per granule, the lock bit beside it, and wiping.
 *
 *                        +--> RD
 *                        +--> REC
 *   NS <--> DELEGATED <--+--> REC_AUX
 *                        +--> DATA
 *                        +--> RTT
 *
 * Invariants:
 * - What is DELEGATED holds zeros, and so do its tags, unless it is foreign:
 *   not used since the host delegated it, so that it holds what the host left.
 *   It is wiped whenever an object in it ends.
 * - Nothing becomes an object with what the host left in it: who makes one
 *   calls granule_claim before.  Nor does it go back to the host with that,
 *   whose memory it may be no longer (RmmOps.granule_pas).
 * - A granule never goes from one use to another without DELEGATED between.
 *
 * So a page is written once on its way to a Realm, not wiped before.  RMM 1.0
 * leaves open what a DELEGATED granule holds, and what DATA_CREATE_UNKNOWN
 * gives to the Realm; here the latter is zeros.
 *
 * Lock rule: a state changes only with the granule locked (lock.h, kind 3).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef RMM_GRANULE_H
#define RMM_GRANULE_H

#include "rmm.h"

typedef enum GranuleState {
    GRANULE_NS,
    GRANULE_DELEGATED,
    GRANULE_RD,
    GRANULE_REC,
    GRANULE_REC_AUX,
    GRANULE_DATA,
    GRANULE_RTT,
    GRANULE_STATES
} GranuleState;

/* May a granule go from @from to @to? (RMM 1.0, A2.2) */
bool granule_transition_allowed(GranuleState from, GranuleState to);

/*
 * Lock the granule at @pa if it is in @state.  False, and nothing locked, if
 * @pa is not aligned, not delegable, or in another state.
 */
bool granule_lock(Rmm *rmm, uint64_t pa, GranuleState state);
void granule_unlock(Rmm *rmm, uint64_t pa);

/* Lock @count granules that follow each other, or none of them. */
bool granule_lock_range(Rmm *rmm, uint64_t pa, unsigned count,
                        GranuleState state);

/*
 * A locked, DELEGATED granule is about to change its state: wipe it if it is
 * foreign.  With @overwritten the caller writes all of its contents before
 * anybody can read them, so that only the tags are wiped.  What is not certain
 * to become something is not claimed: a call that fails has changed nothing;
 * but a bundle that finds no place for all its pages gives those that it placed
 * back wiped.  Nobody sees the difference, since the host gets zeros anyway.
 */
void granule_claim(Rmm *rmm, uint64_t pa, bool overwritten);

/* Change the state of a locked granule and unlock it. */
void granule_unlock_transition(Rmm *rmm, uint64_t pa, GranuleState to);

/*
 * The state now, which may change at once if nobody holds its owner's lock.
 * Any thread, without waiting.
 */
GranuleState granule_state(Rmm *rmm, uint64_t pa);
/* Whether a thread holds its lock now; for tests. */
bool granule_is_locked(Rmm *rmm, uint64_t pa);
/* Whether it holds what the host left there; for tests. */
bool granule_is_foreign(Rmm *rmm, uint64_t pa);

/* The bytes of a granule that is not NS. */
void *granule_map(Rmm *rmm, uint64_t pa);

/* Its tags, or NULL if the machine has none. */
uint8_t *granule_map_tags(Rmm *rmm, uint64_t pa);

/* Add up the granules in each state but NS.  Any thread, without waiting. */
void granule_count(Rmm *rmm, uint64_t count[GRANULE_STATES]);

/* Zero contents and tags. */
void granule_wipe(Rmm *rmm, uint64_t pa);

/* Give an object's granule back: lock, wipe, DELEGATED, unlock. */
void granule_release(Rmm *rmm, uint64_t pa, GranuleState from);

/* Free all metadata; nobody uses a granule any more. */
void granule_free_all(Rmm *rmm);

/* RMI_GRANULE_DELEGATE and UNDELEGATE; return the RMI result word. */
uint64_t granule_delegate(Rmm *rmm, uint64_t pa);
uint64_t granule_undelegate(Rmm *rmm, uint64_t pa);

#endif
