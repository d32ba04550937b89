/*
 * Locks, the check of their order, and the walkers' count (see lock.h)
 *
 * Lock rule: this file is what the rule is made of.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "rmm-internal.h"

void rmm_mutex_init(RmmMutex *mutex, RmmLockKind kind, uint64_t number)
{
    pthread_mutex_init(&mutex->mutex, NULL);
    mutex->kind = kind;
    mutex->number = number;
}

void rmm_mutex_clear(RmmMutex *mutex)
{
    pthread_mutex_destroy(&mutex->mutex);
}

void rmm_mutex_lock(RmmMutex *mutex)
{
    lock_check_take(mutex->kind, mutex->number);
    pthread_mutex_lock(&mutex->mutex);
}

void rmm_mutex_unlock(RmmMutex *mutex)
{
    lock_check_drop(mutex->kind, mutex->number);
    pthread_mutex_unlock(&mutex->mutex);
}

#ifdef RMM_LOCK_CHECK

static const char *const kind_names[LOCK_KINDS] = {
    [LOCK_STREAM] = "MigStream.lock",
    [LOCK_REALM] = "RmmRealm.lock",
    [LOCK_GRANULE] = "a granule's lock",
    [LOCK_RMM] = "Rmm.lock",
};

/* A REC with its auxiliary granules is the most, or RD and start tables. */
#define MAX_HELD 32

static _Thread_local struct {
    RmmLockKind kind;
    uint64_t number;
} held[MAX_HELD];
static _Thread_local unsigned num_held;
static _Thread_local unsigned walks;            /* walkers_enter */

/* One of @kind and @number may be taken when @i is held. */
static void check_pair(unsigned i, RmmLockKind kind, uint64_t number)
{
    rmm_rule(held[i].kind != LOCK_RMM,
             "lock.h: nothing is called under Rmm.lock, but %s is taken",
             kind_names[kind]);
    rmm_rule(held[i].kind <= kind, "lock.h: %s is taken before %s",
             kind_names[kind], kind_names[held[i].kind]);
    rmm_rule(held[i].kind < kind || kind != LOCK_REALM,
             "lock.h: never two Realms' locks at once");
    rmm_rule(held[i].kind < kind || held[i].number < number,
             "lock.h: several of a kind, here %s, in ascending order only",
             kind_names[kind]);
}

void lock_check_take(RmmLockKind kind, uint64_t number)
{
    unsigned i;

    rmm_rule(!walks, "lock.h: a walker takes no lock, but here %s",
             kind_names[kind]);
    rmm_rule(num_held < MAX_HELD, "lock.h: too many locks at once");
    for (i = 0; i < num_held; i++) {
        check_pair(i, kind, number);
    }
    held[num_held].kind = kind;
    held[num_held++].number = number;
}

void lock_check_drop(RmmLockKind kind, uint64_t number)
{
    unsigned i = num_held;

    while (i-- > 0) {
        if (held[i].kind == kind && held[i].number == number) {
            num_held--;
            for (; i < num_held; i++) {
                held[i] = held[i + 1];
            }
            return;
        }
    }
    rmm_rule(false, "lock.h: %s is let go by who does not hold it",
             kind_names[kind]);
}

void lock_check_none(void)
{
    rmm_rule(num_held == 0, "lock.h: no lock is held when a call ends "
             "or waits for PEs, but %s is", kind_names[held[0].kind]);
    rmm_rule(walks == 0, "lock.h: a call ends or waits inside walkers_enter");
}

static void check_enter(void)
{
    walks++;
}

static void check_leave(void)
{
    rmm_rule(walks, "lock.h: walkers_leave without walkers_enter");
    walks--;
}

static void check_wait(void)
{
    rmm_rule(!walks, "lock.h: a walker never waits, least of all for itself");
}

#else
static void check_enter(void)
{
}

static void check_leave(void)
{
}

static void check_wait(void)
{
}
#endif

/*
 * Threads are dealt out over the stripes, so that two of them seldom write
 * to one cache line.
 */
unsigned stripe_of_thread(void)
{
    static unsigned next;
    static _Thread_local unsigned mine;         /* 0: none yet */

    if (!mine) {
        mine = 1 + __atomic_fetch_add(&next, 1, __ATOMIC_RELAXED)
                   % RMM_STRIPES;
    }
    return mine - 1;
}

/*
 * A walker counts itself, then reads descriptors; walkers_wait's caller
 * changes a descriptor, then reads the counts.  All four are sequentially
 * consistent, so one of the two sees the other.
 */
unsigned walkers_enter(Rmm *rmm)
{
    unsigned stripe = stripe_of_thread();

    check_enter();
    __atomic_fetch_add(&rmm->walkers[stripe].inside, 1, __ATOMIC_SEQ_CST);
    return stripe;
}

void walkers_leave(Rmm *rmm, unsigned stripe)
{
    check_leave();
    __atomic_fetch_sub(&rmm->walkers[stripe].inside, 1, __ATOMIC_RELEASE);
}

void walkers_wait(Rmm *rmm)
{
    unsigned i;

    check_wait();
    for (i = 0; i < RMM_STRIPES; i++) {
        while (__atomic_load_n(&rmm->walkers[i].inside, __ATOMIC_SEQ_CST)) {
            g_thread_yield();
        }
    }
}
