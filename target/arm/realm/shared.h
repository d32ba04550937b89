/*
 * The shared view of a Realm's RAM: the board's memory
 *
 * Lock rule: any thread; RAM of the board is never unplugged.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TARGET_ARM_REALM_SHARED_H
#define TARGET_ARM_REALM_SHARED_H

#include "exec/memory.h"

/*
 * The board's RAM at guest physical [@base, @base + @size), in bytes; false if
 * that is not one piece of RAM.  The caller unrefs @section->mr.
 */
bool realm_shared_find(uint64_t base, uint64_t size,
                       MemoryRegionSection *section);

/* The host's address of it, or NULL. */
void *realm_shared_ram(uint64_t base, uint64_t size);

/* Lend it to the Realm (system/realm-shared-ram.h). */
bool realm_shared_lend(uint64_t base, uint64_t size, Error **errp);

/*
 * It is not lent any more.  Give what backs it back to the host, except for
 * huge pages, which were set aside for good, what a device has pinned that
 * does not follow what is lent, and RAM in place, where the Realm's private
 * half has it now.  In host pages.  On failure it is still lent.
 */
bool realm_shared_discard(uint64_t base, uint64_t size, Error **errp);

#endif
