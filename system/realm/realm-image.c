/*
 * What the loader writes to RAM, for a machine that measures it
 *
 * Purpose and lock rule: system/realm-image.h.
 *
 * Invariants: set once, while the machine is created, so before any image is
 * written.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "system/realm-image.h"

static void (*the_add_image)(uint64_t base, uint64_t size);

void realm_image_init(void (*add_image)(uint64_t base, uint64_t size))
{
    assert(!the_add_image);
    the_add_image = add_image;
}

void realm_image_written(hwaddr addr, uint64_t size)
{
    if (the_add_image) {
        the_add_image(addr, size);
    }
}
