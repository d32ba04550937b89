/*
 * A host at EL2: calls, and the way from world to world
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef ACCEL_TCG_REALM_EL2_SWITCH_H
#define ACCEL_TCG_REALM_EL2_SWITCH_H

#include "hw/core/cpu.h"
#include "target/arm/rmm/rmm.h"

/* TCGCPUOps.do_interrupt; el2_arm_do_interrupt is that of the CPU class. */
extern void (*el2_arm_do_interrupt)(CPUState *cs);
void el2_do_interrupt(CPUState *cs);

/* RmmOps.exit_state; the PE gets the host's registers back here. */
void el2_exit_state(void *opaque, const RmmPe *pe, RmmExitState *state);

#endif
