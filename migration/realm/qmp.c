/*
 * Live migration of Realms: QMP commands
 *
 * Lock rule: BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-realm.h"
#include "qemu/base64.h"
#include "system/runstate.h"
#include "realm-migration.h"

/* Characters of base64: a platform token takes a few thousand bytes. */
#define MAX_OFFER 65536

static const RealmBackendOps *need_realm(Error **errp)
{
    const RealmBackendOps *backend = realm_backend();

    if (!backend) {
        error_setg(errp, "this machine is not a Realm; start it with "
                   "-object rme-guest,id=rme0 "
                   "-machine confidential-guest-support=rme0");
    }
    return backend;
}

static char *to_hex(const uint8_t *bytes, size_t size)
{
    GString *hex = g_string_new(NULL);

    for (size_t i = 0; i < size; i++) {
        g_string_append_printf(hex, "%02x", bytes[i]);
    }
    return g_string_free(hex, false);
}

RealmInfo *qmp_query_realm(Error **errp)
{
    const RealmBackendOps *backend = need_realm(errp);
    uint8_t rim[REALM_MEASUREMENT_SIZE];
    RealmPages pages;
    RealmInfo *info;
    size_t size;

    if (!backend) {
        return NULL;
    }
    info = g_new0(RealmInfo, 1);
    info->backend = g_strdup(backend->name);
    info->ipa_width = realm_config()->ipa_bits;
    info->measurement_algorithm = realm_config()->measurement_algorithm;
    info->migration = realm_config()->migration;
    info->mte = realm_config()->mte;
    size = backend->measurement(rim);
    if (size) {
        info->rim = to_hex(rim, size);
    }
    if (backend->count_pages(&pages)) {
        info->has_private_pages = info->has_shared_pages = true;
        info->private_pages = pages.private;
        info->shared_pages = pages.shared;
    }
    return info;
}

RealmMigrationOffer *qmp_realm_migration_offer(Error **errp)
{
    const RealmBackendOps *backend = need_realm(errp);
    g_autofree uint8_t *buf = NULL;
    RealmMigrationLimits limits;
    RealmMigrationOffer *offer;
    ssize_t size;

    if (!backend) {
        return NULL;
    }
    if (!runstate_check(RUN_STATE_INMIGRATE)) {
        error_setg(errp, "Realm: this machine does not wait for a migration; "
                   "start the destination with -incoming defer");
        return NULL;
    }
    backend->migration_limits(&limits);
    buf = g_malloc(limits.max_blob);
    size = backend->offer(buf, errp);
    if (size < 0) {
        return NULL;
    }
    offer = g_new0(RealmMigrationOffer, 1);
    offer->offer = g_base64_encode(buf, size);
    return offer;
}

void qmp_realm_migration_accept(const char *offer, Error **errp)
{
    const RealmBackendOps *backend = need_realm(errp);
    g_autofree uint8_t *blob = NULL;
    size_t size = 0;

    if (!backend) {
        return;
    }
    if (strlen(offer) > MAX_OFFER) {
        error_setg(errp, "Realm: an offer has at most %d characters, "
                   "this one %zu; use what realm-migration-offer returned",
                   MAX_OFFER, strlen(offer));
        return;
    }
    blob = qbase64_decode(offer, -1, &size, NULL);
    if (!blob) {
        error_setg(errp, "Realm: the offer is not base64; use what "
                   "realm-migration-offer returned");
        return;
    }
    backend->accept(blob, size, errp);
}

RealmMigrationStats *qmp_query_realm_migration(Error **errp)
{
    const RealmMigrationCounters *c = &realm_migration_counters;
    RealmMigrationStats *stats;

    if (!need_realm(errp)) {
        return NULL;
    }
    stats = g_new0(RealmMigrationStats, 1);
    stats->private_pages = stat64_get(&c->private_pages);
    stats->tag_pages = stat64_get(&c->tag_pages);
    stats->bundles = stat64_get(&c->bundles);
    stats->bytes = stat64_get(&c->bytes);
    stats->rounds = stat64_get(&c->rounds);
    stats->remaining = stat64_get(&c->remaining);
    stats->total = stat64_get(&c->total);
    return stats;
}
