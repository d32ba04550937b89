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

static bool platform_of_type(const char *cpu_type, RealmChooseFeatures *choose,
                             RmmPlatform *platform, Error **errp)
{
    *platform = (RmmPlatform) {
        .sha512 = true, .mte = true, .migration = true,
    };
    return realm_platform_of_type(cpu_type, choose, platform, errp);
}

bool realm_machine_platform(const char *cpu_type, RmmPlatform *platform,
                            Error **errp)
{
    return platform_of_type(cpu_type, NULL, platform, errp);
}

bool realm_machine_init(const RealmMachineConfig *config,
                        const RealmHostOps *host, Error **errp)
{
    RmmPlatform platform;

    if (!platform_of_type(config->cpu_type, realm_choose_features, &platform,
                          errp) ||
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
