/*
 * Realms under TCG: what every machine gives the RMM, whoever the host is
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef ACCEL_TCG_REALM_MACHINE_SERVICES_H
#define ACCEL_TCG_REALM_MACHINE_SERVICES_H

#include "target/arm/rmm/rmm.h"

/* RmmOps.random, .seconds, .log and .log_all */
void realm_random(void *opaque, void *buf, size_t len);
uint64_t realm_seconds(void *opaque);
void realm_log(void *opaque, const RmmLog *entry);
bool realm_log_all(void *opaque);

#endif
