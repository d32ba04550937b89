/*
 * The KVM backend for Realms: memory becomes private or shared
 *
 * Purpose: answer KVM_EXIT_MEMORY_FAULT.  There are two reasons for this exit:
 * the Realm changes the RIPAS of a range, which becomes private for RAM and
 * shared for EMPTY; or a vCPU has accessed a page by an address in one half of
 * the IPA space, and the page is in the other half's state.
 *
 *                     attribute of the VM          guest_memfd alone (v15)
 *     to private      set PRIVATE; drop shared     drop shared
 *     to shared       lend; drop private; clear    lend; drop private
 *                     PRIVATE
 *
 * To lend is to tell the rest of QEMU (system/realm-shared-ram.h); shared
 * memory that is dropped is not lent any more.  A page for which a device
 * cannot be told is not converted.
 *
 * Where guest_memfd has both halves nothing is dropped.  To lend, or to take
 * back what was lent, changes the attribute of the file, by a call of
 * realm_kvm_set_private in the midst of it.
 *
 * Private memory is dropped while the attribute still says PRIVATE: a kernel
 * with v15 takes from the attribute which mappings an invalidation is for.
 *
 * Invariants: a bad range is refused before anything has changed.  Where
 * there is no RAM, everything is shared already: the Realm may ask for it, as
 * for the registers of a device, and for a range with RAM in parts of it.
 *
 * Lock rule: any thread; the kernel orders conversions of the same page.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <linux/kvm.h>
#include <linux/kvm-arm-cca.h>
#include "qapi/error.h"
#include "system/realm-kvm.h"
#include "realm-kvm.h"
#include "trace.h"

static bool check_pages(uint64_t base, uint64_t size, Error **errp)
{
    const uint64_t page_size = realm_kvm.layout.page_size;

    if (!QEMU_IS_ALIGNED(base | size, page_size)) {
        error_setg(errp, "Realm: KVM_EXIT_MEMORY_FAULT: 0x%" PRIx64 " bytes "
                   "at 0x%" PRIx64 " are not whole pages of %" PRIu64
                   " bytes; use a kernel with pages of 4 KiB in the Realm, or "
                   "of the host's size", size, base, page_size);
        return false;
    }
    return true;
}

static bool not_ram(uint64_t base, uint64_t size, Error **errp)
{
    error_setg(errp, "Realm: KVM_EXIT_MEMORY_FAULT: 0x%" PRIx64 " bytes at 0x%"
               PRIx64 " are not its RAM", size, base);
    return false;
}

/* Nothing to do in a kernel without attributes of the VM. */
static bool set_attributes(uint64_t base, uint64_t size, uint64_t attributes,
                           Error **errp)
{
    struct kvm_memory_attributes args = {
        .address = base,
        .size = size,
        .attributes = attributes,
    };

    return !realm_kvm.abi.vm_attributes ||
           realm_kvm_vm_do(REALM_KVM_CALL(KVM_SET_MEMORY_ATTRIBUTES, &args),
                           "change its memory", errp);
}

bool realm_kvm_in_place(void)
{
    return realm_kvm.abi.in_place;
}

/*
 * EAGAIN is for a page that somebody still uses, in the kernel: for instance, a
 * disk writes to it.  All that QEMU has of the page is a mapping, which is no
 * obstacle.
 */
bool realm_kvm_set_private(int fd, uint64_t offset, uint64_t size,
                           bool private, Error **errp)
{
    struct kvm_memory_attributes2 args = {
        .offset = offset,
        .size = size,
        .attributes = private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0,
    };
    const RealmKvmCall *call = REALM_KVM_CALL(KVM_SET_MEMORY_ATTRIBUTES2,
                                              &args);
    int ret = realm_kvm_fd_call(fd, call);

    if (ret == -EAGAIN) {
        error_setg(errp, "Realm: %s: cannot make 0x%" PRIx64 " bytes at 0x%"
                   PRIx64 " of guest_memfd %s: the page at 0x%" PRIx64
                   " is in use by I/O that does not end; look at the devices "
                   "that have their data in the Realm's memory", call->name,
                   size, offset, private ? "private" : "shared",
                   (uint64_t)args.error_offset);
    } else if (ret < 0) {
        error_setg_errno(errp, -ret, "Realm: %s: cannot make 0x%" PRIx64
                         " bytes at 0x%" PRIx64 " of guest_memfd %s",
                         call->name, size, offset,
                         private ? "private" : "shared");
    } else if (ret > 0) {
        realm_kvm_invalid_answer(errp, call->name, "it returned %d", ret);
    }
    return ret == 0;
}

static bool take(uint64_t base, uint64_t size, Error **errp)
{
    if (!check_pages(base, size, errp)) {
        return false;
    }
    if (!realm_layout_is_ram(&realm_kvm.layout, base, size)) {
        return not_ram(base, size, errp);
    }
    return set_attributes(base, size, KVM_MEMORY_ATTRIBUTE_PRIVATE, errp) &&
           realm_kvm_discard(base, size, false, errp);
}

static bool share_ram(uint64_t base, uint64_t size, Error **errp)
{
    return realm_kvm_lend(base, size, errp) &&
           (realm_kvm.abi.in_place ||
            realm_kvm_discard(base, size, true, errp)) &&
           set_attributes(base, size, 0, errp);
}

/* Ranges of RAM are whole pages, so what of these is in them is so, too. */
static bool share(uint64_t base, uint64_t size, Error **errp)
{
    const GArray *ram = realm_kvm.layout.ram;

    for (guint i = 0; i < ram->len; i++) {
        uint64_t start = MAX(base, realm_range(ram, i).base);
        uint64_t end = MIN(base + size, realm_range(ram, i).top);

        if (start < end && !(check_pages(base, size, errp) &&
                             share_ram(start, end - start, errp))) {
            return false;
        }
    }
    return true;
}

bool realm_kvm_convert_range(uint64_t base, uint64_t size, bool to_private,
                             Error **errp)
{
    /* Some kernels leave the shared bit in an address of the upper half. */
    base &= ~realm_kvm.layout.limit;
    trace_realm_kvm_convert(base, size, to_private);
    if (size > UINT64_MAX - base) {
        return not_ram(base, size, errp);
    }
    return !size || (to_private ? take : share)(base, size, errp);
}
