/*
 * A Realm backend that is strict about its callers
 *
 * A blob is a kind and a count, and for memory a stream, the number of the
 * bundle in it, and a page number and a version for each of the pages, in
 * 32-bit words.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/bitmap.h"
#include "qemu/bswap.h"
#include "qemu/lockable.h"
#include "qemu/thread.h"
#include "fake-backend.h"
#include "fake-migration.h"

enum { KIND_OFFER = 0x1000, KIND_BEGIN, KIND_MEMORY, KIND_EPOCH, KIND_STATE,
       KIND_START, KIND_ABORT, KIND_READY, KIND_RECEIPT };

/* Words of a memory blob before its pages. */
#define MEMORY_WORDS 4

FakeSource fake_source;
FakeDestination fake_destination;
unsigned fake_export_us;
size_t fake_page_size;

/* Of what the functions for memory use, which any thread may call. */
static QemuMutex lock;
static QemuCond released;
static bool held;

static void __attribute__((constructor)) init_lock(void)
{
    qemu_mutex_init(&lock);
    qemu_cond_init(&released);
}

void fake_hold_exports(bool hold)
{
    QEMU_LOCK_GUARD(&lock);
    held = hold;
    qemu_cond_broadcast(&released);
}

static struct {
    const char *function;       /* NULL: none */
    unsigned at;
    bool too_late;
} failing;

const char *const fake_functions[] = {
    "prepare_migration", "accept", "export_begin", "collect_dirty",
    "export_memory", "export_epoch", "pause", "export_state", "export_start",
    "export_abort", "export_resume", "export_finish", "offer", "import",
    "import_memory", "import_ready", "commit", "import_receipt",
    "import_abort", NULL
};

static unsigned calls[ARRAY_SIZE(fake_functions)];

static unsigned index_of(const char *function)
{
    for (unsigned i = 0; fake_functions[i]; i++) {
        if (g_str_equal(fake_functions[i], function)) {
            return i;
        }
    }
    g_assert_not_reached();
}

static unsigned calls_of(const char *function)
{
    return calls[index_of(function)];
}

void fake_fail(const char *function, unsigned at, bool too_late)
{
    failing.function = function;
    failing.at = at;
    failing.too_late = too_late;
    memset(calls, 0, sizeof(calls));
}

unsigned fake_calls(const char *function)
{
    QEMU_LOCK_GUARD(&lock);
    return calls_of(function);
}

static bool fails(const char *function, bool too_late, Error **errp)
{
    if (!failing.function || !g_str_equal(failing.function, function) ||
        failing.too_late != too_late ||
        (failing.at && failing.at != calls_of(function))) {
        return false;
    }
    error_setg(errp, "told to fail in %s", function);
    return true;
}

/* At the begin of each function, and where all of it is done. */
static bool may(const char *function, Error **errp)
{
    calls[index_of(function)]++;
    return !fails(function, false, errp);
}

static bool done(const char *function, Error **errp)
{
    return !fails(function, true, errp);
}

static ssize_t emitted(const char *function, ssize_t size, Error **errp)
{
    return done(function, errp) ? size : -1;
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
    fake_fail(NULL, 0, false);
    fake_export_us = 0;
    fake_page_size = REALM_PAGE_SIZE;
    fake_hold_exports(false);
    fake_source = (FakeSource) { .phase = REALM_PHASE_HERE };
    fake_destination_new(true);
    for (unsigned i = 0; i < FAKE_PAGES - 1; i++) {
        fake_write(i);
    }
}

void fake_destination_new(bool offered)
{
    fake_destination = (FakeDestination) {
        .phase = offered ? REALM_PHASE_OFFERED : REALM_PHASE_WAITING,
        .nonce = offered ? fake_source.nonce : 0,
    };
}

void fake_agree(void)
{
    uint8_t nonce[REALM_NONCE_SIZE];
    uint32_t offer[2];

    fake_source.phase = REALM_PHASE_HERE;
    fake_destination_new(false);
    assert(fake_backend.prepare_migration(nonce, &error_abort));
    assert(fake_backend.offer(nonce, offer, &error_abort) == sizeof(offer));
    assert(fake_backend.accept(offer, sizeof(offer), &error_abort));
}

void fake_answer(void)
{
    struct QEMU_PACKED {
        uint8_t header[4];
        uint32_t record[2];
    } message = { { 'R', 'E', 0, sizeof(message.record) },
                  { KIND_READY, fake_source.nonce } };

    fake_migration.meanwhile = NULL;
    assert(fake_migration_message(&message, sizeof(message)));
}

static RealmPhase phase(void)
{
    return fake_migration.loading ? fake_destination.phase
                                  : fake_source.phase;
}

static unsigned count_busy(void)
{
    unsigned n = 0;

    for (unsigned i = 0; i < FAKE_MAX_STREAMS; i++) {
        n += fake_source.busy[i];
    }
    return n;
}

/* Nothing is being exported. */
static bool is_idle(void)
{
    QEMU_LOCK_GUARD(&lock);
    return !count_busy();
}

static bool has_session(void)
{
    return fake_source.phase == REALM_PHASE_EXPORTING ||
           fake_source.phase == REALM_PHASE_PAUSED;
}

void fake_write(unsigned page)
{
    assert(fake_source.phase <= REALM_PHASE_EXPORTING);
    fake_source.version[page]++;
    fake_source.dirty[page] = true;
}

static void limits(RealmMigrationLimits *l)
{
    l->max_blob = FAKE_MAX_BLOB;
    l->max_pages = FAKE_MAX_PAGES;
    l->max_streams = FAKE_MAX_STREAMS;
    l->page_size = fake_page_size;
}

/* Of a record, or of an offer, and the nonce that it is for. */
static bool is_for(const void *buf, size_t size, uint32_t kind, uint32_t nonce)
{
    const uint32_t *words = buf;

    return size == 8 && words[0] == kind && words[1] == nonce;
}

/* This and the next: asked by users, who may be wrong. */
static bool prepare_migration(uint8_t nonce[REALM_NONCE_SIZE], Error **errp)
{
    FakeSource *s = &fake_source;

    if (!realm_phase_check(s->phase, REALM_STEP_PREPARE, errp) ||
        !may("prepare_migration", errp)) {
        return false;
    }
    memset(nonce, 0, REALM_NONCE_SIZE);
    stl_he_p(nonce, ++s->nonce);
    return done("prepare_migration", errp);
}

static bool accept_offer(const void *offer, size_t size, Error **errp)
{
    FakeSource *s = &fake_source;

    if (!realm_phase_check(s->phase, REALM_STEP_ACCEPT, errp) ||
        !may("accept", errp)) {
        return false;
    }
    if (!is_for(offer, size, KIND_OFFER, s->nonce)) {
        error_setg(errp, "the offer is not for the nonce");
        return false;
    }
    s->phase = REALM_PHASE_ACCEPTED;
    return done("accept", errp);
}

static ssize_t export_begin(void *buf, Error **errp)
{
    FakeSource *s = &fake_source;

    assert(s->phase == REALM_PHASE_ACCEPTED);
    if (!may("export_begin", errp)) {
        return -1;
    }
    for (unsigned i = 0; i < FAKE_PAGES; i++) {
        s->dirty[i] = s->version[i] != 0;
        s->due[i] = s->sent[i] = false;
    }
    s->in_epoch = s->parts = 0;
    memset(s->next, 0, sizeof(s->next));
    s->phase = REALM_PHASE_EXPORTING;
    return emitted("export_begin", blob(buf, KIND_BEGIN, 0), errp);
}

/* A page that is due stays so; one that was sent needs a new epoch. */
static int64_t collect_dirty(unsigned long *bitmap, Error **errp)
{
    FakeSource *s = &fake_source;

    assert(has_session() && is_idle());
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

/* What the export of the pages adds to the blob. */
static unsigned put_pages(const uint64_t *pages, unsigned n, uint32_t *words)
{
    FakeSource *s = &fake_source;
    unsigned m = 0;

    for (unsigned i = 0; i < n; i++) {
        uint64_t page = pages[i];

        assert(page < FAKE_PAGES && (!i || page > pages[i - 1]));
        assert(s->due[page] && !s->sent[page]);
        s->due[page] = false;
        if (s->version[page]) { /* else the guest gave it up meanwhile */
            s->sent[page] = true;
            words[2 * m] = page;
            words[2 * m++ + 1] = s->version[page];
        }
    }
    return m;
}

/* Unlocked meanwhile, as an export that takes its time. */
static void take_time(unsigned stream)
{
    fake_source.busy[stream] = true;
    while (held) {
        qemu_cond_wait(&released, &lock);
    }
    qemu_mutex_unlock(&lock);
    if (fake_export_us) {
        g_usleep(g_random_int_range(0, 2 * fake_export_us));
    }
    qemu_mutex_lock(&lock);
    fake_source.busy[stream] = false;
}

static ssize_t export_memory(unsigned stream, const uint64_t *pages,
                             unsigned n, void *buf, unsigned *exported,
                             Error **errp)
{
    FakeSource *s = &fake_source;
    uint32_t *words = buf;
    bool ok;

    QEMU_LOCK_GUARD(&lock);
    assert(has_session());
    assert(n >= 1 && n <= FAKE_MAX_PAGES);
    assert(stream < FAKE_MAX_STREAMS && !s->busy[stream]);
    ok = may("export_memory", errp);
    take_time(stream);
    assert(has_session());
    if (!ok) {
        return -1;
    }
    *exported = put_pages(pages, n, words + MEMORY_WORDS);
    if (!*exported) {
        return 0;
    }
    s->in_epoch++;
    s->bundles++;
    words[2] = stream;
    words[3] = s->next[stream]++;
    blob(buf, KIND_MEMORY, *exported);
    return MEMORY_WORDS * 4 + *exported * 8;
}

static ssize_t export_epoch(void *buf, Error **errp)
{
    FakeSource *s = &fake_source;

    unsigned bundles = s->in_epoch;

    assert(has_session() && is_idle());
    assert(s->in_epoch);
    if (!may("export_epoch", errp)) {
        return -1;
    }
    memset(s->sent, 0, sizeof(s->sent));
    s->in_epoch = 0;
    s->epochs++;
    return blob(buf, KIND_EPOCH, bundles);
}

static bool pause_realm(Error **errp)
{
    assert(fake_source.phase == REALM_PHASE_EXPORTING);
    if (!may("pause", errp)) {
        return false;
    }
    fake_source.phase = REALM_PHASE_PAUSED;
    return done("pause", errp);
}

static ssize_t export_state(unsigned part, void *buf, Error **errp)
{
    FakeSource *s = &fake_source;

    assert(s->phase == REALM_PHASE_PAUSED && part == s->parts && is_idle());
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

/* What the destination said is wrong if the network wants it so. */
static ssize_t export_start(const void *ready, size_t size, void *buf,
                            Error **errp)
{
    FakeSource *s = &fake_source;

    assert(s->phase == REALM_PHASE_PAUSED && s->parts == FAKE_STATE_PARTS);
    if (!may("export_start", errp)) {
        return -1;
    }
    if (!is_for(ready, size, KIND_READY, s->nonce)) {
        error_setg(errp, "the destination is not ready");
        return -1;
    }
    s->phase = REALM_PHASE_SEALED;
    return emitted("export_start", blob(buf, KIND_START, 0), errp);
}

static bool export_abort(Error **errp)
{
    FakeSource *s = &fake_source;

    assert((has_session() && is_idle()) || s->phase == REALM_PHASE_ACCEPTED);
    s->aborts++;
    if (!may("export_abort", errp)) {
        return false;
    }
    s->phase = REALM_PHASE_HERE;
    return done("export_abort", errp);
}

static bool export_resume(const void *token, size_t size, Error **errp)
{
    assert(fake_source.phase == REALM_PHASE_SEALED);
    assert(fake_destination.given_up);
    if (!may("export_resume", errp)) {
        return false;
    }
    fake_source.phase = REALM_PHASE_HERE;
    return done("export_resume", errp);
}

static bool export_finish(const void *receipt, size_t size, Error **errp)
{
    FakeSource *s = &fake_source;

    assert(s->phase == REALM_PHASE_SEALED);
    if (!may("export_finish", errp)) {
        return false;
    }
    if (!is_for(receipt, size, KIND_RECEIPT, s->nonce)) {
        error_setg(errp, "this is no receipt");
        return false;
    }
    s->phase = REALM_PHASE_GONE;
    return done("export_finish", errp);
}

static ssize_t make_offer(const uint8_t nonce[REALM_NONCE_SIZE], void *buf,
                          Error **errp)
{
    FakeDestination *d = &fake_destination;

    assert(d->phase == REALM_PHASE_WAITING);
    if (!may("offer", errp)) {
        return -1;
    }
    d->nonce = ldl_he_p(nonce);
    d->phase = REALM_PHASE_OFFERED;
    return emitted("offer", blob(buf, KIND_OFFER, d->nonce), errp);
}

/* A failed import is final: no other may follow. */
static bool dead(Error **errp)
{
    assert(!fake_destination.dead);
    fake_destination.dead = true;
    fake_destination.phase = REALM_PHASE_FAILED;
    if (!*errp) {
        error_setg(errp, "no blob for this moment");
    }
    return false;
}

static bool import(const void *buf, size_t size, Error **errp)
{
    ERRP_GUARD();
    FakeDestination *d = &fake_destination;
    const uint32_t *words = buf;

    if (!may("import", errp)) {
        return dead(errp);
    }
    if (size != 8 || (words[0] != KIND_BEGIN) != d->begun || d->started) {
        return dead(errp);
    }
    if (words[0] == KIND_BEGIN) {
        d->begun = true;
    } else if (words[0] == KIND_EPOCH && words[1] == d->in_epoch) {
        memset(d->got, 0, sizeof(d->got));
        d->in_epoch = 0;
    } else if (words[0] == KIND_STATE && words[1] == d->parts) {
        d->parts++;
    } else if (words[0] == KIND_START && d->parts == FAKE_STATE_PARTS) {
        d->started = true;
    } else {
        return dead(errp);
    }
    d->phase = REALM_PHASE_IMPORTING;
    return done("import", errp) || dead(errp);
}

/* Called by several threads; others may not know yet that one failed. */
static int import_memory(const void *buf, size_t size, Error **errp)
{
    ERRP_GUARD();
    FakeDestination *d = &fake_destination;
    const uint32_t *words = buf, *entries = words + MEMORY_WORDS;

    QEMU_LOCK_GUARD(&lock);
    if (d->dead) {
        error_setg(errp, "another import has failed");
        return -ECANCELED;
    }
    if (!may("import_memory", errp)) {
        dead(errp);
        return -EIO;
    }
    if (size < MEMORY_WORDS * 4 || words[0] != KIND_MEMORY || !d->begun ||
        d->parts || size != MEMORY_WORDS * 4 + 8 * (size_t)words[1] ||
        words[2] >= FAKE_MAX_STREAMS || words[3] != d->next[words[2]]) {
        dead(errp);
        return -EIO;
    }
    d->next[words[2]]++;
    d->in_epoch++;
    for (unsigned i = 0; i < words[1]; i++) {
        uint32_t page = entries[2 * i], version = entries[2 * i + 1];

        assert(page < FAKE_PAGES && !d->got[page]);
        assert(version >= d->version[page]);
        d->got[page] = true;
        d->version[page] = version;
    }
    if (!done("import_memory", errp)) {
        dead(errp);
        return -EIO;
    }
    return words[1];
}

static ssize_t import_ready(void *buf, Error **errp)
{
    FakeDestination *d = &fake_destination;

    if (!may("import_ready", errp)) {
        return -1;
    }
    if (d->phase != REALM_PHASE_IMPORTING || d->parts != FAKE_STATE_PARTS ||
        d->started) {
        error_setg(errp, "not all has come");
        return -1;
    }
    return emitted("import_ready", blob(buf, KIND_READY, d->nonce), errp);
}

static bool commit(Error **errp)
{
    FakeDestination *d = &fake_destination;

    assert(d->started && !d->committed && !d->dead && !d->given_up);
    if (!may("commit", errp)) {
        return false;
    }
    d->committed = true;
    d->phase = REALM_PHASE_HERE;
    return done("commit", errp);
}

static ssize_t import_receipt(void *buf, Error **errp)
{
    FakeDestination *d = &fake_destination;

    assert(d->committed);
    if (!may("import_receipt", errp)) {
        return -1;
    }
    return emitted("import_receipt", blob(buf, KIND_RECEIPT, d->nonce), errp);
}

static ssize_t import_abort(void *buf, Error **errp)
{
    assert(!fake_destination.committed);
    if (!may("import_abort", errp)) {
        return -1;
    }
    fake_destination.given_up = true;
    fake_destination.phase = REALM_PHASE_FAILED;
    return emitted("import_abort", blob(buf, KIND_ABORT, 0), errp);
}

const RealmBackendOps fake_backend = {
    .name = "fake",
    .phase = phase,
    .migration_limits = limits,
    .prepare_migration = prepare_migration,
    .accept = accept_offer,
    .export_begin = export_begin,
    .collect_dirty = collect_dirty,
    .export_memory = export_memory,
    .export_epoch = export_epoch,
    .pause = pause_realm,
    .export_state = export_state,
    .export_start = export_start,
    .export_abort = export_abort,
    .export_resume = export_resume,
    .export_finish = export_finish,
    .offer = make_offer,
    .import = import,
    .import_memory = import_memory,
    .import_ready = import_ready,
    .commit = commit,
    .import_receipt = import_receipt,
    .import_abort = import_abort,
};
