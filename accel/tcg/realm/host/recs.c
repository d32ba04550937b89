/*
 * Realms under TCG: RECs are entered, and their exits are answered
 *
 * Purpose: what KVM does on a real machine while a Realm runs: enter the RECs
 * when the machine starts, answer what they exit for, leave them when it
 * stops.
 *
 * Invariants: a vCPU whose REC is not entered executes nothing.
 *
 * Lock rule: BQL, but for realm_rec_handle_abort, which runs on the fault
 * path.  The run page and the PE of a vCPU are its own while it runs.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "system/realm-events.h"
#include "system/runstate.h"
#include "target/arm/arm-powerctl.h"
#include "target/arm/cpu.h"
#include "target/arm/kvm-consts.h"
#include "target/arm/rmm/rmm-abi.h"
#include "accel/tcg/realm/machine.h"
#include "accel/tcg/realm/trace.h"
#include "buffers.h"
#include "mmu.h"
#include "recs.h"
#include "state.h"

static RealmRec *rec_of(CPUState *cs)
{
    return &realm_host.recs[cs->cpu_index];
}

/*
 * What the Realm gives up it may share from now on: a device writes there
 * before the Realm has touched it.
 */
static bool may_share(const RmiRecExit *exit, uint64_t top)
{
    Error *err = NULL;
    bool ok = exit->ripas_value != RMI_RIPAS_EMPTY ||
              realm_mmu_share(exit->ripas_base, top, &err);

    if (!ok) {
        error_report_err(err);
    }
    return ok;
}

/*
 * The Realm gets only what the board has as RAM.  The host rejects what lies
 * beyond, since there would be no bound to the tables for it.
 */
static void change_ripas(const RealmRec *rec, RmiRecRun *run)
{
    const RmiRecExit *exit = &run->exit;
    uint64_t base = exit->ripas_base;
    uint64_t top = MIN(exit->ripas_top,
                       realm_layout_ram_top(&realm_host.layout, base));
    uint64_t reached = base, result;

    if (top < exit->ripas_top) {
        run->enter.flags = RMI_ENTER_RIPAS_REJECT;
    }
    if (base >= top || !may_share(exit, top)) {
        run->enter.flags = RMI_ENTER_RIPAS_REJECT;
        return;
    }
    result = realm_mmu_call_for_range(RMI_RTT_SET_RIPAS, rec->pa, &reached,
                                      top);
    trace_realm_host_change_ripas(base, reached, exit->ripas_value, result);
    realm_event_ripas(reached - base, exit->ripas_value != RMI_RIPAS_EMPTY);
    if (exit->ripas_value == RMI_RIPAS_EMPTY) {
        realm_mmu_reclaim(base, reached);
    } else {
        realm_mmu_unlend(base, reached);
        realm_mmu_discard_shared(base, reached);
    }
}

static uint64_t complete_psci(const RealmRec *calling, const RealmRec *target)
{
    RmmPe pe = { .x = { RMI_PSCI_COMPLETE, calling->pa, target->pa,
                        PSCI_SUCCESS } };

    realm_call(&pe);
    return pe.x[0];
}

static void stop_machine(void)
{
    qemu_system_vmstop_request_prepare();
    qemu_system_vmstop_request(RUN_STATE_INTERNAL_ERROR);
}

/* The Realm is off.  Its vCPUs end one after the other; that is no error. */
static bool is_system_off(uint64_t result)
{
    return result == RMI_RESULT(RMI_ERROR_REALM, 1);
}

/* Enter the REC of @cs, or stop: the Realm cannot go on without it. */
static void enter_or_stop(CPUState *cs)
{
    Error *err = NULL;

    if (realm_rec_enter(cs, &err)) {
        return;
    }
    if (is_system_off(realm_pe(cs)->x[0])) {
        error_free(err);
    } else {
        error_report_err(err);
        stop_machine();
    }
}

/* The REC that the Realm named as MPIDR_EL1 reads: bit 31 is one there. */
static CPUState *psci_target(const RmiRecExit *exit)
{
    return realm_pe_by_mpidr(exit->gprs[1] & ~BIT_ULL(31));
}

static void cpu_on(const RealmRec *calling, const RmiRecExit *exit)
{
    CPUState *cs = psci_target(exit);

    if (!cs || complete_psci(calling, rec_of(cs)) ||
        realm_pe_in_realm(cs)) {
        return;
    }
    arm_set_cpu_on(realm_pe_mpidr(cs), exit->gprs[2], exit->gprs[3], 1, true);
    enter_or_stop(cs);
}

static void affinity_info(const RealmRec *calling, const RmiRecExit *exit)
{
    CPUState *cs = psci_target(exit);

    if (cs) {
        complete_psci(calling, rec_of(cs));
    }
}

/* True if the REC can be entered again. */
static bool handle_psci(CPUState *cs, const RmiRecExit *exit)
{
    trace_realm_host_psci(cs->cpu_index, exit->gprs[0]);
    switch ((uint32_t)exit->gprs[0]) {
    case QEMU_PSCI_0_2_FN_CPU_ON:
    case QEMU_PSCI_0_2_FN64_CPU_ON:
        cpu_on(rec_of(cs), exit);
        return true;
    case QEMU_PSCI_0_2_FN_AFFINITY_INFO:
    case QEMU_PSCI_0_2_FN64_AFFINITY_INFO:
        affinity_info(rec_of(cs), exit);
        return true;
    case QEMU_PSCI_0_2_FN_CPU_SUSPEND:
    case QEMU_PSCI_0_2_FN64_CPU_SUSPEND: /* waking up at once is allowed */
        return true;
    case QEMU_PSCI_0_2_FN_SYSTEM_OFF:
        qemu_system_shutdown_request(SHUTDOWN_CAUSE_GUEST_SHUTDOWN);
        break;
    case QEMU_PSCI_0_2_FN_SYSTEM_RESET:
        qemu_system_reset_request(SHUTDOWN_CAUSE_GUEST_RESET);
        break;
    }
    ARM_CPU(cs)->power_state = PSCI_OFF;
    return false;
}

/* The host offers no service: SMCCC NOT_SUPPORTED, whatever was asked. */
static void answer_host_call(RmiRecRun *run)
{
    memcpy(run->enter.gprs, run->exit.gprs, sizeof(run->enter.gprs));
    run->enter.gprs[0] = SMCCC_NOT_SUPPORTED;
}

/* The IPA of an abort (RMM 1.0, A4.3.4): HPFAR_EL2 has it without offset. */
static uint64_t abort_ipa(const RmiRecExit *exit)
{
    return (exit->hpfar & ~0xfull) << 8;
}

#define PAGE_IS_GONE "Realm: vCPU %d needs the page at 0x%" PRIx64 ", which " \
                     "is gone; the Realm cannot go on"

/*
 * A REC may exit before it has run: the host has taken away the page of the
 * buffer that the answer to a host call goes to (RMM 1.0, B5.3.4).  The host
 * maps the page and enters the REC again; its answer is still in the run page.
 */
bool realm_rec_enter(CPUState *cs, Error **errp)
{
    const RealmRec *rec = rec_of(cs);
    RmmPe *pe = realm_pe(cs);
    uint64_t ipa, pa;
    const RmiRecRun *run = realm_run_page(cs->cpu_index, &pa);

    do {
        *pe = (RmmPe) { .x = { RMI_REC_ENTER, rec->pa, rec->run } };
        realm_call(pe);
        if (pe->world == RMM_WORLD_REALM) {
            return true;
        }
        if (realm_host_refused("to run a REC", pe->x[0], errp)) {
            return false;
        }
        ipa = abort_ipa(&run->exit);
    } while (realm_mmu_fault(ipa));
    error_setg(errp, PAGE_IS_GONE, cs->cpu_index, ipa);
    return false;
}

/*
 * Map the page that the abort in @run needs.  With RIPAS DESTROYED the host
 * took the page away and cannot give it back, so the machine stops.
 */
static bool handle_abort(CPUState *cs, RmiRecRun *run)
{
    uint64_t ipa = abort_ipa(&run->exit);

    if (realm_mmu_fault(ipa)) {
        return true;
    }
    error_report_once(PAGE_IS_GONE, cs->cpu_index, ipa);
    stop_machine();
    return false;
}

bool realm_rec_handle_abort(CPUState *cs, RmmPe *pe)
{
    const RealmRec *rec = rec_of(cs);
    uint64_t pa;
    RmiRecRun *run = realm_run_page(cs->cpu_index, &pa);
    bool mapped;

    memset(&run->enter, 0, sizeof(run->enter));
    mapped = handle_abort(cs, run);
    *pe = (RmmPe) { .x = { RMI_REC_ENTER, rec->pa, rec->run } };
    realm_call(pe);
    if (pe->world == RMM_WORLD_REALM) {
        return mapped;
    }
    if (!is_system_off(pe->x[0])) {
        stop_machine();
    }
    return false;
}

void realm_rec_handle_exit(CPUState *cs)
{
    uint64_t pa;
    RmiRecRun *run = realm_run_page(cs->cpu_index, &pa);
    bool again = true;

    memset(&run->enter, 0, sizeof(run->enter));
    switch (run->exit.exit_reason) {
    case RMI_EXIT_SYNC: /* a buffer of the Realm's has no page yet */
        handle_abort(cs, run);
        break;
    case RMI_EXIT_RIPAS_CHANGE:
        change_ripas(rec_of(cs), run);
        break;
    case RMI_EXIT_PSCI:
        again = handle_psci(cs, &run->exit);
        break;
    case RMI_EXIT_HOST_CALL:
        answer_host_call(run);
        break;
    }
    if (again) {
        enter_or_stop(cs);
    }
}

/* It goes on where it was, which need not be in a WFI that something ends. */
static void unpark(CPUState *cs)
{
    RealmRec *rec = rec_of(cs);

    if (rec->parked) {
        rec->parked = false;
        cs->halted = 0;
    }
}

/* A vCPU whose REC the RMM does not let run does not run. */
bool realm_recs_enter(Error **errp)
{
    CPUState *cs;

    CPU_FOREACH(cs) {
        unpark(cs);
        if (ARM_CPU(cs)->power_state != PSCI_ON) {
            cs->halted = 1;
        } else if (!realm_pe_in_realm(cs) && !realm_rec_enter(cs, errp)) {
            return false;
        }
    }
    return true;
}

void realm_recs_leave(void)
{
    CPUState *cs;

    CPU_FOREACH(cs) {
        realm_pe_interrupt(cs);
    }
}

void realm_recs_park(void)
{
    CPUState *cs;

    realm_recs_leave();
    CPU_FOREACH(cs) {
        if (!cs->halted) {
            rec_of(cs)->parked = true;
            cs->halted = 1;
        }
    }
}
