/*
 * A host at EL2: what the translator asks
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef ACCEL_TCG_REALM_EL2_TRANSLATE_H
#define ACCEL_TCG_REALM_EL2_TRANSLATE_H

#include "target/arm/tcg/translate.h"

/*
 * True if the instruction that is translated, WFE or WFET, is a Realm's: then
 * it goes to the RMM.  @ti is its number in ESR_EL2, @rd the register of its
 * timeout, or negative.
 */
#ifdef CONFIG_USER_ONLY
static inline bool realm_el2_waits(DisasContext *s, int ti, int rd)
{
    return false;
}
#else
bool realm_el2_waits(DisasContext *s, int ti, int rd);
#endif

#endif
