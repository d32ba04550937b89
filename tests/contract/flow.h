/*
 * The contract of RealmBackendOps: steps that many cases share
 *
 * Purpose: make a Realm that runs, and migrate it step by step.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_CONTRACT_FLOW_H
#define TESTS_CONTRACT_FLOW_H

#include "machine.h"

/* The first chunk of RAM is the image, and begins with this word. */
#define IMAGE_WORD 0x600d0000600dull
#define CHUNK_PAGES (CONTRACT_CHUNK / REALM_PAGE_SIZE)

/* Address of page @n of chunk @chunk of RAM. */
#define PAGE_OF(chunk, n) \
    (CONTRACT_RAM_BASE + (chunk) * CONTRACT_CHUNK + (n) * REALM_PAGE_SIZE)
/* Its number, from ram_base on. */
#define NUMBER_OF(chunk, n) ((chunk) * CHUNK_PAGES + (n))

typedef struct Case {
    const char *name;           /* a claim */
    void (*run)(void);
} Case;

/* Each ends with a Case without a name. */
extern const Case life_cases[], memory_cases[], source_cases[];
extern const Case dirty_cases[], destination_cases[], streams_cases[];
extern const Case walk_cases[];

/* A machine with the image in place, and one whose Realm runs. */
Machine *loaded_machine(const char *name, const ContractSetup *setup);
Machine *running_machine(const char *name);

/* One that waits for a migration. */
Machine *waiting_machine(const char *name);

/* Make the guest access memory, and check the result. */
void guest_reads(Machine *m, uint64_t ipa, uint64_t value);
void guest_writes(Machine *m, uint64_t ipa, uint64_t value);
void access_fails(Machine *m, uint64_t ipa, ContractOutcome outcome);

/* Make the guest read all pages of a chunk for the first time: they are 0. */
void touch_chunk(Machine *m, unsigned chunk);

const RealmMigrationLimits *limits_of(Machine *m);

/* Check where the Realm is. */
void phase_is(Machine *m, RealmPhase phase);

/* Check that the Realm runs: it writes and reads page 8 of the image. */
void works(Machine *m);

typedef struct Pair {
    Machine *source, *destination;
} Pair;

/* A Realm that runs, and a machine that waits. */
Pair *pair_new(void);
void pair_free(Pair *p);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Pair, pair_free)

/* @destination makes an offer for the nonce that @source draws now. */
const GByteArray *offer_for(Machine *source, Machine *destination);

/* The source accepts the destination's offer. */
void pair_bind(Pair *p);
/* Open the session on both sides. */
void pair_begin(Pair *p);
/* Collect, export and import; returns how many pages. */
unsigned pair_round(Pair *p);
/* Export and import the pages of @bitmap, on all streams in turn. */
unsigned pair_pages(Pair *p, const GByteArray *bitmap);
void pair_epoch(Pair *p);
void pair_pause(Pair *p);
/* Export and import all parts of the state. */
void pair_state(Pair *p);
/* Migrate a bound pair until only the start token is missing. */
void pair_until_start(Pair *p);
/* The source makes the start token, since the destination is ready. */
const Answer *pair_token(Pair *p);
/*
 * Import it, commit and finish: the Realm runs at the destination, and is gone
 * at the source.
 */
void pair_start(Pair *p);
/* Do all of it, from pair_new to a Realm that runs at the destination. */
void pair_migrate(Pair *p);

/* A list of page numbers for EXPORT_MEMORY; the caller unrefs it. */
GByteArray *page_numbers(unsigned n, ...);
GByteArray *changed(const GByteArray *blob, size_t at, uint8_t by);
GByteArray *cut(const GByteArray *blob, size_t size);

bool bit(const GByteArray *bitmap, uint64_t page);

#endif
