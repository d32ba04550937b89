/*
 * The KVM backend for Realms: tags of memory that the host may see
 *
 * Purpose: memory tags of shared pages, which travel with these pages in the
 * "ram" section, as an ordinary guest's do (target/arm/page-tags/kvm.c).
 * Tags of private pages are in their bundles, and nobody else's: here they are
 * zero, and what is written to them is dropped, since who goes through all of
 * RAM cannot know which pages are private.
 *
 * Invariants: two tags a byte, on both sides; pages of 4 KiB, whatever the
 * host's are.
 *
 * Lock rule: any thread; the kernel refuses (EBUSY) to write tags while a
 * dirty log is on, which a session at the source is, too.
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

static void failed(Error **errp, const char *name, uint64_t address,
                   unsigned pages, int ret)
{
    error_setg_errno(errp, -ret, "cannot copy the memory tags of 0x%" PRIx64
                     " bytes at 0x%" PRIx64 ": %s",
                     (uint64_t)pages * KVM_ARM_REALM_GRANULE, address, name);
}

static uint32_t direction(bool to_guest)
{
    return to_guest ? KVM_ARM_TAGS_TO_GUEST : KVM_ARM_TAGS_FROM_GUEST;
}

/* The kernel would not say: the page is private. */
static void skip_private(uint8_t *tags, bool to_guest)
{
    if (!to_guest) {
        memset(tags, 0, KVM_ARM_TAG_BYTES);
    }
}

static bool copy_list(const uint64_t *addresses, unsigned n, uint8_t *tags,
                      bool to_guest, Error **errp)
{
    while (n) {
        struct kvm_arm_copy_tags_list args = {
            .list = (uintptr_t)addresses,
            .tags = (uintptr_t)tags,
            .count = n,
            .flags = direction(to_guest),
        };
        int ret = realm_kvm_vm_call(REALM_KVM_CALL(KVM_ARM_COPY_TAGS_LIST,
                                                   &args));

        if (ret == -EPERM) {
            skip_private(tags, to_guest);
            args.done = 1;
        } else if (ret < 0) {
            failed(errp, "KVM_ARM_COPY_TAGS_LIST", *addresses, n, ret);
            return false;
        } else if (ret > 0 || !args.done || args.done > n) {
            realm_kvm_lies(errp, "KVM_ARM_COPY_TAGS_LIST", "it returned %d, "
                           "with %u of %u pages done", ret, args.done, n);
            return false;
        }
        addresses += args.done;
        tags += (size_t)args.done * KVM_ARM_TAG_BYTES;
        n -= args.done;
    }
    return true;
}

bool realm_kvm_copy_tags(hwaddr base, unsigned n, uint8_t *tags, bool to_guest,
                         Error **errp)
{
    g_autofree uint64_t *list = g_new(uint64_t, n);

    for (unsigned i = 0; i < n; i++) {
        list[i] = base + (uint64_t)i * KVM_ARM_REALM_GRANULE;
    }
    return copy_list(list, n, tags, to_guest, errp);
}
