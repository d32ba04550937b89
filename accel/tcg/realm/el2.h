/*
 * A host at EL2: the machine whose hypervisor makes RMI calls by SMC
 *
 * Purpose: what the board knows of it.  TCG's CPUs are PEs that run the host
 * at Non-secure EL2 and Realms at Realm EL1, one after the other; QEMU is the
 * firmware at EL3, and the RMM model (target/arm/rmm/) is the monitor at
 * Realm EL2.
 *
 *     host at NS-EL2 --SMC: RMI, PSCI--> el2/ --rmm_call--> target/arm/rmm/
 *           ^                             |
 *           |                             v world switch
 *           +------- exit --------- Realm at R-EL1
 *
 * It shares with a machine of our own host (machine.h) what has nothing to do
 * with who the host is; a process has one of the two.
 *
 * The files of el2/, from leaf to root:
 *
 *     pe.c        what the machine consists of: RMM, PEs
 *     tlb.c       who owns entries of a TLB; when they are flushed
 *     memory.c    physical memory: where a granule's bytes are, and whose
 *     gic.c       list registers and the virtual CPU interface of a REC
 *     timer.c     timers of a REC, and its PMU's interrupt
 *     pmu.c       what its PMU counts
 *     translate.c how a Realm waits
 *     idreg.c     ID registers as a Realm sees them
 *     context.c   a PE's registers, taken out and put in
 *     debug.c     what debuggers, monitor and dumps see
 *     world.c     a PE goes from world to world
 *     ops.c       what the RMM asks of the machine (RmmOps)
 *     access.c    every access: granule protection, stage 2 of a Realm
 *     call.c      a call to the RMM: with which lock, and who stands still
 *     firmware.c  what QEMU does as the firmware: EL3 state, PSCI, SMCCC
 *     switch.c    who gets a call or an exception
 *     query.c     what the RMM holds, for query-rmm
 *     cpu-class.c TCG's CPUs as such PEs
 *     init.c      puts the machine together, and resets it
 *
 * Invariants:
 * - A Realm's bytes are in no address space but the CPUs', and there at
 *   addresses that no PE of the host can name.
 * - A delegated granule is gone for the host.
 *
 * Lock rule: BQL, where nothing else is said.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef ACCEL_TCG_REALM_EL2_H
#define ACCEL_TCG_REALM_EL2_H

#include "exec/memory.h"

/* What a machine is made of. */
typedef struct RealmEl2Config {
    const char *cpu_type;
    unsigned num_cpus;          /* cpu_index is below it */
    MemoryRegion *ram;          /* the board's RAM: all that is delegable */
    uint64_t ram_base;          /* PA, page aligned */
    bool as_tf_rmm;             /* RmmPlatform.as_tf_rmm */
} RealmEl2Config;

/*
 * Make the machine; once, before the first CPU exists.  @config need not stay.
 */
bool realm_el2_init(const RealmEl2Config *config, Error **errp);

/*
 * QEMU is the firmware of all CPUs, whatever program the board has loaded: they
 * start at Non-secure EL2, and have PSCI by SMC.  Once, when the board has
 * loaded it.
 */
void realm_el2_firmware_init(void);

#endif
