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
#include "system/realm-events.h"
#include "system/realm-kvm.h"
#include "system/runstate.h"
#include "realm-kvm.h"

bool realm_kvm_active(void)
{
    return realm_kvm.abi.generation != RME_GUEST_KVM_ABI_AUTO;
}

/*
 * Whom QEMU asks for an extension.  The VM of a Realm denies all that is not in
 * a short list of KVM's (version 12 and later) or in KVM's generic part; also
 * what a Realm has as any VM has.  So it is asked only where its no is meant:
 *
 *     VM       ARM_VM_IPA_SIZE             the RMM's limit, not the host's
 *              NR_VCPUS, MAX_VCPUS,        likewise
 *              MAX_VCPU_ID
 *              ARM_SVE, ARM_PMU_V3,        what its vCPUs may have
 *              ARM_MTE, ARM_EL1_32BIT,
 *              ARM_PTRAUTH_..., STEAL_TIME
 *              ARM_PSCI, ARM_PSCI_0_2      KVM's, as the RMM wants it
 *              GUEST_MEMFD,                whether it has private memory, and
 *              MEMORY_ATTRIBUTES           who says which that is
 *              VCPU_EVENTS,                no: nobody injects what the RMM does
 *              ARM_INJECT_SERROR_ESR,      not, and KVM_SET_VCPU_EVENTS is
 *              ARM_INJECT_EXT_DABT,        refused; an access without syndrome
 *              ARM_NISV_TO_USER            is KVM's to answer
 *              SET_GUEST_DEBUG,            no: nobody debugs a Realm
 *              SET_GUEST_DEBUG2,
 *              GUEST_DEBUG_HW_BPS, _WPS
 *              ARM_SUPPORTED_BLOCK_SIZES   no: KVM_ENABLE_CAP is refused
 *     system   USER_MEMORY, IOEVENTFD,     kvm_init requires them of any host
 *              IOEVENTFD_ANY_LENGTH,
 *              DESTROY_..., JOIN_MEMORY_REGIONS_WORKS, INTERNAL_ERROR_DATA,
 *              DEVICE_CTRL
 *              READONLY_MEM                ROM is a slot, read-only: else each
 *                                          access to it is an exit
 *              SYNC_MMU                    KVM follows what QEMU discards
 *              IRQCHIP, IRQFD,             the vGIC is the kernel's, and takes
 *              IRQFD_RESAMPLE,             interrupts as any VM's
 *              IRQ_ROUTING, ARM_USER_IRQ, ARM_IRQ_LINE_LAYOUT_2
 *              USER_MEMORY2, NR_MEMSLOTS,  generic: both say the same
 *              COALESCED_..., BINARY_STATS_FD, DIRTY_LOG_RING...,
 *              MANUAL_DIRTY_LOG_PROTECT2, MULTI_ADDRESS_SPACE
 *              MP_STATE, VM_ATTRIBUTES,    read before the VM exists, or used
 *              IMMEDIATE_EXIT, others      where hooks of ours come first
 */
static bool is_asked_of_vm(unsigned extension)
{
    switch (extension) {
    case KVM_CAP_ARM_VM_IPA_SIZE:
    case KVM_CAP_NR_VCPUS:
    case KVM_CAP_MAX_VCPUS:
    case KVM_CAP_MAX_VCPU_ID:
    case KVM_CAP_ARM_SVE:
    case KVM_CAP_ARM_PMU_V3:
    case KVM_CAP_ARM_MTE:
    case KVM_CAP_ARM_EL1_32BIT:
    case KVM_CAP_ARM_PTRAUTH_ADDRESS:
    case KVM_CAP_ARM_PTRAUTH_GENERIC:
    case KVM_CAP_STEAL_TIME:
    case KVM_CAP_ARM_PSCI:
    case KVM_CAP_ARM_PSCI_0_2:
    case KVM_CAP_GUEST_MEMFD:
    case KVM_CAP_MEMORY_ATTRIBUTES:
    case KVM_CAP_VCPU_EVENTS:
    case KVM_CAP_ARM_INJECT_SERROR_ESR:
    case KVM_CAP_ARM_INJECT_EXT_DABT:
    case KVM_CAP_ARM_NISV_TO_USER:
    case KVM_CAP_SET_GUEST_DEBUG:
    case KVM_CAP_SET_GUEST_DEBUG2:
    case KVM_CAP_GUEST_DEBUG_HW_BPS:
    case KVM_CAP_GUEST_DEBUG_HW_WPS:
    case KVM_CAP_ARM_SUPPORTED_BLOCK_SIZES:
        return true;
    default:
        return false;
    }
}

bool realm_kvm_check_extension(KVMState *s, unsigned extension, int *result)
{
    int ret;

    if (!realm_kvm_active() || s->vmfd < 0) {
        return false;
    }
    ret = is_asked_of_vm(extension)
        ? kvm_vm_ioctl(s, KVM_CHECK_EXTENSION, extension)
        : kvm_ioctl(s, KVM_CHECK_EXTENSION, extension);
    *result = MAX(ret, 0);
    return true;
}

int realm_kvm_slot_flags(int flags)
{
    return flags & KVM_MEM_GUEST_MEMFD && !realm_kvm.abi.dirty_log
        ? flags & ~KVM_MEM_LOG_DIRTY_PAGES : flags;
}

bool realm_kvm_private_by_guest_memfd(void)
{
    return realm_kvm_active() && !realm_kvm.abi.vm_attributes;
}

int realm_kvm_convert(hwaddr base, hwaddr size, bool to_private)
{
    Error *err = NULL;

    if (realm_kvm_convert_range(base, size, to_private, &err)) {
        realm_event_ripas(size, to_private);
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

/* ---- A VM that the kernel has given up ---- */

static void died(const char *how)
{
    if (!qatomic_xchg(&realm_kvm.dead, true)) {
        error_report("Realm: %s: " REALM_KVM_DEAD, how);
    }
}

/* Only of what QEMU's own code cannot see refused; the backend sees it all. */
int realm_kvm_answer(unsigned long request, int ret)
{
    if (ret != -EIO || !realm_kvm_active()) {
        return ret;
    }
    switch (request) {
    case KVM_SET_USER_MEMORY_REGION:
    case KVM_SET_USER_MEMORY_REGION2:
    case KVM_CLEAR_DIRTY_LOG:
    case KVM_IOEVENTFD:
    case KVM_IRQFD:
    case KVM_IRQ_LINE:
    case KVM_SET_GSI_ROUTING:
    case KVM_SET_DEVICE_ATTR:
        died("an ioctl of its VM returned EIO");
        return 0;
    default:
        return ret;
    }
}

/* ---- How KVM_RUN ends ---- */

/* If more time than this was between two exits, the vCPU has run. */
#define RUN_US  (100 * 1000)

typedef struct RunEnd {
    uint64_t gpa, size, flags;  /* of KVM_EXIT_MEMORY_FAULT, or 0 */
} RunEnd;

/* The last exit that may repeat itself; a vCPU has a thread for itself. */
static __thread struct {
    RunEnd end;
    int64_t time;               /* 0: the vCPU has run since */
    RealmKvmWait wait;
} last;

/*
 * KVM_RUN has ended in a way that repeats itself if QEMU or the kernel gets no
 * further.  For a moment this is right: another vCPU is being turned on, or has
 * changed the same page.  False if it stays so.
 */
static bool makes_progress(RunEnd end, const char *how)
{
    bool ok = true;

    if (end.gpa == last.end.gpa && end.size == last.end.size &&
        end.flags == last.end.flags &&
        g_get_monotonic_time() - last.time < RUN_US) {
        ok = realm_kvm_wait(&last.wait, how);
    } else {
        last.wait = (RealmKvmWait) { 0 };
    }
    last.end = end;
    last.time = g_get_monotonic_time();
    return ok;
}

/* The RMM does not enter the REC now (RMI_ERROR_REC). */
static bool is_refused_for_good(CPUState *cpu)
{
    if (makes_progress((RunEnd) { 0 }, "KVM_RUN")) {
        return false;
    }
    error_report("Realm: KVM_RUN of vCPU %d: the kernel has said for 10 "
                 "seconds to try again (EAGAIN); end this machine",
                 cpu->cpu_index);
    return true;
}

static bool is_fault_for_good(const struct kvm_run *run)
{
    bool private = run->memory_fault.flags & KVM_MEMORY_EXIT_FLAG_PRIVATE;
    RunEnd end = {
        run->memory_fault.gpa, run->memory_fault.size, run->memory_fault.flags
    };

    if (makes_progress(end, "KVM_EXIT_MEMORY_FAULT")) {
        return false;
    }
    error_report("Realm: KVM_EXIT_MEMORY_FAULT: 0x%" PRIx64 " bytes at 0x%"
                 PRIx64 " were made %s for 10 seconds, and the kernel asks "
                 "again; use one with a version of the series for Arm CCA "
                 "that this QEMU knows", end.size, end.gpa,
                 private ? "private" : "shared");
    return true;
}

/*
 * A vCPU cannot be entered any more since another one has called SYSTEM_OFF or
 * SYSTEM_RESET.  The other's exit may come later.
 */
static void end_as_others(struct kvm_run *run)
{
    run->exit_reason = KVM_EXIT_SYSTEM_EVENT;
    run->system_event.type = qemu_reset_requested_get()
        ? KVM_SYSTEM_EVENT_RESET : KVM_SYSTEM_EVENT_SHUTDOWN;
}

/* QEMU would enter the vCPU again after any other. */
static bool is_known_event(uint32_t type)
{
    if (type >= KVM_SYSTEM_EVENT_SHUTDOWN && type <= KVM_SYSTEM_EVENT_CRASH) {
        return true;
    }
    error_report("Realm: KVM_RUN: system event %u, which a Realm cannot have; "
                 "end this machine", type);
    return false;
}

static bool is_error(CPUState *cpu, int ret)
{
    switch (ret) {
    case -EINTR:
        return false;
    case -EAGAIN:
        return is_refused_for_good(cpu);
    case -EIO:
        died("KVM_RUN");
        return true;
    default:
        error_report("Realm: KVM_RUN of vCPU %d: %s; end this machine (the "
                     "kernel's log may say why)", cpu->cpu_index,
                     strerror(-ret));
        return true;
    }
}

bool realm_kvm_ends_run(CPUState *cpu, int ret)
{
    struct kvm_run *run = cpu->kvm_run;
    uint32_t reason = run->exit_reason;

    if (!realm_kvm_active()) {
        return false;
    }
    if (ret < 0 && !(ret == -EFAULT && reason == KVM_EXIT_MEMORY_FAULT)) {
        return is_error(cpu, ret);
    }
    switch (reason) {
    case KVM_EXIT_MMIO:
        last.time = 0;
        return false;
    case KVM_EXIT_INTR:
        return false;
    case KVM_EXIT_SYSTEM_EVENT:
        return !is_known_event(run->system_event.type);
    case KVM_EXIT_MEMORY_FAULT:
        return is_fault_for_good(run);
    case KVM_EXIT_SHUTDOWN:
        end_as_others(run);
        return false;
    case KVM_EXIT_INTERNAL_ERROR:
        died("KVM_EXIT_INTERNAL_ERROR");
        return false;
    default:
        error_report("Realm: KVM_RUN of vCPU %d: exit reason %u, which a Realm "
                     "cannot have; end this machine", cpu->cpu_index, reason);
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
