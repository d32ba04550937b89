/*
 * The stand-in kernel: pages that were written, and pages that travel
 *
 * Purpose: KVM_ARM_REALM_DIRTY_LOG, KVM_ARM_REALM_EXPORT_PAGES and
 * KVM_ARM_REALM_IMPORT_PAGES.
 *
 * Invariants: reading the log clears it, except for private pages that have not
 * been exported yet.  A bundle is exported or imported as a whole.  A call that
 * fails has changed nothing, unless it has ended the session, or owes a bundle.
 *
 * Lock rule: handlers run with DoubleVm.lock.  The exception is
 * vm_export_pages, which runs for any number of streams at once.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bitmap.h"
#include "qemu/bswap.h"
#include "qemu/cutils.h"
#include "qemu/lockable.h"
#include "internal.h"

static int check_session(const DoubleVm *vm, unsigned sessions)
{
    return !vm->migratable ? -EOPNOTSUPP
                           : migrate_in(vm, sessions) ? 0 : -EPERM;
}

/* The range lies in the protected half, with or without a slot. */
static bool is_protected(const DoubleVm *vm, uint64_t base, uint64_t size)
{
    uint64_t top = BIT_ULL(vm->ipa_bits - 1);

    return QEMU_IS_ALIGNED(base | size, GRANULE) && base < top &&
           size <= top - base;
}

/* ---- The log ---- */

typedef struct kvm_arm_realm_dirty_log Log;

static int check_log(DoubleVm *vm, const Log *log)
{
    if ((log->flags != KVM_ARM_REALM_DIRTY_PRIVATE &&
         log->flags != KVM_ARM_REALM_DIRTY_SHARED) ||
        !log->size || !log->num_runs || !log->runs ||
        !buffer_is_zero(log->reserved, sizeof(log->reserved))) {
        return double_forbid(EINVAL, "exactly one of the flags, a range, room "
                             "for runs, and reserved is zero");
    }
    if (!is_protected(vm, log->base, log->size)) {
        return double_forbid(EINVAL, "0x%" PRIx64 " bytes at 0x%" PRIx64
                             " are not pages of the protected half",
                             (uint64_t)log->size, (uint64_t)log->base);
    }
    return check_session(vm, BIT(SESSION_EXPORTING) | BIT(SESSION_PAUSED) |
                             (log->flags == KVM_ARM_REALM_DIRTY_SHARED
                              ? BIT(SESSION_SEALED) : 0));
}

static int private_pages(DoubleVm *vm, const Log *log, unsigned long *pages)
{
    uint64_t n = log->size / GRANULE;
    uint32_t cause;
    int ret;
    uint64_t result = RMI(MIG_FID_BASE + MIG_COLLECT_DIRTY, vm->rd, log->base,
                          log->base + log->size,
                          physical_window(1, pages, ROUND_UP(n, 64) / 8));

    bitmap_from_le(pages, pages, n);
    ret = migrate_result(result, false, &cause);
    return ret == -EPROTO && cause == MIG_CAUSE_SAME_EPOCH ? -EPERM : ret;
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

/* Turn the bits of @pages into runs; without room, @log says where it ended. */
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

static int check_import(const Pages *args)
{
    if (args->list || args->count || args->stream) {
        return double_forbid(EINVAL, "an import has no list and no stream");
    }
    return args->blob_size > MIG_MAX_BUNDLE ? -E2BIG : 0;
}

static int check_export(const Pages *args)
{
    if (!args->list || !args->count || args->stream >= MIG_MAX_STREAMS) {
        return double_forbid(EINVAL, "a list, and a stream below %d",
                             MIG_MAX_STREAMS);
    }
    return args->count <= MIG_MAX_PAGES ? 0
        : double_forbid(E2BIG, "at most %d pages", MIG_MAX_PAGES);
}

static int check_pages(const Pages *args, bool export)
{
    if (args->flags ||
        !buffer_is_zero(args->reserved, sizeof(args->reserved)) ||
        !args->blob || !args->blob_size) {
        return double_forbid(EINVAL, "flags and reserved are zero, and there "
                             "is a blob");
    }
    return export ? check_export(args) : check_import(args);
}

/* Copy the list as the RMM reads it.  args->done tells a wrong entry. */
static int copy_list(DoubleVm *vm, Pages *args, uint64_t *list)
{
    const uint64_t *from = (const uint64_t *)(uintptr_t)args->list;

    for (args->done = 0; args->done < args->count; args->done++) {
        if (!is_protected(vm, from[args->done], GRANULE)) {
            return double_forbid(EINVAL, "0x%" PRIx64 " is no page of the "
                                 "protected half", from[args->done]);
        }
        list[args->done] = cpu_to_le64(from[args->done]);
    }
    args->done = 0;
    return 0;
}

/* Give the bundle that this stream owes: 1, without one, goes on. */
static int give_owed(DoubleVm *vm, Pages *args)
{
    QEMU_LOCK_GUARD(&vm->lock);
    DoubleOwed *owed = &vm->owed[args->stream];
    int ret = check_session(vm, BIT(SESSION_EXPORTING) | BIT(SESSION_PAUSED));

    if (ret) {
        return ret;
    }
    if (!owed->record) {
        return 1;
    }
    if (owed->cmd != DOUBLE_OWES_PAGES) {
        return -EBUSY;
    }
    ret = migrate_give_owed(owed, args->blob, &args->blob_size);
    if (!ret) {
        args->done = args->count;
        args->pages = owed->pages;
    }
    return ret;
}

static void owe(DoubleVm *vm, unsigned stream, const void *bundle, size_t size,
                unsigned pages)
{
    QEMU_LOCK_GUARD(&vm->lock);

    vm->owed[stream] = (DoubleOwed) {
        .record = g_bytes_new(bundle, size),
        .cmd = DOUBLE_OWES_PAGES, .pages = pages,
    };
}

static int export_list(DoubleVm *vm, Pages *args, const uint64_t *list)
{
    uint64_t room = MIN(args->blob_size, MIG_MAX_BUNDLE), out[4];
    g_autofree void *bundle = g_malloc(room);
    uint64_t result = RMI_OUT(out, MIG_FID_BASE + MIG_EXPORT_MEMORY, vm->rd,
                              physical_window(1, list,
                                              args->count * sizeof(*list)),
                              args->count, physical_window(0, bundle, room),
                              room, args->stream);
    /* All arguments but the size of the buffer were checked before. */
    int ret = RMI_STATUS(result) == RMI_ERROR_INPUT
        ? -ENOSPC : migrate_result(result, false, &args->cause);

    if (ret) {
        return ret;
    }
    ret = double_copy_out(args->blob, bundle, out[0]);
    if (ret && out[0]) {
        owe(vm, args->stream, bundle, out[0], out[1]);
        return ret;
    }
    args->done = args->count;
    args->blob_size = out[0];
    args->pages = out[1];
    return 0;
}

int vm_export_pages(DoubleFile *file, void *arg)
{
    Pages *args = arg;
    g_autofree uint64_t *list = NULL;
    int ret = check_pages(args, true);

    if (ret) {
        return ret;
    }
    list = g_new(uint64_t, args->count);
    ret = copy_list(file->vm, args, list) ?: give_owed(file->vm, args);
    return ret > 0 ? export_list(file->vm, args, list) : ret;
}

/* Make tables, and a granule for each page: 0 if it was imported before. */
static int prepare_pages(DoubleVm *vm, const uint64_t *ipas,
                         uint64_t *granules, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!vm_is_ram(vm, ipas[i], GRANULE)) {
            return -EFAULT;
        }
    }
    for (size_t i = 0; i < n; i++) {
        if (mmu_create_tables(vm, ipas[i])) {
            return -EIO;
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
    int ret = check_pages(args, false) ?:
              check_session(file->vm, BIT(SESSION_IMPORTING));

    args->done = 0;
    if (ret) {
        return ret;
    }
    n = mig_peek_entries(blob, args->blob_size, ipas);
    ret = prepare_pages(file->vm, ipas, granules, n);
    if (ret) {
        return ret;
    }
    result = RMI(MIG_FID_BASE + MIG_IMPORT_MEMORY, file->vm->rd,
                 physical_window(0, blob, args->blob_size), args->blob_size,
                 physical_window(1, granules, MAX(n, 1) * sizeof(*granules)),
                 MAX(n, 1));
    ret = migrate_result(result, true, &args->cause);
    args->pages = ret ? 0 : n;
    if (ret == -EBADMSG) {
        file->vm->session = SESSION_FAILED;
    }
    return ret;
}
