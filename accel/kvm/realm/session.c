/*
 * The KVM backend for Realms: sessions of a migration
 *
 * Purpose: the steps of KVM_ARM_REALM_MIGRATE.  A step takes a blob from QEMU,
 * or gives QEMU one, or has none (docs/specs/kvm-arm-realm-migration.rst).
 *
 * Invariants: blobs are opaque.  A size that the kernel returns is at most the
 * buffer's.  The phase follows the kernel's: a step without an error has been
 * taken, even if the rest of the kernel's answer is invalid; and so has one
 * whose blob the kernel could not write.
 *
 * Lock rule: BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <linux/kvm.h>
#include <linux/kvm-arm-realm-migration.h>
#include "qapi/error.h"
#include "qemu/units.h"
#include "migration/blocker.h"
#include "target/arm/rmm/mig-abi.h"
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

typedef struct kvm_arm_realm_migrate Args;

typedef enum BlobKind {
    NO_BLOB,
    TAKES_BLOB,
    GIVES_BLOB,
} BlobKind;

#define ROW(cmd, blob, ...) \
    [KVM_ARM_REALM_MIG_##cmd] = { "KVM_ARM_REALM_MIGRATE(" #cmd ")", \
                                  REALM_STEP_##cmd, blob, ##__VA_ARGS__ }

/* Indexed by kvm_arm_realm_migrate.cmd. */
static const struct {
    const char *name;
    RealmStep step;
    BlobKind blob;
    bool in_pieces;             /* it may take several calls */
} cmds[] = {
    ROW(PREPARE, GIVES_BLOB),
    ROW(ACCEPT, TAKES_BLOB),
    ROW(BEGIN, GIVES_BLOB),
    ROW(EPOCH, GIVES_BLOB),
    ROW(PAUSE, NO_BLOB),
    ROW(STATE, GIVES_BLOB),
    ROW(START, GIVES_BLOB),
    ROW(ABORT, NO_BLOB),
    ROW(RESUME, TAKES_BLOB),
    ROW(FINISH, TAKES_BLOB, .in_pieces = true),
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
        uint32_t cmd;
        int ret;
        MigCause cause;
    } rows[] = {
        { KVM_ARM_REALM_MIG_ACCEPT, -E2BIG, MIG_CAUSE_OFFER_FORMAT },
        { KVM_ARM_REALM_MIG_RESUME, -E2BIG, MIG_CAUSE_ABORT_FORMAT },
        { KVM_ARM_REALM_MIG_FINISH, -E2BIG, MIG_CAUSE_REPLY_FORMAT },
        /* EPERM also means "not paused", but that was checked before. */
        { KVM_ARM_REALM_MIG_STATE, -EPERM, MIG_CAUSE_REALM_PART },
    };
    const char *name = cmds[args->cmd].name;
    const RealmStep step = cmds[args->cmd].step;
    bool is_pause = args->cmd == KVM_ARM_REALM_MIG_PAUSE;
    uint32_t cause = args->cause;

    if (ret == -EINVAL) {
        error_setg(errp, "Realm: cannot %s: %s: this kernel does not know the "
                   "step in this form; use a newer one", realm_step_text(step),
                   name);
        return;
    }
    if (ret == -EBUSY &&
        (is_pause || cmds[args->cmd].blob == GIVES_BLOB)) {
        realm_kvm_busy(errp, step, name, is_pause ? MIG_CAUSE_RECS_RUNNING
                                                  : MIG_CAUSE_OWED);
        return;
    }
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (rows[i].cmd == args->cmd && rows[i].ret == ret) {
            cause = rows[i].cause;
            ret = -EPROTO;
        }
    }
    realm_kvm_refused(errp, step, name, ret, cause);
}

/*
 * Make the ioctl, with *@args for the answer.  A kernel that could not write
 * the blob owes it, and gives it to whoever asks for the step again.  What is
 * empty is no blob, like what is too large.
 */
static int call_step(Args *args)
{
    const BlobKind blob = cmds[args->cmd].blob;
    const Args asked = *args;
    int ret;

    if (blob == TAKES_BLOB && !args->blob_size) {
        return -E2BIG;
    }
    ret = realm_kvm_vm_call(REALM_KVM_CALL(KVM_ARM_REALM_MIGRATE, args));
    if (ret == -EFAULT && blob == GIVES_BLOB) {
        *args = asked;
        ret = realm_kvm_vm_call(REALM_KVM_CALL(KVM_ARM_REALM_MIGRATE, args));
    }
    return ret;
}

/* The kernel has returned @ret: take the step that it took. */
static void follow_kernel(const Args *args, int ret)
{
    bool owes = ret == -EFAULT && cmds[args->cmd].blob == GIVES_BLOB;
    bool waits = args->cmd == KVM_ARM_REALM_MIG_COMMIT &&
                 (args->flags & KVM_ARM_REALM_MIG_MORE);

    if (owes || (ret >= 0 && !waits)) {
        realm_kvm_took(cmds[args->cmd].step);
    } else if (ret == -EBADMSG && realm_kvm_phase() == REALM_PHASE_IMPORTING) {
        realm_kvm_import_failed();
    }
}

static bool is_valid_answer(const Args *args, int ret, uint64_t room)
{
    uint32_t known = cmds[args->cmd].in_pieces ? KVM_ARM_REALM_MIG_MORE : 0;

    return ret == 0 && args->blob_size <= room && !(args->flags & ~known);
}

/* One call of a step, which may be a piece of it */
static bool take_piece(Args *args, Error **errp)
{
    uint64_t room = args->blob_size;
    int ret;

    if (!realm_kvm_check(cmds[args->cmd].step, errp)) {
        return false;
    }
    ret = call_step(args);
    follow_kernel(args, ret);
    if (ret < 0) {
        step_refused(args, ret, errp);
        return false;
    }
    if (!is_valid_answer(args, ret, room)) {
        realm_kvm_invalid_answer(errp, cmds[args->cmd].name, "it returned %d, "
                                 "with flags 0x%x and a blob of %" PRIu64
                                 " bytes for %" PRIu64, ret, args->flags,
                                 (uint64_t)args->blob_size, room);
        return false;
    }
    return true;
}

static bool take_step(Args *args, Error **errp)
{
    const uint64_t max_pieces = MORE_PIECES +
        realm_kvm.config->ram_size / KVM_ARM_REALM_GRANULE;
    const Args asked = *args;

    for (uint64_t i = 0; i < max_pieces; i++) {
        *args = asked;
        if (!take_piece(args, errp)) {
            return false;
        }
        if (!(args->flags & KVM_ARM_REALM_MIG_MORE)) {
            return true;
        }
    }
    realm_kvm_invalid_answer(errp, cmds[args->cmd].name, "it is not over after "
                             "%" PRIu64 " calls", max_pieces);
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
        realm_kvm_invalid_answer(errp, cmds[args->cmd].name,
                                 "the blob is empty");
        return -1;
    }
    return args->blob_size;
}

/* The same for a step that needs nothing of the other side. */
static ssize_t emit_own_blob(uint32_t cmd, void *buf, uint64_t room,
                             Error **errp)
{
    Args args = { .cmd = cmd, .blob = (uintptr_t)buf, .blob_size = room };

    return emit_blob(&args, errp);
}

static uint64_t max_blob(void)
{
    return realm_kvm.limits.max_blob;
}

/* Take a step that reads the blob of @size bytes at @blob. */
static bool send_blob(uint32_t cmd, const void *blob, size_t size,
                      Error **errp)
{
    Args args = { .cmd = cmd, .blob = (uintptr_t)blob, .blob_size = size };

    return take_step(&args, errp);
}

/* Take a step without a blob. */
static bool plain_step(uint32_t cmd, Error **errp)
{
    Args args = { .cmd = cmd };

    return take_step(&args, errp);
}

/* ---- Before the Realm is created ---- */

static bool check_info(const struct kvm_arm_realm_mig_info *info, Error **errp)
{
    if (info->version != KVM_ARM_REALM_MIG_VERSION) {
        error_setg(errp, "rme-guest: KVM_ARM_REALM_MIG_INFO: the kernel "
                   "migrates Realms by version %u of its interface, this "
                   "program by version %u", info->version,
                   KVM_ARM_REALM_MIG_VERSION);
        return false;
    }
    if (info->flags & ~KVM_ARM_REALM_MIG_TAGS || !info->max_pages ||
        info->max_pages > MAX_PAGES || !info->max_streams ||
        info->max_streams > MAX_STREAMS ||
        info->max_blob < (uint64_t)info->max_pages * KVM_ARM_REALM_GRANULE ||
        info->max_blob > MAX_BLOB) {
        realm_kvm_invalid_answer(errp, "KVM_ARM_REALM_MIG_INFO", "flags 0x%x, "
                                 "%u pages and 0x%" PRIx64 " bytes in a blob, "
                                 "%u streams", info->flags, info->max_pages,
                                 (uint64_t)info->max_blob, info->max_streams);
        return false;
    }
    return true;
}

static bool get_limits(const RealmConfig *config, Error **errp)
{
    struct kvm_arm_realm_mig_info info = { 0 };

    if (!realm_kvm_vm_do(REALM_KVM_CALL(KVM_ARM_REALM_MIG_INFO, &info),
                         "get the limits of its migration", errp) ||
        !check_info(&info, errp)) {
        return false;
    }
    if (config->mte && !(info.flags & KVM_ARM_REALM_MIG_TAGS)) {
        error_setg(errp, "rme-guest: this kernel migrates no memory tags; "
                   "leave migration=on or mte=on out");
        return false;
    }
    realm_kvm.limits = (RealmMigrationLimits) {
        .max_blob = info.max_blob,
        .max_pages = info.max_pages,
        .max_streams = info.max_streams,
    };
    return true;
}

static bool enable_migration(const RealmConfig *config, Error **errp)
{
    g_autofree MigPolicy *policy = g_new0(MigPolicy, 1);
    struct kvm_enable_cap cap = { .cap = KVM_CAP_ARM_REALM_MIGRATION };

    if (config->has_policy) {
        realm_policy_pack(policy, &config->policy);
        cap.args[0] = (uintptr_t)policy;
        cap.args[1] = sizeof(*policy);
    }
    return realm_kvm_vm_do(REALM_KVM_CALL(KVM_ENABLE_CAP, &cap),
                           "allow its migration", errp);
}

bool realm_kvm_migration_init(const RealmConfig *config, Error **errp)
{
    static Error *blocker;
    int can_migrate;

    if (!realm_kvm_vm_check(KVM_CAP_ARM_REALM_MIGRATION, &can_migrate, errp)) {
        return false;
    }
    realm_kvm.migratable = can_migrate;
    if (realm_kvm.migratable) {
        return !config->migration ||
               (get_limits(config, errp) && enable_migration(config, errp));
    }
    if (config->migration) {
        error_setg(errp, "rme-guest: this kernel's KVM cannot migrate Realms "
                   "(it has no KVM_CAP_ARM_REALM_MIGRATION); leave "
                   "migration=on out");
        return false;
    }
    error_setg(&blocker, "Realm: this kernel's KVM cannot migrate Realms (it "
               "has no KVM_CAP_ARM_REALM_MIGRATION)");
    return migrate_add_blocker(&blocker, errp) == 0;
}

/* ---- Source ---- */

bool realm_kvm_export_abort(Error **errp)
{
    return plain_step(KVM_ARM_REALM_MIG_ABORT, errp);
}

bool realm_kvm_prepare_migration(uint8_t nonce[REALM_NONCE_SIZE], Error **errp)
{
    ssize_t size = emit_own_blob(KVM_ARM_REALM_MIG_PREPARE, nonce,
                                 REALM_NONCE_SIZE, errp);

    if (size >= 0 && size < REALM_NONCE_SIZE) {
        realm_kvm_invalid_answer(errp, cmds[KVM_ARM_REALM_MIG_PREPARE].name,
                                 "a nonce of %zd bytes", size);
    }
    return size == REALM_NONCE_SIZE;
}

bool realm_kvm_accept(const void *offer, size_t size, Error **errp)
{
    return send_blob(KVM_ARM_REALM_MIG_ACCEPT, offer, size, errp);
}

ssize_t realm_kvm_export_begin(void *buf, Error **errp)
{
    ssize_t size = emit_own_blob(KVM_ARM_REALM_MIG_BEGIN, buf, max_blob(),
                                 errp);

    if (size >= 0) {
        realm_kvm_shared_log_begins();
    }
    return size;
}

ssize_t realm_kvm_export_epoch(void *buf, Error **errp)
{
    return emit_own_blob(KVM_ARM_REALM_MIG_EPOCH, buf, max_blob(), errp);
}

bool realm_kvm_pause(Error **errp)
{
    return plain_step(KVM_ARM_REALM_MIG_PAUSE, errp);
}

/* The blob is empty if the state has no part of this number. */
ssize_t realm_kvm_export_state(unsigned part, void *buf, Error **errp)
{
    Args args = {
        .cmd = KVM_ARM_REALM_MIG_STATE,
        .part = part,
        .blob = (uintptr_t)buf,
        .blob_size = max_blob(),
    };

    if (!take_step(&args, errp)) {
        return -1;
    }
    if (args.blob_size && part >= MAX_PARTS) {
        realm_kvm_invalid_answer(errp, cmds[args.cmd].name,
                                 "there is a part %u", part);
        return -1;
    }
    return args.blob_size;
}

static bool check_ready_size(size_t size, Error **errp)
{
    const size_t expected = KVM_ARM_REALM_READY_SIZE;

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
        .cmd = KVM_ARM_REALM_MIG_START,
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
    return send_blob(KVM_ARM_REALM_MIG_FINISH, receipt, size, errp);
}

bool realm_kvm_export_resume(const void *token, size_t size, Error **errp)
{
    return send_blob(KVM_ARM_REALM_MIG_RESUME, token, size, errp);
}

/* ---- Destination ---- */

ssize_t realm_kvm_offer(const uint8_t nonce[REALM_NONCE_SIZE], void *buf,
                        Error **errp)
{
    Args args = {
        .cmd = KVM_ARM_REALM_MIG_OFFER,
        .blob = (uintptr_t)buf,
        .blob_size = max_blob(),
        .peer = (uintptr_t)nonce,
        .peer_size = REALM_NONCE_SIZE,
    };

    QEMU_BUILD_BUG_ON(REALM_NONCE_SIZE != KVM_ARM_REALM_NONCE_SIZE);
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
           (send_blob(KVM_ARM_REALM_MIG_IMPORT, blob, size, errp) ||
            realm_kvm_import_failed());
}

ssize_t realm_kvm_import_ready(void *buf, Error **errp)
{
    return emit_own_blob(KVM_ARM_REALM_MIG_READY, buf, REALM_MAX_REPLY, errp);
}

bool realm_kvm_commit(Error **errp)
{
    return plain_step(KVM_ARM_REALM_MIG_COMMIT, errp);
}

ssize_t realm_kvm_import_receipt(void *buf, Error **errp)
{
    return emit_own_blob(KVM_ARM_REALM_MIG_RECEIPT, buf, REALM_MAX_REPLY,
                         errp);
}

ssize_t realm_kvm_import_abort(void *buf, Error **errp)
{
    return emit_own_blob(KVM_ARM_REALM_MIG_GIVE_UP, buf, max_blob(), errp);
}
