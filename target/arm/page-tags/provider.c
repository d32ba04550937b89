/*
 * MTE tags in a migration: the provider of an Arm machine
 *
 * Purpose: once the machine is complete, find out whether it has MTE and
 * where its RAM is, and register the provider for its accelerator.  Under TCG
 * only if asked: there tag memory is RAM that migrates as such, and did so
 * before this existed.
 *
 * In a Realm this is for its shared memory; tags of private memory are the
 * RMM's, in the section of the Realm.  Under TCG, tag memory of the shared half
 * migrates as RAM whatever was asked, since the CPUs' tag memory is private.
 *
 * Invariants: RAM that may have tags is the machine's own: it is there from
 * the beginning to the end.  RAM of devices is mapped without MTE.
 *
 * Lock rule: written once, under the BQL, then constant.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "cpu.h"
#include "exec/address-spaces.h"
#include "exec/ramblock.h"
#include "hw/boards.h"
#include "qemu/module.h"
#include "system/kvm.h"
#include "system/page-tags-kvm.h"
#include "system/realm-kvm.h"
#include "system/system.h"
#include "system/tcg.h"
#include "page-tags.h"

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

/* The machine's RAM is one region, or has one for each NUMA node in it. */
static bool is_machine_ram(const MemoryRegion *mr)
{
    const MemoryRegion *ram = current_machine->ram;

    return ram && (mr == ram || mr->container == ram);
}

static void add_range(MemoryListener *listener, MemoryRegionSection *section)
{
    if (!memory_region_is_ram(section->mr) || section->readonly ||
        !is_machine_ram(section->mr) ||
        (kvm_enabled() && realm_kvm_hides(section))) {
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

static void find_ranges(void)
{
    MemoryListener finder = { .name = "page-tags", .region_add = add_range };

    memory_listener_register(&finder, &address_space_memory);
    memory_listener_unregister(&finder);
}

static void register_provider(const PageTagsOps *ops)
{
    RAMBlock *blocks[PAGE_TAGS_MAX_BLOCKS];

    for (unsigned i = 0; i < arm_tag_num_ranges; i++) {
        blocks[i] = arm_tag_ranges[i].block;
    }
    page_tags_register(ops, blocks, arm_tag_num_ranges);
}

/* QEMU, which finds out while it makes vCPUs, would abort. */
static void refuse_only_migratable(void)
{
    if (only_migratable) {
        error_report("mte=on with KVM and -global migration.page-tags=off "
                     "cannot migrate, and --only-migratable is given; set "
                     "page-tags to auto");
        exit(1);
    }
}

bool arm_page_tags_migrate(void)
{
    if (current_machine->cgs && !kvm_enabled()) {
        return false;
    }
    if (page_tags_wanted(kvm_enabled())) {
        return true;
    }
    if (kvm_enabled()) {
        refuse_only_migratable();
    }
    return false;
}

/* What the CPU was given to keep tags: they have it all, or none has. */
static bool has_tags(ARMCPU *cpu)
{
    return tcg_enabled() ? cpu->tag_memory != NULL : cpu->kvm_mte;
}

static const PageTagsOps *find_ops(ARMCPU *cpu)
{
#ifdef CONFIG_KVM
    if (kvm_enabled()) {
        return arm_page_tags_kvm();
    }
#endif
#ifdef CONFIG_TCG
    if (tcg_enabled()) {
        return arm_page_tags_tcg(cpu->tag_memory, &error_fatal);
    }
#endif
    return NULL;
}

static void machine_done(Notifier *notifier, void *unused)
{
    const PageTagsOps *ops;
    ARMCPU *cpu;

    if (!first_cpu || !object_dynamic_cast(OBJECT(first_cpu), TYPE_ARM_CPU)) {
        return;
    }
    cpu = ARM_CPU(first_cpu);
    if (!has_tags(cpu) || !arm_page_tags_migrate()) {
        return;
    }
    find_ranges();
    ops = find_ops(cpu);
    if (ops) {
        register_provider(ops);
    }
}

static void notify_when_done(void)
{
    static Notifier notifier = { .notify = machine_done };

    qemu_add_machine_init_done_notifier(&notifier);
}

migration_init(notify_when_done);
