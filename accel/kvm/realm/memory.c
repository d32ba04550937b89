/*
 * The KVM backend for Realms: memory becomes private or shared
 *
 * Purpose: answer KVM_EXIT_MEMORY_FAULT: a Realm changes the RIPAS of a range
 * (private if it is to be RAM, else shared), or a vCPU has met a page that
 * is not what its half of the IPA space asks for.
 *
 *                     attribute of the VM          guest_memfd alone (v15)
 *     to private      set PRIVATE; drop shared     drop shared
 *     to shared       drop private; clear PRIVATE  drop private
 *
 * What is private is dropped while it is PRIVATE: in a kernel with v15 the
 * attribute says which mappings an invalidation is for.
 *
 * Invariants: a range is converted as a whole or refused before anything
 * changed.
 *
 * Lock rule: any thread; the kernel orders conversions of the same page.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <linux/kvm.h>
#include "qapi/error.h"
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

static bool to_private(uint64_t base, uint64_t size, Error **errp)
{
    return set_attributes(base, size, KVM_MEMORY_ATTRIBUTE_PRIVATE, errp) &&
           realm_kvm_discard(base, size, false, errp);
}

static bool to_shared(uint64_t base, uint64_t size, Error **errp)
{
    return realm_kvm_discard(base, size, true, errp) &&
           set_attributes(base, size, 0, errp);
}

bool realm_kvm_convert_range(uint64_t base, uint64_t size, bool private,
                             Error **errp)
{
    /* Kernels differ in whether a shared address keeps its bit. */
    base &= ~realm_kvm.layout.limit;
    trace_realm_kvm_convert(base, size, private);
    if (!size) {
        return true;
    }
    return check_range(base, size, errp) &&
           (private ? to_private : to_shared)(base, size, errp);
}
