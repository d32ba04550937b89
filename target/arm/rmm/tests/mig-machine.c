/*
 * A machine with one Realm that migrates, for tests
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include <sys/mman.h>
#include <gnutls/x509.h>

#include "check-tables.h"
#include "cose.h"
#include "mig.h"
#include "mig-machine.h"
#include "rec.h"
#include "rmm-internal.h"
#include "rtt.h"
#include "session.h"
#include "test-keys.h"

const MachineParams machine_defaults = {
    .ext_flags = RMI_REALM_EXT_MIGRATION | RMI_REALM_EXT_MTE,
    .ipa_bits = MACHINE_IPA_BITS,
    .hash_algo = RMI_HASH_SHA_256,
    .num_bps = 3,
    .num_wps = 3,
    .rpv0 = 0x5a,
    .num_recs = MACHINE_RECS,
    .granules = 600,
    .start_level = 1,
};

/* ---- what the machine gives to the RMM ---- */

static void *op_granule(void *opaque, uint64_t pa)
{
    Machine *m = opaque;
    uint64_t size = m->params.granules * RMM_GRANULE_SIZE;

    return pa >= MACHINE_GRANULES && pa - MACHINE_GRANULES < size ?
           m->granules + (pa - MACHINE_GRANULES) : NULL;
}

static uint8_t *op_tags(void *opaque, uint64_t pa)
{
    Machine *m = opaque;

    return op_granule(m, pa) ? m->tags + (pa - MACHINE_GRANULES) / 32 : NULL;
}

static void *op_ns(void *opaque, uint64_t pa, size_t len)
{
    Machine *m = opaque;

    if (m->ns_gone && m->ns_gone(m->ns_gone_opaque)) {
        return NULL;
    }
    return pa >= MACHINE_NS && pa - MACHINE_NS <= m->ns_size &&
           len <= m->ns_size - (pa - MACHINE_NS) ?
           m->ns + (pa - MACHINE_NS) : NULL;
}

/* Invalidations that this thread began and did not complete */
static _Thread_local unsigned incomplete;
/* It makes a call that says of itself that it invalidates nothing */
static _Thread_local bool harmless;

static void op_tlb(void *opaque, uint16_t vmid, uint64_t base, uint64_t top)
{
    Machine *m = opaque;

    g_assert_cmpuint(base, <, top);
    g_assert_false(harmless);
    g_atomic_int_inc(&m->invalidations);
    incomplete++;
}

static void op_sync(void *opaque)
{
    Machine *m = opaque;

    if (incomplete && m->on_sync) {
        m->on_sync(m->on_sync_opaque);
    }
    incomplete = 0;
    if (m->in_realm) {
        /* Whoever walked before this has also finished its access */
        pthread_rwlock_wrlock(m->in_realm);
        pthread_rwlock_unlock(m->in_realm);
    }
}

static void op_random(void *opaque, void *buf, size_t len)
{
    Machine *m = opaque;
    uint8_t *p = buf;

    for (size_t i = 0; i < len; i++) {
        p[i] = g_rand_int(m->rand);
    }
    if (m->script_left) {
        g_assert_cmpuint(len, <=, m->script_left);
        memcpy(buf, m->script, len);
        m->script += len;
        m->script_left -= len;
    }
    if (m->drawn) {
        m->drawn(m->drawn_opaque, buf, len);
    }
}

static size_t op_key(void *opaque, RmmKey which, void *buf, size_t size)
{
    Machine *m = opaque;
    GBytes *key = m->params.platform_key;

    if (!key || which != RMM_KEY_PLATFORM) {
        return test_key(opaque, which, buf, size);
    }
    g_assert_cmpuint(g_bytes_get_size(key), <=, size);
    memcpy(buf, g_bytes_get_data(key, NULL), g_bytes_get_size(key));
    return g_bytes_get_size(key);
}

static size_t op_save(void *opaque, uint64_t mpidr, void *buf, size_t size)
{
    Machine *m = opaque;

    g_assert_cmpuint(size, >=, MACHINE_CONTEXT);
    if (m->refuse_context) {
        return 0;
    }
    memcpy(buf, m->contexts[mpidr & 0xf], MACHINE_CONTEXT);
    return MACHINE_CONTEXT;
}

static bool op_load(void *opaque, uint64_t mpidr, const void *buf, size_t size)
{
    Machine *m = opaque;

    if (m->refuse_context || size != MACHINE_CONTEXT) {
        return false;
    }
    memcpy(m->contexts[mpidr & 0xf], buf, size);
    return true;
}

static uint64_t op_seconds(void *opaque)
{
    return ((Machine *)opaque)->now;
}

static void op_wipe(void *opaque, uint64_t mpidr)
{
    Machine *m = opaque;

    memset(m->contexts[mpidr & 0xf], 0, MACHINE_CONTEXT);
}

static const RmmOps ops = {
    .granule = op_granule,
    .granule_tags = op_tags,
    .ns = op_ns,
    .tlb_invalidate = op_tlb,
    .tlb_sync = op_sync,
    .random = op_random,
    .context_save = op_save,
    .context_load = op_load,
    .context_wipe = op_wipe,
    .key = op_key,
    .seconds = op_seconds,
};

/* ---- its keys ---- */

GBytes *machine_new_key(void)
{
    gnutls_x509_privkey_t key;
    gnutls_datum_t der;
    GBytes *bytes;

    g_assert_cmpint(gnutls_x509_privkey_init(&key), ==, 0);
    g_assert_cmpint(gnutls_x509_privkey_generate(
        key, GNUTLS_PK_ECDSA,
        GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP384R1), 0), ==, 0);
    g_assert_cmpint(gnutls_x509_privkey_export2(key, GNUTLS_X509_FMT_DER,
                                                &der), ==, 0);
    bytes = g_bytes_new(der.data, der.size);
    gnutls_free(der.data);
    gnutls_x509_privkey_deinit(key);
    return bytes;
}

void machine_key_point(GBytes *key, uint8_t point[96])
{
    CoseKey *cose = cose_key_new(key ? g_bytes_get_data(key, NULL)
                                     : platform_der,
                                 key ? g_bytes_get_size(key)
                                     : sizeof(platform_der));

    g_assert_nonnull(cose);
    cose_key_point(cose, point);
    cose_key_free(cose);
}

MigAnchor machine_anchor(GBytes *key)
{
    MigAnchor anchor = { .kind = MIG_ANCHOR_KEY };

    machine_key_point(key, anchor.key);
    return anchor;
}

/* ---- the host ---- */

uint64_t machine_smc(Machine *m, uint64_t fid, const uint64_t in[7],
                     uint64_t out[4])
{
    RmmPe pe = { .world = RMM_WORLD_HOST, .x = { fid } };

    memcpy(&pe.x[1], in, 7 * sizeof(*in));
    incomplete = 0;             /* what a test does below the calls */
    harmless = !(rmm_call_traits(&pe) & RMM_CALL_INVALIDATES);
    rmm_call(m->rmm, &pe);
    harmless = false;
    g_assert_cmpuint(incomplete, ==, 0);
    g_assert_cmpint(pe.world, ==, RMM_WORLD_HOST);
    if (out) {
        memcpy(out, &pe.x[1], 4 * sizeof(*out));
    }
    return pe.x[0];
}

void *machine_ns(Machine *m, uint64_t pa)
{
    return m->ns + (pa - MACHINE_NS);
}

uint64_t machine_granule(Machine *m)
{
    uint64_t pa;

    pthread_mutex_lock(&m->lock);
    pa = m->next_granule;
    m->next_granule += RMM_GRANULE_SIZE;
    pthread_mutex_unlock(&m->lock);
    g_assert_nonnull(op_granule(m, pa));
    g_assert_cmpuint(SMC(m, RMI_GRANULE_DELEGATE, pa), ==, RMI_SUCCESS);
    return pa;
}

static void create_realm(Machine *m)
{
    RmiRealmParams *p = machine_ns(m, NS_BITMAP);
    unsigned tables = rtt_num_start(m->params.ipa_bits,
                                    m->params.start_level);
    uint64_t table = machine_granule(m), top;
    uint64_t out[4];

    for (unsigned i = 1; i < tables; i++) {
        machine_granule(m);             /* those behind the first */
    }

    memset(p, 0, sizeof(*p));
    p->flags = m->params.flags;
    p->ext_flags = m->params.ext_flags;
    p->s2sz = m->params.ipa_bits;
    p->num_bps = m->params.num_bps;
    p->num_wps = m->params.num_wps;
    p->hash_algo = m->params.hash_algo;
    p->rpv[0] = m->params.rpv0;
    p->vmid = 7;
    p->rtt_base = table;
    p->sve_vl = m->params.sve_vl;
    p->pmu_num_ctrs = m->params.pmu_num_ctrs;
    p->rtt_level_start = m->params.start_level;
    p->rtt_num_start = tables;
    m->rd = machine_granule(m);
    g_assert_cmpuint(SMC(m, RMI_REALM_CREATE, m->rd, NS_BITMAP), ==,
                     RMI_SUCCESS);
    for (top = 0; top < MACHINE_RAM_TOP; top = out[0]) {
        g_assert_cmpuint(SMC_OUT(m, out, RMI_RTT_INIT_RIPAS, m->rd, top,
                                 MACHINE_RAM_TOP), ==, RMI_SUCCESS);
    }
}

void machine_add_rec(Machine *m, unsigned index)
{
    RmiRecParams *p = machine_ns(m, NS_BITMAP);

    memset(p, 0, sizeof(*p));
    p->flags = index == 0;
    p->mpidr = index;
    p->pc = 0x1000 + index;
    m->recs[index] = machine_granule(m);
    g_assert_cmpuint(SMC(m, RMI_REC_CREATE, m->rd, m->recs[index],
                         NS_BITMAP), ==, RMI_SUCCESS);
}

/* Not from malloc: most of it is never touched */
static void *pages_new(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    g_assert_true(p != MAP_FAILED);
    return p;
}

Machine *machine_new(const MachineParams *params)
{
    static gint seed;
    const RmmPlatform platform = {
        .ipa_bits = 48, .num_bps = 5, .num_wps = 5, .sha512 = true,
        .mte = true, .migration = true, .lpa2 = true,
        .sve = true, .sve_vl = 3, .pmu = true, .pmu_num_ctrs = 6,
    };
    Machine *m = g_new0(Machine, 1);

    m->params = *params;
    m->ns_size = (MIG_MAX_STREAMS + 1) * NS_STRIDE;
    m->ns = pages_new(m->ns_size);
    m->granules = pages_new(params->granules * RMM_GRANULE_SIZE);
    m->tags = g_malloc(params->granules * RMM_TAG_BYTES);
    m->next_granule = MACHINE_GRANULES;
    m->tables = g_hash_table_new(NULL, NULL);
    m->rand = g_rand_new_with_seed(params->seed ? params->seed
                                   : g_atomic_int_add(&seed, 1));
    pthread_mutex_init(&m->lock, NULL);
    pthread_mutex_init(&m->tables_lock, NULL);
    m->rmm = rmm_new(&ops, m, &platform);
    create_realm(m);
    if (params->policy.version) {
        g_assert_cmphex(machine_set_policy(m, &params->policy), ==,
                        RMI_SUCCESS);
    }
    for (unsigned i = 0; i < params->num_recs; i++) {
        machine_add_rec(m, i);
    }
    return m;
}

void machine_free(Machine *m)
{
    check_tables(m->rmm);
    rmm_free(m->rmm);
    g_hash_table_unref(m->tables);
    pthread_mutex_destroy(&m->lock);
    pthread_mutex_destroy(&m->tables_lock);
    g_rand_free(m->rand);
    munmap(m->ns, m->ns_size);
    munmap(m->granules, m->params.granules * RMM_GRANULE_SIZE);
    g_free(m->tags);
    g_free(m);
}

static void create_table(Machine *m, uint64_t ipa, int level)
{
    uint64_t bytes = level == 2 ? 1ull << 30 : 2ull << 20;
    gpointer key = GSIZE_TO_POINTER(ipa / bytes << 2 | level);
    uint64_t pa;

    /* A stream that finds the key may rely on the table. */
    pthread_mutex_lock(&m->tables_lock);
    if (g_hash_table_add(m->tables, key)) {
        pa = machine_granule(m);
        g_assert_cmpuint(SMC(m, RMI_RTT_CREATE, m->rd, pa, ipa & ~(bytes - 1),
                             level), ==, RMI_SUCCESS);
    }
    pthread_mutex_unlock(&m->tables_lock);
}

void machine_table(Machine *m, uint64_t ipa)
{
    create_table(m, ipa, 2);
    create_table(m, ipa, 3);
}

void machine_add_page(Machine *m, uint64_t ipa)
{
    machine_table(m, ipa);
    g_assert_cmpuint(SMC(m, RMI_DATA_CREATE_UNKNOWN, m->rd,
                         machine_granule(m), ipa), ==, RMI_SUCCESS);
}

void machine_activate(Machine *m)
{
    g_assert_cmpuint(SMC(m, RMI_REALM_ACTIVATE, m->rd), ==, RMI_SUCCESS);
}

/* ---- the Realm ---- */

uint8_t *machine_page(Machine *m, uint64_t ipa, bool write, uint8_t **tags)
{
    RmmTranslation t;
    RmmStage2 s2;

    g_assert_true(rmm_stage2(m->rmm, m->recs[0], &s2));
    if (rmm_stage2_walk(m->rmm, &s2, ipa, write ? RMM_ACCESS_WRITE
                                                : RMM_ACCESS_READ, &t)
        != RMM_FAULT_NONE) {
        return NULL;
    }
    if (tags) {
        *tags = op_tags(m, t.pa);
    }
    return op_granule(m, t.pa);
}

void machine_scribble(Machine *m, uint64_t ipa, GRand *rand)
{
    uint8_t *tags, *page = machine_page(m, ipa, true, &tags);
    bool plain = g_rand_int(rand) % 4 == 0;

    g_assert_nonnull(page);
    for (int i = 0; i < RMM_GRANULE_SIZE; i += 4) {
        guint32 word = g_rand_int(rand);

        memcpy(page + i, &word, 4);
    }
    for (int i = 0; i < RMM_TAG_BYTES; i++) {
        tags[i] = plain ? 0x77 : g_rand_int(rand);
    }
}

/* ---- what tests look at ---- */

static RmmRealm *peek(Machine *m)
{
    RmmRealm *realm = realm_lock(m->rmm, m->rd);

    g_assert_nonnull(realm);
    realm_unlock(realm);
    return realm;
}

int machine_state(Machine *m)
{
    return peek(m)->state;
}

RmmRec *machine_rec(Machine *m, unsigned index)
{
    return peek(m)->recs[index];
}

MigSession *machine_session(Machine *m)
{
    return peek(m)->session;
}

/* ---- records on the way ---- */

Record *machine_record(Machine *m, uint64_t result, uint64_t bytes,
                       unsigned stream)
{
    if (result != RMI_SUCCESS || bytes == 0) {
        return NULL;
    }
    return g_byte_array_append(g_byte_array_sized_new(bytes),
                               machine_ns(m, NS_BLOB(stream)), bytes);
}

uint64_t machine_prepare(Machine *src, Machine *dst)
{
    uint64_t out[4], result = MIG_OUT(src, out, MIG_PREPARE);

    if (result == RMI_SUCCESS) {
        memcpy(dst->nonce, out, sizeof(dst->nonce));
    }
    return result;
}

uint64_t machine_offer(Machine *dst, Record **offer)
{
    const uint64_t *nonce = dst->nonce;
    uint64_t out[4];
    uint64_t result = MIG_OUT(dst, out, MIG_OFFER, NS_BLOB(0), MIG_MAX_HELLO,
                              nonce[0], nonce[1], nonce[2], nonce[3]);

    *offer = machine_record(dst, result, out[0], 0);
    return result;
}

uint64_t machine_accept(Machine *src, const Record *offer)
{
    memcpy(machine_ns(src, NS_BLOB(0)), offer->data, offer->len);
    return MIG(src, MIG_ACCEPT, NS_BLOB(0), offer->len);
}

uint64_t machine_abort(Machine *dst, Record **token)
{
    uint64_t out[4];
    uint64_t result = MIG_OUT(dst, out, MIG_IMPORT_ABORT, NS_BLOB(0), 4096);

    *token = machine_record(dst, result, out[0], 0);
    return result;
}

uint64_t machine_resume(Machine *src, const Record *token)
{
    memcpy(machine_ns(src, NS_BLOB(0)), token->data, token->len);
    return MIG(src, MIG_EXPORT_RESUME, NS_BLOB(0), token->len);
}

uint64_t machine_set_policy(Machine *m, const MigPolicy *policy)
{
    memcpy(machine_ns(m, NS_BITMAP), policy, sizeof(*policy));
    return MIG(m, MIG_SET_POLICY, NS_BITMAP, sizeof(*policy));
}

uint64_t machine_connect(Machine *src, Machine *dst, Record **begin)
{
    Record *offer = NULL;
    uint64_t result = machine_prepare(src, dst);

    *begin = NULL;
    if (result == RMI_SUCCESS) {
        result = machine_offer(dst, &offer);
    }
    if (result == RMI_SUCCESS) {
        result = machine_accept(src, offer);
    }
    if (result == RMI_SUCCESS) {
        *begin = machine_export(src, MIG_EXPORT_BEGIN, 0, &result);
    }
    g_clear_pointer(&offer, g_byte_array_unref);
    return result;
}

GArray *machine_collect(Machine *m)
{
    GArray *ipas = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    const uint64_t *bits = machine_ns(m, NS_BITMAP);
    uint64_t out[4];

    g_assert_cmpuint(MIG_OUT(m, out, MIG_COLLECT_DIRTY, 0, MACHINE_TOP,
                             NS_BITMAP), ==, RMI_SUCCESS);
    for (uint64_t n = 0; n < MACHINE_TOP / RMM_GRANULE_SIZE; n++) {
        uint64_t ipa = n * RMM_GRANULE_SIZE;

        if (n % 64 == 0 && bits[n / 64] == 0) {
            n += 63;
        } else if (bits[n / 64] >> n % 64 & 1) {
            g_array_append_val(ipas, ipa);
        }
    }
    g_assert_cmpuint(ipas->len, ==, out[0]);
    return ipas;
}

Record *machine_send_pages(Machine *m, const uint64_t *ipas, size_t count,
                           unsigned stream)
{
    uint64_t out[4], result;

    memcpy(machine_ns(m, NS_LIST(stream)), ipas, count * sizeof(*ipas));
    result = MIG_OUT(m, out, MIG_EXPORT_MEMORY, NS_LIST(stream), count,
                     NS_BLOB(stream), MIG_MAX_BUNDLE, stream);
    g_assert_cmpuint(result, ==, RMI_SUCCESS);
    return machine_record(m, result, out[0], stream);
}

static uint64_t receive_pages(Machine *m, const Record *record,
                              unsigned stream)
{
    uint64_t ipas[MIG_MAX_PAGES], out[4];
    uint64_t *granules = machine_ns(m, NS_LIST(stream));
    size_t count = mig_peek_entries(record->data, record->len, ipas);

    for (size_t i = 0; i < count; i++) {
        granules[i] = 0;
        if (ipas[i] < MACHINE_TOP) {
            machine_table(m, ipas[i]);
            SMC_OUT(m, out, RMI_RTT_READ_ENTRY, m->rd, ipas[i], 3);
            granules[i] = out[1] == RMI_ASSIGNED ? 0 : machine_granule(m);
        }
    }
    return MIG(m, MIG_IMPORT_MEMORY, NS_BLOB(stream), record->len,
               NS_LIST(stream), MAX(count, 1));
}

uint64_t machine_receive(Machine *m, const Record *record)
{
    const size_t at = offsetof(MigHeader, stream);
    unsigned stream = record->len > at ? record->data[at] : 0;
    bool memory = record->len > 6 && record->data[6] == MIG_TYPE_MEMORY;

    stream = memory ? stream % MIG_MAX_STREAMS : 0;
    memcpy(machine_ns(m, NS_BLOB(stream)), record->data, record->len);
    return memory ? receive_pages(m, record, stream)
                  : MIG(m, MIG_IMPORT, NS_BLOB(0), record->len);
}

Record *machine_export(Machine *m, unsigned call, uint64_t arg,
                       uint64_t *result)
{
    uint64_t out[4];

    switch (call) {
    case MIG_EXPORT_REC:
        *result = MIG_OUT(m, out, call, arg, NS_BLOB(0), MIG_MAX_BUNDLE);
        break;
    default:
        *result = MIG_OUT(m, out, call, NS_BLOB(0), MIG_MAX_BUNDLE, arg);
        break;
    }
    return machine_record(m, *result, out[0], 0);
}

GPtrArray *machine_final_records(Machine *m)
{
    GPtrArray *records =
        g_ptr_array_new_with_free_func((GDestroyNotify)g_byte_array_unref);
    uint64_t result;

    g_ptr_array_add(records, machine_export(m, MIG_EXPORT_REALM, 0, &result));
    g_assert_cmpuint(result, ==, RMI_SUCCESS);
    for (unsigned i = 0; i < m->params.num_recs; i++) {
        g_ptr_array_add(records, machine_export(m, MIG_EXPORT_REC, m->recs[i],
                                                &result));
        g_assert_cmpuint(result, ==, RMI_SUCCESS);
    }
    return records;
}

uint64_t machine_ready(Machine *dst, Record **ready)
{
    uint64_t out[4];
    uint64_t result;

    do {
        result = MIG_OUT(dst, out, MIG_IMPORT_READY, NS_BLOB(0), 4096);
    } while (result == RMI_SUCCESS && !out[0]);
    *ready = machine_record(dst, result, out[0], 0);
    return result;
}

/* With IVs that the destination does not come to */
Record *machine_forge_ready(Machine *src)
{
    MigSession *s = machine_session(src);
    Record *ready = g_byte_array_new();

    g_byte_array_set_size(ready, MIG_EMPTY_BUNDLE);
    s->back.iv += 1u << 20;
    g_assert_cmpint(reply_make(s, MIG_TYPE_READY, ready->data), ==, 0);
    return ready;
}

Record *machine_start(Machine *src, const Record *ready, uint64_t *result)
{
    Record *own = ready ? NULL : machine_forge_ready(src);

    ready = ready ? ready : own;
    memcpy(machine_ns(src, NS_LIST(0)), ready->data, ready->len);
    g_clear_pointer(&own, g_byte_array_unref);
    return machine_export(src, MIG_EXPORT_START, NS_LIST(0), result);
}

uint64_t machine_receipt(Machine *dst, Record **receipt)
{
    uint64_t out[4];
    uint64_t result = MIG_OUT(dst, out, MIG_IMPORT_RECEIPT, NS_BLOB(0), 4096);

    *receipt = machine_record(dst, result, out[0], 0);
    return result;
}

uint64_t machine_finish(Machine *src, const Record *receipt)
{
    uint64_t out[4] = { 1 };
    uint64_t result = RMI_SUCCESS;

    memcpy(machine_ns(src, NS_BLOB(0)), receipt->data, receipt->len);
    while (result == RMI_SUCCESS && out[0]) {
        result = MIG_OUT(src, out, MIG_EXPORT_FINISH, NS_BLOB(0),
                         receipt->len);
    }
    return result;
}
