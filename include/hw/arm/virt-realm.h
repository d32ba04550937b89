/*
 * The virt board as a Realm
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_ARM_VIRT_REALM_H
#define HW_ARM_VIRT_REALM_H

#include "hw/arm/virt.h"

/*
 * Check the board's options against what a Realm can have, and create the
 * Realm: called when memory map, GIC version and PSCI conduit are chosen and
 * before the first vCPU exists.  Errors end the program.  Does nothing unless
 * an rme-guest object exists.
 */
void virt_realm_init(VirtMachineState *vms, bool firmware_loaded);

#endif
