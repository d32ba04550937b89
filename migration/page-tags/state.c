/*
 * Migration of memory tags: the provider, its blocks, records
 *
 * Purpose: what all files here need, and what needs none of them.
 *
 * Invariants and lock rule: page-tags-internal.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "qemu/cutils.h"
#include "migration/migration.h"
#include "migration/misc.h"
#include "page-tags-internal.h"

PageTags page_tags;

PageTagsBlock *page_tags_find_block(const RAMBlock *block)
{
    for (unsigned i = 0; i < page_tags.num_blocks; i++) {
        if (page_tags.blocks[i].block == block) {
            return &page_tags.blocks[i];
        }
    }
    return NULL;
}

size_t page_tags_pack(const uint8_t *tags, uint8_t *record)
{
    if (!buffer_is_zero(tags, page_tags.ops->tag_bytes)) {
        return page_tags.ops->pack(tags, record);
    }
    record[0] = page_tags.ops->zero_record;
    return 1;
}

bool page_tags_unpack(const uint8_t *record, size_t size, uint8_t *buffer,
                      const uint8_t **tags)
{
    if (record[0] == page_tags.ops->zero_record) {
        *tags = NULL;
        return size == 1;
    }
    *tags = buffer;
    return page_tags.ops->unpack(record, size, buffer) == size;
}

int page_tags_fail(Error *err)
{
    error_prepend(&err, "%s: ", page_tags.ops->section);
    migrate_set_error(migrate_get_current(), err);
    error_report_err(err);
    return -EINVAL;
}
