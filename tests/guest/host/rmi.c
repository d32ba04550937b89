/*
 * The bare host: RMI calls and pages (see rmi.h)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "rmi.h"
#include "test.h"

#define MAX_PAGES 0x38000u      /* up to the end of the first GiB */

enum page { PAGE_FREE, PAGE_USED, PAGE_DELEGATED };

struct figures figures;
static uint8_t pages[MAX_PAGES];
static unsigned next_page;
static unsigned num_delegated;
static unsigned num_used;
static spinlock lock;

/*
 * SMCCC 1.2: X4 to X17 are preserved unless they are results, and X18 to X30
 * always.  RMI has results in X0 to X4.
 */
struct result rmi(uint64_t fid, const uint64_t arg[6])
{
    struct regs regs;

    for (unsigned n = 0; n < 31; n++) {
        regs.x[n] = pattern(fid, n);
    }
    regs.x[0] = fid;
    memcpy(regs.x + 1, arg, 6 * sizeof(*arg));
    smc_regs(&regs);
    for (unsigned n = 5; n < 31; n++) {
        uint64_t was = n < 7 ? arg[n - 1] : pattern(fid, n);

        if (regs.x[n] != was) {
            test_failed_number("X", n, "preserved by the call", was,
                               regs.x[n]);
        }
    }
    __atomic_fetch_add(&figures.calls, 1, __ATOMIC_RELAXED);
    figures.entries += fid == RMI_REC_ENTER && regs.x[0] == 0;
    return (struct result) { regs.x[0], regs.x[1], regs.x[2], regs.x[3],
                             regs.x[4] };
}

/* ---- Pages ---- */

static unsigned total(void)
{
    uint64_t n = (ram_top() - POOL) / PAGE;

    return n < MAX_PAGES ? n : MAX_PAGES;
}

static bool is_free(unsigned first, unsigned n)
{
    if (first + n > total()) {
        return false;
    }
    while (n && pages[first + n - 1] == PAGE_FREE) {
        n--;
    }
    return n == 0;
}

static void mark(uint64_t pa, unsigned n, enum page what)
{
    memset(pages + (pa - POOL) / PAGE, what, n);
}

/* Next fit: a page that was given back is not the next to be handed out. */
static unsigned find_free(unsigned n)
{
    unsigned first = (next_page + n - 1) & -n;

    for (unsigned tried = 0; tried < 2; first = 0, tried++) {
        for (; first + n <= total(); first += n) {
            if (is_free(first, n)) {
                return first;
            }
        }
    }
    panic("no pages left in the pool of", total());
}

uint64_t page_new(unsigned n)
{
    uint64_t pa;

    spin_lock(&lock);
    next_page = find_free(n);
    pa = POOL + next_page * PAGE;
    mark(pa, n, PAGE_USED);
    next_page += n;
    num_used += n;
    if (num_used > figures.pages) {
        figures.pages = num_used;
    }
    spin_unlock(&lock);
    memset((void *)pa, 0, n * PAGE);
    return pa;
}

void page_free(uint64_t pa, unsigned n)
{
    spin_lock(&lock);
    mark(pa, n, PAGE_FREE);
    num_used -= n;
    spin_unlock(&lock);
}

void granule_delegated(uint64_t pa, bool delegated)
{
    spin_lock(&lock);
    mark(pa, 1, delegated ? PAGE_DELEGATED : PAGE_USED);
    num_delegated += delegated ? 1 : -1;
    spin_unlock(&lock);
}

unsigned granules_delegated(void)
{
    return num_delegated;
}

uint64_t granule_new(unsigned n)
{
    uint64_t pa = page_new(n);

    for (unsigned i = 0; i < n; i++) {
        EXPECT(RMI(RMI_GRANULE_DELEGATE, pa + i * PAGE).x0, RMI_SUCCESS,
               "GRANULE_DELEGATE");
        granule_delegated(pa + i * PAGE, true);
    }
    return pa;
}

void granule_free(uint64_t pa, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        const uint64_t *word = (const uint64_t *)(pa + i * PAGE);

        EXPECT(RMI(RMI_GRANULE_UNDELEGATE, pa + i * PAGE).x0, RMI_SUCCESS,
               "GRANULE_UNDELEGATE");
        granule_delegated(pa + i * PAGE, false);
        for (unsigned at = 0; at < PAGE / 8; at++) {
            EXPECT(word[at], 0, "what an undelegated page holds");
        }
    }
    page_free(pa, n);
}

void granules_forget(void)
{
    for (unsigned n = 0; num_delegated && n < total(); n++) {
        uint64_t pa = POOL + n * PAGE;

        if (pages[n] == PAGE_DELEGATED) {
            granule_delegated(pa, false);
            if (RMI(RMI_GRANULE_UNDELEGATE, pa).x0 == RMI_SUCCESS) {
                page_free(pa, 1);
            }
        }
    }
}
