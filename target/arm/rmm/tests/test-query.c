/*
 * What an onlooker is told (query.h)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include "fake-machine.h"
#include "query.h"

#define UNPROTECTED (1ull << 32)        /* of Realms with 33 bits of IPA */

typedef struct Fixture {
    FakeMachine *m;
    RmmPe pe;
} Fixture;

static void set_up(Fixture *f, gconstpointer data)
{
    f->m = fake_machine_prepare(256);
    f->m->platform.sve = true;
    f->m->platform.sve_vl = 3;
    f->m->platform.num_aux = 2;
    fake_machine_start(f->m);
}

static void tear_down(Fixture *f, gconstpointer data)
{
    if (f->pe.world == RMM_WORLD_REALM) {
        take_interrupt(f->m->rmm, &f->pe);
    }
    fake_machine_free(f->m);
}

static void a_new_model_holds_nothing(Fixture *f, gconstpointer data)
{
    RmmQuery *q = rmm_query(f->m->rmm), none = { 0 };

    g_assert_cmpuint(q->num_realms, ==, 0);
    g_free(q->realms);
    q->realms = NULL;
    g_assert_cmpmem(q, sizeof(*q), &none, sizeof(none));
    rmm_query_free(q);
    rmm_query_free(NULL);
}

static void a_realm_is_shown_as_it_was_created(Fixture *f, gconstpointer data)
{
    RmiRealmParams *params;
    const RmmQueryRealm *realm;
    uint8_t rim[64];
    RmmQuery *q;
    FakeRealm r;

    params = fake_realm_params(f->m, &r, 33, 1);
    params->flags = RMI_REALM_SVE | RMI_REALM_PMU;
    params->sve_vl = 1;
    params->pmu_num_ctrs = 4;
    params->hash_algo = RMI_HASH_SHA_512;
    params->ext_flags = RMI_REALM_EXT_MTE;
    params->vmid = 0x1234;
    g_assert_cmphex(fake_realm_try(f->m, &r), ==, RMI_SUCCESS);

    q = rmm_query(f->m->rmm);
    g_assert_cmpuint(q->num_realms, ==, 1);
    realm = &q->realms[0];
    g_assert_cmphex(realm->rd, ==, r.rd);
    g_assert_cmphex(realm->vmid, ==, 0x1234);
    g_assert_cmpstr(realm->state, ==, "new");
    g_assert_cmpstr(realm->hash_algo, ==, "sha-512");
    g_assert_cmpuint(realm->rim_size, ==, 64);
    g_assert_cmpuint(rmm_realm_rim(f->m->rmm, r.rd, rim), ==, 64);
    g_assert_cmpmem(realm->rim, 64, rim, 64);
    g_assert_cmpuint(realm->ipa_bits, ==, 33);
    g_assert_true(realm->sve && realm->pmu && realm->mte);
    g_assert_false(realm->lpa2 || realm->migration);
    g_assert_cmpuint(realm->sve_vl, ==, 256);
    g_assert_cmpuint(realm->pmu_num_ctrs, ==, 4);
    g_assert_cmpuint(realm->num_recs, ==, 0);
    rmm_query_free(q);
}

/* B4.4.14: without its flag, a field of the parameters means nothing. */
static void what_a_realm_does_not_have_is_zero(Fixture *f, gconstpointer data)
{
    RmiRealmParams *params;
    RmmQuery *q;
    FakeRealm r;

    params = fake_realm_params(f->m, &r, 33, 1);
    params->sve_vl = 1;
    params->pmu_num_ctrs = 4;
    g_assert_cmphex(fake_realm_try(f->m, &r), ==, RMI_SUCCESS);
    q = rmm_query(f->m->rmm);
    g_assert_false(q->realms[0].sve || q->realms[0].pmu);
    g_assert_cmpuint(q->realms[0].sve_vl, ==, 0);
    g_assert_cmpuint(q->realms[0].pmu_num_ctrs, ==, 0);
    g_assert_cmpstr(q->realms[0].hash_algo, ==, "sha-256");
    g_assert_cmpuint(q->realms[0].rim_size, ==, 32);
    rmm_query_free(q);
}

static void assert_rec(Fixture *f, unsigned i, uint64_t pa, const char *state)
{
    RmmQuery *q = rmm_query(f->m->rmm);
    const RmmQueryRec *rec = &q->realms[0].recs[i];

    g_assert_cmpuint(i, <, q->realms[0].num_recs);
    g_assert_cmphex(rec->rec, ==, pa);
    g_assert_cmpuint(rec->index, ==, i);
    g_assert_cmphex(rec->mpidr, ==, i);
    g_assert_cmpstr(rec->state, ==, state);
    rmm_query_free(q);
}

static void call(Fixture *f, uint64_t fid, uint64_t x1, uint64_t x2,
                 uint64_t x3)
{
    uint64_t args[] = { x1, x2, x3 };

    fake_call_pe(f->m, &f->pe, fid, args, 3);
}

static void a_recs_state_follows_what_it_does(Fixture *f, gconstpointer data)
{
    FakeRealm r = fake_realm_active(f->m);

    assert_rec(f, 0, r.rec[0], "ready");
    assert_rec(f, 1, r.rec[1], "off");
    fake_enter(f->m, &f->pe, &r, 0);
    assert_rec(f, 0, r.rec[0], "running");
    call(f, RSI_HOST_CALL, 0, 0, 0);
    assert_rec(f, 0, r.rec[0], "host-call");
    fake_enter(f->m, &f->pe, &r, 0);
    call(f, RSI_IPA_STATE_SET, 0, 0x1000, RMI_RIPAS_EMPTY);
    assert_rec(f, 0, r.rec[0], "ripas");
    fake_enter(f->m, &f->pe, &r, 0);
    call(f, PSCI_FID_CPU_ON, 1, 0, 0);
    assert_rec(f, 0, r.rec[0], "psci");
}

static void states_of_a_realm_have_names(Fixture *f, gconstpointer data)
{
    FakeRealm r = fake_realm_active(f->m);
    RmmQuery *q = rmm_query(f->m->rmm);

    g_assert_cmpstr(q->realms[0].state, ==, "active");
    rmm_query_free(q);
    fake_enter(f->m, &f->pe, &r, 0);
    call(f, PSCI_FID_SYSTEM_OFF, 0, 0, 0);
    q = rmm_query(f->m->rmm);
    g_assert_cmpstr(q->realms[0].state, ==, "system-off");
    rmm_query_free(q);
}

static void realms_and_recs_come_in_order(Fixture *f, gconstpointer data)
{
    FakeRealm r[3];
    RmmQuery *q;
    unsigned i;

    for (i = 0; i < 3; i++) {
        r[i] = fake_realm_new(f->m);
        fake_rec(f->m, &r[i], 0, 0);
        fake_rec(f->m, &r[i], 0, 0);
        fake_rec(f->m, &r[i], 0, 0);
    }
    /* The next REC takes the place of the first, with another index. */
    fake_call(f->m, RMI_REC_DESTROY, r[1].rec[0]);
    fake_rec(f->m, &r[1], 0, 0);
    q = rmm_query(f->m->rmm);
    g_assert_cmpuint(q->num_realms, ==, 3);
    for (i = 0; i < 3; i++) {
        g_assert_cmphex(q->realms[i].rd, ==, r[i].rd);
        g_assert_cmpuint(q->realms[i].num_recs, ==, 3);
        g_assert_cmpuint(q->realms[i].recs[0].index, ==, i == 1);
        g_assert_cmpuint(q->realms[i].recs[2].index, ==, i == 1 ? 3 : 2);
    }
    rmm_query_free(q);
}

static void pages_and_granules_are_counted(Fixture *f, gconstpointer data)
{
    FakeRealm r = fake_realm_active(f->m);
    RmmQuery *q;

    fake_granules(f->m, 4);
    fake_tables(f->m, &r, UNPROTECTED);
    fake_call(f->m, RMI_RTT_MAP_UNPROTECTED, r.rd, UNPROTECTED, 3,
              FAKE_NS_FREE | 6 << 2 | 3 << 6);
    q = rmm_query(f->m->rmm);
    g_assert_cmpuint(q->realms[0].pages.owned, ==, 16);
    g_assert_cmpuint(q->realms[0].pages.empty, ==, 0);
    g_assert_cmpuint(q->realms[0].pages.lent, ==, 1);
    g_assert_cmpuint(q->realms[0].pages.untouched, ==, 32 - 16);
    g_assert_cmpuint(q->realms[0].pages.dirty, ==, 0);
    g_assert_cmpuint(q->granules.delegated, ==, 4);
    g_assert_cmpuint(q->granules.rd, ==, 1);
    g_assert_cmpuint(q->granules.rec, ==, 2);
    g_assert_cmpuint(q->granules.rec_aux, ==, 4);
    g_assert_cmpuint(q->granules.data, ==, 16);
    /* Start: 33 bits from level 1 are 8 entries; then 2 + 2. */
    g_assert_cmpuint(q->granules.rtt, ==, 5);
    rmm_query_free(q);
}

typedef struct Counts {
    uint64_t calls[RMM_INTERFACES], failed[RMM_INTERFACES];
    uint64_t exits[RMM_EXIT_REASONS];
} Counts;

static Counts counts_of(Fixture *f)
{
    RmmQuery *q = rmm_query(f->m->rmm);
    Counts c;

    memcpy(c.calls, q->calls, sizeof(c.calls));
    memcpy(c.failed, q->failed, sizeof(c.failed));
    memcpy(c.exits, q->exits, sizeof(c.exits));
    rmm_query_free(q);
    return c;
}

static void calls_are_counted_by_interface(Fixture *f, gconstpointer data)
{
    FakeRealm r = fake_realm_active(f->m);
    Counts before = counts_of(f), after;

    fake_call(f->m, RMI_VERSION, RMM_ABI_VERSION_1_0);
    fake_call(f->m, RMI_GRANULE_DELEGATE, 1);           /* fails */
    fake_call(f->m, RMI_FID(0x06), 1);                  /* fails */
    fake_call(f->m, RMM_MIG_FID_LAST, 1);               /* fails */
    fake_enter(f->m, &f->pe, &r, 0);
    call(f, RSI_VERSION, RMM_ABI_VERSION_1_0, 0, 0);
    call(f, RSI_VERSION, 1, 0, 0);                      /* fails */
    call(f, PSCI_FID_VERSION, 0, 0, 0);
    call(f, PSCI_FID_FEATURES, PSCI_FID_32(5), 0, 0);   /* "no" is an answer */
    call(f, PSCI_FID_CPU_ON, 77, 0, 0);                 /* fails */
    call(f, PSCI_FID_CPU_SUSPEND, 0, 0, 0);
    after = counts_of(f);
    g_assert_cmpuint(after.calls[RMM_RMI] - before.calls[RMM_RMI], ==, 4);
    g_assert_cmpuint(after.failed[RMM_RMI] - before.failed[RMM_RMI], ==, 2);
    g_assert_cmpuint(after.calls[RMM_RSI] - before.calls[RMM_RSI], ==, 2);
    g_assert_cmpuint(after.failed[RMM_RSI] - before.failed[RMM_RSI], ==, 1);
    g_assert_cmpuint(after.calls[RMM_PSCI] - before.calls[RMM_PSCI], ==, 4);
    g_assert_cmpuint(after.failed[RMM_PSCI] - before.failed[RMM_PSCI], ==, 1);
    g_assert_cmpuint(after.calls[RMM_MIG] - before.calls[RMM_MIG], ==, 1);
    g_assert_cmpuint(after.failed[RMM_MIG] - before.failed[RMM_MIG], ==, 1);
}

static void exits_are_counted_by_reason(Fixture *f, gconstpointer data)
{
    static const RmmExceptionKind kinds[] = {
        RMM_EXCEPTION_IRQ, RMM_EXCEPTION_FIQ, RMM_EXCEPTION_SERROR,
    };
    FakeRealm r = fake_realm_active(f->m);
    Counts c;
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(kinds); i++) {
        RmmSyndrome s = { .kind = kinds[i] };

        fake_enter(f->m, &f->pe, &r, 0);
        rmm_exception(f->m->rmm, &f->pe, &s);
    }
    fake_enter(f->m, &f->pe, &r, 0);
    call(f, RSI_HOST_CALL, 0x10000, 0, 0);      /* not assigned: an abort */
    fake_enter(f->m, &f->pe, &r, 0);
    call(f, RSI_IPA_STATE_SET, 0, 0x1000, RMI_RIPAS_EMPTY);
    fake_enter(f->m, &f->pe, &r, 0);
    call(f, RSI_HOST_CALL, 0x1000, 0, 0);
    fake_enter(f->m, &f->pe, &r, 0);
    call(f, PSCI_FID_CPU_OFF, 0, 0, 0);
    c = counts_of(f);
    g_assert_cmpuint(c.exits[RMI_EXIT_IRQ], ==, 1);
    g_assert_cmpuint(c.exits[RMI_EXIT_FIQ], ==, 1);
    g_assert_cmpuint(c.exits[RMI_EXIT_SERROR], ==, 1);
    g_assert_cmpuint(c.exits[RMI_EXIT_RIPAS_CHANGE], ==, 1);
    g_assert_cmpuint(c.exits[RMI_EXIT_HOST_CALL], ==, 1);
    g_assert_cmpuint(c.exits[RMI_EXIT_PSCI], ==, 1);
    g_assert_cmpstr(rmm_exit_name(RMI_EXIT_SERROR), ==, "SERROR");
    g_assert_null(rmm_exit_name(RMM_EXIT_REASONS));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name) \
    g_test_add("/rmm/query/" #name, Fixture, NULL, set_up, name, tear_down)
    ADD(a_new_model_holds_nothing);
    ADD(a_realm_is_shown_as_it_was_created);
    ADD(what_a_realm_does_not_have_is_zero);
    ADD(a_recs_state_follows_what_it_does);
    ADD(states_of_a_realm_have_names);
    ADD(realms_and_recs_come_in_order);
    ADD(pages_and_granules_are_counted);
    ADD(calls_are_counted_by_interface);
    ADD(exits_are_counted_by_reason);
    return g_test_run();
}
