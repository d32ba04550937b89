/*
 * Cases: registers, which are those of one world and of one REC alone
 *
 * Expected values: RMM 1.0, A2.1.2 and A4.2: a Realm's registers are its own,
 * and an entry leaves the host's as they were.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "realm.h"

#define WFI_INSTRUCTION 0xd503207f
#define SMC_INSTRUCTION 0xd4000003

/*
 * Registers of EL2 that hold any value while EL2 runs: name, bits to set.  The
 * traps of the first ones concern EL1 and EL0.
 */
#define EL2_REGISTERS(ROW) \
    ROW(hcr_el2, 0x00000300057c0000) \
    ROW(hstr_el2, 0x80fe) \
    ROW(mdcr_el2, 0x0ee0) \
    ROW(s3_4_c1_c1_4, 0x3fffffffffff) \
    ROW(s3_4_c1_c1_5, 0x3fffffffffff) \
    ROW(s3_4_c1_c1_6, 0xfffffffffff) \
    ROW(s3_4_c3_c1_4, 0x0fffffff) \
    ROW(s3_4_c3_c1_5, 0x0fffffff) \
    ROW(vttbr_el2, 0x00ff0000fffff000) \
    ROW(vtcr_el2, 0x0007003f) \
    ROW(cntvoff_el2, ~0) \
    ROW(cnthctl_el2, 0x3) \
    ROW(cnthp_cval_el2, ~0) \
    ROW(vpidr_el2, 0xffffffff) \
    ROW(vmpidr_el2, 0xffffff) \
    ROW(tpidr_el2, ~0) \
    ROW(esr_el2, 0xffffffff) \
    ROW(far_el2, ~0) \
    ROW(hpfar_el2, 0xffffffff0) \
    ROW(elr_el2, ~0) \
    ROW(spsr_el2, 0xf00003c9) \
    ROW(sp_el1, ~0) \
    ROW(contextidr_el2, 0xffffffff) \
    ROW(s3_4_c13_c0_7, ~0) \
    ROW(cnthv_cval_el2, ~0) \
    ROW(s3_0_c4_c6_0, 0xf0) \
    ROW(s3_0_c12_c12_3, 0x7)

/* Registers of EL2 that have to keep what they have */
#define EL2_FIXED(ROW) \
    ROW(sctlr_el2) ROW(tcr_el2) ROW(ttbr0_el2) ROW(mair_el2) ROW(vbar_el2) \
    ROW(cptr_el2) ROW(cnthp_ctl_el2) ROW(s3_4_c12_c9_5) ROW(s3_0_c12_c12_5) \
    ROW(s3_0_c12_c12_7) ROW(s3_0_c12_c12_4) ROW(mpidr_el1) ROW(daif) \
    ROW(spsel) ROW(currentel) ROW(sctlr_el1) ROW(cpacr_el1) ROW(cntv_ctl_el0) \
    ROW(cntp_ctl_el0) ROW(cntv_cval_el0) ROW(cntp_cval_el0) ROW(pmcr_el0) \
    ROW(pmcntenset_el0) ROW(pmccfiltr_el0) ROW(pmselr_el0) ROW(pmuserenr_el0) \
    ROW(pmintenset_el1) ROW(pmevtyper0_el0) ROW(midr_el1) ROW(oslsr_el1)

enum el2_register {
#define ROW(name, bits) SET_##name,
    EL2_REGISTERS(ROW)
#undef ROW
    EL2_SET,
#define ROW(name) FIXED_##name,
    EL2_FIXED(ROW)
#undef ROW
    EL2_COUNT
};

static const char *const el2_names[] = {
#define ROW(name, bits) #name,
    EL2_REGISTERS(ROW)
#undef ROW
#define ROW(name) #name,
    EL2_FIXED(ROW)
#undef ROW
};

static const char *const el1_names[] = {
#define ROW(name, bits, el12) #name,
    EL1_REGISTERS(ROW)
#undef ROW
};

static void el2_read(uint64_t value[EL2_COUNT])
{
#define ROW(name, bits) value[SET_##name] = READ(name);
    EL2_REGISTERS(ROW)
#undef ROW
#define ROW(name) value[FIXED_##name] = READ(name);
    EL2_FIXED(ROW)
#undef ROW
}

static void el2_write(const uint64_t value[EL2_COUNT])
{
#define ROW(name, bits) WRITE(name, value[SET_##name]);
    EL2_REGISTERS(ROW)
#undef ROW
}

static void el2_pattern(uint64_t seed, const uint64_t was[EL2_COUNT],
                        uint64_t value[EL2_COUNT])
{
#define ROW(name, bits) \
    value[SET_##name] = (was[SET_##name] & ~(uint64_t)(bits)) | \
                        (pattern(seed, SET_##name) & (uint64_t)(bits));
    EL2_REGISTERS(ROW)
#undef ROW
}

/* ---- The host's ---- */

struct host_registers {
    struct regs regs;
    uint64_t el1[EL1_REGISTER_COUNT];
    uint64_t el2[EL2_COUNT];
};

/* One entry, with every register of the host's set before and read behind. */
static void enter_with(struct rec *rec, uint64_t seed,
                       struct host_registers *before,
                       struct host_registers *after)
{
    uint64_t el1_was[EL1_REGISTER_COUNT], el2_was[EL2_COUNT];

    el1_registers_read(el1_was, host_has_e2h());
    el2_read(el2_was);
    regs_pattern(seed, &before->regs);
    before->regs.x[0] = RMI_REC_ENTER;
    before->regs.x[1] = rec->pa;
    before->regs.x[2] = (uint64_t)rec->run;
    for (unsigned n = 3; n < 7; n++) {
        before->regs.x[n] = 0;
    }
    after->regs = before->regs;
    el1_registers_pattern(seed, before->el1);
    el1_registers_write(before->el1, host_has_e2h());
    el1_registers_read(before->el1, host_has_e2h());
    el2_pattern(seed, el2_was, before->el2);
    el2_write(before->el2);
    el2_read(before->el2);
    smc_regs_v(&after->regs);
    el2_read(after->el2);
    el2_write(el2_was);
    el1_registers_read(after->el1, host_has_e2h());
    el1_registers_write(el1_was, host_has_e2h());
    __atomic_fetch_add(&figures.calls, 1, __ATOMIC_RELAXED);
    figures.entries += after->regs.x[0] == 0;
}

static void compare(const char *const *names, unsigned count,
                    const uint64_t *before, const uint64_t *after)
{
    for (unsigned n = 0; n < count; n++) {
        EXPECT(after[n], before[n], names[n]);
    }
}

static void expect_same(const struct host_registers *before,
                        const struct host_registers *after)
{
    for (unsigned n = 5; n < 31; n++) {
        if (after->regs.x[n] != before->regs.x[n]) {
            test_failed_number("the host's X", n, "after an entry",
                               before->regs.x[n], after->regs.x[n]);
        }
    }
    for (unsigned n = 0; n < 64; n++) {
        if (after->regs.v[n / 2][n % 2] != before->regs.v[n / 2][n % 2]) {
            test_failed_number("half of the host's V", n / 2,
                               "after an entry",
                               before->regs.v[n / 2][n % 2],
                               after->regs.v[n / 2][n % 2]);
        }
    }
    EXPECT(after->regs.fpcr, before->regs.fpcr, "the host's FPCR");
    EXPECT(after->regs.fpsr, before->regs.fpsr, "the host's FPSR");
    compare(el1_names, EL1_REGISTER_COUNT, before->el1, after->el1);
    compare(el2_names, EL2_COUNT, before->el2, after->el2);
}

static void expect_unchanged(const RmiRecExit *exit)
{
    if (exit->gprs[2]) {
        EXPECT(exit->gprs[4], exit->gprs[3],
               el1_names[63 - __builtin_clzl(exit->gprs[2])]);
    }
    EXPECT(exit->gprs[0], 0, "X registers of the Realm that changed");
    EXPECT(exit->gprs[1], 0, "V registers of the Realm that changed");
    EXPECT(exit->gprs[2], 0, "system registers of the Realm that changed");
}

/* The host's registers are @host, the Realm's are another pattern; it waits. */
static void both_worlds(struct rec *rec, uint64_t seed)
{
    static struct host_registers before, after;
    RmiRecExit *exit;

    rec_executed(rec, SNIPPET("nop"), 0, 0, 0);
    rec->run->enter.flags = RMI_ENTER_TRAP_WFI;
    exit = COMMAND(rec, REALM_REGISTERS, seed, WFI_INSTRUCTION, 0);
    EXPECT(exit->exit_reason, RMI_EXIT_SYNC, "the exit's reason");
    EXPECT(ESR_EC(exit->esr), EC_WFX, "the exit's class");
    enter_with(rec, seed + 1, &before, &after);
    EXPECT(after.regs.x[0], RMI_SUCCESS, "REC_ENTER");
    rec_expect_done(&rec->run->exit);
    expect_same(&before, &after);
    expect_unchanged(&rec->run->exit);
}

static void preserved(void)
{
    struct realm *realm = realm_start(1);

    for (uint64_t n = 0; n < 4; n++) {
        both_worlds(&realm->recs[0], 2 * n);
    }
    realm_end(realm);
}
CASE("registers", "an entry preserves the host's registers, and an exit the "
     "Realm's", preserved);

static void preserved_on_each_cpu(void *arg)
{
    preserved();
}

static void preserved_elsewhere(void)
{
    for (unsigned n = 1; n < cpu_count(); n++) {
        cpu_run(n, preserved_on_each_cpu, NULL);
    }
}
CASE("registers", "so it is on every CPU", preserved_elsewhere);

static void after_cpu_on(void)
{
    for (unsigned n = 1; n < cpu_count(); n++) {
        cpu_off_and_on(n);
        cpu_run(n, preserved_on_each_cpu, NULL);
    }
}
CASE("registers", "so it is on a CPU that was turned off and on", after_cpu_on);

struct moved {
    struct rec *rec;
    uint64_t flags;
};

static void enter_here(void *arg)
{
    struct moved *moved = arg;

    moved->rec->run->enter.flags = moved->flags;
    rec_enter(moved->rec);
}

static void moved(void)
{
    struct realm *realm = realm_start(1);
    struct rec *rec = &realm->recs[0];

    rec_executed(rec, SNIPPET("nop"), 0, 0, 0);
    for (unsigned n = 0; n < 2 * cpu_count(); n++) {
        struct moved there = { rec, 0 };

        rec->run->enter.flags = RMI_ENTER_TRAP_WFI;
        COMMAND(rec, REALM_REGISTERS, n, WFI_INSTRUCTION, 0);
        EXPECT(ESR_EC(rec->run->exit.esr), EC_WFX, "the exit's class");
        cpu_run((n + 1) % cpu_count(), enter_here, &there);
        rec_expect_done(&rec->run->exit);
        expect_unchanged(&rec->run->exit);
    }
    realm_end(realm);
}
CASE("registers", "a REC's registers go with it to another CPU", moved);

static void interrupted(void)
{
    struct realm *realm = realm_start(1);
    struct rec *rec = &realm->recs[0];
    RmiRecExit *exit;

    rec_executed(rec, SNIPPET("nop"), 0, 0, 0);
    rec->run->enter.flags = RMI_ENTER_TRAP_WFI;
    exit = COMMAND(rec, REALM_REGISTERS, 5, WFI_INSTRUCTION, 0);
    EXPECT(ESR_EC(exit->esr), EC_WFX, "the exit's class");
    for (unsigned n = 0; n < 10; n++) {
        exit = rec_enter_for(rec, 0);
        EXPECT(exit->exit_reason, RMI_EXIT_IRQ,
               "the reason when an interrupt is pending at entry");
    }
    exit = rec_enter(rec);
    rec_expect_done(exit);
    expect_unchanged(exit);
    realm_end(realm);
}
CASE("registers", "interrupts change no register of a Realm", interrupted);

static void two_realms(void)
{
    struct realm *a = realm_start(1), *b = realm_start(1);
    struct rec *recs[2] = { &a->recs[0], &b->recs[0] };
    RmiRecExit *exit;

    for (unsigned turn = 0; turn < 4; turn++) {
        for (unsigned n = 0; n < 2; n++) {
            rec_executed(recs[n], SNIPPET("nop"), 0, 0, 0);
            recs[n]->run->enter.flags = RMI_ENTER_TRAP_WFI;
            exit = COMMAND(recs[n], REALM_REGISTERS, 10 * turn + n,
                           WFI_INSTRUCTION, 0);
            EXPECT(ESR_EC(exit->esr), EC_WFX, "the exit's class");
        }
        for (unsigned n = 0; n < 2; n++) {
            exit = rec_enter(recs[n]);
            rec_expect_done(exit);
            expect_unchanged(exit);
        }
    }
    realm_end(a);
    realm_end(b);
}
CASE("registers", "two Realms that wait do not see each other's registers",
     two_realms);

static void smc_keeps(void)
{
    struct realm *realm = realm_start(1);
    RmiRecExit *exit = COMMAND(&realm->recs[0], REALM_REGISTERS, 8,
                               SMC_INSTRUCTION, 1);

    rec_expect_done(exit);
    expect_unchanged(exit);
    realm_end(realm);
}
CASE("registers", "an SMC that is not supported changes a Realm's X0 alone",
     smc_keeps);

/* ---- Neither world sees the other's ---- */

static void fresh_rec(void)
{
    static const char *const names[] = {
        "TPIDR_EL0", "TPIDR_EL1", "TTBR0_EL1", "MAIR_EL1", "CONTEXTIDR_EL1",
        "SP_EL0", "FAR_EL1", "D8", "D31", "DBGBVR0_EL1", "PAR_EL1",
    };
    const struct snippet codes[] = {
        SNIPPET("mrs x0, tpidr_el0"), SNIPPET("mrs x0, tpidr_el1"),
        SNIPPET("mrs x0, ttbr0_el1"), SNIPPET("mrs x0, mair_el1"),
        SNIPPET("mrs x0, contextidr_el1"), SNIPPET("mrs x0, sp_el0"),
        SNIPPET("mrs x0, far_el1"), SNIPPET("fmov x0, d8"),
        SNIPPET("fmov x0, d31"), SNIPPET("mrs x0, dbgbvr0_el1"),
        SNIPPET("mrs x0, par_el1"),
    };
    static struct host_registers before, after;
    struct realm *realm = realm_start(1);
    struct rec *rec = &realm->recs[0];

    enter_with(rec, 3, &before, &after);
    EXPECT(rec->run->exit.imm, REALM_READY, "the first host call");
    rec->ready = true;
    for (unsigned n = 0; n < sizeof(codes) / sizeof(*codes); n++) {
        RmiRecExit *exit = rec_executed(rec, codes[n], 0, 0, 0);

        for (unsigned i = 0; i < EL1_REGISTER_COUNT; i++) {
            EXPECT_TRUE(exit->gprs[0] == 0 ||
                        exit->gprs[0] != before.el1[i], names[n]);
        }
        for (unsigned i = 0; i < 64; i++) {
            EXPECT_TRUE(exit->gprs[0] != before.regs.v[i / 2][i % 2],
                        names[n]);
        }
    }
    realm_end(realm);
}
CASE("registers", "a new REC has nothing of the host's registers", fresh_rec);

static void traps_of_the_host(void)
{
    const struct snippet codes[] = {
        SNIPPET("mrs x0, tpidr_el1\n msr tpidr_el1, x0"),
        SNIPPET("mrs x0, ttbr0_el1\n msr ttbr0_el1, x0"),
        SNIPPET("mrs x0, cntpct_el0\n mrs x0, cntp_ctl_el0"),
        SNIPPET("mrs x0, cntvct_el0\n mrs x0, cntv_ctl_el0"),
        SNIPPET("mrs x0, mdscr_el1\n mrs x0, dbgbvr0_el1"),
        SNIPPET("tlbi vmalle1\n dsb sy\n ic iallu\n dc civac, x1"),
        SNIPPET("fmov d0, x0\n fmov x0, d0"),
        SNIPPET("mrs x0, sctlr_el1\n msr sctlr_el1, x0"),
        SNIPPET("mrs x0, esr_el1\n mrs x0, mpidr_el1\n mrs x0, midr_el1"),
        SNIPPET("paciasp\n autiasp"),
    };
    struct realm *realm = realm_start(1);
    struct rec *rec = &realm->recs[0];
    uint64_t was[EL2_COUNT], traps[EL2_COUNT];

    rec_executed(rec, SNIPPET("nop"), 0, 0, 0);
    el2_read(was);
    memcpy(traps, was, sizeof(was));
    traps[SET_hcr_el2] |= 0x47ffe000;       /* TVM, TRVM, TTLB, TIDCP.. */
    traps[SET_hcr_el2] &= ~(3ul << 40);     /* PAuth is trapped */
    traps[SET_hstr_el2] = 0x80fe;
    traps[SET_mdcr_el2] |= 0x0fe0;          /* TDE, TDA, TPM.. */
    traps[SET_cnthctl_el2] = 0;
    traps[SET_s3_4_c1_c1_4] = 0x3fffffffffff;
    traps[SET_s3_4_c1_c1_5] = 0x3fffffffffff;
    traps[SET_s3_4_c1_c1_6] = 0xfffffffffff;
    traps[SET_s3_4_c3_c1_4] = 0x0fffffff;
    traps[SET_s3_4_c3_c1_5] = 0x0fffffff;
    for (unsigned n = 0; n < sizeof(codes) / sizeof(*codes); n++) {
        RmiRecExit *exit;

        el2_write(traps);
        WRITE(cptr_el2, host_has_e2h() ? 0 : 0x22ff | 1 << 10 | 1 << 8);
        exit = rec_execute(rec, codes[n], 0, REALM_CODE, 0);
        WRITE(cptr_el2, host_cptr());
        el2_write(was);
        rec_expect_done(exit);
        EXPECT(GOT_EXCEPTIONS(exit), 0, "exceptions by the host's traps");
    }
    realm_end(realm);
}
CASE("registers", "the host's traps do not reach a Realm", traps_of_the_host);

static void affinity(void)
{
    struct realm *realm = realm_start(3);

    for (unsigned n = 0; n < 3; n++) {
        RmiRecExit *exit = rec_executed(&realm->recs[n],
                                        SNIPPET("mrs x0, mpidr_el1\n"
                                                "mrs x1, currentel"),
                                        0, 0, 0);

        EXPECT(exit->gprs[0] & 0xff00ffffff, n, "MPIDR_EL1 of a REC");
        EXPECT(exit->gprs[1], 1 << 2, "CurrentEL");
    }
    realm_end(realm);
}
CASE("registers", "a REC's MPIDR_EL1 is what it was created with", affinity);

/* ---- What a Realm sees of the CPU ---- */

static uint64_t id_register(struct rec *rec, unsigned crm, unsigned op2)
{
    const uint32_t code = 0xd5380000u | crm << 8 | op2 << 5;
    RmiRecExit *exit = rec_executed(rec, (struct snippet) { &code, &code + 1 },
                                    ~0ul, 0, 0);

    EXPECT(GOT_EXCEPTIONS(exit), 0, "exceptions of an ID register");
    return exit->gprs[0];
}

static void id_registers(void)
{
    struct realm *realm = realm_start(1);
    struct rec *rec = &realm->recs[0];
    uint64_t pfr0 = id_register(rec, 4, 0), pfr1 = id_register(rec, 4, 1);
    uint64_t dfr0 = id_register(rec, 5, 0);

    EXPECT(field(pfr0, 0), 1, "PFR0.EL0: AArch64 alone");
    EXPECT(field(pfr0, 4), 1, "PFR0.EL1: AArch64 alone");
    EXPECT(field(pfr0, 44), 0, "PFR0.AMU");
    EXPECT(field(pfr0, 32), 0, "PFR0.SVE of a Realm without SVE");
    EXPECT(field(pfr1, 8), 0, "PFR1.MTE");
    EXPECT(field(pfr1, 24), 0, "PFR1.SME");
    EXPECT(id_register(rec, 4, 4), 0, "ZFR0 of a Realm without SVE");
    EXPECT(id_register(rec, 4, 5), 0, "SMFR0");
    EXPECT(field(dfr0, 4), 0, "DFR0.TraceVer");
    EXPECT(field(dfr0, 8), 0, "DFR0.PMUVer of a Realm without PMU");
    EXPECT(field(dfr0, 32), 0, "DFR0.PMSVer");
    EXPECT(field(dfr0, 40), 0, "DFR0.TraceFilt");
    EXPECT(field(dfr0, 44), 0, "DFR0.TraceBuffer");
    EXPECT(field(dfr0, 52), 0, "DFR0.BRBE");
    EXPECT(field(dfr0, 12), 1, "DFR0.BRPs, as REALM_CREATE said");
    EXPECT(field(dfr0, 20), 1, "DFR0.WRPs, as REALM_CREATE said");
    realm_end(realm);
}
CASE("registers", "the ID registers hide from a Realm what RMM 1.0 does",
     id_registers);

static void ids_of_the_cpu(void)
{
    const uint64_t mmfr1 = 0x0ffff0f000fff00f;
    struct realm *realm = realm_start(1);
    struct rec *rec = &realm->recs[0];

    EXPECT(id_register(rec, 6, 0), READ(id_aa64isar0_el1), "ISAR0");
    EXPECT(id_register(rec, 6, 1), READ(id_aa64isar1_el1), "ISAR1");
    /* But for ECV and FGT, and in MMFR1 VMIDBits, VH, XNX, HCX and what else
       is of use to EL2 alone */
    EXPECT(id_register(rec, 7, 0) << 8, READ(id_aa64mmfr0_el1) << 8, "MMFR0");
    EXPECT(id_register(rec, 7, 1) & mmfr1, READ(id_aa64mmfr1_el1) & mmfr1,
           "MMFR1");
    realm_end(realm);
}
CASE("registers", "a Realm sees the CPU's instructions and memory model",
     ids_of_the_cpu);

/* ---- What QEMU derives from FPCR ---- */

#define FPCR_UP     (1ul << 22)             /* RMode: to plus infinity */
#define NEAREST     0x3fd5555555555555ul    /* 1/3 as IEEE 754 rounds it */
#define UP          0x3fd5555555555556ul
#define THIRD       "fmov d0, #1.0\n fmov d1, #3.0\n fdiv d0, d0, d1\n"

static uint64_t third(void)
{
    uint64_t result;

    asm volatile(".arch_extension fp\n" THIRD "fmov %0, d0" : "=r"(result));
    return result;
}

static uint64_t third_of(struct rec *rec)
{
    return rec_executed(rec, SNIPPET(".arch_extension fp\n" THIRD
                                     "fmov x0, d0"), 0, 0, 0)->gprs[0];
}

static void rounding(void)
{
    struct realm *realm = realm_start(1);
    struct rec *rec = &realm->recs[0];
    uint64_t was = READ(fpcr);

    WRITE(fpcr, FPCR_UP);
    EXPECT(third_of(rec), NEAREST, "1/3 in a Realm, FPCR is zero");
    EXPECT(third(), UP, "1/3 at the host, rounded up");
    rec_executed(rec, SNIPPET("msr fpcr, x0"), FPCR_UP, 0, 0);
    WRITE(fpcr, 0);
    EXPECT(third_of(rec), UP, "1/3 in a Realm, rounded up");
    EXPECT(third(), NEAREST, "1/3 at the host, FPCR is zero");
    WRITE(fpcr, was);
    realm_end(realm);
}
CASE("registers", "each world rounds as its own FPCR says", rounding);
