/*
 * Live migration of Realms: pages of the "ram" section
 *
 * Purpose: QEMU's own section has the memory that a Realm shares.  Only pages
 * that are shared are sent, and where RAM is in place
 * (system/realm-shared-ram.h) a page becomes shared before it is loaded.  Hooks
 * in QEMU's ram.c and multifd.c call these; in a machine that is no Realm they
 * change nothing.
 *
 * Lock rule: any thread, without the BQL as well.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "exec/target_page.h"
#include "migration/migration.h"
#include "migration/options.h"
#include "ram-hooks.h"
#include "system/kvm.h"
#include "system/realm-backend.h"
#include "system/realm-shared-ram.h"

bool realm_page_is_sent(RAMBlock *block, unsigned long page)
{
    return realm_shared_ram_is_sent(block, page * qemu_target_page_size());
}

bool realm_pages_end(QEMUFile *f)
{
    bool again = realm_shared_ram_again();
    Error *err = NULL;

    if (!realm_backend() || !migrate_multifd()) {
        return true;
    }
    if (!migrate_multifd_flush_after_each_section()) {
        return multifd_ram_flush_and_sync(f) >= 0;
    }
    /*
     * The channels were synced at the end of the last section.  Only KVM has
     * RAM in place, and whether the destination has it is not known here.
     */
    if (again && kvm_enabled()) {
        error_setg(&err, "Realm: it has shared memory since its migration "
                   "began, and multifd of this machine type cannot send that "
                   "again; turn multifd off, or use a newer machine type");
        migrate_set_error(migrate_get_current(), err);
        error_report_err(err);
        return false;
    }
    return true;
}

bool realm_lend_page(RAMBlock *block, ram_addr_t offset)
{
    Error *err = NULL;

    if (!realm_shared_ram_receive(block, &offset, 1, qemu_target_page_size(),
                                  &err)) {
        error_report_err(err);
        return false;
    }
    return true;
}

bool realm_lend_packet(MultiFDRecvParams *p, Error **errp)
{
    uint64_t size = multifd_ram_page_size();

    return realm_shared_ram_receive(p->block, p->normal, p->normal_num, size,
                                    errp) &&
           realm_shared_ram_receive(p->block, p->zero, p->zero_num, size, errp);
}
