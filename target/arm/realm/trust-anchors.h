/*
 * Trust anchors of a Realm's migration: a PEM file to public keys
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TARGET_ARM_REALM_TRUST_ANCHORS_H
#define TARGET_ARM_REALM_TRUST_ANCHORS_H

#include "system/realm-backend.h"

/*
 * Read the public keys ("PUBLIC KEY") and certificates in the PEM file at
 * @path, all of them on P-384, into the anchors of @policy, in order.  The key
 * of a certificate that may sign certificates is an authority's; any other key
 * is that of a platform.  False with @errp set, and @policy as it was, if the
 * file has none, more than REALM_MAX_ANCHORS, or anything else.
 */
bool trust_anchors_read(RealmPolicy *policy, const char *path, Error **errp);

#endif
