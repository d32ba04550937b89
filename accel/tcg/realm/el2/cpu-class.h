/*
 * A host at EL2: TCG's CPUs as PEs
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef ACCEL_TCG_REALM_EL2_CPU_CLASS_H
#define ACCEL_TCG_REALM_EL2_CPU_CLASS_H

/* Make PEs of CPUs of the class @cpu_type; before the first is created. */
void el2_cpu_class_init(const char *cpu_type);

#endif
