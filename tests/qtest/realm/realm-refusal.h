/*
 * An option that a machine cannot have is refused in one line
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_QTEST_REALM_REALM_REFUSAL_H
#define TESTS_QTEST_REALM_REALM_REFUSAL_H

#include <sys/wait.h>
#include "tests/qtest/libqtest.h"

/* After which a program that should have ended is killed. */
#define REFUSAL_SECONDS 60

/* In the child, kept by exec: nothing of it outlives the limit. */
static inline void end_in_time(gpointer unused)
{
    alarm(REFUSAL_SECONDS);
}

/*
 * Run the program to its end; return what it wrote to standard error.  If
 * the machine had run, a trace line would be there as well.
 */
static inline char *run_to_failure(const char *args)
{
    g_autofree char *line = g_strdup_printf(
        "%s -nodefaults -display none -accel tcg -trace vm_state_notify %s",
        getenv("QTEST_QEMU_BINARY"), args);
    g_autofree char *out = NULL;
    g_auto(GStrv) argv = NULL;
    char *err = NULL;
    int status;

    g_assert_true(g_shell_parse_argv(line, NULL, &argv, NULL));
    g_assert_true(g_spawn_sync(NULL, argv, NULL, G_SPAWN_SEARCH_PATH,
                               end_in_time, NULL, &out, &err, &status, NULL));
    g_assert_true(WIFEXITED(status));
    g_assert_cmpint(WEXITSTATUS(status), ==, 1);
    g_assert_cmpstr(out, ==, "");
    return err;
}

/* One line, @text has in it. */
static inline void check_text(const char *text, const char *option,
                       const char *remedy)
{
    g_assert_cmpuint(strcspn(text, "\n") + 1, >=, strlen(text));
    g_assert_nonnull(strstr(text, option));
    g_assert_nonnull(strstr(text, remedy));
}

static inline void check_refused(const char *args, const char *option,
                          const char *remedy)
{
    g_autofree char *err = run_to_failure(args);

    g_assert_nonnull(strchr(err, '\n'));
    check_text(err, option, remedy);
}

#endif
