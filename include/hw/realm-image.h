/*
 * What the loader writes to RAM, for machines that measure it
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_REALM_IMAGE_H
#define HW_REALM_IMAGE_H

#include "exec/hwaddr.h"

/*
 * The loader has written @size bytes at guest physical @addr.  Does nothing
 * unless the machine is a Realm.
 */
void realm_image_written(hwaddr addr, uint64_t size);

#endif
