/*
 * A host at EL2: what a Realm's PMU counts (see pmu.h)
 *
 * How: when a Realm writes an event's type, QEMU gets one whose NSK and NSU
 * are the Realm's RLK and RLU.  What was written, and is read again, is in the
 * upper half of QEMU's field, which PMUv3 reserves and QEMU never looks at; so
 * it is switched with the rest of the registers.  The host has the bits of
 * FEAT_RME too, which say nothing of what it does itself.
 *
 * Lock rule: BQL, which TCG takes for these registers.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/timer.h"
#include "system/cpu-timers.h"
#include "target/arm/cpu.h"
#include "target/arm/cpregs.h"
#include "target/arm/internals.h"
#include "accel/tcg/realm/machine/pmu.h"
#include "pe.h"
#include "pmu.h"

#define PMEVTYPER_RLK (1u << 22)
#define PMEVTYPER_RLU (1u << 21)
#define PMEVTYPER_RLH (1u << 20)

#define CYCLES 31               /* the counter of PMCCFILTR_EL0 */
#define VIEW_SHIFT 32

/* QEMU's own functions for PMCCFILTR_EL0, PMXEVTYPER_EL0, PMEVTYPER<n>_EL0 */
enum { FILTER, SELECTED, NUMBERED, KINDS };

static CPWriteFn *arm_write[KINDS];

static int kind_of(const ARMCPRegInfo *ri)
{
    if (ri->crn == 9) {
        return SELECTED;
    }
    return ri->crm == 15 && ri->opc2 == 7 ? FILTER : NUMBERED;
}

/* NULL: there is no such counter. */
static uint64_t *type_of(CPUARMState *env, const ARMCPRegInfo *ri)
{
    unsigned counter = kind_of(ri) == SELECTED ? env->cp15.c9_pmselr & 31
                       : (ri->crm & 3) << 3 | ri->opc2;

    if (counter == CYCLES) {
        return &env->cp15.pmccfiltr_el0;
    }
    return counter < pmu_num_counters(env) ? &env->cp15.c14_pmevtyper[counter]
                                           : NULL;
}

/* Those that QEMU has of the register, and those of FEAT_RME. */
static uint64_t bits_of(const CPUARMState *env, const uint64_t *type)
{
    return PMEVTYPER_RLK | PMEVTYPER_RLU | PMEVTYPER_RLH |
           (type == &env->cp15.pmccfiltr_el0 ? PMCCFILTR_EL0
                                             : PMXEVTYPER_MASK);
}

/* As if Realm EL1 and EL0 were those of the Non-secure world. */
static uint64_t translate(uint64_t value)
{
    return (value & ~(uint64_t)(PMXEVTYPER_NSK | PMXEVTYPER_NSU)) |
           (value & PMEVTYPER_RLK ? PMXEVTYPER_NSK : 0) |
           (value & PMEVTYPER_RLU ? PMXEVTYPER_NSU : 0);
}

static void write_type(CPUARMState *env, const ARMCPRegInfo *ri,
                       uint64_t value)
{
    CPWriteFn *write = arm_write[kind_of(ri)];
    uint64_t *type = type_of(env, ri);

    write(env, ri, el2_in_realm(env_cpu(env)) ? translate(value) : value);
    if (type) {
        *type = (uint32_t)*type | (value & bits_of(env, type)) << VIEW_SHIFT;
    }
}

static uint64_t read_type(CPUARMState *env, const ARMCPRegInfo *ri)
{
    uint64_t *type = type_of(env, ri);

    return type ? *type >> VIEW_SHIFT : 0;
}

/* ---- Overflow ---- */

/* One more event, and the counter overflows (PMOVSSET). */
static bool is_last(uint64_t count)
{
    return (uint32_t)count == UINT32_MAX;
}

/*
 * QEMU waits for the value before the overflow, and then for nothing: wait for
 * one event more.
 */
static void overflow_timer(void *opaque)
{
    ARMCPU *cpu = opaque;
    CPUARMState *env = &cpu->env;
    unsigned n = pmu_num_counters(env);
    uint32_t before = 0, after = 0;
    unsigned i;

    for (i = 0; i < n; i++) {
        before |= is_last(env->cp15.c14_pmevcntr[i]) << i;
    }
    arm_pmu_timer_cb(cpu);
    for (i = 0; i < n; i++) {
        after |= is_last(env->cp15.c14_pmevcntr[i]) << i;
    }
    if (after & ~before) {
        timer_mod_anticipate_ns(cpu->pmu_timer,
                                qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL) +
                                (icount_enabled() ? icount_to_ns(1) : 1));
    }
}

static void wrap(ARMCPU *cpu, unsigned crn, unsigned crm, unsigned op2)
{
    uint32_t key = ENCODE_AA64_CP_REG(CP_REG_ARM64_SYSREG_CP, crn, crm, 3, 3,
                                      op2);
    ARMCPRegInfo *ri = g_hash_table_lookup(cpu->cp_regs,
                                           (gpointer)(uintptr_t)key);

    if (ri) {
        arm_write[kind_of(ri)] = ri->writefn;
        ri->readfn = read_type;
        ri->writefn = write_type;
    }
}

void el2_pmu_realize(CPUState *cs)
{
    ARMCPU *cpu = ARM_CPU(cs);
    unsigned n;

    if (!arm_feature(&cpu->env, ARM_FEATURE_PMU)) {
        return;
    }
    realm_pmu_realize(cpu, overflow_timer);
    wrap(cpu, 14, 15, 7);
    wrap(cpu, 9, 13, 1);
    for (n = 0; n < pmu_num_counters(&cpu->env); n++) {
        wrap(cpu, 14, 12 + (n >> 3), n & 7);
    }
}
