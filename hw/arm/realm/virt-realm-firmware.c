/*
 * The virt board as a Realm: firmware in RAM
 *
 * Purpose: a Realm is measured while it is loaded into RAM, so it cannot start
 * from flash.  The board has no flash, and where flash would be, RAM holds the
 * file of -bios.
 *
 * Invariants: an option that gives contents for flash is an error.
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
#include "virt-realm-internal.h"

static void remove_flash(VirtMachineState *vms)
{
    static const char *const aliases[] = { "pflash0", "pflash1" };

    for (int i = 0; i < ARRAY_SIZE(vms->flash); i++) {
        if (pflash_cfi01_get_blk(vms->flash[i]) ||
            drive_get(IF_PFLASH, 0, i)) {
            error_report("rme-guest: a Realm has no flash; give its firmware "
                         "with -bios, if it can do without flash");
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
    MemoryRegion *ram;
    g_autofree char *path = qemu_find_file(QEMU_FILE_TYPE_BIOS, name);
    int64_t size = path ? get_image_size(path) : -1;

    if (size <= 0 || size > flash->size) {
        error_report("rme-guest: -bios %s is no file of 1 to %" PRIu64
                     " bytes; give the firmware's image", name, flash->size);
        exit(EXIT_FAILURE);
    }
    ram = virt_realm_memory_firmware("realm-firmware", flash->size);
    virt_realm_memory_share(ram);
    memory_region_add_subregion(sysmem, flash->base, ram);
    if (rom_add_file_fixed(path, flash->base, -1)) {
        error_report("rme-guest: cannot load -bios %s", path);
        exit(EXIT_FAILURE);
    }
}

bool virt_realm_firmware_init(VirtMachineState *vms, MemoryRegion *sysmem)
{
    const char *name = MACHINE(vms)->firmware;

    if (!rme_guest_of(MACHINE(vms))) {
        return false;
    }
    remove_flash(vms);
    if (name) {
        load_firmware(vms, sysmem, name);
    }
    return true;
}

bool virt_realm_removed_flash(const VirtMachineState *vms)
{
    return !vms->flash[0];
}
