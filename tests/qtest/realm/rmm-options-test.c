/*
 * Options of a machine with an RMM: what is refused, in any order, and what is
 * not
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qobject/qdict.h"
#include "qobject/qlist.h"
#include "realm-refusal.h"

#define RMM "-machine virt,rmm=on"
#define CPU " -cpu max"
#define TWO_NODES " -m 512M -object memory-backend-ram,id=a,size=256M " \
                  "-object memory-backend-ram,id=b,size=256M " \
                  "-numa node,memdev=a -numa node,memdev=b"

/* As in realm-options-test.c. */
typedef struct BadOptions {
    const char *claim;
    const char *args;
    const char *option;
    const char *remedy;
} BadOptions;

static const BadOptions bad_options[] = {
    { "no-virtualization-before",
      "-machine virt,virtualization=off,rmm=on" CPU,
      "EL2", "leave virtualization=off out" },
    { "no-virtualization-behind",
      RMM ",virtualization=off" CPU,
      "EL2", "leave virtualization=off out" },
    { "secure",
      RMM ",secure=on" CPU,
      "Secure", "leave secure=on out" },
    { "gicv2-before",
      "-machine virt,gic-version=2,rmm=on" CPU,
      "GIC", "use gic-version=3" },
    { "gicv2-behind",
      RMM ",gic-version=2" CPU,
      "GIC", "use gic-version=3" },
    { "gicv4",
      RMM ",gic-version=4" CPU,
      "GIC", "use gic-version=3" },
    { "the-newest-gic",
      RMM ",gic-version=max" CPU,
      "GIC", "use gic-version=3" },
    { "being-a-realm-as-well",
      RMM ",confidential-guest-support=r" CPU " -object rme-guest,id=r",
      "confidential-guest-support", "leave one of them out" },
    { "the-default-cpu",
      RMM,
      "cortex-a15", "use -cpu max" },
    { "a-cpu-without-rme",
      RMM " -cpu cortex-a57",
      "cortex-a57", "use -cpu max" },
    { "a-cpu-whose-rme-is-off",
      RMM CPU ",x-rme=off",
      "FEAT_RME", "leave x-rme=off out" },
    { "a-cpu-whose-el3-is-off",
      RMM CPU ",has_el3=off",
      "EL3", "leave has_el3=off out" },
    { "a-cpu-whose-el2-is-off",
      RMM CPU ",has_el2=off",
      "EL2", "leave has_el2=off out" },
    { "a-global-that-says-so",
      RMM CPU " -global max-arm-cpu.x-rme=off",
      "FEAT_RME", "leave x-rme=off out" },
    { "memory-that-is-plugged-in",
      RMM CPU " -m 256M,maxmem=512M,slots=1",
      "delegated", "leave maxmem and slots out" },
    { "record-and-replay",
      RMM CPU " -icount shift=auto,rr=record,rrfile=/dev/null",
      "replayed", "leave rr out" },
    { "incoming-migration",
      RMM CPU " -incoming defer",
      "migrate", "leave -incoming out" },
    { "only-migratable",
      RMM CPU " -only-migratable",
      "rmm=on", "neither migrate" },
    { "rmm-neither-on-nor-off",
      "-machine virt,rmm=maybe" CPU,
      "rmm", "'on' or 'off'" },
};

/* What stands beside rmm=on, or is what it implies. */
static const char *const good_options[] = {
    RMM CPU,
    "-machine virt,virtualization=on,gic-version=3,rmm=on" CPU,
    "-machine virt,rmm=off,rmm=on" CPU,
    "-machine virt-9.0,rmm=on" CPU,
    RMM CPU ",x-rme=on,has_el3=on,has_el2=on",
    RMM CPU ",sve=off,sme=off,pauth=off,pmu=off,lpa2=off",
    RMM CPU ",sve-max-vq=2",
    RMM ",mte=on,iommu=smmuv3,its=off" CPU " -smp 3,maxcpus=4",
    RMM ",highmem=off" CPU " -m 1G",
    RMM CPU TWO_NODES,
    RMM CPU " -icount shift=7,sleep=off",
    RMM CPU " -semihosting",
    "-machine virt,rmm=off,gic-version=2",
};

static void test_bad(const void *opaque)
{
    const BadOptions *bad = opaque;

    check_refused(bad->args, bad->option, bad->remedy);
}

static void test_good(const void *opaque)
{
    QTestState *qts = qtest_initf("-accel tcg -nodefaults %s",
                                  (const char *)opaque);
    QDict *status = qtest_qmp_assert_success_ref(
        qts, "{'execute': 'query-status'}");

    g_assert_true(qdict_get_bool(status, "running"));
    qobject_unref(status);
    qtest_quit(qts);
}

/* qtest's own accelerator runs no CPU. */
static void test_accelerator(void)
{
    g_autofree char *line = g_strdup_printf(
        "%s -nodefaults -display none -accel qtest " RMM CPU,
        getenv("QTEST_QEMU_BINARY"));
    g_autofree char *err = NULL;
    int status;

    g_assert_true(g_spawn_command_line_sync(line, NULL, &err, &status, NULL));
    g_assert_cmpint(WEXITSTATUS(status), ==, 1);
    check_text(err, "accelerator", "use -accel tcg");
}

static bool has_property(QTestState *qts, const char *type, const char *name)
{
    QDict *answer = qtest_qmp(qts, "{'execute': 'qom-list-properties', "
                              "'arguments': {'typename': %s}}", type);
    const QListEntry *entry;
    bool found = false;

    QLIST_FOREACH_ENTRY(qdict_get_qlist(answer, "return"), entry) {
        QDict *property = qobject_to(QDict, qlist_entry_obj(entry));

        found |= g_str_equal(qdict_get_str(property, "name"), name);
    }
    qobject_unref(answer);
    return found;
}

static void test_introspection(void)
{
    QTestState *qts = qtest_init("-machine none");

    g_assert_true(has_property(qts, "virt-10.0-machine", "rmm"));
    g_assert_true(has_property(qts, "virt-10.0-machine", "virtualization"));
    g_assert_false(has_property(qts, "none-machine", "rmm"));
    qtest_quit(qts);
}

static void test_help(void)
{
    g_autofree char *line = g_strdup_printf("%s -machine virt,rmm=on,help",
                                            getenv("QTEST_QEMU_BINARY"));
    g_autofree char *out = NULL;
    int status;

    g_assert_true(g_spawn_command_line_sync(line, &out, NULL, &status, NULL));
    g_assert_cmpint(WEXITSTATUS(status), ==, 0);
    g_assert_nonnull(strstr(out, "rmm=<bool>"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < ARRAY_SIZE(bad_options); i++) {
        g_autofree char *name = g_strdup_printf("/rmm/options/refuse-%s",
                                                bad_options[i].claim);

        qtest_add_data_func(name, &bad_options[i], test_bad);
    }
    for (size_t i = 0; i < ARRAY_SIZE(good_options); i++) {
        g_autofree char *name = g_strdup_printf("/rmm/options/take-%zu", i);

        qtest_add_data_func(name, good_options[i], test_good);
    }
    qtest_add_func("/rmm/options/refuse-an-accelerator-without-el2",
                   test_accelerator);
    qtest_add_func("/rmm/options/introspection", test_introspection);
    qtest_add_func("/rmm/options/help", test_help);
    return g_test_run();
}
