/*
 * Realms under TCG: a PE's registers as one blob
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef ACCEL_TCG_REALM_MACHINE_CONTEXT_H
#define ACCEL_TCG_REALM_MACHINE_CONTEXT_H

/* RmmOps.context_save, _load, which keeps what it is given, and _wipe. */
size_t realm_context_save(void *opaque, uint64_t mpidr, void *buf, size_t size);
bool realm_context_load(void *opaque, uint64_t mpidr, const void *buf,
                        size_t size);
void realm_context_wipe(void *opaque, uint64_t mpidr);

#endif
