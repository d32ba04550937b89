/*
 * Live migration of Realms: what the machine asks of it
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef INCLUDE_MIGRATION_REALM_H
#define INCLUDE_MIGRATION_REALM_H

#include "migration/qemu-file.h"
#include "qapi/qapi-types-migration.h"
#include "qemu/thread.h"

/*
 * The machine is a Realm (realm_backend_set): register its sections of the
 * stream, and block its migration if rme-guest says migration=off.  Called
 * once, under the BQL, before @prepare of the backend.  Errors end the program.
 */
void realm_migration_init(void);

/* What query-migrate and info migrate say of a Realm; of others, nothing. */
void realm_migration_info(MigrationInfo *info);
void realm_migration_show(Monitor *mon, const MigrationInfo *info);

/*
 * The Realm is about to end, and no start token was made: cancel a migration
 * that is under way.  BQL.
 */
void realm_migration_cancel(void);

/*
 * The thread of the source's return path has read the header of a message.
 * Returns whether it is one of ours, which was read from @f then; if it has no
 * place, @f has an error.
 */
bool realm_reply_get(QEMUFile *f, unsigned type, unsigned size);

/*
 * A channel of multifd is about to post @sem, and only the caller waits for it:
 * wait until it has, and leave @sem as it is.  Returns false if the migration
 * has failed, since then the channel may have ended instead.  Returns true at
 * once if the machine is no Realm.
 */
bool realm_source_wait_for_channel(QemuSemaphore *sem);
bool realm_destination_wait_for_channel(QemuSemaphore *sem);

/*
 * Both are for a Realm's machine; on others they do nothing.  A thread of
 * multifd sets the state to failed at any moment, without the BQL.
 *
 * Whether that has happened before the switchover; then there is none.
 */
bool realm_source_failed_before_switchover(void);

/*
 * Whether the thread of a migration that has failed still runs: a new migration
 * would take its file away.  @errp is set then.  BQL.
 */
bool realm_source_is_busy(Error **errp);

#endif
