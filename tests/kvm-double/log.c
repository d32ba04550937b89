/*
 * The stand-in kernel: the dirty log of memory slots
 *
 * Purpose: KVM_MEM_LOG_DIRTY_PAGES, KVM_GET_DIRTY_LOG and KVM_CLEAR_DIRTY_LOG,
 * as for any VM: vCPUs' writes to shared pages, and KVM's own.
 *
 * Invariants: it counts in pages of the host: a write to one granule logs all
 * of its page.
 *
 * Lock rule: DoubleVm.lock is held.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bitmap.h"
#include "qemu/lockable.h"
#include "system/kvm_int.h"
#include "internal.h"

static uint64_t num_pages(const DoubleSlot *slot)
{
    return slot->region.memory_size / the_double->page_size;
}

bool log_is_on(const DoubleVm *vm)
{
    for (guint i = 0; i < vm->slots->len; i++) {
        if (((DoubleSlot *)g_ptr_array_index(vm->slots, i))->dirty) {
            return true;
        }
    }
    return false;
}

int log_set(DoubleVm *vm, DoubleSlot *slot, bool on)
{
    if (on && slot->gmem && !the_double->options.migration) {
        return double_forbid(EINVAL, "a slot with guest_memfd has no dirty "
                             "log");
    }
    if (on && !slot->dirty) {
        slot->dirty = bitmap_new(ROUND_UP(num_pages(slot), 64));
        if (vm->manual_log & KVM_DIRTY_LOG_INITIALLY_SET) {
            bitmap_set(slot->dirty, 0, num_pages(slot));
        }
    } else if (!on) {
        g_clear_pointer(&slot->dirty, g_free);
    }
    return 0;
}

void log_write(DoubleVm *vm, uint64_t gpa)
{
    DoubleSlot *slot = slot_at(vm, gpa);

    if (slot && slot->dirty) {
        set_bit((gpa - slot->region.guest_phys_addr) / the_double->page_size,
                slot->dirty);
    }
}

static DoubleSlot *find_slot(DoubleVm *vm, unsigned id)
{
    for (guint i = 0; i < vm->slots->len; i++) {
        DoubleSlot *slot = g_ptr_array_index(vm->slots, i);

        if (slot->region.slot == id && slot->dirty) {
            return slot;
        }
    }
    return NULL;
}

static int no_log(unsigned slot)
{
    return double_forbid(vm_is_slot(slot) ? ENOENT : EINVAL,
                         "slot %u is not logged", slot);
}

int vm_get_dirty_log(DoubleFile *file, void *arg)
{
    const struct kvm_dirty_log *log = arg;
    DoubleSlot *slot = find_slot(file->vm, log->slot);

    if (!slot) {
        return no_log(log->slot);
    }
    bitmap_to_le(log->dirty_bitmap, slot->dirty, num_pages(slot));
    if (!file->vm->manual_log) {
        bitmap_zero(slot->dirty, num_pages(slot));
    }
    return 0;
}

int vm_clear_dirty_log(DoubleFile *file, void *arg)
{
    const struct kvm_clear_dirty_log *log = arg;
    DoubleSlot *slot = find_slot(file->vm, log->slot);
    g_autofree unsigned long *bits = NULL;
    uint64_t end = log->first_page + log->num_pages;

    if (log->first_page % 64 ||
        (slot && (end < log->first_page || end > num_pages(slot) ||
                  (log->num_pages % 64 && end != num_pages(slot))))) {
        return double_forbid(EINVAL, "multiples of 64 pages of the slot");
    }
    if (!slot) {
        return no_log(log->slot);
    }
    if (!file->vm->manual_log) {
        double_forbid(0, "only with KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2");
    }
    bits = bitmap_new(ROUND_UP(log->num_pages, 64));
    bitmap_from_le(bits, log->dirty_bitmap, log->num_pages);
    for (uint64_t i = find_first_bit(bits, log->num_pages);
         i < log->num_pages; i = find_next_bit(bits, log->num_pages, i + 1)) {
        clear_bit(log->first_page + i, slot->dirty);
    }
    return 0;
}

void double_kvm_writes(uint64_t ipa, const void *buf, size_t size)
{
    DoubleVm *vm = double_file(kvm_state->vmfd)->vm;
    QEMU_LOCK_GUARD(&vm->lock);
    uint64_t gpa = ipa & ~BIT_ULL(vm->ipa_bits - 1);
    const struct kvm_userspace_memory_region2 *region =
        &slot_at(vm, gpa)->region;

    memcpy((uint8_t *)(uintptr_t)region->userspace_addr +
           (gpa - region->guest_phys_addr), buf, size);
    log_write(vm, gpa);
}
