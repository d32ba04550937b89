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
#include "double.h"

#define BASE    (1 * GiB)               /* of RAM */

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

static bool refuses(uint32_t reason)
{
    struct kvm_run run = { .exit_reason = reason };

    return realm_kvm_refuse_exit(&run);
}

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

/* The answer is the VM's, which has fewer extensions than the system. */
static void test_extensions(void)
{
    int result = -1;

    start("v14");
    g_assert_true(realm_kvm_check_extension(kvm_state, KVM_CAP_IRQCHIP,
                                            &result));
    g_assert_cmpint(result, ==, 1);
    g_assert_true(realm_kvm_check_extension(kvm_state, 240, &result));
    g_assert_cmpint(result, ==, 0);
    g_assert_cmpint(kvm_ioctl(kvm_state, KVM_CHECK_EXTENSION, 240), ==, 1);
    end();
}

static void fail(DoubleCall *call, bool after, void *opaque)
{
    call->ret = -ENOMEM;
}

static void test_extension_fails(void)
{
    int result = -1;

    start("v14");
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
        KVM_EXIT_FAIL_ENTRY,
    };
    unsigned refused = 0;

    start("v14");
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

static void test_convert(void)
{
    start("v14");
    g_assert_true(double_machine_run(&error_abort));
    g_assert_cmpint(realm_kvm_convert(BASE + 0x10000, 4096, false), ==, 0);
    g_assert_cmpint(realm_kvm_convert(BASE + 0x10000, 4096, true), ==, 0);
    g_assert_cmpint(realm_kvm_convert(double_shared_bit() + BASE + 0x10000,
                                      4096, false), ==, 0);
    g_assert_cmpint(realm_kvm_convert(0, 4096, false), ==, -EINVAL);
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
    TEST("the_vm_is_asked_for_extensions", test_extensions);
    TEST("an_extension_that_cannot_be_asked_for", test_extension_fails);
    TEST("no_slot_in_the_shared_half", test_hides);
    TEST("refuse_exits_that_a_realm_cannot_have", test_exits);
    TEST("conversions_are_an_errno", test_convert);
#undef TEST
    return g_test_run();
}
