/*
 * The TCG backend for Realms: physical memory
 *
 * Purpose: private RAM and its tags, which only CPUs see; the granules that
 * hold the RMM's tables and descriptors, which nobody sees; and windows
 * through which the RMM reads and writes the host's buffers.
 *
 *     PA                          what
 *     ram_base .. + ram_size      private RAM: granules of pages
 *     TABLES   ..                 granules of tables, RD, RECs
 *     NS_PAGES ..                 Non-secure: run pages, one for each vCPU
 *     WINDOWS + n * 2^36          Non-secure: a buffer of the calling thread
 *
 * Until the Realm is built no CPU runs, and what the loader writes "for the
 * CPU" goes to shared RAM, from where it is measured into private RAM.
 *
 * Invariants: neither private RAM nor its tags are in an address space other
 * than the CPUs', nor are they migratable RAM blocks.
 *
 * Lock rule: set up once under the BQL and constant after that; the
 * allocator is under RealmTcg.mmu_lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/guest-random.h"
#include "qemu/madvise.h"
#include "qemu/memalign.h"
#include "qemu/units.h"
#include "exec/ram_addr.h"
#include "exec/address-spaces.h"
#include "exec/exec-all.h"
#include "hw/boards.h"
#include "system/hostmem.h"
#include "target/arm/realm/shared.h"
#include "realm-tcg.h"
#include "trace.h"

#define TABLES_BASE     BIT_ULL(44)
#define NS_PAGES_BASE   BIT_ULL(45)
#define WINDOWS_BASE    BIT_ULL(46)
#define WINDOW_SHIFT    36
#define NUM_WINDOWS     4

/* Two 4-bit tags a byte for every 16 bytes: memory is 32 times its tags. */
#define TAG_SHIFT       5

static struct {
    const RealmConfig *config;
    MemoryRegion root, ram, shared, loader;
    MemoryRegion tag_root, tags, shared_tags;
    uint8_t *ram_host;
    uint8_t *tags_host;         /* NULL without MTE */
    uint8_t *tables;
    size_t tables_size, tables_used;
    uint8_t *ns_pages;
} mem;

static __thread struct {
    uint8_t *host;
    size_t size;
} windows[NUM_WINDOWS];

static bool in_range(uint64_t pa, size_t len, uint64_t base, uint64_t size)
{
    return pa >= base && len <= size && pa - base <= size - len;
}

static void *granule(void *opaque, uint64_t pa)
{
    const RealmConfig *config = mem.config;

    if (in_range(pa, REALM_PAGE_SIZE, config->ram_base, config->ram_size)) {
        return mem.ram_host + (pa - config->ram_base);
    }
    if (in_range(pa, REALM_PAGE_SIZE, TABLES_BASE, mem.tables_size)) {
        return mem.tables + (pa - TABLES_BASE);
    }
    return NULL;
}

static uint8_t *granule_tags(void *opaque, uint64_t pa)
{
    const RealmConfig *config = mem.config;

    if (!mem.tags_host ||
        !in_range(pa, REALM_PAGE_SIZE, config->ram_base, config->ram_size)) {
        return NULL;
    }
    return mem.tags_host + ((pa - config->ram_base) >> TAG_SHIFT);
}

static void *ns(void *opaque, uint64_t pa, size_t len)
{
    unsigned window = (pa - WINDOWS_BASE) >> WINDOW_SHIFT;
    uint64_t offset = extract64(pa, 0, WINDOW_SHIFT);

    if (in_range(pa, len, NS_PAGES_BASE,
                 (uint64_t)mem.config->num_cpus * REALM_PAGE_SIZE)) {
        return mem.ns_pages + (pa - NS_PAGES_BASE);
    }
    if (pa >= WINDOWS_BASE && window < NUM_WINDOWS &&
        in_range(offset, len, 0, windows[window].size)) {
        return windows[window].host + offset;
    }
    return NULL;
}

/* Translations that this thread made invalid may still be in TLBs. */
static __thread bool flush_due;

static void tlb_invalidate(void *opaque, uint16_t vmid, uint64_t base,
                           uint64_t top)
{
    flush_due = true;
}

/* A Realm that is not built has no vCPU that could have cached anything. */
static void tlb_sync(void *opaque)
{
    if (flush_due && realm_phase_exists(qatomic_read(&realm_tcg.phase))) {
        realm_cpu_flush_all();
    }
    flush_due = false;
}

static void random_bytes(void *opaque, void *buf, size_t len)
{
    qemu_guest_getrandom_nofail(buf, len);
}

static void log_call(void *opaque, const RmmLog *entry)
{
    g_autoptr(GString) inputs = NULL;
    unsigned i;

    if (!trace_event_get_state_backends(TRACE_REALM_RMM_CALL)) {
        return;
    }
    inputs = g_string_new(NULL);
    for (i = 0; i < entry->num_inputs; i++) {
        g_string_append_printf(inputs, " 0x%" PRIx64, entry->inputs[i]);
    }
    trace_realm_rmm_call(entry->interface, entry->call, inputs->str,
                         entry->switched ? "switched" : "returned",
                         entry->result);
}

const RmmOps *realm_memory_ops(void)
{
    static const RmmOps ops = {
        .granule = granule,
        .granule_tags = granule_tags,
        .ns = ns,
        .tlb_invalidate = tlb_invalidate,
        .tlb_sync = tlb_sync,
        .random = random_bytes,
        .context_save = realm_context_save,
        .context_load = realm_context_load,
        .key = realm_key,
        .log = log_call,
        /*
         * No interrupt_pending: what interrupts a vCPU here is another
         * thread's kick, which takes effect behind the call in any case.
         * CPU_INTERRUPT_HARD is the Realm's own interrupt, and one that the
         * Realm masks would stay pending and end its token calls for ever.
         */
    };

    return &ops;
}

void realm_host_call(RmmPe *pe)
{
    rmm_call(realm_tcg.rmm, pe);
}

uint64_t realm_memory_window(unsigned window, const void *host, size_t size)
{
    assert(window < NUM_WINDOWS && size < BIT_ULL(WINDOW_SHIFT));
    windows[window].host = (uint8_t *)host;
    windows[window].size = size;
    return WINDOWS_BASE + ((uint64_t)window << WINDOW_SHIFT);
}

uint64_t realm_memory_alloc(unsigned count)
{
    size_t size = (size_t)count * REALM_PAGE_SIZE;
    size_t start = ROUND_UP(mem.tables_used, size);

    /* Room for every table the Realm can have was set aside. */
    assert(is_power_of_2(count) && start + size <= mem.tables_size);
    mem.tables_used = start + size;
    return TABLES_BASE + start;
}

void *realm_memory_ns_page(unsigned n, uint64_t *pa)
{
    assert(n < mem.config->num_cpus);
    *pa = NS_PAGES_BASE + (uint64_t)n * REALM_PAGE_SIZE;
    return mem.ns_pages + (size_t)n * REALM_PAGE_SIZE;
}

static void discard(RAMBlock *block, uint64_t base, uint64_t top)
{
    const RealmConfig *config = mem.config;
    uint64_t start = MAX(base, config->ram_base);
    uint64_t end = MIN(top, config->ram_base + config->ram_size);

    if (start < end && qemu_ram_pagesize(block) == REALM_PAGE_SIZE &&
        !ram_block_discard_is_disabled()) {
        ram_block_discard_range(block, start - config->ram_base, end - start);
    }
}

/* Where the board has RAM; what is between its ranges backs nothing. */
void realm_memory_discard_shared(uint64_t base, uint64_t top)
{
    const GArray *ram = realm_tcg.layout.ram;

    for (guint i = 0; i < ram->len; i++) {
        uint64_t start = MAX(base, realm_range(ram, i).base);
        uint64_t end = MIN(top, realm_range(ram, i).top);

        if (start < end) {
            realm_shared_discard(start, end - start);
        }
    }
}

/* Code that was translated from there must not run again. */
void realm_memory_discard_private(uint64_t base, uint64_t top)
{
    ram_addr_t start = memory_region_get_ram_addr(&mem.ram) +
                       (base - mem.config->ram_base);

    tb_invalidate_phys_range(start, start + (top - base) - 1);
    discard(mem.ram.ram_block, base, top);
}

void realm_memory_protect(void)
{
    memory_region_set_enabled(&mem.loader, false);
}

MemoryRegion *realm_memory_root(void)
{
    return &mem.root;
}

MemoryRegion *realm_memory_tag_root(MemoryRegion *shared_tags)
{
    hwaddr shared = BIT_ULL(mem.config->ipa_bits - 1) >> TAG_SHIFT;

    if (!memory_region_is_mapped(&mem.shared_tags)) {
        memory_region_init_alias(&mem.shared_tags, OBJECT(current_machine),
                                 "realm-shared-tags", shared_tags, 0, shared);
        memory_region_add_subregion(&mem.tag_root, shared, &mem.shared_tags);
    }
    return &mem.tag_root;
}

/*
 * Memory that only the Realm has.  What the machine's memory backend says of
 * the shared RAM holds for it as well, but it is never shared.
 */
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

static bool init_ram(const RealmConfig *config, Error **errp)
{
    Object *owner = OBJECT(current_machine);
    hwaddr shared = BIT_ULL(config->ipa_bits - 1);

    memory_region_init(&mem.root, owner, "realm", 2 * shared);
    mem.ram_host = alloc_private(&mem.ram, "realm-private", config->ram_size,
                                 errp);
    if (!mem.ram_host) {
        return false;
    }
    memory_region_add_subregion(&mem.root, config->ram_base, &mem.ram);
    memory_region_init_alias(&mem.shared, owner, "realm-shared",
                             get_system_memory(), 0, shared);
    memory_region_add_subregion(&mem.root, shared, &mem.shared);

    /* The loader writes through a CPU's address space. */
    memory_region_init_alias(&mem.loader, owner, "realm-loader",
                             get_system_memory(), 0, shared);
    memory_region_add_subregion_overlap(&mem.root, 0, &mem.loader, 1);
    return true;
}

static bool init_tags(const RealmConfig *config, Error **errp)
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

/* For each half: a table for every 2 MiB of RAM, GiB and 512 GiB. */
static uint64_t most_tables(const RealmConfig *config)
{
    uint64_t size = config->ram_size;

    return 2 * (size / (2 * MiB) + size / GiB + size / (512 * GiB) + 3);
}

/*
 * Beside them the start tables (at most 16, aligned), and for every vCPU a
 * REC; rounded up generously, since memory that is not used is not there.
 */
static bool init_tables(const RealmConfig *config, Error **errp)
{
    uint64_t granules = most_tables(config) + 128 +
                        32 * (uint64_t)config->num_cpus;

    mem.tables_size = granules * REALM_PAGE_SIZE;
    mem.tables = qemu_anon_ram_alloc(mem.tables_size, NULL, false, true);
    if (!mem.tables) {
        error_setg(errp, "rme-guest: no %zu bytes of memory for the Realm's "
                   "tables; use less memory", mem.tables_size);
        return false;
    }
    mem.ns_pages = qemu_memalign(REALM_PAGE_SIZE,
                                 config->num_cpus * REALM_PAGE_SIZE);
    memset(mem.ns_pages, 0, config->num_cpus * REALM_PAGE_SIZE);
    return true;
}

bool realm_memory_init(const RealmConfig *config, Error **errp)
{
    mem.config = config;
    return init_ram(config, errp) &&
           (!config->mte || init_tags(config, errp)) &&
           init_tables(config, errp);
}
