/*
 * query-realm-capabilities: which backend answers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef SYSTEM_REALM_QUERY_H
#define SYSTEM_REALM_QUERY_H

#include "system/realm-backend.h"

/*
 * The boards of this program can be Realms; @find returns the backend of the
 * accelerator in use, or NULL.  Called at most once.
 */
void realm_query_init(const RealmBackendOps *(*find)(void));

#endif
