/*
 * Realms under TCG: what the RMM offers on the machine's CPUs
 *
 * Purpose: from a CPU as QEMU models it to RmmPlatform, which RMI_FEATURES
 * reports.  Whoever is the host of the machine gets nothing by it that the
 * CPUs do not have.
 *
 * Invariants: all CPUs of a machine are alike, so one of them says it.
 *
 * Lock rule: BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "target/arm/cpu.h"
#include "target/arm/cpu-features.h"
#include "target/arm/internals.h"
#include "platform.h"

/* Stage 2 of a Realm has granules of 4 KiB; beyond 48 bits it needs LPA2. */
static void addresses(ARMCPU *cpu, RmmPlatform *platform)
{
    platform->lpa2 = cpu_isar_feature(aa64_tgran4_lpa2, cpu) &&
                     cpu_isar_feature(aa64_tgran4_2_lpa2, cpu);
    platform->ipa_bits = MIN(arm_pamax(cpu), platform->lpa2 ? 52 : 48);
}

static void pmu(ARMCPU *cpu, RmmPlatform *platform)
{
    platform->pmu = cpu->has_pmu && arm_feature(&cpu->env, ARM_FEATURE_PMU);
    platform->pmu_num_ctrs = platform->pmu ? pmu_num_counters(&cpu->env) : 0;
    platform->pmu_hpmn0 = platform->pmu &&
        FIELD_EX64(cpu->isar.id_aa64dfr0, ID_AA64DFR0, HPMN0) == 1;
}

void realm_platform_of_cpu(ARMCPU *cpu, RmmPlatform *platform)
{
    uint64_t dfr0 = cpu->isar.id_aa64dfr0;

    addresses(cpu, platform);
    platform->num_bps = FIELD_EX64(dfr0, ID_AA64DFR0, BRPS);
    platform->num_wps = FIELD_EX64(dfr0, ID_AA64DFR0, WRPS);
    platform->sve = cpu_isar_feature(aa64_sve, cpu);
    platform->sve_vl = platform->sve ? cpu->sve_max_vq - 1 : 0;
    pmu(cpu, platform);
}

bool realm_platform_of_type(const char *cpu_type, RealmChooseFeatures *choose,
                            RmmPlatform *platform, Error **errp)
{
    ERRP_GUARD();
    Object *trial = object_new(cpu_type);
    ARMCPU *cpu = ARM_CPU(trial);

    if (!choose || choose(cpu, errp)) {
        arm_cpu_finalize_features(cpu, errp);
    }
    if (!*errp) {
        realm_platform_of_cpu(cpu, platform);
    }
    object_unref(trial);
    return !*errp;
}
