/*
 * kvm-facts: the kernel of this machine
 *
 * Purpose: what kvm-facts.h declares, with /dev/kvm.
 *
 * Lock rule: one thread.  A timer's signal interrupts KVM_RUN.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>
#include <linux/kvm.h>
#include "kvm-facts.h"

const char *const facts_no_files, *const facts_no_guest;

static int system_fd;
static struct kvm_run *run_page;
static int run_size;
static volatile sig_atomic_t alarms;

int facts_open(void)
{
    system_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (system_fd < 0) {
        perror("/dev/kvm");
        exit(1);
    }
    return system_fd;
}

void facts_close(int kvm)
{
    if (run_page) {
        munmap(run_page, run_size);
        run_page = NULL;
    }
    close(kvm);
}

int facts_ioctl(int fd, unsigned long request, void *arg)
{
    int ret = ioctl(fd, request, arg);

    return ret < 0 ? -errno : ret;
}

struct kvm_run *facts_run_page(int vcpu)
{
    run_size = facts_ioctl(system_fd, KVM_GET_VCPU_MMAP_SIZE, NULL);
    run_page = mmap(NULL, run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu,
                    0);
    if (run_page == MAP_FAILED) {
        perror("mmap of a vCPU");
        exit(1);
    }
    return run_page;
}

static void on_alarm(int number)
{
    (void)number;
    alarms = 1;
}

int facts_run_until_signal(int vcpu, bool *came)
{
    /* Again and again: the first may come before KVM_RUN. */
    struct itimerval on = { { 0, 50000 }, { 0, 50000 } }, off = { 0 };
    struct sigaction action = { .sa_handler = on_alarm };
    int ret;

    alarms = 0;
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &on, NULL);
    ret = facts_ioctl(vcpu, KVM_RUN, NULL);
    *came = alarms;
    setitimer(ITIMER_REAL, &off, NULL);
    return ret;
}
