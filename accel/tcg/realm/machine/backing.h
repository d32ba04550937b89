/*
 * Realms under TCG: what backs private RAM
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef ACCEL_TCG_REALM_MACHINE_BACKING_H
#define ACCEL_TCG_REALM_MACHINE_BACKING_H

#include "system/hostmem.h"

/*
 * @size bytes of private memory like the memory of the machine, which owns
 * them.  Call it once for a @name; if it fails, the machine cannot be.
 */
HostMemoryBackend *realm_backing_new(const char *name, uint64_t size,
                                     Error **errp);

#endif
