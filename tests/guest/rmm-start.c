/*
 * What firmware leaves to the first program of a machine with an RMM: the
 * exception level, PSCI, SMCCC discovery, the GIC, EL3's registers
 *
 * Loaded in every way that QEMU knows, by -kernel or as firmware, two CPUs, MMU
 * off.  Each check prints "ok WHAT" or "FAIL WHAT".  The last of them delegates
 * a granule; "ready" means that the program waits for a character: 'r' resets
 * the machine, anything else ends it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <stdbool.h>
#include <stdint.h>

#define UART            0x09000000ul
#define GICD            0x08000000ul
#define GICR            0x080a0000ul
#define GRANULE         0x42000000ul

#define SMCCC_VERSION           0x80000000u
#define SMCCC_ARCH_FEATURES     0x80000001u
#define PSCI_VERSION            0x84000000u
#define PSCI_SYSTEM_OFF         0x84000008u
#define PSCI_SYSTEM_RESET       0x84000009u
#define PSCI_FEATURES           0x8400000au
#define PSCI_CPU_ON             0xC4000003u
#define PSCI_AFFINITY_INFO      0xC4000004u
#define RMI_VERSION             0xC4000150u
#define RMI_GRANULE_DELEGATE    0xC4000151u
#define NOT_SUPPORTED           (-1ul)

#define SYSREG(name) ({ uint64_t v_; asm volatile("mrs %0, " name : "=r"(v_)); \
                        v_; })
#define SET_SYSREG(name, value) \
    asm volatile("msr " name ", %0\nisb" : : "r"((uint64_t)(value)) : "memory")

uint8_t stacks[2][0x4000] __attribute__((aligned(16)));
volatile uint64_t caught_esr;
static volatile uint64_t second_context;

/*
 * The first instruction is at the entry.  A synchronous exception is noted and
 * its instruction skipped.
 */
asm(".section .start, \"ax\"\n"
    "    adrp x1, stacks + 0x4000\n"
    "    add x1, x1, :lo12:stacks + 0x4000\n"
    "    mov sp, x1\n"
    "    adr x1, vectors\n"
    "    msr vbar_el2, x1\n"
    "    isb\n"
    "    bl run\n"
    ".global second_start\n"
    "second_start:\n"                   /* X0: the context of CPU_ON */
    "    adrp x1, stacks + 0x8000\n"
    "    add x1, x1, :lo12:stacks + 0x8000\n"
    "    mov sp, x1\n"
    "    adr x1, vectors\n"
    "    msr vbar_el2, x1\n"
    "    isb\n"
    "    bl run_second\n"
    ".global smc_at_el1\n"
    "smc_at_el1:\n"                     /* of X0, X1; back by HVC */
    "    stp x29, x30, [sp, #-16]!\n"
    "    mov x2, #0x3c5\n"
    "    msr spsr_el2, x2\n"
    "    adr x2, 1f\n"
    "    msr elr_el2, x2\n"
    "    mov x2, #1 << 31\n"
    "    msr hcr_el2, x2\n"
    "    isb\n"
    "    eret\n"
    "1:  smc #0\n"
    "    hvc #0\n"
    "    .balign 0x800\n"
    "vectors:\n"
    "    .org vectors + 0x200\n"        /* from this level, synchronous */
    "    stp x0, x1, [sp, #-16]!\n"
    "    mrs x1, elr_el2\n"
    "    add x1, x1, #4\n"
    "    msr elr_el2, x1\n"
    "    mrs x1, esr_el2\n"
    "    adrp x0, caught_esr\n"
    "    str x1, [x0, :lo12:caught_esr]\n"
    "    ldp x0, x1, [sp], #16\n"
    "    eret\n"
    "    .org vectors + 0x400\n"        /* from EL1, synchronous */
    "    ldp x29, x30, [sp], #16\n"
    "    ret\n"
    "    .org vectors + 0x800\n"
    "    .previous\n");

extern char second_start[];
uint64_t smc_at_el1(uint64_t fid, uint64_t a1);

static volatile uint32_t *device(uint64_t address)
{
    return (volatile uint32_t *)address;
}

static void print(const char *text)
{
    while (*text) {
        *device(UART) = *text++;
    }
}

static void check(bool ok, const char *what)
{
    print(ok ? "ok " : "FAIL ");
    print(what);
    print("\n");
}

static char read_character(void)
{
    while (*device(UART + 0x18) & 1 << 4) {     /* nothing received */
    }
    return *device(UART);
}

static uint64_t smc(uint64_t fid, uint64_t a1, uint64_t a2, uint64_t a3)
{
    register uint64_t x0 asm("x0") = fid;
    register uint64_t x1 asm("x1") = a1;
    register uint64_t x2 asm("x2") = a2;
    register uint64_t x3 asm("x3") = a3;

    asm volatile("smc #0" : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3)
                 : : "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12",
                 "x13", "x14", "x15", "x16", "x17", "memory");
    return x0;
}

static void check_level(void)
{
    check(SYSREG("CurrentEL") == 2 << 2, "it starts at EL2");
    check(SYSREG("ID_AA64PFR0_EL1") >> 52 & 15, "the CPU has FEAT_RME");
}

static void check_discovery(void)
{
    check(smc(PSCI_VERSION, 0, 0, 0) >= 0x10001, "PSCI 1.1");
    check(smc(PSCI_FEATURES, SMCCC_VERSION, 0, 0) == 0,
          "PSCI_FEATURES knows SMCCC_VERSION");
    check(smc(SMCCC_VERSION, 0, 0, 0) == 0x10002, "SMCCC 1.2");
    check(smc(SMCCC_ARCH_FEATURES, SMCCC_VERSION, 0, 0) == 0 &&
          smc(SMCCC_ARCH_FEATURES, SMCCC_ARCH_FEATURES, 0, 0) == 0,
          "SMCCC_ARCH_FEATURES knows what there is");
    check(smc(SMCCC_ARCH_FEATURES, 0x80003fff, 0, 0) == NOT_SUPPORTED,
          "and nothing else");
    check(smc(0x8600ff01, 0, 0, 0) == NOT_SUPPORTED &&
          smc(0xC3001234, 0, 0, 0) == NOT_SUPPORTED,
          "unknown calls are not supported");
}

static void check_rmi(void)
{
    check(smc(RMI_VERSION, 0x10000, 0, 0) == 0, "RMI 1.0");
    check(smc_at_el1(RMI_VERSION, 0x10000) == NOT_SUPPORTED,
          "there is no RMI at EL1");
    check(smc_at_el1(SMCCC_VERSION, 0) == 0x10002, "but SMCCC");
}

/*
 * SGI 3 of Group 1, of which GICD_IGROUPR0 says nothing: with two security
 * states that is firmware's.
 */
static void check_interrupt(void)
{
    uint64_t pending;

    SET_SYSREG("S3_4_C12_C9_5", 0xf);           /* ICC_SRE_EL2 */
    SET_SYSREG("S3_0_C12_C12_5", 0x7);          /* ICC_SRE_EL1 */
    *device(GICD) = 0x12;                       /* ARE_NS, EnableGrp1A */
    *device(GICR + 0x14) = 0;                   /* GICR_WAKER */
    while (*device(GICR + 0x14) & 4) {
    }
    *device(GICR + 0x10100) = 1 << 3;           /* GICR_ISENABLER0 */
    SET_SYSREG("S3_0_C4_C6_0", 0xff);           /* ICC_PMR_EL1 */
    SET_SYSREG("S3_0_C12_C12_7", 1);            /* ICC_IGRPEN1_EL1 */
    SET_SYSREG("S3_0_C12_C11_5", 3ul << 24 | 1); /* ICC_SGI1R_EL1 */
    check(!(*device(GICD) & 1 << 6), "the GIC has two security states");
    pending = SYSREG("S3_0_C12_C12_2");         /* ICC_HPPIR1_EL1 */
    check(pending == 3 && SYSREG("ISR_EL1") >> 7 & 1,
          "an interrupt of Group 1 is an IRQ at Non-secure EL2");
}

/* An instruction of Advanced SIMD in streaming mode: it is one of FA64. */
static void check_streaming(const char *what)
{
    uint64_t cptr = SYSREG("CPTR_EL2") & ~(1ul << 8 | 1ul << 10 | 1ul << 12);

    SET_SYSREG("CPTR_EL2", cptr);               /* no TZ, TFP, TSM */
    SET_SYSREG("S3_4_C1_C2_6", 1ul << 31);      /* SMCR_EL2.FA64 */
    caught_esr = 0;
    asm volatile(".inst 0xd503437f\n"           /* smstart sm */
                 ".inst 0x4ea08400\n"           /* add v0.4s, v0.4s, v0.4s */
                 ".inst 0xd503427f\n"           /* smstop sm */
                 : : : "memory");
    check(caught_esr == 0, what);
}

void run_second(uint64_t context)
{
    check(SYSREG("CurrentEL") == 2 << 2, "so does the other CPU");
    check_streaming("streaming mode has all instructions there");
    second_context = context;
    while (true) {
        asm volatile("wfi");
    }
}

static void check_second(void)
{
    uint64_t result;

    check(smc(PSCI_AFFINITY_INFO, 1, 0, 0) == 1, "the other CPU is off");
    result = smc(PSCI_CPU_ON, 1, (uint64_t)second_start, 5);
    while (result == 0 && second_context != 5) {    /* it prints meanwhile */
    }
    check(result == 0, "CPU_ON");
    check(smc(PSCI_CPU_ON, 1, (uint64_t)second_start, 5) == -4ul,
          "it is on already");
}

void run(void)
{
    second_context = 0;
    check_level();
    check_discovery();
    check_rmi();
    check_interrupt();
    check_streaming("streaming mode has all instructions");
    check_second();
    check(smc(RMI_GRANULE_DELEGATE, GRANULE, 0, 0) == 0,
          "a granule is delegated");
    check(smc(RMI_GRANULE_DELEGATE, GRANULE, 0, 0) != 0, "but not twice");
    print("ready\n");
    smc(read_character() == 'r' ? PSCI_SYSTEM_RESET : PSCI_SYSTEM_OFF, 0, 0,
        0);
}
