/*
 * What the single steps of a page's way cost on this machine, each alone
 *
 *     floor [MIB]
 *
 * One line a step: its name, and nanoseconds of CPU time a 4 KiB page.  The
 * steps work on bundles of 64 pages, through memory of MIB, which is more than
 * the caches hold.  At the end the same steps in a pipe from one process to
 * another: what no migration that does them can be faster than, in time.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#define _GNU_SOURCE
#include <gnutls/crypto.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE    4096u
#define BUNDLE  (64u * PAGE)
#define TAG     16u
#define HUGE    (2ul << 20)

static size_t size;                     /* bytes of memory to go through */
static uint8_t *scratch;                /* of a bundle, stays in a cache */
static gnutls_aead_cipher_hd_t cipher;

static void require(bool ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(1);
    }
}

static double now(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static double cpu(void)
{
    return now(CLOCK_PROCESS_CPUTIME_ID);
}

static void say(const char *name, double seconds)
{
    printf("%s %.1f\n", name, seconds * 1e9 * PAGE / size);
}

/* As guest RAM is mapped: huge pages where the kernel has them. */
static uint8_t *map(int advice)
{
    uint8_t *p = mmap(NULL, size + HUGE, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    require(p != MAP_FAILED, "mmap");
    p += HUGE - (uintptr_t)p % HUGE;
    madvise(p, size, advice);
    return p;
}

static uint8_t *map_filled(void)
{
    uint8_t *p = map(MADV_HUGEPAGE);

    memset(p, 0x5a, size);
    return p;
}

/* ---- Steps ---- */

static void copy(uint8_t *to, const uint8_t *from)
{
    size_t at;

    for (at = 0; at < size; at += BUNDLE) {
        memcpy(to + at, from + at, BUNDLE);
    }
}

static void encrypt(const uint8_t *from, uint8_t *to)
{
    uint8_t iv[12] = { 0 };
    size_t len = BUNDLE + TAG;

    require(!gnutls_aead_cipher_encrypt(cipher, iv, sizeof(iv), NULL, 0, TAG,
                                        from, BUNDLE, to, &len), "encrypt");
}

static void decrypt(const uint8_t *from, uint8_t *to)
{
    uint8_t iv[12] = { 0 };
    size_t len = BUNDLE;

    require(!gnutls_aead_cipher_decrypt(cipher, iv, sizeof(iv), NULL, 0, TAG,
                                        from, BUNDLE + TAG, to, &len),
            "decrypt");
}

static void send_all(int fd, const uint8_t *p, size_t len)
{
    while (len) {
        ssize_t n = write(fd, p, len);

        require(n > 0, "write");
        p += n;
        len -= n;
    }
}

static void receive_all(int fd, uint8_t *p, size_t len)
{
    while (len) {
        ssize_t n = read(fd, p, len);

        require(n > 0, "read");
        p += n;
        len -= n;
    }
}

/* ---- Measurements ---- */

static void measure_copy(void)
{
    uint8_t *from = map_filled(), *to = map_filled();
    double t = cpu();

    copy(to, from);
    say("copy", cpu() - t);
    munmap(from, size);
    munmap(to, size);
}

static void measure_gcm(void)
{
    uint8_t *memory = map_filled();
    double t = cpu();
    size_t at;

    for (at = 0; at < size; at += BUNDLE) {
        encrypt(memory + at, scratch);
    }
    say("encrypt", cpu() - t);
    encrypt(memory, scratch);
    t = cpu();
    for (at = 0; at < size; at += BUNDLE) {
        decrypt(scratch, memory + at);
    }
    say("decrypt", cpu() - t);
    munmap(memory, size);
}

static void measure_clear(const char *name, int advice)
{
    uint8_t *memory = map(advice);
    double t = cpu();
    size_t at;

    for (at = 0; at < size; at += PAGE) {
        memory[at] = 1;
    }
    say(name, cpu() - t);
    munmap(memory, size);
}

static void measure_socket(void)
{
    double t, elapsed = now(CLOCK_MONOTONIC);
    size_t at;
    pid_t pid;
    int fd[2];

    require(!socketpair(AF_UNIX, SOCK_STREAM, 0, fd), "socketpair");
    fflush(stdout);
    pid = fork();
    t = cpu();
    for (at = 0; at < size; at += BUNDLE) {
        if (pid) {
            send_all(fd[0], scratch, BUNDLE);
        } else {
            receive_all(fd[1], scratch, BUNDLE);
        }
    }
    say(pid ? "send" : "receive", cpu() - t);
    if (!pid) {
        fflush(stdout);
        _exit(0);
    }
    wait(NULL);
    say("socket-elapsed", now(CLOCK_MONOTONIC) - elapsed);
    close(fd[0]);
    close(fd[1]);
}

/* One process encrypts and sends, one receives and decrypts to fresh pages. */
static void measure_pipe(bool sealed, const char *name)
{
    uint8_t *from = map_filled(), *to = map(MADV_HUGEPAGE);
    double t = now(CLOCK_MONOTONIC);
    size_t at, len = BUNDLE + (sealed ? TAG : 0);
    pid_t pid;
    int fd[2];

    require(!socketpair(AF_UNIX, SOCK_STREAM, 0, fd), "socketpair");
    fflush(stdout);
    pid = fork();
    for (at = 0; at < size; at += BUNDLE) {
        if (pid && sealed) {
            encrypt(from + at, scratch);
            send_all(fd[0], scratch, len);
        } else if (pid) {
            send_all(fd[0], from + at, len);
        } else if (sealed) {
            receive_all(fd[1], scratch, len);
            decrypt(scratch, to + at);
        } else {
            receive_all(fd[1], to + at, len);
        }
    }
    if (!pid) {
        _exit(0);
    }
    wait(NULL);
    say(name, now(CLOCK_MONOTONIC) - t);
    close(fd[0]);
    close(fd[1]);
    munmap(from, size);
    munmap(to, size);
}

int main(int argc, char **argv)
{
    uint8_t secret[32] = { 1 };
    gnutls_datum_t key = { secret, sizeof(secret) };
    unsigned mib = argc > 1 ? atoi(argv[1]) : 512;

    require(mib > 0 && mib <= 65536, "MIB must be 1 to 65536");
    size = (size_t)mib << 20;
    scratch = malloc(BUNDLE + TAG);
    require(scratch != NULL, "malloc");
    memset(scratch, 0, BUNDLE + TAG);
    require(!gnutls_aead_cipher_init(&cipher, GNUTLS_CIPHER_AES_256_GCM, &key),
            "AES-256-GCM");
    measure_copy();
    measure_gcm();
    measure_clear("clear-huge", MADV_HUGEPAGE);
    measure_clear("clear-small", MADV_NOHUGEPAGE);
    measure_socket();
    measure_pipe(false, "pipe-plain-elapsed");
    measure_pipe(true, "pipe-sealed-elapsed");
    return 0;
}
