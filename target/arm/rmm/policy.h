/*
 * The migration policy of a Realm
 *
 * Purpose: what a Realm asks of the RMM at the other side of a migration.
 * MIG_SET_POLICY takes the policy from the host, and both sides check the
 * platform token of their peer against it.
 *
 * Invariants:
 * - A policy is set in NEW, at most once, and never changes afterwards; it is
 *   in the RIM from REALM_ACTIVATE on (measurement_finish).  So a host can
 *   set what it likes, and whoever attests the Realm sees it.
 * - A Realm that may migrate has a policy always.  The default one, which
 *   REALM_CREATE gives to it, has no anchors: only a peer whose token is signed
 *   with this RMM's own platform key is let in.
 * - Checks of a peer come in the order of their causes in mig-abi.h, so that
 *   one token has one answer; its claims are read after its signature is
 *   verified.
 *
 * Lock rule: RmmRealm.policy is written with all streams and the Realm
 * locked (session.h); whoever holds a stream may read it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef RMM_POLICY_H
#define RMM_POLICY_H

#include "cose.h"
#include "crypto.h"
#include "mig-abi.h"
#include "token.h"

/* Can a host set this? */
bool policy_valid(const MigPolicy *policy);

/* The features that a Realm with @policy may use, of all that are known */
uint64_t policy_features(const MigPolicy *policy);

/* What a peer shows of itself; nothing of it is checked yet. */
typedef struct PolicyPeer {
    const uint8_t *key;         /* COSE_POINT_SIZE bytes */
    const uint8_t *token;
    size_t token_size;
    const uint8_t *certs;
    size_t certs_size;
} PolicyPeer;

/*
 * Why @peer is refused, or 0, and then its @claims.  @own is this RMM's
 * platform key, or NULL, and @lifecycle that of its platform; @challenge binds
 * the token to the exchange.
 */
MigCause policy_check_peer(const MigPolicy *policy, const CoseKey *own,
                           uint16_t lifecycle,
                           const uint8_t challenge[CRYPTO_HASH_SIZE],
                           const PolicyPeer *peer, TokenPlatform *claims);

#endif
