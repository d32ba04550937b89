/*
 * MTE tags in a migration: the provider under TCG
 *
 * Purpose: tag memory is RAM of its own, a byte for 32 of the guest's.  QEMU
 * migrates it as such; here it is taken out of that, and its bytes travel
 * with their pages, as they do under KVM.
 *
 * A store of tags makes its page dirty, as a store of data does: the helpers
 * of STG, ST2G, STGM, STZGM and DC G(Z)VA probe the page for a store, and that
 * clears the way for the dirty log (TLB_NOTDIRTY).  Nothing needs to be looked
 * for.  That tag memory is marked as well has no meaning here; STGM does not.
 *
 * Invariants: all tag memory of the ranges is in one region of RAM.
 *
 * Lock rule: none; tags are read while the guest may write them.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/cutils.h"
#include "exec/ram_addr.h"
#include "exec/ramblock.h"
#include "exec/target_page.h"
#include "arm-page-tags.h"

#define TAG_BYTES   MTE_TAGS_BYTES

static MemoryRegion *tag_ram;
/* Of each range: where its tags are. */
static uint8_t *tags_of[PAGE_TAGS_MAX_BLOCKS];

static uint8_t *tags_at(const ArmTagRange *r, ram_addr_t offset)
{
    return tags_of[r - arm_tag_ranges] +
           ((offset - r->offset) >> TAGS_SHIFT);
}

/* Most tags are zero: then looking at them is all that it costs. */
static bool tcg_read(RAMBlock *block, ram_addr_t offset, unsigned pages,
                     uint8_t *tags, bool *zero, Error **errp)
{
    const ArmTagRange *r = arm_tag_range(block, offset,
                                         (uint64_t)pages * TARGET_PAGE_SIZE,
                                         errp);

    if (r) {
        *zero = buffer_is_zero(tags_at(r, offset), (size_t)pages * TAG_BYTES);
    }
    if (r && !*zero) {
        memcpy(tags, tags_at(r, offset), (size_t)pages * TAG_BYTES);
    }
    return r;
}

static bool tcg_write(RAMBlock *block, ram_addr_t offset, unsigned pages,
                      const uint8_t *tags, Error **errp)
{
    const ArmTagRange *r = arm_tag_range(block, offset,
                                         (uint64_t)pages * TARGET_PAGE_SIZE,
                                         errp);

    if (r) {
        memcpy(tags_at(r, offset), tags, (size_t)pages * TAG_BYTES);
    }
    return r;
}

/* Tag memory is this QEMU's, and new; RAM may be a file that is not. */
static bool tcg_fresh(RAMBlock *block)
{
    return true;
}

/* Where the tags of range @i are. */
static bool find_tags_of_range(MemoryRegion *tag_memory, unsigned i,
                               Error **errp)
{
    const ArmTagRange *r = &arm_tag_ranges[i];
    uint64_t size = r->size >> TAGS_SHIFT;
    MemoryRegionSection section = memory_region_find(tag_memory,
                                                     r->gpa >> TAGS_SHIFT,
                                                     size);

    if (!section.mr || !memory_region_is_ram(section.mr) ||
        int128_get64(section.size) != size ||
        (tag_ram && tag_ram != section.mr)) {
        error_setg(errp, "mte-tags: the RAM '%s' has no tag memory, or more "
                   "than one; set the machine's page-tags to off",
                   r->block->idstr);
        return false;
    }
    tag_ram = section.mr;       /* keeps the reference: it is for ever */
    tags_of[i] = (uint8_t *)memory_region_get_ram_ptr(tag_ram) +
                 section.offset_within_region;
    return true;
}

static const PageTagsOps tcg_ops = {
    .section = "mte-tags",
    .level_name = "MTE level",
    .tag_bytes = TAG_BYTES,
    .variant_name = "MTE_frac",
    .level = arm_page_tags_level,
    .variant = arm_page_tags_frac,
    .fresh = tcg_fresh,
    .read = tcg_read,
    .write = tcg_write,
    .zero_record = MTE_TAGS_NONE,
    .pack = mte_tags_pack,
    .record_size = mte_tags_packed_size,
    .unpack = mte_tags_unpack,
};

const PageTagsOps *arm_page_tags_tcg(MemoryRegion *tag_memory, Error **errp)
{
    for (unsigned i = 0; i < arm_tag_num_ranges; i++) {
        if (!find_tags_of_range(tag_memory, i, errp)) {
            return NULL;
        }
    }
    qemu_ram_unset_migratable(tag_ram->ram_block);
    return &tcg_ops;
}
