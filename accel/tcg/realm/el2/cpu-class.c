/*
 * A host at EL2: TCG's CPUs as PEs
 *
 * How: as for a machine of our own host (machine/cpu-class.c): the class of
 * the machine's CPUs gets copies of its ops tables with a few functions
 * wrapped, before the first CPU is created.
 *
 * Lock rule: BQL; el2_tlb_fill says its own.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/util.h"
#include "accel/tcg/cpu-ops.h"
#include "hw/qdev-properties.h"
#include "target/arm/cpu.h"
#include "access.h"
#include "cpu-class.h"
#include "debug.h"
#include "memory.h"
#include "pmu.h"
#include "switch.h"
#include "timer.h"
#include "tlb.h"
#include "world.h"

static DeviceRealize arm_realize;

/*
 * What a host at EL2 needs of its CPUs.  The board has taken EL3 away as it
 * does without secure=on, so what the user said of it is not there any more.
 */
static const struct {
    const char *property;
    const char *name;
} features[] = {
    { "has_el2", "EL2" },
    { "has_el3", "EL3, where QEMU is the firmware" },
    { "x-rme", "FEAT_RME" },
};

static bool is_refused(Object *cpu, const char *property)
{
    const GlobalProperty *given = qdev_find_global_prop(cpu, property);
    bool on;

    return given && qapi_bool_parse(property, given->value, &on, NULL) && !on;
}

static bool check_features(Object *cpu, Error **errp)
{
    g_autofree char *model = cpu_model_from_type(object_get_typename(cpu));

    for (size_t i = 0; i < ARRAY_SIZE(features); i++) {
        const char *property = features[i].property;

        if (!object_property_find(cpu, property)) {
            error_setg(errp, "rmm=on: CPU '%s' cannot have %s; use -cpu max",
                       model, features[i].name);
            return false;
        }
        if (is_refused(cpu, property)) {
            error_setg(errp, "rmm=on: CPUs have %s; leave %s=off out of -cpu",
                       features[i].name, property);
            return false;
        }
    }
    return true;
}

static bool set_features(Object *cpu, Error **errp)
{
    if (!check_features(cpu, errp)) {
        return false;
    }
    for (size_t i = 0; i < ARRAY_SIZE(features); i++) {
        object_property_set_bool(cpu, features[i].property, true,
                                 &error_abort);
    }
    return true;
}

/* A CPU with EL3 has a Secure world; nothing is there but what all see. */
static bool set_memory(Object *cpu, Error **errp)
{
    MemoryRegion *tags = ARM_CPU(cpu)->tag_memory;

    return object_property_set_link(cpu, "memory", OBJECT(el2_memory_root()),
                                    errp) &&
           (!tags || object_property_set_link(cpu, "secure-tag-memory",
                                              OBJECT(tags), errp));
}

static void el2_cpu_realize(DeviceState *dev, Error **errp)
{
    ERRP_GUARD();

    if (!set_features(OBJECT(dev), errp) || !set_memory(OBJECT(dev), errp)) {
        return;
    }
    arm_realize(dev, errp);
    if (!*errp) {
        el2_tlb_realize(CPU(dev));
        el2_timer_realize(CPU(dev));
        el2_pmu_realize(CPU(dev));
        el2_debug_realize(CPU(dev));
    }
}

void el2_cpu_class_init(const char *cpu_type)
{
    static TCGCPUOps ops;
    ObjectClass *oc = object_class_by_name(cpu_type);
    CPUClass *cc = CPU_CLASS(oc);

    ops = *cc->tcg_ops;
    el2_arm_tlb_fill = ops.tlb_fill_align;
    el2_arm_do_interrupt = ops.do_interrupt;
    ops.tlb_fill_align = el2_tlb_fill;
    ops.do_interrupt = el2_do_interrupt;
    cc->tcg_ops = &ops;
    el2_debug_class_init(cc);
    device_class_set_parent_realize(DEVICE_CLASS(oc), el2_cpu_realize,
                                    &arm_realize);
}
