/*
 * Cases: lives of Realms, from REALM_CREATE to REALM_DESTROY
 *
 * Expected values: RMM 1.0, A2 and B4.3.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "realm.h"

static void empty(void)
{
    RmiRealmParams params;
    struct realm *realm;

    realm_params(&params);
    realm = realm_create(&params);
    realm_end(realm);
}
CASE("life", "a Realm without anything is made and destroyed", empty);

static void whole(void)
{
    struct realm *realm = realm_start(1);
    RmiRecExit *exit = rec_executed(&realm->recs[0],
                                    SNIPPET("add x0, x0, x1"), 40, 2, 0);

    EXPECT(exit->gprs[0], 42, "a sum that the Realm made");
    EXPECT(GOT_EXCEPTIONS(exit), 0, "exceptions in the Realm");
    realm_end(realm);
}
CASE("life", "a Realm runs a program, and all its granules come back", whole);

static void gprs_at_start(void)
{
    const uint64_t gprs[8] = { 11, 22, 33, 44 };
    RmiRealmParams params;
    struct realm *realm;
    RmiRecExit *exit;

    realm_params(&params);
    realm = realm_create(&params);
    realm_load(realm);
    realm_rec(realm, true, REALM_CODE, gprs);
    realm_activate(realm);
    exit = rec_enter(&realm->recs[0]);
    EXPECT(exit->exit_reason, RMI_EXIT_HOST_CALL, "the first exit's reason");
    for (unsigned n = 0; n < 4; n++) {
        EXPECT(exit->gprs[n], gprs[n], "what the first host call carries");
    }
    realm_end(realm);
}
CASE("life", "a REC starts with the registers of its parameters",
     gprs_at_start);

static void new_realm_does_not_run(void)
{
    RmiRealmParams params;
    struct realm *realm;

    realm_params(&params);
    realm = realm_create(&params);
    realm_rec(realm, true, REALM_CODE, NULL);
    EXPECT(rec_try_enter(&realm->recs[0]), RMI_RESULT(RMI_ERROR_REALM, 0),
           "REC_ENTER of a Realm in state NEW");
    realm_activate(realm);
    EXPECT(RMI(RMI_REALM_ACTIVATE, realm->rd).x0,
           RMI_RESULT(RMI_ERROR_REALM, 0), "REALM_ACTIVATE twice");
    EXPECT(RMI(RMI_REALM_DESTROY, realm->rd).x0,
           RMI_RESULT(RMI_ERROR_REALM, 0), "REALM_DESTROY with a REC");
    realm_end(realm);
}
CASE("life", "a Realm runs once it is active, and lives while it has a REC",
     new_realm_does_not_run);

static void not_runnable(void)
{
    RmiRealmParams params;
    struct realm *realm;

    realm_params(&params);
    realm = realm_start_with(&params, 2, false);
    EXPECT(rec_try_enter(&realm->recs[1]), RMI_ERROR_REC,
           "REC_ENTER of what is not runnable");
    rec_executed(&realm->recs[0], SNIPPET("nop"), 0, 0, 0);
    realm_end(realm);
}
CASE("life", "a REC that is not runnable is not entered", not_runnable);

static void two_at_once(void)
{
    struct realm *a = realm_start(1), *b = realm_start(1);
    RmiRecExit *exit;

    for (uint64_t n = 0; n < 20; n++) {
        rec_executed(&a->recs[0], SNIPPET("msr tpidr_el1, x0"), n, 0, 0);
        rec_executed(&b->recs[0], SNIPPET("msr tpidr_el1, x0"), n + 100, 0, 0);
        exit = rec_executed(&a->recs[0], SNIPPET("mrs x0, tpidr_el1"),
                            0, 0, 0);
        EXPECT(exit->gprs[0], n, "the first Realm's TPIDR_EL1");
        exit = rec_executed(&b->recs[0], SNIPPET("mrs x0, tpidr_el1"),
                            0, 0, 0);
        EXPECT(exit->gprs[0], n + 100, "the second Realm's TPIDR_EL1");
    }
    realm_end(a);
    realm_end(b);
}
CASE("life", "two Realms take turns on one CPU", two_at_once);

/* ---- Several CPUs ---- */

struct job {
    struct rec *rec;
    uint64_t seed;
};

static void fill_and_check(void *arg)
{
    struct job *job = arg;
    RmiRecExit *exit;

    for (unsigned n = 0; n < 10; n++) {
        uint64_t seed = job->seed + n;
        uint64_t at = REALM_DATA + job->rec->index * PAGE;

        exit = COMMAND(job->rec, REALM_FILL, at, PAGE, seed);
        rec_expect_done(exit);
        exit = COMMAND(job->rec, REALM_CHECK, at, PAGE, seed);
        rec_expect_done(exit);
        EXPECT(exit->gprs[0], 0, "words that are not what the Realm wrote");
    }
}

static void add_data(struct realm *realm, unsigned pages)
{
    for (unsigned n = 0; n < pages; n++) {
        realm_page(realm, REALM_DATA + n * PAGE, NULL);
    }
}

static void four_cpus(void)
{
    struct realm *realm = realm_start(1);
    struct job job = { &realm->recs[0], 1 };

    add_data(realm, 1);
    for (unsigned turn = 0; turn < 3; turn++) {
        for (unsigned cpu = 0; cpu < cpu_count(); cpu++) {
            cpu_run(cpu, fill_and_check, &job);
            job.seed += 100;
        }
    }
    realm_end(realm);
}
CASE("life", "a REC runs on all CPUs in turn", four_cpus);

static void recs_at_once(void)
{
    struct realm *realm = realm_start(4);
    struct job jobs[4];

    add_data(realm, 4);
    for (unsigned n = 0; n < 4; n++) {
        jobs[n] = (struct job) { &realm->recs[n], 1000 * n };
    }
    for (unsigned n = 1; n < cpu_count() && n < 4; n++) {
        cpu_start(n, fill_and_check, &jobs[n]);
    }
    fill_and_check(&jobs[0]);
    for (unsigned n = 1; n < cpu_count() && n < 4; n++) {
        cpu_wait(n);
    }
    realm_end(realm);
}
CASE("life", "four RECs of a Realm run at once", recs_at_once);

static void a_life(void *arg)
{
    uint64_t seed = (uint64_t)arg;

    for (unsigned n = 0; n < 3; n++) {
        struct realm *realm = realm_start(1);
        struct job job = { &realm->recs[0], seed + n };

        add_data(realm, 1);
        fill_and_check(&job);
        realm_end(realm);
    }
}

static void lives_at_once(void)
{
    for (uint64_t n = 1; n < cpu_count(); n++) {
        cpu_start(n, a_life, (void *)(n * 1000));
    }
    a_life(NULL);
    for (unsigned n = 1; n < cpu_count(); n++) {
        cpu_wait(n);
    }
}
CASE("life", "each CPU makes, runs and destroys Realms at once",
     lives_at_once);
