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
 * Invariants: a bad range is refused before anything has changed.  Where there
 * is no RAM at all, everything is shared already: the Realm may ask for it, as
 * for the registers of a device.
 *
 * Lock rule: any thread; the kernel orders conversions of the same page.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <linux/kvm.h>
#include <linux/kvm-arm-cca.h>
#include "qapi/error.h"
#include "system/realm-events.h"
#include "system/realm-kvm.h"
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

static bool touches_ram(uint64_t base, uint64_t size)
{
    const GArray *ram = realm_kvm.layout.ram;

    for (guint i = 0; i < ram->len; i++) {
        if (base < realm_range(ram, i).top &&
            realm_range(ram, i).base - MIN(base, realm_range(ram, i).base) <
            size) {
            return true;
        }
    }
    return false;
}

static bool convert(uint64_t base, uint64_t size, bool to_private,
                    Error **errp)
{
    /* Some kernels leave the shared bit in an address of the upper half. */
    base &= ~realm_kvm.layout.limit;
    trace_realm_kvm_convert(base, size, to_private);
    if (!size || (!to_private && !touches_ram(base, size))) {
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
           (realm_kvm.abi.in_place ||
            realm_kvm_discard(base, size, true, errp)) &&
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
