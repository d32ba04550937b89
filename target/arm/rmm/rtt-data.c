/*
 * Pages and RIPAS of a Realm (see rtt.h)
 *
 * Purpose: the calls that assign pages, take them away, and change what the
 * Realm was promised about an IPA (RMM 1.0, A5.2.2 and A5.4).
 *
 * Invariant: once the Realm is active, the host alone can change a RIPAS to
 * DESTROYED only.
 *
 * Lock rule: the Realm's lock is held.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include "granule.h"
#include "measurement.h"
#include "rmm-internal.h"
#include "rtt-desc.h"
#include "rtt-leaf.h"

static bool page_ok(const RmmRealm *realm, uint64_t ipa)
{
    return ipa % RMM_GRANULE_SIZE == 0 && ipa < realm_protected_top(realm);
}

/* Walk to the page at @ipa, to be assigned; the result word if it cannot. */
static uint64_t walk_unassigned(RmmRealm *realm, uint64_t ipa, RttWalk *walk)
{
    if (!page_ok(realm, ipa)) {
        return RMI_ERROR_INPUT;
    }
    rtt_walk(realm, ipa, RTT_PAGE_LEVEL, walk);
    if (walk->level < RTT_PAGE_LEVEL || walk->hipas != RTT_UNASSIGNED) {
        return RMI_RESULT(RMI_ERROR_RTT, walk->level);
    }
    return RMI_SUCCESS;
}

/* Assign @data, locked and DELEGATED, if the walk allows; unlock it. */
static uint64_t assign_locked(RmmRealm *realm, uint64_t data, uint64_t ipa,
                              const void *src)
{
    RttWalk walk;
    uint64_t result = walk_unassigned(realm, ipa, &walk);

    if (result != RMI_SUCCESS) {
        granule_unlock(realm->rmm, data);
        return result;
    }
    granule_claim(realm->rmm, data, src);
    if (src) {
        memcpy(granule_map(realm->rmm, data), src, RMM_GRANULE_SIZE);
    }
    leaf_set(walk.entry, RTT_PAGE_LEVEL,
             desc_assigned(realm, data, src ? RTT_RAM : walk.ripas,
                           RTT_PAGE_LEVEL),
             src ? BY_DATA_CREATE : BY_DATA_CREATE_UNKNOWN);
    granule_unlock_transition(realm->rmm, data, GRANULE_DATA);
    return RMI_SUCCESS;
}

uint64_t rtt_data_create(RmmRealm *realm, uint64_t data, uint64_t ipa,
                         const void *src)
{
    if (!granule_lock(realm->rmm, data, GRANULE_DELEGATED)) {
        return RMI_ERROR_INPUT;
    }
    if (src ? !realm_may_measure(realm->state)
            : realm_is_frozen(realm->state)) {
        granule_unlock(realm->rmm, data);
        return RMI_ERROR_REALM;
    }
    return assign_locked(realm, data, ipa, src);
}

uint64_t rtt_import_data(RmmRealm *realm, uint64_t *entry, uint64_t pa)
{
    if (!granule_lock(realm->rmm, pa, GRANULE_DELEGATED)) {
        return RMI_ERROR_INPUT;
    }
    granule_claim(realm->rmm, pa, true);
    leaf_set(entry, RTT_PAGE_LEVEL,
             desc_assigned(realm, pa, RTT_RAM, RTT_PAGE_LEVEL) | DESC_ARRIVED,
             BY_IMPORT_PAGE);
    granule_unlock_transition(realm->rmm, pa, GRANULE_DATA);
    return RMI_SUCCESS;
}

void rtt_import_drop(RmmRealm *realm, uint64_t ipa, RttRipas ripas)
{
    RttWalk walk;

    rtt_walk(realm, ipa, RTT_PAGE_LEVEL, &walk);
    leaf_set(walk.entry, walk.level, desc_unassigned(ripas), BY_IMPORT_DROP);
    granule_release(realm->rmm, walk.pa, GRANULE_DATA);
}

uint64_t rtt_data_destroy(RmmRealm *realm, uint64_t ipa,
                          uint64_t *data, uint64_t *top)
{
    Rmm *rmm = realm->rmm;
    RttWalk walk;

    *data = 0;
    *top = 0;
    if (!page_ok(realm, ipa)) {
        return RMI_ERROR_INPUT;
    }
    rtt_walk(realm, ipa, RTT_PAGE_LEVEL, &walk);
    if (walk.level < RTT_PAGE_LEVEL || walk.hipas != RTT_ASSIGNED) {
        *top = rtt_skip_non_live(realm, &walk, ipa);
        return RMI_RESULT(RMI_ERROR_RTT, walk.level);
    }
    *data = walk.pa;
    /* EMPTY was nothing the Realm could lose (RMM 1.0, B4.3.4.3). */
    leaf_set(walk.entry, RTT_PAGE_LEVEL,
             desc_unassigned(walk.ripas == RTT_EMPTY ? RTT_EMPTY
                                                     : RTT_DESTROYED),
             BY_DATA_DESTROY);
    if (walk.ripas == RTT_RAM) {
        realm_page_reclaimed(realm);
    }
    rmm->ops.tlb_invalidate(rmm->opaque, realm->vmid, ipa,
                            ipa + RMM_GRANULE_SIZE);
    *top = rtt_skip_non_live(realm, &walk, ipa);
    return RMI_SUCCESS;
}

uint64_t rtt_init_ripas(RmmRealm *realm, uint64_t base, uint64_t top,
                        uint64_t *out_top)
{
    uint64_t ipa = base, bytes;
    RttWalk walk;

    *out_top = 0;
    if (!realm_range_is_protected(realm, base, top)) {
        return RMI_ERROR_INPUT;
    }
    if (!realm_may_measure(realm->state)) {
        return RMI_ERROR_REALM;
    }
    rtt_walk(realm, base, RTT_PAGE_LEVEL, &walk);
    bytes = rtt_entry_bytes(walk.level);
    if (base % bytes || walk.hipas != RTT_UNASSIGNED || top - base < bytes) {
        return RMI_RESULT(RMI_ERROR_RTT, walk.level);
    }
    /* One descriptor in the RIM for each entry, so levels are visible. */
    for (; walk.index < RTT_ENTRIES && top - ipa >= bytes; walk.index++) {
        if (desc_hipas(desc_load(walk.entry), walk.level) != RTT_UNASSIGNED) {
            break;
        }
        leaf_set(walk.entry++, walk.level, desc_unassigned(RTT_RAM),
                 BY_INIT_RIPAS);
        measurement_ripas(realm, ipa, ipa + bytes);
        ipa += bytes;
    }
    *out_top = ipa;
    return RMI_SUCCESS;
}

/* Give a leaf another RIPAS; true if it was RAM that a PE can reach. */
static bool leaf_set_ripas(const RmmRealm *realm, uint64_t *entry, int level,
                           RttRipas ripas, LeafCall by)
{
    uint64_t desc = desc_load(entry);

    if (desc_hipas(desc, level) == RTT_UNASSIGNED) {
        leaf_set(entry, level, desc_unassigned(ripas), by);
        return false;
    }
    leaf_set(entry, level,
             desc_assigned(realm, desc & DESC_PA, ripas, level), by);
    return desc_ripas(desc) == RTT_RAM;
}

/*
 * Set the RIPAS of whole entries in the table that holds @base.  It ends at
 * @top, at the end of the table, or at an entry that may not change, and
 * returns where.  *@reachable becomes true if a PE could reach some of it.
 *
 * As with TF-RMM, an entry that has the RIPAS already has to lie within @base
 * and @top like any other.  The text lets such an entry begin before @base.
 */
static uint64_t set_ripas_run(RmmRealm *realm, RttWalk *walk, uint64_t base,
                              uint64_t top, RttRipas ripas,
                              bool change_destroyed, LeafCall by,
                              bool *reachable)
{
    uint64_t ipa = base, bytes = rtt_entry_bytes(walk->level);

    if (base % bytes) {
        return base;
    }
    for (; walk->index < RTT_ENTRIES && top - ipa >= bytes; walk->index++) {
        uint64_t desc = desc_load(walk->entry);
        RttRipas old = desc_ripas(desc);

        if (desc_is_table(desc, walk->level)) {
            break;
        }
        if (old != ripas) {
            if (old == RTT_DESTROYED && !change_destroyed) {
                break;
            }
            *reachable |= leaf_set_ripas(realm, walk->entry, walk->level,
                                         ripas, by);
        }
        walk->entry++;
        ipa += bytes;
    }
    return ipa;
}

uint64_t rtt_set_ripas(RmmRealm *realm, uint64_t base, uint64_t top,
                       RttRipas ripas, bool change_destroyed,
                       uint64_t *out_top)
{
    Rmm *rmm = realm->rmm;
    bool reachable = false;
    RttWalk walk;

    *out_top = 0;
    if (realm_is_frozen(realm->state)) {
        return RMI_ERROR_REALM;
    }
    rtt_walk(realm, base, RTT_PAGE_LEVEL, &walk);
    *out_top = set_ripas_run(realm, &walk, base, top, ripas,
                             change_destroyed, BY_SET_RIPAS, &reachable);
    if (*out_top == base) {
        *out_top = 0;
        return RMI_RESULT(RMI_ERROR_RTT, walk.level);
    }
    if (reachable) {
        rmm->ops.tlb_invalidate(rmm->opaque, realm->vmid, base, *out_top);
    }
    return RMI_SUCCESS;
}

uint64_t rtt_set_ripas_import(RmmRealm *realm, uint64_t base, uint64_t top,
                              RttRipas ripas, uint64_t *out_top)
{
    bool reachable = false;     /* not by a Realm that has never run */
    RttWalk walk;

    *out_top = base;
    if (!realm_range_is_protected(realm, base, top)) {
        return RMI_ERROR_INPUT;
    }
    while (*out_top < top) {
        uint64_t reached;

        rtt_walk(realm, *out_top, RTT_PAGE_LEVEL, &walk);
        reached = set_ripas_run(realm, &walk, *out_top, top, ripas, true,
                                BY_IMPORT_RIPAS, &reachable);
        if (reached == *out_top) {
            break;
        }
        *out_top = reached;
    }
    return *out_top > base ? RMI_SUCCESS
                           : RMI_RESULT(RMI_ERROR_RTT, walk.level);
}

static void count_leaf(uint64_t desc, int level, uint64_t n, bool owed,
                       RmmPages *pages)
{
    switch (desc_ownership(desc, level)) {
    case RTT_OWNED:
        pages->owned += n;
        pages->dirty += owed || desc & (DESC_S2AP_W | DESC_PENDING) ? n : 0;
        break;
    case RTT_EMPTIED:
        pages->empty += n;
        break;
    case RTT_LENT:
        pages->lent += n;
        break;
    default:
        pages->untouched += desc_hipas(desc, level) == RTT_UNASSIGNED &&
                            desc_ripas(desc) == RTT_RAM ? n : 0;
    }
}

uint64_t rtt_count_pages(RmmRealm *realm, uint64_t ipa, RmmPages *pages)
{
    RttWalk walk;

    rtt_walk(realm, ipa, RTT_PAGE_LEVEL, &walk);
    for (; walk.index < RTT_ENTRIES && ipa < realm_ipa_top(realm);
         walk.index++) {
        uint64_t desc = desc_load(walk.entry++);
        uint64_t end = rtt_entry_base(ipa, walk.level) +
                       rtt_entry_bytes(walk.level);

        if (desc_is_table(desc, walk.level)) {
            break;
        }
        count_leaf(desc, walk.level, (end - ipa) / RMM_GRANULE_SIZE,
                   ipa >= realm->owed_from, pages);
        ipa = end;
    }
    return ipa;
}

RttRipas rtt_ripas_run(RmmRealm *realm, uint64_t base, uint64_t top,
                       uint64_t *out_top)
{
    uint64_t ipa = base;
    RttRipas ripas;
    RttWalk walk;

    rtt_walk(realm, base, RTT_PAGE_LEVEL, &walk);
    ripas = walk.ripas;
    for (; walk.index < RTT_ENTRIES && ipa < top; walk.index++) {
        uint64_t desc = desc_load(walk.entry++);

        if (desc_is_table(desc, walk.level) || desc_ripas(desc) != ripas) {
            break;
        }
        ipa = rtt_entry_base(ipa, walk.level) + rtt_entry_bytes(walk.level);
    }
    *out_top = MIN(ipa, top);
    return ripas;
}

RttAccess rtt_access(RmmRealm *realm, uint64_t ipa, bool write,
                     uint64_t *pa, int *level)
{
    RttWalk walk;

    rtt_walk(realm, ipa, RTT_PAGE_LEVEL, &walk);
    *level = walk.level;
    if (walk.ripas == RTT_EMPTY) {
        return RTT_ACCESS_EMPTY;
    }
    if (!desc_is_ram(walk.desc, walk.level)) {
        return RTT_ACCESS_FAULT;
    }
    if (write) {
        desc_relax(walk.entry, &walk.desc, walk.level, DESC_S2AP_W);
    }
    *pa = walk.pa + ipa % rtt_entry_bytes(walk.level);
    return RTT_ACCESS_OK;
}

RttAccess rtt_copy(RmmRealm *realm, uint64_t ipa, bool write, void *buf,
                   size_t len, int *level)
{
    Rmm *rmm = realm->rmm;
    uint64_t pa;
    RttAccess access = rtt_access(realm, ipa, write, &pa, level);
    char *p;

    if (access != RTT_ACCESS_OK) {
        return access;
    }
    p = (char *)granule_map(rmm, pa & ~(RMM_GRANULE_SIZE - 1ull)) +
        pa % RMM_GRANULE_SIZE;
    memcpy(write ? p : buf, write ? buf : p, len);
    if (write && rmm->ops.granule_written) {
        rmm->ops.granule_written(rmm->opaque, pa, len);
    }
    return RTT_ACCESS_OK;
}
