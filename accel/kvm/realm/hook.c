/*
 * The KVM backend for Realms: what QEMU's KVM code calls
 *
 * Purpose: implement include/system/realm-kvm.h, which hooks in QEMU's sources
 * call.
 *
 * Invariants: nothing here changes a VM that is not a Realm's.
 *
 * Lock rule: see system/realm-kvm.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <linux/kvm.h>
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "system/kvm_int.h"
#include "system/realm-kvm.h"
#include "realm-kvm.h"

bool realm_kvm_active(void)
{
    return realm_kvm.abi.generation != RME_GUEST_KVM_ABI_AUTO;
}

bool realm_kvm_check_extension(KVMState *s, unsigned extension, int *result)
{
    int ret;

    if (!realm_kvm_active() || s->vmfd < 0) {
        return false;
    }
    ret = kvm_vm_ioctl(s, KVM_CHECK_EXTENSION, extension);
    *result = MAX(ret, 0);
    return true;
}

int realm_kvm_slot_flags(int flags)
{
    return flags & KVM_MEM_GUEST_MEMFD ? flags & ~KVM_MEM_LOG_DIRTY_PAGES
                                       : flags;
}

bool realm_kvm_private_by_guest_memfd(void)
{
    return realm_kvm_active() && !realm_kvm.abi.vm_attributes;
}

int realm_kvm_convert(hwaddr base, hwaddr size, bool to_private)
{
    Error *err = NULL;

    if (realm_kvm_convert_range(base, size, to_private, &err)) {
        return 0;
    }
    error_report_err(err);
    return -EINVAL;
}

/*
 * Only devices use the addresses from the limit on.  The Realm's accesses there
 * end in the slots of its lower half.
 */
bool realm_kvm_hides(const MemoryRegionSection *section)
{
    return realm_kvm.config &&
           section->offset_within_address_space >= realm_kvm.layout.limit;
}

bool realm_kvm_parked(void)
{
    return realm_kvm.parked;
}

bool realm_kvm_refuse_exit(const struct kvm_run *run)
{
    if (!realm_kvm_active()) {
        return false;
    }
    switch (run->exit_reason) {
    case KVM_EXIT_INTR:
    case KVM_EXIT_MMIO:
    case KVM_EXIT_MEMORY_FAULT:
    case KVM_EXIT_SHUTDOWN:
    case KVM_EXIT_SYSTEM_EVENT:
    case KVM_EXIT_INTERNAL_ERROR:
    case KVM_EXIT_FAIL_ENTRY:
        return false;
    default:
        error_report("Realm: KVM_RUN: exit reason %u, which a Realm cannot "
                     "have", run->exit_reason);
        return true;
    }
}

int realm_kvm_scratch_type(int type)
{
    const RealmKvmAbi *abi = &realm_kvm.abi;

    return realm_kvm_active() ? abi->vm_type | MIN(type, abi->max_ipa_bits)
                              : type;
}

void realm_kvm_add_features(uint32_t *features)
{
    if (realm_kvm_is_rme()) {
        features[0] |= realm_kvm.abi.vcpu_features;
    }
}
