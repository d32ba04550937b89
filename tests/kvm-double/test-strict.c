/*
 * The stand-in kernel forbids what the interface forbids
 *
 * Purpose: a test of the double itself: calls out of order, and arguments
 * that no version allows, are refused.  With double_probing each is an errno;
 * without, it is the end of the test that made it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <sys/wait.h>
#include "qapi/error.h"
#include "qemu/units.h"
#include "accel/kvm/realm/realm-kvm.h"
#include "internal.h"
#include "machine.h"

#define BASE    (1 * GiB)

static void start(const char *version)
{
    DoubleOptions options = { version, .migration = true, .mte = true };
    DoubleMachineOptions m = {
        .config = double_default_config, .images = { { 0, 0x2000 } },
    };

    double_start(&options);
    g_assert_true(double_machine_create(&m, &error_abort));
}

static void end(void)
{
    double_machine_destroy();
    double_stop();
}

static int vm_call(unsigned long request, void *arg)
{
    return kvm_vm_ioctl(kvm_state, request, arg);
}

static void refused(int ret)
{
    g_assert_cmpint(ret, <, 0);
}

static int step(uint64_t n, const void *arg)
{
    struct kvm_enable_cap cap = {
        .cap = realm_kvm.abi.rme_cap, .args = { n, (uintptr_t)arg },
    };

    return vm_call(KVM_ENABLE_CAP, &cap);
}

/* Before, and after, the only state that a step has. */
static void test_order_of_rme(void)
{
    struct kvm_arm_rme_init_ripas ripas = { BASE, 0x1000 };
    struct kvm_arm_rme_populate image = { BASE, 0x1000 };
    struct kvm_arm_rme_config config = { .cfg = KVM_ARM_RME_CFG_HASH_ALGO };

    start("v10");
    double_probing(true);
    refused(step(KVM_ARM_RME_INIT_RIPAS, &ripas));
    refused(step(KVM_ARM_RME_POPULATE, &image));
    refused(step(KVM_ARM_RME_ACTIVATE, NULL));
    refused(step(KVM_ARM_RME_ACTIVATE + 1, NULL));
    refused(kvm_vcpu_ioctl(first_cpu, KVM_RUN, 0));
    double_probing(false);
    g_assert_true(double_machine_run(&error_abort));
    double_probing(true);
    refused(step(KVM_ARM_RME_CONFIG_REALM, &config));
    refused(step(KVM_ARM_RME_CREATE_REALM, NULL));
    refused(step(KVM_ARM_RME_INIT_RIPAS, &ripas));
    refused(step(KVM_ARM_RME_POPULATE, &image));
    refused(step(KVM_ARM_RME_ACTIVATE, NULL));
    refused(vm_call(KVM_CREATE_VCPU, (void *)2));
    end();
}

static void test_order_of_rmi(void)
{
    uint64_t page = BASE + 0x10000;
    g_autofree void *source = g_malloc(8192);
    struct kvm_arm_rmi_populate args = {
        page, 4096, QEMU_ALIGN_UP((uintptr_t)source, 4096),
    };

    start("v14");
    g_assert_true(double_machine_run(&error_abort));
    double_probing(true);
    args.reserved = 1;
    refused(vm_call(KVM_ARM_RMI_POPULATE, &args));
    args.reserved = 0;
    args.flags = 2;
    refused(vm_call(KVM_ARM_RMI_POPULATE, &args));
    args.flags = 0;
    refused(vm_call(KVM_ARM_RMI_POPULATE_V12, &args));
    args.base = BASE;
    refused(vm_call(KVM_ARM_RMI_POPULATE, &args));      /* twice */
    args.base = page;
    g_assert_cmpint(double_guest_write(0, page, "x", 1, &error_abort), ==,
                    DOUBLE_DONE);
    refused(vm_call(KVM_ARM_RMI_POPULATE, &args));      /* it has run */
    end();
}

static void test_memory(void)
{
    struct kvm_userspace_memory_region2 region = {
        .slot = 1, .flags = KVM_MEM_GUEST_MEMFD | KVM_MEM_LOG_DIRTY_PAGES,
        .guest_phys_addr = 2 * GiB, .memory_size = 4096,
    };
    struct kvm_memory_attributes attributes = {
        .address = 3 * GiB, .size = 4096,
    };

    start("v15");
    region.guest_memfd = machine.gmem;
    double_probing(true);
    refused(vm_call(KVM_SET_USER_MEMORY_REGION2, &region));
    refused(vm_call(KVM_SET_MEMORY_ATTRIBUTES, &attributes));
    end();
    start("v14");
    double_probing(true);
    refused(vm_call(KVM_SET_MEMORY_ATTRIBUTES, &attributes));
    attributes = (struct kvm_memory_attributes) { .address = BASE + 1,
                                                  .size = 4096 };
    refused(vm_call(KVM_SET_MEMORY_ATTRIBUTES, &attributes));
    end();
}

static void test_migration(void)
{
    struct kvm_arm_realm_migrate args = { .cmd = 12 };
    struct kvm_arm_realm_dirty_log log = {
        .base = BASE, .size = 4096, .num_runs = 1, .runs = 1, .flags = 3,
    };
    struct kvm_arm_realm_pages pages = { .count = 513, .list = 1, .blob = 1,
                                         .blob_size = 1 };

    start("v14");
    g_assert_true(double_machine_run(&error_abort));
    g_assert_cmpint(double_guest_write(0, BASE, "x", 1, &error_abort), ==,
                    DOUBLE_DONE);
    double_probing(true);
    refused(vm_call(KVM_ARM_REALM_MIGRATE, &args));
    args = (struct kvm_arm_realm_migrate) { .flags = 1 };
    refused(vm_call(KVM_ARM_REALM_MIGRATE, &args));
    args = (struct kvm_arm_realm_migrate) { .cmd = KVM_ARM_REALM_MIG_PAUSE,
                                            .part = 1 };
    refused(vm_call(KVM_ARM_REALM_MIGRATE, &args));
    refused(vm_call(KVM_ARM_REALM_DIRTY_LOG, &log));
    refused(vm_call(KVM_ARM_REALM_EXPORT_PAGES, &pages));
    refused(vm_call(KVM_ARM_REALM_IMPORT_PAGES, &pages));
    end();
}

static void test_fails_the_test(void)
{
    int status;
    pid_t pid;

    start("v14");
    pid = fork();
    if (pid == 0) {
        dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
        vm_call(KVM_ARM_RMI_POPULATE_V12, NULL);
        _exit(0);
    }
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    end();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define TEST(name, function) \
    g_test_add_func("/kvm-double/strict/" name, function)
    TEST("steps_of_rme_out_of_order", test_order_of_rme);
    TEST("populate_of_rmi", test_order_of_rmi);
    TEST("slots_and_attributes", test_memory);
    TEST("steps_of_a_migration", test_migration);
    TEST("a_forbidden_call_fails_the_test", test_fails_the_test);
#undef TEST
    return g_test_run();
}
