/*
 * The virt board as a Realm: where the measurement log is
 *
 * Purpose: keep a place for the log behind the device tree, and announce it
 * there, as the series that was posted for QEMU does: a node
 * /reserved-memory/event-log@ADDRESS, compatible with "cc-event-log".
 *
 * Invariants: the place depends on the images and on nothing else, since the
 * device tree is measured.
 *
 * Lock rule: BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <libfdt.h>
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "hw/arm/boot.h"
#include "hw/loader.h"
#include "system/device_tree.h"
#include "virt-realm-internal.h"

#define PARENT "/reserved-memory"
#define CELLS 2                 /* of an address and of a size */

static RealmConfig *the_config;

/* A negative number if there is no such cell. */
static int cells(void *fdt, const char *name)
{
    return qemu_fdt_getprop_cell(fdt, PARENT, name, NULL, NULL);
}

/* A device tree of the user's may have the node, with what it likes in it. */
static void make_parent(void *fdt)
{
    if (fdt_path_offset(fdt, PARENT) < 0) {
        qemu_fdt_add_subnode(fdt, PARENT);
        qemu_fdt_setprop_cell(fdt, PARENT, "#address-cells", CELLS);
        qemu_fdt_setprop_cell(fdt, PARENT, "#size-cells", CELLS);
        qemu_fdt_setprop(fdt, PARENT, "ranges", NULL, 0);
    } else if (cells(fdt, "#address-cells") != CELLS ||
               cells(fdt, "#size-cells") != CELLS) {
        error_report("rme-guest: measurement-log=on needs %d #address-cells "
                     "and %d #size-cells in " PARENT " of the -dtb; change "
                     "them there, or leave measurement-log=on out", CELLS,
                     CELLS);
        exit(EXIT_FAILURE);
    }
}

static void announce(void *fdt, uint64_t base)
{
    g_autofree char *node = g_strdup_printf(PARENT "/event-log@%" PRIx64,
                                            base);

    make_parent(fdt);
    qemu_fdt_add_subnode(fdt, node);
    qemu_fdt_setprop_string(fdt, node, "compatible", "cc-event-log");
    qemu_fdt_setprop_sized_cells(fdt, node, "reg", CELLS, base, CELLS,
                                 (uint64_t)REALM_LOG_SIZE);
}

/* The loader is about to put the device tree into RAM. */
static void place_log(const struct arm_boot_info *info, void *fdt)
{
    uint64_t base = ROUND_UP(info->dtb_start + fdt_totalsize(fdt),
                             REALM_PAGE_SIZE);
    uint64_t top = info->loader_start + info->ram_size;
    g_autofree void *zeros = g_malloc0(REALM_LOG_SIZE);

    /* An ELF kernel at the base of RAM leaves no room for a device tree. */
    if (base < info->loader_start || base > top || top - base < REALM_LOG_SIZE) {
        error_report("rme-guest: no room for measurement-log=on behind the "
                     "device tree at 0x%" PRIx64 "; give the machine more "
                     "memory, or a kernel that leaves room", info->dtb_start);
        exit(EXIT_FAILURE);
    }
    /*
     * The loader refuses images that overlap in one address space, that of the
     * kernel, so nothing else is there.
     */
    rom_add_blob_fixed_as("measurement-log", zeros, REALM_LOG_SIZE, base,
                          arm_boot_address_space(ARM_CPU(first_cpu), info));
    announce(fdt, base);
    the_config->log_base = base;
}

void virt_realm_log_init(VirtMachineState *vms, RealmConfig *config)
{
    if (config->measurement_log) {
        the_config = config;
        vms->bootinfo.modify_dtb = place_log;
    }
}
