/*
 * What the files of the RMM model share
 *
 * Purpose: struct Rmm, and the handlers that rmm.c enters.
 *
 * Lock rule: see lock.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef RMM_INTERNAL_H
#define RMM_INTERNAL_H

#include <glib.h>
#include "lock.h"
#include "realm.h"
#include "rec.h"

#if G_BYTE_ORDER != G_LITTLE_ENDIAN
#error "the RMM model keeps little-endian structures: little-endian hosts only"
#endif

/* Walkers on different stripes share no cache line. */
#define RMM_WALKER_STRIPES 64

typedef struct WalkerStripe {
    gint inside;                        /* atomic */
    char pad[64 - sizeof(gint)];
} WalkerStripe;

#define GRANULE_TOP_BITS 9

struct Rmm {
    RmmOps ops;
    void *opaque;
    RmmPlatform platform;

    /* What it offers to others; tests make it another release of itself. */
    uint64_t mig_features;              /* MIG_FEATURE_* */
    uint64_t mig_minor;                 /* of MIG_VERSION */

    void *granules[1 << GRANULE_TOP_BITS];      /* private to granule.c */

    RmmMutex lock;                      /* covers the three below */
    GHashTable *realms;                 /* PA of RD -> RmmRealm */
    GHashTable *recs;                   /* PA of REC -> RmmRec */
    GHashTable *vmids;                  /* set of used VMIDs */

    WalkerStripe walkers[RMM_WALKER_STRIPES];
};

/*
 * An inconsistency inside the model, which only a bug can cause: stop, with
 * a message that names the rule that is broken.
 */
#define rmm_rule(condition, ...)                \
    do {                                        \
        if (G_UNLIKELY(!(condition))) {         \
            g_error(__VA_ARGS__);               \
        }                                       \
    } while (0)

/*
 * What a call takes away from a Realm it gives to others in three steps:
 *
 *   1. with the Realm's lock: the entry changes, RmmOps.tlb_invalidate
 *   2. without any: this, after which no PE reaches what the entry named
 *   3. granules become DELEGATED, the VMID is free, collected pages may leave
 *
 * A PE that is to give up its translations may be waiting for a lock, or for
 * somebody who is, so none is held here.  And nobody may have what a PE still
 * reaches, so step 3 is last.
 */
void rmm_tlb_sync(Rmm *rmm);

/* Copy @len bytes of Non-secure memory once; false if it is not. */
bool rmm_read_ns(Rmm *rmm, void *buf, uint64_t pa, size_t len);
bool rmm_write_ns(Rmm *rmm, uint64_t pa, const void *buf, size_t len);

/* Which calls RmmOps.log is told of: a column of each interface's table. */
typedef enum RmmLogPolicy {
    LOG_NEVER,                  /* an error is an answer as good as any */
    LOG_ERRORS,                 /* on a hot path */
    LOG_ALWAYS,
} RmmLogPolicy;

void rmm_log(Rmm *rmm, RmmLogPolicy policy, bool failed,
             const RmmLog *entry);

/*
 * X1 to X3 that are no outputs of a call from the host are zero.  RMM 1.0, B1.2
 * says so of X4 to X16 as well.  They keep their values, as with TF-RMM: SMCCC
 * 1.1 promises that, and hosts of today are compiled for it (the calls of
 * Linux's arm_smccc_1_1_invoke have X4 and up in use).
 */
#define HOST_ZEROED 3

/* There is no call with the number in X0. */
void rmm_refuse_unknown(Rmm *rmm, RmmPe *pe, const char *interface);

/* An SMC from the host, and one from a Realm (by its kind). */
void rmi_handle(Rmm *rmm, RmmPe *pe);
void rsi_handle(Rmm *rmm, RmmPe *pe);
void psci_handle(Rmm *rmm, RmmPe *pe);

/*
 * What the host answers to an abort with @esr at an unprotected IPA
 * (exception.c): an external abort, or the emulation of the access.
 */
void exception_inject_sea(RmmPe *pe, uint64_t esr, uint64_t far);
void exception_finish_mmio(RmmPe *pe, uint64_t esr, uint64_t value);

/* Whether rmm_exception can have left this in a REC (RmmRec.abort). */
bool exception_abort_ok(RecAbort kind, uint64_t esr, uint64_t far);

/* What the Realm finds in @x, X0 to X30, after an RSI call with @num outputs. */
void rsi_answer(uint64_t x[31], uint64_t x0, const uint64_t *out,
                unsigned num);

/*
 * The REC with @index was destroyed: calls that name it, and that nobody could
 * complete any more, are answered.  The Realm's lock is held.
 */
void psci_target_gone(RmmRealm *realm, uint32_t index);

/* @rec begins to wait for the host, likewise: its target may be gone by now. */
void psci_check_target(RmmRec *rec);

/* RMI_PSCI_COMPLETE. */
uint64_t psci_complete(Rmm *rmm, uint64_t calling, uint64_t target,
                       uint64_t status);

/* Calls RMM_MIG_FID_FIRST to LAST from the host (session.c). */
void mig_handle(Rmm *rmm, RmmPe *pe);

/*
 * The function identifier of @pe's SMC: W0, without the hint that SVE state
 * is not in use (SMCCC 1.3, 2.5 and 2.6).
 */
static inline uint32_t pe_fid(const RmmPe *pe)
{
    return (uint32_t)pe->x[0] & ~SMCCC_SVE_HINT;
}

/* The REC that @pe runs. */
static inline RmmRec *pe_rec(const RmmPe *pe)
{
    return pe->rec;
}

#endif
