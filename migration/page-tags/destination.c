/*
 * Migration of memory tags: what becomes of records
 *
 * Purpose: read records from the main channel, and write the tags of pages
 * that follow each other at once, whatever their channel.
 *
 * Invariants: a record is bounded before it is read, and decoded before any
 * tag is written.  Tags of a page are written in the order in which they
 * came: a page that comes again ends the batch that has it.  With multifd the
 * main channel has only zero pages, which are written at once: a later
 * packet of another channel may have the same page.  The bit of a page that
 * may have tags is set before they are written, and cleared after they are
 * gone.
 *
 * Lock rule: the main channel's batch: the thread that loads it.  Bits are
 * atomic, since pages of one word may be on several channels; a page is on
 * one at a time, as for its data.
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
#include "migration/options.h"
#include "migration/qemu-file.h"
#include "system/runstate.h"
#include "hooks.h"
#include "page-tags.h"

static PageTagsBatch *main_batch;
static bool has_run;            /* so the guest may have made any tag */

/* The pages of @batch whose tags are zero now need no more of these. */
static void forget_tagged(const PageTagsBatch *batch, unsigned pages)
{
    unsigned long first = batch->offset >> qemu_target_page_bits();
    size_t size = page_tags.ops->tag_bytes;

    for (unsigned i = 0; i < pages; i++) {
        if (buffer_is_zero(batch->tags + i * size, size)) {
            clear_bit_atomic(first + i, batch->where->tagged);
        }
    }
}

bool page_tags_batch_flush(PageTagsBatch *batch, Error **errp)
{
    unsigned pages = batch->pages;

    batch->pages = 0;
    if (!pages) {
        return true;
    }
    if (!page_tags.ops->write(batch->where->block, batch->offset, pages,
                              batch->tags, errp)) {
        return false;
    }
    forget_tagged(batch, pages);
    return true;
}

static bool continues(const PageTagsBatch *batch, const PageTagsBlock *where,
                      ram_addr_t offset)
{
    return batch->where == where && batch->pages < PAGE_TAGS_BATCH_PAGES &&
           offset == batch->offset + ((ram_addr_t)batch->pages
                                      << qemu_target_page_bits());
}

/* Whether the page's tags, which become @tagged, need to be written. */
static bool needs_write(PageTagsBlock *where, ram_addr_t offset, bool tagged)
{
    unsigned long page = offset >> qemu_target_page_bits();

    if (tagged) {
        set_bit_atomic(page, where->tagged);
    }
    return test_bit(page, where->tagged);
}

bool page_tags_batch_add(PageTagsBatch *batch, PageTagsBlock *where,
                         ram_addr_t offset, const uint8_t *tags, Error **errp)
{
    size_t size = page_tags.ops->tag_bytes;

    if (!needs_write(where, offset, tags && !buffer_is_zero(tags, size))) {
        return true;
    }
    if (!continues(batch, where, offset)) {
        if (!page_tags_batch_flush(batch, errp)) {
            return false;
        }
        batch->where = where;
        batch->offset = offset;
    }
    if (tags) {
        memcpy(batch->tags + batch->pages * size, tags, size);
    } else {
        memset(batch->tags + batch->pages * size, 0, size);
    }
    batch->pages++;
    return true;
}

bool page_tags_unpack(const uint8_t *record, size_t size, uint8_t *buffer,
                      const uint8_t **tags)
{
    bool zero = record[0] == page_tags.ops->zero_record;

    *tags = zero ? NULL : buffer;
    return zero ? size == 1 : page_tags.ops->unpack(record, size, buffer);
}

/* The rest of a record that begins with @kind. */
static bool read_record(QEMUFile *f, uint8_t kind, uint8_t *buffer,
                        const uint8_t **tags, Error **errp)
{
    uint8_t record[PAGE_TAGS_MAX_RECORD] = { kind };
    size_t have = 1, size = page_tags.ops->record_size(record, have);

    while (have < size && size <= sizeof(record)) {
        if (qemu_get_buffer(f, record + have, size - have) != size - have) {
            error_setg(errp, "the stream ends within a record of tags");
            return false;
        }
        have = size;
        size = page_tags.ops->record_size(record, have);
    }
    if (size != have || !page_tags_unpack(record, size, buffer, tags)) {
        error_setg(errp, "malformed record of tags: it begins with the byte "
                   "%u", kind);
        return false;
    }
    return true;
}

/* @tags: NULL means zero. */
static bool take_tags(PageTagsBlock *where, ram_addr_t offset,
                      const uint8_t *tags, Error **errp)
{
    return page_tags_batch_add(main_batch, where, offset, tags, errp) &&
           (!main_batch->pages || !migrate_multifd() ||
            page_tags_batch_flush(main_batch, errp));
}

/* Apart: arrays on the stack are cleared, and most records have one byte. */
static bool take_record(QEMUFile *f, uint8_t kind, PageTagsBlock *where,
                        ram_addr_t offset, Error **errp)
{
    uint8_t buffer[PAGE_TAGS_MAX_BYTES];
    const uint8_t *tags;

    return read_record(f, kind, buffer, &tags, errp) &&
           take_tags(where, offset, tags, errp);
}

static bool get_record(QEMUFile *f, PageTagsBlock *where, ram_addr_t offset,
                       Error **errp)
{
    uint8_t kind = qemu_get_byte(f);

    if (qemu_file_get_error(f)) {
        error_setg(errp, "the stream ends before a record of tags");
        return false;
    }
    stat64_add(&page_tags.records, 1);
    return kind == page_tags.ops->zero_record
           ? take_tags(where, offset, NULL, errp)
           : take_record(f, kind, where, offset, errp);
}

static bool check_announced(Error **errp)
{
    if (page_tags.loaded == PAGE_TAGS_NOTHING) {
        error_setg(errp, "the source sends RAM without tags, and this machine "
                   "has %s %u; give both sides the same machine and CPU "
                   "options, and the same page-tags property",
                   page_tags.ops->level_name, page_tags.ops->level());
    } else if (page_tags.loaded == PAGE_TAGS_END) {
        error_setg(errp, "the source sends RAM behind the end of its tags");
    }
    return page_tags.loaded == PAGE_TAGS_ANNOUNCEMENT;
}

/* @f: NULL for a page of zeros, which has no record. */
static bool get_tags(QEMUFile *f, PageTagsBlock *where, ram_addr_t offset,
                     Error **errp)
{
    return check_announced(errp) &&
           (f ? get_record(f, where, offset, errp)
              : take_tags(where, offset, NULL, errp));
}

static int get(QEMUFile *f, RAMBlock *block, ram_addr_t offset)
{
    PageTagsBlock *where = page_tags_find(block);
    Error *err = NULL;

    if (where && !get_tags(f, where, offset, &err)) {
        error_prepend(&err, "page 0x" RAM_ADDR_FMT " of %s: ", offset,
                      block->idstr);
        return page_tags_fail(err);
    }
    return 0;
}

int page_tags_get(QEMUFile *f, RAMBlock *block, ram_addr_t offset)
{
    return get(f, block, offset);
}

int page_tags_get_zero(RAMBlock *block, ram_addr_t offset)
{
    return get(NULL, block, offset);
}

static void vm_state_changed(void *opaque, bool running, RunState state)
{
    has_run |= running;
}

void page_tags_destination_init(void)
{
    qemu_add_vm_change_state_handler(vm_state_changed, NULL);
}

void page_tags_destination_begin(void)
{
    for (unsigned i = 0; i < page_tags.num_blocks; i++) {
        PageTagsBlock *b = &page_tags.blocks[i];
        long pages = b->block->max_length >> qemu_target_page_bits();

        if (!b->tagged) {
            b->tagged = bitmap_new(pages);
        }
        if (has_run) {
            bitmap_fill(b->tagged, pages);
        }
    }
    /* There may be one of a migration that ended in its setup. */
    page_tags_destination_end();
    main_batch = g_new0(PageTagsBatch, 1);
}

bool page_tags_destination_flush(Error **errp)
{
    return page_tags_batch_flush(main_batch, errp);
}

void page_tags_destination_end(void)
{
    g_clear_pointer(&main_batch, g_free);
}
