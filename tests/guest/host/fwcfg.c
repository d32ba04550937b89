/*
 * The bare host: what QEMU's command line says, and DMA (see host.h)
 *
 * Interface: QEMU's docs/specs/fw_cfg.rst.  The device copies its files into
 * memory by DMA, so it also serves to show what a device reaches.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "host.h"

#define SIGNATURE   0x0
#define DIRECTORY   0x19
#define DMA_ERROR   1u
#define DMA_READ    2u      /* from the file into memory */
#define DMA_SELECT  8u
#define DMA_WRITE   16u     /* from memory into the file */

#define BE32(x) __builtin_bswap32(x)
#define BE64(x) __builtin_bswap64(x)

static void select(uint16_t key)
{
    *(volatile uint16_t *)(FW_CFG + 8) = __builtin_bswap16(key);
}

static void read_bytes(void *to, size_t n)
{
    uint8_t *p = to;

    while (n--) {
        *p++ = *(volatile uint8_t *)FW_CFG;
    }
}

struct entry {
    uint32_t size;
    uint16_t key, reserved;
    char name[56];
};

static bool equal(const char *a, const char *b)
{
    while (*a && *a == *b) {
        a++;
        b++;
    }
    return *a == *b;
}

static bool find(const char *name, struct entry *entry)
{
    uint32_t count;

    select(DIRECTORY);
    read_bytes(&count, sizeof(count));
    for (count = BE32(count); count; count--) {
        read_bytes(entry, sizeof(*entry));
        entry->name[55] = 0;
        if (equal(entry->name, name)) {
            entry->size = BE32(entry->size);
            entry->key = __builtin_bswap16(entry->key);
            return true;
        }
    }
    return false;
}

static bool dma(uint32_t control, uint64_t pa, size_t len)
{
    static volatile struct {
        uint32_t control, length;
        uint64_t address;
    } access __attribute__((aligned(16)));
    uint64_t at = (uint64_t)&access;

    access.control = BE32(control);
    access.length = BE32(len);
    access.address = BE64(pa);
    asm volatile("dsb sy" : : : "memory");
    *(volatile uint32_t *)(FW_CFG + 16) = BE32(at >> 32);
    *(volatile uint32_t *)(FW_CFG + 20) = BE32((uint32_t)at);
    while (BE32(access.control) & ~DMA_ERROR) {
    }
    return !(BE32(access.control) & DMA_ERROR);
}

size_t parameter(const char *name, void *buffer, size_t size)
{
    char full[56] = "opt/host/";
    struct entry entry;

    for (unsigned n = 9; n < sizeof(full) - 1 && *name; n++) {
        full[n] = *name++;
    }
    if (!find(full, &entry)) {
        return 0;
    }
    if (entry.size < size) {
        size = entry.size;
    }
    if (size && !dma(DMA_READ | DMA_SELECT | (uint32_t)entry.key << 16,
                     (uint64_t)buffer, size)) {
        panic("DMA of a parameter to", (uint64_t)buffer);
    }
    return entry.size;
}

/* The signature is "QEMU", and what follows it zeros. */
bool dma_write(uint64_t pa, size_t len)
{
    return dma(DMA_READ | DMA_SELECT | SIGNATURE << 16, pa, len);
}

/* Of the files that the guest can write, this one is there for any machine. */
bool dma_read(uint64_t pa, uint64_t to[2])
{
    struct entry entry;
    uint32_t key;

    if (!find("etc/vmcoreinfo", &entry)) {
        panic("QEMU has no device vmcoreinfo", 0);
    }
    key = (uint32_t)entry.key << 16 | DMA_SELECT;
    return dma(DMA_WRITE | key, pa, 16) && dma(DMA_READ | key, (uint64_t)to,
                                              16);
}
