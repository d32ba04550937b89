/*
 * MTE tags in a migration: the provider for KVM
 *
 * Purpose: tags are the kernel's, and are copied for runs of pages.  A store
 * of tags is a write to the page's second stage, so the kernel's dirty log
 * has it, and nothing needs to be looked for.
 *
 * The kernel copies for whole pages of the host, which may have several of
 * ours: then more is read, and for a write what is around it is read first.
 *
 * Lock rule: `lock` has the buffers, and keeps two channels from writing
 * parts of one host page at once.  The kernel makes such calls wait for each
 * other anyway.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/cutils.h"
#include "qemu/lockable.h"
#include "qemu/thread.h"
#include "exec/ramblock.h"
#include "system/page-tags-kvm.h"
#include "arm-page-tags.h"

QEMU_BUILD_BUG_ON(KVM_TAGS_BYTES != MTE_TAGS_BYTES);

static QemuMutex lock;
/* For the ioctl, a tag a byte; and tags of whole host pages. */
static uint8_t kernel_bytes[KVM_TAGS_RUN_PAGES * KVM_TAGS_KERNEL_BYTES];
static uint8_t around[KVM_TAGS_RUN_PAGES * KVM_TAGS_BYTES];

static uint64_t host_page(void)
{
    return MAX(qemu_real_host_page_size(), KVM_TAGS_PAGE);
}

/* The @size bytes at @gpa are a run, once they are whole pages of the host. */
static bool copy_run(hwaddr gpa, uint64_t size, uint8_t *tags, bool to_guest,
                     Error **errp)
{
    hwaddr start = QEMU_ALIGN_DOWN(gpa, host_page());
    hwaddr end = QEMU_ALIGN_UP(gpa + size, host_page());
    unsigned pages = (end - start) / KVM_TAGS_PAGE;
    uint8_t *mine = around + ((gpa - start) >> TAGS_SHIFT);

    if (start == gpa && end == gpa + size) {
        return kvm_arm_copy_tags(gpa, pages, tags, to_guest, kernel_bytes,
                                 errp);
    }
    if (!kvm_arm_copy_tags(start, pages, around, false, kernel_bytes, errp)) {
        return false;
    }
    if (!to_guest) {
        memcpy(tags, mine, size >> TAGS_SHIFT);
        return true;
    }
    memcpy(mine, tags, size >> TAGS_SHIFT);
    return kvm_arm_copy_tags(start, pages, around, true, kernel_bytes, errp);
}

/* The longest run that ends where a page of the host does. */
static uint64_t step_size(hwaddr gpa, uint64_t size)
{
    hwaddr end = QEMU_ALIGN_DOWN(gpa, host_page()) +
                 (uint64_t)KVM_TAGS_RUN_PAGES * KVM_TAGS_PAGE;

    return MIN(size, end - gpa);
}

static bool copy_pages(RAMBlock *block, ram_addr_t offset, unsigned pages,
                 uint8_t *tags, bool to_guest, Error **errp)
{
    uint64_t size = (uint64_t)pages * KVM_TAGS_PAGE, step;
    const ArmTagRange *r = arm_tag_range(block, offset, size, errp);
    hwaddr gpa;

    if (!r) {
        return false;
    }
    gpa = r->gpa + offset - r->offset;
    QEMU_LOCK_GUARD(&lock);
    for (; size; size -= step) {
        step = step_size(gpa, size);
        if (!copy_run(gpa, step, tags, to_guest, errp)) {
            return false;
        }
        gpa += step;
        tags += step >> TAGS_SHIFT;
    }
    return true;
}

static bool kvm_read(RAMBlock *block, ram_addr_t offset, unsigned pages,
                     uint8_t *tags, bool *zero, Error **errp)
{
    bool ok = copy_pages(block, offset, pages, tags, false, errp);

    *zero = ok && buffer_is_zero(tags, (size_t)pages * KVM_TAGS_BYTES);
    return ok;
}

static bool kvm_write(RAMBlock *block, ram_addr_t offset, unsigned pages,
                      const uint8_t *tags, Error **errp)
{
    return copy_pages(block, offset, pages, (uint8_t *)tags, true, errp);
}

/*
 * The kernel clears the tags of a page when a guest gets it, unless it is
 * marked as one that has them.  A huge page has one mark, which is set once the
 * tags of any part of it were written: then those of the rest are what they
 * were.  A file that was there before may have pages with marks.
 */
static bool kvm_fresh(RAMBlock *block)
{
    return qemu_ram_pagesize(block) <= qemu_real_host_page_size() &&
           !qemu_ram_is_named_file(block);
}

static const PageTagsOps kvm_ops = {
    .section = "mte-tags",
    .level_name = "MTE level",
    .tag_bytes = KVM_TAGS_BYTES,
    .variant_name = "MTE_frac",
    .level = arm_page_tags_level,
    .variant = arm_page_tags_frac,
    .fresh = kvm_fresh,
    .read = kvm_read,
    .write = kvm_write,
    .zero_record = MTE_TAGS_NONE,
    .pack = mte_tags_pack,
    .record_size = mte_tags_packed_size,
    .unpack = mte_tags_unpack,
};

const PageTagsOps *arm_page_tags_kvm(void)
{
    qemu_mutex_init(&lock);
    return &kvm_ops;
}
