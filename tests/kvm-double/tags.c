/*
 * The stand-in kernel: memory tags that the host may see
 *
 * Purpose: KVM_ARM_MTE_COPY_TAGS as mainline has it, and
 * KVM_ARM_COPY_TAGS_LIST, which refuses pages that the RMM has.
 *
 * Lock rule: handlers run with DoubleVm.lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "internal.h"

/* The tags of the shared page at @gpa, or NULL if it has none. */
static uint8_t *tags_at(DoubleVm *vm, uint64_t gpa)
{
    DoubleSlot *slot = slot_at(vm, gpa);

    return slot && slot->tags
        ? slot->tags + (gpa - slot->region.guest_phys_addr) / 32 : NULL;
}

static bool logs_dirty(DoubleVm *vm)
{
    for (guint i = 0; i < vm->slots->len; i++) {
        DoubleSlot *slot = g_ptr_array_index(vm->slots, i);

        if (slot->region.flags & KVM_MEM_LOG_DIRTY_PAGES) {
            return true;
        }
    }
    return false;
}

static int check_flags(DoubleVm *vm, uint64_t flags, const void *reserved,
                       size_t size)
{
    if (flags > KVM_ARM_TAGS_FROM_GUEST || !buffer_is_zero(reserved, size)) {
        return double_forbid(EINVAL, "a known direction, and reserved is "
                             "zero");
    }
    if (!vm->mte) {
        return double_forbid(EINVAL, "the VM has no memory tags");
    }
    return flags == KVM_ARM_TAGS_TO_GUEST &&
           (logs_dirty(vm) || migrate_logs_shared(vm)) ? -EBUSY : 0;
}

/* KVM_ARM_MTE_COPY_TAGS has one tag in a byte. */
static void copy_unpacked(uint8_t *tags, uint8_t *bytes, bool to_guest)
{
    for (size_t i = 0; i < RMM_TAG_BYTES; i++) {
        if (to_guest) {
            tags[i] = (bytes[2 * i] & 15) | bytes[2 * i + 1] << 4;
        } else {
            bytes[2 * i] = tags[i] & 15;
            bytes[2 * i + 1] = tags[i] >> 4;
        }
    }
}

int vm_copy_tags(DoubleFile *file, void *arg)
{
    const struct kvm_arm_copy_mte_tags *args = arg;
    uint64_t length = args->length, at;
    int ret = check_flags(file->vm, args->flags, args->reserved,
                          sizeof(args->reserved));

    if (ret) {
        return ret;
    }
    if (!vm_is_aligned(args->guest_ipa, length) || length > INT_MAX) {
        return double_forbid(EINVAL, "whole pages, at most INT_MAX bytes");
    }
    if (double_partly()) {
        length = MIN(length, the_double->page_size);
    }
    for (at = 0; at < length; at += GRANULE) {
        uint8_t *tags = tags_at(file->vm, args->guest_ipa + at);

        if (!tags) {
            return at ? (int)at : -EFAULT;
        }
        copy_unpacked(tags, (uint8_t *)args->addr + at / 16,
                      args->flags == KVM_ARM_TAGS_TO_GUEST);
    }
    return length;
}

static int check_list(const struct kvm_arm_copy_tags_list *args)
{
    return args->count && args->list && args->tags && !args->reserved32
        ? 0 : double_forbid(EINVAL, "a list and a buffer");
}

static int copy_page(DoubleVm *vm, uint64_t gpa, uint8_t *buf, bool to_guest)
{
    uint8_t *tags = tags_at(vm, gpa);

    if (!QEMU_IS_ALIGNED(gpa, GRANULE)) {
        return double_forbid(EINVAL, "0x%" PRIx64 " is no page", gpa);
    }
    if (!tags) {
        return -EFAULT;
    }
    if (mmu_is_secret(vm, gpa)) {
        return -EPERM;
    }
    memcpy(to_guest ? tags : buf, to_guest ? buf : tags, RMM_TAG_BYTES);
    return 0;
}

int vm_copy_tags_list(DoubleFile *file, void *arg)
{
    struct kvm_arm_copy_tags_list *args = arg;
    const uint64_t *list = (const uint64_t *)(uintptr_t)args->list;
    uint8_t *buf = (uint8_t *)(uintptr_t)args->tags;
    uint32_t count = double_partly() ? MIN(args->count, 1) : args->count;
    int ret = check_flags(file->vm, args->flags, args->reserved,
                          sizeof(args->reserved)) ?: check_list(args);

    for (args->done = 0; !ret && args->done < count; ) {
        ret = copy_page(file->vm, list[args->done], buf,
                        args->flags == KVM_ARM_TAGS_TO_GUEST);
        args->done += !ret;
        buf += RMM_TAG_BYTES;
    }
    return args->done ? 0 : ret;
}
