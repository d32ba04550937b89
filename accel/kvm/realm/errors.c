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
#include "qapi/error.h"
#include "target/arm/realm/cause.h"
#include "target/arm/rmm/mig-abi.h"
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

void realm_kvm_busy(Error **errp, RealmStep step, const char *name,
                    uint32_t cause)
{
    error_setg(errp, "Realm: cannot %s: %s: %s", realm_step_text(step), name,
               realm_cause(cause));
}

void realm_kvm_refused(Error **errp, RealmStep step, const char *name,
                       int ret, uint32_t cause)
{
    const char *what = realm_step_text(step);

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
