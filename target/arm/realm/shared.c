/*
 * The shared view of a Realm's RAM: the board's memory
 *
 * Purpose and lock rule: shared.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "exec/address-spaces.h"
#include "exec/ram_addr.h"
#include "exec/ramblock.h"
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

int realm_shared_discard(uint64_t base, uint64_t size)
{
    MemoryRegionSection section;
    RAMBlock *block;
    int ret = 0;

    if (!realm_shared_find(base, size, &section)) {
        return -ENOENT;
    }
    block = section.mr->ram_block;
    if (qemu_ram_pagesize(block) == qemu_real_host_page_size() &&
        !ram_block_discard_is_disabled()) {
        ret = ram_block_discard_range(block, section.offset_within_region,
                                      size);
    }
    memory_region_unref(section.mr);
    return ret;
}
