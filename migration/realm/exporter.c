/*
 * Live migration of Realms: threads that export memory bundles
 *
 * A ring of slots: the migration thread fills them, the threads export them
 * (and the migration thread where it would wait), and the migration thread
 * empties them, each in the order of the bundles.
 *
 *     retired          taken              added
 *        | exported or   | waiting for      |
 *        | in the works  | a thread         |
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-yank.h"
#include "qemu/lockable.h"
#include "qemu/rcu.h"
#include "qemu/thread.h"
#include "qemu/yank.h"
#include "migration/migration.h"
#include "migration/misc.h"
#include "migration/options.h"
#include "channel.h"
#include "exporter.h"
#include "realm-migration.h"
#include "record.h"
#include "trace.h"

/*
 * Without channels: the migration thread writes meanwhile, and exports where it
 * would wait.  What a wake-up takes would encrypt several pages.  On a machine
 * of two cores 1 GiB took 0.54 to 0.67 s (the best and the median of five) with
 * one thread and 8 slots, 0.55 to 0.73 s with 4 slots, and 0.76 to 0.84 s
 * without a thread.
 */
#define THREADS 1
#define MAX_THREADS 8
#define SLOTS 8
#define WAKE_AT (SLOTS / 2)     /* bundles that wait for a thread */

/* How long no thread may see that the migration is cancelled. */
#define POLL_MS 100

typedef struct Slot {
    unsigned stream;
    unsigned num_pages;
    uint64_t pages[REALM_EXPORTER_MAX_PAGES];
    uint8_t *buf;               /* a packet: header, and room for max_blob */
    size_t size;                /* of the bundle; 0: no page needed export */
    bool done;                  /* exported, and with a channel if there are */
} Slot;

struct RealmExporter {
    /* Constant. */
    RealmMigrationLimits limits;
    bool on_channels;
    unsigned num_threads;
    QemuThread threads[MAX_THREADS];

    QemuMutex lock;             /* of all below */
    QemuCond added_or_stopped;  /* the threads wait for it */
    QemuCond done;              /* the migration thread waits for it */
    Slot slots[SLOTS];
    uint64_t retired, taken, added; /* bundles */
    unsigned exporting, giving; /* threads in the backend, and in multifd */
    bool stop;
    bool shut;                  /* the channels, since it is cancelled */
    Error *err;                 /* the first one */

    uint32_t epoch;
    uint64_t bundles;           /* of this epoch */
    uint32_t *place;            /* of each stream: bundles of this epoch */
};

static Slot *slot_of(RealmExporter *e, uint64_t bundle)
{
    return &e->slots[bundle % SLOTS];
}

/* Takes @err over. */
static void fail(RealmExporter *e, Error *err)
{
    if (e->err) {
        error_free(err);
    } else {
        e->err = err;
    }
}

/* Hand the packet in @slot to multifd, which copies it; unlocked meanwhile. */
static void give_to_channel(RealmExporter *e, Slot *slot)
{
    static char section[] = REALM_SECTION;
    const RealmPacket packet = {
        .stream = slot->stream,
        .size = slot->size,
        .epoch = e->epoch,
        .place = e->place[slot->stream]++,
    };
    bool ok;

    realm_channel_put(slot->buf, &packet);
    e->giving++;
    qemu_mutex_unlock(&e->lock);
    ok = multifd_queue_device_state(section, 0, (char *)slot->buf,
                                    REALM_CHANNEL_HEADER_SIZE + slot->size);
    qemu_mutex_lock(&e->lock);
    e->giving--;
    if (!ok) {
        Error *err = NULL;

        error_setg(&err, "Realm: multifd does not take a memory bundle any "
                   "more");
        fail(e, err);
    }
}

/* Unlocked meanwhile.  Returns false on failure. */
static bool export_bundle(RealmExporter *e, Slot *slot)
{
    unsigned exported = 0;
    Error *err = NULL;
    ssize_t size;

    e->exporting++;
    qemu_mutex_unlock(&e->lock);
    size = realm_backend()->export_memory(
        slot->stream, slot->pages, slot->num_pages,
        slot->buf + REALM_CHANNEL_HEADER_SIZE, &exported, &err);
    trace_realm_exporter_bundle(slot->stream, slot->num_pages, exported, size);
    qemu_mutex_lock(&e->lock);
    e->exporting--;
    if (size < 0) {
        fail(e, err);
        return false;
    }
    realm_counters_exported(slot->num_pages);
    slot->size = size;
    if (size) {
        realm_counters_add_blob(size, exported);
        e->bundles++;
    }
    return true;
}

/* A bundle waits, and the one before it of its stream is done. */
static bool may_take(RealmExporter *e)
{
    const uint64_t streams = e->limits.max_streams;

    return e->taken < e->added &&
           (e->taken < e->retired + streams ||
            slot_of(e, e->taken - streams)->done);
}

static void work_on(RealmExporter *e, Slot *slot)
{
    if (!e->err && export_bundle(e, slot) && slot->size && e->on_channels &&
        !e->stop) {
        give_to_channel(e, slot);
    }
    slot->done = true;
    qemu_cond_broadcast(&e->done);
    if (e->limits.max_streams < SLOTS && may_take(e)) {
        /* A thread may be waiting for this stream. */
        qemu_cond_signal(&e->added_or_stopped);
    }
}

/* Any thread: end all channels, and so whoever waits for one. */
static void shut_channels(void)
{
    YankInstanceList migration = { .value = MIGRATION_YANK_INSTANCE };

    trace_realm_exporter_yank();
    qmp_yank(&migration, NULL);
}

/*
 * QEMU ends the main channel only when a user cancels.  If the peer does not
 * read, ram.c would wait for multifd for ever.
 */
static void check_cancelled(RealmExporter *e)
{
    if (!e->on_channels || e->shut ||
        qatomic_read(&migrate_get_current()->state) !=
        MIGRATION_STATUS_CANCELLING) {
        return;
    }
    e->shut = true;
    qemu_mutex_unlock(&e->lock);
    shut_channels();
    qemu_mutex_lock(&e->lock);
}

/* The next bundle that waits; NULL when the thread has to end. */
static Slot *take(RealmExporter *e)
{
    while (!e->stop && !may_take(e)) {
        qemu_cond_timedwait(&e->added_or_stopped, &e->lock, POLL_MS);
        check_cancelled(e);
    }
    return e->stop ? NULL : slot_of(e, e->taken++);
}

static void *exporter_thread(void *opaque)
{
    RealmExporter *e = opaque;
    Slot *slot;

    rcu_register_thread();
    qemu_mutex_lock(&e->lock);
    while ((slot = take(e))) {
        work_on(e, slot);
    }
    qemu_mutex_unlock(&e->lock);
    rcu_unregister_thread();
    return NULL;
}

RealmExporter *realm_exporter_new(const RealmMigrationLimits *limits,
                                  bool on_channels)
{
    const unsigned threads = on_channels ? migrate_multifd_channels() : THREADS;
    RealmExporter *e = g_new0(RealmExporter, 1);

    e->limits = *limits;
    e->on_channels = on_channels;
    e->num_threads = MIN(MIN(threads, MAX_THREADS), limits->max_streams);
    e->place = g_new0(uint32_t, limits->max_streams);
    qemu_mutex_init(&e->lock);
    qemu_cond_init(&e->added_or_stopped);
    qemu_cond_init(&e->done);
    for (unsigned i = 0; i < SLOTS; i++) {
        e->slots[i].buf = g_malloc(REALM_CHANNEL_HEADER_SIZE +
                                   limits->max_blob);
    }
    trace_realm_exporter_new(e->num_threads, SLOTS, on_channels);
    for (unsigned i = 0; i < e->num_threads; i++) {
        qemu_thread_create(&e->threads[i], "realm-export", exporter_thread, e,
                           QEMU_THREAD_JOINABLE);
    }
    return e;
}

unsigned realm_exporter_max_pages(const RealmExporter *e)
{
    return MIN(e->limits.max_pages, REALM_EXPORTER_MAX_PAGES);
}

/* The oldest bundle is done: write it, unless it went on a channel. */
static void retire(RealmExporter *e, QEMUFile *f)
{
    Slot *slot = slot_of(e, e->retired);

    if (slot->size && !e->on_channels) {
        const RealmRecord record = {
            .type = REALM_RECORD_MEMORY,
            .stream = slot->stream,
            .size = slot->size,
        };

        qemu_mutex_unlock(&e->lock);
        realm_record_put(f, &record, slot->buf + REALM_CHANNEL_HEADER_SIZE);
        qemu_mutex_lock(&e->lock);
    }
    e->retired++;
}

/* Nothing is exported when this returns, but a channel may be in use. */
static void stop(RealmExporter *e)
{
    e->stop = true;
    qemu_cond_broadcast(&e->added_or_stopped);
    while (e->exporting) {
        qemu_cond_wait(&e->done, &e->lock);
    }
}

static bool has_ended(RealmExporter *e, QEMUFile *f)
{
    return e->err || e->stop || qemu_file_get_error(f);
}

/*
 * Wait until at most @left bundles are under way.  Cancelling breaks @f, and
 * sends no signal; a bundle that is on its way to a channel may be so for long.
 */
static bool wait_for(RealmExporter *e, QEMUFile *f, unsigned left,
                     Error **errp)
{
    while (!has_ended(e, f) && e->added - e->retired > left) {
        if (slot_of(e, e->retired)->done) {
            retire(e, f);
        } else if (!e->on_channels && may_take(e)) {
            work_on(e, slot_of(e, e->taken++));
        } else {
            qemu_cond_timedwait(&e->done, &e->lock, POLL_MS);
        }
    }
    if (!has_ended(e, f)) {
        return true;
    }
    stop(e);
    if (e->err) {
        error_propagate(errp, error_copy(e->err));
    } else {
        error_setg(errp, "Realm: its migration was given up");
    }
    return false;
}

bool realm_exporter_add(RealmExporter *e, QEMUFile *f, const uint64_t *pages,
                        unsigned n, Error **errp)
{
    Slot *slot;

    assert(n <= realm_exporter_max_pages(e));
    QEMU_LOCK_GUARD(&e->lock);
    if (!wait_for(e, f, SLOTS - 1, errp)) {
        return false;
    }
    slot = slot_of(e, e->added);
    slot->stream = e->added % e->limits.max_streams;
    slot->num_pages = n;
    memcpy(slot->pages, pages, n * sizeof(*pages));
    slot->size = 0;
    slot->done = false;
    e->added++;
    if (e->on_channels || e->added - e->taken >= WAKE_AT) {
        qemu_cond_signal(&e->added_or_stopped);
    }
    return true;
}

bool realm_exporter_drain(RealmExporter *e, QEMUFile *f, Error **errp)
{
    QEMU_LOCK_GUARD(&e->lock);
    return wait_for(e, f, 0, errp);
}

uint64_t realm_exporter_bundles(RealmExporter *e)
{
    QEMU_LOCK_GUARD(&e->lock);
    return e->bundles;
}

uint64_t realm_exporter_end_epoch(RealmExporter *e)
{
    uint64_t bundles;

    QEMU_LOCK_GUARD(&e->lock);
    bundles = e->bundles;
    trace_realm_exporter_end_epoch(e->epoch, bundles, e->on_channels);
    e->epoch++;
    e->bundles = 0;
    memset(e->place, 0, e->limits.max_streams * sizeof(*e->place));
    return e->on_channels ? bundles : 0;
}

void realm_exporter_stop(RealmExporter *e)
{
    QEMU_LOCK_GUARD(&e->lock);
    stop(e);
}

/*
 * Multifd ends its threads later, and frees what a thread of ours that is in it
 * would use; so ours have to be out first.
 */
static void leave_channels(RealmExporter *e)
{
    unsigned giving;

    WITH_QEMU_LOCK_GUARD(&e->lock) {
        stop(e);
        giving = e->giving;
    }
    if (giving) {
        shut_channels();
    }
}

void realm_exporter_free(RealmExporter *e)
{
    if (!e) {
        return;
    }
    leave_channels(e);
    for (unsigned i = 0; i < e->num_threads; i++) {
        qemu_thread_join(&e->threads[i]);
    }
    for (unsigned i = 0; i < SLOTS; i++) {
        g_free(e->slots[i].buf);
    }
    error_free(e->err);
    qemu_cond_destroy(&e->done);
    qemu_cond_destroy(&e->added_or_stopped);
    qemu_mutex_destroy(&e->lock);
    g_free(e->place);
    g_free(e);
}
