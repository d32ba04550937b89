/*
 * Live migration of Realms: the start token, last word of the stream
 *
 * Purpose: after the start token only the destination runs the Realm.  It
 * is a section of its own that is saved after all devices, so that whatever
 * fails before it leaves the source able to go on.
 *
 * Invariants: the destination commits only with this section, and cannot
 * run a vCPU before.
 *
 * Lock rule: BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "migration/migration.h"
#include "migration/vmstate.h"
#include "system/system.h"
#include "realm-migration.h"

#define MAX_TOKEN 256

typedef struct RealmStart {
    uint32_t size;
    uint8_t token[MAX_TOKEN];
} RealmStart;

static RealmStart the_start;

static int report(Error *err)
{
    migrate_set_error(migrate_get_current(), err);
    error_report_err(err);
    return -EINVAL;
}

static int realm_start_pre_save(void *opaque)
{
    RealmStart *start = opaque;
    RealmMigrationLimits limits;
    g_autofree uint8_t *buf = NULL;
    Error *err = NULL;
    ssize_t size;

    realm_backend()->migration_limits(&limits);
    buf = g_malloc(limits.max_blob);
    size = realm_backend()->export_start(buf, &err);
    if (size < 0) {
        return report(err);
    }
    assert(size <= MAX_TOKEN);
    start->size = size;
    memcpy(start->token, buf, size);
    return 0;
}

static int realm_start_post_load(void *opaque, int version_id)
{
    RealmStart *start = opaque;
    Error *err = NULL;

    if (start->size > MAX_TOKEN) {
        error_setg(&err, "realm-start section: the token has %" PRIu32
                   " bytes; at most %d are possible", start->size, MAX_TOKEN);
        return report(err);
    }
    if (!realm_backend()->import(start->token, start->size, &err) ||
        !realm_backend()->commit(&err)) {
        error_prepend(&err, "realm-start section: ");
        return report(err);
    }
    return 0;
}

static const VMStateDescription vmstate_realm_start = {
    .name = "realm-start",
    .version_id = 1,
    .minimum_version_id = 1,
    .pre_save = realm_start_pre_save,
    .post_load = realm_start_post_load,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT32(size, RealmStart),
        VMSTATE_BUFFER(token, RealmStart),
        VMSTATE_END_OF_LIST()
    }
};

/* Sections are saved in the order of registration: so register last. */
static void machine_done(Notifier *notifier, void *unused)
{
    vmstate_register(NULL, 0, &vmstate_realm_start, &the_start);
}

void realm_start_register(void)
{
    static Notifier notifier = { .notify = machine_done };

    qemu_add_machine_init_done_notifier(&notifier);
}
