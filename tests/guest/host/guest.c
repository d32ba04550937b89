/*
 * The bare host: an ordinary guest (see guest.h)
 *
 * Stage 2 is what a Realm's is: REALM_IPA_BITS, pages of 4 KiB, tables from
 * level 1.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "guest.h"
#include "rmi.h"

#define HCR_VM      (1ul << 0)
/* SL0: level 1; write-back, inner shareable, 48 bits of PA; bit 31 is one */
#define VTCR        ((64 - REALM_IPA_BITS) | 1ul << 6 | 1ul << 8 | \
                     1ul << 10 | 3ul << 12 | 5ul << 16 | 1ul << 31)
/* Write-back, readable and writable, inner shareable, accessed; a page */
#define LEAF        (15ul << 2 | 3ul << 6 | 3ul << 8 | 1ul << 10 | 3ul)
#define TABLE_PA    0x0000fffffffff000ul
#define EL1H_MASKED 0x3c5

_Static_assert(offsetof(struct guest, pc) == 248, "pc");

static uint64_t *root;

/*
 * SP_EL2 is, at the exception, what it was at the ERET.  Vector 8 is that of
 * an exception from a lower EL in AArch64.
 */
asm(".text\n"
    ".global guest_enter\n"
    "guest_enter:\n"
    PUSH_PRESERVED
    "    msr tpidr_el2, x0\n"
    "    ldp x1, x2, [x0, #248]\n"
    "    msr elr_el2, x1\n"
    "    msr spsr_el2, x2\n"
    FROM_2_TO_29("ldp")
    "    ldr x30, [x0, #240]\n"
    "    ldp x0, x1, [x0]\n"
    "    eret\n"
    "guest_exit:\n"
    "    stp x0, x1, [sp, #-16]!\n"
    "    mrs x0, tpidr_el2\n"
    FROM_2_TO_29("stp")
    "    str x30, [x0, #240]\n"
    "    ldp x1, x2, [sp], #16\n"
    "    stp x1, x2, [x0]\n"
    "    mrs x1, elr_el2\n"
    "    mrs x2, spsr_el2\n"
    "    stp x1, x2, [x0, #248]\n"
    POP_PRESERVED
    "    ret\n"
    "guest_other_vector:\n"
    "    mrs x1, esr_el2\n"
    "    adr x0, guest_panic\n"
    "    bl panic\n"
    "guest_panic:\n"
    "    .asciz \"unexpected exception, ESR\"\n"
    "    .balign 0x800\n"
    "guest_vectors:\n"
    "    .rept 8\n"
    "    .balign 0x80\n"
    "    b guest_other_vector\n"
    "    .endr\n"
    "    .balign 0x80\n"
    "    b guest_exit\n"
    "    .rept 7\n"
    "    .balign 0x80\n"
    "    b guest_other_vector\n"
    "    .endr\n"
    "    .balign 0x80\n");

extern char guest_vectors[];

static uint64_t *next_table(uint64_t *entry)
{
    if (!*entry) {
        *entry = page_new(1) | 3;
    }
    return (uint64_t *)(*entry & TABLE_PA);
}

void guest_map(uint64_t ipa, uint64_t pa)
{
    uint64_t *table = next_table(&root[ipa >> 30]);

    table = next_table(&table[ipa >> 21 & 511]);
    table[ipa >> 12 & 511] = pa ? pa | LEAF : 0;
    asm volatile("dsb ishst" : : : "memory");
}

void guest_flush(void)
{
    asm volatile("dsb ishst\n tlbi vmalls12e1is\n dsb ish\n isb"
                 : : : "memory");
}

void guest_init(struct guest *guest)
{
    root = (uint64_t *)page_new(1);
    WRITE(vtcr_el2, VTCR);
    WRITE(vttbr_el2, (uint64_t)root | 1ul << 48);
    WRITE(hcr_el2, READ(hcr_el2) | HCR_VM);
    WRITE(vbar_el2, guest_vectors);
    *guest = (struct guest) { .pc = REALM_CODE, .pstate = EL1H_MASKED };
}
