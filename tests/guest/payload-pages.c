/*
 * A Realm without an operating system that writes its memory and checks it.
 *
 * Loaded by -kernel, one vCPU.  In each generation every page is checked
 * against what the generation before wrote, its tags too, and written anew.
 * So a page from an earlier moment, or with the tags of another one, is
 * noticed in the next generation.
 *
 * Console: "generation N wrong_bytes N wrong_tags N", all in decimal.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "payload.h"

#define NUM_PAGES   64

static uint64_t pages[NUM_PAGES][WORDS] __attribute__((aligned(4096)));
uint8_t stack[0x4000] __attribute__((aligned(4096)));
static uint64_t wrong_bytes, wrong_tags;
static bool mte;

/* What aborts is a defect: it stays where it is, and the console is silent. */
asm(".section .start, \"ax\"\n"
    "    adrp x1, stack + 0x4000\n"
    "    mov sp, x1\n"
    "    bl run\n"
    "    .previous\n");

/* Before an instruction that handles tags. */
#define MEMTAG ".arch armv8.5-a+memtag\n"

/* The timer's interrupt only ends a WFI: it stays masked. */
static void sleep_ms(unsigned ms)
{
    WRITE(cntv_tval_el0, READ(cntfrq_el0) / 1000 * ms);
    WRITE(cntv_ctl_el0, 1);
    while (!(READ(cntv_ctl_el0) & 4)) {
        asm volatile("wfi");
    }
    WRITE(cntv_ctl_el0, 0);
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
    mte = (READ(id_aa64pfr1_el1) >> 8 & 15) >= 2;
    map(realm_shared_bit());
    mmu_on(mte);
    interrupts_on(0, 1u << VIRTUAL_PPI);
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
