/*
 * Realms under TCG: physical memory
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef ACCEL_TCG_REALM_MACHINE_PHYSMEM_H
#define ACCEL_TCG_REALM_MACHINE_PHYSMEM_H

#include "exec/memory.h"
#include "accel/tcg/realm/machine.h"

/* Make RAM, its tags if there is MTE, and the extra granules. */
bool realm_physmem_init(const RealmMachineConfig *config, Error **errp);

/* What a CPU has for memory; its tag memory so far is shown as the board's. */
MemoryRegion *realm_physmem_root(void);
MemoryRegion *realm_physmem_tag_root(MemoryRegion *board_tags);

/* Whether realm_physmem_protect has protected it. */
bool realm_physmem_is_protected(void);

/* Any of the @len bytes at @pa is RAM or in an extra granule. */
bool realm_physmem_has(uint64_t pa, size_t len);

/* RmmOps.granule, .granule_written and .granule_tags */
void *realm_physmem_granule(void *opaque, uint64_t pa);
void realm_physmem_granule_written(void *opaque, uint64_t pa, size_t len);
uint8_t *realm_physmem_granule_tags(void *opaque, uint64_t pa);

#endif
