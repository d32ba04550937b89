/*
 * As much of QEMU's migration as the "realm" section calls
 *
 * Purpose: for tests of migration/realm/: keep what it registers, and answer
 * what it asks.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_UNIT_REALM_FAKE_MIGRATION_H
#define TESTS_UNIT_REALM_FAKE_MIGRATION_H

#include "migration/qemu-file.h"
#include "migration/register.h"
#include "migration/vmstate.h"
#include "system/runstate.h"

typedef struct FakeMigration {
    /* Registered by the section. */
    const SaveVMHandlers *handlers;
    const VMStateDescription *last;     /* the section after all devices */
    void *last_opaque;
    VMChangeStateHandler *vm_changed;

    /* Answers. */
    const char *capability;             /* the one that is on, or NULL */
    bool savevm;
    char *error;                        /* set by the section, or NULL */
} FakeMigration;

extern FakeMigration fake_migration;

/* Set the state of the migration, and the file that it writes to. */
void fake_migration_state(int state, QEMUFile *f);

#endif
