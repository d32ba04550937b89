/*
 * Guest program that reads or writes a register of a PCI device
 *
 *     pci-bar DEVICE BAR OFFSET BITS [VALUE...]
 *
 * DEVICE is a folder of /sys/bus/pci/devices.  With values it writes them, one
 * after the other to the same register; then it prints what it reads there.
 * So a test can use a device for which Debian's kernel has no driver.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <err.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define USAGE "usage: pci-bar DEVICE BAR OFFSET BITS [VALUE...]"

/* Where a BAR begins in its page: small ones share a page. */
static off_t start_in_page(const char *device, int bar, off_t page)
{
    char path[256];
    uintmax_t start = 0;
    FILE *file;

    snprintf(path, sizeof(path), "%s/resource", device);
    file = fopen(path, "r");
    for (int i = 0; file && i <= bar; i++) {
        if (fscanf(file, "%jx %*x %*x", &start) != 1) {
            errx(1, "%s: no BAR %d", path, bar);
        }
    }
    if (!file) {
        err(1, "%s", path);
    }
    fclose(file);
    return start % page;
}

static volatile void *map(const char *device, int bar, off_t offset)
{
    off_t page = sysconf(_SC_PAGESIZE);
    char path[256];
    char *at;
    int fd;

    snprintf(path, sizeof(path), "%s/resource%d", device, bar);
    fd = open(path, O_RDWR);
    if (fd < 0) {
        err(1, "%s", path);
    }
    at = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
              offset / page * page);
    if (at == MAP_FAILED) {
        err(1, "%s: offset 0x%jx", path, (intmax_t)offset);
    }
    return at + start_in_page(device, bar, page) + offset % page;
}

static void put(volatile void *at, int bits, uint32_t value)
{
    switch (bits) {
    case 8:
        *(volatile uint8_t *)at = value;
        break;
    case 16:
        *(volatile uint16_t *)at = value;
        break;
    case 32:
        *(volatile uint32_t *)at = value;
        break;
    default:
        errx(1, USAGE);
    }
}

static uint32_t get(const volatile void *at, int bits)
{
    switch (bits) {
    case 8:
        return *(const volatile uint8_t *)at;
    case 16:
        return *(const volatile uint16_t *)at;
    case 32:
        return *(const volatile uint32_t *)at;
    default:
        errx(1, USAGE);
    }
}

int main(int argc, char **argv)
{
    volatile void *at;
    int bits;

    if (argc < 5) {
        errx(1, USAGE);
    }
    at = map(argv[1], atoi(argv[2]), strtoul(argv[3], NULL, 0));
    bits = atoi(argv[4]);
    for (int i = 5; i < argc; i++) {
        put(at, bits, strtoul(argv[i], NULL, 0));
    }
    printf("0x%" PRIx32 "\n", get(at, bits));
    return 0;
}
