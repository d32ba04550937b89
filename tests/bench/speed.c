/*
 * Work for a guest whose speed is measured (tests/bench/speed)
 *
 *     speed WORK ROUNDS
 *
 * Says "speed: begin", does that much of the work, says "speed: end".  All work
 * writes to 1024 pages every few milliseconds, so that a slow migration of the
 * guest does not come to its end meanwhile.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE    4096
#define SIZE    (16u << 20)

static uint64_t *memory;

/* Small pages, as most memory of a busy guest has. */
static uint64_t *map(void)
{
    void *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED || madvise(p, SIZE, MADV_NOHUGEPAGE)) {
        perror("speed: mmap of 16 MiB");
        exit(1);
    }
    return p;
}

static void touch(uint64_t *p, unsigned pages)
{
    for (unsigned i = 0; i < pages; i++) {
        p[i * (PAGE / sizeof(*p))]++;
    }
}

/* Arithmetic and jumps */
static void cpu(void)
{
    volatile uint64_t sink;
    uint64_t x = memory[0] | 1;

    for (unsigned i = 0; i < 8000000; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        if (x & 4) {
            x += i;
        }
        if (i % 500000 == 0) {
            touch(memory, 1024);
        }
    }
    sink = x;
    (void)sink;
}

/* Reads and writes, in a row */
static void stream(void)
{
    for (unsigned i = 0; i < SIZE / sizeof(*memory); i++) {
        memory[i] = memory[i] * 5 + i;
    }
}

/* The TLB forgets the pages, which are there all the time */
static void walks(void)
{
    for (unsigned i = 0; i < 4; i++) {
        mprotect(memory, SIZE, PROT_READ);
        mprotect(memory, SIZE, PROT_READ | PROT_WRITE);
        touch(memory, SIZE / PAGE);
    }
}

/* The guest's kernel finds pages, and gets them back */
static void faults(void)
{
    uint64_t *p = map();

    touch(p, SIZE / PAGE);
    munmap(p, SIZE);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*work)(void);
    } works[] = {
        { "cpu", cpu }, { "stream", stream }, { "walks", walks },
        { "faults", faults },
    };
    void (*work)(void) = NULL;
    long rounds = argc == 3 ? atol(argv[2]) : 0;

    for (size_t i = 0; argc == 3 && i < sizeof(works) / sizeof(*works); i++) {
        if (!strcmp(argv[1], works[i].name)) {
            work = works[i].work;
        }
    }
    if (!work || rounds < 1) {
        fprintf(stderr, "usage: speed cpu|stream|walks|faults ROUNDS\n");
        return 2;
    }
    memory = map();
    touch(memory, SIZE / PAGE);
    work();
    printf("speed: begin\n");
    fflush(stdout);
    for (long i = 0; i < rounds; i++) {
        work();
    }
    printf("speed: end\n");
    return 0;
}
