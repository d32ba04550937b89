/*
 * MTE tags in a migration: the machine's RAM, as it is mapped
 *
 * Purpose: a provider is asked for tags by block and offset, and has to know
 * the guest's address.
 *
 * Invariants: RAM that may have tags is the machine's own: it is there from
 * the beginning to the end.  RAM of devices is mapped without MTE.  RAM that
 * is mapped twice has its lower address here, and its tags once.
 *
 * Lock rule: written once, under the BQL, then constant.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "qemu/range.h"
#include "cpu.h"
#include "exec/address-spaces.h"
#include "exec/ramblock.h"
#include "hw/boards.h"
#include "arm-page-tags.h"

ArmTagRange arm_tag_ranges[PAGE_TAGS_MAX_BLOCKS];
unsigned arm_tag_num_ranges;

const ArmTagRange *arm_tag_range(RAMBlock *block, ram_addr_t offset,
                                 uint64_t size, Error **errp)
{
    for (unsigned i = 0; i < arm_tag_num_ranges; i++) {
        const ArmTagRange *r = &arm_tag_ranges[i];

        if (r->block == block && offset >= r->offset && size <= r->size &&
            offset - r->offset <= r->size - size) {
            return r;
        }
    }
    error_setg(errp, "0x%" PRIx64 " bytes at 0x" RAM_ADDR_FMT " of %s have no "
               "tags", size, offset, block->idstr);
    return NULL;
}

unsigned arm_page_tags_level(void)
{
    return FIELD_EX64(ARM_CPU(first_cpu)->isar.id_aa64pfr1, ID_AA64PFR1, MTE);
}

unsigned arm_page_tags_frac(void)
{
    return FIELD_EX64(ARM_CPU(first_cpu)->isar.id_aa64pfr1, ID_AA64PFR1,
                      MTE_FRAC);
}

/* The machine's RAM is one region, or has one for each NUMA node in it. */
static bool is_machine_ram(const MemoryRegion *mr)
{
    const MemoryRegion *ram = current_machine->ram;

    return ram && (mr == ram || mr->container == ram);
}

/* The section, or a part of it, was seen at a lower address. */
static bool is_seen(const MemoryRegionSection *section)
{
    for (unsigned i = 0; i < arm_tag_num_ranges; i++) {
        const ArmTagRange *r = &arm_tag_ranges[i];

        if (r->block == section->mr->ram_block &&
            ranges_overlap(r->offset, r->size, section->offset_within_region,
                           int128_get64(section->size))) {
            return true;
        }
    }
    return false;
}

/* Sections come in the order of their addresses. */
static void add_range(MemoryListener *listener, MemoryRegionSection *section)
{
    if (!memory_region_is_ram(section->mr) || section->readonly ||
        !is_machine_ram(section->mr) || is_seen(section)) {
        return;
    }
    if (arm_tag_num_ranges == PAGE_TAGS_MAX_BLOCKS) {
        error_report("page-tags: the machine's RAM has more than %d parts",
                     PAGE_TAGS_MAX_BLOCKS);
        exit(1);
    }
    arm_tag_ranges[arm_tag_num_ranges++] = (ArmTagRange) {
        .block = section->mr->ram_block,
        .offset = section->offset_within_region,
        .gpa = section->offset_within_address_space,
        .size = int128_get64(section->size),
    };
}

void arm_tag_ranges_find(void)
{
    MemoryListener finder = { .name = "page-tags", .region_add = add_range };

    memory_listener_register(&finder, &address_space_memory);
    memory_listener_unregister(&finder);
}
