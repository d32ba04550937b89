/*
 * What a Realm's host may ask of the model beyond RMI
 *
 * Purpose: see rmm.h at rmm_realm_rim.
 *
 * Lock rule: takes the Realm's lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <string.h>

#include "realm.h"

size_t rmm_realm_rim(Rmm *rmm, uint64_t rd, uint8_t rim[64])
{
    RmmRealm *realm = realm_lock(rmm, rd);
    size_t size;

    if (!realm) {
        return 0;
    }
    memcpy(rim, realm->measurement[0], MEASUREMENT_BYTES);
    size = realm->hash_algo == RMI_HASH_SHA_256 ? 32 : 64;
    realm_unlock(realm);
    return size;
}
