/*
 * The bare host: RMI calls by SMC, and the pages that they are about
 *
 * Purpose: rmi() makes a call and checks what every call owes its caller: the
 * registers that SMCCC 1.2 preserves.  The pool hands out pages and knows
 * which of them are delegated, so that a test that leaves one is noticed.
 *
 * Lock rule: everything here may be called on all CPUs at once.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_HOST_RMI_H
#define TESTS_HOST_RMI_H

#include "../../../target/arm/rmm/rmm-abi.h"
#include "host.h"

struct result {
    uint64_t x0, x1, x2, x3, x4;
};

#define RMI(...) RMI_(__VA_ARGS__, 0, 0, 0, 0, 0, 0)
#define RMI_(fid, a1, a2, a3, a4, a5, a6, ...) \
    rmi(fid, (const uint64_t[6]) { a1, a2, a3, a4, a5, a6 })
struct result rmi(uint64_t fid, const uint64_t arg[6]);

struct figures {
    uint64_t calls, entries, realms;
    uint64_t pages;         /* most of the pool's that were taken at once */
};
extern struct figures figures;

/* ---- Pages ---- */

/* @n pages together, aligned to @n (a power of two); zero. */
uint64_t page_new(unsigned n);
void page_free(uint64_t pa, unsigned n);

/* The same, delegated one by one; and back: granule_free undelegates and
   requires zeros. */
uint64_t granule_new(unsigned n);
void granule_free(uint64_t pa, unsigned n);
/* A delegated page is one no longer, or became one, by hand. */
void granule_delegated(uint64_t pa, bool delegated);
unsigned granules_delegated(void);
/* After a failed case: undelegates what is left, by hand, if it can. */
void granules_forget(void);

#endif
