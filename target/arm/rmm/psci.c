/*
 * PSCI and SMCCC as a Realm sees them
 *
 * Purpose: the calls that the RMM answers itself, and those that need the
 * host (RMM 1.0, A4.4.1 and B6): CPU_ON and AFFINITY_INFO exit, and the host
 * finishes them with RMI_PSCI_COMPLETE, so that the RMM learns which granule
 * is the target REC.
 *
 * Invariant: a REC that waits for PSCI_COMPLETE still has the call in X0 to
 * X3.
 *
 * Lock rule: the Realm's lock covers the states of Realm and RECs.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include "dispatch.h"
#include "rec.h"
#include "rmm-internal.h"

/* A handler returns X0, or has made the REC exit and returns anything. */
typedef uint64_t PsciFn(RmmPe *pe, RmmRec *rec, const uint64_t arg[4]);

static PsciFn smccc_version, smccc_arch_features;
static PsciFn psci_version, psci_features, psci_cpu_suspend, psci_cpu_off;
static PsciFn psci_cpu_on, psci_affinity_info, psci_system_off;

#define PSCI_64BIT (1u << 30)
#define PSCI_INPUTS 3

/*
 * Every call gives X0 and leaves the other registers.  `both`: also as
 * SMC64.  `feature`: PSCI_FEATURES knows it.  A call that asks whether there is
 * a call is not logged: its "no" is no error.
 *
 *      number call      inputs both  feature handler            log
 */
#define PSCI_CALLS(ROW, ABSENT) \
    ROW(0,  VERSION,        0, false, true,  psci_version,       LOG_ALWAYS) \
    ROW(1,  CPU_SUSPEND,    3, true,  true,  psci_cpu_suspend,   LOG_ERRORS) \
    ROW(2,  CPU_OFF,        0, false, true,  psci_cpu_off,       LOG_ALWAYS) \
    ROW(3,  CPU_ON,         3, true,  true,  psci_cpu_on,        LOG_ALWAYS) \
    ROW(4,  AFFINITY_INFO,  2, true,  true,  psci_affinity_info, LOG_ERRORS) \
    ABSENT(5,  MIGRATE) \
    ABSENT(6,  MIGRATE_INFO_TYPE) \
    ABSENT(7,  MIGRATE_INFO_UP_CPU) \
    ROW(8,  SYSTEM_OFF,     0, false, true,  psci_system_off,    LOG_ALWAYS) \
    ROW(9,  SYSTEM_RESET,   0, false, true,  psci_system_off,    LOG_ALWAYS) \
    ROW(10, FEATURES,       1, false, true,  psci_features,      LOG_NEVER) \
    ABSENT(11, CPU_FREEZE) \
    ABSENT(12, CPU_DEFAULT_SUSPEND) \
    ABSENT(13, NODE_HW_STATE) \
    ABSENT(14, SYSTEM_SUSPEND) \
    ABSENT(15, SET_SUSPEND_MODE) \
    ABSENT(16, STAT_RESIDENCY) \
    ABSENT(17, STAT_COUNT) \
    ABSENT(18, SYSTEM_RESET2) \
    ABSENT(19, MEM_PROTECT) \
    ABSENT(20, MEM_PROTECT_CHECK_RANGE)
#define SMCCC_CALLS(ROW) \
    ROW(0,  SMCCC_VERSION,  0, false, true,  smccc_version,      LOG_ALWAYS) \
    ROW(1,  SMCCC_ARCH_FEATURES, 1, false, false, smccc_arch_features, \
        LOG_NEVER)

#define ROW(number, call, inputs, both, feature, fn, log) \
    [number] = { #call, inputs, both, feature, fn, log },
#define ABSENT(number, call) [number] = { #call },

typedef struct PsciRow {
    const char *name;
    unsigned inputs;
    bool both;
    bool feature;
    PsciFn *fn;                 /* NULL: PSCI 1.1 has it, RMM 1.0 does not */
    RmmLogPolicy log;
} PsciRow;

static const PsciRow psci_calls[] = {
    PSCI_CALLS(ROW, ABSENT)
};

static const PsciRow smccc_calls[] = {
    SMCCC_CALLS(ROW)
};

#undef ROW
#undef ABSENT

/* Each row has the number of its call, and each number one row. */
#define ROW(number, call, inputs, both, feature, fn, log) \
    _Static_assert((PSCI_FID_##call & ~PSCI_64BIT) == PSCI_FID_32(number), \
                   "number of PSCI_" #call); \
    _Static_assert((inputs) <= PSCI_INPUTS, #call);
#define ABSENT(number, call)
PSCI_CALLS(ROW, ABSENT)
#undef ROW
#undef ABSENT
#define ROW(number, ...) + (1u << (number))
#define ABSENT ROW
_Static_assert((0 PSCI_CALLS(ROW, ABSENT)) == (1u << 21) - 1,
               "a row for every function of PSCI 1.1");
_Static_assert((0 SMCCC_CALLS(ROW)) == 3,
               "a row for SMCCC_VERSION and one for SMCCC_ARCH_FEATURES");
#undef ROW
#undef ABSENT

/* NULL if a Realm has no such call. */
static const PsciRow *find_row(uint64_t fid)
{
    uint64_t smccc = fid - SMCCC_FID_VERSION;
    uint64_t psci = (fid & ~(uint64_t)PSCI_64BIT) - PSCI_FID_32(0);
    const PsciRow *row;

    if (smccc < G_N_ELEMENTS(smccc_calls)) {
        return &smccc_calls[smccc];
    }
    if (psci >= G_N_ELEMENTS(psci_calls)) {
        return NULL;
    }
    row = &psci_calls[psci];
    return row->fn && (row->both || !(fid & PSCI_64BIT)) ? row : NULL;
}

static void log_call(Rmm *rmm, const PsciRow *row, const RmmPe *pe,
                     RmmLog *entry)
{
    entry->call = row->name;
    entry->switched = pe->world == RMM_WORLD_HOST;
    entry->result = entry->switched ? 0 : pe->x[0];
    dispatch_end(rmm, RMM_PSCI, row->log, (int64_t)entry->result < 0, entry);
}

void psci_handle(Rmm *rmm, RmmPe *pe)
{
    uint32_t fid = pe_fid(pe);
    const PsciRow *row = find_row(fid);
    RmmLog entry = dispatch_begin(pe);
    uint64_t arg[4] = { fid };
    uint64_t x0;
    unsigned n;

    if (!row) {
        dispatch_refuse(rmm, pe, RMM_PSCI);
        return;
    }
    for (n = 1; n <= row->inputs; n++) {
        arg[n] = fid & PSCI_64BIT ? pe->x[n] : (uint32_t)pe->x[n];
    }
    x0 = row->fn(pe, pe_rec(pe), arg);
    if (pe->world == RMM_WORLD_REALM) { /* else the REC has exited */
        pe->x[0] = x0;
    }
    log_call(rmm, row, pe, &entry);
}

static void exit_psci(RmmPe *pe, const uint64_t arg[4], RecState state)
{
    RmiRecExit exit = { .exit_reason = RMI_EXIT_PSCI };

    memcpy(exit.gprs, arg, 4 * sizeof(*arg));
    rec_exit_to(pe, &exit, state);
}

static uint64_t smccc_version(RmmPe *pe, RmmRec *rec, const uint64_t arg[4])
{
    return SMCCC_VERSION_1_2;
}

static uint64_t smccc_arch_features(RmmPe *pe, RmmRec *rec,
                                    const uint64_t arg[4])
{
    /* Architecture calls only; the two above are all there are. */
    return (uint32_t)arg[1] == SMCCC_FID_VERSION ||
           (uint32_t)arg[1] == SMCCC_FID_ARCH_FEATURES ? 0
                                                       : SMCCC_NOT_SUPPORTED;
}

static uint64_t psci_version(RmmPe *pe, RmmRec *rec, const uint64_t arg[4])
{
    return PSCI_VERSION_1_1;
}

static uint64_t psci_features(RmmPe *pe, RmmRec *rec, const uint64_t arg[4])
{
    const PsciRow *row = find_row(arg[1]);

    return row && row->feature ? PSCI_SUCCESS : PSCI_NOT_SUPPORTED;
}

/* The host need not know where the Realm wakes up, and with what value. */
static uint64_t psci_cpu_suspend(RmmPe *pe, RmmRec *rec,
                                 const uint64_t arg[4])
{
    const uint64_t shown[4] = { arg[0] };

    pe->x[0] = PSCI_SUCCESS;            /* what the Realm sees afterwards */
    exit_psci(pe, shown, REC_READY);
    return 0;
}

static uint64_t psci_cpu_off(RmmPe *pe, RmmRec *rec, const uint64_t arg[4])
{
    exit_psci(pe, arg, REC_OFF);
    return 0;
}

/* X0 to X3 stay in the REC for psci_complete. */
static uint64_t exit_for_host(RmmPe *pe, const uint64_t arg[4])
{
    memcpy(pe->x, arg, 4 * sizeof(*arg));
    exit_psci(pe, arg, REC_PSCI);
    return 0;
}

/* The REC's index, if the Realm has such a REC. */
static bool target_index(RmmRec *rec, uint64_t mpidr, uint32_t *index)
{
    RmmRealm *realm = rec->realm;
    bool ok;

    rmm_mutex_lock(&realm->lock);
    ok = rec_affinity_to_index(mpidr, index) && rec_find_index(realm, *index);
    rmm_mutex_unlock(&realm->lock);
    return ok;
}

static uint64_t psci_cpu_on(RmmPe *pe, RmmRec *rec, const uint64_t arg[4])
{
    uint32_t index;

    if (arg[2] >= realm_protected_top(rec->realm)) {
        return PSCI_INVALID_ADDRESS;
    }
    if (!target_index(rec, arg[1], &index)) {
        return PSCI_INVALID_PARAMETERS;
    }
    if (index == rec->index) {
        return PSCI_ALREADY_ON;
    }
    return exit_for_host(pe, arg);
}

static uint64_t psci_affinity_info(RmmPe *pe, RmmRec *rec,
                                   const uint64_t arg[4])
{
    uint32_t index;

    if ((uint32_t)arg[2] != 0 || !target_index(rec, arg[1], &index)) {
        return PSCI_INVALID_PARAMETERS;
    }
    if (index == rec->index) {
        return PSCI_AFFINITY_ON;
    }
    return exit_for_host(pe, arg);
}

/* SYSTEM_RESET as well: a Realm does not start twice. */
static uint64_t psci_system_off(RmmPe *pe, RmmRec *rec, const uint64_t arg[4])
{
    RmmRealm *realm = rec->realm;

    rmm_mutex_lock(&realm->lock);
    if (realm_may_run(realm->state)) {  /* else another REC was first */
        realm_set_state(realm, REALM_SYSTEM_OFF);
    }
    rmm_mutex_unlock(&realm->lock);
    exit_psci(pe, arg, REC_READY);
    return 0;
}

/* As a CPU comes out of reset (PSCI 1.1, 6.4). */
static void start_target(RmmRec *target, uint64_t entry, uint64_t context)
{
    rec_renew_context(target);
    memset(target->x, 0, sizeof(target->x));
    target->x[0] = context;
    target->pc = entry;
    rec_set_state(target, REC_READY);
}

/* What the caller of CPU_ON or AFFINITY_INFO sees. */
static uint64_t finish_call(const RmmRec *calling, RmmRec *target,
                            uint64_t status)
{
    if ((calling->x[0] | PSCI_64BIT) == PSCI_FID_AFFINITY_INFO) {
        return target->state == REC_OFF ? PSCI_AFFINITY_OFF
                                        : PSCI_AFFINITY_ON;
    }
    if (status == PSCI_DENIED) {
        return PSCI_DENIED;
    }
    if (target->state != REC_OFF) {
        return PSCI_ALREADY_ON;
    }
    start_target(target, calling->x[2], calling->x[3]);
    return PSCI_SUCCESS;
}

/* The host may deny to turn on what is off, and nothing else. */
static bool status_permitted(const RmmRec *calling, const RmmRec *target,
                             uint64_t status)
{
    if (status == PSCI_DENIED) {
        return (calling->x[0] | PSCI_64BIT) == PSCI_FID_CPU_ON &&
               target->state == REC_OFF;
    }
    return status == PSCI_SUCCESS;
}

/*
 * RmmPlatform.as_tf_rmm: the host is told that it may not deny to turn on what
 * is on, and the caller that it is.
 */
static bool refused_but_done(const RmmRec *calling, const RmmRec *target,
                             uint64_t status)
{
    return calling->rmm->platform.as_tf_rmm && status == PSCI_DENIED &&
           (calling->x[0] | PSCI_64BIT) == PSCI_FID_CPU_ON &&
           target->state != REC_OFF;
}

/* B4.3.7.2; a refusal leaves the request pending. */
uint64_t psci_complete(Rmm *rmm, uint64_t calling_pa, uint64_t target_pa,
                       uint64_t status)
{
    RmmRec *calling = rec_lock(rmm, calling_pa), *target;
    uint64_t result = RMI_SUCCESS;
    uint32_t index;

    if (!calling) {
        return RMI_ERROR_INPUT;
    }
    target = rec_find(calling->realm, target_pa);
    if (!target || target == calling || calling->state != REC_PSCI ||
        !rec_affinity_to_index(calling->x[1], &index) ||
        index != target->index) {
        result = RMI_ERROR_INPUT;
    } else if (refused_but_done(calling, target, status)) {
        rec_answer_psci(calling, PSCI_ALREADY_ON);
        result = RMI_ERROR_INPUT;
    } else if (!status_permitted(calling, target, status)) {
        result = RMI_ERROR_INPUT;
    } else if (realm_is_frozen(calling->realm->state)) {
        result = RMI_ERROR_REALM;
    } else {
        rec_answer_psci(calling, finish_call(calling, target, status));
    }
    rec_unlock(calling);
    return result;
}
