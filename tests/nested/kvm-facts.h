/*
 * kvm-facts: who runs the facts
 *
 * Purpose: kvm-facts.c asks a kernel for what the functions here hide: that of
 * the machine (kvm-facts-real.c), or the stand-in (tests/kvm-double).
 *
 * Lock rule: one thread.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_NESTED_KVM_FACTS_H
#define TESTS_NESTED_KVM_FACTS_H

#include <stdbool.h>

struct kvm_run;

/* Why nothing can be said of guest_memfd as a file, or of a guest, or NULL. */
extern const char *const facts_no_files, *const facts_no_guest;

/* /dev/kvm; with its end, all else that was opened has been closed. */
int facts_open(void);
void facts_close(int kvm);

/* As ioctl(), but with a negative errno. */
int facts_ioctl(int fd, unsigned long request, void *arg);

/* Once for each facts_open(). */
struct kvm_run *facts_run_page(int vcpu);

/* KVM_RUN, with a signal some time later; *came: before it returned. */
int facts_run_until_signal(int vcpu, bool *came);

#endif
