/*
 * The KVM backend for Realms: calls to the kernel
 *
 * Purpose: make ioctls, in one place: an interrupted one is made again, and the
 * message about a refused one has its name.
 *
 * Invariants: an ioctl that returned EINTR or EAGAIN has changed nothing, or
 * its argument says how far it got.  KVM defines both errors that way, so the
 * ioctl may be made again.  EAGAIN says that another call for this VM, or a
 * pin of its memory, is in the way; this comes to its end without us.  So it is
 * waited for by time, and not by a number of tries.
 *
 * Lock rule: none.  Callers that have the BQL keep it while they wait, as they
 * do in the ioctl itself: nothing else may be done to the Realm before it has
 * an answer.  What is waited for needs no BQL, and the wait has an end.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <linux/kvm.h>
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "realm-kvm.h"
#include "trace.h"

#define PATIENCE_US     (10 * 1000 * 1000)
#define SAY_SO_US       (1000 * 1000)
#define MIN_PAUSE_US    100
#define MAX_PAUSE_US    10000

bool realm_kvm_wait(RealmKvmWait *wait, const char *what)
{
    int64_t now = g_get_monotonic_time(), waited;

    wait->since = wait->since ?: now;
    waited = now - wait->since;
    if (waited >= PATIENCE_US) {
        return false;
    }
    if (waited >= SAY_SO_US && !wait->said) {
        warn_report("Realm: %s: no progress for a second; it is tried for up "
                    "to 10 seconds", what);
        wait->said = true;
    }
    g_usleep(MIN(MIN_PAUSE_US + waited / 4, MAX_PAUSE_US));
    return true;
}

/* @expression makes @call: repeat it, and return what it returned last. */
#define REPEAT(call, expression) ({                                     \
    RealmKvmWait wait_ = { 0 };                                         \
    int ret_;                                                           \
                                                                        \
    do {                                                                \
        ret_ = (expression);                                            \
    } while ((ret_ == -EINTR || ret_ == -EAGAIN) &&                     \
             realm_kvm_wait(&wait_, (call)->name));                     \
    trace_realm_kvm_call((call)->name, ret_);                           \
    ret_;                                                               \
})

int realm_kvm_system_call(KVMState *s, const RealmKvmCall *call)
{
    return REPEAT(call, kvm_ioctl(s, call->request, call->arg));
}

int realm_kvm_vm_call(const RealmKvmCall *call)
{
    return REPEAT(call, kvm_vm_ioctl(kvm_state, call->request, call->arg));
}

int realm_kvm_vcpu_call(CPUState *cs, const RealmKvmCall *call)
{
    return REPEAT(call, kvm_vcpu_ioctl(cs, call->request, call->arg));
}

int realm_kvm_fd_call(int fd, const RealmKvmCall *call)
{
    return REPEAT(call, kvm_device_ioctl(fd, call->request, call->arg));
}

/* In all, 0.2 s */
#define MAX_AGAIN   10
#define AGAIN_US    20000

int realm_kvm_vm_call_again(const RealmKvmCall *call, size_t size)
{
    g_autofree void *asked = g_memdup2(call->arg, size);
    int ret;

    for (unsigned i = 0; ; i++) {
        ret = realm_kvm_vm_call(call);
        if ((ret != -ENOMEM && ret != -EFAULT && ret != -EBUSY) ||
            i == MAX_AGAIN) {
            return ret;
        }
        memcpy(call->arg, asked, size);
        g_usleep(AGAIN_US);
    }
}

/* @call should have returned 0, and returned @ret. */
static bool check_is_0(const RealmKvmCall *call, int ret, const char *what,
                       Error **errp)
{
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Realm: cannot %s: %s", what, call->name);
    } else if (ret > 0) {
        realm_kvm_invalid_answer(errp, call->name, "it returned %d", ret);
    }
    return ret == 0;
}

bool realm_kvm_vm_do(const RealmKvmCall *call, const char *what, Error **errp)
{
    return check_is_0(call, realm_kvm_vm_call(call), what, errp);
}

bool realm_kvm_vcpu_do(CPUState *cs, const RealmKvmCall *call,
                       const char *what, Error **errp)
{
    return check_is_0(call, realm_kvm_vcpu_call(cs, call), what, errp);
}

bool realm_kvm_vm_check(unsigned extension, int *value, Error **errp)
{
    *value = realm_kvm_vm_call(REALM_KVM_CALL(KVM_CHECK_EXTENSION, extension));
    if (*value < 0) {
        error_setg_errno(errp, -*value, "Realm: KVM_CHECK_EXTENSION of %u",
                         extension);
    }
    return *value >= 0;
}

bool realm_kvm_enable_cap(uint32_t cap, uint64_t arg0, const void *arg1,
                          const char *what, Error **errp)
{
    struct kvm_enable_cap enable = {
        .cap = cap,
        .args = { arg0, (uintptr_t)arg1 },
    };

    return realm_kvm_vm_do(REALM_KVM_CALL(KVM_ENABLE_CAP, &enable), what,
                           errp);
}
