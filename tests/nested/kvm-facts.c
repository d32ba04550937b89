/*
 * kvm-facts: what KVM answers for an ordinary VM of arm64
 *
 * Purpose: one list of claims for two kernels.  The machine of test_kvm.py has
 * a real one, and the stand-in of tests/kvm-double has to answer the same: what
 * is expected here was said by Linux, not by the stand-in.  The output is TAP.
 * Where a guest runs, the stand-in's claims are about Realms (test-kernel.c).
 *
 * Invariants: each fact has VMs of its own.  What a kernel does not have is
 * skipped, with what is missing.
 *
 * Lock rule: one thread.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/kvm.h>
#include <linux/kvm-arm-cca.h>
#include "kvm-facts.h"

#define PAGE        4096ul
#define PAGES       16ul
#define SIZE        (PAGES * PAGE)
#define BASE        0x40000000ul
#define ELSEWHERE   0x80000000ul
#define NUM(a)      (sizeof(a) / sizeof((a)[0]))
#define GMEM        KVM_MEM_GUEST_MEMFD
#define LOG         KVM_MEM_LOG_DIRTY_PAGES
#define MMAP        GUEST_MEMFD_FLAG_MMAP
#define BIT_PSCI    (1u << KVM_ARM_VCPU_PSCI_0_2)
#define SHARED      (GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED)

static int kvm, vm, other_vm, cpu, gmem;
static struct kvm_run *page;    /* of @cpu */
static uint8_t *ram;            /* the slots' */
static size_t ram_size;
static bool failed;
static const char *missing;

/* ---- What a fact says ---- */

static void is(long got, long wanted, const char *what)
{
    if (got != wanted) {
        printf("# %s: %ld, not %ld\n", what, got, wanted);
        failed = true;
    }
}

#define IS(call, wanted) is(call, wanted, #call)
#define REFUSED(call, error) is(call, -(error), #call)

static bool lacks(bool it, const char *what)
{
    missing = it ? what : missing;
    return it;
}

/* ---- Calls ---- */

static int call(int fd, unsigned long request, void *arg)
{
    return facts_ioctl(fd, request, arg);
}

static int with(int fd, unsigned long request, unsigned long value)
{
    return call(fd, request, (void *)value);
}

static int check(int fd, unsigned extension)
{
    return with(fd, KVM_CHECK_EXTENSION, extension);
}

static int enable(unsigned capability, uint64_t value)
{
    struct kvm_enable_cap cap = { .cap = capability, .args = { value } };

    return call(vm, KVM_ENABLE_CAP, &cap);
}

static int create_gmem(uint64_t size, uint64_t flags)
{
    struct kvm_create_guest_memfd args = { .size = size, .flags = flags };

    return call(vm, KVM_CREATE_GUEST_MEMFD, &args);
}

static int set_slot(unsigned slot, unsigned flags, uint64_t gpa, uint64_t size,
                    void *address)
{
    struct kvm_userspace_memory_region region = {
        .slot = slot, .flags = flags, .guest_phys_addr = gpa,
        .memory_size = size, .userspace_addr = (uintptr_t)address,
    };

    return call(vm, KVM_SET_USER_MEMORY_REGION, &region);
}

static int set_gmem_slot(unsigned slot, unsigned flags, uint64_t gpa,
                         uint64_t size, int fd, uint64_t offset)
{
    struct kvm_userspace_memory_region2 region = {
        .slot = slot, .flags = flags, .guest_phys_addr = gpa,
        .memory_size = size, .userspace_addr = (uintptr_t)ram + offset,
        .guest_memfd = fd, .guest_memfd_offset = offset,
    };

    return call(vm, KVM_SET_USER_MEMORY_REGION2, &region);
}

static void unmap_ram(void)
{
    if (ram_size) {
        munmap(ram, ram_size);
    }
    ram_size = 0;
}

static void map_ram(int fd, size_t size, int flags)
{
    unmap_ram();
    ram = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, 0);
    if (ram == MAP_FAILED) {
        perror("mmap");
        exit(1);
    }
    ram_size = size;
}

static void add_memory(void)
{
    map_ram(-1, 2 * SIZE, MAP_PRIVATE | MAP_ANONYMOUS);
}

/* A guest_memfd that can be mapped, and is mapped at @ram. */
static bool has_mapped_gmem(void)
{
    if (lacks(!(check(vm, KVM_CAP_GUEST_MEMFD_FLAGS) & MMAP) ||
              check(vm, KVM_CAP_GUEST_MEMFD) != 1,
              "guest_memfd that can be mapped")) {
        return false;
    }
    gmem = create_gmem(SIZE, SHARED);
    map_ram(gmem, SIZE, MAP_SHARED);
    return true;
}

static int create_vgic(unsigned flags)
{
    struct kvm_create_device device = { .type = KVM_DEV_TYPE_ARM_VGIC_V3,
                                        .flags = flags };
    int ret = call(vm, KVM_CREATE_DEVICE, &device);

    return ret ?: (flags & KVM_CREATE_DEVICE_TEST) ? ret : (int)device.fd;
}

static int init_cpu(int fd, unsigned target, uint32_t features)
{
    struct kvm_vcpu_init init = { .target = target, .features = { features } };

    return call(fd, KVM_ARM_VCPU_INIT, &init);
}

static void add_cpu(uint32_t features)
{
    cpu = with(vm, KVM_CREATE_VCPU, 0);
    IS(init_cpu(cpu, KVM_ARM_TARGET_GENERIC_V8,
                BIT_PSCI | features), 0);
}

/* In a process of its own. */
static bool is_killed_reading(const uint8_t *p)
{
    pid_t child = fork();
    int status;

    if (child == 0) {
        struct rlimit none = { 0 };

        setrlimit(RLIMIT_CORE, &none);
        signal(SIGBUS, SIG_DFL);
        _exit(*(volatile const uint8_t *)p & 0);
    }
    waitpid(child, &status, 0);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS;
}

static int mmap_error(int fd, size_t size, int flags, off_t offset)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, offset);

    if (p == MAP_FAILED) {
        return -errno;
    }
    munmap(p, size);
    return 0;
}

static int hole(int mode, off_t offset, off_t size)
{
    return fallocate(gmem, mode, offset, size) ? -errno : 0;
}

/* ---- The system and VMs ---- */

static void required_capabilities(void)
{
    static const unsigned required[] = {
        KVM_CAP_USER_MEMORY, KVM_CAP_DESTROY_MEMORY_REGION_WORKS,
        KVM_CAP_JOIN_MEMORY_REGIONS_WORKS, KVM_CAP_INTERNAL_ERROR_DATA,
        KVM_CAP_IOEVENTFD, KVM_CAP_IOEVENTFD_ANY_LENGTH,
        KVM_CAP_DEVICE_CTRL, KVM_CAP_IMMEDIATE_EXIT, KVM_CAP_READONLY_MEM,
        KVM_CAP_IRQFD, KVM_CAP_IRQFD_RESAMPLE, KVM_CAP_MP_STATE,
        KVM_CAP_SYNC_MMU, KVM_CAP_IRQCHIP, KVM_CAP_CHECK_EXTENSION_VM,
        KVM_CAP_ENABLE_CAP_VM, KVM_CAP_SIGNAL_MSI,
        KVM_CAP_ONE_REG, KVM_CAP_ARM_PSCI, KVM_CAP_ARM_PSCI_0_2,
        KVM_CAP_VCPU_EVENTS, KVM_CAP_VCPU_ATTRIBUTES, KVM_CAP_USER_MEMORY2,
        KVM_CAP_ARM_IRQ_LINE_LAYOUT_2, KVM_CAP_ARM_NISV_TO_USER,
        KVM_CAP_ARM_INJECT_EXT_DABT, KVM_CAP_SET_GUEST_DEBUG,
        KVM_CAP_COUNTER_OFFSET, KVM_CAP_HALT_POLL, KVM_CAP_COALESCED_MMIO,
    };

    for (size_t i = 0; i < NUM(required); i++) {
        if (check(kvm, required[i]) != 1 || check(vm, required[i]) != 1) {
            printf("# capability %u: %d of the system, %d of the VM\n",
                   required[i], check(kvm, required[i]),
                   check(vm, required[i]));
            failed = true;
        }
    }
}

static void values_of_capabilities(void)
{
    const int files[] = { kvm, vm };

    for (size_t i = 0; i < NUM(files); i++) {
        IS(check(files[i], KVM_CAP_IRQ_ROUTING), 4096);
        IS(check(files[i], KVM_CAP_NR_MEMSLOTS), 32767);
        IS(check(files[i], KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2),
           KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | KVM_DIRTY_LOG_INITIALLY_SET);
        IS(check(files[i], 0xffffff), 0);
        IS(check(files[i], KVM_CAP_MEMORY_ATTRIBUTES), 0);
    }
}

static void gmem_capabilities(void)
{
    const int files[] = { kvm, vm };

    if (lacks(!check(kvm, KVM_CAP_GUEST_MEMFD), "guest_memfd")) {
        return;
    }
    for (size_t i = 0; i < NUM(files); i++) {
        IS(check(files[i], KVM_CAP_GUEST_MEMFD), 1);
        IS(check(files[i], KVM_CAP_GUEST_MEMFD_FLAGS), SHARED);
    }
}

static void types_of_vms(void)
{
    REFUSED(with(kvm, KVM_CREATE_VM, 1 << 29), EINVAL);
    REFUSED(with(kvm, KVM_CREATE_VM, 1 << 16), EINVAL);
    REFUSED(with(kvm, KVM_CREATE_VM, 1ul << 32), EINVAL);
    REFUSED(with(kvm, KVM_CREATE_VM, 31), EINVAL);
    REFUSED(with(kvm, KVM_CREATE_VM, 53), EINVAL);
    other_vm = with(kvm, KVM_CREATE_VM, 32);
    IS(other_vm >= 0, true);
}

static void unknown_ioctls(void)
{
    int vgic = create_vgic(0);
    unsigned long unknown = _IO(KVMIO, 0xff);

    cpu = with(vm, KVM_CREATE_VCPU, 0);
    REFUSED(call(kvm, unknown, NULL), EINVAL);
    REFUSED(call(vm, unknown, NULL), EINVAL);
    REFUSED(call(cpu, unknown, NULL), EINVAL);
    REFUSED(call(vgic, unknown, NULL), ENOTTY);
    REFUSED(call(vm, KVM_RUN, NULL), EINVAL);
    REFUSED(call(cpu, KVM_CHECK_EXTENSION, NULL), EINVAL);
    close(vgic);
    if (lacks(!check(vm, KVM_CAP_GUEST_MEMFD), "guest_memfd")) {
        return;
    }
    gmem = create_gmem(SIZE, 0);
    REFUSED(call(gmem, unknown, NULL), ENOTTY);
}

static void vm_attributes(void)
{
    struct kvm_memory_attributes args = { .address = BASE, .size = PAGE };

    REFUSED(call(vm, KVM_SET_MEMORY_ATTRIBUTES, &args), EINVAL);
}

static void enabling(void)
{
    struct kvm_enable_cap flags = { KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, 1 };

    REFUSED(enable(0xffffff, 0), EINVAL);
    REFUSED(call(vm, KVM_ENABLE_CAP, &flags), EINVAL);
    REFUSED(enable(KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, 4), EINVAL);
    REFUSED(enable(KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
                   KVM_DIRTY_LOG_INITIALLY_SET), EINVAL);
    IS(enable(KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
              KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE |
              KVM_DIRTY_LOG_INITIALLY_SET), 0);
    IS(enable(KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, 0), 0);
    if (check(vm, KVM_CAP_ARM_MTE)) {
        IS(enable(KVM_CAP_ARM_MTE, 0), 0);
        cpu = with(vm, KVM_CREATE_VCPU, 0);
        REFUSED(enable(KVM_CAP_ARM_MTE, 0), EINVAL);
    }
}

/* ---- vCPUs ---- */

static void numbers_of_vcpus(void)
{
    cpu = with(vm, KVM_CREATE_VCPU, 0);
    IS(cpu >= 0, true);
    REFUSED(with(vm, KVM_CREATE_VCPU, 0), EEXIST);
    REFUSED(with(vm, KVM_CREATE_VCPU,
                 check(vm, KVM_CAP_MAX_VCPU_ID)), EINVAL);
}

static void before_init(void)
{
    uint64_t value = 0;
    struct kvm_one_reg reg = {
        .id = KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE,
        .addr = (uintptr_t)&value,
    };
    struct kvm_reg_list list = { .n = 0 };
    struct kvm_mp_state state = { KVM_MP_STATE_RUNNABLE };

    cpu = with(vm, KVM_CREATE_VCPU, 0);
    REFUSED(call(cpu, KVM_RUN, NULL), ENOEXEC);
    facts_run_page(cpu)->immediate_exit = 1;
    REFUSED(call(cpu, KVM_RUN, NULL), ENOEXEC);
    REFUSED(call(cpu, KVM_SET_ONE_REG, &reg), ENOEXEC);
    REFUSED(call(cpu, KVM_GET_REG_LIST, &list), ENOEXEC);
    IS(call(cpu, KVM_SET_MP_STATE, &state), 0);
}

static void initialising(void)
{
    struct kvm_vcpu_init more = {
        .target = KVM_ARM_TARGET_GENERIC_V8, .features = { 0, 1 },
    };
    struct kvm_vcpu_init target = { 0 };
    int second;

    cpu = with(vm, KVM_CREATE_VCPU, 0);
    second = with(vm, KVM_CREATE_VCPU, 1);
    REFUSED(init_cpu(cpu, KVM_ARM_TARGET_GENERIC_V8 + 9, 0), EINVAL);
    REFUSED(init_cpu(cpu, KVM_ARM_TARGET_GENERIC_V8, 1u << 31), ENOENT);
    REFUSED(call(cpu, KVM_ARM_VCPU_INIT, &more), ENOENT);
    IS(init_cpu(cpu, KVM_ARM_TARGET_GENERIC_V8, 0), 0);
    IS(init_cpu(cpu, KVM_ARM_TARGET_GENERIC_V8, 0), 0);
    REFUSED(init_cpu(cpu, KVM_ARM_TARGET_GENERIC_V8, BIT_PSCI), EINVAL);
    REFUSED(init_cpu(second, KVM_ARM_TARGET_GENERIC_V8, BIT_PSCI), EINVAL);
    IS(init_cpu(second, KVM_ARM_TARGET_GENERIC_V8, 0), 0);
    IS(init_cpu(cpu, KVM_ARM_TARGET_GENERIC_V8,
                1 << KVM_ARM_VCPU_POWER_OFF), 0);
    IS(call(vm, KVM_ARM_PREFERRED_TARGET, &target), 0);
    IS(target.target, KVM_ARM_TARGET_GENERIC_V8);
    IS(target.features[0], 0);
    close(second);
}

static void mp_states(void)
{
    struct kvm_mp_state bad = { KVM_MP_STATE_HALTED };

    add_cpu(0);
    REFUSED(call(cpu, KVM_SET_MP_STATE, &bad), EINVAL);
}

static void immediate_exit(void)
{
    add_cpu(0);
    page = facts_run_page(cpu);
    page->immediate_exit = 1;
    page->exit_reason = KVM_EXIT_SHUTDOWN;
    REFUSED(with(cpu, KVM_RUN, 1), EINVAL);
    REFUSED(call(cpu, KVM_RUN, NULL), EINTR);
    IS(page->exit_reason, KVM_EXIT_SHUTDOWN);
    IS(page->immediate_exit, 1);
}

static void off_vcpu(void)
{
    bool came;

    add_cpu(1 << KVM_ARM_VCPU_POWER_OFF);
    REFUSED(facts_run_until_signal(cpu, &came), EINTR);
    IS(came, true);
    IS(facts_run_page(cpu)->exit_reason, KVM_EXIT_INTR);
}

/* ---- Devices ---- */

static void devices(void)
{
    struct kvm_create_device unknown = { .type = 0xffff };
    struct kvm_device_attr attr = { .group = 0xffff };
    int vgic;

    REFUSED(call(vm, KVM_CREATE_DEVICE, &unknown), ENODEV);
    IS(create_vgic(KVM_CREATE_DEVICE_TEST), 0);
    vgic = create_vgic(0);
    IS(vgic >= 0, true);
    REFUSED(create_vgic(0), EEXIST);
    REFUSED(call(vgic, KVM_SET_DEVICE_ATTR, &attr), ENXIO);
    close(vgic);
}

/* ---- Slots ---- */

static void bad_slots(void)
{
    add_memory();
    REFUSED(set_slot(0, 0, BASE + 1, SIZE, ram), EINVAL);
    REFUSED(set_slot(0, 0, BASE, SIZE + 1, ram), EINVAL);
    REFUSED(set_slot(0, 0, BASE, SIZE, ram + 1), EINVAL);
    REFUSED(set_slot(0, 1u << 31, BASE, SIZE, ram), EINVAL);
    REFUSED(set_slot(0, GMEM, BASE, SIZE, ram), EINVAL);
    REFUSED(set_slot(0, 0, BASE, 0, ram), EINVAL);
    REFUSED(set_slot(32767, 0, BASE, SIZE, ram), EINVAL);
    REFUSED(set_slot(1 << 16, 0, BASE, SIZE, ram), EINVAL);
    REFUSED(set_slot(0, 0, -PAGE, 2 * PAGE, ram), EINVAL);
    REFUSED(set_slot(0, 0, 1ul << 40, SIZE, ram), EFAULT);
    REFUSED(set_slot(0, 0, (1ul << 40) - PAGE, SIZE, ram), EFAULT);
    IS(set_slot(0, 0, (1ul << 40) - SIZE, SIZE, ram), 0);
}

static void changes_of_slots(void)
{
    add_memory();
    IS(set_slot(0, 0, BASE, SIZE, ram), 0);
    IS(set_slot(0, 0, BASE, SIZE, ram), 0);
    REFUSED(set_slot(0, 0, BASE, 2 * SIZE, ram), EINVAL);
    REFUSED(set_slot(0, 0, BASE, SIZE, ram + PAGE), EINVAL);
    REFUSED(set_slot(0, KVM_MEM_READONLY, BASE, SIZE, ram), EINVAL);
    IS(set_slot(0, LOG, BASE, SIZE, ram), 0);
    IS(set_slot(0, 0, BASE, SIZE, ram), 0);
    REFUSED(set_slot(1, 0, BASE + SIZE - PAGE, SIZE, ram), EEXIST);
    REFUSED(set_slot(1, 0, BASE + PAGE, PAGE, ram), EEXIST);
    REFUSED(set_slot(1, 0, BASE - PAGE, 2 * SIZE, ram), EEXIST);
    IS(set_slot(1, KVM_MEM_READONLY, BASE + SIZE, SIZE, ram), 0);
    REFUSED(set_slot(0, 0, BASE + SIZE, SIZE, ram), EEXIST);
    IS(set_slot(0, 0, ELSEWHERE, SIZE, ram), 0);
    IS(set_slot(2, 0, BASE, SIZE, ram), 0);
    IS(set_slot(0, 0, 0, 0, NULL), 0);
    IS(set_slot(3, 0, ELSEWHERE, SIZE, ram), 0);
}

/* ---- The dirty log ---- */

static uint64_t bits;

static int get_log(unsigned slot)
{
    struct kvm_dirty_log log = { .slot = slot, .dirty_bitmap = &bits };

    bits = ~0ull;
    return call(vm, KVM_GET_DIRTY_LOG, &log);
}

static int clear_log(unsigned slot, uint64_t first, uint32_t num)
{
    static uint64_t all = ~0ull;
    struct kvm_clear_dirty_log log = {
        .slot = slot, .num_pages = num, .first_page = first,
        .dirty_bitmap = &all,
    };

    return call(vm, KVM_CLEAR_DIRTY_LOG, &log);
}

static void log_without_slot(void)
{
    add_memory();
    REFUSED(get_log(0), ENOENT);
    REFUSED(get_log(32767), EINVAL);
    REFUSED(get_log(1 << 16), EINVAL);
    REFUSED(clear_log(0, 0, 64), ENOENT);
    REFUSED(clear_log(0, 1, 64), EINVAL);
    REFUSED(clear_log(32767, 0, 64), EINVAL);
    IS(set_slot(0, 0, BASE, SIZE, ram), 0);
    REFUSED(get_log(0), ENOENT);
    REFUSED(clear_log(0, 0, PAGES), ENOENT);
}

static void log_of_slot(void)
{
    add_memory();
    IS(set_slot(0, LOG, BASE, SIZE, ram), 0);
    IS(get_log(0), 0);
    IS(bits, 0);
    REFUSED(clear_log(0, 0, PAGES - 1), EINVAL);
    REFUSED(clear_log(0, 0, 1), EINVAL);
    REFUSED(clear_log(0, 64, 64), EINVAL);
    IS(clear_log(0, 0, PAGES), 0);
    REFUSED(clear_log(0, 0, 64), EINVAL);
    IS(clear_log(0, 0, 0), 0);
    IS(enable(KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
              KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE), 0);
    IS(clear_log(0, 0, PAGES), 0);
    IS(get_log(0), 0);
    IS(bits, 0);
}

static void log_that_is_set(void)
{
    add_memory();
    IS(set_slot(1, LOG, ELSEWHERE, SIZE, ram), 0);
    IS(enable(KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
              KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE |
              KVM_DIRTY_LOG_INITIALLY_SET), 0);
    IS(set_slot(0, LOG, BASE, SIZE, ram), 0);
    IS(get_log(1), 0);
    IS(bits, 0);
    IS(get_log(0), 0);
    IS(bits, (1 << PAGES) - 1);
    IS(get_log(0), 0);
    IS(bits, (1 << PAGES) - 1);
    IS(clear_log(0, 0, PAGES), 0);
    IS(get_log(0), 0);
    IS(bits, 0);
    IS(set_slot(0, 0, BASE, SIZE, ram), 0);
    IS(set_slot(0, LOG, BASE, SIZE, ram), 0);
    IS(get_log(0), 0);
    IS(bits, (1 << PAGES) - 1);
}

/* ---- guest_memfd ---- */

static void gmem_arguments(void)
{
    struct kvm_create_guest_memfd reserved = {
        .size = SIZE, .reserved = { 0, 1 },
    };

    if (lacks(!check(vm, KVM_CAP_GUEST_MEMFD), "guest_memfd")) {
        return;
    }
    REFUSED(create_gmem(SIZE, 1ull << 63), EINVAL);
    REFUSED(create_gmem(SIZE + 1, 0), EINVAL);
    REFUSED(create_gmem(0, 0), EINVAL);
    REFUSED(create_gmem(-PAGE, 0), EINVAL);
    gmem = call(vm, KVM_CREATE_GUEST_MEMFD, &reserved);
    IS(gmem >= 0, true);
}

static void gmem_slots(void)
{
    int theirs;

    if (!has_mapped_gmem()) {
        return;
    }
    REFUSED(set_gmem_slot(0, GMEM, BASE, SIZE, -1, 0), EBADF);
    REFUSED(set_gmem_slot(0, GMEM, BASE, SIZE, vm, 0), EINVAL);
    other_vm = with(kvm, KVM_CREATE_VM, 0);
    theirs = vm;
    vm = other_vm;
    REFUSED(set_gmem_slot(0, GMEM, BASE, SIZE, gmem, 0), EINVAL);
    vm = theirs;
    REFUSED(set_gmem_slot(0, GMEM, BASE, PAGE, gmem, 1), EINVAL);
    REFUSED(set_gmem_slot(0, GMEM, BASE, SIZE, gmem, PAGE), EINVAL);
    REFUSED(set_gmem_slot(0, GMEM, BASE, PAGE, gmem, -PAGE), EINVAL);
    REFUSED(set_gmem_slot(0, GMEM | LOG, BASE, SIZE, gmem, 0), EINVAL);
    REFUSED(set_gmem_slot(0, GMEM | KVM_MEM_READONLY, BASE, SIZE, gmem, 0),
            EINVAL);
    IS(set_gmem_slot(0, GMEM, BASE, SIZE / 2, gmem, 0), 0);
    REFUSED(set_gmem_slot(1, GMEM, BASE, SIZE / 2, gmem, SIZE / 2), EEXIST);
    IS(set_gmem_slot(1, GMEM, ELSEWHERE, SIZE / 2, gmem, SIZE / 2), 0);
    IS(set_gmem_slot(0, GMEM, BASE, 0, gmem, 0), 0);
    IS(set_gmem_slot(2, GMEM, BASE, SIZE / 2, gmem, 0), 0);
    IS(set_gmem_slot(2, 0, BASE, 0, -1, 0), 0);
}

static void gmem_bound_twice(void)
{
    int ret;

    if (!has_mapped_gmem()) {
        return;
    }
    IS(set_gmem_slot(0, GMEM, BASE, SIZE / 2, gmem, 0), 0);
    ret = set_gmem_slot(1, GMEM, ELSEWHERE, PAGE, gmem, SIZE / 2 - PAGE);
    if (lacks(ret == -EINVAL, "the newer error")) {
        return;
    }
    IS(ret, -EEXIST);
    IS(set_gmem_slot(1, GMEM, ELSEWHERE, PAGE, gmem, SIZE / 2), 0);
}

static void gmem_slot_stays(void)
{
    if (!has_mapped_gmem()) {
        return;
    }
    IS(set_gmem_slot(0, GMEM, BASE, SIZE / 2, gmem, 0), 0);
    REFUSED(set_gmem_slot(0, GMEM, BASE, SIZE / 2, gmem, 0), EINVAL);
    REFUSED(set_gmem_slot(0, GMEM, ELSEWHERE, SIZE / 2, gmem, 0), EINVAL);
    REFUSED(set_gmem_slot(0, 0, BASE, SIZE / 2, gmem, 0), EINVAL);
    REFUSED(set_gmem_slot(0, LOG, BASE, SIZE / 2, gmem, 0), EINVAL);
    IS(set_slot(1, 0, ELSEWHERE, SIZE / 2, ram), 0);
    REFUSED(set_gmem_slot(1, GMEM, ELSEWHERE, SIZE / 2, gmem, SIZE / 2),
            EINVAL);
    REFUSED(get_log(0), ENOENT);
}

static void gmem_slot_elsewhere(void)
{
    if (!has_mapped_gmem()) {
        return;
    }
    add_memory();
    IS(set_gmem_slot(0, GMEM, BASE, SIZE, gmem, 0), 0);
}

static void gmem_closed(void)
{
    if (!has_mapped_gmem()) {
        return;
    }
    IS(set_gmem_slot(0, GMEM, BASE, SIZE, gmem, 0), 0);
    unmap_ram();
    close(gmem);
    gmem = -1;
    IS(check(vm, KVM_CAP_USER_MEMORY), 1);
    REFUSED(set_slot(1, 0, BASE, PAGE, ram), EEXIST);
    IS(set_gmem_slot(0, GMEM, BASE, 0, -1, 0), 0);
}

static void gmem_beside_tags(void)
{
    if (lacks(check(vm, KVM_CAP_ARM_MTE) <= 0, "memory tags")) {
        return;
    }
    IS(enable(KVM_CAP_ARM_MTE, 0), 0);
    if (has_mapped_gmem()) {
        REFUSED(set_gmem_slot(0, GMEM, BASE, SIZE, gmem, 0), EINVAL);
    }
}

static void gmem_attributes(void)
{
    struct kvm_memory_attributes2 args = {
        .size = PAGE, .attributes = KVM_MEMORY_ATTRIBUTE_PRIVATE,
    };

    if (lacks(check(kvm, KVM_CAP_GUEST_MEMFD_MEMORY_ATTRIBUTES) <= 0,
              "attributes of guest_memfd") || !has_mapped_gmem()) {
        return;
    }
    IS(check(vm, KVM_CAP_GUEST_MEMFD_MEMORY_ATTRIBUTES), 0);
    REFUSED(call(gmem, KVM_SET_MEMORY_ATTRIBUTES2, &args), EINVAL);
    ram[0] = 1;
}

static void gmem_maps(void)
{
    int plain;

    if (lacks(facts_no_files, facts_no_files) || !has_mapped_gmem()) {
        return;
    }
    plain = create_gmem(SIZE, 0);
    REFUSED(mmap_error(plain, SIZE, MAP_SHARED, 0), ENODEV);
    close(plain);
    REFUSED(mmap_error(gmem, SIZE, MAP_PRIVATE, 0), EINVAL);
    IS(mmap_error(gmem, 2 * SIZE, MAP_SHARED, 0), 0);
    IS(ram[SIZE - 1], 0);
    ram[SIZE - 1] = 7;
    map_ram(gmem, 2 * SIZE, MAP_SHARED);
    IS(ram[SIZE - 1], 7);
    IS(is_killed_reading(ram + SIZE - 1), false);
    IS(is_killed_reading(ram + SIZE), true);
}

static void gmem_private_at_first(void)
{
    if (lacks(facts_no_files, facts_no_files) || !has_mapped_gmem()) {
        return;
    }
    close(gmem);
    gmem = create_gmem(SIZE, MMAP);
    map_ram(gmem, SIZE, MAP_SHARED);
    IS(is_killed_reading(ram), true);
}

static void gmem_holes(void)
{
    const int punch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;

    if (lacks(facts_no_files, facts_no_files) || !has_mapped_gmem()) {
        return;
    }
    ram[0] = ram[PAGE] = 7;
    REFUSED(hole(punch, 1, PAGE), EINVAL);
    REFUSED(hole(punch, 0, PAGE + 1), EINVAL);
    REFUSED(hole(punch, 0, 0), EINVAL);
    REFUSED(hole(0, 0, PAGE), EOPNOTSUPP);
    IS(ram[0], 7);
    IS(hole(punch, 0, PAGE), 0);
    IS(ram[0], 0);
    IS(ram[PAGE], 7);
    IS(hole(punch, SIZE, PAGE), 0);
    IS(hole(FALLOC_FL_KEEP_SIZE, 0, SIZE), 0);
    IS(ram[PAGE], 7);
    REFUSED(ftruncate(gmem, 2 * SIZE) ? -errno : 0, EINVAL);
    REFUSED(pread(gmem, &bits, 8, 0) < 0 ? -errno : 0, ESPIPE);
    REFUSED(pwrite(gmem, &bits, 8, 0) < 0 ? -errno : 0, ESPIPE);
}

/* ---- Tags ---- */

static long copy_tags(uint64_t gpa, uint64_t length, uint64_t flags)
{
    static uint8_t tags[SIZE / 16];
    struct kvm_arm_copy_mte_tags args = { gpa, length, tags, flags };

    return call(vm, KVM_ARM_MTE_COPY_TAGS, &args);
}

static void tags(void)
{
    struct kvm_arm_copy_mte_tags reserved = {
        BASE, PAGE, ram, KVM_ARM_TAGS_FROM_GUEST, { 1 },
    };

    add_memory();
    IS(set_slot(0, 0, BASE, SIZE, ram), 0);
    REFUSED(copy_tags(BASE, PAGE, KVM_ARM_TAGS_FROM_GUEST), EINVAL);
    if (lacks(check(vm, KVM_CAP_ARM_MTE) <= 0, "memory tags")) {
        return;
    }
    IS(enable(KVM_CAP_ARM_MTE, 0), 0);
    REFUSED(call(vm, KVM_ARM_MTE_COPY_TAGS, &reserved), EINVAL);
    REFUSED(copy_tags(BASE, PAGE, 2), EINVAL);
    REFUSED(copy_tags(BASE + 1, PAGE, KVM_ARM_TAGS_FROM_GUEST), EINVAL);
    REFUSED(copy_tags(BASE, PAGE + 1, KVM_ARM_TAGS_FROM_GUEST), EINVAL);
    REFUSED(copy_tags(BASE, 1ul << 31, KVM_ARM_TAGS_FROM_GUEST), EINVAL);
    REFUSED(copy_tags(-PAGE, 2 * PAGE, KVM_ARM_TAGS_FROM_GUEST), EFAULT);
    REFUSED(copy_tags(ELSEWHERE, PAGE, KVM_ARM_TAGS_FROM_GUEST), EFAULT);
    IS(copy_tags(BASE, 0, KVM_ARM_TAGS_FROM_GUEST), 0);
    IS(copy_tags(BASE, SIZE, KVM_ARM_TAGS_FROM_GUEST), SIZE);
    IS(copy_tags(BASE, SIZE, KVM_ARM_TAGS_TO_GUEST), SIZE);
    IS(copy_tags(BASE + SIZE - PAGE, 2 * PAGE, KVM_ARM_TAGS_FROM_GUEST), PAGE);
    IS(set_slot(1, LOG, ELSEWHERE, SIZE, ram + SIZE), 0);
    REFUSED(copy_tags(BASE, PAGE, KVM_ARM_TAGS_TO_GUEST), EBUSY);
    IS(copy_tags(BASE, PAGE, KVM_ARM_TAGS_FROM_GUEST), PAGE);
    IS(set_slot(1, 0, ELSEWHERE, SIZE, ram + SIZE), 0);
    IS(copy_tags(BASE, PAGE, KVM_ARM_TAGS_TO_GUEST), PAGE);
    IS(set_slot(2, KVM_MEM_READONLY, ELSEWHERE + SIZE, PAGE, ram), 0);
    REFUSED(copy_tags(ELSEWHERE + SIZE, PAGE, KVM_ARM_TAGS_TO_GUEST), EFAULT);
}

/* ---- A guest ---- */

#define CODE        0x10000000ul
#define SCRATCH     (CODE + 0x800)

/* What X0 points to, MMIO tells; and X3 is written where X4 points to. */
static const uint32_t code[] = {
    0xf9400001,                 /* ldr x1, [x0] */
    0xf9000083,                 /* str x3, [x4] */
    0xf9000041,                 /* str x1, [x2] */
    0x17fffffd,                 /* b    -12 */
};

static void set_register(unsigned n, uint64_t value)
{
    struct kvm_one_reg reg = {
        .id = KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | 2 * n,
        .addr = (uintptr_t)&value,
    };

    IS(call(cpu, KVM_SET_ONE_REG, &reg), 0);
}

static bool has_guest(void)
{
    static uint8_t memory[PAGE] __attribute__((aligned(PAGE)));

    if (lacks(facts_no_guest, facts_no_guest)) {
        return false;
    }
    memcpy(memory, code, sizeof(code));
    IS(set_slot(9, 0, CODE, PAGE, memory), 0);
    add_cpu(0);
    page = facts_run_page(cpu);
    set_register(32, CODE);     /* the PC */
    set_register(0, CODE);
    set_register(2, ELSEWHERE);
    set_register(4, SCRATCH);
    return !failed;
}

/* Runs until MMIO at @gpa. */
static void runs_to(uint64_t gpa, bool write)
{
    IS(call(cpu, KVM_RUN, NULL), 0);
    IS(page->exit_reason, KVM_EXIT_MMIO);
    IS(page->mmio.phys_addr, gpa);
    IS(page->mmio.is_write, write);
    IS(page->mmio.len, 8);
}

static uint64_t told(void)
{
    uint64_t value;

    runs_to(ELSEWHERE, true);
    memcpy(&value, page->mmio.data, sizeof(value));
    return value;
}

static uint64_t reads(uint64_t gpa)
{
    set_register(0, gpa);
    return told();
}

static void writes(uint64_t gpa, uint64_t value)
{
    set_register(3, value);
    set_register(4, gpa);
    told();
    set_register(4, SCRATCH);
}

static void guest_is_logged(void)
{
    if (!has_guest()) {
        return;
    }
    add_memory();
    IS(set_slot(0, LOG, BASE, SIZE, ram), 0);
    IS(reads(BASE + PAGE), 0);
    writes(BASE + 5 * PAGE, 7);
    IS(ram[5 * PAGE], 7);
    IS(get_log(0), 0);
    IS(bits, 1 << 5);
    IS(get_log(0), 0);
    IS(bits, 0);
}

static void guest_writes_to_rom(void)
{
    if (!has_guest()) {
        return;
    }
    add_memory();
    ram[8] = 5;
    IS(set_slot(0, KVM_MEM_READONLY, BASE, SIZE, ram), 0);
    IS(reads(BASE + 8), 5);
    set_register(4, BASE + 8);
    runs_to(BASE + 8, true);
    IS(ram[8], 5);
}

static void guest_reads_mmio(void)
{
    uint64_t value = 0x1122334455667788;

    if (!has_guest()) {
        return;
    }
    set_register(0, BASE);
    runs_to(BASE, false);
    memcpy(page->mmio.data, &value, sizeof(value));
    page->immediate_exit = 1;
    REFUSED(call(cpu, KVM_RUN, NULL), EINTR);
    memset(page->mmio.data, 0, sizeof(value));
    page->immediate_exit = 0;
    IS(told(), value);
}

static void guest_in_gmem(void)
{
    if (!has_guest() || !has_mapped_gmem()) {
        return;
    }
    IS(set_gmem_slot(0, GMEM, BASE, SIZE, gmem, 0), 0);
    ram[PAGE] = 7;
    IS(reads(BASE + PAGE), 7);
    writes(BASE + 2 * PAGE, 8);
    IS(ram[2 * PAGE], 8);
    IS(hole(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, PAGE, PAGE), 0);
    IS(reads(BASE + PAGE), 0);
    IS(reads(BASE + 2 * PAGE), 8);
}

static void guest_beside_mapping(void)
{
    if (!has_guest() || !has_mapped_gmem()) {
        return;
    }
    ram[0] = 7;
    add_memory();
    ram[0] = 8;
    IS(set_gmem_slot(0, GMEM, BASE, SIZE, gmem, 0), 0);
    IS(reads(BASE), 7);
}

static void guest_of_closed_gmem(void)
{
    if (!has_guest() || !has_mapped_gmem()) {
        return;
    }
    IS(set_gmem_slot(0, GMEM, BASE, SIZE, gmem, 0), 0);
    ram[0] = 7;
    IS(reads(BASE), 7);
    close(gmem);
    gmem = -1;
    IS(reads(BASE), 7);         /* it is mapped */
    unmap_ram();
    REFUSED(call(cpu, KVM_RUN, NULL), EFAULT);
    IS(page->exit_reason, KVM_EXIT_MEMORY_FAULT);
    IS(page->memory_fault.gpa, BASE);
    IS(page->memory_fault.size, PAGE);
    IS(page->memory_fault.flags, 0);
    REFUSED(call(cpu, KVM_RUN, NULL), EFAULT);
    IS(reads(CODE + 0x400), 0);
}

static const struct {
    const char *claim;
    void (*check)(void);
} facts[] = {
    { "the system and a VM have what QEMU asks for", required_capabilities },
    { "capabilities have values", values_of_capabilities },
    { "guest_memfd can be mapped and shared", gmem_capabilities },
    { "unknown types of VMs are EINVAL", types_of_vms },
    { "unknown ioctls are EINVAL, of other files ENOTTY", unknown_ioctls },
    { "an ordinary VM has no attributes", vm_attributes },
    { "capabilities to enable are checked", enabling },
    { "a vCPU is created once", numbers_of_vcpus },
    { "a vCPU does not run before it is initialised", before_init },
    { "features of vCPUs are checked, and are the same", initialising },
    { "unknown states of a vCPU are refused", mp_states },
    { "immediate_exit ends KVM_RUN before the guest runs", immediate_exit },
    { "an off vCPU sleeps until a signal", off_vcpu },
    { "devices are checked", devices },
    { "bad slots are refused", bad_slots },
    { "slots move, and do not overlap", changes_of_slots },
    { "a slot without a log is ENOENT", log_without_slot },
    { "a log begins clear", log_of_slot },
    { "a log begins set", log_that_is_set },
    { "guest_memfd takes known flags and whole pages", gmem_arguments },
    { "slots of guest_memfd are checked", gmem_slots },
    { "a part of guest_memfd is in one slot", gmem_bound_twice },
    { "a slot of guest_memfd does not change", gmem_slot_stays },
    { "a slot of guest_memfd is mapped somewhere", gmem_slot_elsewhere },
    { "a slot outlives its guest_memfd", gmem_closed },
    { "a VM with tags takes no mapping of guest_memfd", gmem_beside_tags },
    { "guest_memfd of an ordinary VM has no attributes", gmem_attributes },
    { "guest_memfd has shared mappings, and ends where it ends", gmem_maps },
    { "guest_memfd is private without INIT_SHARED", gmem_private_at_first },
    { "holes in guest_memfd are whole pages", gmem_holes },
    { "tags are copied in whole pages", tags },
    { "what a guest writes is logged, and once", guest_is_logged },
    { "what a guest writes to a read-only slot is MMIO", guest_writes_to_rom },
    { "immediate_exit takes what MMIO has read", guest_reads_mmio },
    { "a guest in guest_memfd sees its mapping and its holes", guest_in_gmem },
    { "a guest sees guest_memfd, not other mappings",
      guest_beside_mapping },
    { "a guest whose guest_memfd is closed faults", guest_of_closed_gmem },
};

static void run_fact(size_t i)
{
    kvm = facts_open();
    vm = with(kvm, KVM_CREATE_VM, 0);
    other_vm = cpu = gmem = -1;
    failed = vm < 0;
    missing = NULL;
    facts[i].check();
    printf("%s %zu %s%s%s\n", failed ? "not ok" : "ok", i + 1, facts[i].claim,
           missing ? " # SKIP without " : "", missing ?: "");
    fflush(stdout);
    close(cpu);
    close(gmem);
    close(other_vm);
    close(vm);
    unmap_ram();
    facts_close(kvm);
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("1..%zu\n", NUM(facts));
    for (size_t i = 0; i < NUM(facts); i++) {
        run_fact(i);
    }
    return 0;
}
