/*
 * The KVM backend for Realms: what is wrong, in words
 *
 * Purpose: messages for what the kernel refuses, and for answers that cannot
 * be right.  Both name the ioctl.
 *
 * Lock rule: none; nothing is shared.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <linux/kvm.h>
#include "qapi/error.h"
#include "target/arm/realm/cause.h"
#include "monitor-cause.h"
#include "realm-kvm.h"

void realm_kvm_invalid_answer(Error **errp, const char *name,
                              const char *problem, ...)
{
    g_autofree char *text = NULL;
    va_list ap;

    va_start(ap, problem);
    text = g_strdup_vprintf(problem, ap);
    va_end(ap);
    error_setg(errp, "Realm: %s: the kernel's answer is wrong: %s", name,
               text);
}

/* kvm_cc_cause in words, for a monitor whose own numbers are not known. */
static const char *const causes[KVM_CC_CAUSES] = {
    [KVM_CC_CAUSE_OTHER] = "the monitor refused it",
    [KVM_CC_CAUSE_FORMAT] = "this is no record for this moment",
    [KVM_CC_CAUSE_SEAL] =
        "the record was changed, or is not the next one of its session",
    [KVM_CC_CAUSE_VERSION] =
        "the two sides have no version, or no features, in common",
    [KVM_CC_CAUSE_PEER] =
        "the Realm's policy does not let the other side take part",
    [KVM_CC_CAUSE_EXPIRED] =
        "it took too long; begin again with realm-migration-prepare",
    [KVM_CC_CAUSE_DIFFERENT] =
        "the Realms differ; start the destination as the source was",
    [KVM_CC_CAUSE_OWED] = "not everything was exported",
    [KVM_CC_CAUSE_MISSING] = "not everything came",
    [KVM_CC_CAUSE_OTHER_SESSION] = "the record is of another migration",
    [KVM_CC_CAUSE_LOST] =
        "its host took memory or a vCPU away meanwhile; "
        "give the migration up and start another one",
    [KVM_CC_CAUSE_KEY] = "this machine has no platform key",
    [KVM_CC_CAUSE_LIMIT] = "a limit was exceeded",
};

/* The number can be the model's: else another monitor means something else. */
static bool is_models(uint32_t cause, uint64_t detail)
{
    return detail <= UINT_MAX && realm_cause_is_known(detail) &&
           (cause == monitor_cause(detail, false) ||
            cause == monitor_cause(detail, true));
}

/*
 * What the monitor says: in the model's words, if it can be that.  A cause of a
 * newer kernel is one that this program can do nothing about.
 */
static void refused_by_monitor(Error **errp, const char *what,
                               const char *name, uint32_t cause,
                               uint64_t detail)
{
    if (is_models(cause, detail)) {
        error_setg(errp, "Realm: cannot %s: %s", what, realm_cause(detail));
    } else {
        error_setg(errp, "Realm: cannot %s: %s (%s: cause %u, the monitor's %"
                   PRIu64 ")", what,
                   causes[cause < KVM_CC_CAUSES ? cause : KVM_CC_CAUSE_OTHER],
                   name, cause, detail);
    }
}

void realm_kvm_refused(Error **errp, RealmStep step, const char *name,
                       int ret, uint32_t cause, uint64_t detail)
{
    const char *what = realm_step_text(step);

    switch (-ret) {
    case EPERM:                 /* KVM's own check, without a cause */
        detail = MIG_CAUSE_STATE;
        break;
    case EOPNOTSUPP:
        detail = MIG_CAUSE_NOT_MIGRATABLE;
        break;
    case E2BIG:
        detail = MIG_CAUSE_FORMAT;
        break;
    case EIO:
        error_setg(errp, "Realm: cannot %s: %s: " REALM_KVM_DEAD, what, name);
        return;
    case EPROTO:
    case EBADMSG:
        refused_by_monitor(errp, what, name, cause, detail);
        return;
    default:
        error_setg_errno(errp, -ret, "Realm: cannot %s: %s", what, name);
        return;
    }
    error_setg(errp, "Realm: cannot %s: %s", what, realm_cause(detail));
}
