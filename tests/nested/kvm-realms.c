/*
 * kvm-realms: asks the kernel whether its KVM runs Realms
 *
 * Purpose: an answer that does not come from the QEMU under test.  As no number
 * of the interface is settled, it tries: it creates the VM of a Realm in either
 * posted way, and looks for a call that only such a VM has.  It says in one line
 * what it found, and ends with one of enum Answer.
 *
 * Invariants: only VMs of its own, without memory or vCPUs, are touched.  They
 * end with the program.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <linux/kvm.h>
#include <linux/kvm-arm-cca.h>

#define IPA_BITS 32             /* the least that KVM takes */
#define PAGE 4096

enum Answer {
    YES,
    NO,                         /* this kernel knows no Realms */
    REFUSED,                    /* it does, but has no RMM that it can use */
    UNKNOWN,                    /* something else went wrong */
};

/* An arm64 VM returns EINVAL for an unknown ioctl, other files ENOTTY. */
static bool is_known(int ret)
{
    return ret >= 0 || (errno != EINVAL && errno != ENOTTY);
}

/*
 * The posted versions differ in what they call invalid: without a source, or
 * with a size of 0.  The first of these makes a Realm of the VM.
 */
static bool has_populate(int vm, unsigned long request)
{
    static uint8_t page[PAGE] __attribute__((aligned(PAGE)));
    struct kvm_arm_rmi_populate tries[] = {
        { .source_uaddr = (uintptr_t)page },
        { .size = 0 },
        { .size = PAGE },
    };

    for (size_t i = 0; i < sizeof(tries) / sizeof(tries[0]); i++) {
        if (is_known(ioctl(vm, request, &tries[i]))) {
            return true;
        }
    }
    return false;
}

/* The older generation, under whichever number the capability has. */
static int rme_capability(int vm)
{
    static const int numbers[] = { 244, 243, 240, 300 };
    struct kvm_arm_rme_config config = {
        .cfg = KVM_ARM_RME_CFG_HASH_ALGO,
        .hash_algo = KVM_ARM_RME_HASH_SHA256,
    };

    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        struct kvm_enable_cap enable = {
            .cap = numbers[i],
            .args = { KVM_ARM_RME_CONFIG_REALM, (uintptr_t)&config },
        };

        if (ioctl(vm, KVM_CHECK_EXTENSION, (long)numbers[i]) > 0 &&
            ioctl(vm, KVM_ENABLE_CAP, &enable) == 0) {
            return numbers[i];
        }
    }
    return 0;
}

static enum Answer look_at(int vm, unsigned long type)
{
    int capability = rme_capability(vm);

    if (capability) {
        printf("yes: VM type 0x%lx, capability %d\n", type, capability);
        return YES;
    }
    if (has_populate(vm, KVM_ARM_RMI_POPULATE) ||
        has_populate(vm, KVM_ARM_RMI_POPULATE_V12)) {
        printf("yes: VM type 0x%lx, KVM_ARM_RMI_POPULATE\n", type);
        return YES;
    }
    printf("no: VM type 0x%lx is not that of a Realm\n", type);
    return NO;
}

static enum Answer explain(int error)
{
    switch (error) {
    case EINVAL:
        printf("no: KVM_CREATE_VM knows no type of a Realm; newer kernels know "
               "it only if they are booted with kvm-arm.mode=rmm\n");
        return NO;
    case EPERM:
        printf("refused: KVM_CREATE_VM finds no RMM that it can use\n");
        return REFUSED;
    }
    printf("unknown: KVM_CREATE_VM: %s\n", strerror(error));
    return UNKNOWN;
}

int main(void)
{
    static const unsigned long types[] = {
        KVM_ARM_RMI_VM_TYPE_REALM, KVM_ARM_RME_VM_TYPE_REALM
    };
    int kvm = open("/dev/kvm", O_RDWR), error = EINVAL;

    if (kvm < 0) {
        printf("unknown: /dev/kvm: %s\n", strerror(errno));
        return UNKNOWN;
    }
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        int vm = ioctl(kvm, KVM_CREATE_VM, types[i] | IPA_BITS);

        if (vm >= 0) {
            return look_at(vm, types[i]);
        }
        error = error == EINVAL ? errno : error;
    }
    return explain(error);
}
