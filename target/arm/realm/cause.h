/*
 * Why a call of a backend is refused, in words
 *
 * Purpose: what the RMM says, in the same words from both backends; what they
 * refuse before they ask it is in system/realm-phase.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TARGET_ARM_REALM_CAUSE_H
#define TARGET_ARM_REALM_CAUSE_H

/* A MigCause (target/arm/rmm/mig-abi.h) in words, with the remedy if any. */
const char *realm_cause(unsigned cause);

/* What a record of @size bytes says it is; the caller frees it. */
char *realm_record_name(const void *blob, size_t size);

#endif
