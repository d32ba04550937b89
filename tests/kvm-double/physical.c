/*
 * The stand-in kernel: physical memory (see internal.h for the map)
 *
 * Invariants: a granule is delegated only while it is used, so that a test can
 * count at its end what was not given back.
 *
 * Lock rule: Double.lock covers the allocator; windows belong to a thread.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <sys/mman.h>
#include "qemu/bitmap.h"
#include "qemu/lockable.h"
#include "target/arm/rmm/tests/test-keys.h"
#include "internal.h"

#define POOL_BASE       BIT_ULL(43)
#define GMEM_BASE       BIT_ULL(44)
#define SHARED_BASE     BIT_ULL(45)
#define RUN_BASE        BIT_ULL(46)
#define WINDOW_BASE     BIT_ULL(47)
#define ID_SHIFT        36
#define NUM_WINDOWS     4
#define RUN_PAGES       64

static __thread struct {
    uint8_t *host;
    size_t size;
} windows[NUM_WINDOWS];

static bool in_range(uint64_t pa, size_t len, uint64_t base, uint64_t size)
{
    return pa >= base && len <= size && pa - base <= size - len;
}

static DoubleGmem *gmem_at(uint64_t pa, uint64_t *offset)
{
    uint64_t id = (pa - GMEM_BASE) >> ID_SHIFT;
    DoubleGmem *gmem = NULL;

    if (pa >= GMEM_BASE && pa < SHARED_BASE) {
        QEMU_LOCK_GUARD(&the_double->lock);
        gmem = id < the_double->gmems->len
            ? g_ptr_array_index(the_double->gmems, id) : NULL;
    }
    *offset = pa & (BIT_ULL(ID_SHIFT) - 1);
    return gmem && *offset < gmem->size ? gmem : NULL;
}

static void *op_granule(void *opaque, uint64_t pa)
{
    uint64_t offset;
    DoubleGmem *gmem;

    if (in_range(pa, GRANULE, POOL_BASE, POOL_GRANULES * GRANULE)) {
        return the_double->pool + (pa - POOL_BASE);
    }
    gmem = gmem_at(pa, &offset);
    return gmem ? gmem->host + offset : NULL;
}

static uint8_t *op_tags(void *opaque, uint64_t pa)
{
    uint64_t offset;
    DoubleGmem *gmem = gmem_at(pa, &offset);

    return gmem && gmem->tags ? gmem->tags + offset / 32 : NULL;
}

static void *op_ns(void *opaque, uint64_t pa, size_t len)
{
    unsigned window = (pa - WINDOW_BASE) >> ID_SHIFT;
    uint64_t offset = pa & (BIT_ULL(ID_SHIFT) - 1);

    if (in_range(pa, len, RUN_BASE, RUN_PAGES * GRANULE)) {
        return the_double->run_pages + (pa - RUN_BASE);
    }
    if (pa >= WINDOW_BASE && window < NUM_WINDOWS &&
        in_range(offset, len, 0, windows[window].size)) {
        return windows[window].host + offset;
    }
    return NULL;
}

/* Nothing to flush: run.c walks stage 2 for every access. */
static void op_tlb(void *opaque, uint16_t vmid, uint64_t base, uint64_t top)
{
    assert(base < top);
}

static void op_random(void *opaque, void *buf, size_t len)
{
    QEMU_LOCK_GUARD(&the_double->lock);

    for (size_t i = 0; i < len; i++) {
        ((uint8_t *)buf)[i] = g_rand_int(the_double->rand);
    }
}

static size_t op_save(void *opaque, uint64_t mpidr, void *buf, size_t size)
{
    assert(mpidr < DOUBLE_MAX_CPUS && size >= DOUBLE_CONTEXT);
    memcpy(buf, the_double->contexts[mpidr], DOUBLE_CONTEXT);
    return DOUBLE_CONTEXT;
}

static bool op_load(void *opaque, uint64_t mpidr, const void *buf, size_t size)
{
    if (mpidr >= DOUBLE_MAX_CPUS || size != DOUBLE_CONTEXT) {
        return false;
    }
    memcpy(the_double->contexts[mpidr], buf, size);
    return true;
}

static size_t op_key(void *opaque, RmmKey which, void *buf, size_t size)
{
    return the_double->options.no_key ? 0
                                      : test_key(opaque, which, buf, size);
}

static uint64_t op_seconds(void *opaque)
{
    return the_double->seconds;
}

static void *pages_new(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    assert(p != MAP_FAILED);
    return p;
}

void physical_init(void)
{
    static const RmmOps ops = {
        .granule = op_granule, .granule_tags = op_tags, .ns = op_ns,
        .tlb_invalidate = op_tlb, .random = op_random,
        .context_save = op_save, .context_load = op_load, .key = op_key,
        .seconds = op_seconds,
    };
    const RmmPlatform platform = {
        .ipa_bits = 48, .num_bps = 5, .num_wps = 3, .sha512 = true,
        .mte = the_double->options.mte, .migration = true,
    };

    the_double->pool = pages_new(POOL_GRANULES * GRANULE);
    the_double->pool_used = bitmap_new(POOL_GRANULES);
    the_double->run_pages = pages_new(RUN_PAGES * GRANULE);
    the_double->run_used = bitmap_new(RUN_PAGES);
    the_double->rmm = rmm_new(&ops, NULL, &platform);
}

void physical_free(void)
{
    g_assert_true(bitmap_empty(the_double->pool_used, POOL_GRANULES));
    g_assert_true(bitmap_empty(the_double->run_used, RUN_PAGES));
    rmm_free(the_double->rmm);
    munmap(the_double->pool, POOL_GRANULES * GRANULE);
    munmap(the_double->run_pages, RUN_PAGES * GRANULE);
    g_free(the_double->pool_used);
    g_free(the_double->run_used);
}

uint64_t double_rmi(uint64_t out[4], uint64_t fid, const uint64_t *args,
                    unsigned num)
{
    RmmPe pe = { .x = { fid } };

    memcpy(&pe.x[1], args, num * sizeof(*args));
    rmm_call(the_double->rmm, &pe);
    if (out) {
        memcpy(out, &pe.x[1], 4 * sizeof(*out));
    }
    return pe.x[0];
}

/* Allocate @count granules, aligned to the size of all. */
static uint64_t take_pool(unsigned count)
{
    QEMU_LOCK_GUARD(&the_double->lock);
    unsigned long n = bitmap_find_next_zero_area(the_double->pool_used,
                                                 POOL_GRANULES, 0, count,
                                                 count - 1);

    assert(n + count <= POOL_GRANULES);
    bitmap_set(the_double->pool_used, n, count);
    return POOL_BASE + n * GRANULE;
}

uint64_t physical_alloc(unsigned count)
{
    uint64_t pa = take_pool(count);

    for (unsigned i = 0; i < count; i++) {
        g_assert_cmphex(RMI(RMI_GRANULE_DELEGATE, pa + i * GRANULE), ==, 0);
    }
    return pa;
}

void physical_release(uint64_t pa, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        g_assert_cmphex(RMI(RMI_GRANULE_UNDELEGATE, pa + i * GRANULE), ==, 0);
    }
    QEMU_LOCK_GUARD(&the_double->lock);
    bitmap_clear(the_double->pool_used, (pa - POOL_BASE) / GRANULE, count);
}

RmiRecRun *physical_run_page(uint64_t *pa)
{
    QEMU_LOCK_GUARD(&the_double->lock);
    unsigned long n = find_first_zero_bit(the_double->run_used, RUN_PAGES);

    assert(n < RUN_PAGES);
    set_bit(n, the_double->run_used);
    *pa = RUN_BASE + n * GRANULE;
    return memset(the_double->run_pages + n * GRANULE, 0, GRANULE);
}

void physical_free_run_page(uint64_t pa)
{
    QEMU_LOCK_GUARD(&the_double->lock);

    clear_bit((pa - RUN_BASE) / GRANULE, the_double->run_used);
}

uint64_t physical_window(unsigned window, const void *host, size_t size)
{
    assert(window < NUM_WINDOWS && size < BIT_ULL(ID_SHIFT));
    windows[window].host = (uint8_t *)host;
    windows[window].size = size;
    return WINDOW_BASE + ((uint64_t)window << ID_SHIFT);
}

uint64_t shared_pa(const DoubleSlot *slot, uint64_t gpa)
{
    if (slot->in_place) {
        return gmem_pa(slot->gmem, slot_gmem_offset(slot, gpa));
    }
    return SHARED_BASE + ((uint64_t)slot->region.slot << ID_SHIFT) +
           (gpa - slot->region.guest_phys_addr);
}

uint8_t *physical_host(uint64_t pa)
{
    return op_granule(NULL, pa);
}

uint8_t *physical_tags(uint64_t pa)
{
    return op_tags(NULL, pa);
}

/* ---- guest_memfd ---- */

uint64_t gmem_pa(const DoubleGmem *gmem, uint64_t offset)
{
    return GMEM_BASE + ((uint64_t)gmem->id << ID_SHIFT) + offset;
}

DoubleGmem *gmem_new(uint64_t size)
{
    DoubleGmem *gmem = g_new0(DoubleGmem, 1);

    gmem->size = size;
    gmem->fd = memfd_create("guest_memfd", MFD_CLOEXEC);
    g_assert_cmpint(gmem->fd, >=, 0);
    g_assert_cmpint(ftruncate(gmem->fd, size), ==, 0);
    gmem->host = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED,
                      gmem->fd, 0);
    assert(gmem->host != MAP_FAILED);
    gmem->delegated = bitmap_new(size / GRANULE);
    gmem->private = bitmap_new(size / the_double->page_size);
    gmem->pinned = bitmap_new(size / the_double->page_size);
    if (the_double->options.mte) {
        gmem->tags = g_malloc0(size / 32);
    }
    QEMU_LOCK_GUARD(&the_double->lock);
    gmem->id = the_double->gmems->len;
    g_ptr_array_add(the_double->gmems, gmem);
    return gmem;
}

void gmem_free(DoubleGmem *gmem)
{
    g_assert_true(bitmap_empty(gmem->delegated, gmem->size / GRANULE));
    WITH_QEMU_LOCK_GUARD(&the_double->lock) {
        g_ptr_array_index(the_double->gmems, gmem->id) = NULL;
    }
    munmap(gmem->host, gmem->size);
    close(gmem->fd);
    g_free(gmem->tags);
    g_free(gmem->delegated);
    g_free(gmem->private);
    g_free(gmem->pinned);
    g_free(gmem);
}
