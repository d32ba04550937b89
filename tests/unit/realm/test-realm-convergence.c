/*
 * A Realm's migration comes to an end
 *
 * Purpose: migration/realm/convergence.c with a clock, a stream and a ram.c
 * that the test moves.  What is expected follows from the parameters' text in
 * qapi/migration.json.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/module.h"
#include "qemu/timer.h"
#include "migration/migration-stats.h"
#include "migration/realm/convergence.h"
#include "migration/realm/realm-migration.h"
#include "fake-backend.h"
#include "fake-migration.h"

#define KIB 1024
#define SECOND 1000

static RealmConfig config = { .ram_size = FAKE_PAGES * REALM_PAGE_SIZE };
static int64_t now;             /* ms */

int64_t __wrap_qemu_clock_get_ns(QEMUClockType type);

int64_t __wrap_qemu_clock_get_ns(QEMUClockType type)
{
    return now * SCALE_MS;
}

/* After @ms more, in which so much was sent, a round of @pages begins. */
static void round_after(int64_t ms, uint64_t sent, uint64_t pages)
{
    now += ms;
    stat64_add(&mig_stats.qemu_file_transferred, sent);
    realm_convergence_round(pages);
    realm_counters_begin_round(pages);
}

/* Of the round that is on its way, @pages were sent, as @bytes. */
static void sent_pages(uint64_t pages, uint64_t bytes)
{
    realm_counters_add_blob(bytes, pages);
    realm_counters_exported(pages);
}

/* @pages of the round are left. */
static void leave(uint64_t pages)
{
    if (realm_counters_remaining() < pages) {
        realm_counters_begin_round(pages);
    }
    realm_counters_exported(realm_counters_remaining() - pages);
}

/* A second in which all was sent, and @kib_dirtied were written meanwhile. */
static void second(uint64_t kib_sent, uint64_t kib_dirtied)
{
    leave(0);
    round_after(SECOND, kib_sent * KIB, kib_dirtied / 4);
}

/* A migration begins, with QEMU's own parameters. */
static void begin(bool auto_converge)
{
    memset(&mig_stats, 0, sizeof(mig_stats));
    fake_migration.throttle = 0;
    fake_migration_capability(MIGRATION_CAPABILITY_AUTO_CONVERGE,
                              auto_converge);
    *fake_migration_parameters() = (MigrationParameters) {
        .throttle_trigger_threshold = 50,
        .cpu_throttle_initial = 20,
        .cpu_throttle_increment = 10,
        .max_cpu_throttle = 99,
    };
    now += 12345;
    realm_counters_reset(0);
    round_after(0, 0, 1000000);
}

static void check_throttle(int percentage)
{
    g_assert_cmpint(fake_migration.throttle, ==, percentage);
}

static void test_starts_at_the_second_fast_period(void)
{
    begin(true);
    second(1000, 504);
    check_throttle(0);
    second(1000, 504);
    check_throttle(20);
    second(1000, 504);
    check_throttle(20);
    second(1000, 504);
    check_throttle(30);
}

static void test_threshold(void)
{
    begin(true);
    for (int i = 0; i < 4; i++) {
        second(1000, 500);
        check_throttle(0);
    }
    fake_migration_parameters()->throttle_trigger_threshold = 49;
    second(1000, 500);
    second(1000, 500);
    check_throttle(20);
}

static void test_off_without_auto_converge(void)
{
    begin(false);
    for (int i = 0; i < 4; i++) {
        second(1000, 100000);
        check_throttle(0);
    }
}

static void test_initial_increment_and_maximum(void)
{
    const int expected[] = { 7, 27, 47, 60, 60 };

    begin(true);
    fake_migration_parameters()->cpu_throttle_initial = 7;
    fake_migration_parameters()->cpu_throttle_increment = 20;
    fake_migration_parameters()->max_cpu_throttle = 60;
    for (int i = 0; i < ARRAY_SIZE(expected); i++) {
        second(1000, 100000);
        second(1000, 100000);
        check_throttle(expected[i]);
    }
}

/*
 * 80 % of the vCPUs write 800 KiB a second; 500 are allowed, that is 50 %: 30
 * more, where the increment allows it.
 */
static void test_tailslow_asks_for_no_more_than_needed(void)
{
    begin(true);
    fake_migration_parameters()->cpu_throttle_tailslow = true;
    fake_migration_parameters()->cpu_throttle_increment = 40;
    second(1000, 800);
    second(1000, 800);
    check_throttle(20);
    second(1000, 800);
    second(1000, 800);
    check_throttle(50);
    fake_migration_parameters()->cpu_throttle_increment = 5;
    second(1000, 800);
    second(1000, 800);
    check_throttle(55);
}

/* Short rounds are one period together. */
static void test_periods_are_a_second(void)
{
    begin(true);
    for (int i = 1; i < 20; i++) {
        leave(0);
        round_after(100, 100 * KIB, 13 * 2);    /* 104 KiB */
        check_throttle(0);
    }
    leave(0);
    round_after(100, 100 * KIB, 13 * 2);
    check_throttle(20);
}

/* What is left of a round was not written in it. */
static void test_what_is_left_was_not_dirtied(void)
{
    begin(true);
    for (int i = 0; i < 4; i++) {
        leave(900000);
        round_after(SECOND, 1000 * KIB, 900000 + 125);
        check_throttle(0);
    }
    leave(900000);
    round_after(SECOND, 1000 * KIB, 900000 + 126);
    leave(900000);
    round_after(SECOND, 1000 * KIB, 900000 + 126);
    check_throttle(20);
}

/* Neither kind of memory is written fast, but both together are. */
static void test_shared_pages_count_as_well(void)
{
    begin(true);
    for (int i = 0; i < 2; i++) {
        check_throttle(0);
        stat64_set(&mig_stats.dirty_pages_rate, 300 / 4);
        second(1000, 300);
    }
    check_throttle(20);
}

/* In each round ram.c is asked first. */
static void test_what_ram_raised_is_raised_once(void)
{
    begin(true);
    second(1000, 10000);
    fake_migration.throttle = 20;
    second(1000, 10000);
    check_throttle(20);
    second(1000, 10000);
    second(1000, 10000);
    check_throttle(30);
}

/* Private pages are added once to what ram.c has found, whenever it did. */
static void test_figures_have_both_kinds_of_memory(void)
{
    begin(false);
    g_assert_cmpint(stat64_get(&mig_stats.dirty_bytes_last_sync), ==,
                    1000000ull * (REALM_PAGE_SIZE + 8));
    stat64_set(&mig_stats.dirty_pages_rate, 5);
    stat64_set(&mig_stats.dirty_bytes_last_sync, 4242);
    for (int i = 0; i < 3; i++) {
        second(1000, 400);
        g_assert_cmpint(stat64_get(&mig_stats.dirty_pages_rate), ==, 5 + 100);
        g_assert_cmpint(stat64_get(&mig_stats.dirty_bytes_last_sync), ==,
                        4242 + 100 * (REALM_PAGE_SIZE + 8));
    }
}

/* The first round has all memory: that it was zero says nothing. */
static void test_pages_take_what_the_round_before_took(void)
{
    const uint64_t full = REALM_PAGE_SIZE + 8;

    begin(false);
    g_assert_cmpint(realm_convergence_page_bytes(), ==, full);
    sent_pages(1000, 1000 * 300);
    round_after(10, 0, 100);
    g_assert_cmpint(realm_convergence_page_bytes(), ==, full);
    sent_pages(100, 100 * 1000);
    round_after(10, 0, 100);
    g_assert_cmpint(realm_convergence_page_bytes(), ==, 1000);
    round_after(10, 0, 100);            /* nothing was sent */
    g_assert_cmpint(realm_convergence_page_bytes(), ==, 1000);
    sent_pages(100, 100 * 2000);
    round_after(10, 0, 100);
    g_assert_cmpint(realm_convergence_page_bytes(), ==, 2000);
}

static void test_estimates_are_bounded(void)
{
    const uint64_t full = REALM_PAGE_SIZE + 8;

    begin(false);
    round_after(10, 0, 100);
    sent_pages(100, 100 * 8);
    round_after(10, 0, 100);
    g_assert_cmpint(realm_convergence_page_bytes(), ==, REALM_PAGE_SIZE / 16);
    sent_pages(1, 100000);
    round_after(10, 0, 100);
    g_assert_cmpint(realm_convergence_page_bytes(), ==, full);
    config.mte = true;
    begin(false);
    g_assert_cmpint(realm_convergence_page_bytes(), ==, full + 129);
    config.mte = false;
}

/* Nothing of a migration that failed is left. */
static void test_another_migration_begins_anew(void)
{
    begin(true);
    second(1000, 10000);
    sent_pages(10, 10 * 300);
    second(1000, 10000);
    second(1000, 10000);
    begin(true);
    second(1000, 10000);
    check_throttle(0);
    g_assert_cmpint(realm_convergence_page_bytes(), ==, REALM_PAGE_SIZE + 8);
}

static void test_a_vcpu_that_was_asked_to_sleep_is_asked_again(void)
{
    CPUState cpu = { .throttle_thread_scheduled = true };

    QTAILQ_INSERT_TAIL_RCU(&cpus_queue, &cpu, node);
    begin(true);
    g_assert_false(cpu.throttle_thread_scheduled);
    cpu.throttle_thread_scheduled = true;
    second(1000, 10000);
    g_assert_true(cpu.throttle_thread_scheduled);
    QTAILQ_REMOVE_RCU(&cpus_queue, &cpu, node);
}

int main(int argc, char **argv)
{
    module_call_init(MODULE_INIT_QOM);
    g_test_init(&argc, &argv, NULL);
    realm_backend_set(&fake_backend, &config);
#define ADD(test) g_test_add_func("/realm/convergence/" #test, test_##test)
    ADD(starts_at_the_second_fast_period);
    ADD(threshold);
    ADD(off_without_auto_converge);
    ADD(initial_increment_and_maximum);
    ADD(tailslow_asks_for_no_more_than_needed);
    ADD(periods_are_a_second);
    ADD(what_is_left_was_not_dirtied);
    ADD(shared_pages_count_as_well);
    ADD(what_ram_raised_is_raised_once);
    ADD(figures_have_both_kinds_of_memory);
    ADD(pages_take_what_the_round_before_took);
    ADD(estimates_are_bounded);
    ADD(another_migration_begins_anew);
    ADD(a_vcpu_that_was_asked_to_sleep_is_asked_again);
    return g_test_run();
}
