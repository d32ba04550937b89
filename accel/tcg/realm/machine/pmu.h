/*
 * Realms under TCG: the PMU of a CPU counts each event once
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef ACCEL_TCG_REALM_MACHINE_PMU_H
#define ACCEL_TCG_REALM_MACHINE_PMU_H

#include "target/arm/cpu-qom.h"

/* @cpu has just been realized; it need not have a PMU. */
void realm_pmu_realize(ARMCPU *cpu);

#endif
