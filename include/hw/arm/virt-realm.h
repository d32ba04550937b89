/*
 * The virt board as a Realm
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_ARM_VIRT_REALM_H
#define HW_ARM_VIRT_REALM_H

#include "hw/arm/virt.h"

/* What a user has to know whose machine finds no object that makes it a Realm. */
void virt_realm_class_init(ObjectClass *oc);

/*
 * Check the board's options against what a Realm can have, and create the
 * Realm: called when memory map, GIC version and PSCI conduit are chosen and
 * before the first vCPU exists.  Errors end the program.  Does nothing unless
 * an rme-guest object exists.
 */
void virt_realm_init(VirtMachineState *vms);

/*
 * Firmware, if there is any, goes into RAM where the board has flash, and
 * there is no flash.  False if the machine is no Realm.
 */
bool virt_realm_firmware_init(VirtMachineState *vms, MemoryRegion *sysmem);

/* Whether virt_realm_firmware_init has taken the board's flash away. */
bool virt_realm_removed_flash(const VirtMachineState *vms);

#ifdef CONFIG_KVM

/*
 * With KVM: find out how the kernel makes Realms; *@max_bits, of the VM's
 * addresses, becomes the most that the board's map may have.  False if there
 * can be no Realm, which is reported.  Does nothing if the machine is none.
 */
bool virt_realm_kvm_probe(VirtMachineState *vms, int *max_bits);

/*
 * With KVM, when the board's map needs addresses of *@type bits: the argument
 * for KVM_CREATE_VM.  False if the machine is no Realm.
 */
bool virt_realm_kvm_type(VirtMachineState *vms, int *type);

#else

static inline bool virt_realm_kvm_probe(VirtMachineState *vms, int *max_bits)
{
    return true;
}

static inline bool virt_realm_kvm_type(VirtMachineState *vms, int *type)
{
    return false;
}

#endif
#endif
