/*
 * A slow, obvious twin of the RMM model, for tests
 *
 * Purpose: says what RMI, RSI and PSCI have to answer.  It follows the text
 * of RMM 1.0 with arrays and linear scans: no descriptors, no locks, no
 * lookup tables, nothing of the library but its public headers.
 *
 * What is left out: the migration extension, tokens (no machine of ours has
 * a key then), and what a machine sees beside results (TLBs, tags).
 *
 * Invariant: a table entry is one TwinEntry; what it means for an IPA is
 * found by walking the tables of the Realm, which stand in a list.
 *
 * Lock rule: one thread.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TWIN_H
#define TWIN_H

#include <glib.h>
#include "rmm.h"
#include "rmm-abi.h"

typedef enum TwinGranule {
    TWIN_NS, TWIN_DELEGATED, TWIN_RD, TWIN_REC, TWIN_REC_AUX, TWIN_DATA,
    TWIN_RTT
} TwinGranule;

typedef enum TwinKind {
    TWIN_UNASSIGNED, TWIN_ASSIGNED, TWIN_TABLE,
    TWIN_UNASSIGNED_NS, TWIN_ASSIGNED_NS
} TwinKind;

typedef enum TwinState { TWIN_NEW, TWIN_ACTIVE, TWIN_SYSTEM_OFF } TwinState;

typedef struct TwinEntry {
    TwinKind kind;
    unsigned ripas;
    uint64_t pa;                /* ASSIGNED, TABLE; ASSIGNED_NS (with
                                   attributes) */
} TwinEntry;

typedef struct TwinTable {
    int level;
    uint64_t ipa;               /* of entry 0 */
    uint64_t pa;
    TwinEntry entry[512];
} TwinTable;

typedef enum TwinPending {
    TWIN_PENDING_NONE, TWIN_PENDING_PSCI, TWIN_PENDING_RIPAS,
    TWIN_PENDING_HOST_CALL
} TwinPending;

typedef struct TwinRec {
    struct TwinRealm *realm;
    uint64_t pa;
    unsigned index;
    bool exists;                /* false: destroyed, the index stays used */
    bool running;
    bool runnable;
    unsigned num_aux;
    uint64_t aux[16];
    uint64_t x[31];
    uint64_t pc;
    uint64_t run;
    uint64_t flags;             /* of the entry, while running */
    bool off;                   /* CPU_OFF was called */
    TwinPending pending;
    uint64_t psci[4];           /* X0 to X3 of a pending PSCI call */
    uint64_t host_call;
    uint64_t ripas_addr, ripas_top;
    unsigned ripas;
    bool change_destroyed;
    bool abort_unprotected, abort_emulatable, abort_external;
    uint64_t abort_esr, abort_far;
} TwinRec;

typedef struct TwinRealm {
    uint64_t rd;
    TwinState state;
    uint64_t flags;
    unsigned ipa_bits;
    int start;
    unsigned num_start;
    uint64_t rtt_base;
    uint16_t vmid;
    unsigned hash_algo;
    uint8_t rpv[64];
    uint8_t measurement[5][64];
    GPtrArray *tables;          /* TwinTable */
    GPtrArray *recs;            /* TwinRec, by index */
} TwinRealm;

typedef struct Twin {
    RmmPlatform platform;
    uint64_t pool;              /* PA of the first granule */
    unsigned num_granules;
    uint8_t *state;             /* TwinGranule of each */
    uint8_t *memory;            /* contents of each; RTTs: not kept */
    uint64_t ns_base;
    size_t ns_size;
    uint8_t *ns;
    GPtrArray *realms;          /* TwinRealm */
} Twin;

/* A PE; `rec` is the one it runs. */
typedef struct TwinPe {
    RmmPe pe;                   /* but for pe.rec, which is not used */
    TwinRec *rec;
} TwinPe;

Twin *twin_new(const RmmPlatform *platform, uint64_t pool, unsigned granules,
               uint64_t ns_base, size_t ns_size);
void twin_free(Twin *t);

/* As rmm_call and rmm_exception. */
void twin_call(Twin *t, TwinPe *pe);
void twin_exception(Twin *t, TwinPe *pe, const RmmSyndrome *syndrome);
void twin_interrupt(Twin *t, TwinPe *pe);

/* As rmm_stage2_walk, for memory that is always dirty. */
RmmFault twin_translate(const Twin *t, const TwinRealm *r, uint64_t ipa,
                        RmmAccess access, RmmTranslation *out);
/* As rmm_realm_pages. */
RmmPages twin_pages(const TwinRealm *r);

/* Objects at a PA, or NULL. */
TwinRealm *twin_realm(const Twin *t, uint64_t rd);
TwinRec *twin_rec(const Twin *t, uint64_t pa);
/* Index of the granule at @pa; -1 if it is none. */
int twin_granule(const Twin *t, uint64_t pa);
bool twin_granule_is(const Twin *t, uint64_t pa, TwinGranule state);
uint8_t *twin_memory(const Twin *t, uint64_t pa);
/* @len bytes of Non-secure memory, or NULL. */
void *twin_ns(const Twin *t, uint64_t pa, size_t len);

/* ---- between the twin's own files ---- */

void twin_set_granule(Twin *t, uint64_t pa, TwinGranule state);
void twin_foreign(Twin *t, uint64_t pa);
uint64_t twin_protected_top(const TwinRealm *r);
uint64_t twin_ipa_top(const TwinRealm *r);
uint64_t twin_bytes(int level);

/* Where a walk ended. */
typedef struct TwinWalk {
    TwinTable *table;
    unsigned index;
    int level;
    TwinEntry *entry;
} TwinWalk;

TwinWalk twin_walk(const TwinRealm *r, uint64_t ipa, int level);
void twin_start_tables(TwinRealm *r);
bool twin_start_live(const TwinRealm *r);

/* Calls on tables: X1 and up in @in and @out (numbered so); returns X0. */
uint64_t twin_rtt_call(Twin *t, unsigned number, const uint64_t *in,
                       uint64_t *out);

/* Memory of the Realm: NULL if RIPAS or the tables forbid it. */
uint8_t *twin_realm_memory(const Twin *t, const TwinRealm *r, uint64_t ipa,
                           bool *is_empty, int *level);

void twin_rim(TwinRealm *r, unsigned type, uint64_t first, uint64_t second,
              const uint8_t *hash);
void twin_hash(const TwinRealm *r, const void *data, size_t len,
               uint8_t out[64]);

uint64_t twin_rec_enter(Twin *t, TwinPe *pe, uint64_t rec, uint64_t run);
uint64_t twin_psci_complete(Twin *t, uint64_t calling, uint64_t target,
                            uint64_t status);
/* @gone was destroyed: calls that name it are answered. */
void twin_answer_who_waits(const TwinRec *gone);
/* An SMC from the Realm. */
void twin_rsi_or_psci(Twin *t, TwinPe *pe, uint64_t fid);
bool twin_mpidr(uint64_t mpidr, uint64_t *index);       /* RmiRecMpidr */
bool twin_psci_mpidr(uint64_t mpidr, uint64_t *index);  /* as MPIDR_EL1 */

#endif
