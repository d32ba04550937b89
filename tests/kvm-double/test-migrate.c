/*
 * Realms that migrate from one kernel to another
 *
 * Purpose: run migration/realm/ and the KVM backend on two stand-in kernels, in
 * two processes with a socket between them.  The guest writes to private and
 * shared memory, and to tags, while it migrates.  In the end the destination
 * has to have all of it, or the source has to have its Realm back.
 *
 * The stream has a byte before each piece, as QEMU's has a header.  Pieces are:
 * devices of the setup, a part of the "realm" section, a page of shared RAM
 * (instead of QEMU's "ram" section), devices, the end.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <sys/wait.h>
#include <linux/kvm.h>
#include <linux/kvm-cc-migration.h>
#include "qapi/error.h"
#include "qemu/bswap.h"
#include "qemu/cutils.h"
#include "qemu/module.h"
#include "qemu/sockets.h"
#include "qemu/units.h"
#include "io/channel-socket.h"
#include "migration/migration.h"
#include "migration/migration-stats.h"
#include "migration/realm.h"
#include "migration/realm/realm-migration.h"
#include "system/page-tags-kvm.h"
#include "system/realm-kvm.h"
#include "target/arm/rmm/rmm-abi.h"
#include "tests/unit/realm/fake-migration.h"
#include "accel/kvm/realm/realm-kvm.h"
#include "double.h"

#define LIMIT_SECONDS   60
#define PAGES           64              /* that the guest uses */
#define FIRST_PAGE      0x100000        /* in RAM */
#define SHARED_PAGES    16              /* the last of them */
#define ROUNDS          3
#define LAST_WRITTEN    3               /* a private page */
#define DEVICE          0x09000000      /* no slot has it */
#define DEVICE_VALUE    0x1122334455667788
#define DEVICE_REG      16              /* that the double's guest reads to */
#define PART_RATE       (100 * KiB)     /* bytes a part of the section */
#define LARGE_RAM       (32 * MiB)      /* the RMM goes through it in pieces */
#define TABLE_SIZE      (2 * MiB)       /* memory of a table of pages */

enum { SETUP = 's', PART = 'p', SHARED = 'r', DEVICES = 'd', END = 'e' };

typedef enum Ending {
    ARRIVES,
    CANCELLED,                          /* before the start token */
    GIVEN_BACK,                         /* after it */
    DAMAGED,                            /* a bit of the stream */
    ENDINGS
} Ending;

typedef struct Case {
    const char *from, *to;
    size_t from_page, to_page;
    bool mte;
    Ending ending;
    uint64_t ram;                       /* 0: that of double.h */
    bool taken;                         /* a page that came, by the host */
} Case;

static const RealmBackendOps *ops;
static Case now;
static int wire;                        /* to the other process */

/* What the guest wrote last to each page; both sides know it in the end. */
static uint32_t version[PAGES];

/* Some pages are private in the first rounds, and then shared. */
static unsigned first_shared = PAGES - SHARED_PAGES;

static bool is_shared(unsigned page)
{
    return page >= first_shared;
}

static uint64_t page_ipa(unsigned page)
{
    return double_default_config.ram_base + FIRST_PAGE +
           page * REALM_PAGE_SIZE + (is_shared(page) ? double_shared_bit() : 0);
}

static void fill(unsigned page, uint8_t buf[REALM_PAGE_SIZE])
{
    for (size_t i = 0; i < REALM_PAGE_SIZE; i++) {
        buf[i] = page * 31 + version[page] * 101 + i * (page + 1);
    }
}

static void fill_tags(unsigned page, uint8_t tags[128])
{
    memset(tags, page * 16 + version[page] % 16, 128);
}

/* Steps that took more than one call, by number. */
static unsigned pieces[KVM_CC_GIVE_UP + 1];

static void count_pieces(DoubleCall *call, bool after, void *unused)
{
    const struct kvm_cc_migrate *args = call->arg;

    if (after && call->request == (uint32_t)KVM_CC_MIGRATE &&
        args->flags & KVM_CC_MORE) {
        pieces[args->step]++;
    }
}

/* ---- The guest ---- */

static void guest_writes(unsigned page)
{
    uint8_t buf[REALM_PAGE_SIZE], tags[128];

    version[page]++;
    fill(page, buf);
    g_assert_cmpint(double_guest_write(0, page_ipa(page), buf, sizeof(buf),
                                       &error_abort), ==, DOUBLE_DONE);
    if (now.mte) {
        fill_tags(page, tags);
        g_assert_cmpint(double_guest_write_tags(0, page_ipa(page), tags,
                                                &error_abort), ==,
                        DOUBLE_DONE);
    }
}

/* Share pages, as Linux does for its bounce buffers. */
static void guest_shares(unsigned first)
{
    uint64_t base;

    first_shared = first;
    base = page_ipa(first) & ~double_shared_bit();

    g_assert_cmpint(double_guest_set_ripas(0, base,
                                           SHARED_PAGES * REALM_PAGE_SIZE,
                                           false, &error_abort), ==,
                    DOUBLE_DONE);
}

static uint64_t ram_size(void)
{
    return now.ram ?: double_default_config.ram_size;
}

/* Word by word, so that each has a table, or in the newest kernel a block. */
static void guest_writes_large_ram(void)
{
    for (uint64_t at = 0; at < ram_size(); at += TABLE_SIZE) {
        g_assert_cmpint(double_guest_write(0, double_default_config.ram_base +
                                           at, &at, sizeof(at), &error_abort),
                        ==, DOUBLE_DONE);
    }
}

static void check_large_ram(void)
{
    for (uint64_t at = 0, found; at < ram_size(); at += TABLE_SIZE) {
        g_assert_cmpint(double_guest_read(0, double_default_config.ram_base +
                                          at, &found, sizeof(found),
                                          &error_abort), ==, DOUBLE_DONE);
        g_assert_cmphex(found, ==, at);
    }
}

static void stop_at_mmio(DoubleCall *call, bool after, void *unused)
{
    if (after && call->request == KVM_RUN &&
        first_cpu->kvm_run->exit_reason == KVM_EXIT_MMIO) {
        call->ret = -EIO;
    }
}

/* QEMU emulates a read, and the vCPU stops before it goes on. */
static void guest_reads_device(void)
{
    uint64_t ipa = DEVICE | double_shared_bit(), value;
    Error *err = NULL;

    double_set_hook(stop_at_mmio, NULL);
    g_assert_cmpint(double_guest_read(0, ipa, &value, sizeof(value), &err), ==,
                    DOUBLE_EXIT);
    double_set_hook(now.ram ? count_pieces : NULL, NULL);
    error_free(err);
    g_assert_cmpint(first_cpu->kvm_run->exit_reason, ==, KVM_EXIT_MMIO);
    stq_le_p(first_cpu->kvm_run->mmio.data, DEVICE_VALUE);
}

/* The vCPU goes on with what was read on the source. */
static void check_device_value(void)
{
    uint64_t value;

    g_assert_cmpint(double_guest_get_register(0, DEVICE_REG, &value,
                                              &error_abort), ==, DOUBLE_DONE);
    g_assert_cmphex(value, ==, DEVICE_VALUE);
}

static void guest_starts(void)
{
    guest_shares(PAGES - SHARED_PAGES);
    guest_writes_large_ram();
    for (unsigned page = 0; page < PAGES - 1; page++) {
        guest_writes(page);
    }
    g_assert_cmpint(double_guest_set_register(0, 19, 0x1919, &error_abort), ==,
                    DOUBLE_DONE);
    g_assert_cmpint(double_guest_cpu_on(0, 1, 0x40001000, &error_abort), ==,
                    DOUBLE_DONE);
    g_assert_cmpint(double_guest_set_register(1, 20, 0x2020, &error_abort), ==,
                    DOUBLE_DONE);
}

static void check_guest(void)
{
    uint8_t buf[REALM_PAGE_SIZE], want[REALM_PAGE_SIZE], tags[128];
    uint64_t value;

    for (unsigned page = 0; page < PAGES; page++) {
        g_assert_cmpint(double_guest_read(0, page_ipa(page), buf, sizeof(buf),
                                          &error_abort), ==, DOUBLE_DONE);
        if (version[page]) {
            fill(page, want);
            g_assert_cmpmem(buf, sizeof(buf), want, sizeof(want));
        } else {
            g_assert_true(buffer_is_zero(buf, sizeof(buf)));
        }
        if (now.mte && version[page]) {
            fill_tags(page, want);
            g_assert_cmpint(double_guest_read_tags(0, page_ipa(page), tags,
                                                   &error_abort), ==,
                            DOUBLE_DONE);
            g_assert_cmpmem(tags, sizeof(tags), want, sizeof(tags));
        }
    }
    check_large_ram();
    g_assert_cmpint(double_guest_get_register(0, 19, &value, &error_abort),
                    ==, DOUBLE_DONE);
    g_assert_cmphex(value, ==, 0x1919);
    g_assert_cmpint(double_guest_get_register(1, 20, &value, &error_abort),
                    ==, DOUBLE_DONE);
    g_assert_cmphex(value, ==, 0x2020);
}

/* ---- The wire beside the stream ---- */

static void put(const void *buf, size_t size)
{
    g_assert_cmpint(qemu_write_full(wire, buf, size), ==, size);
}

static void get(void *buf, size_t size)
{
    uint8_t *to = buf;

    while (size) {
        ssize_t n = read(wire, to, size);

        g_assert_cmpint(n, >, 0);
        to += n;
        size -= n;
    }
}

static void put_blob(const void *buf, uint32_t size)
{
    put(&size, sizeof(size));
    put(buf, size);
}

static void *get_blob(uint32_t *size)
{
    void *buf;

    get(size, sizeof(*size));
    buf = g_malloc(*size);
    get(buf, *size);
    return buf;
}

/* ---- Both sides ---- */

/* In the second generation each has one algorithm: set it for the first. */
static RealmConfig make_config(const char *kernel)
{
    RealmConfig config = double_default_config;
    const DoubleFlavour *from = double_flavour(now.from);
    const DoubleFlavour *fixed = from->rme ? double_flavour(now.to) : from;

    config.migration = true;
    config.mte = now.mte;
    config.ram_size = ram_size();
    config.measurement_algorithm = fixed->hash_algo == RMI_HASH_SHA_512
        ? RME_GUEST_MEASUREMENT_ALGORITHM_SHA512
        : RME_GUEST_MEASUREMENT_ALGORITHM_SHA256;
    config.has_measurement_algorithm = double_flavour(kernel)->rme;
    return config;
}

static void side_start(const char *kernel, size_t page, bool incoming)
{
    static DoubleMachineOptions m;
    DoubleOptions options = { kernel, page, .migration = true,
                              .mte = now.mte };

    alarm(LIMIT_SECONDS);
    realm_start_base_ms = LIMIT_SECONDS * 1000 / 2;
    fake_migration.footers = true;
    double_start(&options);
    double_set_hook(now.ram ? count_pieces : NULL, NULL);
    m.config = make_config(kernel);
    m.incoming = incoming;
    m.images[0] = (DoubleImage) { 0, 0x3000 };
    ops = realm_kvm_backend();
    realm_backend_set(ops, &m.config);
    g_assert_true(double_machine_create(&m, &error_abort));
    realm_migration_init();
}

static void side_end(void)
{
    double_machine_destroy();
    double_stop();
    close(wire);
}

static QIOChannel *channel(void)
{
    return QIO_CHANNEL(qio_channel_socket_new_fd(dup(wire), &error_abort));
}

/* ---- Source ---- */

static const SaveVMHandlers *handlers(void)
{
    return fake_migration.handlers;
}

/* What the destination sends on QEMU's return path: type, size, record. */
static void take_message(void)
{
    uint8_t message[4 + REALM_MAX_REPLY];
    unsigned size;

    get(message, 4);
    size = lduw_be_p(message + 2);
    g_assert_cmpuint(size, <=, REALM_MAX_REPLY);
    get(message + 4, size);
    g_assert_true(fake_migration_message(message, 4 + size));
}

/*
 * If this connection ends, it is an error, as it is for the thread that reads
 * QEMU's return path.
 */
static void look_for_answer(void)
{
    char byte;
    ssize_t n = recv(wire, &byte, 1, MSG_DONTWAIT | MSG_PEEK);

    if (n == 1) {
        take_message();
    } else if ((n == 0 || errno != EAGAIN) && !fake_migration.error) {
        fake_migration.error = g_strdup("the destination has gone");
    }
}

static void accept_offer(void)
{
    uint8_t nonce[REALM_NONCE_SIZE];
    g_autofree void *offer = NULL;
    uint32_t size;

    g_assert_true(ops->prepare_migration(nonce, &error_abort));
    put(nonce, sizeof(nonce));
    offer = get_blob(&size);
    g_assert_true(ops->accept(offer, size, &error_abort));
}

/* The tags of one page; the kernel copies those of whole host pages. */
static void copy_tags(uint64_t gpa, uint8_t tags[128], bool to_guest)
{
    static uint8_t buffer[64 * KiB / 16], all[64 * KiB / 32];
    const uint64_t size = qemu_real_host_page_size();
    uint64_t base = ROUND_DOWN(gpa, size);
    uint8_t *mine = all + (gpa - base) / 32;

    g_assert_true(kvm_arm_copy_tags(base, size / KVM_TAGS_PAGE, all, false,
                                    buffer, &error_abort));
    memcpy(to_guest ? mine : tags, to_guest ? tags : mine, 128);
    if (to_guest) {
        g_assert_true(kvm_arm_copy_tags(base, size / KVM_TAGS_PAGE, all, true,
                                        buffer, &error_abort));
    }
}

/* Send a page with its tags, as QEMU's "ram" section would. */
static void send_shared(QEMUFile *f, uint64_t offset)
{
    uint64_t gpa = double_default_config.ram_base + offset;
    uint8_t tags[128];

    qemu_put_byte(f, SHARED);
    qemu_put_be64(f, offset);
    qemu_put_buffer(f, double_shared(gpa, REALM_PAGE_SIZE), REALM_PAGE_SIZE);
    if (now.mte) {
        copy_tags(gpa, tags, false);
        qemu_put_buffer(f, tags, sizeof(tags));
    }
}

/* What is private in place is never sent (system/realm/shared-ram.c). */
static bool is_sent(uint64_t gpa)
{
    return !realm_kvm_in_place() || double_lent(gpa, REALM_PAGE_SIZE);
}

/* Send the shared pages that were written since the last time; first all. */
static unsigned sync_shared(QEMUFile *f, bool first)
{
    const RealmConfig *config = &double_default_config;
    unsigned sent = 0;

    g_assert_true(first ? double_log_shared(true, &error_abort)
                        : double_sync_shared(&error_abort));
    for (uint64_t at = 0; at < config->ram_size; at += REALM_PAGE_SIZE) {
        bool written = double_take_shared_written(config->ram_base + at,
                                                  REALM_PAGE_SIZE);

        if ((written || first) && is_sent(config->ram_base + at)) {
            send_shared(f, at);
            sent++;
        }
    }
    return sent;
}

static bool iterate(QEMUFile *f)
{
    qemu_put_byte(f, PART);
    migration_rate_set(PART_RATE * 10);         /* a second */
    migration_rate_reset();
    return handlers()->save_live_iterate(f, NULL) >= 0;
}

static uint64_t pending(void)
{
    uint64_t precopy = 0, postcopy = 0;

    handlers()->state_pending_exact(NULL, &precopy, &postcopy);
    return precopy;
}

static void setup(QEMUFile *f)
{
    qemu_put_byte(f, SETUP);
    g_assert_true(fake_migration_save(f, true));
    qemu_put_byte(f, PART);
    g_assert_cmpint(handlers()->save_prepare(NULL, &error_abort), ==, 0);
    g_assert_cmpint(handlers()->save_setup(f, NULL, &error_abort), ==, 0);
    sync_shared(f, true);
}

/* The pages travelled as private ones.  They are written by a new address. */
static void guest_shares_more(void)
{
    guest_shares(PAGES - 2 * SHARED_PAGES);
    for (unsigned page = PAGES - 2 * SHARED_PAGES;
         page < PAGES - SHARED_PAGES; page++) {
        guest_writes(page);
    }
}

/* Write fewer pages each time.  Returns false if the destination has gone. */
static bool rounds(QEMUFile *f)
{
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned page = round; page < PAGES; page += 1 << (round + 1)) {
            guest_writes(page);
        }
        if (round == 1) {
            guest_shares_more();
        }
        if (!iterate(f)) {
            return false;
        }
        sync_shared(f, false);
        pending();
    }
    return true;
}

static bool complete(QEMUFile *f)
{
    guest_writes(LAST_WRITTEN);
    guest_writes(PAGES - 1);            /* for the first time */
    guest_writes(PAGES - 2);
    guest_reads_device();
    double_machine_stop();
    g_assert_cmpuint(sync_shared(f, false), ==,
                     MAX(2, qemu_real_host_page_size() / REALM_PAGE_SIZE));
    qemu_put_byte(f, PART);
    if (handlers()->save_live_complete_precopy(f, NULL)) {
        return false;
    }
    qemu_put_byte(f, DEVICES);
    return fake_migration_save(f, false);
}

static void finish(QEMUFile *f, bool ok)
{
    fake_migration_state(ok ? MIGRATION_STATUS_COMPLETED
                            : MIGRATION_STATUS_CANCELLED, NULL);
    handlers()->save_cleanup(NULL);
}

/* The machine may have been stopped, so start it first. */
static void runs_on(void)
{
    g_assert_true(double_machine_run(&error_abort));
    check_guest();
    guest_writes(0);
    check_guest();
}

static void check_does_not_run(const char *why)
{
    Error *err = NULL;
    uint8_t byte;

    g_assert_false(double_machine_run(&err));
    g_assert_nonnull(strstr(error_get_pretty(err), why));
    g_clear_pointer(&err, error_free);
    g_assert_cmpint(double_guest_read(0, page_ipa(0), &byte, 1, &err), ==,
                    DOUBLE_EXIT);
    error_free(err);
}

static void check_gone(void)
{
    g_assert_cmpint(ops->phase(), ==, REALM_PHASE_GONE);
    check_does_not_run("it runs on the destination");
    g_assert_true(!now.ram || pieces[KVM_CC_FINISH]);
}

static void take_back(void)
{
    uint32_t size;
    g_autofree void *token = get_blob(&size);

    g_assert_cmpint(ops->phase(), ==, REALM_PHASE_SEALED);
    check_does_not_run("it has left");
    g_assert_true(ops->export_resume(token, size, &error_abort));
    g_assert_cmpint(ops->phase(), ==, REALM_PHASE_HERE);
}

/* It depends on timing how far the source comes before it notices damage. */
static void source_ends(QEMUFile *f, bool ok)
{
    ok = ok && complete(f);
    if (ok) {
        qemu_put_byte(f, END);
        qemu_put_buffer(f, (uint8_t *)version, sizeof(version));
        qemu_fflush(f);
    }
    if (ok && now.ending == ARRIVES) {
        take_message();
    }
    finish(f, ok);
    if (now.ending == DAMAGED) {
        shutdown(wire, SHUT_WR);
        g_assert_false(ok);
        runs_on();
        return;
    }
    g_assert_true(ok);
    if (now.ending == GIVEN_BACK) {
        take_back();
        g_assert_true(double_machine_run(&error_abort));
        check_device_value();
        runs_on();
    } else {
        check_gone();
    }
}

static void source_side(void)
{
    QIOChannel *ioc;
    QEMUFile *f;
    bool ok;

    side_start(now.from, now.from_page, false);
    fake_migration.meanwhile = look_for_answer;
    g_assert_true(double_machine_run(&error_abort));
    guest_starts();
    accept_offer();
    ioc = channel();
    f = qemu_file_new_output(ioc);
    fake_migration_state(MIGRATION_STATUS_ACTIVE, f);
    setup(f);
    ok = rounds(f);
    g_assert_true(ok || now.ending == DAMAGED);
    if (now.ending == CANCELLED) {
        qemu_fflush(f);
        finish(f, false);
        check_guest();
        guest_writes(1);
        check_guest();
        shutdown(wire, SHUT_WR);
    } else {
        source_ends(f, ok);
    }
    qemu_fclose(f);
    object_unref(OBJECT(ioc));
    side_end();
}

/* ---- Destination ---- */

static void make_offer(void)
{
    uint8_t nonce[REALM_NONCE_SIZE];
    RealmMigrationLimits limits;
    g_autofree void *buf = NULL;
    ssize_t size;

    get(nonce, sizeof(nonce));
    ops->migration_limits(&limits);
    buf = g_malloc(limits.max_blob);
    size = ops->offer(nonce, buf, &error_abort);
    g_assert_cmpint(size, >, 0);
    put_blob(buf, size);
    g_assert_cmpuint(double_lent(double_default_config.ram_base, ram_size()),
                     ==, 0);
}

/*
 * A page comes that is private here: as in system/realm/shared-ram.c, it
 * becomes shared, unless zeros are all that comes.
 */
static bool receive(uint64_t gpa, const uint8_t page[REALM_PAGE_SIZE])
{
    uint64_t size = qemu_real_host_page_size();
    uint64_t base = ROUND_DOWN(gpa, size);

    if (is_sent(gpa)) {
        return true;
    }
    if (buffer_is_zero(page, REALM_PAGE_SIZE)) {
        return false;
    }
    g_assert_true(realm_kvm_convert_range(base, size, false, &error_abort));
    memset(double_shared(base, size), 0, size);
    return true;
}

static bool load_shared(QEMUFile *f)
{
    uint64_t offset = qemu_get_be64(f);
    uint64_t gpa = double_default_config.ram_base + offset;
    uint8_t page[REALM_PAGE_SIZE], tags[128];

    if (qemu_get_buffer(f, page, sizeof(page)) < sizeof(page) ||
        (now.mte && qemu_get_buffer(f, tags, sizeof(tags)) < sizeof(tags)) ||
        offset >= double_default_config.ram_size) {
        return false;
    }
    if (receive(gpa, page)) {
        memcpy(double_shared(gpa, sizeof(page)), page, sizeof(page));
        if (now.mte) {
            copy_tags(gpa, tags, true);
        }
    }
    return true;
}

/* Before the Realm runs, and takes what it wants. */
static void check_shared(void)
{
    uint8_t want[REALM_PAGE_SIZE];

    for (unsigned page = first_shared; page < PAGES; page++) {
        fill(page, want);
        g_assert_true(is_sent(page_ipa(page)));
        g_assert_cmpmem(double_shared(page_ipa(page), sizeof(want)),
                        sizeof(want), want, sizeof(want));
    }
}

/* Imports that were refused because a page was shared */
static unsigned not_private;

static void count_not_private(DoubleCall *call, bool after, void *unused)
{
    not_private += after && call->ret == -EADDRNOTAVAIL;
}

/* Before the last part, which has this page again. */
static void host_takes_page(void)
{
    double_set_hook(count_not_private, NULL);
    g_assert_true(realm_kvm_convert_range(page_ipa(LAST_WRITTEN),
                                          REALM_PAGE_SIZE, false,
                                          &error_abort));
}

/* Change a bit of a bundle, as if it had changed on the way. */
static void damage(DoubleCall *call, bool after, void *unused)
{
    if (!after && call->request == KVM_CC_IMPORT_PAGES) {
        struct kvm_cc_pages *args = call->arg;

        ((uint8_t *)(uintptr_t)args->blob)[args->blob_size / 2] ^= 1;
    }
}

/* Returns true if the whole stream was loaded. */
static bool load(QEMUFile *f)
{
    unsigned parts = 0;         /* before this one */

    for (;;) {
        switch (qemu_get_byte(f)) {
        case SETUP:
            if (!fake_migration_load(f, true, NULL)) {
                return false;
            }
            break;
        case PART:
            if (now.ending == DAMAGED && parts == 2) {
                double_set_hook(damage, NULL);
            }
            if (now.taken && parts == 1 + ROUNDS) {
                host_takes_page();
            }
            parts++;
            if (handlers()->load_state(f, NULL, REALM_SECTION_VERSION)) {
                return false;
            }
            break;
        case SHARED:
            if (!load_shared(f)) {
                return false;
            }
            break;
        case DEVICES:
            if (!fake_migration_load(f, false, NULL)) {
                return false;
            }
            break;
        case END:
            return qemu_get_buffer(f, (uint8_t *)version, sizeof(version)) ==
                   sizeof(version);
        default:
            return false;
        }
        if (qemu_file_get_error(f)) {
            return false;
        }
    }
}

/* The Realm is not here before the last piece. */
static void commit_a_piece(void)
{
    struct kvm_cc_migrate args = { .step = KVM_CC_COMMIT };

    g_assert_cmpint(kvm_vm_ioctl(kvm_state, KVM_CC_MIGRATE, &args), ==,
                    0);
    g_assert_cmphex(args.flags, ==, KVM_CC_MORE);
    g_assert_cmpstr(double_session(), ==, "importing");
    check_does_not_run("no migration has brought it");
}

/* Give up: the source gets the proof that this side will never run it. */
static void give_back(void)
{
    RealmMigrationLimits limits;
    g_autofree void *buf = NULL;
    ssize_t size;

    if (now.ram) {
        commit_a_piece();
    }
    ops->migration_limits(&limits);
    buf = g_malloc(limits.max_blob);
    size = ops->import_abort(buf, &error_abort);
    g_assert_cmpint(size, >, 0);
    put_blob(buf, size);
    g_assert_false(ops->commit(NULL));
}

static void destination_ends(bool loaded)
{
    if (now.ending == CANCELLED || now.ending == DAMAGED) {
        g_assert_false(loaded);
        fake_migration_load_end(false);
        check_does_not_run("no migration has brought it");
        return;
    }
    g_assert_true(loaded);
    if (now.ending == GIVEN_BACK) {
        give_back();
        fake_migration_load_end(false);
        check_does_not_run("no migration has brought it");
        return;
    }
    g_assert_true(fake_migration_load_end(true));
    first_shared = PAGES - 2 * SHARED_PAGES;
    check_shared();
    g_assert_cmpuint(not_private, ==, now.taken);
    if (now.ram) {
        g_assert_cmpuint(pieces[KVM_CC_READY], >, 0);
        g_assert_cmpuint(pieces[KVM_CC_COMMIT], >, 0);
    }
    g_assert_true(double_machine_run(&error_abort));
    check_device_value();
    check_guest();
    guest_writes(5);
    guest_writes(PAGES - 1);
    check_guest();
}

static void destination_side(void)
{
    QIOChannel *ioc;
    QEMUFile *f;
    bool loaded;

    side_start(now.to, now.to_page, true);
    check_does_not_run("no migration has brought it");
    make_offer();
    ioc = channel();
    fake_migration.back = qemu_file_new_output(ioc);
    f = qemu_file_new_input(ioc);
    fake_migration_load_begin(f);
    loaded = load(f);
    destination_ends(loaded);
    qemu_fclose(fake_migration.back);
    qemu_fclose(f);
    object_unref(OBJECT(ioc));
    side_end();
}

/* ---- The tests ---- */

static pid_t fork_side(void (*side)(void), int sockets[2], unsigned mine)
{
    pid_t pid = fork();

    if (pid == 0) {
        close(sockets[!mine]);
        wire = sockets[mine];
        side();
        _exit(0);
    }
    return pid;
}

static void check_exit(pid_t pid, const char *side)
{
    int status;

    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    if (status) {
        g_error("%s -> %s, pages of %zu and %zu: the %s has failed: %s",
                now.from, now.to, now.from_page, now.to_page, side,
                WIFSIGNALED(status) ? strsignal(WTERMSIG(status))
                                    : "see above");
    }
}

static void migrate(const Case *c)
{
    pid_t source, destination;
    int sockets[2];

    now = *c;
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), ==, 0);
    source = fork_side(source_side, sockets, 0);
    destination = fork_side(destination_side, sockets, 1);
    close(sockets[0]);
    close(sockets[1]);
    check_exit(source, "source");
    check_exit(destination, "destination");
}

static const size_t page_sizes[] = { 4 * KiB, 16 * KiB, 64 * KiB };

/* A destination with larger pages is refused: test-realm-section.c */
static void across_page_sizes(const char *from, const char *to)
{
    for (size_t i = 0; i < ARRAY_SIZE(page_sizes); i++) {
        for (size_t j = 0; j <= i; j++) {
            migrate(&(Case) { from, to, page_sizes[i], page_sizes[j],
                              .mte = i == j });
        }
    }
}

static void test_same_generation(void)
{
    across_page_sizes("v10", "v10");
    across_page_sizes("v14", "v14");
    across_page_sizes("v16", "v16");
}

static void test_other_generation(void)
{
    across_page_sizes("v10", "v14");
    across_page_sizes("v14", "v10");
}

static void test_every_version(void)
{
    static const char *const pairs[][2] = {
        { "v5", "v8" }, { "v8", "v9" }, { "v9", "v12" }, { "v12", "v13" },
        { "v13", "v14" }, { "v14", "v5" }, { "v15", "v16" },
        { "v16", "v15" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
        migrate(&(Case) { pairs[i][0], pairs[i][1], 4 * KiB, 4 * KiB,
                          .mte = i % 2 });
    }
}

/* The host at the destination shares a page that came: the next one counts. */
static void test_taken(void)
{
    migrate(&(Case) { "v16", "v16", 4 * KiB, 4 * KiB, .taken = true });
}

/* READY, COMMIT and FINISH have more to do than the RMM does in one call. */
static void test_in_pieces(void)
{
    migrate(&(Case) { "v10", "v14", 4 * KiB, 4 * KiB, .ram = LARGE_RAM });
    migrate(&(Case) { "v14", "v10", 16 * KiB, 4 * KiB, .ram = LARGE_RAM });
    migrate(&(Case) { "v10", "v14", 4 * KiB, 4 * KiB, .ram = LARGE_RAM,
                      .ending = GIVEN_BACK });
}

static void test_ending(const void *ending)
{
    static const char *const kernels[] = { "v10", "v16" };

    for (size_t i = 0; i < ARRAY_SIZE(kernels); i++) {
        for (size_t j = 0; j < ARRAY_SIZE(kernels); j++) {
            migrate(&(Case) { kernels[i], kernels[j],
                              page_sizes[MAX(i, j)], page_sizes[j], .mte = true,
                              .ending = GPOINTER_TO_UINT(ending) });
        }
    }
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);           /* as QEMU, os-posix.c */
    g_test_init(&argc, &argv, NULL);
    module_call_init(MODULE_INIT_QOM);
    g_test_add_func("/kvm-double/migrate/within_a_generation",
                    test_same_generation);
    g_test_add_func("/kvm-double/migrate/to_the_other_generation",
                    test_other_generation);
    g_test_add_func("/kvm-double/migrate/between_versions",
                    test_every_version);
    g_test_add_func("/kvm-double/migrate/a_page_that_the_host_took_comes_again",
                    test_taken);
    g_test_add_func("/kvm-double/migrate/a_large_realm_in_pieces",
                    test_in_pieces);
    g_test_add_data_func("/kvm-double/migrate/cancelled_the_realm_runs_on",
                         GUINT_TO_POINTER(CANCELLED), test_ending);
    g_test_add_data_func("/kvm-double/migrate/given_back_after_the_start_token",
                         GUINT_TO_POINTER(GIVEN_BACK), test_ending);
    g_test_add_data_func("/kvm-double/migrate/a_changed_record_is_the_end",
                         GUINT_TO_POINTER(DAMAGED), test_ending);
    return g_test_run();
}
