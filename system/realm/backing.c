/*
 * Where the host has memory behind RAM
 *
 * Purpose: ask the kernel, in the way that is right for the kind of memory:
 *
 *     anonymous, private   our own page tables: pages that are present or in
 *                          swap.  Nobody else can have written there.
 *     file, shared         the file: its data and its holes.  Others who have
 *                          mapped it, as vhost-user does, write there, too.
 *     all else             not known
 *
 * Invariants: in doubt memory is backed.
 *
 * Lock rule: backing.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "exec/ramblock.h"
#include "backing.h"

/* An entry of /proc/pid/pagemap: present, or in swap. */
#define ENTRY_BACKED (3ull << 62)
#define ENTRIES 4096

static bool is_backed(uint64_t entry)
{
    return entry & ENTRY_BACKED;
}

/* As realm_backing_find, by addresses of ours. */
static uintptr_t find_page(int pagemap, uintptr_t from, uintptr_t to,
                           bool backed)
{
    size_t page = qemu_real_host_page_size();
    uint64_t entries[ENTRIES];

    while (from < to) {
        size_t n = MIN(ENTRIES, DIV_ROUND_UP(to - from, page));
        ssize_t size = n * sizeof(*entries);

        if (pread(pagemap, entries, size,
                  from / page * sizeof(*entries)) != size) {
            return backed ? from : to;
        }
        for (size_t i = 0; i < n; i++, from += page) {
            if (is_backed(entries[i]) == backed) {
                return from;
            }
        }
    }
    return to;
}

static uint64_t find_in_memory(const RAMBlock *block, uint64_t from,
                               uint64_t to, bool backed)
{
    uintptr_t host = (uintptr_t)block->host;
    int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    uint64_t found = backed ? from : to;

    if (pagemap >= 0) {
        found = find_page(pagemap, host + from, host + to, backed) - host;
        close(pagemap);
    }
    return found;
}

static uint64_t find_in_file(const RAMBlock *block, uint64_t from, uint64_t to,
                             bool backed)
{
#ifdef SEEK_DATA
    off_t at = lseek(block->fd, block->fd_offset + from,
                     backed ? SEEK_DATA : SEEK_HOLE);

    if (at >= 0) {
        uint64_t page = qemu_real_host_page_size();
        uint64_t offset = at - block->fd_offset;

        /* Blocks of the file may be smaller: one with data is enough. */
        return MIN(backed ? ROUND_DOWN(offset, page) : ROUND_UP(offset, page),
                   to);
    }
    if (errno == ENXIO) {       /* no data from here on */
        return backed ? to : from;
    }
#endif
    return backed ? from : to;
}

uint64_t realm_backing_find(const MemoryRegion *mr, uint64_t from, uint64_t to,
                            bool backed)
{
    const RAMBlock *block = mr->ram_block;
    bool shared = block->flags & RAM_SHARED;

    if (block->fd < 0 && !shared) {
        return find_in_memory(block, from, to, backed);
    }
    if (block->fd >= 0 && shared) {
        return find_in_file(block, from, to, backed);
    }
    return backed ? from : to;
}
