/*
 * What is left of secrets in this program's memory when a session is over
 *
 * One scan looks for all secrets together.  It reads all memory that the
 * program can write, through /proc/self/mem, and skips pages that were never
 * written (/proc/self/pagemap).  The program keeps the secrets behind a mask,
 * and unmasks them for the time of a scan in memory that the scan leaves out:
 * so it does not find its own copies.  It looks for 24 bytes from the middle of
 * each secret, since X25519 changes bits at both ends of its own copy.
 *
 * With --figures the last line says how much memory the scans read.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#define _GNU_SOURCE             /* memmem */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "mig-steps.h"
#include "rmm-internal.h"
#include "session.h"

enum { MASK = 0xa5, SKIP = 4, PATTERN = 24 };

typedef struct Secret {
    const char *name;
    uint8_t masked[PATTERN];
} Secret;

static void learn(Secret *secret, const char *name, const uint8_t *plain)
{
    secret->name = name;
    for (int i = 0; i < PATTERN; i++) {
        secret->masked[i] = plain[SKIP + i] ^ MASK;
    }
}

/* ---- the scan ---- */

#define PAGE          4096
#define PIECE         (1u << 20)
#define MAX_SECRETS   5
/* Larger than all that a test has: the shadow of a sanitizer, no memory */
#define SHADOW        (1ull << 34)

/* The scan's own memory, the only one it does not look at */
static struct {
    uint8_t window[PIECE];
    uint8_t pattern[MAX_SECRETS][PATTERN];
} own;

/* What all scans looked at so far */
static struct {
    unsigned scans, secrets, wrong;
    uint64_t mappings, bytes, read;
} figures;

typedef struct Scan {
    const Secret *const *secrets;
    unsigned count;
    unsigned found[MAX_SECRETS];
    int mem, pagemap;
} Scan;

static void search(Scan *scan, size_t size, uint64_t address,
                   const char *name)
{
    for (unsigned i = 0; i < scan->count; i++) {
        const uint8_t *at = own.window, *end = at + size;

        while ((at = memmem(at, end - at, own.pattern[i], PATTERN))) {
            g_test_message("%s at %#" PRIx64 " of %s",
                           scan->secrets[i]->name,
                           address + (at - own.window), name);
            scan->found[i]++;
            at++;
        }
    }
}

/*
 * How many of @size bytes from @from on are in pages that were all written
 * to, or all not: *@there says which.  All were if the kernel does not say.
 */
static size_t alike(const Scan *scan, uint64_t from, size_t size, bool *there)
{
    static uint64_t entries[PIECE / PAGE + 1];
    uint64_t first = from / PAGE;
    size_t pages = (from + size - 1) / PAGE - first + 1;
    size_t want = pages * sizeof(*entries);

    *there = true;
    if (pread(scan->pagemap, entries, want, first * sizeof(*entries)) !=
        want) {
        return size;
    }
    *there = entries[0] >> 62;          /* in memory, or swapped out */
    for (size_t i = 1; i < pages; i++) {
        if (!(entries[i] >> 62) == *there) {
            return (first + i) * PAGE - from;
        }
    }
    return size;
}

/* How much of what begins at *@from can be looked at; skips what is ours */
static size_t next_piece(uint64_t *from, uint64_t to)
{
    const uint64_t ours = (uintptr_t)&own, end = ours + sizeof(own);

    if (*from >= ours && *from < end) {
        *from = MIN(end, to);
    }
    to = MIN(to, *from + PIECE);
    return (*from < ours ? MIN(to, MAX(ours, *from)) : to) - *from;
}

/* One mapping, in pieces that overlap by a pattern */
static void scan_mapping(Scan *scan, uint64_t from, uint64_t to,
                         const char *name)
{
    while (from < to) {
        size_t want = next_piece(&from, to);
        ssize_t got = 0;
        bool there;

        want = want ? alike(scan, from, want, &there) : 0;
        if (want >= PATTERN && there) {
            got = pread(scan->mem, own.window, want, from);
            if (got <= 0) {
                break;          /* not readable: [vvar] */
            }
            search(scan, got, from, name);
            figures.read += got;
        }
        from += got ? got : want;
        if (got >= PATTERN && from < to) {
            from -= PATTERN - 1;
        }
    }
}

static void scan_all(Scan *scan)
{
    static char line[512], name[400];
    FILE *maps = fopen("/proc/self/maps", "r");
    uint64_t before = figures.read;

    g_assert_nonnull(maps);
    while (fgets(line, sizeof(line), maps)) {
        uint64_t from, to;
        char mode[5];

        name[0] = 0;
        g_assert_cmpint(sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %*s %*s %*s"
                               " %399s", &from, &to, mode, name), >=, 3);
        if (mode[0] == 'r' && mode[1] == 'w' && to - from < SHADOW) {
            scan_mapping(scan, from, to, name);
            figures.mappings++;
            figures.bytes += to - from;
        }
    }
    fclose(maps);
    g_assert_cmpuint(figures.read - before, >, 1 << 18);
}

/* How often each of @secrets stands in what this program can write to */
static Scan scan_for(const Secret *const *secrets, unsigned count)
{
    Scan scan = {
        .secrets = secrets, .count = count,
        .mem = open("/proc/self/mem", O_RDONLY),
        .pagemap = open("/proc/self/pagemap", O_RDONLY),
    };

    g_assert_cmpint(scan.mem, >=, 0);
    g_assert_cmpuint(count, <=, MAX_SECRETS);
    for (unsigned i = 0; i < count; i++) {
        for (int b = 0; b < PATTERN; b++) {
            own.pattern[i][b] = secrets[i]->masked[b] ^ MASK;
        }
    }
    scan_all(&scan);
    memset(&own, 0, sizeof(own));
    close(scan.mem);
    if (scan.pagemap >= 0) {
        close(scan.pagemap);
    }
    figures.scans++;
    figures.secrets += count;
    return scan;
}

static unsigned scan(const Secret *secret)
{
    return scan_for(&secret, 1).found[0];
}

/* ---- sessions ---- */

/*
 * What a machine drew, in order: X25519 secret, nonce, abort secret.  The nonce
 * of PREPARE is drawn before anybody looks.
 */
typedef struct Draws {
    unsigned count;
    Secret secrets[3];
    uint8_t first[32];          /* all of the X25519 secret, masked */
} Draws;

static void drawn(void *opaque, const void *buf, size_t len)
{
    Draws *draws = opaque;

    g_assert_cmpuint(draws->count, <, 3);
    g_assert_cmpuint(len, ==, 32);
    for (int i = 0; !draws->count && i < 32; i++) {
        draws->first[i] = ((const uint8_t *)buf)[i] ^ MASK;
    }
    learn(&draws->secrets[draws->count++], "a draw", buf);
}

typedef struct Course {
    Machine *src, *dst;
    Draws of_src, of_dst;
    Secret key, back;
} Course;

static Course course_new(void)
{
    Course c = { source_new(&machine_defaults, 6),
                 machine_new(&machine_defaults) };

    return c;
}

/*
 * The back key is in its cipher only: derive it again, as the source did, from
 * what that drew.
 */
static void learn_back(Course *c, const Record *offer)
{
    MigSession *s = machine_session(c->src);
    MigHello hello;
    uint8_t secret[32];
    MigKeys keys;

    memcpy(&hello, offer->data, sizeof(hello));
    for (int i = 0; i < 32; i++) {
        secret[i] = c->of_src.first[i] ^ MASK;
    }
    g_assert_true(session_derive(&keys, secret, hello.public_key, &s->offer,
                                 &s->hello));
    g_assert_cmpmem(keys.forward, 32, s->key, 32);
    learn(&c->back, "back key", keys.back);
    secret_wipe(secret, sizeof(secret));
    secret_wipe(&keys, sizeof(keys));
}

static void course_run(Course *c)
{
    Record *offer, *begin;
    uint64_t result;

    OK(machine_prepare(c->src, c->dst));
    c->src->drawn = c->dst->drawn = drawn;
    c->src->drawn_opaque = &c->of_src;
    c->dst->drawn_opaque = &c->of_dst;
    OK(machine_offer(c->dst, &offer));
    OK(machine_accept(c->src, offer));
    learn_back(c, offer);
    g_byte_array_unref(offer);
    begin = machine_export(c->src, MIG_EXPORT_BEGIN, 0, &result);
    learn(&c->key, "session key", machine_session(c->src)->key);
    step_take(c->dst, begin);
    step_round(c->src, c->dst, 2, 2);
    c->of_src.secrets[0].name = "X25519 secret of the source";
    c->of_dst.secrets[0].name = "X25519 secret of the destination";
    c->of_dst.secrets[2].name = "abort secret";
    g_assert_cmpuint(c->of_src.count, ==, 2);
    g_assert_cmpuint(c->of_dst.count, ==, 3);
}

static void all_nowhere(const Secret *const *secrets, unsigned count)
{
    Scan scan = scan_for(secrets, count);

    for (unsigned i = 0; i < count; i++) {
        figures.wrong += scan.found[i];
        g_assert_cmpuint(scan.found[i], ==, 0);
    }
}

static void assert_nowhere(const Secret *secret)
{
    all_nowhere(&secret, 1);
}

static void keys_are_nowhere(const Course *c)
{
    const Secret *keys[] = {
        &c->key, &c->of_src.secrets[0], &c->of_dst.secrets[0]
    };

    all_nowhere(keys, G_N_ELEMENTS(keys));
}

static void nothing_is_left(const Course *c)
{
    const Secret *secrets[] = {
        &c->key, &c->back, &c->of_src.secrets[0], &c->of_dst.secrets[0],
        &c->of_dst.secrets[2]
    };

    all_nowhere(secrets, G_N_ELEMENTS(secrets));
}

static void course_free(Course *c)
{
    machine_free(c->src);
    machine_free(c->dst);
}

/* The scan can find: on the heap, on the stack, and what is no secret */
static void test_the_scan_finds_what_is_there(void)
{
    Course c = course_new();
    uint8_t *copy = g_malloc(32), on_stack[32];
    Secret secret;

    for (int i = 0; i < 32; i++) {
        copy[i] = 7 * i + 3;
    }
    learn(&secret, "planted", copy);
    g_assert_cmpuint(scan(&secret), ==, 1);
    memcpy(on_stack, copy, 32);
    g_assert_cmpuint(scan(&secret), ==, 2);
    memset(copy, 0, 32);
    g_assert_cmpuint(scan(&secret), ==, 1);
    secret_wipe(on_stack, 32);
    g_assert_cmpuint(scan(&secret), ==, 0);
    g_free(copy);

    course_run(&c);
    /* X25519's are gone before the first page leaves */
    assert_nowhere(&c.of_src.secrets[0]);
    assert_nowhere(&c.of_dst.secrets[0]);
    /* While it lasts: in both sessions, and in the ciphers */
    g_assert_cmpuint(scan(&c.key), >=, 2);
    g_assert_cmpuint(scan(&c.back), >=, 2);
    g_assert_cmpuint(scan(&c.of_dst.secrets[2]), ==, 1);
    g_assert_cmpuint(scan(&c.of_dst.secrets[1]), >=, 1);   /* a nonce */
    step_finish(c.src, c.dst);
    g_assert_cmpuint(scan(&c.of_dst.secrets[1]), >=, 1);
    course_free(&c);
}

static void test_after_the_receipt_there_are_no_secrets(void)
{
    Course c = course_new();
    Record *receipt;

    course_run(&c);
    step_finish(c.src, c.dst);
    keys_are_nowhere(&c);
    assert_nowhere(&c.of_dst.secrets[2]);
    /* The source waits with it for the receipt */
    g_assert_cmpuint(scan(&c.back), >=, 1);
    OK(machine_receipt(c.dst, &receipt));
    OK(machine_finish(c.src, receipt));
    nothing_is_left(&c);
    g_byte_array_unref(receipt);
    course_free(&c);
    nothing_is_left(&c);
}

/* It is destroyed while it waits. */
static void test_a_sealed_realm_takes_its_back_key_with_it(void)
{
    Course c = course_new();

    course_run(&c);
    step_finish(c.src, c.dst);
    course_free(&c);
    nothing_is_left(&c);
}

static void test_a_resumed_source_has_no_keys(void)
{
    Course c = course_new();
    Record *token;

    course_run(&c);
    step_seal(c.src, c.dst);
    OK(machine_abort(c.dst, &token));
    g_assert_cmpuint(scan(&c.back), >=, 1);
    OK(machine_resume(c.src, token));
    keys_are_nowhere(&c);
    assert_nowhere(&c.back);
    g_byte_array_unref(token);
    course_free(&c);
}

static void test_a_sealed_source_has_no_keys(void)
{
    Course c = course_new();

    course_run(&c);
    step_seal(c.src, c.dst);
    keys_are_nowhere(&c);
    g_assert_cmpuint(scan(&c.of_dst.secrets[2]), ==, 1);
    course_free(&c);
    assert_nowhere(&c.of_dst.secrets[2]);       /* gone with the Realm */
}

static void test_after_an_abort_there_are_no_keys(void)
{
    Course c = course_new();
    Record *token;

    course_run(&c);
    OK(MIG(c.src, MIG_EXPORT_ABORT));
    OK(machine_abort(c.dst, &token));
    keys_are_nowhere(&c);
    assert_nowhere(&c.back);
    /* The abort secret is out: here, in host memory, and in the session */
    g_assert_cmpuint(scan(&c.of_dst.secrets[2]), ==, 3);
    g_byte_array_unref(token);
    course_free(&c);
}

static void test_a_failed_import_has_no_keys(void)
{
    Course c = course_new();
    Record *bad = g_byte_array_new();

    course_run(&c);
    g_byte_array_set_size(bad, 64);
    memset(bad->data, 0, 64);
    g_assert_cmphex(machine_receive(c.dst, bad), ==,
                    REFUSED(MIG_CAUSE_FORMAT));
    OK(MIG(c.src, MIG_EXPORT_ABORT));
    keys_are_nowhere(&c);
    assert_nowhere(&c.back);
    g_byte_array_unref(bad);
    course_free(&c);
}

/* An offer that was never answered; and one that is answered wrongly */
static void test_an_offer_leaves_no_secrets(void)
{
    Course c = course_new();
    Record *offer;

    c.dst->drawn = drawn;
    c.dst->drawn_opaque = &c.of_dst;
    OK(machine_offer(c.dst, &offer));
    c.of_dst.secrets[0].name = "X25519 secret of the destination";
    c.of_dst.secrets[2].name = "abort secret";
    g_assert_cmpuint(scan(&c.of_dst.secrets[0]), ==, 1);
    g_byte_array_set_size(offer, 2 * MIG_BEGIN_FIXED);
    g_assert_cmphex(machine_receive(c.dst, offer), ==,
                    REFUSED(MIG_CAUSE_FORMAT));
    assert_nowhere(&c.of_dst.secrets[0]);
    g_byte_array_unref(offer);
    course_free(&c);
    assert_nowhere(&c.of_dst.secrets[2]);
}

/* What did not come about */
static void test_a_refused_offer_leaves_no_secrets(void)
{
    Course c = course_new();

    c.dst->drawn = drawn;
    c.dst->drawn_opaque = &c.of_dst;
    g_assert_cmphex(MIG(c.dst, MIG_OFFER, NS_BLOB(0), 16), ==,
                    RMI_ERROR_INPUT);
    c.of_dst.secrets[0].name = "X25519 secret of the destination";
    c.of_dst.secrets[2].name = "abort secret";
    assert_nowhere(&c.of_dst.secrets[0]);
    assert_nowhere(&c.of_dst.secrets[2]);
    course_free(&c);
}

#define TEST(name) g_test_add_func("/secrets/" #name, test_##name)

int main(int argc, char **argv)
{
    bool show = argc == 2 && !strcmp(argv[1], "--figures");
    int result;

    argc -= show;
    g_test_init(&argc, &argv, NULL);
    TEST(the_scan_finds_what_is_there);
    TEST(after_the_receipt_there_are_no_secrets);
    TEST(a_sealed_realm_takes_its_back_key_with_it);
    TEST(a_resumed_source_has_no_keys);
    TEST(a_sealed_source_has_no_keys);
    TEST(after_an_abort_there_are_no_keys);
    TEST(a_failed_import_has_no_keys);
    TEST(an_offer_leaves_no_secrets);
    TEST(a_refused_offer_leaves_no_secrets);
    result = g_test_run();
    if (show) {
        printf("secrets: looked for %u in %u scans of %" PRIu64
               " mappings, %" PRIu64 " MiB (%" PRIu64 " MiB ever written);"
               " %u found that should be gone\n", figures.secrets,
               figures.scans, figures.mappings, figures.bytes >> 20,
               figures.read >> 20, figures.wrong);
    }
    return result;
}
