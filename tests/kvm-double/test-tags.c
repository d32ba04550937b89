/*
 * Memory tags that migrate with their pages, with KVM (target/arm/page-tags/)
 *
 * Purpose: test tags of an ordinary VM and of a Realm's shared memory.  The
 * former need KVM_ARM_MTE_COPY_TAGS, with one tag in a byte, partial results,
 * EBUSY, and pages of the host's size.  In a Realm, tags of private memory must
 * stay private.  A machine without tags is left alone, and one that cannot
 * migrate its tags is refused.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <sys/mman.h>
#include "qapi/error.h"
#include "qemu/module.h"
#include "qemu/rcu_queue.h"
#include "qemu/units.h"
#include "exec/address-spaces.h"
#include "exec/ramblock.h"
#include "hw/arm/virt.h"
#include "hw/boards.h"
#include "hw/virtio/virtio-md-pci.h"
#include "system/page-tags-kvm.h"
#include "system/realm-kvm.h"
#include "system/system.h"
#include "system/tcg.h"
#include "target/arm/cpu.h"
#include "target/arm/page-tags/arm-page-tags.h"
#include "accel/kvm/realm/realm-kvm.h"
#include "internal.h"
#include "machine.h"

#define BASE    (1 * GiB)
#define SIZE    (4 * MiB)
#define PAGE    4096
#define PAGES   1024
#define BYTES   KVM_TAGS_BYTES

#define PRIVATE 16              /* pages in RAM, which the Realm uses */
#define SHARED  32

static KVMState state;
static void *ram;
static size_t page_size;

/* ---- What QEMU gives ---- */

bool kvm_allowed = true, tcg_allowed;
int only_migratable;
AddressSpace address_space_memory;
static MemoryRegion system_ram, other_ram;
static RAMBlock block = { .idstr = "ram" };
static MachineState machine_state = { .ram = &system_ram };
MachineState *current_machine = &machine_state;
static ARMCPU arm_cpu;
static bool shown_twice;        /* RAM, as to a Realm's devices */

static Notifier *when_done;
static const PageTagsOps *ops;  /* registered */
static RAMBlock *registered[PAGE_TAGS_MAX_BLOCKS];
static unsigned num_registered;
static Object *virt;            /* has the property page-tags */
static bool is_memory;          /* any device is a memory device */

/* The Arm CPU that every vCPU of the double is cast to. */
Object *__wrap_object_dynamic_cast(Object *obj, const char *name);
Object *__wrap_object_dynamic_cast(Object *obj, const char *name)
{
    return strcmp(name, TYPE_VIRTIO_MD_PCI) || is_memory ? OBJECT(&arm_cpu)
                                                         : NULL;
}

Object *__wrap_object_dynamic_cast_assert(Object *obj, const char *name,
                                          const char *file, int line,
                                          const char *func);
Object *__wrap_object_dynamic_cast_assert(Object *obj, const char *name,
                                          const char *file, int line,
                                          const char *func)
{
    return OBJECT(&arm_cpu);
}

static void show(MemoryListener *listener, MemoryRegion *mr, hwaddr address)
{
    MemoryRegionSection section = {
        .mr = mr, .offset_within_address_space = address,
        .size = int128_make64(SIZE),
    };

    listener->region_add(listener, &section);
}

void memory_listener_register(MemoryListener *listener, AddressSpace *filter)
{
    show(listener, &system_ram, BASE);
    show(listener, &other_ram, 2 * BASE);
    if (shown_twice) {
        show(listener, &system_ram, BASE | double_shared_bit());
    }
}

void memory_listener_unregister(MemoryListener *listener)
{
}

void qemu_add_machine_init_done_notifier(Notifier *notify)
{
    when_done = notify;
}

static size_t ram_page;
static bool in_a_file;

size_t qemu_ram_pagesize(RAMBlock *rb)
{
    g_assert_true(rb == &block);
    return ram_page;
}

bool qemu_ram_is_named_file(RAMBlock *rb)
{
    return in_a_file;
}

static void set_property(const char *value)
{
    object_property_set_str(virt, "page-tags", value, &error_abort);
}

void page_tags_register(const PageTagsOps *the_ops, RAMBlock *const *blocks,
                        unsigned n)
{
    ops = the_ops;
    num_registered = n;
    memcpy(registered, blocks, n * sizeof(*blocks));
}

const PageTagsOps *arm_page_tags_tcg(MemoryRegion *tag_memory, Error **errp)
{
    g_assert_not_reached();
}

/* The machine is complete. */
static void find_provider(void)
{
    arm_tag_num_ranges = num_registered = 0;
    ops = NULL;
    system_ram = (MemoryRegion) { .ram = true, .ram_block = &block };
    other_ram = (MemoryRegion) { .ram = true };
    when_done->notify(when_done, NULL);
}

/* ---- An ordinary VM ---- */

static int set_slot(uint32_t flags, uint64_t size)
{
    struct kvm_userspace_memory_region2 region = {
        .flags = flags, .guest_phys_addr = BASE, .memory_size = size,
        .userspace_addr = QEMU_ALIGN_UP((uintptr_t)ram, 64 * KiB),
    };

    return kvm_vm_ioctl(&state, KVM_SET_USER_MEMORY_REGION2, &region);
}

static void start(size_t size)
{
    DoubleOptions options = { "mainline", size, .mte = true };
    struct kvm_enable_cap mte = { .cap = KVM_CAP_ARM_MTE };

    page_size = size;
    double_start(&options);
    ram = mmap(NULL, SIZE + 64 * KiB, PROT_READ | PROT_WRITE,
               MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    state.fd = double_open(DOUBLE_SYSTEM, NULL, NULL);
    state.vmfd = kvm_ioctl(&state, KVM_CREATE_VM, 40);
    kvm_state = &state;
    g_assert_cmpint(kvm_vm_ioctl(&state, KVM_ENABLE_CAP, &mte), ==, 0);
    g_assert_cmpint(set_slot(0, SIZE), ==, 0);
    QTAILQ_INSERT_TAIL_RCU(&cpus_queue, &arm_cpu.parent_obj, node);
    arm_cpu.kvm_mte = true;
    find_provider();
}

static void end(void)
{
    double_set_hook(NULL, NULL);
    QTAILQ_REMOVE_RCU(&cpus_queue, &arm_cpu.parent_obj, node);
    close(state.vmfd);
    close(state.fd);
    munmap(ram, SIZE + 64 * KiB);
    double_stop();
}

static bool write_tags(unsigned page, unsigned pages, const uint8_t *tags,
                       Error **errp)
{
    return ops->write(&block, (ram_addr_t)page * PAGE, pages, tags, errp);
}

static bool read_tags(unsigned page, unsigned pages, uint8_t *tags,
                      Error **errp)
{
    bool zero;

    return ops->read(&block, (ram_addr_t)page * PAGE, pages, tags, &zero,
                     errp);
}

/* Runs of any length; most begin and end in the middle of a host page. */
static void for_runs(bool (*act)(unsigned page, unsigned pages, uint8_t *tags,
                                 Error **errp), uint8_t *tags)
{
    for (unsigned page = 0, pages = 1; page < PAGES; page += pages) {
        pages = MIN(PAGES - page, pages * 3 % 1000);
        g_assert_true(act(page, pages, tags + (size_t)page * BYTES,
                          &error_abort));
    }
}

static bool write_run(unsigned page, unsigned pages, uint8_t *tags,
                      Error **errp)
{
    return write_tags(page, pages, tags, errp);
}

static void check_copies(void)
{
    size_t size = (size_t)PAGES * BYTES;
    g_autofree uint8_t *tags = g_malloc(size), *back = g_malloc0(size);

    for (size_t i = 0; i < size; i++) {
        tags[i] = i * 11 + i / 128;
    }
    for_runs(write_run, tags);
    g_assert_true(read_tags(0, PAGES, back, &error_abort));
    g_assert_cmpmem(tags, size, back, size);
    memset(back, 0, size);
    for_runs(read_tags, back);
    g_assert_cmpmem(tags, size, back, size);
}

static void test_copies(void)
{
    static const size_t sizes[] = { 4 * KiB, 16 * KiB, 64 * KiB };

    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        start(sizes[i]);
        check_copies();
        end();
    }
}

/* The kernel does a page at a time, and is interrupted every third time. */
static void slowly(DoubleCall *call, bool after, void *unused)
{
    if (!after) {
        call->partly = true;
        call->ret = call->number % 3 ? 0 : -EINTR;
    }
}

static void test_partly(void)
{
    start(16 * KiB);
    double_set_hook(slowly, NULL);
    check_copies();
    end();
}

static void check_refused(bool to_guest, const char *why)
{
    uint8_t tags[16 * BYTES] = { 0 };
    Error *err = NULL;

    g_assert_false(to_guest ? write_tags(0, 16, tags, &err)
                            : read_tags(0, 16, tags, &err));
    g_test_message("%s", error_get_pretty(err));
    g_assert_nonnull(strstr(error_get_pretty(err), "KVM_ARM_MTE_COPY_TAGS"));
    g_assert_nonnull(strstr(error_get_pretty(err), why));
    error_free(err);
}

static void test_busy(void)
{
    start(4 * KiB);
    g_assert_cmpint(set_slot(KVM_MEM_LOG_DIRTY_PAGES, SIZE), ==, 0);
    check_refused(true, strerror(EBUSY));
    check_refused(true, "end calc-dirty-rate and set-vcpu-dirty-limit");
    g_assert_cmpint(set_slot(0, SIZE), ==, 0);
    check_copies();
    end();
}

static int invalid_result;

static void falsify_result(DoubleCall *call, bool after, void *unused)
{
    if (after) {
        call->ret = invalid_result;
    }
}

static void test_invalid_results(void)
{
    static const int results[] = { 0, 100, 16 * 4096 + 4096, INT_MAX };

    for (size_t i = 0; i < ARRAY_SIZE(results); i++) {
        start(4 * KiB);
        invalid_result = results[i];
        double_set_hook(falsify_result, NULL);
        check_refused(i % 2, "the kernel's answer is wrong");
        end();
    }
}

/* The range is not memory, or the VM has no slot for it. */
static void test_no_memory(void)
{
    uint8_t tags[2 * BYTES];
    Error *err = NULL;

    start(4 * KiB);
    g_assert_false(read_tags(PAGES - 1, 2, tags, &err));
    g_assert_nonnull(strstr(error_get_pretty(err), "of ram have no tags"));
    error_free(err);
    g_assert_cmpint(set_slot(0, 0), ==, 0);
    check_refused(false, strerror(EFAULT));
    end();
}

static void test_ordinary_ram(void)
{
    start(4 * KiB);
    g_assert_cmpuint(num_registered, ==, 1);
    g_assert_true(registered[0] == &block);
    end();
}

/* What a page had before is a guest's, unless the kernel clears it first. */
static void test_fresh(void)
{
    ram_page = qemu_real_host_page_size();
    start(4 * KiB);
    g_assert_true(ops->fresh(&block));
    ram_page = 2 * MiB;
    g_assert_false(ops->fresh(&block));
    ram_page = qemu_real_host_page_size();
    in_a_file = true;
    g_assert_false(ops->fresh(&block));
    in_a_file = false;
    end();
}

/* ID_AA64PFR1_EL1: MTE is in bits 11-8, MTE_frac in bits 43-40. */
static void test_features(void)
{
    start(4 * KiB);
    arm_cpu.isar.id_aa64pfr1 = 0x00000f0000000300;
    g_assert_cmpuint(ops->level(), ==, 3);
    g_assert_cmpuint(ops->variant(), ==, 15);
    arm_cpu.isar.id_aa64pfr1 = 0xfffff0fffffff2ff;
    g_assert_cmpuint(ops->level(), ==, 2);
    g_assert_cmpuint(ops->variant(), ==, 0);
    arm_cpu.isar.id_aa64pfr1 = 0;
    end();
}

static bool refuses_memory(void)
{
    Error *err = NULL;
    bool refused = arm_page_tags_refuses_device((DeviceState *)virt, &err);

    g_assert_cmpint(refused, ==, err != NULL);
    if (err) {
        g_assert_nonnull(strstr(error_get_pretty(err), "with KVM and mte=on, "
                                "the tags of its memory would not migrate"));
    }
    error_free(err);
    return refused;
}

static void test_memory_devices(void)
{
    start(4 * KiB);
    g_assert_false(refuses_memory());
    is_memory = true;
    g_assert_true(refuses_memory());
    set_property("off");
    g_assert_false(refuses_memory());
    set_property("auto");
    arm_cpu.kvm_mte = false;
    g_assert_false(refuses_memory());
    is_memory = false;
    end();
}

/* ---- Whether a machine with tags can migrate ---- */

/* QEMU asks this for the first vCPU; if not, upstream's blocker is added. */
static void test_property(void)
{
    g_assert_true(arm_page_tags_migrate());
    set_property("on");
    g_assert_true(arm_page_tags_migrate());
    set_property("off");
    g_assert_false(arm_page_tags_migrate());
    set_property("auto");
}

static void test_only_migratable(void)
{
    only_migratable = 1;
    g_assert_true(arm_page_tags_migrate());
    if (g_test_subprocess()) {
        set_property("off");
        arm_page_tags_migrate();
        return;
    }
    only_migratable = 0;
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_failed();
    g_test_trap_assert_stderr("*page-tags=off cannot migrate*"
                              "set page-tags to auto*");
}

/* ---- A Realm ---- */

static uint64_t private_ipa(unsigned page)
{
    return BASE + (uint64_t)page * PAGE;
}

static uint64_t shared_ipa(unsigned page)
{
    return private_ipa(page) | double_shared_bit();
}

static void start_realm(const char *version, size_t size, bool migration)
{
    DoubleOptions options = { version, size, .migration = true, .mte = true };
    DoubleMachineOptions m = { .config = double_default_config };
    static ConfidentialGuestSupport *some_cgs = (void *)&arm_cpu;

    m.config.mte = true;
    m.config.migration = migration;
    double_start(&options);
    current_machine->cgs = some_cgs;
    shown_twice = true;
    g_assert_true(double_machine_create(&m, &error_abort));
    arm_cpu.kvm_mte = true;
    find_provider();
}

static void end_realm(void)
{
    double_set_hook(NULL, NULL);
    double_machine_destroy();
    double_stop();
    current_machine->cgs = NULL;
    shown_twice = false;
}

/* The guest stores tag @tag to @n pages. */
static void guest_tags(uint64_t ipa, unsigned n, unsigned tag)
{
    uint8_t tags[BYTES];

    memset(tags, tag * 0x11, BYTES);
    for (unsigned i = 0; i < n; i++) {
        g_assert_cmpint(double_guest_write_tags(0, ipa + i * PAGE, tags,
                                                &error_abort), ==,
                        DOUBLE_DONE);
    }
}

static void assert_guest_has(uint64_t ipa, unsigned n, unsigned tag)
{
    uint8_t tags[BYTES];

    for (unsigned i = 0; i < n; i++) {
        g_assert_cmpint(double_guest_read_tags(0, ipa + i * PAGE, tags,
                                               &error_abort), ==, DOUBLE_DONE);
        for (unsigned b = 0; b < BYTES; b++) {
            g_assert_cmphex(tags[b], ==, tag * 0x11);
        }
    }
}

static void run_realm(const char *version, size_t size)
{
    start_realm(version, size, true);
    g_assert_true(double_machine_run(&error_abort));
    g_assert_cmpint(double_guest_set_ripas(0, private_ipa(SHARED), 16 * PAGE,
                                           false, &error_abort), ==,
                    DOUBLE_DONE);
    guest_tags(private_ipa(PRIVATE), 16, 5);
    guest_tags(shared_ipa(SHARED), 16, 9);
}

/* Copy the tags of 64 pages, of which 16 are private, and 16 shared. */
static void check_realm(const char *version, size_t size)
{
    uint8_t tags[64 * BYTES];

    run_realm(version, size);
    memset(tags, 0xee, sizeof(tags));
    g_assert_true(read_tags(0, 64, tags, &error_abort));
    for (unsigned i = 0; i < sizeof(tags); i++) {
        unsigned page = i / BYTES;

        g_assert_cmphex(tags[i], ==,
                        page >= SHARED && page < SHARED + 16 ? 0x99 : 0);
    }
    memset(tags, 0x77, sizeof(tags));
    g_assert_true(write_tags(PRIVATE, 16, tags, &error_abort));
    g_assert_true(write_tags(SHARED, 16, tags, &error_abort));
    assert_guest_has(private_ipa(PRIVATE), 16, 5);
    assert_guest_has(shared_ipa(SHARED), 16, 7);
    end_realm();
}

static void test_realm(void)
{
    static const char *const versions[] = { "v10", "v14", "v15" };
    static const size_t sizes[] = { 4 * KiB, 16 * KiB, 64 * KiB };

    for (size_t i = 0; i < ARRAY_SIZE(versions); i++) {
        for (size_t j = 0; j < ARRAY_SIZE(sizes); j++) {
            check_realm(versions[i], sizes[j]);
        }
    }
}

static void only_copies(DoubleCall *call, bool after, void *calls)
{
    g_assert_cmphex(call->request, ==, KVM_ARM_MTE_COPY_TAGS);
    call->partly = true;
    *(unsigned *)calls += after;
}

/* Copying goes on where the kernel has stopped. */
static void test_realm_call(void)
{
    uint8_t tags[16 * BYTES] = { 0 };
    unsigned calls = 0;

    run_realm("v15", 4 * KiB);
    double_set_hook(only_copies, &calls);
    g_assert_true(read_tags(SHARED, 16, tags, &error_abort));
    g_assert_cmpuint(calls, ==, 16);
    g_assert_cmphex(tags[sizeof(tags) - 1], ==, 0x99);
    end_realm();
}

static void test_realm_migrates(void)
{
    start_realm("v15", 4 * KiB, true);
    g_assert_null(double_blocker());
    only_migratable = 1;
    g_assert_true(arm_page_tags_migrate());
    only_migratable = 0;
    end_realm();
}

/* Only the Realm's own blocker counts, not upstream's for MTE. */
static void test_realm_that_does_not_migrate(void)
{
    start_realm("v15", 4 * KiB, false);
    g_assert_true(arm_page_tags_migrate());
    end_realm();
}

/* Devices see RAM at the shared address as well. */
static void test_realm_ram(void)
{
    start_realm("v15", 4 * KiB, true);
    g_assert_cmpuint(num_registered, ==, 1);
    g_assert_true(registered[0] == &block);
    g_assert_cmphex(arm_tag_ranges[0].gpa, ==, BASE);
    end_realm();
}

/* Under TCG, shared tags are ordinary RAM, and private ones are in bundles. */
static void test_realm_without_kvm(void)
{
    kvm_allowed = false;
    tcg_allowed = true;
    current_machine->cgs = (void *)&arm_cpu;
    set_property("on");
    g_assert_false(arm_page_tags_migrate());
    set_property("auto");
    g_assert_false(arm_page_tags_migrate());
    current_machine->cgs = NULL;
    kvm_allowed = true;
    tcg_allowed = false;
}

int main(int argc, char **argv)
{
    static const TypeInfo board = {
        .name = TYPE_VIRT_MACHINE, .parent = TYPE_OBJECT,
    };

    g_test_init(&argc, &argv, NULL);
    module_call_init(MODULE_INIT_QOM);
    type_register_static(&board);
    module_call_init(MODULE_INIT_MIGRATION);
    virt = object_new(TYPE_VIRT_MACHINE);
#define TEST(name, function) \
    g_test_add_func("/kvm-double/tags/" name, function)
    TEST("come_back_as_they_went", test_copies);
    TEST("a_kernel_may_copy_page_by_page", test_partly);
    TEST("no_write_while_a_dirty_log_is_on", test_busy);
    TEST("refuse_counts_that_make_no_sense", test_invalid_results);
    TEST("refuse_what_is_not_memory", test_no_memory);
    TEST("only_the_machines_own_ram_has_them", test_ordinary_ram);
    TEST("are_unknown_in_huge_pages_and_in_files", test_fresh);
    TEST("have_a_level_and_maybe_asynchronous_faults", test_features);
    TEST("memory_devices_are_refused_where_theirs_would_be_lost",
         test_memory_devices);
    TEST("a_machine_with_tags_migrates_unless_page_tags_is_off",
         test_property);
    TEST("page_tags_off_and_only_migratable_are_refused",
         test_only_migratable);
    TEST("realm/has_those_of_shared_pages_and_keeps_the_others", test_realm);
    TEST("realm/goes_on_where_the_kernel_stopped", test_realm_call);
    TEST("realm/migrates", test_realm_migrates);
    TEST("realm/says_itself_why_it_does_not", test_realm_that_does_not_migrate);
    TEST("realm/has_its_ram_once", test_realm_ram);
    TEST("realm/without_kvm_is_left_alone", test_realm_without_kvm);
#undef TEST
    return g_test_run();
}
