/*
 * Realms under TCG: what the RMM offers on the machine's CPUs
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef ACCEL_TCG_REALM_MACHINE_PLATFORM_H
#define ACCEL_TCG_REALM_MACHINE_PLATFORM_H

#include "target/arm/cpu-qom.h"
#include "target/arm/rmm/rmm.h"

/*
 * Set what RMI_FEATURES says of CPUs: addresses, breakpoints, watchpoints, SVE
 * and PMU; the rest of @platform stays as it is.  The features of @cpu are
 * final: it is realized, or arm_cpu_finalize_features was called.
 */
void realm_platform_of_cpu(ARMCPU *cpu, RmmPlatform *platform);

/* What a machine does to each of its CPUs before that is realized. */
typedef bool RealmChooseFeatures(ARMCPU *cpu, Error **errp);

/*
 * The same before the first CPU exists: of a CPU of the class @cpu_type, with
 * the properties that -cpu gives it, and after @choose, which may be NULL.
 * The error is what realizing such a CPU would say.
 */
bool realm_platform_of_type(const char *cpu_type, RealmChooseFeatures *choose,
                            RmmPlatform *platform, Error **errp);

#endif
