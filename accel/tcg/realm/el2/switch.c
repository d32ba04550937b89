/*
 * A host at EL2: calls, and the way from world to world
 *
 * Purpose: every SMC and every exception of a PE comes by here.  Those of the
 * host at Non-secure EL2 that are RMI calls, and those of a Realm that go to
 * EL2, are the RMM's; all else is Arm's.
 *
 * Lock rule: BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "target/arm/cpu.h"
#include "target/arm/internals.h"
#include "target/arm/rmm/rmm-abi.h"
#include "firmware.h"
#include "pe.h"
#include "switch.h"

void (*el2_arm_do_interrupt)(CPUState *cs);

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
    CPUARMState *env = &ARM_CPU(cs)->env;
    RmmPe *pe = &el2_pe(cs)->pe;

    memcpy(pe->x, env->xregs, sizeof(pe->x));
    pe->pc = env->pc;
    rmm_call(el2_rmm, pe);
    memcpy(env->xregs, pe->x, sizeof(pe->x));
}

static bool host_smc(CPUState *cs)
{
    CPUARMState *env = &ARM_CPU(cs)->env;

    if (!is_a64(env)) {
        return false;           /* no host at EL2; PSCI is all it can want */
    }
    if (arm_current_el(env) == 2 && is_rmi(smc_fid(env))) {
        host_rmi(cs);
        return true;
    }
    return el2_firmware_call(cs);
}

void el2_do_interrupt(CPUState *cs)
{
    if (cs->exception_index == EXCP_SMC && host_smc(cs)) {
        return;
    }
    el2_arm_do_interrupt(cs);
}
