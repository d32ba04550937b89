/*
 * Guest program that notices when a migration loses a timer, or time.
 *
 * On each CPU two threads sleep again and again, for milliseconds and for
 * two seconds, each until a moment of CLOCK_MONOTONIC: so whenever the guest
 * is moved, there are timers that are armed far ahead, timers that are about
 * to be due, and CPUs that do nothing but wait for theirs.  No sleep may end
 * early or never, and the clock goes back for nobody.
 *
 * Console, each second, and at the end, with SIGTERM:
 *     timer-check: early=N back=N short=N,N,... long=N,N,...
 *     timer-check: verdict OK|FAIL early=...
 * where `short` and `long` are the sleeps that have ended, of each CPU.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define MAX_CPUS    64
#define SHORT_NS    1000000ul           /* to 20 times of that */
#define LONG_NS     2000000000ul
#define NS          1000000000ul

enum { SHORT, LONG };

static unsigned num_cpus;
static atomic_ulong ended[2][MAX_CPUS];
static atomic_ulong early, back;
static atomic_ulong latest;             /* ns, that some thread has seen */

static void die(const char *what, const char *remedy)
{
    fprintf(stderr, "timer-check: ");
    perror(what);
    fprintf(stderr, "timer-check: %s\n", remedy);
    exit(1);
}

/* What any thread has seen before is not later. */
static uint64_t now(void)
{
    uint64_t before = latest, time;
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    time = ts.tv_sec * NS + ts.tv_nsec;
    back += time < before;
    while (before < time &&
           !atomic_compare_exchange_weak(&latest, &before, time)) {
    }
    return time;
}

static void sleep_until(uint64_t time)
{
    struct timespec ts = { .tv_sec = time / NS, .tv_nsec = time % NS };

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL)) {
    }
    early += now() < time;
}

static void run_on(unsigned cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (sched_setaffinity(0, sizeof(set), &set)) {
        die("sched_setaffinity", "bring all CPUs of the guest online");
    }
}

/* Sleeps of one kind on one CPU. */
static _Noreturn void *sleep_again(void *opaque)
{
    unsigned kind = (uintptr_t)opaque % 2, cpu = (uintptr_t)opaque / 2;
    unsigned seed = cpu;

    run_on(cpu);
    for (;;) {
        sleep_until(now() + (kind == LONG ? LONG_NS
                             : SHORT_NS * (1 + rand_r(&seed) % 20)));
        ended[kind][cpu]++;
    }
}

static void print(const char *what)
{
    printf("timer-check: %searly=%lu back=%lu", what, early, back);
    for (unsigned kind = SHORT; kind <= LONG; kind++) {
        for (unsigned cpu = 0; cpu < num_cpus; cpu++) {
            printf("%s%lu", cpu ? "," : kind == LONG ? " long=" : " short=",
                   ended[kind][cpu]);
        }
    }
    printf("\n");
}

int main(void)
{
    struct timespec second = { .tv_sec = 1 };
    pthread_t thread;
    sigset_t set;

    num_cpus = sysconf(_SC_NPROCESSORS_ONLN);
    num_cpus = num_cpus < MAX_CPUS ? num_cpus : MAX_CPUS;
    setvbuf(stdout, NULL, _IOLBF, 0);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    for (uintptr_t i = 0; i < num_cpus * 2; i++) {
        if (pthread_create(&thread, NULL, sleep_again, (void *)i)) {
            die("pthread_create", "give the guest more memory");
        }
    }
    do {
        print("");
    } while (sigtimedwait(&set, NULL, &second) < 0);
    print(early || back ? "verdict FAIL " : "verdict OK ");
    return early || back;
}
