/*
 * The phases of a Realm's migration (migration/realm/phase.c)
 *
 * Purpose: every pair of phases against a list of steps written down here;
 * an event for each step; who holds the Realm.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/qapi-events-realm.h"
#include "migration/realm/phase.h"

#define PHASES REALM_MIGRATION_PHASE__MAX

/* Steps, by the names that QMP has for phases. */
static const char *const steps[] = {
    "here accepted", "accepted here", "accepted exporting",
    "exporting here", "exporting paused", "paused here", "paused sealed",
    "sealed here",
    "waiting offered", "offered importing", "offered failed",
    "importing here", "importing failed",
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

static bool is_step(RealmMigrationPhase from, RealmMigrationPhase to)
{
    g_autofree char *name = g_strdup_printf("%s %s",
                                            RealmMigrationPhase_str(from),
                                            RealmMigrationPhase_str(to));

    for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
        if (g_str_equal(steps[i], name)) {
            return true;
        }
    }
    return false;
}

/* Go to @phase by steps from a fresh machine. */
static void go(RealmMigrationPhase phase)
{
    static const RealmMigrationPhase before[PHASES] = {
        [REALM_MIGRATION_PHASE_ACCEPTED] = REALM_MIGRATION_PHASE_HERE,
        [REALM_MIGRATION_PHASE_EXPORTING] = REALM_MIGRATION_PHASE_ACCEPTED,
        [REALM_MIGRATION_PHASE_PAUSED] = REALM_MIGRATION_PHASE_EXPORTING,
        [REALM_MIGRATION_PHASE_SEALED] = REALM_MIGRATION_PHASE_PAUSED,
        [REALM_MIGRATION_PHASE_OFFERED] = REALM_MIGRATION_PHASE_WAITING,
        [REALM_MIGRATION_PHASE_IMPORTING] = REALM_MIGRATION_PHASE_OFFERED,
        [REALM_MIGRATION_PHASE_FAILED] = REALM_MIGRATION_PHASE_IMPORTING,
    };

    if (phase == REALM_MIGRATION_PHASE_HERE ||
        phase == REALM_MIGRATION_PHASE_WAITING) {
        realm_phase_init(phase == REALM_MIGRATION_PHASE_WAITING);
    } else {
        go(before[phase]);
        realm_phase_set(phase);
    }
}

static void test_steps(void)
{
    for (int from = 0; from < PHASES; from++) {
        for (int to = 0; to < PHASES; to++) {
            if (!is_step(from, to)) {
                continue;
            }
            go(from);
            events = 0;
            realm_phase_set(to);
            g_assert_cmpint(realm_phase(), ==, to);
            g_assert_cmpint(events, ==, 1);
            g_assert_cmpint(last, ==, to);
            g_assert_cmpint(last_holds, ==, realm_phase_holds(to));
        }
    }
}

static void test_same(void)
{
    for (int phase = 0; phase < PHASES; phase++) {
        go(phase);
        events = 0;
        realm_phase_set(phase);
        g_assert_cmpint(events, ==, 0);
    }
}

/* One pair in a process of its own: it ends there. */
static void test_no_step(const void *opaque)
{
    int pair = GPOINTER_TO_INT(opaque);

    if (g_test_subprocess()) {
        go(pair / PHASES);
        realm_phase_set(pair % PHASES);
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_failed();
    g_test_trap_assert_stderr("*edges*");
}

/* The source up to the start token, the destination from the commit on. */
static void test_holders(void)
{
    static const char *const holders[] = {
        "here", "accepted", "exporting", "paused", NULL
    };

    for (int phase = 0; phase < PHASES; phase++) {
        g_assert_cmpint(realm_phase_holds(phase), ==,
                        g_strv_contains(holders,
                                        RealmMigrationPhase_str(phase)));
    }
}

/* A machine that made an offer, and did not get the Realm. */
static void test_offered(void)
{
    static const char *const offered[] = {
        "offered", "importing", "failed", NULL
    };

    for (int phase = 0; phase < PHASES; phase++) {
        g_assert_cmpint(realm_phase_offered(phase), ==,
                        g_strv_contains(offered,
                                        RealmMigrationPhase_str(phase)));
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/realm/phase/every-step-is-announced-once", test_steps);
    g_test_add_func("/realm/phase/no-step-no-event", test_same);
    g_test_add_func("/realm/phase/one-side-holds", test_holders);
    g_test_add_func("/realm/phase/an-offer-needs-an-abort-token",
                    test_offered);
    for (int pair = 0; pair < PHASES * PHASES; pair++) {
        int from = pair / PHASES, to = pair % PHASES;

        if (from != to && !is_step(from, to)) {
            g_autofree char *name = g_strdup_printf(
                "/realm/phase/no-step-from-%s-to-%s",
                RealmMigrationPhase_str(from), RealmMigrationPhase_str(to));

            g_test_add_data_func(name, GINT_TO_POINTER(pair), test_no_step);
        }
    }
    return g_test_run();
}
