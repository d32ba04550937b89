/*
 * What a network can make of a stream with a Realm, on its way to the loader
 *
 * Purpose: the sections of one migration, as migration/realm/ wrote them, are
 * loaded again and again with bytes and sections changed, lost, repeated and
 * moved.  The backend takes a blob only if it is the next one that was sent,
 * as an RMM does.  Whatever comes:
 * - no blob is larger than it may be, and none follows one that was refused;
 * - the Realm starts only behind all blobs, in their order;
 * - else it is given up, and that is said once.
 *
 * The same with memory on channels, of which each may be late, and with packets
 * changed, lost, repeated and moved.
 *
 * The changes are the same ones in every run.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/lockable.h"
#include "qemu/module.h"
#include "qemu/thread.h"
#include "qapi/qapi-types-migration.h"
#include "io/channel-buffer.h"
#include "migration/migration-stats.h"
#include "migration/realm.h"
#include "migration/realm/realm-migration.h"
#include "fake-backend.h"
#include "fake-migration.h"

#define TRIALS    20000
#define PACKET_TRIALS 100       /* some last until nobody waits any more */
#define CHANNELS  2
#define MAX_TOKEN 256           /* of section realm-start */

static const RealmConfig config = {
    .migration = true,
    .ipa_bits = 41,
    .ram_base = 0x40000000,
    .ram_size = FAKE_PAGES * REALM_PAGE_SIZE,
    .num_cpus = 1,
};

/* What one handler wrote: a device, or (NULL) a part of section "realm" */
typedef struct Chunk {
    const FakeDevice *device;
    GByteArray *bytes;
} Chunk;

/* Memory has a place among the other blobs, but none among its like. */
typedef struct Blob {
    GBytes *bytes;
    bool memory;
    unsigned place;             /* blobs before that are not memory */
    bool came;
} Blob;

static GArray *chunks;          /* Chunk */
static GArray *blobs;           /* Blob */
static QemuMutex lock;          /* of blobs and what follows */
static unsigned place, come;    /* of all blobs, how many came */
static bool recording;

/* ---- the backend ---- */

static void record(const void *buf, size_t size, bool memory)
{
    Blob blob = { g_bytes_new(buf, size), memory, place };

    g_array_append_val(blobs, blob);
}

/* The blob that this is and that may come now, or NULL */
static Blob *find(const void *buf, size_t size, bool memory)
{
    g_autoptr(GBytes) bytes = g_bytes_new_static(buf, size);

    for (guint i = 0; i < blobs->len; i++) {
        Blob *blob = &g_array_index(blobs, Blob, i);

        if (blob->came) {
            continue;
        }
        if (blob->place != place || (blob->memory && !memory)) {
            return NULL;
        }
        if (blob->memory == memory && g_bytes_equal(blob->bytes, bytes)) {
            return blob;
        }
    }
    return NULL;
}

/* Is it a blob that comes next?  An import beside this one may have failed. */
static bool authentic(const void *buf, size_t size, bool memory, Error **errp)
{
    QEMU_LOCK_GUARD(&lock);
    Blob *blob;

    g_assert_cmpuint(size, <=, MAX(FAKE_MAX_BLOB, MAX_TOKEN));
    g_assert_false(fake_destination.given_up);
    g_assert_false(fake_destination.dead && !memory);
    if (recording) {
        record(buf, size, memory);
    }
    blob = fake_destination.dead ? NULL : find(buf, size, memory);
    if (blob) {
        blob->came = true;
        come++;
        place += !memory;
        return true;
    }
    fake_destination.dead = true;
    fake_destination.phase = REALM_PHASE_FAILED;
    error_setg(errp, "not what was sent");
    return false;
}

static bool import(const void *buf, size_t size, Error **errp)
{
    return authentic(buf, size, false, errp) &&
        fake_backend.import(buf, size, errp);
}

static int import_memory(const void *buf, size_t size, Error **errp)
{
    return authentic(buf, size, true, errp)
        ? fake_backend.import_memory(buf, size, errp) : -EIO;
}

static bool commit(Error **errp)
{
    g_assert_cmpuint(come, ==, blobs->len);
    return fake_backend.commit(errp);
}

/* ---- the stream as it was sent ---- */

static void add_chunk(QIOChannelBuffer *buffer, QEMUFile *f,
                      const FakeDevice *device)
{
    Chunk chunk = { device, g_byte_array_new() };

    qemu_fflush(f);
    g_byte_array_append(chunk.bytes, buffer->data, buffer->usage);
    qio_channel_io_seek(QIO_CHANNEL(buffer), 0, SEEK_SET, &error_abort);
    buffer->usage = 0;
    g_array_append_val(chunks, chunk);
}

static void send_devices(QIOChannelBuffer *buffer, QEMUFile *f, bool setup)
{
    for (unsigned i = 0; i < fake_migration.num_devices; i++) {
        FakeDevice *device = &fake_migration.devices[i];

        if (device->vmsd->early_setup == setup) {
            g_assert_cmpint(vmstate_save_state(f, device->vmsd,
                                               device->opaque, NULL), ==, 0);
            add_chunk(buffer, f, device);
        }
    }
}

static void send_all(void)
{
    const SaveVMHandlers *h = fake_migration.handlers;
    QIOChannelBuffer *buffer = qio_channel_buffer_new(0);
    QEMUFile *f = qemu_file_new_output(QIO_CHANNEL(buffer));

    fake_migration_state(MIGRATION_STATUS_ACTIVE, f);
    send_devices(buffer, f, true);
    g_assert_cmpint(h->save_setup(f, NULL, &error_abort), ==, 0);
    add_chunk(buffer, f, NULL);
    for (unsigned round = 0; round < 3; round++) {
        uint64_t pending = 0, none = 0;

        g_assert_cmpint(h->save_live_iterate(f, NULL), >=, 0);
        add_chunk(buffer, f, NULL);
        fake_write(round);
        h->state_pending_exact(NULL, &pending, &none);
    }
    g_assert_cmpint(h->save_live_complete_precopy(f, NULL), >=, 0);
    add_chunk(buffer, f, NULL);
    send_devices(buffer, f, false);
    fake_migration_state(MIGRATION_STATUS_COMPLETED, NULL);
    h->save_cleanup(NULL);
    qemu_fclose(f);
    object_unref(OBJECT(buffer));
}

/* ---- what arrives ---- */

typedef struct Arrival {
    GArray *order;              /* guint, of chunks */
    GByteArray *bytes;          /* all of them, one after the other */
    GPtrArray *packets[CHANNELS];       /* GByteArray; NULL: no channels */
} Arrival;

static void change_order(GArray *order, GRand *rand)
{
    guint from = g_rand_int_range(rand, 0, order->len);
    guint to = g_rand_int_range(rand, 0, order->len);
    guint chunk = g_array_index(order, guint, from);

    switch (g_rand_int_range(rand, 0, 3)) {
    case 0:
        g_array_remove_index(order, from);
        break;
    case 1:
        g_array_insert_val(order, to, chunk);
        break;
    case 2:
        g_array_remove_index(order, from);
        g_array_insert_val(order, to, chunk);
        break;
    }
}

static void change_bytes(GByteArray *bytes, GRand *rand)
{
    static const uint8_t limits[] = { 0, 1, 2, 0x7f, 0x80, 0xff };
    guint at = g_rand_int_range(rand, 0, bytes->len);
    guint size = g_rand_int_range(rand, 1, 17);
    uint8_t extra[16];

    size = MIN(size, bytes->len - at);
    switch (g_rand_int_range(rand, 0, 6)) {
    case 0:
        bytes->data[at] ^= 1 << g_rand_int_range(rand, 0, 8);
        break;
    case 1:
        bytes->data[at] = limits[g_rand_int_range(rand, 0,
                                                  ARRAY_SIZE(limits))];
        break;
    case 2:
        g_byte_array_remove_range(bytes, at, size);
        break;
    case 3:
        memcpy(extra, bytes->data + at, size);
        g_byte_array_append(bytes, extra, size);
        memmove(bytes->data + at + size, bytes->data + at,
                bytes->len - at - size);
        break;
    case 4:
        g_byte_array_set_size(bytes, at);
        break;
    case 5:
        memset(bytes->data + at, g_rand_int(rand), size);
        break;
    }
}

/* Changed once at least, in order or in bytes */
static Arrival arrival_new(GRand *rand)
{
    Arrival a = { g_array_new(false, false, sizeof(guint)),
                  g_byte_array_new() };
    guint n = g_rand_int_range(rand, 1, 5);
    bool order = g_rand_int_range(rand, 0, 4) == 0;

    for (guint i = 0; i < chunks->len; i++) {
        g_array_append_val(a.order, i);
    }
    if (order) {
        change_order(a.order, rand);
        n--;
    }
    for (guint i = 0; i < a.order->len; i++) {
        const Chunk *chunk = &g_array_index(chunks, Chunk,
                                            g_array_index(a.order, guint, i));

        g_byte_array_append(a.bytes, chunk->bytes->data, chunk->bytes->len);
    }
    while (n-- && a.bytes->len) {
        change_bytes(a.bytes, rand);
    }
    return a;
}

/* ---- what arrives on channels ---- */

static GByteArray *copy(const GByteArray *packet)
{
    GByteArray *bytes = g_byte_array_new();

    g_byte_array_append(bytes, packet->data, packet->len);
    return bytes;
}

/* All of what was sent, by the order of sending on any of the channels */
static void add_packets(Arrival *a, GRand *rand)
{
    for (unsigned i = 0; i < CHANNELS; i++) {
        a->packets[i] = g_ptr_array_new_with_free_func(
            (GDestroyNotify)g_byte_array_unref);
    }
    for (guint i = 0; i < fake_migration.packets->len; i++) {
        g_ptr_array_add(a->packets[g_rand_int_range(rand, 0, CHANNELS)],
                        copy(fake_migration.packets->pdata[i]));
    }
}

/* Returns false if there is nothing to change. */
static bool change_packets(Arrival *a, GRand *rand)
{
    GPtrArray *packets = a->packets[g_rand_int_range(rand, 0, CHANNELS)];
    GPtrArray *others = a->packets[g_rand_int_range(rand, 0, CHANNELS)];
    GByteArray *packet;
    guint at;

    if (!packets->len) {
        return false;
    }
    at = g_rand_int_range(rand, 0, packets->len);
    packet = packets->pdata[at];
    switch (g_rand_int_range(rand, 0, 4)) {
    case 0:
        change_bytes(packet, rand);
        return packet->len;     /* QEMU lets no empty one pass */
    case 1:
        g_ptr_array_remove_index(packets, at);
        break;
    case 2:
        g_ptr_array_insert(others, g_rand_int_range(rand, 0, others->len + 1),
                           copy(packet));
        break;
    case 3:
        g_ptr_array_add(packets, g_ptr_array_steal_index(packets, at));
        break;
    }
    return true;
}

static void *receive(void *opaque)
{
    GPtrArray *packets = opaque;

    for (guint i = 0; i < packets->len; i++) {
        GByteArray *packet = packets->pdata[i];

        g_assert_true(fake_migration.handlers->load_state_buffer(
                          NULL, (char *)packet->data, packet->len,
                          &error_abort));
    }
    return NULL;
}

static bool receiving;

static void start_channels(const Arrival *a, QemuThread threads[CHANNELS])
{
    qatomic_set(&receiving, true);
    for (unsigned i = 0; i < CHANNELS && a->packets[i]; i++) {
        qemu_thread_create(&threads[i], "channel", receive, a->packets[i],
                           QEMU_THREAD_JOINABLE);
    }
}

static void join_channels(const Arrival *a, QemuThread threads[CHANNELS])
{
    for (unsigned i = 0; i < CHANNELS && a->packets[i]; i++) {
        qemu_thread_join(&threads[i]);
    }
    qatomic_set(&receiving, false);
}

/* Somebody waits, and nothing has come for long: the connection is lost. */
static void lose_connection(void)
{
    if (qatomic_read(&receiving) && !fake_migration.error) {
        fake_migration.error = g_strdup("lost");
    }
}

/* ---- loading ---- */

/* Until one handler fails, as QEMU; returns whether all of it was loaded. */
static bool load(const Arrival *a)
{
    /* QEMU's end of the stream: something that is no subsection follows. */
    QIOChannelBuffer *buffer = qio_channel_buffer_new(a->bytes->len + 1);
    QemuThread threads[CHANNELS];
    QEMUFile *f;
    bool ok = true;

    memcpy(buffer->data, a->bytes->data, a->bytes->len);
    buffer->data[a->bytes->len] = 0;
    buffer->usage = a->bytes->len + 1;
    f = qemu_file_new_input(QIO_CHANNEL(buffer));
    fake_migration_load_begin(f);
    fake_migration_load(f, true, "realm-config");       /* sets it up */
    start_channels(a, threads);
    for (guint i = 0; i < a->order->len && ok; i++) {
        guint chunk = g_array_index(a->order, guint, i);
        const FakeDevice *device = g_array_index(chunks, Chunk,
                                                 chunk).device;

        ok = device
            ? !vmstate_load_state(f, device->vmsd, device->opaque, 1)
            : !fake_migration.handlers->load_state(f, NULL,
                                                   REALM_SECTION_VERSION);
        g_assert_false(fake_destination.committed);
    }
    join_channels(a, threads);
    ok = fake_migration_load_end(ok) && !qemu_file_get_error(f) &&
        !fake_migration.error;
    qemu_fclose(f);
    object_unref(OBJECT(buffer));
    return ok;
}

static void begin(void)
{
    fake_destination_new(true);
    g_clear_pointer(&fake_migration.error, g_free);
    fake_migration.failures = 0;
    place = come = 0;
    for (guint i = 0; i < blobs->len; i++) {
        g_array_index(blobs, Blob, i).came = false;
    }
}

/* Returns whether the Realm runs here. */
static bool try(const Arrival *a)
{
    bool ok;

    begin();
    ok = load(a);
    g_assert_cmpint(fake_destination.committed, ==, ok);
    g_assert_cmpint(fake_destination.given_up, ==, !ok);
    g_assert_cmpint(fake_migration.failures, ==, !ok);
    if (ok) {
        g_assert_cmpmem(fake_source.version, sizeof(fake_source.version),
                        fake_destination.version,
                        sizeof(fake_destination.version));
    }
    return ok;
}

static Arrival genuine(void)
{
    Arrival a = { g_array_new(false, false, sizeof(guint)),
                  g_byte_array_new() };

    for (guint i = 0; i < chunks->len; i++) {
        const GByteArray *bytes = g_array_index(chunks, Chunk, i).bytes;

        g_array_append_val(a.order, i);
        g_byte_array_append(a.bytes, bytes->data, bytes->len);
    }
    return a;
}

static void arrival_free(Arrival *a)
{
    g_array_unref(a->order);
    g_byte_array_unref(a->bytes);
    for (unsigned i = 0; i < CHANNELS; i++) {
        g_clear_pointer(&a->packets[i], g_ptr_array_unref);
    }
}

static void test_genuine(void)
{
    Arrival a = genuine();

    recording = true;
    g_assert_true(try(&a));
    recording = false;
    g_assert_cmpuint(blobs->len, >, 8);
    g_assert_true(try(&a));
    arrival_free(&a);
}

/* What the loader reports is not what this test has to say. */
static int silence(void)
{
    int null = open("/dev/null", O_WRONLY), old = dup(STDERR_FILENO);

    g_assert_cmpint(dup2(null, STDERR_FILENO), ==, STDERR_FILENO);
    close(null);
    return old;
}

static void test_changed(void)
{
    GRand *rand = g_rand_new_with_seed(4);
    unsigned arrived = 0;
    int old = silence();

    for (unsigned i = 0; i < TRIALS; i++) {
        Arrival a = arrival_new(rand);

        arrived += try(&a);
        arrival_free(&a);
    }
    dup2(old, STDERR_FILENO);
    close(old);
    g_rand_free(rand);
    /* Bytes behind the end, or a change that changed nothing */
    g_test_message("%u streams changed, %u of them to the same effect",
                   TRIALS, arrived);
    g_assert_cmpuint(arrived, <, TRIALS / 10);
}

/* A source sends, and what follows here is about that. */
static void send_anew(unsigned channels)
{
    g_array_set_size(chunks, 0);
    g_array_set_size(blobs, 0);
    fake_reset();
    fake_agree();
    fake_migration.meanwhile = fake_answer;
    fake_migration_channels(channels);
    send_all();
}

static void test_channels(void)
{
    GRand *rand = g_rand_new_with_seed(4);

    send_anew(CHANNELS);
    g_assert_cmpuint(fake_migration.packets->len, >, 3);
    recording = true;
    for (unsigned i = 0; i < 50; i++) {
        Arrival a = genuine();

        add_packets(&a, rand);
        g_assert_true(try(&a));
        recording = false;
        arrival_free(&a);
    }
    g_rand_free(rand);
}

/* Behind the one before */
static void test_changed_packets(void)
{
    GRand *rand = g_rand_new_with_seed(4);
    unsigned arrived = 0, changed = 0;
    int old = silence();

    while (changed < PACKET_TRIALS) {
        Arrival a = genuine();

        add_packets(&a, rand);
        if (change_packets(&a, rand)) {
            fake_migration.meanwhile = lose_connection;
            arrived += try(&a);
            changed++;
        }
        arrival_free(&a);
    }
    fake_migration.meanwhile = NULL;
    dup2(old, STDERR_FILENO);
    close(old);
    g_rand_free(rand);
    g_test_message("%u streams changed, %u of them to the same effect",
                   PACKET_TRIALS, arrived);
    g_assert_cmpuint(arrived, <, PACKET_TRIALS / 2);
}

int main(int argc, char **argv)
{
    static RealmBackendOps backend;

    module_call_init(MODULE_INIT_QOM);
    g_test_init(&argc, &argv, NULL);
    backend = fake_backend;
    backend.import = import;
    backend.import_memory = import_memory;
    backend.commit = commit;
    realm_backend_set(&backend, &config);
    realm_migration_init();

    chunks = g_array_new(false, false, sizeof(Chunk));
    blobs = g_array_new(false, false, sizeof(Blob));
    qemu_mutex_init(&lock);
    migration_rate_set(RATE_LIMIT_DISABLED);
    send_anew(0);

    g_test_add_func("/realm/loader/what-was-sent-arrives", test_genuine);
    g_test_add_func("/realm/loader/and-nothing-else-does", test_changed);
    g_test_add_func("/realm/loader/channels/what-was-sent-arrives",
                    test_channels);
    g_test_add_func("/realm/loader/channels/and-nothing-else-does",
                    test_changed_packets);
    return g_test_run();
}
