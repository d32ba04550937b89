/*
 * A host at EL2: what debuggers, the monitor and dumps see
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef ACCEL_TCG_REALM_EL2_DEBUG_H
#define ACCEL_TCG_REALM_EL2_DEBUG_H

#include "hw/core/cpu.h"

/* The class of CPUs, before the first is created; then of each CPU. */
void el2_debug_class_init(CPUClass *cc);
void el2_debug_realize(CPUState *cs);

/* @cs changes worlds: gdb's breakpoints are for the host only. */
void el2_debug_enter(CPUState *cs);
void el2_debug_leave(CPUState *cs);

#endif
