/*
 * MTE tags in a migration: the providers of an Arm machine
 *
 *     kvm-copy.c     the kernel's call that copies tags
 *     ranges.c       the machine's RAM, as it is mapped
 *     tcg.c          the provider under TCG: tags are RAM of their own
 *     kvm.c          the provider for KVM: tags are the kernel's
 *     provider.c     registers the provider of the accelerator
 *
 * from leaf to root.  What QEMU's KVM code asks is in
 * include/system/page-tags-kvm.h; the form of tags in the stream is
 * target/arm/mte-tags/.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TARGET_ARM_ARM_PAGE_TAGS_H
#define TARGET_ARM_ARM_PAGE_TAGS_H

#include "exec/memory.h"
#include "migration/page-tags.h"
#include "target/arm/mte-tags/mte-tags.h"

/* A page has 128 bytes of them, two tags a byte. */
#define TAGS_SHIFT  5

/* ranges.c: RAM of the machine, as it is mapped. */
typedef struct ArmTagRange {
    RAMBlock *block;
    ram_addr_t offset;          /* in the block */
    hwaddr gpa;
    uint64_t size;
} ArmTagRange;

extern ArmTagRange arm_tag_ranges[PAGE_TAGS_MAX_BLOCKS];
extern unsigned arm_tag_num_ranges;

/* Find them, when the machine is complete.  Ends QEMU if they are too many. */
void arm_tag_ranges_find(void);

/* Where @size bytes of a block are; NULL with @errp set: not in one range. */
const ArmTagRange *arm_tag_range(RAMBlock *block, ram_addr_t offset,
                                 uint64_t size, Error **errp);

/* Each where its accelerator is built; NULL with @errp set: it cannot. */
const PageTagsOps *arm_page_tags_tcg(MemoryRegion *tag_memory, Error **errp);
const PageTagsOps *arm_page_tags_kvm(void);

/*
 * What both providers announce: ID_AA64PFR1_EL1.MTE, and MTE_frac, which says
 * whether there are asynchronous faults.
 */
unsigned arm_page_tags_level(void);
unsigned arm_page_tags_frac(void);

#endif
