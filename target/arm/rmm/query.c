/*
 * What an onlooker may ask of the model (see query.h)
 *
 * Purpose: beside that, what a Realm's host may ask beyond RMI: rmm_realm_rim
 * and rmm_realm_pages (rmm.h).
 *
 * Lock rule: takes the Realm's lock, anew for each table.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include "granule.h"
#include "measurement.h"
#include "query.h"
#include "rec.h"
#include "rmm-internal.h"
#include "rtt.h"

static size_t copy_rim(const RmmRealm *realm, uint8_t rim[64])
{
    memcpy(rim, realm->measurement[0], MEASUREMENT_BYTES);
    return measurement_size(realm->hash_algo);
}

size_t rmm_realm_rim(Rmm *rmm, uint64_t rd, uint8_t rim[64])
{
    RmmRealm *realm = realm_lock(rmm, rd);
    size_t size;

    if (!realm) {
        return 0;
    }
    size = copy_rim(realm, rim);
    realm_unlock(realm);
    return size;
}

bool rmm_realm_pages(Rmm *rmm, uint64_t rd, RmmPages *pages)
{
    uint64_t ipa = 0, top;

    *pages = (RmmPages) { 0 };
    do {
        RmmRealm *realm = realm_lock(rmm, rd);

        if (!realm) {
            return false;
        }
        ipa = rtt_count_pages(realm, ipa, pages);
        if (!realm_is_exported(realm->state)) {
            pages->dirty = 0;
        }
        top = realm_ipa_top(realm);
        realm_unlock(realm);
    } while (ipa < top);
    return true;
}

static const char *realm_state_name(RealmState state)
{
    static const char *const names[] = {
        [REALM_NEW] = "new", [REALM_ACTIVE] = "active",
        [REALM_SYSTEM_OFF] = "system-off", [REALM_IMPORT] = "import",
        [REALM_FAILED] = "failed", [REALM_EXPORT] = "export",
        [REALM_EXPORT_PAUSED] = "export-paused",
        [REALM_EXPORTED] = "exported",
    };

    _Static_assert(G_N_ELEMENTS(names) == REALM_STATES, "all states");
    return names[state];
}

static const char *rec_state_name(RecState state)
{
    static const char *const names[] = {
        [REC_OFF] = "off", [REC_READY] = "ready", [REC_RUNNING] = "running",
        [REC_PSCI] = "psci", [REC_RIPAS] = "ripas",
        [REC_HOST_CALL] = "host-call", [REC_DESTROYED] = "destroyed",
    };

    _Static_assert(G_N_ELEMENTS(names) == REC_STATES, "all states");
    return names[state];
}

static int compare_index(const void *a, const void *b)
{
    uint32_t i = ((const RmmQueryRec *)a)->index;
    uint32_t j = ((const RmmQueryRec *)b)->index;

    return i < j ? -1 : i > j;
}

static void copy_recs(const RmmRealm *realm, RmmQueryRealm *to)
{
    unsigned i;

    to->recs = g_new(RmmQueryRec, realm->num_recs);
    for (i = 0; to->num_recs < realm->num_recs; i++) {
        const RmmRec *rec = realm->recs[i];

        if (rec) {
            to->recs[to->num_recs++] = (RmmQueryRec) {
                .rec = rec->pa,
                .mpidr = rec_mpidr_el1(rec),
                .index = rec->index,
                .state = rec_state_name(rec->state),
            };
        }
    }
    if (to->num_recs) {
        qsort(to->recs, to->num_recs, sizeof(*to->recs), compare_index);
    }
}

static void copy_realm(const RmmRealm *realm, RmmQueryRealm *to)
{
    bool sve = realm->flags & RMI_REALM_SVE;
    bool pmu = realm->flags & RMI_REALM_PMU;

    *to = (RmmQueryRealm) {
        .rd = realm->rd,
        .vmid = realm->vmid,
        .state = realm_state_name(realm->state),
        .hash_algo = realm->hash_algo == RMI_HASH_SHA_512 ? "sha-512"
                                                          : "sha-256",
        .ipa_bits = realm->ipa_bits,
        .lpa2 = realm_has_lpa2(realm),
        .sve = sve,
        .sve_vl = sve ? (realm->sve_vl + 1) * 128 : 0,
        .pmu = pmu,
        .pmu_num_ctrs = pmu ? realm->pmu_num_ctrs : 0,
        .mte = realm_has_mte(realm),
        .migration = realm_may_migrate(realm),
    };
    to->rim_size = copy_rim(realm, to->rim);
    copy_recs(realm, to);
}

/* False if it is gone, with nothing in @to to free. */
static bool query_realm(Rmm *rmm, uint64_t rd, RmmQueryRealm *to)
{
    RmmRealm *realm = realm_lock(rmm, rd);

    if (!realm) {
        return false;
    }
    copy_realm(realm, to);
    realm_unlock(realm);
    if (!rmm_realm_pages(rmm, rd, &to->pages)) {
        g_free(to->recs);
        return false;
    }
    return true;
}

static gint compare_rd(gconstpointer a, gconstpointer b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static GArray *list_rds(Rmm *rmm)
{
    GArray *rds = g_array_new(false, false, sizeof(uint64_t));
    GHashTableIter iter;
    gpointer rd;

    rmm_mutex_lock(&rmm->lock);
    g_hash_table_iter_init(&iter, rmm->realms);
    while (g_hash_table_iter_next(&iter, &rd, NULL)) {
        g_array_append_val(rds, *(uint64_t *)rd);
    }
    rmm_mutex_unlock(&rmm->lock);
    g_array_sort(rds, compare_rd);
    return rds;
}

static void query_realms(Rmm *rmm, RmmQuery *query)
{
    GArray *rds = list_rds(rmm);
    unsigned i;

    query->realms = g_new0(RmmQueryRealm, rds->len);
    for (i = 0; i < rds->len; i++) {
        query->num_realms +=
            query_realm(rmm, g_array_index(rds, uint64_t, i),
                        &query->realms[query->num_realms]);
    }
    g_array_free(rds, true);
}

static void add_up(uint64_t *sums, const uint64_t *counts, unsigned n)
{
    while (n--) {
        sums[n] += __atomic_load_n(&counts[n], __ATOMIC_RELAXED);
    }
}

static void query_granules(Rmm *rmm, RmmQuery *query)
{
    uint64_t count[GRANULE_STATES] = { 0 };

    granule_count(rmm, count);
    query->granules.delegated = count[GRANULE_DELEGATED];
    query->granules.rd = count[GRANULE_RD];
    query->granules.rec = count[GRANULE_REC];
    query->granules.rec_aux = count[GRANULE_REC_AUX];
    query->granules.rtt = count[GRANULE_RTT];
    query->granules.data = count[GRANULE_DATA];
}

RmmQuery *rmm_query(Rmm *rmm)
{
    RmmQuery *query = g_new0(RmmQuery, 1);
    unsigned i;

    for (i = 0; i < RMM_STRIPES; i++) {
        const CallStripe *stripe = &rmm->served[i];

        add_up(query->calls, stripe->calls, RMM_INTERFACES);
        add_up(query->failed, stripe->failed, RMM_INTERFACES);
        add_up(query->exits, stripe->exits, RMM_EXIT_REASONS);
    }
    query_granules(rmm, query);
    query_realms(rmm, query);
    return query;
}

void rmm_query_free(RmmQuery *query)
{
    unsigned i;

    if (!query) {
        return;
    }
    for (i = 0; i < query->num_realms; i++) {
        g_free(query->realms[i].recs);
    }
    g_free(query->realms);
    g_free(query);
}
