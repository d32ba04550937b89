/*
 * What an onlooker may ask of the model: a monitor, a statistic
 *
 * Purpose: a picture of what the RMM holds.  None of it is secret from a host:
 * a RIM can be computed from what it loaded, states and numbers of granules
 * follow from its calls.
 *
 * Invariant: no lock is held for longer than it takes to copy one Realm's
 * attributes or to read one table.  So the picture is not of one moment: what
 * changes meanwhile is as before in one place and as after in another.
 *
 * Lock rule: any thread, at any time.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef RMM_QUERY_H
#define RMM_QUERY_H

#include "rmm.h"

typedef struct RmmQueryRec {
    uint64_t rec;               /* PA of the REC */
    uint64_t mpidr;             /* affinity fields, as in MPIDR_EL1 */
    uint32_t index;
    const char *state;          /* as in rec.h: "off", "ready", "running",
                                   "psci", "ripas" or "host-call" */
} RmmQueryRec;

typedef struct RmmQueryRealm {
    uint64_t rd;                /* PA of the RD */
    uint16_t vmid;
    const char *state;          /* as in realm.h: "new", "active" and so on */
    const char *hash_algo;      /* "sha-256" or "sha-512" */
    uint8_t rim[64];
    size_t rim_size;            /* bytes of it */
    uint8_t ipa_bits;
    bool lpa2;
    bool sve;
    unsigned sve_vl;            /* vector length in bits; 0 without SVE */
    bool pmu;
    unsigned pmu_num_ctrs;
    bool mte;                   /* extension */
    bool migration;             /* extension */
    RmmPages pages;
    RmmQueryRec *recs;          /* in order of index */
    unsigned num_recs;
} RmmQueryRealm;

typedef struct RmmQuery {
    RmmQueryRealm *realms;      /* in order of RD */
    unsigned num_realms;

    /* Since the model was made. */
    uint64_t calls[RMM_INTERFACES];     /* served, those that failed as well */
    uint64_t failed[RMM_INTERFACES];
    uint64_t exits[RMM_EXIT_REASONS];   /* of RECs */

    /* Granules that are not Non-secure, by what they are now. */
    struct {
        uint64_t delegated;
        uint64_t rd;
        uint64_t rec;
        uint64_t rec_aux;
        uint64_t rtt;
        uint64_t data;
    } granules;
} RmmQuery;

/* The caller frees it with rmm_query_free, which takes NULL as well. */
RmmQuery *rmm_query(Rmm *rmm);
void rmm_query_free(RmmQuery *query);

#endif
