/*
 * Dirty state of a Realm's pages, and the map of its RIPAS (see rtt.h)
 *
 * Purpose: what a migration session asks of the tables.
 *
 * Invariant: a page is dirty or PENDING if its contents differ from those that
 * were last taken.  So a page that is neither need not be sent again.
 *
 * Lock rule: the Realm's lock is held, so tables stand still.  Leaves are
 * changed by compare-and-swap, since walkers make them dirty meanwhile.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "granule.h"
#include "lock.h"
#include "rmm-internal.h"
#include "rtt-desc.h"
#include "rtt-leaf.h"

/* What to do with the RAM leaves of [base, top) that have a bit of @mask. */
typedef struct PageVisitor {
    uint64_t base;
    uint64_t top;
    uint64_t mask;
    void (*visit)(struct PageVisitor *v, uint64_t *entry, uint64_t desc,
                  uint64_t ipa);
    uint64_t count;
    bool cleaned;               /* a page was dirty and is not any more */
    int level;                  /* of the leaf that is visited */
    RttPageFn *fn;
    void *opaque;
} PageVisitor;

/* The entries of the table at @first_ipa that meet the visitor's range. */
static void table_range(const PageVisitor *v, uint64_t first_ipa, int level,
                        unsigned *from, unsigned *to)
{
    uint64_t bytes = rtt_entry_bytes(level);
    uint64_t end = first_ipa + RTT_ENTRIES * bytes;

    *from = v->base > first_ipa ? (v->base - first_ipa) / bytes : 0;
    *to = v->top < end ? (v->top - first_ipa + bytes - 1) / bytes
                       : RTT_ENTRIES;
}

/* Most pages are clean in most rounds: each costs one load and one test. */
static void visit_table(RmmRealm *realm, PageVisitor *v, uint64_t table,
                        int level, uint64_t first_ipa)
{
    uint64_t *entry = granule_map(realm->rmm, table);
    unsigned i, to;

    table_range(v, first_ipa, level, &i, &to);
    for (; i < to; i++) {
        uint64_t desc = desc_load(&entry[i]);
        uint64_t ipa = first_ipa + i * rtt_entry_bytes(level);

        if (desc_is_table(desc, level)) {
            visit_table(realm, v, desc & DESC_PA, level + 1, ipa);
        } else if ((desc & v->mask) && desc_is_ram(desc, level)) {
            v->level = level;
            v->visit(v, &entry[i], desc, ipa);
        }
    }
}

static uint64_t visit_pages(RmmRealm *realm, PageVisitor *v)
{
    int level = realm->rtt_level_start;
    uint64_t bytes = RTT_ENTRIES * rtt_entry_bytes(level);
    unsigned i;

    v->top = MIN(v->top, realm_protected_top(realm));
    for (i = 0; v->base < v->top && i < realm->rtt_num_start; i++) {
        if (v->base < (i + 1) * bytes && v->top > i * bytes) {
            visit_table(realm, v, realm->rtt_base + i * RMM_GRANULE_SIZE,
                        level, i * bytes);
        }
    }
    return v->count;
}

void rtt_owe_all(RmmRealm *realm)
{
    realm->owed_from = 0;
}

static void mark_page(PageVisitor *v, uint64_t *entry, uint64_t desc,
                      uint64_t ipa)
{
    while ((desc & (DESC_PENDING | DESC_S2AP_W)) != DESC_S2AP_W) {
        desc_change_dirty(entry, &desc, v->level, DESC_PENDING, DESC_S2AP_W);
    }
}

/*
 * From here on the entries below @top say what is owed.  Permissions are only
 * added: PEs need not be told.
 */
static void mark_owed(RmmRealm *realm, uint64_t top)
{
    PageVisitor v = {
        .base = realm->owed_from, .top = top, .mask = DESC_AF,
        .visit = mark_page
    };

    if (v.base < top) {
        visit_pages(realm, &v);
        realm->owed_from = v.top;
    }
}

bool rtt_catch_up(RmmRealm *realm, uint64_t top, uint32_t entries)
{
    mark_owed(realm, rtt_reach(realm, realm->owed_from, top, entries));
    return realm->owed_from >= top;
}

static void collect_page(PageVisitor *v, uint64_t *entry, uint64_t desc,
                         uint64_t ipa)
{
    while (desc & DESC_S2AP_W) {
        v->cleaned |= desc_change_dirty(entry, &desc, v->level, DESC_S2AP_W,
                                        DESC_DBM | DESC_PENDING);
    }
    v->count++;
    if (v->fn) {
        v->fn(v->opaque, ipa);
    }
}

uint64_t rtt_collect_dirty(RmmRealm *realm, uint64_t base, uint64_t top,
                           RttPageFn *fn, void *opaque, bool *cleaned)
{
    PageVisitor v = {
        .base = base, .top = top, .mask = DESC_S2AP_W | DESC_PENDING,
        .visit = collect_page, .fn = fn, .opaque = opaque
    };
    uint64_t count;

    mark_owed(realm, top);
    count = visit_pages(realm, &v);
    if (cleaned) {
        *cleaned |= v.cleaned;
    }
    return count;
}

static void count_pages(PageVisitor *v, uint64_t *entry, uint64_t desc,
                        uint64_t ipa)
{
    uint64_t end = MIN(ipa + rtt_entry_bytes(v->level), v->top);

    v->count += (end - MAX(ipa, v->base)) / RMM_GRANULE_SIZE;
}

bool rtt_find_block(RmmRealm *realm, uint64_t base, uint64_t top,
                    RttWalk *walk)
{
    while (base < top) {
        rtt_walk(realm, base, RTT_PAGE_LEVEL - 1, walk);
        walk->ipa = rtt_entry_base(base, walk->level);
        if (walk->hipas == RTT_ASSIGNED) {
            return true;
        }
        base = walk->ipa + rtt_entry_bytes(walk->level);
    }
    return false;
}

bool rtt_has_blocks(RmmRealm *realm)
{
    RttWalk walk;

    return rtt_find_block(realm, 0, realm_protected_top(realm), &walk);
}

uint64_t rtt_count_unexported(RmmRealm *realm)
{
    PageVisitor collected = {
        .top = realm->owed_from, .mask = DESC_S2AP_W | DESC_PENDING,
        .visit = count_pages
    };
    PageVisitor rest = {
        .base = realm->owed_from, .top = UINT64_MAX, .mask = DESC_AF,
        .visit = count_pages
    };

    return visit_pages(realm, &collected) + visit_pages(realm, &rest);
}

uint64_t rtt_count_assigned(RmmRealm *realm)
{
    PageVisitor v = {
        .top = UINT64_MAX, .mask = DESC_AF, .visit = count_pages
    };

    return visit_pages(realm, &v);
}

/* Swap PENDING in what @walk found, if that is RAM and the bit is @now. */
static bool swap_pending(RttWalk *walk, bool now)
{
    bool done = false;

    while (!done && desc_is_ram(walk->desc, walk->level) &&
           !(walk->desc & DESC_PENDING) == !now) {
        done = desc_change_dirty(walk->entry, &walk->desc, walk->level,
                                 now ? DESC_PENDING : 0,
                                 now ? 0 : DESC_PENDING);
    }
    return done;
}

bool rtt_take_pending(RmmRealm *realm, uint64_t ipa, RttWalk *walk)
{
    if (ipa >= realm->owed_from) {      /* not collected in this session */
        return false;
    }
    rtt_walk_on(realm, ipa, walk);
    return swap_pending(walk, true);
}

bool rtt_put_pending(RmmRealm *realm, uint64_t ipa)
{
    RttWalk walk;

    if (ipa >= realm_protected_top(realm)) {
        return false;
    }
    rtt_walk(realm, ipa, RTT_PAGE_LEVEL, &walk);
    return swap_pending(&walk, false);
}

bool rtt_has_arrived(const RttWalk *walk)
{
    return desc_is_ram(walk->desc, walk->level) &&
           (walk->desc & DESC_PENDING);
}

void rtt_mark_arrived(RmmRealm *realm, uint64_t *entry)
{
    uint64_t desc = desc_load(entry);

    if (!desc_is_ram(desc, RTT_PAGE_LEVEL)) {
        desc = desc_assigned(realm, desc & DESC_PA, RTT_RAM, RTT_PAGE_LEVEL);
        leaf_set(entry, RTT_PAGE_LEVEL, desc, BY_IMPORT_RIPAS);
    }
    while (!desc_change_dirty(entry, &desc, RTT_PAGE_LEVEL, 0, DESC_ARRIVED)) {
        /* Somebody changed the dirty state: once more. */
    }
}

static void forget_page(PageVisitor *v, uint64_t *entry, uint64_t desc,
                        uint64_t ipa)
{
    while (!desc_change_dirty(entry, &desc, v->level,
                              DESC_PENDING | DESC_DBM, DESC_S2AP_W)) {
        /* Somebody changed the dirty state: once more. */
    }
}

void rtt_forget_arrived(RmmRealm *realm)
{
    PageVisitor v = {
        .top = UINT64_MAX, .mask = DESC_PENDING, .visit = forget_page
    };

    visit_pages(realm, &v);
}

/* A run that may go on with the next leaf. */
typedef struct RipasRun {
    RttRipasFn *fn;
    void *opaque;
    uint64_t base;
    uint64_t end;               /* == base: nothing yet */
    RttHipas hipas;
    RttRipas ripas;
} RipasRun;

static bool run_flush(const RipasRun *run)
{
    return run->end == run->base ||
           run->fn(run->opaque, run->base, run->end - run->base,
                   run->hipas, run->ripas);
}

static bool run_add(RipasRun *run, uint64_t base, uint64_t end,
                    uint64_t desc, int level)
{
    RttHipas hipas = desc_hipas(desc, level);
    RttRipas ripas = desc_ripas(desc);

    if (run->end > run->base && run->hipas == hipas && run->ripas == ripas) {
        run->end = end;
        return true;
    }
    if (!run_flush(run)) {
        return false;
    }
    run->base = base;
    run->end = end;
    run->hipas = hipas;
    run->ripas = ripas;
    return true;
}

bool rtt_for_each_ripas(RmmRealm *realm, uint64_t base, uint64_t top,
                        RttRipasFn *fn, void *opaque)
{
    RipasRun run = { .fn = fn, .opaque = opaque };
    uint64_t ipa = base;
    RttWalk walk;

    top = MIN(top, realm_protected_top(realm));
    while (ipa < top) {
        rtt_walk(realm, ipa, RTT_PAGE_LEVEL, &walk);
        /* To the end of the table, or the next table below this one. */
        for (; walk.index < RTT_ENTRIES && ipa < top; walk.index++) {
            uint64_t desc = desc_load(walk.entry++);
            uint64_t end = rtt_entry_base(ipa, walk.level) +
                           rtt_entry_bytes(walk.level);

            if (desc_is_table(desc, walk.level)) {
                break;
            }
            if (!run_add(&run, ipa, MIN(end, top), desc, walk.level)) {
                return false;
            }
            ipa = end;
        }
    }
    return run_flush(&run);
}

uint64_t rtt_reach(RmmRealm *realm, uint64_t base, uint64_t top,
                   uint32_t entries)
{
    uint64_t ipa = base;
    RttWalk walk;

    while (ipa < top && entries) {
        rtt_walk(realm, ipa, RTT_PAGE_LEVEL, &walk);
        /* To the end of the table, or the next table below this one. */
        for (; walk.index < RTT_ENTRIES && ipa < top && entries;
             walk.index++, entries--) {
            if (desc_is_table(desc_load(walk.entry++), walk.level)) {
                break;
            }
            ipa = rtt_entry_base(ipa, walk.level) +
                  rtt_entry_bytes(walk.level);
        }
    }
    return MIN(ipa, top);
}

static bool wipe_run(void *opaque, uint64_t ipa, uint64_t bytes,
                     RttHipas hipas, RttRipas ripas)
{
    RmmRealm *realm = opaque;
    uint64_t top = ipa + bytes;
    RttWalk walk;

    for (; hipas == RTT_ASSIGNED && ipa < top; ipa += RMM_GRANULE_SIZE) {
        rtt_walk(realm, ipa, RTT_PAGE_LEVEL, &walk);
        granule_wipe(realm->rmm, walk.pa);
    }
    return true;
}

void rtt_wipe_pages(RmmRealm *realm, uint64_t base, uint64_t top)
{
    rtt_for_each_ripas(realm, base, top, wipe_run, realm);
}
