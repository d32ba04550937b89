/*
 * Realms under TCG: the one header between the machine and its host
 *
 * Purpose: TCG plays all that surrounds an RMM (target/arm/rmm/) on a real
 * machine.  That is two things, and this header is all that one knows of the
 * other:
 *
 *     host/       decides: which granules the RMM gets, what is mapped where,
 *        |  ^     when a REC runs.  It knows images, layout and migration.
 *        v  |
 *     machine/    obeys: physical memory, PEs, stage 2 of an access, a PE's
 *        |  ^     registers as one blob, the platform's keys.
 *        v  |
 *     target/arm/rmm/
 *
 * A host asks the machine for the functions below, the machine asks its host
 * for those in RealmHostOps, and for nothing else.  Both also use QEMU's
 * CPUState of a vCPU: whether it is halted or off, and its PC at reset.  So
 * another host can take the place of ours, which plays KVM.
 *
 * The files of machine/, from leaf to root:
 *
 *     platform.c  what the RMM offers on the machine's CPUs
 *     features.c  which features the CPUs of our own host's Realm have
 *     services.c  random numbers, time and the log of calls
 *     pmu.c       the PMU of a CPU counts each event once
 *     backing.c   what backs private RAM
 *     physmem.c   physical memory: private RAM and its tags, what CPUs see
 *     keys.c      the keys that sign attestation tokens
 *     pe.c        what the machine consists of: RMM, PEs, host
 *     context.c   a PE's registers as one blob
 *     call.c      calls to the RMM, what it asks for (RmmOps), TLB flushes
 *     abort.c     an access that the Realm's stage 2 refuses, as an abort
 *     stage2.c    stage 2 of an access, and the exceptions of it
 *     debug.c     what debuggers see of a CPU that runs a Realm
 *     cpu-class.c TCG's CPUs as PEs: SMC, and what they show
 *     init.c      puts the machine together
 *
 * Invariants:
 * - The granule behind a protected IPA in RAM has the PA that equals the
 *   IPA; so one RAMBlock, seen by the CPUs only, is all of a Realm's memory.
 *   Host memory at an unprotected IPA has the IPA as its PA too.
 * - A Realm's memory is in no address space but the CPUs'.
 *
 * Lock rule: BQL, where nothing else is said.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef ACCEL_TCG_REALM_MACHINE_H
#define ACCEL_TCG_REALM_MACHINE_H

#include "hw/core/cpu.h"
#include "target/arm/rmm/rmm.h"

/*
 * PA of the first granule that is no RAM.  The machine has as many of them as
 * its host asked for; the host gives them to the RMM for tables and
 * descriptors.
 */
#define REALM_EXTRA_BASE BIT_ULL(44)

/* What a machine is made of. */
typedef struct RealmMachineConfig {
    const char *cpu_type;
    unsigned num_cpus;
    uint64_t ram_base;          /* PA, page aligned */
    uint64_t ram_size;          /* bytes */
    uint64_t extra_size;        /* bytes at REALM_EXTRA_BASE */
    uint8_t ipa_bits;           /* of what CPUs see: the upper half is the
                                   board's address space */
    bool mte;
} RealmMachineConfig;

/* What the machine asks of its host. */
typedef struct RealmHostOps {
    /*
     * Host pointer to @len bytes of Non-secure memory at @pa, or NULL: see
     * RmmOps.ns.  None of it is RAM or an extra granule.  Any thread.
     */
    void *(*ns)(uint64_t pa, size_t len);

    /*
     * The board has RAM behind the unprotected @ipa, so the host maps it at
     * the first access.  An access to other unprotected memory goes to the
     * board's devices at once: this stands for the abort that the host would
     * emulate.  Any thread, no lock.
     */
    bool (*is_lendable)(uint64_t ipa);

    /*
     * The REC of @cs exited because of a call: do what it asks and enter it
     * again, unless it is off now.  All vCPUs are excluded if memory changes
     * hands (RSI_IPA_STATE_SET).
     */
    void (*handle_exit)(CPUState *cs);

    /*
     * The REC of @cs exited to @pe because of an abort: map what it needs, and
     * enter it again with @pe.  False if it cannot go on: the Realm is off, or
     * the machine is about to stop.  If @pe is in the host's world then, it
     * becomes the PE of @cs.  Called without the BQL.
     */
    bool (*handle_abort)(CPUState *cs, RmmPe *pe);
} RealmHostOps;

/* init.c */

/*
 * Make the machine that @host runs on; once, before the first CPU exists.
 * @host stays valid, @config need not.
 */
bool realm_machine_init(const RealmMachineConfig *config,
                        const RealmHostOps *host, Error **errp);

/*
 * What the RMM of such a machine can offer, with all that CPUs of @cpu_type
 * have.  At any time, whatever the machine is.
 */
bool realm_machine_platform(const char *cpu_type, RmmPlatform *platform,
                            Error **errp);

/* physmem.c */

/*
 * From now on RAM is the Realm's: loaders and debuggers get at it no more; or
 * there is no Realm, and none of its RAM is the RMM's.
 */
void realm_physmem_protect(bool on);

/*
 * The Realm has no use for [@base, @top) of its RAM any more, in PAs: give
 * what backs it back, and forget what was translated from there.
 */
void realm_physmem_discard(uint64_t base, uint64_t top);

/*
 * All of [@base, @top) of RAM is about to be written, in PAs: have the kernel
 * find memory for it.  Returns 0 or a negative errno; kernels before 5.14 do
 * nothing here.  Any thread.
 */
int realm_physmem_populate(uint64_t base, uint64_t top);

/* Bytes that the kernel finds at once, if it finds any, at @pa of RAM */
size_t realm_physmem_page_size(uint64_t pa);

/* pe.c */

extern Rmm *realm_rmm;

/* The PE that is @cs. */
RmmPe *realm_pe(CPUState *cs);

/* Whether @cs is in the Realm world: its REC is entered.  Any thread. */
bool realm_pe_in_realm(CPUState *cs);

/* @cs runs the REC at PA @rec from now on: stage 2 is that of its Realm. */
void realm_pe_set_rec(CPUState *cs, uint64_t rec);

/* An interrupt for the host: the REC of @cs exits if it was entered. */
void realm_pe_interrupt(CPUState *cs);

/* MPIDR_EL1 of @cs as its affinity fields only, and back; NULL if none. */
uint64_t realm_pe_mpidr(CPUState *cs);
CPUState *realm_pe_by_mpidr(uint64_t mpidr);

/* context.c */

/*
 * Give the PEs the registers that the RMM has loaded (RmmOps.context_load).
 * That has to wait for the devices: a CPU's state refers to clocks, which
 * arrive with them.
 */
bool realm_contexts_apply(Error **errp);

/* Forget them: no PE will get them. */
void realm_contexts_drop(void);

/* call.c */

/*
 * @pe makes an SMC to the RMM, from the world it is in (see rmm_call).  Any
 * thread; one that may invalidate translations either excludes all vCPUs or
 * has the BQL.
 */
void realm_call(RmmPe *pe);

/*
 * All vCPUs have stopped, and no REC is entered: flush their TLBs once for all
 * calls until the next RMI_REC_ENTER.
 */
void realm_call_flush(void);

#endif
