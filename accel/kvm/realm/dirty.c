/*
 * The KVM backend for Realms: which pages were written
 *
 * Purpose: read the kernel's log of written pages.  The rounds of the Realm's
 * migration need the private ones.  QEMU's "ram" section needs the shared
 * ones, because KVM keeps no dirty log of a slot with guest_memfd.
 *
 * Invariants: one reading goes through all RAM in ascending order.  A run that
 * the kernel returns is used only if it lies in the range asked for.
 *
 * Lock rule: BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <linux/kvm.h>
#include <linux/kvm-arm-realm-migration.h>
#include "qapi/error.h"
#include "qemu/bitmap.h"
#include "realm-kvm.h"
#include "trace.h"

/* Of 16 bytes each, in the buffer for one call. */
#define MAX_RUNS 4096

/* Does something with the written pages in [@base, @base + @size). */
typedef void DirtyRunFn(uint64_t base, uint64_t size, void *opaque);

typedef struct Reading {
    struct kvm_arm_realm_dirty_log log;     /* what is left to read */
    const struct kvm_arm_realm_dirty_run *runs;
    uint64_t pages;                         /* in all runs so far */
    unsigned calls;
} Reading;

/* The log moved on from @before, and its runs lie, in order, in between. */
static bool is_valid_answer(const Reading *reading,
                            const struct kvm_arm_realm_dirty_log *before)
{
    const struct kvm_arm_realm_dirty_log *log = &reading->log;
    uint64_t at = before->base;

    if (log->num_runs > MAX_RUNS || log->size >= before->size ||
        log->base + log->size != before->base + before->size ||
        log->remaining > log->size / KVM_ARM_REALM_GRANULE) {
        return false;
    }
    for (uint32_t i = 0; i < log->num_runs; i++) {
        const struct kvm_arm_realm_dirty_run *run = &reading->runs[i];

        if (!QEMU_IS_ALIGNED(run->base | run->size, KVM_ARM_REALM_GRANULE) ||
            !run->size || run->base < at || run->base > log->base ||
            run->size > log->base - run->base) {
            return false;
        }
        at = run->base + run->size;
    }
    return true;
}

static bool read_next_runs(Reading *reading, Error **errp)
{
    const struct kvm_arm_realm_dirty_log before = reading->log;
    int ret = realm_kvm_vm_call(REALM_KVM_CALL(KVM_ARM_REALM_DIRTY_LOG,
                                               &reading->log));

    if (ret < 0) {
        error_setg_errno(errp, -ret, "Realm: cannot collect its dirty pages: "
                         "KVM_ARM_REALM_DIRTY_LOG from 0x%" PRIx64,
                         (uint64_t)before.base);
        return false;
    }
    if (ret > 0 || !is_valid_answer(reading, &before)) {
        realm_kvm_invalid_answer(errp, "KVM_ARM_REALM_DIRTY_LOG", "from 0x%"
                                 PRIx64 " on, it returned %d with %u runs, 0x%"
                                 PRIx64 " bytes from 0x%" PRIx64 " on and %"
                                 PRIu64 " pages to go", (uint64_t)before.base,
                                 ret, reading->log.num_runs,
                                 (uint64_t)reading->log.size,
                                 (uint64_t)reading->log.base,
                                 (uint64_t)reading->log.remaining);
        return false;
    }
    reading->calls++;
    return true;
}

/* Call @use_run for every run of @which; return the pages in them, or -1. */
static int64_t read_log(uint32_t which, DirtyRunFn *use_run, void *opaque,
                        Error **errp)
{
    g_autofree struct kvm_arm_realm_dirty_run *runs =
        g_new(struct kvm_arm_realm_dirty_run, MAX_RUNS);
    Reading reading = {
        .log = {
            .base = realm_kvm.config->ram_base,
            .size = realm_kvm.config->ram_size,
            .runs = (uintptr_t)runs,
            .flags = which,
        },
        .runs = runs,
    };

    while (reading.log.size) {
        reading.log.num_runs = MAX_RUNS;
        if (!read_next_runs(&reading, errp)) {
            return -1;
        }
        for (uint32_t i = 0; i < reading.log.num_runs; i++) {
            use_run(runs[i].base, runs[i].size, opaque);
            reading.pages += runs[i].size / KVM_ARM_REALM_GRANULE;
        }
    }
    trace_realm_kvm_dirty(which == KVM_ARM_REALM_DIRTY_PRIVATE ? "private"
                                                               : "shared",
                          reading.pages, reading.calls);
    return reading.pages;
}

static void set_dirty_bits(uint64_t base, uint64_t size, void *opaque)
{
    bitmap_set(opaque, (base - realm_kvm.config->ram_base) / REALM_PAGE_SIZE,
               size / REALM_PAGE_SIZE);
}

int64_t realm_kvm_collect_dirty(unsigned long *bitmap, Error **errp)
{
    if (!realm_kvm_check(REALM_STEP_COLLECT_DIRTY, errp)) {
        return -1;
    }
    bitmap_zero(bitmap, realm_kvm.config->ram_size / REALM_PAGE_SIZE);
    return read_log(KVM_ARM_REALM_DIRTY_PRIVATE, set_dirty_bits, bitmap, errp);
}

static void mark_shared(uint64_t base, uint64_t size, void *unused)
{
    realm_kvm_shared_written(base, size);
}

bool realm_kvm_sync_shared(Error **errp)
{
    RealmPhase phase = realm_kvm_phase();

    return (!realm_phase_exports(phase) && phase != REALM_PHASE_SEALED) ||
           read_log(KVM_ARM_REALM_DIRTY_SHARED, mark_shared, NULL,
                    errp) >= 0;
}
