/*
 * Migration of memory tags: the provider, its blocks, the property
 *
 * Purpose: -global migration.page-tags=on|off|auto, and the one provider
 * that a machine may have.
 *
 * Invariants and lock rule: page-tags.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-types-common.h"
#include "qemu/error-report.h"
#include "qemu/module.h"
#include "qemu/cutils.h"
#include "exec/memory.h"
#include "exec/address-spaces.h"
#include "migration/migration.h"
#include "migration/misc.h"
#include "page-tags.h"

PageTags page_tags;

static int page_tags_property = ON_OFF_AUTO_AUTO;

static int get_property(Object *obj, Error **errp)
{
    return page_tags_property;
}

static void set_property(Object *obj, int value, Error **errp)
{
    page_tags_property = value;
}

bool page_tags_wanted(bool automatic)
{
    return page_tags_property == ON_OFF_AUTO_AUTO
           ? automatic : page_tags_property == ON_OFF_AUTO_ON;
}

PageTagsBlock *page_tags_find(const RAMBlock *block)
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

int page_tags_fail(Error *err)
{
    error_prepend(&err, "%s: ", page_tags.ops->section);
    migrate_set_error(migrate_get_current(), err);
    error_report_err(err);
    return -EINVAL;
}

/* Called also when a display looks for what to draw; then it costs little. */
static void log_sync(MemoryListener *listener, bool last_stage)
{
    if (qatomic_read(&page_tags.sending)) {
        page_tags_source_sync();
    }
}

static MemoryListener page_tags_listener = {
    .name = "page-tags",
    .log_sync_global = log_sync,
};

void page_tags_register(const PageTagsOps *ops, RAMBlock *const *blocks,
                        unsigned n)
{
    assert(!page_tags.ops && n <= PAGE_TAGS_MAX_BLOCKS);
    assert(ops->tag_bytes <= PAGE_TAGS_MAX_BYTES);
    for (unsigned i = 0; i < n; i++) {
        page_tags.blocks[i].block = blocks[i];
    }
    page_tags.num_blocks = n;
    page_tags.ops = ops;
    memory_listener_register(&page_tags_listener, &address_space_memory);
    page_tags_destination_init();
    page_tags_section_register();
}

/* Before the object "migration" is created, and gets its -global options. */
static void add_property(void)
{
    ObjectClass *klass = object_class_by_name(TYPE_MIGRATION);

    object_class_property_add_enum(klass, "page-tags", "OnOffAuto",
                                   &OnOffAuto_lookup, get_property,
                                   set_property);
    object_class_property_set_description(klass, "page-tags",
        "memory tags migrate with their pages; auto: with KVM only");
}

migration_init(add_property);
