/*
 * Migration of memory tags: the calls that QEMU's RAM migration makes
 *
 * Each does nothing on a machine without tags, and for RAM without tags.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef MIGRATION_PAGE_TAGS_HOOKS_H
#define MIGRATION_PAGE_TAGS_HOOKS_H

#include "migration/multifd.h"
#include "migration/qemu-file-types.h"

/* ---- source.c: the main channel; the migration thread only ---- */

/* The record that follows a page's data.  False: the migration has failed. */
bool page_tags_put(QEMUFile *f, RAMBlock *block, ram_addr_t offset);

/*
 * What comes before the value of a zero page, 0: its tags, if it has any.
 * After a failure @f has an error.
 */
void page_tags_put_zero(QEMUFile *f, RAMBlock *block, ram_addr_t offset);

/* ---- destination.c: the main channel ---- */

/*
 * The tags of a page that was loaded: @f has its record next.  0 or a negative
 * errno, reported.
 */
int page_tags_get(QEMUFile *f, RAMBlock *block, ram_addr_t offset);

/*
 * The same for a zero page.  *@value is what came as its value; if that was the
 * sign that tags come before, it is the value now, or 0 after a failure.
 */
int page_tags_get_zero(QEMUFile *f, RAMBlock *block, ram_addr_t offset,
                       uint8_t *value);

/* ---- multifd.c: threads of channels ---- */

/* The channel has its iovecs, for as many pages as a packet has. */
void page_tags_multifd_setup(MultiFDSendParams *p);
void page_tags_multifd_cleanup(MultiFDSendParams *p);

/* The method has prepared the packet, header and iovecs.  0 or -1. */
int page_tags_multifd_send(MultiFDSendParams *p, Error **errp);

/* The method has received the packet's data.  0 or -1. */
int page_tags_multifd_recv(MultiFDRecvParams *p, Error **errp);

#endif
