/*
 * Packets of the "realm" section: framing (migration/realm/channel.c)
 *
 * Purpose: what is written is read; what is no packet, or not all of one, is
 * refused with an error.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/bswap.h"
#include "migration/realm/channel.h"

#define MAX_BLOB 100
#define BUNDLE 50

static const RealmMigrationLimits limits = {
    .max_blob = MAX_BLOB,
    .max_pages = 1,
    .max_streams = 3,
};

/* Of a packet with a bundle of BUNDLE bytes. */
static const uint8_t good[REALM_CHANNEL_HEADER_SIZE] = {
    0, 2, 0, 1, 0, 0, 0, BUNDLE, 1, 2, 3, 4, 5, 6, 7, 8,
};

/* The format is a contract with other versions. */
static void test_layout(void)
{
    const RealmPacket packet = { .stream = 1, .size = BUNDLE,
                                 .epoch = 0x01020304, .place = 0x05060708 };
    uint8_t bytes[REALM_CHANNEL_HEADER_SIZE];

    realm_channel_put(bytes, &packet);
    g_assert_cmpmem(bytes, sizeof(bytes), good, sizeof(good));
}

static void test_read(void)
{
    RealmPacket packet;

    g_assert_true(realm_channel_get(good, sizeof(good) + BUNDLE, &limits,
                                    &packet, &error_abort));
    g_assert_cmpuint(packet.stream, ==, 1);
    g_assert_cmpuint(packet.size, ==, BUNDLE);
    g_assert_cmphex(packet.epoch, ==, 0x01020304);
    g_assert_cmphex(packet.place, ==, 0x05060708);
}

typedef struct Bad {
    const char *claim;
    uint16_t type, stream;
    uint32_t size;
    size_t len;                 /* of the bundle that came */
} Bad;

static const Bad bad_packets[] = {
    { "state", 1, 0, BUNDLE, BUNDLE },
    { "an-unknown-type", 4, 0, BUNDLE, BUNDLE },
    { "the-largest-type", 0xffff, 0, BUNDLE, BUNDLE },
    { "a-stream-that-is-not-there", 2, 3, BUNDLE, BUNDLE },
    { "the-largest-stream", 2, 0xffff, BUNDLE, BUNDLE },
    { "an-empty-bundle", 2, 0, 0, 0 },
    { "a-bundle-over-the-maximum", 2, 0, MAX_BLOB + 1, MAX_BLOB + 1 },
    { "the-largest-size", 2, 0, UINT32_MAX, BUNDLE },
    { "a-bundle-that-is-cut", 2, 0, BUNDLE, BUNDLE - 1 },
    { "a-bundle-that-is-missing", 2, 0, BUNDLE, 0 },
    { "bytes-behind-the-bundle", 2, 0, BUNDLE, BUNDLE + 1 },
};

static void check_refused(const uint8_t *bytes, size_t len)
{
    RealmPacket packet = { .stream = 77, .size = 77 };
    Error *err = NULL;

    g_assert_false(realm_channel_get(bytes, len, &limits, &packet, &err));
    g_assert_nonnull(strstr(error_get_pretty(err), "realm section"));
    g_assert_cmpuint(packet.stream, ==, 77);
    g_assert_cmpuint(packet.size, ==, 77);
    error_free(err);
}

static void test_refused(const void *opaque)
{
    const Bad *bad = opaque;
    uint8_t bytes[REALM_CHANNEL_HEADER_SIZE];

    memcpy(bytes, good, sizeof(bytes));
    stw_be_p(bytes, bad->type);
    stw_be_p(bytes + 2, bad->stream);
    stl_be_p(bytes + 4, bad->size);
    check_refused(bytes, sizeof(bytes) + bad->len);
}

/* Nothing behind the bytes that came is looked at: each ends its memory. */
static void test_cut(void)
{
    for (size_t len = 0; len < sizeof(good); len++) {
        g_autofree uint8_t *bytes = g_memdup2(good, len);

        check_refused(bytes, len);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

    g_test_add_func("/realm/channel/layout", test_layout);
    g_test_add_func("/realm/channel/what-is-written-is-read", test_read);
    g_test_add_func("/realm/channel/refuse-a-cut-header", test_cut);
    for (size_t i = 0; i < ARRAY_SIZE(bad_packets); i++) {
        g_autofree char *name = g_strdup_printf("/realm/channel/refuse-%s",
                                                bad_packets[i].claim);

        g_test_add_data_func(name, &bad_packets[i], test_refused);
    }
    return g_test_run();
}
