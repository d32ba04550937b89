/*
 * Realms under TCG: the seam to machine and migration
 *
 * Purpose: RealmBackendOps in terms of calls to the RMM model.
 *
 * Invariants: buffers go to the RMM through this thread's windows, valid for
 * one call.
 *
 * Lock rule: BQL, but export_memory and import_memory from any thread.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/util.h"
#include "qemu/bswap.h"
#include "qemu/lockable.h"
#include "system/runstate.h"
#include "target/arm/cpu-qom.h"
#include "target/arm/realm/cause.h"
#include "target/arm/rmm/mig-abi.h"
#include "target/arm/rmm/query.h"
#include "target/arm/rmm/rmm-abi.h"
#include "accel/tcg/realm/machine.h"
#include "buffers.h"
#include "build.h"
#include "mmu.h"
#include "recs.h"
#include "state.h"

G_DEFINE_AUTOPTR_CLEANUP_FUNC(RmmQuery, rmm_query_free)

#define MIG(call) (MIG_FID_BASE + (call))

static RealmPhase realm_phase;

static RealmPhase phase(void)
{
    return qatomic_read(&realm_phase);
}

static bool check_step(RealmStep step, Error **errp)
{
    return realm_phase_check(phase(), step, errp);
}

static void took_step(RealmStep step)
{
    realm_phase_take(&realm_phase, step);
}

/*
 * Make the migration call that @pe holds, which is a part of @step, and say in
 * words why it failed.
 */
static bool call_part(RmmPe *pe, RealmStep step, Error **errp)
{
    const char *what = realm_step_text(step);
    unsigned status, index;

    if (!check_step(step, errp)) {
        return false;
    }
    realm_call(pe);
    status = RMI_STATUS(pe->x[0]);
    index = RMI_INDEX(pe->x[0]);
    if (pe->x[0] == RMI_SUCCESS) {
        return true;
    }
    if (status == RMI_ERROR_REALM) {
        error_setg(errp, "Realm: cannot %s: %s", what, realm_cause(index));
    } else {
        error_setg(errp, "Realm: cannot %s: RMM status %u, index %u", what,
                   status, index);
    }
    return false;
}

/* As call_part, of all of @step: so it is taken. */
static bool mig_call(RmmPe *pe, RealmStep step, Error **errp)
{
    bool ok = call_part(pe, step, errp);

    if (ok) {
        took_step(step);
    }
    return ok;
}

static size_t max_blob(void)
{
    return MIG_MAX_BUNDLE;
}

static uint64_t rd(void)
{
    return realm_host.rd;
}

static uint64_t blob_window(const void *buf)
{
    return realm_window(0, buf, max_blob());
}

static bool init_ripas(uint64_t base, uint64_t size, Error **errp)
{
    return realm_layout_add_ram(&realm_host.layout, base, size, errp);
}

/* Each reset repeats the images. */
static void add_image(uint64_t base, uint64_t size)
{
    realm_layout_add_image(&realm_host.layout, base, size);
}

static size_t measurement(uint8_t value[REALM_MEASUREMENT_SIZE])
{
    return realm_phase_exists(phase())
        ? rmm_realm_rim(realm_rmm, rd(), value) : 0;
}

static bool count_pages(RealmPages *pages)
{
    RmmPages counted;

    if (!realm_phase_exists(phase()) ||
        !rmm_realm_pages(realm_rmm, rd(), &counted)) {
        return false;
    }
    *pages = (RealmPages) {
        .private = counted.owned,
        .lent = counted.lent,
        .empty = counted.empty,
        .untouched = counted.untouched,
        .dirty = counted.dirty,
    };
    return true;
}

static bool features(RealmFeatures *features)
{
    g_autoptr(RmmQuery) query = NULL;

    if (!realm_phase_exists(phase())) {
        return false;
    }
    query = rmm_query(realm_rmm);
    if (query->num_realms) {
        features->sve_vl = query->realms[0].sve_vl;
        features->pmu = query->realms[0].pmu;
        features->pmu_num_ctrs = query->realms[0].pmu_num_ctrs;
    }
    return query->num_realms;
}

/*
 * -cpu max has all that a CPU under TCG can have, but for what the user took
 * away from it (-cpu max,sve256=on: longer vectors).
 */
static RealmCapabilities *capabilities(Error **errp)
{
    RmmPlatform platform = { 0 };
    RealmCapabilities *caps;

    if (!realm_machine_platform(ARM_CPU_TYPE_NAME("max"), &platform, errp)) {
        return NULL;
    }
    caps = g_new0(RealmCapabilities, 1);
    caps->backend = g_strdup("tcg");
    QAPI_LIST_PREPEND(caps->measurement_algorithms,
                      RME_GUEST_MEASUREMENT_ALGORITHM_SHA512);
    QAPI_LIST_PREPEND(caps->measurement_algorithms,
                      RME_GUEST_MEASUREMENT_ALGORITHM_SHA256);
    caps->measurement_log = true;
    caps->personalization_value = true;
    caps->migration = platform.migration;
    caps->mte = platform.mte;
    caps->sve = caps->has_max_sve_vector_length = platform.sve;
    caps->max_sve_vector_length = (platform.sve_vl + 1) * 128;
    caps->pmu = caps->has_max_pmu_counters = platform.pmu;
    caps->max_pmu_counters = platform.pmu_num_ctrs;
    caps->max_ipa_width = platform.ipa_bits;
    caps->max_cpus = RMM_MAX_RECS;
    return caps;
}

static void migration_limits(RealmMigrationLimits *limits)
{
    limits->max_blob = max_blob();
    limits->max_pages = MIG_MAX_PAGES;
    limits->max_streams = MIG_MAX_STREAMS;
    limits->page_size = REALM_PAGE_SIZE;
}

static bool export_abort(Error **errp)
{
    RmmPe pe = { .x = { MIG(MIG_EXPORT_ABORT), rd() } };

    if (!mig_call(&pe, REALM_STEP_ABORT, errp)) {
        return false;
    }
    realm_mmu_fold_all();
    return true;
}

/* A nonce is in registers, which are little endian. */
static bool prepare_migration(uint8_t nonce[REALM_NONCE_SIZE], Error **errp)
{
    RmmPe pe = { .x = { MIG(MIG_PREPARE), rd() } };

    if (!mig_call(&pe, REALM_STEP_PREPARE, errp)) {
        return false;
    }
    for (unsigned i = 0; i < REALM_NONCE_SIZE / 8; i++) {
        stq_le_p(nonce + 8 * i, pe.x[1 + i]);
    }
    return true;
}

static bool accept_offer(const void *offer, size_t size, Error **errp)
{
    RmmPe pe = { .x = { MIG(MIG_ACCEPT), rd(),
                        realm_window(0, offer, size), size } };

    return mig_call(&pe, REALM_STEP_ACCEPT, errp);
}

static ssize_t export_begin(void *buf, Error **errp)
{
    RmmPe pe = { .x = { MIG(MIG_EXPORT_BEGIN), rd(), blob_window(buf),
                        max_blob() } };

    if (!check_step(REALM_STEP_BEGIN, errp)) {
        return -1;
    }
    realm_mmu_stop_folding();
    if (!mig_call(&pe, REALM_STEP_BEGIN, errp)) {
        realm_mmu_fold_all();
        return -1;
    }
    return pe.x[1];
}

static int64_t collect_dirty(unsigned long *bitmap, Error **errp)
{
    const RealmConfig *config = realm_host.config;
    uint64_t pages = config->ram_size / REALM_PAGE_SIZE;
    size_t size = ROUND_UP(pages, 64) / 8;
    RmmPe pe;

    if (!check_step(REALM_STEP_COLLECT_DIRTY, errp)) {
        return -1;
    }
    /* Pages have a dirty state each, and a block has none of theirs. */
    if (!realm_mmu_unfold_all()) {
        error_setg(errp, "Realm: the RMM refused a table for a block of "
                   "pages, so it cannot be migrated");
        return -1;
    }
    do {
        pe = (RmmPe) { .x = { MIG(MIG_COLLECT_DIRTY), rd(), config->ram_base,
                              config->ram_base + config->ram_size,
                              realm_window(1, bitmap, size) } };
        if (!mig_call(&pe, REALM_STEP_COLLECT_DIRTY, errp)) {
            return -1;
        }
    } while (pe.x[2]);
    bitmap_from_le(bitmap, bitmap, pages);
    return pe.x[1];
}

static ssize_t export_memory(unsigned stream, const uint64_t *pages,
                             unsigned n, void *buf, unsigned *exported,
                             Error **errp)
{
    uint64_t ipas[MIG_MAX_PAGES];
    RmmPe pe;

    assert(n <= MIG_MAX_PAGES);
    for (unsigned i = 0; i < n; i++) {
        ipas[i] = cpu_to_le64(realm_host.config->ram_base +
                              pages[i] * REALM_PAGE_SIZE);
    }
    pe = (RmmPe) { .x = { MIG(MIG_EXPORT_MEMORY), rd(),
                          realm_window(1, ipas, n * sizeof(*ipas)), n,
                          blob_window(buf), max_blob(), stream } };
    if (!mig_call(&pe, REALM_STEP_EXPORT_MEMORY, errp)) {
        return -1;
    }
    *exported = pe.x[2];
    return pe.x[1];
}

static ssize_t export_epoch(void *buf, Error **errp)
{
    RmmPe pe = { .x = { MIG(MIG_EXPORT_EPOCH), rd(), blob_window(buf),
                        max_blob() } };

    return mig_call(&pe, REALM_STEP_EPOCH, errp) ? pe.x[1] : -1;
}

static bool pause_realm(Error **errp)
{
    RmmPe pe = { .x = { MIG(MIG_PAUSE), rd() } };

    return mig_call(&pe, REALM_STEP_PAUSE, errp);
}

static ssize_t export_rec(unsigned n, void *buf, Error **errp)
{
    RmmPe pe;

    if (n >= realm_host.config->num_cpus) {
        return 0;
    }
    pe = (RmmPe) { .x = { MIG(MIG_EXPORT_REC), rd(), realm_host.recs[n].pa,
                          blob_window(buf), max_blob() } };
    return mig_call(&pe, REALM_STEP_STATE, errp) ? pe.x[1] : -1;
}

/* First the Realm's own state and its map, then the RECs. */
static ssize_t export_state(unsigned part, void *buf, Error **errp)
{
    static uint64_t next_base;  /* where the map goes on */
    static unsigned first_rec;  /* the part that is the first REC, or 0 */
    RmmPe pe;

    if (!check_step(REALM_STEP_STATE, errp)) {
        return -1;
    }
    if (part == 0) {
        next_base = 0;
        first_rec = 0;
    }
    if (first_rec) {
        return export_rec(part - first_rec, buf, errp);
    }
    pe = (RmmPe) { .x = { MIG(MIG_EXPORT_REALM), rd(), blob_window(buf),
                          max_blob(), next_base } };
    if (!mig_call(&pe, REALM_STEP_STATE, errp)) {
        return -1;
    }
    next_base = pe.x[2];
    if (!next_base) {
        first_rec = part + 1;
    }
    return pe.x[1];
}

/* The call has no argument for the size of the ready record. */
static bool check_ready_size(size_t size, Error **errp)
{
    if (size != MIG_EMPTY_BUNDLE) {
        error_setg(errp, "Realm: cannot %s: a ready record has %zu bytes, and "
                   "what the destination answered has %zu; see its log",
                   realm_step_text(REALM_STEP_START), MIG_EMPTY_BUNDLE, size);
    }
    return size == MIG_EMPTY_BUNDLE;
}

static ssize_t export_start(const void *ready, size_t size, void *buf,
                            Error **errp)
{
    const size_t room = REALM_MAX_START_TOKEN;
    RmmPe pe = { .x = { MIG(MIG_EXPORT_START), rd(),
                        realm_window(0, buf, room), room,
                        realm_window(1, ready, size) } };

    if (phase() == REALM_PHASE_PAUSED && !check_ready_size(size, errp)) {
        return -1;
    }
    return mig_call(&pe, REALM_STEP_START, errp) ? pe.x[1] : -1;
}

static bool export_resume(const void *token, size_t size, Error **errp)
{
    RmmPe pe = { .x = { MIG(MIG_EXPORT_RESUME), rd(),
                        realm_window(0, token, size), size } };

    if (!mig_call(&pe, REALM_STEP_RESUME, errp)) {
        return false;
    }
    realm_mmu_fold_all();
    return true;
}

/* The RMM wipes a piece of the Realm a call. */
static bool export_finish(const void *receipt, size_t size, Error **errp)
{
    RmmPe pe;

    do {
        pe = (RmmPe) { .x = { MIG(MIG_EXPORT_FINISH), rd(),
                              realm_window(0, receipt, size), size } };
        if (!mig_call(&pe, REALM_STEP_FINISH, errp)) {
            return false;
        }
    } while (pe.x[1]);
    return true;
}

static bool build(bool (*steps)(Error **errp), RealmStep step, Error **errp)
{
    bool ok = steps(errp);

    took_step(ok ? step : REALM_STEP_BREAK);
    return ok;
}

static ssize_t make_offer(const uint8_t nonce[REALM_NONCE_SIZE], void *buf,
                          Error **errp)
{
    RmmPe pe;

    if (!check_step(REALM_STEP_OFFER, errp) ||
        (phase() == REALM_PHASE_WAITING &&
         !build(realm_build_empty, REALM_STEP_BUILD_EMPTY, errp))) {
        return -1;
    }
    pe = (RmmPe) { .x = { MIG(MIG_OFFER), rd(), blob_window(buf), max_blob(),
                          ldq_le_p(nonce), ldq_le_p(nonce + 8),
                          ldq_le_p(nonce + 16), ldq_le_p(nonce + 24) } };
    return mig_call(&pe, REALM_STEP_OFFER, errp) ? pe.x[1] : -1;
}

/* A record was refused, which is final for the session; returns false. */
static bool import_failed(void)
{
    took_step(REALM_STEP_FAIL);
    return false;
}

static bool import_blob(const void *blob, size_t size, Error **errp)
{
    RmmPe pe = { .x = { MIG(MIG_IMPORT), rd(),
                        realm_window(0, blob, size), size } };

    return check_step(REALM_STEP_IMPORT, errp) &&
           (mig_call(&pe, REALM_STEP_IMPORT, errp) || import_failed());
}

static bool check_arrivals(const uint64_t *ipas, size_t n, Error **errp)
{
    const RealmConfig *config = realm_host.config;

    for (size_t i = 0; i < n; i++) {
        if (ipas[i] < config->ram_base ||
            ipas[i] - config->ram_base >= config->ram_size) {
            error_setg(errp, "Realm: a bundle has a page at 0x%" PRIx64
                       ", where this machine has no memory", ipas[i]);
            return false;
        }
    }
    return true;
}

/*
 * Zero pages take no memory where there was none, unless to look at one would
 * take a larger page: then that is done here, where it may fail.
 */
static bool populate_data(const void *blob, const uint64_t *ipas, size_t n,
                          Error **errp)
{
    uint64_t data[MIG_MAX_PAGES];
    size_t num = 0;

    for (size_t i = 0; i < n; i++) {
        if (!mig_peek_zero(blob, i) ||
            realm_physmem_page_size(ipas[i]) > qemu_real_host_page_size()) {
            data[num++] = ipas[i];
        }
    }
    return realm_mmu_populate(data, num, errp);
}

/*
 * What has no pages is refused by the RMM, which wants a list all the same.
 * The granule of a page has its address here.  So the list says the same
 * whether another bundle brought the page before, or brings it meanwhile.
 */
static int import_pages(const void *blob, size_t size, Error **errp)
{
    uint64_t ipas[MIG_MAX_PAGES] = { 0 };
    size_t n = mig_peek_entries(blob, size, ipas);
    const bool begun = phase() != REALM_PHASE_OFFERED;
    RmmPe pe;

    if (!check_arrivals(ipas, n, errp) ||
        !populate_data(blob, ipas, n, errp) ||
        !realm_mmu_prepare_pages(ipas, n, errp)) {
        return -EIO;
    }
    for (size_t i = 0; i < n; i++) {
        ipas[i] = cpu_to_le64(ipas[i]);
    }
    pe = (RmmPe) { .x = { MIG(MIG_IMPORT_MEMORY), rd(),
                          realm_window(0, blob, size), size,
                          realm_window(1, ipas, sizeof(ipas)), MAX(n, 1) } };
    if (mig_call(&pe, REALM_STEP_IMPORT_MEMORY, errp)) {
        return n;
    }
    /*
     * The session was checked before.  Another import has ended it since if
     * the RMM was not even called: @pe is as it was made; or if the RMM finds
     * that a session which had begun is over.
     */
    return pe.x[0] == MIG(MIG_IMPORT_MEMORY) ||
           (begun && pe.x[0] == RMI_RESULT(RMI_ERROR_REALM, MIG_CAUSE_STATE))
           ? -ECANCELED : -EIO;
}

static int import_memory(const void *blob, size_t size, Error **errp)
{
    int pages;

    if (!check_step(REALM_STEP_IMPORT_MEMORY, errp)) {
        return phase() == REALM_PHASE_FAILED ? -ECANCELED : -EIO;
    }
    pages = import_pages(blob, size, errp);
    if (pages < 0) {
        import_failed();
    }
    return pages;
}

/*
 * A map changes within RAM and at its end: one that does so elsewhere is of
 * another machine, and tables for it were not set aside (mmu.c).
 */
static bool create_tables(uint64_t ipa)
{
    const RealmConfig *config = realm_host.config;
    QEMU_LOCK_GUARD(&realm_mmu_lock);

    return ipa >= config->ram_base &&
           ipa - config->ram_base <= config->ram_size &&
           realm_mmu_create_tables(ipa) == RMI_SUCCESS;
}

/*
 * Make @call, which is a part of @step.  Where the Realm's map is finer than
 * our tables, the RMM wants a table, and says in @pe->x[@ipa] where.
 */
static bool call_with_tables(RmmPe *pe, const RmmPe *call, unsigned ipa,
                             RealmStep step, Error **errp)
{
    ERRP_GUARD();
    uint64_t last = UINT64_MAX;

    for (;;) {
        *pe = *call;
        if (call_part(pe, step, errp)) {
            return true;
        }
        if (RMI_STATUS(pe->x[0]) != RMI_ERROR_RTT || pe->x[ipa] == last ||
            !create_tables(pe->x[ipa])) {
            if (RMI_STATUS(pe->x[0]) == RMI_ERROR_REALM &&
                RMI_INDEX(pe->x[0]) >= MIG_CAUSE_FINAL) {
                import_failed();        /* as a refused record does */
            }
            return false;
        }
        last = pe->x[ipa];
        error_free(*errp);
        *errp = NULL;
    }
}

/* The RMM looks at a piece of the map in each call. */
static ssize_t import_ready(void *buf, Error **errp)
{
    const RmmPe call = { .x = { MIG(MIG_IMPORT_READY), rd(),
                                realm_window(0, buf, REALM_MAX_REPLY),
                                REALM_MAX_REPLY } };
    RmmPe pe;

    do {
        if (!call_with_tables(&pe, &call, 2, REALM_STEP_READY, errp)) {
            return -1;
        }
    } while (!pe.x[1]);
    return pe.x[1];
}

/* ... and makes it true here. */
static bool commit(Error **errp)
{
    const RmmPe call = { .x = { MIG(MIG_IMPORT_COMMIT), rd() } };
    RmmPe pe;

    if (!check_step(REALM_STEP_COMMIT, errp) || !realm_contexts_apply(errp)) {
        return false;
    }
    do {
        if (!call_with_tables(&pe, &call, 1, REALM_STEP_COMMIT, errp)) {
            return false;
        }
    } while (pe.x[1]);
    took_step(REALM_STEP_COMMIT);
    realm_mmu_fold_all();
    return true;
}

static ssize_t import_receipt(void *buf, Error **errp)
{
    RmmPe pe = { .x = { MIG(MIG_IMPORT_RECEIPT), rd(),
                        realm_window(0, buf, REALM_MAX_REPLY),
                        REALM_MAX_REPLY } };

    return mig_call(&pe, REALM_STEP_RECEIPT, errp) ? pe.x[1] : -1;
}

static ssize_t import_abort(void *buf, Error **errp)
{
    RmmPe pe = { .x = { MIG(MIG_IMPORT_ABORT), rd(), blob_window(buf),
                        max_blob() } };

    if (!mig_call(&pe, REALM_STEP_GIVE_UP, errp)) {
        return -1;
    }
    realm_contexts_drop();
    return pe.x[1];
}

/* A machine that waits for a Realm makes none of its own. */
static bool start_realm(Error **errp)
{
    return check_step(REALM_STEP_RUN, errp) &&
           (phase() != REALM_PHASE_NEW ||
            build(realm_build, REALM_STEP_BUILD, errp)) &&
           realm_recs_enter(errp);
}

static bool reset_realm(Error **errp)
{
    if (!check_step(REALM_STEP_RESET, errp)) {
        return false;
    }
    realm_recs_leave();
    realm_unbuild();
    took_step(REALM_STEP_RESET);
    return true;
}

static const RealmHostOps host = {
    .ns = realm_buffers_ns,
    .is_lendable = realm_mmu_is_lendable,
    .handle_exit = realm_rec_handle_exit,
    .handle_abort = realm_rec_handle_abort,
};

static bool prepare(const RealmConfig *config, Error **errp)
{
    const RealmMachineConfig machine = {
        .cpu_type = config->cpu_type,
        .num_cpus = config->num_cpus,
        .ram_base = config->ram_base,
        .ram_size = config->ram_size,
        .extra_size = realm_mmu_extra_size(config),
        .ipa_bits = config->ipa_bits,
        .mte = config->mte,
    };

    if (!realm_machine_init(&machine, &host, errp)) {
        return false;
    }
    realm_phase = realm_phase_first(runstate_check(RUN_STATE_INMIGRATE));
    realm_host.config = config;
    realm_host.recs = g_new0(RealmRec, config->num_cpus);
    realm_layout_init(&realm_host.layout, config, REALM_PAGE_SIZE);
    realm_buffers_init(config->num_cpus);
    realm_mmu_init(config);
    return true;
}

const RealmBackendOps *realm_tcg_backend(void)
{
    static const RealmBackendOps ops = {
        .name = "tcg",
        .prepare = prepare,
        .init_ripas = init_ripas,
        .add_image = add_image,
        .start = start_realm,
        .park = realm_recs_park,
        .stopped = realm_recs_leave,
        .reset = reset_realm,
        .phase = phase,
        .measurement = measurement,
        .count_pages = count_pages,
        .features = features,
        .capabilities = capabilities,
        .migration_limits = migration_limits,
        .prepare_migration = prepare_migration,
        .accept = accept_offer,
        .export_begin = export_begin,
        .collect_dirty = collect_dirty,
        .export_memory = export_memory,
        .export_epoch = export_epoch,
        .pause = pause_realm,
        .export_state = export_state,
        .export_start = export_start,
        .export_abort = export_abort,
        .export_resume = export_resume,
        .export_finish = export_finish,
        .offer = make_offer,
        .import = import_blob,
        .import_memory = import_memory,
        .import_ready = import_ready,
        .commit = commit,
        .import_receipt = import_receipt,
        .import_abort = import_abort,
    };

    return &ops;
}
