/*
 * Tags of a page in the stream (target/arm/mte-tags/)
 *
 * Purpose: what is packed has the size that its first bytes tell, and is
 * unpacked; whatever else comes is refused or read as the specification says,
 * and never beyond its end.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <sys/mman.h>
#include "migration/page-tags.h"
#include "target/arm/mte-tags/mte-tags.h"

#define BYTES PAGE_TAGS_MAX_BYTES
#define TAGS  (BYTES * 2)

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
    { "no-tags", MTE_TAGS_NONE, 1, fill_none },
    { "one-tag", MTE_TAGS_UNIFORM, 2, fill_uniform },
    { "two-runs", MTE_TAGS_RUNS, 6, fill_two },
    { "only-the-last-granule", MTE_TAGS_RUNS, 6, fill_last },
    { "all-different", MTE_TAGS_RAW, 129, fill_raw },
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
        size = mte_tags_packed_size(record, have);
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
    size = mte_tags_pack(tags, record);
    g_assert_cmpuint(size, ==, page->size);
    g_assert_cmpuint(record[0], ==, page->kind);
    g_assert_cmpuint(grow(record, size), ==, size);
    memset(back, 0xee, sizeof(back));
    g_assert_cmpuint(mte_tags_unpack(record, size, back), ==, size);
    g_assert_cmpmem(back, BYTES, tags, BYTES);
    for (size_t cut = 0; cut < size; cut++) {
        g_assert_cmpuint(grow(record, cut), ==, 0);
        g_assert_false(cut && mte_tags_unpack(record, cut, back));
    }
    g_assert_false(mte_tags_unpack(record, size - 1, back));
}

static void test_unknown_kinds(void)
{
    uint8_t record[PAGE_TAGS_MAX_RECORD] = { 0 }, tags[BYTES];

    for (unsigned kind = 4; kind < 256; kind++) {
        record[0] = kind;
        g_assert_cmpuint(mte_tags_packed_size(record, 1), ==, 0);
        g_assert_false(mte_tags_unpack(record, sizeof(record), tags));
    }
}

static void test_numbers_of_runs(void)
{
    uint8_t record[2] = { MTE_TAGS_RUNS };

    for (unsigned n = 0; n < 256; n++) {
        record[1] = n;
        g_assert_cmpuint(mte_tags_packed_size(record, 2), ==,
                         n <= 63 ? 2 + 2 * n : 0);
    }
}

static void test_forms_that_pack_does_not_make(void)
{
    static const uint8_t bad[][8] = {
        { MTE_TAGS_UNIFORM, 0 },                    /* is none */
        { MTE_TAGS_UNIFORM, 16 },
        { MTE_TAGS_RUNS, 2, 127, 1, 127, 1 },       /* two that join */
        { MTE_TAGS_RUNS, 2, 127, 1, 126, 2 },       /* a granule short */
        { MTE_TAGS_RUNS, 2, 255, 1, 0, 2 },         /* a granule too many */
        { MTE_TAGS_RUNS, 2, 127, 1, 127, 16 },
        { MTE_TAGS_RUNS, 1, 255, 1 },               /* is uniform */
    };
    uint8_t tags[BYTES];

    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        size_t size = grow(bad[i], sizeof(bad[i]));

        g_assert_false(size && mte_tags_unpack(bad[i], size, tags));
    }
}

/*
 * The tags of a record, a byte each, read by the table of
 * mte-tags.h; false: it is none of these.
 */
static bool read_by_the_table(const uint8_t *record, size_t size,
                              uint8_t tags[TAGS])
{
    unsigned at = 0;

    switch (record[0]) {
    case 0:
        memset(tags, 0, TAGS);
        return size == 1;
    case 1:
        memset(tags, record[1], TAGS);
        return size == 2 && record[1] >= 1 && record[1] <= 15;
    case 2:
        for (unsigned i = 2; i < size; i += 2) {
            unsigned length = record[i] + 1;

            if (record[i + 1] > 15 || at + length > TAGS ||
                (at && tags[at - 1] == record[i + 1])) {
                return false;
            }
            memset(tags + at, record[i + 1], length);
            at += length;
        }
        return record[1] >= 2 && record[1] <= 63 &&
               size == 2 + 2 * record[1] && at == TAGS;
    case 3:
        for (unsigned i = 0; i < TAGS; i++) {
            tags[i] = record[1 + i / 2] >> i % 2 * 4 & 15;
        }
        return size == 129;
    default:
        return false;
    }
}

/* A record with some runs, of which some bytes are others. */
static void make_record(GRand *rand, uint8_t record[PAGE_TAGS_MAX_RECORD])
{
    unsigned runs = g_rand_int_range(rand, 1, 90);
    unsigned tag = g_rand_int_range(rand, 0, 16);
    uint8_t tags[BYTES];

    for (unsigned b = 0; b < PAGE_TAGS_MAX_RECORD; b++) {
        record[b] = g_rand_int_range(rand, 0, 256);
    }
    for (unsigned i = 0; i < BYTES; i++) {
        if (g_rand_int_range(rand, 0, BYTES) < runs) {
            tag = g_rand_int_range(rand, 0, 16);
        }
        tags[i] = tag * 0x11;
    }
    mte_tags_pack(tags, record);
    for (unsigned n = g_rand_int_range(rand, 0, 3); n; n--) {
        record[g_rand_int_range(rand, 0, 6)] = g_rand_int_range(rand, 0, 256);
    }
}

/* Compare the two, and @tags are not touched by a record that is refused. */
static bool check_record(const uint8_t *record, size_t size)
{
    uint8_t packed[BYTES], before[BYTES], tags[TAGS];
    bool good = read_by_the_table(record, size, tags);

    memset(packed, 0xee, BYTES);
    memset(before, 0xee, BYTES);
    g_assert_cmpint(mte_tags_unpack(record, size, packed), ==,
                    good ? size : 0);
    for (unsigned i = 0; good && i < TAGS; i++) {
        g_assert_cmphex(packed[i / 2] >> i % 2 * 4 & 15, ==, tags[i]);
    }
    g_assert_true(good || !memcmp(packed, before, BYTES));
    return good;
}

/* Each ends where nothing can be read. */
static void test_any_bytes(void)
{
    size_t page = qemu_real_host_page_size();
    uint8_t *edge = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint8_t record[PAGE_TAGS_MAX_RECORD];
    g_autoptr(GRand) rand = g_rand_new_with_seed(1);
    unsigned good[4] = { 0 }, bad[4] = { 0 };

    g_assert_true(edge != MAP_FAILED);
    edge += page;
    g_assert_cmpint(mprotect(edge, page, PROT_NONE), ==, 0);
    for (unsigned i = 0; i < 200000; i++) {
        size_t size;

        make_record(rand, record);
        size = grow(record, sizeof(record));
        if (!size) {
            g_assert_false(record[0] < MTE_TAGS_RUNS ||
                           record[0] == MTE_TAGS_RAW);
            continue;
        }
        memcpy(edge - size, record, size);
        (check_record(edge - size, size) ? good : bad)[record[0]]++;
    }
    munmap(edge - page, 2 * page);
    for (unsigned kind = MTE_TAGS_NONE; kind <= MTE_TAGS_RAW; kind++) {
        g_test_message("kind %u: %u are records, %u are none", kind,
                       good[kind], bad[kind]);
        g_assert_cmpuint(good[kind], >, 100);
    }
    g_assert_cmpuint(bad[MTE_TAGS_UNIFORM], >, 100);
    g_assert_cmpuint(bad[MTE_TAGS_RUNS], >, 100);
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
    g_test_add_func("/page-tags/record/any-bytes-are-read-as-specified",
                    test_any_bytes);
    return g_test_run();
}
