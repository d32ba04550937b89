/*
 * The threads that export memory bundles (migration/realm/exporter.c)
 *
 * Purpose: between a fake backend, which asserts that no two exports are on
 * one stream and that none is under way while the session changes, and fake
 * channels of multifd.  Bundles of a stream leave in the order in which they
 * were exported, a drain is one, the first failure is the last thing that
 * happens, and a thread that waits for a channel hangs nobody.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-yank.h"
#include "qemu/bitmap.h"
#include "qemu/bswap.h"
#include "qemu/module.h"
#include "qemu/thread.h"
#include "qemu/yank.h"
#include "io/channel-buffer.h"
#include "migration/migration.h"
#include "migration/realm/channel.h"
#include "migration/realm/exporter.h"
#include "migration/realm/realm-migration.h"
#include "migration/realm/record.h"
#include "fake-backend.h"
#include "fake-migration.h"

#define BUNDLES (FAKE_PAGES - 1)        /* of a page each */
#define SHORT_US 20000

static const RealmConfig config = {
    .migration = true,
    .ram_size = FAKE_PAGES * REALM_PAGE_SIZE,
};

static RealmMigrationLimits limits;
static RealmExporter *exporter;
static QIOChannelBuffer *buffer;
static QEMUFile *f;

/* A round begins, with all pages. */
static void collect(void)
{
    g_autofree unsigned long *pages = bitmap_new(64);

    g_assert_cmpint(fake_backend.collect_dirty(pages, &error_abort), >, 0);
}

/* A session of which nothing was exported yet; 0 channels: no multifd. */
static void begin_with_streams(unsigned channels, unsigned streams)
{
    uint8_t blob[FAKE_MAX_BLOB];

    fake_reset();
    fake_agree();
    fake_migration_channels(channels);
    fake_backend.migration_limits(&limits);
    limits.max_streams = streams;
    g_assert_cmpint(fake_backend.export_begin(blob, &error_abort), >, 0);
    collect();
    buffer = qio_channel_buffer_new(0);
    f = qemu_file_new_output(QIO_CHANNEL(buffer));
    exporter = realm_exporter_new(&limits, channels);
}

static void begin(unsigned channels)
{
    begin_with_streams(channels, FAKE_MAX_STREAMS);
}

static void end(void)
{
    g_clear_pointer(&exporter, realm_exporter_free);
    qemu_fclose(f);
    object_unref(OBJECT(buffer));
}

static bool add(uint64_t page, Error **errp)
{
    return realm_exporter_add(exporter, f, &page, 1, errp);
}

/* Every page in a bundle of its own. */
static void add_all(void)
{
    for (unsigned i = 0; i < BUNDLES; i++) {
        g_assert_true(add(i, &error_abort));
    }
}

static void drain(void)
{
    g_assert_true(realm_exporter_drain(exporter, f, &error_abort));
}

/* Words 2 and 3 of the fake backend's memory blob. */
static uint32_t stream_of(const uint8_t *blob)
{
    return ldl_he_p(blob + 8);
}

static uint32_t number_of(const uint8_t *blob)
{
    return ldl_he_p(blob + 12);
}

/*
 * Packets as the specification has them: of @epoch, the bundles of each stream
 * in the order of their places, which count from 0.
 */
static void check_packets(unsigned first, unsigned count, uint32_t epoch)
{
    GPtrArray *packets = fake_migration.packets;
    uint32_t places[FAKE_MAX_STREAMS] = { 0 };

    g_assert_cmpuint(packets->len, ==, first + count);
    for (unsigned i = first; i < packets->len; i++) {
        const GByteArray *packet = packets->pdata[i];
        const uint8_t *blob = packet->data + REALM_CHANNEL_HEADER_SIZE;
        RealmPacket header;

        g_assert_true(realm_channel_get(packet->data, packet->len, &limits,
                                        &header, &error_abort));
        g_assert_cmpuint(header.epoch, ==, epoch);
        g_assert_cmpuint(header.stream, ==, stream_of(blob));
        g_assert_cmpuint(header.place, ==, places[header.stream]++);
    }
}

/* The order in which a destination has to import them. */
static void check_numbers(void)
{
    GPtrArray *packets = fake_migration.packets;
    uint32_t numbers[FAKE_MAX_STREAMS] = { 0 };

    for (unsigned i = 0; i < packets->len; i++) {
        const uint8_t *blob = ((GByteArray *)packets->pdata[i])->data +
                              REALM_CHANNEL_HEADER_SIZE;

        g_assert_cmpuint(number_of(blob), ==, numbers[stream_of(blob)]++);
    }
}

static void test_order_on_channels(gconstpointer num)
{
    begin_with_streams(3, GPOINTER_TO_UINT(num));
    fake_export_us = 300;
    add_all();
    drain();
    check_packets(0, BUNDLES, 0);
    check_numbers();
    g_assert_cmpuint(buffer->usage, ==, 0);
    end();
}

/* Bundle k is on stream k modulo max_streams, and they are written in order. */
static void test_order_in_stream(gconstpointer num)
{
    const unsigned streams = GPOINTER_TO_UINT(num);
    uint8_t blob[FAKE_MAX_BLOB];
    RealmRecord record;
    QEMUFile *in;

    begin_with_streams(0, streams);
    fake_export_us = 300;
    add_all();
    drain();
    g_assert_cmpuint(fake_migration.packets->len, ==, 0);
    buffer->offset = 0;
    in = qemu_file_new_input(QIO_CHANNEL(buffer));
    for (unsigned i = 0; i < BUNDLES; i++) {
        g_assert_true(realm_record_get(in, &limits, &record, &error_abort));
        g_assert_cmpint(record.type, ==, REALM_RECORD_MEMORY);
        g_assert_cmpuint(record.stream, ==, i % streams);
        g_assert_cmpuint(qemu_get_buffer(in, blob, record.size), ==,
                         record.size);
        g_assert_cmpuint(stream_of(blob), ==, record.stream);
        g_assert_cmpuint(number_of(blob), ==, i / streams);
    }
    qemu_fclose(in);
    end();
}

/* Places and the count start again, and the epoch goes up. */
static void test_epochs(void)
{
    uint8_t token[FAKE_MAX_BLOB];

    begin(2);
    for (uint32_t epoch = 0; epoch < 3; epoch++) {
        add_all();
        drain();
        check_packets(epoch * BUNDLES, BUNDLES, epoch);
        g_assert_cmpuint(realm_exporter_bundles(exporter), ==, BUNDLES);
        g_assert_cmpint(fake_backend.export_epoch(token, &error_abort), >, 0);
        g_assert_cmpuint(realm_exporter_end_epoch(exporter), ==, BUNDLES);
        g_assert_cmpuint(realm_exporter_bundles(exporter), ==, 0);
        for (unsigned i = 0; i < BUNDLES; i++) {
            fake_write(i);
        }
        collect();
    }
    check_numbers();
    end();
}

/* Bundles that the migration thread writes are not on channels. */
static void test_no_channels(void)
{
    begin(0);
    add_all();
    drain();
    g_assert_cmpuint(realm_exporter_bundles(exporter), ==, BUNDLES);
    g_assert_cmpuint(realm_exporter_end_epoch(exporter), ==, 0);
    end();
}

/* A bundle without pages takes no place, and the epoch has none. */
static void test_nothing_to_export(void)
{
    begin(2);
    memset(fake_source.version, 0, sizeof(fake_source.version));
    add_all();
    drain();
    g_assert_cmpuint(fake_migration.packets->len, ==, 0);
    g_assert_cmpuint(realm_exporter_bundles(exporter), ==, 0);
    end();
}

/* ---- One thread does a thing while the test does another ---- */

static void *release_soon(void *opaque)
{
    bool *released = opaque;

    g_usleep(SHORT_US);
    qatomic_set(released, true);
    fake_hold_exports(false);
    return NULL;
}

static void *break_soon(void *opaque)
{
    g_usleep(SHORT_US);
    qemu_file_set_error(f, -EIO);       /* as when a user cancels */
    return NULL;
}

static void start(QemuThread *thread, void *(*function)(void *), void *opaque)
{
    qemu_thread_create(thread, "helper", function, opaque,
                       QEMU_THREAD_JOINABLE);
}

/* As many bundles as may be under way; an add that waited would for ever. */
#define MOST 8

static void test_add_does_not_wait(const void *channels)
{
    begin(GPOINTER_TO_UINT(channels));
    fake_hold_exports(true);
    for (unsigned i = 0; i < MOST; i++) {
        g_assert_true(add(i, &error_abort));
    }
    fake_hold_exports(false);
    drain();
    g_assert_cmpuint(fake_source.bundles, ==, MOST);
    end();
}

static void test_drain_waits(const void *channels)
{
    bool released = false;
    QemuThread thread;

    begin(GPOINTER_TO_UINT(channels));
    fake_hold_exports(true);
    g_assert_true(add(0, &error_abort));
    start(&thread, release_soon, &released);
    drain();
    g_assert_true(qatomic_read(&released));
    g_assert_cmpuint(fake_source.in_epoch, ==, 1);
    g_assert_cmpuint(buffer->usage + fake_migration.packets->len, >, 0);
    qemu_thread_join(&thread);
    end();
}

static void test_stop_waits(const void *channels)
{
    bool released = false;
    QemuThread thread;

    begin(GPOINTER_TO_UINT(channels));
    fake_hold_exports(true);
    g_assert_true(add(0, &error_abort));
    while (!fake_calls("export_memory")) {
        g_usleep(100);
    }
    start(&thread, release_soon, &released);
    realm_exporter_stop(exporter);
    g_assert_true(qatomic_read(&released));
    g_assert_true(fake_backend.export_abort(&error_abort)); /* asserts more */
    g_assert_cmpuint(fake_migration.packets->len, ==, 0);
    qemu_thread_join(&thread);
    end();
}

/* Whoever adds bundles is told, and no thread exports any more. */
static void check_ended(const char *reason)
{
    unsigned calls = fake_calls("export_memory");
    Error *err = NULL;

    g_assert_false(add(BUNDLES - 1, &err));
    g_assert_nonnull(strstr(error_get_pretty(err), reason));
    error_free(err);
    err = NULL;
    g_assert_false(realm_exporter_drain(exporter, f, &err));
    g_assert_nonnull(strstr(error_get_pretty(err), reason));
    error_free(err);
    g_usleep(SHORT_US);
    g_assert_cmpuint(fake_calls("export_memory"), ==, calls);
    g_assert_true(fake_backend.export_abort(&error_abort)); /* asserts more */
}

/* Returns false if that is told at once. */
static bool add_until_failure(void)
{
    for (unsigned i = 0; i < BUNDLES - 1; i++) {
        if (!add(i, NULL)) {
            return false;
        }
    }
    return realm_exporter_drain(exporter, f, NULL);
}

static void test_stopped(const void *channels)
{
    begin(GPOINTER_TO_UINT(channels));
    realm_exporter_stop(exporter);
    check_ended("was given up");
    end();
}

/* Each of the bundles in turn. */
static void test_export_fails(const void *channels)
{
    for (unsigned at = 1; at < BUNDLES; at++) {
        begin(GPOINTER_TO_UINT(channels));
        fake_export_us = 300;
        fake_fail("export_memory", at, false);
        g_assert_false(add_until_failure());
        check_ended("told to fail in export_memory");
        end();
    }
}

/* Later failures do not hide the reason. */
static void test_all_exports_fail(const void *channels)
{
    begin(GPOINTER_TO_UINT(channels));
    fake_fail("export_memory", 0, false);
    g_assert_false(add_until_failure());
    check_ended("told to fail in export_memory");
    end();
}

static void test_channel_fails(void)
{
    for (unsigned at = 1; at < BUNDLES; at++) {
        begin(2);
        fake_migration.broken = at;
        g_assert_false(add_until_failure());
        check_ended("multifd does not take");
        g_assert_cmpuint(fake_migration.packets->len, ==, at - 1);
        end();
    }
}

/*
 * All threads wait for a peer that does not read.  Until multifd ends, nobody
 * but a yank sets them free.
 */
static void test_peer_does_not_read(void)
{
    QemuThread thread;

    begin(2);
    fake_migration.stuck = true;
    start(&thread, break_soon, NULL);
    g_assert_false(add_until_failure());
    check_ended("was given up");
    g_assert_cmpuint(fake_migration.yanks, ==, 0);
    qemu_thread_join(&thread);
    end();
    g_assert_cmpuint(fake_migration.yanks, ==, 1);
    g_assert_cmpuint(fake_migration.packets->len, ==, 0);
}

/*
 * A user cancels while ram.c waits for multifd: threads with nothing to do end
 * the channels, once.
 */
static void test_cancelled_elsewhere(const void *channels)
{
    begin(GPOINTER_TO_UINT(channels));
    g_assert_true(add(0, &error_abort));
    drain();
    g_usleep(10 * SHORT_US);
    g_assert_cmpuint(fake_migration.yanks, ==, 0);
    fake_migration_state(MIGRATION_STATUS_CANCELLING, f);
    while (channels && !qatomic_read(&fake_migration.yanks)) {
        g_usleep(100);
    }
    g_usleep(20 * SHORT_US);
    g_assert_cmpuint(fake_migration.yanks, ==, channels != NULL);
    fake_migration_state(MIGRATION_STATUS_NONE, NULL);
    end();
}

/* What waits behind a failure is not exported; one thread, so it waits. */
static void test_behind_failure(void)
{
    begin(1);
    fake_fail("export_memory", 1, false);
    fake_hold_exports(true);
    g_assert_true(add(0, &error_abort) && add(1, &error_abort));
    fake_hold_exports(false);
    g_assert_false(realm_exporter_drain(exporter, f, NULL));
    g_assert_cmpuint(fake_calls("export_memory"), ==, 1);
    check_ended("told to fail in export_memory");
    end();
}

/* A thread fails when the reason is known already. */
static void test_second_failure(void)
{
    Error *err = NULL;

    begin(2);
    fake_migration.stuck = true;
    g_assert_true(add(0, &error_abort));
    while (!fake_source.bundles) {
        g_usleep(100);
    }
    fake_fail("export_memory", 0, false);
    g_assert_true(add(1, &error_abort));
    g_assert_false(realm_exporter_drain(exporter, f, &err));
    g_assert_nonnull(strstr(error_get_pretty(err), "told to fail in export"));
    error_free(err);
    qmp_yank(&(YankInstanceList) { .value = MIGRATION_YANK_INSTANCE },
             &error_abort);
    check_ended("told to fail in export_memory");
    end();
}

/* The channels of a migration that succeeds are QEMU's to end. */
static void test_no_yank(void)
{
    begin(2);
    add_all();
    drain();
    end();
    g_assert_cmpuint(fake_migration.yanks, ==, 0);
}

static void test_broken_stream(void)
{
    begin(0);
    qemu_file_set_error(f, -EPIPE);
    check_ended("was given up");
    end();
}

static void add_test(const char *claim, void (*function)(const void *))
{
    static const unsigned channels[] = { 0, 1, 2, 8 };

    for (unsigned i = 0; i < ARRAY_SIZE(channels); i++) {
        g_autofree char *name = g_strdup_printf(
            "/realm/exporter/%s-with-%u-channels", claim, channels[i]);

        g_test_add_data_func(name, GUINT_TO_POINTER(channels[i]), function);
    }
}

int main(int argc, char **argv)
{
    module_call_init(MODULE_INIT_QOM);
    g_test_init(&argc, &argv, NULL);
    realm_backend_set(&fake_backend, &config);

    for (uintptr_t streams = 1; streams <= FAKE_MAX_STREAMS; streams++) {
        g_autofree char *channels = g_strdup_printf(
            "/realm/exporter/a-stream-keeps-its-order-on-channels/%u",
            (unsigned)streams);
        g_autofree char *written = g_strdup_printf(
            "/realm/exporter/bundles-are-written-in-order/%u",
            (unsigned)streams);

        g_test_add_data_func(channels, GUINT_TO_POINTER(streams),
                             test_order_on_channels);
        g_test_add_data_func(written, GUINT_TO_POINTER(streams),
                             test_order_in_stream);
    }
    g_test_add_func("/realm/exporter/packets-name-epoch-and-place",
                    test_epochs);
    g_test_add_func("/realm/exporter/the-count-is-of-channels-alone",
                    test_no_channels);
    g_test_add_func("/realm/exporter/pages-given-up-are-no-bundle",
                    test_nothing_to_export);
    add_test("an-add-does-not-wait-for-its-export", test_add_does_not_wait);
    add_test("a-drain-waits-for-exports", test_drain_waits);
    add_test("a-stop-waits-for-exports", test_stop_waits);
    add_test("nothing-is-exported-after-a-stop", test_stopped);
    add_test("nothing-is-exported-after-a-failure", test_export_fails);
    add_test("the-first-failure-is-told", test_all_exports_fail);
    g_test_add_func("/realm/exporter/nothing-is-exported-for-a-lost-channel",
                    test_channel_fails);
    g_test_add_func("/realm/exporter/a-peer-that-does-not-read-hangs-nobody",
                    test_peer_does_not_read);
    add_test("idle-threads-see-that-it-is-cancelled",
             test_cancelled_elsewhere);
    g_test_add_func("/realm/exporter/nothing-is-exported-behind-a-failure",
                    test_behind_failure);
    g_test_add_func("/realm/exporter/a-second-failure-hides-no-first",
                    test_second_failure);
    g_test_add_func("/realm/exporter/no-yank-without-need", test_no_yank);
    g_test_add_func("/realm/exporter/a-broken-stream-ends-it",
                    test_broken_stream);
    return g_test_run();
}
