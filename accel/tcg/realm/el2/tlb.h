/*
 * A host at EL2: what is in a TLB, and when it goes
 *
 * Purpose: TCG's TLB has no VMID and no ASID, and Realms use the indexes of
 * the host's own EL1&0 regime (E10 and Phys_Realm).  So every PE has an owner
 * of those entries.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef ACCEL_TCG_REALM_EL2_TLB_H
#define ACCEL_TCG_REALM_EL2_TLB_H

#include "hw/core/cpu.h"

/* A PE exists: watch for the host's own EL1 and EL0. */
void el2_tlb_realize(CPUState *cs);

/*
 * @cs is about to run the REC with @context.  What was translated for another
 * REC, for the host, by another PE since, or before a change of stage 2 goes.
 */
void el2_tlb_enter(CPUState *cs, const void *context);

/*
 * The page at @pa was entered into the TLB of some PE with the host's view of
 * it: for the host, or lent to a Realm.  Any thread, no lock.
 */
void el2_tlb_filled(uint64_t pa);

/* The page at @pa was delegated: no PE of the host has it afterwards. */
void el2_tlb_delegated(uint64_t pa);

/* RmmOps.tlb_invalidate and .tlb_sync */
void el2_tlb_invalidate(void *opaque, uint16_t vmid, uint64_t base,
                        uint64_t top);
void el2_tlb_sync(void *opaque);

#endif
