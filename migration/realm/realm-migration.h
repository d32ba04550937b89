/*
 * Live migration of Realms: what the files of this folder share
 *
 * Purpose: the "realm" section of the migration stream relays what the source's
 * backend exports to the destination's backend.
 *
 * Files from leaf to root; each uses only those above it:
 *
 *     record.c        how blobs are framed in the stream (record.h)
 *     channel.c       how memory bundles are framed on multifd's channels
 *                     (channel.h)
 *     reply.c         what the destination sends back (reply.h)
 *     counters.c      how far a migration is
 *     convergence.c   whether it comes to an end (convergence.h)
 *     exporter.c      the source's threads, which export memory (exporter.h)
 *     supported.c     which kinds of migration work with a Realm
 *     config.c        "realm-config", the first section of the stream
 *     importer.c      imports side by side (importer.h)
 *     destination.c   the half of "realm" that loads, and the commit
 *     start.c         "realm-ready" and "realm-start", the last sections
 *     source.c        the half of "realm" that saves
 *     section.c       registers all of that (include/migration/realm.h)
 *     qmp.c           the commands
 *     hmp.c           what info migrate shows
 *     ram-hooks.c     pages of the "ram" section (ram-hooks.h)
 *
 * Invariants: blobs are opaque, and no file here includes one of an
 * accelerator.  The backend says where the Realm is, and is asked each time
 * that matters.
 *
 * Lock rule: the state of the source belongs to the migration thread while a
 * migration is active (setup and completion have the BQL as well), that of the
 * destination to the thread that loads, but importer.c has a lock.  Threads of
 * the exporter never take the BQL.  Counters are atomic.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_REALM_REALM_MIGRATION_H
#define MIGRATION_REALM_REALM_MIGRATION_H

#include "qapi/qapi-types-realm.h"
#include "migration/qemu-file.h"
#include "system/realm-backend.h"

#define REALM_SECTION "realm"
#define REALM_SECTION_VERSION 2

/* counters.c */

/* A migration begins, on @channels of multifd beside the main one. */
void realm_counters_reset(unsigned channels);

/* A blob of @size bytes that carries @pages pages was sent or loaded. */
void realm_counters_add_blob(size_t size, unsigned pages);

/* A round begins, in which @pages pages are to be exported. */
void realm_counters_begin_round(uint64_t pages);

/* An epoch was closed at the source, or its token has come. */
void realm_counters_end_epoch(void);

/* @pages pages of the round were exported, or needed no export. */
void realm_counters_exported(unsigned pages);

/* Pages of the round that are yet to be exported. */
uint64_t realm_counters_remaining(void);

/* Fill in all of @stats but phase, holds and nonce. */
void realm_counters_get(RealmMigrationStats *stats);

/* supported.c */

/*
 * Whether the mode and all capabilities that are on work with a Realm; else
 * @errp says what to turn off.
 */
bool realm_check_capabilities(Error **errp);

/* Whether a Realm may be sent through @f; else @errp says what to use. */
bool realm_check_channel(QEMUFile *f, Error **errp);

/* config.c */

/* Register the first section of the stream. */
void realm_config_register(void);

/* destination.c */

/* Called once, when the machine is created. */
void realm_destination_init(void);

/*
 * This machine will never run the Realm: returns the abort token in base64,
 * which the caller frees; NULL with @errp set if the backend refuses.
 */
char *realm_destination_give_up(Error **errp);

/* Give up because of a failure, and tell log and QMP. */
void realm_destination_fail(void);

/* The start token came, @size bytes at @token. */
bool realm_destination_import_token(const void *token, size_t size,
                                    Error **errp);

/* See SaveVMHandlers. */
int realm_destination_load_setup(QEMUFile *f, void *opaque, Error **errp);
int realm_destination_load(QEMUFile *f, void *opaque, int version_id);
bool realm_destination_load_packet(void *opaque, char *packet, size_t size,
                                   Error **errp);
int realm_destination_cleanup(void *opaque);

/* start.c */

/* Register the last two sections of the stream. */
void realm_start_register(void);

/* Keep them the last two, whatever was plugged in meanwhile. */
void realm_start_move_last(void);

/*
 * How long the source waits for the destination's confirmation, in ms, beside
 * what follows from downtime-limit; only tests change it.
 */
extern unsigned realm_start_base_ms;

/* source.c */

/* See SaveVMHandlers. */
int realm_source_prepare(void *opaque, Error **errp);
int realm_source_setup(QEMUFile *f, void *opaque, Error **errp);
void realm_source_pending_estimate(void *opaque, uint64_t *must_precopy,
                                   uint64_t *can_postcopy);
void realm_source_pending_exact(void *opaque, uint64_t *must_precopy,
                                uint64_t *can_postcopy);
int realm_source_iterate(QEMUFile *f, void *opaque);
int realm_source_complete(QEMUFile *f, void *opaque);
void realm_source_cleanup(void *opaque);

/* The machine is about to run: end a session that has paused the Realm. */
void realm_source_resume(void);

#endif
