/*
 * Firmware of a Realm is in RAM
 *
 * Purpose: what -bios names runs from where the board would have flash; it is
 * private, measured, and there is no flash.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "realm-servant.h"

#define MACHINE "-machine virt,confidential-guest-support=rme0"
#define OPTIONS " -object rme-guest,id=rme0 -accel tcg -m 64M -nodefaults "

/* The servant as firmware: it runs wherever it is. */
static void start(Servant *s)
{
    g_autofree char *path = servant_file();

    *s = (Servant) {
        .qts = qtest_initf(MACHINE OPTIONS "-bios %s", path),
    };
    unlink(path);
    servant_wait(s, MAILBOX + MAIL_READY, SERVANT_READY);
}

static void test_private(void)
{
    Servant s;
    uint64_t code = servant_code[0] | (uint64_t)servant_code[1] << 32;

    start(&s);
    g_assert_cmphex(servant_load(&s, 0), ==, code);
    g_assert_cmphex(qtest_readq(s.qts, 0), ==, 0);
    servant_store(&s, 0x100000, 0x1122334455667788);
    g_assert_cmphex(servant_load(&s, 0x100000), ==, 0x1122334455667788);
    g_assert_cmphex(qtest_readq(s.qts, 0x100000), ==, 0);
    servant_quit(&s);
}

/* Behind the firmware's RAM come devices, of which the Realm has none. */
static void test_ends(void)
{
    Servant s;

    start(&s);
    servant_store(&s, 0x8000000 - 8, 1);
    servant_do(&s, SERVANT_LOAD, 0x8000000, 0, 0, 0);
    g_assert_cmphex(s.esr, !=, 0);
    servant_do(&s, SERVANT_SMC, 0xc4000197, 0x8000000, 0x8001000, 1);
    g_assert_cmphex(s.x[1], ==, 0x8000000);     /* nothing became RAM */
    servant_do(&s, SERVANT_LOAD, 0x8000000, 0, 0, 0);
    g_assert_cmphex(s.esr, !=, 0);
    servant_quit(&s);
}

static char *rim_of(const char *contents)
{
    g_autofree char *path = NULL;
    int fd = g_file_open_tmp("realm-firmware-XXXXXX", &path, NULL);
    QTestState *qts;
    QDict *reply;
    char *rim;

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(write(fd, contents, strlen(contents)), ==,
                    strlen(contents));
    close(fd);
    qts = qtest_initf(MACHINE OPTIONS "-bios %s", path);
    unlink(path);
    reply = qtest_qmp(qts, "{'execute': 'query-realm'}");
    rim = g_strdup(qdict_get_str(qdict_get_qdict(reply, "return"), "rim"));
    qobject_unref(reply);
    qtest_quit(qts);
    return rim;
}

static void test_measured(void)
{
    g_autofree char *one = rim_of("loop");
    g_autofree char *again = rim_of("loop");
    g_autofree char *other = rim_of("noop");

    g_assert_cmpstr(one, ==, again);
    g_assert_cmpstr(one, !=, other);
}

/* The property of the board is gone with the flash. */
static void test_no_flash(void)
{
    QTestState *qts = qtest_initf(MACHINE OPTIONS "-S");
    g_autofree char *tree = NULL;
    QDict *reply;

    tree = qtest_hmp(qts, "info qtree");
    g_assert_null(strstr(tree, "cfi.pflash01"));
    reply = qtest_qmp(qts, "{'execute': 'qom-get', 'arguments':"
                      " {'path': '/machine', 'property': 'pflash0'}}");
    g_assert_true(qdict_haskey(reply, "error"));
    qobject_unref(reply);
    qtest_quit(qts);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/realm/firmware/runs-and-is-private", test_private);
    qtest_add_func("/realm/firmware/ends-where-flash-would", test_ends);
    qtest_add_func("/realm/firmware/is-measured", test_measured);
    qtest_add_func("/realm/firmware/there-is-no-flash", test_no_flash);
    return g_test_run();
}
