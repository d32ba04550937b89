/*
 * What the dispatchers of the interfaces share
 *
 * Purpose: RMI, RSI, PSCI and the migration extension each have a table of
 * calls and a function that finds the row of a call: rmi_handle and so on.
 * This is what all of them need, and what one does for another.
 *
 * Lock rule: a dispatcher is entered, and logs, without locks.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef RMM_DISPATCH_H
#define RMM_DISPATCH_H

#include "rmm.h"
#include "rmm-abi.h"

/* Which calls RmmOps.log hears of: a column of each interface's table. */
typedef enum RmmLogPolicy {
    LOG_NEVER,                  /* questions: an error is an answer to them */
    LOG_ERRORS,                 /* calls on a hot path */
    LOG_ALWAYS,
} RmmLogPolicy;

/* What to log of a call, before it is made: which REC of which Realm runs. */
RmmLog dispatch_begin(const RmmPe *pe);

/* The call @entry is over: count it, and log it if @policy wants that. */
void dispatch_end(Rmm *rmm, RmmInterface interface, RmmLogPolicy policy,
                  bool failed, RmmLog *entry);

/* Refuse an SMC: no call of @interface has the number in X0 of @pe. */
void dispatch_refuse(Rmm *rmm, RmmPe *pe, RmmInterface interface);

/*
 * X1 to X3 that are no outputs of a call from the host are zero.  RMM 1.0, B1.2
 * says so of X4 to X16 as well.  They keep their values, as with TF-RMM: SMCCC
 * 1.1 promises that, and hosts of today are compiled for it (the calls of
 * Linux's arm_smccc_1_1_invoke have X4 and up in use).
 */
#define HOST_ZEROED 3

/*
 * The function identifier of @pe's SMC: W0, without the hint that SVE state
 * is not in use (SMCCC 1.3, 2.5 and 2.6).
 */
static inline uint32_t pe_fid(const RmmPe *pe)
{
    return (uint32_t)pe->x[0] & ~SMCCC_SVE_HINT;
}

/* An SMC from the host: RMM_MIG_FID_FIRST to LAST, or another number. */
void mig_handle(Rmm *rmm, RmmPe *pe);
void rmi_handle(Rmm *rmm, RmmPe *pe);
/* What rmm_call_traits says of the call with that number. */
unsigned mig_traits(uint32_t fid);
unsigned rmi_traits(uint32_t fid);

/* An SMC from a Realm: a call of the RSI, or another number. */
bool rsi_has(uint32_t fid);
unsigned rsi_traits(uint32_t fid);
void rsi_handle(Rmm *rmm, RmmPe *pe);
void psci_handle(Rmm *rmm, RmmPe *pe);

/* Make @x, X0 to X30, what a Realm sees after an RSI call: @num outputs. */
void rsi_answer(uint64_t x[31], uint64_t x0, const uint64_t *out,
                unsigned num);

/* RMI_PSCI_COMPLETE; returns the RMI result word. */
uint64_t psci_complete(Rmm *rmm, uint64_t calling, uint64_t target,
                       uint64_t status);

#endif
