/*
 * Cases: what RMI_FEATURES offers works in Realms: vectors, PMU, IPA widths
 *
 * Expected values: RMM 1.0, A3 and B4.4.4; Arm ARM, ZCR_ELx and PMCR_EL0.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "realm.h"
#include "sve.h"

#define WFI_INSTRUCTION 0xd503207f

static uint64_t features(void)
{
    return RMI(RMI_FEATURES, 0).x1;
}

/* ---- SVE ---- */

/* What the SMC of host_sve needs, in X0 to X2 */
uint64_t host_sve_call[3];
WITH_SVE(host_sve,
         "adrp x3, host_sve_call\n"
         "add x3, x3, :lo12:host_sve_call\n"
         "ldp x0, x1, [x3]\n"
         "ldr x2, [x3, #16]\n"
         "smc #0\n"
         "adrp x3, host_sve_call\n"
         "str x0, [x3, :lo12:host_sve_call]");
void host_sve(struct sve_regs *regs);

static unsigned largest_vl(void)
{
    if (!(features() & RMI_FEATURE0_SVE_EN)) {
        test_skip("RMI_FEATURES offers no SVE");
    }
    return features() >> RMI_FEATURE0_SVE_VL_SHIFT & 15;
}

static struct realm *with_sve(unsigned vl)
{
    RmiRealmParams params;
    struct realm *realm;

    realm_params(&params);
    params.flags |= RMI_REALM_SVE;
    params.sve_vl = vl;
    realm = realm_start_with(&params, 1, true);
    rec_executed(&realm->recs[0], SNIPPET("mov x0, #15\n"
                                          "msr s3_0_c1_c2_0, x0\n"
                                          "isb"), 0, 0, 0);
    return realm;
}

static uint64_t length_of(struct rec *rec)
{
    RmiRecExit *exit = rec_executed(
        rec, SNIPPET(".arch_extension sve\n rdvl x0, #1"), 0, 0, 0);

    EXPECT(GOT_EXCEPTIONS(exit), 0, "exceptions of RDVL");
    return exit->gprs[0];
}

static void sve_lengths(void)
{
    unsigned largest = largest_vl();
    RmiRealmParams params;
    uint64_t rd;

    for (unsigned vl = 0; vl <= largest; vl++) {
        struct realm *realm = with_sve(vl);

        EXPECT(length_of(&realm->recs[0]), (vl + 1) * 16,
               "the vector length in bytes");
        realm_end(realm);
    }
    if (largest == 15) {
        return;
    }
    rd = granule_new(1);
    realm_params(&params);
    params.flags |= RMI_REALM_SVE;
    params.sve_vl = largest + 1;
    params.rtt_base = granule_new(1);
    EXPECT(RMI(RMI_REALM_CREATE, rd, (uint64_t)&params).x0, RMI_ERROR_INPUT,
           "REALM_CREATE with vectors that are too long");
    granule_free(params.rtt_base, 1);
    granule_free(rd, 1);
}
CASE("features", "a Realm with SVE has the vector length that was asked for",
     sve_lengths);

/* CPACR_EL1 lets EL1 use them, as far as it may. */
static void with_vectors_on(struct realm *realm)
{
    struct rec *rec = &realm->recs[0];

    rec_executed(rec, SNIPPET("mrs x0, cpacr_el1\n"
                              "orr x0, x0, #(3 << 16)\n"
                              "orr x0, x0, #(3 << 24)\n"
                              "msr cpacr_el1, x0\n isb"), 0, 0, 0);
}

static void no_sve(void)
{
    struct realm *realm = realm_start(1);
    RmiRecExit *exit;

    with_vectors_on(realm);
    exit = rec_executed(&realm->recs[0],
                        SNIPPET(".arch_extension sve\n rdvl x0, #1"), 0, 0,
                        0);
    EXPECT(GOT_EXCEPTIONS(exit), 1, "exceptions of RDVL");
    EXPECT(ESR_EC(GOT_ESR(exit)), EC_UNKNOWN, "its class");
    realm_end(realm);
}
CASE("features", "a Realm without SVE has no vectors", no_sve);

static void no_sme(void)
{
    struct realm *realm = realm_start(1);
    RmiRecExit *exit;

    with_vectors_on(realm);
    /* SMSTART SM; RDSVL X0, #1 */
    exit = rec_executed(&realm->recs[0], SNIPPET(".inst 0xd503437f\n"
                                                 ".inst 0x04bf5820"), 0, 0, 0);
    EXPECT(GOT_EXCEPTIONS(exit), 2, "exceptions of SMSTART and RDSVL");
    EXPECT(ESR_EC(GOT_ESR(exit)), EC_UNKNOWN, "the last one's class");
    realm_end(realm);
}
CASE("features", "a Realm has no SME", no_sme);

/* Both worlds' vectors are patterns around one entry. */
static void vectors_of(struct rec *rec, uint64_t seed)
{
    static struct sve_regs before, after;
    uint64_t host[3];
    RmiRecExit *exit;

    rec->run->enter.flags = RMI_ENTER_TRAP_WFI;
    exit = COMMAND(rec, REALM_VECTORS, seed, WFI_INSTRUCTION);
    EXPECT(exit->exit_reason, RMI_EXIT_SYNC, "the exit's reason");
    EXPECT(ESR_EC(exit->esr), EC_WFX, "the exit's class");
    sve_pattern(seed + 1, &before);
    after = before;
    host_sve_call[0] = RMI_REC_ENTER;
    host_sve_call[1] = rec->pa;
    host_sve_call[2] = (uint64_t)rec->run;
    host_sve(&after);
    EXPECT(host_sve_call[0], RMI_SUCCESS, "REC_ENTER");
    rec_expect_done(exit);
    sve_changed(&before, &after, host);
    EXPECT(host[0], 0, "Z registers of the host that changed");
    EXPECT(host[1], 0, "P registers of the host that changed");
    EXPECT(exit->gprs[0], 0, "Z registers of the Realm that changed");
    EXPECT(exit->gprs[1], 0, "P registers of the Realm that changed");
}

static void sve_apart(void)
{
    unsigned largest = largest_vl();
    struct realm *a = with_sve(largest), *b = with_sve(0);

    for (unsigned n = 0; n < 4; n++) {
        vectors_of(&a->recs[0], 10 * n);
        vectors_of(&b->recs[0], 10 * n + 5);
    }
    EXPECT(length_of(&a->recs[0]), (largest + 1) * 16, "the longer vectors");
    EXPECT(length_of(&b->recs[0]), 16, "the shorter vectors");
    realm_end(a);
    realm_end(b);
}
CASE("features", "host and Realms keep their vectors, of whatever length",
     sve_apart);

static void sve_of_the_host(void)
{
    unsigned length;
    static struct sve_regs before, after;
    struct realm *realm;
    uint64_t host[3];

    if (!has_sve()) {
        test_skip("a CPU without SVE");
    }
    realm = realm_start(1);
    length = sve_length();
    rec_executed(&realm->recs[0], SNIPPET("nop"), 0, 0, 0);
    sve_pattern(7, &before);
    after = before;
    host_sve_call[0] = RMI_REC_ENTER;
    host_sve_call[1] = realm->recs[0].pa;
    host_sve_call[2] = (uint64_t)realm->recs[0].run;
    host_sve(&after);
    EXPECT(host_sve_call[0], RMI_SUCCESS, "REC_ENTER");
    sve_changed(&before, &after, host);
    EXPECT(host[0], 0, "Z registers of the host that changed");
    EXPECT(host[1], 0, "P registers of the host that changed");
    EXPECT(sve_length(), length, "the host's vector length");
    realm_end(realm);
}
CASE("features", "a Realm without SVE leaves the host's vectors alone",
     sve_of_the_host);

/* Streaming vectors may be longer than those of SVE (Arm ARM, SMCR_EL2). */
static void sve_streaming(void)
{
    static struct sve_regs before, after;
    struct realm *realm;
    struct rec *rec;
    uint64_t host[3];

    if (!field(READ(id_aa64pfr1_el1), 24)) {
        test_skip("a CPU without SME");
    }
    realm = with_sve(largest_vl());
    rec = &realm->recs[0];
    rec->run->enter.flags = RMI_ENTER_TRAP_WFI;
    /* The last is undefined in streaming mode. */
    rec_execute(rec, SNIPPET("wfi\n msr s3_0_c1_c2_0, xzr\n isb\n"
                             "movi v0.16b, #1"), 0, 0, 0);
    EXPECT(ESR_EC(rec->run->exit.esr), EC_WFX, "the exit's class");
    WRITE(SMCR_EL2, 1ul << 31 | 15);            /* FA64, LEN */
    asm volatile(".inst 0xd503437f" : : : "memory");    /* SMSTART SM */
    sve_pattern(13, &before);
    after = before;
    host_sve_call[0] = RMI_REC_ENTER;
    host_sve_call[1] = rec->pa;
    host_sve_call[2] = (uint64_t)rec->run;
    host_sve(&after);
    sve_changed(&before, &after, host);
    asm volatile(".inst 0xd503427f" : : : "memory");    /* SMSTOP SM */
    EXPECT(host_sve_call[0], RMI_SUCCESS, "REC_ENTER");
    rec_expect_done(&rec->run->exit);
    EXPECT(GOT_EXCEPTIONS(&rec->run->exit), 0, "exceptions of the Realm");
    EXPECT(host[0], 0, "Z registers of the host that changed");
    EXPECT(host[1], 0, "P registers of the host that changed");
    realm_end(realm);
}
CASE("features", "a host in streaming mode keeps its vectors, though a Realm "
     "shortens its own", sve_streaming);

static void sve_secret(void)
{
    static struct sve_regs secret;
    struct realm *realm;
    struct rec *rec;

    largest_vl();
    realm = with_sve(largest_vl());
    rec = &realm->recs[0];
    realm_page(realm, REALM_DATA, NULL);
    sve_pattern(77, &secret);
    rec->run->enter.gprs[0] = 99;
    host_sve_call[0] = RMI_REC_ENTER;
    host_sve_call[1] = rec->pa;
    host_sve_call[2] = (uint64_t)rec->run;
    host_sve(&secret);
    for (uint64_t at = 0; at < 256; at += 8) {
        RmiRecExit *exit = rec_executed(
            rec, SNIPPET(".arch_extension sve\n"
                         "str z9, [x1]\n ldr x0, [x1, x2]"), 0, REALM_DATA,
            at);
        uint64_t seen = exit->gprs[0];

        for (unsigned n = 0; n < 32 * 32; n++) {
            EXPECT_TRUE(seen == 0 || seen != pattern(77, n),
                        "that a Realm sees nothing of the host's vectors");
        }
    }
    realm_end(realm);
}
CASE("features", "a Realm's vectors have nothing of the host's", sve_secret);

/* ---- PMU ---- */

static struct realm *with_pmu(unsigned *counters)
{
    RmiRealmParams params;

    if (!(features() & RMI_FEATURE0_PMU_EN)) {
        test_skip("RMI_FEATURES offers no PMU");
    }
    *counters = features() >> RMI_FEATURE0_PMU_NUM_CTRS_SHIFT & 31;
    realm_params(&params);
    params.flags |= RMI_REALM_PMU;
    params.pmu_num_ctrs = *counters;
    return realm_start_with(&params, 1, true);
}

static void pmu_counts(void)
{
    unsigned counters;
    struct realm *realm = with_pmu(&counters);
    struct rec *rec = &realm->recs[0];
    RmiRecExit *exit;
    uint64_t first;

    exit = rec_executed(rec, SNIPPET("mrs x0, pmcr_el0"), 0, 0, 0);
    EXPECT(GOT_EXCEPTIONS(exit), 0, "exceptions of PMCR_EL0");
    EXPECT(exit->gprs[0] >> 11 & 31, counters, "PMCR_EL0.N");
    exit = rec_executed(rec, SNIPPET("mov x0, #0x41\n msr pmcr_el0, x0\n"
                                     "mov x0, #0x80000000\n"
                                     "msr pmcntenset_el0, x0\n"
                                     "msr pmccfiltr_el0, xzr\n isb\n"
                                     "mrs x0, pmccntr_el0"), 0, 0, 0);
    first = exit->gprs[0];
    exit = rec_executed(rec, SNIPPET("mov x1, #1000\n"
                                     "1: subs x1, x1, #1\n b.ne 1b\n isb\n"
                                     "mrs x0, pmccntr_el0"), 0, 0, 0);
    EXPECT_TRUE(exit->gprs[0] > first, "that the Realm's cycles count");
    EXPECT(exit->pmu_ovf_status, 0, "the overflow of the exit");
    realm_end(realm);
}
CASE("features", "a Realm with a PMU counts its cycles", pmu_counts);

/* The cycle counter, in PMINTENSET_EL1 and so on */
#define C 0x80000000ul

static void pmu_overflows(void)
{
    unsigned counters;
    struct realm *realm = with_pmu(&counters);
    struct rec *rec = &realm->recs[0];
    RmiRecExit *exit;

    gic_enable(PPI_PMU);
    exit = rec_execute(rec, SNIPPET("mov x0, #0x80000000\n"
                                    "msr pmcntenset_el0, x0\n"
                                    "msr pmintenset_el1, x0\n"
                                    "msr pmccfiltr_el0, xzr\n"
                                    "mov x0, #-2\n msr pmccntr_el0, x0\n"
                                    "mov x0, #0x41\n msr pmcr_el0, x0\n"
                                    "1: subs x1, x1, #1\n b.eq 2f\n isb\n"
                                    "mrs x0, pmovsset_el0\n cbz x0, 1b\n"
                                    "2:"), 0, 10000000, 0);
    if (exit->exit_reason == RMI_EXIT_IRQ) {
        EXPECT(exit->pmu_ovf_status, 1, "the overflow of the exit");
        gic_disable(PPI_PMU);       /* it stays until the Realm clears it */
        exit = rec_enter(rec);
    }
    rec_expect_done(exit);
    EXPECT(exit->gprs[0] >> 31 & 1, 1, "PMOVSSET_EL0.C");
    EXPECT(exit->pmu_ovf_status, 1, "the overflow of the last exit");
    EXPECT(READ(pmovsset_el0), 0, "the host's overflows");
    gic_disable(PPI_PMU);
    exit = rec_executed(rec, SNIPPET("msr pmintenclr_el1, x0"), C, 0, 0);
    EXPECT(exit->pmu_ovf_status, 0, "the overflow without its interrupt");
    exit = rec_executed(rec, SNIPPET("msr pmintenset_el1, x0\n"
                                     "msr pmcr_el0, xzr"), C, 0, 0);
    EXPECT(exit->pmu_ovf_status, 0, "the overflow when PMCR_EL0.E is clear");
    exit = rec_executed(rec, SNIPPET("msr pmcr_el0, x0"), 0x41, 0, 0);
    EXPECT(exit->pmu_ovf_status, 1, "the overflow with both");
    exit = rec_executed(rec, SNIPPET("msr pmovsclr_el0, x0"), C, 0, 0);
    EXPECT(exit->pmu_ovf_status, 0, "the overflow when it is cleared");
    realm_end(realm);
}
CASE("features", "a Realm's overflow is the exit's", pmu_overflows);

static void pmu_apart(void)
{
    unsigned counters;
    struct realm *realm = with_pmu(&counters);
    struct rec *rec = &realm->recs[0];
    uint64_t before;

    WRITE(pmcntenset_el0, 1ul << 31);
    WRITE(pmcr_el0, 0x40);              /* long cycles; off */
    WRITE(pmccntr_el0, 123456789);
    before = READ(pmccntr_el0);
    rec_executed(rec, SNIPPET("mov x0, #0x80000000\n"
                              "msr pmcntenset_el0, x0\n"
                              "mov x0, #77\n msr pmccntr_el0, x0\n"
                              "mov x0, #0x41\n msr pmcr_el0, x0\n isb"),
                 0, 0, 0);
    EXPECT(READ(pmccntr_el0), before, "the host's cycles");
    EXPECT(READ(pmcr_el0) & 1, 0, "the host's PMCR_EL0.E");
    EXPECT(READ(pmcntenset_el0), 1ul << 31, "the host's PMCNTENSET_EL0");
    WRITE(pmcntenclr_el0, 1ul << 31);
    realm_end(realm);
}
CASE("features", "host and Realm have counters of their own", pmu_apart);

/* ---- IPA widths ---- */

static void runs_with(RmiRealmParams *params)
{
    struct realm *realm = realm_create(params);
    RmiRecExit *exit;

    realm_load(realm);
    realm_rec(realm, true, REALM_CODE, NULL);
    realm_activate(realm);
    realm_lend(realm, 1ul << (params->s2sz - 1) | REALM_CODE, 0);
    exit = rec_executed(&realm->recs[0], SNIPPET("str x0, [x1]\n"
                                                 "ldr x2, [x1]"), 5,
                        1ul << (params->s2sz - 1) | REALM_CODE, 0);
    EXPECT(GOT_EXCEPTIONS(exit), 0, "exceptions at the lent page");
    EXPECT(exit->gprs[2], 5, "what the Realm reads there");
    exit = rec_executed(&realm->recs[0], SNIPPET("ldr x0, [x1]"), 0,
                        (1ul << (params->s2sz - 1)) - PAGE, 0);
    EXPECT(GOT_EXCEPTIONS(exit), 1, "exceptions at the last protected page");
    EXPECT(ESR_FSC(GOT_ESR(exit)), 0x10, "its status code");
    realm_end(realm);
}

static void shapes(void)
{
    static const struct {
        unsigned bits;
        int start;
        unsigned tables;
    } shapes[] = {
        { 32, 1, 1 }, { 34, 1, 1 }, { 39, 1, 1 }, { 40, 1, 2 }, { 43, 1, 16 },
        { 40, 0, 1 }, { 48, 0, 1 },
    };

    for (unsigned n = 0; n < sizeof(shapes) / sizeof(*shapes); n++) {
        RmiRealmParams params;

        if (shapes[n].bits > (features() & 0xff)) {
            continue;
        }
        realm_params(&params);
        params.s2sz = shapes[n].bits;
        params.rtt_level_start = shapes[n].start;
        params.rtt_num_start = shapes[n].tables;
        runs_with(&params);
    }
}
CASE("features", "Realms run with each width of IPAs and start of tables",
     shapes);

static void lpa2(void)
{
    RmiRealmParams params;

    if (!(features() & RMI_FEATURE0_LPA2)) {
        test_skip("RMI_FEATURES offers no LPA2");
    }
    realm_params(&params);
    params.flags |= RMI_REALM_LPA2;
    runs_with(&params);
    params.s2sz = 48;
    params.rtt_level_start = 0;
    runs_with(&params);
    if ((features() & 0xff) >= 52) {
        params.s2sz = 52;
        params.rtt_level_start = -1;
        runs_with(&params);
    }
}
CASE("features", "Realms run with LPA2", lpa2);

/* ---- Blocks ---- */

#define BLOCK_IPA   (REALM_CODE + BLOCK)

static void fold(void)
{
    RmiRealmParams params;
    struct realm *realm;
    struct rec *rec;
    struct result r;
    RmiRecExit *exit;
    uint64_t pa;

    realm_params(&params);
    realm = realm_create(&params);
    realm_load(realm);
    realm_rec(realm, true, REALM_CODE, NULL);
    rec = &realm->recs[0];
    realm_tables(realm, BLOCK_IPA, 3);
    realm_ram(realm, BLOCK_IPA, BLOCK_IPA + BLOCK);
    pa = granule_new(BLOCK / PAGE);
    for (uint64_t at = 0; at < BLOCK; at += PAGE) {
        EXPECT(RMI(RMI_DATA_CREATE_UNKNOWN, realm->rd, pa + at,
                   BLOCK_IPA + at).x0, RMI_SUCCESS, "DATA_CREATE_UNKNOWN");
    }
    realm_activate(realm);
    rec_expect_done(COMMAND(rec, REALM_FILL, BLOCK_IPA, BLOCK, 1));
    r = RMI(RMI_RTT_FOLD, realm->rd, BLOCK_IPA, 3);
    EXPECT(r.x0, RMI_SUCCESS, "RTT_FOLD");
    granule_free(r.x1, 1);
    exit = COMMAND(rec, REALM_CHECK, BLOCK_IPA, BLOCK, 1);
    rec_expect_done(exit);
    EXPECT(exit->gprs[0], 0, "words that changed when the block was made");
    rec_expect_done(COMMAND(rec, REALM_FILL, BLOCK_IPA, BLOCK, 2));
    r.x1 = granule_new(1);
    EXPECT(RMI(RMI_RTT_CREATE, realm->rd, r.x1, BLOCK_IPA, 3).x0, RMI_SUCCESS,
           "RTT_CREATE of a block");
    exit = COMMAND(rec, REALM_CHECK, BLOCK_IPA, BLOCK, 2);
    rec_expect_done(exit);
    EXPECT(exit->gprs[0], 0, "words that changed when it was split");
    for (uint64_t at = 0; at < BLOCK; at += PAGE) {
        EXPECT(RMI(RMI_DATA_DESTROY, realm->rd, BLOCK_IPA + at).x0,
               RMI_SUCCESS, "DATA_DESTROY");
    }
    granule_free(pa, BLOCK / PAGE);
    EXPECT(RMI(RMI_RTT_DESTROY, realm->rd, BLOCK_IPA, 3).x0, RMI_SUCCESS,
           "RTT_DESTROY");
    granule_free(r.x1, 1);
    realm_forget_table(realm, BLOCK_IPA, 3);
    realm_end(realm);
}
CASE("features", "pages become a block and pages again, and keep their bytes",
     fold);
