/*
 * What the libFuzzer targets read their steps from
 *
 * An input that has ended gives zeros.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FUZZ_INPUT_H
#define FUZZ_INPUT_H

#include <glib.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct FuzzInput {
    const uint8_t *data;
    size_t left;
} FuzzInput;

/* At most @len bytes; returns how many are at *@bytes */
static inline size_t fuzz_bytes(FuzzInput *in, const uint8_t **bytes,
                                size_t len)
{
    len = MIN(len, in->left);
    *bytes = in->data;
    in->data += len;
    in->left -= len;
    return len;
}

static inline uint64_t fuzz_number(FuzzInput *in, unsigned size)
{
    const uint8_t *bytes;
    uint64_t value = 0;

    size = fuzz_bytes(in, &bytes, size);
    if (size) {
        memcpy(&value, bytes, size);
    }
    return value;
}

#endif
