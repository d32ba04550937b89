/*
 * All SVE registers around one instruction (see sys.h, WITH_REGS)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_HOST_SVE_H
#define TESTS_HOST_SVE_H

#include "sys.h"

#define MAX_VL 256          /* bytes */

/* Register n is at n * VL (Z), n * VL / 8 (P); FFR behind the P registers. */
struct sve_regs {
    uint8_t z[32 * MAX_VL] __attribute__((aligned(16)));
    uint8_t p[17 * MAX_VL / 8] __attribute__((aligned(16)));
};

#define SVE_P_OFFSET "8192"
_Static_assert(offsetof(struct sve_regs, p) == 8192, "SVE_P_OFFSET");

#define EVERY_Z(op) \
    op " z0, [x9, #0, mul vl]\n" op " z1, [x9, #1, mul vl]\n" \
    op " z2, [x9, #2, mul vl]\n" op " z3, [x9, #3, mul vl]\n" \
    op " z4, [x9, #4, mul vl]\n" op " z5, [x9, #5, mul vl]\n" \
    op " z6, [x9, #6, mul vl]\n" op " z7, [x9, #7, mul vl]\n" \
    op " z8, [x9, #8, mul vl]\n" op " z9, [x9, #9, mul vl]\n" \
    op " z10, [x9, #10, mul vl]\n" op " z11, [x9, #11, mul vl]\n" \
    op " z12, [x9, #12, mul vl]\n" op " z13, [x9, #13, mul vl]\n" \
    op " z14, [x9, #14, mul vl]\n" op " z15, [x9, #15, mul vl]\n" \
    op " z16, [x9, #16, mul vl]\n" op " z17, [x9, #17, mul vl]\n" \
    op " z18, [x9, #18, mul vl]\n" op " z19, [x9, #19, mul vl]\n" \
    op " z20, [x9, #20, mul vl]\n" op " z21, [x9, #21, mul vl]\n" \
    op " z22, [x9, #22, mul vl]\n" op " z23, [x9, #23, mul vl]\n" \
    op " z24, [x9, #24, mul vl]\n" op " z25, [x9, #25, mul vl]\n" \
    op " z26, [x9, #26, mul vl]\n" op " z27, [x9, #27, mul vl]\n" \
    op " z28, [x9, #28, mul vl]\n" op " z29, [x9, #29, mul vl]\n" \
    op " z30, [x9, #30, mul vl]\n" op " z31, [x9, #31, mul vl]\n"
#define EVERY_P(op) \
    op " p0, [x9, #0, mul vl]\n" op " p1, [x9, #1, mul vl]\n" \
    op " p2, [x9, #2, mul vl]\n" op " p3, [x9, #3, mul vl]\n" \
    op " p4, [x9, #4, mul vl]\n" op " p5, [x9, #5, mul vl]\n" \
    op " p6, [x9, #6, mul vl]\n" op " p7, [x9, #7, mul vl]\n" \
    op " p8, [x9, #8, mul vl]\n" op " p9, [x9, #9, mul vl]\n" \
    op " p10, [x9, #10, mul vl]\n" op " p11, [x9, #11, mul vl]\n" \
    op " p12, [x9, #12, mul vl]\n" op " p13, [x9, #13, mul vl]\n" \
    op " p14, [x9, #14, mul vl]\n" op " p15, [x9, #15, mul vl]\n"
#define LOAD_SVE \
    "    .arch_extension sve\n" \
    "    add x9, x0, #" SVE_P_OFFSET "\n" \
    "    ldr p0, [x9, #16, mul vl]\n" \
    "    wrffr p0.b\n" \
    EVERY_P("ldr") \
    "    mov x9, x0\n" \
    EVERY_Z("ldr")
#define STORE_SVE \
    "    mov x9, x0\n" \
    EVERY_Z("str") \
    "    add x9, x0, #" SVE_P_OFFSET "\n" \
    EVERY_P("str") \
    "    rdffr p0.b\n" \
    "    str p0, [x9, #16, mul vl]\n"

/* void @name(struct sve_regs *); X0 to X18 are lost. */
#define WITH_SVE(name, instruction) \
    asm(".pushsection .text." #name ", \"ax\"\n" \
        ".balign 4\n" \
        ".global " #name "\n" \
        #name ":\n" \
        "    stp x29, x30, [sp, #-32]!\n" \
        "    stp x19, x0, [sp, #16]\n" \
        LOAD_SVE \
        "    mov x19, sp\n" \
        ".global " #name "_instruction\n" \
        #name "_instruction:\n" \
        "    " instruction "\n" \
        "    mov sp, x19\n" \
        "    ldp x19, x0, [sp, #16]\n" \
        STORE_SVE \
        "    ldp x29, x30, [sp], #32\n" \
        "    ret\n" \
        ".popsection\n")

/* In bytes, of the current exception level */
static inline unsigned sve_length(void)
{
    uint64_t n;

    asm volatile(".arch_extension sve\n rdvl %0, #1" : "=r"(n));
    return n;
}

static inline void sve_pattern(uint64_t seed, struct sve_regs *regs)
{
    uint8_t *byte = (uint8_t *)regs;

    for (unsigned n = 0; n < sizeof(*regs); n++) {
        byte[n] = pattern(seed, n / 8) >> n % 8 * 8;
    }
    /* A valid FFR is some ones and then zeros. */
    for (unsigned n = 0; n < 2 * MAX_VL / 8; n++) {
        regs->p[16 * sve_length() / 8 + n] = n ? 0 : 0x1f;
    }
}

/* Bits of the registers that differ: [0] Z, [1] P and FFR; [2]: the length */
static inline void sve_changed(const struct sve_regs *before,
                               const struct sve_regs *after, uint64_t *out)
{
    unsigned length = sve_length();

    out[0] = out[1] = 0;
    for (unsigned n = 0; n < 32 * length; n++) {
        if (before->z[n] != after->z[n]) {
            out[0] |= 1ul << n / length;
        }
    }
    for (unsigned n = 0; n < 17 * length / 8; n++) {
        if (before->p[n] != after->p[n]) {
            out[1] |= 1ul << n / (length / 8);
        }
    }
    out[2] = length;
}

#endif
