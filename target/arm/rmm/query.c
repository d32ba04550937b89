/*
 * What a Realm's host may ask of the model beyond RMI
 *
 * Purpose: see rmm.h at rmm_realm_rim and rmm_realm_pages.
 *
 * Lock rule: takes the Realm's lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <string.h>

#include "measurement.h"
#include "rtt.h"

size_t rmm_realm_rim(Rmm *rmm, uint64_t rd, uint8_t rim[64])
{
    RmmRealm *realm = realm_lock(rmm, rd);
    size_t size;

    if (!realm) {
        return 0;
    }
    memcpy(rim, realm->measurement[0], MEASUREMENT_BYTES);
    size = measurement_size(realm->hash_algo);
    realm_unlock(realm);
    return size;
}

bool rmm_realm_pages(Rmm *rmm, uint64_t rd, RmmPages *pages)
{
    uint64_t count[RTT_OWNERSHIPS] = { 0 };
    RmmRealm *realm = realm_lock(rmm, rd);

    if (!realm) {
        return false;
    }
    rtt_count_ownership(realm, count);
    realm_unlock(realm);
    *pages = (RmmPages) {
        .owned = count[RTT_OWNED],
        .empty = count[RTT_EMPTIED],
        .lent = count[RTT_LENT],
    };
    return true;
}
