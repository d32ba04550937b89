/*
 * Migration, the destination: the Realm becomes runnable
 *
 * Purpose: MIG_IMPORT_COMMIT.  The map that the source sealed at its pause
 * is the truth: every page that it names must be here, and every page that
 * it does not name must go.
 *
 * Invariants: the call checks everything before it changes anything.  It
 * reports with its IPA what the host has to put right (a missing table), and
 * the host may make the call again.  It goes through map and tables twice, once
 * to check and once to change them, and no more often, since the guest decides
 * how long the map is.  The commit wipes the abort secret: whoever can run the
 * Realm cannot give it back.
 *
 * Lock rule: session.h.  The call holds all streams, and the Realm's lock from
 * the first check to the change of state, so that nobody sees half of it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "mig.h"
#include "rtt.h"

static uint64_t run_start(const MigRun *run)
{
    return run->start & MIG_ENTRY_IPA;
}

static RttRipas run_ripas(const MigRun *run)
{
    return run->start & MIG_RUN_RIPAS;
}

/* Can the tables say that something begins at @ipa? */
static uint64_t check_boundary(MigCall *c, uint64_t ipa)
{
    RttWalk walk;

    rtt_walk(c->realm, ipa, RTT_PAGE_LEVEL, &walk);
    if (ipa % rtt_entry_bytes(walk.level) == 0) {
        return RMI_SUCCESS;
    }
    c->out[1] = ipa;
    return RMI_RESULT(RMI_ERROR_RTT, walk.level);
}

/* Whether the run is assigned; if not, X1 says where */
static bool is_assigned(void *opaque, uint64_t ipa, uint64_t bytes,
                        RttHipas hipas, RttRipas ripas)
{
    MigCall *c = opaque;

    if (hipas == RTT_ASSIGNED) {
        return true;
    }
    c->out[1] = ipa;
    return false;
}

static uint64_t check_run(MigCall *c, const MigRun *run)
{
    uint64_t result = check_boundary(c, run_start(run));

    if (result == RMI_SUCCESS && (run->start & MIG_RUN_ASSIGNED) &&
        !rtt_for_each_ripas(c->realm, run_start(run), run->top, is_assigned,
                            c)) {
        result = mig_refuse(MIG_CAUSE_PAGE_MISSING);
    }
    return result;
}

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

uint64_t mig_check_map(MigCall *c)
{
    const MigRun *runs = (const MigRun *)c->s->runs->data;
    uint64_t result = RMI_SUCCESS;

    /* A REC that the host added since would run what the host wants */
    if (c->s->num_recs != c->realm->num_recs) {
        return mig_refuse(MIG_CAUSE_REC_EXTRA);
    }
    for (guint i = 0; i < c->s->runs->len && result == RMI_SUCCESS; i++) {
        result = check_run(c, &runs[i]);
    }
    return result;
}

uint64_t mig_import_commit(MigCall *c)
{
    const MigRun *runs = (const MigRun *)c->s->runs->data;
    uint64_t result;

    if (c->s->phase != MIG_STARTED) {
        return mig_refuse(MIG_CAUSE_START_MISSING);
    }
    result = mig_lock_realm(c, REALM_IMPORT);
    if (result != RMI_SUCCESS) {
        return result;
    }
    result = mig_check_map(c);
    if (result == RMI_SUCCESS &&
        !reply_make(c->s, MIG_TYPE_RECEIPT, c->s->receipt)) {
        result = mig_refuse(MIG_CAUSE_CIPHER);
    }
    if (result == RMI_SUCCESS) {
        for (guint i = 0; i < c->s->runs->len; i++) {
            apply_run(c, &runs[i]);
        }
        realm_set_state(c->realm, REALM_ACTIVE);
        session_set_phase(c->s, MIG_IDLE);
        c->s->has_receipt = true;
        session_wipe_back(c->s);
        session_wipe_abort(c->s);
        session_reset(c->s);
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
