/*
 * The world of refused calls (see negative.h)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include "negative.h"
#include "snapshot.h"
#include "test-keys.h"

#define POOL 192

static void *(*fake_op_granule)(void *opaque, uint64_t pa);

/* Memory above 2^48, which the machine would lend. */
static void *op_granule(void *opaque, uint64_t pa)
{
    static uint64_t high[RMM_GRANULE_SIZE / sizeof(uint64_t)];

    return pa == PA_HIGH ? high : fake_op_granule(opaque, pa);
}

static FakeMachine *machine_new(bool lpa2, size_t granules)
{
    FakeMachine *m = fake_machine_prepare(granules);

    fake_op_granule = m->ops.granule;
    m->ops.granule = op_granule;
    m->ops.key = test_key;
    m->platform.num_aux = 2;
    m->platform.num_lrs = 3;
    m->platform.gic_prio_bits = 5;
    if (lpa2) {
        m->platform.lpa2 = true;
        m->platform.ipa_bits = 52;
    }
    fake_machine_start(m);
    return m;
}

static void must(uint64_t x0)
{
    g_assert_cmphex(x0, ==, RMI_SUCCESS);
}

static FakeRealm realm_create_empty(FakeMachine *m)
{
    FakeRealm r;

    fake_realm_params(m, &r, 41, 0)->flags =
        m->platform.lpa2 ? RMI_REALM_LPA2 : 0;
    must(fake_realm_try(m, &r));
    return r;
}

static FakeRealm realm_create_full(FakeMachine *m, unsigned recs)
{
    FakeRealm r = realm_create_empty(m);
    unsigned i;

    fake_data(m, &r, IPA_PAGE, 1, 0x11);
    fake_tables(m, &r, IPA_EMPTY_L3);
    fake_tables(m, &r, IPA_NS_PAGE);
    must(fake_call(m, RMI_RTT_MAP_UNPROTECTED, r.rd, IPA_NS_PAGE, 3,
                   NS_DESC));
    must(fake_call(m, RMI_RTT_MAP_UNPROTECTED, r.rd, IPA_NS_BLOCK, 2,
                   NS_DESC));
    for (i = 0; i < recs; i++) {
        fake_rec(m, &r, i == 1 ? 0 : RMI_REC_RUNNABLE, IPA_PAGE);
    }
    return r;
}

/* Leaves REALM_OFF as PSCI does. */
static void turn_off(World *w, FakeRealm *r)
{
    must(fake_call(w->m, RMI_REALM_ACTIVATE, r->rd));
    fake_enter(w->m, &w->guest, r, 0);
    world_guest_call(w, PSCI_FID_SYSTEM_OFF, 0, 0, 0);
    g_assert_cmpint(w->guest.world, ==, RMM_WORLD_HOST);
}

static uint64_t page_of(World *w, const FakeRealm *r)
{
    must(fake_call(w->m, RMI_RTT_READ_ENTRY, r->rd, IPA_PAGE, 3));
    return w->m->pe.x[3];
}

static void find_granules(World *w)
{
    const FakeRealm *off = &w->realm[REALM_OFF];

    w->spare = fake_granule(w->m);
    w->granule[GRANULE_NS] = fake_granule_ns(w->m);
    w->granule[GRANULE_DELEGATED] = fake_granule(w->m);
    w->granule[GRANULE_RD] = w->realm[REALM_EMPTY].rd;
    w->granule[GRANULE_REC] = off->rec[0];
    w->granule[GRANULE_REC_AUX] = off->rec[0] + RMM_GRANULE_SIZE;
    w->granule[GRANULE_DATA] = page_of(w, off);
    w->granule[GRANULE_RTT] = off->tables;
}

static void check_world(World *w)
{
    static const uint64_t nowhere[] = {
        PA_SECURE, PA_ROOT, PA_DEVICE, PA_BEYOND,
    };
    size_t i;

    for (i = 0; i < GRANULE_STATES; i++) {
        g_assert_cmpint(granule_state(w->m->rmm, w->granule[i]), ==, i);
    }
    for (i = 0; i < G_N_ELEMENTS(nowhere); i++) {
        g_assert_null(w->m->ops.granule(w->m, nowhere[i]));
        g_assert_null(w->m->ops.ns(w->m, nowhere[i], 1));
    }
}

static World *new_world(bool lpa2, size_t granules)
{
    World *w = g_new0(World, 1);
    FakeMachine *m = w->m = machine_new(lpa2, granules);
    FakeRealm *gone = &w->realm[REALM_GONE];

    w->realm[REALM_FRESH] = realm_create_full(m, 1);
    w->realm[REALM_RUNS] = realm_create_full(m, 3);
    must(fake_call(m, RMI_REALM_ACTIVATE, w->realm[REALM_RUNS].rd));
    w->realm[REALM_OFF] = realm_create_full(m, 2);
    turn_off(w, &w->realm[REALM_OFF]);
    w->realm[REALM_EMPTY] = realm_create_empty(m);
    *gone = realm_create_empty(m);
    must(fake_call(m, RMI_REALM_DESTROY, gone->rd));
    memset(fake_run(m, 0), 0, RMM_GRANULE_SIZE);
    find_granules(w);
    check_world(w);
    return w;
}

World *world_new(void)
{
    return new_world(false, POOL);
}

World *world_new_lpa2(void)
{
    return new_world(true, POOL);
}

World *world_new_large(size_t more)
{
    return new_world(false, POOL + more);
}

void world_free(World *w)
{
    if (w->guest.world == RMM_WORLD_REALM) {
        take_interrupt(w->m->rmm, &w->guest);
    }
    if (w->host.world == RMM_WORLD_REALM) {
        take_interrupt(w->m->rmm, &w->host);
    }
    fake_machine_free(w->m);
    g_free(w);
}

void world_enter(World *w, unsigned i)
{
    fake_enter(w->m, &w->guest, &w->realm[REALM_RUNS], i);
}

void world_guest_call(World *w, uint64_t fid, uint64_t x1, uint64_t x2,
                      uint64_t x3)
{
    fake_call_pe(w->m, &w->guest, fid, (const uint64_t[]){ x1, x2, x3, 0 },
                 4);
}

void world_ask_ripas(World *w, uint64_t base, uint64_t size)
{
    world_enter(w, 0);
    world_guest_call(w, RSI_IPA_STATE_SET, base, base + size, RMI_RIPAS_RAM);
    g_assert_cmpint(w->guest.world, ==, RMM_WORLD_HOST);
}

static RmmPe *pe_of(World *w, const NegativeCommand *c)
{
    return c->world == BY_HOST ? &w->host : &w->guest;
}

/* All registers have a value, so that one that changes shows. */
static void load_registers(World *w, RmmPe *pe, const NegativeCommand *c,
                           uint64_t more)
{
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(pe->x); i++) {
        pe->x[i] = 0x5a5a000000000000ull | i;
    }
    memcpy(&pe->x[1], &w->x[1], sizeof(w->x) - sizeof(w->x[0]));
    pe->x[0] = c->fid | more;
    if (pe->world == RMM_WORLD_REALM) {
        pe->pc += 4;                    /* behind the SMC */
    }
}

uint64_t world_issue(World *w, const NegativeCommand *c, uint64_t more)
{
    RmmPe *pe = pe_of(w, c);

    load_registers(w, pe, c, more);
    rmm_call(w->m->rmm, pe);
    return pe->x[0];
}

/*
 * X1 up to here are zero where they are no outputs: of RMI and RSI, as far as
 * rmi.c and rsi.c say; calls that are none keep them all.
 */
static unsigned zeroed(const NegativeCommand *c, uint64_t x0)
{
    if (x0 == SMCCC_NOT_SUPPORTED) {
        return 0;
    }
    if (c->world == BY_HOST) {
        return 3;
    }
    return c->fid >= RSI_VERSION && c->fid <= RSI_HOST_CALL ? 16 : 0;
}

static void refused_once(World *w, const NegativeCommand *c, uint64_t x0,
                         const char *what, uint64_t more)
{
    RmmPe *pe = pe_of(w, c), want;
    Snapshot before = snapshot_take(w->m);
    const char *changed;
    unsigned i;

    load_registers(w, pe, c, more);
    want = *pe;
    want.x[0] = x0;
    rmm_call(w->m->rmm, pe);
    if (pe->x[0] != x0) {
        g_error("%s %s: X0 is 0x%" G_GINT64_MODIFIER "x, not 0x%"
                G_GINT64_MODIFIER "x", c->name, what, pe->x[0], x0);
    }
    changed = snapshot_difference(w->m, &before);
    if (changed) {
        g_error("%s %s changed %s", c->name, what, changed);
    }
    for (i = 1; i < G_N_ELEMENTS(pe->x); i++) {
        if (i > c->outputs &&
            pe->x[i] != (i <= zeroed(c, x0) ? 0 : want.x[i])) {
            g_error("%s %s leaves 0x%" G_GINT64_MODIFIER "x in X%u", c->name,
                    what, pe->x[i], i);
        }
    }
    g_assert_cmpint(pe->world, ==, want.world);
    g_assert_cmphex(pe->pc, ==, want.pc);
    g_assert_true(pe->rec == want.rec);
    g_assert_false(pe->inject.pending);
}

void world_refused(World *w, const NegativeCommand *c, uint64_t x0,
                   const char *what)
{
    refused_once(w, c, x0, what, 0);
    refused_once(w, c, x0, what, SMCCC_SVE_HINT);
}

void world_accepted(World *w, const NegativeCommand *c, const char *what)
{
    RmmPe *pe = pe_of(w, c);
    RmmWorld before = pe->world;
    uint64_t x0 = world_issue(w, c, 0);
    bool ok = c->switches ? pe->world != before
                          : pe->world == before && x0 == c->good;

    if (!ok) {
        g_error("%s %s: X0 is 0x%" G_GINT64_MODIFIER "x", c->name, what, x0);
    }
}

static const struct {
    uint64_t fid;
    ArgumentKind kind[5];
} arguments[] = {
    { RMI_VERSION, { ARG_OTHER } },
    { RMI_GRANULE_DELEGATE, { ARG_UNDELEGATED } },
    { RMI_GRANULE_UNDELEGATE, { ARG_FREE } },
    { RMI_DATA_CREATE, { ARG_RD, ARG_FREE, ARG_IPA, ARG_NS, ARG_OTHER } },
    { RMI_DATA_CREATE_UNKNOWN, { ARG_RD, ARG_FREE, ARG_IPA } },
    { RMI_DATA_DESTROY, { ARG_RD, ARG_IPA } },
    { RMI_REALM_ACTIVATE, { ARG_RD } },
    { RMI_REALM_CREATE, { ARG_FREE, ARG_NS } },
    { RMI_REALM_DESTROY, { ARG_RD } },
    { RMI_REC_CREATE, { ARG_RD, ARG_FREE, ARG_NS } },
    { RMI_REC_DESTROY, { ARG_REC } },
    { RMI_REC_ENTER, { ARG_REC, ARG_NS } },
    { RMI_RTT_CREATE, { ARG_RD, ARG_FREE, ARG_IPA, ARG_LEVEL } },
    { RMI_RTT_DESTROY, { ARG_RD, ARG_IPA, ARG_LEVEL } },
    { RMI_RTT_MAP_UNPROTECTED, { ARG_RD, ARG_IPA, ARG_LEVEL, ARG_OTHER } },
    { RMI_RTT_READ_ENTRY, { ARG_RD, ARG_IPA, ARG_LEVEL } },
    { RMI_RTT_UNMAP_UNPROTECTED, { ARG_RD, ARG_IPA, ARG_LEVEL } },
    { RMI_PSCI_COMPLETE, { ARG_REC, ARG_REC, ARG_OTHER } },
    { RMI_RTT_FOLD, { ARG_RD, ARG_IPA, ARG_LEVEL } },
    { RMI_REC_AUX_COUNT, { ARG_RD } },
    { RMI_RTT_INIT_RIPAS, { ARG_RD, ARG_IPA, ARG_TOP } },
    { RMI_RTT_SET_RIPAS, { ARG_RD, ARG_REC, ARG_IPA, ARG_TOP } },
};

const ArgumentKind *command_arguments(const NegativeCommand *c)
{
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(arguments); i++) {
        if (arguments[i].fid == c->fid) {
            return arguments[i].kind;
        }
    }
    g_assert_not_reached();
}
