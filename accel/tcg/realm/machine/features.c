/*
 * Realms under TCG: which features the CPUs of our own host's Realm have
 *
 * Purpose: a Realm has SVE and a PMU only by an explicit word of -cpu, since
 * they are measured: what `-cpu max` means without a word differs between
 * versions of QEMU, and the RIM of one command line should not.  No Realm has
 * SME (RMM 1.0, A3.1.3, ID_AA64PFR1_EL1).
 *
 * Invariants: a word of the user's is obeyed or refused, never overridden.
 *
 * Lock rule: BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "hw/qdev-properties.h"
#include "target/arm/cpu.h"
#include "features.h"

/* Whether -cpu asks for @property, which is of an optional feature. */
static bool is_asked_for(Object *cpu, const ObjectProperty *property)
{
    return qdev_find_global_prop(cpu, property->name) &&
           (!g_str_equal(property->type, "bool") ||
            object_property_get_bool(cpu, property->name, NULL));
}

/*
 * A property by which -cpu asks for @feature, or NULL: beside a feature's own
 * property there are those of its vector lengths.
 */
static const char *word_for(Object *cpu, const char *feature)
{
    ObjectPropertyIterator iter;
    ObjectProperty *property;

    object_property_iter_init(&iter, cpu);
    while ((property = object_property_iter_next(&iter))) {
        if (g_str_has_prefix(property->name, feature) &&
            is_asked_for(cpu, property)) {
            return property->name;
        }
    }
    return NULL;
}

static void leave_out(Object *cpu, const char *feature)
{
    if (object_property_find(cpu, feature)) {
        object_property_set_bool(cpu, feature, false, &error_abort);
    }
}

static void choose(Object *cpu, const char *feature)
{
    if (!word_for(cpu, feature)) {
        leave_out(cpu, feature);
    }
}

static bool check_no_sme(Object *cpu, Error **errp)
{
    const char *word = word_for(cpu, "sme");

    if (word) {
        error_setg(errp, "rme-guest: a Realm has no SME; leave %s=%s out of "
                   "-cpu", word, qdev_find_global_prop(cpu, word)->value);
    }
    return !word;
}

bool realm_choose_features(ARMCPU *cpu, Error **errp)
{
    if (!check_no_sme(OBJECT(cpu), errp)) {
        return false;
    }
    leave_out(OBJECT(cpu), "sme");
    choose(OBJECT(cpu), "sve");
    choose(OBJECT(cpu), "pmu");
    return true;
}
