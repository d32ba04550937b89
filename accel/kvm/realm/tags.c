/*
 * The KVM backend for Realms: tags of memory that the host may see
 *
 * Purpose: memory tags of a list of pages: with KVM_ARM_COPY_TAGS_LIST where
 * the kernel has it, else run by run with KVM_ARM_MTE_COPY_TAGS.  Tags of
 * private pages are in their bundles, and nobody else's.
 *
 * Invariants: two tags a byte on our side, whatever the kernel's form.
 *
 * Lock rule: any thread; the kernel refuses (EBUSY) to write tags while a
 * dirty log is on.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <linux/kvm.h>
#include <linux/kvm-arm-realm-migration.h>
#include "qapi/error.h"
#include "realm-kvm.h"

/* KVM_ARM_MTE_COPY_TAGS has a tag a byte; and this much of it at once. */
#define TAGS_OF_PAGE    (KVM_ARM_REALM_GRANULE / 16)
#define MAX_RUN_PAGES   512

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

        if (ret < 0) {
            failed(errp, "KVM_ARM_COPY_TAGS_LIST", *addresses, n, ret);
            return false;
        }
        if (ret > 0 || !args.done || args.done > n) {
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

static void pack(uint8_t *to, const uint8_t *from, unsigned pages)
{
    for (size_t i = 0; i < (size_t)pages * KVM_ARM_TAG_BYTES; i++) {
        to[i] = (from[2 * i] & 15) | from[2 * i + 1] << 4;
    }
}

static void unpack(uint8_t *to, const uint8_t *from, unsigned pages)
{
    for (size_t i = 0; i < (size_t)pages * KVM_ARM_TAG_BYTES; i++) {
        to[2 * i] = from[i] & 15;
        to[2 * i + 1] = from[i] >> 4;
    }
}

/*
 * The bytes at @address whose tags were copied; at most @size, which is a
 * number of host pages.  0 with @errp set.
 */
static uint64_t copy_some(uint64_t address, uint64_t size, uint8_t *bytes,
                          bool to_guest, Error **errp)
{
    struct kvm_arm_copy_mte_tags args = {
        .guest_ipa = address,
        .length = size,
        .addr = bytes,
        .flags = direction(to_guest),
    };
    int ret = realm_kvm_vm_call(REALM_KVM_CALL(KVM_ARM_MTE_COPY_TAGS, &args));

    if (ret < 0) {
        failed(errp, "KVM_ARM_MTE_COPY_TAGS", address,
               size / KVM_ARM_REALM_GRANULE, ret);
        return 0;
    }
    if (ret == 0 || ret > size ||
        !QEMU_IS_ALIGNED(ret, KVM_ARM_REALM_GRANULE)) {
        realm_kvm_lies(errp, "KVM_ARM_MTE_COPY_TAGS", "it copied those of %d "
                       "of %" PRIu64 " bytes", ret, size);
        return 0;
    }
    return ret;
}

static bool copy_run(uint64_t address, unsigned pages, uint8_t *tags,
                     bool to_guest, uint8_t *bytes, Error **errp)
{
    uint64_t size = (uint64_t)pages * KVM_ARM_REALM_GRANULE, done, step;

    if (to_guest) {
        unpack(bytes, tags, pages);
    }
    for (done = 0; done < size; done += step) {
        step = copy_some(address + done, size - done, bytes + done / 16,
                         to_guest, errp);
        if (!step) {
            return false;
        }
    }
    if (!to_guest) {
        pack(tags, bytes, pages);
    }
    return true;
}

/* How many of the @n pages follow each other, but no more than a run has. */
static unsigned run_length(const uint64_t *addresses, unsigned n)
{
    unsigned length = 1;

    while (length < MIN(n, MAX_RUN_PAGES) &&
           addresses[length] == addresses[0] +
                                (uint64_t)length * KVM_ARM_REALM_GRANULE) {
        length++;
    }
    return length;
}

static bool copy_runs(const uint64_t *addresses, unsigned n, uint8_t *tags,
                      bool to_guest, Error **errp)
{
    g_autofree uint8_t *bytes = g_malloc(MAX_RUN_PAGES * TAGS_OF_PAGE);

    while (n) {
        unsigned length = run_length(addresses, n);

        if (!copy_run(*addresses, length, tags, to_guest, bytes, errp)) {
            return false;
        }
        addresses += length;
        tags += (size_t)length * KVM_ARM_TAG_BYTES;
        n -= length;
    }
    return true;
}

bool realm_kvm_copy_tags(const uint64_t *addresses, unsigned n, uint8_t *tags,
                         bool to_guest, Error **errp)
{
    return (realm_kvm.migratable ? copy_list : copy_runs)(addresses, n, tags,
                                                          to_guest, errp);
}
