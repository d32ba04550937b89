/*
 * Realms under TCG: what the machine consists of
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef ACCEL_TCG_REALM_MACHINE_PE_H
#define ACCEL_TCG_REALM_MACHINE_PE_H

#include "accel/tcg/realm/machine.h"

typedef struct RealmPe {
    RmmPe pe;                   /* as the RMM knows it */
    RmmStage2 stage2;           /* of the REC that it runs */
    void *context;              /* loaded by the RMM, not applied yet */
    size_t context_size;
    bool smc_waits;             /* for all vCPUs to be excluded */
} RealmPe;

extern RealmPe *realm_pes;      /* indexed by cpu_index */
extern const RealmHostOps *realm_host_ops;

#endif
