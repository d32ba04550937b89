/*
 * A host at EL2: how a Realm waits
 *
 * Purpose: for QEMU, WFE and WFET are NOPs that no trap reaches.  So a Realm's
 * always go to EL2, and the RMM lets the Realm go on if its host asked for no
 * exit: to wait for no time is a way to wait for an event or a timeout.
 *
 * Invariant: a Realm's code is translated while a Realm runs it, and what was
 * translated is found by the address of its bytes, which are no other world's.
 * At EL0, EL1 may trap these instructions first: there they are QEMU's.
 *
 * Lock rule: none; only the vCPU's own thread comes here.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "target/arm/syndrome.h"
#include "accel/tcg/realm/el2-translate.h"
#include "pe.h"

/* ISS of a trapped WFET (Arm ARM, ESR_EL2) */
#define ISS_WFX_RN(rd)  ((uint32_t)(rd) << 5)
#define ISS_WFX_RV      (1u << 2)

bool realm_el2_waits(DisasContext *s, int ti, int rd)
{
    uint32_t syndrome = syn_wfx(1, 0xe, ti, false);

    if (!el2_pes || s->current_el != 1 || !el2_in_realm(current_cpu)) {
        return false;
    }
    if (rd >= 0) {
        syndrome |= ISS_WFX_RN(rd) | ISS_WFX_RV;
    }
    gen_exception_insn_el(s, 0, EXCP_UDEF, syndrome, 2);
    return true;
}
