/*
 * Reading CBOR of others (RFC 8949)
 *
 * Purpose: the few items that a platform token is read by, and a way past
 * all others.  libcbor is for making: its parser allocates what the head of
 * an array claims before it has seen the array.
 *
 * Invariants: nothing is allocated and nothing behind `end` is read; what an
 * item claims to hold is compared with what is left before it is used.
 * Definite lengths and shortest heads only, so that one value has one
 * encoding.  After a failure the reader is of no more use.
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

/* Past the next item, and all that is in it. */
bool cbor_skip(CborReader *r);

#endif
