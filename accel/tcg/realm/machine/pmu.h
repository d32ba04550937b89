/*
 * Realms under TCG: the PMU of a CPU counts each event once
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef ACCEL_TCG_REALM_MACHINE_PMU_H
#define ACCEL_TCG_REALM_MACHINE_PMU_H

#include "qemu/timer.h"
#include "target/arm/cpu-qom.h"

/*
 * @cpu, which need not have a PMU, has just been realized.  @callback is called
 * with it when a counter may have overflowed: arm_pmu_timer_cb, or what calls
 * that.
 */
void realm_pmu_realize(ARMCPU *cpu, QEMUTimerCB *callback);

#endif
