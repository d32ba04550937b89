/*
 * Events of QMP about the life of a Realm
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef SYSTEM_REALM_EVENTS_H
#define SYSTEM_REALM_EVENTS_H

#include "qapi/qapi-types-realm.h"

/* realm-events.c: any thread */

/* The Realm made @bytes of its memory private, or gave them up to share. */
void realm_event_ripas(uint64_t bytes, bool private);

/* It has asked for an attestation token. */
void realm_event_attestation(void);

/* realm-end.c: BQL */

/* The machine is a Realm (realm_backend_set); called once. */
void realm_end_init(void);

/*
 * The Realm, if there is one, has come to its end here; the first reason
 * counts.  Shutdowns and internal errors of the machine need no call.
 */
void realm_end(RealmEndReason reason);

/* The machine runs a Realm, which may be another one than that which ended. */
void realm_runs(void);

/* Whether it has; *@reason is why. */
bool realm_has_ended(RealmEndReason *reason);

#endif
