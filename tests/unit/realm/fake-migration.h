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
#include "qapi/qapi-types-migration.h"
#include "system/runstate.h"

#define FAKE_MAX_DEVICES 8

typedef struct FakeDevice {
    const VMStateDescription *vmsd;
    void *opaque;
} FakeDevice;

typedef struct FakeMigration {
    /* Registered; devices are in the order in which QEMU saves them. */
    const SaveVMHandlers *handlers;
    NotifierWithReturn *postcopy;
    FakeDevice devices[FAKE_MAX_DEVICES];
    unsigned num_devices;
    VMChangeStateHandler *vm_changed;

    /* Answers. */
    const char *unsupported;            /* a transport or mode, or NULL */
    bool no_return_path, broken_return_path;
    QEMUFile *back;             /* the destination's; else @sent has it */
    unsigned downtime_limit;            /* ms */
    char *error;                        /* the first one, or NULL */

    int throttle;                       /* of the vCPUs, in percent */

    unsigned failures;                  /* told by event, with a token */
    bool loading;                       /* this is the destination now */
    GByteArray *sent;                   /* on the return path, at the last
                                           load; NULL before the first */

    /* Called whenever the source looks whether the migration failed. */
    void (*meanwhile)(void);

    /*
     * Of multifd, 0: off.  A channel takes packets (GByteArray) into @packets
     * in the order in which they come; from packet number @broken on (from 1,
     * 0: none) it fails, and while @stuck it waits for a yank.
     */
    unsigned channels, broken;
    bool stuck;
    GPtrArray *packets;
    unsigned yanks;

    /*
     * Between two processes: a byte behind each device, as in QEMU's stream,
     * or loading one would wait for the next.
     */
    bool footers;
} FakeMigration;

extern FakeMigration fake_migration;

/* Set the state of the migration, and the file that it writes to. */
void fake_migration_state(int state, QEMUFile *f);

/* Switch a capability, or all of them off. */
void fake_migration_capability(MigrationCapability capability, bool on);
void fake_migration_no_capability(void);

/* Those of the migration, for a test to set. */
MigrationParameters *fake_migration_parameters(void);

/* There are @channels, which have taken no packet so far. */
void fake_migration_channels(unsigned channels);

/*
 * A message came on the return path.  Returns whether it is one of ours, and
 * has a place; if it ends the return path, the migration has that error.
 */
bool fake_migration_message(const void *bytes, size_t size);

/*
 * Save or load devices: those of the setup or those of the completion; from
 * the one named @until on (if not NULL) none.
 */
bool fake_migration_save(QEMUFile *f, bool setup);
bool fake_migration_load(QEMUFile *f, bool setup, const char *until);

/*
 * What QEMU does before it loads a stream, and after it, which was a success
 * so far if @ok; returns whether it was one.
 */
void fake_migration_load_begin(QEMUFile *f);
bool fake_migration_load_end(bool ok);

#endif
