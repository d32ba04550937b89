/*
 * The virt board with an RMM: -machine virt,rmm=on
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_ARM_VIRT_RMM_H
#define HW_ARM_VIRT_RMM_H

#include "hw/arm/virt.h"

/* Give the class of virt machines the property rmm. */
void virt_rmm_class_init(ObjectClass *oc);

/*
 * With rmm=on: check what else was asked for, or exit with an error; and make
 * the machine that a host at EL2 runs on.  After the board has chosen its GIC
 * and memory map, before the first CPU.
 */
void virt_rmm_init(VirtMachineState *vms);

#endif
