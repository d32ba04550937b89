/*
 * The virt board with an RMM: -machine virt,rmm=on
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_ARM_VIRT_RMM_H
#define HW_ARM_VIRT_RMM_H

#include "hw/arm/virt.h"

/*
 * Give the class of virt machines the property rmm; its init function and the
 * property virtualization are there already.
 */
void virt_rmm_class_init(ObjectClass *oc);

/*
 * With rmm=on: make the machine that a host at EL2 runs on, or exit with an
 * error.  After the board has chosen its memory map, before the first CPU.
 */
void virt_rmm_init(VirtMachineState *vms);

#endif
