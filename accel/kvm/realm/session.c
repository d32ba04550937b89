/*
 * The KVM backend for Realms: sessions of a migration
 *
 * Purpose: the steps of KVM_ARM_REALM_MIGRATE.  A step takes a blob from QEMU,
 * or gives QEMU one, or has none (docs/specs/kvm-arm-realm-migration.rst).
 *
 * Invariants: blobs are opaque.  A size that the kernel returns is at most the
 * buffer's.  The phase follows the kernel's: a step without an error has been
 * taken, even if the rest of the kernel's answer is invalid.
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
#include "target/arm/realm/cause.h"
#include "realm-kvm.h"

/* A kernel that says its limits are higher than these is not believed. */
#define MAX_BLOB    (64 * MiB)
#define MAX_PAGES   16384

/* The state of a Realm has fewer parts than this. */
#define MAX_PARTS   65536

typedef struct kvm_arm_realm_migrate Args;

#define ROW(cmd, step) \
    [KVM_ARM_REALM_MIG_##cmd] = { "KVM_ARM_REALM_MIGRATE(" #cmd ")", \
                                  REALM_STEP_##step }

/* Indexed by kvm_arm_realm_migrate.cmd. */
static const struct {
    const char *name;
    RealmStep step;
} cmds[] = {
    ROW(ACCEPT, ACCEPT), ROW(BEGIN, BEGIN), ROW(EPOCH, EPOCH),
    ROW(PAUSE, PAUSE), ROW(STATE, STATE), ROW(START, START),
    ROW(ABORT, ABORT), ROW(RESUME, RESUME), ROW(OFFER, OFFER),
    ROW(IMPORT, IMPORT), ROW(COMMIT, COMMIT), ROW(GIVE_UP, GIVE_UP),
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
        /* EPERM also means "not paused", but that was checked before. */
        { KVM_ARM_REALM_MIG_STATE, -EPERM, MIG_CAUSE_REALM_PART },
    };
    const char *name = cmds[args->cmd].name;
    RealmStep step = cmds[args->cmd].step;
    uint32_t cause = args->cause;

    if (args->cmd == KVM_ARM_REALM_MIG_PAUSE && ret == -EBUSY) {
        error_setg(errp, "Realm: cannot %s: %s: %s", realm_step_text(step),
                   name, realm_cause(MIG_CAUSE_RECS_RUNNING));
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

static bool take_step(Args *args, Error **errp)
{
    uint64_t room = args->blob_size;
    int ret;

    if (!realm_kvm_check(cmds[args->cmd].step, errp)) {
        return false;
    }
    ret = realm_kvm_vm_call(REALM_KVM_CALL(KVM_ARM_REALM_MIGRATE, args));
    if (ret < 0) {
        step_refused(args, ret, errp);
        return false;
    }
    realm_kvm_took(cmds[args->cmd].step);
    if (ret > 0 || args->blob_size > room) {
        realm_kvm_invalid_answer(errp, cmds[args->cmd].name, "it returned %d, "
                                 "with a blob of %" PRIu64 " bytes for %"
                                 PRIu64, ret, (uint64_t)args->blob_size, room);
        return false;
    }
    return true;
}

/*
 * Take a step that writes a blob into @buf, of @room bytes.  The blob must not
 * be empty.  Returns its size, or -1.
 */
static ssize_t emit_blob(uint32_t cmd, void *buf, uint64_t room,
                         Error **errp)
{
    Args args = { .cmd = cmd, .blob = (uintptr_t)buf, .blob_size = room };

    if (!take_step(&args, errp)) {
        return -1;
    }
    if (!args.blob_size) {
        realm_kvm_invalid_answer(errp, cmds[cmd].name, "the blob is empty");
        return -1;
    }
    return args.blob_size;
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
        info->max_pages > MAX_PAGES ||
        info->max_blob < (uint64_t)info->max_pages * KVM_ARM_REALM_GRANULE ||
        info->max_blob > MAX_BLOB) {
        realm_kvm_invalid_answer(errp, "KVM_ARM_REALM_MIG_INFO", "flags 0x%x, "
                                 "%u pages and 0x%" PRIx64 " bytes in a blob",
                                 info->flags, info->max_pages,
                                 (uint64_t)info->max_blob);
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
    };
    return true;
}

static void fill_policy(struct kvm_arm_realm_policy *to,
                        const RealmPolicy *policy)
{
    QEMU_BUILD_BUG_ON(sizeof(to->anchors) != sizeof(policy->anchors));
    QEMU_BUILD_BUG_ON(sizeof(to->implementation_id) !=
                      sizeof(policy->implementation));
    to->flags =
        (policy->compact ? KVM_ARM_REALM_POLICY_COMPACT : 0) |
        (policy->secured ? KVM_ARM_REALM_POLICY_SECURED : 0) |
        (policy->has_implementation ? KVM_ARM_REALM_POLICY_IMPLEMENTATION : 0);
    to->num_anchors = policy->num_anchors;
    memcpy(to->implementation_id, policy->implementation,
           sizeof(to->implementation_id));
    memcpy(to->anchors, policy->anchors, sizeof(to->anchors));
}

static bool enable_migration(const RealmConfig *config, Error **errp)
{
    struct kvm_arm_realm_policy policy = { 0 };
    struct kvm_enable_cap cap = { .cap = KVM_CAP_ARM_REALM_MIGRATION };

    if (config->has_policy) {
        fill_policy(&policy, &config->policy);
        cap.args[0] = (uintptr_t)&policy;
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

bool realm_kvm_accept(const void *offer, size_t size, Error **errp)
{
    return (realm_kvm_phase() != REALM_PHASE_ACCEPTED ||
            realm_kvm_export_abort(errp)) &&
           send_blob(KVM_ARM_REALM_MIG_ACCEPT, offer, size, errp);
}

ssize_t realm_kvm_export_begin(void *buf, Error **errp)
{
    return emit_blob(KVM_ARM_REALM_MIG_BEGIN, buf, max_blob(), errp);
}

ssize_t realm_kvm_export_epoch(void *buf, Error **errp)
{
    return emit_blob(KVM_ARM_REALM_MIG_EPOCH, buf, max_blob(), errp);
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

ssize_t realm_kvm_export_start(void *buf, Error **errp)
{
    return emit_blob(KVM_ARM_REALM_MIG_START, buf, REALM_MAX_START_TOKEN, errp);
}

bool realm_kvm_export_resume(const void *token, size_t size, Error **errp)
{
    return send_blob(KVM_ARM_REALM_MIG_RESUME, token, size, errp);
}

/* ---- Destination ---- */

ssize_t realm_kvm_offer(void *buf, Error **errp)
{
    if (!realm_kvm_check(REALM_STEP_OFFER, errp) ||
        (realm_kvm_phase() == REALM_PHASE_WAITING &&
         !realm_kvm_build_empty(errp))) {
        return -1;
    }
    return emit_blob(KVM_ARM_REALM_MIG_OFFER, buf, max_blob(), errp);
}

bool realm_kvm_import(const void *blob, size_t size, Error **errp)
{
    return realm_kvm_check(REALM_STEP_IMPORT, errp) &&
           (send_blob(KVM_ARM_REALM_MIG_IMPORT, blob, size, errp) ||
            realm_kvm_import_failed());
}

bool realm_kvm_commit(Error **errp)
{
    return plain_step(KVM_ARM_REALM_MIG_COMMIT, errp);
}

ssize_t realm_kvm_import_abort(void *buf, Error **errp)
{
    return emit_blob(KVM_ARM_REALM_MIG_GIVE_UP, buf, max_blob(), errp);
}
