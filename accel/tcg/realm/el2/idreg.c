/*
 * A host at EL2: ID registers as a Realm sees them (see idreg.h)
 *
 * Lock rule: the vCPU's thread.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/registerfields.h"
#include "target/arm/cpu.h"
#include "target/arm/cpregs.h"
#include "target/arm/syndrome.h"
#include "idreg.h"

/* ISS of a system register access */
#define ISS_READ        BIT(0)
#define ISS_CRM(esr)    extract32(esr, 1, 4)
#define ISS_RT(esr)     extract32(esr, 5, 5)
#define ISS_CRN(esr)    extract32(esr, 10, 4)
#define ISS_OP1(esr)    extract32(esr, 14, 3)
#define ISS_OP2(esr)    extract32(esr, 17, 3)
#define ISS_OP0(esr)    extract32(esr, 20, 2)

/* CRm and op2 of S3_0_C0_* */
#define ID_REG(crm, op2) ((crm) << 3 | (op2))
#define REG_FIRST        ID_REG(1, 0)
#define REG_AA64         ID_REG(4, 0)
#define REG_LAST         ID_REG(7, 7)
#define REG_PFR0         ID_REG(4, 0)
#define REG_PFR1         ID_REG(4, 1)
#define REG_ZFR0         ID_REG(4, 4)
#define REG_SMFR0        ID_REG(4, 5)
#define REG_DFR0         ID_REG(5, 0)

static uint64_t machine_value(CPUARMState *env, unsigned id)
{
    ARMCPU *cpu = env_archcpu(env);
    const ARMCPRegInfo *ri = get_arm_cp_reginfo(
        cpu->cp_regs, ENCODE_AA64_CP_REG(CP_REG_ARM64_SYSREG_CP, 0, id >> 3, 3,
                                         0, id & 7));

    if (!ri) {
        return 0;
    }
    return ri->readfn ? ri->readfn(env, ri) : ri->resetvalue;
}

#define SET(reg, field, to) \
    (value = FIELD_DP64(value, reg, field, to))
#define CLEAR(reg, field) SET(reg, field, 0)
#define LIMIT(reg, field, max) \
    SET(reg, field, MIN(FIELD_EX64(value, reg, field), (uint64_t)(max)))

/* AArch64 only; no EL2.  EL3 stays: without it SMC would be undefined. */
static uint64_t pfr0(uint64_t value, const RmmRecConfig *config)
{
    SET(ID_AA64PFR0, EL0, 1);
    SET(ID_AA64PFR0, EL1, 1);
    CLEAR(ID_AA64PFR0, EL2);
    CLEAR(ID_AA64PFR0, SEL2);
    CLEAR(ID_AA64PFR0, MPAM);
    CLEAR(ID_AA64PFR0, AMU);
    CLEAR(ID_AA64PFR0, RME);
    if (!config->sve) {
        CLEAR(ID_AA64PFR0, SVE);
    }
    return value;
}

static uint64_t pfr1(uint64_t value)
{
    CLEAR(ID_AA64PFR1, MTE);
    CLEAR(ID_AA64PFR1, MPAM_FRAC);
    CLEAR(ID_AA64PFR1, SME);
    CLEAR(ID_AA64PFR1, NMI);
    CLEAR(ID_AA64PFR1, MTE_FRAC);
    CLEAR(ID_AA64PFR1, GCS);
    CLEAR(ID_AA64PFR1, THE);
    CLEAR(ID_AA64PFR1, MTEX);
    CLEAR(ID_AA64PFR1, DF2);
    return value;
}

/* Numbers are minus one; that of breakpoints with a context is no more. */
static uint64_t dfr0(uint64_t value, const RmmRecConfig *config)
{
    CLEAR(ID_AA64DFR0, TRACEVER);
    CLEAR(ID_AA64DFR0, PMSVER);
    CLEAR(ID_AA64DFR0, TRACEFILT);
    CLEAR(ID_AA64DFR0, TRACEBUFFER);
    CLEAR(ID_AA64DFR0, MTPMU);
    CLEAR(ID_AA64DFR0, BRBE);
    CLEAR(ID_AA64DFR0, EXTTRCBUFF);
    CLEAR(ID_AA64DFR0, HPMN0);
    LIMIT(ID_AA64DFR0, BRPS, config->num_bps);
    LIMIT(ID_AA64DFR0, CTX_CMPS, config->num_bps);
    LIMIT(ID_AA64DFR0, WRPS, config->num_wps);
    if (!config->pmu) {
        CLEAR(ID_AA64DFR0, PMUVER);
    }
    return value;
}

static uint64_t realm_value(uint64_t value, unsigned id,
                            const RmmRecConfig *config)
{
    switch (id) {
    case REG_PFR0:
        return pfr0(value, config);
    case REG_PFR1:
        return pfr1(value);
    case REG_ZFR0:
        return config->sve ? value : 0;
    case REG_SMFR0:
        return 0;
    case REG_DFR0:
        return dfr0(value, config);
    default:
        /* Those of AArch32 are UNKNOWN where there is none. */
        return id < REG_AA64 ? 0 : value;
    }
}

bool el2_idreg_read(CPUState *cs, const RmmRecConfig *config, uint32_t esr,
                    unsigned *rt, uint64_t *value)
{
    unsigned id = ID_REG(ISS_CRM(esr), ISS_OP2(esr));

    if (syn_get_ec(esr) != EC_SYSTEMREGISTERTRAP || !(esr & ISS_READ) ||
        ISS_OP0(esr) != 3 || ISS_OP1(esr) != 0 || ISS_CRN(esr) != 0 ||
        id < REG_FIRST || id > REG_LAST) {
        return false;
    }
    *rt = ISS_RT(esr);
    *value = realm_value(machine_value(cpu_env(cs), id), id, config);
    return true;
}
