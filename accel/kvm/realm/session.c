/*
 * The KVM backend for Realms: sessions of a migration
 *
 * Purpose: the steps of KVM_CC_MIGRATE.  A step takes a blob from QEMU, or
 * gives QEMU one, or has none (docs/specs/kvm-arm-realm-migration.rst).
 *
 * Invariants: blobs are opaque.  A size that the kernel returns is at most the
 * buffer's.  The phase follows the kernel's: a step without an error has been
 * taken, even if the rest of the kernel's answer is invalid; and so has one
 * whose blob the kernel could not write, which it gives when asked again.
 *
 * Lock rule: BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <linux/kvm.h>
#include <linux/kvm-cc-migration.h>
#include "qapi/error.h"
#include "qemu/units.h"
#include "migration/blocker.h"
#include "target/arm/rmm/mig-abi.h"
#include "target/arm/realm/cause.h"
#include "target/arm/realm/policy.h"
#include "realm-kvm.h"

/* A kernel that says its limits are higher than these is not believed. */
#define MAX_BLOB    (64 * MiB)
#define MAX_PAGES   16384
#define MAX_STREAMS 4096

/* The state of a Realm has fewer parts than this. */
#define MAX_PARTS   65536

/* A step in pieces has at most one for each page of RAM, and these. */
#define MORE_PIECES 4096

typedef struct kvm_cc_migrate Args;

typedef enum BlobKind {
    NO_BLOB,
    TAKES_BLOB,
    GIVES_BLOB,
} BlobKind;

#define ROW(step, blob, ...) \
    [KVM_CC_##step] = { "KVM_CC_MIGRATE(" #step ")", REALM_STEP_##step, blob, \
                        ##__VA_ARGS__ }

/* Indexed by kvm_cc_migrate.step. */
static const struct {
    const char *name;
    RealmStep step;
    BlobKind blob;
    bool in_pieces;             /* it may take several calls */
} steps[] = {
    ROW(PREPARE, GIVES_BLOB),
    ROW(ACCEPT, TAKES_BLOB),
    ROW(BEGIN, GIVES_BLOB),
    ROW(EPOCH, GIVES_BLOB),
    ROW(PAUSE, NO_BLOB),
    ROW(STATE, GIVES_BLOB),
    ROW(START, GIVES_BLOB),
    ROW(FINISH, TAKES_BLOB, .in_pieces = true),
    ROW(ABORT, NO_BLOB, .in_pieces = true),
    ROW(RESUME, TAKES_BLOB),
    ROW(OFFER, GIVES_BLOB),
    ROW(IMPORT, TAKES_BLOB),
    ROW(READY, GIVES_BLOB, .in_pieces = true),
    ROW(COMMIT, NO_BLOB, .in_pieces = true),
    ROW(RECEIPT, GIVES_BLOB),
    ROW(GIVE_UP, GIVES_BLOB),
};

/* Like realm_kvm_refused, but an errno can mean more for a certain step. */
static void step_refused(const Args *args, int ret, Error **errp)
{
    static const struct {
        uint32_t step;
        int ret;
        MigCause cause;
    } rows[] = {
        { KVM_CC_ACCEPT, -E2BIG, MIG_CAUSE_OFFER_FORMAT },
        { KVM_CC_RESUME, -E2BIG, MIG_CAUSE_ABORT_FORMAT },
        { KVM_CC_FINISH, -E2BIG, MIG_CAUSE_REPLY_FORMAT },
        { KVM_CC_STATE, -EINVAL, MIG_CAUSE_REALM_PART },
        { KVM_CC_PAUSE, -EBUSY, MIG_CAUSE_RECS_RUNNING },
    };
    const char *name = steps[args->step].name;
    const RealmStep step = steps[args->step].step;

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (rows[i].step == args->step && rows[i].ret == ret) {
            error_setg(errp, "Realm: cannot %s: %s", realm_step_text(step),
                       realm_cause(rows[i].cause));
            return;
        }
    }
    if (ret == -EINVAL) {
        error_setg(errp, "Realm: cannot %s: %s: this kernel does not know the "
                   "step in this form; use a newer one", realm_step_text(step),
                   name);
        return;
    }
    realm_kvm_refused(errp, step, name, ret, args->cause, args->detail);
}

/* What is empty is no blob, like what is too large. */
static int call_step(Args *args)
{
    if (steps[args->step].blob == TAKES_BLOB && !args->blob_size) {
        return -E2BIG;
    }
    return realm_kvm_vm_call_again(REALM_KVM_CALL(KVM_CC_MIGRATE, args),
                                   sizeof(*args));
}

/*
 * The kernel has returned @ret: take the step that it took.  It has done so,
 * too, if it only could not write the blob.
 */
static void follow_kernel(const Args *args, int ret)
{
    bool lost = ret == -EFAULT && steps[args->step].blob == GIVES_BLOB;
    bool waits = args->flags & KVM_CC_MORE &&
                 (args->step == KVM_CC_COMMIT || args->step == KVM_CC_ABORT);

    if (lost || (ret >= 0 && !waits)) {
        realm_kvm_took(steps[args->step].step);
    } else if (ret == -EBADMSG && realm_kvm_phase() == REALM_PHASE_IMPORTING) {
        realm_kvm_import_failed();
    }
}

static bool is_valid_answer(const Args *args, int ret, uint64_t room)
{
    uint32_t known = steps[args->step].in_pieces ? KVM_CC_MORE : 0;

    return ret == 0 && args->blob_size <= room && !(args->flags & ~known);
}

/* One call of a step, which may be a piece of it */
static bool take_piece(Args *args, Error **errp)
{
    uint64_t room = args->blob_size;
    int ret;

    if (!realm_kvm_check(steps[args->step].step, errp)) {
        return false;
    }
    ret = call_step(args);
    follow_kernel(args, ret);
    if (ret < 0) {
        step_refused(args, ret, errp);
        return false;
    }
    if (!is_valid_answer(args, ret, room)) {
        realm_kvm_invalid_answer(errp, steps[args->step].name, "it returned "
                                 "%d, with flags 0x%x and a blob of %" PRIu64
                                 " bytes for %" PRIu64, ret, args->flags,
                                 (uint64_t)args->blob_size, room);
        return false;
    }
    return true;
}

static bool take_step(Args *args, Error **errp)
{
    const uint64_t max_pieces = MORE_PIECES +
        realm_kvm.config->ram_size / REALM_PAGE_SIZE;
    const Args asked = *args;

    for (uint64_t i = 0; i < max_pieces; i++) {
        *args = asked;
        if (!take_piece(args, errp)) {
            return false;
        }
        if (!(args->flags & KVM_CC_MORE)) {
            return true;
        }
    }
    realm_kvm_invalid_answer(errp, steps[args->step].name, "it is not over "
                             "after %" PRIu64 " calls", max_pieces);
    return false;
}

/*
 * Take the step of @args, which writes a blob.  It must not be empty.  Returns
 * its size, or -1.
 */
static ssize_t emit_blob(Args *args, Error **errp)
{
    if (!take_step(args, errp)) {
        return -1;
    }
    if (!args->blob_size) {
        realm_kvm_invalid_answer(errp, steps[args->step].name,
                                 "the blob is empty");
        return -1;
    }
    return args->blob_size;
}

/* The same for a step that needs nothing of the other side. */
static ssize_t emit_own_blob(uint32_t step, void *buf, uint64_t room,
                             Error **errp)
{
    Args args = { .step = step, .blob = (uintptr_t)buf, .blob_size = room };

    return emit_blob(&args, errp);
}

static uint64_t max_blob(void)
{
    return realm_kvm.limits.max_blob;
}

/* Take a step that reads the blob of @size bytes at @blob. */
static bool send_blob(uint32_t step, const void *blob, size_t size,
                      Error **errp)
{
    Args args = { .step = step, .blob = (uintptr_t)blob, .blob_size = size };

    return take_step(&args, errp);
}

/* Take a step without a blob. */
static bool plain_step(uint32_t step, Error **errp)
{
    Args args = { .step = step };

    return take_step(&args, errp);
}

/* ---- Before the Realm is created ---- */

static bool check_info(const struct kvm_cc_mig_info *info, Error **errp)
{
    if (info->granule != REALM_PAGE_SIZE || !info->max_pages ||
        info->max_pages > MAX_PAGES || !info->max_streams ||
        info->max_streams > MAX_STREAMS ||
        info->max_blob < (uint64_t)info->max_pages * REALM_PAGE_SIZE ||
        info->max_blob > MAX_BLOB) {
        realm_kvm_invalid_answer(errp, "KVM_CC_MIG_INFO", "%u pages of %u "
                                 "bytes and 0x%" PRIx64 " bytes in a blob, %u "
                                 "streams", info->max_pages, info->granule,
                                 (uint64_t)info->max_blob, info->max_streams);
        return false;
    }
    return true;
}

static bool get_limits(const RealmConfig *config, Error **errp)
{
    struct kvm_cc_mig_info info = { 0 };

    if (!realm_kvm_vm_do(REALM_KVM_CALL(KVM_CC_MIG_INFO, &info),
                         "get the limits of its migration", errp) ||
        !check_info(&info, errp)) {
        return false;
    }
    if (config->mte && !(info.features & KVM_CC_MIG_TAGS)) {
        error_setg(errp, "rme-guest: this kernel migrates no memory tags; "
                   "leave migration=on or mte=on out");
        return false;
    }
    realm_kvm.limits = (RealmMigrationLimits) {
        .max_blob = info.max_blob,
        .max_pages = info.max_pages,
        .max_streams = info.max_streams,
        .page_size = realm_kvm.layout.page_size,
    };
    realm_kvm.next_number = g_new0(uint64_t, info.max_streams);
    return true;
}

static bool enable_migration(const RealmConfig *config, Error **errp)
{
    g_autofree MigPolicy *policy = g_new0(MigPolicy, 1);
    struct kvm_enable_cap cap = { .cap = KVM_CAP_CC_MIGRATION };

    if (config->has_policy) {
        realm_policy_pack(policy, &config->policy);
        cap.args[0] = (uintptr_t)policy;
        cap.args[1] = sizeof(*policy);
    }
    return realm_kvm_vm_do(REALM_KVM_CALL(KVM_ENABLE_CAP, &cap),
                           "allow its migration", errp);
}

/* The capability that a migration lacks here; or NULL. */
static const char *find_missing(int can_migrate)
{
    return !can_migrate ? "KVM_CAP_CC_MIGRATION" :
           !realm_kvm.abi.dirty_log ? "KVM_CAP_GUEST_MEMFD_DIRTY_LOG" : NULL;
}

bool realm_kvm_migration_init(const RealmConfig *config, Error **errp)
{
    static Error *blocker;
    const char *missing;
    int can_migrate;

    if (!realm_kvm_vm_check(KVM_CAP_CC_MIGRATION, &can_migrate, errp)) {
        return false;
    }
    missing = find_missing(can_migrate);
    if (!missing) {
        return !config->migration ||
               (get_limits(config, errp) && enable_migration(config, errp));
    }
    if (config->migration) {
        error_setg(errp, "rme-guest: this kernel's KVM cannot migrate Realms "
                   "(it has no %s); leave migration=on out", missing);
        return false;
    }
    error_setg(&blocker, "Realm: this kernel's KVM cannot migrate Realms (it "
               "has no %s)", missing);
    return migrate_add_blocker(&blocker, errp) == 0;
}

/* ---- Source ---- */

bool realm_kvm_export_abort(Error **errp)
{
    return plain_step(KVM_CC_ABORT, errp);
}

bool realm_kvm_prepare_migration(uint8_t nonce[REALM_NONCE_SIZE], Error **errp)
{
    ssize_t size = emit_own_blob(KVM_CC_PREPARE, nonce,
                                 REALM_NONCE_SIZE, errp);

    if (size >= 0 && size < REALM_NONCE_SIZE) {
        realm_kvm_invalid_answer(errp, steps[KVM_CC_PREPARE].name,
                                 "a nonce of %zd bytes", size);
    }
    return size == REALM_NONCE_SIZE;
}

bool realm_kvm_accept(const void *offer, size_t size, Error **errp)
{
    return send_blob(KVM_CC_ACCEPT, offer, size, errp);
}

ssize_t realm_kvm_export_begin(void *buf, Error **errp)
{
    if (!realm_kvm_check(REALM_STEP_BEGIN, errp)) {
        return -1;
    }
    realm_kvm.next_epoch = 0;
    realm_kvm.next_part = 0;
    memset(realm_kvm.next_number, 0, realm_kvm.limits.max_streams *
                                     sizeof(*realm_kvm.next_number));
    return emit_own_blob(KVM_CC_BEGIN, buf, max_blob(), errp);
}

/* The same epoch again, if its token did not come. */
ssize_t realm_kvm_export_epoch(void *buf, Error **errp)
{
    Args args = {
        .step = KVM_CC_EPOCH,
        .part = realm_kvm.next_epoch,
        .blob = (uintptr_t)buf,
        .blob_size = max_blob(),
    };
    ssize_t size = emit_blob(&args, errp);

    realm_kvm.next_epoch += size >= 0;
    return size;
}

/*
 * QEMU has stopped all vCPUs, so a kernel that is busy waits for one to leave
 * KVM_RUN, and is asked again.  To let the vCPUs run meanwhile would be wrong:
 * block devices may be the destination's already.
 */
bool realm_kvm_pause(Error **errp)
{
    return plain_step(KVM_CC_PAUSE, errp) && realm_kvm_read_answers(errp);
}

/* The blob is empty if the state has no part of this number. */
ssize_t realm_kvm_export_state(unsigned part, void *buf, Error **errp)
{
    Args args = {
        .step = KVM_CC_STATE,
        .part = part,
        .blob = (uintptr_t)buf,
        .blob_size = max_blob(),
    };

    if (!realm_kvm_check(REALM_STEP_STATE, errp)) {
        return -1;
    }
    /* The kernel gives the last part again, of which nobody here knows. */
    if (part < realm_kvm.next_part) {
        step_refused(&args, -EINVAL, errp);
        return -1;
    }
    if (!take_step(&args, errp)) {
        return -1;
    }
    if (args.blob_size && part >= MAX_PARTS) {
        realm_kvm_invalid_answer(errp, steps[args.step].name,
                                 "there is a part %u", part);
        return -1;
    }
    realm_kvm.next_part = part + (args.blob_size > 0);
    return args.blob_size;
}

static bool check_ready_size(size_t size, Error **errp)
{
    const size_t expected = KVM_CC_READY_SIZE;

    if (size != expected) {
        error_setg(errp, "Realm: cannot %s: a ready record has %zu bytes, and "
                   "what the destination answered has %zu; see its log",
                   realm_step_text(REALM_STEP_START), expected, size);
    }
    return size == expected;
}

/* A kernel that is asked again gives the same token, and needs no @ready. */
ssize_t realm_kvm_export_start(const void *ready, size_t size, void *buf,
                               Error **errp)
{
    Args args = {
        .step = KVM_CC_START,
        .blob = (uintptr_t)buf,
        .blob_size = REALM_MAX_START_TOKEN,
    };

    if (!realm_kvm_check(REALM_STEP_START, errp)) {
        return -1;
    }
    if (realm_kvm_phase() == REALM_PHASE_PAUSED) {
        if (!check_ready_size(size, errp)) {
            return -1;
        }
        args.peer = (uintptr_t)ready;
        args.peer_size = size;
    }
    return emit_blob(&args, errp);
}

bool realm_kvm_export_finish(const void *receipt, size_t size, Error **errp)
{
    return send_blob(KVM_CC_FINISH, receipt, size, errp);
}

bool realm_kvm_export_resume(const void *token, size_t size, Error **errp)
{
    return send_blob(KVM_CC_RESUME, token, size, errp);
}

/* ---- Destination ---- */

ssize_t realm_kvm_offer(const uint8_t nonce[REALM_NONCE_SIZE], void *buf,
                        Error **errp)
{
    Args args = {
        .step = KVM_CC_OFFER,
        .blob = (uintptr_t)buf,
        .blob_size = max_blob(),
        .peer = (uintptr_t)nonce,
        .peer_size = REALM_NONCE_SIZE,
    };

    QEMU_BUILD_BUG_ON(REALM_NONCE_SIZE != KVM_CC_NONCE_SIZE);
    if (!realm_kvm_check(REALM_STEP_OFFER, errp) ||
        (realm_kvm_phase() == REALM_PHASE_WAITING &&
         !realm_kvm_build_empty(errp))) {
        return -1;
    }
    return emit_blob(&args, errp);
}

bool realm_kvm_import(const void *blob, size_t size, Error **errp)
{
    return realm_kvm_check(REALM_STEP_IMPORT, errp) &&
           (send_blob(KVM_CC_IMPORT, blob, size, errp) ||
            realm_kvm_import_failed());
}

ssize_t realm_kvm_import_ready(void *buf, Error **errp)
{
    return emit_own_blob(KVM_CC_READY, buf, REALM_MAX_REPLY, errp);
}

bool realm_kvm_commit(Error **errp)
{
    return realm_kvm_check(REALM_STEP_COMMIT, errp) &&
           realm_kvm_write_answers(errp) && plain_step(KVM_CC_COMMIT, errp);
}

ssize_t realm_kvm_import_receipt(void *buf, Error **errp)
{
    return emit_own_blob(KVM_CC_RECEIPT, buf, REALM_MAX_REPLY,
                         errp);
}

ssize_t realm_kvm_import_abort(void *buf, Error **errp)
{
    return emit_own_blob(KVM_CC_GIVE_UP, buf, max_blob(), errp);
}
