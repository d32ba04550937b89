/*
 * What is left of secrets in this program's memory when a session is over
 *
 * Reads all that the program can write to through /proc/self/mem.  The
 * secrets are known to it only behind a mask, so that it does not find what
 * it looks for in itself; and it looks for 24 bytes from the middle of each,
 * since X25519 changes bits at both ends of its own copy.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
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

static bool matches(const uint8_t *at, const Secret *secret)
{
    for (int i = 0; i < PATTERN; i++) {
        if ((at[i] ^ MASK) != secret->masked[i]) {
            return false;
        }
    }
    return true;
}

static unsigned count_in(const uint8_t *data, size_t size,
                         const Secret *secret, uint64_t address,
                         const char *name)
{
    const uint8_t *at = data, *end = data + size;
    unsigned found = 0;

    while ((at = memchr(at, secret->masked[0] ^ MASK, end - at))) {
        if (end - at < PATTERN) {
            break;
        }
        if (matches(at, secret)) {
            g_test_message("%s at %#" PRIx64 " of %s", secret->name,
                           address + (at - data), name);
            found++;
        }
        at++;
    }
    return found;
}

/* The scan's own buffer: not looked at, and the only one it uses */
static uint8_t window[1 << 20];

/* Larger than all that a test has: the shadow of a sanitizer, no memory */
#define SHADOW (1ull << 34)

/* One mapping, in pieces that overlap by a pattern */
static unsigned scan_mapping(int mem, uint64_t from, uint64_t to,
                             const Secret *secret, const char *name,
                             uint64_t *scanned)
{
    unsigned found = 0;

    while (to - from >= PATTERN) {
        size_t want = MIN(to - from, sizeof(window));
        ssize_t got;

        if (from < (uintptr_t)window + sizeof(window) &&
            from + want > (uintptr_t)window) {
            if (from < (uintptr_t)window) {
                want = (uintptr_t)window - from;
            } else {
                from = (uintptr_t)window + sizeof(window);
                if (from >= to) {
                    break;
                }
                continue;
            }
        }
        got = pread(mem, window, want, from);
        if (got < PATTERN) {
            from += MAX(got, 1);
            if (got < 0) {
                break;          /* not readable: [vvar] */
            }
            continue;
        }
        found += count_in(window, got, secret, from, name);
        *scanned += got;
        if (from + got >= to) {
            break;
        }
        from += got - (PATTERN - 1);
    }
    return found;
}

/* How often @secret stands in what this program can write to */
static unsigned scan(const Secret *secret)
{
    static char line[512], name[400];
    FILE *maps = fopen("/proc/self/maps", "r");
    int mem = open("/proc/self/mem", O_RDONLY);
    uint64_t scanned = 0;
    unsigned found = 0;

    g_assert_nonnull(maps);
    g_assert_cmpint(mem, >=, 0);
    while (fgets(line, sizeof(line), maps)) {
        uint64_t from, to;
        char mode[5];

        name[0] = 0;
        g_assert_cmpint(sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %*s %*s %*s"
                               " %399s", &from, &to, mode, name), >=, 3);
        if (mode[0] == 'r' && mode[1] == 'w' && to - from < SHADOW) {
            found += scan_mapping(mem, from, to, secret, name, &scanned);
        }
    }
    fclose(maps);
    close(mem);
    memset(window, 0, sizeof(window));
    g_assert_cmpuint(scanned, >, 1 << 20);
    return found;
}

/* ---- sessions ---- */

/* What a machine drew, in order: X25519 secret, nonce, abort secret */
typedef struct Draws {
    unsigned count;
    Secret secrets[3];
} Draws;

static void drawn(void *opaque, const void *buf, size_t len)
{
    Draws *draws = opaque;

    g_assert_cmpuint(draws->count, <, 3);
    g_assert_cmpuint(len, ==, 32);
    learn(&draws->secrets[draws->count++], "a draw", buf);
}

typedef struct Course {
    Machine *src, *dst;
    Draws of_src, of_dst;
    Secret key;
} Course;

static Course course_new(void)
{
    Course c = { source_new(&machine_defaults, 6),
                 machine_new(&machine_defaults) };

    return c;
}

static void course_run(Course *c)
{
    Record *begin;

    c->src->drawn = c->dst->drawn = drawn;
    c->src->drawn_opaque = &c->of_src;
    c->dst->drawn_opaque = &c->of_dst;
    OK(machine_connect(c->src, c->dst, &begin));
    learn(&c->key, "session key", machine_session(c->src)->key);
    step_take(c->dst, begin);
    step_round(c->src, c->dst, 2, 2);
    c->of_src.secrets[0].name = "X25519 secret of the source";
    c->of_dst.secrets[0].name = "X25519 secret of the destination";
    c->of_dst.secrets[2].name = "abort secret";
    g_assert_cmpuint(c->of_src.count, ==, 2);
    g_assert_cmpuint(c->of_dst.count, ==, 3);
}

static void assert_nowhere(const Secret *secret)
{
    g_assert_cmpuint(scan(secret), ==, 0);
}

static void keys_are_nowhere(const Course *c)
{
    assert_nowhere(&c->key);
    assert_nowhere(&c->of_src.secrets[0]);
    assert_nowhere(&c->of_dst.secrets[0]);
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
    g_assert_cmpuint(scan(&c.of_dst.secrets[2]), ==, 1);
    g_assert_cmpuint(scan(&c.of_dst.secrets[1]), >=, 1);   /* a nonce */
    step_finish(c.src, c.dst);
    g_assert_cmpuint(scan(&c.of_dst.secrets[1]), >=, 1);
    course_free(&c);
}

static void test_after_a_commit_there_are_no_secrets(void)
{
    Course c = course_new();

    course_run(&c);
    step_finish(c.src, c.dst);
    keys_are_nowhere(&c);
    assert_nowhere(&c.of_dst.secrets[2]);
    course_free(&c);
    keys_are_nowhere(&c);
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
    g_test_init(&argc, &argv, NULL);
    TEST(the_scan_finds_what_is_there);
    TEST(after_a_commit_there_are_no_secrets);
    TEST(a_sealed_source_has_no_keys);
    TEST(after_an_abort_there_are_no_keys);
    TEST(a_failed_import_has_no_keys);
    TEST(an_offer_leaves_no_secrets);
    TEST(a_refused_offer_leaves_no_secrets);
    return g_test_run();
}
