/*
 * Migration, the destination: pages arrive
 *
 * Purpose: MIG_IMPORT_MEMORY.  Streams run in parallel here.
 *
 * Invariants:
 * 1. The call uses nothing of a bundle before it has verified the seal, and
 *    changes no page before it has found the whole bundle in order.
 * 2. If the host has to put something right (a table or a granule is missing),
 *    the call changes nothing, not even the stream's counter: the same bundle
 *    may come again.
 * 3. A page whose contents are written belongs to the Realm: they are written
 *    under the Realm's lock, PAGES_PER_HOLD at a time, to where the tables say
 *    in that hold that the page is.  At any other time the host may take the
 *    page, and the granule may then be its own, or another Realm's.  A page
 *    that went before it was written is missing, as one that went afterwards.
 *
 * Lock rule: session.h; one stream, and the Realm's lock while pages are mapped
 * and written.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "granule.h"
#include "mig.h"
#include "mte-tags.h"
#include "rtt.h"

_Static_assert(RMM_TAG_BYTES == MTE_TAGS_BYTES, "tags of a granule");

/* About 5 microseconds of copying: what an exit of a vCPU may wait for */
#define PAGES_PER_HOLD 16

/* One page of the bundle: where it goes, and where its bytes are */
typedef struct Arrival {
    uint64_t ipa;
    uint64_t *entry;            /* once found, as long as the Realm is locked */
    uint64_t pa;                /* from the host, for a new page */
    const uint8_t *data;        /* NULL: zero */
    const uint8_t *tags;        /* with MTE */
    bool mapped;                /* by this call */
    RttRipas ripas;             /* before that */
} Arrival;

typedef struct Import {
    MigCall *c;
    uint32_t count;
    Arrival pages[MIG_MAX_PAGES];
    uint64_t granules[MIG_MAX_PAGES];
} Import;

/* Bytes of packed tags at @in, or 0 if they are none this Realm may send */
static size_t check_tags(const Import *im, const uint8_t *in, size_t len)
{
    uint8_t tags[RMM_TAG_BYTES], shortest[MTE_TAGS_MAX_PACKED];
    size_t used = mte_tags_unpack(in, len, tags);

    if (!session_is_compact(im->c->s)) {
        return used && in[0] == MTE_TAGS_RAW ? used : 0;
    }
    /* mte_tags_unpack takes the shortest form, and raw: is there another? */
    return used && (in[0] != MTE_TAGS_RAW ||
                    mte_tags_pack(tags, shortest) == used) ? used : 0;
}

/*
 * Is a page named twice?  Sources send pages in ascending order, mostly, so
 * that the loop inside is entered for few of them; for all of a bundle it takes
 * much less time than the seal.
 */
static bool has_repeats(const Import *im, uint32_t count)
{
    uint64_t highest = 0;

    for (uint32_t i = 0; i < count; i++) {
        uint64_t ipa = im->pages[i].ipa;

        for (uint32_t j = 0; i && ipa <= highest && j < i; j++) {
            if (im->pages[j].ipa == ipa) {
                return true;
            }
        }
        highest = MAX(highest, ipa);
    }
    return false;
}

/*
 * Find the data of the page with this @entry, and its IPA; returns how many
 * bytes of the @len at @at are data, or -1 if they are not well formed.
 */
static ssize_t parse_data(const Import *im, uint64_t entry, const uint8_t *at,
                          size_t len, Arrival *page)
{
    const bool omits = session_omits_zeros(im->c->s);
    const bool zero = omits && entry & MIG_ENTRY_ZERO;

    page->ipa = zero ? entry & ~MIG_ENTRY_ZERO : entry;
    page->data = zero ? NULL : at;
    if (!realm_range_is_protected(im->c->realm, page->ipa,
                                  page->ipa + RMM_GRANULE_SIZE)) {
        return -1;
    }
    if (zero) {
        return 0;
    }
    /* One form for each page: what is zero has no data */
    return len < RMM_GRANULE_SIZE || (omits && mig_page_is_zero(at))
           ? -1 : RMM_GRANULE_SIZE;
}

/* Find every page of the opened bundle; false if it is not well formed */
static bool parse_pages(Import *im, const MigHeader *h)
{
    const bool mte = realm_has_mte(im->c->realm);
    const uint8_t *at = bundle_body(im->c->stream, h->count);
    const uint8_t *end = at + bundle_body_size(h);
    const uint8_t *entries = im->c->stream->scratch + sizeof(*h);

    for (uint32_t i = 0; i < h->count; i++) {
        Arrival *page = &im->pages[i];
        ssize_t used;
        uint64_t entry;

        memcpy(&entry, entries + i * sizeof(entry), sizeof(entry));
        used = parse_data(im, entry, at, end - at, page);
        if (used < 0) {
            return false;
        }
        at += used;
        page->tags = at;
        if (mte) {
            used = check_tags(im, at, end - at);
            if (!used) {
                return false;
            }
            at += used;
        }
    }
    return at == end;
}

/*
 * Is there a place for the page, or the page already, from an earlier epoch or
 * from the host?  A granule is taken for a new page only: for a page that is
 * there the host gives 0, or the granule that the page has.  @walk is that of
 * the page before: most pages of a bundle are in one table.
 */
static uint64_t check_place(const Import *im, Arrival *page, RttWalk *walk)
{
    rtt_walk_on(im->c->realm, page->ipa, walk);
    if (walk->level < RTT_PAGE_LEVEL) {
        return RMI_RESULT(RMI_ERROR_RTT, walk->level);
    }
    if (rtt_has_arrived(walk)) {
        return mig_refuse(MIG_CAUSE_PAGE_REPEATED);
    }
    page->entry = walk->entry;
    if (walk->hipas == RTT_ASSIGNED) {
        if (page->pa != 0 && page->pa != walk->pa) {
            return RMI_ERROR_INPUT;
        }
        page->mapped = false;
        return RMI_SUCCESS;
    }
    page->mapped = true;
    page->ripas = walk->ripas;
    return page->pa % RMM_GRANULE_SIZE == 0 &&
           granule_state(im->c->rmm, page->pa) == GRANULE_DELEGATED ?
           RMI_SUCCESS : RMI_ERROR_INPUT;
}

/* New pages get their places, or none does; *@failed is where one did not. */
static uint64_t map_new_pages(Import *im, uint64_t *failed)
{
    uint64_t result = RMI_SUCCESS;
    uint32_t i;

    for (i = 0; i < im->count && result == RMI_SUCCESS; i++) {
        Arrival *page = &im->pages[i];

        if (page->mapped) {
            result = rtt_import_data(im->c->realm, page->entry, page->pa);
            page->mapped = result == RMI_SUCCESS;
            *failed = page->ipa;
        }
    }
    while (result != RMI_SUCCESS && i-- > 0) {
        if (im->pages[i].mapped) {
            rtt_import_drop(im->c->realm, im->pages[i].ipa,
                            im->pages[i].ripas);
        }
    }
    return result;
}

/*
 * All pages get their places, or none.  After the checks only a granule
 * that is listed twice, or that another call takes meanwhile, is in the way.
 */
static uint64_t map_pages(Import *im)
{
    RttWalk walk = { .entry = NULL };
    uint64_t result = RMI_SUCCESS;

    for (uint32_t i = 0; i < im->count && result == RMI_SUCCESS; i++) {
        im->c->out[1] = im->pages[i].ipa;
        result = check_place(im, &im->pages[i], &walk);
    }
    if (result == RMI_SUCCESS) {
        result = map_new_pages(im, &im->c->out[1]);
    }
    /* All of them have places: nothing fails from here on. */
    for (uint32_t i = 0; result == RMI_SUCCESS && i < im->count; i++) {
        if (!im->pages[i].mapped) {
            rtt_mark_arrived(im->c->realm, im->pages[i].entry);
        }
    }
    return result;
}

static void write_page(const Import *im, const Arrival *page, uint64_t pa)
{
    Rmm *rmm = im->c->rmm;

    if (page->data) {
        memcpy(granule_map(rmm, pa), page->data, RMM_GRANULE_SIZE);
    } else {
        /* Takes no memory where nothing was */
        granule_wipe(rmm, pa);
    }
    if (realm_has_mte(im->c->realm)) {
        mte_tags_unpack(page->tags, MTE_TAGS_MAX_PACKED,
                        granule_map_tags(rmm, pa));
    }
}

/*
 * If the host takes a table or a REC meanwhile, some are written and the import
 * fails.
 */
static uint64_t write_pages(const Import *im)
{
    for (uint32_t i = 0; i < im->count;) {
        RttWalk walk = { .entry = NULL };
        uint32_t stop = MIN(i + PAGES_PER_HOLD, im->count);
        uint64_t result = mig_lock_realm(im->c, REALM_IMPORT);

        if (result != RMI_SUCCESS) {
            return result;
        }
        for (; i < stop; i++) {
            rtt_walk_on(im->c->realm, im->pages[i].ipa, &walk);
            if (rtt_has_arrived(&walk)) {
                write_page(im, &im->pages[i], walk.pa);
            }
        }
        mig_unlock_realm(im->c);
    }
    return RMI_SUCCESS;
}

/* The authentic bundle takes effect, or nothing does */
static uint64_t import_pages(Import *im, const MigHeader *h)
{
    MigCall *c = im->c;
    MigCause cause = mig_check_place(c, h, MIG_TYPE_BIT(MEMORY));
    uint64_t result;

    if (cause) {
        return mig_refuse(cause);
    }
    if (!parse_pages(im, h)) {
        return mig_refuse(MIG_CAUSE_FORMAT);
    }
    if (has_repeats(im, h->count)) {
        return mig_refuse(MIG_CAUSE_PAGE_REPEATED);
    }
    if (im->count != h->count) {
        return RMI_ERROR_INPUT;
    }
    result = mig_lock_realm(c, REALM_IMPORT);
    if (result != RMI_SUCCESS) {
        return result;
    }
    result = map_pages(im);
    mig_unlock_realm(c);
    if (result == RMI_SUCCESS) {
        c->out[1] = 0;
        result = write_pages(im);
    }
    if (result == RMI_SUCCESS) {
        bundle_done(c->stream);
    }
    return result;
}

/* Copy the arguments: the bundle to scratch, the list of granules to @im */
static uint64_t read_input(Import *im)
{
    MigCall *c = im->c;

    if (c->in[3] < bundle_size(0, 0) || c->in[3] > MIG_MAX_BUNDLE) {
        return mig_refuse(MIG_CAUSE_FORMAT);
    }
    if (c->in[5] == 0 || c->in[5] > MIG_MAX_PAGES ||
        !rmm_read_ns(c->rmm, im->granules, c->in[4],
                     c->in[5] * sizeof(uint64_t))) {
        return RMI_ERROR_INPUT;
    }
    im->count = c->in[5];
    if (!stream_open(c->stream, c->s->key, c->in[3])) {
        return mig_refuse(MIG_CAUSE_CIPHER);
    }
    if (!rmm_read_ns(c->rmm, c->stream->scratch, c->in[2], c->in[3])) {
        return RMI_ERROR_INPUT;
    }
    for (uint32_t i = 0; i < im->count; i++) {
        im->pages[i].pa = im->granules[i];
    }
    return RMI_SUCCESS;
}

uint64_t mig_import_memory(MigCall *c)
{
    Import im;
    MigHeader h;
    MigCause cause;
    uint64_t result;

    im.c = c;
    result = read_input(&im);
    if (result != RMI_SUCCESS) {
        return result;
    }
    if (!bundle_open(c->stream, c->in[3], &h, &cause)) {
        return mig_refuse(cause);
    }
    return import_pages(&im, &h);
}
