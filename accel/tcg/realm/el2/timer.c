/*
 * A host at EL2: a REC's timers, and its PMU's interrupt (see timer.h)
 *
 * Lock rule: BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "target/arm/cpu.h"
#include "target/arm/cpregs.h"
#include "target/arm/internals.h"
#include "pe.h"
#include "timer.h"

#define CTL_ENABLE  1
#define CTL_IMASK   2
#define CTL_ISTATUS 4

static const uint64_t mask_bits[] = {
    [GTIMER_PHYS] = R_CNTHCTL_CNTPMASK_MASK,
    [GTIMER_VIRT] = R_CNTHCTL_CNTVMASK_MASK,
};

static bool is_asserted(uint64_t ctl)
{
    return (ctl & (CTL_ENABLE | CTL_IMASK | CTL_ISTATUS)) ==
           (CTL_ENABLE | CTL_ISTATUS);
}

static void recalculate(ARMCPU *cpu, int timer)
{
    if (timer == GTIMER_PHYS) {
        arm_gt_ptimer_cb(cpu);
    } else {
        arm_gt_vtimer_cb(cpu);
    }
}

/* ---- A REC writes its timers ---- */

static CPWriteFn *arm_write[GTIMER_VIRT + 1][3];

/*
 * The REC programs @timer: from now on the host hears of it again.  If it is
 * asserted still, the REC exits once and is masked with the next entry.
 */
static void unmask(CPUARMState *env, int timer)
{
    CPUState *cs = env_cpu(env);

    if (el2_in_realm(cs) && (env->cp15.cnthctl_el2 & mask_bits[timer])) {
        env->cp15.cnthctl_el2 &= ~mask_bits[timer];
        recalculate(env_archcpu(cpu_env(cs)), timer);
    }
}

/* CNTP_* is CRm 2, CNTV_* is CRm 3; TVAL, CTL and CVAL are op2 0 to 2. */
static void write_timer(CPUARMState *env, const ARMCPRegInfo *ri,
                        uint64_t value)
{
    int timer = ri->crm == 2 ? GTIMER_PHYS : GTIMER_VIRT;

    arm_write[timer][ri->opc2](env, ri, value);
    unmask(env, timer);
}

static void wrap(ARMCPU *cpu, int timer, unsigned op2)
{
    uint32_t key = ENCODE_AA64_CP_REG(CP_REG_ARM64_SYSREG_CP, 14,
                                      timer == GTIMER_PHYS ? 2 : 3, 3, 3, op2);
    ARMCPRegInfo *ri = g_hash_table_lookup(cpu->cp_regs,
                                           (gpointer)(uintptr_t)key);

    arm_write[timer][op2] = ri->writefn;
    ri->writefn = write_timer;
}

void el2_timer_realize(CPUState *cs)
{
    unsigned op2;

    for (op2 = 0; op2 < 3; op2++) {
        wrap(env_archcpu(cpu_env(cs)), GTIMER_PHYS, op2);
        wrap(env_archcpu(cpu_env(cs)), GTIMER_VIRT, op2);
    }
}

/* ---- From world to world ---- */

bool el2_timer_is_on(CPUState *cs)
{
    const CPUARMState *env = cpu_env(cs);

    return ((env->cp15.c14_timer[GTIMER_PHYS].ctl |
             env->cp15.c14_timer[GTIMER_VIRT].ctl) & CTL_ENABLE) ||
           env->cp15.c9_pmovsr;
}

/* Writing no bit of PMOVSCLR_EL0 is the way to have its line set. */
static void update_pmu(CPUState *cs)
{
    static const ARMCPRegInfo *pmovsclr;

    if (!pmovsclr) {
        pmovsclr = get_arm_cp_reginfo(
            env_archcpu(cpu_env(cs))->cp_regs,
            ENCODE_AA64_CP_REG(CP_REG_ARM64_SYSREG_CP, 9, 12, 3, 3, 3));
    }
    if (pmovsclr) {
        pmovsclr->writefn(cpu_env(cs), pmovsclr, 0);
    }
}

static void recalculate_all(CPUState *cs)
{
    recalculate(env_archcpu(cpu_env(cs)), GTIMER_PHYS);
    recalculate(env_archcpu(cpu_env(cs)), GTIMER_VIRT);
    update_pmu(cs);
}

void el2_timer_enter(CPUState *cs, bool asserted)
{
    CPUARMState *env = cpu_env(cs);
    int timer;

    if (!asserted && !el2_timer_is_on(cs)) {
        env->cp15.cnthctl_el2 &= ~(mask_bits[GTIMER_PHYS] |
                                   mask_bits[GTIMER_VIRT]);
        return;
    }
    env->cp15.cnthctl_el2 |= mask_bits[GTIMER_PHYS] | mask_bits[GTIMER_VIRT];
    recalculate_all(cs);
    for (timer = GTIMER_PHYS; timer <= GTIMER_VIRT; timer++) {
        if (!is_asserted(env->cp15.c14_timer[timer].ctl)) {
            env->cp15.cnthctl_el2 &= ~mask_bits[timer];
        }
    }
}

void el2_timer_leave(CPUState *cs, bool asserted)
{
    if (asserted || el2_timer_is_on(cs)) {
        recalculate_all(cs);
    }
}

/* The bit of the register is of the last time that the timer was looked at. */
static uint64_t ctl_now(CPUARMState *env, int timer)
{
    const ARMGenericTimer *t = &env->cp15.c14_timer[timer];

    if ((t->ctl & CTL_ENABLE) && gt_get_countervalue(env) >= t->cval) {
        return t->ctl | CTL_ISTATUS;
    }
    return t->ctl & ~CTL_ISTATUS;
}

void el2_timer_report(CPUState *cs, RmmExitState *state)
{
    CPUARMState *env = cpu_env(cs);

    state->cntp_ctl = ctl_now(env, GTIMER_PHYS);
    state->cntp_cval = env->cp15.c14_timer[GTIMER_PHYS].cval;
    state->cntv_ctl = ctl_now(env, GTIMER_VIRT);
    state->cntv_cval = env->cp15.c14_timer[GTIMER_VIRT].cval;
    state->pmu_overflow = (env->cp15.c9_pmcr & PMCRE) &&
                          (env->cp15.c9_pminten & env->cp15.c9_pmovsr);
}
