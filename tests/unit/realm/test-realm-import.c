/*
 * Bundles come to our own host (accel/tcg/realm/host: backend.c, mmu.c)
 *
 * Purpose: several threads import at once.  Nobody waits for another's bundle,
 * only for its tables and granules, and whatever two threads prepare at the
 * same time, an honest host gives the RMM no reason to refuse.  Here the RMM
 * knows tables, granules and pages, and judges each call as RMM 1.0 does.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-events-realm.h"
#include "qemu/bswap.h"
#include "qemu/rcu_queue.h"
#include "qemu/thread.h"
#include "qemu/units.h"
#include "system/runstate.h"
#include "target/arm/cpu.h"
#include "target/arm/realm/shared.h"
#include "target/arm/rmm/mig-abi.h"
#include "target/arm/rmm/rmm-abi.h"
#include "accel/tcg/realm/machine.h"
#include "accel/tcg/realm/host/buffers.h"
#include "accel/tcg/realm/host/build.h"
#include "accel/tcg/realm/host/mmu.h"
#include "accel/tcg/realm/host/recs.h"
#include "accel/tcg/realm/host/state.h"

#define PAGE        4096ull
#define BLOCK       (2 * MiB)
#define RAM_BASE    GiB
#define NUM_BLOCKS  8
#define RAM_SIZE    (NUM_BLOCKS * BLOCK)
#define NUM_PAGES   (RAM_SIZE / PAGE)
#define PER_BUNDLE  64
#define NUM_THREADS 4
#define PATIENCE_US (20 * G_USEC_PER_SEC)

/* ---- The RMM ---- */

typedef enum Granule { NS, DELEGATED, DATA } Granule;

static struct {
    GMutex lock;
    GCond inside_changed;
    unsigned inside;            /* threads that import now */
    unsigned meet;              /* an import waits for so many inside */
    bool tables[NUM_BLOCKS];    /* of level 3; those above are there */
    Granule granules[NUM_PAGES];
    uint64_t refused;           /* the granule at this PA stays NS */
    unsigned reads, delegations, refusals;
} rmm;

static uint64_t page_at(uint64_t ipa)
{
    g_assert_cmphex(ipa, >=, RAM_BASE);
    g_assert_cmphex(ipa, <, RAM_BASE + RAM_SIZE);
    return (ipa - RAM_BASE) / PAGE;
}

static bool *table_at(uint64_t ipa)
{
    return &rmm.tables[(ipa - RAM_BASE) / BLOCK];
}

static uint64_t delegate(uint64_t pa)
{
    /* The granules of tables are not looked at. */
    Granule *granule = pa < REALM_EXTRA_BASE ? &rmm.granules[page_at(pa)]
                                             : NULL;

    if (!granule) {
        return RMI_SUCCESS;
    }
    rmm.delegations++;
    if (*granule != NS || pa == rmm.refused) {
        return RMI_ERROR_INPUT;
    }
    *granule = DELEGATED;
    return RMI_SUCCESS;
}

static uint64_t undelegate(uint64_t pa)
{
    Granule *granule = &rmm.granules[page_at(pa)];

    if (*granule != DELEGATED) {
        return RMI_ERROR_INPUT;
    }
    *granule = NS;
    return RMI_SUCCESS;
}

static uint64_t create_table(uint64_t ipa, uint64_t level)
{
    bool *table = table_at(ipa);

    g_assert_cmpuint(level, ==, 3);
    if (*table) {
        return RMI_RESULT(RMI_ERROR_RTT, 3);
    }
    *table = true;
    return RMI_SUCCESS;
}

/* @pe->x[2]: where a host goes on. */
static uint64_t destroy(RmmPe *pe)
{
    uint64_t ipa = pe->x[2];
    Granule *granule = &rmm.granules[page_at(ipa)];
    bool live = *table_at(ipa) && *granule == DATA;

    pe->x[1] = live ? ipa : 0;
    pe->x[2] = ipa + PAGE;
    if (!live) {
        return RMI_RESULT(RMI_ERROR_RTT, 3);
    }
    *granule = DELEGATED;
    return RMI_SUCCESS;
}

/* As long as the lock of the host's tables is not free, somebody waits. */
static void check_nobody_waits(void)
{
    gint64 end = g_get_monotonic_time() + PATIENCE_US;

    while (qemu_mutex_trylock(&realm_mmu_lock)) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_thread_yield();
    }
    qemu_mutex_unlock(&realm_mmu_lock);
}

static void meet_others(void)
{
    gint64 end = g_get_monotonic_time() + PATIENCE_US;

    rmm.inside++;
    g_cond_broadcast(&rmm.inside_changed);
    while (rmm.inside < rmm.meet) {
        g_assert_true(g_cond_wait_until(&rmm.inside_changed, &rmm.lock, end));
    }
}

/* MIG_IMPORT_MEMORY of the list of granules @list, each for its own page. */
static uint64_t import(const uint64_t *list, unsigned n)
{
    meet_others();
    for (unsigned i = 0; i < n; i++) {
        uint64_t pa = le64_to_cpu(list[i]);

        if (!*table_at(pa)) {
            return RMI_RESULT(RMI_ERROR_RTT, 2);
        }
        if (rmm.granules[page_at(pa)] == NS) {
            return RMI_ERROR_INPUT;
        }
    }
    for (unsigned i = 0; i < n; i++) {
        rmm.granules[page_at(le64_to_cpu(list[i]))] = DATA;
    }
    return RMI_SUCCESS;
}

static uint64_t answer(RmmPe *pe)
{
    switch (pe->x[0]) {
    case RMI_GRANULE_DELEGATE:
        return delegate(pe->x[1]);
    case RMI_GRANULE_UNDELEGATE:
        return undelegate(pe->x[1]);
    case RMI_RTT_CREATE:
        return create_table(pe->x[3], pe->x[4]);
    case RMI_RTT_READ_ENTRY:
        rmm.reads++;
        pe->x[1] = *table_at(pe->x[2]) ? 3 : 2;
        pe->x[2] = RMI_UNASSIGNED;
        return RMI_SUCCESS;
    case RMI_DATA_DESTROY:
        return destroy(pe);
    case MIG_FID_BASE + MIG_OFFER:
        pe->x[1] = 1;
        return RMI_SUCCESS;
    case MIG_FID_BASE + MIG_IMPORT_MEMORY:
        return import((uint64_t *)(uintptr_t)pe->x[4], pe->x[5]);
    default:
        g_assert_not_reached();
    }
}

void realm_call(RmmPe *pe)
{
    bool imports = pe->x[0] == MIG_FID_BASE + MIG_IMPORT_MEMORY;

    if (imports) {
        check_nobody_waits();
    }
    g_mutex_lock(&rmm.lock);
    pe->x[0] = answer(pe);
    rmm.refusals += pe->x[0] != RMI_SUCCESS;
    g_mutex_unlock(&rmm.lock);
}

/* Windows are pointers here: this RMM reads the host's memory. */
uint64_t realm_window(unsigned window, const void *host, size_t size)
{
    return (uintptr_t)host;
}

/* ---- The machine ---- */

static size_t kernel_page_size;

size_t realm_physmem_page_size(uint64_t pa)
{
    return kernel_page_size;
}

static struct {
    uint64_t base, top;         /* the last that was populated */
    unsigned count;
    int ret;
} populated;

static struct {
    RealmRange range;           /* the last that was not empty */
    unsigned count;
} discarded;

/* The kernel clears pages here, which takes longest. */
int realm_physmem_populate(uint64_t base, uint64_t top)
{
    check_nobody_waits();
    qatomic_set(&populated.base, base);
    qatomic_set(&populated.top, top);
    qatomic_inc(&populated.count);
    return populated.ret;
}

void realm_physmem_discard(uint64_t base, uint64_t top)
{
    if (base < top) {
        discarded.range = (RealmRange) { base, top };
        discarded.count++;
    }
}

bool realm_machine_init(const RealmMachineConfig *config,
                        const RealmHostOps *host, Error **errp)
{
    return true;
}

bool realm_machine_platform(const char *cpu_type, RmmPlatform *platform,
                            Error **errp)
{
    g_assert_not_reached();
}

bool realm_build_empty(Error **errp)
{
    return true;
}

void realm_buffers_init(unsigned count)
{
}

bool runstate_check(RunState state)
{
    return state == RUN_STATE_INMIGRATE;
}

void qapi_event_send_realm_migration_phase(RealmMigrationPhase phase,
                                           bool holds)
{
}

CPUTailQ cpus_queue = QTAILQ_HEAD_INITIALIZER(cpus_queue);
Rmm *realm_rmm;

/* What no import asks for. */
#define NEVER(type, name, ...) \
    type name(__VA_ARGS__) \
    { \
        g_assert_not_reached(); \
    }

NEVER(void *, realm_buffers_ns, uint64_t pa, size_t len)
NEVER(bool, realm_build, Error **errp)
NEVER(void, realm_unbuild, void)
NEVER(bool, realm_contexts_apply, Error **errp)
NEVER(void, realm_contexts_drop, void)
NEVER(bool, realm_rec_handle_abort, CPUState *cs, RmmPe *pe)
NEVER(void, realm_rec_handle_exit, CPUState *cs)
NEVER(bool, realm_recs_enter, Error **errp)
NEVER(void, realm_recs_leave, void)
NEVER(void, realm_recs_park, void)
NEVER(bool, realm_shared_lend, uint64_t base, uint64_t size, Error **errp)
NEVER(bool, realm_shared_discard, uint64_t base, uint64_t size, Error **errp)
NEVER(void, async_safe_run_on_cpu, CPUState *cs, run_on_cpu_func func,
      run_on_cpu_data data)

/* ---- Tests ---- */

/* Bytes of a bundle, as far as a host reads them. */
typedef struct Bundle {
    MigHeader header;
    uint64_t entries[PER_BUNDLE];
    uint8_t rest[MIG_SEAL_SIZE];
} Bundle;

static const RealmBackendOps *backend;

static void add_page(Bundle *b, uint64_t page)
{
    unsigned n = le32_to_cpu(b->header.count);

    b->header.type = MIG_TYPE_MEMORY;
    b->entries[n] = cpu_to_le64(RAM_BASE + page * PAGE);
    b->header.count = cpu_to_le32(n + 1);
}

/* @n pages, each @step behind the one before it. */
static Bundle pages(uint64_t first, unsigned n, uint64_t step)
{
    Bundle b = { 0 };

    for (unsigned i = 0; i < n; i++) {
        add_page(&b, first + i * step);
    }
    return b;
}

static bool import_bundle(const Bundle *b, Error **errp)
{
    int pages = backend->import_memory(b, sizeof(*b), errp);

    g_assert_true(pages < 0 || pages == le32_to_cpu(b->header.count));
    return pages >= 0;
}

/* A program has one machine, for good; this one has one after another. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "detect_leaks=0";
}

/* A Realm waits for its memory. */
static void begin(void)
{
    static const RealmConfig config = {
        .ipa_bits = 41, .ram_base = RAM_BASE, .ram_size = RAM_SIZE,
        .num_cpus = 1,
    };
    uint8_t nonce[REALM_NONCE_SIZE] = { 0 }, offer[16];

    kernel_page_size = PAGE;
    memset(&rmm, 0, sizeof(rmm));
    memset(&populated, 0, sizeof(populated));
    memset(&discarded, 0, sizeof(discarded));
    backend = realm_tcg_backend();
    g_assert_true(backend->prepare(&config, &error_abort));
    backend->init_ripas(RAM_BASE, RAM_SIZE, &error_abort);
    g_assert_cmpint(backend->offer(nonce, offer, &error_abort), ==, 1);
}

static void test_one_ask(void)
{
    Bundle b;

    begin();
    b = pages(512, PER_BUNDLE, 1);
    g_assert_true(import_bundle(&b, &error_abort));
    g_assert_cmpuint(rmm.reads, ==, 1);
    g_assert_cmpuint(rmm.delegations, ==, PER_BUNDLE);
    g_assert_cmpuint(populated.count, ==, 1);
    g_assert_cmphex(populated.base, ==, RAM_BASE + BLOCK);
    g_assert_cmphex(populated.top, ==, RAM_BASE + BLOCK + PER_BUNDLE * PAGE);
}

static Bundle pages_with_zeros_behind(unsigned data)
{
    Bundle b = pages(512, PER_BUNDLE, 1);

    for (unsigned i = data; i < PER_BUNDLE; i++) {
        b.entries[i] |= cpu_to_le64(MIG_ENTRY_ZERO);
    }
    return b;
}

/* They get granules, and no memory. */
static void test_zeros(void)
{
    const unsigned data = PER_BUNDLE / 2;
    Bundle b;

    begin();
    b = pages_with_zeros_behind(data);
    g_assert_true(import_bundle(&b, &error_abort));
    g_assert_cmpuint(rmm.delegations, ==, PER_BUNDLE);
    g_assert_cmpuint(populated.count, ==, 1);
    g_assert_cmphex(populated.base, ==, RAM_BASE + BLOCK);
    g_assert_cmphex(populated.top, ==, RAM_BASE + BLOCK + data * PAGE);
}

/* To look at one takes a huge page, which there may not be. */
static void test_zeros_in_huge_pages(void)
{
    Bundle b;

    begin();
    kernel_page_size = BLOCK;
    b = pages_with_zeros_behind(0);
    g_assert_true(import_bundle(&b, &error_abort));
    g_assert_cmpuint(populated.count, ==, 1);
    g_assert_cmphex(populated.top, ==, RAM_BASE + BLOCK + PER_BUNDLE * PAGE);
}

/* Over the end of a block: tables of both, and one run in each. */
static void test_two_blocks(void)
{
    Bundle b;

    begin();
    b = pages(512 - 2, 4, 1);
    g_assert_true(import_bundle(&b, &error_abort));
    g_assert_true(rmm.tables[0] && rmm.tables[1] && !rmm.tables[2]);
    g_assert_cmpuint(populated.count, ==, 2);
    g_assert_cmphex(populated.base, ==, RAM_BASE + BLOCK);
}

/* The pages between them are not the Realm's: nobody makes them exist. */
static void test_pages_between(void)
{
    Bundle b;

    begin();
    b = pages(0, PER_BUNDLE, 3);
    g_assert_true(import_bundle(&b, &error_abort));
    g_assert_cmpuint(populated.count, ==, 0);
    g_assert_cmpuint(rmm.delegations, ==, PER_BUNDLE);
    for (unsigned i = 0; i < 3 * PER_BUNDLE; i++) {
        g_assert_cmpint(rmm.granules[i], ==, i % 3 ? NS : DATA);
    }
}

/* In a later round the host asks the RMM for nothing. */
static void test_again(void)
{
    Bundle b;

    begin();
    b = pages(7, PER_BUNDLE, 1);
    g_assert_true(import_bundle(&b, &error_abort));
    rmm.reads = rmm.delegations = 0;
    b = pages(7, PER_BUNDLE, 1);
    g_assert_true(import_bundle(&b, &error_abort));
    g_assert_cmpuint(rmm.reads + rmm.delegations + rmm.refusals, ==, 0);
}

/* Bundle n has pages n, n + NUM_THREADS and so on: all blocks are everyone's */
static void *import_share(void *opaque)
{
    uint64_t first = (uintptr_t)opaque;
    const uint64_t span = PER_BUNDLE * NUM_THREADS;

    for (uint64_t at = 0; at < NUM_PAGES; at += span) {
        Bundle b = pages(first + at, PER_BUNDLE, NUM_THREADS);

        g_assert_true(import_bundle(&b, &error_abort));
    }
    return NULL;
}

static void run_threads(void *(*function)(void *))
{
    QemuThread threads[NUM_THREADS];

    for (uintptr_t i = 0; i < NUM_THREADS; i++) {
        qemu_thread_create(&threads[i], "import", function, (void *)i,
                           QEMU_THREAD_JOINABLE);
    }
    for (unsigned i = 0; i < NUM_THREADS; i++) {
        qemu_thread_join(&threads[i]);
    }
}

/* Each import waits for the others, so it has to let them in. */
static void test_side_by_side(void)
{
    begin();
    rmm.meet = NUM_THREADS;
    run_threads(import_share);
    g_assert_cmpuint(rmm.refusals, ==, 0);
    g_assert_cmpuint(rmm.delegations, ==, NUM_PAGES);
    for (unsigned i = 0; i < NUM_PAGES; i++) {
        g_assert_cmpint(rmm.granules[i], ==, DATA);
    }
}

static void *import_same(void *opaque)
{
    for (uint64_t at = 0; at < NUM_PAGES; at += PER_BUNDLE) {
        Bundle b = pages(at, PER_BUNDLE, 1);

        g_assert_true(import_bundle(&b, &error_abort));
    }
    return NULL;
}

/* Of two epochs: the page of one is prepared while that of the other comes. */
static void test_same_pages(void)
{
    begin();
    run_threads(import_same);
    g_assert_cmpuint(rmm.refusals, ==, 0);
    g_assert_cmpuint(rmm.delegations, ==, NUM_PAGES);
}

/* What the RMM got before that is known: it is given back, or used. */
static void test_refused_granule(void)
{
    g_autofree char *expected = NULL;
    Error *err = NULL;
    Bundle b;

    begin();
    rmm.refused = RAM_BASE + 5 * PAGE;
    b = pages(0, PER_BUNDLE, 1);
    g_assert_false(import_bundle(&b, &err));
    g_assert_nonnull(strstr(error_get_pretty(err), "a table or a granule"));
    error_free(err);
    g_assert_cmpint(backend->phase(), ==, REALM_PHASE_FAILED);
    rmm.delegations = rmm.refusals = 0;
    for (unsigned i = 0; i < 5; i++) {
        g_assert_cmpint(rmm.granules[i], ==, DELEGATED);
        g_assert_true(realm_mmu_delegate(RAM_BASE + i * PAGE));
    }
    g_assert_cmpuint(rmm.delegations, ==, 0);
}

static void check_refused(const Bundle *b, const char *text)
{
    Error *err = NULL;

    g_assert_false(import_bundle(b, &err));
    g_assert_nonnull(strstr(error_get_pretty(err), text));
    error_free(err);
    g_assert_cmpuint(rmm.delegations, ==, 0);
    g_assert_cmpint(backend->phase(), ==, REALM_PHASE_FAILED);
}

static void test_no_memory(void)
{
    Bundle b;

    begin();
    populated.ret = -ENOMEM;
    b = pages(0, 2, 1);
    check_refused(&b, "Realm: no memory for 2 pages from 0x40000000 on; give "
                  "this host more");
}

static void test_other_addresses(void)
{
    Bundle b;

    begin();
    b = pages(NUM_PAGES, 1, 1);
    check_refused(&b, "where this machine has no memory");
}

/* What is freed in a row goes back to the kernel at once. */
static void test_reclaim(void)
{
    Bundle b;

    begin();
    b = pages(16, PER_BUNDLE, 1);
    g_assert_true(import_bundle(&b, &error_abort));
    realm_mmu_reclaim(RAM_BASE + 8 * PAGE, RAM_BASE + 40 * PAGE);
    g_assert_cmpuint(discarded.count, ==, 1);
    g_assert_cmphex(discarded.range.base, ==, RAM_BASE + 16 * PAGE);
    g_assert_cmphex(discarded.range.top, ==, RAM_BASE + 40 * PAGE);
    for (unsigned i = 0; i < 16 + PER_BUNDLE; i++) {
        g_assert_cmpint(rmm.granules[i], ==, i < 40 ? NS : DATA);
    }
}

/* Another page in between: two pieces, and nothing of it. */
static void test_reclaim_pieces(void)
{
    Bundle b;

    begin();
    b = pages(0, 3, 2);
    g_assert_true(import_bundle(&b, &error_abort));
    realm_mmu_reclaim(RAM_BASE, RAM_BASE + BLOCK / 2);
    g_assert_cmpuint(discarded.count, ==, 3);
    g_assert_cmphex(discarded.range.base, ==, RAM_BASE + 4 * PAGE);
    g_assert_cmphex(discarded.range.top, ==, RAM_BASE + 5 * PAGE);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define TEST(name, function) \
    g_test_add_func("/realm/import/" name, function)
    TEST("a-run-of-pages-takes-one-question", test_one_ask);
    TEST("zeros-take-no-memory", test_zeros);
    TEST("zeros-take-memory-of-huge-pages", test_zeros_in_huge_pages);
    TEST("a-run-ends-with-its-block", test_two_blocks);
    TEST("pages-between-stay-with-the-host", test_pages_between);
    TEST("a-later-round-prepares-nothing", test_again);
    TEST("threads-import-at-once-and-are-not-refused", test_side_by_side);
    TEST("threads-prepare-the-same-pages-once", test_same_pages);
    TEST("a-refused-granule-is-final-and-others-are-known",
         test_refused_granule);
    TEST("no-memory-is-said-to-be-so", test_no_memory);
    TEST("other-addresses-are-refused-before-the-rmm-is-asked",
         test_other_addresses);
    TEST("pages-in-a-row-go-back-at-once", test_reclaim);
    TEST("pages-not-in-a-row-go-back-in-pieces", test_reclaim_pieces);
#undef TEST
    return g_test_run();
}
