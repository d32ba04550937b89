/*
 * The KVM backend for Realms: QEMU asks which shared pages were written
 *
 * Purpose: a MemoryListener.  QEMU synchronises the dirty bitmap of the "ram"
 * section through it, and dirty.c has the answer.
 *
 * Lock rule: BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "exec/address-spaces.h"
#include "migration/migration.h"
#include "migration/misc.h"
#include "migration/qemu-file.h"
#include "realm-kvm.h"

/* This cannot return an error to the "ram" section: the migration gets it. */
static void log_sync_global(MemoryListener *listener, bool last_stage)
{
    Error *err = NULL;

    if (!realm_kvm_sync_shared(&err)) {
        migrate_set_error(migrate_get_current(), err);
        qemu_file_set_error(migrate_get_current()->to_dst_file, -EIO);
        error_report_err(err);
    }
}

void realm_kvm_watch_shared(void)
{
    static MemoryListener listener = {
        .name = "realm-kvm",
        .log_sync_global = log_sync_global,
    };

    memory_listener_register(&listener, &address_space_memory);
}
