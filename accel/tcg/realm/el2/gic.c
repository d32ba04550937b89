/*
 * A host at EL2: the virtual CPU interface of a REC (see gic.h)
 *
 * How: QEMU's state is read and written itself, since each write of a register
 * by its function raises and lowers lines; one such write at the end
 * (el2_gic_update) does that for all of them.
 *
 * Invariant: what the state gets is what the function of the register would
 * have put there.
 *
 * Lock rule: BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/intc/gicv3_internal.h"
#include "target/arm/cpu.h"
#include "target/arm/cpregs.h"
#include "gic.h"

static GICv3CPUState *gic_of(CPUState *cs)
{
    return cpu_env(cs)->gicv3state;
}

void el2_gic_describe(CPUState *cs, RmmPlatform *platform)
{
    const GICv3CPUState *c = gic_of(cs);

    platform->num_lrs = c->num_list_regs - 1;
    platform->gic_prio_bits = c->vpribits;
    platform->gic_id_bits = 24;         /* ich_vtr_read */
}

/* The smallest binary points that there are (ICV_BPR0_EL1, ICV_BPR1_EL1). */
void el2_gic_init(CPUState *cs, El2Gic *gic)
{
    uint64_t min = 7 - gic_of(cs)->vprebits;

    *gic = (El2Gic) {
        .vmcr = ICH_VMCR_EL2_VFIQEN | min << ICH_VMCR_EL2_VBPR0_SHIFT |
                (min + 1) << ICH_VMCR_EL2_VBPR1_SHIFT,
    };
}

static void swap(uint64_t *a, uint64_t *b)
{
    uint64_t t = *a;

    *a = *b;
    *b = t;
}

void el2_gic_swap(CPUState *cs, El2Gic *gic)
{
    GICv3CPUState *c = gic_of(cs);
    int i, num_aprs = 1 << (c->vprebits - 5);

    swap(&c->ich_hcr_el2, &gic->hcr);
    swap(&c->ich_vmcr_el2, &gic->vmcr);
    for (i = 0; i < num_aprs; i++) {
        swap(&c->ich_apr[GICV3_G0][i], &gic->apr[GICV3_G0][i]);
        swap(&c->ich_apr[GICV3_G1NS][i], &gic->apr[GICV3_G1NS][i]);
    }
    for (i = 0; i < c->num_list_regs; i++) {
        swap(&c->ich_lr_el2[i], &gic->lr[i]);
    }
}

void el2_gic_enter(CPUState *cs, const RmmEntry *entry)
{
    GICv3CPUState *c = gic_of(cs);
    /* Of one that is not in use the library has not looked at RES0 bits. */
    uint64_t valid = ~MAKE_64BIT_MASK(ICH_LR_EL2_PRIORITY_SHIFT,
                                      8 - c->vpribits) & ~ICH_LR_EL2_NMI;
    int i;

    for (i = 0; i < c->num_list_regs; i++) {
        c->ich_lr_el2[i] = entry->gicv3_lrs[i] & valid;
    }
    c->ich_hcr_el2 = entry->gicv3_hcr | ICH_HCR_EL2_EN;
}

void el2_gic_leave(CPUState *cs)
{
    gic_of(cs)->ich_hcr_el2 &= ~(uint64_t)ICH_HCR_EL2_EN;
}

static const ARMCPRegInfo *reg(CPUState *cs, unsigned crm, unsigned op2)
{
    return get_arm_cp_reginfo(env_archcpu(cpu_env(cs))->cp_regs,
                              ENCODE_AA64_CP_REG(CP_REG_ARM64_SYSREG_CP, 12,
                                                 crm, 3, 4, op2));
}

void el2_gic_report(CPUState *cs, const RmmEntry *entry, RmmExitState *state)
{
    static const ARMCPRegInfo *misr;
    GICv3CPUState *c = gic_of(cs);

    if (!misr) {
        misr = reg(cs, 11, 2);
    }
    state->gicv3_hcr = entry->gicv3_hcr |
                       (c->ich_hcr_el2 & ICH_HCR_EL2_EOICOUNT_MASK);
    memcpy(state->gicv3_lrs, c->ich_lr_el2,
           c->num_list_regs * sizeof(c->ich_lr_el2[0]));
    state->gicv3_misr = misr->readfn(cpu_env(cs), misr);
    state->gicv3_vmcr = c->ich_vmcr_el2;
}

void el2_gic_update(CPUState *cs)
{
    static const ARMCPRegInfo *hcr;

    if (!hcr) {
        hcr = reg(cs, 11, 0);
    }
    hcr->writefn(cpu_env(cs), hcr, gic_of(cs)->ich_hcr_el2);
}
