/*
 * A host at EL2: ID registers as a Realm sees them
 *
 * Purpose: a Realm's reads of the registers that HCR_EL2.TID3 traps are
 * answered here: what the CPU has, without what a Realm does not.  As with
 * TF-RMM, memory model and instructions are those of the CPU, though some of
 * their fields mean nothing below EL2.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef ACCEL_TCG_REALM_EL2_IDREG_H
#define ACCEL_TCG_REALM_EL2_IDREG_H

#include "hw/core/cpu.h"
#include "target/arm/rmm/rmm.h"

/*
 * Whether @esr, of an exception that a PE took to EL2, is the read of an ID
 * register; if so, @rt is the X register it goes to, and @value what is read.
 */
bool el2_idreg_read(CPUState *cs, const RmmRecConfig *config, uint32_t esr,
                    unsigned *rt, uint64_t *value);

#endif
