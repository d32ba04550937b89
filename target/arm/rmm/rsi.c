/*
 * The Realm Services Interface: calls of a Realm to the RMM
 *
 * Purpose: one row for each call of RSI 1.0 and of our extension, and the
 * handlers.
 *
 * Invariants: a handler either leaves results in X0 and up and the PE in the
 * Realm world, or makes the REC exit.  X1 to X16 are zero where a row lists no
 * output.  Memory that the Realm names is reached through its own tables only.
 *
 * Lock rule: a handler holds the Realm's lock while it touches the Realm's
 * memory, state or measurements, and not when the REC exits.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include "dispatch.h"
#include "measurement.h"
#include "rec.h"
#include "rmm-internal.h"
#include "rtt.h"
#include "token.h"

#define RSI_INPUTS  10
#define RSI_OUTPUTS 10
#define RSI_ZEROED  16          /* X1 to X16 that are no outputs: B1.2 */

/*
 * @in and @out are numbered like registers: [1] is X1.  Returns X0, which
 * like @out does not matter after an exit.
 */
typedef struct RsiCall {
    RmmPe *pe;
    RmmRec *rec;
    uint64_t in[1 + RSI_INPUTS];
    uint64_t out[1 + RSI_OUTPUTS];      /* zero at first */
} RsiCall;

typedef uint64_t RsiFn(RsiCall *c);

static RsiFn rsi_version, rsi_features, rsi_measurement_read;
static RsiFn rsi_measurement_extend, rsi_token_init, rsi_token_continue;
static RsiFn rsi_realm_config, rsi_ipa_state_set, rsi_ipa_state_get;
static RsiFn rsi_host_call, rsi_migration_history;

/*
 * Numbers, inputs and outputs (X1 and up) are those of B5.3.  IPA_STATE_SET
 * and HOST_CALL exit, so rec-enter.c gives their results.  `traits` is what
 * rmm_call_traits answers; ATTESTATION_TOKEN_INIT makes signatures.
 *
 *     number call         inputs outputs traits handler          log
 */
#define LONG RMM_CALL_LONG
#define CALLS(ROW) \
    ROW(0x00, VERSION,             1, 2, 0,     rsi_version,       LOG_ALWAYS) \
    ROW(0x01, FEATURES,            1, 1, 0,     rsi_features,      LOG_ALWAYS) \
    ROW(0x02, MEASUREMENT_READ,    1, 8, 0,     rsi_measurement_read, \
        LOG_ALWAYS) \
    ROW(0x03, MEASUREMENT_EXTEND, 10, 0, 0,     rsi_measurement_extend, \
        LOG_ALWAYS) \
    ROW(0x04, ATTESTATION_TOKEN_INIT, 8, 1, LONG,  rsi_token_init, LOG_ALWAYS) \
    ROW(0x05, ATTESTATION_TOKEN_CONTINUE, 3, 1, 0,     rsi_token_continue, \
        LOG_ERRORS) \
    ROW(0x06, REALM_CONFIG,        1, 0, 0,     rsi_realm_config,  LOG_ALWAYS) \
    ROW(0x07, IPA_STATE_SET,       4, 2, 0,     rsi_ipa_state_set, LOG_ERRORS) \
    ROW(0x08, IPA_STATE_GET,       2, 2, 0,     rsi_ipa_state_get, LOG_ERRORS) \
    ROW(0x09, HOST_CALL,           1, 0, 0,     rsi_host_call,     LOG_ERRORS)

#define ROW(number, call, inputs, outputs, traits, fn, log) \
    [number] = { #call, inputs, outputs, traits, fn, log },

typedef struct RsiRow {
    const char *name;
    unsigned inputs;
    unsigned outputs;
    unsigned traits;
    RsiFn *fn;
    RmmLogPolicy log;
} RsiRow;

static const RsiRow calls[] = {
    CALLS(ROW)
};

#undef ROW

/* Not of RSI 1.0, and far from its numbers */
static const RsiRow history_row = {
    "MIGRATION_HISTORY", 0, 10, 0, rsi_migration_history, LOG_ALWAYS
};

/* Each row has the number of its call, and each number one row. */
#define ROW(number, call, inputs, outputs, traits, fn, log) \
    _Static_assert(RSI_##call == RSI_FID(number), "number of RSI_" #call); \
    _Static_assert((inputs) <= RSI_INPUTS && (outputs) <= RSI_OUTPUTS, #call);
CALLS(ROW)
#undef ROW
#define ROW(number, ...) + (1u << (number))
_Static_assert((0 CALLS(ROW)) == (1u << 0x0a) - 1,
               "a row for every number of RSI 1.0");
#undef ROW

static void log_call(Rmm *rmm, const RsiRow *row, const RmmPe *pe,
                     RmmLog *entry)
{
    entry->call = row->name;
    entry->switched = pe->world == RMM_WORLD_HOST;
    entry->result = entry->switched ? 0 : pe->x[0];
    dispatch_end(rmm, RMM_RSI, row->log,
                 entry->result != RSI_SUCCESS &&
                 entry->result != RSI_INCOMPLETE, entry);
}

/* NULL if there is none; of a call that this platform may not offer, too */
static const RsiRow *find_row(uint32_t fid)
{
    if (fid == RSI_MIGRATION_HISTORY) {
        return &history_row;
    }
    return fid - RSI_VERSION < G_N_ELEMENTS(calls)
           ? &calls[fid - RSI_VERSION] : NULL;
}

bool rsi_has(uint32_t fid)
{
    return find_row(fid);
}

unsigned rsi_traits(uint32_t fid)
{
    const RsiRow *row = find_row(fid);

    return row ? row->traits : 0;
}

void rsi_handle(Rmm *rmm, RmmPe *pe)
{
    const RsiRow *row = find_row(pe_fid(pe));
    RsiCall c = { .pe = pe, .rec = pe_rec(pe) };
    RmmLog entry = dispatch_begin(pe);
    uint64_t x0;

    if (row == &history_row && !rmm->platform.migration) {
        dispatch_refuse(rmm, pe, RMM_RSI);
        return;
    }
    memcpy(&c.in[1], &pe->x[1], row->inputs * sizeof(c.in[0]));
    x0 = row->fn(&c);
    if (pe->world == RMM_WORLD_REALM) { /* else the REC has exited */
        rsi_answer(pe->x, x0, &c.out[1], row->outputs);
    }
    log_call(rmm, row, pe, &entry);
}

void rsi_answer(uint64_t x[31], uint64_t x0, const uint64_t *out, unsigned num)
{
    x[0] = x0;
    memset(&x[1], 0, RSI_ZEROED * sizeof(x[0]));
    if (num) {
        memcpy(&x[1], out, num * sizeof(x[0]));
    }
}

static uint64_t rsi_version(RsiCall *c)
{
    c->out[1] = c->out[2] = RMM_ABI_VERSION_1_0;
    return c->in[1] == RMM_ABI_VERSION_1_0 ? RSI_SUCCESS : RSI_ERROR_INPUT;
}

/* RSI 1.0 has no feature register that is not zero. */
static uint64_t rsi_features(RsiCall *c)
{
    if (c->in[1] == RSI_FEATURES_EXT) {
        c->out[1] = c->rec->realm->ext_flags;
    }
    return RSI_SUCCESS;
}

/* "What a Realm can learn about its past" in realm-migration-stream.rst */
static uint64_t rsi_migration_history(RsiCall *c)
{
    RmmRealm *realm = c->rec->realm;
    const MigHistory *h = &realm->history;

    rmm_mutex_lock(&realm->lock);
    memcpy(&c->out[1], h->instance_id, sizeof(h->instance_id));
    c->out[5] = h->migrations;
    c->out[6] = h->weakest_lifecycle;
    memcpy(&c->out[7], h->weakest_implementation,
           sizeof(h->weakest_implementation));
    rmm_mutex_unlock(&realm->lock);
    return RSI_SUCCESS;
}

static uint64_t rsi_measurement_read(RsiCall *c)
{
    RmmRealm *realm = c->rec->realm;
    uint64_t index = c->in[1];

    if (index >= MEASUREMENT_SLOTS) {
        return RSI_ERROR_INPUT;
    }
    rmm_mutex_lock(&realm->lock);
    memcpy(&c->out[1], realm->measurement[index], MEASUREMENT_BYTES);
    rmm_mutex_unlock(&realm->lock);
    return RSI_SUCCESS;
}

static uint64_t rsi_measurement_extend(RsiCall *c)
{
    RmmRealm *realm = c->rec->realm;
    uint64_t index = c->in[1], size = c->in[2];

    if (index == 0 || index >= MEASUREMENT_SLOTS || size > MEASUREMENT_BYTES) {
        return RSI_ERROR_INPUT;
    }
    rmm_mutex_lock(&realm->lock);
    measurement_extend(realm, index, &c->in[3], size);
    rmm_mutex_unlock(&realm->lock);
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
    int level;

    rmm_mutex_lock(&realm->lock);
    access = rtt_copy(realm, ipa, write, buf, len, &level);
    rmm_mutex_unlock(&realm->lock);
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
static uint64_t rsi_token_init(RsiCall *c)
{
    if (!attest_init(&c->rec->attest, c->rec->realm, &c->in[1])) {
        return RSI_ERROR_UNKNOWN;
    }
    c->out[1] = TOKEN_MAX_SIZE;
    return RSI_SUCCESS;
}

/* The call did nothing; the Realm sees RSI_INCOMPLETE and calls again. */
static void exit_interrupted(RmmPe *pe)
{
    RmiRecExit exit = { .exit_reason = RMI_EXIT_IRQ };

    rsi_answer(pe->x, RSI_INCOMPLETE, NULL, 0);
    rec_exit(pe, &exit);
}

/* B5.3.1; a piece that did not reach the Realm is still the next one. */
static uint64_t rsi_token_continue(RsiCall *c)
{
    uint64_t ipa = c->in[1], offset = c->in[2], result;
    RmmRec *rec = c->rec;
    Rmm *rmm = rec->rmm;
    size_t size = c->in[3];
    const void *piece;

    if (!buffer_ok(rec, ipa, RMM_GRANULE_SIZE) ||
        offset >= RMM_GRANULE_SIZE || size > RMM_GRANULE_SIZE - offset) {
        return RSI_ERROR_INPUT;
    }
    if (rec->attest.state != ATTEST_READING) {
        return RSI_ERROR_STATE;
    }
    if (rmm->ops.interrupt_pending &&
        rmm->ops.interrupt_pending(rmm->opaque)) {
        exit_interrupted(c->pe);
        return 0;
    }
    piece = attest_piece(&rec->attest, &size);
    result = copy_realm(c->pe, rec, ipa + offset, true, (void *)piece, size);
    if (result != RSI_SUCCESS || c->pe->world == RMM_WORLD_HOST) {
        return result;
    }
    c->out[1] = size;
    return attest_advance(&rec->attest, size) ? RSI_INCOMPLETE : RSI_SUCCESS;
}

static uint64_t rsi_realm_config(RsiCall *c)
{
    RmmRealm *realm = c->rec->realm;
    RsiRealmConfig config = { .ipa_width = realm->ipa_bits,
                              .hash_algo = realm->hash_algo };

    if (!buffer_ok(c->rec, c->in[1], RMM_GRANULE_SIZE)) {
        return RSI_ERROR_INPUT;
    }
    memcpy(config.rpv, realm->rpv, sizeof(config.rpv));
    return copy_realm(c->pe, c->rec, c->in[1], true, &config,
                      sizeof(config));
}

/* B5.3.5; RsiRipas has eight bits, and what stands beside it is ignored. */
static uint64_t rsi_ipa_state_set(RsiCall *c)
{
    uint64_t base = c->in[1], top = c->in[2];
    uint8_t ripas = c->in[3];
    RmiRecExit exit = { .exit_reason = RMI_EXIT_RIPAS_CHANGE,
                        .ripas_base = base, .ripas_top = top,
                        .ripas_value = ripas };
    RmmRec *rec = c->rec;

    if (!realm_range_is_protected(rec->realm, base, top) ||
        ripas > RMI_RIPAS_RAM) {
        return RSI_ERROR_INPUT;
    }
    rec->ripas.addr = base;
    rec->ripas.top = top;
    rec->ripas.value = ripas;
    rec->ripas.change_destroyed = c->in[4] & RSI_CHANGE_DESTROYED;
    rec_exit_to(c->pe, &exit, REC_RIPAS);
    return 0;
}

/*
 * The text (B5.3) wants a top above the base, up to the one that was asked
 * for, with one RIPAS between them.  How far is open: as in TF-RMM, the run
 * ends with the table at the latest, and the Realm asks for the rest.
 */
static uint64_t rsi_ipa_state_get(RsiCall *c)
{
    RmmRealm *realm = c->rec->realm;
    uint64_t base = c->in[1], top = c->in[2];

    if (!realm_range_is_protected(realm, base, top)) {
        return RSI_ERROR_INPUT;
    }
    rmm_mutex_lock(&realm->lock);
    c->out[2] = rtt_ripas_run(realm, base, top, &c->out[1]);
    rmm_mutex_unlock(&realm->lock);
    return RSI_SUCCESS;
}

/* B5.3.4: the host answers with the next RMI_REC_ENTER (rec-enter.c). */
static uint64_t rsi_host_call(RsiCall *c)
{
    RmiRecExit exit = { .exit_reason = RMI_EXIT_HOST_CALL };
    uint64_t ipa = c->in[1], result;
    RmmRec *rec = c->rec;
    RsiHostCall call;

    if (!buffer_ok(rec, ipa, sizeof(call))) {
        return RSI_ERROR_INPUT;
    }
    result = copy_realm(c->pe, rec, ipa, false, &call, sizeof(call));
    if (result != RSI_SUCCESS || c->pe->world == RMM_WORLD_HOST) {
        return result;
    }
    exit.imm = (uint16_t)call.imm;
    memcpy(exit.gprs, call.gprs, sizeof(exit.gprs));
    rec->host_call_ipa = ipa;
    rec_exit_to(c->pe, &exit, REC_HOST_CALL);
    return 0;
}
