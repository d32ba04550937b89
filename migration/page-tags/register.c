/*
 * Migration of memory tags: the property, and the machine's one provider
 *
 * Purpose: -global migration.page-tags=on|off|auto, and what is set up when a
 * machine has tags that migrate this way.
 *
 * Invariants and lock rule: page-tags-internal.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/qapi-types-common.h"
#include "qemu/module.h"
#include "exec/memory.h"
#include "exec/address-spaces.h"
#include "migration/migration.h"
#include "migration/misc.h"
#include "page-tags-internal.h"

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
