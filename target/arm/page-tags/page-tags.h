/*
 * MTE tags in a migration: the providers of an Arm machine
 *
 *     provider.c     finds the machine's RAM, registers the provider
 *     record.c       tags of a page in the stream
 *     tcg.c          tags are RAM of their own
 *     kvm.c          tags are the kernel's
 *     kvm-copy.c     the kernel's call for that
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TARGET_ARM_PAGE_TAGS_H
#define TARGET_ARM_PAGE_TAGS_H

#include "exec/memory.h"
#include "migration/page-tags.h"
#include "target/arm/rmm/tags.h"

/* A page has 128 bytes of them, two tags a byte. */
#define TAGS_SHIFT  5

/* RAM of the machine, as it is mapped. */
typedef struct ArmTagRange {
    RAMBlock *block;
    ram_addr_t offset;          /* in the block */
    hwaddr gpa;
    uint64_t size;
} ArmTagRange;

extern ArmTagRange arm_tag_ranges[PAGE_TAGS_MAX_BLOCKS];
extern unsigned arm_tag_num_ranges;

/* Where @size bytes of a block are; NULL with @errp set: not in one range. */
const ArmTagRange *arm_tag_range(RAMBlock *block, ram_addr_t offset,
                                 uint64_t size, Error **errp);

/* PageTagsOps */
unsigned arm_page_tags_level(void);
size_t arm_page_tags_record_size(const uint8_t *record, size_t have);
bool arm_page_tags_unpack(const uint8_t *record, size_t size, uint8_t *tags);

/* Each where its accelerator is built; NULL with @errp set: it cannot. */
const PageTagsOps *arm_page_tags_tcg(MemoryRegion *tag_memory, Error **errp);
const PageTagsOps *arm_page_tags_kvm(void);

#endif
