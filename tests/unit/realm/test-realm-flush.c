/*
 * TLBs are flushed after a change of stage 2 (accel/tcg/realm/machine/call.c)
 *
 * Purpose: RmmOps.tlb_sync waits for each vCPU that may still execute, and for
 * no other.  Here a vCPU is what QEMU says of it, and the RMM does nothing.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "qemu/rcu_queue.h"
#include "exec/cputlb.h"
#include "target/arm/cpu.h"
#include "accel/tcg/realm/machine/call.h"
#include "accel/tcg/realm/machine/context.h"
#include "accel/tcg/realm/machine/keys.h"
#include "accel/tcg/realm/machine/pe.h"
#include "accel/tcg/realm/machine/physmem.h"
#include "accel/tcg/realm/machine/services.h"

#define VCPUS 2

static ARMCPU cpus[VCPUS];
static unsigned waited, queued, flushed;

/* ---- What QEMU gives ---- */

CPUTailQ cpus_queue = QTAILQ_HEAD_INITIALIZER(cpus_queue);
__thread CPUState *current_cpu;

void run_on_cpu(CPUState *cpu, run_on_cpu_func func, run_on_cpu_data data)
{
    func(cpu, data);
    waited++;
}

void async_run_on_cpu(CPUState *cpu, run_on_cpu_func func,
                      run_on_cpu_data data)
{
    queued++;
}

void tlb_flush(CPUState *cs)
{
    flushed++;
}

/* ---- The RMM, which any call enters a REC of ---- */

Rmm *realm_rmm;
const RealmHostOps *realm_host_ops;

void rmm_call(Rmm *rmm, RmmPe *pe)
{
    pe->world = RMM_WORLD_REALM;
}

/* ---- What no call here asks for ---- */

#define NEVER(type, name, ...) \
    type name(__VA_ARGS__) \
    { \
        g_assert_not_reached(); \
    }

NEVER(void *, realm_physmem_granule, void *opaque, uint64_t pa)
NEVER(uint8_t *, realm_physmem_granule_tags, void *opaque, uint64_t pa)
NEVER(bool, realm_physmem_has, uint64_t pa, size_t len)
NEVER(void, realm_physmem_granule_written, void *opaque, uint64_t pa,
      size_t len)
NEVER(void, realm_random, void *opaque, void *buf, size_t len)
NEVER(uint64_t, realm_seconds, void *opaque)
NEVER(void, realm_log, void *opaque, const RmmLog *entry)
NEVER(size_t, realm_key, void *opaque, RmmKey which, void *buf, size_t size)
NEVER(size_t, realm_certificates, void *opaque, void *buf, size_t size)
NEVER(size_t, realm_context_save, void *opaque, uint64_t mpidr, void *buf,
      size_t size)
NEVER(bool, realm_context_load, void *opaque, uint64_t mpidr, const void *buf,
      size_t size)
NEVER(void, realm_context_wipe, void *opaque, uint64_t mpidr)

/* ---- Tests ---- */

/* A change of stage 2. */
static void change_stage2(void)
{
    waited = queued = flushed = 0;
    realm_rmm_ops.tlb_invalidate(NULL, 1, 0, 4096);
    realm_rmm_ops.tlb_sync(NULL);
}

/* The same after a REC was entered, with each vCPU in that state. */
static void change(bool first_stopped, bool second_stopped)
{
    RmmPe pe = { 0 };

    realm_call(&pe);
    CPU(&cpus[0])->stopped = first_stopped;
    CPU(&cpus[1])->stopped = second_stopped;
    change_stage2();
}

/* The first test: no REC was entered, so no TLB has anything. */
static void test_nothing_has_run(void)
{
    change_stage2();
    g_assert_cmpuint(waited + queued + flushed, ==, 0);
}

static void test_waits_for_vcpus_that_run(void)
{
    change(false, false);
    g_assert_cmpuint(waited, ==, VCPUS);
    g_assert_cmpuint(queued, ==, 0);
}

/* The BQL is not given up: nothing can run meanwhile. */
static void test_queues_where_all_have_stopped(void)
{
    change(true, true);
    g_assert_cmpuint(waited, ==, 0);
    g_assert_cmpuint(queued, ==, VCPUS);
}

/*
 * QEMU says that the machine does not run before its vCPUs have left the
 * guest, and gives the BQL up while it waits for them.  So what the machine
 * says does not count, and nothing here asks for it.
 */
static void test_waits_for_a_vcpu_that_is_about_to_stop(void)
{
    change(true, false);
    g_assert_cmpuint(waited, ==, 1);
    g_assert_cmpuint(queued, ==, 1);
}

static void test_once_for_many_changes(void)
{
    change(false, false);
    realm_rmm_ops.tlb_sync(NULL);
    g_assert_cmpuint(waited, ==, VCPUS);
}

/*
 * A Realm ends: what it had is taken back by a call for each page, and only the
 * first flushes.  The next Realm's changes flush again.
 */
static void test_once_until_a_rec_is_entered(void)
{
    change(true, true);
    queued = 0;
    realm_call_flush();
    g_assert_cmpuint(queued, ==, VCPUS);
    realm_call_flush();
    g_assert_cmpuint(queued, ==, VCPUS);
    change_stage2();
    g_assert_cmpuint(waited + queued + flushed, ==, 0);
    change(true, true);
    g_assert_cmpuint(queued, ==, VCPUS);
}

/* Where all others are excluded, the TLBs that have something are emptied. */
static void test_excluded_vcpus_are_flushed_at_once(void)
{
    current_cpu = CPU(&cpus[0]);
    current_cpu->exclusive_context_count = 1;
    CPU(&cpus[1])->neg.tlb.c.dirty = 1;
    change(false, false);
    g_assert_cmpuint(flushed, ==, 1);
    g_assert_cmpuint(waited + queued, ==, 0);
    current_cpu = NULL;
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    rust_bql_mock_lock();       /* QEMU's stub of the BQL: it is held */
    for (unsigned i = 0; i < VCPUS; i++) {
        QTAILQ_INSERT_TAIL_RCU(&cpus_queue, CPU(&cpus[i]), node);
    }
#define TEST(name, function) \
    g_test_add_func("/realm/flush/" name, function)
    TEST("nothing-has-run", test_nothing_has_run);
    TEST("waits-for-vcpus-that-run", test_waits_for_vcpus_that_run);
    TEST("queues-where-all-have-stopped", test_queues_where_all_have_stopped);
    TEST("waits-for-a-vcpu-that-is-about-to-stop",
         test_waits_for_a_vcpu_that_is_about_to_stop);
    TEST("once-for-many-changes", test_once_for_many_changes);
    TEST("once-until-a-rec-is-entered", test_once_until_a_rec_is_entered);
    TEST("excluded-vcpus-are-flushed-at-once",
         test_excluded_vcpus_are_flushed_at_once);
#undef TEST
    return g_test_run();
}
