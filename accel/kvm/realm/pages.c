/*
 * The KVM backend for Realms: bundles of pages
 *
 * Purpose: export a batch of private pages, with their tags, as a blob that
 * travels, and import such a blob.
 *
 * Invariants: one ioctl exports or imports the whole batch, or nothing.
 *
 * Lock rule: any thread, and several at once on different streams: what a call
 * needs is its own, or was set before the session, and the phase is atomic.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <linux/kvm.h>
#include <linux/kvm-arm-realm-migration.h>
#include "qapi/error.h"
#include "target/arm/rmm/mig-abi.h"
#include "realm-kvm.h"

static bool is_valid_export(const struct kvm_arm_realm_pages *args, int ret,
                            uint64_t room)
{
    return ret == 0 && args->done == args->count &&
           args->pages <= args->count && args->blob_size <= room &&
           (args->pages == 0) == (args->blob_size == 0);
}

/*
 * A kernel that could not write the bundle gives it to the same call again, on
 * this stream, which no other thread uses meanwhile.
 */
static int export_pages(struct kvm_arm_realm_pages *args)
{
    const struct kvm_arm_realm_pages asked = *args;
    int ret = realm_kvm_vm_call(REALM_KVM_CALL(KVM_ARM_REALM_EXPORT_PAGES,
                                               args));

    if (ret == -EFAULT) {
        *args = asked;
        ret = realm_kvm_vm_call(REALM_KVM_CALL(KVM_ARM_REALM_EXPORT_PAGES,
                                               args));
    }
    return ret;
}

static void export_refused(const struct kvm_arm_realm_pages *args, int ret,
                           Error **errp)
{
    const char *name = "KVM_ARM_REALM_EXPORT_PAGES";

    if (ret == -EBUSY) {
        realm_kvm_busy(errp, REALM_STEP_EXPORT_MEMORY, name, MIG_CAUSE_OWED);
    } else {
        realm_kvm_refused(errp, REALM_STEP_EXPORT_MEMORY, name, ret,
                          args->cause);
    }
}

ssize_t realm_kvm_export_memory(unsigned stream, const uint64_t *pages,
                                unsigned n, void *buf, unsigned *exported,
                                Error **errp)
{
    g_autofree uint64_t *list = g_new(uint64_t, n);
    struct kvm_arm_realm_pages args = {
        .list = (uintptr_t)list,
        .count = n,
        .blob = (uintptr_t)buf,
        .blob_size = realm_kvm.limits.max_blob,
        .stream = stream,
    };
    int ret;

    assert(n <= realm_kvm.limits.max_pages);
    if (!realm_kvm_check(REALM_STEP_EXPORT_MEMORY, errp)) {
        return -1;
    }
    for (unsigned i = 0; i < n; i++) {
        list[i] = realm_kvm.config->ram_base + pages[i] * REALM_PAGE_SIZE;
    }
    ret = export_pages(&args);
    if (ret < 0) {
        export_refused(&args, ret, errp);
        return -1;
    }
    if (!is_valid_export(&args, ret, realm_kvm.limits.max_blob)) {
        realm_kvm_invalid_answer(errp, "KVM_ARM_REALM_EXPORT_PAGES",
                                 "it returned %d, with %u of %u pages done, "
                                 "%u exported in %" PRIu64 " bytes", ret,
                                 args.done, n, args.pages,
                                 (uint64_t)args.blob_size);
        return -1;
    }
    *exported = args.pages;
    return args.blob_size;
}

static int import_pages(const void *blob, size_t size, Error **errp)
{
    struct kvm_arm_realm_pages args = {
        .blob = (uintptr_t)blob,
        .blob_size = size,
    };
    int ret = realm_kvm_vm_call(REALM_KVM_CALL(KVM_ARM_REALM_IMPORT_PAGES,
                                               &args));

    if (ret < 0) {
        realm_kvm_refused(errp, REALM_STEP_IMPORT_MEMORY,
                          "KVM_ARM_REALM_IMPORT_PAGES", ret, args.cause);
        /* The session was checked before: another import has ended it since. */
        return ret == -EPERM ? -ECANCELED : -EIO;
    }
    if (ret > 0 || args.pages > realm_kvm.limits.max_pages) {
        realm_kvm_invalid_answer(errp, "KVM_ARM_REALM_IMPORT_PAGES",
                                 "it returned %d, with %u pages imported", ret,
                                 args.pages);
        return -EIO;
    }
    return args.pages;
}

int realm_kvm_import_memory(const void *blob, size_t size, Error **errp)
{
    int pages;

    if (!realm_kvm_check(REALM_STEP_IMPORT_MEMORY, errp)) {
        return realm_kvm_phase() == REALM_PHASE_FAILED ? -ECANCELED : -EIO;
    }
    pages = import_pages(blob, size, errp);
    if (pages < 0) {
        realm_kvm_import_failed();
    }
    return pages;
}
