/*
 * A host at EL2: a PE goes from world to world
 *
 * Purpose: the library says which world a PE is in (RmmPe.world); here the PE's
 * registers, interrupts, timers and translations follow.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef ACCEL_TCG_REALM_EL2_WORLD_H
#define ACCEL_TCG_REALM_EL2_WORLD_H

#include "hw/core/cpu.h"
#include "target/arm/rmm/rmm.h"

/* Arm's do_interrupt: of the CPU class. */
extern void (*el2_arm_do_interrupt)(CPUState *cs);

/* X0 to X30 and PC of @cs, to its PE for the library, and back. */
void el2_world_get_registers(CPUState *cs);
void el2_world_put_registers(CPUState *cs);

/* RMI_REC_ENTER succeeded: the PE is in the Realm world, its registers not. */
void el2_world_enter(CPUState *cs);

/* RmmOps.exit_state; the PE gets the host's registers back here. */
void el2_world_exit_state(void *opaque, const RmmPe *pe, RmmExitState *state);

/*
 * The library is done with what the Realm did: @cs goes on in the Realm, or as
 * its host behind RMI_REC_ENTER.
 */
void el2_world_go_on(CPUState *cs);

#endif
