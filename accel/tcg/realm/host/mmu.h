/*
 * Realms under TCG: the host's half of stage 2
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef ACCEL_TCG_REALM_HOST_MMU_H
#define ACCEL_TCG_REALM_HOST_MMU_H

#include "qemu/thread.h"
#include "system/realm-backend.h"

/* The host's tables and granules. */
extern QemuMutex realm_mmu_lock;

/* Bytes of extra granules that all of the Realm's tables and RECs take. */
uint64_t realm_mmu_extra_size(const RealmConfig *config);

void realm_mmu_init(const RealmConfig *config);

/* The caller of these holds realm_mmu_lock, or no REC was entered yet. */

/* Delegate the page of RAM at @ipa; true if it is the RMM's afterwards. */
bool realm_mmu_delegate(uint64_t ipa);

/*
 * PA of @count contiguous granules aligned to their total size (@count is a
 * power of two), delegated: for tables and descriptors.  They are the RMM's
 * until realm_mmu_undelegate_all.
 */
uint64_t realm_mmu_new_granules(unsigned count);

/* The level at which the walk of a Realm's tables begins */
int realm_mmu_start_level(const RealmConfig *config);

/* Make a table at @level for @ipa; returns RMI's result. */
uint64_t realm_mmu_create_table(uint64_t ipa, unsigned level);

/* Create the tables that a page at @ipa needs; on an error, RMI's result. */
uint64_t realm_mmu_create_tables(uint64_t ipa);

/* These take realm_mmu_lock. */

/*
 * Make RMI call @fid (RTT_INIT_RIPAS, or RTT_SET_RIPAS for the REC at PA @rec)
 * for [*@base, @top), as often as that takes; *@base is how far that went.  A
 * block that changes only in part becomes a table.  Returns RMI's result.
 */
uint64_t realm_mmu_call_for_range(uint64_t fid, uint64_t rec, uint64_t *base,
                                  uint64_t top);

/*
 * For @n pages that arrive, whose IPAs are in RAM; several threads at once, for
 * the same pages too.
 *
 * @populate: the kernel's memory, for those that are about to be written whole.
 *
 * @prepare_pages: tables and granules.  What was delegated when this fails
 * stays the RMM's, and is known to be.
 */
bool realm_mmu_populate(const uint64_t *ipas, size_t n, Error **errp);
bool realm_mmu_prepare_pages(const uint64_t *ipas, size_t n, Error **errp);

/* Assign or lend what @ipa needs; false if the host has nothing for it. */
bool realm_mmu_fault(uint64_t ipa);

/*
 * Protected [@base, @top) has RIPAS EMPTY or RAM now: take back the Realm's
 * pages, or what was lent at the same place.  All vCPUs are excluded.
 */
void realm_mmu_reclaim(uint64_t base, uint64_t top);
void realm_mmu_unlend(uint64_t base, uint64_t top);

/*
 * The Realm ends, and has no RECs: take back its pages, what was lent, and all
 * tables but those at the start level.
 */
void realm_mmu_dismantle(void);

/* There is no Realm: all that the RMM has is the host's again. */
void realm_mmu_undelegate_all(void);

/* Fold the blocks of the images; there are no RECs yet. */
void realm_mmu_fold_images(void);

/*
 * A migration begins: no new blocks until realm_mmu_fold_all, and when it
 * collects pages, none at all.
 */
void realm_mmu_stop_folding(void);
bool realm_mmu_unfold_all(void);
void realm_mmu_fold_all(void);

/* These do not take it, and need not be called with it. */

/* RealmHostOps.is_lendable: an unprotected IPA with the board's RAM behind. */
bool realm_mmu_is_lendable(uint64_t ipa);

/*
 * The board's RAM in [@base, @top) is shared, or is no longer: lend it, or
 * give what backs it back to the kernel.
 */
bool realm_mmu_share(uint64_t base, uint64_t top, Error **errp);
void realm_mmu_discard_shared(uint64_t base, uint64_t top);

#endif
