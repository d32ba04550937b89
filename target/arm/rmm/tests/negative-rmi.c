/*
 * RMI calls that must be refused (see negative.h)
 *
 * Where TF-RMM and the text of RMM 1.0 differ, the row has the text's answer
 * and a comment names the rule.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include "negative-rows.h"

/* ---- pieces ---- */

void piece_set(World *w, uint64_t reg, uint64_t value)
{
    w->x[reg] = value;
}

void piece_add(World *w, uint64_t reg, uint64_t value)
{
    w->x[reg] += value;
}

void piece_state(World *w, uint64_t reg, uint64_t state)
{
    w->x[reg] = w->granule[state];
}

void piece_rd(World *w, uint64_t reg, uint64_t realm)
{
    w->x[reg] = w->realm[realm].rd;
}

static uint64_t *param_at(World *w, uint64_t offset)
{
    return (uint64_t *)((char *)fake_ns(w->m, FAKE_NS_PARAMS) + offset);
}

void piece_param(World *w, uint64_t offset, uint64_t value)
{
    *param_at(w, offset) = value;
}

/* Good parameters, but between two pages. */
static void params_misaligned(World *w, uint64_t reg, uint64_t b)
{
    w->x[reg] = FAKE_NS_FREE + 0x800;
    memcpy((char *)fake_ns(w->m, FAKE_NS_FREE) + 0x800,
           fake_ns(w->m, FAKE_NS_PARAMS), RMM_GRANULE_SIZE);
}

static void param_add(World *w, uint64_t offset, uint64_t value)
{
    *param_at(w, offset) += value;
}

/* A granule in @state as the auxiliary granule with number @n. */
static void aux_state(World *w, uint64_t n, uint64_t state)
{
    *param_at(w, 0x808 + 8 * n) = w->granule[state];
}

/* REC @n of a Realm of the world. */
static void rec(World *w, uint64_t reg, uint64_t of)
{
    w->x[reg] = w->realm[of >> 8].rec[of & 0xff];
}

static void run_word(World *w, uint64_t offset, uint64_t value)
{
    memcpy((char *)fake_run(w->m, 0) + offset, &value, sizeof(value));
}

static void run_rec(World *w, uint64_t i, uint64_t b)
{
    world_enter(w, i);
}

/* REC 0 waits for RMI_PSCI_COMPLETE of @fid for REC @target. */
static void pending(World *w, uint64_t fid, uint64_t target)
{
    world_enter(w, 0);
    world_guest_call(w, fid, rec_index_to_mpidr(target),
                     fid == PSCI_FID_CPU_ON ? IPA_PAGE : 0, 0);
    g_assert_cmpint(w->guest.world, ==, RMM_WORLD_HOST);
}

/* REC 0 asked for [@base, @base + @size), and so does the host. */
static void asked(World *w, uint64_t base, uint64_t size)
{
    world_ask_ripas(w, base, size);
    w->x[3] = base;
    w->x[4] = base + size;
}

/* The same for a page that the host took away, so it is DESTROYED. */
static void asked_destroyed(World *w, uint64_t a, uint64_t b)
{
    g_assert_cmphex(fake_call(w->m, RMI_DATA_DESTROY,
                              w->realm[REALM_RUNS].rd, IPA_PAGE),
                    ==, RMI_SUCCESS);
    asked(w, IPA_PAGE, 0x1000);
}

static void unaligned_tables(World *w, uint64_t a, uint64_t b)
{
    piece_param(w, 0x808, fake_granules(w->m, 8) + RMM_GRANULE_SIZE);
}

/* @n tables, all DELEGATED, for a width and a start level. */
static void tables(World *w, uint64_t width_and_level, uint64_t n)
{
    piece_param(w, 0x008, width_and_level >> 8);
    piece_param(w, 0x810, width_and_level & 0xff);
    piece_param(w, 0x808, fake_granules(w->m, n));
    piece_param(w, 0x818, n);
}

static void table_in_use(World *w, uint64_t n, uint64_t b)
{
    g_assert_cmphex(fake_call(w->m, RMI_DATA_CREATE_UNKNOWN,
                              w->realm[REALM_FRESH].rd,
                              *param_at(w, 0x808) + n * RMM_GRANULE_SIZE,
                              IPA_FREE), ==, RMI_SUCCESS);
}

static void table_undelegated(World *w, uint64_t n, uint64_t b)
{
    g_assert_cmphex(fake_call(w->m, RMI_GRANULE_UNDELEGATE,
                              *param_at(w, 0x808) + n * RMM_GRANULE_SIZE),
                    ==, RMI_SUCCESS);
}

/* X1 is one of the start tables. */
static void rd_is_table(World *w, uint64_t n, uint64_t b)
{
    w->x[1] = *param_at(w, 0x808) + n * RMM_GRANULE_SIZE;
}

static void vmid_in_use(World *w, uint64_t a, uint64_t b)
{
    piece_param(w, 0x800, fake_realm_object(w->m,
                                            &w->realm[REALM_FRESH])->vmid);
}

static void vmids_of_8_bits(World *w, uint64_t a, uint64_t b)
{
    w->m->rmm->platform.vmid_bits = 8;
}

static void no_sha_512(World *w, uint64_t a, uint64_t b)
{
    w->m->rmm->platform.sha512 = false;
}

static void no_extensions(World *w, uint64_t a, uint64_t b)
{
    w->m->rmm->platform.mte = w->m->rmm->platform.migration = false;
}

/* Level 0 needs 44 (Arm ARM, SL0). */
static void pa_of_40_bits(World *w, uint64_t a, uint64_t b)
{
    w->m->rmm->platform.ipa_bits = 40;
}

static void no_pmu(World *w, uint64_t a, uint64_t b)
{
    w->m->rmm->platform.pmu = false;
}

static void sve_of_256_bits(World *w, uint64_t a, uint64_t b)
{
    w->m->rmm->platform.sve = true;
    w->m->rmm->platform.sve_vl = 1;
}

static void empty_gets_rec(World *w, uint64_t a, uint64_t b)
{
    fake_rec(w->m, &w->realm[REALM_EMPTY], 0, 0);
}

static void empty_gets_table(World *w, uint64_t a, uint64_t b)
{
    fake_tables(w->m, &w->realm[REALM_EMPTY], IPA_NS);
}

static void as_many_recs_as_can_be(World *w, uint64_t a, uint64_t b)
{
    fake_realm_object(w->m, &w->realm[REALM_FRESH])->num_recs = RMM_MAX_RECS;
    piece_param(w, 0x100, rec_index_to_mpidr(RMM_MAX_RECS));
}

/* X1 is a Realm of 32 bits with start level 2. */
static void starts_at_level_2(World *w, uint64_t a, uint64_t b)
{
    FakeRealm r;

    fake_realm_params(w->m, &r, 32, 2);
    g_assert_cmphex(fake_realm_try(w->m, &r), ==, RMI_SUCCESS);
    w->x[1] = r.rd;
}

/* Mappings of the host in every entry of the table of X2 and X3. */
static void map_all(World *w, uint64_t desc, uint64_t level)
{
    uint64_t bytes = rtt_entry_bytes(level);
    unsigned i;

    for (i = 0; i < RTT_ENTRIES; i++) {
        fake_call(w->m, RMI_RTT_UNMAP_UNPROTECTED, w->x[1],
                  w->x[2] + i * bytes, level);
        g_assert_cmphex(fake_call(w->m, RMI_RTT_MAP_UNPROTECTED, w->x[1],
                                  w->x[2] + i * bytes, level,
                                  desc + i * bytes), ==, RMI_SUCCESS);
    }
}

/* The last entry of the table of X2, at level 3, says @desc instead. */
static void map_last(World *w, uint64_t desc, uint64_t b)
{
    uint64_t ipa = w->x[2] + 511 * RMM_GRANULE_SIZE;

    fake_call(w->m, RMI_RTT_UNMAP_UNPROTECTED, w->x[1], ipa, 3);
    if (desc) {
        g_assert_cmphex(fake_call(w->m, RMI_RTT_MAP_UNPROTECTED, w->x[1],
                                  ipa, 3, desc), ==, RMI_SUCCESS);
    }
}

static void table_at_level_1(World *w, uint64_t ipa, uint64_t b)
{
    w->x[2] = ipa;
    w->x[3] = 1;
    g_assert_cmphex(fake_call(w->m, RMI_RTT_CREATE, w->x[1],
                              fake_granule(w->m), ipa, 1), ==, RMI_SUCCESS);
}

static void last_page_is_ram(World *w, uint64_t a, uint64_t b)
{
    uint64_t ipa = w->x[2] + 511 * RMM_GRANULE_SIZE;

    fake_ram(w->m, &w->realm[REALM_FRESH], ipa, ipa + RMM_GRANULE_SIZE);
}

static void last_page_is_assigned(World *w, uint64_t a, uint64_t b)
{
    fake_data_unknown(w->m, &w->realm[REALM_FRESH],
                      w->x[2] + 511 * RMM_GRANULE_SIZE, 1);
}

#define OF(realm, n)        (REALM_##realm << 8 | (n))
#define FRESH_RD            (w->realm[REALM_FRESH].rd)

static void args(World *w, uint64_t x1, uint64_t x2, uint64_t x3,
                 uint64_t x4, uint64_t x5)
{
    const uint64_t x[] = { 0, x1, x2, x3, x4, x5 };

    memcpy(w->x, x, sizeof(x));
}

/* ---- version ---- */

static void rmi_version_base(World *w)
{
    args(w, RMM_ABI_VERSION_1_0, 0, 0, 0, 0);
}

static const NegativeRow rmi_version_rows[] = {
    ROW("+req", IN, SET(1, 0)),
    ROW("+req", IN, SET(1, 0xffff)),
    ROW("+req", IN, SET(1, 0x10001)),
    ROW("+req", IN, SET(1, 0x20000)),
    ROW("+req", IN, SET(1, 0x80010000)),
    ROW("+req", IN, SET(1, 0x100010000)),
    ROW("+req", IN, SET(1, UINT64_MAX)),
};

/* ---- granules ---- */

static void granule_delegate_base(World *w)
{
    args(w, w->granule[GRANULE_NS], 0, 0, 0, 0);
}

/* To the model, memory that EL3 would not give is no memory (rmm.h). */
static const NegativeRow granule_delegate_rows[] = {
    ROWS_ALIGN("gran", 1), ROWS_BOUND("gran", 1),
    ROW("gran_state", IN, STATE(1, DELEGATED)),
    ROW("gran_state", IN, STATE(1, RD)),
    ROW("gran_state", IN, STATE(1, REC)),
    ROW("gran_state", IN, STATE(1, DATA)),
    ROW("gran_state", IN, STATE(1, RTT)),
    ROW("+gran_state", IN, STATE(1, REC_AUX)),
    ROW("gran_gpt", IN, SET(1, PA_SECURE)),
    ROW("gran_gpt", IN, SET(1, PA_ROOT)),
    ROW("+gran_bound", IN, SET(1, PA_HIGH)),
};

static void granule_undelegate_base(World *w)
{
    args(w, w->spare, 0, 0, 0, 0);
}

static const NegativeRow granule_undelegate_rows[] = {
    ROWS_FREE("gran", "gran_state", 1),
};

/* ---- data ---- */

static void data_create_base(World *w)
{
    args(w, FRESH_RD, w->spare, IPA_FREE, FAKE_NS_SRC, RMI_DATA_MEASURE);
}

static const NegativeRow data_create_rows[] = {
    ROWS_NS("src", 4),
    ROWS_FREE("data", "data_state", 2),
    ROW("data_bound2", IN, SET(2, PA_HIGH)),
    ROWS_RD(1),
    ROWS_ALIGN("ipa", 3),
    ROW("ipa_bound", IN, SET(3, IPA_NS_FREE)),
    ROW("ipa_bound", IN, SET(3, IPA_END)),
    ROW("realm_state", REALM(0), RD(1, RUNS)),
    ROW("realm_state", REALM(0), RD(1, OFF)),
    ROW("realm_state_null", IN, RD(1, GONE)),
    ROW("rtt_walk", RTT(2), SET(3, IPA_NO_L3)),
    ROW("+rtt_walk", RTT(1), SET(3, IPA_NO_L2)),
    ROW("+rtt_walk", RTT(0), SET(3, IPA_NO_L1)),
    ROW("rtte_state", RTT(3), SET(3, IPA_PAGE)),
    ROW("ipa_bound_compare_rtt_walk", IN, SET(3, IPA_NS_NO_L3)),
    ROW("ipa_bound_compare_rtte_state", IN, SET(3, IPA_NS_PAGE)),
    /* TF-RMM; the text of B4.3.2 has no condition on reserved flags. */
    ROW("+flags", IN, SET(5, 2)),
    ROW("+flags", IN, SET(5, 1ull << 63)),
    ROW("+alias", IN, RD(2, FRESH)),
    ROW("+rtt_walk_compare_data_state", IN, SET(3, IPA_NO_L3), STATE(2, NS)),
    ROW("+src_pas_compare_rtte_state", IN, SET(3, IPA_PAGE),
        STATE(4, DELEGATED)),
};

static void data_create_unknown_base(World *w)
{
    args(w, FRESH_RD, w->spare, IPA_FREE, 0, 0);
}

static const NegativeRow data_create_unknown_rows[] = {
    ROWS_FREE("data", "data_state", 2),
    ROW("data_bound2", IN, SET(2, PA_HIGH)),
    ROWS_RD(1),
    ROWS_ALIGN("ipa", 3),
    ROW("ipa_bound", IN, SET(3, IPA_NS_FREE)),
    ROW("ipa_bound", IN, SET(3, IPA_END)),
    ROW("rtt_walk", RTT(2), SET(3, IPA_NO_L3)),
    ROW("+rtt_walk", RTT(1), SET(3, IPA_NO_L2)),
    ROW("+rtt_walk", RTT(0), SET(3, IPA_NO_L1)),
    ROW("rtte_state", RTT(3), SET(3, IPA_PAGE)),
    ROW("ipa_bound_compare_rtt_walk", IN, SET(3, IPA_NS_NO_L3)),
    ROW("ipa_bound_compare_rtte_state", IN, SET(3, IPA_NS_PAGE)),
    ROW("+rd_state", IN, RD(1, GONE)),
    ROW("+alias", IN, RD(2, FRESH)),
};

static void data_destroy_base(World *w)
{
    args(w, FRESH_RD, IPA_PAGE, 0, 0, 0);
}

static const NegativeRow data_destroy_rows[] = {
    ROWS_RD(1),
    ROWS_ALIGN("ipa", 2),
    ROW("ipa_bound", IN, SET(2, IPA_NS_PAGE)),
    ROW("ipa_bound", IN, SET(2, IPA_END)),
    ROW_TOP("rtt_walk", RTT(2), IPA_EMPTY_L3, SET(2, IPA_NO_L3)),
    ROW_TOP("+rtt_walk", RTT(0), IPA_NS, SET(2, IPA_NO_L1)),
    ROW_TOP("rtte_state", RTT(3), IPA_NO_L3, SET(2, IPA_FREE)),
    ROW("ipa_bound_compare_rtt_walk", IN, SET(2, IPA_NS_NO_L3)),
    ROW("ipa_bound_compare_rtte_state", IN, SET(2, IPA_NS_FREE)),
    ROW("+rd_state", IN, RD(1, GONE)),
};

/* ---- Realms ---- */

static void realm_create_base(World *w)
{
    FakeRealm r;

    fake_realm_params(w->m, &r, 41, 1);         /* four start tables */
    args(w, r.rd, FAKE_NS_PARAMS, 0, 0, 0);
}

static const NegativeRow realm_create_rows[] = {
    ROW("params_align", IN, { params_misaligned, 2 }),
    ROWS_BOUND("params", 2),
    ROWS_PAS("params_pas", 2),
    ROW("params_valid", IN, PARAM(0x030, 2)),   /* SHA-384: RMM 2.0 */
    ROW("params_valid", IN, PARAM(0x030, 0xff)),
    ROW_WITHOUT_LPA2("params_supp", IN, PARAM(0x000, RMI_REALM_LPA2)),
    ROW("params_supp", IN, PARAM(0x000, RMI_REALM_SVE)),
    ROW("params_supp", IN, { tables, 49 << 8 | 0, 2 }),
    ROW("params_supp", IN, PARAM(0x018, 6)),
    ROW("params_supp", IN, PARAM(0x020, 4)),
    ROW("params_supp", IN, PARAM(0x000, RMI_REALM_PMU), PARAM(0x028, 7)),
    ROW("params_supp", IN, PARAM(0x030, 1), { no_sha_512 }),
    ROW("+params_supp", IN, { tables, 31 << 8 | 2, 2 }),
    ROW("+params_supp", IN, PARAM(0x008, 0)),
    ROW("+params_supp", IN, PARAM(0x008, 0xff)),
    ROW("+params_supp", IN, PARAM(0x018, 0)),   /* reserved */
    ROW("+params_supp", IN, PARAM(0x018, 0xff)),
    ROW("+params_supp", IN, PARAM(0x020, 0)),
    ROW("+params_supp", IN, PARAM(0x000, RMI_REALM_PMU), PARAM(0x028, 0)),
    ROW("+params_supp", IN, PARAM(0x000, RMI_REALM_PMU), PARAM(0x028, 1),
        { no_pmu }),
    ROW("+params_supp", IN, PARAM(0x000, RMI_REALM_SVE), PARAM(0x010, 2),
        { sve_of_256_bits }),
    ROW("+params_supp", IN, PARAM(0x3f8, RMI_REALM_EXT_MTE),
        { no_extensions }),
    ROW("+params_supp", IN, PARAM(0x3f8, RMI_REALM_EXT_MIGRATION),
        { no_extensions }),
    ROW("+params_supp", IN, PARAM(0x3f8, 1ull << 2)),
    ROW("+params_supp", IN, PARAM(0x3f8, 1ull << 63)),
    ROW("+rtt_num_level", IN, { pa_of_40_bits }, { tables, 40 << 8 | 0, 1 }),
    ROW("alias", IN, { rd_is_table, 0 }),
    ROW("+alias", IN, { rd_is_table, 3 }),
    ROWS_FREE("rd", "rd_state", 1),
    ROW("rtt_align", IN, { param_add, 0x808, 0x800 }),
    /* The text of B4.3.9.2; TF-RMM takes tables that are aligned to 4 KiB. */
    ROW("rtt_align", IN, { unaligned_tables }),
    ROW("rtt_num_level", IN, PARAM(0x818, 2)),
    ROW("+rtt_num_level", IN, PARAM(0x818, 0)),
    ROW("+rtt_num_level", IN, PARAM(0x818, UINT32_MAX)),
    ROW("+rtt_num_level", IN, { tables, 32 << 8 | 0, 1 }),
    ROW("+rtt_num_level", IN, { tables, 39 << 8 | 0, 1 }),
    ROW("+rtt_num_level", IN, { tables, 44 << 8 | 1, 16 }),
    ROW("+rtt_num_level", IN, { tables, 44 << 8 | 1, 32 }),
    ROW("+rtt_num_level", IN, { tables, 35 << 8 | 2, 32 }),
    ROW("+rtt_num_level", IN, { tables, 32 << 8 | 3, 16 }),
    ROW("+rtt_num_level", IN, PARAM(0x810, 2)),
    ROW("+rtt_num_level", IN, PARAM(0x810, UINT64_MAX)),        /* level -1 */
    ROW("+rtt_num_level", IN, PARAM(0x810, 1ull << 63)),
    ROW("+rtt_num_level", IN, PARAM(0x810, INT64_MAX)),
    ROW("rtt_state", IN, { table_undelegated, 2 }),
    ROW("rtt_state", IN, { table_in_use, 1 }),
    ROW("+rtt_state", IN, { table_in_use, 3 }),
    ROW("+rtt_bound", IN, PARAM(0x808, PA_DEVICE & ~0x3fffull)),
    ROW("+rtt_bound", IN, PARAM(0x808, UINT64_MAX & ~0x3fffull)),
    ROW("vmid_valid", IN, { vmid_in_use }),
    ROW("vmid_valid", IN, { vmids_of_8_bits }, PARAM(0x800, 0x100)),
};

static void realm_activate_base(World *w)
{
    args(w, FRESH_RD, 0, 0, 0, 0);
}

static const NegativeRow realm_activate_rows[] = {
    ROWS_RD(1),
    ROW("realm_state", REALM(0), RD(1, RUNS)),
    ROW("+realm_state", REALM(0), RD(1, OFF)),
    ROW("realm_state_null", IN, RD(1, GONE)),
};

static void realm_destroy_base(World *w)
{
    args(w, w->realm[REALM_EMPTY].rd, 0, 0, 0, 0);
}

static const NegativeRow realm_destroy_rows[] = {
    ROWS_RD(1),
    ROW("realm_live", REALM(0), RD(1, FRESH)),
    ROW("+realm_live", REALM(0), { empty_gets_rec }),
    ROW("+realm_live", REALM(0), { empty_gets_table }),
    ROW("+realm_live", REALM(0), RD(1, OFF)),
    ROW("+rd_state", IN, RD(1, GONE)),
};

/* ---- RECs ---- */

static void rec_aux_count_base(World *w)
{
    args(w, FRESH_RD, 0, 0, 0, 0);
}

static const NegativeRow rec_aux_count_rows[] = {
    ROWS_RD(1),
    ROW("+rd_state", IN, RD(1, GONE)),
};

static void rec_create_base(World *w)
{
    args(w, FRESH_RD, w->spare, FAKE_NS_PARAMS, 0, 0);
    memset(fake_ns(w->m, FAKE_NS_PARAMS), 0, RMM_GRANULE_SIZE);
    piece_param(w, 0x000, RMI_REC_RUNNABLE);
    piece_param(w, 0x100, rec_index_to_mpidr(1));
    piece_param(w, 0x800, 2);
    piece_param(w, 0x808, fake_granule(w->m));
    piece_param(w, 0x810, fake_granule(w->m));
}

static void aux_is(World *w, uint64_t n, uint64_t reg_or_aux)
{
    *param_at(w, 0x808 + 8 * n) = reg_or_aux ? w->x[reg_or_aux]
                                             : *param_at(w, 0x808);
}

#define AUX(n, state) { aux_state, n, GRANULE_##state }

/* Each auxiliary granule counts: TF-RMM has a fault with the second. */
static const NegativeRow rec_create_rows[] = {
    ROW("params_align", IN, { params_misaligned, 3 }),
    ROWS_BOUND("params", 3),
    ROWS_PAS("params_pas", 3),
    ROWS_FREE("rec", "rec_state", 2),
    ROWS_RD(1),
    ROW("realm_state", REALM(0), RD(1, RUNS)),
    ROW("realm_state", REALM(0), RD(1, OFF)),
    ROW("mpidr_index", IN, PARAM(0x100, 2)),
    ROW("+mpidr_index", IN, PARAM(0x100, 0)),
    ROW("+mpidr_index", IN, PARAM(0x100, 0x11)),        /* Aff0 has 4 bits */
    ROW("+mpidr_index", IN, PARAM(0x100, 1ull << 32 | 1)),
    ROW("+mpidr_index", IN, PARAM(0x100, UINT64_MAX)),
    ROW("num_aux", IN, PARAM(0x800, 1)),
    ROW("+num_aux", IN, PARAM(0x800, 0)),
    ROW("+num_aux", IN, PARAM(0x800, 3)),
    ROW("+num_aux", IN, PARAM(0x800, 17)),
    ROW("+num_aux", IN, PARAM(0x800, UINT64_MAX)),
    ROW("aux_align", IN, { param_add, 0x808, 0x800 }),
    ROW("+aux_align", IN, { param_add, 0x810, 0x800 }),
    ROW("+aux_bound", IN, PARAM(0x808, PA_DEVICE)),
    ROW("+aux_bound", IN, PARAM(0x810, UINT64_MAX)),
    ROW("aux_alias", IN, { aux_is, 1, 0 }),
    ROW("+aux_alias", IN, { aux_is, 0, 2 }),            /* the REC */
    ROW("+aux_alias", IN, { aux_is, 1, 1 }),            /* the RD */
    ROW("aux_state", IN, AUX(0, NS)),
    ROW("aux_state", IN, AUX(0, RD)),
    ROW("aux_state", IN, AUX(0, REC)),
    ROW("aux_state", IN, AUX(0, DATA)),
    ROW("aux_state", IN, AUX(0, RTT)),
    ROW("+aux_state", IN, AUX(0, REC_AUX)),
    ROW("+aux_state", IN, AUX(1, NS)),
    ROW("+aux_state", IN, AUX(1, RD)),
    ROW("+aux_state", IN, AUX(1, REC)),
    ROW("+aux_state", IN, AUX(1, REC_AUX)),
    ROW("+aux_state", IN, AUX(1, DATA)),
    ROW("+aux_state", IN, AUX(1, RTT)),
    ROW("+num_recs", REALM(0), { as_many_recs_as_can_be }),
    ROW("+rd_state", IN, RD(1, GONE)),
    ROW("+alias", IN, RD(2, FRESH)),
};

static void rec_destroy_base(World *w)
{
    rec(w, 1, OF(FRESH, 0));
}

static const NegativeRow rec_destroy_rows[] = {
    ROWS_REC("rec", "rec_gran_state", 1),
    ROW("+rec_gran_state", IN, STATE(1, REC_AUX)),
    ROW("+rec_state", REC, { rec, 1, OF(RUNS, 0) }, { run_rec, 0 }),
};

static void rec_enter_base(World *w)
{
    args(w, w->realm[REALM_RUNS].rec[0], FAKE_NS_RUN(0), 0, 0, 0);
}

#define HCR_BAD { run_word, 0x300, 1ull << 31 }
#define LR(n, value) { run_word, 0x308 + 8 * (n), value }
#define LR_PENDING  (1ull << 62)

static const NegativeRow rec_enter_rows[] = {
    ROWS_NS("run", 2),
    ROWS_REC("rec", "rec_gran_state", 1),
    ROW("rec_gran_state", IN, STATE(1, REC_AUX)),
    ROW("realm_new", REALM(0), { rec, 1, OF(FRESH, 0) }),
    ROW("rec_mmio", REC, { run_word, 0, RMI_ENTER_EMUL_MMIO }),
    ROW("rec_psci", REC, { pending, PSCI_FID_CPU_ON, 1 }),
    ROW("+rec_psci", REC, { pending, PSCI_FID_AFFINITY_INFO, 1 }),
    ROW("system_off", REALM(1), { rec, 1, OF(OFF, 0) }),
    ROW("rec_runnable", REC, { rec, 1, OF(RUNS, 1) }),
    ROW("rec_giv3", REC, HCR_BAD),
    ROW("rec_align_compare_rec_gicv3", IN, ADD(1, 0x800), HCR_BAD),
    ROW("rec_bound_compare_rec_gicv3", IN, SET(1, PA_DEVICE), HCR_BAD),
    ROW("rec_gran_state_compare_rec_gicv3", IN, STATE(1, DELEGATED),
        HCR_BAD),
    ROW("run_pas_compare_rec_runnable", IN, { rec, 1, OF(RUNS, 1) },
        STATE(2, DELEGATED)),
    ROW("run_pas_compare_realm_new", IN, { rec, 1, OF(FRESH, 0) },
        STATE(2, DELEGATED)),
    ROW("run_pas_compare_system_off", IN, { rec, 1, OF(OFF, 0) },
        STATE(2, DELEGATED)),
    ROW("run_bound_compare_rec_runnable", IN, { rec, 1, OF(RUNS, 1) },
        SET(2, PA_DEVICE)),
    ROW("run_bound_compare_realm_new", IN, { rec, 1, OF(FRESH, 0) },
        SET(2, PA_DEVICE)),
    ROW("run_bound_compare_system_off", IN, { rec, 1, OF(OFF, 0) },
        SET(2, PA_DEVICE)),
    ROW("+rec_state", REC, { run_rec, 0 }),
    ROW("+run_align_compare_rec_state", IN, { run_rec, 0 }, ADD(2, 8)),
    /* TF-RMM; the text of B4.3.14.2 has no condition on INJECT_SEA. */
    ROW("+inject_sea", REC, { run_word, 0, RMI_ENTER_INJECT_SEA }),
    /* A4.5.1.1 */
    ROW("+rec_gicv3", REC, LR(0, LR_PENDING | 1ull << 61 | 32)),
    ROW("+rec_gicv3", REC, LR(0, LR_PENDING | 1020)),
    ROW("+rec_gicv3", REC, LR(3, LR_PENDING | 8191)),
    ROW("+rec_gicv3", REC, LR(1, LR_PENDING | 0x10000)),
    ROW("+rec_gicv3", REC, LR(0, LR_PENDING | 32), LR(3, LR_PENDING | 32)),
    ROW("+rec_gicv3", REC, LR(0, LR_PENDING | 1ull << 48 | 32)),
    ROW("+rec_gicv3", REC, LR(0, LR_PENDING | 1ull << 32 | 32)),
    ROW("+rec_gicv3", REC, LR(0, LR_PENDING | 1ull << 45 | 32)),
    ROW("+rec_gicv3", REC, LR(2, 1ull << 63 | 1ull << 56 | 32)),
    ROW("+rec_gicv3", REC, { run_word, 0x300, 1 }),     /* En is the RMM's */
    ROW("+rec_gicv3", REC, { run_word, 0x300, 1ull << 63 }),
};

/* CPU_ON of REC 1, which is off. */
static void psci_complete_base(World *w)
{
    const FakeRealm *r = &w->realm[REALM_RUNS];

    pending(w, PSCI_FID_CPU_ON, 1);
    args(w, r->rec[0], r->rec[1], PSCI_SUCCESS, 0, 0);
}

/* Instead, what @fid and @target say. */
static void pending_instead(World *w, uint64_t fid, uint64_t target)
{
    const FakeRealm *r = &w->realm[REALM_RUNS];

    g_assert_cmphex(fake_call(w->m, RMI_PSCI_COMPLETE, r->rec[0], r->rec[1],
                              PSCI_DENIED), ==, RMI_SUCCESS);
    pending(w, fid, target);
    w->x[2] = r->rec[target];
}

static const NegativeRow psci_complete_rows[] = {
    ROW("alias", IN, { rec, 2, OF(RUNS, 0) }),
    ROWS_REC("calling", "calling_state", 1),
    ROW("+calling_state", IN, STATE(1, REC_AUX)),
    ROWS_REC("target", "target_state", 2),
    ROW("+target_state", IN, STATE(2, REC_AUX)),
    /* X1 of REC 2 is the MPIDR of REC 0, but it did not ask. */
    ROW("pending", IN, { rec, 1, OF(RUNS, 2) }, { rec, 2, OF(RUNS, 0) }),
    ROW("+pending", IN, { rec, 1, OF(OFF, 0) }, { rec, 2, OF(OFF, 1) }),
    ROW("owner", IN, { rec, 2, OF(OFF, 1) }),   /* the same MPIDR */
    ROW("target", IN, { rec, 2, OF(RUNS, 2) }),
    ROW("status", IN, SET(3, PSCI_INVALID_PARAMETERS)),
    ROW("+status", IN, SET(3, PSCI_NOT_SUPPORTED)),
    ROW("+status", IN, SET(3, PSCI_ALREADY_ON)),
    ROW("+status", IN, SET(3, PSCI_INVALID_ADDRESS)),
    ROW("+status", IN, SET(3, 1)),
    ROW("+status", IN, SET(3, (uint32_t)PSCI_DENIED)),
    /* B4.3.8.2; TF-RMM refuses as well, but forgets the request. */
    ROW("+status", IN, { pending_instead, PSCI_FID_CPU_ON, 2 },
        SET(3, PSCI_DENIED)),
    ROW("+status", IN, { pending_instead, PSCI_FID_AFFINITY_INFO, 1 },
        SET(3, PSCI_DENIED)),
};

/* ---- tables ---- */

static void rtt_create_base(World *w)
{
    args(w, FRESH_RD, w->spare, IPA_NO_L3, 3, 0);
}

static const NegativeRow rtt_create_rows[] = {
    ROWS_RD(1),
    ROW("level_bound", IN, SET(4, 0)),
    ROW("level_bound", IN, SET(4, 4)),
    ROWS_ALIGN("ipa", 3),
    ROW("+ipa_align", IN, ADD(3, 0x1000)),
    ROW("+ipa_align", IN, SET(3, IPA_NO_L3), SET(4, 2)),
    ROW("ipa_bound", IN, SET(3, IPA_END)),
    ROW("+level_bound", IN, { starts_at_level_2 }, SET(3, 0), SET(4, 2)),
    ROWS_FREE("rtt", "rtt_state", 2),
    ROW("rtt_bound2", IN, SET(2, PA_HIGH)),
    ROW("rtt_walk", RTT(1), SET(3, IPA_NO_L2)),
    ROW("+rtt_walk", RTT(0), SET(3, IPA_NO_L1)),
    ROW("+rtt_walk", RTT(0), SET(3, IPA_NO_L1), SET(4, 2)),
    ROW("rtte_state", RTT(1), SET(3, 0), SET(4, 2)),
    ROW("+rtte_state", RTT(0), SET(3, 0), SET(4, 1)),
    ROW("+rtte_state", RTT(2), SET(3, 0), SET(4, 3)),
    ROW("+level_bound_compare_rtt_walk", IN, SET(3, IPA_NO_L1), SET(4, 4)),
    ROW("+level_bound_compare_rtte_state", IN, SET(3, 0), SET(4, 0)),
    ROW("+ipa_bound_compare_rtt_walk", IN, SET(3, IPA_END), SET(4, 3)),
    ROW("+rtt_state_compare_rtt_walk", IN, SET(3, IPA_NO_L2), STATE(2, NS)),
    ROW("+rd_state", IN, RD(1, GONE)),
    ROW("+alias", IN, RD(2, FRESH)),
};

static void rtt_destroy_base(World *w)
{
    args(w, FRESH_RD, IPA_EMPTY_L3, 3, 0, 0);
}

static const NegativeRow rtt_destroy_rows[] = {
    ROWS_RD(1),
    ROW("level_bound", IN, SET(3, 0)),
    ROW("level_bound", IN, SET(3, 4)),
    ROWS_ALIGN("ipa", 2),
    ROW("+ipa_align", IN, ADD(2, 0x1000)),
    ROW("ipa_bound", IN, SET(2, IPA_END)),
    ROW_TOP("rtt_walk", RTT(1), IPA_NO_L1, SET(2, IPA_NO_L2)),
    ROW_TOP("+rtt_walk", RTT(0), IPA_NS, SET(2, IPA_NO_L1)),
    ROW_TOP("rtte_state", RTT(2), IPA_EMPTY_L3, SET(2, IPA_NO_L3)),
    ROW_TOP("rtte_state", RTT(2), IPA_NS_BLOCK, SET(2, IPA_NS_BLOCK)),
    ROW_TOP("rtt_live", RTT(3), 0, SET(2, 0)),
    ROW("+rtt_live", RTT(2), SET(2, 0), SET(3, 2)),
    ROW("+rtt_live", RTT(1), SET(2, 0), SET(3, 1)),
    ROW("+level_bound_compare_rtt_walk", IN, SET(2, IPA_NO_L1), SET(3, 4)),
    ROW("+level_bound", IN, { starts_at_level_2 }, SET(2, 0), SET(3, 2)),
    ROW("+rd_state", IN, RD(1, GONE)),
};

static const NegativeRow rtt_fold_rows[] = {
    ROWS_RD(1),
    ROW("level_bound", IN, SET(3, 0)),
    ROW("level_bound", IN, SET(3, 4)),
    ROWS_ALIGN("ipa", 2),
    ROW("+ipa_align", IN, ADD(2, 0x1000)),
    ROW("ipa_bound", IN, SET(2, IPA_END)),
    ROW("rtt_walk", RTT(0), SET(2, IPA_NO_L1)),
    ROW("+rtt_walk", RTT(1), SET(2, IPA_NO_L2)),
    ROW("rtte_state", RTT(2), SET(2, IPA_NO_L3)),
    ROW("rtte_state", RTT(2), SET(2, IPA_NS_BLOCK)),
    ROW("rtte_homo", RTT(3), SET(2, 0)),
    ROW("+rtte_homo", RTT(3), SET(2, IPA_NS)),
    ROW("+rtte_homo", RTT(3), { last_page_is_ram }),
    ROW("+rtte_homo", RTT(3), { last_page_is_assigned }),
    ROW("+rtte_homo", RTT(3), SET(2, IPA_NS), { map_all, NS_DESC, 3 },
        { map_last, 0 }),
    ROW("+rtte_homo", RTT(3), SET(2, IPA_NS), { map_all, NS_DESC, 3 },
        { map_last, (NS_DESC ^ 1 << 7) + 0x1ff000 }),
    ROW("+rtte_homo", RTT(3), SET(2, IPA_NS), { map_all, NS_DESC, 3 },
        { map_last, NS_DESC + 0x1fe000 }),
    ROW("+rtte_homo", RTT(3), SET(2, IPA_NS),
        { map_all, NS_DESC + 0x1000, 3 }),
    /* There are no blocks at level 0; TF-RMM answers with index 0. */
    ROW("+rtte_homo", RTT(1), { table_at_level_1, IPA_NS | IPA_NO_L1 },
        { map_all, 6 << 2, 1 }),
    ROW("+level_bound", IN, { starts_at_level_2 }, SET(2, 0), SET(3, 2)),
    ROW("+rtte_homo", RTT(2), SET(2, 0), SET(3, 2)),
    ROW("level_bound_compare_rtt_walk", IN, SET(2, IPA_NO_L1), SET(3, 4)),
    ROW("level_bound_compare_rtte_state", IN, SET(2, 0), SET(3, 0)),
    ROW("+rd_state", IN, RD(1, GONE)),
};

#define rtt_fold_base rtt_destroy_base

static void rtt_init_ripas_base(World *w)
{
    args(w, FRESH_RD, IPA_FREE, IPA_FREE + 0x1000, 0, 0);
}

static const NegativeRow rtt_init_ripas_rows[] = {
    ROWS_RD(1),
    ROW("size_valid", IN, SET(3, IPA_FREE)),
    ROW("+size_valid", IN, SET(3, 0)),
    ROW("top_bound", IN, SET(3, IPA_NS + 0x1000)),
    ROW("+top_bound", IN, SET(2, IPA_NS_FREE), SET(3, IPA_NS_NO_L3)),
    ROW("realm_state", REALM(0), RD(1, RUNS)),
    ROW("realm_state", REALM(0), RD(1, OFF)),
    ROW("realm_state_null", IN, RD(1, GONE)),
    ROW("base_align", RTT(2), SET(2, IPA_NO_L3 + 0x1000),
        SET(3, IPA_NO_L3 + 0x400000)),
    ROW("+base_align", IN, ADD(2, 0x800), SET(3, 0x4000)),
    ROW("rtte_state", RTT(3), SET(2, IPA_PAGE), SET(3, 0x1000)),
    ROW("top_gran_align", IN, ADD(3, 0x800)),
    ROW("no_progress", RTT(2), SET(2, IPA_NO_L3), SET(3, IPA_NO_L3 + 0x1000)),
    ROW("+no_progress", RTT(0), SET(2, IPA_NO_L1), SET(3, IPA_NO_L1 + 0x1000)),
    ROW("top_gran_align_compare_no_progress", IN, SET(2, IPA_NO_L3),
        SET(3, IPA_NO_L3 + 0x800)),
};

static void rtt_map_unprotected_base(World *w)
{
    args(w, FRESH_RD, IPA_NS_FREE, 3, NS_DESC, 0);
}

static const NegativeRow rtt_map_unprotected_rows[] = {
    ROW("attr_valid", IN, SET(4, (NS_DESC & ~0x1cull) | 4 << 2)),
    ROWS_RD(1),
    ROW("level_bound", IN, SET(3, 0)),
    ROW("level_bound", IN, SET(3, 4)),
    ROW("+level_bound", IN, { starts_at_level_2 }, SET(2, 1ull << 31),
        SET(3, 1)),
    ROW("addr_align", IN, SET(2, IPA_NS_NO_L3), SET(3, 2),
        SET(4, NS_DESC + 0x1000)),
    ROW_WITHOUT_LPA2("addr_bound", IN, SET(4, NS_DESC | PA_HIGH)),
    ROW_WITHOUT_LPA2("+addr_bound", IN, SET(4, NS_DESC | 1ull << 49)),
    ROW("+addr_bound", IN, SET(4, NS_DESC | 1ull << 50)),
    ROWS_ALIGN("ipa", 2),
    ROW("+ipa_align", IN, SET(3, 2)),
    ROW("ipa_bound", IN, SET(2, IPA_FREE)),
    ROW("ipa_bound", IN, SET(2, IPA_END)),
    ROW("rtt_walk", RTT(2), SET(2, IPA_NS_NO_L3)),
    ROW("rtte_state", RTT(3), SET(2, IPA_NS_PAGE)),
    ROW("+rtte_state", RTT(2), SET(2, IPA_NS_BLOCK), SET(3, 2)),
    ROW("+rtte_state", RTT(2), SET(2, IPA_NS), SET(3, 2)),      /* TABLE */
    ROW("+ipa_bound_compare_rtt_walk", IN, SET(2, IPA_NO_L3)),
    ROW("+attr_valid_compare_rtte_state", IN, SET(2, IPA_NS_PAGE),
        SET(4, NS_DESC | 1)),
    ROW("+rd_state", IN, RD(1, GONE)),
};

static void rtt_unmap_unprotected_base(World *w)
{
    args(w, FRESH_RD, IPA_NS_PAGE, 3, 0, 0);
}

static const NegativeRow rtt_unmap_unprotected_rows[] = {
    ROWS_RD(1),
    ROW("level_bound", IN, SET(3, 0)),
    ROW("level_bound", IN, SET(3, 4)),
    ROWS_ALIGN("ipa", 2),
    ROW("ipa_bound", IN, SET(2, IPA_PAGE)),
    ROW("ipa_bound", IN, SET(2, IPA_END)),
    ROW("+level_bound", IN, { starts_at_level_2 }, SET(2, 1ull << 31),
        SET(3, 1)),
    ROW_TOP("rtt_walk", RTT(2), IPA_NS + 0x40000000, SET(2, IPA_NS_NO_L3)),
    ROW_TOP("+rtt_walk", RTT(2), IPA_NS_BLOCK, SET(2, IPA_NS_BLOCK)),
    ROW_TOP("rtte_state", RTT(3), IPA_NS + 0x200000, SET(2, IPA_NS_FREE)),
    ROW_TOP("+rtte_state", RTT(2), IPA_NS, SET(2, IPA_NS), SET(3, 2)),
    ROW("level_bound_compare_rtt_walk", IN, SET(2, IPA_NS_NO_L3), SET(3, 4)),
    ROW("level_bound_compare_rtte_state", IN, SET(2, IPA_NS_FREE),
        SET(3, 4)),
    ROW("ipa_bound_compare_rtt_walk", IN, SET(2, IPA_NO_L3)),
    ROW("+rd_state", IN, RD(1, GONE)),
};

static void rtt_read_entry_base(World *w)
{
    args(w, FRESH_RD, IPA_PAGE, 3, 0, 0);
}

static const NegativeRow rtt_read_entry_rows[] = {
    ROWS_RD(1),
    ROW("level_bound", IN, SET(3, 4)),
    ROW("+level_bound", IN, SET(3, UINT64_MAX)),
    ROW("+level_bound", IN, { starts_at_level_2 }, SET(2, 0), SET(3, 1)),
    ROWS_ALIGN("ipa", 2),
    ROW("+ipa_align", IN, SET(2, IPA_FREE), SET(3, 2)),
    ROW("ipa_bound", IN, SET(2, IPA_END)),
    ROW("+rd_state", IN, RD(1, GONE)),
};

static void rtt_set_ripas_base(World *w)
{
    const FakeRealm *r = &w->realm[REALM_RUNS];

    args(w, r->rd, r->rec[0], 0, 0, 0);
    asked(w, IPA_FREE, 0x1000);
}

static const NegativeRow rtt_set_ripas_rows[] = {
    ROWS_RD(1),
    ROWS_REC("rec", "rec_gran_state", 2),
    ROW("+rec_gran_state", IN, STATE(2, REC_AUX)),
    ROW("rec_owner", REC, { rec, 2, OF(OFF, 0) }),
    ROW("+size_valid_compare_rec_owner", IN, { rec, 2, OF(OFF, 0) },
        SET(4, IPA_FREE)),
    ROW("+rec_state", REC, { run_rec, 0 }),
    ROW("size_valid", IN, SET(4, IPA_FREE)),
    ROW("+size_valid", IN, SET(4, 0)),
    ROW("base_bound", IN, SET(3, 0)),
    ROW("+base_bound", IN, { asked, IPA_FREE, 0x2000 }, ADD(3, 0x1000)),
    ROW("+base_bound", IN, { rec, 2, OF(RUNS, 2) }),    /* asked nothing */
    ROW("top_bound", IN, ADD(4, 0x1000)),
    ROW("base_align", RTT(2), { asked, IPA_NO_L3 + 0x1000, 0x3ff000 }),
    /* The text of B4.3.20.2; TF-RMM goes as far as it can. */
    ROW("top_gran_align", IN, ADD(4, 0x800 - 0x1000)),
    ROW("+top_gran_align", IN, { asked, IPA_FREE, 0x2000 }, ADD(4, -0x800)),
    ROW("no_progress", RTT(2), { asked, IPA_NO_L3, 0x200000 },
        SET(4, IPA_NO_L3 + 0x1000)),
    ROW("+no_progress", RTT(0), { asked, IPA_NO_L1, 0x1000 }),
    ROW("+no_progress", RTT(3), { asked_destroyed }),
    ROW("base_bound_compare_base_align", IN, { asked, IPA_NO_L3, 0x400000 },
        ADD(3, 0x1000)),
    ROW("top_gran_align_compare_no_progress", IN,
        { asked, IPA_NO_L3, 0x200000 }, SET(4, IPA_NO_L3 + 0x800)),
    ROW("+rd_state", IN, RD(1, GONE)),
};

const NegativeCommand rmi_commands[] = {
    COMMAND(rmi_version, RMI_VERSION, BY_HOST, 2, false, 0),
    COMMAND(granule_delegate, RMI_GRANULE_DELEGATE, BY_HOST, 0, false, 0),
    COMMAND(granule_undelegate, RMI_GRANULE_UNDELEGATE, BY_HOST, 0, false, 0),
    COMMAND(data_create, RMI_DATA_CREATE, BY_HOST, 0, false, 0),
    COMMAND(data_create_unknown, RMI_DATA_CREATE_UNKNOWN, BY_HOST, 0, false,
            0),
    COMMAND(data_destroy, RMI_DATA_DESTROY, BY_HOST, 2, false, 0),
    COMMAND(realm_create, RMI_REALM_CREATE, BY_HOST, 0, false, 0),
    COMMAND(realm_activate, RMI_REALM_ACTIVATE, BY_HOST, 0, false, 0),
    COMMAND(realm_destroy, RMI_REALM_DESTROY, BY_HOST, 0, false, 0),
    COMMAND(rec_aux_count, RMI_REC_AUX_COUNT, BY_HOST, 1, false, 0),
    COMMAND(rec_create, RMI_REC_CREATE, BY_HOST, 0, false, 0),
    COMMAND(rec_destroy, RMI_REC_DESTROY, BY_HOST, 0, false, 0),
    COMMAND(rec_enter, RMI_REC_ENTER, BY_HOST, 0, true, 0),
    COMMAND(psci_complete, RMI_PSCI_COMPLETE, BY_HOST, 0, false, 0),
    COMMAND(rtt_create, RMI_RTT_CREATE, BY_HOST, 0, false, 0),
    COMMAND(rtt_destroy, RMI_RTT_DESTROY, BY_HOST, 2, false, 0),
    COMMAND(rtt_fold, RMI_RTT_FOLD, BY_HOST, 1, false, 0),
    COMMAND(rtt_init_ripas, RMI_RTT_INIT_RIPAS, BY_HOST, 1, false, 0),
    COMMAND(rtt_map_unprotected, RMI_RTT_MAP_UNPROTECTED, BY_HOST, 0, false,
            0),
    COMMAND(rtt_unmap_unprotected, RMI_RTT_UNMAP_UNPROTECTED, BY_HOST, 1,
            false, 0),
    COMMAND(rtt_read_entry, RMI_RTT_READ_ENTRY, BY_HOST, 4, false, 0),
    COMMAND(rtt_set_ripas, RMI_RTT_SET_RIPAS, BY_HOST, 1, false, 0),
};

const size_t num_rmi_commands = G_N_ELEMENTS(rmi_commands);
