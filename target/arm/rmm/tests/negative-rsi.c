/*
 * RSI and PSCI calls that must be refused (see negative.h)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include "negative-rows.h"

/* REC 0 runs, and calls. */
static void runs(World *w, uint64_t x1, uint64_t x2, uint64_t x3, uint64_t x4)
{
    const uint64_t x[] = { 0, x1, x2, x3, x4 };

    world_enter(w, 0);
    memcpy(w->x, x, sizeof(x));
}

static void rsi_version_base(World *w)
{
    runs(w, RMM_ABI_VERSION_1_0, 0, 0, 0);
}

static const NegativeRow rsi_version_rows[] = {
    ROW("+req", IN, SET(1, 0)),
    ROW("+req", IN, SET(1, 0x10001)),
    ROW("+req", IN, SET(1, 0x20000)),
    ROW("+req", IN, SET(1, 0x80010000)),
    ROW("+req", IN, SET(1, 0x100010000)),
    ROW("+req", IN, SET(1, UINT64_MAX)),
};

static void ipa_state_get_base(World *w)
{
    runs(w, IPA_PAGE, IPA_PAGE + 0x2000, 0, 0);
}

static const NegativeRow ipa_state_get_rows[] = {
    ROW("base_align", IN, ADD(1, 0x800)),
    ROW("end_align", IN, ADD(2, 0x800)),
    ROW("size_valid", IN, SET(2, IPA_PAGE)),
    ROW("+size_valid", IN, SET(1, 0x3000)),
    ROW("rgn_bound", IN, SET(2, IPA_NS + 0x1000)),
    ROW("+rgn_bound", IN, SET(1, IPA_NS), SET(2, IPA_NS + 0x1000)),
    ROW("+rgn_bound", IN, SET(1, IPA_END), SET(2, IPA_END + 0x1000)),
    ROW("+rgn_bound", IN, SET(2, UINT64_MAX & ~0xfffull)),
    ROW("+size_valid", IN, SET(1, UINT64_MAX & ~0xfffull), SET(2, 0)),
};

static void ipa_state_set_base(World *w)
{
    runs(w, IPA_FREE, IPA_FREE + 0x1000, RMI_RIPAS_RAM, 0);
}

static const NegativeRow ipa_state_set_rows[] = {
    ROW("base_align", IN, SET(1, 0x800)),
    ROW("top_align", IN, ADD(2, 0x800)),
    ROW("size_valid", IN, SET(2, IPA_FREE)),
    ROW("+size_valid", IN, SET(2, 0)),
    ROW("rgn_bound", IN, SET(2, IPA_NS + 0x1000)),
    ROW("+rgn_bound", IN, SET(1, IPA_NS), SET(2, IPA_NS + 0x1000)),
    ROW("+rgn_bound", IN, SET(2, UINT64_MAX & ~0xfffull)),
    ROW("+size_valid", IN, SET(1, UINT64_MAX & ~0xfffull), SET(2, 0)),
    ROW("ripas_valid", IN, SET(3, RMI_RIPAS_DESTROYED)),
    ROW("+ripas_valid", IN, SET(3, 3)),
    ROW("+ripas_valid", IN, SET(3, 1ull << 32 | RMI_RIPAS_DESTROYED)),
    ROW("+ripas_valid", IN, SET(3, UINT64_MAX)),
};

static void measurement_extend_base(World *w)
{
    runs(w, 1, 8, 0x11, 0);
}

static const NegativeRow measurement_extend_rows[] = {
    ROW("index_bound", IN, SET(1, 0)),
    ROW("index_bound", IN, SET(1, 5)),
    ROW("+index_bound", IN, SET(1, 1ull << 32 | 1)),
    ROW("+index_bound", IN, SET(1, UINT64_MAX)),
    ROW("size_bound", IN, SET(2, 65)),
    ROW("+size_bound", IN, SET(2, 1ull << 32)),
    ROW("+size_bound", IN, SET(2, UINT64_MAX)),
};

static void measurement_read_base(World *w)
{
    runs(w, 4, 0, 0, 0);
}

static const NegativeRow measurement_read_rows[] = {
    ROW("index_bound", IN, SET(1, 5)),
    ROW("+index_bound", IN, SET(1, 1ull << 32)),
    ROW("+index_bound", IN, SET(1, UINT64_MAX)),
};

static void buffer_base(World *w)
{
    runs(w, IPA_PAGE, 0, 0, 0);
}

#define realm_config_base   buffer_base
#define host_call_base      buffer_base

static const NegativeRow realm_config_rows[] = {
    ROW("addr_align", IN, ADD(1, 0x800)),
    ROW("+addr_align", IN, ADD(1, 1)),
    ROW("addr_bound", IN, SET(1, IPA_NS)),
    ROW("+addr_bound", IN, SET(1, IPA_END)),
    ROW("+addr_bound", IN, SET(1, UINT64_MAX & ~0xfffull)),
    ROW("+addr_empty", IN, SET(1, IPA_FREE)),
    ROW("+addr_empty", IN, SET(1, IPA_NO_L1)),
};

static const NegativeRow host_call_rows[] = {
    ROW("addr_align", IN, ADD(1, 0x80)),
    ROW("+addr_align", IN, ADD(1, 1)),
    ROW("addr_bound", IN, SET(1, IPA_NS)),
    ROW("+addr_bound", IN, SET(1, IPA_END)),
    ROW("+addr_bound", IN, SET(1, UINT64_MAX & ~0xffull)),
    ROW("+addr_empty", IN, SET(1, IPA_FREE)),
};

static void attestation_token_init_base(World *w)
{
    runs(w, 0, 0, 0, 0);
}

static void no_keys(World *w, uint64_t a, uint64_t b)
{
    w->m->rmm->ops.key = NULL;
}

static const NegativeRow attestation_token_init_rows[] = {
    ROW("+failure", RSI_ERROR_UNKNOWN, { no_keys }),
};

/* 16 bytes of a token. */
static void attestation_token_continue_base(World *w)
{
    runs(w, IPA_PAGE, 0, 16, 0);
    world_guest_call(w, RSI_ATTESTATION_TOKEN_INIT, 0, 0, 0);
    g_assert_cmphex(w->guest.x[0], ==, RSI_SUCCESS);
}

/* REC 2 has not asked for a token. */
static void without_init(World *w, uint64_t a, uint64_t b)
{
    take_interrupt(w->m->rmm, &w->guest);
    world_enter(w, 2);
}

static const NegativeRow attestation_token_continue_rows[] = {
    ROW("addr_align", IN, ADD(1, 0x800)),
    ROW("addr_bound", IN, SET(1, IPA_NS)),
    ROW("+addr_bound", IN, SET(1, IPA_END)),
    ROW("+addr_bound", IN, SET(1, UINT64_MAX & ~0xfffull)),
    ROW("+addr_empty", IN, SET(1, IPA_FREE)),
    ROW("offset_bound", IN, SET(2, 0x1000)),
    ROW("+offset_bound", IN, SET(2, UINT64_MAX)),
    ROW("size_overflow", IN, SET(2, 0x800), SET(3, UINT64_MAX)),
    ROW("+size_overflow", IN, SET(2, 0x800), SET(3, -0x800ull)),
    ROW("size_bound", IN, SET(2, 0xff8)),
    ROW("+size_bound", IN, SET(3, 0x1001)),
    ROW("+state", RSI_ERROR_STATE, { without_init }),
    ROW("+addr_align_compare_state", IN, { without_init }, ADD(1, 8)),
    ROW("+size_bound_compare_state", IN, { without_init }, SET(3, 0x1001)),
};

/* ---- PSCI ---- */

static void affinity_info_base(World *w)
{
    runs(w, rec_index_to_mpidr(1), 0, 0, 0);
}

static const NegativeRow affinity_info_rows[] = {
    ROW("target_bound", PSCI_INVALID_PARAMETERS, SET(2, 1)),
    ROW("+target_bound", PSCI_INVALID_PARAMETERS, SET(2, UINT64_MAX)),
    ROW("target_match", PSCI_INVALID_PARAMETERS, SET(1, 3)),
    ROW("+target_match", PSCI_INVALID_PARAMETERS, SET(1, 0x100)),
    /* No REC has this MPIDR; TF-RMM drops Aff0 bits 7:4 and finds REC 1. */
    ROW("+target_match", PSCI_INVALID_PARAMETERS, SET(1, 0x11)),
    ROW("+target_match", PSCI_INVALID_PARAMETERS, SET(1, 1ull << 32 | 1)),
    ROW("+target_match", PSCI_INVALID_PARAMETERS, SET(1, 1ull << 31 | 3)),
    ROW("+target_match", PSCI_INVALID_PARAMETERS, SET(1, 1ull << 40 | 1)),
    ROW("+target_match", PSCI_INVALID_PARAMETERS, SET(1, UINT64_MAX)),
};

static void cpu_on_base(World *w)
{
    runs(w, rec_index_to_mpidr(1), IPA_PAGE, 0x1234, 0);
}

static const NegativeRow cpu_on_rows[] = {
    ROW("entry", PSCI_INVALID_ADDRESS, SET(2, IPA_NS)),
    ROW("+entry", PSCI_INVALID_ADDRESS, SET(2, IPA_END)),
    ROW("+entry", PSCI_INVALID_ADDRESS, SET(2, UINT64_MAX)),
    ROW("mpidr", PSCI_INVALID_PARAMETERS, SET(1, 3)),
    ROW("+mpidr", PSCI_INVALID_PARAMETERS, SET(1, 0x11)),       /* as above */
    ROW("+mpidr", PSCI_INVALID_PARAMETERS, SET(1, 1ull << 32 | 1)),
    ROW("+mpidr", PSCI_INVALID_PARAMETERS, SET(1, UINT64_MAX)),
    ROW("runnable", PSCI_ALREADY_ON, SET(1, 0)),
    ROW("+entry_compare_mpidr", PSCI_INVALID_ADDRESS, SET(1, 3),
        SET(2, IPA_NS)),
    ROW("+entry_compare_runnable", PSCI_INVALID_ADDRESS, SET(1, 0),
        SET(2, IPA_NS)),
};

static void psci_features_base(World *w)
{
    runs(w, PSCI_FID_CPU_ON, 0, 0, 0);
}

static const NegativeRow psci_features_rows[] = {
    ROW("+fid", PSCI_NOT_SUPPORTED, SET(1, PSCI_FID_32(5))),    /* MIGRATE */
    ROW("+fid", PSCI_NOT_SUPPORTED, SET(1, PSCI_FID_64(2))),
    ROW("+fid", PSCI_NOT_SUPPORTED, SET(1, PSCI_FID_32(0x12))),
    ROW("+fid", PSCI_NOT_SUPPORTED, SET(1, RSI_VERSION)),
    ROW("+fid", PSCI_NOT_SUPPORTED, SET(1, 0)),
    ROW("+fid", PSCI_NOT_SUPPORTED, SET(1, UINT64_MAX)),
};

static void smccc_arch_features_base(World *w)
{
    runs(w, SMCCC_FID_VERSION, 0, 0, 0);
}

static const NegativeRow smccc_arch_features_rows[] = {
    ROW("+fid", SMCCC_NOT_SUPPORTED, SET(1, 0x80008000)),
    ROW("+fid", SMCCC_NOT_SUPPORTED, SET(1, 0x80007fff)),
    ROW("+fid", SMCCC_NOT_SUPPORTED, SET(1, RSI_VERSION)),
    ROW("+fid", SMCCC_NOT_SUPPORTED, SET(1, UINT64_MAX)),
};

const NegativeCommand rsi_commands[] = {
    COMMAND(rsi_version, RSI_VERSION, BY_REALM, 2, false, 0),
    COMMAND(ipa_state_get, RSI_IPA_STATE_GET, BY_REALM, 2, false, 0),
    COMMAND(ipa_state_set, RSI_IPA_STATE_SET, BY_REALM, 2, true, 0),
    COMMAND(measurement_extend, RSI_MEASUREMENT_EXTEND, BY_REALM, 0, false,
            0),
    COMMAND(measurement_read, RSI_MEASUREMENT_READ, BY_REALM, 8, false, 0),
    COMMAND(realm_config, RSI_REALM_CONFIG, BY_REALM, 0, false, 0),
    COMMAND(host_call, RSI_HOST_CALL, BY_REALM, 0, true, 0),
    COMMAND(attestation_token_init, RSI_ATTESTATION_TOKEN_INIT, BY_REALM, 1,
            false, 0),
    COMMAND(attestation_token_continue, RSI_ATTESTATION_TOKEN_CONTINUE,
            BY_REALM, 1, false, RSI_INCOMPLETE),
    COMMAND(affinity_info, PSCI_FID_AFFINITY_INFO, BY_REALM, 0, true, 0),
    COMMAND(cpu_on, PSCI_FID_CPU_ON, BY_REALM, 0, true, 0),
    COMMAND(psci_features, PSCI_FID_FEATURES, BY_REALM, 0, false, 0),
    COMMAND(smccc_arch_features, SMCCC_FID_ARCH_FEATURES, BY_REALM, 0, false,
            0),
};

const size_t num_rsi_commands = G_N_ELEMENTS(rsi_commands);
