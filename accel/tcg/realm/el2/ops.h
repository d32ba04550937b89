/*
 * A host at EL2: what the RMM asks of the machine
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef ACCEL_TCG_REALM_EL2_OPS_H
#define ACCEL_TCG_REALM_EL2_OPS_H

#include "target/arm/rmm/rmm.h"

extern const RmmOps el2_rmm_ops;

#endif
