/*
 * What the dispatchers of the interfaces share (see dispatch.h)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "dispatch.h"
#include "rec.h"
#include "rmm-internal.h"

RmmLog dispatch_begin(const RmmPe *pe)
{
    RmmLog entry = { 0 };

    if (pe->world == RMM_WORLD_REALM) {
        entry.rd = pe_rec(pe)->realm->rd;
        entry.rec = pe_rec(pe)->index;
    }
    return entry;
}

void dispatch_end(Rmm *rmm, RmmInterface interface, RmmLogPolicy policy,
                  bool failed, RmmLog *entry)
{
    static const char *const names[RMM_INTERFACES] = {
        [RMM_RMI] = "RMI", [RMM_RSI] = "RSI",
        [RMM_PSCI] = "PSCI", [RMM_MIG] = "MIG",
    };
    CallStripe *stripe = &rmm->served[stripe_of_thread()];

    failed = failed && policy != LOG_NEVER;
    __atomic_fetch_add(&stripe->calls[interface], 1, __ATOMIC_RELAXED);
    if (failed) {
        __atomic_fetch_add(&stripe->failed[interface], 1, __ATOMIC_RELAXED);
    }
    entry->interface = names[interface];
    rmm_log(rmm, entry, policy != LOG_ALWAYS && !failed);
}

void dispatch_refuse(Rmm *rmm, RmmPe *pe, RmmInterface interface)
{
    RmmLog entry = dispatch_begin(pe);

    entry.call = "unknown";
    entry.result = pe->x[0] = SMCCC_NOT_SUPPORTED;
    dispatch_end(rmm, interface, LOG_ERRORS, true, &entry);
}
