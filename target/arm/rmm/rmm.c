/*
 * The RMM model: entry from both worlds
 *
 * Purpose: make and free a model, and pass each SMC to the dispatcher of its
 * interface.
 *
 * Invariant: a PE that is in the Realm world has a REC, and only then.
 *
 * Lock rule: nothing here takes a lock while a handler runs.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "dispatch.h"
#include "granule.h"
#include "rec.h"
#include "rmm-internal.h"

static void table_realm_unref(gpointer realm)
{
    realm_unref(realm);
}

static void table_rec_unref(gpointer rec)
{
    rec_unref(rec);
}

Rmm *rmm_new(const RmmOps *ops, void *opaque, const RmmPlatform *platform)
{
    Rmm *rmm = g_new0(Rmm, 1);

    g_assert(platform->ipa_bits >= 32 &&
             platform->ipa_bits <= (platform->lpa2 ? 52 : 48));
    g_assert(!platform->migration || ops->seconds);
    /* Each has its place in feature register 0 (B4.4.4). */
    g_assert(platform->num_bps < 64 && platform->num_wps < 64 &&
             platform->sve_vl < 16 && platform->pmu_num_ctrs < 32 &&
             platform->num_lrs < 16);
    g_assert(platform->num_aux <= 16 && platform->gic_prio_bits <= 8 &&
             platform->gic_id_bits <= 24);
    g_assert(!ops->context_new == !ops->context_free);
    rmm->ops = *ops;
    rmm->opaque = opaque;
    rmm->platform = *platform;
    rmm->mig_features = MIG_FEATURES_KNOWN;
    rmm->mig_minor = MIG_VERSION_MINOR;
    rmm->mig_entries = MIG_COMMIT_ENTRIES;
    rmm_mutex_init(&rmm->lock, LOCK_RMM, 0);
    rmm->realms = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL,
                                        table_realm_unref);
    rmm->recs = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL,
                                      table_rec_unref);
    rmm->vmids = g_hash_table_new(NULL, NULL);
    return rmm;
}

/* What a PE holds of the REC that it runs, and will never run on with. */
static void drop_running(gpointer pa, gpointer rec, gpointer unused)
{
    if (((RmmRec *)rec)->state == REC_RUNNING) {
        rec_unref(rec);
    }
}

void rmm_free(Rmm *rmm)
{
    if (!rmm) {
        return;
    }
    g_hash_table_foreach(rmm->recs, drop_running, NULL);
    g_hash_table_destroy(rmm->recs);
    g_hash_table_destroy(rmm->realms);
    g_hash_table_destroy(rmm->vmids);
    granule_free_all(rmm);
    rmm_mutex_clear(&rmm->lock);
    g_free(rmm);
}

static bool is_migration(uint32_t fid)
{
    return fid >= RMM_MIG_FID_FIRST && fid <= RMM_MIG_FID_LAST;
}

unsigned rmm_call_traits(const RmmPe *pe)
{
    uint32_t fid = pe_fid(pe);

    if (pe->world == RMM_WORLD_REALM) {
        return rsi_traits(fid);         /* PSCI has none */
    }
    return is_migration(fid) ? mig_traits(fid) : rmi_traits(fid);
}

void rmm_call(Rmm *rmm, RmmPe *pe)
{
    uint32_t fid = pe_fid(pe);

    if (pe->world == RMM_WORLD_HOST) {
        if (is_migration(fid)) {
            mig_handle(rmm, pe);
        } else {
            rmi_handle(rmm, pe);
        }
    } else if (rsi_has(fid)) {
        rsi_handle(rmm, pe);
    } else {
        psci_handle(rmm, pe);
    }
    g_assert((pe->world == RMM_WORLD_REALM) == (pe->rec != NULL));
    lock_check_none();
}
