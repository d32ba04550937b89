/*
 * What arm64's <asm/kvm.h> needs of arm64's <asm/ptrace.h>, on any host
 *
 * Purpose: KVM numbers core registers by their offset in struct kvm_regs.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifdef __aarch64__
#include_next <asm/ptrace.h>
#elif !defined(TESTS_KVM_DOUBLE_ASM_PTRACE_H)
#define TESTS_KVM_DOUBLE_ASM_PTRACE_H

#include <linux/types.h>

struct user_pt_regs {
    __u64 regs[31];
    __u64 sp;
    __u64 pc;
    __u64 pstate;
};

struct user_fpsimd_state {
    __uint128_t vregs[32];
    __u32 fpsr;
    __u32 fpcr;
    __u32 reserved[2];
};

#endif
