/*
 * Live migration of Realms: readiness and start token, the end of the stream
 *
 * Purpose: after the start token only the destination runs the Realm.  So
 * the token is the last word of the stream, and before it the destination
 * has to confirm that it has loaded everything else: whatever fails until
 * then leaves the source able to go on.
 *
 *     source                          destination
 *     realm-ready  --------------->   all of the stream so far is loaded
 *                  <---------------   switchover ack, on the return path
 *     realm-start (token)  ------->   import
 *     QEMU's end of stream ------->   commit
 *
 * QEMU's message for "go ahead with the switchover" serves as confirmation;
 * where the capability switchover-ack is on, QEMU used it up by then.
 *
 * The commit waits for the end of the stream because of what may fail until
 * then: after it the destination cannot give the Realm back.  QEMU has no
 * handler there, but waits for the threads that help to load.  It also takes
 * a stream that ends early for a whole one; so the thread says if the token
 * is missing.
 *
 * Invariants: the destination commits only with this section, and cannot
 * run a vCPU before.  The token is made for the migration's own thread only.
 *
 * Lock rule: BQL, which the source gives up while it waits, so that the
 * monitor answers however long the destination takes.  The devices have been
 * saved then and no vCPU runs; QEMU refuses to run, plug or migrate anything
 * until the migration is over.  switchover_acked is set by the return path's
 * thread.
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
#include "migration/misc.h"
#include "migration/options.h"
#include "migration/vmstate.h"
#include "system/system.h"
#include "realm-migration.h"
#include "trace.h"

#define MAX_TOKEN REALM_MAX_START_TOKEN

/*
 * The guest stands still while the source waits.  The destination loads what
 * was on its way when the devices were saved; that is bounded by what the user
 * takes for a downtime, and loading may be slower than sending.  Beside it
 * there is what takes its time however little is left: devices, a slow link.
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
static bool token_imported;

static int report(Error *err)
{
    migrate_set_error(migrate_get_current(), err);
    error_report_err(err);
    return -EINVAL;
}

/*
 * Devices are saved for other ends than a migration, too; and by a command of
 * the monitor's while a migration waits.
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
        return report(err);
    }
    qatomic_set(&migrate_get_current()->switchover_acked, false);
    return 0;
}

static int realm_ready_post_load(void *opaque, int version_id)
{
    MigrationIncomingState *mis = migration_incoming_get_current();
    Error *err = NULL;

    if (!mis->to_src_file || migrate_send_rp_switchover_ack(mis)) {
        error_setg(&err, "realm-ready section: cannot answer the source; "
                   "turn its capability return-path on");
        return report(err);
    }
    return 0;
}

/* Whether it has come to nothing since its state was @state, and why. */
static bool is_over(MigrationState *s, int state, Error **errp)
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

/* Without the BQL. */
static bool wait_answer(MigrationState *s, int state, Error **errp)
{
    const int64_t begin = qemu_clock_get_ms(QEMU_CLOCK_REALTIME);
    const uint64_t limit = limit_ms();

    qemu_fflush(s->to_dst_file);
    while (!qatomic_read(&s->switchover_acked)) {
        if (is_over(s, state, errp)) {
            return false;
        }
        if (qemu_clock_get_ms(QEMU_CLOCK_REALTIME) - begin > limit) {
            error_setg(errp, "Realm: the destination did not answer within "
                       "%" PRIu64 " ms; if it is only slow, raise "
                       "downtime-limit", limit);
            return false;
        }
        g_usleep(100);
    }
    trace_realm_start_ready(qemu_clock_get_ms(QEMU_CLOCK_REALTIME) - begin);
    return true;
}

/* Wait until the destination has loaded all that was sent so far. */
static bool wait_ready(Error **errp)
{
    MigrationState *s = migrate_get_current();
    const int state = s->state;
    bool ok;

    bql_unlock();
    ok = wait_answer(s, state, errp);
    bql_lock();
    return ok && !is_over(s, state, errp);
}

static int realm_start_pre_save(void *opaque)
{
    RealmStart *start = opaque;
    Error *err = NULL;
    ssize_t size;

    if (!in_migration(&err) || !wait_ready(&err)) {
        return report(err);
    }
    memset(start, 0, sizeof(*start));
    size = realm_backend()->export_start(start->token, &err);
    if (size < 0) {
        return report(err);
    }
    start->size = size;
    return 0;
}

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
    return realm_backend()->import(start->token, start->size, errp);
}

static int realm_start_post_load(void *opaque, int version_id)
{
    Error *err = NULL;

    if (!import_token(opaque, &err)) {
        error_prepend(&err, "realm-start section: ");
        report(err);
        realm_destination_fail();
        return -EINVAL;
    }
    token_imported = true;
    return 0;
}

static bool commit(Error **errp)
{
    if (!token_imported) {
        error_setg(errp, "Realm: the stream ended without its start token");
        return false;
    }
    return realm_backend()->commit(errp);
}

/* A thread of QEMU's that helps to load; it may have the BQL. */
static bool commit_at_end(void *opaque, bool *should_quit, Error **errp)
{
    MigrationIncomingState *mis = migration_incoming_get_current();
    bool ok;

    qemu_event_wait(&mis->main_thread_load_event);
    if (qatomic_read(should_quit) || qemu_file_get_error(mis->from_src_file) ||
        migrate_has_error(migrate_get_current())) {
        return true;    /* the stream was not loaded, and QEMU knows */
    }
    bql_lock();
    ok = commit(errp);
    if (!ok) {
        error_report_err(error_copy(*errp));
        /* QEMU tells the source at its end that loading went wrong. */
        qemu_file_set_error(mis->from_src_file, -EINVAL);
    }
    bql_unlock();
    return ok;
}

int realm_start_load_setup(Error **errp)
{
    if (!migration_incoming_get_current()->from_src_file) {
        error_setg(errp, "Realm: it is loaded from a migration only; start "
                   "the destination with -incoming defer");
        return -EINVAL;
    }
    if (!realm_check_capabilities(errp)) {
        return -EINVAL;
    }
    token_imported = false;
    qemu_loadvm_start_load_thread(commit_at_end, NULL);
    return 0;
}

void realm_start_load_cleanup(void)
{
    /* The thread may wait still, if QEMU gave up before its main loop. */
    qemu_event_set(&migration_incoming_get_current()->main_thread_load_event);
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
