/*
 * What a Realm's memory holds at its start
 *
 * Purpose and lock rule: layout.h.
 *
 * Invariants: ranges of RAM are ascending and do not overlap; images lie in
 * RAM.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/bitops.h"
#include "layout.h"

void realm_layout_init(RealmLayout *layout, const RealmConfig *config,
                       uint64_t page_size)
{
    *layout = (RealmLayout) {
        .page_size = page_size,
        .limit = BIT_ULL(config->ipa_bits - 1),
        .ram = g_array_new(false, false, sizeof(RealmRange)),
        .images = g_array_new(false, false, sizeof(RealmRange)),
    };
}

static uint64_t ram_top(const RealmLayout *layout)
{
    return layout->ram->len
        ? realm_range(layout->ram, layout->ram->len - 1).top : 0;
}

bool realm_layout_add_ram(RealmLayout *layout, uint64_t base, uint64_t size,
                          Error **errp)
{
    RealmRange range = { base, base + size };

    if (layout->fixed) {
        error_setg(errp, "Realm: its RAM is what it was at its start; it "
                   "cannot get 0x%" PRIx64 " bytes at 0x%" PRIx64, size, base);
        return false;
    }
    if (!QEMU_IS_ALIGNED(base | size, layout->page_size)) {
        error_setg(errp, "Realm: RAM of 0x%" PRIx64 " bytes at 0x%" PRIx64
                   " is not whole pages of %" PRIu64 " bytes", size, base,
                   layout->page_size);
        return false;
    }
    if (base > layout->limit || size > layout->limit - base) {
        error_setg(errp, "Realm: RAM of 0x%" PRIx64 " bytes at 0x%" PRIx64
                   " is not below its shared half, which begins at 0x%" PRIx64,
                   size, base, layout->limit);
        return false;
    }
    if (!size) {
        return true;
    }
    if (base < ram_top(layout)) {
        error_setg(errp, "Realm: RAM at 0x%" PRIx64 " begins below 0x%" PRIx64
                   ", where other RAM ends", base, ram_top(layout));
        return false;
    }
    g_array_append_val(layout->ram, range);
    return true;
}

void realm_layout_add_image(RealmLayout *layout, uint64_t base, uint64_t size)
{
    uint64_t top = base + MIN(size, UINT64_MAX - base);

    for (guint i = 0; i < layout->ram->len && !layout->fixed; i++) {
        RealmRange *ram = &realm_range(layout->ram, i);
        RealmRange image = { MAX(base, ram->base), MIN(top, ram->top) };

        if (image.base < image.top) {
            g_array_append_val(layout->images, image);
        }
    }
}

void realm_layout_reset(RealmLayout *layout)
{
    layout->fixed = false;
    g_array_set_size(layout->images, 0);
}

bool realm_layout_is_ram(const RealmLayout *layout, uint64_t base,
                         uint64_t size)
{
    for (guint i = 0; i < layout->ram->len; i++) {
        RealmRange *ram = &realm_range(layout->ram, i);

        if (base >= ram->base && base <= ram->top && size <= ram->top - base) {
            return true;
        }
    }
    return false;
}

uint64_t realm_layout_ram_top(const RealmLayout *layout, uint64_t address)
{
    for (guint i = 0; i < layout->ram->len; i++) {
        RealmRange *ram = &realm_range(layout->ram, i);

        if (address >= ram->base && address < ram->top) {
            return ram->top;
        }
    }
    return 0;
}

static gint compare_ranges(gconstpointer a, gconstpointer b)
{
    const RealmRange *x = a, *y = b;

    return x->base < y->base ? -1 : x->base > y->base;
}

GArray *realm_layout_images(const RealmLayout *layout)
{
    g_autoptr(GArray) sorted = g_array_copy(layout->images);
    GArray *merged = g_array_new(false, false, sizeof(RealmRange));

    g_array_sort(sorted, compare_ranges);
    for (guint i = 0; i < sorted->len; i++) {
        RealmRange image = realm_range(sorted, i);
        RealmRange *last = merged->len
            ? &realm_range(merged, merged->len - 1) : NULL;

        image.base = ROUND_DOWN(image.base, layout->page_size);
        image.top = ROUND_UP(image.top, layout->page_size);
        if (last && image.base <= last->top) {
            last->top = MAX(last->top, image.top);
        } else {
            g_array_append_val(merged, image);
        }
    }
    return merged;
}
