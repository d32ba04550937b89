/*
 * A host at EL2: physical memory
 *
 * Purpose: every granule of the board's RAM has two places: one in the board's
 * RAM, which is what the Non-secure physical address space has there, and one
 * in a block of its own for as long as it is delegated.
 *
 *     PA of a CPU                    what
 *     0 ..                           the board, as devices see it
 *     EL2_PRIVATE_BASE + PA ..       what the RMM and Realms have there
 *
 * The second is beyond every PA that an output of stage 1, or of the host's
 * stage 2, can be; access.c names it where a Realm's stage 2 says so.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef ACCEL_TCG_REALM_EL2_MEMORY_H
#define ACCEL_TCG_REALM_EL2_MEMORY_H

#include "accel/tcg/realm/el2.h"
#include "hw/core/cpu.h"

#define EL2_PRIVATE_BASE BIT_ULL(56)

bool el2_memory_init(const RealmEl2Config *config, Error **errp);

/* What a CPU has for memory. */
MemoryRegion *el2_memory_root(void);

/*
 * Whether the page at @pa is delegated: a byte for each granule, which
 * RmmOps.granule_pas keeps.  Any thread, no lock.
 */
bool el2_memory_is_delegated(uint64_t pa);

/*
 * The bytes of the granule at @pa were changed by the RMM, where a Realm may
 * have executed them before.  QEMU ignores IC IVAU: code goes as bytes do.
 */
void el2_memory_forget_code(uint64_t pa);

/* RmmOps.granule, .granule_written, .ns, .ns_written, .granule_pas */
void *el2_memory_granule(void *opaque, uint64_t pa);
void el2_memory_granule_written(void *opaque, uint64_t pa, size_t len);
void *el2_memory_ns(void *opaque, uint64_t pa, size_t len);
void el2_memory_ns_written(void *opaque, uint64_t pa, size_t len);
void el2_memory_set_pas(void *opaque, uint64_t pa, bool realm);

/* The machine is reset: all is Non-secure, and the other place is empty. */
void el2_memory_reset(void);

#endif
