/*
 * The KVM backend for Realms: memory and vCPUs of the board
 *
 * Purpose: find the shared mapping of RAM, give back what backs RAM, and get
 * the registers with which a vCPU starts.  These need all of QEMU; a test on
 * another host has functions of its own for them.
 *
 * Lock rule: any thread may call realm_kvm_shared, realm_kvm_lend and
 * realm_kvm_discard; the others need the BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "exec/ram_addr.h"
#include "system/realm-shared-ram.h"
#include "target/arm/cpu.h"
#include "target/arm/realm/shared.h"
#include "realm-kvm.h"

void *realm_kvm_shared(uint64_t base, uint64_t size)
{
    return realm_shared_ram(base, size);
}

bool realm_kvm_lend(uint64_t base, uint64_t size, Error **errp)
{
    return realm_shared_lend(base, size, errp);
}

static bool discard_private(uint64_t base, uint64_t size, Error **errp)
{
    MemoryRegionSection section;
    int ret = -ENOENT;

    if (realm_shared_find(base, size, &section)) {
        ret = ram_block_discard_guest_memfd_range(section.mr->ram_block,
                                                  section.offset_within_region,
                                                  size);
        memory_region_unref(section.mr);
    }
    if (ret) {
        error_setg_errno(errp, -ret, "Realm: cannot give back the private "
                         "memory of 0x%" PRIx64 " bytes at 0x%" PRIx64, size,
                         base);
    }
    return !ret;
}

bool realm_kvm_discard(uint64_t base, uint64_t size, bool private,
                       Error **errp)
{
    return (private ? discard_private : realm_shared_discard)(base, size, errp);
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
