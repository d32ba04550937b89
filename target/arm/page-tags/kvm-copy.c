/*
 * MTE tags and KVM: the call that copies them
 *
 * Purpose: KVM_ARM_MTE_COPY_TAGS for a run of pages.
 *
 * Invariants: two tags a byte on our side, one on the kernel's.  The kernel
 * may stop after some pages, and says after how many bytes of guest memory;
 * the rest is asked for again, so that no page is left out.  Any error is
 * one, and has the address and length it came for.  But the tags of
 * private pages of a confidential guest (EPERM) are not the host's: they are
 * read as zero here, and writing them does nothing.
 *
 * Lock rule: see the header.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <linux/kvm.h>
#include "qapi/error.h"
#include "system/kvm.h"
#include "system/page-tags-kvm.h"

static void join_tags(uint8_t *to, const uint8_t *from, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        to[i] = (from[2 * i] & 15) | from[2 * i + 1] << 4;
    }
}

static void split_tags(uint8_t *to, const uint8_t *from, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        to[2 * i] = from[i] & 15;
        to[2 * i + 1] = from[i] >> 4;
    }
}

/* The bytes at @address whose tags were copied; 0 with @errp set. */
static uint64_t copy_some(uint64_t address, uint64_t size, uint8_t *bytes,
                          bool to_guest, Error **errp)
{
    struct kvm_arm_copy_mte_tags args = {
        .guest_ipa = address,
        .length = size,
        .addr = bytes,
        .flags = to_guest ? KVM_ARM_TAGS_TO_GUEST : KVM_ARM_TAGS_FROM_GUEST,
    };
    const uint64_t page = MAX(qemu_real_host_page_size(), KVM_TAGS_PAGE);
    int ret;

    do {
        ret = kvm_vm_ioctl(kvm_state, KVM_ARM_MTE_COPY_TAGS, &args);
    } while (ret == -EINTR);
    if (ret == -EPERM) {
        memset(bytes, 0, page / 16);
        return page;
    }
    if (ret < 0) {
        error_setg(errp, "cannot copy the memory tags of 0x%" PRIx64
                   " bytes at 0x%" PRIx64 " %s the guest: "
                   "KVM_ARM_MTE_COPY_TAGS: %s%s", size, address,
                   to_guest ? "to" : "from", strerror(-ret),
                   ret == -EBUSY ? "; the VM logs dirty pages: end "
                   "calc-dirty-rate and set-vcpu-dirty-limit; the log of a "
                   "snapshot ends when the guest runs" : "");
        return 0;
    }
    if (ret == 0 || ret > size || !QEMU_IS_ALIGNED(ret, KVM_TAGS_PAGE)) {
        error_setg(errp, "KVM_ARM_MTE_COPY_TAGS: the kernel's answer is "
                   "wrong: it copied those of %d of 0x%" PRIx64 " bytes at 0x%"
                   PRIx64, ret, size, address);
        return 0;
    }
    return ret;
}

bool kvm_arm_copy_tags(uint64_t address, unsigned pages, uint8_t *tags,
                       bool to_guest, uint8_t *buffer, Error **errp)
{
    uint64_t size = (uint64_t)pages * KVM_TAGS_PAGE, done, step;

    if (to_guest) {
        split_tags(buffer, tags, size / 32);
    }
    for (done = 0; done < size; done += step) {
        step = copy_some(address + done, size - done, buffer + done / 16,
                         to_guest, errp);
        if (!step) {
            return false;
        }
    }
    if (!to_guest) {
        join_tags(tags, buffer, size / 32);
    }
    return true;
}
