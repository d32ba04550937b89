/*
 * Cases: what a hostile host tries: memory that was delegated, calls in the
 * wrong moment, run pages that change
 *
 * Expected values: RMM 1.0, A2.2 and B4.3; Arm ARM, granule protection faults
 * in ESR_ELx.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "realm.h"

#define FSC_GPF             0x28
#define FSC_GPF_WALK(level) (0x24 + (level))
/* An entry of host_table that nothing uses, and the address that it is for */
#define FREE_ENTRY          200
#define FREE_VA             (FREE_ENTRY * GIB)
/* In a Realm an IPA, at the host RAM behind this program; both MMUs are off */
#define TWIN                (REALM_CODE + 0x1f0000)

static void expect_gpf(struct fault fault, unsigned class, uint64_t far,
                       uint64_t wnr, const char *what)
{
    EXPECT(ESR_EC(fault.esr), class, what);
    EXPECT(ESR_FSC(fault.esr), FSC_GPF, what);
    if (class != EC_FETCH_SAME) {
        EXPECT(fault.esr & ESR_WNR, wnr, what);
    }
    EXPECT(fault.far, far, "FAR of a granule protection fault");
}

/* Loads, stores and fetches; of the words at @pa the last one. */
static void expect_gone(uint64_t pa, const char *what)
{
    uint64_t at = pa + PAGE - 8;

    expect_gpf(try_read(at, NULL), EC_DATA_SAME, at, 0, what);
    expect_gpf(try_write(at, 1), EC_DATA_SAME, at, ESR_WNR, what);
    expect_gpf(try_fetch(pa), EC_FETCH_SAME, pa, 0, what);
}

static void touch(void *arg)
{
    uint64_t pa = (uint64_t)arg;

    *(volatile uint64_t *)(pa + 8) = 0xd65f03c0;    /* RET */
    EXPECT(try_fetch(pa + 8).esr, 0, "a fault of a page of the host's");
}

static void expect_gone_here(void *arg)
{
    expect_gone((uint64_t)arg, "an access to a delegated page");
}

static void on_all_cpus(void (*function)(void *), uint64_t arg)
{
    for (unsigned n = 0; n < cpu_count(); n++) {
        cpu_run(n, function, (void *)arg);
    }
}

static void delegated(void)
{
    uint64_t pa = page_new(1);

    on_all_cpus(touch, pa);         /* there are translations to be stale */
    EXPECT(RMI(RMI_GRANULE_DELEGATE, pa).x0, RMI_SUCCESS, "DELEGATE");
    granule_delegated(pa, true);
    on_all_cpus(expect_gone_here, pa);
    EXPECT(try_read(pa - 8, NULL).esr, 0, "a fault of the page before");
    EXPECT(try_read(pa + PAGE, NULL).esr, 0, "a fault of the page behind");
    granule_free(pa, 1);
    on_all_cpus(touch, pa);
}
CASE("hostile", "a page is gone for every CPU when it is delegated, and back "
     "afterwards", delegated);

static void every_kind(void)
{
    struct realm *realm = realm_start(1);

    realm_page(realm, REALM_DATA, NULL);
    expect_gone(realm->rd, "an access to an RD");
    expect_gone(realm->root, "an access to a starting table");
    expect_gone(realm->recs[0].pa, "an access to a REC");
    if (realm->recs[0].num_aux) {
        expect_gone(realm->recs[0].aux[0], "an access to an auxiliary page");
    }
    for (unsigned n = 0; n < realm->num_pieces; n++) {
        struct piece *piece = &realm->pieces[n];

        if (piece->kind != PIECE_LENT) {
            expect_gone(piece->pa, piece->kind == PIECE_DATA
                        ? "an access to a Realm's page"
                        : "an access to a Realm's table");
        }
    }
    rec_executed(&realm->recs[0], SNIPPET("nop"), 0, 0, 0);
    expect_gone(realm->recs[0].pa, "an access to a REC that ran");
    realm_end(realm);
}
CASE("hostile", "whatever a granule is for, the host's accesses fault",
     every_kind);

static void zero_block(void *arg)
{
    asm volatile("dc zva, %0" : : "r"(arg) : "memory");
}

static void compare_and_swap(void *arg)
{
    uint64_t a = 0, b = 1;

    asm volatile("cas %0, %1, [%2]" : "+r"(a) : "r"(b), "r"(arg) : "memory");
}

static void load_exclusive(void *arg)
{
    uint64_t a;

    asm volatile("ldaxr %0, [%1]\n clrex" : "=r"(a) : "r"(arg) : "memory");
}

static void load_pair(void *arg)
{
    uint64_t a, b;

    asm volatile("ldp %0, %1, [%2]" : "=r"(a), "=r"(b) : "r"(arg) : "memory");
}

static void other_instructions(void)
{
    static void (*const functions[])(void *) = {
        zero_block, compare_and_swap, load_exclusive, load_pair,
    };
    uint64_t pa = granule_new(1);

    for (unsigned n = 0; n < 4; n++) {
        struct fault fault = try_call(functions[n], (void *)pa);

        EXPECT(ESR_EC(fault.esr), EC_DATA_SAME, "the fault's class");
        EXPECT(ESR_FSC(fault.esr), FSC_GPF, "the fault's status code");
        EXPECT(fault.far, pa, "FAR of a granule protection fault");
    }
    granule_free(pa, 1);
}
CASE("hostile", "atomics, exclusives, pairs and DC ZVA fault as well",
     other_instructions);

static void across(void)
{
    uint64_t pa = page_new(2), value;
    struct fault fault;

    EXPECT(RMI(RMI_GRANULE_DELEGATE, pa + PAGE).x0, RMI_SUCCESS, "DELEGATE");
    granule_delegated(pa + PAGE, true);
    fault = try_read(pa + PAGE - 4, &value);
    EXPECT(ESR_EC(fault.esr), EC_DATA_SAME, "the fault's class");
    EXPECT(ESR_FSC(fault.esr), FSC_GPF, "the fault's status code");
    EXPECT(fault.far, pa + PAGE, "FAR of an access that begins before");
    fault = try_write(pa + PAGE - 4, ~0ul);
    EXPECT(ESR_FSC(fault.esr), FSC_GPF, "the fault's status code");
    granule_free(pa + PAGE, 1);
    page_free(pa, 1);
}
CASE("hostile", "an access that reaches into a delegated page faults", across);

static void walk(void)
{
    uint64_t *table = (uint64_t *)page_new(1), pa = (uint64_t)table;
    struct fault fault;

    table[0] = POOL | MAP_BLOCK;
    host_table[FREE_ENTRY] = pa | MAP_TABLE;
    tlb_flush_el2();
    EXPECT(try_read(FREE_VA, NULL).esr, 0, "a fault with the table");
    EXPECT(RMI(RMI_GRANULE_DELEGATE, pa).x0, RMI_SUCCESS, "DELEGATE");
    granule_delegated(pa, true);
    tlb_flush_el2();
    fault = try_read(FREE_VA + 0x10, NULL);
    EXPECT(ESR_EC(fault.esr), EC_DATA_SAME, "the fault's class");
    EXPECT(ESR_FSC(fault.esr), FSC_GPF_WALK(2), "the fault's status code");
    EXPECT(fault.far, FREE_VA + 0x10, "FAR");
    fault = try_fetch(FREE_VA);
    EXPECT(ESR_EC(fault.esr), EC_FETCH_SAME, "the fault's class");
    EXPECT(ESR_FSC(fault.esr), FSC_GPF_WALK(2), "the fault's status code");
    host_table[FREE_ENTRY] = 0;
    tlb_flush_el2();
    granule_free(pa, 1);
}
CASE("hostile", "a table that was delegated faults in the walk", walk);

/* ---- The host's own EL1 ---- */

static uint64_t read_at_el1(uint64_t address)
{
    return *(volatile uint64_t *)address;
}

static uint64_t write_at_el1(uint64_t address)
{
    *(volatile uint64_t *)address = 1;
    return 0;
}

static void from_el1(void)
{
    uint64_t pa = page_new(1);
    struct el1_result r;

    *(volatile uint64_t *)pa = 17;
    r = run_at_el1(read_at_el1, pa);
    EXPECT(r.fault.esr, 0, "a fault at EL1");
    EXPECT(r.value, 17, "what EL1 reads");
    EXPECT(RMI(RMI_GRANULE_DELEGATE, pa).x0, RMI_SUCCESS, "DELEGATE");
    granule_delegated(pa, true);
    expect_gpf(run_at_el1(read_at_el1, pa).fault, EC_DATA_SAME, pa, 0,
               "a read of EL1");
    expect_gpf(run_at_el1(write_at_el1, pa).fault, EC_DATA_SAME, pa, ESR_WNR,
               "a write of EL1");
    granule_free(pa, 1);
}
CASE("hostile", "EL1 of the host takes granule protection faults itself",
     from_el1);

static void twins(void)
{
    extern char bss_end[];
    struct realm *realm = realm_start(1);
    struct rec *rec = &realm->recs[0];
    volatile uint64_t *mine = (volatile uint64_t *)TWIN;
    RmiRecExit *exit;

    EXPECT_TRUE((uint64_t)bss_end <= TWIN, "that the program ends before");
    realm_page(realm, TWIN, NULL);
    for (uint64_t n = 1; n < 20; n++) {
        struct el1_result r;

        *mine = 1000 + n;
        rec_executed(rec, SNIPPET("str x0, [x1]"), n, TWIN, 0);
        r = run_at_el1(read_at_el1, TWIN);
        EXPECT(r.fault.esr, 0, "a fault at EL1");
        EXPECT(r.value, 1000 + n, "what EL1 of the host reads at the Realm's "
               "address");
        EXPECT(*mine, 1000 + n, "what EL2 reads there");
        run_at_el1(write_at_el1, TWIN);
        EXPECT(*mine, 1, "what EL1 wrote");
        exit = rec_executed(rec, SNIPPET("ldr x0, [x1]"), 0, TWIN, 0);
        EXPECT(exit->gprs[0], n, "what the Realm reads");
    }
    realm_end(realm);
}
CASE("hostile", "EL1 of the host sees its own memory at a Realm's address",
     twins);

static void realm_twins(void)
{
    struct realm *realms[2] = { realm_start(1), realm_start(1) };

    for (unsigned n = 0; n < 2; n++) {
        realm_page(realms[n], REALM_DATA, NULL);
    }
    for (uint64_t turn = 0; turn < 10; turn++) {
        for (unsigned n = 0; n < 2; n++) {
            rec_executed(&realms[n]->recs[0], SNIPPET("str x0, [x1]"),
                         10 * turn + n, REALM_DATA, 0);
        }
        for (unsigned n = 0; n < 2; n++) {
            RmiRecExit *exit = rec_executed(&realms[n]->recs[0],
                                            SNIPPET("ldr x0, [x1]"), 0,
                                            REALM_DATA, 0);

            EXPECT(exit->gprs[0], 10 * turn + n, "what a Realm wrote");
        }
    }
    realm_end(realms[0]);
    realm_end(realms[1]);
}
CASE("hostile", "two Realms have different memory at one address", realm_twins);

/* ---- Devices ---- */

static void dma(void)
{
    struct realm *realm = realm_start(1);
    struct rec *rec = &realm->recs[0];
    uint64_t pa = realm_page(realm, REALM_DATA, NULL), got[2] = { 0 };
    uint64_t page = page_new(1);
    RmiRecExit *exit;

    *(uint64_t *)page = 0x1122334455667788;
    EXPECT_TRUE(dma_read(page, got), "DMA from a page of the host's");
    EXPECT(got[0], 0x1122334455667788, "what DMA read there");
    EXPECT_TRUE(dma_write(page, 4), "DMA to a page of the host's");
    EXPECT(*(uint32_t *)page, 0x554d4551, "what DMA wrote there");
    page_free(page, 1);

    rec_expect_done(COMMAND(rec, REALM_FILL, REALM_DATA, PAGE, 6));
    dma_write(pa, 64);
    got[0] = got[1] = 0;
    dma_read(pa, got);
    for (unsigned n = 0; n < 2; n++) {
        EXPECT_TRUE(got[n] != pattern(6, n), "that DMA reads no secret");
    }
    exit = COMMAND(rec, REALM_CHECK, REALM_DATA, PAGE, 6);
    rec_expect_done(exit);
    EXPECT(exit->gprs[0], 0, "words that DMA changed");
    dma_write(realm->rd, 64);
    dma_write(rec->pa, 64);
    dma_write(realm->root, 64);
    exit = COMMAND(rec, REALM_CHECK, REALM_DATA, PAGE, 6);
    rec_expect_done(exit);
    EXPECT(exit->gprs[0], 0, "words that changed after that");
    realm_end(realm);
}
CASE("hostile", "DMA neither reads nor writes what was delegated", dma);

/* ---- Pages that a call names ---- */

static uint64_t create_with(uint64_t rd, uint64_t params)
{
    return RMI(RMI_REALM_CREATE, rd, params).x0;
}

static void bad_params(void)
{
    uint64_t rd = granule_new(1), other = granule_new(1);

    EXPECT(create_with(rd, other), RMI_ERROR_INPUT,
           "REALM_CREATE with parameters in a delegated page");
    EXPECT(create_with(rd, rd), RMI_ERROR_INPUT,
           "REALM_CREATE with parameters in its RD");
    EXPECT(create_with(rd, UART), RMI_ERROR_INPUT,
           "REALM_CREATE with parameters in a device");
    EXPECT(create_with(rd, ram_top()), RMI_ERROR_INPUT,
           "REALM_CREATE with parameters behind RAM");
    EXPECT(create_with(rd, ~0ul & -PAGE), RMI_ERROR_INPUT,
           "REALM_CREATE with parameters at the end of the world");
    EXPECT(create_with(rd, POOL + 8), RMI_ERROR_INPUT,
           "REALM_CREATE with parameters that are not aligned");
    EXPECT(create_with(UART, POOL), RMI_ERROR_INPUT,
           "REALM_CREATE with an RD in a device");
    granule_free(rd, 1);
    granule_free(other, 1);
}
CASE("hostile", "parameters are read from the host's own RAM alone",
     bad_params);

static void bad_run_page(void)
{
    struct realm *realm = realm_start(1);
    struct rec *rec = &realm->recs[0];
    uint64_t other = granule_new(1), run = (uint64_t)rec->run;
    const uint64_t pages[] = { other, rec->pa, realm->rd, UART, GICD,
                               ram_top(), 1ul << 47, ~0ul & -PAGE, run + 8,
                               run + 1 };

    for (unsigned n = 0; n < sizeof(pages) / 8; n++) {
        EXPECT(RMI(RMI_REC_ENTER, rec->pa, pages[n]).x0, RMI_ERROR_INPUT,
               "REC_ENTER with such a run page");
    }
    EXPECT(RMI(RMI_REC_ENTER, other, run).x0, RMI_ERROR_INPUT,
           "REC_ENTER of what is no REC");
    EXPECT(RMI(RMI_REC_ENTER, run, run).x0, RMI_ERROR_INPUT,
           "REC_ENTER of a page of the host's");
    EXPECT(RMI(RMI_REC_ENTER, UART, run).x0, RMI_ERROR_INPUT,
           "REC_ENTER of a device");
    rec_executed(rec, SNIPPET("nop"), 0, 0, 0);
    granule_free(other, 1);
    realm_end(realm);
}
CASE("hostile", "a run page is the host's own RAM", bad_run_page);

/* ---- While a REC runs ---- */

struct runner {
    struct rec *rec;
    uint64_t result;
};

static void run_spin(void *arg)
{
    struct runner *runner = arg;

    memset(runner->rec->run->enter.gprs, 0,
           sizeof(runner->rec->run->enter.gprs));
    runner->rec->run->enter.gprs[0] = REALM_SPIN;
    runner->rec->run->enter.gprs[1] = REALM_SHARED;
    runner->rec->run->enter.gprs[2] = ticks_of_ms(10000);
    runner->rec->run->enter.gprs[3] = SPIN_SIGN;
    alarm_set(20000);
    /* As rec_try_enter(), but the run page may be gone. */
    do {
        runner->result = RMI(RMI_REC_ENTER, runner->rec->pa,
                             (uint64_t)runner->rec->run).x0;
    } while (runner->result == RMI_SUCCESS &&
             (READ(ICC_HPPIR1) & 0xffffff) == SGI_WAKE &&
             gic_take() == SGI_WAKE);
    alarm_off();
}

/* A REC of @realm that waits for its shared page, on CPU 1 */
static void start_runner(struct realm *realm, struct runner *runner)
{
    test_needs_cpus();
    *runner = (struct runner) { &realm->recs[0], -1ul };
    rec_executed(runner->rec, SNIPPET("nop"), 0, 0, 0);
    cpu_start(1, run_spin, runner);
    realm_wait_for_spin(realm);
}

static void stop_runner(struct realm *realm)
{
    *(volatile uint64_t *)realm->shared = 1;
    cpu_wait(1);
}

static void entered_twice(void)
{
    struct realm *realm = realm_start(1);
    RmiRecRun *run = (RmiRecRun *)page_new(1);
    struct runner runner;

    start_runner(realm, &runner);
    for (unsigned n = 0; n < 20; n++) {
        EXPECT(RMI(RMI_REC_ENTER, runner.rec->pa, (uint64_t)run).x0,
               RMI_ERROR_REC, "REC_ENTER of a REC that runs");
    }
    EXPECT(RMI(RMI_REC_DESTROY, runner.rec->pa).x0, RMI_ERROR_REC,
           "REC_DESTROY of a REC that runs");
    EXPECT(RMI(RMI_GRANULE_UNDELEGATE, runner.rec->pa).x0, RMI_ERROR_INPUT,
           "UNDELEGATE of a REC that runs");
    EXPECT(RMI(RMI_REALM_DESTROY, realm->rd).x0,
           RMI_RESULT(RMI_ERROR_REALM, 0), "REALM_DESTROY meanwhile");
    stop_runner(realm);
    EXPECT(runner.result, RMI_SUCCESS, "what the first entry returned");
    rec_expect_done(&runner.rec->run->exit);
    page_free((uint64_t)run, 1);
    realm_end(realm);
}
CASE("hostile", "a REC that runs is not entered again, nor destroyed",
     entered_twice);

static void page_while_running(void)
{
    struct realm *realm = realm_start(1);
    struct runner runner;
    RmiRecExit *exit;
    uint64_t pa;

    realm_page(realm, REALM_DATA, NULL);
    start_runner(realm, &runner);
    pa = realm_page(realm, REALM_DATA + PAGE, NULL);
    realm_unmap(realm, REALM_DATA);
    stop_runner(realm);
    EXPECT(runner.result, RMI_SUCCESS, "what the entry returned");
    exit = rec_execute(runner.rec, SNIPPET("ldr x0, [x1]"), 0, REALM_DATA, 0);
    EXPECT(exit->exit_reason, RMI_EXIT_SYNC, "the exit's reason");
    expect_gone(pa, "an access to a Realm's page");
    realm_end(realm);
}
CASE("hostile", "pages come and go while a REC runs", page_while_running);

static volatile bool scribbling;

static void scribble(void *arg)
{
    volatile uint64_t *word = arg;

    for (uint64_t n = 0; scribbling; n++) {
        /* Not the flags and the GIC, whose refusal ends the entries. */
        unsigned at = 0x208 / 8 + n % (0xf0 / 8);

        word[at] = pattern(9, n);
        word[0x800 / 8 + n % 256] = pattern(10, n);
    }
}

static void changing_run_page(void)
{
    struct realm *realm = realm_start(1);
    struct rec *rec = &realm->recs[0];
    unsigned done = 0;

    test_needs_cpus();
    realm_page(realm, REALM_DATA, NULL);
    rec_expect_done(COMMAND(rec, REALM_FILL, REALM_DATA, PAGE, 4));
    scribbling = true;
    cpu_start(1, scribble, rec->run);
    for (unsigned n = 0; n < 300; n++) {
        rec->run->enter.flags = 0;
        rec->run->enter.gprs[0] = 99;   /* a command that there is not */
        done += rec_try_enter(rec) == RMI_SUCCESS;
    }
    scribbling = false;
    cpu_wait(1);
    EXPECT(done, 300, "entries that succeeded");
    memset(rec->run, 0, PAGE);
    rec_enter(rec);
    rec_expect_done(COMMAND(rec, REALM_CHECK, REALM_DATA, PAGE, 4));
    EXPECT(rec->run->exit.gprs[0], 0, "words of the Realm that changed");
    realm_end(realm);
}
CASE("hostile", "a run page that changes all the time does no harm",
     changing_run_page);

static void random_run_page(void *arg)
{
    volatile uint64_t *word = arg;

    for (uint64_t n = 0; scribbling; n++) {
        word[pattern(11, n) % 512] = pattern(12, n) &
                                     (n % 3 ? ~0ul : 1ul << n % 64);
    }
}

static void random_entries(void)
{
    struct realm *realm = realm_start(1);
    struct rec *rec = &realm->recs[0];

    test_needs_cpus();
    rec_executed(rec, SNIPPET("nop"), 0, 0, 0);
    scribbling = true;
    cpu_start(1, random_run_page, rec->run);
    for (unsigned n = 0; n < 1000; n++) {
        alarm_set(20);
        rec_try_enter(rec);
        alarm_off();
    }
    scribbling = false;
    cpu_wait(1);
    realm_end(realm);
}
CASE("hostile", "a run page of random bits does no harm", random_entries);

static void run_page_gone(void)
{
    struct realm *realm = realm_start(1);
    struct runner runner;
    uint64_t run = (uint64_t)realm->recs[0].run;

    start_runner(realm, &runner);
    EXPECT(RMI(RMI_GRANULE_DELEGATE, run).x0, RMI_SUCCESS,
           "DELEGATE of the run page of a REC that runs");
    granule_delegated(run, true);
    stop_runner(realm);
    /* B4.3.14: the exit record cannot be written. */
    EXPECT(runner.result, RMI_ERROR_INPUT, "what the entry returned");
    granule_free(run, 1);
    runner.rec->run = (RmiRecRun *)page_new(1);
    realm_end(realm);
}
CASE("hostile", "a run page that is delegated while the REC runs gets no exit",
     run_page_gone);

/* ---- Lent pages ---- */

static void lent_then_delegated(void)
{
    struct realm *a = realm_start(1), *b = realm_start(1);
    uint64_t pa = realm_lend(a, REALM_SHARED + PAGE, 0);
    RmiRecExit *exit;

    exit = rec_executed(&a->recs[0], SNIPPET("str x0, [x1]\n ldr x2, [x1]"),
                        7, REALM_SHARED + PAGE, 0);
    EXPECT(exit->gprs[2], 7, "what the Realm reads in the lent page");
    EXPECT(RMI(RMI_GRANULE_DELEGATE, pa).x0, RMI_SUCCESS,
           "DELEGATE of a page that is lent");
    granule_delegated(pa, true);
    EXPECT(RMI(RMI_DATA_CREATE_UNKNOWN, b->rd, pa, REALM_DATA).x0,
           RMI_SUCCESS, "DATA_CREATE_UNKNOWN for another Realm");
    rec_expect_done(COMMAND(&b->recs[0], REALM_FILL, REALM_DATA, PAGE, 5));

    exit = rec_execute(&a->recs[0], SNIPPET("ldr x0, [x1]"), 3,
                       REALM_SHARED + PAGE, 0);
    if (exit->exit_reason == RMI_EXIT_HOST_CALL) {
        EXPECT(GOT_EXCEPTIONS(exit), 1, "exceptions at that page");
        EXPECT(ESR_EC(GOT_ESR(exit)), EC_DATA_SAME, "its class");
        EXPECT(ESR_FSC(GOT_ESR(exit)), FSC_GPF, "its status code");
        EXPECT(exit->gprs[0], 3, "the register that was not read");
        exit = rec_executed(&a->recs[0], SNIPPET("str x0, [x1]"), 3,
                            REALM_SHARED + PAGE, 0);
        EXPECT(GOT_EXCEPTIONS(exit), 1, "exceptions of a write");
    } else {
        EXPECT(exit->exit_reason, RMI_EXIT_SYNC, "the exit's reason");
        EXPECT(exit->gprs[0], 0, "data of the exit");
    }
    exit = COMMAND(&b->recs[0], REALM_CHECK, REALM_DATA, PAGE, 5);
    rec_expect_done(exit);
    EXPECT(exit->gprs[0], 0, "words of the other Realm that changed");

    EXPECT(RMI(RMI_DATA_DESTROY, b->rd, REALM_DATA).x0, RMI_SUCCESS,
           "DATA_DESTROY");
    EXPECT(RMI(RMI_GRANULE_UNDELEGATE, pa).x0, RMI_SUCCESS, "UNDELEGATE");
    granule_delegated(pa, false);
    EXPECT(*(volatile uint64_t *)pa, 0, "what the page holds");
    realm_end(a);
    realm_end(b);
}
CASE("hostile", "a page that was lent, then given to another Realm, faults",
     lent_then_delegated);

static void lent_to_nobody(void)
{
    struct realm *realm = realm_start(1);
    struct rec *rec = &realm->recs[0];
    const uint64_t addresses[] = { UART, ram_top() };

    for (unsigned n = 0; n < 2; n++) {
        uint64_t ipa = REALM_SHARED + (n + 1) * PAGE;

        if (RMI(RMI_RTT_MAP_UNPROTECTED, realm->rd, ipa, 3,
                addresses[n] | LEND_NORMAL | LEND_READ_WRITE).x0 ==
            RMI_SUCCESS) {
            /* Whatever there is: the host is not harmed, nor QEMU. */
            rec_execute(rec, SNIPPET("ldr w0, [x1]"), 0, ipa, 0);
            rec->run->enter.flags = RMI_ENTER_EMUL_MMIO;
            rec_try_enter(rec);
            rec->run->enter.flags = 0;
            EXPECT(RMI(RMI_RTT_UNMAP_UNPROTECTED, realm->rd, ipa, 3).x0,
                   RMI_SUCCESS, "RTT_UNMAP_UNPROTECTED");
        }
    }
    realm_end(realm);
}
CASE("hostile", "a device, or nothing, may be lent and does no harm",
     lent_to_nobody);

/* ---- All CPUs at once ---- */

static uint64_t contended[4];
static volatile uint64_t delegations, undelegations;

static void delegate_and_undelegate(void *arg)
{
    for (unsigned n = 0; n < 2000; n++) {
        uint64_t pa = contended[pattern((uint64_t)arg, n) % 4];
        bool back = pattern((uint64_t)arg, n) >> 8 & 1;
        uint64_t result = RMI(back ? RMI_GRANULE_UNDELEGATE
                                   : RMI_GRANULE_DELEGATE, pa).x0;

        if (result == RMI_SUCCESS) {
            __atomic_fetch_add(back ? &undelegations : &delegations, 1,
                               __ATOMIC_RELAXED);
        } else {
            EXPECT(result, RMI_ERROR_INPUT, "the other result");
        }
    }
}

static void same_granules(void)
{
    delegations = undelegations = 0;
    for (unsigned n = 0; n < 4; n++) {
        contended[n] = page_new(1);
    }
    for (uint64_t n = 1; n < cpu_count(); n++) {
        cpu_start(n, delegate_and_undelegate, (void *)n);
    }
    delegate_and_undelegate(NULL);
    for (unsigned n = 1; n < cpu_count(); n++) {
        cpu_wait(n);
    }
    for (unsigned n = 0; n < 4; n++) {
        if (RMI(RMI_GRANULE_UNDELEGATE, contended[n]).x0 == RMI_SUCCESS) {
            undelegations++;
        }
        page_free(contended[n], 1);
    }
    EXPECT(delegations, undelegations, "delegations, and undelegations");
}
CASE("hostile", "all CPUs delegate and undelegate the same pages",
     same_granules);

struct fight {
    struct realm *realm;
    uint64_t pages[4];
};

static void random_calls(void *arg)
{
    struct fight *fight = arg;
    uint64_t rd = fight->realm->rd, seed = cpu_index() + 100;

    for (unsigned n = 0; n < 1500; n++) {
        uint64_t pa = fight->pages[pattern(seed, n) % 4];
        uint64_t ipa = REALM_DATA + (pattern(seed, n) >> 8) % 4 * PAGE;
        uint64_t unprotected = REALM_SHARED + ((pattern(seed, n) >> 8) % 4 + 1)
                               * PAGE;

        switch (pattern(seed, n) >> 16 & 7) {
        case 0:
            RMI(RMI_GRANULE_DELEGATE, pa);
            break;
        case 1:
            RMI(RMI_GRANULE_UNDELEGATE, pa);
            break;
        case 2:
            RMI(RMI_DATA_CREATE_UNKNOWN, rd, pa, ipa);
            break;
        case 3:
            RMI(RMI_DATA_DESTROY, rd, ipa);
            break;
        case 4:
            RMI(RMI_RTT_MAP_UNPROTECTED, rd, unprotected, 3,
                pa | LEND_NORMAL | LEND_READ_WRITE);
            break;
        case 5:
            RMI(RMI_RTT_UNMAP_UNPROTECTED, rd, unprotected, 3);
            break;
        case 6:
            RMI(RMI_RTT_READ_ENTRY, rd, ipa, 3);
            break;
        case 7:
            try_write(pa, n);
            break;
        }
    }
}

static void random_calls_while_running(void)
{
    struct realm *realm = realm_start(1);
    struct rec *rec = &realm->recs[0];
    struct fight fight = { realm };
    bool busy = true;

    rec_executed(rec, SNIPPET("nop"), 0, 0, 0);
    for (unsigned n = 0; n < 4; n++) {
        fight.pages[n] = page_new(1);
    }
    for (unsigned n = 1; n < cpu_count(); n++) {
        cpu_start(n, random_calls, &fight);
    }
    for (unsigned turn = 0; busy && turn < 20000; turn++) {
        RmiRecExit *exit = &rec->run->exit;

        if (exit->exit_reason == RMI_EXIT_SYNC) {
            rec->run->enter.flags = exit->hpfar >= REALM_UNPROTECTED >> 8
                                    ? RMI_ENTER_INJECT_SEA : 0;
            rec_enter_for(rec, 50);
        } else if (exit->exit_reason == RMI_EXIT_IRQ) {
            rec_enter_for(rec, 50);
        } else {
            uint64_t at = turn % 2 ? REALM_DATA : REALM_SHARED + PAGE;

            rec_execute(rec, SNIPPET("str x0, [x1]\n ldr x0, [x1]"), turn,
                        at + turn / 2 % 4 * PAGE, 0);
        }
        busy = false;
        for (unsigned n = 1; n < cpu_count(); n++) {
            busy |= cpu_busy(n);
        }
    }
    for (unsigned n = 1; n < cpu_count(); n++) {
        cpu_wait(n);
    }
    for (unsigned n = 0; n < 4; n++) {
        RMI(RMI_DATA_DESTROY, realm->rd, REALM_DATA + n * PAGE);
    }
    for (unsigned n = 0; n < 4; n++) {
        RMI(RMI_GRANULE_UNDELEGATE, fight.pages[n]);
        EXPECT(try_write(fight.pages[n], 1).esr, 0,
               "a fault of a page that came back");
        page_free(fight.pages[n], 1);
    }
    realm_end(realm);
}
CASE("hostile", "random calls on all CPUs do no harm to a Realm that runs",
     random_calls_while_running);
