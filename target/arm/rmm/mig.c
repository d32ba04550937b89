/*
 * The calls of the migration extension: the table and the dispatcher
 *
 * Purpose: one row per call of mig-abi.h says what it takes and gives, in
 * which phases of a session it is legal and which streams it holds;
 * mig_handle does what all share.
 *
 * Invariant: the first final failure of an import is kept
 * (MigSession.failed).  After it every call of the session is refused but
 * MIG_IMPORT_ABORT, and the Realm becomes FAILED before that one succeeds.
 *
 * Lock rule: takes the streams that the row names, and holds the Realm's
 * lock only to find its session (session.h).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include "dispatch.h"
#include "mig.h"

/* What a row locks: all streams, or the one its arguments name */
typedef enum MigLocks {
    NO_REALM,                   /* the call is not about one */
    ALL_STREAMS,
    STREAM_IN_X6,
    STREAM_IN_BUNDLE,
} MigLocks;

/* What a row is an exception from */
enum {
    ALSO_LOST = 1,              /* legal though the host took something away
                                   that the session relies on */
    ALSO_OWED = 2,              /* gives its record though another is owed */
    AFTER_SYNC = 4,             /* waits for step 2 of a round */
    INVALIDATES = 8,            /* is step 2 of a round */
};

#define IN(phase) (1u << MIG_##phase)
#define ANY       ((1u << MIG_PHASES) - 1)
#define SENDING   (IN(EXPORTING) | IN(PAUSED))
#define TAKING    (IN(OFFERED) | IN(IMPORTING))

static uint64_t mig_features(MigCall *c);

/*
 * Numbers, inputs and outputs (X1 and up) are those of mig-abi.h.  "buffer" is
 * the input with the address for the record that the call gives, and the size
 * of the buffer is the next one; 0 if it gives none.
 *
 *  call       inputs outputs buffer handler   streams      phases  flags log
 */
#define CALLS(ROW) \
    ROW(FEATURES,      0, 4, 0, mig_features,      NO_REALM,    ANY, 0, \
        LOG_ALWAYS) \
    ROW(OFFER,         7, 1, 2, mig_offer,         ALL_STREAMS, IN(IDLE), 0, \
        LOG_ALWAYS) \
    ROW(ACCEPT,        3, 0, 0, mig_accept,        ALL_STREAMS, ANY, \
        ALSO_LOST, LOG_ALWAYS) \
    ROW(EXPORT_BEGIN,  3, 1, 2, mig_export_begin,  ALL_STREAMS, IN(ACCEPTED), \
        0, LOG_ALWAYS) \
    ROW(COLLECT_DIRTY, 4, 2, 0, mig_collect_dirty, ALL_STREAMS, SENDING, \
        INVALIDATES, LOG_ERRORS) \
    ROW(EXPORT_MEMORY, 6, 2, 4, mig_export_memory, STREAM_IN_X6, SENDING, \
        AFTER_SYNC, LOG_ERRORS) \
    ROW(EXPORT_EPOCH,  3, 1, 2, mig_export_epoch,  ALL_STREAMS, SENDING, 0, \
        LOG_ERRORS) \
    ROW(PAUSE,         1, 0, 0, mig_pause,         ALL_STREAMS, IN(EXPORTING), \
        0, LOG_ALWAYS) \
    ROW(EXPORT_REALM,  4, 2, 2, mig_export_realm,  ALL_STREAMS, IN(PAUSED), 0, \
        LOG_ERRORS) \
    ROW(EXPORT_REC,    4, 1, 3, mig_export_rec,    ALL_STREAMS, IN(PAUSED), 0, \
        LOG_ERRORS) \
    ROW(EXPORT_START,  4, 1, 2, mig_export_start,  ALL_STREAMS, \
        IN(PAUSED) | IN(SEALED), 0, LOG_ALWAYS) \
    ROW(EXPORT_ABORT,  1, 0, 0, mig_export_abort,  ALL_STREAMS, \
        IN(ACCEPTED) | SENDING, ALSO_LOST, LOG_ALWAYS) \
    ROW(IMPORT,        3, 0, 0, mig_import,        ALL_STREAMS, TAKING, 0, \
        LOG_ERRORS) \
    ROW(IMPORT_MEMORY, 5, 1, 0, mig_import_memory, STREAM_IN_BUNDLE, \
        IN(IMPORTING), 0, LOG_ERRORS) \
    ROW(IMPORT_COMMIT, 1, 1, 0, mig_import_commit, ALL_STREAMS, \
        IN(IMPORTING) | IN(STARTED), 0, LOG_ALWAYS) \
    ROW(IMPORT_ABORT,  3, 1, 2, mig_import_abort,  ALL_STREAMS, \
        TAKING | IN(STARTED) | IN(FAILED), ALSO_LOST | ALSO_OWED, LOG_ALWAYS) \
    ROW(SET_POLICY,    3, 0, 0, mig_set_policy,    ALL_STREAMS, IN(IDLE), 0, \
        LOG_ALWAYS) \
    ROW(EXPORT_RESUME, 3, 0, 0, mig_export_resume, ALL_STREAMS, IN(SEALED), 0, \
        LOG_ALWAYS) \
    ROW(PREPARE,       1, 4, 0, mig_prepare,       ALL_STREAMS, IN(IDLE), 0, \
        LOG_ALWAYS) \
    ROW(IMPORT_READY,  3, 2, 2, mig_import_ready,  ALL_STREAMS, \
        IN(IMPORTING), 0, LOG_ALWAYS) \
    ROW(IMPORT_RECEIPT, 3, 1, 2, mig_import_receipt, ALL_STREAMS, IN(IDLE), 0, \
        LOG_ALWAYS) \
    ROW(EXPORT_FINISH, 3, 1, 0, mig_export_finish, ALL_STREAMS, \
        IN(SEALED) | IN(GONE), 0, LOG_ALWAYS)

#define ROW(call, inputs, outputs, buffer, fn, locks, phases, flags, log) \
    [MIG_##call] = { \
        #call, inputs, outputs, buffer, fn, locks, phases, flags, log \
    },

static const struct MigRow {
    const char *name;
    unsigned inputs;
    unsigned outputs;
    unsigned buffer;
    uint64_t (*handler)(MigCall *c);
    MigLocks locks;
    unsigned phases;
    unsigned flags;
    RmmLogPolicy log;
} rows[] = {
    CALLS(ROW)
};

#undef ROW
#define ROW(call, inputs, outputs, buffer, fn, locks, phases, flags, log) \
    _Static_assert((inputs) <= MIG_INPUTS && (outputs) <= MIG_OUTPUTS, #call);
CALLS(ROW)
#undef ROW
#define ROW(call, ...) + (1u << MIG_##call)
_Static_assert((0 CALLS(ROW)) == (1u << MIG_NUM_CALLS) - 1,
               "a row for every call of the extension");
#undef ROW

/* The session becomes unusable; all streams are locked */
static void import_fail(MigCall *c)
{
    session_wipe(c->s);
    session_wipe_back(c->s);
    session_set_phase(c->s, MIG_FAILED);
    rmm_mutex_lock(&c->realm->lock);
    if (c->realm->state == REALM_IMPORT) {
        realm_set_state(c->realm, REALM_FAILED);
    }
    rmm_mutex_unlock(&c->realm->lock);
}

/*
 * The Realm is FAILED before the first byte of the token leaves.  So whoever
 * has a part of the token has it of a destination that never commits.
 */
uint64_t mig_import_abort(MigCall *c)
{
    c->again = true;
    if (!mig_has_room(c, sizeof(c->token))) {
        return RMI_ERROR_INPUT;
    }
    if (c->s->phase != MIG_FAILED) {
        import_fail(c);
    }
    c->token = (MigAbort) {
        .magic = MIG_MAGIC,
        .version = MIG_VERSION_MAJOR << 8 | c->rmm->mig_minor,
        .type = MIG_TYPE_ABORT,
        .size = sizeof(c->token),
    };
    memcpy(c->token.offer_nonce, c->s->offer.nonce,
           sizeof(c->token.offer_nonce));
    memcpy(c->token.secret, c->s->abort_secret, sizeof(c->token.secret));
    mig_give(c, (const uint8_t *)&c->token, sizeof(c->token));
    return RMI_SUCCESS;
}

/* Which stream the call is about; the bundle's own check comes later */
static bool find_stream(MigCall *c, MigLocks locks)
{
    uint16_t index = 0;

    if (locks == STREAM_IN_X6) {
        if (c->in[6] >= MIG_MAX_STREAMS) {
            return false;
        }
        index = c->in[6];
    } else if (locks == STREAM_IN_BUNDLE) {
        /*
         * A wrong index leads to a stream whose seal does not match.  What is
         * too short to have one is refused whatever stream it is, and what
         * follows the buffer is not looked at.
         */
        if (c->in[3] >= sizeof(MigHeader) &&
            !rmm_read_ns(c->rmm, &index,
                         c->in[2] + offsetof(MigHeader, stream),
                         sizeof(index))) {
            return false;
        }
        index %= MIG_MAX_STREAMS;
    }
    c->stream = &c->s->streams[index];
    return true;
}

static bool is_final(const MigCall *c, uint64_t result)
{
    return (c->s->phase == MIG_OFFERED || c->s->phase == MIG_IMPORTING ||
            c->s->phase == MIG_STARTED) &&
           RMI_STATUS(result) == RMI_ERROR_REALM &&
           RMI_INDEX(result) >= MIG_CAUSE_FINAL;
}

/*
 * Step 3 of a round waits for step 2 ("One round" in
 * docs/specs/realm-migration-stream.rst).  It holds no lock meanwhile, since a
 * PE for which step 2 waits may be waiting for one.
 */
static void lock_stream(MigCall *c, const struct MigRow *row)
{
    rmm_mutex_lock(&c->stream->lock);
    while ((row->flags & AFTER_SYNC) &&
           g_atomic_int_get(&c->s->collecting)) {
        rmm_mutex_unlock(&c->stream->lock);
        g_thread_yield();
        rmm_mutex_lock(&c->stream->lock);
    }
}

/*
 * Write the record that the call gives; all its effects are taken.  If the
 * buffer has gone away since the handler looked, the record is owed.
 */
static uint64_t hand_over(MigCall *c, uint32_t call)
{
    if (rmm_write_ns(c->rmm, c->buf, c->record, c->size)) {
        c->stream->owed = (MigOwed) { 0 };
        return RMI_SUCCESS;
    }
    if (!c->again) {
        c->stream->owed = (MigOwed) { call, c->record, c->size, c->out[2] };
    }
    memset(c->out, 0, sizeof(c->out));
    return RMI_ERROR_INPUT;
}

/* Give what this call owes since an earlier time */
static uint64_t give_owed(MigCall *c)
{
    const MigOwed owed = c->stream->owed;

    if (!mig_has_room(c, owed.size)) {
        return RMI_ERROR_INPUT;
    }
    mig_give(c, owed.at, owed.size);
    c->out[2] = owed.x2;
    return RMI_SUCCESS;
}

/*
 * Whether an earlier record has to be taken first.  A destination's host may
 * give up without its offer (ALSO_OWED).
 */
static bool must_wait(const MigCall *c, const struct MigRow *row)
{
    bool owes = c->stream->owed.call;

    for (int i = 0; row->locks == ALL_STREAMS && i < MIG_MAX_STREAMS; i++) {
        owes |= c->s->streams[i].owed.call != 0;
    }
    return row->buffer && owes && !(row->flags & ALSO_OWED);
}

/*
 * The host took away what the session relies on, and the call is none that goes
 * all the same: ways out, and ACCEPT, which is no call of such a session; its
 * handler refuses it, and ends nothing.  Handlers look again with the Realm's
 * lock held, where it matters.
 */
static bool is_lost(const MigCall *c, const struct MigRow *row)
{
    return g_atomic_int_get(&c->realm->reclaimed) &&
           !(row->flags & ALSO_LOST);
}

/* The handler, if phase and debts allow; the streams of its row are locked */
static uint64_t run_handler(MigCall *c, const struct MigRow *row)
{
    uint32_t call = row - rows;
    bool owed = row->buffer && c->stream->owed.call == call;
    uint64_t result;

    if (!owed && !(row->phases & 1u << c->s->phase)) {
        return mig_refuse(MIG_CAUSE_STATE);
    }
    if (is_lost(c, row)) {
        return mig_refuse(MIG_CAUSE_RECLAIMED);
    }
    if (!owed && must_wait(c, row)) {
        return mig_refuse(MIG_CAUSE_OWED);
    }
    result = owed ? give_owed(c) : row->handler(c);
    return result == RMI_SUCCESS && c->record ? hand_over(c, call) : result;
}

/*
 * Calls that run side by side meet the first failure of one of them, and tell
 * their host what it was.
 */
static MigCause why_failed(const MigCall *c, const struct MigRow *row)
{
    return row->locks == STREAM_IN_BUNDLE
           ? g_atomic_int_get(&c->s->failed) : MIG_CAUSE_STATE;
}

/* Call the handler with the streams of its row locked */
static uint64_t run_row(MigCall *c, const struct MigRow *row)
{
    bool all = row->locks == ALL_STREAMS, final = false;
    uint64_t result;

    if (all) {
        session_lock_all(c->s);
    } else {
        lock_stream(c, row);
    }
    /* A row with FAILED also works while a failure waits for our streams */
    if (!g_atomic_int_get(&c->s->failed) || (row->phases & IN(FAILED))) {
        result = run_handler(c, row);
        final = is_final(c, result);
        if (final) {
            g_atomic_int_compare_and_exchange(&c->s->failed, 0,
                                              RMI_INDEX(result));
        }
    } else {
        result = mig_refuse(why_failed(c, row));
    }
    if (!all) {
        rmm_mutex_unlock(&c->stream->lock);
    }

    if (final && !all) {
        /* Another stream may have failed the session in between */
        session_lock_all(c->s);
        all = true;
    }
    if (final && c->s->phase != MIG_FAILED) {
        import_fail(c);
    }
    if (all) {
        session_unlock_all(c->s);
    }
    return result;
}

static uint64_t run_call(MigCall *c, const struct MigRow *row)
{
    RmmRealm *realm = realm_lock(c->rmm, c->in[1]);
    uint64_t result = RMI_ERROR_INPUT;

    if (!realm) {
        return result;
    }
    c->s = session_of(realm);
    c->realm = realm_ref(realm);
    realm_unlock(realm);
    if (row->buffer) {
        c->buf = c->in[row->buffer];
        c->room = c->in[row->buffer + 1];
    }

    if (find_stream(c, row->locks)) {
        result = run_row(c, row);
    }
    if (c->collected) {
        rmm_tlb_sync(c->rmm);
        g_atomic_int_add(&c->s->collecting, -1);
    }
    secret_wipe(&c->token, sizeof(c->token));
    realm_unref(c->realm);
    return result;
}

static uint64_t mig_features(MigCall *c)
{
    c->out[1] = MIG_VERSION_MAJOR << 8 | c->rmm->mig_minor;
    c->out[2] = MIG_MAX_BUNDLE;
    c->out[3] = MIG_MAX_PAGES;
    c->out[4] = c->rmm->mig_features;
    return RMI_SUCCESS;
}

static void log_call(Rmm *rmm, const struct MigRow *row, const MigCall *c,
                     uint64_t x0)
{
    RmmLog entry = { .call = row->name,
                     .inputs = &c->in[1], .num_inputs = row->inputs,
                     .result = x0 };

    dispatch_end(rmm, RMM_MIG, row->log, x0 != RMI_SUCCESS, &entry);
}

/* All but FEATURES do cryptography, or go through tables. */
unsigned mig_traits(uint32_t fid)
{
    uint32_t n = fid - MIG_FID_BASE;

    if (n >= MIG_NUM_CALLS || rows[n].locks == NO_REALM) {
        return 0;
    }
    return RMM_CALL_LONG |
           (rows[n].flags & INVALIDATES ? RMM_CALL_INVALIDATES : 0);
}

void mig_handle(Rmm *rmm, RmmPe *pe)
{
    uint32_t n = pe_fid(pe) - MIG_FID_BASE;
    MigCall c = { .rmm = rmm };
    const struct MigRow *row;

    if (!rmm->platform.migration || n >= MIG_NUM_CALLS) {
        dispatch_refuse(rmm, pe, RMM_MIG);
        return;
    }
    row = &rows[n];
    memcpy(&c.in[1], &pe->x[1], row->inputs * sizeof(c.in[0]));
    pe->x[0] = row->locks == NO_REALM ? row->handler(&c) : run_call(&c, row);
    memcpy(&pe->x[1], &c.out[1],
           MAX(row->outputs, HOST_ZEROED) * sizeof(c.out[0]));
    log_call(rmm, row, &c, pe->x[0]);
}
