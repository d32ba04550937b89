/*
 * Realms under TCG: what the RMM asks of the machine
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef ACCEL_TCG_REALM_MACHINE_CALL_H
#define ACCEL_TCG_REALM_MACHINE_CALL_H

#include "accel/tcg/realm/machine.h"

extern const RmmOps realm_rmm_ops;

#endif
