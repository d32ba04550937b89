/*
 * The contract of RealmBackendOps: which pages are to be exported, and when
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bitmap.h"
#include "flow.h"

#define PAGES (CONTRACT_RAM_SIZE / REALM_PAGE_SIZE)

/* The bitmap and the count have to say @pages. */
static const GByteArray *collect(Machine *m, int64_t pages)
{
    const Answer *dirty = yes(m, COLLECT_DIRTY);

    g_assert_cmpint(dirty->value, ==, pages);
    g_assert_cmpint(bitmap_count_one((unsigned long *)dirty->blob->data,
                                     dirty->blob->len * 8), ==, pages);
    return dirty->blob;
}

static const Answer *export(Machine *m, GByteArray *list, unsigned pages)
{
    const Answer *out = yes(m, EXPORT_MEMORY, .blob = list);

    g_assert_cmpint(out->extra, ==, pages);
    g_assert_cmpint(out->value > 0, ==, pages > 0);
    g_byte_array_unref(list);
    return out;
}

/* A session in its second epoch, with the image and chunk 2 exported. */
static Pair *second_epoch(void)
{
    Pair *p = pair_new();

    touch_chunk(p->source, 2);
    pair_bind(p);
    pair_begin(p);
    g_assert_cmpint(pair_round(p), ==, 2 * CHUNK_PAGES);
    pair_epoch(p);
    return p;
}

static void the_first_round_has_every_page_and_no_other(void)
{
    g_autoptr(Pair) p = pair_new();
    const GByteArray *bits;

    touch_chunk(p->source, 2);
    touch_chunk(p->source, CONTRACT_RAM_SIZE / CONTRACT_CHUNK - 1);
    pair_bind(p);
    pair_begin(p);
    bits = collect(p->source, 3 * CHUNK_PAGES);
    for (unsigned i = 0; i < CHUNK_PAGES; i++) {
        g_assert_true(bit(bits, NUMBER_OF(0, i)));
        g_assert_true(bit(bits, NUMBER_OF(2, i)));
        g_assert_true(bit(bits, PAGES - 1 - i));
    }
    collect(p->source, 3 * CHUNK_PAGES);        /* not exported yet */
}

static void a_page_written_after_its_export_is_in_the_next_round(void)
{
    g_autoptr(Pair) p = second_epoch();
    const GByteArray *bits;

    collect(p->source, 0);
    guest_writes(p->source, PAGE_OF(2, 5), 1);
    guest_writes(p->source, PAGE_OF(2, 5), 2);
    guest_writes(p->source, PAGE_OF(0, 0), 3);
    bits = collect(p->source, 2);
    g_assert_true(bit(bits, NUMBER_OF(2, 5)));
    g_assert_true(bit(bits, NUMBER_OF(0, 0)));
    g_assert_cmpint(pair_pages(p, bits), ==, 2);
    pair_epoch(p);
    collect(p->source, 0);
}

static void a_read_makes_nothing_dirty(void)
{
    g_autoptr(Pair) p = second_epoch();

    guest_reads(p->source, PAGE_OF(2, 5), 0);
    guest_reads(p->source, CONTRACT_RAM_BASE, IMAGE_WORD);
    collect(p->source, 0);
}

static void shared_memory_is_no_page_of_the_realm(void)
{
    g_autoptr(Pair) p = second_epoch();

    guest_writes(p->source, SHARED(PAGE_OF(6, 0)), 1);
    yes(p->source, HOST_WRITE, PAGE_OF(6, 1), 1);
    collect(p->source, 0);
}

static void a_page_that_comes_during_the_session_is_in_the_next_round(void)
{
    g_autoptr(Pair) p = second_epoch();

    touch_chunk(p->source, 7);
    collect(p->source, CHUNK_PAGES);
}

static void a_page_that_goes_during_the_session_is_in_no_round(void)
{
    g_autoptr(Pair) p = second_epoch();

    guest_writes(p->source, PAGE_OF(2, 0), 1);
    yes(p->source, GUEST_RIPAS, PAGE_OF(2, 0), PAGE_OF(3, 0), false);
    collect(p->source, 0);
    export(p->source, page_numbers(1, NUMBER_OF(2, 0)), 0);
}

static void a_page_lost_and_found_is_in_the_next_round(void)
{
    g_autoptr(Pair) p = second_epoch();

    yes(p->source, GUEST_RIPAS, PAGE_OF(2, 0), PAGE_OF(3, 0), false);
    yes(p->source, GUEST_RIPAS, PAGE_OF(2, 0), PAGE_OF(3, 0), true);
    collect(p->source, 0);
    touch_chunk(p->source, 2);
    collect(p->source, CHUNK_PAGES);
}

/* Smaller than the pages of some hosts */
static void a_granule_is_dirty_alone(void)
{
    g_autoptr(Pair) p = second_epoch();
    const GByteArray *bits;

    guest_writes(p->source, PAGE_OF(2, 1), 1);
    guest_writes(p->source, PAGE_OF(2, 3), 3);
    bits = collect(p->source, 2);
    g_assert_true(bit(bits, NUMBER_OF(2, 1)));
    g_assert_true(bit(bits, NUMBER_OF(2, 3)));
    export(p->source, page_numbers(3, NUMBER_OF(2, 1), NUMBER_OF(2, 2),
                                   NUMBER_OF(2, 3)), 2);
}

static void memory_that_owes_nothing_is_left_out(void)
{
    g_autoptr(Pair) p = second_epoch();

    /* A clean page; one never assigned; one written but not collected. */
    guest_writes(p->source, PAGE_OF(2, 4), 1);
    export(p->source, page_numbers(3, NUMBER_OF(2, 2), NUMBER_OF(9, 0),
                                   NUMBER_OF(2, 4)), 0);
    collect(p->source, 1);
    export(p->source, page_numbers(3, NUMBER_OF(2, 2), NUMBER_OF(9, 0),
                                   NUMBER_OF(2, 4)), 1);
}

static void a_page_named_twice_is_exported_once(void)
{
    g_autoptr(Pair) p = second_epoch();
    const Answer *out;

    guest_writes(p->source, PAGE_OF(2, 4), 44);
    collect(p->source, 1);
    out = export(p->source, page_numbers(3, NUMBER_OF(2, 4), NUMBER_OF(2, 4),
                                         NUMBER_OF(2, 4)), 1);
    yes(p->destination, IMPORT_MEMORY, .blob = out->blob);
}

static void a_page_is_exported_at_most_once_in_an_epoch(void)
{
    g_autoptr(Pair) p = second_epoch();

    guest_writes(p->source, PAGE_OF(2, 4), 1);
    collect(p->source, 1);
    export(p->source, page_numbers(1, NUMBER_OF(2, 4)), 1);
    export(p->source, page_numbers(1, NUMBER_OF(2, 4)), 0);
    guest_writes(p->source, PAGE_OF(2, 4), 2);
    export(p->source, page_numbers(1, NUMBER_OF(2, 4)), 0);
}

static void a_round_needs_an_epoch_of_its_own(void)
{
    g_autoptr(Pair) p = second_epoch();
    const Answer *out;

    guest_writes(p->source, PAGE_OF(2, 4), 1);
    collect(p->source, 1);
    out = export(p->source, page_numbers(1, NUMBER_OF(2, 4)), 1);
    guest_writes(p->source, PAGE_OF(2, 5), 2);
    no(p->source, COLLECT_DIRTY);
    no(p->source, COLLECT_DIRTY);
    yes(p->destination, IMPORT_MEMORY, .blob = out->blob);
    pair_epoch(p);
    collect(p->source, 1);
}

static void an_epoch_may_be_empty(void)
{
    g_autoptr(Pair) p = second_epoch();

    pair_epoch(p);
    pair_epoch(p);
    guest_writes(p->source, PAGE_OF(2, 4), 1);
    g_assert_cmpint(pair_round(p), ==, 1);
}

static void pages_outside_of_the_protected_half_are_refused(void)
{
    g_autoptr(Pair) p = second_epoch();
    uint64_t numbers[] = { 1ull << 36, 1ull << 40, 1ull << 51 };

    guest_writes(p->source, PAGE_OF(2, 4), 1);
    collect(p->source, 1);
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
        g_autoptr(GByteArray) list = page_numbers(1, NUMBER_OF(2, 4));

        g_byte_array_append(list, (uint8_t *)&numbers[i], 8);
        no(p->source, EXPORT_MEMORY, .blob = list);
    }
    export(p->source, page_numbers(1, NUMBER_OF(2, 4)), 1);
}

static void after_an_abort_everything_is_owed_again(void)
{
    g_autoptr(Pair) p = second_epoch();
    g_autoptr(Machine) other = waiting_machine("other");

    collect(p->source, 0);
    yes(p->source, EXPORT_ABORT);
    no(p->source, COLLECT_DIRTY);
    yes(p->source, ACCEPT, .blob = offer_for(p->source, other));
    yes(p->source, EXPORT_BEGIN);
    collect(p->source, 2 * CHUNK_PAGES);
}

#define CASE(name) { #name, name }

const Case dirty_cases[] = {
    CASE(the_first_round_has_every_page_and_no_other),
    CASE(a_page_written_after_its_export_is_in_the_next_round),
    CASE(a_read_makes_nothing_dirty),
    CASE(shared_memory_is_no_page_of_the_realm),
    CASE(a_page_that_comes_during_the_session_is_in_the_next_round),
    CASE(a_page_that_goes_during_the_session_is_in_no_round),
    CASE(a_page_lost_and_found_is_in_the_next_round),
    CASE(a_granule_is_dirty_alone),
    CASE(memory_that_owes_nothing_is_left_out),
    CASE(a_page_named_twice_is_exported_once),
    CASE(a_page_is_exported_at_most_once_in_an_epoch),
    CASE(a_round_needs_an_epoch_of_its_own),
    CASE(an_epoch_may_be_empty),
    CASE(pages_outside_of_the_protected_half_are_refused),
    CASE(after_an_abort_everything_is_owed_again),
    { NULL }
};
