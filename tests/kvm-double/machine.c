/*
 * The machine around the stand-in kernel
 *
 * Purpose: make a Realm's VM with RAM and no device.  The steps and their order
 * are those of kvm-all.c, the virt board and hw/arm/realm/.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <sys/mman.h>
#include <linux/kvm-arm-cca.h>
#include "qapi/error.h"
#include "qemu/bitmap.h"
#include "qemu/rcu_queue.h"
#include "qemu/units.h"
#include "system/realm-kvm.h"
#include "accel/kvm/realm/realm-kvm.h"
#include "internal.h"
#include "machine.h"

#define MAX_PAGE_SIZE   (64 * KiB)
#define MAX_TRIES       100

Machine machine;

const RealmConfig double_default_config = {
    .ipa_bits = 33,
    .ram_base = 1 * GiB,
    .ram_size = 4 * MiB,
    .num_cpus = 2,
};

bool machine_contains(uint64_t base, uint64_t size)
{
    const RealmConfig *config = &machine.config;

    return base >= config->ram_base && size <= config->ram_size &&
           base - config->ram_base <= config->ram_size - size;
}

uint8_t double_image_byte(uint64_t ipa)
{
    return (ipa * 7) ^ (ipa >> 12);
}

uint64_t double_shared_bit(void)
{
    return BIT_ULL(machine.config.ipa_bits - 1);
}

uint8_t *double_shared(uint64_t ipa, size_t size)
{
    uint64_t gpa = ipa & ~double_shared_bit();

    g_assert_true(machine_contains(gpa, size));
    return machine.ram + (gpa - machine.config.ram_base);
}

uint8_t *double_shared_tags(uint64_t ipa)
{
    uint64_t gpa = ipa & ~double_shared_bit();
    DoubleSlot *slot = slot_at(double_file(machine.state.vmfd)->vm, gpa);

    return slot->tags + (gpa - slot->region.guest_phys_addr) / 32;
}

uint64_t double_take_shared_written(uint64_t ipa, uint64_t size)
{
    uint64_t first = ((ipa & ~double_shared_bit()) -
                      machine.config.ram_base) / REALM_PAGE_SIZE;
    uint64_t pages = 0;

    for (uint64_t i = first; i < first + size / REALM_PAGE_SIZE; i++) {
        pages += test_and_clear_bit(i, machine.written);
    }
    return pages;
}

uint64_t double_lent(uint64_t ipa, uint64_t size)
{
    uint64_t first = (ipa & ~double_shared_bit()) - machine.config.ram_base;

    return bitmap_count_one_with_offset(machine.lent, first / REALM_PAGE_SIZE,
                                        size / REALM_PAGE_SIZE);
}

void double_refuse_to_lend(void)
{
    machine.lends_nothing = true;
}

const Error *double_blocker(void)
{
    return machine.blockers[0] ? *machine.blockers[0] : NULL;
}

const char *double_session(void)
{
    static const char *const names[] = {
        [SESSION_NONE] = "none", [SESSION_ACCEPTED] = "accepted",
        [SESSION_EXPORTING] = "exporting", [SESSION_PAUSED] = "paused",
        [SESSION_SEALED] = "sealed", [SESSION_GONE] = "gone",
        [SESSION_OFFERED] = "offered", [SESSION_IMPORTING] = "importing",
        [SESSION_FAILED] = "failed",
    };
    DoubleFile *file = double_file(machine.state.vmfd);

    return file ? names[file->vm->session] : NULL;
}

uint64_t double_private_bytes(void)
{
    DoubleFile *file = double_file(machine.gmem);
    struct stat st;

    g_assert_cmpint(fstat(((DoubleGmem *)file->object)->fd, &st), ==, 0);
    return st.st_blocks * 512;
}

/* ---- ioctls that QEMU itself makes ---- */

#define CALL(fd, request, arg, errp) \
    call(fd, request, #request, (void *)(uintptr_t)(arg), errp)

static int call(int fd, unsigned long request, const char *name, void *arg,
                Error **errp)
{
    unsigned tries = 0;
    int ret;

    do {
        ret = kvm_device_ioctl(fd, request, arg);
    } while ((ret == -EINTR || ret == -EAGAIN) && ++tries < MAX_TRIES);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "%s", name);
    }
    return ret;
}

/* ---- Memory ---- */

void machine_map_ram(int fd, uint64_t offset, uint64_t size)
{
    int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;

    g_assert_true(mmap(machine.ram + offset, size, PROT_READ | PROT_WRITE,
                       flags | MAP_FIXED, fd, fd < 0 ? 0 : offset) ==
                  machine.ram + offset);
}

/* RAM in place is mapped here once there is a VM. */
static void alloc_ram(void)
{
    size_t size = machine.config.ram_size;

    machine.ram_fd = memfd_create("ram", MFD_CLOEXEC);
    g_assert_cmpint(ftruncate(machine.ram_fd, size), ==, 0);
    machine.ram_map = mmap(NULL, size + MAX_PAGE_SIZE, PROT_NONE,
                           MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert(machine.ram_map != MAP_FAILED);
    machine.ram = QEMU_ALIGN_PTR_UP(machine.ram_map, MAX_PAGE_SIZE);
    machine_map_ram(machine.ram_fd, 0, size);
    machine.written = bitmap_new(size / REALM_PAGE_SIZE);
    machine.lent = bitmap_new(size / REALM_PAGE_SIZE);
}

static bool set_slot(uint32_t flags, Error **errp)
{
    struct kvm_userspace_memory_region2 region = {
        .flags = KVM_MEM_GUEST_MEMFD | flags,
        .guest_phys_addr = machine.config.ram_base,
        .memory_size = machine.config.ram_size,
        .userspace_addr = (uintptr_t)machine.ram,
        .guest_memfd = machine.gmem,
    };

    return CALL(machine.state.vmfd, KVM_SET_USER_MEMORY_REGION2, &region,
                errp) >= 0;
}

static bool add_slot(Error **errp)
{
    struct kvm_create_guest_memfd gmem = {
        .size = machine.config.ram_size,
        .flags = realm_kvm.abi.in_place
            ? GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED : 0,
    };
    struct kvm_memory_attributes attributes = {
        .address = machine.config.ram_base,
        .size = machine.config.ram_size,
        .attributes = KVM_MEMORY_ATTRIBUTE_PRIVATE,
    };

    machine.gmem = CALL(machine.state.vmfd, KVM_CREATE_GUEST_MEMFD, &gmem,
                        errp);
    if (machine.gmem < 0) {
        return false;
    }
    if (realm_kvm.abi.in_place) {
        machine_map_ram(machine.gmem, 0, machine.config.ram_size);
        bitmap_fill(machine.lent, machine.config.ram_size / REALM_PAGE_SIZE);
    }
    return set_slot(0, errp) &&
           (!realm_kvm.abi.vm_attributes ||
            CALL(machine.state.vmfd, KVM_SET_MEMORY_ATTRIBUTES, &attributes,
                 errp) >= 0);
}

/* ---- The dirty log of shared pages, as kvm-all.c has it ---- */

bool double_log_shared(bool on, Error **errp)
{
    return set_slot(on ? KVM_MEM_LOG_DIRTY_PAGES : 0, errp);
}

bool double_sync_shared(Error **errp)
{
    uint64_t host_pages = machine.config.ram_size / the_double->page_size;
    uint64_t each = the_double->page_size / REALM_PAGE_SIZE;
    g_autofree unsigned long *bits = bitmap_new(ROUND_UP(host_pages, 64));
    struct kvm_dirty_log log = { .dirty_bitmap = bits };

    if (CALL(machine.state.vmfd, KVM_GET_DIRTY_LOG, &log, errp) < 0) {
        return false;
    }
    bitmap_from_le(bits, bits, host_pages);
    for (uint64_t i = find_first_bit(bits, host_pages); i < host_pages;
         i = find_next_bit(bits, host_pages, i + 1)) {
        bitmap_set(machine.written, i * each, each);
    }
    return true;
}

/* ---- vCPUs ---- */

static bool init_vcpu(CPUState *cs, Error **errp)
{
    struct kvm_vcpu_init init;

    if (CALL(machine.state.vmfd, KVM_ARM_PREFERRED_TARGET, &init, errp) < 0) {
        return false;
    }
    init.features[0] = BIT(KVM_ARM_VCPU_PSCI_0_2);
    if (realm_kvm.abi.generation == RME_GUEST_KVM_ABI_RME) {
        init.features[0] |= realm_kvm.abi.vcpu_features;
    }
    return CALL(cs->kvm_fd, KVM_ARM_VCPU_INIT, &init, errp) >= 0;
}

static bool add_vcpu(unsigned n, Error **errp)
{
    int fd = CALL(machine.state.vmfd, KVM_CREATE_VCPU, n, errp);
    CPUState *cs;

    if (fd < 0) {
        return false;
    }
    cs = g_new0(CPUState, 1);
    cs->cpu_index = n;
    cs->kvm_fd = fd;
    cs->start_powered_off = n > 0;
    cs->kvm_run = ((DoubleVcpu *)double_file(fd)->object)->kvm_run;
    machine.cpus[n] = cs;
    QTAILQ_INSERT_TAIL_RCU(&cpus_queue, cs, node);
    return init_vcpu(cs, errp);
}

static bool add_vcpus(Error **errp)
{
    for (unsigned n = 0; n < machine.config.num_cpus; n++) {
        if (!add_vcpu(n, errp)) {
            return false;
        }
    }
    return true;
}

static bool add_irqchip(Error **errp)
{
    struct kvm_create_device device = { .type = KVM_DEV_TYPE_ARM_VGIC_V3 };
    struct kvm_device_attr init = {
        .group = KVM_DEV_ARM_VGIC_GRP_CTRL,
        .attr = KVM_DEV_ARM_VGIC_CTRL_INIT,
    };

    if (!machine.irqchip_in_kernel) {
        return true;
    }
    if (CALL(machine.state.vmfd, KVM_CREATE_DEVICE, &device, errp) < 0) {
        return false;
    }
    machine.irqchip = device.fd;
    return CALL(device.fd, KVM_SET_DEVICE_ATTR, &init, errp) >= 0;
}

/* ---- The whole ---- */

static bool probe(Error **errp)
{
    bool ok;

    double_probing(true);
    ok = realm_kvm_probe(kvm_state, machine.config.kvm_abi, errp);
    double_probing(false);
    return ok;
}

static bool create_vm(Error **errp)
{
    machine.state.vmfd = CALL(machine.state.fd, KVM_CREATE_VM,
                              realm_kvm_vm_type(machine.config.ipa_bits),
                              errp);
    return machine.state.vmfd >= 0;
}

static void load_image(const DoubleImage *image)
{
    uint64_t base = machine.config.ram_base + image->offset;

    for (uint64_t ipa = base; ipa < base + image->size; ipa++) {
        *double_shared(ipa, 1) = double_image_byte(ipa);
    }
    machine.ops->add_image(base, image->size);
}

static void start(const DoubleMachineOptions *options)
{
    g_assert_false(machine.exists);
    machine = (Machine) {
        .exists = true, .incoming = options->incoming,
        .irqchip_in_kernel = !options->userspace_irqchip,
        .config = options->config, .ops = realm_kvm_backend(),
        .gmem = -1, .irqchip = -1,
    };
    machine.state.vmfd = -1;
    machine.state.fd = double_open(DOUBLE_SYSTEM, NULL, NULL);
    kvm_state = &machine.state;
    kvm_kernel_irqchip = machine.irqchip_in_kernel;
    alloc_ram();
}

bool double_machine_create(const DoubleMachineOptions *options, Error **errp)
{
    const RealmConfig *config = &machine.config;

    start(options);
    if (!probe(errp) || !create_vm(errp) ||
        !machine.ops->prepare(config, errp) || !add_slot(errp) ||
        !add_vcpus(errp) || !add_irqchip(errp) ||
        !machine.ops->init_ripas(config->ram_base, config->ram_size, errp)) {
        return false;
    }
    for (size_t i = 0; i < DOUBLE_MAX_IMAGES; i++) {
        if (options->images[i].size && !options->incoming) {
            load_image(&options->images[i]);
        }
    }
    return true;
}

static void close_fd(int fd)
{
    if (fd >= 0) {
        close(fd);
    }
}

static void remove_cpu(CPUState *cs)
{
    if (cs) {
        QTAILQ_REMOVE_RCU(&cpus_queue, cs, node);
        close(cs->kvm_fd);
        g_free(cs);
    }
}

static void forget_realm(void)
{
    if (realm_kvm.layout.ram) {
        g_array_unref(realm_kvm.layout.ram);
        g_array_unref(realm_kvm.layout.images);
    }
    g_free(realm_kvm.answers);
    g_free(realm_kvm.next_number);
    realm_kvm = (RealmKvm) { 0 };
    for (size_t i = 0; i < ARRAY_SIZE(machine.blockers); i++) {
        if (machine.blockers[i]) {
            error_free(*machine.blockers[i]);
            *machine.blockers[i] = NULL;
        }
    }
}

void double_machine_destroy(void)
{
    for (size_t n = 0; n < DOUBLE_MAX_CPUS; n++) {
        remove_cpu(machine.cpus[n]);
    }
    close_fd(machine.irqchip);
    close_fd(machine.gmem);
    close_fd(machine.state.vmfd);
    close_fd(machine.state.fd);
    munmap(machine.ram_map, machine.config.ram_size + MAX_PAGE_SIZE);
    close(machine.ram_fd);
    g_free(machine.written);
    g_free(machine.lent);
    forget_realm();
    kvm_state = NULL;
    machine = (Machine) { 0 };
}

bool double_machine_run(Error **errp)
{
    if (!machine.ops->start(errp)) {
        machine.ops->park();
        return false;
    }
    machine.running = true;
    return true;
}

void double_machine_stop(void)
{
    machine.running = false;
    machine.ops->stopped();
}
