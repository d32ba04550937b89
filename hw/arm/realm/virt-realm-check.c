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
#include "qapi/error.h"
#include "hw/boards.h"
#include "semihosting/semihost.h"
#include "system/cpu-timers.h"
#include "system/kvm.h"
#include "system/tcg.h"
#include "target/arm/cpu.h"
#include "target/arm/internals.h"
#include "virt-realm-internal.h"

/* Error messages begin with the object that they are about. */
#define REALM "rme-guest: a Realm "

static bool check_board(VirtMachineState *vms, Error **errp)
{
    if (vms->gic_version != VIRT_GIC_VERSION_3) {
        error_setg(errp, REALM "needs GICv3; use gic-version=3");
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
        error_setg(errp, REALM "cannot grow; leave maxmem and slots out of "
                   "-m");
        return false;
    }
    if (!memory_region_is_ram(machine->ram)) {
        error_setg(errp, REALM "has one block of memory and no NUMA nodes; "
                   "leave -numa out");
        return false;
    }
    if (machine->ram_size % REALM_PAGE_SIZE) {
        error_setg(errp, REALM "has whole pages; "
                   "-m %" PRIu64 " bytes is no multiple of %d",
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
        error_setg(errp, REALM "needs an AArch64 CPU, which '%s' is not; "
                   "use -cpu max", machine->cpu_type);
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
