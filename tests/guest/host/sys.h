/*
 * What the bare host and the program in its Realms share: registers, and a
 * function that executes one instruction with all of them loaded
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_HOST_SYS_H
#define TESTS_HOST_SYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE        0x1000ul
#define BLOCK       0x200000ul
#define GIB         0x40000000ul

#define TEXT_(text) #text
#define TEXT(text) TEXT_(text)
#define READ(reg) ({ \
    uint64_t read_; \
    asm volatile("mrs %0, " TEXT(reg) : "=r"(read_) : : "memory"); \
    read_; })
#define WRITE(reg, value) \
    asm volatile("msr " TEXT(reg) ", %0\n isb" : : "r"((uint64_t)(value)) \
                 : "memory")

/* Registers that the assembler knows by number only */
#define ZCR_EL1         s3_0_c1_c2_0
#define ZCR_EL2         s3_4_c1_c2_0
#define SMCR_EL2        s3_4_c1_c2_6
#define SCTLR_EL12      s3_5_c1_c0_0
#define ICC_PMR         s3_0_c4_c6_0
#define ICC_IAR1        s3_0_c12_c12_0
#define ICC_EOIR1       s3_0_c12_c12_1
#define ICC_HPPIR1      s3_0_c12_c12_2
#define ICC_BPR1        s3_0_c12_c12_3
#define ICC_CTLR        s3_0_c12_c12_4
#define ICC_SRE         s3_0_c12_c12_5
#define ICC_IGRPEN1     s3_0_c12_c12_7
#define ICC_RPR         s3_0_c12_c11_3
#define ICC_DIR         s3_0_c12_c11_1
#define ICC_SGI1R       s3_0_c12_c11_5
#define ICC_SRE_EL2     s3_4_c12_c9_5
#define ICH_HCR         s3_4_c12_c11_0
#define ICH_VTR         s3_4_c12_c11_1
#define ICH_VMCR        s3_4_c12_c11_7
#define ICH_LR0         s3_4_c12_c12_0
#define ICH_LR1         s3_4_c12_c12_1
#define ICH_AP1R0       s3_4_c12_c9_0

/* ID registers' fields that decide what is there */
static inline unsigned field(uint64_t reg, unsigned shift)
{
    return reg >> shift & 15;
}

static inline bool has_sve(void)
{
    return field(READ(id_aa64pfr0_el1), 32) != 0;
}

/* ---- One instruction, with all registers loaded before and stored behind */

struct regs {
    uint64_t x[31];
    uint64_t fpcr;              /* 248 */
    uint64_t fpsr;              /* 256 */
    uint64_t spare;
    uint64_t v[32][2];          /* 272, 16-byte pairs */
};

_Static_assert(offsetof(struct regs, fpcr) == 248, "fpcr");
_Static_assert(offsetof(struct regs, v) == 272, "v");

#define EVERY_V(op) \
    op "  q0,  q1, [x9], #32\n" op "  q2,  q3, [x9], #32\n" \
    op "  q4,  q5, [x9], #32\n" op "  q6,  q7, [x9], #32\n" \
    op "  q8,  q9, [x9], #32\n" op " q10, q11, [x9], #32\n" \
    op " q12, q13, [x9], #32\n" op " q14, q15, [x9], #32\n" \
    op " q16, q17, [x9], #32\n" op " q18, q19, [x9], #32\n" \
    op " q20, q21, [x9], #32\n" op " q22, q23, [x9], #32\n" \
    op " q24, q25, [x9], #32\n" op " q26, q27, [x9], #32\n" \
    op " q28, q29, [x9], #32\n" op " q30, q31, [x9], #32\n"
#define LOAD_V \
    "    add x9, x0, #272\n" \
    EVERY_V("ldp") \
    "    ldp x9, x10, [x0, #248]\n" \
    "    msr fpcr, x9\n" \
    "    msr fpsr, x10\n"
#define STORE_V \
    "    add x9, x0, #272\n" \
    EVERY_V("stp") \
    "    mrs x9, fpcr\n" \
    "    mrs x10, fpsr\n" \
    "    stp x9, x10, [x0, #248]\n"
#define FROM_4_TO_29(op) \
    op "  x4,  x5, [x0,  #32]\n" op "  x6,  x7, [x0,  #48]\n" \
    op "  x8,  x9, [x0,  #64]\n" op " x10, x11, [x0,  #80]\n" \
    op " x12, x13, [x0,  #96]\n" op " x14, x15, [x0, #112]\n" \
    op " x16, x17, [x0, #128]\n" op " x18, x19, [x0, #144]\n" \
    op " x20, x21, [x0, #160]\n" op " x22, x23, [x0, #176]\n" \
    op " x24, x25, [x0, #192]\n" op " x26, x27, [x0, #208]\n" \
    op " x28, x29, [x0, #224]\n"
#define FROM_2_TO_29(op) op "  x2,  x3, [x0,  #16]\n" FROM_4_TO_29(op)
/*
 * void @name(struct regs *): @load and @store are for the other registers.
 * The stack pointer is what is left to find the structure again.
 */
#define WITH_REGS(name, instruction, load, store) \
    asm(".pushsection .text." #name ", \"ax\"\n" \
        ".balign 4\n" \
        ".global " #name "\n" \
        #name ":\n" \
        "    stp x29, x30, [sp, #-128]!\n" \
        "    stp x27, x28, [sp, #16]\n" \
        "    stp x25, x26, [sp, #32]\n" \
        "    stp x23, x24, [sp, #48]\n" \
        "    stp x21, x22, [sp, #64]\n" \
        "    stp x19, x20, [sp, #80]\n" \
        "    str x0, [sp, #96]\n" \
        load \
        FROM_2_TO_29("ldp") \
        "    ldr x30, [x0, #240]\n" \
        "    ldp x0, x1, [x0]\n" \
        ".global " #name "_instruction\n" \
        #name "_instruction:\n" \
        "    " instruction "\n" \
        "    stp x0, x1, [sp, #112]\n" \
        "    ldr x0, [sp, #96]\n" \
        FROM_2_TO_29("stp") \
        "    str x30, [x0, #240]\n" \
        "    ldp x2, x3, [sp, #112]\n" \
        "    stp x2, x3, [x0]\n" \
        store \
        "    ldp x27, x28, [sp, #16]\n" \
        "    ldp x25, x26, [sp, #32]\n" \
        "    ldp x23, x24, [sp, #48]\n" \
        "    ldp x21, x22, [sp, #64]\n" \
        "    ldp x19, x20, [sp, #80]\n" \
        "    ldp x29, x30, [sp], #128\n" \
        "    ret\n" \
        ".popsection\n")

/* ---- Vectors ---- */

/* What a vector saves. */
struct frame {
    uint64_t x[31];
    uint64_t elr, spsr;
    uint64_t spare;
};

/* Every vector calls @handler(number of the vector, frame). */
#define VECTORS(el, handler) \
    asm(".macro vector number\n" \
        "    .balign 0x80\n" \
        "    sub sp, sp, #272\n" \
        "    stp x0, x1, [sp]\n" \
        "    mov x0, #\\number\n" \
        "    b save\n" \
        ".endm\n" \
        ".text\n" \
        ".balign 0x800\n" \
        "vectors:\n" \
        "    vector 0\n  vector 1\n  vector 2\n  vector 3\n" \
        "    vector 4\n  vector 5\n  vector 6\n  vector 7\n" \
        "    vector 8\n  vector 9\n  vector 10\n vector 11\n" \
        "    vector 12\n vector 13\n vector 14\n vector 15\n" \
        "save:\n" \
        "    str x30, [sp, #240]\n" \
        "    mov x1, sp\n" \
        "    stp x2, x3, [sp, #16]\n" \
        "    mov x2, x0\n" \
        "    mov x0, sp\n" \
        FROM_4_TO_29("stp") \
        "    mov x0, x2\n" \
        "    mrs x2, elr_" el "\n" \
        "    mrs x3, spsr_" el "\n" \
        "    stp x2, x3, [sp, #248]\n" \
        "    bl " handler "\n" \
        "    ldp x2, x3, [sp, #248]\n" \
        "    msr elr_" el ", x2\n" \
        "    msr spsr_" el ", x3\n" \
        "    mov x0, sp\n" \
        FROM_4_TO_29("ldp") \
        "    ldr x30, [sp, #240]\n" \
        "    ldp x2, x3, [sp, #16]\n" \
        "    ldp x0, x1, [sp], #272\n" \
        "    eret\n")

/* ---- Patterns ---- */

/* A value that says where it belongs. */
static inline uint64_t pattern(uint64_t seed, uint64_t n)
{
    uint64_t x = (seed + 1) * 0x9e3779b97f4a7c15ul + n * 0xbf58476d1ce4e5b9ul;

    x ^= x >> 31;
    x *= 0x94d049bb133111ebul;
    return x ^ x >> 29;
}

/*
 * Registers of EL1 and EL0 that hold a value and do nothing else while the MMU
 * is off and no exception comes: name, bits that a test may set, and the name at
 * EL2 when E2H gives the first one to EL2's own.
 */
#define EL1_REGISTERS(ROW) \
    ROW(ttbr0_el1, 0x0000fffffffffffe, s3_5_c2_c0_0) \
    ROW(ttbr1_el1, 0x0000fffffffffffe, s3_5_c2_c0_1) \
    ROW(tcr_el1, 0x00000035b5bf3fbf, s3_5_c2_c0_2) \
    ROW(mair_el1, ~0, s3_5_c10_c2_0) \
    ROW(esr_el1, 0xffffffff, s3_5_c5_c2_0) \
    ROW(far_el1, ~0, s3_5_c6_c0_0) \
    ROW(contextidr_el1, 0xffffffff, s3_5_c13_c0_1) \
    ROW(tpidr_el0, ~0, tpidr_el0) \
    ROW(tpidrro_el0, ~0, tpidrro_el0) \
    ROW(tpidr_el1, ~0, tpidr_el1) \
    ROW(sp_el0, ~0, sp_el0) \
    ROW(elr_el1, ~0, s3_5_c4_c0_1) \
    ROW(spsr_el1, 0xf00003c5, s3_5_c4_c0_0) \
    ROW(vbar_el1, 0x0000fffffffff800, s3_5_c12_c0_0) \
    ROW(par_el1, 0x0000fffffffff000, par_el1) \
    ROW(csselr_el1, 0x6, csselr_el1) \
    ROW(cntkctl_el1, 0x3, s3_5_c14_c1_0) \
    ROW(mdscr_el1, 0x1000, mdscr_el1) \
    ROW(dbgbvr0_el1, 0x0000fffffffffffc, dbgbvr0_el1) \
    ROW(dbgbcr0_el1, 0x1e6, dbgbcr0_el1) \
    ROW(dbgbvr1_el1, 0x0000fffffffffffc, dbgbvr1_el1) \
    ROW(dbgwvr0_el1, 0x0000fffffffffff8, dbgwvr0_el1) \
    ROW(dbgwcr0_el1, 0x1ffe, dbgwcr0_el1) \
    ROW(apiakeylo_el1, ~0, apiakeylo_el1) \
    ROW(apiakeyhi_el1, ~0, apiakeyhi_el1) \
    ROW(apibkeylo_el1, ~0, apibkeylo_el1) \
    ROW(apibkeyhi_el1, ~0, apibkeyhi_el1) \
    ROW(apdakeylo_el1, ~0, apdakeylo_el1) \
    ROW(apdakeyhi_el1, ~0, apdakeyhi_el1) \
    ROW(apdbkeylo_el1, ~0, apdbkeylo_el1) \
    ROW(apdbkeyhi_el1, ~0, apdbkeyhi_el1) \
    ROW(apgakeylo_el1, ~0, apgakeylo_el1) \
    ROW(apgakeyhi_el1, ~0, apgakeyhi_el1) \
    ROW(scxtnum_el0, ~0, scxtnum_el0) \
    ROW(scxtnum_el1, ~0, s3_5_c13_c0_7)

/* As many as the list has */
enum el1_register {
#define ROW(name, bits, el12) EL1_##name,
    EL1_REGISTERS(ROW)
#undef ROW
    EL1_REGISTER_COUNT
};

static inline void el1_registers_read(uint64_t value[EL1_REGISTER_COUNT],
                                      bool e2h)
{
#define ROW(name, bits, el12) value[EL1_##name] = e2h ? READ(el12) : READ(name);
    EL1_REGISTERS(ROW)
#undef ROW
}

static inline void
el1_registers_write(const uint64_t value[EL1_REGISTER_COUNT], bool e2h)
{
#define ROW(name, bits, el12) \
    if (e2h) { \
        WRITE(el12, value[EL1_##name]); \
    } else { \
        WRITE(name, value[EL1_##name]); \
    }
    EL1_REGISTERS(ROW)
#undef ROW
}

/* Fills @value with what is to be written. */
static inline void el1_registers_pattern(uint64_t seed,
                                         uint64_t value[EL1_REGISTER_COUNT])
{
#define ROW(name, bits, el12) \
    value[EL1_##name] = pattern(seed, EL1_##name) & (uint64_t)(bits);
    EL1_REGISTERS(ROW)
#undef ROW
}

static inline void regs_pattern(uint64_t seed, struct regs *regs)
{
    for (unsigned n = 0; n < 31; n++) {
        regs->x[n] = pattern(seed, 100 + n);
    }
    for (unsigned n = 0; n < 64; n++) {
        regs->v[n / 2][n % 2] = pattern(seed, 200 + n);
    }
    regs->fpcr = pattern(seed, 300) & 0x07ff0000;   /* AHP to Len */
    regs->fpsr = pattern(seed, 301) & 0x0800009f;
}

#endif
