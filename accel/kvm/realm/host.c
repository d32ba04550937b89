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
#include "migration/migration.h"
#include "migration/misc.h"
#include "migration/qemu-file.h"
#include "target/arm/cpu.h"
#include "target/arm/realm/shared.h"
#include "realm-kvm.h"

void *realm_kvm_shared(uint64_t base, uint64_t size)
{
    return realm_shared_ram(base, size);
}

static int discard_private(uint64_t base, uint64_t size)
{
    MemoryRegionSection section;
    int ret;

    if (!realm_shared_find(base, size, &section)) {
        return -ENOENT;
    }
    ret = ram_block_discard_guest_memfd_range(section.mr->ram_block,
                                              section.offset_within_region,
                                              size);
    memory_region_unref(section.mr);
    return ret;
}

bool realm_kvm_discard(uint64_t base, uint64_t size, bool private,
                       Error **errp)
{
    int ret = (private ? discard_private : realm_shared_discard)(base, size);

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

    if (realm_shared_find(base, size, &section)) {
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
