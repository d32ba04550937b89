/*
 * MTE tags of one page, packed
 *
 * Purpose: the tags of a page travel with the data of that page: a kind byte
 * and at most RMM_TAG_BYTES bytes (docs/specs/realm-migration-stream.rst,
 * "Tags").  A page has 256 tags of 4 bits; unpacked, they are two tags a
 * byte, low nibble first.
 *
 *   kind         payload
 *   none    0    none: all tags are 0
 *   uniform 1    the tag, 1 byte
 *   runs    2    n, 1 byte, 2 <= n <= 63; then n times: length - 1, tag
 *   raw     3    the RMM_TAG_BYTES bytes
 *
 * Invariants:
 * - tags_pack picks the shortest form, so that one page of tags has one
 *   packed form; tags_unpack takes that form, and raw, and no other.
 * - tags_raw has the same length for every page: what the default of a
 *   Realm asks for, since lengths are visible to the host and tags are not.
 *
 * Lock rule: no state, no locks.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef RMM_TAGS_H
#define RMM_TAGS_H

#include <stddef.h>
#include <stdint.h>

#include "rmm.h"

enum {
    TAGS_NONE = 0,
    TAGS_UNIFORM = 1,
    TAGS_RUNS = 2,
    TAGS_RAW = 3,
};

#define TAGS_PER_PAGE   (RMM_TAG_BYTES * 2)
#define TAGS_MAX_PACKED (1 + RMM_TAG_BYTES)
#define TAGS_MAX_RUNS   ((RMM_TAG_BYTES - 2) / 2)

/* Pack @tags into at most TAGS_MAX_PACKED bytes at @out; returns how many */
size_t tags_pack(const uint8_t tags[RMM_TAG_BYTES], uint8_t *out);

/* The same in the form whose length says nothing: TAGS_MAX_PACKED bytes */
size_t tags_raw(const uint8_t tags[RMM_TAG_BYTES], uint8_t *out);

/*
 * Read one packed form from the @len bytes at @in.  Returns the bytes used,
 * or 0 if they are no packed form; @tags is then unchanged.
 */
size_t tags_unpack(const uint8_t *in, size_t len, uint8_t tags[RMM_TAG_BYTES]);

#endif
