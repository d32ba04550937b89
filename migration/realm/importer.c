/*
 * Live migration of Realms: imports side by side
 *
 * Purpose: give records to the backend, in the order that "In QEMU's migration
 * stream" of docs/specs/realm-migration-stream.rst wants, and no slower than
 * they come.  Bundles of the main channel wait in a few slots for the worker
 * here, while the next one is read; where there is no room, or nothing may be
 * left, the thread that reads imports them as well.  Bundles of other channels
 * are imported by the threads that receive them, each when it is its turn.
 *
 * Invariants: one bundle of a stream is imported at a time, in their order.  A
 * record that is no bundle is imported alone, after all bundles that belong
 * before it and before all that belong behind it.  When an import has failed,
 * no other one begins.  Failures are for the thread of the main channel to
 * tell; if several failed for themselves, the one that began first is told.
 *
 * Nobody waits for ever.  Of all bundles that were given to channels and are
 * not imported, take the first one.  Those before it on its channel are
 * imported, so that its thread has it.  Those before it in its stream are, too.
 * If it is of the next epoch, the source sent the epoch frame before it; so the
 * main channel gets there, unless it waits for the channels at a
 * RAM_SAVE_FLAG_MULTIFD_FLUSH before that frame.  But then what it waits for
 * was sent before that flag, and so before the bundle.  All of this needs a
 * source that gives bundles to channels while no other thread writes frames or
 * asks the channels to flush.
 *
 * A channel's thread that ended because of a failure would leave the main
 * thread at such a flag.  So it goes on, and drops what it gets, until the main
 * thread comes to one of our frames.  If bundles are lost with a connection,
 * nobody says so; so who waits looks every WAIT_MS.
 *
 * Memory: SLOTS buffers of max_blob bytes, of which only what bundles take is
 * ever touched, and what each channel's packet has.
 *
 * Lock rule: `lock` is a leaf but for @lost, and not held during imports.
 * Imports of bundles take no BQL: the main thread waits for them with it, or
 * makes them with it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/coroutine.h"
#include "qemu/lockable.h"
#include "qemu/rcu.h"
#include "qemu/thread.h"
#include "importer.h"
#include "realm-migration.h"
#include "trace.h"

#define SLOTS   4
#define WAKE_AT 2               /* bundles that wait: a wake-up is not cheap */
#define WAIT_MS 100

typedef struct Stream {
    uint32_t place;             /* of the next bundle from a channel */
    bool busy;                  /* one of its bundles is being imported */
} Stream;

/* A bundle of the main channel */
typedef struct Slot {
    uint8_t *buf;
    size_t size;                /* 0: there is none */
    unsigned stream;
    bool taken;                 /* it is being imported */
} Slot;

static struct {
    QemuMutex lock;
    QemuCond changed;           /* any of what follows */
    QemuCond work;              /* there is some for the worker */
    bool (*lost)(void);

    RealmMigrationLimits limits;
    bool active;                /* between begin and end */
    bool begun;                 /* the first record is imported */
    bool alone;                 /* no bundle of a channel may begin */
    bool stopped;               /* nor anything else */
    Error *error;               /* what has failed, if anything did */
    uint64_t error_order;
    uint64_t order;             /* of the next import */
    unsigned running;           /* imports of bundles */

    Stream *streams;
    uint32_t epoch;             /* whose turn it is */
    uint64_t imported;          /* bundles of it that came on channels */

    Slot slots[SLOTS];
    unsigned room;              /* the slot that is next, and the oldest */
    bool quit;
    QemuThread worker;
} importer;

/* ---- failures ---- */

/*
 * The lock is held, here and below where it is not said.  Frees @err.
 *
 * @order: UINT64_MAX if another import's failure is why
 */
static void fail(Error *err, uint64_t order)
{
    if (importer.error && importer.error_order < order) {
        error_free(err);
    } else {
        error_free(importer.error);
        importer.error = err;
        importer.error_order = order;
    }
    importer.stopped = true;
    qemu_cond_broadcast(&importer.changed);
}

static void fail_now(Error *err)
{
    fail(err, importer.order++);
}

static void stop(void)
{
    importer.stopped = true;
    qemu_cond_broadcast(&importer.changed);
    while (importer.running) {
        qemu_cond_wait(&importer.changed, &importer.lock);
    }
}

/* Whether imports may go on; a failure is told when no other can come. */
static bool may_go_on(Error **errp)
{
    if (!importer.stopped) {
        return true;
    }
    stop();
    if (importer.error) {
        error_propagate(errp, error_copy(importer.error));
    } else {
        error_setg(errp, "realm section: the Realm was given up");
    }
    return false;
}

/*
 * Wait for a change that only the network may bring.  Returns false if there
 * was none for WAIT_MS; if none will come, imports stop.
 */
static bool wait_for_network(void)
{
    Error *err = NULL;

    if (qemu_cond_timedwait(&importer.changed, &importer.lock, WAIT_MS)) {
        return true;
    }
    if (!importer.stopped && importer.lost()) {
        error_setg(&err, "realm section: the migration ended while bundles "
                   "were on their way");
        fail_now(err);
    }
    return false;
}

/* ---- bundles ---- */

static int import_memory(const void *bundle, size_t size, Error **errp)
{
    ERRP_GUARD();
    int pages = realm_backend()->import_memory(bundle, size, errp);

    trace_realm_importer_record("memory", size, MAX(pages, 0), pages >= 0);
    if (pages >= 0) {
        realm_counters_add_blob(size, pages);
    } else {
        error_prepend(errp, "realm section: memory record of %zu bytes: ",
                      size);
    }
    return pages;
}

/* The oldest bundle in a slot that may be imported, or NULL */
static Slot *next_slot(void)
{
    for (unsigned i = 0; i < SLOTS && !importer.stopped; i++) {
        Slot *slot = &importer.slots[(importer.room + i) % SLOTS];

        if (slot->size && !slot->taken &&
            !importer.streams[slot->stream].busy) {
            return slot;
        }
    }
    return NULL;
}

/* Without the lock meanwhile; nothing of @stream is being imported. */
static bool import_bundle(unsigned stream, const void *bundle, size_t size)
{
    const uint64_t order = importer.order++;
    Error *err = NULL;
    int pages;

    importer.streams[stream].busy = true;
    importer.running++;
    qemu_mutex_unlock(&importer.lock);
    pages = import_memory(bundle, size, &err);
    qemu_mutex_lock(&importer.lock);
    importer.running--;
    importer.streams[stream].busy = false;
    if (importer.limits.max_streams < SLOTS && next_slot()) {
        qemu_cond_signal(&importer.work);   /* it may wait for this stream */
    }
    if (pages < 0) {
        fail(err, pages == -ECANCELED ? UINT64_MAX : order);
    }
    qemu_cond_broadcast(&importer.changed);
    return pages >= 0;
}

/* ---- the main channel ---- */

static void work_on(Slot *slot)
{
    slot->taken = true;
    import_bundle(slot->stream, slot->buf, slot->size);
    slot->taken = false;
    slot->size = 0;
}

static void *work(void *unused)
{
    Slot *slot;

    rcu_register_thread();
    qemu_mutex_lock(&importer.lock);
    while (!importer.quit) {
        slot = next_slot();
        if (slot) {
            work_on(slot);
        } else {
            qemu_cond_wait(&importer.work, &importer.lock);
        }
    }
    qemu_mutex_unlock(&importer.lock);
    rcu_unregister_thread();
    return NULL;
}

static unsigned slots_waiting(void)
{
    unsigned n = 0;

    for (unsigned i = 0; i < SLOTS; i++) {
        n += importer.slots[i].size && !importer.slots[i].taken;
    }
    return n;
}

static bool slots_used(void)
{
    for (unsigned i = 0; i < SLOTS; i++) {
        if (importer.slots[i].size) {
            return true;
        }
    }
    return false;
}

/*
 * The thread that reads has to wait.  It imports meanwhile: to wake the worker
 * up, and to be woken up by it, can take as long.
 */
static void help(void)
{
    Slot *slot = next_slot();

    if (slot) {
        work_on(slot);
    } else {
        qemu_cond_wait(&importer.changed, &importer.lock);
    }
}

static void empty_slots(void)
{
    while (slots_used() && !importer.stopped) {
        help();
    }
}

bool realm_importer_wait(Error **errp)
{
    QEMU_LOCK_GUARD(&importer.lock);

    empty_slots();
    return may_go_on(errp);
}

uint8_t *realm_importer_room(Error **errp)
{
    QEMU_LOCK_GUARD(&importer.lock);
    const Slot *slot = &importer.slots[importer.room];

    while (slot->size && !importer.stopped) {
        help();
    }
    return may_go_on(errp) ? slot->buf : NULL;
}

void realm_importer_add_memory(unsigned stream, size_t size)
{
    QEMU_LOCK_GUARD(&importer.lock);
    Slot *slot = &importer.slots[importer.room];

    slot->stream = stream;
    slot->size = size;
    importer.room = (importer.room + 1) % SLOTS;
    if (slots_waiting() >= WAKE_AT) {
        qemu_cond_signal(&importer.work);
    }
}

/* Without the lock meanwhile; no bundle is being imported. */
static bool import_record(const char *what, size_t size)
{
    const void *record = importer.slots[importer.room].buf;
    const uint64_t order = importer.order++;
    Error *err = NULL;
    bool ok;

    qemu_mutex_unlock(&importer.lock);
    ok = realm_backend()->import(record, size, &err);
    trace_realm_importer_record(what, size, 0, ok);
    qemu_mutex_lock(&importer.lock);
    if (ok) {
        realm_counters_add_blob(size, 0);
    } else {
        error_prepend(&err, "realm section: %s record of %zu bytes: ", what,
                      size);
        fail(err, order);
    }
    return ok;
}

static void begin_alone(void)
{
    importer.alone = true;
    empty_slots();
    while (importer.running && !importer.stopped) {
        qemu_cond_wait(&importer.changed, &importer.lock);
    }
}

static void end_alone(void)
{
    importer.alone = false;
    qemu_cond_broadcast(&importer.changed);
}

bool realm_importer_import_state(size_t size, Error **errp)
{
    QEMU_LOCK_GUARD(&importer.lock);

    begin_alone();
    if (!importer.stopped && import_record("state", size)) {
        importer.begun = true;
    }
    end_alone();
    return may_go_on(errp);
}

/*
 * In a coroutine, the monitor goes on if the channels are slow: somebody may
 * want to give the Realm up.
 */
static void wait_for_channels(uint64_t bundles)
{
    while (importer.imported < bundles && !importer.stopped) {
        if (!wait_for_network() && qemu_in_coroutine()) {
            qemu_mutex_unlock(&importer.lock);
            qemu_co_sleep_ns(QEMU_CLOCK_REALTIME, 10 * SCALE_MS);
            qemu_mutex_lock(&importer.lock);
        }
    }
}

static void check_epoch(uint64_t bundles)
{
    Error *err = NULL;

    if (importer.imported > bundles) {
        error_setg(&err, "realm section: %" PRIu64 " bundles of an epoch came "
                   "on channels, and its epoch record says %" PRIu64,
                   importer.imported, bundles);
        fail_now(err);
    }
}

static void next_epoch(void)
{
    importer.epoch++;
    importer.imported = 0;
    for (unsigned i = 0; i < importer.limits.max_streams; i++) {
        importer.streams[i].place = 0;
    }
}

bool realm_importer_import_epoch(uint64_t channel_bundles, size_t size,
                                 Error **errp)
{
    QEMU_LOCK_GUARD(&importer.lock);

    wait_for_channels(channel_bundles);
    begin_alone();
    check_epoch(channel_bundles);
    if (!importer.stopped && (!size || import_record("epoch", size))) {
        next_epoch();
    }
    end_alone();
    return may_go_on(errp);
}

/* ---- other channels ---- */

static bool is_over(const RealmPacket *p)
{
    return p->epoch < importer.epoch ||
           (p->epoch == importer.epoch &&
            p->place < importer.streams[p->stream].place);
}

static bool is_turn(const RealmPacket *p)
{
    const Stream *stream = &importer.streams[p->stream];

    return !importer.alone && p->epoch == importer.epoch &&
           p->place == stream->place && !stream->busy;
}

static void refuse(const RealmPacket *p)
{
    Error *err = NULL;

    error_setg(&err, "realm section: the turn of bundle %" PRIu32 " of stream "
               "%u in epoch %" PRIu32 " on a channel is over", p->place,
               p->stream, p->epoch);
    fail_now(err);
}

static bool wait_for_turn(const RealmPacket *p)
{
    while (!importer.stopped) {
        if (importer.begun && is_over(p)) {
            refuse(p);
        } else if (importer.begun && is_turn(p)) {
            return true;
        } else {
            wait_for_network();
        }
    }
    return false;
}

void realm_importer_take(const RealmPacket *packet, const void *bundle)
{
    QEMU_LOCK_GUARD(&importer.lock);

    if (wait_for_turn(packet) &&
        import_bundle(packet->stream, bundle, packet->size)) {
        importer.streams[packet->stream].place++;
        importer.imported++;
    }
}

void realm_importer_fail(Error *err)
{
    QEMU_LOCK_GUARD(&importer.lock);

    fail_now(err);
}

/* ---- begin and end ---- */

void realm_importer_init(bool (*lost)(void))
{
    qemu_mutex_init(&importer.lock);
    qemu_cond_init(&importer.changed);
    qemu_cond_init(&importer.work);
    importer.lost = lost;
}

/* Threads of channels may be waiting, or have failed, already. */
void realm_importer_begin(void)
{
    QEMU_LOCK_GUARD(&importer.lock);

    realm_backend()->migration_limits(&importer.limits);
    importer.streams = g_new0(Stream, importer.limits.max_streams);
    for (unsigned i = 0; i < SLOTS; i++) {
        importer.slots[i] = (Slot) {
            .buf = g_malloc(importer.limits.max_blob) };
    }
    qemu_thread_create(&importer.worker, "realm-import", work, NULL,
                       QEMU_THREAD_JOINABLE);
    importer.active = true;
}

void realm_importer_stop(void)
{
    QEMU_LOCK_GUARD(&importer.lock);

    if (importer.active) {
        stop();
    }
}

static void end_worker(void)
{
    WITH_QEMU_LOCK_GUARD(&importer.lock) {
        stop();
        importer.quit = true;
        qemu_cond_signal(&importer.work);
    }
    qemu_thread_join(&importer.worker);
}

/* Channels have no threads any more. */
void realm_importer_end(void)
{
    if (importer.active) {
        end_worker();
    }
    for (unsigned i = 0; i < SLOTS; i++) {
        g_clear_pointer(&importer.slots[i].buf, g_free);
    }
    g_clear_pointer(&importer.streams, g_free);
    error_free(importer.error);
    importer.error = NULL;
    importer.active = importer.begun = importer.stopped = false;
    importer.quit = false;
    importer.room = 0;
    importer.order = 0;
    importer.epoch = 0;
    importer.imported = 0;
}
