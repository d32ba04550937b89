/*
 * The stand-in kernel: sessions of a migration
 *
 * Purpose: KVM_CAP_ARM_REALM_MIGRATION, KVM_ARM_REALM_MIG_INFO and the steps
 * of KVM_ARM_REALM_MIGRATE, as calls to the RMM's migration extension.
 *
 * Invariants: a call that the session's state does not allow is refused
 * without asking the RMM: EPERM.  A call that the RMM refuses has changed
 * nothing: EPROTO.  But a record that cannot be what the source sealed ends the
 * session: EBADMSG.
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
        return -EIO;
    }
    *cause = RMI_INDEX(result);
    return import && *cause >= MIG_CAUSE_FINAL ? -EBADMSG : -EPROTO;
}

/* ---- States ---- */

#define IN(session)         BIT(SESSION_##session)

bool migrate_in(const DoubleVm *vm, unsigned sessions)
{
    return sessions & BIT(vm->session);
}

bool migrate_may_run(const DoubleVm *vm)
{
    return migrate_in(vm, IN(NONE) | IN(ACCEPTED) | IN(EXPORTING));
}

bool migrate_logs_shared(const DoubleVm *vm)
{
    return migrate_in(vm, IN(EXPORTING) | IN(PAUSED) | IN(SEALED));
}

int migrate_check_frozen(const DoubleVm *vm)
{
    return migrate_in(vm, IN(PAUSED) | IN(OFFERED) | IN(IMPORTING))
        ? double_forbid(EBUSY, "no memory changes in a session that is paused "
                        "or imports") : 0;
}

/* ---- Before the Realm is created ---- */

static bool has_unused_anchors(const struct kvm_arm_realm_policy *policy)
{
    size_t used = policy->num_anchors * sizeof(policy->anchors[0]);

    return !buffer_is_zero(policy->anchors[0] + used,
                           sizeof(policy->anchors) - used);
}

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
    return has_unused_anchors(policy)
        ? double_forbid(EINVAL, "anchors beyond num_anchors are zero") : 0;
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

    if (cap->args[1] || cap->args[2] || cap->args[3]) {
        return double_forbid(EINVAL, "there is one argument");
    }
    if (vm->state != VM_NONE || vm->migratable) {
        return double_forbid(EBUSY, "once, before the Realm is created");
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

/* The address at which the RMM finds the caller's blob, or room for one. */
static uint64_t blob_window(const Args *args)
{
    return physical_window(0, (const void *)(uintptr_t)args->blob,
                           args->blob_size);
}

static uint64_t call_rmm(DoubleVm *vm, unsigned mig, Args *args)
{
    return MIG(vm, NULL, mig);
}

static uint64_t take_blob(DoubleVm *vm, unsigned mig, Args *args)
{
    return MIG(vm, NULL, mig, blob_window(args), args->blob_size);
}

static uint64_t emit_blob(DoubleVm *vm, unsigned mig, Args *args)
{
    uint64_t out[4];
    uint64_t result = MIG(vm, out, mig, blob_window(args), args->blob_size);

    args->blob_size = result ? args->blob_size : out[0];
    return result;
}

/* From this step on, writes to shared memory are logged. */
static uint64_t begin_session(DoubleVm *vm, unsigned mig, Args *args)
{
    uint64_t result = emit_blob(vm, mig, args);

    if (!result) {
        vm->next_base = 0;
        vm->next_part = 0;
        vm->first_rec = 0;
        g_hash_table_remove_all(vm->shared_log);
    }
    return result;
}

static uint64_t end_session(DoubleVm *vm, unsigned mig, Args *args)
{
    uint64_t result = args->blob ? take_blob(vm, mig, args)
                                 : call_rmm(vm, mig, args);

    if (!result) {
        g_hash_table_remove_all(vm->shared_log);
    }
    return result;
}

static bool all_parts_given(const DoubleVm *vm)
{
    return vm->first_rec && vm->next_part - vm->first_rec == vm->vcpus->len;
}

static uint64_t export_realm(DoubleVm *vm, Args *args)
{
    uint64_t out[4];
    uint64_t result = MIG(vm, out, MIG_EXPORT_REALM, blob_window(args),
                          args->blob_size, vm->next_base);

    if (!result) {
        args->blob_size = out[0];
        vm->next_base = out[1];
        vm->first_rec = out[1] ? 0 : args->part + 1;
    }
    return result;
}

static uint64_t export_rec(DoubleVm *vm, Args *args)
{
    DoubleVcpu *vcpu = g_ptr_array_index(vm->vcpus,
                                         args->part - vm->first_rec);
    uint64_t out[4];
    uint64_t result = MIG(vm, out, MIG_EXPORT_REC, vcpu->rec, blob_window(args),
                          args->blob_size);

    args->blob_size = result ? args->blob_size : out[0];
    return result;
}

/* The first parts are the Realm's own state and its map, then come the RECs. */
static uint64_t export_state(DoubleVm *vm, unsigned mig, Args *args)
{
    uint64_t result;

    if (all_parts_given(vm)) {
        args->blob_size = 0;
        return RMI_SUCCESS;
    }
    result = vm->first_rec ? export_rec(vm, args) : export_realm(vm, args);
    vm->next_part += !result;
    return result;
}

static uint64_t commit(DoubleVm *vm, unsigned mig, Args *args)
{
    uint64_t out[4], last = UINT64_MAX, result;

    while ((result = MIG(vm, out, mig)) != RMI_SUCCESS) {
        /* The map needs a table that is not there yet. */
        if (RMI_STATUS(result) != RMI_ERROR_RTT || out[0] == last ||
            mmu_create_tables(vm, out[0])) {
            return result;
        }
        last = out[0];
    }
    vm->state = VM_ACTIVE;
    return result;
}

#define SAME                -1

typedef struct Step {
    const char *name;
    unsigned mig;
    enum { NO_BLOB, TAKES, GIVES } blob;
    unsigned sessions;          /* in which it is allowed */
    int after;                  /* the one that it leads to, or SAME */
    uint64_t (*handler)(DoubleVm *vm, unsigned mig, Args *args);
} Step;

#define STEP(name, mig, blob, sessions, after, handler) \
    [KVM_ARM_REALM_MIG_##name] = { #name, mig, blob, sessions, after, handler }

static const Step steps[] = {
    STEP(ACCEPT, MIG_ACCEPT, TAKES, IN(NONE), SESSION_ACCEPTED, take_blob),
    STEP(BEGIN, MIG_EXPORT_BEGIN, GIVES, IN(ACCEPTED), SESSION_EXPORTING,
         begin_session),
    STEP(EPOCH, MIG_EXPORT_EPOCH, GIVES, IN(EXPORTING) | IN(PAUSED), SAME,
         emit_blob),
    STEP(PAUSE, MIG_PAUSE, NO_BLOB, IN(EXPORTING), SESSION_PAUSED, call_rmm),
    STEP(STATE, 0, GIVES, IN(PAUSED), SAME, export_state),
    STEP(START, MIG_EXPORT_START, GIVES, IN(PAUSED), SESSION_SEALED,
         emit_blob),
    STEP(ABORT, MIG_EXPORT_ABORT, NO_BLOB,
         IN(ACCEPTED) | IN(EXPORTING) | IN(PAUSED), SESSION_NONE, end_session),
    STEP(RESUME, MIG_EXPORT_RESUME, TAKES, IN(SEALED), SESSION_NONE,
         end_session),
    STEP(OFFER, MIG_OFFER, GIVES, IN(NONE), SESSION_OFFERED, emit_blob),
    STEP(IMPORT, MIG_IMPORT, TAKES, IN(OFFERED) | IN(IMPORTING),
         SESSION_IMPORTING, take_blob),
    STEP(COMMIT, MIG_IMPORT_COMMIT, NO_BLOB, IN(IMPORTING), SESSION_NONE,
         commit),
    STEP(GIVE_UP, MIG_IMPORT_ABORT, GIVES,
         IN(OFFERED) | IN(IMPORTING) | IN(GONE), SESSION_GONE, emit_blob),
};

#undef STEP

static int check_args(const Step *step, const Args *args)
{
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
    return step->blob == TAKES && args->blob_size > MIG_MAX_BUNDLE ? -E2BIG
                                                                   : 0;
}

/* OFFER needs an empty Realm.  Other steps need no more than their session. */
static bool has_contents(const DoubleVm *vm)
{
    return vm->state == VM_ACTIVE || g_hash_table_size(vm->populated);
}

static bool is_next_part(const DoubleVm *vm, unsigned part)
{
    return part == vm->next_part ||
           (part > vm->next_part && all_parts_given(vm));
}

/* True if a vCPU is in KVM_RUN, or its next KVM_RUN completes an exit. */
static bool runs_vcpu(const DoubleVm *vm)
{
    for (guint i = 0; i < vm->vcpus->len; i++) {
        const DoubleVcpu *vcpu = g_ptr_array_index(vm->vcpus, i);

        if (vcpu->running || vcpu->ripas_pending) {
            return true;
        }
    }
    return false;
}

static int check_allowed(DoubleVm *vm, const Step *step, const Args *args)
{
    if (!vm->migratable) {
        return -EOPNOTSUPP;
    }
    if (!migrate_in(vm, step->sessions)) {
        return -EPERM;
    }
    switch (args->cmd) {
    case KVM_ARM_REALM_MIG_ACCEPT:
        return vm->state == VM_ACTIVE ? 0 : -EPERM;
    case KVM_ARM_REALM_MIG_OFFER:
        return has_contents(vm) ? -EPERM : 0;
    case KVM_ARM_REALM_MIG_STATE:
        return is_next_part(vm, args->part) ? 0 : -EPERM;
    case KVM_ARM_REALM_MIG_PAUSE:
        return runs_vcpu(vm) ? -EBUSY : 0;
    default:
        return 0;
    }
}

static int check_recs(DoubleVm *vm)
{
    for (guint i = 0; i < vm->vcpus->len; i++) {
        DoubleVcpu *vcpu = g_ptr_array_index(vm->vcpus, i);

        if (!vcpu->rec) {
            return double_forbid(EINVAL, "OFFER comes after all vCPUs are "
                                 "finalized");
        }
    }
    return 0;
}

/* The VM of a destination becomes an empty Realm by OFFER. */
static int make_empty(DoubleVm *vm)
{
    int ret;

    if (the_double->flavour->rme) {
        ret = vm->state == VM_NEW ? check_recs(vm)
            : double_forbid(EINVAL, "OFFER comes after CREATE_REALM");
    } else {
        ret = host_create(vm) ?: host_create_recs(vm);
        vm->state = ret ? VM_DEAD : vm->state;
    }
    vm->state = ret ? vm->state : VM_EMPTY;
    return ret;
}

/* The RMM has refused the offer: the VM is again what it was before. */
static void unmake_empty(DoubleVm *vm)
{
    if (the_double->flavour->rme) {
        vm->state = VM_NEW;
    } else {
        host_destroy(vm);
        vm->state = VM_NONE;
    }
}

static int do_step(DoubleVm *vm, const Step *step, Args *args)
{
    uint64_t result = step->handler(vm, step->mig, args);
    int ret;

    /* check_args has checked all arguments but the size of the buffer. */
    ret = step->blob == GIVES && RMI_STATUS(result) == RMI_ERROR_INPUT
        ? -ENOSPC
        : migrate_result(result, args->cmd == KVM_ARM_REALM_MIG_IMPORT,
                         &args->cause);
    if (ret == -EBADMSG) {
        vm->session = SESSION_GONE;
    } else if (!ret && step->after != SAME) {
        vm->session = step->after;
    }
    return ret;
}

int vm_migrate(DoubleFile *file, void *arg)
{
    DoubleVm *vm = file->vm;
    Args *args = arg;
    bool offer = args->cmd == KVM_ARM_REALM_MIG_OFFER;
    const Step *step;
    int ret;

    if (args->cmd >= ARRAY_SIZE(steps)) {
        return double_forbid(EINVAL, "step %u", args->cmd);
    }
    step = &steps[args->cmd];
    ret = check_args(step, args) ?: check_allowed(vm, step, args);
    if (!ret && offer) {
        ret = make_empty(vm);
    }
    if (ret) {
        return ret;
    }
    ret = do_step(vm, step, args);
    if (ret && offer) {
        unmake_empty(vm);
    }
    return ret;
}

/* The VM ends: its session has to end first, or the RMM keeps the granules. */
void migrate_forget(DoubleVm *vm)
{
    g_autofree void *blob = g_malloc(MIG_MAX_HELLO);

    MIG(vm, NULL, MIG_EXPORT_ABORT);
    MIG(vm, NULL, MIG_IMPORT_ABORT, physical_window(0, blob, MIG_MAX_HELLO),
        MIG_MAX_HELLO);
}
