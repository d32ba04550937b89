/*
 * Imports side by side (migration/realm/importer.c)
 *
 * Purpose: bundles come on several channels in any order, and are imported in
 * that of their streams and epochs, as docs/specs/realm-migration-stream.rst
 * says; what has no turn is refused, and nobody waits for ever.
 *
 * A bundle says what it is, and the backend here fails an assertion if that is
 * not what comes next.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/lockable.h"
#include "qemu/thread.h"
#include "migration/realm/importer.h"
#include "migration/realm/realm-migration.h"

#define STREAMS  3
#define MAX_BLOB 64
#define NONE     2
#define A_WHILE  (20 * 1000)    /* us: what could happen has happened */

typedef struct Bundle {
    uint32_t stream, epoch, place;
    bool fails, late;           /* late: ends after those beside it */
    bool canceled;              /* it fails since another one did */
} Bundle;

static const RealmConfig config = { .migration = true };

static struct {
    QemuMutex lock;
    QemuCond changed;
    unsigned next[STREAMS];     /* place of the bundle that has to come */
    bool running[STREAMS];
    unsigned epoch, bundles, states, tokens;
    bool closed;                /* imports that have begun wait */
    unsigned inside;            /* imports that have begun and are not over */
    bool lost;
} backend;

static void enter(void)
{
    backend.inside++;
    qemu_cond_broadcast(&backend.changed);
    while (backend.closed) {
        qemu_cond_wait(&backend.changed, &backend.lock);
    }
}

static void leave(void)
{
    backend.inside--;
    qemu_cond_broadcast(&backend.changed);
}

static int import_memory(const void *blob, size_t size, Error **errp)
{
    QEMU_LOCK_GUARD(&backend.lock);
    Bundle b;

    g_assert_cmpuint(size, ==, sizeof(b));
    memcpy(&b, blob, sizeof(b));
    g_assert_false(backend.running[b.stream]);
    g_assert_cmpuint(b.epoch, ==, backend.epoch);
    g_assert_cmpuint(b.place, ==, backend.next[b.stream]);
    backend.running[b.stream] = true;
    enter();
    while (b.late && backend.inside > 1) {
        qemu_cond_wait(&backend.changed, &backend.lock);
    }
    qemu_mutex_unlock(&backend.lock);
    g_usleep(b.late ? A_WHILE : g_random_int_range(0, 50));
    qemu_mutex_lock(&backend.lock);
    leave();
    backend.running[b.stream] = false;
    backend.next[b.stream]++;
    if (b.fails) {
        error_setg(errp, "bundle %u of stream %u fails", b.place, b.stream);
        return b.canceled ? -ECANCELED : -EIO;
    }
    backend.bundles++;
    return 1;
}

/* "state" or "token" */
static bool import(const void *blob, size_t size, Error **errp)
{
    QEMU_LOCK_GUARD(&backend.lock);

    for (unsigned i = 0; i < STREAMS; i++) {
        g_assert_false(backend.running[i]);
    }
    g_assert_cmpuint(size, ==, 5);
    enter();
    leave();
    if (memcmp(blob, "token", 5) == 0) {
        backend.tokens++;
        backend.epoch++;
        memset(backend.next, 0, sizeof(backend.next));
    } else {
        backend.states++;
    }
    return true;
}

static void limits(RealmMigrationLimits *l)
{
    *l = (RealmMigrationLimits) { MAX_BLOB, 1, STREAMS };
}

static const RealmBackendOps ops = {
    .migration_limits = limits,
    .import = import,
    .import_memory = import_memory,
};

static bool lost(void)
{
    return qatomic_read(&backend.lost);
}

static void close_backend(bool closed)
{
    QEMU_LOCK_GUARD(&backend.lock);

    backend.closed = closed;
    qemu_cond_broadcast(&backend.changed);
}

static void wait_inside(unsigned imports)
{
    QEMU_LOCK_GUARD(&backend.lock);

    while (backend.inside != imports) {
        qemu_cond_wait(&backend.changed, &backend.lock);
    }
}

static unsigned imported(void)
{
    QEMU_LOCK_GUARD(&backend.lock);

    return backend.bundles;
}

/* ---- the main channel ---- */

static void state(void)
{
    memcpy(realm_importer_room(&error_abort), "state", 5);
    g_assert_true(realm_importer_import_state(5, &error_abort));
}

static bool epoch(uint64_t bundles, Error **errp)
{
    uint8_t *room = realm_importer_room(errp);

    if (room) {
        memcpy(room, "token", 5);
    }
    return room && realm_importer_import_epoch(bundles, 5, errp);
}

static bool add(Bundle b, Error **errp)
{
    uint8_t *room = realm_importer_room(errp);

    if (room) {
        memcpy(room, &b, sizeof(b));
        realm_importer_add_memory(b.stream, sizeof(b));
    }
    return room;
}

static void begin_unstarted(void)
{
    memset(backend.next, 0, sizeof(backend.next));
    backend.epoch = backend.bundles = backend.states = backend.tokens = 0;
    backend.lost = false;
    realm_importer_begin();
}

static void begin(void)
{
    begin_unstarted();
    state();
}

static void end_well(unsigned bundles)
{
    g_assert_true(realm_importer_wait(&error_abort));
    g_assert_cmpuint(imported(), ==, bundles);
    realm_importer_end();
}

/* The main channel says that it failed, and why. */
static void end_badly(const char *why)
{
    Error *err = NULL;

    g_assert_false(realm_importer_wait(&err));
    g_assert_cmpstr(error_get_pretty(err), ==, why);
    error_free(err);
    realm_importer_end();
}

/* ---- channels ---- */

typedef struct Channel {
    QemuThread thread;
    GArray *bundles;            /* Bundle */
} Channel;

static void take(Bundle b)
{
    RealmPacket packet = { .stream = b.stream, .size = sizeof(b),
                                  .epoch = b.epoch, .place = b.place };

    realm_importer_take(&packet, &b);
}

static void *run_channel(void *opaque)
{
    Channel *channel = opaque;

    for (guint i = 0; i < channel->bundles->len; i++) {
        take(g_array_index(channel->bundles, Bundle, i));
    }
    return NULL;
}

static Channel *channel_new(void)
{
    Channel *channel = g_new0(Channel, 1);

    channel->bundles = g_array_new(false, false, sizeof(Bundle));
    return channel;
}

static void channel_start(Channel *channel)
{
    qemu_thread_create(&channel->thread, "channel", run_channel, channel,
                       QEMU_THREAD_JOINABLE);
}

static void channel_join(Channel *channel)
{
    qemu_thread_join(&channel->thread);
    g_array_unref(channel->bundles);
    g_free(channel);
}

/* A channel with one bundle, which runs. */
static Channel *arrive(Bundle b)
{
    Channel *channel = channel_new();

    g_array_append_val(channel->bundles, b);
    channel_start(channel);
    return channel;
}

/* ---- in order ---- */

#define PLACES 4
#define EPOCHS 3

/*
 * As a source does: it gives bundles to any channels, those of a stream by
 * their place and those of an epoch before those of the next.
 */
static void test_channels(gconstpointer num)
{
    const unsigned num_channels = GPOINTER_TO_UINT(num);
    Channel *channels[4];

    for (unsigned trial = 0; trial < 100; trial++) {
        begin();
        for (unsigned i = 0; i < num_channels; i++) {
            channels[i] = channel_new();
        }
        for (unsigned i = 0; i < EPOCHS * PLACES * STREAMS; i++) {
            unsigned to = g_random_int_range(0, num_channels);
            Bundle b = { i % STREAMS, i / STREAMS / PLACES,
                         i / STREAMS % PLACES };

            g_array_append_val(channels[to]->bundles, b);
        }
        for (unsigned i = 0; i < num_channels; i++) {
            channel_start(channels[i]);
        }
        for (unsigned i = 0; i < EPOCHS; i++) {
            g_assert_true(epoch(PLACES * STREAMS, &error_abort));
        }
        for (unsigned i = 0; i < num_channels; i++) {
            channel_join(channels[i]);
        }
        end_well(EPOCHS * PLACES * STREAMS);
    }
}

static void shuffle(Bundle *bundles, unsigned n)
{
    for (unsigned i = n; i > 1; i--) {
        unsigned k = g_random_int_range(0, i);
        Bundle b = bundles[i - 1];

        bundles[i - 1] = bundles[k];
        bundles[k] = b;
    }
}

static void test_reordered(void)
{
    Bundle bundles[12];
    Channel *channels[12];

    for (unsigned trial = 0; trial < 50; trial++) {
        begin();
        for (unsigned i = 0; i < 12; i++) {
            bundles[i] = (Bundle) { i % STREAMS, i / 6, i / STREAMS % 2 };
        }
        shuffle(bundles, 12);
        for (unsigned i = 0; i < 12; i++) {
            channels[i] = arrive(bundles[i]);
        }
        g_assert_true(epoch(6, &error_abort));
        g_assert_true(epoch(6, &error_abort));
        for (unsigned i = 0; i < 12; i++) {
            channel_join(channels[i]);
        }
        end_well(12);
    }
}

static void test_before_start(void)
{
    Channel *channel = arrive((Bundle) { 1, 0, 0 });

    g_usleep(A_WHILE);
    begin_unstarted();
    g_usleep(10 * A_WHILE);     /* who waits has looked again by then */
    g_assert_cmpuint(imported(), ==, 0);
    state();
    channel_join(channel);
    end_well(1);
}

static void test_next_epoch(void)
{
    Channel *next, *first;

    begin();
    next = arrive((Bundle) { 0, 1, 0 });
    g_usleep(A_WHILE);
    g_assert_cmpuint(imported(), ==, 0);
    first = arrive((Bundle) { 2, 0, 0 });
    channel_join(first);
    g_usleep(A_WHILE);
    g_assert_cmpuint(imported(), ==, 1);
    g_assert_true(epoch(1, &error_abort));
    channel_join(next);
    end_well(2);
}

static void *send_late(void *unused)
{
    g_usleep(A_WHILE);
    g_assert_cmpuint(backend.tokens, ==, 0);
    take((Bundle) { 0, 0, 0 });
    return NULL;
}

static void test_token_waits(void)
{
    QemuThread thread;

    begin();
    qemu_thread_create(&thread, "late", send_late, NULL, QEMU_THREAD_JOINABLE);
    g_assert_true(epoch(1, &error_abort));
    g_assert_cmpuint(imported(), ==, 1);
    qemu_thread_join(&thread);
    end_well(1);
}

static void test_no_token(void)
{
    begin();
    take((Bundle) { 0, 0, 0 });
    g_assert_true(realm_importer_import_epoch(1, 0, &error_abort));
    backend.epoch++;            /* nobody told the backend */
    backend.next[0] = 0;
    take((Bundle) { 0, 1, 0 });
    g_assert_cmpuint(backend.tokens, ==, 0);
    end_well(2);
}

static void *add_many(void *counter)
{
    unsigned *added = counter;

    for (unsigned i = 0; i < 60; i++) {
        g_assert_true(add((Bundle) { i % STREAMS, 0, i / STREAMS },
                          &error_abort));
        qatomic_inc(added);
    }
    return NULL;
}

/* Memory is bounded, and what was to wait arrives in order. */
static void test_main_full(void)
{
    unsigned added = 0;
    QemuThread thread;

    begin();
    close_backend(true);
    qemu_thread_create(&thread, "main", add_many, &added,
                       QEMU_THREAD_JOINABLE);
    wait_inside(2);
    g_usleep(A_WHILE);
    g_assert_cmpuint(qatomic_read(&added), >=, 2);
    g_assert_cmpuint(qatomic_read(&added), <=, 8);
    g_assert_cmpuint(imported(), ==, 0);
    close_backend(false);
    qemu_thread_join(&thread);
    end_well(60);
}

static void test_main_one_stream(void)
{
    begin();
    for (unsigned i = 0; i < 200; i++) {
        g_assert_true(add((Bundle) { 0, 0, i }, &error_abort));
    }
    end_well(200);
}

static void test_main_epoch(void)
{
    begin();
    for (unsigned i = 0; i < 60; i++) {
        g_assert_true(add((Bundle) { i % STREAMS, i / 12, i / STREAMS % 4 },
                          &error_abort));
        if (i % 12 == 11) {
            g_assert_true(epoch(0, &error_abort));
        }
    }
    end_well(60);
}

/* ... and a state record: the backend says if a bundle is imported then. */
static void test_state_waits(void)
{
    begin();
    for (unsigned i = 0; i < 60; i++) {
        g_assert_true(add((Bundle) { i % STREAMS, 0, i / STREAMS },
                          &error_abort));
        if (i % 4 == 0) {
            state();
            g_assert_cmpuint(imported(), ==, i + 1);
        }
    }
    end_well(60);
}

static void *send_state(void *unused)
{
    state();
    return NULL;
}

static void test_state_alone(void)
{
    Channel *channel;
    QemuThread thread;

    begin();
    close_backend(true);
    qemu_thread_create(&thread, "main", send_state, NULL,
                       QEMU_THREAD_JOINABLE);
    wait_inside(1);
    channel = arrive((Bundle) { 0, 0, 0 });
    g_usleep(A_WHILE);
    g_assert_cmpuint(backend.inside, ==, 1);
    close_backend(false);
    qemu_thread_join(&thread);
    channel_join(channel);
    end_well(1);
}

static void test_state_waits_for_channels(void)
{
    Channel *channel;
    QemuThread thread;

    begin();
    close_backend(true);
    channel = arrive((Bundle) { 0, 0, 0 });
    wait_inside(1);
    qemu_thread_create(&thread, "main", send_state, NULL,
                       QEMU_THREAD_JOINABLE);
    g_usleep(A_WHILE);
    g_assert_cmpuint(backend.inside, ==, 1);
    close_backend(false);
    qemu_thread_join(&thread);
    channel_join(channel);
    end_well(1);
}

/* ---- refused ---- */

#define SIZE G_STRINGIFY(16)
G_STATIC_ASSERT(sizeof(Bundle) == 16);

static void test_repeated(void)
{
    begin();
    take((Bundle) { 1, 0, 0 });
    take((Bundle) { 1, 0, 0 });
    g_assert_cmpuint(imported(), ==, 1);
    end_badly("realm section: the turn of bundle 0 of stream 1 in epoch 0 on "
              "a channel is over");
}

/* It came when it was the turn of the other one. */
static void test_repeated_meanwhile(void)
{
    Channel *first, *second;

    begin();
    close_backend(true);
    first = arrive((Bundle) { 1, 0, 0 });
    wait_inside(1);
    second = arrive((Bundle) { 1, 0, 0 });
    g_usleep(A_WHILE);
    close_backend(false);
    channel_join(first);
    channel_join(second);
    g_assert_cmpuint(imported(), ==, 1);
    end_badly("realm section: the turn of bundle 0 of stream 1 in epoch 0 on "
              "a channel is over");
}

static void test_past_epoch(void)
{
    begin();
    g_assert_true(epoch(0, &error_abort));
    take((Bundle) { 2, 0, 5 });
    g_assert_cmpuint(imported(), ==, 0);
    end_badly("realm section: the turn of bundle 5 of stream 2 in epoch 0 on "
              "a channel is over");
}

static void test_too_many(void)
{
    Error *err = NULL;

    begin();
    take((Bundle) { 0, 0, 0 });
    take((Bundle) { 1, 0, 0 });
    g_assert_false(epoch(1, &err));
    g_assert_cmpuint(backend.tokens, ==, 0);
    error_free(err);
    end_badly("realm section: 2 bundles of an epoch came on channels, and its "
              "epoch record says 1");
}

static void test_told(void)
{
    Error *err = NULL;

    begin();
    error_setg(&err, "not a packet");
    realm_importer_fail(err);
    take((Bundle) { 0, 0, 0 });
    g_assert_cmpuint(imported(), ==, 0);
    end_badly("not a packet");
}

/* A thread may receive before the main channel is loaded. */
static void test_told_early(void)
{
    Error *err = NULL;

    error_setg(&err, "not a packet");
    realm_importer_fail(err);
    begin_unstarted();
    end_badly("not a packet");
}

/* ---- failures end it ---- */

static void test_failure_wakes(void)
{
    Channel *second, *next, *first;

    begin();
    second = arrive((Bundle) { 0, 0, 1 });
    next = arrive((Bundle) { 1, 1, 0 });
    g_usleep(A_WHILE);
    first = arrive((Bundle) { 0, 0, 0, .fails = true });
    channel_join(first);
    channel_join(second);
    channel_join(next);
    g_assert_cmpuint(imported(), ==, 0);
    end_badly("realm section: memory record of " SIZE " bytes: bundle 0 of "
              "stream 0 fails");
}

static void test_main_failure(void)
{
    Error *err = NULL;
    unsigned i = 0;

    begin();
    while (i < 100 && add((Bundle) { 0, 0, i, .fails = i == 3 }, &err)) {
        i++;
    }
    error_free(err);
    g_assert_cmpuint(i, <, 20);
    g_assert_cmpuint(imported(), ==, 3);
    end_badly("realm section: memory record of " SIZE " bytes: bundle 3 of "
              "stream 0 fails");
}

/*
 * Two imports fail, of which the first one is told, whichever ends @late; it is
 * why the other one fails if that is @canceled, though the other one may have
 * begun before.
 */
static void check_told_failure(unsigned late, unsigned canceled)
{
    const unsigned told = canceled == 0;
    g_autofree char *text = g_strdup_printf("bundle 0 of stream %u", told);
    g_autofree char *whole = g_strdup_printf("realm section: memory record of "
                                             SIZE " bytes: %s fails", text);
    Channel *first, *second;
    Error *err = NULL;

    begin();
    close_backend(true);
    first = arrive((Bundle) { 0, 0, 0, .fails = true, .late = late == 0,
                              .canceled = canceled == 0 });
    wait_inside(1);
    second = arrive((Bundle) { 1, 0, 0, .fails = true, .late = late == 1,
                               .canceled = canceled == 1 });
    wait_inside(2);
    close_backend(false);
    channel_join(second);
    g_assert_false(realm_importer_wait(&err));
    g_assert_nonnull(strstr(error_get_pretty(err), text));
    error_free(err);
    channel_join(first);
    end_badly(whole);
}

static void test_first_failure_late(void)
{
    check_told_failure(0, NONE);
}

static void test_second_failure_late(void)
{
    check_told_failure(1, NONE);
}

static void test_canceled_first(void)
{
    check_told_failure(0, 0);
    check_told_failure(1, 0);
}

static void test_canceled_second(void)
{
    check_told_failure(0, 1);
    check_told_failure(1, 1);
}

static void test_lost_channel(void)
{
    Channel *channel;

    begin();
    channel = arrive((Bundle) { 0, 0, 7 });
    g_usleep(A_WHILE);
    qatomic_set(&backend.lost, true);
    channel_join(channel);
    end_badly("realm section: the migration ended while bundles were on their "
              "way");
}

static void test_lost_main(void)
{
    Error *err = NULL;

    begin();
    qatomic_set(&backend.lost, true);
    g_assert_false(epoch(1, &err));
    error_free(err);
    end_badly("realm section: the migration ended while bundles were on their "
              "way");
}

/* Before anything was loaded; the next migration is another one. */
static void test_lost_early(void)
{
    qatomic_set(&backend.lost, true);
    take((Bundle) { 0, 0, 0 });
    realm_importer_end();
    begin();
    take((Bundle) { 0, 0, 0 });
    end_well(1);
}

static void test_stop(void)
{
    Channel *channel, *running;

    begin();
    channel = arrive((Bundle) { 0, 0, 1 });
    running = arrive((Bundle) { 2, 0, 0 });
    channel_join(running);
    realm_importer_stop();
    take((Bundle) { 1, 0, 0 });
    channel_join(channel);
    g_assert_cmpuint(imported(), ==, 1);
    end_badly("realm section: the Realm was given up");
}

/* Who gives the Realm up before it comes ends no import. */
static void test_stop_early(void)
{
    realm_importer_stop();
    begin();
    take((Bundle) { 1, 0, 0 });
    end_well(1);
}

#define ADD(name, function) g_test_add_func("/realm/importer/" name, function)

int main(int argc, char **argv)
{
    static const unsigned channels[] = { 1, 2, 3 };

    g_test_init(&argc, &argv, NULL);
    qemu_mutex_init(&backend.lock);
    qemu_cond_init(&backend.changed);
    realm_backend_set(&ops, &config);
    realm_importer_init(lost);
    for (unsigned i = 0; i < ARRAY_SIZE(channels); i++) {
        g_autofree char *name =
            g_strdup_printf("/realm/importer/channels/%u", channels[i]);

        g_test_add_data_func(name, GUINT_TO_POINTER(channels[i]),
                             test_channels);
    }
    ADD("each-bundle-at-any-time", test_reordered);
    ADD("a-bundle-waits-for-the-first-record", test_before_start);
    ADD("a-bundle-waits-for-its-epoch", test_next_epoch);
    ADD("a-token-waits-for-its-bundles", test_token_waits);
    ADD("an-epoch-without-token", test_no_token);
    ADD("main/no-more-than-there-is-room-for", test_main_full);
    ADD("main/one-stream-in-order", test_main_one_stream);
    ADD("main/a-token-waits-for-its-bundles", test_main_epoch);
    ADD("main/state-waits-for-bundles", test_state_waits);
    ADD("main/bundles-wait-for-state", test_state_alone);
    ADD("main/state-waits-for-bundles-on-channels",
        test_state_waits_for_channels);
    ADD("refused/a-place-twice", test_repeated);
    ADD("refused/a-place-twice-at-a-time", test_repeated_meanwhile);
    ADD("refused/an-epoch-that-is-over", test_past_epoch);
    ADD("refused/more-than-the-epoch-has", test_too_many);
    ADD("refused/what-is-no-bundle", test_told);
    ADD("refused/what-is-no-bundle-early", test_told_early);
    ADD("failure/wakes-who-waits", test_failure_wakes);
    ADD("failure/ends-the-main-channel", test_main_failure);
    ADD("failure/the-first-is-told", test_second_failure_late);
    ADD("failure/the-cause-is-told", test_canceled_first);
    ADD("failure/the-cause-is-told-if-it-began-first", test_canceled_second);
    ADD("failure/the-first-is-told-if-it-ends-later", test_first_failure_late);
    ADD("failure/elsewhere-ends-a-channel", test_lost_channel);
    ADD("failure/elsewhere-ends-the-main-channel", test_lost_main);
    ADD("failure/elsewhere-early", test_lost_early);
    ADD("given-up/nothing-is-imported", test_stop);
    ADD("given-up/early", test_stop_early);
    return g_test_run();
}
