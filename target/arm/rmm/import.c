/*
 * Migration, the destination: a Realm arrives
 *
 * Purpose: the offer, and every record but memory
 * (docs/specs/realm-migration-stream.rst, "Destination").
 *
 * Invariants:
 * 1. A record is copied once, authenticated, checked as a whole, and only
 *    then takes effect; its stream's counter goes up with the effect.
 * 2. A record with any fault ends the session: the call returns the cause,
 *    and mig.c makes the Realm FAILED.  Only a fault of the host (a buffer
 *    that is not Non-secure) leaves everything as it was.
 *
 * Lock rule: session.h.  All calls here hold all streams.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "exception.h"
#include "history.h"
#include "measurement.h"
#include "mig.h"
#include "policy.h"
#include "rtt.h"

/* ---- the offer ---- */

/* Draw its secrets to the session, and sign it */
static uint64_t make_offer(MigCall *c, MigHelloRecord *offer)
{
    MigSession *s = c->s;
    MigHello *hello = &offer->hello;
    MigCause cause;

    session_hello(c->rmm, MIG_TYPE_OFFER, hello, s->secret);
    hello->features = mig_features_of(c);
    memcpy(hello->peer_nonce, &c->in[4], sizeof(hello->peer_nonce));
    c->rmm->ops.random(c->rmm->opaque, s->abort_secret,
                       sizeof(s->abort_secret));
    crypto_hash(hello->abort_lock, s->abort_secret, sizeof(s->abort_secret));
    cause = session_sign(c->rmm, offer, NULL);
    if (cause) {
        return mig_refuse(cause);
    }
    return mig_has_room(c, hello->size) ? RMI_SUCCESS : RMI_ERROR_INPUT;
}

uint64_t mig_offer(MigCall *c)
{
    MigSession *s = c->s;
    MigHelloRecord offer;
    uint64_t result = mig_lock_realm(c, REALM_NEW);

    if (result != RMI_SUCCESS) {
        return result;
    }
    if (!realm_may_migrate(c->realm)) {
        result = mig_refuse(MIG_CAUSE_NOT_MIGRATABLE);
        goto out;
    }
    if (rtt_has_blocks(c->realm)) {     /* pages come and go one by one */
        result = RMI_RESULT(RMI_ERROR_RTT, RTT_PAGE_LEVEL - 1);
        goto out;
    }

    result = make_offer(c, &offer);
    if (result == RMI_SUCCESS) {
        session_reset(s);
        s->version = offer.hello.version;
        s->features = offer.hello.features;
        s->offer = session_offer(&offer);
        s->offered_at = c->rmm->ops.seconds(c->rmm->opaque);
        s->hello = offer;
        session_set_phase(s, MIG_OFFERED);
        realm_set_state(c->realm, REALM_IMPORT);
        mig_give(c, (const uint8_t *)&s->hello, offer.hello.size);
    } else {
        session_wipe(s);
        session_wipe_abort(s);
    }
out:
    mig_unlock_realm(c);
    return result;
}

/* ---- the session begins ---- */

/* A cause that says how @im differs from @realm, or 0 */
static MigCause difference(const RmmRealm *realm, const MigImmutable *im)
{
    const uint64_t flags = im->flags ^ mig_realm_flags(realm);

    return im->ipa_bits != realm->ipa_bits ? MIG_CAUSE_DIFFERENT_IPA_WIDTH :
           im->start_level != realm->rtt_level_start ?
               MIG_CAUSE_DIFFERENT_START_LEVEL :
           im->hash_algo != realm->hash_algo ?
               MIG_CAUSE_DIFFERENT_HASH_ALGORITHM :
           memcmp(im->rpv, realm->rpv, sizeof(im->rpv)) != 0 ?
               MIG_CAUSE_DIFFERENT_PERSONALIZATION_VALUE :
           flags & MIG_FLAG_MTE ? MIG_CAUSE_DIFFERENT_MTE :
           flags & (RMI_REALM_PMU) ? MIG_CAUSE_DIFFERENT_PMU :
           flags & (RMI_REALM_SVE) ? MIG_CAUSE_DIFFERENT_SVE :
           flags ? MIG_CAUSE_DIFFERENT_FLAGS :
           im->sve_vl != realm->sve_vl ? MIG_CAUSE_DIFFERENT_SVE :
           im->num_bps != realm->num_bps ? MIG_CAUSE_DIFFERENT_BREAKPOINTS :
           im->num_wps != realm->num_wps ? MIG_CAUSE_DIFFERENT_WATCHPOINTS :
           im->pmu_num_ctrs != realm->pmu_num_ctrs ? MIG_CAUSE_DIFFERENT_PMU :
           im->num_recs != realm->num_recs ? MIG_CAUSE_DIFFERENT_NUM_RECS :
           memcmp(&im->policy, &realm->policy, sizeof(im->policy)) != 0 ?
               MIG_CAUSE_DIFFERENT_POLICY : 0;
}

static bool immutable_valid(const MigHeader *h, const MigImmutable *im)
{
    static const MigImmutable zero;

    return bundle_body_size(h) == sizeof(*im) && im->reserved1 == 0 &&
           memcmp(im->reserved0, zero.reserved0, sizeof(zero.reserved0)) == 0 &&
           measurement_padding_ok(im->hash_algo, &im->rim_base, 1) &&
           history_valid(&im->history);
}

/*
 * Is @answer the session header for our offer, from an RMM we trust?  Then its
 * token says @claims.
 */
static MigCause check_answer(MigCall *c, const MigHelloRecord *answer,
                             size_t size, TokenPlatform *claims)
{
    const MigHello *hello = &answer->hello;
    const MigSession *s = c->s;
    MigCause cause = session_hello_check(hello, size, MIG_TYPE_SESSION);

    if (cause) {
        return cause;
    }
    if (!crypto_equal(hello->peer_nonce, s->offer.nonce,
                      sizeof(s->offer.nonce))) {
        return MIG_CAUSE_OTHER_OFFER;
    }
    if (mig_expired(c, s->offered_at)) {
        return MIG_CAUSE_EXPIRED;
    }
    if (session_is_own(&s->hello.hello, hello)) {
        return MIG_CAUSE_OWN_HELLO;
    }
    if (hello->version > s->version) {
        return MIG_CAUSE_VERSION;
    }
    if (hello->features & ~s->features ||
        c->realm->policy.required & ~hello->features) {
        return MIG_CAUSE_FEATURES;
    }
    return session_check_peer(c->realm, answer, &s->offer, claims);
}

/*
 * The bundle behind the session header, which is accepted, takes effect; the
 * token of the source says @claims.
 */
static uint64_t begin_import(MigCall *c, const uint8_t *bundle, size_t size,
                             const TokenPlatform *claims)
{
    MigImmutable im;
    MigHeader h;
    MigCause cause;
    uint64_t result;

    memcpy(c->stream->scratch, bundle, size);
    if (!bundle_open(c->stream, size, &h, &cause)) {
        return mig_refuse(cause);
    }
    cause = mig_check_place(c, &h, MIG_TYPE_BIT(IMMUTABLE));
    if (cause) {
        return mig_refuse(cause);
    }
    memcpy(&im, bundle_body(c->stream, 0), sizeof(im));
    if (!immutable_valid(&h, &im)) {
        return mig_refuse(MIG_CAUSE_FORMAT);
    }
    result = mig_lock_realm(c, REALM_IMPORT);
    if (result != RMI_SUCCESS) {
        return result;
    }
    cause = difference(c->realm, &im);
    if (cause) {
        result = mig_refuse(cause);
    } else {
        memcpy(c->realm->measurement[0], im.rim_base, sizeof(im.rim_base));
        measurement_finish(c->realm);
        history_arrive(&c->realm->history, c->rmm, &im.history, claims);
        session_set_phase(c->s, MIG_IMPORTING);
        bundle_done(c->stream);
    }
    mig_unlock_realm(c);
    return result;
}

/* Session header and first bundle, which follow each other in the buffer */
static uint64_t import_begin(MigCall *c)
{
    const size_t bundle = bundle_size(0, sizeof(MigImmutable));
    uint8_t blob[MIG_MAX_BEGIN];
    MigKeys keys;
    size_t size = c->in[3];
    MigSession *s = c->s;
    MigHelloRecord answer;
    TokenPlatform claims;
    MigCause cause;
    bool ok;

    if (c->in[3] < MIG_BEGIN_FIXED || c->in[3] > sizeof(blob)) {
        return mig_refuse(MIG_CAUSE_FORMAT);
    }
    if (!rmm_read_ns(c->rmm, blob, c->in[2], size)) {
        return RMI_ERROR_INPUT;
    }
    memcpy(&answer, blob, size - bundle);
    cause = check_answer(c, &answer, size - bundle, &claims);
    if (cause) {
        return mig_refuse(cause);
    }
    /* The offer serves this one session header, whatever comes of it */
    ok = session_derive(&keys, s->secret, answer.hello.public_key, &s->offer,
                        &answer) &&
         session_open(s, &keys, &answer.hello);
    secret_wipe(&keys, sizeof(keys));
    secret_wipe(s->secret, sizeof(s->secret));
    return ok ? begin_import(c, blob + size - bundle, bundle, &claims)
              : mig_refuse(MIG_CAUSE_KEY);
}

/* ---- tokens ---- */

/* In the next epoch each page may come again; after the start token, none. */
static void forget_arrived(MigCall *c, bool started)
{
    rmm_mutex_lock(&c->realm->lock);
    rtt_forget_arrived(c->realm);
    c->realm->started = started;
    rmm_mutex_unlock(&c->realm->lock);
}

static uint64_t import_epoch(MigCall *c, const MigHeader *h)
{
    if (bundle_body_size(h) != 0) {
        return mig_refuse(MIG_CAUSE_FORMAT);
    }
    if (h->total != session_total(c->s) + 1) {
        return mig_refuse(MIG_CAUSE_TOTAL);
    }
    if (c->s->epoch == UINT32_MAX) {
        return mig_refuse(MIG_CAUSE_EPOCH);
    }
    forget_arrived(c, false);
    c->s->epoch++;
    return RMI_SUCCESS;
}

static uint64_t import_start(MigCall *c, const MigHeader *h)
{
    if (bundle_body_size(h) != 0) {
        return mig_refuse(MIG_CAUSE_FORMAT);
    }
    if (h->total != session_total(c->s) + 1) {
        return mig_refuse(MIG_CAUSE_TOTAL);
    }
    if (c->s->next_base != realm_protected_top(c->realm) ||
        c->s->num_recs != c->realm->num_recs) {
        return mig_refuse(MIG_CAUSE_INCOMPLETE);
    }
    forget_arrived(c, true);
    /* No record follows that needs the key */
    session_set_phase(c->s, MIG_STARTED);
    session_wipe(c->s);
    return RMI_SUCCESS;
}

/* ---- Realm state ---- */

/*
 * Are these runs a map of [base, top) in order and without holes, of which
 * neighbours differ in kind?
 */
static bool runs_valid(const MigMutable *mu, const MigRun *runs)
{
    uint64_t at = mu->base, last = UINT64_MAX;

    for (uint32_t i = 0; i < mu->num_runs; i++) {
        uint64_t start = runs[i].start & MIG_ENTRY_IPA;
        uint64_t kind = runs[i].start & ~MIG_ENTRY_IPA;

        if (start != at || runs[i].top <= at || kind == last ||
            runs[i].top % RMM_GRANULE_SIZE ||
            (kind > RMI_RIPAS_DESTROYED &&
             kind != (MIG_RUN_ASSIGNED | RMI_RIPAS_RAM))) {
            return false;
        }
        at = runs[i].top;
        last = kind;
    }
    return at == mu->top;
}

/*
 * Every part has the same REMs: the Realm stands still.  The first part has
 * taken effect when the next one comes, and nobody else changes them in IMPORT.
 */
static bool rem_valid(const RmmRealm *realm, const MigMutable *mu)
{
    return mu->base == 0
           ? measurement_padding_ok(realm->hash_algo, mu->rem,
                                    G_N_ELEMENTS(mu->rem))
           : !memcmp(mu->rem, realm->measurement[1], sizeof(mu->rem));
}

static bool mutable_valid(const MigCall *c, const MigHeader *h,
                          const MigMutable *mu, const MigRun *runs)
{
    static const MigMutable zero;
    size_t len = bundle_body_size(h);

    return mu->num_runs <= (len - sizeof(*mu)) / sizeof(*runs) &&
           len == sizeof(*mu) + mu->num_runs * sizeof(*runs) &&
           mu->num_runs <= MIG_MAX_RUNS - c->s->runs->len &&
           mu->base == c->s->next_base && mu->top > mu->base &&
           mu->top <= realm_protected_top(c->realm) &&
           mu->realm_state == MIG_STATE_ACTIVE &&
           rem_valid(c->realm, mu) &&
           !memcmp(mu->reserved0, zero.reserved0, sizeof(mu->reserved0)) &&
           !memcmp(mu->reserved1, zero.reserved1, sizeof(mu->reserved1)) &&
           runs_valid(mu, runs);
}

static uint64_t import_mutable(MigCall *c, const MigHeader *h)
{
    const uint8_t *body = bundle_body(c->stream, 0);
    const MigRun *runs = (const MigRun *)(body + sizeof(MigMutable));
    MigMutable mu;
    uint64_t result;

    if (bundle_body_size(h) < sizeof(mu)) {
        return mig_refuse(MIG_CAUSE_FORMAT);
    }
    memcpy(&mu, body, sizeof(mu));
    if (!mutable_valid(c, h, &mu, runs)) {
        return mig_refuse(MIG_CAUSE_FORMAT);
    }
    result = mig_lock_realm(c, REALM_IMPORT);
    if (result == RMI_SUCCESS) {
        memcpy(c->realm->measurement[1], mu.rem, sizeof(mu.rem));
        mig_unlock_realm(c);
        g_array_append_vals(c->s->runs, runs, mu.num_runs);
        c->s->next_base = mu.top;
    }
    return result;
}

/* ---- RECs ---- */

/* The states that MigRec.pending stands for, of a REC that is runnable */
static const RecState pending_states[] = {
    REC_READY, REC_PSCI, REC_RIPAS, REC_HOST_CALL
};

/* Is this how far a host may have come with an RSI_IPA_STATE_SET? */
static bool ripas_valid(const RmmRealm *realm, const MigRec *in)
{
    return in->ripas_addr % RMM_GRANULE_SIZE == 0 &&
           in->ripas_top % RMM_GRANULE_SIZE == 0 &&
           in->ripas_addr <= in->ripas_top &&
           in->ripas_top <= realm_protected_top(realm);
}

/*
 * The next entry writes an RsiHostCall there: RSI_HOST_CALL takes it at a
 * multiple of its size only, so that it is in one page.
 */
static bool host_call_valid(const RmmRealm *realm, const MigRec *in)
{
    return in->host_call_ipa % sizeof(RsiHostCall) == 0 &&
           in->host_call_ipa < realm_protected_top(realm);
}

static bool rec_valid(const RmmRealm *realm, const MigHeader *h,
                      const MigRec *in)
{
    static const MigRec zero;

    return in->context_size != 0 && in->context_size <= RMM_MAX_CONTEXT &&
           bundle_body_size(h) == sizeof(*in) + in->context_size &&
           in->pending < G_N_ELEMENTS(pending_states) &&
           (in->runnable || !in->pending) &&
           (pending_states[in->pending] != REC_RIPAS ||
            ripas_valid(realm, in)) &&
           (pending_states[in->pending] != REC_HOST_CALL ||
            host_call_valid(realm, in)) &&
           in->ripas_value <= RMI_RIPAS_RAM && in->runnable <= 1 &&
           in->change_destroyed <= 1 &&
           /* An exit is either an abort or a call, not both. */
           (in->abort == REC_ABORT_NONE || !in->pending) &&
           exception_abort_ok(in->abort, in->abort_esr, in->abort_far) &&
           !memcmp(in->reserved0, zero.reserved0, sizeof(in->reserved0));
}

/* The REC of this Realm that @mpidr names and that has not come yet */
static RmmRec *awaited_rec(MigCall *c, uint64_t mpidr)
{
    uint32_t index;
    RmmRec *rec = rec_mpidr_to_index(mpidr, &index)
                  ? rec_find_index(c->realm, index) : NULL;

    return rec && !c->s->recs[rec->slot] ? rec : NULL;
}

/* What belongs to a call counts while that call is pending only. */
static void take_rec(RmmRec *rec, const MigRec *in)
{
    RecState state = in->runnable ? pending_states[in->pending] : REC_OFF;

    memcpy(rec->x, in->x, sizeof(rec->x));
    rec->pc = in->pc;
    rec_set_state(rec, state);
    if (state == REC_HOST_CALL) {
        rec->host_call_ipa = in->host_call_ipa;
    } else if (state == REC_RIPAS) {
        rec->ripas.addr = in->ripas_addr;
        rec->ripas.top = in->ripas_top;
        rec->ripas.value = in->ripas_value;
        rec->ripas.change_destroyed = in->change_destroyed;
    }
    rec->abort.kind = in->abort;
    rec->abort.esr = in->abort_esr;
    rec->abort.far = in->abort_far;
}

static uint64_t import_rec(MigCall *c, const MigHeader *h)
{
    const uint8_t *body = bundle_body(c->stream, 0);
    MigRec in;
    RmmRec *rec;
    uint64_t result;

    if (bundle_body_size(h) < sizeof(in)) {
        return mig_refuse(MIG_CAUSE_FORMAT);
    }
    memcpy(&in, body, sizeof(in));
    if (!rec_valid(c->realm, h, &in)) {
        result = mig_refuse(MIG_CAUSE_FORMAT);
        goto out;
    }
    result = mig_lock_realm(c, REALM_IMPORT);
    if (result != RMI_SUCCESS) {
        goto out;
    }
    rec = awaited_rec(c, in.mpidr);
    if (!rec) {
        result = mig_refuse(MIG_CAUSE_REC_UNKNOWN);
    } else if (!c->rmm->ops.context_load(c->rmm->opaque, in.mpidr,
                                         body + sizeof(in),
                                         in.context_size)) {
        result = mig_refuse(MIG_CAUSE_CONTEXT_REFUSED);
    } else {
        take_rec(rec, &in);
        c->s->recs[rec->slot] = 1;
        c->s->num_recs++;
    }
    mig_unlock_realm(c);
out:
    secret_wipe(&in, sizeof(in));
    return result;
}

/* ---- any record ---- */

static uint64_t import_opened(MigCall *c, const MigHeader *h)
{
    MigCause cause = mig_check_place(c, h, MIG_TYPE_BIT(MUTABLE) |
                                     MIG_TYPE_BIT(REC) | MIG_TYPE_BIT(EPOCH) |
                                     MIG_TYPE_BIT(START));

    if (cause) {
        return mig_refuse(cause);
    }
    switch (h->type) {
    case MIG_TYPE_MUTABLE:
        return import_mutable(c, h);
    case MIG_TYPE_REC:
        return import_rec(c, h);
    case MIG_TYPE_EPOCH:
        return import_epoch(c, h);
    default:
        return import_start(c, h);
    }
}

uint64_t mig_import(MigCall *c)
{
    size_t size = c->in[3];
    MigHeader h;
    MigCause cause;
    uint64_t result;

    if (c->s->phase == MIG_OFFERED) {
        return import_begin(c);
    }
    if (c->in[3] < bundle_size(0, 0) || c->in[3] > MIG_MAX_BUNDLE) {
        return mig_refuse(MIG_CAUSE_FORMAT);
    }
    if (!rmm_read_ns(c->rmm, c->stream->scratch, c->in[2], size)) {
        return RMI_ERROR_INPUT;
    }
    if (!bundle_open(c->stream, size, &h, &cause)) {
        return mig_refuse(cause);
    }
    result = import_opened(c, &h);
    if (result == RMI_SUCCESS) {
        bundle_done(c->stream);
    }
    return result;
}
