/*
 * Realm Translation Tables: the tree itself (see rtt.h)
 *
 * Purpose: walk, and make, take away, fold and read tables; mappings of
 * unprotected IPAs.  What pages hold is in rtt-data.c, dirty state in
 * rtt-dirty.c.
 *
 * Invariants:
 * - Entries of the protected half are UNASSIGNED, ASSIGNED or TABLE; those
 *   of the other half UNASSIGNED_NS, ASSIGNED_NS or TABLE.
 * - ASSIGNED stands at levels 1 to 3.  In a session RTT_FOLD makes no block
 *   (realm_may_fold_pages): at the source there may be some until START, at
 *   the destination there is none.
 *
 * Lock rule: the Realm's lock is held.  Granules of tables and pages that are
 * taken away are the caller's to release (rmm_tlb_sync, walkers_wait).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include "granule.h"
#include "rmm-internal.h"
#include "rtt-desc.h"
#include "rtt-leaf.h"

/*
 * At most 16 start tables, and at least one bit of index (RMM 1.0, A5.2.6;
 * Arm ARM, concatenated translation tables).
 */
unsigned rtt_num_start(unsigned ipa_bits, int level)
{
    unsigned one_table = rtt_shift(level) + 9;

    if (ipa_bits <= rtt_shift(level) || ipa_bits > one_table + 4) {
        return 0;
    }
    return ipa_bits <= one_table ? 1 : 1u << (ipa_bits - one_table);
}

static uint64_t *table_map(RmmRealm *realm, uint64_t table)
{
    return granule_map(realm->rmm, table);
}

void rtt_init_start(RmmRealm *realm)
{
    uint64_t ipa = 0, bytes = rtt_entry_bytes(realm->rtt_level_start);
    unsigned i, n;

    for (n = 0; n < realm->rtt_num_start; n++) {
        uint64_t *entry = table_map(realm, realm->rtt_base +
                                           n * RMM_GRANULE_SIZE);

        for (i = 0; i < RTT_ENTRIES; i++, ipa += bytes) {
            bool ns = ipa >= realm_protected_top(realm);

            desc_init(&entry[i], ns ? DESC_NS : desc_unassigned(RTT_EMPTY));
        }
    }
}

static void walk_decode(RttWalk *walk)
{
    walk->hipas = desc_hipas(walk->desc, walk->level);
    walk->ripas = desc_ripas(walk->desc);
    walk->pa = walk->desc & DESC_PA;
}

void rtt_walk(RmmRealm *realm, uint64_t ipa, int level, RttWalk *walk)
{
    uint64_t index;

    walk->ipa = ipa;
    walk->level = realm->rtt_level_start;
    index = ipa >> rtt_shift(walk->level);
    walk->table = realm->rtt_base + index / RTT_ENTRIES * RMM_GRANULE_SIZE;
    for (;;) {
        walk->index = index % RTT_ENTRIES;
        walk->entry = table_map(realm, walk->table) + walk->index;
        walk->desc = desc_load(walk->entry);
        if (walk->level == level || !desc_is_table(walk->desc, walk->level)) {
            break;
        }
        walk->table = walk->desc & DESC_PA;
        walk->level++;
        index = ipa >> rtt_shift(walk->level);
    }
    walk_decode(walk);
}

void rtt_walk_on(RmmRealm *realm, uint64_t ipa, RttWalk *walk)
{
    unsigned index = ipa / RMM_GRANULE_SIZE % RTT_ENTRIES;

    if (!walk->entry || walk->level != RTT_PAGE_LEVEL ||
        (walk->ipa ^ ipa) >> rtt_shift(RTT_PAGE_LEVEL - 1)) {
        rtt_walk(realm, ipa, RTT_PAGE_LEVEL, walk);
        return;
    }
    walk->ipa = ipa;
    walk->entry += (int)index - (int)walk->index;
    walk->index = index;
    walk->desc = desc_load(walk->entry);
    walk_decode(walk);
}

/* A table with such an entry cannot be destroyed (RMM 1.0, A5.5.6). */
static bool desc_is_live(uint64_t desc, int level)
{
    RttHipas hipas = desc_hipas(desc, level);

    return hipas == RTT_ASSIGNED || hipas == RTT_TABLE;
}

static bool table_is_live(RmmRealm *realm, uint64_t table, int level)
{
    const uint64_t *entry = table_map(realm, table);
    unsigned i;

    for (i = 0; i < RTT_ENTRIES; i++) {
        if (desc_is_live(desc_load(&entry[i]), level)) {
            return true;
        }
    }
    return false;
}

bool rtt_start_is_live(RmmRealm *realm)
{
    unsigned i;

    for (i = 0; i < realm->rtt_num_start; i++) {
        if (table_is_live(realm, realm->rtt_base + i * RMM_GRANULE_SIZE,
                          realm->rtt_level_start)) {
            return true;
        }
    }
    return false;
}

/* A `top` output stops at ASSIGNED_NS as well (RttSkipNonLiveEntries). */
uint64_t rtt_skip_non_live(RmmRealm *realm, const RttWalk *walk, uint64_t ipa)
{
    const uint64_t *entry = table_map(realm, walk->table);
    uint64_t base = ipa & ~(rtt_entry_bytes(walk->level) * RTT_ENTRIES - 1);
    unsigned i;

    for (i = walk->index; i < RTT_ENTRIES; i++) {
        uint64_t desc = desc_load(&entry[i]);

        if (desc_is_live(desc, walk->level) ||
            desc_hipas(desc, walk->level) == RTT_ASSIGNED_NS) {
            break;
        }
    }
    return i == walk->index ? ipa : base + i * rtt_entry_bytes(walk->level);
}

/* A table at @level may be made or taken away at @ipa. */
static bool table_place_ok(const RmmRealm *realm, uint64_t ipa, int64_t level)
{
    return level > realm->rtt_level_start && level <= RTT_PAGE_LEVEL &&
           ipa < realm_ipa_top(realm) &&
           ipa % rtt_entry_bytes((int)level - 1) == 0;
}

/* Entry @i of a new table at @level, if the parent's entry was @desc. */
static uint64_t desc_unfold(uint64_t desc, int level, unsigned i)
{
    switch (desc_hipas(desc, level - 1)) {
    case RTT_ASSIGNED:
    case RTT_ASSIGNED_NS:
        desc += i * rtt_entry_bytes(level);
        if (desc & 1) {
            desc |= desc_leaf(level);
        }
        return desc;
    default:
        return desc;
    }
}

static void table_fill(uint64_t *entry, uint64_t desc, int level)
{
    unsigned i;

    for (i = 0; i < RTT_ENTRIES; i++) {
        desc_init(&entry[i], desc_unfold(desc, level, i));
    }
}

uint64_t rtt_create(RmmRealm *realm, uint64_t rtt, uint64_t ipa,
                    int64_t level)
{
    uint64_t result = RMI_ERROR_INPUT;
    RttWalk walk;

    if (!granule_lock(realm->rmm, rtt, GRANULE_DELEGATED)) {
        return RMI_ERROR_INPUT;
    }
    if (!table_place_ok(realm, ipa, level)) {
        goto refuse;
    }
    rtt_walk(realm, ipa, level - 1, &walk);
    if (walk.level < level - 1 || walk.hipas == RTT_TABLE) {
        result = RMI_RESULT(RMI_ERROR_RTT, walk.level);
        goto refuse;
    }

    granule_claim(realm->rmm, rtt, true);
    do {        /* again if a walker made the leaf dirty meanwhile */
        table_fill(table_map(realm, rtt), walk.desc, level);
    } while (!leaf_replace(walk.entry, &walk.desc, walk.level,
                           rtt | DESC_TABLE, BY_RTT_CREATE));
    granule_unlock_transition(realm->rmm, rtt, GRANULE_RTT);
    return RMI_SUCCESS;

refuse:
    granule_unlock(realm->rmm, rtt);
    return result;
}

/* Replace the table that @walk found by a leaf. */
static void table_remove(RmmRealm *realm, const RttWalk *walk, uint64_t ipa,
                         uint64_t leaf, LeafCall by)
{
    Rmm *rmm = realm->rmm;

    leaf_set(walk->entry, walk->level, leaf, by);
    rmm->ops.tlb_invalidate(rmm->opaque, realm->vmid, ipa,
                            ipa + rtt_entry_bytes(walk->level));
}

uint64_t rtt_destroy(RmmRealm *realm, uint64_t ipa, int64_t level,
                     uint64_t *rtt, uint64_t *top)
{
    RttWalk walk;

    *rtt = 0;
    *top = 0;
    if (!table_place_ok(realm, ipa, level)) {
        return RMI_ERROR_INPUT;
    }
    rtt_walk(realm, ipa, level - 1, &walk);
    if (walk.hipas != RTT_TABLE) {
        *top = rtt_skip_non_live(realm, &walk, ipa);
        return RMI_RESULT(RMI_ERROR_RTT, walk.level);
    }
    if (table_is_live(realm, walk.pa, level)) {
        *top = ipa;
        return RMI_RESULT(RMI_ERROR_RTT, level);
    }
    *rtt = walk.pa;
    table_remove(realm, &walk, ipa,
                 ipa < realm_protected_top(realm)
                 ? desc_unassigned(RTT_DESTROYED) : DESC_NS,
                 BY_RTT_DESTROY);
    if (ipa < realm_protected_top(realm)) {
        realm_reclaimed(realm);
    }
    *top = rtt_skip_non_live(realm, &walk, ipa);
    return RMI_SUCCESS;
}

/* The entry without the bits that a walker may change. */
static uint64_t desc_settled(uint64_t desc, int level)
{
    return desc_is_ram(desc, level) ? desc & ~DESC_DIRTY_STATE : desc;
}

/* The parent's entry that stands for a whole table which begins with @first. */
static uint64_t desc_fold(const RmmRealm *realm, uint64_t first, int level)
{
    switch (desc_hipas(first, level)) {
    case RTT_ASSIGNED:
        return desc_assigned(realm, first & DESC_PA, desc_ripas(first),
                             level - 1);
    case RTT_ASSIGNED_NS:
        return (first & ~DESC_TYPE) | DESC_BLOCK;
    default:
        return first;
    }
}

/*
 * Whether one entry of the parent, *@leaf, can stand for the whole table at
 * @level.
 */
static bool table_is_homogeneous(RmmRealm *realm, uint64_t table, int level,
                                 uint64_t *leaf)
{
    const uint64_t *entry = table_map(realm, table);
    uint64_t first = desc_settled(desc_load(&entry[0]), level);
    RttHipas hipas = desc_hipas(first, level);
    uint64_t step = 0;
    unsigned i;

    if (hipas == RTT_TABLE ||
        (hipas == RTT_ASSIGNED && !realm_may_fold_pages(realm->state))) {
        return false;
    }
    if (hipas == RTT_ASSIGNED || hipas == RTT_ASSIGNED_NS) {
        step = rtt_entry_bytes(level);
        if (level < 2 || (first & DESC_PA) % rtt_entry_bytes(level - 1)) {
            return false;
        }
    }
    for (i = 1; i < RTT_ENTRIES; i++) {
        if (desc_settled(desc_load(&entry[i]), level) != first + i * step) {
            return false;
        }
    }
    *leaf = desc_fold(realm, first, level);
    return true;
}

uint64_t rtt_fold(RmmRealm *realm, uint64_t ipa, int64_t level, uint64_t *rtt)
{
    RttWalk walk;
    uint64_t leaf;

    *rtt = 0;
    if (!table_place_ok(realm, ipa, level)) {
        return RMI_ERROR_INPUT;
    }
    rtt_walk(realm, ipa, level - 1, &walk);
    if (walk.hipas != RTT_TABLE) {
        return RMI_RESULT(RMI_ERROR_RTT, walk.level);
    }
    if (!table_is_homogeneous(realm, walk.pa, level, &leaf)) {
        return RMI_RESULT(RMI_ERROR_RTT, level);
    }
    *rtt = walk.pa;
    table_remove(realm, &walk, ipa, leaf, BY_RTT_FOLD);
    return RMI_SUCCESS;
}

/* The bits of a descriptor of unprotected memory that are the host's. */
static uint64_t host_bits(const RmmRealm *realm)
{
    return realm_has_lpa2(realm) ? DESC_NS_HOST_LPA2 : DESC_NS_HOST;
}

/* RMM 1.0, B4.3.17; never an RTT error, and nothing of our dirty state. */
uint64_t rtt_read_entry(RmmRealm *realm, uint64_t ipa, int64_t level,
                        uint64_t out[4])
{
    RttWalk walk;

    memset(out, 0, 4 * sizeof(*out));
    if (level < realm->rtt_level_start || level > RTT_PAGE_LEVEL ||
        ipa >= realm_ipa_top(realm) || ipa % rtt_entry_bytes(level)) {
        return RMI_ERROR_INPUT;
    }
    rtt_walk(realm, ipa, level, &walk);
    out[0] = walk.level;
    switch (walk.hipas) {
    case RTT_TABLE:
        out[1] = RMI_TABLE;
        out[2] = walk.pa;
        break;
    case RTT_ASSIGNED:
        out[1] = RMI_ASSIGNED;
        out[2] = walk.pa;
        out[3] = walk.ripas;
        break;
    case RTT_ASSIGNED_NS:
        out[1] = RMI_ASSIGNED;
        out[2] = walk.desc & host_bits(realm);
        break;
    case RTT_UNASSIGNED:
        out[3] = walk.ripas;
        break;
    case RTT_UNASSIGNED_NS:
        break;
    }
    return RMI_SUCCESS;
}

/* A leaf for unprotected memory may stand at @ipa and @level. */
static bool unprotected_place_ok(const RmmRealm *realm, uint64_t ipa,
                                 int64_t level)
{
    return level >= 1 && level >= realm->rtt_level_start &&
           level <= RTT_PAGE_LEVEL && ipa % rtt_entry_bytes(level) == 0 &&
           ipa >= realm_protected_top(realm) && ipa < realm_ipa_top(realm);
}

/* RMM 1.0, A5.5.11: OA, MemAttr and S2AP are the host's, nothing else. */
static bool host_desc_ok(const RmmRealm *realm, uint64_t desc, int64_t level)
{
    return !(desc & ~host_bits(realm)) && DESC_NS_ATTR(desc) != 4 &&
           (desc & DESC_PA) % rtt_entry_bytes(level) == 0;
}

uint64_t rtt_map_unprotected(RmmRealm *realm, uint64_t ipa, int64_t level,
                             uint64_t desc)
{
    RttWalk walk;

    if (!unprotected_place_ok(realm, ipa, level) ||
        !host_desc_ok(realm, desc, level)) {
        return RMI_ERROR_INPUT;
    }
    rtt_walk(realm, ipa, level, &walk);
    if (walk.level < level || walk.hipas != RTT_UNASSIGNED_NS) {
        return RMI_RESULT(RMI_ERROR_RTT, walk.level);
    }
    leaf_set(walk.entry, level, desc_assigned_ns(realm, desc, level),
             BY_MAP_UNPROTECTED);
    return RMI_SUCCESS;
}

uint64_t rtt_unmap_unprotected(RmmRealm *realm, uint64_t ipa, int64_t level,
                               uint64_t *top)
{
    Rmm *rmm = realm->rmm;
    uint64_t result = RMI_SUCCESS;
    RttWalk walk;

    *top = 0;
    if (!unprotected_place_ok(realm, ipa, level)) {
        return RMI_ERROR_INPUT;
    }
    rtt_walk(realm, ipa, level, &walk);
    if (walk.level < level || walk.hipas != RTT_ASSIGNED_NS) {
        result = RMI_RESULT(RMI_ERROR_RTT, walk.level);
    } else {
        leaf_set(walk.entry, level, DESC_NS, BY_UNMAP_UNPROTECTED);
        rmm->ops.tlb_invalidate(rmm->opaque, realm->vmid, ipa,
                                ipa + rtt_entry_bytes(level));
    }
    *top = rtt_skip_non_live(realm, &walk, ipa);
    return result;
}
