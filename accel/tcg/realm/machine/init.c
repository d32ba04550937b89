/*
 * Realms under TCG: the machine is put together
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "call.h"
#include "cpu-class.h"
#include "keys.h"
#include "pe.h"
#include "physmem.h"

static const RmmPlatform platform = {
    .ipa_bits = 48,
    .num_bps = 15,              /* all that the architecture can have */
    .num_wps = 15,
    .sha512 = true,
    .mte = true,
    .migration = true,
};

bool realm_machine_init(const RealmMachineConfig *config,
                        const RealmHostOps *host, Error **errp)
{
    if (!realm_physmem_init(config, errp)) {
        return false;
    }
    realm_keys_init();
    realm_host_ops = host;
    realm_pes = g_new0(RealmPe, config->num_cpus);
    realm_rmm = rmm_new(&realm_rmm_ops, NULL, &platform);
    realm_cpu_class_init(config->cpu_type);
    return true;
}
