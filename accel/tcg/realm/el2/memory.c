/*
 * A host at EL2: physical memory (see memory.h)
 *
 * Invariants:
 * - What is at EL2_PRIVATE_BASE is in no address space but the CPUs', nor is it
 *   a migratable RAM block.
 * - What the board has in place of a delegated granule is zeros, but for what
 *   came late (DMA, or a PE that has not flushed yet): so it is wiped once more
 *   before it is the host's again.
 * - Who writes through a host pointer drops the code that TCG made of it.
 *
 * Lock rule: set up once under the BQL and constant after that, but for the
 * byte of a granule, which changes with the granule locked.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/cutils.h"
#include "exec/address-spaces.h"
#include "exec/exec-all.h"
#include "exec/ram_addr.h"
#include "exec/tb-flush.h"
#include "hw/boards.h"
#include "memory.h"
#include "target/arm/rmm/rmm.h"
#include "tlb.h"

/* RAM is one block, or one for each NUMA node that has a backend. */
typedef struct RamPart {
    uint64_t offset, size;
    MemoryRegion *mr;
    uint8_t *host;
} RamPart;

static struct {
    uint64_t base, size;        /* of RAM */
    MemoryRegion root, board, private;
    GArray *parts;              /* of RamPart */
    uint8_t *private_host;
    uint8_t *delegated;         /* one byte a granule */
    bool used;                  /* since the last reset */
} mem;

static bool is_ram(uint64_t pa, size_t len)
{
    return pa >= mem.base && len <= mem.size && pa - mem.base <= mem.size - len;
}

/* The part that has all of it, or NULL. */
static const RamPart *find_part(uint64_t pa, size_t len)
{
    uint64_t offset = pa - mem.base;

    for (guint i = 0; is_ram(pa, len) && i < mem.parts->len; i++) {
        const RamPart *part = &g_array_index(mem.parts, RamPart, i);

        if (offset >= part->offset && len <= part->size &&
            offset - part->offset <= part->size - len) {
            return part;
        }
    }
    return NULL;
}

/*
 * @len bytes at @offset were written: drop code, and tell those who log writes
 * (a framebuffer may be anywhere).  As a rule there is nothing to do.
 */
static void written(MemoryRegion *mr, uint64_t offset, size_t len)
{
    ram_addr_t addr = memory_region_get_ram_addr(mr) + offset;
    uint8_t clean = cpu_physical_memory_range_includes_clean(
        addr, len, memory_region_get_dirty_log_mask(mr));

    if (clean & BIT(DIRTY_MEMORY_CODE)) {
        tb_invalidate_phys_range(addr, addr + len - 1);
        clean &= ~BIT(DIRTY_MEMORY_CODE);
    }
    cpu_physical_memory_set_dirty_range(addr, len, clean);
}

void *el2_memory_granule(void *opaque, uint64_t pa)
{
    return is_ram(pa, RMM_GRANULE_SIZE) ? mem.private_host + (pa - mem.base)
                                        : NULL;
}

void *el2_memory_ns(void *opaque, uint64_t pa, size_t len)
{
    const RamPart *part = find_part(pa, len);

    return part ? part->host + (pa - mem.base - part->offset) : NULL;
}

void el2_memory_ns_written(void *opaque, uint64_t pa, size_t len)
{
    const RamPart *part = find_part(pa, len);

    written(part->mr, pa - mem.base - part->offset, len);
}

void el2_memory_granule_written(void *opaque, uint64_t pa, size_t len)
{
    written(&mem.private, pa - mem.base, len);
}

void el2_memory_forget_code(uint64_t pa)
{
    el2_memory_granule_written(NULL, pa, RMM_GRANULE_SIZE);
}

bool el2_memory_is_delegated(uint64_t pa)
{
    return is_ram(pa, 1) &&
           qatomic_read(&mem.delegated[(pa - mem.base) >> RMM_GRANULE_SHIFT]);
}

/* Memory that was never written need not be allocated: only read it. */
static void wipe_hosts(uint64_t pa)
{
    void *p = el2_memory_ns(NULL, pa, RMM_GRANULE_SIZE);

    if (!buffer_is_zero(p, RMM_GRANULE_SIZE)) {
        memset(p, 0, RMM_GRANULE_SIZE);
        el2_memory_ns_written(NULL, pa, RMM_GRANULE_SIZE);
    }
}

void el2_memory_set_pas(void *opaque, uint64_t pa, bool realm)
{
    uint8_t *delegated = &mem.delegated[(pa - mem.base) >> RMM_GRANULE_SHIFT];

    if (realm) {
        qatomic_set(&mem.used, true);
        qatomic_set(delegated, true);
        el2_tlb_delegated(pa);
        wipe_hosts(pa);
    } else {
        wipe_hosts(pa);
        qatomic_store_release(delegated, false);
    }
}

/* What a Realm had there is given back, and so are the code and the pages. */
static void wipe_private(void)
{
    if (ram_block_discard_range(mem.private.ram_block, 0, mem.size)) {
        memset(mem.private_host, 0, mem.size);
    }
    tb_flush(first_cpu);
}

void el2_memory_reset(void)
{
    if (mem.used) {
        wipe_private();
        memset(mem.delegated, 0, mem.size >> RMM_GRANULE_SHIFT);
        mem.used = false;
    }
}

MemoryRegion *el2_memory_root(void)
{
    return &mem.root;
}

static bool add_part(MemoryRegion *mr, uint64_t offset, Error **errp)
{
    RamPart part = { offset, memory_region_size(mr), mr };

    if (!memory_region_is_ram(mr) || mr->readonly ||
        !QEMU_IS_ALIGNED(offset | part.size, RMM_GRANULE_SIZE)) {
        error_setg(errp, "rmm=on: memory '%s' at offset 0x%" PRIx64 " of 0x%"
                   PRIx64 " bytes is not RAM in pages of 4 KiB; use another "
                   "memory backend", memory_region_name(mr), offset, part.size);
        return false;
    }
    part.host = memory_region_get_ram_ptr(mr);
    g_array_append_val(mem.parts, part);
    return true;
}

/* With memory backends of NUMA nodes, the board's RAM only contains RAM. */
static bool find_parts(MemoryRegion *ram, Error **errp)
{
    MemoryRegion *sub;

    mem.parts = g_array_new(false, false, sizeof(RamPart));
    if (memory_region_is_ram(ram)) {
        return add_part(ram, 0, errp);
    }
    QTAILQ_FOREACH(sub, &ram->subregions, subregions_link) {
        if (!add_part(sub, sub->addr, errp)) {
            return false;
        }
    }
    return true;
}

bool el2_memory_init(const RealmEl2Config *config, Error **errp)
{
    Object *owner = OBJECT(current_machine);

    mem.base = config->ram_base;
    mem.size = memory_region_size(config->ram);
    if (!find_parts(config->ram, errp) ||
        !memory_region_init_ram_flags_nomigrate(&mem.private, owner,
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
