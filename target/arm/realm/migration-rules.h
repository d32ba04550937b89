/*
 * Rules of a Realm's migration: a text file to rules about software
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TARGET_ARM_REALM_MIGRATION_RULES_H
#define TARGET_ARM_REALM_MIGRATION_RULES_H

#include "system/realm-backend.h"

/*
 * Read the file at @path into the rules of @policy, in order.  A line is one
 * rule:
 *
 *     signer TYPE ID >= VERSION
 *     measurement TYPE MEASUREMENT
 *
 * Words are quoted as in a shell, and # begins a comment.  TYPE is that of the
 * component, or * for all components whose type no other rule has; ID and
 * MEASUREMENT are 64, 96 or 128 hexadecimal digits; VERSION is one to four
 * numbers with points between them.  False with @errp set, and @policy as it
 * was, if the file has no rule, more than REALM_MAX_RULES, or anything else.
 */
bool migration_rules_read(RealmPolicy *policy, const char *path, Error **errp);

#endif
