/*
 * The stand-in kernel: pages that were written, and pages that travel
 *
 * Purpose: KVM_ARM_REALM_DIRTY_LOG, KVM_ARM_REALM_EXPORT_PAGES and
 * KVM_ARM_REALM_IMPORT_PAGES.
 *
 * Invariants: a page in the log is told once, private ones until they were
 * exported; a bundle is exported and imported as a whole.
 *
 * Lock rule: handlers run with DoubleVm.lock, but for vm_export_pages, which
 * runs for any number of streams at once.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bitmap.h"
#include "qemu/bswap.h"
#include "qemu/cutils.h"
#include "internal.h"

/* ---- The log ---- */

typedef struct kvm_arm_realm_dirty_log Log;

static int check_log(DoubleVm *vm, const Log *log)
{
    if ((log->flags != KVM_ARM_REALM_DIRTY_PRIVATE &&
         log->flags != KVM_ARM_REALM_DIRTY_SHARED) ||
        !QEMU_IS_ALIGNED(log->base | log->size, GRANULE) || !log->size ||
        !log->num_runs || !log->runs ||
        !buffer_is_zero(log->reserved, sizeof(log->reserved))) {
        return double_forbid(EINVAL, "exactly one of the flags, whole pages, "
                             "room for runs, and reserved is zero");
    }
    if (!vm_is_ram(vm, log->base, log->size)) {
        return double_forbid(EINVAL, "0x%" PRIx64 " is not a slot with "
                             "guest_memfd", (uint64_t)log->base);
    }
    return vm->exporting ? 0 : -EPROTO;
}

static int private_pages(DoubleVm *vm, const Log *log, unsigned long *pages)
{
    uint64_t n = log->size / GRANULE;
    uint32_t cause;
    uint64_t result = RMI(MIG_FID_BASE + MIG_COLLECT_DIRTY, vm->rd, log->base,
                          log->base + log->size,
                          physical_window(1, pages, ROUND_UP(n, 64) / 8));

    bitmap_from_le(pages, pages, n);
    return migrate_result(result, false, &cause);
}

static void shared_pages(DoubleVm *vm, const Log *log, unsigned long *pages)
{
    for (uint64_t at = 0; at < log->size; at += GRANULE) {
        if (g_hash_table_contains(vm->shared_log,
                                  GSIZE_TO_POINTER(log->base + at))) {
            set_bit(at / GRANULE, pages);
        }
    }
}

static void forget_shared(DoubleVm *vm, uint64_t base, uint64_t size)
{
    for (uint64_t at = base; at < base + size; at += GRANULE) {
        g_hash_table_remove(vm->shared_log, GSIZE_TO_POINTER(at));
    }
}

/* Runs of the bits in @pages; the log goes on where there is no room. */
static void fill_runs(Log *log, const unsigned long *pages)
{
    struct kvm_arm_realm_dirty_run *runs = (void *)(uintptr_t)log->runs;
    uint64_t n = log->size / GRANULE, at = 0, next;
    uint32_t room = double_partly() ? 1 : log->num_runs, filled = 0;

    for (;;) {
        next = find_next_bit(pages, n, at);
        if (next == n || filled == room) {
            break;
        }
        at = find_next_zero_bit(pages, n, next);
        runs[filled++] = (struct kvm_arm_realm_dirty_run) {
            log->base + next * GRANULE, (at - next) * GRANULE
        };
    }
    at = next == n ? n : at;
    log->num_runs = filled;
    log->base += at * GRANULE;
    log->size -= at * GRANULE;
    log->remaining = 0;
    for (; at < n; at++) {
        log->remaining += test_bit(at, pages);
    }
}

int vm_dirty_log(DoubleFile *file, void *arg)
{
    Log *log = arg;
    DoubleVm *vm = file->vm;
    g_autofree unsigned long *pages = NULL;
    uint64_t base = log->base;
    int ret = check_log(vm, log);

    if (ret) {
        return ret;
    }
    pages = bitmap_new(ROUND_UP(log->size / GRANULE, 64));
    if (log->flags == KVM_ARM_REALM_DIRTY_PRIVATE) {
        ret = private_pages(vm, log, pages);
    } else {
        shared_pages(vm, log, pages);
    }
    if (ret) {
        return ret;
    }
    fill_runs(log, pages);
    if (log->flags == KVM_ARM_REALM_DIRTY_SHARED) {
        forget_shared(vm, base, log->base - base);
    }
    return 0;
}

/* ---- Bundles ---- */

typedef struct kvm_arm_realm_pages Pages;

static int check_pages(const Pages *args, bool export)
{
    if (args->flags ||
        !buffer_is_zero(args->reserved, sizeof(args->reserved)) ||
        !args->blob || !args->blob_size) {
        return double_forbid(EINVAL, "flags and reserved are zero, and there "
                             "is a blob");
    }
    if (export && (!args->list || !args->count ||
                   args->count > MIG_MAX_PAGES ||
                   args->stream >= MIG_MAX_STREAMS)) {
        return double_forbid(EINVAL, "1 to %d pages, and a stream below %d",
                             MIG_MAX_PAGES, MIG_MAX_STREAMS);
    }
    if (!export && (args->list || args->count || args->stream)) {
        return double_forbid(EINVAL, "an import has no list and no stream");
    }
    return 0;
}

int vm_export_pages(DoubleFile *file, void *arg)
{
    Pages *args = arg;
    int ret = check_pages(args, true);
    g_autofree uint64_t *list = NULL;
    uint64_t out[4], result;

    if (ret) {
        return ret;
    }
    list = g_new(uint64_t, args->count);
    for (uint32_t i = 0; i < args->count; i++) {
        list[i] = cpu_to_le64(((uint64_t *)(uintptr_t)args->list)[i]);
    }
    result = RMI_OUT(out, MIG_FID_BASE + MIG_EXPORT_MEMORY, file->vm->rd,
                     physical_window(1, list, args->count * sizeof(*list)),
                     args->count,
                     physical_window(0, (void *)(uintptr_t)args->blob,
                                     args->blob_size), args->blob_size,
                     args->stream);
    ret = migrate_result(result, false, &args->cause);
    if (!ret) {
        args->done = args->count;
        args->blob_size = out[0];
        args->pages = out[1];
    }
    return ret;
}

/* Tables and a granule for every page; 0 where one was imported before. */
static int prepare(DoubleVm *vm, const uint64_t *ipas, uint64_t *granules,
                   size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!vm_is_ram(vm, ipas[i], GRANULE)) {
            return -EFAULT;
        }
    }
    for (size_t i = 0; i < n; i++) {
        if (mmu_create_tables(vm, ipas[i])) {
            return -ENXIO;
        }
        granules[i] = cpu_to_le64(mmu_delegate(vm, ipas[i]));
    }
    return 0;
}

int vm_import_pages(DoubleFile *file, void *arg)
{
    Pages *args = arg;
    const void *blob = (const void *)(uintptr_t)args->blob;
    uint64_t ipas[MIG_MAX_PAGES], granules[MIG_MAX_PAGES], result;
    size_t n;
    int ret = check_pages(args, false);

    if (ret) {
        return ret;
    }
    n = mig_peek_entries(blob, args->blob_size, ipas);
    ret = prepare(file->vm, ipas, granules, n);
    if (ret) {
        return ret;
    }
    result = RMI(MIG_FID_BASE + MIG_IMPORT_MEMORY, file->vm->rd,
                 physical_window(0, blob, args->blob_size), args->blob_size,
                 physical_window(1, granules, MAX(n, 1) * sizeof(*granules)),
                 MAX(n, 1));
    ret = migrate_result(result, true, &args->cause);
    args->pages = ret ? 0 : n;
    return ret;
}
