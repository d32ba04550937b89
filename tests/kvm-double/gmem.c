/*
 * The stand-in kernel: guest_memfd
 *
 * Purpose: KVM_CREATE_GUEST_MEMFD, holes, and in a flavour with in_place
 * KVM_SET_MEMORY_ATTRIBUTES2 on the descriptor, as "guest_memfd: In-place
 * conversion support" has it: offsets in the file, EAGAIN with error_offset
 * while somebody pins a page.
 *
 * Invariants:
 * - A descriptor is a memfd that the caller may map; it has the pages that the
 *   RMM sees.
 * - Who touches a private page of a mapping gets a signal, as in Linux: such
 *   pages of all mappings have PROT_NONE, which is SIGSEGV instead of SIGBUS.
 *   Pages that are mapped later are accessible, unlike in Linux.
 *
 * Lock rule: handlers run with DoubleVm.lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include "qemu/bitmap.h"
#include "qemu/cutils.h"
#include "qemu/lockable.h"
#include "system/kvm_int.h"
#include "internal.h"

typedef struct Mapping {
    uint64_t start, end;        /* addresses */
    uint64_t offset;            /* in the file */
} Mapping;

/* The mappings of @gmem in this process, but for the double's own. */
static GArray *find_mappings(const DoubleGmem *gmem)
{
    GArray *found = g_array_new(false, false, sizeof(Mapping));
    g_autofree char *maps = NULL;
    g_auto(GStrv) lines = NULL;
    struct stat st;

    g_assert_cmpint(fstat(gmem->fd, &st), ==, 0);
    g_assert_true(g_file_get_contents("/proc/self/maps", &maps, NULL, NULL));
    lines = g_strsplit(maps, "\n", -1);
    for (char **line = lines; *line; line++) {
        unsigned major, minor;
        uint64_t inode;
        Mapping m;

        if (sscanf(*line, "%" SCNx64 "-%" SCNx64 " %*s %" SCNx64 " %x:%x %"
                   SCNu64, &m.start, &m.end, &m.offset, &major, &minor,
                   &inode) == 6 &&
            inode == st.st_ino && makedev(major, minor) == st.st_dev &&
            m.start != (uintptr_t)gmem->host) {
            g_array_append_val(found, m);
        }
    }
    return found;
}

bool gmem_is_mapped(const DoubleGmem *gmem)
{
    g_autoptr(GArray) mappings = find_mappings(gmem);

    return mappings->len > 0;
}

int gmem_check_mapping(const DoubleSlot *slot)
{
    g_autoptr(GArray) mappings = find_mappings(slot->gmem);
    uint64_t at = slot->region.userspace_addr;
    uint64_t end = at + slot->region.memory_size;

    for (guint i = 0; i < mappings->len && at < end; i++) {
        const Mapping *m = &g_array_index(mappings, Mapping, i);
        uint64_t offset = slot->region.guest_memfd_offset +
                          (at - slot->region.userspace_addr);

        if (at >= m->start && at < m->end &&
            m->offset + (at - m->start) == offset) {
            at = m->end;
        }
    }
    return at >= end ? 0
        : double_forbid(0, "userspace_addr has to be a mapping of the same "
                        "guest_memfd and offset: where KVM itself reads and "
                        "writes, the guest would not see it");
}

/* What mappings of @gmem let at the pages of a range. */
static void protect(const DoubleGmem *gmem, uint64_t offset, uint64_t size,
                    int prot)
{
    g_autoptr(GArray) mappings = find_mappings(gmem);

    for (guint i = 0; i < mappings->len; i++) {
        const Mapping *m = &g_array_index(mappings, Mapping, i);
        uint64_t first = MAX(offset, m->offset);
        uint64_t end = MIN(offset + size, m->offset + (m->end - m->start));

        if (first < end) {
            void *start = (void *)(uintptr_t)(m->start + (first - m->offset));

            g_assert_cmpint(mprotect(start, end - first, prot), ==, 0);
        }
    }
}

/* ---- ioctls ---- */

int vm_create_gmem(DoubleFile *file, void *arg)
{
    struct kvm_create_guest_memfd *args = arg;
    uint64_t known = !the_double->flavour->in_place
        ? 0 : GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED;
    DoubleGmem *gmem;
    int fd;

    if (args->flags & ~known || (int64_t)args->size <= 0 ||
        !vm_is_aligned(args->size, 0)) {
        return double_forbid(EINVAL, "known flags, and the size is whole "
                             "pages");
    }
    if (!buffer_is_zero(args->reserved, sizeof(args->reserved))) {
        double_forbid(0, "reserved is zero");
    }
    gmem = gmem_new(args->size);
    if (!(args->flags & GUEST_MEMFD_FLAG_INIT_SHARED)) {
        bitmap_fill(gmem->private, args->size / the_double->page_size);
    }
    fd = double_open_fd(DOUBLE_GMEM, file->vm, gmem,
                        fcntl(gmem->fd, F_DUPFD_CLOEXEC, 0));
    if (fd < 0) {
        gmem_free(gmem);
        return fd;
    }
    g_ptr_array_add(file->vm->gmems, gmem);
    return fd;
}

/* Take a range away from all slots that have it. */
static void unmap(DoubleVm *vm, const DoubleGmem *gmem, uint64_t offset,
                  uint64_t size, void (*half)(DoubleVm *vm, uint64_t gpa,
                                              uint64_t size))
{
    for (guint i = 0; i < vm->slots->len; i++) {
        const DoubleSlot *slot = g_ptr_array_index(vm->slots, i);
        uint64_t start = slot->region.guest_memfd_offset;
        uint64_t first = MAX(offset, start);
        uint64_t end = MIN(offset + size, start + slot->region.memory_size);

        if (slot->gmem == gmem && first < end) {
            half(vm, slot->region.guest_phys_addr + (first - start),
                 end - first);
        }
    }
}

static void unmap_all(DoubleVm *vm, const DoubleGmem *gmem, uint64_t offset,
                      uint64_t size)
{
    if (the_double->flavour->in_place) {
        unmap(vm, gmem, offset, size, mmu_unmap_shared);
    }
    unmap(vm, gmem, offset, size, mmu_unmap_private);
}

static int check_attributes(const DoubleVm *vm, const DoubleGmem *gmem,
                            const struct kvm_memory_attributes2 *args)
{
    if (!vm->realm) {
        return double_forbid(EINVAL, "an ordinary VM has no private memory");
    }
    if (args->flags ||
        !buffer_is_zero(args->reserved, sizeof(args->reserved)) ||
        args->attributes & ~KVM_MEMORY_ATTRIBUTE_PRIVATE) {
        return double_forbid(EINVAL, "flags and reserved are zero, private is "
                             "the only attribute");
    }
    if (!args->size || !vm_is_aligned(args->offset, args->size) ||
        args->offset >= gmem->size ||
        args->size > gmem->size - args->offset) {
        return double_forbid(EINVAL, "0x%" PRIx64 " bytes at offset 0x%" PRIx64
                             " are not whole pages of the guest_memfd",
                             (uint64_t)args->size, (uint64_t)args->offset);
    }
    return 0;
}

int gmem_set_attributes(DoubleFile *file, void *arg)
{
    struct kvm_memory_attributes2 *args = arg;
    DoubleGmem *gmem = file->object;
    bool private = args->attributes & KVM_MEMORY_ATTRIBUTE_PRIVATE;
    int ret = check_attributes(file->vm, gmem, args);
    unsigned long first, end, at;

    if (ret) {
        return ret;
    }
    first = args->offset / the_double->page_size;
    end = first + args->size / the_double->page_size;
    at = private ? find_next_zero_bit(gmem->private, end, first)
                 : find_next_bit(gmem->private, end, first);
    if (at >= end) {
        return 0;               /* they are so already */
    }
    at = private ? find_next_bit(gmem->pinned, end, first) : end;
    if (at < end) {
        args->error_offset = at * the_double->page_size;
        return -EAGAIN;
    }
    unmap(file->vm, gmem, args->offset, args->size,
          private ? mmu_unmap_shared : mmu_unmap_private);
    (private ? bitmap_set : bitmap_clear)(gmem->private, first, end - first);
    protect(gmem, args->offset, args->size,
            private ? PROT_NONE : PROT_READ | PROT_WRITE);
    return 0;
}

void gmem_release(DoubleVm *vm, DoubleGmem *gmem)
{
    QEMU_LOCK_GUARD(&vm->lock);

    unmap_all(vm, gmem, 0, gmem->size);
    for (guint i = 0; i < vm->slots->len; i++) {
        DoubleSlot *slot = g_ptr_array_index(vm->slots, i);

        if (slot->gmem == gmem) {
            slot->gmem = NULL;
            slot->tags = slot->in_place ? NULL : slot->tags;
        }
    }
    g_ptr_array_remove(vm->gmems, gmem);
    gmem_free(gmem);
}

void double_pin(uint64_t ipa, bool pinned)
{
    DoubleVm *vm = double_file(kvm_state->vmfd)->vm;
    QEMU_LOCK_GUARD(&vm->lock);
    uint64_t gpa = ipa & ~BIT_ULL(vm->ipa_bits - 1);
    DoubleSlot *slot = slot_at(vm, gpa);
    unsigned long page = slot_gmem_offset(slot, gpa) / the_double->page_size;

    (pinned ? set_bit : clear_bit)(page, slot->gmem->pinned);
}

/* ---- Holes ---- */

/* The RMM has some granule of the host page at @offset of guest_memfd. */
static bool is_delegated(const DoubleGmem *gmem, uint64_t offset)
{
    unsigned long first = offset / GRANULE;
    unsigned long end = first + the_double->page_size / GRANULE;

    return find_next_bit(gmem->delegated, end, first) < end;
}

int vm_punch(DoubleVm *vm, uint64_t gpa, uint64_t size)
{
    QEMU_LOCK_GUARD(&vm->lock);
    DoubleSlot *slot = slot_at(vm, gpa);
    uint64_t offset = slot_gmem_offset(slot, gpa);

    for (uint64_t at = 0; at < size; at += the_double->page_size) {
        if (!vm_is_private(vm, gpa + at) &&
            is_delegated(slot->gmem, offset + at)) {
            return double_forbid(EINVAL, "guest_memfd loses its page at 0x%"
                                 PRIx64 " while that is not private: it would "
                                 "stay delegated", gpa + at);
        }
    }
    unmap_all(vm, slot->gmem, offset, size);
    return fallocate(slot->gmem->fd,
                     FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                     offset, size) ? -errno : 0;
}
