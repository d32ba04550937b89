/*
 * Realms under TCG: stage 2 of an access
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef ACCEL_TCG_REALM_MACHINE_STAGE2_H
#define ACCEL_TCG_REALM_MACHINE_STAGE2_H

#include "abort.h"

/* Finish @out, which stage 1 made; false or no return as tlb_fill_align. */
bool realm_stage2(const RealmAccess *access, CPUTLBEntryFull *out);

#endif
