/*
 * The KVM backend for Realms: which pages were written
 *
 * Purpose: read which private pages have to leave, for the rounds of the
 * Realm's migration.  QEMU's "ram" section has the shared ones, from KVM's
 * dirty log of the memory slots.
 *
 * Invariants: one reading goes through all RAM in ascending order.  A run that
 * the kernel returns is used only if it lies in the range asked for.
 *
 * Lock rule: BQL.  While the Realm runs, the kernel is asked without it, so
 * that vCPUs and the monitor do not wait for a reading of all RAM: as in an
 * iteration of QEMU's migration, which has it neither, the session ends only
 * after the migration's thread.  Once vCPUs are stopped, it is kept: nothing
 * may come between them and the end of the migration.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <linux/kvm.h>
#include <linux/kvm-cc-migration.h>
#include "qapi/error.h"
#include "qemu/bitmap.h"
#include "qemu/main-loop.h"
#include "target/arm/rmm/mig-abi.h"
#include "realm-kvm.h"
#include "trace.h"

/* Of 16 bytes each, in the buffer for one call. */
#define MAX_RUNS 4096

typedef struct Reading {
    struct kvm_cc_owed owed;    /* what is left to read */
    const struct kvm_cc_run *runs;
    uint64_t pages;             /* in all runs so far */
    unsigned calls;
} Reading;

/* It moved on from @before, and its runs lie, in order, in between. */
static bool is_valid_answer(const Reading *reading,
                            const struct kvm_cc_owed *before)
{
    const struct kvm_cc_owed *owed = &reading->owed;
    uint64_t at = before->base;

    if (owed->num_runs > MAX_RUNS || owed->size >= before->size ||
        owed->base + owed->size != before->base + before->size) {
        return false;
    }
    for (uint32_t i = 0; i < owed->num_runs; i++) {
        const struct kvm_cc_run *run = &reading->runs[i];

        if (!QEMU_IS_ALIGNED(run->base | run->size, REALM_PAGE_SIZE) ||
            !run->size || run->base < at || run->base > owed->base ||
            run->size > owed->base - run->base) {
            return false;
        }
        at = run->base + run->size;
    }
    return true;
}

static int ask_kernel(struct kvm_cc_owed *owed)
{
    const bool runs = realm_kvm_phase() == REALM_PHASE_EXPORTING;
    int ret;

    if (runs) {
        bql_unlock();
    }
    ret = realm_kvm_vm_call_again(REALM_KVM_CALL(KVM_CC_OWED_PAGES, owed),
                                  sizeof(*owed));
    if (runs) {
        bql_lock();
    }
    return ret;
}

static bool read_next_runs(Reading *reading, Error **errp)
{
    const struct kvm_cc_owed before = reading->owed;
    int ret = ask_kernel(&reading->owed);

    if (ret == -EPROTO) {       /* it has no other reason for that */
        realm_kvm_refused(errp, REALM_STEP_COLLECT_DIRTY, "KVM_CC_OWED_PAGES",
                          ret, KVM_CC_CAUSE_LOST, MIG_CAUSE_RECLAIMED);
        return false;
    }
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Realm: cannot collect its dirty pages: "
                         "KVM_CC_OWED_PAGES from 0x%" PRIx64,
                         (uint64_t)before.base);
        return false;
    }
    if (ret > 0 || !is_valid_answer(reading, &before)) {
        realm_kvm_invalid_answer(errp, "KVM_CC_OWED_PAGES", "from 0x%"
                                 PRIx64 " on, it returned %d with %u runs, and "
                                 "0x%" PRIx64 " bytes from 0x%" PRIx64 " on to "
                                 "go", (uint64_t)before.base, ret,
                                 reading->owed.num_runs,
                                 (uint64_t)reading->owed.size,
                                 (uint64_t)reading->owed.base);
        return false;
    }
    reading->calls++;
    return true;
}

static void set_bits(Reading *reading, unsigned long *bitmap)
{
    for (uint32_t i = 0; i < reading->owed.num_runs; i++) {
        const struct kvm_cc_run *run = &reading->runs[i];
        uint64_t pages = run->size / REALM_PAGE_SIZE;

        bitmap_set(bitmap, (run->base - realm_kvm.config->ram_base) /
                           REALM_PAGE_SIZE, pages);
        reading->pages += pages;
    }
}

int64_t realm_kvm_collect_dirty(unsigned long *bitmap, Error **errp)
{
    g_autofree struct kvm_cc_run *runs = g_new(struct kvm_cc_run, MAX_RUNS);
    Reading reading = {
        .owed = {
            .base = realm_kvm.config->ram_base,
            .size = realm_kvm.config->ram_size,
            .runs = (uintptr_t)runs,
        },
        .runs = runs,
    };

    if (!realm_kvm_check(REALM_STEP_COLLECT_DIRTY, errp)) {
        return -1;
    }
    bitmap_zero(bitmap, realm_kvm.config->ram_size / REALM_PAGE_SIZE);
    while (reading.owed.size) {
        reading.owed.num_runs = MAX_RUNS;
        if (!read_next_runs(&reading, errp)) {
            return -1;
        }
        set_bits(&reading, bitmap);
    }
    trace_realm_kvm_owed(reading.pages, reading.calls);
    return reading.pages;
}
