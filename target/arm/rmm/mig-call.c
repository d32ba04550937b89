/*
 * What handlers of the migration extension share (see mig.h)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "mig.h"

uint64_t mig_lock_realm(MigCall *c, RealmState state)
{
    RmmRealm *realm = c->realm;
    uint64_t result = RMI_SUCCESS;

    rmm_mutex_lock(&realm->lock);
    if (realm->destroyed) {
        result = RMI_ERROR_INPUT;       /* as if it had gone before the call */
    } else if (realm->state != state) {
        result = mig_refuse(MIG_CAUSE_STATE);
    }
    if (result != RMI_SUCCESS) {
        rmm_mutex_unlock(&realm->lock);
    }
    return result;
}

void mig_unlock_realm(MigCall *c)
{
    rmm_mutex_unlock(&c->realm->lock);
}

/* In the order of realm-migration-stream.rst, "Bundles" */
MigCause mig_check_place(const MigCall *c, const MigHeader *h, uint64_t types)
{
    const uint64_t tokens = MIG_TYPE_BIT(EPOCH) | MIG_TYPE_BIT(START);
    const uint64_t bit = h->type < 64 ? 1ull << h->type : 0;

    if (h->epoch != c->s->epoch) {
        return MIG_CAUSE_EPOCH;
    }
    if (!(types & bit)) {
        return MIG_CAUSE_TYPE;
    }
    return h->total && !(tokens & bit) ? MIG_CAUSE_FORMAT : 0;
}

uint64_t mig_send(MigCall *c, MigHeader *h, uint8_t *body, size_t len,
                  uint64_t buf, size_t buf_size)
{
    uint8_t *bundle;

    if (bundle_size(h->count, len) > buf_size) {
        return RMI_ERROR_INPUT;
    }
    if (!bundle_possible(c->stream)) {
        return mig_refuse(MIG_CAUSE_COUNTER);
    }
    bundle = bundle_seal(c->stream, h, body, len);
    if (!bundle) {
        return mig_refuse(MIG_CAUSE_CIPHER);
    }
    if (!rmm_write_ns(c->rmm, buf, bundle, h->size)) {
        return RMI_ERROR_INPUT;
    }
    bundle_done(c->stream);
    c->out[1] = h->size;
    return RMI_SUCCESS;
}
