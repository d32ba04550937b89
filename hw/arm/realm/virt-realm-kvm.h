/*
 * The virt board as a Realm: what its two files share
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_ARM_REALM_VIRT_REALM_KVM_H
#define HW_ARM_REALM_VIRT_REALM_KVM_H

#include "hw/arm/virt.h"

/* How wide a Realm's addresses are: the board's map, and the shared bit. */
unsigned virt_realm_ipa_bits(const VirtMachineState *vms);

/* With KVM: RealmBackendOps.init_ripas of the firmware's RAM, if any. */
bool virt_realm_kvm_init_ripas(VirtMachineState *vms, Error **errp);

#endif
