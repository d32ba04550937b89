/*
 * Realms under TCG: stage 2 of an access
 *
 * Purpose: what an access meets behind stage 1.  Where the walk of the RMM's
 * tables faults, the PE takes the exception that hardware would take:
 *
 *        +-------------------------------------------------+
 *        v                                                 |
 *   rmm_stage2_walk --fault--> rmm_exception --REC exit--> host maps it,
 *        |                          |                      RMI_REC_ENTER
 *        v                          v
 *   entry of the TLB           abort to EL1
 *
 * All of it happens within the access: X0 to X30 are in env when TCG makes an
 * access, and such an exit and entry give them back as they were, so the
 * generated code goes on and the walk is made again.  The PC may be that of
 * an earlier instruction of the block.  Nothing depends on it: the host is
 * not told the PC, and the RMM only keeps it from the exit to the entry.
 *
 * Unprotected memory that is not the board's RAM (devices, flash) is not
 * mapped: the access goes to the shared view.  It stands for the abort that
 * a host would emulate.
 *
 * Invariants:
 * - After the fault path the REC is entered as before it, but for a Realm
 *   that was switched off: so stop, cont and migration find no other states.
 * - A machine stops only when its vCPUs have left guest code, so no REC is
 *   paused or exported while its vCPU is in here.
 *
 * Lock rule: runs on vCPU threads without the BQL, and takes the RMM's locks
 * and what the host takes to handle an abort; but the BQL for a moment where
 * the REC cannot be entered again.  The PE is copied: other vCPUs look at its
 * world (realm_pe_in_realm).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "exec/exec-all.h"
#include "target/arm/cpu.h"
#include "target/arm/internals.h"
#include "target/arm/syndrome.h"
#include "accel/tcg/realm/trace.h"
#include "pe.h"
#include "stage2.h"

#define EC_SAME_EL      BIT(ARM_EL_EC_SHIFT)

/* The Realm takes an abort that the RMM injected. */
static G_NORETURN void deliver_abort(const RealmAccess *a,
                                     const RmmInject *inject)
{
    uint32_t esr = inject->esr;

    if (arm_current_el(&ARM_CPU(a->cs)->env) == 0) {
        esr &= ~EC_SAME_EL;
    }
    realm_abort_take(a, esr, inject->far, 1);
}

/* The vCPU cannot go on; the instruction is executed again if it ever does. */
static G_NORETURN void leave_code(const RealmAccess *a)
{
    if (!realm_pe_in_realm(a->cs)) {
        a->cs->halted = 1;
        a->cs->exception_index = EXCP_HLT;
    }
    cpu_exit(a->cs);
    cpu_loop_exit_restore(a->cs, a->ra);
}

/*
 * An access that is only tried takes no exception.  A walk of stage 1 is such
 * an access: if the access that needs the walk is real, Arm's code reports the
 * abort, with the level that the walk had reached.
 */
static bool refuse_access(const RealmAccess *a, RmmFault fault)
{
    if (a->walk && fault == RMM_FAULT_ADDRESS_SIZE) {
        a->walk->type = ARMFault_AddressSize;
    } else if (a->walk) {
        a->walk->type = ARMFault_SyncExternalOnWalk;
        a->walk->ea = true;
    }
    return false;
}

/*
 * A granule that was lent has been delegated since.  EL1 takes that: neither
 * SCR_EL3.GPF nor HCR_EL2.GPF is set, as with TF-A and TF-RMM.  Arm's code
 * makes a fault on a walk of it if stage 1 needs the access.
 */
static bool granule_protection_fault(const RealmAccess *a)
{
    ARMMMUFaultInfo fi = { .type = ARMFault_GPCFOnOutput };
    bool same_el = arm_current_el(&ARM_CPU(a->cs)->env) == 1;

    if (a->walk) {
        a->walk->type = fi.type;
    } else if (!a->probe) {
        realm_abort_take(a, realm_abort_esr(a, same_el, false, &fi), a->va, 1);
    }
    return false;
}

/*
 * True: walk again.  False: an access that was only tried has failed.  The
 * syndrome has no ISV, since a device is not reached in this way.  In a walk of
 * stage 1, @a->va is no virtual address; the RMM uses it for aborts that it
 * injects, and a walk's abort is Arm's code to report.
 */
static bool take_exception(const RealmAccess *a, RmmFault fault, int level)
{
    CPUARMState *env = &ARM_CPU(a->cs)->env;
    RmmSyndrome s = realm_abort_syndrome(a, fault, level);
    RmmPe pe = *realm_pe(a->cs);
    bool mapped = false;

    memcpy(pe.x, env->xregs, sizeof(pe.x));
    pe.pc = env->pc;
    rmm_exception(realm_rmm, &pe, &s);
    if (pe.world == RMM_WORLD_HOST) {
        mapped = realm_host_ops->handle_abort(a->cs, &pe);
    }
    if (pe.world == RMM_WORLD_HOST) {   /* the REC cannot be entered again */
        bql_lock();
        *realm_pe(a->cs) = pe;
        bql_unlock();
    }
    if (mapped && !pe.inject.pending) {
        return true;
    }
    if (a->probe) {
        return refuse_access(a, fault);
    }
    if (pe.inject.pending) {
        deliver_abort(a, &pe.inject);
    }
    leave_code(a);
}

/* The host may map something, so it is asked even if access is only tried. */
static bool host_may_help(RmmFault fault)
{
    return fault == RMM_FAULT_UNASSIGNED || fault == RMM_FAULT_UNPROTECTED;
}

bool realm_stage2(const RealmAccess *a, CPUTLBEntryFull *out)
{
    const RmmStage2 *stage2 = &realm_pes[a->cs->cpu_index].stage2;
    RmmTranslation found;
    RmmFault fault;
    bool again;

    do {
        fault = rmm_stage2_walk(realm_rmm, stage2, a->ipa,
                                realm_access_kind(a), &found);
        if (fault == RMM_FAULT_NONE) {
            realm_access_translated(out, &found);
            return true;
        }
        if (fault == RMM_FAULT_UNPROTECTED &&
            !realm_host_ops->is_lendable(a->ipa)) {
            out->prot &= ~PAGE_EXEC;
            return true;
        }
        assert(fault != RMM_FAULT_PERMISSION);  /* lent: read and write */
        trace_realm_stage2_fault(a->cs->cpu_index, a->va, a->ipa, fault);
        if (fault == RMM_FAULT_GPF) {
            return granule_protection_fault(a);
        }
        again = a->probe && !host_may_help(fault)
                ? refuse_access(a, fault)
                : take_exception(a, fault, found.level);
    } while (again);
    return false;
}
