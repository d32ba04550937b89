/*
 * What the host lends a Realm of the board's RAM
 *
 * The board's RAM is the shared view of a Realm's memory, as large as all of
 * it, and nearly all of it is never used: where the Realm has private memory,
 * nothing is shared.  A RamDiscardManager says so to the rest of QEMU: what
 * is lent is populated, and all else is discarded, so that a migration does
 * not look at it and VFIO does not map it.
 *
 * A page is lent from when the Realm shares it, by its RIPAS or by an access
 * at its unprotected address, until the Realm takes it as private.  All of a
 * region is lent until a Realm first runs, since the loader writes images
 * there, and the stream of an incoming migration does.
 *
 * Lock rule: BQL, for the methods of RamDiscardManager as well; lend and
 * return from any thread.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef SYSTEM_REALM_SHARED_RAM_H
#define SYSTEM_REALM_SHARED_RAM_H

#include "exec/memory.h"

#define TYPE_REALM_SHARED_RAM "realm-shared-ram"

/* @mr is RAM that a Realm shares, and not mapped into an address space yet. */
void realm_shared_ram_attach(MemoryRegion *mr);

/*
 * The Realm is about to run for the first time: nothing is lent to it yet.
 * What is in RAM by then stays there.
 */
void realm_shared_ram_begin(void);

/*
 * Lend [@offset, @offset + @size) of @mr, if it is not lent yet.  On failure,
 * which means that a listener refused, nothing is lent that was not before.
 * Outwards to whole pages of the host.
 */
bool realm_shared_ram_lend(MemoryRegion *mr, uint64_t offset, uint64_t size,
                           Error **errp);

/* It is not lent any more.  Inwards to whole pages of the host. */
void realm_shared_ram_return(MemoryRegion *mr, uint64_t offset,
                             uint64_t size);

/* Pages of 4 KiB that are lent. */
uint64_t realm_shared_ram_lent(void);

/*
 * From now on there is a log of what the Realm writes to shared memory.  What
 * is not lent, and was written before that, becomes dirty.
 */
void realm_shared_ram_look_again(void);

#endif
