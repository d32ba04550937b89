/*
 * The stand-in kernel: memory tags that the host may see
 *
 * Purpose: KVM_ARM_MTE_COPY_TAGS as mainline has it, but for a page that the
 * RMM has: EPERM, as the proposal says.
 *
 * Lock rule: handlers run with DoubleVm.lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "internal.h"

/* The tags of the shared page at @gpa, or NULL if it has none for that. */
static uint8_t *tags_at(DoubleVm *vm, uint64_t gpa, bool write)
{
    DoubleSlot *slot = slot_at(vm, gpa);

    return slot && slot->tags &&
           !(write && slot->region.flags & KVM_MEM_READONLY)
        ? slot->tags + (gpa - slot->region.guest_phys_addr) / 32 : NULL;
}

static int check_args(DoubleVm *vm, const struct kvm_arm_copy_mte_tags *args)
{
    if (args->flags > KVM_ARM_TAGS_FROM_GUEST ||
        !buffer_is_zero(args->reserved, sizeof(args->reserved))) {
        return double_forbid(EINVAL, "a known direction, and reserved is "
                             "zero");
    }
    if (!vm->mte) {
        return double_forbid(EINVAL, "the VM has no memory tags");
    }
    if (!vm_is_aligned(args->guest_ipa, args->length) ||
        args->length > INT_MAX) {
        return double_forbid(EINVAL, "whole pages, at most INT_MAX bytes");
    }
    return args->flags == KVM_ARM_TAGS_TO_GUEST && log_is_on(vm) ? -EBUSY : 0;
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

/* The monitor has a granule of the host page at @gpa. */
static bool is_secret(DoubleVm *vm, uint64_t gpa)
{
    for (uint64_t at = 0; at < the_double->page_size; at += GRANULE) {
        if (mmu_is_secret(vm, gpa + at)) {
            return true;
        }
    }
    return false;
}

int vm_copy_tags(DoubleFile *file, void *arg)
{
    const struct kvm_arm_copy_mte_tags *args = arg;
    bool to_guest = args->flags == KVM_ARM_TAGS_TO_GUEST;
    uint64_t length = args->length, at;
    int ret = check_args(file->vm, args);

    if (ret) {
        return ret;
    }
    if (double_partly()) {
        length = MIN(length, the_double->page_size);
    }
    for (at = 0; at < length; at += GRANULE) {
        uint64_t gpa = args->guest_ipa + at;
        uint8_t *tags = tags_at(file->vm, gpa, to_guest);

        ret = !tags ? -EFAULT :
              is_secret(file->vm, ROUND_DOWN(gpa, the_double->page_size))
              ? -EPERM : 0;
        if (ret) {
            return at ? (int)at : ret;
        }
        copy_unpacked(tags, (uint8_t *)args->addr + at / 16, to_guest);
    }
    return length;
}
