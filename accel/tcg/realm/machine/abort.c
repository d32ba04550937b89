/*
 * Realms under TCG: an access and its abort (see abort.h)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "exec/exec-all.h"
#include "target/arm/cpu.h"
#include "target/arm/internals.h"
#include "target/arm/syndrome.h"
#include "abort.h"

RmmAccess realm_access_kind(const RealmAccess *a)
{
    return a->type == MMU_DATA_STORE ? RMM_ACCESS_WRITE :
           a->type == MMU_INST_FETCH ? RMM_ACCESS_FETCH : RMM_ACCESS_READ;
}

void realm_access_translated(CPUTLBEntryFull *out, const RmmTranslation *found)
{
    out->phys_addr = found->pa;
    out->prot &= (found->readable ? PAGE_READ : 0) |
                 (found->writable ? PAGE_WRITE : 0) |
                 (found->executable ? PAGE_EXEC : 0);
}

uint32_t realm_abort_esr(const RealmAccess *a, bool same_el, bool s1ptw,
                         ARMMMUFaultInfo *fault)
{
    uint32_t fsc = arm_fi_to_lfsc(fault) & 0x3f;

    return a->type == MMU_INST_FETCH
           ? syn_insn_abort(same_el, fault->ea, s1ptw, fsc)
           : syn_data_abort_no_iss(same_el, 0, fault->ea, 0, s1ptw,
                                   a->type == MMU_DATA_STORE, fsc);
}

/*
 * The level of the entry that stage 1 got the address from, by the size of
 * what it maps; 0 if there is none: stage 1 is off, or this is its own walk.
 */
static int stage1_level(const RealmAccess *a)
{
    CPUARMState *env = &ARM_CPU(a->cs)->env;
    ARMVAParameters p;
    int bits;

    if (a->walk || !(env->cp15.sctlr_el[1] & SCTLR_M)) {
        return 0;
    }
    p = aa64_va_parameters(env, a->va, core_to_arm_mmu_idx(env, a->mmu_idx),
                           a->type != MMU_INST_FETCH, false);
    bits = arm_granule_bits(p.gran);
    return 3 - (a->lg_page_size - bits) / (bits - 3);
}

RmmSyndrome realm_abort_syndrome(const RealmAccess *a, RmmFault fault,
                                 int level)
{
    ARMMMUFaultInfo fi = {
        .type = fault == RMM_FAULT_PERMISSION ? ARMFault_Permission
                                              : ARMFault_Translation,
        .level = level,
    };

    return (RmmSyndrome) {
        .kind = RMM_EXCEPTION_SYNC,
        .esr = realm_abort_esr(a, false, a->walk, &fi),
        .far = a->va,
        .hpfar = a->ipa >> TARGET_PAGE_BITS << 4,
        .stage1_level = stage1_level(a),
    };
}

void realm_abort_take(const RealmAccess *a, uint32_t esr, uint64_t far,
                      int target_el)
{
    CPUARMState *env = &ARM_CPU(a->cs)->env;

    cpu_restore_state(a->cs, a->ra);
    env->exception.vaddress = far;
    raise_exception(env, a->type == MMU_INST_FETCH ? EXCP_PREFETCH_ABORT
                                                   : EXCP_DATA_ABORT,
                    esr, target_el);
}
