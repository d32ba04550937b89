/*
 * A host at EL2: the virtual CPU interface of a REC
 *
 * Purpose: QEMU's GICv3 models ICH_*_EL2, and the ICV_* registers that EL1 has
 * with them.  List registers and ICH_HCR_EL2 come with each entry; VMCR and the
 * active priorities are the REC's own (RMM 1.0, A6.1).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef ACCEL_TCG_REALM_EL2_GIC_H
#define ACCEL_TCG_REALM_EL2_GIC_H

#include "hw/intc/arm_gicv3_common.h"
#include "target/arm/rmm/rmm.h"

/* ICH_*_EL2 of one world, while the PE is in the other. */
typedef struct El2Gic {
    uint64_t hcr;
    uint64_t vmcr;
    uint64_t apr[3][4];         /* as GICv3CPUState has them */
    uint64_t lr[GICV3_LR_MAX];
} El2Gic;

/* What the interface of @cs has: RmmPlatform.num_lrs and .gic_*. */
void el2_gic_describe(CPUState *cs, RmmPlatform *platform);

/* The values at reset, for a PE like @cs. */
void el2_gic_init(CPUState *cs, El2Gic *gic);

/* Exchange what @cs has with @gic; nobody is told until el2_gic_update. */
void el2_gic_swap(CPUState *cs, El2Gic *gic);

/* The registers are a REC's: what the host asked for. */
void el2_gic_enter(CPUState *cs, const RmmEntry *entry);

/* They are the host's again, which finds the interface off (A6.1). */
void el2_gic_leave(CPUState *cs);

/* What the exit record says of it. */
void el2_gic_report(CPUState *cs, const RmmEntry *entry, RmmExitState *state);

/* Virtual interrupts and the maintenance interrupt, as the registers say. */
void el2_gic_update(CPUState *cs);

#endif
