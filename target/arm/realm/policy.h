/*
 * A Realm's migration policy, as the RMM takes it
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TARGET_ARM_REALM_POLICY_H
#define TARGET_ARM_REALM_POLICY_H

#include "system/realm-backend.h"
#include "target/arm/rmm/mig-abi.h"

/* Write @policy to @mig, all of it, for MIG_SET_POLICY. */
void realm_policy_pack(MigPolicy *mig, const RealmPolicy *policy);

#endif
