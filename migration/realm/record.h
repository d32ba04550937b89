/*
 * Records of the "realm" section: how blobs are framed in the stream
 *
 *     offset  size  field
 *     0       2     type (RealmRecordType), big endian
 *     2       2     reserved, zero
 *     4       4     size of the blob in bytes, big endian; at most max_blob
 *     8       size  the blob, opaque
 *
 * Every part of the section ends with a record of type END, size 0.
 *
 * Invariants: a size is checked before anything is read or allocated for it.
 *
 * Lock rule: none; the caller owns stream and buffer.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_REALM_RECORD_H
#define MIGRATION_REALM_RECORD_H

#include "migration/qemu-file.h"

typedef enum RealmRecordType {
    REALM_RECORD_END = 0,
    REALM_RECORD_STATE = 1,     /* any bundle but memory */
    REALM_RECORD_MEMORY = 2,
} RealmRecordType;

#define REALM_RECORD_HEADER_SIZE 8

/*
 * Send @blob, which the stream refers to until it is flushed: so flush.
 * Errors are those of the stream (qemu_file_get_error).
 */
void realm_record_put(QEMUFile *f, RealmRecordType type,
                      const void *blob, size_t size);

/*
 * Receive a record's header.  Returns false with @errp set if it is no
 * record, or if its blob is larger than @max.
 */
bool realm_record_get(QEMUFile *f, RealmRecordType *type, size_t *size,
                      size_t max, Error **errp);

#endif
