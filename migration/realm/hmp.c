/*
 * Realms: what info migrate says of them
 *
 * Lock rule: BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "migration/realm.h"
#include "monitor/monitor.h"

void realm_migration_show(Monitor *mon, const MigrationInfo *info)
{
    const RealmMigrationStats *stats = info->realm;

    if (!stats) {
        return;
    }
    monitor_printf(mon, "Realm: phase '%s', %s\n",
                   RealmMigrationPhase_str(stats->phase),
                   stats->holds ? "it can run here" : "it cannot run here");
    monitor_printf(mon, "Realm private pages: %" PRIu64 ", with tags: %" PRIu64
                   "\n", stats->private_pages, stats->tag_pages);
    monitor_printf(mon, "Realm remaining: %" PRIu64 " kbytes of %" PRIu64
                   " kbytes\n", stats->remaining >> 10, stats->total >> 10);
    monitor_printf(mon, "Realm bundles: %" PRIu64 ", %" PRIu64 " kbytes\n",
                   stats->bundles, stats->bytes >> 10);
    monitor_printf(mon, "Realm rounds: %" PRIu64 ", epochs: %" PRIu64
                   ", channels: %" PRIu32 "\n", stats->rounds, stats->epochs,
                   stats->channels);
}
