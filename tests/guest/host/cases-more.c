/*
 * Cases: what needs more of a Realm than one instruction: EL0, debug,
 * exclusives, measurements, several RECs that have to do with each other
 *
 * Expected values: RMM 1.0, A2, A4, A6, A7 and B5.3; Arm ARM.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "realm.h"

#define FSC_SEA     0x10
#define EC_SVC      0x15
#define EC_WATCHPOINT_SAME 0x35
#define NOWHERE     (REALM_UNPROTECTED + 0x80000000ul)
#define LR(intid)   (1ul << 62 | 1ul << 60 | 0xa0ul << 48 | (intid))

/* To EL0, interrupts masked; the exception there ends it. */
#define AT_EL0 \
    "mov x9, #0x3c0\n" \
    "msr spsr_el1, x9\n" \
    "adr x9, 9f\n" \
    "msr elr_el1, x9\n" \
    "eret\n" \
    "9: "

/* ---- EL0 ---- */

static void el0(void)
{
    struct realm *realm = realm_start(1);
    struct rec *rec = &realm->recs[0];
    RmiRecExit *exit;

    exit = rec_executed(rec, SNIPPET(AT_EL0 "mov x0, #3\n svc #0"), 0, 0, 0);
    EXPECT(ESR_EC(GOT_ESR(exit)), EC_SVC, "the class of SVC");
    EXPECT(exit->gprs[0], 3, "what EL0 did");
    exit = rec_executed(rec, SNIPPET(AT_EL0 "ldr x0, [x1]\n svc #0"), 0,
                        0x50000010, 0);
    EXPECT(ESR_EC(GOT_ESR(exit)), EC_DATA, "the class of an abort of EL0");
    EXPECT(ESR_FSC(GOT_ESR(exit)), FSC_SEA, "its status code");
    EXPECT(GOT_FAR(exit), 0x50000010, "FAR_EL1");
    exit = rec_executed(rec, SNIPPET(AT_EL0 "smc #0\n svc #0"), 0, 0, 0);
    EXPECT(ESR_EC(GOT_ESR(exit)), EC_UNKNOWN, "the class of SMC at EL0");
    exit = rec_executed(rec, SNIPPET(AT_EL0 "hvc #0\n svc #0"), 0, 0, 0);
    EXPECT(ESR_EC(GOT_ESR(exit)), EC_UNKNOWN, "the class of HVC at EL0");

    exit = rec_execute(rec, SNIPPET(AT_EL0 "ldrsb x0, [x1]\n svc #0"), 0,
                       NOWHERE, 0);
    EXPECT(exit->exit_reason, RMI_EXIT_SYNC, "the exit's reason");
    rec->run->enter.flags = RMI_ENTER_EMUL_MMIO;
    rec->run->enter.gprs[0] = 0xfe;
    exit = rec_enter(rec);
    rec_expect_done(exit);
    EXPECT(exit->gprs[0], -2ul, "what EL0 read");
    EXPECT(ESR_EC(GOT_ESR(exit)), EC_SVC, "the class of SVC behind it");
    exit = rec_execute(rec, SNIPPET(AT_EL0 "ldr x0, [x1]\n svc #0"), 0,
                       NOWHERE, 0);
    rec->run->enter.flags = RMI_ENTER_INJECT_SEA;
    exit = rec_enter(rec);
    rec_expect_done(exit);
    EXPECT(ESR_EC(GOT_ESR(exit)), EC_DATA, "the class of an injected abort");
    EXPECT(ESR_FSC(GOT_ESR(exit)), FSC_SEA, "its status code");
    realm_end(realm);
}
CASE("more", "EL0 of a Realm aborts as EL0, and is emulated as well", el0);

/* ---- Exclusives ---- */

static void monitor(void)
{
    struct realm *realm = realm_start(1);
    struct rec *rec = &realm->recs[0];
    RmiRecExit *exit;

    realm_page(realm, REALM_DATA, NULL);
    exit = rec_executed(rec, SNIPPET("ldxr x0, [x1]\n stxr w2, x0, [x1]"), 0,
                        REALM_DATA, 9);
    EXPECT(exit->gprs[2], 0, "the status of a store without an exit between");
    rec->run->enter.flags = RMI_ENTER_TRAP_WFI;
    exit = rec_execute(rec, SNIPPET("ldxr x0, [x1]\n wfi\n"
                                    "stxr w2, x0, [x1]"), 0, REALM_DATA, 9);
    EXPECT(ESR_EC(exit->esr), EC_WFX, "the exit's class");
    exit = rec_enter(rec);
    rec_expect_done(exit);
    EXPECT(exit->gprs[2], 1, "the status of a store with an exit between");
    realm_end(realm);
}
CASE("more", "an exit clears the exclusive monitor", monitor);

struct counting {
    struct rec *rec;
    RmiRecExit *exit;
};

static void count_up(void *arg)
{
    struct counting *c = arg;

    c->exit = rec_executed(c->rec, SNIPPET("1: ldxr x0, [x1]\n"
                                           "add x0, x0, #1\n"
                                           "stxr w3, x0, [x1]\n"
                                           "cbnz w3, 1b\n"
                                           "subs x2, x2, #1\n"
                                           "b.ne 1b"), 0, REALM_DATA, 20000);
}

static void counted_together(void)
{
    struct realm *realm = realm_start(4);
    struct counting counting[4];
    unsigned cpus = cpu_count() < 4 ? cpu_count() : 4;
    RmiRecExit *exit;

    realm_page(realm, REALM_DATA, NULL);
    rec_executed(&realm->recs[0], SNIPPET("str xzr, [x1]"), 0, REALM_DATA, 0);
    for (unsigned n = 0; n < 4; n++) {
        counting[n].rec = &realm->recs[n];
    }
    for (unsigned n = 1; n < cpus; n++) {
        cpu_start(n, count_up, &counting[n]);
    }
    count_up(&counting[0]);
    for (unsigned n = 1; n < cpus; n++) {
        cpu_wait(n);
    }
    exit = rec_executed(&realm->recs[0], SNIPPET("ldr x0, [x1]"), 0,
                        REALM_DATA, 0);
    EXPECT(exit->gprs[0], 20000 * cpus, "what the RECs counted");
    realm_end(realm);
}
CASE("more", "RECs on several CPUs count together in one word",
     counted_together);

/* ---- Debug ---- */

/* Data at @x1 of EL1, any access */
#define WATCH \
    "msr oslar_el1, xzr\n" \
    "msr dbgwvr0_el1, x1\n" \
    "mov x0, #0x1ffb\n" \
    "msr dbgwcr0_el1, x0\n" \
    "mov x0, #0xa000\n" \
    "msr mdscr_el1, x0\n" \
    "isb\n" \
    "msr daifclr, #8\n"
#define UNWATCH \
    "msr daifset, #8\n" \
    "msr dbgwcr0_el1, xzr\n" \
    "msr mdscr_el1, xzr\n" \
    "isb\n"

static void watched(void)
{
    struct realm *realm = realm_start(1);
    struct rec *rec = &realm->recs[0];
    RmiRecExit *exit;

    realm_page(realm, REALM_DATA, NULL);
    exit = rec_executed(rec, SNIPPET(WATCH "ldr x2, [x1]\n" UNWATCH), 0,
                        REALM_DATA, 0);
    EXPECT(GOT_EXCEPTIONS(exit), 1, "exceptions of the watched word");
    EXPECT(ESR_EC(GOT_ESR(exit)), EC_WATCHPOINT_SAME, "its class");
    rec->run->enter.flags = RMI_ENTER_TRAP_WFI;
    rec_execute(rec, SNIPPET(WATCH "wfi\n ldr x2, [x1]\n" UNWATCH), 0,
                REALM_DATA, 0);
    EXPECT(ESR_EC(rec->run->exit.esr), EC_WFX, "the exit's class");
    EXPECT(try_read(REALM_DATA, NULL).esr, 0, "the host's fault there");
    exit = rec_enter(rec);
    rec_expect_done(exit);
    EXPECT(GOT_EXCEPTIONS(exit), 1, "exceptions of the word after an exit");
    EXPECT(ESR_EC(GOT_ESR(exit)), EC_WATCHPOINT_SAME, "its class");
    realm_end(realm);
}
CASE("more", "a Realm's watchpoint is its own, before and after an exit",
     watched);

static void watched_by_the_host(void)
{
    struct realm *realm = realm_start(1);
    struct rec *rec = &realm->recs[0];
    RmiRecExit *exit;

    realm_page(realm, REALM_DATA, NULL);
    rec_executed(rec, SNIPPET("nop"), 0, 0, 0);
    WRITE(oslar_el1, 0);
    WRITE(dbgwvr0_el1, REALM_DATA);
    WRITE(dbgwcr0_el1, 0x1fff);         /* EL1 and EL0, any access */
    WRITE(mdscr_el1, 0xa000);
    exit = rec_execute(rec, SNIPPET("msr daifclr, #8\n ldr x2, [x1]\n"
                                    "msr daifset, #8"), 0, REALM_DATA, 0);
    EXPECT(READ(dbgwvr0_el1), REALM_DATA, "the host's watchpoint");
    EXPECT(READ(dbgwcr0_el1), 0x1fff, "the host's watchpoint");
    WRITE(dbgwcr0_el1, 0);
    WRITE(mdscr_el1, 0);
    rec_expect_done(exit);
    EXPECT(GOT_EXCEPTIONS(exit), 0, "exceptions of the Realm");
    realm_end(realm);
}
CASE("more", "the host's watchpoints do not see what a Realm does",
     watched_by_the_host);

/* ---- Waiting ---- */

static void wakes_at(void)
{
    struct realm *realm = realm_start(1);
    struct rec *rec = &realm->recs[0];
    uint64_t when;
    RmiRecExit *exit;

    gic_enable(PPI_VIRT_TIMER);
    rec_executed(rec, SNIPPET("nop"), 0, 0, 0);
    when = ticks() + ticks_of_ms(100);
    exit = rec_execute(rec, SNIPPET("msr cntv_cval_el0, x1\n mov x0, #1\n"
                                    "msr cntv_ctl_el0, x0\n isb\n"
                                    "1: mrs x2, cntv_ctl_el0\n"
                                    "tbnz x2, #2, 2f\n wfi\n b 1b\n"
                                    "2:"), 0, when, 0);
    EXPECT_TRUE(ticks() >= when, "that it waited");
    for (unsigned n = 0; n < 10 && exit->exit_reason == RMI_EXIT_IRQ; n++) {
        EXPECT(exit->cntv_ctl, 5, "CTL of the exit");
        exit = rec_enter(rec);
    }
    rec_expect_done(exit);
    gic_disable(PPI_VIRT_TIMER);
    realm_end(realm);
}
CASE("more", "WFI waits for the Realm's timer", wakes_at);

static void wakes_by_list(void)
{
    struct realm *realm = realm_start(1);
    struct rec *rec = &realm->recs[0];
    RmiRecExit *exit;

    rec_executed(rec, SNIPPET("mov x0, #7\n msr s3_0_c12_c12_5, x0\n isb\n"
                              "mov x0, #0xf0\n msr s3_0_c4_c6_0, x0\n"
                              "mov x0, #1\n msr s3_0_c12_c12_7, x0"),
                 0, 0, 0);
    rec->run->enter.gicv3_lrs[0] = LR(27);
    exit = rec_executed(rec, SNIPPET("wfi\n mov x0, #3"), 0, 0, 0);
    EXPECT(exit->gprs[0], 3, "what is behind WFI");
    EXPECT(GOT_INTERRUPTS(exit), 0, "interrupts while they are masked");
    realm_end(realm);
}
CASE("more", "WFI does not wait with an interrupt in a list register",
     wakes_by_list);

static void spin_elsewhere(void *arg)
{
    gic_enable(PPI_VIRT_TIMER);
    COMMAND((struct rec *)arg, REALM_SPIN, REALM_SHARED, ticks_of_ms(15000));
    gic_disable(PPI_VIRT_TIMER);
}

static void timer_moves(void)
{
    struct realm *realm = realm_start(1);
    struct rec *rec = &realm->recs[0];
    uint64_t when;

    rec_executed(rec, SNIPPET("nop"), 0, 0, 0);
    when = ticks() + ticks_of_ms(100);
    rec_executed(rec, SNIPPET("msr cntv_cval_el0, x0\n mov x1, #1\n"
                              "msr cntv_ctl_el0, x1\n isb"), when, 0, 0);
    cpu_run(cpu_count() - 1, spin_elsewhere, rec);
    EXPECT(rec->run->exit.exit_reason, RMI_EXIT_IRQ, "the exit's reason");
    EXPECT(rec->run->exit.cntv_ctl, 5, "CTL of the exit");
    EXPECT(rec->run->exit.cntv_cval, when, "CVAL of the exit");
    EXPECT_TRUE(ticks() >= when, "that it was not too early");
    realm_end(realm);
}
CASE("more", "a timer goes with its REC to another CPU", timer_moves);

/* ---- RECs that have to do with each other ---- */

struct receiver {
    struct rec *rec;
    volatile uint64_t sgi;
    uint64_t result;
};

/* Runs a REC that spins, and gives it what the other's host was told. */
static void receive(void *arg)
{
    struct receiver *r = arg;
    RmiRecExit *exit;

    gic_enable(3);
    exit = COMMAND(r->rec, REALM_SPIN, REALM_SHARED, ticks_of_ms(15000),
                   SPIN_SIGN);
    while (exit->exit_reason == RMI_EXIT_IRQ) {
        bool taken = !(exit->gicv3_lrs[0] >> 62);

        gic_take();
        r->rec->run->enter.gicv3_lrs[0] = exit->gicv3_lrs[0];
        if (taken && r->sgi) {
            r->rec->run->enter.gicv3_lrs[0] = LR(r->sgi);
            r->sgi = 0;
        }
        exit = rec_enter(r->rec);
    }
    r->rec->run->enter.gicv3_lrs[0] = 0;
    rec_expect_done(exit);
    gic_disable(3);
}

static void sgi_between_recs(void)
{
    struct realm *realm = realm_start(2);
    struct receiver receiver = { &realm->recs[1] };
    struct rec *rec = &realm->recs[0];
    RmiRecExit *exit;

    test_needs_cpus();
    for (unsigned n = 0; n < 2; n++) {
        rec_executed(&realm->recs[n],
                     SNIPPET("mov x0, #7\n msr s3_0_c12_c12_5, x0\n isb\n"
                             "mov x0, #0xf0\n msr s3_0_c4_c6_0, x0\n"
                             "mov x0, #1\n msr s3_0_c12_c12_7, x0\n"
                             "msr daifclr, #2"), 0, 0, 0);
    }
    cpu_start(1, receive, &receiver);
    realm_wait_for_spin(realm);
    for (uint64_t n = 1; n < 6; n++) {
        exit = rec_execute(rec, SNIPPET("msr s3_0_c12_c11_5, x0"),
                           n << 24 | 1 << 1, 0, 0);
        EXPECT(ESR_EC(exit->esr), EC_SYSREG, "the exit's class");
        EXPECT(exit->gprs[0], n << 24 | 1 << 1, "the SGI");
        receiver.sgi = n;
        /* Again if the REC had no room for it, as it has not run meanwhile. */
        while (receiver.sgi && cpu_busy(1)) {
            gic_send_sgi(3, 1);
            delay_ms(2);
        }
        rec_expect_done(rec_enter(rec));
    }
    *(volatile uint64_t *)realm->shared = 1;
    cpu_wait(1);
    exit = rec_executed(&realm->recs[1], SNIPPET("msr daifset, #2"), 0, 0, 0);
    EXPECT(GOT_INTERRUPTS(exit), 5, "the SGIs that the other REC took");
    EXPECT(GOT_INTID(exit), 5, "the last one");
    realm_end(realm);
}
CASE("more", "a REC sends SGIs to another one, through the host",
     sgi_between_recs);

static void run_until_exit(void *arg)
{
    struct receiver *r = arg;
    uint64_t *gprs = r->rec->run->enter.gprs;

    gprs[0] = REALM_SPIN;
    gprs[1] = REALM_SHARED;
    gprs[2] = ticks_of_ms(15000);
    gprs[3] = SPIN_SIGN;
    alarm_set(20000);
    r->result = rec_try_enter(r->rec);
    alarm_off();
}

static void off_while_running(void)
{
    struct realm *realm = realm_start(2);
    struct receiver receiver = { &realm->recs[1] };
    RmiRecExit *exit;

    test_needs_cpus();
    rec_executed(&realm->recs[0], SNIPPET("nop"), 0, 0, 0);
    rec_executed(&realm->recs[1], SNIPPET("nop"), 0, 0, 0);
    cpu_start(1, run_until_exit, &receiver);
    realm_wait_for_spin(realm);
    exit = rec_smc(&realm->recs[0], PSCI_FID_SYSTEM_OFF, 0, 0, 0, 0);
    EXPECT(exit->exit_reason, RMI_EXIT_PSCI, "the exit's reason");
    EXPECT(rec_try_enter(&realm->recs[0]), RMI_RESULT(RMI_ERROR_REALM, 1),
           "REC_ENTER of a Realm that is off");
    *(volatile uint64_t *)realm->shared = 1;
    cpu_wait(1);
    /* It may have exited for an interrupt before, and was not entered again. */
    if (receiver.result != RMI_RESULT(RMI_ERROR_REALM, 1)) {
        EXPECT(receiver.result, RMI_SUCCESS, "what its entry returned");
        rec_expect_done(&realm->recs[1].run->exit);
    }
    EXPECT(rec_try_enter(&realm->recs[1]), RMI_RESULT(RMI_ERROR_REALM, 1),
           "REC_ENTER of the other REC, afterwards");
    realm_end(realm);
}
CASE("more", "SYSTEM_OFF while another REC runs lets that one exit",
     off_while_running);

/* ---- Everything at once ---- */

#define MANY 6

struct scene {
    struct rec *rec;
    spinlock lock;
    uint64_t seed;
};
static struct scene scenes[2 * MANY];

static bool try_lock(spinlock *lock)
{
    return __atomic_exchange_n(lock, 1, __ATOMIC_ACQUIRE) == 0;
}

static void act(struct scene *scene, uint64_t choice)
{
    struct rec *rec = scene->rec;
    uint64_t at = REALM_DATA + rec->index * PAGE;
    RmiRecExit *exit;

    switch (choice % 3) {
    case 0:
        exit = COMMAND(rec, REALM_CHECK, at, PAGE, scene->seed);
        rec_expect_done(exit);
        EXPECT(exit->gprs[0], 0, "words that are not what the REC wrote");
        scene->seed++;
        rec_expect_done(COMMAND(rec, REALM_FILL, at, PAGE, scene->seed));
        break;
    case 1:
        rec->run->enter.flags = RMI_ENTER_TRAP_WFI;
        exit = COMMAND(rec, REALM_REGISTERS, choice, 0xd503207f, 0);
        EXPECT(ESR_EC(exit->esr), EC_WFX, "the exit's class");
        exit = rec_enter(rec);
        rec_expect_done(exit);
        EXPECT(exit->gprs[0] | exit->gprs[1] | exit->gprs[2], 0,
               "registers that changed");
        break;
    case 2:
        exit = rec_execute(rec, SNIPPET("ldr w0, [x1]"), 0, NOWHERE, 0);
        EXPECT(exit->hpfar, NOWHERE >> 8, "the exit's HPFAR");
        rec->run->enter.flags = RMI_ENTER_EMUL_MMIO;
        rec->run->enter.gprs[0] = choice;
        exit = rec_enter(rec);
        rec_expect_done(exit);
        EXPECT(exit->gprs[0], (uint32_t)choice, "what it read");
        break;
    }
}

static void play(void *arg)
{
    uint64_t seed = (uint64_t)arg;

    for (unsigned n = 0; n < 150; n++) {
        uint64_t choice = pattern(seed, n);
        struct scene *scene = &scenes[choice % (2 * MANY)];

        if (try_lock(&scene->lock)) {
            act(scene, choice >> 8);
            spin_unlock(&scene->lock);
        }
    }
}

static void many(void)
{
    struct realm *realms[MANY];

    for (unsigned n = 0; n < MANY; n++) {
        realms[n] = realm_start(2);
        for (unsigned i = 0; i < 2; i++) {
            struct rec *rec = &realms[n]->recs[i];
            uint64_t at = REALM_DATA + i * PAGE;

            scenes[2 * n + i] = (struct scene) { rec, 0, 1000 * n + i };
            realm_page(realms[n], at, NULL);
            rec_expect_done(COMMAND(rec, REALM_FILL, at, PAGE, 1000 * n + i));
        }
    }
    for (uint64_t n = 1; n < cpu_count(); n++) {
        cpu_start(n, play, (void *)n);
    }
    play(NULL);
    for (unsigned n = 1; n < cpu_count(); n++) {
        cpu_wait(n);
    }
    for (unsigned n = 0; n < MANY; n++) {
        realm_end(realms[n]);
    }
}
CASE("more", "twelve RECs of six Realms wander over all CPUs", many);

/* ---- Measurements ---- */

static void measurements(void)
{
    /* REM 1 from zero, extended with the bytes 1 to 8 (SHA-256) */
    static const uint8_t rem[32] = {
        0xf0, 0xba, 0xc6, 0x15, 0x7e, 0xae, 0xc3, 0x4c,
        0x93, 0x68, 0xf0, 0x9d, 0x78, 0x3a, 0xa3, 0xa4,
        0x7a, 0xe1, 0xff, 0x0e, 0x29, 0x5a, 0xeb, 0x32,
        0x2b, 0x06, 0x3e, 0x9f, 0x60, 0xfe, 0xee, 0xb3,
    };
    struct realm *realm = realm_start(1);
    struct rec *rec = &realm->recs[0];
    RmiRecExit *exit;

    for (unsigned n = 1; n < 5; n++) {
        exit = rec_smc(rec, RSI_MEASUREMENT_READ, n, 0, 0, 0);
        rec_expect_done(exit);
        EXPECT(exit->gprs[0], RSI_SUCCESS, "RSI_MEASUREMENT_READ");
        for (unsigned i = 1; i < 8; i++) {
            EXPECT(exit->gprs[i], 0, "a measurement at the start");
        }
    }
    exit = rec_smc(rec, RSI_MEASUREMENT_EXTEND, 1, 8, 0x0807060504030201, 0);
    rec_expect_done(exit);
    EXPECT(exit->gprs[0], RSI_SUCCESS, "RSI_MEASUREMENT_EXTEND");
    exit = rec_smc(rec, RSI_MEASUREMENT_READ, 1, 0, 0, 0);
    rec_expect_done(exit);
    EXPECT(memcmp(&exit->gprs[1], rem, sizeof(rem)), 0,
           "how the measurement differs from what it should be");
    exit = rec_smc(rec, RSI_MEASUREMENT_READ, 5, 0, 0, 0);
    rec_expect_done(exit);
    EXPECT(exit->gprs[0], RSI_ERROR_INPUT, "a measurement that there is not");
    realm_end(realm);
}
CASE("more", "a Realm reads and extends its measurements", measurements);

static uint64_t initial_measurement(uint8_t first_byte)
{
    RmiRealmParams params;
    struct realm *realm;
    RmiRecExit *exit;
    uint8_t *page = (uint8_t *)page_new(1);
    uint64_t rim, pa;

    *page = first_byte;
    realm_params(&params);
    params.rpv[0] = first_byte;         /* is not measured */
    realm = realm_create(&params);
    realm_load(realm);
    pa = granule_new(1);
    EXPECT(RMI(RMI_DATA_CREATE, realm->rd, pa, REALM_DATA, (uint64_t)page,
               RMI_DATA_MEASURE).x0, RMI_SUCCESS, "DATA_CREATE, measured");
    realm_rec(realm, true, REALM_CODE, NULL);
    realm_activate(realm);
    exit = rec_smc(&realm->recs[0], RSI_MEASUREMENT_READ, 0, 0, 0, 0);
    rec_expect_done(exit);
    rim = exit->gprs[1];
    EXPECT(RMI(RMI_DATA_DESTROY, realm->rd, REALM_DATA).x0, RMI_SUCCESS,
           "DATA_DESTROY");
    granule_free(pa, 1);
    page_free((uint64_t)page, 1);
    realm_end(realm);
    return rim;
}

static void rim(void)
{
    uint64_t first = initial_measurement(1);

    EXPECT_TRUE(first != 0, "an initial measurement");
    EXPECT(initial_measurement(1), first, "that of another Realm like it");
    EXPECT_TRUE(initial_measurement(2) != first,
                "that of a Realm with another byte differs");
}
CASE("more", "the initial measurement is that of the contents", rim);

static void token(void)
{
    struct realm *realm = realm_start(1);
    struct rec *rec = &realm->recs[0];
    uint64_t offset = 0, bound;
    RmiRecExit *exit;

    realm_page(realm, REALM_DATA, NULL);
    exit = rec_smc(rec, RSI_ATTESTATION_TOKEN_CONTINUE, REALM_DATA, 0, PAGE, 0);
    rec_expect_done(exit);
    EXPECT(exit->gprs[0], RSI_ERROR_STATE, "CONTINUE before INIT");
    exit = rec_smc(rec, RSI_ATTESTATION_TOKEN_INIT, 1, 2, 3, 4);
    rec_expect_done(exit);
    EXPECT(exit->gprs[0], RSI_SUCCESS, "RSI_ATTESTATION_TOKEN_INIT");
    bound = exit->gprs[1];
    EXPECT_TRUE(bound && bound <= PAGE, "the size of the token");
    for (unsigned n = 0; n < 100; n++) {
        exit = rec_smc(rec, RSI_ATTESTATION_TOKEN_CONTINUE, REALM_DATA,
                       offset, PAGE - offset, 0);
        while (exit->exit_reason == RMI_EXIT_IRQ) {
            exit = rec_enter(rec);
        }
        rec_expect_done(exit);
        offset += exit->gprs[1];
        if (exit->gprs[0] != RSI_INCOMPLETE) {
            break;
        }
    }
    EXPECT(exit->gprs[0], RSI_SUCCESS, "RSI_ATTESTATION_TOKEN_CONTINUE");
    EXPECT_TRUE(offset && offset <= bound, "the bytes of the token");
    exit = rec_executed(rec, SNIPPET("ldrb w0, [x1]\n ldrb w2, [x1, #1]\n"
                                     "ldrb w3, [x1, #2]"), 0, REALM_DATA, 0);
    /* CBOR tag 399 */
    EXPECT(exit->gprs[0] << 16 | exit->gprs[2] << 8 | exit->gprs[3], 0xd9018f,
           "how the token begins");
    realm_end(realm);
}
CASE("more", "a Realm gets an attestation token", token);
