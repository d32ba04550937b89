/*
 * Measurements: the initial one (RIM) and the extensible ones (REM)
 *
 * Purpose: what each measured call contributes (RMM 1.0, A7.1 and B4.3), and
 * the migration policy, which is an extension.
 *
 * Lock rule: the Realm's lock is held.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef RMM_MEASUREMENT_H
#define RMM_MEASUREMENT_H

#include "realm.h"

/* Bytes of a hash with @hash_algo (RMI_HASH_*). */
size_t measurement_size(uint8_t hash_algo);

void measurement_init(RmmRealm *realm, const RmiRealmParams *params);
void measurement_data(RmmRealm *realm, uint64_t ipa, uint64_t flags,
                      const void *contents);
void measurement_rec(RmmRealm *realm, const RmiRecParams *params);
void measurement_ripas(RmmRealm *realm, uint64_t base, uint64_t top);

/*
 * The RIM is complete: keep it as rim_base, and extend it by the policy if the
 * Realm may migrate.  The policy comes last so that whoever takes over a RIM
 * with a Realm that arrives can see that this policy, and no other, is in it.
 * No other extension has the policy's type, so whatever rim_base a source
 * claims, the result is not the RIM of a Realm that may not migrate.
 */
void measurement_finish(RmmRealm *realm);

/*
 * Are the bytes behind the hash zero in each of the @count values at @values?
 * An extension hashes all MEASUREMENT_BYTES of a RIM (RMM 1.0, B4.4.11), so
 * what stands behind a short one would change what follows from it.
 */
bool measurement_padding_ok(uint8_t hash_algo,
                            const uint8_t (*values)[MEASUREMENT_BYTES],
                            size_t count);

/* Extend REM @slot (1 to 4) with @size bytes, at most 64. */
void measurement_extend(RmmRealm *realm, unsigned slot,
                        const void *data, size_t size);

#endif
