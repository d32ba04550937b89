/*
 * A Realm backend that is strict about its callers
 *
 * A blob is a kind, a count, and for memory a page number and a version for
 * each of the pages, in 32-bit words.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/bitmap.h"
#include "fake-backend.h"

enum { KIND_BEGIN = 0x1000, KIND_MEMORY, KIND_EPOCH, KIND_STATE, KIND_START,
       KIND_ABORT };

FakeSource fake_source;
FakeDestination fake_destination;
const char *fake_failing;

static bool may(const char *function, Error **errp)
{
    if (fake_failing && g_str_equal(fake_failing, function)) {
        error_setg(errp, "told to fail in %s", function);
        return false;
    }
    return true;
}

static ssize_t blob(void *buf, uint32_t kind, uint32_t count)
{
    uint32_t *words = buf;

    words[0] = kind;
    words[1] = count;
    return 2 * sizeof(*words);
}

static unsigned count(const bool flags[FAKE_PAGES])
{
    unsigned n = 0;

    for (unsigned i = 0; i < FAKE_PAGES; i++) {
        n += flags[i];
    }
    return n;
}

void fake_reset(void)
{
    fake_failing = NULL;
    memset(&fake_source, 0, sizeof(fake_source));
    memset(&fake_destination, 0, sizeof(fake_destination));
    for (unsigned i = 0; i < FAKE_PAGES - 1; i++) {
        fake_write(i);
    }
}

void fake_write(unsigned page)
{
    assert(fake_source.phase < FAKE_PAUSED);
    fake_source.version[page]++;
    fake_source.dirty[page] = true;
}

static void limits(RealmMigrationLimits *l)
{
    l->max_blob = FAKE_MAX_BLOB;
    l->max_pages = FAKE_MAX_PAGES;
}

static bool accept_offer(const void *offer, size_t size, Error **errp)
{
    assert(fake_source.phase == FAKE_IDLE);
    fake_source.phase = FAKE_ACCEPTED;
    return true;
}

static bool accepted(void)
{
    return fake_source.phase == FAKE_ACCEPTED;
}

static ssize_t export_begin(void *buf, Error **errp)
{
    FakeSource *s = &fake_source;

    assert(s->phase == FAKE_ACCEPTED);
    s->phase = FAKE_IDLE;       /* an offer serves one session */
    if (!may("export_begin", errp)) {
        return -1;
    }
    for (unsigned i = 0; i < FAKE_PAGES; i++) {
        s->dirty[i] = s->version[i] != 0;
        s->due[i] = s->sent[i] = false;
    }
    s->in_epoch = s->parts = 0;
    s->phase = FAKE_OPEN;
    return blob(buf, KIND_BEGIN, 0);
}

/* A page that is due stays so; one that was sent needs a new epoch. */
static int64_t collect_dirty(unsigned long *bitmap, Error **errp)
{
    FakeSource *s = &fake_source;

    assert(s->phase == FAKE_OPEN || s->phase == FAKE_PAUSED);
    assert(s->in_epoch == 0);
    if (!may("collect_dirty", errp)) {
        return -1;
    }
    bitmap_zero(bitmap, ROUND_UP(FAKE_PAGES, 64));
    for (unsigned i = 0; i < FAKE_PAGES; i++) {
        s->due[i] |= s->dirty[i];
        s->dirty[i] = false;
        if (s->due[i]) {
            set_bit(i, bitmap);
        }
    }
    return count(s->due);
}

static ssize_t export_memory(const uint64_t *pages, unsigned n, void *buf,
                             unsigned *exported, Error **errp)
{
    FakeSource *s = &fake_source;
    uint32_t *words = buf;
    unsigned m = 0;

    assert(s->phase == FAKE_OPEN || s->phase == FAKE_PAUSED);
    assert(n >= 1 && n <= FAKE_MAX_PAGES);
    if (!may("export_memory", errp)) {
        return -1;
    }
    for (unsigned i = 0; i < n; i++) {
        uint64_t page = pages[i];

        assert(page < FAKE_PAGES && (!i || page > pages[i - 1]));
        assert(s->due[page] && !s->sent[page]);
        s->due[page] = false;
        if (s->version[page]) { /* else the guest gave it up meanwhile */
            s->sent[page] = true;
            words[2 + 2 * m] = page;
            words[3 + 2 * m++] = s->version[page];
        }
    }
    s->in_epoch += m;
    s->bundles += m > 0;
    *exported = m;
    return m ? blob(buf, KIND_MEMORY, m) + 8 * m : 0;
}

static ssize_t export_epoch(void *buf, Error **errp)
{
    FakeSource *s = &fake_source;

    assert(s->phase == FAKE_OPEN || s->phase == FAKE_PAUSED);
    assert(s->in_epoch);
    if (!may("export_epoch", errp)) {
        return -1;
    }
    memset(s->sent, 0, sizeof(s->sent));
    s->in_epoch = 0;
    return blob(buf, KIND_EPOCH, s->epochs++);
}

static bool pause_realm(Error **errp)
{
    assert(fake_source.phase == FAKE_OPEN);
    if (!may("pause", errp)) {
        return false;
    }
    fake_source.phase = FAKE_PAUSED;
    return true;
}

static ssize_t export_state(unsigned part, void *buf, Error **errp)
{
    FakeSource *s = &fake_source;

    assert(s->phase == FAKE_PAUSED && part == s->parts);
    assert(!count(s->dirty) && !count(s->due));
    if (!may("export_state", errp)) {
        return -1;
    }
    if (part == FAKE_STATE_PARTS) {
        return 0;
    }
    s->parts++;
    return blob(buf, KIND_STATE, part);
}

static ssize_t export_start(void *buf, Error **errp)
{
    FakeSource *s = &fake_source;

    assert(s->phase == FAKE_PAUSED && s->parts == FAKE_STATE_PARTS);
    if (!may("export_start", errp)) {
        return -1;
    }
    s->phase = FAKE_STARTED;
    return blob(buf, KIND_START, 0);
}

static bool export_abort(Error **errp)
{
    FakeSource *s = &fake_source;

    s->aborts++;
    if (s->phase == FAKE_STARTED) {
        error_setg(errp, "too late");
        return false;
    }
    assert(s->phase == FAKE_OPEN || s->phase == FAKE_PAUSED);
    s->phase = FAKE_IDLE;
    return true;
}

static bool export_resume(const void *token, size_t size, Error **errp)
{
    assert(fake_source.phase == FAKE_STARTED);
    assert(fake_destination.given_up);
    fake_source.phase = FAKE_IDLE;
    return true;
}

static ssize_t make_offer(void *buf, Error **errp)
{
    return blob(buf, KIND_BEGIN, 1);
}

/* A failed import is final: no other may follow. */
static bool dead(Error **errp)
{
    assert(!fake_destination.dead);
    fake_destination.dead = true;
    error_setg(errp, "no blob for this moment");
    return false;
}

static bool import(const void *buf, size_t size, Error **errp)
{
    FakeDestination *d = &fake_destination;
    const uint32_t *words = buf;

    if (size != 8 || (words[0] != KIND_BEGIN) != d->begun || d->started) {
        return dead(errp);
    }
    if (words[0] == KIND_BEGIN) {
        d->begun = true;
    } else if (words[0] == KIND_EPOCH) {
        memset(d->got, 0, sizeof(d->got));
    } else if (words[0] == KIND_STATE && words[1] == d->parts) {
        d->parts++;
    } else if (words[0] == KIND_START && d->parts == FAKE_STATE_PARTS) {
        d->started = true;
    } else {
        return dead(errp);
    }
    return true;
}

static bool import_memory(const void *buf, size_t size, unsigned *pages,
                          Error **errp)
{
    FakeDestination *d = &fake_destination;
    const uint32_t *words = buf;

    if (size < 8 || words[0] != KIND_MEMORY || !d->begun || d->parts ||
        size != 8 + 8 * (size_t)words[1]) {
        return dead(errp);
    }
    for (unsigned i = 0; i < words[1]; i++) {
        uint32_t page = words[2 + 2 * i], version = words[3 + 2 * i];

        assert(page < FAKE_PAGES && !d->got[page]);
        assert(version >= d->version[page]);
        d->got[page] = true;
        d->version[page] = version;
    }
    *pages = words[1];
    return true;
}

static bool commit(Error **errp)
{
    FakeDestination *d = &fake_destination;

    assert(d->started && !d->committed && !d->dead && !d->given_up);
    if (!may("commit", errp)) {
        return false;
    }
    d->committed = true;
    return true;
}

static ssize_t import_abort(void *buf, Error **errp)
{
    assert(!fake_destination.committed);
    fake_destination.given_up = true;
    return blob(buf, KIND_ABORT, 0);
}

const RealmBackendOps fake_backend = {
    .name = "fake",
    .migration_limits = limits,
    .accept = accept_offer,
    .accepted = accepted,
    .export_begin = export_begin,
    .collect_dirty = collect_dirty,
    .export_memory = export_memory,
    .export_epoch = export_epoch,
    .pause = pause_realm,
    .export_state = export_state,
    .export_start = export_start,
    .export_abort = export_abort,
    .export_resume = export_resume,
    .offer = make_offer,
    .import = import,
    .import_memory = import_memory,
    .commit = commit,
    .import_abort = import_abort,
};
