/*
 * A VM made by hand (see kernel-host.h)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <sys/mman.h>
#include "qemu/memalign.h"
#include "kernel-host.h"

Host host, other;

int call(int fd, unsigned long request, void *arg)
{
    return double_ioctl(fd, request, arg);
}

int vm_call(unsigned long request, void *arg)
{
    return call(host.state.vmfd, request, arg);
}

/* Map all of RAM, aligned to the largest page of a host. */
void *map_ram(int fd)
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

void start_kernel(const char *flavour, size_t page_size)
{
    DoubleOptions options = { flavour, page_size, .migration = true };

    double_start(&options);
    double_probing(true);
}

void add_vm(size_t page_size)
{
    const DoubleFlavour *f = the_double->flavour;

    host = (Host) { .gmem = -1, .gic = -1, .cpus = { -1, -1 },
                           .page_size = page_size };
    host.state.fd = double_open(DOUBLE_SYSTEM, NULL, NULL);
    host.state.vmfd = call(host.state.fd, KVM_CREATE_VM,
                           (void *)(uintptr_t)(f->vm_type | IPA_BITS));
    g_assert_cmpint(host.state.vmfd, >=, 0);
    kvm_state = &host.state;
    host.source = qemu_memalign(64 * KiB, 64 * KiB);
    memset(host.source, IMAGE_BYTE, 64 * KiB);
}

void create_vm(const char *flavour, size_t page_size)
{
    start_kernel(flavour, page_size);
    add_vm(page_size);
}

int create_gmem(uint64_t size, uint64_t flags)
{
    struct kvm_create_guest_memfd args = { .size = size, .flags = flags };

    return vm_call(KVM_CREATE_GUEST_MEMFD, &args);
}

int set_slot(void *ram, uint64_t offset, uint64_t size)
{
    struct kvm_userspace_memory_region2 region = {
        .flags = KVM_MEM_GUEST_MEMFD, .guest_phys_addr = BASE,
        .memory_size = size, .userspace_addr = (uintptr_t)ram,
        .guest_memfd = host.gmem, .guest_memfd_offset = offset,
    };

    return vm_call(KVM_SET_USER_MEMORY_REGION2, &region);
}

void add_ram(void)
{
    host.gmem = create_gmem(RAM_SIZE, GUEST_MEMFD_FLAG_MMAP |
                                      GUEST_MEMFD_FLAG_INIT_SHARED);
    g_assert_cmpint(host.gmem, >=, 0);
    host.ram = map_ram(host.gmem);
    g_assert_cmpint(set_slot(host.ram, 0, RAM_SIZE), ==, 0);
}

void add_gic(bool initialize)
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

void add_vcpus(uint32_t features)
{
    struct kvm_vcpu_init init = { .target = KVM_ARM_TARGET_GENERIC_V8 };

    for (size_t i = 0; i < ARRAY_SIZE(host.cpus); i++) {
        host.cpus[i] = vm_call(KVM_CREATE_VCPU, (void *)(uintptr_t)i);
        init.features[0] = features | (i ? BIT(KVM_ARM_VCPU_POWER_OFF) : 0);
        g_assert_cmpint(call(host.cpus[i], KVM_ARM_VCPU_INIT, &init), ==, 0);
    }
}

/* All but the first KVM_RUN. */
void build(size_t page_size)
{
    create_vm(NULL, page_size);
    add_ram();
    add_vcpus(BIT(KVM_ARM_VCPU_PSCI_0_2));
    add_gic(true);
}

void close_host(void)
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

void end_kernel(void)
{
    close_host();
    double_stop();
}

/* ---- Calls ---- */

int set_private(uint64_t gpa, uint64_t size, bool private)
{
    struct kvm_memory_attributes2 args = {
        .offset = gpa - BASE, .size = size,
        .attributes = private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0,
    };

    return call(host.gmem, KVM_SET_MEMORY_ATTRIBUTES2, &args);
}

int populate(uint64_t base, uint64_t size, const void *source)
{
    struct kvm_arm_rmi_populate args = {
        base, size, (uintptr_t)source,
    };

    return vm_call(KVM_ARM_RMI_POPULATE, &args);
}

int check(unsigned extension)
{
    return vm_call(KVM_CHECK_EXTENSION, (void *)(uintptr_t)extension);
}

DoubleVcpu *vcpu(unsigned n)
{
    return double_file(host.cpus[n])->object;
}

DoubleVm *vm(void)
{
    return double_file(host.state.vmfd)->vm;
}

struct kvm_run *run_of(unsigned n)
{
    return vcpu(n)->kvm_run;
}

int run(unsigned n)
{
    return call(host.cpus[n], KVM_RUN, NULL);
}

/* The guest on vCPU 0 is about to do @action, in one KVM_RUN or more. */
int act(GuestAction *action)
{
    vcpu(0)->action = action;
    return run(0);
}

GuestAction access_to(uint64_t ipa, void *buf, bool write)
{
    return (GuestAction) { GUEST_ACCESS, .ipa = ipa, .size = 8, .buf = buf,
                           .write = write };
}

/* ... it ends within this KVM_RUN, in DOUBLE_DONE. */
void does(GuestAction *action)
{
    g_assert_cmpint(act(action), ==, -EINTR);
    g_assert_true(action->over);
    g_assert_cmpint(action->outcome, ==, DOUBLE_DONE);
}

uint64_t reads(uint64_t ipa)
{
    uint64_t value = 0;
    GuestAction a = access_to(ipa, &value, false);

    does(&a);
    return value;
}

void writes(uint64_t ipa, uint64_t value)
{
    GuestAction a = access_to(ipa, &value, true);

    does(&a);
}

/* ...it ends with KVM_EXIT_MEMORY_FAULT of this range. */
void faults(int ret, uint64_t gpa, uint64_t size, bool private)
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
void start_guest(size_t page_size)
{
    build(page_size);
    g_assert_cmpint(set_private(BASE, RAM_SIZE, true), ==, 0);
    g_assert_cmpint(populate(BASE, page_size, host.source), ==, 0);
    g_assert_cmpint(run(0), ==, -EINTR);
}

/* The level of stage 2 at which @ipa is mapped, or -1. */
int level_of(uint64_t ipa)
{
    uint64_t out[4];

    g_assert_cmphex(RMI_OUT(out, RMI_RTT_READ_ENTRY, vm()->rd, ipa, 3), ==,
                    0);
    return out[1] == RMI_ASSIGNED ? (int)out[0] : -1;
}

/* ---- A vCPU in a thread of its own ---- */

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

QemuThread run_in_thread(void)
{
    QemuThread thread;

    qemu_thread_create(&thread, "vcpu", run_1, NULL, QEMU_THREAD_JOINABLE);
    while (!is_in()) {
        g_thread_yield();
    }
    return thread;
}
