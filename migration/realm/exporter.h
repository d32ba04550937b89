/*
 * Live migration of Realms: threads that export memory bundles
 *
 * Purpose: the source exports bundles while others are on their way.  With
 * multifd there is a thread for each channel, and a bundle goes to a channel as
 * soon as it is exported.  Else one thread exports, and the migration thread
 * writes what is exported to the main channel; where it would have to wait, it
 * exports as well.
 *
 * Bundle k uses stream k modulo max_streams.  The next one of a stream is
 * exported when the one before has left, or is sure to leave before it.
 *
 * A bundle has at most REALM_EXPORTER_MAX_PAGES pages, so that what a thread
 * works on stays in its core's cache.  There are at most 8 bundles, which take
 * 2.2 MB with tags; multifd has a copy of one more for each channel.
 *
 * When a user cancels, QEMU ends the main channel only.  Threads that have
 * nothing to do look for that, and end the others: if the peer does not read,
 * ram.c would wait for multifd for ever.
 *
 * Invariants: nothing is exported unless realm_exporter_add() was called after
 * the last realm_exporter_drain().  So a caller that drains before it begins a
 * round keeps the promise of the RMM: no page leaves before the flush of its
 * collection is over.  After a failure nothing is exported any more.
 *
 * Lock rule: the functions here belong to the migration thread while it runs,
 * to the main loop afterwards; realm_exporter_stop() may be called by both.
 * The exporter's threads take no lock of QEMU's while they hold the exporter's,
 * and never the BQL, which callers may hold.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_REALM_EXPORTER_H
#define MIGRATION_REALM_EXPORTER_H

#include "migration/qemu-file.h"
#include "system/realm-backend.h"

#define REALM_EXPORTER_MAX_PAGES 64

typedef struct RealmExporter RealmExporter;

/* Start the threads; @on_channels: multifd carries the bundles. */
RealmExporter *realm_exporter_new(const RealmMigrationLimits *limits,
                                  bool on_channels);

/* The most pages in a bundle. */
unsigned realm_exporter_max_pages(const RealmExporter *e);

/*
 * Have @n pages exported in a bundle of their own, and wait as long as too many
 * are under way.  Bundles that are exported meanwhile go to @f, unless there
 * are channels.
 *
 * This and the next return false with @errp set if a bundle could not be
 * exported or sent, this one or any before, or if @f has an error.  Then
 * nothing is exported any more.
 */
bool realm_exporter_add(RealmExporter *e, QEMUFile *f, const uint64_t *pages,
                        unsigned n, Error **errp);

/* Wait until all bundles are with the channels, or in @f. */
bool realm_exporter_drain(RealmExporter *e, QEMUFile *f, Error **errp);

/* How many bundles the epoch has so far; drained. */
uint64_t realm_exporter_bundles(RealmExporter *e);

/*
 * The epoch ends; drained.  Returns how many of its bundles went on channels.
 */
uint64_t realm_exporter_end_epoch(RealmExporter *e);

/* When this returns, nothing is exported, now or later. */
void realm_exporter_stop(RealmExporter *e);

/*
 * Stop and free @e, which may be NULL.  A thread that waits for a channel whose
 * peer does not read is set free by shutting all channels down: the migration
 * has failed then.
 */
void realm_exporter_free(RealmExporter *e);

#endif
