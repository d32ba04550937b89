/*
 * The "realm" section of the migration stream, both halves
 *
 * Purpose: the files of migration/realm/ between a fake migration and a fake
 * backend that is strict about its callers.  Every page arrives in its last
 * version, the Realm has one owner at any time, and a failure is reported and
 * leaves a source that can migrate again.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/bswap.h"
#include "qemu/units.h"
#include "qemu/module.h"
#include "qapi/qapi-commands-realm.h"
#include "qapi/qapi-types-migration.h"
#include "io/channel-buffer.h"
#include "io/channel-file.h"
#include "migration/migration.h"
#include "migration/migration-stats.h"
#include "migration/postcopy-ram.h"
#include "migration/realm.h"
#include "migration/realm/realm-migration.h"
#include "migration/realm/record.h"
#include "migration/realm/reply.h"
#include "fake-backend.h"
#include "fake-migration.h"

static const RealmConfig default_config = {
    .migration = true,
    .measurement_algorithm = RME_GUEST_MEASUREMENT_ALGORITHM_SHA256,
    .ipa_bits = 41,
    .ram_base = 0x40000000,
    .ram_size = FAKE_PAGES * REALM_PAGE_SIZE,
    .num_cpus = 1,
};

/* In a tenth of a second, a part of the section: all but a page of a bundle. */
#define BUNDLE_RATE \
    (10 * ((FAKE_MAX_PAGES - 1) * (REALM_PAGE_SIZE + 8) + 1000))

static RealmConfig config;

/* A stream that is being written, and how many parts the section has there. */
typedef struct Stream {
    QIOChannelBuffer *buffer;
    QEMUFile *f;
    unsigned parts;
} Stream;

static const SaveVMHandlers *handlers(void)
{
    return fake_migration.handlers;
}

/* Nothing fails from now on, and another destination is accepted. */
static void try_again(void)
{
    fake_fail(NULL, 0, false);
    fake_destination_new(true);
    fake_migration.unsupported = NULL;
    fake_migration_no_capability();
    fake_migration.no_return_path = fake_migration.broken_return_path = false;
    fake_migration.meanwhile = fake_answer;
    g_clear_pointer(&fake_migration.error, g_free);
    realm_start_base_ms = 30000;
    fake_migration.downtime_limit = 0;
    migration_rate_set(RATE_LIMIT_DISABLED);
    fake_agree();
    fake_migration.failures = 0;
}

static void reset(void)
{
    fake_reset();
    config = default_config;
    try_again();
}

static void stream_open(Stream *stream)
{
    stream->buffer = qio_channel_buffer_new(0);
    stream->f = qemu_file_new_output(QIO_CHANNEL(stream->buffer));
    stream->parts = 0;
    fake_migration_state(MIGRATION_STATUS_ACTIVE, stream->f);
}

static void stream_close(Stream *stream)
{
    qemu_fclose(stream->f);
    object_unref(OBJECT(stream->buffer));
}

static uint64_t estimate(void)
{
    uint64_t precopy = 0, postcopy = 0;

    handlers()->state_pending_estimate(NULL, &precopy, &postcopy);
    g_assert_cmpint(postcopy, ==, 0);
    return precopy;
}

/* An exact estimate. */
static uint64_t pending(void)
{
    uint64_t precopy = 0, postcopy = 0;

    handlers()->state_pending_exact(NULL, &precopy, &postcopy);
    g_assert_cmpint(postcopy, ==, 0);
    return precopy;
}

static bool part(Stream *stream, int result)
{
    stream->parts++;
    return result >= 0 && !qemu_file_get_error(stream->f);
}

static bool iterate(Stream *stream)
{
    migration_rate_reset();
    return part(stream, handlers()->save_live_iterate(stream->f, NULL));
}

static bool setup(Stream *stream)
{
    Error *err = NULL;

    if (!fake_migration_save(stream->f, true)) {
        return false;
    }
    if (handlers()->save_setup(stream->f, NULL, &err)) {
        fake_migration.error = g_strdup(error_get_pretty(err));
        error_free(err);
        return false;
    }
    return part(stream, 0);
}

/* Rounds while the guest writes to one page less each time. */
static bool rounds(Stream *stream)
{
    for (unsigned writes = FAKE_PAGES - 2; writes; writes--) {
        for (unsigned i = 0; i < writes; i++) {
            fake_write(i);
        }
        do {
            if (!iterate(stream)) {
                return false;
            }
        } while (pending() && stream->parts % 3);
        if (qemu_file_get_error(stream->f)) {
            return false;
        }
    }
    return true;
}

static bool complete(Stream *stream)
{
    int ret = handlers()->save_live_complete_precopy(stream->f, NULL);

    return part(stream, ret) && fake_migration_save(stream->f, false) &&
        !qemu_fflush(stream->f);
}

static void finish(Stream *stream, bool ok)
{
    fake_migration_state(ok ? MIGRATION_STATUS_COMPLETED
                            : MIGRATION_STATUS_FAILED, NULL);
    handlers()->save_cleanup(NULL);
}

static bool save(Stream *stream)
{
    bool ok = setup(stream) && rounds(stream);

    if (ok) {
        fake_write(0);
        fake_write(FAKE_PAGES - 1);     /* for the first time */
        ok = complete(stream);
    }
    finish(stream, ok);
    return ok;
}

/*
 * What a destination says to the first @size bytes of what was written, up
 * to the section @until (all if NULL); if there is an @end, that is all that
 * comes.
 */
static bool load_some(Stream *stream, size_t size, const char *until, bool end)
{
    /* QEMU's end of the stream: something that is no subsection follows. */
    bool whole = size == stream->buffer->usage;
    QIOChannelBuffer *buffer = qio_channel_buffer_new(size + 1);
    QEMUFile *f;
    bool ok;

    memcpy(buffer->data, stream->buffer->data, size);
    buffer->data[size] = 0;
    buffer->usage = size + whole;
    f = qemu_file_new_input(QIO_CHANNEL(buffer));
    fake_migration_load_begin(f);
    ok = fake_migration_load(f, true, until);
    for (unsigned i = 0; i < stream->parts && ok; i++) {
        ok = !handlers()->load_state(f, NULL, REALM_SECTION_VERSION);
        g_assert_false(fake_destination.committed);
    }
    ok = ok && fake_migration_load(f, false, until);
    g_assert_false(fake_destination.committed);
    ok = fake_migration_load_end(ok && end) || (ok && !end);
    qemu_fclose(f);
    object_unref(OBJECT(buffer));
    return ok;
}

static bool load(Stream *stream, size_t size)
{
    return load_some(stream, size, NULL, true);
}

static void check_arrived(void)
{
    g_assert_true(fake_destination.committed);
    g_assert_cmpint(fake_source.phase, ==, REALM_PHASE_SEALED);
    g_assert_cmpmem(fake_source.version, sizeof(fake_source.version),
                    fake_destination.version,
                    sizeof(fake_destination.version));
    g_assert_cmpint(fake_destination.phase, ==, REALM_PHASE_HERE);
    g_assert_cmpint(fake_migration.failures, ==, 0);
}

/* The destination will never run the Realm, and has said so once. */
static void check_given_up(void)
{
    g_assert_false(fake_destination.committed);
    g_assert_true(fake_destination.given_up);
    g_assert_cmpint(fake_migration.failures, ==, 1);
    g_assert_cmpint(fake_destination.phase, ==, REALM_PHASE_FAILED);
}

static void check_moves(void)
{
    Stream stream;

    stream_open(&stream);
    g_assert_true(save(&stream));
    g_assert_true(load(&stream, stream.buffer->usage));
    check_arrived();
    stream_close(&stream);
}

/* After a migration that failed. */
static void check_moves_now(void)
{
    try_again();
    check_moves();
}

static void test_moves(void)
{
    reset();
    check_moves();
    g_assert_cmpint(fake_source.aborts, ==, 0);
    g_assert_null(fake_migration.error);
}

static void test_rate(void)
{
    Stream stream;

    reset();
    migration_rate_set(BUNDLE_RATE);
    stream_open(&stream);
    g_assert_true(setup(&stream));
    for (unsigned bundles = 1; bundles <= 3; bundles++) {
        g_assert_cmpint(estimate(), >, 0);
        g_assert_true(iterate(&stream));
        g_assert_cmpint(fake_source.bundles, ==, bundles);
    }
    g_assert_cmpint(pending(), ==, 0);
    g_assert_true(complete(&stream));
    finish(&stream, true);
    g_assert_true(load(&stream, stream.buffer->usage));
    check_arrived();
    stream_close(&stream);
}

/* A limit that is less than a bundle is kept, too. */
static void test_low_rate(void)
{
    Stream stream;

    reset();
    migration_rate_set(100);            /* one page, to come further at all */
    stream_open(&stream);
    g_assert_true(setup(&stream));
    for (unsigned left = FAKE_PAGES - 1; left-- > 0; ) {
        g_assert_true(iterate(&stream));
        g_assert_cmpint(estimate() / REALM_PAGE_SIZE, ==, left);
    }
    g_assert_cmpint(fake_source.bundles, ==, FAKE_PAGES - 1);
    g_assert_cmpint(pending(), ==, 0);
    g_assert_true(complete(&stream));
    finish(&stream, true);
    g_assert_true(load(&stream, stream.buffer->usage));
    check_arrived();
    stream_close(&stream);
}

/* The vCPUs are stopped while a round is on its way. */
static void test_stopped_within_a_round(void)
{
    Stream stream;

    reset();
    migration_rate_set(BUNDLE_RATE);
    stream_open(&stream);
    g_assert_true(setup(&stream));
    g_assert_true(iterate(&stream));
    fake_write(1);                      /* sent */
    fake_write(FAKE_PAGES - 2);         /* not yet sent */
    fake_write(FAKE_PAGES - 1);         /* not in the round */
    g_assert_true(complete(&stream));
    finish(&stream, true);
    g_assert_true(load(&stream, stream.buffer->usage));
    check_arrived();
    stream_close(&stream);
}

/* QEMU decides by it whether the rest is little enough to stop the guest. */
static void test_exact(void)
{
    const uint64_t page = REALM_PAGE_SIZE;
    Stream stream;

    reset();
    migration_rate_set(BUNDLE_RATE);
    stream_open(&stream);
    g_assert_true(setup(&stream));
    g_assert_true(iterate(&stream));
    fake_write(0);                      /* sent */
    fake_write(FAKE_PAGES - 1);         /* not in the round */
    g_assert_cmpint(estimate() / page, ==, FAKE_PAGES - 1 - FAKE_MAX_PAGES);
    g_assert_cmpint(pending() / page, ==, FAKE_PAGES + 1 - FAKE_MAX_PAGES);
    g_assert_cmpint(estimate(), ==, pending());
    g_assert_cmpint(fake_source.epochs, ==, 1);

    migration_rate_set(RATE_LIMIT_DISABLED);
    g_assert_true(iterate(&stream));
    g_assert_cmpint(pending(), ==, 0);
    g_assert_true(complete(&stream));
    finish(&stream, true);
    g_assert_true(load(&stream, stream.buffer->usage));
    check_arrived();
    stream_close(&stream);
}

/* Nothing is sent for pages that the guest gave up meanwhile. */
static void test_given_up(void)
{
    Stream stream;

    reset();
    stream_open(&stream);
    g_assert_true(setup(&stream));
    memset(fake_source.version, 0, sizeof(fake_source.version));
    g_assert_true(iterate(&stream));
    g_assert_cmpint(pending(), ==, 0);
    g_assert_true(complete(&stream));
    finish(&stream, true);
    g_assert_cmpint(fake_source.bundles, ==, 0);
    g_assert_cmpint(fake_source.epochs, ==, 0);
    g_assert_true(load(&stream, stream.buffer->usage));
    check_arrived();
    stream_close(&stream);
}

/* What query-realm-migration would tell. */
static RealmMigrationStats counted(void)
{
    RealmMigrationStats stats;

    realm_counters_get(&stats);
    return stats;
}

static void test_counters(void)
{
    Stream stream;

    reset();
    stream_open(&stream);
    g_assert_true(setup(&stream));
    g_assert_cmpint(counted().total, ==,
                    (FAKE_PAGES - 1) * REALM_PAGE_SIZE);
    g_assert_cmpint(counted().remaining, ==, counted().total);
    g_assert_cmpint(counted().rounds, ==, 1);
    g_assert_true(iterate(&stream));
    g_assert_cmpint(counted().private_pages, ==, FAKE_PAGES - 1);
    g_assert_cmpint(counted().remaining, ==, 0);
    g_assert_cmpint(counted().tag_pages, ==, 0);
    g_assert_cmpint(counted().bundles, ==, 1 + fake_source.bundles);
    finish(&stream, false);
    stream_close(&stream);
}

/* A step that fails is told, ends the session once, and is not the end. */
static void test_step_fails(const void *step)
{
    bool opened = !g_str_equal(step, "export_begin");
    Stream stream;

    reset();
    fake_fail(step, 0, false);
    stream_open(&stream);
    g_assert_false(save(&stream));
    g_assert_nonnull(fake_migration.error);
    g_assert_nonnull(strstr(fake_migration.error, step));
    g_assert_cmpint(fake_source.phase, ==, opened ? REALM_PHASE_HERE
                                                  : REALM_PHASE_ACCEPTED);
    g_assert_cmpint(fake_source.aborts, ==, opened);
    stream_close(&stream);

    check_moves_now();
}

/* The user stops and continues the guest while it migrates. */
static void test_stop_and_cont(void)
{
    Stream stream;

    reset();
    stream_open(&stream);
    g_assert_true(setup(&stream));
    g_assert_true(iterate(&stream));
    fake_migration.vm_changed(NULL, false, RUN_STATE_PAUSED);
    g_assert_cmpint(pending(), ==, 0);
    fake_migration.vm_changed(NULL, true, RUN_STATE_RUNNING);
    g_assert_cmpint(fake_source.phase, ==, REALM_PHASE_EXPORTING);
    g_assert_true(rounds(&stream));
    g_assert_true(complete(&stream));
    finish(&stream, true);
    g_assert_cmpint(fake_source.aborts, ==, 0);
    g_assert_true(load(&stream, stream.buffer->usage));
    check_arrived();
    stream_close(&stream);
}

/* Not only the first round can fail. */
static void test_round_fails(void)
{
    Stream stream;

    reset();
    stream_open(&stream);
    g_assert_true(setup(&stream));
    g_assert_true(iterate(&stream));
    fake_fail("collect_dirty", 0, false);
    pending();
    g_assert_true(qemu_file_get_error(stream.f));
    g_assert_nonnull(strstr(fake_migration.error, "collect_dirty"));
    finish(&stream, false);
    g_assert_cmpint(fake_source.phase, ==, REALM_PHASE_HERE);
    stream_close(&stream);
    check_moves_now();
}

/* The vCPUs are started again before the clean-up comes. */
static void test_runs_on(void)
{
    Stream stream;

    reset();
    stream_open(&stream);
    g_assert_true(setup(&stream));
    g_assert_true(iterate(&stream));
    g_assert_cmpint(handlers()->save_live_complete_precopy(stream.f, NULL),
                    ==, 0);
    fake_migration.vm_changed(NULL, true, RUN_STATE_RUNNING);
    g_assert_cmpint(fake_source.phase, ==, REALM_PHASE_HERE);
    fake_write(0);
    finish(&stream, false);
    g_assert_cmpint(fake_source.aborts, ==, 1);
    stream_close(&stream);
}

/* What QEMU does with a migration that failed after the pause. */
static void fail_paused(Stream *stream, const char *function, unsigned at)
{
    reset();
    stream_open(stream);
    g_assert_true(setup(stream) && rounds(stream));
    g_assert_cmpint(handlers()->save_live_complete_precopy(stream->f, NULL),
                    ==, 0);
    fake_fail(function, at, false);
    fake_migration_state(MIGRATION_STATUS_FAILED, NULL);
    fake_migration.vm_changed(NULL, true, RUN_STATE_RUNNING);
}

/* The backend cannot forget the session now: it is asked again. */
static void test_abort_fails_once(void)
{
    Stream stream;

    fail_paused(&stream, "export_abort", 1);
    g_assert_cmpint(fake_source.phase, ==, REALM_PHASE_PAUSED);
    handlers()->save_cleanup(NULL);
    g_assert_cmpint(fake_source.phase, ==, REALM_PHASE_HERE);
    g_assert_cmpint(fake_source.aborts, ==, 2);
    stream_close(&stream);
    check_moves_now();
}

/* ... until `cont` gets it done. */
static void test_abort_fails_for_long(void)
{
    Stream stream;

    fail_paused(&stream, "export_abort", 0);
    handlers()->save_cleanup(NULL);
    fake_migration.vm_changed(NULL, true, RUN_STATE_RUNNING);
    g_assert_cmpint(fake_source.phase, ==, REALM_PHASE_PAUSED);
    fake_fail(NULL, 0, false);
    fake_migration.vm_changed(NULL, true, RUN_STATE_RUNNING);
    g_assert_cmpint(fake_source.phase, ==, REALM_PHASE_HERE);
    stream_close(&stream);
    check_moves_now();
}

static void check_not_prepared(const char *reason)
{
    Error *err = NULL;

    g_assert_cmpint(handlers()->save_prepare(NULL, &err), <, 0);
    g_assert_nonnull(strstr(error_get_pretty(err), reason));
    error_free(err);
}

static void test_prepare(void)
{
    reset();
    g_assert_cmpint(handlers()->save_prepare(NULL, &error_abort), ==, 0);
    fake_source.phase = REALM_PHASE_HERE;
    check_not_prepared("realm-migration-accept");

    reset();
    fake_migration.no_return_path = true;
    check_not_prepared("turn the capability return-path on");
}

/* Those that functional tests turn on (test_realm_refused.py). */
static bool is_supported(const char *name)
{
    static const char *const names[] = {
        "auto-converge", "events", "late-block-activate", "multifd",
        "pause-before-switchover", "return-path", "switchover-ack",
        "validate-uuid", NULL
    };

    return g_strv_contains(names, name);
}

static void test_capability(const void *opaque)
{
    MigrationCapability capability = GPOINTER_TO_INT(opaque);
    const char *name = MigrationCapability_str(capability);

    reset();
    fake_migration_capability(capability, true);
    if (is_supported(name)) {
        g_assert_cmpint(handlers()->save_prepare(NULL, &error_abort), ==, 0);
    } else {
        check_not_prepared(name);
        check_not_prepared("turn it off");
    }
}

static void test_mode(void)
{
    reset();
    fake_migration.unsupported = "cpr-reboot";
    check_not_prepared("mode cpr-reboot does not work with Realms");
    check_not_prepared("set it to normal");
}

static void test_rdma(void)
{
    Stream stream;
    Error *err = NULL;

    reset();
    fake_migration.unsupported = "rdma";
    stream_open(&stream);
    g_assert_false(realm_check_channel(stream.f, &err));
    g_assert_nonnull(strstr(error_get_pretty(err), "use a socket"));
    error_free(err);
    stream_close(&stream);
}

/* As a stream can begin it with the capability off. */
static void test_postcopy(void)
{
    struct PostcopyNotifyData data = {
        .reason = POSTCOPY_NOTIFY_INBOUND_LISTEN
    };
    Error *err = NULL;

    g_assert_cmpint(fake_migration.postcopy->notify(fake_migration.postcopy,
                                                    &data, &err), <, 0);
    g_assert_nonnull(strstr(error_get_pretty(err), "postcopy"));
    error_free(err);
    data.reason = POSTCOPY_NOTIFY_PROBE;
    g_assert_cmpint(fake_migration.postcopy->notify(fake_migration.postcopy,
                                                    &data, &error_abort),
                    ==, 0);
}

/* Devices are saved with no migration under way (xen-save-devices-state). */
static void test_no_migration(void)
{
    Stream stream;

    reset();
    stream_open(&stream);
    fake_source.phase = REALM_PHASE_HERE;
    g_assert_false(fake_migration_save(stream.f, false));
    g_assert_nonnull(strstr(fake_migration.error, "in a migration only"));
    stream_close(&stream);
}

/* What can be loaded twice would be two Realms. */
static void test_file(void)
{
    g_autofree char *path = NULL;
    int fd = g_file_open_tmp("realm-stream-XXXXXX", &path, NULL);
    QIOChannelFile *file = qio_channel_file_new_fd(fd);
    QEMUFile *f = qemu_file_new_output(QIO_CHANNEL(file));
    Error *err = NULL;

    reset();
    g_assert_cmpint(handlers()->save_setup(f, NULL, &err), <, 0);
    g_assert_nonnull(strstr(error_get_pretty(err), "file"));
    error_free(err);
    g_assert_cmpint(fake_source.phase, ==, REALM_PHASE_ACCEPTED);
    qemu_fclose(f);
    object_unref(OBJECT(file));
    unlink(path);
}

/* Wherever the stream ends, the destination does not run the Realm. */
static void test_truncated(void)
{
    Stream stream;
    size_t size;

    reset();
    stream_open(&stream);
    g_assert_true(save(&stream));
    size = stream.buffer->usage;
    for (size_t cut = 0; cut < size; cut += cut < 64 ? 1 : 23) {
        fake_destination_new(true);
        g_assert_false(load(&stream, cut));
        g_assert_false(fake_destination.committed);
    }
    stream_close(&stream);
}

/* Load a section of one part that consists of @size bytes. */
static bool load_bytes(const void *bytes, size_t size)
{
    Stream stream = { .parts = 1 };
    bool ok;

    stream.buffer = qio_channel_buffer_new(0);
    stream.f = qemu_file_new_output(QIO_CHANNEL(stream.buffer));
    g_assert_true(fake_migration_save(stream.f, true));
    qemu_put_buffer(stream.f, bytes, size);
    qemu_fflush(stream.f);
    ok = load(&stream, stream.buffer->usage);
    stream_close(&stream);
    return ok;
}

static void test_too_large(void)
{
    uint8_t bytes[REALM_RECORD_HEADER_SIZE + 2 * FAKE_MAX_BLOB] = { 0 };

    reset();
    stw_be_p(bytes, REALM_RECORD_STATE);
    stl_be_p(bytes + 4, FAKE_MAX_BLOB + 1);
    g_assert_false(load_bytes(bytes, sizeof(bytes)));
    g_assert_nonnull(strstr(fake_migration.error, "malformed record"));
    g_assert_false(fake_destination.dead);      /* never saw it */
}

/* The backend asserts that nothing follows what it refused. */
static void test_refused_blob(void)
{
    uint8_t bytes[2 * (REALM_RECORD_HEADER_SIZE + 8)] = { 0 };

    reset();
    for (unsigned i = 0; i < 2; i++) {
        uint8_t *record = bytes + i * sizeof(bytes) / 2;

        stw_be_p(record, REALM_RECORD_MEMORY);
        stl_be_p(record + 4, 8);
    }
    g_assert_false(load_bytes(bytes, sizeof(bytes)));
    g_assert_true(fake_destination.dead);
    g_assert_nonnull(strstr(fake_migration.error,
                            "memory record of 8 bytes"));
    check_given_up();
}

static void test_start_too_large(void)
{
    Stream stream;

    reset();
    stream_open(&stream);
    g_assert_true(save(&stream));
    stl_be_p(stream.buffer->data + stream.buffer->usage - 256 - 4, 257);
    g_assert_false(load(&stream, stream.buffer->usage));
    g_assert_nonnull(strstr(fake_migration.error, "at most 256"));
    g_assert_false(fake_destination.dead);      /* never saw it */
    check_given_up();
    stream_close(&stream);
}

static void test_bytes_behind_token(void)
{
    Stream stream;

    reset();
    stream_open(&stream);
    g_assert_true(save(&stream));
    stream.buffer->data[stream.buffer->usage - 1] = 1;
    g_assert_false(load(&stream, stream.buffer->usage));
    g_assert_nonnull(strstr(fake_migration.error, "is not zero"));
    check_given_up();
    stream_close(&stream);
}

/* QEMU takes an end of the stream before the start token for the end. */
static void test_no_token(void)
{
    Stream stream;

    reset();
    stream_open(&stream);
    g_assert_true(save(&stream));
    g_assert_false(load_some(&stream, stream.buffer->usage, "realm-start",
                             true));
    g_assert_nonnull(strstr(fake_migration.error, "without its start token"));
    check_given_up();
    stream_close(&stream);
}

/* What comes behind the start token may fail as well. */
static void test_no_end(void)
{
    Stream stream;

    reset();
    stream_open(&stream);
    g_assert_true(save(&stream));
    load_some(&stream, stream.buffer->usage, NULL, false);
    g_assert_true(fake_destination.started);
    check_given_up();
    stream_close(&stream);
}

static void test_version(void)
{
    reset();
    fake_migration.loading = true;
    g_assert_cmpint(handlers()->load_state(NULL, NULL, 0), <, 0);
    fake_migration.loading = false;
    g_assert_nonnull(strstr(fake_migration.error, "it has version 0"));
    check_given_up();
}

/*
 * After the start token: the source stays sealed whatever QEMU does with it,
 * until it has the destination's word.
 */
static void test_commit_fails(void)
{
    Stream stream;

    reset();
    stream_open(&stream);
    g_assert_true(save(&stream));
    fake_fail("commit", 0, false);
    g_assert_false(load(&stream, stream.buffer->usage));
    stream_close(&stream);
    check_given_up();

    fake_migration.vm_changed(NULL, true, RUN_STATE_RUNNING);
    g_assert_cmpint(fake_source.phase, ==, REALM_PHASE_SEALED);
    g_assert_cmpint(fake_source.aborts, ==, 0);
    g_assert_true(fake_backend.export_resume(NULL, 0, &error_abort));
    check_moves_now();
}

/* The connection is lost with the start token on its way. */
static void test_sealed_and_failed(void)
{
    Stream stream;

    reset();
    stream_open(&stream);
    g_assert_true(setup(&stream) && rounds(&stream) && complete(&stream));
    finish(&stream, false);
    stream_close(&stream);
    g_assert_cmpint(fake_source.phase, ==, REALM_PHASE_SEALED);
    g_assert_cmpint(fake_source.aborts, ==, 0);
    g_assert_cmpint(fake_source.phase, ==, REALM_PHASE_SEALED);
}

/* What differs in the configuration of a destination, and what it is called. */
typedef struct Difference {
    RealmConfig config;
    const char *option;
} Difference;

static void test_difference(const void *opaque);

/* Add the test; the caller changes the configuration. */
static RealmConfig *add_difference(const char *claim, const char *option)
{
    static Difference differences[7];
    static unsigned used;
    g_autofree char *name = g_strdup_printf("/realm/config/name-%s", claim);
    Difference *d = &differences[used++];

    assert(used <= ARRAY_SIZE(differences));
    d->config = default_config;
    d->option = option;
    g_test_add_data_func(name, d, test_difference);
    return &d->config;
}

static void test_difference(const void *opaque)
{
    const Difference *d = opaque;
    Stream stream;

    reset();
    stream_open(&stream);
    g_assert_true(save(&stream));
    config = d->config;
    g_assert_false(load(&stream, stream.buffer->usage));
    g_assert_nonnull(strstr(fake_migration.error, d->option));
    g_assert_nonnull(strstr(fake_migration.error, "options of the source"));
    g_assert_false(fake_destination.begun);     /* nothing came so far */
    stream_close(&stream);
}

/* What is not compared, and not sent, may differ. */
static void test_equal_options(void)
{
    Stream stream;

    reset();
    config.mte = true;
    config.measurement_algorithm = RME_GUEST_MEASUREMENT_ALGORITHM_SHA512;
    memset(config.rpv, 0xa5, sizeof(config.rpv));
    stream_open(&stream);
    g_assert_true(save(&stream));
    config.cpu_type = "another";
    g_assert_true(load(&stream, stream.buffer->usage));
    check_arrived();
    stream_close(&stream);
}

/* A source with pages of 4 KiB says nothing, as one of an older release. */
static void test_page_size(void)
{
    static const char name[] = "realm-config/page-size";
    static const struct {
        unsigned source, destination;
        bool ok;
    } hosts[] = {
        { 4 * KiB, 4 * KiB, true }, { 64 * KiB, 64 * KiB, true },
        { 64 * KiB, 4 * KiB, true }, { 64 * KiB, 16 * KiB, true },
        { 4 * KiB, 16 * KiB }, { 4 * KiB, 64 * KiB }, { 16 * KiB, 64 * KiB },
    };

    for (size_t i = 0; i < ARRAY_SIZE(hosts); i++) {
        Stream stream;

        reset();
        fake_page_size = hosts[i].source;
        stream_open(&stream);
        g_assert_true(save(&stream));
        g_assert_cmpint(!memmem(stream.buffer->data, stream.buffer->usage,
                                name, strlen(name)), ==,
                        hosts[i].source == 4 * KiB);
        fake_page_size = hosts[i].destination;
        g_assert_cmpint(load(&stream, stream.buffer->usage), ==, hosts[i].ok);
        if (hosts[i].ok) {
            check_arrived();
        } else {
            g_assert_nonnull(strstr(fake_migration.error, "source's size or "
                                                          "smaller"));
            g_assert_false(fake_destination.begun);
        }
        stream_close(&stream);
    }
}

static void add_differences(void)
{
    const char *rpv = "personalization-value of rme-guest";

    add_difference("ram-size", "in -m;")->ram_size += REALM_PAGE_SIZE;
    add_difference("number-of-vcpus", "in -smp;")->num_cpus++;
    add_difference("memory-tags", "mte of -machine")->mte = true;
    add_difference("ipa-width", "the IPA width")->ipa_bits--;
    add_difference("measurement-algorithm", "measurement-algorithm of rme")
        ->measurement_algorithm = RME_GUEST_MEASUREMENT_ALGORITHM_SHA512;
    add_difference("personalization-value-at-its-begin", rpv)->rpv[0] = 1;
    add_difference("personalization-value-at-its-end", rpv)
        ->rpv[REALM_RPV_SIZE - 1] = 1;
}

static Stream *waiting;         /* the one whose source waits */

/* A destination that loads all that has come, and thereby answers. */
static void load_and_answer(void)
{
    g_assert_cmpint(fake_source.phase, ==, REALM_PHASE_PAUSED);
    g_assert_cmpint(fake_source.parts, ==, FAKE_STATE_PARTS);
    g_assert_true(load_some(waiting, waiting->buffer->usage, "realm-start",
                            false));
    g_assert_false(fake_destination.started);
    fake_migration.meanwhile = NULL;    /* once is enough */
    g_assert_true(fake_migration_message(fake_migration.sent->data,
                                         fake_migration.sent->len));
}

static void test_token_after_answer(void)
{
    Stream stream;

    reset();
    waiting = &stream;
    fake_migration.meanwhile = load_and_answer;
    stream_open(&stream);
    g_assert_true(save(&stream));
    g_assert_null(fake_migration.meanwhile);
    fake_destination_new(true);
    fake_migration.failures = 0;
    g_assert_true(load(&stream, stream.buffer->usage));
    check_arrived();
    stream_close(&stream);
}

/* A message of the fake backend's, with whatever number. */
#define READY_OF_ANOTHER "RE\0\10" "\7\20\0\0" "\xff\xff\xff\xff"

/* A record that comes when none is due is not kept. */
static void check_not_due(void)
{
    uint8_t record[REALM_MAX_REPLY];

    g_assert_false(fake_migration_message(READY_OF_ANOTHER, 12));
    g_assert_cmpuint(realm_reply_take(record), ==, 0);
}

/* The start token is not made, and the Realm can migrate afterwards. */
static void check_not_started(const char *reason)
{
    Stream stream;

    stream_open(&stream);
    g_assert_true(setup(&stream));
    g_assert_false(complete(&stream));
    g_assert_cmpint(fake_source.phase, ==, REALM_PHASE_PAUSED);
    g_assert_nonnull(strstr(fake_migration.error, reason));
    finish(&stream, false);
    g_assert_cmpint(fake_source.phase, ==, REALM_PHASE_HERE);
    check_not_due();
    g_assert_false(load(&stream, stream.buffer->usage));
    g_assert_false(fake_destination.started);
    stream_close(&stream);

    check_moves_now();
}

static void test_no_answer(void)
{
    reset();
    fake_migration.meanwhile = NULL;
    realm_start_base_ms = 20;
    check_not_started("did not answer within 20 ms");
}

static int64_t first_look;

static void look_at_clock(void)
{
    first_look = first_look ?: g_get_monotonic_time();
}

/* Ten times of it, and what is there without. */
static void test_limit_follows_downtime(void)
{
    reset();
    first_look = 0;
    fake_migration.meanwhile = look_at_clock;
    realm_start_base_ms = 10;
    fake_migration.downtime_limit = 20;
    check_not_started("did not answer within 210 ms; if it is only slow, "
                      "raise downtime-limit");
    g_assert_cmpint(g_get_monotonic_time() - first_look, >=, 200 * 1000);
}

static void user_cancels_after_answer(void)
{
    fake_answer();
    fake_migration_state(MIGRATION_STATUS_CANCELLING,
                         migrate_get_current()->to_dst_file);
}

static void user_cancels(void)
{
    fake_migration.meanwhile = fake_answer;
    fake_migration_state(MIGRATION_STATUS_CANCELLING,
                         migrate_get_current()->to_dst_file);
}

/* ... also if the answer has come by then. */
static void test_cancelled(void)
{
    reset();
    fake_migration.meanwhile = user_cancels;
    check_not_started("was cancelled before its start token");

    reset();
    fake_migration.meanwhile = user_cancels_after_answer;
    check_not_started("was cancelled before its start token");
}

/* Of another thread than the migration's */
static void *save_devices(void *opaque)
{
    QIOChannelBuffer *buffer = qio_channel_buffer_new(0);
    QEMUFile *f = qemu_file_new_output(QIO_CHANNEL(buffer));
    bool saved = fake_migration_save(f, false);

    qemu_fclose(f);
    object_unref(OBJECT(buffer));
    return GINT_TO_POINTER(saved);
}

static void monitor_saves_devices(void)
{
    GThread *thread = g_thread_new("monitor", save_devices, NULL);

    g_assert_null(g_thread_join(thread));
    g_assert_cmpint(fake_source.phase, ==, REALM_PHASE_PAUSED);
    g_assert_nonnull(strstr(fake_migration.error, "in a migration only"));
    g_clear_pointer(&fake_migration.error, g_free);
    fake_migration.meanwhile = fake_answer;
}

/* The token of a migration that waits is not for whoever saves devices. */
static void test_other_thread(void)
{
    reset();
    fake_migration.meanwhile = monitor_saves_devices;
    check_moves();
}

static void waits_on(void)
{
    g_assert_not_reached();
}

static void destination_lost(void)
{
    g_autoptr(Error) err = NULL;

    fake_migration.meanwhile = waits_on;
    error_setg(&err, "the destination is lost");
    migrate_set_error(migrate_get_current(), err);
}

static void test_lost_destination(void)
{
    reset();
    fake_migration.meanwhile = destination_lost;
    check_not_started("the destination is lost");
}

static void stream_broken(void)
{
    fake_migration.meanwhile = waits_on;
    qemu_file_set_error(migrate_get_current()->to_dst_file, -EPIPE);
}

static void test_broken_stream(void)
{
    reset();
    fake_migration.meanwhile = stream_broken;
    check_not_started("did not load it");
}

/* ---- Records on the return path ---- */

static const char *message;     /* that comes while the source waits */
static size_t message_size;

static void message_comes(void)
{
    fake_migration.meanwhile = NULL;
    fake_migration_message(message, message_size);
}

/* A source that waits for the ready record gets this, and goes on here. */
static void check_answer(const char *bytes, size_t size, const char *reason)
{
    reset();
    message = bytes;
    message_size = size;
    fake_migration.meanwhile = message_comes;
    check_not_started(reason);
}

static void test_forged_ready(void)
{
    check_answer(READY_OF_ANOTHER, 12, "the destination is not ready");
}

static void test_ready_size(void)
{
    char bytes[4 + 257] = "RE\1\1";

    check_answer("RE\0\0", 4, "a record of 0 bytes");
    check_answer(bytes, sizeof(bytes), "a record of 257 bytes on the return "
                 "path; 1 to 256 are possible");
    /* As large as it may be, but not for this source */
    memcpy(bytes, "RE\1\0", 4);
    check_answer(bytes, 4 + 256, "the destination is not ready");
    memcpy(bytes, "RE\0\10", 4);
    check_answer(bytes, 4 + 7, "Channel error");
}

/* The source waits on, and QEMU decides about them. */
static void test_other_messages(void)
{
    reset();
    realm_reply_expect(true);
    g_assert_false(fake_migration_message("\0\10\0\1x", 5));
    g_assert_false(fake_migration_message("RE", 2));
    g_assert_false(fake_migration_message("RE\0", 3));
    g_assert_false(realm_reply_take((uint8_t[REALM_MAX_REPLY]) { 0 }));
    realm_reply_expect(false);
}

static void answer_twice(void)
{
    fake_answer();
    fake_migration_message(READY_OF_ANOTHER, 12);
}

/* Before realm-ready, and a second one: neither counts. */
static void test_not_due(void)
{
    Stream stream;

    reset();
    stream_open(&stream);
    g_assert_true(setup(&stream));
    check_not_due();
    g_assert_nonnull(strstr(fake_migration.error, "when none was due"));
    g_assert_false(complete(&stream));
    g_assert_cmpint(fake_source.phase, ==, REALM_PHASE_PAUSED);
    finish(&stream, false);
    g_assert_cmpint(fake_source.phase, ==, REALM_PHASE_HERE);
    stream_close(&stream);
    check_moves_now();

    reset();
    fake_migration.meanwhile = answer_twice;
    check_not_started("when none was due");
}

/* Of a source that is sealed; the destination has loaded the stream or not. */
static void seal(Stream *stream, bool arrives)
{
    reset();
    stream_open(stream);
    g_assert_true(setup(stream) && rounds(stream) && complete(stream));
    g_assert_cmpint(fake_source.phase, ==, REALM_PHASE_SEALED);
    if (arrives) {
        g_assert_true(load(stream, stream->buffer->usage));
        check_arrived();
    }
}

static bool deliver_receipt(void);

/* Also if QEMU's migration fails behind it: the Realm runs there. */
static void test_receipt(void)
{
    for (unsigned ok = 0; ok < 2; ok++) {
        Stream stream;

        seal(&stream, true);
        g_assert_true(deliver_receipt());
        g_assert_cmpint(fake_source.phase, ==, REALM_PHASE_SEALED);
        finish(&stream, ok);
        g_assert_cmpint(fake_source.phase, ==, REALM_PHASE_GONE);
        g_assert_null(fake_migration.error);
        stream_close(&stream);
    }
}

/* What its operator reads; true in the process that looks at another's log. */
static bool in_log(const char *pattern)
{
    if (!g_test_subprocess()) {
        g_test_trap_subprocess(NULL, 0, 0);
        g_test_trap_assert_passed();
        g_test_trap_assert_stderr(pattern);
    }
    return !g_test_subprocess();
}

static void test_no_receipt(void)
{
    Stream stream;

    if (in_log("*no receipt*its contents are still here; end this machine if "
               "the destination is in phase 'here'*")) {
        return;
    }
    seal(&stream, true);
    finish(&stream, true);
    g_assert_cmpint(fake_source.phase, ==, REALM_PHASE_SEALED);
    g_assert_cmpuint(fake_calls("export_finish"), ==, 0);
    g_assert_null(fake_migration.error);
    stream_close(&stream);
}

static void test_forged_receipt(void)
{
    Stream stream;

    seal(&stream, false);
    g_assert_true(fake_migration_message(READY_OF_ANOTHER, 12));
    finish(&stream, true);
    g_assert_cmpuint(fake_calls("export_finish"), ==, 1);
    g_assert_cmpint(fake_source.phase, ==, REALM_PHASE_SEALED);
    stream_close(&stream);
    /* The one that is genuine comes too late, and does no harm. */
    check_not_due();
    g_assert_cmpint(fake_source.phase, ==, REALM_PHASE_SEALED);
}

/* The phase is the backend's: the Realm is gone, but not all of it is wiped. */
static void test_finish_ends_half_way(void)
{
    Stream stream;

    if (in_log("*told to fail in export_finish*Not all of it is wiped here; "
               "end this machine.*")) {
        return;
    }
    seal(&stream, true);
    g_assert_true(deliver_receipt());
    fake_fail("export_finish", 0, true);
    finish(&stream, true);
    g_assert_cmpint(fake_source.phase, ==, REALM_PHASE_GONE);
    g_assert_null(fake_migration.error);
    stream_close(&stream);
}

/* It has the Realm, whatever becomes of the receipt. */
static void test_receipt_fails(void)
{
    Stream stream;

    reset();
    stream_open(&stream);
    g_assert_true(save(&stream));
    fake_fail("import_receipt", 0, false);
    g_assert_true(load(&stream, stream.buffer->usage));
    check_arrived();
    g_assert_cmpuint(fake_calls("import_receipt"), ==, 1);
    stream_close(&stream);
}

static void test_not_ready(void)
{
    Stream stream;

    reset();
    stream_open(&stream);
    g_assert_true(save(&stream));
    fake_fail("import_ready", 0, false);
    g_assert_false(load(&stream, stream.buffer->usage));
    g_assert_nonnull(strstr(fake_migration.error, "realm-ready section: told "
                            "to fail in import_ready"));
    g_assert_cmpuint(fake_migration.sent->len, ==, 0);
    check_given_up();
    stream_close(&stream);
}

static void check_cannot_answer(const char *reason)
{
    Stream stream;

    stream_open(&stream);
    g_assert_true(save(&stream));
    g_assert_false(load(&stream, stream.buffer->usage));
    g_assert_nonnull(strstr(fake_migration.error, reason));
    g_assert_false(fake_destination.started);
    stream_close(&stream);
}

static void test_cannot_answer(void)
{
    reset();
    fake_migration.no_return_path = true;
    check_cannot_answer("turn its capability return-path on");

    reset();
    fake_migration.broken_return_path = true;
    check_cannot_answer("see the source's log");
}

/* ---- A backend that fails anywhere ---- */

/* What QMP gives and takes, at the side that is meant. */
static char *prepare_at_source(void)
{
    RealmMigrationNonce *nonce = qmp_realm_migration_prepare(NULL);
    char *text = NULL;

    if (nonce) {
        text = g_steal_pointer(&nonce->nonce);
        qapi_free_RealmMigrationNonce(nonce);
    }
    return text;
}

static char *offer_at_destination(const char *nonce, Error **errp)
{
    RealmMigrationOffer *offer;
    char *text = NULL;

    fake_migration.loading = true;
    offer = qmp_realm_migration_offer(nonce, errp);
    fake_migration.loading = false;
    if (offer) {
        text = g_steal_pointer(&offer->offer);
        qapi_free_RealmMigrationOffer(offer);
    }
    return text;
}

static char *token_at_destination(void)
{
    RealmMigrationAbortToken *token;
    char *text = NULL;

    fake_migration.loading = true;
    token = qmp_realm_migration_abort(NULL);
    fake_migration.loading = false;
    if (token) {
        text = g_steal_pointer(&token->token);
        qapi_free_RealmMigrationAbortToken(token);
    }
    return text;
}

static bool prepare_move(void)
{
    g_autofree char *nonce = prepare_at_source();
    g_autofree char *offer = NULL;
    Error *err = NULL;

    fake_migration.meanwhile = fake_answer;
    fake_destination_new(false);
    offer = nonce ? offer_at_destination(nonce, NULL) : NULL;
    if (!offer) {
        return false;
    }
    qmp_realm_migration_accept(offer, &err);
    error_free(err);
    return !err;
}

static void cont(void)
{
    fake_migration.vm_changed(NULL, true, RUN_STATE_RUNNING);
}

/* At most one side has it at any time. */
static void check_one_holder(void)
{
    g_assert_false(realm_phase_holds(fake_source.phase) &&
                   realm_phase_holds(fake_destination.phase));
}

/* Both messages that the destination has sent, or the second one. */
static bool deliver_receipt(void)
{
    const unsigned size = 12;           /* of a message of the fake backend */
    const GByteArray *sent = fake_migration.sent;

    return sent->len == 2 * size &&
        fake_migration_message(sent->data + size, size);
}

/*
 * What QEMU does from `migrate` on; the source's, up to its clean-up.  If all
 * of it is sent, @arrived says whether the destination has the Realm; NULL if
 * nothing gets there.
 */
static bool send_realm(Stream *stream, bool to_the_end, bool *arrived)
{
    bool ok;

    g_clear_pointer(&fake_migration.error, g_free);
    if (handlers()->save_prepare(NULL, NULL)) {
        return false;
    }
    stream_open(stream);
    ok = setup(stream) && rounds(stream);
    if (ok && to_the_end) {
        fake_write(0);
        ok = complete(stream);
    }
    check_one_holder();
    ok = ok && to_the_end;
    if (ok && arrived) {
        *arrived = load(stream, stream->buffer->usage);
        check_one_holder();
        deliver_receipt();
    }
    fake_migration_state(ok ? MIGRATION_STATUS_COMPLETED
                            : MIGRATION_STATUS_FAILED, NULL);
    if (!ok) {
        cont();
    }
    handlers()->save_cleanup(NULL);
    return ok;
}

static bool move(bool *arrived)
{
    Stream stream = { 0 };
    bool ok;

    *arrived = false;
    ok = send_realm(&stream, true, arrived);
    if (stream.f) {
        stream_close(&stream);
    }
    return ok;
}

static bool cancelled(void)
{
    Stream stream = { 0 };

    send_realm(&stream, false, NULL);
    if (stream.f) {
        stream_close(&stream);
    }
    return fake_source.phase == REALM_PHASE_HERE;
}

/* After a start token that the destination does not get. */
static bool take_back(void)
{
    g_autofree char *token = token_at_destination();
    Error *err = NULL;

    if (!token) {
        return false;
    }
    qmp_realm_migration_resume(token, &err);
    check_one_holder();
    error_free(err);
    return !err;
}

static bool lost_on_its_way(void)
{
    Stream stream = { 0 };
    bool ok = send_realm(&stream, true, NULL);

    if (stream.f) {
        stream_close(&stream);
    }
    return ok && take_back();
}

/* Cancelled; with an offer for nothing; lost behind the start token; moved. */
static bool life(void)
{
    bool arrived = false;

    return prepare_move() && cancelled() &&
           prepare_move() && prepare_move() && lost_on_its_way() &&
           prepare_move() && move(&arrived) && arrived;
}

/*
 * What a user can do, once nothing fails any more: it runs here, or there,
 * and can be moved again.
 */
static void check_recovers(void)
{
    bool arrived;

    fake_fail(NULL, 0, false);
    fake_migration_state(MIGRATION_STATUS_FAILED, NULL);
    check_one_holder();
    if (fake_destination.phase == REALM_PHASE_HERE) {
        g_assert_true(fake_source.phase == REALM_PHASE_SEALED ||
                      fake_source.phase == REALM_PHASE_GONE);
        return;
    }
    if (fake_source.phase == REALM_PHASE_SEALED) {
        g_assert_true(take_back());
    }
    cont();
    g_assert_true(fake_source.phase == REALM_PHASE_HERE ||
                  fake_source.phase == REALM_PHASE_ACCEPTED);
    g_assert_true(prepare_move());
    g_assert_true(move(&arrived) && arrived);
}

static void begin_life(void)
{
    reset();
    fake_source.phase = REALM_PHASE_HERE;
    fake_migration_state(MIGRATION_STATUS_NONE, NULL);
    fake_fail(NULL, 0, false);          /* nothing was called so far */
}

static void try_failure(const char *function, unsigned at, bool too_late)
{
    begin_life();
    fake_fail(function, at, too_late);
    g_test_message("%s, call %u%s", function, at,
                   too_late ? ", after it was done" : "");
    life();
    g_assert_cmpuint(fake_calls(function), >=, at);
    check_recovers();
    /* From then on, for ever, and as long as the user has not given up. */
    begin_life();
    fake_fail(function, 0, too_late);
    life();
    cont();
    check_recovers();
}

static void test_any_failure(const void *function)
{
    unsigned calls;

    begin_life();
    g_assert_true(life());
    calls = fake_calls(function);
    g_assert_cmpuint(calls, >, 0);
    for (unsigned at = 1; at <= calls; at++) {
        try_failure(function, at, false);
        try_failure(function, at, true);
    }
}

/* ---- What an offer is for ---- */

static void check_offer_refused(const char *nonce, const char *reason)
{
    RealmPhase phase = fake_destination.phase;
    Error *err = NULL;

    g_assert_null(offer_at_destination(nonce, &err));
    g_assert_nonnull(strstr(error_get_pretty(err), reason));
    error_free(err);
    g_assert_cmpint(fake_destination.phase, ==, phase);
}

/* The same one again gives the same offer. */
static void test_one_nonce(void)
{
    g_autofree char *nonce = NULL, *other = NULL, *offer = NULL, *again = NULL;
    unsigned offers;

    begin_life();
    nonce = prepare_at_source();
    other = prepare_at_source();
    g_assert_cmpstr(nonce, !=, other);
    fake_destination_new(false);
    offer = offer_at_destination(nonce, &error_abort);
    offers = fake_calls("offer");
    check_offer_refused(other, "for another nonce; start another destination");
    again = offer_at_destination(nonce, &error_abort);
    g_assert_cmpstr(offer, ==, again);
    g_assert_cmpuint(fake_calls("offer"), ==, offers);
}

static void test_bad_nonce(void)
{
    const char *remedy = "realm-migration-prepare returned";
    uint8_t bytes[33] = { 0 };
    g_autofree char *shorter = g_base64_encode(bytes, 31);
    g_autofree char *longer = g_base64_encode(bytes, 33);

    begin_life();
    fake_destination_new(false);
    check_offer_refused("", "a nonce has 32 bytes, this one 0");
    check_offer_refused(shorter, "a nonce has 32 bytes, this one 31");
    check_offer_refused(longer, "a nonce has 32 bytes, this one 33");
    check_offer_refused("%", "a nonce is base64");
    check_offer_refused("%", remedy);
    check_offer_refused(longer, remedy);
    g_assert_cmpuint(fake_calls("offer"), ==, 0);
}

/* The offer that was accepted gives way to a preparation, to nothing else. */
static void test_prepare_again(void)
{
    g_autofree char *nonce = NULL;
    Error *err = NULL;

    begin_life();
    g_assert_true(prepare_move());
    qmp_realm_migration_accept("AAAA", &err);
    g_assert_nonnull(strstr(error_get_pretty(err), "realm-migration-prepare "
                            "for another destination"));
    error_free(err);
    g_assert_cmpint(fake_source.phase, ==, REALM_PHASE_ACCEPTED);
    nonce = prepare_at_source();
    g_assert_nonnull(nonce);
    g_assert_cmpint(fake_source.phase, ==, REALM_PHASE_HERE);
    g_assert_cmpint(fake_source.aborts, ==, 1);
}

/* A session that could not be given up makes way for a new offer. */
static void test_abort_fails_until_prepare(void)
{
    begin_life();
    g_assert_true(prepare_move());
    fake_fail("export_abort", 0, false);
    g_assert_false(cancelled());
    g_assert_cmpint(fake_source.phase, ==, REALM_PHASE_EXPORTING);
    g_assert_false(prepare_move());
    g_assert_cmpint(fake_source.phase, ==, REALM_PHASE_EXPORTING);
    fake_fail(NULL, 0, false);
    g_assert_true(prepare_move());
    g_assert_cmpint(fake_source.phase, ==, REALM_PHASE_ACCEPTED);
}

/* ... but not one that a migration needs. */
static void test_accept_while_it_moves(void)
{
    Stream stream;
    Error *err = NULL;

    begin_life();
    g_assert_true(prepare_move());
    stream_open(&stream);
    g_assert_true(setup(&stream));
    qmp_realm_migration_accept("AAAA", &err);
    g_assert_nonnull(strstr(error_get_pretty(err), "is under way"));
    error_free(err);
    g_assert_null(prepare_at_source());
    g_assert_cmpint(fake_source.phase, ==, REALM_PHASE_EXPORTING);
    g_assert_cmpint(fake_source.aborts, ==, 0);
    finish(&stream, false);
    stream_close(&stream);
}

static const char *device_name(unsigned i)
{
    return fake_migration.devices[i].vmsd->name;
}

static void test_order(void)
{
    static const VMStateField nothing[] = { VMSTATE_END_OF_LIST() };
    static const VMStateDescription plugged = {
        .name = "plugged",
        .version_id = 1,
        .fields = nothing,
    }, early = {
        .name = "early",
        .version_id = 1,
        .priority = MIG_PRI_GICV3,
        .fields = nothing,
    };
    static int opaque;

    reset();
    vmstate_register(NULL, 0, &plugged, &opaque);
    vmstate_register(NULL, 0, &early, &opaque);
    for (unsigned times = 0; times < 2; times++) {
        g_assert_cmpint(handlers()->save_prepare(NULL, &error_abort), ==, 0);
        g_assert_cmpint(fake_migration.num_devices, ==, 5);
        g_assert_cmpstr(device_name(0), ==, "realm-config");
        g_assert_cmpstr(device_name(1), ==, "early");
        g_assert_cmpstr(device_name(2), ==, "plugged");
        g_assert_cmpstr(device_name(3), ==, "realm-ready");
        g_assert_cmpstr(device_name(4), ==, "realm-start");
    }
    check_moves();
    vmstate_unregister(NULL, &plugged, &opaque);
    vmstate_unregister(NULL, &early, &opaque);
}

static void add_failures(void)
{
    static const char *const steps[] = {
        "export_begin", "collect_dirty", "export_memory", "export_epoch",
        "pause", "export_state", "export_start",
    };
    for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
        g_autofree char *name = g_strdup_printf(
            "/realm/source/survive-a-failed-%s", steps[i]);

        g_test_add_data_func(name, steps[i], test_step_fails);
    }
    for (size_t i = 0; fake_functions[i]; i++) {
        g_autofree char *name = g_strdup_printf(
            "/realm/failures/of-%s-lose-no-realm", fake_functions[i]);

        g_test_add_data_func(name, fake_functions[i], test_any_failure);
    }
    for (int i = 0; i < MIGRATION_CAPABILITY__MAX; i++) {
        const char *capability = MigrationCapability_str(i);
        g_autofree char *name = g_strdup_printf(
            "/realm/source/%s-%s",
            is_supported(capability) ? "allow" : "refuse",
            capability);

        g_test_add_data_func(name, GINT_TO_POINTER(i), test_capability);
    }
    g_test_add_func("/realm/source/refuse-rdma", test_rdma);
    g_test_add_func("/realm/destination/refuse-postcopy", test_postcopy);
    g_test_add_func("/realm/start/no-token-outside-of-a-migration",
                    test_no_migration);
    g_test_add_func("/realm/source/refuse-a-cpr-mode", test_mode);
}

int main(int argc, char **argv)
{
    module_call_init(MODULE_INIT_QOM);
    g_test_init(&argc, &argv, NULL);
    config = default_config;
    realm_backend_set(&fake_backend, &config);
    realm_migration_init();

    g_test_add_func("/realm/section/every-page-arrives-in-its-last-version",
                    test_moves);
    g_test_add_func("/realm/source/the-rate-limit-holds", test_rate);
    g_test_add_func("/realm/source/a-low-rate-limit-holds", test_low_rate);
    g_test_add_func("/realm/source/a-round-on-its-way-is-finished",
                    test_stopped_within_a_round);
    g_test_add_func("/realm/source/nothing-is-sent-for-pages-given-up",
                    test_given_up);
    g_test_add_func("/realm/source/progress-is-counted", test_counters);
    g_test_add_func("/realm/source/an-exact-estimate-has-what-was-written",
                    test_exact);
    g_test_add_func("/realm/source/survive-a-later-round-that-fails",
                    test_round_fails);
    g_test_add_func("/realm/source/stop-and-cont-keep-the-session",
                    test_stop_and_cont);
    g_test_add_func("/realm/source/running-on-after-the-pause-ends-it",
                    test_runs_on);
    g_test_add_func("/realm/source/an-abort-that-fails-is-tried-in-cleanup",
                    test_abort_fails_once);
    g_test_add_func("/realm/source/an-abort-that-fails-is-tried-at-cont",
                    test_abort_fails_for_long);
    g_test_add_func("/realm/source/an-abort-that-fails-is-tried-at-prepare",
                    test_abort_fails_until_prepare);
    g_test_add_func("/realm/source/a-session-in-use-takes-no-other-offer",
                    test_accept_while_it_moves);
    g_test_add_func("/realm/source/refuse-without-offer-or-return-path",
                    test_prepare);
    g_test_add_func("/realm/source/refuse-files", test_file);
    add_failures();
    g_test_add_func("/realm/config/accept-equal-options", test_equal_options);
    g_test_add_func("/realm/config/refuse-hosts-with-larger-pages",
                    test_page_size);
    add_differences();
    g_test_add_func("/realm/start/the-token-is-made-after-the-answer",
                    test_token_after_answer);
    g_test_add_func("/realm/start/no-token-without-an-answer-in-time",
                    test_no_answer);
    g_test_add_func("/realm/start/the-time-for-an-answer-follows-the-downtime",
                    test_limit_follows_downtime);
    g_test_add_func("/realm/start/no-token-for-a-cancelled-migration",
                    test_cancelled);
    g_test_add_func("/realm/start/no-token-for-who-saves-devices-meanwhile",
                    test_other_thread);
    g_test_add_func("/realm/start/no-token-for-a-lost-destination",
                    test_lost_destination);
    g_test_add_func("/realm/start/no-token-into-a-broken-stream",
                    test_broken_stream);
    g_test_add_func("/realm/reply/no-token-for-a-forged-ready-record",
                    test_forged_ready);
    g_test_add_func("/realm/reply/refuse-records-of-other-sizes",
                    test_ready_size);
    g_test_add_func("/realm/reply/leave-other-messages-to-qemu",
                    test_other_messages);
    g_test_add_func("/realm/reply/refuse-records-that-are-not-due",
                    test_not_due);
    g_test_add_func("/realm/reply/with-the-receipt-the-source-is-gone",
                    test_receipt);
    g_test_add_func("/realm/reply/without-a-receipt-it-stays-sealed",
                    test_no_receipt);
    g_test_add_func("/realm/reply/a-forged-receipt-leaves-it-sealed",
                    test_forged_receipt);
    g_test_add_func("/realm/reply/what-a-finish-leaves-is-told",
                    test_finish_ends_half_way);
    g_test_add_func("/realm/reply/a-receipt-that-fails-is-no-failure",
                    test_receipt_fails);
    g_test_add_func("/realm/reply/who-is-not-ready-fails-with-a-reason",
                    test_not_ready);
    g_test_add_func("/realm/qmp/an-offer-is-for-one-nonce", test_one_nonce);
    g_test_add_func("/realm/qmp/refuse-what-is-no-nonce", test_bad_nonce);
    g_test_add_func("/realm/qmp/an-offer-not-used-gives-way-to-prepare",
                    test_prepare_again);
    g_test_add_func("/realm/start/refuse-to-load-what-cannot-be-answered",
                    test_cannot_answer);
    g_test_add_func("/realm/start/a-commit-that-fails-gives-the-realm-back",
                    test_commit_fails);
    g_test_add_func("/realm/start/refuse-bytes-behind-the-token",
                    test_bytes_behind_token);
    g_test_add_func("/realm/start/a-stream-without-the-token-never-commits",
                    test_no_token);
    g_test_add_func("/realm/start/no-commit-before-the-end-of-the-stream",
                    test_no_end);
    g_test_add_func("/realm/destination/refuse-another-version-of-the-section",
                    test_version);
    g_test_add_func("/realm/start/a-sealed-source-stays-sealed",
                    test_sealed_and_failed);
    g_test_add_func("/realm/start/the-last-whatever-was-plugged-in",
                    test_order);
    g_test_add_func("/realm/destination/a-truncated-stream-never-commits",
                    test_truncated);
    g_test_add_func("/realm/destination/refuse-a-record-over-the-maximum",
                    test_too_large);
    g_test_add_func("/realm/destination/a-refused-blob-is-the-last",
                    test_refused_blob);
    g_test_add_func("/realm/destination/refuse-a-start-token-over-the-maximum",
                    test_start_too_large);
    return g_test_run();
}
