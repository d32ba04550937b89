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

/* Called for bytes [@start, @end) of a region. */
typedef void (*RealmHoleFn)(uint64_t start, uint64_t end, void *opaque);

/*
 * Call @fn for each run of host pages in [@from, @to) of @mr, which begins at
 * one, that no memory of the host is behind: they read as zero.  Memory of
 * which this cannot be known is backed.
 *
 * Whatever was written by anybody is backed, in swap as well: what is not has
 * never been written since it was last given back to the host.
 */
void realm_backing_holes(const MemoryRegion *mr, uint64_t from, uint64_t to,
                         RealmHoleFn fn, void *opaque);

/* Whether all of [@from, @to), a page or a few, is such a run. */
bool realm_backing_is_hole(const MemoryRegion *mr, uint64_t from, uint64_t to);

/* How many mappings this process may have: vm.max_map_count. */
long realm_backing_max_mappings(void);

#endif
