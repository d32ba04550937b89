/*
 * What a Realm's memory holds at its start
 *
 * Purpose: layout.c against a twin that has one byte for each page: ranges
 * that are no RAM are refused and change nothing, images come sorted and
 * merged, whatever their order.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "target/arm/realm/layout.h"

#define PAGE        0x4000ull           /* a host's of 16 KiB */
#define IPA_BITS    33
#define LIMIT       (1ull << (IPA_BITS - 1))
#define PAGES       64

static RealmLayout layout;

static void start(void)
{
    const RealmConfig config = { .ipa_bits = IPA_BITS };

    realm_layout_init(&layout, &config, PAGE);
}

static void end(void)
{
    g_array_unref(layout.ram);
    g_array_unref(layout.images);
}

static void check_refused(uint64_t base, uint64_t size, const char *why)
{
    Error *err = NULL;
    guint before = layout.ram->len;

    g_assert_false(realm_layout_add_ram(&layout, base, size, &err));
    g_assert_nonnull(strstr(error_get_pretty(err), why));
    error_free(err);
    g_assert_cmpuint(layout.ram->len, ==, before);
}

static void test_ranges_that_are_no_ram(void)
{
    start();
    check_refused(PAGE / 2, PAGE, "whole pages");
    check_refused(PAGE, 0x1000, "whole pages");
    check_refused(LIMIT, PAGE, "shared half");
    check_refused(LIMIT - PAGE, 2 * PAGE, "shared half");
    check_refused(PAGE, -PAGE, "shared half");
    check_refused(-PAGE, PAGE, "shared half");
    check_refused(-PAGE, 2 * PAGE, "shared half");
    realm_layout_add_ram(&layout, 4 * PAGE, 4 * PAGE, &error_abort);
    check_refused(7 * PAGE, PAGE, "other RAM ends");
    check_refused(0, PAGE, "other RAM ends");
    layout.fixed = true;
    check_refused(8 * PAGE, PAGE, "at its start");
    end();
}

static void test_empty_range(void)
{
    start();
    realm_layout_add_ram(&layout, 4 * PAGE, 0, &error_abort);
    realm_layout_add_ram(&layout, LIMIT, 0, &error_abort);
    g_assert_cmpuint(layout.ram->len, ==, 0);
    end();
}

static void test_what_is_ram(void)
{
    start();
    realm_layout_add_ram(&layout, 0, 4 * PAGE, &error_abort);
    realm_layout_add_ram(&layout, 8 * PAGE, 4 * PAGE, &error_abort);
    g_assert_true(realm_layout_is_ram(&layout, 0, 4 * PAGE));
    g_assert_true(realm_layout_is_ram(&layout, 11 * PAGE, PAGE));
    g_assert_true(realm_layout_is_ram(&layout, 12 * PAGE, 0));
    g_assert_false(realm_layout_is_ram(&layout, 11 * PAGE, 2 * PAGE));
    g_assert_false(realm_layout_is_ram(&layout, 2 * PAGE, 8 * PAGE));
    g_assert_false(realm_layout_is_ram(&layout, 8 * PAGE, -PAGE));
    g_assert_false(realm_layout_is_ram(&layout, -PAGE, 2 * PAGE));
    end();
}

static void test_later_images_are_left_out(void)
{
    start();
    realm_layout_add_ram(&layout, 0, PAGES * PAGE, &error_abort);
    layout.fixed = true;
    realm_layout_add_image(&layout, 0, PAGE);
    g_assert_cmpuint(layout.images->len, ==, 0);
    end();
}

static void check_images(const uint8_t *wanted)
{
    g_autoptr(GArray) images = realm_layout_images(&layout);
    uint8_t found[PAGES] = { 0 };
    uint64_t last = 0;

    for (guint i = 0; i < images->len; i++) {
        RealmRange image = realm_range(images, i);

        g_assert_cmphex(image.base, <, image.top);
        g_assert_cmphex(image.top, <=, PAGES * PAGE);
        g_assert_true(i == 0 || image.base > last);     /* merged */
        last = image.top;
        memset(found + image.base / PAGE, 1, (image.top - image.base) / PAGE);
    }
    g_assert_cmpmem(found, PAGES, wanted, PAGES);
}

/* RAM is pages 8 to 23 and 32 to 55. */
static bool is_ram(unsigned page)
{
    return (page >= 8 && page < 24) || (page >= 32 && page < 56);
}

static void test_images_in_any_order(void)
{
    for (unsigned round = 0; round < 2000; round++) {
        uint8_t wanted[PAGES] = { 0 };

        start();
        realm_layout_add_ram(&layout, 8 * PAGE, 16 * PAGE, &error_abort);
        realm_layout_add_ram(&layout, 32 * PAGE, 24 * PAGE, &error_abort);
        for (unsigned n = g_test_rand_int_range(0, 8); n; n--) {
            uint64_t base = g_test_rand_int_range(0, PAGES * PAGE);
            uint64_t size = g_test_rand_int_range(0, 12 * PAGE);

            realm_layout_add_image(&layout, base, size);
            for (uint64_t at = base; at < base + size &&
                                     at < PAGES * PAGE; at++) {
                wanted[at / PAGE] |= is_ram(at / PAGE);
                at |= PAGE - 1;
            }
        }
        check_images(wanted);
        end();
    }
}

/* The Realm ended: the loader writes all images again, and no RAM is new. */
static void test_reset(void)
{
    uint8_t wanted[PAGES] = { 0 };

    start();
    realm_layout_add_ram(&layout, 8 * PAGE, 4 * PAGE, &error_abort);
    realm_layout_add_image(&layout, 8 * PAGE, PAGE);
    layout.fixed = true;
    realm_layout_reset(&layout);
    check_images(wanted);
    realm_layout_add_image(&layout, 10 * PAGE, 1);
    wanted[10] = 1;
    check_images(wanted);
    g_assert_true(realm_layout_is_ram(&layout, 8 * PAGE, 4 * PAGE));
    end();
}

/* What is beside an image in its page is no part of it. */
static void test_bytes_of_an_image(void)
{
    start();
    realm_layout_add_ram(&layout, 8 * PAGE, 4 * PAGE, &error_abort);
    realm_layout_add_image(&layout, 9 * PAGE + 5, 7);
    g_assert_cmpuint(layout.images->len, ==, 1);
    g_assert_cmphex(realm_range(layout.images, 0).base, ==, 9 * PAGE + 5);
    g_assert_cmphex(realm_range(layout.images, 0).top, ==, 9 * PAGE + 12);
    end();
}

static void test_an_image_that_wraps(void)
{
    uint8_t wanted[PAGES] = { 0 };

    start();
    realm_layout_add_ram(&layout, 8 * PAGE, 4 * PAGE, &error_abort);
    realm_layout_add_image(&layout, 10 * PAGE, UINT64_MAX);
    wanted[10] = wanted[11] = 1;
    check_images(wanted);
    end();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/realm/layout/refuses-what-is-no-ram",
                    test_ranges_that_are_no_ram);
    g_test_add_func("/realm/layout/an-empty-range-does-nothing",
                    test_empty_range);
    g_test_add_func("/realm/layout/knows-what-is-ram", test_what_is_ram);
    g_test_add_func("/realm/layout/later-images-are-left-out",
                    test_later_images_are_left_out);
    g_test_add_func("/realm/layout/images-are-sorted-and-merged",
                    test_images_in_any_order);
    g_test_add_func("/realm/layout/a-reset-forgets-images", test_reset);
    g_test_add_func("/realm/layout/an-image-has-its-bytes",
                    test_bytes_of_an_image);
    g_test_add_func("/realm/layout/an-image-does-not-wrap",
                    test_an_image_that_wraps);
    return g_test_run();
}
