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
#include "qemu/units.h"
#include "system/kvm_int.h"
#include "system/realm-kvm.h"
#include "accel/kvm/realm/realm-kvm.h"
#include "target/arm/rmm/rmm-internal.h"
#include "internal.h"

#define BASE        (1 * GiB)
#define RAM_SIZE    (4 * MiB)
#define IPA_BITS    33
#define SHARED_BIT  BIT_ULL(IPA_BITS - 1)
#define NOWHERE     (2 * GiB)           /* no slot is there */
#define IMAGE_BYTE  0x5a

/* A VM made by hand; and another on the same kernel. */
static struct Host {
    KVMState state;
    int gmem, gic, cpus[2];
    size_t page_size;
    uint8_t *ram;               /* maps @gmem */
    uint8_t *source;            /* of images */
} host, other;

static int call(int fd, unsigned long request, void *arg)
{
    return double_ioctl(fd, request, arg);
}

static int vm_call(unsigned long request, void *arg)
{
    return call(host.state.vmfd, request, arg);
}

/* Map all of RAM, aligned to the largest page of a host. */
static void *map_ram(int fd)
{
    size_t reserved = RAM_SIZE + 64 * KiB;
    uint8_t *all = mmap(NULL, reserved, PROT_NONE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint8_t *p = QEMU_ALIGN_PTR_UP(all, 64 * KiB);

    g_assert_true(all != MAP_FAILED);
    g_assert_true(mmap(p, RAM_SIZE, PROT_READ | PROT_WRITE,
                       MAP_SHARED | MAP_FIXED, fd, 0) == p);
    if (p != all) {
        munmap(all, p - all);
    }
    munmap(p + RAM_SIZE, all + reserved - (p + RAM_SIZE));
    return p;
}

static void start_kernel(const char *flavour, size_t page_size)
{
    DoubleOptions options = { flavour, page_size, .migration = true };

    double_start(&options);
    double_probing(true);
}

static void add_vm(size_t page_size)
{
    const DoubleFlavour *f = the_double->flavour;

    host = (struct Host) { .gmem = -1, .gic = -1, .cpus = { -1, -1 },
                           .page_size = page_size };
    host.state.fd = double_open(DOUBLE_SYSTEM, NULL, NULL);
    host.state.vmfd = call(host.state.fd, KVM_CREATE_VM,
                           (void *)(uintptr_t)(f->vm_type | IPA_BITS));
    g_assert_cmpint(host.state.vmfd, >=, 0);
    kvm_state = &host.state;
    host.source = qemu_memalign(64 * KiB, 64 * KiB);
    memset(host.source, IMAGE_BYTE, 64 * KiB);
}

static void create_vm(const char *flavour, size_t page_size)
{
    start_kernel(flavour, page_size);
    add_vm(page_size);
}

static int create_gmem(uint64_t size, uint64_t flags)
{
    struct kvm_create_guest_memfd args = { .size = size, .flags = flags };

    return vm_call(KVM_CREATE_GUEST_MEMFD, &args);
}

static int set_slot(void *ram, uint64_t offset, uint64_t size)
{
    struct kvm_userspace_memory_region2 region = {
        .flags = KVM_MEM_GUEST_MEMFD, .guest_phys_addr = BASE,
        .memory_size = size, .userspace_addr = (uintptr_t)ram,
        .guest_memfd = host.gmem, .guest_memfd_offset = offset,
    };

    return vm_call(KVM_SET_USER_MEMORY_REGION2, &region);
}

static void add_ram(void)
{
    host.gmem = create_gmem(RAM_SIZE, GUEST_MEMFD_FLAG_MMAP |
                                      GUEST_MEMFD_FLAG_INIT_SHARED);
    g_assert_cmpint(host.gmem, >=, 0);
    host.ram = map_ram(host.gmem);
    g_assert_cmpint(set_slot(host.ram, 0, RAM_SIZE), ==, 0);
}

static void add_gic(bool initialize)
{
    struct kvm_create_device device = { .type = KVM_DEV_TYPE_ARM_VGIC_V3 };
    struct kvm_device_attr init = { .group = KVM_DEV_ARM_VGIC_GRP_CTRL,
                                    .attr = KVM_DEV_ARM_VGIC_CTRL_INIT };

    if (host.gic < 0) {
        g_assert_cmpint(vm_call(KVM_CREATE_DEVICE, &device), ==, 0);
        host.gic = device.fd;
    }
    if (initialize) {
        g_assert_cmpint(call(host.gic, KVM_SET_DEVICE_ATTR, &init), ==, 0);
    }
}

static void add_vcpus(uint32_t features)
{
    struct kvm_vcpu_init init = { .target = KVM_ARM_TARGET_GENERIC_V8 };

    for (size_t i = 0; i < ARRAY_SIZE(host.cpus); i++) {
        host.cpus[i] = vm_call(KVM_CREATE_VCPU, (void *)(uintptr_t)i);
        init.features[0] = features | (i ? BIT(KVM_ARM_VCPU_POWER_OFF) : 0);
        g_assert_cmpint(call(host.cpus[i], KVM_ARM_VCPU_INIT, &init), ==, 0);
    }
}

/* All but the first KVM_RUN. */
static void build(size_t page_size)
{
    create_vm(NULL, page_size);
    add_ram();
    add_vcpus(BIT(KVM_ARM_VCPU_PSCI_0_2));
    add_gic(true);
}

static void close_host(void)
{
    kvm_state = NULL;
    for (size_t i = 0; i < ARRAY_SIZE(host.cpus); i++) {
        close(host.cpus[i]);
    }
    close(host.gic);
    close(host.gmem);
    close(host.state.vmfd);
    close(host.state.fd);
    if (host.ram) {
        munmap(host.ram, RAM_SIZE);
    }
    qemu_vfree(host.source);
}

static void end(void)
{
    close_host();
    double_stop();
}

/* ---- Calls ---- */

static int set_private(uint64_t gpa, uint64_t size, bool private)
{
    struct kvm_memory_attributes2 args = {
        .offset = gpa - BASE, .size = size,
        .attributes = private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0,
    };

    return call(host.gmem, KVM_SET_MEMORY_ATTRIBUTES2, &args);
}

static int populate(uint64_t base, uint64_t size, const void *source)
{
    struct kvm_arm_rmi_populate args = {
        base, size, (uintptr_t)source,
    };

    return vm_call(KVM_ARM_RMI_POPULATE, &args);
}

static int check(unsigned extension)
{
    return vm_call(KVM_CHECK_EXTENSION, (void *)(uintptr_t)extension);
}

static DoubleVcpu *vcpu(unsigned n)
{
    return double_file(host.cpus[n])->object;
}

static DoubleVm *vm(void)
{
    return double_file(host.state.vmfd)->vm;
}

static struct kvm_run *run_of(unsigned n)
{
    return vcpu(n)->kvm_run;
}

static int run(unsigned n)
{
    return call(host.cpus[n], KVM_RUN, NULL);
}

/* The guest on vCPU 0 is about to do @action, in one KVM_RUN or more. */
static int act(GuestAction *action)
{
    vcpu(0)->action = action;
    return run(0);
}

static GuestAction access_to(uint64_t ipa, void *buf, bool write)
{
    return (GuestAction) { GUEST_ACCESS, .ipa = ipa, .size = 8, .buf = buf,
                           .write = write };
}

/* ... it ends within this KVM_RUN, in DOUBLE_DONE. */
static void does(GuestAction *action)
{
    g_assert_cmpint(act(action), ==, -EINTR);
    g_assert_true(action->over);
    g_assert_cmpint(action->outcome, ==, DOUBLE_DONE);
}

static uint64_t reads(uint64_t ipa)
{
    uint64_t value = 0;
    GuestAction a = access_to(ipa, &value, false);

    does(&a);
    return value;
}

static void writes(uint64_t ipa, uint64_t value)
{
    GuestAction a = access_to(ipa, &value, true);

    does(&a);
}

/* ...it ends with KVM_EXIT_MEMORY_FAULT of this range. */
static void faults(int ret, uint64_t gpa, uint64_t size, bool private)
{
    const struct kvm_run *r = run_of(0);

    g_assert_cmpint(ret, ==, -EFAULT);
    g_assert_cmpuint(r->exit_reason, ==, KVM_EXIT_MEMORY_FAULT);
    g_assert_cmphex(r->memory_fault.gpa, ==, gpa);
    g_assert_cmphex(r->memory_fault.size, ==, size);
    g_assert_cmphex(r->memory_fault.flags, ==,
                    private ? KVM_MEMORY_EXIT_FLAG_PRIVATE : 0);
}

/* The Realm runs, and its RAM is private. */
static void start_guest(size_t page_size)
{
    build(page_size);
    g_assert_cmpint(set_private(BASE, RAM_SIZE, true), ==, 0);
    g_assert_cmpint(populate(BASE, page_size, host.source), ==, 0);
    g_assert_cmpint(run(0), ==, -EINTR);
}

/* The level of stage 2 at which @ipa is mapped, or -1. */
static int level_of(uint64_t ipa)
{
    uint64_t out[4];

    g_assert_cmphex(RMI_OUT(out, RMI_RTT_READ_ENTRY, vm()->rd, ipa, 3), ==,
                    0);
    return out[1] == RMI_ASSIGNED ? (int)out[0] : -1;
}

/* True if a process that does this is killed by a signal. */
static bool is_killed_reading(const uint8_t *p)
{
    pid_t child = fork();
    int status;

    if (child == 0) {
        struct rlimit none = { 0 };

        setrlimit(RLIMIT_CORE, &none);
        signal(SIGSEGV, SIG_DFL);
        signal(SIGBUS, SIG_DFL);
        _exit(*(volatile const uint8_t *)p & 0);
    }
    g_assert_cmpint(waitpid(child, &status, 0), ==, child);
    return WIFSIGNALED(status);
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
    end();
}

/* Who reads and writes for KVM uses userspace_addr. */
static void test_slot_mapping(void)
{
    uint8_t *other;

    create_vm(NULL, 4096);
    host.gmem = create_gmem(RAM_SIZE, GUEST_MEMFD_FLAG_MMAP |
                                      GUEST_MEMFD_FLAG_INIT_SHARED);
    host.ram = map_ram(host.gmem);
    other = qemu_memalign(4096, RAM_SIZE);
    g_assert_cmpint(set_slot(other, 0, RAM_SIZE), ==, -EINVAL);
    g_assert_cmpint(set_slot(host.ram + 4096, 0, 4096), ==, -EINVAL);
    g_assert_cmpint(set_slot(host.ram, 4096, 4096), ==, -EINVAL);
    g_assert_cmpint(set_slot(host.ram, 0, RAM_SIZE), ==, 0);
    qemu_vfree(other);
    end();
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
    end();
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
    end();
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
    end();
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
    end();
}

/* gmem: default attributes are private without INIT_SHARED */
static void test_initially_private(void)
{
    create_vm(NULL, 4096);
    host.gmem = create_gmem(RAM_SIZE, GUEST_MEMFD_FLAG_MMAP);
    host.ram = map_ram(host.gmem);
    g_assert_cmpint(set_slot(host.ram, 0, RAM_SIZE), ==, 0);
    g_assert_cmpint(populate(BASE, 4096, host.source), ==, 0);
    end();
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
    end();
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
    end();
}

/* What was private is given back by the RMM, which wipes it. */
static void test_to_shared_is_wiped(void)
{
    uint64_t page = BASE + 0x20000;

    start_guest(4096);
    writes(page, 0x1234);
    g_assert_cmpint(set_private(page, 4096, false), ==, 0);
    g_assert_cmphex(ldq_le_p(host.ram + 0x20000), ==, 0);
    end();
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
    end();
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
    end();
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
    end();
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
    end();
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
    end();
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
    end();
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
    end();
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
    end();
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
    end();
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
    end();
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
    end();
}

static void *run_1(void *opaque)
{
    return GINT_TO_POINTER(run(1));
}

/* vCPU 1 is in KVM_RUN. */
static bool is_in(void)
{
    bool is;

    qemu_mutex_lock(&vm()->lock);
    is = vcpu(1)->running;
    qemu_mutex_unlock(&vm()->lock);
    return is;
}

static QemuThread run_in_thread(void)
{
    QemuThread thread;

    qemu_thread_create(&thread, "vcpu", run_1, NULL, QEMU_THREAD_JOINABLE);
    while (!is_in()) {
        g_thread_yield();
    }
    return thread;
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
    end();
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
    end();
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
    end();
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
    end();
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
    end();
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
    end();
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
    end();
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
    end();
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
    end();
}

/* ---- Blocks ---- */

#define BLOCK   (2 * MiB)

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
    end();
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
    end();
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
    end();
}

/* ---- Memory goes in a session: a row each of "Memory that the host takes
 * back" in docs/specs/kvm-arm-realm-migration.rst ---- */

typedef struct Blob {
    uint64_t size;
    uint8_t bytes[MIG_MAX_BUNDLE];
} Blob;

static struct {
    Blob nonce, offer, ready, start, receipt, any;
} wire;

static void swap_hosts(void)
{
    struct Host here = host;

    host = other;
    other = here;
    kvm_state = &host.state;
}

static struct kvm_cc_migrate last;      /* the argument of the last step */

static int step(uint32_t n, uint32_t part, Blob *blob, const Blob *peer)
{
    last = (struct kvm_cc_migrate) {
        .step = n, .part = part, .blob = blob ? (uintptr_t)blob->bytes : 0,
        .blob_size = blob ? blob->size : 0,
        .peer = peer ? (uintptr_t)peer->bytes : 0,
        .peer_size = peer ? peer->size : 0,
    };
    return vm_call(KVM_CC_MIGRATE, &last);
}

static int gives(uint32_t n, uint32_t part, Blob *blob, const Blob *peer)
{
    int ret;

    blob->size = sizeof(blob->bytes);
    ret = step(n, part, blob, peer);
    blob->size = ret ? 0 : last.blob_size;
    return ret;
}

/* What the source gives, the destination imports. */
static void brings(uint32_t n, uint32_t part, Blob *blob, const Blob *peer)
{
    g_assert_cmpint(gives(n, part, blob, peer), ==, 0);
    if (blob->size) {
        swap_hosts();
        g_assert_cmpint(step(KVM_CC_IMPORT, 0, blob, NULL), ==, 0);
        swap_hosts();
    }
}

static void bring_pages(void)
{
    uint64_t list[] = { BASE };
    struct kvm_cc_run runs[1];
    struct kvm_cc_owed owed = { .base = BASE, .size = RAM_SIZE,
                                .runs = (uintptr_t)runs,
                                .num_runs = ARRAY_SIZE(runs) };
    struct kvm_cc_pages args = {
        .list = (uintptr_t)list, .count = 1,
        .blob = (uintptr_t)wire.any.bytes,
        .blob_size = sizeof(wire.any.bytes),
    };
    struct kvm_cc_pages import = { .blob = args.blob };

    g_assert_cmpint(vm_call(KVM_CC_OWED_PAGES, &owed), ==, 0);
    g_assert_cmpuint(owed.num_runs, ==, 1);
    g_assert_cmphex(runs[0].base, ==, BASE);
    g_assert_cmpint(vm_call(KVM_CC_EXPORT_PAGES, &args), ==, 0);
    g_assert_cmpuint(args.pages, ==, 1);
    import.blob_size = args.blob_size;
    swap_hosts();
    g_assert_cmpint(vm_call(KVM_CC_IMPORT_PAGES, &import), ==, 0);
    swap_hosts();
}

static void bring_state(void)
{
    uint32_t part = 0;

    do {
        brings(KVM_CC_STATE, part++, &wire.any, NULL);
    } while (wire.any.size);
}

static void enable_migration(void)
{
    struct kvm_enable_cap cap = { .cap = KVM_CAP_CC_MIGRATION };

    g_assert_cmpint(vm_call(KVM_ENABLE_CAP, &cap), ==, 0);
}

static void complete_vm(void)
{
    enable_migration();
    add_ram();
    add_vcpus(BIT(KVM_ARM_VCPU_PSCI_0_2));
    add_gic(true);
    g_assert_cmpint(set_private(BASE, RAM_SIZE, true), ==, 0);
}

typedef enum Stage {
    AT_OFFER, AT_ACCEPT, AT_BEGIN, AT_PAGES, AT_PAUSE, AT_READY, AT_START,
    AT_IMPORTED, AT_COMMIT, AT_FINISH,
} Stage;

/* Both sides, of which the source is the host, do one stage. */
static void do_stage(Stage stage)
{
    switch (stage) {
    case AT_OFFER:
        g_assert_cmpint(gives(KVM_CC_PREPARE, 0, &wire.nonce, NULL), ==, 0);
        swap_hosts();
        g_assert_cmpint(gives(KVM_CC_OFFER, 0, &wire.offer, &wire.nonce), ==,
                        0);
        swap_hosts();
        break;
    case AT_ACCEPT:
        g_assert_cmpint(step(KVM_CC_ACCEPT, 0, &wire.offer, NULL), ==, 0);
        break;
    case AT_BEGIN:
        brings(KVM_CC_BEGIN, 0, &wire.any, NULL);
        break;
    case AT_PAGES:
        bring_pages();
        brings(KVM_CC_EPOCH, 0, &wire.any, NULL);
        break;
    case AT_PAUSE:
        g_assert_cmpint(step(KVM_CC_PAUSE, 0, NULL, NULL), ==, 0);
        break;
    case AT_READY:
        bring_state();
        swap_hosts();
        do {
            g_assert_cmpint(gives(KVM_CC_READY, 0, &wire.ready, NULL), ==, 0);
        } while (last.flags & KVM_CC_MORE);
        swap_hosts();
        break;
    case AT_START:
        g_assert_cmpint(gives(KVM_CC_START, 0, &wire.start, &wire.ready), ==,
                        0);
        break;
    case AT_IMPORTED:
        swap_hosts();
        g_assert_cmpint(step(KVM_CC_IMPORT, 0, &wire.start, NULL), ==, 0);
        swap_hosts();
        break;
    case AT_COMMIT:
        swap_hosts();
        do {
            g_assert_cmpint(step(KVM_CC_COMMIT, 0, NULL, NULL), ==, 0);
        } while (last.flags & KVM_CC_MORE);
        g_assert_cmpint(gives(KVM_CC_RECEIPT, 0, &wire.receipt, NULL), ==, 0);
        swap_hosts();
        break;
    case AT_FINISH:
        g_assert_cmpint(step(KVM_CC_FINISH, 0, &wire.receipt, NULL), ==, 0);
        break;
    }
}

static void do_stages(Stage first, Stage end_stage)
{
    for (Stage s = first; s <= end_stage; s++) {
        do_stage(s);
    }
}

static void start_pair(Stage stage)
{
    start_kernel(NULL, 4096);
    add_vm(4096);
    complete_vm();
    swap_hosts();
    add_vm(4096);
    complete_vm();
    g_assert_cmpint(populate(BASE, 4096, host.source), ==, 0);
    g_assert_cmpint(run(0), ==, -EINTR);
    do_stages(AT_OFFER, stage);
}

static void end_pair(void)
{
    close_host();
    swap_hosts();
    close_host();
    double_stop();
    other = (struct Host) { 0 };
}

/* The host's guest_memfd goes, whoever holds it. */
static void lose_memory(void)
{
    close(host.gmem);
    munmap(host.ram, RAM_SIZE);
    host.gmem = -1;
    host.ram = NULL;
    check(0);                   /* the double notices at the next call */
    g_assert_cmpuint(vm()->gmems->len, ==, 0);
}

static void fails(int ret, int error, enum kvm_cc_cause cause)
{
    g_assert_cmpint(ret, ==, -error);
    g_assert_cmpuint(last.cause, ==, cause);
}

static void test_lost_in_exporting(void)
{
    static const Stage stages[] = { AT_ACCEPT, AT_BEGIN, AT_PAGES };

    for (size_t i = 0; i < ARRAY_SIZE(stages); i++) {
        start_pair(stages[i]);
        lose_memory();
        if (stages[i] < AT_BEGIN) {
            do_stage(AT_BEGIN);
        }
        if (stages[i] < AT_PAGES) {
            brings(KVM_CC_EPOCH, 0, &wire.any, NULL);
        }
        do_stages(AT_PAUSE, AT_FINISH);
        end_pair();
    }
}

static void test_lost_in_paused(void)
{
    GuestAction a;
    uint64_t value;

    start_pair(AT_PAUSE);
    lose_memory();
    fails(gives(KVM_CC_STATE, 0, &wire.any, NULL), EPROTO,
          KVM_CC_CAUSE_LOST);
    fails(gives(KVM_CC_EPOCH, 1, &wire.any, NULL), EPROTO,
          KVM_CC_CAUSE_LOST);
    g_assert_cmpint(step(KVM_CC_ABORT, 0, NULL, NULL), ==, 0);
    a = access_to(BASE, &value, false);
    faults(act(&a), BASE, 4096, true);
    end_pair();
}

static void test_lost_in_sealed(void)
{
    start_pair(AT_START);
    lose_memory();
    g_assert_cmpint(gives(KVM_CC_START, 0, &wire.any, NULL), ==, 0);
    g_assert_cmpmem(wire.any.bytes, wire.any.size, wire.start.bytes,
                    wire.start.size);
    do_stages(AT_IMPORTED, AT_FINISH);
    end_pair();
}

static void test_lost_in_gone(void)
{
    start_pair(AT_FINISH);
    lose_memory();
    g_assert_cmpint(step(KVM_CC_FINISH, 0, &wire.receipt, NULL), ==, 0);
    end_pair();
}

/* A page is missing; what the session can still do is to be given up. */
static void test_lost_in_importing(void)
{
    static const Stage stages[] = { AT_OFFER, AT_BEGIN, AT_PAGES };

    for (size_t i = 0; i < ARRAY_SIZE(stages); i++) {
        start_pair(stages[i]);
        swap_hosts();
        lose_memory();
        g_assert_cmpint(gives(KVM_CC_GIVE_UP, 0, &wire.any, NULL), ==, 0);
        swap_hosts();
        end_pair();
    }
    start_pair(AT_PAUSE);
    bring_state();
    swap_hosts();
    lose_memory();
    fails(gives(KVM_CC_READY, 0, &wire.ready, NULL), EPROTO,
          KVM_CC_CAUSE_MISSING);
    swap_hosts();
    end_pair();
}

static void test_lost_in_imported(void)
{
    start_pair(AT_IMPORTED);
    swap_hosts();
    lose_memory();
    fails(step(KVM_CC_COMMIT, 0, NULL, NULL), EBADMSG, KVM_CC_CAUSE_LOST);
    g_assert_cmpint(run(0), ==, -EPERM);
    g_assert_cmpint(gives(KVM_CC_GIVE_UP, 0, &wire.any, NULL), ==, 0);
    swap_hosts();
    g_assert_cmpint(step(KVM_CC_RESUME, 0, &wire.any, NULL), ==, 0);
    g_assert_cmphex(reads(BASE), ==, 0x0101010101010101 * IMAGE_BYTE);
    end_pair();
}

static void test_lost_after_commit(void)
{
    uint64_t value;
    GuestAction a = access_to(BASE, &value, false);

    start_pair(AT_COMMIT);
    swap_hosts();
    g_assert_cmphex(reads(BASE), ==, 0x0101010101010101 * IMAGE_BYTE);
    lose_memory();
    faults(act(&a), BASE, 4096, true);
    swap_hosts();
    end_pair();
}

/* "From BEGIN on KVM maps pages only, and folds no tables" */
static void test_no_blocks_in_a_session(void)
{
    start_pair(AT_ACCEPT);
    g_assert_cmphex(reads(BASE + BLOCK), ==, 0);
    g_assert_cmpint(level_of(BASE + BLOCK), ==, 2);
    end_pair();
    start_pair(AT_BEGIN);
    g_assert_cmphex(reads(BASE + BLOCK), ==, 0);
    g_assert_cmpint(level_of(BASE + BLOCK), ==, 3);
    g_assert_cmpint(level_of(BASE + BLOCK + 4096), ==, -1);
    g_assert_cmpint(step(KVM_CC_ABORT, 0, NULL, NULL), ==, 0);
    g_assert_cmphex(reads(BASE + BLOCK + 4096), ==, 0);
    g_assert_cmpint(level_of(BASE + BLOCK), ==, 2);
    end_pair();
}

static void owes_one_page(uint64_t base)
{
    struct kvm_cc_run runs[2];
    struct kvm_cc_owed owed = { .base = base, .size = BLOCK,
                                .runs = (uintptr_t)runs,
                                .num_runs = ARRAY_SIZE(runs) };

    g_assert_cmpint(vm_call(KVM_CC_OWED_PAGES, &owed), ==, 0);
    g_assert_cmpuint(owed.num_runs, ==, 1);
    g_assert_cmphex(runs[0].base, ==, base);
    g_assert_cmphex(runs[0].size, ==, 4096);
}

/* "Reads which private pages of [base, base + size) are owed": of any range */
static void test_owed_in_any_order(void)
{
    start_pair(AT_BEGIN);
    g_assert_cmphex(reads(BASE + BLOCK), ==, 0);
    /* Less than a table: the RMM comes to the upper one in pieces */
    the_double->rmm->mig_entries = 100;
    owes_one_page(BASE + BLOCK);
    owes_one_page(BASE);
    end_pair();
}

/* "GIVE_UP still works", "RESUME in a dead VM is EIO and changes nothing" */
static void test_dead_in_a_session(void)
{
    start_pair(AT_IMPORTED);
    swap_hosts();
    vm_kill(vm());
    g_assert_cmpint(step(KVM_CC_COMMIT, 0, NULL, NULL), ==, -EIO);
    g_assert_cmpint(gives(KVM_CC_GIVE_UP, 0, &wire.any, NULL), ==, 0);
    swap_hosts();
    vm_kill(vm());
    g_assert_cmpint(step(KVM_CC_RESUME, 0, &wire.any, NULL), ==, -EIO);
    g_assert_cmpint(vm()->session, ==, SESSION_SEALED);
    end_pair();
}

/* "Every ioctl of a dead VM is EIO ... with one exception" */
static void test_dead_does_nothing_else(void)
{
    static const unsigned long of_vm[] = {
        KVM_CHECK_EXTENSION, KVM_ENABLE_CAP, KVM_CREATE_VCPU,
        KVM_CREATE_DEVICE, KVM_CREATE_GUEST_MEMFD, KVM_ARM_MTE_COPY_TAGS,
        KVM_SET_USER_MEMORY_REGION2, KVM_ARM_RMI_POPULATE, KVM_GET_DIRTY_LOG,
        KVM_CLEAR_DIRTY_LOG, KVM_CC_MIG_INFO, KVM_CC_OWED_PAGES,
        KVM_CC_EXPORT_PAGES, KVM_CC_IMPORT_PAGES,
    };
    static const unsigned long of_vcpu[] = {
        KVM_ARM_VCPU_INIT, KVM_SET_ONE_REG, KVM_GET_ONE_REG,
        KVM_SET_MP_STATE, KVM_RUN,
    };
    struct kvm_cc_pages again = {
        .list = (uintptr_t)wire.any.bytes, .count = 1,
        .blob = (uintptr_t)wire.any.bytes,
        .blob_size = sizeof(wire.any.bytes),
    };

    start_pair(AT_PAGES);
    vm_kill(vm());
    for (size_t i = 0; i < ARRAY_SIZE(of_vm); i++) {
        uint64_t arg[32] = { 0 };

        g_assert_cmpint(vm_call(of_vm[i], arg), ==, -EIO);
    }
    for (size_t i = 0; i < ARRAY_SIZE(of_vcpu); i++) {
        uint64_t arg[32] = { 0 };

        g_assert_cmpint(call(host.cpus[0], of_vcpu[i], arg), ==, -EIO);
    }
    for (uint32_t n = KVM_CC_PREPARE; n <= KVM_CC_RECEIPT; n++) {
        if (n <= KVM_CC_RESUME || n >= KVM_CC_OFFER) {
            g_assert_cmpint(step(n, 0, NULL, NULL), ==, -EIO);
        }
    }
    g_assert_cmpint(vm_call(KVM_CC_EXPORT_PAGES, &again), ==, -EIO);
    g_assert_cmpint(gives(KVM_CC_GIVE_UP, 0, &wire.any, NULL), ==, -EPERM);
    g_assert_cmpint(vm()->session, ==, SESSION_EXPORTING);
    end_pair();
}

/* ---- vCPUs that come: "Which vCPUs are on the REC knows" ---- */

/* vCPU 1, which is in KVM_RUN, sleeps there. */
static void wait_until_off(void)
{
    bool off, is;

    do {
        g_thread_yield();
        qemu_mutex_lock(&vm()->lock);
        off = vcpu(1)->power_off;
        is = vcpu(1)->running;
        qemu_mutex_unlock(&vm()->lock);
    } while (is && !off);
    g_assert_true(off);
}

static void test_off_stays_off(void)
{
    GuestAction on = { GUEST_CPU_ON, .target = 1, .value = BASE };
    struct kvm_mp_state runnable = { .mp_state = KVM_MP_STATE_RUNNABLE };
    uint64_t value = 0x77;
    GuestAction a = access_to(BASE, &value, true);
    QemuThread thread;
    int ret;

    start_pair(AT_COMMIT);
    swap_hosts();
    g_assert_cmpint(call(host.cpus[1], KVM_SET_MP_STATE, &runnable), ==, 0);
    vcpu(1)->action = &a;
    thread = run_in_thread();
    wait_until_off();
    g_assert_false(a.over);
    does(&on);
    ret = GPOINTER_TO_INT(qemu_thread_join(&thread));
    while (ret == -EAGAIN) {    /* as in test_off_sleeps_until_cpu_on */
        ret = run(1);
    }
    g_assert_cmpint(ret, ==, -EINTR);
    g_assert_true(a.over);
    g_assert_cmphex(reads(BASE), ==, 0x77);
    swap_hosts();
    end_pair();
}

static void test_on_stays_on(void)
{
    GuestAction on = { GUEST_CPU_ON, .target = 1, .value = BASE };
    struct kvm_mp_state stopped = { .mp_state = KVM_MP_STATE_STOPPED };

    start_pair(AT_OFFER);
    does(&on);
    do_stages(AT_ACCEPT, AT_COMMIT);
    swap_hosts();
    g_assert_cmpint(call(host.cpus[1], KVM_SET_MP_STATE, &stopped), ==, 0);
    g_assert_cmpint(run(1), ==, -EINTR);
    swap_hosts();
    end_pair();
}

/* ---- Answers that come: "Exits that wait for an answer" ---- */

static int answer_register(unsigned long request, unsigned n, uint64_t *value)
{
    struct kvm_one_reg reg = {
        .id = KVM_REG_ARM_REC_ANSWER_REG(n), .addr = (uintptr_t)value,
    };

    return call(host.cpus[0], request, &reg);
}

/* The source, which is paused, has @answer; the destination gets it. */
static void carry_answer(uint64_t answer[32])
{
    for (unsigned n = 0; n < 32; n++) {
        g_assert_cmpint(answer_register(KVM_GET_ONE_REG, n, &answer[n]), ==,
                        0);
    }
    swap_hosts();
    for (unsigned n = 32; n-- > 0; ) {
        g_assert_cmpint(answer_register(KVM_SET_ONE_REG, n, &answer[n]), ==,
                        0);
    }
    swap_hosts();
}

static void test_host_call_comes(void)
{
    const uint64_t untouched = 0x0101010101010101 * IMAGE_BYTE;
    GuestAction a = { GUEST_HOST_CALL, .ipa = BASE + 0x100,
                      .at_exit = double_kick };
    uint64_t answer[32];

    start_pair(AT_BEGIN);
    g_assert_cmpint(act(&a), ==, -EINTR);
    g_assert_false(a.over);
    do_stages(AT_PAGES, AT_PAUSE);
    carry_answer(answer);
    g_assert_cmphex(answer[0], ==, KVM_ARM_REC_ANSWER_HOST_CALL);
    g_assert_cmphex(answer[1], ==, UINT64_MAX);     /* SMCCC: NOT_SUPPORTED */
    g_assert_cmphex(answer[2], ==, 0);
    g_assert_cmphex(answer[31], ==, untouched);
    do_stages(AT_READY, AT_COMMIT);
    a.at_exit = NULL;
    swap_hosts();
    does(&a);
    g_assert_cmphex(reads(BASE + 0x100), ==, untouched);
    for (unsigned n = 1; n < 32; n++) {
        g_assert_cmphex(reads(BASE + 0x100 + 8 * n), ==, answer[n]);
    }
    swap_hosts();
    end_pair();
}

static void test_abort_comes(void)
{
    uint64_t value, answer[32];
    GuestAction a = access_to(NOWHERE | SHARED_BIT, &value, false);

    start_pair(AT_PAGES);
    g_assert_cmpint(act(&a), ==, 0);
    g_assert_cmpuint(run_of(0)->exit_reason, ==, KVM_EXIT_MMIO);
    vcpu(0)->mmio_pending = false;
    vcpu(0)->run->enter.flags = RMI_ENTER_INJECT_SEA;
    do_stage(AT_PAUSE);
    carry_answer(answer);
    g_assert_cmphex(answer[0], ==, KVM_ARM_REC_ANSWER_ABORT);
    do_stages(AT_READY, AT_COMMIT);
    swap_hosts();
    g_assert_cmpint(act(&a), ==, -EINTR);
    g_assert_true(a.over);
    g_assert_cmpint(a.outcome, ==, DOUBLE_ABORT);
    swap_hosts();
    end_pair();
}

/* "the first KVM_RUN of that vCPU fail with EINVAL, and is dropped" */
static void test_answer_is_not_taken(void)
{
    uint64_t flags[] = { KVM_ARM_REC_ANSWER_MMIO, KVM_ARM_REC_ANSWER_ABORT };

    for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
        start_pair(AT_PAUSE);
        swap_hosts();
        g_assert_cmpint(answer_register(KVM_SET_ONE_REG, 0, &flags[i]), ==, 0);
        swap_hosts();
        do_stages(AT_READY, AT_COMMIT);
        swap_hosts();
        g_assert_cmpint(run(0), ==, -EINVAL);
        g_assert_cmphex(reads(BASE), ==, 0x0101010101010101 * IMAGE_BYTE);
        swap_hosts();
        end_pair();
    }
}

/* "They are in KVM_GET_REG_LIST of a vCPU whose VM has [it] enabled" */
static void test_answers_are_listed(void)
{
    g_autofree struct kvm_reg_list *list = g_malloc(33 * sizeof(uint64_t));

    build(4096);
    list->n = 32;
    g_assert_cmpint(call(host.cpus[0], KVM_GET_REG_LIST, list), ==, 0);
    g_assert_cmpuint(list->n, ==, 0);
    end();
    start_pair(AT_OFFER);
    list->n = 31;
    g_assert_cmpint(call(host.cpus[0], KVM_GET_REG_LIST, list), ==, -E2BIG);
    g_assert_cmpuint(list->n, ==, 32);
    g_assert_cmpint(call(host.cpus[0], KVM_GET_REG_LIST, list), ==, 0);
    for (unsigned n = 0; n < 32; n++) {
        g_assert_cmphex(list->reg[n], ==, 0x6030000000180000 + n);
    }
    end_pair();
}

/* ---- Bundles that are refused: "Importing", "KVM_CC_IMPORT_PAGES" ---- */

/* What KVM reads of a bundle; there is nothing else in it. */
static struct kvm_cc_pages forge(unsigned stream, const uint64_t *ipas,
                                 uint32_t n)
{
    uint8_t *b = wire.any.bytes;

    memset(b, 0, MIG_MAX_BUNDLE);
    b[6] = MIG_TYPE_MEMORY;
    stw_le_p(b + 0x0c, stream);
    stl_le_p(b + 0x24, n);
    for (uint32_t i = 0; i < n; i++) {
        stq_le_p(b + 0x30 + 8 * i, ipas[i]);
    }
    return (struct kvm_cc_pages) {
        .blob = (uintptr_t)b, .blob_size = 0x30 + n * (8 + 4096) + 16,
    };
}

static unsigned long delegated(void)
{
    const DoubleGmem *gmem = g_ptr_array_index(vm()->gmems, 0);

    return bitmap_count_one(gmem->delegated, RAM_SIZE / 4096);
}

/* "If it refuses, take back what was delegated in this step" */
static void test_refused_import_takes_back(void)
{
    const uint64_t ipas[] = { BASE + 0x5000, BASE + 0x6000 };
    struct kvm_cc_pages args;
    unsigned long before;

    start_pair(AT_IMPORTED);
    swap_hosts();
    before = delegated();
    args = forge(0, ipas, 2);
    g_assert_cmpint(vm_call(KVM_CC_IMPORT_PAGES, &args), ==, -EPROTO);
    g_assert_cmpuint(args.cause, ==, KVM_CC_CAUSE_OTHER);
    g_assert_cmpuint(delegated(), ==, before);
    swap_hosts();
    do_stages(AT_COMMIT, AT_FINISH);
    end_pair();
}

static void test_bad_bundle_is_the_end(void)
{
    static Blob again;
    const uint64_t ipas[] = { BASE + 0x5000, BASE + 0x6000 };
    struct kvm_cc_pages args;

    start_pair(AT_BEGIN);
    swap_hosts();
    args = forge(0, ipas, 2);
    g_assert_cmpint(vm_call(KVM_CC_IMPORT_PAGES, &args), ==, -EBADMSG);
    g_assert_cmpuint(args.cause, ==, KVM_CC_CAUSE_FORMAT);
    g_assert_cmpuint(args.bad.size, ==, 0);
    g_assert_cmpuint(delegated(), ==, 0);
    g_assert_cmpint(vm()->session, ==, SESSION_FAILED);
    g_assert_cmpint(vm_call(KVM_CC_IMPORT_PAGES, &args), ==, -EPERM);
    g_assert_cmpint(step(KVM_CC_COMMIT, 0, NULL, NULL), ==, -EPERM);
    g_assert_cmpint(run(0), ==, -EPERM);
    g_assert_cmpint(gives(KVM_CC_GIVE_UP, 0, &wire.any, NULL), ==, 0);
    g_assert_cmpint(gives(KVM_CC_GIVE_UP, 0, &again, NULL), ==, 0);
    g_assert_cmpmem(wire.any.bytes, wire.any.size, again.bytes, again.size);
    swap_hosts();
    end_pair();
}

/* "``bad`` is the first run of them in the order of the bundle" */
static void test_bad_pages(void)
{
    const uint64_t shared[] = { BASE, BASE + 0x4000, BASE + 0x5000,
                                BASE + 0x3000 };
    const uint64_t nowhere[] = { BASE + 0x3000, NOWHERE, NOWHERE + 0x1000,
                                 BASE + 0x6000, NOWHERE + 0x2000 };
    struct kvm_cc_pages args;

    start_pair(AT_BEGIN);
    swap_hosts();
    g_assert_cmpint(set_private(BASE + 0x3000, 0x3000, false), ==, 0);
    args = forge(0, shared, ARRAY_SIZE(shared));
    g_assert_cmpint(vm_call(KVM_CC_IMPORT_PAGES, &args), ==, -EADDRNOTAVAIL);
    g_assert_cmphex(args.bad.base, ==, BASE + 0x4000);
    g_assert_cmphex(args.bad.size, ==, 0x2000);
    args = forge(0, nowhere, ARRAY_SIZE(nowhere));
    g_assert_cmpint(vm_call(KVM_CC_IMPORT_PAGES, &args), ==, -EFAULT);
    g_assert_cmphex(args.bad.base, ==, NOWHERE);
    g_assert_cmphex(args.bad.size, ==, 0x2000);
    g_assert_cmpuint(delegated(), ==, 0);
    swap_hosts();
    do_stages(AT_PAGES, AT_FINISH);
    end_pair();
}

/* KVM has no mutex for such a stream: the monitor says what it is. */
static void test_unknown_stream(void)
{
    const uint64_t ipas[] = { NOWHERE };
    struct kvm_cc_pages args;

    start_pair(AT_BEGIN);
    swap_hosts();
    args = forge(MIG_MAX_STREAMS - 1, ipas, 1);
    g_assert_cmpint(vm_call(KVM_CC_IMPORT_PAGES, &args), ==, -EFAULT);
    args = forge(MIG_MAX_STREAMS, ipas, 1);
    g_assert_cmpint(vm_call(KVM_CC_IMPORT_PAGES, &args), ==, -EBADMSG);
    swap_hosts();
    end_pair();
}

/* ---- Exports of one number: "KVM serialises calls on the same stream" ---- */

static void *export_block(void *opaque)
{
    Blob *blob = opaque;
    uint64_t list[MIG_MAX_PAGES];
    struct kvm_cc_pages args = {
        .list = (uintptr_t)list, .count = MIG_MAX_PAGES,
        .blob = (uintptr_t)blob->bytes, .blob_size = sizeof(blob->bytes),
    };

    for (size_t i = 0; i < MIG_MAX_PAGES; i++) {
        list[i] = BASE + BLOCK + i * 4096;
    }
    g_assert_cmpint(vm_call(KVM_CC_EXPORT_PAGES, &args), ==, 0);
    g_assert_cmpuint(args.pages, ==, MIG_MAX_PAGES);
    blob->size = args.blob_size;
    return NULL;
}

static void test_one_number_twice(void)
{
    static Blob blobs[2];
    QemuThread threads[2];
    struct kvm_cc_run runs[1];
    struct kvm_cc_owed owed = { .base = BASE + BLOCK, .size = BLOCK,
                                .runs = (uintptr_t)runs, .num_runs = 1 };

    start_pair(AT_ACCEPT);
    reads(BASE + BLOCK);
    do_stage(AT_BEGIN);
    g_assert_cmpint(vm_call(KVM_CC_OWED_PAGES, &owed), ==, 0);
    g_assert_cmphex(runs[0].size, ==, BLOCK);
    for (size_t i = 0; i < 2; i++) {
        qemu_thread_create(&threads[i], "export", export_block, &blobs[i],
                           QEMU_THREAD_JOINABLE);
    }
    for (size_t i = 0; i < 2; i++) {
        qemu_thread_join(&threads[i]);
    }
    g_assert_cmpmem(blobs[0].bytes, blobs[0].size, blobs[1].bytes,
                    blobs[1].size);
    g_assert_cmpuint(vm()->next_number[0], ==, 1);
    end_pair();
}

/* ---- The ends of a session ---- */

static void test_abort(void)
{
    static const Stage stages[] = { AT_ACCEPT, AT_BEGIN, AT_PAGES, AT_PAUSE };

    for (size_t i = 0; i < ARRAY_SIZE(stages); i++) {
        start_pair(stages[i]);
        g_assert_cmpint(step(KVM_CC_ABORT, 0, NULL, NULL), ==, 0);
        g_assert_cmpuint(last.flags, ==, 0);
        g_assert_cmpint(vm()->session, ==, SESSION_NONE);
        g_assert_cmphex(reads(BASE), ==, 0x0101010101010101 * IMAGE_BYTE);
        g_assert_cmpint(gives(KVM_CC_PREPARE, 0, &wire.any, NULL), ==, 0);
        end_pair();
    }
}

static void test_commit(void)
{
    start_pair(AT_IMPORTED);
    swap_hosts();
    g_assert_cmpint(run(0), ==, -EPERM);
    g_assert_cmpint(step(KVM_CC_COMMIT, 0, NULL, NULL), ==, 0);
    g_assert_cmpuint(last.flags, ==, 0);
    g_assert_cmpint(vm()->session, ==, SESSION_NONE);
    g_assert_cmphex(reads(BASE), ==, 0x0101010101010101 * IMAGE_BYTE);
    swap_hosts();
    end_pair();
}

/* "ACCEPT and OFFER fail with EOPNOTSUPP for such a guest" */
static void test_tags_that_cannot_come(void)
{
    DoubleOptions options = { .migration = true, .mte = true,
                              .no_tags = true };
    struct kvm_enable_cap mte = { .cap = KVM_CAP_ARM_MTE };

    double_start(&options);
    double_probing(true);
    add_vm(4096);
    g_assert_cmpint(check(KVM_CAP_CC_MIGRATION), ==, KVM_CC_MIG_PRECOPY);
    g_assert_cmpint(vm_call(KVM_ENABLE_CAP, &mte), ==, 0);
    complete_vm();
    wire.nonce.size = KVM_CC_NONCE_SIZE;
    g_assert_cmpint(gives(KVM_CC_OFFER, 0, &wire.offer, &wire.nonce), ==,
                    -EOPNOTSUPP);
    g_assert_cmpint(vm()->state, ==, VM_NONE);
    g_assert_cmpint(run(0), ==, -EINTR);
    wire.any.size = 80;
    g_assert_cmpint(step(KVM_CC_ACCEPT, 0, &wire.any, NULL), ==, -EOPNOTSUPP);
    g_assert_cmpint(vm()->session, ==, SESSION_NONE);
    end();
}

/* ---- The dirty log of shared pages: "Dirty logs" in the same text ---- */

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
    end();
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
    end();
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
    end();
}

static void test_first_generation_of_rmi_has_fewer(void)
{
    create_vm("v12", 4096);
    g_assert_cmpint(check(KVM_CAP_SYNC_MMU), ==, 0);
    g_assert_cmpint(check(KVM_CAP_ONE_REG), ==, 0);
    g_assert_cmpint(check(247), ==, 1);
    end();
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
    end();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define TEST(claim, test) g_test_add_func("/double/kernel/" claim, test)
    TEST("guest_memfd_takes_known_flags_and_whole_pages", test_gmem_flags);
    TEST("a_slot_is_a_mapping_of_its_guest_memfd", test_slot_mapping);
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
    TEST("memory_that_goes_before_pause_ends_no_session",
         test_lost_in_exporting);
    TEST("memory_that_goes_in_paused_ends_the_session", test_lost_in_paused);
    TEST("memory_that_goes_in_sealed_changes_nothing", test_lost_in_sealed);
    TEST("memory_that_goes_in_gone_changes_nothing", test_lost_in_gone);
    TEST("memory_that_goes_while_importing_is_missing",
         test_lost_in_importing);
    TEST("memory_that_goes_when_all_is_imported_is_lost",
         test_lost_in_imported);
    TEST("memory_that_goes_after_commit_is_the_guests_loss",
         test_lost_after_commit);
    TEST("a_session_has_no_blocks", test_no_blocks_in_a_session);
    TEST("ranges_are_read_in_any_order", test_owed_in_any_order);
    TEST("a_vcpu_that_was_off_stays_off", test_off_stays_off);
    TEST("a_vcpu_that_was_on_stays_on", test_on_stays_on);
    TEST("the_answer_to_a_host_call_comes", test_host_call_comes);
    TEST("an_abort_comes", test_abort_comes);
    TEST("an_answer_that_nobody_waits_for_is_dropped",
         test_answer_is_not_taken);
    TEST("an_unknown_exit_is_the_end", test_unknown_exit);
    TEST("registers_of_answers_are_listed", test_answers_are_listed);
    TEST("a_refused_import_takes_back_what_it_delegated",
         test_refused_import_takes_back);
    TEST("a_bundle_that_is_none_is_the_end", test_bad_bundle_is_the_end);
    TEST("the_first_bad_pages_of_a_bundle", test_bad_pages);
    TEST("a_bundle_of_no_stream_goes_to_the_rmm", test_unknown_stream);
    TEST("two_exports_of_one_number", test_one_number_twice);
    TEST("abort_in_all_its_states", test_abort);
    TEST("commit", test_commit);
    TEST("no_migration_without_tags", test_tags_that_cannot_come);
    TEST("the_session_of_a_dead_vm_can_be_given_up", test_dead_in_a_session);
    TEST("a_dead_vm_does_nothing_else", test_dead_does_nothing_else);
    TEST("the_log_has_whole_pages_and_kvms_own_writes", test_log);
    TEST("the_log_needs_its_capability", test_log_needs_its_capability);
    TEST("the_realms_vm_has_few_extensions", test_realm_extensions);
    TEST("v12_has_fewer", test_first_generation_of_rmi_has_fewer);
    TEST("kvm_init_finds_what_it_asks_for", test_kvm_init);
#undef TEST
    return g_test_run();
}
