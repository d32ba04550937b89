/*
 * The model as one side of a migration whose other side is another program
 *
 *     mig-peer source NAME          of the Realm of a golden stream
 *     mig-peer destination NAME
 *
 * Records and answers are frames: 4 bytes of size (little endian), then as many
 * bytes.  An answer is the result of the call, 8 bytes.
 *
 * source:       reads offers and answers each, until one is accepted; then
 *               writes all records, an empty frame, and golden_describe()
 * destination:  writes its offer, reads records and answers each; after an
 *               empty frame it commits, answers, and writes golden_describe(),
 *               if the Realm is ACTIVE
 *
 * It ends with its input, or behind the description.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "mig-golden.h"
#include "mig-steps.h"

static FILE *out;

static void put(const void *data, uint32_t size)
{
    g_assert_cmpuint(fwrite(&size, sizeof(size), 1, out), ==, 1);
    g_assert_cmpuint(fwrite(data, 1, size, out), ==, size);
    fflush(out);
}

static void put_result(uint64_t result)
{
    put(&result, sizeof(result));
}

static void put_description(Machine *m)
{
    g_autofree char *text = golden_describe(m);

    put(text, strlen(text));
}

/* NULL at the end of the input */
static Record *get(void)
{
    Record *record;
    uint32_t size;

    if (fread(&size, sizeof(size), 1, stdin) != 1 || size > MIG_MAX_BUNDLE) {
        return NULL;
    }
    record = g_byte_array_set_size(g_byte_array_new(), size);
    if (size && fread(record->data, size, 1, stdin) != 1) {
        g_byte_array_unref(record);
        return NULL;
    }
    return record;
}

static void put_records(Machine *src)
{
    GPtrArray *all = golden_make_records(src);

    for (guint i = 0; i < all->len; i++) {
        Record *record = all->pdata[i];

        put(record->data, record->len);
    }
    put("", 0);
    g_ptr_array_unref(all);
}

static void be_source(const Golden *g)
{
    Machine *m = golden_source(g);
    uint64_t result = RMI_ERROR_INPUT;
    Record *offer;

    while (result != RMI_SUCCESS && (offer = get())) {
        result = machine_accept(m, offer);
        put_result(result);
        g_byte_array_unref(offer);
    }
    if (result == RMI_SUCCESS) {
        put_records(m);
        put_description(m);
    }
    machine_free(m);
}

static void be_destination(const Golden *g)
{
    Machine *m = golden_destination(g);
    bool more = true;
    uint64_t result;
    Record *record;

    OK(machine_offer(m, &record));
    put(record->data, record->len);
    g_byte_array_unref(record);
    while (more && (record = get())) {
        more = record->len > 0;
        if (more) {
            put_result(machine_receive(m, record));
        } else {
            result = MIG(m, MIG_IMPORT_COMMIT);
            put_result(result);
            if (result == RMI_SUCCESS) {
                put_description(m);
            }
        }
        g_byte_array_unref(record);
    }
    machine_free(m);
}

int main(int argc, char **argv)
{
    char *no_args[] = { argv[0], NULL }, **args = no_args;
    int one = 1;

    /* What GLib's tests print is for people */
    out = fdopen(dup(STDOUT_FILENO), "wb");
    g_assert_nonnull(out);
    dup2(STDERR_FILENO, STDOUT_FILENO);
    g_test_init(&one, &args, NULL);     /* for g_test_rand_int */
    for (size_t i = 0; argc == 3 && i < G_N_ELEMENTS(golden_streams); i++) {
        const Golden *g = &golden_streams[i];

        if (strcmp(g->name, argv[2])) {
            continue;
        }
        if (!strcmp(argv[1], "source")) {
            be_source(g);
            return 0;
        }
        if (!strcmp(argv[1], "destination")) {
            be_destination(g);
            return 0;
        }
    }
    fprintf(stderr, "usage: mig-peer source|destination NAME\n");
    return 1;
}
