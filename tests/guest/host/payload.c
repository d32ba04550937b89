/*
 * The program in the bare host's Realms: it does what the host asks for
 * (realm-abi.h)
 *
 * MMU off: an address is an IPA.  Its RECs run it at once, each with a stack
 * and a record of its own; MPIDR_EL1 says which.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "../../../target/arm/rmm/rmm-abi.h"
#include "realm-abi.h"
#include "sve.h"
#include "sys.h"

#define MAX_CODE 16

struct rec {
    RsiHostCall call __attribute__((aligned(256)));
    uint32_t code[MAX_CODE + 1] __attribute__((aligned(64)));
    uint64_t exceptions, esr, far, elr, spsr;
    uint64_t interrupts, intid, interrupt_flags;
};

uint8_t realm_stacks[REALM_MAX_RECS][PAGE] __attribute__((aligned(16)));
static struct rec recs[REALM_MAX_RECS];

asm(".section .start, \"ax\"\n"
    "    mrs x8, mpidr_el1\n"
    "    and x8, x8, #15\n"
    "    adrp x9, realm_stacks\n"
    "    add x9, x9, :lo12:realm_stacks\n"
    "    add x10, x8, #1\n"
    "    add x9, x9, x10, lsl #12\n"
    "    mov sp, x9\n"
    "    adrp x9, vectors\n"
    "    add x9, x9, :lo12:vectors\n"
    "    msr vbar_el1, x9\n"
    "    isb\n"
    "    bl realm_entry\n"
    "    b .\n"
    ".previous\n");
VECTORS("el1", "realm_exception");

/* The instruction is written over. */
WITH_REGS(with_regs, "nop", LOAD_V, STORE_V);
void with_regs(struct regs *regs);
extern uint32_t with_regs_instruction[];
WITH_SVE(with_sve, "nop");
void with_sve(struct sve_regs *regs);
extern uint32_t with_sve_instruction[];

void realm_entry(uint64_t x0, uint64_t x1, uint64_t x2, uint64_t x3);
void realm_exception(unsigned vector, struct frame *frame);

/* The compiler calls these, whether we do or not. */
#pragma GCC optimize ("no-tree-loop-distribute-patterns")

void *memset(void *to, int byte, size_t n)
{
    for (uint8_t *p = to; n; n--) {
        *p++ = byte;
    }
    return to;
}

void *memcpy(void *to, const void *from, size_t n)
{
    const uint8_t *q = from;

    for (uint8_t *p = to; n; n--) {
        *p++ = *q++;
    }
    return to;
}

static struct rec *this_rec(void)
{
    return &recs[READ(mpidr_el1) & 15];
}

static void host_call(struct rec *rec, unsigned imm)
{
    register uint64_t x0 asm("x0") = RSI_HOST_CALL;
    register uint64_t x1 asm("x1") = (uint64_t)&rec->call;

    rec->call.imm = imm;
    asm volatile("smc #0" : "+r"(x0), "+r"(x1)
                 : : "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10",
                 "x11", "x12", "x13", "x14", "x15", "x16", "x17", "memory");
}

/* ---- Exceptions ---- */

static void interrupt(struct rec *rec)
{
    uint64_t intid = READ(ICC_IAR1) & 0xffffff;

    rec->interrupts++;
    rec->intid = intid;
    if ((intid < 1020 || intid >= 8192) && !(rec->interrupt_flags & 1)) {
        WRITE(ICC_EOIR1, intid);
    }
}

static bool own_code(const struct rec *rec)
{
    return rec->elr - (uint64_t)rec->code < sizeof(rec->code);
}

/*
 * Vector 4: synchronous, from EL1; 5: IRQ; 8: synchronous, from EL0, which ends
 * what was executed there.  What was called where there is no code ends there.
 */
void realm_exception(unsigned vector, struct frame *frame)
{
    struct rec *rec = this_rec();

    if (vector == 5) {
        interrupt(rec);
        return;
    }
    rec->exceptions++;
    rec->esr = READ(esr_el1);
    rec->far = READ(far_el1);
    rec->elr = frame->elr;
    rec->spsr = frame->spsr;
    if (vector >= 8) {
        frame->elr = frame->x[30];
        frame->spsr = 0x3c5;
    } else if (rec->esr >> 26 == 0x21 || (rec->esr >> 26 == 0 && !own_code(rec))) {
        frame->elr = frame->x[30];
    } else {
        frame->elr += 4;
    }
}

/* ---- Commands ---- */

static void new_code(void)
{
    asm volatile("dsb sy\n ic iallu\n dsb sy\n isb" : : : "memory");
}

static void execute(struct rec *rec)
{
    uint64_t *g = rec->call.gprs;
    unsigned n = g[1];
    register uint64_t x0 asm("x0") = g[10];
    register uint64_t x1 asm("x1") = g[11];
    register uint64_t x2 asm("x2") = g[12];
    register uint64_t x3 asm("x3") = g[13];
    register uint64_t x4 asm("x4") = g[14];
    register uint64_t x5 asm("x5") = g[15];
    register uint64_t x6 asm("x6") = g[16];
    register uint64_t x7 asm("x7") = g[17];
    register uint32_t *code asm("x16") = rec->code;

    memcpy(rec->code, g + 2, n * 4);
    rec->code[n] = 0xd65f03c0;          /* ret */
    rec->exceptions = rec->esr = rec->far = rec->elr = rec->spsr = 0;
    new_code();
    asm volatile("blr %8"
                 : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3), "+r"(x4),
                 "+r"(x5), "+r"(x6), "+r"(x7), "+r"(code)
                 : : "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15",
                 "x17", "x18", "x19", "x20", "x21", "x22", "x23", "x24",
                 "x25", "x26", "x27", "x28", "x30", "cc", "memory");
    g[0] = x0;
    g[1] = x1;
    g[2] = x2;
    g[3] = x3;
    g[4] = x4;
    g[5] = x5;
    g[6] = x6;
    g[7] = x7;
    g[8] = rec->exceptions;
    g[9] = rec->esr;
    g[10] = rec->far;
    g[11] = rec->exceptions ? rec->elr - (uint64_t)rec->code : 0;
    g[12] = rec->spsr;
    g[13] = rec->interrupts;
    g[14] = rec->intid;
    rec->interrupts = rec->intid = 0;
}

static void changed(uint64_t *bits, unsigned n, uint64_t before,
                    uint64_t after, uint64_t *g)
{
    if (before != after) {
        *bits |= 1ul << n;
        g[3] = before;
        g[4] = after;
    }
}

static void registers(struct rec *rec)
{
    uint64_t *g = rec->call.gprs, seed = g[1], may_change = g[3];
    uint64_t was[EL1_REGISTER_COUNT], before[EL1_REGISTER_COUNT];
    uint64_t after[EL1_REGISTER_COUNT];
    struct regs regs, loaded;

    *with_regs_instruction = g[2];
    new_code();
    memset(g, 0, 5 * sizeof(*g));
    regs_pattern(seed, &regs);
    loaded = regs;
    el1_registers_read(was, false);
    el1_registers_pattern(seed, before);
    el1_registers_write(before, false);
    el1_registers_read(before, false);         /* some bits are not there */
    with_regs(&regs);
    el1_registers_read(after, false);
    el1_registers_write(was, false);
    for (unsigned n = 0; n < 31; n++) {
        changed(&g[0], n, loaded.x[n], regs.x[n], g);
    }
    g[0] &= ~may_change;
    for (unsigned n = 0; n < 64; n++) {
        changed(&g[1], n / 2, loaded.v[n / 2][n % 2], regs.v[n / 2][n % 2],
                g);
    }
    changed(&g[1], 32, loaded.fpcr, regs.fpcr, g);
    changed(&g[1], 33, loaded.fpsr, regs.fpsr, g);
    for (unsigned n = 0; n < EL1_REGISTER_COUNT; n++) {
        changed(&g[2], n, before[n], after[n], g);
    }
}

static void vectors_of_sve(struct rec *rec)
{
    static struct sve_regs regs[2], loaded[2];
    unsigned n = (rec - recs) % 2;
    uint64_t *g = rec->call.gprs;

    *with_sve_instruction = g[2];
    new_code();
    sve_pattern(g[1], &regs[n]);
    loaded[n] = regs[n];
    with_sve(&regs[n]);
    sve_changed(&loaded[n], &regs[n], g);
}

static void fill(uint64_t *g)
{
    volatile uint64_t *word = (uint64_t *)g[1];

    for (uint64_t n = 0; n < g[2] / 8; n++) {
        word[n] = pattern(g[3], n);
    }
}

static void check(uint64_t *g)
{
    volatile uint64_t *word = (uint64_t *)g[1];

    g[0] = 0;
    for (uint64_t n = 0; n < g[2] / 8; n++) {
        g[0] += word[n] != pattern(g[3], n);
    }
}

static void spin(uint64_t *g)
{
    volatile uint64_t *word = (uint64_t *)g[1];
    uint64_t end = READ(cntvct_el0) + g[2], times = 0;

    if (g[3]) {
        *(volatile uint64_t *)g[3] = 1;
    }
    do {
        g[0] = *word;
        times++;
    } while (!g[0] && READ(cntvct_el0) < end);
    g[1] = times;
}

static void obey(struct rec *rec)
{
    uint64_t *g = rec->call.gprs;

    switch (g[0]) {
    case REALM_EXECUTE:
        execute(rec);
        break;
    case REALM_REGISTERS:
        registers(rec);
        break;
    case REALM_FILL:
        fill(g);
        break;
    case REALM_CHECK:
        check(g);
        break;
    case REALM_SPIN:
        spin(g);
        break;
    case REALM_VECTORS:
        vectors_of_sve(rec);
        break;
    case REALM_INTERRUPTS:
        rec->interrupt_flags = g[1];
        break;
    default:
        g[0] = -1ul;
        break;
    }
}

/* What the host gave X0 to X3 is in the first call's gprs. */
void realm_entry(uint64_t x0, uint64_t x1, uint64_t x2, uint64_t x3)
{
    struct rec *rec = this_rec();

    WRITE(cpacr_el1, 3 << 20 | (has_sve() ? 3 << 16 : 0));
    rec->call.gprs[0] = x0;
    rec->call.gprs[1] = x1;
    rec->call.gprs[2] = x2;
    rec->call.gprs[3] = x3;
    host_call(rec, REALM_READY);
    for (;;) {
        obey(rec);
        host_call(rec, REALM_DONE);
    }
}
