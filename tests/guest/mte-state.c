/*
 * Guest program that notices when a migration damages a vCPU's MTE state.
 *
 * Three threads use it, most of the time without system calls, so that it is
 * live on a vCPU when that stops; they sleep in between, so that a migration
 * has a CPU, too:
 *
 *     random  RGSR_EL1: tags that IRG makes follow from those before (CPU 0);
 *             PSTATE.TCO stays clear
 *     mask    GCR_EL1: IRG makes no excluded tag (CPU 1);
 *             PSTATE.TCO stays set, and wrong stores are none
 *     async   TFSRE0_EL1: each wrong store in asynchronous mode is a signal
 *
 * The order of random tags is that of the architecture for GCR_EL1.RRND = 0;
 * Linux sets RRND, and QEMU's CPUs make the same tags then.
 *
 * Console, each second, and at the end, with SIGTERM:
 *     mte-state: rounds=N mask=N tco=N seed=N faults=N
 *     mte-state: verdict OK|FAIL ...          how often each was wrong
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
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef PROT_MTE
#define PROT_MTE 0x20
#endif
#define CTRL(mode, include) (PR_TAGGED_ADDR_ENABLE | (mode) | \
                             (unsigned long)(include) << PR_MTE_TAG_SHIFT)
#define INCLUDE         0x0a52u
#define TCO             (1ul << 25)
#define PENDING_US      500         /* a fault is, before a system call */
#define BUSY_US         2000
#define SLEEP_NS        2000000

static atomic_bool stopping;
static atomic_ulong rounds, wrong_mask, wrong_tco, wrong_seed, wrong_faults;
static _Thread_local volatile unsigned faults;

static void die(const char *what, const char *remedy)
{
    fprintf(stderr, "mte-state: ");
    perror(what);
    fprintf(stderr, "mte-state: %s\n", remedy);
    exit(1);
}

static void set_mode(unsigned long mode, unsigned include)
{
    if (prctl(PR_SET_TAGGED_ADDR_CTRL, CTRL(mode, include), 0, 0, 0)) {
        die("prctl", "boot with -M virt,mte=on");
    }
}

/* Where there is one CPU, all are there, and only `seed` suffers. */
static void run_on(unsigned cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (sched_setaffinity(0, sizeof(set), &set)) {
        die("sched_setaffinity", "give the guest two CPUs: -smp 2");
    }
}

static unsigned random_tag(void)
{
    uintptr_t p = 0;

    asm volatile("irg %0, %0" : "+r"(p));
    return p >> 56 & 15;
}

static uint64_t read_tco(void)
{
    uint64_t value;

    asm volatile("mrs %0, s3_3_c4_c2_7" : "=r"(value) : : "memory");
    return value & TCO;
}

static void write_tco(uint64_t value)
{
    asm volatile("msr s3_3_c4_c2_7, %0" : : "r"(value) : "memory");
}

/* A page whose tags are 1, by an address whose tag is 2. */
static volatile char *wrong_pointer(void)
{
    char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_MTE,
                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED) {
        die("mmap", "boot with -M virt,mte=on");
    }
    for (unsigned i = 0; i < 4096; i += 16) {
        asm volatile("stg %0, [%0]"
                     : : "r"((uintptr_t)(p + i) | 1ul << 56) : "memory");
    }
    return (char *)((uintptr_t)p | 2ul << 56);
}

static uint64_t microseconds(void)
{
    uint64_t ticks, frequency;

    asm volatile("isb\n mrs %0, cntvct_el0" : "=r"(ticks) : : "memory");
    asm("mrs %0, cntfrq_el0" : "=r"(frequency));
    return ticks / (frequency / 1000000);
}

static void sleep_a_while(void)
{
    nanosleep(&(struct timespec){ .tv_nsec = SLEEP_NS }, NULL);
}

/* ---- The threads ---- */

/* Shifts out four bits of the architecture's RandomTag(). */
static unsigned next_four(unsigned *seed)
{
    unsigned four = 0;

    for (unsigned i = 0; i < 4; i++) {
        unsigned top = (*seed >> 5 ^ *seed >> 3 ^ *seed >> 2 ^ *seed) & 1;

        *seed = top << 15 | *seed >> 1;
        four |= top << i;
    }
    return four;
}

/* Nothing is excluded: a tag is the one before and four bits of the seed. */
static unsigned learn_seed(unsigned *tag)
{
    unsigned seed = 0;

    for (unsigned i = 0; i < 4; i++) {
        unsigned now = random_tag();

        seed = seed >> 4 | ((now - *tag) & 15) << 12;
        *tag = now;
    }
    return seed;
}

static void check_tco(uint64_t value)
{
    wrong_tco += read_tco() != value;
    write_tco(value);                           /* each fault counts once */
}

static void *check_random(void *unused)
{
    unsigned tag, seed, expected;

    set_mode(PR_MTE_TCF_SYNC, 0xffff);
    run_on(0);
    tag = random_tag();
    seed = learn_seed(&tag);
    for (; !stopping; sleep_a_while()) {
        uint64_t end = microseconds() + BUSY_US / 4;

        while (microseconds() < end) {
            expected = (tag + next_four(&seed)) & 15;
            tag = random_tag();
            if (tag != expected) {
                wrong_seed++;
                seed = learn_seed(&tag);
            }
            check_tco(0);
            rounds++;
        }
    }
    return NULL;
}

static void *check_mask(void *unused)
{
    volatile char *wrong = wrong_pointer();

    set_mode(PR_MTE_TCF_SYNC, INCLUDE);
    run_on(1);
    write_tco(TCO);
    for (; !stopping; sleep_a_while()) {
        uint64_t end = microseconds() + BUSY_US;

        while (microseconds() < end) {
            wrong_mask += !(INCLUDE >> random_tag() & 1);
            check_tco(TCO);
            *wrong = 1;                         /* SIGSEGV, were it clear */
        }
    }
    return NULL;
}

static void *check_async(void *unused)
{
    volatile char *wrong = wrong_pointer();

    set_mode(PR_MTE_TCF_ASYNC, 0xffff);
    for (; !stopping; sleep_a_while()) {
        unsigned before = faults;
        uint64_t end = microseconds() + PENDING_US;

        *wrong = 1;
        while (microseconds() < end) {
        }
        syscall(SYS_getppid);                   /* at the latest, here */
        wrong_faults += faults != before + 1;
    }
    return NULL;
}

static void on_fault(int number, siginfo_t *info, void *context)
{
    if (info->si_code != SEGV_MTEAERR) {
        static const char text[] = "mte-state: verdict FAIL: SIGSEGV\n";

        (void)!write(1, text, sizeof(text) - 1);
        _exit(1);
    }
    faults++;
}

/* ---- The whole ---- */

static void print(const char *what)
{
    printf("mte-state: %srounds=%lu mask=%lu tco=%lu seed=%lu faults=%lu\n",
           what, rounds, wrong_mask, wrong_tco, wrong_seed, wrong_faults);
}

int main(void)
{
    void *(*const functions[])(void *) = {
        check_random, check_mask, check_async,
    };
    enum { N = sizeof(functions) / sizeof(functions[0]) };
    struct sigaction action = {
        .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO,
    };
    struct timespec second = { .tv_sec = 1 };
    pthread_t threads[N];
    sigset_t set;
    bool ok;

    setvbuf(stdout, NULL, _IOLBF, 0);
    (void)!nice(10);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    sigaction(SIGSEGV, &action, NULL);
    for (unsigned i = 0; i < N; i++) {
        if (pthread_create(&threads[i], NULL, functions[i], NULL)) {
            die("pthread_create", "give the guest more memory");
        }
    }
    do {
        print("");
    } while (sigtimedwait(&set, NULL, &second) < 0);
    stopping = true;
    for (unsigned i = 0; i < N; i++) {
        pthread_join(threads[i], NULL);
    }
    ok = rounds && !wrong_mask && !wrong_tco && !wrong_seed && !wrong_faults;
    print(ok ? "verdict OK " : "verdict FAIL ");
    return !ok;
}
