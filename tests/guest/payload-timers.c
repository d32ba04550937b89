/*
 * A guest without an operating system, or a Realm, whose timers are moved.
 *
 * Loaded by -kernel, as many vCPUs as there are states.  In each round every
 * vCPU brings both timers of its EL1 into another of these states:
 *
 *     far      armed, due long after the others
 *     due      armed, due soon
 *     overdue  due, and its interrupt not taken yet: PSTATE.I is set
 *     masked   as due, but CNTx_CTL.IMASK is set
 *     wfit     off; the vCPU waits in WFIT until soon, with PSTATE.I set
 *
 * Where the first two are, the vCPU waits in WFI for their interrupts.  The
 * test moves the guest then.  The vCPU that is overdue has the console: it
 * tells who is woken, and when the test says that the guest has arrived, all
 * go on.  Each timer's interrupt has to come once, and not
 * before CVAL; no register may have changed; and the counters, seen from all
 * vCPUs, never go back (Arm ARM DDI 0487, D12).
 *
 * Console, input: "RS\n", two digits, begins a round: a vCPU's state is its
 * number plus R, and "soon" is 250 ms times 2 to the power of S; "\n" ends
 * the wait.  Output:
 *     ready
 *     armed COUNTER FREQUENCY
 *     woken CPU STATE
 *     arrived COUNTER FREQUENCY
 *     done
 *     FAIL CPU STATE WHAT
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "payload.h"

#define CPUS            5
#define PHYSICAL_PPI    30
#define RSI_VERSION     0xC4000190u
#define PSCI_CPU_ON     0xC4000003u
#define ENABLE          1ul             /* in CNTx_CTL */
#define IMASK           2ul
#define ISTATUS         4ul

enum { VIRTUAL, PHYSICAL, TIMERS };
typedef enum State { FAR, DUE, OVERDUE, MASKED, WFIT, STATES } State;

typedef struct Cpu {
    unsigned number;
    volatile State state;
    volatile uint64_t cval;             /* of both timers */
    volatile unsigned came[TIMERS];     /* interrupts, in this round */
    const char *volatile failed;        /* what */
} Cpu;

static const char *const state_names[STATES] = {
    "far", "due", "overdue", "masked", "wfit"
};

uint8_t stacks[CPUS][0x1000] __attribute__((aligned(16)));
static Cpu cpus[CPUS];
static volatile unsigned rounds, rounds_over, soon_exponent, rotation;
/* In this round */
static volatile bool armed[CPUS], done[CPUS], arrived;
static volatile uint64_t latest;        /* counter that some vCPU has seen */
static bool realm;

/*
 * The entry, of a vCPU whose number is X0.  Every exception but an interrupt
 * is a defect, and silent, but for the SMC of a guest that is no Realm:
 * execution goes on behind it.
 */
asm(".section .start, \"ax\"\n"
    "    mov x0, #0\n"
    ".global start_cpu\n"
    "start_cpu:\n"
    "    adrp x1, stacks\n"
    "    add x1, x1, :lo12:stacks\n"
    "    add x2, x0, #1\n"
    "    add x1, x1, x2, lsl #12\n"
    "    mov sp, x1\n"
    "    adrp x1, vectors\n"
    "    add x1, x1, :lo12:vectors\n"
    "    msr vbar_el1, x1\n"
    "    isb\n"
    "    bl run\n"
    "    .balign 0x800\n"
    "vectors:\n"
    "    .org vectors + 0x200\n"        /* synchronous */
    "    str x1, [sp, #-16]!\n"
    "    mrs x1, esr_el1\n"
    "    lsr x1, x1, #26\n"
    "    cbnz x1, .\n"                  /* not of the unknown class */
    "    mrs x1, elr_el1\n"
    "    add x1, x1, #4\n"
    "    msr elr_el1, x1\n"
    "    ldr x1, [sp], #16\n"
    "    eret\n"
    "    .org vectors + 0x280\n"        /* interrupt */
    "    stp x0, x1, [sp, #-176]!\n"
    "    stp x2, x3, [sp, #16]\n"
    "    stp x4, x5, [sp, #32]\n"
    "    stp x6, x7, [sp, #48]\n"
    "    stp x8, x9, [sp, #64]\n"
    "    stp x10, x11, [sp, #80]\n"
    "    stp x12, x13, [sp, #96]\n"
    "    stp x14, x15, [sp, #112]\n"
    "    stp x16, x17, [sp, #128]\n"
    "    stp x18, x29, [sp, #144]\n"
    "    str x30, [sp, #160]\n"
    "    bl interrupt\n"
    "    ldp x2, x3, [sp, #16]\n"
    "    ldp x4, x5, [sp, #32]\n"
    "    ldp x6, x7, [sp, #48]\n"
    "    ldp x8, x9, [sp, #64]\n"
    "    ldp x10, x11, [sp, #80]\n"
    "    ldp x12, x13, [sp, #96]\n"
    "    ldp x14, x15, [sp, #112]\n"
    "    ldp x16, x17, [sp, #128]\n"
    "    ldp x18, x29, [sp, #144]\n"
    "    ldr x30, [sp, #160]\n"
    "    ldp x0, x1, [sp], #176\n"
    "    eret\n"
    "    .org vectors + 0x800\n"
    "    .previous\n");

extern char start_cpu[];

static void barrier(void)
{
    asm volatile("dmb ish" : : : "memory");
}

/* ---- Calls ---- */

/* Behind an SMC that does not exist, X0 is as before. */
static bool is_realm(void)
{
    register uint64_t x0 asm("x0") = RSI_VERSION;
    register uint64_t x1 asm("x1") = 0x10000;

    asm volatile("smc #0" : "+r"(x0), "+r"(x1)
                 : : "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10",
                 "x11", "x12", "x13", "x14", "x15", "x16", "x17", "memory");
    return x0 == 0;
}

static void cpu_on(unsigned number)
{
    register uint64_t x0 asm("x0") = PSCI_CPU_ON;
    register uint64_t x1 asm("x1") = number;
    register uint64_t x2 asm("x2") = (uint64_t)start_cpu;
    register uint64_t x3 asm("x3") = number;

    if (realm) {
        asm volatile("smc #0" : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3)
                     : : "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11",
                     "x12", "x13", "x14", "x15", "x16", "x17", "memory");
    } else {
        asm volatile("hvc #0" : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3)
                     : : "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11",
                     "x12", "x13", "x14", "x15", "x16", "x17", "memory");
    }
}

/* ---- Counters and timers ---- */

static void check(Cpu *c, bool ok, const char *what)
{
    if (!ok && !c->failed) {
        c->failed = what;
    }
}

/*
 * The time.  Both counters are one here: CNTVOFF is zero in a Realm (RMM 1.0,
 * A6.2), and in a guest of a machine without EL2.
 */
static uint64_t now(Cpu *c)
{
    uint64_t before = latest, virtual, physical, again;

    barrier();
    asm volatile("isb" : : : "memory");
    virtual = READ(cntvct_el0);
    asm volatile("isb" : : : "memory");
    physical = READ(cntpct_el0);
    asm volatile("isb" : : : "memory");
    again = READ(cntvct_el0);
    check(c, before <= virtual && virtual <= physical && physical <= again,
          "a counter has gone back");
    latest = again;
    return again;
}

static uint64_t read_ctl(unsigned timer)
{
    return timer == VIRTUAL ? READ(cntv_ctl_el0) : READ(cntp_ctl_el0);
}

static uint64_t read_cval(unsigned timer)
{
    return timer == VIRTUAL ? READ(cntv_cval_el0) : READ(cntp_cval_el0);
}

static void write_ctl(unsigned timer, uint64_t ctl)
{
    if (timer == VIRTUAL) {
        WRITE(cntv_ctl_el0, ctl);
    } else {
        WRITE(cntp_ctl_el0, ctl);
    }
}

static void arm(Cpu *c, uint64_t ctl)
{
    WRITE(cntv_cval_el0, c->cval);
    WRITE(cntp_cval_el0, c->cval);
    write_ctl(VIRTUAL, ctl);
    write_ctl(PHYSICAL, ctl);
}

/*
 * Both timers are as they were armed; ISTATUS says whether it is time, or
 * soon does: under TCG it is set by another thread.
 */
static void check_timers(Cpu *c, uint64_t ctl)
{
    for (unsigned timer = 0; timer < TIMERS; timer++) {
        uint64_t before = now(c), found, after;

        do {
            found = read_ctl(timer);
            after = now(c);
        } while (before >= c->cval && !(found & ISTATUS));
        check(c, read_cval(timer) == c->cval, "CVAL has changed");
        check(c, (found & ~ISTATUS) == ctl, "CTL has changed");
        check(c, after >= c->cval || !(found & ISTATUS), "ISTATUS is set");
    }
}

static void spin_until(Cpu *c, uint64_t time)
{
    while (now(c) < time) {
        asm volatile("yield");
    }
}

static Cpu *this_cpu(void)
{
    return &cpus[READ(mpidr_el1) & 0xff];
}

void interrupt(void)
{
    Cpu *c = this_cpu();
    uint64_t number = READ(s3_0_c12_c12_0);     /* ICC_IAR1_EL1 */
    unsigned timer = number == VIRTUAL_PPI ? VIRTUAL : PHYSICAL;

    check(c, number == VIRTUAL_PPI || number == PHYSICAL_PPI,
          "an interrupt of no timer");
    check(c, now(c) >= c->cval, "an interrupt before its time");
    check(c, read_cval(timer) == c->cval &&
          read_ctl(timer) == (ENABLE | ISTATUS), "a timer has changed");
    write_ctl(timer, ENABLE | IMASK);
    WRITE(s3_0_c12_c12_1, number);              /* ICC_EOIR1_EL1 */
    c->came[timer]++;
    barrier();
}

static void take_interrupts(void)
{
    asm volatile("msr daifclr, #2\n isb\n msr daifset, #2" : : : "memory");
}

/* Nothing but the two interrupts ends this. */
static void wait_for_interrupts(Cpu *c)
{
    while (!c->came[VIRTUAL] || !c->came[PHYSICAL]) {
        asm volatile("wfi" : : : "memory");
        take_interrupts();
        now(c);
    }
    check(c, c->came[VIRTUAL] == 1 && c->came[PHYSICAL] == 1,
          "an interrupt came twice");
}

static void check_no_interrupt(Cpu *c, const char *what)
{
    take_interrupts();
    check(c, !c->came[VIRTUAL] && !c->came[PHYSICAL], what);
}

/* ---- The console ---- */

static char read_char(void)
{
    while (*device(UART + 0x18) & 1 << 4) {
    }
    return *device(UART);
}

static void print_time(const char *what, Cpu *c)
{
    print_number(what, now(c));
    print_number(" ", READ(cntfrq_el0));
    print("\n");
}

static void print_cpu(const char *what, unsigned n, const char *more)
{
    print_number(what, n);
    print(" ");
    print(state_names[cpus[n].state]);
    print(more);
}

static bool all(volatile bool *of_cpus)
{
    for (unsigned n = 0; n < CPUS; n++) {
        if (!of_cpus[n]) {
            return false;
        }
    }
    barrier();
    return true;
}

static bool was_woken(unsigned n)
{
    return cpus[n].state == WFIT ? done[n]
                                 : cpus[n].came[VIRTUAL] ||
                                   cpus[n].came[PHYSICAL];
}

/* Tells who has been woken, each once, until the test says something. */
static void watch(void)
{
    uint32_t told = 0;

    while (*device(UART + 0x18) & 1 << 4) {
        for (unsigned n = 0; n < CPUS; n++) {
            if (was_woken(n) && !(told & 1u << n)) {
                told |= 1u << n;
                print_cpu("woken ", n, "\n");
            }
        }
    }
    (void)read_char();
}

/* ---- A round ---- */

static void be_far_or_due(Cpu *c)
{
    arm(c, ENABLE);
    check_timers(c, ENABLE);
    armed[c->number] = true;
    wait_for_interrupts(c);
    done[c->number] = true;
}

static void be_masked(Cpu *c)
{
    arm(c, ENABLE | IMASK);
    check_timers(c, ENABLE | IMASK);
    armed[c->number] = true;
    while (!arrived) {
        check_no_interrupt(c, "an interrupt that is masked");
        now(c);
    }
    spin_until(c, c->cval);
    check_timers(c, ENABLE | IMASK);
    check_no_interrupt(c, "an interrupt that is masked");
    write_ctl(VIRTUAL, ENABLE);
    write_ctl(PHYSICAL, ENABLE);
    wait_for_interrupts(c);
    done[c->number] = true;
}

static void be_in_wfit(Cpu *c)
{
    armed[c->number] = true;
    if ((READ(s3_0_c0_c6_2) & 15) == 2) {       /* ID_AA64ISAR2_EL1.WFxT */
        asm volatile("msr s0_3_c1_c0_1, %0" : : "r"(c->cval) : "memory");
        check(c, now(c) >= c->cval, "WFIT has ended early");
    }
    for (unsigned timer = 0; timer < TIMERS; timer++) {
        check(c, read_ctl(timer) == 0, "CTL has changed");
    }
    done[c->number] = true;
}

static void tell_failures(void)
{
    for (unsigned n = 0; n < CPUS; n++) {
        if (cpus[n].failed) {
            print_cpu("FAIL ", n, " ");
            print(cpus[n].failed);
            print("\n");
        }
    }
}

/* This one has the console. */
static void be_overdue(Cpu *c)
{
    arm(c, ENABLE);
    check_timers(c, ENABLE);
    armed[c->number] = true;
    while (!all(armed)) {
    }
    print_time("armed ", c);
    watch();
    print_time("arrived ", c);
    check_timers(c, ENABLE);
    arrived = true;
    barrier();
    wait_for_interrupts(c);
    done[c->number] = true;
    while (!all(done)) {
    }
    tell_failures();
    print("done\n");
    rounds_over = rounds;
}

static void be(Cpu *c)
{
    uint64_t soon = (READ(cntfrq_el0) / 4) << soon_exponent, time = now(c);

    c->came[VIRTUAL] = c->came[PHYSICAL] = 0;
    c->state = (c->number + rotation) % STATES;
    c->cval = time + soon + (c->state == FAR ? READ(cntfrq_el0) : 0);
    barrier();
    switch (c->state) {
    case FAR:
    case DUE:
        be_far_or_due(c);
        break;
    case OVERDUE:
        c->cval = time;
        be_overdue(c);
        break;
    case MASKED:
        be_masked(c);
        break;
    default:
        be_in_wfit(c);
    }
    write_ctl(VIRTUAL, 0);
    write_ctl(PHYSICAL, 0);
}

/* ---- All rounds ---- */

/* Until the round is over, the vCPU that is overdue has the console. */
static void read_command(void)
{
    while (rounds_over != rounds) {
        asm volatile("yield");
    }
    rotation = read_char() - '0';
    soon_exponent = read_char() - '0';
    read_char();
    for (unsigned n = 0; n < CPUS; n++) {
        armed[n] = done[n] = false;
    }
    arrived = false;
    barrier();
    rounds++;
}

void run(unsigned number)
{
    Cpu *c = &cpus[number];

    c->number = number;
    if (number == 0) {
        realm = is_realm();
        map(realm ? realm_shared_bit() : 0);
    }
    mmu_on((READ(id_aa64pfr1_el1) >> 8 & 15) >= 2);
    interrupts_on(number, 1u << VIRTUAL_PPI | 1u << PHYSICAL_PPI);
    if (number == 0) {
        for (unsigned n = 1; n < CPUS; n++) {
            cpu_on(n);
        }
        print("ready\n");
    }
    for (unsigned round = 1; ; round++) {
        if (number == 0) {
            read_command();
        }
        while (rounds != round) {
            asm volatile("yield");
        }
        barrier();
        be(c);
    }
}
