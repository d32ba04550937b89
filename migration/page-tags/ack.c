/*
 * Migration of memory tags: the destination's answer to the announcement
 *
 * Purpose: where there is a return path, no page is sent before the
 * destination has said that its tags are like the source's.  It says so with
 * a pong that nobody asked for, whose value is ours:
 *
 *     31      16 15    14    8 7     0
 *    | 0x5054   | ok  |   0   | level |
 *
 * QEMU's own pings have small values.  A destination that does not know the
 * section closes the connection, which is an answer, too.
 *
 * Lock rule: page_tags_pong() runs in the return path's thread; the rest
 * under the BQL, which the source gives up while it waits.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/main-loop.h"
#include "qemu/thread.h"
#include "qemu/timer.h"
#include "migration/migration.h"
#include "migration/qemu-file.h"
#include "hooks.h"
#include "page-tags-internal.h"

#define ACK_MAGIC   0x50540000u
#define ACK_OK      0x8000u
#define ACK_LEVEL   0xffu

/* More is a destination that hangs. */
#define LIMIT_MS    30000
#define STEP_MS     20

static QemuSemaphore answered;
static uint32_t answer;

void page_tags_ack_begin(void)
{
    static bool done;

    if (!done) {
        qemu_sem_init(&answered, 0);
        done = true;
    }
    while (qemu_sem_timedwait(&answered, 0) == 0) {
        /* of a migration that was cancelled */
    }
}

static void set_refused(uint32_t value, Error **errp)
{
    error_setg(errp, "the destination refuses: its %s is %u, the source has "
               "%u; if they are equal, see its log",
               page_tags.ops->level_name, value & ACK_LEVEL,
               page_tags.ops->level());
}

/* A refusal is an error at once: next the destination only says that it is. */
bool page_tags_pong(uint32_t value)
{
    Error *err = NULL;

    if (!qatomic_read(&page_tags.sending) ||
        (value & 0xffff0000u) != ACK_MAGIC) {
        return false;
    }
    if (!(value & ACK_OK)) {
        set_refused(value, &err);
        error_prepend(&err, "%s: ", page_tags.ops->section);
        migrate_set_error(migrate_get_current(), err);
        error_free(err);
    }
    qatomic_set(&answer, value);
    qemu_sem_post(&answered);
    return true;
}

void page_tags_ack_send(unsigned level, bool ok)
{
    MigrationIncomingState *mis = migration_incoming_get_current();

    if (mis->to_src_file) {
        migrate_send_rp_pong(mis, ACK_MAGIC | (ok ? ACK_OK : 0) |
                                  (level & ACK_LEVEL));
    }
}

/* The connection failed, or somebody gave the migration up. */
static bool is_over(MigrationState *s, QEMUFile *f)
{
    QEMUFile *back = s->rp_state.from_dst_file;

    return s->state != MIGRATION_STATUS_SETUP || migrate_has_error(s) ||
           qemu_file_get_error(f) || (back && qemu_file_get_error(back));
}

static bool wait_answer(MigrationState *s, QEMUFile *f, Error **errp)
{
    int64_t begin = qemu_clock_get_ms(QEMU_CLOCK_REALTIME);

    while (qemu_sem_timedwait(&answered, STEP_MS)) {
        if (is_over(s, f)) {
            error_setg(errp, "the destination did not accept the section; "
                       "it may not know it: see its log");
            return false;
        }
        if (qemu_clock_get_ms(QEMU_CLOCK_REALTIME) - begin > LIMIT_MS) {
            error_setg(errp, "the destination did not answer within %d ms",
                       LIMIT_MS);
            return false;
        }
    }
    return true;
}

bool page_tags_ack_wait(QEMUFile *f, Error **errp)
{
    MigrationState *s = migrate_get_current();
    bool ok;

    if (!s->rp_state.rp_thread_created || s->to_dst_file != f) {
        return true;            /* nobody can answer */
    }
    bql_unlock();
    ok = wait_answer(s, f, errp);
    bql_lock();
    if (ok && !(answer & ACK_OK)) {
        set_refused(answer, errp);
        ok = false;
    }
    return ok;
}
