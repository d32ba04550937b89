/*
 * query-realm, query-realm-capabilities and info realm
 *
 * Purpose: what the backend, the configuration and the machine know of a Realm,
 * in the words of QMP.  Nothing is kept here.
 *
 * Lock rule: BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-realm.h"
#include "qapi/type-helpers.h"
#include "qapi/util.h"
#include "monitor/monitor.h"
#include "qemu/accel.h"
#include "qemu/module.h"
#include "system/realm-backend.h"
#include "system/realm-events.h"
#include "system/realm-query.h"
#include "system/realm-shared-ram.h"

static const RealmBackendOps *(*find_backend)(void);

void realm_query_init(const RealmBackendOps *(*find)(void))
{
    assert(!find_backend);
    find_backend = find;
}

RealmCapabilities *qmp_query_realm_capabilities(Error **errp)
{
    const RealmBackendOps *backend = find_backend ? find_backend() : NULL;

    if (!backend) {
        error_setg(errp, "accelerator '%s' cannot run Realms here; use "
                   "qemu-system-aarch64 -accel tcg", current_accel_name());
        return NULL;
    }
    return backend->capabilities(errp);
}

/* ---- Of the configuration ---- */

static char *to_hex(const uint8_t *bytes, size_t size)
{
    GString *hex = g_string_new(NULL);

    for (size_t i = 0; i < size; i++) {
        g_string_append_printf(hex, "%02x", bytes[i]);
    }
    return g_string_free(hex, false);
}

static RealmTrustAnchor *trust_anchor(const RealmAnchor *from)
{
    RealmTrustAnchor *anchor = g_new0(RealmTrustAnchor, 1);

    anchor->authority = from->authority;
    anchor->key = to_hex(from->key, sizeof(from->key));
    return anchor;
}

static RealmMigrationRule *migration_rule(const RealmRule *from)
{
    RealmMigrationRule *rule = g_new0(RealmMigrationRule, 1);
    char *value = to_hex(from->value, from->value_size);

    if (*from->type) {
        rule->component = g_strndup(from->type, sizeof(from->type));
    }
    if (from->kind == REALM_RULE_SIGNER) {
        rule->signer = value;
        rule->version = g_strdup_printf("%u.%u.%u.%u", from->version[0],
                                        from->version[1], from->version[2],
                                        from->version[3]);
    } else {
        rule->measurement = value;
    }
    return rule;
}

static RealmMigrationPolicy *migration_policy(const RealmPolicy *from)
{
    RealmMigrationPolicy *policy = g_new0(RealmMigrationPolicy, 1);
    RealmTrustAnchorList **anchor = &policy->trust_anchors;
    RealmMigrationRuleList **rule = &policy->rules;

    policy->compact = from->compact;
    policy->life_cycle = from->life_cycle;
    if (from->has_implementation) {
        policy->implementation = to_hex(from->implementation,
                                        sizeof(from->implementation));
    }
    for (unsigned i = 0; i < from->num_anchors; i++) {
        QAPI_LIST_APPEND(anchor, trust_anchor(&from->anchors[i]));
    }
    for (unsigned i = 0; i < from->num_rules; i++) {
        QAPI_LIST_APPEND(rule, migration_rule(&from->rules[i]));
    }
    return policy;
}

static void add_config(const RealmConfig *config, RealmInfo *info)
{
    info->ipa_width = config->ipa_bits;
    info->has_measurement_algorithm = config->has_measurement_algorithm;
    info->measurement_algorithm = config->measurement_algorithm;
    info->personalization_value = g_base64_encode(config->rpv,
                                                  sizeof(config->rpv));
    info->migration = config->migration;
    if (config->migration) {
        info->migration_policy = migration_policy(&config->policy);
    }
    info->mte = config->mte;
}

/* ---- Of the backend ---- */

static RealmLifeState state_of(RealmPhase phase)
{
    switch (phase) {
    case REALM_PHASE_NEW:
        return REALM_LIFE_STATE_NEW;
    case REALM_PHASE_WAITING:
    case REALM_PHASE_EMPTY:
    case REALM_PHASE_OFFERED:
    case REALM_PHASE_IMPORTING:
        return REALM_LIFE_STATE_INCOMING;
    case REALM_PHASE_SEALED:
        return REALM_LIFE_STATE_SEALED;
    case REALM_PHASE_GONE:
        return REALM_LIFE_STATE_ENDED;
    case REALM_PHASE_FAILED:
    case REALM_PHASE_BROKEN:
        return REALM_LIFE_STATE_FAILED;
    default:
        return REALM_LIFE_STATE_ACTIVE;
    }
}

static void add_state(RealmPhase phase, RealmInfo *info)
{
    info->state = state_of(phase);
    /* After a reset there may be another Realm already, or none that works. */
    info->has_end_reason = realm_has_ended(&info->end_reason) &&
                           info->state != REALM_LIFE_STATE_NEW &&
                           info->state != REALM_LIFE_STATE_FAILED;
    if (info->has_end_reason) {
        info->state = REALM_LIFE_STATE_ENDED;
    }
}

static void add_pages(const RealmBackendOps *backend, RealmPhase phase,
                      RealmInfo *info)
{
    RealmPages pages;

    if (backend->count_pages(&pages)) {
        info->has_private_pages = info->has_lent_pages = true;
        info->private_pages = pages.private;
        info->lent_pages = pages.lent;
        info->has_empty_pages = info->has_untouched_pages = true;
        info->empty_pages = pages.empty;
        info->untouched_pages = pages.untouched;
        info->has_dirty_pages = realm_phase_exports(phase);
        info->dirty_pages = pages.dirty;
    } else if (realm_phase_exists(phase)) {
        info->has_lent_pages = true;
        info->lent_pages = realm_shared_ram_lent();
    }
}

static void add_features(const RealmBackendOps *backend, RealmInfo *info)
{
    RealmFeatures features;

    if (backend->features(&features)) {
        info->has_sve_vector_length = features.sve_vl;
        info->sve_vector_length = features.sve_vl;
        info->has_pmu_counters = features.pmu;
        info->pmu_counters = features.pmu_num_ctrs;
    }
}

RealmInfo *qmp_query_realm(Error **errp)
{
    const RealmBackendOps *backend = realm_backend_needed(errp);
    uint8_t rim[REALM_MEASUREMENT_SIZE];
    RealmPhase phase;
    RealmInfo *info;
    size_t size;

    if (!backend) {
        return NULL;
    }
    phase = backend->phase();
    info = g_new0(RealmInfo, 1);
    info->backend = g_strdup(backend->name);
    info->capabilities = backend->capabilities(NULL);
    add_config(realm_config(), info);
    add_state(phase, info);
    size = backend->measurement(rim);
    if (size) {
        info->rim = to_hex(rim, size);
    }
    add_pages(backend, phase, info);
    add_features(backend, info);
    return info;
}

/* ---- info realm ---- */

static const char *yes_no(bool yes)
{
    return yes ? "yes" : "no";
}

static void show_options(GString *text, const RealmInfo *info)
{
    g_string_append_printf(text, "IPA width: %" PRId64 " bits\n"
                           "personalization value: %s\n"
                           "migration: %s, memory tags: %s", info->ipa_width,
                           info->personalization_value,
                           yes_no(info->migration), yes_no(info->mte));
    if (info->has_sve_vector_length) {
        g_string_append_printf(text, ", SVE of %" PRIu32 " bits",
                               info->sve_vector_length);
    }
    if (info->has_pmu_counters) {
        g_string_append_printf(text, ", PMU with %" PRIu32 " counters",
                               info->pmu_counters);
    }
    g_string_append_c(text, '\n');
}

static void show_policy(GString *text, const RealmMigrationPolicy *policy)
{
    unsigned anchors = 0, rules = 0;

    for (RealmTrustAnchorList *a = policy->trust_anchors; a; a = a->next) {
        anchors++;
    }
    for (RealmMigrationRuleList *r = policy->rules; r; r = r->next) {
        rules++;
    }
    g_string_append_printf(text, "migration policy: compact %s, life cycle %s, "
                           "implementation %s, %u trust anchors, %u rules\n",
                           RmeGuestMigrationFeature_str(policy->compact),
                           RmeGuestMigrationLifeCycle_str(policy->life_cycle),
                           policy->implementation ?: "any", anchors, rules);
}

static void show_pages(GString *text, const RealmInfo *info)
{
    const struct {
        bool known;
        const char *name;
        uint64_t pages;
    } counts[] = {
        { info->has_private_pages, "private", info->private_pages },
        { info->has_lent_pages, "lent", info->lent_pages },
        { info->has_empty_pages, "empty", info->empty_pages },
        { info->has_untouched_pages, "never touched", info->untouched_pages },
        { info->has_dirty_pages, "dirty", info->dirty_pages },
    };
    const char *separator = "pages: ";

    for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
        if (counts[i].known) {
            g_string_append_printf(text, "%s%" PRIu64 " %s", separator,
                                   counts[i].pages, counts[i].name);
            separator = ", ";
        }
    }
    g_string_append_c(text, '\n');
}

static void show_state(GString *text, const RealmInfo *info)
{
    g_string_append_printf(text, "Realm: %s", RealmLifeState_str(info->state));
    if (info->has_end_reason) {
        g_string_append_printf(text, " (%s)",
                               RealmEndReason_str(info->end_reason));
    }
    g_string_append_printf(text, ", run by %s\n", info->backend);
    if (info->rim) {
        g_string_append_printf(text, "RIM (%s): %s\n",
                               RmeGuestMeasurementAlgorithm_str(
                                   info->measurement_algorithm), info->rim);
    }
}

static HumanReadableText *info_realm(Error **errp)
{
    g_autoptr(RealmInfo) info = qmp_query_realm(errp);
    g_autoptr(GString) text = g_string_new(NULL);

    if (!info) {
        return NULL;
    }
    show_state(text, info);
    show_options(text, info);
    if (info->migration_policy) {
        show_policy(text, info->migration_policy);
    }
    show_pages(text, info);
    return human_readable_text_from_str(text);
}

static void register_info(void)
{
    monitor_register_hmp_info_hrt("realm", info_realm);
}

type_init(register_info);
