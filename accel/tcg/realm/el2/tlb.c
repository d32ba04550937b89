/*
 * A host at EL2: what is in a TLB, and when it goes (see tlb.h)
 *
 * Stamps: the number of flushes that were begun when the page was filled.  One
 * that is not above the number of flushes that are complete has no entry.
 *
 *     fill: stamp, then look whether it is delegated
 *     delegate: mark as delegated, then look at the stamp
 *
 * So either the fill faults, or the one who delegates sees the stamp.  A flush
 * is counted as begun before it reaches any PE: it takes all entries with an
 * older stamp, those that are being made included, since a PE flushes when it
 * has left generated code.
 *
 * Lock rule: see tlb.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "exec/cputlb.h"
#include "target/arm/cpu.h"
#include "target/arm/internals.h"
#include "accel/tcg/realm/trace.h"
#include "context.h"
#include "pe.h"
#include "tlb.h"

#define IDX_BIT(name) BIT(ARMMMUIdx_##name & ARM_MMU_IDX_COREIDX_MASK)
#define E10 (IDX_BIT(E10_0) | IDX_BIT(E10_1) | IDX_BIT(E10_1_PAN))
#define OWNED (E10 | IDX_BIT(Phys_Realm) | IDX_BIT(Stage2))

static struct {
    uint64_t base, size;        /* of RAM */
    unsigned long *stamps;      /* one a page; 0: never filled */
    unsigned long begun, complete;      /* flushes of all PEs */
    El2TlbCounts counts;
} tlb;

void el2_tlb_init(const RealmEl2Config *config)
{
    tlb.base = config->ram_base;
    tlb.size = memory_region_size(config->ram);
    tlb.stamps = g_new0(unsigned long, tlb.size >> RMM_GRANULE_SHIFT);
    tlb.begun = 1;
}

/* Where there is no RAM, nothing is ever delegated. */
static unsigned long *stamp(uint64_t pa)
{
    return pa >= tlb.base && pa - tlb.base < tlb.size
           ? &tlb.stamps[(pa - tlb.base) >> RMM_GRANULE_SHIFT] : NULL;
}

void el2_tlb_filled(uint64_t pa)
{
    unsigned long *s = stamp(pa);

    if (s) {
        qatomic_set(s, qatomic_read(&tlb.begun));
        smp_mb();
    }
}

bool el2_tlb_keeps(CPUState *cs, int mmu_idx)
{
    bool stage2 = BIT(mmu_idx) & IDX_BIT(Stage2);

    if (stage2 && !el2_in_realm(cs)) {
        el2_pe(cs)->tlb_stale = true;
    }
    return !stage2 || !el2_in_realm(cs);
}

/* All PEs have flushed, or do so before they run. */
static void flush_complete(CPUState *cs, run_on_cpu_data begun)
{
    qatomic_set(&tlb.complete, MAX(tlb.complete, begun.target_ptr));
}

void el2_tlb_delegated(uint64_t pa)
{
    unsigned long *s = stamp(pa), begun;

    smp_mb();
    if (!s || qatomic_read(s) <= qatomic_read(&tlb.complete)) {
        return;
    }
    begun = qatomic_fetch_inc(&tlb.begun);
    qatomic_inc(&tlb.counts.delegated);
    trace_realm_el2_flush(-1, "a page was delegated");
    tlb_flush_all_cpus_synced(current_cpu);
    async_safe_run_on_cpu(current_cpu, flush_complete,
                          RUN_ON_CPU_TARGET_PTR(begun));
}

static void flush_owned(CPUState *cs, run_on_cpu_data unused)
{
    tlb_flush_by_mmuidx(cs, OWNED);
}

void el2_tlb_enter(CPUState *cs, const El2Context *context)
{
    El2Pe *pe = el2_pe(cs);

    if (pe->tlb_owner == context && !pe->tlb_stale) {
        return;
    }
    el2_tlb_forget(context);
    pe->tlb_owner = context;
    pe->tlb_vmid = context->config.vmid;
    pe->tlb_stale = false;
    tlb.counts.entered++;
    trace_realm_el2_flush(cs->cpu_index, "a REC was entered");
    flush_owned(cs, RUN_ON_CPU_NULL);
}

void el2_tlb_forget(const El2Context *context)
{
    CPUState *cs;

    CPU_FOREACH(cs) {
        if (el2_pe(cs)->tlb_owner == context) {
            el2_pe(cs)->tlb_stale = true;
        }
    }
}

/* A hook of every change of the EL. */
static void keep_from_host(ARMCPU *cpu, void *opaque)
{
    El2Pe *pe = opaque;

    if (pe->tlb_owner && pe->pe.world == RMM_WORLD_HOST &&
        BIT(arm_to_core_mmu_idx(arm_mmu_idx(&cpu->env))) & E10) {
        pe->tlb_owner = NULL;
        tlb.counts.left++;
        trace_realm_el2_flush(CPU(cpu)->cpu_index, "EL1 of the host runs");
        flush_owned(CPU(cpu), RUN_ON_CPU_NULL);
    }
}

void el2_tlb_realize(CPUState *cs)
{
    arm_register_el_change_hook(ARM_CPU(cs), keep_from_host, el2_pe(cs));
}

void el2_tlb_invalidate(void *opaque, uint16_t vmid, uint64_t base,
                        uint64_t top)
{
    CPUState *cs;

    CPU_FOREACH(cs) {
        El2Pe *pe = el2_pe(cs);

        if (!pe->tlb_owner || pe->tlb_vmid != vmid) {
            continue;
        }
        if (el2_in_realm(cs)) {
            tlb.counts.invalidated++;
            trace_realm_el2_flush(cs->cpu_index, "stage 2 changed");
            async_run_on_cpu(cs, flush_owned, RUN_ON_CPU_NULL);
        } else {
            pe->tlb_stale = true;
        }
    }
}

/* What tlb_invalidate began is complete before any PE runs. */
void el2_tlb_sync(void *opaque)
{
}

El2TlbCounts el2_tlb_counts(void)
{
    return tlb.counts;
}
