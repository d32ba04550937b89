/*
 * A host at EL2: every access of a PE (see access.h)
 *
 * Purpose: what is behind Arm's translation.  For the host that is granule
 * protection, for a Realm its stage 2:
 *
 *     VA --Arm--> PA  of the host --delegated?--> board, or a fault
 *     VA --Arm--> IPA of a Realm --rmm_stage2_walk--> its private page,
 *                                      lent page --delegated?--> board,
 *                                      or an abort to EL2
 *
 * A walk makes accesses of its own, which come by here as well.  One that
 * fails raises nothing: Arm's code does, if the instruction needs the walk, for
 * a reason that it knows.  The PE remembers the real one, and the exception is
 * made that of it when it is taken (el2_access_exception).
 *
 * Invariants:
 * - A page of the board is entered after it was seen not to be delegated, and
 *   was stamped before that (tlb.h): whoever delegates it after that flushes.
 * - Stage 2 takes nothing away while a PE is in here for a Realm (call.h).
 *
 * Lock rule: none; the vCPU's thread.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "exec/exec-all.h"
#include "target/arm/cpu.h"
#include "target/arm/internals.h"
#include "target/arm/syndrome.h"
#include "accel/tcg/realm/machine/abort.h"
#include "access.h"
#include "context.h"
#include "memory.h"
#include "pe.h"
#include "tlb.h"

#define ISS_WNR BIT(6)
#define ISS_CM  BIT(8)

El2TlbFill el2_arm_tlb_fill;

/* The page at @pa is the host's, and is about to be entered as such. */
static bool is_hosts(uint64_t pa)
{
    el2_tlb_filled(pa);
    return !el2_memory_is_delegated(pa);
}

/* EL3 has SCR_EL3.GPF clear, so this is an abort like those of stage 1. */
static int gpf_target_el(CPUARMState *env)
{
    int el = exception_target_el(env);

    return el < 2 && arm_hcr_el2_eff(env) & HCR_GPF ? 2 : el;
}

static G_NORETURN void take_gpf(const RealmAccess *a)
{
    CPUARMState *env = &ARM_CPU(a->cs)->env;
    ARMMMUFaultInfo fi = { .type = ARMFault_GPCFOnOutput };
    int el = gpf_target_el(env);

    if (!arm_el_is_aa64(env, el)) {
        /* As for a walk (fail_walk): an external abort, which is taken here. */
        arm_cpu_do_transaction_failed(a->cs, 0, a->va, 0, a->type, a->mmu_idx,
                                      MEMTXATTRS_UNSPECIFIED, MEMTX_ERROR,
                                      a->ra);
    }
    realm_abort_take(a, realm_abort_esr(a, arm_current_el(env) == el, false,
                                        &fi), a->va, el);
}

/* The RMM decides whose abort this is (rmm_exception). */
static G_NORETURN void take_stage2_abort(const RealmAccess *a, RmmFault fault,
                                         int level)
{
    CPUARMState *env = &ARM_CPU(a->cs)->env;
    RmmSyndrome s = realm_abort_syndrome(a, fault, level);

    cpu_restore_state(a->cs, a->ra);
    if (a->type != MMU_INST_FETCH && env->exception.syndrome & ARM_EL_ISV) {
        s.esr |= env->exception.syndrome;       /* the instruction's part */
    }
    env->cp15.hpfar_el2 = s.hpfar;
    el2_pe(a->cs)->stage1_level = s.stage1_level;
    realm_abort_take(a, s.esr, a->va, 2);
}

/* For AArch32, Arm's code has no status code of granule protection faults. */
static void fail_walk(const RealmAccess *a, RmmFault fault, int level)
{
    El2Pe *pe = el2_pe(a->cs);

    pe->walk_fault = fault;
    pe->walk_level = level;
    pe->walk_ipa = a->ipa;
    if (fault == RMM_FAULT_GPF && is_a64(&ARM_CPU(a->cs)->env)) {
        a->walk->type = ARMFault_GPCFOnOutput;
    } else {
        a->walk->type = ARMFault_SyncExternalOnWalk;
        a->walk->ea = true;
    }
}

/* The access meets @fault.  False if it is only tried, or a walk's. */
static bool fail(const RealmAccess *a, RmmFault fault, int level)
{
    if (a->walk) {
        fail_walk(a, fault, level);
    } else if (!a->probe && fault == RMM_FAULT_GPF) {
        take_gpf(a);
    } else if (!a->probe) {
        take_stage2_abort(a, fault, level);
    }
    return false;
}

/* ESR_ELx.FSC of an external abort, or a granule protection fault, on a walk */
static bool is_on_walk(uint32_t fsc)
{
    return (fsc >= 0x13 && fsc <= 0x17) || (fsc >= 0x23 && fsc <= 0x27);
}

static void route_gpf(CPUARMState *env)
{
    int el = gpf_target_el(env);

    if (env->exception.target_el < el) {
        env->exception.target_el = el;
        env->exception.syndrome &= ~BIT(ARM_EL_EC_SHIFT);  /* from below */
    }
}

static void make_stage2_abort(CPUState *cs, RmmFault fault)
{
    CPUARMState *env = &ARM_CPU(cs)->env;
    El2Pe *pe = el2_pe(cs);
    uint32_t was = env->exception.syndrome;
    int level = (was & 0x3f) == 0x13 ? -1 : was & 3;
    ARMMMUFaultInfo walk;
    const RealmAccess a = {
        .cs = cs, .va = env->exception.vaddress, .ipa = pe->walk_ipa,
        .type = cs->exception_index == EXCP_PREFETCH_ABORT ? MMU_INST_FETCH :
                was & ISS_WNR ? MMU_DATA_STORE : MMU_DATA_LOAD,
        .walk = &walk,
    };
    RmmSyndrome s = realm_abort_syndrome(&a, fault, pe->walk_level);

    env->exception.syndrome = s.esr | (was & ISS_CM);
    env->exception.target_el = 2;
    env->cp15.hpfar_el2 = s.hpfar;
    pe->stage1_level = level;
}

void el2_access_exception(CPUState *cs)
{
    CPUARMState *env = &ARM_CPU(cs)->env;
    El2Pe *pe = el2_pe(cs);
    RmmFault fault = pe->walk_fault;

    pe->walk_fault = RMM_FAULT_NONE;
    if (fault == RMM_FAULT_NONE ||
        (cs->exception_index != EXCP_DATA_ABORT &&
         cs->exception_index != EXCP_PREFETCH_ABORT) ||
        !is_on_walk(env->exception.syndrome & 0x3f)) {
        return;
    }
    if (fault == RMM_FAULT_GPF) {
        route_gpf(env);
    } else {
        make_stage2_abort(cs, fault);
    }
}

/* RMM 1.0, A5.2: the lower half of the IPA space is the Realm's alone. */
static bool is_protected(const RmmStage2 *stage2, uint64_t ipa)
{
    return !(ipa >> (stage2->ipa_bits - 1));
}

static bool realm_access(RealmAccess *a, CPUTLBEntryFull *out)
{
    const El2Context *context = el2_pe(a->cs)->pe.context;
    const RmmStage2 *stage2 = &context->config.stage2;
    RmmTranslation found;
    RmmFault fault;

    a->ipa = out->phys_addr & TARGET_PAGE_MASK;
    a->lg_page_size = out->lg_page_size;
    fault = rmm_stage2_walk(el2_rmm, stage2, a->ipa, realm_access_kind(a),
                            &found);
    if (fault == RMM_FAULT_NONE) {
        realm_access_translated(out, &found);
        if (is_protected(stage2, a->ipa)) {
            out->phys_addr += EL2_PRIVATE_BASE;
        } else if (!is_hosts(found.pa)) {
            fault = RMM_FAULT_GPF;
        }
    }
    return fault == RMM_FAULT_NONE || fail(a, fault, found.level);
}

bool el2_tlb_fill(CPUState *cs, CPUTLBEntryFull *out, vaddr addr,
                  MMUAccessType type, int mmu_idx, MemOp memop, int size,
                  bool probe, uintptr_t ra)
{
    RealmAccess a = { .cs = cs, .va = addr, .type = type, .mmu_idx = mmu_idx,
                      .probe = probe, .ra = ra,
                      .walk = ARM_CPU(cs)->env.tlb_fi };

    el2_pe(cs)->walk_fault = RMM_FAULT_NONE;
    if (!el2_arm_tlb_fill(cs, out, addr, type, mmu_idx, memop, size, probe,
                          ra)) {
        return false;
    }
    if (!el2_tlb_keeps(cs, mmu_idx)) {
        out->lg_page_size = 0;
    }
    if (el2_in_realm(cs)) {
        return realm_access(&a, out);
    }
    return is_hosts(out->phys_addr) || fail(&a, RMM_FAULT_GPF, 0);
}
