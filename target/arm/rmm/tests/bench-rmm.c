/*
 * How long the model's calls take, and how much memory it needs for a Realm
 *
 *     bench-rmm [MIB [RUNS]]
 *
 * Each row is the median of RUNS runs in CPU time; the last column compares
 * it with a copy of one page in the same run, so that figures of different
 * machines can be compared.  A row measures only what it names: the benchmark
 * delegates a granule, or collects a page, before it starts the clock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "fake-machine.h"
#include "granule.h"
#include "mig.h"
#include "mte-tags.h"

#define NUM_FREE 4096           /* granules that are not the Realm's */
#define COPIES   4096ull        /* pages; more than caches hold */
#define MAX_RUNS 99

typedef struct Bench {
    FakeMachine *m;
    FakeRealm r;
    RmmRealm *realm;
    RmmStage2 s2;
    RmmPe pe;
    uint64_t top;               /* of the Realm's memory */
    uint64_t free[NUM_FREE];    /* Non-secure */
    uint64_t free_ipa;          /* RAM without pages, with tables */
    uint64_t metadata;          /* bytes, of the whole model */
    unsigned runs;
    double page_copy;           /* seconds */
} Bench;

static double cpu_seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static void check_that(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "bench-rmm: %s failed\n", what);
        exit(1);
    }
}

#define CALL(b, fid, ...) do {                                          \
        uint64_t x0_ = fake_call((b)->m, fid, __VA_ARGS__);             \
        check_that(x0_ == RMI_SUCCESS, #fid);                           \
    } while (0)

static uint64_t pages(const Bench *b)
{
    return b->top / RMM_GRANULE_SIZE;
}

/* ---- cases: seconds for all of @n operations ---- */

typedef double Case(Bench *b, uint64_t *n);

static double copy_page(Bench *b, uint64_t *n)
{
    uint8_t *p = g_malloc(2 * COPIES * RMM_GRANULE_SIZE);
    double t;
    unsigned i;

    memset(p, 1, 2 * COPIES * RMM_GRANULE_SIZE);
    t = cpu_seconds();
    for (i = 0; i < COPIES; i++) {
        memcpy(p + (COPIES + i) * RMM_GRANULE_SIZE, p + i * RMM_GRANULE_SIZE,
               RMM_GRANULE_SIZE);
    }
    t = cpu_seconds() - t;
    g_free(p);
    *n = COPIES;
    return t;
}

static void delegate_all(Bench *b)
{
    unsigned i;

    for (i = 0; i < NUM_FREE; i++) {
        CALL(b, RMI_GRANULE_DELEGATE, b->free[i]);
    }
}

static void undelegate_all(Bench *b)
{
    unsigned i;

    for (i = 0; i < NUM_FREE; i++) {
        CALL(b, RMI_GRANULE_UNDELEGATE, b->free[i]);
    }
}

static double delegate(Bench *b, uint64_t *n)
{
    double t = cpu_seconds();

    delegate_all(b);
    t = cpu_seconds() - t;
    undelegate_all(b);
    *n = NUM_FREE;
    return t;
}

static void data_destroy_all(Bench *b)
{
    unsigned i;

    for (i = 0; i < NUM_FREE; i++) {
        CALL(b, RMI_DATA_DESTROY, b->r.rd,
             b->free_ipa + i * RMM_GRANULE_SIZE);
    }
    undelegate_all(b);
}

static double data_create(Bench *b, uint64_t *n)
{
    FakeRealm r = fake_realm_new(b->m);
    double t;
    unsigned i;

    for (i = 0; i < NUM_FREE; i += RTT_ENTRIES) {
        fake_tables(b->m, &r, i * RMM_GRANULE_SIZE);
    }
    delegate_all(b);
    t = cpu_seconds();
    for (i = 0; i < NUM_FREE; i++) {
        CALL(b, RMI_DATA_CREATE, r.rd, b->free[i], i * RMM_GRANULE_SIZE,
             FAKE_NS_SRC, RMI_DATA_MEASURE);
    }
    t = cpu_seconds() - t;
    fake_realm_destroy(b->m, &r);
    undelegate_all(b);
    *n = NUM_FREE;
    return t;
}

static double data_create_unknown(Bench *b, uint64_t *n)
{
    double t;
    unsigned i;

    delegate_all(b);
    t = cpu_seconds();
    for (i = 0; i < NUM_FREE; i++) {
        CALL(b, RMI_DATA_CREATE_UNKNOWN, b->r.rd, b->free[i],
             b->free_ipa + i * RMM_GRANULE_SIZE);
    }
    t = cpu_seconds() - t;
    data_destroy_all(b);
    *n = NUM_FREE;
    return t;
}

static double walk_all(Bench *b, RmmAccess access, uint64_t step, uint64_t *n)
{
    RmmTranslation out;
    uint64_t ipa;
    double t = cpu_seconds();

    for (*n = 0, ipa = 0; ipa < b->top; ipa += step, ++*n) {
        if (rmm_stage2_walk(b->m->rmm, &b->s2, ipa, access, &out)
            != RMM_FAULT_NONE) {
            check_that(false, "walk");
        }
    }
    return cpu_seconds() - t;
}

static double walk_read(Bench *b, uint64_t *n)
{
    return walk_all(b, RMM_ACCESS_READ, RMM_GRANULE_SIZE, n);
}

static void count_page(void *opaque, uint64_t ipa)
{
    ++*(uint64_t *)opaque;
}

static void collect_all(Bench *b, uint64_t *count)
{
    *count = 0;
    rmm_mutex_lock(&b->realm->lock);
    rtt_collect_dirty(b->realm, 0, b->top, count_page, count, NULL);
    rmm_mutex_unlock(&b->realm->lock);
}

/* Every page clean, and known to be. */
static void make_clean(Bench *b)
{
    RttWalk walk = { .entry = NULL };
    uint64_t ipa, count;

    collect_all(b, &count);
    rmm_mutex_lock(&b->realm->lock);
    for (ipa = 0; count && ipa < b->top; ipa += RMM_GRANULE_SIZE) {
        rtt_take_pending(b->realm, ipa, &walk);
    }
    rmm_mutex_unlock(&b->realm->lock);
}

static double walk_write_clean(Bench *b, uint64_t *n)
{
    make_clean(b);
    return walk_all(b, RMM_ACCESS_WRITE, RMM_GRANULE_SIZE, n);
}

/* One collection; before it, a write to every @step bytes of memory. */
static double collect_dirty(Bench *b, uint64_t step, uint64_t *n)
{
    uint64_t count, written = 0;
    double t;

    make_clean(b);
    if (step) {
        walk_all(b, RMM_ACCESS_WRITE, step, &written);
    }
    t = cpu_seconds();
    collect_all(b, &count);
    t = cpu_seconds() - t;
    check_that(count == written, "collection");
    *n = 1;
    return t;
}

static double collect_0(Bench *b, uint64_t *n)
{
    return collect_dirty(b, 0, n);
}

static double collect_1000th(Bench *b, uint64_t *n)
{
    return collect_dirty(b, 1000 * RMM_GRANULE_SIZE, n);
}

static double collect_10th(Bench *b, uint64_t *n)
{
    return collect_dirty(b, 10 * RMM_GRANULE_SIZE, n);
}

static double collect_100(Bench *b, uint64_t *n)
{
    return collect_dirty(b, RMM_GRANULE_SIZE, n);
}

/* Exit by a data abort, the granule that it needs, and in again. */
static double fault(Bench *b, uint64_t *n)
{
    RmmSyndrome s = { .kind = RMM_EXCEPTION_SYNC, .esr = 0x92000007 };
    double t;
    unsigned i;

    delegate_all(b);
    fake_enter(b->m, &b->pe, &b->r, 0);
    t = cpu_seconds();
    for (i = 0; i < NUM_FREE; i++) {
        uint64_t ipa = b->free_ipa + i * RMM_GRANULE_SIZE;

        s.hpfar = ipa >> 8;
        rmm_exception(b->m->rmm, &b->pe, &s);
        CALL(b, RMI_DATA_CREATE_UNKNOWN, b->r.rd, b->free[i], ipa);
        fake_enter(b->m, &b->pe, &b->r, 0);
    }
    t = cpu_seconds() - t;
    take_interrupt(b->m->rmm, &b->pe);
    data_destroy_all(b);
    *n = NUM_FREE;
    return t;
}

/* What the Realm asks for and the host does, in as many calls as it takes. */
static void set_ripas(Bench *b, uint64_t top, unsigned ripas)
{
    uint64_t args[] = { 0, top, ripas, RSI_CHANGE_DESTROYED };
    uint64_t base = 0;

    fake_enter(b->m, &b->pe, &b->r, 0);
    fake_call_pe(b->m, &b->pe, RSI_IPA_STATE_SET, args, 4);
    while (base < top) {
        CALL(b, RMI_RTT_SET_RIPAS, b->r.rd, b->r.rec[0], base, top);
        base = b->m->pe.x[1];
    }
    fake_enter(b->m, &b->pe, &b->r, 0);
    take_interrupt(b->m->rmm, &b->pe);
}

static double change_ripas(Bench *b, uint64_t *n)
{
    double t = cpu_seconds();

    set_ripas(b, b->top, RMI_RIPAS_EMPTY);
    t = cpu_seconds() - t;
    set_ripas(b, b->top, RMI_RIPAS_RAM);
    *n = 1;
    return t;
}

/* ---- the form of a page in a bundle: data in caches, as behind a copy ---- */

#define FORMS 100000ull

/* Is a page zero whose byte @at, if it has that many, is not? */
static double zero_test(uint64_t *n, size_t at)
{
    uint8_t page[RMM_GRANULE_SIZE + 1] = { 0 };
    uint64_t zero = 0;
    double t;

    page[at] = 1;
    t = cpu_seconds();
    for (*n = 0; *n < FORMS; ++*n) {
        __asm__ volatile("" : : "r" (page) : "memory");
        zero += mig_page_is_zero(page);
    }
    t = cpu_seconds() - t;
    check_that(zero == (at < RMM_GRANULE_SIZE ? 0 : FORMS), "zero test");
    return t;
}

static double zero_test_zero(Bench *b, uint64_t *n)
{
    return zero_test(n, RMM_GRANULE_SIZE);
}

static double zero_test_first(Bench *b, uint64_t *n)
{
    return zero_test(n, 0);
}

static double zero_test_last(Bench *b, uint64_t *n)
{
    return zero_test(n, RMM_GRANULE_SIZE - 1);
}

/*
 * The form of tags of which each @step differ, @kind as it must come out; with
 * @back, what the receiver does: to read it.
 */
static double tag_form(uint64_t *n, unsigned step, uint8_t fill, int kind,
                       bool back)
{
    uint8_t tags[MTE_TAGS_BYTES], out[MTE_TAGS_MAX_PACKED];
    size_t size = 0;
    double t;

    for (unsigned i = 0; i < sizeof(tags); i++) {
        tags[i] = step ? (i / step * 0x57 + fill) & 0xff : fill;
        tags[i] = step > 1 ? (tags[i] & 0xf) * 0x11 : tags[i];
    }
    mte_tags_pack(tags, out);
    t = cpu_seconds();
    for (*n = 0; *n < FORMS; ++*n) {
        __asm__ volatile("" : : "r" (tags), "r" (out) : "memory");
        size += back ? mte_tags_unpack(out, sizeof(out), tags)
                     : mte_tags_pack(tags, out);
    }
    t = cpu_seconds() - t;
    check_that(out[0] == kind && size, "form of tags");
    return t;
}

#define TAG_FORM(name, kind, step, fill)                                \
    static double pack_##name(Bench *b, uint64_t *n)                    \
    {                                                                   \
        return tag_form(n, step, fill, kind, false);                    \
    }                                                                   \
    static double unpack_##name(Bench *b, uint64_t *n)                  \
    {                                                                   \
        return tag_form(n, step, fill, kind, true);                     \
    }

TAG_FORM(none, MTE_TAGS_NONE, 0, 0)
TAG_FORM(uniform, MTE_TAGS_UNIFORM, 0, 0x77)
TAG_FORM(4_runs, MTE_TAGS_RUNS, 32, 1)
TAG_FORM(43_runs, MTE_TAGS_RUNS, 3, 1)
TAG_FORM(raw, MTE_TAGS_RAW, 1, 1)

static const struct {
    const char *name;
    Case *run;
    double aim;                 /* seconds; 0: none */
} cases[] = {
    { "copy of a page", copy_page },
    { "delegate", delegate },
    { "data-create, measured", data_create },
    { "data-create-unknown", data_create_unknown },
    { "walk: read", walk_read },
    { "walk: first write to a clean page", walk_write_clean },
    { "fault: exit, data-create-unknown, entry", fault, 500e-9 },
    { "RIPAS change of all memory", change_ripas },
    { "collection of all memory, clean", collect_0, 1e-3 },
    { "collection, 0.1 % dirty", collect_1000th },
    { "collection, 10 % dirty", collect_10th },
    { "collection, 100 % dirty", collect_100 },
    { "zero test: a page of zeros", zero_test_zero },
    { "zero test: the first byte is not", zero_test_first },
    { "zero test: the last byte is not", zero_test_last },
    { "tags to a record: none", pack_none, 200e-9 },
    { "tags to a record: uniform", pack_uniform, 200e-9 },
    { "tags to a record: 4 runs", pack_4_runs, 200e-9 },
    { "tags to a record: 43 runs", pack_43_runs, 200e-9 },
    { "tags to a record: raw", pack_raw, 200e-9 },
    { "tags from a record: none", unpack_none },
    { "tags from a record: uniform", unpack_uniform },
    { "tags from a record: 4 runs", unpack_4_runs },
    { "tags from a record: 43 runs", unpack_43_runs },
    { "tags from a record: raw", unpack_raw },
};

/* ---- the Realm ---- */

static uint64_t heap(void)
{
    struct mallinfo2 info = mallinfo2();

    return info.uordblks + info.hblkhd;
}

/* What the RMM's tables and descriptors take of the machine's granules. */
static uint64_t granules_in_use(Bench *b)
{
    uint64_t i, used = 0;

    for (i = 0; i < b->m->granules; i++) {
        GranuleState state = granule_state(b->m->rmm, FAKE_POOL_BASE +
                                           i * RMM_GRANULE_SIZE);

        used += state > GRANULE_DELEGATED && state != GRANULE_DATA;
    }
    return used * RMM_GRANULE_SIZE;
}

static void build_realm(Bench *b)
{
    uint64_t ram = b->top + NUM_FREE * RMM_GRANULE_SIZE, before;
    uint64_t granules = ram / RMM_GRANULE_SIZE + ram / (2 << 20) + 256 +
                        b->runs * 64 + NUM_FREE;
    unsigned i;

    b->m = fake_machine_prepare(granules);
    before = heap();
    fake_machine_start(b->m);
    b->r = fake_realm_new(b->m);
    fake_ram(b->m, &b->r, 0, ram);
    fake_data_unknown(b->m, &b->r, 0, pages(b));
    fake_rec(b->m, &b->r, RMI_REC_RUNNABLE, 0x1000);
    CALL(b, RMI_REALM_ACTIVATE, b->r.rd);
    b->metadata = heap() - before + granules_in_use(b);
    b->realm = fake_realm_object(b->m, &b->r);
    check_that(rmm_stage2(b->m->rmm, b->r.rec[0], &b->s2), "stage 2");
    b->free_ipa = b->top;
    for (i = 0; i < NUM_FREE; i++) {
        b->free[i] = fake_granule_ns(b->m);
    }
}

static int compare_times(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static void run_case(Bench *b, unsigned which)
{
    double t[MAX_RUNS], median, aim = cases[which].aim;
    uint64_t n;
    unsigned i;

    for (i = 0; i < b->runs; i++) {
        t[i] = cases[which].run(b, &n);
        t[i] /= n;
    }
    qsort(t, b->runs, sizeof(t[0]), compare_times);
    median = t[b->runs / 2];
    if (!which) {
        b->page_copy = median;
    }
    printf("%-40s %12.1f %14.0f %10.2f", cases[which].name, median * 1e9,
           1 / median, median / b->page_copy);
    if (aim) {
        printf("  aim %.1f: %s", aim * 1e9, median < aim ? "met" : "MISSED");
    }
    printf("\n");
    fflush(stdout);
}

int main(int argc, char **argv)
{
    unsigned mib = argc > 1 ? atoi(argv[1]) : 1024, i;
    Bench b = { .top = (uint64_t)mib << 20,
                .runs = argc > 2 ? atoi(argv[2]) : 7 };
    double percent;

    if (mib < 16 || mib > 3072 || mib % 2 || b.runs < 1 ||
        b.runs > MAX_RUNS) {
        fprintf(stderr, "usage: bench-rmm [MIB [RUNS]]\n");
        return 2;
    }
    build_realm(&b);
    printf("%u MiB, median of %u, CPU time\n%-40s %12s %14s %10s\n", mib,
           b.runs, "", "ns", "a second", "copies");
    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        run_case(&b, i);
    }
    percent = 100.0 * b.metadata / b.top;
    printf("metadata: %.0f bytes a GiB, %.3f %% of the Realm's memory  "
           "aim 1 %%: %s\n", (double)b.metadata / mib * 1024, percent,
           percent < 1 ? "met" : "MISSED");
    fake_machine_free(b.m);
    return 0;
}
