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

/*
 * From now on @add_image is called for each image that the loader writes, at
 * each reset of the machine: @size bytes at guest physical @base.  Called
 * once.
 */
void realm_image_init(void (*add_image)(uint64_t base, uint64_t size));

/*
 * The loader has written @size bytes at guest physical @addr.  Does nothing
 * unless the machine is a Realm.
 */
void realm_image_written(hwaddr addr, uint64_t size);

#endif
