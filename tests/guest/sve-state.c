/*
 * Guest program that notices when a migration damages a vCPU's SVE state.
 *
 * One thread on each of two CPUs, with the longest and with the shortest vector
 * length, puts values of its own into Z0-Z31, P0-P15 and FFR, computes for a
 * while without system calls, so that they are live on a vCPU when that stops,
 * and looks for them again; it sleeps in between, so that a migration has a CPU,
 * too.
 *
 *     sve-state [TEXT-REVERSED]       longer registers begin with TEXT
 *
 * Console, each second, and at the end, with SIGTERM:
 *     sve-state: vl=BYTES,BYTES rounds=N,N wrong=N,N
 *     sve-state: verdict OK|FAIL ...          how often each was wrong
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
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define MAX_VL      256         /* bytes */
#define LOOPS       3000000
#define SLEEP_NS    2000000
#define THREADS     2

typedef struct State {
    uint8_t z[32 * MAX_VL];
    uint8_t p[17 * MAX_VL / 8];         /* the last is FFR */
} State;

static atomic_bool stopping;
static atomic_ulong rounds[THREADS], wrong[THREADS];
static int lengths[THREADS];
static const char *reversed = "";

static void die(const char *what)
{
    fprintf(stderr, "sve-state: ");
    perror(what);
    fprintf(stderr, "sve-state: boot with -cpu max,sve=on and -smp 2\n");
    exit(1);
}

#define EIGHT(op, kind, base, a, b, c, d, e, f, g, h) \
    op " " kind #a ", [" base ", #" #a ", mul vl]\n" \
    op " " kind #b ", [" base ", #" #b ", mul vl]\n" \
    op " " kind #c ", [" base ", #" #c ", mul vl]\n" \
    op " " kind #d ", [" base ", #" #d ", mul vl]\n" \
    op " " kind #e ", [" base ", #" #e ", mul vl]\n" \
    op " " kind #f ", [" base ", #" #f ", mul vl]\n" \
    op " " kind #g ", [" base ", #" #g ", mul vl]\n" \
    op " " kind #h ", [" base ", #" #h ", mul vl]\n"
#define SIXTEEN(op, kind, base) \
    EIGHT(op, kind, base, 0, 1, 2, 3, 4, 5, 6, 7) \
    EIGHT(op, kind, base, 8, 9, 10, 11, 12, 13, 14, 15)
#define ALL(op, kind, base) SIXTEEN(op, kind, base) \
    EIGHT(op, kind, base, 16, 17, 18, 19, 20, 21, 22, 23) \
    EIGHT(op, kind, base, 24, 25, 26, 27, 28, 29, 30, 31)

/* Nothing but this touches the registers while it runs; Linux saves them. */
static int hold(const State *in, State *out)
{
    uint64_t loops = LOOPS, vl;

    asm volatile(".arch_extension sve\n"
                 "ldr p0, [%3, #16, mul vl]\n"
                 "wrffr p0.b\n"
                 ALL("ldr", "z", "%2")
                 SIXTEEN("ldr", "p", "%3")
                 "1: subs %0, %0, #1\n"
                 "b.ne 1b\n"
                 ALL("str", "z", "%4")
                 SIXTEEN("str", "p", "%5")
                 "rdffr p0.b\n"
                 "str p0, [%5, #16, mul vl]\n"
                 "rdvl %1, #1\n"
                 : "+r"(loops), "=&r"(vl)
                 : "r"(in->z), "r"(in->p), "r"(out->z), "r"(out->p)
                 : "cc", "memory",
                 "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9",
                 "v10", "v11", "v12", "v13", "v14", "v15", "v16", "v17", "v18",
                 "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26", "v27",
                 "v28", "v29", "v30", "v31");
    return vl;
}

/* FFR has values of one form only: ones up to some element, then zeros. */
static void choose(State *s, size_t vl, uint64_t *seed)
{
    size_t size = strlen(reversed);
    size_t ones;

    for (size_t i = 0; i < sizeof(*s); i++) {
        *seed ^= *seed << 13;
        *seed ^= *seed >> 7;
        *seed ^= *seed << 17;
        ((uint8_t *)s)[i] = *seed;
    }
    for (size_t i = 0; size < vl && i < 32 * size; i++) {
        s->z[i / size * vl + i % size] = reversed[size - 1 - i % size];
    }
    ones = *seed % (vl + 1);
    for (size_t bit = 0; bit < vl; bit++) {
        uint8_t *byte = &s->p[16 * vl / 8 + bit / 8];

        *byte = (*byte & ~(1u << bit % 8)) | (bit < ones) << bit % 8;
    }
}

static bool same(const State *a, const State *b, int vl)
{
    return memcmp(a->z, b->z, 32 * vl) == 0 &&
           memcmp(a->p, b->p, 17 * vl / 8) == 0;
}

static void run_on(unsigned cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (sched_setaffinity(0, sizeof(set), &set)) {
        die("sched_setaffinity");
    }
}

static void *check(void *number)
{
    unsigned n = (uintptr_t)number;
    uint64_t seed = 0x5e5e + n;
    static State in[THREADS], out[THREADS];
    int vl;

    run_on(n);
    vl = prctl(PR_SVE_SET_VL, n ? 16 : MAX_VL);
    if (vl < 0) {
        die("PR_SVE_SET_VL");
    }
    vl &= PR_SVE_VL_LEN_MASK;
    lengths[n] = vl;
    while (!stopping) {
        choose(&in[n], vl, &seed);
        memset(&out[n], 0, sizeof(out[n]));
        if (hold(&in[n], &out[n]) != vl || !same(&in[n], &out[n], vl)) {
            wrong[n]++;
        }
        rounds[n]++;
        nanosleep(&(struct timespec){ .tv_nsec = SLEEP_NS }, NULL);
    }
    return NULL;
}

static void print(const char *what)
{
    printf("sve-state: %svl=%d,%d rounds=%lu,%lu wrong=%lu,%lu\n", what,
           lengths[0], lengths[1], rounds[0], rounds[1], wrong[0], wrong[1]);
}

int main(int argc, char **argv)
{
    struct timespec second = { .tv_sec = 1 };
    pthread_t threads[THREADS];
    sigset_t set;
    bool ok;

    reversed = argc > 1 ? argv[1] : "";
    setvbuf(stdout, NULL, _IOLBF, 0);
    (void)!nice(10);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    for (uintptr_t n = 0; n < THREADS; n++) {
        if (pthread_create(&threads[n], NULL, check, (void *)n)) {
            die("pthread_create");
        }
    }
    while (sigtimedwait(&set, NULL, &second) < 0) {
        print("");
    }
    stopping = true;
    for (unsigned n = 0; n < THREADS; n++) {
        pthread_join(threads[n], NULL);
    }
    ok = rounds[0] && rounds[1] && !wrong[0] && !wrong[1];
    print(ok ? "verdict OK " : "verdict FAIL ");
    return !ok;
}
