/*
 * Tags of a page in the stream (target/arm/page-tags/record.c)
 *
 * Purpose: what is packed has the size that its first bytes tell, and is
 * unpacked; whatever else comes is refused, or read without leaving it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "target/arm/page-tags/page-tags.h"

#define BYTES PAGE_TAGS_MAX_BYTES

typedef struct Page {
    const char *claim;
    unsigned kind;
    size_t size;
    void (*fill)(uint8_t *tags);
} Page;

static void fill_none(uint8_t *tags)
{
    memset(tags, 0, BYTES);
}

static void fill_uniform(uint8_t *tags)
{
    memset(tags, 0x77, BYTES);
}

static void fill_two(uint8_t *tags)
{
    memset(tags, 0x77, BYTES);
    tags[BYTES - 1] = 0x07;
}

static void fill_last(uint8_t *tags)
{
    memset(tags, 0, BYTES);
    tags[BYTES - 1] = 0x10;
}

static void fill_raw(uint8_t *tags)
{
    for (unsigned i = 0; i < BYTES; i++) {
        tags[i] = i * 0x1d + 1;
    }
}

static const Page pages[] = {
    { "no-tags", TAGS_NONE, 1, fill_none },
    { "one-tag", TAGS_UNIFORM, 2, fill_uniform },
    { "two-runs", TAGS_RUNS, 6, fill_two },
    { "only-the-last-granule", TAGS_RUNS, 6, fill_last },
    { "all-different", TAGS_RAW, 129, fill_raw },
};

/* As a reader of a stream does it: no more than was asked for. */
static size_t grow(const uint8_t *record, size_t available)
{
    size_t have = 0, size = 1;

    while (have < size) {
        if (size > available) {
            return 0;
        }
        have = size;
        size = arm_page_tags_record_size(record, have);
        g_assert_cmpuint(size, <=, PAGE_TAGS_MAX_RECORD);
    }
    return size;
}

static void test_page(const void *data)
{
    const Page *page = data;
    uint8_t tags[BYTES], back[BYTES], record[PAGE_TAGS_MAX_RECORD];
    size_t size;

    page->fill(tags);
    size = tags_pack(tags, record);
    g_assert_cmpuint(size, ==, page->size);
    g_assert_cmpuint(record[0], ==, page->kind);
    g_assert_cmpuint(grow(record, size), ==, size);
    memset(back, 0xee, sizeof(back));
    g_assert_true(arm_page_tags_unpack(record, size, back));
    g_assert_cmpmem(back, BYTES, tags, BYTES);
    for (size_t cut = 0; cut < size; cut++) {
        g_assert_cmpuint(grow(record, cut), ==, 0);
        g_assert_false(cut && arm_page_tags_unpack(record, cut, back));
    }
    g_assert_false(arm_page_tags_unpack(record, size - 1, back));
}

static void test_unknown_kinds(void)
{
    uint8_t record[PAGE_TAGS_MAX_RECORD] = { 0 }, tags[BYTES];

    for (unsigned kind = 4; kind < 256; kind++) {
        record[0] = kind;
        g_assert_cmpuint(arm_page_tags_record_size(record, 1), ==, 0);
        g_assert_false(arm_page_tags_unpack(record, sizeof(record), tags));
    }
}

static void test_numbers_of_runs(void)
{
    uint8_t record[2] = { TAGS_RUNS };

    for (unsigned n = 0; n < 256; n++) {
        record[1] = n;
        g_assert_cmpuint(arm_page_tags_record_size(record, 2), ==,
                         n <= 63 ? 2 + 2 * n : 0);
    }
}

static void test_forms_that_pack_does_not_make(void)
{
    static const uint8_t bad[][8] = {
        { TAGS_UNIFORM, 0 },                    /* is none */
        { TAGS_UNIFORM, 16 },
        { TAGS_RUNS, 2, 127, 1, 127, 1 },       /* two that join */
        { TAGS_RUNS, 2, 127, 1, 126, 2 },       /* a granule short */
        { TAGS_RUNS, 2, 255, 1, 0, 2 },         /* a granule too many */
        { TAGS_RUNS, 2, 127, 1, 127, 16 },
        { TAGS_RUNS, 1, 255, 1 },               /* is uniform */
    };
    uint8_t tags[BYTES];

    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        size_t size = grow(bad[i], sizeof(bad[i]));

        g_assert_false(size && arm_page_tags_unpack(bad[i], size, tags));
    }
}

static void test_any_bytes(void)
{
    uint8_t record[PAGE_TAGS_MAX_RECORD], tags[BYTES];
    g_autoptr(GRand) rand = g_rand_new_with_seed(1);

    for (unsigned i = 0; i < 100000; i++) {
        g_autofree uint8_t *exact = NULL;
        size_t size;

        for (unsigned b = 0; b < sizeof(record); b++) {
            record[b] = g_rand_int_range(rand, 0, b ? 256 : 5);
        }
        size = grow(record, sizeof(record));
        if (size) {             /* a sanitizer sees a byte too many */
            exact = g_memdup2(record, size);
            arm_page_tags_unpack(exact, size, tags);
        }
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (unsigned i = 0; i < ARRAY_SIZE(pages); i++) {
        g_autofree char *path = g_strdup_printf("/page-tags/record/%s",
                                                pages[i].claim);

        g_test_add_data_func(path, &pages[i], test_page);
    }
    g_test_add_func("/page-tags/record/unknown-kinds-are-refused",
                    test_unknown_kinds);
    g_test_add_func("/page-tags/record/too-many-runs-are-refused",
                    test_numbers_of_runs);
    g_test_add_func("/page-tags/record/other-forms-are-refused",
                    test_forms_that_pack_does_not_make);
    g_test_add_func("/page-tags/record/any-bytes-are-read-within-bounds",
                    test_any_bytes);
    return g_test_run();
}
