/*
 * A REC is entered, or not (accel/tcg/realm/host/recs.c)
 *
 * Purpose: whatever RMI_REC_ENTER answers, the vCPU runs its REC or there is
 * an error; also where the REC exits before it has run.  Here the RMM is a
 * list of answers.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/rcu_queue.h"
#include "system/runstate.h"
#include "target/arm/cpu.h"
#include "target/arm/arm-powerctl.h"
#include "target/arm/rmm/rmm-abi.h"
#include "accel/tcg/realm/machine.h"
#include "accel/tcg/realm/host/buffers.h"
#include "accel/tcg/realm/host/mmu.h"
#include "accel/tcg/realm/host/recs.h"
#include "accel/tcg/realm/host/state.h"

#define REC     0x1000
#define RUN     0x2000
#define BUFFER  0x40123000ull   /* of the Realm's host call */
#define ANSWER  0xa15ull

/* ---- The RMM ---- */

typedef enum Answer {
    RUNS,
    NEEDS_BUFFER,               /* RMI_SUCCESS, and it has exited again */
    REFUSES,
    IS_OFF,
} Answer;

static const Answer *answers;
static unsigned entered;
static RmiRecRun run_page;

void realm_call(RmmPe *pe)
{
    g_assert_cmphex(pe->x[0], ==, RMI_REC_ENTER);
    g_assert_cmphex(pe->x[1], ==, REC);
    g_assert_cmphex(pe->x[2], ==, RUN);
    entered++;
    switch (*answers++) {
    case RUNS:
        pe->world = RMM_WORLD_REALM;
        pe->x[0] = 0;           /* the Realm's */
        break;
    case NEEDS_BUFFER:
        run_page.exit = (RmiRecExit) {
            .exit_reason = RMI_EXIT_SYNC, .esr = 0x24ull << 26 | 7,
            .hpfar = BUFFER >> 12 << 4,
        };
        pe->x[0] = RMI_SUCCESS;
        break;
    case REFUSES:
        pe->x[0] = RMI_ERROR_REC;
        break;
    case IS_OFF:
        pe->x[0] = RMI_RESULT(RMI_ERROR_REALM, 1);
        break;
    }
}

/* ---- The machine ---- */

static RmmPe cpu_pe;

RmmPe *realm_pe(CPUState *cs)
{
    return &cpu_pe;
}

bool realm_pe_in_realm(CPUState *cs)
{
    return cpu_pe.world == RMM_WORLD_REALM;
}

/* ---- The host's memory ---- */

static unsigned mapped;
static bool is_gone;

bool realm_mmu_fault(uint64_t ipa)
{
    g_assert_cmphex(ipa, ==, BUFFER);
    mapped++;
    return !is_gone;
}

void *realm_run_page(unsigned n, uint64_t *pa)
{
    *pa = RUN;
    return &run_page;
}

/* ---- What QEMU gives ---- */

CPUTailQ cpus_queue = QTAILQ_HEAD_INITIALIZER(cpus_queue);
static unsigned stops;

void qemu_system_vmstop_request_prepare(void)
{
}

void qemu_system_vmstop_request(RunState reason)
{
    g_assert_cmpint(reason, ==, RUN_STATE_INTERNAL_ERROR);
    stops++;
}

/* What no vCPU here asks for. */
#define NEVER(type, name, ...) \
    type name(__VA_ARGS__) \
    { \
        g_assert_not_reached(); \
    }

NEVER(void, qemu_system_reset_request, ShutdownCause reason)
NEVER(void, qemu_system_shutdown_request, ShutdownCause reason)
NEVER(int, arm_set_cpu_on, uint64_t cpuid, uint64_t entry, uint64_t context_id,
      uint32_t target_el, bool target_aa64)
NEVER(CPUState *, realm_pe_by_mpidr, uint64_t mpidr)
NEVER(void, realm_pe_interrupt, CPUState *cs)
NEVER(uint64_t, realm_pe_mpidr, CPUState *cs)
NEVER(uint64_t, realm_mmu_call_for_range, uint64_t fid, uint64_t rec,
      uint64_t *base, uint64_t top)
NEVER(void, realm_mmu_discard_shared, uint64_t base, uint64_t top)
NEVER(void, realm_mmu_reclaim, uint64_t base, uint64_t top)
NEVER(bool, realm_mmu_share, uint64_t base, uint64_t top, Error **errp)
NEVER(void, realm_mmu_unlend, uint64_t base, uint64_t top)

/* ---- Tests ---- */

static RealmRec rec = { .pa = REC, .run = RUN };
static CPUState cpu;

static void begin(const Answer *the_answers)
{
    answers = the_answers;
    entered = mapped = stops = 0;
    is_gone = false;
    cpu_pe = (RmmPe) { 0 };
    memset(&run_page, 0, sizeof(run_page));
    realm_host.recs = &rec;
}

static void test_runs(void)
{
    begin((Answer []) { RUNS });
    g_assert_true(realm_rec_enter(&cpu, &error_abort));
    g_assert_true(realm_pe_in_realm(&cpu));
}

/* Twice: another vCPU has taken it away again. */
static void test_exits_before_it_runs(void)
{
    begin((Answer []) { NEEDS_BUFFER, NEEDS_BUFFER, RUNS });
    run_page.enter.gprs[0] = ANSWER;
    g_assert_true(realm_rec_enter(&cpu, &error_abort));
    g_assert_cmpuint(entered, ==, 3);
    g_assert_cmpuint(mapped, ==, 2);
    g_assert_cmphex(run_page.enter.gprs[0], ==, ANSWER);
    g_assert_true(realm_pe_in_realm(&cpu));
}

static void test_needs_a_page_that_is_gone(void)
{
    Error *err = NULL;

    begin((Answer []) { NEEDS_BUFFER });
    is_gone = true;
    g_assert_false(realm_rec_enter(&cpu, &err));
    g_assert_cmpstr(error_get_pretty(err), ==,
                    "Realm: vCPU 0 needs the page at 0x40123000, which is "
                    "gone; the Realm cannot go on");
    error_free(err);
    g_assert_false(realm_pe_in_realm(&cpu));
}

static void test_is_refused(void)
{
    Error *err = NULL;

    begin((Answer []) { REFUSES });
    g_assert_false(realm_rec_enter(&cpu, &err));
    g_assert_nonnull(strstr(error_get_pretty(err), "refused to run a REC"));
    error_free(err);
}

/* A host call, whose answer is "not supported": -1 (SMCCC). */
static void handle_host_call(void)
{
    run_page.exit.exit_reason = RMI_EXIT_HOST_CALL;
    run_page.exit.gprs[1] = 1;
    realm_rec_handle_exit(&cpu);
    g_assert_cmphex(run_page.enter.gprs[0], ==, UINT64_MAX);
    g_assert_cmphex(run_page.enter.gprs[1], ==, 1);
}

static void test_host_call(void)
{
    begin((Answer []) { NEEDS_BUFFER, RUNS });
    handle_host_call();
    g_assert_true(realm_pe_in_realm(&cpu));
    g_assert_cmpuint(stops, ==, 0);
}

/* The machine stops, and says why; but not for a Realm that is off. */
static void test_host_call_is_the_last(void)
{
    begin((Answer []) { NEEDS_BUFFER });
    is_gone = true;
    handle_host_call();
    g_assert_cmpuint(stops, ==, 1);
    begin((Answer []) { REFUSES });
    handle_host_call();
    g_assert_cmpuint(stops, ==, 1);
    begin((Answer []) { IS_OFF });
    handle_host_call();
    g_assert_cmpuint(stops, ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define TEST(name, function) \
    g_test_add_func("/realm/enter/" name, function)
    TEST("runs", test_runs);
    TEST("exits-before-it-runs-and-gets-its-page", test_exits_before_it_runs);
    TEST("needs-a-page-that-is-gone", test_needs_a_page_that_is_gone);
    TEST("is-refused", test_is_refused);
    TEST("host-call-gets-its-answer", test_host_call);
    TEST("host-call-is-the-last", test_host_call_is_the_last);
#undef TEST
    return g_test_run();
}
