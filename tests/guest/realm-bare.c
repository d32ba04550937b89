/*
 * A Realm without an operating system, which tries what Linux never does.
 *
 * Loaded by -kernel as a flat image, two vCPUs, MMU off but for one check: an
 * address is an IPA.
 * Each check prints "ok WHAT" or "FAIL WHAT".  "stage NAME" means that it
 * waits for a character on the console, so that the test can look at QEMU or
 * migrate the Realm; the last line is "end".
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <stdbool.h>
#include <stdint.h>

#define PAGE        0x1000ul
#define BLOCK       0x200000ul
#define PAGES       (BLOCK / PAGE)
#define RAM         0x40000000ul
/* Blocks that the loader leaves alone. */
#define FIRST       (RAM + 8 * BLOCK)
#define SECOND      (RAM + 9 * BLOCK)
#define SHARED      (RAM + 10 * BLOCK)
#define PART        0x10000ul       /* a part of a block: where, and how long */

#define RSI_VERSION         0xC4000190u
#define RSI_REALM_CONFIG    0xC4000196u
#define RSI_IPA_STATE_SET   0xC4000197u
#define RSI_IPA_STATE_GET   0xC4000198u
#define RSI_HOST_CALL       0xC4000199u
#define PSCI_CPU_OFF        0x84000002u
#define PSCI_CPU_ON         0xC4000003u
#define PSCI_AFFINITY_INFO  0xC4000004u
#define PSCI_SYSTEM_OFF     0x84000008u
#define EMPTY 0
#define IS_RAM 1
#define ACCEPT 0
#define REJECT 1

/* ESR_EL1: class, EA and fault status, WnR */
#define EL0_ABORT   (0x24ul << 26)
#define DATA_ABORT  (0x25ul << 26)
#define FETCH_ABORT (0x21ul << 26)
#define EXTERNAL    (1ul << 9 | 0x10)
#define NO_ENTRY    4ul             /* translation fault, plus the level */
#define WNR         (1ul << 6)
#define ESR_CHECKED (0x3ful << 26 | 1ul << 9 | 0x3f)

struct caught {
    uint64_t esr, far, elr;
};

struct host_call {
    uint64_t imm, gprs[31];
} __attribute__((aligned(256)));

volatile struct caught caught;
uint8_t stacks[2][0x4000] __attribute__((aligned(16)));
static uint64_t config[PAGE / 8] __attribute__((aligned(4096)));
static struct host_call host_call;
static volatile uint64_t second_runs;
static uint64_t shared_bit;

/*
 * The first instruction is at the entry.  An abort is noted, and execution
 * goes on behind the access, or for a fetch where it was called from.
 */
asm(".section .start, \"ax\"\n"
    "    adrp x1, stacks + 0x4000\n"
    "    add x1, x1, :lo12:stacks + 0x4000\n"
    "    mov sp, x1\n"
    "    adrp x1, vectors\n"
    "    add x1, x1, :lo12:vectors\n"
    "    msr vbar_el1, x1\n"
    "    isb\n"
    "    bl run\n"
    ".global second_start\n"
    "second_start:\n"
    "    adrp x1, stacks + 0x8000\n"
    "    add x1, x1, :lo12:stacks + 0x8000\n"
    "    mov sp, x1\n"
    "    bl run_second\n"
    ".global el0_read\n"
    "el0_read:\n"                      /* of X0; back by the abort */
    "    stp x29, x30, [sp, #-16]!\n"
    "    mov x1, #0x3c0\n"
    "    msr spsr_el1, x1\n"
    "    adr x1, 1f\n"
    "    msr elr_el1, x1\n"
    "    eret\n"
    "1:  ldr x1, [x0]\n"
    "    b .\n"
    "    .balign 0x800\n"
    "vectors:\n"
    "    .org vectors + 0x200\n"            /* from this level, synchronous */
    "    stp x0, x1, [sp, #-16]!\n"
    "    adrp x0, caught\n"
    "    add x0, x0, :lo12:caught\n"
    "    mrs x1, far_el1\n"
    "    str x1, [x0, #8]\n"
    "    mrs x1, elr_el1\n"
    "    str x1, [x0, #16]\n"
    "    add x1, x1, #4\n"
    "    msr elr_el1, x1\n"
    "    mrs x1, esr_el1\n"
    "    str x1, [x0]\n"
    "    lsr x1, x1, #26\n"
    "    cmp x1, #0x21\n"
    "    b.ne 1f\n"
    "    msr elr_el1, x30\n"
    "1:  ldp x0, x1, [sp], #16\n"
    "    eret\n"
    "    .org vectors + 0x400\n"            /* from EL0, synchronous */
    "    adrp x0, caught\n"
    "    add x0, x0, :lo12:caught\n"
    "    mrs x1, far_el1\n"
    "    str x1, [x0, #8]\n"
    "    mrs x1, esr_el1\n"
    "    str x1, [x0]\n"
    "    ldp x29, x30, [sp], #16\n"
    "    ret\n"
    "    .org vectors + 0x800\n"
    "    .previous\n");

extern char second_start[];
void el0_read(uint64_t address);

/* ---- The console, a PL011 ---- */

static volatile uint32_t *uart(unsigned reg)
{
    return (volatile uint32_t *)(shared_bit + 0x09000000ul + reg);
}

static void print(const char *text)
{
    while (*text) {
        *uart(0) = *text++;
    }
}

static void check(bool ok, const char *what)
{
    print(ok ? "ok " : "FAIL ");
    print(what);
    print("\n");
}

static void stage(const char *name)
{
    print("stage ");
    print(name);
    print("\n");
    while (*uart(0x18) & 1 << 4) {          /* nothing received */
    }
    (void)*uart(0);
}

/* ---- Calls ---- */

struct result {
    uint64_t x0, x1, x2;
};

static struct result smc(uint64_t fid, uint64_t a1, uint64_t a2, uint64_t a3)
{
    register uint64_t x0 asm("x0") = fid;
    register uint64_t x1 asm("x1") = a1;
    register uint64_t x2 asm("x2") = a2;
    register uint64_t x3 asm("x3") = a3;
    register uint64_t x4 asm("x4") = 0;

    asm volatile("smc #0" : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3), "+r"(x4)
                 : : "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13",
                 "x14", "x15", "x16", "x17", "memory");
    return (struct result) { x0, x1, x2 };
}

static bool set_ripas(uint64_t base, uint64_t top, unsigned ripas)
{
    struct result r = smc(RSI_IPA_STATE_SET, base, top, ripas);

    return r.x0 == 0 && r.x1 == top && r.x2 == ACCEPT;
}

/* [base, end) has @ripas, and what is at @end has not. */
static bool has_ripas(uint64_t base, uint64_t end, unsigned ripas)
{
    struct result r;

    while (base < end) {
        r = smc(RSI_IPA_STATE_GET, base, end, 0);
        if (r.x0 || r.x2 != ripas || r.x1 <= base) {
            return false;
        }
        base = r.x1;
    }
    return base == end;
}

/* ---- Memory ---- */

static uint64_t pattern(uint64_t ipa)
{
    return ipa * 0x9e3779b97f4a7c15ul + 1;
}

static void fill(uint64_t base, uint64_t size)
{
    for (uint64_t ipa = base; ipa < base + size; ipa += PAGE) {
        *(volatile uint64_t *)(ipa + ipa / PAGE % 256 * 8) = pattern(ipa);
    }
}

static bool holds(uint64_t base, uint64_t size, bool zero)
{
    for (uint64_t ipa = base; ipa < base + size; ipa += PAGE) {
        if (*(volatile uint64_t *)(ipa + ipa / PAGE % 256 * 8) !=
            (zero ? 0 : pattern(ipa))) {
            return false;
        }
    }
    return true;
}

static bool aborted(uint64_t address, uint64_t esr)
{
    bool so = (caught.esr & ESR_CHECKED) == esr && caught.far == address;

    caught.esr = caught.far = 0;
    return so;
}

static bool read_aborts(uint64_t address, uint64_t esr)
{
    (void)*(volatile uint64_t *)address;
    return !(caught.esr & WNR) && aborted(address, esr);
}

static bool write_aborts(uint64_t address, uint64_t esr)
{
    *(volatile uint64_t *)address = 1;
    return (caught.esr & WNR) && aborted(address, esr);
}

static bool fetch_aborts(uint64_t address, uint64_t esr)
{
    ((void (*)(void))address)();
    return aborted(address, esr);
}

/* ---- What is tried ---- */

static uint64_t end_of_ram(void)
{
    struct result r = { .x1 = RAM, .x2 = IS_RAM };
    uint64_t top;

    do {
        top = r.x1;
        r = smc(RSI_IPA_STATE_GET, top, shared_bit, 0);
    } while (r.x0 == 0 && r.x2 == IS_RAM);
    return top;
}

static void check_ripas_of_a_part(void)
{
    uint64_t part = FIRST + PART;

    fill(FIRST, BLOCK);
    stage("block");
    check(set_ripas(part, part + PART, EMPTY), "a part becomes EMPTY");
    check(has_ripas(part, part + PART, EMPTY) &&
          has_ripas(FIRST, part, IS_RAM) &&
          has_ripas(part + PART, FIRST + BLOCK, IS_RAM),
          "only that part is EMPTY");
    check(read_aborts(part + 8, DATA_ABORT | EXTERNAL), "reading EMPTY");
    el0_read(part);
    check(aborted(part, EL0_ABORT | EXTERNAL), "reading EMPTY at EL0");
    check(write_aborts(part + PART - 8, DATA_ABORT | EXTERNAL),
          "writing EMPTY");
    check(fetch_aborts(part, FETCH_ABORT | EXTERNAL), "fetching EMPTY");
    check(holds(FIRST, PART, false) &&
          holds(part + PART, FIRST + BLOCK - part - PART, false),
          "the rest of the block is as it was");
    stage("part");
    check(set_ripas(part, part + PART, IS_RAM), "the part becomes RAM");
    check(holds(part, PART, true), "and holds zeros");
    fill(part, PART);
    stage("block again");
}

static void check_ripas_of_a_block(void)
{
    fill(SECOND, BLOCK);
    stage("second block");
    check(set_ripas(SECOND, SECOND + BLOCK, EMPTY), "a block becomes EMPTY");
    check(has_ripas(SECOND, SECOND + BLOCK, EMPTY) &&
          has_ripas(SECOND + BLOCK, SECOND + BLOCK + PAGE, IS_RAM),
          "only that block is EMPTY");
    check(read_aborts(SECOND + BLOCK - 8, DATA_ABORT | EXTERNAL),
          "reading the EMPTY block");
    stage("no block");
    check(set_ripas(SECOND, SECOND + BLOCK, IS_RAM), "the block becomes RAM");
    check(holds(SECOND, BLOCK, true), "and the block holds zeros");
    fill(SECOND, BLOCK);
    stage("second block again");
}

static void check_outside(unsigned ipa_bits)
{
    uint64_t top = end_of_ram();
    struct result r;

    check(top == RAM + 67 * (BLOCK / 2), "RAM ends in the middle of a block");
    fill(top & -BLOCK, top % BLOCK);
    r = smc(RSI_IPA_STATE_SET, top - PART, top + PART, IS_RAM);
    check(r.x0 == 0 && r.x1 == top && r.x2 == REJECT,
          "what reaches beyond RAM is done in part");
    r = smc(RSI_IPA_STATE_SET, top, top + PART, IS_RAM);
    check(r.x0 == 0 && r.x1 == top && r.x2 == REJECT,
          "what is beyond RAM is rejected");
    check(read_aborts(top, DATA_ABORT | EXTERNAL), "reading beyond RAM");
    check(holds(top & -BLOCK, top % BLOCK, false), "RAM is as it was");
    check(read_aborts(1ul << ipa_bits, DATA_ABORT),
          "reading beyond the IPA width is an address size fault");
    check(fetch_aborts(1ul << ipa_bits, FETCH_ABORT),
          "fetching beyond the IPA width is an address size fault");
}

/* ---- Stage 1, for a moment ---- */

#define TABLE_ENTRY 3ul
#define BLOCK_ENTRY (1ul | 3ul << 8 | 1ul << 10)        /* SH, AF */
#define PAGE_ENTRY  (BLOCK_ENTRY | 2)
#define GIB         0x40000000ul

static uint64_t tables[3][512] __attribute__((aligned(4096)));

/* 39 bits of VA by 4 KiB granules, 48 bits of IPA, all of it Normal memory. */
static void mmu_on(void)
{
    const uint64_t tcr = 25 | 1ul << 8 | 1ul << 10 | 3ul << 12 | 1ul << 23 |
                         5ul << 32;
    uint64_t sctlr = 0;

    asm volatile("msr mair_el1, %1\n"
                 "msr tcr_el1, %2\n"
                 "msr ttbr0_el1, %3\n"
                 "isb\n"
                 "tlbi vmalle1\n"
                 "dsb sy\n"
                 "isb\n"
                 "mrs %0, sctlr_el1\n"
                 "orr %0, %0, #1\n"
                 "msr sctlr_el1, %0\n"
                 "isb\n"
                 : "+r"(sctlr) : "r"(0xfful), "r"(tcr), "r"(tables[0])
                 : "memory");
}

static void mmu_off(void)
{
    uint64_t sctlr = 0;

    asm volatile("mrs %0, sctlr_el1\n"
                 "bic %0, %0, #1\n"
                 "msr sctlr_el1, %0\n"
                 "isb\n"
                 "tlbi vmalle1\n"
                 "dsb sy\n"
                 "isb\n"
                 : "+r"(sctlr) : : "memory");
}

/* The status code is that of an address size fault, plus the level. */
static void check_outside_of_stage_1(unsigned ipa_bits)
{
    const uint64_t outside = 1ul << ipa_bits;
    bool level_1, level_2, level_3, fetch, not_lent;

    tables[0][1] = RAM | BLOCK_ENTRY;
    tables[0][2] = outside | BLOCK_ENTRY;
    tables[0][3] = (uint64_t)tables[1] | TABLE_ENTRY;
    tables[1][0] = outside | BLOCK_ENTRY;
    tables[1][1] = (uint64_t)tables[2] | TABLE_ENTRY;
    tables[2][0] = outside | PAGE_ENTRY;
    mmu_on();
    level_1 = read_aborts(2 * GIB, DATA_ABORT | 1);
    fetch = fetch_aborts(2 * GIB, FETCH_ABORT | 1);
    level_2 = write_aborts(3 * GIB + 8, DATA_ABORT | 2);
    level_3 = read_aborts(3 * GIB + BLOCK, DATA_ABORT | 3);
    tables[0][4] = (RAM + 6 * BLOCK) | TABLE_ENTRY;
    tables[0][5] = (shared_bit + SHARED) | TABLE_ENTRY;
    read_aborts(4 * GIB, 0);    /* or not: what nobody wrote is unknown */
    not_lent = read_aborts(5 * GIB, DATA_ABORT | NO_ENTRY | 2);
    mmu_off();
    check(level_1 && fetch, "an address size fault has the level of a block");
    check(level_2, "of a smaller block");
    check(level_3, "and of a page");
    check(not_lent, "a table of stage 1 may be memory that is not lent yet");
}

static void check_shared(void)
{
    volatile uint64_t *private = (volatile uint64_t *)SHARED;
    volatile uint64_t *alias = (volatile uint64_t *)(shared_bit + SHARED);

    *private = 1;
    alias[PAGE / 8] = 2;
    *alias = 2;
    check(*private == 1 && *alias == 2, "the alias is other memory");
    check(fetch_aborts(shared_bit + SHARED, FETCH_ABORT | EXTERNAL),
          "no code runs from the alias");
    check(set_ripas(SHARED, SHARED + PAGE, EMPTY), "a page is given up");
    check(*alias == 2, "the alias keeps its contents");
    stage("lent");
    check(set_ripas(SHARED, SHARED + PAGE, IS_RAM), "the page is taken back");
    stage("not lent");
    check(*alias == 0 && *private == 0, "the contents are gone on both sides");
    check(alias[PAGE / 8] == 2, "those of the next page are not");
}

static void check_host_call(void)
{
    struct result r;

    host_call.imm = 7;
    host_call.gprs[0] = 1;
    host_call.gprs[1] = 2;
    r = smc(RSI_HOST_CALL, (uint64_t)&host_call, 0, 0);
    check(r.x0 == 0 && host_call.gprs[0] == -1ul && host_call.gprs[1] == 2,
          "the host knows no calls, and says so");
}

void run_second(uint64_t context)
{
    second_runs = context;
    while (second_runs) {
    }
    smc(PSCI_CPU_OFF, 0, 0, 0);
}

static uint64_t affinity(void)
{
    return smc(PSCI_AFFINITY_INFO, 1, 0, 0).x0;
}

static void check_psci(void)
{
    check(affinity() == 1, "the second vCPU is off");
    check(smc(PSCI_CPU_ON, 99, (uint64_t)second_start, 0).x0 == -2ul,
          "there is no hundredth vCPU");
    check(smc(PSCI_CPU_ON, 1, (uint64_t)second_start, 5).x0 == 0,
          "CPU_ON of the second vCPU");
    while (second_runs != 5) {
    }
    check(affinity() == 0, "the second vCPU is on");
    check(smc(PSCI_CPU_ON, 1, (uint64_t)second_start, 5).x0 == -4ul,
          "it is on already");
    second_runs = 0;
    while (affinity() == 0) {
    }
    check(affinity() == 1, "CPU_OFF of the second vCPU");
}

void run(void)
{
    struct result r = smc(RSI_REALM_CONFIG, (uint64_t)config, 0, 0);
    unsigned ipa_bits = config[0];

    shared_bit = 1ul << (ipa_bits - 1);
    check(r.x0 == 0, "the Realm's configuration");
    check(smc(RSI_VERSION, 0x10000, 0, 0).x0 == 0, "RSI 1.0");
    check_ripas_of_a_part();
    check_ripas_of_a_block();
    check_outside(ipa_bits);
    check_outside_of_stage_1(ipa_bits);
    check_shared();
    check_host_call();
    check_psci();
    stage("to move");
    check(holds(FIRST, 2 * BLOCK, false), "the blocks have their contents");
    check(set_ripas(FIRST, FIRST + PAGE, EMPTY) &&
          read_aborts(FIRST, DATA_ABORT | EXTERNAL),
          "RIPAS can be changed after the move");
    print("end\n");
    smc(PSCI_SYSTEM_OFF, 0, 0, 0);
}
