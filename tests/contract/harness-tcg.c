/*
 * The contract of RealmBackendOps: the TCG backend
 *
 * Purpose: all of qemu-system-aarch64 is linked into this program.  A machine
 * is started as from the command line and stays stopped; vCPU 0 does not
 * execute anything, but its accesses go through the stage 2 that TCG's would
 * (realm_stage2) and to its own address space, and its calls to the RMM.
 *
 * Invariants: the main loop never runs, so no timer and no other vCPU does.
 *
 * Lock rule: contract.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "exec/address-spaces.h"
#include "hw/boards.h"
#include "system/system.h"
#include "target/arm/cpu.h"
#include "target/arm/rmm/rmm-abi.h"
#include "accel/tcg/realm/machine/pe.h"
#include "accel/tcg/realm/machine/stage2.h"
#include "accel/tcg/realm/host/mmu.h"
#include "accel/tcg/realm/host/recs.h"
#include "accel/tcg/realm/host/state.h"
#include "contract.h"

static void add_rom(void)
{
    MemoryRegion *rom = g_new(MemoryRegion, 1);
    uint64_t word = CONTRACT_ROM_WORD;

    memory_region_init_rom(rom, NULL, "contract-rom", CONTRACT_ROM_SIZE,
                           &error_fatal);
    memcpy(memory_region_get_ram_ptr(rom), &word, sizeof(word));
    memory_region_add_subregion(get_system_memory(), CONTRACT_ROM_BASE, rom);
}

static uint8_t *shared_ram(void)
{
    return memory_region_get_ram_ptr(current_machine->ram);
}

/* The board has loaded a device tree: cases have images of their own. */
static void forget_images(void)
{
    GArray *images = realm_host.layout.images;

    for (guint i = 0; i < images->len; i++) {
        RealmRange range = realm_range(images, i);

        memset(shared_ram() + range.base - CONTRACT_RAM_BASE, 0,
               range.top - range.base);
    }
    g_array_set_size(images, 0);
}

static void start_bare(void)
{
    const char *args[] = { "contract", "-machine", "none", "-accel", "tcg",
                           "-display", "none", "-nodefaults", NULL };

    qemu_init(ARRAY_SIZE(args) - 1, (char **)args);
}

static void start(const ContractSetup *setup)
{
    g_autofree char *size = g_strdup_printf("%lluM", CONTRACT_RAM_SIZE >> 20);
    g_autofree char *cpus = g_strdup_printf("%d", CONTRACT_CPUS);
    const char *guest = setup->fixed ? "rme-guest,id=rme0"
                                     : "rme-guest,id=rme0,migration=on";
    const char *cpu = setup->featured ? "max,sve256=on,pmu=on" : "max";
    const char *args[] = {
        "contract", "-S", "-display", "none", "-nodefaults", "-accel", "tcg",
        "-machine", "virt,gic-version=3,confidential-guest-support=rme0",
        "-cpu", cpu, "-smp", cpus, "-m", size, "-object", guest,
        setup->incoming ? "-incoming" : NULL, "defer", NULL
    };
    int n = 0;

    if (setup->bare) {
        return start_bare();
    }
    while (args[n]) {
        n++;
    }
    qemu_init(n, (char **)args);
    assert(realm_config()->ipa_bits == CONTRACT_IPA_BITS &&
           realm_config()->ram_base == CONTRACT_RAM_BASE);
    add_rom();
    forget_images();
}

/*
 * From the architecture, and QEMU 10.0's -cpu max: a machine that gave it a
 * vector length gave it no longer one.
 */
static char *capabilities(const ContractSetup *setup)
{
    bool shorter = setup->featured && !setup->bare;

    return g_strdup_printf(
        "{'backend': 'tcg', 'measurement-algorithms': ['sha256', 'sha512'],"
        " 'measurement-log': true, 'personalization-value': true,"
        " 'migration': true, 'mte': true,"
        " 'sve': true, 'max-sve-vector-length': %d,"
        " 'pmu': true, 'max-pmu-counters': %d,"
        " 'max-ipa-width': 52, 'max-cpus': 1023}",
        shorter ? CONTRACT_SVE_BITS : 2048, CONTRACT_COUNTERS);
}

static RmmAccess kind(const ContractAccess *access)
{
    return access->write ? RMM_ACCESS_WRITE : RMM_ACCESS_READ;
}

static RmmFault walk(const ContractAccess *access)
{
    RmmTranslation found;

    return rmm_stage2_walk(realm_rmm, &realm_pes[first_cpu->cpu_index].stage2,
                           access->ipa, kind(access), &found);
}

/* The access that stage 2 has granted, with this page of it in @page. */
static ContractOutcome carry_out(ContractAccess *access,
                                 const CPUTLBEntryFull *page)
{
    AddressSpace *as = cpu_get_address_space(first_cpu, 0);
    hwaddr pa = page->phys_addr | (access->ipa & ~TARGET_PAGE_MASK);
    hwaddr offset, size = sizeof(access->value);
    MemoryRegion *mr;
    MemTxResult result;

    assert(!access->write || page->prot & PAGE_WRITE);
    WITH_RCU_READ_LOCK_GUARD() {
        mr = address_space_translate(as, pa, &offset, &size, access->write,
                                     MEMTXATTRS_UNSPECIFIED);
    }
    result = address_space_rw(as, pa, MEMTXATTRS_UNSPECIFIED, &access->value,
                              sizeof(access->value), access->write);
    if (memory_access_is_direct(mr, access->write, MEMTXATTRS_UNSPECIFIED)) {
        return CONTRACT_DONE;
    }
    /* What nobody answers is an abort; a write to ROM comes to nothing. */
    return result == MEMTX_OK || memory_region_is_rom(mr) ? CONTRACT_HOST
                                                          : CONTRACT_ABORT;
}

static ContractOutcome refused(RmmFault fault)
{
    return fault == RMM_FAULT_SEA || fault == RMM_FAULT_ADDRESS_SIZE ||
           fault == RMM_FAULT_GPF ? CONTRACT_ABORT : CONTRACT_GONE;
}

static ContractOutcome access_memory(ContractAccess *access)
{
    CPUTLBEntryFull page = {
        .phys_addr = access->ipa & TARGET_PAGE_MASK,
        .prot = PAGE_READ | PAGE_WRITE | PAGE_EXEC,
    };
    RealmAccess a = {
        .cs = first_cpu,
        .va = access->ipa,
        .ipa = access->ipa & TARGET_PAGE_MASK,
        .type = access->write ? MMU_DATA_STORE : MMU_DATA_LOAD,
        .probe = true,
    };
    RmmFault fault = walk(access);

    access->faults = fault == RMM_FAULT_UNASSIGNED ||
                     (fault == RMM_FAULT_UNPROTECTED &&
                      realm_mmu_is_lendable(a.ipa));
    return realm_stage2(&a, &page) ? carry_out(access, &page)
                                   : refused(walk(access));
}

/* As cpu-class.c does it for an SMC, where all vCPUs are excluded. */
static bool set_ripas(uint64_t base, uint64_t top, bool ram,
                      uint64_t *reached)
{
    RmmPe *pe = realm_pe(first_cpu);

    memset(pe->x, 0, sizeof(pe->x));
    pe->x[0] = RSI_IPA_STATE_SET;
    pe->x[1] = base;
    pe->x[2] = top;
    pe->x[3] = ram ? RMI_RIPAS_RAM : RMI_RIPAS_EMPTY;
    pe->x[4] = RSI_CHANGE_DESTROYED;
    realm_call(pe);
    if (pe->world == RMM_WORLD_HOST) {
        realm_rec_handle_exit(first_cpu);
    }
    *reached = pe->x[1];
    return pe->x[0] == RSI_SUCCESS;
}

static const ContractHarness harness = {
    .name = "tcg",
    .start = start,
    .ops = realm_tcg_backend,
    .config = realm_config,
    .capabilities = capabilities,
    .shared_ram = shared_ram,
    .access = access_memory,
    .set_ripas = set_ripas,
};

/* QEMU's own main() is among what is linked: see meson.build. */
int __wrap_main(int argc, char **argv);

int __wrap_main(int argc, char **argv)
{
    return contract_main(argc, argv, &harness, "tcg");
}
