/*
 * The model as one side of a migration whose other side is another program
 *
 *     mig-peer source NAME          of the Realm of a golden stream
 *     mig-peer destination NAME
 *
 * All that goes in and out is frames: 4 bytes of size (little endian), then as
 * many bytes.  "Answers" means the result of the call, 8 bytes.
 *
 * source:       writes the nonce of PREPARE; reads offers and answers each,
 *               until one is accepted; writes all records but the start token,
 *               and an empty frame; reads ready records and answers each, until
 *               one serves; writes the start token and golden_describe(); reads
 *               receipts and abort tokens and answers each, until one serves
 * destination:  reads a nonce, and writes its offer for it; then reads records
 *               and answers each; a frame of one byte is a call: 'R' IMPORT_READY,
 *               'C' IMPORT_COMMIT, 'A' IMPORT_ABORT.  It answers that, and if the
 *               call worked it writes what it gave: the ready record, the receipt
 *               and golden_describe(), or the abort token
 *
 * It ends with its input, or with the receipt, abort token or COMMIT that worked.
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

static void put_record(Record *record)
{
    put(record->data, record->len);
    g_byte_array_unref(record);
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

typedef uint64_t TakeRecord(Machine *m, const Record *record);

/* Until @take works; false at the end of the input */
static bool get_until(Machine *m, TakeRecord *take)
{
    uint64_t result = RMI_ERROR_INPUT;
    Record *record;

    while (result != RMI_SUCCESS && (record = get())) {
        result = take(m, record);
        put_result(result);
        g_byte_array_unref(record);
    }
    return result == RMI_SUCCESS;
}

static Record *start;

static uint64_t take_ready(Machine *m, const Record *ready)
{
    uint64_t result;

    start = machine_start(m, ready, &result);
    return result;
}

static uint64_t take_end(Machine *m, const Record *record)
{
    bool abort = record->len > 6 && record->data[6] == MIG_TYPE_ABORT;

    return abort ? machine_resume(m, record) : machine_finish(m, record);
}

static void be_source(const Golden *g)
{
    Machine *m = golden_source(g);
    uint64_t nonce[4];

    OK(MIG_OUT(m, nonce, MIG_PREPARE));
    put(nonce, sizeof(nonce));
    if (get_until(m, machine_accept)) {
        put_records(m);
        if (get_until(m, take_ready)) {
            put_record(start);
            put_description(m);
            get_until(m, take_end);
        }
    }
    machine_free(m);
}

typedef uint64_t GiveRecord(Machine *m, Record **record);

static void give(Machine *m, GiveRecord *call)
{
    Record *record;
    uint64_t result = call(m, &record);

    put_result(result);
    if (result == RMI_SUCCESS) {
        put_record(record);
    }
}

static bool commit(Machine *m)
{
    uint64_t out[4] = { 1 }, result = RMI_SUCCESS;
    Record *receipt;

    while (result == RMI_SUCCESS && out[0]) {
        result = MIG_OUT(m, out, MIG_IMPORT_COMMIT);
    }
    put_result(result);
    if (result == RMI_SUCCESS) {
        OK(machine_receipt(m, &receipt));
        put_record(receipt);
        put_description(m);
    }
    return result == RMI_SUCCESS;
}

static void be_destination(const Golden *g)
{
    Machine *m = golden_destination(g);
    Record *record = get();
    bool over = !record;

    if (record && record->len == sizeof(m->nonce)) {
        memcpy(m->nonce, record->data, record->len);
        put_record(golden_offer(g, m));
    }
    g_clear_pointer(&record, g_byte_array_unref);
    while (!over && (record = get())) {
        if (record->len != 1) {
            put_result(machine_receive(m, record));
        } else if (record->data[0] == 'R') {
            give(m, machine_ready);
        } else if (record->data[0] == 'A') {
            give(m, machine_abort);
        } else {
            over = commit(m);
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
