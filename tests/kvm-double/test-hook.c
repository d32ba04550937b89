/*
 * What QEMU's KVM code asks about Realms (accel/kvm/realm/hook.c)
 *
 * Purpose: check the answers for a machine that is not a Realm, and for Realms
 * of both generations.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <linux/kvm.h>
#include <linux/kvm-arm-cca.h>
#include "qapi/error.h"
#include "qemu/units.h"
#include "system/kvm_int.h"
#include "system/realm-kvm.h"
#include "accel/kvm/realm/realm-kvm.h"
#include "internal.h"
#include "machine.h"

#define BASE    (1 * GiB)               /* of RAM */
#define NO_FD   999                     /* of nobody, and not negative */

static void start(const char *version)
{
    DoubleOptions options = { version };
    DoubleMachineOptions m = {
        .config = double_default_config, .images = { { 0, 0x1000 } },
    };

    double_start(&options);
    g_assert_true(double_machine_create(&m, &error_abort));
}

static void end(void)
{
    double_machine_destroy();
    double_stop();
}

static bool hides(uint64_t address)
{
    MemoryRegionSection section = { .offset_within_address_space = address };

    return realm_kvm_hides(&section);
}

/* KVM_RUN of vCPU 0 has returned @ret and @run. */
static bool ends(int ret, struct kvm_run *run)
{
    CPUState cpu = { .kvm_run = run };

    return realm_kvm_ends_run(&cpu, ret);
}

static bool refuses(uint32_t reason)
{
    struct kvm_run run = {
        .exit_reason = reason,
        .system_event.type = KVM_SYSTEM_EVENT_SHUTDOWN,
    };

    return ends(0, &run);
}

/* ---- What is said ---- */

static int old_stderr;

static void listen_to_errors(void)
{
    int fd = memfd_create("stderr", MFD_CLOEXEC);

    fflush(stderr);
    old_stderr = dup(2);
    g_assert_cmpint(dup2(fd, 2), ==, 2);
    close(fd);
}

static char *heard(void)
{
    char text[4096];
    ssize_t size;

    fflush(stderr);
    size = pread(2, text, sizeof(text), 0);
    g_assert_cmpint(size, >=, 0);
    g_assert_cmpint(dup2(old_stderr, 2), ==, 2);
    close(old_stderr);
    return g_strndup(text, size);
}

/* How often @word is in what was said since listen_to_errors. */
static unsigned count_heard(const char *word)
{
    g_autofree char *text = heard();
    g_auto(GStrv) parts = g_strsplit(text, word, -1);

    g_test_message("%s", text);
    return g_strv_length(parts) - (*parts ? 1 : 0);
}

/* ---- Tests ---- */

static void test_no_realm(void)
{
    KVMState s = { .vmfd = -1 };
    uint32_t features = 5;
    int result;

    g_assert_false(realm_kvm_active());
    g_assert_false(realm_kvm_check_extension(&s, KVM_CAP_IRQCHIP, &result));
    g_assert_false(realm_kvm_private_by_guest_memfd());
    g_assert_false(hides(UINT64_MAX));
    g_assert_false(realm_kvm_parked());
    for (uint32_t reason = 0; reason < 64; reason++) {
        g_assert_false(refuses(reason));
    }
    g_assert_cmpint(realm_kvm_answer(KVM_IRQ_LINE, -EIO), ==, -EIO);
    g_assert_cmpint(realm_kvm_scratch_type(40), ==, 40);
    realm_kvm_add_features(&features);
    g_assert_cmphex(features, ==, 5);
}

/* A slot with guest_memfd has no dirty log; others keep what they have. */
static void test_slot_flags(void)
{
    const int log = KVM_MEM_LOG_DIRTY_PAGES, gmem = KVM_MEM_GUEST_MEMFD;
    const int readonly = KVM_MEM_READONLY;

    g_assert_cmphex(realm_kvm_slot_flags(log | gmem), ==, gmem);
    g_assert_cmphex(realm_kvm_slot_flags(log | gmem | readonly), ==,
                    gmem | readonly);
    g_assert_cmphex(realm_kvm_slot_flags(log | readonly), ==, log | readonly);
    g_assert_cmphex(realm_kvm_slot_flags(0), ==, 0);
}

static void check_rme(const char *kernel, uint32_t expected)
{
    uint32_t features = BIT(KVM_ARM_VCPU_PSCI_0_2);

    start(kernel);
    g_assert_true(realm_kvm_active());
    g_assert_false(realm_kvm_private_by_guest_memfd());
    realm_kvm_add_features(&features);
    g_assert_cmphex(features, ==, BIT(KVM_ARM_VCPU_PSCI_0_2) | expected);
    g_assert_cmphex(realm_kvm_scratch_type(40), ==, 0x100 | 40);
    end();
}

/* Version 5 has REC for KVM_ARM_VCPU_FINALIZE only. */
static void test_rme(void)
{
    check_rme("v5", 0);
    check_rme("v10", BIT(9));
}

static void test_rmi(void)
{
    uint32_t features = 0;

    start("v14");
    g_assert_true(realm_kvm_active());
    g_assert_false(realm_kvm_private_by_guest_memfd());
    realm_kvm_add_features(&features);
    g_assert_cmphex(features, ==, 0);
    g_assert_cmphex(realm_kvm_scratch_type(52), ==, 1 << 30 | 48);
    end();
    start("v15");
    g_assert_true(realm_kvm_private_by_guest_memfd());
    end();
}

static void yes(DoubleCall *call, bool after, void *opaque)
{
    call->ret = 1;
}

/* The one of the two descriptors that is not asked need not be there. */
static bool is_asked_of_vm(unsigned extension)
{
    KVMState without_vm = { .fd = kvm_state->fd, .vmfd = NO_FD };
    KVMState without_system = { .fd = -1, .vmfd = kvm_state->vmfd };
    int of_system, of_vm;

    g_assert_true(realm_kvm_check_extension(&without_vm, extension,
                                            &of_system));
    g_assert_true(realm_kvm_check_extension(&without_system, extension,
                                            &of_vm));
    g_assert_cmpint(of_vm + of_system, ==, 1);
    return of_vm;
}

/*
 * A Realm's VM answers for what it has; what kvm_init needs of any host is
 * asked of the system, whatever the VM says.
 */
static void test_extensions(void)
{
    static const unsigned of_system[] = {
        KVM_CAP_IOEVENTFD, KVM_CAP_IOEVENTFD_ANY_LENGTH, KVM_CAP_USER_MEMORY,
        KVM_CAP_DESTROY_MEMORY_REGION_WORKS, KVM_CAP_JOIN_MEMORY_REGIONS_WORKS,
        KVM_CAP_INTERNAL_ERROR_DATA, KVM_CAP_DEVICE_CTRL, KVM_CAP_IRQFD,
        KVM_CAP_READONLY_MEM, KVM_CAP_IRQFD_RESAMPLE, KVM_CAP_SYNC_MMU,
    };
    static const unsigned of_vm[] = {
        KVM_CAP_ARM_VM_IPA_SIZE, KVM_CAP_MAX_VCPUS, KVM_CAP_ARM_SVE,
        KVM_CAP_ARM_PMU_V3, KVM_CAP_ARM_MTE, KVM_CAP_STEAL_TIME,
        KVM_CAP_ARM_PTRAUTH_ADDRESS, KVM_CAP_ARM_PTRAUTH_GENERIC,
        KVM_CAP_ARM_PSCI_0_2, KVM_CAP_MEMORY_ATTRIBUTES, KVM_CAP_VCPU_EVENTS,
        KVM_CAP_SET_GUEST_DEBUG, KVM_CAP_ARM_NISV_TO_USER,
    };

    start("v16");
    double_set_hook(yes, NULL);
    for (size_t i = 0; i < ARRAY_SIZE(of_system); i++) {
        g_assert_false(is_asked_of_vm(of_system[i]));
    }
    for (size_t i = 0; i < ARRAY_SIZE(of_vm); i++) {
        g_assert_true(is_asked_of_vm(of_vm[i]));
    }
    double_set_hook(NULL, NULL);
    end();
}

static void fail(DoubleCall *call, bool after, void *opaque)
{
    call->ret = -ENOMEM;
}

static void test_extension_fails(void)
{
    int result = -1;

    start("v16");
    double_set_hook(fail, NULL);
    g_assert_true(realm_kvm_check_extension(kvm_state, KVM_CAP_IRQCHIP,
                                            &result));
    g_assert_cmpint(result, ==, 0);
    double_set_hook(NULL, NULL);
    end();
}

static void test_hides(void)
{
    start("v10");
    g_assert_false(hides(BASE));
    g_assert_false(hides(double_shared_bit() - 4096));
    g_assert_true(hides(double_shared_bit()));
    g_assert_true(hides(double_shared_bit() + BASE));
    end();
}

static void test_exits(void)
{
    static const uint32_t allowed[] = {
        KVM_EXIT_INTR, KVM_EXIT_MMIO, KVM_EXIT_MEMORY_FAULT,
        KVM_EXIT_SHUTDOWN, KVM_EXIT_SYSTEM_EVENT, KVM_EXIT_INTERNAL_ERROR,
    };
    unsigned refused = 0;

    start("v16");
    for (size_t i = 0; i < ARRAY_SIZE(allowed); i++) {
        g_assert_false(refuses(allowed[i]));
    }
    for (uint32_t reason = 0; reason < 48; reason++) {
        refused += refuses(reason);
    }
    g_assert_cmpuint(refused, ==, 48 - ARRAY_SIZE(allowed));
    g_assert_true(refuses(UINT32_MAX));
    end();
}

static void test_events(void)
{
    struct kvm_run run = { .exit_reason = KVM_EXIT_SYSTEM_EVENT };
    unsigned refused = 0;

    start("v16");
    for (run.system_event.type = 0; run.system_event.type < 16;
         run.system_event.type++) {
        refused += ends(0, &run);
    }
    g_assert_cmpuint(refused, ==, 16 - 3);
    run.system_event.type = KVM_SYSTEM_EVENT_RESET;
    g_assert_false(ends(0, &run));
    end();
}

static void busy(DoubleCall *call, bool after, void *opaque)
{
    if (call->request == KVM_RUN) {
        call->ret = -EAGAIN;
    }
}

/* How often KVM_RUN is made until it ends, and how long that takes. */
static unsigned count_runs(CPUState *cs, gint64 *took)
{
    gint64 begin = g_get_monotonic_time();
    unsigned runs = 1;

    while (!realm_kvm_ends_run(cs, kvm_vcpu_ioctl(cs, KVM_RUN, 0))) {
        runs++;
    }
    *took = g_get_monotonic_time() - begin;
    return runs;
}

/* The kernel does not get a vCPU to run: QEMU pauses, and ends it after 10 s */
static void test_busy(void)
{
    gint64 took;

    start("v16");
    g_assert_true(double_machine_run(&error_abort));
    double_set_hook(busy, NULL);
    listen_to_errors();
    g_assert_cmpuint(count_runs(first_cpu, &took), <, 2000);
    double_set_hook(NULL, NULL);
    g_assert_cmpuint(count_heard("EAGAIN"), ==, 1);
    g_assert_cmpint(took, >=, 10 * G_USEC_PER_SEC);
    g_assert_cmpint(took, <, 20 * G_USEC_PER_SEC);
    end();
}

/* @ret and the reason with which KVM_RUN ends, for ever. */
typedef struct Fault {
    struct kvm_run run;
    bool moves;                 /* every other fault is another page's */
} Fault;

static void fault(DoubleCall *call, bool after, void *opaque)
{
    Fault *f = opaque;

    if (call->request == KVM_RUN) {
        if (f->moves) {
            f->run.memory_fault.gpa ^= 4096;
        }
        *first_cpu->kvm_run = f->run;
        call->ret = -EFAULT;
    }
}

/*
 * The kernel wants the same page converted again and again: the machine is
 * stopped after 10 s.  As long as they are not the same, it runs.
 */
static void test_same_fault(void)
{
    Fault f = { .run.exit_reason = KVM_EXIT_MEMORY_FAULT };
    gint64 took;

    f.run.memory_fault.gpa = BASE + 0x10000;
    f.run.memory_fault.size = 4096;
    start("v16");
    g_assert_true(double_machine_run(&error_abort));
    double_set_hook(fault, &f);
    listen_to_errors();
    g_assert_cmpuint(count_runs(first_cpu, &took), <, 2000);
    g_assert_cmpuint(count_heard("0x40010000 were made shared"), ==, 1);
    g_assert_cmpint(took, >=, 10 * G_USEC_PER_SEC);
    f.moves = true;
    for (unsigned i = 0; i < 3000; i++) {
        g_assert_false(realm_kvm_ends_run(first_cpu,
                                          kvm_vcpu_ioctl(first_cpu, KVM_RUN,
                                                         0)));
    }
    double_set_hook(NULL, NULL);
    end();
}

/* An access of the vCPU to a device shows that it runs. */
static void test_progress_between_faults(void)
{
    struct kvm_run run = { .exit_reason = KVM_EXIT_MEMORY_FAULT };

    start("v16");
    for (unsigned i = 0; i < 3000; i++) {
        run.exit_reason = i % 2 ? KVM_EXIT_MEMORY_FAULT : KVM_EXIT_MMIO;
        g_assert_false(ends(0, &run));
    }
    end();
}

static void test_interrupts(void)
{
    struct kvm_run run = { 0 };

    start("v16");
    for (unsigned i = 0; i < 3000; i++) {
        g_assert_false(ends(-EINTR, &run));
    }
    end();
}

/* Any other error ends the run at once, in words. */
static void test_run_errors(void)
{
    static const int errors[] = {
        EPERM, ENOEXEC, EFAULT, ENODEV, EINVAL, ENXIO, EOPNOTSUPP, ENOMEM,
    };
    struct kvm_run run = { 0 };

    start("v16");
    for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
        bool ended;

        listen_to_errors();
        ended = ends(-errors[i], &run);
        g_assert_cmpuint(count_heard(strerror(errors[i])), ==, 1);
        g_assert_true(ended);
    }
    g_assert_false(realm_kvm.dead);
    end();
}

/* Another vCPU's end of the Realm is that of all. */
static void test_shutdown(void)
{
    struct kvm_run run = { .exit_reason = KVM_EXIT_SHUTDOWN };

    start("v16");
    g_assert_false(ends(0, &run));
    g_assert_cmpuint(run.exit_reason, ==, KVM_EXIT_SYSTEM_EVENT);
    g_assert_cmpuint(run.system_event.type, ==, KVM_SYSTEM_EVENT_SHUTDOWN);
    machine.reset_requested = true;
    run.exit_reason = KVM_EXIT_SHUTDOWN;
    g_assert_false(ends(0, &run));
    g_assert_cmpuint(run.exit_reason, ==, KVM_EXIT_SYSTEM_EVENT);
    g_assert_cmpuint(run.system_event.type, ==, KVM_SYSTEM_EVENT_RESET);
    end();
}

/*
 * The kernel has given up the VM.  It is said once; what QEMU does to the VM
 * while it stops or changes its memory does nothing, and no call of the
 * backend's passes for a success.
 */
static void test_dead(void)
{
    static const unsigned long ignored[] = {
        KVM_SET_USER_MEMORY_REGION, KVM_SET_USER_MEMORY_REGION2,
        KVM_CLEAR_DIRTY_LOG, KVM_IOEVENTFD, KVM_IRQFD, KVM_IRQ_LINE,
        KVM_SET_GSI_ROUTING, KVM_SET_DEVICE_ATTR,
    };
    struct kvm_run run = { .exit_reason = KVM_EXIT_INTERNAL_ERROR };
    struct kvm_userspace_memory_region2 slot = { 0 };
    Error *err = NULL;
    int ret;

    start("v14");
    g_assert_true(double_machine_run(&error_abort));
    listen_to_errors();
    for (size_t i = 0; i < ARRAY_SIZE(ignored); i++) {
        g_assert_cmpint(realm_kvm_answer(ignored[i], 0), ==, 0);
        g_assert_cmpint(realm_kvm_answer(ignored[i], 5), ==, 5);
        g_assert_cmpint(realm_kvm_answer(ignored[i], -ENOMEM), ==, -ENOMEM);
    }
    g_assert_false(realm_kvm.dead);
    g_assert_false(ends(0, &run));
    g_assert_true(realm_kvm.dead);
    vm_kill(double_file(kvm_state->vmfd)->vm);
    g_assert_true(realm_kvm_ends_run(first_cpu,
                                     kvm_vcpu_ioctl(first_cpu, KVM_RUN, 0)));
    ret = kvm_vm_ioctl(kvm_state, KVM_SET_USER_MEMORY_REGION2, &slot);
    g_assert_cmpint(ret, ==, -EIO);
    for (size_t i = 0; i < ARRAY_SIZE(ignored); i++) {
        g_assert_cmpint(realm_kvm_answer(ignored[i], -EIO), ==, 0);
    }
    g_assert_cmpint(realm_kvm_answer(KVM_CHECK_EXTENSION, -EIO), ==, -EIO);
    g_assert_false(realm_kvm_convert_range(BASE + 0x10000, 4096, true, &err));
    error_free_or_abort(&err);
    g_assert_cmpuint(count_heard("given up its VM"), ==, 1);
    end();
}

/* The first that sees it may be a change of the memory map. */
static void test_dead_slot(void)
{
    start("v16");
    listen_to_errors();
    g_assert_cmpint(realm_kvm_answer(KVM_SET_USER_MEMORY_REGION2, -EIO), ==,
                    0);
    g_assert_true(realm_kvm.dead);
    g_assert_cmpuint(count_heard("given up its VM"), ==, 1);
    end();
}

static unsigned events;

void __wrap_realm_event_ripas(uint64_t bytes, bool private);
void __wrap_realm_event_ripas(uint64_t bytes, bool private)
{
    events++;
}

/* What the Realm asks for has events, and no other conversion. */
static void test_convert(void)
{
    start("v16");
    g_assert_true(double_machine_run(&error_abort));
    g_assert_true(realm_kvm_convert_range(BASE + 0x10000, 4096, false,
                                          &error_abort));
    g_assert_true(realm_kvm_convert_range(BASE + 0x10000, 4096, true,
                                          &error_abort));
    g_assert_cmpuint(events, ==, 0);
    g_assert_cmpint(realm_kvm_convert(BASE + 0x10000, 4096, false), ==, 0);
    g_assert_cmpint(realm_kvm_convert(BASE + 0x10000, 4096, true), ==, 0);
    g_assert_cmpint(realm_kvm_convert(double_shared_bit() + BASE + 0x10000,
                                      4096, false), ==, 0);
    g_assert_cmpuint(events, ==, 3);
    g_assert_cmpint(realm_kvm_convert(0, 4096, true), ==, -EINVAL);
    g_assert_cmpuint(events, ==, 3);
    end();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define TEST(name, function) \
    g_test_add_func("/kvm-double/hook/" name, function)
    TEST("nothing_changes_without_a_realm", test_no_realm);
    TEST("no_dirty_log_of_a_guest_memfd", test_slot_flags);
    TEST("what_the_first_generation_needs", test_rme);
    TEST("what_the_second_generation_needs", test_rmi);
    TEST("the_vm_is_asked_only_where_it_matters", test_extensions);
    TEST("an_extension_that_cannot_be_asked_for", test_extension_fails);
    TEST("no_slot_in_the_shared_half", test_hides);
    TEST("refuse_exits_that_a_realm_cannot_have", test_exits);
    TEST("refuse_events_that_a_realm_cannot_have", test_events);
    TEST("kvm_run_that_is_busy_for_ever", test_busy);
    TEST("the_same_fault_for_ever", test_same_fault);
    TEST("faults_between_which_the_vcpu_runs", test_progress_between_faults);
    TEST("interruptions_are_no_end", test_interrupts);
    TEST("an_error_of_kvm_run_is_an_end", test_run_errors);
    TEST("a_shutdown_is_that_of_another_vcpu", test_shutdown);
    TEST("a_dead_vm_is_left_alone", test_dead);
    TEST("a_dead_vm_is_seen_by_a_slot", test_dead_slot);
    TEST("conversions_are_an_errno", test_convert);
#undef TEST
    return g_test_run();
}
