/*
 * The shared view of a Realm's RAM: the board's memory
 *
 * Purpose and lock rule: shared.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "exec/address-spaces.h"
#include "exec/ram_addr.h"
#include "exec/ramblock.h"
#include "system/realm-shared-ram.h"
#include "shared.h"

bool realm_shared_find(uint64_t base, uint64_t size,
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

void *realm_shared_ram(uint64_t base, uint64_t size)
{
    MemoryRegionSection section;
    uint8_t *host;

    if (!realm_shared_find(base, size, &section)) {
        return NULL;
    }
    host = memory_region_get_ram_ptr(section.mr);
    memory_region_unref(section.mr);
    return host + section.offset_within_region;
}

bool realm_shared_lend(uint64_t base, uint64_t size, Error **errp)
{
    MemoryRegionSection section;
    bool ok;

    if (!realm_shared_find(base, size, &section)) {
        error_setg(errp, "Realm: cannot lend it 0x%" PRIx64 " bytes at 0x%"
                   PRIx64 ", which are not one piece of RAM", size, base);
        return false;
    }
    ok = realm_shared_ram_lend(section.mr, section.offset_within_region, size,
                               errp);
    memory_region_unref(section.mr);
    return ok;
}

/*
 * VFIO maps only what is lent.  Others pin all memory for good, and forbid
 * any discard: then what is behind a page stays there.
 */
static bool give_back(MemoryRegion *mr, uint64_t offset, uint64_t size,
                      Error **errp)
{
    RAMBlock *block = mr->ram_block;
    int ret = 0;

    if (!realm_shared_ram_in_place(mr) &&
        qemu_ram_pagesize(block) == qemu_real_host_page_size() &&
        !ram_block_coordinated_discard_require(true)) {
        ret = ram_block_discard_range(block, offset, size);
        ram_block_coordinated_discard_require(false);
    }
    if (ret) {
        error_setg_errno(errp, -ret, "Realm: cannot give back the shared "
                         "memory of 0x%" PRIx64 " bytes at 0x%" PRIx64
                         " of '%s'", size, offset, memory_region_name(mr));
    }
    return !ret;
}

bool realm_shared_discard(uint64_t base, uint64_t size, Error **errp)
{
    MemoryRegionSection section;
    bool ok;

    if (!realm_shared_find(base, size, &section)) {
        error_setg(errp, "Realm: cannot take back from it 0x%" PRIx64
                   " bytes at 0x%" PRIx64 ", which are not one piece of RAM",
                   size, base);
        return false;
    }
    ok = give_back(section.mr, section.offset_within_region, size, errp) &&
         realm_shared_ram_return(section.mr, section.offset_within_region,
                                 size, errp);
    memory_region_unref(section.mr);
    return ok;
}
