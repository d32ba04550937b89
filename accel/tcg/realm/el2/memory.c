/*
 * A host at EL2: physical memory (see memory.h)
 *
 * Invariants: what is at EL2_PRIVATE_BASE is in no address space but the
 * CPUs', nor is it a migratable RAM block.
 *
 * Lock rule: set up once under the BQL and constant after that, but for the
 * byte of a granule, which changes with the granule locked.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "exec/address-spaces.h"
#include "hw/boards.h"
#include "memory.h"
#include "target/arm/rmm/rmm.h"
#include "tlb.h"

static struct {
    uint64_t base, size;        /* of RAM */
    MemoryRegion root, board, private;
    uint8_t *ram_host;
    uint8_t *private_host;
    uint8_t *delegated;         /* one byte a granule */
} mem;

static bool is_ram(uint64_t pa, size_t len)
{
    return pa >= mem.base && len <= mem.size && pa - mem.base <= mem.size - len;
}

void *el2_memory_granule(void *opaque, uint64_t pa)
{
    return is_ram(pa, RMM_GRANULE_SIZE) ? mem.private_host + (pa - mem.base)
                                        : NULL;
}

void *el2_memory_ns(void *opaque, uint64_t pa, size_t len)
{
    return is_ram(pa, len) ? mem.ram_host + (pa - mem.base) : NULL;
}

bool el2_memory_is_delegated(uint64_t pa)
{
    return is_ram(pa, 1) &&
           qatomic_read(&mem.delegated[(pa - mem.base) >> RMM_GRANULE_SHIFT]);
}

void el2_memory_set_pas(void *opaque, uint64_t pa, bool realm)
{
    uint64_t offset = pa - mem.base;

    qatomic_set(&mem.delegated[offset >> RMM_GRANULE_SHIFT], realm);
    memset(mem.ram_host + offset, 0, RMM_GRANULE_SIZE);
    if (realm) {
        el2_tlb_delegated(pa);
    }
}

void el2_memory_reset(void)
{
    memset(mem.delegated, 0, mem.size >> RMM_GRANULE_SHIFT);
}

MemoryRegion *el2_memory_root(void)
{
    return &mem.root;
}

bool el2_memory_init(const RealmEl2Config *config, Error **errp)
{
    Object *owner = OBJECT(current_machine);

    mem.base = config->ram_base;
    mem.size = memory_region_size(config->ram);
    mem.ram_host = memory_region_get_ram_ptr(config->ram);
    if (!memory_region_init_ram_flags_nomigrate(&mem.private, owner,
                                                "rmm-private", mem.size,
                                                RAM_PRIVATE | RAM_NORESERVE,
                                                errp)) {
        return false;
    }
    mem.private_host = memory_region_get_ram_ptr(&mem.private);
    mem.delegated = g_malloc0(mem.size >> RMM_GRANULE_SHIFT);
    memory_region_init(&mem.root, owner, "rmm", UINT64_MAX);
    memory_region_init_alias(&mem.board, owner, "rmm-board",
                             get_system_memory(), 0, EL2_PRIVATE_BASE);
    memory_region_add_subregion(&mem.root, 0, &mem.board);
    memory_region_add_subregion(&mem.root, EL2_PRIVATE_BASE + mem.base,
                                &mem.private);
    return true;
}
