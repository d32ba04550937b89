/*
 * Realm Execution Contexts: create, destroy, enter, exit (see rec.h)
 *
 * Lock rule: entry and exit hold the Realm's lock for a few assignments
 * only, so RECs of one Realm come and go side by side.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include <gnutls/gnutls.h>
#include "granule.h"
#include "measurement.h"
#include "rmm-internal.h"
#include "rtt.h"

/* Bits of ICH_HCR_EL2 that the host may set (RMM 1.0, B4.4.18). */
#define GIC_HCR_MASK ((1ull << 1) | (1ull << 2) | (1ull << 3) | \
                      (0xfull << 4) | (1ull << 14))

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

/* The same while a session brings what the REC is. */
static const uint8_t imports[REC_STATES] = {
    [REC_OFF]       = TO(OFF) | TO(READY) | TO(PSCI) | TO(RIPAS) |
                      TO(HOST_CALL),
    [REC_READY]     = TO(OFF) | TO(READY) | TO(PSCI) | TO(RIPAS) |
                      TO(HOST_CALL),
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

void rec_unref(RmmRec *rec)
{
    if (g_atomic_int_dec_and_test(&rec->refs)) {
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

bool realm_has_running_rec(const RmmRealm *realm)
{
    uint32_t i;

    for (i = 0; i < RMM_MAX_RECS; i++) {
        if (realm->recs[i] && realm->recs[i]->state == REC_RUNNING) {
            return true;
        }
    }
    return false;
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

/* Why a REC cannot go: RMI result word. */
static uint64_t destroy_check(const RmmRec *rec)
{
    if (rec->state == REC_RUNNING) {
        return RMI_ERROR_REC;
    }
    return realm_may_unmap(rec->realm->state) ? RMI_SUCCESS
                                              : RMI_ERROR_REALM;
}

static void release_granules(RmmRec *rec)
{
    unsigned i;

    for (i = 0; i < rec->num_aux; i++) {
        granule_release(rec->rmm, rec->aux[i], GRANULE_REC_AUX);
    }
    granule_release(rec->rmm, rec->pa, GRANULE_REC);
}

uint64_t rec_destroy(Rmm *rmm, uint64_t pa)
{
    RmmRec *rec = rec_lock(rmm, pa);
    uint64_t result;

    if (!rec) {
        return RMI_ERROR_INPUT;
    }
    result = destroy_check(rec);
    if (result == RMI_SUCCESS) {
        rec_set_state(rec, REC_DESTROYED);
        rec->realm->recs[rec->slot] = NULL;
        rec->realm->num_recs--;
        psci_target_gone(rec->realm, rec->index);
        rmm_mutex_lock(&rmm->lock);
        g_hash_table_remove(rmm->recs, &rec->pa);
        rmm_mutex_unlock(&rmm->lock);
        release_granules(rec);
    }
    rec_unlock(rec);
    return result;
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

/* Bits of ICH_LR<n>_EL2 (Arm GIC architecture). */
#define LR_VINTID(lr)   ((uint32_t)(lr))
#define LR_PINTID       (0x1fffull << 32)
#define LR_EOI          (1ull << 41)    /* within PINTID, if not HW */
#define LR_PRIORITY     48
#define LR_HW           (1ull << 61)
#define LR_STATE(lr)    ((lr) >> 62)
#define LR_RES0         (0xfull << 56 | 7ull << 45)

/* SGI, PPI, SPI, LPI of 16 bits; no extended ranges. */
static bool intid_ok(uint32_t intid)
{
    return intid < 1020 || (intid >= 8192 && intid <= 0xffff);
}

/* A4.5.1.1: what a list register that is in use may say. */
static bool lr_ok(const RmmPlatform *p, uint64_t lr)
{
    uint64_t res0 = (0xffull >> p->gic_prio_bits) << LR_PRIORITY | LR_RES0;

    return !(lr & (LR_HW | res0 | (LR_PINTID & ~LR_EOI))) &&
           intid_ok(LR_VINTID(lr));
}

static bool gic_ok(const RmmPlatform *p, const RmiRecEnter *enter)
{
    const uint64_t *lr = enter->gicv3_lrs;
    unsigned i, j;

    if (enter->gicv3_hcr & ~GIC_HCR_MASK) {
        return false;
    }
    for (i = 0; p->gic_prio_bits && i <= p->num_lrs; i++) {
        if (!LR_STATE(lr[i])) {
            continue;
        }
        for (j = 0; j < i; j++) {
            if (LR_STATE(lr[j]) && LR_VINTID(lr[j]) == LR_VINTID(lr[i])) {
                return false;
            }
        }
        if (!lr_ok(p, lr[i])) {
            return false;
        }
    }
    return true;
}

/*
 * A4.2.3; with INJECT_SEA, EMUL_MMIO is ignored.  TF-RMM refuses a useless
 * INJECT_SEA; the text leaves it open.
 */
static bool abort_answer_ok(RecAbort kind, uint64_t flags)
{
    if (flags & RMI_ENTER_INJECT_SEA) {
        return kind == REC_ABORT_EMULATABLE || kind == REC_ABORT_UNPROTECTED;
    }
    return !(flags & RMI_ENTER_EMUL_MMIO) || kind == REC_ABORT_EMULATABLE;
}

/* B4.3.14.2, in the order of the text. */
static uint64_t enter_check(const RmmRec *rec, const RmiRecEnter *enter)
{
    RealmState state = rec->realm->state;

    if (rec->state == REC_RUNNING) {
        return RMI_ERROR_REC;
    }
    if (!realm_may_run(state)) {
        return RMI_RESULT(RMI_ERROR_REALM, state == REALM_SYSTEM_OFF);
    }
    if (rec->state == REC_OFF || rec->state == REC_PSCI) {
        return RMI_ERROR_REC;
    }
    if (!gic_ok(&rec->rmm->platform, enter)) {
        return RMI_ERROR_REC;
    }
    return abort_answer_ok(rec->abort.kind, enter->flags) ? RMI_SUCCESS
                                                          : RMI_ERROR_REC;
}

/* B5.3.5: how far the host went, and whether it meant to stop there. */
static void finish_ripas(RmmRec *rec, const RmiRecEnter *enter)
{
    bool rejected = rec->ripas.value == RMI_RIPAS_RAM &&
                    rec->ripas.addr != rec->ripas.top &&
                    (enter->flags & RMI_ENTER_RIPAS_REJECT);

    rsi_answer(rec->x, RSI_SUCCESS,
               (const uint64_t[]) { rec->ripas.addr,
                                    rejected ? RSI_REJECT : RSI_ACCEPT }, 2);
    memset(&rec->ripas, 0, sizeof(rec->ripas));
}

/*
 * False, with the abort in @exit, if the host took the buffer away.  If the
 * Realm made it EMPTY meanwhile, there is nothing for the host to resolve, and
 * no such exit (A5.2.9): as TF-RMM means to, the Realm goes on without what
 * the host answered, and takes an external abort where it looks for it.
 */
static bool finish_host_call(RmmRec *rec, const RmiRecEnter *enter,
                             RmiRecExit *exit)
{
    RsiHostCall *call;
    void *p;
    int level;

    switch (rtt_access(rec->realm, rec->host_call_ipa, true, &p, &level)) {
    case RTT_ACCESS_OK:
        call = p;
        memcpy(call->gprs, enter->gprs, sizeof(call->gprs));
        break;
    case RTT_ACCESS_EMPTY:
        break;
    case RTT_ACCESS_FAULT:
        rec_abort_record(exit, rec->host_call_ipa, level);
        return false;
    }
    rsi_answer(rec->x, RSI_SUCCESS, NULL, 0);
    return true;
}

static bool finish_pending(RmmRec *rec, const RmiRecEnter *enter,
                           RmiRecExit *exit)
{
    switch (rec->state) {
    case REC_RIPAS:
        finish_ripas(rec, enter);
        return true;
    case REC_HOST_CALL:
        return finish_host_call(rec, enter, exit);
    default:
        return true;
    }
}

/* The abort that the last exit was, with the host's answer if it has one. */
static void finish_abort(RmmPe *pe, RmmRec *rec, const RmiRecEnter *enter)
{
    if (enter->flags & RMI_ENTER_INJECT_SEA ||
        rec->abort.kind == REC_ABORT_EXTERNAL) {
        exception_inject_sea(pe, rec->abort.esr, rec->abort.far);
    } else if (enter->flags & RMI_ENTER_EMUL_MMIO) {
        exception_finish_mmio(pe, rec->abort.esr, enter->gprs[0]);
    }
    memset(&rec->abort, 0, sizeof(rec->abort));
}

static void enter_realm(RmmPe *pe, RmmRec *rec, uint64_t run_pa,
                        const RmiRecEnter *enter)
{
    g_atomic_int_inc(&rec->refs);       /* dropped by rec_exit */
    rec_set_state(rec, REC_RUNNING);
    rec->run_pa = run_pa;
    rec->enter_flags = enter->flags;
    pe->rec = rec;
    pe->world = RMM_WORLD_REALM;
    memcpy(pe->x, rec->x, sizeof(pe->x));
    pe->pc = rec->pc;
    pe->inject = (RmmInject) { 0 };
    finish_abort(pe, rec, enter);
}

static uint64_t write_exit(Rmm *rmm, uint64_t run_pa, const RmiRecExit *exit)
{
    return rmm_write_ns(rmm, run_pa + offsetof(RmiRecRun, exit), exit,
                        sizeof(*exit)) ? RMI_SUCCESS : RMI_ERROR_INPUT;
}

static uint64_t enter_locked(RmmPe *pe, RmmRec *rec, uint64_t run_pa,
                             const RmiRecEnter *enter)
{
    RmiRecExit exit = { .exit_reason = RMI_EXIT_SYNC };
    uint64_t result = enter_check(rec, enter);

    if (result != RMI_SUCCESS) {
        return result;
    }
    if (!finish_pending(rec, enter, &exit)) {
        return write_exit(rec->rmm, run_pa, &exit);
    }
    enter_realm(pe, rec, run_pa, enter);
    return RMI_SUCCESS;
}

uint64_t rec_enter(Rmm *rmm, RmmPe *pe, uint64_t pa, uint64_t run_pa)
{
    RmiRecEnter enter;
    uint64_t result;
    RmmRec *rec;

    if (run_pa % RMM_GRANULE_SIZE ||
        !rmm->ops.ns(rmm->opaque, run_pa, sizeof(RmiRecRun)) ||
        !rmm_read_ns(rmm, &enter, run_pa, sizeof(enter))) {
        return RMI_ERROR_INPUT;
    }
    rec = rec_lock(rmm, pa);
    if (!rec) {
        return RMI_ERROR_INPUT;
    }
    result = enter_locked(pe, rec, run_pa, &enter);
    rec_unlock(rec);
    return result;
}

void rec_exit_to(RmmPe *pe, const RmiRecExit *exit, RecState state)
{
    RmmRec *rec = pe->rec;
    uint64_t result;

    g_assert(rec && rec->state == REC_RUNNING);
    memcpy(rec->x, pe->x, sizeof(rec->x));
    rec->pc = pe->pc;
    result = write_exit(rec->rmm, rec->run_pa, exit);

    /* Nothing of the Realm stays in the registers. */
    memset(pe, 0, sizeof(*pe));
    pe->world = RMM_WORLD_HOST;
    pe->x[0] = result;

    rmm_mutex_lock(&rec->realm->lock);
    rec_set_state(rec, state);
    if (state == REC_PSCI) {
        psci_check_target(rec);
    }
    rmm_mutex_unlock(&rec->realm->lock);
    rec_unref(rec);
}

void rec_exit(RmmPe *pe, const RmiRecExit *exit)
{
    rec_exit_to(pe, exit, REC_READY);
}

/*
 * ESR_EL2 of a data abort from a lower level, translation fault: the level
 * is the end of its code, but for -1, which came later.
 */
void rec_abort_record(RmiRecExit *exit, uint64_t ipa, int level)
{
    exit->exit_reason = RMI_EXIT_SYNC;
    exit->esr = 0x24ull << 26 | (level < 0 ? 0x2b : 0x4 | level);
    exit->hpfar = ipa >> RMM_GRANULE_SHIFT << 4;
}

void rec_exit_abort(RmmPe *pe, uint64_t ipa, int level)
{
    RmiRecExit exit = { 0 };

    rec_abort_record(&exit, ipa, level);
    pe->pc -= 4;
    rec_exit(pe, &exit);
}
