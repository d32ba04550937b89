/*
 * The stand-in kernel: sessions of a migration
 *
 * Purpose: KVM_CAP_CC_MIGRATION, KVM_CC_MIG_INFO and the steps of
 * KVM_CC_MIGRATE, as calls to the RMM's migration extension.
 *
 * Invariants: a call that the session's state does not allow is refused
 * without asking the RMM: EPERM.  A call that the RMM refuses has changed
 * nothing: EPROTO.  But a record that cannot be what the source sealed ends the
 * session: EBADMSG.  The RMM writes to memory of the kernel, which keeps the
 * blob: a caller whose memory was gone (EFAULT), or that lost it, gets it
 * again.
 *
 * Lock rule: handlers run with DoubleVm.lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/cutils.h"
#include "accel/kvm/realm/monitor-cause.h"
#include "internal.h"

#define MIG(vm, out, call, ...) \
    RMI_OUT(out, MIG_FID_BASE + (call), (vm)->rd, ##__VA_ARGS__)

int migrate_result(DoubleVm *vm, uint64_t result, bool import,
                   uint32_t *cause, __u64 *detail)
{
    *cause = 0;
    *detail = 0;
    if (result == RMI_SUCCESS) {
        return 0;
    }
    if (RMI_STATUS(result) != RMI_ERROR_REALM) {
        vm_kill(vm);            /* nothing else can be an answer */
        return -EIO;
    }
    *detail = RMI_INDEX(result);
    *cause = monitor_cause(*detail, import);
    return import && *detail >= MIG_CAUSE_FINAL ? -EBADMSG : -EPROTO;
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

/* ---- Before the Realm is created ---- */

int migrate_enable(DoubleVm *vm, const struct kvm_enable_cap *cap)
{
    const void *policy = (const void *)(uintptr_t)cap->args[0];
    uint64_t size = cap->args[1];

    if (cap->args[2] || cap->args[3]) {
        return double_forbid(EINVAL, "there are two arguments");
    }
    if (!policy != !size || size > sizeof(vm->policy)) {
        return double_forbid(EINVAL, "a policy has 1 to %zu bytes",
                             sizeof(vm->policy));
    }
    if (vm->state != VM_NONE || vm->migratable) {
        return double_forbid(EBUSY, "once, before the Realm is created");
    }
    if (size) {
        memcpy(vm->policy, policy, size);
    }
    vm->policy_size = size;
    vm->migratable = true;
    return 0;
}

int migrate_features(void)
{
    return !the_double->options.migration ? 0 :
           KVM_CC_MIG_PRECOPY |
           (the_double->options.mte && !the_double->options.no_tags
            ? KVM_CC_MIG_TAGS : 0);
}

int vm_mig_info(DoubleFile *file, void *arg)
{
    struct kvm_cc_mig_info *info = arg;

    *info = (struct kvm_cc_mig_info) {
        .features = migrate_features(),
        .max_blob = MIG_MAX_BUNDLE,
        .max_pages = MIG_MAX_PAGES,
        .max_streams = MIG_MAX_STREAMS,
        .granule = GRANULE,
    };
    return 0;
}

/* ---- Blobs that are given again ---- */

int migrate_give_kept(const DoubleKept *kept, uint64_t to, __u64 *size)
{
    gsize needed;
    const void *blob = g_bytes_get_data(kept->blob, &needed);
    int ret = needed > *size ? -ENOSPC : double_copy_out(to, blob, needed);

    *size = ret ? *size : needed;
    return ret;
}

void migrate_keep(DoubleKept *kept, DoubleKept last)
{
    g_clear_pointer(&kept->blob, g_bytes_unref);
    *kept = last;
}

static void forget_kept(DoubleVm *vm)
{
    migrate_keep(&vm->kept, (DoubleKept) { NULL });
    for (size_t i = 0; i < ARRAY_SIZE(vm->kept_bundle); i++) {
        migrate_keep(&vm->kept_bundle[i], (DoubleKept) { NULL });
    }
}

/* ---- What a REC's next entry brings ---- */

int migrate_answer_register(uint64_t id)
{
    uint64_t n = id - KVM_REG_ARM_REC_ANSWER_REG(0);

    return n < 32 ? n : -1;
}

int migrate_get_answer(DoubleVcpu *vcpu, unsigned n, uint64_t *value)
{
    const RmiRecEnter *enter = &vcpu->run->enter;

    if (!migrate_in(vcpu->vm, IN(PAUSED))) {
        return -EPERM;
    }
    if (n) {
        *value = enter->gprs[n - 1];
        return 0;
    }
    *value = (enter->flags & RMI_ENTER_EMUL_MMIO ? KVM_ARM_REC_ANSWER_MMIO
                                                 : 0) |
             (enter->flags & RMI_ENTER_INJECT_SEA ? KVM_ARM_REC_ANSWER_ABORT
                                                  : 0) |
             (vcpu->host_call_pending ? KVM_ARM_REC_ANSWER_HOST_CALL : 0);
    return 0;
}

int migrate_set_answer(DoubleVcpu *vcpu, unsigned n, uint64_t value)
{
    RmiRecEnter *enter = &vcpu->run->enter;

    if (!migrate_in(vcpu->vm, IN(OFFERED) | IN(IMPORTING))) {
        return -EPERM;
    }
    if (n) {
        enter->gprs[n - 1] = value;
        return 0;
    }
    if (value & ~(uint64_t)(KVM_ARM_REC_ANSWER_MMIO |
                            KVM_ARM_REC_ANSWER_HOST_CALL |
                            KVM_ARM_REC_ANSWER_ABORT)) {
        return double_forbid(EINVAL, "flags 0x%" PRIx64 " of an answer",
                             value);
    }
    enter->flags =
        (value & KVM_ARM_REC_ANSWER_MMIO ? RMI_ENTER_EMUL_MMIO : 0) |
        (value & KVM_ARM_REC_ANSWER_ABORT ? RMI_ENTER_INJECT_SEA : 0);
    vcpu->host_call_pending = value & KVM_ARM_REC_ANSWER_HOST_CALL;
    return 0;
}

/* ---- Steps ---- */

typedef struct kvm_cc_migrate Args;

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

static uint64_t prepare(DoubleVm *vm, unsigned mig, Args *args)
{
    uint64_t nonce[KVM_CC_NONCE_SIZE / 8];
    uint64_t result;

    if (args->blob_size < sizeof(nonce)) {
        return RMI_ERROR_INPUT;
    }
    result = MIG(vm, nonce, mig);
    for (size_t i = 0; i < ARRAY_SIZE(nonce); i++) {
        stq_le_p((uint8_t *)(uintptr_t)args->blob + i * 8, nonce[i]);
    }
    args->blob_size = result ? args->blob_size : sizeof(nonce);
    return result;
}

static uint64_t make_offer(DoubleVm *vm, unsigned mig, Args *args)
{
    const uint8_t *nonce = (const uint8_t *)(uintptr_t)args->peer;
    uint64_t out[4];
    uint64_t result = MIG(vm, out, mig, blob_window(args), args->blob_size,
                          ldq_le_p(nonce), ldq_le_p(nonce + 8),
                          ldq_le_p(nonce + 16), ldq_le_p(nonce + 24));

    args->blob_size = result ? args->blob_size : out[0];
    return result;
}

/* What was sealed before has no ready record any more. */
static uint64_t start_there(DoubleVm *vm, unsigned mig, Args *args)
{
    uint64_t out[4];
    uint64_t ready = args->peer
        ? physical_window(1, (const void *)(uintptr_t)args->peer,
                          args->peer_size) : 0;
    uint64_t result = MIG(vm, out, mig, blob_window(args), args->blob_size,
                          ready);

    args->blob_size = result ? args->blob_size : out[0];
    return result;
}

static uint64_t begin_session(DoubleVm *vm, unsigned mig, Args *args)
{
    uint64_t result = emit_blob(vm, mig, args);

    if (!result) {
        vm->next_base = 0;
        vm->next_part = 0;
        vm->first_rec = 0;
        vm->next_epoch = 0;
        memset(vm->next_number, 0, sizeof(vm->next_number));
    }
    return result;
}

static uint64_t export_epoch(DoubleVm *vm, unsigned mig, Args *args)
{
    uint64_t result = emit_blob(vm, mig, args);

    vm->next_epoch += !result;
    return result;
}

/* What a vCPU's last exit left to do is done, as far as it needs no entry. */
static uint64_t pause_realm(DoubleVm *vm, unsigned mig, Args *args)
{
    for (guint i = 0; i < vm->vcpus->len; i++) {
        run_complete(g_ptr_array_index(vm->vcpus, i));
    }
    return MIG(vm, NULL, mig);
}

static uint64_t finish(DoubleVm *vm, unsigned mig, Args *args)
{
    uint64_t out[4];
    uint64_t result = MIG(vm, out, mig, blob_window(args), args->blob_size);

    if (!result) {
        args->flags = out[0] ? KVM_CC_MORE : 0;
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

/*
 * A piece of READY or COMMIT.  out[@at] is an IPA: what the RMM has reached, 0
 * at its end, or where it needs a table that is not there yet.
 */
static uint64_t go_through_map(DoubleVm *vm, unsigned mig, const Args *args,
                               uint64_t out[4], unsigned at)
{
    uint64_t last = UINT64_MAX, result;

    while ((result = MIG(vm, out, mig, args->blob ? blob_window(args) : 0,
                         args->blob_size)) != RMI_SUCCESS) {
        if (RMI_STATUS(result) != RMI_ERROR_RTT || out[at] == last ||
            mmu_create_tables(vm, out[at])) {
            return result;
        }
        last = out[at];
    }
    return result;
}

static uint64_t say_ready(DoubleVm *vm, unsigned mig, Args *args)
{
    uint64_t out[4];
    uint64_t result = go_through_map(vm, mig, args, out, 1);

    if (!result) {
        args->blob_size = out[0];
        args->flags = out[0] ? 0 : KVM_CC_MORE;
    }
    return result;
}

static uint64_t commit(DoubleVm *vm, unsigned mig, Args *args)
{
    uint64_t out[4];
    uint64_t result = go_through_map(vm, mig, args, out, 0);

    if (!result && out[0]) {
        args->flags = KVM_CC_MORE;
    } else if (!result) {
        vm->state = VM_ACTIVE;
        vm->came = true;
        /* The REC knows whether its vCPU is on: run.c asks it. */
        for (guint i = 0; i < vm->vcpus->len; i++) {
            DoubleVcpu *vcpu = g_ptr_array_index(vm->vcpus, i);

            vcpu->power_off = false;
            vcpu->came = true;
        }
    }
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
    uint64_t peer_size;         /* of what the other side gave */
    bool has_part;
    bool again;                 /* its blob is kept, and given again */
    bool imports;               /* some refusals of it are the end */
    bool ends;                  /* the session: nothing is kept any more */
} Step;

#define STEP(name, mig, blob, sessions, after, handler, ...) \
    [KVM_CC_##name] = { #name, mig, blob, sessions, after, handler, \
                        ##__VA_ARGS__ }

static const Step steps[] = {
    STEP(PREPARE, MIG_PREPARE, GIVES, IN(NONE), SAME, prepare),
    STEP(ACCEPT, MIG_ACCEPT, TAKES, IN(NONE), SESSION_ACCEPTED, take_blob),
    STEP(BEGIN, MIG_EXPORT_BEGIN, GIVES, IN(ACCEPTED), SESSION_EXPORTING,
         begin_session, .again = true),
    STEP(EPOCH, MIG_EXPORT_EPOCH, GIVES, IN(EXPORTING) | IN(PAUSED), SAME,
         export_epoch, .has_part = true, .again = true),
    STEP(PAUSE, MIG_PAUSE, NO_BLOB, IN(EXPORTING), SESSION_PAUSED,
         pause_realm),
    STEP(STATE, 0, GIVES, IN(PAUSED), SAME, export_state, .has_part = true,
         .again = true),
    STEP(START, MIG_EXPORT_START, GIVES, IN(PAUSED) | IN(SEALED),
         SESSION_SEALED, start_there, .peer_size = KVM_CC_READY_SIZE),
    STEP(FINISH, MIG_EXPORT_FINISH, TAKES, IN(SEALED) | IN(GONE),
         SESSION_GONE, finish, .ends = true),
    STEP(ABORT, MIG_EXPORT_ABORT, NO_BLOB,
         IN(ACCEPTED) | IN(EXPORTING) | IN(PAUSED), SESSION_NONE, call_rmm,
         .ends = true),
    STEP(RESUME, MIG_EXPORT_RESUME, TAKES, IN(SEALED), SESSION_NONE,
         take_blob, .ends = true),
    STEP(OFFER, MIG_OFFER, GIVES, IN(NONE), SESSION_OFFERED, make_offer,
         .peer_size = KVM_CC_NONCE_SIZE, .again = true),
    STEP(IMPORT, MIG_IMPORT, TAKES, IN(OFFERED) | IN(IMPORTING),
         SESSION_IMPORTING, take_blob, .imports = true),
    STEP(READY, MIG_IMPORT_READY, GIVES, IN(IMPORTING), SAME, say_ready,
         .imports = true),
    STEP(COMMIT, MIG_IMPORT_COMMIT, NO_BLOB, IN(IMPORTING), SESSION_NONE,
         commit, .imports = true, .ends = true),
    STEP(RECEIPT, MIG_IMPORT_RECEIPT, GIVES, IN(NONE), SAME, emit_blob),
    STEP(GIVE_UP, MIG_IMPORT_ABORT, GIVES,
         IN(OFFERED) | IN(IMPORTING) | IN(FAILED), SESSION_FAILED, emit_blob,
         .ends = true),
};

#undef STEP

/* START needs no ready record where the RMM has looked at one before. */
static bool has_peer(const DoubleVm *vm, const Step *step, const Args *args)
{
    if (!args->peer && !args->peer_size) {
        return !step->peer_size ||
               (step->after == SESSION_SEALED && migrate_in(vm, IN(SEALED)));
    }
    return args->peer && args->peer_size && step->peer_size == args->peer_size;
}

static int check_args(const DoubleVm *vm, const Step *step, const Args *args)
{
    if (args->flags || args->reserved) {
        return double_forbid(EINVAL, "flags and reserved are zero");
    }
    if (args->part && !step->has_part) {
        return double_forbid(EINVAL, "%s has no parts", step->name);
    }
    if ((step->blob == NO_BLOB) !=
        (args->blob == 0 && args->blob_size == 0)) {
        return double_forbid(EINVAL, "%s %s a blob", step->name,
                             step->blob == NO_BLOB ? "has not" : "has");
    }
    if (!has_peer(vm, step, args)) {
        return double_forbid(EINVAL, "%s wants %" PRIu64 " bytes of the other "
                             "side", step->name, step->peer_size);
    }
    return step->blob == TAKES && args->blob_size > MIG_MAX_BUNDLE ? -E2BIG
                                                                   : 0;
}

/* OFFER needs an empty Realm.  Other steps need no more than their session. */
static bool has_contents(const DoubleVm *vm)
{
    return vm->state == VM_ACTIVE || g_hash_table_size(vm->populated);
}

/* The kept blob is the one that the step would give: nothing else counts. */
static bool is_again(const DoubleVm *vm, const Step *step, const Args *args)
{
    unsigned sessions = step->sessions |
                        (step->after == SAME ? 0 : BIT(step->after));

    return step->again && vm->kept.blob && vm->kept.step == args->step &&
           vm->kept.part == args->part && migrate_in(vm, sessions);
}

static bool runs_vcpu(const DoubleVm *vm)
{
    for (guint i = 0; i < vm->vcpus->len; i++) {
        if (((DoubleVcpu *)g_ptr_array_index(vm->vcpus, i))->running) {
            return true;
        }
    }
    return false;
}

/* Its tags would not come with its pages. */
static bool has_lost_tags(const DoubleVm *vm)
{
    return vm->mte && !(migrate_features() & KVM_CC_MIG_TAGS);
}

static int check_part(bool ok)
{
    return ok ? 0 : -EINVAL;
}

static int check_allowed(DoubleVm *vm, const Step *step, const Args *args)
{
    if (!migrate_in(vm, step->sessions)) {
        return -EPERM;
    }
    switch (args->step) {
    case KVM_CC_PREPARE:
        return vm->state == VM_ACTIVE ? 0 : -EPERM;
    case KVM_CC_ACCEPT:
        return vm->state != VM_ACTIVE ? -EPERM
                                      : has_lost_tags(vm) ? -EOPNOTSUPP : 0;
    case KVM_CC_RECEIPT:
        return vm->came ? 0 : -EPERM;
    case KVM_CC_OFFER:
        return has_contents(vm) ? -EPERM
                                : has_lost_tags(vm) ? -EOPNOTSUPP : 0;
    case KVM_CC_EPOCH:
        return check_part(args->part == vm->next_epoch);
    case KVM_CC_STATE:
        return check_part(args->part == vm->next_part ||
                          (args->part > vm->next_part &&
                           all_parts_given(vm)));
    case KVM_CC_PAUSE:
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
        if (ret) {
            vm_kill(vm);
        }
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

/*
 * The RMM has taken the step: so has KVM.  It keeps the blob, and the caller,
 * whose memory may be gone, comes last.
 */
static int took_step(DoubleVm *vm, const Step *step, Args *args,
                     const void *blob, uint64_t size)
{
    int ret;

    if (step->after != SAME &&
        (!args->flags || step->after == SESSION_GONE)) {
        vm->session = step->after;
    }
    if (args->step == KVM_CC_ACCEPT) {
        vm->came = false;
    }
    if (step->ends) {
        forget_kept(vm);
    }
    if (step->blob != GIVES) {
        return 0;
    }
    if (size) {
        migrate_keep(&vm->kept, (DoubleKept) {
            .blob = g_bytes_new(blob, size),
            .step = args->step, .part = args->part,
        });
    }
    ret = double_copy_out(args->blob, blob, size);
    args->blob_size = ret ? args->blob_size : size;
    return ret;
}

static int do_step(DoubleVm *vm, const Step *step, Args *args)
{
    uint64_t room = MIN(args->blob_size, MIG_MAX_BUNDLE);
    g_autofree void *blob = g_malloc(room);
    Args kernels = *args;
    uint64_t result;
    int ret;

    if (step->blob == GIVES) {
        kernels.blob = (uintptr_t)blob;
        kernels.blob_size = room;
    }
    result = step->handler(vm, step->mig, &kernels);
    args->flags = kernels.flags;
    /* check_args has checked all arguments but the size of the buffer. */
    if (step->blob == GIVES && RMI_STATUS(result) == RMI_ERROR_INPUT) {
        return -ENOSPC;
    }
    ret = migrate_result(vm, result, step->imports, &args->cause,
                         &args->detail);
    if (ret == -EBADMSG) {
        vm->session = SESSION_FAILED;
        forget_kept(vm);
    }
    return ret ?: took_step(vm, step, args, blob, kernels.blob_size);
}

int vm_migrate(DoubleFile *file, void *arg)
{
    DoubleVm *vm = file->vm;
    Args *args = arg;
    bool offer = args->step == KVM_CC_OFFER;
    const Step *step;
    int ret;

    if (args->step >= ARRAY_SIZE(steps) || !steps[args->step].name) {
        return double_forbid(EINVAL, "step %u", args->step);
    }
    step = &steps[args->step];
    /* The session of a dead VM lives in the RMM: it can be given up. */
    if (vm->dead && args->step != KVM_CC_GIVE_UP) {
        return -EIO;
    }
    if (!vm->migratable) {
        return -EOPNOTSUPP;
    }
    ret = check_args(vm, step, args);
    if (!ret && is_again(vm, step, args)) {
        return migrate_give_kept(&vm->kept, args->blob, &args->blob_size);
    }
    ret = ret ?: check_allowed(vm, step, args);
    if (!ret && offer) {
        ret = make_empty(vm);
    }
    if (ret) {
        return ret;
    }
    ret = do_step(vm, step, args);
    if (offer && vm->session == SESSION_NONE) {
        unmake_empty(vm);
    }
    return ret;
}

/* The VM ends: its session has to end first, or the RMM keeps the granules. */
void migrate_forget(DoubleVm *vm)
{
    g_autofree void *blob = g_malloc(MIG_MAX_HELLO);

    forget_kept(vm);
    MIG(vm, NULL, MIG_EXPORT_ABORT);
    MIG(vm, NULL, MIG_IMPORT_ABORT, physical_window(0, blob, MIG_MAX_HELLO),
        MIG_MAX_HELLO);
}
