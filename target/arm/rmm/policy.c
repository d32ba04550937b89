/*
 * The migration policy of a Realm (see policy.h)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "mig.h"
#include "policy.h"
#include "token.h"

G_STATIC_ASSERT(sizeof(((MigAnchor *)0)->key) == COSE_POINT_SIZE);
G_STATIC_ASSERT(TOKEN_HASH_SIZE == CRYPTO_HASH_SIZE);

static bool is_zero(const void *data, size_t size)
{
    const uint8_t *p = data;

    while (size && !*p) {
        p++;
        size--;
    }
    return size == 0;
}

static bool anchors_valid(const MigPolicy *policy)
{
    const uint32_t n = policy->num_anchors;

    if (n > MIG_MAX_ANCHORS ||
        !is_zero(policy->anchors + n,
                 (MIG_MAX_ANCHORS - n) * sizeof(policy->anchors[0]))) {
        return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (!cose_point_valid(policy->anchors[i].key)) {
            return false;
        }
    }
    return true;
}

bool policy_valid(const MigPolicy *policy)
{
    return policy->version == MIG_POLICY_VERSION &&
           !(policy->flags & ~MIG_POLICY_FLAGS) && policy->reserved == 0 &&
           ((policy->flags & MIG_POLICY_IMPLEMENTATION) ||
            is_zero(policy->implementation_id,
                    sizeof(policy->implementation_id))) &&
           anchors_valid(policy);
}

uint64_t policy_features(const MigPolicy *policy)
{
    return policy->flags & MIG_POLICY_COMPACT ? MIG_FEATURE_COMPACT : 0;
}

/* ---- the peer ---- */

/* Is the peer's key one that the policy, or its absence, trusts? */
static bool key_trusted(const MigPolicy *policy, const CoseKey *own,
                        const PolicyPeer *peer)
{
    uint8_t point[COSE_POINT_SIZE];

    if (!policy->num_anchors) {
        cose_key_point(own, point);
        return memcmp(peer->key, point, sizeof(point)) == 0;
    }
    for (uint32_t i = 0; i < policy->num_anchors; i++) {
        if (memcmp(peer->key, policy->anchors[i].key,
                   COSE_POINT_SIZE) == 0) {
            return true;
        }
    }
    return false;
}

static MigCause check_claims(const MigPolicy *policy,
                             const TokenPlatform *claims)
{
    if (!claims->is_cca) {
        return MIG_CAUSE_PEER_PROFILE;
    }
    if ((policy->flags & MIG_POLICY_SECURED) &&
        (claims->lifecycle < TOKEN_SECURED_FIRST ||
         claims->lifecycle > TOKEN_SECURED_LAST)) {
        return MIG_CAUSE_PEER_LIFECYCLE;
    }
    if ((policy->flags & MIG_POLICY_IMPLEMENTATION) &&
        memcmp(claims->implementation_id, policy->implementation_id,
               sizeof(policy->implementation_id)) != 0) {
        return MIG_CAUSE_PEER_IMPLEMENTATION;
    }
    return 0;
}

MigCause policy_check_peer(const MigPolicy *policy, const CoseKey *own,
                           uint16_t lifecycle,
                           const uint8_t challenge[CRYPTO_HASH_SIZE],
                           const PolicyPeer *peer, TokenPlatform *claims)
{
    CoseSign1 parts;

    if (!policy->num_anchors && !own) {
        return MIG_CAUSE_PLATFORM_KEY;
    }
    if (peer->token_size > MIG_MAX_TOKEN ||
        !cose_split(&parts, peer->token, peer->token_size)) {
        return MIG_CAUSE_PEER_TOKEN;
    }
    if (!key_trusted(policy, own, peer) || !cose_verify(&parts, peer->key)) {
        return MIG_CAUSE_PEER_SIGNATURE;
    }
    if (!token_read_platform(claims, parts.payload, parts.payload_size)) {
        return MIG_CAUSE_PEER_TOKEN;
    }
    if (!crypto_equal(claims->challenge, challenge, CRYPTO_HASH_SIZE)) {
        return MIG_CAUSE_PEER_CHALLENGE;
    }
    return check_claims(policy, claims);
}

/* ---- the call ---- */

uint64_t mig_set_policy(MigCall *c)
{
    MigPolicy policy;
    uint64_t result;

    if (c->in[3] != sizeof(policy)) {
        return mig_refuse(MIG_CAUSE_POLICY_FORMAT);
    }
    if (!rmm_read_ns(c->rmm, &policy, c->in[2], sizeof(policy))) {
        return RMI_ERROR_INPUT;
    }
    if (!policy_valid(&policy)) {
        return mig_refuse(MIG_CAUSE_POLICY_FORMAT);
    }
    result = mig_lock_realm(c, REALM_NEW);
    if (result != RMI_SUCCESS) {
        return result;
    }
    if (!realm_may_migrate(c->realm)) {
        result = mig_refuse(MIG_CAUSE_NOT_MIGRATABLE);
    } else if (c->realm->policy_set) {
        result = mig_refuse(MIG_CAUSE_POLICY_SET);
    } else {
        c->realm->policy = policy;
        c->realm->policy_set = true;
    }
    mig_unlock_realm(c);
    return result;
}
