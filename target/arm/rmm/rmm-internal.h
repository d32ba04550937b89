/*
 * What the files of the RMM model share
 *
 * Purpose: struct Rmm, and what the library asks of the machine (ops.c).
 *
 * The files of the library from leaf to root: a file calls functions of files
 * that stand before it, and of no others (`upstream/overlay circles`).
 *
 *   formats and ciphers: cbor-make cbor-read cose certificates crypto
 *     bundle
 *   the machine: lock granule ops
 *   what is said of a Realm: measurement software token attest
 *     history
 *   Realms and their tables: rtt-leaf rtt realm rtt-data rtt-dirty
 *   RECs: rec rec-exit walk query
 *   calls of RMM 1.0: dispatch exception rsi rec-enter psci rmi
 *   migration: mig-call policy session reply export import import-memory
 *     commit mig
 *   entry from both worlds: rmm
 *
 * Lock rule: see lock.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef RMM_INTERNAL_H
#define RMM_INTERNAL_H

#include <glib.h>
#include "lock.h"

#if G_BYTE_ORDER != G_LITTLE_ENDIAN
#error "the RMM model keeps little-endian structures: little-endian hosts only"
#endif

/*
 * What threads count, each in its own stripe, atomically: stripes share no
 * cache line.
 */
#define RMM_STRIPES 64

typedef struct WalkerStripe {
    gint inside;
    char pad[64 - sizeof(gint)];
} WalkerStripe;

typedef struct CallStripe {             /* for rmm_query */
    uint64_t calls[RMM_INTERFACES];
    uint64_t failed[RMM_INTERFACES];
    uint64_t exits[RMM_EXIT_REASONS];
    uint64_t pad;
} CallStripe;

_Static_assert(sizeof(CallStripe) % 64 == 0, "it fills its cache lines");

#define GRANULE_TOP_BITS 9

struct Rmm {
    RmmOps ops;
    void *opaque;
    RmmPlatform platform;

    /* What it offers to others; tests make it another release of itself. */
    uint64_t mig_features;              /* MIG_FEATURE_* */
    uint64_t mig_minor;                 /* of MIG_VERSION */
    uint32_t mig_entries;               /* MIG_COMMIT_ENTRIES */

    void *granules[1 << GRANULE_TOP_BITS];      /* private to granule.c */

    RmmMutex lock;                      /* covers the three below */
    GHashTable *realms;                 /* PA of RD -> RmmRealm */
    GHashTable *recs;                   /* PA of REC -> RmmRec */
    GHashTable *vmids;                  /* set of used VMIDs */

    WalkerStripe walkers[RMM_STRIPES];
    CallStripe served[RMM_STRIPES];
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
 * A call that takes something away from a Realm does so in three steps:
 *
 *   1. With the Realm's lock it changes the entry and calls
 *      RmmOps.tlb_invalidate.
 *   2. Without any lock it calls this, after which no PE reaches what the
 *      entry named.
 *   3. Granules become DELEGATED, the VMID is free, collected pages may leave.
 *
 * The caller holds no lock in step 2, since a PE that has to drop its
 * translations may be waiting for a lock, or for a thread that waits for one.
 * Step 3 is last, since nobody may get what a PE still reaches.
 */
void rmm_tlb_sync(Rmm *rmm);

/* Tell RmmOps.log, of what is on a hot path only if the machine wants all. */
void rmm_log(Rmm *rmm, const RmmLog *entry, bool hot);

/* Copy @len bytes of Non-secure memory once; false if it is not. */
bool rmm_read_ns(Rmm *rmm, void *buf, uint64_t pa, size_t len);
/* True if it is now; the host may take it away at any moment. */
bool rmm_is_ns(Rmm *rmm, uint64_t pa, size_t len);
bool rmm_write_ns(Rmm *rmm, uint64_t pa, const void *buf, size_t len);

#endif
