/*
 * libFuzzer target: the records that a destination imports
 *
 * Purpose: a destination makes the offer of a golden stream again, so that this
 * stream is genuine for it.  An input says what the destination gets instead:
 *
 *   byte 0           which stream (bits 0 and 2), and who is hostile: the hosts
 *                    (bit 1 clear) or the source's RMM as well, which has
 *                    the keys of platform and session (bit 1 set); READY and
 *                    COMMIT go in pieces (bit 3)
 *   then steps       kind and manner of the host, and what it needs (do_step)
 *
 * Without the keys, records are bytes, or genuine records with edits.  With
 * the keys the fuzzer can seal every plaintext, genuine ones with edits and
 * what the input has, and can sign every token in a session header.
 *
 * Whatever comes:
 * - each result is one that the document has, and a refusal that is not
 *   final has changed nothing that the session counts;
 * - without the keys nothing is accepted but genuine records, each once;
 * - a page comes without data if it is zero and the session omits that, and
 *   else with data;
 * - the Realm becomes ACTIVE only by a COMMIT behind an accepted start
 *   token, all RECs and the whole map, and then it has the map and the pages
 *   that were accepted last;
 * - a ready record is given only for all RECs, the whole map and its pages;
 * - after a final failure its secrets are gone, and nothing is accepted;
 * - the abort token is there in FAILED only.
 *
 * With clang this is linked with libFuzzer (`make fuzz`); otherwise
 * fuzz-main.c runs it over files.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#define _GNU_SOURCE              /* memmem */
#include "cose.h"
#include "fuzz-input.h"
#include "granule.h"
#include "mig.h"
#include "mig-golden.h"
#include "mig-steps.h"
#include "mte-tags.h"
#include "rmm-internal.h"
#include "rtt.h"
#include "session.h"
#include "test-keys.h"

#define GRANULES  128
#define MAX_STEPS 64
#define MAX_EDITS 16

/* A golden stream, taken apart */
typedef struct Genuine {
    Golden golden;
    Record *random;             /* X25519 secret, nonce, abort secret */
    MigOffer offer;
    uint8_t key[CRYPTO_KEY_SIZE];
    GPtrArray *sealed;          /* records, as they came */
    GPtrArray *plain;           /* their bundles, without seals */
} Genuine;

typedef struct Page {
    uint8_t data[RMM_GRANULE_SIZE];
    uint8_t tags[RMM_TAG_BYTES];
} Page;

typedef struct Fuzz {
    FuzzInput in;
    const Genuine *g;
    Machine *m;
    bool keys;
    unsigned host;              /* manner of the host in this step */
    MigHelloRecord hello;       /* that the session began with */
    MigKeys made;               /* of the session, with the keys */
    guint next;                 /* genuine record */
    uint64_t accepted;          /* genuine records, by number */
    /* What was accepted */
    unsigned num_recs;
    bool started, committed;
    GArray *runs;
    GHashTable *pages;          /* IPA -> Page */
} Fuzz;

static uint64_t number(Fuzz *f, unsigned bytes)
{
    return fuzz_number(&f->in, bytes);
}

static Record *copy_record(const Record *r)
{
    return g_byte_array_append(g_byte_array_new(), r->data, r->len);
}

/* ---- the genuine streams ---- */

static MigHeader header_of(const Record *plain)
{
    MigHeader h;

    memcpy(&h, plain->data, sizeof(h));
    return h;
}

static void make_iv(uint8_t iv[CRYPTO_IV_SIZE], const MigHeader *h,
                    uint16_t stream)
{
    memset(iv, 0, CRYPTO_IV_SIZE);
    memcpy(iv, &h->iv, sizeof(h->iv));
    memcpy(iv + sizeof(h->iv), &stream, sizeof(stream));
}

static Record *opened(const Genuine *g, const uint8_t *bundle, size_t size)
{
    Record *r = g_byte_array_append(g_byte_array_new(), bundle, size);
    CryptoAead *aead = crypto_aead_new(g->key);
    MigHeader h = header_of(r);
    size_t aad = sizeof(h) + h.count * sizeof(uint64_t);
    uint8_t iv[CRYPTO_IV_SIZE];

    make_iv(iv, &h, h.stream);
    g_assert_true(crypto_open(aead, iv, r->data, aad, r->data + aad,
                              size - aad - MIG_SEAL_SIZE));
    crypto_aead_free(aead);
    return g_byte_array_set_size(r, size - MIG_SEAL_SIZE);
}

/* What the first record begins with; golden_source() has no certificates */
static MigHelloRecord hello_of(const Genuine *g)
{
    const Record *begin = g->sealed->pdata[0];
    MigHelloRecord record = { 0 };

    memcpy(&record.hello, begin->data, sizeof(record.hello));
    memcpy(record.tail, begin->data + sizeof(record.hello),
           record.hello.token_size);
    return record;
}

static void genuine_init(Genuine *g, const Golden *golden)
{
    Machine *m;

    g->golden = *golden;
    g->golden.params.granules = GRANULES;
    g->random = golden_load(golden, "random.bin");
    g->sealed = golden_load_all(golden);
    g->plain = g_ptr_array_new();
    m = golden_destination(&g->golden);
    g_byte_array_unref(golden_offer_again(golden, m));
    OK(machine_receive(m, g->sealed->pdata[0]));
    g->offer = machine_session(m)->offer;
    memcpy(g->key, machine_session(m)->key, sizeof(g->key));
    machine_free(m);
    for (guint i = 0; i < g->sealed->len; i++) {
        const Record *r = g->sealed->pdata[i];
        size_t skip = i ? 0 : hello_of(g).hello.size;

        g_ptr_array_add(g->plain, opened(g, r->data + skip, r->len - skip));
    }
}

static const Genuine *genuine(unsigned which)
{
    static Genuine all[GOLDEN_STREAMS];
    Genuine *g = &all[which % GOLDEN_STREAMS];

    if (!g->sealed) {
        genuine_init(g, &golden_streams[which % GOLDEN_STREAMS]);
    }
    return g;
}

/* ---- edits ---- */

/* A number that limits, addresses or flags might have, or any other */
static uint64_t value(Fuzz *f)
{
    uint8_t b = number(f, 1);

    switch (b) {
    case 0 ... 127:
        return b;
    case 128 ... 191:
        return 1ull << (b - 128);
    case 192 ... 223:
        return (uint64_t)(b - 192) << 12;
    case 224 ... 239:
        return -(uint64_t)(b - 223);
    case 240 ... 247:
        return number(f, 2);
    default:
        return number(f, 8);
    }
}

static void set_field(Record *r, size_t at, uint64_t value, size_t size)
{
    memcpy(r->data + at, &value, MIN(size, r->len - at));
}

static void insert(Fuzz *f, Record *r, size_t at)
{
    const uint8_t *bytes;
    size_t size = fuzz_bytes(&f->in, &bytes, number(f, 2) % 8192);
    size_t tail = r->len - at;

    g_byte_array_set_size(r, r->len + size);
    memmove(r->data + at + size, r->data + at, tail);
    if (size) {
        memcpy(r->data + at, bytes, size);
    }
}

static void edit_once(Fuzz *f, Record *r)
{
    uint8_t kind = number(f, 1);
    size_t at = number(f, 2) % (r->len + 1), size;

    switch (kind % 8) {
    case 0:
        set_field(r, at,
                  1u << kind / 8 % 8 ^ (at < r->len ? r->data[at] : 0), 1);
        break;
    case 1:
        set_field(r, at, value(f), 1);
        break;
    case 2:
        set_field(r, at, value(f), 4);
        break;
    case 3:
        set_field(r, at & ~7ull, value(f), 8);
        break;
    case 4:
        insert(f, r, at);
        break;
    case 5:
        size = number(f, 2);
        size = MIN(size, r->len - at);
        g_byte_array_remove_range(r, at, size);
        break;
    case 6:
        g_byte_array_set_size(r, at);
        break;
    case 7:
        size = number(f, 2) % 8192;
        g_byte_array_set_size(r, r->len + size);
        memset(r->data + r->len - size, value(f), size);
        break;
    }
}

static void edit(Fuzz *f, Record *r)
{
    for (unsigned n = number(f, 1) % MAX_EDITS; n && f->in.left; n--) {
        edit_once(f, r);
    }
}

/* ---- with the keys ---- */

/* The header as the destination awaits it */
static void set_right(Fuzz *f, Record *plain)
{
    const MigSession *s = machine_session(f->m);
    MigHeader h;

    if (plain->len < sizeof(h)) {
        return;
    }
    h = header_of(plain);
    h.magic = MIG_MAGIC;
    h.version = f->hello.hello.version;
    h.stream %= MIG_MAX_STREAMS;
    h.counter = s->streams[h.stream].counter + 1;
    h.iv = h.counter;
    h.epoch = s->epoch;
    h.total = h.type == MIG_TYPE_EPOCH || h.type == MIG_TYPE_START
              ? session_total(s) + 1 : 0;
    memcpy(plain->data, &h, sizeof(h));
}

/* Seals @r where it is; its size is right, unless it is to be @wrong */
static void seal_record(Fuzz *f, Record *r, bool wrong)
{
    size_t len = MAX(r->len, sizeof(MigHeader)), old = r->len, aad;
    CryptoAead *aead = crypto_aead_new(f->made.forward);
    uint8_t iv[CRYPTO_IV_SIZE];
    MigHeader h;

    g_byte_array_set_size(r, len + MIG_SEAL_SIZE);
    memset(r->data + old, 0, r->len - old);
    h = header_of(r);
    if (!wrong) {
        h.size = r->len;
        memcpy(r->data, &h, sizeof(h));
    }
    aad = MIN(len, sizeof(h) + (size_t)h.count * sizeof(uint64_t));
    make_iv(iv, &h, h.stream);
    g_assert_true(crypto_seal(aead, iv, r->data, aad, r->data + aad,
                              len - aad));
    crypto_aead_free(aead);
}

/* In what the next functions make, what the input changes */
enum {
    EDIT_HELLO = 1, EDIT_CLAIMS = 2, EDIT_BUNDLE = 4, EDIT_RECORD = 8,
    OLD_CHALLENGE = 16, OLD_SIZES = 32,
};

/* The claims of the genuine token, about the hello as it is now */
static Record *make_claims(Fuzz *f, uint8_t parts)
{
    MigHelloRecord genuine = hello_of(f->g);
    uint8_t old[CRYPTO_HASH_SIZE], new[CRYPTO_HASH_SIZE];
    CoseSign1 token;
    Record *claims;
    uint8_t *at;

    g_assert_true(cose_split(&token, genuine.tail, genuine.hello.token_size));
    claims = g_byte_array_append(g_byte_array_new(), token.payload,
                                 token.payload_size);
    session_challenge(old, &genuine.hello, &f->g->offer);
    session_challenge(new, &f->hello.hello, &f->g->offer);
    at = memmem(claims->data, claims->len, old, sizeof(old));
    g_assert_nonnull(at);
    if (!(parts & OLD_CHALLENGE)) {
        memcpy(at, new, sizeof(new));
    }
    if (parts & EDIT_CLAIMS) {
        edit(f, claims);
    }
    return claims;
}

/* A session header that the input wants, with a valid signature */
static Record *make_hello(Fuzz *f, uint8_t parts)
{
    MigHello *hello = &f->hello.hello;
    CoseKey *key = f->g->golden.anchors
                   ? cose_key_new(rak_der, sizeof(rak_der))
                   : cose_key_new(platform_der, sizeof(platform_der));
    Record *record = g_byte_array_append(g_byte_array_new(),
                                         (uint8_t *)hello, sizeof(*hello));
    GBytes *token;
    gsize size;

    if (parts & EDIT_HELLO) {
        edit(f, record);
        memcpy(hello, record->data, MIN(record->len, sizeof(*hello)));
    }
    token = cose_sign1(key,
                       g_byte_array_free_to_bytes(make_claims(f, parts)));
    g_assert_nonnull(token);
    size = g_bytes_get_size(token);
    g_byte_array_set_size(record, 0);
    if (!(parts & OLD_SIZES)) {
        hello->token_size = size;
        hello->certs_size = 0;
        hello->size = sizeof(*hello) + size;
    }
    g_byte_array_append(record, (uint8_t *)hello, sizeof(*hello));
    g_byte_array_append(record, g_bytes_get_data(token, NULL), size);
    /* What the keys are made from, as far as there is room */
    memcpy(f->hello.tail, g_bytes_get_data(token, NULL),
           MIN(size, sizeof(f->hello.tail)));
    g_bytes_unref(token);
    cose_key_free(key);
    return record;
}

/* Keys of the hello as it is now, if it has a token at all */
static void make_keys(Fuzz *f)
{
    CoseSign1 parts;

    if (f->hello.hello.token_size <= sizeof(f->hello.tail) &&
        cose_split(&parts, f->hello.tail, f->hello.hello.token_size)) {
        session_derive(&f->made, f->g->random->data,
                       f->hello.hello.public_key, &f->g->offer, &f->hello);
    }
}

static Record *begin_record(Fuzz *f, Record **plain)
{
    uint8_t parts = number(f, 1);
    const Record *begin = f->g->sealed->pdata[0];
    Record *r, *bundle;

    f->hello = hello_of(f->g);
    memcpy(f->made.forward, f->g->key, sizeof(f->made.forward));
    if (parts & (EDIT_HELLO | EDIT_CLAIMS)) {
        r = make_hello(f, parts);
        make_keys(f);
    } else {
        r = g_byte_array_append(g_byte_array_new(), begin->data,
                                f->hello.hello.size);
    }
    *plain = copy_record(f->g->plain->pdata[0]);
    set_right(f, *plain);
    if (parts & EDIT_BUNDLE) {
        edit(f, *plain);
    }
    bundle = copy_record(*plain);
    seal_record(f, bundle, false);
    g_byte_array_append(r, bundle->data, bundle->len);
    g_byte_array_unref(bundle);
    if (parts & EDIT_RECORD) {
        edit(f, r);
    }
    return r;
}

/* ---- what must hold ---- */

/* What a refusal leaves as it was */
typedef struct State {
    MigPhase phase;
    int realm;
    uint64_t total, next_base;
    uint32_t epoch, num_recs;
    guint num_runs;
} State;

static State state_of(Fuzz *f)
{
    const MigSession *s = machine_session(f->m);
    State state;

    memset(&state, 0, sizeof(state));
    state.phase = s->phase;
    state.realm = machine_state(f->m);
    state.total = session_total(s);
    state.next_base = s->next_base;
    state.epoch = s->epoch;
    state.num_recs = s->num_recs;
    state.num_runs = s->runs->len;
    return state;
}

/* "Refusals" of the document */
static bool result_known(uint64_t x0)
{
    unsigned index = RMI_INDEX(x0);

    switch (RMI_STATUS(x0)) {
    case RMI_SUCCESS:
    case RMI_ERROR_INPUT:
        return x0 >> 8 == 0;
    case RMI_ERROR_RTT:
        return x0 >> 16 == 0 && index <= RTT_PAGE_LEVEL;
    case RMI_ERROR_REALM:
        return x0 >> 16 == 0 && index != 1 &&
               (index <= MIG_CAUSE_MAP_RUNS ||
                (index >= MIG_CAUSE_FINAL &&
                 index <= MIG_CAUSE_PEER_SOFTWARE) ||
                (index >= MIG_CAUSE_DIFFERENT_IPA_WIDTH &&
                 index <= MIG_CAUSE_DIFFERENT_POLICY));
    default:
        return false;
    }
}

static void check_no_secrets(Fuzz *f)
{
    static const uint8_t zero[CRYPTO_KEY_SIZE];
    const MigSession *s = machine_session(f->m);

    g_assert_cmpmem(s->key, sizeof(s->key), zero, sizeof(zero));
    g_assert_cmpmem(s->secret, sizeof(s->secret), zero, sizeof(zero));
    for (int i = 0; i < MIG_MAX_STREAMS; i++) {
        g_assert_null(s->streams[i].aead);
        g_assert_null(s->streams[i].scratch);
    }
}

/* After any call of the extension */
static void check_result(Fuzz *f, const State *before, uint64_t x0,
                         bool import)
{
    State after = state_of(f);
    bool final = import && RMI_STATUS(x0) == RMI_ERROR_REALM &&
                 RMI_INDEX(x0) >= MIG_CAUSE_FINAL &&
                 (before->phase == MIG_OFFERED ||
                  before->phase == MIG_IMPORTING ||
                  before->phase == MIG_STARTED);

    g_assert_true(result_known(x0));
    if (final) {
        g_assert_cmpint(after.phase, ==, MIG_FAILED);
    } else if (x0 != RMI_SUCCESS) {
        g_assert_cmpmem(before, sizeof(*before), &after, sizeof(after));
    }
    if (before->phase == MIG_FAILED && import) {
        g_assert_cmphex(x0, !=, RMI_SUCCESS);
    }
    if (after.phase == MIG_FAILED) {
        g_assert_cmpint(after.realm, ==, REALM_FAILED);
        g_assert_null(machine_session(f->m)->back.aead);
    }
    if (after.phase == MIG_FAILED || after.phase == MIG_STARTED) {
        check_no_secrets(f);
    }
}

typedef struct Found {
    Fuzz *f;
    RmmRealm *realm;
    unsigned kinds;             /* a bit for each RIPAS | MIG_RUN_ASSIGNED */
} Found;

/* Entries that a run of the accepted map is about */
static bool check_entry(void *opaque, uint64_t ipa, uint64_t bytes,
                        RttHipas hipas, RttRipas ripas)
{
    Found *found = opaque;
    Rmm *rmm = found->f->m->rmm;
    uint64_t top = ipa + bytes;

    found->kinds |= 1u << (ripas | (hipas == RTT_ASSIGNED
                                    ? MIG_RUN_ASSIGNED : 0));
    for (; hipas == RTT_ASSIGNED && ipa < top; ipa += RMM_GRANULE_SIZE) {
        const Page *page = g_hash_table_lookup(found->f->pages, &ipa);
        RttWalk walk;

        g_assert_nonnull(page);
        rtt_walk(found->realm, ipa, RTT_PAGE_LEVEL, &walk);
        g_assert_cmpmem(granule_map(rmm, walk.pa), RMM_GRANULE_SIZE,
                        page->data, RMM_GRANULE_SIZE);
        g_assert_cmpmem(granule_map_tags(rmm, walk.pa), RMM_TAG_BYTES,
                        page->tags, RMM_TAG_BYTES);
    }
    return true;
}

/* The Realm runs: it is what was accepted, and all of it */
static void check_committed(Fuzz *f)
{
    Found found = { f, realm_lock(f->m->rmm, f->m->rd) };
    uint64_t top = 0;

    g_assert_true(f->started);
    g_assert_cmpuint(f->num_recs, ==, GOLDEN_RECS);
    for (guint i = 0; i < f->runs->len; i++) {
        const MigRun *run = &g_array_index(f->runs, MigRun, i);

        g_assert_cmphex(run->start & MIG_ENTRY_IPA, ==, top);
        top = run->top;
        found.kinds = 0;
        rtt_for_each_ripas(found.realm, run->start & MIG_ENTRY_IPA, top,
                           check_entry, &found);
        g_assert_cmphex(found.kinds, ==, 1u << (run->start & 7));
    }
    realm_unlock(found.realm);
    g_assert_cmphex(top, ==, MACHINE_TOP);
}

/* There is a ready record: COMMIT will find all that it asks for */
static void check_ready(Fuzz *f)
{
    uint64_t top = 0;

    g_assert_false(f->started);
    g_assert_cmpuint(f->num_recs, ==, GOLDEN_RECS);
    for (guint i = 0; i < f->runs->len; i++) {
        const MigRun *run = &g_array_index(f->runs, MigRun, i);
        uint64_t ipa = top;

        top = run->top;
        for (; run->start & MIG_RUN_ASSIGNED && ipa < top;
             ipa += RMM_GRANULE_SIZE) {
            g_assert_true(g_hash_table_contains(f->pages, &ipa));
        }
    }
    g_assert_cmphex(top, ==, MACHINE_TOP);
}

/* ---- what was accepted ---- */

static void take_pages(Fuzz *f, const Record *plain)
{
    MigHeader h = header_of(plain);
    const uint8_t *entries = plain->data + sizeof(h);
    const uint8_t *at = entries + h.count * sizeof(uint64_t);

    for (uint32_t i = 0; i < h.count; i++) {
        Page *page = g_new0(Page, 1);
        uint64_t entry;

        memcpy(&entry, entries + i * sizeof(entry), sizeof(entry));
        if (!(entry & MIG_ENTRY_ZERO)) {
            memcpy(page->data, at, RMM_GRANULE_SIZE);
            at += RMM_GRANULE_SIZE;
        }
        g_assert_cmpint(!!(entry & MIG_ENTRY_ZERO), ==,
                        session_omits_zeros(machine_session(f->m)) &&
                        mig_page_is_zero(page->data));
        entry &= MIG_ENTRY_IPA;
        if (f->m->params.ext_flags & RMI_REALM_EXT_MTE) {
            size_t tags = mte_tags_unpack(at, plain->data + plain->len - at,
                                          page->tags);

            g_assert_cmpuint(tags, >, 0);
            at += tags;
        }
        g_hash_table_replace(f->pages,
                             g_memdup2(&entry, sizeof(entry)), page);
    }
}

/* The header was the one that was due, and the body has no byte too much */
static void take_record(Fuzz *f, const State *before, const Record *plain)
{
    MigHeader h = header_of(plain);
    const uint8_t *body = plain->data + sizeof(h);
    size_t size = plain->len - sizeof(h);
    bool token = h.type == MIG_TYPE_EPOCH || h.type == MIG_TYPE_START;
    MigMutable mu;
    MigRec rec;

    g_assert_false(f->started);
    g_assert_cmpuint(h.epoch, ==, before->epoch);
    g_assert_cmpuint(h.total, ==, token ? before->total + 1 : 0);
    g_assert_cmpuint(h.counter, ==,
                     machine_session(f->m)->streams[h.stream].counter);
    switch (h.type) {
    case MIG_TYPE_MUTABLE:
        memcpy(&mu, body, sizeof(mu));
        g_assert_cmpuint(size, ==, sizeof(mu) +
                         mu.num_runs * sizeof(MigRun));
        g_array_append_vals(f->runs, body + sizeof(mu), mu.num_runs);
        break;
    case MIG_TYPE_REC:
        memcpy(&rec, body, sizeof(rec));
        g_assert_cmpuint(size, ==, sizeof(rec) + rec.context_size);
        f->num_recs++;
        break;
    case MIG_TYPE_MEMORY:
        take_pages(f, plain);
        break;
    case MIG_TYPE_START:
        f->started = true;
        break;
    }
}

/* Certificates are in no hash, and here no policy asks the source for any. */
static Record *without_certificates(const Record *r)
{
    Record *copy = copy_record(r);
    MigHello *hello = (MigHello *)copy->data;

    if (copy->len >= sizeof(*hello) && hello->type == MIG_TYPE_SESSION &&
        hello->certs_size) {
        uint32_t size = hello->certs_size;

        hello->size -= size;
        hello->certs_size = 0;
        g_byte_array_remove_range(copy, hello->size, size);
    }
    return copy;
}

/* Without the keys: it is a genuine one, which did not come before */
static const Record *find_genuine(Fuzz *f, const Record *accepted)
{
    g_autoptr(GByteArray) r = without_certificates(accepted);

    for (guint i = 0; i < f->g->sealed->len; i++) {
        const Record *sealed = f->g->sealed->pdata[i];

        if (sealed->len == r->len &&
            memcmp(sealed->data, r->data, r->len) == 0) {
            g_assert_false(f->accepted & 1ull << i);
            f->accepted |= 1ull << i;
            return f->g->plain->pdata[i];
        }
    }
    g_assert_not_reached();
}

/* ---- the destination's host ---- */

enum { HONEST, NO_GRANULES, ONE_GRANULE, FEW_GRANULES };

static bool has_granules(Fuzz *f)
{
    return f->m->next_granule - MACHINE_GRANULES + 4 * RMM_GRANULE_SIZE <=
           GRANULES * RMM_GRANULE_SIZE;
}

/* What is at @ipa, with a table of pages if the host can make one */
static uint64_t entry_state(Fuzz *f, uint64_t ipa)
{
    Machine *m = f->m;
    uint64_t out[4], bytes;

    SMC_OUT(m, out, RMI_RTT_READ_ENTRY, m->rd, ipa, RTT_PAGE_LEVEL);
    for (uint64_t level = out[0] + 1; level <= RTT_PAGE_LEVEL; level++) {
        bytes = level == 2 ? 1ull << 30 : 2ull << 20;
        SMC(m, RMI_RTT_CREATE, m->rd, machine_granule(m), ipa & ~(bytes - 1),
            level);
        SMC_OUT(m, out, RMI_RTT_READ_ENTRY, m->rd, ipa, RTT_PAGE_LEVEL);
    }
    return out[1];
}

/* As machine_receive, but memory may be short, and the host may not care */
static size_t prepare_pages(Fuzz *f, const Record *r, uint64_t *granules)
{
    uint64_t ipas[MIG_MAX_PAGES];
    size_t count = mig_peek_entries(r->data, r->len, ipas);

    for (size_t i = 0; i < count; i++) {
        granules[i] = 0;
        if (ipas[i] >= MACHINE_TOP || f->host == NO_GRANULES ||
            !has_granules(f)) {
            continue;
        }
        if (entry_state(f, ipas[i]) != RMI_ASSIGNED) {
            granules[i] = i && f->host == ONE_GRANULE
                          ? granules[0] : machine_granule(f->m);
        }
    }
    return count - (count && f->host == FEW_GRANULES);
}

static uint64_t import(Fuzz *f, const Record *r)
{
    const size_t at = offsetof(MigHeader, stream);
    bool memory = r->len > at && r->data[6] == MIG_TYPE_MEMORY;
    unsigned stream = memory ? r->data[at] % MIG_MAX_STREAMS : 0;
    uint8_t *ns = machine_ns(f->m, NS_BLOB(stream));
    uint64_t x0;
    size_t count;

    if (r->len) {
        memcpy(ns, r->data, r->len);
    }
    if (memory) {
        count = prepare_pages(f, r, machine_ns(f->m, NS_LIST(stream)));
        x0 = MIG(f->m, MIG_IMPORT_MEMORY, NS_BLOB(stream), r->len,
                 NS_LIST(stream), MAX(count, 1));
    } else {
        x0 = MIG(f->m, MIG_IMPORT, NS_BLOB(0), r->len);
    }
    memset(ns, 0, sizeof(MigHeader));   /* no other call finds it there */
    return x0;
}

/* A record arrives; @plain is what it seals, if we know.  Drops both. */
static void deliver_record(Fuzz *f, Record *r, Record *plain)
{
    State before = state_of(f);
    uint64_t x0 = import(f, r);

    check_result(f, &before, x0, true);
    if (x0 == RMI_SUCCESS) {
        g_assert_cmpuint(state_of(f).total, ==, before.total + 1);
        take_record(f, &before, f->keys && plain ? plain : find_genuine(f, r));
    }
    g_byte_array_unref(r);
    if (plain) {
        g_byte_array_unref(plain);
    }
}

/* ---- steps ---- */

/* A genuine record; with the keys, such that it is the next one due */
static void step_genuine(Fuzz *f, guint index, bool edited)
{
    bool begins = machine_session(f->m)->phase == MIG_OFFERED;
    Record *r, *plain = NULL;
    uint8_t how;

    index = f->keys && begins ? 0 : index % f->g->sealed->len;
    if (!f->keys) {
        r = copy_record(f->g->sealed->pdata[index]);
        if (edited) {
            edit(f, r);
        }
    } else if (begins) {
        r = begin_record(f, &plain);
    } else {
        plain = copy_record(f->g->plain->pdata[index]);
        set_right(f, plain);
        how = edited ? number(f, 1) : 0;
        if (edited) {
            edit(f, plain);
        }
        r = copy_record(plain);
        seal_record(f, r, how & 1);
        if (how & 2) {
            edit(f, r);
        }
    }
    deliver_record(f, r, plain);
}

/* A record of the input's own */
static void step_own(Fuzz *f)
{
    uint8_t type = number(f, 1), stream = number(f, 1), count = number(f, 1);
    MigHeader h = { .type = type, .stream = stream, .count = count };
    size_t size = number(f, 2);
    const uint8_t *bytes;
    Record *r = g_byte_array_new(), *plain = NULL;

    size = fuzz_bytes(&f->in, &bytes, size);
    if (f->keys) {
        g_byte_array_append(r, (uint8_t *)&h, sizeof(h));
        set_right(f, r);
    }
    if (size) {
        g_byte_array_append(r, bytes, size);
    }
    if (f->keys) {
        plain = copy_record(r);
        seal_record(f, r, false);
    }
    deliver_record(f, r, plain);
}

static void step_commit(Fuzz *f)
{
    State before = state_of(f);
    uint64_t out[4], x0 = MIG_OUT(f->m, out, MIG_IMPORT_COMMIT);

    /* Final if the host took something away */
    check_result(f, &before, x0, x0 != RMI_SUCCESS);
    if (x0 == RMI_SUCCESS && out[0]) {  /* a piece */
        g_assert_true(f->started);
        g_assert_cmpint(machine_state(f->m), ==, REALM_IMPORT);
    } else if (x0 == RMI_SUCCESS) {
        f->committed = true;
        g_assert_cmpint(machine_state(f->m), ==, REALM_ACTIVE);
        check_committed(f);
    }
}

static void step_abort(Fuzz *f)
{
    State before = state_of(f);
    uint8_t room = number(f, 1);
    uint64_t x0 = MIG(f->m, MIG_IMPORT_ABORT, NS_BLOB(0), room);
    const MigAbort *token = machine_ns(f->m, NS_BLOB(0));

    check_result(f, &before, x0, false);
    if (x0 == RMI_SUCCESS) {
        g_assert_cmpint(machine_state(f->m), ==, REALM_FAILED);
        g_assert_cmpint(machine_session(f->m)->phase, ==, MIG_FAILED);
        g_assert_cmpmem(token->secret, sizeof(token->secret),
                        f->g->random->data + 64, 32);
    }
}

/* Housekeeping that a host may do at the wrong time */
static void step_host(Fuzz *f)
{
    Machine *m = f->m;
    uint8_t b = number(f, 1), n = number(f, 1);
    uint64_t ipa = page_ipa(n % GOLDEN_PAGES, GOLDEN_PAGES);
    uint64_t granule = MACHINE_GRANULES + n % GRANULES * RMM_GRANULE_SIZE;
    RmiRecParams *rec = machine_ns(m, NS_BITMAP);

    switch (b % 8) {
    case 0:
        SMC(m, RMI_DATA_CREATE_UNKNOWN, m->rd, granule, ipa);
        break;
    case 1:
        SMC(m, RMI_DATA_DESTROY, m->rd, ipa);
        break;
    case 2:
        SMC(m, n & 8 ? RMI_RTT_DESTROY : RMI_RTT_FOLD, m->rd, ipa, 2 + n % 2);
        break;
    case 3:
        SMC(m, RMI_REC_DESTROY, m->recs[n % GOLDEN_RECS]);
        break;
    case 4:
        memset(rec, 0, sizeof(*rec));
        rec->mpidr = n % 4;
        SMC(m, RMI_REC_CREATE, m->rd, granule, NS_BITMAP);
        break;
    case 5:
        SMC(m, RMI_GRANULE_UNDELEGATE, granule);
        break;
    case 6:
        SMC(m, RMI_REALM_ACTIVATE, m->rd);
        break;
    case 7:                     /* fails an assertion if the Realm runs */
        SMC(m, RMI_REC_ENTER, m->recs[n % GOLDEN_RECS], NS_BITMAP);
        break;
    }
}

/* Any call of the extension but those above */
static void step_call(Fuzz *f)
{
    uint8_t n = number(f, 1) % MIG_NUM_CALLS;
    State before = state_of(f);
    uint64_t area = NS_BLOB(number(f, 1) % (MIG_MAX_STREAMS + 2));
    uint64_t size = value(f), third = value(f), fourth = value(f);
    bool import = n == MIG_IMPORT || n == MIG_IMPORT_MEMORY;
    bool ready = n == MIG_IMPORT_READY;
    uint64_t x0, out[4];

    if (n == MIG_IMPORT_COMMIT || n == MIG_IMPORT_ABORT) {
        return;
    }
    x0 = MIG_OUT(f->m, out, n, area, size, third, fourth);
    check_result(f, &before, x0, import || ready);
    g_assert_true(!import || x0 != RMI_SUCCESS);
    if (ready && x0 == RMI_SUCCESS && out[0]) {
        check_ready(f);
    }
}

static void do_step(Fuzz *f)
{
    uint8_t b = number(f, 1);
    unsigned n;

    f->host = b / 8 % 4;
    switch (b % 8) {
    case 0:
        step_genuine(f, f->next++, false);
        break;
    case 1:
        for (n = number(f, 1) % 16; n; n--) {
            step_genuine(f, f->next++, false);
        }
        break;
    case 2:
    case 3:
        n = number(f, 1);
        step_genuine(f, n, true);
        break;
    case 4:
        step_own(f);
        break;
    case 5:
        step_host(f);
        break;
    case 6:
        step_commit(f);
        break;
    case 7:
        (b & 0x80 ? step_abort : step_call)(f);
        break;
    }
    g_assert_true(f->committed || machine_state(f->m) == REALM_IMPORT ||
                  machine_state(f->m) == REALM_FAILED);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Fuzz f = { .in = { data, size } };
    uint8_t first = number(&f, 1);

    f.g = genuine((first & 1) | (first >> 1 & 2));
    f.keys = first & 2;
    f.hello = hello_of(f.g);
    f.runs = g_array_new(FALSE, FALSE, sizeof(MigRun));
    f.pages = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free,
                                    g_free);
    f.m = golden_destination(&f.g->golden);
    f.m->rmm->mig_entries = first & 8 ? 100 : MIG_COMMIT_ENTRIES;
    g_byte_array_unref(golden_offer_again(&f.g->golden, f.m));
    for (unsigned i = 0; f.in.left && i < MAX_STEPS && !f.committed; i++) {
        do_step(&f);
    }
    machine_free(f.m);          /* checks the tables, too */
    g_array_unref(f.runs);
    g_hash_table_unref(f.pages);
    return 0;
}
