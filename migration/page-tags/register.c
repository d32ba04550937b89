/*
 * Migration of memory tags: the machine's one provider
 *
 * Purpose: what is set up when a machine has tags that migrate this way.
 *
 * Invariants and lock rule: page-tags-internal.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "exec/memory.h"
#include "exec/address-spaces.h"
#include "page-tags-internal.h"

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
