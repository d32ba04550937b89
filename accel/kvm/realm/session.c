/*
 * The KVM backend for Realms: sessions of a migration
 *
 * Purpose: the steps of KVM_ARM_REALM_MIGRATE, each of which takes a blob from
 * QEMU, or gives it one, or neither (docs/specs/kvm-arm-realm-migration.rst).
 *
 * Invariants: blobs are opaque; a size that the kernel returns is at most
 * that of the buffer.
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

/* Of what a kernel says of itself, the most that makes sense. */
#define MAX_BLOB    (64 * MiB)
#define MAX_PAGES   16384

/* Of the Realm's state: more than any Realm can need. */
#define MAX_PARTS   65536

void realm_kvm_refused(Error **errp, const char *what, const char *name,
                       int ret, uint32_t cause)
{
    switch (-ret) {
    case EPERM:                 /* KVM's own check, without a cause */
        cause = MIG_CAUSE_STATE;
        break;
    case EOPNOTSUPP:
        cause = MIG_CAUSE_NOT_MIGRATABLE;
        break;
    case E2BIG:
        cause = MIG_CAUSE_FORMAT;
        break;
    case EPROTO:
    case EBADMSG:
        break;
    default:
        error_setg_errno(errp, -ret, "Realm: cannot %s: %s", what, name);
        return;
    }
    error_setg(errp, "Realm: cannot %s: %s", what, realm_cause(cause));
}

static bool is_sources(uint32_t cmd)
{
    return cmd <= KVM_ARM_REALM_MIG_RESUME;
}

/* As realm_kvm_refused, with what an errno says of this step alone. */
static void step_refused(const struct kvm_arm_realm_migrate *args,
                         const char *name, const char *what, int ret,
                         Error **errp)
{
    static const struct {
        uint32_t cmd;
        int ret;
        MigCause cause;
    } rows[] = {
        { KVM_ARM_REALM_MIG_ACCEPT, -E2BIG, MIG_CAUSE_OFFER_FORMAT },
        { KVM_ARM_REALM_MIG_RESUME, -E2BIG, MIG_CAUSE_ABORT_FORMAT },
        /* That it is paused was checked before. */
        { KVM_ARM_REALM_MIG_STATE, -EPERM, MIG_CAUSE_REALM_PART },
    };
    uint32_t cause = args->cause;

    if (args->cmd == KVM_ARM_REALM_MIG_PAUSE && ret == -EBUSY) {
        error_setg(errp, "Realm: cannot %s: %s: %s", what, name,
                   realm_cause(MIG_CAUSE_RECS_RUNNING));
        return;
    }
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (rows[i].cmd == args->cmd && rows[i].ret == ret) {
            cause = rows[i].cause;
            ret = -EPROTO;
        }
    }
    realm_kvm_refused(errp, what, name, ret, cause);
}

/*
 * One step; @what says in messages what it is for.  Once START succeeds, the
 * Realm has left, even if the rest of the answer makes no sense.
 */
static bool migrate_call(struct kvm_arm_realm_migrate *args, const char *name,
                         const char *what, Error **errp)
{
    uint64_t room = args->blob_size;
    int ret;

    if (is_sources(args->cmd) && !realm_kvm_check_started(errp)) {
        return false;
    }
    ret = realm_kvm_vm_call(REALM_KVM_CALL(KVM_ARM_REALM_MIGRATE, args));
    if (ret < 0) {
        step_refused(args, name, what, ret, errp);
        return false;
    }
    realm_kvm.left |= args->cmd == KVM_ARM_REALM_MIG_START;
    if (ret > 0 || args->blob_size > room) {
        realm_kvm_lies(errp, name, "it returned %d, with a blob of %" PRIu64
                       " bytes for %" PRIu64, ret, (uint64_t)args->blob_size,
                       room);
        return false;
    }
    return true;
}

#define MIGRATE(step, args, what, errp) \
    migrate_call(args, "KVM_ARM_REALM_MIGRATE(" #step ")", what, errp)

/*
 * A step that emits a blob of at most @room bytes, which is not empty; the
 * size of it, or -1.
 */
#define EMIT(step, buf, room, what, errp) \
    emit(KVM_ARM_REALM_MIG_##step, "KVM_ARM_REALM_MIGRATE(" #step ")", \
         buf, room, what, errp)

static ssize_t emit(uint32_t cmd, const char *name, void *buf, uint64_t room,
                    const char *what, Error **errp)
{
    struct kvm_arm_realm_migrate args = {
        .cmd = cmd,
        .blob = (uintptr_t)buf,
        .blob_size = room,
    };

    if (!migrate_call(&args, name, what, errp)) {
        return -1;
    }
    if (!args.blob_size) {
        realm_kvm_lies(errp, name, "the blob is empty");
        return -1;
    }
    return args.blob_size;
}

static uint64_t max_blob(void)
{
    return realm_kvm.limits.max_blob;
}

/* A step without a blob, or that takes one. */
#define TAKE(step, blob, size, what, errp) \
    take(KVM_ARM_REALM_MIG_##step, "KVM_ARM_REALM_MIGRATE(" #step ")", \
         blob, size, what, errp)

static bool take(uint32_t cmd, const char *name, const void *blob, size_t size,
                 const char *what, Error **errp)
{
    struct kvm_arm_realm_migrate args = {
        .cmd = cmd,
        .blob = (uintptr_t)blob,
        .blob_size = size,
    };

    return migrate_call(&args, name, what, errp);
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
        realm_kvm_lies(errp, "KVM_ARM_REALM_MIG_INFO", "flags 0x%x, %u pages "
                       "and 0x%" PRIx64 " bytes in a blob", info->flags,
                       info->max_pages, (uint64_t)info->max_blob);
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

static bool enable(const RealmConfig *config, Error **errp)
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
               (get_limits(config, errp) && enable(config, errp));
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

bool realm_kvm_check_started(Error **errp)
{
    return realm_check_started(realm_kvm.state == REALM_KVM_RUNNABLE, errp);
}

bool realm_kvm_export_abort(Error **errp)
{
    realm_kvm.accepted = false;
    if (!TAKE(ABORT, NULL, 0, "give up its migration", errp)) {
        return false;
    }
    realm_kvm.session = false;
    realm_kvm.paused = false;
    return true;
}

bool realm_kvm_accept(const void *offer, size_t size, Error **errp)
{
    /* One that no migration has used gives way to a new one. */
    if (realm_kvm.accepted && !realm_kvm_export_abort(errp)) {
        return false;
    }
    realm_kvm.accepted = TAKE(ACCEPT, offer, size, "accept the offer", errp);
    return realm_kvm.accepted;
}

ssize_t realm_kvm_export_begin(void *buf, Error **errp)
{
    ssize_t size;

    if (!realm_check_accepted(realm_kvm.accepted, errp)) {
        return -1;
    }
    size = EMIT(BEGIN, buf, max_blob(), "begin its migration", errp);
    if (size < 0) {
        realm_kvm_export_abort(NULL);
        return -1;
    }
    realm_kvm.accepted = false;
    realm_kvm.session = true;
    return size;
}

ssize_t realm_kvm_export_epoch(void *buf, Error **errp)
{
    return EMIT(EPOCH, buf, max_blob(), "close an epoch", errp);
}

bool realm_kvm_pause(Error **errp)
{
    if (!TAKE(PAUSE, NULL, 0, "pause for its migration", errp)) {
        return false;
    }
    realm_kvm.paused = true;
    return true;
}

/* An empty one says that there is no such part. */
ssize_t realm_kvm_export_state(unsigned part, void *buf, Error **errp)
{
    struct kvm_arm_realm_migrate args = {
        .cmd = KVM_ARM_REALM_MIG_STATE,
        .part = part,
        .blob = (uintptr_t)buf,
        .blob_size = max_blob(),
    };

    if (!realm_check_state(realm_kvm.paused && !realm_kvm.left,
                           "export its state", errp) ||
        !MIGRATE(STATE, &args, "export its state", errp)) {
        return -1;
    }
    if (args.blob_size && part >= MAX_PARTS) {
        realm_kvm_lies(errp, "KVM_ARM_REALM_MIGRATE(STATE)",
                       "there is a part %u", part);
        return -1;
    }
    return args.blob_size;
}

ssize_t realm_kvm_export_start(void *buf, Error **errp)
{
    return EMIT(START, buf, REALM_MAX_START_TOKEN,
                "hand over to the destination", errp);
}

bool realm_kvm_export_resume(const void *token, size_t size, Error **errp)
{
    if (!TAKE(RESUME, token, size, "take it back", errp)) {
        return false;
    }
    realm_kvm.left = false;
    realm_kvm.session = false;
    realm_kvm.paused = false;
    return true;
}

/* ---- Destination ---- */

ssize_t realm_kvm_offer(void *buf, Error **errp)
{
    if (!realm_check_waits(realm_kvm.incoming, true, errp) ||
        (realm_kvm.state == REALM_KVM_NEW && !realm_kvm_build_empty(errp))) {
        return -1;
    }
    return EMIT(OFFER, buf, max_blob(), "make an offer", errp);
}

static bool check_offered(Error **errp)
{
    return realm_check_waits(realm_kvm.incoming,
                             realm_kvm.state == REALM_KVM_EMPTY, errp);
}

bool realm_kvm_check_import(const char *what, Error **errp)
{
    return check_offered(errp) &&
           realm_check_state(!qatomic_read(&realm_kvm.failed), what, errp);
}

bool realm_kvm_import_failed(const void *blob, size_t size, Error **errp)
{
    g_autofree char *name = realm_record_name(blob, size);

    qatomic_set(&realm_kvm.failed, true);
    error_prepend(errp, "%s: ", name);
    return false;
}

bool realm_kvm_import(const void *blob, size_t size, Error **errp)
{
    ERRP_GUARD();

    return realm_kvm_check_import("import a record", errp) &&
           (TAKE(IMPORT, blob, size, "import a record", errp) ||
            realm_kvm_import_failed(blob, size, errp));
}

bool realm_kvm_commit(Error **errp)
{
    if (!realm_kvm_check_import("start here", errp) ||
        !TAKE(COMMIT, NULL, 0, "start here", errp)) {
        return false;
    }
    realm_kvm_set_state(REALM_KVM_RUNNABLE);
    realm_kvm.incoming = false;
    return true;
}

ssize_t realm_kvm_import_abort(void *buf, Error **errp)
{
    if (!check_offered(errp)) {
        return -1;
    }
    return EMIT(GIVE_UP, buf, max_blob(), "give up the migration to here",
                errp);
}
