/*
 * query-rmm and info rmm: which machine answers
 *
 * Lock rule: BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef SYSTEM_RMM_QUERY_H
#define SYSTEM_RMM_QUERY_H

#include "qapi/qapi-types-rmm.h"

/* The machine has an RMM; @query returns what is to be freed.  Called once. */
void rmm_query_init(RmmInfo *(*query)(void));

#endif
