/*
 * The bare host: cases, and what they expect
 *
 * A case states a claim in its name.  What it does on a CPU ends there at the
 * first thing that is not as expected: EXPECT() leaves it by cpu_leave().
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_HOST_TEST_H
#define TESTS_HOST_TEST_H

#include "sys.h"

struct test_case {
    const char *group, *name;
    void (*run)(void);
};

/* CASE("group", "what is claimed", function); at file level */
#define CASE(group, name, function) \
    static const struct test_case case_##function \
    __attribute__((section("cases"), used)) = { group, name, function }

#define EXPECT(seen, expected, what) do { \
    uint64_t seen_ = (uint64_t)(seen), expected_ = (uint64_t)(expected); \
    if (seen_ != expected_) { \
        test_failed(what, expected_, seen_); \
    } } while (0)
#define EXPECT_TRUE(seen, what) EXPECT(!!(seen), 1, what)

void test_failed(const char *what, uint64_t expected, uint64_t seen)
    __attribute__((noreturn));
/* Likewise; @what is made of a word, a number and more words. */
void test_failed_number(const char *word, uint64_t number, const char *more,
                        uint64_t expected, uint64_t seen)
    __attribute__((noreturn));
void test_skip(const char *why) __attribute__((noreturn));
/* The case needs another CPU than this one. */
void test_needs_cpus(void);

/* What to run: words separated by ';' that a group or a name contains, and one
   group alone; "" is all of them. */
struct selection {
    const char *filter, *group;
};
/* Prints the names. */
void test_list(const struct selection *selection);
/* Runs the cases, and prints the sums. */
void test_run(const struct selection *selection);
/* Called after each case; what it expects belongs to the case. */
void test_clean_up(bool passed);

#endif
