/*
 * Migration of memory tags: tags on their way into the guest
 *
 * Purpose: write the tags of pages that follow each other at once, whatever
 * their channel, and write none where zero tags are already.
 *
 * Invariants: tags of a page are written in the order in which they were
 * added: a page that comes again ends the batch that has it.  The bit of a
 * page that may have tags is set before they are written, and cleared after
 * they are gone.
 *
 * Lock rule: a batch belongs to one thread.  Bits are atomic, since pages of
 * one word may be on several channels; a page is on one at a time, as for its
 * data.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bitmap.h"
#include "qemu/cutils.h"
#include "exec/target_page.h"
#include "page-tags-internal.h"

bool page_tags_batch_flush(PageTagsBatch *batch, Error **errp)
{
    unsigned long first = batch->offset >> qemu_target_page_bits();
    size_t size = page_tags.ops->tag_bytes;
    unsigned pages = batch->pages;

    batch->pages = 0;
    if (!pages) {
        return true;
    }
    if (!page_tags.ops->write(batch->where->block, batch->offset, pages,
                              batch->tags, errp)) {
        return false;
    }
    /* Pages whose tags are zero now need no more of these. */
    for (unsigned i = 0; i < pages; i++) {
        if (buffer_is_zero(batch->tags + i * size, size)) {
            clear_bit_atomic(first + i, batch->where->tagged);
        }
    }
    return true;
}

static bool continues(const PageTagsBatch *batch, const PageTagsBlock *where,
                      ram_addr_t offset)
{
    return batch->where == where && batch->pages < PAGE_TAGS_BATCH_PAGES &&
           offset == batch->offset + ((ram_addr_t)batch->pages
                                      << qemu_target_page_bits());
}

bool page_tags_batch_add(PageTagsBatch *batch, PageTagsBlock *where,
                         ram_addr_t offset, const uint8_t *tags, Error **errp)
{
    unsigned long page = offset >> qemu_target_page_bits();
    size_t size = page_tags.ops->tag_bytes;

    if (tags && !buffer_is_zero(tags, size)) {
        set_bit_atomic(page, where->tagged);
    } else if (!test_bit(page, where->tagged)) {
        return true;            /* they are zero already */
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
