/*
 * The calls of the migration extension, from the inside
 *
 * Purpose: what the dispatcher (mig.c) gives to a handler, and the handlers.
 *
 * Invariants: a handler that refuses has changed nothing, but for a cause
 * from MIG_CAUSE_FINAL on, after which the dispatcher fails the import.  No
 * handler writes a record to the host: it takes its effect, and the dispatcher
 * writes ("A call that fails has told nothing" in
 * docs/specs/realm-migration-stream.rst).
 *
 * Lock rule: a handler is entered with its Realm referenced and unlocked,
 * and with the streams locked that its row in mig.c says; it finds the
 * session in a phase that its row allows.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef RMM_MIG_H
#define RMM_MIG_H

#include "policy.h"
#include "realm.h"
#include "rmm-internal.h"
#include "session.h"

#define MIG_INPUTS  7
#define MIG_OUTPUTS 4

typedef struct MigCall {
    Rmm *rmm;
    RmmRealm *realm;
    MigSession *s;
    MigStream *stream;          /* of calls that hold one; else stream 0 */
    bool collected;             /* step 2 of a round is due ("One round" in
                                   realm-migration-stream.rst) */
    uint64_t in[1 + MIG_INPUTS]; /* numbered like registers: [1] is X1 */
    uint64_t out[1 + MIG_OUTPUTS]; /* likewise; zero at first */

    /* The record that the call gives; the dispatcher writes it to the host */
    uint64_t buf, room;         /* Non-secure memory, and its size */
    const uint8_t *record;      /* NULL: none.  In scratch, session or token */
    size_t size;
    bool again;                 /* the handler itself gives it again, or
                                   another one that does as well */
    MigAbort token;             /* the dispatcher wipes it */
    uint8_t ready[MIG_EMPTY_BUNDLE];    /* ready record; no secret */
} MigCall;

static inline uint64_t mig_refuse(MigCause cause)
{
    return RMI_RESULT(RMI_ERROR_REALM, cause);
}

/* What a Realm is made with, as MigImmutable.flags has it */
static inline uint64_t mig_realm_flags(const RmmRealm *realm)
{
    return (realm->flags & ~(MIG_FLAG_MIGRATION | MIG_FLAG_MTE)) |
           (realm_may_migrate(realm) ? MIG_FLAG_MIGRATION : 0) |
           (realm_has_mte(realm) ? MIG_FLAG_MTE : 0);
}

/*
 * Lock the Realm if it still exists, is in @state, and the host has taken
 * nothing that its session relies on.  Anything but
 * RMI_SUCCESS is the result of the call, and nothing is locked.
 */
uint64_t mig_lock_realm(MigCall *c, RealmState state);
void mig_unlock_realm(MigCall *c);

/* Can the host take a record of @size bytes?  Asked before anything changes. */
bool mig_has_room(const MigCall *c, size_t size);

/*
 * The call will give the @size bytes at @record, which live until the session
 * is reset or its streams are closed.  Sets X1.  Nothing of them leaves before
 * the handler has returned: a handler that calls this can fail no more, and
 * takes its effect before it returns.
 */
void mig_give(MigCall *c, const uint8_t *record, size_t size);

/*
 * Seal @h with the @len bytes at @body, count the bundle, and give it
 * (mig_give).  Returns the result of the call; unless that is RMI_SUCCESS,
 * nothing has changed but the IV counter.
 */
uint64_t mig_seal(MigCall *c, MigHeader *h, uint8_t *body, size_t len);

/*
 * Is @h, of a bundle whose seal fits, one of @types (a bit for each MigType
 * below 64) of the current epoch, with a total exactly where one belongs?
 * Returns why not, or 0.
 */
MigCause mig_check_place(const MigCall *c, const MigHeader *h,
                         uint64_t types);

#define MIG_TYPE_BIT(type) (1ull << MIG_TYPE_##type)

/*
 * What the destination says, under the back key (reply.c).  reply_make seals a
 * record of @type about this moment to @out; it returns why it cannot, or 0.
 * reply_check returns why @record is not one, or 0.
 */
MigCause reply_make(MigSession *s, MigType type,
                    uint8_t out[MIG_EMPTY_BUNDLE]);
MigCause reply_check(MigSession *s, MigType type,
                     const uint8_t record[MIG_EMPTY_BUNDLE]);

/* The features that this RMM has and that the Realm's policy allows */
static inline uint64_t mig_features_of(const MigCall *c)
{
    return c->rmm->mig_features & policy_features(&c->realm->policy);
}

/* Is the granule at @page, which need not be aligned, zero? */
bool mig_page_is_zero(const uint8_t *page);

/* Is it longer than MIG_LIFETIME since @at was noted? */
bool mig_expired(const MigCall *c, uint64_t at);

/* Handlers: export.c */
uint64_t mig_prepare(MigCall *c);
uint64_t mig_accept(MigCall *c);
uint64_t mig_export_begin(MigCall *c);
uint64_t mig_collect_dirty(MigCall *c);
uint64_t mig_export_memory(MigCall *c);
uint64_t mig_export_epoch(MigCall *c);
uint64_t mig_pause(MigCall *c);
uint64_t mig_export_realm(MigCall *c);
uint64_t mig_export_rec(MigCall *c);
uint64_t mig_export_start(MigCall *c);
uint64_t mig_export_abort(MigCall *c);
uint64_t mig_export_resume(MigCall *c);
uint64_t mig_export_finish(MigCall *c);

/* policy.c, import.c, import-memory.c and commit.c */
uint64_t mig_set_policy(MigCall *c);
uint64_t mig_offer(MigCall *c);
uint64_t mig_import(MigCall *c);
uint64_t mig_import_memory(MigCall *c);
uint64_t mig_import_ready(MigCall *c);
uint64_t mig_import_commit(MigCall *c);
uint64_t mig_import_receipt(MigCall *c);
uint64_t mig_import_abort(MigCall *c);

#endif
