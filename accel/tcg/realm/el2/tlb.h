/*
 * A host at EL2: what is in a TLB, and when it goes
 *
 * Purpose: TCG's TLB has no VMID and no ASID, and Realms use the indexes of
 * the host's own EL1&0 regime.  So those entries of a PE (E10_*, Phys_Realm and
 * Stage2) have an owner: a REC, or the host's EL1 and EL0.
 *
 *                        el2_tlb_enter: flush, unless it owns them still
 *        +-----------+ ---------------------------------------> +-------+
 *        |  host's   |                                          | a REC |
 *        +-----------+ <--------------------------------------- +-------+
 *                        the host's EL1 or EL0 runs: flush
 *
 * A REC owns them while nothing happened that this PE did not see: it ran
 * nowhere else since (a TLBI of one PE's own does not reach the others), and
 * its stage 2 has lost nothing.
 *
 * The board's pages in all other entries are the host's.  Delegating one drops
 * it from every PE before the host goes on.  It needs no flush if the page was
 * not filled since the last one, so each page has a stamp.
 *
 * Lock rule: BQL, where nothing else is said.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef ACCEL_TCG_REALM_EL2_TLB_H
#define ACCEL_TCG_REALM_EL2_TLB_H

#include "accel/tcg/realm/el2.h"
#include "pe.h"

/* How often entries were dropped, for the machine's life. */
typedef struct El2TlbCounts {
    uint64_t entered;           /* a REC was entered, and did not own them */
    uint64_t left;              /* the host's EL1 or EL0 ran after a REC */
    uint64_t delegated;         /* of all PEs: a page was delegated */
    uint64_t invalidated;       /* of a PE in a Realm whose stage 2 changed */
} El2TlbCounts;

void el2_tlb_init(const RealmEl2Config *config);

/* A PE exists: watch for the host's own EL1 and EL0. */
void el2_tlb_realize(CPUState *cs);

/* @cs is about to run the REC with @context. */
void el2_tlb_enter(CPUState *cs, const El2Context *context);

/* @context is freed: another may be made at its address. */
void el2_tlb_forget(const El2Context *context);

/*
 * An entry is about to be made.  False: it must not be found again.  AT uses
 * Stage2 for the walk of stage 1, whether there is a stage 2 or not, and EL2
 * can execute it: no change of the EL tells that.  So a Realm's are not kept,
 * and the host's are flushed before a REC runs.
 */
bool el2_tlb_keeps(CPUState *cs, int mmu_idx);

/*
 * The page at @pa is about to be entered into the TLB of some PE with the
 * host's view of it: for the host, or lent to a Realm.  The caller looks
 * whether it is delegated after that.  Any thread, no lock.
 */
void el2_tlb_filled(uint64_t pa);

/*
 * The page at @pa is delegated now: no PE has the host's view of it when the
 * calling vCPU executes its next instruction.  vCPU threads, no lock.
 */
void el2_tlb_delegated(uint64_t pa);

/*
 * RmmOps.tlb_invalidate and .tlb_sync.  Either no PE runs a REC of the Realm,
 * or all vCPUs are stopped (call.h).
 */
void el2_tlb_invalidate(void *opaque, uint16_t vmid, uint64_t base,
                        uint64_t top);
void el2_tlb_sync(void *opaque);

El2TlbCounts el2_tlb_counts(void);

#endif
