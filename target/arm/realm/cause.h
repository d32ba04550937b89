/*
 * Why a call of a backend is refused, in words
 *
 * Purpose: what the RMM says, and what both backends refuse before they ask
 * it, in the same words.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TARGET_ARM_REALM_CAUSE_H
#define TARGET_ARM_REALM_CAUSE_H

#include "qapi/error.h"

/* A MigCause (target/arm/rmm/mig-abi.h) in words, with the remedy if any. */
const char *realm_cause(unsigned cause);

/* What a record of @size bytes says it is; the caller frees it. */
char *realm_record_name(const void *blob, size_t size);

/* These set @errp and return false unless the condition holds. */

/* A Realm was built here, or has arrived. */
bool realm_check_started(bool started, Error **errp);

/* An offer waits for its migration. */
bool realm_check_accepted(bool accepted, Error **errp);

/* The state allows to do @what. */
bool realm_check_state(bool allowed, const char *what, Error **errp);

/* Its vCPUs may run: it does not stand still. */
bool realm_check_may_run(bool paused, bool left, Error **errp);

/* The machine waits for a Realm, and has @offered to take it. */
bool realm_check_waits(bool waits, bool offered, Error **errp);

/* The machine waits for no Realm (any more). */
bool realm_check_arrived(bool waits, Error **errp);

#endif
