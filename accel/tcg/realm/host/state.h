/*
 * Realms under TCG: our own host, and its state
 *
 * Purpose: the host's half of RMI, as KVM plays it on a real machine, on top
 * of the machine (accel/tcg/realm/machine.h).  Its files, from leaf to root:
 *
 *     state.c     the Realm that the host has, and results of RMI in words
 *     buffers.c   the host's own memory, which the RMM reads and writes
 *     mmu.c       granules, tables, pages, blocks, lent memory
 *     build.c     a Realm is built, and ends
 *     recs.c      RECs are entered, and their exits are answered
 *     backend.c   the seam to machine and migration (RealmBackendOps)
 *
 * Invariants: the host changes a Realm by RMI calls alone (realm_call).
 *
 * Lock rule: BQL; but what stays as it is once the Realm was created may be
 * read by any thread.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef ACCEL_TCG_REALM_HOST_STATE_H
#define ACCEL_TCG_REALM_HOST_STATE_H

#include "system/realm-backend.h"
#include "target/arm/realm/layout.h"

/* The REC of one vCPU. */
typedef struct RealmRec {
    uint64_t pa;                /* 0 until it was created */
    uint64_t run;               /* PA of the Non-secure run page */
    bool parked;                /* halted by us: it was about to execute */
} RealmRec;

typedef struct RealmHost {
    const RealmConfig *config;
    RealmLayout layout;
    uint64_t rd;                /* PA; 0 while there is no Realm */
    RealmRec *recs;             /* indexed by cpu_index */
} RealmHost;

extern RealmHost realm_host;

/* Whether RMI refused @what: @result says so, and @errp is set. */
bool realm_host_refused(const char *what, uint64_t result, Error **errp);

#endif
