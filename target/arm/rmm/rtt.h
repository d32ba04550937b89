/*
 * Realm Translation Tables: stage 2 of a Realm, as real descriptors
 *
 * Purpose: encodings, walks, the RMI calls on tables, and the dirty state of
 * pages.  A table is a granule in state RTT; a walker like the hardware's
 * needs nothing but the descriptors.
 *
 * Descriptors (4 KiB granule, protected unless said otherwise):
 *
 *   UNASSIGNED           RIPAS in bits 6:5, the rest 0
 *   ASSIGNED, not RAM    PA, RIPAS in 6:5, bit 2, ownership in 57:56
 *   ASSIGNED, RAM        PA | 0x7db (page), PA | 0x7d9 (block);
 *                        0x4db and 0x4d9 with LPA2, which has no SH
 *   UNASSIGNED_NS        bit 55                          (unprotected)
 *   ASSIGNED_NS          host's OA, MemAttr, S2AP; AF, bits 54 and 55,
 *                        ownership in 57:56
 *   TABLE                PA | 3
 *
 * Ownership of what a leaf names, our extension: a function of HIPAS and
 * RIPAS, and written with them by whoever sets a leaf (rtt-leaf.h).
 *
 *   0  OWNED    ASSIGNED, RAM        the Realm's alone
 *   1  EMPTIED  ASSIGNED, EMPTY      the Realm gave it up: the host may
 *                                    take it back, nothing is lost
 *   2  LENT     ASSIGNED_NS          the host's memory, lent to the Realm
 *
 * ASSIGNED with RIPAS DESTROYED is nobody's: the Realm lost it and the host
 * cannot reach it.  Its bits are 0, like those of entries without a page.
 *
 * Dirty state of an ASSIGNED RAM page, our extension.  RMM 1.0 has none and
 * sees none of it: no RMI output shows these bits.
 *
 *   S2AP[1] (bit 7)  writable; set means dirty
 *   DBM (bit 51)     a walker may set S2AP[1]; set by the first collection
 *   PENDING (bit 58) was collected as dirty, contents not taken yet
 *
 *                     collect                         take
 *   dirty -----------------------> clean+PENDING ------------> clean
 *     ^ ^  write to clean+PENDING        |                       |
 *     | +------- (dirty+PENDING) <-------+        write          |
 *     +----------------------------------------------------------+
 *
 * A page is dirty when it is assigned or becomes RAM.
 *
 * Lock rule: the Realm's lock is held, unless a comment says otherwise.
 * Writers under the lock race with walkers; see lock.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef RMM_RTT_H
#define RMM_RTT_H

#include "realm.h"

#define RTT_ENTRIES     512
#define RTT_PAGE_LEVEL  3

typedef enum RttHipas {
    RTT_UNASSIGNED, RTT_ASSIGNED, RTT_TABLE,
    RTT_UNASSIGNED_NS, RTT_ASSIGNED_NS
} RttHipas;

typedef enum RttRipas {
    RTT_EMPTY, RTT_RAM, RTT_DESTROYED
} RttRipas;

typedef enum RttOwnership {
    RTT_OWNED, RTT_EMPTIED, RTT_LENT,
    RTT_NOBODYS,                /* never in the bits of an entry */
    RTT_OWNERSHIPS
} RttOwnership;

/* Bits of IPA below the index of a table at @level. */
static inline unsigned rtt_shift(int level)
{
    return RMM_GRANULE_SHIFT + 9 * (RTT_PAGE_LEVEL - level);
}

/* IPA range of one entry at @level. */
static inline uint64_t rtt_entry_bytes(int level)
{
    return 1ull << rtt_shift(level);
}

/* Start tables that @ipa_bits need at @level; 0 if they do not fit. */
unsigned rtt_num_start(unsigned ipa_bits, int level);

/* Give the start tables (locked by the caller) their first contents. */
void rtt_init_start(RmmRealm *realm);

/* A start table holds a table or an assigned page (RMM 1.0, A2.1.4). */
bool rtt_start_is_live(RmmRealm *realm);

/* The entry a walk ended at. */
typedef struct RttWalk {
    uint64_t ipa;               /* where it went */
    uint64_t *entry;            /* NULL: nowhere yet */
    uint64_t desc;
    uint64_t table;             /* PA of the table that holds it */
    unsigned index;
    int level;
    RttHipas hipas;
    RttRipas ripas;             /* UNASSIGNED and ASSIGNED only */
    uint64_t pa;                /* ASSIGNED, ASSIGNED_NS and TABLE */
} RttWalk;

/* Walk to @ipa, at most to @level.  @ipa is within the IPA width. */
void rtt_walk(RmmRealm *realm, uint64_t ipa, int level, RttWalk *walk);

/*
 * Walk to the page at @ipa, as rtt_walk does: from where @walk ended, if the
 * same table has both.  The Realm's lock was held all the time since.
 */
void rtt_walk_on(RmmRealm *realm, uint64_t ipa, RttWalk *walk);

/*
 * The `top` output of calls that take something away: @ipa if the entry that
 * @walk found is live, even if it begins before (RMM 1.0, B4.3.3.1.3); else
 * the next live entry in @walk's table, or the end of that table.
 */
uint64_t rtt_skip_non_live(RmmRealm *realm, const RttWalk *walk,
                           uint64_t ipa);

/*
 * The RMI calls; each returns the result word and sets all outputs.  The tables
 * no longer name a granule in @rtt or @data, but PEs and walkers may still know
 * it.  So the caller calls rmm_tlb_sync (and walkers_wait) before it releases
 * the granule; it calls rmm_tlb_sync after every call that takes something
 * away.
 */
uint64_t rtt_create(RmmRealm *realm, uint64_t rtt, uint64_t ipa,
                    int64_t level);
uint64_t rtt_destroy(RmmRealm *realm, uint64_t ipa, int64_t level,
                     uint64_t *rtt, uint64_t *top);
uint64_t rtt_fold(RmmRealm *realm, uint64_t ipa, int64_t level,
                  uint64_t *rtt);
uint64_t rtt_read_entry(RmmRealm *realm, uint64_t ipa, int64_t level,
                        uint64_t out[4]);
uint64_t rtt_map_unprotected(RmmRealm *realm, uint64_t ipa, int64_t level,
                             uint64_t desc);
uint64_t rtt_unmap_unprotected(RmmRealm *realm, uint64_t ipa, int64_t level,
                               uint64_t *top);
uint64_t rtt_init_ripas(RmmRealm *realm, uint64_t base, uint64_t top,
                        uint64_t *out_top);
/* @base and @top are checked by the caller against the REC's request. */
uint64_t rtt_set_ripas(RmmRealm *realm, uint64_t base, uint64_t top,
                       RttRipas ripas, bool change_destroyed,
                       uint64_t *out_top);

/*
 * Assign the granule at @data.  @src is the contents to copy in, or NULL for
 * zeros; with @src the page becomes RAM, without it keeps its RIPAS.
 */
uint64_t rtt_data_create(RmmRealm *realm, uint64_t data, uint64_t ipa,
                         const void *src);
uint64_t rtt_data_destroy(RmmRealm *realm, uint64_t ipa,
                          uint64_t *data, uint64_t *top);

/* RIPAS at @base, and how far it goes in the same table, up to @top. */
RttRipas rtt_ripas_run(RmmRealm *realm, uint64_t base, uint64_t top,
                       uint64_t *out_top);

/* What the RMM itself meets at a protected IPA, for RSI buffers. */
typedef enum RttAccess {
    RTT_ACCESS_OK, RTT_ACCESS_EMPTY, RTT_ACCESS_FAULT
} RttAccess;

/*
 * PA of the byte at @ipa; the page becomes dirty if @write.  *@level is where
 * the walk ended.
 */
RttAccess rtt_access(RmmRealm *realm, uint64_t ipa, bool write,
                     uint64_t *pa, int *level);
/* Copy @len bytes within one granule, to the Realm if @write. */
RttAccess rtt_copy(RmmRealm *realm, uint64_t ipa, bool write, void *buf,
                   size_t len, int *level);

/*
 * Add to @pages the 4 KiB that some leaves name, from @ipa on in either half:
 * those of one table, at most.  Returns the IPA behind them, which is that of
 * the Realm's end after the last one.
 */
uint64_t rtt_count_pages(RmmRealm *realm, uint64_t ipa, RmmPages *pages);

/* ---- for migration sessions ---- */

/*
 * The first block that is ASSIGNED in [@base, @top), with any RIPAS: @walk ends
 * there, with the IPA where it begins, which may be below @base.  False if there
 * is none.  A block has one dirty state for all its pages, and no page of it
 * can be taken or dropped.
 */
bool rtt_find_block(RmmRealm *realm, uint64_t base, uint64_t top,
                    RttWalk *walk);

/* Whether there is a block anywhere */
bool rtt_has_blocks(RmmRealm *realm);

/*
 * A session starts: every assigned RAM page is owed.  This looks at no table:
 * what entries still say of an earlier session counts for nothing from
 * RmmRealm.owed_from on, where each page is dirty and none is PENDING.
 */
void rtt_owe_all(RmmRealm *realm);

/*
 * Move RmmRealm.owed_from up to @top, through at most @entries entries, and
 * make the pages below it dirty that an earlier session left clean.  True once
 * it is there.
 */
bool rtt_catch_up(RmmRealm *realm, uint64_t top, uint32_t entries);

typedef void RttPageFn(void *opaque, uint64_t ipa);

/*
 * Every dirty page in [@base, @top), which has no block, becomes clean and
 * PENDING; then @fn sees every PENDING page of the range, in order of IPA.
 * Returns how many @fn saw.  @fn must not change tables; it may be NULL.
 *
 * *@cleaned becomes true if any was dirty; it may be NULL.  Then the caller
 * makes PEs drop their translations before anybody reads a page.  Otherwise
 * there is nothing to drop: a translation that allows writes is made of a
 * descriptor with S2AP[1] only, and whoever cleared that bit since has dropped
 * it, or is about to.
 *
 * It first catches up to @top, whatever that takes.  So the work goes with the
 * range for who has caught up to @base before.
 */
uint64_t rtt_collect_dirty(RmmRealm *realm, uint64_t base, uint64_t top,
                           RttPageFn *fn, void *opaque, bool *cleaned);

/*
 * If the page at @ipa is PENDING, it is no longer, and @walk->pa is its
 * granule.  @walk is that of the page before, as for rtt_walk_on.  The
 * contents may be read under the same hold of the Realm's lock only, since the
 * host may destroy the page at any other time.
 */
bool rtt_take_pending(RmmRealm *realm, uint64_t ipa, RttWalk *walk);

/* Make it PENDING again: its contents were taken but not sent. */
bool rtt_put_pending(RmmRealm *realm, uint64_t ipa);

/* Pages that are dirty or PENDING. */
uint64_t rtt_count_unexported(RmmRealm *realm);

/* Assigned RAM pages. */
uint64_t rtt_count_assigned(RmmRealm *realm);

/* False: no more of them. */
typedef bool RttRipasFn(void *opaque, uint64_t ipa, uint64_t bytes,
                        RttHipas hipas, RttRipas ripas);

/*
 * Runs of equal HIPAS and RIPAS that cover the protected IPAs in
 * [@base, @top), in order, as long as possible.  Looks at each entry once,
 * and at few behind the run at which @fn says false; then returns false.
 * @fn may change the leaves that it is shown, but no table.
 */
bool rtt_for_each_ripas(RmmRealm *realm, uint64_t base, uint64_t top,
                        RttRipasFn *fn, void *opaque);

/*
 * How far from @base on tables have @entries entries: the end of one, at most
 * @top.  The work of the calls above goes with them.
 */
uint64_t rtt_reach(RmmRealm *realm, uint64_t base, uint64_t top,
                   uint32_t entries);

/* Wipe the assigned pages in [@base, @top) and their tags; they stay. */
void rtt_wipe_pages(RmmRealm *realm, uint64_t base, uint64_t top);

/*
 * Destination: which pages came in this epoch.  A page that did is PENDING, and
 * nobody else makes pages PENDING in IMPORT.
 */
bool rtt_has_arrived(const RttWalk *walk);

/*
 * The granule at @pa (state DELEGATED, and the lock of it not held) becomes the
 * page that is UNASSIGNED in @entry, of a table of pages: RIPAS RAM, dirty, and
 * it has arrived.  What it holds is the caller's to write: no Realm reads it
 * while a session fills it, and when that fails, none ever does.
 * RMI_ERROR_INPUT if the granule is another's now.
 */
uint64_t rtt_import_data(RmmRealm *realm, uint64_t *entry, uint64_t pa);

/* The page assigned in @entry came; whatever RIPAS it had, it is RAM now. */
void rtt_mark_arrived(RmmRealm *realm, uint64_t *entry);

/* A new epoch, or none any more: no page has come. */
void rtt_forget_arrived(RmmRealm *realm);

/* The page at @ipa goes and leaves @ripas; its granule is DELEGATED again. */
void rtt_import_drop(RmmRealm *realm, uint64_t ipa, RttRipas ripas);

/*
 * Destination: set the RIPAS of [@base, @top) whatever it was, assigned or
 * not.  Stops before an entry that reaches beyond @top: *@out_top says where
 * (== @top if all was done).  RMI_ERROR_RTT if nothing could be done: a
 * table is missing at the level in the index.
 */
uint64_t rtt_set_ripas_import(RmmRealm *realm, uint64_t base, uint64_t top,
                              RttRipas ripas, uint64_t *out_top);

#endif
