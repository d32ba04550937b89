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
#include "phase.h"
#include "realm-migration.h"

/* Characters of base64: a platform token takes a few thousand bytes. */
#define MAX_BLOB 65536

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
    info->has_measurement_algorithm =
        realm_config()->has_measurement_algorithm;
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
    realm_phase_set(REALM_MIGRATION_PHASE_OFFERED);
    offer = g_new0(RealmMigrationOffer, 1);
    offer->offer = g_base64_encode(buf, size);
    return offer;
}

/*
 * The bytes of @text, which is an offer or a token (@what) that the command
 * @from returned; NULL if it cannot be.
 */
static uint8_t *decode(const char *text, const char *what, const char *from,
                       size_t *size, Error **errp)
{
    uint8_t *blob;

    if (strlen(text) > MAX_BLOB) {
        error_setg(errp, "Realm: %s has at most %d characters, this one %zu; "
                   "use what %s returned", what, MAX_BLOB, strlen(text), from);
        return NULL;
    }
    blob = qbase64_decode(text, -1, size, NULL);
    if (!blob) {
        error_setg(errp, "Realm: %s is base64, this is not; use what %s "
                   "returned", what, from);
    }
    return blob;
}

void qmp_realm_migration_accept(const char *offer, Error **errp)
{
    const RealmBackendOps *backend = need_realm(errp);
    g_autofree uint8_t *blob = NULL;
    size_t size = 0;

    if (!backend) {
        return;
    }
    blob = decode(offer, "an offer", "realm-migration-offer", &size, errp);
    if (!blob) {
        return;
    }
    if (!realm_phase_holds(realm_phase())) {
        error_setg(errp, "Realm: it is not on this machine; give the offer to "
                   "the one that has it");
        return;
    }
    if (backend->accept(blob, size, errp)) {
        realm_phase_set(REALM_MIGRATION_PHASE_ACCEPTED);
    } else if (realm_phase() == REALM_MIGRATION_PHASE_ACCEPTED &&
               !backend->accepted()) {
        realm_phase_set(REALM_MIGRATION_PHASE_HERE);
    }
}

RealmMigrationAbortToken *qmp_realm_migration_abort(Error **errp)
{
    RealmMigrationPhase phase = realm_phase();
    RealmMigrationAbortToken *token;
    char *text;

    if (!need_realm(errp)) {
        return NULL;
    }
    if (phase != REALM_MIGRATION_PHASE_OFFERED &&
        phase != REALM_MIGRATION_PHASE_IMPORTING &&
        phase != REALM_MIGRATION_PHASE_FAILED) {
        error_setg(errp, phase == REALM_MIGRATION_PHASE_HERE
                   ? "Realm: it is on this machine and stays; end the source "
                     "if it came from there"
                   : "Realm: no offer was made here, so there is nothing to "
                     "give up; use migrate_cancel on a source");
        return NULL;
    }
    text = realm_destination_give_up(errp);
    if (!text) {
        return NULL;
    }
    token = g_new0(RealmMigrationAbortToken, 1);
    token->token = text;
    return token;
}

void qmp_realm_migration_resume(const char *token, Error **errp)
{
    const RealmBackendOps *backend = need_realm(errp);
    g_autofree uint8_t *blob = NULL;
    size_t size = 0;

    if (!backend) {
        return;
    }
    if (realm_phase() != REALM_MIGRATION_PHASE_SEALED) {
        error_setg(errp, "Realm: it has not left this machine for good; "
                   "cont runs it if it is here");
        return;
    }
    blob = decode(token, "an abort token", "realm-migration-abort", &size,
                  errp);
    if (blob && backend->export_resume(blob, size, errp)) {
        realm_source_forget();
        realm_phase_set(REALM_MIGRATION_PHASE_HERE);
    }
}

RealmMigrationStats *qmp_query_realm_migration(Error **errp)
{
    const RealmMigrationCounters *c = &realm_migration_counters;
    RealmMigrationStats *stats;

    if (!need_realm(errp)) {
        return NULL;
    }
    stats = g_new0(RealmMigrationStats, 1);
    stats->phase = realm_phase();
    stats->holds = realm_phase_holds(stats->phase);
    stats->private_pages = stat64_get(&c->private_pages);
    stats->tag_pages = stat64_get(&c->tag_pages);
    stats->bundles = stat64_get(&c->bundles);
    stats->bytes = stat64_get(&c->bytes);
    stats->rounds = stat64_get(&c->rounds);
    stats->remaining = stat64_get(&c->remaining);
    stats->total = stat64_get(&c->total);
    return stats;
}
