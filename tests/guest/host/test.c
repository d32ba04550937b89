/*
 * The bare host: cases (see test.h)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "host.h"
#include "test.h"

extern const struct test_case cases_start[], cases_end[];

static const struct test_case *current;
static bool failed, skipped;
static spinlock lock;

static void print_case(const char *verdict)
{
    print(verdict);
    print(current->group);
    print(": ");
    print(current->name);
}

/* A case fails once: what comes after the first mismatch follows from it. */
static bool first_failure(void)
{
    bool first;

    spin_lock(&lock);
    first = !failed;
    failed = true;
    spin_unlock(&lock);
    return first;
}

void test_failed_number(const char *word, uint64_t number, const char *more,
                        uint64_t expected, uint64_t seen)
{
    if (first_failure()) {
        print_case("not ok ");
        print(": ");
        print(word);
        if (*more) {
            print_number(number);
            print(" ");
            print(more);
        }
        print(", expected ");
        print_hex(expected);
        print(", seen ");
        print_hex(seen);
        print("\n");
    }
    cpu_leave();
}

void test_failed(const char *what, uint64_t expected, uint64_t seen)
{
    test_failed_number(what, 0, "", expected, seen);
}

void test_skip(const char *why)
{
    skipped = true;
    print_case("skip ");
    print(": ");
    print(why);
    print("\n");
    cpu_leave();
}

void test_needs_cpus(void)
{
    if (cpu_count() < 2) {
        test_skip("one CPU");
    }
}

/* ---- What to run ---- */

static bool contains(const char *text, const char *word, size_t n)
{
    for (; *text; text++) {
        size_t i = 0;

        while (i < n && text[i] == word[i]) {
            i++;
        }
        if (i == n) {
            return true;
        }
    }
    return false;
}

static bool same(const char *a, const char *b)
{
    while (*a && *a == *b) {
        a++;
        b++;
    }
    return *a == *b;
}

static bool filter_has(const char *filter, const struct test_case *c)
{
    while (*filter) {
        size_t n = 0;

        while (filter[n] && filter[n] != ';') {
            n++;
        }
        if (n && (contains(c->group, filter, n) ||
                  contains(c->name, filter, n))) {
            return true;
        }
        filter += n + (filter[n] == ';');
    }
    return false;
}

static bool chosen(const struct test_case *c,
                   const struct selection *selection)
{
    return (!*selection->group || same(selection->group, c->group)) &&
           (!*selection->filter || filter_has(selection->filter, c));
}

void test_list(const struct selection *selection)
{
    for (current = cases_start; current < cases_end; current++) {
        if (chosen(current, selection)) {
            print_case("case ");
            print("\n");
        }
    }
}

/* ---- All of them ---- */

enum verdict { PASSED, FAILED, SKIPPED };

static void run(void *arg)
{
    current->run();
}

static void clean_up(void *arg)
{
    test_clean_up(!failed && !skipped);
}

static enum verdict run_case(const struct test_case *c)
{
    current = c;
    failed = skipped = false;
    cpu_call(run, NULL);
    for (unsigned n = 1; n < cpu_count(); n++) {
        cpu_wait(n);
    }
    cpu_call(clean_up, NULL);
    if (failed) {
        return FAILED;
    }
    if (skipped) {
        return SKIPPED;
    }
    print_case("ok ");
    print("\n");
    return PASSED;
}

void test_run(const struct selection *selection)
{
    unsigned sums[3] = { 0 };

    for (const struct test_case *c = cases_start; c < cases_end; c++) {
        if (chosen(c, selection)) {
            sums[run_case(c)]++;
        }
    }
    print("host: ");
    print_number(sums[PASSED]);
    print(" passed, ");
    print_number(sums[FAILED]);
    print(" failed, ");
    print_number(sums[SKIPPED]);
    print(" skipped\n");
}
