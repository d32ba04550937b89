/*
 * Live migration of Realms: what QEMU's "ram" section asks
 *
 * Lock rule: any thread, without the BQL as well.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_REALM_RAM_HOOKS_H
#define MIGRATION_REALM_RAM_HOOKS_H

#include "exec/cpu-common.h"
#include "migration/multifd.h"

/*
 * Whether a dirty page, by its number in @block, is sent: a Realm may have
 * taken it as private.
 */
bool realm_page_is_sent(RAMBlock *block, unsigned long page);

/*
 * The last pages are about to be sent, and no vCPU runs.  A bundle with the
 * private contents of a page that is shared by now may still be under way on
 * another channel, and takes away what the destination has of the shared page.
 * So those that became shared since the migration began are sent once more,
 * behind all that is under way.  Nor may shared contents that are under way
 * come after bundles that follow.  Returns false if the migration has failed.
 */
bool realm_pages_end(QEMUFile *f);

/*
 * The page that is about to be loaded, or those of the packet, are shared with
 * the Realm from now on.  On failure the first reports why.
 */
bool realm_lend_page(RAMBlock *block, ram_addr_t offset);
bool realm_lend_packet(MultiFDRecvParams *p, Error **errp);

#endif
