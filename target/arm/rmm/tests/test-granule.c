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

static void delegation_wipes_contents_and_tags(void)
{
    FakeMachine *m = fake_machine_new(4);
    uint64_t pa = fake_granule_ns(m);
    uint8_t zero[RMM_GRANULE_SIZE] = { 0 };

    memset(fake_host(m, pa), 0xee, RMM_GRANULE_SIZE);
    memset(fake_host_tags(m, pa), 0xee, RMM_TAG_BYTES);
    g_assert_cmphex(fake_call(m, RMI_GRANULE_DELEGATE, pa), ==, RMI_SUCCESS);
    g_assert_cmpint(granule_state(m->rmm, pa), ==, GRANULE_DELEGATED);
    g_assert_cmpmem(fake_host(m, pa), RMM_GRANULE_SIZE, zero, sizeof(zero));
    g_assert_cmpmem(fake_host_tags(m, pa), RMM_TAG_BYTES, zero,
                    RMM_TAG_BYTES);
    g_assert_cmphex(fake_call(m, RMI_GRANULE_UNDELEGATE, pa), ==,
                    RMI_SUCCESS);
    g_assert_cmpint(granule_state(m->rmm, pa), ==, GRANULE_NS);
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
    TEST(delegation_wipes_contents_and_tags);
    TEST(a_machine_without_tags_works);
    TEST(what_is_no_granule_is_refused);
    TEST(a_granule_in_use_can_be_neither_delegated_nor_taken);
    TEST(the_end_of_every_object_wipes_its_granule);
    TEST(racing_delegations_are_as_if_one_came_first);
    return g_test_run();
}
