/*
 * The virt board as a Realm with KVM
 *
 * Purpose: choose the VM's type and the width of its addresses, which have to
 * be known before the VM exists.
 *
 * Lock rule: BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "hw/arm/virt-realm.h"
#include "hw/boards.h"
#include "system/kvm_int.h"
#include "system/realm-kvm.h"
#include "target/arm/realm/rme-guest.h"
#include "virt-realm-internal.h"

bool virt_realm_kvm_probe(VirtMachineState *vms, int *max_bits)
{
    MachineState *machine = MACHINE(vms);
    RmeGuest *guest = rme_guest_of(machine);
    Error *err = NULL;

    if (!guest) {
        return true;
    }
    if (!realm_kvm_probe(KVM_STATE(machine->accelerator),
                         guest->config.kvm_abi, &err) ||
        !virt_realm_memory_init(machine, &guest->config, &err)) {
        error_report_err(err);
        return false;
    }
    *max_bits = realm_kvm_max_ipa_bits() - 1;
    return true;
}

bool virt_realm_kvm_type(VirtMachineState *vms, int *type)
{
    if (!rme_guest_of(MACHINE(vms))) {
        return false;
    }
    *type = realm_kvm_vm_type(virt_realm_ipa_bits(vms));
    return true;
}
