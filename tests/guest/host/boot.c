/*
 * The bare host: start, exceptions, CPUs, console (see host.h)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "host.h"

#define STACK 0x8000

#define PSCI_CPU_OFF    0x84000002u
#define PSCI_CPU_ON     0xC4000003u
#define PSCI_AFFINITY_INFO 0xC4000004u
#define PSCI_SYSTEM_OFF 0x84000008u

#define HCR_RW          (1ul << 31)
#define HCR_E2H         (1ul << 34)
#define HCR_APK         (1ul << 40)
#define HCR_API         (1ul << 41)
#define SCTLR_M         (1ul << 0)
#define SCTLR_C         (1ul << 2)
#define SCTLR_I         (1ul << 12)

struct cpu {
    volatile bool on;
    volatile unsigned expecting;        /* how many accesses that may fault */
    struct fault fault;
    void (*volatile function)(void *);
    void *arg;
    uint64_t el2_sp;            /* of the caller of run_at_el1 */
    struct el1_result el1;
    void *left[5];              /* for __builtin_longjmp */
};

uint8_t stacks[MAX_CPUS][STACK] __attribute__((aligned(16)));
uint8_t el1_stacks[MAX_CPUS][PAGE] __attribute__((aligned(16)));
uint64_t host_table[512] __attribute__((aligned(4096)));
static struct cpu cpus[MAX_CPUS];
static unsigned num_cpus = 1;
static bool e2h;
static uint64_t top;            /* of RAM */
static spinlock console;

/*
 * The first instruction is at the entry.  A secondary CPU has its number in
 * X0.
 */
asm(".section .start, \"ax\"\n"
    "    adrp x2, bss_start\n"
    "    adrp x3, bss_end\n"
    "1:  stp xzr, xzr, [x2], #16\n"
    "    cmp x2, x3\n"
    "    b.lo 1b\n"
    "    mov x0, #0\n"
    ".global secondary_start\n"
    "secondary_start:\n"
    "    adrp x1, stacks\n"
    "    add x1, x1, :lo12:stacks\n"
    "    add x2, x0, #1\n"
    "    lsl x2, x2, #15\n"
    "    add x1, x1, x2\n"
    "    mov sp, x1\n"
    "    bl host_entry\n"
    "    b .\n"
    ".previous\n");
_Static_assert(STACK == 1 << 15, "shift in the code above");

VECTORS("el2", "host_exception");

/*
 * EL1 of the host.  el1_enter(function, arg, stack, &cpu->el2_sp, a32); its HVC
 * comes back as el1_leave, with SP_EL2 as it was.  An exception at EL1 ends
 * the function: the vector tells EL2, by another number.  @a32: vectors of
 * AArch32, with code that is run in place of @function behind them.
 */
asm(".text\n"
    ".global el1_enter\n"
    "el1_enter:\n"
    PUSH_PRESERVED
    "    mov x5, sp\n"
    "    str x5, [x3]\n"
    "    msr sp_el1, x2\n"
    "    mov x6, x4\n"
    "    mrs x5, hcr_el2\n"
    "    adr x4, el1_vectors\n"
    "    tbnz x5, #34, 2f\n"
    "    msr vbar_el1, x4\n"
    "    b 3f\n"
    "2:  msr s3_5_c12_c0_0, x4\n"      /* VBAR_EL12 */
    "3:\n"
    "    mov x4, #0x3c5\n"
    "    msr spsr_el2, x4\n"
    "    adr x4, 1f\n"
    "    cbz x6, 4f\n"
    "    msr vbar_el1, x6\n"
    "    mov x4, #0x1d3\n"         /* SVC, all masked */
    "    msr spsr_el2, x4\n"
    "    add x4, x6, #0x20\n"
    "4:  msr elr_el2, x4\n"
    "    mov x19, x0\n"
    "    mov x0, x1\n"
    "    isb\n"
    "    eret\n"
    "1:  blr x19\n"
    "    hvc #0\n"
    ".global el1_leave\n"
    "el1_leave:\n"
    POP_PRESERVED
    "    ret\n"
    "    .balign 0x800\n"
    "el1_vectors:\n"
    "    .rept 16\n"
    "    .balign 0x80\n"
    "    hvc #1\n"
    "    .endr\n"
    "    .balign 0x80\n");

WITH_REGS(smc_regs, "smc #0", "", "");
WITH_REGS(smc_regs_v, "smc #0", LOAD_V, STORE_V);

extern char vectors[], secondary_start[], el1_leave[];
extern const char code_start[], code_end[];
uint64_t el1_enter(uint64_t (*function)(uint64_t), uint64_t arg,
                   void *stack, uint64_t *el2_sp, const uint32_t *a32);
void host_entry(unsigned index);
void host_exception(unsigned vector, struct frame *frame);

/* ---- Memory ---- */

/* The compiler calls these three, whether we do or not. */
#pragma GCC optimize ("no-tree-loop-distribute-patterns")

void *memset(void *to, int byte, size_t n)
{
    uint64_t word = (uint8_t)byte * 0x0101010101010101ul;
    uint8_t *p = to;

    for (; n && ((uintptr_t)p & 7); n--) {
        *p++ = byte;
    }
    for (; n >= 8; n -= 8, p += 8) {
        *(uint64_t *)p = word;
    }
    while (n--) {
        *p++ = byte;
    }
    return to;
}

void *memcpy(void *to, const void *from, size_t n)
{
    uint8_t *p = to;
    const uint8_t *q = from;

    if ((((uintptr_t)p | (uintptr_t)q) & 7) == 0) {
        for (; n >= 8; n -= 8, p += 8, q += 8) {
            *(uint64_t *)p = *(const uint64_t *)q;
        }
    }
    while (n--) {
        *p++ = *q++;
    }
    return to;
}

int memcmp(const void *a, const void *b, size_t n)
{
    const uint8_t *p = a, *q = b;

    for (; n; n--, p++, q++) {
        if (*p != *q) {
            return *p - *q;
        }
    }
    return 0;
}

/* ---- Console and end ---- */

void print(const char *text)
{
    while (*text) {
        *(volatile uint32_t *)UART = *text++;
    }
}

void print_hex(uint64_t value)
{
    char text[19] = "0x", *at = text + 2;
    int shift = 60;

    while (shift && !(value >> shift)) {
        shift -= 4;
    }
    for (; shift >= 0; shift -= 4) {
        *at++ = "0123456789abcdef"[value >> shift & 15];
    }
    *at = 0;
    print(text);
}

void print_number(uint64_t value)
{
    char text[21], *at = text + 20;

    *at = 0;
    do {
        *--at = '0' + value % 10;
        value /= 10;
    } while (value);
    print(at);
}

void power_off(void)
{
    smc(PSCI_SYSTEM_OFF, 0, 0, 0);
    for (;;) {
        asm volatile("wfi");
    }
}

void panic(const char *why, uint64_t value)
{
    spin_lock(&console);
    print("\nhost: panic on CPU ");
    print_number(cpu_index());
    print(": ");
    print(why);
    print(" ");
    print_hex(value);
    print("\n");
    power_off();
}

/* ---- Calls ---- */

uint64_t smc(uint64_t fid, uint64_t a1, uint64_t a2, uint64_t a3)
{
    struct regs regs = { .x = { fid, a1, a2, a3 } };

    smc_regs(&regs);
    return regs.x[0];
}

/* ---- Exceptions ---- */

static struct cpu *this_cpu(void)
{
    return &cpus[cpu_index()];
}

static void leave_el1(struct cpu *cpu, struct frame *frame)
{
    uint64_t esr = READ(esr_el2);
    bool hvc = ESR_EC(esr) == EC_HVC || ESR_EC(esr) == EC_HVC_A32;

    cpu->el1 = (struct el1_result) { .value = frame->x[0] };
    if (hvc && (esr & 0xffff) == 1) {
        cpu->el1.fault = (struct fault) {
            EL1_READ(esr_el1, s3_5_c5_c2_0), EL1_READ(far_el1, s3_5_c6_c0_0),
            0, EL1_READ(elr_el1, s3_5_c4_c0_1)
        };
    } else if (!hvc) {
        cpu->el1.fault = (struct fault) {
            esr, READ(far_el2), READ(hpfar_el2), frame->elr
        };
    }
    frame->elr = (uint64_t)el1_leave;
    frame->spsr = 0x3c9;
}

static void record(struct cpu *cpu, struct frame *frame)
{
    uint64_t esr = READ(esr_el2);

    cpu->fault = (struct fault) {
        esr, READ(far_el2), READ(hpfar_el2), frame->elr
    };
    if (ESR_EC(esr) == EC_FETCH_SAME) {
        frame->elr = frame->x[30];
    } else {
        frame->elr += 4;
    }
}

static void unexpected(unsigned vector, const struct frame *frame)
{
    print("\nhost: vector ");
    print_number(vector);
    print(", ESR ");
    print_hex(READ(esr_el2));
    print(", FAR ");
    print_hex(READ(far_el2));
    print(", X30 ");
    print_hex(frame->x[30]);
    print(", SP ");
    print_hex((uint64_t)frame);
    panic("exception at", frame->elr);
}

/* Vector 4: from EL2, synchronous; 8: from EL1, likewise. */
void host_exception(unsigned vector, struct frame *frame)
{
    struct cpu *cpu = this_cpu();

    if (vector == 4 && cpu->expecting) {
        record(cpu, frame);
    } else if (vector >= 8 && cpu->el2_sp) {
        leave_el1(cpu, frame);
    } else {
        unexpected(vector, frame);
    }
}

static struct cpu *begin(void)
{
    struct cpu *cpu = this_cpu();

    cpu->fault = (struct fault) { 0 };
    cpu->expecting++;
    return cpu;
}

static struct fault end(struct cpu *cpu)
{
    asm volatile("dsb sy" : : : "memory");
    cpu->expecting--;
    return cpu->fault;
}

struct fault try_read(uint64_t va, uint64_t *value)
{
    struct cpu *cpu = begin();
    uint64_t read = 0;

    asm volatile("ldr %0, [%1]" : "+r"(read) : "r"(va) : "memory");
    if (value) {
        *value = read;
    }
    return end(cpu);
}

struct fault try_write(uint64_t va, uint64_t value)
{
    struct cpu *cpu = begin();

    asm volatile("str %0, [%1]" : : "r"(value), "r"(va) : "memory");
    return end(cpu);
}

struct fault try_fetch(uint64_t va)
{
    struct cpu *cpu = begin();

    ((void (*)(void))va)();
    return end(cpu);
}

struct fault try_call(void (*function)(void *), void *arg)
{
    struct cpu *cpu = begin();

    function(arg);
    return end(cpu);
}

static struct el1_result run(uint64_t (*function)(uint64_t), uint64_t arg,
                             const uint32_t *a32)
{
    struct cpu *cpu = this_cpu();

    el1_enter(function, arg, el1_stacks[cpu_index()] + PAGE, &cpu->el2_sp, a32);
    cpu->el2_sp = 0;
    return cpu->el1;
}

struct el1_result run_at_el1(uint64_t (*function)(uint64_t), uint64_t arg)
{
    return run(function, arg, NULL);
}

#define HCR_RW  (1ul << 31)

struct el1_result run_at_a32_el1(const uint32_t *code, uint64_t arg)
{
    uint64_t hcr = READ(hcr_el2);
    struct el1_result result;

    WRITE(hcr_el2, hcr & ~HCR_RW);
    result = run(NULL, arg, code);
    WRITE(hcr_el2, hcr);
    return result;
}

/* ---- Translation ---- */

void tlb_flush_el2(void)
{
    asm volatile("dsb sy\n tlbi alle2is\n dsb sy\n isb" : : : "memory");
}

static void mmu_on(void)
{
    /* 39 bits, 4 KiB granules, write-back, inner shareable, 48 bits of PA */
    const uint64_t tcr = 25 | 1 << 8 | 1 << 10 | 3 << 12;
    const uint64_t e2h_tcr = 1 << 23 | 5ul << 32;       /* EPD1, IPS */
    const uint64_t el2_tcr = 1ul << 31 | 1 << 23 | 5 << 16;     /* RES1, PS */

    WRITE(mair_el2, 0xff | 0x04 << 8);
    WRITE(tcr_el2, tcr | (e2h ? e2h_tcr : el2_tcr));
    WRITE(ttbr0_el2, host_table);
    asm volatile("tlbi alle2\n dsb sy\n isb" : : : "memory");
    WRITE(sctlr_el2, READ(sctlr_el2) | SCTLR_M | SCTLR_C | SCTLR_I);
}

static void make_map(void)
{
    host_table[0] = MAP_DEVICE;
    for (uint64_t n = 1; n < 8; n++) {
        host_table[n] = n * GIB | MAP_BLOCK;
    }
}

/*
 * While there is no other CPU, which would see a top that is not found yet,
 * and no call was made: a delegated page looks like the end of RAM.
 */
static void find_ram_top(void)
{
    for (top = POOL; top < 8 * GIB && !try_read(top, NULL).esr;
         top += GIB / 8) {
    }
}

uint64_t ram_top(void)
{
    return top;
}

/* ---- CPUs ---- */

unsigned cpu_index(void)
{
    uint64_t mpidr = READ(mpidr_el1);

    return (mpidr & 15) | (mpidr >> 8 & 1) << 4;
}

unsigned cpu_count(void)
{
    return num_cpus;
}

void spin_lock(spinlock *lock)
{
    uint32_t seen, failed;

    asm volatile("1: ldaxr %w0, [%2]\n"
                 "   cbnz %w0, 2f\n"
                 "   stxr %w1, %w3, [%2]\n"
                 "   cbz %w1, 3f\n"
                 "2: yield\n"
                 "   b 1b\n"
                 "3:\n"
                 : "=&r"(seen), "=&r"(failed) : "r"(lock), "r"(1)
                 : "memory");
}

void spin_unlock(spinlock *lock)
{
    asm volatile("stlr wzr, [%0]" : : "r"(lock) : "memory");
}

/* FP and vectors are not trapped: E2H inverts the bits. */
uint64_t host_cptr(void)
{
    return e2h ? 3 << 20 | 3 << 16 | 3 << 24 : 0x22ff;
}

bool host_has_e2h(void)
{
    return e2h;
}

/* Nothing of EL2 that reset leaves unknown matters to what runs here. */
static void set_up_el2(void)
{
    WRITE(vbar_el2, vectors);
    WRITE(hcr_el2, HCR_RW | HCR_APK | HCR_API | (e2h ? HCR_E2H : 0));
    WRITE(cptr_el2, host_cptr());
    WRITE(mdcr_el2, READ(pmcr_el0) >> 11 & 31);
    WRITE(cnthctl_el2, e2h ? 3 << 10 | 3 : 3);
    WRITE(cntvoff_el2, 0);
    WRITE(vpidr_el2, READ(midr_el1));
    WRITE(vmpidr_el2, READ(mpidr_el1));
    WRITE(hstr_el2, 0);
    if (has_sve()) {
        WRITE(ZCR_EL2, 15);
    }
}

void cpu_call(void (*function)(void *), void *arg)
{
    if (__builtin_setjmp(this_cpu()->left) == 0) {
        function(arg);
    }
}

void cpu_leave(void)
{
    __builtin_longjmp(this_cpu()->left, 1);
}

static void work(struct cpu *cpu)
{
    for (;;) {
        while (!cpu->function) {
            asm volatile("wfi");
            gic_take();
        }
        cpu_call(cpu->function, cpu->arg);
        asm volatile("dmb sy" : : : "memory");
        cpu->function = NULL;
        asm volatile("dsb sy" : : : "memory");
        gic_send_sgi(SGI_WAKE, 0);
    }
}

void host_entry(unsigned index)
{
    uint64_t el = READ(currentel) >> 2;

    if (el != 2) {
        print("host: this program starts at EL2 and is at EL");
        print_number(el);
        print("; use -M virt,rmm=on or virtualization=on\n");
        power_off();
    }
    if (index == 0) {
        char text[2];

        e2h = parameter("e2h", text, sizeof(text));
        make_map();
    }
    set_up_el2();
    mmu_on();
    if (index == 0) {
        find_ram_top();
        gic_init();
    }
    gic_init_cpu();
    gic_enable(SGI_WAKE);
    cpus[index].on = true;
    if (index == 0) {
        host_main();
        power_off();
    }
    work(&cpus[index]);
}

static bool turn_on(unsigned n)
{
    if (smc(PSCI_CPU_ON, n, (uint64_t)secondary_start, n) != 0) {
        return false;
    }
    while (!cpus[n].on) {
        asm volatile("yield" : : : "memory");
    }
    return true;
}

unsigned cpus_on(void)
{
    while (num_cpus < MAX_CPUS && turn_on(num_cpus)) {
        num_cpus++;
    }
    return num_cpus;
}

static void turn_off(void *arg)
{
    struct cpu *cpu = arg;

    cpu->on = false;
    cpu->function = NULL;
    asm volatile("dsb sy" : : : "memory");
    smc(PSCI_CPU_OFF, 0, 0, 0);
    panic("CPU_OFF came back", 0);
}

void cpu_off_and_on(unsigned n)
{
    cpu_start(n, turn_off, &cpus[n]);
    while (smc(PSCI_AFFINITY_INFO, n, 0, 0) != 1) {
        asm volatile("yield" : : : "memory");
    }
    if (!turn_on(n)) {
        panic("CPU_ON refuses CPU", n);
    }
}

bool cpu_busy(unsigned n)
{
    return cpus[n].function != NULL;
}

void cpu_start(unsigned n, void (*function)(void *), void *arg)
{
    if (n == 0 || n >= num_cpus || cpu_busy(n)) {
        panic("no CPU to start something on:", n);
    }
    cpus[n].arg = arg;
    asm volatile("dmb sy" : : : "memory");
    cpus[n].function = function;
    asm volatile("dsb sy" : : : "memory");
    gic_send_sgi(SGI_WAKE, n);
}

void cpu_wait(unsigned n)
{
    while (cpu_busy(n)) {
        asm volatile("wfi");
        gic_take();
    }
    asm volatile("dmb sy" : : : "memory");
}

void cpu_run(unsigned n, void (*function)(void *), void *arg)
{
    if (n == cpu_index()) {
        function(arg);
    } else {
        cpu_start(n, function, arg);
        cpu_wait(n);
    }
}
