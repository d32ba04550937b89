/*
 * The stand-in kernel: sessions of a migration
 *
 * Purpose: KVM_CAP_ARM_REALM_MIGRATION, KVM_ARM_REALM_MIG_INFO and the steps
 * of KVM_ARM_REALM_MIGRATE, as calls to the RMM's migration extension.
 *
 * Invariants: what the RMM refuses leaves everything as it was: EPROTO; but a
 * record that cannot be what the source sealed is the end: EBADMSG.
 *
 * Lock rule: handlers run with DoubleVm.lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "internal.h"

#define MIG(vm, out, call, ...) \
    RMI_OUT(out, MIG_FID_BASE + (call), (vm)->rd, ##__VA_ARGS__)

int migrate_result(uint64_t result, bool import, uint32_t *cause)
{
    *cause = 0;
    if (result == RMI_SUCCESS) {
        return 0;
    }
    if (RMI_STATUS(result) != RMI_ERROR_REALM) {
        return -EINVAL;
    }
    *cause = RMI_INDEX(result);
    return import && *cause >= MIG_CAUSE_FINAL ? -EBADMSG : -EPROTO;
}

/* ---- Before the Realm is created ---- */

static int check_policy(const struct kvm_arm_realm_policy *policy)
{
    uint32_t known = KVM_ARM_REALM_POLICY_COMPACT |
                     KVM_ARM_REALM_POLICY_SECURED |
                     KVM_ARM_REALM_POLICY_IMPLEMENTATION;

    if (policy->flags & ~known ||
        policy->num_anchors > KVM_ARM_REALM_MAX_ANCHORS ||
        !buffer_is_zero(policy->reserved, sizeof(policy->reserved))) {
        return double_forbid(EINVAL, "known flags, at most 8 anchors, and "
                             "reserved is zero");
    }
    if (!(policy->flags & KVM_ARM_REALM_POLICY_IMPLEMENTATION) &&
        !buffer_is_zero(policy->implementation_id,
                        sizeof(policy->implementation_id))) {
        return double_forbid(EINVAL, "an implementation without its flag");
    }
    return 0;
}

static void take_policy(MigPolicy *to,
                        const struct kvm_arm_realm_policy *policy)
{
    uint32_t flags = policy->flags;

    *to = (MigPolicy) {
        .version = MIG_POLICY_VERSION,
        .flags =
            (flags & KVM_ARM_REALM_POLICY_COMPACT ? MIG_POLICY_COMPACT : 0) |
            (flags & KVM_ARM_REALM_POLICY_SECURED ? MIG_POLICY_SECURED : 0) |
            (flags & KVM_ARM_REALM_POLICY_IMPLEMENTATION
             ? MIG_POLICY_IMPLEMENTATION : 0),
        .num_anchors = policy->num_anchors,
    };
    memcpy(to->implementation_id, policy->implementation_id,
           sizeof(to->implementation_id));
    memcpy(to->anchors, policy->anchors, sizeof(to->anchors));
}

int migrate_enable(DoubleVm *vm, const struct kvm_enable_cap *cap)
{
    const struct kvm_arm_realm_policy *policy =
        (const void *)(uintptr_t)cap->args[0];
    int ret = policy ? check_policy(policy) : 0;

    if (vm->state != VM_NONE || vm->migratable) {
        return double_forbid(EINVAL, "once, before the Realm is created");
    }
    if (ret) {
        return ret;
    }
    if (policy) {
        take_policy(&vm->policy, policy);
        vm->has_policy = true;
    }
    vm->migratable = true;
    return 0;
}

int vm_mig_info(DoubleFile *file, void *arg)
{
    struct kvm_arm_realm_mig_info *info = arg;

    *info = (struct kvm_arm_realm_mig_info) {
        .version = KVM_ARM_REALM_MIG_VERSION,
        .flags = the_double->options.mte ? KVM_ARM_REALM_MIG_TAGS : 0,
        .max_blob = MIG_MAX_BUNDLE,
        .max_pages = MIG_MAX_PAGES,
        .max_streams = MIG_MAX_STREAMS,
    };
    return 0;
}

/* ---- Steps ---- */

typedef struct kvm_arm_realm_migrate Args;

/* For a call that takes or emits the blob. */
static uint64_t window(const Args *args)
{
    return physical_window(0, (const void *)(uintptr_t)args->blob,
                           args->blob_size);
}

static uint64_t simple(DoubleVm *vm, unsigned mig, Args *args)
{
    return MIG(vm, NULL, mig);
}

static uint64_t take(DoubleVm *vm, unsigned mig, Args *args)
{
    return MIG(vm, NULL, mig, window(args), args->blob_size);
}

static uint64_t emit(DoubleVm *vm, unsigned mig, Args *args)
{
    uint64_t out[4];
    uint64_t result = MIG(vm, out, mig, window(args), args->blob_size);

    args->blob_size = result ? args->blob_size : out[0];
    return result;
}

/* Writes to shared memory are logged from here on. */
static uint64_t begin(DoubleVm *vm, unsigned mig, Args *args)
{
    uint64_t result = emit(vm, mig, args);

    if (!result) {
        vm->exporting = true;
        g_hash_table_remove_all(vm->shared_log);
    }
    return result;
}

static uint64_t end(DoubleVm *vm, unsigned mig, Args *args)
{
    uint64_t result = args->blob ? take(vm, mig, args)
                                 : simple(vm, mig, args);

    if (!result) {
        vm->exporting = false;
        g_hash_table_remove_all(vm->shared_log);
    }
    return result;
}

static uint64_t export_rec(DoubleVm *vm, Args *args)
{
    unsigned n = args->part - vm->first_rec;
    DoubleVcpu *vcpu;
    uint64_t out[4], result;

    if (n >= vm->vcpus->len) {
        args->blob_size = 0;
        return RMI_SUCCESS;
    }
    vcpu = g_ptr_array_index(vm->vcpus, n);
    result = MIG(vm, out, MIG_EXPORT_REC, vcpu->rec, window(args),
                 args->blob_size);
    args->blob_size = result ? args->blob_size : out[0];
    return result;
}

/* First the Realm's own state and its map, then the RECs. */
static uint64_t export_state(DoubleVm *vm, unsigned mig, Args *args)
{
    uint64_t out[4], result;

    if (args->part == 0) {
        vm->next_base = 0;
        vm->first_rec = 0;
    }
    if (vm->first_rec) {
        return export_rec(vm, args);
    }
    result = MIG(vm, out, mig, window(args), args->blob_size, vm->next_base);
    if (!result) {
        args->blob_size = out[0];
        vm->next_base = out[1];
        vm->first_rec = out[1] ? 0 : args->part + 1;
    }
    return result;
}

static uint64_t commit(DoubleVm *vm, unsigned mig, Args *args)
{
    uint64_t out[4], last = UINT64_MAX, result;

    while ((result = MIG(vm, out, mig)) != RMI_SUCCESS) {
        /* Where the map is finer than our tables. */
        if (RMI_STATUS(result) != RMI_ERROR_RTT || out[0] == last ||
            mmu_create_tables(vm, out[0])) {
            return result;
        }
        last = out[0];
    }
    vm->state = VM_ACTIVE;
    return result;
}

typedef struct Step {
    const char *name;
    unsigned mig;
    enum { NO_BLOB, IN, OUT } blob;
    enum { SOURCE, DESTINATION } side;
    uint64_t (*act)(DoubleVm *vm, unsigned mig, Args *args);
} Step;

static const Step steps[] = {
    [KVM_ARM_REALM_MIG_ACCEPT] = { "ACCEPT", MIG_ACCEPT, IN, SOURCE, take },
    [KVM_ARM_REALM_MIG_BEGIN] = { "BEGIN", MIG_EXPORT_BEGIN, OUT, SOURCE,
                                  begin },
    [KVM_ARM_REALM_MIG_EPOCH] = { "EPOCH", MIG_EXPORT_EPOCH, OUT, SOURCE,
                                  emit },
    [KVM_ARM_REALM_MIG_PAUSE] = { "PAUSE", MIG_PAUSE, NO_BLOB, SOURCE,
                                  simple },
    [KVM_ARM_REALM_MIG_STATE] = { "STATE", MIG_EXPORT_REALM, OUT, SOURCE,
                                  export_state },
    [KVM_ARM_REALM_MIG_START] = { "START", MIG_EXPORT_START, OUT, SOURCE,
                                  emit },
    [KVM_ARM_REALM_MIG_ABORT] = { "ABORT", MIG_EXPORT_ABORT, NO_BLOB, SOURCE,
                                  end },
    [KVM_ARM_REALM_MIG_RESUME] = { "RESUME", MIG_EXPORT_RESUME, IN, SOURCE,
                                   end },
    [KVM_ARM_REALM_MIG_OFFER] = { "OFFER", MIG_OFFER, OUT, DESTINATION,
                                  emit },
    [KVM_ARM_REALM_MIG_IMPORT] = { "IMPORT", MIG_IMPORT, IN, DESTINATION,
                                   take },
    [KVM_ARM_REALM_MIG_COMMIT] = { "COMMIT", MIG_IMPORT_COMMIT, NO_BLOB,
                                   DESTINATION, commit },
    [KVM_ARM_REALM_MIG_GIVE_UP] = { "GIVE_UP", MIG_IMPORT_ABORT, OUT,
                                    DESTINATION, emit },
};

static int check_args(const Args *args)
{
    const Step *step = &steps[args->cmd];

    if (args->flags || !buffer_is_zero(args->reserved,
                                       sizeof(args->reserved))) {
        return double_forbid(EINVAL, "flags and reserved are zero");
    }
    if (args->part && args->cmd != KVM_ARM_REALM_MIG_STATE) {
        return double_forbid(EINVAL, "only STATE has parts");
    }
    if ((step->blob == NO_BLOB) !=
        (args->blob == 0 && args->blob_size == 0)) {
        return double_forbid(EINVAL, "%s %s a blob", step->name,
                             step->blob == NO_BLOB ? "has not" : "has");
    }
    return 0;
}

/* An offer is what makes an empty Realm of a VM. */
static int make_empty(DoubleVm *vm)
{
    int ret = 0;

    if (!vm->migratable) {
        return -EPROTO;
    }
    if (vm->state == VM_NONE && !the_double->flavour->rme) {
        ret = host_create(vm);
        ret = ret ?: host_create_recs(vm);
    } else if (vm->state != VM_NEW || g_hash_table_size(vm->populated)) {
        return double_forbid(EINVAL, "OFFER comes after CREATE_REALM, and "
                             "before there is anything");
    }
    for (guint i = 0; i < vm->vcpus->len && !ret; i++) {
        DoubleVcpu *vcpu = g_ptr_array_index(vm->vcpus, i);

        if (!vcpu->rec) {
            return double_forbid(EINVAL, "OFFER comes after all vCPUs are "
                                 "finalized");
        }
    }
    vm->state = ret ? VM_DEAD : VM_EMPTY;
    return ret;
}

int vm_migrate(DoubleFile *file, void *arg)
{
    DoubleVm *vm = file->vm;
    Args *args = arg;
    const Step *step = &steps[args->cmd];
    int ret;

    if (args->cmd >= ARRAY_SIZE(steps)) {
        return double_forbid(EINVAL, "step %u", args->cmd);
    }
    ret = check_args(args);
    if (!ret && args->cmd == KVM_ARM_REALM_MIG_OFFER &&
        vm->state < VM_EMPTY) {
        ret = make_empty(vm);
    }
    if (ret) {
        args->cause = ret == -EPROTO ? MIG_CAUSE_NOT_MIGRATABLE : 0;
        return ret;
    }
    if (!vm->rd) {
        args->cause = MIG_CAUSE_STATE;
        return -EPROTO;
    }
    return migrate_result(step->act(vm, step->mig, args),
                          step->side == DESTINATION, &args->cause);
}

/* The VM ends: a Realm in a session gives nothing back. */
void migrate_forget(DoubleVm *vm)
{
    g_autofree void *blob = g_malloc(MIG_MAX_HELLO);

    MIG(vm, NULL, MIG_EXPORT_ABORT);
    MIG(vm, NULL, MIG_IMPORT_ABORT, physical_window(0, blob, MIG_MAX_HELLO),
        MIG_MAX_HELLO);
}
