/*
 * A host at EL2: what a Realm's PMU counts
 *
 * Purpose: bits RLK and RLU of an event's type say whether it is counted at
 * Realm EL1 and EL0 (Arm ARM, PMEVTYPER<n>_EL0, FEAT_RME).  QEMU does not know
 * them: it looks at NSK and NSU in every world that is not Secure.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef ACCEL_TCG_REALM_EL2_PMU_H
#define ACCEL_TCG_REALM_EL2_PMU_H

#include "hw/core/cpu.h"

/* A PE exists: watch for writes of event types. */
void el2_pmu_realize(CPUState *cs);

#endif
