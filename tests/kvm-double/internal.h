/*
 * The stand-in kernel: what its files share
 *
 * Purpose: double.c has descriptors and the table of ioctls, vm.c VMs, slots
 * and attributes, gmem.c guest_memfd, life.c what builds a Realm in both
 * generations, realm.c and mmu.c the host's half of RMI, run.c KVM_RUN and the
 * guest, migrate.c and pages.c the migration interface, log.c the dirty log,
 * tags.c memory tags, physical.c memory.
 *
 *     PA                      what
 *     POOL  + n * 4096        granules of tables, RDs and RECs
 *     GMEM  + id << 36        pages of a guest_memfd
 *     SHARED + slot << 36     Non-secure: the shared mapping of a slot, unless
 *                             it is in guest_memfd
 *     RUN   + n * 4096        Non-secure: run pages of RECs
 *     WINDOW + n << 36        Non-secure: a user buffer, for this thread
 *
 * Lock rule: DoubleVm.lock covers the VM but for a vCPU's own run state; the
 * RMM and physical memory have their own.  That of a stream comes before it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_KVM_DOUBLE_INTERNAL_H
#define TESTS_KVM_DOUBLE_INTERNAL_H

#include <linux/kvm.h>
#include <linux/kvm-arm-cca.h>
#include <linux/kvm-cc-migration.h>
#include "qemu/bitops.h"
#include "qemu/thread.h"
#include "target/arm/rmm/mig-abi.h"
#include "target/arm/rmm/rmm-abi.h"
#include "target/arm/rmm/rmm.h"
#include "double.h"

#define GRANULE             RMM_GRANULE_SIZE
#define POOL_GRANULES       4096
#define DOUBLE_CONTEXT      96          /* bytes of a vCPU's other registers */

typedef enum DoubleKind {
    DOUBLE_SYSTEM, DOUBLE_VM, DOUBLE_VCPU, DOUBLE_GMEM, DOUBLE_DEVICE,
    DOUBLE_KINDS
} DoubleKind;

typedef struct DoubleVm DoubleVm;

/* A descriptor.  It is open as long as @fd has still this @inode. */
typedef struct DoubleFile {
    DoubleKind kind;
    int fd;
    uint64_t inode;
    DoubleVm *vm;               /* NULL: the system's */
    void *object;               /* DoubleVcpu, DoubleGmem */
} DoubleFile;

typedef struct DoubleGmem {
    unsigned id;
    int fd;                     /* the double's own, for memory */
    uint64_t size;
    uint8_t *host;
    uint8_t *tags;
    unsigned long *delegated;   /* granules */
    unsigned long *private;     /* host pages: flavours with in_place */
    unsigned long *pinned;      /* host pages that somebody holds */
} DoubleGmem;

typedef struct DoubleSlot {
    struct kvm_userspace_memory_region2 region;
    DoubleGmem *gmem;           /* NULL without, or if it was closed */
    uint8_t *tags;              /* of the shared mapping */
    unsigned long *dirty;       /* host pages; NULL: they are not logged */
    bool in_place;              /* the shared half is in @gmem; so are @tags */
} DoubleSlot;

typedef struct DoubleVcpu DoubleVcpu;

typedef enum GuestActionKind {
    GUEST_ACCESS, GUEST_TAGS, GUEST_RIPAS, GUEST_CPU_ON, GUEST_REGISTER,
    GUEST_OFF, GUEST_HOST_CALL, GUEST_KINDS
} GuestActionKind;

/* What the guest is about to do on a vCPU. */
typedef struct GuestAction {
    GuestActionKind kind;
    uint64_t ipa, size;         /* what is left of it */
    uint8_t *buf;
    bool write;
    bool asked;                 /* RIPAS, CPU_ON, HOST_CALL: it was called */
    void (*at_exit)(DoubleVcpu *vcpu);  /* before KVM sees the exit, or NULL */
    bool aborted;               /* ACCESS: the instruction at this PC */
    uint64_t abort_pc;
    bool ram;
    unsigned target;            /* CPU_ON: vCPU; REGISTER: number */
    uint64_t value;
    bool over;
    DoubleOutcome outcome;
} GuestAction;

struct DoubleVcpu {
    DoubleVm *vm;
    unsigned index;
    bool initialized, finalized, power_off;
    uint64_t x[31], pc;         /* as set before the REC is created */
    uint64_t rec;               /* PA, 0: none */
    RmiRecRun *run;             /* the Non-secure page of the REC */
    uint64_t run_pa;
    RmmPe pe;
    /* What KVM does before it enters the REC again, as @run asks. */
    bool ripas_pending, psci_pending;
    bool mmio_pending;          /* user space emulates an access */
    bool host_call_pending;     /* results for it are in @run */
    bool came;                  /* by COMMIT, and its REC was not entered yet */
    /* VM locked: */
    bool running;               /* in KVM_RUN */
    bool signalled;             /* KVM_RUN ends, or the next one */
    GuestAction *action;
    struct kvm_run *kvm_run;
};

typedef struct DoubleRange {
    uint64_t base, top;
} DoubleRange;

typedef enum DoubleVmState {
    VM_NONE,                    /* no RD yet */
    VM_NEW,                     /* RD, and it may be populated */
    VM_EMPTY,                   /* a destination's: waits for an import */
    VM_ACTIVE,
} DoubleVmState;

/* KVM's own states of a migration; IMPORTING includes IMPORTED. */
typedef enum DoubleSession {
    SESSION_NONE, SESSION_ACCEPTED, SESSION_EXPORTING, SESSION_PAUSED,
    SESSION_SEALED, SESSION_GONE, SESSION_OFFERED, SESSION_IMPORTING,
    SESSION_FAILED,
} DoubleSession;

/* The last blob of the steps, or of a stream, which is given again. */
typedef struct DoubleKept {
    GBytes *blob;               /* NULL: none */
    uint32_t step, part;        /* of the steps */
    unsigned pages;             /* of a stream */
} DoubleKept;

struct DoubleVm {
    QemuMutex lock;
    QemuCond wake;              /* vCPUs that sleep in KVM_RUN */
    bool realm;
    DoubleVmState state;
    unsigned ipa_bits;
    uint8_t hash_algo;
    uint8_t rpv[64];
    bool mte, migratable, irqchip, vgic_initialized;
    bool dead;                  /* set by vm_kill alone */
    bool has_features;          /* a vCPU was initialised */
    uint32_t features;          /* of all vCPUs, without POWER_OFF */
    uint8_t policy[KVM_CC_MAX_POLICY];
    uint64_t policy_size;       /* 0: the RMM's own */
    GPtrArray *slots, *vcpus, *gmems;
    GHashTable *private;        /* host pages with that attribute */
    GHashTable *populated;      /* host pages */
    GArray *ripas;              /* DoubleRange: INIT_RIPAS, first generation */
    uint64_t rd, table;
    unsigned num_tables;
    RmmStage2 stage2;
    unsigned open_files;        /* that keep it alive */
    /* Migration */
    DoubleSession session;
    bool came;                  /* by COMMIT, and accepted no offer since */
    DoubleKept kept, kept_bundle[MIG_MAX_STREAMS];
    uint64_t next_number[MIG_MAX_STREAMS];      /* of a bundle */
    QemuMutex stream_lock[MIG_MAX_STREAMS];     /* one export at a time */
    uint32_t next_epoch;
    uint64_t manual_log;        /* as KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 says */
    uint64_t next_base;
    unsigned next_part;         /* of the Realm's state */
    unsigned first_rec;         /* the part; 0: not known yet */
};

typedef struct Double {
    DoubleOptions options;
    const DoubleFlavour *flavour;
    size_t page_size;
    Rmm *rmm;
    QemuMutex lock;             /* covers what follows */
    GPtrArray *files;
    GPtrArray *dead;            /* VMs that are to be freed */
    GPtrArray *gmems;           /* by id */
    uint8_t *pool;
    unsigned long *pool_used;
    uint8_t *run_pages;
    unsigned long *run_used;
    GRand *rand;
    uint8_t contexts[DOUBLE_MAX_CPUS][DOUBLE_CONTEXT];
    bool probing;
    unsigned calls;
    uint64_t seconds;           /* the RMM's clock */
    uint16_t next_vmid;
    DoubleHook *hook;
    void *hook_opaque;
} Double;

extern Double *the_double;

/* ---- double.c ---- */

int double_ioctl(int fd, unsigned long request, void *arg);

/* A new descriptor; a negative errno if there can be none. */
int double_open(DoubleKind kind, DoubleVm *vm, void *object);
/* The same for @fd, which becomes the caller's, or is a negative errno. */
int double_open_fd(DoubleKind kind, DoubleVm *vm, void *object, int fd);
DoubleFile *double_file(int fd);

/*
 * The interface forbids the current call.  This fails the test; but while
 * probing, it returns -@error, so a handler says
 * `return double_forbid(EINVAL, "...")`.  0: KVM takes it all the same.
 */
int double_forbid(int error, const char *rule, ...) G_GNUC_PRINTF(2, 3);

/* The hook wants the handler to do only a part of the request. */
bool double_partly(void);

/* Copy to a caller, whose memory the hook may have taken away: -EFAULT. */
int double_copy_out(uint64_t to, const void *from, size_t size);

/* ---- physical.c ---- */

void physical_init(void);
void physical_free(void);
uint64_t physical_alloc(unsigned count);        /* delegated granules */
void physical_release(uint64_t pa, unsigned count);
RmiRecRun *physical_run_page(uint64_t *pa);
void physical_free_run_page(uint64_t pa);
uint64_t physical_window(unsigned window, const void *host, size_t size);
uint8_t *physical_host(uint64_t pa);            /* what a PE reads there */
uint8_t *physical_tags(uint64_t pa);
uint64_t shared_pa(const DoubleSlot *slot, uint64_t gpa);
DoubleGmem *gmem_new(uint64_t size);
void gmem_free(DoubleGmem *gmem);
uint64_t gmem_pa(const DoubleGmem *gmem, uint64_t offset);

/* An RMI or migration call; X0, with X1.. in @out if that is not NULL. */
uint64_t double_rmi(uint64_t out[4], uint64_t fid, const uint64_t *args,
                    unsigned num);
#define RMI_OUT(out, fid, ...) \
    double_rmi(out, fid, (const uint64_t[]) { __VA_ARGS__ }, \
               ARRAY_SIZE(((const uint64_t[]) { __VA_ARGS__ })))
#define RMI(fid, ...) RMI_OUT(NULL, fid, __VA_ARGS__)

/* ---- mmu.c: VM locked ---- */

DoubleSlot *slot_at(DoubleVm *vm, uint64_t gpa);
uint64_t slot_gmem_offset(const DoubleSlot *slot, uint64_t gpa);
bool vm_is_private(DoubleVm *vm, uint64_t gpa);

/* Make the tables for @ipa; returns RMI's result. */
uint64_t mmu_create_tables(DoubleVm *vm, uint64_t ipa);

/* RMI call INIT_RIPAS or (with @rec) SET_RIPAS for a range. */
uint64_t mmu_ripas(DoubleVm *vm, uint64_t rec, uint64_t base, uint64_t top);

/* Delegate a granule for the page at @gpa; returns 0 if it has one already. */
uint64_t mmu_delegate(DoubleVm *vm, uint64_t gpa);

/* Assign the page at @gpa with the contents at @source. */
uint64_t mmu_populate(DoubleVm *vm, uint64_t gpa, const void *source,
                      uint64_t flags);
bool mmu_fault(DoubleVm *vm, uint64_t ipa);
void mmu_undelegate(DoubleVm *vm, uint64_t gpa);     /* if it was delegated */
bool mmu_is_secret(DoubleVm *vm, uint64_t gpa);     /* the RMM has a granule */
void mmu_unmap_private(DoubleVm *vm, uint64_t gpa, uint64_t size);
void mmu_unmap_shared(DoubleVm *vm, uint64_t gpa, uint64_t size);
void mmu_destroy(DoubleVm *vm);

/* ---- run.c: VM locked ---- */

/*
 * Complete what the vCPU's last exit asked for: an emulated access, whose value
 * is in kvm_run, a PSCI call, and a change of RIPAS.  Returns false if the last
 * of them waits for user space, and says for what in kvm_run.
 */
bool run_complete(DoubleVcpu *vcpu);
/* A signal: KVM_RUN ends at once, or the next one.  VM not locked. */
void double_kick(DoubleVcpu *vcpu);

/* ---- realm.c: VM locked; 0 or a negative errno ---- */

int host_create(DoubleVm *vm);
int host_create_recs(DoubleVm *vm);
int host_create_rec(DoubleVcpu *vcpu);
int host_activate(DoubleVm *vm);
void host_destroy(DoubleVm *vm);

/* ---- vm.c ---- */

void vm_free(DoubleVm *vm);
void vcpu_free(DoubleVcpu *vcpu);

/*
 * As KVM_BUG_ON does: from now on each ioctl on the VM and its vCPUs is EIO,
 * unless its row in double.c says that it lives on.
 */
void vm_kill(DoubleVm *vm);
int vcpu_check_init(const DoubleVcpu *vcpu);            /* 0, or ENOEXEC */
bool vm_is_slot(unsigned slot);                         /* there may be one */
bool vm_is_aligned(uint64_t base, uint64_t size);       /* to host pages */
bool vm_is_ram(DoubleVm *vm, uint64_t base, uint64_t size);

/* ---- gmem.c ---- */

/* Remove the pages of a range from guest_memfd, by FALLOC_FL_PUNCH_HOLE. */
int vm_punch(DoubleVm *vm, uint64_t gpa, uint64_t size);
/* Nobody has @gmem any more: its pages go back.  VM not locked. */
void gmem_release(DoubleVm *vm, DoubleGmem *gmem);
bool gmem_is_mapped(const DoubleGmem *gmem);
/* Both halves of @slot are in its guest_memfd: check that it is mapped. */
int gmem_check_mapping(const DoubleSlot *slot);

/* ---- handlers: a row each in double.c ---- */

typedef int DoubleHandler(DoubleFile *file, void *arg);
DoubleHandler system_create_vm, check_extension, vm_enable_cap,
    vm_preferred_target, vm_create_vcpu, vm_create_device, device_set_attr,
    vm_create_gmem, gmem_set_attributes,
    vm_set_region, vm_set_region2, vm_set_attributes, vcpu_init, vcpu_finalize,
    vcpu_set_reg, vcpu_get_reg, vcpu_list_regs, vcpu_set_mp_state, vcpu_run,
    vm_populate,
    vm_mig_info, vm_migrate, vm_owed_pages, vm_export_pages, vm_import_pages,
    vm_copy_tags, vm_get_dirty_log, vm_clear_dirty_log;

/* life.c, called by vm_enable_cap */
int life_enable_rme(DoubleVm *vm, const struct kvm_enable_cap *cap);

/* migrate.c, called by vm_enable_cap */
int migrate_enable(DoubleVm *vm, const struct kvm_enable_cap *cap);
int migrate_features(void);
int migrate_result(DoubleVm *vm, uint64_t result, bool import,
                   uint32_t *cause, __u64 *detail);
void migrate_forget(DoubleVm *vm);
int migrate_give_kept(const DoubleKept *kept, uint64_t to, __u64 *size);
void migrate_keep(DoubleKept *kept, DoubleKept last);
bool migrate_in(const DoubleVm *vm, unsigned sessions);     /* BIT()s of them */
bool migrate_may_run(const DoubleVm *vm);

/*
 * KVM_REG_ARM_REC_ANSWER: which of them @id is, or -1; what the vCPU's next
 * entry gives to its REC.
 */
int migrate_answer_register(uint64_t id);
int migrate_get_answer(DoubleVcpu *vcpu, unsigned n, uint64_t *value);
int migrate_set_answer(DoubleVcpu *vcpu, unsigned n, uint64_t value);

/* log.c: the dirty log of shared pages; VM locked */
bool log_is_on(const DoubleVm *vm);
int log_set(DoubleVm *vm, DoubleSlot *slot, bool on);
void log_write(DoubleVm *vm, uint64_t gpa);

#endif
