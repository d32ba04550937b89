/*
 * The twin: a REC runs, RSI, PSCI and exceptions (see twin.h)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include "twin.h"

/* ---- exit and entry ---- */

static void write_exit(Twin *t, uint64_t run, const RmiRecExit *exit)
{
    memcpy(twin_ns(t, run + 0x800, 0x800), exit, sizeof(*exit));
}

static void leave_realm(Twin *t, TwinPe *pe, const RmiRecExit *exit)
{
    TwinRec *rec = pe->rec;

    memcpy(rec->x, pe->pe.x, sizeof(rec->x));
    rec->pc = pe->pe.pc;
    rec->running = false;
    if (rec->off) {
        rec->off = rec->runnable = false;
    }
    write_exit(t, rec->run, exit);
    memset(pe, 0, sizeof(*pe));         /* the host sees no register */
}

/* Data abort, translation fault: what the host has to resolve. */
static RmiRecExit fault_record(uint64_t ipa, int level)
{
    static const unsigned fsc[] = { 0x2b, 0x04, 0x05, 0x06, 0x07 };

    return (RmiRecExit) {
        .exit_reason = RMI_EXIT_SYNC,
        .esr = (0x24ull << 26) + fsc[level + 1],
        .hpfar = ipa / RMM_GRANULE_SIZE * 16,
    };
}

/* B4.3.14; the list registers' rules of A4.5.1. */
static bool gic_ok(const Twin *t, const RmiRecEnter *in)
{
    const RmmPlatform *p = &t->platform;
    unsigned i, j, bit;

    for (bit = 0; bit < 64; bit++) {
        bool known = (bit >= 1 && bit <= 7) || bit == 14;

        if ((in->gicv3_hcr >> bit & 1) && !known) {
            return false;
        }
    }
    for (i = 0; p->gic_prio_bits && i < p->num_lrs + 1u; i++) {
        uint64_t lr = in->gicv3_lrs[i], priority = lr >> 48 & 0xff;
        uint64_t intid = lr & 0xffffffff;

        if (lr >> 62 == 0) {
            continue;
        }
        if ((lr >> 61 & 1) || (lr >> 56 & 15) || (lr >> 45 & 7) ||
            (lr >> 42 & 7) || (lr >> 32 & 0x1ff) ||
            priority % (1u << (8 - p->gic_prio_bits)) ||
            (intid >= 1020 && intid < 8192) || intid > 65535) {
            return false;
        }
        for (j = 0; j < i; j++) {
            if (in->gicv3_lrs[j] >> 62 &&
                (in->gicv3_lrs[j] & 0xffffffff) == intid) {
                return false;
            }
        }
    }
    return true;
}

static uint64_t enter_refusal(const Twin *t, const TwinRec *rec,
                              const RmiRecEnter *in)
{
    if (rec->running) {
        return RMI_ERROR_REC;
    }
    if (rec->realm->state == TWIN_NEW) {
        return RMI_ERROR_REALM;
    }
    if (rec->realm->state == TWIN_SYSTEM_OFF) {
        return RMI_ERROR_REALM + 256;
    }
    if (!rec->runnable || rec->pending == TWIN_PENDING_PSCI ||
        !gic_ok(t, in)) {
        return RMI_ERROR_REC;
    }
    if (in->flags & RMI_ENTER_INJECT_SEA) {     /* EMUL_MMIO is ignored */
        return rec->abort_unprotected ? RMI_SUCCESS : RMI_ERROR_REC;
    }
    if (in->flags & RMI_ENTER_EMUL_MMIO && !rec->abort_emulatable) {
        return RMI_ERROR_REC;
    }
    return RMI_SUCCESS;
}

/* X@first to X16 are no outputs of an RSI call. */
static void clear_rest(uint64_t *x, unsigned first)
{
    while (first <= 16) {
        x[first++] = 0;
    }
}

static void finish_ripas(TwinRec *rec, const RmiRecEnter *in)
{
    bool reject = in->flags & RMI_ENTER_RIPAS_REJECT;

    clear_rest(rec->x, 3);
    rec->x[0] = RSI_SUCCESS;
    rec->x[1] = rec->ripas_addr;
    rec->x[2] = RSI_ACCEPT;
    if (reject && rec->ripas == RMI_RIPAS_RAM &&
        rec->ripas_addr < rec->ripas_top) {
        rec->x[2] = RSI_REJECT;
    }
    rec->pending = TWIN_PENDING_NONE;
}

/* False if the buffer is gone: then the REC has exited already. */
static bool finish_host_call(Twin *t, TwinRec *rec, uint64_t run,
                             const RmiRecEnter *in)
{
    RmiRecExit exit;
    bool is_empty;
    uint8_t *p;
    int level;

    p = twin_realm_memory(t, rec->realm, rec->host_call, &is_empty, &level);
    if (!p && !is_empty) {
        exit = fault_record(rec->host_call, level);
        write_exit(t, run, &exit);
        return false;
    }
    if (p) {
        memcpy(p + 8, in->gprs, sizeof(in->gprs));
    }
    clear_rest(rec->x, 1);
    rec->x[0] = RSI_SUCCESS;
    rec->pending = TWIN_PENDING_NONE;
    return true;
}

static void inject_abort(RmmPe *pe, uint64_t esr, uint64_t far, unsigned fsc)
{
    esr &= 0xfe001d40;                  /* EC, IL, SET, FnV, CM and WnR */
    esr |= 1ull << 26;                  /* taken from EL1 */
    pe->inject = (RmmInject) {
        .pending = true, .abort = true, .esr = esr + fsc, .far = far
    };
}

#define SEA 0x210                       /* EA, and the code for external */

/* A load that the host did: its value, as wide as the register. */
static uint64_t loaded(uint64_t esr, uint64_t value)
{
    bool sign = esr >> 21 & 1, wide = esr >> 15 & 1;

    switch (esr >> 22 & 3) {
    case 0:
        value = sign ? (uint64_t)(int8_t)value : (uint8_t)value;
        break;
    case 1:
        value = sign ? (uint64_t)(int16_t)value : (uint16_t)value;
        break;
    case 2:
        value = sign ? (uint64_t)(int32_t)value : (uint32_t)value;
        break;
    }
    return wide ? value : (uint32_t)value;
}

static void answer_abort(TwinPe *pe, TwinRec *rec, const RmiRecEnter *in)
{
    unsigned rt = rec->abort_esr >> 16 & 31;
    bool is_write = rec->abort_esr >> 6 & 1;

    if (in->flags & RMI_ENTER_INJECT_SEA || rec->abort_external) {
        inject_abort(&pe->pe, rec->abort_esr, rec->abort_far, SEA);
    } else if (in->flags & RMI_ENTER_EMUL_MMIO) {
        pe->pe.pc += 4;
        if (!is_write && rt != 31) {
            pe->pe.x[rt] = loaded(rec->abort_esr, in->gprs[0]);
        }
    }
    rec->abort_unprotected = rec->abort_emulatable = false;
    rec->abort_external = false;
}

uint64_t twin_rec_enter(Twin *t, TwinPe *pe, uint64_t rec_pa, uint64_t run)
{
    TwinRec *rec = twin_rec(t, rec_pa);
    const RmiRecEnter *in = twin_ns(t, run, sizeof(RmiRecRun));
    uint64_t result;

    if (run % RMM_GRANULE_SIZE || !in || !rec) {
        return RMI_ERROR_INPUT;
    }
    result = enter_refusal(t, rec, in);
    if (result != RMI_SUCCESS) {
        return result;
    }
    if (rec->pending == TWIN_PENDING_RIPAS) {
        finish_ripas(rec, in);
    }
    if (rec->pending == TWIN_PENDING_HOST_CALL &&
        !finish_host_call(t, rec, run, in)) {
        return RMI_SUCCESS;
    }
    rec->running = true;
    rec->run = run;
    rec->flags = in->flags;
    memset(pe, 0, sizeof(*pe));
    pe->rec = rec;
    pe->pe.world = RMM_WORLD_REALM;
    memcpy(pe->pe.x, rec->x, sizeof(rec->x));
    pe->pe.pc = rec->pc;
    answer_abort(pe, rec, in);
    return RMI_SUCCESS;
}

/* ---- RSI ---- */

/* @len bytes at @ipa, or NULL: *@x0 says why, or the REC has exited. */
static uint8_t *buffer(Twin *t, TwinPe *pe, uint64_t ipa, uint64_t align,
                       uint64_t *x0)
{
    TwinRealm *r = pe->rec->realm;
    RmiRecExit exit;
    bool is_empty;
    uint8_t *p;
    int level;

    *x0 = RSI_ERROR_INPUT;
    if (ipa % align || ipa >= twin_protected_top(r)) {
        return NULL;
    }
    p = twin_realm_memory(t, r, ipa, &is_empty, &level);
    if (!p && !is_empty) {
        exit = fault_record(ipa, level);
        pe->pe.pc -= 4;                 /* the SMC comes again */
        leave_realm(t, pe, &exit);
    }
    return p;
}

static uint64_t realm_config(Twin *t, TwinPe *pe)
{
    TwinRealm *r = pe->rec->realm;
    uint64_t x0, width = r->ipa_bits;
    uint8_t *p = buffer(t, pe, pe->pe.x[1], RMM_GRANULE_SIZE, &x0);

    if (!p) {
        return x0;
    }
    memset(p, 0, RMM_GRANULE_SIZE);
    memcpy(p, &width, 8);
    p[8] = r->hash_algo;
    memcpy(p + 0x200, r->rpv, 64);
    return RSI_SUCCESS;
}

static uint64_t host_call(Twin *t, TwinPe *pe)
{
    RmiRecExit exit = { .exit_reason = RMI_EXIT_HOST_CALL };
    uint64_t ipa = pe->pe.x[1], x0;
    uint8_t *p = buffer(t, pe, ipa, 256, &x0);

    if (!p) {
        return x0;
    }
    memcpy(&exit.imm, p, 2);
    memcpy(exit.gprs, p + 8, sizeof(exit.gprs));
    pe->rec->pending = TWIN_PENDING_HOST_CALL;
    pe->rec->host_call = ipa;
    leave_realm(t, pe, &exit);
    return 0;
}

static bool range_ok(const TwinRealm *r, uint64_t base, uint64_t top)
{
    return base % RMM_GRANULE_SIZE == 0 && top % RMM_GRANULE_SIZE == 0 &&
           top > base && top <= twin_protected_top(r);
}

static uint64_t ipa_state_set(Twin *t, TwinPe *pe)
{
    TwinRec *rec = pe->rec;
    const uint64_t *x = pe->pe.x;
    RmiRecExit exit = { .exit_reason = RMI_EXIT_RIPAS_CHANGE };
    unsigned ripas = x[3] % 256;

    if (!range_ok(rec->realm, x[1], x[2]) ||
        (ripas != RMI_RIPAS_EMPTY && ripas != RMI_RIPAS_RAM)) {
        return RSI_ERROR_INPUT;
    }
    rec->ripas_addr = exit.ripas_base = x[1];
    rec->ripas_top = exit.ripas_top = x[2];
    rec->ripas = exit.ripas_value = ripas;
    rec->change_destroyed = x[4] & 1;
    rec->pending = TWIN_PENDING_RIPAS;
    leave_realm(t, pe, &exit);
    return 0;
}

static uint64_t ipa_state_get(TwinPe *pe)
{
    TwinRealm *r = pe->rec->realm;
    uint64_t *x = pe->pe.x, base = x[1], top = x[2], end;
    TwinWalk w;

    if (!range_ok(r, base, top)) {
        return RSI_ERROR_INPUT;
    }
    w = twin_walk(r, base, 3);
    x[2] = w.entry->ripas;
    end = w.table->ipa + (w.index + 1) * twin_bytes(w.level);
    while (++w.index < 512 && end < top &&
           w.table->entry[w.index].kind != TWIN_TABLE &&
           w.table->entry[w.index].ripas == x[2]) {
        end += twin_bytes(w.level);
    }
    x[1] = MIN(end, top);
    return RSI_SUCCESS;
}

static uint64_t measurement_extend(TwinPe *pe)
{
    TwinRealm *r = pe->rec->realm;
    const uint64_t *x = pe->pe.x;
    size_t old = r->hash_algo == RMI_HASH_SHA_512 ? 64 : 32;
    uint8_t text[128];

    if (x[1] < 1 || x[1] > 4 || x[2] > 64) {
        return RSI_ERROR_INPUT;
    }
    memcpy(text, r->measurement[x[1]], old);
    memcpy(text + old, &x[3], x[2]);
    twin_hash(r, text, old + x[2], r->measurement[x[1]]);
    return RSI_SUCCESS;
}

/* There is no key, so there is never a token to go on with. */
static uint64_t token_continue(TwinPe *pe)
{
    const uint64_t *x = pe->pe.x;

    if (x[1] % RMM_GRANULE_SIZE || x[1] >= twin_protected_top(pe->rec->realm)
        || x[2] >= RMM_GRANULE_SIZE || x[3] > RMM_GRANULE_SIZE - x[2]) {
        return RSI_ERROR_INPUT;
    }
    return RSI_ERROR_STATE;
}

static uint64_t rsi(Twin *t, TwinPe *pe, uint64_t fid)
{
    uint64_t *x = pe->pe.x, wanted = x[1];

    switch (fid) {
    case RSI_VERSION:
        x[1] = x[2] = RMM_ABI_VERSION_1_0;
        return wanted == RMM_ABI_VERSION_1_0 ? RSI_SUCCESS : RSI_ERROR_INPUT;
    case RSI_FEATURES:
        x[1] = 0;
        return RSI_SUCCESS;
    case RSI_MEASUREMENT_READ:
        if (wanted > 4) {
            return RSI_ERROR_INPUT;
        }
        memcpy(&x[1], pe->rec->realm->measurement[wanted], 64);
        return RSI_SUCCESS;
    case RSI_MEASUREMENT_EXTEND:
        return measurement_extend(pe);
    case RSI_ATTESTATION_TOKEN_INIT:
        return RSI_ERROR_UNKNOWN;
    case RSI_ATTESTATION_TOKEN_CONTINUE:
        return token_continue(pe);
    case RSI_REALM_CONFIG:
        return realm_config(t, pe);
    case RSI_IPA_STATE_SET:
        return ipa_state_set(t, pe);
    case RSI_IPA_STATE_GET:
        return ipa_state_get(pe);
    default:
        return host_call(t, pe);
    }
}

/* Outputs of a call that is refused are zero, as is what is no output. */
static void clear_registers(TwinPe *pe, uint64_t fid, uint64_t x0)
{
    static const unsigned outputs[] = { 2, 1, 8, 0, 1, 1, 0, 2, 2, 0 };
    bool has_outputs = x0 == RSI_SUCCESS || fid == RSI_VERSION;

    clear_rest(pe->pe.x, has_outputs ? outputs[fid - RSI_VERSION] + 1 : 1);
}

/* ---- PSCI ---- */

static void exit_psci(Twin *t, TwinPe *pe, uint64_t fid, unsigned num_args,
                      const uint64_t *arg)
{
    RmiRecExit exit = { .exit_reason = RMI_EXIT_PSCI, .gprs = { fid } };

    memcpy(&exit.gprs[1], &arg[1], num_args * sizeof(*arg));
    leave_realm(t, pe, &exit);
}

/* Ask the host, who knows which granule is the REC. */
static uint64_t ask_host(Twin *t, TwinPe *pe, uint64_t fid, unsigned num_args,
                         const uint64_t *arg)
{
    TwinRec *rec = pe->rec;

    rec->pending = TWIN_PENDING_PSCI;
    rec->psci[0] = fid;
    memset(&rec->psci[1], 0, 3 * sizeof(*arg));
    memcpy(&rec->psci[1], &arg[1], num_args * sizeof(*arg));
    exit_psci(t, pe, fid, num_args, arg);
    return 0;
}

/* As MPIDR_EL1 reads: bit 31 is one there, Aff3 is above it. */
bool twin_psci_mpidr(uint64_t mpidr, uint64_t *index)
{
    uint64_t aff3 = mpidr >> 32, rest = mpidr & 0x7fffffff;

    return aff3 < 256 && rest < 1 << 24 &&
           twin_mpidr(rest + (aff3 << 24), index);
}

/* The Realm has a REC of that name. */
static bool target(const TwinRealm *r, uint64_t mpidr, uint64_t *index)
{
    return twin_psci_mpidr(mpidr, index) && *index < r->recs->len &&
           ((TwinRec *)r->recs->pdata[*index])->exists;
}

static uint64_t cpu_on(Twin *t, TwinPe *pe, uint64_t fid, const uint64_t *arg)
{
    TwinRealm *r = pe->rec->realm;
    uint64_t index;

    if (arg[2] >= twin_protected_top(r)) {
        return PSCI_INVALID_ADDRESS;
    }
    if (!target(r, arg[1], &index)) {
        return PSCI_INVALID_PARAMETERS;
    }
    return index == pe->rec->index ? PSCI_ALREADY_ON
                                   : ask_host(t, pe, fid, 3, arg);
}

static uint64_t affinity_info(Twin *t, TwinPe *pe, uint64_t fid,
                              const uint64_t *arg)
{
    TwinRealm *r = pe->rec->realm;
    uint64_t index;

    if (arg[2] & 0xffffffff || !target(r, arg[1], &index)) {
        return PSCI_INVALID_PARAMETERS;
    }
    return index == pe->rec->index ? PSCI_AFFINITY_ON
                                   : ask_host(t, pe, fid, 2, arg);
}

static uint64_t psci_features(uint64_t fid)
{
    static const uint64_t known[] = {
        0x80000000, 0x84000000, 0x84000001, 0xc4000001, 0x84000002,
        0x84000003, 0xc4000003, 0x84000004, 0xc4000004, 0x84000008,
        0x84000009, 0x8400000a,
    };
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(known); i++) {
        if (fid == known[i]) {
            return PSCI_SUCCESS;
        }
    }
    return PSCI_NOT_SUPPORTED;
}

static uint64_t psci(Twin *t, TwinPe *pe, uint64_t fid)
{
    uint64_t arg[4], *x = pe->pe.x;
    unsigned i;

    for (i = 0; i < 4; i++) {
        arg[i] = fid & 0x40000000 ? x[i] : x[i] & 0xffffffff;
    }
    switch (fid) {
    case 0x80000000:                    /* SMCCC_VERSION */
        return SMCCC_VERSION_1_2;
    case 0x80000001:                    /* SMCCC_ARCH_FEATURES */
        return arg[1] == 0x80000000 || arg[1] == 0x80000001
               ? 0 : SMCCC_NOT_SUPPORTED;
    case 0x84000000:
        return PSCI_VERSION_1_1;
    case 0x84000001:                    /* CPU_SUSPEND */
    case 0xc4000001:
        x[0] = PSCI_SUCCESS;
        exit_psci(t, pe, fid, 0, arg);
        return 0;
    case 0x84000002:                    /* CPU_OFF */
        pe->rec->off = true;
        exit_psci(t, pe, fid, 0, arg);
        return 0;
    case 0x84000003:
    case 0xc4000003:
        return cpu_on(t, pe, fid, arg);
    case 0x84000004:
    case 0xc4000004:
        return affinity_info(t, pe, fid, arg);
    case 0x84000008:                    /* SYSTEM_OFF, SYSTEM_RESET */
    case 0x84000009:
        pe->rec->realm->state = TWIN_SYSTEM_OFF;
        exit_psci(t, pe, fid, 0, arg);
        return 0;
    case 0x8400000a:
        return psci_features(arg[1]);
    default:
        return SMCCC_NOT_SUPPORTED;
    }
}

void twin_rsi_or_psci(Twin *t, TwinPe *pe, uint64_t fid)
{
    bool is_rsi = fid >= RSI_VERSION && fid <= RSI_HOST_CALL;
    uint64_t x0 = is_rsi ? rsi(t, pe, fid) : psci(t, pe, fid);

    if (pe->pe.world == RMM_WORLD_REALM) {
        pe->pe.x[0] = x0;
        if (is_rsi) {
            clear_registers(pe, fid, x0);
        }
    }
}

/* B4.3.8 */
uint64_t twin_psci_complete(Twin *t, uint64_t calling_pa, uint64_t target_pa,
                            uint64_t status)
{
    TwinRec *calling = twin_rec(t, calling_pa);
    TwinRec *target = twin_rec(t, target_pa);
    uint64_t index;
    bool on;

    if (!calling || !target || calling == target ||
        calling->pending != TWIN_PENDING_PSCI ||
        calling->realm != target->realm ||
        !twin_psci_mpidr(calling->psci[1], &index) || index != target->index) {
        return RMI_ERROR_INPUT;
    }
    on = (calling->psci[0] & 0xff) == 3;
    if (status != PSCI_SUCCESS &&
        !(status == PSCI_DENIED && on && !target->runnable)) {
        return RMI_ERROR_INPUT;
    }
    if (!on) {
        calling->x[0] = target->runnable ? PSCI_AFFINITY_ON
                                         : PSCI_AFFINITY_OFF;
    } else if (status == PSCI_DENIED) {
        calling->x[0] = PSCI_DENIED;
    } else if (target->runnable) {
        calling->x[0] = PSCI_ALREADY_ON;
    } else {
        calling->x[0] = PSCI_SUCCESS;
        memset(target->x, 0, sizeof(target->x));
        target->x[0] = calling->psci[3];
        target->pc = calling->psci[2];
        target->runnable = true;
    }
    calling->x[1] = calling->x[2] = calling->x[3] = 0;
    calling->pending = TWIN_PENDING_NONE;
    return RMI_SUCCESS;
}

void twin_answer_who_waits(const TwinRec *gone)
{
    uint64_t index;
    unsigned i;

    for (i = 0; i < gone->realm->recs->len; i++) {
        TwinRec *rec = gone->realm->recs->pdata[i];

        if (rec->exists && rec->pending == TWIN_PENDING_PSCI &&
            twin_psci_mpidr(rec->psci[1], &index) && index == gone->index) {
            memset(rec->x, 0, 4 * sizeof(rec->x[0]));
            rec->x[0] = PSCI_INVALID_PARAMETERS;
            rec->pending = TWIN_PENDING_NONE;
        }
    }
}

/* ---- exceptions (A4.3.4, A5.2.3) ---- */

static void undefined(RmmPe *pe)
{
    pe->inject = (RmmInject) { .pending = true, .esr = 0x2000000 };
}

static uint64_t reg(const RmmPe *pe, unsigned n)
{
    return n == 31 ? 0 : pe->x[n];
}

/* EC, SET, FnV, EA and FSC are the host's to see. */
static void exit_abort(Twin *t, TwinPe *pe, uint64_t esr, uint64_t hpfar)
{
    RmiRecExit exit = {
        .exit_reason = RMI_EXIT_SYNC, .esr = esr & 0xfc001e3f, .hpfar = hpfar
    };

    leave_realm(t, pe, &exit);
}

static void exit_unprotected(Twin *t, TwinPe *pe, const RmmSyndrome *s)
{
    RmiRecExit exit = {
        .exit_reason = RMI_EXIT_SYNC, .hpfar = s->hpfar & 0xffffffffff0,
    };
    bool isv = s->esr >> 24 & 1, is_write = s->esr >> 6 & 1;
    unsigned size = s->esr >> 22 & 3;

    pe->rec->abort_unprotected = true;
    pe->rec->abort_emulatable = isv;
    pe->rec->abort_esr = s->esr;
    pe->rec->abort_far = s->far;
    if (isv) {
        /* EC, ISV, SAS, SF, EA, WnR and FSC. */
        exit.esr = s->esr & 0xfdc0827f;
        exit.far = s->far & 0xfff;
        if (is_write) {
            exit.gprs[0] = reg(&pe->pe, s->esr >> 16 & 31);
            exit.gprs[0] &= size == 3 ? UINT64_MAX : (1ull << (8 << size)) - 1;
        }
    } else {
        exit.esr = s->esr & 0xfe001e3f; /* with IL */
    }
    leave_realm(t, pe, &exit);
}

static void abort_taken(Twin *t, TwinPe *pe, const RmmSyndrome *s, bool data)
{
    TwinRealm *r = pe->rec->realm;
    uint64_t ipa = (s->hpfar & 0xffffffffff0) << 8;
    unsigned fsc = s->esr & 0x3f;

    if (fsc >= 0x10 && fsc <= 0x17) {   /* external */
        if ((s->esr >> 11 & 3) == 0) {  /* recoverable: also the Realm's */
            pe->rec->abort_external = true;
            pe->rec->abort_esr = s->esr;
            pe->rec->abort_far = s->far;
        }
        exit_abort(t, pe, s->esr, 0);
    } else if (ipa >= twin_ipa_top(r)) {
        inject_abort(&pe->pe, s->esr, s->far,
                     s->stage1_level == -1 ? 0x29 : s->stage1_level);
    } else if (ipa >= twin_protected_top(r)) {
        if (data) {
            exit_unprotected(t, pe, s);
        } else {
            inject_abort(&pe->pe, s->esr, s->far, SEA);
        }
    } else if (twin_walk(r, ipa, 3).entry->ripas == RMI_RIPAS_EMPTY) {
        inject_abort(&pe->pe, s->esr, s->far, SEA);
    } else {
        exit_abort(t, pe, s->esr, s->hpfar & 0xffffffffff0);
    }
}

static void wait_for(Twin *t, TwinPe *pe, uint64_t esr)
{
    static const uint64_t trap[] = {
        RMI_ENTER_TRAP_WFI, RMI_ENTER_TRAP_WFE,
        RMI_ENTER_TRAP_WFI, RMI_ENTER_TRAP_WFE,     /* WFIT, WFET */
    };
    RmiRecExit exit = { .exit_reason = RMI_EXIT_SYNC };

    pe->pe.pc += 4;
    if (pe->rec->flags & trap[esr & 3]) {
        exit.esr = esr & 0xfc000003;
        if (esr & 2) {
            exit.gprs[0] = reg(&pe->pe, esr >> 5 & 31);
        }
        leave_realm(t, pe, &exit);
    }
}

/* What the machine traps is hidden; but interrupts are the host's to make. */
static void system_register(Twin *t, TwinPe *pe, uint64_t esr)
{
    unsigned op0 = esr >> 20 & 3, op1 = esr >> 14 & 7, crn = esr >> 10 & 15;
    unsigned crm = esr >> 1 & 15, op2 = esr >> 17 & 7, rt = esr >> 5 & 31;
    bool is_icc = op0 == 3 && op1 == 0 && crn == 12 && crm == 11;
    bool is_read = esr & 1;
    RmiRecExit exit = { .exit_reason = RMI_EXIT_SYNC,
                        .esr = esr & 0xfe3fffff,
                        .gprs = { reg(&pe->pe, rt) } };

    if (crn == 11 || crn == 15) {       /* IMPLEMENTATION DEFINED */
        undefined(&pe->pe);
        return;
    }
    pe->pe.pc += 4;
    if (is_icc && !is_read && (op2 == 1 || op2 >= 5)) {
        leave_realm(t, pe, &exit);
    } else if (is_read && rt != 31) {
        pe->pe.x[rt] = 0;
    }
}

/* A4.3.10: EC, IDS, AET, EA and DFSC of an SError; others have no syndrome. */
static void exit_interrupt(Twin *t, TwinPe *pe, const RmmSyndrome *s)
{
    RmiRecExit exit = { .exit_reason = RMI_EXIT_IRQ };

    if (s->kind == RMM_EXCEPTION_FIQ) {
        exit.exit_reason = RMI_EXIT_FIQ;
    } else if (s->kind == RMM_EXCEPTION_SERROR) {
        exit.exit_reason = RMI_EXIT_SERROR;
        exit.esr = s->esr & 0xfd001e3f;
    }
    leave_realm(t, pe, &exit);
}

void twin_exception(Twin *t, TwinPe *pe, const RmmSyndrome *s)
{
    if (s->kind != RMM_EXCEPTION_SYNC) {
        exit_interrupt(t, pe, s);
        return;
    }
    switch (s->esr >> 26 & 63) {
    case 0x01:
        wait_for(t, pe, s->esr);
        break;
    case 0x18:
        system_register(t, pe, s->esr);
        break;
    case 0x20:
        abort_taken(t, pe, s, false);
        break;
    case 0x24:
        abort_taken(t, pe, s, true);
        break;
    default:
        undefined(&pe->pe);
        break;
    }
}

void twin_interrupt(Twin *t, TwinPe *pe)
{
    exit_interrupt(t, pe, &(RmmSyndrome) { .kind = RMM_EXCEPTION_IRQ });
}
