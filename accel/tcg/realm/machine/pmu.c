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
#include "system/cpu-timers.h"
#include "target/arm/cpu.h"
#include "pmu.h"

static QEMUTimerCB *update;     /* the same for all CPUs */

static void update_in_thread(CPUState *cs, run_on_cpu_data unused)
{
    update(ARM_CPU(cs));
}

/* With -icount, the vCPUs' thread runs the timers. */
static void update_soon(void *opaque)
{
    if (icount_enabled()) {
        update(opaque);
    } else {
        async_run_on_cpu(CPU(opaque), update_in_thread, RUN_ON_CPU_NULL);
    }
}

void realm_pmu_realize(ARMCPU *cpu, QEMUTimerCB *callback)
{
    if (cpu->pmu_timer) {
        update = callback;
        timer_free(cpu->pmu_timer);
        cpu->pmu_timer = timer_new_ns(QEMU_CLOCK_VIRTUAL, update_soon, cpu);
    }
}
