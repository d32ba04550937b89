/*
 * The virt board as a Realm: what its files share
 *
 * Files from leaf to root: virt-realm-memory.c, virt-realm-check.c,
 * virt-realm-devices.c, virt-realm-firmware.c, virt-realm-log.c, realm-run.c,
 * virt-realm.c, virt-rmm.c (a board whose guest runs Realms, which shares
 * nothing); and virt-realm-kvm.c, which the board calls by itself.
 *
 * Lock rule: BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_ARM_REALM_VIRT_REALM_INTERNAL_H
#define HW_ARM_REALM_VIRT_REALM_INTERNAL_H

#include "hw/arm/virt.h"
#include "target/arm/realm/rme-guest.h"

/* virt-realm-memory.c */

/* With KVM, once the kernel is known: RAM is in place. */
bool virt_realm_memory_in_place(void);

/*
 * With KVM, once it is known how the kernel has a Realm's memory, and before
 * there is any: choose how RAM is made, if the user wants it that way.
 */
bool virt_realm_memory_init(MachineState *machine, const RealmConfig *config,
                            Error **errp);

/* Whether the machine's RAM, now that there is some, was made that way. */
bool virt_realm_memory_check(MachineState *machine, Error **errp);

/* RAM for firmware, which a migration knows as @name. */
MemoryRegion *virt_realm_memory_firmware(const char *name, uint64_t size);

/* @ram, which is not mapped yet, is shared with the Realm. */
void virt_realm_memory_share(MemoryRegion *ram);

/* virt-realm-check.c */

/* How wide a Realm's addresses are: the board's map, and the shared bit. */
unsigned virt_realm_ipa_bits(const VirtMachineState *vms);

/* Whether the board can be a Realm as @config wants; else @errp says why. */
bool virt_realm_check(VirtMachineState *vms, const RealmConfig *config,
                      Error **errp);

/* virt-realm-log.c */

/*
 * If @config wants a measurement log, find a place for it when the device tree
 * is loaded, and announce it there.
 */
void virt_realm_log_init(VirtMachineState *vms, RealmConfig *config);

/* virt-realm-devices.c */

/* Refuse, from now on, devices that cannot serve a Realm. */
void virt_realm_devices_init(void);

#endif
