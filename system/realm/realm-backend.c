/*
 * The Realm of this machine: which backend runs it
 *
 * Purpose: the registry behind include/system/realm-backend.h.
 *
 * Invariants: set once, while the machine is created.
 *
 * Lock rule: BQL to set; constant afterwards.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "system/realm-backend.h"

static const RealmBackendOps *the_backend;
static const RealmConfig *the_config;

const RealmBackendOps *realm_backend(void)
{
    return the_backend;
}

const RealmBackendOps *realm_backend_needed(Error **errp)
{
    if (!the_backend) {
        error_setg(errp, "this machine is not a Realm; start it with "
                   "-object rme-guest,id=rme0 "
                   "-machine confidential-guest-support=rme0");
    }
    return the_backend;
}

const RealmConfig *realm_config(void)
{
    return the_config;
}

void realm_backend_set(const RealmBackendOps *backend,
                       const RealmConfig *config)
{
    assert(!the_backend);
    the_backend = backend;
    the_config = config;
}
