/*
 * Realm Execution Contexts: entry (see rec.h)
 *
 * Purpose: check what the host asks for, finish the call or the abort that
 * the last exit left open, and put the PE into the Realm world.
 *
 * Lock rule: an entry holds the Realm's lock for checks and assignments only,
 * so RECs of one Realm enter side by side.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include "dispatch.h"
#include "exception.h"
#include "rec.h"
#include "rmm-internal.h"
#include "rtt.h"

/* Fields of ICH_LR<n>_EL2 (Arm GIC architecture) */
#define LR_VINTID(lr)   ((uint32_t)(lr))
#define LR_PINTID       (0x1fffull << 32)
#define LR_EOI          (1ull << 41)    /* within PINTID, if not HW */
#define LR_PRIORITY     48
#define LR_HW           (1ull << 61)
#define LR_STATE(lr)    ((lr) >> 62)
/* 59 is NMI with FEAT_GICv3_NMI, which Realms do not have. */
#define LR_RES0         (0xfull << 56 | 7ull << 45)

/* SGI, PPI, SPI, LPI; no extended ranges. */
static bool intid_ok(const RmmPlatform *p, uint32_t intid)
{
    return intid < 1020 ||
           (intid >= 8192 && intid < 1u << (p->gic_id_bits ?: 16));
}

/*
 * A6.1: the value is valid for the architecture, so bits that are RES0 are 0,
 * and HW is 0.  As with TF-RMM, one that is inactive may say anything, since
 * nothing comes of it.
 */
static bool lr_ok(const RmmPlatform *p, uint64_t lr)
{
    uint64_t res0 = (0xffull >> p->gic_prio_bits) << LR_PRIORITY | LR_RES0 |
                    (LR_PINTID & ~LR_EOI);

    return !LR_STATE(lr) ||
           (!(lr & (LR_HW | res0)) && intid_ok(p, LR_VINTID(lr)));
}

/* The architecture has no behaviour for one INTID in two list registers. */
static bool is_duplicate(const uint64_t *lrs, unsigned i)
{
    unsigned j;

    for (j = 0; LR_STATE(lrs[i]) && j < i; j++) {
        if (LR_STATE(lrs[j]) && LR_VINTID(lrs[j]) == LR_VINTID(lrs[i])) {
            return true;
        }
    }
    return false;
}

static bool gic_ok(const RmmRec *rec, const RmiRecEnter *enter)
{
    unsigned i;

    if (enter->gicv3_hcr & ~GIC_HCR_HOST) {
        return false;
    }
    for (i = 0; i < rec_num_lrs(rec); i++) {
        if (!lr_ok(&rec->rmm->platform, enter->gicv3_lrs[i]) ||
            is_duplicate(enter->gicv3_lrs, i)) {
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
    if (!gic_ok(rec, enter)) {
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
 * Realm made the buffer EMPTY meanwhile, the host has nothing to resolve, and
 * there is no such exit (A5.2.9).  As TF-RMM means to, the Realm then goes on
 * without the host's answer, and takes an external abort when it reads it.
 */
static bool finish_host_call(RmmRec *rec, RmiRecEnter *enter, RmiRecExit *exit)
{
    uint64_t gprs = rec->host_call_ipa + offsetof(RsiHostCall, gprs);
    int level;

    switch (rtt_copy(rec->realm, gprs, true, enter->gprs,
                     sizeof(enter->gprs), &level)) {
    case RTT_ACCESS_OK:
    case RTT_ACCESS_EMPTY:
        break;
    case RTT_ACCESS_FAULT:
        rec_abort_record(exit, rec->host_call_ipa, level);
        return false;
    }
    rsi_answer(rec->x, RSI_SUCCESS, NULL, 0);
    return true;
}

/* Finish the abort that the last exit was, with the host's answer, if any. */
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
    pe->context = rec->context;
    pe->entry = (RmmEntry) {
        .gicv3_hcr = enter->gicv3_hcr,
        .trap_wfi = enter->flags & RMI_ENTER_TRAP_WFI,
        .trap_wfe = enter->flags & RMI_ENTER_TRAP_WFE,
    };
    memcpy(pe->entry.gicv3_lrs, enter->gicv3_lrs,
           rec_num_lrs(rec) * sizeof(enter->gicv3_lrs[0]));
    pe->world = RMM_WORLD_REALM;
    memcpy(pe->x, rec->x, sizeof(pe->x));
    pe->pc = rec->pc;
    pe->inject = (RmmInject) { 0 };
    finish_abort(pe, rec, enter);
}

/*
 * The REC exits with @exit before it ran: what the host gave is what it gets
 * back, and the rest is as at the last exit.
 */
static uint64_t exit_at_once(RmmRec *rec, uint64_t run_pa,
                             const RmiRecEnter *enter, RmiRecExit *exit)
{
    rec->machine.gicv3_hcr = enter->gicv3_hcr;
    rec->machine.gicv3_misr = 0;
    memcpy(rec->machine.gicv3_lrs, enter->gicv3_lrs,
           sizeof(enter->gicv3_lrs));
    if (rec->rmm->ops.exit_state) {
        rec_show_machine(rec, exit);
    }
    return rec_write_exit(rec->rmm, run_pa, exit);
}

/* *@exited, with the exit in @exit: the REC did not come to run. */
static uint64_t enter_locked(RmmPe *pe, RmmRec *rec, uint64_t run_pa,
                             RmiRecEnter *enter, RmiRecExit *exit,
                             bool *exited)
{
    uint64_t result = enter_check(rec, enter);

    if (result != RMI_SUCCESS) {
        return result;
    }
    if (rec->state == REC_RIPAS) {
        finish_ripas(rec, enter);
    } else if (rec->state == REC_HOST_CALL &&
               !finish_host_call(rec, enter, exit)) {
        *exited = true;
        return exit_at_once(rec, run_pa, enter, exit);
    }
    enter_realm(pe, rec, run_pa, enter);
    return RMI_SUCCESS;
}

uint64_t rec_enter(Rmm *rmm, RmmPe *pe, uint64_t pa, uint64_t run_pa)
{
    RmiRecExit exit = { 0 };
    RmiRecEnter enter;
    bool exited = false;
    uint64_t result, rd;
    uint32_t index;
    RmmRec *rec;

    if (run_pa % RMM_GRANULE_SIZE ||
        !rmm_is_ns(rmm, run_pa, sizeof(RmiRecRun)) ||
        !rmm_read_ns(rmm, &enter, run_pa, sizeof(enter))) {
        return RMI_ERROR_INPUT;
    }
    rec = rec_lock(rmm, pa);
    if (!rec) {
        return RMI_ERROR_INPUT;
    }
    result = enter_locked(pe, rec, run_pa, &enter, &exit, &exited);
    rd = rec->realm->rd;
    index = rec->index;
    rec_unlock(rec);
    if (exited) {
        rec_tell_exit(rmm, rd, index, exit.exit_reason, result);
    }
    return result;
}
