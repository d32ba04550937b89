/*
 * A host at EL2: who gets a call or an exception
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef ACCEL_TCG_REALM_EL2_SWITCH_H
#define ACCEL_TCG_REALM_EL2_SWITCH_H

#include "hw/core/cpu.h"

/* TCGCPUOps.do_interrupt */
void el2_do_interrupt(CPUState *cs);

#endif
