/*
 * Cases: exits for what a Realm executes, and what it may not
 *
 * Expected values: RMM 1.0, A4.3 and A6.1; Arm ARM, ESR_EL2; SMCCC 1.2.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "realm.h"

#define WFX         ((uint64_t)EC_WFX << 26)
#define NOT_SUPPORTED (-1ul)

static void expect_zero_gprs(const RmiRecExit *exit, unsigned from)
{
    for (unsigned n = from; n < 31; n++) {
        if (exit->gprs[n]) {
            test_failed_number("register", n, "of the exit", 0,
                               exit->gprs[n]);
        }
    }
}

/* A timeout; what has passed already does not wait, and need not trap. */
#define NEVER (1ul << 55)

struct wait {
    struct snippet code;
    uint64_t esr, gpr;
    const char *name;
};

static void trapped(const struct wait *waits, uint64_t flag)
{
    struct realm *realm = realm_start(1);
    struct rec *rec = &realm->recs[0];

    rec_executed(rec, SNIPPET("nop"), 0, 0, 0);
    for (unsigned n = 0; n < 2; n++) {
        RmiRecExit *exit;

        rec->run->enter.flags = flag;
        exit = rec_execute(rec, waits[n].code, 0, NEVER, 0);
        EXPECT(exit->exit_reason, RMI_EXIT_SYNC, waits[n].name);
        EXPECT(exit->esr, waits[n].esr, waits[n].name);
        EXPECT(exit->far, 0, "FAR of an exit by WFx");
        EXPECT(exit->hpfar, 0, "HPFAR of an exit by WFx");
        EXPECT(exit->gprs[0], waits[n].gpr, "the timeout");
        expect_zero_gprs(exit, 1);
        exit = rec_enter(rec);
        rec_expect_done(exit);
        EXPECT(exit->gprs[0], 3, "what is behind the instruction");
        EXPECT(GOT_EXCEPTIONS(exit), 0, "exceptions of the Realm");
    }
    realm_end(realm);
}

/* WFIT and WFET with X1 as the timeout */
static void wfi(void)
{
    const struct wait waits[] = {
        { SNIPPET("wfi\n mov x0, #3"), WFX | 0, 0, "ESR of WFI" },
        { SNIPPET(".inst 0xd5031021\n mov x0, #3"), WFX | 2, NEVER,
          "ESR of WFIT" },
    };

    trapped(waits, RMI_ENTER_TRAP_WFI);
}
CASE("exits", "WFI and WFIT exit where the host traps them", wfi);

static void wfe(void)
{
    const struct wait waits[] = {
        { SNIPPET("wfe\n mov x0, #3"), WFX | 1, 0, "ESR of WFE" },
        { SNIPPET(".inst 0xd5031001\n mov x0, #3"), WFX | 3, NEVER,
          "ESR of WFET" },
    };

    trapped(waits, RMI_ENTER_TRAP_WFE);
}
CASE("exits", "WFE and WFET exit where the host traps them", wfe);

static void not_trapped(void)
{
    const struct {
        struct snippet code;
        uint64_t others_trap;
    } waits[] = {
        { SNIPPET("sevl\n wfe\n mov x0, #3"), RMI_ENTER_TRAP_WFI },
        { SNIPPET("wfi\n mov x0, #3"), RMI_ENTER_TRAP_WFE },
        /* WFET and WFIT with X1, a moment from now */
        { SNIPPET("mrs x1, cntvct_el0\n add x1, x1, #0x1000\n"
                  ".inst 0xd5031001\n mov x0, #3"), RMI_ENTER_TRAP_WFI },
        { SNIPPET("mrs x1, cntvct_el0\n add x1, x1, #0x1000\n"
                  ".inst 0xd5031021\n mov x0, #3"), RMI_ENTER_TRAP_WFE },
    };
    struct realm *realm = realm_start(1);
    struct rec *rec = &realm->recs[0];

    rec_executed(rec, SNIPPET("nop"), 0, 0, 0);
    for (unsigned n = 0; n < sizeof(waits) / sizeof(waits[0]); n++) {
        RmiRecExit *exit;

        rec->run->enter.flags = waits[n].others_trap;
        exit = rec_execute_for(rec, waits[n].code, 20);
        for (unsigned tries = 0; exit->exit_reason == RMI_EXIT_IRQ; tries++) {
            EXPECT_TRUE(tries < 10, "progress after an interrupt");
            exit = rec_enter(rec);
        }
        rec_expect_done(exit);
        EXPECT(exit->gprs[0], 3, "what is behind the instruction");
    }
    realm_end(realm);
}
CASE("exits", "WFI, WFE, WFIT and WFET do not exit by themselves where they "
     "are not trapped", not_trapped);

static void host_call(void)
{
    struct realm *realm = realm_start(1);
    struct rec *rec = &realm->recs[0];
    uint64_t words[31];
    RmiRecExit *exit;

    for (unsigned n = 0; n < 31; n++) {
        words[n] = pattern(5, n);
    }
    exit = rec_command(rec, words, 31);     /* a command that there is not */
    rec_expect_done(exit);
    EXPECT(exit->gprs[0], -1ul, "the Realm's answer");
    for (unsigned n = 1; n < 31; n++) {
        EXPECT(exit->gprs[n], words[n], "a register of the host call");
    }
    EXPECT(exit->esr, 0, "ESR of a host call");
    EXPECT(exit->far, 0, "FAR of a host call");
    EXPECT(exit->hpfar, 0, "HPFAR of a host call");
    realm_end(realm);
}
CASE("exits", "a host call carries 31 registers, there and back", host_call);

static void irq(void)
{
    struct realm *realm = realm_start(1);
    struct rec *rec = &realm->recs[0];
    const uint64_t spin[] = { REALM_SPIN, REALM_SHARED,
                              ticks_of_ms(15000) };
    RmiRecExit *exit;

    exit = rec_command_for(rec, spin, 3, 20);
    for (unsigned n = 0; n < 5; n++) {
        if (n) {
            exit = rec_enter_for(rec, 20);
        }
        EXPECT(exit->exit_reason, RMI_EXIT_IRQ, "the exit's reason");
        EXPECT(exit->esr, 0, "ESR of an interrupt");
        EXPECT(exit->far, 0, "FAR of an interrupt");
        EXPECT(exit->hpfar, 0, "HPFAR of an interrupt");
        expect_zero_gprs(exit, 0);
    }
    *(volatile uint64_t *)realm->shared = 1;
    exit = rec_enter(rec);
    rec_expect_done(exit);
    EXPECT(exit->gprs[0], 1, "what the Realm waited for");
    realm_end(realm);
}
CASE("exits", "an interrupt of the host's ends an entry, and the Realm goes on",
     irq);

static void sgi_later(void *arg)
{
    delay_ms(30);
    gic_send_sgi(3, 0);
}

static void sgi_exit(void)
{
    struct realm *realm;
    struct rec *rec;
    RmiRecExit *exit;
    unsigned intid = 1023;

    test_needs_cpus();
    realm = realm_start(1);
    rec = &realm->recs[0];
    gic_enable(3);
    rec_executed(rec, SNIPPET("nop"), 0, 0, 0);
    cpu_start(1, sgi_later, NULL);
    exit = COMMAND(rec, REALM_SPIN, REALM_SHARED, ticks_of_ms(15000));
    EXPECT(exit->exit_reason, RMI_EXIT_IRQ, "the exit's reason");
    for (unsigned n = 0; n < 4 && intid != 3; n++) {
        intid = gic_take();
    }
    EXPECT(intid, 3, "the interrupt that the host acknowledges");
    *(volatile uint64_t *)realm->shared = 1;
    rec_expect_done(rec_enter(rec));
    gic_disable(3);
    realm_end(realm);
}
CASE("exits", "an SGI of another CPU ends an entry, and is the host's to take",
     sgi_exit);

/* ---- What a Realm may not ---- */

static void expect_undefined(struct rec *rec, struct snippet code,
                             const char *what)
{
    RmiRecExit *exit = rec_executed(rec, code, 9, 0, 0);

    EXPECT(GOT_EXCEPTIONS(exit), 1, what);
    EXPECT(ESR_EC(GOT_ESR(exit)), EC_UNKNOWN, what);
    EXPECT(GOT_ELR(exit), 4, "ELR_EL1, behind the start");
    EXPECT(exit->gprs[0], 9, "the register");
}

static void hvc(void)
{
    struct realm *realm = realm_start(1);

    expect_undefined(&realm->recs[0], SNIPPET("nop\n hvc #0"), "HVC");
    expect_undefined(&realm->recs[0], SNIPPET("nop\n hvc #0x1234"), "HVC");
    realm_end(realm);
}
CASE("exits", "HVC is undefined, and ELR is its address", hvc);

static void undefined(void)
{
    struct realm *realm = realm_start(1);
    struct rec *rec = &realm->recs[0];

    expect_undefined(rec, SNIPPET("nop\n mrs x0, hcr_el2"), "HCR_EL2");
    expect_undefined(rec, SNIPPET("nop\n mrs x0, vttbr_el2"), "VTTBR_EL2");
    expect_undefined(rec, SNIPPET("nop\n mrs x0, scr_el3"), "SCR_EL3");
    expect_undefined(rec, SNIPPET("nop\n mrs x0, s3_4_c12_c12_0"),
                     "ICH_LR0_EL2");
    expect_undefined(rec, SNIPPET("nop\n mrs x0, s3_6_c2_c1_4"), "GPTBR_EL3");
    expect_undefined(rec, SNIPPET("nop\n mrs x0, s3_0_c15_c2_0"),
                     "an IMPLEMENTATION DEFINED register");
    expect_undefined(rec, SNIPPET("nop\n msr s3_1_c11_c0_3, x0"),
                     "another IMPLEMENTATION DEFINED register");
    expect_undefined(rec, SNIPPET("nop\n .inst 0"), "UDF");
    realm_end(realm);
}
CASE("exits", "registers of EL2 and EL3, and those that nobody defined, are "
     "undefined", undefined);

static void sysreg_exit(struct rec *rec, struct snippet code, uint64_t reg,
                        const char *what)
{
    RmiRecExit *exit = rec_execute(rec, code, 0x1234, 0, 0);

    EXPECT(exit->exit_reason, RMI_EXIT_SYNC, what);
    EXPECT(ESR_EC(exit->esr), EC_SYSREG, what);
    /* Op0, Op2, Op1, CRn, Rt is X0, CRm, a write */
    EXPECT(exit->esr & 0x3fffff, reg, "which register the exit names");
    EXPECT(exit->gprs[0], 0x1234, "the value that was written");
    EXPECT(exit->far, 0, "FAR of such an exit");
    EXPECT(exit->hpfar, 0, "HPFAR of such an exit");
    expect_zero_gprs(exit, 1);
    exit = rec_enter(rec);
    rec_expect_done(exit);
    EXPECT(GOT_EXCEPTIONS(exit), 0, "exceptions of the Realm");
    EXPECT(exit->gprs[1], 7, "what is behind the instruction");
}

static void gic_registers(void)
{
    struct realm *realm = realm_start(1);
    struct rec *rec = &realm->recs[0];

    rec_executed(rec, SNIPPET("mov x0, #7\n msr s3_0_c12_c12_5, x0\n isb"),
                 0, 0, 0);                      /* ICC_SRE_EL1 */
    sysreg_exit(rec, SNIPPET("msr s3_0_c12_c11_5, x0\n mov x1, #7"),
                3 << 20 | 5 << 17 | 12 << 10 | 11 << 1, "ICC_SGI1R_EL1");
    sysreg_exit(rec, SNIPPET("msr s3_0_c12_c11_7, x0\n mov x1, #7"),
                3 << 20 | 7 << 17 | 12 << 10 | 11 << 1, "ICC_SGI0R_EL1");
    sysreg_exit(rec, SNIPPET("msr s3_0_c12_c11_6, x0\n mov x1, #7"),
                3 << 20 | 6 << 17 | 12 << 10 | 11 << 1, "ICC_ASGI1R_EL1");
    realm_end(realm);
}
CASE("exits", "ICC_SGI*R exit with the value, and go on behind the write",
     gic_registers);

static void gic_dir(void)
{
    struct realm *realm = realm_start(1);
    struct rec *rec = &realm->recs[0];

    rec_executed(rec, SNIPPET("mov x0, #7\n msr s3_0_c12_c12_5, x0\n isb"),
                 0, 0, 0);
    rec->run->enter.gicv3_hcr = 1 << 14;        /* TDIR */
    sysreg_exit(rec, SNIPPET("msr s3_0_c12_c11_1, x0\n mov x1, #7"),
                3 << 20 | 1 << 17 | 12 << 10 | 11 << 1, "ICC_DIR_EL1");
    realm_end(realm);
}
CASE("exits", "ICC_DIR exits with the value where the host traps it", gic_dir);

static void unknown_smc(void)
{
    static const uint64_t fids[] = {
        RMI_VERSION, RMI_GRANULE_DELEGATE, RMI_REC_ENTER, 0xC40001FF,
        0x84000999, 0xC3000000, 0x80000005, 0x80008000, 0x12345678,
        0xC4001190, ~0ul >> 1,
    };
    struct realm *realm = realm_start(1);

    for (unsigned n = 0; n < sizeof(fids) / 8; n++) {
        RmiRecExit *exit = rec_smc(&realm->recs[0], fids[n], realm->rd, 2, 3,
                                   4);

        rec_expect_done(exit);
        EXPECT(exit->gprs[0], NOT_SUPPORTED, "X0 after an SMC like that");
        for (unsigned i = 2; i < 5; i++) {
            EXPECT(exit->gprs[i], i, "X2 and up");
        }
        EXPECT(GOT_EXCEPTIONS(exit), 0, "exceptions of the Realm");
    }
    realm_end(realm);
}
CASE("exits", "an SMC that a Realm does not have is not supported, RMI's too",
     unknown_smc);

static void rsi(void)
{
    struct realm *realm = realm_start(1);
    struct rec *rec = &realm->recs[0];
    RmiRecExit *exit = rec_smc(rec, RSI_VERSION, 0x10000, 0, 0, 0);

    rec_expect_done(exit);
    EXPECT(exit->gprs[0], RSI_SUCCESS, "RSI_VERSION of 1.0");
    EXPECT(exit->gprs[1], 0x10000, "the lower version");
    EXPECT(exit->gprs[2], 0x10000, "the higher version");
    realm_page(realm, REALM_DATA, NULL);
    exit = rec_smc(rec, RSI_REALM_CONFIG, REALM_DATA, 0, 0, 0);
    rec_expect_done(exit);
    EXPECT(exit->gprs[0], RSI_SUCCESS, "RSI_REALM_CONFIG");
    exit = rec_executed(rec, SNIPPET("ldp x0, x2, [x1]"), 0, REALM_DATA, 0);
    EXPECT(exit->gprs[0], REALM_IPA_BITS, "the IPA width");
    EXPECT(exit->gprs[2], RMI_HASH_SHA_256, "the hash algorithm");
    exit = rec_smc(rec, RSI_IPA_STATE_GET, REALM_DATA, REALM_DATA + PAGE, 0,
                   0);
    rec_expect_done(exit);
    EXPECT(exit->gprs[0], RSI_SUCCESS, "RSI_IPA_STATE_GET");
    EXPECT(exit->gprs[1], REALM_DATA + PAGE, "how far the state goes");
    EXPECT(exit->gprs[2], RMI_RIPAS_RAM, "the state");
    exit = rec_smc(rec, RSI_FEATURES, 0, 0, 0, 0);
    rec_expect_done(exit);
    EXPECT(exit->gprs[0], RSI_SUCCESS, "RSI_FEATURES");
    EXPECT(exit->gprs[1], 0, "a feature register");
    realm_end(realm);
}
CASE("exits", "RSI answers a Realm without an exit", rsi);

/* ---- RIPAS ---- */

static RmiRecExit *set_ripas(struct rec *rec, uint64_t base, uint64_t top,
                             unsigned ripas)
{
    RmiRecExit *exit = rec_smc(rec, RSI_IPA_STATE_SET, base, top, ripas, 0);

    EXPECT(exit->exit_reason, RMI_EXIT_RIPAS_CHANGE, "the exit's reason");
    EXPECT(exit->ripas_base, base, "the base that is asked for");
    EXPECT(exit->ripas_top, top, "the top that is asked for");
    EXPECT(exit->ripas_value, ripas, "the RIPAS that is asked for");
    EXPECT(exit->esr, 0, "ESR of such an exit");
    expect_zero_gprs(exit, 0);
    return exit;
}

static void grant(struct rec *rec, uint64_t base, uint64_t top)
{
    struct result r = RMI(RMI_RTT_SET_RIPAS, rec->realm->rd, rec->pa, base,
                          top);

    EXPECT(r.x0, RMI_SUCCESS, "RTT_SET_RIPAS");
    EXPECT(r.x1, top, "how far it went");
}

static void expect_answer(struct rec *rec, uint64_t top, unsigned response)
{
    RmiRecExit *exit = rec_enter(rec);

    rec_expect_done(exit);
    EXPECT(exit->gprs[0], RSI_SUCCESS, "what the Realm sees in X0");
    EXPECT(exit->gprs[1], top, "how far the Realm got");
    EXPECT(exit->gprs[2], response, "the response");
}

static void ripas_accepted(void)
{
    const uint64_t base = REALM_DATA, top = REALM_DATA + 4 * PAGE;
    struct realm *realm = realm_start(1);
    struct rec *rec = &realm->recs[0];
    RmiRecExit *exit;

    realm_page(realm, base, NULL);
    rec_expect_done(COMMAND(rec, REALM_FILL, base, PAGE, 1));
    set_ripas(rec, base, top, RMI_RIPAS_EMPTY);
    grant(rec, base, top);
    expect_answer(rec, top, RSI_ACCEPT);
    exit = rec_executed(rec, SNIPPET("ldr x0, [x1]"), 9, base, 0);
    EXPECT(GOT_EXCEPTIONS(exit), 1, "exceptions after a read of EMPTY");
    EXPECT(ESR_FSC(GOT_ESR(exit)), 0x10, "its status code");
    set_ripas(rec, base, top, RMI_RIPAS_RAM);
    grant(rec, base, top);
    expect_answer(rec, top, RSI_ACCEPT);
    exit = rec_execute(rec, SNIPPET("ldr x0, [x1]"), 9, base, 0);
    if (exit->exit_reason == RMI_EXIT_SYNC) {
        EXPECT(exit->hpfar, base >> 12 << 4, "the page that is asked for");
    } else {
        rec_expect_done(exit);
        EXPECT(GOT_EXCEPTIONS(exit), 0, "exceptions after a read of RAM");
    }
    realm_end(realm);
}
CASE("exits", "a Realm gives memory up and takes it back", ripas_accepted);

static void ripas_rejected(void)
{
    const uint64_t base = 0x50000000, top = 0x50000000 + 4 * PAGE;
    struct realm *realm = realm_start(1);
    struct rec *rec = &realm->recs[0];

    realm_tables(realm, base, 3);
    set_ripas(rec, base, top, RMI_RIPAS_RAM);
    rec->run->enter.flags = RMI_ENTER_RIPAS_REJECT;
    expect_answer(rec, base, RSI_REJECT);
    set_ripas(rec, base, top, RMI_RIPAS_RAM);
    grant(rec, base, base + PAGE);
    rec->run->enter.flags = RMI_ENTER_RIPAS_REJECT;
    expect_answer(rec, base + PAGE, RSI_REJECT);
    set_ripas(rec, base, top, RMI_RIPAS_RAM);
    grant(rec, base, base + 2 * PAGE);
    expect_answer(rec, base + 2 * PAGE, RSI_ACCEPT);
    set_ripas(rec, base, top, RMI_RIPAS_RAM);
    grant(rec, base, base + PAGE);
    grant(rec, base + PAGE, top);
    rec->run->enter.flags = RMI_ENTER_RIPAS_REJECT;
    expect_answer(rec, top, RSI_ACCEPT);
    realm_end(realm);
}
CASE("exits", "the host changes RIPAS in part, or rejects it", ripas_rejected);

/* ---- PSCI ---- */

static void expect_psci(const RmiRecExit *exit, uint64_t fid)
{
    EXPECT(exit->exit_reason, RMI_EXIT_PSCI, "the exit's reason");
    EXPECT(exit->gprs[0], fid, "the call that the exit names");
    EXPECT(exit->esr, 0, "ESR of such an exit");
    expect_zero_gprs(exit, 4);
}

static void psci_queries(void)
{
    static const uint64_t known[] = {
        PSCI_FID_VERSION, PSCI_FID_CPU_SUSPEND, PSCI_FID_CPU_OFF,
        PSCI_FID_CPU_ON, PSCI_FID_AFFINITY_INFO, PSCI_FID_SYSTEM_OFF,
        PSCI_FID_SYSTEM_RESET, PSCI_FID_FEATURES, SMCCC_FID_VERSION,
    };
    struct realm *realm = realm_start(1);
    struct rec *rec = &realm->recs[0];
    RmiRecExit *exit = rec_smc(rec, PSCI_FID_VERSION, 0, 0, 0, 0);

    rec_expect_done(exit);
    EXPECT(exit->gprs[0], 0x10001, "PSCI_VERSION");
    exit = rec_smc(rec, SMCCC_FID_VERSION, 0, 0, 0, 0);
    rec_expect_done(exit);
    EXPECT(exit->gprs[0], 0x10002, "SMCCC_VERSION");
    for (unsigned n = 0; n < sizeof(known) / 8; n++) {
        exit = rec_smc(rec, PSCI_FID_FEATURES, known[n], 0, 0, 0);
        rec_expect_done(exit);
        EXPECT(exit->gprs[0], 0, "PSCI_FEATURES of what there is");
    }
    exit = rec_smc(rec, PSCI_FID_FEATURES, PSCI_FID_64(5), 0, 0, 0);
    rec_expect_done(exit);
    EXPECT(exit->gprs[0], NOT_SUPPORTED, "PSCI_FEATURES(MIGRATE)");
    realm_end(realm);
}
CASE("exits", "the RMM answers what a Realm asks of PSCI", psci_queries);

static void psci_cpus(void)
{
    RmiRealmParams params;
    struct realm *realm;
    struct rec *first, *second;
    RmiRecExit *exit;

    realm_params(&params);
    realm = realm_start_with(&params, 2, false);
    first = &realm->recs[0];
    second = &realm->recs[1];
    exit = rec_smc(first, PSCI_FID_AFFINITY_INFO, 1, 0, 0, 0);
    expect_psci(exit, PSCI_FID_AFFINITY_INFO);
    EXPECT(exit->gprs[1], 1, "the CPU that the call is about");
    EXPECT(rec_try_enter(first), RMI_ERROR_REC,
           "REC_ENTER while the call is pending");
    EXPECT(RMI(RMI_PSCI_COMPLETE, first->pa, second->pa, 0).x0, RMI_SUCCESS,
           "PSCI_COMPLETE");
    exit = rec_enter(first);
    rec_expect_done(exit);
    EXPECT(exit->gprs[0], 1, "AFFINITY_INFO of what is off");

    exit = rec_smc(first, PSCI_FID_CPU_ON, 1, REALM_CODE, 4711, 0);
    expect_psci(exit, PSCI_FID_CPU_ON);
    EXPECT(exit->gprs[1], 1, "the CPU that the call is about");
    EXPECT(RMI(RMI_PSCI_COMPLETE, first->pa, first->pa, 0).x0,
           RMI_ERROR_INPUT, "PSCI_COMPLETE with the wrong REC");
    EXPECT(RMI(RMI_PSCI_COMPLETE, first->pa, second->pa, 0).x0, RMI_SUCCESS,
           "PSCI_COMPLETE");
    exit = rec_enter(first);
    rec_expect_done(exit);
    EXPECT(exit->gprs[0], 0, "CPU_ON");
    exit = rec_enter(second);
    EXPECT(exit->exit_reason, RMI_EXIT_HOST_CALL, "the second REC's exit");
    EXPECT(exit->imm, REALM_READY, "its first host call");
    EXPECT(exit->gprs[0], 4711, "X0 at its start, the context");
    for (unsigned n = 1; n < 4; n++) {
        EXPECT(exit->gprs[n], 0, "X1 and up at its start");
    }
    second->ready = true;

    exit = rec_smc(second, PSCI_FID_CPU_OFF, 0, 0, 0, 0);
    expect_psci(exit, PSCI_FID_CPU_OFF);
    EXPECT(rec_try_enter(second), RMI_ERROR_REC, "REC_ENTER of what is off");
    exit = rec_smc(first, PSCI_FID_CPU_ON, 1, REALM_CODE, 0, 0);
    expect_psci(exit, PSCI_FID_CPU_ON);
    EXPECT(RMI(RMI_PSCI_COMPLETE, first->pa, second->pa, PSCI_DENIED).x0,
           RMI_SUCCESS, "PSCI_COMPLETE that denies");
    exit = rec_enter(first);
    rec_expect_done(exit);
    EXPECT(exit->gprs[0], PSCI_DENIED, "CPU_ON that the host denied");
    realm_end(realm);
}
CASE("exits", "CPU_ON, CPU_OFF and AFFINITY_INFO go through the host",
     psci_cpus);

/* PSCI 1.1, 6.4: EL1h, all masked, MMU off, whatever it was at CPU_OFF. */
static void psci_state(void)
{
    /*
     * MRS X0, DAIF; MRS X1, SPSel; ORR X0, X0, X1; MRS X1, SCTLR_EL1; AND X1,
     * X1, #1; ORR X0, X0, X1, LSL #1; MOV X2, #0x180000000; STR X0, [X2]
     */
    static const uint32_t start[] = {
        0xd53b4220, 0xd5384201, 0xaa010000, 0xd5381001, 0x92400021,
        0xaa010400, 0xd2b00002, 0xf2c00022, 0xf9000040, 0x14000000
    };
    struct realm *realm = realm_start(2);
    struct rec *first = &realm->recs[0], *second = &realm->recs[1];
    RmiRecExit *exit;
    uint64_t word;

    realm_page(realm, REALM_DATA, NULL);
    for (unsigned n = 0; n < sizeof(start) / 8; n++) {
        memcpy(&word, start + 2 * n, 8);
        rec_executed(first, SNIPPET("str x0, [x1]"), word, REALM_DATA + 8 * n,
                     0);
    }
    exit = rec_execute(second, SNIPPET("msr daifclr, #15\n msr spsel, #0\n"
                                       "smc #0\n"), PSCI_FID_CPU_OFF, 0, 0);
    expect_psci(exit, PSCI_FID_CPU_OFF);
    exit = rec_smc(first, PSCI_FID_CPU_ON, 1, REALM_DATA, 0, 0);
    expect_psci(exit, PSCI_FID_CPU_ON);
    EXPECT(RMI(RMI_PSCI_COMPLETE, first->pa, second->pa, 0).x0, RMI_SUCCESS,
           "PSCI_COMPLETE");
    rec_expect_done(rec_enter(first));
    exit = rec_enter(second);
    EXPECT(exit->exit_reason, RMI_EXIT_SYNC, "the exit of the store");
    EXPECT(exit->hpfar, 0x180000000ul >> 12 << 4, "its HPFAR");
    EXPECT(exit->gprs[0], 0x3c1, "DAIF, SPSel, SCTLR_EL1.M in bit 1");
    realm_end(realm);
}
CASE("exits", "a REC starts with its exceptions masked, however it went off",
     psci_state);

static void psci_refused(void)
{
    static const struct {
        uint64_t fid, a1, a2, result;
        const char *what;
    } calls[] = {
        { PSCI_FID_CPU_ON, 0, REALM_CODE, PSCI_ALREADY_ON,
          "CPU_ON of the CPU itself" },
        { PSCI_FID_CPU_ON, 7, REALM_CODE, PSCI_INVALID_PARAMETERS,
          "CPU_ON of a CPU that there is not" },
        { PSCI_FID_CPU_ON, 1, REALM_SHARED, PSCI_INVALID_ADDRESS,
          "CPU_ON with an entry that is not protected" },
        { PSCI_FID_AFFINITY_INFO, 0, 0, 0, "AFFINITY_INFO of itself" },
        { PSCI_FID_AFFINITY_INFO, 7, 0, PSCI_INVALID_PARAMETERS,
          "AFFINITY_INFO of a CPU that there is not" },
        { PSCI_FID_AFFINITY_INFO, 0, 1, PSCI_INVALID_PARAMETERS,
          "AFFINITY_INFO of a cluster" },
    };
    struct realm *realm = realm_start(2);

    for (unsigned n = 0; n < sizeof(calls) / sizeof(*calls); n++) {
        RmiRecExit *exit = rec_smc(&realm->recs[0], calls[n].fid, calls[n].a1,
                                   calls[n].a2, 0, 0);

        rec_expect_done(exit);
        EXPECT(exit->gprs[0], calls[n].result, calls[n].what);
    }
    realm_end(realm);
}
CASE("exits", "the RMM refuses PSCI calls by itself", psci_refused);

static void psci_suspend(void)
{
    struct realm *realm = realm_start(1);
    struct rec *rec = &realm->recs[0];
    RmiRecExit *exit = rec_smc(rec, PSCI_FID_CPU_SUSPEND, 0, 0, 0, 0);

    expect_psci(exit, PSCI_FID_CPU_SUSPEND);
    exit = rec_enter(rec);
    rec_expect_done(exit);
    EXPECT(exit->gprs[0], 0, "CPU_SUSPEND");
    realm_end(realm);
}
CASE("exits", "CPU_SUSPEND exits, and comes back", psci_suspend);

static void psci_end(void)
{
    static const uint64_t fids[] = { PSCI_FID_SYSTEM_OFF,
                                     PSCI_FID_SYSTEM_RESET };

    for (unsigned n = 0; n < 2; n++) {
        struct realm *realm = realm_start(2);

        expect_psci(rec_smc(&realm->recs[0], fids[n], 0, 0, 0, 0), fids[n]);
        EXPECT(rec_try_enter(&realm->recs[0]), RMI_RESULT(RMI_ERROR_REALM, 1),
               "REC_ENTER of a Realm that is off");
        EXPECT(rec_try_enter(&realm->recs[1]), RMI_RESULT(RMI_ERROR_REALM, 1),
               "REC_ENTER of its other REC");
        realm_end(realm);
    }
}
CASE("exits", "SYSTEM_OFF and SYSTEM_RESET end a Realm", psci_end);
