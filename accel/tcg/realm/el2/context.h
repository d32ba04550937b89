/*
 * A host at EL2: a PE's registers, taken out and put in
 *
 * Purpose: the place of a REC's registers.  While the REC runs, the place has
 * the host's instead: a world switch is an exchange.  So nothing that the one
 * world has can be forgotten in the other, but what is listed in context.c as
 * the PE's own.
 *
 * X0 to X30 and the PC of a REC are the library's (RmmPe.x, .pc); those of the
 * host are here while a REC runs.
 *
 * Lock rule: the library's: one PE has a context, or none.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef ACCEL_TCG_REALM_EL2_CONTEXT_H
#define ACCEL_TCG_REALM_EL2_CONTEXT_H

#include "target/arm/cpu.h"
#include "gic.h"
#include "pe.h"

#define EL2_MEMBER(field) typeof(((CPUARMState *)NULL)->field)

/*
 * Read by others as well: of a PE that runs a REC, @config says what the
 * Realm is like, and the rest is the host's.
 */
struct El2Context {
    RmmRecConfig config;
    bool fresh;                 /* FPCR and FPSR have no value yet */
    El2Gic gic;

    EL2_MEMBER(cp15) cp15;
    EL2_MEMBER(elr_el) elr_el;
    EL2_MEMBER(sp_el) sp_el;
    EL2_MEMBER(banked_spsr) banked_spsr;
    EL2_MEMBER(banked_r13) banked_r13;
    EL2_MEMBER(banked_r14) banked_r14;
    EL2_MEMBER(usr_regs) usr_regs;
    EL2_MEMBER(fiq_regs) fiq_regs;
    EL2_MEMBER(regs) regs;
    EL2_MEMBER(xregs) xregs;        /* the host's; a REC has its SP there */
    uint64_t pc;
    uint32_t pstate;
    bool aarch64;
    bool thumb;
    uint32_t uncached_cpsr;
    uint32_t spsr;
    uint32_t CF, VF, NF, ZF, QF, GE;
    uint32_t condexec_bits;
    uint32_t btype;
    uint64_t daif;
    uint64_t svcr;
    EL2_MEMBER(serror) serror;
    EL2_MEMBER(keys) keys;
    EL2_MEMBER(scxtnum_el) scxtnum_el;
    struct {
        EL2_MEMBER(vfp.zregs) zregs;
        EL2_MEMBER(vfp.pregs) pregs;
        EL2_MEMBER(vfp.qc) qc;
        EL2_MEMBER(vfp.fpsr) fpsr;
        EL2_MEMBER(vfp.fpcr) fpcr;
        EL2_MEMBER(vfp.vec_len) vec_len;
        EL2_MEMBER(vfp.vec_stride) vec_stride;
        EL2_MEMBER(vfp.fp_status) fp_status;
        EL2_MEMBER(vfp.zcr_el) zcr_el;
        EL2_MEMBER(vfp.smcr_el) smcr_el;
        EL2_MEMBER(vfp.xregs) xregs;
    } vfp;
};

/* RmmOps.context_new and .context_free */
void *el2_context_new(void *opaque, const RmmRecConfig *config);
void el2_context_free(void *opaque, void *context);

/*
 * Give @cs the registers in @context, and @context those of @cs: from here on
 * the other world is in @cs.  What follows from the registers is not up to
 * date then; el2_context_settle() makes it so.
 */
void el2_context_swap(CPUState *cs, El2Context *context);

/*
 * All that QEMU derives from registers, and all lines of @cs, become those of
 * the world that is in @cs.  The context of a REC that has left may be another
 * PE's by now.
 */
void el2_context_settle(CPUState *cs);

#endif
