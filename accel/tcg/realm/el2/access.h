/*
 * A host at EL2: every access of a PE
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef ACCEL_TCG_REALM_EL2_ACCESS_H
#define ACCEL_TCG_REALM_EL2_ACCESS_H

#include "accel/tcg/cpu-ops.h"

/*
 * TCGCPUOps.tlb_fill_align; @arm_fill is that of the CPU class.
 *
 * In the host's world: Arm's translation, then granule protection.  In the
 * Realm world: stage 1 by Arm, then stage 2 by the RMM.  A fault of the latter
 * that is not the Realm's own raises EXCP_DATA_ABORT or EXCP_PREFETCH_ABORT
 * with target_el 2: env->exception.syndrome and .vaddress, cp15.hpfar_el2 and
 * El2Pe.stage1_level say what the RMM needs to know (switch.c takes them).
 */
typedef bool (*El2TlbFill)(CPUState *cs, CPUTLBEntryFull *out, vaddr addr,
                           MMUAccessType type, int mmu_idx, MemOp memop,
                           int size, bool probe, uintptr_t ra);
extern El2TlbFill el2_arm_tlb_fill;
bool el2_tlb_fill(CPUState *cs, CPUTLBEntryFull *out, vaddr addr,
                  MMUAccessType type, int mmu_idx, MemOp memop, int size,
                  bool probe, uintptr_t ra);

/*
 * The exception that @cs is about to take may be an abort for what an access of
 * a walk met: it is made the abort that hardware would take.
 */
void el2_access_exception(CPUState *cs);

#endif
