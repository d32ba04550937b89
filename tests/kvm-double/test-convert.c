/*
 * A Realm's memory in place, on the newest kernel
 *
 * Purpose: accel/kvm/realm/convert.c where guest_memfd has both halves of the
 * Realm's memory: what the kernel is asked for, and what is left when it
 * refuses.  test-life.c has what is the same in all versions.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <linux/kvm.h>
#include <linux/kvm-arm-cca.h>
#include "qapi/error.h"
#include "qemu/units.h"
#include "accel/kvm/realm/realm-kvm.h"
#include "system/realm-kvm.h"
#include "double.h"

#define BASE    (1 * GiB)               /* of RAM */
#define RAM     (4 * MiB)
#define PAGE    (BASE + 0x100000)

static const size_t page_sizes[] = { 4 * KiB, 16 * KiB, 64 * KiB };

static void start(size_t page_size, bool incoming)
{
    DoubleOptions options = { "v16", page_size };
    DoubleMachineOptions machine = {
        .config = double_default_config,
        .incoming = incoming,
        .images = { { 0x200000, 0x10800 }, { 0, 0x3000 } },
    };

    double_start(&options);
    g_assert_true(double_machine_create(&machine, &error_abort));
}

static void end(void)
{
    double_machine_destroy();
    double_stop();
}

static uint64_t alias(uint64_t ipa)
{
    return ipa | double_shared_bit();
}

static void writes(uint64_t ipa, uint64_t value)
{
    g_assert_cmpint(double_guest_write(0, ipa, &value, sizeof(value),
                                       &error_abort), ==, DOUBLE_DONE);
}

static uint64_t reads(uint64_t ipa)
{
    uint64_t value = 0;

    g_assert_cmpint(double_guest_read(0, ipa, &value, sizeof(value),
                                      &error_abort), ==, DOUBLE_DONE);
    return value;
}

static void converts(uint64_t ipa, uint64_t size, bool to_private)
{
    g_assert_true(realm_kvm_convert_range(ipa, size, to_private,
                                          &error_abort));
}

/* The conversion fails, with these words in the message. */
static void refused(uint64_t ipa, uint64_t size, bool to_private,
                    const char *const words[])
{
    Error *err = NULL;

    g_assert_false(realm_kvm_convert_range(ipa, size, to_private, &err));
    g_test_message("%s", error_get_pretty(err));
    for (; *words; words++) {
        g_assert_nonnull(strstr(error_get_pretty(err), *words));
    }
    error_free(err);
}

#define REFUSED(ipa, size, to_private, ...) \
    refused(ipa, size, to_private, (const char *const[]) { __VA_ARGS__, NULL })

/* ---- The calls for attributes ---- */

static struct {
    unsigned calls;
    struct kvm_memory_attributes2 last;
    uint64_t unpin;             /* after this many calls of them */
    int error;                  /* that the kernel returns instead */
} watched;

static void watch(DoubleCall *call, bool after, void *unused)
{
    g_assert_cmphex(call->request, !=, KVM_SET_MEMORY_ATTRIBUTES);
    if (after || (uint32_t)call->request !=
                 (uint32_t)KVM_SET_MEMORY_ATTRIBUTES2) {
        return;
    }
    watched.last = *(struct kvm_memory_attributes2 *)call->arg;
    watched.calls++;
    if (watched.unpin && watched.calls == watched.unpin) {
        double_pin(PAGE, false);
    }
    call->ret = -watched.error;
}

static void start_and_watch(size_t page_size)
{
    start(page_size, false);
    watched.calls = watched.unpin = watched.error = 0;
    double_set_hook(watch, NULL);
    g_assert_true(double_machine_run(&error_abort));
}

/* ---- Tests ---- */

static void test_all_is_private_once_it_runs(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(page_sizes); i++) {
        start(page_sizes[i], false);
        g_assert_cmpuint(double_lent(BASE, RAM), ==, RAM / REALM_PAGE_SIZE);
        g_assert_true(double_machine_run(&error_abort));
        g_assert_cmpuint(double_lent(BASE, RAM), ==, 0);
        end();
    }
}

/* Pages of the file, by offset, as the Realm shares and takes them. */
static void test_the_attribute_is_that_of_the_file(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(page_sizes); i++) {
        start_and_watch(page_sizes[i]);
        watched.calls = 0;
        g_assert_cmpint(double_guest_set_ripas(0, PAGE, 64 * KiB, false,
                                               &error_abort), ==, DOUBLE_DONE);
        g_assert_cmpuint(watched.calls, ==, 1);
        g_assert_cmphex(watched.last.offset, ==, PAGE - BASE);
        g_assert_cmphex(watched.last.size, ==, 64 * KiB);
        g_assert_cmphex(watched.last.attributes, ==, 0);
        g_assert_cmpint(double_guest_set_ripas(0, PAGE, 64 * KiB, true,
                                               &error_abort), ==, DOUBLE_DONE);
        g_assert_cmpuint(watched.calls, ==, 2);
        g_assert_cmphex(watched.last.offset, ==, PAGE - BASE);
        g_assert_cmphex(watched.last.attributes, ==,
                        KVM_MEMORY_ATTRIBUTE_PRIVATE);
        end();
    }
}

/* The first access at either address of a page. */
static void test_a_page_is_what_the_realm_uses_it_for(void)
{
    start(4 * KiB, false);
    g_assert_true(double_machine_run(&error_abort));
    writes(alias(PAGE), 1);
    g_assert_cmpuint(double_lent(BASE, RAM), ==, 1);
    g_assert_cmphex(*double_shared(PAGE, 1), ==, 1);
    writes(PAGE, 2);
    g_assert_cmpuint(double_lent(BASE, RAM), ==, 0);
    g_assert_cmphex(*double_shared(PAGE, 1), ==, 0);
    g_assert_cmphex(reads(PAGE), ==, 2);
    end();
}

static void test_what_is_shared_stays_in_the_file(void)
{
    start(4 * KiB, false);
    g_assert_true(double_machine_run(&error_abort));
    converts(PAGE, 8 * KiB, false);
    *double_shared(PAGE, 1) = 3;
    *double_shared(PAGE + 4 * KiB, 1) = 4;
    converts(PAGE, 8 * KiB, false);             /* it is already */
    converts(PAGE + 4 * KiB, 4 * KiB, true);
    g_assert_cmphex(reads(alias(PAGE)), ==, 3);
    g_assert_cmpuint(double_lent(BASE, RAM), ==, 1);
    end();
}

/* I/O that comes to its end is waited for. */
static void test_a_pinned_page_is_waited_for(void)
{
    start_and_watch(4 * KiB);
    writes(alias(PAGE), 1);
    double_pin(PAGE, true);
    watched.calls = 0;
    watched.unpin = 20;
    writes(PAGE, 2);
    g_assert_cmpuint(watched.calls, ==, 20);
    g_assert_cmphex(reads(PAGE), ==, 2);
    g_assert_cmpuint(double_lent(BASE, RAM), ==, 0);
    end();
}

/* And is still shared, with its contents, if that does not end. */
static void test_a_page_that_stays_pinned_stays_shared(void)
{
    start_and_watch(4 * KiB);
    converts(PAGE - 4 * KiB, 12 * KiB, false);
    writes(alias(PAGE), 7);
    double_pin(PAGE, true);
    REFUSED(PAGE - 4 * KiB, 12 * KiB, true, "KVM_SET_MEMORY_ATTRIBUTES2",
            "private", "0xff000", "0x100000", "in use");
    g_assert_cmpuint(double_lent(BASE, RAM), ==, 3);
    g_assert_cmphex(*double_shared(PAGE, 1), ==, 7);
    g_assert_cmphex(reads(alias(PAGE)), ==, 7);
    double_pin(PAGE, false);
    writes(PAGE, 8);
    g_assert_cmphex(reads(PAGE), ==, 8);
    end();
}

static void test_a_refused_conversion_changes_nothing(void)
{
    start_and_watch(4 * KiB);
    writes(PAGE, 5);
    writes(alias(PAGE + 4 * KiB), 6);
    watched.error = ENOMEM;
    REFUSED(PAGE, 4 * KiB, false, "shared", "0x1000", strerror(ENOMEM));
    REFUSED(PAGE + 4 * KiB, 4 * KiB, true, "private", strerror(ENOMEM));
    watched.error = -1;         /* no answer that can be */
    REFUSED(PAGE, 4 * KiB, false, "KVM_SET_MEMORY_ATTRIBUTES2", "returned 1");
    watched.error = 0;
    g_assert_cmpuint(double_lent(PAGE, 8 * KiB), ==, 1);
    g_assert_cmphex(reads(PAGE), ==, 5);
    g_assert_cmphex(*double_shared(PAGE + 4 * KiB, 1), ==, 6);
    end();
}

/* A device's address: the Realm may say that it is shared. */
static void test_what_is_no_ram_is_shared(void)
{
    start_and_watch(4 * KiB);
    watched.calls = 0;
    converts(0x9000000, 4 * KiB, false);
    converts(BASE - 4 * KiB, 4 * KiB, false);
    converts(BASE + RAM, 4 * KiB, false);
    converts(alias(BASE + RAM), 4 * KiB, false);
    REFUSED(BASE - 4 * KiB, 8 * KiB, true, "not its RAM");
    REFUSED(BASE + RAM - 4 * KiB, 8 * KiB, true, "not its RAM");
    REFUSED(BASE + RAM, 4 * KiB, true, "not its RAM");
    REFUSED(0x9000000, 4 * KiB, true, "not its RAM");
    g_assert_cmpuint(watched.calls, ==, 0);
    end();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define TEST(name) g_test_add_func("/kvm-double/convert/" #name, test_##name)
    TEST(all_is_private_once_it_runs);
    TEST(the_attribute_is_that_of_the_file);
    TEST(a_page_is_what_the_realm_uses_it_for);
    TEST(what_is_shared_stays_in_the_file);
    TEST(a_pinned_page_is_waited_for);
    TEST(a_page_that_stays_pinned_stays_shared);
    TEST(a_refused_conversion_changes_nothing);
    TEST(what_is_no_ram_is_shared);
    return g_test_run();
}
