/*
 * A host at EL2: what is in a TLB, and when it goes (see tlb.h)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "exec/cputlb.h"
#include "pe.h"
#include "tlb.h"

void el2_tlb_realize(CPUState *cs)
{
}

void el2_tlb_enter(CPUState *cs, const void *context)
{
    tlb_flush(cs);
}

void el2_tlb_filled(uint64_t pa)
{
}

void el2_tlb_delegated(uint64_t pa)
{
    if (current_cpu) {
        tlb_flush_all_cpus_synced(current_cpu);
    }
}

void el2_tlb_invalidate(void *opaque, uint16_t vmid, uint64_t base,
                        uint64_t top)
{
    el2_tlb_delegated(0);
}

void el2_tlb_sync(void *opaque)
{
}
