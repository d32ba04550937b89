/*
 * The machine that rmi-replay runs the model on
 *
 * Purpose: memory, a granule protection table, one PE with the few system
 * registers that an exception to EL1 touches, and the platforms ("profiles")
 * that call scripts name.
 *
 * Invariant: the RMM reads Non-secure memory only through machine_ops, which
 * refuse a page that the host has delegated.
 *
 * Lock rule: one thread.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef REPLAY_MACHINE_H
#define REPLAY_MACHINE_H

#include "interrupt.h"
#include "rmm.h"

#define MACHINE_BASE     0x880000000ull
#define MACHINE_GRANULES 4096

typedef struct Machine {
    Rmm *rmm;
    RmmPe pe;
    uint8_t *pool;
    bool realm_pas[MACHINE_GRANULES];   /* delegated */
    bool irq_pending;
    /* As the one Realm that takes exceptions sees them. */
    uint64_t esr_el1, far_el1, elr_el1, spsr_el1, vbar_el1;
} Machine;

/* A machine with a freshly booted RMM, or NULL if @profile is not known. */
Machine *machine_new(const char *profile);
void machine_free(Machine *m);

/* Memory at @pa, @len bytes; NULL if the machine has none there. */
uint8_t *machine_memory(Machine *m, uint64_t pa, size_t len);

/* What the Realm whose REC is at @rec sees at the page @ipa, or NULL. */
uint8_t *machine_realm_memory(Machine *m, uint64_t rec, uint64_t ipa,
                              bool write);

/* The PE executes an SMC with X0 to X30 as they stand in m->pe. */
void machine_smc(Machine *m);

/* Something else takes the PE out of the Realm. */
void machine_exception(Machine *m, const RmmSyndrome *syndrome);

#endif
