/*
 * Program of the nested machine that gives memory tags other than zero
 *
 *     soil-tags MIB [FILE]
 *
 * It tags MIB of huge pages, and frees them: the kernel clears the data of such
 * a page for who gets it next, and not its tags.  With FILE, which it makes on
 * a tmpfs, it tags that, and leaves it: a file keeps its tags.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <err.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define PROT_MTE    0x20
#define TAG         (5ull << 56)

int main(int argc, char **argv)
{
    size_t size = argc > 1 ? strtoul(argv[1], NULL, 10) << 20 : 0;
    int flags = argc > 2 ? MAP_SHARED
                         : MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB;
    int fd = -1;
    char *at;

    if (!size) {
        errx(2, "usage: soil-tags MIB [FILE]");
    }
    if (argc > 2) {
        fd = open(argv[2], O_RDWR | O_CREAT, 0600);
        if (fd < 0 || ftruncate(fd, size)) {
            err(1, "making %s", argv[2]);
        }
    }
    at = mmap(NULL, size, PROT_READ | PROT_WRITE | PROT_MTE, flags, fd, 0);
    if (at == MAP_FAILED) {
        err(1, "mapping %zu MiB with tags", size >> 20);
    }
    for (size_t i = 0; i < size; i += 32) {
        asm volatile(".arch armv8.5-a+memtag\n\tst2g %0, [%0]"
                     : : "r" ((uintptr_t)at + i + TAG) : "memory");
    }
    return 0;
}
