/*
 * The bare host: an ordinary guest, at EL1 and under stage 2
 *
 * Purpose: what a Realm is compared with.  The host enters it as a hypervisor
 * does: it loads the guest's general registers, ERETs, and stores them when
 * an exception comes back to EL2.
 *
 * Invariant: stage 2 is on from guest_init() on, and the vectors of EL2 are
 * those of guest_enter(): an exception at EL2 is the end.  One guest, on the
 * CPU that called guest_init().
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_HOST_GUEST_H
#define TESTS_HOST_GUEST_H

#include "realm-abi.h"
#include "host.h"

struct guest {
    uint64_t x[31];
    uint64_t pc, pstate;        /* 248, 256 */
};

void guest_init(struct guest *guest);
/*
 * Stage 2: the page at @ipa is the one at @pa, or faults if that is 0, which
 * the guest sees for sure after guest_flush().
 */
void guest_map(uint64_t ipa, uint64_t pa);
void guest_flush(void);
/* Until an exception takes it to EL2; ESR_EL2 and so on say which. */
void guest_enter(struct guest *guest);

#endif
