/*
 * Guest program that looks at the PMU as `perf` does.
 *
 *     pmu-check               count and sample cycles on each CPU, once
 *
 * It spins at EL0 while three counters count: cycles at EL0, cycles at EL1, and
 * cycles that interrupt each PERIOD; until it has had a CPU for long enough.
 *
 * Console:
 *     pmu-check: cpu=N ns=N user=CYCLES kernel=CYCLES samples=N
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#define _GNU_SOURCE
#include <linux/perf_event.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SPIN_NS     200000000
#define SPINS       500         /* at least: tens of milliseconds of them */
#define PERIOD      10000000
#define PAGE        4096

static void die(const char *what)
{
    fprintf(stderr, "pmu-check: ");
    perror(what);
    fprintf(stderr, "pmu-check: boot with -cpu max,pmu=on\n");
    exit(1);
}

static int open_counter(struct perf_event_attr attr)
{
    int fd;

    attr.type = PERF_TYPE_HARDWARE;
    attr.size = sizeof(attr);
    attr.config = PERF_COUNT_HW_CPU_CYCLES;
    attr.pinned = 1;
    fd = syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
    if (fd < 0) {
        die("perf_event_open");
    }
    return fd;
}

static uint64_t read_counter(int fd)
{
    uint64_t value;

    if (read(fd, &value, sizeof(value)) != sizeof(value)) {
        die("read");
    }
    return value;
}

static uint64_t now(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static void spin(void)
{
    for (unsigned i = 0; i < 100000; i++) {
        asm volatile("");
    }
}

/* On a slow machine the kernel records there that it throttles them, too. */
static unsigned samples(const struct perf_event_mmap_page *page)
{
    const struct perf_event_header *record;
    unsigned count = 0;

    for (uint64_t at = 0; at < page->data_head; at += record->size) {
        record = (const void *)((const char *)page + PAGE + at);
        count += record->type == PERF_RECORD_SAMPLE;
    }
    return count;
}

static void check(unsigned cpu)
{
    struct perf_event_mmap_page *page;
    uint64_t begin, end, user_cycles, kernel_cycles;
    int user, kernel, sampled;
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (sched_setaffinity(0, sizeof(set), &set)) {
        die("sched_setaffinity");
    }
    begin = now(CLOCK_MONOTONIC);
    user = open_counter((struct perf_event_attr) { .exclude_kernel = 1 });
    kernel = open_counter((struct perf_event_attr) { .exclude_user = 1 });
    sampled = open_counter((struct perf_event_attr) {
        .sample_period = PERIOD });
    page = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, sampled, 0);
    if (page == MAP_FAILED) {
        die("mmap");
    }
    end = now(CLOCK_THREAD_CPUTIME_ID) + SPIN_NS;
    for (unsigned n = 0; n < SPINS || now(CLOCK_THREAD_CPUTIME_ID) < end; n++) {
        spin();
    }
    user_cycles = read_counter(user);
    kernel_cycles = read_counter(kernel);
    /* The time last: it goes on in between, as long as the host likes. */
    printf("pmu-check: cpu=%u ns=%lu user=%lu kernel=%lu samples=%u\n", cpu,
           now(CLOCK_MONOTONIC) - begin, user_cycles, kernel_cycles,
           samples(page));
    munmap(page, 3 * PAGE);
    close(user);
    close(kernel);
    close(sampled);
}

int main(void)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);

    for (long cpu = 0; cpu < cpus; cpu++) {
        check(cpu);
    }
    return 0;
}
