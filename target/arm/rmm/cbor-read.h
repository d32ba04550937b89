/*
 * Reading CBOR of others (RFC 8949)
 *
 * Purpose: read the few items of a platform token that we need, and skip all
 * others.  We use libcbor to make items only: its parser allocates what the
 * head of an array claims before it has seen the array.
 *
 * Invariants: the reader allocates nothing and reads nothing behind `end`.  It
 * compares a size that an item claims with what is left before it uses the
 * size.  It takes definite lengths and shortest heads only, so that one value
 * has one encoding.  After a failure the reader must not be used again.
 *
 * Lock rule: no locks.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef RMM_CBOR_READ_H
#define RMM_CBOR_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct CborReader {
    const uint8_t *at;
    const uint8_t *end;
} CborReader;

typedef enum CborMajor {
    CBOR_UINT, CBOR_NEGINT, CBOR_BYTES, CBOR_TEXT, CBOR_ARRAY, CBOR_MAP,
    CBOR_TAG, CBOR_OTHER
} CborMajor;

/* The next head has @major; @value is its argument. */
bool cbor_read(CborReader *r, CborMajor major, uint64_t *value);

bool cbor_read_int(CborReader *r, int64_t *value);

/* @major is CBOR_BYTES or CBOR_TEXT; @data points into what is read. */
bool cbor_read_string(CborReader *r, CborMajor major,
                      const uint8_t **data, size_t *size);

/* Skip the next item, and all that is in it. */
bool cbor_skip(CborReader *r);

#endif
