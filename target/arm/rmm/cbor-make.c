/*
 * CBOR items for tokens (see cbor-make.h)
 *
 * libcbor 0.8 (Debian 12) and 0.10 (Debian 13) have all that is used here.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <stdlib.h>
#include "cbor-make.h"

static cbor_item_t *made_item(cbor_item_t *item)
{
    if (!item) {
        g_error("out of memory for a CBOR item");
    }
    return item;
}

/* An integer of major type 0; libcbor writes the width that it is given. */
static cbor_item_t *make_uint(uint64_t value)
{
    if (value <= UINT8_MAX) {
        return made_item(cbor_build_uint8(value));
    }
    if (value <= UINT16_MAX) {
        return made_item(cbor_build_uint16(value));
    }
    return made_item(value <= UINT32_MAX ? cbor_build_uint32(value)
                                         : cbor_build_uint64(value));
}

cbor_item_t *cbor_make_int(int64_t value)
{
    cbor_item_t *item = make_uint(value < 0 ? -(value + 1) : value);

    if (value < 0) {
        cbor_mark_negint(item);
    }
    return item;
}

cbor_item_t *cbor_make_text(const char *text)
{
    return made_item(cbor_build_string(text));
}

cbor_item_t *cbor_make_bytes(const void *data, size_t size)
{
    return made_item(cbor_build_bytestring(data, size));
}

cbor_item_t *cbor_make_taken(GBytes *bytes)
{
    size_t size;
    const void *data = g_bytes_get_data(bytes, &size);
    cbor_item_t *item = cbor_make_bytes(data, size);

    g_bytes_unref(bytes);
    return item;
}

cbor_item_t *cbor_make_map(size_t entries)
{
    return made_item(cbor_new_definite_map(entries));
}

cbor_item_t *cbor_make_array(size_t entries)
{
    return made_item(cbor_new_definite_array(entries));
}

cbor_item_t *cbor_make_tag(uint64_t tag, cbor_item_t *item)
{
    return made_item(cbor_build_tag(tag, cbor_move(item)));
}

void cbor_put(cbor_item_t *map, int64_t key, cbor_item_t *value)
{
    bool ok = cbor_map_add(map, (struct cbor_pair) {
        .key = cbor_move(cbor_make_int(key)), .value = cbor_move(value) });

    g_assert(ok);               /* the map was made for one entry more */
}

void cbor_append(cbor_item_t *array, cbor_item_t *value)
{
    bool ok = cbor_array_push(array, cbor_move(value));

    g_assert(ok);
}

GBytes *cbor_finish(cbor_item_t *item)
{
    unsigned char *data = NULL;
    size_t room, size = cbor_serialize_alloc(item, &data, &room);
    GBytes *bytes;

    if (!size) {
        g_error("out of memory for a CBOR encoding");
    }
    bytes = g_bytes_new(data, size);
    free(data);                 /* libcbor's own allocator is malloc */
    cbor_decref(&item);
    return bytes;
}
