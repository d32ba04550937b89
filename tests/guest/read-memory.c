/*
 * Guest program that writes memory of the kernel to standard output.
 *
 *     read-memory ADDRESS SIZE
 *
 * ADDRESS is physical, and all of it is RAM.  /dev/mem does not show RAM, so
 * this reads /proc/kcore, which is an ELF file with a segment for each range.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void die(const char *what)
{
    fprintf(stderr, "read-memory: ");
    perror(what);
    exit(1);
}

static void read_at(int fd, void *data, size_t size, off_t at)
{
    if (pread(fd, data, size, at) != (ssize_t)size) {
        die("/proc/kcore");
    }
}

/* Where in the file the memory is. */
static off_t find(int fd, unsigned long address, unsigned long size)
{
    Elf64_Ehdr head;
    Elf64_Phdr segment;

    read_at(fd, &head, sizeof(head), 0);
    for (int i = 0; i < head.e_phnum; i++) {
        read_at(fd, &segment, sizeof(segment),
                head.e_phoff + i * sizeof(segment));
        if (segment.p_type == PT_LOAD && address >= segment.p_paddr &&
            address - segment.p_paddr + size <= segment.p_memsz) {
            return segment.p_offset + (address - segment.p_paddr);
        }
    }
    die("no such RAM");
    return 0;
}

int main(int argc, char **argv)
{
    int fd = open("/proc/kcore", O_RDONLY);
    unsigned long address, size;
    char *data;

    if (argc != 3 || fd < 0) {
        die("usage: read-memory ADDRESS SIZE");
    }
    address = strtoul(argv[1], NULL, 0);
    size = strtoul(argv[2], NULL, 0);
    data = malloc(size);
    if (!data) {
        die("malloc");
    }
    read_at(fd, data, size, find(fd, address, size));
    return fwrite(data, 1, size, stdout) != size || fflush(stdout);
}
