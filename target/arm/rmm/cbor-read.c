/*
 * Reading CBOR of others (see cbor-read.h)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "cbor-read.h"

static size_t bytes_left(const CborReader *r)
{
    return r->end - r->at;
}

/* Bytes of argument behind a head with @info, or -1 for what we do not read */
static int argument_size(unsigned info)
{
    return info < 24 ? 0 : info < 28 ? 1 << (info - 24) : -1;
}

/* The largest value that needs fewer than @size bytes of argument */
static uint64_t shorter_max(int size)
{
    return size == 1 ? 23 : (1ull << size * 4) - 1;
}

static bool read_head(CborReader *r, CborMajor *major, uint64_t *value)
{
    unsigned info;
    int size;

    if (!bytes_left(r)) {
        return false;
    }
    *major = *r->at >> 5;
    info = *r->at++ & 31;
    size = argument_size(info);
    if (size < 0 || size > bytes_left(r)) {
        return false;
    }
    *value = size ? 0 : info;
    for (int i = 0; i < size; i++) {
        *value = *value << 8 | *r->at++;
    }
    if (*major == CBOR_OTHER) {
        /* A float, or a simple value: 32 at least (RFC 8949, 3.3). */
        return size != 1 || *value >= 32;
    }
    return !size || *value > shorter_max(size);
}

bool cbor_read(CborReader *r, CborMajor major, uint64_t *value)
{
    CborMajor found;

    return read_head(r, &found, value) && found == major;
}

bool cbor_read_int(CborReader *r, int64_t *value)
{
    CborMajor major;
    uint64_t n;

    if (!read_head(r, &major, &n) || major > CBOR_NEGINT || n > INT64_MAX) {
        return false;
    }
    *value = major == CBOR_UINT ? (int64_t)n : -1 - (int64_t)n;
    return true;
}

bool cbor_read_string(CborReader *r, CborMajor major,
                      const uint8_t **data, size_t *size)
{
    uint64_t n;

    if (!cbor_read(r, major, &n) || n > bytes_left(r)) {
        return false;
    }
    *data = r->at;
    *size = n;
    r->at += n;
    return true;
}

bool cbor_skip(CborReader *r)
{
    /* Each item has a byte at least: more than that are not in what is left */
    for (uint64_t items = 1; items; items--) {
        CborMajor major;
        uint64_t n;

        if (!read_head(r, &major, &n)) {
            return false;
        }
        if (major >= CBOR_BYTES && major <= CBOR_MAP && n > bytes_left(r)) {
            return false;
        }
        switch (major) {
        case CBOR_BYTES:
        case CBOR_TEXT:
            r->at += n;
            break;
        case CBOR_ARRAY:
            items += n;
            break;
        case CBOR_MAP:
            items += 2 * n;
            break;
        case CBOR_TAG:
            items++;
            break;
        default:
            break;
        }
        if (items - 1 > bytes_left(r)) {
            return false;
        }
    }
    return true;
}
