/*
 * A Realm migrates between two machines, or is refused
 *
 * Every use of the cipher in this program is watched: no IV is used twice
 * under one key, whatever the tests do (see "no iv is used twice").
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#define _GNU_SOURCE             /* memmem */
#include <gnutls/gnutls.h>
#include <gnutls/crypto.h>
#include <string.h>

#include "granule.h"
#include "mig-machine.h"
#include "rmm-internal.h"
#include "rtt.h"
#include "session.h"

/* ---- the oracle: linked in place of the cipher's functions ---- */

int __real_gnutls_aead_cipher_init(gnutls_aead_cipher_hd_t *handle,
                                   gnutls_cipher_algorithm_t cipher,
                                   const gnutls_datum_t *key);
int __real_gnutls_aead_cipher_encrypt(gnutls_aead_cipher_hd_t handle,
                                      const void *nonce, size_t nonce_len,
                                      const void *auth, size_t auth_len,
                                      size_t tag_size, const void *ptext,
                                      size_t ptext_len, void *ctext,
                                      size_t *ctext_len);
void __real_gnutls_aead_cipher_deinit(gnutls_aead_cipher_hd_t handle);
int __wrap_gnutls_aead_cipher_init(gnutls_aead_cipher_hd_t *handle,
                                   gnutls_cipher_algorithm_t cipher,
                                   const gnutls_datum_t *key);
int __wrap_gnutls_aead_cipher_encrypt(gnutls_aead_cipher_hd_t handle,
                                      const void *nonce, size_t nonce_len,
                                      const void *auth, size_t auth_len,
                                      size_t tag_size, const void *ptext,
                                      size_t ptext_len, void *ctext,
                                      size_t *ctext_len);
void __wrap_gnutls_aead_cipher_deinit(gnutls_aead_cipher_hd_t handle);

static GMutex oracle_lock;
static GHashTable *oracle_keys;         /* handle -> key */
static GHashTable *oracle_uses;         /* key and IV */
static unsigned oracle_repeats;

int __wrap_gnutls_aead_cipher_init(gnutls_aead_cipher_hd_t *handle,
                                   gnutls_cipher_algorithm_t cipher,
                                   const gnutls_datum_t *key)
{
    int ret = __real_gnutls_aead_cipher_init(handle, cipher, key);

    g_mutex_lock(&oracle_lock);
    if (!oracle_keys) {
        oracle_keys = g_hash_table_new_full(NULL, NULL, NULL,
                                            (GDestroyNotify)g_bytes_unref);
        oracle_uses = g_hash_table_new(g_bytes_hash, g_bytes_equal);
    }
    g_hash_table_insert(oracle_keys, *handle,
                        g_bytes_new(key->data, key->size));
    g_mutex_unlock(&oracle_lock);
    return ret;
}

int __wrap_gnutls_aead_cipher_encrypt(gnutls_aead_cipher_hd_t handle,
                                      const void *nonce, size_t nonce_len,
                                      const void *auth, size_t auth_len,
                                      size_t tag_size, const void *ptext,
                                      size_t ptext_len, void *ctext,
                                      size_t *ctext_len)
{
    GByteArray *use = g_byte_array_new();
    GBytes *key;
    gsize size;

    g_mutex_lock(&oracle_lock);
    key = g_hash_table_lookup(oracle_keys, handle);
    g_assert_nonnull(key);
    g_byte_array_append(use, g_bytes_get_data(key, &size), 32);
    g_byte_array_append(use, nonce, nonce_len);
    if (!g_hash_table_add(oracle_uses, g_byte_array_free_to_bytes(use))) {
        oracle_repeats++;
    }
    g_mutex_unlock(&oracle_lock);
    return __real_gnutls_aead_cipher_encrypt(handle, nonce, nonce_len, auth,
                                             auth_len, tag_size, ptext,
                                             ptext_len, ctext, ctext_len);
}

void __wrap_gnutls_aead_cipher_deinit(gnutls_aead_cipher_hd_t handle)
{
    g_mutex_lock(&oracle_lock);
    g_hash_table_remove(oracle_keys, handle);
    g_mutex_unlock(&oracle_lock);
    __real_gnutls_aead_cipher_deinit(handle);
}

/* ---- machines and what is in them ---- */

/* Page number to IPA: runs, a hole, and one page at the end of RAM */
static uint64_t page_ipa(unsigned i, unsigned n)
{
    return i == n - 1 ? MACHINE_RAM_TOP - RMM_GRANULE_SIZE :
           (i < n / 2 ? 0 : 4ull << 20) + i * (uint64_t)RMM_GRANULE_SIZE;
}

static GRand *rand_new(void)
{
    return g_rand_new_with_seed(g_test_rand_int());
}

static Machine *source_new(const MachineParams *params, unsigned pages)
{
    Machine *m = machine_new(params);
    GRand *rand = rand_new();

    for (unsigned i = 0; i < pages; i++) {
        machine_add_page(m, page_ipa(i, pages));
        machine_scribble(m, page_ipa(i, pages), rand);
    }
    for (unsigned i = 0; i < params->num_recs; i++) {
        RmmRec *rec = machine_rec(m, i);

        for (int r = 0; r < 31; r++) {
            rec->x[r] = g_rand_int(rand) | (uint64_t)g_rand_int(rand) << 32;
        }
        rec->pc = g_rand_int(rand);
        rec->runnable = i != 1;
        for (int b = 0; b < MACHINE_CONTEXT; b++) {
            m->contexts[i][b] = g_rand_int(rand);
        }
    }
    machine_activate(m);
    g_rand_free(rand);
    return m;
}

static void checksum(GChecksum *sum, const void *data, size_t len)
{
    g_checksum_update(sum, data, len);
}

/* All that a refused call must leave as it was */
static char *snapshot(Machine *m)
{
    GChecksum *sum = g_checksum_new(G_CHECKSUM_SHA256);
    RmmRealm *realm = realm_lock(m->rmm, m->rd);
    MigSession *s = session_of(realm);
    char *text;

    checksum(sum, &realm->state, sizeof(realm->state));
    checksum(sum, realm->measurement, sizeof(realm->measurement));
    for (uint32_t i = 0; i < realm->num_recs; i++) {
        checksum(sum, realm->recs[i], sizeof(RmmRec));
    }
    checksum(sum, &s->phase, sizeof(s->phase));
    checksum(sum, s->recs, sizeof(s->recs));
    checksum(sum, &s->runs->len, sizeof(s->runs->len));
    checksum(sum, s->key, sizeof(s->key));
    checksum(sum, &s->used_offers->len, sizeof(s->used_offers->len));
    if (s->phase != MIG_IDLE) {
        checksum(sum, &s->epoch, sizeof(s->epoch));
    }
    for (int i = 0; i < MIG_MAX_STREAMS; i++) {
        checksum(sum, &s->streams[i].counter, sizeof(uint64_t));
    }
    realm_unlock(realm);
    for (uint64_t pa = MACHINE_GRANULES; pa < m->next_granule;
         pa += RMM_GRANULE_SIZE) {
        GranuleState state = granule_state(m->rmm, pa);
        uint64_t n = (pa - MACHINE_GRANULES) / RMM_GRANULE_SIZE;

        checksum(sum, &state, sizeof(state));
        checksum(sum, m->granules + n * RMM_GRANULE_SIZE, RMM_GRANULE_SIZE);
        checksum(sum, m->tags + n * RMM_TAG_BYTES, RMM_TAG_BYTES);
    }
    checksum(sum, m->contexts, sizeof(m->contexts));
    text = g_strdup(g_checksum_get_string(sum));
    g_checksum_free(sum);
    return text;
}

/* The call gives this result, and changes nothing */
#define REFUSES(m, call, want) do { \
        g_autofree char *before_ = snapshot(m); \
        uint64_t result_ = (call); \
        g_autofree char *after_ = NULL; \
        g_assert_cmphex(result_, ==, (want)); \
        after_ = snapshot(m); \
        g_assert_cmpstr(before_, ==, after_); \
    } while (0)

#define OK(call) g_assert_cmphex((call), ==, RMI_SUCCESS)

static void same_page(Machine *a, Machine *b, uint64_t ipa)
{
    uint8_t *ta, *tb;
    uint8_t *pa = machine_page(a, ipa, false, &ta);
    uint8_t *pb = machine_page(b, ipa, false, &tb);

    g_assert_nonnull(pa);
    g_assert_nonnull(pb);
    g_assert_cmpmem(pa, RMM_GRANULE_SIZE, pb, RMM_GRANULE_SIZE);
    if (a->params.flags & RMI_REALM_MTE) {
        g_assert_cmpmem(ta, RMM_TAG_BYTES, tb, RMM_TAG_BYTES);
    }
}

static void same_recs(Machine *a, Machine *b)
{
    for (unsigned i = 0; i < a->params.num_recs; i++) {
        RmmRec *ra = machine_rec(a, i), *rb = machine_rec(b, i);

        g_assert_cmpmem(ra->x, sizeof(ra->x), rb->x, sizeof(rb->x));
        g_assert_cmphex(ra->pc, ==, rb->pc);
        g_assert_true(ra->runnable == rb->runnable);
        g_assert_cmpint(ra->pending, ==, rb->pending);
        g_assert_cmphex(ra->host_call_ipa, ==, rb->host_call_ipa);
        g_assert_cmpmem(&ra->ripas, sizeof(ra->ripas), &rb->ripas,
                        sizeof(rb->ripas));
        g_assert_cmpmem(a->contexts[i], MACHINE_CONTEXT, b->contexts[i],
                        MACHINE_CONTEXT);
    }
}

static void write_map(void *opaque, uint64_t ipa, uint64_t bytes,
                      RttHipas hipas, RttRipas ripas)
{
    g_string_append_printf(opaque, "%#lx+%#lx %d%s\n", (unsigned long)ipa,
                           (unsigned long)bytes, ripas,
                           hipas == RTT_ASSIGNED ? " page" : "");
}

static char *ripas_map(Machine *m)
{
    GString *text = g_string_new(NULL);
    RmmRealm *realm = realm_lock(m->rmm, m->rd);

    rtt_for_each_ripas(realm, 0, MACHINE_TOP, write_map, text);
    realm_unlock(realm);
    return g_string_free(text, FALSE);
}

/* Byte by byte, register by register, and the map */
static void same_realm(Machine *a, Machine *b)
{
    g_autofree char *map_a = ripas_map(a), *map_b = ripas_map(b);
    RmmRealm *ra = realm_ref(realm_lock(a->rmm, a->rd)), *rb;

    realm_unlock(ra);
    rb = realm_ref(realm_lock(b->rmm, b->rd));
    realm_unlock(rb);
    g_assert_cmpmem(ra->measurement, sizeof(ra->measurement),
                    rb->measurement, sizeof(rb->measurement));
    realm_unref(ra);
    realm_unref(rb);
    g_assert_cmpstr(map_a, ==, map_b);
    same_recs(a, b);
    for (uint64_t ipa = 0; ipa < MACHINE_RAM_TOP; ipa += RMM_GRANULE_SIZE) {
        if (machine_page(a, ipa, false, NULL)) {
            same_page(a, b, ipa);
        }
    }
}

/* ---- one migration, in steps ---- */

static void take(Machine *dst, Record *record)
{
    g_assert_nonnull(record);
    OK(machine_receive(dst, record));
    g_byte_array_unref(record);
}

static void connect(Machine *src, Machine *dst)
{
    Record *begin;

    OK(machine_connect(src, dst, &begin));
    take(dst, begin);
}

typedef struct Worker {
    Machine *src, *dst;
    const GArray *ipas;
    unsigned stream, streams, bundle;
} Worker;

/* Every streams-th bundle of a round, there and back */
static void *work(void *opaque)
{
    Worker *w = opaque;

    for (guint i = w->stream * w->bundle; i < w->ipas->len;
         i += w->streams * w->bundle) {
        take(w->dst,
             machine_send_pages(w->src, &g_array_index(w->ipas, uint64_t, i),
                                MIN(w->bundle, w->ipas->len - i), w->stream));
    }
    return NULL;
}

static unsigned send_round(Machine *src, Machine *dst, unsigned streams,
                           unsigned bundle)
{
    GArray *ipas = machine_collect(src);
    unsigned n = ipas->len;
    GThread *threads[MIG_MAX_STREAMS];
    Worker w[MIG_MAX_STREAMS];

    for (unsigned i = 0; i < streams; i++) {
        w[i] = (Worker) { src, dst, ipas, i, streams, bundle };
        threads[i] = g_thread_new("stream", work, &w[i]);
    }
    for (unsigned i = 0; i < streams; i++) {
        g_thread_join(threads[i]);
    }
    g_array_unref(ipas);
    return n;
}

static void next_epoch(Machine *src, Machine *dst)
{
    uint64_t result;

    take(dst, machine_export(src, MIG_EXPORT_EPOCH, 0, &result));
}

/* From the pause on, with a last round of pages */
static void finish(Machine *src, Machine *dst)
{
    GPtrArray *records;

    OK(MIG(src, MIG_PAUSE));
    next_epoch(src, dst);
    send_round(src, dst, 1, 64);
    records = machine_final_records(src);
    for (guint i = 0; i < records->len; i++) {
        g_assert_cmphex(MIG(dst, MIG_IMPORT_COMMIT), ==,
                        REFUSED(MIG_CAUSE_START_MISSING));
        OK(machine_receive(dst, records->pdata[i]));
    }
    g_ptr_array_unref(records);
    OK(MIG(dst, MIG_IMPORT_COMMIT));
    g_assert_cmpint(machine_state(src), ==, REALM_EXPORTED);
    g_assert_cmpint(machine_state(dst), ==, REALM_ACTIVE);
}

static void migrate(const MachineParams *params, unsigned streams,
                    bool compact)
{
    const unsigned pages = 120;
    Machine *src = source_new(params, pages), *dst = machine_new(params);
    GRand *rand = rand_new();
    Record *offer, *begin;
    uint64_t result;

    OK(machine_offer(dst, &offer));
    OK(machine_accept(src, offer));
    machine_session(src)->compact = compact;
    begin = machine_export(src, MIG_EXPORT_BEGIN, 0, &result);
    take(dst, begin);
    g_assert_true(machine_session(dst)->compact == compact);

    g_assert_cmpuint(send_round(src, dst, streams, 13), ==, pages);
    for (int epoch = 0; epoch < 4; epoch++) {
        for (unsigned i = 0; i < 10; i++) {
            machine_scribble(src, page_ipa(i * 7 % pages, pages), rand);
        }
        next_epoch(src, dst);
        g_assert_cmpuint(send_round(src, dst, streams, 3), ==, 10);
    }
    machine_scribble(src, page_ipa(5, pages), rand);
    finish(src, dst);
    same_realm(src, dst);
    g_byte_array_unref(offer);
    g_rand_free(rand);
    machine_free(src);
    machine_free(dst);
}

static void test_a_realm_arrives_byte_by_byte(void)
{
    migrate(&machine_defaults, 1, false);
}

static void test_a_realm_arrives_over_four_streams(void)
{
    migrate(&machine_defaults, 4, false);
}

static void test_a_realm_arrives_with_compact_tags(void)
{
    migrate(&machine_defaults, 2, true);
}

static void test_a_realm_without_mte_arrives(void)
{
    MachineParams params = machine_defaults;

    params.flags &= ~RMI_REALM_MTE;
    params.hash_algo = RMI_HASH_SHA_512;
    migrate(&params, 1, false);
}

static void test_it_migrates_on_from_where_it_arrived(void)
{
    Machine *a = source_new(&machine_defaults, 20);
    Machine *b = machine_new(&machine_defaults);
    Machine *c = machine_new(&machine_defaults);
    GRand *rand = rand_new();

    connect(a, b);
    send_round(a, b, 2, 5);
    finish(a, b);
    machine_scribble(b, 0, rand);
    connect(b, c);
    g_assert_cmpuint(send_round(b, c, 2, 5), ==, 20);
    finish(b, c);
    same_realm(b, c);
    g_rand_free(rand);
    machine_free(a);
    machine_free(b);
    machine_free(c);
}

/* ---- a Realm that does not stand still ---- */

typedef struct Writer {
    Machine *m;
    RmmStage2 s2;
    GRWLock *in_realm;
    unsigned pages;
    gint stop;
} Writer;

static void *keep_writing(void *opaque)
{
    Writer *w = opaque;
    RmmTranslation t;
    uint64_t n = 0;

    while (!g_atomic_int_get(&w->stop)) {
        uint64_t ipa = page_ipa(n * 31 % w->pages, w->pages);

        g_rw_lock_reader_lock(w->in_realm);
        n++;
        g_assert_cmpint(rmm_stage2_walk(w->m->rmm, &w->s2, ipa,
                                        RMM_ACCESS_WRITE, &t), ==,
                        RMM_FAULT_NONE);
        memcpy(w->m->granules + (t.pa - MACHINE_GRANULES) + n * 8 % 4096,
               &n, 8);
        w->m->tags[(t.pa - MACHINE_GRANULES) / 32 + n % 128] = n;
        g_rw_lock_reader_unlock(w->in_realm);
        if (n % 64 == 0) {
            g_usleep(50);
        }
    }
    return NULL;
}

static void test_a_realm_that_writes_all_the_time_arrives_whole(void)
{
    Machine *src = source_new(&machine_defaults, 100);
    Machine *dst = machine_new(&machine_defaults);
    GRWLock in_realm;
    Writer w = { .m = src, .in_realm = &in_realm, .pages = 100 };
    GThread *thread;

    g_rw_lock_init(&in_realm);
    src->in_realm = &in_realm;
    g_assert_true(rmm_stage2(src->rmm, src->recs[0], &w.s2));
    thread = g_thread_new("realm", keep_writing, &w);
    connect(src, dst);
    for (int i = 0; i < 30; i++) {
        send_round(src, dst, 2, 9);
        next_epoch(src, dst);
    }
    g_atomic_int_set(&w.stop, 1);
    g_thread_join(thread);
    finish(src, dst);
    same_realm(src, dst);
    machine_free(src);
    machine_free(dst);
    g_rw_lock_clear(&in_realm);
}

/* ---- aborts and offers ---- */

static void test_after_an_abort_the_realm_runs_and_migrates_again(void)
{
    Machine *src = source_new(&machine_defaults, 20);
    Machine *dst = machine_new(&machine_defaults);
    GRand *rand = rand_new();
    Record *begin;
    uint64_t result;

    /* At every step before the start token */
    for (int step = 0; step < 5; step++) {
        Machine *lost = machine_new(&machine_defaults);

        if (step == 0) {
            OK(machine_offer(lost, &begin));
            OK(machine_accept(src, begin));
            g_byte_array_unref(begin);
        } else {
            connect(src, lost);
        }
        if (step > 1) {
            send_round(src, lost, 1, 7);
        }
        if (step > 2) {
            OK(MIG(src, MIG_PAUSE));
        }
        if (step > 3) {
            g_byte_array_unref(machine_export(src, MIG_EXPORT_REALM, 0,
                                              &result));
        }
        OK(MIG(src, MIG_EXPORT_ABORT));
        g_assert_cmpint(machine_state(src), ==, REALM_ACTIVE);
        machine_scribble(src, page_ipa(step, 20), rand);
        REFUSES(src, MIG(src, MIG_EXPORT_ABORT), REFUSED(MIG_CAUSE_STATE));
        machine_free(lost);
    }

    connect(src, dst);
    g_assert_cmpuint(send_round(src, dst, 1, 7), ==, 20);
    finish(src, dst);
    same_realm(src, dst);
    g_rand_free(rand);
    machine_free(src);
    machine_free(dst);
}

static void test_after_the_start_token_the_source_cannot_go_back(void)
{
    Machine *src = source_new(&machine_defaults, 4);
    Machine *dst = machine_new(&machine_defaults);
    Record *offer;

    connect(src, dst);
    send_round(src, dst, 1, 7);
    finish(src, dst);
    REFUSES(src, MIG(src, MIG_EXPORT_ABORT), REFUSED(MIG_CAUSE_STATE));
    REFUSES(src, MIG(src, MIG_EXPORT_EPOCH, NS_BLOB(0), 4096),
            REFUSED(MIG_CAUSE_STATE));
    machine_free(dst);

    dst = machine_new(&machine_defaults);
    OK(machine_offer(dst, &offer));
    REFUSES(src, machine_accept(src, offer), REFUSED(MIG_CAUSE_STATE));
    g_byte_array_unref(offer);
    machine_free(src);
    machine_free(dst);
}

static void test_an_offer_serves_once(void)
{
    Machine *src = source_new(&machine_defaults, 4);
    Machine *dst = machine_new(&machine_defaults);
    Machine *other = machine_new(&machine_defaults);
    Record *offer, *second;

    OK(machine_offer(dst, &offer));
    OK(machine_offer(other, &second));
    OK(machine_accept(src, offer));
    REFUSES(src, machine_accept(src, offer),
            REFUSED(MIG_CAUSE_OFFER_OUTSTANDING));
    REFUSES(src, machine_accept(src, second),
            REFUSED(MIG_CAUSE_OFFER_OUTSTANDING));
    OK(MIG(src, MIG_EXPORT_ABORT));
    REFUSES(src, machine_accept(src, offer), REFUSED(MIG_CAUSE_OFFER_USED));
    OK(machine_accept(src, second));
    OK(MIG(src, MIG_EXPORT_BEGIN, NS_BLOB(0), 4096));
    REFUSES(src, MIG(src, MIG_EXPORT_BEGIN, NS_BLOB(0), 4096),
            REFUSED(MIG_CAUSE_STATE));
    OK(MIG(src, MIG_EXPORT_ABORT));
    REFUSES(src, machine_accept(src, second), REFUSED(MIG_CAUSE_OFFER_USED));
    /* The destination makes one offer for one Realm */
    REFUSES(dst, MIG(dst, MIG_OFFER, NS_BLOB(0), 4096),
            REFUSED(MIG_CAUSE_STATE));
    g_byte_array_unref(offer);
    g_byte_array_unref(second);
    machine_free(src);
    machine_free(dst);
    machine_free(other);
}

static void test_a_malformed_offer_is_refused(void)
{
    Machine *src = source_new(&machine_defaults, 4);
    Machine *dst = machine_new(&machine_defaults);
    Record *offer;

    OK(machine_offer(dst, &offer));
    for (size_t i = 0; i < offer->len; i++) {
        if (i >= offsetof(MigHello, public_key) &&
            i < offsetof(MigHello, peer_nonce)) {
            continue;
        }
        offer->data[i] ^= 1;
        REFUSES(src, machine_accept(src, offer),
                REFUSED(MIG_CAUSE_OFFER_FORMAT));
        offer->data[i] ^= 1;
    }
    for (size_t len = 0; len < offer->len + 9; len++) {
        if (len != offer->len) {
            REFUSES(src, MIG(src, MIG_ACCEPT, NS_BLOB(0), len),
                    REFUSED(MIG_CAUSE_OFFER_FORMAT));
        }
    }
    memset(offer->data + offsetof(MigHello, public_key), 0, 32);
    REFUSES(src, machine_accept(src, offer), REFUSED(MIG_CAUSE_KEY));
    g_byte_array_unref(offer);
    machine_free(src);
    machine_free(dst);
}

static void test_a_realm_made_without_the_flag_does_not_migrate(void)
{
    MachineParams params = machine_defaults;
    Machine *src, *dst, *good = machine_new(&machine_defaults);
    Record *offer;

    params.flags &= ~RMI_REALM_MIGRATION;
    src = source_new(&params, 4);
    dst = machine_new(&params);
    REFUSES(dst, MIG(dst, MIG_OFFER, NS_BLOB(0), 4096),
            REFUSED(MIG_CAUSE_NOT_MIGRATABLE));
    OK(machine_offer(good, &offer));
    REFUSES(src, machine_accept(src, offer),
            REFUSED(MIG_CAUSE_NOT_MIGRATABLE));
    g_byte_array_unref(offer);
    machine_free(src);
    machine_free(dst);
    machine_free(good);
}

/* ---- other parameters ---- */

static void refuse_different(MachineParams params, MigCause cause)
{
    Machine *src = source_new(&machine_defaults, 4);
    Machine *dst = machine_new(&params);
    Record *begin;

    OK(machine_connect(src, dst, &begin));
    g_assert_cmphex(machine_receive(dst, begin), ==, REFUSED(cause));
    g_assert_cmpint(machine_state(dst), ==, REALM_FAILED);
    OK(MIG(src, MIG_EXPORT_ABORT));
    g_byte_array_unref(begin);
    machine_free(src);
    machine_free(dst);
}

static void test_a_destination_with_other_parameters_is_told_which(void)
{
    MachineParams p = machine_defaults;

    p.ipa_bits++;
    refuse_different(p, MIG_CAUSE_DIFFERENT_IPA_WIDTH);
    p = machine_defaults;
    p.hash_algo = RMI_HASH_SHA_512;
    refuse_different(p, MIG_CAUSE_DIFFERENT_HASH_ALGORITHM);
    p = machine_defaults;
    p.rpv0++;
    refuse_different(p, MIG_CAUSE_DIFFERENT_PERSONALIZATION_VALUE);
    p = machine_defaults;
    p.flags &= ~RMI_REALM_MTE;
    refuse_different(p, MIG_CAUSE_DIFFERENT_MTE);
    p = machine_defaults;
    p.num_bps++;
    refuse_different(p, MIG_CAUSE_DIFFERENT_BREAKPOINTS);
    p = machine_defaults;
    p.num_wps++;
    refuse_different(p, MIG_CAUSE_DIFFERENT_WATCHPOINTS);
    p = machine_defaults;
    p.num_recs++;
    refuse_different(p, MIG_CAUSE_DIFFERENT_NUM_RECS);
}

/* ---- attacks on the way ---- */

enum { ATTACK_PAGES = 6, ATTACK_RECS = 2 };

/*
 * All records of one migration: begin; per epoch two memory bundles on
 * stream 0, one on stream 1, a token; state, RECs, start.
 */
static GPtrArray *all_records(Machine *src, Record *begin)
{
    GPtrArray *all = g_ptr_array_new_with_free_func(
        (GDestroyNotify)g_byte_array_unref), *end;
    uint64_t ipas[ATTACK_PAGES], result;
    GRand *rand = rand_new();

    g_ptr_array_add(all, begin);
    for (int epoch = 0; epoch < 2; epoch++) {
        for (int i = 0; i < ATTACK_PAGES; i++) {
            ipas[i] = page_ipa(i, ATTACK_PAGES);
            machine_scribble(src, ipas[i], rand);
        }
        if (epoch == 1) {
            OK(MIG(src, MIG_PAUSE));
        }
        g_array_unref(machine_collect(src));
        for (int i = 0; i < 3; i++) {
            g_ptr_array_add(all, machine_send_pages(src, ipas + i * 2, 2,
                                                    i / 2));
        }
        g_ptr_array_add(all, machine_export(src, MIG_EXPORT_EPOCH, 0,
                                            &result));
    }
    end = machine_final_records(src);
    for (guint i = 0; i < end->len; i++) {
        g_ptr_array_add(all, g_byte_array_ref(end->pdata[i]));
    }
    g_ptr_array_unref(end);
    g_rand_free(rand);
    return all;
}

enum { REC_BEGIN, REC_MEM, REC_MEM_2, REC_MEM_S1, REC_EPOCH, REC_MEM_E2,
       REC_MEM_E2_2, REC_MEM_E2_S1, REC_EPOCH_E2, REC_REALM, REC_REC,
       REC_REC_2, REC_START, NUM_RECORDS };

typedef struct Attack {
    enum { FLIP, CUT, GROW, DROP, TWICE, SWAP, REPLACE, RESTREAM } kind;
    unsigned record;
    size_t at;                  /* byte; or the other record */
} Attack;

/* Apply it to the list of what the destination gets */
static void apply(GPtrArray *all, const Attack *a)
{
    Record *r = all->pdata[a->record];
    uint8_t zero = 0;

    switch (a->kind) {
    case FLIP:
        r->data[a->at] ^= 1 << a->at % 8;
        break;
    case CUT:
        g_byte_array_set_size(r, r->len - a->at);
        break;
    case GROW:
        g_byte_array_append(r, &zero, 1);
        break;
    case DROP:
        g_ptr_array_remove_index(all, a->record);
        break;
    case TWICE:
        g_ptr_array_insert(all, a->record, g_byte_array_ref(r));
        break;
    case SWAP:
        all->pdata[a->record] = all->pdata[a->at];
        all->pdata[a->at] = r;
        break;
    case REPLACE:
        g_byte_array_unref(r);
        all->pdata[a->record] = g_byte_array_ref(all->pdata[a->at]);
        break;
    case RESTREAM:
        r->data[offsetof(MigHeader, stream)] = a->at;
        break;
    }
}

/* What the destination says in the end; *@state is then its Realm's */
static uint64_t attack(const Attack *a, int *state)
{
    static MachineParams params;
    Machine *src, *dst;
    Record *begin;
    GPtrArray *all;
    uint64_t result = RMI_SUCCESS;

    params = machine_defaults;
    params.num_recs = ATTACK_RECS;
    params.granules = 60;
    src = source_new(&params, ATTACK_PAGES);
    dst = machine_new(&params);
    OK(machine_connect(src, dst, &begin));
    all = all_records(src, begin);
    g_assert_cmpuint(all->len, ==, NUM_RECORDS);
    if (a) {
        apply(all, a);
    }
    for (guint i = 0; i < all->len && result == RMI_SUCCESS; i++) {
        result = machine_receive(dst, all->pdata[i]);
    }
    if (result == RMI_SUCCESS) {
        result = MIG(dst, MIG_IMPORT_COMMIT);
    }
    *state = machine_state(dst);
    if (*state == REALM_FAILED) {
        g_assert_cmphex(MIG(dst, MIG_IMPORT_COMMIT), ==,
                        REFUSED(MIG_CAUSE_STATE));
        g_assert_cmphex(machine_receive(dst, all->pdata[0]), ==,
                        REFUSED(MIG_CAUSE_STATE));
    }
    g_ptr_array_unref(all);
    machine_free(src);
    machine_free(dst);
    return result;
}

static void test_the_unattacked_migration_succeeds(void)
{
    int state;

    OK(attack(NULL, &state));
    g_assert_cmpint(state, ==, REALM_ACTIVE);
}

static void refused(Attack a)
{
    int state;
    uint64_t result = attack(&a, &state);

    if (result == RMI_SUCCESS || state == REALM_ACTIVE) {
        g_test_message("attack %d on record %u at %zu", a.kind, a.record,
                       a.at);
        g_test_fail();
    }
    if (RMI_INDEX(result) >= MIG_CAUSE_FINAL) {
        g_assert_cmpint(state, ==, REALM_FAILED);
    }
}

static size_t record_size(unsigned record)
{
    const size_t page = MIG_PAGE_BYTES;

    switch (record) {
    case REC_BEGIN:
        return MIG_BEGIN_SIZE;
    case REC_EPOCH:
    case REC_EPOCH_E2:
    case REC_START:
        return 0x30 + 16;
    case REC_REALM:
        return 0x30 + 0x140 + 16;
    case REC_REC:
    case REC_REC_2:
        return 0x30 + 0x140 + MACHINE_CONTEXT + 16;
    default:
        return 0x30 + 2 * (8 + page) + 16;
    }
}

static void test_a_flipped_byte_anywhere_is_refused(void)
{
    for (unsigned r = 0; r < NUM_RECORDS; r++) {
        size_t size = record_size(r), step = size / 12;

        for (size_t at = 0; at < 0x40; at++) {
            refused((Attack) { FLIP, r, at });
        }
        for (size_t at = 0x40; at < size; at += step) {
            refused((Attack) { FLIP, r, at });
        }
        refused((Attack) { FLIP, r, size - 1 });
        refused((Attack) { FLIP, r, size - 16 });
    }
}

static void test_a_record_that_is_cut_or_grows_is_refused(void)
{
    for (unsigned r = 0; r < NUM_RECORDS; r++) {
        refused((Attack) { CUT, r, 1 });
        refused((Attack) { CUT, r, 16 });
        refused((Attack) { CUT, r, record_size(r) - 0x30 });
        refused((Attack) { CUT, r, record_size(r) - 1 });
        refused((Attack) { CUT, r, record_size(r) });
        refused((Attack) { GROW, r, 0 });
    }
}

static void test_a_dropped_or_repeated_record_is_refused(void)
{
    for (unsigned r = 0; r < NUM_RECORDS; r++) {
        refused((Attack) { DROP, r, 0 });
        if (r != REC_START) {   /* by then all is said, and it was refused */
            refused((Attack) { TWICE, r, 0 });
        }
    }
}

static void test_records_in_another_order_are_refused(void)
{
    for (unsigned r = 0; r < NUM_RECORDS; r++) {
        for (unsigned q = r + 1; q < NUM_RECORDS; q++) {
            bool free_order =
                (r >= REC_MEM && q <= REC_MEM_S1 && q == REC_MEM_S1 &&
                 r == REC_MEM_2) ||
                (r == REC_MEM_E2_2 && q == REC_MEM_E2_S1);

            if (!free_order) {
                refused((Attack) { SWAP, r, q });
            }
        }
    }
}

static void test_streams_may_overtake_each_other_inside_an_epoch(void)
{
    int state;

    OK(attack(&(Attack) { SWAP, REC_MEM_2, REC_MEM_S1 }, &state));
    g_assert_cmpint(state, ==, REALM_ACTIVE);
}

static void test_a_record_in_the_place_of_another_is_refused(void)
{
    for (unsigned r = 0; r < NUM_RECORDS; r++) {
        for (unsigned q = 0; q < NUM_RECORDS; q++) {
            if (r != q) {
                refused((Attack) { REPLACE, r, q });
            }
        }
        if (r != REC_BEGIN) {
            refused((Attack) { RESTREAM, r, 3 });
        }
    }
}

/* ---- what the source refuses ---- */

static void test_pages_leave_once_per_epoch_and_only_if_collected(void)
{
    Machine *src = source_new(&machine_defaults, 4);
    Machine *dst = machine_new(&machine_defaults);
    GRand *rand = rand_new();
    uint64_t ipa = 0;

    connect(src, dst);
    /* Not collected: nothing leaves, and the counter stays */
    g_assert_null(machine_send_pages(src, &ipa, 1, 0));
    g_array_unref(machine_collect(src));
    take(dst, machine_send_pages(src, &ipa, 1, 0));
    g_assert_null(machine_send_pages(src, &ipa, 1, 0));
    machine_scribble(src, 0, rand);
    g_assert_null(machine_send_pages(src, &ipa, 1, 0));
    REFUSES(src, MIG(src, MIG_COLLECT_DIRTY, 0, MACHINE_TOP, NS_BITMAP),
            REFUSED(MIG_CAUSE_SAME_EPOCH));
    next_epoch(src, dst);
    g_array_unref(machine_collect(src));
    take(dst, machine_send_pages(src, &ipa, 1, 0));
    g_rand_free(rand);
    machine_free(src);
    machine_free(dst);
}

static void test_collecting_invalidates_once(void)
{
    Machine *src = source_new(&machine_defaults, 40);
    Machine *dst = machine_new(&machine_defaults);
    gint before;

    connect(src, dst);
    before = src->invalidations;
    g_array_unref(machine_collect(src));
    g_assert_cmpint(src->invalidations, ==, before + 1);
    machine_free(src);
    machine_free(dst);
}

static void test_no_start_token_while_anything_is_missing(void)
{
    Machine *src = source_new(&machine_defaults, 4);
    Machine *dst = machine_new(&machine_defaults);
    GRand *rand = rand_new();
    GArray *ipas;
    uint64_t result;

#define START MIG(src, MIG_EXPORT_START, NS_BLOB(0), 4096)
    connect(src, dst);
    REFUSES(src, START, REFUSED(MIG_CAUSE_STATE));
    send_round(src, dst, 1, 64);
    machine_scribble(src, 0, rand);
    OK(MIG(src, MIG_PAUSE));
    REFUSES(src, START, REFUSED(MIG_CAUSE_REALM_MISSING));
    take(dst, machine_export(src, MIG_EXPORT_REALM, 0, &result));
    REFUSES(src, MIG(src, MIG_EXPORT_REALM, NS_BLOB(0), 65536, 0),
            REFUSED(MIG_CAUSE_REALM_PART));
    for (unsigned i = 0; i < MACHINE_RECS; i++) {
        REFUSES(src, START, REFUSED(MIG_CAUSE_REC_MISSING));
        take(dst, machine_export(src, MIG_EXPORT_REC, src->recs[i], &result));
        REFUSES(src, MIG(src, MIG_EXPORT_REC, src->recs[i], NS_BLOB(0),
                         65536 * 2), REFUSED(MIG_CAUSE_REC_REPEATED));
    }
    /* Dirty; then collected, but not sent */
    REFUSES(src, START, REFUSED(MIG_CAUSE_PAGES_DIRTY));
    next_epoch(src, dst);
    ipas = machine_collect(src);
    g_assert_cmpuint(ipas->len, ==, 1);
    REFUSES(src, START, REFUSED(MIG_CAUSE_PAGES_DIRTY));
    take(dst, machine_send_pages(src, (uint64_t *)ipas->data, 1, 0));
    take(dst, machine_export(src, MIG_EXPORT_START, 0, &result));
    REFUSES(src, START, REFUSED(MIG_CAUSE_STATE));
    OK(MIG(dst, MIG_IMPORT_COMMIT));
    same_realm(src, dst);
#undef START
    g_array_unref(ipas);
    g_rand_free(rand);
    machine_free(src);
    machine_free(dst);
}

static void test_a_paused_realm_keeps_its_pages_and_recs(void)
{
    Machine *src = source_new(&machine_defaults, 4);
    Machine *dst = machine_new(&machine_defaults);

    connect(src, dst);
    OK(MIG(src, MIG_PAUSE));
    g_assert_cmphex(SMC(src, RMI_DATA_DESTROY, src->rd, 0), !=, RMI_SUCCESS);
    g_assert_cmphex(SMC(src, RMI_REC_DESTROY, src->recs[0]), !=, RMI_SUCCESS);
    g_assert_cmphex(SMC(src, RMI_DATA_CREATE_UNKNOWN, src->rd,
                        machine_granule(src), 0x10000), !=, RMI_SUCCESS);
    g_assert_cmphex(SMC(src, RMI_REC_ENTER, src->recs[0], NS_BITMAP), !=,
                    RMI_SUCCESS);
    machine_free(src);
    machine_free(dst);
}

static void test_bad_arguments_change_nothing(void)
{
    Machine *src = source_new(&machine_defaults, 4);
    Machine *dst = machine_new(&machine_defaults);
    const uint64_t nowhere = 0x1000, granule = MACHINE_GRANULES;
    uint64_t *list;

    REFUSES(dst, MIG(dst, MIG_OFFER, nowhere, 4096), RMI_ERROR_INPUT);
    REFUSES(dst, MIG(dst, MIG_OFFER, granule, 4096), RMI_ERROR_INPUT);
    REFUSES(dst, MIG(dst, MIG_OFFER, NS_BLOB(0), 16), RMI_ERROR_INPUT);
    REFUSES(src, MIG(src, MIG_ACCEPT, nowhere, sizeof(MigHello)),
            RMI_ERROR_INPUT);
    connect(src, dst);
    list = machine_ns(src, NS_LIST(0));
    list[0] = 0;
    list[1] = 0x1234;
#define COLLECT(...) MIG(src, MIG_COLLECT_DIRTY, __VA_ARGS__)
    REFUSES(src, COLLECT(0, 0, NS_BITMAP), RMI_ERROR_INPUT);
    REFUSES(src, COLLECT(1, MACHINE_TOP, NS_BITMAP), RMI_ERROR_INPUT);
    REFUSES(src, COLLECT(0, MACHINE_TOP + 4096, NS_BITMAP), RMI_ERROR_INPUT);
    g_array_unref(machine_collect(src));
    REFUSES(src, COLLECT(0, MACHINE_TOP, nowhere), RMI_ERROR_INPUT);
#define EXPORT(...) MIG(src, MIG_EXPORT_MEMORY, __VA_ARGS__)
    REFUSES(src, EXPORT(NS_LIST(0), 0, NS_BLOB(0), MIG_MAX_BUNDLE, 0),
            RMI_ERROR_INPUT);
    REFUSES(src, EXPORT(NS_LIST(0), 513, NS_BLOB(0), MIG_MAX_BUNDLE, 0),
            RMI_ERROR_INPUT);
    REFUSES(src, EXPORT(NS_LIST(0), 2, NS_BLOB(0), MIG_MAX_BUNDLE, 0),
            RMI_ERROR_INPUT);
    REFUSES(src, EXPORT(nowhere, 1, NS_BLOB(0), MIG_MAX_BUNDLE, 0),
            RMI_ERROR_INPUT);
    REFUSES(src, EXPORT(NS_LIST(0), 1, NS_BLOB(0), 4096, 0),
            RMI_ERROR_INPUT);
    REFUSES(src, EXPORT(NS_LIST(0), 1, NS_BLOB(0), MIG_MAX_BUNDLE, 16),
            RMI_ERROR_INPUT);
    /* The page is taken, cannot be handed over, and is put back */
    REFUSES(src, EXPORT(NS_LIST(0), 1, nowhere, MIG_MAX_BUNDLE, 0),
            RMI_ERROR_INPUT);
    REFUSES(dst, MIG(dst, MIG_IMPORT, nowhere, 64), RMI_ERROR_INPUT);
    REFUSES(dst, MIG(dst, MIG_IMPORT_MEMORY, nowhere, 64, NS_LIST(0), 1),
            RMI_ERROR_INPUT);
    g_assert_cmphex(SMC(dst, MIG_FID_BASE + MIG_NUM_CALLS, dst->rd), ==,
                    SMCCC_NOT_SUPPORTED);
    g_assert_cmphex(SMC(dst, MIG_FID_BASE + MIG_PAUSE, nowhere), ==,
                    RMI_ERROR_INPUT);
#undef COLLECT
#undef EXPORT
    next_epoch(src, dst);
    send_round(src, dst, 1, 64);
    finish(src, dst);
    same_realm(src, dst);
    machine_free(src);
    machine_free(dst);
}

/* Every call in a phase that does not have it */
static void test_calls_out_of_phase_change_nothing(void)
{
    static const unsigned calls[] = {
        MIG_EXPORT_BEGIN, MIG_COLLECT_DIRTY, MIG_EXPORT_MEMORY,
        MIG_EXPORT_EPOCH, MIG_PAUSE, MIG_EXPORT_REALM, MIG_EXPORT_REC,
        MIG_EXPORT_START, MIG_EXPORT_ABORT, MIG_IMPORT, MIG_IMPORT_MEMORY,
        MIG_IMPORT_COMMIT, MIG_IMPORT_ABORT,
    };
    Machine *idle = source_new(&machine_defaults, 4);
    Machine *dst = machine_new(&machine_defaults);

    for (size_t i = 0; i < G_N_ELEMENTS(calls); i++) {
        REFUSES(idle, MIG(idle, calls[i], NS_BLOB(0), 4096, NS_BLOB(0), 4096,
                          1), REFUSED(MIG_CAUSE_STATE));
    }
    OK(MIG(dst, MIG_OFFER, NS_BLOB(0), 4096));
    for (size_t i = 0; i < G_N_ELEMENTS(calls); i++) {
        if (calls[i] < MIG_IMPORT || calls[i] == MIG_IMPORT_MEMORY ||
            calls[i] == MIG_IMPORT_COMMIT) {
            REFUSES(dst, MIG(dst, calls[i], NS_BLOB(0), 4096, NS_BLOB(0),
                             4096, 1), REFUSED(MIG_CAUSE_STATE));
        }
    }
    machine_free(idle);
    machine_free(dst);
}

/* ---- what changes while it is exported ---- */

static void test_a_page_destroyed_meanwhile_is_gone_at_the_destination(void)
{
    Machine *src = source_new(&machine_defaults, 10);
    Machine *dst = machine_new(&machine_defaults);
    GArray *ipas;
    uint64_t out[3], pa;

    connect(src, dst);
    send_round(src, dst, 1, 64);
    /* One that was sent, and one that is collected */
    OK(SMC_OUT(src, out, RMI_DATA_DESTROY, src->rd, page_ipa(1, 10)));
    machine_page(src, page_ipa(2, 10), true, NULL);
    next_epoch(src, dst);
    ipas = machine_collect(src);
    g_assert_cmpuint(ipas->len, ==, 1);
    OK(SMC_OUT(src, out, RMI_DATA_DESTROY, src->rd, page_ipa(2, 10)));
    g_assert_null(machine_send_pages(src, (uint64_t *)ipas->data, 1, 0));
    SMC_OUT(dst, out, RMI_RTT_READ_ENTRY, dst->rd, page_ipa(1, 10), 3);
    pa = out[2];
    g_assert_cmpint(granule_state(dst->rmm, pa), ==, GRANULE_DATA);
    finish(src, dst);
    same_realm(src, dst);
    g_assert_null(machine_page(dst, page_ipa(1, 10), false, NULL));
    g_assert_null(machine_page(dst, page_ipa(2, 10), false, NULL));
    /* Given back, and wiped */
    g_assert_cmpint(granule_state(dst->rmm, pa), ==, GRANULE_DELEGATED);
    for (int i = 0; i < RMM_GRANULE_SIZE; i++) {
        g_assert_cmpuint(dst->granules[pa - MACHINE_GRANULES + i], ==, 0);
    }
    g_array_unref(ipas);
    machine_free(src);
    machine_free(dst);
}

static void test_a_page_made_meanwhile_arrives(void)
{
    Machine *src = source_new(&machine_defaults, 10);
    Machine *dst = machine_new(&machine_defaults);

    connect(src, dst);
    send_round(src, dst, 1, 64);
    machine_add_page(src, 0x100000);
    finish(src, dst);
    g_assert_nonnull(machine_page(dst, 0x100000, false, NULL));
    same_realm(src, dst);
    machine_free(src);
    machine_free(dst);
}

/* The map that map_arrives made, but for a page that is EMPTY: it is lost */
static void check_map(Machine *dst)
{
    RmmRealm *d = realm_lock(dst->rmm, dst->rd);
    uint64_t top;

    g_assert_cmpint(rtt_ripas_run(d, page_ipa(3, 10), MACHINE_TOP, &top),
                    ==, RTT_EMPTY);
    g_assert_cmpuint(rtt_count_assigned(d), ==, 9);
    for (unsigned i = 0; i < 30; i++) {
        uint64_t ipa = (6ull << 20) + i * 3 * RMM_GRANULE_SIZE;

        g_assert_cmpint(rtt_ripas_run(d, ipa, MACHINE_TOP, &top), ==,
                        i % 2 ? RTT_EMPTY : RTT_DESTROYED);
        g_assert_cmphex(top, ==, ipa + RMM_GRANULE_SIZE);
    }
    g_assert_cmpint(rtt_ripas_run(d, MACHINE_RAM_TOP + 0x5000,
                                  MACHINE_TOP, &top), ==, RTT_RAM);
    g_assert_cmphex(top, ==, MACHINE_RAM_TOP + 0x6000);
    realm_unlock(d);
}

/* RIPAS of all kinds, in one part or in many */
static void map_arrives(uint64_t buffer)
{
    Machine *src = source_new(&machine_defaults, 10);
    Machine *dst = machine_new(&machine_defaults);
    uint64_t out[3], base = 0, result, top;
    unsigned parts = 0;
    RmmRealm *realm;

    machine_table(src, 6ull << 20);
    machine_table(dst, 6ull << 20);
    machine_table(src, MACHINE_RAM_TOP + 0x5000);
    machine_table(dst, MACHINE_RAM_TOP + 0x5000);
    realm = realm_lock(src->rmm, src->rd);
    for (unsigned i = 0; i < 30; i++) {
        uint64_t ipa = (6ull << 20) + i * 3 * RMM_GRANULE_SIZE;

        rtt_set_ripas(realm, ipa, ipa + RMM_GRANULE_SIZE, i % 2 ? RTT_EMPTY
                      : RTT_DESTROYED, true, &top);
    }
    /* RAM where the destination has none, and a page that is EMPTY */
    rtt_set_ripas(realm, MACHINE_RAM_TOP + 0x5000, MACHINE_RAM_TOP + 0x6000,
                  RTT_RAM, true, &top);
    rtt_set_ripas(realm, page_ipa(3, 10), page_ipa(4, 10), RTT_EMPTY, true,
                  &top);
    realm_unlock(realm);

    connect(src, dst);
    send_round(src, dst, 1, 64);
    OK(MIG(src, MIG_PAUSE));
    do {
        OK(MIG_OUT(src, out, MIG_EXPORT_REALM, NS_BLOB(0), buffer, base));
        base = out[1];
        take(dst, machine_record(src, RMI_SUCCESS, out[0], 0));
        parts++;
    } while (base);
    g_assert_true((parts > 5) == (buffer < 1024));
    for (unsigned i = 0; i < MACHINE_RECS; i++) {
        take(dst, machine_export(src, MIG_EXPORT_REC, src->recs[i], &result));
    }
    take(dst, machine_export(src, MIG_EXPORT_START, 0, &result));
    OK(MIG(dst, MIG_IMPORT_COMMIT));
    check_map(dst);
    machine_free(src);
    machine_free(dst);
}

static void test_the_ripas_map_arrives_in_one_part(void)
{
    map_arrives(MIG_MAX_BUNDLE);
}

static void test_the_ripas_map_arrives_in_many_parts(void)
{
    map_arrives(bundle_size(0, sizeof(MigMutable)) + 5 * sizeof(MigRun));
}

static void test_pending_calls_of_a_rec_arrive(void)
{
    Machine *src = source_new(&machine_defaults, 4);
    Machine *dst = machine_new(&machine_defaults);
    RmmRec *rec = machine_rec(src, 0);

    rec->pending = REC_PENDING_RIPAS;
    rec->ripas.addr = 0x5000;
    rec->ripas.top = 0x9000;
    rec->ripas.value = RMI_RIPAS_RAM;
    rec->ripas.change_destroyed = true;
    rec = machine_rec(src, 1);
    rec->pending = REC_PENDING_HOST_CALL;
    rec->host_call_ipa = 0x2100;
    machine_rec(src, 2)->pending = REC_PENDING_PSCI;
    connect(src, dst);
    send_round(src, dst, 1, 64);
    finish(src, dst);
    same_recs(src, dst);
    g_assert_cmpint(machine_rec(dst, 2)->pending, ==, REC_PENDING_PSCI);
    machine_free(src);
    machine_free(dst);
}

/* ---- what the destination's host has to put right ---- */

static void test_a_missing_table_or_granule_can_be_put_right(void)
{
    Machine *src = source_new(&machine_defaults, 4);
    Machine *dst = machine_new(&machine_defaults);
    uint64_t ipas[2] = { 0, RMM_GRANULE_SIZE }, *granules;
    uint64_t out[3], used;
    Record *record;

    connect(src, dst);
    g_array_unref(machine_collect(src));
    record = machine_send_pages(src, ipas, 2, 0);
    memcpy(machine_ns(dst, NS_BLOB(0)), record->data, record->len);
    granules = machine_ns(dst, NS_LIST(0));
    granules[0] = machine_granule(dst);
    granules[1] = machine_granule(dst);
#define IMPORT MIG_OUT(dst, out, MIG_IMPORT_MEMORY, NS_BLOB(0), record->len, \
                       NS_LIST(0), 2)
    REFUSES(dst, IMPORT, RMI_RESULT(RMI_ERROR_RTT, 1));
    machine_table(dst, 0);
    /* Not delegated; then the same twice */
    used = granules[1];
    granules[1] = 0;
    REFUSES(dst, IMPORT, RMI_ERROR_INPUT);
    g_assert_cmphex(out[0], ==, RMM_GRANULE_SIZE);
    granules[1] = granules[0];
    REFUSES(dst, IMPORT, RMI_ERROR_INPUT);
    g_assert_cmphex(out[0], ==, RMM_GRANULE_SIZE);
    granules[1] = used;
    REFUSES(dst, MIG(dst, MIG_IMPORT_MEMORY, NS_BLOB(0), record->len,
                     NS_LIST(0), 1), RMI_ERROR_INPUT);
    OK(IMPORT);
#undef IMPORT
    same_page(src, dst, 0);
    same_page(src, dst, RMM_GRANULE_SIZE);
    g_byte_array_unref(record);
    machine_free(src);
    machine_free(dst);
}

static void test_commit_names_the_table_that_is_missing(void)
{
    Machine *src = source_new(&machine_defaults, 4);
    Machine *dst = machine_new(&machine_defaults);
    const uint64_t hole = 100ull << 20;
    GPtrArray *records;
    uint64_t out[3], top;
    RmmRealm *realm;

    machine_table(src, hole);
    realm = realm_lock(src->rmm, src->rd);
    OK(rtt_set_ripas(realm, hole + 0x3000, hole + 0x4000, RTT_EMPTY, true,
                     &top));
    realm_unlock(realm);
    connect(src, dst);
    send_round(src, dst, 1, 64);
    OK(MIG(src, MIG_PAUSE));
    records = machine_final_records(src);
    for (guint i = 0; i < records->len; i++) {
        OK(machine_receive(dst, records->pdata[i]));
    }
    REFUSES(dst, MIG_OUT(dst, out, MIG_IMPORT_COMMIT),
            RMI_RESULT(RMI_ERROR_RTT, 2));
    g_assert_cmphex(out[0], ==, hole + 0x3000);
    machine_table(dst, out[0]);
    OK(MIG(dst, MIG_IMPORT_COMMIT));
    same_realm(src, dst);
    g_ptr_array_unref(records);
    machine_free(src);
    machine_free(dst);
}

static void test_a_rec_that_the_host_adds_late_stops_the_commit(void)
{
    Machine *src = source_new(&machine_defaults, 4);
    Machine *dst = machine_new(&machine_defaults);
    GPtrArray *records;

    connect(src, dst);
    send_round(src, dst, 1, 64);
    OK(MIG(src, MIG_PAUSE));
    records = machine_final_records(src);
    for (guint i = 0; i < records->len; i++) {
        OK(machine_receive(dst, records->pdata[i]));
    }
    machine_add_rec(dst, MACHINE_RECS);
    REFUSES(dst, MIG(dst, MIG_IMPORT_COMMIT), REFUSED(MIG_CAUSE_REC_EXTRA));
    g_assert_cmpint(machine_state(dst), ==, REALM_IMPORT);
    g_ptr_array_unref(records);
    machine_free(src);
    machine_free(dst);
}

static void test_pages_that_the_host_put_there_before_do_not_stay(void)
{
    Machine *src = source_new(&machine_defaults, 4);
    Machine *dst = machine_new(&machine_defaults);

    /* RAM that no page of the source covers, and RIPAS EMPTY where one is */
    machine_add_page(dst, 0x80000);
    machine_add_page(dst, 0);
    connect(src, dst);
    send_round(src, dst, 1, 64);
    finish(src, dst);
    same_realm(src, dst);
    g_assert_null(machine_page(dst, 0x80000, false, NULL));
    machine_free(src);
    machine_free(dst);
}

static void test_the_host_takes_no_page_from_a_realm_that_arrives(void)
{
    Machine *src = source_new(&machine_defaults, 4);
    Machine *dst = machine_new(&machine_defaults);

    connect(src, dst);
    send_round(src, dst, 1, 64);
    REFUSES(dst, RMI_STATUS(SMC(dst, RMI_DATA_DESTROY, dst->rd, 0)),
            RMI_ERROR_REALM);
    REFUSES(dst, RMI_STATUS(SMC(dst, RMI_REALM_ACTIVATE, dst->rd)),
            RMI_ERROR_REALM);
    REFUSES(dst, RMI_STATUS(SMC(dst, RMI_REC_ENTER, dst->recs[0],
                                NS_BITMAP)), RMI_ERROR_REALM);
    machine_free(src);
    machine_free(dst);
}

static void test_a_machine_that_refuses_a_context_fails_the_import(void)
{
    Machine *src = source_new(&machine_defaults, 4);
    Machine *dst = machine_new(&machine_defaults);
    Record *record;
    uint64_t result;

    dst->refuse_context = true;
    connect(src, dst);
    OK(MIG(src, MIG_PAUSE));
    record = machine_export(src, MIG_EXPORT_REC, src->recs[0], &result);
    g_assert_cmphex(machine_receive(dst, record), ==,
                    REFUSED(MIG_CAUSE_CONTEXT_REFUSED));
    g_assert_cmpint(machine_state(dst), ==, REALM_FAILED);
    g_byte_array_unref(record);
    machine_free(src);
    machine_free(dst);
}

static void no_secret_left(Machine *m)
{
    static const uint8_t zero[CRYPTO_KEY_SIZE];
    MigSession *s = machine_session(m);

    g_assert_cmpmem(s->key, sizeof(s->key), zero, sizeof(zero));
    g_assert_cmpmem(s->secret, sizeof(s->secret), zero, sizeof(zero));
    for (int i = 0; i < MIG_MAX_STREAMS; i++) {
        g_assert_null(s->streams[i].aead);
        g_assert_null(s->streams[i].scratch);
    }
}

static void test_every_end_of_a_session_wipes_its_keys(void)
{
    for (int end = 0; end < 4; end++) {
        Machine *src = source_new(&machine_defaults, 4);
        Machine *dst = machine_new(&machine_defaults);
        Record *bad = g_byte_array_new();

        connect(src, dst);
        send_round(src, dst, 2, 2);
        switch (end) {
        case 0:
            finish(src, dst);
            break;
        case 1:
            OK(MIG(src, MIG_EXPORT_ABORT));
            OK(MIG(dst, MIG_IMPORT_ABORT));
            break;
        case 2:
            OK(MIG(src, MIG_EXPORT_ABORT));
            g_byte_array_set_size(bad, 64);
            g_assert_cmphex(machine_receive(dst, bad), ==,
                            REFUSED(MIG_CAUSE_FORMAT));
            break;
        default:
            OK(MIG(src, MIG_EXPORT_ABORT));
            g_byte_array_set_size(bad, 64);
            memset(bad->data, 0, 64);
            bad->data[6] = MIG_TYPE_MEMORY;
            g_assert_cmphex(machine_receive(dst, bad), ==,
                            REFUSED(MIG_CAUSE_FORMAT));
            break;
        }
        g_assert_cmpint(machine_state(dst), ==,
                        end ? REALM_FAILED : REALM_ACTIVE);
        no_secret_left(src);
        no_secret_left(dst);
        g_byte_array_unref(bad);
        machine_free(src);
        machine_free(dst);
    }
}

static void test_an_aborted_import_is_final(void)
{
    Machine *src = source_new(&machine_defaults, 4);
    Machine *dst = machine_new(&machine_defaults);
    uint64_t result;
    Record *token;

    connect(src, dst);
    OK(MIG(dst, MIG_IMPORT_ABORT));
    g_assert_cmpint(machine_state(dst), ==, REALM_FAILED);
    token = machine_export(src, MIG_EXPORT_EPOCH, 0, &result);
    REFUSES(dst, machine_receive(dst, token), REFUSED(MIG_CAUSE_STATE));
    REFUSES(dst, MIG(dst, MIG_IMPORT_COMMIT), REFUSED(MIG_CAUSE_STATE));
    REFUSES(dst, MIG(dst, MIG_OFFER, NS_BLOB(0), 4096),
            REFUSED(MIG_CAUSE_STATE));
    g_byte_array_unref(token);
    machine_free(src);
    machine_free(dst);
}

/* ---- what others see ---- */

static const char marker[] = "A marker that nobody outside may ever see";

static void assert_no_marker(const void *data, size_t len)
{
    g_assert_null(memmem(data, len, marker, sizeof(marker) - 1));
    g_assert_null(memmem(data, len, marker, 16));
}

static void test_no_plaintext_leaves(void)
{
    Machine *src = source_new(&machine_defaults, 10);
    Machine *dst = machine_new(&machine_defaults);

    for (unsigned i = 0; i < 10; i++) {
        uint8_t *tags, *page = machine_page(src, page_ipa(i, 10), true, &tags);

        memcpy(page + 100 * i, marker, sizeof(marker));
        memcpy(tags, marker, sizeof(marker));
    }
    memcpy(machine_rec(src, 0)->x, marker, sizeof(marker));
    memcpy(src->contexts[1] + 40, marker, sizeof(marker));
    connect(src, dst);
    send_round(src, dst, 2, 3);
    finish(src, dst);
    same_realm(src, dst);
    g_assert_nonnull(memmem(machine_page(dst, page_ipa(3, 10), false, NULL),
                            RMM_GRANULE_SIZE, marker, sizeof(marker)));
    assert_no_marker(src->ns, src->ns_size);
    assert_no_marker(dst->ns, dst->ns_size);
    machine_free(src);
    machine_free(dst);
}

static void test_bundle_sizes_do_not_depend_on_contents(void)
{
    Machine *src = source_new(&machine_defaults, 4);
    Machine *dst = machine_new(&machine_defaults);
    uint64_t ipas[4];
    Record *one, *two;

    for (unsigned i = 0; i < 4; i++) {
        ipas[i] = page_ipa(i, 4);
    }
    connect(src, dst);
    g_array_unref(machine_collect(src));
    one = machine_send_pages(src, ipas, 4, 0);
    for (unsigned i = 0; i < 4; i++) {
        uint8_t *tags, *page = machine_page(src, ipas[i], true, &tags);

        memset(page, 0, RMM_GRANULE_SIZE);
        memset(tags, 0, RMM_TAG_BYTES);
    }
    OK(MIG(src, MIG_EXPORT_EPOCH, NS_BLOB(0), 4096));
    g_array_unref(machine_collect(src));
    two = machine_send_pages(src, ipas, 4, 0);
    g_assert_cmpuint(one->len, ==, two->len);
    g_assert_cmpuint(one->len, ==, bundle_size(4, 4 * MIG_PAGE_BYTES));
    g_byte_array_unref(one);
    g_byte_array_unref(two);
    machine_free(src);
    machine_free(dst);
}

static void test_without_the_extension_there_are_no_calls(void)
{
    Machine *m = machine_new(&machine_defaults);
    uint64_t out[3];

    OK(SMC_OUT(m, out, MIG_FID_BASE + MIG_FEATURES, 0));
    g_assert_cmpuint(out[0], ==, MIG_VERSION);
    g_assert_cmpuint(out[1], ==, MIG_MAX_BUNDLE);
    g_assert_cmpuint(out[2], ==, MIG_MAX_PAGES);
    m->rmm->platform.migration = false;
    for (unsigned n = 0; n < MIG_NUM_CALLS; n++) {
        g_assert_cmphex(MIG(m, n, NS_BLOB(0), 4096), ==, SMCCC_NOT_SUPPORTED);
    }
    machine_free(m);
}

/* Last: over all that the tests before it did */
static void test_no_iv_is_used_twice(void)
{
    guint uses = oracle_uses ? g_hash_table_size(oracle_uses) : 0;

    g_test_message("%u uses of the cipher", uses);
    g_assert_cmpuint(uses, >, 1000);
    g_assert_cmpuint(oracle_repeats, ==, 0);
    /* And every cipher is gone with its session */
    g_assert_cmpuint(g_hash_table_size(oracle_keys), ==, 0);
}

#define TEST(name) g_test_add_func("/migrate/" #name, test_##name)

static void add_migrations(void)
{
    TEST(a_realm_arrives_byte_by_byte);
    TEST(a_realm_arrives_over_four_streams);
    TEST(a_realm_arrives_with_compact_tags);
    TEST(a_realm_without_mte_arrives);
    TEST(it_migrates_on_from_where_it_arrived);
    TEST(a_realm_that_writes_all_the_time_arrives_whole);
    TEST(after_an_abort_the_realm_runs_and_migrates_again);
    TEST(after_the_start_token_the_source_cannot_go_back);
    TEST(an_offer_serves_once);
    TEST(a_malformed_offer_is_refused);
    TEST(a_realm_made_without_the_flag_does_not_migrate);
    TEST(a_destination_with_other_parameters_is_told_which);
}

static void add_attacks(void)
{
    TEST(the_unattacked_migration_succeeds);
    TEST(a_flipped_byte_anywhere_is_refused);
    TEST(a_record_that_is_cut_or_grows_is_refused);
    TEST(a_dropped_or_repeated_record_is_refused);
    TEST(records_in_another_order_are_refused);
    TEST(streams_may_overtake_each_other_inside_an_epoch);
    TEST(a_record_in_the_place_of_another_is_refused);
}

static void add_rules(void)
{
    TEST(pages_leave_once_per_epoch_and_only_if_collected);
    TEST(collecting_invalidates_once);
    TEST(no_start_token_while_anything_is_missing);
    TEST(a_paused_realm_keeps_its_pages_and_recs);
    TEST(bad_arguments_change_nothing);
    TEST(calls_out_of_phase_change_nothing);
    TEST(a_page_destroyed_meanwhile_is_gone_at_the_destination);
    TEST(a_page_made_meanwhile_arrives);
    TEST(the_ripas_map_arrives_in_one_part);
    TEST(the_ripas_map_arrives_in_many_parts);
    TEST(pending_calls_of_a_rec_arrive);
    TEST(a_missing_table_or_granule_can_be_put_right);
    TEST(commit_names_the_table_that_is_missing);
    TEST(a_rec_that_the_host_adds_late_stops_the_commit);
    TEST(pages_that_the_host_put_there_before_do_not_stay);
    TEST(the_host_takes_no_page_from_a_realm_that_arrives);
    TEST(a_machine_that_refuses_a_context_fails_the_import);
    TEST(every_end_of_a_session_wipes_its_keys);
    TEST(an_aborted_import_is_final);
    TEST(no_plaintext_leaves);
    TEST(bundle_sizes_do_not_depend_on_contents);
    TEST(without_the_extension_there_are_no_calls);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add_migrations();
    add_attacks();
    add_rules();
    TEST(no_iv_is_used_twice);
    return g_test_run();
}
