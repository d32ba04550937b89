/*
 * The tables of calls: what the dispatchers do for every row of them
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <inttypes.h>
#include <string.h>
#include "fake-machine.h"
#include "mig-abi.h"

/* What RmmOps.log was told last. */
static struct {
    unsigned count;
    RmmLog entry;
    uint64_t inputs[8];
} logged;

static void op_log(void *opaque, const RmmLog *entry)
{
    logged.count++;
    logged.entry = *entry;
    g_assert_cmpuint(entry->num_inputs, <=, G_N_ELEMENTS(logged.inputs));
    if (entry->inputs) {
        memcpy(logged.inputs, entry->inputs,
               entry->num_inputs * sizeof(logged.inputs[0]));
    }
    logged.entry.inputs = NULL;
}

typedef struct Fixture {
    FakeMachine *m;
    FakeRealm r;
    RmmPe pe;
} Fixture;

static void set_up(Fixture *f, gconstpointer data)
{
    f->m = fake_machine_prepare(128);
    f->m->ops.log = op_log;
    fake_machine_start(f->m);
    f->r = fake_realm_active(f->m);
    memset(&f->pe, 0, sizeof(f->pe));
    memset(&logged, 0, sizeof(logged));
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

/* Nothing else was logged since the last of these. */
static void assert_logged(const char *interface, const char *call,
                          uint64_t result)
{
    g_assert_cmpuint(logged.count, ==, 1);
    g_assert_cmpstr(logged.entry.interface, ==, interface);
    g_assert_cmpstr(logged.entry.call, ==, call);
    g_assert_cmphex(logged.entry.result, ==, result);
    memset(&logged, 0, sizeof(logged));
}

static void assert_not_logged(void)
{
    g_assert_cmpuint(logged.count, ==, 0);
}

static void a_host_call_is_logged_with_its_inputs(Fixture *f,
                                                  gconstpointer data)
{
    CALL(f, RMI_REALM_CREATE, f->r.rd, FAKE_NS_PARAMS, 77);
    g_assert_cmpuint(logged.entry.num_inputs, ==, 2);
    g_assert_cmphex(logged.inputs[0], ==, f->r.rd);
    g_assert_cmphex(logged.inputs[1], ==, FAKE_NS_PARAMS);
    g_assert_cmphex(logged.inputs[2], ==, 0);
    assert_logged("RMI", "REALM_CREATE", RMI_ERROR_INPUT);
    CALL(f, RMI_VERSION, RMM_ABI_VERSION_1_0);
    assert_logged("RMI", "VERSION", RMI_SUCCESS);
}

static void calls_on_hot_paths_are_logged_when_they_fail(Fixture *f,
                                                         gconstpointer data)
{
    uint64_t pa = fake_granule_ns(f->m);

    CALL(f, RMI_GRANULE_DELEGATE, pa);
    assert_not_logged();
    CALL(f, RMI_GRANULE_DELEGATE, pa);
    assert_logged("RMI", "GRANULE_DELEGATE", RMI_ERROR_INPUT);
    fake_enter(f->m, &f->pe, &f->r, 0);
    assert_not_logged();
    CALL(f, RSI_IPA_STATE_GET, 0, 0x1000);
    assert_not_logged();
    CALL(f, RSI_IPA_STATE_GET, 1, 0x1000);
    assert_logged("RSI", "IPA_STATE_GET", RSI_ERROR_INPUT);
}

static void a_realms_arguments_are_never_logged(Fixture *f,
                                                gconstpointer data)
{
    fake_enter(f->m, &f->pe, &f->r, 0);
    CALL(f, RSI_MEASUREMENT_EXTEND, 1, 8, 0x5ec4e7);
    g_assert_cmpuint(logged.entry.num_inputs, ==, 0);
    assert_logged("RSI", "MEASUREMENT_EXTEND", RSI_SUCCESS);
    CALL(f, PSCI_FID_CPU_ON, 77, 0, 0);
    g_assert_cmpuint(logged.entry.num_inputs, ==, 0);
    assert_logged("PSCI", "CPU_ON", PSCI_INVALID_PARAMETERS);
    CALL(f, 0xc6000001, 0x5ec4e7);
    g_assert_cmpuint(logged.entry.num_inputs, ==, 0);
    assert_logged("PSCI", "unknown", SMCCC_NOT_SUPPORTED);
}

static void asking_for_a_feature_is_not_logged(Fixture *f,
                                               gconstpointer data)
{
    fake_enter(f->m, &f->pe, &f->r, 0);
    g_assert_cmphex(CALL(f, PSCI_FID_FEATURES, PSCI_FID_32(5)), ==,
                    PSCI_NOT_SUPPORTED);
    assert_not_logged();
}

static void a_call_that_exits_has_no_result_in_the_log(Fixture *f,
                                                       gconstpointer data)
{
    fake_enter(f->m, &f->pe, &f->r, 0);
    CALL(f, PSCI_FID_CPU_OFF, 0);
    g_assert_true(logged.entry.switched);
    assert_logged("PSCI", "CPU_OFF", 0);
}

static void unknown_calls_are_logged_and_change_no_register(
    Fixture *f, gconstpointer data)
{
    static const uint64_t unused[] = {
        RMI_FID(0x06), RMI_FID(0x10), RMI_FID(0x13), RMI_FID(0x1a), 0,
        UINT64_MAX,
    };
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(unused); i++) {
        g_assert_cmphex(CALL(f, unused[i], 1, 2, 3, 4, 5), ==,
                        SMCCC_NOT_SUPPORTED);
        g_assert_cmphex(f->pe.x[1], ==, 1);
        g_assert_cmphex(f->pe.x[5], ==, 5);
        assert_logged("RMI", "unknown", SMCCC_NOT_SUPPORTED);
    }
}

#define BAD 0xbad000000000001ull        /* never a right argument */

/* Of X1 and up, @outputs are the call's, up to @zero are zero. */
static void check_registers(Fixture *f, uint64_t fid, unsigned outputs,
                            unsigned zero)
{
    RmmWorld world = f->pe.world;
    unsigned n;

    for (n = 1; n < 31; n++) {
        f->pe.x[n] = BAD + n;
    }
    CALL(f, fid, BAD + 1);
    g_assert_cmpint(f->pe.world, ==, world);
    for (n = outputs + 1; n < 31; n++) {
        g_assert_cmphex(f->pe.x[n], ==, n <= zero ? 0 : BAD + n);
    }
}

/* RMM 1.0, B1.2; PSCI and SMCCC have no such rule. */
static void registers_of_the_realm_that_are_no_outputs_are_zero(
    Fixture *f, gconstpointer data)
{
    static const struct {
        uint64_t fid;
        unsigned outputs, zero;
    } rows[] = {
        { RSI_VERSION, 2, 16 }, { RSI_FEATURES, 1, 16 },
        { RSI_MEASUREMENT_READ, 8, 16 }, { RSI_MEASUREMENT_EXTEND, 0, 16 },
        { RSI_ATTESTATION_TOKEN_INIT, 1, 16 },
        { RSI_ATTESTATION_TOKEN_CONTINUE, 1, 16 },
        { RSI_REALM_CONFIG, 0, 16 }, { RSI_IPA_STATE_SET, 2, 16 },
        { RSI_IPA_STATE_GET, 2, 16 }, { RSI_HOST_CALL, 0, 16 },
        { PSCI_FID_VERSION, 0, 0 }, { PSCI_FID_FEATURES, 0, 0 },
        { SMCCC_FID_VERSION, 0, 0 }, { SMCCC_FID_ARCH_FEATURES, 0, 0 },
    };
    unsigned i;

    fake_enter(f->m, &f->pe, &f->r, 0);
    for (i = 0; i < G_N_ELEMENTS(rows); i++) {
        check_registers(f, rows[i].fid, rows[i].outputs, rows[i].zero);
    }
}

/* The same for calls that are over with the next entry. */
static void registers_are_zero_after_an_exit_as_well(Fixture *f,
                                                     gconstpointer data)
{
    static const struct {
        uint64_t fid, x1, x2;
        unsigned outputs;
    } rows[] = {
        { RSI_IPA_STATE_SET, 0x4000, 0x5000, 2 },
        { RSI_HOST_CALL, 0x4000, 0, 0 },
    };
    unsigned i, n;

    for (i = 0; i < G_N_ELEMENTS(rows); i++) {
        fake_enter(f->m, &f->pe, &f->r, 0);
        for (n = 1; n < 31; n++) {
            f->pe.x[n] = n == 3 ? RMI_RIPAS_EMPTY : BAD + n;
        }
        CALL(f, rows[i].fid, rows[i].x1, rows[i].x2);
        g_assert_cmpint(f->pe.world, ==, RMM_WORLD_HOST);
        fake_enter(f->m, &f->pe, &f->r, 0);
        g_assert_cmphex(f->pe.x[0], ==, RSI_SUCCESS);
        for (n = rows[i].outputs + 1; n < 31; n++) {
            g_assert_cmphex(f->pe.x[n], ==, n <= 16 ? 0 : BAD + n);
        }
        take_interrupt(f->m->rmm, &f->pe);
    }
}

/*
 * RMM 1.0, B1.2, as far as hosts let us: SMCCC 1.1 promises to keep X4 and up,
 * and callers of today take it at its word.
 */
static void registers_of_the_host_that_are_no_outputs_are_zero_up_to_x3(
    Fixture *f, gconstpointer data)
{
    static const struct {
        uint64_t fid;
        unsigned outputs;
    } rows[] = {
        { RMI_VERSION, 2 }, { RMI_GRANULE_DELEGATE, 0 },
        { RMI_GRANULE_UNDELEGATE, 0 }, { RMI_DATA_CREATE, 0 },
        { RMI_DATA_CREATE_UNKNOWN, 0 }, { RMI_DATA_DESTROY, 2 },
        { RMI_REALM_ACTIVATE, 0 }, { RMI_REALM_CREATE, 0 },
        { RMI_REALM_DESTROY, 0 }, { RMI_REC_CREATE, 0 },
        { RMI_REC_DESTROY, 0 }, { RMI_REC_ENTER, 0 }, { RMI_RTT_CREATE, 0 },
        { RMI_RTT_DESTROY, 2 }, { RMI_RTT_MAP_UNPROTECTED, 0 },
        { RMI_RTT_READ_ENTRY, 4 }, { RMI_RTT_UNMAP_UNPROTECTED, 1 },
        { RMI_PSCI_COMPLETE, 0 }, { RMI_FEATURES, 1 }, { RMI_RTT_FOLD, 1 },
        { RMI_REC_AUX_COUNT, 1 }, { RMI_RTT_INIT_RIPAS, 1 },
        { RMI_RTT_SET_RIPAS, 1 }, { MIG_FID_BASE + MIG_FEATURES, 4 },
        { MIG_FID_BASE + MIG_OFFER, 1 }, { MIG_FID_BASE + MIG_PREPARE, 4 },
    };
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(rows); i++) {
        check_registers(f, rows[i].fid, rows[i].outputs, 3);
    }
}

/* Another model, with all that RMM 1.0 has and nothing else. */
static void start_without_extensions(Fixture *f)
{
    fake_machine_free(f->m);
    f->m = fake_machine_prepare(128);
    f->m->ops.log = op_log;
    f->m->platform = (RmmPlatform) {
        .ipa_bits = 52, .lpa2 = true, .num_bps = 63, .num_wps = 63,
        .sha512 = true, .pmu = true, .pmu_num_ctrs = 31, .sve = true,
        .sve_vl = 15, .num_lrs = 15, .gic_prio_bits = 5,
    };
    fake_machine_start(f->m);
    f->r = fake_realm_active(f->m);
}

/*
 * B4.4.4: bits 41:0 of register 0, the others are zero; register 0 of a machine
 * that has all of it is ones in every field but S2SZ (52) and MAX_RECS_ORDER
 * (10).
 */
static void feature_registers_have_no_bit_that_1_0_does_not_define(
    Fixture *f, gconstpointer data)
{
    static const uint64_t others[] = {
        1, 2, 3, 4, RMI_FEATURES_EXT, 0xffffffff, 1ull << 32, UINT64_MAX,
    };
    unsigned i;

    start_without_extensions(f);
    g_assert_cmphex(CALL(f, RMI_FEATURES, 0), ==, RMI_SUCCESS);
    g_assert_cmphex(f->pe.x[1], ==, 0x2bfffffff34);
    for (i = 0; i < G_N_ELEMENTS(others); i++) {
        g_assert_cmphex(CALL(f, RMI_FEATURES, others[i]), ==, RMI_SUCCESS);
        g_assert_cmphex(f->pe.x[1], ==, 0);
    }
    fake_enter(f->m, &f->pe, &f->r, 0);
    for (i = 0; i < 4; i++) {
        g_assert_cmphex(CALL(f, RSI_FEATURES, i), ==, RSI_SUCCESS);
        g_assert_cmphex(f->pe.x[1], ==, 0);
    }
    CALL(f, RSI_FEATURES, RSI_FEATURES_EXT);
    g_assert_cmphex(f->pe.x[1], ==, 0);
}

/* As any number that RMM 1.0 does not know, from either world. */
static void without_extensions_their_calls_are_unknown(Fixture *f,
                                                       gconstpointer data)
{
    uint64_t fid, n;

    start_without_extensions(f);
    for (fid = RMM_MIG_FID_FIRST; fid <= RMM_MIG_FID_LAST; fid++) {
        for (n = 1; n < 31; n++) {
            f->pe.x[n] = BAD + n;
        }
        g_assert_cmphex(CALL(f, fid, f->r.rd), ==, SMCCC_NOT_SUPPORTED);
        g_assert_cmphex(f->pe.x[1], ==, f->r.rd);
        for (n = 2; n < 31; n++) {
            g_assert_cmphex(f->pe.x[n], ==, BAD + n);
        }
    }
    fake_enter(f->m, &f->pe, &f->r, 0);
    for (fid = RMM_MIG_FID_FIRST; fid <= RMM_MIG_FID_LAST; fid++) {
        g_assert_cmphex(CALL(f, fid, 0), ==, SMCCC_NOT_SUPPORTED);
    }
}

static void calls_of_a_migration_are_logged_as_well(Fixture *f,
                                                    gconstpointer data)
{
    const uint64_t last = MIG_FID_BASE + MIG_NUM_CALLS - 1;

    g_assert_cmphex(CALL(f, MIG_FID_BASE + MIG_FEATURES, 1, 2, 3, 4, 5), ==,
                    RMI_SUCCESS);
    g_assert_cmphex(f->pe.x[1], ==, MIG_VERSION);
    g_assert_cmphex(f->pe.x[5], ==, 5);
    g_assert_cmpuint(logged.entry.num_inputs, ==, 0);
    assert_logged("MIG", "FEATURES", RMI_SUCCESS);
    CALL(f, MIG_FID_BASE + MIG_EXPORT_MEMORY, f->r.rd, 1, 2, 3, 4, 5);
    g_assert_cmpuint(logged.entry.num_inputs, ==, 6);
    g_assert_cmphex(logged.inputs[5], ==, 5);
    assert_logged("MIG", "EXPORT_MEMORY", RMI_ERROR_REALM);
    CALL(f, last + 1, 1);
    assert_logged("MIG", "unknown", SMCCC_NOT_SUPPORTED);
    fake_machine_free(f->m);
    f->m = fake_machine_prepare(16);
    f->m->ops.log = op_log;
    f->m->platform.migration = false;
    fake_machine_start(f->m);
    CALL(f, MIG_FID_BASE + MIG_FEATURES, 1);
    assert_logged("MIG", "unknown", SMCCC_NOT_SUPPORTED);
}

/*
 * What takes translations away (RMM 1.0, A5.5 and what Realms migrate by), and
 * what hashes or signs much.  That no other call invalidates is an assertion of
 * the fake machine.
 */
static void a_call_tells_beforehand_what_it_may_do(Fixture *f,
                                                   gconstpointer data)
{
    static const struct {
        uint64_t fid;
        unsigned traits;
    } host[] = {
        { RMI_VERSION, 0 }, { RMI_GRANULE_DELEGATE, 0 },
        { RMI_DATA_CREATE, 0 }, { RMI_REC_ENTER, 0 }, { RMI_RTT_CREATE, 0 },
        { RMI_REALM_CREATE, RMM_CALL_LONG },
        { RMI_RTT_INIT_RIPAS, RMM_CALL_LONG },
        { RMI_DATA_DESTROY, RMM_CALL_INVALIDATES },
        { RMI_RTT_DESTROY, RMM_CALL_INVALIDATES },
        { RMI_RTT_FOLD, RMM_CALL_INVALIDATES },
        { RMI_RTT_UNMAP_UNPROTECTED, RMM_CALL_INVALIDATES },
        { RMI_RTT_SET_RIPAS, RMM_CALL_INVALIDATES },
        { RMI_REALM_DESTROY, RMM_CALL_INVALIDATES },
        { RMI_REALM_DESTROY | SMCCC_SVE_HINT, RMM_CALL_INVALIDATES },
        { MIG_FID_BASE + MIG_FEATURES, 0 },
        { MIG_FID_BASE + MIG_EXPORT_MEMORY, RMM_CALL_LONG },
        { MIG_FID_BASE + MIG_COLLECT_DIRTY,
          RMM_CALL_LONG | RMM_CALL_INVALIDATES },
        { MIG_FID_BASE + MIG_NUM_CALLS, 0 },
        { RMI_FID(0x06), 0 }, { RMI_FID(0x1a), 0 }, { UINT64_MAX, 0 },
        { RSI_ATTESTATION_TOKEN_INIT, 0 },      /* no call of a host */
    }, realm[] = {
        { RSI_ATTESTATION_TOKEN_INIT, RMM_CALL_LONG },
        { RSI_ATTESTATION_TOKEN_CONTINUE, 0 }, { RSI_IPA_STATE_SET, 0 },
        { RSI_MIGRATION_HISTORY, 0 }, { RSI_FID(0x0a), 0 },
        { PSCI_FID_CPU_ON, 0 }, { RMI_REALM_DESTROY, 0 },
    };
    RmmPe pe = { 0 };
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(host); i++) {
        pe.x[0] = host[i].fid;
        g_assert_cmpuint(rmm_call_traits(&pe), ==, host[i].traits);
    }
    pe.world = RMM_WORLD_REALM;
    for (i = 0; i < G_N_ELEMENTS(realm); i++) {
        pe.x[0] = realm[i].fid;
        g_assert_cmpuint(rmm_call_traits(&pe), ==, realm[i].traits);
    }
}

/* A machine in which granules of the pool are the host's memory as well. */
static void *op_run_page(void *opaque, uint64_t pa, size_t len)
{
    return fake_host(opaque, pa);
}

static bool op_log_all(void *opaque)
{
    return true;
}

/* What RmmOps.log was told since the last time, in order, with REC and exit. */
static GString *story;

static void op_tell(void *opaque, const RmmLog *entry)
{
    g_string_append_printf(story, "%s.%s", entry->interface, entry->call);
    if (entry->rd) {
        g_string_append_printf(story, " %" PRIx64 "/%u", entry->rd,
                               entry->rec);
    }
    if (entry->exit) {
        g_string_append_printf(story, " %s", entry->exit);
    }
    g_string_append(story, entry->switched ? "; switched, " : "; ");
}

static void assert_story(const char *format, ...)
{
    va_list ap;
    char *expected;

    va_start(ap, format);
    expected = g_strdup_vprintf(format, ap);
    va_end(ap);
    g_assert_cmpstr(story->str, ==, expected);
    g_free(expected);
    g_string_truncate(story, 0);
}

static void a_machine_that_asks_hears_of_every_call_and_exit(
    Fixture *f, gconstpointer data)
{
    const RmmSyndrome irq = { .kind = RMM_EXCEPTION_IRQ };
    uint64_t rd = f->r.rd;

    story = g_string_new(NULL);
    f->m->rmm->ops.log = op_tell;
    f->m->rmm->ops.log_all = op_log_all;
    CALL(f, RMI_RTT_READ_ENTRY, rd, 0, 1);
    assert_story("RMI.RTT_READ_ENTRY; ");
    fake_enter(f->m, &f->pe, &f->r, 0);
    assert_story("RMI.REC_ENTER %" PRIx64 "/0; switched, ", rd);
    CALL(f, PSCI_FID_FEATURES, 0);
    CALL(f, RSI_VERSION, 0);
    CALL(f, 0, 0);
    assert_story("PSCI.FEATURES %" PRIx64 "/0; RSI.VERSION %" PRIx64 "/0; "
                 "PSCI.unknown %" PRIx64 "/0; ", rd, rd, rd);
    CALL(f, RSI_HOST_CALL, 0);
    assert_story("REC.EXIT %" PRIx64 "/0 HOST_CALL; "
                 "RSI.HOST_CALL %" PRIx64 "/0; switched, ", rd, rd);
    fake_enter(f->m, &f->pe, &f->r, 0);
    g_string_truncate(story, 0);
    rmm_exception(f->m->rmm, &f->pe, &irq);
    assert_story("REC.EXIT %" PRIx64 "/0 IRQ; ", rd);
    fake_enter(f->m, &f->pe, &f->r, 0);
    CALL(f, PSCI_FID_CPU_ON, 1, 0, 0);
    g_string_truncate(story, 0);
    CALL(f, RMI_PSCI_COMPLETE, f->r.rec[0], f->r.rec[1], 0);
    fake_enter(f->m, &f->pe, &f->r, 1);
    assert_story("RMI.PSCI_COMPLETE; RMI.REC_ENTER %" PRIx64 "/1; switched, ",
                 rd);
    g_string_free(story, true);
}

/* The entry finds the buffer of a host call gone, and there is no run. */
static void an_exit_of_an_entry_that_did_not_run_is_told_as_well(
    Fixture *f, gconstpointer data)
{
    story = g_string_new(NULL);
    fake_enter(f->m, &f->pe, &f->r, 0);
    CALL(f, RSI_HOST_CALL, 0x1000);
    CALL(f, RMI_DATA_DESTROY, f->r.rd, 0x1000);
    f->m->rmm->ops.log = op_tell;
    f->m->rmm->ops.log_all = op_log_all;
    CALL(f, RMI_REC_ENTER, f->r.rec[0], FAKE_NS_RUN(0));
    assert_story("REC.EXIT %" PRIx64 "/0 SYNC; RMI.REC_ENTER; ", f->r.rd);
    g_string_free(story, true);
}

/* Nobody has to ask to hear that an exit was lost. */
static void an_exit_without_a_run_page_is_logged(Fixture *f,
                                                 gconstpointer data)
{
    const RmmSyndrome irq = { .kind = RMM_EXCEPTION_IRQ };
    uint64_t run = fake_granule_ns(f->m);

    f->m->rmm->ops.ns = op_run_page;
    CALL(f, RMI_REC_ENTER, f->r.rec[0], run);
    g_assert_cmpint(f->pe.world, ==, RMM_WORLD_REALM);
    fake_call(f->m, RMI_GRANULE_DELEGATE, run);
    assert_not_logged();
    rmm_exception(f->m->rmm, &f->pe, &irq);
    g_assert_cmphex(f->pe.x[0], ==, RMI_ERROR_INPUT);
    g_assert_cmpstr(logged.entry.exit, ==, "IRQ");
    assert_logged("REC", "EXIT", RMI_ERROR_INPUT);
}

static void calls_work_without_a_log(Fixture *f, gconstpointer data)
{
    FakeMachine *m = fake_machine_new(16);

    g_assert_cmphex(fake_call(m, RMI_VERSION, 0), ==, RMI_ERROR_INPUT);
    g_assert_cmphex(fake_call(m, RMI_FID(0x06), 0), ==, SMCCC_NOT_SUPPORTED);
    fake_machine_free(m);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name) \
    g_test_add("/rmm/calls/" #name, Fixture, NULL, set_up, name, tear_down)
    ADD(a_host_call_is_logged_with_its_inputs);
    ADD(calls_on_hot_paths_are_logged_when_they_fail);
    ADD(a_realms_arguments_are_never_logged);
    ADD(asking_for_a_feature_is_not_logged);
    ADD(a_call_that_exits_has_no_result_in_the_log);
    ADD(unknown_calls_are_logged_and_change_no_register);
    ADD(registers_of_the_realm_that_are_no_outputs_are_zero);
    ADD(registers_are_zero_after_an_exit_as_well);
    ADD(registers_of_the_host_that_are_no_outputs_are_zero_up_to_x3);
    ADD(feature_registers_have_no_bit_that_1_0_does_not_define);
    ADD(without_extensions_their_calls_are_unknown);
    ADD(calls_of_a_migration_are_logged_as_well);
    ADD(a_call_tells_beforehand_what_it_may_do);
    ADD(a_machine_that_asks_hears_of_every_call_and_exit);
    ADD(an_exit_of_an_entry_that_did_not_run_is_told_as_well);
    ADD(an_exit_without_a_run_page_is_logged);
    ADD(calls_work_without_a_log);
    return g_test_run();
}
