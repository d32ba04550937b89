/*
 * The KVM backend for Realms: what its files share
 *
 * Purpose: run a Realm, and migrate it, with the kernel's interface alone.
 * These are the files, from leaf to root, and below their functions.  A file
 * calls only functions of files above it, and QEMU's.
 *
 *     state.c            the Realm's phase and what else is known of it
 *     errors.c           messages for refusals and for invalid answers
 *     call.c             ioctls
 *     board.c            QEMU's memory and vCPUs
 *     probe.c            which of the posted interfaces the kernel has, for
 *                        the board (system/realm-kvm.h)
 *     life.c             from the VM to a Realm that runs
 *     convert.c          memory becomes private or shared
 *     answer.c           answers to vCPUs' exits, which travel
 *     dirty.c            which private pages were written
 *     pages.c            bundles of private pages
 *     session.c          the steps of a migration
 *     backend.c          the table, RealmBackendOps
 *     hook.c             what QEMU's own KVM code calls (system/realm-kvm.h)
 *
 * Invariants:
 * - Only call.c calls the kernel, through kvm_ioctl, kvm_vm_ioctl,
 *   kvm_vcpu_ioctl and kvm_device_ioctl, so that a test can stand in for the
 *   kernel.  The one exception is realm_kvm_check_extension, a hook.
 * - Counts, sizes and addresses that the kernel returns are checked before
 *   they are used.
 * - board.c needs all of QEMU; the other files run on any host, in a test.
 *
 * Lock rule: BQL, except that any thread may call the functions of convert.c
 * and pages.c, which use nothing that others change after the Realm's start but
 * its phase.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef ACCEL_KVM_REALM_REALM_KVM_H
#define ACCEL_KVM_REALM_REALM_KVM_H

#include "hw/core/cpu.h"
#include "system/kvm.h"
#include "system/realm-backend.h"
#include "target/arm/realm/layout.h"

/* ---- state.c ---- */

/* What probe.c has found out about the kernel's interface. */
typedef struct RealmKvmAbi {
    RmeGuestKvmAbi generation;  /* AUTO: not known, no Realm */
    uint32_t vm_type;           /* for KVM_CREATE_VM, beside the IPA width */
    unsigned max_ipa_bits;      /* of a Realm, the shared bit counted */
    uint32_t rme_cap;           /* RME: the number of KVM_CAP_ARM_RME */
    uint32_t rec_feature;       /* RME: KVM_ARM_VCPU_REC, to be finalized */
    uint32_t vcpu_features;     /* RME: to be set with KVM_ARM_VCPU_INIT */
    unsigned long populate;     /* RMI: the number of KVM_ARM_RMI_POPULATE */
    bool guest_memfd;           /* private memory can come from one */
    bool vm_attributes;         /* private is an attribute of the VM */
    bool in_place;              /* ...of guest_memfd, which has both halves */
    unsigned max_cpus;
    bool dirty_log;             /* of the shared pages of guest_memfd */
    bool sha256, sha512;        /* a Realm can be measured so, as is known */
    bool migration, mte, sve, pmu;      /* a Realm's VM can have it */
} RealmKvmAbi;

/* What a vCPU's REC waits for; see answer.c. */
typedef struct RealmKvmAnswer {
    unsigned cpu;
    uint64_t regs[32];          /* KVM_REG_ARM_REC_ANSWER_REG */
} RealmKvmAnswer;

typedef struct RealmKvm {
    RealmKvmAbi abi;
    const RealmConfig *config;
    RealmLayout layout;
    RealmPhase phase;
    bool parked;                /* vCPUs may not run */
    bool dead;                  /* the kernel has given its VM up */
    RealmMigrationLimits limits;
    RealmKvmAnswer *answers;    /* of each vCPU */
    uint32_t next_epoch;        /* of the session */
    uint32_t next_part;         /* ... of the Realm's state */
    uint64_t *next_number;      /* ... of a bundle, for each stream */
} RealmKvm;

extern RealmKvm realm_kvm;

/*
 * Set configuration, layout and first phase; @incoming: the machine waits for
 * a migration.  @config has to stay.
 */
void realm_kvm_init(const RealmConfig *config, bool incoming);

/* The kernel has the first generation of the interface. */
bool realm_kvm_is_rme(void);

/* realm_phase_check and realm_phase_take with the phase of this Realm. */
RealmPhase realm_kvm_phase(void);
bool realm_kvm_check(RealmStep step, Error **errp);
void realm_kvm_took(RealmStep step);

/* A record was refused: the session is over for good.  Returns false. */
bool realm_kvm_import_failed(void);

/* ---- errors.c ---- */

/* What EIO means: every ioctl of the VM, its vCPUs and devices returns it. */
#define REALM_KVM_DEAD \
    "the kernel has given up its VM, and it will never run again; end this " \
    "machine (the kernel's log may say why)"

/*
 * The kernel's answer to the ioctl @name cannot be right; @problem, a format,
 * says what is wrong with it.
 */
void realm_kvm_invalid_answer(Error **errp, const char *name,
                              const char *problem, ...)
    G_GNUC_PRINTF(3, 4);

/*
 * The kernel has refused @step: the ioctl @name returned the negative errno
 * @ret.  @cause (kvm_cc_cause) and @detail are what the RMM said, if it was
 * asked.
 */
void realm_kvm_refused(Error **errp, RealmStep step, const char *name,
                       int ret, uint32_t cause, uint64_t detail);

/* ---- call.c: ioctls by name ---- */

/* How long something has not got further; zero at first. */
typedef struct RealmKvmWait {
    int64_t since;
    bool said;
} RealmKvmWait;

/*
 * @what has got no further and is to be tried again: pause before that.  False
 * after 10 seconds; after one second a warning says so.  It sleeps, with
 * whatever lock its caller has.
 */
bool realm_kvm_wait(RealmKvmWait *wait, const char *what);

typedef struct RealmKvmCall {
    const char *name;           /* in messages */
    unsigned long request;
    void *arg;                  /* as for ioctl(2), which may want a number */
} RealmKvmCall;

#define REALM_KVM_CALL(req, argument) \
    (&(const RealmKvmCall) { .name = #req, .request = (req), \
                             .arg = (void *)(uintptr_t)(argument) })

/*
 * Make the ioctl @call, again after EINTR and EAGAIN, as long as
 * realm_kvm_wait says.  Each returns what the ioctl does, or a negative errno.
 */
int realm_kvm_system_call(KVMState *s, const RealmKvmCall *call);
int realm_kvm_vm_call(const RealmKvmCall *call);
int realm_kvm_vcpu_call(CPUState *cs, const RealmKvmCall *call);
int realm_kvm_fd_call(int fd, const RealmKvmCall *call);

/*
 * The same for an ioctl of the migration, whose argument has @size bytes.  It
 * is made again, a few times, after ENOMEM and EBUSY, and after EFAULT: what
 * the kernel could not write, it gives again.
 */
int realm_kvm_vm_call_again(const RealmKvmCall *call, size_t size);

/*
 * The same for an ioctl that returns 0.  If it does not, they return false,
 * and @errp says that the kernel cannot do @what.
 */
bool realm_kvm_vm_do(const RealmKvmCall *call, const char *what, Error **errp);
bool realm_kvm_vcpu_do(CPUState *cs, const RealmKvmCall *call,
                       const char *what, Error **errp);

/*
 * Put into *@value what the VM answers to KVM_CHECK_EXTENSION of @extension;
 * it is 0 if the VM does not have it.
 */
bool realm_kvm_vm_check(unsigned extension, int *value, Error **errp);

/* KVM_ENABLE_CAP on the VM, with @cap and two arguments. */
bool realm_kvm_enable_cap(uint32_t cap, uint64_t arg0, const void *arg1,
                          const char *what, Error **errp);

/* ---- board.c: ranges are of Realm RAM, in host pages ---- */

/* The shared mapping of a range, or NULL if it is not RAM. */
void *realm_kvm_shared(uint64_t base, uint64_t size);

/* Tell the rest of QEMU that the range is shared, before it is. */
bool realm_kvm_lend(uint64_t base, uint64_t size, Error **errp);

/*
 * Give back what backs the range, in its private or in its shared half, which
 * is not lent any more.  In place, nothing is given back but pages that were
 * lent: they become private.
 */
bool realm_kvm_discard(uint64_t base, uint64_t size, bool private,
                       Error **errp);

/* Get the registers with which a vCPU starts; false if it starts off. */
bool realm_kvm_boot_registers(CPUState *cs, uint64_t x[8], uint64_t *pc);

/* ---- probe.c: see also system/realm-kvm.h ---- */

/* See RealmBackendOps. */
RealmCapabilities *realm_kvm_capabilities(Error **errp);

/* ---- life.c ---- */

/* Tell the kernel what the user asked for, before the Realm is created. */
bool realm_kvm_configure(const RealmConfig *config, Error **errp);

/* Build the Realm with its images, or (for a migration) without contents. */
bool realm_kvm_build(Error **errp);
bool realm_kvm_build_empty(Error **errp);

/* ---- convert.c ---- */

/*
 * [@base, @base + @size) becomes private or shared.  On failure nothing has
 * changed if the range is a bad one.  No event: not only the Realm asks for it.
 */
bool realm_kvm_convert_range(uint64_t base, uint64_t size, bool to_private,
                             Error **errp);

/* ---- answer.c ---- */

/* Before any vCPU exists: what its REC waits for travels with the machine. */
void realm_kvm_carry_answers(unsigned num_cpus);

/* Read what the paused RECs wait for; write what came, before COMMIT. */
bool realm_kvm_read_answers(Error **errp);
bool realm_kvm_write_answers(Error **errp);

/* ---- dirty.c ---- */

/* See RealmBackendOps. */
int64_t realm_kvm_collect_dirty(unsigned long *bitmap, Error **errp);

/* ---- pages.c: see RealmBackendOps ---- */

ssize_t realm_kvm_export_memory(unsigned stream, const uint64_t *pages,
                                unsigned n, void *buf, unsigned *exported,
                                Error **errp);
int realm_kvm_import_memory(const void *blob, size_t size, Error **errp);

/* ---- session.c: see RealmBackendOps ---- */

/*
 * Allow the migration of the Realm by @config, or block it if the kernel has
 * none; before the Realm is created.
 */
bool realm_kvm_migration_init(const RealmConfig *config, Error **errp);

bool realm_kvm_prepare_migration(uint8_t nonce[REALM_NONCE_SIZE],
                                 Error **errp);
bool realm_kvm_accept(const void *offer, size_t size, Error **errp);
ssize_t realm_kvm_export_begin(void *buf, Error **errp);
ssize_t realm_kvm_export_epoch(void *buf, Error **errp);
bool realm_kvm_pause(Error **errp);
ssize_t realm_kvm_export_state(unsigned part, void *buf, Error **errp);
ssize_t realm_kvm_export_start(const void *ready, size_t size, void *buf,
                               Error **errp);
bool realm_kvm_export_abort(Error **errp);
bool realm_kvm_export_resume(const void *token, size_t size, Error **errp);
bool realm_kvm_export_finish(const void *receipt, size_t size, Error **errp);
ssize_t realm_kvm_offer(const uint8_t nonce[REALM_NONCE_SIZE], void *buf,
                        Error **errp);
bool realm_kvm_import(const void *blob, size_t size, Error **errp);
ssize_t realm_kvm_import_ready(void *buf, Error **errp);
bool realm_kvm_commit(Error **errp);
ssize_t realm_kvm_import_receipt(void *buf, Error **errp);
ssize_t realm_kvm_import_abort(void *buf, Error **errp);

#endif
