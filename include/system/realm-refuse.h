/*
 * Commands that have no true answer for a Realm
 *
 * Purpose: QEMU's commands that look at a guest from outside, where the
 * answer would be about something else than the Realm: its private memory is
 * not where its addresses are, and its registers are not QEMU's.  Each is
 * refused, and says what to use instead.
 *
 * Invariants: on a machine that is not a Realm nothing is refused; a refusal
 * comes before anything was done.
 *
 * Lock rule: BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef SYSTEM_REALM_REFUSE_H
#define SYSTEM_REALM_REFUSE_H

#include "exec/hwaddr.h"

/* Each: whether it is refused, with @errp set. */
bool realm_refuses_dump(Error **errp);
bool realm_refuses_snapshot(Error **errp);
bool realm_refuses_dirty_rate(Error **errp);
bool realm_refuses_dirty_limit(Error **errp);

/* A debugger's continue, while the destination gets the Realm; it is told. */
bool realm_refuses_continue(void);

/* A look at virtual addresses. */
bool realm_refuses_virtual(Error **errp);

/* A look at [@addr, @addr + @size), if private memory is anywhere in it. */
bool realm_refuses_physical(hwaddr addr, uint64_t size, Error **errp);

/*
 * As these two, for a monitor that shows @count units of @size bytes (or
 * instructions, if that is negative), and is told here why not.
 */
bool realm_refuses_show(bool physical, hwaddr addr, int count, int size);

#endif
