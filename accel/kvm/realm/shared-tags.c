/*
 * The KVM backend for Realms: tags of shared memory
 *
 * Purpose: copy memory tags of shared pages.  These tags travel with their
 * pages in the "ram" section, as those of an ordinary guest do
 * (target/arm/page-tags/kvm.c).  The tags of a private page travel in its
 * bundle.  The caller goes through all of RAM and cannot know which pages are
 * private; so here the tags of a private page are read as zero, and writing
 * them does nothing.
 *
 * Invariants: caller and kernel have two tags in a byte, and pages of 4 KiB,
 * whatever the size of the host's pages.
 *
 * Lock rule: any thread.  The kernel refuses to write tags (EBUSY) while a
 * dirty log is on, and a source's session is one.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <linux/kvm.h>
#include <linux/kvm-arm-realm-migration.h>
#include "qapi/error.h"
#include "system/page-tags-kvm.h"
#include "system/realm-kvm.h"
#include "realm-kvm.h"

QEMU_BUILD_BUG_ON(KVM_TAGS_PAGE != KVM_ARM_REALM_GRANULE);
QEMU_BUILD_BUG_ON(KVM_TAGS_BYTES != KVM_ARM_TAG_BYTES);

bool realm_kvm_copy_tags(hwaddr base, unsigned n, uint8_t *tags, bool to_guest,
                         Error **errp)
{
    g_autofree uint64_t *list = g_new(uint64_t, n);
    struct kvm_arm_copy_tags_list args;

    for (unsigned i = 0; i < n; i++) {
        list[i] = base + (uint64_t)i * KVM_ARM_REALM_GRANULE;
    }
    for (unsigned i = 0; i < n; i += args.done) {
        uint8_t *next = tags + (size_t)i * KVM_ARM_TAG_BYTES;
        int ret;

        args = (struct kvm_arm_copy_tags_list) {
            .list = (uintptr_t)(list + i),
            .tags = (uintptr_t)next,
            .count = n - i,
            .flags = to_guest ? KVM_ARM_TAGS_TO_GUEST
                              : KVM_ARM_TAGS_FROM_GUEST,
        };
        ret = realm_kvm_vm_call(REALM_KVM_CALL(KVM_ARM_COPY_TAGS_LIST,
                                               &args));
        if (ret == -EPERM) {
            /* The first page of the list is private. */
            if (!to_guest) {
                memset(next, 0, KVM_ARM_TAG_BYTES);
            }
            args.done = 1;
        } else if (ret < 0) {
            error_setg_errno(errp, -ret, "cannot copy the memory tags of 0x%"
                             PRIx64 " bytes at 0x%" PRIx64
                             ": KVM_ARM_COPY_TAGS_LIST",
                             (uint64_t)(n - i) * KVM_ARM_REALM_GRANULE,
                             list[i]);
            return false;
        } else if (ret > 0 || !args.done || args.done > n - i) {
            realm_kvm_invalid_answer(errp, "KVM_ARM_COPY_TAGS_LIST",
                                     "it returned %d, with %u of %u pages "
                                     "done", ret, args.done, n - i);
            return false;
        }
    }
    return true;
}
