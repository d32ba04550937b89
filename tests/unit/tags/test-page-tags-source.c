/*
 * Tags on their way out of a guest (migration/page-tags/source.c)
 *
 * Purpose: tags are read ahead, and yet no store of a tag is lost, whenever it
 * comes.  Here are a guest, a log of its stores as KVM keeps it (what was
 * fetched is cleared a chunk at a time), a migration that sends what the log
 * says, and what has arrived: in the end it is what the guest has.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/bitmap.h"
#include "qemu/cutils.h"
#include "qemu/module.h"
#include "exec/address-spaces.h"
#include "exec/memory.h"
#include "exec/ramblock.h"
#include "exec/target_page.h"
#include "io/channel-buffer.h"
#include "migration/migration.h"
#include "migration/page-tags/hooks.h"
#include "migration/page-tags/page-tags-internal.h"
#include "migration/qemu-file.h"
#include "migration/ram.h"
#include "target/arm/mte-tags/mte-tags.h"

#define PAGE        4096
#define PAGES       960             /* whole chunks, 3.75 times read ahead */
#define BYTES       PAGE_TAGS_MAX_BYTES
#define CHUNK_SHIFT 6

/* ---- What QEMU gives ---- */

AddressSpace address_space_memory;
static MigrationState the_migration;
static MemoryListener *listener;
static char *error;

MigrationState *migrate_get_current(void)
{
    return &the_migration;
}

void migrate_set_error(MigrationState *s, const Error *err)
{
    g_assert_null(error);
    error = g_strdup(error_get_pretty(err));
}

void memory_listener_register(MemoryListener *l, AddressSpace *filter)
{
    listener = l;
}

void ram_transferred_add(uint64_t bytes)
{
}

const TargetPageBits target_page = {
    .decided = true, .bits = 12, .mask = -PAGE,
};

/* ---- What other files of ours give ---- */

void page_tags_destination_init(void)
{
}

void page_tags_section_register(void)
{
}

/* ---- The guest, and the log of its stores ---- */

static DECLARE_BITMAP(dirty, PAGES);    /* the migration's */
static DECLARE_BITMAP(chunks, PAGES);   /* of a log that is not cleared yet */
static DECLARE_BITMAP(logged, PAGES);
static DECLARE_BITMAP(fetched, PAGES);
static RAMBlock block = {
    .idstr = "test.ram", .used_length = PAGES * PAGE,
    .max_length = PAGES * PAGE, .bmap = dirty,
};
static RAMBlock other = { .idstr = "other.ram", .used_length = PAGES * PAGE };
static uint8_t guest[PAGES * BYTES], arrived[PAGES * BYTES];
static unsigned reads, pages_read;
static bool broken;

static bool read_tags(RAMBlock *b, ram_addr_t offset, unsigned pages,
                      uint8_t *tags, bool *zero, Error **errp)
{
    g_assert_true(b == &block && pages &&
                  offset + (ram_addr_t)pages * PAGE <= PAGES * PAGE);
    if (broken) {
        error_setg(errp, "0x%x bytes at 0x" RAM_ADDR_FMT ": lost",
                   pages * PAGE, offset);
        return false;
    }
    *zero = buffer_is_zero(guest + offset / PAGE * BYTES, pages * BYTES);
    if (!*zero) {
        memcpy(tags, guest + offset / PAGE * BYTES, pages * BYTES);
    }
    reads++;
    pages_read += pages;
    return true;
}

static const PageTagsOps ops = {
    .section = "test-tags", .tag_bytes = BYTES, .read = read_tags,
    .zero_record = MTE_TAGS_NONE, .pack = mte_tags_pack,
    .record_size = mte_tags_packed_size,
    .unpack = mte_tags_unpack,
};

static void store(unsigned page, uint8_t tag)
{
    memset(guest + page * BYTES, tag * 0x11, BYTES);
    set_bit(page, logged);
}

/* What KVM clears is what it was asked for before; not what came since. */
static void clear_log(unsigned first, unsigned n)
{
    for (unsigned i = first; i < MIN(first + n, PAGES); i++) {
        if (test_and_clear_bit(i, fetched)) {
            clear_bit(i, logged);
        }
    }
}

static void sync_log(void)
{
    listener->log_sync_global(listener, false);
    bitmap_copy(fetched, logged, PAGES);
    bitmap_or(dirty, dirty, logged, PAGES);
    if (block.clear_bmap) {
        bitmap_fill(chunks, PAGES >> CHUNK_SHIFT);
    } else {
        clear_log(0, PAGES);
    }
}

/* ---- The migration ---- */

static QEMUFile *out;
static QIOChannelBuffer *wire;

static void begin(bool in_chunks)
{
    memset(guest, 0, sizeof(guest));
    memset(arrived, 0xff, sizeof(arrived));
    bitmap_zero(logged, PAGES);
    bitmap_fill(dirty, PAGES);
    block.clear_bmap = in_chunks ? chunks : NULL;
    block.clear_bmap_shift = CHUNK_SHIFT;
    reads = pages_read = 0;
    broken = false;
    wire = qio_channel_buffer_new(2 * PAGE_TAGS_MAX_RECORD);
    out = qemu_file_new_output(QIO_CHANNEL(wire));
    page_tags.sending = true;
    page_tags_source_begin();
    sync_log();
}

static void end(void)
{
    page_tags_source_end();
    page_tags.sending = false;
    qemu_fclose(out);
    object_unref(OBJECT(wire));
}

/* The one record on the wire is that of the page; a zero page may have none. */
static void receive(unsigned page, bool zero)
{
    uint8_t *tags = arrived + page * BYTES;

    qemu_fflush(out);
    if (zero && !wire->usage) {
        memset(tags, 0, BYTES);
        return;
    }
    if (zero) {
        g_assert_cmpuint(wire->data[0], ==, PAGE_TAGS_OF_ZEROS);
        memmove(wire->data, wire->data + 1, --wire->usage);
    }
    g_assert_cmpuint(mte_tags_packed_size(wire->data, wire->usage), ==,
                     wire->usage);
    g_assert_true(mte_tags_unpack(wire->data, wire->usage, tags));
    g_assert_false(zero && buffer_is_zero(tags, BYTES));
    wire->usage = wire->offset = 0;
}

/* The next dirty page, as ram_save_host_page() does it; false: none is left. */
static bool send_next(void)
{
    unsigned page = find_first_bit(dirty, PAGES);
    ram_addr_t offset = (ram_addr_t)page * PAGE;

    if (page == PAGES) {
        return false;
    }
    if (block.clear_bmap &&
        test_and_clear_bit(page >> CHUNK_SHIFT, chunks)) {
        clear_log(QEMU_ALIGN_DOWN(page, 1 << CHUNK_SHIFT), 1 << CHUNK_SHIFT);
    }
    clear_bit(page, dirty);
    if (page % 2) {             /* its data are zero */
        page_tags_put_zero(out, &block, offset);
    } else {
        g_assert_true(page_tags_put(out, &block, offset));
    }
    receive(page, page % 2);
    return true;
}

static void send_all(void)
{
    while (send_next()) {
        /* goes on */
    }
}

static void assert_all_arrived(void)
{
    for (unsigned i = 0; i < PAGES; i++) {
        g_assert_cmpmem(arrived + i * BYTES, BYTES, guest + i * BYTES, BYTES);
    }
}

/* ---- Tests ---- */

/* Stores, syncs and pages in any order; then the guest stops. */
static void run(GRand *rand, unsigned steps)
{
    for (unsigned i = 0; i < steps; i++) {
        unsigned what = g_rand_int_range(rand, 0, 1000);

        if (what < 300) {
            store(g_rand_int_range(rand, 0, PAGES),
                  g_rand_int_range(rand, 0, 16));
        } else if (what < 302 || !send_next()) {
            sync_log();
        }
    }
    sync_log();
    send_all();
}

static void check_any_order(bool in_chunks)
{
    for (unsigned seed = 0; seed < 20; seed++) {
        g_autoptr(GRand) rand = g_rand_new_with_seed(seed);

        begin(in_chunks);
        run(rand, 10000);
        assert_all_arrived();
        end();
    }
}

static void test_any_order(void)
{
    check_any_order(false);
}

static void test_any_order_in_chunks(void)
{
    check_any_order(true);
}

/* The case that the file's comment proves. */
static void test_store_between_reading_and_sync(void)
{
    begin(true);
    send_next();                /* reads pages 0 to 63 */
    store(5, 7);
    sync_log();
    send_all();
    assert_all_arrived();
    end();
}

static void test_pages_are_read_at_once(void)
{
    begin(false);
    send_all();
    g_assert_cmpuint(reads, ==, 4);
    g_assert_cmpuint(pages_read, ==, PAGES);
    end();
}

static void test_nothing_is_read_beyond_a_chunk(void)
{
    begin(true);
    send_next();
    g_assert_cmpuint(pages_read, ==, 1 << CHUNK_SHIFT);
    end();
}

static void test_only_dirty_pages_are_read(void)
{
    begin(false);
    send_all();
    reads = pages_read = 0;
    store(10, 1);
    store(11, 1);
    store(20, 1);
    sync_log();
    send_all();
    g_assert_cmpuint(reads, ==, 2);
    g_assert_cmpuint(pages_read, ==, 3);
    end();
}

static void test_failure(void)
{
    begin(false);
    broken = true;
    g_assert_false(page_tags_put(out, &block, 0));
    g_assert_cmpint(qemu_file_get_error(out), <, 0);
    g_assert_cmpstr(error, ==,
                    "test-tags: 0x100000 bytes at 0x0: lost");
    g_clear_pointer(&error, g_free);
    end();

    begin(false);
    broken = true;
    page_tags_put_zero(out, &block, 0);
    g_assert_cmpint(qemu_file_get_error(out), <, 0);
    g_clear_pointer(&error, g_free);
    end();
}

static void test_other_ram(void)
{
    begin(false);
    g_assert_true(page_tags_put(out, &other, 0));
    page_tags_put_zero(out, &other, 0);
    qemu_fflush(out);
    g_assert_cmpuint(wire->usage, ==, 0);
    g_assert_cmpuint(reads, ==, 0);
    end();
}

static const struct {
    const char *claim;
    void (*test)(void);
} tests[] = {
    { "a-store-between-reading-and-sync-is-sent",
      test_store_between_reading_and_sync },
    { "no-store-is-lost", test_any_order },
    { "no-store-is-lost-in-chunks", test_any_order_in_chunks },
    { "pages-are-read-at-once", test_pages_are_read_at_once },
    { "nothing-is-read-beyond-a-chunk", test_nothing_is_read_beyond_a_chunk },
    { "only-dirty-pages-are-read", test_only_dirty_pages_are_read },
    { "a-failure-fails-the-stream", test_failure },
    { "other-ram-has-no-records", test_other_ram },
};

int main(int argc, char **argv)
{
    RAMBlock *blocks[] = { &block };

    module_call_init(MODULE_INIT_QOM);
    g_test_init(&argc, &argv, NULL);
    page_tags_register(&ops, blocks, 1);
    for (unsigned i = 0; i < ARRAY_SIZE(tests); i++) {
        g_autofree char *path = g_strdup_printf("/page-tags/source/%s",
                                                tests[i].claim);

        g_test_add_func(path, tests[i].test);
    }
    return g_test_run();
}
