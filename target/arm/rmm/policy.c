/*
 * The migration policy of a Realm (see policy.h)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "certificates.h"
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
        const MigAnchor *a = &policy->anchors[i];

        if ((a->kind != MIG_ANCHOR_KEY && a->kind != MIG_ANCHOR_AUTHORITY) ||
            !is_zero(a->reserved, sizeof(a->reserved)) ||
            !cose_point_valid(a->key)) {
            return false;
        }
    }
    return true;
}

/* Bytes of the type that @rule is about; 0: of any that no other rule has */
static size_t type_size(const MigRule *rule)
{
    return strnlen(rule->type, sizeof(rule->type));
}

static bool rule_valid(const MigRule *rule)
{
    const uint8_t size = rule->value_size;
    const size_t type = type_size(rule);

    return (rule->kind == MIG_RULE_SIGNER ||
            (rule->kind == MIG_RULE_MEASUREMENT &&
             is_zero(rule->version, sizeof(rule->version)))) &&
           (size == 32 || size == 48 || size == 64) &&
           is_zero(rule->reserved, sizeof(rule->reserved)) &&
           type < sizeof(rule->type) &&
           is_zero(rule->type + type, sizeof(rule->type) - type) &&
           is_zero(rule->value + size, sizeof(rule->value) - size);
}

static bool rules_valid(const MigPolicy *policy)
{
    const uint32_t n = policy->num_rules;

    if (n > MIG_MAX_RULES ||
        !is_zero(policy->rules + n,
                 (MIG_MAX_RULES - n) * sizeof(policy->rules[0]))) {
        return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (!rule_valid(&policy->rules[i])) {
            return false;
        }
    }
    return true;
}

bool policy_valid(const MigPolicy *policy)
{
    const uint32_t flags = policy->flags;

    return policy->version == MIG_POLICY_VERSION &&
           !(flags & ~MIG_POLICY_FLAGS) && policy->reserved == 0 &&
           !((flags & MIG_POLICY_SECURED) &&
             (flags & MIG_POLICY_ANY_LIFE_CYCLE)) &&
           ((flags & MIG_POLICY_IMPLEMENTATION) ||
            is_zero(policy->implementation_id,
                    sizeof(policy->implementation_id))) &&
           !(policy->required & ~policy_features(policy)) &&
           anchors_valid(policy) && rules_valid(policy);
}

uint64_t policy_features(const MigPolicy *policy)
{
    return policy->flags & MIG_POLICY_COMPACT
           ? MIG_FEATURE_COMPACT | MIG_FEATURE_ZERO : 0;
}

/* ---- the peer ---- */

static bool is_anchor(const MigPolicy *policy, uint8_t kind,
                      const uint8_t key[COSE_POINT_SIZE])
{
    for (uint32_t i = 0; i < policy->num_anchors; i++) {
        if (policy->anchors[i].kind == kind &&
            memcmp(key, policy->anchors[i].key, COSE_POINT_SIZE) == 0) {
            return true;
        }
    }
    return false;
}

static bool has_authority(const MigPolicy *policy)
{
    for (uint32_t i = 0; i < policy->num_anchors; i++) {
        if (policy->anchors[i].kind == MIG_ANCHOR_AUTHORITY) {
            return true;
        }
    }
    return false;
}

/* Is the peer's key one that the policy trusts? */
static bool key_trusted(const MigPolicy *policy, const CoseKey *own,
                        const PolicyPeer *peer)
{
    uint8_t point[COSE_POINT_SIZE];

    if (!policy->num_anchors) {
        cose_key_point(own, point);
        return memcmp(peer->key, point, sizeof(point)) == 0;
    }
    return is_anchor(policy, MIG_ANCHOR_KEY, peer->key) ||
           (has_authority(policy) &&
            certificates_check(peer->certs, peer->certs_size, peer->key,
                               point) &&
            is_anchor(policy, MIG_ANCHOR_AUTHORITY, point));
}

/* Does a peer have to be secured, if this RMM's platform has @lifecycle? */
static bool wants_secured(const MigPolicy *policy, uint16_t lifecycle)
{
    return policy->flags & MIG_POLICY_SECURED ||
           (!(policy->flags & MIG_POLICY_ANY_LIFE_CYCLE) &&
            token_is_secured(lifecycle));
}

static bool same_bytes(const TokenString *s, const void *data, size_t size)
{
    return s->data && s->size == size && memcmp(s->data, data, size) == 0;
}

/* A decimal number at @s->data + *@at; false if there is none, or too large */
static bool read_number(const TokenString *s, size_t *at, uint32_t *number)
{
    const size_t first = *at;
    uint64_t n = 0;

    while (*at < s->size && g_ascii_isdigit(s->data[*at]) &&
           n <= UINT32_MAX) {
        n = n * 10 + (s->data[(*at)++] - '0');
    }
    *number = n;
    return *at > first && n <= UINT32_MAX;
}

/* A component's version, as rules compare it */
static bool read_version(const TokenString *s, uint32_t version[4])
{
    size_t at = 0;

    memset(version, 0, 4 * sizeof(*version));
    for (int i = 0; i < 4; i++) {
        if (!read_number(s, &at, &version[i])) {
            return false;
        }
        if (at == s->size || s->data[at] == '-') {
            return true;
        }
        if (s->data[at++] != '.') {
            return false;
        }
    }
    return false;
}

/* Does the component have a version, and is it not below @lowest? */
static bool version_suffices(const TokenString *s, const uint32_t lowest[4])
{
    uint32_t version[4];

    if (!read_version(s, version)) {
        return false;
    }
    for (int i = 0; i < 4; i++) {
        if (version[i] != lowest[i]) {
            return version[i] > lowest[i];
        }
    }
    return true;
}

static bool rule_fulfilled(const MigRule *rule, const TokenPeerComponent *c)
{
    return rule->kind == MIG_RULE_MEASUREMENT
           ? same_bytes(&c->measurement, rule->value, rule->value_size)
           : same_bytes(&c->signer, rule->value, rule->value_size) &&
             version_suffices(&c->version, rule->version);
}

/* The type that @rule has, if it has one */
static bool has_type(const TokenPeerComponent *c, const MigRule *rule)
{
    return same_bytes(&c->type, rule->type, type_size(rule));
}

/* By the rules with its type, or else by those without one, if there are any */
static bool component_allowed(const MigPolicy *policy,
                              const TokenPeerComponent *c)
{
    bool typed = false, typed_ok = false, untyped = false, untyped_ok = false;

    for (uint32_t i = 0; i < policy->num_rules; i++) {
        const MigRule *rule = &policy->rules[i];

        if (!type_size(rule)) {
            untyped = true;
            untyped_ok |= rule_fulfilled(rule, c);
        } else if (has_type(c, rule)) {
            typed = true;
            typed_ok |= rule_fulfilled(rule, c);
        }
    }
    return typed ? typed_ok : !untyped || untyped_ok;
}

/* Is there a component of the type that @rule has, if it has one? */
static bool type_present(const MigRule *rule, const TokenPlatform *claims)
{
    for (unsigned i = 0; i < claims->num_components; i++) {
        if (has_type(&claims->components[i], rule)) {
            return true;
        }
    }
    return !type_size(rule);
}

static bool software_allowed(const MigPolicy *policy,
                             const TokenPlatform *claims)
{
    if (policy->num_rules && !claims->num_components) {
        return false;
    }
    for (unsigned i = 0; i < claims->num_components; i++) {
        if (!component_allowed(policy, &claims->components[i])) {
            return false;
        }
    }
    for (uint32_t i = 0; i < policy->num_rules; i++) {
        if (!type_present(&policy->rules[i], claims)) {
            return false;
        }
    }
    return true;
}

static MigCause check_claims(const MigPolicy *policy, uint16_t lifecycle,
                             const TokenPlatform *claims)
{
    if (!claims->is_cca) {
        return MIG_CAUSE_PEER_PROFILE;
    }
    if (wants_secured(policy, lifecycle) &&
        !token_is_secured(claims->lifecycle)) {
        return MIG_CAUSE_PEER_LIFECYCLE;
    }
    if ((policy->flags & MIG_POLICY_IMPLEMENTATION) &&
        memcmp(claims->implementation_id, policy->implementation_id,
               sizeof(policy->implementation_id)) != 0) {
        return MIG_CAUSE_PEER_IMPLEMENTATION;
    }
    return software_allowed(policy, claims) ? 0 : MIG_CAUSE_PEER_SOFTWARE;
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
    return check_claims(policy, lifecycle, claims);
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
