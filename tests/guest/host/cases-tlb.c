/*
 * Cases: translations that one world, Realm or CPU made and another must not
 * use
 *
 * Expected values: RMM 1.0, A5.2 to A5.4; Arm ARM, D8.17 (TLB maintenance): an
 * entry is for one VMID, and a REC is one PE wherever it runs.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "realm.h"

#define TRANSLATION(level)  (4ul | (level))
#define DATA_ABORT          ((uint64_t)EC_DATA << 26)
#define HPFAR(ipa)          ((ipa) >> 12 << 4)

/* A Realm that is gone, and one that has its VMID and its granules. */
static void one_after_the_other(void)
{
    for (unsigned n = 0; n < 5; n++) {
        struct realm *realm = realm_start(1);
        RmiRecExit *exit;

        realm_page(realm, REALM_DATA + n * PAGE, NULL);
        exit = rec_executed(&realm->recs[0], SNIPPET("str x0, [x1]"), 5,
                            REALM_DATA + n * PAGE, 0);
        EXPECT(GOT_EXCEPTIONS(exit), 0, "exceptions of the Realm");
        exit = rec_execute(&realm->recs[0], SNIPPET("ldr x0, [x1]"), 0,
                           REALM_DATA + (n ? n - 1 : 9) * PAGE, 0);
        EXPECT(exit->exit_reason, RMI_EXIT_SYNC,
               "the exit's reason where another Realm had a page");
        realm_end(realm);
    }
}
CASE("tlb", "a Realm has nothing of the one that had its VMID before",
     one_after_the_other);

/*
 * The second REC has the granules of the first, so that nothing is delegated in
 * between, and may have its place in QEMU.
 */
static void rec_after_rec(void)
{
    for (unsigned n = 0; n < 5; n++) {
        struct realm *a = realm_start(1), *b;
        struct rec *rec = &a->recs[0], *second;
        RmiRecParams *rec_params = (RmiRecParams *)page_new(1);
        RmiRealmParams params;
        RmiRecExit *exit;

        realm_params(&params);
        b = realm_create(&params);
        realm_load(b);
        second = &b->recs[0];
        rec_params->flags = RMI_REC_RUNNABLE;
        rec_params->pc = REALM_CODE;
        rec_params->num_aux = rec->num_aux;
        memcpy(rec_params->aux, rec->aux, sizeof(rec->aux));
        realm_page(a, REALM_DATA, NULL);
        rec_executed(rec, SNIPPET("str x0, [x1]"), 5, REALM_DATA, 0);

        EXPECT(RMI(RMI_REC_DESTROY, rec->pa).x0, RMI_SUCCESS, "REC_DESTROY");
        EXPECT(RMI(RMI_REC_CREATE, b->rd, rec->pa, (uint64_t)rec_params).x0,
               RMI_SUCCESS, "REC_CREATE");
        *second = *rec;
        second->realm = b;
        second->ready = false;
        a->num_recs = 0;
        b->num_recs = 1;
        realm_activate(b);
        exit = rec_execute(second, SNIPPET("ldr x0, [x1]"), 0, REALM_DATA, 0);
        EXPECT(exit->exit_reason, RMI_EXIT_SYNC,
               "the exit's reason where another Realm has a page");
        realm_end(b);
        realm_end(a);
        page_free((uint64_t)rec_params, 1);
    }
}
CASE("tlb", "a REC has nothing of one that was destroyed before it was made",
     rec_after_rec);

/* ---- Several CPUs ---- */

/* ---- A REC and its stage 1, on two CPUs ---- */

#define TABLE       REALM_DATA
#define OFFSET      (REALM_DATA + PAGE - REALM_CODE)
#define VA          (2 * GIB + OFFSET)
#define TCR_39      (25 | 1ul << 8 | 1ul << 10 | 3ul << 12 | 1ul << 23 | \
                     5ul << 32)

struct step {
    struct rec *rec;
    struct snippet code;
    uint64_t x[5];
    uint64_t got;
};

/* The MMU stays on between the steps: the program is where it is. */
static void step_on(void *arg)
{
    struct step *step = arg;
    uint64_t words[15] = { REALM_EXECUTE, step->code.end - step->code.code };
    RmiRecExit *exit;

    memcpy(words + 2, step->code.code, words[1] * 4);
    memcpy(words + 10, step->x, sizeof(step->x));
    exit = rec_command(step->rec, words, 15);
    rec_expect_done(exit);
    EXPECT(GOT_EXCEPTIONS(exit), 0, "exceptions of the Realm");
    step->got = exit->gprs[0];
}

static void local_tlbi(void)
{
    struct realm *realm = realm_start(1);
    struct rec *rec = &realm->recs[0];
    const uint64_t blocks[2] = { REALM_CODE | MAP_BLOCK,
                                 REALM_SHARED | MAP_BLOCK };
    struct step on = {
        rec, SNIPPET("msr mair_el1, x2\n msr tcr_el1, x3\n"
                     "msr ttbr0_el1, x4\n isb\n mrs x5, sctlr_el1\n"
                     "orr x5, x5, #1\n msr sctlr_el1, x5\n isb\n"
                     "ldr x0, [x1]"), { 0, VA, 0xff, TCR_39, TABLE } };
    struct step change = {
        rec, SNIPPET("str x3, [x4]\n dsb sy\n lsr x5, x1, #12\n"
                     "tlbi vaae1, x5\n dsb sy\n isb\n ldr x0, [x1]"),
        { 0, VA, 0, 0, TABLE + 16 } };
    struct step read = { rec, SNIPPET("ldr x0, [x1]"), { 0, VA } };

    test_needs_cpus();
    realm_page(realm, TABLE, NULL);
    realm_page(realm, REALM_CODE + OFFSET, NULL);
    *(volatile uint64_t *)realm_lend(realm, REALM_SHARED + OFFSET, 0) = 1001;
    rec_executed(rec, SNIPPET("str x0, [x1]"), 1000, REALM_CODE + OFFSET, 0);
    rec_executed(rec, SNIPPET("stp x0, x2, [x1]"), blocks[0], TABLE + 8,
                 blocks[0]);
    step_on(&on);
    EXPECT(on.got, 1000, "what the Realm reads at first");
    for (unsigned n = 1; n < 10; n++) {
        change.x[3] = blocks[n % 2];
        cpu_run(n % 2, step_on, &change);
        EXPECT(change.got, 1000 + n % 2, "what the Realm reads where it "
               "changed its table");
        cpu_run((n + 1) % 2, step_on, &read);
        EXPECT(read.got, 1000 + n % 2, "what the Realm reads on another CPU");
    }
    realm_end(realm);
}
CASE("tlb", "a REC's own TLBI holds on the CPU that it ran on before",
     local_tlbi);

/* ---- What RMI takes away from a REC that runs on another CPU ---- */

struct spin {
    struct rec *rec;
    uint64_t at;
    RmiRecExit *exit;
};

static void spin(void *arg)
{
    struct spin *s = arg;

    s->exit = COMMAND(s->rec, REALM_SPIN, s->at, ticks_of_ms(3000));
}

static void start_to_spin(struct spin *s)
{
    test_needs_cpus();
    cpu_start(1, spin, s);
    delay_ms(5);
}

static void destroyed_meanwhile(void)
{
    struct realm *realm = realm_start(1);
    struct spin s = { &realm->recs[0] };

    for (unsigned n = 0; n < 5; n++) {
        s.at = REALM_DATA + n * PAGE;
        realm_page(realm, s.at, NULL);
        start_to_spin(&s);
        realm_unmap(realm, s.at);
        cpu_wait(1);
        EXPECT(s.exit->exit_reason, RMI_EXIT_SYNC, "the exit's reason");
        EXPECT(s.exit->esr, DATA_ABORT | TRANSLATION(3), "the exit's ESR");
        EXPECT(s.exit->hpfar, HPFAR(s.at), "the exit's HPFAR");
        /* The Realm lost that page for good: the REC cannot go on. */
        realm_end(realm);
        realm = realm_start(1);
        s.rec = &realm->recs[0];
    }
    realm_end(realm);
}
CASE("tlb", "DATA_DESTROY takes the page from a REC that runs on another CPU",
     destroyed_meanwhile);

static void taken_back_meanwhile(void)
{
    struct realm *realm = realm_start(1);
    struct spin s = { &realm->recs[0], REALM_SHARED };
    const uint64_t pages[2] = { realm->shared, page_new(1) };

    for (unsigned n = 0; n < 20; n++) {
        volatile uint64_t *now = (uint64_t *)pages[n % 2];
        volatile uint64_t *next = (uint64_t *)pages[(n + 1) % 2];

        start_to_spin(&s);
        EXPECT(RMI(RMI_RTT_UNMAP_UNPROTECTED, realm->rd, REALM_SHARED, 3).x0,
               RMI_SUCCESS, "RTT_UNMAP_UNPROTECTED");
        *now = 99;
        cpu_wait(1);
        EXPECT(s.exit->exit_reason, RMI_EXIT_SYNC, "the exit's reason");
        EXPECT(s.exit->hpfar, HPFAR(REALM_SHARED), "the exit's HPFAR");
        *next = 55;
        EXPECT(RMI(RMI_RTT_MAP_UNPROTECTED, realm->rd, REALM_SHARED, 3,
                   (uint64_t)next | LEND_NORMAL | LEND_READ_WRITE).x0,
               RMI_SUCCESS, "RTT_MAP_UNPROTECTED");
        s.exit = rec_enter(s.rec);
            rec_expect_done(s.exit);
        EXPECT(s.exit->gprs[0], 55, "what the Realm reads in the new page");
        *next = 0;
    }
    realm_end(realm);
    page_free(pages[1], 1);
}
CASE("tlb", "RTT_UNMAP_UNPROTECTED takes the page from a REC that runs on "
     "another CPU", taken_back_meanwhile);

static void delegated_meanwhile(void)
{
    struct realm *realm = realm_start(1);
    struct spin s = { &realm->recs[0], REALM_SHARED };

    for (unsigned n = 0; n < 20; n++) {
        start_to_spin(&s);
        EXPECT(RMI(RMI_GRANULE_DELEGATE, realm->shared).x0, RMI_SUCCESS,
               "GRANULE_DELEGATE");
        granule_delegated(realm->shared, true);
        delay_ms(1);
        EXPECT(RMI(RMI_GRANULE_UNDELEGATE, realm->shared).x0, RMI_SUCCESS,
               "GRANULE_UNDELEGATE");
        granule_delegated(realm->shared, false);
        *(volatile uint64_t *)realm->shared = 1;
        cpu_wait(1);
        rec_expect_done(s.exit);
        *(volatile uint64_t *)realm->shared = 0;
    }
    realm_end(realm);
}
CASE("tlb", "a lent page is delegated and undelegated while a REC reads it",
     delegated_meanwhile);

/* Reads until there is something, or until the read is an exception. */
static void read_on(void *arg)
{
    struct spin *s = arg;

    s->exit = rec_execute(s->rec, SNIPPET("1: mov x0, #1\n ldr x0, [x1]\n"
                                          "cbz x0, 1b"), 0, s->at, 0);
}

static void ripas_meanwhile(void)
{
    struct realm *realm = realm_start(2);
    struct spin s = { &realm->recs[0], REALM_DATA };
    struct rec *other = &realm->recs[1];
    struct result r;
    RmiRecExit *exit;

    realm_page(realm, REALM_DATA, NULL);
    rec_executed(other, SNIPPET("nop"), 0, 0, 0);
    test_needs_cpus();
    cpu_start(1, read_on, &s);
    delay_ms(20);
    exit = rec_smc(other, RSI_IPA_STATE_SET, REALM_DATA, REALM_DATA + PAGE, 0,
                   0);
    EXPECT(exit->exit_reason, RMI_EXIT_RIPAS_CHANGE, "the exit's reason");
    r = RMI(RMI_RTT_SET_RIPAS, realm->rd, other->pa, REALM_DATA,
            REALM_DATA + PAGE);
    EXPECT(r.x0, RMI_SUCCESS, "RTT_SET_RIPAS");
    EXPECT(r.x1, REALM_DATA + PAGE, "how far RTT_SET_RIPAS got");
    cpu_wait(1);
    rec_expect_done(s.exit);
    EXPECT(GOT_EXCEPTIONS(s.exit), 1, "exceptions of the REC that reads");
    EXPECT(GOT_ESR(s.exit) & ~(1ul << 25), (uint64_t)EC_DATA_SAME << 26 |
           ESR_EA | 0x10, "their ESR_EL1");
    s = (struct spin) { other, 0, rec_enter(other) };
    rec_expect_done(s.exit);
    realm_end(realm);
}
CASE("tlb", "RTT_SET_RIPAS takes the page from a REC that runs on another CPU",
     ripas_meanwhile);

/* ---- Code ---- */

static RmiRecExit *call(struct rec *rec, uint64_t ipa)
{
    return rec_executed(rec, SNIPPET("mov x9, x30\n blr x1\n mov x30, x9"), 0,
                        ipa, 0);
}

static void code_goes(void)
{
    static const uint32_t code[] = { 0xd2800540, 0xd65f03c0 }; /* 42; RET */
    struct realm *realm = realm_start(1);
    struct rec *rec = &realm->recs[0];
    uint64_t word;
    RmiRecExit *exit;
    struct result r;

    memcpy(&word, code, sizeof(word));
    realm_page(realm, REALM_DATA, NULL);
    rec_executed(rec, SNIPPET("str x0, [x1]\n dsb sy\n ic iallu\n dsb sy\n isb"),
                 word, REALM_DATA, 0);
    exit = call(rec, REALM_DATA);
    EXPECT(exit->gprs[0], 42, "what the code in the page returns");
    r = RMI(RMI_DATA_DESTROY, realm->rd, REALM_DATA);
    EXPECT(r.x0, RMI_SUCCESS, "DATA_DESTROY");
    EXPECT(RMI(RMI_DATA_CREATE_UNKNOWN, realm->rd, r.x1,
               REALM_DATA + PAGE).x0, RMI_SUCCESS, "DATA_CREATE_UNKNOWN");
    exit = call(rec, REALM_DATA + PAGE);
    EXPECT(GOT_EXCEPTIONS(exit), 1, "exceptions of a page of zeros");
    EXPECT(ESR_EC(GOT_ESR(exit)), EC_UNKNOWN, "their class");
    EXPECT(RMI(RMI_DATA_DESTROY, realm->rd, REALM_DATA + PAGE).x1, r.x1,
           "the page that DATA_DESTROY names");
    granule_free(r.x1, 1);
    realm->num_pieces--;                /* the last that it got */
    realm_end(realm);
}
CASE("tlb", "what was executed in a granule is gone with its bytes", code_goes);

/* What the RMM writes for the Realm, where that has executed code before. */
static void answer_over_code(void)
{
    /* X0 = 42 or 43; RET */
    static const uint32_t before[] = { 0xd2800540, 0xd65f03c0 };
    static const uint32_t after[] = { 0xd2800560, 0xd65f03c0 };
    uint64_t code = REALM_DATA + 8;     /* RsiHostCall.gprs[0] */
    struct realm *realm = realm_start(1);
    struct rec *rec = &realm->recs[0];
    RmiRecExit *exit;
    uint64_t word;

    memcpy(&word, before, sizeof(word));
    realm_page(realm, REALM_DATA, NULL);
    rec_executed(rec, SNIPPET("str x0, [x1]\n dsb sy\n ic iallu\n"
                              "dsb sy\n isb"), word, code, 0);
    exit = call(rec, code);
    EXPECT(exit->gprs[0], 42, "what the code in the page returns");
    exit = rec_smc(rec, RSI_HOST_CALL, REALM_DATA, 0, 0, 0);
    EXPECT(exit->exit_reason, RMI_EXIT_HOST_CALL, "reason of the exit");
    memcpy(&rec->run->enter.gprs[0], after, sizeof(word));
    rec_expect_done(rec_enter(rec));
    exit = rec_executed(rec, SNIPPET("ldr x0, [x1]"), 0, code, 0);
    memcpy(&word, after, sizeof(word));
    EXPECT(exit->gprs[0], word, "what the page has");
    exit = call(rec, code);
    EXPECT(exit->gprs[0], 43, "what the code in the page returns then");
    realm_end(realm);
}
CASE("tlb", "what was executed in a page is gone with the answer to a host "
     "call", answer_over_code);

static void exit_over_code(void)
{
    uint64_t page = page_new(2);
    RmiRecRun *run = (RmiRecRun *)page;
    struct realm *realm = realm_start(1);
    struct rec *rec = &realm->recs[0];
    RmiRecRun *was = rec->run;
    uint32_t *code = (uint32_t *)&run->exit.imm;
    uint64_t value;

    rec_executed(rec, SNIPPET("nop"), 0, 0, 0);
    /*
     * The exit record has REALM_DONE there, which is UDF, and zeros behind it:
     * these are UDF as well, up to the next page.
     */
    *(uint32_t *)(page + PAGE) = 0xd65f03c0;
    code[0] = 0xd2800540;
    code[1] = 0xd65f03c0;
    asm volatile("dsb sy\n ic iallu\n dsb sy\n isb");
    value = ((uint64_t (*)(void))code)();
    EXPECT(value, 42, "what the code in the run page returns");
    rec->run = run;
    EXPECT(rec_try_enter(rec), RMI_SUCCESS, "REC_ENTER");
    rec->run = was;
    EXPECT(code[0], REALM_DONE, "what the exit record has there");
    EXPECT(try_fetch((uint64_t)code).esr, 1ul << 25, "ESR of UDF");
    realm_end(realm);
    page_free(page, 2);
}
CASE("tlb", "what was executed in a run page is gone with an exit record",
     exit_over_code);

/* ---- Many of them: tests/host/flushes counts what QEMU flushes ---- */

#define MANY 4096

static void delegate_all(uint64_t base, bool delegated)
{
    for (unsigned n = 0; n < MANY; n++) {
        EXPECT(RMI(delegated ? RMI_GRANULE_DELEGATE : RMI_GRANULE_UNDELEGATE,
                   base + n * PAGE).x0, RMI_SUCCESS,
               delegated ? "GRANULE_DELEGATE" : "GRANULE_UNDELEGATE");
        granule_delegated(base + n * PAGE, delegated);
    }
}

static void many_used_before(void)
{
    uint64_t base = page_new(MANY);

    delegate_all(base, true);
    delegate_all(base, false);
    delegate_all(base, true);
    delegate_all(base, false);
    page_free(base, MANY);
}
CASE("tlb", "16 MiB is used and then delegated page by page", many_used_before);

static void many_used_in_turn(void)
{
    uint64_t base = page_new(MANY);

    delegate_all(base, true);
    delegate_all(base, false);
    for (unsigned n = 0; n < MANY; n++) {
        *(volatile uint64_t *)(base + n * PAGE) = 1;
        EXPECT(RMI(RMI_GRANULE_DELEGATE, base + n * PAGE).x0, RMI_SUCCESS,
               "GRANULE_DELEGATE");
        granule_delegated(base + n * PAGE, true);
    }
    delegate_all(base, false);
    page_free(base, MANY);
}
CASE("tlb", "16 MiB is used and delegated page after page",
     many_used_in_turn);

static void many_entries(void)
{
    struct realm *realm = realm_start(1);

    for (unsigned n = 0; n < 100; n++) {
        rec_executed(&realm->recs[0], SNIPPET("nop"), 0, 0, 0);
    }
    realm_end(realm);
}
CASE("tlb", "a REC is entered again and again", many_entries);
