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
 * - A granule in state DELEGATED holds zeros, and so do its tags: it is
 *   wiped when it is delegated and whenever an object in it ends.
 * - A granule never goes from one use to another without DELEGATED between.
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

/* Change the state of a locked granule and unlock it. */
void granule_unlock_transition(Rmm *rmm, uint64_t pa, GranuleState to);

/*
 * The state now, which may change at once if nobody holds its owner's lock.
 * Any thread, without waiting.
 */
GranuleState granule_state(Rmm *rmm, uint64_t pa);
/* Whether a thread holds its lock now; for tests. */
bool granule_is_locked(Rmm *rmm, uint64_t pa);

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
