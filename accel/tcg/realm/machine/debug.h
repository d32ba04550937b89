/*
 * Realms under TCG: what debuggers see of a CPU that runs a Realm
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef ACCEL_TCG_REALM_MACHINE_DEBUG_H
#define ACCEL_TCG_REALM_MACHINE_DEBUG_H

#include "hw/core/cpu.h"
#include "hw/core/sysemu-cpu-ops.h"

/*
 * CPUs of class @cc have no translations and no registers for whoever asks
 * while @hides says so of one, but for what gdb finds in CPUState.gdb_regs;
 * @ops is the class's copy of its table.  Nobody gets at memory tags at all.
 * Once, before the first CPU.
 */
void realm_debug_class_init(CPUClass *cc, struct SysemuCPUOps *ops,
                            bool (*hides)(CPUState *cs));

#endif
