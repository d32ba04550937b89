/*
 * The rme-guest object: what the user says about a Realm
 *
 * Purpose: -object rme-guest and its properties.  The object is created after
 * the machine object and before the machine's options are applied.  So it can
 * give the machine better defaults for a Realm, and the user's options still
 * override them.  hw/arm/realm/ then refuses what a Realm cannot have.
 *
 * Invariants: at most one object exists, and the machine uses it.
 *
 * Lock rule: BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/base64.h"
#include "qemu/error-report.h"
#include "qom/object_interfaces.h"
#include "hw/boards.h"
#include "system/system.h"
#include "cpu.h"
#include "migration-rules.h"
#include "policy-text.h"
#include "rme-guest.h"
#include "trust-anchors.h"

static RmeGuest *the_guest;

RmeGuest *rme_guest(void)
{
    return the_guest;
}

RmeGuest *rme_guest_of(const MachineState *machine)
{
    return the_guest && machine->cgs == CONFIDENTIAL_GUEST_SUPPORT(the_guest)
           ? the_guest : NULL;
}

/* Once the machine is created, its Realm's properties cannot change. */
static bool may_change(Error **errp)
{
    if (phase_check(PHASE_MACHINE_INITIALIZED)) {
        error_setg(errp, "rme-guest: a Realm is created with its machine; "
                   "give the property on the command line");
        return false;
    }
    return true;
}

static char *rme_guest_get_rpv(Object *obj, Error **errp)
{
    RmeGuest *guest = RME_GUEST(obj);

    return g_base64_encode(guest->config.rpv, REALM_RPV_SIZE);
}

static void rme_guest_set_rpv(Object *obj, const char *value, Error **errp)
{
    RmeGuest *guest = RME_GUEST(obj);
    g_autofree uint8_t *rpv = NULL;
    size_t size = 0;

    if (!may_change(errp)) {
        return;
    }
    rpv = qbase64_decode(value, -1, &size, NULL);
    if (!rpv) {
        error_setg(errp, "rme-guest: personalization-value '%.128s' is not "
                   "base64; give base64 of exactly %d bytes", value,
                   REALM_RPV_SIZE);
        return;
    }
    if (size != REALM_RPV_SIZE) {
        error_setg(errp, "rme-guest: personalization-value has %zu bytes; "
                   "give base64 of exactly %d bytes", size, REALM_RPV_SIZE);
        return;
    }
    guest->config.has_rpv = true;
    memcpy(guest->config.rpv, rpv, REALM_RPV_SIZE);
}

static int rme_guest_get_algorithm(Object *obj, Error **errp)
{
    return RME_GUEST(obj)->config.measurement_algorithm;
}

static void rme_guest_set_algorithm(Object *obj, int value, Error **errp)
{
    if (may_change(errp)) {
        RME_GUEST(obj)->config.has_measurement_algorithm = true;
        RME_GUEST(obj)->config.measurement_algorithm = value;
    }
}

static int rme_guest_get_kvm_abi(Object *obj, Error **errp)
{
    return RME_GUEST(obj)->config.kvm_abi;
}

static void rme_guest_set_kvm_abi(Object *obj, int value, Error **errp)
{
    if (may_change(errp)) {
        RME_GUEST(obj)->config.kvm_abi = value;
    }
}

static bool rme_guest_get_in_place(Object *obj, Error **errp)
{
    return RME_GUEST(obj)->config.convert_in_place;
}

static void rme_guest_set_in_place(Object *obj, bool value, Error **errp)
{
    if (may_change(errp)) {
        RME_GUEST(obj)->config.has_convert_in_place = true;
        RME_GUEST(obj)->config.convert_in_place = value;
    }
}

static bool rme_guest_get_log(Object *obj, Error **errp)
{
    return RME_GUEST(obj)->config.measurement_log;
}

/* The series that was posted for QEMU has this property. */
static void rme_guest_set_log(Object *obj, bool value, Error **errp)
{
    if (may_change(errp)) {
        RME_GUEST(obj)->config.measurement_log = value;
    }
}

static bool rme_guest_get_migration(Object *obj, Error **errp)
{
    return RME_GUEST(obj)->config.migration;
}

static void rme_guest_set_migration(Object *obj, bool value, Error **errp)
{
    if (may_change(errp)) {
        RME_GUEST(obj)->config.migration = value;
    }
}

static bool rme_guest_get_mte(Object *obj, Error **errp)
{
    return RME_GUEST(obj)->config.mte;
}

static void rme_guest_set_mte(Object *obj, bool value, Error **errp)
{
    if (may_change(errp)) {
        RME_GUEST(obj)->config.mte = value;
    }
}

/*
 * The policy, for a change by @property: from now on the Realm has one.  NULL
 * on error.
 */
static RealmPolicy *change_policy(Object *obj, const char *property,
                                  Error **errp)
{
    RmeGuest *guest = RME_GUEST(obj);

    if (!may_change(errp)) {
        return NULL;
    }
    guest->config.has_policy = true;
    guest->policy_property = property;
    return &guest->config.policy;
}

static int rme_guest_get_compact(Object *obj, Error **errp)
{
    return RME_GUEST(obj)->config.policy.compact;
}

static void rme_guest_set_compact(Object *obj, int value, Error **errp)
{
    RealmPolicy *policy = change_policy(obj, "migration-compact", errp);

    if (policy) {
        policy->compact = value;
    }
}

static int rme_guest_get_life_cycle(Object *obj, Error **errp)
{
    return RME_GUEST(obj)->config.policy.life_cycle;
}

static void rme_guest_set_life_cycle(Object *obj, int value, Error **errp)
{
    RealmPolicy *policy = change_policy(obj, "migration-life-cycle", errp);

    if (policy) {
        policy->life_cycle = value;
    }
}

static char *rme_guest_get_implementation(Object *obj, Error **errp)
{
    const RealmPolicy *policy = &RME_GUEST(obj)->config.policy;
    GString *hex = g_string_new(NULL);

    for (size_t i = 0; policy->has_implementation &&
                       i < REALM_IMPLEMENTATION_SIZE; i++) {
        g_string_append_printf(hex, "%02x", policy->implementation[i]);
    }
    return g_string_free(hex, false);
}

static void rme_guest_set_implementation(Object *obj, const char *value,
                                         Error **errp)
{
    uint8_t id[REALM_IMPLEMENTATION_SIZE];
    RealmPolicy *policy;

    if (policy_text_hex(id, sizeof(id), value) != sizeof(id)) {
        error_setg(errp, "rme-guest: migration-implementation '%.128s' is "
                   "no implementation id; give %zu hexadecimal digits",
                   value, 2 * sizeof(id));
        return;
    }
    policy = change_policy(obj, "migration-implementation", errp);
    if (policy) {
        policy->has_implementation = true;
        memcpy(policy->implementation, id, sizeof(id));
    }
}

static char *rme_guest_get_anchors(Object *obj, Error **errp)
{
    return g_strdup(RME_GUEST(obj)->trust_anchors);
}

static void rme_guest_set_anchors(Object *obj, const char *path, Error **errp)
{
    RealmPolicy *policy = change_policy(obj, "migration-trust-anchors", errp);
    RmeGuest *guest = RME_GUEST(obj);

    if (policy && trust_anchors_read(policy, path, errp)) {
        g_free(guest->trust_anchors);
        guest->trust_anchors = g_strdup(path);
    }
}

static char *rme_guest_get_rules(Object *obj, Error **errp)
{
    return g_strdup(RME_GUEST(obj)->migration_rules);
}

static void rme_guest_set_rules(Object *obj, const char *path, Error **errp)
{
    RealmPolicy *policy = change_policy(obj, "migration-rules", errp);
    RmeGuest *guest = RME_GUEST(obj);

    if (policy && migration_rules_read(policy, path, errp)) {
        g_free(guest->migration_rules);
        guest->migration_rules = g_strdup(path);
    }
}

/* Give the machine a property value that the user can still override. */
static void suggest(MachineState *machine, const char *name, const char *value)
{
    if (object_property_find(OBJECT(machine), name)) {
        object_property_parse(OBJECT(machine), name, value, &error_abort);
    }
}

/* An rme-guest that no machine uses protects nothing: say so, and stop. */
static void rme_guest_check_used(Notifier *notifier, void *unused)
{
    if (!rme_guest_of(current_machine)) {
        error_report("rme-guest: this machine does not use it; add "
                     "confidential-guest-support=%s to -machine virt",
                     object_get_canonical_path_component(OBJECT(the_guest)));
        exit(EXIT_FAILURE);
    }
}

static void rme_guest_complete(UserCreatable *uc, Error **errp)
{
    static Notifier machine_done = { .notify = rme_guest_check_used };
    MachineState *machine = current_machine;

    if (the_guest) {
        error_setg(errp, "rme-guest: a machine is one Realm, and '%s' is its "
                   "object already; give only one rme-guest object",
                   object_get_canonical_path_component(OBJECT(the_guest)));
        return;
    }
    if (phase_check(PHASE_MACHINE_CREATED)) {
        error_setg(errp, "rme-guest: a Realm is created with its machine; "
                   "give the object on the command line");
        return;
    }
    if (RME_GUEST(uc)->config.has_policy && !RME_GUEST(uc)->config.migration) {
        error_setg(errp, "rme-guest: %s is for a Realm that may be migrated; "
                   "give migration=on as well",
                   RME_GUEST(uc)->policy_property);
        return;
    }
    the_guest = RME_GUEST(uc);
    qemu_add_machine_init_done_notifier(&machine_done);

    suggest(machine, "gic-version", "3");
    suggest(machine, "dtb-randomness", "off");
    MACHINE_GET_CLASS(machine)->default_cpu_type = ARM_CPU_TYPE_NAME("max");
}

static bool rme_guest_can_be_deleted(UserCreatable *uc)
{
    return false;
}

static void rme_guest_init(Object *obj)
{
    RmeGuest *guest = RME_GUEST(obj);

    guest->config.measurement_algorithm =
        RME_GUEST_MEASUREMENT_ALGORITHM_SHA512;
}

static void rme_guest_finalize(Object *obj)
{
    g_free(RME_GUEST(obj)->trust_anchors);
    g_free(RME_GUEST(obj)->migration_rules);
    if (the_guest == RME_GUEST(obj)) {
        the_guest = NULL;
    }
}

static void add_policy_properties(ObjectClass *oc)
{
    object_class_property_add_enum(oc, "migration-compact",
                                   "RmeGuestMigrationFeature",
                                   &RmeGuestMigrationFeature_lookup,
                                   rme_guest_get_compact,
                                   rme_guest_set_compact);
    object_class_property_set_description(oc, "migration-compact",
        "Whether lengths in a migration may depend on contents: off, on or "
        "required (measured)");
    object_class_property_add_enum(oc, "migration-life-cycle",
                                   "RmeGuestMigrationLifeCycle",
                                   &RmeGuestMigrationLifeCycle_lookup,
                                   rme_guest_get_life_cycle,
                                   rme_guest_set_life_cycle);
    object_class_property_set_description(oc, "migration-life-cycle",
        "Life cycle that platforms must be in: platform, secured or any "
        "(measured)");
    object_class_property_add_str(oc, "migration-rules",
                                  rme_guest_get_rules, rme_guest_set_rules);
    object_class_property_set_description(oc, "migration-rules",
        "File with rules about the software of platforms (measured)");
    object_class_property_add_str(oc, "migration-implementation",
                                  rme_guest_get_implementation,
                                  rme_guest_set_implementation);
    object_class_property_set_description(oc, "migration-implementation",
        "Implementation id that platforms must have, in hex (measured)");
    object_class_property_add_str(oc, "migration-trust-anchors",
                                  rme_guest_get_anchors,
                                  rme_guest_set_anchors);
    object_class_property_set_description(oc, "migration-trust-anchors",
        "PEM file with keys of platforms and of authorities (measured)");
}

static void rme_guest_class_init(ObjectClass *oc, void *data)
{
    UserCreatableClass *ucc = USER_CREATABLE_CLASS(oc);

    ucc->complete = rme_guest_complete;
    ucc->can_be_deleted = rme_guest_can_be_deleted;

    object_class_property_add_str(oc, "personalization-value",
                                  rme_guest_get_rpv, rme_guest_set_rpv);
    object_class_property_set_description(oc, "personalization-value",
        "Realm personalization value (base64 of 64 bytes)");
    object_class_property_add_enum(oc, "measurement-algorithm",
                                   "RmeGuestMeasurementAlgorithm",
                                   &RmeGuestMeasurementAlgorithm_lookup,
                                   rme_guest_get_algorithm,
                                   rme_guest_set_algorithm);
    object_class_property_set_description(oc, "measurement-algorithm",
        "Hash algorithm of the Realm's measurements: sha256 or sha512");
    object_class_property_add_bool(oc, "measurement-log", rme_guest_get_log,
                                   rme_guest_set_log);
    object_class_property_set_description(oc, "measurement-log",
        "Whether the Realm has a log of what was measured in its memory");
    object_class_property_add_enum(oc, "kvm-abi", "RmeGuestKvmAbi",
                                   &RmeGuestKvmAbi_lookup,
                                   rme_guest_get_kvm_abi,
                                   rme_guest_set_kvm_abi);
    object_class_property_set_description(oc, "kvm-abi",
        "Kernel interface for Realms: auto, rme or rmi");
    object_class_property_add_bool(oc, "convert-in-place",
                                   rme_guest_get_in_place,
                                   rme_guest_set_in_place);
    object_class_property_set_description(oc, "convert-in-place",
        "Whether RAM is a guest_memfd with both of the Realm's halves, with "
        "KVM");
    object_class_property_add_bool(oc, "migration", rme_guest_get_migration,
                                   rme_guest_set_migration);
    object_class_property_set_description(oc, "migration",
        "Whether the Realm may be migrated (measured)");
    add_policy_properties(oc);
    object_class_property_add_bool(oc, "mte", rme_guest_get_mte,
                                   rme_guest_set_mte);
    object_class_property_set_description(oc, "mte",
        "Whether the Realm has memory tags (measured)");
}

static const TypeInfo rme_guest_info = {
    .name = TYPE_RME_GUEST,
    .parent = TYPE_CONFIDENTIAL_GUEST_SUPPORT,
    .instance_size = sizeof(RmeGuest),
    .instance_init = rme_guest_init,
    .instance_finalize = rme_guest_finalize,
    .class_init = rme_guest_class_init,
    .interfaces = (InterfaceInfo[]) {
        { TYPE_USER_CREATABLE },
        { }
    }
};

static void rme_guest_register_types(void)
{
    type_register_static(&rme_guest_info);
}

type_init(rme_guest_register_types)
