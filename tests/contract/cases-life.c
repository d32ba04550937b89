/*
 * The contract of RealmBackendOps: how a Realm comes to be, runs and stops
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/units.h"
#include "qobject/qjson.h"
#include "qobject/qobject.h"
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

/* ---- The machine is reset ---- */

/* What a loader does at a reset; and the machine runs. */
static void load_and_start(Machine *m)
{
    yes(m, HOST_WRITE, CONTRACT_RAM_BASE, IMAGE_WORD);
    yes(m, ADD_IMAGE, CONTRACT_RAM_BASE, CONTRACT_CHUNK);
    yes(m, START);
}

/* Its measurement, of no bytes if that is not known; the machine frees it. */
static const GByteArray *measurement(Machine *m)
{
    return yes(m, MEASUREMENT)->blob;
}

/*
 * Either another Realm takes its place, which has nothing of it, or the
 * backend refuses, and the same Realm goes on.
 */
static bool reset(Machine *m)
{
    const GByteArray *old = measurement(m), *new;
    bool done;

    guest_writes(m, PAGE_OF(2, 0), 5);
    guest_reads(m, SHARED(PAGE_OF(4, 0)), 0);   /* is lent */
    yes(m, STOPPED);
    done = ask(m, RESET)->ok;
    g_assert_cmpint(ask(m, PHASE)->value, ==,
                    done ? REALM_PHASE_NEW : REALM_PHASE_HERE);
    load_and_start(m);
    phase_is(m, REALM_PHASE_HERE);
    new = measurement(m);
    g_assert_cmpmem(old->data, old->len, new->data, new->len);
    guest_reads(m, PAGE_OF(2, 0), done ? 0 : 5);
    guest_reads(m, CONTRACT_RAM_BASE, IMAGE_WORD);
    works(m);
    return done;
}

static void a_reset_makes_another_realm_or_is_refused(void)
{
    g_autoptr(Machine) m = new_machine();

    yes(m, START);
    works(m);
    for (int i = 0; i < 3; i++) {
        reset(m);
    }
    yes(m, GUEST_RIPAS, PAGE_OF(3, 0), PAGE_OF(4, 0), false);
    reset(m);
}

/* As at the first start; what is beside it may be of the Realm before. */
static void a_reset_leaves_zeros_beside_an_image(void)
{
    g_autoptr(Machine) m = new_machine();

    yes(m, START);
    yes(m, STOPPED);
    ask(m, RESET);
    yes(m, HOST_WRITE, PAGE_OF(1, 0), 1);
    yes(m, HOST_WRITE, PAGE_OF(1, 0) + 8, 2);
    yes(m, HOST_WRITE, PAGE_OF(1, 0) + 16, 3);
    yes(m, ADD_IMAGE, PAGE_OF(1, 0) + 16, 8);
    yes(m, ADD_IMAGE, PAGE_OF(1, 0), 8);
    load_and_start(m);
    guest_reads(m, PAGE_OF(1, 0) + 8, 0);
    works(m);
}

static void a_reset_ends_a_session_or_is_refused(void)
{
    g_autoptr(Pair) p = pair_new();
    bool done;

    pair_bind(p);
    pair_begin(p);
    pair_round(p);
    done = ask(p->source, RESET)->ok;
    g_assert_cmpint(ask(p->source, EXPORT_EPOCH)->ok, ==, !done);
    g_assert_cmpint(ask(p->source, PHASE)->value, ==,
                    done ? REALM_PHASE_NEW : REALM_PHASE_EXPORTING);
    load_and_start(p->source);
    works(p->source);
    ask(p->source, EXPORT_ABORT);       /* if there still is a session */
    yes(p->source, PREPARE);
    yes(p->destination, IMPORT_ABORT);
}

/* The offer was for the Realm before. */
static void a_reset_ends_an_offer_or_is_refused(void)
{
    g_autoptr(Pair) p = pair_new();
    bool done;

    pair_bind(p);
    done = ask(p->source, RESET)->ok;
    load_and_start(p->source);
    g_assert_cmpint(ask(p->source, EXPORT_BEGIN)->ok, ==, !done);
    works(p->source);
}

static void a_reset_where_the_realm_stands_still(void)
{
    g_autoptr(Pair) p = pair_new();
    bool done;

    pair_bind(p);
    pair_until_start(p);
    done = ask(p->source, RESET)->ok;
    g_assert_cmpint(ask(p->source, PHASE)->value, ==,
                    done ? REALM_PHASE_NEW : REALM_PHASE_PAUSED);
    ask(p->source, EXPORT_ABORT);
    load_and_start(p->source);
    works(p->source);
}

static void a_reset_of_a_realm_that_came(void)
{
    g_autoptr(Pair) p = pair_new();

    pair_migrate(p);
    reset(p->destination);
    phase_is(p->source, REALM_PHASE_GONE);
}

static void nothing_is_reset_where_there_is_no_realm_yet(void)
{
    g_autoptr(Machine) m = new_machine();

    no(m, RESET);
    phase_is(m, REALM_PHASE_NEW);
    runs_as_declared(m);
}

static void no_reset_makes_a_realm_that_has_left(void)
{
    g_autoptr(Pair) p = pair_new();

    pair_bind(p);
    pair_until_start(p);
    pair_token(p);
    no(p->source, RESET);
    phase_is(p->source, REALM_PHASE_SEALED);
    pair_start(p);
    no(p->source, RESET);
    phase_is(p->source, REALM_PHASE_GONE);
    works(p->destination);
}

static void no_reset_ends_a_migration_to_here(void)
{
    g_autoptr(Pair) p = pair_new();

    no(p->destination, RESET);
    phase_is(p->destination, REALM_PHASE_WAITING);
    pair_bind(p);
    no(p->destination, RESET);
    phase_is(p->destination, REALM_PHASE_OFFERED);
    pair_until_start(p);
    no(p->destination, RESET);
    phase_is(p->destination, REALM_PHASE_IMPORTING);
    pair_start(p);
    works(p->destination);
}

static void no_reset_undoes_a_failure(void)
{
    g_autoptr(Machine) m = waiting_machine("machine");

    yes(m, OFFER);
    yes(m, IMPORT_ABORT);
    no(m, RESET);
    phase_is(m, REALM_PHASE_FAILED);
    no(m, START);
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

/* ---- Features and capabilities ---- */

/* `alike` lists who does not know them. */
static void features_are(Machine *m, unsigned sve_bits, unsigned counters)
{
    const Answer *answer = ask(m, FEATURES);
    const RealmFeatures *got = (const RealmFeatures *)answer->blob->data;

    if (answer->ok) {
        g_assert_cmpint(got->sve_vl, ==, sve_bits);
        g_assert_cmpint(got->pmu, ==, counters > 0);
        g_assert_cmpint(got->pmu_num_ctrs, ==, counters);
    }
}

static void features_are_the_machines_as_long_as_there_is_a_realm(void)
{
    static const ContractSetup setups[] = { { 0 }, { .featured = true } };

    for (size_t i = 0; i < ARRAY_SIZE(setups); i++) {
        g_autoptr(Machine) m = loaded_machine("machine", &setups[i]);
        unsigned bits = setups[i].featured ? CONTRACT_SVE_BITS : 0;
        unsigned counters = setups[i].featured ? CONTRACT_COUNTERS : 0;

        g_assert_false(ask(m, FEATURES)->ok);
        yes(m, START);
        features_are(m, bits, counters);
        yes(m, STOPPED);
        features_are(m, bits, counters);
    }
}

static void features_are_those_of_a_realm_that_came(void)
{
    g_autoptr(Pair) p = g_new0(Pair, 1);

    p->source = loaded_machine("source", &(ContractSetup) { .featured = true });
    p->destination = machine_new("destination", &(ContractSetup) {
        .incoming = true, .featured = true });
    yes(p->source, START);
    g_assert_false(ask(p->destination, FEATURES)->ok);
    pair_migrate(p);
    features_are(p->destination, CONTRACT_SVE_BITS, CONTRACT_COUNTERS);
}

static void a_reset_forgets_features_or_is_refused(void)
{
    g_autoptr(Machine) m = running_machine("machine");
    bool told = ask(m, FEATURES)->ok, done;

    yes(m, STOPPED);
    done = ask(m, RESET)->ok;
    g_assert_cmpint(ask(m, FEATURES)->ok, ==, told && !done);
}

static void capabilities_are_the_hosts(Machine *m)
{
    const GByteArray *blob = yes(m, CAPABILITIES)->blob;
    g_autofree char *got = g_strndup((char *)blob->data, blob->len);
    g_autofree char *wanted = machine_capabilities(m);
    QObject *a = qobject_from_json(got, NULL);
    QObject *b = qobject_from_json(wanted, NULL);

    g_assert_nonnull(a);
    g_assert_nonnull(b);
    if (!qobject_is_equal(a, b)) {
        g_test_message("capabilities: %s, and not %s", got, wanted);
        g_test_fail();
    }
    qobject_unref(a);
    qobject_unref(b);
}

/* ... whatever the machine is like, and without one. */
static void capabilities_need_no_machine(void)
{
    static const ContractSetup setups[] = {
        { 0 }, { .incoming = true }, { .fixed = true }, { .featured = true },
        { .bare = true }, { .bare = true, .featured = true },
    };

    for (size_t i = 0; i < ARRAY_SIZE(setups); i++) {
        g_autoptr(Machine) m = machine_new("machine", &setups[i]);

        capabilities_are_the_hosts(m);
        capabilities_are_the_hosts(m);
    }
}

static void capabilities_do_not_depend_on_the_realm(void)
{
    g_autoptr(Pair) p = pair_new();

    capabilities_are_the_hosts(p->source);
    pair_bind(p);
    capabilities_are_the_hosts(p->destination);
    pair_until_start(p);
    capabilities_are_the_hosts(p->source);
    capabilities_are_the_hosts(p->destination);
    pair_start(p);
    capabilities_are_the_hosts(p->source);
    capabilities_are_the_hosts(p->destination);
    works(p->destination);
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
    CASE(a_reset_makes_another_realm_or_is_refused),
    CASE(a_reset_leaves_zeros_beside_an_image),
    CASE(a_reset_ends_a_session_or_is_refused),
    CASE(a_reset_ends_an_offer_or_is_refused),
    CASE(a_reset_where_the_realm_stands_still),
    CASE(a_reset_of_a_realm_that_came),
    CASE(nothing_is_reset_where_there_is_no_realm_yet),
    CASE(no_reset_makes_a_realm_that_has_left),
    CASE(no_reset_ends_a_migration_to_here),
    CASE(no_reset_undoes_a_failure),
    CASE(limits_are_within_reason),
    CASE(what_is_told_of_a_realm),
    CASE(features_are_the_machines_as_long_as_there_is_a_realm),
    CASE(features_are_those_of_a_realm_that_came),
    CASE(a_reset_forgets_features_or_is_refused),
    CASE(capabilities_need_no_machine),
    CASE(capabilities_do_not_depend_on_the_realm),
    { NULL }
};
