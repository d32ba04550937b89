/*
 * MTE tags and KVM: the call that copies them, and what QEMU's code for KVM and
 * for the board asks
 *
 * Lock rule: BQL, but for the copies, which any thread may make.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef SYSTEM_PAGE_TAGS_KVM_H
#define SYSTEM_PAGE_TAGS_KVM_H

/* Pages are those of 4 KiB that tags are counted in, not the host's. */
#define KVM_TAGS_PAGE           4096u
#define KVM_TAGS_RUN_PAGES      512u
/* The kernel has a tag a byte, we have two. */
#define KVM_TAGS_KERNEL_BYTES   (KVM_TAGS_PAGE / 16)
#define KVM_TAGS_BYTES          (KVM_TAGS_PAGE / 32)

/*
 * Copy the tags of @pages pages at @address with KVM_ARM_MTE_COPY_TAGS, at
 * most KVM_TAGS_RUN_PAGES; address and size are multiples of the host's
 * page.  @buffer: KVM_TAGS_KERNEL_BYTES for each page.  Any thread; to the
 * guest while no dirty log is on (else EBUSY).  What a confidential
 * guest has to itself is left out: zero is read, and nothing is written.
 */
bool kvm_arm_copy_tags(uint64_t address, unsigned pages, uint8_t *tags,
                       bool to_guest, uint8_t *buffer, Error **errp);

/*
 * Whether the tags of this machine migrate, so that nothing has to keep it
 * from migrating.
 */
bool arm_page_tags_migrate(void);

/*
 * Whether @dev brings memory whose tags would not migrate with those of the
 * machine's RAM; then with @errp set.
 */
bool arm_page_tags_refuses_device(DeviceState *dev, Error **errp);

#endif
