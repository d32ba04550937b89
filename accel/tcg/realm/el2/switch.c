/*
 * A host at EL2: who gets a call or an exception
 *
 * Purpose: every SMC and every exception of a PE comes by here.  Those of the
 * host at Non-secure EL2 that are RMI calls, and those of a Realm that go to
 * EL2, are the RMM's; all else is Arm's.
 *
 *     host's SMC --> host_rmi --> el2_host_call --(REC_ENTER)--> world.c
 *     Realm's exception --> from_realm --> el2_realm_call, rmm_exception
 *         the REC exits: the host goes on behind the SMC
 *         else: the Realm goes on, or takes what the library injects
 *
 * Lock rule: BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "exec/cpu_ldst.h"
#include "exec/exec-all.h"
#include "target/arm/cpu.h"
#include "target/arm/internals.h"
#include "target/arm/syndrome.h"
#include "target/arm/rmm/rmm-abi.h"
#include "access.h"
#include "call.h"
#include "context.h"
#include "firmware.h"
#include "idreg.h"
#include "pe.h"
#include "switch.h"
#include "world.h"

/* ---- From the host ---- */

/* The identifier as the RMM decodes it (SMCCC 1.3, section 2.5.1). */
static uint32_t smc_fid(const CPUARMState *env)
{
    return (uint32_t)env->xregs[0] & ~SMCCC_SVE_HINT;
}

static bool is_rmi(uint32_t fid)
{
    return fid >= RMI_VERSION && fid <= RMI_FID(0x3f);
}

static void host_rmi(CPUState *cs)
{
    el2_world_get_registers(cs);
    el2_host_call(cs, &el2_pe(cs)->pe);
    if (el2_in_realm(cs)) {
        el2_world_enter(cs);
    } else {
        el2_world_put_registers(cs);
    }
}

static bool host_smc(CPUState *cs)
{
    CPUARMState *env = cpu_env(cs);

    if (!is_a64(env)) {
        return false;           /* no host at EL2; PSCI is all it can want */
    }
    if (arm_current_el(env) == 2 && is_rmi(smc_fid(env))) {
        host_rmi(cs);
        return true;
    }
    return el2_firmware_call(cs);
}

/* ---- From a Realm ---- */

static void realm_smc(CPUState *cs)
{
    el2_world_get_registers(cs);
    el2_realm_call(cs, &el2_pe(cs)->pe);
    el2_world_go_on(cs);
}

/* ISS of WFIT: TI is 0b10; RN and RV, which QEMU leaves out. */
#define ISS_WFX_TI      3
#define ISS_WFX_RV      BIT(2)
#define ISS_WFX_RN      5
#define INSN_WFIT_RD    MAKE_64BIT_MASK(0, 5)

/* The library wants to know which register has the timeout. */
static uint32_t add_timeout_register(CPUState *cs, uint32_t esr)
{
    CPUARMState *env = cpu_env(cs);
    const void *insn;

    if (syn_get_ec(esr) != EC_WFX_TRAP || (esr & ISS_WFX_TI) != 2) {
        return esr;
    }
    insn = tlb_vaddr_to_host(env, env->pc, MMU_INST_FETCH,
                             arm_env_mmu_index(env));
    return insn ? esr | ISS_WFX_RV |
                  (ldl_le_p(insn) & INSN_WFIT_RD) << ISS_WFX_RN : esr;
}

static void realm_exception(CPUState *cs, RmmExceptionKind kind)
{
    const CPUARMState *env = cpu_env(cs);
    El2Pe *p = el2_pe(cs);
    RmmSyndrome syndrome = {
        .kind = kind,
        .esr = add_timeout_register(cs, env->exception.syndrome),
        .far = env->exception.vaddress,
        .hpfar = env->cp15.hpfar_el2,
        .stage1_level = p->stage1_level,
    };

    el2_world_get_registers(cs);
    rmm_exception(el2_rmm, &p->pe, &syndrome);
    el2_world_go_on(cs);
}

static bool read_idreg(CPUState *cs)
{
    CPUARMState *env = cpu_env(cs);
    uint64_t value;
    unsigned rt;

    if (!el2_idreg_read(cs, &el2_pe(cs)->host->config,
                        env->exception.syndrome, &rt, &value)) {
        return false;
    }
    if (rt < 31) {
        env->xregs[rt] = value;
    }
    env->pc += 4;
    return true;
}

/* The Realm executed what it does not have. */
static void undefined(CPUState *cs)
{
    CPUARMState *env = cpu_env(cs);

    cs->exception_index = EXCP_UDEF;
    env->exception.syndrome = syn_uncategorized();
    env->exception.target_el = 1;
    el2_arm_do_interrupt(cs);
}

/*
 * What goes to EL2 is the RMM's.  EL3 has no code, so what would be trapped
 * there is undefined; neither is QEMU a debugger of Realms (semihosting).
 */
static void from_realm(CPUState *cs)
{
    const CPUARMState *env = cpu_env(cs);

    if (cs->exception_index == EXCP_SMC) {
        realm_smc(cs);
    } else if (cs->exception_index == EXCP_SEMIHOST ||
               env->exception.target_el == 3) {
        undefined(cs);
    } else if (env->exception.target_el != 2) {
        el2_arm_do_interrupt(cs);
    } else if (cs->exception_index == EXCP_IRQ ||
               cs->exception_index == EXCP_NMI) {
        realm_exception(cs, RMM_EXCEPTION_IRQ);
    } else if (cs->exception_index == EXCP_FIQ) {
        realm_exception(cs, RMM_EXCEPTION_FIQ);
    } else if (!read_idreg(cs)) {
        realm_exception(cs, RMM_EXCEPTION_SYNC);
    }
}

void el2_do_interrupt(CPUState *cs)
{
    el2_access_exception(cs);
    if (el2_in_realm(cs)) {
        from_realm(cs);
    } else if (cs->exception_index != EXCP_SMC || !host_smc(cs)) {
        el2_arm_do_interrupt(cs);
    }
}
