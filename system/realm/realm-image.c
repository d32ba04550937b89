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
static GArray *images;

void realm_image_init(void (*add_image)(uint64_t base, uint64_t size))
{
    assert(!the_add_image);
    the_add_image = add_image;
    images = g_array_new(false, false, sizeof(RealmImage));
}

/* The loader writes the same images again at each reset. */
static void keep(const RealmImage *image)
{
    guint i;

    for (i = 0; i < images->len; i++) {
        RealmImage *other = &g_array_index(images, RealmImage, i);

        if (other->base == image->base) {
            *other = *image;
            return;
        }
        if (other->base > image->base) {
            break;
        }
    }
    g_array_insert_val(images, i, *image);
}

void realm_image_written(const char *name, hwaddr addr, uint64_t size)
{
    RealmImage image = { name, addr, size };

    if (the_add_image && size) {
        keep(&image);
        the_add_image(addr, size);
    }
}

const GArray *realm_images(void)
{
    return images;
}
