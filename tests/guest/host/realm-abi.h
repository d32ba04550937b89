/*
 * The bare host and the program in its Realms: where things are, what one
 * asks the other
 *
 * The program makes a host call: imm REALM_READY at its start, REALM_DONE after
 * each command.  The host answers with the next command in gprs[0], and its
 * arguments; the next host call has the results.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_HOST_REALM_ABI_H
#define TESTS_HOST_REALM_ABI_H

/* IPAs; the width is 33 bits */
#define REALM_IPA_BITS      33
#define REALM_CODE          0x40000000ul    /* the program; a 2 MiB block */
#define REALM_DATA          0x40100000ul    /* pages that tests use, in it */
#define REALM_UNPROTECTED   (1ul << (REALM_IPA_BITS - 1))
#define REALM_SHARED        (REALM_UNPROTECTED | REALM_CODE)
#define REALM_MAX_RECS      8

#define REALM_READY 1
#define REALM_DONE  2

enum realm_command {
    /*
     * Execute instructions: [1] how many, [2] to [9] the words, [10] to [17]
     * what X0 to X7 hold before.  X30 is the only register that they must
     * leave alone.  Results: [0] to [7] X0 to X7; [8] how many exceptions
     * there were, and of the last [9] ESR, [10] FAR, [11] ELR, as an offset
     * from the first instruction, [12] SPSR; [13] how many interrupts since
     * the last command, [14] the last one.
     */
    REALM_EXECUTE = 1,
    /*
     * Fill all registers with the pattern of seed [1], execute instruction
     * [2], and compare.  [3]: X registers that the instruction may change.
     * Results: [0] bits of X registers that changed, [1] of V registers,
     * bit 32 FPCR, 33 FPSR, [2] of EL1_REGISTERS, [3] and [4] value before and
     * after of the last one that changed.
     */
    REALM_REGISTERS,
    /* Fill [1], [2] bytes, with the pattern of seed [3]. */
    REALM_FILL,
    /* Result: [0] how many words of [1], [2] bytes, are not of seed [3]. */
    REALM_CHECK,
    /*
     * Write 1 to [3], if that is not zero.  Then read the word at [1] until it
     * is not zero, for [2] ticks at most.
     * Result: [0] the word, [1] how often.
     */
    REALM_SPIN,
    /* As REALM_REGISTERS, for SVE: [0] bits of Z registers, [1] of P
       registers, bit 16 FFR; [2] the vector length in bytes. */
    REALM_VECTORS,
    /* What an interrupt does: [1] bit 0: it is not ended by the handler. */
    REALM_INTERRUPTS,
};

#endif
