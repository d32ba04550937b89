/*
 * The TCG backend for Realms: the host's half of RMI
 *
 * Purpose: what KVM does on a real machine: delegate granules, build tables,
 * create the Realm from the images that the loader left in RAM, answer the
 * exits of RECs.
 *
 * Invariants: the Realm is built from RMI calls alone, in an order that
 * depends on nothing but the machine's options, since it is measured.
 *
 * Lock rule: BQL; realm_host_donate takes donate_lock instead.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "hw/boards.h"
#include "system/runstate.h"
#include "target/arm/arm-powerctl.h"
#include "target/arm/cpu.h"
#include "target/arm/cpu-features.h"
#include "target/arm/kvm-consts.h"
#include "realm-tcg.h"
#include "trace.h"

#define LEVEL_SHIFT(level) (12 + 9 * (3 - (level)))

/* Where to go on after an RMI result that asks for a deeper table. */
static bool wants_table(uint64_t result, unsigned *level)
{
    *level = RMI_INDEX(result);
    return RMI_STATUS(result) == RMI_ERROR_RTT && *level < 3;
}

static bool failed(const char *what, uint64_t result, Error **errp)
{
    if (result == RMI_SUCCESS) {
        return false;
    }
    error_setg(errp, "the RMM refused %s: status %u, index %u",
               what, RMI_STATUS(result), RMI_INDEX(result));
    return true;
}

bool realm_host_delegate(uint64_t pa)
{
    RmmPe pe = { .x = { RMI_GRANULE_DELEGATE, pa } };

    realm_host_call(&pe);
    return pe.x[0] == RMI_SUCCESS;
}

static uint64_t new_granules(unsigned count)
{
    uint64_t pa = realm_memory_alloc(count);

    for (unsigned i = 0; i < count; i++) {
        bool ok = realm_host_delegate(pa + i * REALM_PAGE_SIZE);

        assert(ok);
    }
    return pa;
}

static uint64_t create_table(uint64_t ipa, unsigned level)
{
    uint64_t base = ROUND_DOWN(ipa, BIT_ULL(LEVEL_SHIFT(level - 1)));
    RmmPe pe = { .x = { RMI_RTT_CREATE, realm_tcg.rd, new_granules(1),
                        base, level } };

    realm_host_call(&pe);
    return pe.x[0];
}

uint64_t realm_host_create_tables(uint64_t ipa)
{
    RmmPe pe = { .x = { RMI_RTT_READ_ENTRY, realm_tcg.rd, ipa, 3 } };
    uint64_t result;

    realm_host_call(&pe);
    result = pe.x[0];
    for (unsigned level = pe.x[1] + 1; level <= 3 && !result; level++) {
        result = create_table(ipa, level);
    }
    return result;
}

/*
 * Apply RMI call @fid (INIT_RIPAS or SET_RIPAS) to [*@base, @top); *@base is
 * how far that went.
 */
static uint64_t for_range(uint64_t fid, uint64_t rec, uint64_t *base,
                          uint64_t top)
{
    unsigned level;

    while (*base < top) {
        RmmPe pe = { .x = { fid, realm_tcg.rd } };
        uint64_t *arg = &pe.x[2];

        if (fid == RMI_RTT_SET_RIPAS) {
            *arg++ = rec;
        }
        arg[0] = *base;
        arg[1] = top;
        realm_host_call(&pe);
        if (pe.x[0] == RMI_SUCCESS) {
            *base = pe.x[1];
        } else if (wants_table(pe.x[0], &level)) {
            uint64_t result = create_table(*base, level + 1);

            if (result) {
                return result;
            }
        } else {
            return pe.x[0];
        }
    }
    return RMI_SUCCESS;
}

static int start_level(uint8_t ipa_bits)
{
    /* At most 16 concatenated tables (RMM 1.0, A5.2.1). */
    return ipa_bits <= 43 ? 1 : 0;
}

static bool create_realm(const RealmConfig *config, Error **errp)
{
    g_autofree RmiRealmParams *params = g_new0(RmiRealmParams, 1);
    ARMCPU *cpu = ARM_CPU(first_cpu);
    int level = start_level(config->ipa_bits);
    unsigned tables = BIT(MAX(config->ipa_bits - (48 - 9 * level), 0));
    uint64_t rd = new_granules(1);
    RmmPe pe = { .x = { RMI_REALM_CREATE, rd,
                        realm_memory_window(0, params, sizeof(*params)) } };

    realm_memory_protect();
    params->flags = (config->migration ? RMI_REALM_MIGRATION : 0) |
                    (config->mte ? RMI_REALM_MTE : 0);
    params->s2sz = config->ipa_bits;
    params->num_bps = FIELD_EX64(cpu->isar.id_aa64dfr0, ID_AA64DFR0, BRPS);
    params->num_wps = FIELD_EX64(cpu->isar.id_aa64dfr0, ID_AA64DFR0, WRPS);
    params->hash_algo = config->measurement_algorithm ==
        RME_GUEST_MEASUREMENT_ALGORITHM_SHA256 ? RMI_HASH_SHA_256
                                               : RMI_HASH_SHA_512;
    memcpy(params->rpv, config->rpv, REALM_RPV_SIZE);
    params->vmid = 1;
    params->rtt_base = new_granules(tables);
    params->rtt_level_start = level;
    params->rtt_num_start = tables;

    realm_host_call(&pe);
    if (failed("to create the Realm", pe.x[0], errp)) {
        return false;
    }
    realm_tcg.rd = rd;
    return true;
}

static bool create_rec(CPUState *cs, Error **errp)
{
    RealmVcpu *vcpu = &realm_tcg.vcpus[cs->cpu_index];
    g_autofree RmiRecParams *params = g_new0(RmiRecParams, 1);
    RmmPe pe;

    vcpu->rec = new_granules(1);
    realm_memory_ns_page(cs->cpu_index, &vcpu->run);
    params->flags = cs->start_powered_off ? 0 : RMI_REC_RUNNABLE;
    params->mpidr = realm_cpu_mpidr(cs);
    params->pc = cs->start_powered_off ? 0 : ARM_CPU(cs)->env.pc;

    pe = (RmmPe) { .x = { RMI_REC_CREATE, realm_tcg.rd, vcpu->rec,
                          realm_memory_window(0, params, sizeof(*params)) } };
    realm_host_call(&pe);
    return !failed("to create a REC", pe.x[0], errp);
}

static bool create_recs(Error **errp)
{
    CPUState *cs;

    CPU_FOREACH(cs) {
        if (!create_rec(cs, errp)) {
            return false;
        }
    }
    realm_tcg.built = rmm_stage2(realm_tcg.rmm, realm_tcg.vcpus[0].rec,
                                 &realm_tcg.stage2);
    assert(realm_tcg.built);
    return true;
}

static bool create_page(uint64_t ipa, uint8_t *shared, Error **errp)
{
    uint64_t result = realm_host_create_tables(ipa);
    RmmPe pe = { .x = { RMI_DATA_CREATE, realm_tcg.rd, ipa, ipa,
                        realm_memory_window(0, shared, REALM_PAGE_SIZE),
                        RMI_DATA_MEASURE } };

    if (failed("a table for an image", result, errp)) {
        return false;
    }
    if (!realm_host_delegate(ipa)) {
        error_setg(errp, "the RMM refused a page of an image at 0x%" PRIx64,
                   ipa);
        return false;
    }
    realm_host_call(&pe);
    return !failed("a page of an image", pe.x[0], errp);
}

static gint compare_images(gconstpointer a, gconstpointer b)
{
    const RealmImage *x = a, *y = b;

    return x->base < y->base ? -1 : x->base > y->base;
}

/* In ascending order, each page once, whatever the order of loading. */
static bool create_image_pages(Error **errp)
{
    const RealmConfig *config = realm_tcg.config;
    uint8_t *shared = memory_region_get_ram_ptr(current_machine->ram);
    uint64_t next = 0;

    g_array_sort(realm_tcg.images, compare_images);
    for (guint i = 0; i < realm_tcg.images->len; i++) {
        RealmImage *image = &g_array_index(realm_tcg.images, RealmImage, i);

        for (uint64_t ipa = MAX(image->base, next); ipa < image->top;
             ipa += REALM_PAGE_SIZE) {
            if (!create_page(ipa, shared + (ipa - config->ram_base), errp)) {
                return false;
            }
        }
        next = MAX(next, image->top);
    }
    return true;
}

static bool activate(Error **errp)
{
    RmmPe pe = { .x = { RMI_REALM_ACTIVATE, realm_tcg.rd } };

    realm_host_call(&pe);
    return !failed("to activate the Realm", pe.x[0], errp);
}

static bool never_tried(Error **errp)
{
    if (realm_tcg.rd) {
        error_setg(errp, "Realm: it could not be built before; "
                   "start the machine again");
    }
    return !realm_tcg.rd;
}

bool realm_host_build(Error **errp)
{
    const RealmConfig *config = realm_tcg.config;
    uint64_t base = config->ram_base, top = base + config->ram_size;

    if (!never_tried(errp) || !create_realm(config, errp) ||
        failed("RAM", for_range(RMI_RTT_INIT_RIPAS, 0, &base, top), errp) ||
        !create_image_pages(errp) || !create_recs(errp) || !activate(errp)) {
        return false;
    }
    /* The host's copy of the images is of no use to anyone any more. */
    realm_memory_discard_shared(config->ram_base, top);
    return true;
}

bool realm_host_build_empty(Error **errp)
{
    return never_tried(errp) && create_realm(realm_tcg.config, errp) &&
           create_recs(errp);
}

bool realm_host_donate(uint64_t ipa)
{
    QEMU_LOCK_GUARD(&realm_tcg.donate_lock);
    RmmTranslation found;
    RmmPe pe = { .x = { RMI_DATA_CREATE_UNKNOWN, realm_tcg.rd, ipa, ipa } };

    /* Another vCPU may have been here first. */
    if (rmm_stage2_walk(realm_tcg.rmm, &realm_tcg.stage2, ipa,
                        RMM_ACCESS_READ, &found) != RMM_FAULT_UNASSIGNED) {
        return true;
    }
    if (realm_host_create_tables(ipa) != RMI_SUCCESS) {
        return false;
    }
    /* A page that an import dropped is delegated already. */
    realm_host_delegate(ipa);
    realm_host_call(&pe);
    trace_realm_host_donate(ipa, pe.x[0]);
    return pe.x[0] == RMI_SUCCESS;
}

/*
 * Take back the granules of [@base, @top), which has RIPAS EMPTY now.  All
 * vCPUs are excluded, so it is enough to make them see it at the end.
 */
static void reclaim(uint64_t base, uint64_t top)
{
    while (base < top) {
        RmmPe pe = { .x = { RMI_DATA_DESTROY, realm_tcg.rd, base } };

        realm_host_call_unsynced(&pe);
        if (pe.x[0] == RMI_SUCCESS) {
            RmmPe undelegate = { .x = { RMI_GRANULE_UNDELEGATE, pe.x[1] } };

            realm_host_call_unsynced(&undelegate);
            realm_memory_discard_private(pe.x[1], pe.x[1] + REALM_PAGE_SIZE);
        } else if (RMI_STATUS(pe.x[0]) != RMI_ERROR_RTT || pe.x[2] <= base) {
            break;
        }
        base = pe.x[2];
    }
    realm_host_sync();
}

/*
 * Only what the board has as RAM can be the Realm's; everything else is
 * refused, or the tables for it would be without bound.
 */
static void change_ripas(RealmVcpu *vcpu, RmiRecRun *run)
{
    const RealmConfig *config = realm_tcg.config;
    const RmiRecExit *exit = &run->exit;
    uint64_t reached = exit->ripas_base;
    uint64_t result;

    if (exit->ripas_base < config->ram_base ||
        exit->ripas_top > config->ram_base + config->ram_size) {
        run->enter.flags = RMI_ENTER_RIPAS_REJECT;
        return;
    }
    result = for_range(RMI_RTT_SET_RIPAS, vcpu->rec, &reached,
                       exit->ripas_top);
    trace_realm_host_change_ripas(exit->ripas_base, reached,
                                  exit->ripas_value, result);
    if (exit->ripas_value == RMI_RIPAS_EMPTY) {
        reclaim(exit->ripas_base, reached);
    } else {
        realm_memory_discard_shared(exit->ripas_base, reached);
    }
}

static uint64_t complete_psci(RealmVcpu *calling, RealmVcpu *target)
{
    RmmPe pe = { .x = { RMI_PSCI_COMPLETE, calling->rec, target->rec,
                        PSCI_SUCCESS } };

    realm_host_call(&pe);
    return pe.x[0];
}

/* A REC that cannot be entered leaves nothing to be run: stop all. */
static void enter_or_stop(CPUState *cs)
{
    Error *err = NULL;

    if (!realm_host_enter(cs, &err)) {
        error_report_err(err);
        qemu_system_vmstop_request_prepare();
        qemu_system_vmstop_request(RUN_STATE_INTERNAL_ERROR);
    }
}

static void cpu_on(RealmVcpu *calling, const RmiRecExit *exit)
{
    CPUState *cs = realm_cpu_by_mpidr(exit->gprs[1]);

    if (!cs || complete_psci(calling, &realm_tcg.vcpus[cs->cpu_index]) ||
        realm_host_entered(cs)) {
        return;
    }
    arm_set_cpu_on(exit->gprs[1], exit->gprs[2], exit->gprs[3], 1, true);
    enter_or_stop(cs);
}

static void affinity_info(RealmVcpu *calling, const RmiRecExit *exit)
{
    CPUState *cs = realm_cpu_by_mpidr(exit->gprs[1]);

    if (cs) {
        complete_psci(calling, &realm_tcg.vcpus[cs->cpu_index]);
    }
}

/* True if the REC can be entered again. */
static bool handle_psci(CPUState *cs, RealmVcpu *vcpu, const RmiRecExit *exit)
{
    trace_realm_host_psci(cs->cpu_index, exit->gprs[0]);
    switch ((uint32_t)exit->gprs[0]) {
    case QEMU_PSCI_0_2_FN_CPU_ON:
    case QEMU_PSCI_0_2_FN64_CPU_ON:
        cpu_on(vcpu, exit);
        return true;
    case QEMU_PSCI_0_2_FN_AFFINITY_INFO:
    case QEMU_PSCI_0_2_FN64_AFFINITY_INFO:
        affinity_info(vcpu, exit);
        return true;
    case QEMU_PSCI_0_2_FN_CPU_SUSPEND:
    case QEMU_PSCI_0_2_FN64_CPU_SUSPEND: /* waking up at once is allowed */
        return true;
    case QEMU_PSCI_0_2_FN_SYSTEM_OFF:
        qemu_system_shutdown_request(SHUTDOWN_CAUSE_GUEST_SHUTDOWN);
        break;
    case QEMU_PSCI_0_2_FN_SYSTEM_RESET: /* a Realm does not start twice */
        qemu_system_shutdown_request(SHUTDOWN_CAUSE_GUEST_RESET);
        break;
    }
    ARM_CPU(cs)->power_state = PSCI_OFF;
    return false;
}

/* The host offers no service: SMCCC NOT_SUPPORTED, whatever was asked. */
static void answer_host_call(RmiRecRun *run)
{
    memcpy(run->enter.gprs, run->exit.gprs, sizeof(run->enter.gprs));
    run->enter.gprs[0] = SMCCC_NOT_SUPPORTED;
}

bool realm_host_entered(CPUState *cs)
{
    return realm_tcg.vcpus[cs->cpu_index].pe.world == RMM_WORLD_REALM;
}

bool realm_host_enter(CPUState *cs, Error **errp)
{
    RealmVcpu *vcpu = &realm_tcg.vcpus[cs->cpu_index];

    vcpu->pe = (RmmPe) { .x = { RMI_REC_ENTER, vcpu->rec, vcpu->run } };
    realm_host_call(&vcpu->pe);
    if (vcpu->pe.world == RMM_WORLD_REALM) {
        return true;
    }
    failed("to run a REC", vcpu->pe.x[0], errp);
    return false;
}

void realm_host_handle_exit(CPUState *cs)
{
    RealmVcpu *vcpu = &realm_tcg.vcpus[cs->cpu_index];
    uint64_t pa;
    RmiRecRun *run = realm_memory_ns_page(cs->cpu_index, &pa);
    bool again = true;

    memset(&run->enter, 0, sizeof(run->enter));
    switch (run->exit.exit_reason) {
    case RMI_EXIT_SYNC: /* a buffer of the Realm's has no page yet */
        realm_host_donate((run->exit.hpfar & ~0xfull) << 8);
        break;
    case RMI_EXIT_RIPAS_CHANGE:
        change_ripas(vcpu, run);
        break;
    case RMI_EXIT_PSCI:
        again = handle_psci(cs, vcpu, &run->exit);
        break;
    case RMI_EXIT_HOST_CALL:
        answer_host_call(run);
        break;
    }
    if (again) {
        enter_or_stop(cs);
    }
}
