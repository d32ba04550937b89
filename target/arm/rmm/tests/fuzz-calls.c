/*
 * libFuzzer target: the whole call interface, from both worlds
 *
 * Purpose: an input has a state to begin with and then steps: calls, writes
 * to Non-secure memory, exceptions, changes of the PE.  After each call the
 * host gets a status of the text or NOT_SUPPORTED.  No step stops the program,
 * and at the end tables and granules are as they have to be.
 *
 *   byte 0           state to begin with (begin_state); bit 3: the machine is
 *                    reset at the end, with PEs where they are
 *   then steps       kind, and what it needs (do_step); an argument is a
 *                    byte that picks something near, or says that a number
 *                    follows (argument)
 *
 * Each granule is an allocation of its own, so that AddressSanitizer sees
 * every access beside one.
 *
 * With clang this is linked with libFuzzer (build/lib-fuzz, `make fuzz`);
 * otherwise fuzz-main.c runs it over files.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include "check-tables.h"
#include "fake-machine.h"
#include "fuzz-input.h"
#include "granule.h"
#include "mig-abi.h"
#include "query.h"
#include "test-keys.h"

#define GRANULES 128
#define PES      2
#define NUM_LRS  4
#define MAX_STEPS 400

typedef struct Fuzz {
    FuzzInput in;
    FakeMachine *m;
    FakeRealm realm[2];
    RmmPe pe[PES];
    unsigned which;
} Fuzz;

static uint8_t *memory[GRANULES], *tags[GRANULES];
static bool touched[GRANULES];          /* in this run */

/* ---- the machine ---- */

static int granule_index(uint64_t pa)
{
    uint64_t offset = pa - FAKE_POOL_BASE;

    return offset < GRANULES * RMM_GRANULE_SIZE
           ? (int)(offset / RMM_GRANULE_SIZE) : -1;
}

static void *op_granule(void *opaque, uint64_t pa)
{
    int i = granule_index(pa);

    if (i < 0) {
        return NULL;
    }
    touched[i] = true;
    return memory[i] + pa % RMM_GRANULE_SIZE;
}

static uint8_t *op_tags(void *opaque, uint64_t pa)
{
    int i = granule_index(pa);

    return i < 0 ? NULL : tags[i];
}

static void machine_begin(Fuzz *f, bool lpa2, bool keys)
{
    unsigned i;

    for (i = 0; i < GRANULES; i++) {
        if (!memory[i]) {
            memory[i] = g_malloc0(RMM_GRANULE_SIZE);
            tags[i] = g_malloc0(RMM_TAG_BYTES);
        } else if (touched[i]) {
            memset(memory[i], 0, RMM_GRANULE_SIZE);
            memset(tags[i], 0, RMM_TAG_BYTES);
        }
        touched[i] = false;
    }
    f->m = fake_machine_prepare(0);     /* no memory: it is here */
    f->m->granules = GRANULES;
    f->m->ops.granule = op_granule;
    f->m->ops.granule_tags = op_tags;
    f->m->ops.key = keys ? test_key : NULL;
    f->m->platform.lpa2 = lpa2;
    f->m->platform.ipa_bits = lpa2 ? 52 : 48;
    f->m->platform.sve = true;
    f->m->platform.sve_vl = 3;
    f->m->platform.gic_prio_bits = 5;
    f->m->platform.num_lrs = NUM_LRS - 1;
    f->m->ops.exit_state = fake_exit_state;
    memset(&f->m->exit, 0xff, sizeof(f->m->exit));
    f->m->exit.pmu_overflow = true;
    fake_machine_start(f->m);
}

/* ---- states to begin with ---- */

static FakeRealm new_realm(Fuzz *f, unsigned ipa_bits, int level,
                           uint64_t flags, uint64_t ext_flags)
{
    FakeRealm r;
    RmiRealmParams *params = fake_realm_params(f->m, &r, ipa_bits, level);

    params->flags = flags;
    params->ext_flags = ext_flags;
    g_assert_cmphex(fake_realm_try(f->m, &r), ==, RMI_SUCCESS);
    return r;
}

static FakeRealm active_realm(Fuzz *f, unsigned ipa_bits, int level,
                              uint64_t flags, uint64_t ext_flags)
{
    FakeRealm r = new_realm(f, ipa_bits, level, flags, ext_flags);

    fake_ram(f->m, &r, 0, 0x10000);
    fake_data(f->m, &r, 0, 4, 0x11);
    fake_rec(f->m, &r, RMI_REC_RUNNABLE, 0x1000);
    fake_rec(f->m, &r, 0, 0);
    g_assert_cmphex(fake_call(f->m, RMI_REALM_ACTIVATE, r.rd), ==,
                    RMI_SUCCESS);
    return r;
}

#define MIG(f, n, i, ...) \
    g_assert_cmphex(fake_call((f)->m, MIG_FID_BASE + (n), \
                              (f)->realm[i].rd, __VA_ARGS__), ==, RMI_SUCCESS)

/* Realm 0 leaves and Realm 1 arrives, on the same machine. */
static void begin_migration(Fuzz *f, bool import)
{
    const uint64_t flags = RMI_REALM_EXT_MIGRATION | RMI_REALM_EXT_MTE;

    f->m->rmm->ops.key = test_key;      /* the exchange needs one */
    f->realm[0] = active_realm(f, 33, 1, 0, flags);
    f->realm[1] = new_realm(f, 33, 1, 0, flags);
    fake_rec(f->m, &f->realm[1], RMI_REC_RUNNABLE, 0);
    fake_rec(f->m, &f->realm[1], 0, 0);
    fake_tables(f->m, &f->realm[1], 0);
    MIG(f, MIG_PREPARE, 0, 0);
    MIG(f, MIG_OFFER, 1, FAKE_NS_FREE, 4096, f->m->pe.x[1], f->m->pe.x[2],
        f->m->pe.x[3], f->m->pe.x[4]);
    MIG(f, MIG_ACCEPT, 0, FAKE_NS_FREE, f->m->pe.x[1]);
    MIG(f, MIG_EXPORT_BEGIN, 0, FAKE_NS_FREE, 4096);
    if (import) {
        MIG(f, MIG_IMPORT, 1, FAKE_NS_FREE, f->m->pe.x[1]);
        MIG(f, MIG_COLLECT_DIRTY, 0, 0, 0x10000, FAKE_NS_FREE);
    }
}

/* A record of Realm 0, which is in the buffer, to Realm 1 */
#define PASS_ON(f) \
    MIG(f, MIG_IMPORT, 1, FAKE_NS_FREE, (f)->m->pe.x[1])

/* All but the start token has come, or with @start that as well. */
static void complete_migration(Fuzz *f, bool start)
{
    const uint64_t list = FAKE_NS_FREE + 0x20000, ready = list + 0x1000;
    uint64_t *word = fake_ns(f->m, list), size;
    unsigned i;

    for (i = 0; i < 4; i++) {
        word[i] = i * RMM_GRANULE_SIZE;
    }
    MIG(f, MIG_PAUSE, 0, 0);
    MIG(f, MIG_EXPORT_MEMORY, 0, list, 4, FAKE_NS_FREE, 0x20000, 0);
    size = f->m->pe.x[1];
    for (i = 0; i < 4; i++) {
        word[i] = fake_granule(f->m);
    }
    MIG(f, MIG_IMPORT_MEMORY, 1, FAKE_NS_FREE, size, list, 4);
    MIG(f, MIG_EXPORT_REALM, 0, FAKE_NS_FREE, 0x10000, 0);
    PASS_ON(f);
    for (i = 0; i < 2; i++) {
        MIG(f, MIG_EXPORT_REC, 0, f->realm[0].rec[i], FAKE_NS_FREE, 0x10000);
        PASS_ON(f);
    }
    if (start) {
        MIG(f, MIG_IMPORT_READY, 1, ready, 4096);
        MIG(f, MIG_EXPORT_START, 0, FAKE_NS_FREE, 4096, ready);
        PASS_ON(f);
    }
}

static void begin_state(Fuzz *f, uint8_t state)
{
    bool lpa2 = state % 8 >= 6 || state & 0x40;

    machine_begin(f, lpa2, state & 0x80);
    switch (state % 8) {
    case 0:
        break;
    case 1:
        f->realm[0] = new_realm(f, 33, 1, 0, 0);
        break;
    case 2:
        f->realm[0] = active_realm(f, 33, 1, 0, RMI_REALM_EXT_MTE);
        break;
    case 3:
        f->realm[0] = active_realm(f, 34, 2, 0, 0);
        fake_enter(f->m, &f->pe[0], &f->realm[0], 0);
        break;
    case 4:
        begin_migration(f, false);
        break;
    case 5:
        begin_migration(f, true);
        if (state & 0x20) {
            complete_migration(f, state & 0x10);
        }
        break;
    case 6:
        f->realm[0] = active_realm(f, 52, -1, RMI_REALM_LPA2, 0);
        fake_enter(f->m, &f->pe[0], &f->realm[0], 0);
        break;
    case 7:
        f->realm[0] = new_realm(f, 49, -1, RMI_REALM_LPA2, 0);
        break;
    }
}

/* ---- reading the input ---- */

static uint64_t number(Fuzz *f, unsigned bytes)
{
    return fuzz_number(&f->in, bytes);
}

static uint64_t argument(Fuzz *f)
{
    uint8_t b = number(f, 1);

    switch (b) {
    case 0 ... 127:
        return FAKE_POOL_BASE + b * RMM_GRANULE_SIZE;
    case 128 ... 159:
        return b - 128;
    case 160 ... 191:
        return FAKE_NS_BASE + (b - 160) * RMM_GRANULE_SIZE;
    case 192 ... 223:
        return (b - 192) * RMM_GRANULE_SIZE;
    case 224 ... 231:
        return (uint64_t)(b - 224) << 21;
    case 232 ... 235:
        return (uint64_t)(b - 232) << 30;
    case 236 ... 239:                   /* the unprotected half */
        return (1ull << 32) + ((uint64_t)(b - 236) << 12);
    case 240 ... 243:                   /* what the states made */
        return f->realm[b % 2].rd;
    case 244 ... 247:
        return f->realm[b / 2 % 2].rec[b % 2];
    case 248:
        return number(f, 2);
    case 249:
        return number(f, 2) << 12;
    case 250:
        return number(f, 4);
    case 251:
        return number(f, 4) << 12;
    case 252:
        return -number(f, 1);
    case 253:
        return 1ull << (number(f, 1) % 64);
    default:
        return number(f, 8);
    }
}

static uint64_t function(Fuzz *f)
{
    uint8_t b = number(f, 1);

    switch (b) {
    case 0 ... 31:
        return RMI_FID(b);
    case 32 ... 47:
        return MIG_FID_BASE + b - 32;
    case 48 ... 63:
        return RSI_FID(b - 48);
    case 64 ... 95:
        return PSCI_FID_32(b - 64);
    case 96 ... 127:
        return PSCI_FID_64(b - 96);
    case 128:
        return SMCCC_FID_VERSION;
    case 129:
        return SMCCC_FID_ARCH_FEATURES;
    case 130 ... 137:
        return MIG_FID_BASE + 16 + b - 130;
    default:
        return number(f, 8);
    }
}

/* ---- steps ---- */

/* B4.4.1: five statuses, an index, and zeros; or the call is not known. */
static void check_host_result(uint64_t x0)
{
    if (x0 != SMCCC_NOT_SUPPORTED) {
        g_assert_cmpuint(RMI_STATUS(x0), <=, RMI_ERROR_RTT);
        g_assert_cmphex(x0 >> 16, ==, 0);
    }
}

/*
 * What the machine said at the exit, as far as the host may see it (A6.1): the
 * fake one says ones.
 */
static void check_exit(const RmiRecExit *exit)
{
    unsigned i;

    g_assert_cmpuint(exit->exit_reason, <=, RMI_EXIT_SERROR);
    g_assert_cmphex(exit->gicv3_hcr, ==, 0xf80040fe);
    for (i = 0; i < 16; i++) {
        g_assert_cmphex(exit->gicv3_lrs[i], ==, i < NUM_LRS ? ~0ull : 0);
    }
    g_assert_cmphex(exit->cntv_cval, ==, ~0ull);
    g_assert_cmphex(exit->pmu_ovf_status, ==, 1);
}

static void check_entry(Fuzz *f, const RmmPe *pe)
{
    unsigned i;

    g_assert_cmphex(pe_rec(pe)->pa, ==, fake_context(f->m, pe)->config.rec);
    g_assert_cmphex(pe->entry.gicv3_hcr & ~0x40feull, ==, 0);
    for (i = NUM_LRS; i < 16; i++) {
        g_assert_cmphex(pe->entry.gicv3_lrs[i], ==, 0);
    }
}

/* @run is the run page of a PE that was in the Realm, or 0. */
static void check_pe(Fuzz *f, uint64_t run, uint64_t fid)
{
    RmmPe *pe = &f->pe[f->which];
    bool was_realm = run;

    if (pe->world == RMM_WORLD_HOST) {
        g_assert_null(pe->rec);
        g_assert_null(pe->context);
        check_host_result(pe->x[0]);
        if (was_realm) {
            g_assert_cmphex(pe->x[0], ==, RMI_SUCCESS);
            check_exit(&((RmiRecRun *)fake_ns(f->m, run))->exit);
        }
    } else {
        g_assert_nonnull(pe->rec);
        check_entry(f, pe);
        if (was_realm && fid - RSI_VERSION <= RSI_HOST_CALL - RSI_VERSION) {
            g_assert_cmpuint(pe->x[0], <=, RSI_ERROR_UNKNOWN);
        }
    }
    pe->inject.pending = false;
}

static uint64_t run_of(const RmmPe *pe)
{
    return pe->world == RMM_WORLD_REALM ? pe_rec(pe)->run_pa : 0;
}

static void step_call(Fuzz *f)
{
    RmmPe *pe = &f->pe[f->which];
    uint64_t run = run_of(pe);
    uint64_t fid = function(f);
    unsigned i, n = fid == RSI_MEASUREMENT_EXTEND ? 10 :
                    fid == MIG_FID_BASE + MIG_OFFER ? 7 : 6;

    for (i = 1; i <= n && f->in.left; i++) {
        pe->x[i] = argument(f);
    }
    pe->x[0] = fid;
    pe->pc += run ? 4 : 0;
    rmm_call(f->m->rmm, pe);
    check_pe(f, run, fid);
}

/* Some bytes in a page, or a word where structures have fields. */
static void step_write(Fuzz *f, bool word)
{
    uint8_t page = number(f, 1);
    uint16_t at = number(f, 2) % RMM_GRANULE_SIZE;
    uint8_t *p = f->m->ns + page % FAKE_NS_PAGES * RMM_GRANULE_SIZE;
    size_t len = word ? 8 : number(f, 1);
    const uint8_t *bytes;
    uint64_t value;

    if (word) {
        value = argument(f);
        memcpy(p + at / 8 * 8, &value, sizeof(value));
    } else {
        len = fuzz_bytes(&f->in, &bytes,
                         MIN(len, RMM_GRANULE_SIZE - (size_t)at));
        memcpy(p + at, bytes, len);
    }
}

static void step_exception(Fuzz *f)
{
    RmmPe *pe = &f->pe[f->which];
    RmmSyndrome s = { .kind = RMM_EXCEPTION_SYNC };
    uint64_t run = run_of(pe);

    if (pe->world == RMM_WORLD_HOST) {
        return;
    }
    s.esr = (number(f, 1) & 0x3full) << 26 | (number(f, 4) & 0x3ffffff);
    s.hpfar = argument(f) >> 12 << 4;
    s.far = argument(f);
    if (s.esr >> 26 == 0x3f) {
        s.kind = RMM_EXCEPTION_IRQ + s.esr % 3;
    }
    rmm_exception(f->m->rmm, pe, &s);
    check_pe(f, run, 0);
}

static void step_interrupt(Fuzz *f)
{
    RmmPe *pe = &f->pe[f->which];
    uint64_t run = run_of(pe);

    take_interrupt(f->m->rmm, pe);
    check_pe(f, run, 0);
}

static void step_walk(Fuzz *f)
{
    RmmTranslation t;
    RmmStage2 s2;
    uint64_t rec = argument(f), ipa = argument(f);

    if (rmm_stage2(f->m->rmm, rec, &s2) &&
        rmm_stage2_walk(f->m->rmm, &s2, ipa, number(f, 1) % 3, &t) ==
        RMM_FAULT_NONE) {
        g_assert_cmphex(t.pa % RMM_GRANULE_SIZE, ==, 0);
    }
}

static void do_step(Fuzz *f)
{
    RmmPe *pe = &f->pe[f->which];

    switch (number(f, 1) % 8) {
    case 0 ... 2:
        step_call(f);
        break;
    case 3:
        step_write(f, false);
        break;
    case 4:
        step_write(f, true);
        break;
    case 5:
        step_exception(f);
        break;
    case 6:
        step_walk(f);
        break;
    case 7:
        if (pe->world == RMM_WORLD_REALM && number(f, 1) % 2) {
            step_interrupt(f);
        } else {
            f->which = (f->which + 1) % PES;
        }
        break;
    }
}

/* ---- the end ---- */

/* A granule that is free is empty, and no lock is held on any. */
static void check_granules(Fuzz *f)
{
    unsigned i, j;

    for (i = 0; i < GRANULES; i++) {
        uint64_t pa = FAKE_POOL_BASE + i * RMM_GRANULE_SIZE;

        if (fake_call(f->m, RMI_GRANULE_UNDELEGATE, pa) != RMI_SUCCESS) {
            continue;
        }
        for (j = 0; j < RMM_GRANULE_SIZE; j += 8) {
            g_assert_cmphex(*(uint64_t *)(memory[i] + j), ==, 0);
        }
    }
}

static void leave_realms(Fuzz *f)
{
    for (f->which = 0; f->which < PES; f->which++) {
        if (f->pe[f->which].world == RMM_WORLD_REALM) {
            step_interrupt(f);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Fuzz f = { .in = { data, size } };
    uint8_t state = number(&f, 1);
    unsigned steps;

    begin_state(&f, state);
    for (steps = 0; f.in.left && steps < MAX_STEPS; steps++) {
        do_step(&f);
    }
    rmm_query_free(rmm_query(f.m->rmm));
    if (!(state & 0x08)) {
        leave_realms(&f);
        check_granules(&f);
    }
    fake_machine_free(f.m);     /* checks tables and contexts, too */
    return 0;
}
