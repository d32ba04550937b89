/*
 * The rme-guest object: what the user says about a Realm
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TARGET_ARM_REALM_RME_GUEST_H
#define TARGET_ARM_REALM_RME_GUEST_H

#include "system/confidential-guest-support.h"
#include "system/realm-backend.h"

#define TYPE_RME_GUEST "rme-guest"
OBJECT_DECLARE_SIMPLE_TYPE(RmeGuest, RME_GUEST)

struct RmeGuest {
    ConfidentialGuestSupport parent_obj;

    RealmConfig config;
    const char *policy_property;        /* one that the policy came from */
    char *trust_anchors;        /* the files that they came from */
    char *migration_rules;
};

/* The one rme-guest object, or NULL. */
RmeGuest *rme_guest(void);

/* The rme-guest object that @machine uses: @machine is a Realm; or NULL. */
RmeGuest *rme_guest_of(const MachineState *machine);

#endif
