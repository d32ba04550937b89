/*
 * What the library and a machine with a host of its own tell each other
 *
 * The fake machine itself stops at a context that is freed twice, or never, and
 * at a granule whose physical address space changes without its lock, or does
 * not change.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include "fake-machine.h"
#include "granule.h"

#define NUM_LRS 4

typedef struct Fixture {
    FakeMachine *m;
    FakeRealm r;
    RmmPe pe;
} Fixture;

static void set_up(Fixture *f, gconstpointer data)
{
    f->m = fake_machine_prepare(256);
    f->m->ops.exit_state = fake_exit_state;
    f->m->platform.sve = true;
    f->m->platform.sve_vl = 3;
    f->m->platform.num_lrs = NUM_LRS - 1;
    f->m->platform.gic_prio_bits = 5;
    fake_machine_start(f->m);
    f->r = fake_realm_active(f->m);
    memset(&f->pe, 0, sizeof(f->pe));
}

static void exit_irq(Fixture *f)
{
    take_interrupt(f->m->rmm, &f->pe);
    g_assert_cmpint(f->pe.world, ==, RMM_WORLD_HOST);
    g_assert_cmphex(f->pe.x[0], ==, RMI_SUCCESS);
}

static void tear_down(Fixture *f, gconstpointer data)
{
    if (f->pe.world == RMM_WORLD_REALM) {
        exit_irq(f);
    }
    fake_machine_free(f->m);
}

#define CALL(f, fid, ...) \
    fake_call_pe((f)->m, &(f)->pe, (fid), (const uint64_t[]){ __VA_ARGS__ }, \
                 sizeof((const uint64_t[]){ __VA_ARGS__ }) / sizeof(uint64_t))

/* ---- contexts ---- */

static void a_context_is_for_what_the_realm_was_created_with(
    Fixture *f, gconstpointer data)
{
    RmiRealmParams *params;
    const RmmRecConfig *config;
    FakeRealm r;

    params = fake_realm_params(f->m, &r, 33, 1);
    params->flags = RMI_REALM_SVE | RMI_REALM_PMU;
    params->sve_vl = 2;
    params->pmu_num_ctrs = 4;
    params->num_bps = 5;
    params->num_wps = 3;
    params->ext_flags = RMI_REALM_EXT_MTE;
    params->vmid = 0x4321;
    g_assert_cmphex(fake_realm_try(f->m, &r), ==, RMI_SUCCESS);
    fake_rec(f->m, &r, 0, 0);
    fake_rec(f->m, &r, RMI_REC_RUNNABLE, 0);
    g_assert_cmphex(fake_call(f->m, RMI_REALM_ACTIVATE, r.rd), ==,
                    RMI_SUCCESS);
    fake_enter(f->m, &f->pe, &r, 1);
    config = &fake_context(f->m, &f->pe)->config;
    g_assert_cmphex(config->rd, ==, r.rd);
    g_assert_cmphex(config->rec, ==, r.rec[1]);
    g_assert_cmphex(config->mpidr, ==, 1);
    g_assert_cmphex(config->vmid, ==, 0x4321);
    g_assert_cmphex(config->stage2.table, ==, r.tables);
    g_assert_cmpint(config->stage2.ipa_bits, ==, 33);
    g_assert_cmpint(config->stage2.start_level, ==, 1);
    g_assert_false(config->stage2.lpa2);
    g_assert_true(config->sve && config->pmu && config->mte);
    g_assert_cmpint(config->sve_vl, ==, 2);
    g_assert_cmpint(config->pmu_num_ctrs, ==, 4);
    g_assert_cmpint(config->num_bps, ==, 5);
    g_assert_cmpint(config->num_wps, ==, 3);
}

/* What stands beside a flag that is not set means nothing. */
static void a_context_has_nothing_that_the_realm_does_not_have(
    Fixture *f, gconstpointer data)
{
    RmiRealmParams *params;
    const RmmRecConfig *config;
    FakeRealm r;

    params = fake_realm_params(f->m, &r, 33, 1);
    params->sve_vl = 2;
    params->pmu_num_ctrs = 4;
    g_assert_cmphex(fake_realm_try(f->m, &r), ==, RMI_SUCCESS);
    fake_rec(f->m, &r, RMI_REC_RUNNABLE, 0);
    g_assert_cmphex(fake_call(f->m, RMI_REALM_ACTIVATE, r.rd), ==,
                    RMI_SUCCESS);
    fake_enter(f->m, &f->pe, &r, 0);
    config = &fake_context(f->m, &f->pe)->config;
    g_assert_false(config->sve || config->pmu || config->mte);
    g_assert_cmpint(config->sve_vl, ==, 0);
    g_assert_cmpint(config->pmu_num_ctrs, ==, 0);
}

/* B4.4.22, and MPIDR_EL1 in the Arm ARM: Aff3 is somewhere else. */
static void an_mpidr_is_as_in_the_register(Fixture *f, gconstpointer data)
{
    static const struct {
        uint64_t word, el1;
    } rows[] = {
        { 0, 0 }, { 0xf, 0xf }, { 0x102, 0x102 },
        { 0xab01020f, 0xab0001020f },
    };
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(rows); i++) {
        RmmRec rec = { .mpidr = rows[i].word };

        g_assert_cmphex(rec_mpidr_el1(&rec), ==, rows[i].el1);
    }
}

static void a_rec_finds_its_context_on_every_pe(Fixture *f,
                                                gconstpointer data)
{
    void *context;
    RmmPe other;

    fake_enter(f->m, &f->pe, &f->r, 0);
    context = f->pe.context;
    f->pe.x[30] = 0xabcd;
    exit_irq(f);
    g_assert_null(f->pe.context);
    memset(&other, 0, sizeof(other));
    fake_enter(f->m, &other, &f->r, 0);
    g_assert_true(other.context == context);
    g_assert_cmphex(fake_context(f->m, &other)->value, ==, 0xabcd);
    f->pe = other;
}

/* PSCI 1.1, 6.4: a CPU that is turned on again comes out of reset. */
static void a_rec_that_is_turned_on_has_fresh_registers(Fixture *f,
                                                        gconstpointer data)
{
    unsigned i;

    for (i = 0; i < 2; i++) {
        gint made = f->m->num_contexts;

        fake_enter(f->m, &f->pe, &f->r, 0);
        CALL(f, PSCI_FID_CPU_ON, 1, 0x2000, 7);
        g_assert_cmphex(CALL(f, RMI_PSCI_COMPLETE, f->r.rec[0], f->r.rec[1],
                             PSCI_SUCCESS), ==, RMI_SUCCESS);
        g_assert_cmpint(f->m->num_contexts, ==, made + 1);
        fake_enter(f->m, &f->pe, &f->r, 1);
        g_assert_cmphex(fake_context(f->m, &f->pe)->value, ==, 0);
        g_assert_cmphex(fake_context(f->m, &f->pe)->config.mpidr, ==, 1);
        f->pe.x[30] = 0x5ec4e7;
        CALL(f, PSCI_FID_CPU_OFF, 0);
    }
}

static void nobody_is_turned_on_if_the_host_denies(Fixture *f,
                                                   gconstpointer data)
{
    gint made = f->m->num_contexts;

    fake_enter(f->m, &f->pe, &f->r, 0);
    CALL(f, PSCI_FID_CPU_ON, 1, 0x2000, 7);
    g_assert_cmphex(CALL(f, RMI_PSCI_COMPLETE, f->r.rec[0], f->r.rec[1],
                         PSCI_DENIED), ==, RMI_SUCCESS);
    g_assert_cmpint(f->m->num_contexts, ==, made);
}

static void a_destroyed_rec_has_no_context(Fixture *f, gconstpointer data)
{
    guint contexts = g_hash_table_size(f->m->contexts);

    g_assert_cmphex(CALL(f, RMI_REC_DESTROY, f->r.rec[1]), ==, RMI_SUCCESS);
    g_assert_cmpuint(g_hash_table_size(f->m->contexts), ==, contexts - 1);
}

/* The Realm has moved: its registers go before the host destroys the REC. */
static void a_rec_that_runs_elsewhere_has_no_context(Fixture *f,
                                                     gconstpointer data)
{
    guint contexts = g_hash_table_size(f->m->contexts);
    RmmRec *rec = rec_lock(f->m->rmm, f->r.rec[0]);

    rec_wipe(rec);
    rec_unlock(rec);
    g_assert_cmpuint(g_hash_table_size(f->m->contexts), ==, contexts - 1);
    g_assert_cmphex(CALL(f, RMI_REC_DESTROY, f->r.rec[0]), ==, RMI_SUCCESS);
}

static void a_refused_rec_makes_no_context(Fixture *f, gconstpointer data)
{
    gint made = f->m->num_contexts;
    uint64_t pa = fake_granule(f->m);

    g_assert_cmphex(CALL(f, RMI_REC_CREATE, f->r.rd, pa, FAKE_NS_PARAMS), ==,
                    RMI_ERROR_REALM);
    g_assert_cmpint(f->m->num_contexts, ==, made);
}

/* ---- entry and exit ---- */

#define PENDING (1ull << 62)

static void an_entry_tells_the_machine_what_the_host_asked(
    Fixture *f, gconstpointer data)
{
    RmiRecRun *run = fake_run(f->m, 0);
    unsigned i;

    run->enter.flags = RMI_ENTER_TRAP_WFE;
    run->enter.gicv3_hcr = 0x40fe;      /* all that is the host's */
    for (i = 0; i < 16; i++) {          /* priority in its five bits */
        run->enter.gicv3_lrs[i] = PENDING | 0xf8ull << 48 | (32 + i);
    }
    fake_enter(f->m, &f->pe, &f->r, 0);
    g_assert_cmphex(f->pe.entry.gicv3_hcr, ==, 0x40fe);
    g_assert_true(f->pe.entry.trap_wfe);
    g_assert_false(f->pe.entry.trap_wfi);
    for (i = 0; i < 16; i++) {
        g_assert_cmphex(f->pe.entry.gicv3_lrs[i], ==,
                        i < NUM_LRS ? run->enter.gicv3_lrs[i] : 0);
    }
    exit_irq(f);
    run->enter.flags = RMI_ENTER_TRAP_WFI;
    fake_enter(f->m, &f->pe, &f->r, 0);
    g_assert_true(f->pe.entry.trap_wfi);
    g_assert_false(f->pe.entry.trap_wfe);
}

/* A6.1: UIE, LRENPIE, NPIE, VGrp<0,1><E,D>IE, TDIR; no other bit. */
static void an_entry_has_no_other_bit_of_ich_hcr(Fixture *f,
                                                 gconstpointer data)
{
    RmiRecRun *run = fake_run(f->m, 0);
    unsigned bit;

    for (bit = 0; bit < 64; bit++) {
        bool hosts = (bit >= 1 && bit <= 7) || bit == 14;

        run->enter.gicv3_hcr = 1ull << bit;
        CALL(f, RMI_REC_ENTER, f->r.rec[0], FAKE_NS_RUN(0));
        if (hosts) {
            g_assert_cmphex(f->pe.entry.gicv3_hcr, ==, 1ull << bit);
            exit_irq(f);
        } else {
            g_assert_cmphex(f->pe.x[0], ==, RMI_ERROR_REC);
        }
    }
}

/*
 * A6.1 and the GIC architecture: each bit of a list register that is pending,
 * with 5 of 8 bits of priority.
 */
static void a_list_register_is_valid_for_the_architecture(Fixture *f,
                                                          gconstpointer data)
{
    RmiRecRun *run = fake_run(f->m, 0);
    unsigned bit;

    for (bit = 0; bit < 64; bit++) {
        /* vINTID 32 and one bit more: beyond 1019, or of no LPI. */
        bool ok = bit < 10 || (bit >= 13 && bit < 16) ||
                  bit == 41 ||          /* EOI */
                  (bit >= 51 && bit < 56) || bit == 60 || bit >= 62;

        run->enter.gicv3_lrs[NUM_LRS - 1] = PENDING | 32 | 1ull << bit;
        CALL(f, RMI_REC_ENTER, f->r.rec[0], FAKE_NS_RUN(0));
        g_assert_cmpint(f->pe.world == RMM_WORLD_REALM, ==, ok);
        if (ok) {
            exit_irq(f);
        } else {
            g_assert_cmphex(f->pe.x[0], ==, RMI_ERROR_REC);
        }
    }
}

static void an_intid_has_as_many_bits_as_the_machine_says(Fixture *f,
                                                          gconstpointer data)
{
    RmiRecRun *run = fake_run(f->m, 0);

    run->enter.gicv3_lrs[0] = PENDING | 0xffffff;
    CALL(f, RMI_REC_ENTER, f->r.rec[0], FAKE_NS_RUN(0));
    g_assert_cmphex(f->pe.x[0], ==, RMI_ERROR_REC);
    f->m->rmm->platform.gic_id_bits = 24;
    fake_enter(f->m, &f->pe, &f->r, 0);
    exit_irq(f);
    run->enter.gicv3_lrs[0] = PENDING | 0x1000000;
    CALL(f, RMI_REC_ENTER, f->r.rec[0], FAKE_NS_RUN(0));
    g_assert_cmphex(f->pe.x[0], ==, RMI_ERROR_REC);
}

static void an_inactive_list_register_may_say_anything(Fixture *f,
                                                       gconstpointer data)
{
    RmiRecRun *run = fake_run(f->m, 0);

    run->enter.gicv3_lrs[0] = run->enter.gicv3_lrs[1] = ~0ull >> 2;
    fake_enter(f->m, &f->pe, &f->r, 0);
}

/* This machine makes virtual interrupts by itself. */
static void an_entry_without_list_registers_has_none(Fixture *f,
                                                     gconstpointer data)
{
    RmiRecRun *run = fake_run(f->m, 0);
    unsigned i;

    f->m->rmm->platform.gic_prio_bits = 0;
    memset(&f->m->exit, 0xff, sizeof(f->m->exit));
    f->m->exit.pmu_overflow = true;
    for (i = 0; i < 16; i++) {
        run->enter.gicv3_lrs[i] = ~0ull;
    }
    fake_enter(f->m, &f->pe, &f->r, 0);
    for (i = 0; i < 16; i++) {
        g_assert_cmphex(f->pe.entry.gicv3_lrs[i], ==, 0);
    }
    exit_irq(f);
    for (i = 0; i < 16; i++) {
        g_assert_cmphex(run->exit.gicv3_lrs[i], ==, 0);
    }
}

static RmmExitState state_of(uint64_t base)
{
    RmmExitState state = {
        .gicv3_hcr = 0x12ull << 27 | 0x2, .gicv3_misr = base + 1,
        .gicv3_vmcr = base + 2, .cntp_ctl = base + 3, .cntp_cval = base + 4,
        .cntv_ctl = base + 5, .cntv_cval = base + 6, .pmu_overflow = true,
    };
    unsigned i;

    for (i = 0; i < 16; i++) {
        state.gicv3_lrs[i] = base + 16 + i;
    }
    return state;
}

/* A6.1, A6.2, A8.1; of registers that the PE does not have, nothing. */
static void assert_state(const RmiRecExit *exit, const RmmExitState *state)
{
    unsigned i;

    g_assert_cmphex(exit->gicv3_hcr, ==, state->gicv3_hcr);
    g_assert_cmphex(exit->gicv3_misr, ==, state->gicv3_misr);
    g_assert_cmphex(exit->gicv3_vmcr, ==, state->gicv3_vmcr);
    g_assert_cmphex(exit->cntp_ctl, ==, state->cntp_ctl);
    g_assert_cmphex(exit->cntp_cval, ==, state->cntp_cval);
    g_assert_cmphex(exit->cntv_ctl, ==, state->cntv_ctl);
    g_assert_cmphex(exit->cntv_cval, ==, state->cntv_cval);
    g_assert_cmphex(exit->pmu_ovf_status, ==, state->pmu_overflow);
    for (i = 0; i < 16; i++) {
        g_assert_cmphex(exit->gicv3_lrs[i], ==,
                        i < NUM_LRS ? state->gicv3_lrs[i] : 0);
    }
}

/* Whatever it is for: A4.3 has the fields in every kind of exit. */
static void each_kind_of_exit_has_gic_timers_and_pmu(Fixture *f,
                                                     gconstpointer data)
{
    static const RmmSyndrome exceptions[] = {
        { .kind = RMM_EXCEPTION_IRQ }, { .kind = RMM_EXCEPTION_FIQ },
        { .kind = RMM_EXCEPTION_SERROR },
        { .esr = 0x24ull << 26 | 7, .hpfar = 0x100000ull << 4 },
        { .esr = 0x20ull << 26 | 7, .hpfar = 0x10 << 4 },
    };
    static const uint64_t calls[] = {
        RSI_HOST_CALL, RSI_IPA_STATE_SET, PSCI_FID_CPU_SUSPEND,
        PSCI_FID_CPU_OFF,
    };
    RmiRecExit *exit = &fake_run(f->m, 0)->exit;
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(exceptions) + G_N_ELEMENTS(calls); i++) {
        f->m->exit = state_of(i << 8);
        memset(exit, 0xff, sizeof(*exit));
        fake_enter(f->m, &f->pe, &f->r, 0);
        if (i < G_N_ELEMENTS(exceptions)) {
            rmm_exception(f->m->rmm, &f->pe, &exceptions[i]);
        } else {
            CALL(f, calls[i - G_N_ELEMENTS(exceptions)], 0, 0x1000, 0);
        }
        g_assert_cmpint(f->pe.world, ==, RMM_WORLD_HOST);
        assert_state(exit, &f->m->exit);
    }
}

/* A6.1: EOIcount and what the host may set; all other fields contain zero. */
static void an_exit_shows_the_hosts_part_of_ich_hcr(Fixture *f,
                                                    gconstpointer data)
{
    f->m->exit.gicv3_hcr = ~0ull;
    fake_enter(f->m, &f->pe, &f->r, 0);
    exit_irq(f);
    g_assert_cmphex(fake_run(f->m, 0)->exit.gicv3_hcr, ==, 0xf80040fe);
}

/*
 * A host takes its list registers and timers from every exit.  One before the
 * REC ran leaves them as they are.
 */
static void an_exit_before_the_rec_runs_loses_no_interrupt(Fixture *f,
                                                           gconstpointer data)
{
    RmiRecRun *run = fake_run(f->m, 0);
    RmmExitState want = state_of(0x500);
    unsigned i;

    f->m->exit = want;
    fake_enter(f->m, &f->pe, &f->r, 0);
    CALL(f, RSI_HOST_CALL, 0x1000);
    memset(&f->m->exit, 0, sizeof(f->m->exit));
    g_assert_cmphex(CALL(f, RMI_DATA_DESTROY, f->r.rd, 0x1000), ==,
                    RMI_SUCCESS);
    run->enter.gicv3_hcr = want.gicv3_hcr = 0x4002;
    want.gicv3_misr = 0;
    for (i = 0; i < NUM_LRS; i++) {
        run->enter.gicv3_lrs[i] = want.gicv3_lrs[i] = PENDING | (40 + i);
    }
    g_assert_cmphex(CALL(f, RMI_REC_ENTER, f->r.rec[0], FAKE_NS_RUN(0)), ==,
                    RMI_SUCCESS);
    g_assert_cmpint(f->pe.world, ==, RMM_WORLD_HOST);
    g_assert_cmphex(run->exit.exit_reason, ==, RMI_EXIT_SYNC);
    g_assert_cmphex(run->exit.hpfar, ==, 0x10);
    assert_state(&run->exit, &want);
}

/* ---- memory ---- */

/* The fake machine fills the granule when it changes over. */
static void a_page_holds_nothing_of_before(Fixture *f, gconstpointer data)
{
    static const uint8_t zeros[RMM_GRANULE_SIZE];
    uint64_t pa = fake_granule(f->m);

    g_assert_cmphex(CALL(f, RMI_DATA_DESTROY, f->r.rd, 0x1000), ==,
                    RMI_SUCCESS);
    g_assert_cmphex(CALL(f, RMI_DATA_CREATE_UNKNOWN, f->r.rd, pa, 0x1000), ==,
                    RMI_SUCCESS);
    g_assert_cmpmem(fake_host(f->m, pa), RMM_GRANULE_SIZE,
                    zeros, RMM_GRANULE_SIZE);
}

static void a_refused_delegation_changes_no_address_space(Fixture *f,
                                                          gconstpointer data)
{
    uint64_t pa = fake_granule(f->m);

    g_assert_cmphex(CALL(f, RMI_GRANULE_DELEGATE, pa), ==, RMI_ERROR_INPUT);
    g_assert_cmphex(CALL(f, RMI_GRANULE_DELEGATE, FAKE_NS_BASE), ==,
                    RMI_ERROR_INPUT);
    g_assert_cmphex(CALL(f, RMI_GRANULE_UNDELEGATE, f->r.rd), ==,
                    RMI_ERROR_INPUT);
    g_assert_cmphex(CALL(f, RMI_GRANULE_UNDELEGATE, pa), ==, RMI_SUCCESS);
    g_assert_cmphex(CALL(f, RMI_GRANULE_UNDELEGATE, pa), ==, RMI_ERROR_INPUT);
}

/* In this machine the pool is the host's memory too, if nobody looks. */
static void *op_ns_everywhere(void *opaque, uint64_t pa, size_t len)
{
    FakeMachine *m = opaque;

    return pa < FAKE_POOL_BASE ? fake_ns(m, pa) : fake_host(m, pa);
}

static void delegated_memory_is_not_the_hosts_whatever_the_machine_says(
    Fixture *f, gconstpointer data)
{
    uint64_t pa = fake_granules(f->m, 3), word = 0;

    f->m->rmm->ops.ns = op_ns_everywhere;
    g_assert_cmphex(CALL(f, RMI_GRANULE_UNDELEGATE, pa + 0x1000), ==,
                    RMI_SUCCESS);
    g_assert_true(rmm_read_ns(f->m->rmm, &word, pa + 0x1000, 8));
    g_assert_true(rmm_write_ns(f->m->rmm, pa + 0x1ff8, &word, 8));
    g_assert_false(rmm_read_ns(f->m->rmm, &word, pa, 8));
    g_assert_false(rmm_write_ns(f->m->rmm, pa + 0x2000, &word, 8));
    g_assert_false(rmm_is_ns(f->m->rmm, pa + 0xff8, 16));
    g_assert_false(rmm_is_ns(f->m->rmm, pa + 0x1ff8, 16));
    g_assert_false(rmm_is_ns(f->m->rmm, ~0ull - 7, 16));
    /* A run page, and parameters. */
    g_assert_cmphex(CALL(f, RMI_REC_ENTER, f->r.rec[0], pa), ==,
                    RMI_ERROR_INPUT);
    g_assert_cmphex(CALL(f, RMI_REALM_CREATE, pa, pa + 0x2000), ==,
                    RMI_ERROR_INPUT);
}

/* ---- the end ---- */

/* fake_machine_free sees whether a context is left. */
static void a_machine_is_reset_with_pes_in_the_realm(Fixture *f,
                                                     gconstpointer data)
{
    FakeRealm other = fake_realm_active(f->m);
    RmmPe pe = { 0 };

    fake_enter(f->m, &f->pe, &f->r, 0);
    fake_enter(f->m, &pe, &other, 0);
    /* One is in the middle of what its host owes, too. */
    g_assert_cmphex(CALL(f, RSI_HOST_CALL, 0), ==, RMI_SUCCESS);
    fake_enter(f->m, &f->pe, &f->r, 0);
    memset(&f->pe, 0, sizeof(f->pe));   /* as a machine's own reset */
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name) \
    g_test_add("/rmm/machine/" #name, Fixture, NULL, set_up, name, tear_down)
    ADD(a_context_is_for_what_the_realm_was_created_with);
    ADD(a_context_has_nothing_that_the_realm_does_not_have);
    ADD(an_mpidr_is_as_in_the_register);
    ADD(a_rec_finds_its_context_on_every_pe);
    ADD(a_rec_that_is_turned_on_has_fresh_registers);
    ADD(nobody_is_turned_on_if_the_host_denies);
    ADD(a_destroyed_rec_has_no_context);
    ADD(a_rec_that_runs_elsewhere_has_no_context);
    ADD(a_refused_rec_makes_no_context);
    ADD(an_entry_tells_the_machine_what_the_host_asked);
    ADD(an_entry_has_no_other_bit_of_ich_hcr);
    ADD(a_list_register_is_valid_for_the_architecture);
    ADD(an_intid_has_as_many_bits_as_the_machine_says);
    ADD(an_inactive_list_register_may_say_anything);
    ADD(an_entry_without_list_registers_has_none);
    ADD(each_kind_of_exit_has_gic_timers_and_pmu);
    ADD(an_exit_shows_the_hosts_part_of_ich_hcr);
    ADD(an_exit_before_the_rec_runs_loses_no_interrupt);
    ADD(a_page_holds_nothing_of_before);
    ADD(a_refused_delegation_changes_no_address_space);
    ADD(delegated_memory_is_not_the_hosts_whatever_the_machine_says);
    ADD(a_machine_is_reset_with_pes_in_the_realm);
    return g_test_run();
}
