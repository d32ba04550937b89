/*
 * The virt board as a Realm: where its machine comes together
 *
 * Purpose: assemble() joins the parts: the accelerator's backend, the run state
 * of the machine, the loader of images and the migration.  The rest of this
 * file is what the board itself has to be: its conduit and the shared half of
 * its address space.
 *
 * Lock rule: BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "qemu/module.h"
#include "exec/address-spaces.h"
#include "hw/arm/virt-realm.h"
#include "hw/boards.h"
#include "migration/realm.h"
#include "system/kvm.h"
#include "system/realm-backend.h"
#include "system/realm-events.h"
#include "system/realm-image.h"
#include "system/realm-query.h"
#include "system/tcg.h"
#include "target/arm/kvm-consts.h"
#include "realm-run.h"
#include "virt-realm-internal.h"

static const RealmBackendOps *find_backend(void)
{
    if (kvm_enabled()) {
        return realm_kvm_backend();
    }
    return tcg_enabled() ? realm_tcg_backend() : NULL;
}

/* From the firmware, if that is in RAM, up to the end of RAM. */
static void fill_config(VirtMachineState *vms, RealmConfig *config)
{
    MachineState *machine = MACHINE(vms);
    uint64_t base = vms->memmap[VIRT_MEM].base;

    config->ipa_bits = virt_realm_ipa_bits(vms);
    config->ram_base = machine->firmware ? vms->memmap[VIRT_FLASH].base : base;
    config->ram_size = base + machine->ram_size - config->ram_base;
    config->has_measurement_algorithm |= tcg_enabled();
    config->cpu_type = machine->cpu_type;
    config->num_cpus = machine->smp.cpus;
}

/* RAM, and before it that of the firmware if there is any. */
static bool init_ripas(VirtMachineState *vms, Error **errp)
{
    const RealmBackendOps *backend = realm_backend();
    const MemMapEntry *flash = &vms->memmap[VIRT_FLASH];
    MachineState *machine = MACHINE(vms);

    return (!machine->firmware ||
            backend->init_ripas(flash->base, flash->size, errp)) &&
           backend->init_ripas(vms->memmap[VIRT_MEM].base, machine->ram_size,
                               errp);
}

/* The place of the measurement log is kept by an image that is none. */
static void add_image(uint64_t base, uint64_t size)
{
    if (!base || base != realm_config()->log_base) {
        realm_backend()->add_image(base, size);
    }
}

/*
 * The parts of a Realm's machine.  The backend is prepared last: the others
 * are in place when it registers something of its own.
 */
static bool assemble(VirtMachineState *vms, const RealmBackendOps *backend,
                     RealmConfig *config, Error **errp)
{
    fill_config(vms, config);
    realm_backend_set(backend, config);         /* who runs the Realm */
    realm_run_init();                           /* when it runs */
    realm_end_init();                           /* why it ends */
    realm_image_init(add_image);                /* what it holds at first */
    virt_realm_log_init(vms, config);           /* and what it says of that */
    realm_migration_init();                     /* how it leaves or comes */
    virt_realm_memory_share(MACHINE(vms)->ram); /* what it shares */
    return backend->prepare(config, errp) && init_ripas(vms, errp);
}

static bool realm_init(VirtMachineState *vms, RealmConfig *config,
                       Error **errp)
{
    const RealmBackendOps *backend = find_backend();

    if (!backend) {
        error_setg(errp, "rme-guest: accelerator '%s' cannot run Realms here; "
                   "use -accel tcg", current_accel_name());
        return false;
    }
    return virt_realm_check(vms, config, errp) &&
           assemble(vms, backend, config, errp);
}

/*
 * Linux puts the shared bit into the DMA addresses that it gives to devices,
 * so what they can reach appears there as well.  Under TCG that is the board;
 * with KVM only RAM, since the kernel is told where the devices are, once.
 */
static void alias_shared_half(const RealmConfig *config)
{
    MemoryRegion *sysmem = get_system_memory();
    MemoryRegion *alias = g_new(MemoryRegion, 1);
    hwaddr shared = BIT_ULL(config->ipa_bits - 1);
    MemoryRegion *target = sysmem;
    hwaddr offset = 0, size = shared;

    if (kvm_enabled()) {
        target = current_machine->ram;
        size = current_machine->ram_size;
        offset = config->ram_base + config->ram_size - size;
    }
    memory_region_init_alias(alias, OBJECT(current_machine),
                             "realm-shared-half", target, 0, size);
    memory_region_add_subregion_overlap(sysmem, shared + offset, alias, -1);
}

void virt_realm_init(VirtMachineState *vms)
{
    MachineState *machine = MACHINE(vms);
    RmeGuest *guest = rme_guest();

    if (!guest) {
        return;
    }
    if (!rme_guest_of(machine)) {
        error_report("rme-guest: the machine does not use it; add "
                     "confidential-guest-support=%s to -machine virt",
                     object_get_canonical_path_component(OBJECT(guest)));
        exit(EXIT_FAILURE);
    }
    realm_init(vms, &guest->config, &error_fatal);
    vms->psci_conduit = QEMU_PSCI_CONDUIT_SMC;
    alias_shared_half(&guest->config);
    virt_realm_devices_init();
    machine->cgs->ready = true;
}

static void register_query(void)
{
    realm_query_init(find_backend);
}

type_init(register_query)
