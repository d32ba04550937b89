/*
 * Aborts that wait in a REC for the host's answer
 *
 * Purpose: rmm_exception (rmm.h) leaves some aborts in a REC (RmmRec.abort);
 * this is how the next entry finishes them, and how an import checks them.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef RMM_EXCEPTION_H
#define RMM_EXCEPTION_H

#include "rec.h"

/* The Realm takes an external abort in place of the abort @esr at @far. */
void exception_inject_sea(RmmPe *pe, uint64_t esr, uint64_t far);

/*
 * The host has emulated the access that was the data abort @esr: a load gets
 * @value, and the Realm goes on behind the instruction.
 */
void exception_finish_mmio(RmmPe *pe, uint64_t esr, uint64_t value);

/* Whether rmm_exception can have left this in a REC. */
bool exception_abort_ok(RecAbort kind, uint64_t esr, uint64_t far);

#endif
