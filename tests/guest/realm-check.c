/*
 * Guest program that notices when a migration damages memory or MTE tags.
 *
 * Each thread owns a region.  A page's data and tags follow from its address,
 * its owner and two generation numbers kept elsewhere, so a stale, swapped,
 * zeroed or flipped page differs from what is expected.  The threads rewrite
 * some pages and verify all of them, in random order, until SIGTERM; then
 * everything is verified once more and a verdict is printed.
 *
 * Other sub-commands write markers, print the clocks or echo TCP;
 * usage() lists them.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef PROT_MTE
#define PROT_MTE 0x20
#endif
#ifndef HWCAP2_MTE
#define HWCAP2_MTE (1 << 18)
#endif

#define PAGE            4096u
#define WORDS           (PAGE / 8)
#define GRANULES        (PAGE / 16)
#define MIB             (1024ul * 1024)
#define UNTAGGED_BLOCK  16u             /* pages per mprotect() block */
#define HOT_EVERY       64u             /* one page in this many is hot */
#define MAX_REPORTS     8
#define SLICE_NS        10000000l       /* a thread wakes this often */
#define MAX_SLICE_S     0.1             /* work owed after a pause is capped */

/*
 * What a page is used for.  Pages of every kind can be untagged; then only
 * the data part of the description applies.
 */
enum kind {
    NORMAL,     /* data and tags rewritten together */
    HOT,        /* as NORMAL, and often */
    ONCE,       /* never rewritten */
    TAGS_ONLY,  /* data written once, tags rewritten by stores of tags alone */
    ZERO,       /* data all zero in even generations; tags rewritten */
};

static const char *const kind_names[] = {
    "normal", "hot", "once", "tags-only", "zero"
};

struct page {
    uint32_t data_gen;
    uint32_t tag_gen;
};

struct region {
    unsigned id;
    bool mte;
    uint8_t *base;
    size_t npages;
    struct page *pages;
    size_t stride;              /* coprime with npages: order of a pass */
    size_t cursor;              /* pages done in this pass */
    uint64_t rng;
    atomic_ulong passes;
    atomic_ulong pages_seen;
    atomic_ulong tags_seen;
    atomic_ulong wrong_bytes;
    atomic_ulong wrong_tags;
    pthread_t thread;
};

struct options {
    unsigned mib;
    unsigned threads;
    double rate;                /* MiB/s rewritten, all threads together */
    double verify;              /* MiB/s verified, all threads together */
    unsigned seconds;
    int nice;
    bool tags_only;             /* every page is of that kind */
};

static struct options opt = {
    .mib = 256, .threads = 4, .rate = 8, .verify = 64, .nice = 5,
};
static atomic_bool stopping;
static atomic_int reports;
static bool quiet;              /* the self-test expects failures */

static void die(const char *what, const char *value, const char *remedy)
{
    fprintf(stderr, "realm-check: %s %s: %s; %s\n", what, value,
            errno ? strerror(errno) : "not usable", remedy);
    exit(1);
}

static bool have_mte(void)
{
    return getauxval(AT_HWCAP2) & HWCAP2_MTE;
}

/* ---- Patterns ---- */

static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    return x ^ (x >> 31);
}

static uint64_t next_random(struct region *r)
{
    r->rng += 0x9e3779b97f4a7c15ull;
    return mix(r->rng);
}

static enum kind page_kind(size_t index)
{
    if (opt.tags_only) {
        return TAGS_ONLY;
    }
    if (index % HOT_EVERY == 7) {
        return HOT;
    }
    switch (mix(index) % 8) {
    case 0:
        return ONCE;
    case 1:
        return TAGS_ONLY;
    case 2:
        return ZERO;
    default:
        return NORMAL;
    }
}

static bool page_tagged(const struct region *r, size_t index)
{
    return r->mte && index / UNTAGGED_BLOCK % 8 != 3;
}

static uint64_t *page_data(const struct region *r, size_t index)
{
    return (uint64_t *)(r->base + index * PAGE);
}

static uint64_t seed_for(const struct region *r, size_t index, uint32_t gen,
                         uint64_t salt)
{
    uint64_t where = (uintptr_t)page_data(r, index);

    return mix(where ^ mix(((uint64_t)gen << 32 | r->id << 8) + salt));
}

/* Word i of a page is start + i * step; a zero page has start = step = 0. */
static void data_series(const struct region *r, size_t index, uint32_t gen,
                        uint64_t *start, uint64_t *step)
{
    bool zero = page_kind(index) == ZERO && gen % 2 == 0;

    *start = zero ? 0 : seed_for(r, index, gen, 1);
    *step = zero ? 0 : 0x9e3779b97f4a7c15ull;
}

/* Tags differ in shape, so that every encoding a migration may use is met. */
static void expected_tags(const struct region *r, size_t index,
                          uint8_t tags[GRANULES])
{
    uint64_t seed = seed_for(r, index, r->pages[index].tag_gen, 2);
    unsigned shape = seed >> 61;
    uint64_t bits = 0;

    for (unsigned g = 0; g < GRANULES; g++) {
        switch (shape) {
        case 0:                                 /* all zero, unless data is */
            tags[g] = page_kind(index) == ZERO ? 1 : 0;
            break;
        case 1:
        case 2:                                 /* uniform */
            tags[g] = 1 + seed % 15;
            break;
        case 3:                                 /* a few runs */
            tags[g] = mix(seed + g / 48) & 15;
            break;
        default:                                /* random */
            bits = g % 16 ? bits >> 4 : mix(seed + g);
            tags[g] = bits & 15;
            break;
        }
    }
}

/* ---- Tag instructions ---- */

static void store_tag(const void *granule, unsigned tag)
{
    uintptr_t p = (uintptr_t)granule | (uintptr_t)tag << 56;

    asm volatile("stg %0, [%0]" : : "r"(p) : "memory");
}

static unsigned load_tag(const void *granule)
{
    uintptr_t p = (uintptr_t)granule;

    asm volatile("ldg %0, [%0]" : "+r"(p) : : "memory");
    return p >> 56 & 15;
}

/* ---- Writing and verifying a page ---- */

static void write_data(struct region *r, size_t index)
{
    uint64_t *p = page_data(r, index), x, step;

    data_series(r, index, r->pages[index].data_gen, &x, &step);
    for (unsigned i = 0; i < WORDS; i++, x += step) {
        p[i] = x;
    }
}

static void write_tags(struct region *r, size_t index)
{
    uint8_t *p = (uint8_t *)page_data(r, index);
    uint8_t tags[GRANULES];

    if (!page_tagged(r, index)) {
        return;
    }
    expected_tags(r, index, tags);
    for (unsigned g = 0; g < GRANULES; g++) {
        store_tag(p + g * 16, tags[g]);
    }
}

static bool may_report(void)
{
    return !quiet && atomic_fetch_add(&reports, 1) < MAX_REPORTS;
}

static bool data_is(const struct region *r, size_t index, uint32_t gen)
{
    const uint64_t *p = page_data(r, index);
    uint64_t x, step;

    data_series(r, index, gen, &x, &step);
    for (unsigned i = 0; i < WORDS; i++, x += step) {
        if (p[i] != x) {
            return false;
        }
    }
    return true;
}

/* Names what a damaged page looks like, to tell the causes apart. */
static void describe_data(const struct region *r, size_t index, char *text,
                          size_t size)
{
    const uint64_t *p = page_data(r, index);
    uint32_t gen = r->pages[index].data_gen;

    for (uint32_t back = 1; back <= 64 && back <= gen; back++) {
        if (data_is(r, index, gen - back)) {
            snprintf(text, size, "stale-by-%u", back);
            return;
        }
    }
    for (size_t other = 0; other < r->npages; other++) {
        uint64_t x, step;

        data_series(r, other, r->pages[other].data_gen, &x, &step);
        if (step && p[0] == x && p[1] == x + step) {
            snprintf(text, size, "contents-of-page-%zu", other);
            return;
        }
    }
    for (unsigned i = 0; i < WORDS; i++) {
        if (p[i]) {
            snprintf(text, size, "damaged");
            return;
        }
    }
    snprintf(text, size, "zero");
}

static unsigned count_wrong_bytes(const struct region *r, size_t index,
                                  unsigned *first)
{
    const uint64_t *p = page_data(r, index);
    uint64_t x, step;
    unsigned wrong = 0;

    data_series(r, index, r->pages[index].data_gen, &x, &step);
    for (unsigned i = 0; i < WORDS; i++, x += step) {
        for (unsigned b = 0; b < 8; b++) {
            if ((p[i] ^ x) >> (b * 8) & 0xff) {
                *first = wrong++ ? *first : i * 8 + b;
            }
        }
    }
    return wrong;
}

static unsigned verify_data(struct region *r, size_t index)
{
    const uint8_t *p = (const uint8_t *)page_data(r, index);
    uint32_t gen = r->pages[index].data_gen;
    unsigned first = 0, wrong;
    char looks[64];
    uint64_t x, step;

    if (data_is(r, index, gen)) {
        return 0;
    }
    wrong = count_wrong_bytes(r, index, &first);
    if (may_report()) {
        describe_data(r, index, looks, sizeof(looks));
        data_series(r, index, gen, &x, &step);
        printf("realm-check: FAIL data address=%p expected=%02x found=%02x "
               "thread=%u page=%zu kind=%s generation=%u wrong=%u looks=%s\n",
               p + first,
               (unsigned)((x + first / 8 * step) >> (first % 8 * 8) & 0xff),
               p[first], r->id, index, kind_names[page_kind(index)], gen,
               wrong, looks);
    }
    write_data(r, index);       /* so that each fault counts once */
    return wrong;
}

static unsigned verify_tags(struct region *r, size_t index)
{
    const uint8_t *p = (const uint8_t *)page_data(r, index);
    uint8_t tags[GRANULES];
    unsigned first = 0, found = 0, wrong = 0;

    if (!page_tagged(r, index)) {
        return 0;
    }
    expected_tags(r, index, tags);
    for (unsigned g = 0; g < GRANULES; g++) {
        unsigned tag = load_tag(p + g * 16);

        if (tag != tags[g] && !wrong++) {
            first = g;
            found = tag;
        }
    }
    if (wrong) {
        if (may_report()) {
            printf("realm-check: FAIL tag address=%p expected=%x found=%x "
                   "thread=%u page=%zu kind=%s generation=%u wrong=%u\n",
                   p + first * 16, tags[first], found, r->id, index,
                   kind_names[page_kind(index)], r->pages[index].tag_gen,
                   wrong);
        }
        write_tags(r, index);
    }
    return wrong;
}

static void add(atomic_ulong *counter, unsigned long n)
{
    atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

static void verify_page(struct region *r, size_t index)
{
    add(&r->wrong_bytes, verify_data(r, index));
    add(&r->wrong_tags, verify_tags(r, index));
    add(&r->pages_seen, 1);
    add(&r->tags_seen, page_tagged(r, index) ? GRANULES : 0);
}

/* Verifies first: a fault must not be hidden by the next generation. */
static void rewrite_page(struct region *r, size_t index)
{
    enum kind kind = page_kind(index);
    struct page *page = &r->pages[index];
    bool data = kind == NORMAL || kind == HOT ||
                (kind == ZERO && next_random(r) % 2);

    if (kind == ONCE) {
        return;
    }
    verify_page(r, index);
    if (data) {
        page->data_gen++;
        write_data(r, index);
    }
    if (!data || next_random(r) % 4) {
        page->tag_gen++;
        write_tags(r, index);
    }
}

/* ---- Regions ---- */

static size_t gcd(size_t a, size_t b)
{
    return b ? gcd(b, a % b) : a;
}

static void new_order(struct region *r)
{
    do {
        r->stride = 1 + next_random(r) % r->npages;
    } while (gcd(r->stride, r->npages) != 1);
    r->cursor = 0;
}

static void tag_blocks(struct region *r)
{
    for (size_t i = 0; i < r->npages; i += UNTAGGED_BLOCK) {
        size_t n = r->npages - i < UNTAGGED_BLOCK ? r->npages - i
                                                  : UNTAGGED_BLOCK;

        if (page_tagged(r, i) &&
            mprotect(page_data(r, i), n * PAGE,
                     PROT_READ | PROT_WRITE | PROT_MTE)) {
            die("mprotect", "PROT_MTE", "boot with -M virt,mte=on -cpu max");
        }
    }
}

static void region_init(struct region *r, unsigned id, size_t npages)
{
    memset(r, 0, sizeof(*r));
    r->id = id;
    r->mte = have_mte();
    r->npages = npages;
    r->rng = mix(id + 1);
    r->base = mmap(NULL, npages * PAGE, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    r->pages = calloc(npages, sizeof(*r->pages));
    if (r->base == MAP_FAILED || !r->pages) {
        die("mmap", "of the checked memory", "use a smaller --memory");
    }
    if (r->mte) {
        tag_blocks(r);
    }
    new_order(r);
    for (size_t i = 0; i < npages; i++) {
        write_data(r, i);
        write_tags(r, i);
    }
}

static void verify_next(struct region *r)
{
    verify_page(r, r->cursor * r->stride % r->npages);
    if (++r->cursor == r->npages) {
        add(&r->passes, 1);
        new_order(r);
    }
}

static void rewrite_some(struct region *r)
{
    size_t hot = r->npages / HOT_EVERY;

    if (hot && next_random(r) % 2) {
        rewrite_page(r, next_random(r) % hot * HOT_EVERY + 7);
    } else {
        rewrite_page(r, next_random(r) % r->npages);
    }
}

/* ---- The check ---- */

static double seconds(clockid_t clock)
{
    struct timespec ts;

    clock_gettime(clock, &ts);
    return ts.tv_sec + ts.tv_nsec / 1e9;
}

static void *check_thread(void *opaque)
{
    struct region *r = opaque;
    struct timespec pause = { .tv_nsec = SLICE_NS };
    double pages_per_mib = (double)MIB / PAGE / opt.threads;
    double then = seconds(CLOCK_MONOTONIC), write = 0, verify = 0;

    while (!atomic_load(&stopping)) {
        double now = seconds(CLOCK_MONOTONIC), dt = now - then;

        then = now;
        dt = dt < 0 || dt > MAX_SLICE_S ? MAX_SLICE_S : dt;
        write += dt * opt.rate * pages_per_mib;
        verify += dt * opt.verify * pages_per_mib;
        for (; write >= 1; write--) {
            rewrite_some(r);
        }
        for (; verify >= 1 && !atomic_load(&stopping); verify--) {
            verify_next(r);
        }
        nanosleep(&pause, NULL);
    }
    for (size_t i = 0; i < r->npages; i++) {
        verify_page(r, i);
    }
    return NULL;
}

struct totals {
    unsigned long passes, pages, tags, wrong_bytes, wrong_tags;
};

static struct totals sum_up(struct region *regions)
{
    struct totals t = { .passes = ~0ul };

    for (unsigned i = 0; i < opt.threads; i++) {
        struct region *r = &regions[i];

        t.passes = r->passes < t.passes ? r->passes : t.passes;
        t.pages += r->pages_seen;
        t.tags += r->tags_seen;
        t.wrong_bytes += r->wrong_bytes;
        t.wrong_tags += r->wrong_tags;
    }
    return t;
}

static void print_line(struct region *regions)
{
    struct totals t = sum_up(regions);

    printf("realm-check: t=%.0f pass=%lu pages=%lu tags=%lu wrong_bytes=%lu "
           "wrong_tags=%lu\n", seconds(CLOCK_MONOTONIC) * 1000, t.passes,
           t.pages, t.tags, t.wrong_bytes, t.wrong_tags);
}

static int print_verdict(struct region *regions)
{
    unsigned long bytes = 0, tags = 0;
    struct totals t = sum_up(regions);
    bool ok = !t.wrong_bytes && !t.wrong_tags;

    for (unsigned i = 0; i < opt.threads; i++) {
        for (size_t p = 0; p < regions[i].npages; p++) {
            bytes += PAGE;
            tags += page_tagged(&regions[i], p) ? GRANULES : 0;
        }
    }
    printf("realm-check: verdict %s bytes=%lu tags=%lu passes=%lu "
           "wrong_bytes=%lu wrong_tags=%lu\n", ok ? "OK" : "FAIL", bytes, tags,
           t.passes + 1, t.wrong_bytes, t.wrong_tags);
    return ok ? 0 : 1;
}

/* Blocks the signals that end a sub-command; wait_for_end() takes them. */
static sigset_t block_end_signals(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return set;
}

/* Returns whether the program shall end, after at most a second. */
static bool wait_for_end(const sigset_t *set)
{
    struct timespec second = { .tv_sec = 1 };

    return sigtimedwait(set, NULL, &second) > 0;
}

static int run_check(void)
{
    sigset_t set = block_end_signals();
    struct region *regions = calloc(opt.threads, sizeof(*regions));
    unsigned left = opt.seconds;

    if (nice(opt.nice) == -1) {
        /* Not permitted: the check is merely less gentle. */
    }
    for (unsigned i = 0; i < opt.threads; i++) {
        region_init(&regions[i], i, opt.mib * (MIB / PAGE) / opt.threads);
    }
    printf("realm-check: start memory=%uMiB threads=%u rate=%g verify=%g "
           "mte=%s\n", opt.mib, opt.threads, opt.rate, opt.verify,
           have_mte() ? "yes" : "no");
    for (unsigned i = 0; i < opt.threads; i++) {
        if (pthread_create(&regions[i].thread, NULL, check_thread,
                           &regions[i])) {
            die("pthread_create", "of a checker", "use fewer --threads");
        }
    }
    do {
        print_line(regions);
    } while (!wait_for_end(&set) && (!opt.seconds || --left));
    atomic_store(&stopping, true);
    for (unsigned i = 0; i < opt.threads; i++) {
        pthread_join(regions[i].thread, NULL);
    }
    return print_verdict(regions);
}

/* ---- Self-test: every kind of damage is noticed ---- */

static size_t victim, other;    /* two tagged pages of kind NORMAL */

static void copy_tags(struct region *r, size_t index, uint8_t *tags)
{
    for (unsigned g = 0; g < GRANULES; g++) {
        tags[g] = load_tag((uint8_t *)page_data(r, index) + g * 16);
    }
}

static void put_tags(struct region *r, size_t index, const uint8_t *tags)
{
    for (unsigned g = 0; g < GRANULES; g++) {
        store_tag((uint8_t *)page_data(r, index) + g * 16, tags[g]);
    }
}

static void damage_nothing(struct region *r)
{
}

static void damage_byte(struct region *r)
{
    ((uint8_t *)page_data(r, victim))[1234] ^= 0x10;
}

static void damage_tag(struct region *r)
{
    uint8_t *granule = (uint8_t *)page_data(r, victim) + 77 * 16;

    store_tag(granule, load_tag(granule) ^ 1);
}

static void damage_swap_data(struct region *r)
{
    uint8_t copy[PAGE];

    memcpy(copy, page_data(r, victim), PAGE);
    memcpy(page_data(r, victim), page_data(r, other), PAGE);
    memcpy(page_data(r, other), copy, PAGE);
}

static void damage_swap_tags(struct region *r)
{
    uint8_t first[GRANULES], second[GRANULES];

    copy_tags(r, victim, first);
    copy_tags(r, other, second);
    put_tags(r, victim, second);
    put_tags(r, other, first);
}

static void damage_stale_data(struct region *r)
{
    uint8_t copy[PAGE];

    memcpy(copy, page_data(r, victim), PAGE);
    r->pages[victim].data_gen++;
    write_data(r, victim);
    memcpy(page_data(r, victim), copy, PAGE);
}

static void damage_stale_tags(struct region *r)
{
    uint8_t copy[GRANULES];

    copy_tags(r, victim, copy);
    r->pages[victim].tag_gen++;
    write_tags(r, victim);
    put_tags(r, victim, copy);
}

static void damage_zero_data(struct region *r)
{
    memset(page_data(r, victim), 0, PAGE);
}

static void damage_zero_tags(struct region *r)
{
    put_tags(r, victim, (uint8_t[GRANULES]){ 0 });
}

static const struct damage {
    const char *name;
    void (*apply)(struct region *r);
    bool tags;                          /* damages tags; needs MTE */
    unsigned min, max;                  /* wrong bytes or tags expected */
} damages[] = {
    { "nothing",    damage_nothing,    false, 0, 0 },
    { "byte-flip",  damage_byte,       false, 1, 1 },
    { "swapped",    damage_swap_data,  false, PAGE, 2 * PAGE },
    { "stale",      damage_stale_data, false, PAGE / 2, PAGE },
    { "zeroed",     damage_zero_data,  false, PAGE / 2, PAGE },
    { "tag-flip",   damage_tag,        true, 1, 1 },
    { "tags-swapped", damage_swap_tags,  true, 2, 2 * GRANULES },
    { "tags-stale",   damage_stale_tags, true, 1, GRANULES },
    { "tags-zeroed",  damage_zero_tags,  true, 1, GRANULES },
};

static bool notice(struct region *r, const struct damage *d)
{
    unsigned long bytes, tags;
    bool ok;

    atomic_store(&r->wrong_bytes, 0);
    atomic_store(&r->wrong_tags, 0);
    d->apply(r);
    for (size_t i = 0; i < r->npages; i++) {
        verify_next(r);
    }
    bytes = r->wrong_bytes;
    tags = r->wrong_tags;
    ok = d->tags ? !bytes && tags >= d->min && tags <= d->max
                 : !tags && bytes >= d->min && bytes <= d->max;
    printf("realm-check: selftest %s wrong_bytes=%lu wrong_tags=%lu %s\n",
           d->name, bytes, tags, ok ? "ok" : "NOT AS EXPECTED");
    return ok;
}

/* Moves a page to a generation whose tags are random, hence not all alike. */
static void want_random_tags(struct region *r, size_t index)
{
    while (seed_for(r, index, r->pages[index].tag_gen, 2) >> 63 == 0) {
        r->pages[index].tag_gen++;
    }
    write_tags(r, index);
}

static size_t normal_page(size_t from)
{
    while (page_kind(from) != NORMAL || from / UNTAGGED_BLOCK % 8 == 3) {
        from++;
    }
    return from;
}

static int selftest(void)
{
    struct region r;
    bool ok = true;

    region_init(&r, 0, 512);
    victim = normal_page(0);
    other = normal_page(victim + 1);
    quiet = true;
    for (unsigned i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
        if (damages[i].tags && !r.mte) {
            continue;
        }
        want_random_tags(&r, victim);
        want_random_tags(&r, other);
        ok &= notice(&r, &damages[i]);
    }
    printf("realm-check: selftest %s mte=%s\n", ok ? "OK" : "FAIL",
           r.mte ? "yes" : "no");
    return ok ? 0 : 1;
}

/* ---- Markers ---- */

static void put_reversed(char *to, const char *text)
{
    for (size_t n = strlen(text); n; n--) {
        *to++ = text[n - 1];
    }
}

static uint8_t *map_locked(size_t size)
{
    uint8_t *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED || mlock(p, size)) {
        die("mlock", "of private memory", "run as root, give the guest memory");
    }
    return p;
}

static int marker_private(const char *text)
{
    sigset_t set = block_end_signals();
    uint8_t *p = map_locked(64 * PAGE);

    for (unsigned i = 0; i < 64; i++) {
        put_reversed((char *)p + i * PAGE + i * 48, text);
    }
    printf("marker-private: ready\n");
    while (!wait_for_end(&set)) {
        p[0] = p[0];            /* stay, and keep the memory in use */
    }
    return 0;
}

/* The data leave the guest through its DMA (bounce) buffers. */
static int marker_shared(const char *device, const char *text)
{
    size_t size = 64 * PAGE, step = strlen(text) + 1;
    uint8_t *p = map_locked(size);
    int fd = open(device, O_WRONLY | O_DIRECT | O_SYNC);

    if (fd < 0) {
        die("open", device, "give the guest a virtio-blk disk");
    }
    for (size_t at = 0; at + step <= size; at += step) {
        put_reversed((char *)p + at, text);
    }
    if (pwrite(fd, p, size, 0) != (ssize_t)size || fsync(fd)) {
        die("write", device, "give the disk at least 256 KiB");
    }
    printf("marker-shared: ready\n");
    return 0;
}

/* ---- Small services ---- */

static int print_clocks(void)
{
    printf("clock: monotonic=%.3f realtime=%.3f\n", seconds(CLOCK_MONOTONIC),
           seconds(CLOCK_REALTIME));
    return 0;
}

static void echo(int fd)
{
    char buf[4096];
    ssize_t n;

    while ((n = read(fd, buf, sizeof(buf))) > 0) {
        for (ssize_t done = 0, m; done < n; done += m) {
            m = write(fd, buf + done, n - done);
            if (m <= 0) {
                return;
            }
        }
    }
}

static int tcp_echo(const char *port)
{
    struct sockaddr_in any = {
        .sin_family = AF_INET, .sin_port = htons(atoi(port)),
    };
    int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0), peer;

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    signal(SIGCHLD, SIG_IGN);
    if (bind(fd, (struct sockaddr *)&any, sizeof(any)) || listen(fd, 8)) {
        die("listen on TCP port", port, "choose a free port");
    }
    printf("tcp-echo: ready\n");
    while ((peer = accept(fd, NULL, NULL)) >= 0) {
        if (fork() == 0) {
            echo(peer);
            _exit(0);
        }
        close(peer);
    }
    die("accept on TCP port", port, "see the guest's log");
    return 1;
}

/* ---- Command line ---- */

static void usage(FILE *to)
{
    fprintf(to,
"usage: realm-check [--memory MIB] [--threads N] [--rate MIB/S]\n"
"                   [--verify MIB/S] [--seconds N] [--nice N] [--tags-only]\n"
"           check memory and tags until SIGTERM, or for N seconds;\n"
"           --tags-only: from then on only tags are written\n"
"       realm-check --selftest             notice damage made on purpose\n"
"       realm-check --marker-private TEXT-REVERSED\n"
"       realm-check --marker-shared DEVICE TEXT-REVERSED\n"
"       realm-check --clock\n"
"       realm-check --tcp-echo PORT\n");
}

static const struct option long_options[] = {
    { "memory",  required_argument, NULL, 'm' },
    { "threads", required_argument, NULL, 't' },
    { "rate",    required_argument, NULL, 'r' },
    { "verify",  required_argument, NULL, 'v' },
    { "seconds", required_argument, NULL, 's' },
    { "nice",    required_argument, NULL, 'n' },
    { "tags-only", no_argument,     NULL, 'T' },
    { "help",    no_argument,       NULL, 'h' },
    { NULL }
};

static double number(const char *text, double min, double max)
{
    char *end;
    double value = strtod(text, &end);

    if (*end || end == text || value < min || value > max) {
        fprintf(stderr, "realm-check: '%s' is not a number from %g to %g\n",
                text, min, max);
        exit(1);
    }
    return value;
}

static void parse_options(int argc, char **argv)
{
    int c;

    while ((c = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        switch (c) {
        case 'm':
            opt.mib = number(optarg, 1, 1 << 20);
            break;
        case 't':
            opt.threads = number(optarg, 1, 256);
            break;
        case 'r':
            opt.rate = number(optarg, 0, 1e6);
            break;
        case 'v':
            opt.verify = number(optarg, 0, 1e6);
            break;
        case 's':
            opt.seconds = number(optarg, 1, 1e6);
            break;
        case 'n':
            opt.nice = number(optarg, 0, 19);
            break;
        case 'T':
            opt.tags_only = true;
            break;
        default:
            usage(c == 'h' ? stdout : stderr);
            exit(c == 'h' ? 0 : 1);
        }
    }
    if (optind < argc) {
        usage(stderr);
        exit(1);
    }
}

int main(int argc, char **argv)
{
    const char *command = argc > 1 ? argv[1] : "";

    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc == 2 && !strcmp(command, "--selftest")) {
        return selftest();
    } else if (argc == 2 && !strcmp(command, "--clock")) {
        return print_clocks();
    } else if (argc == 3 && !strcmp(command, "--marker-private")) {
        return marker_private(argv[2]);
    } else if (argc == 4 && !strcmp(command, "--marker-shared")) {
        return marker_shared(argv[2], argv[3]);
    } else if (argc == 3 && !strcmp(command, "--tcp-echo")) {
        return tcp_echo(argv[2]);
    }
    parse_options(argc, argv);
    return run_check();
}
