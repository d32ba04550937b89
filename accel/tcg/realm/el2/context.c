/*
 * A host at EL2: a PE's registers, taken out and put in (see context.h)
 *
 * How: whole structures of QEMU's CPU state are exchanged, so that a register
 * that nobody thought of is switched too.  EL2 is the RMM's while a Realm runs:
 * a context of a REC has values for its registers as well.  Of EL3, whose code
 * never runs, it has what the firmware set, but for the bits that say which
 * world this is.
 *
 * The PE's own, which stay: the timers of EL2 and EL3, and what the PMU's
 * counters are counted from.
 *
 * Lock rule: BQL for el2_context_swap and _settle, since timers and interrupt
 * lines are touched.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "target/arm/cpu.h"
#include "target/arm/cpu-features.h"
#include "target/arm/internals.h"
#include "context.h"
#include "timer.h"
#include "tlb.h"

/* Of a vector register, what a Realm without SVE has */
#define V_BYTES 16

/* ---- A new REC ---- */

/* EL1h, AArch64, all exceptions masked. */
static void init_pstate(El2Context *c)
{
    c->pstate = PSTATE_MODE_EL1h;
    c->aarch64 = true;
    c->daif = PSTATE_DAIF;
    c->CF = c->VF = c->NF = 0;
    c->ZF = 1;                  /* Z is clear */
    c->btype = 0;
}

/* What EL3 set up for the Non-secure world, without what traps to it. */
static void init_el3(El2Context *c, const CPUARMState *env)
{
    uint64_t *scr = &c->cp15.scr_el3;

    *scr = env->cp15.scr_el3;
    *scr |= SCR_NS | SCR_NSE;
    /* HVC is undefined in a Realm, and there the PC is that of the HVC. */
    *scr &= ~(SCR_HCE | SCR_GPF);
    c->cp15.cptr_el[3] = env->cp15.cptr_el[3];
    c->cp15.mdcr_el3 = env->cp15.mdcr_el3;
    c->cp15.sctlr_el[3] = env->cp15.sctlr_el[3];
    c->cp15.vbar_el[3] = env->cp15.vbar_el[3];
    c->cp15.rvbar = env->cp15.rvbar;
    c->cp15.nsacr = env->cp15.nsacr;
    c->cp15.gpccr_el3 = env->cp15.gpccr_el3;
    c->cp15.gptbr_el3 = env->cp15.gptbr_el3;
    c->cp15.c0_cpuid = env->cp15.c0_cpuid;
    c->cp15.c14_cntfrq = env->cp15.c14_cntfrq;
    c->vfp.zcr_el[3] = env->vfp.zcr_el[3];
    c->vfp.smcr_el[3] = env->vfp.smcr_el[3];
}

/*
 * What the RMM needs of EL2: interrupts go there, and all that a Realm does
 * not have.  Stage 2 is off: QEMU must not walk one, access.c does.
 */
static uint64_t hcr_el2(ARMCPU *cpu)
{
    uint64_t hcr = HCR_RW | HCR_IMO | HCR_FMO | HCR_AMO | HCR_TID3 | HCR_TSW |
                   HCR_TACR | HCR_TIDCP;

    if (cpu_isar_feature(aa64_pauth, cpu)) {
        hcr |= HCR_API | HCR_APK;
    }
    if (cpu_isar_feature(aa64_mte, cpu)) {
        hcr |= HCR_TID5;
    }
    if (cpu_isar_feature(aa64_scxtnum, cpu)) {
        hcr |= HCR_ENSCXT;
    }
    return hcr;
}

static uint64_t mdcr_el2(const RmmRecConfig *config)
{
    return config->pmu ? config->pmu_num_ctrs : MDCR_TPM | MDCR_TPMCR;
}

static void init_el2(El2Context *c, ARMCPU *cpu)
{
    const RmmRecConfig *config = &c->config;

    c->cp15.hcr_el2 = hcr_el2(cpu);
    c->cp15.hcrx_el2 = cpu_isar_feature(aa64_mops, cpu) ? HCRX_MSCEN : 0;
    c->cp15.cptr_el[2] = R_CPTR_EL2_TAM_MASK | R_CPTR_EL2_TSM_MASK |
                         (config->sve ? 0 : R_CPTR_EL2_TZ_MASK);
    c->cp15.mdcr_el2 = mdcr_el2(config);
    c->cp15.cnthctl_el2 = R_CNTHCTL_EL1PCTEN_E2H0_MASK |
                          R_CNTHCTL_EL1PCEN_E2H0_MASK;
    c->cp15.vpidr_el2 = cpu->midr;
    c->cp15.vmpidr_el2 = config->mpidr | BIT_ULL(31);
    c->vfp.zcr_el[2] = config->sve ? config->sve_vl : 0;
}

/* Of EL1 and EL0, what is not zero at reset. */
static void init_el1(El2Context *c, ARMCPU *cpu)
{
    c->cp15.sctlr_el[1] = cpu->reset_sctlr;
    c->cp15.oslsr_el1 = 0xa;    /* OSLM is 0b10; OSLK: it is locked */
    c->cp15.c9_pmcr = cpu->isar.reset_pmcr_el0;
    c->cp15.mdscr_el1 = BIT(12);        /* TDCC: no debug channel at EL0 */
    init_pstate(c);
}

/*
 * Of the floating point environment QEMU keeps what is derived from FPCR and
 * what never changes in one place: take that of the host, and have it zeroed
 * when the REC runs first.
 */
static void init_fp(El2Context *c, const CPUARMState *env)
{
    memcpy(c->vfp.fp_status, env->vfp.fp_status, sizeof(c->vfp.fp_status));
    memcpy(c->vfp.xregs, env->vfp.xregs, sizeof(c->vfp.xregs));
    c->vfp.xregs[ARM_VFP_FPEXC] = 0;
    c->vfp.fpcr = env->vfp.fpcr;
    c->fresh = true;
}

void *el2_context_new(void *opaque, const RmmRecConfig *config)
{
    El2Context *c = g_new0(El2Context, 1);
    CPUARMState *env = cpu_env(current_cpu);
    ARMCPU *cpu = env_archcpu(env);

    c->config = *config;
    el2_gic_init(current_cpu, &c->gic);
    init_el3(c, env);
    init_el2(c, cpu);
    init_el1(c, cpu);
    init_fp(c, env);
    return c;
}

void el2_context_free(void *opaque, void *context)
{
    el2_tlb_forget(context);
    explicit_bzero(context, sizeof(El2Context));
    g_free(context);
}

/* ---- Exchange ---- */

/* Inline: with a length that the compiler knows, a field is a few moves. */
static inline QEMU_ALWAYS_INLINE void swap_bytes(void *a, void *b, size_t n)
{
    uint8_t *p = a, *q = b;
    uint8_t chunk[64];

    for (; n >= sizeof(chunk); n -= sizeof(chunk)) {
        memcpy(chunk, p, sizeof(chunk));
        memcpy(p, q, sizeof(chunk));
        memcpy(q, chunk, sizeof(chunk));
        p += sizeof(chunk);
        q += sizeof(chunk);
    }
    if (n) {
        memcpy(chunk, p, n);
        memcpy(p, q, n);
        memcpy(q, chunk, n);
    }
}

#define SWAP(field) do { \
        QEMU_BUILD_BUG_ON(sizeof(env->field) != sizeof(c->field)); \
        swap_bytes(&env->field, &c->field, sizeof(c->field)); \
    } while (0)

static void swap_core(CPUARMState *env, El2Context *c)
{
    SWAP(elr_el);
    SWAP(sp_el);
    SWAP(banked_spsr);
    SWAP(banked_r13);
    SWAP(banked_r14);
    SWAP(usr_regs);
    SWAP(fiq_regs);
    SWAP(regs);
    SWAP(xregs);
    SWAP(pc);
    SWAP(pstate);
    SWAP(aarch64);
    SWAP(thumb);
    SWAP(uncached_cpsr);
    SWAP(spsr);
    SWAP(CF);
    SWAP(VF);
    SWAP(NF);
    SWAP(ZF);
    SWAP(QF);
    SWAP(GE);
    SWAP(condexec_bits);
    SWAP(btype);
    SWAP(daif);
    SWAP(svcr);
    SWAP(serror);
    SWAP(keys);
    SWAP(scxtnum_el);
}

/*
 * A Realm without SVE reaches no more than V<n>, whatever the host's vector
 * length: the rest may stay where it is.  With SVE, QEMU zeroes all of it when
 * the Realm shortens its vectors.
 */
static void swap_vectors(CPUARMState *env, El2Context *c)
{
    unsigned i;

    if (c->config.sve) {
        SWAP(vfp.zregs);
        SWAP(vfp.pregs);
        return;
    }
    for (i = 0; i < ARRAY_SIZE(c->vfp.zregs); i++) {
        swap_bytes(&env->vfp.zregs[i], &c->vfp.zregs[i], V_BYTES);
    }
}

static void swap_fp(CPUARMState *env, El2Context *c)
{
    swap_vectors(env, c);
    SWAP(vfp.qc);
    SWAP(vfp.fpsr);
    SWAP(vfp.fpcr);
    SWAP(vfp.vec_len);          /* FPCR.Len */
    SWAP(vfp.vec_stride);       /* FPCR.Stride */
    SWAP(vfp.fp_status);
    SWAP(vfp.zcr_el);
    SWAP(vfp.smcr_el);
    SWAP(vfp.xregs);
}

/*
 * The counters of one world do not count what the other does: they go on from
 * here.  With none enabled, QEMU only takes note of what it counts from; it
 * does so too when the first is enabled.
 */
static void restart_pmu(CPUARMState *env)
{
    uint64_t enabled = env->cp15.c9_pmcnten;

    if (enabled) {
        env->cp15.c9_pmcnten = 0;
        pmu_op_start(env);
        env->cp15.c9_pmcnten = enabled;
    }
}

static void swap_cp15(CPUARMState *env, El2Context *c)
{
    int timer;

    SWAP(cp15);
    for (timer = 0; timer < NUM_GTIMERS; timer++) {
        if (timer != GTIMER_PHYS && timer != GTIMER_VIRT) {
            SWAP(cp15.c14_timer[timer]);
        }
    }
}

/* DBGBCR<n>_EL1.E and DBGWCR<n>_EL1.E */
static bool debug_is_on(const CPUARMState *env)
{
    uint64_t any = 0;
    int i;

    for (i = 0; i < ARRAY_SIZE(env->cp15.dbgbcr); i++) {
        any |= env->cp15.dbgbcr[i] | env->cp15.dbgwcr[i];
    }
    return any & 1;
}

void el2_context_swap(CPUState *cs, El2Context *c)
{
    CPUARMState *env = cpu_env(cs);
    El2Pe *p = el2_pe(cs);

    p->timers_were_on = el2_timer_is_on(cs);
    p->debug_was_on = debug_is_on(env);
    aarch64_save_sp(env, arm_current_el(env));
    swap_core(env, c);
    swap_cp15(env, c);
    swap_fp(env, c);
    el2_gic_swap(cs, &c->gic);
    aarch64_restore_sp(env, arm_current_el(env));
    if (c->fresh) {
        c->fresh = false;
        vfp_set_fpcr(env, 0);
        vfp_set_fpsr(env, 0);
    }
    arm_clear_exclusive(env);
    restart_pmu(env);
}

/* ---- What follows from registers ---- */

void el2_context_settle(CPUState *cs)
{
    CPUARMState *env = cpu_env(cs);
    ARMCPU *cpu = env_archcpu(env);

    if (el2_pe(cs)->debug_was_on || debug_is_on(env)) {
        hw_breakpoint_update_all(cpu);
        hw_watchpoint_update_all(cpu);
    }
    el2_gic_update(cs);
    if (cpu_isar_feature(aa64_nmi, cpu)) {
        arm_cpu_update_vfnmi(cpu);
        arm_cpu_update_vinmi(cpu);
    }
    arm_cpu_update_vserr(cpu);
    arm_cpu_update_vfiq(cpu);
    arm_cpu_update_virq(cpu);
    arm_call_el_change_hook(cpu);
    arm_rebuild_hflags(env);
    cs->interrupt_request |= CPU_INTERRUPT_EXITTB;
}
