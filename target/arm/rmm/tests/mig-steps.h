/*
 * Steps of a migration between two machines, for tests
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIG_STEPS_H
#define MIG_STEPS_H

#include "mig-machine.h"

GRand *rand_new(void);

/* Page number to IPA: runs, a hole, and one page at the end of RAM */
uint64_t page_ipa(unsigned i, unsigned n);

/* A Realm that runs, with @pages pages, and RECs, all of random contents */
Machine *source_new(const MachineParams *params, unsigned pages);

/* All that a refused call must leave as it was, as a short text */
char *snapshot(Machine *m);

/* The call gives this result, and changes nothing */
#define REFUSES(m, call, want) do { \
        g_autofree char *before_ = snapshot(m); \
        uint64_t result_ = (call); \
        g_autofree char *after_ = NULL; \
        g_assert_cmphex(result_, ==, (want)); \
        after_ = snapshot(m); \
        g_assert_cmpstr(before_, ==, after_); \
    } while (0)

#define OK(call) g_assert_cmphex((call), ==, RMI_SUCCESS)

void same_page(Machine *a, Machine *b, uint64_t ipa);
void same_recs(Machine *a, Machine *b);

/* Byte by byte, register by register, and the map */
void same_realm(Machine *a, Machine *b);
char *ripas_map(Machine *m);

/* The destination takes a record; frees it */
void step_take(Machine *dst, Record *record);

/* Give an offer that was changed the token of @signer */
void step_sign_offer(Machine *signer, Record *offer);

/* Offer, acceptance and begin */
void step_connect(Machine *src, Machine *dst);

/*
 * Collect, and move all pages in bundles of @bundle over @streams threads.
 * Returns how many pages that were.
 */
unsigned step_round(Machine *src, Machine *dst, unsigned streams,
                    unsigned bundle);
void step_epoch(Machine *src, Machine *dst);

/* From the offer on, until the destination has all but the start token */
void step_all_but_start(Machine *src, Machine *dst);

/* The start token for a destination that says that it is ready */
Record *step_start(Machine *src, Machine *dst);

/* COMMIT, in as many calls as it takes: the Realm runs here */
void step_run(Machine *dst);

/* From the pause to the start token, with a last round of pages */
void step_seal(Machine *src, Machine *dst);

/* The same, and the commit */
void step_finish(Machine *src, Machine *dst);

#endif
