/*
 * The stand-in kernel: the host's half of stage 2
 *
 * Purpose: what KVM's MMU does for a Realm, by RMI calls.  A private page comes
 * from the guest_memfd, a shared one from the slot's mapping.
 *
 * Invariants: a guest_memfd marks which of its granules are delegated.  Stage 2
 * has blocks only after version 15, if a test wants them, and not from BEGIN or
 * OFFER to the end of a session.  Where a slot, its alignment and its
 * attributes allow one, a fault maps all of it, as pages that are then folded.
 * What is unmapped unfolds it first, and folds what is alike afterwards.
 *
 * Lock rule: DoubleVm.lock is held.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bitmap.h"
#include "qemu/units.h"
#include "internal.h"

#define BLOCK   (2 * MiB)               /* level 2 */
#define LEVEL_BYTES(level) (1ull << (12 + 9 * (3 - (level))))

/* Shared pages are Normal, write-back, and always writable. */
#define SHARED_ATTRIBUTES (6 << 2 | 1 << 6)
#define SHARED_WRITABLE (1 << 7)

typedef struct Entry {
    int level;
    bool assigned;
    unsigned ripas;
} Entry;

static Entry read_entry(DoubleVm *vm, uint64_t ipa)
{
    uint64_t out[4];
    uint64_t result = RMI_OUT(out, RMI_RTT_READ_ENTRY, vm->rd, ipa, 3);

    g_assert_cmphex(result, ==, 0);
    return (Entry) { .level = (int8_t)out[0],
                     .assigned = out[1] == RMI_ASSIGNED, .ripas = out[3] };
}

static uint64_t shared_bit(DoubleVm *vm)
{
    return BIT_ULL(vm->ipa_bits - 1);
}

DoubleSlot *slot_at(DoubleVm *vm, uint64_t gpa)
{
    for (guint i = 0; i < vm->slots->len; i++) {
        DoubleSlot *slot = g_ptr_array_index(vm->slots, i);

        if (gpa >= slot->region.guest_phys_addr &&
            gpa - slot->region.guest_phys_addr < slot->region.memory_size) {
            return slot;
        }
    }
    return NULL;
}

uint64_t slot_gmem_offset(const DoubleSlot *slot, uint64_t gpa)
{
    return slot->region.guest_memfd_offset +
           (gpa - slot->region.guest_phys_addr);
}

/* In a kernel without the attribute, all of a guest_memfd is private. */
bool vm_is_private(DoubleVm *vm, uint64_t gpa)
{
    DoubleSlot *slot = slot_at(vm, gpa);
    gpointer page = GSIZE_TO_POINTER(gpa / the_double->page_size);

    if (!slot || !slot->gmem) {
        return false;
    }
    if (slot->in_place) {
        return test_bit(slot_gmem_offset(slot, gpa) / the_double->page_size,
                        slot->gmem->private);
    }
    return !the_double->flavour->vm_attributes ||
           g_hash_table_contains(vm->private, page);
}

static uint64_t create_table(DoubleVm *vm, uint64_t ipa, int level)
{
    uint64_t pa = physical_alloc(1);
    uint64_t result = RMI(RMI_RTT_CREATE, vm->rd, pa,
                          ROUND_DOWN(ipa, LEVEL_BYTES(level - 1)), level);

    if (result) {
        physical_release(pa, 1);
    }
    return result;
}

static uint64_t create_tables(DoubleVm *vm, uint64_t ipa, int last)
{
    uint64_t result = 0;

    for (int level = read_entry(vm, ipa).level + 1; level <= last && !result;
         level++) {
        result = create_table(vm, ipa, level);
    }
    return result;
}

uint64_t mmu_create_tables(DoubleVm *vm, uint64_t ipa)
{
    return create_tables(vm, ipa, 3);
}

/* ---- Blocks ---- */

static bool may_fold(DoubleVm *vm)
{
    return the_double->flavour->after_v15 &&
           migrate_in(vm, BIT(SESSION_NONE) | BIT(SESSION_ACCEPTED));
}

/* The RMM folds what is alike, and refuses the rest. */
static void fold(DoubleVm *vm, uint64_t ipa)
{
    uint64_t out[4];

    if (RMI_OUT(out, RMI_RTT_FOLD, vm->rd, ROUND_DOWN(ipa, BLOCK), 3) == 0) {
        physical_release(out[0], 1);
    }
}

static void fold_range(DoubleVm *vm, uint64_t ipa, uint64_t size)
{
    for (uint64_t at = ROUND_DOWN(ipa, BLOCK);
         may_fold(vm) && at < ipa + size; at += BLOCK) {
        fold(vm, at);
    }
}

/* All of the block around @gpa is in one half of a slot that is in place. */
static bool fits_block(DoubleVm *vm, const DoubleSlot *slot, uint64_t gpa)
{
    uint64_t base = ROUND_DOWN(gpa, BLOCK);
    bool private = vm_is_private(vm, gpa);

    if (!may_fold(vm) || !slot->in_place || the_double->options.fragmented ||
        base < slot->region.guest_phys_addr || !vm_is_ram(vm, base, BLOCK) ||
        slot_gmem_offset(slot, base) % BLOCK) {
        return false;
    }
    for (uint64_t at = base; at < base + BLOCK; at += the_double->page_size) {
        if (vm_is_private(vm, at) != private) {
            return false;
        }
    }
    return true;
}

uint64_t mmu_ripas(DoubleVm *vm, uint64_t rec, uint64_t base, uint64_t top)
{
    uint64_t out[4];

    while (base < top) {
        uint64_t result = rec
            ? RMI_OUT(out, RMI_RTT_SET_RIPAS, vm->rd, rec, base, top)
            : RMI_OUT(out, RMI_RTT_INIT_RIPAS, vm->rd, base, top);

        if (RMI_STATUS(result) == RMI_ERROR_RTT && RMI_INDEX(result) < 3) {
            result = create_table(vm, base, RMI_INDEX(result) + 1);
        } else if (RMI_STATUS(result) == RMI_ERROR_RTT && !rec) {
            base += GRANULE;            /* populated, so it is RAM already */
            result = 0;
        } else if (!result) {
            base = out[0];
        }
        if (result) {
            return result;
        }
    }
    return 0;
}

/* ---- Private pages ---- */

uint64_t mmu_delegate(DoubleVm *vm, uint64_t gpa)
{
    DoubleSlot *slot = slot_at(vm, gpa);
    uint64_t offset = slot_gmem_offset(slot, gpa);
    uint64_t pa = gmem_pa(slot->gmem, offset);

    if (test_and_set_bit(offset / GRANULE, slot->gmem->delegated)) {
        return 0;
    }
    g_assert_cmphex(RMI(RMI_GRANULE_DELEGATE, pa), ==, 0);
    return pa;
}

bool mmu_is_secret(DoubleVm *vm, uint64_t gpa)
{
    DoubleSlot *slot = slot_at(vm, gpa);

    return slot && slot->gmem &&
           test_bit(slot_gmem_offset(slot, gpa) / GRANULE,
                    slot->gmem->delegated);
}

void mmu_undelegate(DoubleVm *vm, uint64_t gpa)
{
    DoubleSlot *slot = slot_at(vm, gpa);
    uint64_t offset = slot_gmem_offset(slot, gpa);

    if (test_and_clear_bit(offset / GRANULE, slot->gmem->delegated)) {
        g_assert_cmphex(RMI(RMI_GRANULE_UNDELEGATE,
                            gmem_pa(slot->gmem, offset)), ==, 0);
    }
}

static uint64_t private_pa(DoubleVm *vm, uint64_t gpa)
{
    DoubleSlot *slot = slot_at(vm, gpa);

    mmu_delegate(vm, gpa);
    return gmem_pa(slot->gmem, slot_gmem_offset(slot, gpa));
}

uint64_t mmu_populate(DoubleVm *vm, uint64_t gpa, const void *source,
                      uint64_t flags)
{
    uint64_t result = mmu_create_tables(vm, gpa);

    return result ? result
        : RMI(RMI_DATA_CREATE, vm->rd, private_pa(vm, gpa), gpa,
              physical_window(0, source, GRANULE), flags);
}

/* Assign one granule, if it is RAM; false if it is not assigned in the end. */
static bool assign_granule(DoubleVm *vm, uint64_t gpa)
{
    Entry entry = read_entry(vm, gpa);

    if (entry.assigned || entry.ripas != RMI_RIPAS_RAM) {
        return entry.assigned;
    }
    return mmu_create_tables(vm, gpa) == 0 &&
           RMI(RMI_DATA_CREATE_UNKNOWN, vm->rd, private_pa(vm, gpa), gpa) == 0;
}

static bool fault_private(DoubleVm *vm, const DoubleSlot *slot, uint64_t gpa)
{
    uint64_t size = fits_block(vm, slot, gpa) ? BLOCK : the_double->page_size;
    uint64_t base = ROUND_DOWN(gpa, size);

    for (uint64_t at = base; at < base + size; at += GRANULE) {
        if (!assign_granule(vm, at) && at == gpa) {
            return false;
        }
    }
    if (size == BLOCK) {
        fold(vm, base);
    }
    return true;
}

void mmu_unmap_private(DoubleVm *vm, uint64_t gpa, uint64_t size)
{
    uint64_t result;

    for (uint64_t at = gpa; at < gpa + size; at += GRANULE) {
        if (vm->rd && read_entry(vm, at).assigned) {
            g_assert_cmphex(mmu_create_tables(vm, at), ==, 0);
            result = RMI(RMI_DATA_DESTROY, vm->rd, at);
            g_assert_cmphex(result, ==, 0);
        }
        mmu_undelegate(vm, at);
    }
    if (vm->rd) {
        fold_range(vm, gpa, size);
    }
}

/* ---- Shared pages ---- */

static bool fault_shared(DoubleVm *vm, DoubleSlot *slot, uint64_t ipa)
{
    uint64_t gpa = ipa & ~shared_bit(vm), attributes = SHARED_ATTRIBUTES;
    int level = 3;

    if (read_entry(vm, ipa).assigned) {
        return true;
    }
    if (!(slot->region.flags & KVM_MEM_READONLY)) {
        attributes |= SHARED_WRITABLE;
    }
    if (fits_block(vm, slot, gpa)) {
        fold(vm, ipa);
        if (read_entry(vm, ipa).level <= 2) {   /* no page was there */
            level = 2;
            ipa = ROUND_DOWN(ipa, BLOCK);
            gpa = ROUND_DOWN(gpa, BLOCK);
        }
    }
    return create_tables(vm, ipa, level) == 0 &&
           RMI(RMI_RTT_MAP_UNPROTECTED, vm->rd, ipa, level,
               shared_pa(slot, gpa) | attributes) == 0;
}

void mmu_unmap_shared(DoubleVm *vm, uint64_t gpa, uint64_t size)
{
    uint64_t bytes;

    if (!vm->rd) {
        return;
    }
    for (uint64_t at = gpa; at < gpa + size; at += bytes) {
        uint64_t ipa = at | shared_bit(vm);
        Entry entry = read_entry(vm, ipa);

        bytes = GRANULE;
        if (!entry.assigned) {
            continue;
        }
        if (entry.level == 2 && !(at % BLOCK) && gpa + size - at >= BLOCK) {
            bytes = BLOCK;
        } else {
            g_assert_cmphex(mmu_create_tables(vm, ipa), ==, 0);
        }
        g_assert_cmphex(RMI(RMI_RTT_UNMAP_UNPROTECTED, vm->rd, ipa,
                            bytes == BLOCK ? 2 : 3), ==, 0);
    }
    fold_range(vm, gpa | shared_bit(vm), size);
}

bool mmu_fault(DoubleVm *vm, uint64_t ipa)
{
    uint64_t gpa = ipa & ~shared_bit(vm);
    DoubleSlot *slot = slot_at(vm, gpa);

    return slot && (ipa & shared_bit(vm) ? fault_shared(vm, slot, ipa)
                                         : fault_private(vm, slot, gpa));
}

/* ---- The end ---- */

/* Destroy all tables below the entries from @ipa on; no pages are left. */
static void destroy_tables(DoubleVm *vm, uint64_t ipa, int level,
                           unsigned entries)
{
    uint64_t out[4];

    for (; entries--; ipa += LEVEL_BYTES(level)) {
        RMI_OUT(out, RMI_RTT_READ_ENTRY, vm->rd, ipa, level);
        if (out[1] == RMI_TABLE) {
            destroy_tables(vm, ipa, level + 1, 512);
            g_assert_cmphex(RMI_OUT(out, RMI_RTT_DESTROY, vm->rd, ipa,
                                    level + 1), ==, 0);
            physical_release(out[0], 1);
        }
    }
}

void mmu_destroy(DoubleVm *vm)
{
    for (guint i = 0; i < vm->slots->len; i++) {
        DoubleSlot *slot = g_ptr_array_index(vm->slots, i);

        mmu_unmap_shared(vm, slot->region.guest_phys_addr,
                         slot->region.memory_size);
        if (slot->gmem) {
            mmu_unmap_private(vm, slot->region.guest_phys_addr,
                              slot->region.memory_size);
        }
    }
    destroy_tables(vm, 0, vm->ipa_bits <= 43 ? 1 : 0,
                   MIN(512 * vm->num_tables,
                       vm->ipa_bits <= 43 ? 1u << (vm->ipa_bits - 30)
                                          : 1u << (vm->ipa_bits - 39)));
}
