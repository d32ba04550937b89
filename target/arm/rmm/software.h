/*
 * What the platform is made of, as far as the RMM model knows
 *
 * Purpose: list the software components of the platform token: the model
 * itself, and the libraries with which it signs, seals and encodes.
 *
 * Invariant: every measurement is a hash of something that a verifier can
 * have as well:
 *
 *   the model     its sources: all *.c and *.h of target/arm/mte-tags/ and
 *                 target/arm/rmm/, one after the other in the order of their
 *                 names (source-hash)
 *   a library     the text "TYPE VERSION": which file of that version the
 *                 machine has loaded is not known here
 *
 * Lock rule: no locks.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef RMM_SOFTWARE_H
#define RMM_SOFTWARE_H

#include "token.h"

#define SOFTWARE_COMPONENTS 4

void software_components(TokenComponent out[SOFTWARE_COMPONENTS]);

#endif
