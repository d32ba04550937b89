/*
 * Where the host has memory behind RAM
 *
 * Purpose: system/realm/backing.c on memory of this process.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <stdarg.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include "qemu/memfd.h"
#include "qemu/mmap-alloc.h"
#include "qemu/units.h"
#include "exec/ramblock.h"
#include "../../../system/realm/backing.h"

#define SIZE (64 * MiB)         /* more than one read of the page tables */

static RAMBlock block;
static MemoryRegion mr = { .ram_block = &block };
static uint64_t page_size;

static bool old_kernel;
static int wrong_answer;        /* regions of a kernel; 0: ask the real one */
static uint64_t beyond;         /* bytes behind the end that it went to */
static unsigned scans;          /* that the kernel has made */

/* In place of the C library's: old kernels have no ioctl of a pagemap. */
int ioctl(int fd, unsigned long request, ...);
int ioctl(int fd, unsigned long request, ...)
{
    va_list args;
    void *arg;
    int ret;

    va_start(args, request);
    arg = va_arg(args, void *);
    va_end(args);
    if (old_kernel) {
        errno = ENOTTY;
        return -1;
    }
    if (wrong_answer) {
        uint64_t *words = arg;

        words[4] = words[3] + beyond;   /* struct pm_scan_arg: walk_end, end */
        return wrong_answer;
    }
    ret = syscall(SYS_ioctl, fd, request, arg);
    scans += ret >= 0;
    return ret;
}

/* Linux 6.7 or later */
static bool kernel_scans(void)
{
    struct utsname uts;
    int major, minor;

    g_assert_cmpint(uname(&uts), ==, 0);
    g_assert_cmpint(sscanf(uts.release, "%d.%d", &major, &minor), ==, 2);
    return major > 6 || (major == 6 && minor >= 7);
}

static void begin_at(int fd, uint64_t offset, uint32_t flags)
{
    int sharing = flags & RAM_SHARED ? MAP_SHARED : MAP_PRIVATE;

    page_size = qemu_real_host_page_size();
    block = (RAMBlock) { .fd = fd, .fd_offset = offset, .flags = flags };
    block.host = mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
                      sharing | MAP_NORESERVE | (fd < 0 ? MAP_ANONYMOUS : 0),
                      fd, offset);
    g_assert_true(block.host != MAP_FAILED);
    madvise(block.host, SIZE, MADV_NOHUGEPAGE);
}

static void begin(int fd, uint32_t flags)
{
    begin_at(fd, 0, flags);
}

static void end(void)
{
    munmap(block.host, SIZE);
    if (block.fd >= 0) {
        close(block.fd);
    }
}

typedef struct Seen {
    uint64_t at;
    GArray *pages;              /* backed */
} Seen;

static void hole(uint64_t start, uint64_t end, void *opaque)
{
    Seen *seen = opaque;

    g_assert_cmphex(start, >=, seen->at);
    g_assert_true(start < end || end == SIZE);
    g_assert_true(QEMU_IS_ALIGNED(start | end, page_size));
    for (; seen->at < start; seen->at += page_size) {
        uint64_t page = seen->at / page_size;

        g_array_append_val(seen->pages, page);
    }
    seen->at = end;
}

/* Exactly the pages @pages are backed, from @from on. */
static void check_from(uint64_t from, const uint64_t *pages, size_t n)
{
    g_autoptr(GArray) array = g_array_new(false, false, sizeof(uint64_t));
    Seen seen = { from, array };

    realm_backing_holes(&mr, from, SIZE, hole, &seen);
    hole(SIZE, SIZE, &seen);
    g_assert_cmpmem(array->data, array->len * sizeof(uint64_t), pages,
                    n * sizeof(uint64_t));
}

static void check(const uint64_t *pages, size_t n)
{
    check_from(0, pages, n);
}

/* The same of each page alone */
static void check_each(const uint64_t *pages, size_t n)
{
    for (uint64_t at = 0, i = 0; at < SIZE; at += page_size) {
        bool backed = i < n && pages[i] == at / page_size;

        g_assert_true(realm_backing_is_hole(&mr, at, at + page_size) ==
                      !backed);
        i += backed;
    }
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
    check_each(touched, ARRAY_SIZE(touched));
    check_from(8 * page_size, touched + 2, 3);
    madvise(block.host, 4000 * page_size, MADV_DONTNEED);
    check(touched + 2, 3);
    end();
}

static void test_anonymous_on_old_kernels(void)
{
    old_kernel = true;
    scans = 0;
    test_anonymous();
    g_assert_cmpuint(scans, ==, 0);
    old_kernel = false;
}

static void test_newer_kernels_are_asked_once(void)
{
    if (!kernel_scans()) {
        g_test_skip("this kernel is older than Linux 6.7, and has no "
                    "PAGEMAP_SCAN");
        return;
    }
    begin(-1, 0);
    write_all();
    scans = 0;
    check(touched, ARRAY_SIZE(touched));
    g_assert_cmpuint(scans, ==, 1);
    end();
}

/* More regions than there is room for; an end behind what was asked for */
static void test_answers_that_cannot_be_are_not_used(void)
{
    begin(-1, 0);
    write_all();
    wrong_answer = 513;
    check(touched, ARRAY_SIZE(touched));
    wrong_answer = 1;
    beyond = page_size;
    check(touched, ARRAY_SIZE(touched));
    wrong_answer = beyond = 0;
    end();
}

/* More than the kernel tells at once, and up to the end */
static void test_many_pages(void)
{
    g_autoptr(GArray) pages = g_array_new(false, false, sizeof(uint64_t));

    begin(-1, 0);
    for (uint64_t page = 1; page < SIZE / page_size; page += 2) {
        block.host[page * page_size] = 1;
        g_array_append_val(pages, page);
    }
    check((uint64_t *)pages->data, pages->len);
    old_kernel = true;
    check((uint64_t *)pages->data, pages->len);
    old_kernel = false;
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
    check_from(8 * page_size, touched + 2, 3);
    g_assert_cmpint(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                              0, 4000 * page_size), ==, 0);
    check(touched + 2, 3);
    end();
}

static void test_part_of_a_file(void)
{
    int fd = qemu_memfd_create("test", 2 * SIZE, false, 0, 0, NULL);
    uint64_t pages[] = { 2, SIZE / qemu_real_host_page_size() - 1 };

    if (fd < 0) {
        g_test_skip("the host has no memfd");
        return;
    }
    begin_at(fd, 1 * MiB, RAM_SHARED);
    g_assert_cmpint(pwrite(fd, "a", 1, 0), ==, 1);
    g_assert_cmpint(pwrite(fd, "b", 1, 1 * MiB + SIZE), ==, 1);
    check(NULL, 0);
    block.host[pages[0] * page_size] = 1;
    block.host[pages[1] * page_size] = 1;
    check(pages, 2);
    check_each(pages, 2);
    end();
}

static void no_hole(uint64_t start, uint64_t end, void *opaque)
{
    g_assert_not_reached();
}

static void check_all_backed(void)
{
    realm_backing_holes(&mr, page_size, SIZE, no_hole, NULL);
    g_assert_false(realm_backing_is_hole(&mr, page_size, 2 * page_size));
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

/* What is mapped there need not have reached the file system. */
static void test_file_systems_of_disks_do_not_know(void)
{
    char name[] = "realm-backing-XXXXXX";
    int fd = mkstemp(name);

    g_assert_cmpint(fd, >=, 0);
    unlink(name);
    if (qemu_fd_getfs(fd) == QEMU_FS_TYPE_TMPFS) {
        g_test_skip("the tests run in a folder of tmpfs");
        close(fd);
        return;
    }
    g_assert_cmpint(ftruncate(fd, SIZE), ==, 0);
    begin(fd, RAM_SHARED);
    check_all_backed();
    end();
}

static void test_linux_says_how_many_mappings_there_may_be(void)
{
    FILE *file = fopen("/proc/sys/vm/max_map_count", "r");
    long n = 65530;

    if (file) {
        g_assert_cmpint(fscanf(file, "%ld", &n), ==, 1);
        fclose(file);
    }
    g_assert_cmpint(realm_backing_max_mappings(), ==, n);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

#define TEST(name) g_test_add_func("/realm/backing/" #name, test_##name)
    TEST(anonymous);
    TEST(anonymous_on_old_kernels);
    TEST(newer_kernels_are_asked_once);
    TEST(answers_that_cannot_be_are_not_used);
    TEST(many_pages);
    TEST(file_that_another_process_writes);
    TEST(part_of_a_file);
    TEST(what_is_not_known_is_backed);
    TEST(file_systems_of_disks_do_not_know);
    TEST(linux_says_how_many_mappings_there_may_be);
    return g_test_run();
}
