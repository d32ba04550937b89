/*
 * A host at EL2: the machine is put together, and reset
 *
 * Invariants: a reset of the machine is one of the RMM, which knows of nothing
 * that was before.
 *
 * Lock rule: BQL; a reset comes with all vCPUs stopped.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "exec/address-spaces.h"
#include "migration/blocker.h"
#include "system/realm-refuse.h"
#include "system/reset.h"
#include "system/rmm-query.h"
#include "system/system.h"
#include "target/arm/cpu.h"
#include "accel/tcg/realm/machine/keys.h"
#include "accel/tcg/realm/machine/platform.h"
#include "cpu-class.h"
#include "debug.h"
#include "firmware.h"
#include "gic.h"
#include "memory.h"
#include "ops.h"
#include "pe.h"
#include "query.h"
#include "tlb.h"

/*
 * RMM 1.0 without extensions; what CPUs and GIC have is added.  The RMM needs no
 * auxiliary granules, but TF-RMM does, so a host is tried with as many.
 */
static RmmPlatform platform = { .sha512 = true, .num_aux = 16 };

/*
 * Before CPUs are reset, which leaves nothing of a REC in their registers and
 * TLBs.  What a PE has elsewhere belongs to the RMM, or to nobody.
 */
static void reset_pes(void *opaque)
{
    CPUState *cs;

    CPU_FOREACH(cs) {
        if (el2_in_realm(cs)) {
            el2_debug_leave(cs);
        }
        memset(el2_pe(cs), 0, sizeof(El2Pe));
    }
}

/* Behind everything else; the first time when all of the machine exists. */
static void reset(void *opaque)
{
    CPUState *cs;

    CPU_FOREACH(cs) {
        el2_firmware_reset(cs);
    }
    rmm_free(el2_rmm);
    el2_memory_reset();
    el2_rmm = rmm_new(&el2_rmm_ops, NULL, &platform);
}

/*
 * Behind the resets of the board, and of -device loader, which resets CPUs.
 * Loaders have done their work, and from now on the address space of a CPU is
 * the monitor's view, not what the CPU accesses.
 */
static void machine_done(Notifier *notifier, void *unused)
{
    CPUState *cs;

    CPU_FOREACH(cs) {
        cs->as = &address_space_memory;
    }
    realm_platform_of_cpu(ARM_CPU(first_cpu), &platform);
    el2_gic_describe(first_cpu, &platform);
    qemu_register_reset(reset, NULL);
}

/* Neither is the RMM's state in a stream, nor is a Realm's memory. */
static bool block_migration(Error **errp)
{
    static const char no[] = "rmm=on: a machine with Realms of a host at EL2 "
        "can neither migrate nor go to a snapshot, or come from one; start it "
        "anew instead";
    Error *reason = NULL;

    error_setg(&reason, "%s", no);
    realm_refuse_snapshots(no);
    return migrate_add_blocker(&reason, errp) == 0;
}

bool realm_el2_init(const RealmEl2Config *config, Error **errp)
{
    static Notifier done = { .notify = machine_done };

    if (!block_migration(errp) || !el2_memory_init(config, errp)) {
        return false;
    }
    platform.as_tf_rmm = config->as_tf_rmm;
    el2_tlb_init(config);
    realm_keys_init();
    el2_pes = g_new0(El2Pe, config->num_cpus);
    el2_cpu_class_init(config->cpu_type);
    qemu_register_reset(reset_pes, NULL);
    qemu_add_machine_init_done_notifier(&done);
    rmm_query_init(el2_query);
    return true;
}
