/*
 * The contract of RealmBackendOps: what a harness supplies
 *
 * Purpose: run one suite of cases (cases-*.c) on every backend.  A case runs in
 * the test's process.  Each machine that it starts is a process of its own,
 * forked before anything of QEMU is initialised; it calls the ops on request
 * (servant.c).  Backends differ in how a machine comes up, and in how a guest
 * accesses memory: a harness does that.
 *
 *     cases-*.c --> machine.c  ==socket==>  servant.c --> RealmBackendOps
 *                      |                        |
 *                      v                        v
 *                  transcript              ContractHarness
 *
 * Invariants: a case does not know the backend.  Every call, with its outcome,
 * is a line of the transcript.  All backends have the same transcript, but for
 * the exceptions that `alike` lists.
 *
 * Lock rule: the servant holds the BQL all the time, and no vCPU ever runs.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_CONTRACT_CONTRACT_H
#define TESTS_CONTRACT_CONTRACT_H

#include "system/realm-backend.h"

/*
 * Every machine has addresses and RAM like the virt board's, two vCPUs of which
 * the second one is off, and a ROM outside of RAM.
 */
#define CONTRACT_IPA_BITS 41            /* the shared bit is 40 */
#define CONTRACT_RAM_BASE (1ull << 30)
#define CONTRACT_RAM_SIZE (32ull << 20)
#define CONTRACT_RAM_TOP  (CONTRACT_RAM_BASE + CONTRACT_RAM_SIZE)
#define CONTRACT_CPUS     2
#define CONTRACT_SVE_BITS 256           /* of a machine that is `featured` */
#define CONTRACT_COUNTERS 6             /* of a PMU of -cpu max */
#define CONTRACT_ROM_BASE 0x0e000000ull
#define CONTRACT_ROM_SIZE 0x10000ull
#define CONTRACT_ROM_WORD 0x1122334455667788ull /* at its start */

/* The page size of the host with the largest pages. */
#define CONTRACT_CHUNK    0x10000ull

typedef struct ContractSetup {
    bool incoming;              /* waits for a migration */
    bool fixed;                 /* was created with migration=off */
    bool bare;                  /* no machine: only for @capabilities */
    bool featured;              /* vCPUs have SVE and a PMU; where the kernel
                                   decides, it can do so, and MTE */
} ContractSetup;

/* How an access of the guest ends. */
typedef enum ContractOutcome {
    CONTRACT_DONE,
    CONTRACT_ABORT,             /* the Realm takes an external abort */
    CONTRACT_HOST,              /* the host has to emulate it */
    CONTRACT_GONE,              /* nobody can serve it: the vCPU stops */
    CONTRACT_OUTCOMES
} ContractOutcome;

/* An access of vCPU 0 to the 64 bits at an aligned IPA. */
typedef struct ContractAccess {
    uint64_t ipa;
    bool write;
    uint64_t value;             /* in, or out */
    unsigned faults;            /* out: how often the host had to map it */
} ContractAccess;

typedef struct ContractHarness {
    const char *name;

    /*
     * Start a machine in this process, and declare its RAM with init_ripas.
     * Exits with a message on failure.
     */
    void (*start)(const ContractSetup *setup);
    const RealmBackendOps *(*ops)(void);
    const RealmConfig *(*config)(void);

    /*
     * What query-realm-capabilities has to say on a machine like this, in JSON;
     * the caller frees it.  It follows from the command line and the host, not
     * from the backend.
     */
    char *(*capabilities)(const ContractSetup *setup);

    /*
     * Let the vCPUs run for a moment, after the ops have allowed the machine
     * to run.  May be NULL.
     */
    void (*ran)(void);

    /* The host's memory that the Realm sees in its shared half. */
    uint8_t *(*shared_ram)(void);

    ContractOutcome (*access)(ContractAccess *access);

    /*
     * The guest asks for [@base, @top) to become RAM, or EMPTY.  *@reached is
     * the end of the part that has.  Returns false if the RMM refused the call.
     */
    bool (*set_ripas)(uint64_t base, uint64_t top, bool ram,
                      uint64_t *reached);
} ContractHarness;

/* main() of a test program; @variant is its name in test paths. */
int contract_main(int argc, char **argv, const ContractHarness *harness,
                  const char *variant);

#endif
