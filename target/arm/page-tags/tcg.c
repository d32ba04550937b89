/*
 * MTE tags in a migration: the provider under TCG
 *
 * Purpose: tag memory is RAM of its own, a byte for 32 of the guest's.  QEMU
 * migrates it as such; here it is taken out of that, and its bytes travel
 * with their pages, as they do under KVM.
 *
 * A store of tags makes a page of tag memory dirty, which has the tags of 32
 * pages.  To send only those whose tags have changed, a shadow has the tags
 * of the last sync.  A page whose tags differ becomes dirty, and is then seen
 * by the sync of QEMU's that follows.
 *
 * The helper of a tag store makes tag memory dirty first and stores then, so
 * a sync may come between the two and see no difference.  Hence at the last
 * sync, when no vCPU runs, all is compared, dirty or not.  So each page whose
 * tags changed after they were read is sent again.
 *
 * Invariants: all tag memory of the ranges is in one region of RAM.
 *
 * Lock rule: the shadow: BQL.  Tags are read while the guest may write them.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bitmap.h"
#include "qemu/cutils.h"
#include "qapi/error.h"
#include "exec/ram_addr.h"
#include "exec/ramblock.h"
#include "exec/target_page.h"
#include "page-tags.h"
#include "trace.h"

#define TAG_BYTES   RMM_TAG_BYTES

static MemoryRegion *tag_ram;
/*
 * Of each range: where its tags are in tag_ram, and the shadow of them.  Tags
 * of most pages are zero; then the shadow has no memory, and is not looked at.
 */
static struct {
    hwaddr offset;
    uint8_t *tags;
    uint8_t *shadow;
    unsigned long *used;        /* a bit a page of the shadow */
} parts[PAGE_TAGS_MAX_BLOCKS];

static uint8_t *tags_at(const ArmTagRange *r, ram_addr_t offset)
{
    return parts[r - arm_tag_ranges].tags +
           ((offset - r->offset) >> TAGS_SHIFT);
}

static bool tcg_read(RAMBlock *block, ram_addr_t offset, unsigned pages,
                     uint8_t *tags, Error **errp)
{
    const ArmTagRange *r = arm_tag_range(block, offset,
                                         (uint64_t)pages * TARGET_PAGE_SIZE,
                                         errp);

    if (r) {
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

/* Whether the @size bytes of tags at @at, within a page, are the shadow's. */
static bool is_unchanged(unsigned i, size_t at, size_t size)
{
    uint8_t *now = parts[i].tags + at;

    if (test_bit(at / TARGET_PAGE_SIZE, parts[i].used)) {
        return !memcmp(now, parts[i].shadow + at, size);
    }
    return buffer_is_zero(now, size);
}

static void copy_tags(unsigned i, size_t size)
{
    for (size_t at = 0, n; at < size; at += n) {
        n = MIN(size - at, TARGET_PAGE_SIZE);
        if (!buffer_is_zero(parts[i].tags + at, n)) {
            set_bit(at / TARGET_PAGE_SIZE, parts[i].used);
            memcpy(parts[i].shadow + at, parts[i].tags + at, n);
        }
    }
}

/* Which tags were stored to since the last call. */
static DirtyBitmapSnapshot *take_dirty(void)
{
    return cpu_physical_memory_snapshot_and_clear_dirty(
        tag_ram, 0, memory_region_size(tag_ram), DIRTY_MEMORY_MIGRATION);
}

static void tcg_end(void)
{
    for (unsigned i = 0; i < arm_tag_num_ranges; i++) {
        g_clear_pointer(&parts[i].shadow, g_free);
        g_clear_pointer(&parts[i].used, g_free);
    }
}

/* All pages are dirty now, so what has changed before does not matter. */
static bool tcg_begin(Error **errp)
{
    g_free(take_dirty());
    for (unsigned i = 0; i < arm_tag_num_ranges; i++) {
        size_t size = arm_tag_ranges[i].size >> TAGS_SHIFT;

        parts[i].shadow = g_try_malloc0(size);
        if (!parts[i].shadow) {
            error_setg(errp, "mte-tags: no memory for a copy of %zu bytes of "
                       "tags", size);
            return false;
        }
        parts[i].used = bitmap_new(DIV_ROUND_UP(size, TARGET_PAGE_SIZE));
        copy_tags(i, size);
    }
    return true;
}

/* Compares @size bytes of tags from @at on; returns how many pages differ. */
static unsigned compare(unsigned i, size_t at, size_t size)
{
    const ArmTagRange *r = &arm_tag_ranges[i];
    uint8_t *now = parts[i].tags + at, *then = parts[i].shadow + at;
    unsigned changed = 0;

    if (is_unchanged(i, at, size)) {
        return 0;
    }
    set_bit(at / TARGET_PAGE_SIZE, parts[i].used);
    for (size_t n = 0; n < size; n += TAG_BYTES) {
        if (memcmp(now + n, then + n, TAG_BYTES)) {
            memcpy(then + n, now + n, TAG_BYTES);
            cpu_physical_memory_set_dirty_flag(
                r->block->offset + r->offset + ((at + n) << TAGS_SHIFT),
                DIRTY_MEMORY_MIGRATION);
            changed++;
        }
    }
    return changed;
}

static unsigned sync_range(unsigned i, DirtyBitmapSnapshot *dirty, bool last)
{
    ram_addr_t first = memory_region_get_ram_addr(tag_ram) + parts[i].offset;
    size_t size = arm_tag_ranges[i].size >> TAGS_SHIFT, n;
    unsigned changed = 0;

    for (size_t at = 0; at < size; at += n) {
        n = MIN(size - at, TARGET_PAGE_SIZE);
        if (last ||
            cpu_physical_memory_snapshot_get_dirty(dirty, first + at, n)) {
            changed += compare(i, at, n);
        }
    }
    return changed;
}

static void tcg_sync(bool last)
{
    g_autofree DirtyBitmapSnapshot *dirty = take_dirty();
    unsigned changed = 0;

    for (unsigned i = 0; i < arm_tag_num_ranges; i++) {
        changed += sync_range(i, dirty, last);
    }
    trace_arm_page_tags_sync(changed, last);
}

/* Where the tags of a range are. */
static bool find_tags(MemoryRegion *tag_memory, unsigned i, Error **errp)
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
                   "than one; use -global migration.page-tags=off",
                   r->block->idstr);
        return false;
    }
    tag_ram = section.mr;       /* keeps the reference: it is for ever */
    parts[i].offset = section.offset_within_region;
    parts[i].tags = (uint8_t *)memory_region_get_ram_ptr(tag_ram) +
                    parts[i].offset;
    return true;
}

static const PageTagsOps tcg_ops = {
    .section = "mte-tags",
    .level_name = "MTE level",
    .tag_bytes = TAG_BYTES,
    .level = arm_page_tags_level,
    .begin = tcg_begin,
    .end = tcg_end,
    .sync = tcg_sync,
    .read = tcg_read,
    .write = tcg_write,
    .pack = arm_page_tags_pack,
    .record_size = arm_page_tags_record_size,
    .unpack = arm_page_tags_unpack,
};

const PageTagsOps *arm_page_tags_tcg(MemoryRegion *tag_memory, Error **errp)
{
    for (unsigned i = 0; i < arm_tag_num_ranges; i++) {
        if (!find_tags(tag_memory, i, errp)) {
            return NULL;
        }
    }
    qemu_ram_unset_migratable(tag_ram->ram_block);
    return &tcg_ops;
}
