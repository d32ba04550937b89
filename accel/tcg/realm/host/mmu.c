/*
 * Realms under TCG: the host's half of stage 2
 *
 * Purpose: what KVM's MMU code does on a real machine, by RMI calls alone:
 * delegate granules, make tables, assign pages to the Realm and take them
 * back, lend it host memory in the unprotected half, and keep whole blocks of
 * 2 MiB mapped as blocks.
 *
 *   protected IPA                            unprotected IPA
 *
 *   not assigned --fault--> page             nothing --fault--> page or block
 *    ^                     |   ^                ^                  |
 *    |                fold |   | unfold         | RIPAS RAM again, |
 *    |                     v   |                | for all or part  |
 *    +---RIPAS EMPTY---   block                 +------------------+
 *
 * The host folds a block when the Realm has all of its 512 pages: blocks of
 * images when the Realm is built, others a moment after the last page came,
 * since TLBs are flushed for it.  The host unfolds a block when it needs the
 * pages: to change the RIPAS of a part, to take pages back, and for a
 * migration, which has a dirty state for each page (realm_mmu_unfold_all).
 *
 * Invariants:
 * - Tables are made for IPAs of the board's RAM only, in both halves; so
 *   their number is bounded, and the machine has that many extra granules
 *   (realm_mmu_extra_size).
 * - Nothing of a Realm's memory is aged, merged or swapped here: a page goes
 *   back to the host when the Realm gives it up, and not before.
 *
 * Lock rule: realm_mmu_lock, after the BQL if both are held.  The caller of a
 * function whose comment says "locked" holds it.  A thread that holds it waits
 * for no vCPU: calls that invalidate translations (RmmOps.tlb_sync) are made
 * where all vCPUs are excluded, or before any REC is entered.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/bitmap.h"
#include "qemu/lockable.h"
#include "qemu/timer.h"
#include "qemu/units.h"
#include "target/arm/realm/shared.h"
#include "target/arm/rmm/rmm-abi.h"
#include "accel/tcg/realm/machine.h"
#include "accel/tcg/realm/trace.h"
#include "mmu.h"
#include "state.h"

#define LEVEL_SHIFT(level) (12 + 9 * (3 - (level)))
#define LEVEL_SIZE(level) BIT_ULL(LEVEL_SHIFT(level))
#define BLOCK_LEVEL 2
#define BLOCK_SIZE LEVEL_SIZE(BLOCK_LEVEL)
#define BLOCK_PAGES 512

/* A fold waits this long for others to share its flush... */
#define FOLD_DELAY_MS 50
/* ...but no more than these, since vCPUs stand still meanwhile. */
#define FOLDS_AT_ONCE 64

/* Host's choice for lent memory: normal, write-back, read and write. */
#define LENT_ATTRIBUTES (6 << 2 | 3 << 6)

QemuMutex realm_mmu_lock;

static struct {
    uint64_t extra_used;        /* bytes of extra granules, from the first */
    uint64_t num_blocks;        /* of RAM, the last perhaps only in part */
    unsigned long *delegated;   /* pages of them that are the RMM's */
    unsigned long *folded;      /* mapped as a block */
    unsigned long *due;         /* to be tried by the next folding */
    bool timer_armed;
    QEMUTimer *timer;
    bool paged;                 /* a migration wants pages only */
    GArray *tables;             /* PAs of delegated granules to use first */
} mmu;

static uint64_t shared_bit(void)
{
    return BIT_ULL(realm_host.config->ipa_bits - 1);
}

/* [base, base + size) is RAM of the board. */
static bool is_ram(uint64_t base, uint64_t size)
{
    return realm_layout_is_ram(&realm_host.layout, base, size);
}

/* Call @fn for each piece of the board's RAM in [@base, @top). */
static bool for_ram(uint64_t base, uint64_t top,
                    bool (*fn)(uint64_t base, uint64_t size, Error **errp),
                    Error **errp)
{
    const GArray *ram = realm_host.layout.ram;

    for (guint i = 0; i < ram->len; i++) {
        uint64_t start = MAX(base, realm_range(ram, i).base);
        uint64_t end = MIN(top, realm_range(ram, i).top);

        if (start < end && !fn(start, end - start, errp)) {
            return false;
        }
    }
    return true;
}

bool realm_mmu_is_lendable(uint64_t ipa)
{
    return ipa >= shared_bit() &&
           is_ram(ipa - shared_bit(), REALM_PAGE_SIZE);
}

static uint64_t block_of(uint64_t ipa)
{
    return ipa / BLOCK_SIZE - realm_host.config->ram_base / BLOCK_SIZE;
}

static uint64_t block_base(uint64_t block)
{
    return (realm_host.config->ram_base / BLOCK_SIZE + block) * BLOCK_SIZE;
}

/* ---- The shared view; not locked, since others are told under the BQL ---- */

bool realm_mmu_share(uint64_t base, uint64_t top, Error **errp)
{
    return for_ram(base, top, realm_shared_lend, errp);
}

static bool discard_shared(uint64_t base, uint64_t size, Error **errp)
{
    realm_shared_discard(base, size, NULL);
    return true;
}

void realm_mmu_discard_shared(uint64_t base, uint64_t top)
{
    for_ram(base, top, discard_shared, NULL);
}

/* In mmu.delegated; blocks begin with a whole one there. */
static uint64_t page_of(uint64_t ipa)
{
    return (ipa - block_base(0)) / REALM_PAGE_SIZE;
}

/* ---- Granules and tables; locked ---- */

static uint64_t num_delegated(uint64_t block)
{
    return bitmap_count_one_with_offset(mmu.delegated, block * BLOCK_PAGES,
                                        BLOCK_PAGES);
}

static bool call_delegate(uint64_t pa)
{
    RmmPe pe = { .x = { RMI_GRANULE_DELEGATE, pa } };

    realm_call(&pe);
    return pe.x[0] == RMI_SUCCESS;
}

bool realm_mmu_delegate(uint64_t ipa)
{
    uint64_t page = page_of(ipa);

    if (!test_bit(page, mmu.delegated) && call_delegate(ipa)) {
        set_bit(page, mmu.delegated);
    }
    return test_bit(page, mmu.delegated);
}

static void call_undelegate(uint64_t pa)
{
    RmmPe pe = { .x = { RMI_GRANULE_UNDELEGATE, pa } };

    realm_call(&pe);
    assert(pe.x[0] == RMI_SUCCESS);
}

static void undelegate(uint64_t pa)
{
    call_undelegate(pa);
    clear_bit(page_of(pa), mmu.delegated);
}

uint64_t realm_mmu_new_granules(unsigned count)
{
    uint64_t size = count * REALM_PAGE_SIZE;
    uint64_t start = ROUND_UP(mmu.extra_used, size);
    uint64_t pa = REALM_EXTRA_BASE + start;

    /* The machine has room for every table that the Realm can have. */
    assert(is_power_of_2(count) &&
           start + size <= realm_mmu_extra_size(realm_host.config));
    mmu.extra_used = start + size;
    for (unsigned i = 0; i < count; i++) {
        bool ok = call_delegate(pa + i * REALM_PAGE_SIZE);

        assert(ok);
    }
    return pa;
}

static uint64_t take_granule(void)
{
    uint64_t pa;

    if (!mmu.tables->len) {
        return realm_mmu_new_granules(1);
    }
    pa = g_array_index(mmu.tables, uint64_t, mmu.tables->len - 1);
    g_array_set_size(mmu.tables, mmu.tables->len - 1);
    return pa;
}

/* What the RMM says of the entry for @ipa. */
typedef struct Entry {
    unsigned level;
    bool assigned;
    unsigned ripas;
} Entry;

static Entry read_entry(uint64_t ipa)
{
    RmmPe pe = { .x = { RMI_RTT_READ_ENTRY, realm_host.rd, ipa, 3 } };

    realm_call(&pe);
    assert(pe.x[0] == RMI_SUCCESS);
    return (Entry) { .level = pe.x[1], .assigned = pe.x[2] == RMI_ASSIGNED,
                     .ripas = pe.x[4] };
}

uint64_t realm_mmu_create_table(uint64_t ipa, unsigned level)
{
    uint64_t base = ROUND_DOWN(ipa, LEVEL_SIZE(level - 1));
    uint64_t table = take_granule();
    RmmPe pe = { .x = { RMI_RTT_CREATE, realm_host.rd, table, base, level } };

    realm_call(&pe);
    if (pe.x[0] != RMI_SUCCESS) {
        g_array_append_val(mmu.tables, table);
    } else if (level == 3 && is_ram(base, BLOCK_SIZE) &&
               test_and_clear_bit(block_of(base), mmu.folded)) {
        trace_realm_mmu_unfold(base, base + BLOCK_SIZE);
    }
    return pe.x[0];
}

/* Tables down to @to for @ipa, where the walk ended at @from. */
static uint64_t create_tables(uint64_t ipa, unsigned from, unsigned to)
{
    uint64_t result = RMI_SUCCESS;

    for (unsigned level = from + 1; level <= to && !result; level++) {
        result = realm_mmu_create_table(ipa, level);
    }
    return result;
}

uint64_t realm_mmu_create_tables(uint64_t ipa)
{
    return create_tables(ipa, read_entry(ipa).level, 3);
}

/* Whether an RMI call wants a table below @level to go on. */
static bool wants_table(uint64_t result, unsigned *level)
{
    *level = RMI_INDEX(result);
    return RMI_STATUS(result) == RMI_ERROR_RTT && *level < 3;
}

uint64_t realm_mmu_call_for_range(uint64_t fid, uint64_t rec, uint64_t *base,
                                  uint64_t top)
{
    QEMU_LOCK_GUARD(&realm_mmu_lock);
    unsigned level;

    while (*base < top) {
        RmmPe pe = { .x = { fid, realm_host.rd } };
        uint64_t *arg = &pe.x[2];

        if (fid == RMI_RTT_SET_RIPAS) {
            *arg++ = rec;
        }
        arg[0] = *base;
        arg[1] = top;
        realm_call(&pe);
        if (pe.x[0] == RMI_SUCCESS) {
            *base = pe.x[1];
        } else if (wants_table(pe.x[0], &level)) {
            uint64_t result = realm_mmu_create_table(*base, level + 1);

            if (result) {
                return result;
            }
        } else {
            return pe.x[0];
        }
    }
    return RMI_SUCCESS;
}

/*
 * Put a leaf into the place of the table for the 2 MiB at @ipa, if the RMM
 * finds that its entries allow it.  Locked.
 */
static bool fold_table(uint64_t ipa)
{
    RmmPe pe = { .x = { RMI_RTT_FOLD, realm_host.rd, ipa, 3 } };

    realm_call(&pe);
    if (pe.x[0] == RMI_SUCCESS) {
        g_array_append_val(mmu.tables, pe.x[1]);
        trace_realm_mmu_fold(ipa, ipa + BLOCK_SIZE);
    }
    return pe.x[0] == RMI_SUCCESS;
}

/* ---- Blocks of the Realm's own memory ---- */

static void arm_fold_timer(void)
{
    if (!mmu.timer_armed) {
        mmu.timer_armed = true;
        timer_mod(mmu.timer,
                  qemu_clock_get_ms(QEMU_CLOCK_VIRTUAL) + FOLD_DELAY_MS);
    }
}

/* Locked.  The Realm got a page of @block. */
static void block_grew(uint64_t block)
{
    if (num_delegated(block) == BLOCK_PAGES && !mmu.paged) {
        set_bit(block, mmu.due);
        arm_fold_timer();
    }
}

/* Locked.  Fold at most @limit of the blocks that are due. */
static void fold_due(uint64_t limit)
{
    uint64_t block = find_first_bit(mmu.due, mmu.num_blocks);

    while (block < mmu.num_blocks && limit && !mmu.paged) {
        clear_bit(block, mmu.due);
        /* Else pages were taken away since. */
        if (num_delegated(block) == BLOCK_PAGES &&
            fold_table(block_base(block))) {
            set_bit(block, mmu.folded);
            limit--;
        }
        block = find_next_bit(mmu.due, mmu.num_blocks, block + 1);
    }
}

static void fold_exclusive(CPUState *cs, run_on_cpu_data unused)
{
    QEMU_LOCK_GUARD(&realm_mmu_lock);

    mmu.timer_armed = false;
    fold_due(FOLDS_AT_ONCE);
    if (!bitmap_empty(mmu.due, mmu.num_blocks)) {
        arm_fold_timer();
    }
}

/* TLBs may be flushed where all vCPUs are excluded. */
static void fold_timer_expired(void *unused)
{
    async_safe_run_on_cpu(first_cpu, fold_exclusive, RUN_ON_CPU_NULL);
}

static void mark_all_due(void)
{
    for (uint64_t block = 0; block < mmu.num_blocks; block++) {
        if (num_delegated(block) == BLOCK_PAGES &&
            !test_bit(block, mmu.folded)) {
            set_bit(block, mmu.due);
        }
    }
}

void realm_mmu_fold_images(void)
{
    QEMU_LOCK_GUARD(&realm_mmu_lock);

    /* No vCPU has a REC yet, so nobody has cached anything. */
    assert(!realm_host.recs[0].pa);
    mark_all_due();
    fold_due(UINT64_MAX);
}

void realm_mmu_fold_all(void)
{
    QEMU_LOCK_GUARD(&realm_mmu_lock);

    mmu.paged = false;
    mark_all_due();
    if (!bitmap_empty(mmu.due, mmu.num_blocks)) {
        arm_fold_timer();
    }
}

void realm_mmu_stop_folding(void)
{
    QEMU_LOCK_GUARD(&realm_mmu_lock);

    mmu.paged = true;
    bitmap_zero(mmu.due, mmu.num_blocks);
}

/* The translations stay what they were: nothing is flushed. */
bool realm_mmu_unfold_all(void)
{
    QEMU_LOCK_GUARD(&realm_mmu_lock);
    uint64_t block = find_first_bit(mmu.folded, mmu.num_blocks);

    while (block < mmu.num_blocks) {
        if (realm_mmu_create_table(block_base(block), 3) != RMI_SUCCESS) {
            return false;
        }
        block = find_next_bit(mmu.folded, mmu.num_blocks, block + 1);
    }
    return true;
}

/* ---- What a REC's abort asks for ---- */

/* Locked.  Assign a granule to the protected @ipa, if that has RIPAS RAM. */
static bool donate_page(uint64_t ipa)
{
    RmmPe pe = { .x = { RMI_DATA_CREATE_UNKNOWN, realm_host.rd, ipa, ipa } };
    Entry entry = read_entry(ipa);

    if (entry.assigned || entry.ripas != RMI_RIPAS_RAM) {
        /* Another vCPU may have been here first. */
        return entry.assigned && entry.ripas == RMI_RIPAS_RAM;
    }
    if (create_tables(ipa, entry.level, 3) != RMI_SUCCESS) {
        return false;
    }
    /* A page that an import dropped is delegated already. */
    realm_mmu_delegate(ipa);
    realm_call(&pe);
    trace_realm_mmu_donate(ipa, pe.x[0]);
    block_grew(block_of(ipa));
    return pe.x[0] == RMI_SUCCESS;
}

/* Locked.  Show the Realm the board's RAM at the unprotected @ipa. */
static bool lend_ram(uint64_t ipa)
{
    uint64_t block = ROUND_DOWN(ipa, BLOCK_SIZE);
    Entry entry = read_entry(ipa);
    unsigned level = 3;
    RmmPe pe;

    if (entry.assigned) {
        return true;
    }
    if (entry.level < 3 && is_ram(block - shared_bit(), BLOCK_SIZE)) {
        level = BLOCK_LEVEL;
    }
    if (create_tables(ipa, entry.level, level) != RMI_SUCCESS) {
        return false;
    }
    ipa = ROUND_DOWN(ipa, LEVEL_SIZE(level));
    pe = (RmmPe) { .x = { RMI_RTT_MAP_UNPROTECTED, realm_host.rd, ipa, level,
                          ipa | LENT_ATTRIBUTES } };
    realm_call(&pe);
    trace_realm_mmu_lend(ipa, ipa + LEVEL_SIZE(level), pe.x[0]);
    return pe.x[0] == RMI_SUCCESS;
}

/* All of the block may be mapped. */
static bool share_block(uint64_t ipa)
{
    uint64_t block = ROUND_DOWN(ipa, BLOCK_SIZE) - shared_bit();
    Error *err = NULL;

    if (!realm_mmu_share(block, block + BLOCK_SIZE, &err)) {
        error_report_err(err);
        return false;
    }
    return true;
}

bool realm_mmu_fault(uint64_t ipa)
{
    bool shared = ipa >= shared_bit();

    if (shared ? !realm_mmu_is_lendable(ipa) || !share_block(ipa)
               : !is_ram(ipa, REALM_PAGE_SIZE)) {
        return false;
    }
    QEMU_LOCK_GUARD(&realm_mmu_lock);
    return shared ? lend_ram(ipa) : donate_page(ipa);
}

/* ---- Pages that arrive ---- */

/* How many of the @n pages from @ipas[0] on lie in a row, in one block. */
static size_t run_length(const uint64_t *ipas, size_t n)
{
    size_t len = 1;

    while (len < n && ipas[len] == ipas[len - 1] + REALM_PAGE_SIZE &&
           ipas[len] % BLOCK_SIZE) {
        len++;
    }
    return len;
}

/*
 * What is about to be written whole is written by the kernel first.  That costs
 * least for many pages at once, and nothing for those that are there.  A page
 * alone comes when it is touched.
 */
static int populate_runs(const uint64_t *ipas, size_t n)
{
    int ret = 0;

    for (size_t i = 0, len; i < n && !ret; i += len) {
        len = run_length(ipas + i, n - i);
        if (len > 1) {
            ret = realm_physmem_populate(ipas[i],
                                         ipas[i] + len * REALM_PAGE_SIZE);
        }
    }
    return ret;
}

/*
 * Locked.  Where all pages of the run at @ipa are delegated, their tables were
 * made before that.
 */
static bool prepare_run(uint64_t ipa, size_t len)
{
    uint64_t end = page_of(ipa) + len;
    uint64_t page = find_next_zero_bit(mmu.delegated, end, page_of(ipa));

    if (page < end && realm_mmu_create_tables(ipa) != RMI_SUCCESS) {
        return false;
    }
    while (page < end) {
        if (!realm_mmu_delegate(block_base(0) + page * REALM_PAGE_SIZE)) {
            return false;
        }
        page = find_next_zero_bit(mmu.delegated, end, page + 1);
    }
    return true;
}

bool realm_mmu_populate(const uint64_t *ipas, size_t n, Error **errp)
{
    int ret = populate_runs(ipas, n);

    if (ret) {
        error_setg_errno(errp, -ret, "Realm: no memory for %zu pages from 0x%"
                         PRIx64 " on; give this host more, or if the memory "
                         "backend has huge pages, more of those", n, ipas[0]);
    }
    return !ret;
}

bool realm_mmu_prepare_pages(const uint64_t *ipas, size_t n, Error **errp)
{
    QEMU_LOCK_GUARD(&realm_mmu_lock);
    for (size_t i = 0, len; i < n; i += len) {
        len = run_length(ipas + i, n - i);
        if (!prepare_run(ipas[i], len)) {
            error_setg(errp, "Realm: the RMM refused a table or a granule for "
                       "the page at 0x%" PRIx64, ipas[i]);
            return false;
        }
    }
    return true;
}

/* ---- What a change of RIPAS takes away; all vCPUs are excluded ---- */

/* The Realm has no page in the 2 MiB at @ipa, or @ipa is not its own. */
static bool may_be_empty(uint64_t ipa)
{
    return ipa >= shared_bit() || !num_delegated(block_of(ipa));
}

/* Give up tables of whole blocks in [@base, @top) that have no page. */
static void fold_empty(uint64_t base, uint64_t top)
{
    for (uint64_t ipa = ROUND_UP(base, BLOCK_SIZE); ipa + BLOCK_SIZE <= top;
         ipa += BLOCK_SIZE) {
        if (may_be_empty(ipa) && read_entry(ipa).level == 3) {
            fold_table(ipa);
        }
    }
}

/* Add the page at @pa to @freed, which goes back to the kernel once full. */
static void free_page(RealmRange *freed, uint64_t pa)
{
    if (pa != freed->top) {
        realm_physmem_discard(freed->base, freed->top);
        freed->base = pa;
    }
    freed->top = pa + REALM_PAGE_SIZE;
}

/*
 * Take back the granule of the page at @ipa, if it has one.  Returns the IPA
 * at which to go on; @ipa itself if the RMM gives nothing back from here on.
 */
static uint64_t reclaim_page(uint64_t ipa, RealmRange *freed)
{
    RmmPe pe = { .x = { RMI_DATA_DESTROY, realm_host.rd, ipa } };

    realm_call(&pe);
    if (pe.x[0] == RMI_SUCCESS) {
        undelegate(pe.x[1]);
        free_page(freed, pe.x[1]);
    } else if (RMI_STATUS(pe.x[0]) != RMI_ERROR_RTT) {
        return ipa;
    } else if (pe.x[2] == ipa) {        /* a live entry, and no page: a block */
        if (realm_mmu_create_table(ipa, RMI_INDEX(pe.x[0]) + 1)) {
            return ipa;
        }
        return reclaim_page(ipa, freed);
    }
    return pe.x[2];
}

/* Locked */
static void reclaim(uint64_t base, uint64_t top)
{
    RealmRange freed = { base, base };
    uint64_t ipa = base, next;

    while (ipa < top && (next = reclaim_page(ipa, &freed)) != ipa) {
        ipa = next;
    }
    realm_physmem_discard(freed.base, freed.top);
}

void realm_mmu_reclaim(uint64_t base, uint64_t top)
{
    QEMU_LOCK_GUARD(&realm_mmu_lock);
    reclaim(base, top);
    fold_empty(base, top);
}

/* Unmap what is lent at @ipa.  Returns the IPA at which to go on. */
static uint64_t unlend_entry(uint64_t ipa, uint64_t top)
{
    Entry entry = read_entry(ipa);
    uint64_t size = LEVEL_SIZE(entry.level);
    RmmPe pe;

    if (entry.assigned && (ipa % size || top - ipa < size)) {
        /* Only a part: the rest stays, as pages. */
        uint64_t result = realm_mmu_create_table(ipa, entry.level + 1);

        assert(result == RMI_SUCCESS);  /* else it would stay lent */
        return ipa;
    }
    ipa = ROUND_DOWN(ipa, size);
    pe = (RmmPe) { .x = { RMI_RTT_UNMAP_UNPROTECTED, realm_host.rd, ipa,
                          entry.level } };
    realm_call(&pe);
    /* Where the level has no blocks, the RMM refuses, and top is 0. */
    return MAX(pe.x[1], ipa + size);
}

/* Locked */
static void unlend(uint64_t base, uint64_t top)
{
    uint64_t end = shared_bit() + top;

    for (uint64_t ipa = shared_bit() + base; ipa < end; ) {
        ipa = unlend_entry(ipa, end);
    }
}

void realm_mmu_unlend(uint64_t base, uint64_t top)
{
    QEMU_LOCK_GUARD(&realm_mmu_lock);
    unlend(base, top);
    fold_empty(shared_bit() + base, shared_bit() + top);
}

/* ---- The Realm ends ---- */

/* At most 16 concatenated tables (RMM 1.0, A5.2.1). */
int realm_mmu_start_level(const RealmConfig *config)
{
    return config->ipa_bits <= 43 ? 1 : 0;
}

/* Locked.  All tables at @level, wherever they are: nothing in them is live. */
static void destroy_tables(unsigned level)
{
    const uint64_t size = LEVEL_SIZE(level - 1);

    for (uint64_t ipa = 0; ipa < 2 * shared_bit(); ) {
        RmmPe pe = { .x = { RMI_RTT_DESTROY, realm_host.rd, ipa, level } };

        realm_call(&pe);
        if (pe.x[0] == RMI_SUCCESS) {
            g_array_append_val(mmu.tables, pe.x[1]);
        }
        ipa = MAX(ROUND_DOWN(pe.x[2], size), ipa + size);
    }
}

void realm_mmu_dismantle(void)
{
    QEMU_LOCK_GUARD(&realm_mmu_lock);
    const RealmConfig *config = realm_host.config;
    uint64_t base = config->ram_base, top = base + config->ram_size;

    timer_del(mmu.timer);
    mmu.timer_armed = false;
    mmu.paged = false;
    bitmap_zero(mmu.due, mmu.num_blocks);
    reclaim(base, top);
    unlend(base, top);
    for (int level = 3; level > realm_mmu_start_level(config); level--) {
        destroy_tables(level);
    }
    bitmap_zero(mmu.folded, mmu.num_blocks);
}

/* Also pages that an import has prepared, and that never came. */
void realm_mmu_undelegate_all(void)
{
    QEMU_LOCK_GUARD(&realm_mmu_lock);
    const uint64_t pages = mmu.num_blocks * BLOCK_PAGES;
    uint64_t page = find_first_bit(mmu.delegated, pages);
    RealmRange freed = { 0, 0 };

    for (; page < pages; page = find_next_bit(mmu.delegated, pages, page + 1)) {
        uint64_t pa = block_base(0) + page * REALM_PAGE_SIZE;

        undelegate(pa);
        free_page(&freed, pa);
    }
    realm_physmem_discard(freed.base, freed.top);
    for (uint64_t at = 0; at < mmu.extra_used; at += REALM_PAGE_SIZE) {
        call_undelegate(REALM_EXTRA_BASE + at);
    }
    mmu.extra_used = 0;
    g_array_set_size(mmu.tables, 0);
}

/* For each half: a table for every 2 MiB of RAM, GiB and 512 GiB. */
static uint64_t most_tables(const RealmConfig *config)
{
    uint64_t size = config->ram_size;

    return 2 * (size / (2 * MiB) + size / GiB + size / (512 * GiB) + 3);
}

/*
 * Beside them the start tables (at most 16, aligned), and for every vCPU a
 * REC; rounded up generously, since memory that is not used is not there.
 */
uint64_t realm_mmu_extra_size(const RealmConfig *config)
{
    uint64_t granules = most_tables(config) + 128 +
                        32 * (uint64_t)config->num_cpus;

    return granules * REALM_PAGE_SIZE;
}

void realm_mmu_init(const RealmConfig *config)
{
    uint64_t top = config->ram_base + config->ram_size;

    mmu.num_blocks = DIV_ROUND_UP(top, BLOCK_SIZE) -
                     config->ram_base / BLOCK_SIZE;
    mmu.delegated = bitmap_new(mmu.num_blocks * BLOCK_PAGES);
    mmu.folded = bitmap_new(mmu.num_blocks);
    mmu.due = bitmap_new(mmu.num_blocks);
    mmu.tables = g_array_new(false, false, sizeof(uint64_t));
    mmu.timer = timer_new_ms(QEMU_CLOCK_VIRTUAL, fold_timer_expired, NULL);
    qemu_mutex_init(&realm_mmu_lock);
}
