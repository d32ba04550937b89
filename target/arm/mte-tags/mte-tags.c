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

#define TAGS_PER_WORD 16

/* 16 tags, the first in the lowest bits; compilers make one load of it */
static uint64_t word_at(const uint8_t *tags, unsigned w)
{
    uint64_t word = 0;

    for (unsigned i = 0; i < sizeof(word); i++) {
        word |= (uint64_t)tags[w * sizeof(word) + i] << (i * 8);
    }
    return word;
}

/*
 * The lowest bit of each tag in @word that differs from the one before it;
 * @before is the one before the first.
 */
static uint64_t run_begins(uint64_t word, uint64_t before)
{
    uint64_t differs = word ^ (word << 4 | before);

    differs |= differs >> 1;
    differs |= differs >> 2;
    return differs & 0x1111111111111111ull;
}

static void put_tag(uint8_t *tags, unsigned i, unsigned tag)
{
    unsigned shift = i % 2 * 4;

    tags[i / 2] = (tags[i / 2] & ~(0xf << shift)) | tag << shift;
}

static void put_run(uint8_t *tags, unsigned first, unsigned n, unsigned tag)
{
    if (first % 2) {
        put_tag(tags, first, tag);
        first++;
        n--;
    }
    memset(tags + first / 2, tag * 0x11, n / 2);
    if (n % 2) {
        put_tag(tags, first + n - 1, tag);
    }
}

/* Number of runs written to @out, or 0 if raw is shorter */
static unsigned pack_runs(const uint8_t *tags, uint8_t *out)
{
    unsigned n = 0, from = 0, tag = tags[0] & 0xf;
    uint64_t before = tag;

    for (unsigned w = 0; w < MTE_TAGS_PER_PAGE / TAGS_PER_WORD; w++) {
        uint64_t word = word_at(tags, w);
        uint64_t begins = run_begins(word, before);

        for (; begins; begins &= begins - 1) {
            unsigned bit = __builtin_ctzll(begins);
            unsigned at = w * TAGS_PER_WORD + bit / 4;

            if (n == MTE_TAGS_MAX_RUNS - 1) {
                return 0;       /* another one follows this one */
            }
            out[n * 2] = at - from - 1;
            out[n * 2 + 1] = tag;
            n++;
            from = at;
            tag = word >> bit & 0xf;
        }
        before = word >> 60;
    }
    out[n * 2] = MTE_TAGS_PER_PAGE - from - 1;
    out[n * 2 + 1] = tag;
    return n + 1;
}

size_t mte_tags_pack(const uint8_t tags[MTE_TAGS_BYTES], uint8_t *out)
{
    unsigned n = pack_runs(tags, out + 2), tag = out[3];

    switch (n) {
    case 0:
        return mte_tags_pack_raw(tags, out);
    case 1:
        out[0] = tag ? MTE_TAGS_UNIFORM : MTE_TAGS_NONE;
        out[1] = tag;
        return tag ? 2 : 1;
    default:
        out[0] = MTE_TAGS_RUNS;
        out[1] = n;
        return 2 + n * 2;
    }
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
