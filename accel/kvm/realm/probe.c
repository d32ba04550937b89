/*
 * The KVM backend for Realms: which interface the kernel has
 *
 * Purpose: find out which of the two posted generations of the interface the
 * kernel has.  Their numbers changed from version to version and mean other
 * things in mainline.  So create a VM, ask it for something that only one
 * generation can do, and close it.
 *
 *     VM type      the VM accepts                         then it is
 *     bit 30       KVM_ARM_RMI_POPULATE                   RMI, v14 and later
 *     bits [11:8]  KVM_ENABLE_CAP, to configure a hash    RME, v5 to v11
 *                  KVM_ARM_RMI_POPULATE, one of two       RMI, v12 or v13
 *
 * Invariants: this kernel has accepted what is found.  No descriptor is left
 * open, whatever the kernel answers: a trial may make a Realm of the VM, which
 * holds memory of the RMM's until it is closed.
 *
 * Lock rule: BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <linux/kvm.h>
#include <linux/kvm-arm-cca.h>
#include <linux/kvm-cc-migration.h>
#include "qapi/error.h"
#include "qapi/util.h"
#include "qemu/memalign.h"
#include "qemu/units.h"
#include "system/kvm_int.h"
#include "system/realm-kvm.h"
#include "realm-kvm.h"
#include "trace.h"

/* The smallest width that KVM allows, so any kernel accepts it. */
#define TRIAL_IPA_BITS 32

/* What was tried so far: the message of a failure needs it. */
typedef struct Trial {
    int vm;                     /* that is being tried */
    int vm_error;               /* of KVM_CREATE_VM */
    bool vm_created;            /* but neither interface was accepted */
    const char *failed;         /* ioctl that failed for another reason */
    int error;                  /* its errno */
} Trial;

/*
 * Some errors have reasons that say nothing about the kernel's interface.
 * Remember such an error: it ends the search.
 */
static int note_failure(Trial *trial, const RealmKvmCall *call, int ret)
{
    switch (ret) {
    case -EINTR:
    case -EAGAIN:
    case -EBUSY:
    case -EIO:
    case -EMFILE:
    case -ENFILE:
    case -ENOMEM:
        trial->failed = call->name;
        trial->error = -ret;
    }
    return ret;
}

static int try_call(Trial *trial, int fd, const RealmKvmCall *call)
{
    return note_failure(trial, call, realm_kvm_fd_call(fd, call));
}

static int check_extension(Trial *trial, unsigned extension)
{
    int ret = try_call(trial, trial->vm, REALM_KVM_CALL(KVM_CHECK_EXTENSION,
                                                        extension));

    return MAX(ret, 0);
}

/* An arm64 VM returns EINVAL for an unknown ioctl, other VMs ENOTTY. */
static bool is_known(int ret)
{
    return ret != -EINVAL && ret != -ENOTTY;
}

/*
 * The newest kernels call an ioctl without a source invalid, as if they did not
 * know it; with a size of 0 they only create the Realm.  Others call a size of
 * 0 invalid, but return something else if only the source is missing.
 */
static bool takes_populate(Trial *trial, unsigned long request)
{
    size_t page_size = qemu_real_host_page_size();
    void *source = qemu_memalign(page_size, page_size);
    struct kvm_arm_rmi_populate of_nothing = {
        .source_uaddr = (uintptr_t)source,
    };
    struct kvm_arm_rmi_populate from_nothing = { .size = page_size };
    RealmKvmCall call = { "KVM_ARM_RMI_POPULATE", request, &of_nothing };
    bool found = is_known(try_call(trial, trial->vm, &call));

    qemu_vfree(source);
    call.arg = &from_nothing;
    return found || is_known(try_call(trial, trial->vm, &call));
}

static bool find_populate(Trial *trial, RealmKvmAbi *abi)
{
    static const unsigned long requests[] = {
        KVM_ARM_RMI_POPULATE, KVM_ARM_RMI_POPULATE_V12
    };

    for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
        if (takes_populate(trial, requests[i])) {
            abi->generation = RME_GUEST_KVM_ABI_RMI;
            abi->populate = requests[i];
            return true;
        }
    }
    return false;
}

static bool takes_hash(Trial *trial, uint32_t cap, uint32_t hash_algo)
{
    struct kvm_arm_rme_config config = {
        .cfg = KVM_ARM_RME_CFG_HASH_ALGO,
        .hash_algo = hash_algo,
    };
    struct kvm_enable_cap enable = {
        .cap = cap,
        .args = { KVM_ARM_RME_CONFIG_REALM, (uintptr_t)&config },
    };

    return check_extension(trial, cap) &&
           !try_call(trial, trial->vm, REALM_KVM_CALL(KVM_ENABLE_CAP,
                                                      &enable));
}

static bool takes_features(Trial *trial, int cpu, uint32_t features)
{
    struct kvm_vcpu_init init;

    if (try_call(trial, trial->vm, REALM_KVM_CALL(KVM_ARM_PREFERRED_TARGET,
                                                  &init)) < 0) {
        return false;
    }
    init.features[0] |= BIT(KVM_ARM_VCPU_PSCI_0_2) | features;
    return !try_call(trial, cpu, REALM_KVM_CALL(KVM_ARM_VCPU_INIT, &init));
}

/* Of a Realm that was not created yet, no REC can be made. */
static bool finalizes_rec(Trial *trial, int cpu, int feature)
{
    return try_call(trial, cpu, REALM_KVM_CALL(KVM_ARM_VCPU_FINALIZE,
                                               &feature)) == -ENOENT;
}

/*
 * A Realm's vCPU is accepted only with the feature REC, and with no other; but
 * version 5 has REC for KVM_ARM_VCPU_FINALIZE alone.
 */
static bool takes_rec(Trial *trial, int cpu, RealmKvmAbi *abi)
{
    static const uint8_t features[] = { 9, 8, 7 };

    for (size_t i = 0; i < ARRAY_SIZE(features); i++) {
        abi->rec_feature = features[i];
        abi->vcpu_features = BIT(features[i]);
        if (takes_features(trial, cpu, abi->vcpu_features)) {
            return true;
        }
    }
    abi->rec_feature = 8;
    abi->vcpu_features = 0;
    return takes_features(trial, cpu, 0) &&
           finalizes_rec(trial, cpu, abi->rec_feature);
}

static bool find_rec_feature(Trial *trial, RealmKvmAbi *abi)
{
    int cpu = try_call(trial, trial->vm, REALM_KVM_CALL(KVM_CREATE_VCPU, 0));
    bool found;

    if (cpu < 0) {
        return false;
    }
    found = takes_rec(trial, cpu, abi);
    close(cpu);
    return found;
}

static bool find_rme(Trial *trial, RealmKvmAbi *abi)
{
    static const uint16_t caps[] = { 244, 243, 240, 300 };

    for (size_t i = 0; i < ARRAY_SIZE(caps); i++) {
        if (takes_hash(trial, caps[i], KVM_ARM_RME_HASH_SHA256) &&
            find_rec_feature(trial, abi)) {
            abi->generation = RME_GUEST_KVM_ABI_RME;
            abi->rme_cap = caps[i];
            abi->sha256 = true;
            abi->sha512 = takes_hash(trial, caps[i], KVM_ARM_RME_HASH_SHA512);
            return true;
        }
    }
    return false;
}

static bool find_generation(Trial *trial, RmeGuestKvmAbi wanted,
                            RealmKvmAbi *abi)
{
    if (wanted != RME_GUEST_KVM_ABI_RMI && find_rme(trial, abi)) {
        return true;
    }
    return wanted != RME_GUEST_KVM_ABI_RME && find_populate(trial, abi);
}

/* Both halves of RAM can be in one guest_memfd, which is private in parts. */
static bool takes_in_place(Trial *trial)
{
    struct kvm_create_guest_memfd args = {
        .size = qemu_real_host_page_size(),
        .flags = GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED,
    };
    int fd;

    if (!(check_extension(trial, KVM_CAP_GUEST_MEMFD_MEMORY_ATTRIBUTES) &
          KVM_MEMORY_ATTRIBUTE_PRIVATE)) {
        return false;
    }
    fd = try_call(trial, trial->vm,
                  REALM_KVM_CALL(KVM_CREATE_GUEST_MEMFD, &args));
    if (fd < 0) {
        return false;
    }
    close(fd);
    return true;
}

/*
 * Kernels with guest_memfd in place measure with SHA-256.  Of those before them
 * some measure with SHA-512, and none tells.
 */
static void find_in_place(Trial *trial, RealmKvmAbi *abi)
{
    abi->in_place = abi->generation == RME_GUEST_KVM_ABI_RMI &&
                    !abi->vm_attributes && takes_in_place(trial);
    abi->sha256 |= abi->in_place;
}

static void find_limits(Trial *trial, RealmKvmAbi *abi)
{
    abi->max_ipa_bits = check_extension(trial, KVM_CAP_ARM_VM_IPA_SIZE);
    abi->guest_memfd = check_extension(trial, KVM_CAP_GUEST_MEMFD) > 0 &&
                       check_extension(trial, KVM_CAP_USER_MEMORY2) > 0;
    abi->vm_attributes = check_extension(trial, KVM_CAP_MEMORY_ATTRIBUTES) &
                         KVM_MEMORY_ATTRIBUTE_PRIVATE;
    find_in_place(trial, abi);
    abi->dirty_log = check_extension(trial, KVM_CAP_GUEST_MEMFD_DIRTY_LOG);
    abi->max_cpus = check_extension(trial, KVM_CAP_MAX_VCPUS);
    abi->migration = abi->dirty_log &&
                      check_extension(trial, KVM_CAP_CC_MIGRATION);
    abi->mte = check_extension(trial, KVM_CAP_ARM_MTE);
    abi->sve = check_extension(trial, KVM_CAP_ARM_SVE);
    abi->pmu = check_extension(trial, KVM_CAP_ARM_PMU_V3);
}

/* Try a VM of @type.  True if it is a Realm's, with a known interface. */
static bool try_type(KVMState *s, uint32_t type, RmeGuestKvmAbi wanted,
                     RealmKvmAbi *abi, Trial *trial)
{
    const RealmKvmCall *call = REALM_KVM_CALL(KVM_CREATE_VM,
                                              type | TRIAL_IPA_BITS);
    bool found;

    trial->vm = note_failure(trial, call, realm_kvm_system_call(s, call));
    if (trial->vm < 0) {
        /* Without RME, a kernel that knows Realms says EPERM. */
        trial->vm_error = trial->vm_error == -EPERM ? -EPERM : trial->vm;
        return false;
    }
    trial->vm_created = true;
    abi->vm_type = type;
    found = find_generation(trial, wanted, abi);
    if (found) {
        find_limits(trial, abi);
    }
    close(trial->vm);
    return found;
}

static void explain_failure(const Trial *trial, RmeGuestKvmAbi wanted,
                            Error **errp)
{
    if (trial->failed) {
        error_setg_errno(errp, trial->error, "rme-guest: cannot find out how "
                         "this kernel runs Realms: %s", trial->failed);
    } else if (trial->vm_created) {
        error_setg(errp, "rme-guest: this kernel creates the VM of a Realm, "
                   "but has not the interface kvm-abi=%s; use %sa kernel with "
                   "version 5 or later of the series for Arm CCA",
                   RmeGuestKvmAbi_str(wanted),
                   wanted == RME_GUEST_KVM_ABI_AUTO ? "" : "kvm-abi=auto, or ");
    } else if (trial->vm_error == -EPERM) {
        error_setg(errp, "rme-guest: KVM_CREATE_VM of a Realm: this machine "
                   "has no RME or no RMM; use one that has, or -accel tcg");
    } else {
        /* Newer kernels know the type in that mode only. */
        error_setg_errno(errp, -trial->vm_error, "rme-guest: KVM_CREATE_VM: "
                         "this kernel cannot run a Realm; if it has support "
                         "for Arm CCA, boot it with kvm-arm.mode=rmm; else "
                         "use one that has, or -accel tcg");
    }
}

static bool check_limits(const RealmKvmAbi *abi, Error **errp)
{
    if (abi->max_ipa_bits < TRIAL_IPA_BITS || abi->max_ipa_bits > 52) {
        realm_kvm_invalid_answer(errp, "KVM_CHECK_EXTENSION("
                                 "KVM_CAP_ARM_VM_IPA_SIZE)", "a Realm has "
                                 "addresses of %u bits", abi->max_ipa_bits);
        return false;
    }
    if (!abi->guest_memfd) {
        error_setg(errp, "rme-guest: KVM_CHECK_EXTENSION: this kernel has "
                   "Realms, but no guest_memfd for their memory; use one with "
                   "CONFIG_KVM_GUEST_MEMFD");
        return false;
    }
    return true;
}

static bool find_abi(KVMState *s, RmeGuestKvmAbi wanted, RealmKvmAbi *found,
                     Error **errp)
{
    static const uint32_t types[] = {
        KVM_ARM_RMI_VM_TYPE_REALM, KVM_ARM_RME_VM_TYPE_REALM
    };
    Trial trial = { 0 };

    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        RealmKvmAbi abi = { 0 };
        bool ok = try_type(s, types[i], wanted, &abi, &trial);

        if (trial.failed) {
            break;
        }
        if (ok) {
            if (!check_limits(&abi, errp)) {
                return false;
            }
            trace_realm_kvm_probed(RmeGuestKvmAbi_str(abi.generation),
                                   abi.vm_type, abi.max_ipa_bits,
                                   abi.vm_attributes, abi.in_place);
            *found = abi;
            return true;
        }
    }
    explain_failure(&trial, wanted, errp);
    return false;
}

bool realm_kvm_probe(KVMState *s, RmeGuestKvmAbi wanted, Error **errp)
{
    return find_abi(s, wanted, &realm_kvm.abi, errp);
}

/* A kernel with the interface 'rmi' can be told neither hash nor RPV. */
static void add_measurements(const RealmKvmAbi *abi, RealmCapabilities *caps)
{
    caps->personalization_value =
        abi->generation == RME_GUEST_KVM_ABI_RME;
    if (abi->sha512) {
        QAPI_LIST_PREPEND(caps->measurement_algorithms,
                          RME_GUEST_MEASUREMENT_ALGORITHM_SHA512);
    }
    if (abi->sha256) {
        QAPI_LIST_PREPEND(caps->measurement_algorithms,
                          RME_GUEST_MEASUREMENT_ALGORITHM_SHA256);
    }
}

/* If the machine is a Realm, the interface that it uses. */
RealmCapabilities *realm_kvm_capabilities(Error **errp)
{
    RealmKvmAbi abi = realm_kvm.abi;
    RealmCapabilities *caps;

    if (abi.generation == RME_GUEST_KVM_ABI_AUTO &&
        !find_abi(kvm_state, RME_GUEST_KVM_ABI_AUTO, &abi, errp)) {
        return NULL;
    }
    caps = g_new0(RealmCapabilities, 1);
    caps->backend = g_strdup("kvm");
    caps->has_kvm_abi = true;
    caps->kvm_abi = abi.generation;
    add_measurements(&abi, caps);
    caps->migration = abi.migration;
    caps->mte = abi.mte;
    caps->sve = abi.sve;
    caps->pmu = abi.pmu;
    caps->max_ipa_width = abi.max_ipa_bits;
    caps->max_cpus = abi.max_cpus;
    return caps;
}

unsigned realm_kvm_max_ipa_bits(void)
{
    return realm_kvm.abi.max_ipa_bits;
}

int realm_kvm_vm_type(unsigned ipa_bits)
{
    return realm_kvm.abi.vm_type | ipa_bits;
}
