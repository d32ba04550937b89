/*
 * MTE tags in a migration: the provider of an Arm machine
 *
 * Purpose: -M virt,page-tags=on|off|auto; and once the machine is complete,
 * find out whether it has MTE, and register the provider of its accelerator.
 * Under TCG only if the user asks for it: there tag memory is RAM that QEMU
 * migrates as such.
 *
 * Lock rule: BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "cpu.h"
#include "hw/arm/virt.h"
#include "hw/boards.h"
#include "hw/virtio/virtio-md-pci.h"
#include "qemu/module.h"
#include "system/kvm.h"
#include "system/page-tags-kvm.h"
#include "system/system.h"
#include "system/tcg.h"
#include "arm-page-tags.h"

/* migration/page-tags/ has buffers of these sizes for mte_tags_pack to fill. */
QEMU_BUILD_BUG_ON(MTE_TAGS_BYTES != PAGE_TAGS_MAX_BYTES);
QEMU_BUILD_BUG_ON(MTE_TAGS_MAX_PACKED != PAGE_TAGS_MAX_RECORD);

static int page_tags_property = ON_OFF_AUTO_AUTO;

static int get_page_tags(Object *obj, Error **errp)
{
    return page_tags_property;
}

static void set_page_tags(Object *obj, int value, Error **errp)
{
    page_tags_property = value;
}

/* With KVM a machine with MTE could not migrate otherwise. */
static bool is_wanted(void)
{
    return page_tags_property == ON_OFF_AUTO_AUTO
           ? kvm_enabled() : page_tags_property == ON_OFF_AUTO_ON;
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
        error_report("mte=on with KVM and page-tags=off cannot migrate, and "
                     "--only-migratable is given; set page-tags to auto");
        exit(1);
    }
}

bool arm_page_tags_migrate(void)
{
    /*
     * Under TCG the tags of what a confidential guest shares are RAM that
     * migrates as such, whatever the user asks for: the CPUs' own tag memory
     * is private.
     */
    if (current_machine->cgs && !kvm_enabled()) {
        return false;
    }
    if (is_wanted()) {
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

/*
 * Under TCG such memory has no tags.  The kernel has them, but blocks of RAM
 * that come and go are none that migration/page-tags/ knows.
 */
bool arm_page_tags_refuses_device(DeviceState *dev, Error **errp)
{
    if (!object_dynamic_cast(OBJECT(dev), TYPE_VIRTIO_MD_PCI) ||
        !kvm_enabled() || !has_tags(ARM_CPU(first_cpu)) || !is_wanted()) {
        return false;
    }
    error_setg(errp, "%s: with KVM and mte=on, the tags of its memory would "
               "not migrate; give the machine all of its memory with -m, or "
               "set its page-tags to off, then it does not migrate",
               object_get_typename(OBJECT(dev)));
    return true;
}

static const PageTagsOps *ops_of_accelerator(ARMCPU *cpu)
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
    arm_tag_ranges_find();
    ops = ops_of_accelerator(cpu);
    if (ops) {
        register_provider(ops);
    }
}

static void init(void)
{
    static Notifier notifier = { .notify = machine_done };
    ObjectClass *virt = object_class_by_name(TYPE_VIRT_MACHINE);

    object_class_property_add_enum(virt, "page-tags", "OnOffAuto",
                                   &OnOffAuto_lookup, get_page_tags,
                                   set_page_tags);
    object_class_property_set_description(virt, "page-tags",
        "with mte=on, memory tags migrate with their pages; "
        "auto: with KVM only");
    qemu_add_machine_init_done_notifier(&notifier);
}

migration_init(init);
