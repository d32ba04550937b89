/*
 * Migration of memory tags: records from the main channel
 *
 * Invariants: a record is bounded before it is read, and decoded before any
 * tag is written.  With multifd the main channel has only zero pages, which
 * are written at once: a later packet of another channel may have the same
 * page.
 *
 * Lock rule: the thread that loads the main channel.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bitmap.h"
#include "qapi/error.h"
#include "exec/ramblock.h"
#include "exec/target_page.h"
#include "migration/migration.h"
#include "migration/options.h"
#include "migration/qemu-file.h"
#include "system/runstate.h"
#include "hooks.h"
#include "page-tags-internal.h"

/* Of the migration that is being loaded. */
static struct MainChannel {
    PageTagsBatch batch;
    uint8_t record[PAGE_TAGS_MAX_RECORD];
    uint8_t tags[PAGE_TAGS_MAX_BYTES];
} *main_channel;

static bool has_run;            /* so the guest may have made any tag */

/* RAM that has tags is loaded only while its tags come with it. */
static bool check_announced(Error **errp)
{
    if (page_tags.loaded == PAGE_TAGS_NOTHING) {
        error_setg(errp, "the source sends RAM without tags, and this machine "
                   "has %s %u; give both sides the same machine, with its "
                   "properties mte and page-tags, and the same CPU",
                   page_tags.ops->level_name, page_tags.ops->level());
    } else if (page_tags.loaded == PAGE_TAGS_END) {
        error_setg(errp, "the source sends RAM behind the end of its tags");
    }
    return page_tags.loaded == PAGE_TAGS_ANNOUNCEMENT;
}

/* Sets *@tags to the tags of the next record, or to NULL: they are zero. */
static bool get_record(QEMUFile *f, const uint8_t **tags, Error **errp)
{
    uint8_t *record = main_channel->record;
    size_t have = 1, size;

    record[0] = qemu_get_byte(f);
    if (qemu_file_get_error(f)) {
        error_setg(errp, "the stream ends before a record of tags");
        return false;
    }
    stat64_add(&page_tags.records, 1);
    size = page_tags.ops->record_size(record, have);
    while (have < size && size <= PAGE_TAGS_MAX_RECORD) {
        if (qemu_get_buffer(f, record + have, size - have) != size - have) {
            error_setg(errp, "the stream ends within a record of tags");
            return false;
        }
        have = size;
        size = page_tags.ops->record_size(record, have);
    }
    if (size != have ||
        !page_tags_unpack(record, size, main_channel->tags, tags)) {
        error_setg(errp, "malformed record of tags: it begins with the byte "
                   "%u", record[0]);
        return false;
    }
    return true;
}

/* @f: has the record next; NULL: there is none, the tags are zero. */
static int get_tags(QEMUFile *f, RAMBlock *block, ram_addr_t offset)
{
    PageTagsBlock *where = page_tags_find_block(block);
    const uint8_t *tags = NULL;
    Error *err = NULL;

    if (!where) {
        return 0;
    }
    if (check_announced(&err) && (!f || get_record(f, &tags, &err)) &&
        page_tags_batch_add(&main_channel->batch, where, offset, tags, &err) &&
        (!migrate_multifd() || page_tags_destination_flush(&err))) {
        return 0;
    }
    error_prepend(&err, "page 0x" RAM_ADDR_FMT " of %s: ", offset,
                  block->idstr);
    return page_tags_fail(err);
}

int page_tags_get(QEMUFile *f, RAMBlock *block, ram_addr_t offset)
{
    return get_tags(f, block, offset);
}

int page_tags_get_zero(QEMUFile *f, RAMBlock *block, ram_addr_t offset,
                       uint8_t *value)
{
    bool record = *value == PAGE_TAGS_OF_ZEROS && page_tags_find_block(block);
    int ret = get_tags(record ? f : NULL, block, offset);

    if (record) {
        *value = ret ? 0 : qemu_get_byte(f);
    }
    return ret;
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

        bool unknown = has_run;

        if (!b->tagged) {
            b->tagged = bitmap_new(pages);
            unknown |= !page_tags.ops->fresh(b->block);
        }
        if (unknown) {
            bitmap_fill(b->tagged, pages);
        }
    }
    /* There may be one of a migration that ended in its setup. */
    page_tags_destination_end();
    main_channel = g_new0(struct MainChannel, 1);
}

bool page_tags_destination_flush(Error **errp)
{
    return page_tags_batch_flush(&main_channel->batch, errp);
}

void page_tags_destination_end(void)
{
    g_clear_pointer(&main_channel, g_free);
}
