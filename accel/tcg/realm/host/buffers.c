/*
 * Realms under TCG: the host's own memory, which the RMM reads and writes
 *
 * Purpose: memory of QEMU's that plays the Non-secure memory of a host: run
 * pages, and buffers of calls.
 *
 *     PA                          what
 *     RUN_PAGES ..                run pages, one for each vCPU
 *     WINDOWS + n * 2^36          a buffer of the calling thread
 *
 * Invariants: a window is what its own thread says, and nobody else's.
 *
 * Lock rule: run pages are set up once under the BQL and constant after that;
 * windows belong to their thread.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bitops.h"
#include "qemu/memalign.h"
#include "system/realm-backend.h"
#include "buffers.h"

#define RUN_PAGES_BASE  BIT_ULL(45)
#define WINDOWS_BASE    BIT_ULL(46)
#define WINDOW_SHIFT    36
#define NUM_WINDOWS     4

static uint8_t *run_pages;
static size_t run_pages_size;

static __thread struct {
    uint8_t *host;
    size_t size;
} windows[NUM_WINDOWS];

/* [@offset, @offset + @len) is within @size bytes. */
static bool fits(uint64_t offset, size_t len, size_t size)
{
    return len <= size && offset <= size - len;
}

void *realm_buffers_ns(uint64_t pa, size_t len)
{
    unsigned window = (pa - WINDOWS_BASE) >> WINDOW_SHIFT;
    uint64_t offset = extract64(pa, 0, WINDOW_SHIFT);

    if (pa >= RUN_PAGES_BASE && fits(pa - RUN_PAGES_BASE, len,
                                     run_pages_size)) {
        return run_pages + (pa - RUN_PAGES_BASE);
    }
    if (pa >= WINDOWS_BASE && window < NUM_WINDOWS &&
        fits(offset, len, windows[window].size)) {
        return windows[window].host + offset;
    }
    return NULL;
}

uint64_t realm_window(unsigned window, const void *host, size_t size)
{
    assert(window < NUM_WINDOWS && size < BIT_ULL(WINDOW_SHIFT));
    windows[window].host = (uint8_t *)host;
    windows[window].size = size;
    return WINDOWS_BASE + ((uint64_t)window << WINDOW_SHIFT);
}

void *realm_run_page(unsigned n, uint64_t *pa)
{
    size_t offset = (size_t)n * REALM_PAGE_SIZE;

    assert(offset < run_pages_size);
    *pa = RUN_PAGES_BASE + offset;
    return run_pages + offset;
}

void realm_buffers_init(unsigned count)
{
    run_pages_size = (size_t)count * REALM_PAGE_SIZE;
    run_pages = qemu_memalign(REALM_PAGE_SIZE, run_pages_size);
    memset(run_pages, 0, run_pages_size);
}
