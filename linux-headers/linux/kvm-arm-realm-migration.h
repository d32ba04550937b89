/* SPDX-License-Identifier: GPL-2.0-or-later WITH Linux-syscall-note */
/*
 * Live migration of Realms: a proposed extension of KVM's user ABI
 *
 * The text is docs/specs/kvm-arm-realm-migration.rst.  All numbers are
 * placeholders until a kernel assigns them.  All ioctls are on the descriptor
 * of a Realm's VM, the last of any VM with memory tags; reserved fields and
 * unknown flags are zero.
 *
 *   KVM_ARM_REALM_MIG_INFO       limits, any time
 *   KVM_ARM_REALM_MIGRATE        one step of a session; a blob in or out
 *   KVM_ARM_REALM_DIRTY_LOG      which pages were written, as runs
 *   KVM_ARM_REALM_EXPORT_PAGES   a batch of pages to a bundle
 *   KVM_ARM_REALM_IMPORT_PAGES   a bundle to pages
 *   KVM_ARM_COPY_TAGS_LIST       tags of a batch of pages that are not secret
 */
#ifndef LINUX_KVM_ARM_REALM_MIGRATION_H
#define LINUX_KVM_ARM_REALM_MIGRATION_H

#include <linux/types.h>
#include <linux/ioctl.h>

#ifndef KVMIO
#define KVMIO 0xAE
#endif

#define KVM_CAP_ARM_REALM_MIGRATION	3000

/* A page of the RMM, whatever the host's page size; all addresses are IPAs. */
#define KVM_ARM_REALM_GRANULE		4096

/*
 * KVM_ENABLE_CAP, before the Realm is created: it may be migrated.  args[0] and
 * args[1] are address and size of a policy, which only the RMM looks into, or
 * 0 for the RMM's own.
 */
#define KVM_ARM_REALM_MAX_POLICY	4096

#define KVM_ARM_REALM_MIG_VERSION	1

#define KVM_ARM_REALM_MIG_TAGS		(1U << 0) /* pages carry their tags */

struct kvm_arm_realm_mig_info {
	__u32 version;			/* 0x00 KVM_ARM_REALM_MIG_VERSION */
	__u32 flags;			/* 0x04 KVM_ARM_REALM_MIG_... */
	__u64 max_blob;			/* 0x08 bytes of the largest blob */
	__u32 max_pages;		/* 0x10 in one bundle */
	__u32 max_streams;		/* 0x14 */
	__u64 reserved[5];		/* 0x18 */
};					/* 0x40 */

/* Source */
#define KVM_ARM_REALM_MIG_ACCEPT	0	/* in: offer */
#define KVM_ARM_REALM_MIG_BEGIN		1	/* out: session header and state */
#define KVM_ARM_REALM_MIG_EPOCH		2	/* out: epoch token */
#define KVM_ARM_REALM_MIG_PAUSE		3
#define KVM_ARM_REALM_MIG_STATE		4	/* out: @part of Realm and RECs */
#define KVM_ARM_REALM_MIG_START		5	/* peer: ready; out: start token */
#define KVM_ARM_REALM_MIG_ABORT		6
#define KVM_ARM_REALM_MIG_RESUME	7	/* in: abort token */
#define KVM_ARM_REALM_MIG_PREPARE	12	/* out: nonce */
#define KVM_ARM_REALM_MIG_FINISH	15	/* in: receipt */
/* Destination */
#define KVM_ARM_REALM_MIG_OFFER		8	/* peer: nonce; out: offer */
#define KVM_ARM_REALM_MIG_IMPORT	9	/* in: all but pages */
#define KVM_ARM_REALM_MIG_COMMIT	10
#define KVM_ARM_REALM_MIG_GIVE_UP	11	/* out: abort token */
#define KVM_ARM_REALM_MIG_READY		13	/* out: ready record */
#define KVM_ARM_REALM_MIG_RECEIPT	14	/* out: receipt */

/* What @peer is, in bytes */
#define KVM_ARM_REALM_NONCE_SIZE	32
#define KVM_ARM_REALM_READY_SIZE	64

/* READY, COMMIT, FINISH: not over, call again */
#define KVM_ARM_REALM_MIG_MORE		(1U << 0)

struct kvm_arm_realm_migrate {
	__u32 cmd;			/* 0x00 KVM_ARM_REALM_MIG_... */
	__u32 part;			/* 0x04 with STATE: 0, 1, ... */
	__u64 blob;			/* 0x08 user address, 0 if there is none */
	__u64 blob_size;		/* 0x10 bytes; out: written */
	__u32 cause;			/* 0x18 out, with EPROTO and EBADMSG */
	__u32 flags;			/* 0x1c in: 0; out: KVM_ARM_REALM_MIG_MORE */
	__u64 peer;			/* 0x20 user address, 0 if there is none */
	__u64 peer_size;		/* 0x28 bytes */
	__u64 reserved[2];		/* 0x30 */
};					/* 0x40 */

#define KVM_ARM_REALM_DIRTY_PRIVATE	(1U << 0)
#define KVM_ARM_REALM_DIRTY_SHARED	(1U << 1)

struct kvm_arm_realm_dirty_run {
	__u64 base;			/* 0x00 */
	__u64 size;			/* 0x08 bytes */
};					/* 0x10 */

struct kvm_arm_realm_dirty_log {
	__u64 base;			/* 0x00 out: where to go on */
	__u64 size;			/* 0x08 bytes; out: what is left */
	__u64 runs;			/* 0x10 user address */
	__u32 num_runs;			/* 0x18 out: filled */
	__u32 flags;			/* 0x1c exactly one of the two */
	__u64 remaining;		/* 0x20 out: pages in what is left */
	__u64 reserved[3];		/* 0x28 */
};					/* 0x40 */

struct kvm_arm_realm_pages {
	__u64 list;			/* 0x00 export: addresses of __u64s */
	__u32 count;			/* 0x08 export: how many */
	__u32 done;			/* 0x0c out: how far that went */
	__u64 blob;			/* 0x10 user address */
	__u64 blob_size;		/* 0x18 bytes; out: written */
	__u32 stream;			/* 0x20 export: which */
	__u32 pages;			/* 0x24 out: in the bundle */
	__u32 cause;			/* 0x28 out, with EPROTO and EBADMSG */
	__u32 flags;			/* 0x2c */
	__u64 reserved[2];		/* 0x30 */
};					/* 0x40 */

/* Two tags a byte, the lower address in the low nibble: 128 bytes a page. */
#define KVM_ARM_TAG_BYTES		(KVM_ARM_REALM_GRANULE / 32)

struct kvm_arm_copy_tags_list {
	__u64 list;			/* 0x00 addresses of __u64s */
	__u64 tags;			/* 0x08 user address */
	__u32 count;			/* 0x10 pages */
	__u32 done;			/* 0x14 out: how far that went */
	__u32 flags;			/* 0x18 KVM_ARM_TAGS_{TO,FROM}_GUEST */
	__u32 reserved32;		/* 0x1c */
	__u64 reserved[4];		/* 0x20 */
};					/* 0x40 */

#define KVM_ARM_REALM_MIG_INFO \
	_IOR(KVMIO, 0xf0, struct kvm_arm_realm_mig_info)
#define KVM_ARM_REALM_MIGRATE \
	_IOWR(KVMIO, 0xf1, struct kvm_arm_realm_migrate)
#define KVM_ARM_REALM_DIRTY_LOG \
	_IOWR(KVMIO, 0xf2, struct kvm_arm_realm_dirty_log)
#define KVM_ARM_REALM_EXPORT_PAGES \
	_IOWR(KVMIO, 0xf3, struct kvm_arm_realm_pages)
#define KVM_ARM_REALM_IMPORT_PAGES \
	_IOWR(KVMIO, 0xf4, struct kvm_arm_realm_pages)
#define KVM_ARM_COPY_TAGS_LIST \
	_IOWR(KVMIO, 0xf5, struct kvm_arm_copy_tags_list)

#endif
