/*
 * The TCG backend for Realms: what its files share
 *
 * Purpose: TCG plays hardware and KVM host for the RMM model
 * (target/arm/rmm/): memory.c is the physical memory, cpu.c and stage2.c the
 * processors, host.c and mmu.c the host's half of RMI, context.c a
 * processor's registers as one blob, backend.c the seam to machine and
 * migration.
 *
 * Invariants:
 * - The granule behind a protected IPA in RAM has the PA that equals the
 *   IPA; so one RAMBlock, seen by the CPUs only, is all of a Realm's memory.
 *   Host memory at an unprotected IPA has the IPA as its PA too.
 * - Private memory is in no address space but the CPUs'.
 *
 * Lock rule: BQL, except for the fault path (stage2.c), which has none but
 * RealmTcg.mmu_lock and the RMM's.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef ACCEL_TCG_REALM_REALM_TCG_H
#define ACCEL_TCG_REALM_REALM_TCG_H

#include "exec/memory.h"
#include "hw/core/cpu.h"
#include "qemu/thread.h"
#include "system/realm-backend.h"
#include "target/arm/realm/cause.h"
#include "target/arm/realm/layout.h"
#include "target/arm/rmm/rmm.h"
#include "target/arm/rmm/rmm-abi.h"

/* One vCPU: the REC it runs, and the PE that runs it. */
typedef struct RealmVcpu {
    RmmPe pe;
    uint64_t rec;               /* PA */
    uint64_t run;               /* PA of the Non-secure run page */
    void *context;              /* imported, not applied yet */
    size_t context_size;
    bool parked;                /* halted by us: it was about to execute */
} RealmVcpu;

typedef struct RealmTcg {
    const RealmConfig *config;
    Rmm *rmm;
    RealmPhase phase;
    uint64_t rd;                /* PA; 0 while there is no Realm */
    RmmStage2 stage2;
    RealmVcpu *vcpus;           /* indexed by cpu_index */
    RealmLayout layout;
    QemuMutex mmu_lock;         /* the host's tables and granules: mmu.c */
    uint64_t next_base;         /* export_state: where its map goes on, */
    unsigned first_rec;         /* and the part that is the first REC */
} RealmTcg;

extern RealmTcg realm_tcg;

/* memory.c */

/* Create private RAM and tags, and what the RMM needs to see of memory. */
bool realm_memory_init(const RealmConfig *config, Error **errp);
const RmmOps *realm_memory_ops(void);

/* The Realm is about to be built: show private RAM to the CPUs. */
void realm_memory_protect(void);

/* What a CPU has for memory; its tag memory so far is shown as shared. */
MemoryRegion *realm_memory_root(void);
MemoryRegion *realm_memory_tag_root(MemoryRegion *shared_tags);

/*
 * PA of @count contiguous zeroed granules aligned to their total size
 * (@count is a power of two), not yet delegated: for tables and descriptors.
 * Never freed: a Realm lives as long as its machine.
 */
uint64_t realm_memory_alloc(unsigned count);

/* Host address and PA of Non-secure page @n; one page for each vCPU. */
void *realm_memory_ns_page(unsigned n, uint64_t *pa);

/*
 * Show @size bytes at @host to the RMM as Non-secure memory, in calls that
 * this thread makes; until the same @window (0 to 3) is used again.
 */
uint64_t realm_memory_window(unsigned window, const void *host, size_t size);

/* Give what backs shared RAM in [@base, @top) back to the host. */
void realm_memory_discard_shared(uint64_t base, uint64_t top);

/* Give what backs private RAM in [@base, @top) back to the host. */
void realm_memory_discard_private(uint64_t base, uint64_t top);

/* host.c */

/* A call from the host to the RMM. */
void realm_host_call(RmmPe *pe);

/* Build the Realm from the images, or an empty one to import into; once. */
bool realm_host_build(Error **errp);
bool realm_host_build_empty(Error **errp);

/*
 * The REC of @cs exited: do what it asks and enter it again, unless it is
 * off now.
 */
void realm_host_handle_exit(CPUState *cs);

/*
 * The REC of @cs exited to @pe because of an abort: map what it needs, and
 * enter it again with @pe.  False if it cannot go on: the machine is about
 * to stop then.  On the fault path: without the BQL.
 */
bool realm_host_handle_abort(CPUState *cs, RmmPe *pe);

/* Enter the REC of @cs; the PE is in the Realm world if that worked. */
bool realm_host_enter(CPUState *cs, Error **errp);

/* Whether the REC of @cs is entered. */
bool realm_host_entered(CPUState *cs);

/* mmu.c; the caller of those in this block holds mmu_lock */

/* Delegate the granule at @pa; true if it is the RMM's afterwards. */
bool realm_mmu_delegate(uint64_t pa);

/* As realm_memory_alloc, and delegated. */
uint64_t realm_mmu_new_granules(unsigned count);

/* Make a table at @level for @ipa; returns RMI's result. */
uint64_t realm_mmu_create_table(uint64_t ipa, unsigned level);

/* Create the tables that a page at @ipa needs; on an error, RMI's result. */
uint64_t realm_mmu_create_tables(uint64_t ipa);

/* mmu.c, continued: these take mmu_lock */
void realm_mmu_init(const RealmConfig *config);

/* Assign or lend what @ipa needs; false if the host has nothing for it. */
bool realm_mmu_fault(uint64_t ipa);

/* @ipa is unprotected, and RAM of the board is behind it. */
bool realm_mmu_is_lendable(uint64_t ipa);

/*
 * Protected [@base, @top) has RIPAS EMPTY or RAM now: take back the Realm's
 * pages, or what was lent at the same place.  All vCPUs are excluded.
 */
void realm_mmu_reclaim(uint64_t base, uint64_t top);
void realm_mmu_unlend(uint64_t base, uint64_t top);

/* Fold the blocks of the images; the Realm is not built yet. */
void realm_mmu_fold_images(void);

/* A migration begins: pages only, until realm_mmu_fold_all. */
bool realm_mmu_unfold_all(void);
void realm_mmu_fold_all(void);

/* stage2.c */
typedef struct RealmAccess {
    CPUState *cs;
    vaddr va;
    uint64_t ipa;               /* of the page */
    MMUAccessType type;
    int mmu_idx;
    uint8_t lg_page_size;       /* of what stage 1 found */
    bool probe;                 /* only tried: nothing may happen to the CPU */
    uintptr_t ra;
    struct ARMMMUFaultInfo *walk; /* of stage 1, if that needs this access */
} RealmAccess;

/* Finish @out, which stage 1 made; false or no return as tlb_fill_align. */
bool realm_stage2(const RealmAccess *access, CPUTLBEntryFull *out);

/* cpu.c */
void realm_cpu_class_init(const char *cpu_type);
void realm_cpu_flush_all(void);

/* keys.c */

/* Read the keys of attestation tokens, or make them; warn if there are none. */
void realm_keys_init(void);
size_t realm_key(void *opaque, RmmKey which, void *buf, size_t size);

/* context.c */
size_t realm_context_save(void *opaque, uint64_t mpidr, void *buf, size_t size);

/*
 * Keep a context until realm_contexts_apply: a CPU's state refers to clocks,
 * which arrive with the devices.
 */
bool realm_context_load(void *opaque, uint64_t mpidr, const void *buf,
                        size_t size);
bool realm_contexts_apply(Error **errp);
CPUState *realm_cpu_by_mpidr(uint64_t mpidr);
uint64_t realm_cpu_mpidr(CPUState *cs);

#endif
