/*
 * The stage 2 walker: what one access of a Realm meets
 *
 * Purpose: rmm_stage2 and rmm_stage2_walk, the path of every TLB miss.
 *
 * Invariants: a page at a protected IPA is dirty before a write to it is
 * granted, and is always readable and writable.  A page at an unprotected IPA
 * has the host's permissions, is never executable, has no dirty state, and is
 * there only as long as the granule is the host's.
 *
 * Lock rule: the walker takes no lock.  Table granules stay tables while this
 * thread is counted as a walker (lock.h).  A result may be out of date at once;
 * RmmOps.tlb_sync puts that right, as on hardware.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "granule.h"
#include "rec.h"
#include "rmm-internal.h"
#include "rtt-desc.h"

bool rmm_stage2(Rmm *rmm, uint64_t rec_pa, RmmStage2 *s2)
{
    RmmRec *rec = rec_lock(rmm, rec_pa);

    if (!rec) {
        return false;
    }
    *s2 = realm_tables(rec->realm);
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

/* The granule of @ipa in the leaf at @out->level whose memory begins at @pa. */
static void fill_translation(RmmTranslation *out, uint64_t pa, uint64_t ipa)
{
    out->bytes = rtt_entry_bytes(out->level);
    out->pa = pa + (ipa & (out->bytes - 1) & ~(RMM_GRANULE_SIZE - 1ull));
}

static RmmFault walk_protected(Rmm *rmm, const RmmStage2 *s2, uint64_t ipa,
                               bool write, RmmTranslation *out)
{
    uint64_t *entry, desc;

    do {
        entry = walk_to_leaf(rmm, s2, ipa, &out->level, &desc);
        if (!desc_is_ram(desc, out->level)) {
            return fault_of(desc);
        }
        /* False if the page went away under us: look again. */
    } while (write && !desc_relax(entry, &desc, out->level, DESC_S2AP_W));

    fill_translation(out, desc & DESC_PA, ipa);
    out->writable = desc & DESC_S2AP_W;
    out->readable = out->executable = true;
    return RMM_FAULT_NONE;
}

/* Memory of the host, as it mapped it: RMM 1.0, A5.5.11. */
static RmmFault walk_unprotected(Rmm *rmm, const RmmStage2 *s2, uint64_t ipa,
                                 bool write, RmmTranslation *out)
{
    uint64_t desc;

    walk_to_leaf(rmm, s2, ipa, &out->level, &desc);
    if (desc_hipas(desc, out->level) != RTT_ASSIGNED_NS) {
        return RMM_FAULT_UNPROTECTED;
    }
    if (!(desc & (write ? DESC_S2AP_W : DESC_S2AP_R))) {
        return RMM_FAULT_PERMISSION;
    }
    fill_translation(out, desc_ns_pa(desc, s2->lpa2), ipa);
    if (granule_state(rmm, out->pa) != GRANULE_NS) {
        return RMM_FAULT_GPF;
    }
    out->readable = desc & DESC_S2AP_R;
    out->writable = desc & DESC_S2AP_W;
    out->executable = false;
    return RMM_FAULT_NONE;
}

RmmFault rmm_stage2_walk(Rmm *rmm, const RmmStage2 *s2, uint64_t ipa,
                         RmmAccess access, RmmTranslation *out)
{
    bool write = access == RMM_ACCESS_WRITE;
    RmmFault fault;
    unsigned stripe;

    out->level = 0;             /* where no walk is made */
    if (ipa >> s2->ipa_bits) {
        return RMM_FAULT_ADDRESS_SIZE;
    }
    if (!(ipa >> (s2->ipa_bits - 1))) {
        stripe = walkers_enter(rmm);
        fault = walk_protected(rmm, s2, ipa, write, out);
    } else if (access == RMM_ACCESS_FETCH) {
        /* Code from unprotected memory is never run (RMM 1.0, A5.2.5). */
        return RMM_FAULT_SEA;
    } else {
        stripe = walkers_enter(rmm);
        fault = walk_unprotected(rmm, s2, ipa, write, out);
    }
    walkers_leave(rmm, stripe);
    return fault;
}
