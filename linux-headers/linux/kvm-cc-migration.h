/* SPDX-License-Identifier: GPL-2.0-or-later WITH Linux-syscall-note */
/*
 * Live migration of confidential guests: a proposed extension of KVM's user ABI
 *
 * The text is docs/specs/kvm-arm-realm-migration.rst.  All numbers are
 * placeholders until a kernel assigns them.  All ioctls are on the descriptor
 * of the VM; reserved fields and unknown flags are zero.  Arm CCA Realms are
 * the first user; what only they have is at the end.
 *
 *   KVM_CC_MIG_INFO      features and limits, any time
 *   KVM_CC_MIGRATE       one step of a session; a blob in or out
 *   KVM_CC_OWED_PAGES    which private pages have to leave, as runs
 *   KVM_CC_EXPORT_PAGES  a batch of private pages to a bundle
 *   KVM_CC_IMPORT_PAGES  a bundle to private pages
 */
#ifndef LINUX_KVM_CC_MIGRATION_H
#define LINUX_KVM_CC_MIGRATION_H

#include <linux/types.h>
#include <linux/ioctl.h>

#ifndef KVMIO
#define KVMIO 0xAE
#endif

/*
 * KVM_CHECK_EXTENSION gives KVM_CC_MIG_... features, 0 if there is no
 * migration.  KVM_ENABLE_CAP, before the guest is created: it may be migrated;
 * args[0] and args[1] are address and size of a policy, which only the monitor
 * looks into, or 0 for the monitor's own.
 */
#define KVM_CAP_CC_MIGRATION		3000
#define KVM_CC_MAX_POLICY		4096

/*
 * Slots with guest_memfd may have KVM_MEM_LOG_DIRTY_PAGES: KVM_GET_DIRTY_LOG
 * and KVM_CLEAR_DIRTY_LOG serve their shared pages.
 */
#define KVM_CAP_GUEST_MEMFD_DIRTY_LOG	3001

#define KVM_CC_MIG_PRECOPY		(1U << 0) /* always */
#define KVM_CC_MIG_TAGS			(1U << 1) /* arm64: pages carry tags */

struct kvm_cc_mig_info {
	__u64 features;			/* 0x00 KVM_CC_MIG_... */
	__u64 max_blob;			/* 0x08 bytes of the largest blob */
	__u32 max_pages;		/* 0x10 in one bundle */
	__u32 max_streams;		/* 0x14 */
	__u32 granule;			/* 0x18 bytes of a page in all of these */
	__u32 reserved32;		/* 0x1c */
	__u64 reserved[4];		/* 0x20 */
};					/* 0x40 */

/* Source */
#define KVM_CC_PREPARE		0	/* out: nonce */
#define KVM_CC_ACCEPT		1	/* in: offer */
#define KVM_CC_BEGIN		2	/* out: session header and state */
#define KVM_CC_EPOCH		3	/* out: token of epoch @part */
#define KVM_CC_PAUSE		4
#define KVM_CC_STATE		5	/* out: @part of the guest's state */
#define KVM_CC_START		6	/* peer: ready; out: start token */
#define KVM_CC_FINISH		7	/* in: receipt */
#define KVM_CC_ABORT		8
#define KVM_CC_RESUME		9	/* in: abort token */
/* Destination */
#define KVM_CC_OFFER		16	/* peer: nonce; out: offer */
#define KVM_CC_IMPORT		17	/* in: all but pages */
#define KVM_CC_READY		18	/* out: ready record */
#define KVM_CC_COMMIT		19
#define KVM_CC_RECEIPT		20	/* out: receipt */
#define KVM_CC_GIVE_UP		21	/* out: abort token */

/* What @peer is, in bytes */
#define KVM_CC_NONCE_SIZE		32
#define KVM_CC_READY_SIZE		64

/* READY, COMMIT, FINISH, ABORT: not over, call again */
#define KVM_CC_MORE			(1U << 0)

/* @cause: what user space can do about it */
enum kvm_cc_cause {
	KVM_CC_CAUSE_OTHER = 0,		/* nothing: @detail is for the log */
	KVM_CC_CAUSE_FORMAT,		/* not a blob for this step */
	KVM_CC_CAUSE_SEAL,		/* changed, or not the next one */
	KVM_CC_CAUSE_VERSION,		/* no version or feature in common */
	KVM_CC_CAUSE_PEER,		/* the policy does not let it in */
	KVM_CC_CAUSE_EXPIRED,		/* begin again with PREPARE */
	KVM_CC_CAUSE_DIFFERENT,		/* the guests are configured otherwise */
	KVM_CC_CAUSE_OWED,		/* export first what is still here */
	KVM_CC_CAUSE_MISSING,		/* import first what is still to come */
	KVM_CC_CAUSE_OTHER_SESSION,	/* a blob of another one */
	KVM_CC_CAUSE_LOST,		/* the host took back what was needed */
	KVM_CC_CAUSE_KEY,		/* this machine has no platform key */
	KVM_CC_CAUSE_LIMIT,		/* too large, or too often */
	KVM_CC_CAUSES
};

struct kvm_cc_migrate {
	__u32 step;			/* 0x00 KVM_CC_PREPARE, ... */
	__u32 part;			/* 0x04 EPOCH, STATE: 0, 1, ... */
	__u64 blob;			/* 0x08 user address, 0 if there is none */
	__u64 blob_size;		/* 0x10 bytes; out: written */
	__u64 peer;			/* 0x18 user address, 0 if there is none */
	__u64 peer_size;		/* 0x20 bytes */
	__u32 flags;			/* 0x28 in: 0; out: KVM_CC_MORE */
	__u32 cause;			/* 0x2c out, with EPROTO and EBADMSG */
	__u64 detail;			/* 0x30 out, with cause: the monitor's */
	__u64 reserved;			/* 0x38 */
};					/* 0x40 */

struct kvm_cc_run {
	__u64 base;			/* 0x00 guest physical */
	__u64 size;			/* 0x08 bytes */
};					/* 0x10 */

struct kvm_cc_owed {
	__u64 base;			/* 0x00 out: where to go on */
	__u64 size;			/* 0x08 bytes; out: what is left */
	__u64 runs;			/* 0x10 user address of kvm_cc_runs */
	__u32 num_runs;			/* 0x18 out: filled */
	__u32 flags;			/* 0x1c */
	__u64 reserved[4];		/* 0x20 */
};					/* 0x40 */

struct kvm_cc_pages {
	__u64 list;			/* 0x00 export: addresses of __u64s */
	__u32 count;			/* 0x08 export: how many */
	__u32 stream;			/* 0x0c export: which */
	__u64 number;			/* 0x10 export: of the bundle, 0, 1, ... */
	__u64 blob;			/* 0x18 user address */
	__u64 blob_size;		/* 0x20 bytes; out: written */
	struct kvm_cc_run bad;		/* 0x28 out: the pages an error is about */
	__u64 detail;			/* 0x38 out, with cause: the monitor's */
	__u32 cause;			/* 0x40 out, with EPROTO and EBADMSG */
	__u32 pages;			/* 0x44 out: in the bundle */
	__u64 flags;			/* 0x48 */
	__u64 reserved[2];		/* 0x50 */
};					/* 0x60 */

#define KVM_CC_MIG_INFO		_IOR(KVMIO, 0xf0, struct kvm_cc_mig_info)
#define KVM_CC_MIGRATE		_IOWR(KVMIO, 0xf1, struct kvm_cc_migrate)
#define KVM_CC_OWED_PAGES	_IOWR(KVMIO, 0xf2, struct kvm_cc_owed)
#define KVM_CC_EXPORT_PAGES	_IOWR(KVMIO, 0xf3, struct kvm_cc_pages)
#define KVM_CC_IMPORT_PAGES	_IOWR(KVMIO, 0xf4, struct kvm_cc_pages)

/* ---- arm64 ---- */

/*
 * The host's answer to the last exit of a Realm's vCPU, which its next entry
 * gives to the REC: KVM_GET_ONE_REG once the Realm is paused, KVM_SET_ONE_REG
 * before COMMIT.  Register 0 has the flags, 1 to 31 have X0 to X30.
 */
#define KVM_REG_ARM_REC_ANSWER		(0x0018 << KVM_REG_ARM_COPROC_SHIFT)
#define KVM_REG_ARM_REC_ANSWER_REG(n) \
	(KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_REC_ANSWER | (n))
#define KVM_ARM_REC_ANSWER_MMIO		(1U << 0)
#define KVM_ARM_REC_ANSWER_HOST_CALL	(1U << 1)
#define KVM_ARM_REC_ANSWER_ABORT	(1U << 2)

#endif
