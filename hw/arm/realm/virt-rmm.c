/*
 * The virt board with an RMM: -machine virt,rmm=on
 *
 * Purpose: one switch for all that a host at EL2 needs to run Realms: EL2, EL3
 * for QEMU's firmware, FEAT_RME, GICv3 whose interrupts are Non-secure, PSCI
 * by SMC, and the RMM model.
 *
 * How: the board is initialized by virt's own function, with something before
 * (what the switch implies) and something behind it (what firmware would have
 * done); virt_rmm_init is in the middle of it.
 *
 * Invariants: an option that the user gave is obeyed or refused, never changed,
 * whatever the order of options.  A refusal names the option and what to use
 * instead.
 *
 * Lock rule: BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/units.h"
#include "qapi/error.h"
#include "qapi/visitor.h"
#include "exec/replay-core.h"
#include "accel/tcg/realm/el2.h"
#include "hw/arm/linux-boot-if.h"
#include "hw/arm/virt-rmm.h"
#include "hw/boards.h"
#include "hw/intc/arm_gicv3.h"
#include "hw/qdev-properties.h"
#include "system/runstate.h"
#include "system/tcg.h"

static bool rmm_is_on;
static bool as_tf_rmm;
static bool virtualization_given;

/* What the machine's class had before. */
static void (*virt_init)(MachineState *machine);
static ObjectPropertyAccessor *virt_set_virtualization;
static DeviceRealize gic_realize;

static bool get_rmm(Object *obj, Error **errp)
{
    return rmm_is_on;
}

static void set_rmm(Object *obj, bool value, Error **errp)
{
    rmm_is_on = value;
}

static bool get_as_tf_rmm(Object *obj, Error **errp)
{
    return as_tf_rmm;
}

static void set_as_tf_rmm(Object *obj, bool value, Error **errp)
{
    as_tf_rmm = value;
}

/* That it is off may be a word of the user's or none. */
static void set_virtualization(Object *obj, Visitor *v, const char *name,
                               void *opaque, Error **errp)
{
    virt_set_virtualization(obj, v, name, opaque, errp);
    virtualization_given = true;
}

/* What a host at EL2 cannot be together with. */
static bool check_machine(MachineState *machine, Error **errp)
{
    if (!tcg_enabled()) {
        error_setg(errp, "rmm=on: accelerator '%s' has no EL2 with Realms; "
                   "use -accel tcg", current_accel_name());
    } else if (machine->cgs) {
        error_setg(errp, "rmm=on: the guest is the host of Realms, and "
                   "confidential-guest-support makes it one; leave one of "
                   "them out");
    } else if (replay_mode != REPLAY_MODE_NONE) {
        error_setg(errp, "rmm=on: keys of the RMM are new in every run, so "
                   "none can be replayed; leave rr out of -icount");
    } else if (runstate_check(RUN_STATE_INMIGRATE)) {
        error_setg(errp, "rmm=on: Realms of a host at EL2 do not migrate; "
                   "leave -incoming out");
    } else if (machine->maxram_size > machine->ram_size) {
        error_setg(errp, "rmm=on: memory that is plugged in, up to maxmem, "
                   "%" PRIu64 " MiB, cannot be delegated; leave maxmem and "
                   "slots out of -m", machine->maxram_size / MiB);
    } else {
        return true;
    }
    return false;
}

static bool check_board(VirtMachineState *vms, Error **errp)
{
    if (virtualization_given && !vms->virt) {
        error_setg(errp, "rmm=on: a host of Realms is at EL2; leave "
                   "virtualization=off out");
    } else if (vms->secure) {
        error_setg(errp, "rmm=on: QEMU is the firmware, and has no Secure "
                   "world; leave secure=on out");
    } else if (vms->gic_version != VIRT_GIC_VERSION_NOSEL &&
               vms->gic_version != VIRT_GIC_VERSION_3) {
        g_autofree char *given = object_property_get_str(
            OBJECT(vms), "gic-version", &error_abort);

        error_setg(errp, "rmm=on: the RMM gives RECs the interrupts of a "
                   "GICv3, not of gic-version=%s; use gic-version=3, or leave "
                   "it out", given);
    } else {
        return true;
    }
    return false;
}

/* Before the board makes its choices: what the switch implies, or an error. */
static bool prepare(MachineState *machine, Error **errp)
{
    VirtMachineState *vms = VIRT_MACHINE(machine);

    if (!check_machine(machine, errp) || !check_board(vms, errp)) {
        return false;
    }
    vms->virt = true;
    vms->gic_version = VIRT_GIC_VERSION_3;
    return true;
}

/*
 * The GIC of a machine with EL3 has two security states.  Firmware gives all
 * interrupts to the Non-secure one, which needs a word at each reset.
 */
static void rmm_gic_realize(DeviceState *dev, Error **errp)
{
    qdev_prop_set_bit(dev, "has-security-extensions", true);
    gic_realize(dev, errp);
    ARM_LINUX_BOOT_IF_GET_CLASS(dev)->arm_linux_init(ARM_LINUX_BOOT_IF(dev),
                                                     false);
}

static void rmm_machine_init(MachineState *machine)
{
    if (rmm_is_on) {
        prepare(machine, &error_fatal);
    }
    virt_init(machine);
    if (rmm_is_on) {
        realm_el2_firmware_init();
    }
}

void virt_rmm_class_init(ObjectClass *oc)
{
    MachineClass *mc = MACHINE_CLASS(oc);
    ObjectProperty *virtualization = object_class_property_find(
        oc, "virtualization");

    object_class_property_add_bool(oc, "rmm", get_rmm, set_rmm);
    object_class_property_set_description(oc, "rmm",
        "Arm CCA: the guest is a host at EL2 that runs Realms");
    object_class_property_add_bool(oc, "x-rmm-as-tf-rmm", get_as_tf_rmm,
                                   set_as_tf_rmm);
    object_class_property_set_description(oc, "x-rmm-as-tf-rmm",
        "with rmm=on: do as TF-RMM where suites want it, not as the text says");
    virt_set_virtualization = virtualization->set;
    virtualization->set = set_virtualization;
    virt_init = mc->init;
    mc->init = rmm_machine_init;
}

void virt_rmm_init(VirtMachineState *vms)
{
    MachineState *machine = MACHINE(vms);
    const RealmEl2Config config = {
        .cpu_type = machine->cpu_type,
        .num_cpus = machine->smp.cpus,
        .ram = machine->ram,
        .ram_base = vms->memmap[VIRT_MEM].base,
        .as_tf_rmm = as_tf_rmm,
    };

    if (!rmm_is_on) {
        return;
    }
    realm_el2_init(&config, &error_fatal);
    device_class_set_parent_realize(
        DEVICE_CLASS(object_class_by_name(TYPE_ARM_GICV3)), rmm_gic_realize,
        &gic_realize);
}
