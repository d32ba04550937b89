/*
 * What handlers of the migration extension share (see mig.h)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

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
    } else if (realm->reclaimed) {
        result = mig_refuse(MIG_CAUSE_RECLAIMED);
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

bool mig_has_room(const MigCall *c, size_t size)
{
    return size <= c->room && rmm_is_ns(c->rmm, c->buf, size);
}

bool mig_expired(const MigCall *c, uint64_t at)
{
    return c->rmm->ops.seconds(c->rmm->opaque) - at > MIG_LIFETIME;
}

void mig_give(MigCall *c, const uint8_t *record, size_t size)
{
    c->record = record;
    c->size = size;
    c->out[1] = size;
}

uint64_t mig_seal(MigCall *c, MigHeader *h, uint8_t *body, size_t len)
{
    uint8_t *bundle;

    if (!mig_has_room(c, bundle_size(h->count, len))) {
        return RMI_ERROR_INPUT;
    }
    if (!bundle_possible(c->stream)) {
        return mig_refuse(MIG_CAUSE_COUNTER);
    }
    bundle = bundle_seal(c->stream, h, body, len);
    if (!bundle) {
        return mig_refuse(MIG_CAUSE_CIPHER);
    }
    bundle_done(c->stream);
    mig_give(c, bundle, h->size);
    return RMI_SUCCESS;
}

/* Most pages that are not zero say so in the first of these steps. */
bool mig_page_is_zero(const uint8_t *page)
{
    uint64_t words[8], any = 0;

    for (size_t at = 0; at < RMM_GRANULE_SIZE && !any; at += sizeof(words)) {
        memcpy(words, page + at, sizeof(words));
        for (size_t i = 0; i < 8; i++) {
            any |= words[i];
        }
    }
    return !any;
}
