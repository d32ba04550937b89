/*
 * Realms under TCG: a Realm is built, and ends
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef ACCEL_TCG_REALM_HOST_BUILD_H
#define ACCEL_TCG_REALM_HOST_BUILD_H

/* There is no Realm: build it from the images, or empty, to import into. */
bool realm_build(Error **errp);
bool realm_build_empty(Error **errp);

/* The Realm, which was built, ends.  No vCPU runs, and no REC is entered. */
void realm_unbuild(void);

#endif
