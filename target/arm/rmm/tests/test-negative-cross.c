/*
 * Every argument with every value that it must not have, every state with
 * every command: refused, and nothing changes
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include "mig-abi.h"
#include "negative.h"

#define IN RMI_ERROR_INPUT

static unsigned refusals;               /* of this program */

static World *world_for(const NegativeCommand *c)
{
    World *w = world_new();

    c->base(w);
    return w;
}

static void refused(World *w, const NegativeCommand *c, uint64_t x0,
                    const char *kind, unsigned reg, uint64_t value)
{
    g_autofree char *what = g_strdup_printf("with X%u = 0x%"
                                            G_GINT64_MODIFIER "x (%s)",
                                            reg, value, kind);

    world_refused(w, c, x0, what);
    refusals++;
}

/* X@reg is @value, and must not be; everything else is as it should be. */
static void refused_value(World *w, const NegativeCommand *c, unsigned reg,
                          uint64_t value)
{
    uint64_t good = w->x[reg];

    w->x[reg] = value;
    refused(w, c, IN, "value", reg, value);
    w->x[reg] = good;
}

static const NegativeCommand *command(uint64_t fid)
{
    size_t i;

    for (i = 0; i < num_rmi_commands; i++) {
        if (rmi_commands[i].fid == fid) {
            return &rmi_commands[i];
        }
    }
    for (i = 0; i < num_rsi_commands; i++) {
        if (rsi_commands[i].fid == fid) {
            return &rsi_commands[i];
        }
    }
    g_assert_not_reached();
}

typedef void ArgumentFn(World *w, const NegativeCommand *c, unsigned reg,
                        ArgumentKind kind);

/* @fn for each argument of each RMI command, in a world of its own. */
static void for_each_argument(ArgumentFn *fn)
{
    size_t i;
    unsigned reg;

    for (i = 0; i < num_rmi_commands; i++) {
        const NegativeCommand *c = &rmi_commands[i];
        const ArgumentKind *kind = command_arguments(c);

        for (reg = 1; reg <= 5 && kind[reg - 1] != ARG_NONE; reg++) {
            World *w = world_for(c);

            fn(w, c, reg, kind[reg - 1]);
            world_accepted(w, c, "in the end");
            world_free(w);
        }
    }
}

/* The state of granule that @kind needs; none for Non-secure memory. */
static GranuleState wanted_state(ArgumentKind kind)
{
    switch (kind) {
    case ARG_RD:
        return GRANULE_RD;
    case ARG_REC:
        return GRANULE_REC;
    case ARG_FREE:
        return GRANULE_DELEGATED;
    case ARG_UNDELEGATED:
        return GRANULE_NS;
    default:
        return GRANULE_STATES;
    }
}

static bool is_granule(ArgumentKind kind)
{
    return wanted_state(kind) != GRANULE_STATES;
}

static void wrong_states(World *w, const NegativeCommand *c, unsigned reg,
                         ArgumentKind kind)
{
    int state;

    if (!is_granule(kind) && kind != ARG_NS) {
        return;
    }
    for (state = 0; state < GRANULE_STATES; state++) {
        /* What the pool has undelegated is for the machine to lend or not. */
        if (state != (int)wanted_state(kind) &&
            !(kind == ARG_NS && state == GRANULE_NS)) {
            refused_value(w, c, reg, w->granule[state]);
        }
    }
}

static void each_granule_argument_in_each_state(void)
{
    for_each_argument(wrong_states);
}

static void wrong_addresses(World *w, const NegativeCommand *c, unsigned reg,
                            ArgumentKind kind)
{
    static const uint64_t nowhere[] = {
        0, PA_SECURE, PA_ROOT, PA_DEVICE, PA_HIGH, PA_BEYOND,
        1ull << 63, -0x1000ull, UINT64_MAX,
        FAKE_POOL_BASE - 0x1000, FAKE_POOL_BASE + 0x10000000,
        FAKE_NS_BASE - 0x1000, FAKE_NS_BASE + FAKE_NS_PAGES * 0x1000,
    };
    static const uint64_t wrong_bits[] = {
        1, 8, 0x800, 0xfff, PA_HIGH, PA_BEYOND, 1ull << 63,
    };
    size_t i;

    if (!is_granule(kind) && kind != ARG_NS) {
        return;
    }
    for (i = 0; i < G_N_ELEMENTS(nowhere); i++) {
        refused_value(w, c, reg, nowhere[i]);
    }
    for (i = 0; i < G_N_ELEMENTS(wrong_bits); i++) {
        refused_value(w, c, reg, w->x[reg] | wrong_bits[i]);
    }
}

static void each_address_that_is_none(void)
{
    for_each_argument(wrong_addresses);
}

static void wrong_ipas(World *w, const NegativeCommand *c, unsigned reg,
                       ArgumentKind kind)
{
    static const uint64_t bounds[] = {
        IPA_END, IPA_END + 0x1000, 1ull << 48, 1ull << 52, 1ull << 63,
        -0x200000ull, -0x1000ull, UINT64_MAX,
    };
    static const uint64_t wrong_bits[] = {
        1, 8, 0x800, 0xfff, IPA_END, 1ull << 48, 1ull << 63,
    };
    size_t i;

    if (kind != ARG_IPA && kind != ARG_TOP) {
        return;
    }
    for (i = 0; i < G_N_ELEMENTS(bounds); i++) {
        refused_value(w, c, reg, bounds[i]);
    }
    for (i = 0; i < G_N_ELEMENTS(wrong_bits); i++) {
        refused_value(w, c, reg, w->x[reg] | wrong_bits[i]);
    }
    if (kind == ARG_TOP) {
        refused_value(w, c, reg, 0);
    }
}

static void each_ipa_out_of_bounds(void)
{
    for_each_argument(wrong_ipas);
}

static void wrong_levels(World *w, const NegativeCommand *c, unsigned reg,
                         ArgumentKind kind)
{
    static const uint64_t levels[] = {
        4, 5, 64, 0x103, 1ull << 32, 1ull << 32 | 3, 1ull << 63,
        INT64_MAX, -2ull, UINT64_MAX,
    };
    size_t i;

    for (i = 0; kind == ARG_LEVEL && i < G_N_ELEMENTS(levels); i++) {
        refused_value(w, c, reg, levels[i]);
    }
}

static void each_level_out_of_bounds(void)
{
    for_each_argument(wrong_levels);
}

static void each_range_that_wraps_or_is_empty(void)
{
    static const struct {
        uint64_t fid;
        unsigned reg;
    } calls[] = {
        { RMI_RTT_INIT_RIPAS, 2 }, { RMI_RTT_SET_RIPAS, 3 },
        { RSI_IPA_STATE_GET, 1 }, { RSI_IPA_STATE_SET, 1 },
    };
    static const uint64_t ranges[][2] = {
        { 0, 0 }, { IPA_FREE, IPA_FREE }, { IPA_FREE, 0 },
        { -0x1000ull, 0 }, { -0x1000ull, 0x1000 },
        { IPA_FREE, -0x1000ull }, { IPA_FREE, UINT64_MAX },
        { IPA_FREE, 1ull << 63 }, { 1ull << 63, (1ull << 63) + 0x1000 },
        { 1ull << 63, 0x2000 },
        { IPA_NS - 0x1000, IPA_NS + 0x1000 }, { IPA_NS, IPA_NS + 0x1000 },
        { IPA_FREE, IPA_END }, { IPA_END, IPA_END + 0x1000 },
        { UINT64_MAX, UINT64_MAX }, { UINT64_MAX, 0 },
    };
    size_t i, j;

    for (i = 0; i < G_N_ELEMENTS(calls); i++) {
        const NegativeCommand *c = command(calls[i].fid);
        unsigned reg = calls[i].reg;
        World *w = world_for(c);

        for (j = 0; j < G_N_ELEMENTS(ranges); j++) {
            w->x[reg] = ranges[j][0];
            w->x[reg + 1] = ranges[j][1];
            refused(w, c, IN, "range", reg, ranges[j][0]);
        }
        world_free(w);
    }
}

/*
 * A5.5.11: MemAttr, S2AP and OA are the host's; OA goes to 47, with LPA2 to
 * 49, and 51:50 in 9:8.
 */
static bool is_hosts(unsigned bit, bool lpa2)
{
    return (bit >= 2 && bit <= 4) || (bit >= 6 && bit <= (lpa2 ? 9 : 7)) ||
           (bit >= 12 && bit <= (lpa2 ? 49 : 47));
}

static void each_bit_of_a_host_descriptor(gconstpointer with_lpa2)
{
    const NegativeCommand *c = command(RMI_RTT_MAP_UNPROTECTED);
    bool lpa2 = GPOINTER_TO_INT(with_lpa2);
    unsigned bit;

    for (bit = 0; bit < 64; bit++) {
        World *w = lpa2 ? world_new_lpa2() : world_new();

        c->base(w);
        if (is_hosts(bit, lpa2)) {
            w->x[4] |= 1ull << bit;
            world_accepted(w, c, "with a bit of the host's");
        } else {
            refused_value(w, c, 4, w->x[4] | 1ull << bit);
        }
        world_free(w);
    }
}

static void each_reserved_flag_of_data_create(void)
{
    const NegativeCommand *c = command(RMI_DATA_CREATE);
    World *w = world_for(c);
    unsigned bit;

    for (bit = 1; bit < 64; bit++) {
        refused_value(w, c, 5, 1ull << bit);
    }
    world_free(w);
}

/* ---- states ---- */

/* The Realm that the call is about. */
static RmmRealm *realm_of(World *w, uint64_t pa)
{
    RmmRec *rec = g_hash_table_lookup(w->m->rmm->recs, &pa);

    return rec ? rec->realm : g_hash_table_lookup(w->m->rmm->realms, &pa);
}

/* What a character of a table below stands for. */
static uint64_t verdict(char c)
{
    switch (c) {
    case 'I':
        return IN;
    case 'R':
        return RMI_RESULT(RMI_ERROR_REALM, 0);
    case 'S':
        return RMI_RESULT(RMI_ERROR_REALM, 1);
    case 'C':
        return RMI_ERROR_REC;
    default:
        g_assert(c == '.');
        return RMI_SUCCESS;
    }
}

static void judge(World *w, const NegativeCommand *c, char v, unsigned state)
{
    if (v == '.') {
        world_accepted(w, c, "in a state that allows it");
    } else {
        refused(w, c, verdict(v), "state", 0, state);
    }
}

/*
 * NEW, ACTIVE, SYSTEM_OFF as in RMM 1.0; then IMPORT, FAILED, EXPORT,
 * EXPORT_PAUSED, EXPORTED as in realm.h.
 */
static const struct {
    uint64_t fid;
    const char *by_state;
} realm_states[] = {
    { RMI_DATA_CREATE,           ".RRRRRRR" },
    { RMI_DATA_CREATE_UNKNOWN,   "...RR.RR" },
    { RMI_DATA_DESTROY,          "........" },
    { RMI_REALM_ACTIVATE,        ".RRRRRRR" },
    { RMI_REALM_DESTROY,         "........" },
    { RMI_REC_AUX_COUNT,         "........" },
    { RMI_REC_CREATE,            ".RR.RRRR" },
    { RMI_REC_DESTROY,           "........" },
    { RMI_REC_ENTER,             "R.SRR.RR" },
    { RMI_PSCI_COMPLETE,         "...RR.RR" },
    { RMI_RTT_CREATE,            "........" },
    { RMI_RTT_DESTROY,           "........" },
    { RMI_RTT_FOLD,              "........" },
    { RMI_RTT_INIT_RIPAS,        ".RRRRRRR" },
    { RMI_RTT_MAP_UNPROTECTED,   "........" },
    { RMI_RTT_READ_ENTRY,        "........" },
    { RMI_RTT_UNMAP_UNPROTECTED, "........" },
    { RMI_RTT_SET_RIPAS,         "...RR.RR" },
};

static void each_realm_state_with_each_command(void)
{
    size_t i;
    int state;

    for (i = 0; i < G_N_ELEMENTS(realm_states); i++) {
        const NegativeCommand *c = command(realm_states[i].fid);

        g_assert_cmpuint(strlen(realm_states[i].by_state), ==, REALM_STATES);
        for (state = 0; state < REALM_STATES; state++) {
            World *w = world_for(c);

            realm_of(w, w->x[1])->state = state;
            judge(w, c, realm_states[i].by_state[state], state);
            world_free(w);
        }
    }
}

/* Bring REC @i of REALM_RUNS, which is on, to @state. */
static void set_rec_state(World *w, unsigned i, RecState state)
{
    if (state != REC_READY) {
        world_enter(w, i);
    }
    switch (state) {
    case REC_OFF:
        world_guest_call(w, PSCI_FID_CPU_OFF, 0, 0, 0);
        break;
    case REC_PSCI:
        world_guest_call(w, PSCI_FID_CPU_ON, rec_index_to_mpidr(1), IPA_PAGE,
                         0);
        break;
    case REC_RIPAS:
        world_guest_call(w, RSI_IPA_STATE_SET, IPA_FREE, IPA_FREE + 0x1000,
                         RMI_RIPAS_RAM);
        break;
    case REC_HOST_CALL:
        world_guest_call(w, RSI_HOST_CALL, IPA_PAGE, 0, 0);
        break;
    default:
        break;
    }
    g_assert_cmpint(w->guest.world, ==, state == REC_RUNNING ? RMM_WORLD_REALM
                                                          : RMM_WORLD_HOST);
}

/* OFF, READY, RUNNING, PSCI, RIPAS, HOST_CALL (rec.h). */
static const struct {
    uint64_t fid;
    const char *by_state;
} rec_states[] = {
    { RMI_REC_DESTROY,   "..C..." },
    { RMI_REC_ENTER,     "C.CC.." },
    { RMI_PSCI_COMPLETE, "III.II" },
    { RMI_RTT_SET_RIPAS, "IICI.I" },
};

static RmmRec *the_rec(World *w, unsigned i)
{
    return g_hash_table_lookup(w->m->rmm->recs, &w->realm[REALM_RUNS].rec[i]);
}

static void rec_arguments(World *w, uint64_t fid)
{
    const FakeRealm *r = &w->realm[REALM_RUNS];
    const uint64_t ripas[] = { 0, r->rd, r->rec[0], IPA_FREE, 0x2000 };
    const uint64_t psci[] = { 0, r->rec[0], r->rec[1], PSCI_SUCCESS };
    const uint64_t enter[] = { 0, r->rec[0], FAKE_NS_RUN(0) };

    switch (fid) {
    case RMI_RTT_SET_RIPAS:
        memcpy(w->x, ripas, sizeof(ripas));
        break;
    case RMI_PSCI_COMPLETE:
        memcpy(w->x, psci, sizeof(psci));
        break;
    default:
        memcpy(w->x, enter, sizeof(enter));
        break;
    }
}

static void each_rec_state_with_each_command(void)
{
    size_t i;
    int state;

    for (i = 0; i < G_N_ELEMENTS(rec_states); i++) {
        const NegativeCommand *c = command(rec_states[i].fid);

        g_assert_cmpuint(strlen(rec_states[i].by_state), ==, REC_DESTROYED);
        for (state = 0; state < REC_DESTROYED; state++) {
            World *w = world_new();

            set_rec_state(w, 0, state);
            g_assert_cmpint(the_rec(w, 0)->state, ==, state);
            rec_arguments(w, c->fid);
            judge(w, c, rec_states[i].by_state[state], state);
            world_free(w);
        }
    }
}

/* The host may deny to turn on what is off, and nothing else (B4.3.8.2). */
static void each_rec_state_of_a_target_that_is_denied(void)
{
    const FakeRealm *r;
    int state;

    for (state = 0; state < REC_DESTROYED; state++) {
        World *w = world_new();

        world_enter(w, 0);
        world_guest_call(w, PSCI_FID_CPU_ON, rec_index_to_mpidr(2), IPA_PAGE,
                         0);
        set_rec_state(w, 2, state);
        g_assert_cmpint(the_rec(w, 2)->state, ==, state);
        r = &w->realm[REALM_RUNS];
        w->x[1] = r->rec[0];
        w->x[2] = r->rec[2];
        w->x[3] = PSCI_DENIED;
        judge(w, command(RMI_PSCI_COMPLETE), state == REC_OFF ? '.' : 'I',
              state);
        world_free(w);
    }
}

/* ---- blocks ---- */

#define PAGES RTT_ENTRIES

/* Pages that follow each other at @pa become those of the table at @ipa. */
static void assign_all(World *w, uint64_t ipa, uint64_t pa)
{
    const FakeRealm *r = &w->realm[REALM_FRESH];
    unsigned i;

    fake_tables(w->m, r, ipa);
    for (i = 0; i < PAGES; i++) {
        g_assert_cmphex(fake_call(w->m, RMI_DATA_CREATE_UNKNOWN, r->rd,
                                  pa + i * RMM_GRANULE_SIZE,
                                  ipa + i * RMM_GRANULE_SIZE),
                        ==, RMI_SUCCESS);
    }
}

static void refused_at(World *w, uint64_t fid, uint64_t x0, uint64_t x2,
                       uint64_t x3, uint64_t x4)
{
    const uint64_t x[] = { 0, w->realm[REALM_FRESH].rd, x2, x3, x4, 0 };

    memcpy(w->x, x, sizeof(x));
    refused(w, command(fid), x0, "block", 2, x2);
}

#define RTT(level) RMI_RESULT(RMI_ERROR_RTT, level)

static void each_call_that_a_block_is_in_the_way_of(void)
{
    World *w = world_new_large(3 * PAGES);
    uint64_t rd = w->realm[REALM_FRESH].rd, ipa = IPA_NO_L3;
    uint64_t page = ipa + 0x3000;

    assign_all(w, ipa, fake_granules(w->m, PAGES));
    g_assert_cmphex(fake_call(w->m, RMI_RTT_FOLD, rd, ipa, 3), ==,
                    RMI_SUCCESS);
    refused_at(w, RMI_DATA_DESTROY, RTT(2), page, 0, 0);
    g_assert_cmphex(w->host.x[2], ==, page);
    refused_at(w, RMI_DATA_CREATE_UNKNOWN, RTT(2), w->spare, page, 0);
    refused_at(w, RMI_DATA_CREATE, RTT(2), w->spare, page, FAKE_NS_SRC);
    refused_at(w, RMI_RTT_INIT_RIPAS, RTT(2), ipa, ipa + 0x200000, 0);
    refused_at(w, RMI_RTT_FOLD, RTT(2), ipa, 3, 0);
    refused_at(w, RMI_RTT_DESTROY, RTT(2), ipa, 3, 0);
    refused_at(w, RMI_RTT_DESTROY, RTT(2), 0, 2, 0);
    world_free(w);
}

static void each_reason_not_to_fold_pages(void)
{
    World *w = world_new_large(4 * PAGES);
    RmmRealm *realm = fake_realm_object(w->m, &w->realm[REALM_FRESH]);
    uint64_t aligned = fake_granules(w->m, PAGES);
    uint64_t unaligned = fake_granules(w->m, 2 * PAGES) + RMM_GRANULE_SIZE;
    uint64_t last = IPA_NO_L3 + (PAGES - 1) * RMM_GRANULE_SIZE;
    int state;

    assign_all(w, IPA_EMPTY_L3, unaligned);
    refused_at(w, RMI_RTT_FOLD, RTT(3), IPA_EMPTY_L3, 3, 0);
    assign_all(w, IPA_NO_L3, aligned);
    for (state = 0; state < REALM_STATES; state++) {
        if (!realm_may_fold_pages(state)) {     /* a session needs pages */
            realm->state = state;
            refused_at(w, RMI_RTT_FOLD, RTT(3), IPA_NO_L3, 3, 0);
        }
    }
    realm->state = REALM_NEW;
    g_assert_cmphex(fake_call(w->m, RMI_DATA_DESTROY, realm->rd, last), ==,
                    RMI_SUCCESS);
    refused_at(w, RMI_RTT_FOLD, RTT(3), IPA_NO_L3, 3, 0);
    fake_data_unknown(w->m, &w->realm[REALM_FRESH], last, 1);
    refused_at(w, RMI_RTT_FOLD, RTT(3), IPA_NO_L3, 3, 0);
    world_free(w);
}

/* ---- numbers ---- */

static void unknown(World *w, CommandWorld world, uint64_t fid)
{
    const NegativeCommand c = { .name = "unknown", .fid = fid,
                                .world = world };

    refused(w, &c, SMCCC_NOT_SUPPORTED, "number", 0, fid);
}

static bool is_rmi(uint64_t number)
{
    return number <= 0x19 && number != 0x06 && number != 0x10 &&
           number != 0x13;
}

static void each_number_that_rmi_does_not_use(void)
{
    static const uint64_t other[] = {
        0, 1, UINT64_MAX, SMCCC_FID_VERSION, SMCCC_FID_ARCH_FEATURES,
        PSCI_FID_VERSION, PSCI_FID_CPU_ON, PSCI_FID_SYSTEM_OFF,
        0x84000150, 0x44000150, 0xc3000150, 0xc5000150,
    };
    World *w = world_new();
    uint64_t n;

    for (n = 0; n < 0x100; n++) {       /* RSI's as well */
        if (!is_rmi(n)) {
            unknown(w, BY_HOST, RMI_FID(n));
        }
    }
    for (n = 1; n <= 0x50; n++) {
        unknown(w, BY_HOST, RMI_VERSION - n);
    }
    for (n = 0; n < G_N_ELEMENTS(other); n++) {
        unknown(w, BY_HOST, other[n]);
    }
    for (n = RMM_MIG_FID_FIRST + MIG_NUM_CALLS; n <= RMM_MIG_FID_LAST + 1;
         n++) {
        unknown(w, BY_HOST, n);
    }
    w->m->rmm->platform.migration = false;
    for (n = RMM_MIG_FID_FIRST; n <= RMM_MIG_FID_LAST; n++) {
        unknown(w, BY_HOST, n);
    }
    world_free(w);
}

static bool is_psci(uint64_t number)
{
    return number <= 4 || (number >= 8 && number <= 10);
}

static bool is_psci_64(uint64_t number)
{
    return number == 1 || number == 3 || number == 4;
}

static void each_number_that_a_realm_cannot_call(void)
{
    static const uint64_t other[] = {
        0, 1, UINT64_MAX, 0x80000002, 0x80008000, 0x80003fff,
        0xc0000000, 0xc0000001, 0x84000190, 0x44000190, 0xc3000190,
    };
    World *w = world_new();
    uint64_t n;

    world_enter(w, 0);
    for (n = 0; n < 0x40; n++) {        /* all of RMI */
        unknown(w, BY_REALM, RMI_FID(n));
    }
    for (n = 0x0a; n < 0x70; n++) {
        unknown(w, BY_REALM, RSI_FID(n));
    }
    for (n = 0; n < 0x40; n++) {
        if (!is_psci(n)) {
            unknown(w, BY_REALM, PSCI_FID_32(n));
        }
        if (!is_psci_64(n)) {
            unknown(w, BY_REALM, PSCI_FID_64(n));
        }
    }
    for (n = RMM_MIG_FID_FIRST; n <= RMM_MIG_FID_LAST; n++) {
        if (n != RSI_MIGRATION_HISTORY) {
            unknown(w, BY_REALM, n);
        }
    }
    for (n = 0; n < G_N_ELEMENTS(other); n++) {
        unknown(w, BY_REALM, other[n]);
    }
    world_free(w);
}

/* SMCCC: the function identifier is W0. */
static void what_stands_above_a_number_does_not_matter(void)
{
    const NegativeCommand *c = command(RMI_DATA_CREATE);
    const NegativeCommand *rsi = command(RSI_REALM_CONFIG);
    World *w = world_for(c);

    g_assert_cmphex(world_issue(w, c, 0xdeadbeefull << 32), ==, RMI_SUCCESS);
    world_free(w);
    w = world_for(rsi);
    g_assert_cmphex(world_issue(w, rsi, UINT64_MAX << 32), ==, RSI_SUCCESS);
    world_guest_call(w, UINT64_MAX << 32 | PSCI_FID_VERSION, 0, 0, 0);
    g_assert_cmphex(w->guest.x[0], ==, PSCI_VERSION_1_1);
    unknown(w, BY_REALM, 1ull << 32 | RMI_VERSION);
    world_free(w);
}

static void say_how_many(void)
{
    g_test_message("%u refusals, each with and without the SVE hint",
                   refusals);
    g_assert_cmpuint(refusals, >, 0);
}

#define TEST(name) g_test_add_func("/rmm/negative-cross/" #name, name)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    TEST(each_granule_argument_in_each_state);
    TEST(each_address_that_is_none);
    TEST(each_ipa_out_of_bounds);
    TEST(each_level_out_of_bounds);
    TEST(each_range_that_wraps_or_is_empty);
    g_test_add_data_func("/rmm/negative-cross/each_bit_of_a_host_descriptor",
                         GINT_TO_POINTER(false),
                         each_bit_of_a_host_descriptor);
    g_test_add_data_func("/rmm/negative-cross/"
                         "each_bit_of_a_host_descriptor_with_lpa2",
                         GINT_TO_POINTER(true),
                         each_bit_of_a_host_descriptor);
    TEST(each_reserved_flag_of_data_create);
    TEST(each_realm_state_with_each_command);
    TEST(each_rec_state_with_each_command);
    TEST(each_rec_state_of_a_target_that_is_denied);
    TEST(each_call_that_a_block_is_in_the_way_of);
    TEST(each_reason_not_to_fold_pages);
    TEST(each_number_that_rmi_does_not_use);
    TEST(each_number_that_a_realm_cannot_call);
    TEST(what_stands_above_a_number_does_not_matter);
    TEST(say_how_many);
    return g_test_run();
}
