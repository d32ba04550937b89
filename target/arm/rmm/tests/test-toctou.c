/*
 * Non-secure memory that changes while the RMM looks at it
 *
 * Purpose: every call that reads Non-secure memory is made again and again,
 * each time with one byte of it changed between two of the library's
 * requests for it.  The call has to end as if that memory had held the one
 * or the other contents all the time: then each byte counted once only.
 *
 * One place asks twice by intention: MIG_IMPORT_MEMORY looks for the number
 * of the stream in the header, to know which lock to take, before it copies
 * the bundle.  That is safe, since the number only picks a lock and a key:
 * the copy is then checked against the stream that is locked, its number
 * included, so that a bundle of another stream ends the session whatever it
 * says.  The tests below change the number at either time.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include "fake-machine.h"
#include "granule.h"
#include "mig.h"
#include "mig-machine.h"
#include "rmm-internal.h"

/* ---- a machine that changes a byte at the n-th request ---- */

static struct {
    void *(*ns)(void *opaque, uint64_t pa, size_t len);
    uint64_t pa;                /* what is watched */
    size_t len;
    unsigned asked;             /* requests for any of it so far */
    unsigned first, last;       /* those that see the changed byte */
    size_t at;                  /* the byte */
    uint8_t mask;
    uint8_t *copy;
} watch;

static void *op_ns(void *opaque, uint64_t pa, size_t len)
{
    uint8_t *p = watch.ns(opaque, pa, len);
    uint64_t at = watch.pa + watch.at;

    if (!p || pa >= watch.pa + watch.len || pa + len <= watch.pa) {
        return p;
    }
    watch.asked++;
    if (watch.asked < watch.first || watch.asked > watch.last ||
        at < pa || at >= pa + len) {
        return p;
    }
    g_free(watch.copy);
    watch.copy = g_memdup2(p, len);
    watch.copy[at - pa] ^= watch.mask;
    return watch.copy;
}

/* Requests from @first to @last see byte @at changed; from 1 on: all do. */
static void watch_begin(Rmm *rmm, uint64_t pa, size_t len, size_t at,
                        unsigned first, unsigned last)
{
    g_assert(rmm->ops.ns != op_ns);
    watch.ns = rmm->ops.ns;
    rmm->ops.ns = op_ns;
    watch.pa = pa;
    watch.len = len;
    watch.asked = 0;
    watch.first = first;
    watch.last = last;
    watch.at = at;
    watch.mask = 1u << at % 8;
}

static void watch_end(Rmm *rmm)
{
    rmm->ops.ns = watch.ns;
    g_clear_pointer(&watch.copy, g_free);
}

/* ---- calls on one machine ---- */

typedef struct World {
    FakeMachine *m;
    FakeRealm r;
    RmmPe pe;
    uint64_t granule;
} World;

/* A structure that a call reads, and how to get to that call. */
typedef struct Subject {
    const char *name;
    uint64_t pa;
    size_t len;
    void (*prepare)(World *w);
    void (*call)(World *w);
} Subject;

static void prepare_realm(World *w)
{
    RmiRealmParams *p = fake_realm_params(w->m, &w->r, 33, 1);

    p->flags = RMI_REALM_PMU;
    p->ext_flags = RMI_REALM_EXT_MIGRATION;
    p->pmu_num_ctrs = 3;
    p->hash_algo = RMI_HASH_SHA_512;
}

static void call_realm(World *w)
{
    fake_call_pe(w->m, &w->pe, RMI_REALM_CREATE,
                 (uint64_t[]) { w->r.rd, FAKE_NS_PARAMS }, 2);
}

static void prepare_rec(World *w)
{
    RmiRecParams *p = fake_ns(w->m, FAKE_NS_PARAMS);
    unsigned i;

    w->r = fake_realm_new(w->m);
    w->granule = fake_granule(w->m);
    memset(p, 0, sizeof(*p));
    p->flags = RMI_REC_RUNNABLE;
    p->pc = 0x123456789abc;
    for (i = 0; i < 8; i++) {
        p->gprs[i] = 0x0101010101010101 * i;
    }
    p->num_aux = w->m->platform.num_aux;
    for (i = 0; i < p->num_aux; i++) {
        p->aux[i] = fake_granule(w->m);
    }
}

static void call_rec(World *w)
{
    fake_call_pe(w->m, &w->pe, RMI_REC_CREATE,
                 (uint64_t[]) { w->r.rd, w->granule, FAKE_NS_PARAMS }, 3);
}

/* A load from unprotected memory that the host has emulated. */
static void prepare_entry(World *w)
{
    const RmmSyndrome s = {
        .esr = 0x24ull << 26 | 1 << 24 | 3 << 22 | 5 << 16 | 1 << 15 | 7,
        .hpfar = 1ull << 24,
    };
    RmiRecEnter *enter = &fake_run(w->m, 0)->enter;

    w->r = fake_realm_new(w->m);
    fake_rec(w->m, &w->r, RMI_REC_RUNNABLE, 0x1000);
    g_assert_cmphex(fake_call(w->m, RMI_REALM_ACTIVATE, w->r.rd), ==,
                    RMI_SUCCESS);
    fake_enter(w->m, &w->pe, &w->r, 0);
    rmm_exception(w->m->rmm, &w->pe, &s);
    memset(enter, 0, sizeof(*enter));
    enter->flags = RMI_ENTER_EMUL_MMIO | RMI_ENTER_TRAP_WFI;
    enter->gprs[0] = 0xa5a5a5a5a5a5a5a5;
}

static void call_entry(World *w)
{
    fake_call_pe(w->m, &w->pe, RMI_REC_ENTER,
                 (uint64_t[]) { w->r.rec[0], FAKE_NS_RUN(0) }, 2);
}

static void prepare_data(World *w)
{
    uint8_t *src = fake_ns(w->m, FAKE_NS_SRC);
    unsigned i;

    w->r = fake_realm_new(w->m);
    fake_tables(w->m, &w->r, 0);
    w->granule = fake_granule(w->m);
    for (i = 0; i < RMM_GRANULE_SIZE; i++) {
        src[i] = i * 7 + (i >> 8);
    }
}

static void call_data(World *w)
{
    fake_call_pe(w->m, &w->pe, RMI_DATA_CREATE,
                 (uint64_t[]) { w->r.rd, w->granule, 0, FAKE_NS_SRC,
                                RMI_DATA_MEASURE }, 5);
}

static const Subject subjects[] = {
    { "REALM_CREATE", FAKE_NS_PARAMS, 0x1000, prepare_realm, call_realm },
    { "REC_CREATE", FAKE_NS_PARAMS, 0x1000, prepare_rec, call_rec },
    { "REC_ENTER", FAKE_NS_RUN(0), 0x800, prepare_entry, call_entry },
    { "DATA_CREATE", FAKE_NS_SRC, 0x1000, prepare_data, call_data },
};

#define ADD(sum, x) g_checksum_update(sum, (const guchar *)&(x), sizeof(x))

static void add_realm(GChecksum *sum, const RmmRealm *realm)
{
    unsigned i;

    ADD(sum, realm->rd);
    ADD(sum, realm->flags);
    ADD(sum, realm->ext_flags);
    ADD(sum, realm->rtt_base);
    ADD(sum, realm->ipa_bits);
    ADD(sum, realm->vmid);
    ADD(sum, realm->hash_algo);
    ADD(sum, realm->sve_vl);
    ADD(sum, realm->num_bps);
    ADD(sum, realm->num_wps);
    ADD(sum, realm->pmu_num_ctrs);
    ADD(sum, realm->rpv);
    ADD(sum, realm->measurement);
    for (i = 0; i < realm->num_recs; i++) {
        ADD(sum, realm->recs[i]->state);
        ADD(sum, realm->recs[i]->x);
        ADD(sum, realm->recs[i]->pc);
        ADD(sum, realm->recs[i]->aux);
        ADD(sum, realm->recs[i]->enter_flags);
    }
}

/* A text that says how the call ended, and what the state is now. */
static char *outcome(World *w)
{
    GChecksum *sum = g_checksum_new(G_CHECKSUM_SHA256);
    GHashTableIter iter;
    gpointer realm;
    size_t i;
    char *text;

    ADD(sum, w->pe.x);
    ADD(sum, w->pe.pc);
    ADD(sum, w->pe.world);
    g_checksum_update(sum, w->m->pool, w->m->granules * RMM_GRANULE_SIZE);
    for (i = 0; i < w->m->granules; i++) {
        GranuleState state = granule_state(w->m->rmm, FAKE_POOL_BASE +
                                           i * RMM_GRANULE_SIZE);

        ADD(sum, state);
    }
    g_hash_table_iter_init(&iter, w->m->rmm->realms);
    while (g_hash_table_iter_next(&iter, NULL, &realm)) {
        add_realm(sum, realm);
    }
    text = g_strdup(g_checksum_get_string(sum));
    g_checksum_free(sum);
    return text;
}

static void world_begin(World *w, const Subject *s)
{
    memset(w, 0, sizeof(*w));
    w->m = fake_machine_prepare(24);
    w->m->platform.num_aux = 2;
    fake_machine_start(w->m);
    s->prepare(w);
}

static void world_end(World *w)
{
    if (w->pe.world == RMM_WORLD_REALM) {
        take_interrupt(w->m->rmm, &w->pe);
    }
    fake_machine_free(w->m);
}

/* Requests @first to @last see byte @at changed (none if @first is 0). */
static char *run_subject(const Subject *s, size_t at, unsigned first,
                         unsigned last, unsigned *asked)
{
    char *text;
    World w;

    world_begin(&w, s);
    watch_begin(w.m->rmm, s->pa, s->len, at, first ? first : 1, last);
    s->call(&w);
    *asked = watch.asked;
    watch_end(w.m->rmm);
    text = outcome(&w);
    world_end(&w);
    return text;
}

/* Takes @text. */
static void assert_either(char *text, const char *before, const char *after,
                          size_t at, unsigned n)
{
    if (strcmp(text, before) && strcmp(text, after)) {
        g_error("byte %zu changed at request %u: '%s' is neither '%s' nor "
                "'%s'", at, n, text, before, after);
    }
    g_free(text);
}

/* Fields begin at multiples of 0x100: all bytes there, some of the rest. */
static size_t next_byte(size_t at)
{
    size_t next = at + (at % 0x100 < 0x20 ? 1 : 13);

    return next / 0x100 > at / 0x100 ? next / 0x100 * 0x100 : next;
}

static void a_byte_counts_once(gconstpointer data)
{
    const Subject *s = data;
    unsigned requests, asked, n, different = 0;
    char *before = run_subject(s, 0, 0, 0, &requests);
    size_t at;

    g_assert_cmpuint(requests, >, 0);
    for (at = 0; at < s->len; at = next_byte(at)) {
        char *after = run_subject(s, at, 1, UINT_MAX, &asked);

        different += g_strcmp0(before, after) != 0;
        for (n = 1; n <= requests; n++) {
            char *late = run_subject(s, at, n + 1, UINT_MAX, &asked);
            char *once = run_subject(s, at, n, n, &asked);

            assert_either(late, before, after, at, n + 1);
            assert_either(once, before, after, at, n);
        }
        g_free(after);
    }
    g_assert_cmpuint(different, >, 8);  /* or nothing was tested */
    g_free(before);
}

/* ---- a thread that really changes memory ---- */

/* ThreadSanitizer would be right: the two do race. */
#ifndef __SANITIZE_THREAD__
typedef struct Flipper {
    uint64_t *word;
    uint64_t mask;
    gint stop;
} Flipper;

static gpointer flip_word(gpointer opaque)
{
    Flipper *f = opaque;

    while (!g_atomic_int_get(&f->stop)) {
        __atomic_fetch_xor(f->word, f->mask, __ATOMIC_RELAXED);
        g_thread_yield();
    }
    return NULL;
}

/* A word that matters in each of the subjects, and bits of it. */
static const struct {
    size_t at;
    uint64_t mask;
} flipped[] = {
    { 0x000, RMI_REALM_PMU },           /* REALM_CREATE: in the RIM */
    { 0x200, 0xff },                    /* REC_CREATE: the PC */
    { 0x200, 0xff },                    /* REC_ENTER: the value loaded */
    { 0xff8, 0xff },                    /* DATA_CREATE: in RIM and memory */
};

static void a_race_has_one_of_two_outcomes(void)
{
    unsigned i, round;

    for (i = 0; i < G_N_ELEMENTS(subjects); i++) {
        const Subject *s = &subjects[i];
        char *want[2] = { NULL };

        for (round = 0; round < 60; round++) {
            uint64_t *word;
            GThread *thread;
            Flipper f = { .mask = flipped[i].mask };
            char *text;
            World w;

            world_begin(&w, s);
            word = (uint64_t *)(w.m->ns + (s->pa - FAKE_NS_BASE) +
                                flipped[i].at);
            *word ^= round & 1 ? f.mask : 0;
            if (round < 2) {            /* what the outcomes are */
                s->call(&w);
                want[round] = outcome(&w);
                world_end(&w);
                continue;
            }
            f.word = word;
            thread = g_thread_new("flip", flip_word, &f);
            s->call(&w);
            g_atomic_int_set(&f.stop, 1);
            g_thread_join(thread);
            text = outcome(&w);
            g_assert_true(!g_strcmp0(text, want[0]) ||
                          !g_strcmp0(text, want[1]));
            g_free(text);
            world_end(&w);
        }
        g_assert_cmpstr(want[0], !=, want[1]);
        g_free(want[0]);
        g_free(want[1]);
    }
}
#endif

/* ---- calls of a migration ---- */

#define PAGES 3

typedef struct Pair {
    Machine *src, *dst;
    Record *record;             /* what the call under test reads */
} Pair;

/* What the call reads: at @pa of @dst (or of @src), @len bytes. */
typedef struct MigSubject {
    const char *name;
    bool at_source;
    uint64_t pa;
    size_t len;                 /* 0: the record's */
    void (*prepare)(Pair *p);
    uint64_t (*call)(Pair *p);
} MigSubject;

static void add_pages(Machine *m)
{
    unsigned i;

    for (i = 0; i < PAGES; i++) {
        machine_add_page(m, i * RMM_GRANULE_SIZE);
    }
    machine_activate(m);
    for (i = 0; i < PAGES; i++) {
        memset(machine_page(m, i * RMM_GRANULE_SIZE, true, NULL), 0x31 + i,
               RMM_GRANULE_SIZE);
    }
}

static void prepare_accept(Pair *p)
{
    add_pages(p->src);
    g_assert_cmphex(machine_prepare(p->src, p->dst), ==, RMI_SUCCESS);
    g_assert_cmphex(machine_offer(p->dst, &p->record), ==, RMI_SUCCESS);
    memcpy(machine_ns(p->src, NS_BLOB(0)), p->record->data, p->record->len);
}

static uint64_t call_accept(Pair *p)
{
    return MIG(p->src, MIG_ACCEPT, NS_BLOB(0), p->record->len);
}

static void prepare_begin(Pair *p)
{
    add_pages(p->src);
    g_assert_cmphex(machine_connect(p->src, p->dst, &p->record), ==,
                    RMI_SUCCESS);
    memcpy(machine_ns(p->dst, NS_BLOB(0)), p->record->data, p->record->len);
}

static uint64_t call_import(Pair *p)
{
    return MIG(p->dst, MIG_IMPORT, NS_BLOB(0), p->record->len);
}

static void begin_pair(Pair *p)
{
    prepare_begin(p);
    g_assert_cmphex(call_import(p), ==, RMI_SUCCESS);
    g_byte_array_unref(p->record);
    p->record = NULL;
}

static void prepare_epoch(Pair *p)
{
    uint64_t result;

    begin_pair(p);
    p->record = machine_export(p->src, MIG_EXPORT_EPOCH, 0, &result);
    g_assert_cmphex(result, ==, RMI_SUCCESS);
    memcpy(machine_ns(p->dst, NS_BLOB(0)), p->record->data, p->record->len);
}

static void collect_list(Pair *p)
{
    GArray *ipas = machine_collect(p->src);

    g_assert_cmpuint(ipas->len, ==, PAGES);
    memcpy(machine_ns(p->src, NS_LIST(0)), ipas->data, PAGES * 8);
    g_array_unref(ipas);
}

static void prepare_list(Pair *p)
{
    begin_pair(p);
    collect_list(p);
}

static uint64_t call_export(Pair *p)
{
    return MIG(p->src, MIG_EXPORT_MEMORY, NS_LIST(0), PAGES, NS_BLOB(0),
               MIG_MAX_BUNDLE, 0);
}

static void prepare_memory(Pair *p)
{
    uint64_t out[4], *list = machine_ns(p->dst, NS_LIST(0));
    unsigned i;

    begin_pair(p);
    collect_list(p);
    g_assert_cmphex(MIG_OUT(p->src, out, MIG_EXPORT_MEMORY, NS_LIST(0), PAGES,
                            NS_BLOB(0), MIG_MAX_BUNDLE, 0), ==, RMI_SUCCESS);
    p->record = machine_record(p->src, RMI_SUCCESS, out[0], 0);
    memcpy(machine_ns(p->dst, NS_BLOB(0)), p->record->data, p->record->len);
    machine_table(p->dst, 0);
    for (i = 0; i < PAGES; i++) {
        list[i] = machine_granule(p->dst);
    }
}

static uint64_t call_memory(Pair *p)
{
    return MIG(p->dst, MIG_IMPORT_MEMORY, NS_BLOB(0), p->record->len,
               NS_LIST(0), PAGES);
}

static void prepare_policy(Pair *p)
{
    MigPolicy *policy = machine_ns(p->src, NS_BLOB(0));

    memset(policy, 0, sizeof(*policy));
    policy->version = MIG_POLICY_VERSION;
    policy->num_anchors = 1;
    policy->anchors[0] = machine_anchor(NULL);
}

static uint64_t call_policy(Pair *p)
{
    return MIG(p->src, MIG_SET_POLICY, NS_BLOB(0), sizeof(MigPolicy));
}

/* All but the start token has left the source. */
static void send_pair(Pair *p)
{
    GArray *ipas;

    begin_pair(p);
    g_assert_cmphex(MIG(p->src, MIG_PAUSE), ==, RMI_SUCCESS);
    ipas = machine_collect(p->src);
    g_byte_array_unref(machine_send_pages(p->src, (uint64_t *)ipas->data,
                                          ipas->len, 0));
    g_array_unref(ipas);
    g_ptr_array_unref(machine_final_records(p->src));
}

static void prepare_resume(Pair *p)
{
    uint64_t result;

    send_pair(p);
    g_byte_array_unref(machine_start(p->src, NULL, &result));
    g_assert_cmphex(result, ==, RMI_SUCCESS);
    g_assert_cmphex(machine_abort(p->dst, &p->record), ==, RMI_SUCCESS);
    memcpy(machine_ns(p->src, NS_BLOB(0)), p->record->data, p->record->len);
}

static uint64_t call_resume(Pair *p)
{
    return MIG(p->src, MIG_EXPORT_RESUME, NS_BLOB(0), p->record->len);
}

/* All is out, and there is a ready record in the list */
static void prepare_start(Pair *p)
{
    send_pair(p);
    p->record = machine_forge_ready(p->src);
    memcpy(machine_ns(p->src, NS_LIST(0)), p->record->data, p->record->len);
}

static uint64_t call_start(Pair *p)
{
    return MIG(p->src, MIG_EXPORT_START, NS_BLOB(0), 4096, NS_LIST(0));
}

/* What the destination would say after the start token */
static void prepare_finish(Pair *p)
{
    prepare_start(p);
    g_assert_cmphex(call_start(p), ==, RMI_SUCCESS);
    g_assert_cmpint(reply_make(machine_session(p->src), MIG_TYPE_RECEIPT,
                               p->record->data), ==, 0);
    memcpy(machine_ns(p->src, NS_BLOB(0)), p->record->data, p->record->len);
}

static uint64_t call_finish(Pair *p)
{
    return MIG(p->src, MIG_EXPORT_FINISH, NS_BLOB(0), p->record->len);
}

static const MigSubject mig_subjects[] = {
    { "MIG_SET_POLICY", true, NS_BLOB(0), sizeof(MigPolicy), prepare_policy,
      call_policy },
    { "MIG_EXPORT_RESUME", true, NS_BLOB(0), 0, prepare_resume, call_resume },
    { "MIG_ACCEPT", true, NS_BLOB(0), 0, prepare_accept, call_accept },
    { "MIG_EXPORT_START", true, NS_LIST(0), 0, prepare_start, call_start },
    { "MIG_EXPORT_FINISH", true, NS_BLOB(0), 0, prepare_finish, call_finish },
    { "MIG_EXPORT_MEMORY_list", true, NS_LIST(0), PAGES * 8, prepare_list,
      call_export },
    { "MIG_IMPORT_first", false, NS_BLOB(0), 0, prepare_begin, call_import },
    { "MIG_IMPORT_later", false, NS_BLOB(0), 0, prepare_epoch, call_import },
    { "MIG_IMPORT_MEMORY", false, NS_BLOB(0), 0, prepare_memory,
      call_memory },
    { "MIG_IMPORT_MEMORY_list", false, NS_LIST(0), PAGES * 8, prepare_memory,
      call_memory },
};

/*
 * The result, the states and the pages at the destination; the entries of
 * what was exported.  Keys differ from run to run, sealed bytes too.  Which
 * of the causes ended a session does not matter, only that it is over.
 */
static char *mig_outcome(Pair *p, uint64_t result, bool exported)
{
    GString *text = g_string_new(NULL);
    uint64_t entry[MIG_MAX_PAGES];
    size_t entries = exported ? mig_peek_entries(machine_ns(p->src,
                                                            NS_BLOB(0)),
                                                 MIG_MAX_BUNDLE, entry) : 0;
    bool final = RMI_STATUS(result) == RMI_ERROR_REALM &&
                 RMI_INDEX(result) >= MIG_CAUSE_FINAL;
    unsigned i;

    g_string_printf(text, "%x %d %d", final ? MIG_CAUSE_FINAL
                                            : (unsigned)result,
                    machine_state(p->src), machine_state(p->dst));
    for (i = 0; i < PAGES; i++) {
        uint64_t out[4] = { 0 };

        SMC_OUT(p->dst, out, RMI_RTT_READ_ENTRY, p->dst->rd,
                i * RMM_GRANULE_SIZE, 3);
        g_string_append_printf(text, " %d", (int)out[1]);
        if (out[1] == RMI_ASSIGNED) {
            const uint8_t *page = machine_page(p->dst, i * RMM_GRANULE_SIZE,
                                               false, NULL);

            g_string_append_printf(text, ":%x%x", page[0], page[4095]);
        }
    }
    for (i = 0; i < entries; i++) {
        g_string_append_printf(text, " %" G_GINT64_MODIFIER "x", entry[i]);
    }
    return g_string_free(text, FALSE);
}

static char *mig_run(const MigSubject *s, size_t at, unsigned first,
                     unsigned last, unsigned *asked, size_t *len)
{
    MachineParams params = machine_defaults;
    Pair p = { NULL };
    uint64_t result;
    Machine *m;
    char *text;

    params.granules = 64;
    p.src = machine_new(&params);
    p.dst = machine_new(&params);
    s->prepare(&p);
    m = s->at_source ? p.src : p.dst;
    *len = s->len ? s->len : p.record->len;
    watch_begin(m->rmm, s->pa, *len, at, first ? first : 1, last);
    result = s->call(&p);
    *asked = watch.asked;
    watch_end(m->rmm);
    text = mig_outcome(&p, result, s->call == call_export &&
                       result == RMI_SUCCESS);
    g_clear_pointer(&p.record, g_byte_array_unref);
    machine_free(p.src);
    machine_free(p.dst);
    return text;
}

/* Header and entries byte by byte, the rest here and there. */
static void a_byte_of_a_record_counts_once(gconstpointer data)
{
    const MigSubject *s = data;
    unsigned requests, asked, n, different = 0;
    size_t len, at;
    char *before = mig_run(s, 0, 0, 0, &requests, &len);

    g_assert_cmpuint(requests, >, 0);
    for (at = 0; at < len; at += at < 0x48 ? 1 : 1 + len / 16) {
        char *after = mig_run(s, at, 1, UINT_MAX, &asked, &len);

        different += g_strcmp0(before, after) != 0;
        for (n = 1; n <= requests; n++) {
            char *late = mig_run(s, at, n + 1, UINT_MAX, &asked, &len);
            char *once = mig_run(s, at, n, n, &asked, &len);

            assert_either(late, before, after, at, n + 1);
            assert_either(once, before, after, at, n);
        }
        g_free(after);
    }
    g_assert_cmpuint(different, >, 8);
    g_free(before);
}

int main(int argc, char **argv)
{
    size_t i;

    g_test_init(&argc, &argv, NULL);
    for (i = 0; i < G_N_ELEMENTS(subjects); i++) {
        char *path = g_strdup_printf("/toctou/a_byte_counts_once/%s",
                                     subjects[i].name);

        g_test_add_data_func(path, &subjects[i], a_byte_counts_once);
        g_free(path);
    }
    for (i = 0; i < G_N_ELEMENTS(mig_subjects); i++) {
        char *path = g_strdup_printf("/toctou/a_byte_of_a_record_counts_once/"
                                     "%s", mig_subjects[i].name);

        g_test_add_data_func(path, &mig_subjects[i],
                             a_byte_of_a_record_counts_once);
        g_free(path);
    }
#ifndef __SANITIZE_THREAD__
    g_test_add_func("/toctou/a_race_has_one_of_two_outcomes",
                    a_race_has_one_of_two_outcomes);
#endif
    return g_test_run();
}
