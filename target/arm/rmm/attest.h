/*
 * Attestation: how far a REC is with reading a token
 *
 *             INIT                  last piece
 *   NONE --------------> READING --------------> DONE
 *    ^                   |  ^                      |
 *    +-------------------+  +----------------------+
 *       INIT that failed              INIT
 *
 * Purpose: RSI_ATTESTATION_TOKEN_INIT makes a token of what the Realm is at
 * that moment; every CONTINUE gives the next piece of it.
 *
 * Invariants: a token exists in READING only.  The state does not migrate: a
 * REC that arrives is in NONE, since its token would be the other machine's.
 *
 * Lock rule: RmmAttest belongs to the PE that runs the REC.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef RMM_ATTEST_H
#define RMM_ATTEST_H

#include <glib.h>
#include "token.h"
#include "rmm.h"

struct RmmRealm;

typedef enum AttestState {
    ATTEST_NONE, ATTEST_READING, ATTEST_DONE
} AttestState;

typedef struct RmmAttest {
    uint64_t state;             /* AttestState */
    GBytes *token;
    uint64_t offset;            /* of the next piece */
} RmmAttest;

/*
 * Drop the token so far and make one for @realm, whose lock is not held.
 * False if there is none: the machine has no keys.
 */
bool attest_init(RmmAttest *attest, struct RmmRealm *realm,
                 const void *challenge);

/* The next piece, at most @size bytes of it; only in READING. */
const void *attest_piece(const RmmAttest *attest, size_t *size);

/* The Realm has got @size bytes of the token; true if more are left. */
bool attest_advance(RmmAttest *attest, size_t size);

void attest_clear(RmmAttest *attest);

/* A key of the machine, or NULL if it has none. */
CoseKey *attest_key(Rmm *rmm, RmmKey which);

/* The platform's token about a SHA-256, or NULL without a platform key. */
GBytes *attest_platform(Rmm *rmm, const uint8_t challenge[TOKEN_HASH_SIZE]);

#endif
