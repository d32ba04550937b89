/*
 * Realms: QMP commands of migrations
 *
 * Purpose: the commands of qapi/realm.json whose names have "migration" in
 * them, and what query-migrate says of a Realm.  They check what only QEMU
 * knows, like a migration under way; all else the backend accepts or refuses.
 *
 * Lock rule: BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-realm.h"
#include "qemu/base64.h"
#include "migration/misc.h"
#include "migration/realm.h"
#include "system/runstate.h"
#include "realm-migration.h"

/* Characters of base64: a platform token takes a few thousand bytes. */
#define MAX_BLOB 65536

/*
 * The bytes of @text, which is @what and comes from the command @from; NULL if
 * it cannot be.
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
        error_setg(errp, "Realm: %s is base64, and '%.32s' is not; use what "
                   "%s returned", what, text, from);
    }
    return blob;
}

/* Whether there is a Realm here of which a migration may be prepared. */
static bool check_may_leave(Error **errp)
{
    if (!realm_phase_holds(realm_backend()->phase())) {
        error_setg(errp, "Realm: it is not on this machine; use the one that "
                   "has it");
    } else if (migration_is_running()) {
        error_setg(errp, "Realm: a migration of it is under way; wait for its "
                   "end, or use migrate_cancel");
    } else if (runstate_needs_reset()) {
        error_setg(errp, "Realm: it has come to its end (%s), and there is "
                   "nothing to migrate; end this machine and start another",
                   RunState_str(runstate_get()));
    } else {
        return true;
    }
    return false;
}

/* What was accepted, or opened and could not be given up. */
static bool drop_session(const RealmBackendOps *backend, Error **errp)
{
    RealmPhase phase = backend->phase();

    return !(phase == REALM_PHASE_ACCEPTED || realm_phase_exports(phase)) ||
           backend->export_abort(errp);
}

/* Of the last prepare here, or of the offer that was made here */
static uint8_t the_nonce[REALM_NONCE_SIZE];

/* In base64.  The backend gives an offer once. */
static char *the_offer;

RealmMigrationNonce *qmp_realm_migration_prepare(Error **errp)
{
    const RealmBackendOps *backend = realm_backend_needed(errp);
    RealmMigrationNonce *nonce;

    if (!backend || !check_may_leave(errp) || !drop_session(backend, errp) ||
        !backend->prepare_migration(the_nonce, errp)) {
        return NULL;
    }
    nonce = g_new0(RealmMigrationNonce, 1);
    nonce->nonce = g_base64_encode(the_nonce, sizeof(the_nonce));
    return nonce;
}

static bool make_offer(const RealmBackendOps *backend,
                       const uint8_t nonce[REALM_NONCE_SIZE], Error **errp)
{
    g_autofree uint8_t *buf = NULL;
    RealmMigrationLimits limits;
    ssize_t size;

    backend->migration_limits(&limits);
    buf = g_malloc(limits.max_blob);
    size = backend->offer(nonce, buf, errp);
    if (size < 0) {
        return false;
    }
    memcpy(the_nonce, nonce, sizeof(the_nonce));
    g_free(the_offer);
    the_offer = g_base64_encode(buf, size);
    return true;
}

static bool check_may_offer(RealmPhase phase,
                            const uint8_t nonce[REALM_NONCE_SIZE],
                            Error **errp)
{
    if (phase == REALM_PHASE_IMPORTING || phase == REALM_PHASE_FAILED) {
        error_setg(errp, "Realm: this destination has used its offer, and is "
                   "in phase '%s'; start another one with -incoming defer",
                   realm_phase_name(phase));
        return false;
    }
    if (phase != REALM_PHASE_OFFERED || !the_offer) {
        return realm_phase_check(phase, REALM_STEP_OFFER, errp);
    }
    if (memcmp(nonce, the_nonce, sizeof(the_nonce))) {
        error_setg(errp, "Realm: the offer that was made here is for another "
                   "nonce; start another destination with -incoming defer for "
                   "this one");
        return false;
    }
    return true;
}

static uint8_t *decode_nonce(const char *text, Error **errp)
{
    g_autofree uint8_t *nonce = NULL;
    size_t size = 0;

    nonce = decode(text, "a nonce", "realm-migration-prepare", &size, errp);
    if (nonce && size != REALM_NONCE_SIZE) {
        error_setg(errp, "Realm: a nonce has %d bytes, this one %zu; use what "
                   "realm-migration-prepare returned on the source",
                   REALM_NONCE_SIZE, size);
        return NULL;
    }
    return g_steal_pointer(&nonce);
}

/* Until something of a migration has come, the same offer is given again. */
RealmMigrationOffer *qmp_realm_migration_offer(const char *text, Error **errp)
{
    const RealmBackendOps *backend = realm_backend_needed(errp);
    g_autofree uint8_t *nonce = NULL;
    RealmMigrationOffer *offer;

    if (!backend) {
        return NULL;
    }
    if (!realm_config()->migration) {
        error_setg(errp, "Realm: cannot %s: it was created with "
                   "migration=off; give rme-guest migration=on",
                   realm_step_text(REALM_STEP_OFFER));
        return NULL;
    }
    nonce = decode_nonce(text, errp);
    if (!nonce || !check_may_offer(backend->phase(), nonce, errp) ||
        (backend->phase() != REALM_PHASE_OFFERED &&
         !make_offer(backend, nonce, errp))) {
        return NULL;
    }
    offer = g_new0(RealmMigrationOffer, 1);
    offer->offer = g_strdup(the_offer);
    return offer;
}

void qmp_realm_migration_accept(const char *offer, Error **errp)
{
    const RealmBackendOps *backend = realm_backend_needed(errp);
    g_autofree uint8_t *blob = NULL;
    size_t size = 0;

    if (!backend) {
        return;
    }
    blob = decode(offer, "an offer", "realm-migration-offer", &size, errp);
    if (blob && check_may_leave(errp)) {
        backend->accept(blob, size, errp);
    }
}

RealmMigrationAbortToken *qmp_realm_migration_abort(Error **errp)
{
    const RealmBackendOps *backend = realm_backend_needed(errp);
    RealmMigrationAbortToken *token;
    RealmPhase phase;
    char *text;

    if (!backend) {
        return NULL;
    }
    phase = backend->phase();
    if (!realm_phase_offered(phase)) {
        error_setg(errp, realm_phase_qmp(phase) == REALM_MIGRATION_PHASE_HERE
                   ? "Realm: it is on this machine and stays; end the source "
                     "if it came from there"
                   : phase == REALM_PHASE_GONE
                   ? "Realm: it runs on the destination; end this machine"
                   : phase == REALM_PHASE_SEALED
                   ? "Realm: it has left this machine; use "
                     "realm-migration-abort on the destination"
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
    const RealmBackendOps *backend = realm_backend_needed(errp);
    g_autofree uint8_t *blob = NULL;
    size_t size = 0;

    if (!backend) {
        return;
    }
    if (backend->phase() != REALM_PHASE_SEALED) {
        error_setg(errp, backend->phase() == REALM_PHASE_GONE
                   ? "Realm: it runs on the destination, which cannot give it "
                     "back; end this machine"
                   : realm_phase_holds(backend->phase())
                   ? "Realm: it has not left this machine for good; cont runs "
                     "it if it is paused"
                   : "Realm: it did not leave this machine; use the source of "
                     "its migration");
        return;
    }
    blob = decode(token, "an abort token", "realm-migration-abort", &size,
                  errp);
    if (blob) {
        backend->export_resume(blob, size, errp);
    }
}

static RealmMigrationStats *migration_stats(const RealmBackendOps *backend)
{
    RealmPhase phase = backend->phase();
    RealmMigrationStats *stats;

    stats = g_new0(RealmMigrationStats, 1);
    stats->phase = realm_phase_qmp(phase);
    stats->holds = realm_phase_holds(phase);
    if (phase == REALM_PHASE_ACCEPTED || phase == REALM_PHASE_OFFERED) {
        stats->nonce = g_base64_encode(the_nonce, sizeof(the_nonce));
    }
    realm_counters_get(stats);
    return stats;
}

RealmMigrationStats *qmp_query_realm_migration(Error **errp)
{
    const RealmBackendOps *backend = realm_backend_needed(errp);

    return backend ? migration_stats(backend) : NULL;
}

/* Before the first migration the answer is empty, as for other machines. */
void realm_migration_info(MigrationInfo *info)
{
    if (realm_backend() && info->has_status) {
        info->realm = migration_stats(realm_backend());
    }
}
