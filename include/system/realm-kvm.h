/*
 * What QEMU's KVM code and the virt board ask about Realms with KVM
 *
 * Purpose: first what the board asks before the VM exists; then the functions
 * that hooks in accel/kvm/kvm-all.c and target/arm/kvm.c call.  In a VM that is
 * not a Realm, the latter do nothing and say so.
 *
 * Lock rule: BQL, but for realm_kvm_convert, realm_kvm_ends_run and
 * realm_kvm_answer, which any thread calls without it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef SYSTEM_REALM_KVM_H
#define SYSTEM_REALM_KVM_H

#include "exec/memory.h"
#include "qapi/qapi-types-rme-guest.h"
#include "system/kvm.h"

#ifdef TARGET_AARCH64

/*
 * Find out which interface of Realms the kernel has, or only whether it has
 * @wanted, with VMs that are closed again; the VM of @s need not exist yet.
 * False with @errp set if there can be no Realm.
 */
bool realm_kvm_probe(KVMState *s, RmeGuestKvmAbi wanted, Error **errp);

/* Once that was found out: the most address bits of a Realm, shared one too. */
unsigned realm_kvm_max_ipa_bits(void);

/* And the argument for KVM_CREATE_VM of a Realm with @ipa_bits of them. */
int realm_kvm_vm_type(unsigned ipa_bits);

/* The VM is, or is about to be, a Realm's. */
bool realm_kvm_active(void);

/*
 * Put into *@result the answer to KVM_CHECK_EXTENSION of @extension, for a
 * Realm: that of its VM or that of the system (hook.c has the table).  Returns
 * false if there is no such VM yet.
 */
bool realm_kvm_check_extension(KVMState *s, unsigned extension, int *result);

/*
 * What QEMU takes for the answer to the ioctl @request, on the VM or on one of
 * its devices, which returned @ret: a VM that the kernel has given up answers
 * nothing any more, and where that would end in an abort, QEMU goes on.
 */
int realm_kvm_answer(unsigned long request, int ret);

/* Returns @flags of a memory slot without those that KVM refuses for it. */
int realm_kvm_slot_flags(int flags);

/*
 * Both halves of the Realm's memory are in guest_memfd, where pages are
 * converted in place.
 */
bool realm_kvm_in_place(void);

/*
 * Then [@offset, @offset + @size) of the guest_memfd @fd becomes private or
 * shared, for the kernel alone.  On failure it stays as it was.  Any thread.
 */
bool realm_kvm_set_private(int fd, uint64_t offset, uint64_t size,
                           bool private, Error **errp);

/* Memory is private by guest_memfd alone; KVM_SET_MEMORY_ATTRIBUTES is gone. */
bool realm_kvm_private_by_guest_memfd(void);

/*
 * RAM at [@base, @base + @size), in bytes, becomes private or shared, as the
 * Realm asks by KVM_EXIT_MEMORY_FAULT.  Returns 0 or a negative errno.
 */
int realm_kvm_convert(hwaddr base, hwaddr size, bool to_private);

/* The section is for devices, at the shared address: KVM needs no slot. */
bool realm_kvm_hides(const MemoryRegionSection *section);

/* The vCPUs are parked (RealmBackendOps.park). */
bool realm_kvm_parked(void);

/*
 * KVM_RUN of @cpu has returned @ret.  True, with a message, if the machine has
 * to stop: for an error, a reason that no Realm can have, or one that has come
 * again and again for 10 seconds; it pauses in between.
 */
bool realm_kvm_ends_run(CPUState *cpu, int ret);

/* The type of a VM for trials, for KVM_CREATE_VM; @type without a Realm. */
int realm_kvm_scratch_type(int type);

/* Add to @features those that KVM_ARM_VCPU_INIT of a Realm's vCPU needs. */
void realm_kvm_add_features(uint32_t *features);

#else

static inline bool realm_kvm_active(void)
{
    return false;
}

static inline bool realm_kvm_check_extension(KVMState *s, unsigned extension,
                                             int *result)
{
    return false;
}

static inline int realm_kvm_answer(unsigned long request, int ret)
{
    return ret;
}

static inline int realm_kvm_slot_flags(int flags)
{
    return flags;
}

static inline bool realm_kvm_private_by_guest_memfd(void)
{
    return false;
}

static inline int realm_kvm_convert(hwaddr base, hwaddr size, bool to_private)
{
    g_assert_not_reached();
}

static inline bool realm_kvm_hides(const MemoryRegionSection *section)
{
    return false;
}

static inline bool realm_kvm_parked(void)
{
    return false;
}

static inline bool realm_kvm_ends_run(CPUState *cpu, int ret)
{
    return false;
}

#endif
#endif
