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
 * Invariants: in doubt memory is backed.
 *
 * Lock rule: backing.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/mmap-alloc.h"
#include "exec/ramblock.h"
#include "backing.h"

/* An entry of /proc/pid/pagemap: present, or in swap. */
#define ENTRY_BACKED (3ull << 62)
#define ENTRIES 4096

/* Returns how far it came; the rest is not known. */
static uint64_t read_entries(int pagemap, const RAMBlock *block, uint64_t at,
                             uint64_t to, uint64_t entries[ENTRIES])
{
    uint64_t page = qemu_real_host_page_size();
    uint64_t n = MIN(ENTRIES, DIV_ROUND_UP(to - at, page));
    ssize_t size = n * sizeof(*entries);
    off_t offset = ((uintptr_t)block->host + at) / page * sizeof(*entries);

    return pread(pagemap, entries, size, offset) == size ? at + n * page : at;
}

static void holes_in_memory(const RAMBlock *block, uint64_t from, uint64_t to,
                            RealmHoleFn fn, void *opaque)
{
    uint64_t page = qemu_real_host_page_size();
    g_autofree uint64_t *entries = g_new(uint64_t, ENTRIES);
    int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    uint64_t hole = from, at = from, end;

    while (pagemap >= 0 && at < to &&
           (end = read_entries(pagemap, block, at, to, entries)) > at) {
        for (const uint64_t *entry = entries; at < end; entry++, at += page) {
            if (*entry & ENTRY_BACKED) {
                if (hole < at) {
                    fn(hole, at, opaque);
                }
                hole = at + page;
            }
        }
    }
    if (hole < MIN(at, to)) {
        fn(hole, MIN(at, to), opaque);
    }
    if (pagemap >= 0) {
        close(pagemap);
    }
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

void realm_backing_holes(const MemoryRegion *mr, uint64_t from, uint64_t to,
                         RealmHoleFn fn, void *opaque)
{
    const RAMBlock *block = mr->ram_block;
    bool shared = block->flags & RAM_SHARED;

    if (block->fd < 0 && !shared) {
        holes_in_memory(block, from, to, fn, opaque);
    } else if (block->fd >= 0 && shared &&
               qemu_fd_getfs(block->fd) == QEMU_FS_TYPE_TMPFS) {
        holes_in_file(block, from, to, fn, opaque);
    }
}
