/*
 * Live migration of Realms: imports side by side (importer.c)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_REALM_IMPORTER_H
#define MIGRATION_REALM_IMPORTER_H

#include "channel.h"

/*
 * Called once.  @lost: any thread; whether the migration is over or has failed
 * in some other place, so that nothing more will come.
 */
void realm_importer_init(bool (*lost)(void));

/* A stream is about to be loaded, and nothing of it is left. */
void realm_importer_begin(void);
void realm_importer_end(void);

/* Start no import any more, and wait until the last one is over. */
void realm_importer_stop(void);

/*
 * For the thread that loads the main channel.  If an import has failed, on
 * any channel, each returns false (NULL) and says which.
 *
 * @room: where the next record goes, up to max_blob bytes.
 *
 * @add_memory: the room has a bundle of @size bytes, which is imported some
 * time.
 *
 * @import_state, @import_epoch: import the record in the room when all bundles
 * before are imported; of an epoch, those are @channel_bundles on channels
 * beside those of the main channel, and @size may be 0.
 *
 * @wait: until all bundles that were added are imported.
 */
uint8_t *realm_importer_room(Error **errp);
void realm_importer_add_memory(unsigned stream, size_t size);
bool realm_importer_import_state(size_t size, Error **errp);
bool realm_importer_import_epoch(uint64_t channel_bundles, size_t size,
                                 Error **errp);
bool realm_importer_wait(Error **errp);

/*
 * For the threads of multifd's channels: import @bundle when it is its turn.
 * Failures are for the main channel to tell.
 */
void realm_importer_take(const RealmPacket *packet, const void *bundle);

/* What came on a channel was no packet of ours, for the reason @err (freed). */
void realm_importer_fail(Error *err);

#endif
