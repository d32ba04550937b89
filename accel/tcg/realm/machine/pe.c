/*
 * Realms under TCG: what the machine consists of
 *
 * Purpose: the RMM, the PEs with the RECs that they run, and the host that is
 * told of what happens to them.
 *
 * Invariants: every vCPU is one PE, and runs one REC for all of its Realm's
 * life.
 *
 * Lock rule: set up once under the BQL.  After that a PE belongs to its
 * vCPU's thread while the vCPU runs, and to the BQL while it does not; others
 * may look at its world at any time.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "target/arm/cpu.h"
#include "pe.h"

Rmm *realm_rmm;
RealmPe *realm_pes;
const RealmHostOps *realm_host_ops;

RmmPe *realm_pe(CPUState *cs)
{
    return &realm_pes[cs->cpu_index].pe;
}

bool realm_pe_in_realm(CPUState *cs)
{
    return realm_pe(cs)->world == RMM_WORLD_REALM;
}

void realm_pe_set_rec(CPUState *cs, uint64_t rec)
{
    RealmPe *pe = &realm_pes[cs->cpu_index];
    bool known = rmm_stage2(realm_rmm, rec, &pe->stage2);

    assert(known);
    pe->smc_waits = false;      /* of a REC before this one */
}

void realm_pe_interrupt(CPUState *cs)
{
    const RmmSyndrome irq = { .kind = RMM_EXCEPTION_IRQ };
    CPUARMState *env = &ARM_CPU(cs)->env;
    RmmPe *pe = realm_pe(cs);

    if (pe->world == RMM_WORLD_REALM) {
        memcpy(pe->x, env->xregs, sizeof(pe->x));
        pe->pc = env->pc;
        rmm_exception(realm_rmm, pe, &irq);
    }
}

uint64_t realm_pe_mpidr(CPUState *cs)
{
    return arm_cpu_mp_affinity(ARM_CPU(cs));
}

CPUState *realm_pe_by_mpidr(uint64_t mpidr)
{
    CPUState *cs;

    CPU_FOREACH(cs) {
        if (realm_pe_mpidr(cs) == mpidr) {
            return cs;
        }
    }
    return NULL;
}
