/*
 * Guest program that starts the running kernel again, by kexec
 *
 *     kexec-same DISK IMAGE-BYTES INITRD-BYTES
 *
 * DISK holds an arm64 Image and, in the next MiB, an initramfs.  They go where
 * the virt board's loader put them: the device tree, which names the
 * initramfs and the command line, is used as it is.  No arm64 kernel of
 * Debian has kexec_file_load, so a page of code stands before the kernel and
 * gives it the device tree's address (Documentation/arch/arm64/booting.rst).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <linux/kexec.h>
#include <linux/reboot.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define KIB 1024ul
#define MIB (KIB * KIB)
#define PAGE (4 * KIB)
#define KERNEL (1024 * MIB + 2 * MIB)   /* 2 MiB into RAM */
#define FDT_MOST (1 * MIB)

/* An image's size in memory, with what is zero, is in its header. */
#define IMAGE_SIZE 2                    /* the third field of 8 bytes */

struct start {
    uint32_t code[4];
    uint64_t fdt, kernel;
};

static size_t round_up(size_t size, size_t unit)
{
    return (size + unit - 1) / unit * unit;
}

static void *load(const char *path, size_t from, size_t size, size_t least)
{
    char *data = mmap(NULL, round_up(size, PAGE), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int fd = open(path, O_RDONLY);
    size_t got = 0;
    ssize_t n = 1;

    if (data == MAP_FAILED || fd < 0) {
        err(1, "%s", path);
    }
    while (got < size && n > 0) {
        n = pread(fd, data + got, size - got, from + got);
        got += n > 0 ? n : 0;
    }
    if (n < 0 || got < least) {
        err(1, "%s: %zu bytes instead of %zu", path, got, least);
    }
    close(fd);
    return data;
}

/* The value of a property of one or two cells, big-endian. */
static uint64_t chosen(const char *name)
{
    char path[128];
    struct stat info;
    uint8_t *bytes;
    uint64_t value = 0;

    snprintf(path, sizeof(path), "/proc/device-tree/chosen/%s", name);
    if (stat(path, &info)) {
        err(1, "%s", path);
    }
    bytes = load(path, 0, info.st_size, info.st_size);
    for (off_t i = 0; i < info.st_size; i++) {
        value = value << 8 | bytes[i];
    }
    return value;
}

static struct kexec_segment segment(const void *data, size_t size,
                                    uint64_t at, size_t room)
{
    return (struct kexec_segment) {
        .buf = data, .bufsz = size,
        .mem = (void *)at, .memsz = round_up(room, PAGE),
    };
}

int main(int argc, char **argv)
{
    size_t image_size = argc == 4 ? strtoul(argv[2], NULL, 0) : 0;
    size_t initrd_size = argc == 4 ? strtoul(argv[3], NULL, 0) : 0;
    uint64_t initrd_at = chosen("linux,initrd-start");
    uint64_t fdt_at = round_up(chosen("linux,initrd-end"), 2 * MIB);
    uint64_t start_at = fdt_at + 2 * MIB;
    struct start start = {
        .code = {
            0x58000080,                 /* ldr x0, fdt */
            0x580000a4,                 /* ldr x4, kernel */
            0xd61f0080,                 /* br x4 */
        },
        .fdt = fdt_at,
        .kernel = KERNEL,
    };
    uint64_t *image;
    struct kexec_segment segments[4];

    if (!image_size || !initrd_size) {
        errx(1, "usage: kexec-same DISK IMAGE-BYTES INITRD-BYTES");
    }
    image = load(argv[1], 0, image_size, image_size);
    segments[0] = segment(image, image_size, KERNEL, image[IMAGE_SIZE]);
    segments[1] = segment(load(argv[1], round_up(image_size, MIB),
                               initrd_size, initrd_size),
                          initrd_size, initrd_at, initrd_size);
    segments[2] = segment(load("/sys/firmware/fdt", 0, FDT_MOST, 1),
                          FDT_MOST, fdt_at, FDT_MOST);
    segments[3] = segment(&start, sizeof(start), start_at, sizeof(start));
    if (syscall(SYS_kexec_load, start_at, 4ul, segments,
                (unsigned long)KEXEC_ARCH_AARCH64)) {
        err(1, "kexec_load");
    }
    sync();
    syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2,
            LINUX_REBOOT_CMD_KEXEC, NULL);
    err(1, "reboot");
}
