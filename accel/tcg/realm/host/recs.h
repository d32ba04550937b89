/*
 * Realms under TCG: RECs are entered, and their exits are answered
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef ACCEL_TCG_REALM_HOST_RECS_H
#define ACCEL_TCG_REALM_HOST_RECS_H

#include "hw/core/cpu.h"
#include "target/arm/rmm/rmm.h"

/* Enter the REC of @cs; its PE is in the Realm world if that worked. */
bool realm_rec_enter(CPUState *cs, Error **errp);

/* RealmHostOps.handle_exit and handle_abort */
void realm_rec_handle_exit(CPUState *cs);
bool realm_rec_handle_abort(CPUState *cs, RmmPe *pe);

/* The machine runs: enter the REC of each vCPU that is on. */
bool realm_recs_enter(Error **errp);

/* The machine has stopped: no REC is entered any more. */
void realm_recs_leave(void);

/* QEMU is about to let the vCPUs run: they must not, until they are entered. */
void realm_recs_park(void);

#endif
