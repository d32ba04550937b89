/*
 * Packed tags against a twin that is too simple to be wrong
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib.h>
#include <stdbool.h>
#include <string.h>

#include "mte-tags.h"

/* The twin: tags as 256 numbers, forms built as lists */
typedef struct Plain {
    uint8_t tag[MTE_TAGS_PER_PAGE];
} Plain;

static Plain plain_of(const uint8_t *tags)
{
    Plain p;

    for (int i = 0; i < MTE_TAGS_PER_PAGE; i++) {
        p.tag[i] = i % 2 ? tags[i / 2] >> 4 : tags[i / 2] & 15;
    }
    return p;
}

static void plain_to(const Plain *p, uint8_t *tags)
{
    for (int i = 0; i < MTE_TAGS_BYTES; i++) {
        tags[i] = p->tag[2 * i] | p->tag[2 * i + 1] << 4;
    }
}

/* The shortest form, found by making all of them */
static GByteArray *plain_pack(const Plain *p)
{
    GByteArray *best = g_byte_array_new(), *runs = g_byte_array_new();
    uint8_t raw[MTE_TAGS_BYTES], head[2] = { MTE_TAGS_RUNS, 0 };
    unsigned n = 0;

    g_byte_array_append(runs, head, 2);
    for (int i = 0, from = 0; i < MTE_TAGS_PER_PAGE; i++) {
        if (i == MTE_TAGS_PER_PAGE - 1 || p->tag[i] != p->tag[i + 1]) {
            uint8_t run[2] = { i - from, p->tag[i] };

            g_byte_array_append(runs, run, 2);
            from = i + 1;
            n++;
        }
    }
    runs->data[1] = n;

    if (n == 1) {
        uint8_t form[2] = {
            p->tag[0] ? MTE_TAGS_UNIFORM : MTE_TAGS_NONE, p->tag[0],
        };

        g_byte_array_append(best, form, p->tag[0] ? 2 : 1);
    } else if (runs->len < MTE_TAGS_MAX_PACKED) {
        g_byte_array_append(best, runs->data, runs->len);
    } else {
        uint8_t kind = MTE_TAGS_RAW;

        plain_to(p, raw);
        g_byte_array_append(best, &kind, 1);
        g_byte_array_append(best, raw, sizeof(raw));
    }
    g_byte_array_unref(runs);
    return best;
}

/* A page with about @runs runs */
static Plain random_page(int runs)
{
    Plain p;
    uint8_t tag = g_test_rand_int_range(0, 16);

    for (int i = 0; i < MTE_TAGS_PER_PAGE; i++) {
        if (g_test_rand_int_range(0, MTE_TAGS_PER_PAGE) < runs) {
            tag = g_test_rand_int_range(0, 16);
        }
        p.tag[i] = tag;
    }
    return p;
}

static void check_page(const Plain *p)
{
    uint8_t tags[MTE_TAGS_BYTES], back[MTE_TAGS_BYTES];
    uint8_t out[MTE_TAGS_MAX_PACKED];
    GByteArray *want = plain_pack(p);
    size_t n;

    plain_to(p, tags);
    n = mte_tags_pack(tags, out);
    g_assert_cmpmem(out, n, want->data, want->len);
    memset(back, 0xee, sizeof(back));
    g_assert_cmpuint(mte_tags_unpack(out, n, back), ==, n);
    g_assert_cmpmem(back, sizeof(back), tags, sizeof(tags));
    /* One byte less is no form, and changes nothing */
    memset(back, 0xee, sizeof(back));
    g_assert_cmpuint(mte_tags_unpack(out, n - 1, back), ==, 0);
    g_assert_cmpuint(back[0], ==, 0xee);
    g_assert_cmpuint(back[MTE_TAGS_BYTES - 1], ==, 0xee);
    g_byte_array_unref(want);
}

static void test_pack_agrees_with_the_slow_twin(void)
{
    for (int i = 0; i < 20000; i++) {
        Plain p = random_page(i % 140);

        check_page(&p);
    }
    for (int tag = 0; tag < 16; tag++) {
        Plain p;

        memset(p.tag, tag, sizeof(p.tag));
        check_page(&p);
    }
}

static void test_the_longest_runs_form_is_shorter_than_raw(void)
{
    Plain p = { { 0 } };

    /* 63 runs, then 64 */
    for (int i = 0; i < 62; i++) {
        p.tag[i] = i % 2 + 1;
    }
    check_page(&p);
    p.tag[62] = 1;
    p.tag[63] = 3;
    check_page(&p);
}

static void test_raw_has_one_length_for_all_contents(void)
{
    uint8_t tags[MTE_TAGS_BYTES], back[MTE_TAGS_BYTES];
    uint8_t out[MTE_TAGS_MAX_PACKED];

    for (int i = 0; i < 200; i++) {
        Plain p = random_page(i);

        plain_to(&p, tags);
        g_assert_cmpuint(mte_tags_pack_raw(tags, out), ==, MTE_TAGS_MAX_PACKED);
        g_assert_cmpuint(mte_tags_unpack(out, sizeof(out), back), ==,
                         MTE_TAGS_MAX_PACKED);
        g_assert_cmpmem(back, sizeof(back), tags, sizeof(tags));
    }
}

static void test_forms_that_no_packer_makes_are_refused(void)
{
    static const struct {
        uint8_t bytes[16];
        size_t len;
    } bad[] = {
        { { 0 }, 0 },
        { { 4 }, 1 },                                    /* no such kind */
        { { 0xff, 1, 2, 3 }, 4 },
        { { MTE_TAGS_UNIFORM, 0 }, 2 },                  /* that is none */
        { { MTE_TAGS_UNIFORM, 16 }, 2 },                 /* no such tag */
        { { MTE_TAGS_RUNS }, 1 },
        { { MTE_TAGS_RUNS, 0 }, 2 },
        { { MTE_TAGS_RUNS, 1, 255, 3 }, 4 },             /* that is uniform */
        { { MTE_TAGS_RUNS, 2, 127, 1, 127, 1 }, 6 },     /* equal neighbours */
        { { MTE_TAGS_RUNS, 2, 127, 1, 126, 2 }, 6 },     /* one too few */
        { { MTE_TAGS_RUNS, 2, 127, 1, 128, 2 }, 6 },     /* one too many */
        { { MTE_TAGS_RUNS, 2, 127, 1, 127, 16 }, 6 },    /* no such tag */
        { { MTE_TAGS_RUNS, 3, 127, 1, 127, 2, 0, 1 }, 8 }, /* beyond the page */
        { { MTE_TAGS_RUNS, 64, 1, 1, 1, 2 }, 6 },        /* raw is shorter */
    };
    uint8_t tags[MTE_TAGS_BYTES];

    memset(tags, 0xee, sizeof(tags));
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_assert_cmpuint(mte_tags_unpack(bad[i].bytes, bad[i].len, tags), ==,
                         0);
    }
    for (size_t i = 0; i < sizeof(tags); i++) {
        g_assert_cmpuint(tags[i], ==, 0xee);
    }
}

static void test_random_bytes_unpack_only_to_what_packs_back(void)
{
    for (int i = 0; i < 200000; i++) {
        uint8_t in[140], tags[MTE_TAGS_BYTES], out[MTE_TAGS_MAX_PACKED];
        size_t len = g_test_rand_int_range(0, sizeof(in)), n;

        for (size_t j = 0; j < len; j++) {
            in[j] = g_test_rand_int_range(0, j < 2 ? 5 : 256);
        }
        n = mte_tags_unpack(in, len, tags);
        g_assert_cmpuint(n, <=, len);
        if (n && in[0] != MTE_TAGS_RAW) {
            g_assert_cmpmem(out, mte_tags_pack(tags, out), in, n);
        }
        if (n) {
            Plain p = plain_of(tags);

            check_page(&p);
        }
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/tags/pack-agrees-with-the-slow-twin",
                    test_pack_agrees_with_the_slow_twin);
    g_test_add_func("/tags/the-longest-runs-form-is-shorter-than-raw",
                    test_the_longest_runs_form_is_shorter_than_raw);
    g_test_add_func("/tags/raw-has-one-length-for-all-contents",
                    test_raw_has_one_length_for_all_contents);
    g_test_add_func("/tags/forms-that-no-packer-makes-are-refused",
                    test_forms_that_no_packer_makes_are_refused);
    g_test_add_func("/tags/random-bytes-unpack-only-to-what-packs-back",
                    test_random_bytes_unpack_only_to_what_packs_back);
    return g_test_run();
}
