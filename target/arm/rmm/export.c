/*
 * Migration, the source: a Realm leaves
 *
 * Purpose: the MIG_EXPORT_* calls and their company, in the order in which a
 * host makes them (docs/specs/realm-migration-stream.rst, "Source").
 *
 * Invariants:
 * 1. A page leaves at most once per epoch, by the steps 1 to 5 of a round
 *    (the same document, "One round").  So the order between streams does
 *    not matter inside an epoch.
 * 2. The start token leaves only if no page is dirty or PENDING, and every
 *    REC and the whole map left since the pause: from then on nothing of the
 *    Realm changes that it could see (realm_is_frozen), so they are final; and
 *    if the host took something away since the pause, no start token leaves.
 * 3. What was taken and could not be sealed is PENDING again.  What was sealed
 *    counts as sent: the host may have it, whatever became of its buffer.
 * 4. The start token leaves only for a ready record of the RMM that made the
 *    accepted offer.  After it the Realm runs here again only if that RMM says
 *    that it will never run it; if that one says that it runs it, what the
 *    Realm held here is wiped.
 *
 * Lock rule: session.h.  Contents of pages are read under the Realm's lock,
 * PAGES_PER_HOLD at a time: the host may destroy a page at any other time,
 * and the granule may then hold another Realm's secret.  Encryption, which
 * takes most of the time, runs with the stream locked only.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "granule.h"
#include "mig.h"
#include "mte-tags.h"
#include "policy.h"
#include "rec.h"
#include "rtt.h"

/* About 5 microseconds of copying: what an exit of a vCPU may wait for */
#define PAGES_PER_HOLD 16

/* IPA space that one hold of the Realm's lock collects */
#define COLLECT_BYTES (64ull << 20)
#define COLLECT_WORDS (COLLECT_BYTES / RMM_GRANULE_SIZE / 64)

/* ---- the offer ---- */

/* May this Realm migrate, now? */
static uint64_t export_possible(MigCall *c)
{
    uint64_t result = mig_lock_realm(c, REALM_ACTIVE);

    if (result == RMI_SUCCESS) {
        if (!realm_may_migrate(c->realm)) {
            result = mig_refuse(MIG_CAUSE_NOT_MIGRATABLE);
        }
        mig_unlock_realm(c);
    }
    return result;
}

uint64_t mig_prepare(MigCall *c)
{
    MigPrepared *prepared = &c->s->prepared;
    uint64_t result = export_possible(c);

    if (result == RMI_SUCCESS) {
        c->rmm->ops.random(c->rmm->opaque, prepared->nonce,
                           sizeof(prepared->nonce));
        prepared->at = c->rmm->ops.seconds(c->rmm->opaque);
        prepared->valid = true;
        memcpy(&c->out[1], prepared->nonce, sizeof(prepared->nonce));
    }
    return result;
}

/* The session header that answers @hello: what both sides have */
static MigCause make_answer(MigCall *c, const MigHello *hello,
                            const MigOffer *offer, MigHelloRecord *record,
                            uint8_t secret[CRYPTO_KEY_SIZE])
{
    MigHello *answer = &record->hello;

    session_hello(c->rmm, MIG_TYPE_SESSION, answer, secret);
    if (session_is_own(answer, hello)) {
        return MIG_CAUSE_OWN_HELLO;
    }
    answer->version = MIN(answer->version, hello->version);
    answer->features = hello->features & mig_features_of(c);
    memcpy(answer->peer_nonce, hello->nonce, sizeof(answer->peer_nonce));
    return session_sign(c->rmm, record, offer);
}

/* Make our half of the exchange and the keys; the session begins with them */
static MigCause accept_offer(MigCall *c, const MigHelloRecord *record)
{
    MigOffer offer = session_offer(record);
    uint8_t secret[CRYPTO_KEY_SIZE];
    MigHelloRecord answer;
    MigKeys keys;
    MigCause cause = make_answer(c, &record->hello, &offer, &answer, secret);

    if (!cause && !session_derive(&keys, secret, record->hello.public_key,
                                  &offer, &answer)) {
        cause = MIG_CAUSE_KEY;
    }
    if (!cause && !session_open(c->s, &keys, &answer.hello)) {
        cause = MIG_CAUSE_CIPHER;
    }
    if (!cause) {
        session_reset(c->s);
        c->s->offer = offer;
        c->s->hello = answer;
    }
    secret_wipe(secret, sizeof(secret));
    secret_wipe(&keys, sizeof(keys));
    return cause;
}

/* What is wrong with @offer itself? */
static MigCause check_offer(MigCall *c, const MigHelloRecord *offer,
                            size_t size)
{
    const MigPrepared *prepared = &c->s->prepared;
    const MigHello *hello = &offer->hello;
    MigCause cause = session_hello_check(hello, size, MIG_TYPE_OFFER);
    TokenPlatform claims;

    if (cause) {
        return cause == MIG_CAUSE_FORMAT ? MIG_CAUSE_OFFER_FORMAT : cause;
    }
    if (!prepared->valid ||
        !crypto_equal(hello->peer_nonce, prepared->nonce,
                      sizeof(prepared->nonce))) {
        return MIG_CAUSE_OFFER_NONCE;
    }
    if (mig_expired(c, prepared->at)) {
        return MIG_CAUSE_OFFER_EXPIRED;
    }
    if (c->realm->policy.required & ~(hello->features & mig_features_of(c))) {
        return MIG_CAUSE_FEATURES;
    }
    return session_check_peer(c->realm, offer, NULL, &claims);
}

uint64_t mig_accept(MigCall *c)
{
    size_t size = c->in[3];
    MigHelloRecord offer;
    uint64_t result;
    MigCause cause;

    if (c->s->phase == MIG_ACCEPTED) {
        return mig_refuse(MIG_CAUSE_OFFER_OUTSTANDING);
    }
    result = export_possible(c);
    if (result != RMI_SUCCESS || c->s->phase != MIG_IDLE) {
        return result ? result : mig_refuse(MIG_CAUSE_STATE);
    }
    if (c->in[3] < sizeof(offer.hello) || c->in[3] > sizeof(offer)) {
        return mig_refuse(MIG_CAUSE_OFFER_FORMAT);
    }
    if (!rmm_read_ns(c->rmm, &offer, c->in[2], size)) {
        return RMI_ERROR_INPUT;
    }
    cause = check_offer(c, &offer, size);
    if (!cause) {
        cause = accept_offer(c, &offer);
    }
    if (cause) {
        return mig_refuse(cause);
    }
    c->s->prepared.valid = false;
    c->s->has_receipt = false;
    session_set_phase(c->s, MIG_ACCEPTED);
    return RMI_SUCCESS;
}

/* ---- begin ---- */

static void fill_immutable(const MigCall *c, MigImmutable *im)
{
    const RmmRealm *realm = c->realm;

    *im = (MigImmutable) {
        .flags = mig_realm_flags(realm),
        .ipa_bits = realm->ipa_bits,
        .start_level = realm->rtt_level_start,
        .hash_algo = realm->hash_algo,
        .sve_vl = realm->sve_vl,
        .num_bps = realm->num_bps,
        .num_wps = realm->num_wps,
        .pmu_num_ctrs = realm->pmu_num_ctrs,
        .num_recs = realm->num_recs,
        .history = realm->history,
        .policy = realm->policy,
    };
    memcpy(im->rpv, realm->rpv, sizeof(im->rpv));
    memcpy(im->rim_base, realm->rim_base, sizeof(im->rim_base));
}

/*
 * Session header and first bundle go out as one blob, made side by side in
 * scratch.
 */
static uint64_t give_begin(MigCall *c)
{
    MigStream *s = c->stream;
    const size_t hello = c->s->hello.hello.size;
    uint8_t *body = bundle_body(s, 0) + hello;
    MigHeader h = { .type = MIG_TYPE_IMMUTABLE, .epoch = c->s->epoch };
    MigImmutable im;

    if (!mig_has_room(c, hello + bundle_size(0, sizeof(im)))) {
        return RMI_ERROR_INPUT;
    }
    fill_immutable(c, &im);
    memcpy(body, &im, sizeof(im));
    if (!bundle_seal(s, &h, body, sizeof(im))) {
        return mig_refuse(MIG_CAUSE_CIPHER);
    }
    memcpy(s->scratch, &c->s->hello, hello);
    bundle_done(s);
    mig_give(c, s->scratch, hello + h.size);
    return RMI_SUCCESS;
}

uint64_t mig_export_begin(MigCall *c)
{
    RmmRealm *realm = c->realm;
    uint64_t result = mig_lock_realm(c, REALM_ACTIVE);

    if (result != RMI_SUCCESS) {
        return result;
    }
    result = give_begin(c);
    if (result == RMI_SUCCESS) {
        rtt_owe_all(realm);
        c->s->recs_due = realm->num_recs;
        realm_set_state(realm, REALM_EXPORT);
        session_set_phase(c->s, MIG_EXPORTING);
    }
    mig_unlock_realm(c);
    return result;
}

/* ---- memory ---- */

/* The Realm's state that goes with the phase of an export */
static RealmState export_state(const MigSession *s)
{
    return s->phase == MIG_PAUSED ? REALM_EXPORT_PAUSED : REALM_EXPORT;
}

typedef struct Collection {
    uint64_t base;
    uint64_t bits[COLLECT_WORDS];
} Collection;

static void note_page(void *opaque, uint64_t ipa)
{
    Collection *to = opaque;
    uint64_t n = (ipa - to->base) >> RMM_GRANULE_SHIFT;

    to->bits[n / 64] |= 1ull << n % 64;
}

/*
 * One piece, up to the first block in it; @bitmap is where its bits belong.
 * Sets @c->collected.
 */
static uint64_t collect_piece(MigCall *c, uint64_t base, uint64_t top,
                              uint64_t bitmap)
{
    Collection to = { .base = base };
    uint64_t result = mig_lock_realm(c, export_state(c->s)), words;
    RttWalk block;
    bool found;

    if (result != RMI_SUCCESS) {
        return result;
    }
    found = rtt_find_block(c->realm, base, top, &block);
    if (found) {
        top = MAX(base, block.ipa);
    }
    c->out[1] += rtt_collect_dirty(c->realm, base, top, note_page, &to,
                                   &c->collected);
    mig_unlock_realm(c);
    words = ((top - base) / RMM_GRANULE_SIZE + 63) / 64;
    if (words && !rmm_write_ns(c->rmm, bitmap, to.bits, words * 8)) {
        return RMI_ERROR_INPUT;
    }
    if (found) {
        c->out[1] = block.ipa;
        return RMI_RESULT(RMI_ERROR_RTT, block.level);
    }
    return RMI_SUCCESS;
}

/* A piece of what is below @base and was not collected; X2: there is more */
static uint64_t catch_up(MigCall *c, uint64_t base)
{
    uint64_t result = mig_lock_realm(c, export_state(c->s));

    if (result == RMI_SUCCESS) {
        c->out[2] = !rtt_catch_up(c->realm, base, c->rmm->mig_entries);
        mig_unlock_realm(c);
    }
    return result;
}

uint64_t mig_collect_dirty(MigCall *c)
{
    uint64_t base = c->in[2], top = c->in[3], bitmap = c->in[4];
    uint64_t result;

    if (!realm_range_is_protected(c->realm, base, top)) {
        return RMI_ERROR_INPUT;
    }
    if (c->s->epoch_used) {
        return mig_refuse(MIG_CAUSE_SAME_EPOCH);
    }
    result = catch_up(c, base);
    if (c->out[2]) {
        return RMI_SUCCESS;
    }
    for (uint64_t at = base; at < top && result == RMI_SUCCESS;
         at += COLLECT_BYTES) {
        result = collect_piece(c, at, MIN(at + COLLECT_BYTES, top),
                               bitmap + (at - base) / RMM_GRANULE_SIZE / 8);
    }
    /* Step 2 of a round, and after a failure too, if a page became clean */
    if (c->collected) {
        c->rmm->ops.tlb_invalidate(c->rmm->opaque, c->realm->vmid, base, top);
        g_atomic_int_inc(&c->s->collecting);
    }
    return result;
}

/*
 * Pages are copied to scratch and sealed there: 0.12 us of the 0.95 us that one
 * takes.  GnuTLS seals scattered pages where they are, too
 * (gnutls_aead_cipher_encryptv2), but takes 0.13 to 0.28 us longer for one.
 */
typedef struct Gathering {
    MigCall *c;
    uint64_t list[MIG_MAX_PAGES];       /* asked for; then: entries of taken */
    uint32_t asked, taken;
    uint8_t *body, *end;
} Gathering;

/*
 * Copy data and tags of a page to the body, and give its entry.  The Realm may
 * write both meanwhile (then the page is dirty again), so their form is chosen
 * by what was copied: a receiver refuses every other one.
 */
static uint64_t gather_page(Gathering *g, uint64_t ipa, uint64_t pa)
{
    Rmm *rmm = g->c->rmm;
    uint8_t tags[RMM_TAG_BYTES];
    uint64_t entry = ipa;

    memcpy(g->end, granule_map(rmm, pa), RMM_GRANULE_SIZE);
    if (session_omits_zeros(g->c->s) && mig_page_is_zero(g->end)) {
        entry |= MIG_ENTRY_ZERO;
    } else {
        g->end += RMM_GRANULE_SIZE;
    }
    if (realm_has_mte(g->c->realm)) {
        memcpy(tags, granule_map_tags(rmm, pa), sizeof(tags));
        g->end += session_is_compact(g->c->s)
                  ? mte_tags_pack(tags, g->end)
                  : mte_tags_pack_raw(tags, g->end);
    }
    return entry;
}

/* Take and copy what is PENDING of the pages asked for */
static uint64_t gather_pages(Gathering *g)
{
    uint64_t result;

    for (uint32_t i = 0; i < g->asked;) {
        RttWalk walk = { .entry = NULL };
        uint32_t stop = MIN(i + PAGES_PER_HOLD, g->asked);

        result = mig_lock_realm(g->c, export_state(g->c->s));
        if (result != RMI_SUCCESS) {
            return result;
        }
        for (; i < stop; i++) {
            if (rtt_take_pending(g->c->realm, g->list[i], &walk)) {
                g->list[g->taken] = gather_page(g, g->list[i], walk.pa);
                g->taken++;
            }
        }
        mig_unlock_realm(g->c);
    }
    return RMI_SUCCESS;
}

/* Nothing left: what was taken has to be sent by a later bundle */
static void put_pages_back(Gathering *g)
{
    rmm_mutex_lock(&g->c->realm->lock);
    if (!g->c->realm->destroyed) {
        for (uint32_t i = 0; i < g->taken; i++) {
            rtt_put_pending(g->c->realm, g->list[i] & MIG_ENTRY_IPA);
        }
    }
    rmm_mutex_unlock(&g->c->realm->lock);
}

static bool ipas_valid(const Gathering *g)
{
    for (uint32_t i = 0; i < g->asked; i++) {
        if (!realm_range_is_protected(g->c->realm, g->list[i],
                                      g->list[i] + RMM_GRANULE_SIZE)) {
            return false;
        }
    }
    return true;
}

/* Gather and seal; put back unless both worked */
static uint64_t export_pages(Gathering *g)
{
    MigCall *c = g->c;
    MigHeader h = { .type = MIG_TYPE_MEMORY, .epoch = c->s->epoch };
    uint64_t result = gather_pages(g);

    if (result == RMI_SUCCESS && g->taken) {
        h.count = g->taken;
        memcpy(g->body - g->taken * sizeof(uint64_t), g->list,
               g->taken * sizeof(uint64_t));
        result = mig_seal(c, &h, g->body, g->end - g->body);
    }
    if (result != RMI_SUCCESS) {
        put_pages_back(g);
    } else if (g->taken) {
        /* Before the host sees any of it: no step 1 before the next step 5 */
        g_atomic_int_set(&c->s->epoch_used, 1);
        c->out[2] = g->taken;
    }
    return result;
}

uint64_t mig_export_memory(MigCall *c)
{
    uint64_t count = c->in[3];
    size_t page = RMM_GRANULE_SIZE +
                  (realm_has_mte(c->realm) ? MTE_TAGS_MAX_PACKED : 0);
    Gathering g = { .c = c, .asked = count };

    if (count == 0 || count > MIG_MAX_PAGES ||
        !mig_has_room(c, bundle_size(count, count * page)) ||
        !rmm_read_ns(c->rmm, g.list, c->in[2], count * sizeof(uint64_t)) ||
        !ipas_valid(&g)) {
        return RMI_ERROR_INPUT;
    }
    if (!stream_open(c->stream, c->s->key, bundle_size(count, count * page))) {
        return mig_refuse(MIG_CAUSE_CIPHER);
    }
    g.body = g.end = bundle_body(c->stream, count);
    return export_pages(&g);
}

/* ---- epochs ---- */

static uint64_t seal_token(MigCall *c, MigType type)
{
    MigHeader h = {
        .type = type,
        .epoch = c->s->epoch,
        .total = session_total(c->s) + 1,
    };

    return mig_seal(c, &h, bundle_body(c->stream, 0), 0);
}

uint64_t mig_export_epoch(MigCall *c)
{
    uint64_t result;

    if (c->s->epoch == UINT32_MAX) {
        return mig_refuse(MIG_CAUSE_COUNTER);
    }
    result = seal_token(c, MIG_TYPE_EPOCH);
    if (result == RMI_SUCCESS) {
        c->s->epoch++;
        c->s->epoch_used = 0;
    }
    return result;
}

/* ---- the Realm stands still ---- */

uint64_t mig_pause(MigCall *c)
{
    uint64_t result = mig_lock_realm(c, REALM_EXPORT);

    if (result != RMI_SUCCESS) {
        return result;
    }
    if (rec_any_running(c->realm)) {
        result = mig_refuse(MIG_CAUSE_RECS_RUNNING);
    } else {
        realm_set_state(c->realm, REALM_EXPORT_PAUSED);
        session_set_phase(c->s, MIG_PAUSED);
    }
    mig_unlock_realm(c);
    return result;
}

typedef struct RunWriter {
    MigRun *runs;
    uint32_t used, max;
    uint64_t next;              /* where the part ends */
} RunWriter;

/* False if there is no room */
static bool write_run(void *opaque, uint64_t ipa, uint64_t bytes,
                      RttHipas hipas, RttRipas ripas)
{
    RunWriter *w = opaque;
    uint64_t kind = ripas;

    /* What is assigned but not RAM has no contents that the Realm can see */
    if (hipas == RTT_ASSIGNED && ripas == RTT_RAM) {
        kind |= MIG_RUN_ASSIGNED;
    }
    if (w->used && (w->runs[w->used - 1].start & ~MIG_ENTRY_IPA) == kind) {
        w->runs[w->used - 1].top = ipa + bytes;
    } else if (w->used < w->max) {
        w->runs[w->used++] = (MigRun) { ipa | kind, ipa + bytes };
    } else {
        return false;
    }
    w->next = ipa + bytes;
    return true;
}

/* The body of one part, from c->in[4] on; returns its size */
static size_t fill_mutable(MigCall *c, uint8_t *body, uint32_t max_runs,
                           uint64_t *next)
{
    RmmRealm *realm = c->realm;
    uint64_t base = c->in[4];
    MigMutable mu = { .base = base, .realm_state = MIG_STATE_ACTIVE };
    RunWriter w = { (MigRun *)(body + sizeof(mu)), 0, max_runs, base };

    rtt_for_each_ripas(realm, base, realm_protected_top(realm),
                       write_run, &w);
    mu.top = w.next;
    mu.num_runs = w.used;
    memcpy(mu.rem, realm->measurement[1], sizeof(mu.rem));
    memcpy(body, &mu, sizeof(mu));
    *next = w.next;
    return sizeof(mu) + w.used * sizeof(MigRun);
}

uint64_t mig_export_realm(MigCall *c)
{
    const size_t fixed = bundle_size(0, sizeof(MigMutable));
    const uint32_t runs_left = MIG_MAX_RUNS - c->s->num_runs;
    size_t size = MIN(c->in[3], MIG_MAX_BUNDLE), len;
    uint8_t *body = bundle_body(c->stream, 0);
    MigHeader h = { .type = MIG_TYPE_MUTABLE, .epoch = c->s->epoch };
    uint64_t next, result;

    if (c->in[4] != c->s->next_base ||
        c->in[4] >= realm_protected_top(c->realm)) {
        return mig_refuse(MIG_CAUSE_REALM_PART);
    }
    if (!runs_left) {
        return mig_refuse(MIG_CAUSE_MAP_RUNS);
    }
    if (size < fixed + sizeof(MigRun)) {
        return RMI_ERROR_INPUT;
    }
    result = mig_lock_realm(c, REALM_EXPORT_PAUSED);
    if (result != RMI_SUCCESS) {
        return result;
    }
    len = fill_mutable(c, body,
                       MIN((size - fixed) / sizeof(MigRun), runs_left), &next);
    mig_unlock_realm(c);

    result = mig_seal(c, &h, body, len);
    if (result == RMI_SUCCESS) {
        c->s->next_base = next;
        c->s->num_runs += (len - sizeof(MigMutable)) / sizeof(MigRun);
        c->out[2] = next == realm_protected_top(c->realm) ? 0 : next;
    }
    return result;
}

/* ---- RECs ---- */

/* MigRec.pending (mig-abi.h) */
static uint8_t pending_call(RecState state)
{
    switch (state) {
    case REC_PSCI:
        return 1;
    case REC_RIPAS:
        return 2;
    case REC_HOST_CALL:
        return 3;
    default:
        return 0;
    }
}

/* Write registers and context to @body; returns its size, or 0 */
static size_t write_rec(Rmm *rmm, const RmmRec *rec, uint8_t *body)
{
    MigRec out = {
        .mpidr = rec->mpidr,
        .pc = rec->pc,
        .runnable = rec->state != REC_OFF,
        .pending = pending_call(rec->state),
        .abort_esr = rec->abort.esr,
        .abort_far = rec->abort.far,
        .abort = rec->abort.kind,
    };
    size_t size;

    /* What a call that is over left behind stays here. */
    if (rec->state == REC_HOST_CALL) {
        out.host_call_ipa = rec->host_call_ipa;
    } else if (rec->state == REC_RIPAS) {
        out.ripas_addr = rec->ripas.addr;
        out.ripas_top = rec->ripas.top;
        out.ripas_value = rec->ripas.value;
        out.change_destroyed = rec->ripas.change_destroyed;
    }
    memcpy(out.x, rec->x, sizeof(out.x));
    size = rmm->ops.context_save(rmm->opaque, rec->mpidr, body + sizeof(out),
                                 RMM_MAX_CONTEXT);
    if (size > RMM_MAX_CONTEXT) {
        size = 0;
    }
    out.context_size = size;
    memcpy(body, &out, sizeof(out));
    secret_wipe(&out, sizeof(out));
    return size ? sizeof(out) + size : 0;
}

uint64_t mig_export_rec(MigCall *c)
{
    uint8_t *body = bundle_body(c->stream, 0);
    MigHeader h = { .type = MIG_TYPE_REC, .epoch = c->s->epoch };
    uint64_t result = mig_lock_realm(c, REALM_EXPORT_PAUSED);
    uint32_t slot = 0;
    size_t len = 0;
    RmmRec *rec;

    if (result != RMI_SUCCESS) {
        return result;
    }
    rec = rec_find(c->realm, c->in[2]);
    if (!rec) {
        result = RMI_ERROR_INPUT;
    } else if (c->s->recs[rec->slot]) {
        result = mig_refuse(MIG_CAUSE_REC_REPEATED);
    } else {
        slot = rec->slot;
        len = write_rec(c->rmm, rec, body);
        result = len ? RMI_SUCCESS : mig_refuse(MIG_CAUSE_CONTEXT);
    }
    mig_unlock_realm(c);
    if (result != RMI_SUCCESS) {
        return result;
    }
    result = mig_seal(c, &h, body, len);
    if (result == RMI_SUCCESS) {
        c->s->recs[slot] = 1;
        c->s->num_recs++;
    }
    return result;
}

/* ---- the end ---- */

/* Is everything out?  The Realm's lock is held. */
static uint64_t start_possible(MigCall *c)
{
    if (c->s->next_base != realm_protected_top(c->realm)) {
        return mig_refuse(MIG_CAUSE_REALM_MISSING);
    }
    /* Also one that was destroyed since: the destination waits for it */
    if (c->s->num_recs != c->s->recs_due) {
        return mig_refuse(MIG_CAUSE_REC_MISSING);
    }
    /* Blocks that are EMPTY, too: FINISH wipes page by page */
    if (rtt_has_blocks(c->realm) || rtt_count_unexported(c->realm)) {
        return mig_refuse(MIG_CAUSE_PAGES_DIRTY);
    }
    return RMI_SUCCESS;
}

/* Does the destination say, at @pa, that it is there with all that was sent? */
static uint64_t check_reply(MigCall *c, MigType type, uint64_t pa)
{
    uint8_t record[MIG_EMPTY_BUNDLE];
    MigCause cause;

    if (!rmm_read_ns(c->rmm, record, pa, sizeof(record))) {
        return RMI_ERROR_INPUT;
    }
    cause = reply_check(c->s, type, record);
    return cause ? mig_refuse(cause) : RMI_SUCCESS;
}

/*
 * In SEALED it gives the token that it made, which the session keeps: the host
 * may have lost it, and may not get another one.
 */
uint64_t mig_export_start(MigCall *c)
{
    const size_t size = sizeof(c->s->start);
    uint64_t result;

    c->again = true;
    if (c->s->phase == MIG_SEALED) {
        if (!mig_has_room(c, size)) {
            return RMI_ERROR_INPUT;
        }
        mig_give(c, c->s->start, size);
        return RMI_SUCCESS;
    }
    result = mig_lock_realm(c, REALM_EXPORT_PAUSED);
    if (result != RMI_SUCCESS) {
        return result;
    }
    result = start_possible(c);
    if (result == RMI_SUCCESS) {
        result = check_reply(c, MIG_TYPE_READY, c->in[4]);
    }
    if (result == RMI_SUCCESS) {
        result = seal_token(c, MIG_TYPE_START);
    }
    if (result == RMI_SUCCESS) {
        g_assert(c->size == size);
        memcpy(c->s->start, c->record, size);
        mig_give(c, c->s->start, size);
        /* From here on it is the destination's, unless that gives it up */
        realm_set_state(c->realm, REALM_EXPORTED);
        session_set_phase(c->s, MIG_SEALED);
        session_wipe(c->s);
    }
    mig_unlock_realm(c);
    return result;
}

/* ---- the way back ---- */

uint64_t mig_export_abort(MigCall *c)
{
    RmmRealm *realm = c->realm;

    rmm_mutex_lock(&realm->lock);
    if (realm->state == REALM_EXPORT ||
        realm->state == REALM_EXPORT_PAUSED) {
        realm_set_state(realm, REALM_ACTIVE);
        /* What was taken is DESTROYED: the Realm finds out, as one that runs */
        g_atomic_int_set(&realm->reclaimed, 0);
    }
    rmm_mutex_unlock(&realm->lock);
    session_set_phase(c->s, MIG_IDLE);
    session_wipe(c->s);
    session_wipe_back(c->s);
    return RMI_SUCCESS;
}

/* Did the destination of this session give up for good? */
static MigCause check_abort(const MigSession *s, const MigAbort *token)
{
    uint8_t lock[CRYPTO_HASH_SIZE];

    if (token->magic != MIG_MAGIC ||
        token->version >> 8 != MIG_VERSION_MAJOR ||
        token->type != MIG_TYPE_ABORT || token->reserved0 ||
        token->size != sizeof(*token) || token->reserved1) {
        return MIG_CAUSE_ABORT_FORMAT;
    }
    if (!crypto_equal(token->offer_nonce, s->offer.nonce,
                      sizeof(s->offer.nonce))) {
        return MIG_CAUSE_ABORT_OTHER;
    }
    crypto_hash(lock, token->secret, sizeof(token->secret));
    return crypto_equal(lock, s->offer.abort_lock, sizeof(lock)) ?
           0 : MIG_CAUSE_ABORT_SECRET;
}

uint64_t mig_export_resume(MigCall *c)
{
    MigAbort token;
    MigCause cause;
    uint64_t result;

    if (c->in[3] != sizeof(token)) {
        return mig_refuse(MIG_CAUSE_ABORT_FORMAT);
    }
    if (!rmm_read_ns(c->rmm, &token, c->in[2], sizeof(token))) {
        return RMI_ERROR_INPUT;
    }
    cause = check_abort(c->s, &token);
    if (cause) {
        return mig_refuse(cause);
    }
    result = mig_lock_realm(c, REALM_EXPORTED);
    if (result == RMI_SUCCESS) {
        realm_set_state(c->realm, REALM_ACTIVE);
        session_set_phase(c->s, MIG_IDLE);
        session_wipe_back(c->s);
        mig_unlock_realm(c);
    }
    return result;
}

/* ---- the Realm is gone ---- */

static void wipe_recs(RmmRealm *realm)
{
    for (uint32_t slot = 0; slot < RMM_MAX_RECS; slot++) {
        if (realm->recs[slot]) {
            rec_wipe(realm->recs[slot]);
        }
    }
}

/* The next piece of what the Realm held; X1 says whether there is another */
static void wipe_piece(MigCall *c)
{
    RmmRealm *realm = c->realm;
    uint64_t top = realm_protected_top(realm), ipa = c->s->wiped, end;
    RttWalk walk;

    if (ipa < top) {
        /* An entry may begin before, if the host has folded a table */
        rtt_walk(realm, ipa, RTT_PAGE_LEVEL, &walk);
        ipa &= ~(rtt_entry_bytes(walk.level) - 1);
        end = rtt_reach(realm, ipa, top, c->rmm->mig_entries);
        rtt_wipe_pages(realm, ipa, end);
        c->s->wiped = end;
    }
    c->out[1] = c->s->wiped < top;
}

/* The first call has the receipt, and the others go on from there */
uint64_t mig_export_finish(MigCall *c)
{
    const bool first = c->s->phase == MIG_SEALED;
    uint64_t result = RMI_SUCCESS;

    if (first) {
        result = c->in[3] == MIG_EMPTY_BUNDLE
                 ? check_reply(c, MIG_TYPE_RECEIPT, c->in[2])
                 : mig_refuse(MIG_CAUSE_REPLY_FORMAT);
    }
    if (result == RMI_SUCCESS) {
        result = mig_lock_realm(c, REALM_EXPORTED);
    }
    if (result != RMI_SUCCESS) {
        return result;
    }
    if (first) {
        session_set_phase(c->s, MIG_GONE);
        session_wipe_back(c->s);
        wipe_recs(c->realm);
    }
    wipe_piece(c);
    mig_unlock_realm(c);
    return RMI_SUCCESS;
}
