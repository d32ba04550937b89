/*
 * What the RMM model asks of the machine (see rmm-internal.h)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include "granule.h"
#include "rmm-internal.h"

void rmm_tlb_sync(Rmm *rmm)
{
    lock_check_none();
    if (rmm->ops.tlb_sync) {
        rmm->ops.tlb_sync(rmm->opaque);
    }
}

void rmm_log(Rmm *rmm, const RmmLog *entry, bool hot)
{
    const RmmOps *ops = &rmm->ops;

    if (ops->log &&
        (!hot || (ops->log_all && ops->log_all(rmm->opaque)))) {
        ops->log(rmm->opaque, entry);
    }
}

/*
 * @len bytes of the host at @pa, or NULL.  The host may delegate them at the
 * same time: then it gets, or gives, what was there before.
 */
static void *ns_memory(Rmm *rmm, uint64_t pa, size_t len)
{
    uint64_t page = pa & ~(RMM_GRANULE_SIZE - 1ull);

    if (pa + len < pa) {
        return NULL;
    }
    for (; page < pa + len; page += RMM_GRANULE_SIZE) {
        if (granule_state(rmm, page) != GRANULE_NS) {
            return NULL;
        }
    }
    return rmm->ops.ns(rmm->opaque, pa, len);
}

bool rmm_read_ns(Rmm *rmm, void *buf, uint64_t pa, size_t len)
{
    const void *p = ns_memory(rmm, pa, len);

    if (p) {
        memcpy(buf, p, len);
    }
    return p;
}

bool rmm_is_ns(Rmm *rmm, uint64_t pa, size_t len)
{
    return ns_memory(rmm, pa, len);
}

bool rmm_write_ns(Rmm *rmm, uint64_t pa, const void *buf, size_t len)
{
    void *p = ns_memory(rmm, pa, len);

    if (p) {
        memcpy(p, buf, len);
        if (rmm->ops.ns_written) {
            rmm->ops.ns_written(rmm->opaque, pa, len);
        }
    }
    return p;
}
