/*
 * Guest program that the benchmarks of migration run: memory that cannot be
 * compressed, with tags on some of its pages, of which a part is written all
 * the time.
 *
 * It fills its memory, says so, and at SIGTERM verifies all of it: the sum over
 * what is written once, the generation of each page that is written again, and
 * the tags.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#define _GNU_SOURCE
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#ifndef PROT_MTE
#define PROT_MTE 0x20
#endif

#define PAGE       4096ul
#define WORDS      (PAGE / sizeof(uint64_t))
#define GRANULE    16u
#define PER_MIB    (1024 * 1024 / PAGE)
#define SLICE_NS   10000000             /* it writes this often */
#define MAX_DEBT_S 0.1                  /* what a pause may leave to do */

struct load {
    unsigned mib;
    unsigned tagged;                    /* percent of the pages */
    bool random_tags;                   /* else one tag a page */
    double rate;                        /* MiB/s that become dirty */
    unsigned dirty_mib;                 /* they are these, from the start on */
    uint64_t *base;
    uint64_t sum;
    uint64_t writes;                    /* pages, in order, again and again */
};

static uint64_t next_random(uint64_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 7;
    *x ^= *x << 17;
    return *x;
}

static uint64_t pages(const struct load *l)
{
    return l->mib * PER_MIB;
}

static uint64_t dirty_pages(const struct load *l)
{
    return l->rate ? l->dirty_mib * PER_MIB : 0;
}

static bool is_tagged(const struct load *l, uint64_t page)
{
    return page * l->tagged / 100 != (page + 1) * l->tagged / 100;
}

/* ---- Tags ---- */

static unsigned tag_of(const struct load *l, uint64_t page, uint64_t *x)
{
    return l->random_tags ? next_random(x) >> 60 : 1 + page % 15;
}

static void store_tags(struct load *l, uint64_t page)
{
    uintptr_t at = (uintptr_t)(l->base + page * WORDS);
    uint64_t x = page + 1;

    for (uintptr_t end = at + PAGE; at < end; at += GRANULE) {
        uintptr_t pointer = at | (uintptr_t)tag_of(l, page, &x) << 56;

        asm volatile("stg %0, [%0]" : : "r"(pointer) : "memory");
    }
}

static uint64_t wrong_tags(const struct load *l, uint64_t page)
{
    uintptr_t at = (uintptr_t)(l->base + page * WORDS);
    uint64_t x = page + 1, wrong = 0;

    for (uintptr_t end = at + PAGE; at < end; at += GRANULE) {
        uintptr_t pointer = at;

        asm volatile("ldg %0, [%0]" : "+r"(pointer) : : "memory");
        wrong += (pointer >> 56 & 15) != tag_of(l, page, &x);
    }
    return wrong;
}

/* ---- Data ---- */

static void map(struct load *l)
{
    int prot = PROT_READ | PROT_WRITE | (l->tagged ? PROT_MTE : 0);

    l->base = mmap(NULL, pages(l) * PAGE, prot, MAP_PRIVATE | MAP_ANONYMOUS,
                   -1, 0);
    if (l->base == MAP_FAILED || mlock(l->base, pages(l) * PAGE)) {
        perror("bench-load: memory; give the guest more, and mte=on for tags");
        exit(1);
    }
}

/* A page's first word is its generation if it is written again. */
static uint64_t sum_up(const struct load *l)
{
    uint64_t sum = 0, i;

    for (i = 0; i < pages(l) * WORDS; i++) {
        if (i % WORDS || i / WORDS >= dirty_pages(l)) {
            sum = (sum << 1 | sum >> 63) ^ l->base[i];
        }
    }
    return sum;
}

static void fill(struct load *l)
{
    uint64_t x = 88172645463325252ull, i;

    for (i = 0; i < pages(l) * WORDS; i++) {
        l->base[i] = next_random(&x);
    }
    for (i = 0; i < dirty_pages(l); i++) {
        l->base[i * WORDS] = 0;
    }
    for (i = 0; l->tagged && i < pages(l); i++) {
        if (is_tagged(l, i)) {
            store_tags(l, i);
        }
    }
    l->sum = sum_up(l);
}

static void write_pages(struct load *l, uint64_t n)
{
    volatile uint64_t *base = l->base;

    for (; n; n--, l->writes++) {
        base[l->writes % dirty_pages(l) * WORDS]++;
    }
}

static bool verify(const struct load *l)
{
    uint64_t dirty = dirty_pages(l), old = 0, tags = 0, i;
    bool same = sum_up(l) == l->sum;

    for (i = 0; i < dirty; i++) {
        uint64_t generation = l->writes / dirty + (i < l->writes % dirty);

        old += l->base[i * WORDS] != generation;
    }
    for (i = 0; l->tagged && i < pages(l); i++) {
        tags += is_tagged(l, i) ? wrong_tags(l, i) : 0;
    }
    printf("fill: verdict %s data=%s wrong-generations=%" PRIu64
           " wrong-tags=%" PRIu64 " written=%" PRIu64 "\n",
           same && !old && !tags ? "OK" : "FAIL", same ? "same" : "changed",
           old, tags, l->writes);
    return same && !old && !tags;
}

/* ---- The whole ---- */

static double seconds(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec + ts.tv_nsec / 1e9;
}

/* Until SIGTERM. */
static void run(struct load *l, const sigset_t *set)
{
    struct timespec slice = { .tv_nsec = SLICE_NS }, second = { .tv_sec = 1 };
    double then = seconds(), debt = 0;

    while (sigtimedwait(set, NULL, l->rate ? &slice : &second) < 0) {
        double now = seconds(), passed = now - then;

        then = now;
        debt += (passed > MAX_DEBT_S ? MAX_DEBT_S : passed) * l->rate * PER_MIB;
        write_pages(l, l->rate ? debt : 0);
        debt -= (uint64_t)debt;
    }
}

static const struct option options[] = {
    { "mib",    required_argument, NULL, 'm' },
    { "tagged", required_argument, NULL, 't' },
    { "random", no_argument,       NULL, 'r' },
    { "dirty",  required_argument, NULL, 'd' },
    { "region", required_argument, NULL, 'e' },
    { NULL }
};

static bool parse(struct load *l, int argc, char **argv)
{
    int c;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (c) {
        case 'm':
            l->mib = atoi(optarg);
            break;
        case 't':
            l->tagged = atoi(optarg);
            break;
        case 'r':
            l->random_tags = true;
            break;
        case 'd':
            l->rate = atof(optarg);
            break;
        case 'e':
            l->dirty_mib = atoi(optarg);
            break;
        default:
            return false;
        }
    }
    return optind == argc && l->mib && l->tagged <= 100 && l->rate >= 0 &&
           l->dirty_mib && (!l->rate || l->dirty_mib <= l->mib);
}

int main(int argc, char **argv)
{
    struct load l = { .mib = 256, .dirty_mib = 128 };
    sigset_t set;

    setvbuf(stdout, NULL, _IOLBF, 0);
    if (!parse(&l, argc, argv)) {
        fprintf(stderr, "usage: bench-load [--mib MIB] [--tagged PERCENT "
                "[--random]]\n                  [--dirty MIB/S "
                "[--region MIB]]\n");
        return 1;
    }
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    map(&l);
    fill(&l);
    printf("fill: ready %016" PRIx64 "\n", l.sum);
    run(&l, &set);
    return !verify(&l);
}
