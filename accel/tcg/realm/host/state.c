/*
 * Realms under TCG: the Realm that the host has, and results of RMI in words
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "target/arm/rmm/rmm-abi.h"
#include "state.h"

RealmHost realm_host;

bool realm_host_refused(const char *what, uint64_t result, Error **errp)
{
    if (result == RMI_SUCCESS) {
        return false;
    }
    error_setg(errp, "the RMM refused %s: status %u, index %u",
               what, RMI_STATUS(result), RMI_INDEX(result));
    return true;
}
