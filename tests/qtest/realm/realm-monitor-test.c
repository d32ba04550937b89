/*
 * What the monitor tells of Realms, and when
 *
 * Purpose: query-realm-capabilities, query-realm and info realm, and the events
 * of what a Realm does, by a Realm that does what this test tells it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qobject/qlist.h"
#include "qobject/qstring.h"
#include "realm-servant.h"

#define PAGE 0x1000
#define RAM_PAGES (64 * 1024 * 1024 / PAGE)
#define FREE_PAGE 0x43000000    /* neither image nor device tree */
#define FLIPS 20

/* SMCCC function identifiers (RMM 1.0, B5.3.1; PSCI 1.1) */
#define TOKEN_INIT 0xc4000194
#define SYSTEM_OFF 0x84000008
#define SYSTEM_RESET 0x84000009

#define RPV "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g" \
            "ISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw=="

static QDict *query(QTestState *qts, const char *command)
{
    QDict *reply = qtest_qmp(qts, "{'execute': %s}", command);
    QDict *info = qdict_get_qdict(reply, "return");

    g_assert_nonnull(info);
    qobject_ref(info);
    qobject_unref(reply);
    return info;
}

static void check_error(QTestState *qts, const char *command,
                        const char *problem, const char *remedy)
{
    QDict *reply = qtest_qmp(qts, "{'execute': %s}", command);
    const char *text = qdict_get_str(qdict_get_qdict(reply, "error"), "desc");

    g_assert_nonnull(strstr(text, problem));
    g_assert_nonnull(strstr(text, remedy));
    qobject_unref(reply);
}

/* ---- Before there is a Realm ---- */

static void check_capabilities(const QDict *caps)
{
    g_autoptr(GString) hashes = g_string_new(NULL);
    const QListEntry *entry;

    QLIST_FOREACH_ENTRY(qdict_get_qlist(caps, "measurement-algorithms"),
                        entry) {
        g_string_append_printf(hashes, "%s ", qstring_get_str(
            qobject_to(QString, qlist_entry_obj(entry))));
    }
    g_assert_cmpstr(hashes->str, ==, "sha256 sha512 ");
    g_assert_cmpstr(qdict_get_str(caps, "backend"), ==, "tcg");
    g_assert_false(qdict_haskey(caps, "kvm-abi"));
    g_assert_true(qdict_get_bool(caps, "measurement-log"));
    g_assert_true(qdict_get_bool(caps, "personalization-value"));
    g_assert_true(qdict_get_bool(caps, "migration"));
    g_assert_true(qdict_get_bool(caps, "mte"));
    g_assert_true(qdict_get_bool(caps, "sve"));
    g_assert_true(qdict_get_bool(caps, "pmu"));
    /* The most that the architecture has, but for the counters. */
    g_assert_cmpint(qdict_get_int(caps, "max-sve-vector-length"), ==, 2048);
    g_assert_cmpint(qdict_get_int(caps, "max-ipa-width"), ==, 52);
    g_assert_cmpint(qdict_get_int(caps, "max-pmu-counters"), >=, 1);
    g_assert_cmpint(qdict_get_int(caps, "max-cpus"), >=, 512);
}

static void test_capabilities(gconstpointer args)
{
    QTestState *qts = qtest_init(args);
    QDict *caps = query(qts, "query-realm-capabilities");

    check_capabilities(caps);
    qobject_unref(caps);
    check_error(qts, "query-realm", "not a Realm", "-object rme-guest");
    qtest_quit(qts);
}

static void test_no_capabilities(void)
{
    QTestState *qts = qtest_init("-machine none -accel qtest");

    check_error(qts, "query-realm-capabilities", "accelerator 'QTest'",
                "-accel tcg");
    qtest_quit(qts);
}

/* Nothing of a Realm is said of other machines, whose migrations are as ever. */
static void test_other_machines(void)
{
    QTestState *qts = qtest_init("-machine virt -accel qtest -m 16M");
    g_autofree char *path = NULL, *uri = NULL, *text = NULL;
    int fd = g_file_open_tmp("realm-monitor-XXXXXX", &path, NULL);
    QDict *info = query(qts, "query-migrate");

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(qdict_size(info), ==, 0);
    uri = g_strdup_printf("file:%s", path);
    qtest_qmp_assert_success(qts, "{'execute': 'migrate', 'arguments': "
                             "{'uri': %s}}", uri);
    do {
        qobject_unref(info);
        info = query(qts, "query-migrate");
        g_assert_cmpstr(qdict_get_str(info, "status"), !=, "failed");
    } while (!g_str_equal(qdict_get_str(info, "status"), "completed"));
    g_assert_false(qdict_haskey(info, "realm"));
    qobject_unref(info);
    text = qtest_hmp(qts, "info migrate");
    g_assert_null(strstr(text, "Realm"));
    g_free(text);
    text = qtest_hmp(qts, "info realm");
    g_assert_nonnull(strstr(text, "not a Realm"));
    qtest_quit(qts);
    unlink(path);
    close(fd);
}

/* ---- query-realm ---- */

static void test_before_the_start(void)
{
    static const char *const later[] = {
        "rim", "private-pages", "lent-pages", "empty-pages",
        "untouched-pages", "dirty-pages", "sve-vector-length",
        "pmu-counters", "end-reason",
    };
    QTestState *qts = qtest_init(
        "-machine virt,confidential-guest-support=rme0 -accel tcg -S "
        "-object rme-guest,id=rme0,measurement-log=on,"
        "migration=on,migration-compact=required,"
        "migration-life-cycle=any,personalization-value=" RPV);
    QDict *info = query(qts, "query-realm"), *policy;

    g_assert_cmpstr(qdict_get_str(info, "state"), ==, "new");
    g_assert_cmpstr(qdict_get_str(info, "personalization-value"), ==, RPV);
    for (size_t i = 0; i < ARRAY_SIZE(later); i++) {
        g_assert_false(qdict_haskey(info, later[i]));
    }
    policy = qdict_get_qdict(info, "migration-policy");
    g_assert_cmpstr(qdict_get_str(policy, "compact"), ==, "required");
    g_assert_cmpstr(qdict_get_str(policy, "life-cycle"), ==, "any");
    g_assert_false(qdict_haskey(policy, "implementation"));
    g_assert_true(qlist_empty(qdict_get_qlist(policy, "trust-anchors")));
    g_assert_true(qlist_empty(qdict_get_qlist(policy, "rules")));
    check_capabilities(qdict_get_qdict(info, "capabilities"));
    qobject_unref(info);
    qtest_quit(qts);
}

#define DIGITS_64 "000102030405060708090a0b0c0d0e0f" \
                  "101112131415161718191a1b1c1d1e1f"

static void test_rules(void)
{
    g_autofree char *path = NULL;
    int fd = g_file_open_tmp("realm-monitor-XXXXXX", &path, NULL);
    static const char text[] = "signer BL2 " DIGITS_64 " >= 1.20\n"
                               "measurement * " DIGITS_64 "\n";
    QTestState *qts;
    QDict *info, *first, *second;
    QList *rules;

    g_assert_cmpint(write(fd, text, strlen(text)), ==, strlen(text));
    close(fd);
    qts = qtest_initf("-machine virt,confidential-guest-support=rme0 -S "
                      "-accel tcg -object rme-guest,id=rme0,migration=on,"
                      "migration-implementation=" DIGITS_64
                      ",migration-rules=%s", path);
    unlink(path);
    info = query(qts, "query-realm");
    g_assert_cmpstr(qdict_get_str(qdict_get_qdict(info, "migration-policy"),
                                  "implementation"), ==, DIGITS_64);
    rules = qdict_get_qlist(qdict_get_qdict(info, "migration-policy"),
                            "rules");
    g_assert_cmpint(qlist_size(rules), ==, 2);
    first = qobject_to(QDict, qlist_peek(rules));
    second = qobject_to(QDict, qlist_entry_obj(
        qlist_next(qlist_first(rules))));
    g_assert_cmpstr(qdict_get_str(first, "component"), ==, "BL2");
    g_assert_cmpstr(qdict_get_str(first, "signer"), ==, DIGITS_64);
    g_assert_cmpstr(qdict_get_str(first, "version"), ==, "1.20.0.0");
    g_assert_false(qdict_haskey(first, "measurement"));
    g_assert_false(qdict_haskey(second, "component"));
    g_assert_false(qdict_haskey(second, "version"));
    g_assert_cmpstr(qdict_get_str(second, "measurement"), ==, DIGITS_64);
    qobject_unref(info);
    qtest_quit(qts);
}

static void check_pages(Servant *s, int untouched, int private)
{
    QDict *info = query(s->qts, "query-realm");

    g_assert_cmpint(qdict_get_int(info, "untouched-pages"), ==, untouched);
    g_assert_cmpint(qdict_get_int(info, "private-pages"), ==, private);
    g_assert_cmpint(qdict_get_int(info, "empty-pages"), ==, 0);
    g_assert_false(qdict_haskey(info, "dirty-pages"));
    qobject_unref(info);
}

static void test_pages(void)
{
    int untouched, private;
    QDict *info;
    Servant s;

    servant_start(&s, "");
    info = query(s.qts, "query-realm");
    g_assert_cmpstr(qdict_get_str(info, "state"), ==, "active");
    untouched = qdict_get_int(info, "untouched-pages");
    private = qdict_get_int(info, "private-pages");
    g_assert_cmpint(untouched + private, ==, RAM_PAGES);
    qobject_unref(info);
    servant_set_ripas(&s, FREE_PAGE, false);
    check_pages(&s, untouched - 1, private);
    servant_set_ripas(&s, FREE_PAGE, true);
    check_pages(&s, untouched, private);
    servant_store(&s, FREE_PAGE, 1);
    check_pages(&s, untouched - 1, private + 1);
    servant_quit(&s);
}

static void test_features(void)
{
    QDict *info;
    Servant s;

    servant_start(&s, "-cpu max,sve256=on,pmu=on");
    info = query(s.qts, "query-realm");
    g_assert_cmpint(qdict_get_int(info, "sve-vector-length"), ==, 256);
    g_assert_cmpint(qdict_get_int(info, "pmu-counters"), >=, 1);
    qobject_unref(info);
    servant_quit(&s);
    servant_start(&s, "");
    info = query(s.qts, "query-realm");
    g_assert_false(qdict_haskey(info, "sve-vector-length"));
    g_assert_false(qdict_haskey(info, "pmu-counters"));
    qobject_unref(info);
    servant_quit(&s);
}

static void test_info(void)
{
    g_autofree char *text = NULL, *rim = NULL;
    QDict *info;
    Servant s;

    servant_start(&s, "");
    info = query(s.qts, "query-realm");
    rim = g_strdup_printf("RIM (sha512): %s\n", qdict_get_str(info, "rim"));
    text = qtest_hmp(s.qts, "info realm");
    g_assert_nonnull(strstr(text, "Realm: active, run by tcg\r\n"));
    g_strdelimit(text, "\r", '\n');
    g_assert_nonnull(strstr(text, g_strchomp(rim)));
    g_assert_nonnull(strstr(text, "IPA width: 41 bits"));
    g_assert_nonnull(strstr(text, "migration: no, memory tags: no\n"));
    g_assert_nonnull(strstr(text, " never touched"));
    qobject_unref(info);
    servant_quit(&s);
}

/* ---- Events ---- */

static QDict *wait_for(Servant *s, const char *event)
{
    QDict *reply = qtest_qmp_eventwait_ref(s->qts, event);
    QDict *data = qdict_get_qdict(reply, "data");

    qobject_ref(data);
    qobject_unref(reply);
    return data;
}

/* Events until the sums are these; returns how many. */
static int events_until(Servant *s, int private, int shared)
{
    int events = 0, seen = 0;

    while (seen < private + shared) {
        QDict *data = wait_for(s, "REALM_RIPAS_CHANGE");
        int p = qdict_get_int(data, "private-pages");
        int q = qdict_get_int(data, "shared-pages");

        g_assert_cmpint(p, <=, private);
        g_assert_cmpint(q, <=, shared);
        g_assert_cmpint(p + q, >, seen);
        seen = p + q;
        events++;
        qobject_unref(data);
    }
    return events;
}

/* However many changes, there is an event a second, and nothing is lost. */
static void test_ripas_changes(void)
{
    gint64 begin;
    int events;
    Servant s;

    servant_start(&s, "");
    begin = g_get_monotonic_time();
    for (int i = 0; i < FLIPS; i++) {
        servant_set_ripas(&s, FREE_PAGE, i % 2);
    }
    events = events_until(&s, FLIPS / 2, FLIPS / 2);
    g_assert_cmpint(events, <=, (g_get_monotonic_time() - begin) /
                                G_TIME_SPAN_SECOND + 2);
    servant_quit(&s);
}

static void test_attestation(void)
{
    QDict *data;
    Servant s;

    servant_start(&s, "");
    servant_do(&s, SERVANT_SMC, TOKEN_INIT, 1, 2, 3);
    g_assert_cmphex(s.x[0], ==, 0);
    data = wait_for(&s, "REALM_ATTESTATION");
    g_assert_cmpint(qdict_get_int(data, "requests"), ==, 1);
    qobject_unref(data);
    servant_quit(&s);
}

static void check_end(Servant *s, const char *reason)
{
    QDict *data = wait_for(s, "REALM_END");

    g_assert_cmpstr(qdict_get_str(data, "reason"), ==, reason);
    qobject_unref(data);
}

static void test_system_off(void)
{
    const uint64_t off[5] = { SYSTEM_OFF };
    g_autofree char *text = NULL;
    QDict *info;
    Servant s;

    servant_start(&s, "-no-shutdown");
    servant_begin(&s, SERVANT_SMC, off);
    check_end(&s, "system-off");
    info = query(s.qts, "query-realm");
    g_assert_cmpstr(qdict_get_str(info, "state"), ==, "ended");
    g_assert_cmpstr(qdict_get_str(info, "end-reason"), ==, "system-off");
    qobject_unref(info);
    text = qtest_hmp(s.qts, "info realm");
    g_assert_nonnull(strstr(text, "Realm: ended (system-off), run by tcg"));
    servant_quit(&s);
}

static void test_system_reset(void)
{
    const uint64_t reset[5] = { SYSTEM_RESET };
    Servant s;

    servant_start(&s, "-no-shutdown");
    servant_begin(&s, SERVANT_SMC, reset);
    check_end(&s, "reset");
    servant_quit(&s);
}

static void test_quit(void)
{
    Servant s;

    servant_start(&s, "-no-shutdown");
    qtest_qmp_assert_success(s.qts, "{'execute': 'quit'}");
    check_end(&s, "host");
    qtest_wait_qemu(s.qts);
    servant_quit(&s);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_data_func("/realm/monitor/capabilities-without-a-machine",
                        "-machine none -accel tcg", test_capabilities);
    qtest_add_data_func("/realm/monitor/capabilities-of-another-machine",
                        "-machine virt -accel tcg -S", test_capabilities);
    qtest_add_func("/realm/monitor/no-capabilities-without-an-accelerator",
                   test_no_capabilities);
    qtest_add_func("/realm/monitor/other-machines-are-as-ever",
                   test_other_machines);
    qtest_add_func("/realm/monitor/what-is-known-before-the-start",
                   test_before_the_start);
    qtest_add_func("/realm/monitor/rules-are-those-of-the-file", test_rules);
    qtest_add_func("/realm/monitor/pages-are-counted", test_pages);
    qtest_add_func("/realm/monitor/features-are-shown", test_features);
    qtest_add_func("/realm/monitor/info-realm", test_info);
    qtest_add_func("/realm/monitor/events-of-memory-are-rate-limited",
                   test_ripas_changes);
    qtest_add_func("/realm/monitor/event-of-an-attestation",
                   test_attestation);
    qtest_add_func("/realm/monitor/end-by-system-off", test_system_off);
    qtest_add_func("/realm/monitor/end-by-system-reset", test_system_reset);
    qtest_add_func("/realm/monitor/end-by-quit", test_quit);
    return g_test_run();
}
