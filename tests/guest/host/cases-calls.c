/*
 * Cases: what a host finds out before it has a Realm, and which calls are RMI
 *
 * Expected values: RMM 1.0, B4.3 and B4.4; SMCCC 1.2; PSCI 1.1.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "realm.h"

#define SMCCC_VERSION       0x80000000u
#define SMCCC_ARCH_FEATURES 0x80000001u
#define PSCI_VERSION        0x84000000u
#define PSCI_FEATURES       0x8400000au
#define PSCI_CPU_OFF        0x84000002u
#define NOT_SUPPORTED       (-1ul)

static void rme_is_visible(void)
{
    EXPECT_TRUE(READ(id_aa64pfr0_el1) >> 52 & 15, "ID_AA64PFR0_EL1.RME");
}
CASE("discovery", "ID_AA64PFR0_EL1 says that there is RME", rme_is_visible);

static void smccc_1_2(void)
{
    uint32_t version = smc(SMCCC_VERSION, 0, 0, 0);

    EXPECT_TRUE(version >= 0x10001 && version < 0x20000, "SMCCC_VERSION");
    EXPECT((uint32_t)smc(PSCI_FEATURES, SMCCC_VERSION, 0, 0), 0,
           "PSCI_FEATURES(SMCCC_VERSION)");
    EXPECT((int32_t)smc(SMCCC_ARCH_FEATURES, SMCCC_ARCH_FEATURES, 0, 0), 0,
           "SMCCC_ARCH_FEATURES of itself");
    EXPECT((int32_t)smc(SMCCC_ARCH_FEATURES, 0x8000ff00, 0, 0), -1,
           "SMCCC_ARCH_FEATURES of what there is not");
}
CASE("discovery", "SMCCC is found by PSCI, then asked", smccc_1_2);

static void psci(void)
{
    uint32_t version = smc(PSCI_VERSION, 0, 0, 0);

    EXPECT_TRUE(version >= 0x10000 && version < 0x20000, "PSCI_VERSION");
    EXPECT((int32_t)smc(PSCI_FEATURES, PSCI_CPU_OFF, 0, 0), 0,
           "PSCI_FEATURES(CPU_OFF)");
    EXPECT((int32_t)smc(PSCI_FEATURES, 0x84001234, 0, 0), -1,
           "PSCI_FEATURES of what there is not");
}
CASE("discovery", "PSCI 1.0 or later answers by SMC", psci);

static void version(void)
{
    struct result r = RMI(RMI_VERSION, 0x10000);

    EXPECT(r.x0, RMI_SUCCESS, "RMI_VERSION of 1.0");
    EXPECT(r.x1, 0x10000, "the lower version");
    EXPECT(r.x2, 0x10000, "the higher version");
    r = RMI(RMI_VERSION, 0x20000);
    EXPECT(r.x0, RMI_ERROR_INPUT, "RMI_VERSION of 2.0");
    EXPECT(r.x1, 0x10000, "the lower version after a refusal");
    EXPECT(r.x2, 0x10000, "the higher version after a refusal");
}
CASE("discovery", "the RMM speaks RMI 1.0", version);

static void features(void)
{
    struct result r = RMI(RMI_FEATURES, 0);

    EXPECT(r.x0, RMI_SUCCESS, "RMI_FEATURES of register 0");
    EXPECT(r.x1 >> 42, 0, "bits that RMM 1.0 does not have");
    EXPECT_TRUE((r.x1 & 0xff) >= 32 && (r.x1 & 0xff) <= 52, "S2SZ");
    EXPECT_TRUE(r.x1 & RMI_FEATURE0_SHA_256, "SHA-256");
    EXPECT(r.x1 >> RMI_FEATURE0_NUM_LRS_SHIFT & 15, gic_list_registers() - 1,
           "GICV3_NUM_LRS");
    for (unsigned n = 1; n < 8; n++) {
        r = RMI(RMI_FEATURES, n);
        EXPECT(r.x0, RMI_SUCCESS, "RMI_FEATURES of a register without bits");
        EXPECT(r.x1, 0, "a feature register that 1.0 does not have");
    }
}
CASE("discovery", "RMI_FEATURES has the bits of RMM 1.0 alone", features);

static void hint(void)
{
    struct result r = RMI(RMI_VERSION | SMCCC_SVE_HINT, 0x10000);

    EXPECT(r.x0, RMI_SUCCESS, "RMI_VERSION with the SVE hint");
    EXPECT(r.x1, 0x10000, "its lower version");
}
CASE("calls", "the SVE hint does not change a call", hint);

static void unknown(void)
{
    static const uint8_t unused[] = { 0x06, 0x10, 0x13, 0x1a, 0x3f };

    version();
    for (unsigned n = 0; n < sizeof(unused); n++) {
        EXPECT(RMI(RMI_FID(unused[n])).x0, NOT_SUPPORTED,
               "an RMI call that there is not");
    }
    for (unsigned n = 0; n < 10; n++) {
        EXPECT(RMI(RSI_FID(n)).x0, NOT_SUPPORTED, "an RSI call of the host's");
    }
}
CASE("calls", "what is no RMI call is not supported", unknown);

static uint64_t version_at_el1(uint64_t arg)
{
    return smc(RMI_VERSION, 0x10000, 0, 0);
}

static void from_el1(void)
{
    struct el1_result r;

    version();
    r = run_at_el1(version_at_el1, 0);
    EXPECT(r.fault.esr, 0, "an exception of SMC at EL1");
    EXPECT(r.value, NOT_SUPPORTED, "RMI_VERSION from EL1");
}
CASE("calls", "EL1 of the host makes no RMI calls", from_el1);

static void version_on_cpu(void *arg)
{
    for (unsigned n = 0; n < 1000; n++) {
        struct result r = RMI(RMI_VERSION, 0x10000);

        EXPECT(r.x0, RMI_SUCCESS, "RMI_VERSION");
    }
}

static void every_cpu(void)
{
    for (unsigned n = 1; n < cpu_count(); n++) {
        cpu_start(n, version_on_cpu, NULL);
    }
    version_on_cpu(NULL);
    for (unsigned n = 1; n < cpu_count(); n++) {
        cpu_wait(n);
    }
}
CASE("calls", "every CPU makes calls at once", every_cpu);

/* ---- Granules ---- */

static void delegate_and_back(void)
{
    uint64_t pa = page_new(1);

    memset((void *)pa, 0x5a, PAGE);
    EXPECT(RMI(RMI_GRANULE_DELEGATE, pa).x0, RMI_SUCCESS, "DELEGATE");
    granule_delegated(pa, true);
    EXPECT(RMI(RMI_GRANULE_DELEGATE, pa).x0, RMI_ERROR_INPUT,
           "DELEGATE of what is delegated");
    granule_free(pa, 1);
    EXPECT(RMI(RMI_GRANULE_UNDELEGATE, pa).x0, RMI_ERROR_INPUT,
           "UNDELEGATE of what is not delegated");
}
CASE("granules", "a page is delegated once, and comes back as zeros",
     delegate_and_back);

static void not_delegable(void)
{
    static const uint64_t no_memory[] = {
        0, GICD, GICR, UART, FW_CFG, 0x0a000000, 0x10000000, 0x3eff0000,
        1ul << 40, 1ul << 47, 0xfffffffff000, ~0xffful, 1ul << 52,
    };

    for (unsigned n = 0; n < sizeof(no_memory) / 8; n++) {
        EXPECT(RMI(RMI_GRANULE_DELEGATE, no_memory[n]).x0, RMI_ERROR_INPUT,
               "DELEGATE of what is no RAM");
        EXPECT(RMI(RMI_GRANULE_UNDELEGATE, no_memory[n]).x0, RMI_ERROR_INPUT,
               "UNDELEGATE of what is no RAM");
    }
    EXPECT(RMI(RMI_GRANULE_DELEGATE, ram_top()).x0, RMI_ERROR_INPUT,
           "DELEGATE of the first page behind RAM");
    EXPECT(RMI(RMI_GRANULE_DELEGATE, POOL + 8).x0, RMI_ERROR_INPUT,
           "DELEGATE of what is not aligned");
}
CASE("granules", "devices and what is beyond RAM are not delegable",
     not_delegable);

static void last_page(void)
{
    uint64_t pa = ram_top() - PAGE;

    EXPECT(RMI(RMI_GRANULE_DELEGATE, pa).x0, RMI_SUCCESS, "DELEGATE");
    EXPECT(RMI(RMI_GRANULE_UNDELEGATE, pa).x0, RMI_SUCCESS, "UNDELEGATE");
}
CASE("granules", "the last page of RAM is delegable", last_page);
