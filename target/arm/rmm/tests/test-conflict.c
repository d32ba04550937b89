/*
 * Two calls that conflict end as if one had come first
 *
 * Each case is a pair of calls of which each can spoil the machine for the
 * other.  Two threads make them at once; they have to return and leave behind
 * the same as in one of the two orders.  To get more interleavings, the machine
 * gives up its processor now and then when the library asks it for memory.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include "check-tables.h"
#include "fake-machine.h"
#include "granule.h"
#include "mig.h"
#include "session.h"
#include "test-keys.h"

/* Fewer where each costs ten times as much. */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define ROUNDS 30
#else
#define ROUNDS 120
#endif
#define MIB 0x100000ull
#define PAGE(n) ((n) * 0x1000ull)
#define UNPROTECTED (1ull << 32)
#define HOST_DESC (0x40000000ull | 6 << 2 | 3 << 6)

typedef struct World {
    FakeMachine *m;
    FakeRealm r;
    RmmStage2 s2;
    RmmPe pe[2];                /* of the two sides */
    uint64_t spare[4];          /* DELEGATED */
    uint64_t ns;
} World;

/* One side of a pair; what it returns is in @pe, or is the result. */
typedef uint64_t Side(World *w, RmmPe *pe);

/* ---- the machine ---- */

static void *(*plain_granule)(void *opaque, uint64_t pa);
static void *(*plain_ns)(void *opaque, uint64_t pa, size_t len);
static _Thread_local uint32_t jitter;           /* 0: none */

static void maybe_yield(void)
{
    if (jitter) {
        jitter = jitter * 1664525 + 1013904223;
        if (jitter >> 31) {
            g_thread_yield();
        }
    }
}

static void *jittery_granule(void *opaque, uint64_t pa)
{
    maybe_yield();
    return plain_granule(opaque, pa);
}

static void *jittery_ns(void *opaque, uint64_t pa, size_t len)
{
    maybe_yield();
    return plain_ns(opaque, pa, len);
}

/* A Realm in NEW; page 0 and 1 assigned, RIPAS RAM up to page 8. */
static World *world_new(void)
{
    World *w = g_new0(World, 1);
    RmiRealmParams *params;
    unsigned i;

    w->m = fake_machine_prepare(40);
    w->m->ops.key = test_key;
    plain_granule = w->m->ops.granule;
    w->m->ops.granule = jittery_granule;
    plain_ns = w->m->ops.ns;
    w->m->ops.ns = jittery_ns;
    fake_machine_start(w->m);
    params = fake_realm_params(w->m, &w->r, 33, 1);
    params->ext_flags = RMI_REALM_EXT_MIGRATION;
    params->vmid = 1;           /* the same each time */
    g_assert_cmphex(fake_realm_try(w->m, &w->r), ==, RMI_SUCCESS);
    for (i = 0; i < G_N_ELEMENTS(w->spare); i++) {
        w->spare[i] = fake_granule(w->m);
    }
    w->ns = fake_granule_ns(w->m);
    return w;
}

static void fill_new(World *w)
{
    fake_ram(w->m, &w->r, 0, PAGE(8));
    fake_data(w->m, &w->r, 0, 2, 0x11);
    fake_tables(w->m, &w->r, 4 * MIB);
    fake_tables(w->m, &w->r, UNPROTECTED);
    fake_rec(w->m, &w->r, RMI_REC_RUNNABLE, 0);
    fake_rec(w->m, &w->r, RMI_REC_RUNNABLE, 0);
    fake_rec(w->m, &w->r, 0, 0);
    g_assert(rmm_stage2(w->m->rmm, w->r.rec[0], &w->s2));
}

static void activate(World *w)
{
    fill_new(w);
    g_assert_cmphex(fake_call(w->m, RMI_REALM_ACTIVATE, w->r.rd), ==, 0);
}

static void nothing(World *w)
{
}

/* All that keeps the Realm alive. */
static void one_table(World *w)
{
    g_assert_cmphex(fake_call(w->m, RMI_RTT_CREATE, w->r.rd, w->spare[2],
                              1 << 30, 2), ==, RMI_SUCCESS);
}

static void run_rec_0(World *w)
{
    activate(w);
    fake_enter(w->m, &w->pe[0], &w->r, 0);
}

/* REC 0 asked for RIPAS EMPTY of pages 0 and 1. */
static void ask_for_empty(World *w)
{
    const uint64_t args[] = { 0, PAGE(2), RMI_RIPAS_EMPTY, 0 };

    run_rec_0(w);
    fake_call_pe(w->m, &w->pe[0], RSI_IPA_STATE_SET, args, 4);
    g_assert_cmpint(w->pe[0].world, ==, RMM_WORLD_HOST);
}

/* REC 0 asked to turn on REC 2. */
static void ask_for_cpu_on(World *w)
{
    const uint64_t args[] = { rec_index_to_mpidr(2), 0x1000, 7 };

    run_rec_0(w);
    fake_call_pe(w->m, &w->pe[0], PSCI_FID_32(3) | 1u << 30, args, 3);
    g_assert_cmpint(w->pe[0].world, ==, RMM_WORLD_HOST);
}

static void map_unprotected(World *w)
{
    activate(w);
    g_assert_cmphex(fake_call(w->m, RMI_RTT_MAP_UNPROTECTED, w->r.rd,
                              UNPROTECTED, 3, HOST_DESC), ==, RMI_SUCCESS);
}

static void make_clean(World *w)
{
    RttWalk walk = { .entry = NULL };

    activate(w);
    rtt_collect_dirty(fake_realm_object(w->m, &w->r), 0, PAGE(8), NULL, NULL,
                      NULL);
    rtt_take_pending(fake_realm_object(w->m, &w->r), 0, &walk);
}

/* Parameters for a second Realm, of @spare 0 and 1. */
static void second_realm(World *w)
{
    RmiRealmParams *params = fake_ns(w->m, FAKE_NS_PARAMS);

    params->vmid = 77;
    params->s2sz = 39;          /* one start table is enough */
    params->rtt_num_start = 1;
    params->rtt_base = w->spare[1];
}

#define BUFFER(i)    (FAKE_NS_FREE + (i) * 0x4000ull)
#define BUFFER_BYTES 0x3000ull
#define LIST         BUFFER(3)          /* of IPAs: zeros, so page 0 */
#define BITMAP       (LIST + 0x1000)

#define MIG(w, call, ...) \
    g_assert_cmphex(fake_call((w)->m, MIG_FID_BASE + (call), __VA_ARGS__), \
                    ==, RMI_SUCCESS)

/* What the destination would say now, with the source's keys, in the list */
static void say(World *w, MigType type)
{
    MigSession *s = fake_realm_object(w->m, &w->r)->session;

    g_assert_cmpint(reply_make(s, type, fake_ns(w->m, LIST)), ==, 0);
}

/* Another Realm offers, and is gone: the first one is exported to nowhere. */
static void begin_export(World *w)
{
    RmiRealmParams *params = fake_ns(w->m, FAKE_NS_PARAMS);
    FakeRealm other;

    activate(w);
    fake_realm_params(w->m, &other, 33, 1);
    params->ext_flags = RMI_REALM_EXT_MIGRATION;
    params->vmid = 2;
    g_assert_cmphex(fake_realm_try(w->m, &other), ==, RMI_SUCCESS);
    MIG(w, MIG_PREPARE, w->r.rd);
    MIG(w, MIG_OFFER, other.rd, BUFFER(0), BUFFER_BYTES, w->m->pe.x[1],
        w->m->pe.x[2], w->m->pe.x[3], w->m->pe.x[4]);
    MIG(w, MIG_ACCEPT, w->r.rd, BUFFER(0), w->m->pe.x[1]);
    g_assert_cmphex(fake_call(w->m, RMI_REALM_DESTROY, other.rd), ==, 0);
    MIG(w, MIG_EXPORT_BEGIN, w->r.rd, BUFFER(0), BUFFER_BYTES);
}

/* Everything is out, and a ready record of the other Realm is in the list. */
static void all_out(World *w)
{
    uint64_t *list = fake_ns(w->m, LIST);
    unsigned i;

    begin_export(w);
    MIG(w, MIG_COLLECT_DIRTY, w->r.rd, 0, PAGE(8), BITMAP);
    for (i = 0; i < 2; i++) {
        list[i] = PAGE(i);
    }
    MIG(w, MIG_EXPORT_MEMORY, w->r.rd, LIST, 2, BUFFER(0), BUFFER_BYTES, 0);
    MIG(w, MIG_PAUSE, w->r.rd);
    MIG(w, MIG_EXPORT_REALM, w->r.rd, BUFFER(0), BUFFER_BYTES, 0);
    for (i = 0; i < w->r.num_recs; i++) {
        MIG(w, MIG_EXPORT_REC, w->r.rd, w->r.rec[i], BUFFER(0), BUFFER_BYTES);
    }
    say(w, MIG_TYPE_READY);
}

/*
 * The start token as well.  There are a receipt and an abort token: no
 * destination gives both.
 */
static void sealed(World *w)
{
    MigAbort *token = fake_ns(w->m, BUFFER(1));
    MigSession *s;

    all_out(w);
    MIG(w, MIG_EXPORT_START, w->r.rd, BUFFER(0), BUFFER_BYTES, LIST);
    say(w, MIG_TYPE_RECEIPT);
    s = fake_realm_object(w->m, &w->r)->session;
    *token = (MigAbort) {
        .magic = MIG_MAGIC, .version = MIG_VERSION, .type = MIG_TYPE_ABORT,
        .size = sizeof(*token),
    };
    memcpy(token->offer_nonce, s->offer.nonce, sizeof(token->offer_nonce));
    crypto_hash(s->offer.abort_lock, token->secret, sizeof(token->secret));
}

static void collect_first(World *w)
{
    begin_export(w);
    MIG(w, MIG_COLLECT_DIRTY, w->r.rd, 0, PAGE(8), BITMAP);
}

/* Parameters for a REC that would be the next. */
static void next_rec(World *w)
{
    RmiRecParams *params = fake_ns(w->m, FAKE_NS_PARAMS);

    memset(params, 0, sizeof(*params));
    params->flags = RMI_REC_RUNNABLE;
    params->mpidr = rec_index_to_mpidr(w->r.num_recs);
}

static void next_rec_of_new(World *w)
{
    fill_new(w);
    next_rec(w);
}

/* ---- the sides ---- */

#define SIDE(name, fid, ...)                                              \
    static uint64_t name(World *w, RmmPe *pe)                             \
    {                                                                     \
        const uint64_t args[] = { __VA_ARGS__ };                          \
                                                                          \
        return fake_call_pe(w->m, pe, fid, args, G_N_ELEMENTS(args));     \
    }

SIDE(delegate_ns, RMI_GRANULE_DELEGATE, w->ns)
SIDE(undelegate_0, RMI_GRANULE_UNDELEGATE, w->spare[0])
SIDE(data_0_at_2, RMI_DATA_CREATE_UNKNOWN, w->r.rd, w->spare[0], PAGE(2))
SIDE(data_0_at_3, RMI_DATA_CREATE_UNKNOWN, w->r.rd, w->spare[0], PAGE(3))
SIDE(data_1_at_2, RMI_DATA_CREATE_UNKNOWN, w->r.rd, w->spare[1], PAGE(2))
SIDE(data_at_4m, RMI_DATA_CREATE_UNKNOWN, w->r.rd, w->spare[1], 4 * MIB)
SIDE(measured_at_2, RMI_DATA_CREATE, w->r.rd, w->spare[0], PAGE(2),
     FAKE_NS_SRC, 1)
SIDE(measured_at_3, RMI_DATA_CREATE, w->r.rd, w->spare[1], PAGE(3),
     FAKE_NS_SRC, 1)
SIDE(destroy_page_0, RMI_DATA_DESTROY, w->r.rd, 0)
SIDE(table_0, RMI_RTT_CREATE, w->r.rd, w->spare[0], 2 * MIB, 3)
SIDE(table_1, RMI_RTT_CREATE, w->r.rd, w->spare[1], 2 * MIB, 3)
SIDE(table_at_1g, RMI_RTT_CREATE, w->r.rd, w->spare[0], 1 << 30, 2)
SIDE(table_at_4m, RMI_RTT_CREATE, w->r.rd, w->spare[0], 4 * MIB, 3)
SIDE(cut_at_1g, RMI_RTT_DESTROY, w->r.rd, 1 << 30, 2)
SIDE(cut_at_4m, RMI_RTT_DESTROY, w->r.rd, 4 * MIB, 3)
SIDE(fold_at_4m, RMI_RTT_FOLD, w->r.rd, 4 * MIB, 3)
SIDE(init_ripas, RMI_RTT_INIT_RIPAS, w->r.rd, 4 * MIB, 4 * MIB + PAGE(3))
SIDE(set_ripas, RMI_RTT_SET_RIPAS, w->r.rd, w->r.rec[0], 0, PAGE(2))
SIDE(map, RMI_RTT_MAP_UNPROTECTED, w->r.rd, UNPROTECTED, 3, HOST_DESC)
SIDE(unmap, RMI_RTT_UNMAP_UNPROTECTED, w->r.rd, UNPROTECTED, 3)
SIDE(cut_unprotected, RMI_RTT_DESTROY, w->r.rd, UNPROTECTED, 3)
SIDE(activate_realm, RMI_REALM_ACTIVATE, w->r.rd)
SIDE(destroy_realm, RMI_REALM_DESTROY, w->r.rd)
SIDE(create_realm, RMI_REALM_CREATE, w->spare[0], FAKE_NS_PARAMS)
SIDE(create_realm_2, RMI_REALM_CREATE, w->spare[2], FAKE_NS_PARAMS)
SIDE(offer, MIG_FID_BASE + MIG_OFFER, w->r.rd, FAKE_NS_FREE, 4096)
SIDE(mig_collect, MIG_FID_BASE + MIG_COLLECT_DIRTY, w->r.rd, 0, PAGE(8),
     BITMAP)
SIDE(mig_export_0, MIG_FID_BASE + MIG_EXPORT_MEMORY, w->r.rd, LIST, 1,
     BUFFER(0), BUFFER_BYTES, 0)
SIDE(mig_export_1, MIG_FID_BASE + MIG_EXPORT_MEMORY, w->r.rd, LIST, 1,
     BUFFER(1), BUFFER_BYTES, 1)
SIDE(mig_epoch, MIG_FID_BASE + MIG_EXPORT_EPOCH, w->r.rd, BUFFER(2),
     BUFFER_BYTES)
SIDE(source_pauses, MIG_FID_BASE + MIG_PAUSE, w->r.rd)
SIDE(mig_abort, MIG_FID_BASE + MIG_EXPORT_ABORT, w->r.rd)
SIDE(source_prepares, MIG_FID_BASE + MIG_PREPARE, w->r.rd)
SIDE(mig_start, MIG_FID_BASE + MIG_EXPORT_START, w->r.rd, BUFFER(0),
     BUFFER_BYTES, LIST)
SIDE(mig_resume, MIG_FID_BASE + MIG_EXPORT_RESUME, w->r.rd, BUFFER(1),
     sizeof(MigAbort))
SIDE(mig_finish, MIG_FID_BASE + MIG_EXPORT_FINISH, w->r.rd, LIST,
     MIG_EMPTY_BUNDLE)
SIDE(create_rec, RMI_REC_CREATE, w->r.rd, w->spare[0], FAKE_NS_PARAMS)
SIDE(create_rec_2, RMI_REC_CREATE, w->r.rd, w->spare[1], FAKE_NS_PARAMS)
SIDE(destroy_rec_0, RMI_REC_DESTROY, w->r.rec[0])
SIDE(destroy_rec_2, RMI_REC_DESTROY, w->r.rec[2])
SIDE(enter_0, RMI_REC_ENTER, w->r.rec[0], FAKE_NS_RUN(0))
SIDE(enter_0_too, RMI_REC_ENTER, w->r.rec[0], FAKE_NS_RUN(2))
SIDE(enter_1, RMI_REC_ENTER, w->r.rec[1], FAKE_NS_RUN(1))
SIDE(enter_2, RMI_REC_ENTER, w->r.rec[2], FAKE_NS_RUN(2))
SIDE(complete, RMI_PSCI_COMPLETE, w->r.rec[0], w->r.rec[2], PSCI_SUCCESS)
SIDE(deny, RMI_PSCI_COMPLETE, w->r.rec[0], w->r.rec[2],
     (uint64_t)PSCI_DENIED)
SIDE(realm_off, PSCI_FID_32(8), 0)
SIDE(cpu_on_2, PSCI_FID_CPU_ON, rec_index_to_mpidr(2), 0x1000, 7)
SIDE(config_to_0, RSI_REALM_CONFIG, 0)
SIDE(read_entry_0, RMI_RTT_READ_ENTRY, w->r.rd, 0, 3)

static uint64_t interrupt(World *w, RmmPe *pe)
{
    take_interrupt(w->m->rmm, pe);
    return pe->x[0];
}

static uint64_t write_page_0(World *w, RmmPe *pe)
{
    RmmTranslation t = { 0 };
    RmmFault fault = rmm_stage2_walk(w->m->rmm, &w->s2, 0, RMM_ACCESS_WRITE,
                                     &t);

    pe->x[1] = fault == RMM_FAULT_NONE ? t.pa : 0;
    return fault;
}

static uint64_t read_unprotected(World *w, RmmPe *pe)
{
    RmmTranslation t = { 0 };
    RmmFault fault = rmm_stage2_walk(w->m->rmm, &w->s2, UNPROTECTED,
                                     RMM_ACCESS_READ, &t);

    pe->x[1] = fault == RMM_FAULT_NONE ? t.pa : 0;
    return fault;
}

static uint64_t count_dirty(World *w, RmmPe *pe)
{
    RmmRealm *realm = realm_lock(w->m->rmm, w->r.rd);

    pe->x[1] = rtt_collect_dirty(realm, 0, PAGE(8), NULL, NULL, NULL);
    realm_unlock(realm);
    return 0;
}

/* ---- pairs ---- */

static const struct {
    const char *name;
    void (*prepare)(World *w);
    Side *side[2];
} pairs[] = {
    { "delegate-twice", nothing, { delegate_ns, delegate_ns } },
    { "one-granule-for-two-pages", activate, { data_0_at_2, data_0_at_3 } },
    { "two-granules-for-one-page", activate, { data_0_at_2, data_1_at_2 } },
    { "data-create-and-undelegate", activate, { data_0_at_2, undelegate_0 } },
    { "rtt-create-and-undelegate", activate, { table_0, undelegate_0 } },
    { "rec-create-and-undelegate", next_rec_of_new,
      { create_rec, undelegate_0 } },
    { "realm-create-and-undelegate", second_realm,
      { create_realm, undelegate_0 } },
    { "measured-data-in-two-orders", fill_new,
      { measured_at_2, measured_at_3 } },
    { "measured-data-and-activate", fill_new,
      { measured_at_2, activate_realm } },
    { "init-ripas-and-activate", fill_new, { init_ripas, activate_realm } },
    { "init-ripas-and-data", fill_new, { init_ripas, data_at_4m } },
    { "rec-create-and-activate", next_rec_of_new,
      { create_rec, activate_realm } },
    { "rec-create-twice", next_rec_of_new, { create_rec, create_rec_2 } },
    { "offer-and-activate", fill_new, { offer, activate_realm } },
    { "two-tables-for-one-place", activate, { table_0, table_1 } },
    { "table-and-data-from-one-granule", activate, { table_0, data_0_at_2 } },
    { "cut-and-create", activate, { cut_at_4m, table_at_4m } },
    { "cut-and-fold", activate, { cut_at_4m, fold_at_4m } },
    { "cut-and-data", activate, { cut_at_4m, data_at_4m } },
    { "fold-and-data", activate, { fold_at_4m, data_at_4m } },
    { "cut-twice", activate, { cut_at_4m, cut_at_4m } },
    { "data-destroy-twice", activate, { destroy_page_0, destroy_page_0 } },
    { "data-destroy-and-write", make_clean, { destroy_page_0, write_page_0 } },
    { "collect-and-write", make_clean, { count_dirty, write_page_0 } },
    { "read-entry-and-data-destroy", activate,
      { read_entry_0, destroy_page_0 } },
    { "map-and-unmap", activate, { map, unmap } },
    { "map-and-cut", activate, { map, cut_unprotected } },
    { "unmap-and-read", map_unprotected, { unmap, read_unprotected } },
    { "cut-and-read", map_unprotected, { cut_unprotected, read_unprotected } },
    { "realm-destroy-twice", nothing, { destroy_realm, destroy_realm } },
    { "realm-destroy-and-rec-create", next_rec,
      { destroy_realm, create_rec } },
    { "realm-destroy-and-rtt-create", nothing,
      { destroy_realm, table_at_1g } },
    { "realm-destroy-and-cut", one_table, { destroy_realm, cut_at_1g } },
    { "realm-destroy-and-activate", nothing,
      { destroy_realm, activate_realm } },
    { "realm-destroy-and-offer", nothing, { destroy_realm, offer } },
    { "realm-create-twice", second_realm, { create_realm, create_realm } },
    { "realms-of-the-same-tables", second_realm,
      { create_realm, create_realm_2 } },
    { "enter-twice", activate, { enter_0, enter_0_too } },
    { "enter-and-rec-destroy", activate, { enter_0, destroy_rec_0 } },
    { "rec-destroy-twice", activate, { destroy_rec_0, destroy_rec_0 } },
    { "exit-and-rec-destroy", run_rec_0, { interrupt, destroy_rec_0 } },
    { "exit-and-enter", run_rec_0, { interrupt, enter_0_too } },
    { "system-off-and-enter", run_rec_0, { realm_off, enter_1 } },
    { "set-ripas-and-data-destroy", ask_for_empty,
      { set_ripas, destroy_page_0 } },
    { "set-ripas-and-enter", ask_for_empty, { set_ripas, enter_0 } },
    { "set-ripas-and-rec-destroy", ask_for_empty,
      { set_ripas, destroy_rec_0 } },
    { "set-ripas-twice", ask_for_empty, { set_ripas, set_ripas } },
    { "complete-and-deny", ask_for_cpu_on, { complete, deny } },
    { "complete-and-enter-target", ask_for_cpu_on, { complete, enter_2 } },
    { "complete-and-enter-caller", ask_for_cpu_on, { complete, enter_0 } },
    { "complete-and-destroy-target", ask_for_cpu_on,
      { complete, destroy_rec_2 } },
    { "cpu-on-and-destroy-target", run_rec_0, { cpu_on_2, destroy_rec_2 } },
    { "pause-and-enter", begin_export, { source_pauses, enter_0 } },
    { "pause-and-data", begin_export, { source_pauses, data_0_at_2 } },
    { "pause-and-abort", begin_export, { source_pauses, mig_abort } },
    { "pause-and-data-destroy", begin_export, { source_pauses, destroy_page_0 } },
    { "migration-collects-and-write", collect_first,
      { mig_collect, write_page_0 } },
    { "migration-collects-and-exports", begin_export,
      { mig_collect, mig_export_0 } },
    { "export-and-data-destroy", collect_first,
      { mig_export_0, destroy_page_0 } },
    { "export-of-one-page-twice", collect_first,
      { mig_export_0, mig_export_1 } },
    { "export-and-epoch", collect_first, { mig_export_1, mig_epoch } },
    { "export-and-abort", collect_first, { mig_export_0, mig_abort } },
    { "prepare-twice", activate, { source_prepares, source_prepares } },
    { "start-and-abort", all_out, { mig_start, mig_abort } },
    { "start-and-data-destroy", all_out, { mig_start, destroy_page_0 } },
    { "finish-and-resume", sealed, { mig_finish, mig_resume } },
    { "config-and-data-destroy", run_rec_0, { config_to_0, destroy_page_0 } },
};

/* ---- what came of it ---- */

#define REGISTERS 5

typedef struct Outcome {
    uint64_t x[2][REGISTERS];
    RmmWorld world[2];
    uint64_t state;
} Outcome;

static uint64_t mix(uint64_t sum, const void *data, size_t len)
{
    const uint8_t *p = data;
    uint64_t word;

    for (; len >= sizeof(word); len -= sizeof(word), p += sizeof(word)) {
        memcpy(&word, p, sizeof(word));
        sum = (sum ^ word) * 0x9e3779b97f4a7c15ull;
        sum ^= sum >> 29;
    }
    while (len--) {
        sum = (sum ^ *p++) * 0x100000001b3ull;
    }
    return sum;
}

#define MIX(sum, field) mix(sum, &(field), sizeof(field))

static uint64_t mix_rec(uint64_t sum, const RmmRec *rec)
{
    sum = MIX(sum, rec->pa);
    sum = MIX(sum, rec->mpidr);
    sum = MIX(sum, rec->state);
    sum = MIX(sum, rec->x);
    sum = MIX(sum, rec->pc);
    sum = MIX(sum, rec->ripas.addr);
    return MIX(sum, rec->ripas.top);
}

static uint64_t mix_session(uint64_t sum, const MigSession *s)
{
    unsigned i;

    if (!s || s->phase == MIG_IDLE) {
        return sum;                     /* one that never was is as good */
    }
    sum = MIX(sum, s->phase);
    sum = MIX(sum, s->epoch);
    sum = MIX(sum, s->epoch_used);
    for (i = 0; i < MIG_MAX_STREAMS; i++) {
        sum = MIX(sum, s->streams[i].counter);
    }
    return sum;
}

static uint64_t mix_realm(uint64_t sum, const RmmRealm *realm)
{
    uint32_t i;

    sum = MIX(sum, realm->rd);
    sum = MIX(sum, realm->state);
    sum = MIX(sum, realm->reclaimed);
    sum = MIX(sum, realm->num_recs);
    sum = MIX(sum, realm->next_index);
    sum = MIX(sum, realm->measurement);
    for (i = 0; i < RMM_MAX_RECS; i++) {
        sum = realm->recs[i] ? mix_rec(sum, realm->recs[i]) : sum + 1;
    }
    return mix_session(sum, realm->session);
}

/* The same for two machines that went the same way. */
static uint64_t state_of(World *w)
{
    FakeMachine *m = w->m;
    uint64_t sum = mix(0, m->pool, m->granules * RMM_GRANULE_SIZE);
    GHashTableIter iter;
    gpointer realm;
    size_t i;

    sum = mix(sum, m->ns, FAKE_NS_PAGES * RMM_GRANULE_SIZE);
    for (i = 0; i < m->granules; i++) {
        uint64_t pa = FAKE_POOL_BASE + i * RMM_GRANULE_SIZE;
        GranuleState state = granule_state(m->rmm, pa);

        g_assert_false(granule_is_locked(m->rmm, pa));
        sum = MIX(sum, state);
    }
    g_hash_table_iter_init(&iter, m->rmm->realms);
    while (g_hash_table_iter_next(&iter, NULL, &realm)) {
        sum += mix_realm(1, realm);     /* the order says nothing */
    }
    return sum + g_hash_table_size(m->rmm->vmids) +
           (g_hash_table_size(m->rmm->recs) << 8);
}

static Outcome outcome_of(World *w)
{
    Outcome o;
    unsigned i;

    memset(&o, 0, sizeof(o));
    check_tables(w->m->rmm);
    for (i = 0; i < 2; i++) {
        memcpy(o.x[i], w->pe[i].x, sizeof(o.x[i]));
        o.world[i] = w->pe[i].world;
    }
    o.state = state_of(w);
    for (i = 0; i < 2; i++) {
        if (w->pe[i].world == RMM_WORLD_REALM) {
            take_interrupt(w->m->rmm, &w->pe[i]);
        }
    }
    fake_machine_free(w->m);
    g_free(w);
    return o;
}

static void make_call(World *w, unsigned pair, unsigned side)
{
    RmmPe *pe = &w->pe[side];

    pe->x[0] = pairs[pair].side[side](w, pe);
}

static World *prepared(unsigned pair)
{
    World *w = world_new();

    pairs[pair].prepare(w);
    return w;
}

static Outcome in_order(unsigned pair, unsigned first)
{
    World *w = prepared(pair);

    make_call(w, pair, first);
    make_call(w, pair, !first);
    return outcome_of(w);
}

/* ---- at once ---- */

typedef struct Race {
    World *w;
    unsigned pair, side;
    uint32_t seed;
    gint *ready;
} Race;

static gpointer race(gpointer opaque)
{
    Race *r = opaque;

    unsigned spins = 0;

    jitter = r->seed | 1;
    g_atomic_int_inc(r->ready);
    while (g_atomic_int_get(r->ready) < 2) {
        if (++spins % 4096 == 0) {
            g_thread_yield();           /* there may be one processor only */
        }
    }
    make_call(r->w, r->pair, r->side);
    return NULL;
}

static Outcome at_once(unsigned pair, unsigned round)
{
    World *w = prepared(pair);
    GThread *threads[2];
    gint ready = 0;
    Race r[2];
    unsigned i;

    for (i = 0; i < 2; i++) {
        /* Each is the last to come, and so the first to go, half the time. */
        unsigned side = i ^ (round & 1);

        r[i] = (Race) { w, pair, side, round * 2654435761u + i * 40503,
                        &ready };
        threads[i] = g_thread_new("side", race, &r[i]);
    }
    for (i = 0; i < 2; i++) {
        g_thread_join(threads[i]);
    }
    return outcome_of(w);
}

static bool same(const Outcome *a, const Outcome *b)
{
    return !memcmp(a, b, sizeof(*a));
}

static void ends_as_if_one_came_first(gconstpointer data)
{
    unsigned pair = GPOINTER_TO_UINT(data), i, seen[2] = { 0 };
    Outcome first = in_order(pair, 0), second = in_order(pair, 1);

    /* They conflict: the order can be told. */
    g_assert_false(same(&first, &second));
    for (i = 0; i < ROUNDS; i++) {
        Outcome o = at_once(pair, i);
        bool as_second = same(&o, &second);

        g_assert_true(as_second || same(&o, &first));
        seen[as_second]++;
    }
    g_test_message("%u times the first came first, %u times the second",
                   seen[0], seen[1]);
}

int main(int argc, char **argv)
{
    unsigned i;

    g_test_init(&argc, &argv, NULL);
    for (i = 0; i < G_N_ELEMENTS(pairs); i++) {
        g_autofree char *path = g_strdup_printf("/rmm/conflict/%s",
                                                pairs[i].name);

        g_test_add_data_func(path, GUINT_TO_POINTER(i),
                             ends_as_if_one_came_first);
    }
    return g_test_run();
}
