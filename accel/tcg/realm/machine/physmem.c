/*
 * Realms under TCG: physical memory
 *
 * Purpose: private RAM and its tags, which only CPUs see; and the granules
 * that hold the RMM's tables and descriptors, which nobody sees.
 *
 *     PA                          what
 *     ram_base .. + ram_size      private RAM: granules of pages
 *     REALM_EXTRA_BASE ..         granules of tables, RD, RECs
 *     all else                    Non-secure: what the host has there
 *
 * Private RAM is the machine's memory at its end, made as the user wants that
 * (backing.c), and before it, if firmware is in RAM, the place for that.
 *
 * Until RAM is protected no CPU runs, and what the loader writes "for the
 * CPU" goes to the board's RAM.
 *
 * Invariants: neither private RAM nor its tags are in an address space other
 * than the CPUs', nor are they migratable RAM blocks.
 *
 * Lock rule: set up once under the BQL and constant after that.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/madvise.h"
#include "exec/ram_addr.h"
#include "exec/address-spaces.h"
#include "exec/exec-all.h"
#include "hw/boards.h"
#include "system/hostmem.h"
#include "backing.h"
#include "physmem.h"

/* Two 4-bit tags a byte for every 16 bytes: memory is 32 times its tags. */
#define TAG_SHIFT       5

/* One piece of private RAM. */
typedef struct Part {
    uint64_t base, size;
    uint8_t *host;
    RAMBlock *block;
    bool fixed;                 /* what backs it was set aside for good */
} Part;

static struct {
    RealmMachineConfig config;
    Part parts[2];              /* RAM first: most accesses go there */
    unsigned num_parts;
    MemoryRegion root, firmware, board, loader;
    MemoryRegion tag_root, tags, board_tags;
    uint8_t *tags_host;         /* NULL without MTE */
    uint8_t *extra;
} mem;

/* The granule at @pa is in [@base, @base + @size). */
static bool is_in(uint64_t pa, uint64_t base, uint64_t size)
{
    return pa >= base && RMM_GRANULE_SIZE <= size &&
           pa - base <= size - RMM_GRANULE_SIZE;
}

static const Part *part_of(uint64_t pa)
{
    for (const Part *p = mem.parts; p < mem.parts + mem.num_parts; p++) {
        if (is_in(pa, p->base, p->size)) {
            return p;
        }
    }
    return NULL;
}

void *realm_physmem_granule(void *opaque, uint64_t pa)
{
    const RealmMachineConfig *config = &mem.config;
    const Part *part = part_of(pa);

    if (part) {
        return part->host + (pa - part->base);
    }
    if (is_in(pa, REALM_EXTRA_BASE, config->extra_size)) {
        return mem.extra + (pa - REALM_EXTRA_BASE);
    }
    return NULL;
}

/* Without overflow, whatever @pa is. */
static bool overlaps(uint64_t pa, size_t len, uint64_t base, uint64_t size)
{
    return pa < base ? len > base - pa : pa - base < size;
}

bool realm_physmem_has(uint64_t pa, size_t len)
{
    const RealmMachineConfig *config = &mem.config;

    return overlaps(pa, len, config->ram_base, config->ram_size) ||
           overlaps(pa, len, REALM_EXTRA_BASE, config->extra_size);
}

uint8_t *realm_physmem_granule_tags(void *opaque, uint64_t pa)
{
    const RealmMachineConfig *config = &mem.config;

    if (!mem.tags_host || !is_in(pa, config->ram_base, config->ram_size)) {
        return NULL;
    }
    return mem.tags_host + ((pa - config->ram_base) >> TAG_SHIFT);
}

static void forget_code(const Part *part, uint64_t base, uint64_t size)
{
    ram_addr_t start = qemu_ram_get_offset(part->block) + (base - part->base);

    tb_invalidate_phys_range(start, start + size - 1);
}

/* @pa need not be the beginning of a granule, but @len ends with it. */
void realm_physmem_granule_written(void *opaque, uint64_t pa, size_t len)
{
    const Part *part = part_of(ROUND_DOWN(pa, RMM_GRANULE_SIZE));

    if (part) {
        forget_code(part, pa, len);
    }
}

void realm_physmem_discard(uint64_t base, uint64_t top)
{
    for (const Part *p = mem.parts; p < mem.parts + mem.num_parts; p++) {
        uint64_t start = MAX(base, p->base);
        uint64_t end = MIN(top, p->base + p->size);

        if (start >= end) {
            continue;
        }
        forget_code(p, start, end - start);
        if (!p->fixed && !ram_block_discard_is_disabled()) {
            ram_block_discard_range(p->block, start - p->base, end - start);
        }
    }
}

/* With huge pages too: the kernel extends the range to whole ones. */
int realm_physmem_populate(uint64_t base, uint64_t top)
{
    const Part *part = part_of(base);
    uint8_t *host = part->host + (base - part->base);

    assert(top <= part->base + part->size);
    if (!qemu_madvise(host, top - base, QEMU_MADV_POPULATE_WRITE)) {
        return 0;
    }
    return errno == EINVAL ? 0 : -errno;    /* EINVAL: an old kernel */
}

size_t realm_physmem_page_size(uint64_t pa)
{
    return qemu_ram_pagesize(part_of(pa)->block);
}

void realm_physmem_protect(bool on)
{
    memory_region_set_enabled(&mem.loader, !on);
}

bool realm_physmem_is_protected(void)
{
    return !mem.loader.enabled;
}

MemoryRegion *realm_physmem_root(void)
{
    return &mem.root;
}

MemoryRegion *realm_physmem_tag_root(MemoryRegion *board_tags)
{
    hwaddr upper = BIT_ULL(mem.config.ipa_bits - 1) >> TAG_SHIFT;

    if (!memory_region_is_mapped(&mem.board_tags)) {
        memory_region_init_alias(&mem.board_tags, OBJECT(current_machine),
                                 "realm-shared-tags", board_tags, 0, upper);
        memory_region_add_subregion(&mem.tag_root, upper, &mem.board_tags);
    }
    return &mem.tag_root;
}

/* Small memory that only the Realm has: as it is by default, mostly. */
static uint8_t *alloc_private(MemoryRegion *mr, const char *name,
                              uint64_t size, Error **errp)
{
    const HostMemoryBackend *backend = current_machine->memdev;
    uint32_t flags = RAM_PRIVATE | (backend->reserve ? 0 : RAM_NORESERVE);
    void *host;

    if (!memory_region_init_ram_flags_nomigrate(mr, OBJECT(current_machine),
                                                name, size, flags, errp)) {
        return NULL;
    }
    host = memory_region_get_ram_ptr(mr);
    qemu_madvise(host, size, backend->merge ? QEMU_MADV_MERGEABLE
                                            : QEMU_MADV_UNMERGEABLE);
    if (!backend->dump) {
        qemu_madvise(host, size, QEMU_MADV_DONTDUMP);
    }
    return host;
}

static void add_part(MemoryRegion *mr, uint64_t base, bool fixed)
{
    mem.parts[mem.num_parts++] = (Part) {
        .base = base,
        .size = memory_region_size(mr),
        .host = memory_region_get_ram_ptr(mr),
        .block = mr->ram_block,
        .fixed = fixed,
    };
    memory_region_add_subregion(&mem.root, base, mr);
}

static bool add_ram(uint64_t base, uint64_t size, Error **errp)
{
    HostMemoryBackend *backing = realm_backing_new("realm-private", size,
                                                   errp);

    if (!backing) {
        return false;
    }
    add_part(host_memory_backend_get_memory(backing), base,
             backing->prealloc || host_memory_backend_pagesize(backing) !=
                                  qemu_real_host_page_size());
    return true;
}

static bool add_firmware(uint64_t base, uint64_t size, Error **errp)
{
    if (!alloc_private(&mem.firmware, "realm-private-firmware", size, errp)) {
        return false;
    }
    add_part(&mem.firmware, base, false);
    return true;
}

static bool init_ram(const RealmMachineConfig *config, Error **errp)
{
    Object *owner = OBJECT(current_machine);
    hwaddr upper = BIT_ULL(config->ipa_bits - 1);
    uint64_t size = current_machine->ram_size;
    uint64_t before = config->ram_size - size;

    memory_region_init(&mem.root, owner, "realm", 2 * upper);
    if (!add_ram(config->ram_base + before, size, errp) ||
        (before && !add_firmware(config->ram_base, before, errp))) {
        return false;
    }
    memory_region_init_alias(&mem.board, owner, "realm-shared",
                             get_system_memory(), 0, upper);
    memory_region_add_subregion(&mem.root, upper, &mem.board);

    /* The loader writes through a CPU's address space. */
    memory_region_init_alias(&mem.loader, owner, "realm-loader",
                             get_system_memory(), 0, upper);
    memory_region_add_subregion_overlap(&mem.root, 0, &mem.loader, 1);
    return true;
}

static bool init_tags(const RealmMachineConfig *config, Error **errp)
{
    Object *owner = OBJECT(current_machine);

    memory_region_init(&mem.tag_root, owner, "realm-tags", UINT64_MAX / 32);
    mem.tags_host = alloc_private(&mem.tags, "realm-private-tags",
                                  config->ram_size >> TAG_SHIFT, errp);
    if (!mem.tags_host) {
        return false;
    }
    memory_region_add_subregion(&mem.tag_root, config->ram_base >> TAG_SHIFT,
                                &mem.tags);
    return true;
}

/* Reserved only: what is not used takes no memory. */
static bool init_extra(const RealmMachineConfig *config, Error **errp)
{
    mem.extra = qemu_anon_ram_alloc(config->extra_size, NULL, false, true);
    if (!mem.extra) {
        error_setg(errp, "rme-guest: no %" PRIu64 " bytes of memory for the "
                   "Realm's tables; use less memory", config->extra_size);
        return false;
    }
    return true;
}

bool realm_physmem_init(const RealmMachineConfig *config, Error **errp)
{
    mem.config = *config;
    return init_ram(config, errp) &&
           (!config->mte || init_tags(config, errp)) &&
           init_extra(config, errp);
}
