/*
 * The machine around the stand-in kernel: what its own files share
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_KVM_DOUBLE_MACHINE_H
#define TESTS_KVM_DOUBLE_MACHINE_H

#include "hw/core/cpu.h"
#include "system/kvm_int.h"
#include "double.h"

typedef struct Machine {
    bool exists, running, incoming, irqchip_in_kernel;
    RealmConfig config;
    const RealmBackendOps *ops;
    KVMState state;
    CPUState *cpus[DOUBLE_MAX_CPUS];
    int gmem, irqchip;
    int ram_fd;                 /* shared memory, unless it is in place */
    void *ram_map;              /* with room to align @ram */
    uint8_t *ram;
    unsigned long *written;     /* shared pages of 4 KiB */
    unsigned long *lent;        /* as system/realm/shared-ram.c has it */
    bool lends_nothing;         /* a device refuses to map what is lent */
    bool reset_requested;       /* somebody has asked QEMU for a reset */
    Error **blockers[2];        /* the backend's, and migration/realm/'s */
} Machine;

extern Machine machine;

bool machine_contains(uint64_t base, uint64_t size);

/* Map @size bytes of RAM at @offset: of the file @fd, or of nothing if -1. */
void machine_map_ram(int fd, uint64_t offset, uint64_t size);

#endif
