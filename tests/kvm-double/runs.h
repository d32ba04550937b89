/*
 * Three runs of a Realm, for tests that change the answers of the kernel
 *
 * Purpose: a whole life of a Realm, the source's half of a migration, and the
 * destination's half, each from the start of the kernel to its end.  A run
 * succeeds only if the Realm's memory has the right contents.  However it ends,
 * it leaves nothing behind.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_KVM_DOUBLE_RUNS_H
#define TESTS_KVM_DOUBLE_RUNS_H

#include "double.h"

typedef struct Run {
    const char *name;
    const char *kernel;
    size_t page_size;
    bool (*go)(const struct Run *run, Error **errp);
    DoubleHook *hook;           /* off again before a failure is undone */
    void *opaque;
    RealmPhase *phase;          /* out: where it failed; or NULL */
    unsigned threads;           /* that export or import pages; 0: no others */
} Run;

bool run_life(const Run *run, Error **errp);
bool run_source(const Run *run, Error **errp);
bool run_destination(const Run *run, Error **errp);

/*
 * Start and end the process that is the other side of a migration.  It has to
 * start before any thread does.
 */
void runs_init(void);
void runs_end(void);

/*
 * Do @run.  If @count, the process must not have more descriptors, mappings or
 * bytes allocated at its end than at its start.
 */
bool run_counted(const Run *run, bool count, Error **errp);

#endif
