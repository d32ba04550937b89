/*
 * What the RMM offers on a CPU (accel/tcg/realm/machine/platform.c)
 *
 * Purpose: RMI_FEATURES says of a CPU what its ID registers say, in RMM 1.0's
 * encodings (B4.4.4, RmiFeatureRegister0), and nothing of what it has not.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "target/arm/cpu.h"
#include "target/arm/internals.h"
#include "accel/tcg/realm/machine/platform.h"

/* ---- What QEMU gives ---- */

static unsigned pa_bits;

unsigned int arm_pamax(ARMCPU *cpu)
{
    return pa_bits;
}

static bool finalized;
static const char *final_error;

void arm_cpu_finalize_features(ARMCPU *cpu, Error **errp)
{
    finalized = true;
    if (final_error) {
        error_setg(errp, "%s", final_error);
    }
}

/* ---- Tests ---- */

#define BRPS(n)         ((uint64_t)(n) << 12)
#define WRPS(n)         ((uint64_t)(n) << 20)
#define HPMN0           (1ull << 60)
#define SVE             (1ull << 32)
#define LPA2_STAGE_1    (1ull << 28)
#define LPA2_STAGE_2    (3ull << 40)
#define NOT_STAGE_2     (1ull << 40)
#define COUNTERS(n)     ((uint64_t)(n) << 11)

static ARMCPU *new_cpu(void)
{
    ARMCPU *cpu = g_new0(ARMCPU, 1);

    pa_bits = 48;
    cpu->isar.id_aa64dfr0 = BRPS(5) | WRPS(3);
    return cpu;
}

static RmmPlatform platform_of(ARMCPU *cpu)
{
    RmmPlatform platform = { .sha512 = true, .num_aux = 7 };

    realm_platform_of_cpu(cpu, &platform);
    return platform;
}

static void test_plain(void)
{
    g_autofree ARMCPU *cpu = new_cpu();
    RmmPlatform p;

    pa_bits = 40;
    p = platform_of(cpu);
    g_assert_cmpuint(p.ipa_bits, ==, 40);
    g_assert_cmpuint(p.num_bps, ==, 5);
    g_assert_cmpuint(p.num_wps, ==, 3);
    g_assert_false(p.sve || p.pmu || p.pmu_hpmn0 || p.lpa2);
    g_assert_cmpuint(p.sve_vl, ==, 0);
    g_assert_cmpuint(p.pmu_num_ctrs, ==, 0);
    /* What is no CPU's is not touched. */
    g_assert_true(p.sha512);
    g_assert_cmpuint(p.num_aux, ==, 7);
}

static void test_sve(void)
{
    g_autofree ARMCPU *cpu = new_cpu();

    cpu->sve_max_vq = 16;
    g_assert_false(platform_of(cpu).sve);
    g_assert_cmpuint(platform_of(cpu).sve_vl, ==, 0);
    cpu->isar.id_aa64pfr0 = SVE;
    g_assert_true(platform_of(cpu).sve);
    g_assert_cmpuint(platform_of(cpu).sve_vl, ==, 15);
    cpu->sve_max_vq = 1;
    g_assert_cmpuint(platform_of(cpu).sve_vl, ==, 0);
}

static void test_pmu(void)
{
    g_autofree ARMCPU *cpu = new_cpu();

    cpu->isar.reset_pmcr_el0 = 0x41000000 | COUNTERS(6);
    cpu->env.features = 1ull << ARM_FEATURE_PMU;
    g_assert_false(platform_of(cpu).pmu);       /* pmu=off */
    cpu->has_pmu = true;
    g_assert_true(platform_of(cpu).pmu);
    g_assert_cmpuint(platform_of(cpu).pmu_num_ctrs, ==, 6);
    g_assert_false(platform_of(cpu).pmu_hpmn0);
    cpu->isar.reset_pmcr_el0 = COUNTERS(31);
    cpu->isar.id_aa64dfr0 |= HPMN0;
    g_assert_cmpuint(platform_of(cpu).pmu_num_ctrs, ==, 31);
    g_assert_true(platform_of(cpu).pmu_hpmn0);
    cpu->env.features = 0;
    g_assert_false(platform_of(cpu).pmu);
}

static void test_lpa2(void)
{
    g_autofree ARMCPU *cpu = new_cpu();

    pa_bits = 52;
    cpu->isar.id_aa64mmfr0 = LPA2_STAGE_1;
    g_assert_true(platform_of(cpu).lpa2);       /* stage 2 as stage 1 */
    g_assert_cmpuint(platform_of(cpu).ipa_bits, ==, 52);
    cpu->isar.id_aa64mmfr0 = LPA2_STAGE_1 | LPA2_STAGE_2;
    g_assert_true(platform_of(cpu).lpa2);
    cpu->isar.id_aa64mmfr0 = LPA2_STAGE_1 | NOT_STAGE_2;
    g_assert_false(platform_of(cpu).lpa2);
    g_assert_cmpuint(platform_of(cpu).ipa_bits, ==, 48);
    cpu->isar.id_aa64mmfr0 = 0;
    g_assert_false(platform_of(cpu).lpa2);
    pa_bits = 48;
    cpu->isar.id_aa64mmfr0 = LPA2_STAGE_1;
    g_assert_cmpuint(platform_of(cpu).ipa_bits, ==, 48);
}

/* ---- A CPU on trial ---- */

static unsigned trials;

static void trial_begins(Object *obj)
{
    trials++;
    pa_bits = 48;
    ARM_CPU(obj)->sve_max_vq = 4;
}

static void trial_ends(Object *obj)
{
    trials--;
}

static bool choose_sve(ARMCPU *cpu, Error **errp)
{
    g_assert_false(finalized);
    cpu->isar.id_aa64pfr0 = SVE;
    return true;
}

static bool choose_nothing(ARMCPU *cpu, Error **errp)
{
    error_setg(errp, "no");
    return false;
}

static bool try(RealmChooseFeatures *choose, RmmPlatform *p, Error **errp)
{
    bool ok;

    finalized = false;
    *p = (RmmPlatform) { };
    ok = realm_platform_of_type(TYPE_ARM_CPU, choose, p, errp);
    g_assert_cmpuint(trials, ==, 0);
    return ok;
}

static void check_error(RealmChooseFeatures *choose, const char *text)
{
    RmmPlatform p;
    Error *err = NULL;

    g_assert_false(try(choose, &p, &err));
    g_assert_cmpstr(error_get_pretty(err), ==, text);
    error_free(err);
    g_assert_false(try(choose, &p, NULL));
}

static void test_trial(void)
{
    RmmPlatform p;

    g_assert_true(try(NULL, &p, &error_abort));
    g_assert_true(finalized);
    g_assert_false(p.sve);
    g_assert_true(try(choose_sve, &p, &error_abort));
    g_assert_true(p.sve);
    g_assert_cmpuint(p.sve_vl, ==, 3);
    check_error(choose_nothing, "no");
    g_assert_false(finalized);
    final_error = "not this length";
    check_error(choose_sve, final_error);
}

int main(int argc, char **argv)
{
    static const TypeInfo type = {
        .name = TYPE_ARM_CPU, .parent = TYPE_OBJECT,
        .instance_size = sizeof(ARMCPU), .instance_init = trial_begins,
        .instance_finalize = trial_ends,
    };

    g_test_init(&argc, &argv, NULL);
    module_call_init(MODULE_INIT_QOM);
    type_register_static(&type);
    g_test_add_func("/realm/platform/is-what-the-cpu-has", test_plain);
    g_test_add_func("/realm/platform/has-the-longest-vector", test_sve);
    g_test_add_func("/realm/platform/has-the-counters-of-a-pmu", test_pmu);
    g_test_add_func("/realm/platform/has-lpa2-if-stage-2-has", test_lpa2);
    g_test_add_func("/realm/platform/is-known-before-the-first-cpu",
                    test_trial);
    return g_test_run();
}
