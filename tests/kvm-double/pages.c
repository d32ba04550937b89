/*
 * The stand-in kernel: private pages that are owed, and that travel
 *
 * Purpose: KVM_CC_OWED_PAGES, KVM_CC_EXPORT_PAGES and KVM_CC_IMPORT_PAGES.
 *
 * Invariants: reading what is owed clears nothing.  A bundle is exported or
 * imported as a whole.  A call that fails has changed nothing, unless it has
 * ended the session, or a bundle was made and is given again.
 *
 * Lock rule: handlers run with DoubleVm.lock.  The exception is
 * vm_export_pages, which runs for any number of streams at once, with the lock
 * of its stream.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bitmap.h"
#include "qemu/bswap.h"
#include "qemu/cutils.h"
#include "qemu/lockable.h"
#include "qemu/units.h"
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

/* ---- What is owed ---- */

#define BLOCK_SIZE  (2 * MiB)
#define MAX_OWED    (8 * MiB)   /* of addresses, in one call */

typedef struct kvm_cc_owed Owed;

static int check_owed(DoubleVm *vm, const Owed *owed)
{
    if (owed->flags || !owed->size || !owed->num_runs || !owed->runs ||
        !buffer_is_zero(owed->reserved, sizeof(owed->reserved))) {
        return double_forbid(EINVAL, "a range, room for runs, and flags and "
                             "reserved are zero");
    }
    if (!is_protected(vm, owed->base, owed->size)) {
        return double_forbid(EINVAL, "0x%" PRIx64 " bytes at 0x%" PRIx64
                             " are not pages of the protected half",
                             (uint64_t)owed->size, (uint64_t)owed->base);
    }
    return check_session(vm, BIT(SESSION_EXPORTING) | BIT(SESSION_PAUSED));
}

/* Nothing is in the way of a table, so a refusal cannot be. */
static int make_tables(DoubleVm *vm, uint64_t ipa)
{
    if (mmu_create_tables(vm, ipa) == 0) {
        return 0;
    }
    vm_kill(vm);
    return -EIO;
}

/* The RMM tells written pages, and not blocks: split those of the range. */
static int split_blocks(DoubleVm *vm, uint64_t base, uint64_t size)
{
    uint64_t out[4];

    for (uint64_t ipa = ROUND_DOWN(base, BLOCK_SIZE); ipa < base + size;
         ipa += BLOCK_SIZE) {
        RMI_OUT(out, RMI_RTT_READ_ENTRY, vm->rd, ipa, 3);
        if (out[0] < 3 && out[1] == RMI_ASSIGNED && make_tables(vm, ipa)) {
            return -EIO;
        }
    }
    return 0;
}

static int read_owed(DoubleVm *vm, uint64_t base, uint64_t size,
                     unsigned long *pages)
{
    uint64_t n = size / GRANULE, out[4], result;
    __u64 detail;
    uint32_t cause;
    int ret;

    /* User space reads in any order; the RMM comes from below, in pieces. */
    do {
        result = RMI_OUT(out, MIG_FID_BASE + MIG_COLLECT_DIRTY, vm->rd, base,
                         base + size,
                         physical_window(1, pages, ROUND_UP(n, 64) / 8));
    } while (result == RMI_SUCCESS && out[1]);
    bitmap_from_le(pages, pages, n);
    ret = migrate_result(vm, result, false, &cause, &detail);
    return ret == -EPROTO && detail == MIG_CAUSE_SAME_EPOCH ? -EPERM : ret;
}

/*
 * Turn the bits of the @n @pages into runs, as many as there is room for.
 * Returns how many pages that took.
 */
static uint64_t fill_runs(Owed *owed, const unsigned long *pages, uint64_t n)
{
    struct kvm_cc_run *runs = (void *)(uintptr_t)owed->runs;
    uint64_t at = 0, next;
    uint32_t room = double_partly() ? 1 : owed->num_runs, filled = 0;

    for (;;) {
        next = find_next_bit(pages, n, at);
        if (next == n || filled == room) {
            break;
        }
        at = find_next_zero_bit(pages, n, next);
        runs[filled++] = (struct kvm_cc_run) {
            owed->base + next * GRANULE, (at - next) * GRANULE
        };
    }
    owed->num_runs = filled;
    return next == n ? n : at;
}

int vm_owed_pages(DoubleFile *file, void *arg)
{
    Owed *owed = arg;
    DoubleVm *vm = file->vm;
    g_autofree unsigned long *pages = NULL;
    uint64_t size, done;
    int ret = check_owed(vm, owed);

    if (ret) {
        return ret;
    }
    size = MIN(owed->size, MAX_OWED);
    pages = bitmap_new(ROUND_UP(size / GRANULE, 64));
    ret = split_blocks(vm, owed->base, size) ?:
          read_owed(vm, owed->base, size, pages);
    if (ret) {
        return ret;
    }
    done = fill_runs(owed, pages, size / GRANULE) * GRANULE;
    owed->base += done;
    owed->size -= done;
    return 0;
}

/* ---- Bundles ---- */

typedef struct kvm_cc_pages Pages;

static int check_import(const Pages *args)
{
    if (args->list || args->count || args->stream || args->number) {
        return double_forbid(EINVAL, "an import has no list, no stream and no "
                             "number");
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

/* Copy the list as the RMM reads it. */
static int copy_list(DoubleVm *vm, Pages *args, uint64_t *list)
{
    const uint64_t *from = (const uint64_t *)(uintptr_t)args->list;

    for (uint32_t i = 0; i < args->count; i++) {
        if (!is_protected(vm, from[i], GRANULE)) {
            args->bad = (struct kvm_cc_run) { from[i], GRANULE };
            return double_forbid(EINVAL, "0x%" PRIx64 " is no page of the "
                                 "protected half", from[i]);
        }
        list[i] = cpu_to_le64(from[i]);
    }
    return 0;
}

/* Give the last bundle of this stream again: 1, if the next one is wanted. */
static int give_again(DoubleVm *vm, Pages *args)
{
    QEMU_LOCK_GUARD(&vm->lock);
    const DoubleKept *kept = &vm->kept_bundle[args->stream];
    uint64_t next = vm->next_number[args->stream];
    int ret = check_session(vm, BIT(SESSION_EXPORTING) | BIT(SESSION_PAUSED));

    if (ret || args->number == next) {
        return ret ?: 1;
    }
    if (!kept->blob || args->number + 1 != next) {
        return -EINVAL;
    }
    ret = migrate_give_kept(kept, args->blob, &args->blob_size);
    args->pages = ret ? 0 : kept->pages;
    return ret;
}

static void keep_bundle(DoubleVm *vm, unsigned stream, const void *bundle,
                        size_t size, unsigned pages)
{
    QEMU_LOCK_GUARD(&vm->lock);

    vm->next_number[stream]++;
    migrate_keep(&vm->kept_bundle[stream], (DoubleKept) {
        .blob = g_bytes_new(bundle, size), .pages = pages,
    });
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
        ? -ENOSPC : migrate_result(vm, result, false, &args->cause,
                                   &args->detail);

    if (ret) {
        return ret;
    }
    if (out[1]) {
        keep_bundle(vm, args->stream, bundle, out[0], out[1]);
    }
    ret = double_copy_out(args->blob, bundle, out[0]);
    if (ret && out[1]) {
        return ret;
    }
    args->blob_size = out[0];
    args->pages = out[1];
    return 0;
}

int vm_export_pages(DoubleFile *file, void *arg)
{
    Pages *args = arg;
    g_autofree uint64_t *list = NULL;
    int ret = check_pages(args, true);

    args->bad = (struct kvm_cc_run) { 0 };
    if (ret) {
        return ret;
    }
    QEMU_LOCK_GUARD(&file->vm->stream_lock[args->stream]);
    ret = give_again(file->vm, args);
    if (ret <= 0) {
        return ret;
    }
    list = g_new(uint64_t, args->count);
    return copy_list(file->vm, args, list) ?:
           export_list(file->vm, args, list);
}

/* The first run of pages of the bundle that @wrong is true for; false: none. */
static bool find_bad(DoubleVm *vm, Pages *args, const uint64_t *ipas, size_t n,
                     bool (*wrong)(DoubleVm *vm, uint64_t gpa))
{
    struct kvm_cc_run *bad = &args->bad;

    for (size_t i = 0; i < n; i++) {
        if (bad->size && (ipas[i] != bad->base + bad->size ||
                          !wrong(vm, ipas[i]))) {
            break;
        }
        if (wrong(vm, ipas[i])) {
            bad->base = bad->size ? bad->base : ipas[i];
            bad->size += GRANULE;
        }
    }
    return bad->size;
}

static bool is_no_ram(DoubleVm *vm, uint64_t gpa)
{
    return !vm_is_ram(vm, gpa, GRANULE);
}

static bool is_not_private(DoubleVm *vm, uint64_t gpa)
{
    return !vm_is_private(vm, gpa);
}

/* Make tables, and a granule for each page: 0 if it has one already. */
static int prepare_pages(DoubleVm *vm, Pages *args, const uint64_t *ipas,
                         uint64_t *granules, size_t n)
{
    if (find_bad(vm, args, ipas, n, is_no_ram)) {
        return -EFAULT;
    }
    if (find_bad(vm, args, ipas, n, is_not_private)) {
        return -EADDRNOTAVAIL;
    }
    for (size_t i = 0; i < n; i++) {
        if (make_tables(vm, ipas[i])) {
            return -EIO;
        }
        granules[i] = cpu_to_le64(mmu_delegate(vm, ipas[i]));
    }
    return 0;
}

/* The RMM has refused the bundle, so it has none of these granules. */
static void take_back(DoubleVm *vm, const uint64_t *ipas,
                      const uint64_t *granules, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (granules[i]) {
            mmu_undelegate(vm, ipas[i]);
        }
    }
}

/*
 * The addresses of a bundle's pages, in the order of the bundle.  What is none
 * goes to the RMM as it is, and so does one for a stream that there is not.
 */
static size_t read_ipas(const Pages *args, uint64_t *ipas)
{
    const void *blob = (const void *)(uintptr_t)args->blob;
    size_t n = mig_peek_entries(blob, args->blob_size, ipas);

    return n && lduw_le_p(blob + offsetof(MigHeader, stream)) <
                MIG_MAX_STREAMS ? n : 0;
}

int vm_import_pages(DoubleFile *file, void *arg)
{
    Pages *args = arg;
    const void *blob = (const void *)(uintptr_t)args->blob;
    uint64_t ipas[MIG_MAX_PAGES], granules[MIG_MAX_PAGES], result;
    size_t n;
    int ret = check_pages(args, false) ?:
              check_session(file->vm, BIT(SESSION_IMPORTING));

    args->bad = (struct kvm_cc_run) { 0 };
    if (ret) {
        return ret;
    }
    n = read_ipas(args, ipas);
    ret = prepare_pages(file->vm, args, ipas, granules, n);
    if (ret) {
        return ret;
    }
    result = RMI(MIG_FID_BASE + MIG_IMPORT_MEMORY, file->vm->rd,
                 physical_window(0, blob, args->blob_size), args->blob_size,
                 physical_window(1, granules, MAX(n, 1) * sizeof(*granules)),
                 MAX(n, 1));
    ret = migrate_result(file->vm, result, true, &args->cause, &args->detail);
    args->pages = ret ? 0 : n;
    if (ret == -EPROTO || ret == -EBADMSG) {
        take_back(file->vm, ipas, granules, n);
    }
    if (ret == -EBADMSG) {
        file->vm->session = SESSION_FAILED;
    }
    return ret;
}
