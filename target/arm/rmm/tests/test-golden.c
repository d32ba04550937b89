/*
 * Migrations of earlier releases still arrive
 *
 * tests/data/golden-stream-VERSION/ holds all records of one migration, and
 * the random numbers of the destination, so that it can make the same offer
 * again.  A stream stays as it was made, and this test imports it for ever.  A
 * new version of the protocol gets streams of its own:
 *
 *     test-golden --make tests/data
 *
 * makes those that are not there yet.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "mig-golden.h"
#include "mig-steps.h"
#include "rmm-internal.h"
#include "session.h"

/* ---- import ---- */

/* The offer of that time, but for the token: other software makes it now */
static void same_offer(const Record *made, const Record *golden)
{
    MigHello a, b;

    memcpy(&a, made->data, sizeof(a));
    memcpy(&b, golden->data, sizeof(b));
    a.size = b.size = a.token_size = b.token_size = 0;
    g_assert_cmpmem(&a, sizeof(a), &b, sizeof(b));
}

/* Until a record is refused; then @at is its number */
static Machine *receive_stream(const Golden *g, GPtrArray *all,
                               uint64_t *result, guint *at)
{
    Record *random = golden_load(g, "random.bin");
    Record *golden = golden_load(g, "00.bin");
    Machine *m = golden_destination(g);
    Record *offer = golden_offer(m, random);

    same_offer(offer, golden);
    *result = RMI_SUCCESS;
    for (*at = 0; *at < all->len && !*result; (*at)++) {
        *result = machine_receive(m, all->pdata[*at]);
    }
    g_byte_array_unref(random);
    g_byte_array_unref(golden);
    g_byte_array_unref(offer);
    return m;
}

static void test_a_stream_of_an_earlier_release_arrives(gconstpointer data)
{
    const Golden *g = data;
    GPtrArray *all = golden_load_all(g);
    Record *want = golden_load(g, "realm.sha256");
    g_autofree char *got = NULL;
    uint64_t result;
    Machine *m;
    guint at;

    g_assert_cmpuint(all->len, >, 5);
    m = receive_stream(g, all, &result, &at);
    OK(result);
    g_assert_cmphex(machine_session(m)->features, ==, g->used);
    OK(MIG(m, MIG_IMPORT_COMMIT));
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

/* Store the next record, and give it to @dst unless it is the offer */
static void pass_on(Maker *k, Machine *dst, Record *record)
{
    g_autofree char *file = g_strdup_printf("%02u.bin", k->files);

    store(k, file, record->data, record->len);
    if (k->files++) {
        OK(machine_receive(dst, record));
    }
}

static void drawn(void *opaque, const void *buf, size_t len)
{
    g_byte_array_append(opaque, buf, len);
}

static void make_stream(const char *folder, const Golden *g)
{
    Maker k = { folder, g, 0, g_byte_array_new() };
    Machine *src = golden_source(g);
    Machine *dst = golden_destination(g);
    g_autofree char *path = golden_path(folder, g, NULL), *text = NULL;
    GPtrArray *records;
    Record *offer;

    g_assert_cmpint(g_mkdir_with_parents(path, 0777), ==, 0);
    dst->drawn = drawn;
    dst->drawn_opaque = k.random;
    OK(machine_offer(dst, &offer));
    store(&k, "random.bin", k.random->data, k.random->len);
    OK(machine_accept(src, offer));
    pass_on(&k, dst, offer);
    records = golden_make_records(src);
    for (guint i = 0; i < records->len; i++) {
        pass_on(&k, dst, records->pdata[i]);
    }
    g_ptr_array_unref(records);
    OK(MIG(dst, MIG_IMPORT_COMMIT));
    same_realm(src, dst);
    text = golden_describe(dst);
    store(&k, "realm.sha256", text, strlen(text));
    g_byte_array_unref(offer);
    g_byte_array_unref(k.random);
    machine_free(src);
    machine_free(dst);
}

int main(int argc, char **argv)
{
    bool make = argc == 3 && !strcmp(argv[1], "--make");
    g_autofree char *folder = make ? g_strdup(argv[2]) : NULL;

    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(golden_streams); i++) {
        const Golden *g = &golden_streams[i];
        g_autofree char *path = golden_path(make ? folder : "", g, NULL);

        if (make && !g_file_test(path, G_FILE_TEST_EXISTS)) {
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
