/*
 * The stand-in kernel answers for an ordinary VM what Linux answers
 *
 * Purpose: the claims of tests/nested/kvm-facts.c, which a real kernel met,
 * asked of the double.  KVM answers the same for a Realm's VM where the series
 * does not change it, so the other tests rest on that.
 *
 * Lock rule: one thread, but for the one that sends the signal.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/lockable.h"
#include "internal.h"
#include "../nested/kvm-facts.h"

const char *const facts_no_files = "the file, which is a memfd here";
const char *const facts_no_guest = "a guest (see test-kernel.c)";

int facts_open(void)
{
    double_start(&(DoubleOptions) { .mte = true });
    double_probing(true);
    return double_open(DOUBLE_SYSTEM, NULL, NULL);
}

void facts_close(int kvm)
{
    close(kvm);
    double_stop();
}

int facts_ioctl(int fd, unsigned long request, void *arg)
{
    return double_ioctl(fd, request, arg);
}

static DoubleVcpu *object_of(int vcpu)
{
    return double_file(vcpu)->object;
}

struct kvm_run *facts_run_page(int vcpu)
{
    return object_of(vcpu)->kvm_run;
}

static bool is_in(DoubleVcpu *vcpu)
{
    QEMU_LOCK_GUARD(&vcpu->vm->lock);

    return vcpu->running;
}

typedef struct Signal {
    DoubleVcpu *vcpu;
    bool sent, too_late;
} Signal;

/* Once the vCPU is in KVM_RUN. */
static void *send_signal(void *opaque)
{
    Signal *s = opaque;

    while (!is_in(s->vcpu)) {
        if (qatomic_read(&s->too_late)) {
            return NULL;
        }
        g_thread_yield();
    }
    double_kick(s->vcpu);
    s->sent = true;
    return NULL;
}

int facts_run_until_signal(int vcpu, bool *came)
{
    Signal s = { .vcpu = object_of(vcpu) };
    QemuThread thread;
    int ret;

    qemu_thread_create(&thread, "signal", send_signal, &s,
                       QEMU_THREAD_JOINABLE);
    ret = double_ioctl(vcpu, KVM_RUN, NULL);
    qatomic_set(&s.too_late, true);
    qemu_thread_join(&thread);
    /* What came too late would end the next KVM_RUN. */
    *came = s.sent && !s.vcpu->signalled;
    return ret;
}
