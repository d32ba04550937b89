/*
 * The bare host that makes the calls of a script (tests/host/replay), each case
 * of it after a reset of the machine
 *
 * The script is at SCRIPT, in 64-bit words: how many cases, where each begins
 * (in words from SCRIPT), and then for each case
 *
 *     1, N, WANT, X0 to X6, steps of X1 to X6
 *                              an SMC, N times, arguments growing; ends early
 *                              when X0[15:0] is not WANT.  Without steps (N is
 *                              0) it is made once.
 *     2, PA, N, bytes          write N bytes, in as many words as they need
 *     3, PA, N                 read N bytes
 *     0                        the case is over
 *
 * It answers with one line for each of them: "call X0 ... X4", "many N X0",
 * "write FSC", "read BYTES" or "read fault FSC"; and "case N" before each case.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "host.h"

#define SCRIPT      ((const uint64_t *)0x44000000ul)
/* Here RAM keeps from reset to reset which case is next. */
#define NEXT        ((volatile uint64_t *)0x47fff000ul)

#define PSCI_RESET  0x84000009u

enum { OVER, CALL, WRITE, READ };

/* A range of bytes, for try_call() */
struct range {
    uint8_t *to;
    const uint8_t *from;
    uint64_t size;
};

static void copy(void *arg)
{
    const struct range *r = arg;

    for (uint64_t n = 0; n < r->size; n++) {
        ((volatile uint8_t *)r->to)[n] = ((const volatile uint8_t *)r->from)[n];
    }
}

static void print_registers(const struct regs *regs)
{
    for (unsigned n = 0; n < 5; n++) {
        print(" ");
        print_hex(regs->x[n]);
    }
    print("\n");
}

static struct regs arguments(const uint64_t *op, uint64_t times)
{
    struct regs regs = { 0 };

    for (unsigned n = 0; n < 7; n++) {
        regs.x[n] = op[3 + n] + (n ? times * op[9 + n] : 0);
    }
    return regs;
}

static const uint64_t *make_call(const uint64_t *op)
{
    struct regs regs = arguments(op, 0);
    uint64_t n;

    if (!op[1]) {
        smc_regs(&regs);
        print("call");
        print_registers(&regs);
        return op + 16;
    }
    for (n = 0; n < op[1]; n++) {
        regs = arguments(op, n);
        smc_regs(&regs);
        if ((regs.x[0] & 0xffff) != op[2]) {
            break;
        }
    }
    print("many ");
    print_hex(n);
    print(" ");
    print_hex(regs.x[0]);
    print("\n");
    return op + 16;
}

static const uint64_t *write_bytes(const uint64_t *op)
{
    struct range r = { (uint8_t *)op[1], (const uint8_t *)(op + 3), op[2] };
    struct fault fault = try_call(copy, &r);

    print("write ");
    print_hex(fault.esr ? ESR_FSC(fault.esr) : 0);
    print("\n");
    return op + 3 + (op[2] + 7) / 8;
}

static const uint64_t *read_bytes(const uint64_t *op)
{
    static uint8_t page[4096];
    struct range r = { page, (const uint8_t *)op[1], op[2] };
    struct fault fault = try_call(copy, &r);

    print("read");
    if (fault.esr) {
        print(" fault ");
        print_hex(ESR_FSC(fault.esr));
    }
    for (uint64_t n = 0; n < op[2] && !fault.esr; n++) {
        print(" ");
        print_hex(page[n]);
    }
    print("\n");
    return op + 3;
}

void host_main(void)
{
    const uint64_t *op;

    if (*NEXT >= SCRIPT[0]) {
        return;
    }
    op = SCRIPT + SCRIPT[1 + *NEXT];
    print("case ");
    print_hex(*NEXT);
    print("\n");
    while (*op != OVER) {
        op = *op == CALL ? make_call(op) :
             *op == WRITE ? write_bytes(op) : read_bytes(op);
    }
    *NEXT += 1;
    smc(PSCI_RESET, 0, 0, 0);
}
