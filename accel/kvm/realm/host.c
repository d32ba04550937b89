/*
 * The KVM backend for Realms: what is QEMU's
 *
 * Purpose: the shared mapping of RAM, what backs it, and where vCPUs start.
 * Tests of this folder on other hosts have their own instead of this file.
 *
 * Lock rule: realm_kvm_shared and realm_kvm_discard from any thread, the rest
 * under the BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "exec/address-spaces.h"
#include "exec/ram_addr.h"
#include "exec/ramblock.h"
#include "migration/migration.h"
#include "migration/misc.h"
#include "target/arm/cpu.h"
#include "realm-kvm.h"

/* The caller unrefs @section->mr, which is RAM, if this is true. */
static bool find_ram(uint64_t base, uint64_t size,
                     MemoryRegionSection *section)
{
    *section = memory_region_find(get_system_memory(), base, size);
    if (!section->mr) {
        return false;
    }
    if (int128_get64(section->size) != size ||
        !memory_region_is_ram(section->mr)) {
        memory_region_unref(section->mr);
        return false;
    }
    return true;
}

void *realm_kvm_shared(uint64_t base, uint64_t size)
{
    MemoryRegionSection section;
    uint8_t *host;

    if (!find_ram(base, size, &section)) {
        return NULL;
    }
    host = memory_region_get_ram_ptr(section.mr);
    memory_region_unref(section.mr);    /* RAM of the board, never unplugged */
    return host + section.offset_within_region;
}

/* Huge pages were set aside for good, and are not given back. */
static int discard(RAMBlock *block, uint64_t start, uint64_t size, bool private)
{
    if (private) {
        return ram_block_discard_guest_memfd_range(block, start, size);
    }
    if (qemu_ram_pagesize(block) != qemu_real_host_page_size()) {
        return 0;
    }
    return ram_block_discard_range(block, start, size);
}

bool realm_kvm_discard(uint64_t base, uint64_t size, bool private,
                       Error **errp)
{
    MemoryRegionSection section;
    int ret = -ENOENT;

    if (find_ram(base, size, &section)) {
        ret = discard(section.mr->ram_block, section.offset_within_region,
                      size, private);
        memory_region_unref(section.mr);
    }
    if (ret) {
        error_setg_errno(errp, -ret, "Realm: cannot give back the %s memory "
                         "of 0x%" PRIx64 " bytes at 0x%" PRIx64,
                         private ? "private" : "shared", size, base);
    }
    return !ret;
}

void realm_kvm_shared_written(uint64_t base, uint64_t size)
{
    MemoryRegionSection section;

    if (find_ram(base, size, &section)) {
        memory_region_set_dirty(section.mr, section.offset_within_region,
                                size);
        memory_region_unref(section.mr);
    }
}

bool realm_kvm_boot_registers(CPUState *cs, uint64_t x[8], uint64_t *pc)
{
    CPUARMState *env = &ARM_CPU(cs)->env;

    if (cs->start_powered_off) {
        return false;
    }
    memcpy(x, env->xregs, 8 * sizeof(*x));
    *pc = env->pc;
    return true;
}

/* The "ram" section cannot be told that this failed but by the migration. */
static void log_sync_global(MemoryListener *listener, bool last_stage)
{
    Error *err = NULL;

    if (!realm_kvm_sync_shared(&err)) {
        migrate_set_error(migrate_get_current(), err);
        qemu_file_set_error(migrate_get_current()->to_dst_file, -EIO);
        error_report_err(err);
    }
}

void realm_kvm_watch_shared(void)
{
    static MemoryListener listener = {
        .name = "realm-kvm",
        .log_sync_global = log_sync_global,
    };

    memory_listener_register(&listener, &address_space_memory);
}
