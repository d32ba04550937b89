/*
 * The contract of RealmBackendOps: the KVM backend, on a kernel that stands in
 *
 * Purpose: start a machine of tests/kvm-double/.  The command line names the
 * version of KVM's interface, and the size of the host's pages:
 *
 *     test-contract-kvm VERSION KIB
 *
 * Invariants: a call that the interface forbids returns an error and does not
 * end the test, because cases make calls out of order.
 *
 * Lock rule: contract.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "qemu/memalign.h"
#include "tests/kvm-double/internal.h"
#include "tests/kvm-double/machine.h"
#include "accel/kvm/realm/realm-kvm.h"
#include "contract.h"

/* As under TCG, an access assigns a page and no block. */
static DoubleOptions options = { .migration = true, .fragmented = true };
static uint8_t *rom;

static DoubleVm *the_vm(void)
{
    return double_file(machine.state.vmfd)->vm;
}

static void add_rom(void)
{
    struct kvm_userspace_memory_region region = {
        .slot = 1,
        .flags = KVM_MEM_READONLY,
        .guest_phys_addr = CONTRACT_ROM_BASE,
        .memory_size = CONTRACT_ROM_SIZE,
    };
    uint64_t word = CONTRACT_ROM_WORD;

    rom = qemu_memalign(CONTRACT_CHUNK, CONTRACT_ROM_SIZE);
    memset(rom, 0, CONTRACT_ROM_SIZE);
    memcpy(rom, &word, sizeof(word));
    region.userspace_addr = (uintptr_t)rom;
    if (kvm_vm_ioctl(kvm_state, KVM_SET_USER_MEMORY_REGION, &region)) {
        error_report("contract: no slot for the ROM");
        exit(EXIT_FAILURE);
    }
}

/* The stand-in has neither, and only probe.c asks for them. */
static void offer_features(DoubleCall *call, bool after, void *opaque)
{
    uintptr_t extension = (uintptr_t)call->arg;

    if (after && call->request == KVM_CHECK_EXTENSION &&
        (extension == KVM_CAP_ARM_SVE || extension == KVM_CAP_ARM_PMU_V3)) {
        call->ret = 1;
    }
}

/* QEMU has opened /dev/kvm, and made no VM of it. */
static void start_bare(void)
{
    machine.state.fd = double_open(DOUBLE_SYSTEM, NULL, NULL);
    kvm_state = &machine.state;
}

static void start(const ContractSetup *setup)
{
    DoubleMachineOptions m = {
        .config = double_default_config,
        .incoming = setup->incoming,
    };

    m.config.ipa_bits = CONTRACT_IPA_BITS;
    m.config.ram_base = CONTRACT_RAM_BASE;
    m.config.ram_size = CONTRACT_RAM_SIZE;
    m.config.num_cpus = CONTRACT_CPUS;
    m.config.migration = !setup->fixed;
    options.mte = setup->featured;
    double_start(&options);
    if (setup->featured) {
        double_set_hook(offer_features, NULL);
    }
    if (setup->bare) {
        start_bare();
    } else {
        double_machine_create(&m, &error_fatal);
        add_rom();
    }
    double_probing(true);
}

/* With the second generation, the first KVM_RUN activates the Realm. */
static void ran(void)
{
    uint64_t value;

    machine.running = true;
    double_guest_get_register(0, 0, &value, &error_fatal);
}

/*
 * The first generation is told the hash algorithm and the personalization
 * value, and the second is not; after v15 its algorithm is known.  The numbers
 * are those of the stand-in.
 */
static char *capabilities(const ContractSetup *setup)
{
    const DoubleFlavour *flavour = double_flavour(options.flavour);
    bool rme = flavour->rme;
    const char *extras = setup->featured ? "true" : "false";

    return g_strdup_printf(
        "{'backend': 'kvm', 'kvm-abi': '%s', 'measurement-algorithms': [%s],"
        " 'measurement-log': false, 'personalization-value': %s,"
        " 'migration': true, 'mte': %s, 'sve': %s, 'pmu': %s,"
        " 'max-ipa-width': 48, 'max-cpus': %d}",
        rme ? "rme" : "rmi", rme ? "'sha256', 'sha512'" :
        flavour->after_v15 ? "'sha256'" : "", rme ? "true" : "false",
        extras, extras, extras, DOUBLE_MAX_CPUS);
}

static const RealmConfig *config(void)
{
    return &machine.config;
}

static uint8_t *shared_ram(void)
{
    return double_shared(CONTRACT_RAM_BASE, CONTRACT_RAM_SIZE);
}

static unsigned faults(const ContractAccess *access)
{
    DoubleVm *vm = the_vm();
    RmmTranslation found;
    RmmFault fault;

    fault = rmm_stage2_walk(the_double->rmm, &vm->stage2, access->ipa,
                            access->write ? RMM_ACCESS_WRITE
                                          : RMM_ACCESS_READ, &found);
    return fault == RMM_FAULT_UNASSIGNED ||
           (fault == RMM_FAULT_UNPROTECTED &&
            machine_contains(access->ipa & ~double_shared_bit(), 8));
}

static ContractOutcome outcome_of(DoubleOutcome outcome)
{
    switch (outcome) {
    case DOUBLE_DONE:
        return CONTRACT_DONE;
    case DOUBLE_ABORT:
        return CONTRACT_ABORT;
    default:
        return machine.cpus[0]->kvm_run->exit_reason == KVM_EXIT_MMIO
               ? CONTRACT_HOST : CONTRACT_GONE;
    }
}

static ContractOutcome access_memory(ContractAccess *access)
{
    DoubleOutcome outcome;
    Error *err = NULL;

    access->faults = faults(access);
    if (access->write) {
        outcome = double_guest_write(0, access->ipa, &access->value,
                                     sizeof(access->value), &err);
    } else {
        outcome = double_guest_read(0, access->ipa, &access->value,
                                    sizeof(access->value), &err);
    }
    if (err) {
        error_report_err(err);
    }
    return outcome_of(outcome);
}

static bool set_ripas(uint64_t base, uint64_t top, bool ram,
                      uint64_t *reached)
{
    DoubleOutcome outcome;
    Error *err = NULL;

    outcome = double_guest_set_ripas(0, base, top - base, ram, &err);
    if (err) {
        error_report_err(err);
    }
    *reached = outcome == DOUBLE_DONE ? top : base;
    return outcome == DOUBLE_DONE;
}

static const ContractHarness harness = {
    .name = "kvm",
    .start = start,
    .ops = realm_kvm_backend,
    .config = config,
    .capabilities = capabilities,
    .ran = ran,
    .shared_ram = shared_ram,
    .access = access_memory,
    .set_ripas = set_ripas,
};

int main(int argc, char **argv)
{
    g_autofree char *variant = NULL;

    if (argc < 3 || !double_flavour(argv[1])) {
        fprintf(stderr, "usage: %s VERSION KIB [TEST OPTIONS]\n", argv[0]);
        return EXIT_FAILURE;
    }
    options.flavour = argv[1];
    options.page_size = atoi(argv[2]) * 1024;
    variant = g_strdup_printf("kvm-%s-%s", argv[1], argv[2]);
    argv[2] = argv[0];
    return contract_main(argc - 2, argv + 2, &harness, variant);
}
