/*
 * Granules: states, wiping, and races for one of them
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include "fake-machine.h"
#include "granule.h"
#include "snapshot.h"

/* RMM 1.0, A2.2.2, written down a second time, as sentences. */
static bool oracle(GranuleState from, GranuleState to)
{
    if (from == to) {
        return false;
    }
    if (from == GRANULE_NS) {
        return to == GRANULE_DELEGATED;
    }
    return from == GRANULE_DELEGATED || to == GRANULE_DELEGATED;
}

static void every_pair_of_states_is_as_the_text_says(void)
{
    int from, to;

    for (from = 0; from < GRANULE_STATES; from++) {
        for (to = 0; to < GRANULE_STATES; to++) {
            g_assert_cmpint(granule_transition_allowed(from, to), ==,
                            oracle(from, to));
        }
    }
    g_assert_false(granule_transition_allowed(GRANULE_STATES, GRANULE_NS));
    g_assert_false(granule_transition_allowed(GRANULE_NS, GRANULE_STATES));
}

static void skip_delegation(void)
{
    FakeMachine *m = fake_machine_new(4);

    granule_lock(m->rmm, FAKE_POOL_BASE, GRANULE_NS);
    granule_unlock_transition(m->rmm, FAKE_POOL_BASE, GRANULE_DATA);
}

static void the_setter_stops_with_the_rule(void)
{
    g_test_trap_subprocess("/rmm/granule/subprocess/skip-delegation", 0, 0);
    g_test_trap_assert_failed();
    g_test_trap_assert_stderr("*granule.h: no granule goes from state 0 to "
                              "5 (RMM 1.0, A2.2)*");
}

static void skip_the_claim(void)
{
    FakeMachine *m = fake_machine_new(4);
    uint64_t pa = fake_granule(m);

    granule_lock(m->rmm, pa, GRANULE_DELEGATED);
    granule_unlock_transition(m->rmm, pa, GRANULE_DATA);
}

static void the_setter_stops_what_nobody_claimed(void)
{
    g_test_trap_subprocess("/rmm/granule/subprocess/skip-the-claim", 0, 0);
    g_test_trap_assert_failed();
    g_test_trap_assert_stderr("*granule.h: what the host left goes to state "
                              "5 unclaimed*");
}

/* The next granule of the pool, DELEGATED, with the host's bytes and tags */
static uint64_t foreign_granule(FakeMachine *m)
{
    uint64_t pa = fake_granule(m);

    g_assert_true(granule_is_foreign(m->rmm, pa));
    memset(fake_host(m, pa), 0xee, RMM_GRANULE_SIZE);
    memset(fake_host_tags(m, pa), 0xee, RMM_TAG_BYTES);
    return pa;
}

static bool is_filled(const uint8_t *p, size_t len, uint8_t byte)
{
    size_t i;

    for (i = 0; i < len && p[i] == byte; i++) {
    }
    return i == len;
}

static void assert_wiped(FakeMachine *m, uint64_t pa)
{
    g_assert_false(granule_is_foreign(m->rmm, pa));
    g_assert_true(is_filled(fake_host(m, pa), RMM_GRANULE_SIZE, 0));
    g_assert_true(is_filled(fake_host_tags(m, pa), RMM_TAG_BYTES, 0));
}

static void delegation_writes_nothing(void)
{
    FakeMachine *m = fake_machine_new(4);
    uint64_t pa = fake_granule_ns(m);

    g_assert_false(granule_is_foreign(m->rmm, pa));
    memset(fake_host(m, pa), 0xcc, RMM_GRANULE_SIZE);
    memset(fake_host_tags(m, pa), 0xcc, RMM_TAG_BYTES);
    g_assert_cmphex(fake_call(m, RMI_GRANULE_DELEGATE, pa), ==, RMI_SUCCESS);
    g_assert_cmpint(granule_state(m->rmm, pa), ==, GRANULE_DELEGATED);
    g_assert_true(granule_is_foreign(m->rmm, pa));
    g_assert_true(is_filled(fake_host(m, pa), RMM_GRANULE_SIZE, 0xcc));
    g_assert_true(is_filled(fake_host_tags(m, pa), RMM_TAG_BYTES, 0xcc));
    fake_machine_free(m);
}

/* Even if nobody used the granule meanwhile: rmm.h, granule_pas. */
static void the_host_finds_zeros_when_it_is_back(void)
{
    FakeMachine *m = fake_machine_new(4);
    uint64_t pa = foreign_granule(m);

    g_assert_cmphex(fake_call(m, RMI_GRANULE_UNDELEGATE, pa), ==,
                    RMI_SUCCESS);
    g_assert_cmpint(granule_state(m->rmm, pa), ==, GRANULE_NS);
    assert_wiped(m, pa);
    fake_machine_free(m);
}

static void rd_and_start_tables_have_nothing_of_the_host(void)
{
    FakeMachine *m = fake_machine_new(16);
    const uint64_t *entry;
    FakeRealm r;
    unsigned i;

    fake_realm_params(m, &r, 33, 1);
    memset(fake_host(m, r.rd), 0xee, RMM_GRANULE_SIZE);
    memset(fake_host(m, r.tables), 0xee, RMM_GRANULE_SIZE);
    memset(m->tags, 0xee, m->granules * RMM_TAG_BYTES);
    g_assert_cmphex(fake_realm_try(m, &r), ==, RMI_SUCCESS);
    assert_wiped(m, r.rd);
    g_assert_true(is_filled(fake_host_tags(m, r.tables), RMM_TAG_BYTES, 0));
    entry = fake_host(m, r.tables);
    for (i = 0; i < 512; i++) {
        /* UNASSIGNED, EMPTY, but from the middle of 2^33 on UNASSIGNED_NS */
        g_assert_cmphex(entry[i], ==, i < 4 ? 0 : 1ull << 55);
    }
    fake_machine_free(m);
}

static void a_table_has_nothing_of_the_host(void)
{
    FakeMachine *m = fake_machine_new(16);
    FakeRealm r = fake_realm_new(m);
    uint64_t pa = foreign_granule(m);

    g_assert_cmphex(fake_call(m, RMI_RTT_CREATE, r.rd, pa, 0, 2), ==,
                    RMI_SUCCESS);
    assert_wiped(m, pa);        /* UNASSIGNED, EMPTY is 0 */
    fake_machine_free(m);
}

static void a_rec_has_nothing_of_the_host(void)
{
    FakeMachine *m = fake_machine_prepare(32);
    RmiRecParams *params = fake_ns(m, FAKE_NS_PARAMS);
    uint64_t pa, aux[2];
    FakeRealm r;

    m->platform.num_aux = 2;
    fake_machine_start(m);
    r = fake_realm_new(m);
    pa = foreign_granule(m);
    memset(params, 0, sizeof(*params));
    for (params->num_aux = 0; params->num_aux < 2; params->num_aux++) {
        params->aux[params->num_aux] = aux[params->num_aux] =
            foreign_granule(m);
    }
    g_assert_cmphex(fake_call(m, RMI_REC_CREATE, r.rd, pa, FAKE_NS_PARAMS),
                    ==, RMI_SUCCESS);
    assert_wiped(m, pa);
    assert_wiped(m, aux[0]);
    assert_wiped(m, aux[1]);
    r.rec[r.num_recs++] = pa;
    fake_realm_destroy(m, &r);
    fake_machine_free(m);
}

static void a_page_has_nothing_of_the_host(void)
{
    FakeMachine *m = fake_machine_new(32);
    FakeRealm r = fake_realm_new(m);
    uint64_t unknown = foreign_granule(m), known = foreign_granule(m);

    fake_tables(m, &r, 0);
    g_assert_cmphex(fake_call(m, RMI_DATA_CREATE_UNKNOWN, r.rd, unknown, 0),
                    ==, RMI_SUCCESS);
    assert_wiped(m, unknown);
    memset(fake_ns(m, FAKE_NS_SRC), 0x5a, RMM_GRANULE_SIZE);
    g_assert_cmphex(fake_call(m, RMI_DATA_CREATE, r.rd, known, 0x1000,
                              FAKE_NS_SRC, 0), ==, RMI_SUCCESS);
    g_assert_false(granule_is_foreign(m->rmm, known));
    g_assert_true(is_filled(fake_host(m, known), RMM_GRANULE_SIZE, 0x5a));
    g_assert_true(is_filled(fake_host_tags(m, known), RMM_TAG_BYTES, 0));
    fake_realm_destroy(m, &r);
    assert_wiped(m, known);
    fake_machine_free(m);
}

/* A call that fails has changed nothing; and what is wiped stays so. */
static void a_granule_that_is_refused_stays_foreign(void)
{
    FakeMachine *m = fake_machine_new(32);
    FakeRealm r = fake_realm_new(m);
    uint64_t pa = foreign_granule(m);

    fake_refused(m, fake_call(m, RMI_DATA_CREATE_UNKNOWN, r.rd, pa, 0),
                 RMI_RESULT(RMI_ERROR_RTT, 1));
    fake_refused(m, fake_call(m, RMI_RTT_CREATE, r.rd, pa, 0, 3),
                 RMI_RESULT(RMI_ERROR_RTT, 1));
    g_assert_true(granule_is_foreign(m->rmm, pa));
    g_assert_true(is_filled(fake_host(m, pa), RMM_GRANULE_SIZE, 0xee));
    g_assert_cmphex(fake_call(m, RMI_RTT_CREATE, r.rd, pa, 0, 2), ==,
                    RMI_SUCCESS);
    g_assert_cmphex(fake_call(m, RMI_RTT_DESTROY, r.rd, 0, 2), ==,
                    RMI_SUCCESS);
    g_assert_cmpint(granule_state(m->rmm, pa), ==, GRANULE_DELEGATED);
    assert_wiped(m, pa);
    fake_machine_free(m);
}

/* Where the first word that is not zero stands makes no difference. */
static void one_bit_is_reason_enough_to_wipe(void)
{
    FakeMachine *m = fake_machine_new(4);
    uint64_t pa = fake_granule(m);
    uint8_t *p = fake_host(m, pa), *tags = fake_host_tags(m, pa);
    size_t i;

    granule_wipe(m->rmm, pa);
    for (i = 0; i < RMM_GRANULE_SIZE; i++) {
        p[i] = 1u << i % 8;
        tags[i % RMM_TAG_BYTES] = 1u << i % 8;
        granule_wipe(m->rmm, pa);
        g_assert_true(is_filled(p, RMM_GRANULE_SIZE, 0));
        g_assert_true(is_filled(tags, RMM_TAG_BYTES, 0));
    }
    fake_machine_free(m);
}

static void a_machine_without_tags_works(void)
{
    FakeMachine *m = fake_machine_prepare(4);

    m->ops.granule_tags = NULL;
    fake_machine_start(m);
    fake_granule(m);
    fake_machine_free(m);
}

static void what_is_no_granule_is_refused(void)
{
    static const uint64_t bad[] = {
        0, 1, FAKE_POOL_BASE + 1, FAKE_POOL_BASE + 0x800, FAKE_NS_BASE,
        FAKE_POOL_BASE + 4 * RMM_GRANULE_SIZE, 1ull << 48, 1ull << 52,
        FAKE_POOL_BASE | 1ull << 52, FAKE_POOL_BASE | 1ull << 63,
        ~0ull, ~0xfffull,
    };
    FakeMachine *m = fake_machine_new(4);
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(bad); i++) {
        fake_refused(m, fake_call(m, RMI_GRANULE_DELEGATE, bad[i]),
                     RMI_ERROR_INPUT);
        fake_refused(m, fake_call(m, RMI_GRANULE_UNDELEGATE, bad[i]),
                     RMI_ERROR_INPUT);
    }
    fake_machine_free(m);
}

static void a_granule_in_use_can_be_neither_delegated_nor_taken(void)
{
    FakeMachine *m = fake_machine_new(64);
    FakeRealm r = fake_realm_active(m);
    uint64_t data, pa[4];
    size_t i;

    fake_call(m, RMI_RTT_READ_ENTRY, r.rd, 0, 3);
    data = m->pe.x[3];
    pa[0] = r.rd;
    pa[1] = r.tables;
    pa[2] = r.rec[0];
    pa[3] = data;
    g_assert_cmpint(granule_state(m->rmm, pa[0]), ==, GRANULE_RD);
    g_assert_cmpint(granule_state(m->rmm, pa[1]), ==, GRANULE_RTT);
    g_assert_cmpint(granule_state(m->rmm, pa[2]), ==, GRANULE_REC);
    g_assert_cmpint(granule_state(m->rmm, pa[3]), ==, GRANULE_DATA);
    for (i = 0; i < G_N_ELEMENTS(pa); i++) {
        fake_refused(m, fake_call(m, RMI_GRANULE_DELEGATE, pa[i]),
                     RMI_ERROR_INPUT);
        fake_refused(m, fake_call(m, RMI_GRANULE_UNDELEGATE, pa[i]),
                     RMI_ERROR_INPUT);
    }
    fake_machine_free(m);
}

static void the_end_of_every_object_wipes_its_granule(void)
{
    FakeMachine *m = fake_machine_new(64);
    FakeRealm r = fake_realm_active(m);
    uint8_t zero[RMM_GRANULE_SIZE] = { 0 };
    size_t i;

    memset(m->tags, 0x33, m->granules * RMM_TAG_BYTES);
    fake_realm_destroy(m, &r);
    for (i = 0; i < m->next; i++) {
        uint64_t pa = FAKE_POOL_BASE + i * RMM_GRANULE_SIZE;

        g_assert_cmpint(granule_state(m->rmm, pa), ==, GRANULE_DELEGATED);
        g_assert_cmpmem(fake_host(m, pa), RMM_GRANULE_SIZE,
                        zero, sizeof(zero));
        g_assert_cmpmem(fake_host_tags(m, pa), RMM_TAG_BYTES,
                        zero, RMM_TAG_BYTES);
    }
    fake_machine_free(m);
}

typedef struct Racer {
    FakeMachine *m;
    uint64_t pa;
    unsigned wins;
} Racer;

static gpointer race(gpointer opaque)
{
    Racer *r = opaque;
    unsigned i;

    for (i = 0; i < 20000; i++) {
        r->wins += granule_delegate(r->m->rmm, r->pa) == RMI_SUCCESS;
        r->wins -= granule_undelegate(r->m->rmm, r->pa) == RMI_SUCCESS;
    }
    return NULL;
}

/* Each success of one call needs one of the other between. */
static void racing_delegations_are_as_if_one_came_first(void)
{
    FakeMachine *m = fake_machine_new(4);
    Racer r[3];
    GThread *t[G_N_ELEMENTS(r)];
    unsigned i, sum = 0;

    for (i = 0; i < G_N_ELEMENTS(r); i++) {
        r[i] = (Racer) { .m = m, .pa = FAKE_POOL_BASE };
        t[i] = g_thread_new("race", race, &r[i]);
    }
    for (i = 0; i < G_N_ELEMENTS(r); i++) {
        g_thread_join(t[i]);
        sum += r[i].wins;
    }
    g_assert_cmpuint(sum, ==,
                     granule_state(m->rmm, FAKE_POOL_BASE) != GRANULE_NS);
    fake_machine_free(m);
}

#define TEST(name) g_test_add_func("/rmm/granule/" #name, name)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    TEST(every_pair_of_states_is_as_the_text_says);
    g_test_add_func("/rmm/granule/subprocess/skip-delegation",
                    skip_delegation);
    TEST(the_setter_stops_with_the_rule);
    g_test_add_func("/rmm/granule/subprocess/skip-the-claim", skip_the_claim);
    TEST(the_setter_stops_what_nobody_claimed);
    TEST(delegation_writes_nothing);
    TEST(the_host_finds_zeros_when_it_is_back);
    TEST(rd_and_start_tables_have_nothing_of_the_host);
    TEST(a_table_has_nothing_of_the_host);
    TEST(a_rec_has_nothing_of_the_host);
    TEST(a_page_has_nothing_of_the_host);
    TEST(a_granule_that_is_refused_stays_foreign);
    TEST(one_bit_is_reason_enough_to_wipe);
    TEST(a_machine_without_tags_works);
    TEST(what_is_no_granule_is_refused);
    TEST(a_granule_in_use_can_be_neither_delegated_nor_taken);
    TEST(the_end_of_every_object_wipes_its_granule);
    TEST(racing_delegations_are_as_if_one_came_first);
    return g_test_run();
}
