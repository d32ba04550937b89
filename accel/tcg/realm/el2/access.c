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
 * Arm's code translates for a walk by an access of its own, which comes by
 * here as well, and fails without an exception.  What it failed for is in the
 * PE then, and Arm's code, which would report it to EL1, is only asked to try.
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

El2TlbFill el2_arm_tlb_fill;

/* The page at @pa is the host's, and is about to be entered as such. */
static bool is_hosts(uint64_t pa)
{
    el2_tlb_filled(pa);
    return !el2_memory_is_delegated(pa);
}

/* The instruction's part of the syndrome, which only stage 2 reports. */
static uint32_t with_instruction(const RealmAccess *a, uint32_t esr)
{
    CPUARMState *env = &ARM_CPU(a->cs)->env;

    cpu_restore_state(a->cs, a->ra);
    return a->type != MMU_INST_FETCH && env->exception.syndrome & ARM_EL_ISV
           ? esr | env->exception.syndrome : esr;
}

/*
 * EL3 has SCR_EL3.GPF clear, so this is an abort to the EL that takes those of
 * stage 1, unless HCR_EL2.GPF is set, or it was in a walk of stage 2.
 */
static G_NORETURN void take_gpf(const RealmAccess *a, ARMMMUFaultInfo *fi)
{
    CPUARMState *env = &ARM_CPU(a->cs)->env;
    int target_el = exception_target_el(env);
    uint32_t esr;

    if (fi->stage2) {
        target_el = 2;
        env->cp15.hpfar_el2 = extract64(fi->s2addr, 12, 47) << 4;
    } else if (target_el < 2 && arm_hcr_el2_eff(env) & HCR_GPF) {
        target_el = 2;
    }
    esr = realm_abort_esr(a, arm_current_el(env) == target_el, fi->s1ptw, fi);
    if (fi->stage2 && !fi->s1ptw) {
        esr = with_instruction(a, esr);
    }
    realm_abort_take(a, esr, a->va, target_el);
}

/* The RMM decides whose abort this is (rmm_exception). */
static G_NORETURN void take_stage2_abort(const RealmAccess *a,
                                         const RmmSyndrome *s)
{
    CPUARMState *env = &ARM_CPU(a->cs)->env;
    uint32_t esr = a->walk ? s->esr : with_instruction(a, s->esr);

    env->cp15.hpfar_el2 = s->hpfar;
    el2_pe(a->cs)->stage1_level = s->stage1_level;
    realm_abort_take(a, esr, s->far, 2);
}

/* Stage 1, or the host's stage 2, needed the access at @fi->s2addr. */
static G_NORETURN void take_walk_abort(const RealmAccess *a,
                                       ARMMMUFaultInfo *fi)
{
    El2Pe *pe = el2_pe(a->cs);
    RealmAccess walk = *a;
    RmmSyndrome s;

    if (pe->walk_fault == RMM_FAULT_GPF) {
        fi->type = ARMFault_GPCFOnWalk;
        fi->ea = false;
        take_gpf(a, fi);
    }
    walk.walk = fi;
    walk.ipa = fi->s2addr & TARGET_PAGE_MASK;
    s = realm_abort_syndrome(&walk, pe->walk_fault, pe->walk_level);
    s.stage1_level = fi->level;
    take_stage2_abort(&walk, &s);
}

/*
 * The access meets @fault.  One that is only tried fails.  So does one of a
 * walk, with a reason that Arm's code can report whatever the translation
 * regime is; it does so only if the reason is new when it is asked for its own.
 */
static bool fail(const RealmAccess *a, RmmFault fault, int level)
{
    ARMMMUFaultInfo gpf = { .type = ARMFault_GPCFOnOutput };
    RmmSyndrome s;

    if (a->walk) {
        a->walk->type = ARMFault_SyncExternalOnWalk;
        a->walk->ea = true;
        el2_pe(a->cs)->walk_fault = fault;
        el2_pe(a->cs)->walk_level = level;
        return false;
    }
    if (a->probe) {
        return false;
    }
    if (fault == RMM_FAULT_GPF) {
        take_gpf(a, &gpf);
    }
    s = realm_abort_syndrome(a, fault, level);
    take_stage2_abort(a, &s);
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
    CPUARMState *env = &ARM_CPU(cs)->env;
    ARMMMUFaultInfo own = { }, *walk = env->tlb_fi;
    RealmAccess a = { .cs = cs, .va = addr, .type = type, .mmu_idx = mmu_idx,
                      .probe = probe, .ra = ra, .walk = walk };

    if (!walk) {
        env->tlb_fi = &own;
        el2_pe(cs)->walk_fault = RMM_FAULT_NONE;
    }
    if (!el2_arm_tlb_fill(cs, out, addr, type, mmu_idx, memop, size, true,
                          ra)) {
        if (walk || probe) {
            return false;
        }
        if (el2_pe(cs)->walk_fault != RMM_FAULT_NONE) {
            take_walk_abort(&a, &own);
        }
        /* Arm's own exception, unless another PE changed a table. */
        if (!el2_arm_tlb_fill(cs, out, addr, type, mmu_idx, memop, size, false,
                              ra)) {
            return false;
        }
    }
    if (el2_in_realm(cs)) {
        return realm_access(&a, out);
    }
    return is_hosts(out->phys_addr) || fail(&a, RMM_FAULT_GPF, 0);
}
