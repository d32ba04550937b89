/*
 * Live migration of Realms: records that the destination sends back
 *
 * Purpose: the message REALM of QEMU's return path, in the destination's hands
 * and in the source's:
 *
 *     offset  size  field
 *     0       2     0x5245, where QEMU's own messages have small numbers
 *     2       2     size of the record, 1 to REALM_MAX_REPLY
 *     4       size  the record, opaque: ready record, or receipt
 *
 * Numbers are big endian, as in all of QEMU's stream.
 *
 * Invariants: a size is checked before anything is read.  The source takes as
 * many records as it expects; another one ends the return path, which QEMU
 * reports with our reason, and the migration then fails.
 *
 * Lock rule: any thread.  Only the thread of the return path calls
 * realm_reply_get.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/lockable.h"
#include "migration/migration.h"
#include "migration/realm.h"
#include "realm-migration.h"
#include "reply.h"
#include "trace.h"

#define MESSAGE 0x5245

static struct {
    QemuMutex lock;             /* of what follows */
    bool expected;
    size_t size;                /* of the one that came, 0 if none */
    uint8_t record[REALM_MAX_REPLY];
} reply;

void realm_reply_init(void)
{
    qemu_mutex_init(&reply.lock);
}

void realm_reply_expect(bool one)
{
    QEMU_LOCK_GUARD(&reply.lock);

    reply.expected = one;
    reply.size = 0;
}

size_t realm_reply_take(uint8_t record[REALM_MAX_REPLY])
{
    QEMU_LOCK_GUARD(&reply.lock);
    size_t size = reply.size;

    memcpy(record, reply.record, size);
    reply.size = 0;
    return size;
}

/* One that nobody expects is dropped; returns whether that is so. */
static bool keep(const uint8_t *record, size_t size)
{
    QEMU_LOCK_GUARD(&reply.lock);
    bool expected = reply.expected;

    if (expected) {
        memcpy(reply.record, record, size);
        reply.size = size;
        reply.expected = false;
    }
    return expected;
}

/* A stream that ends here has an error of its own then. */
static bool get_record(QEMUFile *f, unsigned size, Error **errp)
{
    uint8_t record[REALM_MAX_REPLY];

    if (!size || size > sizeof(record)) {
        error_setg(errp, "Realm: the destination sent a record of %u bytes on "
                   "the return path; 1 to %zu are possible", size,
                   sizeof(record));
        return false;
    }
    if (qemu_get_buffer(f, record, size) != size) {
        return true;
    }
    trace_realm_reply_get(size);
    if (!keep(record, size)) {
        error_setg(errp, "Realm: the destination sent a record on the return "
                   "path when none was due");
        return false;
    }
    return true;
}

bool realm_reply_get(QEMUFile *f, unsigned type, unsigned size)
{
    Error *err = NULL;

    if (!realm_backend() || type != MESSAGE) {
        return false;
    }
    if (!get_record(f, size, &err)) {
        /* Before the thread that waits sees that @f failed, and not why. */
        migrate_set_error(migrate_get_current(), err);
        qemu_file_set_error_obj(f, -EINVAL, err);
    }
    return true;
}

bool realm_reply_put(const uint8_t *record, size_t size, Error **errp)
{
    MigrationIncomingState *mis = migration_incoming_get_current();
    QEMU_LOCK_GUARD(&mis->rp_mutex);

    if (!mis->to_src_file) {
        error_setg(errp, "Realm: cannot answer the source; turn its capability "
                   "return-path on");
        return false;
    }
    qemu_put_be16(mis->to_src_file, MESSAGE);
    qemu_put_be16(mis->to_src_file, size);
    qemu_put_buffer(mis->to_src_file, record, size);
    if (qemu_fflush(mis->to_src_file)) {
        error_setg(errp, "Realm: cannot answer the source, which has closed "
                   "the connection, or the network has; see the source's log");
        return false;
    }
    return true;
}
