/*
 * What the programs without an operating system share that use the MMU
 *
 * Addresses are IPAs, except that the first GiB of addresses is, in a Realm,
 * the part of IPA space that it shares with its host: that is where devices
 * are.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_GUEST_PAYLOAD_H
#define TESTS_GUEST_PAYLOAD_H

#include <stdbool.h>
#include <stdint.h>

#define PAGE            0x1000ul
#define WORDS           (PAGE / 8)
#define RSI_REALM_CONFIG 0xC4000196u

/* As addresses with the MMU on */
#define GICD            0x08000000ul
#define GICR            0x080a0000ul
#define GICR_SIZE       0x20000ul       /* each vCPU's */
#define UART            0x09000000ul
#define VIRTUAL_PPI     27

#define READ(reg) ({ \
    uint64_t read_; \
    asm volatile("mrs %0, " #reg : "=r"(read_) : : "memory"); \
    read_; })
#define WRITE(reg, value) \
    asm volatile("msr " #reg ", %0\n isb" : : "r"((uint64_t)(value)) \
                 : "memory")

static uint64_t table[WORDS] __attribute__((aligned(4096)));
static uint64_t config[WORDS] __attribute__((aligned(4096)));

static volatile uint32_t *device(uint64_t address)
{
    return (volatile uint32_t *)address;
}

/* ---- Start ---- */

static uint64_t realm_shared_bit(void)
{
    register uint64_t x0 asm("x0") = RSI_REALM_CONFIG;
    register uint64_t x1 asm("x1") = (uint64_t)config;

    asm volatile("smc #0" : "+r"(x0), "+r"(x1)
                 : : "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10",
                 "x11", "x12", "x13", "x14", "x15", "x16", "x17", "memory");
    return 1ul << (config[0] - 1);
}

static void map(uint64_t devices)
{
    const uint64_t block = 1, accessed = 1 << 10, inner = 3 << 8, device = 4;

    table[0] = devices | block | accessed | device | 3ul << 53; /* no code */
    table[1] = 0x40000000 | block | accessed | inner;
}

/* Tags need the attribute Normal Tagged, and so the MMU. */
static void mmu_on(bool tags)
{
    WRITE(mair_el1, (tags ? 0xf0 : 0xff) | 0x04 << 8);
    WRITE(tcr_el1, 25 | 1 << 8 | 1 << 10 | 3 << 12 | 1 << 23 | 5ul << 32);
    WRITE(ttbr0_el1, table);
    WRITE(sctlr_el1, READ(sctlr_el1) | 1 << 0 | 1 << 2 | 1 << 12 |
          (tags ? 1ul << 43 : 0));
}

/* The private interrupts @ppis of this vCPU, whose number is @cpu. */
static void interrupts_on(unsigned cpu, uint32_t ppis)
{
    uint64_t gicr = GICR + cpu * GICR_SIZE;

    *device(GICD) = 1 << 4 | 1 << 1;        /* ARE, group 1 */
    *device(gicr + 0x14) = 0;               /* GICR_WAKER */
    while (*device(gicr + 0x14) & 1 << 2) {
    }
    *device(gicr + 0x10080) = ppis;         /* GICR_IGROUPR0 */
    *device(gicr + 0x10100) = ppis;         /* GICR_ISENABLER0 */
    WRITE(s3_0_c12_c12_5, 7);               /* ICC_SRE_EL1 */
    WRITE(s3_0_c4_c6_0, 0xff);              /* ICC_PMR_EL1 */
    WRITE(s3_0_c12_c12_7, 1);               /* ICC_IGRPEN1_EL1 */
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

#endif
