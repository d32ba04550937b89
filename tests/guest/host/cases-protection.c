/*
 * Cases: granule protection, and what a delegated page has been
 *
 * Expected values: RMM 1.0, A2.2 and A5.2; Arm ARM, ESR_ELx, D9 (granule
 * protection checks): SCR_EL3.GPF is clear, so a fault is an abort with status
 * code 0x28, or 0x24 and the level in a walk, to the EL that takes those of
 * stage 1, or by HCR_EL2.GPF to EL2.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "realm.h"

#define ABORT(class, fsc)   ((uint64_t)(class) << 26 | 1ul << 25 | (fsc))
#define GPF                 0x28
#define GPF_WALK(level)     (0x24 | (level))
#define HCR_VM              (1ul << 0)
#define HCR_GPF             (1ul << 48)
#define INSTRUCTION         0x1ffc000ul     /* ISV, SAS, SSE, SRT, SF, AR */
#define RET                 0xd65f03c0u

static uint64_t delegate(uint64_t pa)
{
    EXPECT(RMI(RMI_GRANULE_DELEGATE, pa).x0, RMI_SUCCESS, "GRANULE_DELEGATE");
    granule_delegated(pa, true);
    return pa;
}

static void expect_fault(struct fault fault, uint64_t esr, uint64_t far,
                         const char *what)
{
    EXPECT(fault.esr, esr, what);
    EXPECT(fault.far, far, "FAR");
}

/* ---- At EL2 ---- */

static void expect_gone(uint64_t pa, const char *how)
{
    const uint64_t before = 0x1234;
    uint64_t value = before;

    expect_fault(try_read(pa + 8, &value), ABORT(EC_DATA_SAME, GPF), pa + 8,
                 how);
    EXPECT(value, 0, "what a read got");
    expect_fault(try_write(pa + 16, 1), ABORT(EC_DATA_SAME, ESR_WNR | GPF),
                 pa + 16, how);
    expect_fault(try_fetch(pa + 4), ABORT(EC_FETCH_SAME, GPF), pa + 4, how);
}

/* The code is at the end of the page, and goes on in the next one. */
static void touched(void)
{
    uint64_t pa = page_new(2), last = pa + PAGE - 4;
    volatile uint32_t *code = (uint32_t *)last;

    for (unsigned n = 0; n < 50; n++) {
        code[0] = code[1] = RET;
        asm volatile("dsb sy\n ic iallu\n dsb sy\n isb");
        EXPECT(try_fetch(last).esr, 0, "a call into the page");
        delegate(pa);
        expect_gone(pa, "an access to a page that was used before");
        EXPECT(RMI(RMI_GRANULE_UNDELEGATE, pa).x0, RMI_SUCCESS, "UNDELEGATE");
        granule_delegated(pa, false);
        EXPECT(try_fetch(last).esr, ABORT(EC_UNKNOWN, 0), "a call to zeros");
        EXPECT(code[0], 0, "what an undelegated page holds");
    }
    page_free(pa, 2);
}
CASE("protection", "a page that was read, written and executed is gone when it "
     "is delegated, and comes back as zeros", touched);

/* ---- On another CPU ---- */

struct reader {
    uint64_t pa;
    volatile bool reading, delegated;
    struct fault fault;
};

static void read_on(void *arg)
{
    struct reader *r = arg;

    while (!r->delegated) {
        try_read(r->pa, NULL);
        r->reading = true;
    }
    asm volatile("dmb sy");
    r->fault = try_read(r->pa, NULL);
}

static void other_cpu(void)
{
    if (cpu_count() < 2) {
        test_skip("one CPU");
    }
    for (unsigned n = 0; n < 100; n++) {
        struct reader r = { page_new(1) };

        test_needs_cpus();
        cpu_start(1, read_on, &r);
        while (!r.reading) {
            asm volatile("yield");
        }
        delegate(r.pa);
        asm volatile("dmb sy");
        r.delegated = true;
        cpu_wait(1);
        expect_fault(r.fault, ABORT(EC_DATA_SAME, GPF), r.pa,
                     "a read on another CPU, after the call");
        granule_free(r.pa, 1);
    }
}
CASE("protection", "when GRANULE_DELEGATE has returned, no CPU has the page",
     other_cpu);

/* ---- At the host's own EL1 ---- */

static uint64_t read_at_el1(uint64_t va)
{
    return *(volatile uint64_t *)va;
}

static uint64_t fetch_at_el1(uint64_t va)
{
    ((void (*)(void))va)();
    return 0;
}

static void expect_at_el1(uint64_t pa, uint64_t hcr, unsigned data,
                          unsigned fetch)
{
    uint64_t was = READ(hcr_el2);
    struct el1_result r[2];

    WRITE(hcr_el2, was | hcr);
    r[0] = run_at_el1(read_at_el1, pa + 24);
    r[1] = run_at_el1(fetch_at_el1, pa);
    WRITE(hcr_el2, was);
    expect_fault(r[0].fault, ABORT(data, GPF), pa + 24, "a read at EL1");
    expect_fault(r[1].fault, ABORT(fetch, GPF), pa, "a fetch at EL1");
}

static void at_el1(void)
{
    uint64_t pa = page_new(1);

    EXPECT(run_at_el1(read_at_el1, pa).fault.esr, 0, "a read before that");
    delegate(pa);
    expect_at_el1(pa, 0, EC_DATA_SAME, EC_FETCH_SAME);
    expect_at_el1(pa, HCR_GPF, EC_DATA, EC_FETCH);
    granule_free(pa, 1);
}
CASE("protection", "EL1 of the host takes the fault, or with HCR_EL2.GPF EL2 "
     "does", at_el1);

/* AArch32 has no status of granule protection faults; DFSR, short format. */
#define DFSR_EXTERNAL   0x008ul
#define DFSR_EXT        0x1000ul

static void at_a32_el1(void)
{
    static const uint32_t code[] __attribute__((aligned(32))) = {
        0, 0, 0, 0xe1400071, 0xe1400071, 0, 0, 0,       /* HVC #1 for aborts */
        0xe5900000,                                     /* LDR R0, [R0] */
        0xe1400070,                                     /* HVC #0 */
    };
    uint64_t pa = page_new(1);
    struct el1_result r;

    if (host_has_e2h()) {
        page_free(pa, 1);
        test_skip("EL1 of AArch32 is run without HCR_EL2.E2H");
    }
    EXPECT(run_at_a32_el1(code, pa).fault.esr, 0, "a read before that");
    delegate(pa);
    r = run_at_a32_el1(code, pa + 8);
    EXPECT(r.fault.esr & ~DFSR_EXT, DFSR_EXTERNAL, "DFSR of a read");
    EXPECT((uint32_t)r.fault.far, pa + 8, "DFAR of a read");
    granule_free(pa, 1);
}
CASE("protection", "AArch32 EL1 of the host takes an external abort",
     at_a32_el1);

/* 39-bit addresses, 4 KiB granules, write-back, inner shareable, 48-bit PAs */
#define TCR_39  (25 | 1ul << 8 | 1ul << 10 | 3ul << 12 | 1ul << 23 | 5ul << 32)
#define VTCR_39 (25 | 1ul << 6 | 1ul << 8 | 1ul << 10 | 3ul << 12 | \
                 5ul << 16 | 1ul << 31)
#define S2_BLOCK (1ul | 0xful << 2 | 3ul << 6 | 3ul << 8 | 1ul << 10)

struct el1_read {
    uint64_t table, va, value;
};

static uint64_t read_with_mmu(uint64_t arg)
{
    struct el1_read *read = (struct el1_read *)arg;
    uint64_t sctlr = READ(sctlr_el1);

    WRITE(mair_el1, 0xff);
    WRITE(tcr_el1, TCR_39);
    WRITE(ttbr0_el1, read->table);
    WRITE(sctlr_el1, sctlr | 1);
    asm volatile("tlbi vmalle1\n dsb sy\n isb" : : : "memory");
    read->value = *(volatile uint64_t *)read->va;
    WRITE(sctlr_el1, sctlr);
    return 0;
}

static void walk_at_el1(void)
{
    uint64_t sctlr = EL1_READ(sctlr_el1, SCTLR_EL12), was = READ(hcr_el2);
    uint64_t *table = (uint64_t *)page_new(1);
    uint64_t pa = granule_new(1);
    struct el1_read read = { (uint64_t)table, 100 * GIB };
    struct el1_result r[3];

    table[1] = GIB | MAP_BLOCK;
    table[100] = pa | MAP_TABLE;
    r[0] = run_at_el1(read_with_mmu, (uint64_t)&read);
    WRITE(hcr_el2, was | HCR_GPF);
    EL1_WRITE(sctlr_el1, SCTLR_EL12, sctlr);
    r[1] = run_at_el1(read_with_mmu, (uint64_t)&read);
    read.table = pa;
    EL1_WRITE(sctlr_el1, SCTLR_EL12, sctlr);
    r[2] = run_at_el1(read_with_mmu, (uint64_t)&read);
    WRITE(hcr_el2, was);
    EL1_WRITE(sctlr_el1, SCTLR_EL12, sctlr);
    expect_fault(r[0].fault, ABORT(EC_DATA_SAME, GPF_WALK(2)), read.va,
                 "a read at EL1 whose table is delegated");
    expect_fault(r[1].fault, ABORT(EC_DATA, GPF_WALK(2)), read.va,
                 "the same with HCR_EL2.GPF");
    EXPECT(r[2].fault.esr, ABORT(EC_FETCH, GPF_WALK(1)),
           "a fetch at EL1 whose start table is delegated");
    granule_free(pa, 1);
    page_free((uint64_t)table, 1);
}
CASE("protection", "a walk of a delegated table of EL1 faults", walk_at_el1);

/* At EL1 behind stage 2, RAM being where it is but for 100 GiB */
static struct el1_result read_behind(uint64_t *table, uint64_t entry,
                                     uint64_t hcr)
{
    uint64_t was = READ(hcr_el2);
    struct el1_result r;

    table[1] = GIB | S2_BLOCK;
    table[100] = entry;
    WRITE(vtcr_el2, VTCR_39);
    WRITE(vttbr_el2, table);
    WRITE(hcr_el2, was | HCR_VM | hcr);
    asm volatile("tlbi vmalls12e1\n dsb sy\n isb" : : : "memory");
    r = run_at_el1(read_at_el1, 100 * GIB + 0x5018);
    WRITE(hcr_el2, was);
    asm volatile("tlbi vmalls12e1\n dsb sy\n isb" : : : "memory");
    return r;
}

static void behind_stage2(void)
{
    uint64_t *table = (uint64_t *)page_new(1), *next, *last, pa;
    const uint64_t va = 100 * GIB + 0x5018;
    struct el1_result r;

    next = (uint64_t *)page_new(1);
    last = (uint64_t *)page_new(1);
    next[0] = (uint64_t)last | MAP_TABLE;
    pa = last[5] = page_new(1);
    last[5] |= S2_BLOCK | 2;
    *(uint64_t *)(pa + 0x18) = 77;
    r = read_behind(table, (uint64_t)next | MAP_TABLE, 0);
    EXPECT(r.fault.esr, 0, "a read behind stage 2");
    EXPECT(r.value, 77, "what it read");

    delegate(pa);
    r = read_behind(table, (uint64_t)next | MAP_TABLE, 0);
    expect_fault(r.fault, ABORT(EC_DATA_SAME, GPF), va,
                 "a read of a delegated page behind stage 2");
    r = read_behind(table, (uint64_t)next | MAP_TABLE, HCR_GPF);
    expect_fault(r.fault, ABORT(EC_DATA, GPF), va,
                 "the same with HCR_EL2.GPF");
    granule_free(pa, 1);

    delegate((uint64_t)last);
    r = read_behind(table, (uint64_t)next | MAP_TABLE, 0);
    EXPECT(r.fault.esr & ~INSTRUCTION, ABORT(EC_DATA, GPF_WALK(3)),
           "a read whose table of stage 2 is delegated");
    EXPECT(r.fault.far, va, "FAR");
    EXPECT(r.fault.hpfar, (100 * GIB + 0x5000) >> 12 << 4, "HPFAR");
    granule_free((uint64_t)last, 1);
    page_free((uint64_t)next, 1);
    page_free((uint64_t)table, 1);
}
CASE("protection", "behind the host's stage 2, a delegated page is EL1's fault, "
     "and a delegated table EL2's", behind_stage2);

/* ---- What is lent ---- */

static void lent_device(void)
{
    const uint64_t ipa = REALM_UNPROTECTED + UART;
    struct realm *realm = realm_start(1);
    RmiRecExit *exit;

    realm_lend_as(realm, ipa, UART, LEND_READ_WRITE);   /* Device-nGnRnE */
    exit = rec_executed(&realm->recs[0], SNIPPET("ldr w0, [x1]"), 0,
                        ipa + 0xfe0, 0);
    EXPECT(GOT_EXCEPTIONS(exit), 0, "exceptions of the Realm");
    EXPECT(exit->gprs[0], 0x11, "UARTPeriphID0 of a PL011");
    realm_take_back(realm, ipa);
    exit = rec_execute(&realm->recs[0], SNIPPET("ldr w0, [x1]"), 0,
                       ipa + 0xfe0, 0);
    EXPECT(exit->exit_reason, RMI_EXIT_SYNC, "the exit's reason");
    EXPECT(exit->hpfar, ipa >> 12 << 4, "the exit's HPFAR");
    realm_end(realm);
}
CASE("protection", "a Realm reaches a device that its host lends, and no other",
     lent_device);

static void write_only(void)
{
    const uint64_t ipa = REALM_SHARED + PAGE;
    struct realm *realm = realm_start(1);
    uint64_t pa = page_new(1);
    RmiRecExit *exit;

    realm_lend_as(realm, ipa, pa, LEND_NORMAL | (LEND_READ_WRITE & ~LEND_READ));
    exit = rec_executed(&realm->recs[0], SNIPPET("str x0, [x1]"), 88, ipa, 0);
    EXPECT(GOT_EXCEPTIONS(exit), 0, "exceptions of the Realm");
    EXPECT(*(volatile uint64_t *)pa, 88, "what the Realm wrote");
    exit = rec_execute(&realm->recs[0], SNIPPET("ldrb w0, [x1]"), 0, ipa, 0);
    EXPECT(exit->exit_reason, RMI_EXIT_SYNC, "the exit's reason");
    EXPECT(exit->esr, (uint64_t)EC_DATA << 26 | ESR_ISV | 0xf,
           "ESR of a read of a page that is lent to write");
    EXPECT(exit->hpfar, ipa >> 12 << 4, "the exit's HPFAR");
    realm_end(realm);
    page_free(pa, 1);
}
CASE("protection", "a page is lent to write only", write_only);

/*
 * Nobody but the Realm has the page in a TLB: the host has had its own flushed
 * since it used it.
 */
static void lent_then_delegated(void)
{
    struct realm *realm = realm_start(1);
    struct rec *rec = &realm->recs[0];
    uint64_t lent = realm->shared;
    RmiRecExit *exit;

    for (unsigned n = 0; n < 10; n++) {
        granule_free(granule_new(1), 1);
        exit = rec_executed(rec, SNIPPET("ldr x0, [x1]"), 5, REALM_SHARED, 0);
        EXPECT(GOT_EXCEPTIONS(exit), 0, "exceptions while the page is lent");
        delegate(lent);
        exit = rec_executed(rec, SNIPPET("ldr x0, [x1]"), 5, REALM_SHARED + 8,
                            0);
        EXPECT(GOT_EXCEPTIONS(exit), 1, "exceptions at what was lent");
        EXPECT(GOT_ESR(exit), ABORT(EC_DATA_SAME, GPF), "ESR_EL1 of a read");
        EXPECT(GOT_FAR(exit), REALM_SHARED + 8, "FAR_EL1");
        EXPECT(exit->gprs[0], 5, "what it read");
        exit = rec_executed(rec, SNIPPET("str x0, [x1]"), 5, REALM_SHARED, 0);
        EXPECT(GOT_ESR(exit), ABORT(EC_DATA_SAME, ESR_WNR | GPF),
               "ESR_EL1 of a write");
        EXPECT(RMI(RMI_GRANULE_UNDELEGATE, lent).x0, RMI_SUCCESS, "UNDELEGATE");
        granule_delegated(lent, false);
    }
    realm_end(realm);
}
CASE("protection", "a lent page is gone for its Realm when it is delegated, "
     "whoever used it last", lent_then_delegated);

/* ---- Stage 1 of a Realm ---- */

#define REALM_TABLE     (REALM_DATA + 8 * PAGE)
#define REALM_VA        (2 * GIB)       /* entry 2 of the table */

/* A table at REALM_TABLE: the program is where it is, and @entry. */
static void make_stage1(struct realm *realm, uint64_t entry)
{
    realm_page(realm, REALM_TABLE, NULL);
    rec_executed(&realm->recs[0], SNIPPET("stp x0, x2, [x1]"), GIB | MAP_BLOCK,
                 REALM_TABLE + 8, entry);
}

/* With the MMU on around it. */
#define STAGE1(instructions) \
    SNIPPET("msr mair_el1, x2\n msr tcr_el1, x3\n msr ttbr0_el1, x4\n isb\n" \
            "mrs x5, sctlr_el1\n orr x6, x5, #1\n msr sctlr_el1, x6\n isb\n" \
            instructions "\n msr sctlr_el1, x5\n isb")

static RmiRecExit *by_stage1(struct rec *rec, struct snippet code, uint64_t va)
{
    uint64_t words[18] = { REALM_EXECUTE, code.end - code.code };

    memcpy(words + 2, code.code, words[1] * 4);
    words[10] = 5;
    words[11] = va;
    words[12] = 0xff;
    words[13] = TCR_39;
    words[14] = REALM_TABLE;
    return rec_command(rec, words, 18);
}

static void stage1_table_unassigned(void)
{
    const uint64_t ipa = REALM_TABLE + PAGE;
    struct realm *realm = realm_start(1);
    struct rec *rec = &realm->recs[0];
    RmiRecExit *exit;

    make_stage1(realm, ipa | MAP_TABLE);
    exit = by_stage1(rec, STAGE1("ldr x0, [x1]"), REALM_VA + 0x18);
    for (unsigned n = 0; n < 2; n++) {
        EXPECT(exit->exit_reason, RMI_EXIT_SYNC, "the exit's reason");
        EXPECT(exit->esr, (uint64_t)EC_DATA << 26 | 7, "the exit's ESR");
        EXPECT(exit->hpfar, ipa >> 12 << 4, "the exit's HPFAR");
        if (n == 1) {
            realm_page(realm, ipa, NULL);
        }
        exit = rec_enter(rec);
    }
    rec_expect_done(exit);
    EXPECT(GOT_EXCEPTIONS(exit), 1, "exceptions with a table of zeros");
    EXPECT(GOT_ESR(exit), ABORT(EC_DATA_SAME, 6), "ESR_EL1");
    EXPECT(GOT_FAR(exit), REALM_VA + 0x18, "FAR_EL1");
    realm_end(realm);
}
CASE("protection", "a walk of a Realm's table without a page exits, and goes on "
     "with the page", stage1_table_unassigned);

static void stage1_table_delegated(void)
{
    struct realm *realm = realm_start(1);
    RmiRecExit *exit;

    make_stage1(realm, REALM_SHARED | MAP_TABLE);
    exit = by_stage1(&realm->recs[0], STAGE1("ldr x0, [x1]"), REALM_VA);
    rec_expect_done(exit);
    EXPECT(GOT_ESR(exit), ABORT(EC_DATA_SAME, 6), "ESR_EL1 at first");
    delegate(realm->shared);
    exit = by_stage1(&realm->recs[0], STAGE1("ldr x0, [x1]"), REALM_VA);
    rec_expect_done(exit);
    EXPECT(GOT_EXCEPTIONS(exit), 1, "exceptions of the Realm");
    EXPECT(GOT_ESR(exit), ABORT(EC_DATA_SAME, GPF_WALK(2)), "ESR_EL1");
    EXPECT(GOT_FAR(exit), REALM_VA, "FAR_EL1");
    EXPECT(RMI(RMI_GRANULE_UNDELEGATE, realm->shared).x0, RMI_SUCCESS,
           "UNDELEGATE");
    granule_delegated(realm->shared, false);
    realm_end(realm);
}
CASE("protection", "a walk of a Realm's table that was lent, then delegated, is "
     "its fault", stage1_table_delegated);

static void translated_unassigned(void)
{
    const uint64_t ipa = REALM_TABLE + PAGE;
    struct realm *realm = realm_start(1);
    struct rec *rec = &realm->recs[0];
    RmiRecExit *exit;

    make_stage1(realm, ipa | MAP_TABLE);
    exit = by_stage1(rec, STAGE1("at s1e1r, x1\n isb\n mrs x0, par_el1"),
                     REALM_VA);
    EXPECT(exit->exit_reason, RMI_EXIT_SYNC, "the exit's reason");
    EXPECT(exit->esr, (uint64_t)EC_DATA << 26 | 7, "the exit's ESR");
    EXPECT(exit->hpfar, ipa >> 12 << 4, "the exit's HPFAR");
    realm_page(realm, ipa, NULL);
    exit = rec_enter(rec);
    rec_expect_done(exit);
    EXPECT(GOT_EXCEPTIONS(exit), 0, "exceptions of the Realm");
    EXPECT(exit->gprs[0] & 0x7f, 6 << 1 | 1, "PAR_EL1.FST and F");
    realm_end(realm);
}
CASE("protection", "AT of a Realm whose table has no page exits, and goes on "
     "with the page", translated_unassigned);

/*
 * Their tables have one address, and QEMU has what a walk reads in its TLB.
 * The MMU stays on, since turning it off empties that.
 */
static void tables_apart(void)
{
    struct realm *realms[2];
    RmiRecExit *exit;

    for (unsigned n = 0; n < 2; n++) {
        realms[n] = realm_start(1);
        make_stage1(realms[n], (4 + n) * GIB | MAP_BLOCK);
        by_stage1(&realms[n]->recs[0], STAGE1("mov x5, x6"), 0);
    }
    for (unsigned n = 0; n < 6; n++) {
        exit = rec_executed(&realms[n % 2]->recs[0],
                            SNIPPET("at s1e1r, x1\n isb\n mrs x0, par_el1"), 0,
                            REALM_VA, 0);
        EXPECT(exit->gprs[0] & 0xfffffffff001, (4 + n % 2) * GIB,
               "PAR_EL1.PA by the Realm's own table");
    }
    realm_end(realms[0]);
    realm_end(realms[1]);
}
CASE("protection", "two Realms have different tables at one address",
     tables_apart);

static void table_of_a_realm(void)
{
    struct realm *realm;
    uint64_t sctlr = READ(sctlr_el1), par;
    RmiRecExit *exit;

    if (host_has_e2h()) {
        test_skip("with HCR_EL2.E2H and TGE, AT S1E1R is about EL2");
    }
    realm = realm_start(1);
    make_stage1(realm, 4 * GIB | MAP_BLOCK);
    by_stage1(&realm->recs[0],
              STAGE1("at s1e1r, x1\n isb\n mrs x0, par_el1\n mov x5, x6"),
              REALM_VA);
    WRITE(tcr_el1, TCR_39);
    WRITE(ttbr0_el1, REALM_TABLE);
    WRITE(sctlr_el1, sctlr | 1);
    /* Those have emptied the TLB: have the Realm fill it. */
    rec_executed(&realm->recs[0], SNIPPET("at s1e1r, x1"), 0, REALM_VA, 0);
    asm volatile("at s1e1r, %0\n isb" : : "r"(REALM_VA) : "memory");
    par = READ(par_el1);
    exit = rec_executed(&realm->recs[0],
                        SNIPPET("at s1e1r, x1\n isb\n mrs x0, par_el1"), 0,
                        REALM_VA, 0);
    WRITE(sctlr_el1, sctlr);
    EXPECT(exit->gprs[0] & 0xfffffffff001, 4 * GIB,
           "PAR_EL1.PA by the Realm's table, not the host's");
    EXPECT_TRUE((par & 0xfffffffff001) != 4 * GIB,
                "that AT does not know the Realm's table");
    realm_end(realm);
}
CASE("protection", "AT of the host, at EL2, and of a Realm read their own "
     "tables", table_of_a_realm);

static void translated_delegated(void)
{
    uint64_t pa = granule_new(1), par;

    host_table[100] = pa | MAP_TABLE;
    tlb_flush_el2();
    asm volatile("at s1e2r, %0\n isb" : : "r"(100 * GIB) : "memory");
    par = READ(par_el1);
    host_table[100] = 0;
    tlb_flush_el2();
    EXPECT(par & 0x7f, GPF_WALK(2) << 1 | 1, "PAR_EL1.FST and F");
    granule_free(pa, 1);
}
CASE("protection", "AT of the host reports a table that is delegated",
     translated_delegated);
