/*
 * The contract of RealmBackendOps: how a Realm comes to be, runs and stops
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/units.h"
#include "flow.h"

#define PAGE REALM_PAGE_SIZE
#define LAST_PAGE (CONTRACT_RAM_TOP - PAGE)

static Machine *new_machine(void)
{
    return loaded_machine("machine", &(ContractSetup) { 0 });
}

/* Only the RAM is RAM, whatever else was asked for. */
static void runs_as_declared(Machine *m)
{
    yes(m, START);
    guest_reads(m, CONTRACT_RAM_BASE, IMAGE_WORD);
    guest_reads(m, LAST_PAGE, 0);
    access_fails(m, CONTRACT_RAM_BASE - PAGE, CONTRACT_ABORT);
    access_fails(m, CONTRACT_RAM_TOP, CONTRACT_ABORT);
    works(m);
}

/* ---- init_ripas ---- */

static void ripas_of_an_empty_range_succeeds_and_does_nothing(void)
{
    g_autoptr(Machine) m = new_machine();

    yes(m, INIT_RIPAS, CONTRACT_RAM_TOP, 0);
    yes(m, INIT_RIPAS, CONTRACT_RAM_BASE, 0);   /* where other RAM is */
    yes(m, INIT_RIPAS, 0, 0);
    yes(m, INIT_RIPAS, SHARED(0), 0);           /* where the half ends */
    runs_as_declared(m);
}

static void ripas_of_an_empty_range_has_an_aligned_address_below_the_limit(void)
{
    g_autoptr(Machine) m = new_machine();

    no(m, INIT_RIPAS, CONTRACT_RAM_TOP + 1, 0);
    no(m, INIT_RIPAS, SHARED(CONTRACT_CHUNK), 0);
    no(m, INIT_RIPAS, -CONTRACT_CHUNK, 0);
    runs_as_declared(m);
}

static void ripas_of_a_range_that_wraps_is_an_invalid_argument(void)
{
    g_autoptr(Machine) m = new_machine();

    no(m, INIT_RIPAS, CONTRACT_RAM_TOP, -CONTRACT_RAM_TOP);
    no(m, INIT_RIPAS, CONTRACT_RAM_TOP, -CONTRACT_CHUNK);
    no(m, INIT_RIPAS, -CONTRACT_CHUNK, CONTRACT_CHUNK);
    no(m, INIT_RIPAS, -CONTRACT_CHUNK, 2 * CONTRACT_CHUNK);
    no(m, INIT_RIPAS, -CONTRACT_CHUNK, CONTRACT_RAM_TOP);
    runs_as_declared(m);
}

static void ripas_is_of_whole_pages(void)
{
    g_autoptr(Machine) m = new_machine();

    no(m, INIT_RIPAS, CONTRACT_RAM_TOP + 1, PAGE);
    no(m, INIT_RIPAS, CONTRACT_RAM_TOP, PAGE - 1);
    no(m, INIT_RIPAS, CONTRACT_RAM_TOP, 1);
    no(m, INIT_RIPAS, CONTRACT_RAM_TOP + PAGE / 2, PAGE / 2);
    runs_as_declared(m);
}

/* The unit is the host's page, which is 4 KiB under TCG. */
static void ripas_is_of_whole_pages_of_the_host(void)
{
    g_autoptr(Machine) m = new_machine();

    ask(m, INIT_RIPAS, CONTRACT_RAM_TOP, PAGE);
    yes(m, INIT_RIPAS, CONTRACT_RAM_TOP + CONTRACT_CHUNK, CONTRACT_CHUNK);
}

static void ripas_is_of_the_protected_half_only(void)
{
    g_autoptr(Machine) m = new_machine();

    no(m, INIT_RIPAS, SHARED(0), CONTRACT_CHUNK);
    no(m, INIT_RIPAS, SHARED(0) - CONTRACT_CHUNK, 2 * CONTRACT_CHUNK);
    no(m, INIT_RIPAS, SHARED(CONTRACT_RAM_BASE), CONTRACT_RAM_SIZE);
    no(m, INIT_RIPAS, BEYOND(0), CONTRACT_CHUNK);
    runs_as_declared(m);
}

static void ripas_is_declared_in_ascending_order_and_once(void)
{
    g_autoptr(Machine) m = new_machine();

    no(m, INIT_RIPAS, CONTRACT_RAM_BASE, CONTRACT_RAM_SIZE);
    no(m, INIT_RIPAS, CONTRACT_RAM_BASE, CONTRACT_CHUNK);
    no(m, INIT_RIPAS, CONTRACT_RAM_TOP - CONTRACT_CHUNK, 2 * CONTRACT_CHUNK);
    no(m, INIT_RIPAS, CONTRACT_RAM_BASE - CONTRACT_CHUNK, CONTRACT_CHUNK);
    runs_as_declared(m);
}

static void ripas_after_activation_is_not_permitted(void)
{
    g_autoptr(Machine) m = new_machine();

    yes(m, START);
    no(m, INIT_RIPAS, CONTRACT_RAM_TOP, CONTRACT_CHUNK);
    no(m, INIT_RIPAS, CONTRACT_RAM_TOP, 0);
    no(m, INIT_RIPAS, CONTRACT_RAM_TOP, -CONTRACT_CHUNK);
    runs_as_declared(m);
}

static void ripas_after_the_offer_is_not_permitted(void)
{
    g_autoptr(Machine) m = waiting_machine("machine");

    yes(m, OFFER);
    no(m, INIT_RIPAS, CONTRACT_RAM_TOP, CONTRACT_CHUNK);
    no(m, INIT_RIPAS, CONTRACT_RAM_TOP, 0);
}

/* ---- Images ---- */

static void an_image_is_in_private_memory_and_not_in_the_hosts(void)
{
    g_autoptr(Machine) m = new_machine();

    yes(m, HOST_WRITE, PAGE_OF(0, 15), 15);
    yes(m, HOST_WRITE, PAGE_OF(1, 0), 16);      /* no image */
    yes(m, START);
    guest_reads(m, PAGE_OF(0, 15), 15);
    guest_reads(m, PAGE_OF(1, 0), 0);
    g_assert_cmphex(yes(m, HOST_READ, CONTRACT_RAM_BASE)->value, ==, 0);
    g_assert_cmphex(yes(m, HOST_READ, PAGE_OF(0, 15))->value, ==, 0);
}

static void an_image_outside_of_ram_is_ignored(void)
{
    g_autoptr(Machine) m = new_machine();

    yes(m, ADD_IMAGE, 0, CONTRACT_CHUNK);
    yes(m, ADD_IMAGE, CONTRACT_RAM_TOP, CONTRACT_CHUNK);
    yes(m, ADD_IMAGE, SHARED(CONTRACT_RAM_BASE), CONTRACT_CHUNK);
    yes(m, ADD_IMAGE, CONTRACT_RAM_BASE, 0);
    runs_as_declared(m);
}

static void an_image_partly_outside_of_ram_is_taken_in_part(void)
{
    g_autoptr(Machine) m = new_machine();

    yes(m, HOST_WRITE, LAST_PAGE, 77);
    yes(m, ADD_IMAGE, CONTRACT_RAM_TOP - CONTRACT_CHUNK, -1);
    yes(m, ADD_IMAGE, CONTRACT_RAM_BASE - CONTRACT_CHUNK, CONTRACT_CHUNK + 1);
    yes(m, START);
    guest_reads(m, LAST_PAGE, 77);
    guest_reads(m, CONTRACT_RAM_BASE, IMAGE_WORD);
}

static void images_may_come_in_any_order_and_again(void)
{
    g_autoptr(Machine) m = new_machine();

    for (int i = 3; i >= 1; i--) {
        yes(m, HOST_WRITE, PAGE_OF(i, 0), i);
        yes(m, ADD_IMAGE, PAGE_OF(i, 0), 1);
        yes(m, ADD_IMAGE, PAGE_OF(i - 1, 8), CONTRACT_CHUNK);
    }
    yes(m, ADD_IMAGE, CONTRACT_RAM_BASE, CONTRACT_CHUNK);
    yes(m, START);
    for (int i = 1; i <= 3; i++) {
        guest_reads(m, PAGE_OF(i, 0), i);
    }
}

static void an_image_after_the_start_is_ignored(void)
{
    g_autoptr(Machine) m = new_machine();

    yes(m, START);
    yes(m, HOST_WRITE, CONTRACT_RAM_BASE, 1);
    yes(m, ADD_IMAGE, CONTRACT_RAM_BASE, CONTRACT_CHUNK);
    yes(m, STOPPED);
    yes(m, START);
    guest_reads(m, CONTRACT_RAM_BASE, IMAGE_WORD);
}

static void a_realm_without_an_image_runs(void)
{
    g_autoptr(Machine) m = machine_new("machine", &(ContractSetup) { 0 });

    yes(m, START);
    works(m);
}

/* ---- The machine runs and stops ---- */

static void a_realm_exists_from_its_start_on(void)
{
    g_autoptr(Machine) m = new_machine();

    phase_is(m, REALM_PHASE_NEW);
    yes(m, START);
    phase_is(m, REALM_PHASE_HERE);
    yes(m, STOPPED);
    phase_is(m, REALM_PHASE_HERE);
}

static void a_destination_has_a_realm_from_its_offer_on(void)
{
    g_autoptr(Machine) m = waiting_machine("machine");

    phase_is(m, REALM_PHASE_WAITING);
    yes(m, OFFER);
    phase_is(m, REALM_PHASE_OFFERED);
}

static void stop_and_cont_change_nothing(void)
{
    g_autoptr(Machine) m = new_machine();

    yes(m, STOPPED);            /* not running yet */
    yes(m, START);
    works(m);
    for (int i = 0; i < 3; i++) {
        yes(m, STOPPED);
        yes(m, STOPPED);
        yes(m, START);
        yes(m, START);
        works(m);
        guest_reads(m, CONTRACT_RAM_BASE, IMAGE_WORD);
    }
}

static void a_machine_that_was_parked_runs_again(void)
{
    g_autoptr(Machine) m = new_machine();

    yes(m, START);
    works(m);
    for (int i = 0; i < 2; i++) {
        yes(m, PARK);
        yes(m, STOPPED);
        yes(m, START);
        works(m);
    }
}

static void a_machine_that_waits_for_a_realm_makes_none(void)
{
    g_autoptr(Machine) m = waiting_machine("machine");

    no(m, START);
    yes(m, PARK);
    yes(m, STOPPED);
    no(m, START);
    phase_is(m, REALM_PHASE_WAITING);
    yes(m, OFFER);
    no(m, START);
    yes(m, PARK);
    yes(m, STOPPED);
    no(m, START);
    phase_is(m, REALM_PHASE_OFFERED);
}

static void limits_are_within_reason(void)
{
    g_autoptr(Machine) m = new_machine();
    const RealmMigrationLimits *before = limits_of(m), *after;

    yes(m, START);
    after = limits_of(m);
    g_assert_cmpint(after->max_pages, >, 0);
    g_assert_cmpint(after->max_streams, >, 0);
    g_assert_cmpint(after->max_blob, >=, after->max_pages * REALM_PAGE_SIZE);
    g_assert_cmpint(after->max_blob, <, 4 * MiB);       /* see transcript.c */
    g_assert_cmpmem(before, sizeof(*before), after, sizeof(*after));
}

/* `alike` lists what the kernel's interface does not tell. */
static void what_is_told_of_a_realm(void)
{
    g_autoptr(Machine) m = new_machine();

    g_assert_cmpint(ask(m, MEASUREMENT)->value, ==, 0);
    g_assert_false(ask(m, COUNT_PAGES)->ok);
    yes(m, START);
    ask(m, MEASUREMENT);
    ask(m, COUNT_PAGES);
}

#define CASE(name) { #name, name }

const Case life_cases[] = {
    CASE(ripas_of_an_empty_range_succeeds_and_does_nothing),
    CASE(ripas_of_an_empty_range_has_an_aligned_address_below_the_limit),
    CASE(ripas_of_a_range_that_wraps_is_an_invalid_argument),
    CASE(ripas_is_of_whole_pages),
    CASE(ripas_is_of_whole_pages_of_the_host),
    CASE(ripas_is_of_the_protected_half_only),
    CASE(ripas_is_declared_in_ascending_order_and_once),
    CASE(ripas_after_activation_is_not_permitted),
    CASE(ripas_after_the_offer_is_not_permitted),
    CASE(an_image_is_in_private_memory_and_not_in_the_hosts),
    CASE(an_image_outside_of_ram_is_ignored),
    CASE(an_image_partly_outside_of_ram_is_taken_in_part),
    CASE(images_may_come_in_any_order_and_again),
    CASE(an_image_after_the_start_is_ignored),
    CASE(a_realm_without_an_image_runs),
    CASE(a_realm_exists_from_its_start_on),
    CASE(a_destination_has_a_realm_from_its_offer_on),
    CASE(stop_and_cont_change_nothing),
    CASE(a_machine_that_was_parked_runs_again),
    CASE(a_machine_that_waits_for_a_realm_makes_none),
    CASE(limits_are_within_reason),
    CASE(what_is_told_of_a_realm),
    { NULL }
};
