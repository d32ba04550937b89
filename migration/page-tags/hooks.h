/*
 * Migration of memory tags: the calls that QEMU's RAM migration makes
 *
 * Each does nothing on a machine without tags, and for RAM without tags.
 * Documentation: the files that have them.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef MIGRATION_PAGE_TAGS_HOOKS_H
#define MIGRATION_PAGE_TAGS_HOOKS_H

#include "migration/multifd.h"
#include "migration/qemu-file-types.h"

/* source.c: the main channel; the migration thread only */
bool page_tags_present(RAMBlock *block, ram_addr_t offset);
bool page_tags_put(QEMUFile *f, RAMBlock *block, ram_addr_t offset);

/* destination.c: the main channel; 0 or a negative errno, reported */
int page_tags_get(QEMUFile *f, RAMBlock *block, ram_addr_t offset);
int page_tags_get_zero(RAMBlock *block, ram_addr_t offset);

/* multifd.c: threads of channels; 0 or -1 */
void page_tags_multifd_setup(MultiFDSendParams *p);
bool page_tags_multifd_present(MultiFDSendParams *p, ram_addr_t offset);
int page_tags_multifd_send(MultiFDSendParams *p, Error **errp);
int page_tags_multifd_recv(MultiFDRecvParams *p, Error **errp);

/* ack.c: a pong on the return path; true if it was for us */
bool page_tags_pong(uint32_t value);

#endif
