/*
 * A host at EL2: what QEMU does as the firmware (see firmware.h)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "firmware.h"

bool el2_firmware_call(CPUState *cs)
{
    return false;
}
