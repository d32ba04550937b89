/*
 * A host at EL2: what its RMM holds, for the monitor
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef ACCEL_TCG_REALM_EL2_QUERY_H
#define ACCEL_TCG_REALM_EL2_QUERY_H

#include "qapi/qapi-types-rmm.h"

/* For rmm_query_init. */
RmmInfo *el2_query(void);

#endif
