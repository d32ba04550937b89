/*
 * A kernel for tests: KVM with Realms, and the machine around it
 *
 * Purpose: stand in for arm64's KVM where QEMU makes ioctls (kvm_ioctl,
 * kvm_vm_ioctl, kvm_vcpu_ioctl, kvm_device_ioctl), in any of the posted
 * versions, with the RMM library as firmware.  So accel/kvm/realm/ runs on any
 * host; and a test sees the calls to the kernel, can change the answers, and
 * plays the Realm's guest.
 *
 *     double_start(&options)               the host boots a kernel
 *     double_machine_create(&m, errp)      what QEMU does before the Realm runs
 *     double_machine_run(errp)             ... and at "cont"
 *     double_guest_write(...)              the Realm does something
 *     double_machine_destroy()             QEMU exits
 *     double_stop()                        the host shuts down
 *
 * Invariants:
 * - A process has one host and one machine at a time.  After double_stop it may
 *   start another.
 * - If the posted interface, or docs/specs/kvm-arm-realm-migration.rst, forbids
 *   a call or an argument, the test fails with the name of the call and the
 *   rule, unless double_probing is on.
 *
 * Lock rule: one thread calls the functions of this header, but may call those
 * of the guest for several vCPUs at once, from a thread each.  Any thread may
 * make ioctls.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_KVM_DOUBLE_DOUBLE_H
#define TESTS_KVM_DOUBLE_DOUBLE_H

#include "system/realm-backend.h"

/* ---- The kernel ---- */

/* What differs between the posted versions. */
typedef struct DoubleFlavour {
    const char *name;           /* "v5", ... "v16", "mainline", "no-rme" */
    int refusal;                /* of a Realm's VM: an errno, or 0 */
    bool rme;                   /* the first generation */
    uint32_t cap;               /* KVM_CAP_ARM_RME or KVM_CAP_ARM_RMI */
    uint32_t rec_feature;       /* first generation: KVM_ARM_VCPU_REC */
    uint32_t vcpu_features;     /* that all vCPUs of a Realm have */
    uint64_t vm_type;
    unsigned long populate;     /* second generation: the ioctl */
    bool vm_attributes;         /* KVM_SET_MEMORY_ATTRIBUTES is there */
    bool in_place;              /* KVM_SET_MEMORY_ATTRIBUTES2; both halves of a
                                   slot are in guest_memfd */
    bool after_v15;             /* RIPAS changes wait for the attribute,
                                   POPULATE wants a source, the GIC has to be
                                   initialised, there are blocks */
    bool fault_is_error;        /* KVM_EXIT_MEMORY_FAULT comes with EFAULT */
    uint8_t hash_algo;          /* unless configured, RMI_HASH_* */
} DoubleFlavour;

/* The newest one if @name is NULL; NULL if there is none of this name. */
const DoubleFlavour *double_flavour(const char *name);

typedef struct DoubleOptions {
    const char *flavour;        /* NULL: the newest */
    size_t page_size;           /* of the host: 4, 16 or 64 KiB; 0: 4 KiB */
    bool migration;             /* KVM_CAP_CC_MIGRATION */
    bool mte;                   /* a VM may have memory tags */
    bool no_tags;               /* ...but a VM that has them cannot migrate */
    bool fragmented;            /* no block of memory is in one piece */
    bool no_key;                /* the RMM has no platform key */
} DoubleOptions;

void double_start(const DoubleOptions *options);

/* Fails the test if anything of a VM is left: descriptors, granules. */
void double_stop(void);

/* Refuse forbidden calls with an errno, instead of failing the test. */
void double_probing(bool on);

/* Somebody pins the host page of guest_memfd at @ipa, or lets it go. */
void double_pin(uint64_t ipa, bool pinned);

/* Let @seconds pass for the RMM. */
void double_pass(unsigned seconds);

/* How many ioctls there were. */
unsigned double_calls(void);

/*
 * A hook is called before and after each ioctl.  Before, it may put a negative
 * errno into @ret: then the kernel does nothing and returns it.  After, it may
 * change the answer that the caller gets.  NULL: no hook.
 */
typedef struct DoubleCall {
    unsigned number;            /* of this ioctl, from 1 on */
    const char *name;
    unsigned long request;
    void *arg;
    int ret;
    bool partly;                /* before: do only a part of the request */
    bool fault;                 /* before: no page for what the kernel writes */
} DoubleCall;

typedef void DoubleHook(DoubleCall *call, bool after, void *opaque);
void double_set_hook(DoubleHook *hook, void *opaque);

/* ---- The machine ---- */

typedef struct DoubleImage {
    uint64_t offset, size;      /* in RAM, bytes */
} DoubleImage;

#define DOUBLE_MAX_IMAGES 4
#define DOUBLE_MAX_CPUS 4

typedef struct DoubleMachineOptions {
    RealmConfig config;         /* start from double_default_config */
    bool incoming;              /* as with -incoming */
    bool userspace_irqchip;
    DoubleImage images[DOUBLE_MAX_IMAGES];      /* those with a size */
} DoubleMachineOptions;

/* 33 bits of IPA, 4 MiB of RAM at 1 GiB, 2 vCPUs, nothing else. */
extern const RealmConfig double_default_config;

/*
 * Create a machine that has not run yet, with images; double_image_byte tells
 * their bytes.  Destroy it also if this has failed.
 */
bool double_machine_create(const DoubleMachineOptions *options, Error **errp);
void double_machine_destroy(void);
uint8_t double_image_byte(uint64_t ipa);

/* Do to the Realm what the commands "cont" and "stop" do. */
bool double_machine_run(Error **errp);
void double_machine_stop(void);

/* The @size bytes of RAM at @ipa, or the tags there, as QEMU's devices see. */
uint8_t *double_shared(uint64_t ipa, size_t size);
uint8_t *double_shared_tags(uint64_t ipa);

/*
 * As QEMU does at a migration's setup and end: KVM logs writes to shared pages,
 * or no more.  And at each synchronisation: read the log.  Then count the
 * pages that it had, and unmark them.
 */
bool double_log_shared(bool on, Error **errp);
bool double_sync_shared(Error **errp);
uint64_t double_take_shared_written(uint64_t ipa, uint64_t size);

/* KVM itself writes to a shared page, as for its interrupt controller. */
void double_kvm_writes(uint64_t ipa, const void *buf, size_t size);

/* How many pages of shared RAM are lent, as the rest of QEMU was told. */
uint64_t double_lent(uint64_t ipa, uint64_t size);

/* From now on no page can be lent. */
void double_refuse_to_lend(void);

/* Why this machine cannot migrate, or NULL. */
const Error *double_blocker(void);

/*
 * The state of the migration in the kernel ("none", "accepted", ... as in docs/
 * specs/kvm-arm-realm-migration.rst), even if a hook has changed its answers;
 * NULL without a VM.
 */
const char *double_session(void);

/* Bytes of guest_memfd that have memory behind them. */
uint64_t double_private_bytes(void);

/* ---- The Realm's guest ---- */

typedef enum DoubleOutcome {
    DOUBLE_DONE,
    DOUBLE_ABORT,               /* the guest took an external abort */
    DOUBLE_REFUSED,             /* the host refused a change of RIPAS */
    DOUBLE_EXIT,                /* the vCPU does not run: see the Error */
} DoubleOutcome;

/*
 * vCPU @vcpu does what the function says.  It runs as QEMU runs it, and memory
 * is converted if the vCPU exits for that.  With double_shared_bit set, @ipa is
 * an address of shared memory.
 */
uint64_t double_shared_bit(void);
DoubleOutcome double_guest_read(unsigned vcpu, uint64_t ipa, void *buf,
                                size_t size, Error **errp);
DoubleOutcome double_guest_write(unsigned vcpu, uint64_t ipa, const void *buf,
                                 size_t size, Error **errp);
/* The 128 bytes of tags of the page at @ipa, two tags a byte. */
DoubleOutcome double_guest_read_tags(unsigned vcpu, uint64_t ipa,
                                     uint8_t *tags, Error **errp);
DoubleOutcome double_guest_write_tags(unsigned vcpu, uint64_t ipa,
                                      const uint8_t *tags, Error **errp);
/* Call RSI_IPA_STATE_SET until all of the range has changed. */
DoubleOutcome double_guest_set_ripas(unsigned vcpu, uint64_t base,
                                     uint64_t size, bool ram, Error **errp);
/* Call PSCI CPU_ON for another vCPU, which starts at @pc. */
DoubleOutcome double_guest_cpu_on(unsigned vcpu, unsigned target, uint64_t pc,
                                  Error **errp);
/* Write or read register @n, 0 to 30. */
DoubleOutcome double_guest_set_register(unsigned vcpu, unsigned n,
                                        uint64_t value, Error **errp);
DoubleOutcome double_guest_get_register(unsigned vcpu, unsigned n,
                                        uint64_t *value, Error **errp);

#endif
