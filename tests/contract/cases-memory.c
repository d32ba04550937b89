/*
 * The contract of RealmBackendOps: what a Realm meets in memory
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "flow.h"

/* The host maps a page for writing at the first fault, also of a read. */
static void a_fault_on_a_protected_page_is_served_as_a_write(void)
{
    g_autoptr(Machine) m = running_machine("machine");
    const Answer *first = yes(m, GUEST_READ, PAGE_OF(2, 0));

    g_assert_cmphex(first->value, ==, 0);
    g_assert_cmpint(first->extra, ==, 1);
    g_assert_cmpint(yes(m, GUEST_WRITE, PAGE_OF(2, 0), 2)->extra, ==, 0);
    g_assert_cmpint(yes(m, GUEST_READ, PAGE_OF(2, 0))->extra, ==, 0);
    guest_reads(m, PAGE_OF(2, 0), 2);
    g_assert_cmpint(yes(m, GUEST_WRITE, PAGE_OF(3, 0), 3)->extra, ==, 1);
    g_assert_cmpint(yes(m, GUEST_READ, PAGE_OF(3, 0))->extra, ==, 0);
}

static void an_image_needs_no_fault(void)
{
    g_autoptr(Machine) m = running_machine("machine");

    g_assert_cmpint(yes(m, GUEST_WRITE, PAGE_OF(0, 3), 1)->extra, ==, 0);
    g_assert_cmpint(yes(m, GUEST_READ, PAGE_OF(0, 4))->extra, ==, 0);
}

static void halves_are_apart(void)
{
    g_autoptr(Machine) m = running_machine("machine");
    uint64_t page = PAGE_OF(4, 0);

    guest_writes(m, page, 1);
    g_assert_cmphex(yes(m, HOST_READ, page)->value, ==, 0);
    yes(m, HOST_WRITE, page, 2);
    guest_reads(m, page, 1);
    yes(m, GUEST_RIPAS, PAGE_OF(5, 0), PAGE_OF(6, 0), false);
    yes(m, HOST_WRITE, PAGE_OF(5, 3), 3);
    guest_reads(m, SHARED(PAGE_OF(5, 3)), 3);
    guest_writes(m, SHARED(PAGE_OF(5, 3)), 4);
    g_assert_cmphex(yes(m, HOST_READ, PAGE_OF(5, 3))->value, ==, 4);
    guest_reads(m, page, 1);
}

/* No real guest does this: kernels with attributes discard the page. */
static void a_private_page_met_in_the_shared_half(void)
{
    g_autoptr(Machine) m = running_machine("machine");
    uint64_t page = PAGE_OF(4, 0);

    guest_writes(m, page, 1);
    yes(m, HOST_WRITE, page, 2);
    ask(m, GUEST_READ, SHARED(page));
    ask(m, GUEST_READ, page);
}

static void a_page_that_becomes_empty_aborts_and_comes_back_zeroed(void)
{
    g_autoptr(Machine) m = running_machine("machine");
    uint64_t base = PAGE_OF(2, 0), top = PAGE_OF(3, 0);

    guest_writes(m, base, 1);
    guest_writes(m, top, 2);
    yes(m, GUEST_RIPAS, base, top, false);
    access_fails(m, base, CONTRACT_ABORT);
    access_fails(m, PAGE_OF(2, 15), CONTRACT_ABORT);
    guest_reads(m, top, 2);
    guest_writes(m, SHARED(base), 3);
    g_assert_cmphex(yes(m, HOST_READ, base)->value, ==, 3);
    yes(m, GUEST_RIPAS, base, top, true);
    guest_reads(m, base, 0);
    guest_writes(m, base, 4);
    g_assert_cmphex(yes(m, HOST_READ, base)->value, ==, 0);
}

static void ripas_of_the_guest_may_be_set_to_what_it_is(void)
{
    g_autoptr(Machine) m = running_machine("machine");

    guest_writes(m, PAGE_OF(2, 0), 1);
    yes(m, GUEST_RIPAS, PAGE_OF(2, 0), PAGE_OF(3, 0), true);
    guest_reads(m, PAGE_OF(2, 0), 1);
    yes(m, GUEST_RIPAS, PAGE_OF(5, 0), PAGE_OF(6, 0), false);
    yes(m, GUEST_RIPAS, PAGE_OF(5, 0), PAGE_OF(6, 0), false);
    access_fails(m, PAGE_OF(5, 0), CONTRACT_ABORT);
}

/* A host with larger pages can neither take back nor give a granule. */
static void a_granule_changes_its_ripas_where_hosts_have_such_pages(void)
{
    g_autoptr(Machine) m = running_machine("machine");

    touch_chunk(m, 2);
    ask(m, GUEST_RIPAS, PAGE_OF(2, 1), PAGE_OF(2, 2), false);
}

static void all_of_ram_may_become_empty_and_ram_again(void)
{
    g_autoptr(Machine) m = running_machine("machine");

    touch_chunk(m, 1);
    yes(m, GUEST_RIPAS, PAGE_OF(1, 0), CONTRACT_RAM_TOP, false);
    access_fails(m, PAGE_OF(1, 0), CONTRACT_ABORT);
    access_fails(m, CONTRACT_RAM_TOP - 8, CONTRACT_ABORT);
    guest_reads(m, CONTRACT_RAM_BASE, IMAGE_WORD);
    yes(m, GUEST_RIPAS, PAGE_OF(1, 0), CONTRACT_RAM_TOP, true);
    works(m);
    guest_reads(m, CONTRACT_RAM_TOP - 8, 0);
}

/* No RAM was declared there, so it is EMPTY: an abort, not an exit. */
static void outside_of_ram_protected_memory_aborts(void)
{
    g_autoptr(Machine) m = running_machine("machine");

    access_fails(m, 0, CONTRACT_ABORT);
    access_fails(m, CONTRACT_RAM_BASE - 8, CONTRACT_ABORT);
    access_fails(m, CONTRACT_RAM_TOP, CONTRACT_ABORT);
    access_fails(m, SHARED(0) - 8, CONTRACT_ABORT);
    works(m);
}

static void where_there_is_nothing_shared_memory_aborts(void)
{
    g_autoptr(Machine) m = running_machine("machine");

    access_fails(m, SHARED(CONTRACT_RAM_TOP), CONTRACT_ABORT);
    access_fails(m, SHARED(CONTRACT_ROM_BASE - 8), CONTRACT_ABORT);
    works(m);
}

static void beyond_the_address_width_everything_aborts(void)
{
    g_autoptr(Machine) m = running_machine("machine");

    access_fails(m, BEYOND(0), CONTRACT_ABORT);
    access_fails(m, BEYOND(CONTRACT_RAM_BASE), CONTRACT_ABORT);
    works(m);
}

static void a_shared_mapping_that_is_read_only_is_not_written(void)
{
    g_autoptr(Machine) m = running_machine("machine");
    const Answer *got;

    guest_reads(m, SHARED(CONTRACT_ROM_BASE), CONTRACT_ROM_WORD);
    got = ask(m, GUEST_WRITE, SHARED(CONTRACT_ROM_BASE), 1);
    g_assert_false(got->ok);
    g_assert_cmpint(got->value, ==, CONTRACT_HOST);
    guest_reads(m, SHARED(CONTRACT_ROM_BASE), CONTRACT_ROM_WORD);
    /* Nor is it written before it was read. */
    got = ask(m, GUEST_WRITE, SHARED(CONTRACT_ROM_BASE + CONTRACT_ROM_SIZE - 8),
              1);
    g_assert_false(got->ok);
    g_assert_cmpint(got->value, ==, CONTRACT_HOST);
    guest_reads(m, SHARED(CONTRACT_ROM_BASE + CONTRACT_ROM_SIZE - 8), 0);
    /* And the protected half has nothing there. */
    access_fails(m, CONTRACT_ROM_BASE, CONTRACT_ABORT);
}

#define CASE(name) { #name, name }

const Case memory_cases[] = {
    CASE(a_fault_on_a_protected_page_is_served_as_a_write),
    CASE(an_image_needs_no_fault),
    CASE(halves_are_apart),
    CASE(a_private_page_met_in_the_shared_half),
    CASE(a_page_that_becomes_empty_aborts_and_comes_back_zeroed),
    CASE(ripas_of_the_guest_may_be_set_to_what_it_is),
    CASE(a_granule_changes_its_ripas_where_hosts_have_such_pages),
    CASE(all_of_ram_may_become_empty_and_ram_again),
    CASE(outside_of_ram_protected_memory_aborts),
    CASE(where_there_is_nothing_shared_memory_aborts),
    CASE(beyond_the_address_width_everything_aborts),
    CASE(a_shared_mapping_that_is_read_only_is_not_written),
    { NULL }
};
