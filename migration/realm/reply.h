/*
 * Live migration of Realms: records that the destination sends back
 *
 * The half that the thread of the return path calls is in
 * include/migration/realm.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_REALM_REPLY_H
#define MIGRATION_REALM_REPLY_H

#include "system/realm-backend.h"

/* Called once, when the machine is created. */
void realm_reply_init(void);

/*
 * The source expects @one record from now on, or none; what came before, and
 * was not taken, is forgotten.
 */
void realm_reply_expect(bool one);

/* The record that came, once; returns its size, 0 as long as none has come. */
size_t realm_reply_take(uint8_t record[REALM_MAX_REPLY]);

/* The destination sends @size bytes, at most REALM_MAX_REPLY. */
bool realm_reply_put(const uint8_t *record, size_t size, Error **errp);

#endif
