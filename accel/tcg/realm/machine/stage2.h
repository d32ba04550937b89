/*
 * Realms under TCG: stage 2 of an access
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef ACCEL_TCG_REALM_MACHINE_STAGE2_H
#define ACCEL_TCG_REALM_MACHINE_STAGE2_H

#include "hw/core/cpu.h"

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

/* Finish @out, which stage 1 made; false or no return as tlb_fill_align. */
bool realm_stage2(const RealmAccess *access, CPUTLBEntryFull *out);

#endif
