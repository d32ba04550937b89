/*
 * Records of the "realm" section: framing (migration/realm/record.c)
 *
 * Purpose: what is written is read; what is no record is refused with an
 * error, before its size is believed; nothing after a header is read.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/bswap.h"
#include "qemu/module.h"
#include "io/channel-buffer.h"
#include "migration/realm/record.h"

#define MAX_BLOB 100

static const RealmMigrationLimits limits = {
    .max_blob = MAX_BLOB,
    .max_pages = 1,
    .max_streams = 3,
};

typedef struct Header {
    const char *claim;
    uint16_t type, stream;
    uint32_t size;
} Header;

static const Header bad_headers[] = {
    { "an-unknown-type", 4, 0, 10 },
    { "an-unknown-type-of-more-than-a-byte", 0x100, 0, 10 },
    { "the-largest-type", 0xffff, 0, 10 },
    { "a-stream-of-state", REALM_RECORD_STATE, 1, 10 },
    { "a-high-stream-of-state", REALM_RECORD_STATE, 0x8000, 10 },
    { "a-stream-of-an-end", REALM_RECORD_END, 1, 0 },
    { "a-stream-of-an-epoch", REALM_RECORD_EPOCH, 1, 10 },
    { "a-stream-that-is-not-there", REALM_RECORD_MEMORY, 3, 10 },
    { "the-largest-stream", REALM_RECORD_MEMORY, 0xffff, 10 },
    { "an-end-with-a-size", REALM_RECORD_END, 0, 1 },
    { "state-without-a-size", REALM_RECORD_STATE, 0, 0 },
    { "memory-without-a-size", REALM_RECORD_MEMORY, 0, 0 },
    { "an-epoch-without-a-size", REALM_RECORD_EPOCH, 0, 0 },
    { "an-epoch-with-less-than-its-count", REALM_RECORD_EPOCH, 0, 7 },
    { "an-epoch-over-the-maximum", REALM_RECORD_EPOCH, 0, 9 + MAX_BLOB },
    { "the-largest-size-of-an-epoch", REALM_RECORD_EPOCH, 0, UINT32_MAX },
    { "a-size-over-the-maximum", REALM_RECORD_MEMORY, 0, MAX_BLOB + 1 },
    { "a-size-that-is-negative-as-an-int", REALM_RECORD_STATE, 0, INT32_MIN },
    { "the-largest-size", REALM_RECORD_MEMORY, 0, UINT32_MAX },
};

static QEMUFile *stream(const void *bytes, size_t size)
{
    QIOChannelBuffer *buffer = qio_channel_buffer_new(MAX(size, 1));
    QEMUFile *f;

    memcpy(buffer->data, bytes, size);
    buffer->usage = size;
    f = qemu_file_new_input(QIO_CHANNEL(buffer));
    object_unref(OBJECT(buffer));
    return f;
}

/* @put to @size bytes that the stream has afterwards. */
static uint8_t *written(void (*put)(QEMUFile *f), size_t *size)
{
    QIOChannelBuffer *buffer = qio_channel_buffer_new(0);
    QEMUFile *f = qemu_file_new_output(QIO_CHANNEL(buffer));
    uint8_t *bytes;

    put(f);
    qemu_fflush(f);
    *size = buffer->usage;
    bytes = g_memdup2(buffer->data, buffer->usage);
    qemu_fclose(f);
    object_unref(OBJECT(buffer));
    return bytes;
}

static void header(uint8_t bytes[REALM_RECORD_HEADER_SIZE],
                   const Header *from)
{
    stw_be_p(bytes, from->type);
    stw_be_p(bytes + 2, from->stream);
    stl_be_p(bytes + 4, from->size);
}

static void put(QEMUFile *f, RealmRecord record, char fill)
{
    uint8_t blob[MAX_BLOB];

    memset(blob, fill, sizeof(blob));
    realm_record_put(f, &record, blob);
    memset(blob, 'x', sizeof(blob)); /* too late to matter */
}

static const RealmRecord state = { REALM_RECORD_STATE, 0, 1, 0 };
static const RealmRecord memory = { REALM_RECORD_MEMORY, 2, MAX_BLOB, 0 };
static const RealmRecord epoch = { REALM_RECORD_EPOCH, 0, 2,
                                   0x0102030405060708 };
static const RealmRecord last_epoch = { REALM_RECORD_EPOCH, 0, 0, 5 };
static const RealmRecord end = { REALM_RECORD_END, 0, 0, 0 };

static void put_all(QEMUFile *f)
{
    put(f, state, 's');
    put(f, epoch, 'e');
    put(f, last_epoch, 0);
    put(f, memory, 'm');
    put(f, end, 0);
    qemu_put_byte(f, 'z');
}

static void check_record(QEMUFile *f, const RealmRecord *expected, char fill)
{
    RealmRecord record;

    g_assert_true(realm_record_get(f, &limits, &record, &error_abort));
    g_assert_cmpint(record.type, ==, expected->type);
    g_assert_cmpint(record.stream, ==, expected->stream);
    g_assert_cmpint(record.size, ==, expected->size);
    g_assert_cmphex(record.on_channels, ==, expected->on_channels);
    for (size_t i = 0; i < record.size; i++) {
        g_assert_cmpint(qemu_get_byte(f), ==, fill);
    }
}

static void test_round_trip(void)
{
    g_autofree uint8_t *bytes = NULL;
    size_t size;
    QEMUFile *f;

    bytes = written(put_all, &size);
    f = stream(bytes, size);
    check_record(f, &state, 's');
    check_record(f, &epoch, 'e');
    check_record(f, &last_epoch, 0);
    check_record(f, &memory, 'm');
    check_record(f, &end, 0);
    g_assert_cmpint(qemu_get_byte(f), ==, 'z');
    g_assert_cmpint(qemu_file_get_error(f), ==, 0);
    qemu_fclose(f);
}

/*
 * The format is a contract with other versions: type, stream, size, blob; an
 * epoch has a count before its blob.
 */
static void test_layout(void)
{
    static const uint8_t begin[] = {
        0, 1, 0, 0, 0, 0, 0, 1, 's',
        0, 3, 0, 0, 0, 0, 0, 10, 1, 2, 3, 4, 5, 6, 7, 8, 'e', 'e',
        0, 3, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 5,
        0, 2, 0, 2, 0, 0, 0, MAX_BLOB, 'm',
    };
    static const uint8_t rest[] = { 'm', 0, 0, 0, 0, 0, 0, 0, 0, 'z' };
    g_autofree uint8_t *bytes = NULL;
    size_t size;

    bytes = written(put_all, &size);
    g_assert_cmpint(size, ==, sizeof(begin) - 1 + MAX_BLOB + sizeof(rest) - 1);
    g_assert_cmpmem(bytes, sizeof(begin), begin, sizeof(begin));
    g_assert_cmpmem(bytes + size - sizeof(rest), sizeof(rest),
                    rest, sizeof(rest));
}

static void check_refused(QEMUFile *f)
{
    RealmRecord record = { .type = 77, .size = 77 };
    Error *err = NULL;

    g_assert_false(realm_record_get(f, &limits, &record, &err));
    g_assert_nonnull(err);
    g_assert_nonnull(strstr(error_get_pretty(err), "realm section"));
    /* Neither is there for a caller to believe. */
    g_assert_cmpint(record.type, ==, 77);
    g_assert_cmpint(record.size, ==, 77);
    error_free(err);
}

/* The bytes that follow are those of the header's size at most. */
static void test_refused(const void *opaque)
{
    uint8_t bytes[REALM_RECORD_HEADER_SIZE + 2 * MAX_BLOB];
    QEMUFile *f;

    memset(bytes, 'n', sizeof(bytes));
    header(bytes, opaque);
    f = stream(bytes, sizeof(bytes));
    check_refused(f);
    g_assert_cmpint(qemu_get_byte(f), ==, 'n');
    qemu_fclose(f);
}

static void test_truncated(void)
{
    const Header good = { .type = REALM_RECORD_EPOCH, .size = MAX_BLOB };
    uint8_t bytes[REALM_RECORD_HEADER_SIZE + 8] = { 0 };

    header(bytes, &good);
    for (size_t size = 0; size < sizeof(bytes); size++) {
        QEMUFile *f = stream(bytes, size);

        check_refused(f);
        qemu_fclose(f);
    }
}

/* A header alone is enough: the blob is the caller's to read. */
static void test_header_alone(void)
{
    const Header good = { .type = REALM_RECORD_MEMORY, .stream = 1,
                          .size = MAX_BLOB };
    uint8_t bytes[REALM_RECORD_HEADER_SIZE];
    RealmRecord record;
    QEMUFile *f;

    header(bytes, &good);
    f = stream(bytes, sizeof(bytes));
    g_assert_true(realm_record_get(f, &limits, &record, &error_abort));
    g_assert_cmpint(record.type, ==, REALM_RECORD_MEMORY);
    g_assert_cmpint(record.stream, ==, 1);
    g_assert_cmpint(record.size, ==, MAX_BLOB);
    g_assert_cmpint(qemu_file_get_error(f), ==, 0);
    qemu_fclose(f);
}

int main(int argc, char **argv)
{
    module_call_init(MODULE_INIT_QOM);
    g_test_init(&argc, &argv, NULL);

    g_test_add_func("/realm/record/what-is-written-is-read",
                    test_round_trip);
    g_test_add_func("/realm/record/layout", test_layout);
    for (size_t i = 0; i < ARRAY_SIZE(bad_headers); i++) {
        g_autofree char *name = g_strdup_printf("/realm/record/refuse-%s",
                                                bad_headers[i].claim);

        g_test_add_data_func(name, &bad_headers[i], test_refused);
    }
    g_test_add_func("/realm/record/refuse-a-truncated-header",
                    test_truncated);
    g_test_add_func("/realm/record/nothing-past-the-header-is-read",
                    test_header_alone);
    return g_test_run();
}
