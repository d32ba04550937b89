/*
 * The stand-in kernel answers what KVM answers
 *
 * Purpose: test the double itself, a claim for each sentence of its sources,
 * with ioctls only: no code of the backend takes part, but for the last test.
 * The sources, which the comments name:
 *
 *     rmi       arch/arm64/kvm/rmi.c after version 15 of "arm64: Support for
 *               Arm CCA in KVM"
 *     exit      rmi-exit.c of the same trees
 *     arm       arch/arm64/kvm/arm.c, and virt/kvm/kvm_main.c
 *     gmem      virt/kvm/guest_memfd.c with "guest_memfd: In-place conversion
 *               support", version 7
 *     rtt       RMM 1.0, and how KVM uses it in version 12
 *
 * Each refusal is followed by the same with the fault put right: so nothing has
 * changed.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include "qemu/bitmap.h"
#include "qemu/bswap.h"
#include "qemu/memalign.h"
#include "system/realm-kvm.h"
#include "accel/kvm/realm/realm-kvm.h"
#include "kernel-host.h"

/*
 * As fork(), but the child has the signals' own actions, and leaves no core;
 * whoever forks asks for its end with signal_of().
 */
static pid_t fork_to_die(void)
{
    pid_t child = fork();

    if (child == 0) {
        struct rlimit none = { 0 };

        setrlimit(RLIMIT_CORE, &none);
        signal(SIGSEGV, SIG_DFL);
        signal(SIGBUS, SIG_DFL);
        signal(SIGABRT, SIG_DFL);
    }
    return child;
}

/* The signal that killed it; 0: it ended well. */
static int signal_of(pid_t child)
{
    int status;

    g_assert_cmpint(waitpid(child, &status, 0), ==, child);
    g_assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static bool is_killed_reading(const uint8_t *p)
{
    pid_t child = fork_to_die();

    if (child == 0) {
        _exit(*(volatile const uint8_t *)p & 0);
    }
    return signal_of(child);
}

/* ---- guest_memfd ---- */

/* gmem: "if (flags & ~kvm_gmem_get_supported_flags(kvm)) return -EINVAL" */
static void test_gmem_flags(void)
{
    create_vm(NULL, 4096);
    g_assert_cmpint(create_gmem(RAM_SIZE, 4), ==, -EINVAL);
    g_assert_cmpint(create_gmem(RAM_SIZE + 1, 0), ==, -EINVAL);
    g_assert_cmpint(create_gmem(0, 0), ==, -EINVAL);
    g_assert_cmpint(check(KVM_CAP_GUEST_MEMFD_FLAGS), ==,
                    GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED);
    add_ram();
    end_kernel();
}

/* True if the double ends a process that makes such a slot. */
static bool is_a_mistake(void *ram, uint64_t offset, uint64_t size)
{
    pid_t child = fork_to_die();

    if (child == 0) {
        double_probing(false);
        _exit(set_slot(ram, offset, size) != 0);
    }
    return signal_of(child) == SIGABRT;
}

/*
 * Who reads and writes for KVM uses userspace_addr.  KVM takes any, but the
 * guest would see other memory there.
 */
static void test_slot_mapping(void)
{
    uint8_t *other;

    create_vm(NULL, 4096);
    host.gmem = create_gmem(RAM_SIZE, GUEST_MEMFD_FLAG_MMAP |
                                      GUEST_MEMFD_FLAG_INIT_SHARED);
    host.ram = map_ram(host.gmem);
    other = qemu_memalign(4096, RAM_SIZE);
    g_assert_true(is_a_mistake(other, 0, RAM_SIZE));
    g_assert_true(is_a_mistake(host.ram + 4096, 0, 4096));
    g_assert_true(is_a_mistake(host.ram, 4096, 4096));
    g_assert_false(is_a_mistake(host.ram, 0, RAM_SIZE));
    g_assert_cmpint(set_slot(other, 0, RAM_SIZE), ==, 0);
    qemu_vfree(other);
    end_kernel();
}

static int set_slot_2(unsigned flags, uint64_t gpa, uint64_t offset)
{
    struct kvm_userspace_memory_region2 region = {
        .slot = 2, .flags = KVM_MEM_GUEST_MEMFD | flags,
        .guest_phys_addr = gpa, .memory_size = 64 * KiB,
        .userspace_addr = (uintptr_t)host.ram + offset,
        .guest_memfd = host.gmem, .guest_memfd_offset = offset,
    };

    return vm_call(KVM_SET_USER_MEMORY_REGION2, &region);
}

/*
 * gmem: an offset is bound once: EEXIST.  arm: no read-only slot with
 * guest_memfd, and such a slot changes in nothing but its log.
 */
static void test_slots(void)
{
    struct kvm_userspace_memory_region2 moved = {
        .flags = KVM_MEM_GUEST_MEMFD, .guest_phys_addr = 3 * GiB,
        .memory_size = RAM_SIZE / 2,
    };

    create_vm(NULL, 4096);
    host.gmem = create_gmem(RAM_SIZE, GUEST_MEMFD_FLAG_MMAP);
    host.ram = map_ram(host.gmem);
    g_assert_cmpint(set_slot(host.ram, 0, RAM_SIZE / 2), ==, 0);
    g_assert_cmpint(set_slot_2(0, NOWHERE, RAM_SIZE / 2 - 64 * KiB), ==,
                    -EEXIST);
    g_assert_cmpint(set_slot_2(KVM_MEM_READONLY, NOWHERE, RAM_SIZE / 2), ==,
                    -EINVAL);
    g_assert_cmpint(set_slot_2(0, BASE, RAM_SIZE / 2), ==, -EEXIST);
    moved.userspace_addr = (uintptr_t)host.ram;
    g_assert_cmpint(vm_call(KVM_SET_USER_MEMORY_REGION2, &moved), ==, -EINVAL);
    g_assert_cmpint(set_slot_2(0, NOWHERE, RAM_SIZE / 2), ==, 0);
    end_kernel();
}

/* gmem: the checks of kvm_gmem_set_attributes, in its order */
static void test_attribute_arguments(void)
{
    const uint64_t private = KVM_MEMORY_ATTRIBUTE_PRIVATE;
    struct kvm_memory_attributes2 bad[] = {
        { .size = 4096, .attributes = private, .flags = 1 },
        { .size = 4096, .attributes = private, .reserved = { 0, 1 } },
        { .size = 4096, .attributes = private | 1 },
        { .size = 0, .attributes = private },
        { .offset = 4096, .size = -4096ull, .attributes = private },
        { .offset = 2048, .size = 4096, .attributes = private },
        { .offset = 4096, .size = 2048, .attributes = private },
        { .offset = RAM_SIZE, .size = 4096, .attributes = private },
        { .offset = 4096, .size = RAM_SIZE, .attributes = private },
    };

    build(4096);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        g_assert_cmpint(call(host.gmem, KVM_SET_MEMORY_ATTRIBUTES2, &bad[i]),
                        ==, -EINVAL);
    }
    g_assert_cmpint(vm_call(KVM_SET_MEMORY_ATTRIBUTES2, &bad[0]), <, 0);
    host.ram[0] = 1;            /* all is shared still */
    host.ram[RAM_SIZE - 1] = 1;
    g_assert_cmpint(set_private(BASE, RAM_SIZE, true), ==, 0);
    end_kernel();
}

/* arm64: no attributes of the VM; gmem: but those of the file */
static void test_attribute_capabilities(void)
{
    struct kvm_memory_attributes args = { .address = BASE, .size = 4096 };

    build(4096);
    g_assert_cmpint(check(KVM_CAP_MEMORY_ATTRIBUTES), ==, 0);
    g_assert_cmpint(check(KVM_CAP_GUEST_MEMFD_MEMORY_ATTRIBUTES), ==,
                    KVM_MEMORY_ATTRIBUTE_PRIVATE);
    g_assert_cmpint(vm_call(KVM_SET_MEMORY_ATTRIBUTES, &args), <, 0);
    g_assert_cmpint(call(host.gmem, KVM_SET_MEMORY_ATTRIBUTES, &args), ==,
                    -ENOTTY);
    end_kernel();
}

/* gmem: kvm_gmem_fault_user_mapping: -EACCES, so SIGBUS, for private pages */
static void test_private_mapping(void)
{
    uint64_t page = BASE + 0x10000;

    build(4096);
    g_assert_false(is_killed_reading(host.ram + 0x10000));
    g_assert_cmpint(set_private(page, 4096, true), ==, 0);
    g_assert_true(is_killed_reading(host.ram + 0x10000));
    g_assert_false(is_killed_reading(host.ram + 0xf000));
    g_assert_false(is_killed_reading(host.ram + 0x11000));
    g_assert_cmpint(set_private(page, 4096, false), ==, 0);
    g_assert_false(is_killed_reading(host.ram + 0x10000));
    end_kernel();
}

/* gmem: default attributes are private without INIT_SHARED */
static void test_initially_private(void)
{
    create_vm(NULL, 4096);
    host.gmem = create_gmem(RAM_SIZE, GUEST_MEMFD_FLAG_MMAP);
    host.ram = map_ram(host.gmem);
    g_assert_cmpint(set_slot(host.ram, 0, RAM_SIZE), ==, 0);
    g_assert_cmpint(populate(BASE, 4096, host.source), ==, 0);
    end_kernel();
}

/*
 * gmem: "Tell userspace to try again if there are outstanding references"; the
 * first such page is error_offset; nothing is converted; and what has the
 * attribute already is not looked at.
 */
static void test_pinned(void)
{
    struct kvm_memory_attributes2 args = {
        .size = RAM_SIZE, .attributes = KVM_MEMORY_ATTRIBUTE_PRIVATE,
    };

    build(4096);
    double_pin(BASE + 0x3000, true);
    double_pin(BASE + 0x9000, true);
    g_assert_cmpint(set_private(BASE, RAM_SIZE, false), ==, 0);
    g_assert_cmpint(call(host.gmem, KVM_SET_MEMORY_ATTRIBUTES2, &args), ==,
                    -EAGAIN);
    g_assert_cmphex(args.error_offset, ==, 0x3000);
    host.ram[0] = 1;
    double_pin(BASE + 0x3000, false);
    g_assert_cmpint(call(host.gmem, KVM_SET_MEMORY_ATTRIBUTES2, &args), ==,
                    -EAGAIN);
    g_assert_cmphex(args.error_offset, ==, 0x9000);
    double_pin(BASE + 0x9000, false);
    g_assert_cmpint(call(host.gmem, KVM_SET_MEMORY_ATTRIBUTES2, &args), ==, 0);
    end_kernel();
}

/* Both halves of a slot are one memory: what is shared, the other side sees. */
static void test_one_memory(void)
{
    uint64_t page = BASE + 0x20000;

    start_guest(4096);
    g_assert_cmpint(set_private(page, 4096, false), ==, 0);
    stq_le_p(host.ram + 0x20000, 0x1234);
    g_assert_cmphex(reads(page | SHARED_BIT), ==, 0x1234);
    writes((page + 8) | SHARED_BIT, 0x5678);
    g_assert_cmphex(ldq_le_p(host.ram + 0x20008), ==, 0x5678);
    end_kernel();
}

/* What was private is given back by the RMM, which wipes it. */
static void test_to_shared_is_wiped(void)
{
    uint64_t page = BASE + 0x20000;

    start_guest(4096);
    writes(page, 0x1234);
    g_assert_cmpint(set_private(page, 4096, false), ==, 0);
    g_assert_cmphex(ldq_le_p(host.ram + 0x20000), ==, 0);
    end_kernel();
}

/* An access to the other half than the attribute's: arm's gmem_abort. */
static void test_access_faults(void)
{
    uint64_t page = BASE + 0x20000, value = 0;
    GuestAction shared = access_to(page | SHARED_BIT, &value, false);
    GuestAction private = access_to(page, &value, false);

    start_guest(4096);
    faults(act(&shared), page, 4096, false);
    g_assert_cmpint(set_private(page, 4096, false), ==, 0);
    does(&shared);
    faults(act(&private), page, 4096, true);
    end_kernel();
}

/* gmem: kvm_gmem_release: it zaps all, and a slot without its file faults */
static void test_close(void)
{
    uint64_t value = 0;
    GuestAction a = access_to(BASE, &value, false);
    GuestAction shared = access_to((BASE + 0x1000) | SHARED_BIT, &value,
                                   false);

    start_guest(4096);
    g_assert_cmpint(set_private(BASE + 0x1000, 4096, false), ==, 0);
    does(&shared);
    g_assert_cmphex(reads(BASE), ==, 0x0101010101010101 * IMAGE_BYTE);
    close(host.gmem);
    g_assert_cmphex(reads(BASE), ==, 0x0101010101010101 * IMAGE_BYTE);
    munmap(host.ram, RAM_SIZE);         /* that was the last */
    host.ram = NULL;
    host.gmem = -1;
    faults(act(&a), BASE, 4096, true);
    g_assert_cmpint(level_of(BASE), ==, -1);
    g_assert_cmpint(level_of((BASE + 0x1000) | SHARED_BIT), ==, -1);
    g_assert_cmpint(check(KVM_CAP_ARM_PSCI), ==, 1);    /* it lives */
    end_kernel();
}

/* gmem: kvm_gmem_punch_hole zaps the range in both halves */
static void test_punch(void)
{
    start_guest(4096);
    writes(BASE + 0x1000, 7);
    g_assert_cmpint(vm_punch(vm(), BASE + 0x1000, 4096), ==, 0);
    g_assert_cmpint(level_of(BASE + 0x1000), ==, -1);
    g_assert_cmphex(reads(BASE), ==, 0x0101010101010101 * IMAGE_BYTE);
    g_assert_cmpint(set_private(BASE + 0x2000, 4096, false), ==, 0);
    writes((BASE + 0x2000) | SHARED_BIT, 8);
    g_assert_cmpint(vm_punch(vm(), BASE + 0x2000, 4096), ==, 0);
    g_assert_cmpint(level_of((BASE + 0x2000) | SHARED_BIT), ==, -1);
    g_assert_cmphex(reads((BASE + 0x2000) | SHARED_BIT), ==, 0);
    end_kernel();
}

/* ---- RIPAS ---- */

static GuestAction ripas_of(uint64_t base, uint64_t size, bool ram)
{
    return (GuestAction) { GUEST_RIPAS, .ipa = base, .size = size, .ram = ram };
}

/*
 * rmi: kvm_complete_ripas_change: unless every page agrees, it exits for the
 * same range again, and the request stays pending.
 */
static void test_ripas_needs_attributes(void)
{
    uint64_t base = BASE + 0x20000;
    GuestAction empty = ripas_of(base, 0x2000, false);
    GuestAction ram = ripas_of(base, 0x2000, true);

    start_guest(4096);
    faults(act(&empty), base, 0x2000, false);
    faults(run(0), base, 0x2000, false);
    g_assert_cmpint(set_private(base, 4096, false), ==, 0);
    faults(run(0), base, 0x2000, false);        /* one page does not */
    g_assert_cmpint(set_private(base, 0x2000, false), ==, 0);
    does(&empty);
    faults(act(&ram), base, 0x2000, true);
    faults(run(0), base, 0x2000, true);
    g_assert_cmpint(set_private(base, 0x2000, true), ==, 0);
    does(&ram);
    end_kernel();
}

/* The Realm makes RAM of what is private, and what the host has destroyed. */
static void makes_ram(uint64_t base, uint64_t size)
{
    GuestAction ram = ripas_of(base, size, true);

    faults(act(&ram), base, size, true);
    does(&ram);
}

/* rmi: kvm_gmem_is_private_gfn is false without a slot, which EMPTY wants */
static void test_ripas_outside_of_ram(void)
{
    GuestAction empty = ripas_of(NOWHERE, 0x1000, false);

    start_guest(4096);
    faults(act(&empty), NOWHERE, 0x1000, false);
    does(&empty);
    end_kernel();
}

static void say_upper_half(DoubleVcpu *cpu)
{
    cpu->run->exit.ripas_top |= SHARED_BIT;
}

static void say_nothing(DoubleVcpu *cpu)
{
    cpu->run->exit.ripas_top = cpu->run->exit.ripas_base;
}

/* exit: "Invalid RIPAS_CHANGE": EINVAL, and the Realm learns of a refusal */
static void test_bad_ripas_range(void)
{
    void (*const bad[])(DoubleVcpu *) = { say_upper_half, say_nothing };

    start_guest(4096);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        GuestAction a = ripas_of(BASE + 0x20000, 0x1000, false);

        a.at_exit = bad[i];
        g_assert_cmpint(act(&a), ==, -EINVAL);
        a.at_exit = NULL;
        g_assert_cmpint(run(0), ==, -EINTR);
        g_assert_true(a.over);
        g_assert_cmpint(a.outcome, ==, DOUBLE_REFUSED);
        g_assert_cmphex(reads(BASE + 0x20000), ==, 0);  /* it is RAM still */
    }
    end_kernel();
}

/* ---- KVM_RUN ---- */

static void say_unknown(DoubleVcpu *cpu)
{
    cpu->run->exit.exit_reason = RMI_EXIT_SERROR + 1;
}

/* exit: "Unsupported Realm exit reason" is fatal */
static void test_unknown_exit(void)
{
    uint64_t value;
    GuestAction a = access_to(BASE, &value, false);

    start_guest(4096);
    a.at_exit = say_unknown;
    g_assert_cmpint(act(&a), ==, 0);
    g_assert_cmpuint(run_of(0)->exit_reason, ==, KVM_EXIT_INTERNAL_ERROR);
    g_assert_cmpint(run(0), ==, -EIO);
    end_kernel();
}

/* arm: "if (!vcpu->wants_to_run) ret = -EINTR", before the requests */
static void test_immediate_exit_leaves_ripas(void)
{
    uint64_t base = BASE + 0x20000;
    GuestAction empty = ripas_of(base, 0x1000, false);

    start_guest(4096);
    faults(act(&empty), base, 0x1000, false);
    g_assert_cmpint(set_private(base, 0x1000, false), ==, 0);
    run_of(0)->immediate_exit = 1;
    g_assert_cmpint(run(0), ==, -EINTR);
    g_assert_true(vcpu(0)->ripas_pending);
    run_of(0)->immediate_exit = 0;
    does(&empty);
    end_kernel();
}

/* ...but kvm_handle_mmio_return comes before that. */
static void test_immediate_exit_takes_mmio(void)
{
    uint64_t value = 0;
    GuestAction a = access_to(NOWHERE | SHARED_BIT | 0x18, &value, false);

    start_guest(4096);
    g_assert_cmpint(act(&a), ==, 0);
    g_assert_cmpuint(run_of(0)->exit_reason, ==, KVM_EXIT_MMIO);
    g_assert_cmphex(run_of(0)->mmio.phys_addr, ==, NOWHERE | 0x18);
    g_assert_cmpuint(run_of(0)->mmio.is_write, ==, 0);
    stq_le_p(run_of(0)->mmio.data, 0x1122334455667788);
    run_of(0)->immediate_exit = 1;
    g_assert_cmpint(run(0), ==, -EINTR);
    stq_le_p(run_of(0)->mmio.data, 0);          /* too late */
    run_of(0)->immediate_exit = 0;
    g_assert_cmpint(run(0), ==, -EINTR);
    g_assert_cmphex(value, ==, 0x1122334455667788);
    end_kernel();
}

static void test_mmio_write(void)
{
    uint64_t value = 0x99;
    GuestAction a = access_to(NOWHERE | SHARED_BIT, &value, true);

    start_guest(4096);
    g_assert_cmpint(act(&a), ==, 0);
    g_assert_cmpuint(run_of(0)->exit_reason, ==, KVM_EXIT_MMIO);
    g_assert_cmpuint(run_of(0)->mmio.is_write, ==, 1);
    g_assert_cmphex(ldq_le_p(run_of(0)->mmio.data), ==, 0x99);
    does(&a);
    end_kernel();
}

/* exit: a PSCI call is completed before the next entry; a signal comes first */
static void test_signal_leaves_psci(void)
{
    GuestAction on = { GUEST_CPU_ON, .target = 1, .value = BASE,
                       .at_exit = double_kick };

    start_guest(4096);
    g_assert_cmpint(act(&on), ==, -EINTR);
    g_assert_false(on.over);
    g_assert_true(vcpu(0)->psci_pending);
    on.at_exit = NULL;
    /* exit: "the REC state hasn't been updated ... -EAGAIN for a retry" */
    g_assert_cmpint(run(1), ==, -EAGAIN);
    does(&on);
    g_assert_cmpint(run(1), ==, -EINTR);
    end_kernel();
}

/* arm: kvm_vcpu_sleep of a vCPU with KVM_MP_STATE_STOPPED */
static void test_off_sleeps_until_signal(void)
{
    QemuThread thread;

    start_guest(4096);
    thread = run_in_thread();
    double_kick(vcpu(1));
    g_assert_cmpint(GPOINTER_TO_INT(qemu_thread_join(&thread)), ==, -EINTR);
    g_assert_true(vcpu(1)->power_off);
    run_of(1)->immediate_exit = 1;
    g_assert_cmpint(run(1), ==, -EINTR);
    end_kernel();
}

static void test_off_sleeps_until_cpu_on(void)
{
    GuestAction on = { GUEST_CPU_ON, .target = 1, .value = BASE };
    uint64_t value = 0x77;
    GuestAction a = access_to(BASE + 0x30000, &value, true);
    QemuThread thread;
    int ret;

    start_guest(4096);
    vcpu(1)->action = &a;
    thread = run_in_thread();
    does(&on);
    /* If it came before the completion, it has to be tried again. */
    ret = GPOINTER_TO_INT(qemu_thread_join(&thread));
    while (ret == -EAGAIN) {
        ret = run(1);
    }
    g_assert_cmpint(ret, ==, -EINTR);
    g_assert_true(a.over);
    g_assert_cmphex(reads(BASE + 0x30000), ==, 0x77);
    end_kernel();
}

/* ---- The first KVM_RUN ---- */

/* rmi: kvm_activate_realm: "Userspace irqchip not yet supported" */
static void test_run_without_irqchip(void)
{
    create_vm(NULL, 4096);
    add_ram();
    add_vcpus(BIT(KVM_ARM_VCPU_PSCI_0_2));
    g_assert_cmpint(run(0), ==, -EOPNOTSUPP);
    add_gic(false);
    g_assert_cmpint(run(0), ==, -ENODEV);
    add_gic(true);
    g_assert_cmpint(run(0), ==, -EINTR);
    end_kernel();
}

/* rmi: "Mark state as dead in case we fail"; arm: then all is EIO */
static void check_dead(void)
{
    struct kvm_userspace_memory_region2 region = { 0 };
    struct kvm_mp_state state = { KVM_MP_STATE_RUNNABLE };

    for (size_t i = 0; i < ARRAY_SIZE(host.cpus); i++) {
        g_assert_cmpint(run(i), ==, -EIO);
        g_assert_cmpint(call(host.cpus[i], KVM_SET_MP_STATE, &state), ==,
                        -EIO);
    }
    g_assert_cmpint(check(KVM_CAP_ARM_PSCI), ==, -EIO);
    g_assert_cmpint(vm_call(KVM_SET_USER_MEMORY_REGION2, &region), ==, -EIO);
    g_assert_cmpint(create_gmem(4096, 0), ==, -EIO);
    g_assert_cmpint(populate(BASE, 4096, host.source), ==, -EIO);
    /* Another VM has nothing to do with that. */
    g_assert_cmpint(call(host.state.fd, KVM_CHECK_EXTENSION,
                         (void *)KVM_CAP_ARM_PSCI), ==, 1);
    /* Nor has the file. */
    g_assert_cmpint(set_private(BASE, RAM_SIZE, false), ==, 0);
}

static void test_failed_first_run_is_the_end(void)
{
    create_vm(NULL, 4096);
    add_ram();
    add_vcpus(0);               /* without PSCI 0.2, kvm_create_rec fails */
    add_gic(true);
    g_assert_cmpint(run(0), ==, -EINVAL);
    check_dead();
    end_kernel();
}

/* ---- REC_ENTER ---- */

/* exit: "Unexpected REC_ENTER status": rec_exit_fatal */
static void test_other_status_is_the_end(void)
{
    uint64_t rec;

    start_guest(4096);
    rec = vcpu(0)->rec;
    vcpu(0)->rec = vm()->rd;    /* RMI_ERROR_INPUT */
    g_assert_cmpint(run(0), ==, 0);
    g_assert_cmpuint(run_of(0)->exit_reason, ==, KVM_EXIT_INTERNAL_ERROR);
    vcpu(0)->rec = rec;
    check_dead();
    end_kernel();
}

/* exit: a REC of a Realm that is off: KVM_EXIT_SHUTDOWN, which is no failure */
static void test_realm_status_is_shutdown(void)
{
    struct kvm_mp_state state = { KVM_MP_STATE_RUNNABLE };
    GuestAction off = { GUEST_OFF };

    start_guest(4096);
    g_assert_cmpint(act(&off), ==, 0);
    g_assert_cmpuint(run_of(0)->exit_reason, ==, KVM_EXIT_SYSTEM_EVENT);
    g_assert_cmpuint(run_of(0)->system_event.type, ==,
                     KVM_SYSTEM_EVENT_SHUTDOWN);
    g_assert_true(vcpu(0)->power_off);
    g_assert_cmpint(call(host.cpus[0], KVM_SET_MP_STATE, &state), ==, 0);
    g_assert_cmpint(run(0), ==, 0);
    g_assert_cmpuint(run_of(0)->exit_reason, ==, KVM_EXIT_SHUTDOWN);
    g_assert_cmpint(check(KVM_CAP_ARM_PSCI), ==, 1);
    end_kernel();
}

/* ---- POPULATE ---- */

/* rmi: kvm_arm_rmi_populate: "!args->source_uaddr", and the alignments */
static void test_populate_arguments(void)
{
    uint64_t end_of_half = SHARED_BIT;

    build(4096);
    g_assert_cmpint(set_private(BASE, RAM_SIZE, true), ==, 0);
    g_assert_cmpint(populate(BASE, 4096, NULL), ==, -EINVAL);
    g_assert_cmpint(populate(BASE, 0, NULL), ==, -EINVAL);
    g_assert_cmpint(populate(BASE, 4096, host.source + 1), ==, -EINVAL);
    g_assert_cmpint(populate(BASE + 1, 4096, host.source), ==, -EINVAL);
    g_assert_cmpint(populate(BASE, -4096ull, host.source), ==, -EINVAL);
    g_assert_cmphex(vm()->rd, ==, 0);
    /* Once there is a descriptor: beyond BIT(ia_bits - 1) */
    g_assert_cmpint(populate(end_of_half, 4096, host.source), ==, -EINVAL);
    g_assert_cmpint(populate(end_of_half - 4096, 8192, host.source), ==,
                    -EINVAL);
    g_assert_cmpint(populate(BASE, 4096, host.source), ==, 0);
    end_kernel();
}

/* rmi: realm_ensure_created comes before "if (args->size == 0)" */
static void test_populate_of_nothing_creates(void)
{
    build(4096);
    g_assert_cmphex(vm()->rd, ==, 0);
    g_assert_cmpint(populate(0, 0, host.source), ==, 0);
    g_assert_cmphex(vm()->rd, !=, 0);
    g_assert_cmpint(populate(0, 0, host.source), ==, 0);
    g_assert_cmpint(run(0), ==, -EINTR);
    g_assert_cmpint(populate(0, 0, host.source), ==, -EBUSY);
    end_kernel();
}

/* gmem: kvm_gmem_populate: EINVAL for a page that is shared */
static void test_populate_of_shared(void)
{
    build(4096);
    g_assert_cmpint(populate(BASE, 4096, host.source), ==, -EINVAL);
    g_assert_cmpint(set_private(BASE, 4096, true), ==, 0);
    g_assert_cmpint(populate(BASE, 4096, host.source), ==, 0);
    g_assert_cmpint(run(0), ==, -EINTR);
    g_assert_cmphex(reads(BASE), ==, 0x0101010101010101 * IMAGE_BYTE);
    end_kernel();
}

/* ---- Blocks ---- */

/* rtt: KVM maps 512 pages, then folds their table */
static void private_blocks(size_t page_size)
{
    uint64_t block = BASE + BLOCK, page = block + 3 * page_size;

    start_guest(page_size);
    writes(page, 7);
    g_assert_cmpint(level_of(block), ==, 2);
    g_assert_cmpint(level_of(block + BLOCK - 4096), ==, 2);
    /* What is taken out of it unfolds it ... */
    g_assert_cmpint(set_private(page + page_size, page_size, false), ==, 0);
    g_assert_cmpint(level_of(page + page_size), ==, -1);
    g_assert_cmpint(level_of(page), ==, 3);
    g_assert_cmphex(reads(page), ==, 7);
    /* ... a fault in it while it is mixed maps a page ... */
    g_assert_cmphex(reads((page + page_size) | SHARED_BIT), ==, 0);
    g_assert_cmpint(level_of((page + page_size) | SHARED_BIT), ==, 3);
    /* ... and once it is whole again, so is the block. */
    g_assert_cmpint(set_private(page + page_size, page_size, true), ==, 0);
    makes_ram(page + page_size, page_size);
    g_assert_cmphex(reads(page + page_size), ==, 0);
    g_assert_cmpint(level_of(block), ==, 2);
    g_assert_cmphex(reads(page), ==, 7);
    end_kernel();
}

static void test_private_blocks(void)
{
    private_blocks(4 * KiB);
    private_blocks(64 * KiB);
}

static void test_shared_blocks(void)
{
    uint64_t block = BASE + BLOCK, page = block + 0x5000;

    start_guest(4096);
    g_assert_cmpint(set_private(block, BLOCK, false), ==, 0);
    writes(page | SHARED_BIT, 7);
    g_assert_cmpint(level_of(block | SHARED_BIT), ==, 2);
    g_assert_cmpint(set_private(page + 4096, 4096, true), ==, 0);
    g_assert_cmpint(level_of((page + 4096) | SHARED_BIT), ==, -1);
    g_assert_cmpint(level_of(page | SHARED_BIT), ==, 3);
    g_assert_cmphex(reads(page | SHARED_BIT), ==, 7);
    g_assert_cmphex(reads(page + 4096), ==, 0);
    g_assert_cmpint(level_of(page + 4096), ==, 3);
    /* All of a block at once goes as a block. */
    g_assert_cmpint(set_private(block, BLOCK, true), ==, 0);
    g_assert_cmphex(reads(block), ==, 0);
    g_assert_cmpint(level_of(block), ==, 2);
    end_kernel();
}

static unsigned long granules(void)
{
    return bitmap_count_one(the_double->pool_used, POOL_GRANULES);
}

/* rmi: realm_unmap_shared_range ends with realm_fold_rtt_level */
static void test_empty_tables_are_folded(void)
{
    unsigned long without = 0;

    start_guest(4096);
    for (unsigned i = 0; i < 3; i++) {
        g_assert_cmpint(set_private(BASE, 4096, false), ==, 0);
        g_assert_cmphex(reads(BASE | SHARED_BIT), ==, 0);
        g_assert_cmpint(level_of(BASE | SHARED_BIT), ==, 3);
        if (i) {                /* the first has made upper tables, too */
            g_assert_cmpuint(granules(), ==, without + 1);
        }
        g_assert_cmpint(set_private(BASE, 4096, true), ==, 0);
        if (i) {
            g_assert_cmpuint(granules(), ==, without);
        }
        without = granules();
    }
    end_kernel();
}

/* ---- The dirty log of shared pages: "Two dirty logs" in
 * docs/specs/kvm-arm-realm-migration.rst ---- */

static int set_log(bool on)
{
    struct kvm_userspace_memory_region2 region = {
        .flags = KVM_MEM_GUEST_MEMFD | (on ? KVM_MEM_LOG_DIRTY_PAGES : 0),
        .guest_phys_addr = BASE, .memory_size = RAM_SIZE,
        .userspace_addr = (uintptr_t)host.ram, .guest_memfd = host.gmem,
    };

    return vm_call(KVM_SET_USER_MEMORY_REGION2, &region);
}

/* The only page that is dirty, by its number, or -1; the log is clear then. */
static long only_dirty_page(void)
{
    unsigned long num = RAM_SIZE / host.page_size;
    g_autofree unsigned long *bits = bitmap_new(num);
    struct kvm_dirty_log log = { .dirty_bitmap = bits };
    unsigned long first;

    g_assert_cmpint(vm_call(KVM_GET_DIRTY_LOG, &log), ==, 0);
    first = find_first_bit(bits, num);
    g_assert_cmpuint(find_next_bit(bits, num, first + 1), ==, num);
    return first < num ? (long)first : -1;
}

static void logs_whole_pages(size_t page_size)
{
    uint64_t page = BASE + 5 * page_size;

    start_guest(page_size);
    g_assert_cmpint(set_private(page, page_size, false), ==, 0);
    writes((page + 8) | SHARED_BIT, 1);
    g_assert_cmpint(set_log(true), ==, 0);
    g_assert_cmpint(only_dirty_page(), ==, -1);
    writes((page + page_size - 8) | SHARED_BIT, 2);
    g_assert_cmpint(only_dirty_page(), ==, 5);
    g_assert_cmpint(only_dirty_page(), ==, -1);
    /* KVM's own writes count, a guest's reads and private writes do not. */
    double_kvm_writes(page + page_size - 4096, "x", 1);
    g_assert_cmpint(only_dirty_page(), ==, 5);
    g_assert_cmphex(reads((page + 8) | SHARED_BIT), ==, 1);
    writes(page + page_size, 3);
    g_assert_cmpint(only_dirty_page(), ==, -1);
    g_assert_cmpint(set_log(false), ==, 0);
    end_kernel();
}

static void test_log(void)
{
    logs_whole_pages(4 * KiB);
    logs_whole_pages(16 * KiB);
    logs_whole_pages(64 * KiB);
}

/* arm: check_memory_region_flags refuses both flags, as of today */
static void test_log_needs_its_capability(void)
{
    build(4096);
    g_assert_cmpint(check(KVM_CAP_GUEST_MEMFD_DIRTY_LOG), ==, 1);
    the_double->options.migration = false;
    g_assert_cmpint(check(KVM_CAP_GUEST_MEMFD_DIRTY_LOG), ==, 0);
    g_assert_cmpint(set_log(true), ==, -EINVAL);
    the_double->options.migration = true;
    g_assert_cmpint(set_log(true), ==, 0);
    end_kernel();
}

/* ---- Extensions ---- */

/* arm: kvm_realm_ext_allowed; what virt/kvm answers is not asked there */
static void test_realm_extensions(void)
{
    static const uint16_t absent[] = {
        KVM_CAP_IOEVENTFD, KVM_CAP_READONLY_MEM, KVM_CAP_IRQFD_RESAMPLE,
        KVM_CAP_VCPU_EVENTS, KVM_CAP_IMMEDIATE_EXIT, KVM_CAP_MP_STATE,
        KVM_CAP_SET_GUEST_DEBUG, KVM_CAP_STEAL_TIME, KVM_CAP_COUNTER_OFFSET,
        KVM_CAP_ARM_MTE, KVM_CAP_VCPU_ATTRIBUTES,
        251 /* ARM_PMU_V3_STRICT */
    };
    static const uint16_t present[] = {
        KVM_CAP_IRQCHIP, KVM_CAP_ARM_PSCI, KVM_CAP_ARM_PSCI_0_2,
        KVM_CAP_NR_VCPUS, KVM_CAP_MAX_VCPUS, KVM_CAP_MAX_VCPU_ID,
        KVM_CAP_MSI_DEVID, KVM_CAP_ARM_VM_IPA_SIZE, KVM_CAP_ONE_REG,
        KVM_CAP_ARM_PTRAUTH_ADDRESS, KVM_CAP_ARM_PTRAUTH_GENERIC,
        KVM_CAP_SYNC_MMU, 253 /* ARM_RMI */, KVM_CAP_DEVICE_CTRL,
        KVM_CAP_USER_MEMORY, KVM_CAP_IOEVENTFD_ANY_LENGTH,
    };

    create_vm(NULL, 4096);
    for (size_t i = 0; i < ARRAY_SIZE(absent); i++) {
        g_assert_cmpint(check(absent[i]), ==, 0);
    }
    for (size_t i = 0; i < ARRAY_SIZE(present); i++) {
        g_assert_cmpint(check(present[i]), >, 0);
    }
    end_kernel();
}

static void test_first_generation_of_rmi_has_fewer(void)
{
    create_vm("v12", 4096);
    g_assert_cmpint(check(KVM_CAP_SYNC_MMU), ==, 0);
    g_assert_cmpint(check(KVM_CAP_ONE_REG), ==, 0);
    g_assert_cmpint(check(247), ==, 1);
    end_kernel();
}

/*
 * What kvm_init, kvm_arch_init and the irqchip ask in QEMU, once the Realm's VM
 * exists: without the first of them QEMU ends, the others are missed later.
 */
static void test_kvm_init(void)
{
    static const uint16_t asked[] = {
        KVM_CAP_USER_MEMORY, KVM_CAP_DESTROY_MEMORY_REGION_WORKS,
        KVM_CAP_JOIN_MEMORY_REGIONS_WORKS, KVM_CAP_INTERNAL_ERROR_DATA,
        KVM_CAP_IOEVENTFD, KVM_CAP_IOEVENTFD_ANY_LENGTH, KVM_CAP_DEVICE_CTRL,
        KVM_CAP_IMMEDIATE_EXIT, KVM_CAP_READONLY_MEM, KVM_CAP_IRQFD,
        KVM_CAP_IRQFD_RESAMPLE, KVM_CAP_MP_STATE, KVM_CAP_SYNC_MMU,
        KVM_CAP_IRQCHIP, KVM_CAP_IRQ_ROUTING, KVM_CAP_NR_MEMSLOTS,
    };

    create_vm(NULL, 4096);
    realm_kvm.abi.generation = RME_GUEST_KVM_ABI_RMI;
    for (size_t i = 0; i < ARRAY_SIZE(asked); i++) {
        int ret;

        if (!realm_kvm_check_extension(kvm_state, asked[i], &ret)) {
            ret = kvm_ioctl(kvm_state, KVM_CHECK_EXTENSION, asked[i]);
        }
        g_assert_cmpint(ret, >, 0);
    }
    realm_kvm = (RealmKvm) { 0 };
    end_kernel();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define TEST(claim, test) g_test_add_func("/double/kernel/" claim, test)
    TEST("guest_memfd_takes_known_flags_and_whole_pages", test_gmem_flags);
    TEST("a_slot_should_be_a_mapping_of_its_guest_memfd", test_slot_mapping);
    TEST("a_part_of_guest_memfd_is_in_one_slot", test_slots);
    TEST("attributes_refuse_bad_arguments", test_attribute_arguments);
    TEST("attributes_belong_to_guest_memfd", test_attribute_capabilities);
    TEST("a_private_page_cannot_be_touched", test_private_mapping);
    TEST("pages_are_private_without_init_shared", test_initially_private);
    TEST("a_pinned_page_cannot_become_private_yet", test_pinned);
    TEST("both_halves_are_one_memory", test_one_memory);
    TEST("what_becomes_shared_is_wiped", test_to_shared_is_wiped);
    TEST("the_other_half_faults", test_access_faults);
    TEST("a_closed_guest_memfd_gives_its_pages_back", test_close);
    TEST("a_hole_takes_both_halves_away", test_punch);
    TEST("ripas_waits_for_the_attribute", test_ripas_needs_attributes);
    TEST("ripas_empty_outside_of_ram_waits_for_nothing",
         test_ripas_outside_of_ram);
    TEST("a_ripas_change_of_no_private_range_is_refused",
         test_bad_ripas_range);
    TEST("immediate_exit_leaves_a_ripas_change_pending",
         test_immediate_exit_leaves_ripas);
    TEST("immediate_exit_takes_what_mmio_read",
         test_immediate_exit_takes_mmio);
    TEST("mmio_writes_are_for_user_space", test_mmio_write);
    TEST("a_signal_leaves_psci_pending", test_signal_leaves_psci);
    TEST("an_off_vcpu_sleeps_until_a_signal", test_off_sleeps_until_signal);
    TEST("an_off_vcpu_sleeps_until_cpu_on", test_off_sleeps_until_cpu_on);
    TEST("the_first_run_wants_an_initialised_gic", test_run_without_irqchip);
    TEST("a_first_run_that_fails_is_the_end",
         test_failed_first_run_is_the_end);
    TEST("another_status_of_rec_enter_is_the_end",
         test_other_status_is_the_end);
    TEST("a_realm_that_is_off_shuts_down", test_realm_status_is_shutdown);
    TEST("populate_refuses_bad_arguments", test_populate_arguments);
    TEST("populate_of_nothing_creates_the_realm",
         test_populate_of_nothing_creates);
    TEST("populate_wants_private_pages", test_populate_of_shared);
    TEST("private_memory_has_blocks", test_private_blocks);
    TEST("shared_memory_has_blocks", test_shared_blocks);
    TEST("empty_tables_are_folded", test_empty_tables_are_folded);
    TEST("an_unknown_exit_is_the_end", test_unknown_exit);
    TEST("the_log_has_whole_pages_and_kvms_own_writes", test_log);
    TEST("the_log_needs_its_capability", test_log_needs_its_capability);
    TEST("the_realms_vm_has_few_extensions", test_realm_extensions);
    TEST("v12_has_fewer", test_first_generation_of_rmi_has_fewer);
    TEST("kvm_init_finds_what_it_asks_for", test_kvm_init);
#undef TEST
    return g_test_run();
}
