/*
 * Certificates of platform keys
 *
 * Purpose: follow the X.509 certificates (RFC 5280) that an RMM sends behind
 * its platform token, from its platform key up to the key of an authority
 * ("Certificates" in docs/specs/realm-migration-stream.rst); on GnuTLS.
 *
 * Invariants: the certificates come from others.  They are taken apart by the
 * sizes of their outer heads, none of which reaches behind the end, and GnuTLS
 * sees one at a time.  Nobody trusts the authority that comes out of it before
 * it is compared with an anchor of the policy.  The time does not matter: an
 * RMM has no calendar.
 *
 * Lock rule: no locks.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef RMM_CERTIFICATES_H
#define RMM_CERTIFICATES_H

#include "cose.h"

#define CERTIFICATES_MIN 2
#define CERTIFICATES_MAX 4

/*
 * Do the @size bytes at @der vouch for the platform key @key?  Then the last
 * certificate's is the key of @authority.
 */
bool certificates_check(const uint8_t *der, size_t size,
                        const uint8_t key[COSE_POINT_SIZE],
                        uint8_t authority[COSE_POINT_SIZE]);

#endif
