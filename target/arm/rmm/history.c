/*
 * Where a Realm has been (see history.h)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include "history.h"
#include "rmm-internal.h"

static const uint8_t own_implementation[32] = TOKEN_IMPLEMENTATION;

static void set_weakest(MigHistory *history, uint16_t lifecycle,
                        const uint8_t implementation[32])
{
    history->weakest_lifecycle = lifecycle;
    memcpy(history->weakest_implementation, implementation,
           sizeof(history->weakest_implementation));
}

/* The Realm was on one more platform; of two that are alike the first counts */
static void count(MigHistory *history, uint16_t lifecycle,
                  const uint8_t implementation[32])
{
    if (token_is_secured(history->weakest_lifecycle) &&
        !token_is_secured(lifecycle)) {
        set_weakest(history, lifecycle, implementation);
    }
}

void history_begin(MigHistory *history, Rmm *rmm)
{
    *history = (MigHistory) { 0 };
    rmm->ops.random(rmm->opaque, history->instance_id,
                    sizeof(history->instance_id));
    set_weakest(history, rmm->platform.lifecycle, own_implementation);
}

bool history_valid(const MigHistory *history)
{
    static const MigHistory zero;

    return history->migrations != UINT64_MAX &&
           memcmp(history->reserved0, zero.reserved0,
                  sizeof(zero.reserved0)) == 0 &&
           memcmp(history->reserved1, zero.reserved1,
                  sizeof(zero.reserved1)) == 0;
}

void history_arrive(MigHistory *history, const Rmm *rmm,
                    const MigHistory *sent, const TokenPlatform *source)
{
    *history = *sent;
    history->migrations++;
    count(history, source->lifecycle, source->implementation_id);
    count(history, rmm->platform.lifecycle, own_implementation);
}
