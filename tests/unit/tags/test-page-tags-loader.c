/*
 * Tags on their way into a guest (migration/page-tags/)
 *
 * Purpose: a good stream is loaded, with as few writes as possible; one that
 * is cut, hostile or of another machine is refused with a reason, and no tag
 * is written for it.  What QEMU does between a load's begin and its end is in
 * begin() and end_of_stream().
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/bswap.h"
#include "qemu/cutils.h"
#include "qemu/module.h"
#include "exec/address-spaces.h"
#include "exec/memory.h"
#include "exec/ramblock.h"
#include "exec/target_page.h"
#include "io/channel-buffer.h"
#include "migration/migration.h"
#include "migration/misc.h"
#include "migration/options.h"
#include "migration/page-tags/hooks.h"
#include "migration/page-tags/page-tags-internal.h"
#include "migration/qemu-file.h"
#include "migration/register.h"
#include "system/runstate.h"
#include "target/arm/mte-tags/mte-tags.h"

#define PAGE    4096
#define PAGES   64
#define BYTES   PAGE_TAGS_MAX_BYTES
#define LEVEL   3
#define VARIANT 15

/* ---- What QEMU gives ---- */

AddressSpace address_space_memory;
static MigrationState the_migration;
static MigrationIncomingState incoming;
static MigrationLoadThread load_thread;
static bool load_threads_abort;
static const SaveVMHandlers *handlers;
static VMChangeStateHandler *vm_changed;
static char *error;
static bool multifd, rdma, snapshot;
static unsigned syncs;

MigrationState *migrate_get_current(void)
{
    return &the_migration;
}

MigrationIncomingState *migration_incoming_get_current(void)
{
    return &incoming;
}

void qemu_loadvm_start_load_thread(MigrationLoadThread function, void *opaque)
{
    load_thread = function;
}

bool migrate_has_error(MigrationState *s)
{
    return error;
}

void migrate_set_error(MigrationState *s, const Error *err)
{
    g_assert_null(error);
    error = g_strdup(error_get_pretty(err));
}

bool migrate_multifd(void)
{
    return multifd;
}

bool migrate_rdma(void)
{
    return rdma;
}

MigMode migrate_mode(void)
{
    return MIG_MODE_NORMAL;
}

/* Nothing is sent here. */
int multifd_send_sync_main(MultiFDSyncReq req)
{
    g_assert_not_reached();
}

bool runstate_check(RunState state)
{
    return snapshot && state == RUN_STATE_SAVE_VM;
}

void multifd_recv_sync_main(void)
{
    syncs++;
}

MultiFDCompression migrate_multifd_compression(void)
{
    return the_migration.parameters.multifd_compression;
}

int register_savevm_live(const char *idstr, uint32_t instance_id,
                         int version_id, const SaveVMHandlers *ops,
                         void *opaque)
{
    g_assert_cmpstr(idstr, ==, "test-tags");
    handlers = ops;
    return 0;
}

VMChangeStateEntry *qemu_add_vm_change_state_handler(VMChangeStateHandler *cb,
                                                     void *opaque)
{
    vm_changed = cb;
    return NULL;
}

void memory_listener_register(MemoryListener *listener, AddressSpace *filter)
{
}

const TargetPageBits target_page = {
    .decided = true, .bits = 12, .mask = -PAGE,
};

/* ---- What other files of ours give ---- */

void page_tags_source_begin(void)
{
}

void page_tags_source_end(void)
{
}

void page_tags_source_sync(void)
{
}

/* ---- A machine with tags ---- */

static RAMBlock block = {
    .idstr = "test.ram", .used_length = PAGES * PAGE,
    .max_length = PAGES * PAGE,
};
static RAMBlock other = { .idstr = "other.ram", .used_length = PAGES * PAGE };
static uint8_t guest[PAGES * BYTES];
static unsigned writes, pages_written;
static bool broken, fresh = true;

static unsigned level(void)
{
    return LEVEL;
}

static unsigned variant(void)
{
    return VARIANT;
}

static bool is_fresh(RAMBlock *b)
{
    g_assert_true(b == &block);
    return fresh;
}

static bool write_tags(RAMBlock *b, ram_addr_t offset, unsigned pages,
                       const uint8_t *tags, Error **errp)
{
    g_assert_true(b == &block && pages &&
                  offset + (ram_addr_t)pages * PAGE <= PAGES * PAGE);
    if (broken) {
        error_setg(errp, "0x%x bytes at 0x" RAM_ADDR_FMT ": busy",
                   pages * PAGE, offset);
        return false;
    }
    memcpy(guest + offset / PAGE * BYTES, tags, pages * BYTES);
    writes++;
    pages_written += pages;
    return true;
}

/* For packets that this machine sends to itself */
static uint8_t source[PAGES * BYTES];
static unsigned reads;

static bool read_tags(RAMBlock *b, ram_addr_t offset, unsigned pages,
                      uint8_t *tags, bool *zero, Error **errp)
{
    if (broken) {
        error_setg(errp, "0x%x bytes at 0x" RAM_ADDR_FMT ": lost",
                   pages * PAGE, offset);
        return false;
    }
    reads++;
    *zero = buffer_is_zero(source + offset / PAGE * BYTES, pages * BYTES);
    if (!*zero) {
        memcpy(tags, source + offset / PAGE * BYTES, pages * BYTES);
    }
    return true;
}

static const PageTagsOps ops = {
    .section = "test-tags", .level_name = "test level",
    .variant_name = "test variant", .tag_bytes = BYTES,
    .level = level, .variant = variant, .fresh = is_fresh,
    .read = read_tags, .write = write_tags,
    .zero_record = MTE_TAGS_NONE, .pack = mte_tags_pack,
    .record_size = mte_tags_packed_size, .unpack = mte_tags_unpack,
};

/* ---- Streams ---- */

typedef struct Announcement {
    uint32_t level, tag_bytes, page_bytes, variant;
    unsigned blocks;
    const char *name;
} Announcement;

static const Announcement good = {
    LEVEL, BYTES, PAGE, VARIANT, 1, "test.ram"
};

static GByteArray *announcement(const Announcement *a)
{
    GByteArray *bytes = g_byte_array_new();
    uint32_t words[] = { cpu_to_be32(a->level), cpu_to_be32(a->tag_bytes),
                         cpu_to_be32(a->page_bytes),
                         cpu_to_be32(a->variant) };
    uint8_t blocks = a->blocks, size = strlen(a->name);

    g_byte_array_append(bytes, (uint8_t *)words, sizeof(words));
    g_byte_array_append(bytes, &blocks, 1);
    g_byte_array_append(bytes, &size, 1);
    g_byte_array_append(bytes, (const uint8_t *)a->name, size);
    return bytes;
}

static QIOChannel *channel(const void *bytes, size_t size)
{
    QIOChannelBuffer *buffer = qio_channel_buffer_new(MAX(size, 1));

    memcpy(buffer->data, bytes, size);
    buffer->usage = size;
    return QIO_CHANNEL(buffer);
}

static QEMUFile *stream(const void *bytes, size_t size)
{
    QIOChannel *ioc = channel(bytes, size);
    QEMUFile *f = qemu_file_new_input(ioc);

    object_unref(OBJECT(ioc));
    return f;
}

static int load(const void *bytes, size_t size, int version)
{
    QEMUFile *f = stream(bytes, size);
    int ret = handlers->load_state(f, NULL, version);

    qemu_fclose(f);
    return ret;
}

static int load_end(uint64_t records)
{
    uint64_t bytes = cpu_to_be64(records);

    return load(&bytes, sizeof(bytes), PAGE_TAGS_VERSION);
}

static int get(const void *bytes, size_t size, unsigned page)
{
    QEMUFile *f = stream(bytes, size);
    int ret = page_tags_get(f, &block, (ram_addr_t)page * PAGE);

    qemu_fclose(f);
    return ret;
}

/* A zero page; @bytes are what QEMU reads where its value would be. */
static int get_zero(const void *bytes, size_t size, unsigned page,
                    uint8_t *value)
{
    QEMUFile *f = stream(bytes, size);
    int ret;

    *value = qemu_get_byte(f);
    ret = page_tags_get_zero(f, &block, (ram_addr_t)page * PAGE, value);
    if (!ret) {
        g_assert_cmpint(qemu_file_get_error(f), ==, 0);
    }
    qemu_fclose(f);
    return ret;
}

static int get_plain_zero(unsigned page)
{
    uint8_t value;
    int ret = get_zero("", 1, page, &value);

    g_assert_cmpuint(value, ==, 0);
    return ret;
}

static int get_tag(unsigned page, unsigned tag)
{
    uint8_t record[] = { tag ? MTE_TAGS_UNIFORM : MTE_TAGS_NONE, tag };

    return get(record, tag ? 2 : 1, page);
}

static int announce(void)
{
    g_autoptr(GByteArray) bytes = announcement(&good);

    return load(bytes->data, bytes->len, PAGE_TAGS_VERSION);
}

static void setup(void)
{
    qemu_event_reset(&incoming.main_thread_load_event);
    g_assert_cmpint(handlers->load_setup(NULL, NULL, &error_abort), ==, 0);
}

static void begin(bool announced)
{
    memset(guest, 0, sizeof(guest));
    writes = pages_written = 0;
    broken = multifd = false;
    syncs = 0;
    incoming.from_src_file = stream("", 0);
    setup();
    if (announced) {
        g_assert_cmpint(announce(), ==, 0);
        g_assert_cmpuint(syncs, ==, 1);
    }
}

/* QEMU has met the end, and waits for its threads; what they say to it. */
static int end_of_stream(void)
{
    Error *err = NULL;

    qemu_event_set(&incoming.main_thread_load_event);
    if (!load_thread(NULL, &load_threads_abort, &err)) {
        migrate_set_error(&the_migration, err);
        error_free(err);
    }
    return qemu_file_get_error(incoming.from_src_file);
}

static void end(void)
{
    g_assert_null(error);
    handlers->load_cleanup(NULL);
    qemu_fclose(incoming.from_src_file);
    memset(page_tags.blocks[0].tagged, 0, PAGES / 8);
}

/* The migration failed, and the message has these words. */
static void assert_failed(int ret, const char *words)
{
    g_assert_cmpint(ret, <, 0);
    g_assert_nonnull(error);
    g_assert_nonnull(strstr(error, "test-tags: "));
    if (!strstr(error, words)) {
        g_test_message("%s", error);
    }
    g_assert_nonnull(strstr(error, words));
    g_clear_pointer(&error, g_free);
}

static void assert_tag(unsigned page, unsigned tag)
{
    for (unsigned i = 0; i < BYTES; i++) {
        g_assert_cmphex(guest[page * BYTES + i], ==, tag * 0x11);
    }
}

/* ---- Tests ---- */

static void test_runs_are_written_at_once(void)
{
    begin(true);
    for (unsigned i = 0; i < 10; i++) {
        g_assert_cmpint(get_tag(20 + i, i + 1), ==, 0);
    }
    g_assert_cmpint(get_tag(40, 7), ==, 0);
    g_assert_cmpuint(writes, ==, 1);
    g_assert_cmpint(load_end(11), ==, 0);
    g_assert_cmpuint(writes, ==, 2);
    g_assert_cmpuint(pages_written, ==, 11);
    assert_tag(29, 10);
    assert_tag(40, 7);
    assert_tag(41, 0);
    end();
}

static void test_zero_tags_cost_nothing(void)
{
    begin(true);
    for (unsigned i = 0; i < PAGES; i++) {
        g_assert_cmpint(i % 2 ? get_tag(i, 0) : get_plain_zero(i), ==, 0);
    }
    g_assert_cmpint(load_end(PAGES / 2), ==, 0);
    g_assert_cmpuint(writes, ==, 0);
    end();
}

static void test_zero_tags_replace_others(void)
{
    begin(true);
    g_assert_cmpint(get_tag(5, 9), ==, 0);
    g_assert_cmpint(get_tag(6, 9), ==, 0);
    g_assert_cmpint(get_tag(5, 0), ==, 0);
    g_assert_cmpint(get_plain_zero(6), ==, 0);
    g_assert_cmpint(load_end(3), ==, 0);
    g_assert_cmpuint(pages_written, ==, 4);
    assert_tag(5, 0);
    assert_tag(6, 0);
    end();
}

/* What QEMU reads as its value is a sign, and the value comes behind. */
static void test_a_zero_page_has_tags(void)
{
    static const uint8_t bytes[] = { 1, MTE_TAGS_UNIFORM, 7, 0 };
    uint8_t value;

    begin(true);
    g_assert_cmpint(get_zero(bytes, sizeof(bytes), 5, &value), ==, 0);
    g_assert_cmpuint(value, ==, 0);
    /* Another value is QEMU's to refuse, and so is one behind the record. */
    g_assert_cmpint(get_zero("\2", 1, 6, &value), ==, 0);
    g_assert_cmpuint(value, ==, 2);
    g_assert_cmpint(get_zero("\1\0\1", 3, 7, &value), ==, 0);
    g_assert_cmpuint(value, ==, 1);
    g_assert_cmpint(load_end(2), ==, 0);
    assert_tag(5, 7);
    assert_tag(6, 0);
    end();
}

static void test_records_of_zero_pages_are_hostile(void)
{
    static const struct {
        uint8_t bytes[4];
        size_t size;
        const char *words;
    } bad[] = {
        { { 1 }, 1, "the stream ends" },
        { { 1, MTE_TAGS_UNIFORM }, 2, "the stream ends" },
        { { 1, MTE_TAGS_UNIFORM, 16, 0 }, 4, "malformed" },
        { { 1, 4, 0 }, 3, "begins with the byte 4" },
    };
    uint8_t value;

    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        begin(true);
        assert_failed(get_zero(bad[i].bytes, bad[i].size, 3, &value),
                      bad[i].words);
        g_assert_cmpuint(value, ==, 0);     /* no second message */
        g_assert_cmpuint(writes, ==, 0);
        end();
    }
}

static void test_a_page_that_comes_again_wins(void)
{
    begin(true);
    g_assert_cmpint(get_tag(5, 1), ==, 0);
    g_assert_cmpint(get_tag(5, 2), ==, 0);
    g_assert_cmpint(get_tag(4, 3), ==, 0);
    g_assert_cmpint(get_tag(5, 4), ==, 0);
    g_assert_cmpint(load_end(4), ==, 0);
    assert_tag(4, 3);
    assert_tag(5, 4);
    end();
}

/* As in huge pages, and in files; once they were written they are known. */
static void test_zero_tags_are_written_where_ram_is_not_fresh(void)
{
    g_clear_pointer(&page_tags.blocks[0].tagged, g_free);
    fresh = false;
    begin(true);
    fresh = true;
    memset(guest, 0x99, sizeof(guest));
    g_assert_cmpint(get_plain_zero(6), ==, 0);
    g_assert_cmpint(get_tag(7, 0), ==, 0);
    g_assert_cmpint(get_tag(8, 5), ==, 0);
    g_assert_cmpint(load_end(2), ==, 0);
    g_assert_cmpuint(pages_written, ==, 3);
    assert_tag(6, 0);
    assert_tag(7, 0);
    assert_tag(8, 5);
    handlers->load_cleanup(NULL);
    setup();
    g_assert_cmpint(announce(), ==, 0);
    g_assert_cmpint(get_plain_zero(6), ==, 0);
    g_assert_cmpint(load_end(0), ==, 0);
    g_assert_cmpuint(pages_written, ==, 3);
    end();
}

/* A guest that ran here may have left any tag. */
static void test_zero_tags_are_written_where_a_guest_ran(void)
{
    vm_changed(NULL, true, RUN_STATE_RUNNING);
    begin(true);
    g_assert_cmpint(get_plain_zero(6), ==, 0);
    g_assert_cmpint(load_end(0), ==, 0);
    g_assert_cmpuint(pages_written, ==, 1);
    end();
}

static void test_other_ram_has_no_records(void)
{
    begin(false);
    QEMUFile *f = stream("", 0);
    uint8_t value = PAGE_TAGS_OF_ZEROS;

    g_assert_cmpint(page_tags_get(f, &other, 0), ==, 0);
    g_assert_cmpint(page_tags_get_zero(f, &other, 0, &value), ==, 0);
    g_assert_cmpuint(value, ==, PAGE_TAGS_OF_ZEROS);    /* QEMU refuses it */
    qemu_fclose(f);
    end();
}

static void test_announcements_of_others(void)
{
    static const struct {
        Announcement a;
        const char *words;
    } bad[] = {
        { { 2, BYTES, PAGE, VARIANT, 1, "test.ram" },
          "the source has test level 2, this machine has 3" },
        { { LEVEL, 64, PAGE, VARIANT, 1, "test.ram" }, "64 bytes of tags" },
        { { LEVEL, BYTES, 65536, VARIANT, 1, "test.ram" }, "65536 bytes" },
        { { LEVEL, BYTES, PAGE, 0, 1, "test.ram" },
          "the source has test variant 0, this machine has 15" },
        { { LEVEL, BYTES, PAGE, VARIANT, 0, "test.ram" }, "0 blocks" },
        { { LEVEL, BYTES, PAGE, VARIANT, 255, "test.ram" }, "255 blocks" },
        { { LEVEL, BYTES, PAGE, VARIANT, 1, "other.ram" }, "RAM 'other.ram'" },
        { { UINT32_MAX, BYTES, PAGE, VARIANT, 1, "" }, "level 4294967295" },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        g_autoptr(GByteArray) bytes = announcement(&bad[i].a);

        begin(false);
        assert_failed(load(bytes->data, bytes->len, PAGE_TAGS_VERSION),
                      bad[i].words);
        g_assert_cmpuint(syncs, ==, 0);
        end();
    }
}

static void test_announcement_is_cut(void)
{
    g_autoptr(GByteArray) bytes = announcement(&good);

    for (unsigned size = 0; size < bytes->len; size++) {
        begin(false);
        assert_failed(load(bytes->data, size, PAGE_TAGS_VERSION),
                      "the stream ends within");
        end();
    }
}

static void test_other_versions(void)
{
    g_autoptr(GByteArray) bytes = announcement(&good);

    begin(false);
    assert_failed(load(bytes->data, bytes->len, 0), "version 0");
    assert_failed(load(bytes->data, bytes->len, 1), "version 1");
    assert_failed(load(bytes->data, bytes->len, 3), "version 3");
    end();
}

static void test_pages_before_the_announcement(void)
{
    begin(false);
    assert_failed(get_tag(0, 1), "source sends RAM without tags");
    assert_failed(get_plain_zero(0), "has test level 3");
    g_assert_cmpuint(writes, ==, 0);
    end();
}

static void test_records_are_hostile(void)
{
    static const struct {
        uint8_t bytes[4];
        size_t size;
        const char *words;
    } bad[] = {
        { { 0 }, 0, "the stream ends" },
        { { MTE_TAGS_UNIFORM }, 1, "the stream ends" },
        { { MTE_TAGS_UNIFORM, 16 }, 2, "malformed" },
        { { MTE_TAGS_RUNS }, 1, "the stream ends" },
        { { MTE_TAGS_RUNS, 64 }, 2, "malformed" },
        { { MTE_TAGS_RUNS, 255 }, 2, "malformed" },
        { { MTE_TAGS_RUNS, 0 }, 2, "malformed" },
        { { MTE_TAGS_RUNS, 2, 0, 0 }, 4, "the stream ends" },
        { { MTE_TAGS_RAW, 1, 2, 3 }, 4, "the stream ends" },
        { { 4 }, 1, "begins with the byte 4" },
        { { 255 }, 1, "begins with the byte 255" },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        begin(true);
        assert_failed(get(bad[i].bytes, bad[i].size, 3), bad[i].words);
        g_assert_cmpuint(writes, ==, 0);
        end();
    }
}

static void test_records_were_lost(void)
{
    begin(true);
    g_assert_cmpint(get_tag(1, 1), ==, 0);
    assert_failed(load_end(2), "sent 2 records of tags, and 1 arrived");
    end();
}

static void test_write_fails(void)
{
    begin(true);
    g_assert_cmpint(get_tag(1, 1), ==, 0);
    broken = true;
    assert_failed(get_tag(9, 1), "0x1000 bytes at 0x1000: busy");
    g_assert_cmpint(get_tag(3, 1), ==, 0);
    assert_failed(load_end(3), "0x1000 bytes at 0x3000: busy");
    end();
}

/* QEMU loads once more into the same guest, whose page 5 has tags still. */
static void check_zero_tags_replace_those_of_page_5(void)
{
    g_clear_pointer(&error, g_free);
    handlers->load_cleanup(NULL);
    assert_tag(5, 9);
    broken = false;
    setup();
    g_assert_cmpint(announce(), ==, 0);
    g_assert_cmpint(get_plain_zero(5), ==, 0);
    g_assert_cmpint(load_end(0), ==, 0);
    assert_tag(5, 0);
    end();
}

static void test_zero_tags_that_were_not_written(void)
{
    begin(true);
    g_assert_cmpint(get_tag(5, 9), ==, 0);
    g_assert_cmpint(get_tag(7, 9), ==, 0);
    broken = true;                          /* for page 7, before page 5 */
    g_assert_cmpint(get_plain_zero(5), <, 0);
    check_zero_tags_replace_those_of_page_5();

    begin(true);
    g_assert_cmpint(get_tag(5, 9), ==, 0);
    g_assert_cmpint(get_tag(5, 0), ==, 0);
    broken = true;                          /* for page 5 */
    g_assert_cmpint(load_end(2), <, 0);
    check_zero_tags_replace_those_of_page_5();
}

static void test_whole_stream(void)
{
    begin(true);
    g_assert_cmpint(get_tag(1, 1), ==, 0);
    g_assert_cmpint(load_end(1), ==, 0);
    g_assert_cmpint(end_of_stream(), ==, 0);
    assert_tag(1, 1);
    end();
}

/* QEMU calls this a success; the tags of page 1 would be lost. */
static void test_stream_without_the_end(void)
{
    begin(true);
    g_assert_cmpint(get_tag(1, 1), ==, 0);
    assert_failed(end_of_stream(), "the stream ends without the section's end");
    end();
}

static void test_stream_without_the_section(void)
{
    begin(false);
    assert_failed(end_of_stream(), "the stream ends without the section");
    end();
}

/* Then QEMU knows, and nobody hears of anything else. */
static void test_stream_that_failed(void)
{
    begin(true);
    qemu_file_set_error(incoming.from_src_file, -EIO);
    g_assert_cmpint(end_of_stream(), ==, -EIO);
    end();
    begin(true);
    load_threads_abort = true;
    g_assert_cmpint(end_of_stream(), ==, 0);
    load_threads_abort = false;
    end();
}

static void test_behind_the_end(void)
{
    begin(true);
    g_assert_cmpint(load_end(0), ==, 0);
    assert_failed(get_tag(1, 1), "behind the end of its tags");
    assert_failed(get_plain_zero(0), "behind the end of its tags");
    assert_failed(load_end(0), "the section comes again behind its end");
    g_assert_cmpint(end_of_stream(), ==, 0);
    g_assert_cmpuint(writes, ==, 0);
    end();
}

/* Another section's setup failed; LeakSanitizer looks what is left. */
static void test_setup_again(void)
{
    begin(true);
    g_assert_cmpint(get_tag(1, 1), ==, 0);
    setup();
    g_assert_cmpint(announce(), ==, 0);
    g_assert_cmpint(get_tag(2, 1), ==, 0);
    g_assert_cmpint(load_end(1), ==, 0);
    assert_tag(1, 0);
    assert_tag(2, 1);
    end();
}

/* A packet of @n pages with data, from page 2 on, and a zero page: page 1 */
static int receive(uint32_t claim, const uint8_t *bytes, size_t size,
                   unsigned n, Error **errp)
{
    MultiFDPacket_t packet = { .unused32 = { cpu_to_be32(claim) } };
    ram_addr_t normal[PAGES], zero[] = { PAGE };
    MultiFDRecvParams p = {
        .c = channel(bytes, size), .packet = &packet, .block = &block,
        .normal = normal, .normal_num = n, .zero = zero, .zero_num = 1,
    };
    int ret;

    for (unsigned i = 0; i < n; i++) {
        normal[i] = (ram_addr_t)(2 + i) * PAGE;
    }
    ret = page_tags_multifd_recv(&p, errp);
    object_unref(OBJECT(p.c));
    return ret;
}

static void test_packet(void)
{
    static const uint8_t bytes[] = { MTE_TAGS_UNIFORM, 5, MTE_TAGS_NONE,
                                     MTE_TAGS_RUNS, 2, 127, 1, 127, 2 };
    static const uint8_t zero_page[] = { MTE_TAGS_UNIFORM, 6 };

    begin(true);
    multifd = true;
    g_assert_cmpint(get_tag(1, 9), ==, 0);
    assert_tag(1, 9);           /* not later than a packet might come */
    g_assert_cmpint(receive(sizeof(bytes), bytes, sizeof(bytes), 3,
                            &error_abort), ==, 0);
    assert_tag(1, 0);
    assert_tag(2, 5);
    g_assert_cmphex(guest[4 * BYTES], ==, 0x11);
    g_assert_cmphex(guest[5 * BYTES - 1], ==, 0x22);
    g_assert_cmpint(receive(sizeof(zero_page), zero_page, sizeof(zero_page),
                            0, &error_abort), ==, 0);
    assert_tag(1, 6);
    /* A packet may have a record for a zero page without tags. */
    g_assert_cmpint(receive(1, (uint8_t[]) { MTE_TAGS_NONE }, 1, 0,
                            &error_abort), ==, 0);
    assert_tag(1, 0);
    g_assert_cmpint(load_end(6), ==, 0);
    end();
}

/*
 * A packet of @n pages, of which the first @normal have data, goes out; its
 * records go in again, if it is @ok.  Returns how many bytes they are.
 */
static size_t transfer(ram_addr_t *offsets, unsigned normal, unsigned n,
                       bool ok)
{
    MultiFDPacket_t packet = { };
    MultiFDSendData data = {
        .type = MULTIFD_PAYLOAD_RAM,
        .u.ram = { .num = n, .normal_num = normal, .block = &block,
                   .offset = offsets },
    };
    MultiFDSendParams out = { .data = &data, .packet = &packet };
    MultiFDRecvParams in = {
        .packet = &packet, .block = &block, .normal = offsets,
        .normal_num = normal, .zero = offsets + normal, .zero_num = n - normal,
    };
    size_t size = 0;
    Error *err = NULL;

    page_tags_multifd_setup(&out);
    g_assert_cmpint(page_tags_multifd_send(&out, &err) == 0, ==, ok);
    if (ok) {
        g_assert_cmpuint(out.iovs_num, <=, 1);
        size = out.iovs_num ? out.iov[0].iov_len : 0;
        g_assert_cmpuint(be32_to_cpu(packet.unused32[0]), ==, size);
        in.c = channel(size ? out.iov[0].iov_base : "", size);
        g_assert_cmpint(page_tags_multifd_recv(&in, &error_abort), ==, 0);
        object_unref(OBJECT(in.c));
    } else {
        g_assert_nonnull(strstr(error_get_pretty(err), "test-tags: 0x"));
        error_free(err);
    }
    page_tags_multifd_cleanup(&out);
    g_free(out.iov);
    return size;
}

/* Zero pages are sorted out in any order, and tags are read in few calls. */
static void test_packets_arrive_as_they_went(void)
{
    ram_addr_t offsets[] = { 5 * PAGE, 9 * PAGE, 4 * PAGE,
                             7 * PAGE, 6 * PAGE, 8 * PAGE };

    begin(true);
    multifd = true;
    page_tags.sending = true;
    memset(source, 0, sizeof(source));
    reads = 0;
    /* No tags at all: a byte for each page with data */
    g_assert_cmpuint(transfer(offsets, 3, 6, true), ==, 3);
    g_assert_cmpuint(reads, ==, 1);
    g_assert_cmpuint(transfer(offsets, 0, 6, true), ==, 0);
    /* Pages with data have tags, and zero pages have not */
    memset(source + 5 * BYTES, 0x11, BYTES);
    g_assert_cmpuint(transfer(offsets, 3, 6, true), ==, 2 + 1 + 1);
    assert_tag(5, 1);
    /* One of the zero pages has */
    memset(source + 6 * BYTES, 0x22, BYTES);
    g_assert_cmpuint(transfer(offsets, 3, 6, true), ==, 2 + 1 + 1 + 1 + 2 + 1);
    /* Nothing but zero pages */
    g_assert_cmpuint(transfer(offsets, 0, 6, true), ==, 2 + 1 + 1 + 1 + 2 + 1);
    g_assert_cmpmem(guest, sizeof(guest), source, sizeof(source));
    /* They are zero again */
    memset(source, 0, sizeof(source));
    g_assert_cmpuint(transfer(offsets, 0, 6, true), ==, 0);
    g_assert_cmpmem(guest, sizeof(guest), source, sizeof(source));
    broken = true;
    transfer(offsets, 3, 6, false);
    broken = page_tags.sending = false;
    end();
}

static void test_packets_are_hostile(void)
{
    static const uint8_t bytes[] = { MTE_TAGS_UNIFORM, 5, MTE_TAGS_UNIFORM, 6,
                                     MTE_TAGS_NONE, MTE_TAGS_NONE };
    static const struct {
        uint32_t claim;
        size_t size;
        unsigned pages;
        const char *words;
    } bad[] = {
        { 0, 0, 2, "0 bytes of tags for 3 pages" },
        { 1, 1, 2, "1 bytes of tags for 3 pages of test.ram, 1 of them zero" },
        { 3 * PAGE_TAGS_MAX_RECORD + 1, 5, 2, "388 bytes of tags" },
        { UINT32_MAX, 5, 2, "4294967295 bytes of tags" },
        { 6, 6, 2, "1 bytes follow the records of 3 pages" },
        { 4, 4, 3, "malformed record of tags for page 0x4000" },
        { 1, 1, 0, "malformed record of tags for page 0x1000" },
        { 3, 3, 2, "malformed record of tags for page 0x3000" },
        { 5, 4, 2, "end-of-file" },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        Error *err = NULL;

        begin(true);
        g_assert_cmpint(receive(bad[i].claim, bytes, bad[i].size,
                                bad[i].pages, &err), ==, -1);
        g_test_message("%s", error_get_pretty(err));
        g_assert_nonnull(strstr(error_get_pretty(err), bad[i].words));
        error_free(err);
        g_assert_cmpuint(writes, ==, 0);
        end();
    }
}

static void test_capabilities(void)
{
    static const bool works[MIGRATION_CAPABILITY__MAX] = {
        [MIGRATION_CAPABILITY_AUTO_CONVERGE] = true,
        [MIGRATION_CAPABILITY_DIRTY_BITMAPS] = true,
        [MIGRATION_CAPABILITY_DIRTY_LIMIT] = true,
        [MIGRATION_CAPABILITY_EVENTS] = true,
        [MIGRATION_CAPABILITY_LATE_BLOCK_ACTIVATE] = true,
        [MIGRATION_CAPABILITY_MULTIFD] = true,
        [MIGRATION_CAPABILITY_PAUSE_BEFORE_SWITCHOVER] = true,
        [MIGRATION_CAPABILITY_RETURN_PATH] = true,
        [MIGRATION_CAPABILITY_SWITCHOVER_ACK] = true,
        [MIGRATION_CAPABILITY_VALIDATE_UUID] = true,
    };

    for (int i = 0; i < MIGRATION_CAPABILITY__MAX; i++) {
        Error *err = NULL;

        the_migration.capabilities[i] = true;
        g_assert_cmpint(handlers->save_prepare(NULL, &err) == 0, ==, works[i]);
        g_assert_cmpint(!err, ==, works[i]);
        if (err) {
            g_assert_nonnull(strstr(error_get_pretty(err), "; turn it off"));
            error_free(err);
        }
        the_migration.capabilities[i] = false;
    }
}

/* Known in setup only; there is no stream yet that could get a byte. */
static void test_rdma(void)
{
    Error *err = NULL;

    rdma = true;
    g_assert_cmpint(handlers->save_setup(NULL, NULL, &err), <, 0);
    g_assert_nonnull(strstr(error_get_pretty(err),
                            "test-tags: RDMA does not work with memory tags"));
    error_free(err);
    g_assert_false(page_tags.sending);
    rdma = false;
}

static void test_compression(void)
{
    multifd = true;
    for (int i = 0; i < MULTIFD_COMPRESSION__MAX; i++) {
        bool works = i == MULTIFD_COMPRESSION_NONE ||
                     i == MULTIFD_COMPRESSION_ZLIB ||
                     i == MULTIFD_COMPRESSION_ZSTD;
        Error *err = NULL;

        the_migration.parameters.multifd_compression = i;
        g_assert_cmpint(handlers->save_prepare(NULL, &err) == 0, ==, works);
        error_free(err);
    }
    the_migration.parameters.multifd_compression = MULTIFD_COMPRESSION_NONE;
}

/* The threads of multifd, which are not there. */
static void test_snapshots(void)
{
    Error *err = NULL;

    begin(false);
    snapshot = true;
    g_assert_cmpint(handlers->save_prepare(NULL, &error_abort), ==, 0);
    multifd = true;
    g_assert_cmpint(handlers->save_prepare(NULL, &err), <, 0);
    g_assert_nonnull(strstr(error_get_pretty(err), "test-tags: multifd does "
                            "not work with snapshots; turn it off"));
    error_free(err);
    g_assert_false(page_tags.sending);
    multifd = snapshot = false;
    end();
}

static const struct {
    const char *claim;
    void (*test)(void);
} tests[] = {
    { "runs-are-written-at-once", test_runs_are_written_at_once },
    { "zero-tags-cost-nothing", test_zero_tags_cost_nothing },
    { "zero-tags-replace-others", test_zero_tags_replace_others },
    { "zero-tags-that-were-not-written-come-again",
      test_zero_tags_that_were_not_written },
    { "a-page-that-comes-again-wins", test_a_page_that_comes_again_wins },
    { "other-ram-has-no-records", test_other_ram_has_no_records },
    { "announcements-of-others-are-refused", test_announcements_of_others },
    { "a-cut-announcement-is-refused", test_announcement_is_cut },
    { "other-versions-are-refused", test_other_versions },
    { "pages-before-the-announcement-are-refused",
      test_pages_before_the_announcement },
    { "a-zero-page-has-tags", test_a_zero_page_has_tags },
    { "hostile-records-are-refused", test_records_are_hostile },
    { "hostile-records-of-zero-pages-are-refused",
      test_records_of_zero_pages_are_hostile },
    { "lost-records-are-noticed", test_records_were_lost },
    { "a-failed-write-fails-the-migration", test_write_fails },
    { "a-whole-stream-is-loaded", test_whole_stream },
    { "a-stream-without-the-end-is-refused", test_stream_without_the_end },
    { "a-stream-without-the-section-is-refused",
      test_stream_without_the_section },
    { "a-stream-that-failed-has-one-error", test_stream_that_failed },
    { "nothing-is-loaded-behind-the-end", test_behind_the_end },
    { "setup-again-leaves-nothing", test_setup_again },
    { "packet", test_packet },
    { "packets-arrive-as-they-went", test_packets_arrive_as_they_went },
    { "hostile-packets-are-refused", test_packets_are_hostile },
    { "capabilities", test_capabilities },
    { "compression", test_compression },
    { "rdma-is-refused", test_rdma },
    { "snapshots-have-no-threads", test_snapshots },
    { "zero-tags-are-written-where-ram-is-not-fresh",
      test_zero_tags_are_written_where_ram_is_not_fresh },
    { "zero-tags-are-written-where-a-guest-ran",
      test_zero_tags_are_written_where_a_guest_ran },
};

int main(int argc, char **argv)
{
    RAMBlock *blocks[] = { &block };

    module_call_init(MODULE_INIT_QOM);
    g_test_init(&argc, &argv, NULL);
    qemu_event_init(&incoming.main_thread_load_event, false);
    page_tags_register(&ops, blocks, 1);
    for (unsigned i = 0; i < ARRAY_SIZE(tests); i++) {
        g_autofree char *path = g_strdup_printf("/page-tags/loader/%s",
                                                tests[i].claim);

        g_test_add_func(path, tests[i].test);
    }
    return g_test_run();
}
