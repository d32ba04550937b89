/*
 * MTE tags of one page, packed
 *
 * Format, invariants and lock rule: mte-tags.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <stdbool.h>
#include <string.h>

#include "mte-tags.h"

static unsigned tag_at(const uint8_t *tags, unsigned i)
{
    return tags[i / 2] >> (i % 2 * 4) & 0xf;
}

static void put_run(uint8_t *tags, unsigned first, unsigned n, unsigned tag)
{
    for (unsigned i = first; i < first + n; i++) {
        unsigned shift = i % 2 * 4;

        tags[i / 2] = (tags[i / 2] & ~(0xf << shift)) | tag << shift;
    }
}

/* The first index from @i on whose tag differs from the tag at @i */
static unsigned run_end(const uint8_t *tags, unsigned i)
{
    unsigned tag = tag_at(tags, i);

    while (i < MTE_TAGS_PER_PAGE && tag_at(tags, i) == tag) {
        i++;
    }
    return i;
}

/* Number of runs written to @out, or 0 if raw is shorter */
static unsigned pack_runs(const uint8_t *tags, uint8_t *out)
{
    unsigned n = 0;

    for (unsigned i = 0, end; i < MTE_TAGS_PER_PAGE; i = end) {
        if (n == MTE_TAGS_MAX_RUNS) {
            return 0;
        }
        end = run_end(tags, i);
        out[n * 2] = end - i - 1;
        out[n * 2 + 1] = tag_at(tags, i);
        n++;
    }
    return n;
}

size_t mte_tags_pack(const uint8_t tags[MTE_TAGS_BYTES], uint8_t *out)
{
    unsigned n;

    if (run_end(tags, 0) == MTE_TAGS_PER_PAGE) {
        out[0] = tags[0] ? MTE_TAGS_UNIFORM : MTE_TAGS_NONE;
        out[1] = tag_at(tags, 0);
        return tags[0] ? 2 : 1;
    }

    n = pack_runs(tags, out + 2);
    if (!n) {
        return mte_tags_pack_raw(tags, out);
    }
    out[0] = MTE_TAGS_RUNS;
    out[1] = n;
    return 2 + n * 2;
}

size_t mte_tags_pack_raw(const uint8_t tags[MTE_TAGS_BYTES], uint8_t *out)
{
    out[0] = MTE_TAGS_RAW;
    memcpy(out + 1, tags, MTE_TAGS_BYTES);
    return MTE_TAGS_MAX_PACKED;
}

static bool unpack_runs(const uint8_t *in, unsigned n, uint8_t *tags)
{
    unsigned pos = 0;

    for (unsigned i = 0; i < n; i++) {
        unsigned len = in[i * 2] + 1, tag = in[i * 2 + 1];
        bool joins = i && tag == in[i * 2 - 1];

        if (tag > 0xf || joins || len > MTE_TAGS_PER_PAGE - pos) {
            return false;
        }
        put_run(tags, pos, len, tag);
        pos += len;
    }
    return pos == MTE_TAGS_PER_PAGE;
}

size_t mte_tags_packed_size(const uint8_t *in, size_t have)
{
    switch (in[0]) {
    case MTE_TAGS_NONE:
        return 1;
    case MTE_TAGS_UNIFORM:
        return 2;
    case MTE_TAGS_RUNS:
        if (have < 2) {
            return 2;
        }
        return in[1] > MTE_TAGS_MAX_RUNS ? 0 : 2 + in[1] * 2;
    case MTE_TAGS_RAW:
        return MTE_TAGS_MAX_PACKED;
    default:
        return 0;
    }
}

size_t mte_tags_unpack(const uint8_t *in, size_t len,
                       uint8_t tags[MTE_TAGS_BYTES])
{
    uint8_t runs[MTE_TAGS_BYTES] = { 0 };
    unsigned n;

    switch (len ? in[0] : -1) {
    case MTE_TAGS_NONE:
        memset(tags, 0, MTE_TAGS_BYTES);
        return 1;
    case MTE_TAGS_UNIFORM:
        if (len < 2 || in[1] == 0 || in[1] > 0xf) {
            return 0;
        }
        memset(tags, in[1] * 0x11, MTE_TAGS_BYTES);
        return 2;
    case MTE_TAGS_RUNS:
        n = len < 2 ? 0 : in[1];
        if (n < 2 || n > MTE_TAGS_MAX_RUNS || len < 2 + n * 2 ||
            !unpack_runs(in + 2, n, runs)) {
            return 0;
        }
        memcpy(tags, runs, MTE_TAGS_BYTES);
        return 2 + n * 2;
    case MTE_TAGS_RAW:
        if (len < MTE_TAGS_MAX_PACKED) {
            return 0;
        }
        memcpy(tags, in + 1, MTE_TAGS_BYTES);
        return MTE_TAGS_MAX_PACKED;
    default:
        return 0;
    }
}
