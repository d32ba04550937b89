/*
 * Realm Execution Contexts: exit (see rec.h)
 *
 * Lock rule: an exit holds the Realm's lock for the change of the state only,
 * so RECs of one Realm leave side by side.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include "rec.h"
#include "rmm-internal.h"

/* The host may have destroyed the target of the call before this exit. */
static void answer_if_target_is_gone(RmmRec *rec)
{
    uint32_t index;

    if (!rec_affinity_to_index(rec->x[1], &index) ||
        !rec_find_index(rec->realm, index)) {
        rec_answer_psci(rec, PSCI_INVALID_PARAMETERS);
    }
}

/* RMM 1.0, A6.1, A6.2 and A8.1 */
void rec_show_machine(const RmmRec *rec, RmiRecExit *exit)
{
    const RmmExitState *m = &rec->machine;

    exit->gicv3_hcr = m->gicv3_hcr & GIC_HCR_SHOWN;
    memcpy(exit->gicv3_lrs, m->gicv3_lrs,
           rec_num_lrs(rec) * sizeof(exit->gicv3_lrs[0]));
    exit->gicv3_misr = m->gicv3_misr;
    exit->gicv3_vmcr = m->gicv3_vmcr;
    exit->cntp_ctl = m->cntp_ctl;
    exit->cntp_cval = m->cntp_cval;
    exit->cntv_ctl = m->cntv_ctl;
    exit->cntv_cval = m->cntv_cval;
    exit->pmu_ovf_status = m->pmu_overflow;
}

const char *rmm_exit_name(unsigned reason)
{
    static const char *const names[] = {
        [RMI_EXIT_SYNC] = "SYNC", [RMI_EXIT_IRQ] = "IRQ",
        [RMI_EXIT_FIQ] = "FIQ", [RMI_EXIT_PSCI] = "PSCI",
        [RMI_EXIT_RIPAS_CHANGE] = "RIPAS_CHANGE",
        [RMI_EXIT_HOST_CALL] = "HOST_CALL", [RMI_EXIT_SERROR] = "SERROR",
    };

    _Static_assert(G_N_ELEMENTS(names) == RMM_EXIT_REASONS, "all reasons");
    return reason < RMM_EXIT_REASONS ? names[reason] : NULL;
}

void rec_tell_exit(Rmm *rmm, uint64_t rd, uint32_t index, uint64_t reason,
                   uint64_t result)
{
    RmmLog entry = { .interface = "REC", .call = "EXIT",
                     .rd = rd, .rec = index,
                     .exit = rmm_exit_name(reason), .result = result };

    __atomic_fetch_add(&rmm->served[stripe_of_thread()].exits[reason], 1,
                       __ATOMIC_RELAXED);
    rmm_log(rmm, &entry, result == RMI_SUCCESS);
}

uint64_t rec_write_exit(Rmm *rmm, uint64_t run_pa, const RmiRecExit *exit)
{
    return rmm_write_ns(rmm, run_pa + offsetof(RmiRecRun, exit), exit,
                        sizeof(*exit)) ? RMI_SUCCESS : RMI_ERROR_INPUT;
}

void rec_exit_to(RmmPe *pe, const RmiRecExit *exit, RecState state)
{
    RmmRec *rec = pe->rec;
    RmiRecExit full;
    uint64_t result;

    g_assert(rec && rec->state == REC_RUNNING);
    memcpy(rec->x, pe->x, sizeof(rec->x));
    rec->pc = pe->pc;
    if (rec->rmm->ops.exit_state) {
        rec->machine = (RmmExitState) { 0 };
        rec->rmm->ops.exit_state(rec->rmm->opaque, pe, &rec->machine);
    }
    full = *exit;
    rec_show_machine(rec, &full);
    result = rec_write_exit(rec->rmm, rec->run_pa, &full);

    /* Nothing of the Realm stays in the registers. */
    memset(pe, 0, sizeof(*pe));
    pe->world = RMM_WORLD_HOST;
    pe->x[0] = result;

    rmm_mutex_lock(&rec->realm->lock);
    rec_set_state(rec, state);
    if (state == REC_PSCI) {
        answer_if_target_is_gone(rec);
    }
    rmm_mutex_unlock(&rec->realm->lock);
    rec_tell_exit(rec->rmm, rec->realm->rd, rec->index, exit->exit_reason,
                  result);
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
