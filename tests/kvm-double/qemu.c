/*
 * As much of QEMU as the KVM backend for Realms calls
 *
 * Purpose: the functions with which QEMU makes ioctls: here they end in the
 * double.  Then what accel/kvm/realm/board.c does on arm64, and a few other
 * functions of QEMU.
 *
 * Lock rule: realm_kvm_shared, realm_kvm_lend and realm_kvm_discard from any
 * thread.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/bitmap.h"
#include "migration/blocker.h"
#include "system/realm-kvm.h"
#include "system/runstate.h"
#include "accel/kvm/realm/realm-kvm.h"
#include "internal.h"
#include "machine.h"

CPUTailQ cpus_queue = QTAILQ_HEAD_INITIALIZER(cpus_queue);
KVMState *kvm_state;
bool kvm_kernel_irqchip;

/* ---- The seam ---- */

#define SEAM(first_argument, descriptor) \
    va_list ap; \
    void *arg; \
    va_start(ap, type); \
    arg = va_arg(ap, void *); \
    va_end(ap); \
    return double_ioctl(descriptor, type, arg)

int kvm_ioctl(KVMState *s, unsigned long type, ...)
{
    SEAM(s, s->fd);
}

int kvm_vm_ioctl(KVMState *s, unsigned long type, ...)
{
    SEAM(s, s->vmfd);
}

int kvm_vcpu_ioctl(CPUState *cpu, unsigned long type, ...)
{
    SEAM(cpu, cpu->kvm_fd);
}

int kvm_device_ioctl(int fd, unsigned long type, ...)
{
    SEAM(fd, fd);
}

/* The double says how large a page of the host is. */
int __wrap_getpagesize(void);
int __real_getpagesize(void);
int __wrap_getpagesize(void)
{
    return the_double ? (int)the_double->page_size : __real_getpagesize();
}

/*
 * Whoever waits does not, but the clock goes on as if.  Nothing else moves it
 * but reading it, so a loaded machine has the same time as an idle one.
 */
static int64_t now_us = 1;

void __wrap_g_usleep(gulong microseconds);
void __wrap_g_usleep(gulong microseconds)
{
    qatomic_add(&now_us, microseconds);
    sched_yield();
}

gint64 __wrap_g_get_monotonic_time(void);
gint64 __wrap_g_get_monotonic_time(void)
{
    return qatomic_fetch_inc(&now_us);
}

/* ---- Instead of accel/kvm/realm/board.c ---- */

void *realm_kvm_shared(uint64_t base, uint64_t size)
{
    return machine_contains(base, size)
        ? machine.ram + (base - machine.config.ram_base) : NULL;
}

static int discard_shared(uint64_t base, uint64_t size)
{
    DoubleVm *vm = double_file(machine.state.vmfd)->vm;

    /* As an MMU notifier does. */
    WITH_QEMU_LOCK_GUARD(&vm->lock) {
        mmu_unmap_shared(vm, base, size);
    }
    return fallocate(machine.ram_fd,
                     FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                     base - machine.config.ram_base, size) ? -errno : 0;
}

static void set_lent(uint64_t base, uint64_t size, bool lent)
{
    (lent ? bitmap_set : bitmap_clear)(
        machine.lent, (base - machine.config.ram_base) / REALM_PAGE_SIZE,
        size / REALM_PAGE_SIZE);
}

/*
 * RAM in place, as system/realm/shared-ram.c does it: where nothing is lent,
 * nothing is mapped, or the kernel would end this process.
 */
static bool make_shared(uint64_t base, uint64_t size, Error **errp)
{
    uint64_t offset = base - machine.config.ram_base;

    if (!realm_kvm_set_private(machine.gmem, offset, size, false, errp)) {
        return false;
    }
    machine_map_ram(machine.gmem, offset, size);
    return true;
}

static bool make_private(uint64_t base, uint64_t size, Error **errp)
{
    uint64_t offset = base - machine.config.ram_base;

    machine_map_ram(-1, offset, size);
    if (!realm_kvm_set_private(machine.gmem, offset, size, true, errp)) {
        machine_map_ram(machine.gmem, offset, size);
        return false;
    }
    return true;
}

bool realm_kvm_lend(uint64_t base, uint64_t size, Error **errp)
{
    if (!machine_contains(base, size) || machine.lends_nothing) {
        error_setg(errp, "a device refused");
        return false;
    }
    if (realm_kvm.abi.in_place && !make_shared(base, size, errp)) {
        return false;
    }
    set_lent(base, size, true);
    return true;
}

static bool give_back(uint64_t base, uint64_t size, bool private, Error **errp)
{
    DoubleVm *vm = double_file(machine.state.vmfd)->vm;
    int ret = private ? vm_punch(vm, base, size) : discard_shared(base, size);

    if (ret) {
        error_setg_errno(errp, -ret, "cannot give memory back");
    }
    return !ret;
}

bool realm_kvm_discard(uint64_t base, uint64_t size, bool private,
                       Error **errp)
{
    bool in_place = realm_kvm.abi.in_place && !private;

    if (!machine_contains(base, size)) {
        error_setg(errp, "no RAM to give back");
        return false;
    }
    if (!(in_place ? make_private(base, size, errp)
                   : give_back(base, size, private, errp))) {
        return false;
    }
    if (!private) {
        set_lent(base, size, false);
    }
    return true;
}

bool realm_kvm_boot_registers(CPUState *cs, uint64_t x[8], uint64_t *pc)
{
    if (cs->start_powered_off) {
        return false;
    }
    memset(x, 0, 8 * sizeof(*x));
    x[0] = machine.config.ram_base + 0x2000;    /* the device tree */
    *pc = machine.config.ram_base;
    return true;
}

/* ---- Other answers ---- */

bool runstate_check(RunState state)
{
    return state == RUN_STATE_INMIGRATE && machine.incoming;
}

ShutdownCause qemu_reset_requested_get(void)
{
    return machine.reset_requested ? SHUTDOWN_CAUSE_GUEST_RESET
                                   : SHUTDOWN_CAUSE_NONE;
}

void kvm_mark_guest_state_protected(void)
{
    machine.state.guest_state_protected = true;
}

int migrate_add_blocker(Error **reasonp, Error **errp)
{
    unsigned n = machine.blockers[0] ? 1 : 0;

    assert(*reasonp && !machine.blockers[n]);
    machine.blockers[n] = reasonp;
    return 0;
}
