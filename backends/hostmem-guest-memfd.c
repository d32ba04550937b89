/*
 * Memory backend: RAM that is a guest_memfd of KVM's
 *
 * Purpose: -object memory-backend-guest-memfd.  The kernel is asked for a
 * guest_memfd that can be mapped and all of which is shared at first.  QEMU's
 * mapping of RAM is that of the file, and KVM's memory slots have the same
 * file, so there is no second memory for the private half of a guest.
 *
 * Invariants: RAMBlock.fd and RAMBlock.guest_memfd are one file; each is closed
 * with the block.  RAM_GUEST_MEMFD is not among the block's flags, or QEMU
 * would make a guest_memfd of its own for it.
 *
 * Lock rule: BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <linux/kvm.h>
#include <linux/kvm-arm-cca.h>
#include "qapi/error.h"
#include "exec/ramblock.h"
#include "migration/blocker.h"
#include "system/hostmem.h"
#include "system/hostmem-guest-memfd.h"
#include "system/kvm.h"

#define NAME TYPE_MEMORY_BACKEND_GUEST_MEMFD ": "

static bool check_options(const HostMemoryBackend *backend, Error **errp)
{
    if (!backend->share) {
        error_setg(errp, NAME "the kernel has a part in this memory; leave "
                   "share=off out");
    } else if (!kvm_enabled()) {
        error_setg(errp, NAME "only KVM makes such memory; use -accel kvm, or "
                   "another memory backend");
    } else {
        return true;
    }
    return false;
}

/*
 * KVM's slots take the file from the block.  QEMU counts blocks with such a
 * file among those that need discards, and stops counting when it frees one.
 */
static bool give_to_slots(RAMBlock *block, Error **errp)
{
    int ret = ram_block_discard_require(true);

    if (ret) {
        error_setg_errno(errp, -ret, NAME "a device has pinned all memory for "
                         "good; leave out what VFIO assigns");
        return false;
    }
    block->guest_memfd = qemu_dup(block->fd);
    if (block->guest_memfd < 0) {
        error_setg_errno(errp, errno, NAME "cannot have a second descriptor");
        ram_block_discard_require(false);
        return false;
    }
    error_setg(&block->cpr_blocker, NAME "another VM cannot have this memory, "
               "so there is no CPR; use mode normal");
    return !migrate_add_blocker_modes(&block->cpr_blocker, errp,
                                      MIG_MODE_CPR_TRANSFER, -1);
}

static bool alloc(HostMemoryBackend *backend, Error **errp)
{
    ERRP_GUARD();
    g_autofree char *name = host_memory_backend_get_name(backend);
    uint32_t ram_flags = RAM_SHARED | (backend->reserve ? 0 : RAM_NORESERVE);
    uint64_t size = ROUND_UP(backend->size, qemu_real_host_page_size());
    int fd;

    if (!check_options(backend, errp)) {
        return false;
    }
    fd = kvm_create_guest_memfd(size, GUEST_MEMFD_FLAG_MMAP |
                                GUEST_MEMFD_FLAG_INIT_SHARED, errp);
    if (fd < 0) {
        error_prepend(errp, NAME "there is no guest_memfd that can be mapped; "
                      "use another memory backend: ");
        return false;
    }
    if (!memory_region_init_ram_from_fd(&backend->mr, OBJECT(backend), name,
                                        backend->size, ram_flags, fd, 0,
                                        errp)) {
        close(fd);
        return false;
    }
    return give_to_slots(backend->mr.ram_block, errp);
}

static void init(Object *obj)
{
    MEMORY_BACKEND(obj)->share = true;
}

static void class_init(ObjectClass *oc, void *data)
{
    MEMORY_BACKEND_CLASS(oc)->alloc = alloc;
}

static const TypeInfo types[] = {
    {
        .name = TYPE_MEMORY_BACKEND_GUEST_MEMFD,
        .parent = TYPE_MEMORY_BACKEND,
        .instance_init = init,
        .class_init = class_init,
    },
};

DEFINE_TYPES(types)
