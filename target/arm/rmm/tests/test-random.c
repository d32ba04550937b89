/*
 * Random calls against a slow twin: RMI, RSI, PSCI and exceptions
 *
 * Purpose: a host and its Realms make random calls, most of which make sense.
 * After each call the registers, the world and the run pages are as the twin
 * (twin.h) says.  Now and then the test compares the whole state, as far as
 * calls and walks show it.
 *
 *   test-random [--calls N]             fixed seeds, N calls in all, and then
 *                                       some with a new seed
 *   test-random --seed S --calls N      N calls with seed S
 *
 * Each step has a random number of its own, so the test can leave steps out.
 * That is how it makes a failure shorter before it shows it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "fake-machine.h"
#include "twin.h"

#define PES          3
#define REALMS       3
#define GRANULES     1536       /* three times 2 MiB */
#define COMMON       512        /* of them: for everything but blocks */
#define RUN_PAGES    8
#define CHECK_EVERY  4096
#define PER_SEED     25000

static unsigned total_calls = 1000000;

/* What a PE may have cached. */
#define TLB_SIZE 128

typedef struct TlbEntry {
    uint16_t vmid;
    RmmAccess access;
    uint64_t rd, ipa, pa;       /* rd 0: not in use */
    bool invalid;
} TlbEntry;

static TlbEntry tlb[TLB_SIZE];
static bool may_invalidate;     /* the call under way says so of itself */

typedef struct Run {
    FakeMachine *m;
    Twin *t;
    RmmPe pe[PES];
    TwinPe twin[PES];
    uint64_t random;
    uint64_t seed;
    unsigned step, calls, limit;
    uint64_t in[16];            /* registers of the call that is under way */
    unsigned which;             /* and its PE */
    GString *failure;           /* NULL: none so far */
    bool quiet;
} Run;

static Run *running;            /* for the handler of SIGABRT */

/* ---- random numbers ---- */

static uint64_t mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

static uint64_t any(Run *r)
{
    r->random += 0x9e3779b97f4a7c15ull;
    return mix(r->random);
}

static unsigned below(Run *r, unsigned n)
{
    return any(r) % n;
}

static bool chance(Run *r, unsigned percent)
{
    return below(r, 100) < percent;
}

static uint64_t garbage(Run *r)
{
    const uint64_t extremes[] = {
        0, 1, UINT64_MAX, UINT64_MAX - 0xfff, 1ull << 63, 1ull << 48,
        1ull << 52, FAKE_POOL_BASE + 8, FAKE_NS_BASE, 0xfff, 1ull << 32,
        FAKE_POOL_BASE + GRANULES * RMM_GRANULE_SIZE,
        FAKE_POOL_BASE - RMM_GRANULE_SIZE,
        FAKE_NS_BASE + FAKE_NS_PAGES * RMM_GRANULE_SIZE,
    };
    unsigned i = below(r, G_N_ELEMENTS(extremes) + 1);

    return i < G_N_ELEMENTS(extremes) ? extremes[i] : any(r);
}

/* ---- one call, twice ---- */

static void fail(Run *r, const char *format, ...) G_GNUC_PRINTF(2, 3);

static void fail(Run *r, const char *format, ...)
{
    va_list args;
    unsigned i;

    if (r->failure) {
        return;
    }
    r->failure = g_string_new(NULL);
    g_string_printf(r->failure, "seed %" PRIu64 ", step %u, call %u (PE %u):",
                    r->seed, r->step, r->calls, r->which);
    for (i = 0; i < 6; i++) {
        g_string_append_printf(r->failure, " %" PRIx64, r->in[i]);
    }
    g_string_append(r->failure, ": ");
    va_start(args, format);
    g_string_append_vprintf(r->failure, format, args);
    va_end(args);
}

static void on_abort(int sig)
{
    if (running && !running->quiet) {
        fprintf(stderr, "seed %" PRIu64 ", step %u, call %u: %" PRIx64
                " %" PRIx64 " %" PRIx64 " %" PRIx64 " %" PRIx64 "\n",
                running->seed, running->step, running->calls, running->in[0],
                running->in[1], running->in[2], running->in[3],
                running->in[4]);
    }
    signal(sig, SIG_DFL);
    raise(sig);
}

static void compare(Run *r, bool was_running)
{
    const RmmPe *a = &r->pe[r->which], *b = &r->twin[r->which].pe;
    unsigned i;

    if (a->world != b->world) {
        fail(r, "world is %d, not %d (X0 %" PRIx64 ", twin %" PRIx64 ")",
             a->world, b->world, a->x[0], b->x[0]);
    }
    for (i = 0; i < 31; i++) {
        if (a->x[i] != b->x[i]) {
            fail(r, "X%u is %" PRIx64 ", not %" PRIx64, i, a->x[i], b->x[i]);
        }
    }
    if (a->world == RMM_WORLD_REALM &&
        (a->pc != b->pc || a->inject.pending != b->inject.pending ||
         a->inject.abort != b->inject.abort ||
         a->inject.esr != b->inject.esr || a->inject.far != b->inject.far)) {
        fail(r, "PC %" PRIx64 ", not %" PRIx64 "; inject %d %" PRIx64
             ", not %d %" PRIx64, a->pc, b->pc, a->inject.pending,
             a->inject.esr, b->inject.pending, b->inject.esr);
    }
    if ((was_running || r->in[0] == RMI_REC_ENTER) &&
        a->world == RMM_WORLD_HOST &&
        memcmp(r->m->ns, r->t->ns, FAKE_NS_FREE - FAKE_NS_BASE)) {
        for (i = 0; r->m->ns[i] == r->t->ns[i]; i++) {
        }
        fail(r, "run pages differ at %x", i);
    }
}

typedef enum Entry { SMC, EXCEPTION, INTERRUPT } Entry;

/* What EL3 does, which changes the granule protection table for this call. */
static void drop_delegated(Run *r)
{
    uint32_t fid = (uint32_t)r->in[0] & ~SMCCC_SVE_HINT;
    unsigned i;

    for (i = 0; fid == RMI_GRANULE_DELEGATE && i < TLB_SIZE; i++) {
        if (tlb[i].pa == r->in[1]) {
            tlb[i].rd = 0;
        }
    }
}

static void step(Run *r, Entry entry, const RmmSyndrome *s)
{
    RmmPe *pe = &r->pe[r->which];
    TwinPe *twin = &r->twin[r->which];
    bool was_running = pe->world == RMM_WORLD_REALM;

    if (r->failure || r->calls == r->limit) {
        return;
    }
    r->calls++;
    memcpy(r->in, pe->x, sizeof(r->in));
    switch (entry) {
    case SMC:
        may_invalidate = rmm_call_traits(pe) & RMM_CALL_INVALIDATES;
        rmm_call(r->m->rmm, pe);
        may_invalidate = false;
        twin_call(r->t, twin);
        if (!was_running) {
            drop_delegated(r);
        }
        break;
    case EXCEPTION:
        rmm_exception(r->m->rmm, pe, s);
        twin_exception(r->t, twin, s);
        break;
    case INTERRUPT:
        take_interrupt(r->m->rmm, pe);
        twin_interrupt(r->t, twin);
        break;
    }
    compare(r, was_running);
    pe->inject.pending = twin->pe.inject.pending = false;   /* delivered */
}

static void set_x(Run *r, unsigned n, uint64_t value)
{
    r->pe[r->which].x[n] = r->twin[r->which].pe.x[n] = value;
}

/* From the host or a Realm, whichever the PE is in. */
static uint64_t call(Run *r, uint64_t fid, uint64_t x1, uint64_t x2,
                     uint64_t x3, uint64_t x4, uint64_t x5)
{
    const uint64_t x[] = { fid, x1, x2, x3, x4, x5 };
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(x); i++) {
        set_x(r, i, x[i]);
    }
    if (r->pe[r->which].world == RMM_WORLD_REALM) {
        r->pe[r->which].pc += 4;
        r->twin[r->which].pe.pc += 4;
    }
    step(r, SMC, NULL);
    return r->pe[r->which].x[0];
}

/* ---- what there is to name ---- */

/* A granule in @state: the next one from somewhere. */
static uint64_t granule_in(Run *r, TwinGranule state)
{
    unsigned span = chance(r, 95) ? COMMON : GRANULES;
    unsigned start = below(r, span), i;

    for (i = 0; i < GRANULES; i++) {
        unsigned n = (start + i) % GRANULES;

        if (r->t->state[n] == state) {
            return FAKE_POOL_BASE + n * RMM_GRANULE_SIZE;
        }
    }
    return FAKE_POOL_BASE + start * RMM_GRANULE_SIZE;
}

static uint64_t pick_granule(Run *r, TwinGranule state)
{
    if (chance(r, 3)) {
        return garbage(r);
    }
    return granule_in(r, chance(r, 4) ? below(r, TWIN_RTT + 1) : state);
}

static TwinRealm *pick_realm(Run *r)
{
    return r->t->realms->len
           ? r->t->realms->pdata[below(r, r->t->realms->len)] : NULL;
}

static uint64_t pick_rd(Run *r, const TwinRealm *realm)
{
    return realm && !chance(r, 3) ? realm->rd : pick_granule(r, TWIN_RD);
}

static TwinRec *pick_rec(Run *r, const TwinRealm *realm)
{
    return realm && realm->recs->len
           ? realm->recs->pdata[below(r, realm->recs->len)] : NULL;
}

static uint64_t rec_pa(Run *r, const TwinRec *rec)
{
    return rec && !chance(r, 3) ? rec->pa : pick_granule(r, TWIN_REC);
}

static bool is_protected(const TwinRealm *realm, uint64_t ipa)
{
    return ipa < twin_protected_top(realm);
}

/* A table of @realm for which @level and the half fit; or any. */
static TwinTable *pick_table(Run *r, const TwinRealm *realm, int from, int to,
                             bool protected)
{
    unsigned n = realm->tables->len, start = below(r, n), i;

    for (i = 0; i < n; i++) {
        TwinTable *table = realm->tables->pdata[(start + i) % n];

        if (table->level >= from && table->level <= to &&
            (is_protected(realm, table->ipa) == protected ||
             table->level == realm->start)) {
            return table;
        }
    }
    return realm->tables->pdata[start];
}

/* Few entries are of interest: those at ends, and at the half-way line. */
static uint64_t pick_entry(Run *r, const TwinRealm *realm,
                           const TwinTable *table, bool protected)
{
    uint64_t bytes = twin_bytes(table->level);
    uint64_t half = twin_protected_top(realm);
    bool starts = table->level == realm->start;
    uint64_t base = starts && !protected ? MAX(table->ipa, half) : table->ipa;

    switch (below(r, 8)) {
    case 0:
        return table->ipa + below(r, 512) * bytes;
    case 1:
        return table->ipa + (511 - below(r, 2)) * bytes;
    case 2:
        return starts ? half - bytes + below(r, 2) * bytes
                      : base + below(r, 4) * bytes;
    default:
        return base + below(r, starts ? 3 : 20) * bytes;
    }
}

static uint64_t pick_ipa(Run *r, const TwinRealm *realm, int from, int to,
                         bool protected, uint64_t *level)
{
    TwinTable *table;

    *level = 3;
    if (!realm || chance(r, 1)) {
        return garbage(r);
    }
    table = pick_table(r, realm, from, to, protected);
    *level = (uint64_t)(int64_t)table->level;
    return pick_entry(r, realm, table, protected);
}

static uint64_t page_ipa(Run *r, const TwinRealm *realm)
{
    uint64_t level;

    return pick_ipa(r, realm, 3, 3, true, &level);
}

/* Sometimes one argument is off. */
static void disturb(Run *r, uint64_t *x, unsigned num)
{
    unsigned i = below(r, num);

    if (!chance(r, 5)) {
        return;
    }
    switch (below(r, 6)) {
    case 0:
        x[i] = garbage(r);
        break;
    case 1:
        x[i] += 1;
        break;
    case 2:
        x[i] -= 1;
        break;
    case 3:
        x[i] ^= 1ull << below(r, 64);
        break;
    case 4:
        x[i] += RMM_GRANULE_SIZE;
        break;
    case 5:
        x[i] -= RMM_GRANULE_SIZE;
        break;
    }
}

/* ---- Non-secure memory ---- */

static void ns_write(Run *r, uint64_t pa, const void *data, size_t len)
{
    memcpy(r->m->ns + (pa - FAKE_NS_BASE), data, len);
    memcpy(r->t->ns + (pa - FAKE_NS_BASE), data, len);
}

static void write_source(Run *r)
{
    uint64_t page[RMM_GRANULE_SIZE / 8];
    unsigned i;

    page[0] = any(r);
    for (i = 1; i < G_N_ELEMENTS(page); i++) {
        page[i] = page[0] * i;
    }
    ns_write(r, FAKE_NS_SRC, page, sizeof(page));
}

typedef struct Shape {
    unsigned ipa_bits;
    int level;
    unsigned tables;
    bool lpa2;
} Shape;

static const Shape shapes[] = {
    { 33, 1, 1 }, { 32, 2, 4 }, { 34, 2, 16 }, { 32, 1, 1 }, { 36, 1, 1 },
    { 40, 0, 1 }, { 48, 0, 1 }, { 40, 1, 2 }, { 43, 1, 16 },
    { 52, 0, 16, true }, { 49, -1, 1, true }, { 52, -1, 1, true },
    { 41, 0, 1, true },
};

/* @n granules that follow each other, aligned to their size. */
static uint64_t aligned_granules(Run *r, unsigned n, TwinGranule state)
{
    unsigned i, j, start = below(r, COMMON / n);

    for (i = 0; i < GRANULES / n; i++) {
        unsigned first = (start + i) % (GRANULES / n) * n;

        for (j = 0; j < n && r->t->state[first + j] == state; j++) {
        }
        if (j == n) {
            return FAKE_POOL_BASE + first * RMM_GRANULE_SIZE;
        }
    }
    return FAKE_POOL_BASE;
}

static void realm_params(Run *r, RmiRealmParams *p, bool disturbed)
{
    const RmmPlatform *f = &r->m->platform;
    const Shape *s;

    do {
        s = &shapes[below(r, G_N_ELEMENTS(shapes))];
    } while (!disturbed && (s->ipa_bits > f->ipa_bits ||
                            (s->lpa2 && !f->lpa2)));
    memset(p, 0, sizeof(*p));
    p->flags = (s->lpa2 ? RMI_REALM_LPA2 : 0) |
               (f->sve && chance(r, 50) ? RMI_REALM_SVE : 0) |
               (f->pmu && chance(r, 50) ? RMI_REALM_PMU : 0);
    p->s2sz = s->ipa_bits;
    p->sve_vl = below(r, f->sve_vl + 1);
    p->num_bps = 1 + below(r, f->num_bps);
    p->num_wps = 1 + below(r, f->num_wps);
    p->pmu_num_ctrs = 1 + below(r, f->pmu_num_ctrs);
    p->hash_algo = below(r, f->sha512 ? 2 : 1);
    p->vmid = below(r, 200);
    p->rtt_base = aligned_granules(r, s->tables, TWIN_DELEGATED);
    p->rtt_level_start = s->level;
    p->rtt_num_start = s->tables;
    memset(p->rpv, any(r), sizeof(p->rpv));
    if (disturbed) {
        uint64_t *fields[] = {
            &p->flags, &p->s2sz, &p->sve_vl, &p->num_bps, &p->num_wps,
            &p->pmu_num_ctrs, &p->hash_algo, &p->ext_flags, &p->vmid,
            &p->rtt_base,
            (uint64_t *)&p->rtt_level_start,
        };
        uint64_t *field = fields[below(r, G_N_ELEMENTS(fields))];

        switch (below(r, 4)) {
        case 0:
            *field = garbage(r);
            break;
        case 1:
            *field = below(r, 64);
            break;
        case 2:
            *field ^= 1ull << below(r, 64);
            break;
        case 3:
            p->rtt_num_start = below(r, 33);
            break;
        }
    }
}

static uint64_t create_realm(Run *r, bool disturbed)
{
    RmiRealmParams *p = g_new(RmiRealmParams, 1);
    uint64_t rd = granule_in(r, TWIN_DELEGATED);

    realm_params(r, p, disturbed);
    ns_write(r, FAKE_NS_PARAMS, p, sizeof(*p));
    g_free(p);
    if (disturbed && chance(r, 10)) {
        rd = pick_granule(r, TWIN_RTT);
    }
    return call(r, RMI_REALM_CREATE, rd, FAKE_NS_PARAMS +
                (disturbed && chance(r, 5) ? garbage(r) : 0), 0, 0, 0);
}

static uint64_t create_rec(Run *r, const TwinRealm *realm, bool disturbed)
{
    RmiRecParams *p = g_new0(RmiRecParams, 1);
    unsigned index = realm ? realm->recs->len : 0, i;
    uint64_t rd = disturbed ? pick_rd(r, realm) : realm->rd;

    p->flags = chance(r, 70);
    p->mpidr = (index & 15) | (uint64_t)(index >> 4) << 8;
    p->pc = any(r);
    for (i = 0; i < 8; i++) {
        p->gprs[i] = any(r);
    }
    p->num_aux = r->m->platform.num_aux;
    for (i = 0; i < 16; i++) {
        p->aux[i] = granule_in(r, TWIN_DELEGATED);
    }
    if (disturbed) {
        disturb(r, &p->mpidr, 1);
        disturb(r, &p->num_aux, 1);
        disturb(r, p->aux, 16);
    }
    ns_write(r, FAKE_NS_PARAMS, p, sizeof(*p));
    g_free(p);
    return call(r, RMI_REC_CREATE, rd, pick_granule(r, TWIN_DELEGATED),
                FAKE_NS_PARAMS, 0, 0);
}

static void write_entry(Run *r, const TwinRec *rec, uint64_t run)
{
    RmiRecEnter *e = g_new0(RmiRecEnter, 1);
    unsigned i;

    if (rec && rec->abort_unprotected && chance(r, 70)) {
        e->flags = chance(r, 50) ? RMI_ENTER_EMUL_MMIO : RMI_ENTER_INJECT_SEA;
    }
    if (chance(r, 30)) {
        e->flags |= any(r) & (RMI_ENTER_RIPAS_REJECT | RMI_ENTER_TRAP_WFI |
                              RMI_ENTER_TRAP_WFE);
    }
    if (chance(r, 4)) {
        e->flags ^= 1ull << below(r, 6);
    }
    for (i = 0; i < 31; i++) {
        e->gprs[i] = any(r);
    }
    if (chance(r, 5)) {
        e->gicv3_hcr = 1ull << below(r, 16);
    }
    for (i = 0; chance(r, 30) && i < 16; i++) {
        e->gicv3_lrs[i] = 1ull << 62 | (uint64_t)below(r, 8) << 53 |
                          below(r, 1020);
        if (chance(r, 3)) {
            e->gicv3_lrs[i] ^= 1ull << below(r, 64);
        }
    }
    ns_write(r, run, e, sizeof(*e));
    g_free(e);
}

/* ---- the host ---- */

static bool may_run(const TwinRec *rec)
{
    return rec->exists && rec->runnable && !rec->running &&
           rec->pending != TWIN_PENDING_PSCI &&
           rec->realm->state == TWIN_ACTIVE;
}

static void host_enter(Run *r)
{
    uint64_t run = FAKE_NS_RUN(below(r, RUN_PAGES));
    unsigned attempts = chance(r, 95) ? 20 : 1;
    TwinRec *rec;

    do {
        rec = pick_rec(r, pick_realm(r));
    } while (--attempts && !(rec && may_run(rec)));

    write_entry(r, rec, run);
    if (chance(r, 1)) {
        run = garbage(r);
    }
    call(r, RMI_REC_ENTER, rec_pa(r, rec), run, 0, 0, 0);
}

static void host_complete(Run *r)
{
    TwinRealm *realm = pick_realm(r);
    TwinRec *calling = pick_rec(r, realm), *target = pick_rec(r, realm);
    uint64_t x[3];
    unsigned i;

    for (i = 0; realm && i < realm->recs->len; i++) {
        TwinRec *rec = realm->recs->pdata[i];
        uint64_t index;

        if (rec->pending == TWIN_PENDING_PSCI) {
            calling = rec;
            if (twin_psci_mpidr(rec->psci[1], &index) && !chance(r, 5)) {
                target = realm->recs->pdata[index];
            }
        }
    }
    x[0] = rec_pa(r, calling);
    x[1] = rec_pa(r, target);
    x[2] = chance(r, 75) ? PSCI_SUCCESS : PSCI_DENIED;
    disturb(r, x, 3);
    call(r, RMI_PSCI_COMPLETE, x[0], x[1], x[2], 0, 0);
}

static void host_set_ripas(Run *r)
{
    TwinRealm *realm = pick_realm(r);
    TwinRec *rec = pick_rec(r, realm);
    uint64_t x[4] = { pick_rd(r, realm), rec_pa(r, rec), 0, RMM_GRANULE_SIZE };
    unsigned i;

    for (i = 0; i < 20; i++) {
        TwinRec *asks = pick_rec(r, pick_realm(r));

        if (asks && asks->pending == TWIN_PENDING_RIPAS && asks->exists) {
            x[0] = asks->realm->rd;
            x[1] = asks->pa;
            x[2] = asks->ripas_addr;
            x[3] = asks->ripas_top;
        }
    }
    if (x[3] > x[2] && chance(r, 20)) {
        x[3] = x[2] + (1 + below(r, 8)) * RMM_GRANULE_SIZE;
    }
    disturb(r, x, 4);
    call(r, RMI_RTT_SET_RIPAS, x[0], x[1], x[2], x[3], 0);
}

static void host_data(Run *r)
{
    TwinRealm *realm = pick_realm(r);
    uint64_t x[5] = { pick_rd(r, realm), pick_granule(r, TWIN_DELEGATED),
                      page_ipa(r, realm), FAKE_NS_SRC, below(r, 2) };

    if (chance(r, 60)) {
        disturb(r, x, 3);
        call(r, RMI_DATA_CREATE_UNKNOWN, x[0], x[1], x[2], any(r), any(r));
        return;
    }
    write_source(r);
    disturb(r, x, 5);
    call(r, RMI_DATA_CREATE, x[0], x[1], x[2], x[3], x[4]);
}

static void host_data_destroy(Run *r)
{
    TwinRealm *realm = pick_realm(r);
    uint64_t x[2] = { pick_rd(r, realm), page_ipa(r, realm) };

    disturb(r, x, 2);
    call(r, RMI_DATA_DESTROY, x[0], x[1], any(r), 0, 0);
}

static void host_table(Run *r)
{
    TwinRealm *realm = pick_realm(r);
    uint64_t x[4] = { pick_rd(r, realm), pick_granule(r, TWIN_DELEGATED) };

    x[2] = pick_ipa(r, realm, -1, 2, chance(r, 70), &x[3]);
    x[3] += 1;
    disturb(r, x, 4);
    call(r, RMI_RTT_CREATE, x[0], x[1], x[2], x[3], 0);
}

/* RTT_DESTROY, RTT_FOLD: the place of a table. */
static void host_no_table(Run *r)
{
    TwinRealm *realm = pick_realm(r);
    uint64_t x[3] = { pick_rd(r, realm), garbage(r), 3 };
    TwinTable *table;

    if (realm) {
        table = pick_table(r, realm, chance(r, 50) ? 3 : 1, 3, chance(r, 70));
        x[1] = table->ipa;
        x[2] = table->level;
        if (chance(r, 15)) {            /* perhaps there is none */
            x[1] = pick_ipa(r, realm, -1, 2, true, &x[2]);
            x[2] += 1;
        }
    }
    disturb(r, x, 3);
    call(r, chance(r, 70) ? RMI_RTT_FOLD : RMI_RTT_DESTROY, x[0], x[1], x[2],
         0, 0);
}

static void host_read(Run *r)
{
    TwinRealm *realm = pick_realm(r);
    uint64_t x[3] = { pick_rd(r, realm) };

    x[1] = pick_ipa(r, realm, -1, 3, chance(r, 60), &x[2]);
    if (chance(r, 20)) {
        x[2] += 1;
    }
    disturb(r, x, 3);
    call(r, RMI_RTT_READ_ENTRY, x[0], x[1], x[2], 0, 0);
}

static void host_unprotected(Run *r)
{
    TwinRealm *realm = pick_realm(r);
    uint64_t x[4] = { pick_rd(r, realm) };

    x[1] = pick_ipa(r, realm, 1, 3, false, &x[2]);
    x[3] = (any(r) & 0x3fffffff) << 30;
    if (chance(r, 30)) {
        x[3] += (any(r) & 0x3ffff) << 12;
    }
    x[3] = (x[3] & 0xfffffffff000) | (any(r) & 0xdc);
    if (x[2] == 3 && chance(r, 40)) {           /* it may be delegated later */
        x[3] = granule_in(r, TWIN_NS) | (x[3] & 0xdc);
    }
    disturb(r, x, 4);
    call(r, chance(r, 60) ? RMI_RTT_MAP_UNPROTECTED
                          : RMI_RTT_UNMAP_UNPROTECTED, x[0], x[1], x[2], x[3],
         0);
}

static void host_init_ripas(Run *r)
{
    TwinRealm *realm = pick_realm(r);
    uint64_t x[3] = { pick_rd(r, realm) }, level;

    x[1] = pick_ipa(r, realm, chance(r, 60) ? 3 : 1, 3, true, &level);
    x[2] = x[1] + (1 + below(r, 20)) *
           twin_bytes(CLAMP((int64_t)level, -1, 3));
    disturb(r, x, 3);
    call(r, RMI_RTT_INIT_RIPAS, x[0], x[1], x[2], 0, 0);
}

static void host_granule(Run *r)
{
    if (chance(r, 60)) {
        call(r, RMI_GRANULE_DELEGATE, pick_granule(r, TWIN_NS), 0, 0, 0, 0);
    } else {
        call(r, RMI_GRANULE_UNDELEGATE, pick_granule(r, TWIN_DELEGATED),
             0, 0, 0, 0);
    }
}

static void host_realm(Run *r)
{
    TwinRealm *realm = pick_realm(r);

    switch (below(r, 8)) {
    case 0:
        create_realm(r, r->t->realms->len >= REALMS || chance(r, 60));
        break;
    case 1:
        call(r, RMI_REALM_DESTROY, pick_rd(r, realm), 0, 0, 0, 0);
        break;
    case 2:
        if (chance(r, 10)) {
            call(r, RMI_REALM_ACTIVATE, pick_rd(r, realm), 0, 0, 0, 0);
        }
        break;
    case 3:
        create_rec(r, realm, true);
        break;
    case 4:
        if (chance(r, 20)) {
            call(r, RMI_REC_DESTROY, rec_pa(r, pick_rec(r, realm)),
                 0, 0, 0, 0);
        }
        break;
    case 5:
        call(r, RMI_REC_AUX_COUNT, pick_rd(r, realm), any(r), 0, 0, 0);
        break;
    case 6:
        call(r, RMI_FEATURES, chance(r, 50) ? RMI_FEATURES_EXT : below(r, 3),
             any(r), 0, 0, 0);
        break;
    case 7:
        call(r, RMI_VERSION, chance(r, 50) ? 0x10000 : any(r), 0, 0, 0, 0);
        break;
    }
}

static void host_anything(Run *r)
{
    uint64_t x[6] = { RMI_FID(below(r, 0x30)) };
    unsigned i;

    disturb(r, x, 1);
    for (i = 1; i < 6; i++) {
        x[i] = chance(r, 50) ? garbage(r) : pick_granule(r, below(r, 7));
    }
    if (chance(r, 20)) {
        x[0] |= SMCCC_SVE_HINT;
    }
    call(r, x[0], x[1], x[2], x[3], x[4], x[5]);
}

/* The host's own use of what it has not delegated. */
static void host_store(Run *r)
{
    uint64_t pa = granule_in(r, TWIN_NS);
    uint64_t word = any(r);

    if (twin_granule_is(r->t, pa, TWIN_NS)) {
        memcpy(fake_host(r->m, pa), &word, sizeof(word));
        memcpy(twin_memory(r->t, pa), &word, sizeof(word));
    }
}

/* ---- the Realm ---- */

/* Half of what a Realm does is where plan_realm put something. */
static uint64_t realm_ipa(Run *r, const TwinRealm *realm)
{
    uint64_t level;

    if (chance(r, 50)) {
        return below(r, 32) * RMM_GRANULE_SIZE;
    }
    return pick_ipa(r, realm, chance(r, 80) ? 3 : -1, 3, chance(r, 93),
                    &level);
}

static void realm_ripas(Run *r, const TwinRealm *realm)
{
    uint64_t level, x[4];

    x[0] = pick_ipa(r, realm, chance(r, 70) ? 3 : -1, 3, true, &level);
    x[1] = x[0] + (1 + below(r, chance(r, 80) ? 16 : 600)) *
           (chance(r, 70) ? RMM_GRANULE_SIZE
                          : twin_bytes(CLAMP((int64_t)level, -1, 3)));
    x[2] = below(r, 2);
    x[3] = below(r, 2);
    disturb(r, x, 4);
    call(r, chance(r, 50) ? RSI_IPA_STATE_SET : RSI_IPA_STATE_GET, x[0], x[1],
         x[2], x[3], 0);
}

static void realm_psci(Run *r, const TwinRealm *realm)
{
    static const uint64_t few[] = {
        PSCI_FID_32(2), PSCI_FID_32(8), PSCI_FID_32(9),
    };
    uint64_t x[4] = { PSCI_FID_32(below(r, 12)) };
    unsigned index = below(r, realm->recs->len + 1);

    if (chance(r, 60)) {
        x[0] = PSCI_FID_32(3 + below(r, 2));
    }
    if (chance(r, 50)) {
        x[0] |= 1u << 30;
    }
    if ((x[0] == few[0] && chance(r, 50)) ||
        ((x[0] == few[1] || x[0] == few[2]) && chance(r, 95))) {
        x[0] = SMCCC_FID_VERSION + below(r, 3);
    }
    x[1] = (index & 15) | (uint64_t)(index >> 4) << 8;
    if (chance(r, 20)) {
        x[1] |= 1u << 31;               /* as MPIDR_EL1 reads */
    }
    x[2] = (x[0] & 0xff) == 4 ? 0 : realm_ipa(r, realm);
    x[3] = any(r);
    if (x[0] == PSCI_FID_FEATURES || x[0] == SMCCC_FID_ARCH_FEATURES) {
        x[1] = chance(r, 20) ? SMCCC_FID_VERSION + below(r, 2)
                             : PSCI_FID_32(below(r, 14)) |
                               (uint64_t)below(r, 2) << 30;
    }
    disturb(r, x, 4);
    call(r, x[0], x[1], x[2], x[3], 0, 0);
}

static void realm_rsi(Run *r, const TwinRealm *realm)
{
    uint64_t x[5] = { RSI_FID(below(r, 11)), realm_ipa(r, realm) };
    unsigned i;

    switch (x[0]) {
    case RSI_VERSION:
        x[1] = chance(r, 50) ? 0x10000 : any(r);
        break;
    case RSI_MEASUREMENT_READ:
        x[1] = below(r, 6);
        break;
    case RSI_MEASUREMENT_EXTEND:
        x[1] = below(r, 6);
        x[2] = below(r, 66);
        for (i = 5; i < 11; i++) {
            set_x(r, i, any(r));
        }
        break;
    case RSI_HOST_CALL:
        x[1] += chance(r, 70) ? below(r, 16) * 256 : 0;
        break;
    case RSI_ATTESTATION_TOKEN_CONTINUE:
        x[2] = below(r, 4097);
        x[3] = below(r, 4097);
        break;
    }
    disturb(r, x + 1, 4);
    call(r, x[0], x[1], x[2], x[3], x[4], any(r));
}

/* An access that the tables allow, as on a PE: walk, cache, store. */
static void realm_access(Run *r, const TwinRec *rec)
{
    uint64_t word = any(r), level;
    uint64_t ipa = chance(r, 30) ? pick_ipa(r, rec->realm, 1, 3, false, &level)
                                 : realm_ipa(r, rec->realm);
    RmmAccess access = below(r, 3);
    RmmTranslation a, b;
    RmmFault fault;
    RmmStage2 s2;

    memset(&a, 0, sizeof(a));           /* with the padding */
    memset(&b, 0, sizeof(b));
    if (!rmm_stage2(r->m->rmm, rec->pa, &s2) ||
        s2.ipa_bits != rec->realm->ipa_bits ||
        s2.start_level != rec->realm->start ||
        s2.table != rec->realm->rtt_base) {
        fail(r, "stage 2 of REC %" PRIx64, rec->pa);
        return;
    }
    fault = rmm_stage2_walk(r->m->rmm, &s2, ipa, access, &a);
    if (fault != twin_translate(r->t, rec->realm, ipa, access, &b) ||
        a.level != b.level ||
        (fault == RMM_FAULT_NONE && memcmp(&a, &b, sizeof(a)))) {
        fail(r, "walk of %" PRIx64 ": fault %d at level %d, PA %" PRIx64
             "; twin level %d, PA %" PRIx64, ipa, fault, a.level, a.pa,
             b.level, b.pa);
        return;
    }
    if (fault != RMM_FAULT_NONE) {
        return;
    }
    tlb[below(r, TLB_SIZE)] = (TlbEntry) {
        rec->realm->vmid, access, rec->realm->rd, ipa & ~0xfffull, a.pa
    };
    if (access == RMM_ACCESS_WRITE && is_protected(rec->realm, ipa)) {
        memcpy((uint8_t *)fake_host(r->m, a.pa) + ipa % 4096 / 8 * 8, &word,
               8);
        memcpy(twin_memory(r->t, a.pa) + ipa % 4096 / 8 * 8, &word, 8);
    }
}

static void realm_exception(Run *r, const TwinRealm *realm)
{
    static const unsigned classes[] = { 0x24, 0x24, 0x24, 0x20, 0x01, 0x18 };
    uint64_t ipa = chance(r, 50) ? realm_ipa(r, realm)
        : twin_protected_top(realm) + below(r, 1 << 20);
    RmmSyndrome s = { .kind = RMM_EXCEPTION_SYNC, .far = any(r),
                      .stage1_level = (int)below(r, 5) - 1 };

    s.hpfar = (ipa >> 12 << 4) & 0xffffffffff0;
    s.esr = (any(r) & 0x3ffffff) |
            (uint64_t)classes[below(r, G_N_ELEMENTS(classes))] << 26;
    if (chance(r, 60)) {
        s.esr &= ~0x38ull;              /* not external */
    }
    if (chance(r, 40) && s.esr >> 26 == 0x18) {
        s.esr = (s.esr & 0xfc0003ff) | 3ull << 20 | 1;  /* an ID register */
    } else if (chance(r, 40) && s.esr >> 26 == 0x18) {
        /* An ICC register that is written, or one beside it. */
        s.esr = (s.esr & 0xfc0e03e0) | 3ull << 20 | 12 << 10 | 11 << 1;
    }
    if (chance(r, 4)) {
        s.esr ^= 1ull << below(r, 40);
    }
    if (chance(r, 5)) {
        s.kind = RMM_EXCEPTION_IRQ + below(r, 3);
    }
    step(r, EXCEPTION, &s);
}

static void realm_anything(Run *r)
{
    unsigned i;

    for (i = 1; i < 31; i++) {
        set_x(r, i, chance(r, 50) ? garbage(r) : any(r));
    }
    call(r, chance(r, 50) ? RMI_FID(below(r, 0x60)) : garbage(r), garbage(r),
         garbage(r), garbage(r), garbage(r), garbage(r));
}

static void realm_step(Run *r)
{
    TwinRec *rec = r->twin[r->which].rec;

    switch (below(r, 20)) {
    case 0 ... 4:
        realm_rsi(r, rec->realm);
        break;
    case 5 ... 8:
        realm_ripas(r, rec->realm);
        break;
    case 9 ... 11:
        realm_psci(r, rec->realm);
        break;
    case 12 ... 14:
        realm_exception(r, rec->realm);
        break;
    case 15 ... 17:
        realm_access(r, rec);
        break;
    case 18:
        step(r, INTERRUPT, NULL);
        break;
    case 19:
        realm_anything(r);
        break;
    }
}

/* ---- longer plans of the host ---- */

static void plan_delegate(Run *r, unsigned count)
{
    while (count--) {
        call(r, RMI_GRANULE_DELEGATE, granule_in(r, TWIN_NS), 0, 0, 0, 0);
    }
}

/* Tables down to level 3 at @ipa. */
static void plan_tables(Run *r, const TwinRealm *realm, uint64_t ipa)
{
    int level;

    for (level = realm->start + 1; level <= 3; level++) {
        call(r, RMI_RTT_CREATE, realm->rd, granule_in(r, TWIN_DELEGATED),
             ipa / twin_bytes(level - 1) * twin_bytes(level - 1), level, 0);
    }
}

static void plan_realm(Run *r)
{
    unsigned before = r->t->realms->len, recs, i;
    TwinRealm *realm;

    if (before >= REALMS) {
        return;
    }
    plan_delegate(r, 60);
    create_realm(r, false);
    if (r->t->realms->len == before) {
        return;
    }
    realm = r->t->realms->pdata[before];
    plan_tables(r, realm, 0);
    plan_tables(r, realm, twin_protected_top(realm));
    plan_tables(r, realm, twin_protected_top(realm) - RMM_GRANULE_SIZE);
    for (i = 0; i < 16; i++) {
        call(r, RMI_DATA_CREATE, realm->rd, granule_in(r, TWIN_DELEGATED),
             i * RMM_GRANULE_SIZE, FAKE_NS_SRC, i % 2);
    }
    call(r, RMI_RTT_INIT_RIPAS, realm->rd, 16 * RMM_GRANULE_SIZE,
         32 * RMM_GRANULE_SIZE, 0, 0);
    /* More than 16, now and then, need two affinity fields of an MPIDR. */
    recs = r->m->platform.num_aux == 0 && chance(r, 20) ? 20 : 4;
    for (i = 0; i < recs; i++) {
        create_rec(r, realm, false);
    }
    if (chance(r, 80)) {
        call(r, RMI_REALM_ACTIVATE, realm->rd, 0, 0, 0, 0);
    }
}

/* Everything that is in @table's place, but not the tables below. */
static void plan_empty_table(Run *r, const TwinRealm *realm,
                             const TwinTable *table)
{
    unsigned i;

    for (i = 0; i < 512; i++) {
        if (table->entry[i].kind == TWIN_ASSIGNED) {
            uint64_t ipa = table->ipa + i * twin_bytes(table->level);

            if (table->level < 3) {
                plan_tables(r, realm, ipa);
                return;
            }
            call(r, RMI_DATA_DESTROY, realm->rd, ipa, 0, 0, 0);
        }
    }
}

/* Take a Realm apart, as far as its RECs allow. */
static void plan_destroy(Run *r, TwinRealm *realm)
{
    unsigned i, rounds, n;

    for (i = 0; i < realm->recs->len; i++) {
        call(r, RMI_REC_DESTROY, ((TwinRec *)realm->recs->pdata[i])->pa,
             0, 0, 0, 0);
    }
    for (rounds = 0; rounds < 8; rounds++) {
        for (n = realm->tables->len; n-- > 0;) {
            if (n >= realm->tables->len) {
                continue;
            }
            plan_empty_table(r, realm, realm->tables->pdata[n]);
            if (n < realm->tables->len && n >= realm->num_start) {
                TwinTable *table = realm->tables->pdata[n];

                call(r, RMI_RTT_DESTROY, realm->rd, table->ipa, table->level,
                     0, 0);
            }
        }
    }
    call(r, RMI_REALM_DESTROY, realm->rd, 0, 0, 0, 0);
}

/* Fill a table so that it can be folded, and nearly so. */
static void plan_block(Run *r)
{
    TwinRealm *realm = pick_realm(r);
    bool ns = chance(r, 50);
    uint64_t first, ipa;
    TwinTable *table;
    unsigned i;

    if (!realm) {
        return;
    }
    table = pick_table(r, realm, ns ? 2 : 3, 3, !ns);
    ipa = table->ipa;
    first = ns ? 0x4000000000ull : aligned_granules(r, 512, TWIN_NS);
    if (chance(r, 30)) {
        first += twin_bytes(table->level);      /* not at a block's start */
    }
    for (i = 0; i < 512; i++) {
        uint64_t bytes = twin_bytes(table->level);
        uint64_t pa = first + i * bytes;

        if (ns) {
            call(r, RMI_RTT_UNMAP_UNPROTECTED, realm->rd, ipa + i * bytes,
                 table->level, 0, 0);
            call(r, RMI_RTT_MAP_UNPROTECTED, realm->rd, ipa + i * bytes,
                 table->level, pa | 0xd8, 0);
        } else if (table->level == 3) {
            call(r, RMI_GRANULE_DELEGATE, pa, 0, 0, 0, 0);
            call(r, RMI_DATA_DESTROY, realm->rd, ipa + i * bytes, 0, 0, 0);
            call(r, RMI_DATA_CREATE_UNKNOWN, realm->rd, pa, ipa + i * bytes,
                 0, 0);
        }
    }
    call(r, RMI_RTT_FOLD, realm->rd, ipa, table->level, 0, 0);
}

static void plan_undelegate(Run *r)
{
    unsigned i;

    for (i = 0; i < GRANULES; i++) {
        if (r->t->state[i] == TWIN_DELEGATED) {
            call(r, RMI_GRANULE_UNDELEGATE,
                 FAKE_POOL_BASE + i * RMM_GRANULE_SIZE, 0, 0, 0, 0);
        }
    }
}

static void plan(Run *r)
{
    switch (below(r, 8)) {
    case 0 ... 3:
        plan_realm(r);
        break;
    case 4:
        plan_block(r);
        break;
    case 5:
        plan_undelegate(r);
        break;
    case 6:
        if (r->t->realms->len) {
            plan_destroy(r, pick_realm(r));
        }
        break;
    case 7:
        plan_delegate(r, 40);
        break;
    }
}

/* A Realm that will never run again is in the way of one that may. */
static TwinRealm *finished_realm(Run *r)
{
    TwinRealm *realm = pick_realm(r);
    unsigned i;

    if (!realm || realm->state == TWIN_NEW) {
        return NULL;
    }
    for (i = 0; i < realm->recs->len; i++) {
        TwinRec *rec = realm->recs->pdata[i];

        if (realm->state == TWIN_ACTIVE && rec->exists && rec->runnable) {
            return NULL;
        }
    }
    return realm;
}

static void host_step(Run *r)
{
    TwinRealm *finished;

    static void (*const steps[])(Run *) = {
        host_enter, host_enter, host_enter, host_enter, host_complete,
        host_set_ripas, host_set_ripas, host_data, host_data, host_data,
        host_data_destroy, host_table, host_table, host_no_table,
        host_no_table, host_read, host_unprotected, host_unprotected,
        host_init_ripas, host_granule, host_granule, host_realm,
        host_anything, host_store,
    };

    if (below(r, 1000) < 2 || r->t->realms->len == 0) {
        plan(r);
    } else if (chance(r, 1) && (finished = finished_realm(r))) {
        plan_destroy(r, finished);
    } else if (chance(r, 1)) {
        plan_realm(r);
    } else {
        steps[below(r, G_N_ELEMENTS(steps))](r);
    }
}

/* ---- everything that can be seen ---- */

static uint64_t quiet_call(Run *r, RmmPe *pe, uint64_t fid, uint64_t x1,
                           uint64_t x2, uint64_t x3)
{
    return fake_call_pe(r->m, pe, fid, (uint64_t[]) { x1, x2, x3 }, 3);
}

/* Through calls that another call takes back. */
static void check_granule(Run *r, RmmPe *pe, uint64_t pa, TwinGranule state)
{
    bool ns = !quiet_call(r, pe, RMI_GRANULE_DELEGATE, pa, 0, 0);
    bool free = !quiet_call(r, pe, RMI_GRANULE_UNDELEGATE, pa, 0, 0);
    RmmStage2 s2;

    if (free && !ns) {
        quiet_call(r, pe, RMI_GRANULE_DELEGATE, pa, 0, 0);
        memset(twin_memory(r->t, pa), 0, RMM_GRANULE_SIZE);
        twin_foreign(r->t, pa);
    } else if (ns) {
        memset(twin_memory(r->t, pa), 0, RMM_GRANULE_SIZE);
    }
    if (ns != (state == TWIN_NS) ||
        free != (state == TWIN_NS || state == TWIN_DELEGATED) ||
        !quiet_call(r, pe, RMI_REC_AUX_COUNT, pa, 0, 0) != (state == TWIN_RD)
        || rmm_stage2(r->m->rmm, pa, &s2) != (state == TWIN_REC)) {
        fail(r, "granule %" PRIx64 " is not in state %d", pa, state);
    }
}

static void check_table(Run *r, RmmPe *pe, const TwinRealm *realm,
                        const TwinTable *table)
{
    TwinPe twin = { 0 };
    unsigned i;

    for (i = 0; i < 512 && !r->failure; i++) {
        uint64_t ipa = table->ipa + i * twin_bytes(table->level);

        if (ipa >= twin_ipa_top(realm)) {
            break;
        }
        quiet_call(r, pe, RMI_RTT_READ_ENTRY, realm->rd, ipa, table->level);
        memset(&twin, 0, sizeof(twin));
        twin.pe.x[0] = RMI_RTT_READ_ENTRY;
        twin.pe.x[1] = realm->rd;
        twin.pe.x[2] = ipa;
        twin.pe.x[3] = table->level;
        twin_call(r->t, &twin);
        if (memcmp(pe->x, twin.pe.x, 5 * sizeof(uint64_t))) {
            fail(r, "entry at level %d for %" PRIx64 ": %" PRIu64 " %" PRIu64
                 " %" PRIx64 " %" PRIu64 ", twin %" PRIu64 " %" PRIu64 " %"
                 PRIx64 " %" PRIu64, table->level, ipa, pe->x[1], pe->x[2],
                 pe->x[3], pe->x[4], twin.pe.x[1], twin.pe.x[2],
                 twin.pe.x[3], twin.pe.x[4]);
        }
    }
}

static void check_realm(Run *r, RmmPe *pe, const TwinRealm *realm)
{
    RmmPages pages, expected;
    uint8_t rim[64];
    unsigned i;

    for (i = 0; i < realm->tables->len && !r->failure; i++) {
        check_table(r, pe, realm, realm->tables->pdata[i]);
    }
    if (rmm_realm_rim(r->m->rmm, realm->rd, rim) !=
        (realm->hash_algo == RMI_HASH_SHA_512 ? 64 : 32) ||
        memcmp(rim, realm->measurement[0], sizeof(rim))) {
        fail(r, "RIM of %" PRIx64, realm->rd);
    }
    expected = twin_pages(realm);
    if (!rmm_realm_pages(r->m->rmm, realm->rd, &pages) ||
        memcmp(&pages, &expected, sizeof(pages))) {
        fail(r, "pages of %" PRIx64, realm->rd);
    }
}

/* Nothing that was invalidated is still good, so what is left has to be. */
static void check_tlb(Run *r)
{
    unsigned i;

    for (i = 0; i < TLB_SIZE; i++) {
        const TwinRealm *realm = twin_realm(r->t, tlb[i].rd);
        RmmTranslation out;

        if (!tlb[i].rd) {
            continue;
        }
        if (!realm || realm->vmid != tlb[i].vmid ||
            twin_translate(r->t, realm, tlb[i].ipa, tlb[i].access, &out) !=
            RMM_FAULT_NONE || out.pa != tlb[i].pa) {
            fail(r, "a PE still has %" PRIx64 " of %" PRIx64, tlb[i].ipa,
                 tlb[i].rd);
        }
    }
}

static void check_memory(Run *r)
{
    unsigned i;

    for (i = 0; i < GRANULES; i++) {
        TwinGranule state = r->t->state[i];

        if ((state == TWIN_NS || state == TWIN_DELEGATED ||
             state == TWIN_DATA) &&
            memcmp(r->m->pool + i * RMM_GRANULE_SIZE,
                   r->t->memory + i * RMM_GRANULE_SIZE, RMM_GRANULE_SIZE)) {
            fail(r, "contents of granule %x", i);
        }
    }
    if (memcmp(r->m->ns, r->t->ns, FAKE_NS_PAGES * RMM_GRANULE_SIZE)) {
        fail(r, "Non-secure memory");
    }
}

static void check_everything(Run *r)
{
    RmmPe pe = { .world = RMM_WORLD_HOST };
    unsigned i;

    check_tlb(r);
    check_memory(r);
    for (i = 0; i < GRANULES && !r->failure; i++) {
        check_granule(r, &pe, FAKE_POOL_BASE + i * RMM_GRANULE_SIZE,
                      r->t->state[i]);
    }
    for (i = 0; i < r->t->realms->len && !r->failure; i++) {
        check_realm(r, &pe, r->t->realms->pdata[i]);
    }
}

/* ---- runs ---- */

static void invalidate(void *opaque, uint16_t vmid, uint64_t base,
                       uint64_t top)
{
    unsigned i;

    g_assert_true(may_invalidate);
    for (i = 0; i < TLB_SIZE; i++) {
        if (tlb[i].vmid == vmid && tlb[i].ipa < top &&
            tlb[i].ipa + RMM_GRANULE_SIZE > base) {
            tlb[i].invalid = true;
        }
    }
}

/* Entries may live on until here. */
static void complete(void *opaque)
{
    unsigned i;

    for (i = 0; i < TLB_SIZE; i++) {
        if (tlb[i].invalid) {
            tlb[i].rd = 0;
        }
    }
}

static void choose_platform(Run *r, RmmPlatform *p)
{
    static const uint8_t aux[] = { 0, 3, 16 };

    p->lpa2 = chance(r, 40);
    p->ipa_bits = p->lpa2 ? 52 : chance(r, 70) ? 48 : 43;
    p->sve = chance(r, 50);
    p->sve_vl = 3;
    p->pmu_hpmn0 = chance(r, 50);
    p->sha512 = chance(r, 80);
    p->num_aux = aux[below(r, 3)];
    p->vmid_bits = chance(r, 50) ? 8 : 16;
    p->num_lrs = below(r, 16);
    p->gic_prio_bits = chance(r, 50) ? 5 : 0;
    p->mte = chance(r, 50);
    p->migration = false;               /* the twin does not know it */
}

static void run_begin(Run *r, uint64_t seed, unsigned limit)
{
    memset(r, 0, sizeof(*r));
    memset(tlb, 0, sizeof(tlb));
    r->seed = seed;
    r->limit = limit;
    r->random = mix(seed);
    r->m = fake_machine_prepare(GRANULES);
    r->m->ops.tlb_invalidate = invalidate;
    r->m->ops.tlb_sync = complete;
    choose_platform(r, &r->m->platform);
    fake_machine_start(r->m);
    r->t = twin_new(&r->m->platform, FAKE_POOL_BASE, GRANULES, FAKE_NS_BASE,
                    FAKE_NS_PAGES * RMM_GRANULE_SIZE);
    running = r;
}

static void run_step(Run *r, unsigned number)
{
    unsigned due = r->calls / CHECK_EVERY;

    r->step = number;
    r->random = mix(mix(r->seed) + number);
    r->which = below(r, PES);
    if (r->pe[r->which].world == RMM_WORLD_REALM) {
        realm_step(r);
    } else {
        host_step(r);
    }
    if (!r->failure && r->calls / CHECK_EVERY > due) {
        check_everything(r);
    }
}

static void run_end(Run *r)
{
    unsigned i;

    if (!r->failure) {
        check_everything(r);
    }
    running = NULL;
    for (i = 0; !r->failure && i < PES; i++) {
        if (r->pe[i].world == RMM_WORLD_REALM) {
            take_interrupt(r->m->rmm, &r->pe[i]);
        }
    }
    if (!r->failure) {
        fake_machine_free(r->m);
        twin_free(r->t);
    }
}

/* Steps @steps, in a child, since they may end in an abort: do they fail? */
static bool fails_in_child(uint64_t seed, const GArray *steps, unsigned limit)
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        Run r;
        unsigned i;

        if (!freopen("/dev/null", "w", stderr)) {
            _exit(2);
        }
        run_begin(&r, seed, limit);
        r.quiet = true;
        for (i = 0; i < steps->len && !r.failure; i++) {
            run_step(&r, g_array_index(steps, unsigned, i));
        }
        run_end(&r);
        _exit(r.failure ? 1 : 0);
    }
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    return !WIFEXITED(status) || WEXITSTATUS(status) == 1;
}

static GArray *without(const GArray *steps, unsigned from, unsigned count)
{
    GArray *rest = g_array_new(FALSE, FALSE, sizeof(unsigned));

    g_array_append_vals(rest, steps->data, from);
    if (from + count < steps->len) {
        g_array_append_vals(rest, &g_array_index(steps, unsigned,
                                                 from + count),
                            steps->len - from - count);
    }
    return rest;
}

/* Leave out ever smaller pieces, as long as what is left still fails. */
static GArray *shrink(uint64_t seed, unsigned last, unsigned limit)
{
    GArray *steps = g_array_new(FALSE, FALSE, sizeof(unsigned));
    unsigned i, size, attempts = 300;

    for (i = 0; i <= last; i++) {
        g_array_append_val(steps, i);
    }
    for (size = steps->len / 2; size > 0 && attempts; size /= 2) {
        for (i = 0; i < steps->len && attempts; attempts--) {
            GArray *rest = without(steps, i, size);

            if (fails_in_child(seed, rest, limit)) {
                g_array_unref(steps);
                steps = rest;
            } else {
                g_array_unref(rest);
                i += size;
            }
        }
    }
    return steps;
}

static void show_shortest(const Run *failed)
{
    GArray *steps = shrink(failed->seed, failed->step, failed->limit);
    Run r;
    unsigned i;

    g_printerr("%u steps are enough:", steps->len);
    for (i = 0; i < steps->len && i < 60; i++) {
        g_printerr(" %u", g_array_index(steps, unsigned, i));
    }
    g_printerr("\n");
    run_begin(&r, failed->seed, failed->limit);
    for (i = 0; i < steps->len && !r.failure; i++) {
        run_step(&r, g_array_index(steps, unsigned, i));
    }
    if (r.failure) {
        g_printerr("and end so: %s\n", r.failure->str);
    }
    g_array_unref(steps);
}

static void run_seed(uint64_t seed, unsigned calls)
{
    unsigned number;
    Run r;

    run_begin(&r, seed, calls);
    for (number = 0; r.calls < calls && !r.failure; number++) {
        run_step(&r, number);
    }
    run_end(&r);
    if (r.failure) {
        g_printerr("%s\nrepeat it with --seed %" PRIu64 " --calls %u\n",
                   r.failure->str, seed, calls);
        show_shortest(&r);
        g_test_fail();
    }
}

static void test_fixed_seeds(void)
{
    unsigned seed, seeds = MAX(1, total_calls / PER_SEED);

    for (seed = 1; seed <= seeds && !g_test_failed(); seed++) {
        run_seed(seed, MIN(PER_SEED, total_calls));
    }
}

static void test_new_seed(void)
{
    uint64_t seed = g_random_int();

    g_test_message("seed %" PRIu64, seed);
    run_seed(seed, MIN(PER_SEED, total_calls));
}

static uint64_t one_seed;

static void test_one_seed(void)
{
    run_seed(one_seed, total_calls);
}

int main(int argc, char **argv)
{
    bool given = false;
    int i;

    g_test_init(&argc, &argv, NULL);
    for (i = 1; i + 1 < argc; i++) {
        if (!strcmp(argv[i], "--seed")) {
            one_seed = g_ascii_strtoull(argv[++i], NULL, 0);
            given = true;
        } else if (!strcmp(argv[i], "--calls")) {
            total_calls = g_ascii_strtoull(argv[++i], NULL, 0);
        }
    }
    signal(SIGABRT, on_abort);
    if (given) {
        g_test_add_func("/random/the_seed_given_agrees_with_the_twin",
                        test_one_seed);
        return g_test_run();
    }
    g_test_add_func("/random/calls_of_fixed_seeds_agree_with_the_twin",
                    test_fixed_seeds);
    g_test_add_func("/random/calls_of_a_new_seed_agree_with_the_twin",
                    test_new_seed);
    return g_test_run();
}
