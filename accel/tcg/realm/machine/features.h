/*
 * Realms under TCG: which features the CPUs of our own host's Realm have
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef ACCEL_TCG_REALM_MACHINE_FEATURES_H
#define ACCEL_TCG_REALM_MACHINE_FEATURES_H

#include "target/arm/cpu-qom.h"

/* Before @cpu is realized: take from it what no word of -cpu asks for. */
bool realm_choose_features(ARMCPU *cpu, Error **errp);

#endif
