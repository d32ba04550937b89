/*
 * The KVM backend for Realms: what its files share
 *
 * Purpose: the kernel's uAPI and nothing else: probe.c finds out which of the
 * posted interfaces the kernel has, life.c creates and starts the Realm by it,
 * memory.c answers its changes of memory, dirty.c, pages.c and session.c are
 * its migration, tags.c copies tags, backend.c is the table, hook.c what
 * QEMU's KVM code calls, host.c what is taken from QEMU's memory and vCPUs.
 *
 * Invariants:
 * - The kernel is called by call.c alone, through kvm_ioctl, kvm_vm_ioctl,
 *   kvm_vcpu_ioctl and kvm_device_ioctl, so that a test can stand in for it.
 * - What the kernel answers is checked before it is used, as far as it is a
 *   count, a size or an address.
 * - All but host.c runs on any host.
 *
 * Lock rule: BQL, but for memory.c, export_memory and import_memory, which
 * touch nothing that changes after the Realm's start.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef ACCEL_KVM_REALM_REALM_KVM_H
#define ACCEL_KVM_REALM_REALM_KVM_H

#include "hw/core/cpu.h"
#include "system/kvm.h"
#include "system/realm-backend.h"
#include "target/arm/realm/layout.h"

/* What the kernel's interface turned out to be: probe.c */
typedef struct RealmKvmAbi {
    RmeGuestKvmAbi generation;  /* AUTO: not known, no Realm */
    uint32_t vm_type;           /* for KVM_CREATE_VM, beside the IPA width */
    unsigned max_ipa_bits;      /* of a Realm, the shared bit counted */
    uint32_t rme_cap;           /* RME: the number of KVM_CAP_ARM_RME */
    uint32_t rec_feature;       /* RME: that of KVM_ARM_VCPU_REC */
    unsigned long populate;     /* RMI: the number of KVM_ARM_RMI_POPULATE */
    bool guest_memfd;           /* private memory can come from one */
    bool vm_attributes;         /* private is an attribute of the VM */
} RealmKvmAbi;

typedef struct RealmKvm {
    RealmKvmAbi abi;
    const RealmConfig *config;
    RealmLayout layout;
    RealmPhase phase;
    bool parked;                /* vCPUs may not run */
    bool migratable;            /* the kernel can migrate it */
    RealmMigrationLimits limits;
} RealmKvm;

extern RealmKvm realm_kvm;

/* call.c: ioctls by name; EINTR and EAGAIN are tried again. */

typedef struct RealmKvmCall {
    const char *name;           /* in messages */
    unsigned long request;
    void *arg;                  /* as for ioctl(2), which may want a number */
} RealmKvmCall;

#define REALM_KVM_CALL(req, argument) \
    (&(const RealmKvmCall) { .name = #req, .request = (req), \
                             .arg = (void *)(uintptr_t)(argument) })

/* Each returns what the ioctl does, or a negative errno. */
int realm_kvm_system_call(KVMState *s, const RealmKvmCall *call);
int realm_kvm_vm_call(const RealmKvmCall *call);
int realm_kvm_vcpu_call(CPUState *cs, const RealmKvmCall *call);
int realm_kvm_fd_call(int fd, const RealmKvmCall *call);

/*
 * As those above for an ioctl that returns 0; else @errp says that @what
 * could not be done.
 */
bool realm_kvm_vm_do(const RealmKvmCall *call, const char *what, Error **errp);
bool realm_kvm_vcpu_do(CPUState *cs, const RealmKvmCall *call,
                       const char *what, Error **errp);

/* What the VM answers to KVM_CHECK_EXTENSION of @extension; 0: not there. */
bool realm_kvm_vm_check(unsigned extension, int *value, Error **errp);

/* The kernel's answer to @call makes no sense: @problem is the reason. */
void realm_kvm_lies(Error **errp, const char *name, const char *problem, ...)
    G_GNUC_PRINTF(3, 4);

/* KVM_ENABLE_CAP on the VM with @cap and two arguments. */
bool realm_kvm_enable_cap(uint32_t cap, uint64_t arg0, const void *arg1,
                          const char *what, Error **errp);

/* backend.c: realm_phase_check and realm_phase_take of the Realm's phase. */
RealmPhase realm_kvm_phase(void);
bool realm_kvm_check(RealmStep step, Error **errp);
void realm_kvm_took(RealmStep step);

/* life.c */
bool realm_kvm_configure(const RealmConfig *config, Error **errp);
bool realm_kvm_build(Error **errp);
bool realm_kvm_build_empty(Error **errp);

/* session.c: see RealmBackendOps. */

/* A record was refused, which is final for the session; returns false. */
bool realm_kvm_import_failed(void);
bool realm_kvm_migration_init(const RealmConfig *config, Error **errp);
bool realm_kvm_accept(const void *offer, size_t size, Error **errp);
ssize_t realm_kvm_export_begin(void *buf, Error **errp);
ssize_t realm_kvm_export_epoch(void *buf, Error **errp);
bool realm_kvm_pause(Error **errp);
ssize_t realm_kvm_export_state(unsigned part, void *buf, Error **errp);
ssize_t realm_kvm_export_start(void *buf, Error **errp);
bool realm_kvm_export_abort(Error **errp);
bool realm_kvm_export_resume(const void *token, size_t size, Error **errp);
ssize_t realm_kvm_offer(void *buf, Error **errp);
bool realm_kvm_import(const void *blob, size_t size, Error **errp);
bool realm_kvm_commit(Error **errp);
ssize_t realm_kvm_import_abort(void *buf, Error **errp);

/*
 * Say in @errp why the kernel refused @step: @ret is the negative errno of
 * @name, @cause what the RMM said.
 */
void realm_kvm_refused(Error **errp, RealmStep step, const char *name,
                       int ret, uint32_t cause);

/* pages.c: see RealmBackendOps. */
ssize_t realm_kvm_export_memory(const uint64_t *pages, unsigned n, void *buf,
                                unsigned *exported, Error **errp);
bool realm_kvm_import_memory(const void *blob, size_t size, unsigned *pages,
                             Error **errp);

/* dirty.c: see RealmBackendOps. */
int64_t realm_kvm_collect_dirty(unsigned long *bitmap, Error **errp);

/*
 * Tell QEMU which shared pages the Realm wrote: what KVM's dirty log is for
 * other VMs.  Nothing happens without a session.
 */
bool realm_kvm_sync_shared(Error **errp);

/* memory.c: for realm_kvm_convert */
bool realm_kvm_convert_range(uint64_t base, uint64_t size, bool to_private,
                             Error **errp);

/*
 * host.c: what is QEMU's.  Ranges are of Realm RAM, in host pages.
 *
 * @realm_kvm_shared: the shared mapping of a range, or NULL.
 * @realm_kvm_discard: give back what backs the range, private or shared.
 * @realm_kvm_shared_written: mark the shared pages of the range as written.
 * @realm_kvm_boot_registers: where a vCPU starts; false if it is off.
 */
void *realm_kvm_shared(uint64_t base, uint64_t size);
bool realm_kvm_discard(uint64_t base, uint64_t size, bool private,
                       Error **errp);
void realm_kvm_shared_written(uint64_t base, uint64_t size);
bool realm_kvm_boot_registers(CPUState *cs, uint64_t x[8], uint64_t *pc);
void realm_kvm_watch_shared(void);

#endif
