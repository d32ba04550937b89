/*
 * What the dispatchers of the interfaces share (see dispatch.h)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "dispatch.h"
#include "rmm-internal.h"

void dispatch_log(Rmm *rmm, RmmLogPolicy policy, bool failed,
                  const RmmLog *entry)
{
    if (rmm->ops.log &&
        (policy == LOG_ALWAYS || (policy == LOG_ERRORS && failed))) {
        rmm->ops.log(rmm->opaque, entry);
    }
}

void dispatch_refuse(Rmm *rmm, RmmPe *pe, const char *interface)
{
    RmmLog entry = { .interface = interface, .call = "unknown",
                     .result = SMCCC_NOT_SUPPORTED };

    pe->x[0] = SMCCC_NOT_SUPPORTED;
    dispatch_log(rmm, LOG_ERRORS, true, &entry);
}
