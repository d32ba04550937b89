/*
 * What the loader writes to RAM, for a machine that measures it
 *
 * Purpose: a Realm's initial contents are what QEMU's loader put into RAM, and
 * the loader tells nobody what that was.
 *
 * Lock rule: BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef SYSTEM_REALM_IMAGE_H
#define SYSTEM_REALM_IMAGE_H

#include "exec/hwaddr.h"

typedef struct RealmImage {
    const char *name;           /* the loader's, often that of a file */
    uint64_t base, size;        /* guest physical, in bytes */
} RealmImage;

/*
 * From now on @add_image is called for each image that the loader writes, at
 * each reset of the machine: @size bytes at guest physical @base.  Called
 * once.
 */
void realm_image_init(void (*add_image)(uint64_t base, uint64_t size));

/*
 * The loader has written @size bytes at guest physical @addr; @name lives as
 * long as the machine.  Does nothing unless the machine is a Realm.
 */
void realm_image_written(const char *name, hwaddr addr, uint64_t size);

/* All images: RealmImage, each once, with ascending addresses. */
const GArray *realm_images(void);

#endif
