/*
 * RECs: entry and exit, RSI and PSCI as a Realm and its host see them
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include "fake-machine.h"
#include "snapshot.h"

#define IPA_BUFFER 0x4000ull            /* a page of fake_realm_active */
#define IPA_NO_RAM 0x100000ull          /* RIPAS EMPTY there */

typedef struct Fixture {
    FakeMachine *m;
    FakeRealm r;
    RmmPe pe;
} Fixture;

static void set_up(Fixture *f, gconstpointer data)
{
    f->m = fake_machine_new(128);
    f->r = fake_realm_active(f->m);
    memset(&f->pe, 0, sizeof(f->pe));
}

static void tear_down(Fixture *f, gconstpointer data)
{
    if (f->pe.world == RMM_WORLD_REALM) {
        take_interrupt(f->m->rmm, &f->pe);
    }
    fake_machine_free(f->m);
}

#define CALL(f, fid, ...) \
    fake_call_pe((f)->m, &(f)->pe, (fid), (const uint64_t[]){ __VA_ARGS__ }, \
                 sizeof((const uint64_t[]){ __VA_ARGS__ }) / sizeof(uint64_t))

/* A page of the Realm's memory, as the Realm reaches it. */
static void *realm_page(Fixture *f, uint64_t ipa)
{
    RmmTranslation t;
    RmmStage2 s2;

    g_assert(rmm_stage2(f->m->rmm, f->r.rec[0], &s2));
    g_assert_cmpint(rmm_stage2_walk(f->m->rmm, &s2, ipa, RMM_ACCESS_WRITE,
                                    &t), ==, RMM_FAULT_NONE);
    return (char *)fake_host(f->m, t.pa) + ipa % RMM_GRANULE_SIZE;
}

static void assert_exited(Fixture *f, unsigned reason)
{
    g_assert_cmpint(f->pe.world, ==, RMM_WORLD_HOST);
    g_assert_cmphex(f->pe.x[0], ==, RMI_SUCCESS);
    g_assert_cmphex(fake_run(f->m, 0)->exit.exit_reason, ==, reason);
}

static void assert_in_realm(Fixture *f)
{
    g_assert_cmpint(f->pe.world, ==, RMM_WORLD_REALM);
}

static void entry_loads_what_the_last_exit_saved(Fixture *f,
                                                 gconstpointer data)
{
    unsigned i;

    fake_enter(f->m, &f->pe, &f->r, 0);
    g_assert_cmphex(f->pe.pc, ==, 0x1000);
    g_assert_cmphex(f->pe.x[0], ==, 0xd7b);
    g_assert_cmphex(f->pe.x[7], ==, 7);
    g_assert_cmphex(f->pe.x[8], ==, 0);
    for (i = 0; i < 31; i++) {
        f->pe.x[i] = 100 + i;
    }
    f->pe.pc = 0x2004;
    take_interrupt(f->m->rmm, &f->pe);
    assert_exited(f, RMI_EXIT_IRQ);
    for (i = 1; i < 31; i++) {
        g_assert_cmphex(f->pe.x[i], ==, 0);     /* nothing leaks */
    }
    fake_enter(f->m, &f->pe, &f->r, 0);
    g_assert_cmphex(f->pe.pc, ==, 0x2004);
    for (i = 0; i < 31; i++) {
        g_assert_cmphex(f->pe.x[i], ==, 100 + i);
    }
}

static void an_exit_record_is_zero_but_for_what_it_says(Fixture *f,
                                                        gconstpointer data)
{
    RmiRecExit want = { .exit_reason = RMI_EXIT_IRQ };

    memset(&fake_run(f->m, 0)->exit, 0xff, sizeof(want));
    fake_enter(f->m, &f->pe, &f->r, 0);
    take_interrupt(f->m->rmm, &f->pe);
    g_assert_cmpmem(&fake_run(f->m, 0)->exit, sizeof(want),
                    &want, sizeof(want));
}

/*
 * A4.3.10: EC, ISS.IDS, AET, EA and DFSC; all else is zero.  IESB, bits 23:14
 * and 8:6 of the ISS, and IL are not among them, nor FAR_EL2 and HPFAR_EL2.
 */
static void an_serror_shows_the_host_what_the_text_lists(Fixture *f,
                                                         gconstpointer data)
{
    static const struct {
        uint64_t esr, shown;
    } rows[] = {
        { 0xbe000011, 0xbc000011 },     /* uncontainable, DFSC 0b010001 */
        { 0xbe000e11, 0xbc000e11 },     /* restartable, external */
        { 0xbf000000, 0xbd000000 },     /* IDS */
        { 0xbfffffff, 0xbd001e3f },
    };
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(rows); i++) {
        const RmmSyndrome s = { .kind = RMM_EXCEPTION_SERROR,
                                .esr = rows[i].esr | 0xffull << 32,
                                .far = 0x1234, .hpfar = 0x5670 };
        const RmiRecExit want = { .exit_reason = RMI_EXIT_SERROR,
                                  .esr = rows[i].shown };

        memset(&fake_run(f->m, 0)->exit, 0xff, sizeof(want));
        fake_enter(f->m, &f->pe, &f->r, 0);
        f->pe.x[5] = i;
        rmm_exception(f->m->rmm, &f->pe, &s);
        assert_exited(f, RMI_EXIT_SERROR);
        g_assert_cmpmem(&fake_run(f->m, 0)->exit, sizeof(want),
                        &want, sizeof(want));
        fake_enter(f->m, &f->pe, &f->r, 0);
        g_assert_false(f->pe.inject.pending);   /* the text has no more */
        g_assert_cmphex(f->pe.x[5], ==, i);
        g_assert_cmphex(f->pe.pc, ==, 0x1000);
        take_interrupt(f->m->rmm, &f->pe);
    }
}

/* A4.3.5, A4.3.6 */
static void an_interrupt_shows_the_host_no_syndrome(Fixture *f,
                                                    gconstpointer data)
{
    static const RmmExceptionKind kinds[] = {
        RMM_EXCEPTION_IRQ, RMM_EXCEPTION_FIQ,
    };
    unsigned i;

    for (i = 0; i < 2; i++) {
        const RmmSyndrome s = { .kind = kinds[i], .esr = 0xbe000011,
                                .far = 0x1234, .hpfar = 0x5670 };
        const RmiRecExit want = { .exit_reason = i ? RMI_EXIT_FIQ
                                                   : RMI_EXIT_IRQ };

        fake_enter(f->m, &f->pe, &f->r, 0);
        rmm_exception(f->m->rmm, &f->pe, &s);
        g_assert_cmpmem(&fake_run(f->m, 0)->exit, sizeof(want),
                        &want, sizeof(want));
    }
}

static RmiRecExit record_when_told;
static uint64_t told_pa, told_len;

static void told_of_a_write(void *opaque, uint64_t pa, size_t len)
{
    told_pa = pa;
    told_len = len;
    memcpy(&record_when_told, &fake_run(opaque, 0)->exit,
           sizeof(record_when_told));
}

static void the_machine_is_told_of_an_exit_record_it_has(Fixture *f,
                                                         gconstpointer data)
{
    f->m->rmm->ops.ns_written = told_of_a_write;
    told_len = 0;
    fake_enter(f->m, &f->pe, &f->r, 0);
    g_assert_cmpuint(told_len, ==, 0);
    take_interrupt(f->m->rmm, &f->pe);
    g_assert_cmphex(told_pa, ==, FAKE_NS_RUN(0) + offsetof(RmiRecRun, exit));
    g_assert_cmpuint(told_len, ==, sizeof(RmiRecExit));
    g_assert_cmpuint(record_when_told.exit_reason, ==, RMI_EXIT_IRQ);
}

static void entry_is_refused(Fixture *f, gconstpointer data)
{
    uint64_t rec = f->r.rec[0], run = FAKE_NS_RUN(0);
    RmiRecRun *page = fake_run(f->m, 0);
    FakeRealm fresh;

    fake_refused(f->m, CALL(f, RMI_REC_ENTER, rec, run + 8),
                 RMI_ERROR_INPUT);
    fake_refused(f->m, CALL(f, RMI_REC_ENTER, rec, f->r.rd),
                 RMI_ERROR_INPUT);
    fake_refused(f->m, CALL(f, RMI_REC_ENTER, f->r.rd, run),
                 RMI_ERROR_INPUT);
    /* Turned off. */
    fake_refused(f->m, CALL(f, RMI_REC_ENTER, f->r.rec[1], run),
                 RMI_ERROR_REC);
    page->enter.gicv3_hcr = 1ull << 31;
    fake_refused(f->m, CALL(f, RMI_REC_ENTER, rec, run), RMI_ERROR_REC);
    page->enter.gicv3_hcr = 0;
    page->enter.flags = RMI_ENTER_EMUL_MMIO;
    fake_refused(f->m, CALL(f, RMI_REC_ENTER, rec, run), RMI_ERROR_REC);
    page->enter.flags = RMI_ENTER_INJECT_SEA;
    fake_refused(f->m, CALL(f, RMI_REC_ENTER, rec, run), RMI_ERROR_REC);
    page->enter.flags |= RMI_ENTER_EMUL_MMIO;
    fake_refused(f->m, CALL(f, RMI_REC_ENTER, rec, run), RMI_ERROR_REC);
    page->enter.flags = 0;
    /* Not active. */
    fresh = fake_realm_new(f->m);
    fake_rec(f->m, &fresh, RMI_REC_RUNNABLE, 0);
    fake_refused(f->m, CALL(f, RMI_REC_ENTER, fresh.rec[0], run),
                 RMI_ERROR_REALM);
    g_assert_cmpint(f->pe.world, ==, RMM_WORLD_HOST);
}

static void a_running_rec_is_not_touched(Fixture *f, gconstpointer data)
{
    fake_enter(f->m, &f->pe, &f->r, 0);
    fake_refused(f->m, fake_call(f->m, RMI_REC_ENTER, f->r.rec[0],
                                 FAKE_NS_RUN(1)), RMI_ERROR_REC);
    fake_refused(f->m, fake_call(f->m, RMI_REC_DESTROY, f->r.rec[0]),
                 RMI_ERROR_REC);
    fake_refused(f->m, fake_call(f->m, RMI_RTT_SET_RIPAS, f->r.rd,
                                 f->r.rec[0], 0, 0x1000), RMI_ERROR_REC);
}

static void rec_creation_is_refused(Fixture *f, gconstpointer data)
{
    RmiRecParams *params = fake_ns(f->m, FAKE_NS_PARAMS);
    FakeRealm r = fake_realm_new(f->m);
    uint64_t pa = fake_granule(f->m), ns = fake_granule_ns(f->m);
    static const uint64_t bad_mpidr[] = { 1, 0x10, 0x100, 1ull << 32, ~0ull };
    size_t i;

    memset(params, 0, sizeof(*params));
    for (i = 0; i < G_N_ELEMENTS(bad_mpidr); i++) {
        params->mpidr = bad_mpidr[i];
        fake_refused(f->m, CALL(f, RMI_REC_CREATE, r.rd, pa, FAKE_NS_PARAMS),
                     RMI_ERROR_INPUT);
    }
    params->mpidr = 0;
    for (i = 1; i < 18; i += 16) {
        params->num_aux = i;
        fake_refused(f->m, CALL(f, RMI_REC_CREATE, r.rd, pa, FAKE_NS_PARAMS),
                     RMI_ERROR_INPUT);
    }
    params->num_aux = 0;
    fake_refused(f->m, CALL(f, RMI_REC_CREATE, r.rd, ns, FAKE_NS_PARAMS),
                 RMI_ERROR_INPUT);
    fake_refused(f->m, CALL(f, RMI_REC_CREATE, pa, pa, FAKE_NS_PARAMS),
                 RMI_ERROR_INPUT);
    fake_refused(f->m, CALL(f, RMI_REC_CREATE, r.rd, pa, pa),
                 RMI_ERROR_INPUT);
    /* An active Realm gets no more. */
    params->mpidr = 2;
    fake_refused(f->m, CALL(f, RMI_REC_CREATE, f->r.rd, pa, FAKE_NS_PARAMS),
                 RMI_ERROR_REALM);
    g_assert_cmphex(CALL(f, RMI_REC_AUX_COUNT, r.rd), ==, RMI_SUCCESS);
    g_assert_cmphex(f->pe.x[1], ==, 0);
    fake_refused(f->m, CALL(f, RMI_REC_AUX_COUNT, pa), RMI_ERROR_INPUT);
}

/* RMM 1.0, B4.3.12.2: as many as exist at a time, and no index twice. */
static void a_realm_has_1023_recs_at_most(Fixture *f, gconstpointer data)
{
    FakeMachine *m = fake_machine_new(1200);
    RmiRecParams *params = fake_ns(m, FAKE_NS_PARAMS);
    FakeRealm r = fake_realm_new(m);
    uint64_t first = 0, spare;
    unsigned i;

    memset(params, 0, sizeof(*params));
    for (i = 0; i < 1023; i++) {
        uint64_t pa = fake_granule(m);

        params->mpidr = rec_index_to_mpidr(i);
        g_assert_cmphex(fake_call(m, RMI_REC_CREATE, r.rd, pa,
                                  FAKE_NS_PARAMS), ==, RMI_SUCCESS);
        first = first ?: pa;
    }
    spare = fake_granule(m);
    params->mpidr = rec_index_to_mpidr(1023);
    fake_refused(m, fake_call(m, RMI_REC_CREATE, r.rd, spare,
                              FAKE_NS_PARAMS), RMI_ERROR_REALM);
    g_assert_cmphex(fake_call(m, RMI_REC_DESTROY, first), ==, RMI_SUCCESS);
    params->mpidr = 0;
    fake_refused(m, fake_call(m, RMI_REC_CREATE, r.rd, spare,
                              FAKE_NS_PARAMS), RMI_ERROR_INPUT);
    params->mpidr = rec_index_to_mpidr(1023);
    g_assert_cmphex(fake_call(m, RMI_REC_CREATE, r.rd, spare,
                              FAKE_NS_PARAMS), ==, RMI_SUCCESS);
    fake_refused(m, fake_call(m, RMI_REC_CREATE, r.rd, first,
                              FAKE_NS_PARAMS), RMI_ERROR_REALM);
    fake_machine_free(m);
}

static void mpidr_and_index_are_inverse(Fixture *f, gconstpointer data)
{
    uint32_t i, index;

    for (i = 0; i < RMM_MAX_RECS; i++) {
        g_assert_true(rec_mpidr_to_index(rec_index_to_mpidr(i), &index));
        g_assert_cmpuint(index, ==, i);
    }
    g_assert_cmphex(rec_index_to_mpidr(17), ==, 0x101);
    g_assert_false(rec_mpidr_to_index(0x11, &index));
}

static void an_unknown_smc_answers_not_supported(Fixture *f,
                                                 gconstpointer data)
{
    static const uint64_t fids[] = {
        RMI_VERSION, RMI_REC_ENTER, RMM_MIG_FID_FIRST, 0xC400019A, 0, ~0ull,
        0x84000005, 0xC4000002,
    };
    size_t i;

    fake_enter(f->m, &f->pe, &f->r, 0);
    for (i = 0; i < G_N_ELEMENTS(fids); i++) {
        fake_refused(f->m, CALL(f, fids[i], 1, 2), SMCCC_NOT_SUPPORTED);
        g_assert_cmphex(f->pe.x[2], ==, 2);
        assert_in_realm(f);
    }
}

static void rsi_version_and_features_are_as_linux_expects(Fixture *f,
                                                          gconstpointer data)
{
    fake_enter(f->m, &f->pe, &f->r, 0);
    g_assert_cmphex(CALL(f, RSI_VERSION, 0x10000), ==, RSI_SUCCESS);
    g_assert_cmphex(f->pe.x[1], ==, 0x10000);
    g_assert_cmphex(CALL(f, RSI_VERSION | SMCCC_SVE_HINT, 0x10000), ==,
                    RSI_SUCCESS);
    g_assert_cmphex(CALL(f, RSI_VERSION, 0x10001), ==, RSI_ERROR_INPUT);
    g_assert_cmphex(f->pe.x[2], ==, 0x10000);
    g_assert_cmphex(CALL(f, RSI_FEATURES, 0), ==, RSI_SUCCESS);
    g_assert_cmphex(f->pe.x[1], ==, 0);
    g_assert_cmphex(CALL(f, RSI_ATTESTATION_TOKEN_CONTINUE, 0, 0, 0), ==,
                    RSI_ERROR_STATE);
    g_assert_cmphex(CALL(f, RSI_ATTESTATION_TOKEN_INIT, 0), ==,
                    RSI_ERROR_UNKNOWN);
}

static void measurements_have_five_slots(Fixture *f, gconstpointer data)
{
    fake_enter(f->m, &f->pe, &f->r, 0);
    g_assert_cmphex(CALL(f, RSI_MEASUREMENT_READ, 0), ==, RSI_SUCCESS);
    g_assert_cmphex(f->pe.x[1], !=, 0);
    g_assert_cmphex(f->pe.x[5], ==, 0);         /* SHA-256: padded */
    g_assert_cmphex(CALL(f, RSI_MEASUREMENT_READ, 4), ==, RSI_SUCCESS);
    g_assert_cmphex(f->pe.x[1], ==, 0);
    fake_refused(f->m, CALL(f, RSI_MEASUREMENT_READ, 5), RSI_ERROR_INPUT);
    fake_refused(f->m, CALL(f, RSI_MEASUREMENT_EXTEND, 0, 8),
                 RSI_ERROR_INPUT);
    fake_refused(f->m, CALL(f, RSI_MEASUREMENT_EXTEND, 5, 8),
                 RSI_ERROR_INPUT);
    fake_refused(f->m, CALL(f, RSI_MEASUREMENT_EXTEND, 1, 65),
                 RSI_ERROR_INPUT);
    g_assert_cmphex(CALL(f, RSI_MEASUREMENT_EXTEND, 4, 64), ==, RSI_SUCCESS);
}

static void realm_config_tells_width_hash_and_rpv(Fixture *f,
                                                  gconstpointer data)
{
    RsiRealmConfig *config = realm_page(f, IPA_BUFFER);

    fake_enter(f->m, &f->pe, &f->r, 0);
    g_assert_cmphex(CALL(f, RSI_REALM_CONFIG, IPA_BUFFER), ==, RSI_SUCCESS);
    g_assert_cmphex(config->ipa_width, ==, 33);
    g_assert_cmphex(config->hash_algo, ==, RMI_HASH_SHA_256);
    g_assert_cmphex(config->rpv[63], ==, 0xa5);
    g_assert_cmphex(config->res_010[0], ==, 0);
    fake_refused(f->m, CALL(f, RSI_REALM_CONFIG, IPA_BUFFER + 8),
                 RSI_ERROR_INPUT);
    fake_refused(f->m, CALL(f, RSI_REALM_CONFIG, 1ull << 32),
                 RSI_ERROR_INPUT);
    fake_refused(f->m, CALL(f, RSI_REALM_CONFIG, IPA_NO_RAM),
                 RSI_ERROR_INPUT);
}

/* RAM without a page: the host has to help, and the call is made again. */
static void a_buffer_without_a_page_exits_and_retries(Fixture *f,
                                                      gconstpointer data)
{
    uint64_t ipa = 0x1f000, pc;

    fake_enter(f->m, &f->pe, &f->r, 0);
    pc = f->pe.pc;
    CALL(f, RSI_REALM_CONFIG, ipa);
    assert_exited(f, RMI_EXIT_SYNC);
    g_assert_cmphex(fake_run(f->m, 0)->exit.hpfar, ==, ipa >> 12 << 4);
    g_assert_cmphex(fake_run(f->m, 0)->exit.esr, ==, 0x24ull << 26 | 7);
    fake_data_unknown(f->m, &f->r, ipa, 1);
    fake_enter(f->m, &f->pe, &f->r, 0);
    g_assert_cmphex(f->pe.pc, ==, pc);
    g_assert_cmphex(f->pe.x[0], ==, RSI_REALM_CONFIG);
    g_assert_cmphex(f->pe.x[1], ==, ipa);
    g_assert_cmphex(CALL(f, RSI_REALM_CONFIG, ipa), ==, RSI_SUCCESS);
}

static void a_host_call_goes_out_and_comes_back(Fixture *f,
                                                gconstpointer data)
{
    RsiHostCall *call = realm_page(f, IPA_BUFFER + 0x100);
    RmiRecRun *run = fake_run(f->m, 0);
    unsigned i;

    call->imm = 0x500031234;
    for (i = 0; i < 31; i++) {
        call->gprs[i] = 1000 + i;
        run->enter.gprs[i] = 2000 + i;
    }
    fake_enter(f->m, &f->pe, &f->r, 0);
    CALL(f, RSI_HOST_CALL, IPA_BUFFER + 0x100);
    assert_exited(f, RMI_EXIT_HOST_CALL);
    g_assert_cmphex(run->exit.imm, ==, 0x1234);         /* 16 bits */
    g_assert_cmphex(run->exit.gprs[30], ==, 1030);
    fake_enter(f->m, &f->pe, &f->r, 0);
    g_assert_cmphex(f->pe.x[0], ==, RSI_SUCCESS);
    g_assert_cmphex(f->pe.x[1], ==, 0);                 /* no output */
    g_assert_cmphex(call->gprs[0], ==, 2000);
    g_assert_cmphex(call->gprs[30], ==, 2030);
    g_assert_cmphex(call->imm, ==, 0x500031234);
    fake_refused(f->m, CALL(f, RSI_HOST_CALL, IPA_BUFFER + 0x80),
                 RSI_ERROR_INPUT);
    fake_refused(f->m, CALL(f, RSI_HOST_CALL, IPA_NO_RAM), RSI_ERROR_INPUT);
}

static uint64_t buffer_pa, told_gprs[31];

static void told_of_a_page(void *opaque, uint64_t pa, size_t len)
{
    buffer_pa = pa;
    g_assert_cmpuint(len, ==, sizeof(told_gprs));
    memcpy(told_gprs, fake_host(opaque, pa), len);
}

static void the_machine_is_told_what_a_realm_gets_in_its_page(
    Fixture *f, gconstpointer data)
{
    RmiRecRun *run = fake_run(f->m, 0);

    f->m->rmm->ops.granule_written = told_of_a_page;
    buffer_pa = 0;
    fake_enter(f->m, &f->pe, &f->r, 0);
    CALL(f, RSI_HOST_CALL, IPA_BUFFER + 0x100);
    g_assert_cmphex(buffer_pa, ==, 0);          /* it was read */
    run->enter.gprs[30] = 0x42;
    fake_enter(f->m, &f->pe, &f->r, 0);
    g_assert_cmphex(buffer_pa % 0x1000, ==, 0x108);
    g_assert_cmphex(told_gprs[30], ==, 0x42);
}

static void a_host_call_buffer_taken_away_exits_again(Fixture *f,
                                                      gconstpointer data)
{
    fake_enter(f->m, &f->pe, &f->r, 0);
    CALL(f, RSI_HOST_CALL, IPA_BUFFER);
    g_assert_cmphex(fake_call(f->m, RMI_DATA_DESTROY, f->r.rd, IPA_BUFFER),
                    ==, RMI_SUCCESS);
    g_assert_cmphex(CALL(f, RMI_REC_ENTER, f->r.rec[0], FAKE_NS_RUN(0)), ==,
                    RMI_SUCCESS);
    assert_exited(f, RMI_EXIT_SYNC);
}

/* RMM 1.0, A5.2.9: no exit because of memory that is EMPTY. */
static void a_host_call_buffer_made_empty_does_not_stop_the_realm(
    Fixture *f, gconstpointer data)
{
    const uint64_t *buffer = realm_page(f, IPA_BUFFER);
    RmmPe other = { 0 };

    CALL(f, RMI_REC_ENTER, f->r.rec[0], FAKE_NS_RUN(0));
    CALL(f, PSCI_FID_CPU_ON, 1, 0x8000, 0);
    CALL(f, RMI_PSCI_COMPLETE, f->r.rec[0], f->r.rec[1], PSCI_SUCCESS);
    fake_enter(f->m, &f->pe, &f->r, 0);
    CALL(f, RSI_HOST_CALL, IPA_BUFFER);
    assert_exited(f, RMI_EXIT_HOST_CALL);

    fake_enter(f->m, &other, &f->r, 1);
    fake_call_pe(f->m, &other, RSI_IPA_STATE_SET,
                 (uint64_t[]) { IPA_BUFFER, IPA_BUFFER + 0x1000 }, 2);
    g_assert_cmphex(CALL(f, RMI_RTT_SET_RIPAS, f->r.rd, f->r.rec[1],
                         IPA_BUFFER, IPA_BUFFER + 0x1000), ==, RMI_SUCCESS);

    memset(fake_run(f->m, 0)->enter.gprs, 0x99,
           sizeof(fake_run(f->m, 0)->enter.gprs));
    fake_enter(f->m, &f->pe, &f->r, 0);
    g_assert_cmphex(f->pe.x[0], ==, RSI_SUCCESS);
    g_assert_cmphex(f->pe.pc, ==, 0x1008);
    g_assert_false(f->pe.inject.pending);
    g_assert_cmphex(buffer[1], ==, 0x1111111111111111);
}

/* RMM 1.0, A5.4: ask, let the host do a part, see how far it got. */
static void a_ripas_change_goes_as_far_as_the_host_does(Fixture *f,
                                                        gconstpointer data)
{
    RmiRecExit *exit = &fake_run(f->m, 0)->exit;

    fake_enter(f->m, &f->pe, &f->r, 0);
    CALL(f, RSI_IPA_STATE_SET, 0x2000, 0x6000, RMI_RIPAS_EMPTY, 0);
    assert_exited(f, RMI_EXIT_RIPAS_CHANGE);
    g_assert_cmphex(exit->ripas_base, ==, 0x2000);
    g_assert_cmphex(exit->ripas_top, ==, 0x6000);
    g_assert_cmphex(exit->ripas_value, ==, RMI_RIPAS_EMPTY);
    g_assert_cmphex(CALL(f, RMI_RTT_SET_RIPAS, f->r.rd, f->r.rec[0], 0x2000,
                         0x4000), ==, RMI_SUCCESS);
    g_assert_cmphex(f->pe.x[1], ==, 0x4000);
    fake_enter(f->m, &f->pe, &f->r, 0);
    g_assert_cmphex(f->pe.x[0], ==, RSI_SUCCESS);
    g_assert_cmphex(f->pe.x[1], ==, 0x4000);
    g_assert_cmphex(f->pe.x[2], ==, RSI_ACCEPT);
    g_assert_cmphex(CALL(f, RSI_IPA_STATE_GET, 0x2000, 0x10000), ==,
                    RSI_SUCCESS);
    g_assert_cmphex(f->pe.x[1], ==, 0x4000);
    g_assert_cmphex(f->pe.x[2], ==, RMI_RIPAS_EMPTY);
}

/* RMM 1.0, B3.75 and B4.3.21.3, and TF-RMM: whole entries of any contents. */
static void a_ripas_change_stops_at_an_entry_that_does_not_fit(
    Fixture *f, gconstpointer data)
{
    uint64_t rd = f->r.rd, rec = f->r.rec[0];

    /* All of it is EMPTY, in entries of 2 MiB. */
    fake_enter(f->m, &f->pe, &f->r, 0);
    CALL(f, RSI_IPA_STATE_SET, 0x200000, 0x405000, RMI_RIPAS_EMPTY, 0);
    g_assert_cmphex(CALL(f, RMI_RTT_SET_RIPAS, rd, rec, 0x200000, 0x405000),
                    ==, RMI_SUCCESS);
    g_assert_cmphex(f->pe.x[1], ==, 0x400000);
    fake_refused(f->m, CALL(f, RMI_RTT_SET_RIPAS, rd, rec, 0x400000,
                            0x405000), RMI_RESULT(RMI_ERROR_RTT, 2));
    fake_enter(f->m, &f->pe, &f->r, 0);
    g_assert_cmphex(f->pe.x[0], ==, RSI_SUCCESS);
    g_assert_cmphex(f->pe.x[1], ==, 0x400000);
    g_assert_cmphex(f->pe.x[2], ==, RSI_ACCEPT);

    CALL(f, RSI_IPA_STATE_SET, 0x401000, 0x800000, RMI_RIPAS_EMPTY, 0);
    fake_refused(f->m, CALL(f, RMI_RTT_SET_RIPAS, rd, rec, 0x401000,
                            0x800000), RMI_RESULT(RMI_ERROR_RTT, 2));
    g_assert_cmphex(fake_call(f->m, RMI_RTT_CREATE, rd, fake_granule(f->m),
                              0x400000, 3), ==, RMI_SUCCESS);
    g_assert_cmphex(CALL(f, RMI_RTT_SET_RIPAS, rd, rec, 0x401000, 0x800000),
                    ==, RMI_SUCCESS);
    g_assert_cmphex(f->pe.x[1], ==, 0x600000);
}

/*
 * The text: base < top of the run <= top, all of it with that RIPAS.  How
 * far the run goes beyond that is open; here, to the end of a table.
 */
static void a_run_of_ipa_state_get_is_all_of_one_ripas(Fixture *f,
                                                       gconstpointer data)
{
    static const struct {
        uint64_t base, top, want_top;
        unsigned want;
    } runs[] = {
        { 0, 0x1000, 0x1000, RMI_RIPAS_RAM },
        { 0x1f000, 0x30000, 0x20000, RMI_RIPAS_RAM },
        { 0x20000, 0x40000, 0x40000, RMI_RIPAS_EMPTY },
        { 0x20000, 0x400000, 0x200000, RMI_RIPAS_EMPTY },   /* its table */
        { 0x200000, 0x600000, 0x600000, RMI_RIPAS_EMPTY },  /* blocks */
        { 0x201000, 0x202000, 0x202000, RMI_RIPAS_EMPTY },  /* inside one */
        { 0x3ff000, 0x401000, 0x401000, RMI_RIPAS_EMPTY },
    };
    size_t i;

    fake_enter(f->m, &f->pe, &f->r, 0);
    for (i = 0; i < G_N_ELEMENTS(runs); i++) {
        g_assert_cmphex(CALL(f, RSI_IPA_STATE_GET, runs[i].base, runs[i].top),
                        ==, RSI_SUCCESS);
        g_assert_cmphex(f->pe.x[1], ==, runs[i].want_top);
        g_assert_cmphex(f->pe.x[2], ==, runs[i].want);
    }
}

static void only_a_refused_change_to_ram_is_a_reject(Fixture *f,
                                                     gconstpointer data)
{
    unsigned ripas;

    fake_enter(f->m, &f->pe, &f->r, 0);
    for (ripas = 0; ripas < 2; ripas++) {
        CALL(f, RSI_IPA_STATE_SET, IPA_NO_RAM, IPA_NO_RAM + 0x1000, ripas, 0);
        fake_run(f->m, 0)->enter.flags = RMI_ENTER_RIPAS_REJECT;
        fake_enter(f->m, &f->pe, &f->r, 0);
        g_assert_cmphex(f->pe.x[1], ==, IPA_NO_RAM);
        g_assert_cmphex(f->pe.x[2], ==, ripas == RMI_RIPAS_RAM ? RSI_REJECT
                                                               : RSI_ACCEPT);
    }
}

static void the_host_sets_what_was_asked_and_no_more(Fixture *f,
                                                     gconstpointer data)
{
    uint64_t rd = f->r.rd, rec = f->r.rec[0];
    FakeRealm other = fake_realm_new(f->m);

    fake_refused(f->m, CALL(f, RMI_RTT_SET_RIPAS, rd, rec, 0, 0x1000),
                 RMI_ERROR_INPUT);
    fake_enter(f->m, &f->pe, &f->r, 0);
    /* The range comes before what runs, as in TF-RMM. */
    fake_refused(f->m, fake_call(f->m, RMI_RTT_SET_RIPAS, rd, rec, 0, 0x1000),
                 RMI_ERROR_REC);
    fake_refused(f->m, fake_call(f->m, RMI_RTT_SET_RIPAS, rd, rec, 0, 0),
                 RMI_ERROR_INPUT);
    CALL(f, RSI_IPA_STATE_SET, 0x2000, 0x6000, RMI_RIPAS_EMPTY, 0);
    fake_refused(f->m, CALL(f, RMI_RTT_SET_RIPAS, rd, rec, 0x3000, 0x6000),
                 RMI_ERROR_INPUT);
    fake_refused(f->m, CALL(f, RMI_RTT_SET_RIPAS, rd, rec, 0x2000, 0x7000),
                 RMI_ERROR_INPUT);
    fake_refused(f->m, CALL(f, RMI_RTT_SET_RIPAS, rd, rec, 0x2000, 0x2000),
                 RMI_ERROR_INPUT);
    fake_refused(f->m, CALL(f, RMI_RTT_SET_RIPAS, rd, rec, 0x2000, 0x2800),
                 RMI_ERROR_INPUT);
    fake_refused(f->m, CALL(f, RMI_RTT_SET_RIPAS, other.rd, rec, 0x2000,
                            0x6000), RMI_ERROR_REC);
    fake_refused(f->m, CALL(f, RMI_RTT_SET_RIPAS, rd, f->r.rec[1], 0, 0x1000),
                 RMI_ERROR_INPUT);
    g_assert_cmphex(CALL(f, RMI_RTT_SET_RIPAS, rd, rec, 0x2000, 0x6000), ==,
                    RMI_SUCCESS);
    fake_refused(f->m, CALL(f, RMI_RTT_SET_RIPAS, rd, rec, 0x6000, 0x7000),
                 RMI_ERROR_INPUT);
}

static void ipa_state_calls_check_their_range(Fixture *f, gconstpointer data)
{
    static const uint64_t bad[][2] = {
        { 0x800, 0x2000 }, { 0, 0x800 }, { 0x2000, 0x2000 },
        { 0x2000, 0x1000 }, { 0, 0x100001000 }, { 0x100000000, 0x100001000 },
        { 0, ~0ull & ~0xfffull },
    };
    size_t i;

    fake_enter(f->m, &f->pe, &f->r, 0);
    for (i = 0; i < G_N_ELEMENTS(bad); i++) {
        fake_refused(f->m, CALL(f, RSI_IPA_STATE_SET, bad[i][0], bad[i][1],
                                RMI_RIPAS_RAM, 0), RSI_ERROR_INPUT);
        fake_refused(f->m, CALL(f, RSI_IPA_STATE_GET, bad[i][0], bad[i][1]),
                     RSI_ERROR_INPUT);
    }
    fake_refused(f->m, CALL(f, RSI_IPA_STATE_SET, 0, 0x1000,
                            RMI_RIPAS_DESTROYED, 0), RSI_ERROR_INPUT);
    assert_in_realm(f);
    /* RsiRipas is eight bits wide. */
    CALL(f, RSI_IPA_STATE_SET, 0, 0x1000, ~0xffull | RMI_RIPAS_RAM, 0);
    assert_exited(f, RMI_EXIT_RIPAS_CHANGE);
    g_assert_cmphex(fake_run(f->m, 0)->exit.ripas_value, ==, RMI_RIPAS_RAM);
}

static void a_destroyed_page_comes_back_only_if_the_realm_says_so(
    Fixture *f, gconstpointer data)
{
    uint64_t rd = f->r.rd, rec = f->r.rec[0];
    unsigned ripas;

    for (ripas = 0; ripas < 2; ripas++) {
        uint64_t ipa = 0x3000 + ripas * 0x1000;

        g_assert_cmphex(CALL(f, RMI_DATA_DESTROY, rd, ipa), ==, RMI_SUCCESS);
        fake_enter(f->m, &f->pe, &f->r, 0);
        CALL(f, RSI_IPA_STATE_SET, ipa, ipa + 0x1000, ripas, 0);
        fake_refused(f->m, CALL(f, RMI_RTT_SET_RIPAS, rd, rec, ipa,
                                ipa + 0x1000), RMI_RESULT(RMI_ERROR_RTT, 3));
        fake_enter(f->m, &f->pe, &f->r, 0);
        CALL(f, RSI_IPA_STATE_SET, ipa, ipa + 0x1000, ripas,
             RSI_CHANGE_DESTROYED);
        g_assert_cmphex(CALL(f, RMI_RTT_SET_RIPAS, rd, rec, ipa,
                             ipa + 0x1000), ==, RMI_SUCCESS);
        fake_enter(f->m, &f->pe, &f->r, 0);
        g_assert_cmphex(CALL(f, RSI_IPA_STATE_GET, ipa, ipa + 0x1000), ==,
                        RSI_SUCCESS);
        g_assert_cmphex(f->pe.x[2], ==, ripas);
        take_interrupt(f->m->rmm, &f->pe);
    }
}

static void psci_is_1_1_over_smccc_1_2(Fixture *f, gconstpointer data)
{
    static const uint64_t known[] = {
        SMCCC_FID_VERSION, PSCI_FID_VERSION, PSCI_FID_CPU_ON, PSCI_FID_32(3),
        PSCI_FID_CPU_SUSPEND, PSCI_FID_CPU_OFF, PSCI_FID_AFFINITY_INFO,
        PSCI_FID_SYSTEM_OFF, PSCI_FID_SYSTEM_RESET, PSCI_FID_FEATURES,
    };
    size_t i;

    fake_enter(f->m, &f->pe, &f->r, 0);
    g_assert_cmphex(CALL(f, PSCI_FID_VERSION, 0), ==, 0x10001);
    g_assert_cmphex(CALL(f, SMCCC_FID_VERSION, 0), ==, 0x10002);
    g_assert_cmphex(CALL(f, SMCCC_FID_ARCH_FEATURES, 0x80008000), ==, ~0ull);
    for (i = 0; i < G_N_ELEMENTS(known); i++) {
        g_assert_cmphex(CALL(f, PSCI_FID_FEATURES, known[i]), ==, 0);
    }
    g_assert_cmphex(CALL(f, PSCI_FID_FEATURES, 0x84000005), ==, ~0ull);
    assert_in_realm(f);
}

static void cpu_on(Fixture *f, uint64_t mpidr)
{
    fake_enter(f->m, &f->pe, &f->r, 0);
    CALL(f, PSCI_FID_CPU_ON, mpidr, 0x8000, 0x77);
    assert_exited(f, RMI_EXIT_PSCI);
}

static void cpu_on_starts_the_target_when_the_host_agrees(Fixture *f,
                                                          gconstpointer data)
{
    RmiRecExit *exit = &fake_run(f->m, 0)->exit;
    uint64_t a = f->r.rec[0], b = f->r.rec[1];
    RmmPe other = { 0 };

    cpu_on(f, 1);
    g_assert_cmphex(exit->gprs[0], ==, PSCI_FID_CPU_ON);
    g_assert_cmphex(exit->gprs[1], ==, 1);
    g_assert_cmphex(exit->gprs[2], ==, 0x8000);
    g_assert_cmphex(exit->gprs[3], ==, 0x77);
    /* Not before the host has spoken, and not with another answer. */
    fake_refused(f->m, CALL(f, RMI_REC_ENTER, a, FAKE_NS_RUN(0)),
                 RMI_ERROR_REC);
    fake_refused(f->m, CALL(f, RMI_PSCI_COMPLETE, a, a, 0), RMI_ERROR_INPUT);
    fake_refused(f->m, CALL(f, RMI_PSCI_COMPLETE, b, a, 0), RMI_ERROR_INPUT);
    fake_refused(f->m, CALL(f, RMI_PSCI_COMPLETE, a, b, 1), RMI_ERROR_INPUT);
    fake_refused(f->m, CALL(f, RMI_PSCI_COMPLETE, a, b, PSCI_ALREADY_ON),
                 RMI_ERROR_INPUT);
    fake_refused(f->m, CALL(f, RMI_PSCI_COMPLETE, a, f->r.rd, 0),
                 RMI_ERROR_INPUT);
    g_assert_cmphex(CALL(f, RMI_PSCI_COMPLETE, a, b, PSCI_SUCCESS), ==,
                    RMI_SUCCESS);
    fake_refused(f->m, CALL(f, RMI_PSCI_COMPLETE, a, b, 0), RMI_ERROR_INPUT);
    fake_enter(f->m, &f->pe, &f->r, 0);
    g_assert_cmphex(f->pe.x[0], ==, PSCI_SUCCESS);
    fake_enter(f->m, &other, &f->r, 1);
    g_assert_cmphex(other.pc, ==, 0x8000);
    g_assert_cmphex(other.x[0], ==, 0x77);
    g_assert_cmphex(other.x[7], ==, 0);
    take_interrupt(f->m->rmm, &other);
    take_interrupt(f->m->rmm, &f->pe);
}

static void the_host_may_deny_what_is_off_only(Fixture *f,
                                               gconstpointer data)
{
    uint64_t a = f->r.rec[0], b = f->r.rec[1];

    cpu_on(f, 1);
    g_assert_cmphex(CALL(f, RMI_PSCI_COMPLETE, a, b, PSCI_DENIED), ==,
                    RMI_SUCCESS);
    fake_enter(f->m, &f->pe, &f->r, 0);
    g_assert_cmphex(f->pe.x[0], ==, PSCI_DENIED);
    take_interrupt(f->m->rmm, &f->pe);
    cpu_on(f, 1);
    CALL(f, RMI_PSCI_COMPLETE, a, b, PSCI_SUCCESS);
    cpu_on(f, 1);
    fake_refused(f->m, CALL(f, RMI_PSCI_COMPLETE, a, b, PSCI_DENIED),
                 RMI_ERROR_INPUT);
    CALL(f, RMI_PSCI_COMPLETE, a, b, PSCI_SUCCESS);
    fake_enter(f->m, &f->pe, &f->r, 0);
    g_assert_cmphex(f->pe.x[0], ==, PSCI_ALREADY_ON);
}

/* RmmPlatform.as_tf_rmm: the text has no effect of a call that fails. */
static void a_refusal_answers_the_caller_as_with_tf_rmm(Fixture *f,
                                                        gconstpointer data)
{
    uint64_t a = f->r.rec[0], b = f->r.rec[1];

    f->m->rmm->platform.as_tf_rmm = true;
    /* A permitted one is as always, and one for nobody has no effect. */
    cpu_on(f, 1);
    fake_refused(f->m, CALL(f, RMI_PSCI_COMPLETE, a, b, PSCI_ALREADY_ON),
                 RMI_ERROR_INPUT);
    g_assert_cmphex(CALL(f, RMI_PSCI_COMPLETE, a, b, PSCI_DENIED), ==,
                    RMI_SUCCESS);
    cpu_on(f, 1);
    CALL(f, RMI_PSCI_COMPLETE, a, b, PSCI_SUCCESS);
    /* The target is on. */
    cpu_on(f, 1);
    g_assert_cmphex(CALL(f, RMI_PSCI_COMPLETE, a, b, PSCI_DENIED), ==,
                    RMI_ERROR_INPUT);
    fake_enter(f->m, &f->pe, &f->r, 0);
    g_assert_cmphex(f->pe.x[0], ==, PSCI_ALREADY_ON);
    /* Of AFFINITY_INFO nothing can be denied. */
    CALL(f, PSCI_FID_AFFINITY_INFO, 1, 0);
    fake_refused(f->m, CALL(f, RMI_PSCI_COMPLETE, a, b, PSCI_DENIED),
                 RMI_ERROR_INPUT);
    CALL(f, RMI_PSCI_COMPLETE, a, b, PSCI_SUCCESS);
}

static void cpu_on_checks_its_arguments(Fixture *f, gconstpointer data)
{
    fake_enter(f->m, &f->pe, &f->r, 0);
    g_assert_cmphex(CALL(f, PSCI_FID_CPU_ON, 1, 1ull << 32, 0), ==,
                    PSCI_INVALID_ADDRESS);
    g_assert_cmphex(CALL(f, PSCI_FID_CPU_ON, 2, 0x1000, 0), ==,
                    PSCI_INVALID_PARAMETERS);
    g_assert_cmphex(CALL(f, PSCI_FID_CPU_ON, 0x11, 0x1000, 0), ==,
                    PSCI_INVALID_PARAMETERS);
    g_assert_cmphex(CALL(f, PSCI_FID_CPU_ON, 0, 0x1000, 0), ==,
                    PSCI_ALREADY_ON);
    /* SMC32: the upper halves do not count. */
    g_assert_cmphex(CALL(f, PSCI_FID_32(3), 1ull << 32, 0x1000, 0), ==,
                    PSCI_ALREADY_ON);
    g_assert_cmphex(CALL(f, PSCI_FID_AFFINITY_INFO, 1, 1), ==,
                    PSCI_INVALID_PARAMETERS);
    g_assert_cmphex(CALL(f, PSCI_FID_AFFINITY_INFO, 2, 0), ==,
                    PSCI_INVALID_PARAMETERS);
    g_assert_cmphex(CALL(f, PSCI_FID_AFFINITY_INFO, 0, 0), ==,
                    PSCI_AFFINITY_ON);
    assert_in_realm(f);
}

/* MPIDR_EL1 has bit 31 set; lowest_affinity_level is 32 bits wide. */
static void a_target_is_named_as_mpidr_el1_reads(Fixture *f,
                                                 gconstpointer data)
{
    fake_enter(f->m, &f->pe, &f->r, 0);
    g_assert_cmphex(CALL(f, PSCI_FID_CPU_ON, 1ull << 31, 0x1000, 0), ==,
                    PSCI_ALREADY_ON);
    g_assert_cmphex(CALL(f, PSCI_FID_AFFINITY_INFO, 1ull << 31, 1ull << 32),
                    ==, PSCI_AFFINITY_ON);
    g_assert_cmphex(CALL(f, PSCI_FID_CPU_ON, 1ull << 40, 0x1000, 0), ==,
                    PSCI_INVALID_PARAMETERS);
    CALL(f, PSCI_FID_CPU_ON, 1ull << 31 | 1, 0x8000, 0);
    assert_exited(f, RMI_EXIT_PSCI);
    g_assert_cmphex(CALL(f, RMI_PSCI_COMPLETE, f->r.rec[0], f->r.rec[1],
                         PSCI_SUCCESS), ==, RMI_SUCCESS);
    fake_enter(f->m, &f->pe, &f->r, 0);
    g_assert_cmphex(f->pe.x[0], ==, PSCI_SUCCESS);
}

/* Bits 39:32 of MPIDR_EL1, 31:24 of RmiRecMpidr. */
static void aff3_stands_where_each_interface_has_it(Fixture *f,
                                                    gconstpointer data)
{
    RmiRecParams *params = fake_ns(f->m, FAKE_NS_PARAMS);
    FakeRealm r = fake_realm_new(f->m);
    RmmPe pe = { 0 };

    fake_ram(f->m, &r, 0, 0x1000);
    fake_rec(f->m, &r, RMI_REC_RUNNABLE, 0);
    fake_realm_object(f->m, &r)->next_index = 1 << 20;
    r.rec[1] = fake_granule(f->m);
    memset(params, 0, sizeof(*params));
    params->mpidr = 1 << 24;
    g_assert_cmphex(CALL(f, RMI_REC_CREATE, r.rd, r.rec[1], FAKE_NS_PARAMS),
                    ==, RMI_SUCCESS);
    g_assert_cmphex(CALL(f, RMI_REALM_ACTIVATE, r.rd), ==, RMI_SUCCESS);
    fake_enter(f->m, &pe, &r, 0);
    g_assert_cmphex(fake_call_pe(f->m, &pe, PSCI_FID_CPU_ON,
                                 (uint64_t[]) { 1 << 24, 0x1000, 0 }, 3),
                    ==, PSCI_INVALID_PARAMETERS);
    fake_call_pe(f->m, &pe, PSCI_FID_CPU_ON,
                 (uint64_t[]) { 1ull << 32, 0x1000, 0 }, 3);
    g_assert_cmpint(pe.world, ==, RMM_WORLD_HOST);
    g_assert_cmphex(CALL(f, RMI_PSCI_COMPLETE, r.rec[0], r.rec[1],
                         PSCI_SUCCESS), ==, RMI_SUCCESS);
}

static void a_rec_that_was_destroyed_is_no_target(Fixture *f,
                                                  gconstpointer data)
{
    g_assert_cmphex(CALL(f, RMI_REC_DESTROY, f->r.rec[1]), ==, RMI_SUCCESS);
    fake_enter(f->m, &f->pe, &f->r, 0);
    g_assert_cmphex(CALL(f, PSCI_FID_CPU_ON, 1, 0x1000, 0), ==,
                    PSCI_INVALID_PARAMETERS);
    g_assert_cmphex(CALL(f, PSCI_FID_AFFINITY_INFO, 1, 0), ==,
                    PSCI_INVALID_PARAMETERS);
    assert_in_realm(f);
}

/* Nobody could complete the call any more. */
static void who_waits_for_a_rec_that_is_destroyed_gets_an_answer(
    Fixture *f, gconstpointer data)
{
    uint64_t fid = GPOINTER_TO_UINT(data);
    RmmRec *calling;

    fake_enter(f->m, &f->pe, &f->r, 0);
    CALL(f, fid, 1ull << 31 | 1, 0, 0x77);
    assert_exited(f, RMI_EXIT_PSCI);
    calling = fake_realm_object(f->m, &f->r)->recs[0];
    g_assert_cmpint(calling->state, ==, REC_PSCI);
    g_assert_cmphex(CALL(f, RMI_REC_DESTROY, f->r.rec[1]), ==, RMI_SUCCESS);
    fake_refused(f->m, CALL(f, RMI_PSCI_COMPLETE, f->r.rec[0], f->r.rec[1],
                            PSCI_SUCCESS), RMI_ERROR_INPUT);
    fake_enter(f->m, &f->pe, &f->r, 0);
    g_assert_cmphex(f->pe.x[0], ==, PSCI_INVALID_PARAMETERS);
    g_assert_cmphex(f->pe.x[1], ==, 0);
    g_assert_cmphex(f->pe.x[3], ==, 0);
    g_assert_cmphex(f->pe.pc, ==, 0x1004);
}

static void affinity_info_tells_who_is_off(Fixture *f, gconstpointer data)
{
    fake_enter(f->m, &f->pe, &f->r, 0);
    CALL(f, PSCI_FID_AFFINITY_INFO, 1, 0);
    assert_exited(f, RMI_EXIT_PSCI);
    g_assert_cmphex(CALL(f, RMI_PSCI_COMPLETE, f->r.rec[0], f->r.rec[1], 0),
                    ==, RMI_SUCCESS);
    fake_enter(f->m, &f->pe, &f->r, 0);
    g_assert_cmphex(f->pe.x[0], ==, PSCI_AFFINITY_OFF);
}

static void cpu_off_needs_cpu_on_again(Fixture *f, gconstpointer data)
{
    fake_enter(f->m, &f->pe, &f->r, 0);
    CALL(f, PSCI_FID_CPU_OFF, 0);
    assert_exited(f, RMI_EXIT_PSCI);
    fake_refused(f->m, CALL(f, RMI_REC_ENTER, f->r.rec[0], FAKE_NS_RUN(0)),
                 RMI_ERROR_REC);
}

static void cpu_suspend_comes_back_with_success(Fixture *f,
                                                gconstpointer data)
{
    fake_enter(f->m, &f->pe, &f->r, 0);
    CALL(f, PSCI_FID_CPU_SUSPEND, 1, 2, 3);
    assert_exited(f, RMI_EXIT_PSCI);
    g_assert_cmphex(fake_run(f->m, 0)->exit.gprs[0], ==,
                    PSCI_FID_CPU_SUSPEND);
    g_assert_cmphex(fake_run(f->m, 0)->exit.gprs[2], ==, 0);
    fake_enter(f->m, &f->pe, &f->r, 0);
    g_assert_cmphex(f->pe.x[0], ==, PSCI_SUCCESS);
    g_assert_cmphex(f->pe.pc, ==, 0x1004);
}

static void a_realm_that_went_off_never_runs_again(Fixture *f,
                                                   gconstpointer data)
{
    uint64_t fid = GPOINTER_TO_UINT(data);

    fake_enter(f->m, &f->pe, &f->r, 0);
    CALL(f, fid, 0);
    assert_exited(f, RMI_EXIT_PSCI);
    g_assert_cmphex(fake_run(f->m, 0)->exit.gprs[0], ==, fid);
    g_assert_cmpint(fake_realm_object(f->m, &f->r)->state, ==,
                    REALM_SYSTEM_OFF);
    fake_refused(f->m, CALL(f, RMI_REC_ENTER, f->r.rec[0], FAKE_NS_RUN(0)),
                 RMI_RESULT(RMI_ERROR_REALM, 1));
    fake_realm_destroy(f->m, &f->r);
}

/* The states that a migration session adds. */
static void frozen_realms_refuse_the_host(Fixture *f, gconstpointer data)
{
    RmmRealm *realm = fake_realm_object(f->m, &f->r);
    uint64_t data_pa = fake_granule(f->m);

    cpu_on(f, 1);
    realm_set_state(realm, REALM_EXPORT);
    CALL(f, RMI_PSCI_COMPLETE, f->r.rec[0], f->r.rec[1], PSCI_DENIED);
    fake_enter(f->m, &f->pe, &f->r, 0);         /* EXPORT: it still runs */
    take_interrupt(f->m->rmm, &f->pe);
    cpu_on(f, 1);
    realm_set_state(realm, REALM_EXPORT_PAUSED);
    fake_refused(f->m, CALL(f, RMI_PSCI_COMPLETE, f->r.rec[0], f->r.rec[1],
                            0), RMI_ERROR_REALM);
    fake_refused(f->m, CALL(f, RMI_REC_ENTER, f->r.rec[0], FAKE_NS_RUN(0)),
                 RMI_ERROR_REALM);
    fake_refused(f->m, CALL(f, RMI_DATA_CREATE_UNKNOWN, f->r.rd, data_pa,
                            0x1e000), RMI_ERROR_REALM);
    realm_set_state(realm, REALM_EXPORTED);
    fake_refused(f->m, CALL(f, RMI_REC_ENTER, f->r.rec[0], FAKE_NS_RUN(0)),
                 RMI_ERROR_REALM);
    fake_refused(f->m, CALL(f, RMI_DATA_CREATE_UNKNOWN, f->r.rd, data_pa,
                            0x1e000), RMI_ERROR_REALM);
    fake_realm_destroy(f->m, &f->r);
}

typedef struct Runner {
    Fixture *f;
    RmmPe pe;
    unsigned rec;
} Runner;

static gpointer run_one(gpointer opaque)
{
    uint64_t args[] = { 0, 0x10000 };
    Runner *r = opaque;
    unsigned i;

    for (i = 0; i < 5000; i++) {
        fake_enter(r->f->m, &r->pe, &r->f->r, r->rec);
        g_assert_cmphex(fake_call_pe(r->f->m, &r->pe, RSI_IPA_STATE_GET,
                                     args, 2), ==, RSI_SUCCESS);
        take_interrupt(r->f->m->rmm, &r->pe);
    }
    return NULL;
}

static void recs_of_one_realm_run_side_by_side(Fixture *f,
                                               gconstpointer data)
{
    Runner a = { .f = f, .rec = 0 }, b = { .f = f, .rec = 1 };
    GThread *t;

    cpu_on(f, 1);
    CALL(f, RMI_PSCI_COMPLETE, f->r.rec[0], f->r.rec[1], PSCI_SUCCESS);
    t = g_thread_new("rec", run_one, &a);
    run_one(&b);
    g_thread_join(t);
}

#define TEST(name) TEST_WITH(name, name, 0)
#define TEST_WITH(name, function, data)                             \
    g_test_add("/rmm/rec/" #name, Fixture, GUINT_TO_POINTER(data),  \
               set_up, function, tear_down)

/* ---- exceptions; the recorded calls (rmi-replay) have the rest ---- */

#define UNPROTECTED_HPFAR (1ull << 32 >> 8)
#define LOAD_ABORT(sas, sse, srt, sf) \
    (0x24ull << 26 | 1 << 25 | 1 << 24 | (sas) << 22 | (sse) << 21 | \
     (srt) << 16 | (sf) << 15 | 0x7)

static void take_sync(Fixture *f, uint64_t esr, uint64_t hpfar)
{
    const RmmSyndrome s = { .kind = RMM_EXCEPTION_SYNC, .esr = esr,
                            .far = 0xffff000000001234, .hpfar = hpfar };

    rmm_exception(f->m->rmm, &f->pe, &s);
}

static void an_emulated_load_is_extended_as_it_says(Fixture *f,
                                                    gconstpointer data)
{
    static const struct {
        uint64_t esr, host, want;
    } loads[] = {
        { LOAD_ABORT(0, 0, 3, 0), 0xfff80, 0x80 },
        { LOAD_ABORT(0, 1, 3, 0), 0xfff80, 0xffffff80 },
        { LOAD_ABORT(1, 1, 3, 1), 0x8000, 0xffffffffffff8000 },
        { LOAD_ABORT(1, 1, 3, 1), 0x7000, 0x7000 },
        { LOAD_ABORT(2, 1, 3, 1), 0x80000000, 0xffffffff80000000 },
        { LOAD_ABORT(3, 0, 3, 1), ~1ull, ~1ull },
    };
    RmiRecRun *run = fake_run(f->m, 0);
    size_t i;

    fake_enter(f->m, &f->pe, &f->r, 0);
    for (i = 0; i < G_N_ELEMENTS(loads); i++) {
        uint64_t pc = f->pe.pc;

        f->pe.x[3] = 0x5555;
        take_sync(f, loads[i].esr, UNPROTECTED_HPFAR);
        g_assert_cmpint(f->pe.world, ==, RMM_WORLD_HOST);
        g_assert_cmphex(run->exit.far, ==, 0x234);
        g_assert_cmphex(run->exit.gprs[0], ==, 0);
        run->enter.flags = RMI_ENTER_EMUL_MMIO;
        run->enter.gprs[0] = loads[i].host;
        fake_call_pe(f->m, &f->pe, RMI_REC_ENTER,
                     (const uint64_t[]) { f->r.rec[0], FAKE_NS_RUN(0) }, 2);
        g_assert_cmphex(f->pe.x[3], ==, loads[i].want);
        g_assert_cmphex(f->pe.pc, ==, pc + 4);
    }
}

/* RMM 1.0, A4.2.3: with INJECT_SEA, EMUL_MMIO is ignored. */
static void an_injected_abort_wins_over_emulation(Fixture *f,
                                                  gconstpointer data)
{
    static const uint64_t aborts[] = { 0x92000007, LOAD_ABORT(2, 0, 3, 0) };
    RmiRecRun *run = fake_run(f->m, 0);
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(aborts); i++) {
        fake_enter(f->m, &f->pe, &f->r, 0);
        f->pe.x[3] = 0x5555;
        take_sync(f, aborts[i], UNPROTECTED_HPFAR);
        assert_exited(f, RMI_EXIT_SYNC);
        if (i == 0) {
            run->enter.flags = RMI_ENTER_EMUL_MMIO;
            fake_refused(f->m, CALL(f, RMI_REC_ENTER, f->r.rec[0],
                                    FAKE_NS_RUN(0)), RMI_ERROR_REC);
        }
        run->enter.flags = RMI_ENTER_EMUL_MMIO | RMI_ENTER_INJECT_SEA;
        run->enter.gprs[0] = 0x9999;
        fake_enter(f->m, &f->pe, &f->r, 0);
        run->enter.flags = 0;
        g_assert_true(f->pe.inject.pending);
        g_assert_cmphex(f->pe.inject.esr, ==, 0x96000210);
        g_assert_cmphex(f->pe.x[3], ==, 0x5555);
        g_assert_cmphex(f->pe.pc, ==, 0x1000);
        take_interrupt(f->m->rmm, &f->pe);
    }
}

/* RMM 1.0, A4.3.4.3: FAR is one of the fields of the other kind. */
static void an_abort_that_cannot_be_emulated_shows_no_far(Fixture *f,
                                                          gconstpointer data)
{
    const RmiRecExit want = {
        .exit_reason = RMI_EXIT_SYNC, .esr = 0x92000007,
        .hpfar = UNPROTECTED_HPFAR
    };

    fake_enter(f->m, &f->pe, &f->r, 0);
    take_sync(f, 0x92000047, UNPROTECTED_HPFAR);
    g_assert_cmpmem(&fake_run(f->m, 0)->exit, sizeof(want),
                    &want, sizeof(want));
}

/* ISV and what it covers (24:14), VNCR and S1PTW are of ESR_EL2 only. */
static void el1_is_told_nothing_that_is_for_stage_2(Fixture *f,
                                                    gconstpointer data)
{
    static const struct {
        uint64_t esr, want;
    } aborts[] = {
        { 0x93ffe0c7, 0x96000250 },     /* a store of any kind, in a walk */
        { 0x93830007, 0x96000210 },
        { 0x92000147, 0x96000350 },     /* cache maintenance */
        { 0x92004007, 0x96000210 },     /* acquire, release */
        { 0x82000087, 0x86000210 },     /* a fetch */
        { 0xffffff92000007, 0x96000210 },    /* ISS2 */
    };
    size_t i;

    fake_enter(f->m, &f->pe, &f->r, 0);
    for (i = 0; i < G_N_ELEMENTS(aborts); i++) {
        take_sync(f, aborts[i].esr, IPA_NO_RAM >> 8);
        g_assert_true(f->pe.inject.abort);
        g_assert_cmphex(f->pe.inject.esr, ==, aborts[i].want);
        g_assert_cmphex(f->pe.inject.far, ==, 0xffff000000001234);
    }
}

/* RMM 1.0, A5.2.8: the level of stage 1, which is off at level 0. */
static void an_address_size_fault_has_the_level_of_stage_1(Fixture *f,
                                                           gconstpointer data)
{
    static const uint64_t fsc[] = { 0x29, 0x00, 0x01, 0x02, 0x03 };
    int level;

    fake_enter(f->m, &f->pe, &f->r, 0);
    for (level = -1; level <= 3; level++) {
        const RmmSyndrome s = {
            .kind = RMM_EXCEPTION_SYNC, .esr = 0x93830007, .far = 0x5678,
            .hpfar = 1ull << 33 >> 8, .stage1_level = level
        };

        rmm_exception(f->m->rmm, &f->pe, &s);
        assert_in_realm(f);
        g_assert_cmphex(f->pe.inject.esr, ==, 0x96000000 | fsc[level + 1]);
        g_assert_cmphex(f->pe.inject.far, ==, 0x5678);
    }
}

/* RmmPlatform.as_tf_rmm; the text has the other answer (A5.2.8). */
static void beyond_the_ipa_width_there_is_what_tf_rmm_has(Fixture *f,
                                                          gconstpointer data)
{
    static const uint64_t ec[] = { 0x90000000, 0x80000000 };    /* data, fetch */
    unsigned i;

    f->m->rmm->platform.as_tf_rmm = true;
    fake_enter(f->m, &f->pe, &f->r, 0);
    for (i = 0; i < 2; i++) {
        const RmmSyndrome s = {
            .kind = RMM_EXCEPTION_SYNC, .esr = ec[i] | 0x03830007,
            .far = 0x5678, .hpfar = 1ull << 33 >> 8, .stage1_level = 2
        };

        rmm_exception(f->m->rmm, &f->pe, &s);
        assert_in_realm(f);
        g_assert_cmphex(f->pe.inject.esr, ==, ec[i] | 0x06000210);
        g_assert_cmphex(f->pe.inject.far, ==, 0x5678);
    }
}

#define SYSREG(op0, op1, crn, crm, op2, rt, read)                       \
    (0x18ull << 26 | 1 << 25 | (op0) << 20 | (op2) << 17 | (op1) << 14 | \
     (crn) << 10 | (rt) << 5 | (crm) << 1 | (read))

/* RMM 1.0, A4.3.4: emulated, and back to the Realm. */
static void a_hidden_register_is_zero_and_ignores_writes(Fixture *f,
                                                         gconstpointer data)
{
    static const uint64_t registers[] = {
        SYSREG(3, 0, 0, 4, 5, 0, 0),            /* ID_AA64SMFR0_EL1 */
        SYSREG(3, 0, 9, 12, 0, 0, 0),           /* PMCR_EL0, less a bit */
        SYSREG(3, 3, 13, 2, 0, 0, 0),           /* AMCR_EL0 */
        SYSREG(2, 1, 0, 3, 4, 0, 0),            /* OSDLR_EL1's place */
        SYSREG(3, 0, 12, 11, 3, 0, 0),          /* ICC_RPR_EL1 */
    };
    uint64_t pc;
    size_t i;

    fake_enter(f->m, &f->pe, &f->r, 0);
    for (i = 0; i < G_N_ELEMENTS(registers); i++) {
        pc = f->pe.pc;
        f->pe.x[9] = 0x5555;
        take_sync(f, registers[i] | 9 << 5, 0);         /* MSR */
        g_assert_cmphex(f->pe.x[9], ==, 0x5555);
        take_sync(f, registers[i] | 31 << 5 | 1, 0);    /* MRS XZR */
        g_assert_cmphex(f->pe.x[9], ==, 0x5555);
        take_sync(f, registers[i] | 9 << 5 | 1, 0);     /* MRS */
        g_assert_cmphex(f->pe.x[9], ==, 0);
        assert_in_realm(f);
        g_assert_false(f->pe.inject.pending);
        g_assert_cmphex(f->pe.pc, ==, pc + 12);
    }
}

/* RMM 1.0, A2.1.2.4 */
static void an_impdef_register_is_undefined(Fixture *f, gconstpointer data)
{
    static const uint64_t registers[] = {
        SYSREG(3, 0, 11, 0, 0, 9, 1), SYSREG(3, 7, 15, 2, 3, 9, 0),
        SYSREG(1, 0, 15, 0, 0, 9, 0),
    };
    size_t i;

    fake_enter(f->m, &f->pe, &f->r, 0);
    for (i = 0; i < G_N_ELEMENTS(registers); i++) {
        f->pe.inject.pending = false;
        take_sync(f, registers[i], 0);
        assert_in_realm(f);
        g_assert_true(f->pe.inject.pending);
        g_assert_false(f->pe.inject.abort);
        g_assert_cmphex(f->pe.inject.esr, ==, 0x2000000);
        g_assert_cmphex(f->pe.pc, ==, 0x1000);
    }
}

/* RMM 1.0, A6.1: the host makes and ends interrupts. */
static void sgis_and_deactivation_are_the_hosts(Fixture *f,
                                                gconstpointer data)
{
    static const unsigned op2[] = { 1, 5, 6, 7 };
    RmiRecRun *run = fake_run(f->m, 0);
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(op2); i++) {
        uint64_t esr = SYSREG(3, 0, 12, 11, op2[i], i == 0 ? 31 : 9, 0);
        RmiRecExit want = { .exit_reason = RMI_EXIT_SYNC, .esr = esr,
                            .gprs = { i == 0 ? 0 : 0x5555 } };

        fake_enter(f->m, &f->pe, &f->r, 0);
        f->pe.x[9] = 0x5555;
        take_sync(f, esr, UNPROTECTED_HPFAR);
        assert_exited(f, RMI_EXIT_SYNC);
        g_assert_cmpmem(&run->exit, sizeof(want), &want, sizeof(want));
        /* It is over: the host has no say. */
        run->enter.flags = RMI_ENTER_EMUL_MMIO;
        fake_refused(f->m, CALL(f, RMI_REC_ENTER, f->r.rec[0],
                                FAKE_NS_RUN(0)), RMI_ERROR_REC);
        run->enter.flags = 0;
        run->enter.gprs[0] = 0x9999;
        fake_enter(f->m, &f->pe, &f->r, 0);
        g_assert_cmphex(f->pe.pc, ==, 0x1004 + 4 * i);
        g_assert_cmphex(f->pe.x[9], ==, 0x5555);
        take_interrupt(f->m->rmm, &f->pe);
    }
}

static void an_external_abort_shows_the_host_no_address(Fixture *f,
                                                        gconstpointer data)
{
    RmiRecRun *run = fake_run(f->m, 0);

    fake_enter(f->m, &f->pe, &f->r, 0);
    take_sync(f, 0x92000010, UNPROTECTED_HPFAR);
    g_assert_cmpint(f->pe.world, ==, RMM_WORLD_HOST);
    g_assert_cmphex(run->exit.esr, ==, 0x90000010);
    g_assert_cmphex(run->exit.far, ==, 0);
    g_assert_cmphex(run->exit.hpfar, ==, 0);
}

/* SET says what became of the access: 0 UER, 2 UC, 3 UEO. */
static void a_recoverable_external_abort_is_the_realms_as_well(
    Fixture *f, gconstpointer data)
{
    static const struct {
        uint64_t esr, want;     /* ESR_EL1, or 0 */
    } aborts[] = {
        { 0x92000010, 0x96000210 }, { 0x92001010, 0 }, { 0x92001810, 0 },
        { 0x92000014, 0x96000210 }, { 0x92001817, 0 },
        { 0x82000010, 0x86000210 }, { 0x82001810, 0 },
    };
    RmiRecRun *run = fake_run(f->m, 0);
    uint64_t rec = f->r.rec[0];
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(aborts); i++) {
        fake_enter(f->m, &f->pe, &f->r, 0);
        take_sync(f, aborts[i].esr, 0);
        assert_exited(f, RMI_EXIT_SYNC);
        g_assert_cmphex(run->exit.esr & 0x1800, ==, aborts[i].esr & 0x1800);
        /* The host has no say. */
        run->enter.flags = RMI_ENTER_INJECT_SEA;
        fake_refused(f->m, CALL(f, RMI_REC_ENTER, rec, FAKE_NS_RUN(0)),
                     RMI_ERROR_REC);
        run->enter.flags = RMI_ENTER_EMUL_MMIO;
        fake_refused(f->m, CALL(f, RMI_REC_ENTER, rec, FAKE_NS_RUN(0)),
                     RMI_ERROR_REC);
        run->enter.flags = 0;
        fake_enter(f->m, &f->pe, &f->r, 0);
        g_assert_cmphex(f->pe.pc, ==, 0x1000);
        g_assert_true(f->pe.inject.pending == (aborts[i].want != 0));
        g_assert_cmphex(f->pe.inject.esr, ==, aborts[i].want);
        g_assert_cmphex(f->pe.inject.far, ==,
                        aborts[i].want ? 0xffff000000001234 : 0);
        take_interrupt(f->m->rmm, &f->pe);
        fake_enter(f->m, &f->pe, &f->r, 0);
        g_assert_false(f->pe.inject.pending);   /* once */
        take_interrupt(f->m->rmm, &f->pe);
    }
}

static void what_the_host_need_not_know_stays_in_the_realm(Fixture *f,
                                                           gconstpointer data)
{
    uint64_t pc;

    fake_enter(f->m, &f->pe, &f->r, 0);
    pc = f->pe.pc;
    take_sync(f, 0x7e00000, 0);                 /* WFI, not asked for */
    g_assert_cmphex(f->pe.pc, ==, pc + 4);
    g_assert_false(f->pe.inject.pending);
    take_sync(f, 0x5a000000, 0);                /* HVC */
    g_assert_true(f->pe.inject.pending);
    g_assert_false(f->pe.inject.abort);
    g_assert_cmphex(f->pe.inject.esr, ==, 0x2000000);
    f->pe.inject.pending = false;
    take_sync(f, 0x92000004, 1ull << 33 >> 8);  /* beyond the IPA width */
    g_assert_true(f->pe.inject.abort);
    g_assert_cmphex(f->pe.inject.esr, ==, 0x96000000);
    g_assert_cmphex(f->pe.inject.far, ==, 0xffff000000001234);
    g_assert_cmpint(f->pe.world, ==, RMM_WORLD_REALM);
}

/* The edges of the diagram in rec.h; with an import, and without. */
static const struct {
    RecState from, to;
    bool import;
} edges[] = {
    { REC_OFF, REC_READY, false },              /* CPU_ON */
    { REC_READY, REC_RUNNING, false },          /* REC_ENTER... */
    { REC_RIPAS, REC_RUNNING, false },
    { REC_HOST_CALL, REC_RUNNING, false },
    { REC_RUNNING, REC_READY, false },          /* exits... */
    { REC_RUNNING, REC_OFF, false },
    { REC_RUNNING, REC_PSCI, false },
    { REC_RUNNING, REC_RIPAS, false },
    { REC_RUNNING, REC_HOST_CALL, false },
    { REC_PSCI, REC_READY, false },             /* PSCI_COMPLETE */
    { REC_OFF, REC_DESTROYED, false },          /* REC_DESTROY... */
    { REC_READY, REC_DESTROYED, false },
    { REC_PSCI, REC_DESTROYED, false },
    { REC_RIPAS, REC_DESTROYED, false },
    { REC_HOST_CALL, REC_DESTROYED, false },
    { REC_OFF, REC_OFF, true },
    { REC_OFF, REC_READY, true },
    { REC_OFF, REC_PSCI, true },
    { REC_OFF, REC_RIPAS, true },
    { REC_OFF, REC_HOST_CALL, true },
    { REC_READY, REC_OFF, true },
    { REC_READY, REC_READY, true },
    { REC_READY, REC_PSCI, true },
    { REC_READY, REC_RIPAS, true },
    { REC_READY, REC_HOST_CALL, true },
    { REC_PSCI, REC_READY, true },              /* its target is destroyed */
    { REC_OFF, REC_DESTROYED, true },           /* REC_DESTROY... */
    { REC_READY, REC_DESTROYED, true },
    { REC_PSCI, REC_DESTROYED, true },
    { REC_RIPAS, REC_DESTROYED, true },
    { REC_HOST_CALL, REC_DESTROYED, true },
};

static void every_pair_of_states_is_as_the_diagram_says(void)
{
    unsigned from, to, import;
    size_t i;

    for (import = 0; import < 2; import++) {
        for (from = 0; from < REC_STATES; from++) {
            for (to = 0; to < REC_STATES; to++) {
                bool want = false;

                for (i = 0; i < G_N_ELEMENTS(edges); i++) {
                    want |= edges[i].from == from && edges[i].to == to &&
                            edges[i].import == import;
                }
                g_assert_cmpint(rec_transition_allowed(from, to, import), ==,
                                want);
            }
        }
    }
    g_assert_false(rec_transition_allowed(REC_STATES, REC_OFF, false));
    g_assert_false(rec_transition_allowed(REC_OFF, REC_STATES, true));
}

static void enter_off(void)
{
    RmmRealm realm = { .state = REALM_ACTIVE };
    RmmRec rec = { .realm = &realm, .state = REC_OFF };

    rec_set_state(&rec, REC_RUNNING);
}

static void run_in_import(void)
{
    RmmRealm realm = { .state = REALM_IMPORT };
    RmmRec rec = { .realm = &realm, .state = REC_READY };

    rec_set_state(&rec, REC_RUNNING);
}

static void the_setter_stops_with_the_rule(void)
{
    g_test_trap_subprocess("/rmm/rec/subprocess/enter-off", 0, 0);
    g_test_trap_assert_failed();
    g_test_trap_assert_stderr("*rec.h: no REC goes from state 0 to 2*");
    g_test_trap_subprocess("/rmm/rec/subprocess/run-in-import", 0, 0);
    g_test_trap_assert_failed();
    g_test_trap_assert_stderr("*rec.h: no REC goes from state 1 to 2 by an "
                              "import*");
}

/* The level is one that neither the index nor the code has bits for. */
static void level_minus_one_is_reported_as_it_has_to_be(void)
{
    FakeMachine *m = fake_machine_prepare(32);
    RmmPe pe = { .world = RMM_WORLD_HOST };
    uint64_t data;
    FakeRealm r;

    m->platform.lpa2 = true;
    m->platform.ipa_bits = 52;
    fake_machine_start(m);
    fake_realm_params(m, &r, 49, -1)->flags = RMI_REALM_LPA2;
    g_assert_cmphex(fake_realm_try(m, &r), ==, RMI_SUCCESS);
    data = fake_granule(m);
    fake_refused(m, fake_call(m, RMI_DATA_CREATE_UNKNOWN, r.rd, data, 0),
                 0xff04);
    g_assert_cmphex(fake_call(m, RMI_RTT_INIT_RIPAS, r.rd, 0, 1ull << 48),
                    ==, RMI_SUCCESS);
    fake_rec(m, &r, RMI_REC_RUNNABLE, 0);
    g_assert_cmphex(fake_call(m, RMI_REALM_ACTIVATE, r.rd), ==, RMI_SUCCESS);
    fake_enter(m, &pe, &r, 0);
    fake_call_pe(m, &pe, RSI_HOST_CALL, (uint64_t[]) { 0x5000 }, 1);
    g_assert_cmphex(pe.x[0], ==, RMI_SUCCESS);
    g_assert_cmphex(fake_run(m, 0)->exit.esr, ==, 0x24ull << 26 | 0x2b);
    g_assert_cmphex(fake_run(m, 0)->exit.hpfar, ==, 0x50);
    fake_machine_free(m);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/rmm/rec/subprocess/enter-off", enter_off);
    g_test_add_func("/rmm/rec/subprocess/run-in-import", run_in_import);
    g_test_add_func("/rmm/rec/every_pair_of_states",
                    every_pair_of_states_is_as_the_diagram_says);
    g_test_add_func("/rmm/rec/the_setter_stops",
                    the_setter_stops_with_the_rule);
    TEST(entry_loads_what_the_last_exit_saved);
    TEST(an_exit_record_is_zero_but_for_what_it_says);
    TEST(the_machine_is_told_of_an_exit_record_it_has);
    TEST(entry_is_refused);
    TEST(a_running_rec_is_not_touched);
    TEST(rec_creation_is_refused);
    TEST(a_realm_has_1023_recs_at_most);
    TEST(mpidr_and_index_are_inverse);
    TEST(an_unknown_smc_answers_not_supported);
    TEST(rsi_version_and_features_are_as_linux_expects);
    TEST(measurements_have_five_slots);
    TEST(realm_config_tells_width_hash_and_rpv);
    TEST(a_buffer_without_a_page_exits_and_retries);
    TEST(a_host_call_goes_out_and_comes_back);
    TEST(the_machine_is_told_what_a_realm_gets_in_its_page);
    TEST(a_host_call_buffer_taken_away_exits_again);
    TEST(a_host_call_buffer_made_empty_does_not_stop_the_realm);
    TEST(a_ripas_change_goes_as_far_as_the_host_does);
    TEST(a_ripas_change_stops_at_an_entry_that_does_not_fit);
    TEST(a_run_of_ipa_state_get_is_all_of_one_ripas);
    TEST(only_a_refused_change_to_ram_is_a_reject);
    TEST(the_host_sets_what_was_asked_and_no_more);
    TEST(ipa_state_calls_check_their_range);
    TEST(a_destroyed_page_comes_back_only_if_the_realm_says_so);
    TEST(psci_is_1_1_over_smccc_1_2);
    TEST(cpu_on_starts_the_target_when_the_host_agrees);
    TEST(the_host_may_deny_what_is_off_only);
    TEST(cpu_on_checks_its_arguments);
    TEST(a_target_is_named_as_mpidr_el1_reads);
    TEST(aff3_stands_where_each_interface_has_it);
    TEST(a_rec_that_was_destroyed_is_no_target);
    TEST_WITH(cpu_on_of_a_rec_that_is_destroyed_gets_an_answer,
              who_waits_for_a_rec_that_is_destroyed_gets_an_answer,
              PSCI_FID_CPU_ON);
    TEST_WITH(affinity_info_of_a_rec_that_is_destroyed_gets_an_answer,
              who_waits_for_a_rec_that_is_destroyed_gets_an_answer,
              PSCI_FID_AFFINITY_INFO);
    TEST(affinity_info_tells_who_is_off);
    TEST(cpu_off_needs_cpu_on_again);
    TEST(cpu_suspend_comes_back_with_success);
    TEST_WITH(system_off_is_final, a_realm_that_went_off_never_runs_again,
              PSCI_FID_SYSTEM_OFF);
    TEST_WITH(system_reset_is_final, a_realm_that_went_off_never_runs_again,
              PSCI_FID_SYSTEM_RESET);
    TEST(frozen_realms_refuse_the_host);
    TEST(recs_of_one_realm_run_side_by_side);
    TEST(an_emulated_load_is_extended_as_it_says);
    TEST(an_injected_abort_wins_over_emulation);
    TEST(an_abort_that_cannot_be_emulated_shows_no_far);
    TEST(el1_is_told_nothing_that_is_for_stage_2);
    TEST(an_address_size_fault_has_the_level_of_stage_1);
    TEST(beyond_the_ipa_width_there_is_what_tf_rmm_has);
    TEST(a_refusal_answers_the_caller_as_with_tf_rmm);
    TEST(a_hidden_register_is_zero_and_ignores_writes);
    TEST(an_impdef_register_is_undefined);
    TEST(sgis_and_deactivation_are_the_hosts);
    TEST(an_external_abort_shows_the_host_no_address);
    TEST(an_serror_shows_the_host_what_the_text_lists);
    TEST(an_interrupt_shows_the_host_no_syndrome);
    TEST(a_recoverable_external_abort_is_the_realms_as_well);
    TEST(what_the_host_need_not_know_stays_in_the_realm);
    g_test_add_func("/rmm/rec/level_minus_one_is_reported_as_it_has_to_be",
                    level_minus_one_is_reported_as_it_has_to_be);
    return g_test_run();
}
