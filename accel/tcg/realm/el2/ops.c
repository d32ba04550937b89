/*
 * A host at EL2: what the RMM asks of the machine
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "accel/tcg/realm/machine/keys.h"
#include "accel/tcg/realm/machine/services.h"
#include "context.h"
#include "memory.h"
#include "ops.h"
#include "tlb.h"
#include "world.h"

const RmmOps el2_rmm_ops = {
    .granule = el2_memory_granule,
    .granule_written = el2_memory_granule_written,
    .ns = el2_memory_ns,
    .ns_written = el2_memory_ns_written,
    .granule_pas = el2_memory_set_pas,
    .tlb_invalidate = el2_tlb_invalidate,
    .tlb_sync = el2_tlb_sync,
    .context_new = el2_context_new,
    .context_free = el2_context_free,
    .exit_state = el2_world_exit_state,
    .random = realm_random,
    .key = realm_key,
    .certificates = realm_certificates,
    .seconds = realm_seconds,
    .log = realm_log,
    .log_all = realm_log_all,
};
