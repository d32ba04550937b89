/*
 * Where the host has memory behind RAM
 *
 * Purpose: ask the kernel, in the way that is right for the kind of memory:
 *
 *     anonymous, private   our own page tables: pages that are present or in
 *                          swap.  Nobody else can have written there.
 *     file of tmpfs,       the file: its data and its holes.  Others who have
 *     shared               mapped it, as vhost-user does, write there, too.
 *     all else             not known: a file system may see a hole (FUSE) where
 *                          pages wait to be written back
 *
 * It also asks how many mappings it allows.
 *
 * Invariants: in doubt memory is backed.
 *
 * Lock rule: backing.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <sys/ioctl.h>
#include "qemu/cutils.h"
#include "qemu/mmap-alloc.h"
#include "exec/ramblock.h"
#include "backing.h"

/* How far a search has come, and since where it has found nothing. */
typedef struct Search {
    const RAMBlock *block;
    int pagemap;
    uint64_t at, to;
    uint64_t hole;
    RealmHoleFn fn;
    void *opaque;
} Search;

static void found_memory(Search *s, uint64_t start, uint64_t end)
{
    if (s->hole < start) {
        s->fn(s->hole, start, s->opaque);
    }
    s->hole = end;
}

/*
 * The ioctl PAGEMAP_SCAN of Linux 6.7, which headers may lack; the kernel's
 * Documentation/admin-guide/mm/pagemap.rst describes it.  It passes over what
 * has no page tables, and so takes time for memory that there is.
 */
typedef struct ScanRegion {
    uint64_t start, end;        /* addresses */
    uint64_t categories;
} ScanRegion;

typedef struct ScanArgs {
    uint64_t size, flags;
    uint64_t start, end;
    uint64_t walk_end;          /* from the kernel: how far it came */
    uint64_t regions, num_regions;
    uint64_t max_pages;
    uint64_t inverted, all_of, any_of;
    uint64_t tell;              /* categories */
} ScanArgs;

#define SCAN _IOWR('f', 16, ScanArgs)
#define SCAN_BACKED (3 << 3)    /* present, or in swap */
#define REGIONS 512             /* what the kernel tells in one walk, at most */

/* Returns false where the kernel cannot do that, or its answer cannot be. */
static bool scan_on(Search *s)
{
    ScanRegion regions[REGIONS];
    const uint64_t host = (uintptr_t)s->block->host;
    ScanArgs args = {
        .size = sizeof(args),
        .start = host + s->at,
        .end = host + ROUND_UP(s->to, qemu_real_host_page_size()),
        .regions = (uintptr_t)regions,
        .num_regions = REGIONS,
        .any_of = SCAN_BACKED,
        .tell = SCAN_BACKED,
    };
    int n = ioctl(s->pagemap, SCAN, &args);

    if (n < 0 || n > REGIONS || args.walk_end <= args.start ||
        args.walk_end > args.end) {
        return false;
    }
    for (int i = 0; i < n; i++) {
        found_memory(s, regions[i].start - host, regions[i].end - host);
    }
    s->at = args.walk_end - host;
    return true;
}

/* An entry of /proc/pid/pagemap: present, or in swap. */
#define ENTRY_BACKED (3ull << 62)
#define ENTRIES 1024

/* Returns false where nothing can be known. */
static bool read_on(Search *s)
{
    uint64_t page = qemu_real_host_page_size();
    uint64_t n = MIN(ENTRIES, DIV_ROUND_UP(s->to - s->at, page));
    uint64_t entries[ENTRIES];
    ssize_t size = n * sizeof(*entries);
    off_t offset = ((uintptr_t)s->block->host + s->at) / page *
                   sizeof(*entries);

    if (pread(s->pagemap, entries, size, offset) != size) {
        return false;
    }
    for (uint64_t i = 0; i < n; i++, s->at += page) {
        if (entries[i] & ENTRY_BACKED) {
            found_memory(s, s->at, s->at + page);
        }
    }
    return true;
}

static void holes_in_memory(const RAMBlock *block, uint64_t from, uint64_t to,
                            RealmHoleFn fn, void *opaque)
{
    Search s = {
        .block = block,
        .pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC),
        .at = from, .to = to, .hole = from, .fn = fn, .opaque = opaque,
    };

    if (s.pagemap < 0) {
        return;
    }
    while (s.at < to && (scan_on(&s) || read_on(&s))) {
    }
    if (s.hole < MIN(s.at, to)) {
        fn(s.hole, MIN(s.at, to), opaque);
    }
    close(s.pagemap);
}

/* Blocks of the file may be smaller than pages: one with data is enough. */
static void holes_in_file(const RAMBlock *block, uint64_t from, uint64_t to,
                          RealmHoleFn fn, void *opaque)
{
#ifdef SEEK_DATA
    uint64_t page = qemu_real_host_page_size(), base = block->fd_offset;
    off_t hole, data = base + from;

    while (data < base + to &&
           (hole = lseek(block->fd, data, SEEK_HOLE)) >= 0) {
        data = lseek(block->fd, hole, SEEK_DATA);
        if (data < 0) {
            if (errno != ENXIO) {
                return;
            }
            data = base + to;           /* no data from here on */
        }
        hole = ROUND_UP(hole - base, page);
        if (hole < MIN(ROUND_DOWN(data - base, page), to)) {
            fn(hole, MIN(ROUND_DOWN(data - base, page), to), opaque);
        }
    }
#endif
}

static bool is_memory(const RAMBlock *block)
{
    return block->fd < 0 && !(block->flags & RAM_SHARED);
}

static bool is_file(const RAMBlock *block)
{
    return block->fd >= 0 && (block->flags & RAM_SHARED) &&
           qemu_fd_getfs(block->fd) == QEMU_FS_TYPE_TMPFS;
}

void realm_backing_holes(const MemoryRegion *mr, uint64_t from, uint64_t to,
                         RealmHoleFn fn, void *opaque)
{
    const RAMBlock *block = mr->ram_block;

    if (is_memory(block)) {
        holes_in_memory(block, from, to, fn, opaque);
    } else if (is_file(block)) {
        holes_in_file(block, from, to, fn, opaque);
    }
}

static void found_hole(uint64_t start, uint64_t end, void *opaque)
{
    *(uint64_t *)opaque += end - start;
}

/* In a file, the next data are found at once, and the next hole is far away. */
static bool is_hole_in_file(const RAMBlock *block, uint64_t from, uint64_t to)
{
#ifdef SEEK_DATA
    off_t data = lseek(block->fd, block->fd_offset + from, SEEK_DATA);

    return data < 0 ? errno == ENXIO : data >= block->fd_offset + to;
#else
    return false;
#endif
}

bool realm_backing_is_hole(const MemoryRegion *mr, uint64_t from, uint64_t to)
{
    const RAMBlock *block = mr->ram_block;
    uint64_t holes = 0;

    if (is_file(block)) {
        return is_hole_in_file(block, from, to);
    }
    realm_backing_holes(mr, from, to, found_hole, &holes);
    return holes == to - from;
}

/* The default is Linux's. */
long realm_backing_max_mappings(void)
{
    g_autofree char *text = NULL;
    long n;

    if (g_file_get_contents("/proc/sys/vm/max_map_count", &text, NULL, NULL) &&
        qemu_strtol(g_strchomp(text), NULL, 10, &n) == 0 && n > 0) {
        return n;
    }
    return 65530;
}
