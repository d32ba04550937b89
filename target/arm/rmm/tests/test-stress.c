/*
 * Everything at once, from thirteen threads, and then everything in its place
 *
 * Walkers, RECs that run, a host that assigns, maps, folds and takes away, a
 * migration that is begun and aborted, Realms that come and go, and calls at
 * random, each a fixed number of times.  Most may be refused, since another
 * thread was faster; what matters is that the tables and granules are in
 * order at the end, that everything can be taken apart, and that nothing of
 * a Realm is left.
 *
 * No thread touches the contents of pages but through the library: what a
 * Realm and its RMM do to one byte at once is no concern of this test.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include "check-tables.h"
#include "fake-machine.h"
#include "query.h"
#include "granule.h"
#include "mig-abi.h"
#include "test-keys.h"

#define MIB 0x100000ull
#define UNPROTECTED (1ull << 32)
#define HOST_DESC (0x40000000ull | 6 << 2)

/* Parts of the IPA space, 2 MiB each. */
#define IPA_RIPAS  0ull                 /* assigned; REC 0 changes its RIPAS */
#define IPA_DATA   (2 * MIB)            /* pages come and go */
#define IPA_TABLE  (4 * MIB)            /* tables come and go */
#define IPA_BLOCK  (6 * MIB)            /* a block, folded and unfolded */
#define IPA_RANDOM (8 * MIB)
#define IPA_TOP    (10 * MIB)

/* Eight pages of Non-secure memory for the @i-th who needs some. */
#define NS_PAGES(i) (FAKE_NS_FREE + (i) * 8 * RMM_GRANULE_SIZE)

#define ASSIGNED   16                   /* pages at IPA_RIPAS */
#define CONTESTED  12                   /* granules of the random callers */

#ifdef __SANITIZE_THREAD__
#define STEPS 300
#else
#define STEPS 1000
#endif

typedef struct Stress {
    FakeMachine *m;
    FakeRealm r;
    RmmStage2 s2;
    uint64_t contested[CONTESTED];
    gint ready;                 /* actors */
} Stress;

typedef struct Actor {
    Stress *s;
    void (*step)(struct Actor *a);
    void (*end)(struct Actor *a);       /* may be NULL */
    uint64_t granule[8];                /* its own, DELEGATED at first */
    uint64_t ns;                        /* NS pages of its own */
    unsigned rec;                       /* that it runs */
    RmmPe pe, realm_pe;
    uint64_t rand;
    unsigned steps, done;               /* steps that did what they are for */
    GThread *thread;
} Actor;

static void *(*plain_granule)(void *opaque, uint64_t pa);
static _Thread_local bool is_actor;

static uint32_t draw(Actor *a, uint32_t below)
{
    a->rand = a->rand * 6364136223846793005ull + 1442695040888963407ull;
    return (a->rand >> 33) % below;
}

static uint64_t draw_page(Actor *a, uint64_t base)
{
    return base + draw(a, 16) * RMM_GRANULE_SIZE;
}

#define CALL(a, fid, ...) \
    fake_call_pe((a)->s->m, &(a)->pe, (fid), \
                 (const uint64_t[]){ __VA_ARGS__ }, \
                 sizeof((const uint64_t[]){ __VA_ARGS__ }) / sizeof(uint64_t))
#define RD(a) ((a)->s->r.rd)

/* ---- walkers ---- */

static void walk_page(Actor *a)
{
    static const uint64_t parts[] = {
        IPA_RIPAS, IPA_DATA, IPA_TABLE, IPA_BLOCK, IPA_RANDOM, UNPROTECTED,
    };
    uint64_t ipa = draw_page(a, parts[draw(a, G_N_ELEMENTS(parts))]);
    RmmAccess access = (RmmAccess)draw(a, 3);
    RmmTranslation t;
    RmmFault fault;

    fault = rmm_stage2_walk(a->s->m->rmm, &a->s->s2, ipa, access, &t);
    g_assert_cmpint(fault, !=, RMM_FAULT_ADDRESS_SIZE);
    if (fault != RMM_FAULT_NONE) {
        return;
    }
    a->done++;
    if (ipa >= UNPROTECTED) {
        g_assert_cmphex(t.pa & ~0x1ff000ull, ==, 0x40000000);
        g_assert_false(t.executable);
    } else {
        g_assert_nonnull(a->s->m->ops.granule(a->s->m, t.pa));
        g_assert_true(t.readable && (t.writable ||
                                     access != RMM_ACCESS_WRITE));
    }
}

/* ---- the host of the Realm that all share ---- */

static void change_data(Actor *a)
{
    uint64_t ipa = draw_page(a, IPA_DATA), pa = a->granule[draw(a, 8)];

    if (draw(a, 2)) {
        a->done += !CALL(a, RMI_DATA_CREATE_UNKNOWN, RD(a), pa, ipa);
    } else {
        a->done += !CALL(a, RMI_DATA_DESTROY, RD(a), ipa);
    }
}

static void change_tables(Actor *a)
{
    switch (draw(a, 4)) {
    case 0:
        a->done += !CALL(a, RMI_RTT_CREATE, RD(a), a->granule[draw(a, 2)],
                         IPA_TABLE, 3);
        break;
    case 1:
        a->done += !CALL(a, RMI_RTT_DESTROY, RD(a), IPA_TABLE, 3);
        break;
    case 2:
        a->done += !CALL(a, RMI_RTT_FOLD, RD(a), IPA_BLOCK, 3);
        break;
    default:
        a->done += !CALL(a, RMI_RTT_CREATE, RD(a), a->granule[2 + draw(a, 2)],
                         IPA_BLOCK, 3);
        break;
    }
}

static void change_mappings(Actor *a)
{
    uint64_t ipa = draw_page(a, UNPROTECTED);

    if (draw(a, 2)) {
        a->done += !CALL(a, RMI_RTT_MAP_UNPROTECTED, RD(a), ipa, 3,
                         HOST_DESC | draw(a, 4) << 6 |
                         draw(a, 512) << RMM_GRANULE_SHIFT);
    } else {
        a->done += !CALL(a, RMI_RTT_UNMAP_UNPROTECTED, RD(a), ipa, 3);
    }
}

/* ---- RECs ---- */

static bool enter_rec(Actor *a)
{
    const uint64_t args[] = { a->s->r.rec[a->rec], FAKE_NS_RUN(a->rec) };

    if (a->realm_pe.world == RMM_WORLD_HOST) {
        fake_call_pe(a->s->m, &a->realm_pe, RMI_REC_ENTER, args, 2);
    }
    return a->realm_pe.world == RMM_WORLD_REALM;
}

static void leave_rec(Actor *a)
{
    if (a->realm_pe.world == RMM_WORLD_REALM) {
        take_interrupt(a->s->m->rmm, &a->realm_pe);
    }
}

/* The Realm asks, the host grants some of it. */
static void change_ripas(Actor *a)
{
    uint64_t base = draw_page(a, IPA_RIPAS);
    uint64_t args[] = { base, base + (1 + draw(a, 4)) * RMM_GRANULE_SIZE,
                        draw(a, 2), RSI_CHANGE_DESTROYED };

    if (!enter_rec(a)) {
        return;
    }
    fake_call_pe(a->s->m, &a->realm_pe, RSI_IPA_STATE_SET, args, 4);
    a->done += !CALL(a, RMI_RTT_SET_RIPAS, RD(a), a->s->r.rec[a->rec], base,
                     args[1]);
    enter_rec(a);
    leave_rec(a);
}

static void run_rec(Actor *a)
{
    const uint64_t extend[10] = { 1 + draw(a, 4), 8, a->rand };
    const uint64_t page[] = { draw_page(a, IPA_RIPAS) };

    if (!enter_rec(a)) {
        return;
    }
    a->done++;
    switch (draw(a, 5)) {
    case 0:
        fake_call_pe(a->s->m, &a->realm_pe, RSI_MEASUREMENT_EXTEND, extend,
                     10);
        break;
    case 1:
        fake_call_pe(a->s->m, &a->realm_pe, RSI_REALM_CONFIG, page, 1);
        break;
    case 2:
        fake_call_pe(a->s->m, &a->realm_pe, RSI_HOST_CALL, page, 1);
        break;
    case 3:
        fake_call_pe(a->s->m, &a->realm_pe, RSI_MEASUREMENT_READ, extend, 1);
        break;
    default:
        leave_rec(a);
        break;
    }
}

/* ---- a migration that never ends ---- */

#define MIG(a, n, ...) CALL(a, MIG_FID_BASE + (n), RD(a), __VA_ARGS__)

static void write_params(Actor *a, uint64_t table, uint16_t vmid)
{
    RmiRealmParams *params = fake_ns(a->s->m, a->ns);

    memset(params, 0, sizeof(*params));
    params->ext_flags = RMI_REALM_EXT_MIGRATION;
    params->s2sz = 33;
    params->num_bps = params->num_wps = 1;
    params->vmid = vmid;
    params->rtt_base = table;
    params->rtt_level_start = 1;
    params->rtt_num_start = 1;
}

static bool must(uint64_t result)
{
    g_assert_cmphex(result, ==, RMI_SUCCESS);
    return true;
}

/* A Realm made only to offer; its offer is at ns. */
static void accept_an_offer(Actor *a)
{
    write_params(a, a->granule[1], 1000);
    must(CALL(a, RMI_REALM_CREATE, a->granule[0], a->ns));
    MIG(a, MIG_PREPARE, 0);
    must(CALL(a, MIG_FID_BASE + MIG_OFFER, a->granule[0], a->ns, 4096,
              a->pe.x[1], a->pe.x[2], a->pe.x[3], a->pe.x[4]));
    MIG(a, MIG_ACCEPT, a->ns, a->pe.x[1]);
    must(CALL(a, RMI_REALM_DESTROY, a->granule[0]));
}

#define EXPORT_PAGES 4
#define EXPORT_BYTES (6 * RMM_GRANULE_SIZE)

/* A block is in the way: unfold it, as a host does. */
static void collect(Actor *a)
{
    uint64_t result = MIG(a, MIG_COLLECT_DIRTY, 0, IPA_TOP, a->ns);

    if (RMI_STATUS(result) == RMI_ERROR_RTT) {
        CALL(a, RMI_RTT_CREATE, RD(a), a->granule[2 + draw(a, 2)], a->pe.x[1],
             RMI_INDEX(result) + 1);
        MIG(a, MIG_COLLECT_DIRTY, 0, IPA_TOP, a->ns);
    }
}

/* Some pages of a part, on @stream; most of them were not collected. */
static bool export_pages(Actor *a, unsigned stream, uint64_t part)
{
    uint64_t *list = fake_ns(a->s->m, a->ns);
    unsigned i;

    for (i = 0; i < EXPORT_PAGES; i++) {
        list[i] = draw_page(a, part);
    }
    return MIG(a, MIG_EXPORT_MEMORY, a->ns, EXPORT_PAGES,
               a->ns + RMM_GRANULE_SIZE, EXPORT_BYTES, stream)
           == RMI_SUCCESS && a->pe.x[2];
}

static void migrate(Actor *a)
{
    unsigned i;

    switch (draw(a, 8)) {
    case 0:
        MIG(a, MIG_EXPORT_ABORT, 0);
        accept_an_offer(a);
        MIG(a, MIG_EXPORT_BEGIN, a->ns, EXPORT_BYTES);
        break;
    case 1:
        /* Pauses only if no REC runs; then the host cannot do much. */
        if (MIG(a, MIG_PAUSE, 0) == RMI_SUCCESS) {
            MIG(a, MIG_EXPORT_REALM, a->ns, EXPORT_BYTES, 0);
            MIG(a, MIG_EXPORT_REC, a->s->r.rec[0], a->ns, EXPORT_BYTES);
            /* Nobody is ready, and nothing has gone */
            MIG(a, MIG_EXPORT_START, a->ns, EXPORT_BYTES, a->ns);
            MIG(a, MIG_EXPORT_FINISH, a->ns, MIG_EMPTY_BUNDLE);
            MIG(a, MIG_EXPORT_ABORT, 0);
        }
        break;
    default:
        collect(a);
        for (i = 0; i < 4; i++) {
            a->done += export_pages(a, 0, i % 2 ? IPA_DATA : IPA_RIPAS);
        }
        MIG(a, MIG_EXPORT_EPOCH, a->ns, EXPORT_BYTES);
        break;
    }
}

static void end_migration(Actor *a)
{
    MIG(a, MIG_EXPORT_ABORT, 0);
}

static void export_more(Actor *a)
{
    a->done += export_pages(a, 1, draw(a, 2) ? IPA_DATA : IPA_RIPAS);
}

/* ---- Realms that come and go ---- */

static void live_and_die(Actor *a)
{
    RmiRecParams *params = fake_ns(a->s->m, a->ns + RMM_GRANULE_SIZE);
    uint64_t rd = a->granule[0], rec = a->granule[2];

    write_params(a, a->granule[1], 2000);
    must(CALL(a, RMI_REALM_CREATE, rd, a->ns));
    must(CALL(a, RMI_RTT_CREATE, rd, a->granule[3], 0, 2));
    must(CALL(a, RMI_RTT_CREATE, rd, a->granule[4], 0, 3));
    must(CALL(a, RMI_DATA_CREATE, rd, a->granule[5], 0, FAKE_NS_SRC, 1));
    memset(params, 0, sizeof(*params));
    params->flags = RMI_REC_RUNNABLE;
    must(CALL(a, RMI_REC_CREATE, rd, rec, a->ns + RMM_GRANULE_SIZE));
    must(CALL(a, RMI_REALM_ACTIVATE, rd));
    CALL(a, RMI_REC_ENTER, rec, a->ns + 2 * RMM_GRANULE_SIZE);
    g_assert_cmpint(a->pe.world, ==, RMM_WORLD_REALM);
    CALL(a, PSCI_FID_32(8), 0);                 /* SYSTEM_OFF */
    g_assert_cmpint(a->pe.world, ==, RMM_WORLD_HOST);
    must(CALL(a, RMI_REC_DESTROY, rec));
    must(CALL(a, RMI_DATA_DESTROY, rd, 0));
    must(CALL(a, RMI_RTT_DESTROY, rd, 0, 3));
    must(CALL(a, RMI_RTT_DESTROY, rd, 0, 2));
    a->done += must(CALL(a, RMI_REALM_DESTROY, rd));
}

/* ---- calls at random ---- */

/* Any granule or Realm, any call that leaves RECs and Realms alone. */
static void call_at_random(Actor *a)
{
    static const uint64_t fids[] = {
        RMI_GRANULE_DELEGATE, RMI_GRANULE_DELEGATE, RMI_GRANULE_UNDELEGATE,
        RMI_DATA_CREATE_UNKNOWN, RMI_DATA_CREATE_UNKNOWN, RMI_DATA_DESTROY,
        RMI_RTT_CREATE, RMI_RTT_DESTROY, RMI_RTT_FOLD, RMI_RTT_READ_ENTRY,
        RMI_REC_AUX_COUNT, RMI_FEATURES, RMI_REALM_ACTIVATE,
        RMI_RTT_INIT_RIPAS, RMI_REC_CREATE,
    };
    uint64_t fid = fids[draw(a, G_N_ELEMENTS(fids))];
    uint64_t pa = a->s->contested[draw(a, CONTESTED)];
    uint64_t ipa = draw_page(a, IPA_RANDOM);
    uint64_t level = draw(a, 3) ? 3 : draw(a, 4);

    switch (fid) {
    case RMI_GRANULE_DELEGATE:
    case RMI_GRANULE_UNDELEGATE:
        a->done += !CALL(a, fid, pa);
        break;
    case RMI_DATA_CREATE_UNKNOWN:
        a->done += !CALL(a, fid, RD(a), pa, ipa);
        break;
    case RMI_RTT_CREATE:
        a->done += !CALL(a, fid, RD(a), pa, IPA_RANDOM, level);
        break;
    case RMI_RTT_DESTROY:
    case RMI_RTT_FOLD:
        a->done += !CALL(a, fid, RD(a), IPA_RANDOM, level);
        break;
    case RMI_REC_CREATE:
        a->done += !CALL(a, fid, RD(a), pa, a->ns);
        break;
    default:
        a->done += !CALL(a, fid, draw(a, 4) ? RD(a) : pa, ipa, level, pa);
        break;
    }
    {
        RmmQuery *query = rmm_query(a->s->m->rmm);
        unsigned i;

        g_assert_cmpuint(query->num_realms, >=, 1);
        for (i = 0; i < query->num_realms; i++) {
            g_assert_cmpuint(query->realms[i].pages.owned, <=, 1024);
        }
        rmm_query_free(query);
    }
}

/* ---- the whole ---- */

static void make_block(Stress *s)
{
    uint64_t pa = fake_granules(s->m, RTT_ENTRIES);
    unsigned i;

    fake_tables(s->m, &s->r, IPA_BLOCK);
    for (i = 0; i < RTT_ENTRIES; i++) {
        uint64_t offset = i * (uint64_t)RMM_GRANULE_SIZE;

        must(fake_call(s->m, RMI_DATA_CREATE_UNKNOWN, s->r.rd, pa + offset,
                       IPA_BLOCK + offset));
    }
}

/* Threads change places where the library asks for memory, now and then. */
static void *yielding_granule(void *opaque, uint64_t pa)
{
    static _Thread_local unsigned calls;

    if (is_actor && ++calls % 61 == 0) {
        g_thread_yield();
    }
    return plain_granule(opaque, pa);
}

static Stress *stress_new(void)
{
    static const uint64_t parts[] = { IPA_DATA, IPA_TABLE, IPA_RANDOM };
    Stress *s = g_new0(Stress, 1);
    RmiRealmParams *params;
    unsigned i;

    s->m = fake_machine_prepare(1280);
    s->m->ops.key = test_key;
    plain_granule = s->m->ops.granule;
    s->m->ops.granule = yielding_granule;
    fake_machine_start(s->m);
    params = fake_realm_params(s->m, &s->r, 33, 1);
    params->ext_flags = RMI_REALM_EXT_MIGRATION;
    must(fake_realm_try(s->m, &s->r));
    fake_ram(s->m, &s->r, 0, IPA_TOP);
    make_block(s);
    fake_data_unknown(s->m, &s->r, IPA_RIPAS, ASSIGNED);
    for (i = 0; i < G_N_ELEMENTS(parts); i++) {
        fake_tables(s->m, &s->r, parts[i]);
    }
    fake_tables(s->m, &s->r, UNPROTECTED);
    fake_rec(s->m, &s->r, RMI_REC_RUNNABLE, 0);
    fake_rec(s->m, &s->r, RMI_REC_RUNNABLE, 0);
    must(fake_call(s->m, RMI_REALM_ACTIVATE, s->r.rd));
    g_assert(rmm_stage2(s->m->rmm, s->r.rec[0], &s->s2));
    for (i = 0; i < CONTESTED; i++) {
        s->contested[i] = fake_granule(s->m);
    }
    return s;
}

static const struct {
    const char *name;
    void (*step)(Actor *a);
    void (*end)(Actor *a);
    unsigned steps;                     /* refusals take no time */
    unsigned rec;
    uint64_t ns;
} cast[] = {
    { "walker", walk_page, .steps = 60 * STEPS },
    { "another walker", walk_page, .steps = 60 * STEPS },
    { "third walker", walk_page, .steps = 60 * STEPS },
    { "data", change_data, .steps = 20 * STEPS },
    { "tables", change_tables, .steps = 4 * STEPS },
    { "mappings", change_mappings, .steps = 40 * STEPS },
    { "RIPAS", change_ripas, .steps = 10 * STEPS, .rec = 0 },
    { "Realm", run_rec, .steps = 20 * STEPS, .rec = 1 },
    { "migration", migrate, end_migration, STEPS, .ns = NS_PAGES(0) },
    { "second stream", export_more, .steps = 20 * STEPS, .ns = NS_PAGES(1) },
    { "other Realms", live_and_die, .steps = STEPS, .ns = NS_PAGES(2) },
    { "random", call_at_random, .steps = 4 * STEPS, .ns = NS_PAGES(3) },
    { "more random", call_at_random, .steps = 4 * STEPS, .ns = NS_PAGES(4) },
};

#define ACTORS G_N_ELEMENTS(cast)

static gpointer run_actor(gpointer opaque)
{
    Actor *a = opaque;
    unsigned i;

    is_actor = true;
    g_atomic_int_inc(&a->s->ready);
    while (g_atomic_int_get(&a->s->ready) < (gint)ACTORS) {
        g_thread_yield();
    }
    for (i = 0; i < a->steps; i++) {
        a->step(a);
        g_thread_yield();               /* so that none is done early */
    }
    leave_rec(a);
    if (a->end) {
        a->end(a);
    }
    return NULL;
}

static void run_cast(Stress *s)
{
    Actor actors[ACTORS];
    unsigned i, j;

    memset(actors, 0, sizeof(actors));
    for (i = 0; i < ACTORS; i++) {
        Actor *a = &actors[i];

        a->s = s;
        a->step = cast[i].step;
        a->end = cast[i].end;
        a->rec = cast[i].rec;
        a->steps = cast[i].steps;
        a->rand = i + 1;
        a->ns = cast[i].ns;
        for (j = 0; j < G_N_ELEMENTS(a->granule); j++) {
            a->granule[j] = fake_granule(s->m);
        }
    }
    for (i = 0; i < ACTORS; i++) {
        actors[i].thread = g_thread_new(cast[i].name, run_actor, &actors[i]);
    }
    for (i = 0; i < ACTORS; i++) {
        g_thread_join(actors[i].thread);
        g_test_message("%s: %u of %u", cast[i].name, actors[i].done,
                       cast[i].steps);
        /* Which stream gets a page is a matter of luck. */
        g_assert_true(actors[i].done || cast[i].step == export_more);
    }
}

/* Granules in each state; those that are DELEGATED are zero, or foreign. */
static void count_granules(FakeMachine *m, unsigned count[GRANULE_STATES])
{
    static const uint8_t zero[RMM_GRANULE_SIZE];
    size_t i;

    memset(count, 0, GRANULE_STATES * sizeof(*count));
    for (i = 0; i < m->granules; i++) {
        uint64_t pa = FAKE_POOL_BASE + i * RMM_GRANULE_SIZE;
        GranuleState state = granule_state(m->rmm, pa);

        g_assert_false(granule_is_locked(m->rmm, pa));
        count[state]++;
        if (state == GRANULE_DELEGATED && !granule_is_foreign(m->rmm, pa)) {
            g_assert_cmpmem(fake_host(m, pa), RMM_GRANULE_SIZE, zero,
                            RMM_GRANULE_SIZE);
            g_assert_cmpmem(fake_host_tags(m, pa), RMM_TAG_BYTES, zero,
                            RMM_TAG_BYTES);
        }
    }
}

static bool count_run(void *opaque, uint64_t ipa, uint64_t bytes,
                      RttHipas hipas, RttRipas ripas)
{
    if (hipas == RTT_ASSIGNED) {
        *(uint64_t *)opaque += bytes / RMM_GRANULE_SIZE;
    }
    return true;
}

/* What the granules are, and what Realms, RECs and tables say of them. */
static void assert_in_order(Stress *s)
{
    RmmRealm *realm = fake_realm_object(s->m, &s->r);
    unsigned count[GRANULE_STATES], i;
    uint64_t assigned = 0;

    check_tables(s->m->rmm);
    count_granules(s->m, count);
    rtt_for_each_ripas(realm, 0, UINT64_MAX, count_run, &assigned);
    g_assert_cmpuint(count[GRANULE_DATA], ==, assigned);
    g_assert_cmpuint(count[GRANULE_RD], ==, 1);
    g_assert_cmpuint(count[GRANULE_REC], ==, 2);
    g_assert_cmpuint(realm->num_recs, ==, 2);
    g_assert_cmpint(realm->state, ==, REALM_ACTIVE);
    g_assert_cmpuint(g_hash_table_size(s->m->rmm->realms), ==, 1);
    g_assert_cmpuint(g_hash_table_size(s->m->rmm->recs), ==, 2);
    g_assert_cmpuint(g_hash_table_size(s->m->rmm->vmids), ==, 1);
    for (i = 0; i < RMM_STRIPES; i++) {
        g_assert_cmpint(s->m->rmm->walkers[i].inside, ==, 0);
    }
}

static void unfold_block(Stress *s)
{
    uint64_t pa = fake_granule(s->m);

    fake_call(s->m, RMI_RTT_CREATE, s->r.rd, pa, IPA_BLOCK, 3);
}

static void everything_at_once(void)
{
    Stress *s = stress_new();
    unsigned count[GRANULE_STATES];

    run_cast(s);
    assert_in_order(s);
    unfold_block(s);
    fake_realm_destroy(s->m, &s->r);
    count_granules(s->m, count);
    g_assert_cmpuint(count[GRANULE_NS] + count[GRANULE_DELEGATED], ==,
                     s->m->granules);
    fake_machine_free(s->m);
    g_free(s);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/rmm/stress/everything_at_once", everything_at_once);
    return g_test_run();
}
