/*
 * A KVM that answers kvm-realms as some kernel does, in a program for the
 * machine that runs the tests
 *
 * Purpose: the kernels that know Realms cannot be had, or need hardware.  Their
 * rules are those of the user ABI patches of each version of the series.  The
 * program is linked with --wrap=open and --wrap=ioctl; the environment names the
 * kernel.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <linux/kvm.h>
#include <linux/kvm-arm-cca.h>

enum { KVM = 3, VM };

enum Populate { NONE, ANY_SOURCE, SOURCE_NOT_NULL };

static const struct Kernel {
    const char *name;
    int open_error;
    unsigned long type;         /* that of a Realm's VM */
    int create_error;           /* for that type; for others EINVAL */
    unsigned long populate;     /* its number */
    enum Populate rule;
    int rme;                    /* number of the capability */
} kernels[] = {
    { "no-kvm", .open_error = ENOENT },
    { "mainline" },
    { "other-use-of-the-bit", .type = KVM_ARM_RMI_VM_TYPE_REALM },
    { "rme-v5", .type = KVM_ARM_RME_VM_TYPE_REALM, .rme = 300 },
    { "rme-v11", .type = KVM_ARM_RME_VM_TYPE_REALM, .rme = 244 },
    { "rmi-v12", .type = KVM_ARM_RME_VM_TYPE_REALM,
      .populate = KVM_ARM_RMI_POPULATE_V12, .rule = ANY_SOURCE },
    { "rmi-v15", .type = KVM_ARM_RMI_VM_TYPE_REALM,
      .populate = KVM_ARM_RMI_POPULATE, .rule = ANY_SOURCE },
    { "rmi-after-v15", .type = KVM_ARM_RMI_VM_TYPE_REALM,
      .populate = KVM_ARM_RMI_POPULATE, .rule = SOURCE_NOT_NULL },
    { "rmi-after-v15-in-another-mode", .type = KVM_ARM_RMI_VM_TYPE_REALM,
      .create_error = EINVAL },
    { "rmi-without-rmm", .type = KVM_ARM_RMI_VM_TYPE_REALM,
      .create_error = EPERM },
    { "rme-without-rmm", .type = KVM_ARM_RME_VM_TYPE_REALM,
      .create_error = EPERM },
    { "no-memory", .type = KVM_ARM_RMI_VM_TYPE_REALM, .create_error = ENOMEM },
};

static const struct Kernel *kernel(void)
{
    const char *name = getenv("KVM_ANSWERS");

    for (size_t i = 0; i < sizeof(kernels) / sizeof(kernels[0]); i++) {
        if (name && !strcmp(name, kernels[i].name)) {
            return &kernels[i];
        }
    }
    fprintf(stderr, "kvm-answers: KVM_ANSWERS names no kernel of its table\n");
    exit(99);
}

static int answer(int error)
{
    errno = error;
    return error ? -1 : 0;
}

static int create_vm(unsigned long type)
{
    if (!kernel()->type || type != (kernel()->type | 32)) {
        return answer(EINVAL);
    }
    return answer(kernel()->create_error) ? -1 : VM;
}

static int populate(const struct kvm_arm_rmi_populate *args)
{
    int null = !args->source_uaddr;

    if ((kernel()->rule == SOURCE_NOT_NULL && null) ||
        args->source_uaddr % 4096) {
        return answer(EINVAL);
    }
    return args->size && null ? answer(EFAULT) : 0;
}

static int enable(const struct kvm_enable_cap *cap)
{
    const struct kvm_arm_rme_config *config = (void *)(uintptr_t)cap->args[1];

    return answer((int)cap->cap == kernel()->rme &&
                  cap->args[0] == KVM_ARM_RME_CONFIG_REALM &&
                  config->cfg == KVM_ARM_RME_CFG_HASH_ALGO ? 0 : EINVAL);
}

int __wrap_open(const char *path, int flags, ...);
int __wrap_ioctl(int fd, unsigned long request, ...);

int __wrap_open(const char *path, int flags, ...)
{
    (void)flags;
    if (strcmp(path, "/dev/kvm")) {
        return answer(ENOENT);
    }
    return answer(kernel()->open_error) ? -1 : KVM;
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
    va_list list;
    unsigned long arg;

    va_start(list, request);
    arg = va_arg(list, unsigned long);
    va_end(list);
    if (fd == KVM) {
        return request == KVM_CREATE_VM ? create_vm(arg) : answer(ENOTTY);
    }
    if (fd != VM) {
        return answer(EBADF);
    }
    if (request == KVM_CHECK_EXTENSION) {
        /* Mainline has other things under these numbers. */
        return (arg >= 240 && arg <= 253) || (int)arg == kernel()->rme;
    }
    if (request == KVM_ENABLE_CAP) {
        return enable((void *)arg);
    }
    if (kernel()->populate && request == kernel()->populate) {
        return populate((void *)arg);
    }
    return answer(EINVAL);
}
