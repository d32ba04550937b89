/*
 * Realm Execution Contexts: states, look-up, create, destroy (see rec.h)
 *
 * Lock rule: the Realm's lock covers RECs and the list of them.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include <gnutls/gnutls.h>
#include "crypto.h"
#include "granule.h"
#include "measurement.h"
#include "rec.h"
#include "rmm-internal.h"

/*
 * Aff0 has four bits, the others eight each; Aff3 stands in bits 39:32 of
 * MPIDR_EL1, but in 31:24 of the RMI word.
 */
uint64_t rec_index_to_mpidr(uint32_t index)
{
    return (index & 0xf) | (uint64_t)(index >> 4) << 8;
}

bool rec_mpidr_to_index(uint64_t mpidr, uint32_t *index)
{
    *index = (uint32_t)(mpidr & 0xf) | (uint32_t)(mpidr >> 8) << 4;
    return !(mpidr & ~0xffffff0full);
}

bool rec_affinity_to_index(uint64_t mpidr, uint32_t *index)
{
    const uint64_t aff3 = 0xffull << 32, res1 = 1ull << 31;

    return !(mpidr & ~(aff3 | res1 | 0xffffff)) &&
           rec_mpidr_to_index((mpidr & aff3) >> 8 | (mpidr & 0xffffff),
                              index);
}

#define TO(state) (1u << REC_##state)

/* From each state, the states that may follow: the diagram in rec.h. */
static const uint8_t transitions[REC_STATES] = {
    [REC_OFF]       = TO(READY) | TO(DESTROYED),
    [REC_READY]     = TO(RUNNING) | TO(DESTROYED),
    [REC_RUNNING]   = TO(READY) | TO(OFF) | TO(PSCI) | TO(RIPAS) |
                      TO(HOST_CALL),
    [REC_PSCI]      = TO(READY) | TO(DESTROYED),
    [REC_RIPAS]     = TO(RUNNING) | TO(DESTROYED),
    [REC_HOST_CALL] = TO(RUNNING) | TO(DESTROYED),
    [REC_DESTROYED] = 0,
};

/*
 * The same while a session brings what the REC is.  The host may destroy RECs
 * meanwhile, and one that waits for a destroyed REC gets its answer.
 */
static const uint8_t imports[REC_STATES] = {
    [REC_OFF]       = TO(OFF) | TO(READY) | TO(PSCI) | TO(RIPAS) |
                      TO(HOST_CALL) | TO(DESTROYED),
    [REC_READY]     = TO(OFF) | TO(READY) | TO(PSCI) | TO(RIPAS) |
                      TO(HOST_CALL) | TO(DESTROYED),
    [REC_PSCI]      = TO(READY) | TO(DESTROYED),
    [REC_RIPAS]     = TO(DESTROYED),
    [REC_HOST_CALL] = TO(DESTROYED),
};

#undef TO

bool rec_transition_allowed(RecState from, RecState to, bool import)
{
    return from < REC_STATES && to < REC_STATES &&
           ((import ? imports : transitions)[from] >> to & 1);
}

void rec_set_state(RmmRec *rec, RecState to)
{
    bool import = rec->realm->state == REALM_IMPORT;

    rmm_rule(rec_transition_allowed(rec->state, to, import),
             "rec.h: no REC goes from state %d to %d%s", rec->state, to,
             import ? " by an import" : "");
    rec->state = to;
}

void rec_answer_psci(RmmRec *rec, uint64_t x0)
{
    rec->x[0] = x0;
    rec->x[1] = rec->x[2] = rec->x[3] = 0;
    rec_set_state(rec, REC_READY);
}

static void free_context(RmmRec *rec)
{
    if (rec->context) {
        rec->rmm->ops.context_free(rec->rmm->opaque, rec->context);
        rec->context = NULL;
    }
}

void rec_unref(RmmRec *rec)
{
    if (g_atomic_int_dec_and_test(&rec->refs)) {
        free_context(rec);
        realm_unref(rec->realm);
        attest_clear(&rec->attest);
        gnutls_memset(rec, 0, sizeof(*rec));    /* a Realm's registers */
        g_free(rec);
    }
}

RmmRec *rec_lock(Rmm *rmm, uint64_t pa)
{
    RmmRec *rec;

    rmm_mutex_lock(&rmm->lock);
    rec = g_hash_table_lookup(rmm->recs, &pa);
    if (rec) {
        g_atomic_int_inc(&rec->refs);
    }
    rmm_mutex_unlock(&rmm->lock);
    if (!rec) {
        return NULL;
    }
    rmm_mutex_lock(&rec->realm->lock);
    if (rec->state == REC_DESTROYED) {
        rec_unlock(rec);
        return NULL;
    }
    return rec;
}

void rec_unlock(RmmRec *rec)
{
    rmm_mutex_unlock(&rec->realm->lock);
    rec_unref(rec);
}

RmmRec *rec_find(const RmmRealm *realm, uint64_t pa)
{
    uint32_t i;

    for (i = 0; i < RMM_MAX_RECS; i++) {
        if (realm->recs[i] && realm->recs[i]->pa == pa) {
            return realm->recs[i];
        }
    }
    return NULL;
}

RmmRec *rec_find_index(const RmmRealm *realm, uint32_t index)
{
    uint32_t i;

    for (i = 0; i < RMM_MAX_RECS; i++) {
        if (realm->recs[i] && realm->recs[i]->index == index) {
            return realm->recs[i];
        }
    }
    return NULL;
}

bool rec_any_running(const RmmRealm *realm)
{
    uint32_t i;

    for (i = 0; i < RMM_MAX_RECS; i++) {
        if (realm->recs[i] && realm->recs[i]->state == REC_RUNNING) {
            return true;
        }
    }
    return false;
}

unsigned rec_num_lrs(const RmmRec *rec)
{
    const RmmPlatform *p = &rec->rmm->platform;

    return p->gic_prio_bits ? p->num_lrs + 1u : 0;
}

/* What the machine is told of @rec. */
static RmmRecConfig rec_config(const RmmRec *rec)
{
    const RmmRealm *realm = rec->realm;

    bool sve = realm->flags & RMI_REALM_SVE;
    bool pmu = realm->flags & RMI_REALM_PMU;

    /* Without the flag, what stands in the parameters means nothing. */
    return (RmmRecConfig) {
        .rd = realm->rd,
        .rec = rec->pa,
        .mpidr = rec_mpidr_el1(rec),
        .vmid = realm->vmid,
        .stage2 = realm_tables(realm),
        .sve = sve,
        .sve_vl = sve ? realm->sve_vl : 0,
        .pmu = pmu,
        .pmu_num_ctrs = pmu ? realm->pmu_num_ctrs : 0,
        .num_bps = realm->num_bps,
        .num_wps = realm->num_wps,
        .mte = realm_has_mte(realm),
    };
}

void rec_renew_context(RmmRec *rec)
{
    RmmRecConfig config = rec_config(rec);

    free_context(rec);
    if (rec->rmm->ops.context_new) {
        rec->context = rec->rmm->ops.context_new(rec->rmm->opaque, &config);
    }
}

static RmmRec *rec_new(RmmRealm *realm, uint64_t pa,
                       const RmiRecParams *params)
{
    RmmRec *rec = g_new0(RmmRec, 1);

    rec->rmm = realm->rmm;
    rec->refs = 1;
    rec->realm = realm_ref(realm);
    rec->pa = pa;
    rec->index = realm->next_index;
    rec->mpidr = params->mpidr;
    rec->state = params->flags & RMI_REC_RUNNABLE ? REC_READY : REC_OFF;
    memcpy(rec->x, params->gprs, sizeof(params->gprs));
    rec->pc = params->pc;
    rec_renew_context(rec);
    return rec;
}

/* B4.3.12.2 */
static uint64_t create_check(const RmmRealm *realm, const RmiRecParams *params)
{
    uint32_t index;

    if (realm->num_recs == RMM_MAX_RECS || !realm_may_add_rec(realm->state)) {
        return RMI_ERROR_REALM;
    }
    if (!rec_mpidr_to_index(params->mpidr, &index) ||
        index != realm->next_index ||
        params->num_aux != realm->rmm->platform.num_aux) {
        return RMI_ERROR_INPUT;
    }
    return RMI_SUCCESS;
}

static int compare_pa(const void *a, const void *b)
{
    uint64_t pa = *(const uint64_t *)a, pb = *(const uint64_t *)b;

    return pa < pb ? -1 : pa > pb;
}

/* The granules that a REC is made of, in the order in which to lock them. */
typedef struct RecGranules {
    uint64_t pa[1 + 16];
    unsigned num;
} RecGranules;

/* Lock all, or none; one that is named twice is refused. */
static bool lock_granules(Rmm *rmm, RecGranules *g, uint64_t pa,
                          const RmiRecParams *params)
{
    unsigned i;

    g->num = 1 + params->num_aux;
    g->pa[0] = pa;
    memcpy(&g->pa[1], params->aux, params->num_aux * sizeof(g->pa[0]));
    qsort(g->pa, g->num, sizeof(g->pa[0]), compare_pa);
    for (i = 0; i < g->num; i++) {
        if ((i && g->pa[i] == g->pa[i - 1]) ||
            !granule_lock(rmm, g->pa[i], GRANULE_DELEGATED)) {
            break;
        }
    }
    if (i == g->num) {
        return true;
    }
    while (i--) {
        granule_unlock(rmm, g->pa[i]);
    }
    return false;
}

static void unlock_granules(Rmm *rmm, const RecGranules *g)
{
    unsigned i;

    for (i = 0; i < g->num; i++) {
        granule_unlock(rmm, g->pa[i]);
    }
}

/* They become the REC's and are unlocked. */
static void take_granules(RmmRec *rec, const RecGranules *g)
{
    unsigned i;

    for (i = 0; i < g->num; i++) {
        granule_claim(rec->rmm, g->pa[i], false);
        if (g->pa[i] == rec->pa) {
            granule_unlock_transition(rec->rmm, rec->pa, GRANULE_REC);
        } else {
            rec->aux[rec->num_aux++] = g->pa[i];
            granule_unlock_transition(rec->rmm, g->pa[i], GRANULE_REC_AUX);
        }
    }
}

/* create_check has seen that there is a free place. */
static void realm_add_rec(RmmRealm *realm, RmmRec *rec)
{
    while (realm->recs[rec->slot]) {
        rec->slot++;
    }
    realm->recs[rec->slot] = rec;
    realm->num_recs++;
    realm->next_index++;
}

static uint64_t create_locked(RmmRealm *realm, uint64_t pa,
                              const RmiRecParams *params)
{
    Rmm *rmm = realm->rmm;
    RecGranules granules;
    uint64_t result;
    RmmRec *rec;

    if (!lock_granules(rmm, &granules, pa, params)) {
        return RMI_ERROR_INPUT;
    }
    result = create_check(realm, params);
    if (result != RMI_SUCCESS) {
        unlock_granules(rmm, &granules);
        return result;
    }
    rec = rec_new(realm, pa, params);
    /* A REC that starts off is not part of the initial contents. */
    if (rec->state == REC_READY && realm_may_measure(realm->state)) {
        measurement_rec(realm, params);
    }
    realm_add_rec(realm, rec);
    rmm_mutex_lock(&rmm->lock);
    g_hash_table_insert(rmm->recs, &rec->pa, rec);
    rmm_mutex_unlock(&rmm->lock);
    take_granules(rec, &granules);
    return RMI_SUCCESS;
}

uint64_t rec_create(Rmm *rmm, uint64_t rd, uint64_t pa, uint64_t params_pa)
{
    RmiRecParams *params = g_new(RmiRecParams, 1);
    uint64_t result = RMI_ERROR_INPUT;
    RmmRealm *realm;

    if (params_pa % RMM_GRANULE_SIZE == 0 &&
        rmm_read_ns(rmm, params, params_pa, sizeof(*params)) &&
        params->num_aux <= G_N_ELEMENTS(params->aux)) {
        realm = realm_lock(rmm, rd);
        if (realm) {
            result = create_locked(realm, pa, params);
            realm_unlock(realm);
        }
    }
    g_free(params);
    return result;
}

static void release_granules(RmmRec *rec)
{
    unsigned i;

    for (i = 0; i < rec->num_aux; i++) {
        granule_release(rec->rmm, rec->aux[i], GRANULE_REC_AUX);
    }
    granule_release(rec->rmm, rec->pa, GRANULE_REC);
}

/* Nobody can complete any more what names the REC with the index @gone. */
static void answer_waiting_recs(RmmRealm *realm, uint32_t gone)
{
    uint32_t i, index;

    for (i = 0; i < RMM_MAX_RECS; i++) {
        RmmRec *rec = realm->recs[i];

        if (rec && rec->state == REC_PSCI &&
            rec_affinity_to_index(rec->x[1], &index) && index == gone) {
            rec_answer_psci(rec, PSCI_INVALID_PARAMETERS);
        }
    }
}

uint64_t rec_destroy(Rmm *rmm, uint64_t pa)
{
    RmmRec *rec = rec_lock(rmm, pa);
    uint64_t result = RMI_SUCCESS;

    if (!rec) {
        return RMI_ERROR_INPUT;
    }
    if (rec->state == REC_RUNNING) {
        result = RMI_ERROR_REC;
    } else {
        rec_set_state(rec, REC_DESTROYED);
        realm_reclaimed(rec->realm);
        rec->realm->recs[rec->slot] = NULL;
        rec->realm->num_recs--;
        answer_waiting_recs(rec->realm, rec->index);
        rmm_mutex_lock(&rmm->lock);
        g_hash_table_remove(rmm->recs, &rec->pa);
        rmm_mutex_unlock(&rmm->lock);
        release_granules(rec);
    }
    rec_unlock(rec);
    return result;
}

void rec_wipe(RmmRec *rec)
{
    Rmm *rmm = rec->rmm;

    secret_wipe(rec->x, sizeof(rec->x));
    rec->pc = 0;
    memset(&rec->abort, 0, sizeof(rec->abort));
    rec->host_call_ipa = 0;
    memset(&rec->ripas, 0, sizeof(rec->ripas));
    memset(&rec->machine, 0, sizeof(rec->machine));
    attest_clear(&rec->attest);
    free_context(rec);
    if (rmm->ops.context_wipe) {
        rmm->ops.context_wipe(rmm->opaque, rec->mpidr);
    }
}

uint64_t rec_aux_count(Rmm *rmm, uint64_t rd, uint64_t *count)
{
    RmmRealm *realm = realm_lock(rmm, rd);

    *count = 0;
    if (!realm) {
        return RMI_ERROR_INPUT;
    }
    realm_unlock(realm);
    *count = rmm->platform.num_aux;
    return RMI_SUCCESS;
}
