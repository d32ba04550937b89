/*
 * The virt board as a Realm with KVM
 *
 * Purpose: what is decided before the VM exists, its type and width; and
 * firmware in RAM, since a Realm can neither be measured nor started from
 * flash.
 *
 * Lock rule: BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/datadir.h"
#include "qemu/error-report.h"
#include "exec/memory.h"
#include "hw/arm/virt-realm.h"
#include "hw/block/flash.h"
#include "hw/boards.h"
#include "hw/loader.h"
#include "system/blockdev.h"
#include "system/kvm_int.h"
#include "accel/kvm/realm/realm-kvm.h"
#include "target/arm/realm/rme-guest.h"
#include "virt-realm-kvm.h"

/* The Realm that the machine is, or NULL. */
static RmeGuest *realm_of(VirtMachineState *vms)
{
    RmeGuest *guest = rme_guest();

    return guest && MACHINE(vms)->cgs == CONFIDENTIAL_GUEST_SUPPORT(guest)
           ? guest : NULL;
}

bool virt_realm_kvm_probe(VirtMachineState *vms, int *max_bits)
{
    MachineState *machine = MACHINE(vms);
    RmeGuest *guest = realm_of(vms);
    Error *err = NULL;

    if (!guest) {
        return true;
    }
    if (!realm_kvm_probe(KVM_STATE(machine->accelerator),
                         guest->config.kvm_abi, &err)) {
        error_report_err(err);
        return false;
    }
    *max_bits = realm_kvm.abi.max_ipa_bits - 1;
    machine->cgs->require_guest_memfd = true;
    return true;
}

bool virt_realm_kvm_type(VirtMachineState *vms, int *type)
{
    if (!realm_of(vms)) {
        return false;
    }
    *type = realm_kvm.abi.vm_type | virt_realm_ipa_bits(vms);
    return true;
}

/* What the user gave for flash stays an error, and is not dropped in silence. */
static void remove_flash(VirtMachineState *vms)
{
    static const char *const aliases[] = { "pflash0", "pflash1" };

    for (int i = 0; i < ARRAY_SIZE(vms->flash); i++) {
        if (pflash_cfi01_get_blk(vms->flash[i]) ||
            drive_get(IF_PFLASH, 0, i)) {
            error_report("rme-guest: a Realm has no flash; give its firmware "
                         "with -bios, which puts it into RAM");
            exit(EXIT_FAILURE);
        }
        object_property_del(OBJECT(vms), aliases[i]);
        object_unparent(OBJECT(vms->flash[i]));
        vms->flash[i] = NULL;
    }
}

static void load_firmware(VirtMachineState *vms, MemoryRegion *sysmem,
                          const char *name)
{
    const MemMapEntry *flash = &vms->memmap[VIRT_FLASH];
    MemoryRegion *ram = g_new(MemoryRegion, 1);
    g_autofree char *path = qemu_find_file(QEMU_FILE_TYPE_BIOS, name);
    int64_t size = path ? get_image_size(path) : -1;

    if (size <= 0 || size > flash->size) {
        error_report("rme-guest: -bios %s is no file of 1 to %" PRIu64
                     " bytes; give the firmware's image", name, flash->size);
        exit(EXIT_FAILURE);
    }
    memory_region_init_ram_guest_memfd(ram, OBJECT(vms), "realm-firmware",
                                       flash->size, &error_fatal);
    memory_region_add_subregion(sysmem, flash->base, ram);
    if (rom_add_file_fixed(path, flash->base, -1)) {
        error_report("rme-guest: cannot load -bios %s", path);
        exit(EXIT_FAILURE);
    }
}

bool virt_realm_firmware_init(VirtMachineState *vms, MemoryRegion *sysmem)
{
    const char *name = MACHINE(vms)->firmware;

    if (!kvm_enabled() || !realm_of(vms)) {
        return false;
    }
    remove_flash(vms);
    if (name) {
        load_firmware(vms, sysmem, name);
    }
    return true;
}

bool virt_realm_kvm_init_ripas(VirtMachineState *vms, Error **errp)
{
    const MemMapEntry *flash = &vms->memmap[VIRT_FLASH];

    return !MACHINE(vms)->firmware ||
           realm_kvm_backend()->init_ripas(flash->base, flash->size, errp);
}
