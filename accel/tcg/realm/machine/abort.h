/*
 * Realms under TCG: an access behind stage 1, and the abort it may end in
 *
 * Purpose: what every machine needs for it, whoever the host is.
 *
 * Lock rule: none; the vCPU's own thread.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef ACCEL_TCG_REALM_MACHINE_ABORT_H
#define ACCEL_TCG_REALM_MACHINE_ABORT_H

#include "hw/core/cpu.h"
#include "target/arm/rmm/rmm.h"

typedef struct RealmAccess {
    CPUState *cs;
    vaddr va;
    uint64_t ipa;               /* of the page */
    MMUAccessType type;
    int mmu_idx;
    uint8_t lg_page_size;       /* of what stage 1 found */
    bool probe;                 /* only tried: nothing may happen to the CPU */
    uintptr_t ra;
    struct ARMMMUFaultInfo *walk; /* of stage 1, if that needs this access */
} RealmAccess;

/* The access as rmm_stage2_walk wants it. */
RmmAccess realm_access_kind(const RealmAccess *access);

/* Take the page that the walk found, and its permissions, into @out. */
void realm_access_translated(CPUTLBEntryFull *out,
                             const RmmTranslation *found);

/* ESR_ELx of the abort @fault; it has no ISV. */
uint32_t realm_abort_esr(const RealmAccess *access, bool same_el, bool s1ptw,
                         struct ARMMMUFaultInfo *fault);

/*
 * What EL2 is told of @fault, which the walk met at @level.  In a walk of stage
 * 1 (S1PTW), the level of stage 1 is the caller's to say.
 */
RmmSyndrome realm_abort_syndrome(const RealmAccess *access, RmmFault fault,
                                 int level);

/* Leave generated code with the abort. */
G_NORETURN void realm_abort_take(const RealmAccess *access, uint32_t esr,
                                 uint64_t far, int target_el);

#endif
