/*
 * Realm Execution Contexts: one for each vCPU of a Realm
 *
 * Purpose: life cycle of a REC, entry and exit, and the run page.  X0 to X30
 * and PC are here between an exit and the next entry; every other register
 * belongs to the machine (RmmOps.context_save).
 *
 *   (none)    --> OFF, READY     REC_CREATE
 *   OFF       --> READY          PSCI_COMPLETE of another REC's CPU_ON
 *   READY     --> RUNNING        REC_ENTER
 *   RUNNING   --> READY          exit
 *             --> OFF            exit by CPU_OFF
 *             --> PSCI           exit by CPU_ON or AFFINITY_INFO
 *             --> RIPAS          exit by RSI_IPA_STATE_SET
 *             --> HOST_CALL      exit by RSI_HOST_CALL
 *   PSCI      --> READY          PSCI_COMPLETE, REC_DESTROY of the target
 *   RIPAS     --> RUNNING        REC_ENTER
 *   HOST_CALL --> RUNNING        REC_ENTER
 *
 * REC_DESTROY leads from every state but RUNNING to DESTROYED.  In a Realm in
 * IMPORT, MIG_IMPORT takes a new REC, OFF or READY, to any state but RUNNING
 * and DESTROYED; no other call but REC_DESTROY changes its state there.
 *
 * Invariants: a REC that runs has exactly one PE; a REC with a pending call
 * (PSCI, RIPAS, HOST_CALL) does not run, and is not off.
 *
 * Lock rule: the lock of `realm` covers all of it, but in state RUNNING the
 * fields from `x` on belong to the PE that runs it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef RMM_REC_H
#define RMM_REC_H

#include "attest.h"
#include "realm.h"

typedef enum RecState {
    REC_OFF,                    /* PSCI: not runnable */
    REC_READY,
    REC_RUNNING,
    REC_PSCI,                   /* the host owes an RMI_PSCI_COMPLETE */
    REC_RIPAS,                  /* REC_ENTER finishes RSI_IPA_STATE_SET */
    REC_HOST_CALL,              /* ...RSI_HOST_CALL */
    REC_DESTROYED,              /* who waited for the lock lost the race */
    REC_STATES
} RecState;

/*
 * Fields of ICH_HCR_EL2 that the host may set, and those that it sees as well
 * (RMM 1.0, A6.1): UIE, LRENPIE, NPIE, VGrp<n><E,D>IE, TDIR; EOIcount.
 */
#define GIC_HCR_HOST  (0xfeull | 1ull << 14)
#define GIC_HCR_SHOWN (GIC_HCR_HOST | 0x1full << 27)

/* What the last exit was, if an abort that the next REC_ENTER finishes. */
typedef enum RecAbort {
    REC_ABORT_NONE,
    REC_ABORT_UNPROTECTED,      /* of data; the host may have it injected */
    REC_ABORT_EMULATABLE,       /* likewise, or the host emulates it */
    REC_ABORT_EXTERNAL,         /* the Realm takes it, whatever the host does */
} RecAbort;

typedef struct RmmRec {
    Rmm *rmm;
    gint refs;                  /* atomic; Rmm.recs and a running PE hold one */
    RmmRealm *realm;            /* referenced */
    uint64_t pa;                /* of the REC granule */
    uint32_t index;             /* never that of another REC of the Realm */
    uint32_t slot;              /* in RmmRealm.recs */
    uint64_t mpidr;
    RecState state;             /* changed by rec_set_state only */
    uint64_t aux[16];           /* PAs, in ascending order */
    unsigned num_aux;

    uint64_t x[31];
    uint64_t pc;
    uint64_t run_pa;            /* of the run page, while running */
    uint64_t enter_flags;       /* RMI_ENTER_*, while running */
    struct {
        RecAbort kind;
        uint64_t esr;           /* ESR_EL2 */
        uint64_t far;
    } abort;
    uint64_t host_call_ipa;     /* REC_HOST_CALL */
    struct {                    /* REC_RIPAS */
        uint64_t addr;          /* reached by the host so far */
        uint64_t top;
        uint8_t value;          /* RMI_RIPAS_EMPTY or RAM */
        bool change_destroyed;
    } ripas;
    RmmAttest attest;
    void *context;              /* the machine's, or NULL */
    RmmExitState machine;       /* at the last exit */
} RmmRec;

/*
 * States (the diagram above); @import: by MIG_IMPORT, in a Realm in IMPORT.
 * The setter stops the program if it is not allowed.
 */
bool rec_transition_allowed(RecState from, RecState to, bool import);
void rec_set_state(RmmRec *rec, RecState to);

/* MPIDR and index (RMM 1.0, B4.4.22); MPIDR bits outside are an error. */
uint64_t rec_index_to_mpidr(uint32_t index);
bool rec_mpidr_to_index(uint64_t mpidr, uint32_t *index);

/*
 * The index from an argument of a PSCI call: the affinity fields stand where
 * MPIDR_EL1 has them (PSCI 1.1, 5.1.4).  A Realm may pass what it reads from
 * MPIDR_EL1, of which bit 31 is one.
 */
bool rec_affinity_to_index(uint64_t mpidr, uint32_t *index);

/* Its MPIDR as MPIDR_EL1 has the affinity fields: Aff3 in bits 39:32. */
static inline uint64_t rec_mpidr_el1(const RmmRec *rec)
{
    return (rec->mpidr & 0xffffff) | (rec->mpidr >> 24 & 0xff) << 32;
}

/*
 * @rec, in REC_PSCI, waits no more: its call returns @x0.  The Realm's lock is
 * held.
 */
void rec_answer_psci(RmmRec *rec, uint64_t x0);

/*
 * Find the REC at @pa and lock its Realm; NULL if there is none.
 * rec_unlock also drops the reference that this took.
 */
RmmRec *rec_lock(Rmm *rmm, uint64_t pa);
void rec_unlock(RmmRec *rec);
void rec_unref(RmmRec *rec);

/* The REC of @realm at @pa or with @index, or NULL; its lock is held. */
RmmRec *rec_find(const RmmRealm *realm, uint64_t pa);
RmmRec *rec_find_index(const RmmRealm *realm, uint32_t index);

/* List registers that an entry and an exit have. */
unsigned rec_num_lrs(const RmmRec *rec);

/* True if any REC of @realm is running; its lock is held. */
bool rec_any_running(const RmmRealm *realm);

/*
 * The Realm runs elsewhere: forget what it had in @rec and in the PE that ran
 * it.  The Realm's lock is held, and no REC of it can run again.
 */
void rec_wipe(RmmRec *rec);

/*
 * The REC starts anew: another context, with registers as at reset.  The
 * Realm's lock is held, and the REC does not run.
 */
void rec_renew_context(RmmRec *rec);

/* The REC that @pe runs. */
static inline RmmRec *pe_rec(const RmmPe *pe)
{
    return pe->rec;
}

/* The calls; each returns the RMI result word. */
uint64_t rec_create(Rmm *rmm, uint64_t rd, uint64_t rec, uint64_t params_pa);
uint64_t rec_destroy(Rmm *rmm, uint64_t rec);
uint64_t rec_aux_count(Rmm *rmm, uint64_t rd, uint64_t *count);

/* ---- rec-enter.c ---- */

/* RMI_REC_ENTER; returns the RMI result word. */
uint64_t rec_enter(Rmm *rmm, RmmPe *pe, uint64_t rec, uint64_t run_pa);

/* ---- rec-exit.c ---- */

/*
 * GIC, timers and PMU in @exit are as in @rec->machine, as far as the host may
 * see it.
 */
void rec_show_machine(const RmmRec *rec, RmiRecExit *exit);

/*
 * The PE leaves the Realm: X0 to X30 and PC of @pe to the REC, where they
 * wait for the next entry, @exit to the run page, the result of
 * RMI_REC_ENTER to X0 of @pe.  The REC is READY afterwards, or in @state.
 * No lock is held.
 */
void rec_exit(RmmPe *pe, const RmiRecExit *exit);
void rec_exit_to(RmmPe *pe, const RmiRecExit *exit, RecState state);

/*
 * The REC of @rd with @index has exited for @reason, and RMI_REC_ENTER returns
 * @result: count and log it.  No lock is held.
 */
void rec_tell_exit(Rmm *rmm, uint64_t rd, uint32_t index, uint64_t reason,
                   uint64_t result);

/*
 * Write @exit to the run page at @run_pa; returns the RMI result word: the
 * page may be no Non-secure memory any more.
 */
uint64_t rec_write_exit(Rmm *rmm, uint64_t run_pa, const RmiRecExit *exit);

/* Make @exit a data abort at @ipa that the host has to resolve. */
void rec_abort_record(RmiRecExit *exit, uint64_t ipa, int level);

/*
 * Exit as a data abort at @ipa that the Realm did not cause by a load or
 * store (RMM 1.0, A4.3.4.1): the SMC at @pe->pc - 4 is executed again.
 */
void rec_exit_abort(RmmPe *pe, uint64_t ipa, int level);

#endif
