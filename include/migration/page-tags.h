/*
 * Migration of memory tags: what a kind of tags offers, and how it is enabled
 *
 * Purpose: some machines keep a few bytes of tags beside each page of RAM.
 * They migrate with their page: migration/page-tags/ has the stream, and a
 * provider behind PageTagsOps reads and writes the tags.  Nothing here knows
 * what they mean.
 *
 * Invariants: a store of tags makes its page dirty, as a store of data does.
 * A machine has at most one provider, which is registered before any migration
 * begins, and stays.
 *
 * Lock rule: registration under the BQL; for the rest see each callback.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef MIGRATION_PAGE_TAGS_H
#define MIGRATION_PAGE_TAGS_H

#include "exec/cpu-common.h"

/* Bounds for any provider, so that buffers have a known size. */
#define PAGE_TAGS_MAX_BYTES     128
#define PAGE_TAGS_MAX_RECORD    (1 + PAGE_TAGS_MAX_BYTES)
#define PAGE_TAGS_MAX_BLOCKS    16

typedef struct PageTagsOps {
    /* Name of the section in the stream; begins every message. */
    const char *section;
    /* What a level is called in messages, as in "MTE level" */
    const char *level_name;
    /* Bytes of tags of a target page */
    unsigned tag_bytes;

    /* And what else has to be equal on source and destination */
    const char *variant_name;

    /* Equal on source and destination.  BQL. */
    unsigned (*level)(void);
    unsigned (*variant)(void);

    /*
     * A destination, whose guest has not run: all tags of @block that were
     * not written are zero, and stay so when those of other pages are.
     */
    bool (*fresh)(RAMBlock *block);

    /*
     * Tags of @pages pages that follow each other in @block.  Any thread, and
     * several at once.  A failure has address and length in its message.
     * @zero: all of them are zero, and what is in @tags has no meaning.
     */
    bool (*read)(RAMBlock *block, ram_addr_t offset, unsigned pages,
                 uint8_t *tags, bool *zero, Error **errp);
    bool (*write)(RAMBlock *block, ram_addr_t offset, unsigned pages,
                  const uint8_t *tags, Error **errp);

    /*
     * A record is the form of a page's tags in the stream.  No lock.
     * Most pages have no tags but zero; their record is this one byte.
     */
    uint8_t zero_record;
    /* Writes at most PAGE_TAGS_MAX_RECORD bytes, and returns how many. */
    size_t (*pack)(const uint8_t *tags, uint8_t *record);
    /*
     * How many bytes a record has, as far as its first @have bytes, at least
     * one, tell: at most PAGE_TAGS_MAX_RECORD.  0: malformed.
     */
    size_t (*record_size)(const uint8_t *record, size_t have);
    /*
     * Writes the tags of a record of @size bytes, as record_size() told.
     * Returns how many of them it is, all; else it is malformed, and @tags is
     * as before.
     */
    size_t (*unpack)(const uint8_t *record, size_t size, uint8_t *tags);
} PageTagsOps;

/*
 * The machine has tags, those of the @n blocks, which exist and are mapped
 * for the life of the machine.
 */
void page_tags_register(const PageTagsOps *ops, RAMBlock *const *blocks,
                        unsigned n);

#endif
