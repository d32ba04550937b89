/*
 * A host at EL2: a REC's timers, and its PMU's interrupt
 *
 * Purpose: CNTP_* and CNTV_* of EL1 are the REC's while it runs, and their
 * interrupts the host's: one that fires makes the REC exit.  One that was
 * asserted already when the REC was entered must not, or the REC would exit
 * before its next instruction, for ever (RMM 1.0, A6.2): it is masked by
 * CNTHCTL_EL2 until the REC writes the timer or is entered again.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef ACCEL_TCG_REALM_EL2_TIMER_H
#define ACCEL_TCG_REALM_EL2_TIMER_H

#include "hw/core/cpu.h"
#include "target/arm/rmm/rmm.h"

/* A PE exists: watch for writes of its timers. */
void el2_timer_realize(CPUState *cs);

/*
 * The timers and counters of @cs became a REC's, or the host's again; an
 * interrupt was @asserted, or could be, by those that it had before.
 */
void el2_timer_enter(CPUState *cs, bool asserted);
void el2_timer_leave(CPUState *cs, bool asserted);

/* Whether a timer is on, or a counter of the PMU has overflown. */
bool el2_timer_is_on(CPUState *cs);

/* What the exit record says; after arm_call_pre_el_change_hook(). */
void el2_timer_report(CPUState *cs, RmmExitState *state);

#endif
