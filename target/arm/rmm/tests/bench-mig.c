/*
 * How fast memory leaves and arrives: GiB/s of pages per second of CPU time
 *
 *     bench-mig [SECONDS [STREAMS [MIB]]]
 *     bench-mig pages [MIB [RUNS]]
 *     bench-mig calls [TIMES]
 *
 * It measures export, then import, without the copy between the two machines.
 * With "pages" it says what a page costs in bundles of several sizes, without
 * tags, beside encryption alone and one copy of as much memory.
 * With "calls" it measures what a host waits for in one call of each that
 * takes long: signatures, and pieces of MIG_COMMIT_ENTRIES entries; with eight
 * anchors in the policy, of which the last one is the peer's.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "crypto.h"
#include "mig-machine.h"

typedef struct Bench {
    Machine *src, *dst;
    GArray *ipas;
    unsigned stream, streams;
    double export_time, import_time;
    uint64_t pages;
} Bench;

static void check_result(uint64_t result)
{
    if (result != RMI_SUCCESS) {
        fprintf(stderr, "refused: %#lx\n", (unsigned long)result);
        exit(1);
    }
}

/* Of this thread: others may use the machine as well */
static double cpu_seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

/* Every streams-th bundle of the round */
static void *run_stream(void *opaque)
{
    Bench *b = opaque;
    const uint64_t blob = NS_BLOB(b->stream), list = NS_LIST(b->stream);
    const uint64_t *ipas = (const uint64_t *)b->ipas->data;
    const guint step = MIG_MAX_PAGES;

    for (guint i = b->stream * step; i < b->ipas->len;
         i += b->streams * step) {
        guint n = MIN(step, b->ipas->len - i);
        double t0, t1, t2;
        uint64_t out[4];

        memcpy(machine_ns(b->src, list), ipas + i, n * 8);
        t0 = cpu_seconds();
        check_result(MIG_OUT(b->src, out, MIG_EXPORT_MEMORY, list, n, blob,
                             MIG_MAX_BUNDLE, b->stream));
        t1 = cpu_seconds();
        b->export_time += t1 - t0;
        b->pages += out[1];

        memcpy(machine_ns(b->dst, blob), machine_ns(b->src, blob), out[0]);
        memset(machine_ns(b->dst, list), 0, n * 8);
        t1 = cpu_seconds();
        check_result(MIG(b->dst, MIG_IMPORT_MEMORY, blob, out[0], list, n));
        t2 = cpu_seconds();
        b->import_time += t2 - t1;
    }
    return NULL;
}

static void first_round(Machine *src, Machine *dst)
{
    GArray *ipas = machine_collect(src);

    for (guint i = 0; i < ipas->len; i += MIG_MAX_PAGES) {
        Record *r = machine_send_pages(src,
                                       &g_array_index(ipas, uint64_t, i),
                                       MIN(MIG_MAX_PAGES, ipas->len - i), 0);

        check_result(machine_receive(dst, r));
        g_byte_array_unref(r);
    }
    g_array_unref(ipas);
}

static void next_epoch(Machine *src, Machine *dst)
{
    uint64_t result;
    Record *r = machine_export(src, MIG_EXPORT_EPOCH, 0, &result);

    check_result(result);
    check_result(machine_receive(dst, r));
    g_byte_array_unref(r);
}

static double one_round(Bench *all, unsigned streams, double *collect)
{
    GThread *threads[MIG_MAX_STREAMS];
    Machine *src = all[0].src;
    gint64 t = g_get_monotonic_time();
    GArray *ipas = machine_collect(src);

    *collect += (g_get_monotonic_time() - t) * 1e-6;
    t = g_get_monotonic_time();
    for (unsigned i = 0; i < streams; i++) {
        all[i].ipas = ipas;
        threads[i] = g_thread_new("stream", run_stream, &all[i]);
    }
    for (unsigned i = 0; i < streams; i++) {
        g_thread_join(threads[i]);
    }
    g_array_unref(ipas);
    return (g_get_monotonic_time() - t) * 1e-6;
}

static int bench_memory(int argc, char **argv)
{
    double seconds = argc > 1 ? atof(argv[1]) : 2, collect = 0, wall = 0;
    unsigned streams = argc > 2 ? atoi(argv[2]) : 1;
    uint64_t mib = argc > 3 ? atoi(argv[3]) : 128;
    MachineParams params = machine_defaults;
    Bench all[MIG_MAX_STREAMS] = { 0 };
    uint64_t pages = mib << 8, sent = 0, rounds = 0;
    double out_time = 0, in_time = 0;
    GRand *rand = g_rand_new_with_seed(1);
    Record *begin;

    streams = MAX(1, MIN(streams, MIG_MAX_STREAMS));
    params.granules = pages + pages / 512 + 100;
    for (unsigned i = 0; i < MIG_MAX_STREAMS; i++) {
        all[i].src = i ? all[0].src : machine_new(&params);
        all[i].dst = i ? all[0].dst : machine_new(&params);
        all[i].stream = i;
        all[i].streams = streams;
    }
    for (uint64_t i = 0; i < pages; i++) {
        machine_add_page(all[0].src, i * RMM_GRANULE_SIZE);
        machine_scribble(all[0].src, i * RMM_GRANULE_SIZE, rand);
    }
    machine_activate(all[0].src);
    check_result(machine_connect(all[0].src, all[0].dst, &begin));
    check_result(machine_receive(all[0].dst, begin));
    first_round(all[0].src, all[0].dst);

    while (wall < seconds) {
        next_epoch(all[0].src, all[0].dst);
        for (uint64_t i = 0; i < pages; i++) {
            machine_page(all[0].src, i * RMM_GRANULE_SIZE, true, NULL);
        }
        wall += one_round(all, streams, &collect);
        rounds++;
    }
    for (unsigned i = 0; i < streams; i++) {
        sent += all[i].pages;
        out_time += all[i].export_time;
        in_time += all[i].import_time;
    }
    printf("%u stream(s), %lu MiB with tags, %lu rounds: per core export "
           "%.2f GiB/s, import %.2f GiB/s; both by the clock %.2f GiB/s; "
           "collect %.1f ns a page\n", streams, (unsigned long)mib,
           (unsigned long)rounds, sent / 262144.0 / out_time,
           sent / 262144.0 / in_time, sent / 262144.0 / wall,
           collect * 1e9 / sent);
    g_byte_array_unref(begin);
    machine_free(all[0].src);
    machine_free(all[0].dst);
    g_rand_free(rand);
    return 0;
}

/* ---- what a page costs ---- */

/* Of all pages, in seconds.  Fresh: nobody has touched the granules before. */
typedef struct PageCosts {
    double export, delegate, fresh, warm, seal, copy;
} PageCosts;

enum { PAGE_COSTS = sizeof(PageCosts) / sizeof(double), PAGE_RUNS = 31 };

/* Bundles of @n pages as they come; every page of @b->ipas goes once */
static void move_pages(Bench *b, guint n, bool fresh, PageCosts *cost)
{
    const uint64_t *ipas = (const uint64_t *)b->ipas->data;
    uint64_t *granules = machine_ns(b->dst, NS_LIST(0)), out[4];
    double t;

    for (guint i = 0; i < b->ipas->len; i += n) {
        memcpy(machine_ns(b->src, NS_LIST(0)), ipas + i, n * 8);
        t = cpu_seconds();
        check_result(MIG_OUT(b->src, out, MIG_EXPORT_MEMORY, NS_LIST(0), n,
                             NS_BLOB(0), MIG_MAX_BUNDLE, 0));
        cost->export += cpu_seconds() - t;
        memcpy(machine_ns(b->dst, NS_BLOB(0)), machine_ns(b->src, NS_BLOB(0)),
               out[0]);
        for (guint j = 0; fresh && j < n; j++) {
            machine_table(b->dst, ipas[i + j]);
        }
        t = cpu_seconds();
        for (guint j = 0; j < n; j++) {
            granules[j] = fresh ? machine_granule(b->dst) : 0;
        }
        cost->delegate += fresh ? cpu_seconds() - t : 0;
        t = cpu_seconds();
        check_result(MIG(b->dst, MIG_IMPORT_MEMORY, NS_BLOB(0), out[0],
                         NS_LIST(0), n));
        *(fresh ? &cost->fresh : &cost->warm) += cpu_seconds() - t;
    }
}

/* As much with the cipher alone, and copied from cold memory to the blob */
static void floor_of_pages(Bench *b, guint n, PageCosts *cost)
{
    const uint8_t key[CRYPTO_KEY_SIZE] = { 1 };
    uint8_t iv[CRYPTO_IV_SIZE] = { 0 }, *blob = machine_ns(b->src, NS_BLOB(1));
    CryptoAead *aead = crypto_aead_new(key);
    double t = cpu_seconds();

    for (guint i = 0; i < b->ipas->len; i += n) {
        memcpy(blob, b->src->granules + (uint64_t)i * RMM_GRANULE_SIZE,
               (size_t)n * RMM_GRANULE_SIZE);
    }
    cost->copy = cpu_seconds() - t;
    t = cpu_seconds();
    for (guint i = 0; i < b->ipas->len; i += n) {
        memcpy(iv, &i, sizeof(i));
        if (!crypto_seal(aead, iv, NULL, 0, blob,
                         (size_t)n * RMM_GRANULE_SIZE)) {
            check_result(RMI_ERROR_INPUT);
        }
    }
    cost->seal = cpu_seconds() - t;
    crypto_aead_free(aead);
}

static PageCosts page_costs(const MachineParams *params, uint64_t pages,
                            guint n)
{
    Bench b = { machine_new(params), machine_new(params) };
    PageCosts cost = { 0 };
    Record *begin;

    /* As QEMU asks for it */
    madvise(b.src->granules, params->granules * RMM_GRANULE_SIZE,
            MADV_HUGEPAGE);
    madvise(b.dst->granules, params->granules * RMM_GRANULE_SIZE,
            MADV_HUGEPAGE);
    for (uint64_t i = 0; i < pages; i++) {
        machine_add_page(b.src, i * RMM_GRANULE_SIZE);
        memset(machine_page(b.src, i * RMM_GRANULE_SIZE, true, NULL), i | 1,
               RMM_GRANULE_SIZE);
    }
    machine_activate(b.src);
    check_result(machine_connect(b.src, b.dst, &begin));
    check_result(machine_receive(b.dst, begin));
    g_byte_array_unref(begin);
    for (int round = 0; round < 2; round++) {
        b.ipas = machine_collect(b.src);
        move_pages(&b, n, !round, &cost);
        g_array_unref(b.ipas);
        next_epoch(b.src, b.dst);
        for (uint64_t i = 0; i < pages; i++) {
            machine_page(b.src, i * RMM_GRANULE_SIZE, true, NULL);
        }
    }
    cost.export /= 2;
    b.ipas = machine_collect(b.src);
    floor_of_pages(&b, n, &cost);
    g_array_unref(b.ipas);
    machine_free(b.src);
    machine_free(b.dst);
    return cost;
}

static int compare_times(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static int bench_pages(uint64_t mib, unsigned runs)
{
    static const guint sizes[] = { 16, 64, MIG_MAX_PAGES };
    MachineParams params = machine_defaults;
    uint64_t pages = mib << 8;

    params.ext_flags = RMI_REALM_EXT_MIGRATION;
    params.granules = pages + pages / 512 + 100;
    printf("%lu MiB, median of %u, CPU time: ns a page\n%-8s %10s %10s %10s "
           "%10s %10s %10s\n", (unsigned long)mib, runs, "bundle", "export",
           "delegate", "import new", "import old", "cipher", "copy");
    for (unsigned i = 0; i < G_N_ELEMENTS(sizes); i++) {
        double times[PAGE_COSTS][PAGE_RUNS];

        for (unsigned run = 0; run < runs; run++) {
            PageCosts cost = page_costs(&params, pages, sizes[i]);
            const double *one = (const double *)&cost;

            for (int j = 0; j < PAGE_COSTS; j++) {
                times[j][run] = one[j] * 1e9 / pages;
            }
        }
        printf("%-8u", sizes[i]);
        for (int j = 0; j < PAGE_COSTS; j++) {
            qsort(times[j], runs, sizeof(times[j][0]), compare_times);
            printf(" %10.0f", times[j][runs / 2]);
        }
        printf("\n");
    }
    return 0;
}

/* ---- single calls ---- */

typedef struct Timing {
    double least, sum;
    unsigned n;
} Timing;

static void add(Timing *t, double seconds)
{
    t->least = t->n ? MIN(t->least, seconds) : seconds;
    t->sum += seconds;
    t->n++;
}

/* Microseconds, and as a ratio to copying a page of this machine */
static void show(const char *name, const Timing *t, double page)
{
    printf("%-30s %8.1f us at least, %8.1f on average, %6.0f pages copied\n",
           name, t->least * 1e6, t->sum / t->n * 1e6, t->least / page);
}

#define TIMED(t, result, call) do { \
        double before_ = cpu_seconds(); \
        (result) = (call); \
        add((t), cpu_seconds() - before_); \
        check_result(result); \
    } while (0)

/* All pages of a piece go at COMMIT, or none */
enum { PIECE_PAGES = MIG_COMMIT_ENTRIES };

enum { T_OFFER, T_ACCEPT, T_BEGIN, T_READY, T_COMMIT, T_DROP, T_NOTHING,
       T_FINISH, TIMINGS };

static const char *const timing_names[TIMINGS] = {
    "OFFER", "ACCEPT", "IMPORT of begin", "READY, a piece",
    "COMMIT, a piece", "COMMIT, a piece of drops",
    "FINISH, a piece without pages", "FINISH, a piece of pages",
};

static void migrate_once(const MachineParams *params, bool drop, Timing *t)
{
    Machine *src = machine_new(params), *dst = machine_new(params);
    GPtrArray *records;
    Record *r;
    uint64_t result, out[4];

    for (uint64_t i = 0; i < PIECE_PAGES; i++) {
        machine_add_page(src, i * RMM_GRANULE_SIZE);
        memset(machine_page(src, i * RMM_GRANULE_SIZE, true, NULL), i | 1,
               RMM_GRANULE_SIZE);
    }
    machine_activate(src);
    check_result(machine_prepare(src, dst));
    TIMED(&t[T_OFFER], result, machine_offer(dst, &r));
    TIMED(&t[T_ACCEPT], result, machine_accept(src, r));
    g_byte_array_unref(r);
    r = machine_export(src, MIG_EXPORT_BEGIN, 0, &result);
    TIMED(&t[T_BEGIN], result, machine_receive(dst, r));
    g_byte_array_unref(r);
    first_round(src, dst);
    for (uint64_t i = 0; drop && i < PIECE_PAGES; i++) {
        check_result(SMC(src, RMI_DATA_DESTROY, src->rd,
                         i * RMM_GRANULE_SIZE));
    }
    check_result(MIG(src, MIG_PAUSE));
    records = machine_final_records(src);
    for (guint i = 0; i < records->len; i++) {
        check_result(machine_receive(dst, records->pdata[i]));
    }
    TIMED(&t[T_READY], result, MIG_OUT(dst, out, MIG_IMPORT_READY, NS_BLOB(0),
                                       4096));
    check_result(machine_ready(dst, &r));
    g_ptr_array_add(records, machine_start(src, r, &result));
    check_result(machine_receive(dst, records->pdata[records->len - 1]));
    g_byte_array_unref(r);
    TIMED(&t[drop ? T_DROP : T_COMMIT], result, MIG(dst, MIG_IMPORT_COMMIT));
    do {
        check_result(MIG_OUT(dst, out, MIG_IMPORT_COMMIT));
    } while (out[0]);
    check_result(machine_receipt(dst, &r));
    memcpy(machine_ns(src, NS_BLOB(0)), r->data, r->len);
    TIMED(&t[drop ? T_NOTHING : T_FINISH], result,
          MIG(src, MIG_EXPORT_FINISH, NS_BLOB(0), r->len));
    g_byte_array_unref(r);
    g_ptr_array_unref(records);
    machine_free(src);
    machine_free(dst);
}

static double copy_a_page(void)
{
    enum { TIMES = 20000, PAGES = 512 };
    uint8_t *from = g_malloc(PAGES * RMM_GRANULE_SIZE);
    uint8_t *to = g_malloc(PAGES * RMM_GRANULE_SIZE);
    double before;

    memset(from, 1, PAGES * RMM_GRANULE_SIZE);
    memset(to, 2, PAGES * RMM_GRANULE_SIZE);
    before = cpu_seconds();
    for (unsigned i = 0; i < TIMES; i++) {
        memcpy(to + i % PAGES * RMM_GRANULE_SIZE,
               from + i % PAGES * RMM_GRANULE_SIZE, RMM_GRANULE_SIZE);
    }
    before = (cpu_seconds() - before) / TIMES;
    g_free(from);
    g_free(to);
    return before;
}

static int bench_calls(unsigned times)
{
    MachineParams params = machine_defaults;
    Timing t[TIMINGS] = { 0 };
    double page = copy_a_page();

    params.granules = PIECE_PAGES + 100;
    params.policy.version = MIG_POLICY_VERSION;
    params.policy.num_anchors = MIG_MAX_ANCHORS;
    for (int i = 0; i < MIG_MAX_ANCHORS; i++) {
        GBytes *key = i + 1 < MIG_MAX_ANCHORS ? machine_new_key() : NULL;

        params.policy.anchors[i] = machine_anchor(key);
        g_clear_pointer(&key, g_bytes_unref);
    }
    for (unsigned i = 0; i < times; i++) {
        migrate_once(&params, i % 2, t);
    }
    for (int i = 0; i < TIMINGS; i++) {
        show(timing_names[i], &t[i], page);
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], "calls")) {
        return bench_calls(argc > 2 ? MAX(atoi(argv[2]), 2) : 20);
    }
    if (argc > 1 && !strcmp(argv[1], "pages")) {
        int mib = argc > 2 ? atoi(argv[2]) : 64;
        int runs = argc > 3 ? atoi(argv[3]) : 5;

        /* Whole bundles of the largest size, in the Realm's memory */
        return bench_pages(CLAMP(mib, 2, MACHINE_RAM_TOP >> 20) & ~1,
                           CLAMP(runs, 1, PAGE_RUNS));
    }
    return bench_memory(argc, argv);
}
