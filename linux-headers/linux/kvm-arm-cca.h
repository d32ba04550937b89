/* SPDX-License-Identifier: GPL-2.0-or-later WITH Linux-syscall-note */
/*
 * KVM's interface for Realms as it was posted, in both generations
 *
 * Purpose: numbers and layouts that no released kernel has and that QEMU's
 * linux-headers/ therefore lack.  Facts only, from the user ABI patches of the
 * series "arm64: Support for Arm CCA in KVM":
 *
 *                     versions 5 to 11             version 12 and later
 *   in this header    KVM_ARM_RME_...              KVM_ARM_RMI_...
 *   capability        KVM_CAP_ARM_RME: 300, 240,   KVM_CAP_ARM_RMI: 247, 248,
 *                     243, 244                     249, 251, 253
 *   VM type           bits [11:8] = 1              the same, bit 30 from v14 on
 *   vCPU feature      REC: 8, 9 from v8 on         none
 *   steps             KVM_ENABLE_CAP sub-ops,      KVM_ARM_RMI_POPULATE, the
 *                     KVM_ARM_VCPU_FINALIZE        first KVM_RUN does the rest
 *
 * Other things have some of these numbers in mainline; so a number says
 * nothing, and accel/kvm/realm/probe.c looks what the kernel accepts.
 */
#ifndef LINUX_KVM_ARM_CCA_H
#define LINUX_KVM_ARM_CCA_H

#include <linux/types.h>
#include <linux/ioctl.h>

#ifndef KVMIO
#define KVMIO 0xAE
#endif

/* KVM_CREATE_VM: beside the IPA width in bits [7:0] */
#define KVM_ARM_RME_VM_TYPE_REALM	(1UL << 8)
#define KVM_ARM_RMI_VM_TYPE_REALM	(1UL << 30)

/* KVM_ENABLE_CAP on the VM: args[0] is the step, args[1] its argument */
#define KVM_ARM_RME_CONFIG_REALM	0	/* struct kvm_arm_rme_config */
#define KVM_ARM_RME_CREATE_REALM	1	/* none */
#define KVM_ARM_RME_INIT_RIPAS		2	/* struct kvm_arm_rme_init_ripas */
#define KVM_ARM_RME_POPULATE		3	/* struct kvm_arm_rme_populate */
#define KVM_ARM_RME_ACTIVATE		4	/* none */

#define KVM_ARM_RME_CFG_RPV		0
#define KVM_ARM_RME_CFG_HASH_ALGO	1

#define KVM_ARM_RME_HASH_SHA256		0
#define KVM_ARM_RME_HASH_SHA512		1

#define KVM_ARM_RME_RPV_SIZE		64

struct kvm_arm_rme_config {
	__u32 cfg;				/* 0x00 KVM_ARM_RME_CFG_... */
	union {
		__u8 rpv[KVM_ARM_RME_RPV_SIZE];	/* 0x04 */
		__u32 hash_algo;		/* 0x04 */
		__u8 reserved[256];		/* 0x04 */
	};
};						/* 0x104 */

struct kvm_arm_rme_init_ripas {
	__u64 base;				/* 0x00 IPA */
	__u64 size;				/* 0x08 bytes */
	__u64 reserved[2];			/* 0x10 */
};						/* 0x20 */

#define KVM_ARM_RME_POPULATE_MEASURE	(1U << 0)

/* The contents are those of the shared mapping of the same range. */
struct kvm_arm_rme_populate {
	__u64 base;				/* 0x00 IPA */
	__u64 size;				/* 0x08 bytes */
	__u32 flags;				/* 0x10 */
	__u32 reserved[3];			/* 0x14 */
};						/* 0x20 */

#define KVM_ARM_RMI_POPULATE_MEASURE	(1U << 0)

struct kvm_arm_rmi_populate {
	__u64 base;				/* 0x00 IPA */
	__u64 size;				/* 0x08 bytes */
	__u64 source_uaddr;			/* 0x10 */
	__u32 flags;				/* 0x18 */
	__u32 reserved;				/* 0x1c */
};						/* 0x20 */

/* Version 12 returns how many bytes it has populated; ... */
#define KVM_ARM_RMI_POPULATE_V12 \
	_IOW(KVMIO, 0xd7, struct kvm_arm_rmi_populate)
/* ...later ones return 0, with base, size and source_uaddr moved on. */
#define KVM_ARM_RMI_POPULATE \
	_IOWR(KVMIO, 0xd7, struct kvm_arm_rmi_populate)

/*
 * guest_memfd in place, as the trees after version 15 have it: private is an
 * attribute of the file, which has both halves of a slot, and is mapped.
 * Flags of KVM_CREATE_GUEST_MEMFD:
 */
#ifndef GUEST_MEMFD_FLAG_MMAP
#define GUEST_MEMFD_FLAG_MMAP		(1ULL << 0)
#endif
#ifndef GUEST_MEMFD_FLAG_INIT_SHARED
#define GUEST_MEMFD_FLAG_INIT_SHARED	(1ULL << 1)
#endif

#define KVM_CAP_GUEST_MEMFD_FLAGS		244
#define KVM_CAP_GUEST_MEMFD_MEMORY_ATTRIBUTES	252

/* On the descriptor of a guest_memfd */
struct kvm_memory_attributes2 {
	__u64 offset;				/* 0x00 in the file */
	__u64 size;				/* 0x08 bytes */
	__u64 attributes;			/* 0x10 KVM_MEMORY_ATTRIBUTE_... */
	__u64 flags;				/* 0x18 */
	__u64 error_offset;			/* 0x20 out, with EAGAIN */
	__u64 reserved[11];			/* 0x28 */
};						/* 0x80 */

#define KVM_SET_MEMORY_ATTRIBUTES2 \
	_IOWR(KVMIO, 0xd2, struct kvm_memory_attributes2)

#endif
