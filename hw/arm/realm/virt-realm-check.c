/*
 * The virt board as a Realm: which options it can have
 *
 * Purpose: refuse what a Realm cannot have, before anything is started, and
 * choose how wide its addresses are.
 *
 * Invariants: an option that the user gave is obeyed or refused, never
 * changed.  A refusal names the option and what to use instead.
 *
 * Lock rule: BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/units.h"
#include "qapi/error.h"
#include "hw/arm/virt-realm.h"
#include "hw/boards.h"
#include "semihosting/semihost.h"
#include "system/cpu-timers.h"
#include "system/hostmem.h"
#include "system/kvm.h"
#include "system/numa.h"
#include "system/tcg.h"
#include "target/arm/cpu.h"
#include "target/arm/internals.h"
#include "virt-realm-internal.h"

/* Error messages begin with the object that they are about. */
#define REALM "rme-guest: a Realm "

static bool check_board(VirtMachineState *vms, Error **errp)
{
    if (vms->gic_version != VIRT_GIC_VERSION_3) {
        g_autofree char *given = object_property_get_str(
            OBJECT(vms), "gic-version", &error_abort);

        error_setg(errp, REALM "needs GICv3, not gic-version=%s; use "
                   "gic-version=3", given);
    } else if (vms->secure) {
        error_setg(errp, REALM "has no EL3; leave secure=on out");
    } else if (vms->virt) {
        error_setg(errp, REALM "has no EL2; leave virtualization=on out");
    } else if (vms->iommu != VIRT_IOMMU_NONE) {
        error_setg(errp, REALM "has no SMMU, which would read its tables in "
                   "private memory; leave iommu=smmuv3 out");
    } else if (vms->dtb_randomness) {
        error_setg(errp, REALM "measures its device tree; leave "
                   "dtb-randomness=on, or dtb-kaslr-seed=on, out");
    } else {
        return true;
    }
    return false;
}

static bool check_emulation(Error **errp)
{
    if (icount_enabled()) {
        error_setg(errp, REALM "does not count instructions; "
                   "leave -icount out");
    } else if (semihosting_enabled(false)) {
        error_setg(errp, REALM "shows the host no private memory, of which "
                   "semihosting needs some; leave -semihosting out");
    } else {
        return true;
    }
    return false;
}

static bool check_mte(VirtMachineState *vms, const RealmConfig *config,
                      Error **errp)
{
    if (vms->mte && !config->mte) {
        error_setg(errp, REALM "of RMM 1.0 has no memory tags; leave mte=on "
                   "out of -machine, or, with an RMM that has this extension, "
                   "add mte=on to rme-guest as well");
        return false;
    }
    if (config->mte && !vms->mte) {
        error_setg(errp, "rme-guest: mte=on needs a machine with memory "
                   "tags; add mte=on to -machine as well, or leave it out");
        return false;
    }
    return true;
}

static bool check_memory(MachineState *machine, Error **errp)
{
    if (machine->maxram_size > machine->ram_size) {
        error_setg(errp, REALM "cannot grow to maxmem, %" PRIu64 " MiB; "
                   "leave maxmem and slots out of -m, and give it the size of "
                   "a memory backend",
                   machine->maxram_size / MiB);
        return false;
    }
    if (!memory_region_is_ram(machine->ram)) {
        error_setg(errp, REALM "has one block of memory and no NUMA nodes "
                   "(here: %d); leave -numa out",
                   machine->numa_state->num_nodes);
        return false;
    }
    if (!virt_realm_memory_check(machine, errp)) {
        return false;
    }
    if (machine->ram_size % REALM_PAGE_SIZE) {
        error_setg(errp, REALM "has whole pages, and %" PRIu64 " bytes of "
                   "memory are no multiple of %d; give a size that is",
                   machine->ram_size, REALM_PAGE_SIZE);
        return false;
    }
    return true;
}

/* How many address bits the CPU has; the error if it cannot be a Realm's. */
static bool check_cpu(MachineState *machine, unsigned *pa_bits, Error **errp)
{
    const CPUArchIdList *cpus = machine->possible_cpus;
    Object *cpu = object_new(cpus->cpus[0].type);
    bool aarch64 = object_property_get_bool(cpu, "aarch64", NULL);

    *pa_bits = aarch64 ? arm_pamax(ARM_CPU(cpu)) : 0;
    object_unref(cpu);
    if (!aarch64) {
        g_autofree char *model = cpu_model_from_type(machine->cpu_type);

        error_setg(errp, REALM "needs an AArch64 CPU, which '%s' is not; "
                   "use -cpu max", model);
    }
    return aarch64;
}

/*
 * The protected half of the IPA space holds the board's highest address, and
 * the other half shows the board to the Realm once more, as shared.
 */
unsigned virt_realm_ipa_bits(const VirtMachineState *vms)
{
    return MAX(64 - clz64(vms->highest_gpa) + 1, 32);
}

static bool check_ipa_bits(const VirtMachineState *vms, unsigned pa_bits,
                           Error **errp)
{
    unsigned bits = virt_realm_ipa_bits(vms);

    if (bits > MIN(pa_bits, 48)) {
        error_setg(errp, REALM "on this board needs addresses of %u bits, "
                   "but the %s has %u; use %s", bits,
                   pa_bits < 48 ? "CPU" : "RMM", MIN(pa_bits, 48),
                   pa_bits >= 48 ? "less memory" : tcg_enabled() ?
                   "-cpu max" : "highmem=off, with at most 3 GiB of memory");
        return false;
    }
    return true;
}

static bool check_abi(const RealmConfig *config, Error **errp)
{
    if (!kvm_enabled() && config->kvm_abi != RME_GUEST_KVM_ABI_AUTO) {
        error_setg(errp, "rme-guest: kvm-abi=%s is for KVM; leave it out",
                   RmeGuestKvmAbi_str(config->kvm_abi));
        return false;
    }
    if (!kvm_enabled() && config->convert_in_place) {
        error_setg(errp, "rme-guest: convert-in-place=on is for KVM; leave it "
                   "out");
        return false;
    }
    return true;
}

static bool check_log(const RealmConfig *config, Error **errp)
{
    if (kvm_enabled() && config->measurement_log) {
        error_setg(errp, REALM "with KVM is measured with numbers that the "
                   "kernel chooses and does not tell; leave "
                   "measurement-log=on out");
        return false;
    }
    return true;
}

bool virt_realm_check(VirtMachineState *vms, const RealmConfig *config,
                      Error **errp)
{
    MachineState *machine = MACHINE(vms);
    unsigned pa_bits;

    return check_cpu(machine, &pa_bits, errp) &&
           check_board(vms, errp) &&
           check_emulation(errp) &&
           check_abi(config, errp) &&
           check_log(config, errp) &&
           check_mte(vms, config, errp) &&
           check_memory(machine, errp) &&
           check_ipa_bits(vms, pa_bits, errp);
}

/* What these classes had before. */
static ObjectPropertyAccessor *machine_set_support;
static bool (*ram_alloc)(HostMemoryBackend *backend, Error **errp);

/* The object that the user names is not there, or is another kind of object. */
static void set_support(Object *obj, Visitor *v, const char *name,
                        void *opaque, Error **errp)
{
    ERRP_GUARD();

    machine_set_support(obj, v, name, opaque, errp);
    if (*errp) {
        error_prepend(errp, "%s: ", name);
        error_append_hint(errp, "It names an object of the same command line; "
                          "for a Realm, give -object rme-guest,id=NAME.\n");
    }
}

/* More than this host has, or promises. */
static bool alloc(HostMemoryBackend *backend, Error **errp)
{
    ERRP_GUARD();
    bool ok = ram_alloc(backend, errp);

    if (!ok && rme_guest()) {
        error_append_hint(errp, "It is to have %" PRIu64 " MiB; give less to "
                          "-m, or, if it is used in part only, a "
                          "memory-backend-ram with reserve=off.\n",
                          backend->size / MiB);
    }
    return ok;
}

void virt_realm_class_init(ObjectClass *oc)
{
    ObjectProperty *support = object_class_property_find(
        oc, "confidential-guest-support");
    HostMemoryBackendClass *ram = MEMORY_BACKEND_CLASS(
        object_class_by_name(TYPE_MEMORY_BACKEND_RAM));

    machine_set_support = support->set;
    support->set = set_support;
    ram_alloc = ram->alloc;
    ram->alloc = alloc;
}
