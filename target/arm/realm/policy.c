/*
 * A Realm's migration policy, as the RMM takes it
 *
 * Purpose: both backends give the RMM the same policy for the same options,
 * since it is measured.
 *
 * Invariants: two machines with the same options make the same bytes, and what
 * no option says is zero.
 *
 * Lock rule: none, no state.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "policy.h"

QEMU_BUILD_BUG_ON(REALM_MAX_ANCHORS != MIG_MAX_ANCHORS);
QEMU_BUILD_BUG_ON(REALM_MAX_RULES != MIG_MAX_RULES);
QEMU_BUILD_BUG_ON(sizeof_field(RealmAnchor, key) !=
                  sizeof_field(MigAnchor, key));
QEMU_BUILD_BUG_ON(sizeof_field(RealmRule, type) != sizeof_field(MigRule, type));
QEMU_BUILD_BUG_ON(sizeof_field(RealmRule, value) !=
                  sizeof_field(MigRule, value));
QEMU_BUILD_BUG_ON(sizeof_field(RealmRule, version) !=
                  sizeof_field(MigRule, version));
QEMU_BUILD_BUG_ON(REALM_IMPLEMENTATION_SIZE !=
                  sizeof_field(MigPolicy, implementation_id));

static uint32_t flags_of(const RealmPolicy *policy)
{
    static const uint32_t life_cycles[] = {
        [RME_GUEST_MIGRATION_LIFE_CYCLE_PLATFORM] = 0,
        [RME_GUEST_MIGRATION_LIFE_CYCLE_SECURED] = MIG_POLICY_SECURED,
        [RME_GUEST_MIGRATION_LIFE_CYCLE_ANY] = MIG_POLICY_ANY_LIFE_CYCLE,
    };

    return life_cycles[policy->life_cycle] |
           (policy->compact == RME_GUEST_MIGRATION_FEATURE_OFF
            ? 0 : MIG_POLICY_COMPACT) |
           (policy->has_implementation ? MIG_POLICY_IMPLEMENTATION : 0);
}

static void pack_anchor(MigAnchor *mig, const RealmAnchor *anchor)
{
    mig->kind = anchor->authority ? MIG_ANCHOR_AUTHORITY : MIG_ANCHOR_KEY;
    memcpy(mig->key, anchor->key, sizeof(mig->key));
}

static void pack_rule(MigRule *mig, const RealmRule *rule)
{
    mig->kind = rule->kind == REALM_RULE_SIGNER ? MIG_RULE_SIGNER
                                                : MIG_RULE_MEASUREMENT;
    mig->value_size = rule->value_size;
    memcpy(mig->type, rule->type, sizeof(mig->type));
    memcpy(mig->value, rule->value, rule->value_size);
    memcpy(mig->version, rule->version, sizeof(mig->version));
}

void realm_policy_pack(MigPolicy *mig, const RealmPolicy *policy)
{
    *mig = (MigPolicy) {
        .version = MIG_POLICY_VERSION,
        .flags = flags_of(policy),
        .num_anchors = policy->num_anchors,
        .num_rules = policy->num_rules,
        .required = policy->compact == RME_GUEST_MIGRATION_FEATURE_REQUIRED
                    ? MIG_FEATURE_COMPACT : 0,
    };
    memcpy(mig->implementation_id, policy->implementation,
           sizeof(mig->implementation_id));
    for (unsigned i = 0; i < policy->num_anchors; i++) {
        pack_anchor(&mig->anchors[i], &policy->anchors[i]);
    }
    for (unsigned i = 0; i < policy->num_rules; i++) {
        pack_rule(&mig->rules[i], &policy->rules[i]);
    }
}
