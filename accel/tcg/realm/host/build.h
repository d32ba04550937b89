/*
 * Realms under TCG: a Realm is built
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef ACCEL_TCG_REALM_HOST_BUILD_H
#define ACCEL_TCG_REALM_HOST_BUILD_H

/* Build the Realm from the images, or an empty one to import into; once. */
bool realm_build(Error **errp);
bool realm_build_empty(Error **errp);

#endif
