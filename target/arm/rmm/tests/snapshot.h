/*
 * Snapshots: all that a model and its test machine hold, to compare later
 *
 * Purpose: prove that a call that was refused has changed nothing.
 *
 * Invariant: a snapshot takes objects byte by byte, whatever their members
 * are, so it covers a new member from its first day.  It leaves out locks (one
 * that is held shows in SNAPSHOT_MODEL), and pointers to objects that it takes
 * themselves.
 *
 * Lock rule: no other thread is inside the model.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef SNAPSHOT_H
#define SNAPSHOT_H

#include "fake-machine.h"

typedef enum SnapshotKind {
    SNAPSHOT_GRANULES,          /* state and lock bit of each granule */
    SNAPSHOT_CONTENTS,          /* of granules: descriptors, pages */
    SNAPSHOT_TAGS,
    SNAPSHOT_NS,                /* Non-secure memory */
    SNAPSHOT_REALMS,            /* with measurements */
    SNAPSHOT_RECS,              /* with tokens */
    SNAPSHOT_SESSIONS,          /* of migrations */
    SNAPSHOT_VMIDS,
    SNAPSHOT_MODEL,             /* platform, walkers, locks not held */
    SNAPSHOT_MACHINE,           /* what it was asked for: TLBs, randomness */
    SNAPSHOT_KINDS
} SnapshotKind;

typedef struct Snapshot {
    uint64_t digest[SNAPSHOT_KINDS];
} Snapshot;

uint64_t snapshot_digest(FakeMachine *m, SnapshotKind kind);
Snapshot snapshot_take(FakeMachine *m);

/* The first kind that is not as it was, or NULL. */
const char *snapshot_difference(FakeMachine *m, const Snapshot *before);

/* @expr must give @result and change nothing. */
#define fake_refused(m, expr, result) do {                              \
        Snapshot before_ = snapshot_take(m);                            \
        g_assert_cmphex((expr), ==, (result));                          \
        g_assert_cmpstr(snapshot_difference(m, &before_), ==, NULL);    \
    } while (0)

#endif
