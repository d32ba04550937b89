/*
 * Packets of the "realm" section: memory bundles on multifd's channels
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/bswap.h"
#include "channel.h"
#include "record.h"

void realm_channel_put(uint8_t header[REALM_CHANNEL_HEADER_SIZE],
                       const RealmPacket *packet)
{
    stw_be_p(header, REALM_RECORD_MEMORY);
    stw_be_p(header + 2, packet->stream);
    stl_be_p(header + 4, packet->size);
    stl_be_p(header + 8, packet->epoch);
    stl_be_p(header + 12, packet->place);
}

bool realm_channel_get(const void *bytes, size_t len,
                       const RealmMigrationLimits *limits,
                       RealmPacket *packet, Error **errp)
{
    const uint8_t *header = bytes;
    unsigned type, stream;
    uint32_t size;

    if (len < REALM_CHANNEL_HEADER_SIZE) {
        error_setg(errp, "realm section: a packet has at least %d bytes, this "
                   "one %zu", REALM_CHANNEL_HEADER_SIZE, len);
        return false;
    }
    type = lduw_be_p(header);
    stream = lduw_be_p(header + 2);
    size = ldl_be_p(header + 4);
    if (type != REALM_RECORD_MEMORY || stream >= limits->max_streams ||
        size < 1 || size > limits->max_blob ||
        size != len - REALM_CHANNEL_HEADER_SIZE) {
        error_setg(errp, "realm section: malformed packet of %zu bytes: type "
                   "%u, stream %u (of %u), size %" PRIu32 " (at most %zu)",
                   len, type, stream, limits->max_streams, size,
                   limits->max_blob);
        return false;
    }
    *packet = (RealmPacket) {
        .stream = stream,
        .size = size,
        .epoch = ldl_be_p(header + 8),
        .place = ldl_be_p(header + 12),
    };
    return true;
}
