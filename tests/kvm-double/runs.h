/*
 * Three runs of a Realm, for tests that change the answers of the kernel
 *
 * Purpose: a whole life, the source's half of a migration, and the
 * destination's, each from the start of the kernel to its end.  A run ends
 * well only if the Realm's memory is what it has to be; whatever happens,
 * nothing is left of it.
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
    DoubleHook *hook;           /* from the start to what undoes a failure */
    void *opaque;
} Run;

bool run_life(const Run *run, Error **errp);
bool run_source(const Run *run, Error **errp);
bool run_destination(const Run *run, Error **errp);

/*
 * Starts the process that is the other side of a migration; before threads.
 * At the end of @run, its descriptors, mappings and allocations have to be
 * those of its beginning, if @count.
 */
void runs_init(void);
void runs_end(void);
bool run_counted(const Run *run, bool count, Error **errp);

#endif
