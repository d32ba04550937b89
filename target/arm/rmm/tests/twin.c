/*
 * The twin: granules, Realms, RECs and the table of RMI calls (see twin.h)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include "twin.h"

#define IN_ERR RMI_ERROR_INPUT

static void table_free(gpointer table)
{
    g_free(table);
}

static void realm_free(gpointer p)
{
    TwinRealm *r = p;

    g_ptr_array_unref(r->tables);
    g_ptr_array_unref(r->recs);
    g_free(r);
}

Twin *twin_new(const RmmPlatform *platform, uint64_t pool, unsigned granules,
               uint64_t ns_base, size_t ns_size)
{
    Twin *t = g_new0(Twin, 1);

    t->platform = *platform;
    t->pool = pool;
    t->num_granules = granules;
    t->state = g_malloc0(granules);
    t->memory = g_malloc0((size_t)granules * RMM_GRANULE_SIZE);
    t->ns_base = ns_base;
    t->ns_size = ns_size;
    t->ns = g_malloc0(ns_size);
    t->realms = g_ptr_array_new_with_free_func(realm_free);
    return t;
}

void twin_free(Twin *t)
{
    g_ptr_array_unref(t->realms);
    g_free(t->state);
    g_free(t->memory);
    g_free(t->ns);
    g_free(t);
}

/* ---- granules and Non-secure memory ---- */

int twin_granule(const Twin *t, uint64_t pa)
{
    unsigned i;

    if (pa % RMM_GRANULE_SIZE || pa < t->pool) {
        return -1;
    }
    i = MIN((pa - t->pool) / RMM_GRANULE_SIZE, t->num_granules);
    return i < t->num_granules ? (int)i : -1;
}

bool twin_granule_is(const Twin *t, uint64_t pa, TwinGranule state)
{
    int i = twin_granule(t, pa);

    return i >= 0 && t->state[i] == state;
}

uint8_t *twin_memory(const Twin *t, uint64_t pa)
{
    int i = twin_granule(t, pa);

    return i < 0 ? NULL : t->memory + (size_t)i * RMM_GRANULE_SIZE;
}

/* What of the host a granule holds once it is delegated (op_granule_pas). */
void twin_foreign(Twin *t, uint64_t pa)
{
    memset(twin_memory(t, pa), 0xcc, 64);
}

/* A granule is wiped on each way but that from the host. */
void twin_set_granule(Twin *t, uint64_t pa, TwinGranule state)
{
    uint8_t *now = &t->state[twin_granule(t, pa)];

    if (*now == TWIN_NS) {
        twin_foreign(t, pa);
    } else {
        memset(twin_memory(t, pa), 0, RMM_GRANULE_SIZE);
    }
    *now = state;
}

void *twin_ns(const Twin *t, uint64_t pa, size_t len)
{
    if (pa < t->ns_base || pa - t->ns_base > t->ns_size ||
        len > t->ns_size - (pa - t->ns_base)) {
        return NULL;
    }
    return t->ns + (pa - t->ns_base);
}

static const void *ns_page(const Twin *t, uint64_t pa)
{
    return pa % RMM_GRANULE_SIZE ? NULL : twin_ns(t, pa, RMM_GRANULE_SIZE);
}

static uint64_t delegate(Twin *t, uint64_t pa)
{
    if (!twin_granule_is(t, pa, TWIN_NS)) {
        return IN_ERR;
    }
    twin_set_granule(t, pa, TWIN_DELEGATED);
    return RMI_SUCCESS;
}

static uint64_t undelegate(Twin *t, uint64_t pa)
{
    if (!twin_granule_is(t, pa, TWIN_DELEGATED)) {
        return IN_ERR;
    }
    twin_set_granule(t, pa, TWIN_NS);
    return RMI_SUCCESS;
}

/* ---- Realms ---- */

TwinRealm *twin_realm(const Twin *t, uint64_t rd)
{
    unsigned i;

    for (i = 0; i < t->realms->len; i++) {
        TwinRealm *r = t->realms->pdata[i];

        if (r->rd == rd) {
            return r;
        }
    }
    return NULL;
}

uint64_t twin_ipa_top(const TwinRealm *r)
{
    return 1ull << r->ipa_bits;
}

uint64_t twin_protected_top(const TwinRealm *r)
{
    return twin_ipa_top(r) / 2;
}

/* Widths that a start level can have, and tables that they need (A5.2.6). */
static unsigned tables_for(uint64_t level, unsigned ipa_bits)
{
    static const struct {
        int level;
        unsigned narrowest, one_table, widest;
    } levels[] = {
        { -1, 49, 57, 57 }, { 0, 40, 48, 52 }, { 1, 31, 39, 43 },
        { 2, 22, 30, 34 }, { 3, 13, 21, 25 },
    };
    unsigned i, n, bits;

    for (i = 0; i < G_N_ELEMENTS(levels); i++) {
        if ((uint64_t)(int64_t)levels[i].level == level) {
            break;
        }
    }
    if (i == G_N_ELEMENTS(levels) || ipa_bits < levels[i].narrowest ||
        ipa_bits > levels[i].widest) {
        return 0;
    }
    for (n = 1, bits = levels[i].one_table; bits < ipa_bits; bits++) {
        n *= 2;
    }
    return n;
}

static bool features_ok(const RmmPlatform *p, const RmiRealmParams *in)
{
    unsigned s2sz = in->s2sz & 0xff, bps = in->num_bps & 0xff;
    unsigned wps = in->num_wps & 0xff, ctrs = in->pmu_num_ctrs & 0xff;
    bool lpa2 = in->flags & RMI_REALM_LPA2;

    if (lpa2 && !p->lpa2) {
        return false;
    }
    if (s2sz < 32 || s2sz > p->ipa_bits || (!lpa2 && s2sz > 48)) {
        return false;
    }
    if (bps < 1 || bps > p->num_bps || wps < 1 || wps > p->num_wps) {
        return false;
    }
    if (in->flags & RMI_REALM_SVE) {
        if (!p->sve || (in->sve_vl & 0xff) > p->sve_vl) {
            return false;
        }
    }
    if (in->flags & RMI_REALM_PMU) {
        if (!p->pmu || ctrs > p->pmu_num_ctrs ||
            (ctrs == 0 && !p->pmu_hpmn0)) {
            return false;
        }
    }
    if (in->ext_flags > 3 || (in->ext_flags & 1 && !p->migration) ||
        (in->ext_flags & 2 && !p->mte)) {
        return false;
    }
    switch (in->hash_algo & 0xff) {
    case RMI_HASH_SHA_256:
        return true;
    case RMI_HASH_SHA_512:
        return p->sha512;
    default:
        return false;
    }
}

static bool start_ok(const Twin *t, const RmiRealmParams *in, uint64_t rd)
{
    bool lpa2 = in->flags & RMI_REALM_LPA2;
    unsigned n = tables_for(in->rtt_level_start, in->s2sz & 0xff), i;

    if (n == 0 || n > 16 || n != in->rtt_num_start ||
        (in->rtt_level_start == -1 && !lpa2) ||
        (in->rtt_level_start == 0 && !lpa2 && t->platform.ipa_bits < 44) ||
        in->rtt_base % (n * RMM_GRANULE_SIZE)) {
        return false;
    }
    for (i = 0; i < n; i++) {
        uint64_t pa = in->rtt_base + i * RMM_GRANULE_SIZE;

        if (pa == rd || !twin_granule_is(t, pa, TWIN_DELEGATED)) {
            return false;
        }
    }
    return twin_granule_is(t, rd, TWIN_DELEGATED);
}

static bool vmid_ok(const Twin *t, uint64_t vmid)
{
    unsigned i;

    if (t->platform.vmid_bits == 8 && (vmid & 0xffff) > 0xff) {
        return false;
    }
    for (i = 0; i < t->realms->len; i++) {
        if (((TwinRealm *)t->realms->pdata[i])->vmid == (vmid & 0xffff)) {
            return false;
        }
    }
    return true;
}

static uint64_t realm_create(Twin *t, uint64_t rd, uint64_t params)
{
    const RmiRealmParams *in = ns_page(t, params);
    RmiRealmParams *measured;
    TwinRealm *r;
    unsigned i;

    if (!in || !features_ok(&t->platform, in) || !start_ok(t, in, rd) ||
        !vmid_ok(t, in->vmid)) {
        return IN_ERR;
    }
    r = g_new0(TwinRealm, 1);
    r->rd = rd;
    r->flags = in->flags;
    r->ipa_bits = in->s2sz & 0xff;
    r->start = in->rtt_level_start;
    r->num_start = in->rtt_num_start;
    r->rtt_base = in->rtt_base;
    r->vmid = in->vmid;
    r->hash_algo = in->hash_algo & 0xff;
    memcpy(r->rpv, in->rpv, sizeof(r->rpv));
    r->tables = g_ptr_array_new_with_free_func(table_free);
    r->recs = g_ptr_array_new_with_free_func(g_free);
    measured = g_new0(RmiRealmParams, 1);
    measured->flags = in->flags;
    measured->s2sz = in->s2sz & 0xff;
    measured->sve_vl = in->sve_vl & 0xff;
    measured->num_bps = in->num_bps & 0xff;
    measured->num_wps = in->num_wps & 0xff;
    measured->pmu_num_ctrs = in->pmu_num_ctrs & 0xff;
    measured->hash_algo = in->hash_algo & 0xff;
    measured->ext_flags = in->ext_flags;
    twin_hash(r, measured, sizeof(*measured), r->measurement[0]);
    g_free(measured);
    twin_set_granule(t, rd, TWIN_RD);
    for (i = 0; i < r->num_start; i++) {
        twin_set_granule(t, r->rtt_base + i * RMM_GRANULE_SIZE, TWIN_RTT);
    }
    twin_start_tables(r);
    g_ptr_array_add(t->realms, r);
    return RMI_SUCCESS;
}

static uint64_t realm_activate(Twin *t, uint64_t rd)
{
    TwinRealm *r = twin_realm(t, rd);

    if (!r) {
        return IN_ERR;
    }
    if (r->state != TWIN_NEW) {
        return RMI_ERROR_REALM;
    }
    r->state = TWIN_ACTIVE;
    return RMI_SUCCESS;
}

static uint64_t realm_destroy(Twin *t, uint64_t rd)
{
    TwinRealm *r = twin_realm(t, rd);
    unsigned i;

    if (!r) {
        return IN_ERR;
    }
    for (i = 0; i < r->recs->len; i++) {
        if (((TwinRec *)r->recs->pdata[i])->exists) {
            return RMI_ERROR_REALM;
        }
    }
    if (twin_start_live(r)) {
        return RMI_ERROR_REALM;
    }
    for (i = 0; i < r->num_start; i++) {
        twin_set_granule(t, r->rtt_base + i * RMM_GRANULE_SIZE,
                         TWIN_DELEGATED);
    }
    twin_set_granule(t, rd, TWIN_DELEGATED);
    g_ptr_array_remove(t->realms, r);
    return RMI_SUCCESS;
}

/* ---- RECs ---- */

TwinRec *twin_rec(const Twin *t, uint64_t pa)
{
    unsigned i, j;

    for (i = 0; i < t->realms->len; i++) {
        TwinRealm *r = t->realms->pdata[i];

        for (j = 0; j < r->recs->len; j++) {
            TwinRec *rec = r->recs->pdata[j];

            if (rec->exists && rec->pa == pa) {
                return rec;
            }
        }
    }
    return NULL;
}

/* Aff0 has 4 bits, Aff1 to Aff3 have 8 each; bits 7:4 are RES0. */
bool twin_mpidr(uint64_t mpidr, uint64_t *index)
{
    uint64_t aff0 = mpidr & 0xff, aff1 = mpidr >> 8 & 0xff;
    uint64_t aff2 = mpidr >> 16 & 0xff, aff3 = mpidr >> 24 & 0xff;

    *index = aff0 + 16 * aff1 + 4096 * aff2 + 1048576 * aff3;
    return aff0 < 16 && mpidr < 1ull << 32;
}

static bool rec_granules_ok(const Twin *t, uint64_t rec,
                            const RmiRecParams *in)
{
    unsigned i, j;

    for (i = 0; i < in->num_aux; i++) {
        if (!twin_granule_is(t, in->aux[i], TWIN_DELEGATED) ||
            in->aux[i] == rec) {
            return false;
        }
        for (j = 0; j < i; j++) {
            if (in->aux[i] == in->aux[j]) {
                return false;
            }
        }
    }
    return twin_granule_is(t, rec, TWIN_DELEGATED);
}

static void rec_new(Twin *t, TwinRealm *r, uint64_t pa, const RmiRecParams *in)
{
    TwinRec *rec = g_new0(TwinRec, 1);
    RmiRecParams *measured = g_new0(RmiRecParams, 1);
    uint8_t hash[64];
    unsigned i;

    rec->realm = r;
    rec->pa = pa;
    rec->index = r->recs->len;
    rec->exists = true;
    rec->runnable = in->flags & RMI_REC_RUNNABLE;
    rec->pc = in->pc;
    for (i = 0; i < 8; i++) {
        rec->x[i] = in->gprs[i];
    }
    twin_set_granule(t, pa, TWIN_REC);
    rec->num_aux = in->num_aux;
    for (i = 0; i < in->num_aux; i++) {
        rec->aux[i] = in->aux[i];
        twin_set_granule(t, in->aux[i], TWIN_REC_AUX);
    }
    g_ptr_array_add(r->recs, rec);
    if (rec->runnable) {
        measured->flags = in->flags;
        measured->pc = in->pc;
        memcpy(measured->gprs, in->gprs, sizeof(in->gprs));
        twin_hash(r, measured, sizeof(*measured), hash);
        twin_rim(r, 1, 0, 0, hash);
    }
    g_free(measured);
}

static unsigned count_recs(const TwinRealm *r)
{
    unsigned i, n = 0;

    for (i = 0; i < r->recs->len; i++) {
        n += ((TwinRec *)r->recs->pdata[i])->exists;
    }
    return n;
}

static uint64_t rec_create(Twin *t, uint64_t rd, uint64_t pa, uint64_t params)
{
    const RmiRecParams *in = ns_page(t, params);
    TwinRealm *r = twin_realm(t, rd);
    uint64_t index;

    if (!in || in->num_aux > 16 || !rec_granules_ok(t, pa, in) || !r) {
        return IN_ERR;
    }
    if (count_recs(r) == 1023 || r->state != TWIN_NEW) {
        return RMI_ERROR_REALM;
    }
    if (!twin_mpidr(in->mpidr, &index) || index != r->recs->len ||
        in->num_aux != t->platform.num_aux) {
        return IN_ERR;
    }
    rec_new(t, r, pa, in);
    return RMI_SUCCESS;
}

static uint64_t rec_destroy(Twin *t, uint64_t pa)
{
    TwinRec *rec = twin_rec(t, pa);
    unsigned i;

    if (!rec) {
        return IN_ERR;
    }
    if (rec->running) {
        return RMI_ERROR_REC;
    }
    rec->exists = false;
    twin_answer_who_waits(rec);
    twin_set_granule(t, pa, TWIN_DELEGATED);
    for (i = 0; i < rec->num_aux; i++) {
        twin_set_granule(t, rec->aux[i], TWIN_DELEGATED);
    }
    return RMI_SUCCESS;
}

static uint64_t aux_count(const Twin *t, uint64_t rd, uint64_t *count)
{
    *count = twin_realm(t, rd) ? t->platform.num_aux : 0;
    return twin_realm(t, rd) ? RMI_SUCCESS : IN_ERR;
}

/* ---- the calls ---- */

static uint64_t feature_register_0(const RmmPlatform *p)
{
    uint64_t value = p->ipa_bits;

    value += (uint64_t)p->lpa2 << 8;
    value += p->sve ? (1ull << 9) + ((uint64_t)p->sve_vl << 10) : 0;
    value += (uint64_t)p->num_bps << 14;
    value += (uint64_t)p->num_wps << 20;
    value += p->pmu ? (1ull << 26) + ((uint64_t)p->pmu_num_ctrs << 27) : 0;
    value += 1ull << 32;
    value += (uint64_t)p->sha512 << 33;
    value += (uint64_t)p->num_lrs << 34;
    value += 10ull << 38;               /* 2^10 - 1 RECs */
    return value;
}

/* X0; outputs to @out, and their number to *@num. */
static uint64_t run_call(Twin *t, TwinPe *pe, uint64_t fid, const uint64_t *in,
                         uint64_t *out, unsigned *num)
{
    *num = 0;
    switch (fid) {
    case RMI_VERSION:
        *num = 2;
        out[1] = out[2] = RMM_ABI_VERSION_1_0;
        return in[1] == RMM_ABI_VERSION_1_0 ? RMI_SUCCESS : IN_ERR;
    case RMI_FEATURES:
        *num = 1;
        out[1] = in[1] == 0 ? feature_register_0(&t->platform) :
                 in[1] == 0xc3000100 ? t->platform.migration +
                                       2 * t->platform.mte : 0;
        return RMI_SUCCESS;
    case RMI_GRANULE_DELEGATE:
        return delegate(t, in[1]);
    case RMI_GRANULE_UNDELEGATE:
        return undelegate(t, in[1]);
    case RMI_REALM_CREATE:
        return realm_create(t, in[1], in[2]);
    case RMI_REALM_ACTIVATE:
        return realm_activate(t, in[1]);
    case RMI_REALM_DESTROY:
        return realm_destroy(t, in[1]);
    case RMI_REC_CREATE:
        return rec_create(t, in[1], in[2], in[3]);
    case RMI_REC_DESTROY:
        return rec_destroy(t, in[1]);
    case RMI_REC_AUX_COUNT:
        *num = 1;
        return aux_count(t, in[1], &out[1]);
    case RMI_REC_ENTER:
        return twin_rec_enter(t, pe, in[1], in[2]);
    case RMI_PSCI_COMPLETE:
        return twin_psci_complete(t, in[1], in[2], in[3]);
    case RMI_DATA_CREATE:
    case RMI_DATA_CREATE_UNKNOWN:
    case RMI_RTT_CREATE:
    case RMI_RTT_MAP_UNPROTECTED:
        return twin_rtt_call(t, fid - RMI_VERSION, in, out);
    case RMI_RTT_UNMAP_UNPROTECTED:
    case RMI_RTT_FOLD:
    case RMI_RTT_INIT_RIPAS:
    case RMI_RTT_SET_RIPAS:
        *num = 1;
        return twin_rtt_call(t, fid - RMI_VERSION, in, out);
    case RMI_DATA_DESTROY:
    case RMI_RTT_DESTROY:
        *num = 2;
        return twin_rtt_call(t, fid - RMI_VERSION, in, out);
    case RMI_RTT_READ_ENTRY:
        *num = 4;
        return twin_rtt_call(t, fid - RMI_VERSION, in, out);
    default:
        return SMCCC_NOT_SUPPORTED;
    }
}

void twin_call(Twin *t, TwinPe *pe)
{
    uint64_t fid = pe->pe.x[0] & 0xfffeffff;    /* W0, less the hint */
    uint64_t in[6], out[5] = { 0 }, x0;
    unsigned num, i;

    if (pe->pe.world == RMM_WORLD_REALM) {
        twin_rsi_or_psci(t, pe, fid);
        return;
    }
    memcpy(in, pe->pe.x, sizeof(in));
    x0 = run_call(t, pe, fid, in, out, &num);
    if (pe->pe.world == RMM_WORLD_HOST) {
        pe->pe.x[0] = x0;
        for (i = 1; i <= 4; i++) {
            if (i <= num) {
                pe->pe.x[i] = out[i];
            } else if (i <= 3 && x0 != SMCCC_NOT_SUPPORTED) {
                pe->pe.x[i] = 0;
            }
        }
    }
}
