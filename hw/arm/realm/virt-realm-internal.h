/*
 * The virt board as a Realm: what its files share
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_ARM_REALM_VIRT_REALM_INTERNAL_H
#define HW_ARM_REALM_VIRT_REALM_INTERNAL_H

#include "hw/arm/virt.h"
#include "target/arm/realm/rme-guest.h"

/* The Realm that the machine is, or NULL. */
RmeGuest *virt_realm_of(VirtMachineState *vms);

/* How wide a Realm's addresses are: the board's map, and the shared bit. */
unsigned virt_realm_ipa_bits(const VirtMachineState *vms);

/* Refuse, from now on, devices that cannot serve a Realm. */
void virt_realm_devices_init(void);

/* RealmBackendOps.init_ripas of the firmware's RAM, if any. */
bool virt_realm_firmware_init_ripas(VirtMachineState *vms, Error **errp);

#endif
