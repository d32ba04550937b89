/*
 * Migrations of earlier releases still arrive
 *
 * tests/data/golden-stream-VERSION/ holds all records of one migration, and
 * the random numbers of the destination, so that it can make the same offer
 * again.  A stream of a release stays as it was made, and this test imports it
 * for ever.  A new version of the protocol gets streams of its own:
 *
 *     test-golden --make tests/data
 *
 * makes those that are not there yet.  With --remake instead, it makes all of
 * them again, as long as their version was not released.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include <glib/gstdio.h>

#include "cose.h"
#include "mig-golden.h"
#include "mig-steps.h"
#include "rmm-internal.h"
#include "session.h"

/* ---- import ---- */

/* Behind its signature a token ends, and certificates may follow. */
static size_t signature_at(const Record *offer)
{
    const MigHello *hello = (const MigHello *)offer->data;

    return sizeof(*hello) + hello->token_size - COSE_SIGNATURE_SIZE;
}

/* The offer of that time: signatures are new each time, and nothing else is */
static void same_offer(const Record *made, const Record *golden)
{
    size_t at = signature_at(golden), end = at + COSE_SIGNATURE_SIZE;

    g_assert_cmpmem(made->data, at, golden->data, at);
    g_assert_cmpmem(made->data + end, made->len - end,
                    golden->data + end, golden->len - end);
}

static void same_record(const Golden *g, const char *file, Record *made)
{
    Record *golden = golden_load(g, file);

    g_assert_cmpmem(made->data, made->len, golden->data, golden->len);
    g_byte_array_unref(golden);
    g_byte_array_unref(made);
}

/* Until a record is refused; then @at is its number */
static Machine *receive_stream(const Golden *g, GPtrArray *all,
                               uint64_t *result, guint *at)
{
    Record *golden = golden_load(g, "00.bin");
    Machine *m = golden_destination(g);
    Record *offer = golden_offer_again(g, m), *ready;

    same_offer(offer, golden);
    *result = RMI_SUCCESS;
    for (*at = 0; *at < all->len && !*result; (*at)++) {
        if (*at == all->len - 1) {
            OK(machine_ready(m, &ready));
            same_record(g, "ready.bin", ready);
        }
        *result = machine_receive(m, all->pdata[*at]);
    }
    g_byte_array_unref(golden);
    g_byte_array_unref(offer);
    return m;
}

static void test_a_stream_of_an_earlier_release_arrives(gconstpointer data)
{
    const Golden *g = data;
    GPtrArray *all = golden_load_all(g);
    Record *want = golden_load(g, "realm.sha256"), *receipt;
    g_autofree char *got = NULL;
    uint64_t result;
    Machine *m;
    guint at;

    g_assert_cmpuint(all->len, >, 5);
    m = receive_stream(g, all, &result, &at);
    OK(result);
    g_assert_cmphex(machine_session(m)->features, ==, g->used);
    step_run(m);
    OK(machine_receipt(m, &receipt));
    same_record(g, "receipt.bin", receipt);
    got = golden_describe(m);
    g_assert_cmpmem(got, 64, want->data, 64);
    g_byte_array_unref(want);
    g_ptr_array_unref(all);
    machine_free(m);
}

/* So that the test above says something */
static void test_it_arrives_only_as_it_was_made(gconstpointer data)
{
    const Golden *g = data;
    GPtrArray *all = golden_load_all(g);

    for (guint i = 0; i < all->len; i++) {
        Record *record = all->pdata[i];
        uint64_t result;
        guint at;

        record->data[record->len / 2] ^= 1;
        machine_free(receive_stream(g, all, &result, &at));
        g_assert_cmpuint(at, ==, i + 1);
        g_assert_cmpuint(RMI_INDEX(result), >=, MIG_CAUSE_FINAL);
        record->data[record->len / 2] ^= 1;
    }
    g_ptr_array_unref(all);
}

/* ---- making them ---- */

typedef struct Maker {
    const char *folder;
    const Golden *golden;
    unsigned files;
    GByteArray *random;
} Maker;

static void store(const Maker *k, const char *file, const void *data,
                  size_t size)
{
    g_autofree char *path = golden_path(k->folder, k->golden, file);

    g_assert_true(g_file_set_contents(path, data, size, NULL));
}

/* Store the next record of the source, and give it to @dst */
static void pass_on(Maker *k, Machine *dst, Record *record)
{
    g_autofree char *file = g_strdup_printf("%02u.bin", ++k->files);

    store(k, file, record->data, record->len);
    OK(machine_receive(dst, record));
}

static void drawn(void *opaque, const void *buf, size_t len)
{
    g_byte_array_append(opaque, buf, len);
}

/* What a destination says first, and draws for it */
static void make_offer(Maker *k, Machine *src, Machine *dst)
{
    Record *offer;

    OK(machine_prepare(src, dst));
    store(k, "nonce.bin", dst->nonce, sizeof(dst->nonce));
    dst->drawn = drawn;
    dst->drawn_opaque = k->random;
    offer = golden_offer(k->golden, dst);
    dst->drawn = NULL;
    store(k, "random.bin", k->random->data, k->random->len);
    store(k, "00.bin", offer->data, offer->len);
    OK(machine_accept(src, offer));
    g_byte_array_unref(offer);
}

/* From ready to receipt */
static void make_end(Maker *k, Machine *src, Machine *dst)
{
    Record *ready, *start, *receipt;
    uint64_t result;

    OK(machine_ready(dst, &ready));
    store(k, "ready.bin", ready->data, ready->len);
    start = machine_start(src, ready, &result);
    OK(result);
    pass_on(k, dst, start);
    step_run(dst);
    same_realm(src, dst);
    OK(machine_receipt(dst, &receipt));
    store(k, "receipt.bin", receipt->data, receipt->len);
    OK(machine_finish(src, receipt));
    g_byte_array_unref(ready);
    g_byte_array_unref(start);
    g_byte_array_unref(receipt);
}

static void empty_folder(const char *path)
{
    const char *name;
    GDir *dir;

    g_assert_cmpint(g_mkdir_with_parents(path, 0777), ==, 0);
    dir = g_dir_open(path, 0, NULL);
    g_assert_nonnull(dir);
    while ((name = g_dir_read_name(dir))) {
        g_autofree char *file = g_build_filename(path, name, NULL);

        g_assert_cmpint(g_remove(file), ==, 0);
    }
    g_dir_close(dir);
}

static void make_stream(const char *folder, const Golden *g)
{
    Maker k = { folder, g, 0, g_byte_array_new() };
    Machine *src = golden_source(g);
    Machine *dst = golden_destination(g);
    g_autofree char *path = golden_path(folder, g, NULL), *text = NULL;
    GPtrArray *records;

    empty_folder(path);
    make_offer(&k, src, dst);
    records = golden_make_records(src);
    for (guint i = 0; i < records->len; i++) {
        pass_on(&k, dst, records->pdata[i]);
    }
    g_ptr_array_unref(records);
    make_end(&k, src, dst);
    text = golden_describe(dst);
    store(&k, "realm.sha256", text, strlen(text));
    g_byte_array_unref(k.random);
    machine_free(src);
    machine_free(dst);
}

int main(int argc, char **argv)
{
    bool remake = argc == 3 && !strcmp(argv[1], "--remake");
    bool make = remake || (argc == 3 && !strcmp(argv[1], "--make"));
    g_autofree char *folder = make ? g_strdup(argv[2]) : NULL;

    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(golden_streams); i++) {
        const Golden *g = &golden_streams[i];
        g_autofree char *path = golden_path(make ? folder : "", g, NULL);

        if (remake || (make && !g_file_test(path, G_FILE_TEST_EXISTS))) {
            make_stream(folder, g);
        } else if (!make) {
            g_autofree char *arrives = g_strdup_printf("/golden/%s/arrives",
                                                       g->name);
            g_autofree char *only = g_strdup_printf("/golden/%s/"
                                                    "only_as_it_was_made",
                                                    g->name);

            g_test_add_data_func(arrives, g,
                                 test_a_stream_of_an_earlier_release_arrives);
            g_test_add_data_func(only, g,
                                 test_it_arrives_only_as_it_was_made);
        }
    }
    return make ? 0 : g_test_run();
}
