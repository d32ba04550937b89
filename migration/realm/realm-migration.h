/*
 * Live migration of Realms: what the files of the "realm" section share
 *
 * Purpose: one section of the migration stream relays what the source's
 * backend exports to the destination's.  source.c and destination.c are its
 * two halves, section.c registers them, config.c is the first word of the
 * stream, start.c the last, qmp.c has the commands.
 *
 * Invariants: blobs are opaque; this folder includes nothing of an
 * accelerator.  Where the Realm is, the backend says whenever that matters.
 *
 * Lock rule: the source's state belongs to the migration thread while a
 * migration is active (setup and completion have the BQL as well); the
 * destination's to the thread that loads.  Statistics are atomic.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_REALM_REALM_MIGRATION_H
#define MIGRATION_REALM_REALM_MIGRATION_H

#include "qemu/stats64.h"
#include "migration/qemu-file.h"
#include "system/realm-backend.h"

#define REALM_SECTION "realm"
#define REALM_SECTION_VERSION 1

typedef struct RealmMigrationCounters {
    Stat64 private_pages, tag_pages, bundles, bytes, rounds;
    Stat64 remaining, total;    /* bytes of private memory */
} RealmMigrationCounters;

extern RealmMigrationCounters realm_migration_counters;

void realm_migration_counters_reset(void);
/* Count a blob of @size bytes that carries @pages pages. */
void realm_migration_count(size_t size, unsigned pages);

/* source.c: whether a Realm may be sent through @f, to another QEMU. */
bool realm_source_check_channel(QEMUFile *f, Error **errp);

/* See SaveVMHandlers for when each is called, and its result. */
int realm_source_prepare(void *opaque, Error **errp);
int realm_source_setup(QEMUFile *f, void *opaque, Error **errp);
void realm_source_pending_estimate(void *opaque, uint64_t *must_precopy,
                                   uint64_t *can_postcopy);
void realm_source_pending_exact(void *opaque, uint64_t *must_precopy,
                                uint64_t *can_postcopy);
int realm_source_iterate(QEMUFile *f, void *opaque);
int realm_source_complete(QEMUFile *f, void *opaque);
void realm_source_cleanup(void *opaque);

/* Whether all capabilities that are on were seen to work with Realms. */
bool realm_check_capabilities(Error **errp);

/*
 * Give up what a migration has left open, if no migration needs it.  False
 * with @errp set if the backend cannot now; then ask again.
 */
bool realm_source_abort(Error **errp);

/* The machine is about to run: a session that has paused it is over. */
void realm_source_resume(void);

/* destination.c: called once. */
void realm_destination_init(void);

/*
 * This machine will never run the Realm: the abort token in base64, which the
 * caller frees; NULL with @errp set if the Realm cannot be given up.
 */
char *realm_destination_give_up(Error **errp);

/* Give up because of a failure, and tell everybody. */
void realm_destination_fail(void);

int realm_destination_load_setup(QEMUFile *f, void *opaque, Error **errp);
int realm_destination_load(QEMUFile *f, void *opaque, int version_id);
int realm_destination_cleanup(void *opaque);

/* config.c: register the first section of the stream. */
void realm_config_register(void);

/* start.c: register the last two sections of the stream. */
void realm_start_register(void);

/* For load_setup and load_cleanup: what commits when the stream ends well. */
int realm_start_load_setup(Error **errp);
void realm_start_load_cleanup(void);

/*
 * How long the source waits for the answer, beside what follows from
 * downtime-limit; only tests change it.
 */
extern unsigned realm_start_base_ms;

/* Keep them the last two, whatever was plugged in meanwhile. */
void realm_start_move_last(void);

#endif
