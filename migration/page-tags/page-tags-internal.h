/*
 * Migration of memory tags: what its files share
 *
 *     state.c        the provider, its blocks, records
 *     source.c       records after the pages of the main channel
 *     batch.c        tags on their way into the guest, whatever their channel
 *     destination.c  records from the main channel
 *     multifd.c      records at the end of a packet
 *     section.c      the section: announcement, end, refusals
 *     register.c     the machine's provider
 *
 * from leaf to root: a file calls only those above it.
 *
 * Lock rule: `ops` and `blocks` are written once, at registration; `sending`
 * under the BQL, before the first page is sent, and is atomic, as the counters
 * are: channels read it; `loaded` belongs to the thread that loads the main
 * channel, until it has come to the end.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef MIGRATION_PAGE_TAGS_INTERNAL_H
#define MIGRATION_PAGE_TAGS_INTERNAL_H

#include "qemu/stats64.h"
#include "migration/page-tags.h"
#include "migration/qemu-file-types.h"

#define PAGE_TAGS_VERSION   2

/* Where the value of a zero page is awaited: a record comes before it */
#define PAGE_TAGS_OF_ZEROS  1

typedef struct PageTagsBlock {
    RAMBlock *block;
    /*
     * Destination: a bit for each page that may have other tags than zero.
     * So the others, most of them, cost nothing when zero tags arrive.
     * Atomic.
     */
    unsigned long *tagged;
} PageTagsBlock;

/* How far the section was loaded. */
typedef enum PageTagsLoaded {
    PAGE_TAGS_NOTHING,
    PAGE_TAGS_ANNOUNCEMENT,
    PAGE_TAGS_END,
} PageTagsLoaded;

typedef struct PageTags {
    const PageTagsOps *ops;     /* NULL: this machine has no tags */
    PageTagsBlock blocks[PAGE_TAGS_MAX_BLOCKS];
    unsigned num_blocks;
    bool sending;               /* the section was announced; atomic */
    PageTagsLoaded loaded;
    Stat64 records;             /* so many were sent, or loaded */
} PageTags;

/* ---- state.c ---- */

extern PageTags page_tags;

/* The block, if it has tags; else NULL. */
PageTagsBlock *page_tags_find_block(const RAMBlock *block);

/*
 * The record of a page's tags: writes at most PAGE_TAGS_MAX_RECORD bytes, and
 * returns how many.
 */
size_t page_tags_pack(const uint8_t *tags, uint8_t *record);

/*
 * A record of @size bytes, as record_size() told; false: malformed.  Sets
 * *@tags to @buffer, which has them, or to NULL: they are zero.
 */
bool page_tags_unpack(const uint8_t *record, size_t size, uint8_t *buffer,
                      const uint8_t **tags);

/* Fail the migration with @err (freed); returns -EINVAL. */
int page_tags_fail(Error *err);

/* ---- source.c ---- */

/* A bitmap sync begins: what was read ahead is stale from now on. */
void page_tags_source_sync(void);
void page_tags_source_begin(void);
void page_tags_source_end(void);

/* ---- batch.c ---- */

/* Tags on their way into the guest: those of pages that follow each other. */
#define PAGE_TAGS_BATCH_PAGES   256

typedef struct PageTagsBatch {
    PageTagsBlock *where;
    ram_addr_t offset;
    unsigned pages;
    uint8_t tags[PAGE_TAGS_BATCH_PAGES * PAGE_TAGS_MAX_BYTES];
} PageTagsBatch;

/* The page at @offset gets @tags, which are copied; NULL means zero. */
bool page_tags_batch_add(PageTagsBatch *batch, PageTagsBlock *where,
                         ram_addr_t offset, const uint8_t *tags, Error **errp);
/* Write what was added; @batch is empty afterwards, even after a failure. */
bool page_tags_batch_flush(PageTagsBatch *batch, Error **errp);

/* ---- destination.c ---- */

void page_tags_destination_init(void);
void page_tags_destination_begin(void);
bool page_tags_destination_flush(Error **errp);
void page_tags_destination_end(void);

/* ---- multifd.c ---- */

/* Behind the announcement: a SYNC on each channel, if there are any. */
bool page_tags_multifd_sync_send(Error **errp);

/* ---- section.c ---- */

void page_tags_section_register(void);

#endif
