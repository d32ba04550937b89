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
 * Private memory is dropped while the attribute still says PRIVATE: a kernel
 * with v15 takes from the attribute which mappings an invalidation is for.
 *
 * Invariants: a bad range is refused before anything has changed.
 *
 * Lock rule: any thread; the kernel orders conversions of the same page.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <linux/kvm.h>
#include "qapi/error.h"
#include "system/realm-events.h"
#include "realm-kvm.h"
#include "trace.h"

static bool check_range(uint64_t base, uint64_t size, Error **errp)
{
    const RealmLayout *layout = &realm_kvm.layout;

    if (!QEMU_IS_ALIGNED(base | size, layout->page_size)) {
        error_setg(errp, "Realm: KVM_EXIT_MEMORY_FAULT: 0x%" PRIx64 " bytes "
                   "at 0x%" PRIx64 " are not whole pages of %" PRIu64
                   " bytes; use a kernel with pages of 4 KiB in the Realm, or "
                   "of the host's size", size, base, layout->page_size);
        return false;
    }
    if (size > UINT64_MAX - base || !realm_layout_is_ram(layout, base, size)) {
        error_setg(errp, "Realm: KVM_EXIT_MEMORY_FAULT: 0x%" PRIx64 " bytes "
                   "at 0x%" PRIx64 " are not its RAM", size, base);
        return false;
    }
    return true;
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

static bool convert(uint64_t base, uint64_t size, bool to_private,
                    Error **errp)
{
    /* Some kernels leave the shared bit in an address of the upper half. */
    base &= ~realm_kvm.layout.limit;
    trace_realm_kvm_convert(base, size, to_private);
    if (!size) {
        return true;
    }
    if (!check_range(base, size, errp)) {
        return false;
    }
    if (to_private) {
        return set_attributes(base, size, KVM_MEMORY_ATTRIBUTE_PRIVATE,
                              errp) &&
               realm_kvm_discard(base, size, false, errp);
    }
    return realm_kvm_lend(base, size, errp) &&
           realm_kvm_discard(base, size, true, errp) &&
           set_attributes(base, size, 0, errp);
}

bool realm_kvm_convert_range(uint64_t base, uint64_t size, bool to_private,
                             Error **errp)
{
    bool ok = convert(base, size, to_private, errp);

    if (ok) {
        realm_event_ripas(size, to_private);
    }
    return ok;
}
