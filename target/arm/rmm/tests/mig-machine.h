/*
 * A machine with one Realm that migrates, for tests
 *
 * Purpose: plays host and Realm around one RMM model: lends granules, makes
 * tables, RECs and pages, writes to pages as the Realm does, and moves
 * records between two machines.  A test may change, drop or repeat records
 * on the way.
 *
 * Lock rule: one thread, but for machine_send_pages and machine_receive,
 * which may run for different streams at a time.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIG_MACHINE_H
#define MIG_MACHINE_H

#include <glib.h>
#include <pthread.h>
#include "interrupt.h"
#include "mig-abi.h"
#include "rmm-abi.h"

#define MACHINE_RECS      3
#define MACHINE_CONTEXT   777
#define MACHINE_NS        0x10000000ull
#define MACHINE_GRANULES  0x80000000ull
#define MACHINE_IPA_BITS  33
#define MACHINE_TOP       (1ull << (MACHINE_IPA_BITS - 1))
#define MACHINE_RAM_TOP   (1ull << 30)      /* RIPAS RAM below, EMPTY above */

typedef struct MachineParams {
    uint64_t flags;             /* RMI_REALM_* */
    uint64_t ext_flags;         /* RMI_REALM_EXT_* */
    uint8_t ipa_bits, hash_algo, num_bps, num_wps, rpv0;
    uint8_t start_level, sve_vl, pmu_num_ctrs;
    unsigned num_recs;
    size_t granules;            /* memory of the machine */
    MigPolicy policy;           /* version 0: none is set */
    GBytes *platform_key;       /* DER, not owned; NULL: that of test-keys.h */
    uint32_t seed;              /* of its random numbers; 0: one of its own */
} MachineParams;

typedef struct Machine {
    Rmm *rmm;
    MachineParams params;
    uint8_t *ns, *granules, *tags;
    size_t ns_size;
    pthread_mutex_t lock;       /* covers the next one */
    uint64_t next_granule;
    pthread_mutex_t tables_lock;        /* before `lock`; covers the next one */
    GHashTable *tables;         /* IPA >> 21: has a table of pages */
    uint64_t rd, recs[RMM_MAX_RECS];
    uint8_t contexts[RMM_MAX_RECS][MACHINE_CONTEXT];
    bool refuse_context;        /* neither give one nor take one */
    gint invalidations;
    /* If set: collecting is about to wait for PEs */
    void (*on_sync)(void *opaque);
    void *on_sync_opaque;
    /* If set: whether Non-secure memory has gone away, asked at each use */
    bool (*ns_gone)(void *opaque);
    void *ns_gone_opaque;
    pthread_rwlock_t *in_realm; /* if set: PEs hold it as readers */
    GRand *rand;                /* of the keys: another for each machine */
    /* If set, sees what the RMM drew. */
    void (*drawn)(void *opaque, const void *buf, size_t len);
    void *drawn_opaque;
    const uint8_t *script;      /* if set, what it draws first */
    size_t script_left;
    uint64_t now;               /* of its clock, in seconds */
    uint64_t nonce[4];          /* for which it makes its offer */
} Machine;

extern const MachineParams machine_defaults;

/* A new platform key, in DER, and its point */
GBytes *machine_new_key(void);
void machine_key_point(GBytes *key, uint8_t point[96]);
MigAnchor machine_anchor(GBytes *key);

/* With an empty Realm in NEW, with its policy and its RECs */
Machine *machine_new(const MachineParams *params);
void machine_free(Machine *m);

/* An SMC from the host; @out gets X1 to X4 if it is not NULL */
uint64_t machine_smc(Machine *m, uint64_t fid, const uint64_t in[7],
                     uint64_t out[4]);
#define SMC(m, fid, ...) \
    machine_smc(m, fid, (const uint64_t[7]) { __VA_ARGS__ }, NULL)
#define SMC_OUT(m, out, fid, ...) \
    machine_smc(m, fid, (const uint64_t[7]) { __VA_ARGS__ }, out)
#define MIG(m, n, ...) SMC(m, MIG_FID_BASE + (n), (m)->rd, ##__VA_ARGS__)
#define MIG_OUT(m, out, n, ...) \
    SMC_OUT(m, out, MIG_FID_BASE + (n), (m)->rd, ##__VA_ARGS__)

#define REFUSED(cause) RMI_RESULT(RMI_ERROR_REALM, cause)

uint64_t machine_granule(Machine *m);       /* DELEGATED, never used */
void machine_table(Machine *m, uint64_t ipa);
void machine_add_page(Machine *m, uint64_t ipa);
void machine_add_rec(Machine *m, unsigned index);
void machine_activate(Machine *m);

/* As the Realm: where the page is (dirty if @write), or NULL */
uint8_t *machine_page(Machine *m, uint64_t ipa, bool write, uint8_t **tags);

/* Fill a page and its tags with random bytes */
void machine_scribble(Machine *m, uint64_t ipa, GRand *rand);

/* REALM_* of realm.h, and the REC as the model sees it */
int machine_state(Machine *m);
struct RmmRec *machine_rec(Machine *m, unsigned index);
struct MigSession *machine_session(Machine *m);

/* Non-secure memory: two areas per stream, and one for lists */
#define NS_STRIDE        (4ull << 20)
#define NS_BLOB(stream)  (MACHINE_NS + (stream) * NS_STRIDE)
#define NS_LIST(stream)  (NS_BLOB(stream) + (3ull << 20))
#define NS_BITMAP        NS_BLOB(MIG_MAX_STREAMS)
void *machine_ns(Machine *m, uint64_t pa);

/* ---- records on the way ---- */

typedef GByteArray Record;

/* Result of the last export that made no record */
Record *machine_record(Machine *m, uint64_t result, uint64_t bytes,
                       unsigned stream);

/* Until both sides have keys: result of the first call that failed */
uint64_t machine_connect(Machine *src, Machine *dst, Record **begin);
/* The offers of @dst are for @src from now on */
uint64_t machine_prepare(Machine *src, Machine *dst);
uint64_t machine_offer(Machine *dst, Record **offer);
uint64_t machine_accept(Machine *src, const Record *offer);

/* The abort token of the destination, and the source's way back with it */
uint64_t machine_abort(Machine *dst, Record **token);
uint64_t machine_resume(Machine *src, const Record *token);

uint64_t machine_set_policy(Machine *m, const MigPolicy *policy);

/* All IPAs that are pending, after collecting the Realm's whole space */
GArray *machine_collect(Machine *m);

/* One memory bundle; NULL if no page was left to send */
Record *machine_send_pages(Machine *m, const uint64_t *ipas, size_t count,
                           unsigned stream);

/* Import any record as the host does: makes tables and lends granules */
uint64_t machine_receive(Machine *m, const Record *record);

/* Control records; NULL with the result in *@result */
Record *machine_export(Machine *m, unsigned call, uint64_t arg,
                       uint64_t *result);

/* Records of a paused Realm but pages and start token: the map and RECs */
GPtrArray *machine_final_records(Machine *m);

/* The ready record of a destination that has all of them */
uint64_t machine_ready(Machine *dst, Record **ready);

/*
 * What a destination would say that has all that was sent, for tests that send
 * it later, or never; made with the source's keys.
 */
Record *machine_forge_ready(Machine *src);

/* The start token, for @ready, or for a forged one if that is NULL */
Record *machine_start(Machine *src, const Record *ready, uint64_t *result);

/* The receipt of a Realm that has arrived, and what the source makes of it */
uint64_t machine_receipt(Machine *dst, Record **receipt);
uint64_t machine_finish(Machine *src, const Record *receipt);

#endif
