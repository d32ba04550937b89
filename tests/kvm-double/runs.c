/*
 * Three runs of a Realm, for tests that change the answers of the kernel
 *
 * Purpose: see runs.h.  The other side of a migration is a process of its own
 * and has no hooks.  It has a machine, source or destination, and does with it
 * what it is told.  Pages are exported and imported by as many threads as the
 * run wants, each with streams of its own.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <dirent.h>
#include <malloc.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include "qapi/error.h"
#include "qemu/bitmap.h"
#include "qemu/cutils.h"
#include "qemu/rcu.h"
#include "qemu/units.h"
#include "accel/kvm/realm/realm-kvm.h"
#include "system/page-tags-kvm.h"
#include "system/realm-kvm.h"
#include "target/arm/rmm/rmm-abi.h"
#include "runs.h"

#define BASE            (1 * GiB)       /* of RAM */
#define PRIVATE         (BASE + 0x100000)
#define SHARED          (BASE + 0x180000)
#define SHARED_SIZE     (64 * KiB)
#define NUM_PAGES       8               /* that the guest writes to */
#define PAGES_A_BUNDLE  4

static int servant;                     /* socket */
static pid_t servant_pid;
static const RealmBackendOps *ops;

/* What both sides know of the run, in memory that they share. */
typedef struct Terms {
    unsigned threads;           /* at least 1 */
    RmeGuestMeasurementAlgorithm algorithm;     /* kernels may have it fixed */
} Terms;

static Terms *terms;

/* ---- The guest ---- */

static bool is_done(DoubleOutcome outcome, Error **errp)
{
    if (outcome == DOUBLE_DONE) {
        return true;
    }
    if (outcome != DOUBLE_EXIT) {
        error_setg(errp, "the guest has outcome %d", outcome);
    }
    return false;
}

static bool writes(uint64_t ipa, uint64_t value, Error **errp)
{
    return is_done(double_guest_write(0, ipa, &value, sizeof(value), errp),
                   errp);
}

static bool reads(uint64_t ipa, uint64_t value, Error **errp)
{
    uint64_t found = 0;

    if (!is_done(double_guest_read(0, ipa, &found, sizeof(found), errp),
                 errp)) {
        return false;
    }
    g_assert_cmphex(found, ==, value);
    return true;
}

static bool reads_image(Error **errp)
{
    uint8_t buf[0x2000];

    if (!is_done(double_guest_read(0, BASE, buf, sizeof(buf), errp), errp)) {
        return false;
    }
    for (size_t i = 0; i < sizeof(buf); i++) {
        g_assert_cmphex(buf[i], ==, double_image_byte(BASE + i));
    }
    return true;
}

static uint64_t page_at(unsigned n)
{
    return PRIVATE + n * 3 * REALM_PAGE_SIZE;
}

static bool writes_pages(uint64_t value, Error **errp)
{
    for (unsigned n = 0; n < NUM_PAGES; n++) {
        if (!writes(page_at(n), value + n, errp)) {
            return false;
        }
    }
    return true;
}

static bool reads_pages(uint64_t value, Error **errp)
{
    for (unsigned n = 0; n < NUM_PAGES; n++) {
        if (!reads(page_at(n), value + n, errp)) {
            return false;
        }
    }
    return true;
}

static bool shares(bool shared, Error **errp)
{
    return is_done(double_guest_set_ripas(0, SHARED, SHARED_SIZE, !shared,
                                          errp), errp);
}

static uint64_t alias(uint64_t ipa)
{
    return ipa | double_shared_bit();
}

/* ---- The machine ---- */

static void agree(const Run *run)
{
    terms->threads = MAX(run->threads, 1);
    terms->algorithm =
        double_flavour(run->kernel)->hash_algo == RMI_HASH_SHA_512
        ? RME_GUEST_MEASUREMENT_ALGORITHM_SHA512
        : RME_GUEST_MEASUREMENT_ALGORITHM_SHA256;
}

static bool create(const Run *run, bool incoming, Error **errp)
{
    DoubleOptions options = { run->kernel, run->page_size, .migration = true,
                              .mte = true };
    DoubleMachineOptions m = {
        .config = double_default_config, .incoming = incoming,
        .images = { { 0x10000, 0x3000 }, { 0, 0x11000 } },
    };

    m.config.migration = true;
    m.config.mte = true;
    m.config.has_measurement_algorithm = double_flavour(run->kernel)->rme;
    m.config.measurement_algorithm = terms->algorithm;
    double_start(&options);
    double_set_hook(run->hook, run->opaque);
    ops = realm_kvm_backend();
    return double_machine_create(&m, errp);
}

static void destroy(void)
{
    double_set_hook(NULL, NULL);
    double_machine_destroy();
    double_stop();
}

/* ---- A life ---- */

static bool live(Error **errp)
{
    return double_machine_run(errp) && reads_image(errp) &&
           writes_pages(1, errp) && shares(true, errp) &&
           writes(alias(SHARED), 7, errp) && reads(alias(SHARED), 7, errp) &&
           shares(false, errp) && writes(SHARED, 8, errp) &&
           reads(SHARED, 8, errp) && reads_pages(1, errp);
}

static bool stop_and_cont(Error **errp)
{
    double_machine_stop();
    return double_machine_run(errp) && reads_pages(1, errp) &&
           reads_image(errp);
}

bool run_life(const Run *run, Error **errp)
{
    bool ok;

    agree(run);
    ok = create(run, false, errp) && live(errp) && stop_and_cont(errp);
    destroy();
    return ok;
}

/* ---- The wire to the other side ---- */

/* What the other side does; each is answered with a blob, maybe an empty one */
typedef enum Order {
    BE_SOURCE,                  /* gives a nonce */
    EXPORT,                     /* of an offer: gives all but the start token */
    HAND_OVER,                  /* of a ready record: gives the start token */
    TAKE_RECEIPT,
    BE_DESTINATION,             /* of a nonce: gives an offer */
    IMPORT,                     /* of records */
    SAY_READY,
    COMMIT,                     /* gives the receipt */
    END,                        /* of its machine, if it has one */
} Order;

static void send_all(int fd, const void *buf, size_t size)
{
    g_assert_cmpint(qemu_write_full(fd, buf, size), ==, size);
}

static bool receive_all(int fd, void *buf, size_t size)
{
    for (size_t done = 0; done < size; ) {
        ssize_t n = read(fd, (uint8_t *)buf + done, size - done);

        if (n <= 0) {
            return false;
        }
        done += n;
    }
    return true;
}

static void send_bytes(int fd, const void *buf, uint32_t size)
{
    send_all(fd, &size, sizeof(size));
    send_all(fd, buf, size);
}

static GBytes *receive_bytes(int fd)
{
    uint32_t size;
    void *buf;

    g_assert_true(receive_all(fd, &size, sizeof(size)));
    buf = g_malloc(size);
    g_assert_true(receive_all(fd, buf, size));
    return g_bytes_new_take(buf, size);
}

static GBytes *tell(Order order, const void *buf, size_t size)
{
    uint8_t byte = order;

    send_all(servant, &byte, 1);
    send_bytes(servant, buf, size);
    return receive_bytes(servant);
}

static GBytes *tell_bytes(Order order, GBytes *bytes)
{
    return tell(order, g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));
}

static void tell_only(Order order)
{
    g_bytes_unref(tell(order, NULL, 0));
}

/* ---- Records ---- */

/* What it is: memory, with its stream, or anything else */
#define STATE UINT32_MAX

typedef struct Record {
    uint32_t stream;            /* or STATE */
    uint32_t size;
    const uint8_t *bytes;
} Record;

/* Put a record behind those in @all. */
static void add_record(GByteArray *all, uint32_t stream, const void *record,
                       uint32_t size)
{
    g_byte_array_append(all, (uint8_t *)&stream, sizeof(stream));
    g_byte_array_append(all, (uint8_t *)&size, sizeof(size));
    g_byte_array_append(all, record, size);
}

/* Take the next record from those between *@at and @end; false at the end. */
static bool next_record(const uint8_t **at, const uint8_t *end, Record *r)
{
    if (*at == end) {
        return false;
    }
    memcpy(&r->stream, *at, sizeof(r->stream));
    memcpy(&r->size, *at + sizeof(r->stream), sizeof(r->size));
    r->bytes = *at + sizeof(r->stream) + sizeof(r->size);
    *at = r->bytes + r->size;
    return true;
}

static bool import_record(const Record *r, Error **errp)
{
    return r->stream == STATE
        ? ops->import(r->bytes, r->size, errp)
        : ops->import_memory(r->bytes, r->size, errp) >= 0;
}

/* ---- Threads ---- */

typedef struct Worker {
    QemuThread thread;
    unsigned index;             /* streams are its own modulo terms->threads */
    bool (*work)(struct Worker *worker, Error **errp);
    bool ok;
    Error *err;
    /* Import: the records from here up to the next that is no memory */
    const uint8_t *at, *end;
    /* Export: its part of the round */
    const unsigned long *pages;
    uint8_t *buf;
    GByteArray *records;
} Worker;

static bool is_mine(const Worker *worker, uint32_t stream)
{
    return stream % terms->threads == worker->index;
}

static void *run_worker(void *opaque)
{
    Worker *worker = opaque;

    worker->ok = worker->work(worker, &worker->err);
    return NULL;
}

static void start_worker(Worker *worker)
{
    if (terms->threads == 1) {
        run_worker(worker);
    } else {
        qemu_thread_create(&worker->thread, "worker", run_worker, worker,
                           QEMU_THREAD_JOINABLE);
    }
}

static void end_worker(Worker *worker)
{
    if (terms->threads > 1) {
        qemu_thread_join(&worker->thread);
    }
}

/*
 * Let each do its part; those that others fail beside come to their end.  The
 * error is that of all: the reason, and what it meant for the others.
 */
static bool run_workers(Worker *workers, Error **errp)
{
    g_autoptr(GString) why = g_string_new(NULL);
    bool ok = true;

    for (unsigned i = 0; i < terms->threads; i++) {
        workers[i].index = i;
        start_worker(&workers[i]);
    }
    for (unsigned i = 0; i < terms->threads; i++) {
        end_worker(&workers[i]);
        if (!workers[i].ok) {
            g_string_append_printf(why, "%s%s", ok ? "" : "; ",
                                   error_get_pretty(workers[i].err));
            error_free(workers[i].err);
            ok = false;
        }
    }
    if (!ok) {
        error_setg(errp, "%s", why->str);
    }
    return ok;
}

/* The records of a worker's own streams, in their order */
static bool import_own(Worker *worker, Error **errp)
{
    const uint8_t *at = worker->at;
    Record r;

    while (next_record(&at, worker->end, &r) && r.stream != STATE) {
        if (is_mine(worker, r.stream) && !import_record(&r, errp)) {
            return false;
        }
    }
    return true;
}

static bool import_memory(const uint8_t *at, const uint8_t *end, Error **errp)
{
    g_autofree Worker *workers = g_new0(Worker, terms->threads);

    for (unsigned i = 0; i < terms->threads; i++) {
        workers[i].work = import_own;
        workers[i].at = at;
        workers[i].end = end;
    }
    return run_workers(workers, errp);
}

static bool import_all(GBytes *all, Error **errp)
{
    gsize size;
    const uint8_t *at = g_bytes_get_data(all, &size), *end = at + size;
    const uint8_t *here = at;
    bool in_memory = false;
    Record r;

    for (; next_record(&at, end, &r); here = at) {
        bool memory = r.stream != STATE;

        if (memory && !in_memory && !import_memory(here, end, errp)) {
            return false;
        }
        if (!memory && !import_record(&r, errp)) {
            return false;
        }
        in_memory = memory;
    }
    return true;
}

/* ---- A source ---- */

typedef struct Round {
    unsigned long *pages;
    uint8_t *buf;
    GByteArray *records;
} Round;

/* Keep the record in the buffer; @size is 0 without one, or -1: an error. */
static bool keep(Round *r, ssize_t size)
{
    if (size > 0) {
        add_record(r->records, STATE, r->buf, size);
    }
    return size >= 0;
}

static bool collect_dirty(Round *r, Error **errp)
{
    return ops->collect_dirty(r->pages, errp) >= 0;
}

/* The next few pages of a round; returns how many. */
static unsigned next_pages(const unsigned long *pages, uint64_t *at,
                           uint64_t list[PAGES_A_BUNDLE])
{
    const uint64_t num = double_default_config.ram_size / REALM_PAGE_SIZE;
    unsigned n = 0;

    while (n < PAGES_A_BUNDLE &&
           (*at = find_next_bit(pages, num, *at)) < num) {
        list[n++] = (*at)++;
    }
    return n;
}

/* Bundles go to the streams in turn.  A single thread uses one. */
static bool export_own(Worker *worker, Error **errp)
{
    RealmMigrationLimits limits;
    uint64_t list[PAGES_A_BUNDLE], at = 0;
    unsigned n, k = 0, streams, exported = 0;

    ops->migration_limits(&limits);
    streams = terms->threads > 1 ? limits.max_streams : 1;
    for (; (n = next_pages(worker->pages, &at, list)); k++) {
        unsigned stream = k % streams;
        ssize_t size;

        if (!is_mine(worker, stream)) {
            continue;
        }
        size = ops->export_memory(stream, list, n, worker->buf, &exported,
                                  errp);
        if (size < 0) {
            return false;
        }
        if (size > 0) {
            add_record(worker->records, stream, worker->buf, size);
        }
    }
    return true;
}

static void start_export(Worker *worker, const Round *r)
{
    RealmMigrationLimits limits;

    ops->migration_limits(&limits);
    worker->work = export_own;
    worker->pages = r->pages;
    worker->buf = g_malloc(limits.max_blob);
    worker->records = g_byte_array_new();
}

/* Export all pages of the round, a few in each bundle. */
static bool export_pages(Round *r, bool *any, Error **errp)
{
    g_autofree Worker *workers = g_new0(Worker, terms->threads);
    unsigned before = r->records->len;
    bool ok;

    for (unsigned i = 0; i < terms->threads; i++) {
        start_export(&workers[i], r);
    }
    ok = run_workers(workers, errp);
    for (unsigned i = 0; i < terms->threads; i++) {
        g_byte_array_append(r->records, workers[i].records->data,
                            workers[i].records->len);
        g_byte_array_unref(workers[i].records);
        g_free(workers[i].buf);
    }
    *any = r->records->len > before;
    return ok;
}

static bool round_of(Round *r, Error **errp)
{
    bool any;

    return export_pages(r, &any, errp) &&
           (!any || keep(r, ops->export_epoch(r->buf, errp))) &&
           collect_dirty(r, errp);
}

static bool export_states(Round *r, Error **errp)
{
    ssize_t size;
    unsigned part = 0;

    do {
        size = ops->export_state(part++, r->buf, errp);
        if (!keep(r, size)) {
            return false;
        }
    } while (size > 0);
    return true;
}

static bool last_round(Round *r, Error **errp)
{
    bool any;

    double_machine_stop();
    return double_sync_shared(errp) && ops->pause(errp) &&
           round_of(r, errp) && export_pages(r, &any, errp) &&
           export_states(r, errp);
}

/* QEMU learns of @pages shared host pages that were written, no others. */
static bool sync_shared(unsigned pages, Error **errp)
{
    if (!double_sync_shared(errp)) {
        return false;
    }
    g_assert_cmpuint(double_take_shared_written(SHARED, SHARED_SIZE), ==,
                     pages * qemu_real_host_page_size() / REALM_PAGE_SIZE);
    return true;
}

/* All but the start token. */
static bool export_realm(Round *r, GBytes *offer, Error **errp)
{
    return ops->accept(g_bytes_get_data(offer, NULL), g_bytes_get_size(offer),
                       errp) &&
           double_log_shared(true, errp) &&
           keep(r, ops->export_begin(r->buf, errp)) &&
           collect_dirty(r, errp) && round_of(r, errp) &&
           writes_pages(100, errp) &&
           writes(alias(SHARED), 70, errp) && sync_shared(1, errp) &&
           sync_shared(0, errp) && round_of(r, errp) &&
           writes(page_at(0), 100, errp) && last_round(r, errp);
}

/* The token that hands over; asked for again, it is the same. */
static GBytes *start_token(GBytes *ready, Error **errp)
{
    uint8_t token[REALM_MAX_START_TOKEN], again[REALM_MAX_START_TOKEN];
    ssize_t size = ops->export_start(g_bytes_get_data(ready, NULL),
                                     g_bytes_get_size(ready), token, errp);
    ssize_t size_again = size < 0 ? -1 : ops->export_start(NULL, 0, again,
                                                           errp);

    if (size_again < 0) {
        return NULL;
    }
    g_assert_cmpmem(token, size, again, size_again);
    return g_bytes_new(token, size);
}

static bool finish(GBytes *receipt, Error **errp)
{
    return ops->export_finish(g_bytes_get_data(receipt, NULL),
                              g_bytes_get_size(receipt), errp);
}

/* A destination on the other side, for the nonce of this one. */
static GBytes *ask_for_offer(Error **errp)
{
    uint8_t nonce[REALM_NONCE_SIZE];

    return ops->prepare_migration(nonce, errp)
        ? tell(BE_DESTINATION, nonce, sizeof(nonce)) : NULL;
}

/* Start a migration and give it up. */
static bool gives_up(Round *r, Error **errp)
{
    g_autoptr(GBytes) offer = ask_for_offer(errp);

    if (!offer ||
        !ops->accept(g_bytes_get_data(offer, NULL), g_bytes_get_size(offer),
                     errp) ||
        ops->export_begin(r->buf, errp) < 0) {
        return false;
    }
    double_machine_stop();
    tell_only(END);
    return ops->pause(errp) && ops->export_abort(errp) &&
           double_machine_run(errp);
}

/* Hand over to the destination on the other side. */
static bool hand_over(Round *r, Error **errp)
{
    g_autoptr(GBytes) nothing = tell(IMPORT, r->records->data,
                                     r->records->len);
    g_autoptr(GBytes) ready = tell(SAY_READY, NULL, 0);
    g_autoptr(GBytes) token = start_token(ready, errp);
    g_autoptr(GBytes) imported = NULL;
    g_autoptr(GBytes) receipt = NULL;

    if (!token) {
        return false;
    }
    g_byte_array_set_size(r->records, 0);
    add_record(r->records, STATE, g_bytes_get_data(token, NULL),
               g_bytes_get_size(token));
    imported = tell(IMPORT, r->records->data, r->records->len);
    receipt = tell(COMMIT, NULL, 0);
    return finish(receipt, errp);
}

static bool migrates(Round *r, Error **errp)
{
    g_autoptr(GBytes) offer = ask_for_offer(errp);

    return offer && export_realm(r, offer, errp) && hand_over(r, errp);
}

/* It shares pages first: a block of 2 MiB would be a hundred bundles. */
static bool start_source(Error **errp)
{
    return double_machine_run(errp) && shares(true, errp) &&
           writes(alias(SHARED), 7, errp) && writes_pages(1, errp);
}

/* Write tags of shared pages and read them back. */
static bool copies_tags(Error **errp)
{
    static uint8_t buffer[SHARED_SIZE / 16];
    const unsigned pages = SHARED_SIZE / KVM_TAGS_PAGE;
    uint8_t tags[SHARED_SIZE / 32], back[SHARED_SIZE / 32];

    for (size_t i = 0; i < sizeof(tags); i++) {
        tags[i] = i * 7;
    }
    if (!kvm_arm_copy_tags(SHARED, pages, tags, true, buffer, errp) ||
        !kvm_arm_copy_tags(SHARED, pages, back, false, buffer, errp)) {
        return false;
    }
    g_assert_cmpmem(tags, sizeof(tags), back, sizeof(back));
    return true;
}

static Round round_new(void)
{
    RealmMigrationLimits limits;

    ops->migration_limits(&limits);
    return (Round) {
        .pages = bitmap_new(double_default_config.ram_size / REALM_PAGE_SIZE),
        .buf = g_malloc(limits.max_blob), .records = g_byte_array_new(),
    };
}

static void round_free(Round *r)
{
    g_free(r->pages);
    g_free(r->buf);
    g_byte_array_unref(r->records);
}

/*
 * QEMU's phase follows what the kernel did, even if its answers were changed.
 * After a record that failed with a temporary error, the kernel would accept
 * another one; QEMU's session is over.
 */
static void check_phase(void)
{
    const char *kernels = double_session();
    RealmPhase phase = ops->phase();
    bool none = phase <= REALM_PHASE_HERE || phase == REALM_PHASE_WAITING ||
                phase == REALM_PHASE_EMPTY || phase == REALM_PHASE_BROKEN;

    if (phase == REALM_PHASE_FAILED) {
        g_assert_cmpstr(kernels, !=, "none");
    } else if (kernels) {
        g_assert_cmpstr(kernels, ==, none ? "none" : realm_phase_name(phase));
    }
}

static void note_phase(const Run *run)
{
    double_set_hook(NULL, NULL);
    if (run->phase) {
        *run->phase = ops->phase();
    }
}

/* The migration has failed: the Realm runs on, or the destination has it. */
static void check_runs_on(const Run *run)
{
    uint64_t value = 0, more = 0x55;

    note_phase(run);
    check_phase();
    if (ops->phase() == REALM_PHASE_NEW) {
        return;
    }
    if (ops->phase() == REALM_PHASE_SEALED ||
        ops->phase() == REALM_PHASE_GONE ||
        ops->phase() == REALM_PHASE_BROKEN) {
        g_assert_false(double_machine_run(NULL));
        return;
    }
    if (ops->phase() != REALM_PHASE_HERE) {
        g_assert_true(ops->export_abort(&error_abort));
        check_phase();
    }
    g_assert_true(double_machine_run(&error_abort));
    g_assert_cmpint(double_guest_read(0, page_at(1), &value, 8, &error_abort),
                    ==, DOUBLE_DONE);
    g_assert_true(value == 2 || value == 101 || value == 0);
    g_assert_cmpint(double_guest_write(0, page_at(1), &more, 8, &error_abort),
                    ==, DOUBLE_DONE);
}

static bool source(const Run *run, Error **errp)
{
    Round r;
    bool ok;

    if (!create(run, false, errp)) {
        return false;
    }
    r = round_new();
    ok = start_source(errp) && copies_tags(errp) && gives_up(&r, errp) &&
         migrates(&r, errp);
    round_free(&r);
    return ok;
}

bool run_source(const Run *run, Error **errp)
{
    bool ok;

    agree(run);
    ok = source(run, errp);
    if (!ok && realm_kvm.config) {
        check_runs_on(run);
    }
    destroy();
    tell_only(END);
    return ok;
}

/* ---- A destination ---- */

static GBytes *make_offer(GBytes *nonce, Error **errp)
{
    RealmMigrationLimits limits;
    g_autofree void *buf = NULL;
    ssize_t size;

    ops->migration_limits(&limits);
    buf = g_malloc(limits.max_blob);
    size = ops->offer(g_bytes_get_data(nonce, NULL), buf, errp);
    return size > 0 ? g_bytes_new(buf, size) : NULL;
}

typedef ssize_t ReplyFn(void *buf, Error **errp);

/* A ready record, or a receipt; again, since the first may be lost. */
static GBytes *make_reply(ReplyFn *make, Error **errp)
{
    uint8_t buf[REALM_MAX_REPLY];
    ssize_t size = make(buf, errp);

    size = size < 0 ? size : make(buf, errp);
    return size > 0 ? g_bytes_new(buf, size) : NULL;
}

static bool import_token(GBytes *token, Error **errp)
{
    gsize size;
    const void *bytes = g_bytes_get_data(token, &size);

    return ops->import(bytes, size, errp);
}

static bool import_realm(Error **errp)
{
    g_autoptr(GBytes) nonce = tell(BE_SOURCE, NULL, 0);
    g_autoptr(GBytes) offer = make_offer(nonce, errp);
    g_autoptr(GBytes) records = offer ? tell_bytes(EXPORT, offer) : NULL;
    g_autoptr(GBytes) ready = records && import_all(records, errp)
        ? make_reply(ops->import_ready, errp) : NULL;
    g_autoptr(GBytes) token = ready ? tell_bytes(HAND_OVER, ready) : NULL;
    g_autoptr(GBytes) receipt = NULL;

    if (!token || !import_token(token, errp) || !ops->commit(errp)) {
        return false;
    }
    receipt = make_reply(ops->import_receipt, errp);
    if (receipt) {
        g_bytes_unref(tell_bytes(TAKE_RECEIPT, receipt));
    }
    return receipt;
}

/* If the kernel has committed in spite of the error, the Realm runs here. */
static void check_gives_back(const Run *run)
{
    RealmMigrationLimits limits;
    g_autofree void *buf = NULL;

    note_phase(run);
    check_phase();
    if (ops->phase() == REALM_PHASE_HERE) {
        g_assert_true(double_machine_run(&error_abort));
        return;
    }
    if (!realm_phase_offered(ops->phase())) {
        return;
    }
    ops->migration_limits(&limits);
    buf = g_malloc(limits.max_blob);
    g_assert_cmpint(ops->import_abort(buf, &error_abort), >, 0);
    check_phase();
    g_assert_false(ops->commit(NULL));
    g_assert_false(double_machine_run(NULL));
}

static bool destination(const Run *run, Error **errp)
{
    if (!create(run, true, errp)) {
        return false;
    }
    if (!import_realm(errp)) {
        check_gives_back(run);
        return false;
    }
    return double_machine_run(errp) && reads_pages(100, errp) &&
           reads_image(errp) && writes_pages(1000, errp) &&
           reads_pages(1000, errp);
}

bool run_destination(const Run *run, Error **errp)
{
    bool ok;

    agree(run);
    ok = destination(run, errp);
    destroy();
    tell_only(END);
    return ok;
}

/* ---- The other side ---- */

static const Run servants = { .kernel = "v10", .page_size = 4 * KiB };
static bool servant_exists;

static GBytes *be_source(void)
{
    uint8_t nonce[REALM_NONCE_SIZE];

    g_assert_true(create(&servants, false, &error_abort));
    g_assert_true(start_source(&error_abort));
    g_assert_true(ops->prepare_migration(nonce, &error_abort));
    return g_bytes_new(nonce, sizeof(nonce));
}

static GBytes *export_here(GBytes *offer)
{
    Round r = round_new();
    GBytes *records;

    g_assert_true(export_realm(&r, offer, &error_abort));
    records = g_bytes_new(r.records->data, r.records->len);
    round_free(&r);
    return records;
}

static GBytes *be_destination(GBytes *nonce)
{
    g_assert_true(create(&servants, true, &error_abort));
    return make_offer(nonce, &error_abort);
}

static GBytes *commit_here(void)
{
    g_assert_true(ops->commit(&error_abort));
    return make_reply(ops->import_receipt, &error_abort);
}

static GBytes *obey(Order order, GBytes *blob)
{
    switch (order) {
    case BE_SOURCE:
    case BE_DESTINATION:
        servant_exists = true;
        return order == BE_SOURCE ? be_source() : be_destination(blob);
    case EXPORT:
        return export_here(blob);
    case HAND_OVER:
        return start_token(blob, &error_abort);
    case TAKE_RECEIPT:
        g_assert_true(finish(blob, &error_abort));
        break;
    case IMPORT:
        g_assert_true(import_all(blob, &error_abort));
        break;
    case SAY_READY:
        return make_reply(ops->import_ready, &error_abort);
    case COMMIT:
        return commit_here();
    case END:
        if (servant_exists) {
            destroy();
        }
        servant_exists = false;
        break;
    }
    return g_bytes_new(NULL, 0);
}

static void serve(int fd)
{
    uint8_t order;

    while (receive_all(fd, &order, 1)) {
        g_autoptr(GBytes) blob = receive_bytes(fd);
        g_autoptr(GBytes) answer = obey(order, blob);

        send_bytes(fd, g_bytes_get_data(answer, NULL),
                   g_bytes_get_size(answer));
    }
}

void runs_init(void)
{
    int sockets[2];

    signal(SIGPIPE, SIG_IGN);           /* send_all notices that it died */
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), ==, 0);
    terms = mmap(NULL, sizeof(*terms), PROT_READ | PROT_WRITE,
                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    g_assert_true(terms != MAP_FAILED);
    /*
     * The RCU thread of QEMU is starting, and may hold a lock of the allocator.
     * A child would inherit the lock and wait for it forever.
     */
    drain_call_rcu();
    servant_pid = fork();
    if (servant_pid == 0) {
        close(sockets[0]);
        serve(sockets[1]);
        _exit(0);
    }
    close(sockets[1]);
    servant = sockets[0];
}

void runs_end(void)
{
    int status;

    close(servant);
    munmap(terms, sizeof(*terms));
    g_assert_cmpint(waitpid(servant_pid, &status, 0), ==, servant_pid);
    g_assert_cmpint(status, ==, 0);
}

/* ---- What is left of a run ---- */

typedef struct Left {
    unsigned descriptors, mappings;
    size_t bytes;
} Left;

static unsigned count_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned n = 0;

    while (readdir(dir)) {
        n++;
    }
    closedir(dir);
    return n;
}

/* Count lines, with a buffer that is not in the heap. */
static unsigned count_mappings(void)
{
    static char buf[256 * KiB];
    int fd = open("/proc/self/maps", O_RDONLY);
    unsigned n = 0;
    ssize_t got;

    while ((got = read(fd, buf, sizeof(buf))) > 0) {
        for (ssize_t i = 0; i < got; i++) {
            n += buf[i] == '\n' && (i == 0 || buf[i - 1] != ']');
        }
    }
    close(fd);
    return n;
}

/* First wait for QEMU to free what it frees by RCU. */
static Left count_left(void)
{
    drain_call_rcu();
    return (Left) { count_descriptors(), count_mappings(),
                    mallinfo2().uordblks };
}

/*
 * malloc keeps chunks that a thread has freed in a cache of that thread, up to
 * seven of each size, and reports them as in use.  What the cache holds
 * depends on the order of calls, so growth of several KiB means nothing.
 */
static void check_measure(void)
{
    const char *tunables = getenv("GLIBC_TUNABLES");

    if (!tunables || !strstr(tunables, "glibc.malloc.tcache_count=0")) {
        g_error("run this test with GLIBC_TUNABLES="
                "glibc.malloc.tcache_count=0, as meson does");
    }
}

bool run_counted(const Run *run, bool count, Error **errp)
{
    static char text[1024];     /* not in the heap, which is counted */
    Error *err = NULL;
    Left before = count_left(), after;
    bool ok = run->go(run, &err);

    pstrcpy(text, sizeof(text), err ? error_get_pretty(err) : "");
    error_free(err);
    after = count_left();
    if (count) {
        check_measure();
        g_assert_cmpuint(after.descriptors, ==, before.descriptors);
        g_assert_cmpuint(after.mappings, <=, before.mappings);
        g_assert_cmpuint(after.bytes, <=, before.bytes);
    }
    if (!ok) {
        g_assert_true(*text);
        error_setg(errp, "%s", text);
    }
    return ok;
}
