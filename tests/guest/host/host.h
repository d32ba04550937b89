/*
 * The bare host: a program at Non-secure EL2 of the virt board, without an
 * operating system
 *
 * Purpose: what every program of this kind needs: several CPUs, the MMU with
 * an identity map, the console, accesses that may fault, code at the host's own
 * EL1, parameters, and the end.  A program has a host_main() and links with
 * boot.c, gic.c and fwcfg.c.
 *
 * Invariants: host_main() runs on CPU 0, and everything else where
 * cpu_start() says.  Interrupts stay masked: they are looked for where one is
 * expected.  No register says which CPU it is but MPIDR_EL1, so a test may put
 * anything into the others.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_HOST_HOST_H
#define TESTS_HOST_HOST_H

#include "sys.h"

#define MAX_CPUS    8
#define RAM         0x40000000ul
/* Behind the program, for pages that tests take */
#define POOL        0x48000000ul

#define GICD        0x08000000ul
#define GICR        0x080a0000ul
#define GICR_SIZE   0x20000ul
#define UART        0x09000000ul
#define FW_CFG      0x09020000ul

/* An exception that an access met, all zero if there was none */
struct fault {
    uint64_t esr, far, hpfar, elr;
};

#define ESR_EC(esr)     ((esr) >> 26 & 0x3f)
#define ESR_FSC(esr)    ((esr) & 0x3f)
#define ESR_WNR         (1ul << 6)
#define ESR_S1PTW       (1ul << 7)
#define ESR_EA          (1ul << 9)
#define ESR_ISV         (1ul << 24)
#define EC_UNKNOWN      0x00
#define EC_WFX          0x01
#define EC_HVC_A32      0x12
#define EC_HVC          0x16
#define EC_SYSREG       0x18
#define EC_FETCH        0x20
#define EC_FETCH_SAME   0x21
#define EC_DATA         0x24
#define EC_DATA_SAME    0x25

/* The program's own. */
void host_main(void);

/* ---- CPUs ---- */

unsigned cpu_index(void);
/* Starts the others; returns how many CPUs there are. */
unsigned cpus_on(void);
unsigned cpu_count(void);
void cpu_start(unsigned cpu, void (*function)(void *), void *arg);
void cpu_wait(unsigned cpu);
/* As cpu_start and cpu_wait; on this CPU, a plain call. */
void cpu_run(unsigned cpu, void (*function)(void *), void *arg);
bool cpu_busy(unsigned cpu);
/* Another CPU, through PSCI. */
void cpu_off_and_on(unsigned cpu);
/*
 * Calls @function, which may end by cpu_leave(), from wherever it is.  What
 * cpu_start() starts may do so too; no other may be under way on this CPU.
 */
void cpu_call(void (*function)(void *), void *arg);
void cpu_leave(void) __attribute__((noreturn));

typedef volatile uint32_t spinlock;
void spin_lock(spinlock *lock);
void spin_unlock(spinlock *lock);

/* ---- Console and end ---- */

void print(const char *text);
void print_hex(uint64_t value);
void print_number(uint64_t value);
/* What follows from HCR_EL2.E2H, which -fw_cfg name=opt/host/e2h,string=y sets */
bool host_has_e2h(void);
uint64_t host_cptr(void);
/* With it, the names of registers of EL1 and EL0 are at EL2 those of EL2's. */
#define EL1_READ(reg, el12) (host_has_e2h() ? READ(el12) : READ(reg))
#define EL1_WRITE(reg, el12, value) do { \
    if (host_has_e2h()) { \
        WRITE(el12, value); \
    } else { \
        WRITE(reg, value); \
    } } while (0)
/* Only what is at EL2 unexpectedly calls this. */
void panic(const char *why, uint64_t value) __attribute__((noreturn));
void power_off(void) __attribute__((noreturn));

/* ---- Calls ---- */

/* SMC with all of X0 to X30; smc_regs_v also with V0 to V31. */
void smc_regs(struct regs *regs);
void smc_regs_v(struct regs *regs);
uint64_t smc(uint64_t fid, uint64_t a1, uint64_t a2, uint64_t a3);

/* In assembly: what a function has to preserve (AAPCS64), to SP and back. */
#define PUSH_PRESERVED \
    "    stp x29, x30, [sp, #-96]!\n" \
    "    stp x27, x28, [sp, #16]\n" \
    "    stp x25, x26, [sp, #32]\n" \
    "    stp x23, x24, [sp, #48]\n" \
    "    stp x21, x22, [sp, #64]\n" \
    "    stp x19, x20, [sp, #80]\n"
#define POP_PRESERVED \
    "    ldp x27, x28, [sp, #16]\n" \
    "    ldp x25, x26, [sp, #32]\n" \
    "    ldp x23, x24, [sp, #48]\n" \
    "    ldp x21, x22, [sp, #64]\n" \
    "    ldp x19, x20, [sp, #80]\n" \
    "    ldp x29, x30, [sp], #96\n"

/* ---- Accesses that may fault, by virtual address ---- */

struct fault try_read(uint64_t va, uint64_t *value);
struct fault try_write(uint64_t va, uint64_t value);
struct fault try_fetch(uint64_t va);
/* Any exceptions that @function meets, the last one; its instruction is left
   out.  Only on the calling CPU. */
struct fault try_call(void (*function)(void *), void *arg);

/* ---- Translation ---- */

/*
 * The identity map has 1 GiB entries: devices and RAM.  Any other entry of
 * this table of 39-bit addresses is free for tests (level 1).
 */
extern uint64_t host_table[512];
#define MAP_TABLE       3ul
#define MAP_BLOCK       (1ul | 3ul << 8 | 1ul << 10)
#define MAP_PAGE        (MAP_BLOCK | 2)
#define MAP_DEVICE      (1ul | 1ul << 2 | 1ul << 10 | 3ul << 53)
void tlb_flush_el2(void);
/* The end of RAM, found by looking before host_main(). */
uint64_t ram_top(void);

/* ---- The host's own EL1 ---- */

/*
 * Calls @function(@arg) at EL1, with the MMU as SCTLR_EL1 and so on say, and a
 * stack of its own.  What it returns, or the fault that it met at EL1.
 */
struct el1_result {
    uint64_t value;
    struct fault fault;
};
struct el1_result run_at_el1(uint64_t (*function)(uint64_t), uint64_t arg);
/*
 * Likewise AArch32, MMU off, without HCR_EL2.E2H: eight words of vectors, which
 * @code begins with, then what is run with @arg in R0, up to its HVC #0.  A
 * vector that makes HVC #1 tells DFSR as ESR.
 */
struct el1_result run_at_a32_el1(const uint32_t *code, uint64_t arg);

/* ---- GIC and timers (gic.c) ---- */

#define SGI_WAKE        15
#define PPI_VIRT_MAINT  25
#define PPI_HYP_TIMER   26
#define PPI_VIRT_TIMER  27
#define PPI_PHYS_TIMER  30
#define PPI_PMU         23

void gic_init(void);
void gic_init_cpu(void);
void gic_enable(unsigned intid);
void gic_disable(unsigned intid);
bool gic_pending(unsigned intid);
void gic_send_sgi(unsigned intid, unsigned cpu);
/* Acknowledges and ends an interrupt; 1023 if there is none. */
unsigned gic_take(void);
unsigned gic_list_registers(void);

uint64_t ticks(void);
uint64_t ticks_of_ms(unsigned ms);
void delay_ms(unsigned ms);
/* The EL2 timer, whose interrupt ends what runs at EL1 */
void alarm_set(unsigned ms);
bool alarm_rang(void);
void alarm_off(void);

/* ---- Parameters (fwcfg.c) ---- */

/*
 * -fw_cfg name=opt/host/NAME,string=TEXT.  Returns the length of the file,
 * 0 if there is none; at most @size bytes are read.
 */
size_t parameter(const char *name, void *buffer, size_t size);
/*
 * DMA: what the device writes at @pa, and 16 bytes that it read there
 * (-device vmcoreinfo).  False if the device says that it could not.
 */
bool dma_write(uint64_t pa, size_t len);
bool dma_read(uint64_t pa, uint64_t to[2]);

/* ---- Memory ---- */

void *memset(void *to, int byte, size_t n);
void *memcpy(void *to, const void *from, size_t n);
int memcmp(const void *a, const void *b, size_t n);

#endif
