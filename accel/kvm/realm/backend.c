/*
 * The KVM backend for Realms: the seam to machine and migration
 *
 * Purpose: implement RealmBackendOps with the files beside this one.
 *
 * Invariants: the registers of the vCPUs belong to the Realm, already before
 * the first vCPU exists.  QEMU neither reads nor writes them.
 *
 * Lock rule: BQL; but any thread may call export_memory and import_memory.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "system/realm-kvm.h"
#include "system/runstate.h"
#include "realm-kvm.h"

static bool prepare(const RealmConfig *config, Error **errp)
{
    if (!kvm_irqchip_in_kernel()) {
        error_setg(errp, "rme-guest: a Realm's interrupt controller is the "
                   "kernel's; leave kernel-irqchip=off out");
        return false;
    }
    realm_kvm_init(config, runstate_check(RUN_STATE_INMIGRATE));
    if (!realm_kvm_configure(config, errp) ||
        !realm_kvm_migration_init(config, errp)) {
        return false;
    }
    kvm_mark_guest_state_protected();
    realm_kvm_carry_answers(config->num_cpus);
    return true;
}

static bool init_ripas(uint64_t base, uint64_t size, Error **errp)
{
    return realm_layout_add_ram(&realm_kvm.layout, base, size, errp);
}

/* Until the start, each reset of the machine adds the same images again. */
static void add_image(uint64_t base, uint64_t size)
{
    realm_layout_add_image(&realm_kvm.layout, base, size);
}

/* A machine that waits for a migration does not build a Realm. */
static bool start(Error **errp)
{
    if (!realm_kvm_check(REALM_STEP_RUN, errp)) {
        return false;
    }
    realm_kvm.parked = false;
    return realm_kvm_phase() != REALM_PHASE_NEW || realm_kvm_build(errp);
}

static void park(void)
{
    realm_kvm.parked = true;
}

/* Nothing to do: a vCPU that has left KVM_RUN has left its REC as well. */
static void stopped(void)
{
}

/*
 * Its kernel's VM is one Realm for good.  QEMU 10.0 cannot give the machine
 * another VM, and ends it instead.
 */
static bool reset(Error **errp)
{
    if (realm_kvm_check(REALM_STEP_RESET, errp)) {
        error_setg(errp, "Realm: cannot be reset: with KVM this would take a "
                   "new VM, which this QEMU cannot make; end this machine and "
                   "start it again");
    }
    return false;
}

/* The kernel has no interface for it.  The Realm itself can ask the RMM. */
static size_t measurement(uint8_t value[REALM_MEASUREMENT_SIZE])
{
    return 0;
}

static bool count_pages(RealmPages *pages)
{
    return false;
}

static bool features(RealmFeatures *features)
{
    return false;
}

static void migration_limits(RealmMigrationLimits *limits)
{
    *limits = realm_kvm.limits;
}

const RealmBackendOps *realm_kvm_backend(void)
{
    static const RealmBackendOps ops = {
        .name = "kvm",
        .prepare = prepare,
        .init_ripas = init_ripas,
        .add_image = add_image,
        .start = start,
        .park = park,
        .stopped = stopped,
        .reset = reset,
        .phase = realm_kvm_phase,
        .measurement = measurement,
        .count_pages = count_pages,
        .features = features,
        .capabilities = realm_kvm_capabilities,
        .migration_limits = migration_limits,
        .prepare_migration = realm_kvm_prepare_migration,
        .accept = realm_kvm_accept,
        .export_begin = realm_kvm_export_begin,
        .collect_dirty = realm_kvm_collect_dirty,
        .export_memory = realm_kvm_export_memory,
        .export_epoch = realm_kvm_export_epoch,
        .pause = realm_kvm_pause,
        .export_state = realm_kvm_export_state,
        .export_start = realm_kvm_export_start,
        .export_abort = realm_kvm_export_abort,
        .export_resume = realm_kvm_export_resume,
        .export_finish = realm_kvm_export_finish,
        .offer = realm_kvm_offer,
        .import = realm_kvm_import,
        .import_memory = realm_kvm_import_memory,
        .import_ready = realm_kvm_import_ready,
        .commit = realm_kvm_commit,
        .import_receipt = realm_kvm_import_receipt,
        .import_abort = realm_kvm_import_abort,
    };

    return &ops;
}
