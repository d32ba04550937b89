/*
 * A host at EL2: what QEMU does as the firmware
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef ACCEL_TCG_REALM_EL2_FIRMWARE_H
#define ACCEL_TCG_REALM_EL2_FIRMWARE_H

#include "hw/core/cpu.h"

/*
 * Answer the SMC that @cs made at a Non-secure exception level, if Arm's PSCI
 * does not know all of the answer: SMCCC discovery, and CPU_ON.  False if it
 * does.
 */
bool el2_firmware_call(CPUState *cs);

/* @cs was just reset: it goes on at Non-secure EL2, where its PC is. */
void el2_firmware_reset(CPUState *cs);

#endif
