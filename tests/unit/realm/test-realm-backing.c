/*
 * Where the host has memory behind RAM
 *
 * Purpose: system/realm/backing.c on memory of this process.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <sys/wait.h>
#include "qemu/memfd.h"
#include "qemu/units.h"
#include "exec/ramblock.h"
#include "../../../system/realm/backing.h"

#define SIZE (64 * MiB)         /* more than one read of the page tables */

static RAMBlock block;
static MemoryRegion mr = { .ram_block = &block };
static uint64_t page_size;

static void begin(int fd, uint32_t flags)
{
    int sharing = flags & RAM_SHARED ? MAP_SHARED : MAP_PRIVATE;

    page_size = qemu_real_host_page_size();
    block = (RAMBlock) { .fd = fd, .flags = flags };
    block.host = mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
                      sharing | MAP_NORESERVE | (fd < 0 ? MAP_ANONYMOUS : 0),
                      fd, 0);
    g_assert_true(block.host != MAP_FAILED);
    madvise(block.host, SIZE, MADV_NOHUGEPAGE);
}

static void end(void)
{
    munmap(block.host, SIZE);
    if (block.fd >= 0) {
        close(block.fd);
    }
}

/* Exactly the pages @pages are backed, which are ascending. */
static void check(const uint64_t *pages, size_t n)
{
    uint64_t at = 0;

    for (size_t i = 0; i < n; i++) {
        uint64_t page = pages[i] * page_size;

        at = realm_backing_find(&mr, at, SIZE, true);
        g_assert_cmphex(at, ==, page);
        g_assert_cmphex(realm_backing_find(&mr, at, at + page_size, true),
                        ==, page);
        at = realm_backing_find(&mr, at, SIZE, false);
        g_assert_cmphex(at, ==, page + page_size);
        g_assert_cmphex(realm_backing_find(&mr, at, at + page_size, true),
                        ==, at + page_size);
    }
    g_assert_cmphex(realm_backing_find(&mr, at, SIZE, true), ==, SIZE);
}

static const uint64_t touched[] = { 1, 7, 4095, 4097, 9000 };

static void write_all(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(touched); i++) {
        block.host[touched[i] * page_size + i] = 1;
    }
}

static void test_anonymous(void)
{
    begin(-1, 0);
    check(NULL, 0);
    write_all();
    check(touched, ARRAY_SIZE(touched));
    madvise(block.host, 4000 * page_size, MADV_DONTNEED);
    check(touched + 2, 3);
    end();
}

/* The page tables of this process do not show it. */
static void test_file_that_another_process_writes(void)
{
    int fd = qemu_memfd_create("test", SIZE, false, 0, 0, NULL);
    int status;
    pid_t child;

    if (fd < 0) {
        g_test_skip("the host has no memfd");
        return;
    }
    begin(fd, RAM_SHARED);
    check(NULL, 0);
    child = fork();
    if (!child) {
        write_all();
        _exit(0);
    }
    g_assert_cmpint(waitpid(child, &status, 0), ==, child);
    g_assert_cmpint(status, ==, 0);
    check(touched, ARRAY_SIZE(touched));
    g_assert_cmpint(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                              0, 4000 * page_size), ==, 0);
    check(touched + 2, 3);
    end();
}

static void check_all_backed(void)
{
    g_assert_cmphex(realm_backing_find(&mr, page_size, SIZE, true), ==,
                    page_size);
    g_assert_cmphex(realm_backing_find(&mr, page_size, SIZE, false), ==, SIZE);
}

/* Shared without a file; a file's private copy; a file that is gone */
static void test_what_is_not_known_is_backed(void)
{
    int fd = qemu_memfd_create("test", SIZE, false, 0, 0, NULL);
    int pipe_fds[2];

    begin(-1, RAM_SHARED);
    check_all_backed();
    end();

    if (fd >= 0) {
        begin(fd, 0);
        check_all_backed();
        end();
    }

    begin(-1, 0);
    g_assert_cmpint(pipe(pipe_fds), ==, 0);
    block.flags = RAM_SHARED;
    block.fd = pipe_fds[0];             /* has neither data nor holes */
    check_all_backed();
    close(pipe_fds[1]);
    end();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

#define TEST(name) g_test_add_func("/realm/backing/" #name, test_##name)
    TEST(anonymous);
    TEST(file_that_another_process_writes);
    TEST(what_is_not_known_is_backed);
    return g_test_run();
}
