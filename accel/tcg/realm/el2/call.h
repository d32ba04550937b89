/*
 * A host at EL2: a call to the RMM, and who may run meanwhile
 *
 * Purpose: the RMM is told that translations are gone (RmmOps.tlb_sync) only
 * if no PE uses them any more, be it an entry of its TLB or an access that is
 * under way.  So a call that may take some away is made while no other PE is
 * in a Realm:
 *
 *     the call                      other PEs meanwhile
 *     short                         wait if they make a call (BQL)
 *     long                          do what they like
 *     takes translations away,
 *         no other PE in a Realm    do not enter one (BQL)
 *         otherwise                 stand still
 *
 * Lock rule: called with the BQL from do_interrupt; a long call drops it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef ACCEL_TCG_REALM_EL2_CALL_H
#define ACCEL_TCG_REALM_EL2_CALL_H

#include "hw/core/cpu.h"
#include "target/arm/rmm/rmm.h"

/*
 * The SMC that the host made on @cs, whose PE is @pe, with registers taken
 * there: rmm_call.  It does not return if other PEs have to stand still first:
 * the instruction is done when @cs executes again.  Such a call enters no REC.
 */
void el2_host_call(CPUState *cs, RmmPe *pe);

/* The same for one that a Realm made.  It always returns. */
void el2_realm_call(CPUState *cs, RmmPe *pe);

#endif
