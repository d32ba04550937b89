/*
 * Where a Realm has been
 *
 * Purpose: the history of a Realm (MigHistory in mig-abi.h): it begins when the
 * Realm is activated, travels in the immutable state, and the Realm can ask for
 * it ("What a Realm can learn about its past" in
 * docs/specs/realm-migration-stream.rst).
 *
 * Invariant: a platform is counted by what it says of itself here, or by what
 * its token said to the RMM at the other side.  So a source that is not secured
 * cannot send a history without such a platform, though with another one.
 *
 * Lock rule: the Realm's lock is held.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef RMM_HISTORY_H
#define RMM_HISTORY_H

#include "mig-abi.h"
#include "token.h"

/* The Realm is activated on this machine. */
void history_begin(MigHistory *history, Rmm *rmm);

/* Can a source have sent this? */
bool history_valid(const MigHistory *history);

/*
 * The Realm arrives on this machine with the history that its source sent; the
 * token of the source said @source.
 */
void history_arrive(MigHistory *history, const Rmm *rmm,
                    const MigHistory *sent, const TokenPlatform *source);

#endif
