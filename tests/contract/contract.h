/*
 * The contract of RealmBackendOps: what a harness supplies
 *
 * Purpose: one suite of cases (cases-*.c) for every backend.  A case runs in
 * the test's process; each machine that it starts is a process of its own,
 * forked before anything of QEMU is initialised, and calls the ops when it is
 * asked (servant.c).  What differs between backends is how a machine comes
 * up, and how a guest's access is made: a harness.
 *
 *     cases-*.c --> machine.c  ==socket==>  servant.c --> RealmBackendOps
 *                      |                        |
 *                      v                        v
 *                  transcript              ContractHarness
 *
 * Invariants: cases know neither backend; every call and its outcome is a
 * line of the transcript, which is the same for all backends but for what
 * `alike` lists.
 *
 * Lock rule: the servant has the BQL all the time; no vCPU ever runs.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_CONTRACT_CONTRACT_H
#define TESTS_CONTRACT_CONTRACT_H

#include "system/realm-backend.h"

/*
 * Every machine: addresses and RAM as the virt board has them; two vCPUs, the
 * second one off; and something read-only that is not RAM.
 */
#define CONTRACT_IPA_BITS 41            /* the shared bit is 40 */
#define CONTRACT_RAM_BASE (1ull << 30)
#define CONTRACT_RAM_SIZE (32ull << 20)
#define CONTRACT_RAM_TOP  (CONTRACT_RAM_BASE + CONTRACT_RAM_SIZE)
#define CONTRACT_CPUS     2
#define CONTRACT_ROM_BASE 0x0e000000ull
#define CONTRACT_ROM_SIZE 0x10000ull
#define CONTRACT_ROM_WORD 0x1122334455667788ull /* at its start */

/* What is populated, converted and discarded at once on the largest host. */
#define CONTRACT_CHUNK    0x10000ull

typedef struct ContractSetup {
    bool incoming;              /* waits for a migration */
    bool fixed;                 /* was created with migration=off */
} ContractSetup;

/* What a guest's access comes to. */
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
    unsigned faults;            /* out: had to be mapped by the host first */
} ContractAccess;

typedef struct ContractHarness {
    const char *name;

    /*
     * Start a machine in this process; exits with a message if that fails.
     * Its RAM has been declared with init_ripas.
     */
    void (*start)(const ContractSetup *setup);
    const RealmBackendOps *(*ops)(void);
    const RealmConfig *(*config)(void);

    /*
     * The ops allowed the machine to run, so its vCPUs do for a moment.  May
     * be NULL.
     */
    void (*ran)(void);

    /* The host's view of RAM: what the Realm sees in its shared half. */
    uint8_t *(*shared_ram)(void);

    ContractOutcome (*access)(ContractAccess *access);

    /*
     * The guest asks for [@base, @top) to be RAM, or EMPTY; as far as
     * *@reached it is.  False if the RMM refused the call itself.
     */
    bool (*set_ripas)(uint64_t base, uint64_t top, bool ram,
                      uint64_t *reached);
} ContractHarness;

/* The test program; @variant names this one among those of its harness. */
int contract_main(int argc, char **argv, const ContractHarness *harness,
                  const char *variant);

#endif
