/*
 * What the host lends a Realm of the board's RAM
 *
 * Purpose: include/system/realm-shared-ram.h.
 *
 * Invariants:
 * - `lent` is what the listeners have populated.
 * - Of RAM in place, a page that is lent is shared in the kernel, and mapped.
 *   So a page becomes shared before it is mapped, and is mapped, and has its
 *   first contents, before it is lent; and on the way back it is private last.
 * - What becomes lent while a migration runs is dirty: the destination may have
 *   got other contents before.  All that a device or a vCPU writes later is
 *   dirty because they write it.
 * - A page that the Realm took as private is not sent as shared memory: a
 *   destination with RAM in place would convert its page.  While it is being
 *   taken it may be sent as zeros; its contents follow as private memory.  The
 *   destination may keep what it got of the page before.  Nobody reads that
 *   until the page is lent again, and is dirty.
 * - Elsewhere than in place, nothing that anybody can have written is left out:
 *   neither what is lent, nor what the host has memory for.  The second covers
 *   a device that writes to a page which the Realm has not shared, what a Realm
 *   shares of which an old kernel does not tell, and what an incoming migration
 *   left here.  RAM that is neither reads as zero.
 *
 * A migration starts its dirty log, then asks what is discarded.  A page is
 * lent first, and dirty then.  So either it is lent when the migration asks,
 * and is not reported; or it becomes dirty after that answer.
 *
 * What a balloon discards has no contents any more, as in any guest: it reads
 * as zero here, and perhaps as what was sent of it at the destination.
 *
 * Lock rule: BQL.  RAM in place has a lock instead, which is taken with the BQL
 * or without: a thread that converts a page at the destination of a migration
 * must not wait for the BQL, since the main thread may wait for that thread
 * with it.  No listener could be told then, so such RAM has none.  Bits are changed
 * atomically, for those who only look at them.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/bitmap.h"
#include "qemu/error-report.h"
#include "qemu/lockable.h"
#include "qemu/madvise.h"
#include "qemu/main-loop.h"
#include "qemu/thread.h"
#include "exec/ramblock.h"
#include "qom/object.h"
#include "system/realm-backend.h"
#include "system/realm-shared-ram.h"
#include "backing.h"
#include "trace.h"

OBJECT_DECLARE_SIMPLE_TYPE(RealmSharedRam, REALM_SHARED_RAM)

struct RealmSharedRam {
    Object parent_obj;

    MemoryRegion *mr;
    uint64_t page_size;
    uint64_t num_pages;
    unsigned long *lent;
    RealmConvertFn *convert;    /* of RAM in place */
    bool dump;                  /* what is lent is in a core dump of QEMU */
    unsigned long *again;       /* lent since a migration began */
    QemuMutex lock;             /* of RAM in place */
    QLIST_HEAD(, RamDiscardListener) listeners;
    QLIST_ENTRY(RealmSharedRam) next;
};

static QLIST_HEAD(, RealmSharedRam) managers =
    QLIST_HEAD_INITIALIZER(managers);

/* Bytes of the region. */
typedef struct Span {
    uint64_t start, end;
} Span;

typedef int (*SpanFn)(RealmSharedRam *ram, Span span, void *opaque);

/*
 * Call @fn for each run of pages in @span that is lent, or is not; the first
 * and the last as far as they are in @span.  Stops at the first error.  No run
 * is empty, even if another thread changes the bits.
 */
static int for_each_run(RealmSharedRam *ram, Span span, bool lent, SpanFn fn,
                        void *opaque)
{
    uint64_t at = span.start / ram->page_size;
    uint64_t top = DIV_ROUND_UP(span.end, ram->page_size), end;
    int ret = 0;

    while (!ret) {
        at = lent ? find_next_bit(ram->lent, top, at)
                  : find_next_zero_bit(ram->lent, top, at);
        if (at >= top) {
            break;
        }
        end = lent ? find_next_zero_bit(ram->lent, top, at + 1)
                   : find_next_bit(ram->lent, top, at + 1);
        ret = fn(ram, (Span) { MAX(at * ram->page_size, span.start),
                               MIN(end * ram->page_size, span.end) }, opaque);
        at = end;
    }
    return ret;
}

static Span section_span(const MemoryRegionSection *section)
{
    uint64_t start = section->offset_within_region;

    return (Span) { start, start + int128_get64(section->size) };
}

/* What of @section is in @span; false if nothing is. */
static bool cut(MemoryRegionSection *section, Span span)
{
    Span old = section_span(section);

    span = (Span) { MAX(span.start, old.start), MIN(span.end, old.end) };
    if (span.start >= span.end) {
        return false;
    }
    section->offset_within_region = span.start;
    section->offset_within_address_space += span.start - old.start;
    section->size = int128_make64(span.end - span.start);
    return true;
}

uint64_t realm_shared_ram_lent(void)
{
    RealmSharedRam *ram;
    uint64_t pages = 0;

    QLIST_FOREACH(ram, &managers, next) {
        pages += bitmap_count_one(ram->lent, ram->num_pages) *
                 (ram->page_size / REALM_PAGE_SIZE);
    }
    return pages;
}

/* ---- Listeners ---- */

static int populate(RealmSharedRam *ram, Span span, void *opaque)
{
    RamDiscardListener *rdl = opaque;
    MemoryRegionSection part = *rdl->section;

    return cut(&part, span) ? rdl->notify_populate(rdl, &part) : 0;
}

static int discard(RealmSharedRam *ram, Span span, void *opaque)
{
    RamDiscardListener *rdl = opaque;
    MemoryRegionSection part = *rdl->section;

    if (cut(&part, span)) {
        rdl->notify_discard(rdl, &part);
    }
    return 0;
}

static int discard_for_all(RealmSharedRam *ram, Span span, void *unused)
{
    RamDiscardListener *rdl;

    QLIST_FOREACH(rdl, &ram->listeners, next) {
        discard(ram, span, rdl);
    }
    return 0;
}

/* A listener that fails has undone its own part. */
static int populate_for_all(RealmSharedRam *ram, Span span, void *opaque)
{
    RamDiscardListener *rdl, *done;
    uint64_t *failed_at = opaque;
    int ret;

    QLIST_FOREACH(rdl, &ram->listeners, next) {
        ret = populate(ram, span, rdl);
        if (ret) {
            break;
        }
    }
    if (!rdl) {
        return 0;
    }
    for (done = QLIST_FIRST(&ram->listeners); done != rdl;
         done = QLIST_NEXT(done, next)) {
        discard(ram, span, done);
    }
    *failed_at = span.start;
    return ret;
}

/* ---- Lending ---- */

static RealmSharedRam *manager_of(MemoryRegion *mr)
{
    return (RealmSharedRam *)object_dynamic_cast(
        (Object *)memory_region_get_ram_discard_manager(mr),
        TYPE_REALM_SHARED_RAM);
}

static Span outwards(const RealmSharedRam *ram, uint64_t offset, uint64_t size)
{
    return (Span) { ROUND_DOWN(offset, ram->page_size),
                    MIN(ROUND_UP(offset + size, ram->page_size),
                        memory_region_size(ram->mr)) };
}

static Span inwards(const RealmSharedRam *ram, uint64_t offset, uint64_t size)
{
    Span span = { ROUND_UP(offset, ram->page_size), offset + size };

    if (span.end < memory_region_size(ram->mr)) {
        span.end = ROUND_DOWN(span.end, ram->page_size);
    }
    return span;
}

/* Last: others use a page as soon as they see its bit. */
static int set_lent(RealmSharedRam *ram, Span span, void *unused)
{
    long first = span.start / ram->page_size;
    long n = DIV_ROUND_UP(span.end - span.start, ram->page_size);

    bitmap_set_atomic(ram->lent, first, n);
    bitmap_set_atomic(ram->again, first, n);
    memory_region_set_dirty(ram->mr, span.start, span.end - span.start);
    return 0;
}

static int clear_lent(RealmSharedRam *ram, Span span, void *unused)
{
    bitmap_test_and_clear_atomic(ram->lent, span.start / ram->page_size,
                                 DIV_ROUND_UP(span.end - span.start,
                                              ram->page_size));
    return 0;
}

static bool lend(RealmSharedRam *ram, Span span, Error **errp)
{
    uint64_t failed_at;
    int ret = for_each_run(ram, span, false, populate_for_all, &failed_at);

    if (ret) {
        error_setg_errno(errp, -ret, "Realm: cannot lend it 0x%" PRIx64
                         " bytes at 0x%" PRIx64 " of '%s': a device that maps "
                         "its memory refused", span.end - span.start,
                         span.start, memory_region_name(ram->mr));
        for_each_run(ram, (Span) { span.start, failed_at }, false,
                     discard_for_all, NULL);
        return false;
    }
    for_each_run(ram, span, false, set_lent, NULL);
    return true;
}

/* ---- RAM in place; its lock is held ---- */

/*
 * Each edge, between a page that is lent and one that is not, begins a mapping
 * of QEMU's, whose number Linux limits.  Where there is no room for another
 * one, threads and coroutines get no stacks, and QEMU ends.  So edges have half
 * of that number.
 */
static long edges, max_edges;

/* How many edges there are more if all of @span is lent, or nothing of it. */
static long more_edges(const RealmSharedRam *ram, Span span, bool lent)
{
    unsigned long first = span.start / ram->page_size;
    unsigned long top = DIV_ROUND_UP(span.end, ram->page_size);
    unsigned long at = first ? first - 1 : 0;
    unsigned long end = MIN(top + 1, ram->num_pages);
    bool bit = test_bit(at, ram->lent);
    long more = (first > 0 && bit != lent) +
                (top < ram->num_pages && test_bit(top, ram->lent) != lent);

    while ((at = bit ? find_next_zero_bit(ram->lent, end, at)
                     : find_next_bit(ram->lent, end, at)) < end) {
        more--;
        bit = !bit;
    }
    return more;
}

static bool check_edges(const RealmSharedRam *ram, Span span, bool lent,
                        Error **errp)
{
    long more = more_edges(ram, span, lent);

    if (more > 0 && more > max_edges - qatomic_read(&edges)) {
        error_setg(errp, "Realm: cannot convert 0x%" PRIx64 " bytes at 0x%"
                   PRIx64 " of '%s': what it shares is in too many pieces, "
                   "with %ld bounds; let it share larger ones, or raise "
                   "vm.max_map_count, of which QEMU takes half for them",
                   span.end - span.start, span.start,
                   memory_region_name(ram->mr), qatomic_read(&edges));
        return false;
    }
    return true;
}

static void mark(RealmSharedRam *ram, Span span, bool lent)
{
    long more = more_edges(ram, span, lent);

    for_each_run(ram, span, !lent, lent ? set_lent : clear_lent, NULL);
    qatomic_add(&edges, more);
}

/*
 * As ram_block_add did for the mapping that was here, so that pieces become one
 * again.  KSM takes no shared mapping.
 */
static void advise(const RealmSharedRam *ram, void *at, size_t size, bool lent)
{
    qemu_madvise(at, size, QEMU_MADV_DONTFORK);
    if (!lent || !ram->dump) {
        qemu_madvise(at, size, QEMU_MADV_DONTDUMP);
    }
    if (lent) {
        qemu_madvise(at, size, QEMU_MADV_HUGEPAGE);
    }
}

/* What is not lent has nothing mapped but memory that is made when written. */
static int map(RealmSharedRam *ram, Span span, bool lent)
{
    const RAMBlock *block = ram->mr->ram_block;
    void *at = block->host + span.start;
    size_t size = ROUND_UP(span.end, ram->page_size) - span.start;
    void *mapped = lent
        ? mmap(at, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
               block->fd, block->fd_offset + span.start)
        : mmap(at, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS |
               MAP_NORESERVE | MAP_FIXED, -1, 0);

    if (mapped != at) {
        return -errno;
    }
    advise(ram, at, size, lent);
    return 0;
}

static int map_lent(RealmSharedRam *ram, Span span, void *unused)
{
    return map(ram, span, true);
}

static bool convert(RealmSharedRam *ram, Span span, bool private, Error **errp)
{
    const RAMBlock *block = ram->mr->ram_block;

    return ram->convert(block->fd, block->fd_offset + span.start,
                        ROUND_UP(span.end, ram->page_size) - span.start,
                        private, errp);
}

/*
 * On the ways back here and below, what fails leaves a page that is shared in
 * the kernel, and not lent: to lend it once more, or to return it, mends that.
 */
static int convert_run_back(RealmSharedRam *ram, Span span, void *unused)
{
    if (map(ram, span, false) == 0) {
        convert(ram, span, true, NULL);
    }
    return 0;
}

static int map_run_back(RealmSharedRam *ram, Span span, void *unused)
{
    int ret = map_lent(ram, span, NULL);

    if (ret) {
        error_report("Realm: cannot map 0x%" PRIx64 " bytes at 0x%" PRIx64
                     " of '%s' again: %s; devices do not reach them until the "
                     "Realm shares them anew", span.end - span.start,
                     span.start, memory_region_name(ram->mr), strerror(-ret));
        mark(ram, span, false);
    }
    /* It may have been sent as zeros meanwhile. */
    memory_region_set_dirty(ram->mr, span.start, span.end - span.start);
    return 0;
}

static void set_map_error(RealmSharedRam *ram, Span span, int ret, Error **errp)
{
    error_setg_errno(errp, -ret, "Realm: cannot map what is lent of 0x%" PRIx64
                     " bytes at 0x%" PRIx64 " of '%s'; give the host more "
                     "memory, or raise vm.max_map_count",
                     span.end - span.start, span.start,
                     memory_region_name(ram->mr));
}

/* What of @span is not lent becomes shared, and is mapped; or nothing of it. */
static bool make_shared(RealmSharedRam *ram, Span span, Error **errp)
{
    int ret;

    if (!check_edges(ram, span, true, errp) ||
        !convert(ram, span, false, errp)) {
        return false;
    }
    ret = for_each_run(ram, span, false, map_lent, NULL);
    if (ret) {
        for_each_run(ram, span, false, convert_run_back, NULL);
        set_map_error(ram, span, ret, errp);
    }
    return !ret;
}

/*
 * All of @span becomes private, or nothing of it.  What is not lent has nothing
 * mapped already, unless something failed before.
 */
static bool make_private(RealmSharedRam *ram, Span span, Error **errp)
{
    int ret;

    if (!check_edges(ram, span, false, errp)) {
        return false;
    }
    ret = map(ram, span, false);
    if (ret) {
        set_map_error(ram, span, ret, errp);
    } else if (convert(ram, span, true, errp)) {
        return true;
    }
    for_each_run(ram, span, true, map_run_back, NULL);
    return false;
}

/* ---- Both kinds ---- */

bool realm_shared_ram_lend(MemoryRegion *mr, uint64_t offset, uint64_t size,
                           Error **errp)
{
    RealmSharedRam *ram = manager_of(mr);
    Span span;
    bool ok;

    if (!ram) {
        return true;
    }
    span = outwards(ram, offset, size);
    if (!ram->convert) {
        BQL_LOCK_GUARD();
        ok = lend(ram, span, errp);
    } else {
        QEMU_LOCK_GUARD(&ram->lock);
        ok = make_shared(ram, span, errp);
        if (ok) {
            mark(ram, span, true);
        }
    }
    trace_realm_shared_ram_lend(memory_region_name(mr), span.start, span.end,
                                ok);
    return ok;
}

bool realm_shared_ram_return(MemoryRegion *mr, uint64_t offset, uint64_t size,
                             Error **errp)
{
    RealmSharedRam *ram = manager_of(mr);
    Span span;

    if (!ram) {
        return true;
    }
    span = inwards(ram, offset, size);
    trace_realm_shared_ram_return(memory_region_name(mr), span.start,
                                  span.end);
    if (span.start >= span.end) {
        return true;
    }
    if (!ram->convert) {
        BQL_LOCK_GUARD();
        for_each_run(ram, span, true, discard_for_all, NULL);
        for_each_run(ram, span, true, clear_lent, NULL);
        return true;
    }
    QEMU_LOCK_GUARD(&ram->lock);
    if (!make_private(ram, span, errp)) {
        return false;
    }
    mark(ram, span, false);
    return true;
}

bool realm_shared_ram_in_place(MemoryRegion *mr)
{
    RealmSharedRam *ram = manager_of(mr);

    return ram && ram->convert;
}

static bool is_lent(const RealmSharedRam *ram, Span span)
{
    uint64_t top = DIV_ROUND_UP(span.end, ram->page_size);

    return find_next_zero_bit(ram->lent, top,
                              span.start / ram->page_size) >= top;
}

/* ---- What a migration sends and writes ---- */

static RealmSharedRam *manager_of_block(const RAMBlock *block)
{
    RealmSharedRam *ram;

    QLIST_FOREACH(ram, &managers, next) {
        if (ram->mr == block->mr) {
            return ram;
        }
    }
    return NULL;
}

void realm_shared_ram_watch(void)
{
    RealmSharedRam *ram;

    QLIST_FOREACH(ram, &managers, next) {
        bitmap_test_and_clear_atomic(ram->again, 0, ram->num_pages);
    }
}

bool realm_shared_ram_again(void)
{
    RealmSharedRam *ram;
    bool found = false;

    QLIST_FOREACH(ram, &managers, next) {
        unsigned long page = 0;

        while ((page = find_next_bit(ram->again, ram->num_pages, page)) <
               ram->num_pages) {
            memory_region_set_dirty(ram->mr, page * ram->page_size,
                                    ram->page_size);
            found = true;
            page++;
        }
    }
    return found;
}

static int fill_with_zeros(RealmSharedRam *ram, Span span, void *unused)
{
    memset(ram->mr->ram_block->host + span.start, 0, span.end - span.start);
    return 0;
}

/*
 * Who loads a page of zeros takes it for one as long as nothing was loaded
 * there.  Others who see the bit write there at once, so it is set last.
 */
static bool receive(RealmSharedRam *ram, Span span, Error **errp)
{
    QEMU_LOCK_GUARD(&ram->lock);
    if (is_lent(ram, span)) {
        return true;            /* by another thread */
    }
    if (!make_shared(ram, span, errp)) {
        return false;
    }
    for_each_run(ram, span, false, fill_with_zeros, NULL);
    mark(ram, span, true);
    return true;
}

bool realm_shared_ram_receive(RAMBlock *block, const ram_addr_t *offsets,
                              unsigned n, uint64_t size, Error **errp)
{
    RealmSharedRam *ram = n ? manager_of_block(block) : NULL;

    for (unsigned i = 0; ram && ram->convert && i < n; i++) {
        Span span = outwards(ram, offsets[i], size);

        if (!is_lent(ram, span) && !receive(ram, span, errp)) {
            return false;
        }
    }
    smp_mb();                   /* with the one in bitmap_set_atomic */
    return true;
}

bool realm_shared_ram_is_sent(RAMBlock *block, ram_addr_t offset)
{
    const RealmSharedRam *ram = manager_of_block(block);
    Span span;

    if (!ram) {
        return true;
    }
    span = outwards(ram, offset, 1);
    return is_lent(ram, span) ||
           (!ram->convert &&
            !realm_backing_is_hole(ram->mr, span.start, span.end));
}

void realm_shared_ram_begin(void)
{
    static bool begun;
    RealmSharedRam *ram;

    if (begun) {
        return;
    }
    begun = true;
    QLIST_FOREACH(ram, &managers, next) {
        if (!ram->convert) {
            realm_shared_ram_return(ram->mr, 0, memory_region_size(ram->mr),
                                    &error_abort);
        }
    }
}

void realm_shared_ram_attach(MemoryRegion *mr, RealmConvertFn *convert)
{
    RealmSharedRam *ram =
        REALM_SHARED_RAM(object_new(TYPE_REALM_SHARED_RAM));

    ram->mr = mr;
    ram->page_size = MAX(qemu_real_host_page_size(), REALM_PAGE_SIZE);
    ram->num_pages = DIV_ROUND_UP(memory_region_size(mr), ram->page_size);
    ram->lent = bitmap_new(ram->num_pages);
    bitmap_set(ram->lent, 0, ram->num_pages);
    ram->convert = convert;
    ram->again = bitmap_new(ram->num_pages);
    ram->dump = !mr->owner || object_property_get_bool(mr->owner, "dump", NULL);
    qemu_mutex_init(&ram->lock);
    max_edges = realm_backing_max_mappings() / 2;
    QLIST_INSERT_HEAD(&managers, ram, next);
    memory_region_set_ram_discard_manager(mr, RAM_DISCARD_MANAGER(ram));
}

/* ---- RamDiscardManager ---- */

static uint64_t get_min_granularity(const RamDiscardManager *rdm,
                                    const MemoryRegion *mr)
{
    return REALM_SHARED_RAM(rdm)->page_size;
}

static bool is_populated(const RamDiscardManager *rdm,
                         const MemoryRegionSection *section)
{
    return is_lent(REALM_SHARED_RAM(rdm), section_span(section));
}

typedef struct Replay {
    const MemoryRegionSection *section;
    ReplayRamPopulate populated;
    ReplayRamDiscard discarded;
    void *opaque;
} Replay;

static int replay_run(RealmSharedRam *ram, Span span, void *opaque)
{
    const Replay *replay = opaque;
    MemoryRegionSection part = *replay->section;

    cut(&part, span);
    return replay->populated(&part, replay->opaque);
}

static int replay_populated(const RamDiscardManager *rdm,
                            MemoryRegionSection *section,
                            ReplayRamPopulate fn, void *opaque)
{
    Replay replay = { section, .populated = fn, .opaque = opaque };

    return for_each_run(REALM_SHARED_RAM(rdm), section_span(section), true,
                        replay_run, &replay);
}

static void replay_hole(uint64_t start, uint64_t end, void *opaque)
{
    const Replay *replay = opaque;
    MemoryRegionSection part = *replay->section;

    cut(&part, (Span) { start, end });
    replay->discarded(&part, replay->opaque);
}

/* What of a run that is not lent the host has no memory for, either. */
static int replay_unbacked(RealmSharedRam *ram, Span span, void *opaque)
{
    if (ram->convert) {
        replay_hole(span.start, span.end, opaque);
        return 0;
    }
    realm_backing_holes(ram->mr, span.start, span.end, replay_hole, opaque);
    return 0;
}

static void replay_discarded(const RamDiscardManager *rdm,
                             MemoryRegionSection *section,
                             ReplayRamDiscard fn, void *opaque)
{
    Replay replay = { section, .discarded = fn, .opaque = opaque };

    for_each_run(REALM_SHARED_RAM(rdm), section_span(section), false,
                 replay_unbacked, &replay);
}

static void register_listener(RamDiscardManager *rdm, RamDiscardListener *rdl,
                              MemoryRegionSection *section)
{
    RealmSharedRam *ram = REALM_SHARED_RAM(rdm);
    int ret;

    rdl->section = memory_region_section_new_copy(section);
    if (ram->convert) {
        error_report("Realm: a device that maps memory cannot follow '%s', "
                     "which is converted in place, and reaches nothing of it; "
                     "leave the device out", memory_region_name(ram->mr));
        return;
    }
    QLIST_INSERT_HEAD(&ram->listeners, rdl, next);
    ret = for_each_run(ram, section_span(section), true, populate, rdl);
    if (ret) {
        error_report("Realm: a device cannot map what is lent of '%s': %s",
                     memory_region_name(ram->mr), strerror(-ret));
    }
}

static void unregister_listener(RamDiscardManager *rdm,
                                RamDiscardListener *rdl)
{
    RealmSharedRam *ram = REALM_SHARED_RAM(rdm);

    if (!ram->convert) {
        for_each_run(ram, section_span(rdl->section), true, discard, rdl);
        QLIST_REMOVE(rdl, next);
    }
    memory_region_section_free_copy(rdl->section);
    rdl->section = NULL;
}

static void class_init(ObjectClass *klass, void *data)
{
    RamDiscardManagerClass *rdmc = RAM_DISCARD_MANAGER_CLASS(klass);

    rdmc->get_min_granularity = get_min_granularity;
    rdmc->is_populated = is_populated;
    rdmc->replay_populated = replay_populated;
    rdmc->replay_discarded = replay_discarded;
    rdmc->register_listener = register_listener;
    rdmc->unregister_listener = unregister_listener;
}

static const TypeInfo types[] = {
    {
        .name = TYPE_REALM_SHARED_RAM,
        .parent = TYPE_OBJECT,
        .instance_size = sizeof(RealmSharedRam),
        .class_init = class_init,
        .interfaces = (InterfaceInfo[]) {
            { TYPE_RAM_DISCARD_MANAGER },
            { }
        },
    },
};

DEFINE_TYPES(types)
