/*
 * The Realm Services Interface: calls of a Realm to the RMM
 *
 * Purpose: one row for each call of RSI 1.0, and the handlers.
 *
 * Invariants: a handler either leaves results in X0 and up and the PE in the
 * Realm world, or makes the REC exit.  Memory that the Realm names is
 * reached through its own tables only.
 *
 * Lock rule: a handler holds the Realm's lock while it touches the Realm's
 * memory, state or measurements, and not when the REC exits.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include "measurement.h"
#include "rmm-internal.h"
#include "rtt.h"
#include "token.h"

/* @x is X0 to X30.  Returns X0, which does not matter after an exit. */
typedef uint64_t RsiFn(RmmPe *pe, RmmRec *rec, uint64_t *x);

static RsiFn rsi_version, rsi_features, rsi_measurement_read;
static RsiFn rsi_measurement_extend, rsi_token_init, rsi_token_continue;
static RsiFn rsi_realm_config, rsi_ipa_state_set, rsi_ipa_state_get;
static RsiFn rsi_host_call;

/* Inputs are X1 and up, and so are outputs; see RMM 1.0, B5.3. */
static const struct {
    const char *name;
    unsigned inputs;
    unsigned outputs;
    RsiFn *fn;
} calls[] = {
    [RSI_VERSION - RSI_VERSION] =
        { "VERSION", 1, 2, rsi_version },
    [RSI_FEATURES - RSI_VERSION] =
        { "FEATURES", 1, 1, rsi_features },
    [RSI_MEASUREMENT_READ - RSI_VERSION] =
        { "MEASUREMENT_READ", 1, 8, rsi_measurement_read },
    [RSI_MEASUREMENT_EXTEND - RSI_VERSION] =
        { "MEASUREMENT_EXTEND", 10, 0, rsi_measurement_extend },
    [RSI_ATTESTATION_TOKEN_INIT - RSI_VERSION] =
        { "ATTESTATION_TOKEN_INIT", 8, 1, rsi_token_init },
    [RSI_ATTESTATION_TOKEN_CONTINUE - RSI_VERSION] =
        { "ATTESTATION_TOKEN_CONTINUE", 3, 1, rsi_token_continue },
    [RSI_REALM_CONFIG - RSI_VERSION] =
        { "REALM_CONFIG", 1, 0, rsi_realm_config },
    [RSI_IPA_STATE_SET - RSI_VERSION] =
        { "IPA_STATE_SET", 4, 2, rsi_ipa_state_set },
    [RSI_IPA_STATE_GET - RSI_VERSION] =
        { "IPA_STATE_GET", 2, 2, rsi_ipa_state_get },
    [RSI_HOST_CALL - RSI_VERSION] =
        { "HOST_CALL", 1, 0, rsi_host_call },
};

_Static_assert(G_N_ELEMENTS(calls) == RSI_HOST_CALL - RSI_VERSION + 1,
               "a row for every number of RSI 1.0");

void rsi_handle(Rmm *rmm, RmmPe *pe)
{
    uint64_t fid = pe->x[0] & ~(uint64_t)SMCCC_SVE_HINT;
    uint64_t x0;

    x0 = calls[fid - RSI_VERSION].fn(pe, pe_rec(pe), pe->x);
    if (pe->world == RMM_WORLD_REALM) {
        pe->x[0] = x0;
    }
}

static uint64_t rsi_version(RmmPe *pe, RmmRec *rec, uint64_t *x)
{
    bool ok = x[1] == RMM_ABI_VERSION_1_0;

    x[1] = x[2] = RMM_ABI_VERSION_1_0;
    return ok ? RSI_SUCCESS : RSI_ERROR_INPUT;
}

/* RSI 1.0 has no feature register that is not zero. */
static uint64_t rsi_features(RmmPe *pe, RmmRec *rec, uint64_t *x)
{
    x[1] = 0;
    return RSI_SUCCESS;
}

static uint64_t rsi_measurement_read(RmmPe *pe, RmmRec *rec, uint64_t *x)
{
    RmmRealm *realm = rec->realm;
    uint64_t index = x[1];

    if (index >= MEASUREMENT_SLOTS) {
        return RSI_ERROR_INPUT;
    }
    g_mutex_lock(&realm->lock);
    memcpy(&x[1], realm->measurement[index], MEASUREMENT_BYTES);
    g_mutex_unlock(&realm->lock);
    return RSI_SUCCESS;
}

static uint64_t rsi_measurement_extend(RmmPe *pe, RmmRec *rec, uint64_t *x)
{
    RmmRealm *realm = rec->realm;

    if (x[1] == 0 || x[1] >= MEASUREMENT_SLOTS || x[2] > MEASUREMENT_BYTES) {
        return RSI_ERROR_INPUT;
    }
    g_mutex_lock(&realm->lock);
    measurement_extend(realm, x[1], &x[3], x[2]);
    g_mutex_unlock(&realm->lock);
    return RSI_SUCCESS;
}

/*
 * Copy @len bytes to or from the Realm's memory at @ipa, within one granule.
 * RSI_SUCCESS, or RSI_ERROR_INPUT for RIPAS EMPTY; or else the REC has
 * exited, since only the host can help.
 */
static uint64_t copy_realm(RmmPe *pe, RmmRec *rec, uint64_t ipa, bool write,
                           void *buf, size_t len)
{
    RmmRealm *realm = rec->realm;
    RttAccess access;
    void *p;
    int level;

    g_mutex_lock(&realm->lock);
    access = rtt_access(realm, ipa, write, &p, &level);
    if (access == RTT_ACCESS_OK) {
        memcpy(write ? p : buf, write ? buf : p, len);
    }
    g_mutex_unlock(&realm->lock);
    if (access == RTT_ACCESS_FAULT) {
        rec_exit_abort(pe, ipa, level);
    }
    return access == RTT_ACCESS_EMPTY ? RSI_ERROR_INPUT : RSI_SUCCESS;
}

static bool buffer_ok(const RmmRec *rec, uint64_t ipa, uint64_t align)
{
    return ipa % align == 0 && ipa < realm_protected_top(rec->realm);
}

/* B5.3.2: the claims are those of this moment. */
static uint64_t rsi_token_init(RmmPe *pe, RmmRec *rec, uint64_t *x)
{
    if (!attest_init(&rec->attest, rec->realm, &x[1])) {
        return RSI_ERROR_UNKNOWN;
    }
    x[1] = TOKEN_MAX_SIZE;
    return RSI_SUCCESS;
}

/* B5.3.1; a piece that did not reach the Realm is still the next one. */
static uint64_t rsi_token_continue(RmmPe *pe, RmmRec *rec, uint64_t *x)
{
    uint64_t ipa = x[1], offset = x[2], result;
    size_t size = x[3];
    const void *piece;

    if (!buffer_ok(rec, ipa, RMM_GRANULE_SIZE) ||
        offset >= RMM_GRANULE_SIZE || size > RMM_GRANULE_SIZE - offset) {
        return RSI_ERROR_INPUT;
    }
    if (rec->attest.state != ATTEST_READING) {
        return RSI_ERROR_STATE;
    }
    piece = attest_piece(&rec->attest, &size);
    result = copy_realm(pe, rec, ipa + offset, true, (void *)piece, size);
    if (result != RSI_SUCCESS || pe->world == RMM_WORLD_HOST) {
        return result;
    }
    x[1] = size;
    return attest_advance(&rec->attest, size) ? RSI_INCOMPLETE : RSI_SUCCESS;
}

static uint64_t rsi_realm_config(RmmPe *pe, RmmRec *rec, uint64_t *x)
{
    RmmRealm *realm = rec->realm;
    RsiRealmConfig config = { .ipa_width = realm->ipa_bits,
                              .hash_algo = realm->hash_algo };

    if (!buffer_ok(rec, x[1], RMM_GRANULE_SIZE)) {
        return RSI_ERROR_INPUT;
    }
    memcpy(config.rpv, realm->rpv, sizeof(config.rpv));
    return copy_realm(pe, rec, x[1], true, &config, sizeof(config));
}

/* B5.3.5 */
static uint64_t rsi_ipa_state_set(RmmPe *pe, RmmRec *rec, uint64_t *x)
{
    RmiRecExit exit = { .exit_reason = RMI_EXIT_RIPAS_CHANGE,
                        .ripas_base = x[1], .ripas_top = x[2],
                        .ripas_value = x[3] };

    if (!realm_range_is_protected(rec->realm, x[1], x[2]) ||
        x[3] > RMI_RIPAS_RAM) {
        return RSI_ERROR_INPUT;
    }
    rec->ripas.addr = x[1];
    rec->ripas.top = x[2];
    rec->ripas.value = x[3];
    rec->ripas.change_destroyed = x[4] & RSI_CHANGE_DESTROYED;
    rec->pending = REC_PENDING_RIPAS;
    rec_exit(pe, &exit);
    return 0;
}

static uint64_t rsi_ipa_state_get(RmmPe *pe, RmmRec *rec, uint64_t *x)
{
    RmmRealm *realm = rec->realm;

    if (!realm_range_is_protected(realm, x[1], x[2])) {
        return RSI_ERROR_INPUT;
    }
    g_mutex_lock(&realm->lock);
    x[2] = rtt_ripas_run(realm, x[1], x[2], &x[1]);
    g_mutex_unlock(&realm->lock);
    return RSI_SUCCESS;
}

/* B5.3.4: the host answers with the next RMI_REC_ENTER (rec.c). */
static uint64_t rsi_host_call(RmmPe *pe, RmmRec *rec, uint64_t *x)
{
    RmiRecExit exit = { .exit_reason = RMI_EXIT_HOST_CALL };
    uint64_t ipa = x[1], result;
    RsiHostCall call;

    if (!buffer_ok(rec, ipa, sizeof(call))) {
        return RSI_ERROR_INPUT;
    }
    result = copy_realm(pe, rec, ipa, false, &call, sizeof(call));
    if (result != RSI_SUCCESS || pe->world == RMM_WORLD_HOST) {
        return result;
    }
    exit.imm = (uint32_t)call.imm;      /* the slot, not the 16 bits in use */
    memcpy(exit.gprs, call.gprs, sizeof(exit.gprs));
    rec->host_call_ipa = ipa;
    rec->pending = REC_PENDING_HOST_CALL;
    rec_exit(pe, &exit);
    return 0;
}
