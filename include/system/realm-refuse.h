/*
 * Commands that have no true answer for a Realm
 *
 * Purpose: some commands of QEMU look at a guest from outside.  QEMU has
 * neither the private memory of a Realm nor its registers, so such a command
 * would show something else.  Each is refused with an error that says what to
 * use instead.
 *
 * Invariants: nothing is refused on a machine that is not a Realm, but
 * snapshots of one that runs Realms.  A command is refused before it has done
 * anything.
 *
 * Lock rule: BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef SYSTEM_REALM_REFUSE_H
#define SYSTEM_REALM_REFUSE_H

#include "exec/hwaddr.h"

/* No snapshots from now on, because of @reason, which stays.  Called once. */
void realm_refuse_snapshots(const char *reason);

/* Each returns whether the command is refused, with @errp set then. */
bool realm_refuses_dump(Error **errp);
bool realm_refuses_snapshot(Error **errp);
bool realm_refuses_dirty_rate(Error **errp);
bool realm_refuses_dirty_limit(Error **errp);

/*
 * Whether a debugger may not continue the guest, because the destination is
 * about to get the Realm; the reason is reported.
 */
bool realm_refuses_continue(void);

/* Of a command that shows memory at virtual addresses. */
bool realm_refuses_virtual(Error **errp);

/*
 * Of one that shows [@addr, @addr + @size), guest physical and in bytes: it is
 * refused if any of that is private memory.
 */
bool realm_refuses_physical(hwaddr addr, uint64_t size, Error **errp);

/*
 * As these two, for a command of the monitor that shows @count units of @size
 * bytes, or instructions if @size is negative; the reason is reported.
 */
bool realm_refuses_show(bool physical, hwaddr addr, int count, int size);

#endif
