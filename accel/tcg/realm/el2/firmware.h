/*
 * A host at EL2: what QEMU does as the firmware
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef ACCEL_TCG_REALM_EL2_FIRMWARE_H
#define ACCEL_TCG_REALM_EL2_FIRMWARE_H

#include "hw/core/cpu.h"

/*
 * Answer the SMC that @cs made at Non-secure EL2, if it is for the firmware
 * and Arm's PSCI does not know it: SMCCC discovery.  False if it is not.
 */
bool el2_firmware_call(CPUState *cs);

#endif
