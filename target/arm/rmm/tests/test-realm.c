/*
 * Realms: life cycle, states, and what REALM_CREATE refuses
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include "fake-machine.h"
#include "granule.h"
#include "snapshot.h"

/* The edges of the diagram in realm.h, and nothing else. */
static const struct {
    RealmState from, to;
} edges[] = {
    { REALM_NEW, REALM_ACTIVE },
    { REALM_NEW, REALM_IMPORT },
    { REALM_IMPORT, REALM_ACTIVE },
    { REALM_IMPORT, REALM_FAILED },
    { REALM_ACTIVE, REALM_SYSTEM_OFF },
    { REALM_ACTIVE, REALM_EXPORT },
    { REALM_EXPORT, REALM_SYSTEM_OFF },
    { REALM_EXPORT, REALM_ACTIVE },
    { REALM_EXPORT, REALM_EXPORT_PAUSED },
    { REALM_EXPORT_PAUSED, REALM_ACTIVE },
    { REALM_EXPORT_PAUSED, REALM_EXPORTED },
    { REALM_EXPORTED, REALM_ACTIVE },
};

static void every_pair_of_states_is_as_the_diagram_says(void)
{
    int from, to;
    size_t i;

    for (from = 0; from < REALM_STATES; from++) {
        for (to = 0; to < REALM_STATES; to++) {
            bool allowed = false;

            for (i = 0; i < G_N_ELEMENTS(edges); i++) {
                allowed |= edges[i].from == (RealmState)from &&
                           edges[i].to == (RealmState)to;
            }
            g_assert_cmpint(realm_transition_allowed(from, to), ==, allowed);
        }
    }
    g_assert_false(realm_transition_allowed(REALM_STATES, REALM_NEW));
}

static void skip_export(void)
{
    RmmRealm realm = { .state = REALM_ACTIVE };

    realm_set_state(&realm, REALM_EXPORTED);
}

static void the_setter_stops_with_the_rule(void)
{
    g_test_trap_subprocess("/rmm/realm/subprocess/skip-export", 0, 0);
    g_test_trap_assert_failed();
    g_test_trap_assert_stderr("*realm.h: no Realm goes from state 1 to 7*");
}

static void a_realm_is_made_run_and_taken_apart(void)
{
    FakeMachine *m = fake_machine_new(64);
    FakeRealm r = fake_realm_active(m);
    RmmPe pe = { 0 };

    g_assert_cmpint(fake_realm_object(m, &r)->state, ==, REALM_ACTIVE);
    fake_enter(m, &pe, &r, 0);
    take_interrupt(m->rmm, &pe);
    fake_realm_destroy(m, &r);
    g_assert_null(fake_realm_object(m, &r));
    fake_refused(m, fake_call(m, RMI_REALM_DESTROY, r.rd), RMI_ERROR_INPUT);
    /* RD, tables and VMID are free again. */
    r = fake_realm_new(m);
    fake_realm_destroy(m, &r);
    fake_machine_free(m);
}

static void activation_happens_once(void)
{
    FakeMachine *m = fake_machine_new(64);
    FakeRealm r = fake_realm_active(m);

    fake_refused(m, fake_call(m, RMI_REALM_ACTIVATE, r.rd), RMI_ERROR_REALM);
    fake_refused(m, fake_call(m, RMI_REALM_ACTIVATE, r.rec[0]),
                 RMI_ERROR_INPUT);
    fake_refused(m, fake_call(m, RMI_REALM_ACTIVATE, r.rd + 1),
                 RMI_ERROR_INPUT);
    fake_machine_free(m);
}

static void a_live_realm_is_not_destroyed(void)
{
    FakeMachine *m = fake_machine_new(64);
    FakeRealm r = fake_realm_new(m);
    uint64_t rec;

    fake_tables(m, &r, 0);
    fake_refused(m, fake_call(m, RMI_REALM_DESTROY, r.rd), RMI_ERROR_REALM);
    fake_call(m, RMI_RTT_DESTROY, r.rd, 0, 3);
    g_assert_cmphex(fake_call(m, RMI_RTT_DESTROY, r.rd, 0, 2), ==,
                    RMI_SUCCESS);
    rec = fake_rec(m, &r, 0, 0);
    fake_refused(m, fake_call(m, RMI_REALM_DESTROY, r.rd), RMI_ERROR_REALM);
    g_assert_cmphex(fake_call(m, RMI_REC_DESTROY, rec), ==, RMI_SUCCESS);
    g_assert_cmphex(fake_call(m, RMI_REALM_DESTROY, r.rd), ==, RMI_SUCCESS);
    fake_machine_free(m);
}

/* One 64-bit field of the parameters set to something the RMM cannot take. */
static const struct {
    const char *name;
    size_t offset;
    uint64_t value;
} bad_params[] = {
    { "lpa2", 0x000, RMI_REALM_LPA2 },
    { "sve", 0x000, RMI_REALM_SVE },
    { "pmu_without_counters", 0x000, RMI_REALM_PMU },
    { "s2sz_31", 0x008, 31 },
    { "s2sz_49", 0x008, 49 },
    { "s2sz_0", 0x008, 0 },
    { "s2sz_255", 0x008, 255 },
    { "num_bps_0", 0x018, 0 },
    { "num_bps_6", 0x018, 6 },
    { "num_wps_0", 0x020, 0 },
    { "num_wps_4", 0x020, 4 },
    { "hash_2", 0x030, 2 },
    { "hash_255", 0x030, 255 },
    { "rtt_base_unaligned", 0x808, 0x880000800 },
    { "rtt_base_outside", 0x808, 0x1000 },
    { "rtt_base_ns", 0x808, FAKE_NS_BASE },
    { "level_-1", 0x810, ~0ull },
    { "level_0", 0x810, 0 },
    { "level_2", 0x810, 2 },
    { "level_3", 0x810, 3 },
    { "level_4", 0x810, 4 },
    { "level_big", 0x810, 1ull << 32 },
    { "level_min", 0x810, 1ull << 63 },
    { "num_start_0", 0x818, 0 },
    { "num_start_2", 0x818, 2 },
    { "num_start_big", 0x818, 0xffffffff },
};

static void parameters_that_cannot_be_met_are_refused(void)
{
    FakeMachine *m = fake_machine_new(16);
    FakeRealm r;
    RmiRealmParams *params = fake_realm_params(m, &r, 33, 1), saved = *params;
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(bad_params); i++) {
        *params = saved;
        memcpy((char *)params + bad_params[i].offset, &bad_params[i].value,
               sizeof(uint64_t));
        g_test_message("%s", bad_params[i].name);
        fake_refused(m, fake_realm_try(m, &r), RMI_ERROR_INPUT);
    }
    *params = saved;
    g_assert_cmphex(fake_realm_try(m, &r), ==, RMI_SUCCESS);
    fake_machine_free(m);
}

static void granules_that_are_not_delegated_are_refused(void)
{
    FakeMachine *m = fake_machine_new(32);
    FakeRealm other = fake_realm_new(m), r;
    RmiRealmParams *params = fake_realm_params(m, &r, 40, 1);
    uint64_t ns = fake_granule_ns(m), i;

    g_assert_cmpuint(r.num_tables, ==, 2);
    for (i = 0; i < r.num_tables; i++) {
        fake_refused(m, fake_call(m, RMI_REALM_CREATE,
                                  r.tables + i * RMM_GRANULE_SIZE,
                                  FAKE_NS_PARAMS), RMI_ERROR_INPUT);
    }
    fake_refused(m, fake_call(m, RMI_REALM_CREATE, ns, FAKE_NS_PARAMS),
                 RMI_ERROR_INPUT);
    fake_refused(m, fake_call(m, RMI_REALM_CREATE, other.rd, FAKE_NS_PARAMS),
                 RMI_ERROR_INPUT);
    fake_refused(m, fake_call(m, RMI_REALM_CREATE, r.rd + 1, FAKE_NS_PARAMS),
                 RMI_ERROR_INPUT);
    fake_refused(m, fake_call(m, RMI_REALM_CREATE, r.rd, r.rd),
                 RMI_ERROR_INPUT);
    fake_refused(m, fake_call(m, RMI_REALM_CREATE, r.rd, FAKE_NS_PARAMS + 8),
                 RMI_ERROR_INPUT);
    /* The second start table, then the first one. */
    for (i = r.num_tables; i--;) {
        fake_call(m, RMI_GRANULE_UNDELEGATE, r.tables + i * RMM_GRANULE_SIZE);
        fake_refused(m, fake_realm_try(m, &r), RMI_ERROR_INPUT);
    }
    params->rtt_base = other.tables;
    fake_refused(m, fake_realm_try(m, &r), RMI_ERROR_INPUT);
    fake_machine_free(m);
}

static void a_vmid_serves_one_realm(void)
{
    FakeMachine *m = fake_machine_new(32);
    FakeRealm a, b;
    RmiRealmParams *params = fake_realm_params(m, &a, 33, 1);

    params->vmid = 0;
    g_assert_cmphex(fake_realm_try(m, &a), ==, RMI_SUCCESS);
    params = fake_realm_params(m, &b, 33, 1);
    params->vmid = 0;
    fake_refused(m, fake_realm_try(m, &b), RMI_ERROR_INPUT);
    g_assert_cmphex(fake_call(m, RMI_REALM_DESTROY, a.rd), ==, RMI_SUCCESS);
    g_assert_cmphex(fake_realm_try(m, &b), ==, RMI_SUCCESS);
    fake_machine_free(m);
}

/* A VMID is the first 16 bits of its place; the rest is reserved. */
static void a_vmid_is_as_wide_as_the_platform_says(void)
{
    static const struct {
        uint8_t bits;
        uint64_t vmid, result;
    } cases[] = {
        { 8, 0xff, RMI_SUCCESS }, { 8, 0x100, RMI_ERROR_INPUT },
        { 8, 0x12300ff, RMI_SUCCESS }, { 16, 0xffff, RMI_SUCCESS },
        { 16, 0x10000, RMI_SUCCESS }, { 0, 0xab00ffff, RMI_SUCCESS },
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        FakeMachine *m = fake_machine_prepare(16);
        FakeRealm r;

        m->platform.vmid_bits = cases[i].bits;
        fake_machine_start(m);
        fake_realm_params(m, &r, 33, 1)->vmid = cases[i].vmid;
        g_assert_cmphex(fake_realm_try(m, &r), ==, cases[i].result);
        fake_machine_free(m);
    }
}

static void extensions_need_the_platform(void)
{
    static const struct {
        uint64_t feature, flag;
    } rows[] = {
        { RMI_FEATURE_EXT_MIGRATION, RMI_REALM_EXT_MIGRATION },
        { RMI_FEATURE_EXT_MTE, RMI_REALM_EXT_MTE },
    };
    size_t i, offered;

    for (i = 0; i < G_N_ELEMENTS(rows); i++) {
        for (offered = 0; offered < 2; offered++) {
            FakeMachine *m = fake_machine_prepare(16);
            FakeRealm r;

            m->platform.migration = offered && i == 0;
            m->platform.mte = offered && i == 1;
            fake_machine_start(m);
            fake_realm_params(m, &r, 33, 1)->ext_flags = rows[i].flag;
            g_assert_cmphex(fake_realm_try(m, &r), ==,
                            offered ? RMI_SUCCESS : RMI_ERROR_INPUT);
            g_assert_cmphex(fake_call(m, RMI_FEATURES, RMI_FEATURES_EXT), ==,
                            RMI_SUCCESS);
            g_assert_cmphex(m->pe.x[1], ==, offered ? rows[i].feature : 0);
            fake_machine_free(m);
        }
    }
}

/* As RMM 1.0 has them: RmiFeatureRegister0 ends at bit 41, RealmFlags at 2. */
static void extensions_take_nothing_that_rmm_1_0_reserves_in_its_words(void)
{
    FakeMachine *m = fake_machine_new(64);
    FakeRealm plain, r;
    unsigned i;

    g_assert_true(m->platform.mte && m->platform.migration);
    fake_call(m, RMI_FEATURES, 0);
    g_assert_cmphex(m->pe.x[1] >> 42, ==, 0);
    for (i = 1; i < 64; i++) {
        fake_call(m, RMI_FEATURES, i);
        g_assert_cmphex(m->pe.x[1], ==, 0);
    }
    fake_realm_params(m, &plain, 33, 1)->flags = 3ull << 62;
    g_assert_cmphex(fake_realm_try(m, &plain), ==, RMI_SUCCESS);
    g_assert_false(realm_has_mte(fake_realm_object(m, &plain)));
    g_assert_false(realm_may_migrate(fake_realm_object(m, &plain)));
    fake_realm_params(m, &r, 33, 1)->ext_flags = RMI_REALM_EXT_KNOWN;
    g_assert_cmphex(fake_realm_try(m, &r), ==, RMI_SUCCESS);
    g_assert_true(realm_has_mte(fake_realm_object(m, &r)));
    g_assert_true(realm_may_migrate(fake_realm_object(m, &r)));
    fake_machine_free(m);
}

/* RMM 1.0, A5.2.6 */
static void start_tables_are_counted_as_the_architecture_says(void)
{
    static const struct {
        unsigned bits;
        int level;
        unsigned tables;
    } t[] = {
        { 48, 0, 1 }, { 40, 1, 2 }, { 43, 1, 16 }, { 40, 0, 1 },
        { 48, 1, 0 }, { 44, 1, 0 }, { 41, 1, 4 }, { 39, 1, 1 }, { 39, 0, 0 },
        { 32, 2, 4 }, { 34, 2, 16 }, { 35, 2, 0 }, { 31, 1, 1 }, { 30, 1, 0 },
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(t); i++) {
        g_assert_cmpuint(rtt_num_start(t[i].bits, t[i].level), ==,
                         t[i].tables);
    }
}

static void the_halves_of_the_ipa_space_begin_as_they_should(void)
{
    FakeMachine *m = fake_machine_new(64);
    FakeRealm r;
    uint64_t *entry;
    unsigned i;

    fake_realm_params(m, &r, 41, 1);
    g_assert_cmphex(fake_realm_try(m, &r), ==, RMI_SUCCESS);
    entry = fake_host(m, r.tables);
    for (i = 0; i < 4 * RTT_ENTRIES; i++) {
        g_assert_cmphex(entry[i], ==,
                        i < 2 * RTT_ENTRIES ? 0 : 1ull << 55);
    }
    fake_machine_free(m);
}

static void versions_and_features_are_reported(void)
{
    FakeMachine *m = fake_machine_new(4);

    g_assert_cmphex(fake_call(m, RMI_VERSION, 0x10000), ==, RMI_SUCCESS);
    g_assert_cmphex(m->pe.x[1], ==, 0x10000);
    g_assert_cmphex(m->pe.x[2], ==, 0x10000);
    g_assert_cmphex(fake_call(m, RMI_VERSION, 0x20000), ==, RMI_ERROR_INPUT);
    g_assert_cmphex(m->pe.x[1], ==, 0x10000);
    g_assert_cmphex(fake_call(m, RMI_FEATURES, 0), ==, RMI_SUCCESS);
    g_assert_cmphex(m->pe.x[1] & 0xff, ==, 48);
    g_assert_cmphex(m->pe.x[1] >> 38 & 0xf, ==, 10);
    g_assert_cmphex(fake_call(m, RMI_FEATURES, 1), ==, RMI_SUCCESS);
    g_assert_cmphex(m->pe.x[1], ==, 0);
    fake_machine_free(m);
}

static void an_unknown_call_changes_x0_only(void)
{
    static const uint64_t fids[] = {
        0xC4000156, 0xC4000160, 0xC4000163, 0xC400016A, 0xC400014F,
        0xC4000190, 0x84000000, 0, ~0ull, 0x1C4000156,
    };
    FakeMachine *m = fake_machine_new(4);
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(fids); i++) {
        fake_refused(m, fake_call(m, fids[i], 1, 2, 3), SMCCC_NOT_SUPPORTED);
        g_assert_cmphex(m->pe.x[1], ==, 1);
        g_assert_cmphex(m->pe.x[3], ==, 3);
    }
    fake_machine_free(m);
}

#define TEST(name) g_test_add_func("/rmm/realm/" #name, name)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/rmm/realm/subprocess/skip-export", skip_export);
    TEST(every_pair_of_states_is_as_the_diagram_says);
    TEST(the_setter_stops_with_the_rule);
    TEST(a_realm_is_made_run_and_taken_apart);
    TEST(activation_happens_once);
    TEST(a_live_realm_is_not_destroyed);
    TEST(parameters_that_cannot_be_met_are_refused);
    TEST(granules_that_are_not_delegated_are_refused);
    TEST(a_vmid_serves_one_realm);
    TEST(a_vmid_is_as_wide_as_the_platform_says);
    TEST(extensions_need_the_platform);
    TEST(start_tables_are_counted_as_the_architecture_says);
    TEST(the_halves_of_the_ipa_space_begin_as_they_should);
    TEST(extensions_take_nothing_that_rmm_1_0_reserves_in_its_words);
    TEST(versions_and_features_are_reported);
    TEST(an_unknown_call_changes_x0_only);
    return g_test_run();
}
