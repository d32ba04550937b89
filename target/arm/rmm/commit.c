/*
 * Migration, the destination: the Realm becomes runnable
 *
 * Purpose: MIG_IMPORT_READY, MIG_IMPORT_COMMIT and MIG_IMPORT_RECEIPT.  The map
 * that the source sealed at its pause is the truth: every page that it names
 * must be here, and every page that it does not name must go.
 *
 * Invariants:
 * 1. Both go through map and tables in pieces of at most MIG_COMMIT_ENTRIES
 *    entries, since the guest decides how long the map is.  COMMIT checks a
 *    piece and then makes it true, under one hold of the Realm's lock.
 * 2. What was made true stays so until the Realm runs: nobody but the session
 *    changes the RIPAS of a Realm in IMPORT, and after the start token the
 *    session is over if the host takes something away.  Pieces are counted in
 *    IPAs, so the host may make and fold tables between them.  READY begins
 *    anew if a page went since.
 * 3. A call reports with its IPA what the host has to put right (a missing
 *    table), has changed nothing then, and may be made again.
 * 4. The last piece of COMMIT takes effect together with the Realm's state, the
 *    receipt, and the end of the abort secret: whoever can run the Realm cannot
 *    give it back.
 *
 * Lock rule: session.h.  Each call holds all streams, and the Realm's lock from
 * its first check to its last change.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "mig.h"
#include "rtt.h"

/* What a call looks at: whole entries, and the runs of the map in them */
typedef struct Piece {
    uint64_t base, top;
    const MigRun *run;          /* the one that has @base; the last one of the
                                   map ends at or behind @top */
} Piece;

static uint64_t run_start(const MigRun *run)
{
    return run->start & MIG_ENTRY_IPA;
}

static RttRipas run_ripas(const MigRun *run)
{
    return run->start & MIG_RUN_RIPAS;
}

/* The run that has @ipa; the map has no holes. */
static const MigRun *find_run(const MigSession *s, uint64_t ipa)
{
    const MigRun *runs = (const MigRun *)s->runs->data;
    guint from = 0, to = s->runs->len;

    while (to - from > 1) {
        guint middle = from + (to - from) / 2;

        if (run_start(&runs[middle]) <= ipa) {
            from = middle;
        } else {
            to = middle;
        }
    }
    return &runs[from];
}

/*
 * Where the next call begins.  What came or went in between (for COMMIT, at
 * least the start token) is a reason to begin anew.
 */
static uint64_t reached(const MigCall *c)
{
    return c->s->map_total == session_total(c->s) &&
           c->s->map_taken == c->realm->taken ? c->s->map_reached : 0;
}

/*
 * The next piece.  If the host has folded a table since, the entry may begin
 * before what was reached: to go through it again does no harm.
 */
static Piece next_piece(MigCall *c)
{
    RmmRealm *realm = c->realm;
    uint64_t ipa = reached(c);
    Piece piece;
    RttWalk walk;

    rtt_walk(realm, ipa, RTT_PAGE_LEVEL, &walk);
    piece.base = ipa & ~(rtt_entry_bytes(walk.level) - 1);
    piece.top = rtt_reach(realm, piece.base, realm_protected_top(realm),
                          c->rmm->mig_entries);
    piece.run = find_run(c->s, piece.base);
    return piece;
}

static bool is_last(MigCall *c, const Piece *piece)
{
    return piece->top == realm_protected_top(c->realm);
}

/* The next call goes on behind @piece; the one after the last begins anew. */
static void piece_done(MigCall *c, const Piece *piece)
{
    c->s->map_total = session_total(c->s);
    c->s->map_taken = c->realm->taken;
    c->s->map_reached = is_last(c, piece) ? 0 : piece->top;
}

/* What is inside @piece of @run */
static MigRun clip(const Piece *piece, const MigRun *run)
{
    return (MigRun) {
        .start = MAX(run_start(run), piece->base) |
                 (run->start & ~MIG_ENTRY_IPA),
        .top = MIN(run->top, piece->top),
    };
}

/* ---- checks ---- */

/* Can the tables say that something begins at @ipa?  If not, *@where is it. */
static uint64_t check_boundary(MigCall *c, uint64_t ipa, uint64_t *where)
{
    RttWalk walk;

    rtt_walk(c->realm, ipa, RTT_PAGE_LEVEL, &walk);
    if (ipa % rtt_entry_bytes(walk.level) == 0) {
        return RMI_SUCCESS;
    }
    *where = ipa;
    return RMI_RESULT(RMI_ERROR_RTT, walk.level);
}

/* Whether the run is assigned; if not, *@opaque is where */
static bool is_assigned(void *opaque, uint64_t ipa, uint64_t bytes,
                        RttHipas hipas, RttRipas ripas)
{
    uint64_t *where = opaque;

    if (hipas == RTT_ASSIGNED) {
        return true;
    }
    *where = ipa;
    return false;
}

static uint64_t check_run(MigCall *c, const MigRun *run, uint64_t *where)
{
    uint64_t result = check_boundary(c, run_start(run), where);

    if (result == RMI_SUCCESS && (run->start & MIG_RUN_ASSIGNED) &&
        !rtt_for_each_ripas(c->realm, run_start(run), run->top, is_assigned,
                            where)) {
        result = mig_refuse(MIG_CAUSE_PAGE_MISSING);
    }
    return result;
}

/*
 * Are all pages of @piece here, and tables where its runs begin?  If not,
 * *@where is what is missing.
 */
static uint64_t check_piece(MigCall *c, const Piece *piece, uint64_t *where)
{
    uint64_t ipa = piece->base, result = RMI_SUCCESS;

    for (const MigRun *run = piece->run;
         ipa < piece->top && result == RMI_SUCCESS; run++) {
        const MigRun part = clip(piece, run);

        result = check_run(c, &part, where);
        ipa = part.top;
    }
    return result;
}

/* ---- changes ---- */

typedef struct Drop {
    RmmRealm *realm;
    RttRipas ripas;
} Drop;

/* What is assigned is assigned as pages: the offer made sure of that */
static bool drop_pages(void *opaque, uint64_t ipa, uint64_t bytes,
                       RttHipas hipas, RttRipas ripas)
{
    const Drop *drop = opaque;
    uint64_t top = ipa + bytes;

    for (; hipas == RTT_ASSIGNED && ipa < top; ipa += RMM_GRANULE_SIZE) {
        rtt_import_drop(drop->realm, ipa, drop->ripas);
    }
    return true;
}

static void apply_run(MigCall *c, const MigRun *run)
{
    Drop drop = { c->realm, run_ripas(run) };
    uint64_t top;

    if (!(run->start & MIG_RUN_ASSIGNED)) {
        rtt_for_each_ripas(c->realm, run_start(run), run->top, drop_pages,
                           &drop);
    }
    rtt_set_ripas_import(c->realm, run_start(run), run->top,
                         run_ripas(run), &top);
    g_assert(top == run->top);
}

static void apply_piece(MigCall *c, const Piece *piece)
{
    uint64_t ipa = piece->base;

    for (const MigRun *run = piece->run; ipa < piece->top; run++) {
        const MigRun part = clip(piece, run);

        apply_run(c, &part);
        ipa = part.top;
    }
}

/* ---- the calls ---- */

/*
 * All but the start token has come: the source may make it.  Nothing changes
 * but the counter of the way back, so the host may ask again.
 */
uint64_t mig_import_ready(MigCall *c)
{
    MigSession *s = c->s;
    uint64_t result;
    Piece piece;

    c->again = true;
    if (!mig_has_room(c, sizeof(c->ready))) {
        return RMI_ERROR_INPUT;
    }
    if (s->next_base != realm_protected_top(c->realm)) {
        return mig_refuse(MIG_CAUSE_REALM_MISSING);
    }
    result = mig_lock_realm(c, REALM_IMPORT);
    if (result != RMI_SUCCESS) {
        return result;
    }
    piece = next_piece(c);
    result = s->num_recs != c->realm->num_recs
             ? mig_refuse(MIG_CAUSE_REC_MISSING)
             : check_piece(c, &piece, &c->out[2]);
    if (result == RMI_SUCCESS && is_last(c, &piece)) {
        MigCause cause = reply_make(s, MIG_TYPE_READY, c->ready);

        result = cause ? mig_refuse(cause) : RMI_SUCCESS;
    }
    if (result == RMI_SUCCESS) {
        piece_done(c, &piece);
        if (is_last(c, &piece)) {
            mig_give(c, c->ready, sizeof(c->ready));
        } else {
            c->out[2] = piece.top;
        }
    }
    mig_unlock_realm(c);
    return result;
}

/* The Realm, which has become what the map says, runs from here on */
static void arrive(MigCall *c)
{
    realm_set_state(c->realm, REALM_ACTIVE);
    session_set_phase(c->s, MIG_IDLE);
    c->s->has_receipt = true;
    session_wipe_back(c->s);
    session_wipe_abort(c->s);
    session_reset(c->s);
}

/* All that can be wrong with the next piece; the last one has the receipt */
static uint64_t check_commit(MigCall *c, const Piece *piece)
{
    uint64_t result;
    MigCause cause;

    /* A REC that the host added since would run what the host wants */
    if (c->s->num_recs != c->realm->num_recs) {
        return mig_refuse(MIG_CAUSE_REC_EXTRA);
    }
    result = check_piece(c, piece, &c->out[1]);
    if (result == RMI_SUCCESS && is_last(c, piece)) {
        cause = reply_make(c->s, MIG_TYPE_RECEIPT, c->s->receipt);
        result = cause ? mig_refuse(cause) : RMI_SUCCESS;
    }
    return result;
}

uint64_t mig_import_commit(MigCall *c)
{
    uint64_t result;
    Piece piece;

    if (c->s->phase != MIG_STARTED) {
        return mig_refuse(MIG_CAUSE_START_MISSING);
    }
    result = mig_lock_realm(c, REALM_IMPORT);
    if (result != RMI_SUCCESS) {
        return result;
    }
    piece = next_piece(c);
    result = check_commit(c, &piece);
    if (result == RMI_SUCCESS) {
        apply_piece(c, &piece);
        piece_done(c, &piece);
        if (is_last(c, &piece)) {
            arrive(c);
        } else {
            c->out[1] = piece.top;
        }
    }
    mig_unlock_realm(c);
    return result;
}

uint64_t mig_import_receipt(MigCall *c)
{
    c->again = true;
    if (!c->s->has_receipt) {
        return mig_refuse(MIG_CAUSE_STATE);
    }
    if (!mig_has_room(c, sizeof(c->s->receipt))) {
        return RMI_ERROR_INPUT;
    }
    mig_give(c, c->s->receipt, sizeof(c->s->receipt));
    return RMI_SUCCESS;
}
