/*
 * MTE tags of one page, packed
 *
 * Purpose: the tags of a page travel with the data of that page.  This is
 * their form in a stream: a kind byte and at most MTE_TAGS_BYTES bytes.  A
 * page of 4 KiB has 256 tags of 4 bits; unpacked, they are two tags a byte,
 * low nibble first.
 *
 *   kind         payload
 *   none    0    none: all tags are 0
 *   uniform 1    the tag, 1 byte
 *   runs    2    n, 1 byte, 2 <= n <= 63; then n times: length - 1, tag
 *   raw     3    the MTE_TAGS_BYTES bytes
 *
 * This folder is plain C and includes nothing of QEMU, so that any program
 * can link with it.
 *
 * Invariants:
 * - mte_tags_pack picks the shortest form, so one page of tags has one packed
 *   form; mte_tags_unpack takes that form, and raw, and no other.
 * - mte_tags_pack_raw has the same length for every page: for streams in
 *   which a length must not tell anything about the tags.
 *
 * Lock rule: no state, no locks.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TARGET_ARM_MTE_TAGS_H
#define TARGET_ARM_MTE_TAGS_H

#include <stddef.h>
#include <stdint.h>

enum {
    MTE_TAGS_NONE = 0,
    MTE_TAGS_UNIFORM = 1,
    MTE_TAGS_RUNS = 2,
    MTE_TAGS_RAW = 3,
};

/* A granule of 16 bytes has a tag; a page of 4 KiB has this many. */
#define MTE_TAGS_PER_PAGE   256
#define MTE_TAGS_BYTES      (MTE_TAGS_PER_PAGE / 2)
#define MTE_TAGS_MAX_PACKED (1 + MTE_TAGS_BYTES)
#define MTE_TAGS_MAX_RUNS   ((MTE_TAGS_BYTES - 2) / 2)

/*
 * Pack @tags in the shortest form, into at most MTE_TAGS_MAX_PACKED bytes at
 * @out.  Returns how many bytes that are.
 */
size_t mte_tags_pack(const uint8_t tags[MTE_TAGS_BYTES], uint8_t *out);

/* The same in the raw form, which is always MTE_TAGS_MAX_PACKED bytes long. */
size_t mte_tags_pack_raw(const uint8_t tags[MTE_TAGS_BYTES], uint8_t *out);

/*
 * The size in bytes of a packed form, as far as its first @have bytes at @in
 * tell; @have is at least 1.  A reader of a stream asks again when it has that
 * many: then the answer is the whole size, at most MTE_TAGS_MAX_PACKED.
 * Returns 0 if no packed form begins like this.
 */
size_t mte_tags_packed_size(const uint8_t *in, size_t have);

/*
 * Read one packed form from the @len bytes at @in.  Returns the bytes used,
 * or 0 if they are no packed form; @tags is then unchanged.
 */
size_t mte_tags_unpack(const uint8_t *in, size_t len,
                       uint8_t tags[MTE_TAGS_BYTES]);

#endif
