/*
 * Realms under TCG: a Realm is built, and ends
 *
 * Purpose: what KVM does on a real machine: create the Realm, from the images
 * that the loader left in RAM or as an empty one to import into; and destroy
 * it.
 *
 * Invariants: the Realm is built from RMI calls alone, in an order that
 * depends on nothing but the machine's options, since it is measured.  Nor does
 * what it holds at first: beside an image, in the same page, are zeros,
 * whatever a Realm before this one has left in the board's RAM.
 *
 * Lock rule: BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/bitops.h"
#include "qemu/lockable.h"
#include "target/arm/cpu.h"
#include "target/arm/realm/cause.h"
#include "target/arm/realm/measurement-log.h"
#include "target/arm/realm/policy.h"
#include "target/arm/realm/shared.h"
#include "target/arm/rmm/mig-abi.h"
#include "target/arm/rmm/query.h"
#include "target/arm/rmm/rmm-abi.h"
#include "accel/tcg/realm/machine.h"
#include "accel/tcg/realm/trace.h"
#include "buffers.h"
#include "build.h"
#include "mmu.h"
#include "state.h"

/*
 * Ask for all that the RMM offers of the CPUs: those of the Realm are the
 * machine's, so it offers what the user wants (features.c).
 */
static void ask_for_features(RmiRealmParams *params)
{
    RmmPe pe = { .x = { RMI_FEATURES, 0 } };
    uint64_t offered;

    realm_call(&pe);
    offered = pe.x[1];
    params->num_bps = extract64(offered, RMI_FEATURE0_NUM_BPS_SHIFT, 6);
    params->num_wps = extract64(offered, RMI_FEATURE0_NUM_WPS_SHIFT, 6);
    if (offered & RMI_FEATURE0_SVE_EN) {
        params->flags |= RMI_REALM_SVE;
        params->sve_vl = extract64(offered, RMI_FEATURE0_SVE_VL_SHIFT, 4);
    }
    if (offered & RMI_FEATURE0_PMU_EN) {
        params->flags |= RMI_REALM_PMU;
        params->pmu_num_ctrs = extract64(offered,
                                         RMI_FEATURE0_PMU_NUM_CTRS_SHIFT, 5);
    }
}

/* Of the parameters, those that are measured. */
static void choose_params(const RealmConfig *config, RmiRealmParams *params)
{
    params->ext_flags = (config->migration ? RMI_REALM_EXT_MIGRATION : 0) |
                        (config->mte ? RMI_REALM_EXT_MTE : 0);
    params->s2sz = config->ipa_bits;
    ask_for_features(params);
    params->hash_algo = config->measurement_algorithm ==
        RME_GUEST_MEASUREMENT_ALGORITHM_SHA256 ? RMI_HASH_SHA_256
                                               : RMI_HASH_SHA_512;
}

static bool create_realm(const RealmConfig *config, Error **errp)
{
    g_autofree RmiRealmParams *params = g_new0(RmiRealmParams, 1);
    int level = realm_mmu_start_level(config);
    unsigned tables = BIT(MAX(config->ipa_bits - (48 - 9 * level), 0));
    /* What has the strictest alignment comes first, and leaves no gap. */
    uint64_t rtt_base = realm_mmu_new_granules(tables);
    uint64_t rd = realm_mmu_new_granules(1);
    RmmPe pe = { .x = { RMI_REALM_CREATE, rd,
                        realm_window(0, params, sizeof(*params)) } };

    realm_physmem_protect(true);
    choose_params(config, params);
    memcpy(params->rpv, config->rpv, REALM_RPV_SIZE);
    params->vmid = 1;
    params->rtt_base = rtt_base;
    params->rtt_level_start = level;
    params->rtt_num_start = tables;

    realm_call(&pe);
    if (realm_host_refused("to create the Realm", pe.x[0], errp)) {
        return false;
    }
    realm_host.rd = rd;
    realm_host.layout.fixed = true;
    return true;
}

/* Which machines may take part in its migration: one more measured call. */
static bool set_policy(const RealmPolicy *policy, Error **errp)
{
    g_autofree MigPolicy *mig = g_new0(MigPolicy, 1);
    RmmPe pe = { .x = { MIG_FID_BASE + MIG_SET_POLICY, realm_host.rd,
                        realm_window(0, mig, sizeof(*mig)),
                        sizeof(*mig) } };

    realm_policy_pack(mig, policy);
    realm_call(&pe);
    if (RMI_STATUS(pe.x[0]) == RMI_ERROR_REALM) {
        error_setg(errp, "Realm: the RMM refused the migration policy: %s",
                   realm_cause(RMI_INDEX(pe.x[0])));
        return false;
    }
    return !realm_host_refused("the migration policy", pe.x[0], errp);
}

/* A Realm without contents, from the machine's options alone. */
static bool create_configured(const RealmConfig *config, Error **errp)
{
    return create_realm(config, errp) &&
           (!config->has_policy || set_policy(&config->policy, errp));
}

/* Of a REC's parameters, those that are measured. */
static void choose_rec(CPUState *cs, RmiRecParams *params)
{
    params->flags = cs->start_powered_off ? 0 : RMI_REC_RUNNABLE;
    params->pc = cs->start_powered_off ? 0 : ARM_CPU(cs)->env.pc;
}

static bool create_rec(CPUState *cs, Error **errp)
{
    RealmRec *rec = &realm_host.recs[cs->cpu_index];
    g_autofree RmiRecParams *params = g_new0(RmiRecParams, 1);
    RmmPe pe;

    rec->pa = realm_mmu_new_granules(1);
    memset(realm_run_page(cs->cpu_index, &rec->run), 0, REALM_PAGE_SIZE);
    choose_rec(cs, params);
    params->mpidr = realm_pe_mpidr(cs);

    pe = (RmmPe) { .x = { RMI_REC_CREATE, realm_host.rd, rec->pa,
                          realm_window(0, params, sizeof(*params)) } };
    realm_call(&pe);
    if (realm_host_refused("to create a REC", pe.x[0], errp)) {
        return false;
    }
    realm_pe_set_rec(cs, rec->pa);
    return true;
}

static bool create_recs(Error **errp)
{
    CPUState *cs;

    CPU_FOREACH(cs) {
        if (!create_rec(cs, errp)) {
            return false;
        }
    }
    return true;
}

/* What the images have of the page at @ipa */
static void read_page(uint64_t ipa, uint8_t page[REALM_PAGE_SIZE])
{
    const GArray *images = realm_host.layout.images;

    memset(page, 0, REALM_PAGE_SIZE);
    for (guint i = 0; i < images->len; i++) {
        uint64_t base = MAX(realm_range(images, i).base, ipa);
        uint64_t top = MIN(realm_range(images, i).top, ipa + REALM_PAGE_SIZE);

        if (base < top) {
            memcpy(page + (base - ipa), realm_shared_ram(base, top - base),
                   top - base);
        }
    }
}

/* @flags: RMI_DATA_MEASURE, or 0 if only the address is measured. */
static bool create_page(uint64_t ipa, uint8_t *page, uint64_t flags,
                        Error **errp)
{
    uint64_t result = realm_mmu_create_tables(ipa);
    RmmPe pe = { .x = { RMI_DATA_CREATE, realm_host.rd, ipa, ipa,
                        realm_window(0, page, REALM_PAGE_SIZE), flags } };

    if (realm_host_refused("a table for an image", result, errp)) {
        return false;
    }
    if (!realm_mmu_delegate(ipa)) {
        error_setg(errp, "the RMM refused a page of an image at 0x%" PRIx64,
                   ipa);
        return false;
    }
    realm_call(&pe);
    return !realm_host_refused("a page of an image", pe.x[0], errp);
}

static bool create_image_pages(Error **errp)
{
    QEMU_LOCK_GUARD(&realm_mmu_lock);
    g_autoptr(GArray) images = realm_layout_images(&realm_host.layout);

    for (guint i = 0; i < images->len; i++) {
        RealmRange image = realm_range(images, i);

        for (uint64_t at = image.base; at < image.top; at += REALM_PAGE_SIZE) {
            uint8_t page[REALM_PAGE_SIZE];

            read_page(at, page);
            if (!create_page(at, page, RMI_DATA_MEASURE, errp)) {
                return false;
            }
        }
    }
    return true;
}

static bool create_log(uint64_t base, Error **errp)
{
    QEMU_LOCK_GUARD(&realm_mmu_lock);
    uint8_t *log = realm_shared_ram(base, REALM_LOG_SIZE);

    for (uint64_t at = 0; at < REALM_LOG_SIZE; at += REALM_PAGE_SIZE) {
        if (!create_page(base + at, log + at, 0, errp)) {
            return false;
        }
    }
    return true;
}

/*
 * The log says what was measured, so its contents are not; it stands behind
 * the images and before the RECs, where any host can put it.
 */
static bool create_log_pages(const RealmConfig *config, Error **errp)
{
    g_autofree RmiRealmParams *params = g_new0(RmiRealmParams, 1);
    g_autofree RmiRecParams *rec = g_new0(RmiRecParams, 1);
    g_autofree MigPolicy *policy = g_new0(MigPolicy, 1);
    const RealmLogFacts facts = {
        .config = config,
        .params = params,
        .policy = config->migration ? policy : NULL,
        .ram = realm_host.layout.ram,
        .rec = rec,
    };

    if (!config->measurement_log) {
        return true;
    }
    choose_params(config, params);
    choose_rec(first_cpu, rec);
    realm_policy_pack(policy, &config->policy);
    return realm_log_write(&facts, errp) && create_log(config->log_base, errp);
}

static bool init_ripas(Error **errp)
{
    const GArray *ram = realm_host.layout.ram;

    for (guint i = 0; i < ram->len; i++) {
        RealmRange range = realm_range(ram, i);
        uint64_t result = realm_mmu_call_for_range(RMI_RTT_INIT_RIPAS, 0,
                                                   &range.base, range.top);

        if (realm_host_refused("RAM", result, errp)) {
            return false;
        }
    }
    return true;
}

static bool activate(Error **errp)
{
    RmmPe pe = { .x = { RMI_REALM_ACTIVATE, realm_host.rd } };

    realm_call(&pe);
    return !realm_host_refused("to activate the Realm", pe.x[0], errp);
}

bool realm_build(Error **errp)
{
    const RealmConfig *config = realm_host.config;

    if (!create_configured(config, errp) || !init_ripas(errp) ||
        !create_image_pages(errp) || !create_log_pages(config, errp)) {
        return false;
    }
    realm_mmu_fold_images();
    if (!create_recs(errp) || !activate(errp)) {
        return false;
    }
    /* The host's copy of the images is of no use to anyone any more. */
    realm_mmu_discard_shared(config->ram_base,
                             config->ram_base + config->ram_size);
    return true;
}

bool realm_build_empty(Error **errp)
{
    return create_configured(realm_host.config, errp) && create_recs(errp);
}

/* Nothing uses what @fid destroys, so the RMM does not refuse. */
static void destroy(uint64_t fid, uint64_t pa)
{
    RmmPe pe = { .x = { fid, pa } };

    realm_call(&pe);
    assert(pe.x[0] == RMI_SUCCESS);
}

static void trace_end(uint64_t rd)
{
    RmmQuery *query;

    if (trace_event_get_state_backends(TRACE_REALM_HOST_ENDED)) {
        query = rmm_query(realm_rmm);
        trace_realm_host_ended(rd, query->granules.delegated +
                               query->granules.rd + query->granules.rec +
                               query->granules.rec_aux +
                               query->granules.rtt + query->granules.data);
        rmm_query_free(query);
    }
}

void realm_unbuild(void)
{
    const RealmConfig *config = realm_host.config;
    const uint64_t rd = realm_host.rd;
    CPUState *cs;

    realm_call_flush();
    CPU_FOREACH(cs) {
        RealmRec *rec = &realm_host.recs[cs->cpu_index];

        destroy(RMI_REC_DESTROY, rec->pa);
        *rec = (RealmRec) { 0 };
    }
    realm_mmu_dismantle();
    destroy(RMI_REALM_DESTROY, rd);
    realm_host.rd = 0;
    realm_mmu_undelegate_all();
    trace_end(rd);
    realm_mmu_discard_shared(config->ram_base,
                             config->ram_base + config->ram_size);
    realm_layout_reset(&realm_host.layout);
    realm_physmem_protect(false);
}
