/*
 * A VM made by hand, for tests of the stand-in kernel alone
 *
 * Purpose: build a Realm by ioctls, and let its guest do something, without the
 * backend.  A test has one host at a time, or two that it swaps.
 *
 * Lock rule: one thread, but for that of run_in_thread.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_KVM_DOUBLE_KERNEL_HOST_H
#define TESTS_KVM_DOUBLE_KERNEL_HOST_H

#include "qemu/units.h"
#include "system/kvm_int.h"
#include "internal.h"

#define BASE        (1 * GiB)
#define RAM_SIZE    (4 * MiB)
#define IPA_BITS    33
#define SHARED_BIT  BIT_ULL(IPA_BITS - 1)
#define NOWHERE     (2 * GiB)           /* no slot is there */
#define IMAGE_BYTE  0x5a
#define BLOCK       (2 * MiB)

typedef struct Host {
    KVMState state;
    int gmem, gic, cpus[2];
    size_t page_size;
    uint8_t *ram;               /* maps @gmem */
    uint8_t *source;            /* of images */
} Host;

/* The one that all functions are about; and another on the same kernel. */
extern Host host, other;

int call(int fd, unsigned long request, void *arg);
int vm_call(unsigned long request, void *arg);
void start_kernel(const char *flavour, size_t page_size);
void add_vm(size_t page_size);
void create_vm(const char *flavour, size_t page_size);
/* Map all of RAM, aligned to the largest page of a host. */
void *map_ram(int fd);
int create_gmem(uint64_t size, uint64_t flags);
int set_slot(void *ram, uint64_t offset, uint64_t size);
void add_ram(void);
void add_gic(bool initialize);
void add_vcpus(uint32_t features);

/* All but the first KVM_RUN. */
void build(size_t page_size);
void close_host(void);
void end_kernel(void);
int set_private(uint64_t gpa, uint64_t size, bool private);
int populate(uint64_t base, uint64_t size, const void *source);
int check(unsigned extension);
DoubleVcpu *vcpu(unsigned n);
DoubleVm *vm(void);
struct kvm_run *run_of(unsigned n);
int run(unsigned n);

/* The guest on vCPU 0 is about to do @action, in one KVM_RUN or more. */
int act(GuestAction *action);
GuestAction access_to(uint64_t ipa, void *buf, bool write);

/* ...it ends within this KVM_RUN, in DOUBLE_DONE. */
void does(GuestAction *action);
uint64_t reads(uint64_t ipa);
void writes(uint64_t ipa, uint64_t value);

/* ...it ends with KVM_EXIT_MEMORY_FAULT of this range. */
void faults(int ret, uint64_t gpa, uint64_t size, bool private);

/* The Realm runs, and its RAM is private. */
void start_guest(size_t page_size);

/* The level of stage 2 at which @ipa is mapped, or -1. */
int level_of(uint64_t ipa);

/* KVM_RUN of vCPU 1; it is in when this returns. */
QemuThread run_in_thread(void);

#endif
