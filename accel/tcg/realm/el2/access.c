/*
 * A host at EL2: every access of a PE (see access.h)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "access.h"
#include "pe.h"

El2TlbFill el2_arm_tlb_fill;

bool el2_tlb_fill(CPUState *cs, CPUTLBEntryFull *out, vaddr addr,
                  MMUAccessType type, int mmu_idx, MemOp memop, int size,
                  bool probe, uintptr_t ra)
{
    return el2_arm_tlb_fill(cs, out, addr, type, mmu_idx, memop, size, probe,
                            ra);
}
