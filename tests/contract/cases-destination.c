/*
 * The contract of RealmBackendOps: the order of a migration, at the
 * destination
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "flow.h"

/* A destination refuses the calls of a source, and they change nothing. */
static void is_no_source(Machine *m)
{
    const RealmPhase before = yes(m, PHASE)->value;
    g_autoptr(GByteArray) page = page_numbers(1, 0);
    g_autoptr(GByteArray) junk = cut(page, 80);

    no(m, PREPARE);
    no(m, ACCEPT, .blob = junk);
    no(m, EXPORT_BEGIN);
    no(m, COLLECT_DIRTY);
    no(m, EXPORT_MEMORY, .blob = page);
    no(m, EXPORT_EPOCH);
    no(m, PAUSE);
    no(m, EXPORT_STATE, 0);
    no(m, EXPORT_START);
    no(m, EXPORT_ABORT);
    no(m, EXPORT_RESUME, .blob = junk);
    no(m, EXPORT_FINISH, .blob = junk);
    phase_is(m, before);
}

/* Until the session has come to its end, nothing runs here. */
static void is_not_there_yet(Machine *m)
{
    no(m, START);
    no(m, COMMIT);
    no(m, COMMIT);
    no(m, IMPORT_RECEIPT);
    no(m, START);
}

static void a_destination_commits_at_the_very_end(void)
{
    g_autoptr(Pair) p = pair_new();
    Machine *m = p->destination;

    is_not_there_yet(m);
    pair_bind(p);
    is_not_there_yet(m);
    pair_begin(p);
    is_not_there_yet(m);
    pair_round(p);
    pair_epoch(p);
    is_not_there_yet(m);
    pair_pause(p);
    pair_round(p);
    pair_state(p);
    is_not_there_yet(m);
    yes(m, IMPORT, .blob = pair_token(p)->blob);
    no(m, IMPORT_READY);
    no(m, IMPORT_RECEIPT);
    no(m, START);
    yes(m, COMMIT);
    yes(m, START);
    works(m);
}

static void a_destination_is_no_source(void)
{
    g_autoptr(Pair) p = pair_new();
    Machine *m = p->destination;

    is_no_source(m);
    pair_bind(p);
    is_no_source(m);
    pair_until_start(p);
    is_no_source(m);
    pair_start(p);
    works(m);
}

static void one_offer_is_all(void)
{
    g_autoptr(Pair) p = pair_new();

    pair_bind(p);
    no(p->destination, OFFER);
    pair_until_start(p);
    no(p->destination, OFFER);
    pair_start(p);
    no(p->destination, OFFER);
    works(p->destination);
}

static void nothing_is_imported_without_an_offer(void)
{
    g_autoptr(Pair) p = pair_new();
    g_autoptr(Machine) m = waiting_machine("other");
    g_autoptr(GByteArray) list = page_numbers(1, 0);
    const Answer *begin, *pages;

    pair_bind(p);
    begin = yes(p->source, EXPORT_BEGIN);
    yes(p->source, COLLECT_DIRTY);
    pages = yes(p->source, EXPORT_MEMORY, .blob = list);
    no(m, IMPORT, .blob = begin->blob);
    no(m, IMPORT_MEMORY, .blob = pages->blob);
    no(m, COMMIT);
    no(m, IMPORT_ABORT);
    no(m, START);
    yes(m, OFFER);
}

/* ---- What is final ---- */

/* The session is over: it refuses even @blob, which is a good record. */
static void is_dead(Machine *m, const GByteArray *blob)
{
    no(m, IMPORT, .blob = blob);
    g_assert_cmpint(no(m, IMPORT_MEMORY, .blob = blob)->extra, ==, 1);
    no(m, COMMIT);
    no(m, START);
    no(m, IMPORT_READY);
    no(m, IMPORT_RECEIPT);
    no(m, OFFER);
    phase_is(m, REALM_PHASE_FAILED);
}

/* The Realm never runs here, and the abort token can be had again. */
static void gives_up(Machine *m, const GByteArray *blob)
{
    const Answer *token = yes(m, IMPORT_ABORT), *again;

    is_dead(m, blob);
    again = yes(m, IMPORT_ABORT);
    g_assert_cmpmem(token->blob->data, token->blob->len, again->blob->data,
                    again->blob->len);
}

static void is_over(Machine *m, const GByteArray *blob)
{
    is_dead(m, blob);
    gives_up(m, blob);
}

/* Nothing else is to blame, so that this is what a user is told. */
static void memory_waits_for_the_session(void)
{
    g_autoptr(Pair) p = pair_new();
    g_autoptr(GByteArray) list = page_numbers(1, 0);
    const Answer *begin, *pages;

    pair_bind(p);
    begin = yes(p->source, EXPORT_BEGIN);
    yes(p->source, COLLECT_DIRTY);
    pages = yes(p->source, EXPORT_MEMORY, .blob = list);
    g_assert_cmpint(no(p->destination, IMPORT_MEMORY,
                       .blob = pages->blob)->extra, ==, 0);
    is_over(p->destination, begin->blob);
}

/* Whether or not the backend asks the RMM. */
static void an_empty_record_is_final(void)
{
    g_autoptr(Pair) p = pair_new();
    g_autoptr(GByteArray) none = g_byte_array_new();
    const Answer *begin;

    pair_bind(p);
    begin = yes(p->source, EXPORT_BEGIN);
    no(p->destination, IMPORT, .blob = none);
    is_over(p->destination, begin->blob);
}

static void a_session_that_is_not_what_was_sealed_is_final(void)
{
    for (unsigned i = 0; i < 6; i++) {
        g_autoptr(Pair) p = pair_new();
        const GByteArray *good;
        g_autoptr(GByteArray) bad = NULL;

        pair_bind(p);
        good = yes(p->source, EXPORT_BEGIN)->blob;
        bad = i < 4 ? changed(good, good->len * i / 4 + 1, 0x80)
                    : cut(good, i == 4 ? good->len - 1 : good->len + 1);
        no(p->destination, IMPORT, .blob = bad);
        is_over(p->destination, good);
    }
}

static void memory_that_is_not_what_was_sealed_is_final(void)
{
    for (unsigned i = 0; i < 8; i++) {
        g_autoptr(Pair) p = pair_new();
        g_autoptr(GByteArray) list = page_numbers(2, 1, 2);
        g_autoptr(GByteArray) bad = NULL;
        const GByteArray *good;

        pair_bind(p);
        pair_begin(p);
        yes(p->source, COLLECT_DIRTY);
        good = yes(p->source, EXPORT_MEMORY, .blob = list)->blob;
        bad = i < 6 ? changed(good, good->len * i / 6 + 30, 0x04)
                    : cut(good, i == 6 ? good->len - 1 : good->len + 1);
        g_assert_cmpint(no(p->destination, IMPORT_MEMORY, .blob = bad)->extra,
                        ==, 0);
        is_over(p->destination, good);
    }
}

static void records_without_contents_are_final(void)
{
    static const size_t sizes[] = { 0, 1, 48, 64, 1 << 12, 1 << 22 };

    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        g_autoptr(Pair) p = pair_new();
        g_autoptr(GByteArray) none = g_byte_array_new();
        g_autoptr(GByteArray) zeroes = cut(none, sizes[i]);

        pair_bind(p);
        pair_begin(p);
        machine_no(p->destination, i % 2 ? CALL_IMPORT : CALL_IMPORT_MEMORY,
                   &(const Args) { .blob = zeroes });
        ask(p->destination, IMPORT_MEMORY, .blob = zeroes);
        yes(p->destination, IMPORT_ABORT);
        no(p->destination, START);
    }
}

static void a_record_comes_once_and_in_order(void)
{
    for (unsigned i = 0; i < 3; i++) {
        g_autoptr(Pair) p = pair_new();
        const GByteArray *one, *two;

        pair_bind(p);
        pair_begin(p);
        pair_round(p);
        one = yes(p->source, EXPORT_EPOCH)->blob;
        two = yes(p->source, EXPORT_EPOCH)->blob;
        if (i != 1) {
            yes(p->destination, IMPORT, .blob = one);
        }
        no(p->destination, IMPORT, .blob = i ? (i == 1 ? two : one) : one);
        is_over(p->destination, two);
    }
}

static void a_bundle_that_is_missing_is_noticed(void)
{
    g_autoptr(Pair) p = pair_new();
    g_autoptr(GByteArray) one = page_numbers(1, 1);

    pair_bind(p);
    pair_begin(p);
    yes(p->source, COLLECT_DIRTY);
    yes(p->source, EXPORT_MEMORY, .blob = one);         /* lost */
    no(p->destination, IMPORT, .blob = yes(p->source, EXPORT_EPOCH)->blob);
    yes(p->destination, IMPORT_ABORT);
}

/* ---- What a destination says ---- */

static void it_is_ready_when_all_but_the_start_token_has_come(void)
{
    g_autoptr(Pair) p = pair_new();
    Machine *m = p->destination;

    no(m, IMPORT_READY);
    pair_bind(p);
    no(m, IMPORT_READY);
    pair_begin(p);
    no(m, IMPORT_READY);
    pair_round(p);
    pair_epoch(p);
    pair_pause(p);
    pair_round(p);
    for (unsigned part = 0; part <= CONTRACT_CPUS; part++) {
        no(m, IMPORT_READY);
        phase_is(m, REALM_PHASE_IMPORTING);
        yes(m, IMPORT, .blob = yes(p->source, EXPORT_STATE, part)->blob);
    }
    yes(m, IMPORT_READY);
    yes(m, IMPORT_READY);
    pair_start(p);
    no(m, IMPORT_READY);
    works(m);
}

/* A bundle is lost, and nobody sends its epoch token. */
static void it_is_not_ready_without_a_page(void)
{
    g_autoptr(Pair) p = pair_new();
    g_autoptr(GByteArray) one = page_numbers(1, 1);

    pair_bind(p);
    pair_begin(p);
    pair_pause(p);
    yes(p->source, COLLECT_DIRTY);
    yes(p->source, EXPORT_MEMORY, .blob = one);         /* lost */
    yes(p->source, EXPORT_STATE, 0);
    no(p->destination, IMPORT_READY);
    yes(p->destination, IMPORT_ABORT);
    no(p->destination, IMPORT_READY);
    phase_is(p->destination, REALM_PHASE_FAILED);
}

static void the_receipt_can_be_had_until_the_realm_goes_on(void)
{
    g_autoptr(Pair) p = pair_new();
    g_autoptr(Machine) first = p->source;
    const GByteArray *receipt, *again;

    pair_migrate(p);
    receipt = yes(p->destination, IMPORT_RECEIPT)->blob;
    again = yes(p->destination, IMPORT_RECEIPT)->blob;
    g_assert_cmpmem(receipt->data, receipt->len, again->data, again->len);
    p->source = p->destination;
    p->destination = waiting_machine("third");
    pair_bind(p);
    no(p->source, IMPORT_RECEIPT);
    yes(p->source, EXPORT_ABORT);
    no(p->source, IMPORT_RECEIPT);
    works(p->source);
}

static void a_start_token_that_never_came_keeps_the_realm_from_starting(void)
{
    g_autoptr(Pair) p = pair_new();

    touch_chunk(p->source, 1);
    pair_bind(p);
    pair_begin(p);
    pair_round(p);
    pair_epoch(p);
    pair_pause(p);
    pair_round(p);
    pair_state(p);
    pair_token(p);              /* lost */
    no(p->destination, COMMIT);
    no(p->destination, START);
    yes(p->source, EXPORT_RESUME,
        .blob = yes(p->destination, IMPORT_ABORT)->blob);
    yes(p->source, START);
    works(p->source);
}

/* ---- Giving up ---- */

static void a_destination_may_give_up_until_it_commits(void)
{
    g_autoptr(GByteArray) junk = page_numbers(1, 0);

    for (unsigned when = 0; when < 4; when++) {
        g_autoptr(Pair) p = pair_new();

        pair_bind(p);
        if (when >= 1) {
            pair_begin(p);
        }
        if (when >= 2) {
            pair_round(p);
            pair_epoch(p);
            pair_pause(p);
            pair_round(p);
            pair_state(p);
        }
        if (when >= 3) {
            yes(p->destination, IMPORT, .blob = pair_token(p)->blob);
        }
        gives_up(p->destination, junk);
    }
}

static void after_the_commit_nobody_gives_up(void)
{
    g_autoptr(Pair) p = pair_new();
    g_autoptr(GByteArray) junk = page_numbers(1, 0);

    pair_migrate(p);
    no(p->destination, IMPORT_ABORT);
    no(p->destination, COMMIT);
    no(p->destination, IMPORT, .blob = junk);
    no(p->destination, IMPORT_MEMORY, .blob = junk);
    yes(p->destination, STOPPED);
    yes(p->destination, START);
    works(p->destination);
}

static void a_destination_that_gave_up_before_its_offer_still_can_offer(void)
{
    g_autoptr(Pair) p = pair_new();

    no(p->destination, IMPORT_ABORT);
    no(p->destination, IMPORT_ABORT);
    pair_migrate(p);
    works(p->destination);
}

static void a_destination_made_without_migration_makes_no_offer(void)
{
    g_autoptr(Machine) m = machine_new("destination", &(ContractSetup) {
                                           .incoming = true, .fixed = true });

    no(m, OFFER);
    no(m, OFFER);
    no(m, START);
}

#define CASE(name) { #name, name }

const Case destination_cases[] = {
    CASE(a_destination_commits_at_the_very_end),
    CASE(a_destination_is_no_source),
    CASE(one_offer_is_all),
    CASE(nothing_is_imported_without_an_offer),
    CASE(memory_waits_for_the_session),
    CASE(a_session_that_is_not_what_was_sealed_is_final),
    CASE(memory_that_is_not_what_was_sealed_is_final),
    CASE(an_empty_record_is_final),
    CASE(records_without_contents_are_final),
    CASE(a_record_comes_once_and_in_order),
    CASE(a_bundle_that_is_missing_is_noticed),
    CASE(it_is_ready_when_all_but_the_start_token_has_come),
    CASE(it_is_not_ready_without_a_page),
    CASE(the_receipt_can_be_had_until_the_realm_goes_on),
    CASE(a_start_token_that_never_came_keeps_the_realm_from_starting),
    CASE(a_destination_may_give_up_until_it_commits),
    CASE(after_the_commit_nobody_gives_up),
    CASE(a_destination_that_gave_up_before_its_offer_still_can_offer),
    CASE(a_destination_made_without_migration_makes_no_offer),
    { NULL }
};
