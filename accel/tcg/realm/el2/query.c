/*
 * A host at EL2: what its RMM holds, for the monitor
 *
 * Purpose: from the library's picture (rmm_query) to QAPI's types, and on which
 * CPU a REC runs.
 *
 * Lock rule: BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/util.h"
#include "target/arm/rmm/query.h"
#include "target/arm/rmm/rmm-abi.h"
#include "context.h"
#include "pe.h"
#include "query.h"
#include "tlb.h"

G_DEFINE_AUTOPTR_CLEANUP_FUNC(RmmQuery, rmm_query_free)

static char *to_hex(const uint8_t *bytes, size_t size)
{
    GString *hex = g_string_new(NULL);

    for (size_t i = 0; i < size; i++) {
        g_string_append_printf(hex, "%02x", bytes[i]);
    }
    return g_string_free(hex, false);
}

static void find_cpu(uint64_t rec, RmmRecInfo *info)
{
    CPUState *cs;

    CPU_FOREACH(cs) {
        const El2Context *host = el2_pe(cs)->host;

        if (host && host->config.rec == rec) {
            info->has_cpu = true;
            info->cpu = cs->cpu_index;
        }
    }
}

static RmmRecInfo *rec_info(const RmmQueryRec *rec)
{
    RmmRecInfo *info = g_new0(RmmRecInfo, 1);

    info->index = rec->index;
    info->address = rec->rec;
    info->mpidr = rec->mpidr;
    info->state = qapi_enum_parse(&RmmRecState_lookup, rec->state,
                                  RMM_REC_STATE_OFF, NULL);
    find_cpu(rec->rec, info);
    return info;
}

static RmmRecInfoList *rec_list(const RmmQueryRealm *realm)
{
    RmmRecInfoList *list = NULL, **tail = &list;

    for (unsigned i = 0; i < realm->num_recs; i++) {
        QAPI_LIST_APPEND(tail, rec_info(&realm->recs[i]));
    }
    return list;
}

/* Without the extension for migration, no Realm is in another state. */
static RmmRealmState realm_state(const RmmQueryRealm *realm)
{
    return qapi_enum_parse(&RmmRealmState_lookup, realm->state,
                           RMM_REALM_STATE_SYSTEM_OFF, NULL);
}

static RmmRealmInfo *realm_info(const RmmQueryRealm *realm)
{
    RmmRealmInfo *info = g_new0(RmmRealmInfo, 1);

    info->address = realm->rd;
    info->vmid = realm->vmid;
    info->state = realm_state(realm);
    info->ipa_width = realm->ipa_bits;
    info->measurement_algorithm = g_str_equal(realm->hash_algo, "sha-512")
        ? RME_GUEST_MEASUREMENT_ALGORITHM_SHA512
        : RME_GUEST_MEASUREMENT_ALGORITHM_SHA256;
    info->rim = to_hex(realm->rim, realm->rim_size);
    info->lpa2 = realm->lpa2;
    info->has_sve_vector_length = realm->sve;
    info->sve_vector_length = realm->sve_vl;
    info->has_pmu_counters = realm->pmu;
    info->pmu_counters = realm->pmu_num_ctrs;
    info->private_pages = realm->pages.owned;
    info->empty_pages = realm->pages.empty;
    info->lent_pages = realm->pages.lent;
    info->recs = rec_list(realm);
    return info;
}

static RmmRealmInfoList *realm_list(const RmmQuery *query)
{
    RmmRealmInfoList *list = NULL, **tail = &list;

    for (unsigned i = 0; i < query->num_realms; i++) {
        QAPI_LIST_APPEND(tail, realm_info(&query->realms[i]));
    }
    return list;
}

static RmmCalls *calls(const uint64_t counts[RMM_INTERFACES])
{
    RmmCalls *calls = g_new0(RmmCalls, 1);

    calls->rmi = counts[RMM_RMI];
    calls->rsi = counts[RMM_RSI];
    calls->psci = counts[RMM_PSCI];
    return calls;
}

static RmmExits *exits(const uint64_t counts[RMM_EXIT_REASONS])
{
    RmmExits *exits = g_new0(RmmExits, 1);

    exits->sync = counts[RMI_EXIT_SYNC];
    exits->irq = counts[RMI_EXIT_IRQ];
    exits->fiq = counts[RMI_EXIT_FIQ];
    exits->psci = counts[RMI_EXIT_PSCI];
    exits->ripas_change = counts[RMI_EXIT_RIPAS_CHANGE];
    exits->host_call = counts[RMI_EXIT_HOST_CALL];
    exits->serror = counts[RMI_EXIT_SERROR];
    return exits;
}

static RmmGranules *granules(const RmmQuery *query)
{
    RmmGranules *granules = g_new0(RmmGranules, 1);

    granules->delegated = query->granules.delegated;
    granules->rd = query->granules.rd;
    granules->rec = query->granules.rec;
    granules->rec_aux = query->granules.rec_aux;
    granules->rtt = query->granules.rtt;
    granules->data = query->granules.data;
    return granules;
}

static RmmTlbFlushes *tlb_flushes(void)
{
    const El2TlbCounts counts = el2_tlb_counts();
    RmmTlbFlushes *flushes = g_new0(RmmTlbFlushes, 1);

    flushes->entered = counts.entered;
    flushes->left = counts.left;
    flushes->delegated = counts.delegated;
    flushes->invalidated = counts.invalidated;
    return flushes;
}

RmmInfo *el2_query(void)
{
    g_autoptr(RmmQuery) query = rmm_query(el2_rmm);
    RmmInfo *info = g_new0(RmmInfo, 1);

    info->realms = realm_list(query);
    info->granules = granules(query);
    info->calls = calls(query->calls);
    info->failed_calls = calls(query->failed);
    info->exits = exits(query->exits);
    info->tlb_flushes = tlb_flushes();
    return info;
}
