/*
 * Realms under TCG: the host's own memory, which the RMM reads and writes
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef ACCEL_TCG_REALM_HOST_BUFFERS_H
#define ACCEL_TCG_REALM_HOST_BUFFERS_H

/* Make @count run pages; once. */
void realm_buffers_init(unsigned count);

/* Host address and PA of run page @n; there is one for each vCPU. */
void *realm_run_page(unsigned n, uint64_t *pa);

/*
 * Show @size bytes at @host to the RMM, in calls that this thread makes; until
 * the same @window (0 to 3) is used again.  Returns the PA.
 */
uint64_t realm_window(unsigned window, const void *host, size_t size);

/* RealmHostOps.ns */
void *realm_buffers_ns(uint64_t pa, size_t len);

#endif
