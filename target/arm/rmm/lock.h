/*
 * The locks of the RMM model and the order in which they are taken
 *
 * There are four kinds.  A thread takes them only downwards:
 *
 *   1. MigStream.lock     a stream of a migration session (session.h);
 *                         several of one session in ascending order.
 *   2. RmmRealm.lock      one mutex per Realm: its state, its tables (all
 *                         writers), its RECs.  Never two at once.
 *   3. a granule's lock   one bit in the granule's state byte (granule.h);
 *                         several only in ascending order of PA.  Held from
 *                         the check of a state to its change.
 *   4. Rmm.lock           leaf; the tables that find Realms, RECs and used
 *                         VMIDs by number.  Nothing is called under it.
 *
 * Beside them stands the walkers' count (walkers_enter): a thread inside
 * never waits and never takes a lock.  A thread that unlinked a table from a
 * Realm waits until every walker that could have seen the table has left
 * (walkers_wait), and wipes its granule only then.
 *
 * No lock is held when a call ends, and none while it waits for PEs to drop
 * their translations (rmm_tlb_sync).
 *
 * Threads change a leaf descriptor by compare-and-swap always, since holders
 * of the Realm's lock race with walkers that set the dirty bit.  All other
 * changes of descriptors happen under the Realm's lock, so its holder reads a
 * table of which only dirty bits change.
 *
 * What a REC holds (registers, pending calls) belongs to the PE that runs it
 * while it is RUNNING (rec.h), and to the Realm's lock otherwise.
 *
 * With RMM_LOCK_CHECK each thread remembers what it holds, and stops the
 * program when it breaks a rule above.  The library's own build defines it;
 * QEMU's does not.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef RMM_LOCK_H
#define RMM_LOCK_H

#include <pthread.h>
#include "rmm.h"

/* In the order in which they are taken. */
typedef enum RmmLockKind {
    LOCK_STREAM, LOCK_REALM, LOCK_GRANULE, LOCK_RMM, LOCK_KINDS
} RmmLockKind;

typedef struct RmmMutex {
    pthread_mutex_t mutex;
    RmmLockKind kind;
    uint64_t number;            /* its place among others of its kind */
} RmmMutex;

void rmm_mutex_init(RmmMutex *mutex, RmmLockKind kind, uint64_t number);
void rmm_mutex_clear(RmmMutex *mutex);
void rmm_mutex_lock(RmmMutex *mutex);
void rmm_mutex_unlock(RmmMutex *mutex);

/*
 * For locks that are no RmmMutex: say that this thread is about to take one,
 * and that it let go of one.
 */
#ifdef RMM_LOCK_CHECK
void lock_check_take(RmmLockKind kind, uint64_t number);
void lock_check_drop(RmmLockKind kind, uint64_t number);
void lock_check_none(void);     /* this thread holds none */
#else
static inline void lock_check_take(RmmLockKind kind, uint64_t number)
{
}

static inline void lock_check_drop(RmmLockKind kind, uint64_t number)
{
}

static inline void lock_check_none(void)
{
}
#endif

/* Which of the RMM_STRIPES the calling thread counts in. */
unsigned stripe_of_thread(void);

/* The calling thread may follow table descriptors until walkers_leave. */
unsigned walkers_enter(Rmm *rmm);
void walkers_leave(Rmm *rmm, unsigned stripe);

/* Wait for every walker that was inside when this was called. */
void walkers_wait(Rmm *rmm);

#endif
