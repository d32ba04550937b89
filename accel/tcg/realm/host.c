/*
 * The TCG backend for Realms: the host's half of RMI
 *
 * Purpose: what KVM does on a real machine: create the Realm from the images
 * that the loader left in RAM, answer the exits of RECs.  Tables and pages
 * are in mmu.c.
 *
 * Invariants: the Realm is built from RMI calls alone, in an order that
 * depends on nothing but the machine's options, since it is measured.
 *
 * Lock rule: BQL, but for realm_host_handle_abort, which runs on the fault
 * path.  The run page and the PE of a vCPU are its own while it runs.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "qemu/lockable.h"
#include "qemu/main-loop.h"
#include "hw/boards.h"
#include "system/runstate.h"
#include "target/arm/arm-powerctl.h"
#include "target/arm/cpu.h"
#include "target/arm/cpu-features.h"
#include "target/arm/kvm-consts.h"
#include "target/arm/realm/shared.h"
#include "target/arm/rmm/mig-abi.h"
#include "realm-tcg.h"
#include "trace.h"

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

/*
 * Apply RMI call @fid (INIT_RIPAS or SET_RIPAS) to [*@base, @top); *@base is
 * how far that went.  A block that changes only in part becomes a table.
 */
static uint64_t for_range(uint64_t fid, uint64_t rec, uint64_t *base,
                          uint64_t top)
{
    QEMU_LOCK_GUARD(&realm_tcg.mmu_lock);
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
            uint64_t result = realm_mmu_create_table(*base, level + 1);

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
    uint64_t rd = realm_mmu_new_granules(1);
    RmmPe pe = { .x = { RMI_REALM_CREATE, rd,
                        realm_memory_window(0, params, sizeof(*params)) } };

    realm_memory_protect();
    params->ext_flags = (config->migration ? RMI_REALM_EXT_MIGRATION : 0) |
                        (config->mte ? RMI_REALM_EXT_MTE : 0);
    params->s2sz = config->ipa_bits;
    params->num_bps = FIELD_EX64(cpu->isar.id_aa64dfr0, ID_AA64DFR0, BRPS);
    params->num_wps = FIELD_EX64(cpu->isar.id_aa64dfr0, ID_AA64DFR0, WRPS);
    params->hash_algo = config->measurement_algorithm ==
        RME_GUEST_MEASUREMENT_ALGORITHM_SHA256 ? RMI_HASH_SHA_256
                                               : RMI_HASH_SHA_512;
    memcpy(params->rpv, config->rpv, REALM_RPV_SIZE);
    params->vmid = 1;
    params->rtt_base = realm_mmu_new_granules(tables);
    params->rtt_level_start = level;
    params->rtt_num_start = tables;

    realm_host_call(&pe);
    if (failed("to create the Realm", pe.x[0], errp)) {
        return false;
    }
    realm_tcg.rd = rd;
    realm_tcg.layout.fixed = true;
    return true;
}

/* Which machines may take part in its migration: one more measured call. */
static bool set_policy(const RealmPolicy *policy, Error **errp)
{
    g_autofree MigPolicy *mig = g_new0(MigPolicy, 1);
    RmmPe pe = { .x = { MIG_FID_BASE + MIG_SET_POLICY, realm_tcg.rd,
                        realm_memory_window(0, mig, sizeof(*mig)),
                        sizeof(*mig) } };

    QEMU_BUILD_BUG_ON(sizeof(mig->anchors) != sizeof(policy->anchors));
    QEMU_BUILD_BUG_ON(sizeof(mig->implementation_id) !=
                      sizeof(policy->implementation));
    mig->version = MIG_POLICY_VERSION;
    mig->flags = (policy->compact ? MIG_POLICY_COMPACT : 0) |
                 (policy->secured ? MIG_POLICY_SECURED : 0) |
                 (policy->has_implementation ? MIG_POLICY_IMPLEMENTATION : 0);
    mig->num_anchors = policy->num_anchors;
    memcpy(mig->implementation_id, policy->implementation,
           sizeof(mig->implementation_id));
    memcpy(mig->anchors, policy->anchors, sizeof(mig->anchors));

    realm_host_call(&pe);
    if (RMI_STATUS(pe.x[0]) == RMI_ERROR_REALM) {
        error_setg(errp, "Realm: the RMM refused the migration policy: %s",
                   realm_cause(RMI_INDEX(pe.x[0])));
        return false;
    }
    return !failed("the migration policy", pe.x[0], errp);
}

/* A Realm without contents, from the machine's options alone. */
static bool create_configured(const RealmConfig *config, Error **errp)
{
    return create_realm(config, errp) &&
           (!config->has_policy || set_policy(&config->policy, errp));
}

static bool create_rec(CPUState *cs, Error **errp)
{
    RealmVcpu *vcpu = &realm_tcg.vcpus[cs->cpu_index];
    g_autofree RmiRecParams *params = g_new0(RmiRecParams, 1);
    RmmPe pe;

    vcpu->rec = realm_mmu_new_granules(1);
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
    bool known;

    CPU_FOREACH(cs) {
        if (!create_rec(cs, errp)) {
            return false;
        }
    }
    known = rmm_stage2(realm_tcg.rmm, realm_tcg.vcpus[0].rec,
                       &realm_tcg.stage2);
    assert(known);
    return true;
}

static bool create_page(uint64_t ipa, uint8_t *shared, Error **errp)
{
    uint64_t result = realm_mmu_create_tables(ipa);
    RmmPe pe = { .x = { RMI_DATA_CREATE, realm_tcg.rd, ipa, ipa,
                        realm_memory_window(0, shared, REALM_PAGE_SIZE),
                        RMI_DATA_MEASURE } };

    if (failed("a table for an image", result, errp)) {
        return false;
    }
    if (!realm_mmu_delegate(ipa)) {
        error_setg(errp, "the RMM refused a page of an image at 0x%" PRIx64,
                   ipa);
        return false;
    }
    realm_host_call(&pe);
    return !failed("a page of an image", pe.x[0], errp);
}

static bool create_image_pages(Error **errp)
{
    QEMU_LOCK_GUARD(&realm_tcg.mmu_lock);
    g_autoptr(GArray) images = realm_layout_images(&realm_tcg.layout);

    for (guint i = 0; i < images->len; i++) {
        RealmRange image = realm_range(images, i);
        uint64_t size = image.top - image.base;
        uint8_t *shared = realm_shared_ram(image.base, size);

        for (uint64_t at = 0; at < size; at += REALM_PAGE_SIZE) {
            if (!create_page(image.base + at, shared + at, errp)) {
                return false;
            }
        }
    }
    return true;
}

static bool init_ripas(Error **errp)
{
    const GArray *ram = realm_tcg.layout.ram;

    for (guint i = 0; i < ram->len; i++) {
        RealmRange range = realm_range(ram, i);

        if (failed("RAM", for_range(RMI_RTT_INIT_RIPAS, 0, &range.base,
                                    range.top), errp)) {
            return false;
        }
    }
    return true;
}

static bool activate(Error **errp)
{
    RmmPe pe = { .x = { RMI_REALM_ACTIVATE, realm_tcg.rd } };

    realm_host_call(&pe);
    return !failed("to activate the Realm", pe.x[0], errp);
}

bool realm_host_build(Error **errp)
{
    const RealmConfig *config = realm_tcg.config;

    if (!create_configured(config, errp) || !init_ripas(errp) ||
        !create_image_pages(errp)) {
        return false;
    }
    realm_mmu_fold_images();
    if (!create_recs(errp) || !activate(errp)) {
        return false;
    }
    /* The host's copy of the images is of no use to anyone any more. */
    realm_memory_discard_shared(config->ram_base,
                                config->ram_base + config->ram_size);
    return true;
}

bool realm_host_build_empty(Error **errp)
{
    return create_configured(realm_tcg.config, errp) && create_recs(errp);
}

/*
 * Only what the board has as RAM can be the Realm's; what lies beyond is
 * refused, or the tables for it would be without bound.
 */
static void change_ripas(RealmVcpu *vcpu, RmiRecRun *run)
{
    const RmiRecExit *exit = &run->exit;
    uint64_t base = exit->ripas_base;
    uint64_t top = MIN(exit->ripas_top,
                       realm_layout_ram_top(&realm_tcg.layout, base));
    uint64_t reached = base, result;

    if (top < exit->ripas_top) {
        run->enter.flags = RMI_ENTER_RIPAS_REJECT;
    }
    if (base >= top) {
        run->enter.flags = RMI_ENTER_RIPAS_REJECT;
        return;
    }
    result = for_range(RMI_RTT_SET_RIPAS, vcpu->rec, &reached, top);
    trace_realm_host_change_ripas(base, reached, exit->ripas_value, result);
    if (exit->ripas_value == RMI_RIPAS_EMPTY) {
        realm_mmu_reclaim(base, reached);
    } else {
        realm_mmu_unlend(base, reached);
        realm_memory_discard_shared(base, reached);
    }
}

static uint64_t complete_psci(RealmVcpu *calling, RealmVcpu *target)
{
    RmmPe pe = { .x = { RMI_PSCI_COMPLETE, calling->rec, target->rec,
                        PSCI_SUCCESS } };

    realm_host_call(&pe);
    return pe.x[0];
}

static void stop_machine(void)
{
    qemu_system_vmstop_request_prepare();
    qemu_system_vmstop_request(RUN_STATE_INTERNAL_ERROR);
}

/* Its vCPUs end one after the other, and that is no error. */
static bool is_system_off(uint64_t result)
{
    return result == RMI_RESULT(RMI_ERROR_REALM, 1);
}

/* A REC that cannot be entered leaves nothing to be run: stop all. */
static void enter_or_stop(CPUState *cs)
{
    RealmVcpu *vcpu = &realm_tcg.vcpus[cs->cpu_index];
    Error *err = NULL;

    if (realm_host_enter(cs, &err)) {
        return;
    }
    if (is_system_off(vcpu->pe.x[0])) {
        error_free(err);
    } else {
        error_report_err(err);
        stop_machine();
    }
}

/* The REC that the Realm named as MPIDR_EL1 reads: bit 31 is one there. */
static CPUState *psci_target(const RmiRecExit *exit)
{
    return realm_cpu_by_mpidr(exit->gprs[1] & ~BIT_ULL(31));
}

static void cpu_on(RealmVcpu *calling, const RmiRecExit *exit)
{
    CPUState *cs = psci_target(exit);

    if (!cs || complete_psci(calling, &realm_tcg.vcpus[cs->cpu_index]) ||
        realm_host_entered(cs)) {
        return;
    }
    arm_set_cpu_on(realm_cpu_mpidr(cs), exit->gprs[2], exit->gprs[3], 1, true);
    enter_or_stop(cs);
}

static void affinity_info(RealmVcpu *calling, const RmiRecExit *exit)
{
    CPUState *cs = psci_target(exit);

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

/* The IPA of an abort (RMM 1.0, A4.3.4): HPFAR_EL2 has it without offset. */
static uint64_t abort_ipa(const RmiRecExit *exit)
{
    return (exit->hpfar & ~0xfull) << 8;
}

#define PAGE_IS_GONE "Realm: vCPU %d needs the page at 0x%" PRIx64 ", which " \
                     "is gone; the Realm cannot go on"

/*
 * A REC may exit before it has run: the buffer that the answer to its host
 * call goes to was taken away meanwhile (RMM 1.0, B5.3.4).  It needs its page;
 * what the host wants to tell the Realm is in the run page still.
 */
bool realm_host_enter(CPUState *cs, Error **errp)
{
    RealmVcpu *vcpu = &realm_tcg.vcpus[cs->cpu_index];
    uint64_t ipa, pa;
    const RmiRecRun *run = realm_memory_ns_page(cs->cpu_index, &pa);

    do {
        vcpu->pe = (RmmPe) { .x = { RMI_REC_ENTER, vcpu->rec, vcpu->run } };
        realm_host_call(&vcpu->pe);
        if (vcpu->pe.world == RMM_WORLD_REALM) {
            return true;
        }
        if (failed("to run a REC", vcpu->pe.x[0], errp)) {
            return false;
        }
        ipa = abort_ipa(&run->exit);
    } while (realm_mmu_fault(ipa));
    error_setg(errp, PAGE_IS_GONE, cs->cpu_index, ipa);
    return false;
}

/*
 * Map what the abort that @run tells of needs.  With RIPAS DESTROYED, the
 * host took the page away and cannot give it back: all that is left is to
 * stop.
 */
static bool handle_abort(CPUState *cs, RmiRecRun *run)
{
    uint64_t ipa = abort_ipa(&run->exit);

    if (realm_mmu_fault(ipa)) {
        return true;
    }
    error_report_once(PAGE_IS_GONE, cs->cpu_index, ipa);
    stop_machine();
    return false;
}

bool realm_host_handle_abort(CPUState *cs, RmmPe *pe)
{
    RealmVcpu *vcpu = &realm_tcg.vcpus[cs->cpu_index];
    uint64_t pa;
    RmiRecRun *run = realm_memory_ns_page(cs->cpu_index, &pa);
    bool mapped;

    memset(&run->enter, 0, sizeof(run->enter));
    mapped = handle_abort(cs, run);
    *pe = (RmmPe) { .x = { RMI_REC_ENTER, vcpu->rec, vcpu->run } };
    realm_host_call(pe);
    if (pe->world == RMM_WORLD_REALM) {
        return mapped;
    }
    bql_lock();
    vcpu->pe = *pe;
    bql_unlock();
    if (!is_system_off(pe->x[0])) {
        stop_machine();
    }
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
        handle_abort(cs, run);
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
