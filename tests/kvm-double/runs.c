/*
 * Three runs of a Realm, for tests that change the answers of the kernel
 *
 * Purpose: see runs.h.  The other side of a migration is a process of its own
 * and has no hooks.  It answers an offer with all records of a migration.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <dirent.h>
#include <malloc.h>
#include <sys/wait.h>
#include "qapi/error.h"
#include "qemu/bitmap.h"
#include "qemu/cutils.h"
#include "qemu/rcu.h"
#include "qemu/units.h"
#include "accel/kvm/realm/realm-kvm.h"
#include "system/realm-kvm.h"
#include "runs.h"

#define BASE            (1 * GiB)       /* of RAM */
#define PRIVATE         (BASE + 0x100000)
#define SHARED          (BASE + 0x180000)
#define SHARED_SIZE     (64 * KiB)
#define NUM_PAGES       8               /* that the guest writes to */

static int servant;                     /* socket */
static pid_t servant_pid;
static const RealmBackendOps *ops;

/* Without this, the pauses before ioctls are repeated would add up. */
void __wrap_g_usleep(gulong microseconds);
void __wrap_g_usleep(gulong microseconds)
{
}

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
    m.config.measurement_algorithm = RME_GUEST_MEASUREMENT_ALGORITHM_SHA512;
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
    bool ok = create(run, false, errp) && live(errp) && stop_and_cont(errp);

    destroy();
    return ok;
}

/* ---- Records ---- */

typedef struct Records {
    GPtrArray *blobs;           /* of GBytes */
    GArray *are_memory;         /* of bool */
} Records;

static Records records_new(void)
{
    return (Records) {
        g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref),
        g_array_new(false, false, sizeof(bool)),
    };
}

static void records_free(Records *r)
{
    g_ptr_array_unref(r->blobs);
    g_array_unref(r->are_memory);
}

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

    if (!receive_all(fd, &size, sizeof(size))) {
        return NULL;
    }
    buf = g_malloc(size);
    g_assert_true(receive_all(fd, buf, size));
    return g_bytes_new_take(buf, size);
}

/* ---- A source ---- */

typedef struct Round {
    unsigned long *pages;
    uint8_t *buf;
    Records *records;
} Round;

/* Keep the record in the buffer; @size is 0 without one, or -1: an error. */
static bool add_record(Round *r, bool memory, ssize_t size)
{
    if (size > 0) {
        g_ptr_array_add(r->records->blobs, g_bytes_new(r->buf, size));
        g_array_append_val(r->records->are_memory, memory);
    }
    return size >= 0;
}

static bool collect_dirty(Round *r, Error **errp)
{
    return ops->collect_dirty(r->pages, errp) >= 0;
}

/* Export all pages of the round, a few in each bundle. */
static bool export_pages(Round *r, bool *any, Error **errp)
{
    uint64_t num = double_default_config.ram_size / REALM_PAGE_SIZE;
    uint64_t list[4], at = 0;

    for (*any = false;;) {
        unsigned n = 0, exported = 0;
        ssize_t size;

        while (n < ARRAY_SIZE(list) &&
               (at = find_next_bit(r->pages, num, at)) < num) {
            list[n++] = at++;
        }
        if (!n) {
            return true;
        }
        size = ops->export_memory(list, n, r->buf, &exported, errp);
        if (!add_record(r, true, size)) {
            return false;
        }
        *any |= size > 0;
    }
}

static bool round_of(Round *r, Error **errp)
{
    bool any;

    return export_pages(r, &any, errp) &&
           (!any || add_record(r, false, ops->export_epoch(r->buf, errp))) &&
           collect_dirty(r, errp);
}

static bool export_states(Round *r, Error **errp)
{
    ssize_t size;
    unsigned part = 0;

    do {
        size = ops->export_state(part++, r->buf, errp);
        if (!add_record(r, false, size)) {
            return false;
        }
    } while (size > 0);
    return true;
}

static bool last_round(Round *r, Error **errp)
{
    bool any;

    double_machine_stop();
    return realm_kvm_sync_shared(errp) && ops->pause(errp) &&
           round_of(r, errp) && export_pages(r, &any, errp) &&
           export_states(r, errp) &&
           add_record(r, false, ops->export_start(r->buf, errp));
}

/* QEMU learns of @pages shared pages that were written, and of no others. */
static bool sync_shared(unsigned pages, Error **errp)
{
    if (!realm_kvm_sync_shared(errp)) {
        return false;
    }
    g_assert_cmpuint(double_take_shared_written(SHARED, SHARED_SIZE), ==,
                     pages);
    return true;
}

static bool export_realm(Round *r, GBytes *offer, Error **errp)
{
    return ops->accept(g_bytes_get_data(offer, NULL), g_bytes_get_size(offer),
                       errp) &&
           add_record(r, false, ops->export_begin(r->buf, errp)) &&
           collect_dirty(r, errp) && round_of(r, errp) &&
           writes_pages(100, errp) &&
           writes(alias(SHARED), 70, errp) && sync_shared(1, errp) &&
           sync_shared(0, errp) && round_of(r, errp) &&
           writes(page_at(0), 100, errp) && last_round(r, errp);
}

/* Offers of destinations that will never get a Realm. */
static GBytes *the_offer, *the_other_offer;

/* Start a migration and give it up.  The other side's process does not. */
static bool gives_up(Round *r, Error **errp)
{
    GBytes *offer = the_other_offer;

    if (!offer) {
        return true;
    }
    if (!ops->accept(g_bytes_get_data(offer, NULL), g_bytes_get_size(offer),
                     errp) ||
        ops->export_begin(r->buf, errp) < 0) {
        return false;
    }
    double_machine_stop();
    return ops->pause(errp) && ops->export_abort(errp) &&
           double_machine_run(errp);
}

static bool start_source(Error **errp)
{
    return double_machine_run(errp) && writes_pages(1, errp) &&
           shares(true, errp) && writes(alias(SHARED), 7, errp);
}

/* Write tags of shared pages and read them back. */
static bool copies_tags(Error **errp)
{
    uint8_t tags[3 * 128], back[3 * 128];

    for (size_t i = 0; i < sizeof(tags); i++) {
        tags[i] = i * 7;
    }
    if (!realm_kvm_copy_tags(SHARED, 3, tags, true, errp) ||
        !realm_kvm_copy_tags(SHARED, 3, back, false, errp)) {
        return false;
    }
    g_assert_cmpmem(tags, sizeof(tags), back, sizeof(back));
    return true;
}

static Round round_new(Records *records)
{
    RealmMigrationLimits limits;

    ops->migration_limits(&limits);
    return (Round) {
        .pages = bitmap_new(double_default_config.ram_size / REALM_PAGE_SIZE),
        .buf = g_malloc(limits.max_blob), .records = records,
    };
}

static void round_free(Round *r)
{
    g_free(r->pages);
    g_free(r->buf);
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

/* The migration has failed: the Realm runs on, or the destination has it. */
static void check_runs_on(void)
{
    uint64_t value = 0, more = 0x55;

    double_set_hook(NULL, NULL);
    check_phase();
    if (ops->phase() == REALM_PHASE_NEW) {
        return;
    }
    if (ops->phase() == REALM_PHASE_SEALED ||
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

static bool source(const Run *run, GBytes *offer, Records *records,
                   Error **errp)
{
    bool ok = create(run, false, errp);

    if (ok) {
        Round r = round_new(records);

        ok = start_source(errp) && copies_tags(errp) && gives_up(&r, errp) &&
             export_realm(&r, offer, errp);
        round_free(&r);
    }
    if (!ok && realm_kvm.config) {
        check_runs_on();
    }
    destroy();
    return ok;
}

bool run_source(const Run *run, Error **errp)
{
    Records records = records_new();
    bool ok = source(run, the_offer, &records, errp);

    records_free(&records);
    return ok;
}

/* ---- A destination ---- */

static GBytes *make_offer(Error **errp)
{
    RealmMigrationLimits limits;
    g_autofree void *buf = NULL;
    ssize_t size;

    ops->migration_limits(&limits);
    buf = g_malloc(limits.max_blob);
    size = ops->offer(buf, errp);
    return size > 0 ? g_bytes_new(buf, size) : NULL;
}

static bool import_record(bool memory, GBytes *blob, Error **errp)
{
    unsigned pages = 0;
    const void *data = g_bytes_get_data(blob, NULL);
    size_t size = g_bytes_get_size(blob);

    return memory ? ops->import_memory(data, size, &pages, errp)
                  : ops->import(data, size, errp);
}

/* Import the other side's answer to @offer.  After an error, only read it. */
static bool import_all(GBytes *offer, Error **errp)
{
    uint32_t n;
    bool memory, ok = true;

    send_bytes(servant, g_bytes_get_data(offer, NULL),
               g_bytes_get_size(offer));
    g_assert_true(receive_all(servant, &n, sizeof(n)));
    while (n--) {
        g_autoptr(GBytes) blob = NULL;

        g_assert_true(receive_all(servant, &memory, sizeof(memory)));
        blob = receive_bytes(servant);
        ok = ok && import_record(memory, blob, errp);
    }
    return ok;
}

/* If the kernel has committed in spite of the error, the Realm runs here. */
static void check_gives_back(void)
{
    RealmMigrationLimits limits;
    g_autofree void *buf = NULL;

    double_set_hook(NULL, NULL);
    check_phase();
    if (ops->phase() == REALM_PHASE_HERE) {
        g_assert_true(double_machine_run(&error_abort));
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
    g_autoptr(GBytes) offer = NULL;

    if (!create(run, true, errp) || !(offer = make_offer(errp))) {
        return false;
    }
    if (!import_all(offer, errp)) {
        check_gives_back();
        return false;
    }
    if (!ops->commit(errp)) {
        check_gives_back();
        return false;
    }
    return double_machine_run(errp) && reads_pages(100, errp) &&
           reads_image(errp) && writes_pages(1000, errp) &&
           reads_pages(1000, errp);
}

bool run_destination(const Run *run, Error **errp)
{
    bool ok = destination(run, errp);

    destroy();
    return ok;
}

/* ---- The other side ---- */

static void serve(int fd)
{
    const Run run = { .kernel = "v10", .page_size = 4 * KiB };
    GBytes *offer;

    while ((offer = receive_bytes(fd))) {
        Records r = records_new();
        uint32_t n;

        g_assert_true(source(&run, offer, &r, &error_abort));
        n = r.blobs->len;
        send_all(fd, &n, sizeof(n));
        for (uint32_t i = 0; i < n; i++) {
            GBytes *blob = g_ptr_array_index(r.blobs, i);

            send_all(fd, &g_array_index(r.are_memory, bool, i), sizeof(bool));
            send_bytes(fd, g_bytes_get_data(blob, NULL),
                       g_bytes_get_size(blob));
        }
        records_free(&r);
        g_bytes_unref(offer);
    }
}

static GBytes *keep_offer(void)
{
    const Run run = { .kernel = "v10", .page_size = 4 * KiB };
    GBytes *offer;

    g_assert_true(create(&run, true, &error_abort));
    offer = make_offer(&error_abort);
    destroy();
    return offer;
}

void runs_init(void)
{
    int sockets[2];

    signal(SIGPIPE, SIG_IGN);           /* send_all notices that it died */
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), ==, 0);
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
    the_offer = keep_offer();
    the_other_offer = keep_offer();
}

void runs_end(void)
{
    int status;

    close(servant);
    g_assert_cmpint(waitpid(servant_pid, &status, 0), ==, servant_pid);
    g_assert_cmpint(status, ==, 0);
    g_bytes_unref(the_offer);
    g_bytes_unref(the_other_offer);
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
