/*
 * Realms: what a Realm Descriptor (RD) stands for
 *
 * Purpose: attributes, life cycle and lookup of a Realm.  The RD granule
 * itself stays zero; its contents are this structure.
 *
 *                     +--------------------------------> SYSTEM_OFF
 *                     |                 +---------------------^
 *   NEW ----------> ACTIVE ---------> EXPORT --> EXPORT_PAUSED --> EXPORTED
 *    |                ^ ^               |              |              |
 *    |                | +---------------+--------------+--------------+
 *    |                |   (export aborted; EXPORTED: with an abort token)
 *    +--> IMPORT -----+
 *            +------> FAILED
 *
 * From every state a Realm that is not live may be destroyed.
 *
 * Invariants: attributes above `state` never change after REALM_CREATE; the
 * RIM changes only in NEW (and when an import replaces it).
 *
 * Lock rule: `lock` covers everything from `state` on (lock.h, kind 2).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef RMM_REALM_H
#define RMM_REALM_H

#include <glib.h>
#include "lock.h"
#include "mig-abi.h"
#include "rmm-abi.h"

#define MEASUREMENT_SLOTS 5             /* RIM, then four REMs */
#define MEASUREMENT_BYTES 64

typedef enum RealmState {
    REALM_NEW,
    REALM_ACTIVE,
    REALM_SYSTEM_OFF,
    REALM_IMPORT,               /* destination: a session fills it */
    REALM_FAILED,               /* destination: the session failed; final */
    REALM_EXPORT,               /* source: runs while it is exported */
    REALM_EXPORT_PAUSED,        /* source: no REC runs, contents frozen */
    REALM_EXPORTED,             /* source: the destination may run it */
    REALM_STATES
} RealmState;

struct RmmRec;

typedef struct RmmRealm {
    Rmm *rmm;
    gint refs;                  /* atomic; Rmm.realms holds one */
    uint64_t rd;                /* PA of the RD granule */
    uint64_t flags;             /* RMI_REALM_*, as measured */
    uint64_t ext_flags;         /* RMI_REALM_EXT_* */
    uint64_t rtt_base;
    uint32_t rtt_num_start;
    int8_t rtt_level_start;
    uint8_t ipa_bits;
    uint16_t vmid;
    uint8_t hash_algo;          /* RMI_HASH_* */
    uint8_t sve_vl;
    uint8_t num_bps;
    uint8_t num_wps;
    uint8_t pmu_num_ctrs;
    uint8_t rpv[64];            /* personalization value */

    RmmMutex lock;
    RealmState state;           /* changed by realm_set_state only */
    bool destroyed;             /* lost a race with REALM_DESTROY */
    gint reclaimed;             /* the host took away what a session relies on;
                                   atomic, but changed with `lock` held */
    bool started;               /* destination: the start token came, and no
                                   page can come any more */
    uint64_t taken;             /* pages that went in IMPORT before that */
    uint64_t owed_from;         /* source: the session has collected nothing
                                   from this IPA on (rtt_owe_all) */
    uint32_t next_index;        /* of the next REC; counts up for ever */
    uint32_t num_recs;          /* RECs that exist */
    struct RmmRec *recs[RMM_MAX_RECS];  /* those, with NULL between them */
    uint8_t measurement[MEASUREMENT_SLOTS][MEASUREMENT_BYTES];
    uint8_t rim_base[MEASUREMENT_BYTES];        /* from ACTIVE on */
    MigHistory history;         /* from ACTIVE on */
    MigPolicy policy;           /* of no Realm without the flag; changes in
                                   NEW only, at most once: */
    bool policy_set;            /* else it is the default one */

    /* The migration session, if any, and how to free it with the Realm. */
    void *session;
    void (*session_free)(void *session);
} RmmRealm;

/*
 * Find the Realm whose RD is at @rd and lock it; NULL if there is none.
 * realm_unlock also drops the reference that this took.
 */
RmmRealm *realm_lock(Rmm *rmm, uint64_t rd);
void realm_unlock(RmmRealm *realm);
RmmRealm *realm_ref(RmmRealm *realm);
void realm_unref(RmmRealm *realm);

/* States (the diagram above). */
bool realm_transition_allowed(RealmState from, RealmState to);
void realm_set_state(RmmRealm *realm, RealmState to);   /* asserts allowed */

/* RECs may be entered. */
static inline bool realm_may_run(RealmState s)
{
    return s == REALM_ACTIVE || s == REALM_EXPORT;
}

/* Measured calls that build the initial contents. */
static inline bool realm_may_measure(RealmState s)
{
    return s == REALM_NEW;
}

/* REC_CREATE; not measured in IMPORT, since the RIM arrives by itself. */
static inline bool realm_may_add_rec(RealmState s)
{
    return s == REALM_NEW || s == REALM_IMPORT;
}

/*
 * Only the session may change what the Realm can see: there is no new page, no
 * change of RIPAS, no PSCI completion.
 */
static inline bool realm_is_frozen(RealmState s)
{
    return s == REALM_IMPORT || s == REALM_FAILED ||
           s == REALM_EXPORT_PAUSED || s == REALM_EXPORTED;
}

/* A session takes pages, and their dirty state says which ones are owed. */
static inline bool realm_is_exported(RealmState s)
{
    return s == REALM_EXPORT || s == REALM_EXPORT_PAUSED;
}

/*
 * The host has taken a table or a REC from the Realm, whose lock is held.  The
 * source counts what it exported since the pause as the whole Realm, the
 * destination counts what it imported: such a session can only fail from now on
 * ("Taking back" in docs/specs/realm-migration-stream.rst).
 */
static inline void realm_reclaimed(RmmRealm *realm)
{
    if (realm->state == REALM_IMPORT || realm->state == REALM_EXPORT_PAUSED) {
        g_atomic_int_set(&realm->reclaimed, 1);
    }
}

/*
 * Likewise a page of RAM.  Until the start token another one may come in its
 * place, and COMMIT waits for it.
 */
static inline void realm_page_reclaimed(RmmRealm *realm)
{
    if (realm->state == REALM_IMPORT && !realm->started) {
        realm->taken++;
    } else {
        realm_reclaimed(realm);
    }
}

/*
 * The host may fold pages to a block.  A block has one dirty state for all its
 * pages; a session needs one for each page, so it makes no new ones.
 */
static inline bool realm_may_fold_pages(RealmState s)
{
    return s == REALM_NEW || s == REALM_ACTIVE || s == REALM_SYSTEM_OFF;
}

static inline bool realm_has_lpa2(const RmmRealm *realm)
{
    return realm->flags & RMI_REALM_LPA2;
}

static inline RmmStage2 realm_tables(const RmmRealm *realm)
{
    return (RmmStage2) {
        .table = realm->rtt_base,
        .ipa_bits = realm->ipa_bits,
        .start_level = realm->rtt_level_start,
        .lpa2 = realm_has_lpa2(realm),
    };
}

static inline bool realm_has_mte(const RmmRealm *realm)
{
    return realm->ext_flags & RMI_REALM_EXT_MTE;
}

static inline bool realm_may_migrate(const RmmRealm *realm)
{
    return realm->ext_flags & RMI_REALM_EXT_MIGRATION;
}

static inline uint64_t realm_ipa_top(const RmmRealm *realm)
{
    return 1ull << realm->ipa_bits;
}

/* First IPA that is not protected (RMM 1.0, A5.2.1). */
static inline uint64_t realm_protected_top(const RmmRealm *realm)
{
    return 1ull << (realm->ipa_bits - 1);
}

/* [base, top) is aligned to granules, not empty and protected. */
bool realm_range_is_protected(const RmmRealm *realm,
                              uint64_t base, uint64_t top);

/* The calls; each returns the RMI result word. */
uint64_t realm_create(Rmm *rmm, uint64_t rd, uint64_t params_pa);
uint64_t realm_activate(Rmm *rmm, uint64_t rd);
uint64_t realm_destroy(Rmm *rmm, uint64_t rd);

#endif
