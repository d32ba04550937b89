/*
 * The virt board with an RMM: -machine virt,rmm=on
 *
 * Purpose: one switch for all that a host at EL2 needs to run Realms: EL2, EL3
 * for QEMU's firmware, FEAT_RME, GICv3, PSCI by SMC, and the RMM model.
 *
 * Lock rule: BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "accel/tcg/realm/el2.h"
#include "hw/arm/virt-rmm.h"
#include "hw/boards.h"
#include "system/tcg.h"
#include "target/arm/kvm-consts.h"

static bool rmm_is_on;

static bool get_rmm(Object *obj, Error **errp)
{
    return rmm_is_on;
}

static void set_rmm(Object *obj, bool value, Error **errp)
{
    VirtMachineState *vms = VIRT_MACHINE(obj);

    rmm_is_on = value;
    vms->virt |= value;
    if (value && vms->gic_version == VIRT_GIC_VERSION_NOSEL) {
        vms->gic_version = VIRT_GIC_VERSION_3;
    }
}

void virt_rmm_class_init(ObjectClass *oc)
{
    object_class_property_add_bool(oc, "rmm", get_rmm, set_rmm);
    object_class_property_set_description(oc, "rmm",
        "Arm CCA: the guest is a host at EL2 that runs Realms");
}

void virt_rmm_init(VirtMachineState *vms)
{
    MachineState *machine = MACHINE(vms);
    const RealmEl2Config config = {
        .cpu_type = machine->cpu_type,
        .num_cpus = machine->smp.cpus,
        .ram = machine->ram,
        .ram_base = vms->memmap[VIRT_MEM].base,
    };

    if (!rmm_is_on) {
        return;
    }
    if (!tcg_enabled()) {
        error_report("rmm=on needs -accel tcg");
        exit(EXIT_FAILURE);
    }
    realm_el2_init(&config, &error_fatal);
    vms->psci_conduit = QEMU_PSCI_CONDUIT_SMC;
}
