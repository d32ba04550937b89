/*
 * A host at EL2: the machine is put together
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "accel/tcg/realm/machine/keys.h"
#include "cpu-class.h"
#include "memory.h"
#include "ops.h"
#include "pe.h"

/* RMM 1.0 without extensions. */
static const RmmPlatform platform = {
    .ipa_bits = 48,
    .num_bps = 5,
    .num_wps = 3,
    .sha512 = true,
    .num_lrs = 3,
    .gic_prio_bits = 5,
};

bool realm_el2_init(const RealmEl2Config *config, Error **errp)
{
    if (!el2_memory_init(config, errp)) {
        return false;
    }
    realm_keys_init();
    el2_pes = g_new0(El2Pe, config->num_cpus);
    el2_rmm = rmm_new(&el2_rmm_ops, NULL, &platform);
    el2_cpu_class_init(config->cpu_type);
    return true;
}
