/*
 * The contract of RealmBackendOps: machines, as a case sees them
 *
 * Purpose: start machines, make calls, and expect success or a refusal.
 *
 * Invariants: an answer lives as long as its machine.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_CONTRACT_MACHINE_H
#define TESTS_CONTRACT_MACHINE_H

#include "wire.h"

typedef struct Machine Machine;

typedef struct Args {
    uint64_t a, b, c;
    const GByteArray *blob;
} Args;

typedef struct Answer {
    bool ok;
    int64_t value;
    unsigned extra;
    char *error;
    GByteArray *blob;
} Answer;

/* @name is for the transcript. */
Machine *machine_new(const char *name, const ContractSetup *setup);
void machine_free(Machine *m);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Machine, machine_free)

/* ContractHarness.capabilities of @m. */
char *machine_capabilities(const Machine *m);

/* Make a call.  With yes it has to succeed, with no to fail with an error. */
const Answer *machine_ask(Machine *m, ContractCall call, const Args *args);
const Answer *machine_yes(Machine *m, ContractCall call, const Args *args);
const Answer *machine_no(Machine *m, ContractCall call, const Args *args);

#define ask(m, call, ...) \
    machine_ask(m, CALL_##call, &(const Args) { __VA_ARGS__ })
#define yes(m, call, ...) \
    machine_yes(m, CALL_##call, &(const Args) { __VA_ARGS__ })
#define no(m, call, ...) \
    machine_no(m, CALL_##call, &(const Args) { __VA_ARGS__ })

/* Addresses in the shared half, and beyond both. */
#define SHARED(address)  ((1ull << (CONTRACT_IPA_BITS - 1)) + (address))
#define BEYOND(address)  ((1ull << CONTRACT_IPA_BITS) + (address))

void machine_init(const ContractHarness *harness);

/* transcript.c: write a line for each call. */
void transcript_open(const char *path);
void transcript_begin(const char *name);
void transcript_add(const char *machine, ContractCall call, const Args *args,
                    const Answer *answer);
void transcript_close(void);

/* Names of calls. */
const char *contract_call_name(ContractCall call);

#endif
