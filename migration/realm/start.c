/*
 * Live migration of Realms: readiness and start token, the end of the stream
 *
 * Purpose: after the start token only the destination can run the Realm.  So
 * the token is the last thing in the stream, and before the source makes it,
 * the destination has to confirm that it has loaded everything else.  If
 * anything fails before that, the source goes on with the Realm.
 *
 *     source                          destination
 *     realm-ready  --------------->   all of the stream so far is loaded
 *                  <---------------   ready record (reply.c)
 *     realm-start (token)  ------->   import
 *     QEMU's end of stream ------->   commit (destination.c)
 *                  <---------------   receipt, for source.c
 *
 * Invariants: the token is made only in the thread of a migration.
 *
 * Lock rule: BQL.  The source gives it up while it waits, so that the monitor
 * answers however long the destination takes.  By then the devices are saved
 * and no vCPU runs, and QEMU refuses to run, plug or migrate anything until the
 * migration is over.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "qemu/cutils.h"
#include "qemu/main-loop.h"
#include "qemu/timer.h"
#include "migration/migration.h"
#include "migration/options.h"
#include "migration/vmstate.h"
#include "system/system.h"
#include "realm-migration.h"
#include "reply.h"
#include "trace.h"

#define MAX_TOKEN REALM_MAX_START_TOKEN

/*
 * How long the source waits, while the guest stands still.  The destination
 * still loads what was on its way when the devices were saved.  The downtime
 * limit bounds how long sending that took, and loading may be some times
 * slower.  The base is for what takes time however little is left: devices, a
 * slow link.
 */
#define DOWNTIMES 10
unsigned realm_start_base_ms = 5000;

static uint64_t limit_ms(void)
{
    return realm_start_base_ms + DOWNTIMES * migrate_downtime_limit();
}

typedef struct RealmStart {
    uint32_t size;
    uint8_t token[MAX_TOKEN];
} RealmStart;

static RealmStart the_start;

/* Report @err (freed) as the reason why the migration fails. */
static int fail_migration(Error *err)
{
    migrate_set_error(migrate_get_current(), err);
    error_report_err(err);
    return -EINVAL;
}

/*
 * QEMU saves devices not only for a migration, and a command of the monitor can
 * do so while a migration waits.
 */
static bool in_migration(Error **errp)
{
    if (realm_backend()->phase() != REALM_PHASE_PAUSED ||
        !qemu_thread_is_self(&migrate_get_current()->thread)) {
        error_setg(errp, "Realm: its state leaves this machine in a migration "
                   "only; use migrate");
        return false;
    }
    return true;
}

static int realm_ready_pre_save(void *opaque)
{
    Error *err = NULL;

    if (!in_migration(&err)) {
        return fail_migration(err);
    }
    realm_reply_expect(true);
    return 0;
}

static int realm_ready_post_load(void *opaque, int version_id)
{
    uint8_t ready[REALM_MAX_REPLY];
    Error *err = NULL;
    ssize_t size = realm_backend()->import_ready(ready, &err);

    if (size < 0 || !realm_reply_put(ready, size, &err)) {
        error_prepend(&err, "realm-ready section: ");
        return fail_migration(err);
    }
    return 0;
}

/* Whether the migration has failed since its state was @state, and why. */
static bool has_failed(MigrationState *s, int state, Error **errp)
{
    QEMUFile *back = s->rp_state.from_dst_file;

    if (qatomic_read(&s->state) != state) {
        error_setg(errp, "Realm: the migration was cancelled before its start "
                   "token");
        return true;
    }
    if (migrate_has_error(s) || qemu_file_get_error(s->to_dst_file) ||
        (back && qemu_file_get_error(back))) {
        error_setg(errp, "Realm: the destination did not load it; see its "
                   "log");
        return true;
    }
    return false;
}

/* Wait for the ready record, without the BQL; returns its size, or 0. */
static size_t wait_answer(MigrationState *s, int state,
                          uint8_t ready[REALM_MAX_REPLY], Error **errp)
{
    const int64_t begin = qemu_clock_get_ms(QEMU_CLOCK_REALTIME);
    const uint64_t limit = limit_ms();
    size_t size;

    qemu_fflush(s->to_dst_file);
    while ((size = realm_reply_take(ready)) == 0) {
        if (has_failed(s, state, errp)) {
            return 0;
        }
        if (qemu_clock_get_ms(QEMU_CLOCK_REALTIME) - begin > limit) {
            error_setg(errp, "Realm: the destination did not answer within "
                       "%" PRIu64 " ms; if it is only slow, raise "
                       "downtime-limit", limit);
            return 0;
        }
        g_usleep(100);
    }
    trace_realm_start_ready(qemu_clock_get_ms(QEMU_CLOCK_REALTIME) - begin);
    return size;
}

/* Wait until the destination has loaded all that was sent so far. */
static size_t wait_ready(uint8_t ready[REALM_MAX_REPLY], Error **errp)
{
    MigrationState *s = migrate_get_current();
    const int state = s->state;
    size_t size;

    bql_unlock();
    size = wait_answer(s, state, ready, errp);
    bql_lock();
    return size && !has_failed(s, state, errp) ? size : 0;
}

/* Returns the size of the token, or -1. */
static ssize_t make_token(uint8_t token[MAX_TOKEN], Error **errp)
{
    uint8_t ready[REALM_MAX_REPLY];
    size_t size = wait_ready(ready, errp);

    return size ? realm_backend()->export_start(ready, size, token, errp) : -1;
}

static int realm_start_pre_save(void *opaque)
{
    RealmStart *start = opaque;
    Error *err = NULL;
    ssize_t size;

    if (!in_migration(&err)) {
        return fail_migration(err);
    }
    memset(start, 0, sizeof(*start));
    size = make_token(start->token, &err);
    if (size < 0) {
        return fail_migration(err);
    }
    start->size = size;
    realm_reply_expect(true);
    return 0;
}

/* The padding is checked as well: a stream has one form. */
static bool import_token(const RealmStart *start, Error **errp)
{
    if (start->size > MAX_TOKEN) {
        error_setg(errp, "the token has %" PRIu32 " bytes; at most %d are "
                   "possible", start->size, MAX_TOKEN);
        return false;
    }
    if (!buffer_is_zero(start->token + start->size,
                        MAX_TOKEN - start->size)) {
        error_setg(errp, "what follows the token is not zero");
        return false;
    }
    return realm_destination_import_token(start->token, start->size, errp);
}

static int realm_start_post_load(void *opaque, int version_id)
{
    Error *err = NULL;

    if (!import_token(opaque, &err)) {
        error_prepend(&err, "realm-start section: ");
        fail_migration(err);
        realm_destination_fail();
        return -EINVAL;
    }
    return 0;
}

static const VMStateDescription vmstate_realm_ready = {
    .name = "realm-ready",
    .version_id = 1,
    .minimum_version_id = 1,
    .pre_save = realm_ready_pre_save,
    .post_load = realm_ready_post_load,
    .fields = (const VMStateField[]) {
        VMSTATE_END_OF_LIST()
    }
};

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

/* Sections are saved in the order of registration. */
static void register_sections(void)
{
    vmstate_register(NULL, 0, &vmstate_realm_ready, &the_start);
    vmstate_register(NULL, 0, &vmstate_realm_start, &the_start);
}

void realm_start_move_last(void)
{
    vmstate_unregister(NULL, &vmstate_realm_ready, &the_start);
    vmstate_unregister(NULL, &vmstate_realm_start, &the_start);
    register_sections();
}

static void machine_done(Notifier *notifier, void *unused)
{
    register_sections();
}

void realm_start_register(void)
{
    static Notifier notifier = { .notify = machine_done };

    qemu_add_machine_init_done_notifier(&notifier);
}
