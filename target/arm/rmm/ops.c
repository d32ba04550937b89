/*
 * What the RMM model asks of the machine (see rmm-internal.h)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include "rmm-internal.h"

void rmm_tlb_sync(Rmm *rmm)
{
    lock_check_none();
    if (rmm->ops.tlb_sync) {
        rmm->ops.tlb_sync(rmm->opaque);
    }
}

bool rmm_read_ns(Rmm *rmm, void *buf, uint64_t pa, size_t len)
{
    const void *p = rmm->ops.ns(rmm->opaque, pa, len);

    if (p) {
        memcpy(buf, p, len);
    }
    return p;
}

bool rmm_is_ns(Rmm *rmm, uint64_t pa, size_t len)
{
    return rmm->ops.ns(rmm->opaque, pa, len);
}

bool rmm_write_ns(Rmm *rmm, uint64_t pa, const void *buf, size_t len)
{
    void *p = rmm->ops.ns(rmm->opaque, pa, len);

    if (p) {
        memcpy(p, buf, len);
    }
    return p;
}
