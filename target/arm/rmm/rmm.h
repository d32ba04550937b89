/*
 * The RMM model: how a machine enters it, and what it asks of the machine
 *
 * Purpose: a Realm Management Monitor as a plain C library.  It is entered
 * the way an RMM is entered: a call number and X registers in, X registers
 * out.  Memory, tags, TLB invalidation, processor context and randomness
 * come in through RmmOps, so that a test can supply them.
 *
 * Invariants:
 * - No QEMU header is included here or below.
 * - A physical address (PA) is either a granule the machine lends to the
 *   RMM (RmmOps.granule answers it) or Non-secure memory (RmmOps.ns answers
 *   it).  Nothing else is ever touched.
 * - After a call that fails, state is as it was before.
 *
 * Lock rule: any thread may call any function at any time, unless its
 * comment says otherwise.  rmm_stage2_walk takes no lock.  The order in
 * which the library takes its own locks stands in lock.h.  RmmOps functions
 * may be called with library locks held and must not call the library.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef RMM_H
#define RMM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RMM_GRANULE_SIZE 4096
#define RMM_GRANULE_SHIFT 12
/* Two 4-bit tags a byte, low nibble first; one tag for 16 bytes (FEAT_MTE2) */
#define RMM_TAG_BYTES (RMM_GRANULE_SIZE / 32)
#define RMM_MAX_RECS_ORDER 10
#define RMM_MAX_RECS ((1 << RMM_MAX_RECS_ORDER) - 1)    /* RMM 1.0, B4.3.12.2 */
/* Largest processor context (RmmOps.context_save), in bytes */
#define RMM_MAX_CONTEXT (256 * 1024)
/* Largest private key (RmmOps.key), in bytes */
#define RMM_MAX_KEY 512

typedef struct Rmm Rmm;

/* The keys that sign attestation tokens. */
typedef enum RmmKey {
    RMM_KEY_REALM_ATTESTATION,  /* RAK: signs what is said of a Realm */
    RMM_KEY_PLATFORM,           /* signs what is said of the RMM, and the RAK */
    RMM_KEYS
} RmmKey;

/* Whose calls the library answers. */
typedef enum RmmInterface {
    RMM_RMI, RMM_RSI, RMM_PSCI, RMM_MIG, RMM_INTERFACES
} RmmInterface;

/* RmiRecExitReason: RMI_EXIT_SYNC (0) to RMI_EXIT_SERROR (6) */
#define RMM_EXIT_REASONS 7

/*
 * A call that is over, or an exit of a REC, for RmmOps.log.  Of a call from a
 * Realm nothing is told but who made it, its name and its result: its arguments
 * are the Realm's own.  An exit is told before the call that caused it, if one
 * did.
 */
typedef struct RmmLog {
    const char *interface;      /* "RMI", "RSI", "PSCI" or "MIG"; "REC": exit */
    const char *call;           /* without the interface, or "unknown" */
    uint64_t rd;                /* of the Realm that called, was entered or was
                                   left; 0 if none */
    uint32_t rec;               /* index of its REC; 0 if none */
    const char *exit;           /* "IRQ" and so on, of an exit; else NULL */
    const uint64_t *inputs;     /* X1 and up; NULL from a Realm */
    unsigned num_inputs;
    bool switched;              /* the PE changed worlds: no result yet */
    uint64_t result;            /* X0; of an exit, RMI_REC_ENTER's */
} RmmLog;

/* Stage 2 of one Realm as the hardware walker sees it (VTTBR, VTCR). */
typedef struct RmmStage2 {
    uint64_t table;         /* PA of the first start-level table */
    uint8_t ipa_bits;
    int8_t start_level;
    bool lpa2;
} RmmStage2;

/* What a PE has to be for the REC that it runs; constant for its life. */
typedef struct RmmRecConfig {
    uint64_t rd;            /* PA of the Realm's RD */
    uint64_t rec;           /* PA of the REC */
    uint64_t mpidr;         /* affinity fields only, as in MPIDR_EL1 */
    uint16_t vmid;
    RmmStage2 stage2;
    bool sve;
    uint8_t sve_vl;         /* vector length / 128, minus one */
    bool pmu;
    uint8_t pmu_num_ctrs;
    uint8_t num_bps;        /* breakpoints, minus one */
    uint8_t num_wps;        /* watchpoints, minus one */
    bool mte;               /* extension */
} RmmRecConfig;

/*
 * What the exit record says of the PE beside registers (RMM 1.0, A6 and A8.1).
 * The library shows the host those parts that the text names.
 */
typedef struct RmmExitState {
    uint64_t gicv3_hcr;     /* ICH_HCR_EL2 */
    uint64_t gicv3_lrs[16]; /* ICH_LR<n>_EL2, up to RmmPlatform.num_lrs */
    uint64_t gicv3_misr;    /* ICH_MISR_EL2 */
    uint64_t gicv3_vmcr;    /* ICH_VMCR_EL2 */
    uint64_t cntp_ctl;      /* CNTP_CTL_EL0 of the Realm, and so on */
    uint64_t cntp_cval;
    uint64_t cntv_ctl;
    uint64_t cntv_cval;
    bool pmu_overflow;      /* the PMU's interrupt is asserted */
} RmmExitState;

struct RmmPe;

typedef struct RmmOps {
    /*
     * Host pointer to the granule at @pa (aligned), 4096 bytes, or NULL if
     * @pa is not delegable memory.  The answer for a PA never changes.
     */
    void *(*granule)(void *opaque, uint64_t pa);

    /*
     * May be NULL.  The library wrote @len bytes at @pa, in a page that a Realm
     * has, may have executed and may execute next (RSI_HOST_CALL and so on).
     * The Realm's lock is held.
     */
    void (*granule_written)(void *opaque, uint64_t pa, size_t len);

    /*
     * Host pointer to the RMM_TAG_BYTES bytes of tags of the granule at
     * @pa, or NULL if the machine has no MTE.
     */
    uint8_t *(*granule_tags)(void *opaque, uint64_t pa);

    /*
     * Host pointer to @len bytes of Non-secure memory at @pa, or NULL if
     * any of it is not Non-secure memory.  The other side may change it at
     * any moment: copy once, then check.  Where @pa is a granule too, the
     * library asks only while that is not delegated.
     */
    void *(*ns)(void *opaque, uint64_t pa, size_t len);

    /* May be NULL.  The library wrote @len bytes at @pa, which ns answered. */
    void (*ns_written)(void *opaque, uint64_t pa, size_t len);

    /*
     * May be NULL.  The granule at @pa, whose physical address space was
     * Non-secure, is Realm's now, or back.  When this returns after the first,
     * no PE and no device reaches it as Non-secure memory, through a page that
     * was lent to a Realm neither; as with tlb_sync, a PE inside the library
     * drops what it cached before it goes on.  What the host finds there when
     * it is back is zeros.  Called with the granule locked, and for a granule
     * alternately: true, false, true and so on.
     */
    void (*granule_pas)(void *opaque, uint64_t pa, bool realm);

    /*
     * Begin to invalidate the translations of [@base, @top) of the Realm with
     * @vmid on all PEs, as TLBI does.  It must not wait for a PE.
     */
    void (*tlb_invalidate)(void *opaque, uint16_t vmid,
                           uint64_t base, uint64_t top);

    /*
     * Complete what this thread began, as DSB does.  When this returns, no PE
     * uses an old translation, neither a cached one nor one that a
     * rmm_stage2_walk under way is about to return.  It need not wait for a PE
     * inside the library that drops its cached translations before it is back
     * in its Realm.  Called without locks.  Other threads that export memory
     * wait for this, so they must hold nothing that it needs.  May be NULL if
     * tlb_invalidate does all of it.
     */
    void (*tlb_sync)(void *opaque);

    /*
     * Fill @buf with @len random bytes fit for keys.  Never fails.  No bytes
     * repeat, neither after a reset nor on another machine
     * (docs/specs/realm-migration-stream.rst, at its beginning).
     */
    void (*random)(void *opaque, void *buf, size_t len);

    /*
     * Write the context of the PE that runs the REC with @mpidr (all
     * registers other than X0-X30 and PC, in the machine's own format) to
     * @buf.  Returns its size, at most @size, or 0 on failure.  Called only
     * while the REC is not running.  An MPIDR says which PE that is as long as
     * there is one Realm, or one that leaves and one that comes.
     */
    size_t (*context_save)(void *opaque, uint64_t mpidr,
                           void *buf, size_t size);

    /* Take back a context; false if this machine cannot. */
    bool (*context_load)(void *opaque, uint64_t mpidr,
                         const void *buf, size_t size);

    /*
     * May be NULL.  Forget the context of the PE that ran the REC with @mpidr:
     * that REC runs elsewhere.
     */
    void (*context_wipe)(void *opaque, uint64_t mpidr);

    /*
     * May be NULL, both or none: where one PE runs one REC for ever.  Make a
     * place for the registers of a REC other than X0 to X30 and PC, with their
     * values at reset; a PE that runs the REC finds it in RmmPe.  Virtual
     * interrupts that are active, ICH_VMCR_EL2, timers and counters are among
     * them.  Never NULL.
     */
    void *(*context_new)(void *opaque, const RmmRecConfig *config);

    /*
     * Wipe and free what context_new made: the REC is gone, runs elsewhere, or
     * starts anew (CPU_ON) with another context.  No PE runs it, unless the
     * model is freed.
     */
    void (*context_free)(void *opaque, void *context);

    /*
     * May be NULL, then all is zero.  @pe is about to leave the Realm, its
     * registers are still the REC's: say what the exit record needs.  A machine
     * with contexts puts the registers into @pe->context now.  It touches them
     * no more when this has returned: another PE may run the REC then, or the
     * host may destroy it.  Called by the thread of @pe, without locks.
     */
    void (*exit_state)(void *opaque, const struct RmmPe *pe,
                       RmmExitState *state);

    /*
     * May be NULL.  Write private key @which, on P-384 and in DER (PKCS #8 or
     * SEC 1), to @buf.  Returns its size, at most @size, or 0 if there is
     * none: then Realms get no attestation tokens and do not migrate.
     */
    size_t (*key)(void *opaque, RmmKey which, void *buf, size_t size);

    /*
     * May be NULL.  Write the certificates of the platform key to @buf: X.509
     * in DER, one behind the other, from the key's own up to a self-signed
     * one.  Returns their size, at most @size, or 0 if there are none.
     */
    size_t (*certificates)(void *opaque, void *buf, size_t size);

    /*
     * Seconds since some moment, of a clock that goes on whatever hosts do
     * and that none of them can set.  NULL only if nothing migrates.
     */
    uint64_t (*seconds)(void *opaque);

    /*
     * May be NULL.  True if the PE that calls has a physical interrupt
     * pending: a long call from a Realm then exits, and the Realm calls again.
     * The machine must not leave the interrupt pending for ever, since such a
     * call makes no progress meanwhile.  Called without locks.
     */
    bool (*interrupt_pending)(void *opaque);

    /*
     * May be NULL.  A call is over, or a REC has exited; of exits, questions
     * for features and what is on hot paths this is only told if log_all says
     * so, or if a call on a hot path failed.  @entry lives until this returns.
     * Called without locks.
     */
    void (*log)(void *opaque, const RmmLog *entry);

    /*
     * May be NULL.  True if log is to hear of everything now.  Asked on hot
     * paths.
     */
    bool (*log_all)(void *opaque);
} RmmOps;

/* What a platform offers; RMI_FEATURES reports it. */
typedef struct RmmPlatform {
    uint8_t ipa_bits;       /* largest IPA width: 32 to 48, with LPA2 52 */
    uint8_t num_bps;        /* breakpoints, minus one */
    uint8_t num_wps;        /* watchpoints, minus one */
    bool sha512;
    bool pmu;
    uint8_t pmu_num_ctrs;
    bool pmu_hpmn0;         /* FEAT_HPMN0: a PMU without counters */
    bool lpa2;
    bool sve;
    uint8_t sve_vl;         /* largest vector length / 128, minus one */
    uint8_t num_aux;        /* auxiliary granules of a REC, up to 16 */
    uint8_t vmid_bits;      /* 8 or 16; 0 is 16 */
    uint8_t num_lrs;        /* GICv3 list registers, minus one */
    uint8_t gic_prio_bits;  /* of a list register; 0: an entry has none, since
                               the machine injects interrupts by itself */
    uint8_t gic_id_bits;    /* of a virtual INTID, 16 or 24; 0 is 16 */
    bool mte;               /* extension: Realms may have MTE */
    bool migration;         /* extension: Realms may be migrated */
    uint16_t lifecycle;     /* security life cycle in the platform token */
    /*
     * What the platform token names, for as long as the model lives; NULL: what
     * the model is made of (software.h).  A few: see MIG_MAX_TOKEN.
     */
    const struct TokenComponent *software;
    unsigned num_software;
    /*
     * For a suite that was written against TF-RMM, where it does other than the
     * text in a case of its own: beyond the IPA width there is an external
     * abort (the text: an address size fault), and RMI_PSCI_COMPLETE that fails
     * since the target of CPU_ON is on completes the call all the same (the
     * text: it has no effect).
     */
    bool as_tf_rmm;
} RmmPlatform;

Rmm *rmm_new(const RmmOps *ops, void *opaque, const RmmPlatform *platform);

/*
 * RECs may exist, and PEs may be in the Realm world: the machine is reset, or
 * goes.  No thread is inside the library, and none enters it with an RmmPe of
 * before.  Registers are wiped; memory is the machine's to wipe, and no
 * granule_pas tells that it is Non-secure again.
 */
void rmm_free(Rmm *rmm);

typedef enum RmmWorld { RMM_WORLD_HOST, RMM_WORLD_REALM } RmmWorld;

/*
 * An exception that the Realm takes to EL1 before its next instruction, and
 * before the PE enters the library again.  The machine delivers it: ELR_EL1
 * is the PC, SPSR_EL1 and the vector are its own.  The exception class in
 * @esr is that of one taken from EL1; a machine whose Realm was at EL0 clears
 * bit 26 of an abort's.
 */
typedef struct RmmInject {
    bool pending;           /* set by the library, cleared by the machine */
    bool abort;             /* FAR_EL1 changes as well */
    uint64_t esr;
    uint64_t far;
} RmmInject;

/*
 * What the host asked of the entry, for the machine to do.  It is checked (RMM
 * 1.0, A6.1); list registers that RmmPlatform does not have are zero.
 */
typedef struct RmmEntry {
    uint64_t gicv3_hcr;     /* ICH_HCR_EL2: the host's fields, so without En */
    uint64_t gicv3_lrs[16]; /* ICH_LR<n>_EL2 */
    bool trap_wfi;
    bool trap_wfe;
} RmmEntry;

/*
 * A processing element as the RMM sees it: the world it is in, and the
 * registers that calls read and write.  @rec is private to the library
 * (NULL in the host world).  What stands below it matters in the Realm world
 * only; @context is what RmmOps.context_new made.  Zero-initialise it; one
 * thread at a time.
 */
typedef struct RmmPe {
    RmmWorld world;
    uint64_t x[31];
    uint64_t pc;
    void *rec;
    void *context;
    RmmEntry entry;
    RmmInject inject;
} RmmPe;

/*
 * The PE executed an SMC; x[0] is the function identifier.
 *
 * From the host: an RMI call (or an extension call, rmm-abi.h).  The result
 * is in x[0] and up, and the PE stays in the host world; except that a
 * successful RMI_REC_ENTER puts it into the Realm world with the REC's
 * X0-X30 and PC, and with @inject if the host asked for an abort.
 *
 * From a Realm, with @pc the address behind the SMC: an RSI or PSCI call.
 * Either the PE stays in the Realm world with results in x[], or the REC
 * exits: the exit record is written, x[0] is the result of RMI_REC_ENTER,
 * and the PE is back in the host world.
 */
void rmm_call(Rmm *rmm, RmmPe *pe);

/* What a machine may want to know of a call before it makes it. */
typedef enum RmmCallTraits {
    RMM_CALL_LONG = 1,          /* may take more than 50 microseconds */
    RMM_CALL_INVALIDATES = 2,   /* may call tlb_invalidate and tlb_sync;
                                   without it, a call never does */
} RmmCallTraits;

/*
 * RmmCallTraits of the SMC that @pe is about to make, with x[0] and the world
 * as for rmm_call.  0 for a number that is no call.  A granule that is
 * delegated while it is lent is none of this: RmmOps.granule_pas tells.
 */
unsigned rmm_call_traits(const RmmPe *pe);

/* What takes a PE from a Realm to the RMM, other than an SMC. */
typedef enum RmmExceptionKind {
    RMM_EXCEPTION_SYNC, RMM_EXCEPTION_IRQ, RMM_EXCEPTION_FIQ,
    RMM_EXCEPTION_SERROR
} RmmExceptionKind;

/*
 * The registers are as in the Arm ARM, and matter for SYNC only, but ESR_EL2
 * for SERROR as well.  No register has the level of the stage 1 entry that an
 * abort's IPA came from; it is 0 if stage 1 is off.  An RMM walks stage 1 to
 * find it, here the machine says.
 */
typedef struct RmmSyndrome {
    RmmExceptionKind kind;
    uint64_t esr;           /* ESR_EL2 */
    uint64_t far;           /* FAR_EL2 */
    uint64_t hpfar;         /* HPFAR_EL2 */
    int stage1_level;       /* -1 to 3 */
} RmmSyndrome;

/*
 * The PE took an exception from the Realm world, with the Realm's X0-X30 in
 * @pe and in @pc the instruction that was not completed.  Either the REC
 * exits, as after rmm_call; or the PE stays in the Realm world, where it
 * goes on at @pc or takes @pe->inject first.
 */
void rmm_exception(Rmm *rmm, RmmPe *pe, const RmmSyndrome *syndrome);

/* "SYNC" to "SERROR"; NULL for a number that is no reason. */
const char *rmm_exit_name(unsigned reason);

/*
 * Write the initial measurement (RIM) of the Realm whose RD is at @rd to @rim,
 * for its host to show.  RMM 1.0 has no call for it, but a host can compute it
 * from what it loaded.  Returns its size in bytes, or 0 if there is no such
 * Realm.
 */
size_t rmm_realm_rim(Rmm *rmm, uint64_t rd, uint8_t rim[64]);

/* Pages of 4 KiB, by who has them. */
typedef struct RmmPages {
    uint64_t owned;         /* the Realm's alone: protected, RIPAS RAM */
    uint64_t empty;         /* given up by the Realm: assigned, RIPAS EMPTY */
    uint64_t lent;          /* the host's, mapped at unprotected IPAs */
    uint64_t untouched;     /* nobody's yet: RIPAS RAM, nothing assigned */
    uint64_t dirty;         /* of those owned: not exported since they were
                               written; 0 unless a session exports them */
} RmmPages;

/*
 * Count the pages of the Realm whose RD is at @rd; false if there is none.
 * What changes meanwhile may be counted as before or as after.
 */
bool rmm_realm_pages(Rmm *rmm, uint64_t rd, RmmPages *pages);

typedef enum RmmAccess {
    RMM_ACCESS_READ, RMM_ACCESS_WRITE, RMM_ACCESS_FETCH
} RmmAccess;

/* What an access meets (rmm 1.0, A5.2 and our chapter on dirty state). */
typedef enum RmmFault {
    RMM_FAULT_NONE,         /* translated */
    RMM_FAULT_UNPROTECTED,  /* the host maps nothing there: it has to act */
    RMM_FAULT_PERMISSION,   /* ...or not for this kind of access */
    RMM_FAULT_SEA,          /* RIPAS EMPTY: synchronous external abort */
    RMM_FAULT_UNASSIGNED,   /* RIPAS RAM, no granule: the host has to act */
    RMM_FAULT_DESTROYED,    /* RIPAS DESTROYED: exit to the host, always */
    RMM_FAULT_ADDRESS_SIZE, /* beyond the IPA width */
    /*
     * The host lent it, but has delegated the granule since: a granule
     * protection fault.  The PE takes it to EL1 (HCR_EL2.GPF is 0, as with
     * TF-RMM) and the library hears nothing of it.
     */
    RMM_FAULT_GPF,
} RmmFault;

typedef struct RmmTranslation {
    uint64_t pa;            /* of the granule that holds the IPA */
    bool readable;
    bool writable;          /* false: a write must walk again (dirty state) */
    bool executable;        /* by stage 2 */
    uint64_t bytes;         /* size of the block or page that was found; of a
                               block that is lent, other granules may be
                               delegated */
    int level;              /* where the walk ended: -1 to 3 */
} RmmTranslation;

/* Stage 2 of the Realm whose REC is at @rec; false if it is not a REC. */
bool rmm_stage2(Rmm *rmm, uint64_t rec, RmmStage2 *s2);

/*
 * Walk as hardware does for one access at @ipa: a write to a protected page
 * that is writable-clean makes it dirty before this returns.  After a fault
 * only @out->level is valid.  Of a granule that is delegated while it is lent,
 * RmmOps.granule_pas tells, not tlb_invalidate.
 */
RmmFault rmm_stage2_walk(Rmm *rmm, const RmmStage2 *s2, uint64_t ipa,
                         RmmAccess access, RmmTranslation *out);

#endif
