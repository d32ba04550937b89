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
 * RAM in place is a guest_memfd with both halves of the Realm's memory
 * (system/hostmem-guest-memfd.h).  There, what is lent is what the kernel has
 * as shared, at all times, and to lend and to return is to convert.  QEMU's
 * mapping has the file where it is lent.  Elsewhere it has nothing: it reads as
 * zero, and what is written there is lost.  So whoever looks at all of RAM, or
 * a device whose driver gives it the address of private memory, meets no
 * SIGBUS.
 *
 * No device can follow RAM in place: a listener is refused, and told nothing.
 *
 * Lock rule: BQL, for the methods of RamDiscardManager as well; lend and
 * return from any thread, and what says so below.  For RAM in place they do not
 * take the BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef SYSTEM_REALM_SHARED_RAM_H
#define SYSTEM_REALM_SHARED_RAM_H

#include "exec/memory.h"

#define TYPE_REALM_SHARED_RAM "realm-shared-ram"

/*
 * Convert [@offset, @offset + @size) of the guest_memfd @fd; false with @errp
 * set if it stays as it was.
 */
typedef bool RealmConvertFn(int fd, uint64_t offset, uint64_t size,
                            bool private, Error **errp);

/*
 * @mr is RAM that a Realm shares, and not mapped into an address space yet.
 * @convert: it is RAM in place; else NULL.
 */
void realm_shared_ram_attach(MemoryRegion *mr, RealmConvertFn *convert);

/*
 * The Realm is about to run for the first time: nothing is lent to it yet.
 * What is in RAM by then stays there.  RAM in place stays as it is.
 */
void realm_shared_ram_begin(void);

/*
 * Lend [@offset, @offset + @size) of @mr, if it is not lent yet.  On failure,
 * which means that a listener or the kernel refused, nothing is lent that was
 * not before.  Outwards to whole pages of the host.
 */
bool realm_shared_ram_lend(MemoryRegion *mr, uint64_t offset, uint64_t size,
                           Error **errp);

/*
 * It is not lent any more.  Inwards to whole pages of the host.  Only RAM in
 * place can fail to return; then what was lent still is.  What the host cannot
 * map again is not lent, and is reported: to lend it once more mends that.
 */
bool realm_shared_ram_return(MemoryRegion *mr, uint64_t offset, uint64_t size,
                             Error **errp);

/* Whether @mr is RAM in place. */
bool realm_shared_ram_in_place(MemoryRegion *mr);

/*
 * A migration is about to write @size bytes at each of @n offsets of @block:
 * RAM in place is lent before.  Any thread, without the BQL as well: the main
 * thread may have it while it waits for a channel.
 */
bool realm_shared_ram_receive(RAMBlock *block, const ram_addr_t *offsets,
                              unsigned n, uint64_t size, Error **errp);

/*
 * Whether a migration sends the page at @offset of @block: not one that is not
 * lent, unless it is elsewhere than in place and somebody wrote there.  Any
 * thread.
 */
bool realm_shared_ram_is_sent(RAMBlock *block, ram_addr_t offset);

/*
 * A migration begins; and at its end, once no vCPU runs, pages that became lent
 * since then are dirty once more.  The second returns whether there are any.
 * Where the destination has RAM in place, it may have lost what it got of them.
 * BQL.
 */
void realm_shared_ram_watch(void);
bool realm_shared_ram_again(void);

/* Pages of 4 KiB that are lent. */
uint64_t realm_shared_ram_lent(void);

#endif
