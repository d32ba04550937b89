/*
 * The contract of RealmBackendOps: streams of memory bundles
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "flow.h"

/* A source that has begun a round, with the pages of a chunk in it. */
static Pair *pair_with_chunk(unsigned chunk)
{
    Pair *p = pair_new();

    touch_chunk(p->source, chunk);
    for (unsigned i = 0; i < CHUNK_PAGES; i++) {
        guest_writes(p->source, PAGE_OF(chunk, i), 100 + i);
    }
    pair_bind(p);
    pair_begin(p);
    yes(p->source, COLLECT_DIRTY);
    return p;
}

/* Export page @i of the chunk as one bundle of @stream. */
static const GByteArray *export_page(Pair *p, unsigned chunk, unsigned i,
                                     unsigned stream)
{
    g_autoptr(GByteArray) list = page_numbers(1, NUMBER_OF(chunk, i));
    const Answer *out = yes(p->source, EXPORT_MEMORY, stream, .blob = list);

    g_assert_cmpint(out->extra, ==, 1);
    return out->blob;
}

/* The rest of a migration in which the chunk has left: all of it arrives. */
static void chunk_arrives(Pair *p, unsigned chunk)
{
    pair_epoch(p);
    pair_pause(p);
    pair_round(p);
    pair_state(p);
    pair_start(p);
    for (unsigned i = 0; i < CHUNK_PAGES; i++) {
        guest_reads(p->destination, PAGE_OF(chunk, i), 100 + i);
    }
}

static void streams_may_be_imported_in_any_order(void)
{
    g_autoptr(Pair) p = pair_with_chunk(1);
    unsigned streams = limits_of(p->source)->max_streams;
    const GByteArray *bundles[CHUNK_PAGES];

    for (unsigned i = 0; i < CHUNK_PAGES; i++) {
        bundles[i] = export_page(p, 1, i, i % streams);
    }
    /* The last stream first, and each stream in its own order. */
    for (unsigned stream = streams; stream-- > 0; ) {
        for (unsigned i = stream; i < CHUNK_PAGES; i += streams) {
            yes(p->destination, IMPORT_MEMORY, .blob = bundles[i]);
        }
    }
    chunk_arrives(p, 1);
}

static void bundles_of_one_stream_come_in_their_order(void)
{
    g_autoptr(Pair) p = pair_with_chunk(1);
    unsigned last = limits_of(p->source)->max_streams - 1;
    const GByteArray *first = export_page(p, 1, 0, last);
    const GByteArray *second = export_page(p, 1, 1, last);

    no(p->destination, IMPORT_MEMORY, .blob = second);
    no(p->destination, IMPORT_MEMORY, .blob = first);
    phase_is(p->destination, REALM_PHASE_FAILED);
    yes(p->destination, IMPORT_ABORT);
}

static void an_epoch_counts_the_bundles_of_all_streams(void)
{
    g_autoptr(Pair) p = pair_with_chunk(1);
    unsigned last = limits_of(p->source)->max_streams - 1;

    yes(p->destination, IMPORT_MEMORY, .blob = export_page(p, 1, 0, 0));
    export_page(p, 1, 1, last);                         /* lost */
    no(p->destination, IMPORT, .blob = yes(p->source, EXPORT_EPOCH)->blob);
    phase_is(p->destination, REALM_PHASE_FAILED);
    yes(p->destination, IMPORT_ABORT);
}

/* The destination has not seen the token of the epoch before. */
static void a_bundle_of_the_next_epoch_is_refused_on_any_stream(void)
{
    g_autoptr(Pair) p = pair_with_chunk(1);
    unsigned last = limits_of(p->source)->max_streams - 1;

    yes(p->destination, IMPORT_MEMORY, .blob = export_page(p, 1, 0, 0));
    yes(p->source, EXPORT_EPOCH);
    yes(p->source, COLLECT_DIRTY);
    no(p->destination, IMPORT_MEMORY, .blob = export_page(p, 1, 1, last));
    phase_is(p->destination, REALM_PHASE_FAILED);
    yes(p->destination, IMPORT_ABORT);
}

static void a_page_leaves_once_in_an_epoch_on_whatever_stream(void)
{
    g_autoptr(Pair) p = pair_with_chunk(1);
    g_autoptr(GByteArray) list = page_numbers(1, NUMBER_OF(1, 0));
    unsigned streams = limits_of(p->source)->max_streams;

    yes(p->destination, IMPORT_MEMORY, .blob = export_page(p, 1, 0, 0));
    for (unsigned stream = 0; stream < streams; stream++) {
        const Answer *out = yes(p->source, EXPORT_MEMORY, stream,
                                .blob = list);

        g_assert_cmpint(out->value, ==, 0);
        g_assert_cmpint(out->extra, ==, 0);
    }
    for (unsigned i = 1; i < CHUNK_PAGES; i++) {
        yes(p->destination, IMPORT_MEMORY,
            .blob = export_page(p, 1, i, i % streams));
    }
    chunk_arrives(p, 1);
}

/* And what was asked for there leaves on another one. */
static void a_stream_that_is_not_there_is_refused(void)
{
    g_autoptr(Pair) p = pair_with_chunk(1);
    g_autoptr(GByteArray) list = page_numbers(1, NUMBER_OF(1, 0));
    unsigned streams = limits_of(p->source)->max_streams;
    const unsigned bad[] = { streams, streams + 1, 0x10000, UINT_MAX };

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        no(p->source, EXPORT_MEMORY, bad[i], .blob = list);
        phase_is(p->source, REALM_PHASE_EXPORTING);
    }
    for (unsigned i = 0; i < CHUNK_PAGES; i++) {
        yes(p->destination, IMPORT_MEMORY,
            .blob = export_page(p, 1, i, streams - 1));
    }
    chunk_arrives(p, 1);
}

#define CASE(name) { #name, name }

const Case streams_cases[] = {
    CASE(streams_may_be_imported_in_any_order),
    CASE(bundles_of_one_stream_come_in_their_order),
    CASE(an_epoch_counts_the_bundles_of_all_streams),
    CASE(a_bundle_of_the_next_epoch_is_refused_on_any_stream),
    CASE(a_page_leaves_once_in_an_epoch_on_whatever_stream),
    CASE(a_stream_that_is_not_there_is_refused),
    { NULL }
};
