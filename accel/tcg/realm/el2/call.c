/*
 * A host at EL2: a call to the RMM (see call.h)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "exec/exec-all.h"
#include "target/arm/cpu.h"
#include "target/arm/rmm/rmm-abi.h"
#include "call.h"
#include "memory.h"
#include "pe.h"

#define SMC_BYTES 4

/* The copy, since others look at the world of a PE, and need the BQL for it. */
static void call_without_bql(RmmPe *pe)
{
    RmmPe copy = *pe;

    bql_unlock();
    rmm_call(el2_rmm, &copy);
    bql_lock();
    *pe = copy;
}

static uint32_t call_fid(const RmmPe *pe)
{
    return (uint32_t)pe->x[0] & ~SMCCC_SVE_HINT;
}

/* No other PE is in a Realm, nor gets into one before this returns. */
static void call_that_invalidates(RmmPe *pe)
{
    uint32_t fid = call_fid(pe);

    rmm_call(el2_rmm, pe);
    if (fid == RMI_DATA_DESTROY && pe->x[0] == RMI_SUCCESS) {
        el2_memory_forget_code(pe->x[1]);
    }
}

static bool others_in_realm(CPUState *self)
{
    CPUState *cs;

    CPU_FOREACH(cs) {
        if (cs != self && el2_in_realm(cs)) {
            return true;
        }
    }
    return false;
}

/* A reset may have come between; then the PE makes no call. */
static void call_exclusive(CPUState *cs, run_on_cpu_data unused)
{
    CPUARMState *env = &ARM_CPU(cs)->env;
    El2Pe *pe = el2_pe(cs);
    BQL_LOCK_GUARD();

    if (!pe->call_pending) {
        return;
    }
    pe->call_pending = false;
    env->pc += SMC_BYTES;
    call_that_invalidates(&pe->pe);
    memcpy(env->xregs, pe->pe.x, sizeof(pe->pe.x));
}

/*
 * The SMC is not behind the vCPU until all others stand still: if the machine
 * stops before that, it is where it was.
 */
static G_NORETURN void stop_others(CPUState *cs)
{
    ARM_CPU(cs)->env.pc -= SMC_BYTES;
    el2_pe(cs)->call_pending = true;
    async_safe_run_on_cpu(cs, call_exclusive, RUN_ON_CPU_NULL);
    cs->exception_index = EXCP_INTERRUPT;       /* no interrupt before that */
    cpu_loop_exit(cs);
}

void el2_host_call(CPUState *cs, RmmPe *pe)
{
    unsigned traits = rmm_call_traits(pe);

    if (!(traits & RMM_CALL_INVALIDATES)) {
        el2_realm_call(cs, pe);
    } else if (others_in_realm(cs)) {
        stop_others(cs);
    } else {
        call_that_invalidates(pe);
    }
}

/* What a Realm gives up goes when its host has said so (RMM 1.0, A5.4). */
void el2_realm_call(CPUState *cs, RmmPe *pe)
{
    if (rmm_call_traits(pe) & RMM_CALL_LONG) {
        call_without_bql(pe);
    } else {
        rmm_call(el2_rmm, pe);
    }
}
