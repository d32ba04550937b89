/*
 * Packets of the "realm" section: memory bundles on multifd's channels
 *
 *     offset  size  field, big endian
 *     0       2     type: 2, memory
 *     2       2     the stream of the bundle
 *     4       4     size of the bundle in bytes
 *     8       4     epoch: EPOCH records that the source sent before
 *     12      4     place: bundles of this stream and epoch that the source
 *                   gave to channels before
 *     16      size  the bundle, opaque
 *
 * A packet is all that multifd hands over at once, so its length is known.
 *
 * Invariants: type, stream and size are checked before the bundle is used.
 *
 * Lock rule: none; the caller owns the bytes.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_REALM_CHANNEL_H
#define MIGRATION_REALM_CHANNEL_H

#include "system/realm-backend.h"

#define REALM_CHANNEL_HEADER_SIZE 16

/* A packet's header: all of it but the bundle. */
typedef struct RealmPacket {
    unsigned stream;            /* below max_streams */
    size_t size;                /* of the bundle: 1 to max_blob */
    uint32_t epoch;
    uint32_t place;
} RealmPacket;

/* Write @packet to the first bytes of a packet. */
void realm_channel_put(uint8_t header[REALM_CHANNEL_HEADER_SIZE],
                       const RealmPacket *packet);

/*
 * Read the header of the packet of @len bytes at @bytes.  Returns false with
 * @errp set if it is no packet, if it exceeds @limits, or if its bundle is not
 * all of the rest.
 */
bool realm_channel_get(const void *bytes, size_t len,
                       const RealmMigrationLimits *limits,
                       RealmPacket *packet, Error **errp);

#endif
