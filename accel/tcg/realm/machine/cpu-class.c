/*
 * Realms under TCG: TCG's CPUs as PEs
 *
 * Purpose: make TCG's CPUs behave as PEs that run RECs: every translation
 * goes through stage 2 of the Realm, SMCs go to the RMM, and the host's debug
 * interfaces see nothing of the Realm's registers and memory.
 *
 * How: the class of the machine's CPUs gets copies of its ops tables with a
 * few functions wrapped, before the first CPU is created.  Nothing in the
 * translator is edited.
 *
 * Invariants: a TLB entry is made from what stage 2 says at that moment, and
 * is gone before the RMM acts on a change of stage 2 (call.c).
 *
 * Lock rule: realm_tlb_fill runs on vCPU threads without the BQL (stage2.c);
 * all else has the BQL, or excludes all vCPUs.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "accel/tcg/cpu-ops.h"
#include "exec/address-spaces.h"
#include "exec/cputlb.h"
#include "exec/exec-all.h"
#include "exec/gdbstub.h"
#include "system/accel-ops.h"
#include "target/arm/cpu.h"
#include "target/arm/cpu-features.h"
#include "target/arm/internals.h"
#include "target/arm/rmm/rmm-abi.h"
#include "accel/tcg/realm/trace.h"
#include "cpu-class.h"
#include "debug.h"
#include "features.h"
#include "pe.h"
#include "physmem.h"
#include "pmu.h"
#include "stage2.h"

/* What the CPU class had before. */
static const TCGCPUOps *arm_ops;
static const struct SysemuCPUOps *arm_sysemu_ops;
static DeviceRealize arm_realize;
static void (*arm_set_pc)(CPUState *cs, vaddr value);

/*
 * Stage 1 by Arm's code, then stage 2 by the RMM's tables.  A page that is
 * clean is entered without write permission, so that the first write comes
 * here and makes it dirty.
 */
static bool realm_tlb_fill(CPUState *cs, CPUTLBEntryFull *out, vaddr addr,
                           MMUAccessType type, int mmu_idx, MemOp memop,
                           int size, bool probe, uintptr_t ra)
{
    RealmAccess access = { .cs = cs, .va = addr, .type = type,
                           .mmu_idx = mmu_idx, .probe = probe, .ra = ra,
                           .walk = ARM_CPU(cs)->env.tlb_fi };

    if (!arm_ops->tlb_fill_align(cs, out, addr, type, mmu_idx, memop, size,
                                 probe, ra)) {
        return false;
    }
    access.ipa = out->phys_addr & TARGET_PAGE_MASK;
    access.lg_page_size = out->lg_page_size;
    return realm_stage2(&access, out);
}

/*
 * A vCPU whose REC is not entered executes nothing: it is halted, and
 * nothing wakes it up.
 */
static bool realm_has_work(CPUState *cs)
{
    return realm_pe_in_realm(cs) && arm_sysemu_ops->has_work(cs);
}

static bool realm_cpu_exec_halt(CPUState *cs)
{
    return arm_ops->cpu_exec_halt(cs) && realm_pe_in_realm(cs);
}

/* Hand the SMC that @cs executed to the RMM, and take what it answers. */
static void do_smc(CPUState *cs)
{
    CPUARMState *env = &ARM_CPU(cs)->env;
    RmmPe *pe = realm_pe(cs);

    trace_realm_cpu_smc(cs->cpu_index, env->xregs[0]);
    memcpy(pe->x, env->xregs, sizeof(pe->x));
    pe->pc = env->pc;
    realm_call(pe);
    if (pe->world == RMM_WORLD_HOST) {
        realm_host_ops->handle_exit(cs);
    }
    if (pe->world == RMM_WORLD_REALM) {
        memcpy(env->xregs, pe->x, sizeof(pe->x));
        env->pc = pe->pc;
    } else {
        cs->halted = 1;
    }
}

/*
 * The SMC instruction is not behind the vCPU until this has run.  If the
 * machine was reset before, it was the instruction of another Realm.
 */
static void smc_exclusive(CPUState *cs, run_on_cpu_data unused)
{
    RealmPe *pe = &realm_pes[cs->cpu_index];
    BQL_LOCK_GUARD();

    if (pe->smc_waits && realm_pe_in_realm(cs)) {
        ARM_CPU(cs)->env.pc += 4;
        do_smc(cs);
    }
    pe->smc_waits = false;
}

/* The identifier as the RMM decodes it (SMCCC 1.3, section 2.5.1). */
static uint32_t smc_fid(CPUState *cs)
{
    return (uint32_t)ARM_CPU(cs)->env.xregs[0] & ~SMCCC_SVE_HINT;
}

static void realm_do_interrupt(CPUState *cs)
{
    if (cs->exception_index != EXCP_SMC) {
        arm_ops->do_interrupt(cs);
    } else if (smc_fid(cs) == RSI_IPA_STATE_SET) {
        /*
         * Pages change hands: no other vCPU may be using them meanwhile.  If
         * the machine stops before that, the instruction is executed again.
         */
        ARM_CPU(cs)->env.pc -= 4;
        realm_pes[cs->cpu_index].smc_waits = true;
        async_safe_run_on_cpu(cs, smc_exclusive, RUN_ON_CPU_NULL);
        cs->exception_index = EXCP_INTERRUPT; /* no interrupt before that */
        cpu_loop_exit(cs);
    } else {
        do_smc(cs);
        if (cs->halted) {
            cs->exception_index = EXCP_HLT;
            cpu_loop_exit(cs);
        }
    }
}

/* QEMU's CPUs are PEs of one Realm, and of nothing else. */
static bool hides(CPUState *cs)
{
    return true;
}

/* The debugger's "continue at"; vCPUs themselves come here for PSCI. */
static void realm_set_pc(CPUState *cs, vaddr value)
{
    if (!realm_physmem_is_protected() || current_cpu) {
        arm_set_pc(cs, value);
    }
}

/*
 * A debugger stops vCPUs, one instruction after the other if it likes, as a
 * host may.  It does not learn where they are, so they do not stop at an
 * address either.
 */
static void refuse_breakpoints(void)
{
    ObjectClass *oc = object_class_by_name(ACCEL_OPS_NAME("tcg"));

    ACCEL_OPS_CLASS(oc)->insert_breakpoint = NULL;
}

/* RMM 1.0 hides MTE from Realms (A3.1.3, ID_AA64PFR1_EL1). */
static void hide_mte(ARMCPU *cpu)
{
    cpu->isar.id_aa64pfr1 = FIELD_DP64(cpu->isar.id_aa64pfr1, ID_AA64PFR1,
                                       MTE, 0);
}

/*
 * FP, SVE and system registers are read by functions of their own.  What is
 * left is the description of the core registers, and as many zeros: gdb waits
 * for ever after an answer to 'g' that is empty.
 */
static void drop_gdb_coprocessors(CPUState *cs)
{
    const GDBFeature *core = gdb_find_static_feature(
        cs->cc->gdb_core_xml_file);

    g_array_set_size(cs->gdb_regs, 1);
    cs->gdb_num_regs = cs->gdb_num_g_regs = core->num_regs;
}

static void realm_cpu_realize(DeviceState *dev, Error **errp)
{
    ERRP_GUARD();
    ARMCPU *cpu = ARM_CPU(dev);

    if (!object_property_set_link(OBJECT(dev), "memory",
                                  OBJECT(realm_physmem_root()), errp)) {
        return;
    }
    if (cpu->tag_memory) {
        if (!object_property_set_link(OBJECT(dev), "tag-memory",
                OBJECT(realm_physmem_tag_root(cpu->tag_memory)), errp)) {
            return;
        }
    } else {
        hide_mte(cpu);
    }
    if (!realm_choose_features(cpu, errp)) {
        return;
    }
    arm_realize(dev, errp);
    if (!*errp) {
        realm_pmu_realize(cpu, arm_pmu_timer_cb);
        drop_gdb_coprocessors(CPU(dev));
        /* The monitor's view of this CPU, not what the CPU accesses. */
        CPU(dev)->as = &address_space_memory;
    }
}

static void wrap_debug(CPUClass *cc)
{
    static struct SysemuCPUOps ops;

    arm_sysemu_ops = cc->sysemu_ops;
    ops = *arm_sysemu_ops;
    ops.has_work = realm_has_work;
    ops.legacy_vmsd = NULL; /* the RMM seals this state (context.c) */
    cc->sysemu_ops = &ops;

    realm_debug_class_init(cc, &ops, hides);
    arm_set_pc = cc->set_pc;
    cc->set_pc = realm_set_pc;
    refuse_breakpoints();
}

void realm_cpu_class_init(const char *cpu_type)
{
    static TCGCPUOps ops;
    ObjectClass *oc = object_class_by_name(cpu_type);
    CPUClass *cc = CPU_CLASS(oc);

    arm_ops = cc->tcg_ops;
    ops = *arm_ops;
    ops.tlb_fill_align = realm_tlb_fill;
    ops.do_interrupt = realm_do_interrupt;
    ops.cpu_exec_halt = realm_cpu_exec_halt;
    cc->tcg_ops = &ops;

    wrap_debug(cc);
    device_class_set_parent_realize(DEVICE_CLASS(oc), realm_cpu_realize,
                                    &arm_realize);
}
