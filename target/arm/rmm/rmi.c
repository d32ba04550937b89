/*
 * The Realm Management Interface: calls of the host to the RMM
 *
 * Purpose: one row for each call of RMI 1.0, and handlers that name their
 * arguments and pass them on.
 *
 * Invariants: a handler checks everything before it changes anything, so a
 * call that fails has changed nothing.  X1 to X3 are zero where a row lists no
 * output (HOST_ZEROED), and those from X4 on keep their values.
 *
 * Lock rule: handlers of calls on tables take the Realm's lock; the others
 * leave that to the file that does the work.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include "dispatch.h"
#include "granule.h"
#include "measurement.h"
#include "rec.h"
#include "rmm-internal.h"
#include "rtt.h"

#define RMI_INPUTS  5
#define RMI_OUTPUTS 4

/* @in and @out are numbered like registers: [1] is X1.  Returns X0. */
typedef struct RmiCall {
    Rmm *rmm;
    RmmPe *pe;
    uint64_t in[1 + RMI_INPUTS];
    uint64_t out[1 + RMI_OUTPUTS];      /* zero at first */
} RmiCall;

typedef uint64_t RmiFn(RmiCall *c);

static RmiFn rmi_version, rmi_delegate, rmi_undelegate, rmi_data_create;
static RmiFn rmi_data_create_unknown, rmi_data_destroy, rmi_realm_activate;
static RmiFn rmi_realm_create, rmi_realm_destroy, rmi_rec_create;
static RmiFn rmi_rec_destroy, rmi_rec_enter, rmi_rtt_create, rmi_rtt_destroy;
static RmiFn rmi_rtt_map_unprotected, rmi_rtt_read_entry;
static RmiFn rmi_rtt_unmap_unprotected, rmi_psci_complete, rmi_features;
static RmiFn rmi_rtt_fold, rmi_rec_aux_count, rmi_rtt_init_ripas;
static RmiFn rmi_rtt_set_ripas;

/*
 * Numbers, inputs and outputs (X1 and up) are those of B4.3.  `traits` is what
 * rmm_call_traits answers.  The log policy is LOG_ERRORS for what a host calls
 * for pages, tables and entries.
 *
 *     number call           inputs outputs traits handler        log
 */
#define LONG  RMM_CALL_LONG
#define FLUSH RMM_CALL_INVALIDATES
#define CALLS(ROW, UNUSED) \
    ROW(0x00, VERSION,             1, 2, 0,     rmi_version,       LOG_ALWAYS) \
    ROW(0x01, GRANULE_DELEGATE,    1, 0, 0,     rmi_delegate,      LOG_ERRORS) \
    ROW(0x02, GRANULE_UNDELEGATE,  1, 0, 0,     rmi_undelegate,    LOG_ERRORS) \
    ROW(0x03, DATA_CREATE,         5, 0, 0,     rmi_data_create,   LOG_ERRORS) \
    ROW(0x04, DATA_CREATE_UNKNOWN, 3, 0, 0,     rmi_data_create_unknown, \
        LOG_ERRORS) \
    ROW(0x05, DATA_DESTROY,        2, 2, FLUSH, rmi_data_destroy,  LOG_ERRORS) \
    UNUSED(0x06) \
    ROW(0x07, REALM_ACTIVATE,      1, 0, 0,     rmi_realm_activate, \
        LOG_ALWAYS) \
    ROW(0x08, REALM_CREATE,        2, 0, LONG,  rmi_realm_create,  LOG_ALWAYS) \
    ROW(0x09, REALM_DESTROY,       1, 0, FLUSH, rmi_realm_destroy, LOG_ALWAYS) \
    ROW(0x0a, REC_CREATE,          3, 0, 0,     rmi_rec_create,    LOG_ALWAYS) \
    ROW(0x0b, REC_DESTROY,         1, 0, 0,     rmi_rec_destroy,   LOG_ALWAYS) \
    ROW(0x0c, REC_ENTER,           2, 0, 0,     rmi_rec_enter,     LOG_ERRORS) \
    ROW(0x0d, RTT_CREATE,          4, 0, 0,     rmi_rtt_create,    LOG_ERRORS) \
    ROW(0x0e, RTT_DESTROY,         3, 2, FLUSH, rmi_rtt_destroy,   LOG_ERRORS) \
    ROW(0x0f, RTT_MAP_UNPROTECTED, 4, 0, 0,     rmi_rtt_map_unprotected, \
        LOG_ERRORS) \
    UNUSED(0x10) \
    ROW(0x11, RTT_READ_ENTRY,      3, 4, 0,     rmi_rtt_read_entry, \
        LOG_ERRORS) \
    ROW(0x12, RTT_UNMAP_UNPROTECTED, 3, 1, FLUSH, rmi_rtt_unmap_unprotected, \
        LOG_ERRORS) \
    UNUSED(0x13) \
    ROW(0x14, PSCI_COMPLETE,       3, 0, 0,     rmi_psci_complete, LOG_ALWAYS) \
    ROW(0x15, FEATURES,            1, 1, 0,     rmi_features,      LOG_ALWAYS) \
    ROW(0x16, RTT_FOLD,            3, 1, FLUSH, rmi_rtt_fold,      LOG_ERRORS) \
    ROW(0x17, REC_AUX_COUNT,       1, 1, 0,     rmi_rec_aux_count, LOG_ALWAYS) \
    ROW(0x18, RTT_INIT_RIPAS,      3, 1, LONG,  rmi_rtt_init_ripas, \
        LOG_ERRORS) \
    ROW(0x19, RTT_SET_RIPAS,       4, 1, FLUSH, rmi_rtt_set_ripas, LOG_ERRORS)

#define ROW(number, call, inputs, outputs, traits, fn, log) \
    [number] = { #call, inputs, outputs, traits, fn, log },
#define UNUSED(number) [number] = { NULL },

static const struct RmiRow {
    const char *name;           /* NULL: RMI 1.0 does not use the number */
    unsigned inputs;
    unsigned outputs;
    unsigned traits;
    RmiFn *fn;
    RmmLogPolicy log;
} calls[] = {
    CALLS(ROW, UNUSED)
};

#undef ROW
#undef UNUSED

/* Each row has the number of its call, and each number one row. */
#define ROW(number, call, inputs, outputs, traits, fn, log) \
    _Static_assert(RMI_##call == RMI_FID(number), "number of RMI_" #call); \
    _Static_assert((inputs) <= RMI_INPUTS && (outputs) <= RMI_OUTPUTS, #call);
#define UNUSED(number)
CALLS(ROW, UNUSED)
#undef ROW
#undef UNUSED
#define ROW(number, ...) + (1u << (number))
#define UNUSED(number) + (1u << (number))
_Static_assert((0 CALLS(ROW, UNUSED)) == (1u << 0x1a) - 1,
               "a row for every number of RMI 1.0");
#undef ROW
#undef UNUSED

static void log_call(Rmm *rmm, const struct RmiRow *row, const RmiCall *c,
                     const RmmPe *pe)
{
    RmmLog entry = dispatch_begin(pe);  /* the REC that was entered, if any */

    entry.call = row->name;
    entry.inputs = &c->in[1];
    entry.num_inputs = row->inputs;
    entry.switched = pe->world == RMM_WORLD_REALM;
    entry.result = entry.switched ? 0 : pe->x[0];
    dispatch_end(rmm, RMM_RMI, row->log,
                 RMI_STATUS(entry.result) != RMI_SUCCESS, &entry);
}

/* NULL if RMI 1.0 has no call with that number. */
static const struct RmiRow *find_row(uint32_t fid)
{
    uint32_t number = fid - RMI_VERSION;

    return number < G_N_ELEMENTS(calls) && calls[number].fn ? &calls[number]
                                                            : NULL;
}

unsigned rmi_traits(uint32_t fid)
{
    const struct RmiRow *row = find_row(fid);

    return row ? row->traits : 0;
}

void rmi_handle(Rmm *rmm, RmmPe *pe)
{
    const struct RmiRow *row = find_row(pe_fid(pe));
    RmiCall c = { .rmm = rmm, .pe = pe };
    uint64_t x0;

    if (!row) {
        dispatch_refuse(rmm, pe, RMM_RMI);
        return;
    }
    memcpy(&c.in[1], &pe->x[1], row->inputs * sizeof(c.in[0]));
    x0 = row->fn(&c);
    if (pe->world == RMM_WORLD_HOST) {  /* else X0 to X30 are a REC's */
        pe->x[0] = x0;
        memcpy(&pe->x[1], &c.out[1],
               MAX(row->outputs, HOST_ZEROED) * sizeof(c.out[0]));
    }
    log_call(rmm, row, &c, pe);
}

static uint64_t rmi_version(RmiCall *c)
{
    c->out[1] = c->out[2] = RMM_ABI_VERSION_1_0;
    return c->in[1] == RMM_ABI_VERSION_1_0 ? RMI_SUCCESS : RMI_ERROR_INPUT;
}

static uint64_t rmi_features(RmiCall *c)
{
    const RmmPlatform *p = &c->rmm->platform;

    if (c->in[1] == RMI_FEATURES_EXT) {
        c->out[1] = (p->migration ? RMI_FEATURE_EXT_MIGRATION : 0) |
                    (p->mte ? RMI_FEATURE_EXT_MTE : 0);
        return RMI_SUCCESS;
    }
    if (c->in[1] != 0) {                /* the other registers are zero */
        return RMI_SUCCESS;
    }
    c->out[1] = (uint64_t)p->ipa_bits << RMI_FEATURE0_S2SZ_SHIFT |
                (uint64_t)p->num_bps << RMI_FEATURE0_NUM_BPS_SHIFT |
                (uint64_t)p->num_wps << RMI_FEATURE0_NUM_WPS_SHIFT |
                (p->lpa2 ? RMI_FEATURE0_LPA2 : 0) |
                RMI_FEATURE0_SHA_256 |
                (p->sha512 ? RMI_FEATURE0_SHA_512 : 0) |
                (uint64_t)p->num_lrs << RMI_FEATURE0_NUM_LRS_SHIFT |
                (uint64_t)RMM_MAX_RECS_ORDER
                << RMI_FEATURE0_MAX_RECS_ORDER_SHIFT;
    if (p->sve) {
        c->out[1] |= RMI_FEATURE0_SVE_EN |
                     (uint64_t)p->sve_vl << RMI_FEATURE0_SVE_VL_SHIFT;
    }
    if (p->pmu) {
        c->out[1] |= RMI_FEATURE0_PMU_EN | (uint64_t)p->pmu_num_ctrs
                     << RMI_FEATURE0_PMU_NUM_CTRS_SHIFT;
    }
    return RMI_SUCCESS;
}

static uint64_t rmi_delegate(RmiCall *c)
{
    return granule_delegate(c->rmm, c->in[1]);
}

static uint64_t rmi_undelegate(RmiCall *c)
{
    return granule_undelegate(c->rmm, c->in[1]);
}

static uint64_t rmi_realm_create(RmiCall *c)
{
    return realm_create(c->rmm, c->in[1], c->in[2]);
}

static uint64_t rmi_realm_activate(RmiCall *c)
{
    return realm_activate(c->rmm, c->in[1]);
}

static uint64_t rmi_realm_destroy(RmiCall *c)
{
    return realm_destroy(c->rmm, c->in[1]);
}

static uint64_t rmi_rec_create(RmiCall *c)
{
    return rec_create(c->rmm, c->in[1], c->in[2], c->in[3]);
}

static uint64_t rmi_rec_destroy(RmiCall *c)
{
    return rec_destroy(c->rmm, c->in[1]);
}

static uint64_t rmi_rec_aux_count(RmiCall *c)
{
    return rec_aux_count(c->rmm, c->in[1], &c->out[1]);
}

static uint64_t rmi_rec_enter(RmiCall *c)
{
    return rec_enter(c->rmm, c->pe, c->in[1], c->in[2]);
}

static uint64_t rmi_psci_complete(RmiCall *c)
{
    return psci_complete(c->rmm, c->in[1], c->in[2], c->in[3]);
}

/* The source is read once, before anything is checked against it. */
static uint64_t rmi_data_create(RmiCall *c)
{
    uint64_t rd = c->in[1], data = c->in[2], ipa = c->in[3];
    uint64_t src = c->in[4], flags = c->in[5];
    uint8_t buf[RMM_GRANULE_SIZE];
    RmmRealm *realm;
    uint64_t result;

    if (flags > RMI_DATA_MEASURE || src % RMM_GRANULE_SIZE ||
        !rmm_read_ns(c->rmm, buf, src, sizeof(buf))) {
        return RMI_ERROR_INPUT;
    }
    realm = realm_lock(c->rmm, rd);
    if (!realm) {
        return RMI_ERROR_INPUT;
    }
    result = rtt_data_create(realm, data, ipa, buf);
    if (result == RMI_SUCCESS) {
        measurement_data(realm, ipa, flags, buf);
    }
    realm_unlock(realm);
    return result;
}

/* The rest have the RD in X1. */
static uint64_t rmi_data_create_unknown(RmiCall *c)
{
    RmmRealm *realm = realm_lock(c->rmm, c->in[1]);
    uint64_t result;

    if (!realm) {
        return RMI_ERROR_INPUT;
    }
    result = rtt_data_create(realm, c->in[2], c->in[3], NULL);
    realm_unlock(realm);
    return result;
}

/* A granule that is out of the tables becomes the host's again. */
static void give_granule_back(Rmm *rmm, uint64_t pa, GranuleState state)
{
    rmm_tlb_sync(rmm);
    if (state == GRANULE_RTT) {
        walkers_wait(rmm);
    }
    granule_release(rmm, pa, state);
}

static uint64_t rmi_data_destroy(RmiCall *c)
{
    RmmRealm *realm = realm_lock(c->rmm, c->in[1]);
    uint64_t result;

    if (!realm) {
        return RMI_ERROR_INPUT;
    }
    result = rtt_data_destroy(realm, c->in[2], &c->out[1], &c->out[2]);
    realm_unlock(realm);
    if (result == RMI_SUCCESS) {
        give_granule_back(c->rmm, c->out[1], GRANULE_DATA);
    }
    return result;
}

static uint64_t rmi_rtt_create(RmiCall *c)
{
    RmmRealm *realm = realm_lock(c->rmm, c->in[1]);
    uint64_t result;

    if (!realm) {
        return RMI_ERROR_INPUT;
    }
    result = rtt_create(realm, c->in[2], c->in[3], c->in[4]);
    realm_unlock(realm);
    return result;
}

static uint64_t rmi_rtt_destroy(RmiCall *c)
{
    RmmRealm *realm = realm_lock(c->rmm, c->in[1]);
    uint64_t result;

    if (!realm) {
        return RMI_ERROR_INPUT;
    }
    result = rtt_destroy(realm, c->in[2], c->in[3], &c->out[1], &c->out[2]);
    realm_unlock(realm);
    if (result == RMI_SUCCESS) {
        give_granule_back(c->rmm, c->out[1], GRANULE_RTT);
    }
    return result;
}

static uint64_t rmi_rtt_fold(RmiCall *c)
{
    RmmRealm *realm = realm_lock(c->rmm, c->in[1]);
    uint64_t result;

    if (!realm) {
        return RMI_ERROR_INPUT;
    }
    result = rtt_fold(realm, c->in[2], c->in[3], &c->out[1]);
    realm_unlock(realm);
    if (result == RMI_SUCCESS) {
        give_granule_back(c->rmm, c->out[1], GRANULE_RTT);
    }
    return result;
}

static uint64_t rmi_rtt_read_entry(RmiCall *c)
{
    RmmRealm *realm = realm_lock(c->rmm, c->in[1]);
    uint64_t result;

    if (!realm) {
        return RMI_ERROR_INPUT;
    }
    result = rtt_read_entry(realm, c->in[2], c->in[3], &c->out[1]);
    realm_unlock(realm);
    return result;
}

static uint64_t rmi_rtt_map_unprotected(RmiCall *c)
{
    RmmRealm *realm = realm_lock(c->rmm, c->in[1]);
    uint64_t result;

    if (!realm) {
        return RMI_ERROR_INPUT;
    }
    result = rtt_map_unprotected(realm, c->in[2], c->in[3], c->in[4]);
    realm_unlock(realm);
    return result;
}

static uint64_t rmi_rtt_unmap_unprotected(RmiCall *c)
{
    RmmRealm *realm = realm_lock(c->rmm, c->in[1]);
    uint64_t result;

    if (!realm) {
        return RMI_ERROR_INPUT;
    }
    result = rtt_unmap_unprotected(realm, c->in[2], c->in[3], &c->out[1]);
    realm_unlock(realm);
    rmm_tlb_sync(c->rmm);
    return result;
}

static uint64_t rmi_rtt_init_ripas(RmiCall *c)
{
    RmmRealm *realm = realm_lock(c->rmm, c->in[1]);
    uint64_t result;

    if (!realm) {
        return RMI_ERROR_INPUT;
    }
    result = rtt_init_ripas(realm, c->in[2], c->in[3], &c->out[1]);
    realm_unlock(realm);
    return result;
}

/* B4.3.20.2: what the REC asked for, from where the host got to so far. */
static uint64_t set_ripas_for_rec(RmmRealm *realm, RmmRec *rec,
                                  uint64_t base, uint64_t top,
                                  uint64_t *out_top)
{
    uint64_t result;

    if (rec->state == REC_RUNNING) {
        return RMI_ERROR_REC;
    }
    if (rec->state != REC_RIPAS || base != rec->ripas.addr ||
        top > rec->ripas.top || top % RMM_GRANULE_SIZE) {
        return RMI_ERROR_INPUT;
    }
    result = rtt_set_ripas(realm, base, top, rec->ripas.value,
                           rec->ripas.change_destroyed, out_top);
    if (result == RMI_SUCCESS) {
        rec->ripas.addr = *out_top;
    }
    return result;
}

static uint64_t rmi_rtt_set_ripas(RmiCall *c)
{
    uint64_t rd = c->in[1], base = c->in[3], top = c->in[4];
    RmmRec *rec = top > base ? rec_lock(c->rmm, c->in[2]) : NULL;
    uint64_t result;

    if (!rec) {
        return RMI_ERROR_INPUT;
    }
    if (rec->realm->rd == rd) {
        result = set_ripas_for_rec(rec->realm, rec, base, top, &c->out[1]);
    } else if (granule_state(c->rmm, rd) != GRANULE_RD) {
        result = RMI_ERROR_INPUT;
    } else {
        result = RMI_ERROR_REC;         /* another Realm's REC */
    }
    rec_unlock(rec);
    rmm_tlb_sync(c->rmm);
    return result;
}
