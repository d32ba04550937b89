/*
 * A host at EL2: a PE goes from world to world (see world.h)
 *
 * Invariant: registers change worlds while the REC is still RUNNING for the
 * library: before another PE may enter the REC, its context is complete.
 *
 * Lock rule: BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "target/arm/cpu.h"
#include "target/arm/internals.h"
#include "context.h"
#include "debug.h"
#include "gic.h"
#include "pe.h"
#include "timer.h"
#include "tlb.h"
#include "world.h"

void (*el2_arm_do_interrupt)(CPUState *cs);

void el2_world_get_registers(CPUState *cs)
{
    const CPUARMState *env = cpu_env(cs);
    RmmPe *pe = &el2_pe(cs)->pe;

    memcpy(pe->x, env->xregs, sizeof(pe->x));
    pe->pc = env->pc;
}

void el2_world_put_registers(CPUState *cs)
{
    CPUARMState *env = cpu_env(cs);
    const RmmPe *pe = &el2_pe(cs)->pe;

    memcpy(env->xregs, pe->x, sizeof(pe->x));
    env->pc = pe->pc;
}

static void set_traps(CPUARMState *env, const RmmEntry *entry)
{
    env->cp15.hcr_el2 &= ~(HCR_TWI | HCR_TWE);
    env->cp15.hcr_el2 |= (entry->trap_wfi ? HCR_TWI : 0) |
                         (entry->trap_wfe ? HCR_TWE : 0);
}

/* The Realm takes @pe->inject at its PC. */
static void inject(CPUState *cs, RmmPe *pe)
{
    CPUARMState *env = cpu_env(cs);
    uint64_t esr = pe->inject.esr;

    if (pe->inject.abort && arm_current_el(env) == 0) {
        esr &= ~((uint64_t)1 << ARM_EL_EC_SHIFT);
    }
    cs->exception_index = pe->inject.abort ? EXCP_DATA_ABORT : EXCP_UDEF;
    env->exception.syndrome = esr;
    env->exception.vaddress = pe->inject.far;
    env->exception.target_el = 1;
    pe->inject.pending = false;
    el2_arm_do_interrupt(cs);
}

static void resume(CPUState *cs)
{
    RmmPe *pe = &el2_pe(cs)->pe;

    el2_world_put_registers(cs);
    if (pe->inject.pending) {
        inject(cs, pe);
    }
}

void el2_world_enter(CPUState *cs)
{
    CPUARMState *env = cpu_env(cs);
    El2Pe *p = el2_pe(cs);

    p->host = p->pe.context;
    arm_call_pre_el_change_hook(ARM_CPU(cs));
    el2_context_swap(cs, p->host);
    set_traps(env, &p->pe.entry);
    el2_gic_enter(cs, &p->pe.entry);
    el2_timer_enter(cs, p->timers_were_on);
    el2_tlb_enter(cs, p->host);
    el2_context_settle(cs);
    el2_debug_enter(cs);
    resume(cs);
}

void el2_world_exit_state(void *opaque, const RmmPe *pe,
                          RmmExitState *state)
{
    CPUState *cs = current_cpu;
    El2Pe *p = el2_pe(cs);
    BQL_LOCK_GUARD();           /* a long call does not have it */

    arm_call_pre_el_change_hook(ARM_CPU(cs));
    el2_gic_report(cs, &pe->entry, state);
    el2_timer_report(cs, state);
    el2_context_swap(cs, p->host);
    p->host = NULL;
}

/* The REC has exited, and the host's registers are back. */
static void leave(CPUState *cs)
{
    El2Pe *p = el2_pe(cs);

    cpu_env(cs)->xregs[0] = p->pe.x[0];
    el2_gic_leave(cs);
    el2_timer_leave(cs, p->timers_were_on);
    el2_context_settle(cs);
    el2_debug_leave(cs);
}

void el2_world_go_on(CPUState *cs)
{
    if (el2_in_realm(cs)) {
        resume(cs);
    } else {
        leave(cs);
    }
}
