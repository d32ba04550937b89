/*
 * The stage 2 walker: what one access of a Realm meets
 *
 * Purpose: rmm_stage2 and rmm_stage2_walk, the path of every TLB miss.
 *
 * Invariant: when a write is granted, the page is dirty already.
 *
 * Lock rule: none is taken.  Table granules stay tables while this thread is
 * counted as a walker (lock.h).  What is returned may be out of date at
 * once; RmmOps.tlb_invalidate puts that right, as on hardware.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "rmm-internal.h"
#include "rtt-desc.h"

bool rmm_stage2(Rmm *rmm, uint64_t rec_pa, RmmStage2 *s2)
{
    RmmRec *rec = rec_lock(rmm, rec_pa);

    if (!rec) {
        return false;
    }
    s2->table = rec->realm->rtt_base;
    s2->ipa_bits = rec->realm->ipa_bits;
    s2->start_level = rec->realm->rtt_level_start;
    rec_unlock(rec);
    return true;
}

/* The leaf entry for @ipa, and its level. */
static uint64_t *walk_to_leaf(Rmm *rmm, const RmmStage2 *s2, uint64_t ipa,
                              int *level, uint64_t *desc)
{
    uint64_t index = ipa >> rtt_shift(s2->start_level);
    uint64_t table = s2->table + index / RTT_ENTRIES * RMM_GRANULE_SIZE;
    uint64_t *entry;

    *level = s2->start_level;
    for (;;) {
        entry = rmm->ops.granule(rmm->opaque, table);
        entry += index % RTT_ENTRIES;
        *desc = desc_load(entry);
        if (!desc_is_table(*desc, *level)) {
            return entry;
        }
        table = *desc & DESC_PA;
        index = ipa >> rtt_shift(++*level);
    }
}

/* RMM 1.0, A5.2.3: what an invalid entry of the protected half means. */
static RmmFault fault_of(uint64_t desc)
{
    switch (desc_ripas(desc)) {
    case RTT_EMPTY:
        return RMM_FAULT_SEA;
    case RTT_RAM:
        return RMM_FAULT_UNASSIGNED;
    default:
        return RMM_FAULT_DESTROYED;
    }
}

static RmmFault walk_protected(Rmm *rmm, const RmmStage2 *s2, uint64_t ipa,
                               bool write, RmmTranslation *out)
{
    uint64_t desc, bytes;
    uint64_t *entry;
    int level;

    do {
        entry = walk_to_leaf(rmm, s2, ipa, &level, &desc);
        if (!desc_is_ram(desc, level)) {
            return fault_of(desc);
        }
        /* False if the page went away under us: look again. */
    } while (write && !desc_set_dirty(entry, desc, level));

    bytes = rtt_entry_bytes(level);
    out->pa = (desc & DESC_PA) +
              (ipa & (bytes - 1) & ~(RMM_GRANULE_SIZE - 1ull));
    out->writable = write || (desc & DESC_S2AP_W);
    out->bytes = bytes;
    return RMM_FAULT_NONE;
}

RmmFault rmm_stage2_walk(Rmm *rmm, const RmmStage2 *s2, uint64_t ipa,
                         RmmAccess access, RmmTranslation *out)
{
    RmmFault fault;
    unsigned stripe;

    if (ipa >> s2->ipa_bits) {
        return RMM_FAULT_ADDRESS_SIZE;
    }
    if (ipa >> (s2->ipa_bits - 1)) {
        /* Code from unprotected memory is never run (RMM 1.0, A5.2.5). */
        return access == RMM_ACCESS_FETCH ? RMM_FAULT_SEA
                                          : RMM_FAULT_UNPROTECTED;
    }
    stripe = walkers_enter(rmm);
    fault = walk_protected(rmm, s2, ipa, access == RMM_ACCESS_WRITE, out);
    walkers_leave(rmm, stripe);
    return fault;
}
