/*
 * The KVM backend for Realms: bundles of pages
 *
 * Purpose: export a batch of private pages, with their tags, as a blob that
 * travels, and import such a blob.
 *
 * Invariants: one ioctl exports or imports the whole batch, or nothing.  A
 * bundle that did not come has the same number when it is asked for again.
 *
 * Lock rule: any thread, and several at once on different streams: what a call
 * needs is its own, its stream's, or was set before the session, and the phase
 * is atomic.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <linux/kvm.h>
#include <linux/kvm-cc-migration.h>
#include "qapi/error.h"
#include "realm-kvm.h"

typedef struct kvm_cc_pages Args;

static int call_pages(const RealmKvmCall *call)
{
    return realm_kvm_vm_call_again(call, sizeof(Args));
}

static bool is_valid_export(const Args *args, int ret, uint64_t room)
{
    return ret == 0 && args->pages <= args->count && args->blob_size <= room &&
           (args->pages == 0) == (args->blob_size == 0);
}

ssize_t realm_kvm_export_memory(unsigned stream, const uint64_t *pages,
                                unsigned n, void *buf, unsigned *exported,
                                Error **errp)
{
    g_autofree uint64_t *list = g_new(uint64_t, n);
    Args args = {
        .list = (uintptr_t)list,
        .count = n,
        .stream = stream,
        .blob = (uintptr_t)buf,
        .blob_size = realm_kvm.limits.max_blob,
    };
    int ret;

    assert(n <= realm_kvm.limits.max_pages);
    if (!realm_kvm_check(REALM_STEP_EXPORT_MEMORY, errp)) {
        return -1;
    }
    if (stream >= realm_kvm.limits.max_streams) {
        realm_kvm_refused(errp, REALM_STEP_EXPORT_MEMORY,
                          "KVM_CC_EXPORT_PAGES", -EINVAL, 0, 0);
        return -1;
    }
    args.number = realm_kvm.next_number[stream];
    for (unsigned i = 0; i < n; i++) {
        list[i] = realm_kvm.config->ram_base + pages[i] * REALM_PAGE_SIZE;
    }
    ret = call_pages(REALM_KVM_CALL(KVM_CC_EXPORT_PAGES, &args));
    if (ret < 0) {
        realm_kvm_refused(errp, REALM_STEP_EXPORT_MEMORY,
                          "KVM_CC_EXPORT_PAGES", ret, args.cause,
                          args.detail);
        return -1;
    }
    if (!is_valid_export(&args, ret, realm_kvm.limits.max_blob)) {
        realm_kvm_invalid_answer(errp, "KVM_CC_EXPORT_PAGES", "it returned "
                                 "%d, with %u of %u pages in %" PRIu64
                                 " bytes", ret, args.pages, n,
                                 (uint64_t)args.blob_size);
        return -1;
    }
    realm_kvm.next_number[stream] += args.pages > 0;
    *exported = args.pages;
    return args.blob_size;
}

/*
 * Pages of a bundle that are shared here become private, by host pages.  The
 * source's are no smaller (realm-config), so all of it was private there.
 */
static bool make_private(const struct kvm_cc_run *bad, Error **errp)
{
    const RealmLayout *layout = &realm_kvm.layout;
    uint64_t base, top;

    if (!bad->size || bad->size > UINT64_MAX - bad->base ||
        !QEMU_IS_ALIGNED(bad->base | bad->size, REALM_PAGE_SIZE) ||
        !realm_layout_is_ram(layout, bad->base, bad->size)) {
        realm_kvm_invalid_answer(errp, "KVM_CC_IMPORT_PAGES", "0x%" PRIx64
                                 " bytes at 0x%" PRIx64 " should be private",
                                 (uint64_t)bad->size, (uint64_t)bad->base);
        return false;
    }
    base = ROUND_DOWN(bad->base, layout->page_size);
    top = ROUND_UP(bad->base + bad->size, layout->page_size);
    return realm_kvm_convert_range(base, top - base, true, errp);
}

/*
 * At each try the kernel gets further, so there is one for each page at most.
 * A page is private here unless "ram" has lent it, which it does only where
 * memory is in place.  Elsewhere a kernel that wants a page made private is
 * refused: it would take the BQL, for which this thread must not wait.
 */
static int import_pages(const void *blob, size_t size, Error **errp)
{
    const unsigned max_tries = realm_kvm.abi.in_place
                               ? realm_kvm.limits.max_pages : 0;
    const bool begun = realm_kvm_phase() != REALM_PHASE_OFFERED;
    unsigned tries = 0;
    Args args;
    int ret;

    for (;;) {
        args = (Args) { .blob = (uintptr_t)blob, .blob_size = size };
        ret = call_pages(REALM_KVM_CALL(KVM_CC_IMPORT_PAGES, &args));
        if (ret != -EADDRNOTAVAIL || tries++ == max_tries) {
            break;
        }
        if (!make_private(&args.bad, errp)) {
            return -EIO;
        }
    }
    if (ret < 0) {
        realm_kvm_refused(errp, REALM_STEP_IMPORT_MEMORY,
                          "KVM_CC_IMPORT_PAGES", ret, args.cause, args.detail);
        /*
         * The session was checked before.  If it had begun, another import has
         * ended it since.
         */
        return begun && ret == -EPERM ? -ECANCELED : -EIO;
    }
    if (ret > 0 || args.pages > realm_kvm.limits.max_pages) {
        realm_kvm_invalid_answer(errp, "KVM_CC_IMPORT_PAGES",
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
