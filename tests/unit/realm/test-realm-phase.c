/*
 * The state machine of a Realm (system/realm/realm-phase.c)
 *
 * Purpose: every pair of phases against a list of edges written down here,
 * for the most part after the states and steps of docs/specs/
 * kvm-arm-realm-migration.rst; an event where QMP has another name for the
 * next phase, and nowhere else; who holds the Realm; what is final.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-events-realm.h"
#include "system/realm-phase.h"

/* "step: from to", by the names of phases. */
static const struct {
    RealmStep step;
    const char *edges;
} steps[] = {
    { REALM_STEP_BUILD, "new>here" },
    { REALM_STEP_BUILD_EMPTY, "waiting>empty" },
    { REALM_STEP_BREAK, "new>broken waiting>broken" },
    /* KVM_RUN */
    { REALM_STEP_RUN, "new>new here>here accepted>accepted "
                      "exporting>exporting" },
    /* not what the destination may have as well: its disks are there */
    { REALM_STEP_RESET, "here>new accepted>new exporting>new paused>new" },
    { REALM_STEP_PREPARE, "here>here" },
    { REALM_STEP_ACCEPT, "here>accepted" },
    { REALM_STEP_BEGIN, "accepted>exporting" },
    { REALM_STEP_COLLECT_DIRTY, "exporting>exporting paused>paused" },
    { REALM_STEP_EXPORT_MEMORY, "exporting>exporting paused>paused" },
    { REALM_STEP_EPOCH, "exporting>exporting paused>paused" },
    { REALM_STEP_PAUSE, "exporting>paused" },
    { REALM_STEP_STATE, "paused>paused" },
    { REALM_STEP_START, "paused>sealed sealed>sealed" },
    { REALM_STEP_ABORT, "accepted>here exporting>here paused>here" },
    { REALM_STEP_RESUME, "sealed>here" },
    { REALM_STEP_FINISH, "sealed>gone gone>gone" },
    { REALM_STEP_OFFER, "waiting>offered empty>offered" },
    { REALM_STEP_IMPORT, "offered>importing importing>importing" },
    { REALM_STEP_IMPORT_MEMORY, "offered>offered importing>importing" },
    { REALM_STEP_READY, "importing>importing" },
    { REALM_STEP_COMMIT, "importing>here" },
    { REALM_STEP_RECEIPT, "here>here" },
    { REALM_STEP_GIVE_UP, "offered>failed importing>failed failed>failed" },
    { REALM_STEP_FAIL, "offered>failed importing>failed failed>failed" },
};

static unsigned events;
static RealmMigrationPhase last;
static bool last_holds;

void qapi_event_send_realm_migration_phase(RealmMigrationPhase phase,
                                           bool holds)
{
    events++;
    last = phase;
    last_holds = holds;
}

/* Where the edge of @step from @from leads to; NULL if there is none. */
static const char *target(size_t step, RealmPhase from)
{
    static char to[16];
    g_auto(GStrv) edges = g_strsplit(steps[step].edges, " ", 0);

    for (char **edge = edges; *edge; edge++) {
        g_auto(GStrv) ends = g_strsplit(*edge, ">", 2);

        if (g_str_equal(ends[0], realm_phase_name(from))) {
            g_strlcpy(to, ends[1], sizeof(to));
            return to;
        }
    }
    return NULL;
}

/* QMP does not tell a Realm that is not built from one that is. */
static const char *qmp_name(RealmPhase phase)
{
    const char *name = realm_phase_name(phase);

    return g_str_equal(name, "new") ? "here" :
           g_str_equal(name, "empty") ? "waiting" :
           g_str_equal(name, "broken") ? "failed" : name;
}

static void test_list(void)
{
    g_assert_cmpint(ARRAY_SIZE(steps), ==, REALM_STEPS);
    for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
        g_assert_cmpint(steps[i].step, ==, i);
    }
    for (int phase = 0; phase < REALM_PHASES; phase++) {
        g_assert_cmpstr(RealmMigrationPhase_str(realm_phase_qmp(phase)), ==,
                        qmp_name(phase));
    }
}

static void try_edge(size_t step, RealmPhase from, const char *to)
{
    RealmPhase phase = from;
    bool other;

    g_assert_true(realm_phase_check(from, steps[step].step, &error_abort));
    events = 0;
    realm_phase_take(&phase, steps[step].step);
    g_assert_cmpstr(realm_phase_name(phase), ==, to);
    other = !g_str_equal(qmp_name(from), qmp_name(phase));
    g_assert_cmpint(events, ==, other);
    if (other) {
        g_assert_cmpstr(RealmMigrationPhase_str(last), ==, qmp_name(phase));
        g_assert_cmpint(last_holds, ==, realm_phase_holds(phase));
    }
}

/* The reason is one line; what is asked for is named. */
static void try_none(size_t step, RealmPhase from)
{
    Error *err = NULL;
    const char *text;

    g_assert_false(realm_phase_check(from, steps[step].step, &err));
    text = error_get_pretty(err);
    g_assert_nonnull(strstr(text, realm_step_text(steps[step].step)));
    g_assert_null(strchr(text, '\n'));
    error_free(err);
}

static void test_edges(void)
{
    unsigned edges = 0;

    for (size_t step = 0; step < ARRAY_SIZE(steps); step++) {
        for (int from = 0; from < REALM_PHASES; from++) {
            const char *to = target(step, from);

            if (to) {
                try_edge(step, from, to);
                edges++;
            } else {
                try_none(step, from);
            }
        }
    }
    g_assert_cmpint(edges, ==, 46);     /* no name was misspelt */
}

/* A step that nobody has checked; in a process of its own, which ends there. */
static void test_no_edge(void)
{
    if (g_test_subprocess()) {
        RealmPhase phase = REALM_PHASE_HERE;

        realm_phase_take(&phase, REALM_STEP_START);
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_failed();
    g_test_trap_assert_stderr("*steps*");
}

/* An import in one thread fails while a record is imported by another. */
static void test_final(void)
{
    for (int step = 0; step < REALM_STEPS; step++) {
        RealmPhase phase = REALM_PHASE_FAILED;

        if (step == REALM_STEP_COMMIT) {
            continue;
        }
        events = 0;
        realm_phase_take(&phase, step);
        g_assert_cmpint(phase, ==, REALM_PHASE_FAILED);
        g_assert_cmpint(events, ==, 0);
    }
}

/*
 * A record too much comes in another thread while the RMM commits, and is
 * refused.  The Realm is here then, and nowhere else.
 */
static void test_committed(void)
{
    RealmPhase phase = REALM_PHASE_IMPORTING;

    realm_phase_take(&phase, REALM_STEP_COMMIT);
    events = 0;
    realm_phase_take(&phase, REALM_STEP_FAIL);
    g_assert_cmpint(phase, ==, REALM_PHASE_HERE);
    g_assert_cmpint(events, ==, 0);

    /* The thread may be that late: the Realm is about to go on from here. */
    realm_phase_take(&phase, REALM_STEP_ACCEPT);
    realm_phase_take(&phase, REALM_STEP_FAIL);
    g_assert_cmpint(phase, ==, REALM_PHASE_ACCEPTED);

    phase = REALM_PHASE_IMPORTING;
    realm_phase_take(&phase, REALM_STEP_FAIL);
    realm_phase_take(&phase, REALM_STEP_COMMIT);
    g_assert_cmpint(phase, ==, REALM_PHASE_HERE);
    g_assert_true(last_holds);
}

static void check_set(bool (*has)(RealmPhase phase), const char *names)
{
    g_auto(GStrv) those = g_strsplit(names, " ", 0);

    for (int phase = 0; phase < REALM_PHASES; phase++) {
        g_assert_cmpint(has(phase), ==,
                        g_strv_contains((const char *const *)those,
                                        realm_phase_name(phase)));
    }
}

/* The source up to the start token, the destination from the commit on. */
static void test_holders(void)
{
    check_set(realm_phase_holds, "new here accepted exporting paused");
}

/* A machine that made an offer, and did not get the Realm. */
static void test_offered(void)
{
    check_set(realm_phase_offered, "offered importing failed");
}

static void test_sets(void)
{
    check_set(realm_phase_exports, "exporting paused");
    check_set(realm_phase_exists, "here accepted exporting paused sealed "
                                  "gone empty offered importing failed broken");
}

static void check_text(RealmPhase phase, RealmStep step, const char *part)
{
    Error *err = NULL;

    g_assert_false(realm_phase_check(phase, step, &err));
    g_assert_nonnull(strstr(error_get_pretty(err), part));
    error_free(err);
}

/* What the user reads is the way out of this phase. */
static void test_remedies(void)
{
    check_text(REALM_PHASE_NEW, REALM_STEP_ACCEPT, "start the machine");
    check_text(REALM_PHASE_HERE, REALM_STEP_BEGIN, "realm-migration-accept");
    check_text(REALM_PHASE_PAUSED, REALM_STEP_RUN, "cont");
    check_text(REALM_PHASE_SEALED, REALM_STEP_RUN, "realm-migration-resume");
    check_text(REALM_PHASE_SEALED, REALM_STEP_RESET, "realm-migration-resume");
    check_text(REALM_PHASE_GONE, REALM_STEP_RESET, "end this machine");
    check_text(REALM_PHASE_IMPORTING, REALM_STEP_RESET,
               "no migration has brought it");
    check_text(REALM_PHASE_ACCEPTED, REALM_STEP_ACCEPT,
               "realm-migration-prepare");
    check_text(REALM_PHASE_GONE, REALM_STEP_RESUME, "end this machine");
    check_text(REALM_PHASE_WAITING, REALM_STEP_RUN,
               "no migration has brought it");
    check_text(REALM_PHASE_FAILED, REALM_STEP_RUN,
               "no migration has brought it");
    check_text(REALM_PHASE_WAITING, REALM_STEP_COMMIT,
               "realm-migration-offer");
    check_text(REALM_PHASE_HERE, REALM_STEP_OFFER, "-incoming defer");
    check_text(REALM_PHASE_BROKEN, REALM_STEP_RUN, "start the machine again");
    check_text(REALM_PHASE_BROKEN, REALM_STEP_OFFER,
               "start the machine again");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/realm/phase/qmp-has-names-for-all", test_list);
    g_test_add_func("/realm/phase/steps-lead-where-the-list-says",
                    test_edges);
    g_test_add_func("/realm/phase/no-other-step-is-taken", test_no_edge);
    g_test_add_func("/realm/phase/failed-is-final", test_final);
    g_test_add_func("/realm/phase/what-has-committed-stays", test_committed);
    g_test_add_func("/realm/phase/one-side-holds", test_holders);
    g_test_add_func("/realm/phase/an-offer-needs-an-abort-token",
                    test_offered);
    g_test_add_func("/realm/phase/sessions-and-realms-there-are", test_sets);
    g_test_add_func("/realm/phase/a-refusal-names-the-way-out",
                    test_remedies);
    return g_test_run();
}
