/*
 * A machine for tests (see fake-machine.h)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <pthread.h>
#include <string.h>
#include "check-tables.h"
#include "fake-machine.h"
#include "granule.h"

static void *op_granule(void *opaque, uint64_t pa)
{
    FakeMachine *m = opaque;
    uint64_t offset = pa - FAKE_POOL_BASE;

    return offset < m->granules * RMM_GRANULE_SIZE ? m->pool + offset : NULL;
}

static uint8_t *op_tags(void *opaque, uint64_t pa)
{
    FakeMachine *m = opaque;

    return m->tags + (pa - FAKE_POOL_BASE) / RMM_GRANULE_SIZE * RMM_TAG_BYTES;
}

/* A granule of the pool is Non-secure until it is delegated. */
static void *op_ns(void *opaque, uint64_t pa, size_t len)
{
    FakeMachine *m = opaque;
    uint64_t offset = pa - FAKE_NS_BASE;

    if (offset < FAKE_NS_PAGES * RMM_GRANULE_SIZE &&
        len <= FAKE_NS_PAGES * RMM_GRANULE_SIZE - offset) {
        return m->ns + offset;
    }
    return NULL;
}

/* Invalidations that this thread began and did not complete. */
static _Thread_local unsigned incomplete;
/* It makes a call that says of itself that it invalidates nothing. */
static _Thread_local bool harmless;

static void op_tlb(void *opaque, uint16_t vmid, uint64_t base, uint64_t top)
{
    FakeMachine *m = opaque;

    g_assert(base < top);
    g_assert(!harmless);
    incomplete++;
    g_atomic_int_inc(&m->invalidations);
    __atomic_store_n(&m->last_base, base, __ATOMIC_RELAXED);
    __atomic_store_n(&m->last_top, top, __ATOMIC_RELAXED);
}

static void op_sync(void *opaque)
{
    FakeMachine *m = opaque;

    if (incomplete && m->on_sync) {
        m->on_sync(m->on_sync_opaque);
    }
    incomplete = 0;
}

/* Any thread may draw. */
static void op_random(void *opaque, void *buf, size_t len)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    FakeMachine *m = opaque;
    uint8_t *byte = buf;

    pthread_mutex_lock(&lock);
    while (len--) {
        m->seed = m->seed * 6364136223846793005ull + 1442695040888963407ull;
        *byte++ = m->seed >> 56;
    }
    pthread_mutex_unlock(&lock);
}

/* Eight bytes that are the REC's, so that a mix-up would show. */
static size_t op_context_save(void *opaque, uint64_t mpidr,
                              void *buf, size_t size)
{
    g_assert(size >= sizeof(mpidr));
    memcpy(buf, &mpidr, sizeof(mpidr));
    return sizeof(mpidr);
}

static bool op_context_load(void *opaque, uint64_t mpidr,
                            const void *buf, size_t size)
{
    return size == sizeof(mpidr) && !memcmp(buf, &mpidr, sizeof(mpidr));
}

static pthread_mutex_t contexts_lock = PTHREAD_MUTEX_INITIALIZER;

static bool context_exists(FakeMachine *m, const void *context)
{
    bool exists;

    pthread_mutex_lock(&contexts_lock);
    exists = g_hash_table_contains(m->contexts, context);
    pthread_mutex_unlock(&contexts_lock);
    return exists;
}

static void *op_context_new(void *opaque, const RmmRecConfig *config)
{
    FakeMachine *m = opaque;
    FakeContext *context = g_new0(FakeContext, 1);

    context->config = *config;
    pthread_mutex_lock(&contexts_lock);
    m->num_contexts++;
    g_hash_table_add(m->contexts, context);
    pthread_mutex_unlock(&contexts_lock);
    return context;
}

static void op_context_free(void *opaque, void *context)
{
    FakeMachine *m = opaque;
    bool existed;

    pthread_mutex_lock(&contexts_lock);
    existed = g_hash_table_remove(m->contexts, context);
    pthread_mutex_unlock(&contexts_lock);
    g_assert_true(existed);
    g_free(context);
}

FakeContext *fake_context(FakeMachine *m, const RmmPe *pe)
{
    g_assert_true(context_exists(m, pe->context));
    return pe->context;
}

void fake_exit_state(void *opaque, const RmmPe *pe, RmmExitState *state)
{
    FakeMachine *m = opaque;

    lock_check_none();
    g_assert(pe->world == RMM_WORLD_REALM);
    fake_context(m, pe)->value = pe->x[30];
    *state = m->exit;
}

/*
 * The granule is locked, and changes.  What is in it then are bytes of before:
 * here some that are not zero.
 */
static void op_granule_pas(void *opaque, uint64_t pa, bool realm)
{
    FakeMachine *m = opaque;
    size_t i = (pa - FAKE_POOL_BASE) / RMM_GRANULE_SIZE;
    GranuleState state = granule_state(m->rmm, pa);

    g_assert(i < m->granules && pa % RMM_GRANULE_SIZE == 0);
    g_assert_true(granule_is_locked(m->rmm, pa));
    /* Who walks now finds no granule that is lent. */
    g_assert_cmpint(state, ==, GRANULE_DELEGATED);
    g_assert_cmpint(m->realm_pas[i], ==, !realm);
    m->realm_pas[i] = realm;
    if (realm) {
        memset(m->rmm->ops.granule(m, pa), 0xcc, 64);
    }
}

static void check_pas(FakeMachine *m)
{
    size_t i;

    for (i = 0; i < m->granules; i++) {
        uint64_t pa = FAKE_POOL_BASE + i * RMM_GRANULE_SIZE;

        g_assert_cmpint(m->realm_pas[i], ==,
                        granule_state(m->rmm, pa) != GRANULE_NS);
    }
}

static uint64_t op_seconds(void *opaque)
{
    return ((FakeMachine *)opaque)->now;
}

FakeMachine *fake_machine_prepare(size_t granules)
{
    FakeMachine *m = g_new0(FakeMachine, 1);

    m->granules = granules;
    m->pool = g_malloc0(granules * RMM_GRANULE_SIZE);
    m->tags = g_malloc0(granules * RMM_TAG_BYTES);
    m->ns = g_malloc0(FAKE_NS_PAGES * RMM_GRANULE_SIZE);
    m->seed = 1;
    m->contexts = g_hash_table_new(NULL, NULL);
    m->ops = (RmmOps) {
        .granule = op_granule, .granule_tags = op_tags, .ns = op_ns,
        .tlb_invalidate = op_tlb, .tlb_sync = op_sync, .random = op_random,
        .context_save = op_context_save, .context_load = op_context_load,
        .seconds = op_seconds,
        .context_new = op_context_new, .context_free = op_context_free,
        .granule_pas = op_granule_pas,
    };
    m->platform = (RmmPlatform) {
        .ipa_bits = 48, .num_bps = 5, .num_wps = 3, .sha512 = true,
        .pmu = true, .pmu_num_ctrs = 6, .mte = true, .migration = true,
    };
    return m;
}

void fake_machine_start(FakeMachine *m)
{
    m->realm_pas = g_new0(bool, m->granules);
    m->rmm = rmm_new(&m->ops, m, &m->platform);
}

FakeMachine *fake_machine_new(size_t granules)
{
    FakeMachine *m = fake_machine_prepare(granules);

    fake_machine_start(m);
    return m;
}

void fake_machine_free(FakeMachine *m)
{
    check_tables(m->rmm);
    check_pas(m);
    rmm_free(m->rmm);
    g_assert_cmpuint(g_hash_table_size(m->contexts), ==, 0);
    g_hash_table_destroy(m->contexts);
    g_free(m->realm_pas);
    g_free(m->pool);
    g_free(m->tags);
    g_free(m->ns);
    g_free(m);
}

uint64_t fake_granule_ns(FakeMachine *m)
{
    g_assert(m->next < m->granules);
    return FAKE_POOL_BASE + m->next++ * RMM_GRANULE_SIZE;
}

uint64_t fake_granules(FakeMachine *m, size_t count)
{
    uint64_t first;

    m->next = (m->next + count - 1) / count * count;
    first = FAKE_POOL_BASE + m->next * RMM_GRANULE_SIZE;
    while (count--) {
        g_assert_cmphex(fake_call(m, RMI_GRANULE_DELEGATE,
                                  fake_granule_ns(m)), ==, RMI_SUCCESS);
    }
    return first;
}

uint64_t fake_granule(FakeMachine *m)
{
    return fake_granules(m, 1);
}

void *fake_host(FakeMachine *m, uint64_t pa)
{
    return op_granule(m, pa);
}

uint8_t *fake_host_tags(FakeMachine *m, uint64_t pa)
{
    return op_tags(m, pa);
}

void *fake_ns(FakeMachine *m, uint64_t pa)
{
    return op_ns(m, pa, RMM_GRANULE_SIZE);
}

uint64_t fake_call_pe(FakeMachine *m, RmmPe *pe, uint64_t fid,
                      const uint64_t *args, size_t num)
{
    pe->x[0] = fid;
    memcpy(&pe->x[1], args, num * sizeof(*args));
    if (pe->world == RMM_WORLD_REALM) {
        pe->pc += 4;            /* behind the SMC */
    }
    incomplete = 0;             /* what a test does below the calls */
    harmless = !(rmm_call_traits(pe) & RMM_CALL_INVALIDATES);
    rmm_call(m->rmm, pe);
    harmless = false;
    g_assert(!incomplete);      /* before anybody sees the result */
    return pe->x[0];
}

RmiRealmParams *fake_realm_params(FakeMachine *m, FakeRealm *r,
                                  unsigned ipa_bits, int level)
{
    RmiRealmParams *params = fake_ns(m, FAKE_NS_PARAMS);

    memset(r, 0, sizeof(*r));
    r->ipa_bits = ipa_bits;
    r->level = level;
    r->num_tables = rtt_num_start(ipa_bits, level);
    r->tables = fake_granules(m, r->num_tables);
    r->rd = fake_granule(m);
    memset(params, 0, sizeof(*params));
    params->s2sz = ipa_bits;
    params->num_bps = 1;
    params->num_wps = 1;
    params->vmid = ++m->vmid;
    params->rtt_base = r->tables;
    params->rtt_level_start = level;
    params->rtt_num_start = r->num_tables;
    memset(params->rpv, 0xa5, sizeof(params->rpv));
    return params;
}

uint64_t fake_realm_try(FakeMachine *m, FakeRealm *r)
{
    return fake_call(m, RMI_REALM_CREATE, r->rd, FAKE_NS_PARAMS);
}

FakeRealm fake_realm_new(FakeMachine *m)
{
    FakeRealm r;

    fake_realm_params(m, &r, 33, 1);
    g_assert_cmphex(fake_realm_try(m, &r), ==, RMI_SUCCESS);
    return r;
}

void fake_tables(FakeMachine *m, const FakeRealm *r, uint64_t ipa)
{
    int level;

    for (level = r->level + 1; level <= RTT_PAGE_LEVEL; level++) {
        uint64_t base = ipa & ~(rtt_entry_bytes(level - 1) - 1);

        fake_call(m, RMI_RTT_READ_ENTRY, r->rd, base, level - 1);
        if (m->pe.x[2] != RMI_TABLE) {
            g_assert_cmphex(fake_call(m, RMI_RTT_CREATE, r->rd,
                                      fake_granule(m), base, level),
                            ==, RMI_SUCCESS);
        }
    }
}

void fake_data(FakeMachine *m, const FakeRealm *r, uint64_t ipa,
               unsigned pages, uint8_t fill)
{
    memset(fake_ns(m, FAKE_NS_SRC), fill, RMM_GRANULE_SIZE);
    for (; pages--; ipa += RMM_GRANULE_SIZE) {
        fake_tables(m, r, ipa);
        g_assert_cmphex(fake_call(m, RMI_DATA_CREATE, r->rd, fake_granule(m),
                                  ipa, FAKE_NS_SRC, RMI_DATA_MEASURE),
                        ==, RMI_SUCCESS);
    }
}

uint64_t fake_data_unknown(FakeMachine *m, const FakeRealm *r, uint64_t ipa,
                           unsigned pages)
{
    uint64_t pa = 0;

    for (; pages--; ipa += RMM_GRANULE_SIZE) {
        fake_tables(m, r, ipa);
        pa = fake_granule(m);
        g_assert_cmphex(fake_call(m, RMI_DATA_CREATE_UNKNOWN, r->rd, pa, ipa),
                        ==, RMI_SUCCESS);
    }
    return pa;
}

void fake_ram(FakeMachine *m, const FakeRealm *r, uint64_t base, uint64_t top)
{
    while (base < top) {
        fake_tables(m, r, base);
        g_assert_cmphex(fake_call(m, RMI_RTT_INIT_RIPAS, r->rd, base, top),
                        ==, RMI_SUCCESS);
        base = m->pe.x[1];
    }
}

uint64_t fake_rec(FakeMachine *m, FakeRealm *r, uint64_t flags, uint64_t pc)
{
    RmiRecParams *params = fake_ns(m, FAKE_NS_PARAMS);
    uint64_t pa = fake_granule(m);

    g_assert(r->num_recs < FAKE_RECS);
    memset(params, 0, sizeof(*params));
    while (params->num_aux < m->platform.num_aux) {
        params->aux[params->num_aux++] = fake_granule(m);
    }
    params->flags = flags;
    params->pc = pc;
    params->mpidr = rec_index_to_mpidr(r->num_recs);
    params->gprs[0] = 0xd7b;
    params->gprs[7] = 7;
    g_assert_cmphex(fake_call(m, RMI_REC_CREATE, r->rd, pa, FAKE_NS_PARAMS),
                    ==, RMI_SUCCESS);
    r->rec[r->num_recs++] = pa;
    return pa;
}

FakeRealm fake_realm_active(FakeMachine *m)
{
    FakeRealm r = fake_realm_new(m);

    fake_ram(m, &r, 0, 0x20000);
    fake_data(m, &r, 0, 16, 0x11);
    fake_rec(m, &r, RMI_REC_RUNNABLE, 0x1000);
    fake_rec(m, &r, 0, 0);
    g_assert_cmphex(fake_call(m, RMI_REALM_ACTIVATE, r.rd), ==, RMI_SUCCESS);
    return r;
}

/* All pages and tables that stand in the entries of @level from @ipa on. */
static void destroy_level(FakeMachine *m, FakeRealm *r, uint64_t ipa,
                          int level, unsigned entries)
{
    for (; entries--; ipa += rtt_entry_bytes(level)) {
        fake_call(m, RMI_RTT_READ_ENTRY, r->rd, ipa, level);
        if (m->pe.x[2] == RMI_TABLE) {
            destroy_level(m, r, ipa, level + 1, RTT_ENTRIES);
            g_assert_cmphex(fake_call(m, RMI_RTT_DESTROY, r->rd, ipa,
                                      level + 1), ==, RMI_SUCCESS);
        } else if (m->pe.x[2] == RMI_ASSIGNED &&
                   ipa < 1ull << (r->ipa_bits - 1)) {
            g_assert_cmphex(fake_call(m, RMI_DATA_DESTROY, r->rd, ipa),
                            ==, RMI_SUCCESS);
        }
    }
}

void fake_realm_destroy(FakeMachine *m, FakeRealm *r)
{
    unsigned i;

    for (i = 0; i < r->num_recs; i++) {
        g_assert_cmphex(fake_call(m, RMI_REC_DESTROY, r->rec[i]),
                        ==, RMI_SUCCESS);
    }
    destroy_level(m, r, 0, r->level,
                  MIN(RTT_ENTRIES * r->num_tables,
                      1u << (r->ipa_bits - rtt_shift(r->level))));
    g_assert_cmphex(fake_call(m, RMI_REALM_DESTROY, r->rd), ==, RMI_SUCCESS);
}

void fake_enter(FakeMachine *m, RmmPe *pe, const FakeRealm *r, unsigned i)
{
    uint64_t args[] = { r->rec[i], FAKE_NS_RUN(i) };

    g_assert(pe->world == RMM_WORLD_HOST);
    fake_call_pe(m, pe, RMI_REC_ENTER, args, G_N_ELEMENTS(args));
    g_assert(pe->world == RMM_WORLD_REALM);
}

RmiRecRun *fake_run(FakeMachine *m, unsigned i)
{
    return fake_ns(m, FAKE_NS_RUN(i));
}

RmmRealm *fake_realm_object(FakeMachine *m, const FakeRealm *r)
{
    return g_hash_table_lookup(m->rmm->realms, &r->rd);
}
