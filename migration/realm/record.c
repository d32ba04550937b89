/*
 * Records of the "realm" section: how blobs are framed in the stream
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "record.h"

void realm_record_put(QEMUFile *f, RealmRecordType type,
                      const void *blob, size_t size)
{
    qemu_put_be16(f, type);
    qemu_put_be16(f, 0);
    qemu_put_be32(f, size);
    if (size) {
        qemu_put_buffer_async(f, blob, size, false);
        qemu_fflush(f);
    }
}

bool realm_record_get(QEMUFile *f, RealmRecordType *type, size_t *size,
                      size_t max, Error **errp)
{
    unsigned t = qemu_get_be16(f);
    unsigned reserved = qemu_get_be16(f);
    uint32_t s = qemu_get_be32(f);
    int ret = qemu_file_get_error(f);

    if (ret) {
        error_setg_errno(errp, -ret, "realm section: the stream ends within "
                         "the header of a record");
        return false;
    }
    if (t > REALM_RECORD_MEMORY || reserved ||
        (t == REALM_RECORD_END) != (s == 0) || s > max) {
        error_setg(errp, "realm section: malformed record: type %u, "
                   "size %" PRIu32 " (at most %zu)", t, s, max);
        return false;
    }
    *type = t;
    *size = s;
    return true;
}
