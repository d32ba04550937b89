/*
 * MTE tags in a migration: tags of a page in the stream
 *
 * Purpose: the form is the one that bundles of a Realm have, too
 * (target/arm/rmm/tags.h); here is its length, which a reader of a stream has
 * to know beforehand.
 *
 * Lock rule: no state, no locks.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "page-tags.h"

QEMU_BUILD_BUG_ON(RMM_TAG_BYTES != PAGE_TAGS_MAX_BYTES);
QEMU_BUILD_BUG_ON(TAGS_MAX_PACKED != PAGE_TAGS_MAX_RECORD);

size_t arm_page_tags_record_size(const uint8_t *record, size_t have)
{
    switch (record[0]) {
    case TAGS_NONE:
        return 1;
    case TAGS_UNIFORM:
        return 2;
    case TAGS_RUNS:
        if (have < 2) {
            return 2;
        }
        return record[1] > TAGS_MAX_RUNS ? 0 : 2 + record[1] * 2;
    case TAGS_RAW:
        return TAGS_MAX_PACKED;
    default:
        return 0;
    }
}

bool arm_page_tags_unpack(const uint8_t *record, size_t size, uint8_t *tags)
{
    return size && tags_unpack(record, size, tags) == size;
}
