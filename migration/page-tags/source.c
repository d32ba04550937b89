/*
 * Migration of memory tags: records after the pages of the main channel
 *
 * Purpose: a page record of RAM with tags is followed by one record of its
 * tags.  A zero page has one before the byte of its value, behind
 * PAGE_TAGS_OF_ZEROS, if it has tags, and none if it has not.
 *
 * Providers prefer to be asked for many pages at once, so tags are read
 * ahead.  Why this is right: let page P be sent at time s with tags that were
 * read at time r < s.
 *  - P's dirty log was cleared at a time c < r: the log of its whole chunk is
 *    cleared before any page of the chunk is sent, and nothing is read beyond
 *    the chunk of the page that asks.  With KVM's dirty ring there are no
 *    chunks: the sync that set P's bit has reset the rings before, so c is
 *    then, and nothing is read but pages whose bits are set.
 *  - So a store to P's tags after r is in the log, and is seen by the next
 *    sync.  If that sync comes after s, P is sent again.
 *  - If it came between r and s, it would find P's bit still set, P would go
 *    out once, with the tags of r, and the store would be lost.  Hence every
 *    sync drops what was read ahead.
 *
 * Lock rule: the migration thread; the epoch is written by whoever syncs.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bitmap.h"
#include "qemu/cutils.h"
#include "qapi/error.h"
#include "exec/ramblock.h"
#include "exec/target_page.h"
#include "migration/migration.h"
#include "migration/qemu-file.h"
#include "migration/ram.h"
#include "hooks.h"
#include "page-tags-internal.h"

#define AHEAD_PAGES 256

static struct {
    uint8_t *tags;              /* of AHEAD_PAGES pages */
    RAMBlock *block;
    unsigned long first;        /* page in the block */
    unsigned pages;             /* 0: nothing was read */
    unsigned epoch;             /* when that was */
    bool zero;                  /* all of them, as most are */
} ahead;

static unsigned epoch_now;

void page_tags_source_sync(void)
{
    qatomic_inc(&epoch_now);
}

void page_tags_source_begin(void)
{
    ahead.tags = g_malloc(AHEAD_PAGES * PAGE_TAGS_MAX_BYTES);
    ahead.pages = 0;
}

void page_tags_source_end(void)
{
    g_clear_pointer(&ahead.tags, g_free);
}

/* From @page on: how many pages will be sent next, and may be read. */
static unsigned pages_ahead(RAMBlock *block, unsigned long page)
{
    unsigned long end = block->used_length >> qemu_target_page_bits();

    end = MIN(end, page + AHEAD_PAGES);
    if (block->clear_bmap) {
        end = MIN(end, QEMU_ALIGN_UP(page + 1,
                                     1UL << block->clear_bmap_shift));
    }
    if (!block->bmap) {
        return 1;
    }
    return find_next_zero_bit(block->bmap, end, page + 1) - page;
}

static bool read_ahead(RAMBlock *block, unsigned long page, Error **errp)
{
    ahead.epoch = qatomic_read(&epoch_now);
    ahead.block = block;
    ahead.first = page;
    ahead.pages = pages_ahead(block, page);
    if (!page_tags.ops->read(block,
                             (ram_addr_t)page << qemu_target_page_bits(),
                             ahead.pages, ahead.tags, &ahead.zero, errp)) {
        ahead.pages = 0;
        return false;
    }
    return true;
}

/* The tags of a page that is about to be sent; NULL with @errp set. */
static const uint8_t *tags_of_page(RAMBlock *block, ram_addr_t offset,
                                   Error **errp)
{
    unsigned long page = offset >> qemu_target_page_bits();
    bool known = ahead.pages && ahead.block == block &&
                 page >= ahead.first && page - ahead.first < ahead.pages &&
                 ahead.epoch == qatomic_read(&epoch_now);

    if (!known && !read_ahead(block, page, errp)) {
        return NULL;
    }
    return ahead.tags + (page - ahead.first) * page_tags.ops->tag_bytes;
}

/* Apart: an array on the stack is cleared first (-ftrivial-auto-var-init). */
static size_t put_record(QEMUFile *f, const uint8_t *tags)
{
    uint8_t record[PAGE_TAGS_MAX_RECORD];
    size_t size = page_tags_pack(tags, record);

    qemu_put_buffer(f, record, size);
    return size;
}

/* *@tags: NULL if the page's RAM has none.  False: the migration has failed. */
static bool tags_to_send(QEMUFile *f, RAMBlock *block, ram_addr_t offset,
                         const uint8_t **tags)
{
    Error *err = NULL;

    *tags = NULL;
    if (!qatomic_read(&page_tags.sending) || !page_tags_find_block(block)) {
        return true;
    }
    *tags = tags_of_page(block, offset, &err);
    if (!*tags) {
        qemu_file_set_error(f, page_tags_fail(err));
    }
    return *tags;
}

static void count_record(size_t size)
{
    ram_transferred_add(size);
    stat64_add(&page_tags.records, 1);
}

bool page_tags_put(QEMUFile *f, RAMBlock *block, ram_addr_t offset)
{
    const uint8_t *tags;
    bool ok = tags_to_send(f, block, offset, &tags);

    if (tags && ahead.zero) {
        qemu_put_byte(f, page_tags.ops->zero_record);
        count_record(1);
    } else if (tags) {
        count_record(put_record(f, tags));
    }
    return ok;
}

void page_tags_put_zero(QEMUFile *f, RAMBlock *block, ram_addr_t offset)
{
    const uint8_t *tags;

    if (tags_to_send(f, block, offset, &tags) && tags && !ahead.zero &&
        !buffer_is_zero(tags, page_tags.ops->tag_bytes)) {
        qemu_put_byte(f, PAGE_TAGS_OF_ZEROS);
        count_record(1 + put_record(f, tags));
    }
}
