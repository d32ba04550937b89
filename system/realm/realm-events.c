/*
 * Events about what a Realm does (see system/realm-events.h)
 *
 * Purpose: a guest makes these events as often as it likes, so the monitor
 * limits their rate, and keeps only the last one of those that have to wait.
 *
 * Invariants: the numbers in an event are sums that never go down, so nothing
 * is lost with an event that is left out.
 *
 * Lock rule: any thread; sums are atomic.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/qapi-events-realm.h"
#include "qemu/stats64.h"
#include "system/realm-backend.h"
#include "system/realm-events.h"

static Stat64 private_pages, shared_pages, requests;

void realm_event_ripas(uint64_t bytes, bool private)
{
    if (bytes) {
        stat64_add(private ? &private_pages : &shared_pages,
                   bytes / REALM_PAGE_SIZE);
        qapi_event_send_realm_ripas_change(stat64_get(&private_pages),
                                           stat64_get(&shared_pages));
    }
}

void realm_event_attestation(void)
{
    stat64_add(&requests, 1);
    qapi_event_send_realm_attestation(stat64_get(&requests));
}
