/*
 * Records of the "realm" section: how blobs are framed in the stream
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "record.h"

/* Of what an EPOCH has before its blob. */
#define COUNT_SIZE 8

void realm_record_put(QEMUFile *f, const RealmRecord *record,
                      const void *blob)
{
    const bool epoch = record->type == REALM_RECORD_EPOCH;

    qemu_put_be16(f, record->type);
    qemu_put_be16(f, record->stream);
    qemu_put_be32(f, record->size + (epoch ? COUNT_SIZE : 0));
    if (epoch) {
        qemu_put_be64(f, record->on_channels);
    }
    if (record->size) {
        qemu_put_buffer_async(f, blob, record->size, false);
        qemu_fflush(f);
    }
}

/* Whether @size bytes may follow the header of a record of @type. */
static bool is_size(unsigned type, uint32_t size, size_t max)
{
    switch (type) {
    case REALM_RECORD_END:
        return size == 0;
    case REALM_RECORD_STATE:
    case REALM_RECORD_MEMORY:
        return size >= 1 && size <= max;
    case REALM_RECORD_EPOCH:
        return size >= COUNT_SIZE && size - COUNT_SIZE <= max;
    default:
        return false;
    }
}

static bool has_failed(QEMUFile *f, Error **errp)
{
    int ret = qemu_file_get_error(f);

    if (ret) {
        error_setg_errno(errp, -ret, "realm section: the stream ends within "
                         "the header of a record");
    }
    return ret;
}

bool realm_record_get(QEMUFile *f, const RealmMigrationLimits *limits,
                      RealmRecord *record, Error **errp)
{
    const unsigned type = qemu_get_be16(f);
    const unsigned stream = qemu_get_be16(f);
    const uint32_t size = qemu_get_be32(f);
    const bool epoch = type == REALM_RECORD_EPOCH;
    uint64_t count;

    if (has_failed(f, errp)) {
        return false;
    }
    if (!is_size(type, size, limits->max_blob) ||
        stream >= (type == REALM_RECORD_MEMORY ? limits->max_streams : 1)) {
        error_setg(errp, "realm section: malformed record: type %u, stream %u "
                   "(of %u), size %" PRIu32 " (at most %zu)", type, stream,
                   limits->max_streams, size, limits->max_blob);
        return false;
    }
    count = epoch ? qemu_get_be64(f) : 0;
    if (has_failed(f, errp)) {
        return false;
    }
    *record = (RealmRecord) {
        .type = type,
        .stream = stream,
        .size = size - (epoch ? COUNT_SIZE : 0),
        .on_channels = count,
    };
    return true;
}
