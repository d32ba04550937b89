/*
 * What the host lends a Realm of the board's RAM
 *
 * Purpose: system/realm/shared-ram.c beside a twin that has a byte for each
 * page, with listeners as VFIO has them: what is populated twice, or discarded
 * without having been populated, fails the test.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <sys/mman.h>
#include "qapi/error.h"
#include "qemu/cutils.h"
#include "qemu/madvise.h"
#include "qemu/main-loop.h"
#include "qemu/thread.h"
#include "qemu/units.h"
#include "exec/ramblock.h"
#include "qom/object.h"
#include "system/realm-shared-ram.h"
#include "../../../system/realm/backing.h"

#define PAGES 200
#define STEPS 4000

static uint64_t page_size;

/* ---- The BQL ---- */

static QemuMutex bql;
static __thread bool has_bql;
static bool holder_waits;       /* for the thread that would wait for it */

bool bql_locked(void)
{
    return has_bql;
}

void bql_lock_impl(const char *file, int line)
{
    g_assert_false(holder_waits);
    qemu_mutex_lock(&bql);
    has_bql = true;
}

void bql_unlock(void)
{
    has_bql = false;
    qemu_mutex_unlock(&bql);
}

/* ---- As much of the memory API as is called ---- */

static bool dirty[PAGES], backed[PAGES];

uint64_t memory_region_size(MemoryRegion *region)
{
    return int128_get64(region->size);
}

const char *memory_region_name(const MemoryRegion *region)
{
    return region->name;
}

static MemoryRegion *mr;        /* of this test */
static bool becomes_lent_as_zeros;

void memory_region_set_dirty(MemoryRegion *region, hwaddr addr, hwaddr size)
{
    if (region == mr) {
        if (becomes_lent_as_zeros) {
            g_assert_true(buffer_is_zero(mr->ram_block->host + addr, size));
        }
        memset(dirty + addr / page_size, true, size / page_size);
    }
}

RamDiscardManager *memory_region_get_ram_discard_manager(MemoryRegion *region)
{
    return region->rdm;
}

void memory_region_set_ram_discard_manager(MemoryRegion *region,
                                           RamDiscardManager *rdm)
{
    g_assert_false(region->rdm && rdm);
    region->rdm = rdm;
}

MemoryRegionSection *memory_region_section_new_copy(MemoryRegionSection *s)
{
    return g_memdup2(s, sizeof(*s));
}

void memory_region_section_free_copy(MemoryRegionSection *s)
{
    g_free(s);
}

void realm_backing_holes(const MemoryRegion *unused, uint64_t from,
                         uint64_t to, RealmHoleFn fn, void *opaque)
{
    for (uint64_t at = from, end; at < to; at = end) {
        bool is_hole = !backed[at / page_size];

        for (end = at + page_size;
             end < to && !backed[end / page_size] == is_hole;
             end += page_size) {
        }
        if (is_hole) {
            fn(at, end, opaque);
        }
    }
}

bool realm_backing_is_hole(const MemoryRegion *unused, uint64_t from,
                           uint64_t to)
{
    return !memchr(backed + from / page_size, true,
                   DIV_ROUND_UP(to - from, page_size));
}

static long max_mappings = 65530;

long realm_backing_max_mappings(void)
{
    return max_mappings;
}

/* ---- The region, and its twin ---- */

static bool lent[PAGES];        /* the twin */
static Object *owner;           /* of the region: a memory backend, or nobody */

static RamDiscardManagerClass *methods(void)
{
    return RAM_DISCARD_MANAGER_GET_CLASS(mr->rdm);
}

static MemoryRegionSection section(unsigned first, unsigned pages)
{
    return (MemoryRegionSection) {
        .mr = mr,
        .offset_within_region = first * page_size,
        .offset_within_address_space = 1 * GiB + first * page_size,
        .size = int128_make64(pages * page_size),
    };
}

/* All is lent, and nothing is dirty or backed. */
static void begin_with(RAMBlock *block, RealmConvertFn *convert)
{
    page_size = qemu_real_host_page_size();
    mr = g_new0(MemoryRegion, 1);
    mr->name = "ram";
    mr->owner = owner;
    mr->size = int128_make64(PAGES * page_size);
    mr->ram_block = block;
    realm_shared_ram_attach(mr, convert);
    memset(lent, true, sizeof(lent));
    memset(dirty, false, sizeof(dirty));
    memset(backed, false, sizeof(backed));
}

static void begin(void)
{
    begin_with(NULL, NULL);
}

static void set_lent(unsigned first, unsigned pages, bool to)
{
    memset(lent + first, to, pages);
    if (to) {
        g_assert_true(realm_shared_ram_lend(mr, first * page_size,
                                            pages * page_size, &error_abort));
    } else {
        g_assert_true(realm_shared_ram_return(mr, first * page_size,
                                              pages * page_size,
                                              &error_abort));
    }
}

/* ---- Listeners ---- */

typedef struct Listener {
    RamDiscardListener rdl;
    unsigned first, pages;
    bool has[PAGES];
    int refuses;                /* a page, or -1 */
} Listener;

static unsigned page_of(const MemoryRegionSection *s)
{
    g_assert_true(s->mr == mr);
    g_assert_cmphex(s->offset_within_address_space, ==,
                    1 * GiB + s->offset_within_region);
    g_assert_true(QEMU_IS_ALIGNED(s->offset_within_region, page_size));
    return s->offset_within_region / page_size;
}

static unsigned pages_of(const MemoryRegionSection *s)
{
    g_assert_true(QEMU_IS_ALIGNED(int128_get64(s->size), page_size));
    return int128_get64(s->size) / page_size;
}

static int on_populate(RamDiscardListener *rdl, MemoryRegionSection *s)
{
    Listener *l = container_of(rdl, Listener, rdl);
    int first = page_of(s), top = first + pages_of(s);

    g_assert_true(first >= l->first && top <= l->first + l->pages);
    if (l->refuses >= first && l->refuses < top) {
        return -ENOSPC;
    }
    for (int i = first; i < top; i++) {
        g_assert_false(l->has[i]);
        l->has[i] = true;
    }
    return 0;
}

static void on_discard(RamDiscardListener *rdl, MemoryRegionSection *s)
{
    Listener *l = container_of(rdl, Listener, rdl);
    int first = page_of(s), top = first + pages_of(s);

    for (int i = first; i < top; i++) {
        g_assert_true(l->has[i]);
        l->has[i] = false;
    }
}

static void register_for(Listener *l, unsigned first, unsigned pages)
{
    MemoryRegionSection s = section(first, pages);

    *l = (Listener) { .first = first, .pages = pages, .refuses = -1 };
    ram_discard_listener_init(&l->rdl, on_populate, on_discard, false);
    methods()->register_listener(mr->rdm, &l->rdl, &s);
}

static void check_listener(const Listener *l)
{
    for (unsigned i = 0; i < PAGES; i++) {
        g_assert_cmpint(l->has[i], ==, lent[i] && i >= l->first &&
                        i < l->first + l->pages);
    }
}

static void end_listener(Listener *l)
{
    methods()->unregister_listener(mr->rdm, &l->rdl);
    for (unsigned i = 0; i < PAGES; i++) {
        g_assert_false(l->has[i]);
    }
}

/* ---- What others are told ---- */

static int told_populated(MemoryRegionSection *s, void *opaque)
{
    memset((bool *)opaque + page_of(s), true, pages_of(s));
    return 0;
}

static void told_discarded(MemoryRegionSection *s, void *opaque)
{
    memset((bool *)opaque + page_of(s), true, pages_of(s));
}

static void check_section(unsigned first, unsigned pages)
{
    MemoryRegionSection s = section(first, pages);
    bool populated[PAGES] = { }, discarded[PAGES] = { }, all = true;

    g_assert_cmpint(methods()->replay_populated(mr->rdm, &s, told_populated,
                                                populated), ==, 0);
    methods()->replay_discarded(mr->rdm, &s, told_discarded, discarded);
    for (unsigned i = 0; i < PAGES; i++) {
        bool in = i >= first && i < first + pages;

        g_assert_cmpint(populated[i], ==, in && lent[i]);
        g_assert_cmpint(discarded[i], ==, in && !lent[i] &&
                        (mr->ram_block || !backed[i]));
        all &= !in || lent[i];
    }
    g_assert_cmpint(methods()->is_populated(mr->rdm, &s), ==, all);
}

/* ---- Tests ---- */

static void test_all_is_lent_until_the_realm_runs(void)
{
    begin();
    check_section(0, PAGES);
    realm_shared_ram_begin();
    memset(lent, false, sizeof(lent));
    check_section(0, PAGES);
    set_lent(3, 2, true);
    realm_shared_ram_begin();           /* once in its life */
    check_section(0, PAGES);
}

static void random_range(unsigned *first, unsigned *pages)
{
    *first = g_test_rand_int_range(0, PAGES);
    *pages = g_test_rand_int_range(1, MIN(PAGES - *first, 40) + 1);
}

static void test_random_changes_as_the_twin(void)
{
    Listener whole, part;
    unsigned first, pages;

    begin();
    register_for(&whole, 0, PAGES);
    register_for(&part, 31, 77);
    for (int i = 0; i < STEPS; i++) {
        random_range(&first, &pages);
        set_lent(first, pages, g_test_rand_bit());
        backed[g_test_rand_int_range(0, PAGES)] = g_test_rand_bit();
        random_range(&first, &pages);
        check_section(first, pages);
        check_listener(&whole);
        check_listener(&part);
        if (i % 50 == 0) {
            end_listener(&part);
            register_for(&part, first, pages);
        }
    }
    end_listener(&part);
    end_listener(&whole);
}

static void test_a_refusal_undoes_all_of_it(void)
{
    Listener listeners[3];
    unsigned first, pages;

    begin();
    set_lent(0, PAGES, false);
    for (int i = 0; i < ARRAY_SIZE(listeners); i++) {
        register_for(&listeners[i], i * 20, PAGES - i * 20);
    }
    for (int i = 0; i < STEPS; i++) {
        Listener *l = &listeners[g_test_rand_int_range(0, 3)];
        Error *err = NULL;

        random_range(&first, &pages);
        set_lent(first, pages, false);
        set_lent(first + pages / 2, 1, true);   /* so there are two runs */
        l->refuses = first + g_test_rand_int_range(0, pages);
        if (l->refuses == first + pages / 2 || l->refuses < l->first) {
            set_lent(first, pages, true);       /* it is not asked */
        } else {
            g_assert_false(realm_shared_ram_lend(mr, first * page_size,
                                                 pages * page_size, &err));
            error_free_or_abort(&err);
        }
        l->refuses = -1;
        check_section(0, PAGES);
        for (int j = 0; j < ARRAY_SIZE(listeners); j++) {
            check_listener(&listeners[j]);
        }
    }
    for (int i = 0; i < ARRAY_SIZE(listeners); i++) {
        end_listener(&listeners[i]);
    }
}

/* The destination may have what was there when it was lent before. */
static void test_what_becomes_lent_is_dirty_and_no_more(void)
{
    begin();
    set_lent(0, PAGES, false);
    set_lent(10, 4, true);
    memset(dirty, false, sizeof(dirty));
    set_lent(8, 8, true);
    for (unsigned i = 0; i < PAGES; i++) {
        g_assert_cmpint(dirty[i], ==, i == 8 || i == 9 || i == 14 || i == 15);
    }
}

/*
 * A destination with RAM in place would take it as shared memory, and lose what
 * it has of the page.
 */
static void test_what_is_returned_is_not_sent_unless_written(void)
{
    RAMBlock block = { };

    begin();
    block.mr = mr;
    set_lent(0, PAGES, false);
    set_lent(10, 4, true);
    memset(dirty, false, sizeof(dirty));
    set_lent(8, 4, false);
    backed[9] = backed[40] = true;
    for (unsigned i = 0; i < PAGES; i++) {
        g_assert_false(dirty[i]);
        g_assert_cmpint(realm_shared_ram_is_sent(&block, i * page_size), ==,
                        i == 12 || i == 13 || i == 9 || i == 40);
    }
}

/* By a device, to a page that the Realm has not shared. */
static void test_what_was_written_is_not_discarded(void)
{
    begin();
    set_lent(0, PAGES, false);
    backed[0] = backed[7] = backed[PAGES - 1] = true;
    check_section(0, PAGES);
    check_section(3, 9);
}

/* Pages of the Realm may be smaller than the host's. */
static void test_part_of_a_host_page(void)
{
    begin();
    set_lent(0, PAGES, false);
    g_assert_true(realm_shared_ram_lend(mr, 5 * page_size + 512, 512,
                                        &error_abort));
    lent[5] = true;
    check_section(0, PAGES);
    g_assert_true(realm_shared_ram_return(mr, 5 * page_size + 512, page_size,
                                          &error_abort));
    check_section(0, PAGES);
    g_assert_true(realm_shared_ram_return(mr, 5 * page_size, page_size,
                                          &error_abort));
    lent[5] = false;
    check_section(0, PAGES);
}

static void test_other_ram_has_no_manager(void)
{
    MemoryRegion other = { .name = "other", .size = int128_make64(4 * KiB) };
    RAMBlock block = { .mr = &other };

    g_assert_true(realm_shared_ram_lend(&other, 0, 4 * KiB, &error_abort));
    g_assert_true(realm_shared_ram_return(&other, 0, 4 * KiB, &error_abort));
    g_assert_true(realm_shared_ram_is_sent(&block, 0));
}

/* ---- RAM in place: a file, and a kernel that has pages of it as private ---- */

static struct {
    RAMBlock block;
    uint8_t *file;              /* another mapping, of all of it */
    bool private[PAGES];
    int refuses;                /* a page, or -1 */
    bool loses_file;            /* from the call on, nothing can be mapped */
    unsigned calls;
    uint8_t *host;              /* QEMU's mapping, in which a page is its own */
} place;

static bool is_file(unsigned page)
{
    volatile uint8_t *mapped = place.host + page * page_size;
    volatile uint8_t *file = place.file + page * page_size;

    *file = *file == 1 ? 2 : 1;         /* and nothing reads as 0 */
    return *mapped == *file;
}

/* Who is told to make a page private has it mapped nowhere. */
static bool convert(int fd, uint64_t offset, uint64_t size, bool private,
                    Error **errp)
{
    unsigned first = offset / page_size, top = (offset + size) / page_size;

    g_assert_cmpint(fd, ==, place.block.fd);
    g_assert_true(QEMU_IS_ALIGNED(offset | size, page_size));
    g_assert_cmpuint(top, <=, PAGES);
    place.calls++;
    if (place.loses_file) {
        place.block.fd = -1;
    }
    for (unsigned i = first; private && i < top; i++) {
        g_assert_false(is_file(i));
    }
    if (place.refuses >= (int)first && place.refuses < (int)top) {
        error_setg(errp, "refused");
        return false;
    }
    memset(place.private + first, private, top - first);
    return true;
}

/* No byte of the file is zero, as what is not lent is. */
static void begin_in_place(void)
{
    size_t size;

    page_size = qemu_real_host_page_size();
    size = PAGES * page_size;
    place.block = (RAMBlock) {
        .fd = memfd_create("ram", MFD_CLOEXEC), .page_size = page_size,
    };
    g_assert_cmpint(ftruncate(place.block.fd, size), ==, 0);
    place.file = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED,
                      place.block.fd, 0);
    place.host = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED,
                      place.block.fd, 0);
    g_assert_true(place.file != MAP_FAILED && place.host != MAP_FAILED);
    place.block.host = place.host;
    memset(place.file, 0xee, size);
    memset(place.private, false, sizeof(place.private));
    qemu_madvise(place.host, size, QEMU_MADV_HUGEPAGE);
    qemu_madvise(place.host, size, QEMU_MADV_DONTFORK);
    place.refuses = -1;
    place.loses_file = false;
    begin_with(&place.block, convert);
    place.block.mr = mr;
}

/* The kernel, the mapping, and what others are told. */
static void check_place(void)
{
    check_section(0, PAGES);
    for (unsigned i = 0; i < PAGES; i++) {
        g_assert_cmpint(place.private[i], ==, !lent[i]);
        g_assert_cmpint(is_file(i), ==, lent[i]);
        g_assert_cmpint(realm_shared_ram_is_sent(&place.block, i * page_size),
                        ==, lent[i]);
    }
}

/* All is lent at last, or pieces would count in the next test. */
static void end_in_place(void)
{
    set_lent(0, PAGES, true);
    munmap(place.file, PAGES * page_size);
    munmap(place.host, PAGES * page_size);
    close(place.block.fd);
    mr->ram_block = NULL;
}

static void test_in_place_what_is_lent_is_shared_and_mapped(void)
{
    unsigned first, pages;

    begin_in_place();
    g_assert_true(realm_shared_ram_in_place(mr));
    check_place();
    for (int i = 0; i < STEPS / 10; i++) {
        random_range(&first, &pages);
        set_lent(first, pages, g_test_rand_bit());
        check_place();
    }
    end_in_place();
}

/* What is there is converted, and nobody takes it away. */
static void test_in_place_a_private_page_is_out_of_reach(void)
{
    begin_in_place();
    set_lent(3, 2, false);
    memset(place.host + 3 * page_size, 0x55, 2 * page_size);
    g_assert_cmphex(place.file[3 * page_size + 1], ==, 0xee);
    g_assert_cmphex(place.file[5 * page_size - 1], ==, 0xee);
    set_lent(4, 1, true);
    check_place();
    end_in_place();
}

/* Also what the host has memory for; and it is not dirty. */
static void test_in_place_what_is_not_lent_is_not_sent(void)
{
    begin_in_place();
    memset(backed, true, sizeof(backed));
    memset(dirty, false, sizeof(dirty));
    set_lent(8, 4, false);
    check_place();
    for (unsigned i = 0; i < PAGES; i++) {
        g_assert_false(dirty[i]);
    }
    set_lent(9, 1, true);
    g_assert_true(dirty[9]);
    end_in_place();
}

static void test_in_place_a_refused_conversion_changes_nothing(void)
{
    Error *err = NULL;

    begin_in_place();
    set_lent(10, 10, false);
    set_lent(14, 1, true);

    place.refuses = 17;
    g_assert_false(realm_shared_ram_lend(mr, 12 * page_size, 8 * page_size,
                                         &err));
    error_free_or_abort(&err);
    check_place();

    place.refuses = 25;
    g_assert_false(realm_shared_ram_return(mr, 12 * page_size, 18 * page_size,
                                           &err));
    error_free_or_abort(&err);
    check_place();

    place.refuses = -1;
    end_in_place();
}

static void test_in_place_what_cannot_be_mapped_is_not_lent(void)
{
    int fd;
    Error *err = NULL;

    begin_in_place();
    set_lent(10, 10, false);
    fd = place.block.fd;
    place.loses_file = true;
    g_assert_false(realm_shared_ram_lend(mr, 12 * page_size, 2 * page_size,
                                         &err));
    error_free_or_abort(&err);
    place.block.fd = fd;
    check_place();

    /* Nor on the way back: these stay shared, and can be lent anew. */
    place.refuses = 3;
    g_assert_false(realm_shared_ram_return(mr, 3 * page_size, 2 * page_size,
                                           &err));
    error_free_or_abort(&err);
    g_assert_false(realm_shared_ram_is_sent(&place.block, 3 * page_size));
    g_assert_false(place.private[3] || is_file(3));
    place.block.fd = fd;
    place.loses_file = false;
    place.refuses = -1;
    set_lent(3, 2, true);
    check_place();
    end_in_place();
}

/* It could not be told when a migration converts pages. */
static void test_in_place_a_listener_is_told_nothing(void)
{
    Listener whole;

    begin_in_place();
    set_lent(3, 2, false);
    register_for(&whole, 0, PAGES);
    set_lent(3, 1, true);
    set_lent(8, 1, false);
    check_place();
    end_listener(&whole);
    end_in_place();
}

static unsigned count_mappings(void)
{
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;
    uint64_t host = (uintptr_t)place.host, start, end;
    unsigned n = 0;

    g_assert_true(g_file_get_contents("/proc/self/maps", &text, NULL, NULL));
    lines = g_strsplit(text, "\n", 0);
    for (unsigned i = 0; lines[i]; i++) {
        n += sscanf(lines[i], "%" SCNx64 "-%" SCNx64, &start, &end) == 2 &&
             start < host + PAGES * page_size && end > host;
    }
    return n;
}

static void test_in_place_pieces_become_one_mapping_again(void)
{
    unsigned first, pages, pieces;

    begin_in_place();
    for (int i = 0; i < STEPS / 10; i++) {
        random_range(&first, &pages);
        set_lent(first, pages, g_test_rand_bit());
        pieces = 1;
        for (unsigned j = 1; j < PAGES; j++) {
            pieces += lent[j] != lent[j - 1];
        }
        g_assert_cmpuint(count_mappings(), <=, pieces);
    }
    end_in_place();
}

/* Of 12 mappings, 6 are for bounds of pieces: three pieces have as many. */
static void test_in_place_too_many_pieces_change_nothing(void)
{
    Error *err = NULL;

    max_mappings = 12;
    begin_in_place();
    set_lent(0, PAGES, false);
    set_lent(1, 1, true);
    set_lent(3, 1, true);
    set_lent(5, 1, true);
    place.calls = 0;
    g_assert_false(realm_shared_ram_lend(mr, 7 * page_size, page_size, &err));
    error_free_or_abort(&err);
    g_assert_false(realm_shared_ram_receive(&place.block,
                                            &(ram_addr_t) { 7 * page_size }, 1,
                                            4 * KiB, &err));
    error_free_or_abort(&err);
    g_assert_cmpuint(place.calls, ==, 0);
    check_place();

    set_lent(2, 1, true);               /* two become one */
    set_lent(7, 1, true);
    place.calls = 0;
    g_assert_false(realm_shared_ram_return(mr, 2 * page_size, page_size,
                                           &err));
    error_free_or_abort(&err);
    g_assert_cmpuint(place.calls, ==, 0);
    check_place();

    set_lent(3, 1, false);              /* and smaller */
    set_lent(0, 2, true);
    set_lent(PAGES - 1, 1, true);
    check_place();
    max_mappings = 65530;
    end_in_place();
}

/* Flags of the mapping of @page, as Linux names them: " wr mr .. " */
static char *flags_of(unsigned page)
{
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;
    uint64_t at = (uintptr_t)place.host + page * page_size, start, end;
    bool here = false;

    g_assert_true(g_file_get_contents("/proc/self/smaps", &text, NULL, NULL));
    lines = g_strsplit(text, "\n", 0);
    for (unsigned i = 0; lines[i]; i++) {
        if (sscanf(lines[i], "%" SCNx64 "-%" SCNx64, &start, &end) == 2) {
            here = start <= at && at < end;
        } else if (here && g_str_has_prefix(lines[i], "VmFlags:")) {
            return g_strdup(lines[i]);
        }
    }
    return g_strdup("");
}

static bool has_flag(unsigned page, const char *flag)
{
    g_autofree char *flags = flags_of(page);

    return strstr(flags, flag);
}

static bool is_dumped;

static bool get_dump(Object *obj, Error **errp)
{
    return is_dumped;
}

/* dc: not copied when QEMU forks; dd: not in a core dump */
static void test_in_place_a_new_mapping_has_the_advice_of_the_old(void)
{
    owner = object_new(TYPE_REALM_SHARED_RAM);
    object_property_add_bool(owner, "dump", get_dump, NULL);
    for (int i = 0; i < 2; i++) {
        is_dumped = i;
        begin_in_place();
        set_lent(3, 4, false);
        set_lent(4, 1, true);
        if (has_flag(4, " rd")) {
            g_assert_true(has_flag(4, " dc") && has_flag(5, " dc"));
            g_assert_cmpint(has_flag(4, " dd"), ==, !is_dumped);
            g_assert_true(has_flag(5, " dd"));
        } else {
            g_test_skip("/proc/self/smaps has no flags");
        }
        end_in_place();
    }
    g_clear_pointer(&owner, object_unref);
}

/* As multifd's threads do, while the main thread waits for them. */
static void *convert_without_bql(void *unused)
{
    set_lent(3, 2, false);
    set_lent(4, 1, true);
    g_assert_true(realm_shared_ram_receive(&place.block, &(ram_addr_t) { 0 },
                                           1, 4 * KiB, &error_abort));
    return NULL;
}

static void test_in_place_who_holds_the_bql_can_wait_for_a_conversion(void)
{
    QemuThread thread;

    begin_in_place();
    bql_lock();
    holder_waits = true;
    qemu_thread_create(&thread, "convert", convert_without_bql, NULL,
                       QEMU_THREAD_JOINABLE);
    qemu_thread_join(&thread);
    holder_waits = false;
    bql_unlock();
    check_place();
    end_in_place();
}

static void test_in_place_the_start_changes_nothing(void)
{
    begin_in_place();
    set_lent(0, PAGES / 2, false);
    realm_shared_ram_begin();
    check_place();
    end_in_place();
}

static void test_in_place_what_a_migration_writes_is_lent_before(void)
{
    const ram_addr_t offsets[] = { 7 * page_size, 3 * page_size };
    Error *err = NULL;

    begin_in_place();
    set_lent(0, PAGES, false);
    becomes_lent_as_zeros = true;
    g_assert_true(realm_shared_ram_receive(&place.block, offsets, 2, 4 * KiB,
                                           &error_abort));
    becomes_lent_as_zeros = false;
    lent[3] = lent[7] = true;
    g_assert_true(buffer_is_zero(place.file + 3 * page_size, page_size));
    g_assert_true(buffer_is_zero(place.file + 7 * page_size, page_size));
    g_assert_false(buffer_is_zero(place.file + 4 * page_size, page_size));
    check_place();

    /* What is lent already costs no call. */
    place.calls = 0;
    place.file[3 * page_size] = 1;
    g_assert_true(realm_shared_ram_receive(&place.block, offsets, 2, 4 * KiB,
                                           &error_abort));
    g_assert_cmpuint(place.calls, ==, 0);
    g_assert_cmphex(place.file[3 * page_size], ==, 1);

    place.refuses = 0;
    g_assert_false(realm_shared_ram_receive(&place.block, &(ram_addr_t) { 0 },
                                            1, 4 * KiB, &err));
    error_free_or_abort(&err);
    check_place();
    place.refuses = -1;
    end_in_place();
}

/* A destination with RAM in place may have lost what was sent of it. */
static void test_what_became_lent_is_sent_again(void)
{
    begin();
    set_lent(0, PAGES, false);
    set_lent(3, 1, true);
    realm_shared_ram_watch();
    g_assert_false(realm_shared_ram_again());
    set_lent(2, 2, true);
    set_lent(5, 2, true);
    memset(dirty, false, sizeof(dirty));
    g_assert_true(realm_shared_ram_again());
    for (unsigned i = 0; i < PAGES; i++) {
        g_assert_cmpint(dirty[i], ==, i == 2 || i == 5 || i == 6);
    }
    realm_shared_ram_watch();
    g_assert_false(realm_shared_ram_again());
}

static void test_other_ram_is_not_in_place(void)
{
    RAMBlock block = { };

    begin();
    block.mr = mr;
    set_lent(0, PAGES, false);
    g_assert_false(realm_shared_ram_in_place(mr));
    g_assert_true(realm_shared_ram_receive(&block, &(ram_addr_t) { 0 }, 1,
                                           4 * KiB, &error_abort));
    check_section(0, PAGES);
}

/* Of a page, in opposite directions: in the end all agree on what it is. */
static void *lend_and_return(void *unused)
{
    for (int i = 0; i < STEPS; i++) {
        g_assert_true(realm_shared_ram_receive(&place.block,
                                               &(ram_addr_t) { 0 }, 1,
                                               page_size, &error_abort));
        g_assert_true(realm_shared_ram_return(mr, 0, page_size, &error_abort));
    }
    return NULL;
}

static void test_in_place_threads_agree(void)
{
    QemuThread threads[2];

    begin_in_place();
    for (int i = 0; i < ARRAY_SIZE(threads); i++) {
        qemu_thread_create(&threads[i], "convert", lend_and_return, NULL,
                           QEMU_THREAD_JOINABLE);
    }
    for (int i = 0; i < ARRAY_SIZE(threads); i++) {
        qemu_thread_join(&threads[i]);
    }
    lent[0] = false;
    check_place();
    end_in_place();
}

int main(int argc, char **argv)
{
    static const TypeInfo interface = {
        .parent = TYPE_INTERFACE,
        .name = TYPE_RAM_DISCARD_MANAGER,
        .class_size = sizeof(RamDiscardManagerClass),
    };

    g_test_init(&argc, &argv, NULL);
    qemu_mutex_init(&bql);
    module_call_init(MODULE_INIT_QOM);
    type_register_static(&interface);

#define TEST(name) g_test_add_func("/realm/shared-ram/" #name, test_##name)
    TEST(all_is_lent_until_the_realm_runs);
    TEST(random_changes_as_the_twin);
    TEST(a_refusal_undoes_all_of_it);
    TEST(what_becomes_lent_is_dirty_and_no_more);
    TEST(what_is_returned_is_not_sent_unless_written);
    TEST(what_was_written_is_not_discarded);
    TEST(part_of_a_host_page);
    TEST(other_ram_has_no_manager);
    TEST(in_place_what_is_lent_is_shared_and_mapped);
    TEST(in_place_a_private_page_is_out_of_reach);
    TEST(in_place_what_is_not_lent_is_not_sent);
    TEST(in_place_a_refused_conversion_changes_nothing);
    TEST(in_place_what_cannot_be_mapped_is_not_lent);
    TEST(in_place_a_listener_is_told_nothing);
    TEST(in_place_pieces_become_one_mapping_again);
    TEST(in_place_too_many_pieces_change_nothing);
    TEST(in_place_a_new_mapping_has_the_advice_of_the_old);
    TEST(in_place_who_holds_the_bql_can_wait_for_a_conversion);
    TEST(in_place_the_start_changes_nothing);
    TEST(in_place_what_a_migration_writes_is_lent_before);
    TEST(what_became_lent_is_sent_again);
    TEST(other_ram_is_not_in_place);
    TEST(in_place_threads_agree);
    return g_test_run();
}
