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

/* ---- What each world counts ---- */

#define NSH     (1ul << 27)

static uint64_t ns_of_ticks(uint64_t n)
{
    return n * 1000000 / ticks_of_ms(1);
}

/* PMCR_EL0: LC, C and E; the counter is not looked at before the end. */
#define COUNT_CYCLES    "msr pmccfiltr_el0, xzr\n" \
                        "mov x0, #0x80000000\n msr pmcntenset_el0, x0\n" \
                        "mov x0, #0x45\n msr pmcr_el0, x0\n isb\n"
/* For X1 ticks; X2 and X3: from when to when. */
#define SPIN_X1         "mrs x2, cntvct_el0\n add x1, x1, x2\n" \
                        "1: mrs x3, cntvct_el0\n cmp x3, x1\n b.lo 1b\n"

static void hosts_cycles(void)
{
    struct realm *realm = with_pmu();
    struct rec *rec = &realm->recs[0];
    uint64_t start, end, inside, count;
    RmiRecExit *exit;

    rec_executed(rec, SNIPPET("nop"), 0, 0, 0);
    start = ticks();
    WRITE(pmccfiltr_el0, NSH);
    WRITE(pmcntenset_el0, CYCLES);
    WRITE(pmcr_el0, 0x45);
    delay_ms(20);
    exit = rec_executed(rec, SNIPPET(SPIN_X1), 0, ticks_of_ms(20), 0);
    count = READ(pmccntr_el0);
    end = ticks();
    inside = exit->gprs[3] - exit->gprs[2];
    WRITE(pmcr_el0, 0x40);
    WRITE(pmcntenclr_el0, CYCLES);
    WRITE(pmccfiltr_el0, 0);
    EXPECT_TRUE(count >= 20000000, "that the time before an entry counts");
    EXPECT_TRUE(count <= ns_of_ticks(end - start - inside) + 1000,
                "that the Realm's time does not");
    realm_end(realm);
}
CASE("features", "the host's cycles are those of the host, none lost by an "
     "entry", hosts_cycles);

static void realms_cycles(void)
{
    struct realm *realm = with_pmu();
    struct rec *rec = &realm->recs[0];
    uint64_t start, end, outside, count;

    rec_executed(rec, SNIPPET("nop"), 0, 0, 0);
    start = ticks();
    rec_executed(rec, SNIPPET(COUNT_CYCLES SPIN_X1), 0, ticks_of_ms(20), 0);
    outside = ticks();
    delay_ms(20);
    outside = ticks() - outside;
    count = rec_executed(rec, SNIPPET("mrs x0, pmccntr_el0"), 0, 0,
                         0)->gprs[0];
    end = ticks();
    EXPECT_TRUE(count >= 20000000, "that the time before an exit counts");
    EXPECT_TRUE(count <= ns_of_ticks(end - start - outside) + 1000,
                "that the host's time does not");
    realm_end(realm);
}
CASE("features", "a Realm's cycles are those of the Realm, none lost by an "
     "exit", realms_cycles);
