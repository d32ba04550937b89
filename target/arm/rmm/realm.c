/*
 * Realms: create, activate, destroy, find (see realm.h)
 *
 * Lock rule: nobody knows a new Realm until it stands in Rmm.realms, so
 * REALM_CREATE holds granule locks only.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include "granule.h"
#include "history.h"
#include "measurement.h"
#include "rmm-internal.h"
#include "rtt.h"

#define TO(state) (1u << REALM_##state)

/* From each state, the states that may follow: the diagram in realm.h. */
static const uint8_t transitions[REALM_STATES] = {
    [REALM_NEW]           = TO(ACTIVE) | TO(IMPORT),
    [REALM_ACTIVE]        = TO(SYSTEM_OFF) | TO(EXPORT),
    [REALM_SYSTEM_OFF]    = 0,
    [REALM_IMPORT]        = TO(ACTIVE) | TO(FAILED),
    [REALM_FAILED]        = 0,
    [REALM_EXPORT]        = TO(SYSTEM_OFF) | TO(ACTIVE) | TO(EXPORT_PAUSED),
    [REALM_EXPORT_PAUSED] = TO(ACTIVE) | TO(EXPORTED),
    [REALM_EXPORTED]      = TO(ACTIVE),
};

#undef TO

bool realm_transition_allowed(RealmState from, RealmState to)
{
    return from < REALM_STATES && to < REALM_STATES &&
           (transitions[from] >> to & 1);
}

void realm_set_state(RmmRealm *realm, RealmState to)
{
    rmm_rule(realm_transition_allowed(realm->state, to),
             "realm.h: no Realm goes from state %d to %d", realm->state, to);
    realm->state = to;
}

RmmRealm *realm_ref(RmmRealm *realm)
{
    g_atomic_int_inc(&realm->refs);
    return realm;
}

void realm_unref(RmmRealm *realm)
{
    if (!g_atomic_int_dec_and_test(&realm->refs)) {
        return;
    }
    if (realm->session) {
        realm->session_free(realm->session);
    }
    rmm_mutex_clear(&realm->lock);
    g_free(realm);
}

RmmRealm *realm_lock(Rmm *rmm, uint64_t rd)
{
    RmmRealm *realm;

    rmm_mutex_lock(&rmm->lock);
    realm = g_hash_table_lookup(rmm->realms, &rd);
    if (realm) {
        realm_ref(realm);
    }
    rmm_mutex_unlock(&rmm->lock);
    if (!realm) {
        return NULL;
    }
    rmm_mutex_lock(&realm->lock);
    if (realm->destroyed) {
        realm_unlock(realm);
        return NULL;
    }
    return realm;
}

void realm_unlock(RmmRealm *realm)
{
    rmm_mutex_unlock(&realm->lock);
    realm_unref(realm);
}

bool realm_range_is_protected(const RmmRealm *realm,
                              uint64_t base, uint64_t top)
{
    return base % RMM_GRANULE_SIZE == 0 && top % RMM_GRANULE_SIZE == 0 &&
           base < top && top <= realm_protected_top(realm);
}

/* What the platform can give (RMM 1.0, B4.3.9.2: params_supp). */
static bool params_supported(const RmmPlatform *p,
                             const RmiRealmParams *params)
{
    uint64_t flags = params->flags, ext_flags = params->ext_flags;
    uint8_t s2sz = params->s2sz;
    uint8_t ctrs = params->pmu_num_ctrs;
    uint8_t hash = params->hash_algo;
    uint8_t sve_vl = params->sve_vl;
    uint8_t most = flags & RMI_REALM_LPA2 ? p->ipa_bits
                                          : MIN(p->ipa_bits, 48);

    if (((flags & RMI_REALM_LPA2) && !p->lpa2) ||
        ((flags & RMI_REALM_SVE) && (!p->sve || sve_vl > p->sve_vl))) {
        return false;
    }
    if ((ext_flags & ~RMI_REALM_EXT_KNOWN) ||
        ((ext_flags & RMI_REALM_EXT_MTE) && !p->mte) ||
        ((ext_flags & RMI_REALM_EXT_MIGRATION) && !p->migration)) {
        return false;
    }
    if ((flags & RMI_REALM_PMU) &&
        (!p->pmu || ctrs > p->pmu_num_ctrs || (!ctrs && !p->pmu_hpmn0))) {
        return false;
    }
    /* Zero means one breakpoint, and is reserved. */
    if ((uint8_t)params->num_bps == 0 || (uint8_t)params->num_wps == 0 ||
        (uint8_t)params->num_bps > p->num_bps ||
        (uint8_t)params->num_wps > p->num_wps) {
        return false;
    }
    return s2sz >= 32 && s2sz <= most &&
           (hash == RMI_HASH_SHA_256 ||
            (hash == RMI_HASH_SHA_512 && p->sha512));
}

/* The start tables fit the IPA width, and @rd is none of them. */
static bool params_tables_ok(const RmmPlatform *p,
                             const RmiRealmParams *params, uint64_t rd)
{
    int64_t level = params->rtt_level_start;
    uint64_t bytes = (uint64_t)params->rtt_num_start * RMM_GRANULE_SIZE;
    unsigned tables;

    bool lpa2 = params->flags & RMI_REALM_LPA2;

    if (level < (lpa2 ? -1 : 0) || level > RTT_PAGE_LEVEL) {
        return false;
    }
    /* Level 0 needs a machine with at least 44 bits of PA (Arm ARM, SL0). */
    if (level == 0 && p->ipa_bits < 44 && !lpa2) {
        return false;
    }
    tables = rtt_num_start((uint8_t)params->s2sz, level);
    return tables && tables == params->rtt_num_start &&
           params->rtt_base % bytes == 0 &&
           (rd < params->rtt_base || rd - params->rtt_base >= bytes);
}

/* Lock RD and start tables in order of PA, or nothing. */
static bool lock_granules(Rmm *rmm, uint64_t rd, const RmiRealmParams *params)
{
    bool rd_first = rd < params->rtt_base;

    if (rd_first && !granule_lock(rmm, rd, GRANULE_DELEGATED)) {
        return false;
    }
    if (!granule_lock_range(rmm, params->rtt_base, params->rtt_num_start,
                            GRANULE_DELEGATED)) {
        if (rd_first) {
            granule_unlock(rmm, rd);
        }
        return false;
    }
    if (!rd_first && !granule_lock(rmm, rd, GRANULE_DELEGATED)) {
        uint32_t i;

        for (i = 0; i < params->rtt_num_start; i++) {
            granule_unlock(rmm, params->rtt_base + i * RMM_GRANULE_SIZE);
        }
        return false;
    }
    return true;
}

/* Start tables are written as a whole by rtt_init_start. */
static void claim_granules(Rmm *rmm, uint64_t rd, const RmiRealmParams *params)
{
    uint32_t i;

    for (i = 0; i < params->rtt_num_start; i++) {
        granule_claim(rmm, params->rtt_base + i * RMM_GRANULE_SIZE, true);
    }
    granule_claim(rmm, rd, false);
}

static void unlock_granules(Rmm *rmm, uint64_t rd,
                            const RmiRealmParams *params, bool created)
{
    GranuleState rtt = created ? GRANULE_RTT : GRANULE_DELEGATED;
    uint32_t i;

    for (i = 0; i < params->rtt_num_start; i++) {
        uint64_t pa = params->rtt_base + i * RMM_GRANULE_SIZE;

        if (created) {
            granule_unlock_transition(rmm, pa, rtt);
        } else {
            granule_unlock(rmm, pa);
        }
    }
    if (created) {
        granule_unlock_transition(rmm, rd, GRANULE_RD);
    } else {
        granule_unlock(rmm, rd);
    }
}

/* A VMID is 16 bits wide; what stands beside it is reserved. */
static bool vmid_ok(const RmmPlatform *p, uint16_t vmid)
{
    return p->vmid_bits != 8 || vmid <= UINT8_MAX;
}

static bool vmid_reserve(Rmm *rmm, uint16_t vmid)
{
    gpointer key = GUINT_TO_POINTER(vmid + 1u);
    bool is_free;

    rmm_mutex_lock(&rmm->lock);
    is_free = !g_hash_table_contains(rmm->vmids, key);
    if (is_free) {
        g_hash_table_add(rmm->vmids, key);
    }
    rmm_mutex_unlock(&rmm->lock);
    return is_free;
}

static RmmRealm *realm_new(Rmm *rmm, uint64_t rd, const RmiRealmParams *params)
{
    RmmRealm *realm = g_new0(RmmRealm, 1);

    realm->rmm = rmm;
    realm->refs = 1;
    realm->rd = rd;
    realm->flags = params->flags;
    realm->ext_flags = params->ext_flags;
    realm->rtt_base = params->rtt_base;
    realm->rtt_num_start = params->rtt_num_start;
    realm->rtt_level_start = params->rtt_level_start;
    realm->ipa_bits = params->s2sz;
    realm->vmid = params->vmid;
    realm->hash_algo = params->hash_algo;
    realm->sve_vl = params->sve_vl;
    realm->num_bps = params->num_bps;
    realm->num_wps = params->num_wps;
    realm->pmu_num_ctrs = params->pmu_num_ctrs;
    rmm_mutex_init(&realm->lock, LOCK_REALM, rd);
    realm->state = REALM_NEW;
    memcpy(realm->rpv, params->rpv, sizeof(realm->rpv));
    if (realm_may_migrate(realm)) {
        realm->policy.version = MIG_POLICY_VERSION;     /* the default one */
    }
    measurement_init(realm, params);
    rtt_init_start(realm);
    return realm;
}

static uint64_t create_checked(Rmm *rmm, uint64_t rd,
                               const RmiRealmParams *params)
{
    RmmRealm *realm;

    if (!vmid_ok(&rmm->platform, params->vmid) ||
        !params_supported(&rmm->platform, params) ||
        !params_tables_ok(&rmm->platform, params, rd) ||
        !lock_granules(rmm, rd, params)) {
        return RMI_ERROR_INPUT;
    }
    if (!vmid_reserve(rmm, params->vmid)) {
        unlock_granules(rmm, rd, params, false);
        return RMI_ERROR_INPUT;
    }
    claim_granules(rmm, rd, params);
    realm = realm_new(rmm, rd, params);
    rmm_mutex_lock(&rmm->lock);
    g_hash_table_insert(rmm->realms, &realm->rd, realm);
    rmm_mutex_unlock(&rmm->lock);
    unlock_granules(rmm, rd, params, true);
    return RMI_SUCCESS;
}

uint64_t realm_create(Rmm *rmm, uint64_t rd, uint64_t params_pa)
{
    RmiRealmParams *params = g_new(RmiRealmParams, 1);
    uint64_t result = RMI_ERROR_INPUT;

    if (params_pa % RMM_GRANULE_SIZE == 0 &&
        rmm_read_ns(rmm, params, params_pa, sizeof(*params))) {
        result = create_checked(rmm, rd, params);
    }
    g_free(params);
    return result;
}

uint64_t realm_activate(Rmm *rmm, uint64_t rd)
{
    RmmRealm *realm = realm_lock(rmm, rd);
    uint64_t result = RMI_ERROR_REALM;

    if (!realm) {
        return RMI_ERROR_INPUT;
    }
    if (realm->state == REALM_NEW) {
        measurement_finish(realm);
        history_begin(&realm->history, rmm);
        realm_set_state(realm, REALM_ACTIVE);
        result = RMI_SUCCESS;
    }
    realm_unlock(realm);
    return result;
}

/* Nobody finds the Realm any more; who waits for its lock sees `destroyed`. */
static void realm_forget(Rmm *rmm, RmmRealm *realm)
{
    realm->destroyed = true;
    rmm_mutex_lock(&rmm->lock);
    g_hash_table_remove(rmm->realms, &realm->rd);
    rmm_mutex_unlock(&rmm->lock);
}

/* No PE and no walker knows its tables any more. */
static void realm_release(Rmm *rmm, const RmmRealm *realm)
{
    uint32_t i;

    rmm_mutex_lock(&rmm->lock);
    g_hash_table_remove(rmm->vmids, GUINT_TO_POINTER(realm->vmid + 1u));
    rmm_mutex_unlock(&rmm->lock);
    for (i = 0; i < realm->rtt_num_start; i++) {
        granule_release(rmm, realm->rtt_base + i * RMM_GRANULE_SIZE,
                        GRANULE_RTT);
    }
    granule_release(rmm, realm->rd, GRANULE_RD);
}

uint64_t realm_destroy(Rmm *rmm, uint64_t rd)
{
    RmmRealm *realm = realm_lock(rmm, rd);

    if (!realm) {
        return RMI_ERROR_INPUT;
    }
    if (realm->num_recs || rtt_start_is_live(realm)) {
        realm_unlock(realm);
        return RMI_ERROR_REALM;
    }
    rmm->ops.tlb_invalidate(rmm->opaque, realm->vmid, 0,
                            realm_ipa_top(realm));
    realm_forget(rmm, realm_ref(realm));
    realm_unlock(realm);
    rmm_tlb_sync(rmm);
    walkers_wait(rmm);
    realm_release(rmm, realm);
    realm_unref(realm);
    return RMI_SUCCESS;
}
