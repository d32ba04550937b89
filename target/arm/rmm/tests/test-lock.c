/*
 * The order of locks is checked, and so are walkers (lock.h)
 *
 * The test tries each wrong way in a process of its own, which has to die with
 * a message that names the rule.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "fake-machine.h"
#include "granule.h"

#ifndef RMM_LOCK_CHECK
#error "these tests need the check that they test"
#endif

/* What a thread that holds the first may not do with the second. */
static const struct {
    RmmLockKind first, second;
    uint64_t first_number, second_number;
    const char *message;        /* NULL: it is allowed */
} orders[] = {
    { LOCK_STREAM, LOCK_STREAM, 0, 1, NULL },
    { LOCK_STREAM, LOCK_STREAM, 1, 0, "in ascending order only" },
    { LOCK_STREAM, LOCK_STREAM, 1, 1, "in ascending order only" },
    { LOCK_STREAM, LOCK_REALM, 7, 0, NULL },
    { LOCK_STREAM, LOCK_GRANULE, 7, 0, NULL },
    { LOCK_STREAM, LOCK_RMM, 7, 0, NULL },
    { LOCK_REALM, LOCK_STREAM, 0, 7, "MigStream.lock is taken before Rmm" },
    { LOCK_REALM, LOCK_REALM, 0, 1, "never two Realms' locks at once" },
    { LOCK_REALM, LOCK_REALM, 1, 1, "never two Realms' locks at once" },
    { LOCK_REALM, LOCK_GRANULE, 7, 0, NULL },
    { LOCK_REALM, LOCK_RMM, 7, 0, NULL },
    { LOCK_GRANULE, LOCK_STREAM, 0, 7, "MigStream.lock is taken before a" },
    { LOCK_GRANULE, LOCK_REALM, 0, 7, "RmmRealm.lock is taken before a" },
    { LOCK_GRANULE, LOCK_GRANULE, 1, 2, NULL },
    { LOCK_GRANULE, LOCK_GRANULE, 2, 1, "in ascending order only" },
    { LOCK_GRANULE, LOCK_GRANULE, 2, 2, "in ascending order only" },
    { LOCK_GRANULE, LOCK_RMM, 7, 0, NULL },
    { LOCK_RMM, LOCK_STREAM, 0, 7, "nothing is called under Rmm.lock" },
    { LOCK_RMM, LOCK_REALM, 0, 7, "nothing is called under Rmm.lock" },
    { LOCK_RMM, LOCK_GRANULE, 0, 7, "nothing is called under Rmm.lock" },
    { LOCK_RMM, LOCK_RMM, 0, 7, "nothing is called under Rmm.lock" },
};

static void take_both(gconstpointer data)
{
    unsigned i = GPOINTER_TO_UINT(data);
    RmmMutex first, second;

    rmm_mutex_init(&first, orders[i].first, orders[i].first_number);
    rmm_mutex_init(&second, orders[i].second, orders[i].second_number);
    rmm_mutex_lock(&first);
    rmm_mutex_lock(&second);
    rmm_mutex_unlock(&first);           /* in any order */
    rmm_mutex_unlock(&second);
    lock_check_none();
    rmm_mutex_clear(&first);
    rmm_mutex_clear(&second);
}

/* Run @path in a process of its own; it has to die with "lock.h: @message" */
static void assert_dies(const char *path, const char *message)
{
    char *pattern = g_strdup_printf("*lock.h: *%s*", message);

    g_test_trap_subprocess(path, 0, 0);
    g_test_trap_assert_failed();
    g_test_trap_assert_stderr(pattern);
    g_free(pattern);
}

static void locks_are_taken_downwards_only(void)
{
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(orders); i++) {
        char *path = g_strdup_printf("/rmm/lock/order/subprocess/%u", i);

        if (orders[i].message) {
            assert_dies(path, orders[i].message);
        } else {
            take_both(GUINT_TO_POINTER(i));
        }
        g_free(path);
    }
}

static void granules_descend(void)
{
    FakeMachine *m = fake_machine_new(2);

    granule_lock(m->rmm, FAKE_POOL_BASE + RMM_GRANULE_SIZE, GRANULE_NS);
    granule_lock(m->rmm, FAKE_POOL_BASE, GRANULE_NS);
}

static void granules_are_locked_in_ascending_order(void)
{
    assert_dies("/rmm/lock/subprocess/granules-descend",
                "granule's lock, in ascending order only");
}

static void walker_locks(void)
{
    FakeMachine *m = fake_machine_new(2);

    walkers_enter(m->rmm);
    rmm_mutex_lock(&m->rmm->lock);
}

static void a_walker_takes_no_lock(void)
{
    assert_dies("/rmm/lock/subprocess/walker-locks",
                "a walker takes no lock, but here Rmm.lock");
}

static void walker_waits(void)
{
    FakeMachine *m = fake_machine_new(2);

    walkers_enter(m->rmm);
    walkers_wait(m->rmm);
}

static void a_walker_never_waits(void)
{
    assert_dies("/rmm/lock/subprocess/walker-waits", "a walker never waits");
}

static void lock_stays(void)
{
    FakeMachine *m = fake_machine_new(2);

    granule_lock(m->rmm, FAKE_POOL_BASE, GRANULE_NS);
    fake_call(m, RMI_VERSION, RMM_ABI_VERSION_1_0);
}

static void no_lock_is_held_when_a_call_ends(void)
{
    assert_dies("/rmm/lock/subprocess/lock-stays",
                "no lock is held when a call ends or waits for PEs, "
                "but a granule's lock is");
}

static void waits_with_a_stream(void)
{
    FakeMachine *m = fake_machine_new(2);
    RmmMutex stream;

    rmm_mutex_init(&stream, LOCK_STREAM, 0);
    rmm_mutex_lock(&stream);
    rmm_tlb_sync(m->rmm);
}

static void nobody_waits_for_pes_with_a_lock(void)
{
    assert_dies("/rmm/lock/subprocess/waits-with-stream",
                "no lock is held when a call ends or waits for PEs, "
                "but MigStream.lock is");
}

static void stranger_unlocks(void)
{
    FakeMachine *m = fake_machine_new(2);

    rmm_mutex_unlock(&m->rmm->lock);
}

static void only_its_holder_lets_a_lock_go(void)
{
    assert_dies("/rmm/lock/subprocess/stranger-unlocks",
                "Rmm.lock is let go by who does not hold it");
}

static gpointer lock_rmm(gpointer opaque)
{
    RmmMutex *mutex = opaque;

    rmm_mutex_lock(mutex);
    rmm_mutex_unlock(mutex);
    return NULL;
}

/* What one thread holds says nothing of another. */
static void each_thread_has_its_own_record(void)
{
    RmmMutex leaf, realm;
    GThread *thread;

    rmm_mutex_init(&leaf, LOCK_RMM, 0);
    rmm_mutex_init(&realm, LOCK_REALM, 0);
    rmm_mutex_lock(&leaf);
    thread = g_thread_new("other", lock_rmm, &realm);
    g_thread_join(thread);
    rmm_mutex_unlock(&leaf);
    rmm_mutex_clear(&leaf);
    rmm_mutex_clear(&realm);
}

#define TEST(name) g_test_add_func("/rmm/lock/" #name, name)
#define WRONG(path, name) g_test_add_func("/rmm/lock/subprocess/" path, name)

int main(int argc, char **argv)
{
    unsigned i;

    g_test_init(&argc, &argv, NULL);
    for (i = 0; i < G_N_ELEMENTS(orders); i++) {
        char *path = g_strdup_printf("/rmm/lock/order/subprocess/%u", i);

        g_test_add_data_func(path, GUINT_TO_POINTER(i), take_both);
        g_free(path);
    }
    WRONG("granules-descend", granules_descend);
    WRONG("walker-locks", walker_locks);
    WRONG("walker-waits", walker_waits);
    WRONG("waits-with-stream", waits_with_a_stream);
    WRONG("lock-stays", lock_stays);
    WRONG("stranger-unlocks", stranger_unlocks);
    TEST(locks_are_taken_downwards_only);
    TEST(granules_are_locked_in_ascending_order);
    TEST(a_walker_takes_no_lock);
    TEST(a_walker_never_waits);
    TEST(no_lock_is_held_when_a_call_ends);
    TEST(nobody_waits_for_pes_with_a_lock);
    TEST(only_its_holder_lets_a_lock_go);
    TEST(each_thread_has_its_own_record);
    return g_test_run();
}
