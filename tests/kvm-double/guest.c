/*
 * The Realm's guest, as tests play it
 *
 * Purpose: give a vCPU something to do, and run it as QEMU's kvm_cpu_exec does.
 * It runs again after an interruption, and after a conversion of memory.
 *
 * Lock rule: one thread for a vCPU.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "accel/kvm/realm/realm-kvm.h"
#include "internal.h"
#include "machine.h"

#define MAX_INTERRUPTIONS 1000

static DoubleVcpu *vcpu_of(CPUState *cs)
{
    return double_file(cs->kvm_fd)->object;
}

static bool may_run(unsigned n, Error **errp)
{
    assert(n < machine.config.num_cpus);
    if (!machine.running || realm_kvm.parked) {
        error_setg(errp, "vCPU %u does not run: the machine is %s", n,
                   realm_kvm.parked ? "parked" : "stopped");
        return false;
    }
    if (vcpu_of(machine.cpus[n])->power_off) {
        error_setg(errp, "vCPU %u is off: KVM_RUN would sleep", n);
        return false;
    }
    return true;
}

/* Returns false if the vCPU cannot go on. */
static bool handle_exit(CPUState *cs, int ret, Error **errp)
{
    const struct kvm_run *run = cs->kvm_run;
    DoubleVcpu *vcpu = vcpu_of(cs);

    if (run->exit_reason == KVM_EXIT_MEMORY_FAULT &&
        (ret == 0 || ret == -EFAULT)) {
        return realm_kvm_convert_range(run->memory_fault.gpa,
                                       run->memory_fault.size,
                                       run->memory_fault.flags &
                                       KVM_MEMORY_EXIT_FLAG_PRIVATE, errp);
    }
    /* Where this machine has nothing, the access is an external abort. */
    if (run->exit_reason == KVM_EXIT_MMIO && ret == 0 &&
        !slot_at(vcpu->vm, run->mmio.phys_addr)) {
        vcpu->mmio_pending = false;
        vcpu->run->enter.flags = RMI_ENTER_INJECT_SEA;
        return true;
    }
    error_setg(errp, "KVM_RUN: it returned %d, with exit reason %u", ret,
               run->exit_reason);
    return false;
}

static bool run_once(CPUState *cs, unsigned *interruptions, Error **errp)
{
    int ret = kvm_vcpu_ioctl(cs, KVM_RUN, 0);

    if (ret == -EINTR || ret == -EAGAIN) {
        if (++*interruptions < MAX_INTERRUPTIONS) {
            return true;
        }
        error_setg_errno(errp, -ret, "KVM_RUN: it gets nowhere");
        return false;
    }
    return handle_exit(cs, ret, errp);
}

static DoubleOutcome perform(unsigned n, GuestAction *action, Error **errp)
{
    unsigned interruptions = 0;
    CPUState *cs = machine.cpus[n];
    bool ok = may_run(n, errp);

    if (ok) {
        vcpu_of(cs)->action = action;
        while (ok && !action->over) {
            ok = run_once(cs, &interruptions, errp);
        }
        vcpu_of(cs)->action = NULL;
    }
    return ok ? action->outcome : DOUBLE_EXIT;
}

DoubleOutcome double_guest_read(unsigned vcpu, uint64_t ipa, void *buf,
                                size_t size, Error **errp)
{
    GuestAction a = { GUEST_ACCESS, .ipa = ipa, .size = size, .buf = buf };

    return perform(vcpu, &a, errp);
}

DoubleOutcome double_guest_write(unsigned vcpu, uint64_t ipa, const void *buf,
                                 size_t size, Error **errp)
{
    GuestAction a = { GUEST_ACCESS, .ipa = ipa, .size = size, .write = true,
                      .buf = (uint8_t *)buf };

    return perform(vcpu, &a, errp);
}

DoubleOutcome double_guest_read_tags(unsigned vcpu, uint64_t ipa,
                                     uint8_t *tags, Error **errp)
{
    GuestAction a = { GUEST_TAGS, .ipa = ipa, .buf = tags };

    return perform(vcpu, &a, errp);
}

DoubleOutcome double_guest_write_tags(unsigned vcpu, uint64_t ipa,
                                      const uint8_t *tags, Error **errp)
{
    GuestAction a = { GUEST_TAGS, .ipa = ipa, .write = true,
                      .buf = (uint8_t *)tags };

    return perform(vcpu, &a, errp);
}

DoubleOutcome double_guest_set_ripas(unsigned vcpu, uint64_t base,
                                     uint64_t size, bool ram, Error **errp)
{
    GuestAction a = { GUEST_RIPAS, .ipa = base, .size = size, .ram = ram };

    return perform(vcpu, &a, errp);
}

DoubleOutcome double_guest_cpu_on(unsigned vcpu, unsigned target, uint64_t pc,
                                  Error **errp)
{
    GuestAction a = { GUEST_CPU_ON, .target = target, .value = pc };

    return perform(vcpu, &a, errp);
}

DoubleOutcome double_guest_set_register(unsigned vcpu, unsigned n,
                                        uint64_t value, Error **errp)
{
    GuestAction a = { GUEST_REGISTER, .target = n, .value = value,
                      .write = true };

    return perform(vcpu, &a, errp);
}

DoubleOutcome double_guest_get_register(unsigned vcpu, unsigned n,
                                        uint64_t *value, Error **errp)
{
    GuestAction a = { GUEST_REGISTER, .target = n };
    DoubleOutcome outcome = perform(vcpu, &a, errp);

    *value = a.value;
    return outcome;
}
