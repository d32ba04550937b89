/*
 * Realms under TCG: the keys that sign attestation tokens
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef ACCEL_TCG_REALM_MACHINE_KEYS_H
#define ACCEL_TCG_REALM_MACHINE_KEYS_H

#include "target/arm/rmm/rmm.h"

/*
 * Read the keys, or make them; warn if there are none.  Read the platform key's
 * certificates, if the user has given some; warn if they are of no use.
 */
void realm_keys_init(void);

/* RmmOps.key */
size_t realm_key(void *opaque, RmmKey which, void *buf, size_t size);

/* RmmOps.certificates */
size_t realm_certificates(void *opaque, void *buf, size_t size);

#endif
