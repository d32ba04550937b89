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
#include "accel/tcg/cpu-ops.h"
#include "target/arm/cpu.h"
#include "access.h"
#include "cpu-class.h"
#include "memory.h"
#include "switch.h"
#include "tlb.h"

static DeviceRealize arm_realize;

/* What a host at EL2 needs of its CPU, and firmware at EL3 besides. */
static bool set_features(Object *cpu, Error **errp)
{
    return object_property_set_bool(cpu, "has_el3", true, errp) &&
           object_property_set_bool(cpu, "x-rme", true, errp);
}

static void el2_cpu_realize(DeviceState *dev, Error **errp)
{
    ERRP_GUARD();

    if (!set_features(OBJECT(dev), errp) ||
        !object_property_set_link(OBJECT(dev), "memory",
                                  OBJECT(el2_memory_root()), errp)) {
        return;
    }
    arm_realize(dev, errp);
    if (!*errp) {
        el2_tlb_realize(CPU(dev));
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
    device_class_set_parent_realize(DEVICE_CLASS(oc), el2_cpu_realize,
                                    &arm_realize);
}
