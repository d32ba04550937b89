/*
 * Live migration of Realms: whether a migration comes to an end
 *
 * Purpose: migration/ram.c sees no private page, so this does for them what it
 * does for the others: measure how fast the guest writes, slow it down if that
 * is too fast (auto-converge), and say in bytes of the stream what is left.
 *
 * Lock rule: called by the thread of the source's migration.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_REALM_CONVERGENCE_H
#define MIGRATION_REALM_CONVERGENCE_H

/*
 * A round begins, in which @pages pages are to be exported; the counters
 * (realm-migration.h) are still those of the round before.  With the BQL.
 */
void realm_convergence_round(uint64_t pages);

/* How many bytes of the stream a page of the round takes: about; at most. */
uint64_t realm_convergence_page_bytes(void);
uint64_t realm_convergence_max_page_bytes(void);

#endif
