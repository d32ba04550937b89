/*
 * A Realm without an operating system that writes its memory and checks it.
 *
 * Loaded by -kernel, one vCPU.  An address is an IPA, except that
 * the first GiB of addresses is the part of IPA space that the Realm shares
 * with its host.  In each generation every page is checked against what the
 * generation before wrote, its tags too, and written anew.  So a page from an
 * earlier moment, or with the tags of another one, is noticed in the next
 * generation.
 *
 * Console: "generation N wrong_bytes N wrong_tags N", all in decimal.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <stdbool.h>
#include <stdint.h>

#define PAGE        0x1000ul
#define WORDS       (PAGE / 8)
#define NUM_PAGES   64
#define RSI_REALM_CONFIG 0xC4000196u

/* As addresses with the MMU on */
#define GICD        0x08000000ul
#define GICR        0x080a0000ul
#define UART        0x09000000ul

static uint64_t pages[NUM_PAGES][WORDS] __attribute__((aligned(4096)));
static uint64_t table[WORDS] __attribute__((aligned(4096)));
static uint64_t config[WORDS] __attribute__((aligned(4096)));
uint8_t stack[0x4000] __attribute__((aligned(4096)));
static uint64_t wrong_bytes, wrong_tags;
static bool mte;

/* What aborts is a defect: it stays where it is, and the console is silent. */
asm(".section .start, \"ax\"\n"
    "    adrp x1, stack + 0x4000\n"
    "    mov sp, x1\n"
    "    bl run\n"
    "    .previous\n");

#define READ(reg) ({ \
    uint64_t read_; \
    asm volatile("mrs %0, " #reg : "=r"(read_)); \
    read_; })
#define WRITE(reg, value) \
    asm volatile("msr " #reg ", %0\n isb" : : "r"((uint64_t)(value)) \
                 : "memory")

/* Before an instruction that handles tags. */
#define MEMTAG ".arch armv8.5-a+memtag\n"

static volatile uint32_t *device(uint64_t address)
{
    return (volatile uint32_t *)address;
}

/* ---- Start ---- */

static uint64_t realm_config(void)
{
    register uint64_t x0 asm("x0") = RSI_REALM_CONFIG;
    register uint64_t x1 asm("x1") = (uint64_t)config;

    asm volatile("smc #0" : "+r"(x0), "+r"(x1)
                 : : "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10",
                 "x11", "x12", "x13", "x14", "x15", "x16", "x17", "memory");
    return config[0];
}

/* Tags need the attribute Normal Tagged, and so the MMU. */
static void mmu_on(unsigned ipa_bits)
{
    const uint64_t block = 1, accessed = 1 << 10, inner = 3 << 8, device = 4;

    table[0] = 1ul << (ipa_bits - 1) | block | accessed | device |
               3ul << 53;                                   /* no code */
    table[1] = 0x40000000 | block | accessed | inner;
    WRITE(mair_el1, (mte ? 0xf0 : 0xff) | 0x04 << 8);
    WRITE(tcr_el1, 25 | 1 << 8 | 1 << 10 | 3 << 12 | 1 << 23 | 5ul << 32);
    WRITE(ttbr0_el1, table);
    WRITE(sctlr_el1, READ(sctlr_el1) | 1 << 0 | 1 << 2 | 1 << 12 |
          (mte ? 1ul << 43 : 0));
}

/* The timer's interrupt only ends a WFI: it stays masked. */
static void timer_interrupt_on(void)
{
    const uint32_t ppi = 1u << 27;

    *device(GICD) = 1 << 4 | 1 << 1;        /* ARE, group 1 */
    *device(GICR + 0x14) = 0;               /* GICR_WAKER */
    while (*device(GICR + 0x14) & 1 << 2) {
    }
    *device(GICR + 0x10080) = ppi;          /* GICR_IGROUPR0 */
    *device(GICR + 0x10100) = ppi;          /* GICR_ISENABLER0 */
    WRITE(s3_0_c12_c12_5, 7);               /* ICC_SRE_EL1 */
    WRITE(s3_0_c4_c6_0, 0xff);              /* ICC_PMR_EL1 */
    WRITE(s3_0_c12_c12_7, 1);               /* ICC_IGRPEN1_EL1 */
}

static void sleep_ms(unsigned ms)
{
    WRITE(cntv_tval_el0, READ(cntfrq_el0) / 1000 * ms);
    WRITE(cntv_ctl_el0, 1);
    while (!(READ(cntv_ctl_el0) & 4)) {
        asm volatile("wfi");
    }
    WRITE(cntv_ctl_el0, 0);
}

/* ---- The console, a PL011 ---- */

static void print(const char *text)
{
    while (*text) {
        *device(UART) = *text++;
    }
}

static void print_number(const char *name, uint64_t number)
{
    char text[21], *at = text + 20;

    *at = 0;
    do {
        *--at = '0' + number % 10;
        number /= 10;
    } while (number);
    print(name);
    print(at);
}

/* ---- Pages ---- */

static uint64_t word(uint64_t generation, unsigned page, unsigned n)
{
    uint64_t x = (generation << 16 | page << 9 | n) * 0x9e3779b97f4a7c15ul;

    /* Readable in a dump: word 0 is the generation, word 1 the page. */
    return n == 0 ? generation : n == 1 ? page : x ^ x >> 29;
}

/* Tags that differ within an even page, and are the same in an odd one. */
static uint64_t tag(uint64_t generation, unsigned page, unsigned n)
{
    return (generation + page + (page & 1 ? 0 : n / 32)) % 16 << 56;
}

static void write_page(uint64_t generation, unsigned page)
{
    for (unsigned n = 0; n < WORDS; n++) {
        if (mte && n % 2 == 0) {
            asm volatile(MEMTAG "stg %0, [%1]"
                         : : "r"(tag(generation, page, n)),
                         "r"(&pages[page][n]) : "memory");
        }
        pages[page][n] = word(generation, page, n);
    }
}

static void check_page(uint64_t generation, unsigned page)
{
    for (unsigned n = 0; n < WORDS; n++) {
        uint64_t found = 0;

        wrong_bytes += pages[page][n] != word(generation, page, n) ? 8 : 0;
        if (mte && n % 2 == 0) {
            asm volatile(MEMTAG "ldg %0, [%1]" : "+r"(found)
                         : "r"(&pages[page][n]) : "memory");
            wrong_tags += found >> 56 != tag(generation, page, n) >> 56;
        }
    }
}

void run(void)
{
    unsigned ipa_bits = realm_config();

    mte = (READ(id_aa64pfr1_el1) >> 8 & 15) >= 2;
    mmu_on(ipa_bits);
    timer_interrupt_on();
    print(mte ? "tags\n" : "no tags\n");
    for (uint64_t generation = 1; ; generation++) {
        for (unsigned page = 0; page < NUM_PAGES; page++) {
            if (generation > 1) {
                check_page(generation - 1, page);
            }
            write_page(generation, page);
        }
        if (generation % 4 == 0) {
            print_number("generation ", generation);
            print_number(" wrong_bytes ", wrong_bytes);
            print_number(" wrong_tags ", wrong_tags);
            print("\n");
        }
        sleep_ms(6);
    }
}
