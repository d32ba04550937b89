/*
 * Records of the "realm" section: how blobs are framed in the stream
 *
 *     offset  size  field
 *     0       2     type (RealmRecordType), big endian
 *     2       2     MEMORY: the stream of the bundle, big endian; else zero
 *     4       4     bytes that follow, big endian
 *     8       size  the blob, opaque; in an EPOCH after 8 bytes, big endian:
 *                   how many memory bundles of the epoch went on channels
 *
 * Every part of the section ends with a record of type END, size 0.  The blob
 * of an EPOCH may be empty.
 *
 * Invariants: type, stream and size are checked before anything more is read
 * or allocated.
 *
 * Lock rule: none; the caller owns stream and buffer.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_REALM_RECORD_H
#define MIGRATION_REALM_RECORD_H

#include "migration/qemu-file.h"
#include "system/realm-backend.h"

typedef enum RealmRecordType {
    REALM_RECORD_END = 0,
    REALM_RECORD_STATE = 1,     /* neither memory nor an epoch token */
    REALM_RECORD_MEMORY = 2,
    REALM_RECORD_EPOCH = 3,
} RealmRecordType;

#define REALM_RECORD_HEADER_SIZE 8

/* All of a record but the blob. */
typedef struct RealmRecord {
    RealmRecordType type;
    unsigned stream;            /* MEMORY, below max_streams; else 0 */
    size_t size;                /* of the blob, at most max_blob */
    uint64_t on_channels;       /* EPOCH; else 0 */
} RealmRecord;

/*
 * Send @record with @blob, which the stream refers to until it is flushed: so
 * flush.  Errors are those of the stream (qemu_file_get_error).
 */
void realm_record_put(QEMUFile *f, const RealmRecord *record,
                      const void *blob);

/*
 * Receive a record up to its blob.  Returns false with @errp set if it is no
 * record, or exceeds @limits.
 */
bool realm_record_get(QEMUFile *f, const RealmMigrationLimits *limits,
                      RealmRecord *record, Error **errp);

#endif
