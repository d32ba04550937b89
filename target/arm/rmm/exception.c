/*
 * Exceptions that a Realm takes to the RMM (RMM 1.0, A4.3.4 and A5.2.3)
 *
 * Purpose: rmm_exception.  It decides who gets an exception: the host (the REC
 * exits), the Realm (the library injects it), or nobody (the library emulates
 * the instruction).
 *
 *   data abort    unprotected             host, may be emulated
 *                 protected, EMPTY        Realm: external abort
 *                 protected, otherwise    host, not emulated
 *   fetch abort   unprotected or EMPTY    Realm: external abort
 *                 protected, otherwise    host
 *   either        beyond the IPA width    Realm: address size fault
 *                 external, recoverable   host, and Realm: external abort
 *                 external                host
 *   IRQ, FIQ, SError                    host
 *   WFI, WFE      as the host asked at the entry
 *   ICC_SGI*R, ICC_ASGI1R and ICC_DIR written     host
 *   IMPLEMENTATION DEFINED register               Realm: undefined instruction
 *   another register that the machine traps       zero, and ignores writes
 *   the rest      Realm: undefined instruction
 *
 * Invariant: the host sees only those parts of addresses and registers that
 * the text grants it.
 *
 * Lock rule: the Realm's lock is held for the walk only.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "exception.h"
#include "rmm-internal.h"
#include "rtt.h"

/* ESR_ELx */
#define ESR_EC(esr)     ((esr) >> 26 & 0x3f)
#define ESR_EC_MASK     (0x3full << 26)
#define EC_WFX          0x01
#define EC_SYSREG       0x18
#define EC_FETCH_ABORT  0x20
#define EC_DATA_ABORT   0x24
#define EC_SAME_EL      (1ull << 26)    /* added to either abort */
#define ESR_IL          (1ull << 25)

/* ISS of an abort; without ISV, bits 12:11 are SET. */
#define ISS_ISV         (1ull << 24)
#define ISS_SAS(esr)    ((esr) >> 22 & 3)
#define ISS_SAS_MASK    (3ull << 22)
#define ISS_SSE         (1ull << 21)
#define ISS_SRT(esr)    ((esr) >> 16 & 31)
#define ISS_SF          (1ull << 15)
#define ISS_SET_MASK    (3ull << 11)
#define ISS_SET_UER     (0ull << 11)
#define ISS_FNV         (1ull << 10)
#define ISS_EA          (1ull << 9)
#define ISS_CM          (1ull << 8)
#define ISS_WNR         (1ull << 6)
#define ISS_FSC_MASK    0x3full
#define FSC_ADDRESS_SIZE 0x00ull        /* the level is added */
#define FSC_ADDRESS_SIZE_M1 0x29ull     /* level -1 */
#define FSC_EXTERNAL    0x10ull         /* 0x13 to 0x17 are on a walk */
#define FSC_IS_EXTERNAL(esr) (((esr) & 0x38) == 0x10)

/* What the host sees of an abort. */
#define SHOWN_ABORT     (ESR_EC_MASK | ISS_SET_MASK | ISS_FNV | ISS_EA | \
                         ISS_FSC_MASK)
#define SHOWN_EMULATABLE (ESR_EC_MASK | ISS_ISV | ISS_SAS_MASK | ISS_SF | \
                          ISS_EA | ISS_WNR | ISS_FSC_MASK)

/*
 * What EL1 is told of a stage 2 abort that it takes: the rest of the syndrome
 * is valid in ESR_EL2 only, or for stage 2 (Arm ARM, ESR_EL1: ISV is 0, and
 * then SAS, SSE, SRT, SF and AR are RES0).
 */
#define TOLD_ABORT      (ESR_EC_MASK | ESR_IL | ISS_SET_MASK | ISS_FNV | \
                         ISS_CM | ISS_WNR)

/* ISS of WFI and WFE: TI, and where WFIT and WFET have the timeout. */
#define ISS_WFX_TI      3ull
#define ISS_WFX_WFE     1ull
#define ISS_WFX_TIMEOUT 2ull
#define ISS_WFX_RN(esr) ((esr) >> 5 & 31)

/* ISS of a system register access; a register is Op0, Op2, Op1, CRn, CRm. */
#define ISS_SYSREG_READ 1ull
#define ISS_SYSREG_RT(esr) ((esr) >> 5 & 31)
#define ISS_SYSREG_CRN(esr) ((esr) >> 10 & 15)
#define ISS_SYSREG_REG(op0, op1, crn, crm, op2) \
    ((op0) << 20 | (op2) << 17 | (op1) << 14 | (crn) << 10 | (crm) << 1)
#define ISS_SYSREG_REG_MASK ISS_SYSREG_REG(3, 7, 15, 15, 7)
#define ICC_DIR         ISS_SYSREG_REG(3, 0, 12, 11, 1)
#define ICC_SGI1R       ISS_SYSREG_REG(3, 0, 12, 11, 5)
#define ICC_ASGI1R      ISS_SYSREG_REG(3, 0, 12, 11, 6)
#define ICC_SGI0R       ISS_SYSREG_REG(3, 0, 12, 11, 7)
/* ISS of an SError, and what the host sees of it (A4.3.10). */
#define ISS_SERROR_IDS  (1ull << 24)
#define ISS_SERROR_AET  (7ull << 10)
#define SHOWN_SERROR    (ESR_EC_MASK | ISS_SERROR_IDS | ISS_SERROR_AET | \
                         ISS_EA | ISS_FSC_MASK)

#define SHOWN_SYSREG    (ESR_EC_MASK | ESR_IL | 0x3fffffull)

#define HPFAR_FIPA      0xffffffffff0ull
#define HPFAR_IPA(hpfar) (((hpfar) & HPFAR_FIPA) << 8)

static uint64_t get_reg(const RmmPe *pe, unsigned n)
{
    return n < 31 ? pe->x[n] : 0;
}

static void inject_exception(RmmPe *pe, uint64_t esr)
{
    pe->inject = (RmmInject) { .pending = true, .esr = esr };
}

static void inject_undefined(RmmPe *pe)
{
    inject_exception(pe, ESR_IL);
}

/* The abort @esr goes on to EL1, with another reason. */
static void inject_abort(RmmPe *pe, uint64_t esr, uint64_t far, uint64_t fsc)
{
    inject_exception(pe, (esr & TOLD_ABORT) | EC_SAME_EL | fsc);
    pe->inject.abort = true;
    pe->inject.far = far;
}

void exception_inject_sea(RmmPe *pe, uint64_t esr, uint64_t far)
{
    inject_abort(pe, esr, far, FSC_EXTERNAL | ISS_EA);
}

/* Bits of an access: 8 to 64. */
static unsigned access_bits(uint64_t esr)
{
    return 8u << ISS_SAS(esr);
}

static uint64_t low_bits(uint64_t value, unsigned bits)
{
    return bits == 64 ? value : value & ((1ull << bits) - 1);
}

/* A load gets @value from the host; a store is done. */
void exception_finish_mmio(RmmPe *pe, uint64_t esr, uint64_t value)
{
    unsigned bits = access_bits(esr);

    pe->pc += 4;
    if (esr & ISS_WNR || ISS_SRT(esr) == 31) {
        return;
    }
    value = low_bits(value, bits);
    if (esr & ISS_SSE && value >> (bits - 1)) {
        value |= ~low_bits(UINT64_MAX, bits);
    }
    pe->x[ISS_SRT(esr)] = esr & ISS_SF ? value : (uint32_t)value;
}

/*
 * The host may emulate the access, or answer it with an external abort.  It
 * learns the offset in the page only if it can emulate (A4.3.4.1).
 */
static void unprotected_data_abort(RmmPe *pe, const RmmSyndrome *s)
{
    RmiRecExit exit = { .exit_reason = RMI_EXIT_SYNC,
                        .hpfar = s->hpfar & HPFAR_FIPA };
    RmmRec *rec = pe_rec(pe);

    rec->abort.kind = s->esr & ISS_ISV ? REC_ABORT_EMULATABLE
                                       : REC_ABORT_UNPROTECTED;
    rec->abort.esr = s->esr;
    rec->abort.far = s->far;
    if (rec->abort.kind == REC_ABORT_EMULATABLE) {
        exit.esr = s->esr & SHOWN_EMULATABLE;
        exit.far = s->far % RMM_GRANULE_SIZE;
        if (s->esr & ISS_WNR) {
            exit.gprs[0] = low_bits(get_reg(pe, ISS_SRT(s->esr)),
                                    access_bits(s->esr));
        }
    } else {
        exit.esr = s->esr & (SHOWN_ABORT | ESR_IL);
    }
    rec_exit(pe, &exit);
}

static RttRipas ripas_at(RmmRealm *realm, uint64_t ipa)
{
    RttWalk walk;

    rmm_mutex_lock(&realm->lock);
    rtt_walk(realm, ipa, RTT_PAGE_LEVEL, &walk);
    rmm_mutex_unlock(&realm->lock);
    return walk.ripas;
}

static void exit_abort(RmmPe *pe, const RmmSyndrome *s, uint64_t hpfar)
{
    RmiRecExit exit = { .exit_reason = RMI_EXIT_SYNC,
                        .esr = s->esr & SHOWN_ABORT, .hpfar = hpfar };

    rec_exit(pe, &exit);
}

/*
 * The host learns of the abort, without an address: HPFAR_EL2 means nothing
 * here.  The text says no more.  As with TF-RMM, the Realm takes a recoverable
 * abort (UER) as well, and executes the instruction again after a restartable
 * one (UEO).  TF-RMM stops the machine after an uncontainable one (UC).  Here
 * the machine has lost no more than it reports, and the host sees SET.
 */
static void external_abort(RmmPe *pe, const RmmSyndrome *s)
{
    RmmRec *rec = pe_rec(pe);

    if ((s->esr & ISS_SET_MASK) == ISS_SET_UER) {
        rec->abort.kind = REC_ABORT_EXTERNAL;
        rec->abort.esr = s->esr;
        rec->abort.far = s->far;
    }
    exit_abort(pe, s, 0);
}

bool exception_abort_ok(RecAbort kind, uint64_t esr, uint64_t far)
{
    bool data = ESR_EC(esr) == EC_DATA_ABORT;

    switch (kind) {
    case REC_ABORT_NONE:
        return esr == 0 && far == 0;
    case REC_ABORT_UNPROTECTED:
        return data && !FSC_IS_EXTERNAL(esr) && !(esr & ISS_ISV);
    case REC_ABORT_EMULATABLE:
        return data && !FSC_IS_EXTERNAL(esr) && (esr & ISS_ISV);
    case REC_ABORT_EXTERNAL:
        return (data || ESR_EC(esr) == EC_FETCH_ABORT) &&
               FSC_IS_EXTERNAL(esr) && (esr & ISS_SET_MASK) == ISS_SET_UER;
    }
    return false;
}

static void handle_abort(RmmPe *pe, const RmmSyndrome *s)
{
    RmmRealm *realm = pe_rec(pe)->realm;
    uint64_t ipa = HPFAR_IPA(s->hpfar);
    bool data = ESR_EC(s->esr) == EC_DATA_ABORT;

    if (FSC_IS_EXTERNAL(s->esr)) {
        external_abort(pe, s);
    } else if (ipa >= realm_ipa_top(realm) &&
               !realm->rmm->platform.as_tf_rmm) {
        inject_abort(pe, s->esr, s->far, s->stage1_level < 0
                     ? FSC_ADDRESS_SIZE_M1
                     : FSC_ADDRESS_SIZE + s->stage1_level);
    } else if (ipa >= realm_protected_top(realm) &&
               ipa < realm_ipa_top(realm) && data) {
        unprotected_data_abort(pe, s);
    } else if (ipa >= realm_protected_top(realm) ||
               ripas_at(realm, ipa) == RTT_EMPTY) {
        exception_inject_sea(pe, s->esr, s->far);
    } else {
        exit_abort(pe, s, s->hpfar & HPFAR_FIPA);
    }
}

/* The instruction ends without waiting unless the host asked for an exit. */
static void handle_wfx(RmmPe *pe, uint64_t esr)
{
    uint64_t flag = esr & ISS_WFX_WFE ? RMI_ENTER_TRAP_WFE
                                      : RMI_ENTER_TRAP_WFI;
    RmiRecExit exit = { .exit_reason = RMI_EXIT_SYNC,
                        .esr = esr & (ESR_EC_MASK | ISS_WFX_TI) };

    pe->pc += 4;
    if (!(pe_rec(pe)->enter_flags & flag)) {
        return;
    }
    if (esr & ISS_WFX_TIMEOUT) {
        exit.gprs[0] = get_reg(pe, ISS_WFX_RN(esr));
    }
    rec_exit(pe, &exit);
}

/* The host makes interrupts (A6.1): SGIs, and the end of an interrupt. */
static bool is_hosts_register(uint64_t esr)
{
    switch (esr & ISS_SYSREG_REG_MASK) {
    case ICC_DIR:
    case ICC_SGI1R:
    case ICC_ASGI1R:
    case ICC_SGI0R:
        return !(esr & ISS_SYSREG_READ);
    default:
        return false;
    }
}

/* S3_<op1>_C11_* and S3_<op1>_C15_*, and instructions likewise (A2.1.2.4). */
static bool is_impdef_register(uint64_t esr)
{
    unsigned crn = ISS_SYSREG_CRN(esr);

    return crn == 11 || crn == 15;
}

/*
 * The machine traps only registers that a Realm does not have (A4.3.4).  As
 * with TF-RMM, they read as zero and ignore writes.
 */
static void handle_sysreg(RmmPe *pe, uint64_t esr)
{
    RmiRecExit exit = { .exit_reason = RMI_EXIT_SYNC,
                        .esr = esr & SHOWN_SYSREG };
    unsigned rt = ISS_SYSREG_RT(esr);

    if (is_impdef_register(esr)) {
        inject_undefined(pe);
        return;
    }
    pe->pc += 4;
    if (is_hosts_register(esr)) {
        exit.gprs[0] = get_reg(pe, rt);
        rec_exit(pe, &exit);
    } else if (esr & ISS_SYSREG_READ && rt < 31) {
        pe->x[rt] = 0;
    }
}

static void handle_sync(RmmPe *pe, const RmmSyndrome *s)
{
    switch (ESR_EC(s->esr)) {
    case EC_DATA_ABORT:
    case EC_FETCH_ABORT:
        handle_abort(pe, s);
        break;
    case EC_WFX:
        handle_wfx(pe, s->esr);
        break;
    case EC_SYSREG:
        handle_sysreg(pe, s->esr);
        break;
    default:
        inject_undefined(pe);
        break;
    }
}

/* Only an SError has a syndrome (A4.3.5, A4.3.6, A4.3.10). */
static void exit_interrupted(RmmPe *pe, uint64_t reason, uint64_t esr)
{
    RmiRecExit exit = { .exit_reason = reason, .esr = esr };

    rec_exit(pe, &exit);
}

void rmm_exception(Rmm *rmm, RmmPe *pe, const RmmSyndrome *s)
{
    switch (s->kind) {
    case RMM_EXCEPTION_SYNC:
        handle_sync(pe, s);
        break;
    case RMM_EXCEPTION_IRQ:
        exit_interrupted(pe, RMI_EXIT_IRQ, 0);
        break;
    case RMM_EXCEPTION_FIQ:
        exit_interrupted(pe, RMI_EXIT_FIQ, 0);
        break;
    case RMM_EXCEPTION_SERROR:
        exit_interrupted(pe, RMI_EXIT_SERROR, s->esr & SHOWN_SERROR);
        break;
    }
    lock_check_none();
}
