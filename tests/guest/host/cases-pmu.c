/*
 * Cases: whose events the counters of a Realm's PMU count (Arm ARM,
 * PMCCFILTR_EL0 and PMEVTYPER<n>_EL0 with FEAT_RME)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "host.h"
#include "realm.h"

#define P       (1ul << 31)
#define NSK     (1ul << 29)
#define NSU     (1ul << 28)
#define RLK     (1ul << 22)
#define RLU     (1ul << 21)
#define RLH     (1ul << 20)
#define CYCLES  (1ul << 31)     /* in PMCNTENSET_EL0 */
#define INST_RETIRED 8          /* an event */

static struct realm *with_pmu(void)
{
    uint64_t features = RMI(RMI_FEATURES, 0).x1;
    RmiRealmParams params;

    if (!(features & RMI_FEATURE0_PMU_EN)) {
        test_skip("RMI_FEATURES offers no PMU");
    }
    realm_params(&params);
    params.flags |= RMI_REALM_PMU;
    params.pmu_num_ctrs = features >> RMI_FEATURE0_PMU_NUM_CTRS_SHIFT & 31;
    return realm_start_with(&params, 1, true);
}

/* At EL1 of Realm state: P says no, RLK the contrary. */
static const struct {
    uint64_t filter;
    bool counts;
} filters[] = {
    { 0, true }, { P, false }, { P | RLK, true }, { RLK, false },
    { NSK, true }, { P | NSK, false }, { P | RLK | NSK, true },
    { RLU | RLH | NSU, true },
};

static void filter_cycles(void)
{
    struct realm *realm = with_pmu();
    struct rec *rec = &realm->recs[0];

    for (unsigned n = 0; n < sizeof(filters) / sizeof(*filters); n++) {
        RmiRecExit *exit = rec_executed(
            rec, SNIPPET("msr pmccfiltr_el0, x0\n"
                         "msr pmcntenset_el0, x1\n"
                         "mov x0, #0x45\n msr pmcr_el0, x0\n isb\n"
                         "mrs x2, pmccntr_el0\n"
                         "mov x1, #2000\n"
                         "1: subs x1, x1, #1\n b.ne 1b\n isb\n"
                         "mrs x0, pmccntr_el0\n sub x0, x0, x2\n"
                         "mrs x1, pmccfiltr_el0\n"
                         "msr pmcr_el0, xzr"),
            filters[n].filter, CYCLES, 0);

        EXPECT(exit->gprs[1], filters[n].filter, "PMCCFILTR_EL0");
        EXPECT(exit->gprs[0] != 0, filters[n].counts,
               "whether the Realm's EL1 counts cycles");
    }
    realm_end(realm);
}
CASE("features", "a Realm's cycles are filtered by RLK, as those of Non-secure "
     "state by NSK", filter_cycles);

static void filter_events(void)
{
    struct realm *realm = with_pmu();
    struct rec *rec = &realm->recs[0];

    for (unsigned n = 0; n < sizeof(filters) / sizeof(*filters); n++) {
        RmiRecExit *exit = rec_executed(        /* event 0 is SW_INCR */
            rec, SNIPPET("msr pmselr_el0, xzr\n"
                         "msr pmxevtyper_el0, x0\n"
                         "mov x1, #1\n msr pmcntenset_el0, x1\n"
                         "mov x0, #0x43\n msr pmcr_el0, x0\n isb\n"
                         "msr pmswinc_el0, x1\n isb\n"
                         "mrs x0, pmevcntr0_el0\n"
                         "mrs x1, pmevtyper0_el0\n"
                         "mrs x2, pmxevtyper_el0\n"
                         "msr pmcr_el0, xzr"),
            filters[n].filter, 0, 0);

        EXPECT(exit->gprs[1], filters[n].filter, "PMEVTYPER0_EL0");
        EXPECT(exit->gprs[2], filters[n].filter, "PMXEVTYPER_EL0");
        EXPECT(exit->gprs[0], filters[n].counts,
               "events at the Realm's EL1 that count");
    }
    realm_end(realm);
}
CASE("features", "a Realm's events are filtered likewise", filter_events);

static void hosts_filters(void)
{
    uint64_t cycles = READ(pmccfiltr_el0), event = READ(pmevtyper0_el0);
    struct realm *realm = with_pmu();

    WRITE(pmccfiltr_el0, RLK | RLU | RLH);
    WRITE(pmevtyper0_el0, RLU);
    rec_executed(&realm->recs[0], SNIPPET("msr pmccfiltr_el0, x0\n"
                                          "msr pmevtyper0_el0, x0"),
                 P | RLK, 0, 0);
    EXPECT(READ(pmccfiltr_el0), RLK | RLU | RLH, "the host's PMCCFILTR_EL0");
    EXPECT(READ(pmevtyper0_el0), RLU, "the host's PMEVTYPER0_EL0");
    WRITE(pmccfiltr_el0, cycles);
    WRITE(pmevtyper0_el0, event);
    realm_end(realm);
}
CASE("features", "the host's filters have the bits for Realms, and keep them",
     hosts_filters);

/* The counter is a thousand instructions before its overflow, the loop 10000. */
static void overflow_in_time(void)
{
    struct realm *realm;
    struct rec *rec;
    RmiRecExit *exit;

    if (!(READ(pmceid0_el0) & 1 << INST_RETIRED)) {
        test_skip("the PMU counts no instructions");
    }
    realm = with_pmu();
    rec = &realm->recs[0];
    gic_enable(PPI_PMU);
    exit = rec_execute(rec, SNIPPET("msr pmevtyper0_el0, x0\n"
                                    "mov x0, #-1000\n msr pmevcntr0_el0, x0\n"
                                    "mov x0, #1\n msr pmcntenset_el0, x0\n"
                                    "msr pmintenset_el1, x0\n"
                                    "mov x0, #0x41\n msr pmcr_el0, x0\n isb\n"
                                    "1: subs x1, x1, #1\n b.ne 1b"),
                       INST_RETIRED, 5000, 0);
    EXPECT(exit->exit_reason, RMI_EXIT_IRQ, "the exit's reason");
    EXPECT(exit->pmu_ovf_status, 1, "the overflow of the exit");
    gic_disable(PPI_PMU);       /* it stays until the Realm clears it */
    rec_expect_done(rec_enter(rec));
    realm_end(realm);
}
CASE("features", "a Realm's event counter overflows when it is due, not later",
     overflow_in_time);
