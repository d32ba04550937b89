/*
 * A Realm's life on KVM, in all posted versions of the interface
 *
 * Purpose: the KVM backend against the stand-in kernel, which fails the test
 * at a call that the version's interface forbids.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "double.h"

static const char *const versions[] = {
    "v5", "v8", "v9", "v10", "v12", "v13", "v14", "v15"
};

static const size_t page_sizes[] = { 4096, 16384, 65536 };

static DoubleMachineOptions machine_options(void)
{
    return (DoubleMachineOptions) {
        .config = double_default_config,
        .images = { { 0, 0x3000 }, { 0x200000, 0x11000 } },
    };
}

static void check_image(uint64_t ipa, uint64_t size)
{
    g_autofree uint8_t *buf = g_malloc(size);

    g_assert_cmpint(double_guest_read(0, ipa, buf, size, &error_abort), ==,
                    DOUBLE_DONE);
    for (uint64_t i = 0; i < size; i++) {
        g_assert_cmphex(buf[i], ==, double_image_byte(ipa + i));
    }
}

static void check_runs(void)
{
    const RealmConfig *config = &double_default_config;
    uint64_t page = config->ram_base + 0x100000, value = 0x1234, back = 0;

    check_image(config->ram_base, 0x3000);
    check_image(config->ram_base + 0x200000, 0x11000);
    g_assert_cmpint(double_guest_write(0, page, &value, 8, &error_abort), ==,
                    DOUBLE_DONE);
    g_assert_cmpint(double_guest_read(0, page, &back, 8, &error_abort), ==,
                    DOUBLE_DONE);
    g_assert_cmphex(back, ==, value);
    g_assert_cmphex(*(uint64_t *)double_shared(page, 8), ==, 0);
}

static void life(const char *version, size_t page_size)
{
    DoubleOptions options = { version, page_size };
    DoubleMachineOptions m = machine_options();

    double_start(&options);
    g_assert_true(double_machine_create(&m, &error_abort));
    g_assert_true(double_machine_run(&error_abort));
    check_runs();
    double_machine_destroy();
    double_stop();
}

static void test_life(void)
{
    for (size_t v = 0; v < ARRAY_SIZE(versions); v++) {
        for (size_t p = 0; p < ARRAY_SIZE(page_sizes); p++) {
            life(versions[v], page_sizes[p]);
        }
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/kvm-double/life/an_image_runs", test_life);
    return g_test_run();
}
