/*
 * A host at EL2: PEs
 *
 * Purpose: one structure for each vCPU; each file of el2/ has fields of its
 * own there.
 *
 * Lock rule: a PE belongs to its vCPU's thread, or to the BQL while that does
 * not run; others may look at its world under the BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef ACCEL_TCG_REALM_EL2_PE_H
#define ACCEL_TCG_REALM_EL2_PE_H

#include "hw/core/cpu.h"
#include "target/arm/rmm/rmm.h"

typedef struct El2Context El2Context;

typedef struct El2Pe {
    RmmPe pe;                   /* as the RMM knows it; switch.c */
    El2Context *host;           /* context.c: the host's registers, while a REC
                                   runs */
    bool timers_were_on;        /* context.c: of the world that went out last */
    bool debug_was_on;          /* likewise */
    int stage1_level;           /* access.c: of the abort it raised to EL2 */
    RmmFault walk_fault;        /* access.c: what a walk's access has met, */
    int walk_level;             /* at which level of stage 2, */
    uint64_t walk_ipa;          /* and at which page */
    const El2Context *tlb_owner; /* tlb.c: of a REC, or NULL: the host */
    bool tlb_stale;             /* tlb.c: it has entries that it must not use */
    uint16_t tlb_vmid;          /* tlb.c: of its Realm */
    bool call_pending;          /* call.c: the SMC waits for other PEs */
} El2Pe;

extern Rmm *el2_rmm;
extern El2Pe *el2_pes;          /* indexed by cpu_index */

static inline El2Pe *el2_pe(CPUState *cs)
{
    return &el2_pes[cs->cpu_index];
}

static inline bool el2_in_realm(CPUState *cs)
{
    return el2_pe(cs)->pe.world == RMM_WORLD_REALM;
}

#endif
