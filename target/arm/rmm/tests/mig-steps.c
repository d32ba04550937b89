/*
 * Steps of a migration between two machines, for tests
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "granule.h"
#include "measurement.h"
#include "mig-steps.h"
#include "rec.h"
#include "rmm-internal.h"
#include "rtt.h"
#include "session.h"

/* ---- machines and what is in them ---- */

uint64_t page_ipa(unsigned i, unsigned n)
{
    return i == n - 1 ? MACHINE_RAM_TOP - RMM_GRANULE_SIZE :
           (i < n / 2 ? 0 : 4ull << 20) + i * (uint64_t)RMM_GRANULE_SIZE;
}

GRand *rand_new(void)
{
    return g_rand_new_with_seed(g_test_rand_int());
}

/* Measurements that the destination has to learn, too */
static void fill_measurements(Machine *m, GRand *rand)
{
    RmmRealm *realm = realm_lock(m->rmm, m->rd);

    for (int slot = 0; slot < MEASUREMENT_SLOTS; slot++) {
        for (int b = 0; b < 32; b++) {
            realm->measurement[slot][b] = g_rand_int(rand);
        }
    }
    /* The RIM as if these were what was measured before the policy */
    measurement_finish(realm);
    realm_unlock(realm);
}

Machine *source_new(const MachineParams *params, unsigned pages)
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
        rec->state = i == 1 ? REC_OFF : REC_READY;
        for (int b = 0; b < MACHINE_CONTEXT; b++) {
            m->contexts[i][b] = g_rand_int(rand);
        }
    }
    machine_activate(m);
    fill_measurements(m, rand);
    g_rand_free(rand);
    return m;
}

static void checksum(GChecksum *sum, const void *data, size_t len)
{
    g_checksum_update(sum, data, len);
}

/*
 * What is DELEGATED holds zeros, unless it holds what the host left there: a
 * bundle that finds no place for all of its pages may have wiped that.
 */
static void checksum_granule(GChecksum *sum, Machine *m, uint64_t pa)
{
    static const uint8_t zero[RMM_GRANULE_SIZE];
    GranuleState state = granule_state(m->rmm, pa);
    uint64_t n = (pa - MACHINE_GRANULES) / RMM_GRANULE_SIZE;
    const uint8_t *page = m->granules + n * RMM_GRANULE_SIZE;
    const uint8_t *tags = m->tags + n * RMM_TAG_BYTES;

    checksum(sum, &state, sizeof(state));
    if (state != GRANULE_DELEGATED) {
        checksum(sum, page, RMM_GRANULE_SIZE);
        checksum(sum, tags, RMM_TAG_BYTES);
    } else if (!granule_is_foreign(m->rmm, pa)) {
        g_assert_cmpmem(page, RMM_GRANULE_SIZE, zero, RMM_GRANULE_SIZE);
        g_assert_cmpmem(tags, RMM_TAG_BYTES, zero, RMM_TAG_BYTES);
    }
}

char *snapshot(Machine *m)
{
    GChecksum *sum = g_checksum_new(G_CHECKSUM_SHA256);
    RmmRealm *realm = realm_lock(m->rmm, m->rd);
    MigSession *s = session_of(realm);
    char *text;

    checksum(sum, &realm->state, sizeof(realm->state));
    checksum(sum, &realm->reclaimed, sizeof(realm->reclaimed));
    checksum(sum, realm->measurement, sizeof(realm->measurement));
    for (uint32_t i = 0; i < RMM_MAX_RECS; i++) {
        if (realm->recs[i]) {
            checksum(sum, realm->recs[i], sizeof(RmmRec));
        }
    }
    checksum(sum, realm->rim_base, sizeof(realm->rim_base));
    checksum(sum, &realm->policy, sizeof(realm->policy));
    checksum(sum, &s->phase, sizeof(s->phase));
    checksum(sum, &s->offer, sizeof(s->offer));
    checksum(sum, &s->hello, sizeof(s->hello));
    checksum(sum, &s->version, sizeof(s->version));
    checksum(sum, &s->features, sizeof(s->features));
    checksum(sum, s->abort_secret, sizeof(s->abort_secret));
    checksum(sum, s->secret, sizeof(s->secret));
    checksum(sum, s->recs, sizeof(s->recs));
    checksum(sum, &s->runs->len, sizeof(s->runs->len));
    checksum(sum, s->key, sizeof(s->key));
    checksum(sum, &s->prepared, sizeof(s->prepared));
    checksum(sum, &s->offered_at, sizeof(s->offered_at));
    checksum(sum, &s->back.counter, sizeof(s->back.counter));
    checksum(sum, s->start, sizeof(s->start));
    checksum(sum, &s->has_receipt, sizeof(s->has_receipt));
    checksum(sum, s->receipt, sizeof(s->receipt));
    if (s->phase != MIG_IDLE) {
        checksum(sum, &s->epoch, sizeof(s->epoch));
    }
    for (int i = 0; i < MIG_MAX_STREAMS; i++) {
        checksum(sum, &s->streams[i].counter, sizeof(uint64_t));
        checksum(sum, &s->streams[i].owed, sizeof(MigOwed));
    }
    realm_unlock(realm);
    for (uint64_t pa = MACHINE_GRANULES; pa < m->next_granule;
         pa += RMM_GRANULE_SIZE) {
        checksum_granule(sum, m, pa);
    }
    checksum(sum, m->contexts, m->params.num_recs * sizeof(m->contexts[0]));
    text = g_strdup(g_checksum_get_string(sum));
    g_checksum_free(sum);
    return text;
}

void same_page(Machine *a, Machine *b, uint64_t ipa)
{
    uint8_t *ta, *tb;
    uint8_t *pa = machine_page(a, ipa, false, &ta);
    uint8_t *pb = machine_page(b, ipa, false, &tb);

    g_assert_nonnull(pa);
    g_assert_nonnull(pb);
    g_assert_cmpmem(pa, RMM_GRANULE_SIZE, pb, RMM_GRANULE_SIZE);
    if (a->params.ext_flags & RMI_REALM_EXT_MTE) {
        g_assert_cmpmem(ta, RMM_TAG_BYTES, tb, RMM_TAG_BYTES);
    }
}

void same_recs(Machine *a, Machine *b)
{
    for (unsigned i = 0; i < a->params.num_recs; i++) {
        RmmRec *ra = machine_rec(a, i), *rb = machine_rec(b, i);

        g_assert_cmpmem(ra->x, sizeof(ra->x), rb->x, sizeof(rb->x));
        g_assert_cmphex(ra->pc, ==, rb->pc);
        g_assert_cmpint(ra->state, ==, rb->state);
        g_assert_cmphex(ra->host_call_ipa, ==, rb->host_call_ipa);
        g_assert_cmpmem(&ra->ripas, sizeof(ra->ripas), &rb->ripas,
                        sizeof(rb->ripas));
        g_assert_cmpint(ra->abort.kind, ==, rb->abort.kind);
        g_assert_cmphex(ra->abort.esr, ==, rb->abort.esr);
        g_assert_cmphex(ra->abort.far, ==, rb->abort.far);
        g_assert_cmpmem(a->contexts[i], MACHINE_CONTEXT, b->contexts[i],
                        MACHINE_CONTEXT);
    }
}

static bool write_map(void *opaque, uint64_t ipa, uint64_t bytes,
                      RttHipas hipas, RttRipas ripas)
{
    g_string_append_printf(opaque, "%#lx+%#lx %d%s\n", (unsigned long)ipa,
                           (unsigned long)bytes, ripas,
                           hipas == RTT_ASSIGNED ? " page" : "");
    return true;
}

char *ripas_map(Machine *m)
{
    GString *text = g_string_new(NULL);
    RmmRealm *realm = realm_lock(m->rmm, m->rd);

    rtt_for_each_ripas(realm, 0, MACHINE_TOP, write_map, text);
    realm_unlock(realm);
    return g_string_free(text, FALSE);
}

void same_realm(Machine *a, Machine *b)
{
    g_autofree char *map_a = ripas_map(a), *map_b = ripas_map(b);
    RmmRealm *ra = realm_ref(realm_lock(a->rmm, a->rd)), *rb;

    realm_unlock(ra);
    rb = realm_ref(realm_lock(b->rmm, b->rd));
    realm_unlock(rb);
    g_assert_cmpmem(ra->measurement, sizeof(ra->measurement),
                    rb->measurement, sizeof(rb->measurement));
    g_assert_cmpmem(ra->rim_base, sizeof(ra->rim_base),
                    rb->rim_base, sizeof(rb->rim_base));
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

void step_take(Machine *dst, Record *record)
{
    g_assert_nonnull(record);
    OK(machine_receive(dst, record));
    g_byte_array_unref(record);
}

void step_sign_offer(Machine *signer, Record *offer)
{
    MigHelloRecord record;

    memcpy(&record.hello, offer->data, sizeof(record.hello));
    g_assert_cmpint(session_sign(signer->rmm, &record, NULL), ==, 0);
    g_byte_array_set_size(offer, 0);
    g_byte_array_append(offer, (uint8_t *)&record, record.hello.size);
}

void step_connect(Machine *src, Machine *dst)
{
    Record *begin;

    OK(machine_connect(src, dst, &begin));
    step_take(dst, begin);
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
        step_take(w->dst,
             machine_send_pages(w->src, &g_array_index(w->ipas, uint64_t, i),
                                MIN(w->bundle, w->ipas->len - i), w->stream));
    }
    return NULL;
}

unsigned step_round(Machine *src, Machine *dst, unsigned streams,
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

void step_epoch(Machine *src, Machine *dst)
{
    uint64_t result;

    step_take(dst, machine_export(src, MIG_EXPORT_EPOCH, 0, &result));
}

void step_all_but_start(Machine *src, Machine *dst)
{
    GPtrArray *records;

    step_connect(src, dst);
    step_round(src, dst, 1, 64);
    OK(MIG(src, MIG_PAUSE));
    records = machine_final_records(src);
    for (guint i = 0; i < records->len; i++) {
        OK(machine_receive(dst, records->pdata[i]));
    }
    g_ptr_array_unref(records);
}

Record *step_start(Machine *src, Machine *dst)
{
    Record *ready, *start;
    uint64_t result;

    OK(machine_ready(dst, &ready));
    start = machine_start(src, ready, &result);
    OK(result);
    g_byte_array_unref(ready);
    return start;
}

void step_run(Machine *dst)
{
    uint64_t out[4];

    do {
        OK(MIG_OUT(dst, out, MIG_IMPORT_COMMIT));
    } while (out[0]);
    g_assert_cmpint(machine_state(dst), ==, REALM_ACTIVE);
}

void step_seal(Machine *src, Machine *dst)
{
    GPtrArray *records;

    OK(MIG(src, MIG_PAUSE));
    step_epoch(src, dst);
    step_round(src, dst, 1, 64);
    records = machine_final_records(src);
    for (guint i = 0; i < records->len; i++) {
        OK(machine_receive(dst, records->pdata[i]));
        g_assert_cmphex(MIG(dst, MIG_IMPORT_COMMIT), ==,
                        REFUSED(MIG_CAUSE_START_MISSING));
    }
    g_ptr_array_unref(records);
    step_take(dst, step_start(src, dst));
    g_assert_cmpint(machine_state(src), ==, REALM_EXPORTED);
    g_assert_cmpint(machine_state(dst), ==, REALM_IMPORT);
}

void step_finish(Machine *src, Machine *dst)
{
    step_seal(src, dst);
    step_run(dst);
    g_assert_cmpint(machine_state(src), ==, REALM_EXPORTED);
}
