/*
 * Realms under TCG: the PMU of a CPU counts each event once
 *
 * Purpose: QEMU brings a CPU's counters up to date in two steps: it takes what
 * was counted, then goes on counting from there.  An exception return makes the
 * first step before it and the second behind it, without the BQL in between; so
 * QEMU's timer for overflows, in another thread, can make both meanwhile.  Then
 * the second one is made twice, and a counter has twice its value: seen in one
 * of a hundred looks of `perf` on two busy CPUs.  Here the timer asks the vCPU's
 * own thread, which is between two instructions when it answers.
 *
 * Invariants: counters change in the vCPU's thread, or while it does not run.
 *
 * Lock rule: BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/timer.h"
#include "target/arm/cpu.h"
#include "pmu.h"

static void update(CPUState *cs, run_on_cpu_data unused)
{
    arm_pmu_timer_cb(ARM_CPU(cs));
}

static void update_soon(void *opaque)
{
    async_run_on_cpu(CPU(opaque), update, RUN_ON_CPU_NULL);
}

void realm_pmu_realize(ARMCPU *cpu)
{
    if (cpu->pmu_timer) {
        timer_free(cpu->pmu_timer);
        cpu->pmu_timer = timer_new_ns(QEMU_CLOCK_VIRTUAL, update_soon, cpu);
    }
}
