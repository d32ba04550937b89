/*
 * Where the host has memory behind RAM
 *
 * Lock rule: any thread.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef SYSTEM_REALM_BACKING_H
#define SYSTEM_REALM_BACKING_H

#include "exec/memory.h"

/*
 * The first host page in [@from, @to) of @mr that is backed by memory of the
 * host, or, if not @backed, that is not and so reads as zero; @to if there is
 * none.  Memory of which this cannot be known is backed.
 *
 * Whatever was written by anybody is backed, in swap as well: what is not
 * backed has never been written since it was last given to the host.
 */
uint64_t realm_backing_find(const MemoryRegion *mr, uint64_t from, uint64_t to,
                            bool backed);

#endif
