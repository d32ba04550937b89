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
static int give_back(RAMBlock *block, uint64_t offset, uint64_t size)
{
    int ret = 0;

    if (qemu_ram_pagesize(block) == qemu_real_host_page_size() &&
        !ram_block_coordinated_discard_require(true)) {
        ret = ram_block_discard_range(block, offset, size);
        ram_block_coordinated_discard_require(false);
    }
    return ret;
}

int realm_shared_discard(uint64_t base, uint64_t size)
{
    MemoryRegionSection section;
    int ret;

    if (!realm_shared_find(base, size, &section)) {
        return -ENOENT;
    }
    ret = give_back(section.mr->ram_block, section.offset_within_region, size);
    if (!ret) {
        realm_shared_ram_return(section.mr, section.offset_within_region,
                                size);
    }
    memory_region_unref(section.mr);
    return ret;
}
