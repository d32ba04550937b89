/*
 * CBOR items for tokens, on libcbor
 *
 * Purpose: libcbor's constructors with the shortest head for every number,
 * as deterministic encoding wants (RFC 8949, 4.2).  The order of a map's
 * entries is the caller's.
 *
 * Invariant: an item that is put into another one belongs to that one.  No
 * function fails: like GLib's, they end the program without memory.
 *
 * Lock rule: no locks.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef RMM_CBOR_MAKE_H
#define RMM_CBOR_MAKE_H

#include <glib.h>
#include <cbor.h>

cbor_item_t *cbor_make_int(int64_t value);
cbor_item_t *cbor_make_text(const char *text);
cbor_item_t *cbor_make_bytes(const void *data, size_t size);
/* The contents of @bytes, which this drops. */
cbor_item_t *cbor_make_taken(GBytes *bytes);
cbor_item_t *cbor_make_map(size_t entries);
cbor_item_t *cbor_make_array(size_t entries);
cbor_item_t *cbor_make_tag(uint64_t tag, cbor_item_t *item);

void cbor_put(cbor_item_t *map, int64_t key, cbor_item_t *value);
void cbor_append(cbor_item_t *array, cbor_item_t *value);

/* The encoding of @item, which this frees. */
GBytes *cbor_finish(cbor_item_t *item);

#endif
