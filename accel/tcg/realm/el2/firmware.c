/*
 * A host at EL2: what QEMU does as the firmware (see firmware.h)
 *
 * Purpose: what TF-A does on such a machine: EL3's registers, PSCI and SMCCC
 * discovery.  PSCI is Arm's code but for what that does not know.
 *
 * Invariants: no CPU of the machine ever runs code at EL3.
 *
 * Lock rule: BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qom/object.h"
#include "target/arm/arm-powerctl.h"
#include "target/arm/cpu.h"
#include "target/arm/cpu-features.h"
#include "target/arm/internals.h"
#include "target/arm/kvm-consts.h"
#include "target/arm/rmm/rmm-abi.h"
#include "accel/tcg/realm/el2.h"
#include "firmware.h"
#include "world.h"

/*
 * What Arm's code leaves out of EL3's registers: a CPU that offers FA64 has it
 * below EL3 only if SMCR_EL3 says so, and SCXTNUM_ELx and CNTPOFF_EL2 would
 * trap to EL3, which has no code.  SCR_EL3.GPF stays 0: EL2 takes granule
 * protection faults.
 */
static void complete_el3(CPUState *cs, run_on_cpu_data unused)
{
    ARMCPU *cpu = ARM_CPU(cs);

    if (cpu_isar_feature(aa64_scxtnum, cpu)) {
        cpu->env.cp15.scr_el3 |= SCR_ENSCXT;
    }
    if (cpu_isar_feature(aa64_ecv, cpu)) {
        cpu->env.cp15.scr_el3 |= SCR_ECVEN;
    }
    if (cpu_isar_feature(aa64_sme_fa64, cpu)) {
        cpu->env.vfp.smcr_el[3] |= R_SMCR_FA64_MASK;
    }
    arm_rebuild_hflags(&cpu->env);
}

void el2_firmware_reset(CPUState *cs)
{
    arm_emulate_firmware_reset(cs, 2);
    complete_el3(cs, RUN_ON_CPU_NULL);
}

void realm_el2_firmware_init(void)
{
    CPUState *cs;

    CPU_FOREACH(cs) {
        object_property_set_int(OBJECT(cs), "psci-conduit",
                                QEMU_PSCI_CONDUIT_SMC, &error_abort);
        object_property_set_bool(OBJECT(cs), "start-powered-off",
                                 cs != first_cpu, &error_abort);
    }
}

/*
 * The CPU that is turned on resets itself and sets EL3's registers.  That is
 * queued by the call, so what is queued behind it finds it done.
 */
static void cpu_on(CPUState *cs)
{
    CPUARMState *env = &ARM_CPU(cs)->env;
    uint64_t mpidr = env->xregs[1];

    el2_arm_do_interrupt(cs);
    if (env->xregs[0] == QEMU_PSCI_RET_SUCCESS) {
        async_run_on_cpu(arm_get_cpu_by_id(mpidr), complete_el3,
                         RUN_ON_CPU_NULL);
    }
}

static int64_t arch_features(uint32_t fid)
{
    return fid == SMCCC_FID_VERSION || fid == SMCCC_FID_ARCH_FEATURES
           ? 0 : SMCCC_NOT_SUPPORTED;
}

bool el2_firmware_call(CPUState *cs)
{
    uint64_t *x = ARM_CPU(cs)->env.xregs;

    switch ((uint32_t)x[0]) {
    case SMCCC_FID_VERSION:
        x[0] = SMCCC_VERSION_1_2;
        return true;
    case SMCCC_FID_ARCH_FEATURES:
        x[0] = arch_features(x[1]);
        return true;
    case QEMU_PSCI_1_0_FN_PSCI_FEATURES:
        if ((uint32_t)x[1] == SMCCC_FID_VERSION) {
            x[0] = QEMU_PSCI_RET_SUCCESS;
            return true;
        }
        return false;
    case QEMU_PSCI_0_1_FN_CPU_ON:
    case QEMU_PSCI_0_2_FN_CPU_ON:
    case QEMU_PSCI_0_2_FN64_CPU_ON:
        cpu_on(cs);
        return true;
    default:
        return false;
    }
}
