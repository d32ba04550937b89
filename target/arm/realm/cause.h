/*
 * Why the RMM refuses a call, in words
 *
 * Purpose: both backends tell the RMM's reasons in the same words.  What they
 * refuse by themselves, before they ask the RMM, is in system/realm-phase.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TARGET_ARM_REALM_CAUSE_H
#define TARGET_ARM_REALM_CAUSE_H

/* A MigCause (target/arm/rmm/mig-abi.h) in words, with the remedy if any. */
const char *realm_cause(unsigned cause);
bool realm_cause_is_known(unsigned cause);

#endif
