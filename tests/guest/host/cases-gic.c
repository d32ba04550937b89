/*
 * Cases: interrupts and timers of a Realm
 *
 * Expected values: RMM 1.0, A4.2.4, A6.1 and A6.2; Arm GIC architecture,
 * ICH_*_EL2; Arm ARM, CNTx_CTL_EL0.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "realm.h"

#define LR_PENDING      (1ul << 62)
#define LR_ACTIVE       (2ul << 62)
#define LR_STATE        (3ul << 62)
#define LR_HW           (1ul << 61)
#define LR_GROUP1       (1ul << 60)
#define LR_PRIORITY(n)  ((uint64_t)(n) << 48)
#define LR_EOI          (1ul << 41)
#define LR(intid)       (LR_PENDING | LR_GROUP1 | LR_PRIORITY(0xa0) | (intid))

#define HCR_EN          (1ul << 0)
#define HCR_UIE         (1ul << 1)
#define HCR_LRENPIE     (1ul << 2)
#define HCR_NPIE        (1ul << 3)
#define HCR_TC          (1ul << 10)
#define HCR_EOI_COUNT(hcr) ((hcr) >> 27 & 31)
#define MISR_EOI        (1ul << 0)
#define MISR_U          (1ul << 1)
#define MISR_LRENP      (1ul << 2)
#define MISR_NP         (1ul << 3)

#define CTL_ENABLE      1ul
#define CTL_MASK        2ul
#define CTL_STATUS      4ul

/* SRE, all priorities, group 1; PSTATE.I stays. */
static struct realm *with_gic(void)
{
    struct realm *realm = realm_start(1);
    struct rec *rec = &realm->recs[0];

    rec_executed(rec, SNIPPET("mov x0, #7\n"
                              "msr s3_0_c12_c12_5, x0\n"
                              "isb\n"
                              "mov x0, #0xf0\n"
                              "msr s3_0_c4_c6_0, x0\n"
                              "mov x0, #1\n"
                              "msr s3_0_c12_c12_7, x0\n"
                              "isb"), 0, 0, 0);
    return realm;
}

/* Takes what is pending, and nothing after that. */
static RmiRecExit *take_interrupts(struct rec *rec)
{
    return rec_executed(rec, SNIPPET("msr daifclr, #2\n"
                                     "isb\n nop\n nop\n"
                                     "msr daifset, #2"), 0, 0, 0);
}

/* Maintenance interrupts may end entries. */
static RmiRecExit *rec_enter_until_done(struct rec *rec, struct snippet code)
{
    RmiRecExit *exit = rec_execute(rec, code, 0, 0, 0);

    for (unsigned n = 0; n < 10 && exit->exit_reason == RMI_EXIT_IRQ; n++) {
        exit = rec_enter(rec);
    }
    rec_expect_done(exit);
    return exit;
}

static void clear_list(struct rec *rec)
{
    memset(rec->run->enter.gicv3_lrs, 0, sizeof(rec->run->enter.gicv3_lrs));
    rec->run->enter.gicv3_hcr = 0;
}

static void delivered(void)
{
    struct realm *realm = with_gic();
    struct rec *rec = &realm->recs[0];

    for (unsigned n = 0; n < 5; n++) {
        uint64_t intid = (const unsigned[]) { 27, 1, 31, 32, 8192 }[n];
        RmiRecExit *exit;

        rec->run->enter.gicv3_lrs[0] = LR(intid);
        exit = rec_executed(rec, SNIPPET("nop"), 0, 0, 0);
        EXPECT(exit->gicv3_lrs[0], LR(intid),
               "the list register while the Realm masks interrupts");
        EXPECT(GOT_INTERRUPTS(exit), 0, "interrupts that it took");
        exit = take_interrupts(rec);
        EXPECT(GOT_INTERRUPTS(exit), 1, "interrupts that it took");
        EXPECT(GOT_INTID(exit), intid, "the INTID that it acknowledged");
        if (exit->gicv3_lrs[0] & LR_STATE) {
            test_failed_number("INTID", intid, "has a state after its end", 0,
                               exit->gicv3_lrs[0]);
        }
        EXPECT(exit->gicv3_hcr & HCR_EN, 0, "En in the exit's ICH_HCR");
        clear_list(rec);
        exit = take_interrupts(rec);
        EXPECT(GOT_INTERRUPTS(exit), 0, "interrupts without a list");
    }
    realm_end(realm);
}
CASE("gic", "a Realm takes, acknowledges and ends what a list register says",
     delivered);

static void every_list_register(void)
{
    struct realm *realm = with_gic();
    struct rec *rec = &realm->recs[0];
    unsigned count = gic_list_registers();
    RmiRecExit *exit;

    for (unsigned n = 0; n < count; n++) {
        rec->run->enter.gicv3_lrs[n] = LR(40 + n);
    }
    exit = take_interrupts(rec);
    EXPECT(GOT_INTERRUPTS(exit), count, "interrupts that it took");
    for (unsigned n = 0; n < count; n++) {
        EXPECT(exit->gicv3_lrs[n] & LR_STATE, 0, "the state at the end");
    }
    for (unsigned n = count; n < 16; n++) {
        EXPECT(exit->gicv3_lrs[n], 0, "a list register that there is not");
    }
    realm_end(realm);
}
CASE("gic", "every list register delivers", every_list_register);

static void priorities(void)
{
    struct realm *realm = with_gic();
    struct rec *rec = &realm->recs[0];
    RmiRecExit *exit;

    rec->run->enter.gicv3_lrs[0] = LR(50);
    rec->run->enter.gicv3_lrs[1] = LR_PENDING | LR_GROUP1 |
                                   LR_PRIORITY(0x20) | 51;
    exit = rec_executed(rec, SNIPPET("mrs x0, s3_0_c12_c12_0\n"
                                     "mrs x1, s3_0_c12_c12_0\n"
                                     "mrs x2, s3_0_c12_c11_3\n"
                                     "msr s3_0_c12_c12_1, x0\n"
                                     "mrs x1, s3_0_c12_c12_0\n"
                                     "msr s3_0_c12_c12_1, x1"), 0, 0, 0);
    EXPECT(exit->gprs[0], 51, "the first INTID that is acknowledged");
    EXPECT(exit->gprs[1], 50, "the second one");
    EXPECT(exit->gprs[2], 0x20, "the running priority");
    realm_end(realm);
}
CASE("gic", "the more urgent interrupt comes first", priorities);

static void active_stays(void)
{
    struct realm *realm = with_gic(), *other = with_gic();
    struct rec *rec = &realm->recs[0];
    RmiRecExit *exit;

    rec->run->enter.gicv3_lrs[0] = LR(27);
    exit = rec_executed(rec, SNIPPET("mrs x0, s3_0_c12_c12_0\n"
                                     "mrs x1, s3_0_c12_c11_3"), 0, 0, 0);
    EXPECT(exit->gprs[0], 27, "the INTID that is acknowledged");
    EXPECT(exit->gprs[1], 0xa0, "the running priority");
    EXPECT(exit->gicv3_lrs[0] & LR_STATE, LR_ACTIVE,
           "the list register's state");
    exit = rec_executed(&other->recs[0], SNIPPET("mrs x1, s3_0_c12_c11_3"),
                        0, 0, 0);
    EXPECT(exit->gprs[1], 0xff, "the running priority in another Realm");
    EXPECT(READ(ICC_RPR), 0xff, "the host's running priority");
    clear_list(rec);
    exit = rec_executed(rec, SNIPPET("mrs x1, s3_0_c12_c11_3"), 0, 0, 0);
    EXPECT(exit->gprs[1], 0xa0, "the running priority, without the list");
    exit = rec_executed(rec, SNIPPET("mov x0, #27\n"
                                     "msr s3_0_c12_c12_1, x0\n"
                                     "mrs x1, s3_0_c12_c11_3"), 0, 0, 0);
    EXPECT(exit->gprs[1], 0xff, "the running priority after the end");
    EXPECT(HCR_EOI_COUNT(exit->gicv3_hcr), 1,
           "EOIcount: an end that no list register knew");
    realm_end(realm);
    realm_end(other);
}
CASE("gic", "active priorities stay with the REC, and EOIcount is reported",
     active_stays);

static void vmcr(void)
{
    struct realm *realm = with_gic();
    struct rec *rec = &realm->recs[0];
    RmiRecExit *exit;

    for (uint64_t priority = 0x10; priority < 0x100; priority += 0x50) {
        exit = rec_executed(rec, SNIPPET("msr s3_0_c4_c6_0, x0"), priority, 0,
                            0);
        EXPECT(exit->gicv3_vmcr >> 24 & 0xff, priority, "VPMR of the exit");
        EXPECT(exit->gicv3_vmcr & 2, 2, "VENG1 of the exit");
    }
    exit = rec_executed(rec, SNIPPET("msr s3_0_c12_c12_7, xzr"), 0, 0, 0);
    EXPECT(exit->gicv3_vmcr & 2, 0, "VENG1 of the exit");
    exit = rec_executed(rec, SNIPPET("mrs x0, s3_0_c12_c12_7\n"
                                     "mrs x1, s3_0_c4_c6_0"), 9, 0, 0);
    EXPECT(exit->gprs[0], 0, "the Realm's group 1 enable");
    EXPECT(exit->gprs[1], 0xb0, "the Realm's priority mask");
    realm_end(realm);
}
CASE("gic", "the host sees the Realm's priority mask and enables", vmcr);

static void maintenance(void)
{
    struct realm *realm = with_gic();
    struct rec *rec = &realm->recs[0];
    RmiRecExit *exit;

    rec->run->enter.gicv3_hcr = HCR_UIE | HCR_NPIE;
    exit = rec_enter_until_done(rec, SNIPPET("nop"));
    EXPECT(exit->gicv3_misr & (MISR_U | MISR_NP), MISR_U | MISR_NP,
           "MISR: underflow, nothing pending");
    EXPECT(exit->gicv3_hcr & (HCR_UIE | HCR_NPIE), HCR_UIE | HCR_NPIE,
           "ICH_HCR of the exit");
    clear_list(rec);
    rec->run->enter.gicv3_lrs[0] = LR(27) | LR_EOI;
    exit = rec_enter_until_done(rec, SNIPPET("mrs x0, s3_0_c12_c12_0\n"
                                             "msr s3_0_c12_c12_1, x0"));
    EXPECT(exit->gicv3_misr & MISR_EOI, MISR_EOI, "MISR: an end");
    clear_list(rec);
    exit = rec_executed(rec, SNIPPET("nop"), 0, 0, 0);
    EXPECT(exit->gicv3_misr, 0, "MISR without a cause");
    realm_end(realm);
}
CASE("gic", "the host is told why its list needs maintenance", maintenance);

static void expect_refused(struct rec *rec, uint64_t lr0, uint64_t lr1,
                           uint64_t hcr, const char *what)
{
    RmiRecEnter *enter = &rec->run->enter;

    clear_list(rec);
    enter->gicv3_lrs[0] = lr0;
    enter->gicv3_lrs[1] = lr1;
    enter->gicv3_hcr = hcr;
    EXPECT(rec_try_enter(rec), RMI_ERROR_REC, what);
    clear_list(rec);
}

static void invalid(void)
{
    struct realm *realm = with_gic();
    struct rec *rec = &realm->recs[0];

    rec_executed(rec, SNIPPET("nop"), 0, 0, 0);
    expect_refused(rec, LR(27) | LR_HW, 0, 0, "a list register with HW");
    expect_refused(rec, LR(1020), 0, 0, "INTID 1020");
    expect_refused(rec, LR(1023), 0, 0, "INTID 1023");
    expect_refused(rec, LR(4000), 0, 0, "INTID 4000");
    expect_refused(rec, LR(27), LR(27), 0, "an INTID twice");
    expect_refused(rec, LR(27), (LR(27) & ~LR_STATE) | LR_ACTIVE, 0,
                   "an INTID twice, in other states");
    expect_refused(rec, LR(27) | 1ul << 48, 0, 0,
                   "a priority that there is not");
    expect_refused(rec, LR(27) | 1ul << 57, 0, 0, "RES0 bits");
    expect_refused(rec, 0, 0, HCR_EN, "En in ICH_HCR");
    expect_refused(rec, 0, 0, HCR_TC, "TC in ICH_HCR");
    expect_refused(rec, 0, 0, 1ul << 27, "EOIcount in ICH_HCR");
    expect_refused(rec, 0, 0, 1ul << 40, "a high bit of ICH_HCR");
    rec_executed(rec, SNIPPET("nop"), 0, 0, 0);
    realm_end(realm);
}
CASE("gic", "invalid list registers and controls are refused", invalid);

static void inactive(void)
{
    struct realm *realm = with_gic();
    struct rec *rec = &realm->recs[0];
    RmiRecExit *exit;

    rec->run->enter.gicv3_lrs[0] = LR_GROUP1 | 1020;
    rec->run->enter.gicv3_lrs[1] = LR_GROUP1 | 1020;
    exit = take_interrupts(rec);
    EXPECT(GOT_INTERRUPTS(exit), 0, "interrupts that are inactive");
    realm_end(realm);
}
CASE("gic", "list registers that are inactive say nothing", inactive);

static void hosts_list(void)
{
    struct realm *realm = with_gic();
    struct rec *rec = &realm->recs[0];
    const uint64_t vmcr = 0x30ul << 24 | READ(ICH_VMCR);
    RmiRecExit *exit;

    WRITE(ICH_LR0, LR(77));
    WRITE(ICH_LR1, LR(78));
    WRITE(ICH_VMCR, vmcr);
    WRITE(ICH_AP1R0, 1 << 3);
    WRITE(ICH_HCR, HCR_EN);
    rec->run->enter.gicv3_lrs[1] = LR(27);
    exit = take_interrupts(rec);
    EXPECT(READ(ICH_LR0), LR(77), "the host's ICH_LR0_EL2");
    EXPECT(READ(ICH_LR1), LR(78), "the host's ICH_LR1_EL2");
    EXPECT(READ(ICH_VMCR), vmcr, "the host's ICH_VMCR_EL2");
    EXPECT(READ(ICH_AP1R0), 1 << 3, "the host's ICH_AP1R0_EL2");
    EXPECT(READ(ICH_HCR) & HCR_EN, 0, "En of the host's ICH_HCR_EL2");
    WRITE(ICH_HCR, 0);
    WRITE(ICH_LR0, 0);
    WRITE(ICH_LR1, 0);
    WRITE(ICH_AP1R0, 0);
    EXPECT(GOT_INTERRUPTS(exit), 1, "interrupts of the Realm's list alone");
    EXPECT(GOT_INTID(exit), 27, "its INTID");
    EXPECT(exit->gicv3_lrs[0], 0, "the exit's first list register");
    EXPECT(exit->gicv3_vmcr >> 24 & 0xff, 0xf0, "the Realm's VPMR");
    realm_end(realm);
}
CASE("gic", "host and Realm have virtual CPU interfaces of their own", hosts_list);

static void while_running(void)
{
    struct realm *realm = with_gic();
    struct rec *rec = &realm->recs[0];
    RmiRecExit *exit;

    rec->run->enter.flags = RMI_ENTER_TRAP_WFI;
    exit = rec_execute(rec, SNIPPET("wfi\n msr daifclr, #2\n isb\n nop\n"
                                    "msr daifset, #2"), 0, 0, 0);
    EXPECT(ESR_EC(exit->esr), EC_WFX, "the exit's class");
    rec->run->enter.gicv3_lrs[0] = LR(27);
    exit = rec_enter(rec);
    rec_expect_done(exit);
    EXPECT(GOT_INTERRUPTS(exit), 1, "interrupts that it took");
    EXPECT(GOT_INTID(exit), 27, "the INTID");
    realm_end(realm);
}
CASE("gic", "a Realm that waits is woken through a list register",
     while_running);

/* ---- Time ---- */

static void time_of_realm(void)
{
    struct realm *realm = realm_start(1);
    struct rec *rec = &realm->recs[0];

    rec_executed(rec, SNIPPET("nop"), 0, 0, 0);
    for (unsigned n = 0; n < 8; n++) {
        uint64_t before, after;
        RmiRecExit *exit;

        WRITE(cntvoff_el2, n * 0x123456789ab);
        before = ticks();
        exit = rec_execute(rec, SNIPPET("isb\n mrs x0, cntpct_el0\n"
                                        "isb\n mrs x1, cntvct_el0\n"
                                        "isb\n mrs x2, cntpct_el0\n"
                                        "mrs x3, cntfrq_el0"), 0, 0, 0);
        after = ticks();
        WRITE(cntvoff_el2, 0);
        rec_expect_done(exit);
        EXPECT_TRUE(exit->gprs[0] <= exit->gprs[1] &&
                    exit->gprs[1] <= exit->gprs[2],
                    "a Realm's virtual time is its physical time");
        EXPECT_TRUE(before <= exit->gprs[0] && exit->gprs[2] <= after,
                    "a Realm's time is the host's physical time");
        EXPECT(exit->gprs[3], READ(cntfrq_el0), "CNTFRQ_EL0");
    }
    realm_end(realm);
}
CASE("timers", "a Realm's time is physical time, whatever CNTVOFF_EL2 says",
     time_of_realm);

struct timer {
    const char *name;
    struct snippet set;         /* CVAL from X0, CTL from X1 */
    struct snippet set_tval;    /* TVAL from X0, and X2 rounds of a loop */
    bool physical;
};

#define LOOP "3: isb\n subs x2, x2, #1\n b.ne 3b"

static struct timer timer(bool physical)
{
    return physical
        ? (struct timer) { "physical",
                           SNIPPET("msr cntp_cval_el0, x0\n"
                                   "msr cntp_ctl_el0, x1\n isb\n"
                                   "mrs x2, cntp_ctl_el0"),
                           SNIPPET("msr cntp_tval_el0, x0\n" LOOP), true }
        : (struct timer) { "virtual",
                           SNIPPET("msr cntv_cval_el0, x0\n"
                                   "msr cntv_ctl_el0, x1\n isb\n"
                                   "mrs x2, cntv_ctl_el0"),
                           SNIPPET("msr cntv_tval_el0, x0\n" LOOP), false };
}

static uint64_t exit_ctl(const struct timer *t, const RmiRecExit *exit)
{
    return t->physical ? exit->cntp_ctl : exit->cntv_ctl;
}

static uint64_t exit_cval(const struct timer *t, const RmiRecExit *exit)
{
    return t->physical ? exit->cntp_cval : exit->cntv_cval;
}

static void reported(bool physical)
{
    struct realm *realm = realm_start(1);
    struct rec *rec = &realm->recs[0];
    struct timer t = timer(physical);
    uint64_t later = ticks() + ticks_of_ms(1000000);
    RmiRecExit *exit;

    exit = rec_executed(rec, t.set, later, CTL_ENABLE, 0);
    EXPECT(exit_ctl(&t, exit), CTL_ENABLE, "CTL of the exit");
    EXPECT(exit_cval(&t, exit), later, "CVAL of the exit");
    exit = rec_executed(rec, t.set, 5, CTL_ENABLE | CTL_MASK, 0);
    EXPECT(exit_ctl(&t, exit), CTL_ENABLE | CTL_MASK | CTL_STATUS,
           "CTL of the exit, with the condition met and masked");
    EXPECT(exit_cval(&t, exit), 5, "CVAL of the exit");
    EXPECT(exit->gprs[2], CTL_ENABLE | CTL_MASK | CTL_STATUS,
           "what the Realm reads");
    exit = rec_executed(rec, t.set, 0, 0, 0);
    EXPECT(exit_ctl(&t, exit) & CTL_ENABLE, 0, "CTL of the exit");
    EXPECT(READ(cntv_ctl_el0) | READ(cntp_ctl_el0), 0, "the host's timers");
    realm_end(realm);
}

static void reported_virtual(void)
{
    reported(false);
}
CASE("timers", "an exit reports the virtual timer", reported_virtual);

static void reported_physical(void)
{
    reported(true);
}
CASE("timers", "an exit reports the physical timer", reported_physical);

/* The host masks nothing, and gives no interrupt: the Realm goes on. */
static RmiRecExit *enter_until_done(struct rec *rec, RmiRecExit *exit)
{
    for (unsigned n = 0; n < 100 && exit->exit_reason == RMI_EXIT_IRQ; n++) {
        exit = rec_enter(rec);
    }
    rec_expect_done(exit);
    return exit;
}

/* The Realm, whose timer is asserted, arms it again. */
static void fires_again(struct rec *rec, const struct timer *t)
{
    uint64_t when = ticks() + ticks_of_ms(50);
    RmiRecExit *exit = enter_until_done(rec, rec_execute(rec, t->set, when,
                                                         CTL_ENABLE, 0));

    EXPECT(exit_cval(t, exit), when, "CVAL of the exit");
    if (ticks() < when) {
        EXPECT(exit_ctl(t, exit), CTL_ENABLE, "CTL before it is met");
    }
    exit = COMMAND(rec, REALM_SPIN, REALM_SHARED, ticks_of_ms(15000));
    EXPECT(exit->exit_reason, RMI_EXIT_IRQ, "the reason of the exit after it");
    EXPECT(exit_ctl(t, exit), CTL_ENABLE | CTL_STATUS, "CTL of the exit");
}

/* Likewise, within one entry, at whose beginning it is asserted still. */
static void fires_at_once(struct rec *rec, const struct timer *t)
{
    uint64_t when = ticks() + ticks_of_ms(50);
    RmiRecExit *exit = rec_execute(rec, t->set_tval, ticks_of_ms(50), 0,
                                   1ul << 26);

    EXPECT(exit->exit_reason, RMI_EXIT_IRQ, "the exit's reason, after TVAL");
    EXPECT_TRUE(exit_cval(t, exit) >= when, "CVAL that TVAL makes");
    EXPECT_TRUE(ticks() >= when, "that it was not too early, after TVAL");
    enter_until_done(rec, exit);
}

/* The Realm comes to the end of its command, and can be given another. */
static RmiRecExit *end_spin(struct rec *rec, RmiRecExit *exit)
{
    volatile uint64_t *word = (uint64_t *)rec->realm->shared;

    *word = 1;
    exit = enter_until_done(rec, exit);
    EXPECT(exit->gprs[0], 1, "what the Realm waited for");
    *word = 0;
    return exit;
}

static void fires(bool physical)
{
    struct realm *realm = realm_start(1);
    struct rec *rec = &realm->recs[0];
    struct timer t = timer(physical);
    RmiRecExit *exit;
    uint64_t when, now;

    gic_enable(PPI_VIRT_TIMER);
    gic_enable(PPI_PHYS_TIMER);
    rec_executed(rec, SNIPPET("nop"), 0, 0, 0);
    when = ticks() + ticks_of_ms(50);
    rec_executed(rec, t.set, when, CTL_ENABLE, 0);
    exit = COMMAND(rec, REALM_SPIN, REALM_SHARED, ticks_of_ms(15000));
    now = ticks();
    EXPECT(exit->exit_reason, RMI_EXIT_IRQ, "the exit's reason");
    EXPECT(exit_ctl(&t, exit), CTL_ENABLE | CTL_STATUS, "CTL of the exit");
    EXPECT(exit_cval(&t, exit), when, "CVAL of the exit");
    EXPECT_TRUE(now >= when, "that it was not too early");
    exit = end_spin(rec, exit);
    EXPECT(exit_ctl(&t, exit), CTL_ENABLE | CTL_STATUS,
           "CTL while the Realm leaves it so");
    fires_again(rec, &t);
    end_spin(rec, exit);
    fires_at_once(rec, &t);
    gic_disable(PPI_VIRT_TIMER);
    gic_disable(PPI_PHYS_TIMER);
    realm_end(realm);
}

static void fires_virtual(void)
{
    fires(false);
}
CASE("timers", "the virtual timer ends an entry when it fires, once each time",
     fires_virtual);

static void fires_physical(void)
{
    fires(true);
}
CASE("timers", "the physical timer ends an entry when it fires, once each time",
     fires_physical);

static void asserted_at_entry(void)
{
    struct realm *realm = with_gic();
    struct rec *rec = &realm->recs[0];
    struct timer v = timer(false), p = timer(true);
    unsigned entries;
    RmiRecExit *exit;

    gic_enable(PPI_VIRT_TIMER);
    gic_enable(PPI_PHYS_TIMER);
    rec->run->enter.flags = RMI_ENTER_TRAP_WFI;
    exit = rec_execute(rec, v.set, 1, CTL_ENABLE, 0);
    for (entries = 0; exit->exit_reason == RMI_EXIT_IRQ; entries++) {
        EXPECT_TRUE(entries < 10, "progress with the virtual timer asserted");
        exit = rec_enter(rec);
    }
    exit = rec_execute(rec, p.set, 1, CTL_ENABLE, 0);
    for (entries = 0; exit->exit_reason == RMI_EXIT_IRQ; entries++) {
        EXPECT_TRUE(entries < 10, "progress with both timers asserted");
        exit = rec_enter(rec);
    }
    for (unsigned n = 0; n < 50; n++) {
        rec_executed(rec, SNIPPET("nop"), 0, 0, 0);
    }
    rec->run->enter.gicv3_lrs[0] = LR(27);
    exit = take_interrupts(rec);
    EXPECT(GOT_INTERRUPTS(exit), 1, "interrupts that the host gave");
    gic_disable(PPI_VIRT_TIMER);
    gic_disable(PPI_PHYS_TIMER);
    realm_end(realm);
}
CASE("timers", "timers that are asserted at entry do not stop a Realm",
     asserted_at_entry);

static void host_timers(void)
{
    struct realm *realm = realm_start(1);
    struct rec *rec = &realm->recs[0];
    struct timer v = timer(false);
    uint64_t later = ticks() + ticks_of_ms(1000000);
    RmiRecExit *exit;

    rec_executed(rec, v.set, later, CTL_ENABLE, 0);
    EL1_WRITE(cntv_cval_el0, s3_5_c14_c3_2, 1234);
    EL1_WRITE(cntv_ctl_el0, s3_5_c14_c3_1, CTL_ENABLE | CTL_MASK);
    EL1_WRITE(cntp_cval_el0, s3_5_c14_c2_2, 5678);
    EL1_WRITE(cntp_ctl_el0, s3_5_c14_c2_1, CTL_MASK);
    exit = rec_execute(rec, SNIPPET("mrs x0, cntv_cval_el0\n"
                                    "mrs x1, cntv_ctl_el0\n"
                                    "mrs x2, cntp_cval_el0\n"
                                    "mrs x3, cntp_ctl_el0"), 0, 0, 0);
    EXPECT(EL1_READ(cntv_cval_el0, s3_5_c14_c3_2), 1234, "the host's CNTV_CVAL_EL0");
    EXPECT(EL1_READ(cntv_ctl_el0, s3_5_c14_c3_1), 7, "the host's CNTV_CTL_EL0");
    EXPECT(EL1_READ(cntp_cval_el0, s3_5_c14_c2_2), 5678, "the host's CNTP_CVAL_EL0");
    EXPECT(EL1_READ(cntp_ctl_el0, s3_5_c14_c2_1) & 3, CTL_MASK, "the host's CNTP_CTL_EL0");
    EL1_WRITE(cntv_ctl_el0, s3_5_c14_c3_1, 0);
    EL1_WRITE(cntp_ctl_el0, s3_5_c14_c2_1, 0);
    EL1_WRITE(cntv_cval_el0, s3_5_c14_c3_2, 0);
    EL1_WRITE(cntp_cval_el0, s3_5_c14_c2_2, 0);
    rec_expect_done(exit);
    EXPECT(exit->gprs[0], later, "the Realm's CNTV_CVAL_EL0");
    EXPECT(exit->gprs[1], CTL_ENABLE, "the Realm's CNTV_CTL_EL0");
    EXPECT_TRUE(exit->gprs[2] != 5678, "the Realm's CNTP_CVAL_EL0");
    EXPECT(exit->gprs[3] & 3, 0, "the Realm's CNTP_CTL_EL0");
    realm_end(realm);
}
CASE("timers", "host and Realm have timers of their own", host_timers);

static void host_alarm(void)
{
    struct realm *realm = realm_start(1);
    struct rec *rec = &realm->recs[0];
    const uint64_t spin[] = { REALM_SPIN, REALM_SHARED, ticks_of_ms(15000) };

    for (unsigned n = 0; n < 5; n++) {
        uint64_t when = ticks() + ticks_of_ms(20);
        RmiRecExit *exit = n ? rec_enter_for(rec, 20)
                             : rec_command_for(rec, spin, 3, 20);

        EXPECT(exit->exit_reason, RMI_EXIT_IRQ, "the exit's reason");
        EXPECT_TRUE(ticks() >= when, "that the host's timer was not early");
    }
    realm_end(realm);
}
CASE("timers", "the host's EL2 timer always ends an entry", host_alarm);
