/*
 * Realms under TCG: the machine is put together
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "call.h"
#include "cpu-class.h"
#include "features.h"
#include "keys.h"
#include "pe.h"
#include "physmem.h"
#include "platform.h"

bool realm_machine_init(const RealmMachineConfig *config,
                        const RealmHostOps *host, Error **errp)
{
    RmmPlatform platform = { .sha512 = true, .mte = true, .migration = true };

    if (!realm_platform_of_type(config->cpu_type, realm_choose_features,
                                &platform, errp) ||
        !realm_physmem_init(config, errp)) {
        return false;
    }
    realm_keys_init();
    realm_host_ops = host;
    realm_pes = g_new0(RealmPe, config->num_cpus);
    realm_rmm = rmm_new(&realm_rmm_ops, NULL, &platform);
    realm_cpu_class_init(config->cpu_type);
    return true;
}
