/*
 * Realms under TCG: calls to the RMM
 *
 * Purpose: the way into the RMM, and what it asks of the machine meanwhile
 * (RmmOps).  The TLB flush that follows a change of stage 2 is made here.
 *
 * Invariants: no vCPU uses an old translation when RmmOps.tlb_sync is over.
 *
 * Lock rule: any thread.  Who makes a call that invalidates translations has
 * excluded all vCPUs, or has the BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/main-loop.h"
#include "exec/cputlb.h"
#include "system/realm-events.h"
#include "target/arm/rmm/rmm-abi.h"
#include "call.h"
#include "context.h"
#include "keys.h"
#include "pe.h"
#include "physmem.h"
#include "services.h"

/* Translations that this thread made invalid may still be in TLBs. */
static __thread bool flush_due;

/*
 * A REC was entered, so TLBs may have something.  The host enters the first
 * one under the BQL, before any vCPU runs; and so after realm_call_flush.
 */
static bool any_has_run;

static void flush_one(CPUState *cs, run_on_cpu_data unused)
{
    tlb_flush(cs);
}

/*
 * No vCPU uses an old translation when this returns.  Where all other vCPUs
 * are excluded, they are outside of guest code until it is over; so what the
 * first of many calls has emptied stays empty.  A vCPU that has stopped flushes
 * before it runs; waiting for it would give the BQL up, which a migration about
 * to complete must keep.  Each vCPU says that for itself: the machine's state
 * changes before the vCPUs have left the guest (do_vm_stop).
 */
static void flush_all(void)
{
    CPUState *cs;

    if (current_cpu) {
        assert(cpu_in_exclusive_context(current_cpu));
        CPU_FOREACH(cs) {
            if (cs->neg.tlb.c.dirty) {
                tlb_flush(cs);
            }
        }
        return;
    }
    assert(bql_locked());
    CPU_FOREACH(cs) {
        if (cs->stopped) {
            async_run_on_cpu(cs, flush_one, RUN_ON_CPU_NULL);
        } else {
            run_on_cpu(cs, flush_one, RUN_ON_CPU_NULL);
        }
    }
}

static void tlb_invalidate(void *opaque, uint16_t vmid, uint64_t base,
                           uint64_t top)
{
    flush_due = true;
}

static void tlb_sync(void *opaque)
{
    if (flush_due && qatomic_read(&any_has_run)) {
        flush_all();
    }
    flush_due = false;
}

static void *ns(void *opaque, uint64_t pa, size_t len)
{
    /* Memory of the Realm world is not Non-secure, whatever the host says. */
    return realm_physmem_has(pa, len) ? NULL : realm_host_ops->ns(pa, len);
}

/* A Realm may ask for tokens as often as it likes. */
static void log_call(void *opaque, const RmmLog *entry)
{
    if (!entry->exit && entry->rd && entry->result == RSI_SUCCESS &&
        g_str_equal(entry->call, "ATTESTATION_TOKEN_INIT")) {
        realm_event_attestation();
    }
    realm_log(opaque, entry);
}

/*
 * No interrupt_pending: what interrupts a vCPU here is another thread's kick,
 * which takes effect behind the call in any case.  CPU_INTERRUPT_HARD is the
 * Realm's own interrupt, and one that the Realm masks would stay pending and
 * end its token calls for ever.
 */
const RmmOps realm_rmm_ops = {
    .granule = realm_physmem_granule,
    .granule_written = realm_physmem_granule_written,
    .granule_tags = realm_physmem_granule_tags,
    .ns = ns,
    .tlb_invalidate = tlb_invalidate,
    .tlb_sync = tlb_sync,
    .random = realm_random,
    .context_save = realm_context_save,
    .context_load = realm_context_load,
    .context_wipe = realm_context_wipe,
    .key = realm_key,
    .certificates = realm_certificates,
    .seconds = realm_seconds,
    .log = log_call,
};

void realm_call(RmmPe *pe)
{
    rmm_call(realm_rmm, pe);
    if (pe->world == RMM_WORLD_REALM && !qatomic_read(&any_has_run)) {
        qatomic_set(&any_has_run, true);
    }
}

void realm_call_flush(void)
{
    if (qatomic_read(&any_has_run)) {
        flush_all();
        qatomic_set(&any_has_run, false);
    }
}
